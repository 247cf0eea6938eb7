/*
 * A program as nvcc 9 to 12 would have made it, but with the host code written by hand, so that it
 * links to any cudart with no toolkit of that version: two fatbins registered with the runtime, one
 * for every GPU (scale_kernel), one that the GPU lacks (voxelize_kernel), host stubs named as
 * cudafe++ names them, launches through cudaLaunchKernel.
 *
 *     hand CALL      makes one kind of call on voxelize_kernel, after a good launch of scale_kernel
 *
 * Prints numbers and error names only: error texts are kguard's to change.
 */
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "embed.h"

void **__cudaRegisterFatBinary(void *wrapper);
void __cudaRegisterFatBinaryEnd(void **handle);
void __cudaUnregisterFatBinary(void **handle);
void __cudaRegisterFunction(void **handle, const char *host, char *device, const char *name,
                            int thread_limit, uint3 *tid, uint3 *bid, dim3 *block, dim3 *grid,
                            int *warp);
void __cudaRegisterVar(void **handle, char *host, char *device, const char *name, int external,
                       size_t size, int constant, int global);
cudaError_t cudaLaunchKernel_ptsz(const void *func, dim3 grid, dim3 block, void **args,
                                  size_t shared, cudaStream_t stream);

EMBED(good, "good.fatbin");
EMBED(bad, "bad.fatbin");

static void **good_handle, **bad_handle;
static char weights[16];
static float *memory;
enum { N = 8 };

/* The names that cudafe++ gives: the kernel's own for the host function, and the stub it calls. */
void voxelize_kernel(float *out, int n) __asm__("_Z15voxelize_kernelPfi");
void scale_kernel(float *out, int n) __asm__("_Z12scale_kernelPfi");
void unused_kernel(float *out) __asm__("_Z13unused_kernelPf");
static void voxelize_stub(float *out, int n) __asm__("_Z36__device_stub__Z15voxelize_kernelPfiPfi");
static void scale_stub(float *out, int n) __asm__("_Z33__device_stub__Z12scale_kernelPfiPfi");

static __attribute__((noinline)) void voxelize_stub(float *out, int n)
{
    void *args[] = {&out, &n};
    cudaLaunchKernel((const void *)voxelize_kernel, (dim3){1, 1, 1}, (dim3){N, 1, 1}, args, 0, 0);
}

static __attribute__((noinline)) void scale_stub(float *out, int n)
{
    void *args[] = {&out, &n};
    cudaLaunchKernel((const void *)scale_kernel, (dim3){1, 1, 1}, (dim3){N, 1, 1}, args, 0, 0);
}

/* At -O2 each becomes a tail call: the stub's return address lies in the caller. */
void voxelize_kernel(float *out, int n)
{
    voxelize_stub(out, n);
}

void scale_kernel(float *out, int n)
{
    scale_stub(out, n);
}

void unused_kernel(float *out)
{
    (void)out;
}

static void unregister_all(void)
{
    __cudaUnregisterFatBinary(bad_handle);
    __cudaUnregisterFatBinary(good_handle);
}

__attribute__((constructor)) static void register_all(void)
{
    good_handle = __cudaRegisterFatBinary(&good_wrapper);
    __cudaRegisterFunction(good_handle, (const char *)scale_kernel, (char *)"_Z12scale_kernelPfi",
                           "_Z12scale_kernelPfi", -1, 0, 0, 0, 0, 0);
    __cudaRegisterFatBinaryEnd(good_handle);
    bad_handle = __cudaRegisterFatBinary(&bad_wrapper);
    __cudaRegisterFunction(bad_handle, (const char *)unused_kernel, (char *)"_Z13unused_kernelPf",
                           "_Z13unused_kernelPf", -1, 0, 0, 0, 0, 0);
    __cudaRegisterFunction(bad_handle, (const char *)voxelize_kernel,
                           (char *)"_Z15voxelize_kernelPfi", "_Z15voxelize_kernelPfi", -1, 0, 0, 0,
                           0, 0);
    __cudaRegisterVar(bad_handle, weights, (char *)"weights", "weights", 0, 16, 1, 0);
    __cudaRegisterFatBinaryEnd(bad_handle);
    atexit(unregister_all);
}

/* ---- the calls ---------------------------------------------------------------------------------- */

static cudaError_t call_checked(void)
{
    voxelize_kernel(memory, N);
    return cudaGetLastError();
}

/* Never asks: goes on with wrong numbers, and ends with success. */
static cudaError_t call_unchecked(void)
{
    voxelize_kernel(memory, N);
    voxelize_kernel(memory, N);
    return cudaSuccess;
}

static cudaError_t call_healthy(void)
{
    scale_kernel(memory, N);
    return cudaGetLastError();
}

