/*
 * The driver's doors: call the original, hand its result through, note what happened.
 */
#include "doors.h"

#include <errno.h>
#include <stdlib.h>

/* ---- notes --------------------------------------------------------------------------------------------- */

/* The first moment at which a setting matters, and at which a line about it is not noise. */
static void complain(void)
{
    struct kgi_target target;
    const char *text;

    for (size_t i = 0; (text = kgi_options_complaint(i)); i++)
        kgi_log(KGI_WARN, "warn: %s", text);
    if (kgi_options()->target[0] && kgi_target_parse(kgi_options()->target, &target) < 0)
        kgi_log(KGI_WARN, "warn: KGUARD_TARGET=%s: not a GPU target; write it like sm_120 or 12.0",
                kgi_options()->target);
}

static void start(void)
{
    static _Atomic bool started;
    int saved = errno;

    if (kgi_options()->off)
        return;
    kgi_drvlog_start(); /* each runtime calls cuInit, and one of CUDA 11 may not be the first */
    if (atomic_exchange_explicit(&started, true, memory_order_relaxed))
        return;
    complain();
    kgi_driver_keep();
    kgi_machine_ready();
    kgi_evidence_variables();
    kgi_triton_check();
    kgi_jit_start();
    kgi_audit();
    errno = saved;
}

/* The two functions that every process runs, also one without CUDA: no system call of ours, and no page
 * of ours that the loader has not touched before, each of which costs some microseconds (tests/gates/
 * exec.sh). So the name is made of immediates, and the word is not zero at first, which puts it beside
 * the loader's own tables. At the end the environment may be gone, with main's stack: it is asked now. */
static bool quiet = true;

static void __attribute__((constructor)) begin(void)
{
    char name[] = "KGUARD_LOG";

    if (getenv(name))
        quiet = false;
}

/* At the end of a process that was to be audited: what was loaded since, or that nothing was seen.
 * Calls no driver. */
static void __attribute__((destructor)) finish(void)
{
    struct kgi_object driver;

    if (!kgi_machine_is_ready() && (quiet || !kgi_object_named("libcuda.so", &driver)))
        return;
    kgi_jit_finish();
    if (!kgi_options()->off && kgi_machine_is_ready())
        kgi_triton_check();
    if (kgi_options()->off || !kgi_log_enabled(KGI_INFO))
        return;
    if (kgi_machine_is_ready())
        kgi_audit();
    else
        kgi_log(KGI_INFO, "libcuda.so.1 is loaded, but no call to it passed libkguard: it was not "
                          "used, or through RTLD_DEEPBIND, dlmopen or dlvsym");
}

/* A runtime that loads everything at start-up (CUDA_MODULE_LOADING=EAGER, and every runtime before
 * 11.7) meets its unusable images before anyone wants them. The shared ones are known by their name,
 * a static one by the variable. */
static bool before_any_use(const struct kgi_call *call)
{
    struct kgi_object caller;
    const char *soname;

    if (call->use == KGI_USE_LAUNCH || call->use == KGI_USE_QUERY)
        return false;
    soname = kgi_object_at(call->caller, &caller) ? kgi_object_soname(&caller) : NULL;
    if (soname && strncmp(soname, "libcudart", 9) == 0)
        return true;
    return kgi_loads_eagerly(false) && strcmp(call->api, "cuLibraryGetModule") == 0;
}

/* True when the runtime call above is to report it, with the kernel: it knows more. */
static bool failed(struct kgi_call *call, const struct kgi_kernel *kernel)
{
    if (kgi_error_is_consequence(call->result) && !(kgi_thread_word & KGI_DEPTH))
        kgi_failure_follows(call->api, call->result);
    if (!kgi_failure_family(call->result))
        return false;
    if (kgi_thread_word & KGI_DEPTH) {
        kgi_inner_set(call, kernel);
        return true;
    }
    call->unused = before_any_use(call);
    kgi_failure(call, kernel);
    return false;
}

