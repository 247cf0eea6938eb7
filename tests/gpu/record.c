/*
 * record: asks a real driver what it answers, and writes the answers down.
 *
 *   record CASES_DIR JOBS > driver-580.tsv
 *
 * Each line is one call: trace id, arguments, result, detail (tests/recorded/README.md). What the
 * rules assume and what the fake driver replays is compared with these lines and with nothing else,
 * so a line must never depend on what ran before it: a process loads at most BATCH images, by one
 * route, under one environment; one that crashes or hangs is noted as such and the rest goes on in
 * a new process. Nothing here depends on kguard's own reading of images.
 */
#include "kg_cuda.h"
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BATCH 24
#define SECONDS 20                   /* for one image */
enum { NO_START = 3, POISONED = 4 }; /* how a worker may end early */
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- the driver ----------------------------------------------------------------------------- */

#define FIELD(name, parameters) __typeof__(&name) name;
#define FIELDS(name, parameters) FIELD(name, parameters) FIELD(name##_ptsz, parameters)
static struct {
    KG_CUDA_FUNCTIONS(FIELD, FIELDS)
} cu;

#define NAME(name, parameters) #name,
#define NAMES(name, parameters) #name, #name "_ptsz",
static const char *const names[] = {KG_CUDA_FUNCTIONS(NAME, NAMES)};

static void *libcuda;
static const char *cases;
static CUdevice device;
static CUdeviceptr out;
static bool poisoned; /* a kernel failed: this context answers nothing useful any more */

/* What the call at hand is, for the id of its line. */
static struct {
    const char *route, *image, *mode;
    char seen[128][64]; /* calls of this image so far, to number repeated ones */
    size_t count;
} at;

/* ---- lines ---------------------------------------------------------------------------------- */

static char driver_log[8192];
static size_t driver_log_length, driver_log_count;
static pid_t caller;

static void on_log(void *data, CUlogLevel level, char *message, size_t length)
{
    (void)data;
    pid_t thread = (pid_t)syscall(SYS_gettid);
    driver_log_count++;
    int n = snprintf(driver_log + driver_log_length, sizeof driver_log - driver_log_length,
                     " log[%s,%s]=%.*s", level == CU_LOG_LEVEL_ERROR ? "error" : "warning",
                     thread == caller ? "same thread" : "OTHER THREAD", (int)length, message);
    if (n > 0 && driver_log_length + (size_t)n < sizeof driver_log)
        driver_log_length += (size_t)n;
}

static void clean(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < ' ')
            *s = ' ';
}

/* One line. `api` may carry what tells one call from another: "cuGraphAddNode(kern)". */
__attribute__((format(printf, 4, 5))) static CUresult line(const char *api, const char *arguments,
                                                           CUresult result, const char *format, ...)
{
    char detail[12288], repeat[16] = "";
    va_list list;
    va_start(list, format);
    int n = vsnprintf(detail, sizeof detail - sizeof driver_log - 1, format, list);
    va_end(list);
    snprintf(detail + n, sizeof detail - (size_t)n, "%s", driver_log);
    driver_log[driver_log_length = driver_log_count = 0] = 0;
    clean(detail);
    size_t before = 0;
    for (size_t i = 0; i < at.count; i++)
        before += !strcmp(at.seen[i], api);
    if (before)
        snprintf(repeat, sizeof repeat, "#%zu", before + 1);
    if (at.count < COUNT(at.seen))
        snprintf(at.seen[at.count++], sizeof at.seen[0], "%s", api);
    const char *text = detail;
    while (*text == ' ')
        text++;
    printf("%s/%s/%s/%s%s\t%s\t%d\t%s\n", at.route, at.image, at.mode, api, repeat,
           *arguments ? arguments : "-", (int)result, *text ? text : "-");
    fflush(stdout);
    return result;
}

#define CALL(api, ...) line(#api, "", cu.api ? cu.api(__VA_ARGS__) : (CUresult)-1, " ")

/* ---- images --------------------------------------------------------------------------------- */

struct image {
    char name[96], path[512];
    unsigned char *bytes; /* followed by zeros, as PTX text needs and truncated images deserve */
    size_t size;
};

static bool image_open(struct image *im, const char *name)
{
    snprintf(im->name, sizeof im->name, "%s", name);
    snprintf(im->path, sizeof im->path, "%s/%s", cases, name);
    int fd = open(im->path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) {
        fprintf(stderr, "record: %s: %s\n", im->path, strerror(errno));
        return false;
    }
    im->size = (size_t)st.st_size;
    im->bytes = mmap(NULL, im->size + (1 << 20), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool whole = read(fd, im->bytes, im->size) == (ssize_t)im->size;
    close(fd);
    return whole;
}

/* Images stay mapped: cuLibraryLoadData may keep the pointer. */

/* ---- using what was loaded ------------------------------------------------------------------- */

static int marker(void)
{
    int value = -1;
    CUresult r = cu.cuCtxSynchronize();
    if (!r)
        r = cu.cuMemcpyDtoH_v2(&value, out, sizeof value);
    poisoned = poisoned || r;
    return r ? -(int)r : value;
}

static void clear(void)
{
    int zero[128] = {0};
    cu.cuMemcpyHtoD_v2(out, zero, sizeof zero);
}

static void launch(CUfunction f, const char *what)
{
    void *arguments[] = {&out};
    clear();
    CUresult r = cu.cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, arguments, NULL);
    int value = r ? 0 : marker();
    line("cuLaunchKernel", what, r, r ? " " : "marker=%d", value);
}

static void use_module(CUmodule m)
{
    CUfunction f = NULL;
    if (CALL(cuModuleGetFunction, &f, m, "marker"))
        return;
    launch(f, "CUfunction");
    cu.cuModuleUnload(m);
}

static void use_library(CUlibrary lib)
{
    CUkernel k = NULL;
    CUmodule m = NULL;
    if (!CALL(cuLibraryGetKernel, &k, lib, "marker"))
        launch((CUfunction)k, "CUkernel");
    CALL(cuLibraryGetModule, &m, lib);
    cu.cuLibraryUnload(lib);
}

/* ---- routes ---------------------------------------------------------------------------------- */

static void route_module(struct image *im)
{
    CUmodule m = NULL;
    if (!CALL(cuModuleLoadData, &m, im->bytes))
        use_module(m);
}

