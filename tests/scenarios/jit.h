/*
 * Programs whose kernel is there as PTX alone. Each runs several processes one after the other that
 * share a cache, in the directory named last on its command line, and removes that at its end.
 */
#ifndef JIT_H
#define JIT_H

#include <ftw.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "direct.h"

EMBED(fatbin_ptx, "tests/scenarios/jit/voxelize.compute_80.fatbin");
WRAPPER ptx = {0x466243b1, 1, fatbin_ptx, NULL};

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *f)
{
    return remove(path);
}

/* Runs this program again with other words, as a process of its own; counts how often it called the
 * driver's JIT. */
static inline void again(char **argv, const char *cache, const char *word)
{
    char calls[512], line[80];
    int status = 0, links = 0;
    FILE *f;
    snprintf(calls, sizeof calls, "%s/calls", cache);
    printf("-- %s\n", word);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        setenv("KGUARD_CACHE_DIR", cache, 0);
        setenv("KGFAKE_LINKED", "tests/scenarios/jit/voxelize.sm_120.cubin", 0);
        setenv("KGFAKE_CALLS", calls, 1);
        execl("/proc/self/exe", argv[0], "run", word, (char *)NULL);
        _exit(127);
    }
    waitpid(child, &status, 0);
    printf("-- exit %d\n", WEXITSTATUS(status));
    fflush(stdout);
    f = fopen(calls, "r");
    while (f && fgets(line, sizeof line, f))
        links += strcmp(line, "cuLinkComplete\n") == 0;
    if (f)
        fclose(f);
    remove(calls);
    /* On the error stream's marked lines: without the library there is none. */
    if (getenv("LD_PRELOAD") && strstr(getenv("LD_PRELOAD"), "libkguard"))
        fprintf(stderr, "kguard[0]: (%d compiled by the driver for it)\n", links);
}

static inline void clean(const char *cache)
{
    nftw(cache, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The first word of a run is what it does; the cache's directory comes last. */
static inline bool is_run(char **argv)
{
    return argv[1] && strcmp(argv[1], "run") == 0;
}

/* A kernel of a library, from the look-up to the launch. */
static inline void use_library(CUlibrary library)
{
    CUkernel kernel = NULL;
    CUfunction function = NULL;
    CUlibrary owner = NULL;
    if (CALL(cuLibraryGetKernel, &kernel, library, KERNEL) == 0 &&
        CALL(cuKernelGetFunction, &function, kernel) == 0)
        answer("cuLaunchKernel", launch(cuLaunchKernel, function));
    if (kernel && CALL(cuKernelGetLibrary, &owner, kernel) == 0)
        printf("the kernel's library is %s\n", owner == library ? "this one" : "another");
}

#endif
