/*
 * The part of the CUDA Driver API that kguard meets, declared from its public documentation so that
 * nothing here needs a CUDA toolkit. Names, values and layouts are the interface's own; tests/fake/
 * cuda_h.sh compares every one of them with cuda.h where a toolkit is installed.
 *
 * Functions carry the names that libcuda.so.1 exports (cuMemAlloc_v2, not cuMemAlloc): cuda.h maps
 * the bare names to these by macros, programs compiled long ago still ask for the older ones.
 * Where both exist, foo and foo_v2 differ in layout or meaning of an argument.
 */
#ifndef KG_CUDA_H
#define KG_CUDA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef KG_CUDA_TYPES_FROM_TOOLKIT

typedef enum cudaError_enum {
    CUDA_SUCCESS = 0,
    CUDA_ERROR_INVALID_VALUE = 1,
    CUDA_ERROR_OUT_OF_MEMORY = 2,
    CUDA_ERROR_NOT_INITIALIZED = 3,
    CUDA_ERROR_DEINITIALIZED = 4,
    CUDA_ERROR_STUB_LIBRARY = 34,
    CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER = 36,
    CUDA_ERROR_NO_DEVICE = 100,
    CUDA_ERROR_INVALID_DEVICE = 101,
    CUDA_ERROR_INVALID_IMAGE = 200,
    CUDA_ERROR_INVALID_CONTEXT = 201,
    CUDA_ERROR_NO_BINARY_FOR_GPU = 209,
    CUDA_ERROR_INVALID_PTX = 218,
    CUDA_ERROR_JIT_COMPILER_NOT_FOUND = 221,
    CUDA_ERROR_UNSUPPORTED_PTX_VERSION = 222,
    CUDA_ERROR_JIT_COMPILATION_DISABLED = 223,
    CUDA_ERROR_INVALID_SOURCE = 300,
    CUDA_ERROR_FILE_NOT_FOUND = 301,
    CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND = 302,
    CUDA_ERROR_SHARED_OBJECT_INIT_FAILED = 303,
    CUDA_ERROR_OPERATING_SYSTEM = 304,
    CUDA_ERROR_INVALID_HANDLE = 400,
    CUDA_ERROR_NOT_FOUND = 500,
    CUDA_ERROR_ILLEGAL_ADDRESS = 700,
    CUDA_ERROR_NOT_SUPPORTED = 801,
    CUDA_ERROR_UNKNOWN = 999
} CUresult;

typedef uint64_t cuuint64_t;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUlib_st *CUlibrary;
typedef struct CUkern_st *CUkernel;
typedef struct CUstream_st *CUstream;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphNode_st *CUgraphNode;
typedef struct CUgraphExec_st *CUgraphExec;
typedef struct CUlinkState_st *CUlinkState;
typedef struct CUlogsCallbackEntry_st *CUlogsCallbackHandle;

typedef struct CUuuid_st {
    char bytes[16];
} CUuuid;

typedef enum CUdevice_attribute_enum {
    CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 1,
    CU_DEVICE_ATTRIBUTE_WARP_SIZE = 10,
    CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
    CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH = 95
} CUdevice_attribute;

typedef enum CUfunction_attribute_enum {
    CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 0,
    CU_FUNC_ATTRIBUTE_NUM_REGS = 4,
    CU_FUNC_ATTRIBUTE_PTX_VERSION = 5,
    CU_FUNC_ATTRIBUTE_BINARY_VERSION = 6,
    CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8
} CUfunction_attribute;

typedef enum CUfunc_cache_enum {
    CU_FUNC_CACHE_PREFER_NONE = 0,
    CU_FUNC_CACHE_PREFER_SHARED = 1
} CUfunc_cache;

typedef enum CUfunctionLoadingState_enum {
    CU_FUNCTION_LOADING_STATE_UNLOADED = 0,
    CU_FUNCTION_LOADING_STATE_LOADED = 1
} CUfunctionLoadingState;

