/*
 * Twenty thousand times: a large library is loaded, kernels of it are asked for one by one, by name and by
 * module, and it is unloaded; as often the context is reset in which a library's module was asked for, and
 * a module is loaded and unloaded, or goes with its context.
 * Nothing grows, also where the handles of what is gone are not used again. What the simulated driver keeps
 * is on the heap.
 * unsanitized: memory is laid out otherwise
 * link: -l:libcuda.so.1
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto TMP/cache loaded
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGFAKE_FRESH=1 TMP/cache loaded
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGFAKE_FRESH=1 TMP/cache reset
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto TMP/cache modules
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_LOG=error TMP/cache left
 */
#include "jit_many.h"

enum { TIMES = 20000, WARM = 4000 };

/* Bytes in memory outside of the heap and the stack, as the kernel counts them, in KB. */
static long outside(void)
{
    char line[512];
    FILE *f = fopen("/proc/self/smaps", "r");
    unsigned long from, to;
    long all = 0, one;
    bool counts = true;
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            counts = !strstr(line, "[heap]") && !strstr(line, "[stack]");
        else if (counts && sscanf(line, "Rss: %ld kB", &one) == 1)
            all += one;
    }
    fclose(f);
    return all;
}

static void use_once(const void *image)
{
    CUlibrary library = NULL;
    CUkernel kernel = NULL;
    CUmodule module = NULL;
    CUfunction function = NULL;
    size_t size = (size_t)(fatbin_many_end - fatbin_many);
    void *copy = image ? NULL : memcpy(malloc(size), fatbin_many, size);
    if (cuLibraryLoadData(&library, image ? image : copy, NULL, NULL, 0, NULL, NULL, 0) != 0)
        abort();
    free(copy);
    if (cuLibraryGetKernel(&kernel, library, own[0]) != 0 ||
        cuLibraryGetModule(&module, library) != 0 ||
        cuModuleGetFunction(&function, module, own[1]) != 0 || cuLibraryUnload(library) != 0)
        abort();
}

/* By itself, and with all the rest. */
static void use_module(const char *name)
{
    CUmodule module = NULL;
    CUfunction function = NULL;
    if (cuModuleLoadData(&module, fatbin_many) != 0 ||
        cuModuleGetFunction(&function, module, name) != 0 || cuModuleUnload(module) != 0)
        abort();
}

/* With its context; of that nothing is heard, and a program that goes on so does not grow for ever. */
static void leave_module(void)
{
    CUmodule module = NULL;
    CUfunction function = NULL;
    if (cuModuleLoadData(&module, fatbin_many) != 0 ||
        cuModuleGetFunction(&function, module, own[0]) != 0 || cuDevicePrimaryCtxReset_v2(0) != 0)
        abort();
}

/* The library stays. */
static void use_again(CUlibrary library)
{
    CUmodule module = NULL;
    CUfunction function = NULL;
    if (cuLibraryGetModule(&module, library) != 0 ||
        cuModuleGetFunction(&function, module, own[0]) != 0 || cuDevicePrimaryCtxReset_v2(0) != 0)
        abort();
}

static int run(const char *what)
{
    bool loaded = strcmp(what, "loaded") == 0, modules = strcmp(what, "modules") == 0;
    bool left = strcmp(what, "left") == 0;
    /* Of those that are left each has another handle here, of which is known what it was. */
    long most = left ? TIMES / 4 : 64;
    CUlibrary library = NULL;
    long before = 0, after;
    start_direct();
    if (!loaded && !modules && !left)
        CALL(cuLibraryLoadData, &library, &many, NULL, NULL, 0, NULL, NULL, 0);
    for (int i = 0; i < TIMES; i++) {
        if (loaded)
            use_once(i % 2 ? &many : NULL); /* of this program, and built in memory */
        else if (modules)
            use_module(own[i % 4 == 3]);
        else if (left)
            leave_module();
        else
            use_again(library);
        if (i == WARM)
            before = outside();
    }
    after = outside();
    printf("%s\n", after - before < most ? "nothing grew" : "it grew");
    if (is_guarded() && after - before >= most)
        fprintf(stderr, "kguard[0]: (from %ld to %ld KB)\n", before, after);
    return 0;
}

int main(int argc, char **argv)
{
    if (is_run(argv))
        return run(argv[2]);
    mkdir(argv[1], 0700);
    setenv("KGFAKE_LINKED", MADE_EACH MADE_LAST("all"), 1);
    again(argv, argv[1], argv[2]);
    clean(argv[1]);
    return 0;
}
