/*
 * A program that executes others, with the environment as it is and with an empty one: the library
 * goes along in the first case only, and the failing child reports.
 * link: -l:libcuda.so.1
 * run: start
 * unsanitized: a child with an empty environment lacks the options for the sanitizer
 */
#include "direct.h"
#include <sys/wait.h>

static void child(const char *self, char *const environment[])
{
    int status = -1;
    fflush(stdout);
    if (fork() == 0) {
        execle(self, self, "end", NULL, environment);
        _exit(99);
    }
    wait(&status);
    printf("child: %d\n", status);
}

int main(int argc, char **argv)
{
    char path[4096 + 32] = "LD_LIBRARY_PATH=", *only_path[] = {path, NULL};
    if (argc > 1 && strcmp(argv[1], "start") == 0) {
        strcat(path, getenv("LD_LIBRARY_PATH"));
        child(argv[0], environ);
        child(argv[0], only_path);
        return 0;
    }
    CUmodule module = NULL;
    start_direct();
    return CALL(cuModuleLoadData, &module, fatbin_60_90) == 209 ? 5 : 0;
}
