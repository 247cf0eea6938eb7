/*
 * A fake CUDA runtime, built three times (RUNTIME = 11, 12, 13), each reaching the driver the way
 * the real one of that version was measured to:
 *   13  asks dlsym for cuGetProcAddress_v2 alone and for everything else through that; loads an
 *       image at its first use with cuLibraryLoadData(wrapper), then cuLibraryGetKernel(name).
 *   12  looks up and loads likewise, then cuLibraryGetModule and cuModuleGetFunction; a kernel that
 *       failed once fails again without a call to the driver. With CUDA_MODULE_LOADING=EAGER all
 *       images are loaded at the first runtime call, which succeeds whatever becomes of them;
 *       cudaFuncGetAttributes of a lost kernel then says 98, a launch 209.
 *   11  looks up through the 11.3 form of cuGetProcAddress and loads through a private table of
 *       cuGetExportTable, which no hook can see; only cuModuleGetFunction of good kernels is
 * public. Shared, it is libcudart.so.N with the version node of that name; static, every name is
 * hidden, as in a program that is linked with libcudart_static.a.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kg_cuda.h"

typedef int cudaError_t;
typedef struct CUstream_st *cudaStream_t;
typedef struct CUkern_st *cudaKernel_t;
typedef struct CUfunc_st *cudaFunction_t;
typedef struct CUlib_st *cudaLibrary_t;
typedef struct CUgraph_st *cudaGraph_t;
typedef struct CUgraphNode_st *cudaGraphNode_t;
typedef struct CUgraphExec_st *cudaGraphExec_t;
typedef struct {
    unsigned x, y, z;
} dim3;
typedef struct {
    dim3 grid, block;
    size_t shared;
    cudaStream_t stream;
    void *attributes;
    unsigned attribute_count;
} cudaLaunchConfig_t;
struct cudaKernelNodeParams {
    void *func;
    dim3 grid, block;
    unsigned shared;
    void **arguments, **extra;
};
struct cudaGraphNodeParams {
    int type, reserved[3];
    struct cudaKernelNodeParams kernel;
};

/* The runtime's numbers are the driver's, but for these. */
enum {
    cudaErrorInvalidValue = 1,
    cudaErrorInitializationError = 3,
    cudaErrorInvalidSymbol = 13,
    cudaErrorInvalidDeviceFunction = 98,
    cudaErrorInvalidResourceHandle = 400
};

#define API __attribute__((visibility(VISIBILITY)))

/* ---- the driver ---- */

/* name and the CUDA version whose form of it is asked for (of those recorded) */
#define NEEDED(F)                                                                                  \
    F(cuInit, 4000)                                                                                \
    F(cuDriverGetVersion, 4000)                                                                    \
    F(cuDeviceGet, 4000)                                                                           \
    F(cuDeviceGetCount, 4000)                                                                      \
    F(cuDevicePrimaryCtxRetain, 7000)                                                              \
    F(cuCtxSetCurrent, 4000)                                                                       \
    F(cuGetErrorString, 7000)                                                                      \
    F(cuGetErrorName, 7000)                                                                        \
    F(cuModuleGetFunction, 4000)                                                                   \
    F(cuLaunchKernel, 7000)                                                                        \
    F(cuLaunchCooperativeKernel, 10000)                                                            \
    F(cuFuncGetAttribute, 4000)                                                                    \
    F(cuFuncSetAttribute, 10000)                                                                   \
    F(cuFuncSetCacheConfig, 4000)                                                                  \
    F(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags, 7000)                                  \
    F(cuGraphCreate, 10000)                                                                        \
    F(cuGraphLaunch, 10000)                                                                        \
    F(cuGetExportTable, 4000)
#define NEEDED_SINCE_12(F)                                                                         \
    F(cuLibraryLoadData, 12000)                                                                    \
    F(cuLibraryLoadFromFile, 12000)                                                                \
    F(cuLibraryUnload, 12000)                                                                      \
    F(cuLibraryGetKernel, 12000)                                                                   \
    F(cuLibraryGetModule, 12000)                                                                   \
    F(cuKernelGetFunction, 12000)                                                                  \
    F(cuKernelGetAttribute, 12000)                                                                 \
    F(cuKernelSetAttribute, 12000)                                                                 \
    F(cuLaunchKernelEx, 12000)                                                                     \
    F(cuGraphInstantiateWithFlags, 12000)

