/* Programs with a large module, PTX alone, whose kernels are compiled one by one; and what a compiler makes
 * of it (tests/scenarios/jit/make.sh). */
#ifndef JIT_MANY_H
#define JIT_MANY_H

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

#endif
