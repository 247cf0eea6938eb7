#!/usr/bin/env python3
"""Writes the device code whose compilation is timed: generate.py DIRECTORY

big.cu: 64 kernels, some 1.3 MB of PTX. part_N.cu, N < 100: one kernel each, with a host function that
runs it, and main_parts.cu, which runs the first or all of them.
"""
import os
import sys

out = sys.argv[1]


def body(seed, steps):
    lines = []
    for i in range(steps):
        k = (seed * 7919 + i * 104729) % 9973
        a, b = f"a{k % 8}", f"a{(k // 8) % 8}"
        lines.append([f"{a} = fmaf({a}, {k % 97 + 1}.25f, {b});", f"{a} = sqrtf(fabsf({a}) + {k}.5f);",
                      f"{a} += in[(i + {k}) & (n - 1)] * {b};",
                      f"if ({a} > {k}.0f) {a} = {b} - {a} * 0.{k % 9 + 1}f;",
                      f"{a} = __int_as_float(__float_as_int({a}) ^ ({k} & 255)) + {b};"][k % 5])
    return "\n    ".join(lines)


def kernel(name, seed, steps):
    return f"""extern "C" __global__ void {name}(float *out, const float *in, int n)
{{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    float a0 = in[i], a1 = a0 + 1, a2 = a0 + 2, a3 = a0 + 3, a4 = 4, a5 = 5, a6 = 6, a7 = 7;
    {body(seed, steps)}
    out[i] = a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7;
}}
"""


with open(os.path.join(out, "big.cu"), "w") as f:
    f.write("__device__ float big_state[64];\n__constant__ float big_table[64];\n")
    for n in range(64):
        f.write(kernel(f"big_{n}", n, 170))
for n in range(100):
    with open(os.path.join(out, f"part_{n}.cu"), "w") as f:
        f.write(kernel(f"part_{n}", 1000 + n, 60))
        f.write(f"void run_part_{n}(float *out, const float *in, int n)\n"
                f"{{\n    part_{n}<<<1, 32>>>(out, in, n);\n}}\n")
with open(os.path.join(out, "main_parts.cu"), "w") as f:
    f.write('#include <cstdio>\n#include <cstdlib>\n#include <cstring>\n#include <ctime>\n')
    for n in range(100):
        f.write(f"void run_part_{n}(float *out, const float *in, int n);\n")
    f.write("static void (*const run_part[])(float *, const float *, int) = {\n")
    f.write("".join(f"    run_part_{n},\n" for n in range(100)))
    f.write("""};
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}
int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 1;
    float host[32], *in, *out;
    unsigned sum = 0;
    double begin = now();
    cudaFree(0);
    double start = now();
    for (int i = 0; i < 32; i++)
        host[i] = i * 0.5f;
    cudaMalloc(&in, sizeof host);
    cudaMalloc(&out, sizeof host);
    cudaMemcpy(in, host, sizeof host, cudaMemcpyHostToDevice);
    for (int k = 0; k < count; k++) {
        run_part[k](out, in, 32);
        cudaError_t error = cudaMemcpy(host, out, sizeof host, cudaMemcpyDeviceToHost);
        if (error) {
            printf("error %d\\n", (int)error);
            return 1;
        }
        for (int i = 0; i < 32; i++) {
            unsigned bits;
            memcpy(&bits, &host[i], 4);
            sum = sum * 31 + bits;
        }
    }
    fprintf(stderr, "init_ms=%.3f\\nwhole_ms=%.3f\\ntotal_ms=%.3f\\n", start - begin, now() - begin,
            now() - start);
    printf("value=%08x\\n", sum);
    return 0;
}
""")
