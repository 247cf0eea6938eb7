/*
 * The OpenMP start-tool pattern, three libraries deep: each defines the same function and forwards
 * to the next one with RTLD_NEXT. A dlsym that loses its caller's address ends in an endless loop.
 * link: -Wl,--no-as-needed -ltool1 -ltool2 -ltool3
 */
#include <dlfcn.h>
#include <stdio.h>

int main(void)
{
    int (*start_tool)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "ompt_start_tool");
    printf("%d\n", start_tool()); /* 1 + 10 + 100 */
    return 0;
}
