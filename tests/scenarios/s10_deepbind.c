/*
 * A plugin loaded with RTLD_DEEPBIND and linked with libcuda binds past every preloaded library:
 * it works as without us, and the limit is in the README.
 * unsanitized: sanitizer runtimes refuse RTLD_DEEPBIND
 */
#include <dlfcn.h>
#include <stdio.h>

int main(void)
{
    void *plugin = dlopen("libcudaplugin.so", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    int (*run)(void) = (int (*)(void))dlsym(plugin, "plugin_run");
    printf("%d\n", run());
    return 0;
}