#define FIELD(name, version) __typeof__(&name) name;
static struct {
    NEEDED(FIELD)
    NEEDED_SINCE_12(FIELD)
    __typeof__(&cuLaunchKernel) cuLaunchKernel_ptsz;
    __typeof__(&cuLaunchCooperativeKernel) cuLaunchCooperativeKernel_ptsz;
    __typeof__(&cuLaunchKernelEx) cuLaunchKernelEx_ptsz;
    __typeof__(&cuGraphAddKernelNode) cuGraphAddKernelNode; /* the form of its own time */
    __typeof__(&cuGraphAddKernelNode_v2) cuGraphAddKernelNode_v2;
    __typeof__(&cuGraphInstantiate_v2) cuGraphInstantiate;
} cu;

#if RUNTIME == 11
static __typeof__(&cuGetProcAddress) look_up;
#define LOOK_UP(name, out, version, flags) look_up(name, out, version, flags)
#define RESOLVER "cuGetProcAddress"
#else
static __typeof__(&cuGetProcAddress_v2) look_up;
#define LOOK_UP(name, out, version, flags)                                                         \
    look_up(name, out, version, flags, &(CUdriverProcAddressQueryResult){0})
#define RESOLVER "cuGetProcAddress_v2"
#endif

static cudaError_t started = -1;
static __thread cudaError_t last_error;

static cudaError_t failed(cudaError_t error)
{
    if (error)
        last_error = error;
    return error;
}

#if RUNTIME == 11
static struct {
    size_t size;
    CUresult (*load)(CUmodule *, const void *);
} const *private_door;
#endif

static cudaError_t connect_to_driver(void)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    look_up = library ? (__typeof__(look_up))dlsym(library, RESOLVER) : NULL;
    if (!look_up)
        return 35; /* cudaErrorInsufficientDriver */
#define GET(name, version)                                                                         \
    LOOK_UP(#name, (void **)&cu.name, version, CU_GET_PROC_ADDRESS_LEGACY_STREAM);
    NEEDED(GET)
#if RUNTIME >= 12
    NEEDED_SINCE_12(GET)
    LOOK_UP("cuLaunchKernelEx", (void **)&cu.cuLaunchKernelEx_ptsz, 12000,
            CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM);
    LOOK_UP("cuGraphAddKernelNode", (void **)&cu.cuGraphAddKernelNode_v2, 12000, 0);
#else
    LOOK_UP("cuGraphAddKernelNode", (void **)&cu.cuGraphAddKernelNode, 11030, 0);
    LOOK_UP("cuGraphInstantiate", (void **)&cu.cuGraphInstantiate, 11030, 0);
#endif
    LOOK_UP("cuLaunchKernel", (void **)&cu.cuLaunchKernel_ptsz, 7000,
            CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM);
    LOOK_UP("cuLaunchCooperativeKernel", (void **)&cu.cuLaunchCooperativeKernel_ptsz, 10000,
            CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM);
#if RUNTIME == 11
    static const CUuuid door = {"fake old runtime"};
    if (cu.cuGetExportTable((const void **)&private_door, &door))
        return cudaErrorInitializationError;
#endif
    return (cudaError_t)cu.cuInit(0);
}

/* ---- what was registered ---- */

struct image {
    void *wrapper;
    bool loaded;
    cudaError_t load_error;
    CUlibrary library;
    CUmodule module;
    struct image *next;
};
struct kernel {
    const void *stub;
    char name[256];
    struct image *image;
    bool resolved;
    cudaError_t error;
    CUfunction function;
    struct kernel *next;
};
static struct image *images;
static struct kernel *kernels;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

API void **__cudaRegisterFatBinary(void *wrapper);
API void **__cudaRegisterFatBinary(void *wrapper)
{
    struct image *image = calloc(1, sizeof *image);
    image->wrapper = wrapper;
    pthread_mutex_lock(&lock);
    image->next = images;
    images = image;
    pthread_mutex_unlock(&lock);
    return (void **)image;
}

