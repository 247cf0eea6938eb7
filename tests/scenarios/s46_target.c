/*
 * KGUARD_TARGET: what would happen on another GPU, told about images that work on this one.
 * link: -l:libcuda.so.1
 * run: KGUARD_TARGET=sm_90
 * run: KGUARD_TARGET=sm_120
 * run: KGUARD_TARGET=9.0 KGUARD_LOG_FORMAT=json
 */
#include "direct.h"

int main(void)
{
    CUmodule module = NULL;
    CUfunction function = NULL;
    start_direct();
    CALL(cuModuleLoadData, &module, fatbin_120);
    CALL(cuModuleGetFunction, &function, module, KERNEL);
    answer("cuLaunchKernel", launch(cuLaunchKernel, function));
    return 0;
}
