/* For programs of the runtime API: what nvcc's host code declares and does. */
#ifndef RUNTIME_H
#define RUNTIME_H

#include "scenario.h"

typedef int cudaError_t;
typedef struct cudaStream *cudaStream_t;
typedef struct cudaKernel *cudaKernel_t;
typedef struct {
    unsigned x, y, z;
} dim3;
struct cudaFuncAttributes {
    char bytes[256]; /* larger than any runtime's */
};
typedef struct {
    dim3 grid, block;
    size_t shared;
    cudaStream_t stream;
    void *attributes;
    unsigned attribute_count;
} cudaLaunchConfig_t;
enum { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };

void **__cudaRegisterFatBinary(void *wrapper);
void __cudaRegisterFatBinaryEnd(void **handle);
void __cudaUnregisterFatBinary(void **handle);
void __cudaRegisterFunction(void **handle, const char *stub, char *name, const char *same_name,
                            int thread_limit, void *tid, void *bid, void *block, void *grid,
                            int *warp);
cudaError_t cudaLaunchKernel(const void *stub, dim3 grid, dim3 block, void **arguments,
                             size_t shared, cudaStream_t stream);
cudaError_t cudaLaunchKernel_ptsz(const void *stub, dim3 grid, dim3 block, void **arguments,
                                  size_t shared, cudaStream_t stream);
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *stub,
                                void **arguments);
cudaError_t cudaLaunchCooperativeKernel(const void *stub, dim3 grid, dim3 block, void **arguments,
                                        size_t shared, cudaStream_t stream);
cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *out, const void *stub);
cudaError_t cudaFuncSetAttribute(const void *stub, int attribute, int value);
cudaError_t cudaFuncSetCacheConfig(const void *stub, int config);
cudaError_t cudaGetFuncBySymbol(CUfunction *out, const void *stub);
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *out, const void *stub, int block,
                                                          size_t shared);
cudaError_t cudaGetLastError(void);
cudaError_t cudaPeekAtLastError(void);
const char *cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetDriverEntryPoint(const char *name, void **out, unsigned long long flags,
                                    int *status);
/* What nvcc 13's host code calls instead of cudaLaunchKernel. */
cudaError_t __cudaGetKernel(cudaKernel_t *out, const void *stub);
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **arguments,
                               size_t shared, cudaStream_t stream);

static const dim3 one = {1, 1, 1};
static float *no_points;
static int no_count;
static void *no_arguments[] = {&no_points, &no_count};

/* The host side of the kernel: its address is the kernel's name in this program, and calling it
 * launches. One for each build. */
static cudaError_t lacking_stub(void)
{
    return cudaLaunchKernel((const void *)lacking_stub, one, one, no_arguments, 0, NULL);
}
__attribute__((unused)) static cudaError_t fitting_stub(void)
{
    return cudaLaunchKernel((const void *)fitting_stub, one, one, no_arguments, 0, NULL);
}

static void **lacking_handle, **fitting_handle;

static void **register_image(struct wrapper *image, const void *stub)
{
    void **handle = __cudaRegisterFatBinary(image);
    __cudaRegisterFunction(handle, stub, (char *)(uintptr_t)KERNEL, KERNEL, -1, NULL, NULL, NULL,
                           NULL, NULL);
    __cudaRegisterFatBinaryEnd(handle);
    return handle;
}

static void unregister_images(void)
{
    if (lacking_handle)
        __cudaUnregisterFatBinary(lacking_handle);
    if (fitting_handle)
        __cudaUnregisterFatBinary(fitting_handle);
}

/* Before main, as nvcc's host code does it. NO_LACKING / NO_FITTING leave one out. */
__attribute__((constructor)) static void register_images(void)
{
#ifndef NO_LACKING
    lacking_handle = register_image(&lacking, (const void *)lacking_stub);
#endif
#ifndef NO_FITTING
    fitting_handle = register_image(&fitting, (const void *)fitting_stub);
#endif
    atexit(unregister_images);
}

#endif
