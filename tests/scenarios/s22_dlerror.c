/*
 * dlerror is NULL after a look-up that succeeded, and set after one that failed: Triton's launcher
 * asks it around its look-ups.
 */
#include "scenario.h"

int main(void)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    dlerror();
    printf("%d ", dlsym(library, "cuLaunchKernelEx") != NULL);
    printf("%s\n", dlerror() ? "error" : "no error");
    printf("%d ", dlsym(library, "cuNoSuchFunction") != NULL);
    const char *error = dlerror();
    printf("%s\n", error ? error : "no error");
    printf("%d ", dlsym(RTLD_DEFAULT, "cuNoSuchFunction") != NULL);
    printf("%s\n", dlerror() ? "error" : "no error");
    printf("%d ", dlsym(RTLD_DEFAULT, "puts") != NULL);
    printf("%s\n", dlerror() ? "error" : "no error");
    return 0;
}