API void __cudaRegisterFatBinaryEnd(void **handle);
API void __cudaRegisterFatBinaryEnd(void **handle)
{
}

API void __cudaUnregisterFatBinary(void **handle);
API void __cudaUnregisterFatBinary(void **handle)
{
    struct image *image = (struct image *)handle;
    pthread_mutex_lock(&lock);
    for (struct image **i = &images; *i; i = &(*i)->next)
        if (*i == image) {
            *i = image->next;
            break;
        }
    for (struct kernel **k = &kernels; *k;) {
        struct kernel *gone = *k;
        if (gone->image != image) {
            k = &gone->next;
            continue;
        }
        *k = gone->next;
        free(gone);
    }
    pthread_mutex_unlock(&lock);
#if RUNTIME >= 12
    if (image->library)
        cu.cuLibraryUnload(image->library);
#endif
    free(image);
}

API char __cudaInitModule(void **handle);
API char __cudaInitModule(void **handle)
{
    return 1;
}

API void __cudaRegisterFunction(void **handle, const char *stub, char *name, const char *same,
                                int limit, void *tid, void *bid, void *block, void *grid,
                                int *warp);
API void __cudaRegisterFunction(void **handle, const char *stub, char *name, const char *same,
                                int limit, void *tid, void *bid, void *block, void *grid, int *warp)
{
    struct kernel *kernel = calloc(1, sizeof *kernel);
    kernel->stub = stub;
    kernel->image = (struct image *)handle;
    snprintf(kernel->name, sizeof kernel->name, "%s", same);
    pthread_mutex_lock(&lock);
    kernel->next = kernels;
    kernels = kernel;
    pthread_mutex_unlock(&lock);
}

API void __cudaRegisterVar(void **handle, char *host, char *address, const char *name, int external,
                           size_t size, int constant, int global);
API void __cudaRegisterVar(void **handle, char *host, char *address, const char *name, int external,
                           size_t size, int constant, int global)
{
}

/* ---- loading ---- */

static void load(struct image *image)
{
    if (image->loaded)
        return;
    image->loaded = true;
#if RUNTIME == 11
    image->load_error = (cudaError_t)private_door->load(&image->module, image->wrapper);
#else
    CUlibraryOption option = CU_LIBRARY_BINARY_IS_PRESERVED;
    void *value = (void *)1;
    image->load_error = (cudaError_t)cu.cuLibraryLoadData(&image->library, image->wrapper, NULL,
                                                          NULL, 0, &option, &value, 1);
#if RUNTIME == 12
    if (!image->load_error)
        image->load_error = (cudaError_t)cu.cuLibraryGetModule(&image->module, image->library);
#endif
#endif
}

static bool eager(void)
{
    const char *mode = getenv("CUDA_MODULE_LOADING");
    return RUNTIME < 13 && mode && strcmp(mode, "EAGER") == 0;
}

/* Every call of the runtime that needs a device begins here. */
static cudaError_t start(void)
{
    if (__atomic_load_n(&started, __ATOMIC_ACQUIRE) < 0) {
        pthread_mutex_lock(&lock);
        if (started < 0) {
            cudaError_t result = connect_to_driver();
            CUdevice device;
            CUcontext context;
            if (!result)
                result = (cudaError_t)cu.cuDeviceGet(&device, 0);
            if (!result)
                result = (cudaError_t)cu.cuDevicePrimaryCtxRetain(&context, device);
            if (!result)
                cu.cuCtxSetCurrent(context);
            for (struct image *i = images; !result && eager() && i; i = i->next)
                load(i);
            __atomic_store_n(&started, result, __ATOMIC_RELEASE);
        }
        pthread_mutex_unlock(&lock);
    }
    static __thread bool attached;
    if (!started && !attached) { /* this thread's first call */
        CUcontext current = NULL;
        cu.cuDevicePrimaryCtxRetain(&current, 0);
        cu.cuCtxSetCurrent(current);
        attached = true;
    }
    return started;
}

static struct kernel *kernel_of(const void *stub)
{
    for (struct kernel *k = __atomic_load_n(&kernels, __ATOMIC_ACQUIRE); k; k = k->next)
        if (k->stub == stub)
            return k;
    return NULL;
}

