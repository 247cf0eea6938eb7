/*
 * Kernels with much shared memory (CUTLASS, FlashAttention) meet their missing image in
 * cudaFuncSetAttribute, before any launch.
 * link: -l:libcudart.so.12
 */
#include "runtime.h"

int main(void)
{
    return CALL(cudaFuncSetAttribute, (const void *)lacking_stub,
                cudaFuncAttributeMaxDynamicSharedMemorySize, 65536);
}
