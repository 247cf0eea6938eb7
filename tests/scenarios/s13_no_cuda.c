/*
 * A program without any CUDA: not a byte, not a file, at any level.
 * run:
 * run: KGUARD_LOG=debug KGUARD_LOG_FILE=TMP/kguard.log
 * run: KGUARD_LOG=debug KGUARD_TARGET=nonsense
 * unsanitized: its children are not
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    system("echo from a child");
    fputs("an error line\n", stderr);
    printf("%d\n", dlsym(RTLD_DEFAULT, "cuNothing") != NULL);
    return 3;
}
