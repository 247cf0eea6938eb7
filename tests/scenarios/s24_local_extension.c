/*
 * libcuda comes in only as a dependency of an extension that is loaded with RTLD_LOCAL, as Python
 * does: RTLD_NEXT cannot see it there.
 */
#include <dlfcn.h>
#include <stdio.h>

int main(void)
{
    void *plugin = dlopen("libcudaplugin.so", RTLD_NOW | RTLD_LOCAL);
    int (*run)(void) = (int (*)(void))dlsym(plugin, "plugin_run");
    printf("%d\n", run());
    return 0;
}
