/*
 * A launch that failed and was not checked, then one of a kernel that works on what the first should
 * have written: its illegal address is called what it is.
 * link: -l:libcudart.so.12
 * run: KGUARD_ERROR_TEXT=1 KGUARD_LOG=warn KGFAKE_FAIL=cuLaunchKernel=700@2
 * run: KGUARD_ERROR_TEXT=1 KGUARD_LOG=warn KGFAKE_FAIL=cuLaunchKernel=700@2 check
 */
#include "runtime.h"

int main(int argc, char **argv)
{
    CALL(fitting_stub);
    CALL(lacking_stub);
    if (argc > 1)
        CALL(cudaGetLastError);
    printf("%s\n", cudaGetErrorString(CALL(fitting_stub)));
    CALL(fitting_stub);
    return 1;
}
