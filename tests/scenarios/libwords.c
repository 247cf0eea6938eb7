/* Stands between the program and the driver in s87: says of each load that the compiler had no words, as the
 * driver does.
 * link: -l:libcuda.so.1 */
#include <dlfcn.h>
#include "kg_cuda.h"

CUresult cuLibraryLoadData(CUlibrary *library, const void *image, CUjit_option *jit, void **jit_values,
                           unsigned jit_count, CUlibraryOption *options, void **values, unsigned count)
{
    __typeof__(cuLibraryLoadData) *next =
        (__typeof__(cuLibraryLoadData) *)dlsym(RTLD_NEXT, "cuLibraryLoadData");

    for (unsigned i = 0; i < jit_count; i++) {
        if (jit[i] == CU_JIT_ERROR_LOG_BUFFER)
            *(char *)jit_values[i] = 0;
        if (jit[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
            jit_values[i] = NULL;
    }
    return next(library, image, jit, jit_values, jit_count, options, values, count);
}
