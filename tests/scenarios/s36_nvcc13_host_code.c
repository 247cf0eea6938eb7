/*
 * What nvcc 13 compiles a launch to: __cudaGetKernel and __cudaLaunchKernel.
 * link: -l:libcudart.so.13
 */
#include "runtime.h"

static int launch_new(const void *stub)
{
    cudaKernel_t kernel = NULL;
    int result = CALL(__cudaGetKernel, &kernel, stub);
    return result ? result : CALL(__cudaLaunchKernel, kernel, one, one, no_arguments, 0, NULL);
}

int main(void)
{
    launch_new((const void *)fitting_stub);
    launch_new((const void *)lacking_stub);
    CALL(cudaGetLastError);
    return 0;
}
