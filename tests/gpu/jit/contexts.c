/*
 * The driver API, where one library meets several contexts and threads: contexts WHAT FATBIN TEXT CUBIN
 *   race      32 threads, each with the library's first use, loaded while no context was current
 *   contexts  a library and a module in three contexts
 *   reload    loaded, used and unloaded fifty times, as library, module, and text
 *   globals   variables and modules of a library, lists of kernels
 *   options   a caller's JIT options
 *   kernels   of a large module, one by one: from threads, in three contexts, by modules, again and again
 *   modules   the same of modules that the program loads, one of them of a context that goes
 *   none      a module is unloaded while no context is current
 *   late      after its context
 *   busy      while a kernel of it waits to run
 *   capture   a kernel's first use while a stream is captured, which forbids what might wait for the device
 *   registers those of every kernel of a library: what the ptxas options stored with it made of them
 *   forced    as contexts, of a fatbin that holds code for the GPU
 */
#include <cuda.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        exit(2);
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    char *data = calloc(1, size + 1);
    rewind(f);
    if (fread(data, 1, size, f) != (size_t)size)
        exit(2);
    fclose(f);
    return data;
}

static int say(const char *call, int result)
{
    printf("%s = %d\n", call, result);
    return result;
}
#define SAY(f, ...) say(#f, (int)f(__VA_ARGS__))

static CUdevice device;
static void *fatbin, *text;

/* Runs k_constant and gives what came out, or the negative result. */
static int value_of(CUfunction function)
{
    CUdeviceptr out;
    int host[8] = {0}, sum = 0;
    void *arguments[] = {&out};
    CUresult result = cuMemAlloc(&out, sizeof host);
    if (!result)
        result = cuLaunchKernel(function, 1, 1, 1, 8, 1, 1, 0, 0, arguments, NULL);
    if (!result)
        result = cuMemcpyDtoH(host, out, sizeof host);
    if (result)
        return -(int)result;
    cuMemFree(out);
    for (int i = 0; i < 8; i++)
        sum = sum * 31 + host[i];
    return sum;
}

static int use_library(CUlibrary library)
{
    CUkernel kernel = NULL;
    CUfunction function = NULL;
    CUlibrary owner = NULL;
    CUresult result = cuLibraryGetKernel(&kernel, library, "k_constant");
    if (!result)
        result = cuKernelGetFunction(&function, kernel);
    if (!result)
        result = cuKernelGetLibrary(&owner, kernel);
    if (!result && owner != library)
        return -100000;
    return result ? -(int)result : value_of(function);
}

/* ---- race ---- */

static CUlibrary shared;
static CUcontext primary;
static pthread_barrier_t start;

static void *racer(void *answer)
{
    cuCtxSetCurrent(primary);
    pthread_barrier_wait(&start);
    *(int *)answer = use_library(shared);
    return NULL;
}

static void race(void)
{
    enum { N = 32 };
    pthread_t threads[N];
    int answers[N], same = 0;
    SAY(cuCtxSetCurrent, NULL);
    SAY(cuLibraryLoadData, &shared, fatbin, NULL, NULL, 0, NULL, NULL, 0);
    pthread_barrier_init(&start, NULL, N);
    for (int i = 0; i < N; i++)
        pthread_create(&threads[i], NULL, racer, &answers[i]);
    for (int i = 0; i < N; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < N; i++)
        same += answers[i] == answers[0];
    printf("%d threads of %d got %d\n", same, N, answers[0]);
    SAY(cuCtxSetCurrent, primary);
    SAY(cuLibraryUnload, shared);
}

/* ---- contexts ---- */

#if CUDA_VERSION >= 13000
#define CREATE(context) cuCtxCreate(context, NULL, 0, device)
#else
#define CREATE(context) cuCtxCreate(context, 0, device)
#endif

