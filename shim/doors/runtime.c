/*
 * The runtime's doors. All of PyTorch and every torch extension call a shared libcudart through
 * ordinary symbols, so the doors see the fatbins, the names of the kernels behind the host stubs, and
 * the result of every launch, whatever the runtime's version.
 *
 * Several runtimes of different versions can live in one process, each with the kernels registered in
 * it, so a call must reach the one it was meant for. RTLD_NEXT would be NULL for a runtime loaded
 * RTLD_LOCAL, and a return address is not the caller's where the compiler made a tail call. The
 * order: the runtime in which this stub or handle was registered; else the one the calling object is
 * linked to; else the only one there is; else the one this thread used last. A call is never refused
 * for want of an original while there is any.
 */
#include "doors.h"

#include <errno.h>

typedef struct {
    unsigned x, y, z;
} dim3;

enum runtime_door {
#define RUNTIME(symbol, parameters, arguments, whose, after) R_##symbol,
#define RUNTIME_OWN(symbol) R_##symbol,
#include "doors.def"
#undef RUNTIME
#undef RUNTIME_OWN
    RUNTIME_DOORS
};

static const char *const names[] = {
#define RUNTIME(symbol, parameters, arguments, whose, after) #symbol,
#define RUNTIME_OWN(symbol) #symbol,
#include "doors.def"
#undef RUNTIME
#undef RUNTIME_OWN
};

/* A loaded object that defines the runtime's functions: a libcudart, or a library with a static one
 * that exports it. */
struct runtime {
    uintptr_t low;
    size_t index;
    bool old; /* of CUDA 11: it loads what is registered through a private table, past all doors */
    void *original[RUNTIME_DOORS];
};

#define RUNTIMES_MOST 32 /* each wheel may bring its own */

static struct runtime runtimes[RUNTIMES_MOST];
static _Atomic size_t runtime_count;
static struct kgi_lock lock;
/* Host stub or handle -> index + 1. Stubs and functions stay when they are gone: another one lies at the
 * address some day, and there are no more of them than the program has addresses. */
static struct kgi_map by_stub;
static struct kgi_map by_page; /* code page of a caller -> generation, and index + 1 in the last byte */
static _Atomic uint64_t generation;

/* ---- which runtime ----------------------------------------------------------------------------------- */

/* One that is no longer loaded gives its place; RUNTIMES_MOST when all are. *low: where it lay. */
static size_t place_of_one_gone(uintptr_t *low)
{
    size_t n = atomic_load_explicit(&runtime_count, memory_order_acquire), i = 0;
    struct kgi_object object;

    for (; i < n; i++) {
        *low = runtimes[i].low;
        if (!kgi_object_at((const void *)*low, &object) || object.low != *low)
            return i;
    }
    return RUNTIMES_MOST;
}

/* Whether this object is a runtime, and what it has. Looked up each time: another one may have lain there
 * before. */
static bool look_at(const struct kgi_object *object, struct runtime *out)
{
    const char *soname;

    if (kgi_object_is_self(object) || !kgi_object_symbol(object, "__cudaRegisterFatBinary"))
        return false;
    *out = (struct runtime){.low = object->low};
    soname = kgi_object_soname(object);
    /* libcudart.so.11.0, or libcudart-d0da41ae.so.11.0 in PyTorch's wheels */
    out->old = soname && strncmp(soname, "libcudart", 9) == 0 && strstr(soname, ".so.11");
    for (size_t i = 0; i < RUNTIME_DOORS; i++)
        out->original[i] = kgi_object_symbol(object, names[i]);
    return true;
}

/* The place of what was found, old or new; NULL when there is no more room. */
static struct runtime *keep(struct runtime *found)
{
    struct runtime *known = NULL;
    uintptr_t low = 0;
    size_t n, gone = place_of_one_gone(&low);

    kgi_lock(&lock);
    n = atomic_load_explicit(&runtime_count, memory_order_relaxed);
    while (found->index < n && runtimes[found->index].low != found->low)
        found->index++;
    if (found->index == n && gone < n && runtimes[gone].low == low) /* still: no other thread took it */
        found->index = gone;
    if (found->index < RUNTIMES_MOST) {
        known = &runtimes[found->index];
        if (memcmp(known->original, found->original, sizeof found->original) != 0)
            *known = *found;
        if (found->index == n)
            atomic_store_explicit(&runtime_count, n + 1, memory_order_release);
    }
    kgi_unlock(&lock);
    return known;
}

