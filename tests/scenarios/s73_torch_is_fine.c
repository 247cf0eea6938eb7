/*
 * A library fails beside a PyTorch that runs on this GPU: said; beside one that does not, not said, and
 * not of PyTorch's own library.
 * link: -l:libcudart.so.12 -ldl
 * run: TORCH=@/torch/lib/libtorch_cuda.so
 * run: TORCH=@/torch/lib/libtorch_cuda.so KGUARD_LOG_FORMAT=json
 * run: TORCH=@/torch_old/lib/libtorch_cuda.so
 * run: TORCH=@/torch_old/lib/libtorch_cuda.so itself
 */
#include "runtime.h"

int main(int argc, char **argv)
{
    void *torch = dlopen(getenv("TORCH"), RTLD_NOW);
    int (*bad)(void) = (int (*)(void))dlsym(torch, "extension_bad");

    if (argc > 1)
        answer("torch", bad());
    else
        CALL(lacking_stub);
    return 1;
}