static void load_ex(struct image *im, int strategy)
{
    char error[4096] = "", info[1024] = "";
    CUjit_option option[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
                             CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES,
                             CU_JIT_FALLBACK_STRATEGY};
    void *value[] = {error, (void *)sizeof error, info, (void *)sizeof info,
                     (void *)(intptr_t)strategy};
    CUmodule m = NULL;
    CUresult r = cu.cuModuleLoadDataEx(&m, im->bytes, strategy < 0 ? 4 : 5, option, value);
    char *text = *error ? error : info;
    line("cuModuleLoadDataEx",
         strategy < 0    ? "log buffers"
         : strategy == 0 ? "CU_PREFER_PTX"
                         : "CU_PREFER_BINARY",
         r, *text ? "jit=%.1500s" : " ", text);
    if (!r)
        use_module(m);
}

static void route_ex(struct image *im)
{
    load_ex(im, -1);
}
static void route_ex_prefer_ptx(struct image *im)
{
    load_ex(im, CU_PREFER_PTX);
}
static void route_ex_prefer_binary(struct image *im)
{
    load_ex(im, CU_PREFER_BINARY);
}

static void route_fatbinary(struct image *im)
{
    CUmodule m = NULL;
    if (!CALL(cuModuleLoadFatBinary, &m, im->bytes))
        use_module(m);
}

static void route_module_file(struct image *im)
{
    CUmodule m = NULL;
    if (!CALL(cuModuleLoad, &m, im->path))
        use_module(m);
}

static void route_library(struct image *im)
{
    CUlibrary lib = NULL;
    if (!CALL(cuLibraryLoadData, &lib, im->bytes, NULL, NULL, 0, NULL, NULL, 0))
        use_library(lib);
}

/* As the runtime calls it: the image stays where it is. */
static void route_library_preserved(struct image *im)
{
    CUlibrary lib = NULL;
    CUlibraryOption option = CU_LIBRARY_BINARY_IS_PRESERVED;
    void *value = (void *)1;
    if (!CALL(cuLibraryLoadData, &lib, im->bytes, NULL, NULL, 0, &option, &value, 1))
        use_library(lib);
}

static void route_library_file(struct image *im)
{
    CUlibrary lib = NULL;
    if (!CALL(cuLibraryLoadFromFile, &lib, im->path, NULL, NULL, 0, NULL, NULL, 0))
        use_library(lib);
}

struct wrapper {
    uint32_t magic, version;
    const void *data, *const *linked;
};

static void wrapped(struct wrapper *w)
{
    CUmodule m = NULL;
    CUlibrary lib = NULL;
    if (!CALL(cuModuleLoadData, &m, w))
        use_module(m);
    m = NULL;
    if (!CALL(cuModuleLoadFatBinary, &m, w))
        use_module(m);
    if (!CALL(cuLibraryLoadData, &lib, w, NULL, NULL, 0, NULL, NULL, 0))
        use_library(lib);
}

static void wrapped_as(struct image *im, uint32_t magic, uint32_t version)
{
    static const void *const none[] = {NULL};
    struct wrapper *w = malloc(sizeof *w); /* outlives the call, as the driver may expect */
    *w = (struct wrapper){magic, version, im->bytes, version == 2 ? none : NULL};
    wrapped(w);
}

static void route_wrapper1(struct image *im)
{
    wrapped_as(im, 0x466243B1, 1);
}
static void route_wrapper2(struct image *im)
{
    wrapped_as(im, 0x466243B1, 2);
}
static void route_wrapper3(struct image *im)
{
    wrapped_as(im, 0x466243B1, 3);
}
static void route_wrapper_magic(struct image *im)
{
    wrapped_as(im, 0x466243B2, 1);
}

/* X_linked.fatbin with the relocatable X_a.fatbin and X_b.fatbin behind it. */
static void route_rdc(struct image *im)
{
    static struct image part[2];
    static const void *set[3];
    static struct wrapper w;
    for (int i = 0; i < 2; i++) {
        char name[96];
        snprintf(name, sizeof name, "%.*s_%c.fatbin",
                 (int)(strlen(im->name) - strlen("_linked.fatbin")), im->name, 'a' + i);
        if (!image_open(&part[i], name))
            return;
        set[i] = part[i].bytes;
    }
    w = (struct wrapper){0x466243B1, 2, im->bytes, set};
    wrapped(&w);
}