static KGI_SLOW void failed_handle(const char *api, int result, enum kgi_use use,
                                   const void *caller, const void *handle, const char *name)
{
    struct kgi_call call = {.api = api, .result = result, .use = use, .caller = caller};
    struct kgi_kernel kernel = {0};
    int saved = errno;

    if (!kgi_options()->off) {
        kgi_handle_get(handle, &kernel);
        if (name)
            kernel.name = kgi_name(name);
        failed(&call, &kernel);
    }
    errno = saved;
}

/*
 * The words of the driver's JIT, where the program asked for them (CU_JIT_ERROR_LOG_BUFFER). Where it did
 * not, nobody has them: loading the image once more with a buffer of ours would compile it a second time,
 * in the program's context and at its expense.
 */
#define LOGS_MOST 64
struct jit_log {
    const char *at;
    size_t size;
};

static struct jit_log log_of(unsigned n, const CUjit_option *options, void *const *values)
{
    struct jit_log log = {NULL, 0};

    for (unsigned i = 0; options && values && i < n; i++) {
        if (options[i] == CU_JIT_ERROR_LOG_BUFFER)
            log.at = values[i];
        else if (options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
            log.size = (size_t)(uintptr_t)values[i];
    }
    return log;
}

/* The driver writes the size it used over the one it was given, so that of a linker is kept from before
 * its first use. */
static struct link {
    CUlinkState state;
    struct jit_log log;
} links[16];
static struct kgi_lock links_lock;

static KGI_SLOW void linking(CUlinkState state, unsigned n, const CUjit_option *options,
                             void *const *values)
{
    static unsigned next;
    struct jit_log log = log_of(n, options, values);

    if (!log.at || kgi_options()->off)
        return;
    kgi_lock(&links_lock);
    links[next++ % KGI_COUNT(links)] = (struct link){state, log};
    kgi_unlock(&links_lock);
}

static KGI_SLOW struct jit_log link_log(CUlinkState state, bool gone)
{
    struct jit_log log = {NULL, 0};

    kgi_lock(&links_lock);
    for (size_t i = 0; i < KGI_COUNT(links); i++) {
        if (links[i].state != state || !state)
            continue;
        log = links[i].log;
        if (gone)
            links[i] = (struct link){NULL, {NULL, 0}};
    }
    kgi_unlock(&links_lock);
    return log;
}

/* What an image is added with goes before what the linker was made with. */
static struct jit_log add_log(CUlinkState state, unsigned n, const CUjit_option *options,
                              void *const *values)
{
    struct jit_log log = log_of(n, options, values);

    return log.at ? log : link_log(state, false);
}

/* Kept with the image: a library's kernels are asked for long after its load. */
static void keep_log(struct kgi_image *image, struct jit_log log)
{
    static _Atomic unsigned kept; /* each for ever */
    char text[1024];
    size_t length = log.at ? strnlen(log.at, log.size < sizeof text ? log.size : sizeof text - 1) : 0;

    if (!length || atomic_fetch_add_explicit(&kept, 1, memory_order_relaxed) >= LOGS_MOST)
        return;
    memcpy(text, log.at, length);
    text[length] = 0;
    image->log = kgi_name(text);
}

static struct kgi_image *image_of(const void *data, const char *file, const void *caller)
{
    return file ? kgi_image_file(file) : kgi_image_at(data, caller);
}

/* An image is about to be loaded. What the driver must compile it compiles in that call, which then looks
 * like a hang: the line that says so must come before. */
static KGI_SLOW struct kgi_image *coming(const void *data, const char *file, const void *caller)
{
    struct kgi_image *image = NULL;
    int saved = errno;

    if (!kgi_options()->off && kgi_log_enabled(KGI_WARN) && kgi_machine_is_ready() &&
        kgi_machine()) {
        image = image_of(data, file, caller);
        if (image)
            kgi_module(image, true);
    }
    errno = saved;
    return image;
}

static KGI_SLOW void loaded(const char *api, int result, const void *caller, const void *handle,
                            const void *data, const char *file, struct jit_log log,
                            struct kgi_image *met, bool ours)
{
    struct kgi_call call = {
        .api = api, .result = result, .use = KGI_USE_LOAD, .caller = caller};
    struct kgi_kernel kernel = {0};
    int saved = errno;

