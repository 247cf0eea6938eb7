// Twenty kernels of some 4 KB of PTX and hardly any code: what makes the text long are the parameters' names,
// which begin with the kernel's. One has an array of its own, one a variable in common with whoever asks for it.
#define FOUR(p) int p##0, int p##1, int p##2, int p##3
#define SIXTEEN(p) FOUR(p##0), FOUR(p##1), FOUR(p##2), FOUR(p##3)
#define KERNEL(name) extern "C" __global__ void name(SIXTEEN(a), SIXTEEN(b), int *out)
#define PLAIN(n) KERNEL(kernel_##n##_that_is_on_its_own_and_has_a_name_of_so_many_letters_that_few_parameters_will_do) \
    { out[threadIdx.x] = n; }

__device__ int counter;

PLAIN(1) PLAIN(2) PLAIN(3) PLAIN(4) PLAIN(5) PLAIN(6) PLAIN(7) PLAIN(8) PLAIN(9) PLAIN(10)
PLAIN(11) PLAIN(12) PLAIN(13) PLAIN(14) PLAIN(15) PLAIN(16) PLAIN(17) PLAIN(18)

KERNEL(kernel_with_an_array)
{
    __shared__ int all[32];
    all[threadIdx.x] = threadIdx.x;
    __syncthreads();
    out[threadIdx.x] = all[31 - threadIdx.x];
}

KERNEL(kernel_with_a_variable)
{
    out[threadIdx.x] = atomicAdd(&counter, 1);
}
