/*
 * Large modules that a program loads itself. The process that compiles one keeps the first kernel that is asked
 * for by itself as well; the next one gets that, and has the whole only for the rest: other kernels, variables,
 * lists. Through each door that takes an image, in two contexts, unloaded and loaded again. From a function one
 * gets to the module that the program knows. Options leave a module as it was. What the next process finds
 * neither of the whole nor of the mark beside it is compiled again, and one whose mark is damaged, or refused by
 * the driver, has the whole. A module that the driver does not let go of goes on.
 * link: -l:libcuda.so.1
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_LOG=info TMP/cache doors
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto CUDA_MODULE_LOADING=EAGER TMP/cache eager
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGFAKE_DEVICES=2 TMP/cache contexts
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_LOG=info TMP/cache trouble
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGFAKE_FAIL=cuLibraryUnload=1@1 TMP/cache stays
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto TMP/cache gone
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_LOG=info TMP/cache made
 */
#include "jit_many.h"

static const char *const fatbin = "tests/scenarios/jit/many.compute_80.fatbin";
static const char *cache;
static char text[100000]; /* what is loaded; then it is something else */

static __attribute__((noinline)) void the_rest(CUmodule module)
{
    CUfunction functions[20];
    CUmodule back = NULL;
    CUdeviceptr at;
    size_t size = 0;
    unsigned count = 0;
    kernel_of_module(module, "kernel_with_a_variable");
    kernel_of_module(module, "no_such_kernel");
    CALL(cuModuleGetGlobal_v2, &at, &size, module, "counter");
    CALL(cuModuleGetFunctionCount, &count, module);
    printf("%zu bytes, %u kernels\n", size, count);
    CALL(cuModuleEnumerateFunctions, functions, 20, module);
    CALL(cuFuncGetModule, &back, functions[7]);
    printf("%s\n", back == module ? "the module" : "another");
}

static int load(CUmodule *module, const char *how)
{
    CUjit_option limit = CU_JIT_MAX_REGISTERS;
    void *value = (void *)24;
    int result;
    if (strcmp(how, "text") == 0) {
        FILE *f = fopen("tests/scenarios/jit/many.compute_80.ptx", "r");
        if (!f || !fread(text, 1, sizeof text - 1, f) || fclose(f)) /* as long each time */
            exit(2);
        result = CALL(cuModuleLoadData, module, text);
        memset(text, 'x', strlen(text));
        return result;
    }
    if (strcmp(how, "file") == 0)
        return CALL(cuModuleLoad, module, fatbin);
    if (strcmp(how, "fatbin") == 0)
        return CALL(cuModuleLoadFatBinary, module, fatbin_many);
    if (strcmp(how, "options") == 0)
        return CALL(cuModuleLoadDataEx, module, fatbin_many, 1, &limit, &value);
    return CALL(cuModuleLoadData, module, fatbin_many);
}

/* ---- what one process does ---- */

static __attribute__((noinline)) void use(const char *how, bool all)
{
    CUmodule module = NULL;
    for (int i = 0; i < 2; i++) {
        if (load(&module, how) != 0)
            return;
        kernel_of_module(module, own[0]);
        if (all) {
            kernel_of_module(module, own[1]);
            the_rest(module);
        }
        kernel_of_module(module, own[0]);
        CALL(cuModuleUnload, module);
    }
}

static void contexts(void)
{
    CUcontext context[2] = {NULL, NULL};
    CUmodule module[2] = {NULL, NULL}, twice = NULL;
    for (int i = 0; i < 2; i++) {
        CALL(cuDevicePrimaryCtxRetain, &context[i], i);
        CALL(cuCtxSetCurrent, context[i]);
        load(&module[i], "data");
        kernel_of_module(module[i], own[0]);
    }
    load(&twice, "data");
    printf("%s modules\n", module[0] == module[1] || module[1] == twice ? "the same" : "different");
    kernel_of_module(module[0], own[0]); /* of a context that is not current */
    kernel_of_module(module[0], own[1]);
    CALL(cuModuleUnload, module[1]);
    kernel_of_module(twice, own[0]);
    kernel_of_module(twice, own[1]);
    CALL(cuCtxSetCurrent, NULL);
    CALL(cuModuleUnload, module[0]);
    CALL(cuModuleUnload, twice);
}

static void stays(void)
{
    CUmodule module = NULL, back = NULL;
    CUfunction function = NULL;
    load(&module, "data");
    kernel_of_module(module, own[0]);
    CALL(cuModuleGetFunction, &function, module, own[0]);
    if (is_guarded()) /* else it is not by a library's unload */
        cuModuleUnload(module);
    CALL(cuFuncGetModule, &back, function);
    printf("of %s module\n", back == module ? "this" : "another");
    kernel_of_module(module, own[0]);
    kernel_of_module(module, own[1]);
    CALL(cuModuleUnload, module);
}

