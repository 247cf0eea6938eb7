/*
 * An image from the cache that the driver does not take, at the load or where it looks closer: it is put
 * aside, the original answers, and the program sees what it would have seen. The next process does not
 * try it again, unless it was for want of memory, which says nothing of the image.
 * link: -l:libcuda.so.1
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto REFUSE=cuLibraryGetKernel=209@1 TMP/cache library
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto REFUSE=cuLibraryLoadData=200@1 TMP/cache library
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto REFUSE=cuModuleLoadDataEx=209@1 TMP/cache module
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto REFUSE=cuModuleLoadDataEx=2@1 TMP/cache module
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto REFUSE=cuLibraryLoadData=2@1 TMP/cache library
 */
#include "jit.h"

static void run(const char *what)
{
    CUlibrary library = NULL;
    CUmodule module = NULL;
    CUfunction function = NULL;
    if (strcmp(what, "library") == 0 &&
        CALL(cuLibraryLoadData, &library, &ptx, NULL, NULL, 0, NULL, NULL, 0) == 0) {
        use_library(library);
        CALL(cuLibraryUnload, library);
    }
    if (strcmp(what, "module") == 0 && CALL(cuModuleLoadData, &module, ptx.data) == 0) {
        CALL(cuModuleGetFunction, &function, module, KERNEL);
        CALL(cuModuleUnload, module);
    }
}

int main(int argc, char **argv)
{
    const char *cache = argv[1], *what = argv[2];
    if (is_run(argv)) {
        start_direct();
        run(argv[2]);
        return 0;
    }
    mkdir(cache, 0700);
    again(argv, cache, what);
    /* Without the library no call of the program's must fail. */
    if (getenv("LD_PRELOAD") && strstr(getenv("LD_PRELOAD"), "libkguard"))
        setenv("KGFAKE_FAIL", getenv("REFUSE"), 1);
    again(argv, cache, what);
    unsetenv("KGFAKE_FAIL");
    again(argv, cache, what);
    clean(cache);
    return 0;
}
