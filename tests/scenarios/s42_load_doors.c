/*
 * Every way to hand the driver an image, with one that fits and one that does not, each in a
 * process of its own.
 * link: -l:libcuda.so.1
 * run: cuModuleLoad
 * run: cuModuleLoadData
 * run: cuModuleLoadDataEx
 * run: cuModuleLoadFatBinary
 * run: cuLibraryLoadData
 * run: cuLibraryLoadFromFile
 * run: cuLink
 */
#include "direct.h"

static void library_use(CUlibrary library, int how)
{
    CUkernel kernel = NULL;
    CUmodule module = NULL;
    CUfunction function = NULL;
    if (how == 0 && CALL(cuLibraryGetKernel, &kernel, library, KERNEL) == 0 &&
        CALL(cuKernelGetFunction, &function, kernel) == 0)
        answer("cuLaunchKernel", launch(cuLaunchKernel, function));
    if (how == 1 && CALL(cuLibraryGetModule, &module, library) == 0)
        CALL(cuModuleGetFunction, &function, module, KERNEL);
    CALL(cuLibraryUnload, library);
}

static void load(const char *door, const char *file, struct wrapper *image)
{
    CUmodule module = NULL;
    CUlibrary library = NULL;
    CUlinkState link = NULL;
    void *cubin = NULL;
    size_t size = 0;
#define DOOR(function, ...) (strcmp(door, #function) == 0 && CALL(function, __VA_ARGS__) == 0)
    if (DOOR(cuModuleLoad, &module, file) || DOOR(cuModuleLoadData, &module, image->data) ||
        DOOR(cuModuleLoadDataEx, &module, image->data, 0, NULL, NULL) ||
        DOOR(cuModuleLoadFatBinary, &module, image->data))
        CALL(cuModuleUnload, module);
    if (DOOR(cuLibraryLoadFromFile, &library, file, NULL, NULL, 0, NULL, NULL, 0))
        library_use(library, 0);
    for (int how = 0; how < 2; how++)
        if (DOOR(cuLibraryLoadData, &library, image, NULL, NULL, 0, NULL, NULL, 0))
            library_use(library, how);
    if (strcmp(door, "cuLink") == 0 && CALL(cuLinkCreate_v2, 0, NULL, NULL, &link) == 0) {
        if (CALL(cuLinkAddData_v2, link, CU_JIT_INPUT_FATBINARY, (void *)(uintptr_t)image->data,
                 30000, "voxelize", 0, NULL, NULL) == 0)
            CALL(cuLinkComplete, link, &cubin, &size);
        CALL(cuLinkDestroy, link);
    }
}

int main(int argc, char **argv)
{
    start_direct();
    load(argv[argc - 1], "examples/voxelize.sm_120.fatbin", &fitting);
    load(argv[argc - 1], "examples/voxelize.sm_60-90.fatbin", &lacking);
    return 0;
}
