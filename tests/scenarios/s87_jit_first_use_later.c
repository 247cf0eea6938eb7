/*
 * Between a load without a context and the first use much may happen, and while something is compiled. The file
 * that it came from is written anew: what was loaded counts. The compiler's words were asked for at the load:
 * they are there after it.
 * link: -l:libcuda.so.1 -lpthread
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto TMP/cache file
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGFAKE_LINK_MS=500 TMP/cache module
 * run: LD_LIBRARY_PATH=@/../fake/580 PRELOAD_AFTER=@/libwords.so KGUARD_JIT=auto TMP/cache words
 */
#include <fcntl.h>
#include <pthread.h>
#include "jit.h"

static CUlibrary library;
static char path[512];
static int fd;
static _Atomic bool loaded;

static void write_file(const void *image, const void *end)
{
    size_t size = (const char *)end - (const char *)image;

    snprintf(path, sizeof path, "%s/image", getenv("KGUARD_CACHE_DIR"));
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    printf("written: %d\n", write(fd, image, size) == (ssize_t)size);
}

static void cut_file(void)
{
    printf("cut: %d\n", ftruncate(fd, 0));
    close(fd);
    remove(path);
}

static void load_file(void)
{
    write_file(fatbin_ptx, fatbin_ptx_end);
    CALL(cuLibraryLoadFromFile, &library, path, NULL, NULL, 0, NULL, NULL, 0);
    cut_file();
}

/* As soon as the compiler is at work; where there is none, after the load. */
static void *cut_while_compiling(void *unused)
{
    char calls[4096];
    int list = open(getenv("KGFAKE_CALLS"), O_RDONLY | O_CREAT, 0600);

    do {
        ssize_t n = pread(list, calls, sizeof calls - 1, 0);
        calls[n > 0 ? n : 0] = 0;
        usleep(1000);
    } while (!strstr(calls, "cuLinkComplete") && !loaded);
    close(list);
    cut_file();
    return NULL;
}

static void load_module(void)
{
    pthread_t thread;
    CUmodule module = NULL;
    CUfunction function = NULL;
    int result;

    write_file(fatbin_ptx, fatbin_ptx_end);
    pthread_create(&thread, NULL, cut_while_compiling, NULL);
    result = cuModuleLoad(&module, path);
    loaded = true;
    pthread_join(thread, NULL);
    answer("cuModuleLoad", result);
    CALL(cuModuleGetFunction, &function, module, KERNEL);
}

static void load_with_log(void)
{
    static char log[64] = "what was there before";
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {log, (void *)(uintptr_t)sizeof log};

    CALL(cuLibraryLoadData, &library, &ptx, options, values, 2, NULL, NULL, 0);
    printf("%d bytes of words: \"%s\"\n", (int)(uintptr_t)values[1], log);
}

int main(int argc, char **argv)
{
    CUcontext context = NULL;

    if (!is_run(argv)) {
        mkdir(argv[1], 0700);
        again(argv, argv[1], argv[2]);
        clean(argv[1]);
        return 0;
    }
    CALL(cuInit, 0);
    if (strcmp(argv[2], "file") == 0)
        load_file();
    if (strcmp(argv[2], "words") == 0)
        load_with_log();
    CALL(cuDevicePrimaryCtxRetain, &context, 0);
    CALL(cuCtxSetCurrent, context);
    if (strcmp(argv[2], "module") == 0) {
        load_module();
        return 0;
    }
    use_library(library);
    CALL(cuLibraryUnload, library);
    return 0;
}
