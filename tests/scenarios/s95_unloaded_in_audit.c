/*
 * A library that is unloaded as soon as the audit has seen it among the loaded objects: nothing of the
 * loader's memory is looked at afterwards. (AddressSanitizer says so.)
 * link: -l:libcuda.so.1
 * run: KGUARD_LOG=info
 * unsanitized: TSan starts with a call of the function that the program has here
 */
#include "direct.h"
#include "unloaded_in_walk.h"

int main(void)
{
    unloaded = "libplugin.so";
    start_direct();
    unloaded = NULL;
    return 0;
}
