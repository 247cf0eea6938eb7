/*
 * Another library that interposes dlsym, before ours and after ours: both are called, neither
 * loops, and RTLD_NEXT means the same as without us.
 * run: PRELOAD_BEFORE=@/libothershim.so
 * run: PRELOAD_AFTER=@/libothershim.so
 * unsanitized: the other shim is not ready when sanitizer runtimes call dlsym
 */
#include "scenario.h"

static void *library;

static void *driver(const char *name)
{
    return dlsym(library, name);
}

int main(void)
{
    CUmodule module = NULL;
    library = dlopen("libcuda.so.1", RTLD_NOW);
    start(driver);
    CALL_BY(driver, cuModuleLoadData, &module, fatbin_60_90);
    printf("puts again: %d\n", dlsym(RTLD_NEXT, "puts") == dlsym(RTLD_DEFAULT, "puts"));
    return 0;
}