static void route_link(struct image *im)
{
    const char *dot = strrchr(im->name, '.');
    CUjitInputType type = !strcmp(dot, ".cubin") ? CU_JIT_INPUT_CUBIN
                          : !strcmp(dot, ".ptx") ? CU_JIT_INPUT_PTX
                          : !strcmp(dot, ".o")   ? CU_JIT_INPUT_OBJECT
                                                 : CU_JIT_INPUT_FATBINARY;
    char error[4096] = "";
    CUjit_option option[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *value[] = {error, (void *)sizeof error};
    CUlinkState state = NULL;
    void *cubin = NULL;
    size_t size = 0;
    if (CALL(cuLinkCreate_v2, 2, option, value, &state))
        return;
    CUresult r = cu.cuLinkAddData_v2(state, type, im->bytes, im->size + (type == CU_JIT_INPUT_PTX),
                                     im->name, 0, NULL, NULL);
    line("cuLinkAddData_v2", im->name, r, *error ? "jit=%.1500s" : " ", error);
    if (!r) {
        *error = 0;
        r = cu.cuLinkComplete(state, &cubin, &size);
        line("cuLinkComplete", "", r, *error ? "size=%zu jit=%.1500s" : "size=%zu", size, error);
    }
    CUmodule m = NULL;
    if (!r && !CALL(cuModuleLoadData, &m, cubin))
        use_module(m);
    cu.cuLinkDestroy(state);
}

/* ---- route "after": what every later call says about the image --------------------------------
 */

/* One call on a handle f, which is a CUfunction or a CUkernel given as one. */
static void on_function(int step, CUfunction f, CUkernel k)
{
    const char *what = k ? "CUkernel" : "CUfunction";
    void *arguments[] = {&out};
    int value = 0;
    size_t offset, size;
    const char *name = "";
    CUfunctionLoadingState state = -1;
    CUmodule m = NULL;
    CUlaunchConfig config = {1, 1, 1, 1, 1, 1, 0, NULL, NULL, 0};
    CUDA_LAUNCH_PARAMS multi = {f, 1, 1, 1, 1, 1, 1, 0, NULL, arguments};
    CUresult r;
    clear();
#define ON(api, ...) line(#api, what, cu.api ? cu.api(__VA_ARGS__) : (CUresult)-1, " ")
#define RUN(api, ...)                                                                              \
    r = cu.api ? cu.api(__VA_ARGS__) : (CUresult)-1;                                               \
    line(#api, what, r, r ? " " : "marker=%d", r ? 0 : marker())
    switch (step) {
    case 0:
        ON(cuFuncGetAttribute, &value, CU_FUNC_ATTRIBUTE_BINARY_VERSION, f);
        break;
    case 1:
        ON(cuFuncSetAttribute, f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 1024);
        break;
    case 2:
        ON(cuFuncSetCacheConfig, f, CU_FUNC_CACHE_PREFER_NONE);
        break;
    case 3:
        ON(cuFuncLoad, f);
        break;
    case 4:
        ON(cuFuncIsLoaded, &state, f);
        break;
    case 5:
        ON(cuFuncGetName, &name, f);
        break;
    case 6:
        ON(cuFuncGetModule, &m, f);
        break;
    case 7:
        ON(cuFuncGetParamInfo, f, 0, &offset, &size);
        break;
    case 8:
        ON(cuOccupancyMaxActiveBlocksPerMultiprocessor, &value, f, 32, 0);
        break;
    case 9:
        RUN(cuLaunchKernel, f, 1, 1, 1, 1, 1, 1, 0, NULL, arguments, NULL);
        break;
    case 10:
        RUN(cuLaunchKernel_ptsz, f, 1, 1, 1, 1, 1, 1, 0, NULL, arguments, NULL);
        break;
    case 11:
        RUN(cuLaunchKernelEx, &config, f, arguments, NULL);
        break;
    case 12:
        RUN(cuLaunchKernelEx_ptsz, &config, f, arguments, NULL);
        break;
    case 13:
        RUN(cuLaunchCooperativeKernel, f, 1, 1, 1, 1, 1, 1, 0, NULL, arguments);
        break;
    case 14:
        RUN(cuLaunchCooperativeKernel_ptsz, f, 1, 1, 1, 1, 1, 1, 0, NULL, arguments);
        break;
    case 15:
        RUN(cuLaunchCooperativeKernelMultiDevice, &multi, 1, 0);
        break;
    }
    if (k) {
        CUfunction g = NULL;
        CUlibrary lib = NULL;
        switch (step) {
        case 20:
            ON(cuKernelGetFunction, &g, k);
            break;
        case 21:
            ON(cuKernelGetLibrary, &lib, k);
            break;
        case 22:
            ON(cuKernelGetAttribute, &value, CU_FUNC_ATTRIBUTE_BINARY_VERSION, k, device);
            break;
        case 23:
            ON(cuKernelSetAttribute, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 1024, k,
               device);
            break;
        case 24:
            ON(cuKernelSetCacheConfig, k, CU_FUNC_CACHE_PREFER_NONE, device);
            break;
        case 25:
            ON(cuKernelGetName, &name, k);
            break;
        case 26:
            ON(cuKernelGetParamInfo, k, 0, &offset, &size);
            break;
        }
    }
#undef ON
#undef RUN
}
#define FUNCTION_STEPS 27

/* A graph of one kernel node, made one way, to its launch. */
enum way { ADD_V1, ADD_V2, ADD_KERNEL, NODE_V1, NODE_V2 };

static CUresult add_node(enum way way, CUgraphNode *n, CUgraph g, CUfunction f, CUkernel k,
                         const CUDA_KERNEL_NODE_PARAMS_v2 *v2)
{
    CUDA_KERNEL_NODE_PARAMS_v1 v1 = {f, 1, 1, 1, 1, 1, 1, 0, v2->kernelParams, NULL};
    CUgraphNodeParams node = {CU_GRAPH_NODE_TYPE_KERNEL, {0}, {{0}}, 0};
    memcpy(&node.kernel, v2, sizeof node.kernel);
    const char *what = k ? "CUkernel" : "CUfunction";
    switch (way) {
    case ADD_V1:
        return line("cuGraphAddKernelNode", what, cu.cuGraphAddKernelNode(n, g, NULL, 0, &v1), " ");
    case ADD_V2:
    case ADD_KERNEL:
        return line("cuGraphAddKernelNode_v2", what, cu.cuGraphAddKernelNode_v2(n, g, NULL, 0, v2),
                    " ");
    case NODE_V1:
        return line("cuGraphAddNode", what, cu.cuGraphAddNode(n, g, NULL, 0, &node), " ");
    default:
        return line("cuGraphAddNode_v2", what, cu.cuGraphAddNode_v2(n, g, NULL, NULL, 0, &node),
                    " ");
    }
}

static void on_graph(enum way way, CUfunction f, CUkernel k)
{
    void *arguments[] = {&out};
    bool by_kernel = k && way >= ADD_KERNEL; /* else the CUkernel is given as a CUfunction */
    CUDA_KERNEL_NODE_PARAMS_v1 v1 = {f, 1, 1, 1, 1, 1, 1, 0, arguments, NULL};
    CUDA_KERNEL_NODE_PARAMS_v2 v2 = {by_kernel ? NULL : f, 1,   1, 1, 1, 1, 1, 0, arguments, NULL,
                                     by_kernel ? k : NULL, NULL};
    CUgraphNodeParams node = {CU_GRAPH_NODE_TYPE_KERNEL, {0}, {{0}}, 0};
    CUDA_GRAPH_INSTANTIATE_PARAMS params = {0, NULL, NULL, 0};
    CUgraph g = NULL;
    CUgraphNode n = NULL, bad = NULL;
    CUgraphExec x = NULL;
    memcpy(&node.kernel, &v2, sizeof node.kernel);
    cu.cuGraphCreate(&g, 0);
    clear();
    if (add_node(way, &n, g, f, k, &v2))
        return;
    if (way == ADD_V1)
        CALL(cuGraphKernelNodeSetParams, n, &v1);
    CALL(cuGraphKernelNodeSetParams_v2, n, &v2);
    CALL(cuGraphNodeSetParams, n, &node);
    if (way == ADD_V1) {
        CALL(cuGraphInstantiate, &x, g, &bad, NULL, 0);
        CALL(cuGraphInstantiate_v2, &x, g, &bad, NULL, 0);
    }
    CALL(cuGraphInstantiateWithParams, &x, g, &params);
    CALL(cuGraphInstantiateWithParams_ptsz, &x, g, &params);
    if (CALL(cuGraphInstantiateWithFlags, &x, g, 0))
        return;
    if (way == ADD_V1)
        CALL(cuGraphExecKernelNodeSetParams, x, n, &v1);
    CALL(cuGraphExecKernelNodeSetParams_v2, x, n, &v2);
    CALL(cuGraphExecNodeSetParams, x, n, &node);
    CUresult r = cu.cuGraphLaunch(x, NULL);
    int value = r ? 0 : marker();
    line("cuGraphLaunch", "", r, r ? " " : "marker=%d", value);
    clear();
    r = cu.cuGraphLaunch_ptsz(x, NULL);
    value = r ? 0 : marker();
    line("cuGraphLaunch_ptsz", "", r, r ? " " : "marker=%d", value);
}

static void on_library(int step, CUlibrary lib)
{
    CUkernel k[4] = {NULL};
    CUmodule m = NULL;
    CUfunction f = NULL;
    CUdeviceptr p = 0;
    size_t bytes = 0;
    unsigned n = 0;
    void *fptr = NULL;
    switch (step) {
    case 0:
        CALL(cuLibraryGetModule, &m, lib);
        break;
    case 1: {
        CUresult r = cu.cuLibraryGetKernelCount(&n, lib);
        line("cuLibraryGetKernelCount", "", r, "count=%u", n);
        break;
    }
    case 2:
        CALL(cuLibraryEnumerateKernels, k, 1, lib);
        break;
    case 3:
        CALL(cuLibraryGetGlobal, &p, &bytes, lib, "nosuch");
        break;
    case 4:
        CALL(cuLibraryGetManaged, &p, &bytes, lib, "nosuch");
        break;
    case 5:
        CALL(cuLibraryGetUnifiedFunction, &fptr, lib, "marker");
        break;
    case 6: /* does the second asking say the same? */
        CALL(cuLibraryGetKernel, k, lib, "marker");
        CALL(cuLibraryGetKernel, k, lib, "marker");
        break;
    case 7:
        line("cuLibraryGetKernel(nosuch)", "", cu.cuLibraryGetKernel(k, lib, "nosuch"), " ");
        break;
    case 8:
        if (!cu.cuLibraryGetModule(&m, lib)) {
            CALL(cuModuleGetFunction, &f, m, "marker");
            line("cuModuleGetFunction(nosuch)", "", cu.cuModuleGetFunction(&f, m, "nosuch"), " ");
            CUresult r = cu.cuModuleGetFunctionCount(&n, m);
            line("cuModuleGetFunctionCount", "", r, "count=%u", n);
            CALL(cuModuleEnumerateFunctions, &f, 1, m);
        }
        break;
    case 9:
        CALL(cuLibraryUnload, lib);
        break;
    }
}
#define LIBRARY_STEPS 10

static CUkernel new_kernel(struct image *im)
{
    CUlibrary lib = NULL;
    CUkernel k = NULL;
    CUresult r = cu.cuLibraryLoadData(&lib, im->bytes, NULL, NULL, 0, NULL, NULL, 0);
    if (!r)
        r = cu.cuLibraryGetKernel(&k, lib, "marker");
    driver_log[driver_log_length = 0] = 0;
    return r ? NULL : k;
}

static CUfunction new_function(struct image *im)
{
    CUmodule m = NULL;
    CUfunction f = NULL;
    CUresult r = cu.cuModuleLoadData(&m, im->bytes);
    if (!r)
        r = cu.cuModuleGetFunction(&f, m, "marker");
    driver_log[driver_log_length = 0] = 0;
    return r ? NULL : f;
}

static void route_after_library(struct image *im)
{
    for (int step = 0; step < LIBRARY_STEPS; step++) {
        CUlibrary lib = NULL;
        CUresult r = cu.cuLibraryLoadData(&lib, im->bytes, NULL, NULL, 0, NULL, NULL, 0);
        driver_log[driver_log_length = 0] = 0;
        if (r) {
            line("cuLibraryLoadData", "", r, " ");
            return;
        }
        on_library(step, lib);
    }
    for (int step = 0; step < FUNCTION_STEPS; step++) {
        CUkernel k = new_kernel(im);
        if (k)
            on_function(step, (CUfunction)k, k);
    }
}

static void route_after_module(struct image *im)
{
    CUmodule m = NULL;
    CUfunction f = NULL;
    unsigned n = 0;
    if (CALL(cuModuleLoadData, &m, im->bytes))
        return;
    line("cuModuleGetFunction(nosuch)", "", cu.cuModuleGetFunction(&f, m, "nosuch"), " ");
    CUresult r = cu.cuModuleGetFunctionCount(&n, m);
    line("cuModuleGetFunctionCount", "", r, "count=%u", n);
    CALL(cuModuleEnumerateFunctions, &f, 1, m);
    for (int step = 0; step < FUNCTION_STEPS; step++)
        if ((f = new_function(im)))
            on_function(step, f, NULL);
}

/* Each way of making a graph is a route of its own: some crash when given a CUkernel. */
static void route_graph_library_kernel(struct image *im)
{
    CUkernel k = new_kernel(im);
    on_graph(ADD_KERNEL, (CUfunction)k, k);
}
#define GRAPH(name, way)                                                                           \
    static void route_graph_library_##name(struct image *im)                                       \
    {                                                                                              \
        CUkernel k = new_kernel(im);                                                               \
        on_graph(way, (CUfunction)k, k);                                                           \
    }                                                                                              \
    static void route_graph_module_##name(struct image *im)                                        \
    {                                                                                              \
        on_graph(way, new_function(im), NULL);                                                     \
    }
GRAPH(v1, ADD_V1)
GRAPH(v2, ADD_V2)
GRAPH(node_v1, NODE_V1)
GRAPH(node_v2, NODE_V2)

/* No block shape was set and no argument given: what they return is all that counts here. */
static void route_obsolete(struct image *im)
{
    CUfunction f = new_function(im);
    CALL(cuLaunch, f);
    CALL(cuLaunchGrid, f, 1, 1);
    CALL(cuLaunchGridAsync, f, 1, 1, NULL);
    poisoned = true;
}

/* ---- routes without an image ------------------------------------------------------------------
 */

/* Bad handles and missing arguments. (A freed handle is not tried: the driver may crash.) */
static void route_handles(struct image *im)
{
    (void)im;
    CUfunction f = NULL;
    CUkernel k = NULL;
    CUmodule m = NULL;
    CUlibrary lib = NULL;
    CUgraphExec x = NULL;
    int value;
    void *arguments[] = {&out};
    CALL(cuModuleLoadData, &m, NULL);
    CALL(cuModuleLoad, &m, "/nonexistent.cubin");
    CALL(cuLibraryLoadData, &lib, NULL, NULL, NULL, 0, NULL, NULL, 0);
    CALL(cuLibraryLoadFromFile, &lib, "/nonexistent.cubin", NULL, NULL, 0, NULL, NULL, 0);
    CALL(cuModuleGetFunction, &f, NULL, "marker");
    CALL(cuLibraryGetKernel, &k, NULL, "marker");
    CALL(cuLibraryGetModule, &m, NULL);
    CALL(cuKernelGetFunction, &f, NULL);
    CALL(cuFuncGetAttribute, &value, CU_FUNC_ATTRIBUTE_NUM_REGS, NULL);
    CALL(cuLaunchKernel, NULL, 1, 1, 1, 1, 1, 1, 0, NULL, arguments, NULL);
    CALL(cuGraphLaunch, x, NULL);
    CALL(cuModuleUnload, NULL);
    CALL(cuLibraryUnload, NULL);
    CALL(cuDeviceGet, &device, 99);
    const void *table = NULL;
    CUuuid unknown = {"no such table 1"};
    CALL(cuGetExportTable, &table, &unknown);
    cu.cuCtxSetCurrent(NULL);
    CALL(cuCtxGetDevice, &device);
    static const char text[] = ".version 7.0\n.target sm_80\n.address_size 64\n";
    line("cuModuleLoadData(no context)", "", cu.cuModuleLoadData(&m, text), " ");
    line("cuLibraryLoadData(no context)", "",
         cu.cuLibraryLoadData(&lib, text, NULL, NULL, 0, NULL, NULL, 0), " ");
    line("cuLaunchKernel(no context)", "",
         cu.cuLaunchKernel(NULL, 1, 1, 1, 1, 1, 1, 0, NULL, arguments, NULL), " ");
}

static int count_entries(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[600];
        if (e->d_name[0] == '.' || !strcmp(e->d_name, "index"))
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        n += e->d_type == DT_DIR ? count_entries(path) : 1;
    }
    if (d)
        closedir(d);
    return n;
}

/* One process, one empty cache, the same PTX again and again with one thing changed: a new entry in
 * the cache means that this thing is part of its key; registers tell whether it was obeyed. */
static void route_cache(struct image *im)
{
    (void)im;
    static const char *const files[] = {"options_none.fatbin",     "options_none.fatbin",
                                        "options_maxreg.fatbin",   "options_o0.fatbin",
                                        "options_lineinfo.fatbin", "options_unknown.fatbin",
                                        "options_none.ptx"};
    const char *dir = getenv("CUDA_CACHE_PATH");
    for (size_t i = 0; i < COUNT(files) + 3; i++) {
        struct image one;
        CUmodule m = NULL;
        CUfunction f = NULL;
        int registers = -1;
        size_t which = i < COUNT(files) ? i : 0;
        if (!image_open(&one, files[which]))
            return;
        CUjit_option option[] = {CU_JIT_MAX_REGISTERS, CU_JIT_OPTIMIZATION_LEVEL, 13};
        void *value[] = {(void *)(intptr_t)24, (void *)(intptr_t)0, (void *)1};
        unsigned extra = i < COUNT(files) ? 0 : 1;
        size_t first = extra ? i - COUNT(files) : 0;
        int before = count_entries(dir);
        CUresult r = cu.cuModuleLoadDataEx(&m, one.bytes, extra, option + first, value + first);
        if (!r && !cu.cuModuleGetFunction(&f, m, "marker"))
            cu.cuFuncGetAttribute(&registers, CU_FUNC_ATTRIBUTE_NUM_REGS, f);
        char what[128];
        snprintf(what, sizeof what, "%s%s", files[which],
                 !extra       ? ""
                 : first == 0 ? ", CU_JIT_MAX_REGISTERS=24"
                 : first == 1 ? ", CU_JIT_OPTIMIZATION_LEVEL=0"
                              : ", CU_JIT_GENERATE_LINE_INFO=1");
        line("cuModuleLoadDataEx", what, r, "new cache entries=%d registers=%d",
             count_entries(dir) - before, registers);
    }
}

static uintptr_t driver_low = ~(uintptr_t)0, driver_high;

static int find_driver(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    if (!strstr(info->dlpi_name, "libcuda.so"))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t low = info->dlpi_addr + p->p_vaddr;
        if (p->p_type != PT_LOAD)
            continue;
        driver_low = low < driver_low ? low : driver_low;
        driver_high = low + p->p_memsz > driver_high ? low + p->p_memsz : driver_high;
    }
    snprintf(data, 256, "%s", info->dlpi_name);
    return 1;
}

