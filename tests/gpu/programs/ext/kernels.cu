// The ways extensions deal with a launch that fails.
#include <c10/cuda/CUDAException.h>
#include <cstdio>
#include <cstdlib>

__global__ void voxelize_kernel(float *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[i] += 1.0f;
}

__global__ void attention_kernel(float *out, int n)
{
    extern __shared__ float tile[];
    tile[threadIdx.x] = out[threadIdx.x % n];
    __syncthreads();
    out[threadIdx.x % n] = tile[n - 1 - threadIdx.x % n];
}

void voxelize_checked(float *out, int n)
{
    voxelize_kernel<<<1, n>>>(out, n);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void voxelize_unchecked(float *out, int n)
{
    voxelize_kernel<<<1, n>>>(out, n);
}

// Kernels with much shared memory raise their limit first: that call is the one that fails.
void voxelize_large_shared(float *out, int n)
{
    C10_CUDA_CHECK(cudaFuncSetAttribute(attention_kernel,
                                        cudaFuncAttributeMaxDynamicSharedMemorySize, 98304));
    attention_kernel<<<1, n, 98304>>>(out, n);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

// Ends the process where Python never sees an error.
void voxelize_or_exit(float *out, int n)
{
    voxelize_kernel<<<1, n>>>(out, n);
    cudaError_t e = cudaGetLastError();
    if (e != cudaSuccess) {
        printf("udf_ext: CUDA error %d\n", (int)e);
        fflush(stdout);
        exit(1);
    }
}
