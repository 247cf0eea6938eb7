// The GPU side: what it can run on is decided by TORCH_CUDA_ARCH_LIST when this is compiled.
__global__ void voxelize_kernel(float *points, int count)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count)
        points[i] = floorf(points[i]);
}

// NULL, or what CUDA says: a launch without code for the GPU fails here, and only who asks is told.
const char *voxelize_launch(float *points, int count)
{
    voxelize_kernel<<<(count + 255) / 256, 256>>>(points, count);
    cudaError_t error = cudaGetLastError();
    return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}
