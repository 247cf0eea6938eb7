/* Programs with a large module, PTX alone, whose kernels are compiled one by one; and what a compiler makes
 * of it (tests/scenarios/jit/make.sh). */
#ifndef JIT_MANY_H
#define JIT_MANY_H

#include <fcntl.h>
#include "jit.h"

EMBED(fatbin_many, "tests/scenarios/jit/many.compute_80.fatbin");
WRAPPER many = {0x466243b1, 1, fatbin_many, NULL};

#define OWN(n) "kernel_" #n "_that_is_on_its_own_and_has_a_name_of_so_many_letters_that_few_parameters_will_do"
static const char *const own[] = {OWN(1), OWN(2), OWN(3), OWN(4), OWN(5), OWN(6)};

#define MADE_LAST(which) "tests/scenarios/jit/many." which ".sm_120.cubin"
#define MADE(which) MADE_LAST(which) ":"
#define MADE_EACH MADE("none") MADE("1") MADE("2") MADE("3") MADE("4")

/* Whether the library under test is there: without it no call of the program's may be made to fail. */
static inline bool is_guarded(void)
{
    return getenv("LD_PRELOAD") && strstr(getenv("LD_PRELOAD"), "libkguard");
}

/* Some kernel of a library, from the look-up to the launch. */
static inline void kernel_of(CUlibrary library, const char *name)
{
    CUkernel kernel = NULL;
    CUfunction function = NULL;
    CUlibrary owner = NULL;
    int result = cuLibraryGetKernel(&kernel, library, name);
    if (result == 0)
        result = cuKernelGetFunction(&function, kernel);
    if (result == 0)
        result = launch(cuLaunchKernel, function);
    if (result == 0)
        result = cuKernelGetLibrary(&owner, kernel);
    printf("%.22s = %d, of %s library\n", name, result, owner == library ? "this" : "another");
}

/* A kernel of a module, from the look-up to the launch, and back to the module. Its name is in reports. */
static __attribute__((noinline)) void kernel_of_module(CUmodule module, const char *name)
{
    CUfunction function = NULL;
    CUmodule back = NULL;
    int result = cuModuleGetFunction(&function, module, name);
    if (result == 0)
        result = launch(cuLaunchKernel, function);
    if (result == 0)
        result = cuFuncGetModule(&back, function);
    printf("%.22s = %d%s\n", name, result, back == module || !back ? "" : ", of another module");
}

/* Another process, in which a call fails, of those that only the library under test makes; none if which is NULL. */
static inline void again_failing(char **argv, const char *cache, const char *word, const char *which)
{
    if (which && is_guarded())
        setenv("KGFAKE_FAIL", which, 1);
    again(argv, cache, word);
    unsetenv("KGFAKE_FAIL");
}

static off_t least, most;
static const char *bytes; /* to be written over the last ones; NULL: the entry is removed */

static inline int change_one(const char *path, const struct stat *s, int type, struct FTW *f)
{
    if (type != FTW_F || s->st_size < least || s->st_size > most)
        return 0;
    if (!bytes)
        return remove(path);
    int fd = open(path, O_WRONLY);
    if (pwrite(fd, bytes, strlen(bytes), s->st_size - (off_t)strlen(bytes)) < 0)
        exit(2);
    return close(fd);
}

/* Entries of a cache by their size: the whole is 95 KB, a kernel 7, what stands for all 2. */
static inline void change(const char *cache, off_t from, off_t to, const char *with)
{
    least = from;
    most = to;
    bytes = with;
    nftw(cache, change_one, 16, FTW_PHYS);
}

#endif