/* What a launch or a query of stub needs; query: the call is no launch. */
static cudaError_t function_of(const void *stub, bool query, struct kernel **out)
{
    cudaError_t result = start();
    struct kernel *k = *out = kernel_of(stub);
    if (result)
        return failed(result);
    if (!k)
        return failed(cudaErrorInvalidDeviceFunction);
    if (__atomic_load_n(&k->resolved, __ATOMIC_ACQUIRE) && !k->error)
        return 0;
    pthread_mutex_lock(&lock);
    if (!k->resolved || RUNTIME == 13) {
        load(k->image);
        result = k->image->load_error;
#if RUNTIME == 13
        if (!result)
            result = (cudaError_t)cu.cuLibraryGetKernel((CUkernel *)&k->function,
                                                        k->image->library, k->name);
#else
        if (!result)
            result = (cudaError_t)cu.cuModuleGetFunction(&k->function, k->image->module, k->name);
#endif
        k->error = result; /* at once: other threads look at it without the lock */
        __atomic_store_n(&k->resolved, true, __ATOMIC_RELEASE);
    }
    result = k->error;
    pthread_mutex_unlock(&lock);
    if (result && query && eager())
        result = cudaErrorInvalidDeviceFunction;
    return failed(result);
}

/* ---- launches ---- */

#define LAUNCHES(suffix)                                                                           \
    API cudaError_t cudaLaunchKernel##suffix(const void *stub, dim3 grid, dim3 block,              \
                                             void **arguments, size_t shared,                      \
                                             cudaStream_t stream);                                 \
    API cudaError_t cudaLaunchKernel##suffix(const void *stub, dim3 grid, dim3 block,              \
                                             void **arguments, size_t shared, cudaStream_t stream) \
    {                                                                                              \
        struct kernel *k;                                                                          \
        cudaError_t result = function_of(stub, false, &k);                                         \
        if (result)                                                                                \
            return result;                                                                         \
        return failed((cudaError_t)cu.cuLaunchKernel##suffix(                                      \
            k->function, grid.x, grid.y, grid.z, block.x, block.y, block.z, (unsigned)shared,      \
            stream, arguments, NULL));                                                             \
    }                                                                                              \
    API cudaError_t cudaLaunchCooperativeKernel##suffix(const void *stub, dim3 grid, dim3 block,   \
                                                        void **arguments, size_t shared,           \
                                                        cudaStream_t stream);                      \
    API cudaError_t cudaLaunchCooperativeKernel##suffix(const void *stub, dim3 grid, dim3 block,   \
                                                        void **arguments, size_t shared,           \
                                                        cudaStream_t stream)                       \
    {                                                                                              \
        struct kernel *k;                                                                          \
        cudaError_t result = function_of(stub, false, &k);                                         \
        if (result)                                                                                \
            return result;                                                                         \
        return failed((cudaError_t)cu.cuLaunchCooperativeKernel##suffix(                           \
            k->function, grid.x, grid.y, grid.z, block.x, block.y, block.z, (unsigned)shared,      \
            stream, arguments));                                                                   \
    }
LAUNCHES()
LAUNCHES(_ptsz)

#define LAUNCH_EX(suffix)                                                                          \
    API cudaError_t cudaLaunchKernelExC##suffix(const cudaLaunchConfig_t *c, const void *stub,     \
                                                void **arguments);                                 \
    API cudaError_t cudaLaunchKernelExC##suffix(const cudaLaunchConfig_t *c, const void *stub,     \
                                                void **arguments)                                  \
    {                                                                                              \
        struct kernel *k;                                                                          \
        cudaError_t result = function_of(stub, false, &k);                                         \
        if (result)                                                                                \
            return result;                                                                         \
        CUlaunchConfig config = {                                                                  \
            c->grid.x,  c->grid.y,           c->grid.z, c->block.x, c->block.y,                    \
            c->block.z, (unsigned)c->shared, c->stream, NULL,       0};                            \
        return failed(                                                                             \
            (cudaError_t)cu.cuLaunchKernelEx##suffix(&config, k->function, arguments, NULL));      \
    }
#if RUNTIME >= 12
LAUNCH_EX()
LAUNCH_EX(_ptsz)
#endif

/* nvcc's host code passes the <<<>>> arguments through these. */
static __thread struct {
    dim3 grid, block;
    size_t shared;
    cudaStream_t stream;
} pushed;

API unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, cudaStream_t stream);
API unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, cudaStream_t stream)
{
    pushed.grid = grid;
    pushed.block = block;
    pushed.shared = shared;
    pushed.stream = stream;
    return 0;
}

API cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void *stream);
API cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void *stream)
{
    *grid = pushed.grid;
    *block = pushed.block;
    *shared = pushed.shared;
    *(cudaStream_t *)stream = pushed.stream;
    return 0;
}

#if RUNTIME == 13
/* What nvcc 13's host code calls. Where the look-up fails the stub is what is left, and launched. */
API cudaError_t __cudaGetKernel(cudaKernel_t *out, const void *stub);
API cudaError_t __cudaGetKernel(cudaKernel_t *out, const void *stub)
{
    struct kernel *k;
    cudaError_t result;

    *out = (cudaKernel_t)stub;
    result = function_of(stub, false, &k);
    if (!result)
        *out = (cudaKernel_t)k->function;
    return result;
}

API cudaError_t cudaGetKernel(cudaKernel_t *out, const void *stub);
API cudaError_t cudaGetKernel(cudaKernel_t *out, const void *stub)
{
    return __cudaGetKernel(out, stub);
}

#define LAUNCH_HANDLE(suffix)                                                                      \
    API cudaError_t __cudaLaunchKernel##suffix(cudaKernel_t kernel, dim3 grid, dim3 block,         \
                                               void **arguments, size_t shared,                    \
                                               cudaStream_t stream);                               \
    API cudaError_t __cudaLaunchKernel##suffix(cudaKernel_t kernel, dim3 grid, dim3 block,         \
                                               void **arguments, size_t shared,                    \
                                               cudaStream_t stream)                                \
    {                                                                                              \
        struct kernel *k = kernel_of(kernel);                                                      \
        cudaError_t result = k ? function_of(kernel, false, &k) : failed(start());                 \
        if (result)                                                                                \
            return result;                                                                         \
        return failed((cudaError_t)cu.cuLaunchKernel##suffix(                                      \
            k ? k->function : (CUfunction)kernel, grid.x, grid.y, grid.z, block.x, block.y,        \
            block.z, (unsigned)shared, stream, arguments, NULL));                                  \
    }
LAUNCH_HANDLE()
LAUNCH_HANDLE(_ptsz)
#endif

/* ---- queries of a kernel ---- */

API cudaError_t cudaFuncGetAttributes(void *out, const void *stub);
API cudaError_t cudaFuncGetAttributes(void *out, const void *stub)
{
    struct kernel *k;
    cudaError_t result = function_of(stub, true, &k);
    if (!result)
        memset(out, 0, 64);
    return result;
}

API cudaError_t cudaFuncSetAttribute(const void *stub, int attribute, int value);
API cudaError_t cudaFuncSetAttribute(const void *stub, int attribute, int value)
{
    struct kernel *k;
    cudaError_t result = function_of(stub, true, &k);
    if (result)
        return result;
#if RUNTIME == 13
    return failed((cudaError_t)cu.cuKernelSetAttribute((CUfunction_attribute)attribute, value,
                                                       (CUkernel)k->function, 0));
#else
    return failed(
        (cudaError_t)cu.cuFuncSetAttribute(k->function, (CUfunction_attribute)attribute, value));
#endif
}

/* Needs the kernel, and nothing else that matters here. */
#define QUERY(name, parameters)                                                                    \
    API cudaError_t name parameters;                                                               \
    API cudaError_t name parameters                                                                \
    {                                                                                              \
        struct kernel *k;                                                                          \
        return function_of(stub, true, &k);                                                        \
    }
QUERY(cudaFuncSetCacheConfig, (const void *stub, int config))
QUERY(cudaFuncSetSharedMemConfig, (const void *stub, int config))
QUERY(cudaOccupancyMaxActiveBlocksPerMultiprocessor,
      (int *blocks, const void *stub, int threads, size_t shared))
