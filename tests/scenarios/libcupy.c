/*
 * Stands for CuPy: hands the driver a cubin from its cache.
 * as: cupy/driver.so
 */
#include "scenario.h"

#define PUBLIC __attribute__((visibility("default")))

EMBED(cubin_80, "tests/fixtures/cubin_80.cubin");

PUBLIC int load_cached(void);
PUBLIC int load_cached(void)
{
    CUmodule module = NULL;
    size_t size = (size_t)(cubin_80_end - cubin_80);
    void *copy = malloc(size);
    int result;

    memcpy(copy, cubin_80, size);
    result = cuModuleLoadData(&module, copy);
    free(copy);
    return result;
}