static char untouched;

static const char *symbol_of(void *p)
{
    Dl_info info;
    if (!p)
        return "NULL";
    if (p == &untouched)
        return "untouched";
    for (size_t i = 0; i < COUNT(names); i++)
        if (dlsym(libcuda, names[i]) == p)
            return names[i];
    if (dladdr(p, &info) && info.dli_saddr == p)
        return info.dli_sname;
    return (uintptr_t)p >= driver_low && (uintptr_t)p < driver_high ? "unexported" : "OUTSIDE";
}

/* Every base name, as programs ask for it, for old and new versions and for each flag. */
static void proc_names(const char *base)
{
    static const int versions[] = {4000, 7000, 10000, 11030, 12000, 12080, 12090, 13000, 99990};
    char last[512] = "";
    for (size_t v = 0; v < COUNT(versions); v++) {
        char detail[512], api[128], what[64];
        CUresult result = 0;
        int n = 0;
        for (unsigned flags = 0; flags < 3; flags++) {
            static const char *const kind[] = {"default", "legacy", "per-thread"};
            void *p = &untouched;
            CUdriverProcAddressQueryResult status = -1;
            CUresult r = cu.cuGetProcAddress_v2(base, &p, versions[v], flags, &status);
            n += snprintf(detail + n, sizeof detail - (size_t)n, " %s=%s(%d,%d)", kind[flags],
                          symbol_of(p), (int)r, (int)status);
            result = flags ? result : r;
        }
        void *old = &untouched;
        CUresult r = cu.cuGetProcAddress(base, &old, versions[v], 0);
        snprintf(detail + n, sizeof detail - (size_t)n, " 11.3form=%s(%d)", symbol_of(old), (int)r);
        if (!strcmp(detail, last)) /* as for the version before: one line says it */
            continue;
        snprintf(last, sizeof last, "%s", detail);
        snprintf(api, sizeof api, "%s/%d", base, versions[v]);
        snprintf(what, sizeof what, "cudaVersion=%d", versions[v]);
        driver_log[driver_log_length = 0] = 0;
        line(api, what, result, "%s", detail);
    }
}