static void contexts(void)
{
    CUcontext more[2];
    CUlibrary library;
    SAY(cuLibraryLoadData, &library, fatbin, NULL, NULL, 0, NULL, NULL, 0);
    printf("primary: %d\n", use_library(library));
    for (int i = 0; i < 2; i++) {
        CUmodule module;
        CUfunction function;
        printf("context %d\n", (int)CREATE(&more[i]));
        printf("library: %d\n", use_library(library));
        if (SAY(cuModuleLoadData, &module, fatbin) == 0) {
            SAY(cuModuleGetFunction, &function, module, "k_constant");
            printf("module: %d\n", value_of(function));
            SAY(cuModuleUnload, module);
        }
    }
    for (int i = 0; i < 2; i++)
        SAY(cuCtxDestroy, more[i]);
    SAY(cuCtxSetCurrent, primary);
    printf("primary: %d\n", use_library(library));
    SAY(cuLibraryUnload, library);
}

/* ---- reload ---- */

static void reload(void)
{
    int sum = 0, failed = 0;
    for (int i = 0; i < 50; i++) {
        CUlibrary library;
        CUmodule module;
        CUfunction function;
        int result;
        /* a copy that goes away after the load */
        size_t size = i % 3 == 2 ? strlen(text) + 1 : *(size_t *)((char *)fatbin + 8) + 16;
        void *copy = memcpy(malloc(size), i % 3 == 2 ? text : fatbin, size);
        if (i % 3 == 0) {
            result = (int)cuLibraryLoadData(&library, copy, NULL, NULL, 0, NULL, NULL, 0);
            memset(copy, 0xee, size);
            free(copy);
            if (!result) {
                sum = sum * 31 + use_library(library);
                result = (int)cuLibraryUnload(library);
            }
        } else {
            result = (int)cuModuleLoadData(&module, copy);
            memset(copy, 0xee, size);
            free(copy);
            if (!result)
                result = (int)cuModuleGetFunction(&function, module, "k_constant");
            if (!result) {
                sum = sum * 31 + value_of(function);
                result = (int)cuModuleUnload(module);
            }
        }
        failed += result != 0;
    }
    printf("reload: sum %d, failed %d\n", sum, failed);
}

/* ---- globals ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void globals(void)
{
    static const char *const names[] = {"counter", "table", "never_used", "managed", "no_such"};
    CUlibrary library;
    CUmodule module, again;
    CUkernel kernels[64];
    const char *listed[64];
    CUdeviceptr at;
    size_t size;
    unsigned count = 0;
    SAY(cuLibraryLoadData, &library, fatbin, NULL, NULL, 0, NULL, NULL, 0);
    for (int i = 0; i < 5; i++) {
        size = 0;
        int result = (int)cuLibraryGetGlobal(&at, &size, library, names[i]);
        printf("global %s %d %zu;", names[i], result, result ? 0 : size);
        size = 0;
        result = (int)cuLibraryGetManaged(&at, &size, library, names[i]);
        printf(" managed %d %zu\n", result, result ? 0 : size);
    }
    SAY(cuLibraryGetModule, &module, library);
    SAY(cuLibraryGetModule, &again, library);
    printf("the same module: %d\n", module == again);
    for (int i = 0; i < 5; i++) {
        size = 0;
        int result = (int)cuModuleGetGlobal(&at, &size, module, names[i]);
        printf("of the module: %s %d %zu\n", names[i], result, result ? 0 : size);
    }
    SAY(cuLibraryGetKernelCount, &count, library);
    printf("%u kernels\n", count);
    if (count <= 64 && SAY(cuLibraryEnumerateKernels, kernels, count, library) == 0) {
        for (unsigned i = 0; i < count; i++)
            cuKernelGetName(&listed[i], kernels[i]);
        qsort(listed, count, sizeof *listed, by_name);
        for (unsigned i = 0; i < count; i++)
            printf("%s\n", listed[i]);
    }
    printf("no such kernel: %d\n", (int)cuLibraryGetKernel(&kernels[0], library, "no_such"));
    printf("value: %d\n", use_library(library));
    SAY(cuLibraryUnload, library);
}

/* ---- options ---- */

static void options(void)
{
    for (unsigned limit = 0; limit <= 48; limit += 24) {
        char info[512] = "", error[512] = "";
        CUjit_option ids[] = {CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES,
                              CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
                              CU_JIT_MAX_REGISTERS};
        void *values[] = {info, (void *)sizeof info, error, (void *)sizeof error,
                          (void *)(size_t)limit};
        CUmodule module;
        CUfunction function;
        int registers = 0;
        if (SAY(cuModuleLoadDataEx, &module, text, limit ? 5 : 4, ids, values) == 0) {
            SAY(cuModuleGetFunction, &function, module, "k_bounds");
            cuFuncGetAttribute(&registers, CU_FUNC_ATTRIBUTE_NUM_REGS, function);
            printf("limit %u kept: %d\n", limit, !limit || registers <= (int)limit);
            SAY(cuModuleUnload, module);
        }
    }
}

