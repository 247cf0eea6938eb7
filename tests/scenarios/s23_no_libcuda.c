/*
 * No driver on this machine: a program that may use CUDA probes for it in the ways programs do,
 * and then calls what it was given. It must end up without CUDA, and alive.
 * run: LD_LIBRARY_PATH=@
 */
#include "scenario.h"

int main(void)
{
    void *library = dlopen("libcuda_that_is_not_here.so.1", RTLD_NOW);
    printf("library: %d\n", library != NULL);
    __typeof__(cuInit) *probe = dlsym(RTLD_DEFAULT, "cuInit");
    printf("usable: %d\n", probe != NULL && probe(0) == 0);
    return 0;
}