QUERY(cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags,
      (int *blocks, const void *stub, int threads, size_t shared, unsigned flags))
QUERY(cudaOccupancyAvailableDynamicSMemPerBlock,
      (size_t * size, const void *stub, int blocks, int threads))
#if RUNTIME >= 12
QUERY(cudaOccupancyMaxPotentialClusterSize, (int *size, const void *stub, const void *config))
QUERY(cudaOccupancyMaxActiveClusters, (int *clusters, const void *stub, const void *config))
#endif

API cudaError_t cudaGetFuncBySymbol(cudaFunction_t *out, const void *stub);
API cudaError_t cudaGetFuncBySymbol(cudaFunction_t *out, const void *stub)
{
    struct kernel *k;
    cudaError_t result = function_of(stub, true, &k);
    if (!result)
        *out = k->function;
    return result;
}

#if RUNTIME >= 12
API cudaError_t cudaFuncGetName(const char **out, const void *stub);
API cudaError_t cudaFuncGetName(const char **out, const void *stub)
{
    struct kernel *k = kernel_of(stub);
    if (!k)
        return failed(cudaErrorInvalidDeviceFunction);
    *out = k->name;
    return 0;
}
#endif

/* ---- symbols: none is ever registered with contents ---- */

#define SYMBOL(name, parameters)                                                                   \
    API cudaError_t name parameters;                                                               \
    API cudaError_t name parameters                                                                \
    {                                                                                              \
        cudaError_t result = start();                                                              \
        return failed(result ? result : cudaErrorInvalidSymbol);                                   \
    }
SYMBOL(cudaMemcpyToSymbol, (const void *symbol, const void *from, size_t n, size_t at, int kind))
SYMBOL(cudaMemcpyFromSymbol, (void *to, const void *symbol, size_t n, size_t at, int kind))
SYMBOL(cudaMemcpyToSymbolAsync,
       (const void *symbol, const void *from, size_t n, size_t at, int kind, cudaStream_t stream))
SYMBOL(cudaMemcpyFromSymbolAsync,
       (void *to, const void *symbol, size_t n, size_t at, int kind, cudaStream_t stream))
SYMBOL(cudaGetSymbolAddress, (void **out, const void *symbol))
SYMBOL(cudaGetSymbolSize, (size_t * out, const void *symbol))

/* ---- graphs ---- */

API cudaError_t cudaGraphCreate(cudaGraph_t *graph, unsigned flags);
API cudaError_t cudaGraphCreate(cudaGraph_t *graph, unsigned flags)
{
    cudaError_t result = start();
    return failed(result ? result : (cudaError_t)cu.cuGraphCreate(graph, flags));
}

API cudaError_t cudaGraphAddKernelNode(cudaGraphNode_t *node, cudaGraph_t graph,
                                       const cudaGraphNode_t *on, size_t count,
                                       const struct cudaKernelNodeParams *p);
API cudaError_t cudaGraphAddKernelNode(cudaGraphNode_t *node, cudaGraph_t graph,
                                       const cudaGraphNode_t *on, size_t count,
                                       const struct cudaKernelNodeParams *p)
{
    struct kernel *k;
    cudaError_t result = function_of(p->func, false, &k);
    if (result)
        return result;
#if RUNTIME == 11
    CUDA_KERNEL_NODE_PARAMS_v1 params = {k->function,  p->grid.x,  p->grid.y,  p->grid.z,
                                         p->block.x,   p->block.y, p->block.z, p->shared,
                                         p->arguments, p->extra};
    return failed((cudaError_t)cu.cuGraphAddKernelNode(node, graph, on, count, &params));
#else
    CUDA_KERNEL_NODE_PARAMS_v2 params = {RUNTIME == 13 ? NULL : k->function,
                                         p->grid.x,
                                         p->grid.y,
                                         p->grid.z,
                                         p->block.x,
                                         p->block.y,
                                         p->block.z,
                                         p->shared,
                                         p->arguments,
                                         p->extra,
                                         RUNTIME == 13 ? (CUkernel)k->function : NULL,
                                         NULL};
    return failed((cudaError_t)cu.cuGraphAddKernelNode_v2(node, graph, on, count, &params));
#endif
}

