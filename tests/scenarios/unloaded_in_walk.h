/*
 * Every walk of the loaded objects, the library's too, sees one library that is gone when the walk has ended:
 * a program's own function goes before libc's.
 */
#ifndef UNLOADED_IN_WALK_H
#define UNLOADED_IN_WALK_H

#include <dlfcn.h>
#include <link.h>

typedef int callback(struct dl_phdr_info *, size_t, void *);

static const char *unloaded; /* its file; NULL: none */

int dl_iterate_phdr(callback *each, void *context)
{
    static int (*original)(callback *, void *);
    static _Thread_local int inside;
    void *library;
    int result;

    if (!original)
        original = (int (*)(callback *, void *))dlsym(RTLD_NEXT, "dl_iterate_phdr");
    if (!unloaded || inside)
        return original(each, context);
    inside = 1;
    library = dlopen(unloaded, RTLD_NOW | RTLD_LOCAL);
    result = original(each, context);
    if (library)
        dlclose(library);
    inside = 0;
    return result;
}

#endif
