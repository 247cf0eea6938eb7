/*
 * PTX alone in a program on a shared 11.x runtime, whose loads nobody sees: what the cache holds for
 * KGUARD_TARGET is given to the runtime at the registration. Nothing is compiled for it. Likewise where the
 * runtime has a name of its own, as in PyTorch's wheels.
 * link: -l:libcudart.so.11.0 -l:libcuda.so.1 -Wl,-rpath,'$ORIGIN/../fake'
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_LOG=info KGUARD_TARGET=sm_120 TMP/cache
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_LOG=info TMP/cache
 * run: LD_LIBRARY_PATH=@/../fake/wheel KGUARD_JIT=auto KGUARD_LOG=info KGUARD_TARGET=sm_120 TMP/cache
 */
#include "jit_runtime.h"

int main(int argc, char **argv)
{
    CUlibrary library = NULL;
    if (is_run(argv) && strcmp(argv[2], "runtime") == 0)
        return launch_twice();
    if (is_run(argv)) {
        start_direct();
        return CALL(cuLibraryLoadData, &library, &ptx, NULL, NULL, 0, NULL, NULL, 0);
    }
    mkdir(argv[argc - 1], 0700);
    again(argv, argv[argc - 1], "runtime");
    setenv("KGUARD_PTXAS", "tests/scenarios/jit/ptxas", 1);
    again(argv, argv[argc - 1], "fill");
    unsetenv("KGUARD_PTXAS");
    again(argv, argv[argc - 1], "runtime");
    clean(argv[argc - 1]);
    return 0;
}
