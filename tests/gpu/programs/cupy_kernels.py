"""CuPy: NVRTC-compiled raw, element-wise and reduction kernels, and cuBLAS."""
import hashlib

import cupy as cp


def show(name, array):
    print(name, hashlib.sha256(cp.asnumpy(array).tobytes()).hexdigest()[:32], flush=True)


x = cp.arange(4096, dtype=cp.float32) / 7
raw = cp.RawKernel(r"""
extern "C" __global__ void twice(const float *x, float *y, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        y[i] = 2.0f * x[i] + 1.0f;
}""", "twice")
y = cp.empty_like(x)
raw((16,), (256,), (x, y, cp.int32(4096)))
show("raw", y)
show("elementwise", cp.ElementwiseKernel("float32 x, float32 y", "float32 z", "z = x * y - x", "fma_")(x, y))
show("reduction", cp.sum(x.reshape(64, 64), axis=0))
m = x.reshape(64, 64)
show("matmul", m @ m)
