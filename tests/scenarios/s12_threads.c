/*
 * Eight threads load, get, launch and fail at once. One report for all of them; clean under a
 * thread sanitizer.
 * link: -l:libcuda.so.1 -lpthread
 */
#include <pthread.h>
#include "direct.h"

static CUcontext context;

static void *work(void *unused)
{
    cuCtxSetCurrent(context);
    for (int i = 0; i < 50; i++) {
        CUmodule module = NULL;
        CUfunction function = NULL;
        if (cuModuleLoadData(&module, fatbin_120) == 0 &&
            cuModuleGetFunction(&function, module, KERNEL) == 0)
            for (int j = 0; j < 20; j++)
                if (launch(cuLaunchKernel, function) != 0)
                    abort();
        cuModuleUnload(module);
        if (cuModuleLoadData(&module, fatbin_60_90) != 209)
            abort();
    }
    return unused;
}

int main(void)
{
    pthread_t threads[8];
    start_direct();
    cuCtxGetCurrent(&context);
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    puts("done");
    return 0;
}
