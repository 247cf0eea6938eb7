/*
 * Kernels one by one where the library's module is asked, as a runtime of CUDA 12 does: in two contexts, by
 * another thread, and of a context that is not current, which then is as it was. What lies at the address of
 * a module that is gone, with its library or its context, is itself and nothing else: a module, another
 * library's, or one of which a kernel at a time is compiled. A library that the driver does not let go of goes
 * on. From a function one gets to the module that the program knows.
 * link: -l:libcuda.so.1 -lpthread
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGFAKE_DEVICES=2 TMP/cache contexts
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto TMP/cache again
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto TMP/cache reset
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto TMP/cache made
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGFAKE_FAIL=cuLibraryUnload=1@1 TMP/cache stays
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto TMP/cache functions
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto TMP/cache answers
 */
#include <pthread.h>
#include "jit_many.h"

static int load(CUlibrary *library)
{
    return cuLibraryLoadData(library, &many, NULL, NULL, 0, NULL, NULL, 0);
}

static void *ask_there(void *module)
{
    kernel_of_module(module, own[2]);
    return NULL;
}

static void current_is(CUcontext context)
{
    CUcontext current = NULL;
    cuCtxGetCurrent(&current);
    printf("current: %s\n", current == context ? "as it was" : "another");
}

static void contexts(void)
{
    CUcontext context[2] = {NULL, NULL};
    CUlibrary library = NULL;
    CUmodule module[2] = {NULL, NULL};
    CUfunction function = NULL;
    pthread_t thread;
    for (int i = 0; i < 2; i++)
        CALL(cuDevicePrimaryCtxRetain, &context[i], i);
    for (int i = 0; i < 2; i++) {
        CALL(cuCtxSetCurrent, context[i]);
        if (i == 0)
            answer("load", load(&library));
        CALL(cuLibraryGetModule, &module[i], library);
        kernel_of_module(module[i], own[0]);
    }
    printf("%s modules\n", module[0] == module[1] ? "the same" : "two");
    /* Not the current context's, and one that is not there yet. */
    CALL(cuModuleGetFunction, &function, module[0], own[0]);
    CALL(cuModuleGetFunction, &function, module[0], own[1]);
    current_is(context[1]);
    CALL(cuCtxSetCurrent, NULL);
    CALL(cuModuleGetFunction, &function, module[1], own[1]);
    current_is(NULL);
    CALL(cuCtxSetCurrent, context[0]);
    pthread_create(&thread, NULL, ask_there, module[1]); /* where none is current */
    pthread_join(thread, NULL);
    kernel_of_module(module[0], "kernel_with_a_variable");
    CALL(cuCtxSetCurrent, context[1]);
    kernel_of_module(module[1], "kernel_with_a_variable");
    kernel_of_module(module[1], own[0]);
    CALL(cuLibraryUnload, library);
}

/* That an address is used again is up to the driver, which has more to do where the library is: the test is
 * none without it. */
static void compare(const void *now, const void *then)
{
    if (is_guarded())
        fprintf(stderr, "kguard[0]: (%s)\n", now == then ? "at its address" : "elsewhere");
}

/* The driver gives handles of what is gone to what comes next. */
static void loaded_again(void)
{
    enum { MODULES = 3 };
    CUlibrary library[2];
    CUmodule module = NULL, gone = NULL, others[MODULES];
    for (int i = 0; i < 50; i++) {
        load(&library[0]);
        cuLibraryGetModule(&module, library[0]);
        if (i % 10 == 0)
            kernel_of_module(module, own[i / 10]);
        if (i == 49)
            compare(module, gone);
        gone = module;
        cuLibraryUnload(library[0]);
    }
    for (int i = 0; i < MODULES; i++) {
        CALL(cuModuleLoadData, &others[i], fatbin_120);
        compare(others[i], gone);
        kernel_of_module(others[i], KERNEL);
    }
    for (int i = 0; i < MODULES; i++)
        CALL(cuModuleUnload, others[i]);
    for (int i = 0; i < 2; i++)
        load(&library[i]);
    CALL(cuLibraryGetModule, &gone, library[0]);
    CALL(cuLibraryUnload, library[0]);
    CALL(cuLibraryGetModule, &module, library[1]);
    compare(module, gone);
    kernel_of_module(module, own[1]);
    CALL(cuLibraryUnload, library[1]);
}

/* Modules go with their context, libraries stay. */
static void gone_with_it(void)
{
    CUlibrary library[2], plain = NULL;
    CUmodule module = NULL, gone = NULL;
    for (int i = 0; i < 2; i++)
        load(&library[i]);
    for (int i = 0; i < 4; i++) {
        CALL(cuLibraryGetModule, &gone, library[0]);
        kernel_of_module(gone, own[0]);
        reset();
        if (i == 0 && CALL(cuModuleLoadData, &module, fatbin_120) == 0)
            kernel_of_module(module, KERNEL);
        if (i == 1 && CALL(cuLibraryGetModule, &module, library[1]) == 0)
            kernel_of_module(module, own[1]);
        if (i == 2 && CALL(cuLibraryLoadData, &plain, &fitting, NULL, NULL, 0, NULL, NULL, 0) == 0 &&
            CALL(cuLibraryGetModule, &module, plain) == 0)
            kernel_of_module(module, KERNEL);
        if (i == 3 && CALL(cuLibraryGetModule, &module, library[0]) == 0)
            kernel_of_module(module, own[2]);
        compare(module, gone);
        reset();
    }
    for (int i = 0; i < 2; i++)
        CALL(cuLibraryUnload, library[i]);
}

