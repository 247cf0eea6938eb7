/*
 * What the scenario programs share. Each is a small host program; it prints every CUDA call it
 * makes with the answer, so that a changed answer shows, and exits as a program of its kind would.
 */
#ifndef SCENARIO_H
#define SCENARIO_H

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "kg_cuda.h"

#define KERNEL "_Z15voxelize_kernelPfi"

/* Two builds of one kernel, as nvcc made them. The simulated GPU is a 12.0: the first lacks it. */
#define EMBED(name, file)                                                                          \
    extern const unsigned char name[], name##_end[];                                               \
    __asm__(".pushsection .nv_fatbin, \"a\"\n.balign 8\n.globl " #name ", " #name "_end\n"         \
            ".hidden " #name ", " #name "_end\n" #name ":\n.incbin \"" file "\"\n" #name           \
            "_end:\n.popsection")
EMBED(fatbin_60_90, "examples/voxelize.sm_60-90.fatbin");
EMBED(fatbin_120, "examples/voxelize.sm_120.fatbin");

/* As nvcc's host code wraps them (struct __fatBinC_Wrapper_t). */
struct wrapper {
    int magic, version;
    const void *data;
    void *linked;
};
#define WRAPPER __attribute__((section(".nvFatBinSegment"), used)) static struct wrapper
#ifndef NO_LACKING
WRAPPER lacking = {0x466243b1, 1, fatbin_60_90, NULL};
#endif
#ifndef NO_FITTING
WRAPPER fitting = {0x466243b1, 1, fatbin_120, NULL};
#endif

static inline int answer(const char *call, int result)
{
    printf("%s = %d\n", call, result);
    fflush(stdout);
    return result;
}
/* CALL(cuInit, 0) calls, prints "cuInit = 0", and is the result. */
#define CALL(function, ...) answer(#function, function(__VA_ARGS__))
/* The same through an address: CALL_BY(find, cuInit, 0) calls what find("cuInit") gives. */
#define CALL_BY(find, function, ...)                                                               \
    answer(#function, ((__typeof__(function) *)find(#function))(__VA_ARGS__))

/* The driver ready, with a context current; functions are looked up by `find`, so that a program
 * may choose how it reaches the driver. */
static inline void start(void *(*find)(const char *name))
{
    CUdevice device = 0;
    CUcontext context = NULL;
    int result = ((__typeof__(cuInit) *)find("cuInit"))(0);
    if (result == 0)
        result = ((__typeof__(cuDeviceGet) *)find("cuDeviceGet"))(&device, 0);
    if (result == 0)
        result = ((__typeof__(cuDevicePrimaryCtxRetain) *)find("cuDevicePrimaryCtxRetain"))(
            &context, device);
    if (result == 0)
        result = ((__typeof__(cuCtxSetCurrent) *)find("cuCtxSetCurrent"))(context);
    answer("start", result);
}

/* Launches one thread of the kernel through whichever cuLaunchKernel is given. */
static inline int launch(__typeof__(cuLaunchKernel) *launcher, CUfunction function)
{
    float points[1] = {1.5f}, *at = points;
    int count = 0;
    void *arguments[] = {&at, &count};
    return launcher(function, 1, 1, 1, 1, 1, 1, 0, NULL, arguments, NULL);
}

#endif
