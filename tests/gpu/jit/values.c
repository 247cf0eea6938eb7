/*
 * Uses everything of device.cu through a runtime, and prints every value, to the bit. The host code is
 * written by hand, as nvcc 9 to 12 would make it, so that it links to any cudart.
 *     values [assert]     the last one ends the context
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
void __cudaRegisterManagedVar(void **handle, void **host, char *device, const char *name,
                              int external, size_t size, int constant, int global);
char __cudaInitModule(void **handle);

EMBED(device, "device.fatbin");

static void **handle;
static char table[32], counter[4], never_used[64];
static int *managed;

#define KERNELS(K)                                                                                 \
    K(k_managed) K(k_constant) K(k_texture) K(k_surface) K(k_printf) K(k_malloc) K(k_assert)       \
    K(k_grid) K(k_shared) K(k_bounds)                                                              \
    K(_Z10k_templateIdLi3EEvPT_) K(_Z10k_templateIsLi5EEvPT_)
#define STUB(name) static void name(void) { }
KERNELS(STUB)

__attribute__((constructor)) static void register_all(void)
{
    handle = __cudaRegisterFatBinary(&device_wrapper);
#define REGISTER(name)                                                                             \
    __cudaRegisterFunction(handle, (const char *)name, (char *)#name, #name, -1, 0, 0, 0, 0, 0);
    KERNELS(REGISTER)
    __cudaRegisterVar(handle, table, (char *)"table", "table", 0, sizeof table, 1, 0);
    __cudaRegisterVar(handle, counter, (char *)"counter", "counter", 0, sizeof counter, 0, 0);
    __cudaRegisterVar(handle, never_used, (char *)"never_used", "never_used", 0, sizeof never_used, 0,
                      0);
    __cudaRegisterManagedVar(handle, (void **)&managed, (char *)"managed", "managed", 0, 16, 0, 0);
    __cudaRegisterFatBinaryEnd(handle);
}

static void unregister_all(void)
{
    __cudaUnregisterFatBinary(handle);
}

static int *out;
static int host[4096];

static void show(const char *what, cudaError_t error, size_t words)
{
    printf("%s = %d", what, (int)error);
    error = cudaMemcpy(host, out, words * 4, cudaMemcpyDeviceToHost);
    printf(" %d:", (int)error);
    for (size_t i = 0; i < words; i++)
        printf(" %x", host[i]);
    printf("\n");
    fflush(stdout);
}

static cudaError_t go(void *kernel, unsigned threads, size_t shared, void **arguments)
{
    return cudaLaunchKernel(kernel, (dim3){1, 1, 1}, (dim3){threads, 1, 1}, arguments, shared, 0);
}
#define GO(kernel, threads, shared, ...)                                                           \
    go((void *)kernel, threads, shared, (void *[]){__VA_ARGS__})

static void arrays(void)
{
    struct cudaChannelFormatDesc format = cudaCreateChannelDesc(32, 0, 0, 0, cudaChannelFormatKindFloat);
    struct cudaResourceDesc resource = {.resType = cudaResourceTypeArray};
    struct cudaTextureDesc how = {.filterMode = cudaFilterModeLinear};
    cudaTextureObject_t texture = 0;
    cudaSurfaceObject_t surface = 0;
    cudaArray_t array = NULL;
    float data[64];
    for (int i = 0; i < 64; i++)
        data[i] = i * 1.25f - 3;
    cudaMallocArray(&array, &format, 16, 4, cudaArraySurfaceLoadStore);
    cudaMemcpy2DToArray(array, 0, 0, data, 64, 64, 4, cudaMemcpyHostToDevice);
    resource.res.array.array = array;
    printf("objects %d", (int)cudaCreateTextureObject(&texture, &resource, &how, NULL));
    printf(" %d\n", (int)cudaCreateSurfaceObject(&surface, &resource));
    show("texture", GO(k_texture, 16, 0, &out, &texture), 16);
    show("surface", GO(k_surface, 16, 0, &out, &surface), 16);
}

static void graph(void)
{
    cudaStream_t stream;
    cudaGraph_t graph = NULL;
    cudaGraphExec_t exec = NULL;
    void *arguments[] = {&out};
    cudaStreamCreate(&stream);
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
    for (int i = 0; i < 3; i++)
        cudaLaunchKernel((void *)k_managed, (dim3){1, 1, 1}, (dim3){4, 1, 1}, arguments, 0, stream);
    cudaStreamEndCapture(stream, &graph);
    printf("instantiate %d", (int)cudaGraphInstantiateWithFlags(&exec, graph, 0));
    printf(" launch %d", (int)cudaGraphLaunch(exec, stream));
    printf(" sync %d\n", (int)cudaStreamSynchronize(stream));
    show("graph", cudaSuccess, 4);
}

int main(int argc, char **argv)
{
    int numbers[16], *scratch;
    float input[64], *device_input;
    void *address = NULL;
    size_t size = 0;

    atexit(unregister_all);
    cudaMalloc((void **)&out, sizeof host);
    cudaMalloc((void **)&scratch, sizeof host);
    cudaMemset(out, 0, sizeof host);
    if (argc > 1 && strcmp(argv[1], "assert") == 0) {
        show("assert", GO(k_assert, 1, 0, &out), 2);
        printf("afterwards %d\n", (int)cudaDeviceSynchronize());
        return 0;
    }
    for (int i = 0; i < 16; i++)
        numbers[i] = i * 11 - 5;
    __cudaInitModule(handle);
    printf("managed at start:");
    for (int i = 0; managed && i < 4; i++)
        printf(" %d", managed[i]);
    printf("\n");
    show("managed", GO(k_managed, 4, 0, &out), 4);
    cudaDeviceSynchronize();
    printf("managed from the host:");
    for (int i = 0; managed && i < 4; i++)
        printf(" %d", managed[i]++);
    printf("\n");
    printf("to symbol %d\n", (int)cudaMemcpyToSymbol(table, numbers, 32, 0, cudaMemcpyHostToDevice));
    show("constant", GO(k_constant, 8, 0, &out), 8);
    printf("from symbol %d", (int)cudaMemcpyFromSymbol(numbers, counter, 4, 0, cudaMemcpyDeviceToHost));
    printf(" %d;", numbers[0]);
    printf(" %d", (int)cudaMemcpyFromSymbol(numbers, never_used, 64, 0, cudaMemcpyDeviceToHost));
    printf(" %d %d %d\n", numbers[0], numbers[1], numbers[2]);
    printf("symbol %d", (int)cudaGetSymbolAddress(&address, counter));
    printf(" %d", (int)cudaGetSymbolSize(&size, never_used));
    printf(" %d %zu\n", address != NULL, size);
    arrays();
    show("printf", GO(k_printf, 3, 0, &out), 1);
    cudaDeviceSynchronize();
    show("malloc", GO(k_malloc, 32, 0, &out), 32);
    void *cooperative[] = {&out, &scratch};
    show("grid", cudaLaunchCooperativeKernel((void *)k_grid, (dim3){8, 1, 1}, (dim3){64, 1, 1}, cooperative,
                                             0, 0), 512);
    printf("attribute %d\n", (int)cudaFuncSetAttribute((void *)k_shared,
                                                       cudaFuncAttributeMaxDynamicSharedMemorySize, 65536));
    show("shared", GO(k_shared, 32, 65536, &out), 32);
    show("double", GO(_Z10k_templateIdLi3EEvPT_, 16, 0, &out), 32);
    show("short", GO(_Z10k_templateIsLi5EEvPT_, 32, 0, &out), 16);
    for (int i = 0; i < 64; i++)
        input[i] = i * 0.37f;
    cudaMalloc((void **)&device_input, sizeof input);
    cudaMemcpy(device_input, input, sizeof input, cudaMemcpyHostToDevice);
    show("bounds", GO(k_bounds, 64, 0, &out, &device_input), 64);
    graph();
    printf("last %d\n", (int)cudaGetLastError());
    return 0;
}
