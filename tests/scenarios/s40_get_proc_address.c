/*
 * A program that takes everything from cuGetProcAddress, as runtimes do: the 11.3 form, the 12.0
 * form and the per-thread-stream flag.
 * run: v1
 * run: v2
 * run: ptsz
 */
#include "scenario.h"

static void *library;
static const char *form;

static void *driver(const char *name)
{
    void *out = NULL;
    CUdriverProcAddressQueryResult status;
    if (strcmp(form, "v1") == 0) {
        __typeof__(cuGetProcAddress) *get = dlsym(library, "cuGetProcAddress");
        get(name, &out, 11030, 0);
    } else {
        __typeof__(cuGetProcAddress_v2) *get = dlsym(library, "cuGetProcAddress_v2");
        get(name, &out, 12000, strcmp(form, "ptsz") == 0 ? 2 : 0, &status);
    }
    return out;
}

int main(int argc, char **argv)
{
    CUmodule module = NULL;
    CUfunction function = NULL;
    form = argv[argc - 1];
    library = dlopen("libcuda.so.1", RTLD_NOW);
    start(driver);
    __typeof__(cuModuleLoadData) *load = driver("cuModuleLoadData");
    CALL(load, &module, fatbin_120);
    __typeof__(cuModuleGetFunction) *get = driver("cuModuleGetFunction");
    CALL(get, &function, module, KERNEL);
    answer("cuLaunchKernel", launch(driver("cuLaunchKernel"), function));
    CALL(load, &module, fatbin_60_90);
    return 0;
}
