/*
 * Kernels one by one, and what may go wrong with it. An entry that is damaged heals. A kernel that cannot be
 * compiled, or whose code the driver refuses, comes from the whole; and that not either, from the original:
 * what failed is not tried again by the next process. Only a read-only cache has the kernel. Sixty-four
 * processes that want one kernel compile it once. Names that are none. An image that is gone after its load.
 * KGUARD_JIT=force, where there is code for the GPU. The driver's log has nothing that it would not have
 * without the library, where no context is current either.
 * link: -l:libcuda.so.1
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_LOG=info TMP/cache damaged
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto TMP/cache fails
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto TMP/cache lacks
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto TMP/cache refused
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_LOG=info TMP/cache shared
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_LOG=error TMP/cache many
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto TMP/cache names
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto TMP/cache gone
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=force KGUARD_JIT_ONLY=s99* KGUARD_LOG=info TMP/cache force
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGUARD_LOG=info TMP/cache log
 */
#include <fcntl.h>
#include "jit_many.h"

EMBED(fatbin_both, "tests/scenarios/jit/many.both.fatbin");
WRAPPER both = {0x466243b1, 1, fatbin_both, NULL};

static const char *cache;

/* ---- what one process does ---- */

static void load_and(CUlibrary *library, const void *image)
{
    if (CALL(cuLibraryLoadData, library, image, NULL, NULL, 0, NULL, NULL, 0) != 0)
        exit(1);
}

/* Names of which none is a kernel's. */
static void names(CUlibrary library)
{
    static char name[10001];
    memset(name, 'n', sizeof name - 1);
    kernel_of(library, "");
    kernel_of(library, name);
    kernel_of(library, "kernel_with_a_variabl");
    kernel_of(library, own[0]);
}

/* What was loaded lies in memory that is used for something else, or in a file that is removed. */
static CUlibrary loaded_from(bool file)
{
    size_t size = (size_t)(fatbin_many_end - fatbin_many);
    CUlibrary library = NULL;
    if (file) {
        char path[512];
        snprintf(path, sizeof path, "%s/image", getenv("KGUARD_CACHE_DIR"));
        int fd = open(path, O_WRONLY | O_CREAT, 0600);
        printf("written: %d\n", write(fd, fatbin_many, size) == (ssize_t)size);
        close(fd);
        CALL(cuLibraryLoadFromFile, &library, path, NULL, NULL, 0, NULL, NULL, 0);
        remove(path);
    } else {
        void *copy = memcpy(malloc(size), fatbin_many, size);
        load_and(&library, copy);
        memset(copy, 'x', size);
    }
    return library;
}

static void print_log(void *unused, CUlogLevel level, char *text, size_t length)
{
    printf("log: %s\n", text);
}

/* From the load to the first use no context is current. */
static int listen(void)
{
    CUlibrary library = NULL;
    CUlogsCallbackHandle handle;
    CALL(cuInit, 0);
    /* Only this driver has it, not the one that programs are linked with here. */
    answer("cuLogsRegisterCallback",
           ((__typeof__(cuLogsRegisterCallback) *)dlsym(RTLD_DEFAULT, "cuLogsRegisterCallback"))(
               print_log, NULL, &handle));
    load_and(&library, &many);
    kernel_of(library, own[0]);
    kernel_of(library, "no_such_kernel");
    return CALL(cuLibraryUnload, library);
}

static int run(const char *what)
{
    CUlibrary library = NULL;
    bool from_file = strcmp(what, "a file that is gone") == 0;
    if (strcmp(what, "log") == 0)
        return listen();
    start_direct();
    if (from_file || strcmp(what, "memory that is gone") == 0)
        library = loaded_from(from_file);
    else
        load_and(&library, strcmp(what, "both") == 0 ? &both : &many);
    if (strcmp(what, "names") == 0)
        names(library);
    else
        kernel_of(library, strcmp(what, "another") == 0 ? own[1] : own[0]);
    if (strcmp(what, "two") == 0)
        kernel_of(library, own[1]);
    CALL(cuLibraryUnload, library);
    return 0;
}

/* ---- what is done to it ---- */

static char **arguments;

/* The program's calls fail only where it is guarded: none of these may be one of its own. */
static void go(const char *what, const char *fails)
{
    again_failing(arguments, cache, what, fails);
}

static int damage_one(const char *path, const struct stat *s, int type, struct FTW *f)
{
    char byte;
    int fd = s->st_size > 2000 ? open(path, O_RDWR) : -1;
    if (fd >= 0 && pread(fd, &byte, 1, s->st_size / 2) == 1) {
        byte ^= 1;
        if (pwrite(fd, &byte, 1, s->st_size / 2) != 1)
            abort();
    }
    close(fd);
    return 0;
}

static void begin(void)
{
    clean(cache);
    mkdir(cache, 0700);
}

static void damaged(void)
{
    go("two", NULL);
    nftw(cache, damage_one, 16, FTW_PHYS);
    go("two", NULL);
    go("two", NULL);
}

