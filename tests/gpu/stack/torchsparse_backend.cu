// A sparse convolution: one launch for each offset of the kernel volume and each channel block,
// hundreds for a layer, and none of them checked.
#include "module.h"

__global__ void gather_scatter_kernel(float *out, const float *in, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[i] += in[i];
}

static PyObject *conv_forward(PyObject *, PyObject *arguments)
{
    unsigned long long out, in;
    int n, launches;

    if (!PyArg_ParseTuple(arguments, "KKii", &out, &in, &n, &launches))
        return NULL;
    for (int i = 0; i < launches; i++)
        gather_scatter_kernel<<<(n + 255) / 256, 256>>>((float *)out, (const float *)in, n);
    Py_RETURN_NONE;
}

MODULE(backend, conv_forward)
