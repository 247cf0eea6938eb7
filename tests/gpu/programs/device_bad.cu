// Built for sm_80 and sm_120 only, without PTX: nothing here can run on a GPU between the two. Two
// kernels, so that "the image holds this kernel" and "this kernel was launched" are two answers.
__global__ void voxelize_kernel(float *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[i] += 1.0f;
}

__constant__ float weights[4];

__global__ void unused_kernel(float *out)
{
    out[threadIdx.x] = weights[threadIdx.x & 3];
}
