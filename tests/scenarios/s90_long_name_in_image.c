/*
 * The only kernel of an image has a name of 1500 letters, as templates have: the report has it whole.
 * link: -l:libcuda.so.1
 * run: KGUARD_LOG=error
 */
#include "direct.h"

int main(void)
{
    static char letters[501], ptx[4096];
    CUmodule module = NULL;

    memset(letters, 'k', sizeof letters - 1);
    snprintf(ptx, sizeof ptx,
             ".version 8.7\n.target sm_121\n.address_size 64\n.visible .entry _ZN500%s500%s500%sEv()\n{\n"
             "\tret;\n}\n",
             letters, letters, letters);
    start_direct();
    CALL(cuModuleLoadData, &module, ptx);
    return 0;
}
