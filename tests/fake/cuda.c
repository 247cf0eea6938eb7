/* The simulated driver: its functions. What they answer is in trace.c, what they see in image.c;
 * what can be set from outside, in README.md. Kernels run as nothing at all, unless it is set (mark.c). */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "fake.h"
#include "kg_cuda.h"

#define UNLIKELY(x) __builtin_expect(!!(x), 0)

struct machine machine;

struct CUctx_st {
    int device;
    bool made;
};
struct CUmod_st {
    struct image *image;
    struct CUlib_st *library; /* of which it is the module in that context */
    struct CUctx_st *context;
    struct CUmod_st *next;
    uint64_t variable; /* its first one */
};
struct CUlib_st {
    struct image *image;
    struct CUlib_st *next; /* among those that are gone */
    const void *kept;      /* by the program, until it is unloaded */
};
/* Behind a CUfunction and behind a CUkernel, since a program may pass one for the other. */
struct handle {
    uint32_t magic;
    CUresult launch, launch_ex; /* looked up once: a launch costs next to nothing */
#define MARKS ((CUresult)-1)    /* it runs and is seen to */
    bool kernel;
    struct image *image;
    struct CUlib_st *library;
    struct CUmod_st *module;
    uint64_t mark;
    char name[256];
};
#define HANDLE 0x6B67666Bu
struct CUgraphNode_st {
    struct handle *function;
};
struct CUgraph_st {
    struct handle *function; /* of its first kernel node */
};
struct CUgraphExec_st {
    struct handle *function;
    CUresult launch;
};
struct CUlinkState_st {
    unsigned count; /* the options it was made with */
    CUjit_option *options;
    void **values;
    struct image *image;
    void *data;
    size_t size;
};

static bool initialised;
static struct CUctx_st contexts[16]; /* the primary ones */
static struct CUctx_st created[16];  /* the first that is free is made next */
static __thread struct CUctx_st *current, *below[16]; /* what was current when others were pushed */
static __thread unsigned pushed;

/* ---- the environment ---- */

static bool watching; /* something below is set: the only thing a launch looks at */
static int calls = -1;
static struct fault {
    char name[64];
    int result, only, seen; /* only the n-th call, 0 = each */
} faults[16];
static size_t fault_count;

static const char *setting(const char *name, const char *fallback)
{
    const char *value = getenv(name);
    return value && *value ? value : fallback;
}

static bool is_set(const char *name)
{
    return strcmp(setting(name, "0"), "1") == 0;
}