typedef enum CUmoduleLoadingMode_enum {
    CU_MODULE_EAGER_LOADING = 1,
    CU_MODULE_LAZY_LOADING = 2
} CUmoduleLoadingMode;

typedef enum CUjit_option_enum {
    CU_JIT_MAX_REGISTERS = 0,
    CU_JIT_INFO_LOG_BUFFER = 3,
    CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES = 4,
    CU_JIT_ERROR_LOG_BUFFER = 5,
    CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES = 6,
    CU_JIT_OPTIMIZATION_LEVEL = 7,
    CU_JIT_TARGET_FROM_CUCONTEXT = 8,
    CU_JIT_TARGET = 9,
    CU_JIT_FALLBACK_STRATEGY = 10,
    CU_JIT_CACHE_MODE = 14,
    CU_JIT_SPLIT_COMPILE = 34
} CUjit_option;

typedef enum CUjit_fallback_enum { CU_PREFER_PTX = 0, CU_PREFER_BINARY = 1 } CUjit_fallback;

typedef enum CUjitInputType_enum {
    CU_JIT_INPUT_CUBIN = 0,
    CU_JIT_INPUT_PTX = 1,
    CU_JIT_INPUT_FATBINARY = 2,
    CU_JIT_INPUT_OBJECT = 3,
    CU_JIT_INPUT_LIBRARY = 4,
    CU_JIT_INPUT_NVVM = 5
} CUjitInputType;

typedef enum CUlibraryOption_enum {
    CU_LIBRARY_HOST_UNIVERSAL_FUNCTION_AND_DATA_TABLE = 0,
    CU_LIBRARY_BINARY_IS_PRESERVED = 1
} CUlibraryOption;

typedef enum CUdriverProcAddress_flags_enum {
    CU_GET_PROC_ADDRESS_DEFAULT = 0,
    CU_GET_PROC_ADDRESS_LEGACY_STREAM = 1,
    CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM = 2
} CUdriverProcAddress_flags;

typedef enum CUdriverProcAddressQueryResult_enum {
    CU_GET_PROC_ADDRESS_SUCCESS = 0,
    CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND = 1,
    CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT = 2
} CUdriverProcAddressQueryResult;

/* Attributes are looked at by nobody here; only their size matters, to step over them. */
typedef enum CUlaunchAttributeID_enum {
    CU_LAUNCH_ATTRIBUTE_IGNORE = 0,
    CU_LAUNCH_ATTRIBUTE_COOPERATIVE = 2
} CUlaunchAttributeID;

typedef union CUlaunchAttributeValue_union {
    char pad[64];
    int cooperative;
} CUlaunchAttributeValue;

typedef struct CUlaunchAttribute_st {
    CUlaunchAttributeID id;
    char pad[8 - sizeof(CUlaunchAttributeID)];
    CUlaunchAttributeValue value;
} CUlaunchAttribute;

typedef struct CUlaunchConfig_st {
    unsigned int gridDimX, gridDimY, gridDimZ;
    unsigned int blockDimX, blockDimY, blockDimZ;
    unsigned int sharedMemBytes;
    CUstream hStream;
    CUlaunchAttribute *attrs;
    unsigned int numAttrs;
} CUlaunchConfig;

typedef struct CUDA_LAUNCH_PARAMS_st {
    CUfunction function;
    unsigned int gridDimX, gridDimY, gridDimZ;
    unsigned int blockDimX, blockDimY, blockDimZ;
    unsigned int sharedMemBytes;
    CUstream hStream;
    void **kernelParams;
} CUDA_LAUNCH_PARAMS;

typedef struct CUDA_KERNEL_NODE_PARAMS_st {
    CUfunction func;
    unsigned int gridDimX, gridDimY, gridDimZ;
    unsigned int blockDimX, blockDimY, blockDimZ;
    unsigned int sharedMemBytes;
    void **kernelParams;
    void **extra;
} CUDA_KERNEL_NODE_PARAMS_v1;

