/*
 * PTX alone in a program on a shared 13.x runtime, lazy and eager.
 * link: -l:libcudart.so.13 -l:libcuda.so.1 -Wl,-rpath,'$ORIGIN/../fake'
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto TMP/cache
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto CUDA_MODULE_LOADING=EAGER TMP/cache
 */
#include "jit_runtime.h"

int main(int argc, char **argv)
{
    if (is_run(argv))
        return launch_twice();
    mkdir(argv[argc - 1], 0700);
    for (int i = 0; i < 2; i++)
        again(argv, argv[argc - 1], i ? "warm" : "cold");
    clean(argv[argc - 1]);
    return 0;
}
