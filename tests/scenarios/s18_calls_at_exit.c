/*
 * CUDA calls at exit, after the library's own work may be over: from atexit and from a destructor.
 * link: -l:libcuda.so.1
 */
#include "direct.h"

static void fail(void)
{
    CUmodule module = NULL;
    CALL(cuModuleLoadData, &module, fatbin_120);
    CALL(cuModuleLoadData, &module, fatbin_60_90);
}

__attribute__((destructor)) static void last(void)
{
    fail();
}

int main(void)
{
    start_direct();
    atexit(fail);
    return 0;
}
