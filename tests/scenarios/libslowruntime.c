/* The runtime of s94: another thread loads an image before its failed call has returned.
 * link: -l:libcuda.so.1 */
#include <pthread.h>
#include "direct.h"

int cudaLibraryLoadData(CUmodule *library, const void *image, void *jit, void **jit_values,
                        unsigned jit_n, void *options, void **values, unsigned n);
void **__cudaRegisterFatBinary(void *wrapper);

void **__cudaRegisterFatBinary(void *wrapper) /* what a runtime is known by */
{
    return wrapper;
}

static void *load_another(void *context)
{
    size_t size = fatbin_120_end - fatbin_120;
    void *image = memcpy(malloc(size), fatbin_120, size);
    CUmodule module = NULL;

    (void)context;
    start_direct();
    CALL(cuModuleLoadData, &module, image);
    return NULL;
}

int cudaLibraryLoadData(CUmodule *library, const void *image, void *jit, void **jit_values,
                        unsigned jit_n, void *options, void **values, unsigned n)
{
    pthread_t thread;
    int result = cuModuleLoadData(library, image);

    (void)jit, (void)jit_values, (void)jit_n, (void)options, (void)values, (void)n;
    pthread_create(&thread, NULL, load_another, NULL);
    pthread_join(thread, NULL);
    return result;
}
