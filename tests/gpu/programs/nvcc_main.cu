// What an ordinary CUDA program looks like: launches with <<< >>>, and a second file compiled for
// the wrong GPUs.   nvcc_main checked|unchecked|healthy
#include <cstdio>
#include <cstring>
#include "device_good.cu"

void voxelize(float *out, int n);

int main(int argc, char **argv)
{
    const int n = 8;
    float *memory, values[n];
    const char *mode = argc > 1 ? argv[1] : "checked";

    cudaError_t e = cudaMalloc(&memory, sizeof values);
    if (e == cudaSuccess) {
        scale_kernel<<<1, n>>>(memory, n);
        e = cudaDeviceSynchronize();
    }
    if (e != cudaSuccess) {
        printf("no usable GPU: %d %s\n", e, cudaGetErrorName(e));
        return 77;
    }
    if (strcmp(mode, "healthy"))
        voxelize(memory, n);
    if (!strcmp(mode, "unchecked"))
        voxelize(memory, n);
    else
        e = cudaGetLastError();
    cudaMemcpy(values, memory, sizeof values, cudaMemcpyDeviceToHost);
    printf("%s: %d %s; memory", mode, e, cudaGetErrorName(e));
    for (int i = 0; i < n; i++)
        printf(" %g", values[i]);
    printf("\n");
    return e == cudaSuccess ? 0 : 1;
}
