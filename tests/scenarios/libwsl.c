/* The stub driver of s04.
 * as: wsl/libcuda.so.1 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include "kg_cuda.h"

static void *real(const char *name)
{
    static void *library;
    char path[4096];
    snprintf(path, sizeof path, "%s/libcuda.so.1", getenv("KG_FAKE"));
    if (!library)
        library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    return dlsym(library, name);
}

#define FORWARD(name, parameters, ...)                                                             \
    CUresult name parameters                                                                       \
    {                                                                                              \
        return ((__typeof__(name) *)real(#name))(__VA_ARGS__);                                     \
    }
FORWARD(cuInit, (unsigned flags), flags)
FORWARD(cuDriverGetVersion, (int *version), version)
FORWARD(cuDeviceGet, (CUdevice * device, int ordinal), device, ordinal)
FORWARD(cuDeviceGetCount, (int *count), count)
FORWARD(cuDeviceGetName, (char *name, int size, CUdevice device), name, size, device)
FORWARD(cuDeviceGetAttribute, (int *value, CUdevice_attribute which, CUdevice device), value, which,
        device)
FORWARD(cuCtxGetDevice, (CUdevice * device), device)
FORWARD(cuCtxSetCurrent, (CUcontext context), context)
FORWARD(cuDevicePrimaryCtxRetain, (CUcontext * context, CUdevice device), context, device)
FORWARD(cuModuleLoadData, (CUmodule * module, const void *image), module, image)
