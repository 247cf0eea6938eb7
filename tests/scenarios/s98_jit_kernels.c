/*
 * A large module of which a kernel at a time is asked for: each is compiled by itself and kept, until a
 * quarter of the text was; then, or for a variable, a module or a list, the whole is. The next process
 * compiles nothing of it again. Eight threads that want four kernels have four compiled. What the driver
 * refuses of it is put aside, and the whole answers.
 * link: -l:libcuda.so.1 -lpthread
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_LOG=info TMP/cache
 */
#include <pthread.h>
#include <sched.h>
#include "jit_many.h"

static CUlibrary library;

struct racer {
    const char *name;
    CUkernel kernel;
};

static void *get(void *p)
{
    struct racer *r = p;
    cuLibraryGetKernel(&r->kernel, library, r->name);
    return NULL;
}

static void race(void)
{
    enum { THREADS = 8, KERNELS = 4 };
    struct racer racers[THREADS];
    pthread_t threads[THREADS];
    int good = 0;
    for (int i = 0; i < THREADS; i++) {
        racers[i] = (struct racer){own[i % KERNELS], NULL};
        pthread_create(&threads[i], NULL, get, &racers[i]);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++)
        good += racers[i].kernel != NULL;
    printf("%d of %d threads\n", good, THREADS);
}

/* From a kernel to its module, and from there to another kernel. */
static void module_of(const char *name, const char *other)
{
    CUkernel kernel = NULL;
    CUfunction function = NULL;
    CUmodule module = NULL;
    if (CALL(cuLibraryGetKernel, &kernel, library, name) == 0 &&
        CALL(cuKernelGetFunction, &function, kernel) == 0 &&
        CALL(cuFuncGetModule, &module, function) == 0)
        CALL(cuModuleGetFunction, &function, module, other);
}

/* Two kernels; then what the whole is needed for. */
static void ask_module(CUmodule module)
{
    CUfunction function = NULL;
    CUdeviceptr at;
    size_t size;
    unsigned count = 0;
    for (int i = 0; i < 2; i++)
        if (CALL(cuModuleGetFunction, &function, module, own[i]) == 0)
            answer("cuLaunchKernel", launch(cuLaunchKernel, function));
    CALL(cuModuleGetGlobal_v2, &at, &size, module, "counter");
    if (CALL(cuModuleGetFunctionCount, &count, module) == 0)
        printf("%u kernels\n", count);
    CALL(cuModuleGetFunction, &function, module, "kernel_with_a_variable");
}

static void run(const char *what)
{
    CUmodule module = NULL;
    unsigned count = 0;
    if (CALL(cuLibraryLoadData, &library, &many, NULL, NULL, 0, NULL, NULL, 0) != 0)
        return;
    if (strcmp(what, "threads") == 0)
        race();
    else if (strcmp(what, "a module") == 0 && CALL(cuLibraryGetModule, &module, library) == 0)
        ask_module(module);
    else if (strcmp(what, "its module") == 0)
        module_of(own[0], own[1]);
    else if (strncmp(what, "a list", 6) == 0 && CALL(cuLibraryGetKernelCount, &count, library) == 0)
        printf("%u kernels\n", count);
    else if (strcmp(what, "a variable") == 0)
        kernel_of(library, "kernel_with_a_variable");
    else if (strcmp(what, "none of it") == 0)
        kernel_of(library, "no_such_kernel");
    else
        kernel_of(library, own[0]);
    for (int i = 1; i < 7 && strcmp(what, "six") == 0; i++)
        kernel_of(library, own[i % 6]);
    CALL(cuLibraryUnload, library);
}

static bool has_cpus(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 1;
}

int main(int argc, char **argv)
{
    static const char *const runs[] = {
        "one", "one", "six", "six", "-", "threads", "threads", "-", "a module", "-", "its module", "-", "a list",
        "-", "a list by one thread", "-", "a variable", "a variable", "-", "none of it", "-", "one", "refused", "one"};
    if (is_run(argv)) {
        start_direct();
        run(argv[2]);
        return 0;
    }
    mkdir(argv[1], 0700);
    setenv("KGFAKE_LINKED", MADE_EACH MADE_LAST("all"), 1);
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        bool refused = strcmp(runs[i], "refused") == 0;
        if (strcmp(runs[i], "-") == 0) {
            clean(argv[1]);
            mkdir(argv[1], 0700);
            continue;
        }
        /* Without the library no call of the program's must fail. */
        if (refused && is_guarded())
            setenv("KGFAKE_FAIL", "cuLibraryGetKernel=209@1", 1);
        /* A driver that does not know the option for threads says so when the whole, the second link, is made. */
        if (strcmp(runs[i], "a list by one thread") == 0 && has_cpus())
            setenv("KGFAKE_FAIL", "cuLinkCreate_v2=1@2", 1);
        if (strcmp(runs[i], "threads") == 0) /* in an order of their own */
            setenv("KGUARD_LOG", "error", 1);
        again(argv, argv[1], runs[i]);
        unsetenv("KGFAKE_FAIL");
        setenv("KGUARD_LOG", "info", 1);
    }
    clean(argv[1]);
    return 0;
}
