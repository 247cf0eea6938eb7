/*
 * PTX that the driver's compiler refuses: its words, wherever the program asked for them: at the load, at
 * a load whose failure shows later, from the linker. Where it did not, that is said.
 * link: -l:libcuda.so.1
 * run: KGUARD_LOG=error ex
 * run: KGUARD_LOG=error plain
 * run: KGUARD_LOG=error library
 * run: KGUARD_LOG=error link
 * run: KGUARD_LOG=error link_add
 */
#include "direct.h"

EMBED(invalid, "tests/gpu/cases/invalid.ptx");

static char log[512];
static CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
static void *values[] = {log, (void *)(uintptr_t)sizeof log};

static void library(const char *ptx)
{
    CUlibrary library = NULL;
    CUkernel kernel = NULL;

    CALL(cuLibraryLoadData, &library, ptx, options, values, 2, NULL, NULL, 0);
    CALL(cuLibraryGetKernel, &kernel, library, "marker");
}

static void link_ptx(const char *ptx, size_t size, unsigned create, unsigned add)
{
    CUlinkState state = NULL;

    CALL(cuLinkCreate_v2, create, options, values, &state);
    CALL(cuLinkAddData_v2, state, CU_JIT_INPUT_PTX, (void *)(uintptr_t)ptx, size, "x", add, options,
         values);
    CALL(cuLinkDestroy, state);
}

int main(int argc, char **argv)
{
    size_t size = (size_t)(invalid_end - invalid);
    char *ptx = calloc(1, size + 1);
    CUmodule module = NULL;

    memcpy(ptx, invalid, size);
    start_direct();
    if (strcmp(argv[1], "ex") == 0)
        CALL(cuModuleLoadDataEx, &module, ptx, 2, options, values);
    else if (strcmp(argv[1], "plain") == 0)
        CALL(cuModuleLoadData, &module, ptx);
    else if (strcmp(argv[1], "library") == 0)
        library(ptx);
    else
        link_ptx(ptx, size + 1, argv[1][4] ? 0 : 2, argv[1][4] ? 2 : 0);
    return 0;
}