struct linked {
    const struct kgi_object *object; /* whose runtimes are looked for; NULL: all */
    size_t skip;                     /* so many of them */
    struct runtime found;
};

/* In the walk, since another thread may unload it after that. */
static int find_linked(const struct kgi_object *candidate, void *context)
{
    struct linked *l = context;
    const char *soname = l->object ? kgi_object_soname(candidate) : NULL, *needed = NULL;

    for (size_t i = 0; soname && (needed = kgi_object_needed(l->object, i)); i++)
        if (strcmp(needed, soname) == 0)
            break;
    return (needed || !l->object) && look_at(candidate, &l->found) && l->skip-- == 0;
}

static struct runtime *linked_runtime(const struct kgi_object *object, size_t skip)
{
    struct linked l = {.object = object, .skip = skip};

    return kgi_object_each(find_linked, &l) ? keep(&l.found) : NULL;
}

static struct runtime *runtime_of_object(const struct kgi_object *object)
{
    struct runtime found;

    return look_at(object, &found) ? keep(&found) : linked_runtime(object, 0);
}

/* The only runtime loaded, else the one this thread used last, else the first. */
static struct runtime *some_runtime(void)
{
    size_t last = kgi_thread_word >> 16;
    struct runtime *found = NULL, *next;

    for (size_t i = 0; (next = linked_runtime(NULL, i)); i++) {
        if (next->index + 1 == last)
            return next;
        found = found ? found : next;
    }
    return found;
}

static struct runtime *runtime_at(const void *address)
{
    uint64_t now = atomic_load_explicit(&generation, memory_order_relaxed);
    uint64_t page = (uintptr_t)address >> 12, known = kgi_map_get(&by_page, page);
    struct kgi_object object;
    struct runtime *r;

    if (known >> 8 == now && known & 0xff)
        return &runtimes[(known & 0xff) - 1];
    r = kgi_object_at(address, &object) ? runtime_of_object(&object) : NULL;
    if (!r)
        return some_runtime(); /* not remembered: another may be loaded later */
    kgi_lock(&lock);
    kgi_map_set(&by_page, page, now << 8 | (r->index + 1));
    kgi_unlock(&lock);
    return r;
}

/* A stub that was never registered, or a variable: the object it lies in, else the caller's. */
static KGI_SLOW struct runtime *runtime_holding(const void *stub, const void *caller)
{
    struct kgi_object object;

    return runtime_at(stub && kgi_object_at(stub, &object) ? stub : caller);
}

static inline struct runtime *runtime_of_stub(const void *stub, const void *caller)
{
    size_t index = kgi_map_get(&by_stub, (uintptr_t)stub);

    return KGI_LIKELY(index != 0) ? &runtimes[index - 1] : runtime_holding(stub, caller);
}

/* NULL forgets. */
static void remember(const void *stub, const struct runtime *r)
{
    kgi_lock(&lock);
    kgi_map_set(&by_stub, (uintptr_t)stub, r ? r->index + 1 : 0);
    kgi_unlock(&lock);
}

/* ---- notes ------------------------------------------------------------------------------------------------ */

static KGI_SLOW void failed(const char *api, int result, enum kgi_use use, const void *caller,
                            const void *handle, const char *name)
{
    struct kgi_call inner_call, call = {.api = api,
                                        .result = result,
                                        .use = use,
                                        .runtime = true,
                                        .caller = caller,
                                        .about = handle};
    struct kgi_kernel kernel = {0}, inner_kernel;
    int saved = errno;
    bool inner;

    if (kgi_options()->off)
        return;
    if (handle)
        kgi_handle_get(handle, &kernel);
    inner = kgi_inner_take(&inner_call, &inner_kernel);
    if (inner) {
        if (!kernel.image)
            kernel.image = inner_kernel.image;
        if (!kernel.name)
            kernel.name = inner_kernel.name;
    }
    if (name && !kernel.name)
        kernel.name = kgi_name(name);
    if (use == KGI_USE_LAUNCH && kgi_error_is_consequence(result))
        kgi_thread_launched();
    /* nvcc 13's host code looks a kernel up before its first launch, and launches whatever comes of it:
     * a failed look-up leaves the stub (cudart 13.0 to 13.5), whose launch fails again. One failure. */
    if (use != KGI_USE_LAUNCH || !kgi_thread_sought(&kernel))
        kgi_failure(&call, &kernel);
    if (kgi_failure_family(result))
        kgi_thread_failed(&call, &kernel);
    if (inner)
        kgi_inner_end(&inner_call, &inner_kernel);
    errno = saved;
}

