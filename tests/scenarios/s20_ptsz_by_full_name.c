/*
 * cuLaunchKernel_ptsz looked up by its full name, as programs built with a per-thread default
 * stream do without any flag; a failing use through it is seen.
 */
#include "scenario.h"

static void *library;

static void *driver(const char *name)
{
    return dlsym(library, name);
}

int main(void)
{
    CUlibrary lib = NULL;
    CUkernel kernel = NULL;
    library = dlopen("libcuda.so.1", RTLD_NOW);
    start(driver);
    CALL_BY(driver, cuLibraryLoadData, &lib, &fitting, NULL, NULL, 0, NULL, NULL, 0);
    CALL_BY(driver, cuLibraryGetKernel, &kernel, lib, KERNEL);
    answer("cuLaunchKernel_ptsz", launch(driver("cuLaunchKernel_ptsz"), (CUfunction)kernel));
    answer("cuLaunchKernel_ptsz", launch(driver("cuLaunchKernel_ptsz"), NULL));
    return 0;
}
