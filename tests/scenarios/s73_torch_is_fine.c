/*
 * A library fails beside a PyTorch that runs on this GPU: said; beside one that does not, not said, and
 * not of PyTorch's own library.
 * link: -l:libcudart.so.12 -ldl
 * run: TORCH=@/torch/lib/libtorch_cuda.so
 * run: TORCH=@/torch/lib/libtorch_cuda.so KGUARD_LOG_FORMAT=json
 * run: TORCH=@/torch_old/lib/libtorch_cuda.so
 * run: TORCH=@/torch/lib/libtorch_cuda.so PART=@/torch/lib/libtorch_linalg.so
 */
#include "runtime.h"

int main(void)
{
    void *part = getenv("PART") ? dlopen(getenv("PART"), RTLD_NOW) : NULL;

    dlopen(getenv("TORCH"), RTLD_NOW);
    if (part)
        answer("part", ((int (*)(void))dlsym(part, "extension_bad"))());
    else
        CALL(lacking_stub);
    return 1;
}
