/*
 * A program that fails, prints a lot, and ends badly: the first cause is said again at the end.
 * link: -l:libcuda.so.1
 * run: abort
 * run: exit
 * run: return
 */
#include <signal.h>
#include "direct.h"

int main(int argc, char **argv)
{
    CUmodule module = NULL;
    start_direct();
    CALL(cuModuleLoadData, &module, fatbin_60_90);
    for (int i = 0; i < 3; i++)
        fprintf(stderr, "other trouble %d\n", i);
    if (strcmp(argv[argc - 1], "abort") == 0)
        abort();
    if (strcmp(argv[argc - 1], "exit") == 0)
        exit(3);
    return 0;
}
