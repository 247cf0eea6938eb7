/* The library of s47.
 * link: -l:libcuda.so.1 */
#include "direct.h"

__attribute__((constructor)) static void early(void)
{
    CUmodule module = NULL;
    start_direct();
    CALL(cuModuleLoadData, &module, fatbin_120);
    CALL(cuModuleLoadData, &module, fatbin_60_90);
}
