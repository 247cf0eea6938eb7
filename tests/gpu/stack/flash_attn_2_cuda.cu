// An attention whose check of a launch ends the process: Python never sees an error.
#include "module.h"
#include <cstdio>
#include <cstdlib>

#define CHECK_LAUNCH()                                                                             \
    do {                                                                                           \
        cudaError_t status = cudaGetLastError();                                                   \
        if (status != cudaSuccess) {                                                               \
            fprintf(stderr, "CUDA error (flash_fwd_launch:%d): %s\n", __LINE__,                    \
                    cudaGetErrorString(status));                                                   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

__global__ void flash_fwd_kernel(float *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[i] = 1.0f / n;
}

static PyObject *fwd(PyObject *, PyObject *arguments)
{
    unsigned long long out;
    int n;

    if (!PyArg_ParseTuple(arguments, "Ki", &out, &n))
        return NULL;
    flash_fwd_kernel<<<(n + 255) / 256, 256>>>((float *)out, n);
    CHECK_LAUNCH();
    Py_RETURN_NONE;
}

MODULE(flash_attn_2_cuda, fwd)
