/* What device code can use, all of it in one module, built as PTX alone. */
#include <assert.h>
#include <cooperative_groups.h>
#include <stdio.h>

__managed__ int managed[4] = {1, 2, 3, 4};
__constant__ int table[8];
__device__ int counter = 40;
static __device__ int hidden = 7;
__device__ int never_used[16] = {9, 8, 7};

extern "C" __global__ void k_managed(int *out)
{
    managed[threadIdx.x] += 100 + hidden;
    out[threadIdx.x] = managed[threadIdx.x] * 3;
}

extern "C" __global__ void k_constant(int *out)
{
    out[threadIdx.x] = table[threadIdx.x] * 5 + atomicAdd(&counter, 1) * 0 + hidden;
}

extern "C" __global__ void k_texture(float *out, cudaTextureObject_t texture)
{
    out[threadIdx.x] = tex2D<float>(texture, threadIdx.x * 0.7f + 0.3f, 1.5f);
}

extern "C" __global__ void k_surface(float *out, cudaSurfaceObject_t surface)
{
    float before;
    surf2Dread(&before, surface, threadIdx.x * 4, 0);
    surf2Dwrite(before * 2 + 1, surface, threadIdx.x * 4, 1);
    surf2Dread(&out[threadIdx.x], surface, threadIdx.x * 4, 1);
}

extern "C" __global__ void k_printf(int *out)
{
    printf("from the device: %d %s %.3f\n", threadIdx.x, "text", 1.5 * hidden);
    out[0] = 1;
}

extern "C" __global__ void k_malloc(int *out)
{
    int *memory = (int *)malloc(64);
    int ok = memory != NULL;
    if (memory) {
        for (int i = 0; i < 16; i++)
            memory[i] = i * (int)threadIdx.x;
        for (int i = 0; i < 16; i++)
            ok += memory[i];
        free(memory);
    }
    out[threadIdx.x] = ok;
}

extern "C" __global__ void k_assert(int *out)
{
    assert(out[0] == 12345);
    out[1] = 1;
}

extern "C" __global__ void k_grid(int *out, int *scratch)
{
    cooperative_groups::grid_group grid = cooperative_groups::this_grid();
    int me = blockIdx.x * blockDim.x + threadIdx.x, all = gridDim.x * blockDim.x;
    scratch[me] = me * me;
    grid.sync();
    out[me] = scratch[(me + 17) % all];
}

extern __shared__ int shared[];
extern "C" __global__ void k_shared(int *out)
{
    shared[threadIdx.x * 256] = threadIdx.x + 1;
    __syncthreads();
    out[threadIdx.x] = shared[(31 - threadIdx.x) * 256];
}

template <typename T, int N> __global__ void k_template(T *out)
{
    out[threadIdx.x] = T(threadIdx.x) * N;
}
template __global__ void k_template<double, 3>(double *);
template __global__ void k_template<short, 5>(short *);

namespace {
__global__ void k_anonymous(int *out)
{
    out[threadIdx.x] = threadIdx.x ^ 21;
}
}
__device__ void *keep_anonymous = (void *)k_anonymous;

extern "C" __global__ void __launch_bounds__(64, 2) k_bounds(float *out, const float *in)
{
    float a = in[threadIdx.x];
    for (int i = 0; i < 100; i++)
        a = a * 1.0009f + __sinf(a) * expf(-a) + rsqrtf(a + 1);
    out[threadIdx.x] = a;
}
