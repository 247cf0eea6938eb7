/*
 * Compilations that come to nothing: the JIT's own error, a cubin for another GPU, one that lacks a
 * kernel, no cubin at all. The driver is left to it; and nothing of it is kept as good.
 * link: -l:libcuda.so.1
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGFAKE_FAIL=cuLinkComplete=218 TMP/cache
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGFAKE_FAIL=cuLinkCreate_v2=999 TMP/cache
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGFAKE_FAIL=cuLinkComplete=2 TMP/cache
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGFAKE_LINKED=tests/fixtures/cubin_80.cubin TMP/cache
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGFAKE_LINKED=tests/scenarios/jit/other.sm_120.cubin TMP/cache
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGFAKE_LINKED=/etc/passwd TMP/cache
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto CUDA_DISABLE_PTX_JIT=1 TMP/cache
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_CACHE_DIR=/dev/null/no TMP/cache
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_CACHE_DIR= HOME= XDG_CACHE_HOME= TMP/cache
 */
#include "jit.h"

int main(int argc, char **argv)
{
    CUlibrary library = NULL;
    if (!is_run(argv)) {
        mkdir(argv[argc - 1], 0700);
        again(argv, argv[argc - 1], "first");
        again(argv, argv[argc - 1], "second");
        clean(argv[argc - 1]);
        return 0;
    }
    start_direct();
    if (CALL(cuLibraryLoadData, &library, &ptx, NULL, NULL, 0, NULL, NULL, 0) == 0) {
        use_library(library);
        CALL(cuLibraryUnload, library);
    }
    return 0;
}
