/* A plugin loaded with RTLD_LOCAL asks RTLD_DEFAULT for a name that only its own scope has. */
#include <dlfcn.h>
#include <stdio.h>

int main(void)
{
    void *plugin = dlopen("libplugin.so", RTLD_NOW | RTLD_LOCAL);
    int (*find)(const char *) = (int (*)(const char *))dlsym(plugin, "plugin_finds");
    printf("own name: %d\n", find("plugin_secret"));
    printf("elsewhere: %d\n", dlsym(RTLD_DEFAULT, "plugin_secret") != NULL);
    return 0;
}