/* In contexts that the program makes, which may be gone at any time, it gets the whole's module; no such context is
 * made current behind its back: the driver does not see that it is gone. */
static void made(void)
{
    CUcontext context[2], primary = NULL;
    CUlibrary library = NULL;
    CUkernel kernel = NULL;
    CUfunction function = NULL;
    CUmodule module[3], back = NULL;
    cuCtxGetCurrent(&primary);
    load(&library);
    CALL(cuLibraryGetModule, &module[2], library);
    kernel_of_module(module[2], own[0]);
    for (int i = 0; i < 2; i++) {
        CALL(cuCtxCreate_v2, &context[i], 0, 0);
        CALL(cuLibraryGetModule, &module[i], library);
        kernel_of_module(module[i], own[0]);
        kernel_of_module(module[i], own[1]);
        kernel_of(library, own[0]);
    }
    CALL(cuCtxSetCurrent, primary);
    kernel_of_module(module[2], own[0]);
    CALL(cuCtxDestroy_v2, context[0]);
    CALL(cuLibraryGetKernel, &kernel, library, own[0]);
    CALL(cuKernelGetFunction, &function, kernel);
    CALL(cuFuncGetModule, &back, function);
    printf("%s\n", back == module[2] ? "the library's" : "another");
    CALL(cuCtxSetCurrent, context[1]);
    kernel_of_module(module[1], own[2]);
    CALL(cuCtxDestroy_v2, context[1]);
    CALL(cuLibraryUnload, library);
}

static void stays(void)
{
    CUlibrary library = NULL;
    CUmodule module = NULL;
    load(&library);
    CALL(cuLibraryGetModule, &module, library);
    kernel_of_module(module, own[0]);
    CALL(cuLibraryUnload, library);
    kernel_of_module(module, own[0]);
    kernel_of_module(module, own[1]);
    kernel_of(library, own[2]);
    CALL(cuLibraryUnload, library);
}

/* By kernel, by module, by list; of each the module. */
static void functions(void)
{
    CUlibrary library = NULL;
    CUkernel kernel = NULL, kernels[20];
    CUfunction function = NULL, all[20];
    CUmodule module = NULL, back = NULL;
    load(&library);
    CALL(cuLibraryGetKernel, &kernel, library, own[0]);
    CALL(cuKernelGetFunction, &function, kernel);
    CALL(cuFuncGetModule, &module, function);
    kernel_of_module(module, own[0]);
    kernel_of_module(module, own[1]);
    CALL(cuLibraryGetModule, &back, library);
    printf("%s\n", back == module ? "the library's" : "another");
    CALL(cuModuleEnumerateFunctions, all, 20, module);
    CALL(cuFuncGetModule, &back, all[7]);
    printf("%s\n", back == module ? "the library's" : "another");
    CALL(cuLibraryEnumerateKernels, kernels, 20, library);
    CALL(cuKernelGetFunction, &function, kernels[8]);
    CALL(cuFuncGetModule, &back, function);
    printf("%s\n", back == module ? "the library's" : "another");
    CALL(cuLibraryUnload, library);
}

/* What answered for a module in a context that is gone: the module of another library lies at its address. */
static void answers(void)
{
    CUlibrary large = NULL, small = NULL;
    CUmodule module = NULL, back = NULL, again = NULL;
    CUkernel kernel = NULL;
    CUfunction function = NULL;
    load(&large);
    CALL(cuLibraryLoadData, &small, &fitting, NULL, NULL, 0, NULL, NULL, 0);
    CALL(cuLibraryGetModule, &module, large);
    CALL(cuModuleGetFunction, &function, module, own[0]);
    reset();
    CALL(cuLibraryGetModule, &again, large);
    compare(again, module);
    CALL(cuLibraryGetKernel, &kernel, small, KERNEL);
    CALL(cuKernelGetFunction, &function, kernel);
    CALL(cuFuncGetModule, &back, function);
    CALL(cuLibraryGetModule, &module, small);
    printf("of %s library\n", back == module ? "its" : "another");
}

static void run(const char *what)
{
    if (strcmp(what, "contexts") == 0) {
        CALL(cuInit, 0);
        contexts();
        return;
    }
    start_direct();
    if (strcmp(what, "again") == 0)
        loaded_again();
    if (strcmp(what, "reset") == 0)
        gone_with_it();
    if (strcmp(what, "made") == 0)
        made();
    if (strcmp(what, "stays") == 0)
        stays();
    if (strcmp(what, "functions") == 0)
        functions();
    if (strcmp(what, "answers") == 0)
        answers();
}

int main(int argc, char **argv)
{
    if (is_run(argv)) {
        run(argv[2]);
        return 0;
    }
    setenv("KGFAKE_LINKED", MADE_EACH MADE_LAST("all"), 1);
    mkdir(argv[1], 0700);
    again(argv, argv[1], argv[2]);
    clean(argv[1]);
    return 0;
}
