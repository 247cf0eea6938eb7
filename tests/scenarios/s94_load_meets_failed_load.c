/*
 * An image built in memory fails to load inside a runtime call: the call's report is of that image, though
 * another thread loads one before it returns.
 * link: -l:libcuda.so.1 -lslowruntime
 * run: KGUARD_LOG=error
 */
#include "direct.h"

int cudaLibraryLoadData(CUmodule *library, const void *image, void *jit, void **jit_values,
                        unsigned jit_n, void *options, void **values, unsigned n);

int main(void)
{
    CUmodule library = NULL;
    size_t size = fatbin_60_90_end - fatbin_60_90;
    void *image = memcpy(malloc(size), fatbin_60_90, size);

    start_direct();
    CALL(cudaLibraryLoadData, &library, image, NULL, NULL, 0, NULL, NULL, 0);
    return 0;
}
