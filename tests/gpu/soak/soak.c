/*
 * A process that never rests: threads load images that run and images that cannot, launch, check
 * what the kernel wrote, unload, load and unload a plugin with a CUDA runtime, fork, and start
 * children that do the same. Every failure it meets it counts; soak.py compares that with what
 * kguard counted.
 *
 *   soak SECONDS THREADS FITS KERNEL LACKS KERNEL [OTHER...]
 *
 * FITS: an image that runs here; LACKS: one without code for this GPU; OTHER: images that cannot be
 * loaded at all. SOAK_VALUES=1: kernel FITS writes 2 i at i, which is checked. SOAK_PLUGIN=path: a
 * library with part_good and part_bad (tests/gpu/programs/two_part.c).
 *
 * On stdout, one line each: "rss SECONDS KIB FILES" (memory and open files of this process), "child
 * PID FAILURES END" and, last, "self PID FAILURES LOADS LAUNCHES FORKS". Exit code 1, and a line on
 * stderr, at the first answer that is not as it should be.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "kg_cuda.h"

#define CHILD_FAILURES 3
#define CHILDREN_MOST 4 /* at a time: each takes a context of its own */
#define WORDS 64

extern char **environ;

struct image {
    const char *kernel;
    char *data;
    size_t size;
};

static char **arguments;
static struct image fits, lacks, other[8];
static int others;
static bool values;
static CUcontext context;
static _Atomic bool over;
static _Atomic long failures, loads, launches, forks;
static sem_t children;
static pthread_mutex_t plugin_lock = PTHREAD_MUTEX_INITIALIZER;

/* The same functions by the other way in: threads take turns. */
static __typeof__(&cuModuleLoadData) looked_up_load;

static void fail(const char *what, long got, long expected)
{
    fprintf(stderr, "soak[%d]: %s: %ld, not %ld\n", (int)getpid(), what, got, expected);
    _exit(1);
}

static void expect(const char *what, long got, long expected)
{
    if (got != expected)
        fail(what, got, expected);
}

static struct image read_image(const char *path, const char *kernel)
{
    struct image image = {.kernel = kernel};
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) || (image.size = ftell(f)) == 0 ||
        !(image.data = calloc(1, image.size + 1)) || fseek(f, 0, SEEK_SET) ||
        fread(image.data, 1, image.size, f) != image.size) {
        perror(path);
        exit(2);
    }
    fclose(f);
    return image;
}

static uint32_t any(uint64_t *state, uint32_t below)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 32) % below;
}

/* ---- what a thread does
 * ------------------------------------------------------------------------------- */

struct worker {
    uint64_t random;
    CUstream stream;
    CUdeviceptr memory;
    bool odd;
};

static void launch(struct worker *w, CUfunction function)
{
    float out[WORDS];
    int n = WORDS;
    void *parameters[] = {&w->memory, &n};
    memset(out, 0, sizeof out);
    /* In the stream's order: a plain copy from memory that is not pinned may still be on its way.
     */
    expect("cuMemcpyHtoDAsync", cuMemcpyHtoDAsync_v2(w->memory, out, sizeof out, w->stream), 0);
    expect("cuLaunchKernel",
           cuLaunchKernel(function, 1, 1, 1, WORDS, 1, 1, 0, w->stream, parameters, NULL), 0);
    expect("cuMemcpyDtoHAsync", cuMemcpyDtoHAsync_v2(out, w->memory, sizeof out, w->stream), 0);
    expect("cuStreamSynchronize", cuStreamSynchronize(w->stream), 0);
    for (int i = 0; values && i < WORDS; i++)
        expect("a value", (long)out[i], 2 * i);
    launches++;
}

/* From the file's bytes, or from a copy that is gone after the load: an image built in memory. */
static const void *take(struct worker *w, const struct image *image, void **copy)
{
    *copy = any(&w->random, 2) ? malloc(image->size + 1) : NULL;
    return *copy ? memcpy(*copy, image->data, image->size + 1) : image->data;
}

static void good_module(struct worker *w)
{
    CUmodule module;
    CUfunction function;
    void *copy;
    const void *data = take(w, &fits, &copy);
    expect("load", (w->odd ? looked_up_load : cuModuleLoadData)(&module, data), 0);
    free(copy);
    expect("cuModuleGetFunction", cuModuleGetFunction(&function, module, fits.kernel), 0);
    for (int i = any(&w->random, 4); i >= 0; i--)
        launch(w, function);
    expect("cuModuleUnload", cuModuleUnload(module), 0);
    loads++;
}

