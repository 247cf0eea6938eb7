/*
 * A library with PTX alone, used by three processes: the first compiles, the others find it. A child that was
 * forked meanwhile has done none of that.
 * link: -l:libcuda.so.1
 * run: LD_LIBRARY_PATH=@/../fake/580 TMP/cache
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto TMP/cache
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_LOG=info TMP/cache
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_LOG=info FORK=1 TMP/cache
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_LOG=info KGUARD_LOG_FORMAT=json TMP/cache
 */
#include "jit.h"

int main(int argc, char **argv)
{
    CUlibrary library = NULL;
    if (!is_run(argv)) {
        mkdir(argv[argc - 1], 0700);
        for (int i = 0; i < 3; i++)
            again(argv, argv[argc - 1], i ? "warm" : "cold");
        clean(argv[argc - 1]);
        return 0;
    }
    start_direct();
    if (CALL(cuLibraryLoadData, &library, &ptx, NULL, NULL, 0, NULL, NULL, 0) == 0) {
        use_library(library);
        CALL(cuLibraryUnload, library);
    }
    if (getenv("FORK") && fork() == 0)
        exit(0);
    wait(NULL);
    return 0;
}
