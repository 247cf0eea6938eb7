/* Relocatable code: a kernel that launches kernels, a cooperative launch over the whole grid, a symbol
 * in constant memory, virtual memory, and what is asked of kernels before they run. */
#include <cooperative_groups.h>
#include <cuda.h>
#include "common.h"

namespace groups = cooperative_groups;

__constant__ float factors[4];
__device__ int launched;

__global__ void leaf(float *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[i] = factors[i & 3] * i;
}

__global__ void tree(float *out, int n)
{
    atomicAdd(&launched, 1);
    leaf<<<(n + 127) / 128, 128>>>(out, n);
}

__global__ void together(float *out, int n)
{
    groups::grid_group grid = groups::this_grid();
    for (int step = 0; step < 4; step++) {
        for (int i = grid.thread_rank(); i < n; i += grid.size())
            out[i] = out[n - 1 - i] * 0.5f + step;
        grid.sync();
    }
}

__global__ void shares(float *out)
{
    extern __shared__ float many[];
    many[threadIdx.x] = threadIdx.x;
    __syncthreads();
    out[threadIdx.x] = many[blockDim.x - 1 - threadIdx.x];
}

int main()
{
    enum { N = 4096 };
    float *out, host[4] = {1, 2, 3, 4};
    int times = 0, blocks, n = N;
    CHECK(cudaMalloc(&out, N * sizeof(float)));
    CHECK(cudaMemcpyToSymbol(factors, host, sizeof host));
    tree<<<1, 1>>>(out, N);
    CHECK(cudaDeviceSynchronize());
    CHECK(cudaMemcpyFromSymbol(&times, launched, sizeof times));
    printf("launched from the device %d times\n", times);
    show("leaf", out, N);

    CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, together, 128, 0));
    printf("%s\n", blocks > 0 ? "fits" : "does not fit");
    void *arguments[] = {&out, &n};
    fill<<<N / 256, 256>>>(out, N, 1);
    CHECK(cudaLaunchCooperativeKernel((void *)together, dim3(8), dim3(128), arguments, 0, 0));
    CHECK(cudaDeviceSynchronize());
    printf("cooperative launch done\n");

    cudaFuncAttributes attributes;
    CHECK(cudaFuncGetAttributes(&attributes, shares));
    printf("binary %d, shared %d\n", attributes.binaryVersion, (int)attributes.sharedSizeBytes);
    CHECK(cudaFuncSetAttribute(shares, cudaFuncAttributeMaxDynamicSharedMemorySize, 96 << 10));
    shares<<<1, 1024, 96 << 10>>>(out);
    CHECK(cudaDeviceSynchronize());
    show("shares", out, 1024);

    /* A launch that cannot be: its error is the program's own, and no image's. */
    shares<<<1, 2048>>>(out);
    printf("too many threads: %d\n", (int)cudaGetLastError());
    shares<<<1, 32, 1 << 20>>>(out);
    printf("too much memory: %d\n", (int)cudaGetLastError());

    CUmemAllocationProp kind = {};
    CUmemAccessDesc access = {};
    CUmemGenericAllocationHandle handle;
    CUdeviceptr at;
    size_t size;
    kind.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    kind.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    access.location = kind.location;
    access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    CHECK(cuMemGetAllocationGranularity(&size, &kind, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
    CHECK(cuMemCreate(&handle, size, &kind, 0));
    CHECK(cuMemAddressReserve(&at, size, 0, 0, 0));
    CHECK(cuMemMap(at, size, 0, handle, 0));
    CHECK(cuMemSetAccess(at, size, &access, 1));
    fill<<<N / 256, 256>>>((float *)at, N, 2);
    show("virtual memory", (float *)at, N);
    CHECK(cuMemUnmap(at, size));
    CHECK(cuMemAddressFree(at, size));
    CHECK(cuMemRelease(handle));
    return 0;
}
