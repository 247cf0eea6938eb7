// The other half uses the index that was never written.
#include <cstdio>

void make_index(int *index, int n);

__global__ void gather_kernel(float *out, const float *in, const int *index)
{
    out[threadIdx.x] = in[index[threadIdx.x]];
}

int main()
{
    int *index;
    float *in, *out;
    cudaMalloc(&index, 32 * sizeof *index);
    cudaMalloc(&in, 32 * sizeof *in);
    cudaMalloc(&out, 32 * sizeof *out);
    cudaMemset(index, 0x70, 32 * sizeof *index); // what happens to lie in memory
    make_index(index, 32);
    gather_kernel<<<1, 32>>>(out, in, index);
    cudaError_t error = cudaDeviceSynchronize();
    printf("CUDA error %d: %s\n", (int)error, cudaGetErrorString(error));
    return error != cudaSuccess;
}