    if (!result && !ours)
        kgi_jit_module_met((CUmodule)(uintptr_t)handle);
    if (met)
        kernel.image = met;
    else if (!kgi_options()->off && (!result || kgi_failure_family(result)))
        kernel.image = image_of(data, file, caller);
    if (kernel.image) {
        bool keep = !result;

        kernel.age = kernel.image->age;
        keep_log(kernel.image, log);
        if (result) {
            keep = failed(&call, &kernel);
        } else {
            kgi_machine_ready();
            kgi_handle_set(handle, kernel.image, NULL, NULL);
            kgi_triton_load();
            if (!ours) /* what was loaded needs no JIT */
                kgi_module(kernel.image, false);
        }
        kgi_image_end_load(kernel.image, keep);
    }
    errno = saved;
}

static KGI_SLOW void found(const void *handle, const void *container, const char *name)
{
    struct kgi_kernel kernel;

    if (kgi_options()->off || !kgi_handle_get(container, &kernel))
        return;
    kgi_handle_set(handle, kernel.image, name ? kgi_name(name) : kernel.name, container);
}

/* What is known of it before the driver lets go: then another thread's load may be given the handle. */
static KGI_SLOW void leaves(const void *handle, struct kgi_kernel *gone)
{
    if (kgi_options()->off || !kgi_handle_get(handle, gone))
        gone->image = NULL;
}

/* The array may be longer than what was written to it, and what lies behind is the program's. */
static KGI_SLOW void listed(void *const *handles, unsigned room, void *container,
                            enum kgi_driver_door count_door)
{
    CUresult (*count)(unsigned *, void *) =
        (CUresult(*)(unsigned *, void *))kgi_driver_original(count_door);
    unsigned n = 0;