/* The first link is that of the image without kernels, the second the kernel's, the third the whole's. */
static void fails(void)
{
    go("one", "cuLinkComplete=218@2");
    go("another", NULL); /* the whole is there */
    begin();
    go("one", "cuLinkComplete=218@2,cuLinkComplete=218@2");
    go("one", NULL); /* neither is tried again, */
    go("another", NULL); /* which is nothing to this one */
    begin();
    go("one", "cuLinkComplete=2@2"); /* no memory: that may be otherwise the next time */
    begin();
    go("one", "cuLinkComplete=218@1"); /* nothing that could stand for it meanwhile */
}

/* The compiler does not make the kernel that it was to make. */
static void lacks(void)
{
    setenv("KGFAKE_LINKED", MADE("none") MADE("2") MADE("all") "tests/scenarios/jit/other.sm_120.cubin", 1);
    go("one", NULL);
    go("one", NULL);
}

/* All that is large enough to be the whole's. */
static int remove_whole(const char *path, const struct stat *s, int type, struct FTW *f)
{
    return s->st_size > 50000 ? remove(path) : 0;
}

static void refused(void)
{
    go("one", NULL);
    go("one", "cuLibraryLoadData=200@2"); /* at the load, */
    begin();
    go("one", NULL);
    go("one", "cuLibraryGetKernel=209@1,cuLibraryGetKernel=209@1"); /* at the use, and the whole's as well */
    go("one", NULL);
    begin();
    go("one", "cuLibraryGetKernel=209@1"); /* what was compiled a moment ago */
    nftw(cache, remove_whole, 16, FTW_PHYS);
    go("one", NULL);
    begin();
    go("one", "cuLibraryLoadData=2@1"); /* nothing to stand for it */
    begin();
    go("one", "cuLibraryUnload=1@2"); /* the driver keeps the kernel's */
}

/* The one who compiled leaves its cache to others, who cannot write there. */
static void shared(void)
{
    char given[512];
    snprintf(given, sizeof given, "%s.given", cache);
    go("one", NULL);
    rename(cache, given);
    setenv("KGUARD_CACHE_RO", given, 1);
    begin();
    go("one", NULL);
    go("two", NULL);
    nftw(given, damage_one, 16, FTW_PHYS);
    go("one", NULL);
    go("one", NULL);
    setenv("KGUARD_CACHE_DIR", "", 1); /* nowhere to keep anything: the driver has a cache of its own */
    unsetenv("HOME");
    unsetenv("XDG_CACHE_HOME");
    go("one", NULL);
    clean(given);
}

/* All wait for one: that which stands for the library is in the cache by then. */
static void race(void)
{
    enum { PROCESSES = 64 };
    int start[2], good = 0, links = 0, status;
    char calls[512], line[80];
    FILE *f;
    go("another", NULL);
    snprintf(calls, sizeof calls, "%s/calls", cache);
    setenv("KGUARD_CACHE_DIR", cache, 1);
    setenv("KGFAKE_CALLS", calls, 1);
    setenv("KGFAKE_LINK_MS", "200", 1);
    if (pipe(start) != 0)
        abort();
    for (int i = 0; i < PROCESSES; i++)
        if (fork() == 0) {
            int null = open("/dev/null", O_WRONLY);
            close(start[1]);
            if (read(start[0], line, 1) != 0)
                abort();
            dup2(null, 1);
            execl("/proc/self/exe", arguments[0], "run", "one", (char *)NULL);
            _exit(127);
        }
    close(start[0]);
    close(start[1]);
    while (wait(&status) > 0)
        good += status == 0;
    printf("%d of %d processes\n", good, PROCESSES);
    f = fopen(calls, "r");
    while (f && fgets(line, sizeof line, f))
        links += strcmp(line, "cuLinkComplete\n") == 0;
    if (is_guarded())
        fprintf(stderr, "kguard[0]: (%d compiled by the driver for all)\n", links);
}

int main(int argc, char **argv)
{
    const char *what = argv[2];
    if (is_run(argv))
        return run(what);
    arguments = argv;
    cache = argv[1];
    mkdir(cache, 0700);
    setenv("KGFAKE_LINKED", MADE_EACH MADE_LAST("all"), 1);
    if (strcmp(what, "damaged") == 0)
        damaged();
    if (strcmp(what, "fails") == 0)
        fails();
    if (strcmp(what, "lacks") == 0)
        lacks();
    if (strcmp(what, "refused") == 0)
        refused();
    if (strcmp(what, "shared") == 0)
        shared();
    if (strcmp(what, "many") == 0)
        race();
    if (strcmp(what, "names") == 0)
        go("names", NULL);
    if (strcmp(what, "gone") == 0) {
        go("memory that is gone", NULL);
        begin();
        go("a file that is gone", NULL);
    }
    if (strcmp(what, "force") == 0)
        go("both", NULL);
    if (strcmp(what, "log") == 0) {
        go("one", NULL); /* so that there is something to stand for the library */
        go("log", NULL);
    }
    clean(cache);
    return 0;
}
