/*
 * A large text, loaded as a module, whose kernels stand by a mark when the whole is gone from the cache: what is
 * compiled then is found by all that load the same text, here into a context of the program's own.
 * link: -l:libcuda.so.1
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_LOG=info TMP/cache
 */
#include "jit_many.h"

static CUmodule load_text(void)
{
    char *text = calloc(1, 100000);
    FILE *f = fopen("tests/scenarios/jit/many.compute_80.ptx", "r");
    CUmodule module = NULL;
    if (!f || !text || !fread(text, 1, 99999, f) || fclose(f))
        exit(2);
    CALL(cuModuleLoadData, &module, text);
    free(text);
    return module;
}

static void run(const char *what)
{
    CUcontext context = NULL;
    CUmodule module;
    start_direct();
    if (strcmp(what, "one, in a context of its own") == 0)
        CALL(cuCtxCreate_v2, &context, 0, 0);
    module = load_text();
    kernel_of_module(module, own[0]);
    if (strcmp(what, "all") == 0)
        kernel_of_module(module, "kernel_with_a_variable");
    CALL(cuModuleUnload, module);
}

int main(int argc, char **argv)
{
    if (is_run(argv)) {
        run(argv[2]);
        return 0;
    }
    mkdir(argv[1], 0700);
    setenv("KGFAKE_LINKED", MADE_EACH MADE("all") "tests/scenarios/jit/voxelize.sm_120.cubin", 1);
    again(argv, argv[1], "one");
    change(argv[1], 90000, 110000, NULL); /* the whole goes */
    again(argv, argv[1], "all");
    again(argv, argv[1], "one, in a context of its own");
    clean(argv[1]);
    return 0;
}
