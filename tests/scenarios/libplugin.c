/* The plugin of s02. */
#include <dlfcn.h>
#include <stddef.h>

int plugin_secret(void);
int plugin_finds(const char *name);

int plugin_secret(void)
{
    return 1;
}

int plugin_finds(const char *name)
{
    return dlsym(RTLD_DEFAULT, name) != NULL;
}
