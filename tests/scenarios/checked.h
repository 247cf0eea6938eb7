/* What a careful program does: launch, ask, print, leave with an error. */
#include "runtime.h"

int main(void)
{
    CALL(fitting_stub);
    CALL(lacking_stub);
    return CALL(cudaGetLastError) == 0 ? 0 : 1;
}