    if (!handles || !count || count(&n, container) != CUDA_SUCCESS)
        return;
    for (unsigned i = 0; i < n && i < room; i++)
        found(handles[i], container, NULL);
}

static KGI_SLOW const char *text_of(int error, const char *plain)
{
    if (kgi_error_is_consequence(error))
        kgi_failure_follows(NULL, error);
    return kgi_error_text(error, plain);
}

/* ---- what doors.def's last column stands for ------------------------------------------------------------- */

/* Only words are handed over: a wrapper keeps nothing on its stack that a good call does not need. */
#define CALLED name_of, (int)result
#define FROM __builtin_return_address(0)

#define START                                                                                      \
    if (result == CUDA_SUCCESS)                                                                    \
    start()
#define FOUND(name, p)                                                                             \
    if (result == CUDA_SUCCESS && p && *p && !kgi_options()->off)                                  \
    *p = kgi_driver_door_of(name, *p)
#define NO_LOG ((struct jit_log){NULL, 0})
#define LOAD(handle, image) loaded(CALLED, FROM, HANDLE(handle), image, NULL, NO_LOG, met, ours)
#define LOAD_WITH(handle, image, n, options, values)                                               \
    loaded(CALLED, FROM, HANDLE(handle), image, NULL, log_of(n, options, values), met, ours)
#define LOAD_FILE(handle, path) loaded(CALLED, FROM, HANDLE(handle), NULL, path, NO_LOG, met, ours)
#define LINK(state, n, options, values)                                                            \
    if (result == CUDA_SUCCESS && state)                                                           \
    linking(*state, n, options, values)
#define UNLINK(state) link_log(state, true)
#define ADD(image)                                                                                 \
    if (result != CUDA_SUCCESS)                                                                    \
    loaded(CALLED, FROM, NULL, image, NULL, add_log(state, n, options, values), NULL, false)
#define ADD_FILE(path)                                                                             \
    if (result != CUDA_SUCCESS)                                                                    \
    loaded(CALLED, FROM, NULL, NULL, path, add_log(state, n, options, values), NULL, false)
#define UNLOAD(handle)                                                                             \
    if (result == CUDA_SUCCESS && gone.image)                                                      \
    kgi_handle_drop(handle, &gone)
#define OWNER(library)                                                                             \
    if (JIT_ON && result == CUDA_SUCCESS && library)                                               \
    *library = kgi_jit_known(*library)
#define MODULE_OF(module, function)                                                                \
    if (JIT_ON && result == CUDA_SUCCESS && module)                                                \
    kgi_jit_module_of(module, function)
#define GIVEN(module, library)                                                                     \
    if (JIT_ON && result == CUDA_SUCCESS && module)                                                \
        kgi_jit_module_given(module, library, used);                                               \
    ALIAS(module, library)
#define NOTHING (void)0
#define FIND(handle, container, kernel)                                                            \
    if (result == CUDA_SUCCESS)                                                                    \
        found(HANDLE(handle), container, kernel);                                                  \
    else                                                                                           \
        failed_handle(CALLED, KGI_USE_FIND, FROM, container, kernel)
#define EACH(handles, n, of, count)                                                                \
    if (result == CUDA_SUCCESS)                                                                    \
        listed((void *const *)handles, n, of, KGI_D_##count);                                                 \
    else                                                                                           \
        failed_handle(CALLED, KGI_USE_FIND, FROM, of, NULL)
#define ALIAS(handle, of)                                                                          \
    if (result == CUDA_SUCCESS)                                                                    \
        found(HANDLE(handle), of, NULL);                                                           \
    else                                                                                           \
        failed_handle(CALLED, KGI_USE_FIND, FROM, of, NULL)
#define QUERY(handle)                                                                              \
    if (KGI_UNLIKELY(result != CUDA_SUCCESS))                                                      \
    failed_handle(CALLED, KGI_USE_QUERY, FROM, handle, NULL)
#define PREPARE LIST
#define LIST(handle)                                                                               \
    if (KGI_UNLIKELY(result != CUDA_SUCCESS))                                                      \
    failed_handle(CALLED, KGI_USE_FIND, FROM, handle, NULL)
#define LAUNCH(handle)                                                                             \
    if (KGI_UNLIKELY(result != CUDA_SUCCESS))                                                      \
    failed_handle(CALLED, KGI_USE_LAUNCH, FROM, handle, NULL)
#define TEXT(error, text)                                                                          \
    if (result == CUDA_SUCCESS && text && !kgi_options()->off)                                     \
    *text = text_of((int)error, *text)

/* KGUARD_JIT: one word to look at where an image is loaded or a library used, none in a launch. */
#define JIT_ON KGI_UNLIKELY(atomic_load_explicit(&kgi_jit_on, memory_order_relaxed))
#define OUR_MODULE(handle, image, file, ...)                                                       \
    ((JIT_ON && kgi_jit_module(&met, handle, image, file, __VA_ARGS__, FROM)) ||                   \
     COMING(image, file))
#define OUR_LIBRARY(handle, image, file, ...)                                                      \
    ((JIT_ON && kgi_jit_library(&jitted, &met, handle, image, file, __VA_ARGS__, FROM)) ||         \
     COMING(image, file))
#define COMING(image, file) (met = coming(image, file, FROM), false)
#define GOES(handle) (leaves(handle, &gone), false)
#define WENT(module) (GOES(module) || (JIT_ON && kgi_jit_module_unload(&jitted, module, &result)))
#define LEAVES(library) (jitted = JIT_ON ? kgi_jit_unload(library) : NULL, GOES(library))

/* How much of a library's code is wanted; the library that has it. */
#define ANYTHING kgi_jit_used(library)
#define MODULE kgi_jit_module_owner(library)
#define KERNEL(name) kgi_jit_kernel(library, name)

/* Out-parameters are looked at after success alone, and may be NULL. */
#define HANDLE(p) (result == CUDA_SUCCESS && (p) ? (const void *)*(p) : NULL)
/* From CUDA 12 on a node's kernel may be given as a CUkernel instead. */
#define NODE_KERNEL(p) ((p) ? (p)->func ? (const void *)(p)->func : (const void *)(p)->kern : NULL)
#define ANY_NODE_KERNEL(p)                                                                         \
    ((p) && (p)->type == CU_GRAPH_NODE_TYPE_KERNEL ? NODE_KERNEL(&(p)->kernel) : NULL)

#define DRIVER(symbol, parameters, arguments, after)                                               \
    KGI_EXPORT CUresult symbol parameters;                                                         \
    KGI_EXPORT CUresult symbol parameters                                                          \
    {                                                                                              \
        static const char name_of[] __attribute__((unused)) = #symbol;                             \
        CUresult (*original) parameters =                                                          \
            (CUresult(*) parameters)kgi_driver_original(KGI_D_##symbol);                           \
        CUresult result;                                                                           \
                                                                                                   \
        if (KGI_UNLIKELY(!original))                                                               \
            return CUDA_ERROR_NOT_INITIALIZED;                                                     \
        result = original arguments;                                                               \
        after;                                                                                     \
        return result;                                                                             \
    }
#define DRIVER_USE(symbol, parameters, arguments, wanted, after)                                   \
    KGI_EXPORT CUresult symbol parameters;                                                         \
    KGI_EXPORT CUresult symbol parameters                                                          \
    {                                                                                              \
        static const char name_of[] __attribute__((unused)) = #symbol;                             \
        CUresult (*original) parameters =                                                          \
            (CUresult(*) parameters)kgi_driver_original(KGI_D_##symbol);                           \
        CUlibrary used;                                                                            \
        CUresult result;                                                                           \
                                                                                                   \
        if (KGI_UNLIKELY(!original))                                                               \
            return CUDA_ERROR_NOT_INITIALIZED;                                                     \
        used = JIT_ON ? wanted : library;                                                          \
        result = original arguments;                                                               \
        while (JIT_ON && result != CUDA_SUCCESS && kgi_jit_failed(library, &used, (int)result))    \
            result = original arguments;                                                           \
        after;                                                                                     \
        return result;                                                                             \
    }
#define DRIVER_OF(symbol, parameters, arguments, kernel, after)                                    \
    KGI_EXPORT CUresult symbol parameters;                                                         \
    KGI_EXPORT CUresult symbol parameters                                                          \
    {                                                                                              \
        static const char name_of[] __attribute__((unused)) = #symbol;                             \
        CUresult (*original) parameters =                                                          \
            (CUresult(*) parameters)kgi_driver_original(KGI_D_##symbol);                           \
        CUmodule used = module;                                                                    \
        CUresult result = CUDA_SUCCESS;                                                            \
                                                                                                   \
        if (KGI_UNLIKELY(!original))                                                               \
            return CUDA_ERROR_NOT_INITIALIZED;                                                     \
        if (JIT_ON)                                                                                \
            result = kgi_jit_module_for(&used, kernel);                                            \
        if (result == CUDA_SUCCESS)                                                                \
            result = original arguments;                                                           \
        after;                                                                                     \
        return result;                                                                             \
    }
#define DRIVER_LOAD(symbol, parameters, arguments, other, after)                                   \
    KGI_EXPORT CUresult symbol parameters;                                                         \
    KGI_EXPORT CUresult symbol parameters                                                          \
    {                                                                                              \
        static const char name_of[] __attribute__((unused)) = #symbol;                             \
        CUresult (*original) parameters =                                                          \
            (CUresult(*) parameters)kgi_driver_original(KGI_D_##symbol);                           \
        struct kgi_image *met __attribute__((unused)) = NULL;                                      \
        struct kgi_kernel gone __attribute__((unused)) = {.image = NULL};                          \
        struct kgi_jitted *jitted = NULL;                                                          \
        CUresult result = CUDA_SUCCESS;                                                            \
        bool ours;                                                                                 \
                                                                                                   \
        if (KGI_UNLIKELY(!original))                                                               \
            return CUDA_ERROR_NOT_INITIALIZED;                                                     \
        ours = other;                                                                              \
        if (!ours)                                                                                 \
            result = original arguments;                                                           \
        after;                                                                                     \
        if (KGI_UNLIKELY(jitted != NULL))                                                          \
            kgi_jit_done(jitted, result);                                                          \
        return result;                                                                             \
    }
#include "doors.def"