static void route_proc(struct image *im)
{
    (void)im;
    char path[256] = "", real[4096] = "", last[64] = "";
    dl_iterate_phdr(find_driver, path);
    line("file", "", 0, "%s -> %s", path, realpath(path, real) ? real : "?");
    for (size_t i = 0; i < COUNT(names); i++)
        if (!dlsym(libcuda, names[i]))
            line("not exported", names[i], 0, "%s", names[i]);
    for (size_t i = 0; i < COUNT(names); i++) {
        char base[64];
        snprintf(base, sizeof base, "%s", names[i]);
        for (const char *const *s = (const char *const[]){"_ptsz", "_ptds", "_v2", NULL}; *s; s++)
            if (strlen(base) > strlen(*s) && !strcmp(base + strlen(base) - strlen(*s), *s))
                base[strlen(base) - strlen(*s)] = 0;
        if (strcmp(base, last) && !strstr(names[i], "_ptds"))
            proc_names(base);
        snprintf(last, sizeof last, "%s", base);
    }
    proc_names("cuNoSuchFunction");
    proc_names("cuLaunchKernel_ptsz");
    proc_names("cuGetProcAddress_v2");
    proc_names("cuModuleGetGlobal_v2");
    void *p = &untouched;
    CUresult r = cu.cuGetProcAddress_v2("cuLaunchKernel", &p, 12000, 0, NULL);
    line("cuLaunchKernel(no status)", "", r, "%s", symbol_of(p));
    p = &untouched;
    r = cu.cuGetProcAddress_v2("cuNoSuchFunction", &p, 12000, 0, NULL);
    line("cuNoSuchFunction(no status)", "", r, "%s", symbol_of(p));
}

