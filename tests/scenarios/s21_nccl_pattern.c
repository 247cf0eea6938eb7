/*
 * NCCL's pattern: a query of a kernel fails, as the program expects, the error is not drained, and
 * a healthy launch follows, at which the old error surfaces. The report names the query.
 * link: -l:libcudart.so.12
 */
#include "runtime.h"

int main(void)
{
    struct cudaFuncAttributes attributes;
    CALL(cudaFuncGetAttributes, &attributes, (const void *)lacking_stub);
    CALL(fitting_stub);
    CALL(cudaGetLastError);
    return 0;
}
