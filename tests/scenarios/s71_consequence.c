/*
 * A launch that failed and was not checked, then one of a kernel that works on what the first should
 * have written: its illegal address is called what it is.
 * link: -l:libcudart.so.12
 * run: KGUARD_ERROR_TEXT=1 KGUARD_LOG=warn KGFAKE_FAIL=cuLaunchKernel=700@2
 * run: KGUARD_ERROR_TEXT=1 KGUARD_LOG=warn KGFAKE_FAIL=cuLaunchKernel=700@2 check
 * run: KGUARD_ERROR_TEXT=1 KGUARD_LOG=warn ask
 */
#include "runtime.h"

int main(int argc, char **argv)
{
    CALL(fitting_stub);
    CALL(lacking_stub);
    if (argc > 1 && strcmp(argv[1], "check") == 0)
        CALL(cudaGetLastError);
    printf("%s\n", cudaGetErrorString(CALL(fitting_stub)));
    CALL(fitting_stub);
    if (argc > 1 && strcmp(argv[1], "ask") == 0)
        printf("%s\n", cudaGetErrorString(700)); /* what a call without a door has returned */
    return 1;
}
