/*
 * One half of a process with two CUDA runtimes: a plugin with a kernel of its own, linked to one
 * cudart version. TAG tells the halves' kernels apart: part12_bad, part13_bad.
 */
#include <cuda_runtime_api.h>
#include <stdlib.h>
#include "embed.h"

void **__cudaRegisterFatBinary(void *wrapper);
void __cudaRegisterFatBinaryEnd(void **handle);
void __cudaUnregisterFatBinary(void **handle);
void __cudaRegisterFunction(void **handle, const char *host, char *device, const char *name,
                            int thread_limit, uint3 *tid, uint3 *bid, dim3 *block, dim3 *grid,
                            int *warp);

EMBED(good, "good.fatbin");
EMBED(bad, BAD_FATBIN);

static void scale(void)
{
    __asm__ volatile("");
}

static void bad(void)
{
    __asm__ volatile("" ::: "memory");
}

static void **handles[2];

static void unregister_all(void)
{
    __cudaUnregisterFatBinary(handles[0]);
    __cudaUnregisterFatBinary(handles[1]);
}

/* With atexit, as nvcc's host code does: in a library that means at its dlclose. */
__attribute__((constructor)) static void register_all(void)
{
    void **handle = handles[0] = __cudaRegisterFatBinary(&good_wrapper);
    __cudaRegisterFunction(handle, (const char *)scale, (char *)"_Z12scale_kernelPfi",
                           "_Z12scale_kernelPfi", -1, 0, 0, 0, 0, 0);
    __cudaRegisterFatBinaryEnd(handle);
    handle = handles[1] = __cudaRegisterFatBinary(&bad_wrapper);
    __cudaRegisterFunction(handle, (const char *)bad, (char *)BAD_KERNEL, BAD_KERNEL, -1, 0, 0, 0, 0,
                           0);
    __cudaRegisterFatBinaryEnd(handle);
    atexit(unregister_all);
}

/* Compiled to tail calls: the runtime's return address is in the caller's object, not here. */
cudaError_t part_last_error(void)
{
    return cudaGetLastError();
}

static cudaError_t launch(const void *kernel, void **args)
{
    return cudaLaunchKernel(kernel, (dim3){1, 1, 1}, (dim3){8, 1, 1}, args, 0, 0);
}

cudaError_t part_good(float *sum)
{
    float *memory, values[8] = {0};
    int n = 8;
    void *args[] = {&memory, &n};
    cudaError_t e = cudaMalloc((void **)&memory, sizeof values);
    if (e == cudaSuccess)
        e = launch((const void *)scale, args);
    if (e == cudaSuccess)
        e = cudaMemcpy(values, memory, sizeof values, cudaMemcpyDeviceToHost);
    *sum = 0;
    for (int i = 0; i < 8; i++)
        *sum += values[i];
    return e;
}

cudaError_t part_bad(void)
{
    float *memory = 0;
    int n = 8;
    void *args[] = {&memory, &n};
    return launch((const void *)bad, args);
}

int part_version(void)
{
    int version = 0;
    cudaRuntimeGetVersion(&version);
    return version;
}