/* Adds the kernel handle, which counts where func is NULL. */
typedef struct CUDA_KERNEL_NODE_PARAMS_v2_st {
    CUfunction func;
    unsigned int gridDimX, gridDimY, gridDimZ;
    unsigned int blockDimX, blockDimY, blockDimZ;
    unsigned int sharedMemBytes;
    void **kernelParams;
    void **extra;
    CUkernel kern;
    CUcontext ctx;
} CUDA_KERNEL_NODE_PARAMS_v2;

typedef struct CUDA_KERNEL_NODE_PARAMS_v3_st {
    CUfunction func;
    unsigned int gridDimX, gridDimY, gridDimZ;
    unsigned int blockDimX, blockDimY, blockDimZ;
    unsigned int sharedMemBytes;
    void **kernelParams;
    void **extra;
    CUkernel kern;
    CUcontext ctx;
} CUDA_KERNEL_NODE_PARAMS_v3;

typedef enum CUgraphNodeType_enum {
    CU_GRAPH_NODE_TYPE_KERNEL = 0,
    CU_GRAPH_NODE_TYPE_EMPTY = 5
} CUgraphNodeType;

/* Of the many kinds of node only the kernel matters here; reserved1 gives the union its size. */
typedef struct CUgraphNodeParams_st {
    CUgraphNodeType type;
    int reserved0[3];
    union {
        long long reserved1[29];
        CUDA_KERNEL_NODE_PARAMS_v3 kernel;
    };
    long long reserved2;
} CUgraphNodeParams;

typedef struct CUgraphEdgeData_st {
    unsigned char from_port, to_port, type, reserved[5];
} CUgraphEdgeData;

typedef enum CUgraphInstantiateResult_enum {
    CUDA_GRAPH_INSTANTIATE_SUCCESS = 0,
    CUDA_GRAPH_INSTANTIATE_ERROR = 1
} CUgraphInstantiateResult;

typedef struct CUDA_GRAPH_INSTANTIATE_PARAMS_st {
    cuuint64_t flags;
    CUstream hUploadStream;
    CUgraphNode hErrNode_out;
    CUgraphInstantiateResult result_out;
} CUDA_GRAPH_INSTANTIATE_PARAMS;

typedef enum CUlogLevel_enum { CU_LOG_LEVEL_ERROR = 0, CU_LOG_LEVEL_WARNING = 1 } CUlogLevel;

typedef void (*CUlogsCallback)(void *data, CUlogLevel logLevel, char *message, size_t length);
typedef size_t (*CUoccupancyB2DSize)(int blockSize);

#endif /* KG_CUDA_TYPES_FROM_TOOLKIT */

/*
 * Every function, as F(name, (parameters)), all returning CUresult. Z stands for two: name, and
 * name_ptsz, the same call on the per-thread default stream, which programs compiled with
 * --default-stream per-thread reach instead.
 */
