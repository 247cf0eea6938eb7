/*
 * An image from the cache that the driver does not take, and two threads that find out at the same time:
 * one puts it aside, and both get their kernel from the original.
 * link: -l:libcuda.so.1 -lpthread
 * run: LD_LIBRARY_PATH=@/../fake/580 PRELOAD_AFTER=@/librefuse.so KGUARD_JIT=auto TMP/cache
 */
#include <pthread.h>
#include "jit.h"

static CUlibrary library;

struct racer {
    CUkernel kernel;
    CUlibrary owner;
    int result;
};

static void *race(void *p)
{
    struct racer *r = p;

    r->result = cuLibraryGetKernel(&r->kernel, library, KERNEL);
    if (!r->result)
        r->result = cuKernelGetLibrary(&r->owner, r->kernel);
    return NULL;
}

static void run(void)
{
    struct racer racers[2] = {{NULL, NULL, 0}};
    pthread_t threads[2];

    if (CALL(cuLibraryLoadData, &library, &ptx, NULL, NULL, 0, NULL, NULL, 0) != 0)
        return;
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, race, &racers[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; i++)
        printf("%d, of %s library\n", racers[i].result, racers[i].owner == library ? "this" : "another");
    CALL(cuLibraryUnload, library);
}

int main(int argc, char **argv)
{
    if (is_run(argv)) {
        start_direct();
        run();
        return 0;
    }
    mkdir(argv[1], 0700);
    again(argv, argv[1], "cold");
    /* Without the library no call of the program's must fail. */
    if (getenv("LD_PRELOAD") && strstr(getenv("LD_PRELOAD"), "libkguard"))
        setenv("REFUSE", "1", 1);
    again(argv, argv[1], "warm");
    clean(argv[1]);
    return 0;
}
