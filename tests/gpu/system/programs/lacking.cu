/* For the tools: a launch that fails for want of code, between two that work. */
#include "common.h"

__global__ void only_elsewhere(float *out)
{
    out[threadIdx.x] = 1;
}

int main()
{
    float *memory;
    int result = (int)cudaMalloc(&memory, 4096);
    only_elsewhere<<<1, 32>>>(memory);
    printf("%d, then %d\n", result, (int)cudaGetLastError());
    result = (int)cudaDeviceSynchronize();
    printf("%d\n", result);
    return 0;
}
