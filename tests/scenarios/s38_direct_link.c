/*
 * A program linked with libcuda: module, function, launch; the image that fits, then the other.
 * link: -l:libcuda.so.1
 * run:
 * run: KGUARD=0
 * run: KGUARD_LOG=off
 * run: KGUARD_LOG=error
 * run: LD_LIBRARY_PATH=@/../fake/wsl KGUARD_LOG=error
 * run: KGUARD_LOG=info
 * run: KGUARD_LOG=nonsense
 * run: KGUARD_LOG_FILE=TMP/kguard.%p.log
 * run: KGUARD_LOG_FILE=/no/such/directory/file
 * run: KGUARD_LOG_FORMAT=json
 * run: KGUARD_LOG_FORMAT=json KGUARD_LOG=info
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
    return CALL(cuModuleLoadData, &module, fatbin_60_90) ? 1 : 0;
}
