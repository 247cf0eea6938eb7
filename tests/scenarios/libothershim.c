/* The other shim of s11: passes everything on through the next dlsym, and says at exit that it was
 * called. The next one is found as such shims do: dlvsym. */
#include <dlfcn.h>
#include <stdio.h>

static int calls;

void *dlsym(void *restrict handle, const char *restrict name)
{
    static void *(*next)(void *, const char *);
    if (!next)
        next = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
    if (!next)
        next = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
    calls++;
    return next(handle, name);
}

__attribute__((destructor)) static void say(void)
{
    fprintf(stderr, "other shim: %s\n", calls ? "called" : "not called");
}
