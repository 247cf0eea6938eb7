/*
 * "Invalid device function" (98): what a 12.x runtime that loads everything at its start says of a kernel
 * whose image it could not load then. The cause is the image.
 * link: -l:libcudart.so.12
 * run: CUDA_MODULE_LOADING=EAGER KGUARD_LOG=error KGUARD_ERROR_TEXT=1
 */
#include "runtime.h"

int main(void)
{
    struct cudaFuncAttributes attributes;

    CALL(cudaFuncGetAttributes, &attributes, (const void *)lacking_stub);
    CALL(cudaFuncSetAttribute, (const void *)lacking_stub, cudaFuncAttributeMaxDynamicSharedMemorySize, 98304);
    puts(cudaGetErrorString(cudaGetLastError()));
    return 1;
}
