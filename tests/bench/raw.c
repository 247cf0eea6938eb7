/*
 * The functions that a preloaded library does not stand before: this library is linked with the
 * driver and the runtime and loaded with RTLD_DEEPBIND, so its references bind past every hook.
 */
#include <string.h>
#include "../scenarios/runtime.h"

__attribute__((visibility("default"))) void *raw(const char *name);

void *raw(const char *name)
{
    if (strcmp(name, "cuLaunchKernel") == 0)
        return (void *)cuLaunchKernel;
    if (strcmp(name, "cuModuleLoadData") == 0)
        return (void *)cuModuleLoadData;
    if (strcmp(name, "cudaLaunchKernel") == 0)
        return (void *)cudaLaunchKernel;
    return NULL;
}
