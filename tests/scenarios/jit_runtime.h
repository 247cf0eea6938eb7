/* A kernel that is there as PTX alone, registered with a shared runtime and launched through it. */
#ifndef JIT_RUNTIME_H
#define JIT_RUNTIME_H

#define NO_LACKING
#define NO_FITTING
#include "runtime.h"
#include "jit.h"

static cudaError_t ptx_stub(void)
{
    return cudaLaunchKernel((const void *)ptx_stub, one, one, no_arguments, 0, NULL);
}

static void **ptx_handle;

static void unregister_ptx(void)
{
    __cudaUnregisterFatBinary(ptx_handle);
}

__attribute__((constructor)) static void register_ptx(void)
{
    ptx_handle = register_image(&ptx, (const void *)ptx_stub);
    atexit(unregister_ptx);
}

static inline int launch_twice(void)
{
    struct cudaFuncAttributes attributes;
    CALL(cudaFuncGetAttributes, &attributes, (const void *)ptx_stub);
    for (int i = 0; i < 2; i++)
        CALL(ptx_stub, );
    return answer("cudaGetLastError", cudaGetLastError());
}

#endif