static cudaError_t call_ptsz(void)
{
    int n = N;
    void *args[] = {&memory, &n};
    return cudaLaunchKernel_ptsz((const void *)voxelize_kernel, (dim3){1, 1, 1}, (dim3){N, 1, 1},
                                 args, 0, 0);
}

static cudaError_t call_exc(void)
{
    int n = N;
    void *args[] = {&memory, &n};
    cudaLaunchConfig_t config = {.gridDim = {1, 1, 1}, .blockDim = {N, 1, 1}};
    return cudaLaunchKernelExC(&config, (const void *)voxelize_kernel, args);
}

static cudaError_t call_cooperative(void)
{
    int n = N;
    void *args[] = {&memory, &n};
    return cudaLaunchCooperativeKernel((const void *)voxelize_kernel, (dim3){1, 1, 1},
                                       (dim3){N, 1, 1}, args, 0, 0);
}

static cudaError_t call_attributes(void)
{
    struct cudaFuncAttributes attributes;
    return cudaFuncGetAttributes(&attributes, (const void *)voxelize_kernel);
}

static cudaError_t call_set_attribute(void)
{
    return cudaFuncSetAttribute((const void *)voxelize_kernel,
                                cudaFuncAttributeMaxDynamicSharedMemorySize, 65536);
}

static cudaError_t call_cache_config(void)
{
    return cudaFuncSetCacheConfig((const void *)voxelize_kernel, cudaFuncCachePreferL1);
}

static cudaError_t call_occupancy(void)
{
    int blocks = 0;
    return cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, (const void *)voxelize_kernel,
                                                         128, 0);
}

static cudaError_t call_symbol(void)
{
    cudaFunction_t function;
    return cudaGetFuncBySymbol(&function, (const void *)voxelize_kernel);
}

static cudaError_t call_copy(void)
{
    float values[4] = {1, 2, 3, 4};
    return cudaMemcpyToSymbol(weights, values, sizeof values, 0, cudaMemcpyHostToDevice);
}

/* Where the failure shows differs: at the node, or at the graph's instantiation. */
static cudaError_t call_graph(void)
{
    int n = N;
    void *args[] = {&memory, &n};
    struct cudaKernelNodeParams node_params = {.func = (void *)voxelize_kernel,
                                               .gridDim = {1, 1, 1},
                                               .blockDim = {N, 1, 1},
                                               .kernelParams = args};
    cudaGraph_t graph;
    cudaGraphNode_t node;
    cudaGraphExec_t exec;
    cudaError_t e = cudaGraphCreate(&graph, 0);
    if (e != cudaSuccess || (e = cudaGraphAddKernelNode(&node, graph, NULL, 0, &node_params)))
        return e;
    e = cudaGraphInstantiateWithFlags(&exec, graph, 0);
    return e ? e : cudaGraphLaunch(exec, 0);
}

/* A library asks about a kernel it can do without and forgets the error, which then surfaces at the
 * check after somebody else's healthy launch (NVIDIA/nccl#1864). */
static cudaError_t call_nccl(void)
{
    struct cudaFuncAttributes attributes;
    cudaFuncGetAttributes(&attributes, (const void *)voxelize_kernel);
    scale_kernel(memory, N);
    return cudaGetLastError();
}

static const struct {
    const char *name;
    cudaError_t (*call)(void);
} calls[] = {
    {"checked", call_checked},       {"unchecked", call_unchecked},
    {"healthy", call_healthy},       {"ptsz", call_ptsz},
    {"exc", call_exc},               {"cooperative", call_cooperative},
    {"attributes", call_attributes}, {"set-attribute", call_set_attribute},
    {"cache-config", call_cache_config}, {"occupancy", call_occupancy},
    {"symbol", call_symbol},         {"copy", call_copy},
    {"graph", call_graph},           {"nccl", call_nccl},
};

static int good_launch(void)
{
    cudaError_t e = cudaMalloc((void **)&memory, N * sizeof *memory);
    if (e == cudaSuccess) {
        scale_kernel(memory, N);
        e = cudaGetLastError();
    }
    if (e == cudaSuccess)
        e = cudaDeviceSynchronize();
    if (e != cudaSuccess)
        printf("no usable GPU: %d %s\n", e, cudaGetErrorName(e));
    return e == cudaSuccess;
}

int main(int argc, char **argv)
{
    float values[N];
    cudaError_t e = cudaErrorInvalidValue;

    if (!good_launch())
        return 77;
    for (size_t i = 0; argc > 1 && i < sizeof calls / sizeof calls[0]; i++)
        if (!strcmp(calls[i].name, argv[1]))
            e = calls[i].call();
    cudaMemcpy(values, memory, sizeof values, cudaMemcpyDeviceToHost);
    printf("%s: %d %s; memory", argc > 1 ? argv[1] : "?", e, cudaGetErrorName(e));
    for (int i = 0; i < N; i++)
        printf(" %g", values[i]);
    printf("\n");
    return e == cudaSuccess ? 0 : 1;
}
