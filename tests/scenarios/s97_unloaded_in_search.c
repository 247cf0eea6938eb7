/*
 * Which runtime is meant by a call of a program that is linked with none is looked for among the loaded ones.
 * One of them is unloaded as soon as it was seen: nothing of it is looked at afterwards, and the call reaches
 * the other.
 * run:
 * unsanitized: TSan starts with a call of the function that the program has here
 */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>

typedef int callback(struct dl_phdr_info *, size_t, void *);

static int started;

/* The library's walks too: a program's own function goes before libc's. */
int dl_iterate_phdr(callback *each, void *context)
{
    static int (*original)(callback *, void *);
    static _Thread_local int inside;
    void *other;
    int result;

    if (!original)
        original = (int (*)(callback *, void *))dlsym(RTLD_NEXT, "dl_iterate_phdr");
    if (!started || inside)
        return original(each, context);
    inside = 1;
    other = dlopen("libcudart.so.12", RTLD_NOW | RTLD_LOCAL);
    result = original(each, context);
    if (other)
        dlclose(other);
    inside = 0;
    return result;
}

int main(void)
{
    int (*last_error)(void), result = 0;

    dlopen("libcudart.so.13", RTLD_NOW | RTLD_LOCAL);
    last_error = (int (*)(void))dlsym(RTLD_DEFAULT, "cudaGetLastError");
    started = 1;
    if (last_error) /* the library's */
        result = last_error();
    started = 0;
    printf("%d\n", result);
    return 0;
}