static void good_library(struct worker *w)
{
    CUlibrary library;
    CUkernel kernel;
    expect("cuLibraryLoadData",
           cuLibraryLoadData(&library, fits.data, NULL, NULL, 0, NULL, NULL, 0), 0);
    expect("cuLibraryGetKernel", cuLibraryGetKernel(&kernel, library, fits.kernel), 0);
    launch(w, (CUfunction)kernel);
    expect("cuLibraryUnload", cuLibraryUnload(library), 0);
    loads++;
}

static void bad_module(struct worker *w)
{
    CUmodule module = NULL;
    void *copy;
    const void *data = take(w, &lacks, &copy);
    expect("a load that cannot be", (w->odd ? looked_up_load : cuModuleLoadData)(&module, data),
           209);
    free(copy);
    failures++;
}

static void bad_library(struct worker *w)
{
    CUlibrary library = NULL;
    CUkernel kernel = NULL;
    CUmodule module = NULL;
    int result = cuLibraryLoadData(&library, lacks.data, NULL, NULL, 0, NULL, NULL, 0);
    if (result == 0) { /* lazy loading: the use fails */
        result = any(&w->random, 2) ? cuLibraryGetKernel(&kernel, library, lacks.kernel)
                                    : cuLibraryGetModule(&module, library);
        if (result == 0) {
            CUfunction function;
            result = cuKernelGetFunction(&function, kernel);
        }
    }
    expect("a library that cannot be", result, 209);
    failures++;
    if (library)
        expect("cuLibraryUnload", cuLibraryUnload(library), 0);
}

static void unreadable(struct worker *w)
{
    CUmodule module = NULL;
    const struct image *image = &other[any(&w->random, others)];
    char log[512] = "";
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *option_values[] = {log, (void *)sizeof log};
    int result = any(&w->random, 2)
                     ? cuModuleLoadData(&module, image->data)
                     : cuModuleLoadDataEx(&module, image->data, 2, options, option_values);
    if (result != 200 && result != 218 && result != 222)
        fail("an image that nobody can read", result, 218);
    failures++;
}

static void plugin(struct worker *w)
{
    static void *runtime;
    void *library;
    float sum;
    pthread_mutex_lock(&plugin_lock);
    library = dlopen(getenv("SOAK_PLUGIN"), RTLD_NOW | RTLD_LOCAL);
    if (!library)
        fail(dlerror(), 0, 0);
    /* As in a process with frameworks, the runtime outlives the plugin. */
    if (!runtime)
        runtime = dlopen("libcudart.so.13", RTLD_NOW | RTLD_NOLOAD);
    int (*good)(float *) = (int (*)(float *))dlsym(library, "part_good");
    int (*bad)(void) = (int (*)(void))dlsym(library, "part_bad");
    int (*last)(void) = (int (*)(void))dlsym(library, "part_last_error");
    if (any(&w->random, 2)) {
        expect("part_good", good(&sum), 0);
        if (values)
            expect("its sum", (long)sum, 56);
    }
    for (int i = any(&w->random, 3); i >= 0; i--) {
        expect("part_bad", bad(), 209);
        expect("part_last_error", last(), 209);
        failures++;
    }
    dlclose(library);
    expect("cuCtxSetCurrent", cuCtxSetCurrent(context), 0);
    pthread_mutex_unlock(&plugin_lock);
}

static void wait_for(pid_t child, int *status)
{
    if (waitpid(child, status, 0) != child)
        fail("waitpid", -1, child);
}

/* A child that calls no CUDA, as a driver says it may not. */
static void fork_plain(struct worker *w)
{
    int status;
    bool executes = any(&w->random, 2);
    pid_t child = any(&w->random, 2) && executes ? vfork() : fork();
    if (child == 0) {
        if (executes)
            execl("/bin/true", "true", NULL);
        _exit(executes ? 127 : 5);
    }
    wait_for(child, &status);
    expect("a forked child's status", status, executes ? 0 : 5 << 8);
    forks++;
}

