/*
 * Kernels one by one of a library that is registered with a 12.x runtime, which asks modules for them: lazy and
 * eager, and registered again after it was gone.
 * link: -l:libcudart.so.12 -l:libcuda.so.1 -Wl,-rpath,'$ORIGIN/../fake'
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto TMP/cache
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto CUDA_MODULE_LOADING=EAGER TMP/cache
 */
#define NO_LACKING
#define NO_FITTING
#include "runtime.h"
#include "jit_many.h"

static const char stubs[3]; /* their addresses are the kernels' names in this program */

static void **register_many(void)
{
    void **handle = __cudaRegisterFatBinary(&many);
    for (int i = 0; i < 2; i++)
        __cudaRegisterFunction(handle, &stubs[i], (char *)(uintptr_t)own[i], own[i], -1, NULL, NULL, NULL,
                               NULL, NULL);
    __cudaRegisterFunction(handle, &stubs[2], (char *)(uintptr_t)"no_such_kernel", "no_such_kernel", -1, NULL,
                           NULL, NULL, NULL, NULL);
    __cudaRegisterFatBinaryEnd(handle);
    return handle;
}

static int run(bool missing)
{
    void **handle;
    for (int time = 0; time < 3; time++) {
        handle = register_many();
        for (int i = 0; i < 2; i++)
            CALL(cudaLaunchKernel, &stubs[i], one, one, no_arguments, 0, NULL);
        if (missing)
            CALL(cudaLaunchKernel, &stubs[2], one, one, no_arguments, 0, NULL);
        CALL(cudaLaunchKernel, &stubs[0], one, one, no_arguments, 0, NULL);
        CALL(cudaGetLastError, );
        __cudaUnregisterFatBinary(handle);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (is_run(argv))
        return run(strcmp(argv[2], "one is missing") == 0);
    mkdir(argv[1], 0700);
    setenv("KGFAKE_LINKED", MADE_EACH MADE_LAST("all"), 1);
    again(argv, argv[1], "cold");
    again(argv, argv[1], "warm");
    again(argv, argv[1], "one is missing");
    clean(argv[1]);
    return 0;
}
