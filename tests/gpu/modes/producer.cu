// One half of a program, in a file that was built for other GPUs: its launch is not checked.
__global__ void index_kernel(int *index, int n)
{
    if (threadIdx.x < n)
        index[threadIdx.x] = n - 1 - threadIdx.x;
}

void make_index(int *index, int n)
{
    index_kernel<<<1, n>>>(index, n);
}
