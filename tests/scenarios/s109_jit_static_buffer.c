/*
 * Images in memory of an object that a program writes to, one after the other in one place, or that it closes: each
 * is what it was at its load, whatever lies there when it is used, when a kernel is missing, or when the next process
 * comes.
 * link: -l:libcuda.so.1
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_LOG=info TMP/cache
 */
#include <dlfcn.h>
#include <sys/mman.h>
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

static const void *image_of(void *plugin)
{
    const void *const *image = plugin ? dlsym(plugin, "plugin_image") : NULL;
    if (!image)
        exit(2);
    return *image;
}

static void library_in_plugin(void)
{
    void *plugin = open_plugin();
    CUlibrary library = NULL;
    CALL(cuLibraryLoadData, &library, image_of(plugin), NULL, NULL, 0, NULL, NULL, 0);
    dlclose(plugin);
    kernel_of(library, own[2]);
    kernel_of(library, "kernel_with_a_variable");
    CALL(cuLibraryUnload, library);
}

/* What is looked for in vain is looked for in its image too: nothing can be read there by then. */
static void module_in_plugin(void)
{
    void *plugin = open_plugin();
    const char *image = image_of(plugin);
    size_t before = (uintptr_t)image % 4096, size = before + (size_t)(fatbin_many_end - fatbin_many);
    CUmodule module = NULL;
    CALL(cuModuleLoadData, &module, image);
    dlclose(plugin);
    if (mmap((void *)(uintptr_t)(image - before), size, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != image - before)
        exit(3);
    kernel_of_module(module, "no_such_kernel");
    CALL(cuModuleUnload, module);
}

int main(int argc, char **argv)
{
    if (is_run(argv)) {
        start_direct();
        if (strcmp(argv[2], "plugin") == 0) {
            library_in_plugin();
            return 0;
        }
        if (strcmp(argv[2], "missing") == 0) {
            module_in_plugin();
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
    again(argv, argv[1], "missing");
    setenv("KGUARD_JIT", "off", 1);
    again(argv, argv[1], "missing");
    setenv("KGUARD_JIT", "auto", 1);
    clean(argv[1]);
    mkdir(argv[1], 0700);
    again(argv, argv[1], "cold");
    again(argv, argv[1], "warm");
    again(argv, argv[1], "plugin");
    clean(argv[1]);
    return 0;
}
