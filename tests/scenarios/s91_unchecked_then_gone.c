/*
 * A plugin's launch fails unchecked; the plugin goes, another comes and launches: what is said of the failure
 * names the first.
 * run: KGUARD_LOG=warn
 * unsanitized: TSan calls what a library registered for its end by atexit after that has been unmapped
 */
#include <dlfcn.h>
#include <stdio.h>

static int call(void *library, const char *function)
{
    return ((int (*)(void))dlsym(library, function))();
}

int main(void)
{
    void *first = dlopen("libextension12.so", RTLD_NOW | RTLD_LOCAL), *second;

    printf("bad %d\n", call(first, "extension_bad"));
    dlclose(first);
    second = dlopen("libextension13.so", RTLD_NOW | RTLD_LOCAL);
    printf("good %d\n", call(second, "extension_good"));
    return 0;
}