/* clang-format off */
#define KG_CUDA_FUNCTIONS(F, Z)                                                                    \
    /* the driver and its errors */                                                                \
    F(cuInit, (unsigned int Flags))                                                                \
    F(cuDriverGetVersion, (int *driverVersion))                                                    \
    F(cuGetErrorString, (CUresult error, const char **pStr))                                       \
    F(cuGetErrorName, (CUresult error, const char **pStr))                                         \
    /* devices */                                                                                  \
    F(cuDeviceGet, (CUdevice *device, int ordinal))                                                \
    F(cuDeviceGetCount, (int *count))                                                              \
    F(cuDeviceGetName, (char *name, int len, CUdevice dev))                                        \
    F(cuDeviceGetAttribute, (int *pi, CUdevice_attribute attrib, CUdevice dev))                    \
    F(cuDeviceComputeCapability, (int *major, int *minor, CUdevice dev))                           \
    F(cuDeviceTotalMem_v2, (size_t *bytes, CUdevice dev))                                          \
    F(cuDeviceGetUuid, (CUuuid *uuid, CUdevice dev))                                               \
    /* primary contexts */                                                                         \
    F(cuDevicePrimaryCtxRetain, (CUcontext *pctx, CUdevice dev))                                   \
    F(cuDevicePrimaryCtxRelease, (CUdevice dev))                                                   \
    F(cuDevicePrimaryCtxRelease_v2, (CUdevice dev))                                                \
    F(cuDevicePrimaryCtxGetState, (CUdevice dev, unsigned int *flags, int *active))                \
    /* contexts */                                                                                 \
    F(cuCtxCreate_v2, (CUcontext *pctx, unsigned int flags, CUdevice dev))                         \
    F(cuCtxDestroy_v2, (CUcontext ctx))                                                            \
    F(cuCtxSetCurrent, (CUcontext ctx))                                                            \
    F(cuCtxGetCurrent, (CUcontext *pctx))                                                          \
    F(cuCtxGetDevice, (CUdevice *device))                                                          \
    F(cuCtxPushCurrent_v2, (CUcontext ctx))                                                        \
    F(cuCtxPopCurrent_v2, (CUcontext *pctx))                                                       \
    F(cuCtxSynchronize, (void))                                                                    \
    /* memory */                                                                                   \
    F(cuMemAlloc_v2, (CUdeviceptr *dptr, size_t bytesize))                                         \
    F(cuMemFree_v2, (CUdeviceptr dptr))                                                            \
    F(cuMemcpyHtoD_v2, (CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount))             \
    F(cuMemcpyDtoH_v2, (void *dstHost, CUdeviceptr srcDevice, size_t ByteCount))                   \
    F(cuMemcpyHtoD_v2_ptds, (CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount))        \
    F(cuMemcpyDtoH_v2_ptds, (void *dstHost, CUdeviceptr srcDevice, size_t ByteCount))              \
    F(cuMemGetInfo_v2, (size_t *free, size_t *total))                                              \
    Z(cuMemcpyHtoDAsync_v2, (CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount,         \
      CUstream hStream))                                                                           \
    Z(cuMemcpyDtoHAsync_v2, (void *dstHost, CUdeviceptr srcDevice, size_t ByteCount,               \
      CUstream hStream))                                                                           \
    /* streams */                                                                                  \
    F(cuStreamCreate, (CUstream *phStream, unsigned int Flags))                                    \
    F(cuStreamDestroy_v2, (CUstream hStream))                                                      \
    Z(cuStreamSynchronize, (CUstream hStream))                                                     \
    /* modules */                                                                                  \
    F(cuModuleLoad, (CUmodule *module, const char *fname))                                         \
    F(cuModuleLoadData, (CUmodule *module, const void *image))                                     \
    F(cuModuleLoadDataEx, (CUmodule *module, const void *image, unsigned int numOptions,           \
      CUjit_option *options, void **optionValues))                                                 \
    F(cuModuleLoadFatBinary, (CUmodule *module, const void *fatCubin))                             \
    F(cuModuleUnload, (CUmodule hmod))                                                             \
    F(cuModuleGetFunction, (CUfunction *hfunc, CUmodule hmod, const char *name))                   \
    F(cuModuleGetGlobal_v2, (CUdeviceptr *dptr, size_t *bytes, CUmodule hmod, const char *name))   \
    F(cuModuleGetFunctionCount, (unsigned int *count, CUmodule mod))                               \
    F(cuModuleEnumerateFunctions, (CUfunction *functions, unsigned int numFunctions,               \
      CUmodule mod))                                                                               \
    F(cuModuleGetLoadingMode, (CUmoduleLoadingMode *mode))                                         \
    /* the JIT linker */                                                                           \
    F(cuLinkCreate, (unsigned int numOptions, CUjit_option *options, void **optionValues,          \
      CUlinkState *stateOut))                                                                      \
    F(cuLinkCreate_v2, (unsigned int numOptions, CUjit_option *options, void **optionValues,       \
      CUlinkState *stateOut))                                                                      \
    F(cuLinkAddData, (CUlinkState state, CUjitInputType type, void *data, size_t size,             \
      const char *name, unsigned int numOptions, CUjit_option *options, void **optionValues))      \
    F(cuLinkAddData_v2, (CUlinkState state, CUjitInputType type, void *data, size_t size,          \
      const char *name, unsigned int numOptions, CUjit_option *options, void **optionValues))      \
    F(cuLinkAddFile, (CUlinkState state, CUjitInputType type, const char *path,                    \
      unsigned int numOptions, CUjit_option *options, void **optionValues))                        \
    F(cuLinkAddFile_v2, (CUlinkState state, CUjitInputType type, const char *path,                 \
      unsigned int numOptions, CUjit_option *options, void **optionValues))                        \
    F(cuLinkComplete, (CUlinkState state, void **cubinOut, size_t *sizeOut))                       \
    F(cuLinkDestroy, (CUlinkState state))                                                          \
    /* libraries */                                                                                \
    F(cuLibraryLoadData, (CUlibrary *library, const void *code, CUjit_option *jitOptions,          \
      void **jitOptionsValues, unsigned int numJitOptions, CUlibraryOption *libraryOptions,        \
      void **libraryOptionValues, unsigned int numLibraryOptions))                                 \
    F(cuLibraryLoadFromFile, (CUlibrary *library, const char *fileName,                            \
      CUjit_option *jitOptions, void **jitOptionsValues, unsigned int numJitOptions,               \
      CUlibraryOption *libraryOptions, void **libraryOptionValues,                                 \
      unsigned int numLibraryOptions))                                                             \
    F(cuLibraryUnload, (CUlibrary library))                                                        \
    F(cuLibraryGetKernel, (CUkernel *pKernel, CUlibrary library, const char *name))                \
    F(cuLibraryGetKernelCount, (unsigned int *count, CUlibrary lib))                               \
    F(cuLibraryEnumerateKernels, (CUkernel *kernels, unsigned int numKernels, CUlibrary lib))      \
    F(cuLibraryGetModule, (CUmodule *pMod, CUlibrary library))                                     \
    F(cuLibraryGetGlobal, (CUdeviceptr *dptr, size_t *bytes, CUlibrary library,                    \
      const char *name))                                                                           \
    F(cuLibraryGetManaged, (CUdeviceptr *dptr, size_t *bytes, CUlibrary library,                   \
      const char *name))                                                                           \
    F(cuLibraryGetUnifiedFunction, (void **fptr, CUlibrary library, const char *symbol))           \
    /* kernels of a library */                                                                     \
    F(cuKernelGetFunction, (CUfunction *pFunc, CUkernel kernel))                                   \
    F(cuKernelGetLibrary, (CUlibrary *pLib, CUkernel kernel))                                      \
    F(cuKernelGetAttribute, (int *pi, CUfunction_attribute attrib, CUkernel kernel,                \
      CUdevice dev))                                                                               \
    F(cuKernelSetAttribute, (CUfunction_attribute attrib, int val, CUkernel kernel,                \
      CUdevice dev))                                                                               \
    F(cuKernelSetCacheConfig, (CUkernel kernel, CUfunc_cache config, CUdevice dev))                \
    F(cuKernelGetName, (const char **name, CUkernel hfunc))                                        \
    F(cuKernelGetParamInfo, (CUkernel kernel, size_t paramIndex, size_t *paramOffset,              \
      size_t *paramSize))                                                                          \
    /* functions */                                                                                \
    F(cuFuncGetAttribute, (int *pi, CUfunction_attribute attrib, CUfunction hfunc))                \
    F(cuFuncSetAttribute, (CUfunction hfunc, CUfunction_attribute attrib, int value))              \
    F(cuFuncSetCacheConfig, (CUfunction hfunc, CUfunc_cache config))                               \
    F(cuFuncGetModule, (CUmodule *hmod, CUfunction hfunc))                                         \
    F(cuFuncGetName, (const char **name, CUfunction hfunc))                                        \
    F(cuFuncGetParamInfo, (CUfunction func, size_t paramIndex, size_t *paramOffset,                \
      size_t *paramSize))                                                                          \
    F(cuFuncIsLoaded, (CUfunctionLoadingState *state, CUfunction function))                        \
    F(cuFuncLoad, (CUfunction function))                                                           \
    /* launches */                                                                                 \
    Z(cuLaunchKernel, (CUfunction f, unsigned int gridDimX, unsigned int gridDimY,                 \
      unsigned int gridDimZ, unsigned int blockDimX, unsigned int blockDimY,                       \
      unsigned int blockDimZ, unsigned int sharedMemBytes, CUstream hStream,                       \
      void **kernelParams, void **extra))                                                          \
    Z(cuLaunchKernelEx, (const CUlaunchConfig *config, CUfunction f, void **kernelParams,          \
      void **extra))                                                                               \
    Z(cuLaunchCooperativeKernel, (CUfunction f, unsigned int gridDimX, unsigned int gridDimY,      \
      unsigned int gridDimZ, unsigned int blockDimX, unsigned int blockDimY,                       \
      unsigned int blockDimZ, unsigned int sharedMemBytes, CUstream hStream,                       \
      void **kernelParams))                                                                        \
    F(cuLaunchCooperativeKernelMultiDevice, (CUDA_LAUNCH_PARAMS *launchParamsList,                 \
      unsigned int numDevices, unsigned int flags))                                                \
    F(cuLaunch, (CUfunction f))                                                                    \
    F(cuLaunchGrid, (CUfunction f, int grid_width, int grid_height))                               \
    F(cuLaunchGridAsync, (CUfunction f, int grid_width, int grid_height, CUstream hStream))        \
    /* occupancy */                                                                                \
    F(cuOccupancyMaxActiveBlocksPerMultiprocessor, (int *numBlocks, CUfunction func,               \
      int blockSize, size_t dynamicSMemSize))                                                      \
    F(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags, (int *numBlocks, CUfunction func,      \
      int blockSize, size_t dynamicSMemSize, unsigned int flags))                                  \
    F(cuOccupancyMaxPotentialBlockSize, (int *minGridSize, int *blockSize, CUfunction func,        \
      CUoccupancyB2DSize blockSizeToDynamicSMemSize, size_t dynamicSMemSize,                       \
      int blockSizeLimit))                                                                         \
    /* graphs */                                                                                   \
    F(cuGraphCreate, (CUgraph *phGraph, unsigned int flags))                                       \
    F(cuGraphDestroy, (CUgraph hGraph))                                                            \
    F(cuGraphAddKernelNode, (CUgraphNode *phGraphNode, CUgraph hGraph,                             \
      const CUgraphNode *dependencies, size_t numDependencies,                                     \
      const CUDA_KERNEL_NODE_PARAMS_v1 *nodeParams))                                               \
    F(cuGraphAddKernelNode_v2, (CUgraphNode *phGraphNode, CUgraph hGraph,                          \
      const CUgraphNode *dependencies, size_t numDependencies,                                     \
      const CUDA_KERNEL_NODE_PARAMS_v2 *nodeParams))                                               \
    F(cuGraphKernelNodeSetParams, (CUgraphNode hNode,                                              \
      const CUDA_KERNEL_NODE_PARAMS_v1 *nodeParams))                                               \
    F(cuGraphKernelNodeSetParams_v2, (CUgraphNode hNode,                                           \
      const CUDA_KERNEL_NODE_PARAMS_v2 *nodeParams))                                               \
    F(cuGraphExecKernelNodeSetParams, (CUgraphExec hGraphExec, CUgraphNode hNode,                  \
      const CUDA_KERNEL_NODE_PARAMS_v1 *nodeParams))                                               \
    F(cuGraphExecKernelNodeSetParams_v2, (CUgraphExec hGraphExec, CUgraphNode hNode,               \
      const CUDA_KERNEL_NODE_PARAMS_v2 *nodeParams))                                               \
    F(cuGraphAddNode, (CUgraphNode *phGraphNode, CUgraph hGraph,                                   \
      const CUgraphNode *dependencies, size_t numDependencies, CUgraphNodeParams *nodeParams))     \
    F(cuGraphAddNode_v2, (CUgraphNode *phGraphNode, CUgraph hGraph,                                \
      const CUgraphNode *dependencies, const CUgraphEdgeData *dependencyData,                      \
      size_t numDependencies, CUgraphNodeParams *nodeParams))                                      \
    F(cuGraphNodeSetParams, (CUgraphNode hNode, CUgraphNodeParams *nodeParams))                    \
    F(cuGraphExecNodeSetParams, (CUgraphExec hGraphExec, CUgraphNode hNode,                        \
      CUgraphNodeParams *nodeParams))                                                              \
    F(cuGraphInstantiate, (CUgraphExec *phGraphExec, CUgraph hGraph, CUgraphNode *phErrorNode,     \
      char *logBuffer, size_t bufferSize))                                                         \
    F(cuGraphInstantiate_v2, (CUgraphExec *phGraphExec, CUgraph hGraph,                            \
      CUgraphNode *phErrorNode, char *logBuffer, size_t bufferSize))                               \
    F(cuGraphInstantiateWithFlags, (CUgraphExec *phGraphExec, CUgraph hGraph,                      \
      unsigned long long flags))                                                                   \
    Z(cuGraphInstantiateWithParams, (CUgraphExec *phGraphExec, CUgraph hGraph,                     \
      CUDA_GRAPH_INSTANTIATE_PARAMS *instantiateParams))                                           \
    Z(cuGraphLaunch, (CUgraphExec hGraph, CUstream hStream))                                       \
    F(cuGraphExecDestroy, (CUgraphExec hGraphExec))                                                \
    /* entry points */                                                                             \
    F(cuGetProcAddress, (const char *symbol, void **pfn, int cudaVersion, cuuint64_t flags))       \
    F(cuGetProcAddress_v2, (const char *symbol, void **pfn, int cudaVersion, cuuint64_t flags,     \
      CUdriverProcAddressQueryResult *symbolStatus))                                               \
    F(cuGetExportTable, (const void **ppExportTable, const CUuuid *pExportTableId))                \
    /* the driver's own log */                                                                     \
    F(cuLogsRegisterCallback, (CUlogsCallback callbackFunc, void *userData,                        \
      CUlogsCallbackHandle *callback_out))                                                         \
    F(cuLogsUnregisterCallback, (CUlogsCallbackHandle callback))
/* clang-format on */

/* These are the driver's public names: who defines one exports it. */
#define KG_CUDA_DECLARE(name, parameters)                                                          \
    __attribute__((visibility("default"))) CUresult name parameters;
#define KG_CUDA_DECLARE_BOTH(name, parameters)                                                     \
    KG_CUDA_DECLARE(name, parameters)                                                              \
    KG_CUDA_DECLARE(name##_ptsz, parameters)
KG_CUDA_FUNCTIONS(KG_CUDA_DECLARE, KG_CUDA_DECLARE_BOTH)
#undef KG_CUDA_DECLARE
#undef KG_CUDA_DECLARE_BOTH

#ifdef __cplusplus
}
#endif

#endif
