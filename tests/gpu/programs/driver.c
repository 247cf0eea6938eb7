/*
 * The driver API called directly.   driver CASE
 *
 * Compiled once per way to reach the driver: VIA_LINK (linked with -lcuda), VIA_DLSYM (dlopen and
 * dlsym), VIA_GPA (cuGetProcAddress_v2, itself from dlsym), VIA_ENTRY (cudaGetDriverEntryPoint of a
 * shared cudart 13). Prints result numbers only. Files it loads lie beside the program, in ../fat.
 */
#include <cuda.h>
#include <dlfcn.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef VIA_ENTRY
#include <cuda_runtime_api.h>
#endif
#include "embed.h"

EMBED(good, "good.fatbin");
EMBED(bad, "bad.fatbin");
EMBED(bad80, "bad80.cubin");
EMBED(good90, "good90.cubin");

/* name, and the version of its newest form: what a header of CUDA 13 maps the bare name to. */
#define CALLS(X)                                                                                   \
    X(cuInit) X(cuDeviceGet) X(cuDevicePrimaryCtxRetain) X(cuCtxSetCurrent) X(cuCtxSynchronize)    \
    X(cuMemAlloc) X(cuMemcpyDtoH)                                                                  \
    X(cuModuleLoad) X(cuModuleLoadData) X(cuModuleLoadDataEx) X(cuModuleLoadFatBinary)             \
    X(cuModuleUnload) X(cuModuleGetFunction) X(cuModuleGetGlobal)                                  \
    X(cuLibraryLoadData) X(cuLibraryLoadFromFile) X(cuLibraryUnload) X(cuLibraryGetKernel)         \
    X(cuLibraryGetModule) X(cuKernelGetFunction) X(cuKernelGetAttribute) X(cuFuncLoad)             \
    X(cuFuncGetAttribute) X(cuFuncSetAttribute)                                                    \
    X(cuLinkCreate) X(cuLinkAddData) X(cuLinkComplete) X(cuLinkDestroy)                            \
    X(cuLaunchKernel) X(cuLaunchKernelEx) X(cuLaunchCooperativeKernel)                             \
    X(cuGraphCreate) X(cuGraphAddKernelNode) X(cuGraphInstantiate) X(cuGraphLaunch)

#ifdef VIA_LINK
#define CALL(name) name
static int find_driver(void)
{
    return 1;
}
#else
#define POINTER(name) static __typeof__(&name) pointer_##name;
CALLS(POINTER)
#define CALL(name) pointer_##name
#define TEXT(name) TEXT_(name)
#define TEXT_(name) #name

/* What the bare name of a function means depends on the version asked for: at 13000
 * cuCtxSynchronize takes a context, and cuGraphInstantiate is never the form with flags. */
enum { ASKED = 12080 };

static void *lookup(void *driver, const char *base, const char *full)
{
    void *found = NULL;
    if (strcmp(base, "cuGraphInstantiate") == 0)
        base = full;
#if defined VIA_DLSYM
    (void)base;
    found = dlsym(driver, full);
#elif defined VIA_GPA
    static __typeof__(&cuGetProcAddress) get;
    (void)full;
    if (!get)
        *(void **)&get = dlsym(driver, "cuGetProcAddress_v2");
    CUdriverProcAddressQueryResult status;
    if (!get || get(base, &found, ASKED, 0, &status))
        found = NULL;
#else
    enum cudaDriverEntryPointQueryResult status;
    (void)driver, (void)full;
    if (cudaGetDriverEntryPointByVersion(base, &found, ASKED, cudaEnableDefault, &status))
        found = NULL;
#endif
    if (!found)
        printf("no %s\n", full);
    return found;
}

