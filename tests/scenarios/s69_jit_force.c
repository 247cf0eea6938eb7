/*
 * A library that has code for the GPU, and PTX: KGUARD_JIT=force passes over the code, in the libraries
 * that KGUARD_JIT_ONLY names and nowhere else; the program's own choice by CUDA_FORCE_PTX_JIT counts
 * everywhere.
 * link: -l:libcuda.so.1
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=force KGUARD_JIT_ONLY=libother*:s69* TMP/cache
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=force KGUARD_JIT_ONLY=libother* TMP/cache
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=force TMP/cache
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto CUDA_FORCE_PTX_JIT=1 TMP/cache
 */
#include "jit.h"

EMBED(fatbin_both, "tests/scenarios/jit/voxelize.both.fatbin");
WRAPPER both = {0x466243b1, 1, fatbin_both, NULL};

int main(int argc, char **argv)
{
    CUlibrary library = NULL;
    if (!is_run(argv)) {
        mkdir(argv[argc - 1], 0700);
        for (int i = 0; i < 2; i++)
            again(argv, argv[argc - 1], i ? "warm" : "cold");
        clean(argv[argc - 1]);
        return 0;
    }
    start_direct();
    if (CALL(cuLibraryLoadData, &library, &both, NULL, NULL, 0, NULL, NULL, 0) == 0) {
        use_library(library);
        CALL(cuLibraryUnload, library);
    }
    return 0;
}
