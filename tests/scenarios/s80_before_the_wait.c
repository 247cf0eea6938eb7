/*
 * An image that the driver must compile: the line that says so comes before the call that takes so long.
 * The call fails here, so that a line that came after it would never be written.
 * link: -l:libcuda.so.1
 * run: KGFAKE_FAIL=cuModuleLoadData=999,cuLibraryLoadData=999
 * run: KGFAKE_FAIL=cuModuleLoadData=999,cuLibraryLoadData=999 KGUARD_LOG_FORMAT=json
 */
#include "direct.h"

EMBED(ptx_80, "tests/gpu/cases/compute_80.ptx");

int main(void)
{
    size_t size = (size_t)(ptx_80_end - ptx_80);
    char *ptx = calloc(1, size + 1);
    CUmodule module = NULL;
    CUlibrary library = NULL;

    memcpy(ptx, ptx_80, size);
    start_direct();
    CALL(cuModuleLoadData, &module, ptx);
    CALL(cuModuleLoadData, &module, fatbin_60_90);
    CALL(cuLibraryLoadData, &library, ptx, NULL, NULL, 0, NULL, NULL, 0);
    return 0;
}
