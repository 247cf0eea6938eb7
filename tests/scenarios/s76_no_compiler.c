/*
 * The driver did not find its JIT compiler: where it should be is said, and what the container was given.
 * link: -l:libcuda.so.1
 * run: KGUARD_LOG=error KGFAKE_FAIL=cuModuleLoadData=221 NVIDIA_DRIVER_CAPABILITIES=utility
 * run: KGUARD_LOG=error KGFAKE_FAIL=cuModuleLoadData=221
 */
#include "direct.h"

EMBED(ptx_80, "tests/fixtures/ptx_only.fatbin");

int main(void)
{
    CUmodule module = NULL;
    start_direct();
    CALL(cuModuleLoadData, &module, ptx_80);
    return 0;
}
