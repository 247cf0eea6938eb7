/*
 * A kernel with a name of some hundred letters: the text stays short enough for the buffers that programs
 * keep for it, the report has it all.
 * link: -l:libcudart.so.12
 * run: KGUARD_ERROR_TEXT=1 KGUARD_LOG=error
 */
#include "runtime.h"

static char stub;
static char name[] = "_ZN2at6native29vectorized_elementwise_kernelILi4ENS0_13BinaryFunctorIfffNS0_15"
                     "binary_internal10MulFunctorIfEEEESt5arrayIPcLm3EEEEviT0_T1_";

int main(void)
{
    const char *text;

    __cudaRegisterFunction(lacking_handle, &stub, name, name, -1, NULL, NULL, NULL, NULL, NULL);
    cudaLaunchKernel(&stub, one, one, no_arguments, 0, NULL);
    text = cudaGetErrorString(209);
    puts(text);
    printf("below 200: %d\n", strlen(text) < 200);
    return 0;
}
