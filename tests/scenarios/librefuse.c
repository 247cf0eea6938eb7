/* Stands between the program and the driver in s86: both threads' calls for a kernel of the first library
 * come back with 209 (REFUSE=1), neither before the other was made.
 * link: -l:libcuda.so.1 -lpthread */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include "kg_cuda.h"

CUresult cuLibraryGetKernel(CUkernel *kernel, CUlibrary library, const char *name)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static pthread_cond_t both = PTHREAD_COND_INITIALIZER;
    static CUlibrary first;
    static int calls;
    __typeof__(cuLibraryGetKernel) *next =
        (__typeof__(cuLibraryGetKernel) *)dlsym(RTLD_NEXT, "cuLibraryGetKernel");

    if (!getenv("REFUSE"))
        return next(kernel, library, name);
    pthread_mutex_lock(&mutex);
    if (!first)
        first = library;
    if (first != library) {
        pthread_mutex_unlock(&mutex);
        return next(kernel, library, name);
    }
    calls++;
    pthread_cond_broadcast(&both);
    while (calls < 2)
        pthread_cond_wait(&both, &mutex);
    pthread_mutex_unlock(&mutex);
    return CUDA_ERROR_NO_BINARY_FOR_GPU;
}
