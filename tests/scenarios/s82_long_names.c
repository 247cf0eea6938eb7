/*
 * A kernel with a name of some hundred letters: the text stays short enough for the buffers that programs
 * keep for it, the report has it all. On the line of the stack long names are folded, and a lambda is its
 * function.
 * link: -l:libcudart.so.12
 * run: KGUARD_ERROR_TEXT=1 KGUARD_LOG=error
 */
#include "runtime.h"

static char stub;
static char name[] = "_ZN2at6native29vectorized_elementwise_kernelILi4ENS0_13BinaryFunctorIfffNS0_15"
                     "binary_internal10MulFunctorIfEEEESt5arrayIPcLm3EEEEviT0_T1_";

/* As PyTorch's functions on the way to a launch are named. */
#define NAMED(symbol) __asm__(symbol) __attribute__((noinline, used))
static int inner(void) NAMED("_ZN2at6native15gpu_kernel_implINS0_11FillFunctorIfEEEEvRNS_18TensorIteratorBaseERKT_");
static int lambda(void) NAMED("_ZZZN2at6native16fill_kernel_cudaERNS_14TensorIteratorERKN3c106ScalarEENKUlvE_clEvENKUlvE0_clEv");
static int outer(void) NAMED("_ZN2at6native16fill_kernel_cudaERNS_14TensorIteratorERKN3c106ScalarE");
static volatile int calls;

static int inner(void)
{
    cudaLaunchKernel(&stub, one, one, no_arguments, 0, NULL);
    return ++calls;
}

static int lambda(void)
{
    return inner() + ++calls;
}

static int outer(void)
{
    return lambda() + ++calls;
}

int main(void)
{
    const char *text;

    __cudaRegisterFunction(lacking_handle, &stub, name, name, -1, NULL, NULL, NULL, NULL, NULL);
    outer();
    text = cudaGetErrorString(209);
    puts(text);
    printf("below 200: %d\n", strlen(text) < 200);
    return 0;
}
