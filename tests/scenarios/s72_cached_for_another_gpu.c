/*
 * A cubin for another GPU that came out of a library's cache of compiled code: the cache is named, where
 * there is one.
 * link: -l:libcuda.so.1 -ldl
 * run: LIBRARY=@/cupy/driver.so CUPY_CACHE_DIR=@/cupy
 * run: LIBRARY=@/cupy/driver.so CUPY_CACHE_DIR=@/no_such_directory
 */
#include "direct.h"

int main(void)
{
    void *library = dlopen(getenv("LIBRARY"), RTLD_NOW);
    int (*load)(void);

    start_direct();
    load = (int (*)(void))dlsym(library, "load_cached");
    answer("load_cached", load());
    return 0;
}
