/*
 * Eager loading: the images are given to the driver before any use. The one that does not fit is
 * reported as not used yet, and the program never uses it.
 * link: -l:libcudart.so.12
 * run: CUDA_MODULE_LOADING=EAGER
 * run: CUDA_MODULE_LOADING=EAGER KGUARD_LOG=error
 */
#include "runtime.h"

int main(void)
{
    return CALL(fitting_stub);
}