/* ---- kernels ---- */

static const char *const filler[] = {"filler_0", "filler_1", "filler_2", "filler_3", "filler_4"};

static unsigned run_filler(CUfunction function)
{
    CUdeviceptr out, in;
    int n = 32;
    float host[32];
    unsigned sum = 0, bits;
    void *arguments[] = {&out, &in, &n};
    CUresult result = cuMemAlloc(&out, sizeof host);
    for (int i = 0; i < 32; i++)
        host[i] = i * 0.5f;
    if (!result)
        result = cuMemAlloc(&in, sizeof host);
    if (!result)
        result = cuMemcpyHtoD(in, host, sizeof host);
    if (!result)
        result = cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, 0, arguments, NULL);
    if (!result)
        result = cuMemcpyDtoH(host, out, sizeof host);
    if (result)
        return result;
    cuMemFree(out);
    cuMemFree(in);
    for (int i = 0; i < 32; i++) {
        memcpy(&bits, &host[i], 4);
        sum = sum * 31 + bits;
    }
    return sum;
}

static unsigned filler_of_library(CUlibrary library, const char *name)
{
    CUkernel kernel = NULL;
    CUfunction function = NULL;
    CUlibrary owner = NULL;
    CUresult result = cuLibraryGetKernel(&kernel, library, name);
    if (!result)
        result = cuKernelGetFunction(&function, kernel);
    if (!result)
        result = cuKernelGetLibrary(&owner, kernel);
    return result ? result : owner != library ? 77777 : run_filler(function);
}

static unsigned filler_of_module(CUmodule module, const char *name)
{
    CUfunction function = NULL;
    CUresult result = cuModuleGetFunction(&function, module, name);
    return result ? result : run_filler(function);
}

static void *fill(void *p)
{
    unsigned *answer = p;
    cuCtxSetCurrent(primary);
    pthread_barrier_wait(&start);
    *answer = filler_of_library(shared, filler[*answer % 5]);
    return NULL;
}

static void kernels(void)
{
    enum { N = 20 };
    pthread_t threads[N];
    unsigned answers[N];
    CUcontext more[2];
    CUmodule modules[3], whole, again;
    CUkernel one, same;
    CUfunction function;
    int value = 0;
    SAY(cuLibraryLoadData, &shared, fatbin, NULL, NULL, 0, NULL, NULL, 0);
    pthread_barrier_init(&start, NULL, N);
    for (unsigned i = 0; i < N; i++) {
        answers[i] = i;
        pthread_create(&threads[i], NULL, fill, &answers[i]);
    }
    for (int i = 0; i < N; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < N; i++)
        printf("thread %d: %08x\n", i, answers[i]);

    SAY(cuLibraryGetKernel, &one, shared, filler[1]);
    SAY(cuKernelSetAttribute, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 70000, one, device);
    SAY(cuLibraryGetKernel, &same, shared, filler[1]);
    SAY(cuKernelGetAttribute, &value, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, same, device);
    printf("the same kernel: %d, with %d bytes\n", one == same, value);

    SAY(cuLibraryGetModule, &modules[0], shared);
    for (int i = 0; i < 2; i++) {
        printf("context %d\n", (int)CREATE(&more[i]));
        SAY(cuLibraryGetModule, &modules[i + 1], shared);
        printf("library: %08x\n", filler_of_library(shared, filler[i]));
    }
    for (int i = 0; i < 3; i++) { /* not in the order in which they are current */
        CUcontext context = i == 2 ? primary : more[i];
        SAY(cuCtxSetCurrent, context);
        SAY(cuModuleGetFunction, &function, modules[i], filler[2]);
        SAY(cuCtxSetCurrent, i ? more[i - 1] : primary);
        printf("module %d: %08x %08x\n", i, run_filler(function), filler_of_module(modules[i], filler[3]));
        again = NULL;
        SAY(cuLibraryGetModule, &again, shared);
        printf("the same module: %d\n", again == modules[i]);
    }
    SAY(cuCtxSetCurrent, primary);
    SAY(cuModuleGetFunction, &function, modules[0], filler[4]);
    SAY(cuFuncGetModule, &whole, function);
    printf("its module's other: %08x\n", filler_of_module(whole, filler[0]));
    printf("no such: %08x\n", filler_of_module(modules[0], "no_such"));
    printf("with variables: %d\n", use_library(shared));
    printf("once more: %08x %08x\n", filler_of_library(shared, filler[0]), filler_of_module(modules[0], filler[4]));
    for (int i = 0; i < 2; i++)
        SAY(cuCtxDestroy, more[i]);
    SAY(cuLibraryUnload, shared);

    unsigned sum = 0, failed = 0;
    for (int i = 0; i < 30; i++) {
        CUlibrary library;
        failed += cuLibraryLoadData(&library, fatbin, NULL, NULL, 0, NULL, NULL, 0) != 0;
        if (i % 2)
            failed += cuLibraryGetModule(&modules[0], library) != 0;
        sum = sum * 31 + (i % 2 ? filler_of_module(modules[0], filler[i % 5]) : filler_of_library(library, filler[i % 5]));
        failed += cuLibraryUnload(library) != 0;
    }
    printf("reload: sum %08x, failed %u\n", sum, failed);
}

