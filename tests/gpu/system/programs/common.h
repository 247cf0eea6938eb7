/* What these programs share: every answer is checked, every result printed as a number that the same
 * program gives again. */
#ifndef COMMON_H
#define COMMON_H

#include <cuda_runtime.h>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#define CHECK(call)                                                                                \
    do {                                                                                           \
        int result_ = (int)(call);                                                                 \
        if (result_ != 0) {                                                                        \
            printf("line %d: %s = %d\n", __LINE__, #call, result_);                                \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* FNV-1a of the bytes. */
static inline uint64_t hash_of(const void *data, size_t size)
{
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < size; i++)
        h = (h ^ ((const uint8_t *)data)[i]) * 0x100000001b3;
    return h;
}

template <typename T> static void show(const char *what, const T *device, size_t count)
{
    std::vector<T> host(count);
    CHECK(cudaMemcpy(host.data(), device, count * sizeof(T), cudaMemcpyDeviceToHost));
    printf("%s %016llx\n", what, (unsigned long long)hash_of(host.data(), count * sizeof(T)));
    fflush(stdout);
}

static __global__ void fill(float *out, int n, float start)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[i] = start + 0.25f * i;
}

static __global__ void add(float *out, const float *in, int n, float factor)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[i] += factor * in[i];
}

#endif
