// Launches one kernel and prints what CUDA says. What it is built for decides what goes wrong; with
// WITHOUT_900 the kernel is missing from the code for 9.0, as in a library with an architecture test.
#include <cstdio>

__global__ void other_kernel(float *out)
{
    *out = 2.0f;
}

#if !defined WITHOUT_900 || !defined __CUDA_ARCH__ || __CUDA_ARCH__ != 900
__global__ void voxelize_kernel(float *out, int n)
{
    if (threadIdx.x < n)
        out[threadIdx.x] = 1.0f;
}

int main()
{
    float *out, first = 0;
    cudaMalloc(&out, 32 * sizeof *out);
    voxelize_kernel<<<1, 32>>>(out, 32);
    cudaError_t error = cudaGetLastError();
    if (error == cudaSuccess)
        error = cudaMemcpy(&first, out, sizeof first, cudaMemcpyDeviceToHost);
    printf("first value %g; CUDA error %d: %s\n", first, (int)error, cudaGetErrorString(error));
    return error != cudaSuccess;
}
#endif