__attribute__((constructor)) static void read_environment(void)
{
    sscanf(setting("KGFAKE_CC", "12.0"), "%d.%d", &machine.major, &machine.minor);
    machine.cuda = atoi(setting("KGFAKE_CUDA", FAKE_CUDA));
    machine.isa = atoi(setting("KGFAKE_ISA", machine.cuda >= 13000   ? "90"
                                                : machine.cuda >= 12080 ? "87"
                                                                        : "82"));
    machine.devices = atoi(setting("KGFAKE_DEVICES", "1"));
    snprintf(machine.name, sizeof machine.name, "%s",
             setting("KGFAKE_NAME", "NVIDIA GeForce RTX 5090"));
    machine.eager = strcmp(setting("CUDA_MODULE_LOADING", "LAZY"), "EAGER") == 0;
    machine.jit_forbidden = is_set("CUDA_DISABLE_PTX_JIT") || is_set("CUDA_DISABLE_JIT");
    machine.jit_forced = is_set("CUDA_FORCE_PTX_JIT") || is_set("CUDA_FORCE_JIT");
    machine.logs = strcmp(setting("KGFAKE_LOGS", "1"), "0") != 0;
    machine.tell_traces = is_set("KGFAKE_TRACES");
    machine.fresh = is_set("KGFAKE_FRESH");
    machine.marks = is_set("KGFAKE_MARKS");
    if (*setting("KGFAKE_CALLS", ""))
        calls = open(getenv("KGFAKE_CALLS"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    const char *at = setting("KGFAKE_FAIL", "");
    struct fault *f = faults;
    for (; f < faults + 16 && sscanf(at, "%63[^=]=%d", f->name, &f->result) == 2; f++) {
        size_t length = strcspn(at, ",");
        const char *nth = memchr(at, '@', length);
        f->only = nth ? atoi(nth + 1) : 0;
        at += length + (at[length] == ',');
    }
    fault_count = (size_t)(f - faults);
    watching = fault_count || calls >= 0;
}

static bool scripted(const char *name, CUresult *result)
{
    char line[80];
    int length = snprintf(line, sizeof line, "%s\n", name);
    if (calls >= 0 && write(calls, line, (size_t)length) < 0)
        abort();
    for (size_t i = 0; i < fault_count; i++)
        if (strcmp(faults[i].name, name) == 0 &&
            (!faults[i].only || __atomic_add_fetch(&faults[i].seen, 1, 0) == faults[i].only)) {
            *result = (CUresult)faults[i].result;
            return true;
        }
    return false;
}

static inline void put_back(const int *errno_before)
{
    errno = *errno_before;
}

/* The first statement of every function. */
#define ENTER(name)                                                                                \
    do {                                                                                           \
        CUresult scripted_result;                                                                  \
        if (UNLIKELY(watching) && scripted(#name, &scripted_result))                               \
            return scripted_result;                                                                \
    } while (0)
/* errno stays as it was: then whoever calls on a program's behalf is seen to change it. */
#define ENTER_STARTED(name)                                                                        \
    int errno_before __attribute__((cleanup(put_back), unused)) = errno;                           \
    ENTER(name);                                                                                   \
    if (UNLIKELY(!initialised))                                                                    \
    return from("uninitialised/-/lazy/cuModuleLoadData")

/* ---- recorded answers ---- */

static CUlogsCallback log_callback;
static void *log_data;

static __thread bool nameless; /* in a call that has no public name */
static __thread bool telling;  /* in the callback of its log */

static CUresult replay(const struct answer *answer)
{
    char text[1024];
    if (!answer)
        return CUDA_ERROR_UNKNOWN;
    for (unsigned i = 0; log_callback && machine.logs && trace_log(answer, i, text, sizeof text);
         i++)
        if (!nameless || strncmp(text, "Returning", 9) != 0) {
            telling = true;
            log_callback(log_data, CU_LOG_LEVEL_ERROR, text, strlen(text));
            telling = false;
        }
    return (CUresult)answer->result;
}

static CUresult from(const char *id)
{
    return replay(trace(id));
}

/* What a call on a handle answered; the same for each form that the image may come in. */
static struct image whole_of(const struct image *image)
{
    return (struct image){.class = image->class == RELOCATABLE ? RUNS : image->class,
                          .form = FATBIN};
}

static const struct answer *after(const struct handle *h, const char *call)
{
    struct image whole = whole_of(h->image);
    return trace_image(h->kernel ? "after_library" : "after_module", &whole, call);
}

static struct handle *handle_of(const void *p)
{
    struct handle *h = (struct handle *)(uintptr_t)p;
    return h && h->magic == HANDLE ? h : NULL;
}

static CUresult on(const void *p, const char *call)
{
    struct handle *h = handle_of(p);
    return h ? replay(after(h, call)) : from("handles/-/lazy/cuFuncGetAttribute");
}

/* ---- the driver and its errors ---- */

CUresult cuInit(unsigned flags)
{
    ENTER(cuInit);
    initialised = machine.devices > 0;
    return initialised ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}

CUresult cuDriverGetVersion(int *version)
{
    ENTER(cuDriverGetVersion);
    *version = machine.cuda;
    return CUDA_SUCCESS;
}

static CUresult error_text(CUresult error, const char **out, bool name)
{
    static char names[1000][64];
    char id[64];
    snprintf(id, sizeof id, "errors/-/lazy/%d", (int)error);
    const struct answer *row = (unsigned)error < 1000 ? trace_quiet(id) : NULL;
    *out = NULL;
    if (!row)
        return CUDA_ERROR_INVALID_VALUE;
    const char *text = strchr(row->detail, ' ');
    snprintf(names[error], sizeof names[0], "%.*s", (int)(text - row->detail), row->detail);
    *out = name ? names[error] : text + 1;
    return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char **text)
{
    ENTER(cuGetErrorString);
    return error_text(error, text, false);
}

CUresult cuGetErrorName(CUresult error, const char **text)
{
    ENTER(cuGetErrorName);
    return error_text(error, text, true);
}

/* ---- devices and contexts ---- */

#define CHECK_DEVICE(device)                                                                       \
    if ((device) < 0 || (device) >= machine.devices)                                               \
    return from("handles/-/lazy/cuDeviceGet")

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
    ENTER_STARTED(cuDeviceGet);
    CHECK_DEVICE(ordinal);
    *device = ordinal;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *count)
{
    ENTER_STARTED(cuDeviceGetCount);
    if (telling)
        abort(); /* nobody says that it may be asked there */
    *count = machine.devices;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *name, int length, CUdevice device)
{
    ENTER_STARTED(cuDeviceGetName);
    CHECK_DEVICE(device);
    snprintf(name, (size_t)length, "%s", machine.name);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
    ENTER_STARTED(cuDeviceGetAttribute);
    CHECK_DEVICE(device);
    char key[16];
    const struct answer *row = trace("device/-/default/cuDeviceGetAttribute");
    snprintf(key, sizeof key, " %d=", (int)attribute);
    const char *found = row ? strstr(row->detail, key) : NULL;
    if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
        *value = machine.major;
    else if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)
        *value = machine.minor;
    else if (found)
        *value = atoi(found + strlen(key));
    else
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice device)
{
    ENTER_STARTED(cuDeviceComputeCapability);
    CHECK_DEVICE(device);
    *major = machine.major;
    *minor = machine.minor;
    return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device)
{
    ENTER_STARTED(cuDeviceTotalMem_v2);
    CHECK_DEVICE(device);
    *bytes = (size_t)32 << 30;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice device)
{
    ENTER_STARTED(cuDeviceGetUuid);
    CHECK_DEVICE(device);
    memset(uuid, device + 1, sizeof *uuid);
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
    ENTER_STARTED(cuDevicePrimaryCtxRetain);
    CHECK_DEVICE(device);
    contexts[device].device = device;
    contexts[device].made = true;
    *context = &contexts[device];
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active)
{
    ENTER_STARTED(cuDevicePrimaryCtxGetState);
    CHECK_DEVICE(device);
    *flags = 0;
    *active = contexts[device].made;
    return CUDA_SUCCESS;
}

CUresult cuCtxCreate_v2(CUcontext *context, unsigned flags, CUdevice device)
{
    ENTER_STARTED(cuCtxCreate_v2);
    CHECK_DEVICE(device);
    size_t i = 0;
    while (i < sizeof created / sizeof *created && created[i].made)
        i++;
    if (i == sizeof created / sizeof *created)
        return CUDA_ERROR_OUT_OF_MEMORY;
    created[i] = (struct CUctx_st){.device = device, .made = true};
    *context = current = &created[i];
    return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context)
{
    ENTER_STARTED(cuCtxSetCurrent);
    current = context;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext *context)
{
    ENTER_STARTED(cuCtxGetCurrent);
    *context = current;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice *device)
{
    ENTER_STARTED(cuCtxGetDevice);
    if (!current)
        return from("handles/-/lazy/cuCtxGetDevice");
    *device = current->device;
    return CUDA_SUCCESS;
}

CUresult cuCtxPushCurrent_v2(CUcontext context)
{
    ENTER_STARTED(cuCtxPushCurrent_v2);
    if (pushed == sizeof below / sizeof *below)
        return CUDA_ERROR_UNKNOWN;
    /* Recorded on 580: it is taken, and memory is corrupted. */
    if (context >= created && context < created + sizeof created / sizeof *created && !context->made)
        abort();
    below[pushed++] = current;
    current = context;
    return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent_v2(CUcontext *context)
{
    ENTER_STARTED(cuCtxPopCurrent_v2);
    if (context)
        *context = current;
    current = pushed ? below[--pushed] : NULL;
    return CUDA_SUCCESS;
}

/* Calls that always succeed and do nothing. */
#define NOTHING(name, parameters)                                                                  \
    CUresult name parameters                                                                       \
    {                                                                                              \
        ENTER_STARTED(name);                                                                       \
        return CUDA_SUCCESS;                                                                       \
    }
NOTHING(cuDevicePrimaryCtxRelease, (CUdevice device))
NOTHING(cuDevicePrimaryCtxRelease_v2, (CUdevice device))
NOTHING(cuCtxSynchronize, (void))
NOTHING(cuStreamDestroy_v2, (CUstream stream))
NOTHING(cuStreamSynchronize, (CUstream stream))
NOTHING(cuStreamSynchronize_ptsz, (CUstream stream))

CUresult cuStreamCreate(CUstream *stream, unsigned flags)
{
    ENTER_STARTED(cuStreamCreate);
    *stream = malloc(1);
    return CUDA_SUCCESS;
}

/* ---- memory: the host's ---- */

CUresult cuMemAlloc_v2(CUdeviceptr *out, size_t size)
{
    ENTER_STARTED(cuMemAlloc_v2);
    *out = (CUdeviceptr)(uintptr_t)calloc(1, size);
    return *out ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuMemFree_v2(CUdeviceptr p)
{
    ENTER_STARTED(cuMemFree_v2);
    free((void *)(uintptr_t)p);
    return CUDA_SUCCESS;
}

CUresult cuMemGetInfo_v2(size_t *available, size_t *total)
{
    ENTER_STARTED(cuMemGetInfo_v2);
    *available = *total = (size_t)32 << 30;
    return CUDA_SUCCESS;
}

#define COPY(name, to_type, from_type)                                                             \
    CUresult name(to_type to, from_type at, size_t size)                                           \
    {                                                                                              \
        ENTER_STARTED(name);                                                                       \
        memcpy((void *)(uintptr_t)to, (const void *)(uintptr_t)at, size);                          \
        return CUDA_SUCCESS;                                                                       \
    }
#define COPY_ON_STREAM(name, to_type, from_type)                                                   \
    CUresult name(to_type to, from_type at, size_t size, CUstream stream)                          \
    {                                                                                              \
        ENTER_STARTED(name);                                                                       \
        memcpy((void *)(uintptr_t)to, (const void *)(uintptr_t)at, size);                          \
        return CUDA_SUCCESS;                                                                       \
    }
COPY(cuMemcpyHtoD_v2, CUdeviceptr, const void *)
COPY(cuMemcpyHtoD_v2_ptds, CUdeviceptr, const void *)
COPY(cuMemcpyDtoH_v2, void *, CUdeviceptr)
COPY(cuMemcpyDtoH_v2_ptds, void *, CUdeviceptr)
COPY_ON_STREAM(cuMemcpyHtoDAsync_v2, CUdeviceptr, const void *)
COPY_ON_STREAM(cuMemcpyHtoDAsync_v2_ptsz, CUdeviceptr, const void *)
COPY_ON_STREAM(cuMemcpyDtoHAsync_v2, void *, CUdeviceptr)
COPY_ON_STREAM(cuMemcpyDtoHAsync_v2_ptsz, void *, CUdeviceptr)

/* ---- modules ---- */

/* What is let go of, the next one gets at once, the last first: unless KGFAKE_FRESH. */
static struct CUmod_st *gone_modules;
static struct CUlib_st *gone_libraries;
/* The modules that are there: of libraries one for each context in which it was asked for. */
static struct CUmod_st *all_modules;
static bool busy; /* with any of these */

static void begin(void)
{
    while (__atomic_test_and_set(&busy, __ATOMIC_ACQUIRE))
        ;
}

static void end(void)
{
    __atomic_clear(&busy, __ATOMIC_RELEASE);
}

/* Of a list of them, in *p; busy. */
#define TAKE(p, list)                                                                              \
    do {                                                                                           \
        p = list;                                                                                  \
        if (p)                                                                                     \
            list = p->next;                                                                        \
        else                                                                                       \
            p = calloc(1, sizeof *p);                                                              \
    } while (0)
#define LET_GO(p, list)                                                                            \
    do {                                                                                           \
        if (!machine.fresh) {                                                                      \
            p->next = list;                                                                        \
            list = p;                                                                              \
        }                                                                                          \
    } while (0)

static CUmodule new_module(struct image *image)
{
    struct CUmod_st *m;
    begin();
    TAKE(m, gone_modules);
    *m = (struct CUmod_st){.image = image, .context = current, .next = all_modules};
    all_modules = m;
    end();
    return m;
}

static CUmodule module_of(CUlibrary library)
{
    begin();
    struct CUmod_st *m = all_modules;
    while (m && !(m->library == library && m->context == current))
        m = m->next;
    if (!m) {
        TAKE(m, gone_modules);
        *m = (struct CUmod_st){library->image, library, current, all_modules, 0};
        all_modules = m;
    }
    end();
    return m;
}

/* One, or those of a library, or of a context, which go with it. */
static void drop_modules(const struct CUmod_st *module, const struct CUlib_st *library,
                         const struct CUctx_st *context)
{
    begin();
    for (struct CUmod_st **at = &all_modules; *at;) {
        struct CUmod_st *m = *at;
        if (module ? m != module : library ? m->library != library : m->context != context) {
            at = &m->next;
            continue;
        }
        *at = m->next;
        LET_GO(m, gone_modules);
    }
    end();
}

CUresult cuCtxDestroy_v2(CUcontext context)
{
    ENTER_STARTED(cuCtxDestroy_v2);
    drop_modules(NULL, NULL, context);
    context->made = false;
    if (current == context)
        current = NULL;
    return CUDA_SUCCESS;
}

/* Its handle stays what it is. What cuGetProcAddress says of it was not recorded: linked alone. */
__attribute__((visibility("default"))) CUresult cuDevicePrimaryCtxReset_v2(CUdevice device);
CUresult cuDevicePrimaryCtxReset_v2(CUdevice device)
{
    ENTER_STARTED(cuDevicePrimaryCtxReset_v2);
    CHECK_DEVICE(device);
    drop_modules(NULL, NULL, &contexts[device]);
    return CUDA_SUCCESS;
}

static CUresult new_handle(struct image *image, bool kernel, const char *name, struct handle **out)
{
    struct handle *h = calloc(1, sizeof *h);
    h->magic = HANDLE;
    h->image = image;
    h->kernel = kernel;
    snprintf(h->name, sizeof h->name, "%s", name);
    const struct answer *launch = after(h, "cuLaunchKernel"), *ex = after(h, "cuLaunchKernelEx");
    h->launch = launch ? (CUresult)launch->result : CUDA_ERROR_UNKNOWN;
    h->launch_ex = ex ? (CUresult)ex->result : CUDA_ERROR_UNKNOWN;
    if (machine.marks) {
        h->mark = mark_of_kernel(image, name);
        h->launch = h->launch ? h->launch : MARKS;
        h->launch_ex = h->launch_ex ? h->launch_ex : MARKS;
    }
    *out = h;
    return CUDA_SUCCESS;
}

static CUresult load_module(CUmodule *out, struct image *image, const char *route, const char *call)
{
    CUresult result = replay(trace_image(image->wrapped ? "wrapper1" : route, image, call));
    if (result)
        return result;
    *out = new_module(image);
    return CUDA_SUCCESS;
}

CUresult cuModuleLoad(CUmodule *module, const char *path)
{
    ENTER_STARTED(cuModuleLoad);
    struct image *image = image_read_file(path);
    if (!image)
        return from("handles/-/lazy/cuModuleLoad");
    return load_module(module, image, "module_file", "cuModuleLoad");
}

static CUresult no_image(const void *image)
{
    return !image     ? from("handles/-/lazy/cuModuleLoadData")
           : !current ? from("handles/-/lazy/cuModuleLoadData(no context)")
                      : CUDA_SUCCESS;
}

CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
    ENTER_STARTED(cuModuleLoadData);
    CUresult result = no_image(image);
    return result ? result : load_module(module, image_read(image), "module", "cuModuleLoadData");
}

/* The JIT's own words, where they were recorded. */
static void jit_log(const struct answer *answer, unsigned count, const CUjit_option *options,
                    void **values)
{
    const char *text = answer ? strstr(answer->detail, "jit=") : NULL;
    const char *end = text ? strstr(text, " log[") : NULL;
    char *buffer = NULL;
    size_t size = 0;
    for (unsigned i = 0; i < count; i++) {
        if (options[i] == CU_JIT_ERROR_LOG_BUFFER)
            buffer = values[i];
        if (options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
            size = (size_t)(uintptr_t)values[i];
    }
    if (text && buffer && size)
        snprintf(buffer, size, "%.*s", end ? (int)(end - text - 4) : (int)strlen(text + 4),
                 text + 4);
}

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned count,
                            CUjit_option *options, void **values)
{
    ENTER_STARTED(cuModuleLoadDataEx);
    CUresult result = no_image(image);
    if (result)
        return result;
    struct image *seen = image_read(image);
    mark_options(seen, count, options, values);
    if (seen->wrapped || !trace_has("ex", seen, "cuModuleLoadDataEx"))
        return load_module(module, seen, "module", "cuModuleLoadData");
    jit_log(trace_image("ex", seen, "cuModuleLoadDataEx"), count, options, values);
    return load_module(module, seen, "ex", "cuModuleLoadDataEx");
}

CUresult cuModuleLoadFatBinary(CUmodule *module, const void *image)
{
    ENTER_STARTED(cuModuleLoadFatBinary);
    CUresult result = no_image(image);
    return result ? result
                  : load_module(module, image_read(image), "fatbinary", "cuModuleLoadFatBinary");
}

CUresult cuModuleUnload(CUmodule module)
{
    ENTER_STARTED(cuModuleUnload);
    if (!module)
        return from("handles/-/lazy/cuModuleUnload");
    drop_modules(module, NULL, NULL);
    return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction *out, CUmodule module, const char *name)
{
    ENTER_STARTED(cuModuleGetFunction);
    if (!module)
        return from("handles/-/lazy/cuModuleGetFunction");
    struct image whole = whole_of(module->image);
    if (!image_has(module->image, name))
        return replay(trace_image("after_module", &whole, "cuModuleGetFunction(nosuch)"));
    CUresult result = replay(trace_image("module", module->image, "cuModuleGetFunction"));
    struct handle *h;
    if (result)
        return result;
    new_handle(module->image, false, name, &h);
    h->module = module;
    *out = (CUfunction)h;
    return CUDA_SUCCESS;
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr *at, size_t *size, CUmodule module, const char *name)
{
    static char memory[1 << 16];
    ENTER_STARTED(cuModuleGetGlobal_v2);
    if (machine.marks) {
        struct image whole = whole_of(module->image);
        if (!*name || strcmp(name, module->image->variable) != 0)
            return replay(trace_image("after_module", &whole, "cuModuleGetFunction(nosuch)"));
        *at = (CUdeviceptr)(uintptr_t)&module->variable;
        *size = sizeof module->variable;
        return CUDA_SUCCESS;
    }
    if (at)
        *at = (CUdeviceptr)(uintptr_t)memory;
    if (size)
        *size = sizeof memory;
    return CUDA_SUCCESS;
}

CUresult cuModuleGetFunctionCount(unsigned *count, CUmodule module)
{
    ENTER_STARTED(cuModuleGetFunctionCount);
    *count = module->image->kernel_count;
    return CUDA_SUCCESS;
}

CUresult cuModuleEnumerateFunctions(CUfunction *out, unsigned count, CUmodule module)
{
    ENTER_STARTED(cuModuleEnumerateFunctions);
    for (unsigned i = 0; i < count && i < module->image->kernel_count; i++) {
        struct handle *h;
        new_handle(module->image, false, module->image->kernels[i], &h);
        h->module = module;
        out[i] = (CUfunction)h;
    }
    return CUDA_SUCCESS;
}

CUresult cuModuleGetLoadingMode(CUmoduleLoadingMode *mode)
{
    ENTER_STARTED(cuModuleGetLoadingMode);
    *mode = machine.eager ? CU_MODULE_EAGER_LOADING : CU_MODULE_LAZY_LOADING;
    return CUDA_SUCCESS;
}

/* ---- the JIT linker: a link of one image is that image ---- */

CUresult cuLinkCreate_v2(unsigned count, CUjit_option *options, void **values, CUlinkState *out)
{
    ENTER_STARTED(cuLinkCreate_v2);
    if (!current)
        return from("handles/-/lazy/cuModuleLoadData(no context)"); /* measured: 201 */
    *out = calloc(1, sizeof **out);
    (*out)->count = count;
    (*out)->options = options;
    (*out)->values = values;
    return CUDA_SUCCESS;
}

CUresult cuLinkCreate(unsigned count, CUjit_option *options, void **values, CUlinkState *out)
{
    ENTER_STARTED(cuLinkCreate);
    return cuLinkCreate_v2(count, options, values, out);
}

CUresult cuLinkAddData_v2(CUlinkState link, CUjitInputType type, void *data, size_t size,
                          const char *name, unsigned count, CUjit_option *options, void **values)
{
    ENTER_STARTED(cuLinkAddData_v2);
    struct image *image = image_read(data);
    const struct answer *answer = trace_image("link", image, "cuLinkAddData_v2");
    jit_log(answer, count, options, values);
    jit_log(answer, link->count, link->options, link->values);
    if (answer && !answer->result) {
        mark_options(image, count, options, values);
        mark_options(image, link->count, link->options, link->values);
        link->image = image;
        link->data = memcpy(calloc(1, size + 1), data, size);
        link->size = size;
    }
    return replay(answer);
}

CUresult cuLinkAddData(CUlinkState link, CUjitInputType type, void *data, size_t size,
                       const char *name, unsigned count, CUjit_option *options, void **values)
{
    ENTER_STARTED(cuLinkAddData);
    return cuLinkAddData_v2(link, type, data, size, name, count, options, values);
}

CUresult cuLinkAddFile_v2(CUlinkState link, CUjitInputType type, const char *path, unsigned count,
                          CUjit_option *options, void **values)
{
    ENTER_STARTED(cuLinkAddFile_v2);
    struct image *image = image_read_file(path);
    if (!image)
        return CUDA_ERROR_FILE_NOT_FOUND;
    link->image = image;
    return replay(trace_image("link", image, "cuLinkAddData_v2"));
}

CUresult cuLinkAddFile(CUlinkState link, CUjitInputType type, const char *path, unsigned count,
                       CUjit_option *options, void **values)
{
    ENTER_STARTED(cuLinkAddFile);
    return cuLinkAddFile_v2(link, type, path, count, options, values);
}

/* What a compiler made of the same PTX, as a file: the recording tells of a cubin, not its bytes. Of
 * several the one with the same kernels. */
static void take_made(CUlinkState link, const char *made)
{
    char path[512];
    for (size_t length; *made; made += length + (made[length] == ':')) {
        length = strcspn(made, ":");
        snprintf(path, sizeof path, "%.*s", (int)length, made);
        struct image *image = image_read_file(path);
        if (made[length] && (!image || image->kernel_count != link->image->kernel_count ||
                             (image->kernel_count && !image_has(image, link->image->kernels[0]))))
            continue;
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        link->size = (size_t)lseek(fd, 0, SEEK_END);
        free(link->data);
        link->data = calloc(1, link->size);
        if (fd < 0 || pread(fd, link->data, link->size, 0) != (ssize_t)link->size)
            abort();
        close(fd);
        break;
    }
}

CUresult cuLinkComplete(CUlinkState link, void **out, size_t *size)
{
    ENTER_STARTED(cuLinkComplete);
    if (!link->image)
        return CUDA_ERROR_INVALID_VALUE;
    const char *made = setting("KGFAKE_LINKED", "");
    if (machine.marks && link->image->class == RUNS_BY_JIT) {
        free(link->data);
        link->data = mark_compile(link->image, &link->size);
    } else if (*made && link->image->class == RUNS_BY_JIT) {
        take_made(link, made);
    }
    usleep((useconds_t)atoi(setting("KGFAKE_LINK_MS", "0")) * 1000);
    /* What fits nothing links to an image without kernels, and that is no failure. */
    static char nothing[] = ".version 6.0\n.target sm_50\n.address_size 64\n";
    bool something = link->image->class == RELOCATABLE || link->image->class == RUNS_BY_JIT;
    *out = something ? link->data : nothing;
    if (size)
        *size = something ? link->size : sizeof nothing;
    return replay(trace_image("link", link->image, "cuLinkComplete"));
}

CUresult cuLinkDestroy(CUlinkState link)
{
    ENTER_STARTED(cuLinkDestroy);
    free(link->data);
    free(link);
    return CUDA_SUCCESS;
}

/* ---- libraries ---- */

static const char *library_route(const struct image *image)
{
    return image->wrapped == 2 ? "wrapper2" : image->wrapped ? "wrapper1" : "library";
}

static CUresult load_library(CUlibrary *out, struct image *image, const char *route,
                             const char *call)
{
    CUresult result = replay(trace_image(route, image, call));
    if (result)
        return result;
    struct CUlib_st *library;
    begin();
    TAKE(library, gone_libraries);
    end();
    *library = (struct CUlib_st){.image = image};
    *out = library;
    return CUDA_SUCCESS;
}

/* Of the code that a program promised to keep, the driver may read any byte until the unload. */
static void read_again(const struct CUlib_st *library)
{
    struct image *now = machine.marks && library->kept ? image_read(library->kept) : NULL;
    if (!now)
        return;
    if (!mark_same(now, library->image)) {
        fprintf(stderr, "fake driver: the code of a library is no more what it was, which it was to stay\n");
        abort();
    }
    image_free(now);
}

CUresult cuLibraryLoadData(CUlibrary *library, const void *code, CUjit_option *options,
                           void **values, unsigned count, CUlibraryOption *library_options,
                           void **library_values, unsigned library_count)
{
    ENTER_STARTED(cuLibraryLoadData);
    if (!code)
        return from("handles/-/lazy/cuLibraryLoadData");
    struct image *image = image_read(code);
    mark_options(image, count, options, values);
    CUresult result = load_library(library, image, library_route(image), "cuLibraryLoadData");
    for (unsigned i = 0; !result && i < library_count; i++)
        if (library_options[i] == CU_LIBRARY_BINARY_IS_PRESERVED && library_values[i])
            (*library)->kept = code;
    return result;
}

CUresult cuLibraryLoadFromFile(CUlibrary *library, const char *path, CUjit_option *options,
                               void **values, unsigned count, CUlibraryOption *library_options,
                               void **library_values, unsigned library_count)
{
    ENTER_STARTED(cuLibraryLoadFromFile);
    struct image *image = image_read_file(path);
    if (!image)
        return from("handles/-/lazy/cuLibraryLoadFromFile");
    mark_options(image, count, options, values);
    return load_library(library, image, "library_file", "cuLibraryLoadFromFile");
}

CUresult cuLibraryUnload(CUlibrary library)
{
    ENTER_STARTED(cuLibraryUnload);
    if (!library)
        return from("handles/-/lazy/cuLibraryUnload");
    read_again(library);
    drop_modules(NULL, library, NULL);
    begin();
    LET_GO(library, gone_libraries);
    end();
    return CUDA_SUCCESS;
}

static CUresult on_library(CUlibrary library, const char *call)
{
    if (!library)
        return from("handles/-/lazy/cuLibraryGetModule");
    struct image whole = whole_of(library->image);
    return replay(trace_image("after_library", &whole, call));
}

static CUresult new_kernel(CUkernel *out, CUlibrary library, const char *name)
{
    struct handle *h;
    new_handle(library->image, true, name, &h);
    h->library = library;
    *out = (CUkernel)h;
    return CUDA_SUCCESS;
}

CUresult cuLibraryGetKernel(CUkernel *out, CUlibrary library, const char *name)
{
    ENTER_STARTED(cuLibraryGetKernel);
    if (!library)
        return from("handles/-/lazy/cuLibraryGetKernel");
    read_again(library);
    const struct image *image = library->image;
    CUresult result = replay(trace_image(library_route(image), image, "cuLibraryGetKernel"));
    if (result)
        return result;
    if (!image_has(image, name))
        return on_library(library, "cuLibraryGetKernel(nosuch)");
    return new_kernel(out, library, name);
}

CUresult cuLibraryGetKernelCount(unsigned *count, CUlibrary library)
{
    ENTER_STARTED(cuLibraryGetKernelCount);
    CUresult result = on_library(library, "cuLibraryGetKernelCount");
    if (!result)
        *count = library->image->kernel_count;
    return result;
}

CUresult cuLibraryEnumerateKernels(CUkernel *out, unsigned count, CUlibrary library)
{
    ENTER_STARTED(cuLibraryEnumerateKernels);
    CUresult result = on_library(library, "cuLibraryEnumerateKernels");
    for (unsigned i = 0; !result && i < count && i < library->image->kernel_count; i++)
        new_kernel(&out[i], library, library->image->kernels[i]);
    return result;
}

CUresult cuLibraryGetModule(CUmodule *out, CUlibrary library)
{
    ENTER_STARTED(cuLibraryGetModule);
    if (!library)
        return from("handles/-/lazy/cuLibraryGetModule");
    read_again(library);
    CUresult result =
        replay(trace_image(library_route(library->image), library->image, "cuLibraryGetModule"));
    if (!result)
        *out = module_of(library);
    return result;
}

CUresult cuLibraryGetGlobal(CUdeviceptr *at, size_t *size, CUlibrary library, const char *name)
{
    ENTER_STARTED(cuLibraryGetGlobal);
    if (machine.marks && library && *name && strcmp(name, library->image->variable) == 0) {
        read_again(library);
        *at = (CUdeviceptr)(uintptr_t)&module_of(library)->variable;
        *size = sizeof module_of(library)->variable;
        return CUDA_SUCCESS;
    }
    return on_library(library, "cuLibraryGetGlobal");
}

CUresult cuLibraryGetManaged(CUdeviceptr *at, size_t *size, CUlibrary library, const char *name)
{
    ENTER_STARTED(cuLibraryGetManaged);
    return on_library(library, "cuLibraryGetManaged");
}

CUresult cuLibraryGetUnifiedFunction(void **out, CUlibrary library, const char *name)
{
    ENTER_STARTED(cuLibraryGetUnifiedFunction);
    return on_library(library, "cuLibraryGetUnifiedFunction");
}

/* ---- kernels and functions ---- */

CUresult cuKernelGetFunction(CUfunction *out, CUkernel kernel)
{
    ENTER_STARTED(cuKernelGetFunction);
    struct handle *h = handle_of(kernel), *function;
    if (!h)
        return from("handles/-/lazy/cuKernelGetFunction");
    CUresult result = on(kernel, "cuKernelGetFunction");
    if (result)
        return result;
    new_handle(h->image, false, h->name, &function);
    function->module = module_of(h->library);
    *out = (CUfunction)function;
    return CUDA_SUCCESS;
}

CUresult cuKernelGetLibrary(CUlibrary *out, CUkernel kernel)
{
    ENTER_STARTED(cuKernelGetLibrary);
    CUresult result = on(kernel, "cuKernelGetLibrary");
    if (!result)
        *out = handle_of(kernel)->library;
    return result;
}

static int attribute(CUfunction_attribute which)
{
    return which == CU_FUNC_ATTRIBUTE_BINARY_VERSION          ? 10 * machine.major + machine.minor
           : which == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? 1024
                                                              : 0;
}

CUresult cuKernelGetAttribute(int *value, CUfunction_attribute which, CUkernel kernel, CUdevice dev)
{
    ENTER_STARTED(cuKernelGetAttribute);
    *value = attribute(which);
    return on(kernel, "cuKernelGetAttribute");
}

CUresult cuFuncGetAttribute(int *value, CUfunction_attribute which, CUfunction f)
{
    ENTER_STARTED(cuFuncGetAttribute);
    CUresult result = on(f, "cuFuncGetAttribute");
    if (!result)
        *value = attribute(which);
    return result;
}

/* name -> the recorded answer for this handle, nothing else. */
#define ON_HANDLE(name, parameters, handle)                                                        \
    CUresult name parameters                                                                       \
    {                                                                                              \
        ENTER_STARTED(name);                                                                       \
        return on(handle, #name);                                                                  \
    }
ON_HANDLE(cuKernelSetAttribute, (CUfunction_attribute a, int v, CUkernel k, CUdevice d), k)
ON_HANDLE(cuKernelSetCacheConfig, (CUkernel k, CUfunc_cache c, CUdevice d), k)
ON_HANDLE(cuKernelGetParamInfo, (CUkernel k, size_t i, size_t *at, size_t *size), k)
ON_HANDLE(cuFuncSetAttribute, (CUfunction f, CUfunction_attribute a, int v), f)
ON_HANDLE(cuFuncSetCacheConfig, (CUfunction f, CUfunc_cache c), f)
ON_HANDLE(cuFuncGetParamInfo, (CUfunction f, size_t i, size_t *at, size_t *size), f)
ON_HANDLE(cuFuncLoad, (CUfunction f), f)

CUresult cuFuncIsLoaded(CUfunctionLoadingState *state, CUfunction f)
{
    ENTER_STARTED(cuFuncIsLoaded);
    *state = CU_FUNCTION_LOADING_STATE_LOADED;
    return on(f, "cuFuncIsLoaded");
}

CUresult cuKernelGetName(const char **name, CUkernel kernel)
{
    ENTER_STARTED(cuKernelGetName);
    CUresult result = on(kernel, "cuKernelGetName");
    if (!result)
        *name = handle_of(kernel)->name;
    return result;
}

CUresult cuFuncGetName(const char **name, CUfunction f)
{
    ENTER_STARTED(cuFuncGetName);
    CUresult result = on(f, "cuFuncGetName");
    if (!result)
        *name = handle_of(f)->name;
    return result;
}

CUresult cuFuncGetModule(CUmodule *module, CUfunction f)
{
    ENTER_STARTED(cuFuncGetModule);
    CUresult result = on(f, "cuFuncGetModule");
    struct handle *h = handle_of(f);
    if (!result)
        *module = h->module ? h->module : module_of(h->library);
    return result;
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, CUfunction f,
                                                              int threads, size_t shared,
                                                              unsigned flags)
{
    ENTER_STARTED(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags);
    *blocks = 1;
    return on(f, "cuOccupancyMaxActiveBlocksPerMultiprocessor");
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction f, int threads,
                                                     size_t shared)
{
    ENTER_STARTED(cuOccupancyMaxActiveBlocksPerMultiprocessor);
    *blocks = 1;
    return on(f, "cuOccupancyMaxActiveBlocksPerMultiprocessor");
}

CUresult cuOccupancyMaxPotentialBlockSize(int *grid, int *block, CUfunction f,
                                          CUoccupancyB2DSize shared_of, size_t shared, int limit)
{
    ENTER_STARTED(cuOccupancyMaxPotentialBlockSize);
    *grid = *block = 1;
    return on(f, "cuOccupancyMaxActiveBlocksPerMultiprocessor");
}

/* ---- launches ---- */

static __attribute__((noinline, cold)) CUresult odd_launch(CUfunction f, const char *call)
{
    return !initialised   ? from("uninitialised/-/lazy/cuLaunchKernel")
           : handle_of(f) ? on(f, call)
           : current      ? from("handles/-/lazy/cuLaunchKernel")
                          : from("handles/-/lazy/cuLaunchKernel(no context)");
}

/* The first parameter is where: its mark, and what it counted. */
static __attribute__((noinline, cold)) CUresult marked(struct handle *h, void **parameters)
{
    uint64_t *out = parameters ? *(uint64_t **)parameters[0] : NULL;
    struct CUmod_st *module = h->module ? h->module : module_of(h->library);
    if (!out)
        return CUDA_SUCCESS;
    out[0] = h->mark;
    out[1] = h->mark & 1 ? __atomic_add_fetch(&module->variable, 1, __ATOMIC_RELAXED) : 0;
    return CUDA_SUCCESS;
}

#define LAUNCH(name)                                                                               \
    CUresult name(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,   \
                  unsigned bz, unsigned shared, CUstream stream, void **parameters, void **extra)  \
    {                                                                                              \
        ENTER(name);                                                                               \
        struct handle *h = handle_of(f);                                                           \
        if (UNLIKELY(!h || h->launch))                                                             \
            return h && h->launch == MARKS ? marked(h, parameters) : odd_launch(f, #name);         \
        return CUDA_SUCCESS;                                                                       \
    }
LAUNCH(cuLaunchKernel)
LAUNCH(cuLaunchKernel_ptsz)

#define LAUNCH_EX(name)                                                                            \
    CUresult name(const CUlaunchConfig *config, CUfunction f, void **parameters, void **extra)     \
    {                                                                                              \
        ENTER(name);                                                                               \
        struct handle *h = handle_of(f);                                                           \
        if (UNLIKELY(!h || h->launch_ex))                                                          \
            return h && h->launch_ex == MARKS ? marked(h, parameters) : odd_launch(f, #name);      \
        return CUDA_SUCCESS;                                                                       \
    }
LAUNCH_EX(cuLaunchKernelEx)
LAUNCH_EX(cuLaunchKernelEx_ptsz)

#define LAUNCH_COOPERATIVE(name)                                                                   \
    CUresult name(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,   \
                  unsigned bz, unsigned shared, CUstream stream, void **parameters)                \
    {                                                                                              \
        ENTER(name);                                                                               \
        return odd_launch(f, #name);                                                               \
    }
LAUNCH_COOPERATIVE(cuLaunchCooperativeKernel)
LAUNCH_COOPERATIVE(cuLaunchCooperativeKernel_ptsz)

CUresult cuLaunchCooperativeKernelMultiDevice(CUDA_LAUNCH_PARAMS *list, unsigned count,
                                              unsigned flags)
{
    ENTER(cuLaunchCooperativeKernelMultiDevice);
    return odd_launch(list->function, "cuLaunchCooperativeKernelMultiDevice");
}

static CUresult obsolete_launch(CUfunction f, const char *call)
{
    struct handle *h = handle_of(f);
    if (!h || h->kernel)
        return odd_launch(f, call);
    struct image whole = whole_of(h->image);
    return replay(trace_image("obsolete", &whole, call));
}

CUresult cuLaunch(CUfunction f)
{
    ENTER(cuLaunch);
    return obsolete_launch(f, "cuLaunch");
}

CUresult cuLaunchGrid(CUfunction f, int width, int height)
{
    ENTER(cuLaunchGrid);
    return obsolete_launch(f, "cuLaunchGrid");
}

CUresult cuLaunchGridAsync(CUfunction f, int width, int height, CUstream stream)
{
    ENTER(cuLaunchGridAsync);
    return obsolete_launch(f, "cuLaunchGridAsync");
}

/* ---- graphs: of one kernel, as far as anybody asks ---- */

CUresult cuGraphCreate(CUgraph *graph, unsigned flags)
{
    ENTER_STARTED(cuGraphCreate);
    *graph = calloc(1, sizeof **graph);
    return CUDA_SUCCESS;
}

/* way: how the graph was made when it was recorded: "v1", "v2", "node_v1", "node_v2". */
static const struct answer *graph_answer(const struct handle *h, const char *way, const char *call)
{
    char route[64];
    struct image whole = whole_of(h->image);
    snprintf(route, sizeof route, "graph_%s_%s", h->kernel ? "library" : "module", way);
    return trace_image(route, &whole, call);
}

static CUresult in_graph(const struct handle *h, const char *way, const char *call)
{
    return h ? replay(graph_answer(h, way, call)) : from("handles/-/lazy/cuLaunchKernel");
}

static CUresult add_node(CUgraphNode *node, CUgraph graph, CUfunction f, CUkernel k,
                         const char *way, const char *call)
{
    struct handle *h = handle_of(f ? (void *)f : (void *)k);
    CUresult result = in_graph(h, way, call);
    if (result)
        return result;
    *node = calloc(1, sizeof **node);
    (*node)->function = h;
    if (!graph->function)
        graph->function = h;
    return CUDA_SUCCESS;
}

CUresult cuGraphAddKernelNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *on_nodes,
                              size_t count, const CUDA_KERNEL_NODE_PARAMS_v1 *p)
{
    ENTER_STARTED(cuGraphAddKernelNode);
    return add_node(node, graph, p->func, NULL, "v1", "cuGraphAddKernelNode");
}

CUresult cuGraphAddKernelNode_v2(CUgraphNode *node, CUgraph graph, const CUgraphNode *on_nodes,
                                 size_t count, const CUDA_KERNEL_NODE_PARAMS_v2 *p)
{
    ENTER_STARTED(cuGraphAddKernelNode_v2);
    return add_node(node, graph, p->func, p->kern, p->func ? "v2" : "kernel",
                    "cuGraphAddKernelNode_v2");
}

CUresult cuGraphAddNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *on_nodes, size_t count,
                        CUgraphNodeParams *p)
{
    ENTER_STARTED(cuGraphAddNode);
    return add_node(node, graph, p->kernel.func, p->kernel.kern, "node_v1", "cuGraphAddNode");
}

CUresult cuGraphAddNode_v2(CUgraphNode *node, CUgraph graph, const CUgraphNode *on_nodes,
                           const CUgraphEdgeData *edges, size_t count, CUgraphNodeParams *p)
{
    ENTER_STARTED(cuGraphAddNode_v2);
    return add_node(node, graph, p->kernel.func, p->kernel.kern, "node_v2", "cuGraphAddNode_v2");
}

static CUresult set_node(CUgraphNode node, CUfunction f, CUkernel k, const char *call)
{
    struct handle *h = handle_of(f ? (void *)f : (void *)k);
    const char *way = h && h->kernel ? "kernel" : "v1"; /* there all of them were asked */
    CUresult result = in_graph(h, way, call);
    if (!result)
        node->function = h;
    return result;
}

CUresult cuGraphKernelNodeSetParams_v2(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v2 *p)
{
    ENTER_STARTED(cuGraphKernelNodeSetParams_v2);
    return set_node(node, p->func, p->kern, "cuGraphKernelNodeSetParams_v2");
}

CUresult cuGraphKernelNodeSetParams(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v1 *p)
{
    ENTER_STARTED(cuGraphKernelNodeSetParams);
    return set_node(node, p->func, NULL, "cuGraphKernelNodeSetParams");
}

CUresult cuGraphNodeSetParams(CUgraphNode node, CUgraphNodeParams *p)
{
    ENTER_STARTED(cuGraphNodeSetParams);
    return set_node(node, p->kernel.func, p->kernel.kern, "cuGraphNodeSetParams");
}

CUresult cuGraphExecKernelNodeSetParams_v2(CUgraphExec exec, CUgraphNode node,
                                           const CUDA_KERNEL_NODE_PARAMS_v2 *p)
{
    ENTER_STARTED(cuGraphExecKernelNodeSetParams_v2);
    return set_node(node, p->func, p->kern, "cuGraphExecKernelNodeSetParams_v2");
}

CUresult cuGraphExecKernelNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                        const CUDA_KERNEL_NODE_PARAMS_v1 *p)
{
    ENTER_STARTED(cuGraphExecKernelNodeSetParams);
    return set_node(node, p->func, NULL, "cuGraphExecKernelNodeSetParams");
}

CUresult cuGraphExecNodeSetParams(CUgraphExec exec, CUgraphNode node, CUgraphNodeParams *p)
{
    ENTER_STARTED(cuGraphExecNodeSetParams);
    return set_node(node, p->kernel.func, p->kernel.kern, "cuGraphExecNodeSetParams");
}

static CUresult instantiate(CUgraphExec *out, CUgraph graph, const char *call)
{
    struct handle *h = graph->function;
    const char *way = h && h->kernel ? "kernel" : "v1";
    CUresult result = h ? in_graph(h, way, call) : CUDA_SUCCESS;
    if (result)
        return result;
    const struct answer *launch = h ? graph_answer(h, way, "cuGraphLaunch") : NULL;
    *out = calloc(1, sizeof **out);
    (*out)->function = h;
    (*out)->launch = launch ? (CUresult)launch->result : CUDA_SUCCESS;
    return CUDA_SUCCESS;
}

CUresult cuGraphInstantiate(CUgraphExec *out, CUgraph graph, CUgraphNode *node, char *log,
                            size_t size)
{
    ENTER_STARTED(cuGraphInstantiate);
    return instantiate(out, graph, "cuGraphInstantiate");
}

CUresult cuGraphInstantiate_v2(CUgraphExec *out, CUgraph graph, CUgraphNode *node, char *log,
                               size_t size)
{
    ENTER_STARTED(cuGraphInstantiate_v2);
    return instantiate(out, graph, "cuGraphInstantiate_v2");
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *out, CUgraph graph, unsigned long long flags)
{
    ENTER_STARTED(cuGraphInstantiateWithFlags);
    return instantiate(out, graph, "cuGraphInstantiateWithFlags");
}

CUresult cuGraphInstantiateWithParams(CUgraphExec *out, CUgraph graph,
                                      CUDA_GRAPH_INSTANTIATE_PARAMS *p)
{
    ENTER_STARTED(cuGraphInstantiateWithParams);
    p->result_out = CUDA_GRAPH_INSTANTIATE_SUCCESS;
    return instantiate(out, graph, "cuGraphInstantiateWithParams");
}

CUresult cuGraphInstantiateWithParams_ptsz(CUgraphExec *out, CUgraph graph,
                                           CUDA_GRAPH_INSTANTIATE_PARAMS *p)
{
    ENTER_STARTED(cuGraphInstantiateWithParams_ptsz);
    p->result_out = CUDA_GRAPH_INSTANTIATE_SUCCESS;
    return instantiate(out, graph, "cuGraphInstantiateWithParams_ptsz");
}

CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream)
{
    ENTER_STARTED(cuGraphLaunch);
    return exec ? exec->launch : from("handles/-/lazy/cuGraphLaunch");
}

CUresult cuGraphLaunch_ptsz(CUgraphExec exec, CUstream stream)
{
    ENTER_STARTED(cuGraphLaunch_ptsz);
    return exec ? exec->launch : from("handles/-/lazy/cuGraphLaunch");
}

CUresult cuGraphDestroy(CUgraph graph)
{
    ENTER_STARTED(cuGraphDestroy);
    free(graph);
    return CUDA_SUCCESS;
}

CUresult cuGraphExecDestroy(CUgraphExec exec)
{
    ENTER_STARTED(cuGraphExecDestroy);
    free(exec);
    return CUDA_SUCCESS;
}

/* ---- entry points ---- */

static void *exported(const char *name)
{
    static const struct {
        const char *name;
        void *function;
    } all[] = {
#define ROW(name, parameters) {#name, (void *)name},
#define ROWS(name, parameters) {#name, (void *)name}, {#name "_ptsz", (void *)name##_ptsz},
        KG_CUDA_FUNCTIONS(ROW, ROWS)
#undef ROW
#undef ROWS
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].name, name) == 0)
            return all[i].function;
    return NULL;
}

static CUresult look_up(const char *name, void **out, int version, const char *form,
                        CUdriverProcAddressQueryResult *status)
{
    static const int too_new = 99990;
    char symbol[128];
    int known;
    if (!name || !out)
        return from(name ? "proc_no_pfn/-/lazy/cuGetProcAddress_v2"
                         : "proc_no_name/-/lazy/cuGetProcAddress_v2");
    if (version > machine.cuda)
        version = too_new;
    int result = trace_proc(name, version, form, symbol, sizeof symbol, &known);
    void *function = exported(symbol);
    bool is_function = strncmp(symbol, "cu", 2) == 0;
    if (is_function && !function) { /* one that only the real driver has */
        result = trace_proc("cuNoSuchFunction", version, form, symbol, sizeof symbol, &known);
        is_function = false;
    }
    if (is_function || strcmp(symbol, "NULL") == 0)
        *out = is_function ? function : NULL;
    if (status && known >= 0)
        *status = (CUdriverProcAddressQueryResult)known;
    return result < 0 ? CUDA_ERROR_UNKNOWN : (CUresult)result;
}

CUresult cuGetProcAddress(const char *name, void **out, int version, cuuint64_t flags)
{
    ENTER(cuGetProcAddress);
    return look_up(name, out, version, flags == 2 ? "per-thread" : "11.3form", NULL);
}

CUresult cuGetProcAddress_v2(const char *name, void **out, int version, cuuint64_t flags,
                             CUdriverProcAddressQueryResult *status)
{
    ENTER(cuGetProcAddress_v2);
    return look_up(name, out, version,
                   flags == CU_GET_PROC_ADDRESS_LEGACY_STREAM               ? "legacy"
                   : flags == CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM ? "per-thread"
                                                                            : "default",
                   status);
}

/* A private door, as old runtimes use: what goes through it, no hook on names can see. */
static CUresult private_load(CUmodule *module, const void *image)
{
    struct image *seen = image_read(image);
    seen->wrapped = 0; /* the old runtime's business, not the driver's */
    nameless = true;
    CUresult result = load_module(module, seen, "module", "cuModuleLoadData");
    nameless = false;
    return result;
}

CUresult cuGetExportTable(const void **table, const CUuuid *id)
{
    static const struct {
        size_t size;
        CUresult (*load)(CUmodule *, const void *);
    } door = {sizeof door, private_load};
    ENTER(cuGetExportTable);
    if (memcmp(id, "fake old runtime", sizeof *id) != 0)
        return from("handles/-/lazy/cuGetExportTable");
    *table = &door;
    return CUDA_SUCCESS;
}

/* ---- the driver's own log ---- */

CUresult cuLogsRegisterCallback(CUlogsCallback callback, void *data, CUlogsCallbackHandle *out)
{
    ENTER(cuLogsRegisterCallback);
    log_data = data;
    log_callback = callback;
    *out = (CUlogsCallbackHandle)&log_callback;
    return CUDA_SUCCESS;
}

CUresult cuLogsUnregisterCallback(CUlogsCallbackHandle handle)
{
    ENTER(cuLogsUnregisterCallback);
    log_callback = NULL;
    return CUDA_SUCCESS;
}
