/*
 * The same failure ten thousand times: one report, and a closing count.
 * link: -l:libcuda.so.1
 */
#include "direct.h"

int main(void)
{
    CUmodule module = NULL;
    int failures = 0;
    start_direct();
    for (int i = 0; i < 10000; i++)
        failures += cuModuleLoadData(&module, fatbin_60_90) == 209;
    printf("%d failures\n", failures);
    return 0;
}
