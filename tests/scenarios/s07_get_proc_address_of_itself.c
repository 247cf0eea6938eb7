/*
 * cuGetProcAddress asked for itself, in the 11.3 form and the 12.0 form, through each other:
 * whatever it hands out keeps its own ABI, and what is found through it is seen.
 */
#include "scenario.h"

static void *library;

static void *driver(const char *name)
{
    return dlsym(library, name);
}

int main(void)
{
    void *old = NULL, *new = NULL;
    __typeof__(cuModuleLoadData) *load = NULL;
    CUdriverProcAddressQueryResult status = 77;
    CUmodule module = NULL;
    library = dlopen("libcuda.so.1", RTLD_NOW);
    start(driver);
    __typeof__(cuGetProcAddress) *get = driver("cuGetProcAddress");
    __typeof__(cuGetProcAddress_v2) *get_v2 = driver("cuGetProcAddress_v2");
    CALL(get, "cuGetProcAddress", &old, 11030, 0);
    CALL(get_v2, "cuGetProcAddress", &new, 12000, 0, &status);
    printf("status %d, found %d %d, differ %d\n", (int)status, !!old, !!new, old != new);
    get = old;
    get_v2 = new;
    CALL(get, "cuModuleLoadData", (void **)&load, 11030, 0);
    CALL(load, &module, fatbin_120);
    CALL(get_v2, "cuModuleLoadData", (void **)&load, 12000, 0, NULL);
    CALL(load, &module, fatbin_60_90);
    return 0;
}