/* ---- modules ---- */

/* Of memory that is something else after the load. */
static CUmodule load_module(int of_text)
{
    size_t size = of_text ? strlen(text) + 1 : *(size_t *)((char *)fatbin + 8) + 16;
    void *copy = memcpy(malloc(size), of_text ? text : fatbin, size);
    CUmodule module = NULL;
    SAY(cuModuleLoadData, &module, copy);
    memset(copy, 0xee, size);
    free(copy);
    return module;
}

static CUmodule shared_module;

static void *fill_from_module(void *p)
{
    unsigned *answer = p;
    cuCtxSetCurrent(primary);
    pthread_barrier_wait(&start);
    *answer = filler_of_module(shared_module, filler[*answer % 5]);
    return NULL;
}

static void say_functions(CUmodule module)
{
    static const char *const names[] = {"counter", "table", "never_used", "managed", "no_such"};
    CUfunction functions[128];
    const char *listed[128];
    unsigned count = 0, sum = 0;
    CUdeviceptr at;
    for (int i = 0; i < 5; i++) {
        size_t size = 0;
        int result = (int)cuModuleGetGlobal(&at, &size, module, names[i]);
        printf("global %s %d %zu\n", names[i], result, result ? 0 : size);
    }
    SAY(cuModuleGetFunctionCount, &count, module);
    if (count > 128 || SAY(cuModuleEnumerateFunctions, functions, count, module) != 0)
        return;
    for (unsigned i = 0; i < count; i++)
        cuFuncGetName(&listed[i], functions[i]);
    qsort(listed, count, sizeof *listed, by_name);
    for (unsigned i = 0; i < count; i++)
        for (const char *c = listed[i]; *c; c++)
            sum = sum * 31 + (unsigned char)*c;
    printf("%u kernels, names %08x\n", count, sum);
    for (unsigned i = 0; i < count; i++) {
        CUmodule back = NULL;
        if (cuFuncGetModule(&back, functions[i]) || back != module)
            printf("%u is of another module\n", i);
    }
}