/* A child that is a CUDA program. How it ends is its first argument. */
static void start_child(struct worker *w)
{
    static const char *const ends[] = {"0", "3", "abort", "_exit"};
    const char *end = ends[any(&w->random, 4)];
    char *argv[16] = {arguments[0], "child", (char *)end}, line[128];
    int status, expected = strcmp(end, "abort") == 0 ? SIGABRT : strcmp(end, "3") == 0 ? 3 << 8 : 0;
    pid_t child;
    if (sem_trywait(&children))
        return;
    for (int i = 3; arguments[i]; i++)
        argv[i] = arguments[i];
    expect("posix_spawn", posix_spawn(&child, "/proc/self/exe", NULL, NULL, argv, environ), 0);
    wait_for(child, &status);
    sem_post(&children);
    expect("a child's status", status & ~0x80, expected);
    if (write(1, line,
              snprintf(line, sizeof line, "child %d %d %s\n", (int)child, CHILD_FAILURES, end)) < 0)
        fail("write", -1, 0);
    forks++;
}

static void begin(struct worker *w, int number)
{
    *w = (struct worker){.random = 88172645463325252u + 7919u * number, .odd = number & 1};
    expect("cuCtxSetCurrent", cuCtxSetCurrent(context), 0);
    expect("cuStreamCreate", cuStreamCreate(&w->stream, 1), 0);
    expect("cuMemAlloc", cuMemAlloc_v2(&w->memory, WORDS * sizeof(float)), 0);
}

static void *work(void *number)
{
    struct worker w;
    begin(&w, (int)(intptr_t)number);
    while (!over) {
        uint32_t what = any(&w.random, 1000);
        if (what < 5)
            start_child(&w);
        else if (what < 25)
            fork_plain(&w);
        else if (what < 35 && getenv("SOAK_PLUGIN"))
            plugin(&w);
        else if (what < 450)
            good_module(&w);
        else if (what < 600)
            good_library(&w);
        else if (what < 750)
            bad_module(&w);
        else if (what < 900 || !others)
            bad_library(&w);
        else
            unreadable(&w);
    }
    expect("cuMemFree", cuMemFree_v2(w.memory), 0);
    expect("cuStreamDestroy", cuStreamDestroy_v2(w.stream), 0);
    return NULL;
}

/* ---- the process
 * ------------------------------------------------------------------------------------------ */

static long resident_kib(void)
{
    long size, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &size, &resident) != 2)
        resident = 0;
    if (f)
        fclose(f);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static int open_files(void)
{
    int count = -3; /* ., .. and the directory itself */
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        count++;
    if (d)
        closedir(d);
    return count;
}

static void start(void)
{
    CUdevice device;
    expect("cuInit", cuInit(0), 0);
    expect("cuDeviceGet", cuDeviceGet(&device, 0), 0);
    expect("cuDevicePrimaryCtxRetain", cuDevicePrimaryCtxRetain(&context, device), 0);
    expect("cuCtxSetCurrent", cuCtxSetCurrent(context), 0);
    looked_up_load =
        (__typeof__(looked_up_load))dlsym(dlopen("libcuda.so.1", RTLD_NOW), "cuModuleLoadData");
    if (!looked_up_load)
        fail("dlsym", 0, 1);
}

static int child(const char *end)
{
    struct worker w;
    start();
    begin(&w, getpid());
    good_module(&w);
    for (int i = 0; i < CHILD_FAILURES; i++)
        i & 1 ? bad_library(&w) : bad_module(&w);
    if (strcmp(end, "abort") == 0)
        abort();
    if (strcmp(end, "_exit") == 0)
        _exit(0);
    exit(atoi(end));
}

int main(int argc, char **argv)
{
    bool is_child = argc > 2 && strcmp(argv[1], "child") == 0;
    if (argc < 7)
        return 2;
    int seconds = atoi(argv[1]), threads = atoi(argv[2]);
    arguments = argv;
    values = getenv("SOAK_VALUES") != NULL;
    fits = read_image(argv[3], argv[4]);
    lacks = read_image(argv[5], argv[6]);
    while (others < 8 && argv[7 + others]) {
        other[others] = read_image(argv[7 + others], NULL);
        others++;
    }
    if (is_child)
        return child(argv[2]);
    if (threads < 1 || threads > 256)
        return 2;

    start();
    pthread_t thread[256];
    sem_init(&children, 0, CHILDREN_MOST);
    for (int i = 0; i < threads; i++)
        expect("pthread_create", pthread_create(&thread[i], NULL, work, (void *)(intptr_t)i), 0);
    for (int i = 0; i < seconds; i++) {
        sleep(1);
        if (i % (seconds / 60 + 1) == 0) {
            printf("rss %d %ld %d\n", i, resident_kib(), open_files());
            fflush(stdout);
        }
    }
    over = true;
    for (int i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    printf("self %d %ld %ld %ld %ld\n", (int)getpid(), failures, loads, launches, forks);
    return 0;
}
