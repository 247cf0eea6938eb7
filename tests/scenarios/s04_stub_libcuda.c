/*
 * WSL's libcuda.so.1 is a stub that loads the real one and looks the functions up there: it must
 * be given the real ones, not the hooks that lead back to it.
 * link: -l:libcuda.so.1
 * run: LD_LIBRARY_PATH=@/wsl
 */
#include "direct.h"

int main(void)
{
    CUmodule module = NULL;
    start_direct();
    CALL(cuModuleLoadData, &module, fatbin_120);
    CALL(cuModuleLoadData, &module, fatbin_60_90);
    return 0;
}
