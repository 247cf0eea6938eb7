/*
 * Names that begin like the driver's and are not: a library that exports cudnnCreate and
 * curl_easy_init looks itself up, as cuDNN's loader does. A prefix match recursed here until the
 * stack was gone.
 * link: -llookalike
 */
#include <dlfcn.h>
#include <stdio.h>

int cudnnCreate(int depth);
int curl_easy_init(void);
int cuLaunchKernelFast(void);

int main(void)
{
    void *self = dlopen("liblookalike.so", RTLD_NOW);
    printf("%d %d %d\n", cudnnCreate(0), curl_easy_init(), cuLaunchKernelFast());
    printf("%d\n", dlsym(self, "cuLaunchKernelFast") == dlsym(RTLD_DEFAULT, "cuLaunchKernelFast"));
    return 0;
}
