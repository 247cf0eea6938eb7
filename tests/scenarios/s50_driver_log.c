/*
 * The driver's log speaks up to five times for one failure, and also during loads that succeed:
 * one report for one failure, none for a success.
 * link: -l:libcudart_static_11.a -ldl -lpthread
 * run: LD_LIBRARY_PATH=@/../fake/580
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_LOG=info
 */
#include "runtime.h"

int main(void)
{
    CALL(fitting_stub);
    CALL(lacking_stub);
    CALL(lacking_stub);
    return CALL(cudaGetLastError);
}