#if RUNTIME >= 12
API cudaError_t cudaGraphAddNode(cudaGraphNode_t *node, cudaGraph_t graph,
                                 const cudaGraphNode_t *on,
#if RUNTIME == 13
                                 const void *edges,
#endif
                                 size_t count, struct cudaGraphNodeParams *p);
API cudaError_t cudaGraphAddNode(cudaGraphNode_t *node, cudaGraph_t graph,
                                 const cudaGraphNode_t *on,
#if RUNTIME == 13
                                 const void *edges,
#endif
                                 size_t count, struct cudaGraphNodeParams *p)
{
    return cudaGraphAddKernelNode(node, graph, on, count, &p->kernel);
}
#endif

#define SET_NODE(name, ...)                                                                        \
    API cudaError_t name(__VA_ARGS__ cudaGraphNode_t node, const struct cudaKernelNodeParams *p);  \
    API cudaError_t name(__VA_ARGS__ cudaGraphNode_t node, const struct cudaKernelNodeParams *p)   \
    {                                                                                              \
        struct kernel *k;                                                                          \
        return function_of(p->func, false, &k);                                                    \
    }
SET_NODE(cudaGraphKernelNodeSetParams)
#define COMMA ,
SET_NODE(cudaGraphExecKernelNodeSetParams, cudaGraphExec_t exec COMMA)

#if RUNTIME >= 12
API cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph,
                                     unsigned long long f);
API cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long f)
{
    return failed((cudaError_t)cu.cuGraphInstantiateWithFlags(exec, graph, f));
}
#else
API cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, cudaGraphNode_t *bad,
                                     char *log, size_t size);
API cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, cudaGraphNode_t *bad,
                                     char *log, size_t size)
{
    return failed((cudaError_t)cu.cuGraphInstantiate(exec, graph, bad, log, size));
}
#endif

API cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
API cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    return failed((cudaError_t)cu.cuGraphLaunch(exec, stream));
}

/* ---- libraries ---- */

#if RUNTIME == 13
API cudaError_t cudaLibraryLoadData(cudaLibrary_t *library, const void *code, void *options,
                                    void **values, unsigned count, void *library_options,
                                    void **library_values, unsigned library_count);
API cudaError_t cudaLibraryLoadData(cudaLibrary_t *library, const void *code, void *options,
                                    void **values, unsigned count, void *library_options,
                                    void **library_values, unsigned library_count)
{
    cudaError_t result = start();
    return failed(
        result ? result
               : (cudaError_t)cu.cuLibraryLoadData(library, code, NULL, NULL, 0, NULL, NULL, 0));
}

API cudaError_t cudaLibraryLoadFromFile(cudaLibrary_t *library, const char *path, void *options,
                                        void **values, unsigned count, void *library_options,
                                        void **library_values, unsigned library_count);
API cudaError_t cudaLibraryLoadFromFile(cudaLibrary_t *library, const char *path, void *options,
                                        void **values, unsigned count, void *library_options,
                                        void **library_values, unsigned library_count)
{
    cudaError_t result = start();
    return failed(result ? result
                         : (cudaError_t)cu.cuLibraryLoadFromFile(library, path, NULL, NULL, 0, NULL,
                                                                 NULL, 0));
}

API cudaError_t cudaLibraryGetKernel(cudaKernel_t *kernel, cudaLibrary_t library, const char *name);
API cudaError_t cudaLibraryGetKernel(cudaKernel_t *kernel, cudaLibrary_t library, const char *name)
{
    return failed((cudaError_t)cu.cuLibraryGetKernel(kernel, library, name));
}

API cudaError_t cudaLibraryUnload(cudaLibrary_t library);
API cudaError_t cudaLibraryUnload(cudaLibrary_t library)
{
    return failed((cudaError_t)cu.cuLibraryUnload(library));
}
#endif

/* ---- the rest that programs need ---- */

API cudaError_t cudaGetLastError(void);
API cudaError_t cudaGetLastError(void)
{
    cudaError_t error = last_error;
    last_error = 0;
    return error;
}

