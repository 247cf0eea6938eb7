/*
 * A library that is loaded while no context is current. Where the primary one is there it is lent for the
 * compilation; else that waits for the first use; and where there is none at that either, the driver
 * compiles, and the cache is filled for the next process as soon as there is one. Many threads want the
 * library at once: it is compiled once, and all get kernels of the same one, whose handle is the program's.
 * link: -l:libcuda.so.1 -lpthread
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_LOG=info TMP/cache
 */
#include <pthread.h>
#include "jit.h"

enum { THREADS = 16 };
static CUlibrary library;
static CUcontext context;
static pthread_barrier_t barrier;

struct racer {
    CUkernel kernel;
    CUlibrary owner;
    CUmodule module;
    int result;
};

static void *race(void *p)
{
    struct racer *r = p;
    cuCtxSetCurrent(context);
    pthread_barrier_wait(&barrier);
    r->result = cuLibraryGetKernel(&r->kernel, library, KERNEL);
    if (!r->result)
        r->result = cuKernelGetLibrary(&r->owner, r->kernel);
    if (!r->result)
        r->result = cuLibraryGetModule(&r->module, library);
    return NULL;
}

static void use(void)
{
    pthread_t threads[THREADS];
    struct racer racers[THREADS];
    int good = 0;
    CUfunction function = NULL;
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, race, &racers[i]);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++)
        good += racers[i].result == 0 && racers[i].owner == library &&
                racers[i].module == racers[0].module;
    printf("%d of %d threads\n", good, THREADS);
    CALL(cuCtxSetCurrent, context);
    if (CALL(cuKernelGetFunction, &function, racers[0].kernel) == 0)
        answer("cuLaunchKernel", launch(cuLaunchKernel, function));
}

int main(int argc, char **argv)
{
    CUdevice device = 0;
    if (!is_run(argv)) {
        mkdir(argv[argc - 1], 0700);
        again(argv, argv[argc - 1], "never a context");
        again(argv, argv[argc - 1], "a context that is not current");
        clean(argv[argc - 1]);
        for (int i = 0; i < 2; i++) {
            mkdir(argv[argc - 1], 0700);
            again(argv, argv[argc - 1], "a context after the first use");
        }
        clean(argv[argc - 1]);
        mkdir(argv[argc - 1], 0700);
        for (int i = 0; i < 2; i++)
            again(argv, argv[argc - 1], i ? "warm" : "cold");
        clean(argv[argc - 1]);
        return 0;
    }
    CALL(cuInit, 0);
    CALL(cuDeviceGet, &device, 0);
    if (strcmp(argv[2], "a context that is not current") == 0)
        CALL(cuDevicePrimaryCtxRetain, &context, device);
    for (int i = 0; i < 2; i++) {
        CUkernel kernel;
        cuCtxSetCurrent(NULL);
        if (CALL(cuLibraryLoadData, &library, &ptx, NULL, NULL, 0, NULL, NULL, 0) != 0)
            return 1;
        if (strcmp(argv[2], "cold") == 0 || strcmp(argv[2], "warm") == 0) {
            CALL(cuDevicePrimaryCtxRetain, &context, device);
            use();
        } else {
            CALL(cuLibraryGetKernel, &kernel, library, KERNEL);
            if (strcmp(argv[2], "a context after the first use") == 0) {
                CALL(cuDevicePrimaryCtxRetain, &context, device);
                use();
            }
        }
        CALL(cuLibraryUnload, library);
    }
    return 0;
}
