/*
 * A library that is unloaded as soon as the audit has seen it among the loaded objects: nothing of the
 * loader's memory is looked at afterwards. (AddressSanitizer says so.)
 * link: -l:libcuda.so.1
 * run: KGUARD_LOG=info
 * unsanitized: TSan starts with a call of the function that the program has here
 */
#include <link.h>
#include "direct.h"

typedef int callback(struct dl_phdr_info *, size_t, void *);

static int started;

/* The library's walks too: a program's own function goes before libc's. */
int dl_iterate_phdr(callback *each, void *context)
{
    static int (*original)(callback *, void *);
    static _Thread_local int inside;
    void *plugin;
    int result;

    if (!original)
        original = (int (*)(callback *, void *))dlsym(RTLD_NEXT, "dl_iterate_phdr");
    if (!started || inside)
        return original(each, context);
    inside = 1;
    plugin = dlopen("libplugin.so", RTLD_NOW | RTLD_LOCAL);
    result = original(each, context);
    if (plugin)
        dlclose(plugin);
    inside = 0;
    return result;
}

int main(void)
{
    started = 1;
    start_direct();
    started = 0;
    return 0;
}