API cudaError_t cudaPeekAtLastError(void);
API cudaError_t cudaPeekAtLastError(void)
{
    return last_error;
}

API const char *cudaGetErrorString(cudaError_t error);
API const char *cudaGetErrorString(cudaError_t error)
{
    switch (error) {
    case 0:
        return "no error";
    case 3:
        return "initialization error";
    case 35:
        return "CUDA driver version is insufficient for CUDA runtime version";
    case 98:
        return "invalid device function";
    case 209:
        return "no kernel image is available for execution on the device";
    case 218:
        return "a PTX JIT compilation failed";
    case 222:
        return "the provided PTX was compiled with an unsupported toolchain.";
    case 223:
        return "PTX JIT compilation was disabled";
    case 500:
        return "named symbol not found";
    case 700:
        return "an illegal memory access was encountered";
    case 719:
        return "unspecified launch failure";
    default:
        return "unrecognized error code";
    }
}

API const char *cudaGetErrorName(cudaError_t error);
API const char *cudaGetErrorName(cudaError_t error)
{
    switch (error) {
    case 0:
        return "cudaSuccess";
    case 98:
        return "cudaErrorInvalidDeviceFunction";
    case 209:
        return "cudaErrorNoKernelImageForDevice";
    default:
        return "unrecognized error code";
    }
}

API cudaError_t cudaGetDriverEntryPoint(const char *name, void **out, unsigned long long flags,
                                        int *status);
API cudaError_t cudaGetDriverEntryPoint(const char *name, void **out, unsigned long long flags,
                                        int *status)
{
    cudaError_t result = start();
    if (result)
        return failed(result);
    static const int own_version = RUNTIME == 11 ? 11080 : RUNTIME == 12 ? 12040 : 13000;
    result = (cudaError_t)LOOK_UP(name, out, own_version, flags);
    if (status)
        *status = *out ? 0 : 1;
    return failed(result);
}

#if RUNTIME == 13
API cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **out, unsigned version,
                                                 unsigned long long flags, int *status);
API cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **out, unsigned version,
                                                 unsigned long long flags, int *status)
{
    cudaError_t result = start();
    if (result)
        return failed(result);
    result = (cudaError_t)LOOK_UP(name, out, (int)version, flags);
    if (status)
        *status = *out ? 0 : 1;
    return failed(result);
}
#endif

API cudaError_t cudaRuntimeGetVersion(int *version);
API cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = RUNTIME == 11 ? 11080 : RUNTIME == 12 ? 12040 : 13000;
    return 0;
}

API cudaError_t cudaDriverGetVersion(int *version);
API cudaError_t cudaDriverGetVersion(int *version)
{
    cudaError_t result = start();
    return failed(result ? result : (cudaError_t)cu.cuDriverGetVersion(version));
}

API cudaError_t cudaGetDeviceCount(int *count);
API cudaError_t cudaGetDeviceCount(int *count)
{
    cudaError_t result = start();
    return failed(result ? result : (cudaError_t)cu.cuDeviceGetCount(count));
}

API cudaError_t cudaGetDevice(int *device);
API cudaError_t cudaGetDevice(int *device)
{
    *device = 0;
    return failed(start());
}

/* Succeeds, and starts the runtime: often a program's first call. */
#define START(name, parameters)                                                                    \
    API cudaError_t name parameters;                                                               \
    API cudaError_t name parameters                                                                \
    {                                                                                              \
        return failed(start());                                                                    \
    }
START(cudaSetDevice, (int device))
START(cudaDeviceSynchronize, (void))
START(cudaStreamSynchronize, (cudaStream_t stream))

API cudaError_t cudaFree(void *p);
API cudaError_t cudaFree(void *p)
{
    free(p);
    return failed(start());
}

API cudaError_t cudaMalloc(void **out, size_t size);
API cudaError_t cudaMalloc(void **out, size_t size)
{
    *out = calloc(1, size);
    return failed(start());
}

API cudaError_t cudaMemcpy(void *to, const void *from, size_t size, int kind);
API cudaError_t cudaMemcpy(void *to, const void *from, size_t size, int kind)
{
    memcpy(to, from, size);
    return failed(start());
}
