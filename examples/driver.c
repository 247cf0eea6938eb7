/*
 * A program of the CUDA driver API: loads a fatbin, launches its kernel, and says what CUDA says.
 *
 *     gcc -Iinclude examples/driver.c -o driver -l:libcuda.so.1
 *     LD_PRELOAD=$PWD/build/libkguard.so ./driver examples/voxelize.sm_60-90.fatbin
 *
 * On a GPU of compute capability 10 or 12 that file has nothing to run, on another
 * voxelize.sm_120.fatbin: the program's own message does not say which kernel of which file was
 * meant. It needs no toolkit: where there is no cuda.h, kguard's own declarations do.
 */
#if __has_include(<cuda.h>)
#include <cuda.h>
#else
#include <kg_cuda.h>
#endif
#include <stdio.h>
#include <stdlib.h>

/* cuda.h calls the functions' second versions by the plain names. */
#ifndef cuMemAlloc
#define cuMemAlloc cuMemAlloc_v2
#define cuMemFree cuMemFree_v2
#define cuMemcpyHtoD cuMemcpyHtoD_v2
#define cuMemcpyDtoH cuMemcpyDtoH_v2
#endif

static void check(const char *what, CUresult result)
{
    const char *text = "unknown error";

    if (result == CUDA_SUCCESS)
        return;
    cuGetErrorString(result, &text);
    fprintf(stderr, "%s: %s\n", what, text);
    exit(1);
}

int main(int argc, char **argv)
{
    float points[] = {0.5f, 1.5f, 2.25f};
    int count = sizeof points / sizeof points[0];
    CUdevice device;
    CUcontext context;
    CUmodule module;
    CUfunction kernel;
    CUdeviceptr memory;
    void *arguments[] = {&memory, &count};

    if (argc != 2) {
        fprintf(stderr, "usage: driver FATBIN\n");
        return 2;
    }
    check("cuInit", cuInit(0));
    check("cuDeviceGet", cuDeviceGet(&device, 0));
    check("cuDevicePrimaryCtxRetain", cuDevicePrimaryCtxRetain(&context, device));
    check("cuCtxSetCurrent", cuCtxSetCurrent(context));
    check("cuModuleLoad", cuModuleLoad(&module, argv[1]));
    check("cuModuleGetFunction", cuModuleGetFunction(&kernel, module, "_Z15voxelize_kernelPfi"));
    check("cuMemAlloc", cuMemAlloc(&memory, sizeof points));
    check("cuMemcpyHtoD", cuMemcpyHtoD(memory, points, sizeof points));
    check("cuLaunchKernel", cuLaunchKernel(kernel, 1, 1, 1, 256, 1, 1, 0, NULL, arguments, NULL));
    check("cuMemcpyDtoH", cuMemcpyDtoH(points, memory, sizeof points));
    check("cuMemFree", cuMemFree(memory));
    for (int i = 0; i < count; i++)
        printf("%g\n", points[i]);
    return 0;
}