static void route_proc_no_pfn(struct image *im)
{
    (void)im;
    CALL(cuGetProcAddress_v2, "cuLaunchKernel", NULL, 12000, 0, NULL);
}

static void route_proc_no_name(struct image *im)
{
    void *p = NULL;
    (void)im;
    CALL(cuGetProcAddress_v2, NULL, &p, 12000, 0, NULL);
}

/* Before cuInit. */
static void route_uninitialised(struct image *im)
{
    CUmodule m = NULL;
    CUlibrary lib = NULL;
    CUcontext context = NULL;
    CUdevice d = 0;
    const char *text = NULL;
    int value = 0;
    (void)im;
    CALL(cuDriverGetVersion, &value);
    CALL(cuGetErrorName, 209, &text);
    CALL(cuDeviceGetCount, &value);
    CALL(cuDeviceGet, &d, 0);
    CALL(cuCtxGetCurrent, &context);
    CALL(cuModuleLoadData, &m, "");
    CALL(cuLibraryLoadData, &lib, "", NULL, NULL, 0, NULL, NULL, 0);
    CALL(cuLaunchKernel, NULL, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL);
}

static void route_errors(struct image *im)
{
    (void)im;
    for (int i = 0; i < 1000; i++) {
        const char *name = NULL, *text = NULL;
        if (cu.cuGetErrorName(i, &name) || cu.cuGetErrorString(i, &text))
            continue;
        char api[96];
        snprintf(api, sizeof api, "%d", i);
        driver_log[driver_log_length = 0] = 0;
        line(api, name, i, "%s", text);
    }
    const char *name = "untouched", *text = "untouched";
    CUresult r = cu.cuGetErrorName(98, &name);
    line("cuGetErrorName", "98", r, "%s", name ? name : "NULL");
    r = cu.cuGetErrorString(98, &text);
    line("cuGetErrorString", "98", r, "%s", text ? text : "NULL");
}

static void route_device(struct image *im)
{
    (void)im;
    int version = 0, count = 0, n = 0;
    char name[128] = "", all[4096];
    CUmoduleLoadingMode mode = 0;
    CUresult r = cu.cuDriverGetVersion(&version);
    line("cuDriverGetVersion", "", r, "%d", version);
    r = cu.cuDeviceGetCount(&count);
    line("cuDeviceGetCount", "", r, "%d", count);
    r = cu.cuDeviceGetName(name, sizeof name, device);
    line("cuDeviceGetName", "", r, "%s", name);
    r = cu.cuModuleGetLoadingMode(&mode);
    line("cuModuleGetLoadingMode", "", r, "%d", (int)mode);
    for (int i = 1; i < 160 && n < (int)sizeof all - 32; i++) {
        int value = 0;
        if (!cu.cuDeviceGetAttribute(&value, i, device))
            n += snprintf(all + n, sizeof all - (size_t)n, " %d=%d", i, value);
    }
    driver_log[driver_log_length = 0] = 0;
    line("cuDeviceGetAttribute", "all", 0, "%s", all);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    void (*run)(struct image *im);
} routes[] = {
#define ROUTE(name)                                                                                \
    {                                                                                              \
#name, route_##name                                                                        \
    }
    ROUTE(module),
    ROUTE(ex),
    ROUTE(ex_prefer_ptx),
    ROUTE(ex_prefer_binary),
    ROUTE(fatbinary),
    ROUTE(module_file),
    ROUTE(library),
    ROUTE(library_preserved),
    ROUTE(library_file),
    ROUTE(wrapper1),
    ROUTE(wrapper2),
    ROUTE(wrapper3),
    ROUTE(wrapper_magic),
    ROUTE(rdc),
    ROUTE(link),
    ROUTE(after_library),
    ROUTE(after_module),
    ROUTE(graph_library_v1),
    ROUTE(graph_library_v2),
    ROUTE(graph_library_kernel),
    ROUTE(graph_library_node_v1),
    ROUTE(graph_library_node_v2),
    ROUTE(graph_module_v1),
    ROUTE(graph_module_v2),
    ROUTE(graph_module_node_v1),
    ROUTE(graph_module_node_v2),
    ROUTE(obsolete),
    ROUTE(handles),
    ROUTE(uninitialised),
    ROUTE(cache),
    ROUTE(proc),
    ROUTE(proc_no_pfn),
    ROUTE(proc_no_name),
    ROUTE(errors),
    ROUTE(device)};

/* mode -> the one variable that it sets; beside it only CUDA_CACHE_DISABLE=1 is set. */
static const char *const modes[][3] = {{"lazy", "CUDA_MODULE_LOADING", "LAZY"},
                                       {"eager", "CUDA_MODULE_LOADING", "EAGER"},
                                       {"default", NULL, NULL},
                                       {"force_ptx_jit", "CUDA_FORCE_PTX_JIT", "1"},
                                       {"disable_ptx_jit", "CUDA_DISABLE_PTX_JIT", "1"},
                                       {"force_jit", "CUDA_FORCE_JIT", "1"},
                                       {"disable_jit", "CUDA_DISABLE_JIT", "1"}};

