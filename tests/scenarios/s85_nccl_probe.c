/*
 * NCCL with a static runtime: when it starts it looks all its kernels up and goes without those that are
 * for other GPUs. That is no failure of its; the same kernel of another library is one.
 * link: -l:libcuda.so.1
 * run: LD_LIBRARY_PATH=@/../fake/580
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_LOG=info
 */
#include "direct.h"

EMBED(sm_100a, "tests/gpu/cases/sm_100a.fatbin");

int main(void)
{
    CUlibrary library = NULL;
    CUkernel kernel = NULL;
    start_direct();
    CALL(cuLibraryLoadData, &library, sm_100a, NULL, NULL, 0, NULL, NULL, 0);
    CALL(cuLibraryGetKernel, &kernel, library,
         "_Z54ncclSymkDevKernel_AllReduce_RSxLDMC_AGxSTMC_sum_f8e4m321ncclSymkDevWorkArgs4K");
    CALL(cuLibraryGetKernel, &kernel, library, "_Z6markerPf");
    return 0;
}
