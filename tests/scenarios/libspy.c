/* The driver of s06: says which of two originals was reached.
 * as: spy/libcuda.so.1 */
#include <stdio.h>
#include <string.h>
#include "kg_cuda.h"

#define LAUNCH(name)                                                                               \
    CUresult name(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,   \
                  unsigned bz, unsigned shared, CUstream stream, void **parameters, void **extra)  \
    {                                                                                              \
        (void)f, (void)gx, (void)gy, (void)gz, (void)bx, (void)by, (void)bz, (void)shared;         \
        (void)stream, (void)parameters, (void)extra;                                               \
        puts("driver: " #name);                                                                    \
        return CUDA_SUCCESS;                                                                       \
    }
LAUNCH(cuLaunchKernel)
LAUNCH(cuLaunchKernel_ptsz)

CUresult cuGetProcAddress_v2(const char *symbol, void **pfn, int version, cuuint64_t flags,
                             CUdriverProcAddressQueryResult *status)
{
    (void)version, (void)status;
    if (strcmp(symbol, "cuLaunchKernel") != 0)
        return CUDA_ERROR_NOT_FOUND;
    *pfn = flags == CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM ? (void *)cuLaunchKernel_ptsz
                                                                  : (void *)cuLaunchKernel;
    return CUDA_SUCCESS;
}
