/*
 * A library whose whole code is in the cache, and kernels of it besides, with a mark that says so, as kguard warm
 * leaves it: a kernel is all that is loaded for a kernel. The rest comes with the whole, when it is asked for, or
 * when a quarter has come one by one; also where there is no context, where nobody could compile. What stands for
 * the library and is refused by the driver is put aside. A whole that waits counts as used; where it is gone all is
 * as without a mark. The same from a read-only tier alone, but that nothing is compiled then: it could not be kept.
 * link: -l:libcuda.so.1
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_LOG=info TMP/cache
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto CUDA_MODULE_LOADING=EAGER TMP/cache
 */
#include "jit_many.h"

static const char *cache;

static CUlibrary load(void)
{
    CUlibrary library = NULL;
    CALL(cuLibraryLoadData, &library, &many, NULL, NULL, 0, NULL, NULL, 0);
    return library;
}

/* ---- what one process does ---- */

static void some(int from, int to)
{
    CUlibrary library = load();
    for (int i = from; i <= to; i++)
        kernel_of(library, own[i - 1]);
    CALL(cuLibraryUnload, library);
}

/* Its only kernel is one that is on its own: then all of it and that kernel are in the cache, and a mark. */
static void fill(void)
{
    CUmodule module = NULL;
    CALL(cuModuleLoadData, &module, fatbin_many);
    kernel_of_module(module, own[0]);
    CALL(cuModuleUnload, module);
}

static void ask_for_variable(CUlibrary library)
{
    CUdeviceptr at;
    size_t size = 0;
    CALL(cuLibraryGetGlobal, &at, &size, library, "counter");
    printf("%zu bytes\n", size);
}

static __attribute__((noinline)) void all(void)
{
    CUlibrary library = load();
    unsigned count = 0;
    kernel_of(library, own[0]);
    kernel_of(library, own[1]);
    kernel_of(library, "kernel_with_a_variable");
    kernel_of(library, "no_such_kernel");
    ask_for_variable(library);
    CALL(cuLibraryGetKernelCount, &count, library);
    printf("%u kernels\n", count);
    kernel_of(library, own[0]);
    CALL(cuLibraryUnload, library);
}

/* As a runtime of CUDA 12 does. */
static __attribute__((noinline)) void by_module(void)
{
    CUlibrary library = load();
    CUmodule module = NULL;
    CUfunction function = NULL;
    CALL(cuLibraryGetModule, &module, library);
    if (CALL(cuModuleGetFunction, &function, module, own[0]) == 0)
        answer("launch", launch(cuLaunchKernel, function));
    CALL(cuLibraryUnload, library);
}

/* As a runtime of CUDA 13 asks for variables. */
static __attribute__((noinline)) void no_context(void)
{
    CUcontext context = NULL;
    CUlibrary library;
    CALL(cuInit, 0);
    library = load();
    ask_for_variable(library);
    CALL(cuDevicePrimaryCtxRetain, &context, 0);
    CALL(cuCtxSetCurrent, context);
    ask_for_variable(library);
    kernel_of(library, own[0]);
    CALL(cuLibraryUnload, library);
}

static void run(const char *what)
{
    if (strcmp(what, "no context") == 0) {
        no_context();
        return;
    }
    start_direct();
    if (strcmp(what, "fill") == 0)
        fill();
    else if (strcmp(what, "all") == 0)
        all();
    else if (strcmp(what, "by module") == 0)
        by_module();
    else
        some(what[0] - '0', what[2] - '0');
}

/* ---- entries of the cache ---- */

static int make_old(const char *path, const struct stat *s, int type, struct FTW *f)
{
    struct timespec times[2] = {{1700000000, 0}, {1700000000, 0}};
    return type == FTW_F ? utimensat(AT_FDCWD, path, times, 0) : 0;
}

static int used, used_size;

static int add_used(const char *path, const struct stat *s, int type, struct FTW *f)
{
    if (type == FTW_F && s->st_size > 2000 && s->st_mtime != 1700000000) { /* not the counters */
        used++;
        used_size += s->st_size;
    }
    return 0;
}

static void show_used(char **argv, const char *what)
{
    nftw(cache, make_old, 16, FTW_PHYS);
    again(argv, cache, what);
    nftw(cache, add_used, 16, FTW_PHYS);
    if (is_guarded())
        fprintf(stderr, "kguard[0]: (%d entries of %d KB were used)\n", used, used_size / 1000);
}

static void fill_anew(char **argv)
{
    clean(cache);
    mkdir(cache, 0700);
    again(argv, cache, "fill");
}

int main(int argc, char **argv)
{
    if (is_run(argv)) {
        run(argv[2]);
        return 0;
    }
    cache = argv[1];
    mkdir(cache, 0700);
    setenv("KGFAKE_LINKED", MADE_EACH MADE_LAST("all"), 1);
    again(argv, cache, "2-4"); /* not marked: as they are asked for */
    again(argv, cache, "fill");
    show_used(argv, "1-1");
    again(argv, cache, "1-4");
    again(argv, cache, "all");
    again(argv, cache, "by module");
    again(argv, cache, "no context");
    setenv("KGUARD_CACHE_RO", cache, 1);
    setenv("KGUARD_CACHE_DIR", "/dev/null/no", 1);
    again(argv, cache, "1-2");
    again(argv, cache, "all");
    setenv("KGUARD_CACHE_DIR", "", 1);
    unsetenv("HOME");
    unsetenv("XDG_CACHE_HOME");
    change(cache, 90000, 110000, "xxxx");
    again(argv, cache, "all");
    again(argv, cache, "no context");
    change(cache, 90000, 110000, NULL);
    again(argv, cache, "all");
    unsetenv("KGUARD_CACHE_RO");
    unsetenv("KGUARD_CACHE_DIR");
    again(argv, cache, "1-1");
    again(argv, cache, "all");
    again_failing(argv, cache, "1-1", "cuLibraryLoadData=200@1"); /* of what stands for it */
    again(argv, cache, "1-1");
    fill_anew(argv);
    again_failing(argv, cache, "by module", "cuLibraryGetModule=209@1");
    again(argv, cache, "by module");
    clean(cache);
    return 0;
}
