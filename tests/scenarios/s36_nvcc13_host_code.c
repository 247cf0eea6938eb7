/*
 * What nvcc 13 compiles a launch to: __cudaGetKernel once, whose answer is not looked at, then
 * __cudaLaunchKernel of what it left. A look-up and the launch after it are one failure.
 * link: -l:libcudart.so.13
 */
#include "runtime.h"

static int launch_new(const void *stub, cudaKernel_t *kernel)
{
    if (!*kernel)
        (void)__cudaGetKernel(kernel, stub);
    return __cudaLaunchKernel(*kernel, one, one, no_arguments, 0, NULL);
}

static void another_stub(void)
{
}

int main(void)
{
    cudaKernel_t fitting = NULL, missing = NULL, another = NULL;

    register_image(&lacking, (const void *)another_stub);
    printf("%d\n", launch_new((const void *)fitting_stub, &fitting));
    for (int i = 0; i < 300; i++)
        launch_new((const void *)lacking_stub, &missing);
    for (int i = 0; i < 10; i++) /* while the error of the first has not been asked for */
        launch_new((const void *)another_stub, &another);
    CALL(cudaGetLastError);
    return 1;
}
