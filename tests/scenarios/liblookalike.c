/* The library of s03. */
#include <dlfcn.h>

int cudnnCreate(int depth);
int curl_easy_init(void);
int cuLaunchKernelFast(void);

int cudnnCreate(int depth)
{
    int (*self)(int) = (int (*)(int))dlsym(RTLD_DEFAULT, "cudnnCreate");
    return depth == 3 ? 3 : self(depth + 1);
}

int curl_easy_init(void)
{
    return dlsym(RTLD_NEXT, "curl_easy_init") != 0; /* nobody else has it */
}

int cuLaunchKernelFast(void)
{
    return 42;
}
