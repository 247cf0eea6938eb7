/*
 * A runtime program that asks its runtime for driver functions.
 * link: -l:libcudart.so.12
 */
#include "runtime.h"

int main(void)
{
    void *out = NULL;
    int status = -1;
    CUmodule module = NULL;
    CALL(fitting_stub);
    CALL(cudaGetDriverEntryPoint, "cuModuleLoadData", &out, 0, &status);
    printf("status %d\n", status);
    __typeof__(cuModuleLoadData) *load = out;
    CALL(load, &module, fatbin_120);
    CALL(load, &module, fatbin_60_90);
    return 0;
}
