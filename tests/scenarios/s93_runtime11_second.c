/*
 * A runtime of CUDA 11, linked in, that comes to a driver which somebody else has initialised long ago (an
 * extension that a PyTorch program imports): its failures are heard all the same.
 * link: -l:libcudart_static_11.a -ldl -lpthread
 * run: LD_LIBRARY_PATH=@/../fake/580
 */
#include "runtime.h"

static void *driver;

static void *find(const char *name)
{
    return dlsym(driver, name);
}

int main(void)
{
    driver = dlopen("libcuda.so.1", RTLD_NOW);
    start(find);
    CALL(lacking_stub);
    return CALL(cudaGetLastError);
}
