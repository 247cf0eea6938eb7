/*
 * PTX that the driver is too old for: a ptxas that the user names compiles it, once, in a child. One that
 * fails, lies, dies or is not there changes nothing: 222 it is. What the calls answered stands among
 * what kguard said, since it is meant to differ from what they answer without.
 * link: -l:libcuda.so.1
 * run: KGUARD_JIT=auto TMP/cache
 * run: KGUARD_JIT=auto KGUARD_PTXAS=tests/scenarios/jit/ptxas TMP/cache
 * run: KGUARD_JIT=auto KGUARD_PTXAS=tests/scenarios/jit/ptxas_fails TMP/cache
 * run: KGUARD_JIT=auto KGUARD_PTXAS=tests/scenarios/jit/ptxas_dies TMP/cache
 * run: KGUARD_JIT=auto KGUARD_PTXAS=tests/scenarios/jit/ptxas_lies TMP/cache
 * run: KGUARD_JIT=auto KGUARD_PTXAS=/no/such/ptxas TMP/cache
 */
#include "jit.h"

static void tell(const char *call, int result)
{
    if (getenv("LD_PRELOAD") && strstr(getenv("LD_PRELOAD"), "libkguard"))
        fprintf(stderr, "kguard[0]: (%s = %d)\n", call, result);
}

int main(int argc, char **argv)
{
    CUlibrary library = NULL;
    CUmodule module = NULL;
    CUkernel kernel = NULL;
    if (!is_run(argv)) {
        mkdir(argv[argc - 1], 0700);
        again(argv, argv[argc - 1], "library");
        again(argv, argv[argc - 1], "module");
        clean(argv[argc - 1]);
        return 0;
    }
    start_direct();
    if (strcmp(argv[2], "library") == 0) {
        tell("cuLibraryLoadData", cuLibraryLoadData(&library, &ptx, NULL, NULL, 0, NULL, NULL, 0));
        tell("cuLibraryGetKernel", cuLibraryGetKernel(&kernel, library, KERNEL));
    } else {
        tell("cuModuleLoadData", cuModuleLoadData(&module, ptx.data));
    }
    return 0;
}
