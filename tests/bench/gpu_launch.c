/*
 * What a launch costs the host: prints nanoseconds per launch of an empty kernel, by the library's own
 * function first, then by the function that the program is bound to, which is kguard's where that is
 * preloaded. Both in one process, in alternating blocks, so that nothing but the door differs.
 *     gpu_launch [BLOCKS]       medians over blocks of 500 launches, each followed by a wait that is
 *                               not timed: 500 fit into the driver's queue, so that the GPU never
 *                               holds the host up and the host's cost alone is seen
 * Compiled with RUNTIME: cudaLaunchKernel of a shared cudart; else cuLaunchKernel.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "../gpu/programs/embed.h"
#include "base/base.h"

enum { LAUNCHES = 500, WARM_UP = 20 };

EMBED(null, "null.fatbin");

#ifdef RUNTIME
#include <cuda_runtime_api.h>
void **__cudaRegisterFatBinary(void *wrapper);
void __cudaRegisterFatBinaryEnd(void **handle);
void __cudaRegisterFunction(void **handle, const char *host, char *device, const char *name,
                            int thread_limit, uint3 *tid, uint3 *bid, dim3 *block, dim3 *grid,
                            int *warp);

static void null_kernel(void)
{
    __asm__ volatile("");
}

static int start(void)
{
    void **handle = __cudaRegisterFatBinary(&null_wrapper);
    __cudaRegisterFunction(handle, (const char *)null_kernel, (char *)"null_kernel", "null_kernel",
                           -1, 0, 0, 0, 0, 0);
    __cudaRegisterFatBinaryEnd(handle);
    return cudaFree(0);
}

#define LIBRARY "libcudart.so"
#define SYMBOL "cudaLaunchKernel"
typedef cudaError_t launcher(const void *, dim3, dim3, void **, size_t, cudaStream_t);
static launcher *const bound = cudaLaunchKernel;

static int launch(launcher *by)
{
    return by((const void *)null_kernel, (dim3){1, 1, 1}, (dim3){1, 1, 1}, NULL, 0, 0);
}

static int wait_all(void)
{
    return cudaDeviceSynchronize();
}
#else
#include <cuda.h>
static CUfunction function;

static int start(void)
{
    CUdevice device;
    CUcontext context;
    CUmodule module;
    int e = cuInit(0);
    if (e == 0)
        e = cuDeviceGet(&device, 0);
    if (e == 0)
        e = cuDevicePrimaryCtxRetain(&context, device);
    if (e == 0)
        e = cuCtxSetCurrent(context);
    if (e == 0)
        e = cuModuleLoadData(&module, null_fatbin);
    return e ? e : (int)cuModuleGetFunction(&function, module, "null_kernel");
}

#define LIBRARY "libcuda.so"
#define SYMBOL "cuLaunchKernel"
typedef CUresult launcher(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                          unsigned, CUstream, void **, void **);
static launcher *const bound = cuLaunchKernel;

static int launch(launcher *by)
{
    return by(function, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL);
}

static int wait_all(void)
{
    return cuCtxSynchronize();
}
#endif

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *times, int count)
{
    qsort(times, count, sizeof *times, compare);
    return times[count / 2];
}

int main(int argc, char **argv)
{
    int blocks = argc > 1 ? atoi(argv[1]) : 200, e = start();
    double *times[2] = {calloc(blocks, sizeof(double)), calloc(blocks, sizeof(double))};
    struct kgi_object library;
    launcher *by[2] = {NULL, bound};

    if (kgi_object_named(LIBRARY, &library))
        by[0] = kgi_object_symbol(&library, SYMBOL);
    if (!by[0])
        return 77;
    for (int block = -WARM_UP; block < 2 * blocks && e == 0; block++) {
        int which = (block ^ block >> 1) & 1; /* A B B A A B B A */
        double begin = now();
        for (int i = 0; i < LAUNCHES && e == 0; i++)
            e = launch(by[which]);
        if (block >= 0)
            times[which][block / 2] = (now() - begin) / LAUNCHES;
        if (e == 0)
            e = wait_all();
    }
    if (e) {
        printf("error %d\n", e);
        return 77;
    }
    printf("%.1f\n%.1f\n", median(times[0], blocks), median(times[1], blocks));
    return 0;
}
