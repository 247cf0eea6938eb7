"""cached.py [CUBIN]: compiles a kernel with CuPy, which keeps it in CUPY_CACHE_DIR. With CUBIN, what was
kept there before is replaced by that, as when a home directory is shared by machines whose GPUs differ."""
import glob
import hashlib
import os
import sys

CODE = 'extern "C" __global__ void twice(float *x) { x[threadIdx.x] *= 2; }'


def replace(cubin):
    for path in glob.glob(os.path.join(os.environ["CUPY_CACHE_DIR"], "**", "*.cubin"), recursive=True):
        with open(path, "rb") as f:
            data = f.read()
        for algorithm in ("sha256", "sha1", "md5"):
            size = hashlib.new(algorithm).digest_size * 2
            if hashlib.new(algorithm, data[size:]).hexdigest().encode() == data[:size]:
                with open(path, "wb") as f:
                    f.write(hashlib.new(algorithm, cubin).hexdigest().encode() + cubin)


def main():
    if len(sys.argv) > 1:
        with open(sys.argv[1], "rb") as f:
            replace(f.read())
    import cupy as cp
    x = cp.ones(4, dtype=cp.float32)
    cp.RawKernel(CODE, "twice")((1,), (4,), (x,))
    print(x)


main()