static const struct {
    const char *route, *images, *modes; /* images: glob patterns; "-" = none needed */
} jobs[] = {
    {"device", "-", "default lazy eager"},
    {"errors", "-", "lazy"},
    {"proc", "-", "lazy"},
    {"proc_no_pfn", "-", "lazy"},
    {"proc_no_name", "-", "lazy"},
    {"handles", "-", "lazy"},
    {"uninitialised", "-", "lazy"},
    {"cache", "-", "lazy"},
    {"module", "*", "lazy eager"},
    {"library", "*", "lazy eager"},
    {"module", "*.ptx sm_*.fatbin sm_90.cubin pick_* isa_* invalid.fatbin compute_*.fatbin",
     "force_ptx_jit disable_ptx_jit"},
    {"library", "sm_90.fatbin compute_80.fatbin pick_sm_90_compute_90_* pick_sm_120_compute_80_*",
     "default force_ptx_jit disable_ptx_jit"},
    {"module", "sm_90.fatbin sm_80.fatbin compute_80.fatbin pick_sm_90_compute_*_ab.fatbin *_jit*",
     "force_jit disable_jit default"},
    {"fatbinary", "*.fatbin sm_90.cubin compute_80.ptx", "lazy eager"},
    {"ex", "*.ptx pick_* isa_*.fatbin invalid.fatbin *relocatable* extern* sm_80.fatbin", "lazy"},
    {"ex_prefer_ptx", "pick_* sm_90.fatbin every_arch.fatbin", "lazy"},
    {"ex_prefer_binary", "pick_* sm_90.fatbin every_arch.fatbin", "lazy"},
    {"module_file",
     "sm_80.* sm_90.* compute_80.* compute_120.* bad_magic.* invalid.* isa_9.1.* "
     "truncated* empty* stub*",
     "lazy"},
    {"library_file",
     "sm_80.* sm_90.* compute_80.* compute_120.* bad_magic.* invalid.* isa_9.1.* "
     "truncated* empty* stub*",
     "lazy eager"},
    {"library_preserved", "sm_80.* sm_90.* compute_80.* compute_120.* invalid.fatbin",
     "lazy eager"},
    {"wrapper1",
     "sm_*.fatbin compute_*.fatbin pick_sm_80_sm_120_* pick_sm_120_compute_80_* stub* "
     "empty* bad_magic* truncated* invalid.fatbin isa_*.fatbin",
     "lazy eager"},
    {"wrapper2", "sm_90.fatbin sm_80.fatbin compute_80.fatbin stub* empty*", "lazy"},
    {"wrapper3", "sm_90.fatbin sm_80.fatbin", "lazy"},
    {"wrapper_magic", "sm_90.fatbin", "lazy"},
    {"rdc", "rdc_*_linked.fatbin", "lazy eager"},
    {"link",
     "sm_* compute_* isa_* invalid.* *relocatable* lto* extern.ptx garbage.ptx pick_* rdc_* "
     "stub* abi7* host.o elf_*",
     "lazy"},
    {"after_library",
     "sm_90.fatbin sm_80.fatbin compute_80.fatbin compute_120.fatbin "
     "isa_9.1.fatbin invalid.fatbin bad_magic.fatbin stub.fatbin sm_80.cubin "
     "sm_90.cubin pick_other_kernel_ab.fatbin kind_40_ptx.fatbin",
     "lazy eager"},
    {"after_module", "sm_90.fatbin compute_80.fatbin pick_other_kernel_ab.fatbin", "lazy eager"},
    {"obsolete", "sm_90.fatbin compute_80.fatbin", "lazy"},
    {"graph_library_v1", "sm_90.fatbin compute_80.fatbin", "lazy"},
    {"graph_library_v2", "sm_90.fatbin compute_80.fatbin", "lazy"},
    {"graph_library_kernel", "sm_90.fatbin compute_80.fatbin", "lazy"},
    {"graph_library_node_v1", "sm_90.fatbin compute_80.fatbin", "lazy"},
    {"graph_library_node_v2", "sm_90.fatbin compute_80.fatbin", "lazy"},
    {"graph_module_v1", "sm_90.fatbin compute_80.fatbin", "lazy"},
    {"graph_module_v2", "sm_90.fatbin compute_80.fatbin", "lazy"},
    {"graph_module_node_v1", "sm_90.fatbin compute_80.fatbin", "lazy"},
    {"graph_module_node_v2", "sm_90.fatbin compute_80.fatbin", "lazy"},
};

static char all[2048][96];
static size_t all_count;

static bool read_sums(void)
{
    char path[600], sum[80];
    snprintf(path, sizeof path, "%s/SHA256SUMS", cases);
    FILE *f = fopen(path, "r");
    if (!f) {
        fprintf(stderr, "record: %s: %s\n", path, strerror(errno));
        return false;
    }
    while (all_count < COUNT(all) && fscanf(f, "%79s %95s", sum, all[all_count]) == 2) {
        printf("image/%s\t-\t0\t%s\n", all[all_count], sum);
        all_count++;
    }
    fclose(f);
    return true;
}

static bool wanted(const char *patterns, const char *name)
{
    char copy[1024];
    snprintf(copy, sizeof copy, "%s", patterns);
    for (char *p = strtok(copy, " "); p; p = strtok(NULL, " "))
        if (!fnmatch(p, name, 0))
            return true;
    return false;
}

/* ---- one worker: a route, a mode, a range of images --------------------------------------------
 */

static const char *start_driver(const char *route)
{
    libcuda = dlopen("libcuda.so.1", RTLD_NOW);
    if (!libcuda)
        return dlerror();
#define LOOK_UP(name, parameters) cu.name = (__typeof__(cu.name))dlsym(libcuda, #name);
#define LOOK_UPS(name, parameters) LOOK_UP(name, parameters) LOOK_UP(name##_ptsz, parameters)
    KG_CUDA_FUNCTIONS(LOOK_UP, LOOK_UPS)
    caller = (pid_t)syscall(SYS_gettid);
    if (!strcmp(route, "uninitialised"))
        return NULL;
    CUresult r = cu.cuInit(0);
    if (r) {
        static char text[64];
        snprintf(text, sizeof text, "cuInit = %d", (int)r);
        return text;
    }
    CUcontext context;
    CUlogsCallbackHandle handle;
    cu.cuDeviceGet(&device, 0);
    if (cu.cuDevicePrimaryCtxRetain(&context, device) || cu.cuCtxSetCurrent(context) ||
        cu.cuMemAlloc_v2(&out, 4096))
        return "no context";
    if (cu.cuLogsRegisterCallback)
        cu.cuLogsRegisterCallback(on_log, NULL, &handle);
    return NULL;
}

