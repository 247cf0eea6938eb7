/*
 * Again and again: threads ask at once for one kernel of a library, by name and by module, that has just been
 * loaded and whose code is in the cache. Nothing is compiled, least of all the whole of the library. And threads
 * find out at once that the driver refuses a kernel's code: it is said and counted once, and all get the
 * whole's. And threads in two contexts want kernels, modules, variables and lists in any order, of a library
 * whose whole code is too large for the cache.
 * link: -l:libcuda.so.1 -lpthread
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto TMP/cache
 * run: LD_LIBRARY_PATH=@/../fake/580 PRELOAD_AFTER=@/librefuse.so KGUARD_JIT=auto KGUARD_LOG=info KGUARD_LOG_FILE=/dev/null TMP/cache refused
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_LOG=error KGFAKE_DEVICES=2 KGUARD_CACHE_MAX_SIZE=80K TMP/cache mixed
 */
#include <pthread.h>
#include "jit_many.h"

enum { THREADS = 8, TIMES = 4000 };
static CUlibrary library;
static CUcontext context;
static pthread_barrier_t barrier;

/* Each thread counts for itself. */
static void *ask(void *good)
{
    CUkernel kernel = NULL;
    CUmodule module = NULL;
    CUfunction function = NULL;
    CUlibrary owner = NULL;
    cuCtxSetCurrent(context);
    for (int i = 0; i < TIMES; i++) {
        pthread_barrier_wait(&barrier); /* it is loaded */
        if (i % 2)
            *(int *)good += cuLibraryGetKernel(&kernel, library, own[0]) == 0 &&
                            cuKernelGetLibrary(&owner, kernel) == 0 && owner == library;
        else
            *(int *)good += cuLibraryGetModule(&module, library) == 0 &&
                            cuModuleGetFunction(&function, module, own[0]) == 0;
        pthread_barrier_wait(&barrier); /* and not needed any more */
    }
    return NULL;
}

/* Threads that each ask something of one library after another, each loaded and unloaded here. */
static void storm(void *(*each)(void *), int loads, int asked_of_each)
{
    pthread_t threads[THREADS];
    int good[THREADS] = {0}, all = 0;
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, each, &good[i]);
    for (int i = 0; i < loads; i++) {
        cuLibraryLoadData(&library, &many, NULL, NULL, 0, NULL, NULL, 0);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        cuLibraryUnload(library);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        all += good[i];
    }
    printf("%d of %d\n", all, THREADS * loads * asked_of_each);
}

static void race(void)
{
    cuCtxGetCurrent(&context);
    storm(ask, TIMES, 1);
}

static void *ask_once(void *unused)
{
    kernel_of(library, own[0]);
    return NULL;
}

static void refuse(void)
{
    pthread_t threads[2];
    if (cuLibraryLoadData(&library, &many, NULL, NULL, 0, NULL, NULL, 0) != 0)
        return;
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, ask_once, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    cuLibraryUnload(library);
}

/* How often it was said that something was refused: in what order two threads say what is up to them. */
static void count(const char *log)
{
    char line[1024];
    int refused = 0;
    FILE *f = fopen(log, "r");
    while (f && fgets(line, sizeof line, f)) {
        refused += strstr(line, "refused the code") != NULL;
        if (strstr(line, "refused by the driver"))
            fputs(line, stderr);
    }
    if (f)
        fclose(f);
    if (is_guarded())
        fprintf(stderr, "kguard[0]: (said %d times)\n", refused);
}

/* One call, or what belongs together; whether it was answered as it should be. */
static bool ask_something(unsigned *seed, bool all)
{
    const char *name = own[rand_r(seed) % 6];
    CUkernel kernels[20];
    CUmodule module = NULL, back = NULL;
    CUfunction function;
    CUlibrary owner = NULL;
    CUdeviceptr at;
    size_t size;
    unsigned count = 0;
    switch (rand_r(seed) % (all ? 6 : 2)) {
    case 0:
        return cuLibraryGetKernel(kernels, library, name) == 0 &&
               cuKernelGetLibrary(&owner, kernels[0]) == 0 && owner == library &&
               cuKernelGetFunction(&function, kernels[0]) == 0 &&
               cuFuncGetModule(&back, function) == 0 && cuLibraryGetModule(&module, library) == 0 &&
               back == module;
    case 1:
        return cuLibraryGetModule(&module, library) == 0 &&
               cuModuleGetFunction(&function, module, name) == 0 &&
               cuFuncGetModule(&back, function) == 0 && back == module;
    case 2:
        return cuLibraryGetKernelCount(&count, library) == 0 && count == 20;
    case 3:
        return cuLibraryGetModule(&module, library) == 0 &&
               cuModuleGetGlobal_v2(&at, &size, module, "counter") == 0 &&
               cuModuleGetFunctionCount(&count, module) == 0 && count == 20;
    case 4:
        return cuLibraryGetKernel(kernels, library, "kernel_with_a_variable") == 0 &&
               cuKernelGetLibrary(&owner, kernels[0]) == 0 && owner == library;
    default:
        return cuLibraryEnumerateKernels(kernels, 20, library) == 0 &&
               cuKernelGetLibrary(&owner, kernels[3]) == 0 && owner == library;
    }
}

enum { LOADS = 150, ASKS = 6 };

static void *ask_anything(void *good)
{
    unsigned seed = (unsigned)(uintptr_t)good;
    CUcontext contexts[2];
    for (int i = 0; i < 2; i++)
        cuDevicePrimaryCtxRetain(&contexts[i], i);
    for (int i = 0; i < LOADS; i++) {
        cuCtxSetCurrent(contexts[rand_r(&seed) % 2]);
        pthread_barrier_wait(&barrier);
        for (int k = 0; k < ASKS; k++)
            *(int *)good += ask_something(&seed, i % 3 == 0);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static void mix(void)
{
    storm(ask_anything, LOADS, ASKS);
}

static int run(const char *what)
{
    start_direct();
    if (strcmp(what, "mixed") == 0)
        mix();
    else if (strcmp(what, "race") == 0)
        race();
    else if (strcmp(what, "refused") == 0)
        refuse();
    else if (cuLibraryLoadData(&library, &many, NULL, NULL, 0, NULL, NULL, 0) == 0)
        kernel_of(library, own[0]);
    return 0;
}

int main(int argc, char **argv)
{
    if (is_run(argv))
        return run(argv[2]);
    mkdir(argv[1], 0700);
    setenv("KGFAKE_LINKED", MADE_EACH MADE_LAST("all"), 1);
    if (argc > 2 && strcmp(argv[2], "mixed") == 0) { /* how often is compiled is up to the threads */
        setenv("KGUARD_CACHE_DIR", argv[1], 1);
        if (fork() == 0)
            execl("/proc/self/exe", argv[0], "run", argv[2], (char *)NULL);
        wait(NULL);
        clean(argv[1]);
        return 0;
    }
    again(argv, argv[1], "one");
    if (argc > 2) {
        char log[512];
        snprintf(log, sizeof log, "%s/log", argv[1]);
        setenv("KGUARD_LOG_FILE", log, 1);
        if (is_guarded())
            setenv("REFUSE", "1", 1);
        again(argv, argv[1], argv[2]);
        count(log);
    } else {
        again(argv, argv[1], "race");
    }
    clean(argv[1]);
    return 0;
}