static int find_driver(void)
{
    void *driver = dlopen("libcuda.so.1", RTLD_NOW);
    if (!driver)
        return 0;
#define FIND(name)                                                                                 \
    *(void **)&pointer_##name = lookup(driver, #name, TEXT(name));                                 \
    if (!pointer_##name)                                                                           \
        return 0;
    CALLS(FIND)
    return 1;
}
#endif

/* ---- the cases ---------------------------------------------------------------------------------- */

#define TRY(call)                                                                                  \
    do {                                                                                           \
        int result_ = (int)(call);                                                                 \
        if (result_)                                                                               \
            return result_;                                                                        \
    } while (0)

static CUdeviceptr memory;
static char directory[4096];

static const char *file(const char *name)
{
    static char path[8192];
    snprintf(path, sizeof path, "%s/../fat/%s", directory, name);
    return path;
}

static char *text_of(const char *name)
{
    FILE *f = fopen(file(name), "r");
    char *text = calloc(1, 65536);
    if (f && fread(text, 1, 65535, f) == 0)
        printf("cannot read %s\n", name);
    if (f)
        fclose(f);
    return text;
}

/* Memory that belongs to no file, as Triton, CuPy and JAX hand images over. */
static void *heap_copy(const char *from, const char *to)
{
    void *copy = malloc(to - from);
    memcpy(copy, from, to - from);
    return copy;
}

static int module_of(const void *image)
{
    CUmodule module;
    return CALL(cuModuleLoadData)(&module, image);
}

static int library_kernel(const void *image, const char *name, CUkernel *kernel)
{
    CUlibrary library;
    int e = CALL(cuLibraryLoadData)(&library, image, NULL, NULL, 0, NULL, NULL, 0);
    printf("load %d; ", e);
    return e ? e : (int)CALL(cuLibraryGetKernel)(kernel, library, name);
}

static int case_module_fatbin(void)
{
    return module_of(bad_fatbin);
}

static int case_module_wrapper(void)
{
    return module_of(&bad_wrapper);
}

static int case_module_cubin(void)
{
    return module_of(heap_copy(bad80_fatbin, bad80_fatbin_end));
}

static int case_module_ex(void)
{
    CUmodule module;
    return CALL(cuModuleLoadDataEx)(&module, bad_fatbin, 0, NULL, NULL);
}

static int case_module_fatbinary(void)
{
    CUmodule module;
    return CALL(cuModuleLoadFatBinary)(&module, bad_fatbin);
}

static int case_module_file(void)
{
    CUmodule module;
    return CALL(cuModuleLoad)(&module, file("bad.fatbin"));
}

static int case_library_data(void)
{
    CUkernel kernel;
    return library_kernel(&bad_wrapper, "_Z15voxelize_kernelPfi", &kernel);
}

static int case_library_module(void)
{
    CUlibrary library;
    CUmodule module;
    int e = CALL(cuLibraryLoadData)(&library, bad_fatbin, NULL, NULL, 0, NULL, NULL, 0);
    printf("load %d; ", e);
    return e ? e : (int)CALL(cuLibraryGetModule)(&module, library);
}

static int case_library_file(void)
{
    CUlibrary library;
    CUkernel kernel;
    int e = CALL(cuLibraryLoadFromFile)(&library, file("bad.fatbin"), NULL, NULL, 0, NULL, NULL, 0);
    printf("load %d; ", e);
    return e ? e : (int)CALL(cuLibraryGetKernel)(&kernel, library, "_Z15voxelize_kernelPfi");
}

static int case_ptx_new(void)
{
    return module_of(text_of("new.ptx"));
}

static int case_ptx_bad(void)
{
    return module_of(text_of("bad.ptx"));
}

static int case_link_new(void)
{
    CUlinkState link;
    char *text = text_of("new.ptx");
    int e = CALL(cuLinkCreate)(0, NULL, NULL, &link);
    if (e == 0) {
        e = CALL(cuLinkAddData)(link, CU_JIT_INPUT_PTX, text, strlen(text) + 1, "new.ptx", 0, NULL,
                                NULL);
        CALL(cuLinkDestroy)(link);
    }
    return e;
}

static int case_missing(void)
{
    CUmodule module;
    CUfunction function;
    int e = CALL(cuModuleLoadData)(&module, good_fatbin);
    return e ? e : (int)CALL(cuModuleGetFunction)(&function, module, "no_such_kernel");
}

static int case_missing_library(void)
{
    CUkernel kernel;
    return library_kernel(good_fatbin, "no_such_kernel", &kernel);
}

/* A truncated image must reach the driver as it is. */
static int case_truncated(void)
{
    size_t size = bad80_fatbin_end - bad80_fatbin;
    char *image = calloc(1, size);
    memcpy(image, bad80_fatbin, 100);
    return module_of(image);
}

/* Every way to launch, on a kernel that works: nothing may be reported. */
static int launch_all(CUfunction f, int is_function)
{
    int n = 8;
    void *args[] = {&memory, &n};
    CUlaunchConfig config = {.gridDimX = 1, .gridDimY = 1, .gridDimZ = 1,
                             .blockDimX = 8, .blockDimY = 1, .blockDimZ = 1};
    CUDA_KERNEL_NODE_PARAMS node_params = {.func = f, .gridDimX = 1, .gridDimY = 1, .gridDimZ = 1,
                                           .blockDimX = 8, .blockDimY = 1, .blockDimZ = 1,
                                           .kernelParams = args};
    CUgraph graph;
    CUgraphNode node;
    CUgraphExec exec;

    TRY(CALL(cuLaunchKernel)(f, 1, 1, 1, 8, 1, 1, 0, NULL, args, NULL));
    TRY(CALL(cuLaunchKernelEx)(&config, f, args, NULL));
    TRY(CALL(cuLaunchCooperativeKernel)(f, 1, 1, 1, 8, 1, 1, 0, NULL, args));
    if (!is_function) /* a launch takes a CUkernel in its place, a node does not */
        return CALL(cuCtxSynchronize)();
    TRY(CALL(cuGraphCreate)(&graph, 0));
    TRY(CALL(cuGraphAddKernelNode)(&node, graph, NULL, 0, &node_params));
    TRY(CALL(cuGraphInstantiate)(&exec, graph, 0));
    TRY(CALL(cuGraphLaunch)(exec, NULL));
    return CALL(cuCtxSynchronize)();
}

static int case_healthy(void)
{
    CUmodule module;
    CUfunction f;
    CUkernel kernel;
    int value = 0;

    TRY(CALL(cuModuleLoadData)(&module, good_fatbin));
    TRY(CALL(cuModuleGetFunction)(&f, module, "_Z12scale_kernelPfi"));
    TRY(CALL(cuFuncGetAttribute)(&value, CU_FUNC_ATTRIBUTE_NUM_REGS, f));
    TRY(launch_all(f, 1));
    TRY(CALL(cuModuleUnload)(module));
    TRY(library_kernel(&good_wrapper, "_Z12scale_kernelPfi", &kernel));
    TRY(launch_all((CUfunction)kernel, 0));
    TRY(CALL(cuKernelGetFunction)(&f, kernel));
    TRY(launch_all(f, 1));
    TRY(module_of(heap_copy(good90_fatbin, good90_fatbin_end)));
    return module_of(text_of("good.ptx"));
}

/* Two images, the second good: a record of the first, unloaded, must not stick to it. */
static int case_recover(void)
{
    int e = module_of(bad_fatbin);
    printf("first %d; ", e);
    return case_healthy();
}

static const struct {
    const char *name;
    int (*run)(void);
} cases[] = {
    {"module-fatbin", case_module_fatbin},     {"module-wrapper", case_module_wrapper},
    {"module-cubin", case_module_cubin},       {"module-ex", case_module_ex},
    {"module-fatbinary", case_module_fatbinary}, {"module-file", case_module_file},
    {"library-data", case_library_data},       {"library-module", case_library_module},
    {"library-file", case_library_file},       {"ptx-new", case_ptx_new},
    {"ptx-bad", case_ptx_bad},                 {"link-new", case_link_new},
    {"missing", case_missing},                 {"missing-library", case_missing_library},
    {"truncated", case_truncated},             {"healthy", case_healthy},
    {"recover", case_recover},
};

static int start(void)
{
    CUdevice device;
    CUcontext context;

    TRY(CALL(cuInit)(0));
    TRY(CALL(cuDeviceGet)(&device, 0));
    TRY(CALL(cuDevicePrimaryCtxRetain)(&context, device));
    TRY(CALL(cuCtxSetCurrent)(context));
    return CALL(cuMemAlloc)(&memory, 64);
}

int main(int argc, char **argv)
{
    int e = -1;
    ssize_t length = readlink("/proc/self/exe", directory, sizeof directory - 1);
    if (length > 0)
        dirname(directory);
    if (!find_driver() || (e = start()) != 0) {
        printf("no usable GPU: %d\n", e);
        return 77;
    }
    e = -1;
    for (size_t i = 0; argc > 1 && i < sizeof cases / sizeof cases[0]; i++)
        if (!strcmp(cases[i].name, argv[1]))
            e = cases[i].run();
    printf("%s: %d\n", argc > 1 ? argv[1] : "?", e);
    return e == 0 ? 0 : 1;
}