static int worker(const char *route, const char *mode, char **images, int count)
{
    const char *why = start_driver(route);
    if (why) {
        fprintf(stderr, "record: %s\n", why);
        return NO_START;
    }
    at.route = route;
    at.mode = mode;
    for (int i = 0; i < count; i++) {
        struct image im = {{0}, {0}, NULL, 0};
        alarm(SECONDS);
        printf("#begin %d\n", i);
        fflush(stdout);
        at.image = images[i];
        at.count = 0;
        if (strcmp(images[i], "-") && !image_open(&im, images[i]))
            return NO_START;
        for (size_t r = 0; r < COUNT(routes); r++)
            if (!strcmp(routes[r].name, route))
                routes[r].run(&im);
        if (poisoned) {
            fflush(stdout);
            _exit(POISONED);
        }
    }
    fflush(stdout);
    _exit(0); /* no clean-up of a driver that was just fed bad images */
}

/* ---- the parent
 * ---------------------------------------------------------------------------------- */

struct task {
    const char *route, *mode;
    const char *image[BATCH];
    int count, done; /* images; of which finished or given up */
    pid_t pid;
    FILE *output; /* unlinked temporary file */
    char cache[64];
};
static struct task tasks[1024];
static size_t task_count;

static void plan(void)
{
    static const char *const none = "-";
    for (size_t j = 0; j < COUNT(jobs); j++) {
        for (size_t m = 0; m < COUNT(modes); m++) {
            struct task *t = NULL;
            if (!wanted(jobs[j].modes, modes[m][0]))
                continue;
            for (size_t i = 0; i < all_count || (i == 0 && *jobs[j].images == '-'); i++) {
                bool single = *jobs[j].images == '-';
                if (!single && !wanted(jobs[j].images, all[i]))
                    continue;
                if (!t || t->count == BATCH || !strncmp(jobs[j].route, "after", 5)) {
                    t = &tasks[task_count++];
                    t->route = jobs[j].route;
                    t->mode = modes[m][0];
                    t->output = tmpfile();
                }
                t->image[t->count++] = single ? none : all[i];
                if (single)
                    break;
            }
        }
    }
}

static void set_environment(struct task *t)
{
    unsetenv("CUDA_MODULE_LOADING");
    setenv("CUDA_CACHE_DISABLE", "1", 1);
    for (size_t m = 0; m < COUNT(modes); m++)
        if (!strcmp(modes[m][0], t->mode) && modes[m][1])
            setenv(modes[m][1], modes[m][2], 1);
    if (!strcmp(t->route, "cache")) {
        unsetenv("CUDA_CACHE_DISABLE");
        snprintf(t->cache, sizeof t->cache, "/tmp/record-cache.%d", (int)getpid());
        setenv("CUDA_CACHE_PATH", t->cache, 1);
    }
}

static void spawn(struct task *t, const char *self)
{
    fflush(NULL);
    t->pid = fork();
    if (t->pid)
        return;
    char *arguments[BATCH + 6] = {(char *)self, (char *)"--worker", (char *)cases, (char *)t->route,
                                  (char *)t->mode};
    for (int i = t->done; i < t->count; i++)
        arguments[5 + i - t->done] = (char *)t->image[i];
    set_environment(t);
    dup2(fileno(t->output), 1);
    execv("/proc/self/exe", arguments);
    _exit(127);
}

/* After a worker ended: how far it came; a line for the image that ended it. True when images are
 * left to do. */
static bool settle(struct task *t, int status)
{
    char text[16384];
    int begun = -1;
    rewind(t->output);
    while (fgets(text, sizeof text, t->output)) {
        int k;
        if (sscanf(text, "#begin %d", &k) == 1)
            begun = k;
        else if (!strcmp(text, "#end\n"))
            begun = -1;
    }
    fseek(t->output, 0, SEEK_END);
    if (WIFEXITED(status) && !WEXITSTATUS(status)) {
        t->done = t->count;
        return false;
    }
    if (begun < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == NO_START)) {
        fprintf(stderr, "record: %s %s did not start\n", t->route, t->mode);
        t->done = t->count;
        return false;
    }
    if (WIFSIGNALED(status))
        fprintf(t->output, "%s/%s/%s/signal\t-\t%d\t%s\n", t->route, t->image[t->done + begun],
                t->mode, WTERMSIG(status), strsignal(WTERMSIG(status)));
    fprintf(t->output, "#end\n");
    t->done += begun + 1;
    return t->done < t->count;
}

static void print_all(void)
{
    char text[16384];
    for (size_t i = 0; i < task_count; i++) {
        rewind(tasks[i].output);
        while (fgets(text, sizeof text, tasks[i].output))
            if (text[0] != '#')
                fputs(text, stdout);
    }
}

int main(int argc, char **argv)
{
    if (argc > 5 && !strcmp(argv[1], "--worker")) {
        cases = argv[2];
        return worker(argv[3], argv[4], argv + 5, argc - 5);
    }
    if (argc < 2) {
        fprintf(stderr, "usage: record CASES_DIR [JOBS] > driver.tsv\n");
        return 2;
    }
    cases = argv[1];
    pid_t pid = fork(); /* a driver must never be started in a process that forks later */
    if (!pid) {
        const char *why = start_driver("device");
        if (why)
            fprintf(stderr, "record: no driver to record: %s\n", why);
        _exit(why ? 1 : 0);
    }
    int status;
    waitpid(pid, &status, 0);
    if (status)
        return 77;
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    for (size_t m = 0; m < COUNT(modes); m++)
        if (modes[m][1])
            unsetenv(modes[m][1]);
    if (!read_sums())
        return 1;
    plan();
    int limit = argc > 2 ? atoi(argv[2]) : 8, running = 0;
    size_t next = 0;
    while (next < task_count || running) {
        if (next < task_count && running < limit) {
            spawn(&tasks[next++], argv[0]);
            running++;
            continue;
        }
        pid = wait(&status);
        for (size_t i = 0; i < task_count; i++) {
            if (tasks[i].pid != pid)
                continue;
            running--;
            if (settle(&tasks[i], status)) {
                spawn(&tasks[i], argv[0]);
                running++;
            }
            break;
        }
    }
    print_all();
    return 0;
}
