/* One link of the chain of s01 (and the name that s05 looks up twice). */
#include <dlfcn.h>

int ompt_start_tool(void);

__attribute__((visibility("default"))) int ompt_start_tool(void)
{
    int (*next)(void) = (int (*)(void))dlsym(RTLD_NEXT, "ompt_start_tool");
    return VALUE + (next ? next() : 0);
}
