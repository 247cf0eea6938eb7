/*
 * A driver that is older than some functions: what it lacks stays lacking, and no name of ours
 * turns up in its place. liboldcuda has the functions of a CUDA 10 driver.
 * run: LD_LIBRARY_PATH=@/old
 */
#include "scenario.h"

static void *library;

static void *driver(const char *name)
{
    return dlsym(library, name);
}

int main(void)
{
    static const char *const names[] = {"cuInit",
                                        "cuModuleLoadData",
                                        "cuLaunchKernel",
                                        "cuLaunchKernelEx",
                                        "cuLibraryLoadData",
                                        "cuGetProcAddress",
                                        "cuGetProcAddress_v2"};
    CUmodule module = NULL;
    library = dlopen("libcuda.so.1", RTLD_NOW);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        printf("%s: %s\n", names[i], driver(names[i]) ? "found" : "not found");
    start(driver);
    CALL_BY(driver, cuModuleLoadData, &module, fatbin_60_90);
    return 0;
}
