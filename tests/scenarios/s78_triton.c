/*
 * Triton is loaded, with a ptxas that does not know this GPU: said once, when that can be known; nothing
 * where it does know it, or where another ptxas was chosen. (Its own file is the chosen one here, too, as
 * far as a version is concerned.)
 * link: -l:libcuda.so.1 -ldl
 * run: TRITON=@/triton/_C/libtriton.so
 * run: TRITON=@/triton/_C/libtriton.so late
 * run: TRITON=@/triton/_C/libtriton.so last KGUARD_LOG_FORMAT=json
 * run: TRITON=@/triton/_C/libtriton.so KGFAKE_CC=9.0
 * run: TRITON=@/triton/_C/libtriton.so KGFAKE_CC=9.0 KGUARD_TARGET=sm_100
 * run: TRITON=@/triton/_C/libtriton.so TRITON_PTXAS_PATH=@/triton/_C/libtriton.so
 * run: TRITON=@/triton/_C/libtriton.so TRITON_PTXAS_PATH=@/triton/backends/nvidia/bin/ptxas
 */
#include "direct.h"

int main(int argc, char **argv)
{
    CUmodule module = NULL;
    const char *when = argc > 1 ? argv[1] : "";

    if (!*when)
        dlopen(getenv("TRITON"), RTLD_NOW);
    start_direct();
    puts(when);
    fflush(stdout);
    if (strcmp(when, "late") == 0)
        dlopen(getenv("TRITON"), RTLD_NOW);
    CALL(cuModuleLoadData, &module, fatbin_120);
    CALL(cuModuleLoadData, &module, fatbin_120);
    if (strcmp(when, "late") == 0)
        _exit(0); /* where the end of a process is not seen, either */
    if (strcmp(when, "last") == 0)
        dlopen(getenv("TRITON"), RTLD_NOW);
    return 0;
}
