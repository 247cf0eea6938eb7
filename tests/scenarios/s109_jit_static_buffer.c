/*
 * Images in memory of an object that a program writes to, one after the other in one place, or that it closes: each
 * is what it was at its load, whatever lies there when it is used, when a kernel is missing, or when the next process
 * comes.
 * link: -l:libcuda.so.1
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_LOG=info TMP/cache
 */
#include <dlfcn.h>
#include "jit_many.h"

static char buffer[64 << 10];                /* of no file */
static char written[64 << 10] = "of a file"; /* of the program's */

static const char *put(char *at)
{
    memcpy(at, fatbin_many, fatbin_many_end - fatbin_many);
    return at;
}

/* The program does not promise to keep it. */
static void library_in(char *at)
{
    CUlibrary library = NULL;
    CALL(cuLibraryLoadData, &library, put(at), NULL, NULL, 0, NULL, NULL, 0);
    memset(at, 0xff, sizeof buffer);
    kernel_of(library, own[0]);
    kernel_of(library, "kernel_with_a_variable");
    kernel_of(library, "no_such_kernel");
    CALL(cuLibraryUnload, library);
}

static void module_in(char *at)
{
    CUmodule module = NULL;
    CALL(cuModuleLoadData, &module, put(at));
    memset(at, 0xff, sizeof buffer);
    kernel_of_module(module, own[1]);
    kernel_of_module(module, "kernel_with_a_variable");
    CALL(cuModuleUnload, module);
}

static void *open_plugin(void)
{
    char path[4096] = "";
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - sizeof "libimage.so");
    if (size > 0)
        strcpy(strrchr(path, '/') + 1, "libimage.so");
    return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static void library_in_plugin(void)
{
    void *plugin = open_plugin();
    const void *const *image = plugin ? dlsym(plugin, "plugin_image") : NULL;
    CUlibrary library = NULL;
    if (!image)
        exit(2);
    CALL(cuLibraryLoadData, &library, *image, NULL, NULL, 0, NULL, NULL, 0);
    dlclose(plugin);
    kernel_of(library, own[2]);
    kernel_of(library, "kernel_with_a_variable");
    CALL(cuLibraryUnload, library);
}

int main(int argc, char **argv)
{
    if (is_run(argv)) {
        start_direct();
        if (strcmp(argv[2], "plugin") == 0) {
            library_in_plugin();
            return 0;
        }
        library_in(written);
        library_in(buffer);
        module_in(buffer);
        return 0;
    }
    mkdir(argv[1], 0700);
    setenv("KGFAKE_LINKED", MADE_EACH MADE("all") "tests/scenarios/jit/voxelize.sm_120.cubin", 1);
    again(argv, argv[1], "plugin");
    clean(argv[1]);
    mkdir(argv[1], 0700);
    again(argv, argv[1], "cold");
    again(argv, argv[1], "warm");
    again(argv, argv[1], "plugin");
    clean(argv[1]);
    return 0;
}
