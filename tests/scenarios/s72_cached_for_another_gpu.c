/*
 * A cubin for another GPU that came out of a library's cache of compiled code: the cache is named, where
 * there is one. Who keeps it is known by the library that hands the cubin over; where, by the variable or
 * the home directory.
 * link: -l:libcuda.so.1 -ldl
 * run: LIBRARY=@/cupy/driver.so CUPY_CACHE_DIR=@/cupy
 * run: LIBRARY=@/cupy/driver.so CUPY_CACHE_DIR=@/no_such_directory
 * run: LIBRARY=@/cupy/driver.so HOME=TMP .triton .triton/cache cuda_utils.so
 * run: LIBRARY=@/cupy/driver.so HOME=TMP .triton .triton/cache tritonserver tritonserver/libbackend.so
 * run: LIBRARY=@/cupy/driver.so HOME=TMP PYTORCH_KERNEL_CACHE_PATH=TMP/kernels kernels libtorch_cuda.so
 */
#include "direct.h"

#include <sys/stat.h>

static char library[512];

/* The directories under HOME, and the library under another name there. */
static void prepare(int argc, char **argv)
{
    char command[1200];

    if (chdir(getenv("HOME")))
        exit(3);
    for (int i = 1; i < argc - 1; i++)
        mkdir(argv[i], 0700);
    snprintf(library, sizeof library, "%s/%s", getenv("HOME"), argv[argc - 1]);
    snprintf(command, sizeof command, "cp '%s' '%s'", getenv("LIBRARY"), library);
    unsetenv("LD_PRELOAD");
    if (system(command))
        exit(3);
}

int main(int argc, char **argv)
{
    int (*load)(void);

    snprintf(library, sizeof library, "%s", getenv("LIBRARY"));
    if (argc > 1)
        prepare(argc, argv);
    load = (int (*)(void))dlsym(dlopen(library, RTLD_NOW), "load_cached");
    start_direct();
    answer("load_cached", load());
    if (argc > 1)
        unlink(library);
    return 0;
}
