/*
 * How long the first kernel of an image takes: first library|module FILE KERNEL [KERNEL...]. A KERNEL with an @
 * before it, one of a real library, is made ready and not launched: who knows what it wants; with an = its
 * attributes are printed too.
 * The image lies in memory and stays there, as a runtime tells the driver (library option 1). Prints the
 * milliseconds of each step on stderr, and what the kernels computed on stdout.
 */
#include <cuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DO(call)                                                                                   \
    do {                                                                                           \
        CUresult result_ = (call);                                                                 \
        if (result_) {                                                                             \
            printf("%s = %d\n", #call, (int)result_);                                              \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        exit(2);
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    char *data = calloc(1, size + 1);
    rewind(f);
    if (fread(data, 1, size, f) != (size_t)size)
        exit(2);
    return data;
}

int main(int argc, char **argv)
{
    int library = strcmp(argv[1], "library") == 0;
    void *image = read_file(argv[2]);
    CUdevice device;
    CUcontext context;
    CUlibrary lib = NULL;
    CUmodule module = NULL;
    CUdeviceptr in, out;
    float host[32];
    unsigned sum = 0;
    double get = 0, run = 0;

    DO(cuInit(0));
    DO(cuDeviceGet(&device, 0));
    DO(cuDevicePrimaryCtxRetain(&context, device));
    DO(cuCtxSetCurrent(context));
    for (int i = 0; i < 32; i++)
        host[i] = i * 0.5f;
    DO(cuMemAlloc(&in, sizeof host));
    DO(cuMemAlloc(&out, sizeof host));
    DO(cuMemcpyHtoD(in, host, sizeof host));
    DO(cuCtxSynchronize());

    double start = now();
    if (library) {
        CUlibraryOption option = CU_LIBRARY_BINARY_IS_PRESERVED;
        void *value = (void *)1;
        DO(cuLibraryLoadData(&lib, image, NULL, NULL, 0, &option, &value, 1));
    } else {
        DO(cuModuleLoadData(&module, image));
    }
    double loaded = now();
    for (int k = 3; k < argc; k++) {
        const char *name = argv[k] + (argv[k][0] == '@' || argv[k][0] == '=');
        CUkernel kernel;
        CUfunction function;
        int n = 32;
        void *arguments[] = {&out, &in, &n};
        double a = now();
        if (library) {
            DO(cuLibraryGetKernel(&kernel, lib, name));
            DO(cuKernelGetFunction(&function, kernel));
        } else {
            DO(cuModuleGetFunction(&function, module, name));
        }
        double b = now();
        get += b - a;
        for (int i = 0; i < 5 && argv[k][0] == '='; i++) {
            int value = -1;
            DO(cuFuncGetAttribute(&value, (CUfunction_attribute)i, function));
            printf("attribute %d: %d\n", i, value);
        }
        if (name != argv[k])
            continue;
        DO(cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, 0, arguments, NULL));
        DO(cuCtxSynchronize());
        double c = now();
        run += c - b;
        DO(cuMemcpyDtoH(host, out, sizeof host));
        for (int i = 0; i < 32; i++) {
            unsigned bits;
            memcpy(&bits, &host[i], 4);
            sum = sum * 31 + bits;
        }
    }
    fprintf(stderr, "load_ms=%.3f\nget_ms=%.3f\nrun_ms=%.3f\ntotal_ms=%.3f\n", loaded - start, get, run,
            loaded - start + get + run);
    printf("value=%08x\n", sum);
    return 0;
}