/* Modules go with their context; what the driver puts at their address is itself, and is what is unloaded: then
 * its address is free. */
static void gone(void)
{
    CUmodule module = NULL, other = NULL, gone_one = NULL;
    for (int i = 0; i < 4; i++) {
        if (i % 2) {
            CALL(cuModuleLoadData, &module, i == 1 ? fatbin_120 : ptx.data); /* the driver's, or ours */
            if (i == 1)
                kernel_of_module(module, KERNEL);
            CALL(cuModuleUnload, module);
            CALL(cuModuleLoadData, &other, i == 1 ? fatbin_120 : ptx.data);
            if (is_guarded())
                fprintf(stderr, "kguard[0]: (%s, %s)\n", module == gone_one ? "at its address" : "elsewhere",
                        other == module ? "at its address" : "elsewhere");
        } else {
            load(&module, "data");
            kernel_of_module(module, own[0]);
            gone_one = module;
        }
        reset();
    }
}

/* In a context that the program made, which may be gone at any time, a module is all of it. */
static void made(void)
{
    CUcontext context = NULL;
    CUmodule module = NULL;
    use("data", false);
    CALL(cuCtxCreate_v2, &context, 0, 0);
    use("data", true);
    load(&module, "data");
    kernel_of_module(module, own[0]);
    CALL(cuCtxDestroy_v2, context);
    CALL(cuModuleUnload, module);
}

/* In the process that compiles it: all of it is taken out of the cache before it is needed. */
static __attribute__((noinline)) void take_out(void)
{
    CUmodule module = NULL;
    load(&module, "data");
    kernel_of_module(module, own[0]);
    change(getenv("KGUARD_CACHE_DIR"), 90000, 110000, NULL);
    kernel_of_module(module, "");
    the_rest(module);
    CALL(cuModuleUnload, module);
}

static void run(const char *what)
{
    if (strcmp(what, "contexts") == 0) {
        CALL(cuInit, 0);
        contexts();
        return;
    }
    start_direct();
    if (strcmp(what, "gone") == 0)
        gone();
    else if (strcmp(what, "made") == 0)
        made();
    else if (strcmp(what, "stays") == 0)
        stays();
    else if (strcmp(what, "take out") == 0)
        take_out();
    else if (strncmp(what, "all of ", 7) == 0)
        use(what + 7, true);
    else
        use(strcmp(what, "eager") == 0 ? "data" : what, false);
}

static void trouble(char **argv)
{
    again(argv, cache, "take out");
    clean(cache);
    mkdir(cache, 0700);
    again_failing(argv, cache, "data", "cuCtxGetCurrent=2@3"); /* where its stand-in is to be known by its context */
    clean(cache);
    mkdir(cache, 0700);
    again(argv, cache, "data");
    again_failing(argv, cache, "data", "cuLibraryGetModule=209@1"); /* what stands for it: that is put aside */
    again(argv, cache, "data");
    clean(cache);
    mkdir(cache, 0700);
    again(argv, cache, "data");
    change(cache, 90000, 110000, NULL);
    again(argv, cache, "data"); /* nothing is missing */
    again(argv, cache, "all of data");
    again(argv, cache, "text");
    change(cache, 90000, 110000, NULL);
    again(argv, cache, "all of text");
    change(cache, 1000, 4000, "xxxx");
    again(argv, cache, "data");
    clean(cache);
    mkdir(cache, 0700);
    again(argv, cache, "data");
    change(cache, 6000, 10000, "xxxx");
    again(argv, cache, "data");
    change(cache, 1000, 10000, NULL);
    again(argv, cache, "data");
    change(cache, 1000, 110000, NULL);
    again(argv, cache, "data");
    change(cache, 90000, 110000, NULL);
    again_failing(argv, cache, "all of data", "cuLinkComplete=218@1"); /* its whole: then it is the driver's turn */
    change(cache, 100, 600, NULL);                                      /* that it failed */
    again(argv, cache, "all of data");
    again_failing(argv, cache, "data", "cuLibraryLoadData=200@1"); /* likewise */
    again(argv, cache, "data");
}

int main(int argc, char **argv)
{
    static const char *const doors[] = {"data", "all of data", "file",    "all of file", "text",
                                        "text", "all of text", "fatbin",  "options",     "options"};
    if (is_run(argv)) {
        run(argv[2]);
        return 0;
    }
    cache = argv[1];
    mkdir(cache, 0700);
    setenv("KGFAKE_LINKED", MADE_EACH MADE("all") "tests/scenarios/jit/voxelize.sm_120.cubin", 1);
    if (strcmp(argv[2], "trouble") == 0) {
        trouble(argv);
    } else if (strcmp(argv[2], "doors") == 0) {
        for (size_t i = 0; i < sizeof doors / sizeof *doors; i++)
            again(argv, cache, doors[i]);
    } else {
        again(argv, cache, argv[2]);
        again(argv, cache, argv[2]);
    }
    clean(cache);
    return 0;
}
