/*
 * The same name looked up twice with RTLD_NEXT from one place gives the same answer twice.
 * link: -Wl,--no-as-needed -ltool1 -ltool2
 */
#include <dlfcn.h>
#include <stdio.h>

int main(void)
{
    void *first = dlsym(RTLD_NEXT, "ompt_start_tool");
    void *second = dlsym(RTLD_NEXT, "ompt_start_tool");
    printf("%d %d\n", first != NULL, first == second);
    return 0;
}