/* The call succeeded while some thread has something on record. */
static KGI_SLOW void passed(bool launch)
{
    struct kgi_kernel kernel;
    struct kgi_call call;
    int saved = errno;

    if (kgi_inner_take(&call, &kernel)) {
        call.unused = true; /* loaded on the way to something that works */
        kgi_failure(&call, &kernel);
        kgi_inner_end(&call, &kernel);
    }
    if (launch)
        kgi_thread_launched();
    errno = saved;
}

static KGI_SLOW void alias(const void *handle, const void *of, const struct runtime *r)
{
    struct kgi_kernel kernel;

    if (kgi_options()->off || !kgi_handle_get(of, &kernel))
        return;
    kgi_handle_set(handle, kernel.image, kernel.name, of);
    remember(handle, r);
}

static KGI_SLOW void found(const void *handle, const void *container, const char *name,
                  const struct runtime *r)
{
    struct kgi_kernel kernel;

    if (kgi_options()->off || !kgi_handle_get(container, &kernel))
        return;
    kgi_handle_set(handle, kernel.image, name ? kgi_name(name) : NULL, container);
    remember(handle, r);
}

/* text: what was asked for is the text of an error that another call returned. */
static KGI_SLOW void checked(const char *api, int result, bool text)
{
    int saved = errno;

    kgi_thread_checked(api, result);
    if (kgi_error_is_consequence(result) && !kgi_options()->off)
        kgi_failure_follows(text ? NULL : api, result);
    errno = saved;
}

/* ---- what doors.def's last columns stand for ----------------------------------------------------------------- */

#define STUB(f) runtime_of_stub(f, __builtin_return_address(0))
#define CALLER runtime_at(__builtin_return_address(0))

#define PENDING KGI_UNLIKELY(atomic_load_explicit(&kgi_pending, memory_order_relaxed) != 0)
#define NOTE(kind, handle, name, launch)                                                           \
    if (KGI_UNLIKELY(result != 0))                                                                 \
        failed(name_of, result, kind, __builtin_return_address(0), handle, name);                                                          \
    else if (PENDING)                                                                              \
    passed(launch)

#define LAUNCH(handle) NOTE(KGI_USE_LAUNCH, handle, NULL, true)
#define QUERY(handle) NOTE(KGI_USE_QUERY, handle, NULL, false)
#define PREPARE LIST
#define LIST(handle) NOTE(KGI_USE_FIND, handle, NULL, false)
#define ALIAS(to, from)                                                                            \
    if (result == 0 && to)                                                                         \
        alias(*to, from, r);                                                                       \
    NOTE(KGI_USE_FIND, from, NULL, false)
#define FIND(to, container, name)                                                                  \
    if (result == 0 && to)                                                                         \
        found(*to, container, name, r);                                                            \
    NOTE(KGI_USE_FIND, container, name, false)
#define CHECKED                                                                                    \
    if (PENDING || KGI_UNLIKELY(result != 0))                                                      \
    checked(name_of, result, false)

/* Both APIs give "not initialised" the number 3: what a call without any runtime answers. */
#define NOT_INITIALIZED 3

