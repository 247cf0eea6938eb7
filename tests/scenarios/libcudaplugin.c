/* A plugin that is linked with the driver: s10 loads it with DEEPBIND, s24 with RTLD_LOCAL.
 * link: -l:libcuda.so.1 */
#include "direct.h"

int plugin_run(void);

int plugin_run(void)
{
    CUmodule module = NULL;
    start_direct();
    CALL(cuModuleLoadData, &module, fatbin_120);
    return CALL(cuModuleLoadData, &module, fatbin_60_90);
}
