/*
 * Kernels one by one by a ptxas: one after the other, and by module. Where that fails, by the driver; PTX that
 * the driver is too old for is then left to it, and is 222. What the calls answered stands among what kguard
 * said, since for such PTX it is meant to differ from what they answer without.
 * link: -l:libcuda.so.1
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_PTXAS=tests/scenarios/jit/ptxas_many TMP/cache
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_PTXAS=tests/scenarios/jit/ptxas_fails TMP/cache
 * run: KGUARD_JIT=auto KGUARD_PTXAS=tests/scenarios/jit/ptxas_many TMP/cache
 * run: KGUARD_JIT=auto KGUARD_PTXAS=tests/scenarios/jit/ptxas_fails TMP/cache
 */
#include "jit_many.h"

static int tell(const char *call, int result)
{
    if (is_guarded())
        fprintf(stderr, "kguard[0]: (%s = %d)\n", call, result);
    return result;
}
#define TELL(function, ...) tell(#function, function(__VA_ARGS__))

static void run(const char *what)
{
    CUlibrary library = NULL;
    CUmodule module = NULL;
    CUkernel kernel = NULL;
    CUfunction function = NULL;
    if (TELL(cuLibraryLoadData, &library, &many, NULL, NULL, 0, NULL, NULL, 0) != 0)
        return;
    if (strcmp(what, "module") != 0)
        for (int i = 0; i < 2; i++)
            TELL(cuLibraryGetKernel, &kernel, library, own[i]);
    else if (TELL(cuLibraryGetModule, &module, library) == 0)
        for (int i = 0; i < 2; i++)
            TELL(cuModuleGetFunction, &function, module, own[i + 1]);
    TELL(cuLibraryUnload, library);
}

int main(int argc, char **argv)
{
    static const char *const runs[] = {"kernels", "kernels", "module"};
    if (is_run(argv)) {
        start_direct();
        run(argv[2]);
        return 0;
    }
    mkdir(argv[1], 0700);
    setenv("KGFAKE_LINKED", MADE_EACH MADE_LAST("all"), 1);
    for (int i = 0; i < 3; i++)
        again(argv, argv[1], runs[i]);
    clean(argv[1]);
    return 0;
}
