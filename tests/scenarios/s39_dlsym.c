/* A program that loads libcuda with dlopen and looks its functions up with dlsym. */
#include "scenario.h"

static void *library;

static void *driver(const char *name)
{
    return dlsym(library, name);
}

int main(void)
{
    CUmodule module = NULL;
    library = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
    start(driver);
    CALL_BY(driver, cuModuleLoadData, &module, fatbin_120);
    return CALL_BY(driver, cuModuleLoadData, &module, fatbin_60_90);
}
