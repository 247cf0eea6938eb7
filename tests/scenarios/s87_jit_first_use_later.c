/*
 * Between a load without a context and the first use much may happen. The file that the library came from is
 * written anew: what was loaded counts. The compiler's words were asked for at the load: they are there after it.
 * link: -l:libcuda.so.1
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto TMP/cache file
 * run: LD_LIBRARY_PATH=@/../fake/580 PRELOAD_AFTER=@/libwords.so KGUARD_JIT=auto TMP/cache words
 */
#include <fcntl.h>
#include "jit.h"

static CUlibrary library;

static void load_file(void)
{
    char path[512];
    int fd;
    ssize_t size = fatbin_ptx_end - fatbin_ptx;

    snprintf(path, sizeof path, "%s/image", getenv("KGUARD_CACHE_DIR"));
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    printf("written: %d\n", write(fd, fatbin_ptx, size) == size);
    CALL(cuLibraryLoadFromFile, &library, path, NULL, NULL, 0, NULL, NULL, 0);
    printf("cut: %d\n", ftruncate(fd, 0));
    close(fd);
    remove(path);
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
    else
        load_with_log();
    CALL(cuDevicePrimaryCtxRetain, &context, 0);
    CALL(cuCtxSetCurrent, context);
    use_library(library);
    CALL(cuLibraryUnload, library);
    return 0;
}
