/*
 * A library whose constructor runs before ours and uses CUDA there.
 * link: -Wl,--no-as-needed -learly
 */
#include <stdio.h>

int main(void)
{
    puts("main");
    return 0;
}
