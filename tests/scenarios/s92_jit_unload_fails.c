/*
 * A library that the driver does not let go of stays as it was, also where another answers for it.
 * link: -l:libcuda.so.1
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGFAKE_FAIL=cuLibraryUnload=1@1 TMP/cache
 */
#include "jit.h"

int main(int argc, char **argv)
{
    CUlibrary library = NULL;
    CUcontext context = NULL;

    if (!is_run(argv)) {
        mkdir(argv[1], 0700);
        again(argv, argv[1], "cold");
        clean(argv[1]);
        return 0;
    }
    CALL(cuInit, 0);
    CALL(cuLibraryLoadData, &library, &ptx, NULL, NULL, 0, NULL, NULL, 0);
    CALL(cuDevicePrimaryCtxRetain, &context, 0);
    CALL(cuCtxSetCurrent, context);
    use_library(library);
    CALL(cuLibraryUnload, library);
    use_library(library);
    CALL(cuLibraryUnload, library);
    return 0;
}
