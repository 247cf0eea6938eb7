/*
 * Variables that are for tests, set where nobody tests: said once, when CUDA starts.
 * link: -l:libcuda.so.1
 * run: CUDA_FORCE_PTX_JIT=1
 * run: CUDA_DISABLE_PTX_JIT=1
 * run: CUDA_DISABLE_PTX_JIT=0
 * run: CUDA_FORCE_PTX_JIT=1 KGUARD_LOG_FORMAT=json
 * run: CUDA_FORCE_PTX_JIT=1 KGUARD_LOG=error
 * run: CUDA_FORCE_PTX_JIT=1 load
 * run: CUDA_FORCE_JIT=1 load
 * run: CUDA_DISABLE_JIT=1
 */
#include "direct.h"

int main(int argc, char **argv)
{
    CUlibrary library = NULL;
    CUkernel kernel = NULL;

    start_direct();
    CALL(cuInit, 0);
    if (argc > 1) {
        CALL(cuLibraryLoadData, &library, fatbin_120, NULL, NULL, 0, NULL, NULL, 0);
        CALL(cuLibraryGetKernel, &kernel, library, KERNEL);
    }
    return 0;
}