static void modules(void)
{
    enum { N = 20, MORE = 3 };
    pthread_t threads[N];
    unsigned answers[N], sum = 0, failed = 0;
    CUcontext more[MORE], current;
    CUmodule other[MORE], back, twice;
    CUfunction function;
    shared_module = load_module(0);
    twice = load_module(1);
    pthread_barrier_init(&start, NULL, N);
    for (unsigned i = 0; i < N; i++) {
        answers[i] = i;
        pthread_create(&threads[i], NULL, fill_from_module, &answers[i]);
    }
    for (int i = 0; i < N; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < N; i++)
        printf("thread %d: %08x\n", i, answers[i]);
    for (int i = 0; i < MORE; i++) {
        printf("context %d\n", (int)CREATE(&more[i]));
        other[i] = load_module(i % 2);
        printf("%08x\n", filler_of_module(other[i], filler[i]));
    }
    for (int i = 0; i < MORE; i++) { /* of a context that is not current */
        SAY(cuModuleGetFunction, &function, other[i], filler[3]);
        cuCtxGetCurrent(&current);
        printf("current as it was: %d\n", current == more[MORE - 1]);
        SAY(cuFuncGetModule, &back, function);
        printf("its module: %d\n", back == other[i]);
        SAY(cuCtxPushCurrent, more[i]);
        printf("%08x\n", run_filler(function));
        SAY(cuCtxPopCurrent, &current);
    }
    SAY(cuCtxDestroy, more[0]); /* and with it other[0] */
    SAY(cuCtxSetCurrent, primary);
    SAY(cuModuleUnload, other[1]);
    say_functions(twice);
    printf("%08x\n", filler_of_module(twice, filler[1]));
    printf("with variables: %d\n", SAY(cuModuleGetFunction, &function, twice, "k_constant") ? 0 : value_of(function));
    printf("no such: %08x\n", filler_of_module(shared_module, "no_such"));
    printf("with variables: %d\n",
           SAY(cuModuleGetFunction, &function, shared_module, "k_constant") ? 0 : value_of(function));
    printf("%08x %08x\n", filler_of_module(shared_module, filler[0]), filler_of_module(twice, filler[0]));
    SAY(cuModuleUnload, shared_module);
    SAY(cuModuleUnload, twice);
    for (int i = 1; i < MORE; i++)
        SAY(cuCtxDestroy, more[i]);
    for (int i = 0; i < 10; i++) {
        CUmodule module = load_module(i % 2);
        sum = sum * 31 + filler_of_module(module, filler[i % 5]);
        failed += cuModuleUnload(module) != 0;
    }
    printf("reload: sum %08x, failed %u\n", sum, failed);
}

static void unload_none(void)
{
    CUmodule module = load_module(0);
    printf("%08x\n", filler_of_module(module, filler[0]));
    SAY(cuCtxSetCurrent, NULL);
    SAY(cuModuleUnload, module);
    SAY(cuCtxSetCurrent, primary);
    module = load_module(1);
    printf("%08x\n", filler_of_module(module, filler[1]));
    SAY(cuModuleUnload, module);
}

/* Its context's memory is freed, and which of the two the driver says depends on what lies there now: without
 * any library beside it, 400, and 709 with GLIBC_TUNABLES=glibc.malloc.tcache_count=0 (driver 580). */
