/*
 * What a call costs with the hook before it and without, in one process: blocks of both kinds take
 * turns, so that whatever else the machine does falls on both alike. A launch is timed in blocks of
 * 1000, as a pair of clock readings alone has a p99 of 25 ns.
 *
 *   calls launch|runtime|load          prints "name raw_p50 raw_p99 hooked_p50 hooked_p99" in ns
 *   calls loop launch|runtime|load N   N hooked calls, for counting what they do
 */
#include "../scenarios/runtime.h"
#include <stdbool.h>
#include "bench.h"

enum { BLOCK = 1000, BLOCKS = 3000, LOADS = 1000 };

static void *hooked(const char *name)
{
    static void *driver;
    if (!driver)
        driver = dlopen("libcuda.so.1", RTLD_NOW);
    return strcmp(name, "cudaLaunchKernel") == 0 ? (void *)cudaLaunchKernel : dlsym(driver, name);
}

static void *unhooked(const char *name)
{
    static void *(*raw)(const char *);
    if (!raw) {
        void *library = dlopen("libraw.so", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
        raw = library ? (void *(*)(const char *))dlsym(library, "raw") : NULL;
        if (!raw) {
            fprintf(stderr, "%s\n", dlerror());
            exit(1);
        }
    }
    return raw(name);
}

static void must(int result)
{
    if (result != 0) {
        fprintf(stderr, "unexpected result %d\n", result);
        exit(1);
    }
}

static CUfunction function;

static void launches(void *launcher, int count)
{
    __typeof__(cuLaunchKernel) *call = launcher;
    for (int i = 0; i < count; i++)
        must(call(function, 1, 1, 1, 1, 1, 1, 0, NULL, no_arguments, NULL));
}

static void runtime_launches(void *launcher, int count)
{
    __typeof__(cudaLaunchKernel) *call = launcher;
    for (int i = 0; i < count; i++)
        must(call((const void *)fitting_stub, one, one, no_arguments, 0, NULL));
}

/* Every load is of an image not seen before: the first sight of one is what costs. */
static void loads(void *loader, int count)
{
    static unsigned char *next, *end;
    size_t size = (fatbin_120_end - fatbin_120 + 63) / 64 * 64;
    __typeof__(cuModuleLoadData) *call = loader;
    for (int i = 0; i < count; i++) {
        CUmodule module = NULL;
        if (next == end) {
            next = malloc(4096 * size);
            end = next + 4096 * size;
            for (unsigned char *at = next; at < end; at += size)
                memcpy(at, fatbin_120, fatbin_120_end - fatbin_120);
        }
        must(call(&module, next));
        next += size;
    }
}

static const struct kind {
    const char *name, *function;
    void (*run)(void *call, int count);
    int block, blocks;
} kinds[] = {
    {"launch", "cuLaunchKernel", launches, BLOCK, BLOCKS},
    {"runtime", "cudaLaunchKernel", runtime_launches, BLOCK, BLOCKS},
    {"load", "cuModuleLoadData", loads, 1, LOADS},
};

static void compare(const struct kind *kind)
{
    static double samples[2][BLOCKS];
    void *calls[2] = {unhooked(kind->function), hooked(kind->function)};
    if (getenv("LD_PRELOAD") && calls[0] == calls[1])
        fprintf(stderr, "%s is not hooked: this compares it with itself\n", kind->function);
    kind->run(calls[0], kind->block);
    kind->run(calls[1], kind->block);
    for (int i = 0; i < kind->blocks; i++)
        for (int turn = 0; turn < 2; turn++) {
            int which = turn ^ (i & 1);
            double start = now_ns();
            kind->run(calls[which], kind->block);
            samples[which][i] = (now_ns() - start) / kind->block;
        }
    printf("%s", kind->name);
    for (int which = 0; which < 2; which++)
        printf(" %.2f %.2f", percentile(samples[which], kind->blocks, 0.5),
               percentile(samples[which], kind->blocks, 0.99));
    printf("\n");
}

int main(int argc, char **argv)
{
    bool loop = argc > 3 && strcmp(argv[1], "loop") == 0;
    const char *name = argc > 1 ? argv[loop ? 2 : 1] : "";
    CUmodule module = NULL;
    must(fitting_stub()); /* the runtime sets up the driver and its context */
    must(((__typeof__(cuModuleLoadData) *)hooked("cuModuleLoadData"))(&module, fatbin_120));
    must(((__typeof__(cuModuleGetFunction) *)hooked("cuModuleGetFunction"))(&function, module,
                                                                            KERNEL));
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, name) == 0) {
            if (loop)
                kinds[i].run(hooked(kinds[i].function), atoi(argv[3]));
            else
                compare(&kinds[i]);
            return 0;
        }
    fprintf(stderr, "usage: calls [loop] launch|runtime|load [N]\n");
    return 2;
}
