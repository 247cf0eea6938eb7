/*
 * A program that clears its environment after start: the settings are those it was started with.
 * link: -l:libcuda.so.1
 * run: KGUARD_LOG=error
 * run: KGUARD_LOG=off
 */
#include "direct.h"

int main(void)
{
    CUmodule module = NULL;
    start_direct();
    clearenv();
    CALL(cuModuleLoadData, &module, fatbin_60_90);
    return 0;
}
