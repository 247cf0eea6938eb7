/*
 * Variables that are for tests, set where nobody tests: said once, when CUDA starts.
 * link: -l:libcuda.so.1
 * run: CUDA_FORCE_PTX_JIT=1
 * run: CUDA_DISABLE_PTX_JIT=1
 * run: CUDA_DISABLE_PTX_JIT=0
 * run: CUDA_FORCE_PTX_JIT=1 KGUARD_LOG_FORMAT=json
 * run: CUDA_FORCE_PTX_JIT=1 KGUARD_LOG=error
 */
#include "direct.h"

int main(void)
{
    start_direct();
    CALL(cuInit, 0);
    return 0;
}
