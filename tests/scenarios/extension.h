/* An extension module as a package ships it: its own runtime, its own kernels. */
#include "runtime.h"

cudaError_t cudaRuntimeGetVersion(int *version);

#define PUBLIC __attribute__((visibility("default"), optimize("O2")))

PUBLIC int extension_version(int *version);
PUBLIC int extension_good(void);
PUBLIC int extension_bad(void);
PUBLIC int extension_last_error(void);

PUBLIC int extension_version(int *version)
{
    return cudaRuntimeGetVersion(version);
}

PUBLIC int extension_good(void)
{
    return fitting_stub();
}

PUBLIC int extension_bad(void)
{
    return lacking_stub();
}

/* -O2 makes these jumps, not calls. */
PUBLIC int extension_last_error(void)
{
    return cudaGetLastError();
}
