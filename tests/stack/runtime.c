/*
 * What PyTorch asks of a runtime beside its kernels; those are in tests/fake/cudart.c. Memory is the
 * host's, everything is done at once, one stream is like another. Compiled with the headers that come
 * with PyTorch (record.py).
 */
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY ((size_t)32 << 30)

static int capability(void)
{
    const char *text = getenv("KGFAKE_CC");
    int major = 12, minor = 0;

    if (text)
        sscanf(text, "%d.%d", &major, &minor);
    return major * 10 + minor;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device)
{
    const char *name = getenv("KGFAKE_NAME");

    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "%s", name ? name : "NVIDIA GeForce RTX 5090");
    p->major = capability() / 10;
    p->minor = capability() % 10;
    p->totalGlobalMem = MEMORY;
    p->multiProcessorCount = 170;
    p->warpSize = 32;
    p->maxThreadsPerBlock = 1024;
    p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024;
    p->maxThreadsDim[2] = 64;
    p->maxGridSize[0] = 2147483647;
    p->maxGridSize[1] = p->maxGridSize[2] = 65535;
    p->maxThreadsPerMultiProcessor = 1536;
    p->sharedMemPerBlock = p->sharedMemPerMultiprocessor = 49152;
    p->regsPerBlock = p->regsPerMultiprocessor = 65536;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device)
{
    struct cudaDeviceProp p;

    cudaGetDeviceProperties(&p, device);
    *value = attribute == cudaDevAttrComputeCapabilityMajor   ? p.major
             : attribute == cudaDevAttrComputeCapabilityMinor ? p.minor
             : attribute == cudaDevAttrMultiProcessorCount    ? p.multiProcessorCount
                                                              : 0;
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *left, size_t *all)
{
    *left = *all = MEMORY;
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    memmove(to, from, n);
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *at, int value, size_t n, cudaStream_t stream)
{
    memset(at, value, n);
    return cudaSuccess;
}

cudaError_t cudaMemset(void *at, int value, size_t n)
{
    memset(at, value, n);
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void **out, size_t n, unsigned flags)
{
    *out = malloc(n);
    return *out ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFreeHost(void *at)
{
    free(at);
    return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *out, const void *at)
{
    memset(out, 0, sizeof *out);
    out->type = cudaMemoryTypeUnregistered;
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *out)
{
    *out = cudaStreamCaptureStatusNone;
    return cudaSuccess;
}

cudaError_t cudaStreamGetCaptureInfo_v2(cudaStream_t stream, enum cudaStreamCaptureStatus *out,
                                        unsigned long long *id, cudaGraph_t *graph,
                                        const cudaGraphNode_t **on, size_t *count)
{
    *out = cudaStreamCaptureStatusNone;
    return cudaSuccess;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *mode)
{
    return cudaSuccess;
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    *least = *greatest = 0;
    return cudaSuccess;
}

cudaError_t cudaDeviceCanAccessPeer(int *can, int device, int peer)
{
    *can = 0;
    return cudaSuccess;
}

static cudaError_t make(void *out)
{
    *(void **)out = malloc(1);
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    return make(event);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
    return make(event);
}

cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
    return make(stream);
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned flags, int priority)
{
    return make(stream);
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    *ms = 0;
    return cudaSuccess;
}

/* Already so: what is asked for has happened when the question comes. */
#define DONE(name, ...)                                                                            \
    cudaError_t name(__VA_ARGS__)                                                                  \
    {                                                                                              \
        return cudaSuccess;                                                                        \
    }
DONE(cudaEventDestroy, cudaEvent_t event)
DONE(cudaEventQuery, cudaEvent_t event)
DONE(cudaEventRecord, cudaEvent_t event, cudaStream_t stream)
DONE(cudaEventRecordWithFlags, cudaEvent_t event, cudaStream_t stream, unsigned flags)
DONE(cudaEventSynchronize, cudaEvent_t event)
DONE(cudaStreamDestroy, cudaStream_t stream)
DONE(cudaStreamQuery, cudaStream_t stream)
DONE(cudaStreamWaitEvent, cudaStream_t stream, cudaEvent_t event, unsigned flags)