#define RUNTIME(symbol, parameters, arguments, whose, after)                                       \
    KGI_EXPORT int symbol parameters;                                                              \
    KGI_EXPORT int symbol parameters                                                               \
    {                                                                                              \
        static const char name_of[] __attribute__((unused)) = #symbol;                             \
        const struct runtime *r = whose;                                                           \
        int(*original) parameters = r ? (int(*) parameters)r->original[R_##symbol] : NULL;         \
        uintptr_t word = kgi_thread_word;                                                          \
        int result;                                                                                \
                                                                                                   \
        if (KGI_UNLIKELY(!original))                                                               \
            return NOT_INITIALIZED;                                                                \
        kgi_thread_word = ((word & KGI_DEPTH) + 1) | (r->index + 1) << 16;                         \
        result = original arguments;                                                               \
        kgi_thread_word--;                                                                         \
        after;                                                                                     \
        return result;                                                                             \
    }
#define RUNTIME_OWN(symbol)
#include "doors.def"

/* ---- registration ----------------------------------------------------------------------------------------------- */

/* These run in constructors, under the loader's lock, before ours: they may take our locks, since
 * none of those is ever held across a call into the loader. */

KGI_EXPORT void **__cudaRegisterFatBinary(void *wrapper);
KGI_EXPORT void **__cudaRegisterFatBinary(void *wrapper)
{
    struct runtime *r = runtime_at(wrapper);
    void **(*original)(void *) = r ? (void **(*)(void *))r->original[R___cudaRegisterFatBinary]
                                   : NULL;
    void *given = r && r->old && KGI_UNLIKELY(kgi_options()->jit != KGI_JIT_OFF)
                      ? kgi_jit_registered(wrapper)
                      : wrapper;
    void **handle = original ? original(given) : NULL;

    if (handle) {
        remember(handle, r);
        if (!kgi_options()->off)
            kgi_handle_set(handle, kgi_image_registered(wrapper), NULL, NULL);
    }
    return handle;
}

KGI_EXPORT void __cudaRegisterFatBinaryEnd(void **handle);
KGI_EXPORT void __cudaRegisterFatBinaryEnd(void **handle)
{
    struct runtime *r = runtime_of_stub(handle, __builtin_return_address(0));
    void (*original)(void **) =
        r ? (void (*)(void **))r->original[R___cudaRegisterFatBinaryEnd] : NULL;

    if (original)
        original(handle);
}

KGI_EXPORT void __cudaUnregisterFatBinary(void **handle);
KGI_EXPORT void __cudaUnregisterFatBinary(void **handle)
{
    struct runtime *r = runtime_of_stub(handle, __builtin_return_address(0));
    void (*original)(void **) =
        r ? (void (*)(void **))r->original[R___cudaUnregisterFatBinary] : NULL;
    struct kgi_kernel kernel;
    bool known = !kgi_options()->off && kgi_handle_get(handle, &kernel);

    /* Before its end: at once another thread's registration may be given the same handle. */
    remember(handle, NULL);
    if (original)
        original(handle);
    /* The object is about to be unmapped: what was remembered of its addresses is void. */
    atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
    if (known) {
        kgi_handle_drop(handle, &kernel);
        kgi_image_unregister(kernel.image, kernel.age);
    }
}

KGI_EXPORT void __cudaRegisterFunction(void **handle, const char *stub, char *device_name,
                                       const char *name, int threads, void *tid, void *bid,
                                       void *block, void *grid, int *warp);
KGI_EXPORT void __cudaRegisterFunction(void **handle, const char *stub, char *device_name,
                                       const char *name, int threads, void *tid, void *bid,
                                       void *block, void *grid, int *warp)
{
    struct runtime *r = runtime_of_stub(handle, __builtin_return_address(0));
    void (*original)(void **, const char *, char *, const char *, int, void *, void *, void *,
                     void *, int *) = NULL;
    struct kgi_kernel kernel;

    if (r)
        original = (void (*)(void **, const char *, char *, const char *, int, void *, void *,
                             void *, void *, int *))r->original[R___cudaRegisterFunction];
    if (!original)
        return;
    original(handle, stub, device_name, name, threads, tid, bid, block, grid, warp);
    remember(stub, r);
    if (!kgi_options()->off && kgi_handle_get(handle, &kernel))
        kgi_handle_set(stub, kernel.image, name, handle);
}

/* ---- error texts: who asks for one has noticed -------------------------------------------------------------------- */

static const char *error_text(struct runtime *r, enum runtime_door door, int error)
{
    const char *(*original)(int) = r ? (const char *(*)(int))r->original[door] : NULL;

    if (PENDING || kgi_error_is_consequence(error))
        checked(names[door], error, true);
    return original ? original(error) : NULL;
}

KGI_EXPORT const char *cudaGetErrorString(int error);
KGI_EXPORT const char *cudaGetErrorString(int error)
{
    const char *text = error_text(CALLER, R_cudaGetErrorString, error);

    return kgi_options()->off ? text : kgi_error_text(error, text);
}

KGI_EXPORT const char *cudaGetErrorName(int error);
KGI_EXPORT const char *cudaGetErrorName(int error)
{
    return error_text(CALLER, R_cudaGetErrorName, error);
}
