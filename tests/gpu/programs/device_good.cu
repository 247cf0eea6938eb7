// Built for every GPU these tests run on: what must never be accused.
__global__ void scale_kernel(float *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[i] = 2.0f * i;
}
