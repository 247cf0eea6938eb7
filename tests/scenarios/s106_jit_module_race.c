/*
 * Threads that each load a large module of one image, ask for a kernel, for its module, and unload it: while one
 * is unloaded, another is given its address, and it is that one's kernels which are found in it. The image lies
 * in the program, or in memory that it got, and whoever still has a module of it is not told otherwise when
 * another's goes.
 * link: -l:libcuda.so.1 -lpthread
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_LOG=error TMP/cache own
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_LOG=error TMP/cache built
 */
#include <pthread.h>
#include "jit_many.h"

enum { THREADS = 8, TIMES = 400 };
static CUcontext context;
static const void *image;

static bool is_right(CUmodule module, const char *name)
{
    CUfunction function = NULL;
    CUmodule back = NULL;
    return cuModuleGetFunction(&function, module, name) == 0 &&
           cuFuncGetModule(&back, function) == 0 && back == module;
}

static void *work(void *good)
{
    cuCtxSetCurrent(context);
    for (int i = 0; i < TIMES; i++) {
        CUmodule module = NULL;
        *(int *)good += cuModuleLoadData(&module, image) == 0 && is_right(module, own[0]) &&
                        is_right(module, own[i % 8 ? 0 : 1]) && cuModuleUnload(module) == 0;
    }
    return NULL;
}

/* One of two goes. */
static void twice(void)
{
    CUmodule modules[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++) {
        CALL(cuModuleLoadData, &modules[i], image);
        printf("%s\n", is_right(modules[i], own[0]) ? "right" : "wrong");
    }
    CALL(cuModuleUnload, modules[0]);
    printf("%s\n", is_right(modules[1], own[0]) && is_right(modules[1], own[1]) ? "right" : "wrong");
    CALL(cuModuleUnload, modules[1]);
}

static int run(void)
{
    pthread_t threads[THREADS];
    int good[THREADS] = {0}, all = 0;
    start_direct();
    cuCtxGetCurrent(&context);
    twice();
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, &good[i]);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        all += good[i];
    }
    printf("%d of %d\n", all, THREADS * TIMES);
    return 0;
}

int main(int argc, char **argv)
{
    image = fatbin_many;
    if (is_run(argv)) {
        if (strcmp(argv[2], "built") == 0)
            image = memcpy(malloc(10000), fatbin_many, (size_t)(fatbin_many_end - fatbin_many));
        return run();
    }
    mkdir(argv[1], 0700);
    setenv("KGFAKE_LINKED", MADE_EACH MADE_LAST("all"), 1);
    again(argv, argv[1], argv[2]);
    again(argv, argv[1], argv[2]);
    clean(argv[1]);
    return 0;
}