static int is_gone(unsigned result)
{
    return result == CUDA_ERROR_INVALID_HANDLE || result == CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

static void unload_late(void)
{
    CUcontext more;
    CUmodule module;
    printf("context %d\n", (int)CREATE(&more));
    module = load_module(0);
    printf("%08x\n", filler_of_module(module, filler[0]));
    SAY(cuCtxDestroy, more);
    SAY(cuCtxSetCurrent, primary);
    printf("gone: %d\n", is_gone(filler_of_module(module, filler[0])));
    printf("gone: %d\n", is_gone(cuModuleUnload(module)));
    module = load_module(0);
    printf("%08x\n", filler_of_module(module, filler[1]));
    SAY(cuModuleUnload, module);
}

static void wait_a_little(void *unused)
{
    struct timespec t = {0, 200000000};
    nanosleep(&t, NULL);
}

static void unload_busy(void)
{
    CUmodule module = load_module(0);
    CUfunction function;
    CUstream stream;
    CUdeviceptr out, in;
    struct timespec a, b;
    int n = 32;
    unsigned host[32], sum = 0;
    void *arguments[] = {&out, &in, &n};
    cuMemAlloc(&out, sizeof host);
    cuMemAlloc(&in, sizeof host);
    cuMemsetD32(in, 0x3f000000, 32);
    cuMemsetD32(out, 0, 32);
    cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);
    SAY(cuModuleGetFunction, &function, module, filler[0]);
    SAY(cuLaunchHostFunc, stream, wait_a_little, NULL);
    SAY(cuLaunchKernel, function, 1, 1, 1, 32, 1, 1, 0, stream, arguments, NULL);
    clock_gettime(CLOCK_MONOTONIC, &a);
    SAY(cuModuleUnload, module);
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("it waited: %d\n", (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 > 100);
    SAY(cuStreamSynchronize, stream);
    SAY(cuMemcpyDtoH, host, out, sizeof host);
    for (int i = 0; i < 32; i++)
        sum = sum * 31 + host[i];
    printf("%08x\n", sum);
}

/* ---- capture ---- */

static void capture(void)
{
    static const char *const names[] = {"filler_1", "k_constant", "filler_2", "filler_3", "filler_4"};
    CUlibrary library;
    CUmodule module, own;
    CUdeviceptr out, in;
    int n = 32, host[32];
    void *arguments[] = {&out, &in, &n};
    cuMemAlloc(&out, sizeof host);
    cuMemAlloc(&in, sizeof host);
    cuMemsetD32(in, 0x3f000000, 32);
    SAY(cuLibraryLoadData, &library, fatbin, NULL, NULL, 0, NULL, NULL, 0);
    SAY(cuModuleLoadData, &own, fatbin);
    for (int i = 0; i < 5; i++) {
        CUstream stream;
        CUgraph graph = NULL;
        CUgraphExec exec = NULL;
        CUkernel kernel = NULL;
        CUfunction function = NULL;
        unsigned sum = 0;
        cuMemsetD32(out, 0, 32);
        cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);
        SAY(cuStreamBeginCapture, stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
        if (i < 2) {
            SAY(cuLibraryGetKernel, &kernel, library, names[i]);
            SAY(cuKernelGetFunction, &function, kernel);
        } else {
            module = own;
            if (i == 2)
                SAY(cuLibraryGetModule, &module, library);
            SAY(cuModuleGetFunction, &function, module, names[i]);
        }
        SAY(cuLaunchKernel, function, 1, 1, 1, 8, 1, 1, 0, stream, arguments, NULL);
        SAY(cuStreamEndCapture, stream, &graph);
        if (graph && SAY(cuGraphInstantiate, &exec, graph, 0) == 0)
            SAY(cuGraphLaunch, exec, stream);
        SAY(cuStreamSynchronize, stream);
        cuMemcpyDtoH(host, out, sizeof host);
        for (int k = 0; k < 8; k++)
            sum = sum * 31 + (unsigned)host[k];
        printf("%s: %08x\n", names[i], sum);
        cuStreamDestroy(stream);
    }
    SAY(cuLibraryUnload, library);
    SAY(cuModuleUnload, own);
}

/* ---- registers ---- */

static void registers(void)
{
    CUlibrary library;
    CUkernel kernels[64];
    unsigned count = 0;
    SAY(cuLibraryLoadData, &library, fatbin, NULL, NULL, 0, NULL, NULL, 0);
    SAY(cuLibraryGetKernelCount, &count, library);
    if (count > 64 || cuLibraryEnumerateKernels(kernels, count, library))
        return;
    for (unsigned i = 0; i < count; i++) {
        const char *name = "";
        int number = 0;
        cuKernelGetName(&name, kernels[i]);
        cuKernelGetAttribute(&number, CU_FUNC_ATTRIBUTE_NUM_REGS, kernels[i], device);
        printf("%s %d\n", name, number);
    }
    SAY(cuLibraryUnload, library);
}

int main(int argc, char **argv)
{
    fatbin = read_file(argv[2]);
    text = read_file(argv[3]);
    cuInit(0);
    cuDeviceGet(&device, 0);
    SAY(cuDevicePrimaryCtxRetain, &primary, device);
    SAY(cuCtxSetCurrent, primary);
    if (strcmp(argv[1], "race") == 0)
        race();
    if (strcmp(argv[1], "contexts") == 0)
        contexts();
    if (strcmp(argv[1], "reload") == 0)
        reload();
    if (strcmp(argv[1], "globals") == 0)
        globals();
    if (strcmp(argv[1], "options") == 0)
        options();
    if (strcmp(argv[1], "kernels") == 0)
        kernels();
    if (strcmp(argv[1], "modules") == 0)
        modules();
    if (strcmp(argv[1], "none") == 0)
        unload_none();
    if (strcmp(argv[1], "late") == 0)
        unload_late();
    if (strcmp(argv[1], "busy") == 0)
        unload_busy();
    if (strcmp(argv[1], "capture") == 0)
        capture();
    if (strcmp(argv[1], "registers") == 0)
        registers();
    return argc < 4;
}
