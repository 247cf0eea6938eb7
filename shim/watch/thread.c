/*
 * Failures on their way from one call to a later one, a slot per thread.
 *
 * Two things wait here. `inner`: what a driver call said while a runtime call was still under way on
 * the same thread; the runtime call knows the kernel and makes the report. `open`: a failed launch
 * or query whose error nobody has asked for yet; if the thread launches on, or another call later
 * returns that error, the connection is told. A healthy process never has a slot in use, and all a
 * good launch looks at is kgi_pending.
 */
#include "watch.h"

#define SLOTS 64

static struct slot {
    int thread; /* 0 = free */
    bool has_inner, has_open, launched_since;
    struct kgi_call inner_call;
    struct kgi_kernel inner_kernel;
    struct kgi_failed open; /* its library may be gone when it comes up again */
    struct kgi_kernel sought; /* what was looked up last and not found, until a launch fails */
    uint64_t order;
} slots[SLOTS];

static struct kgi_lock lock;
static uint64_t order;

_Atomic uint32_t kgi_pending;

void kgi_inner_end(const struct kgi_call *call, const struct kgi_kernel *kernel)
{
    if (call->use == KGI_USE_LOAD && kernel->image && !kernel->image->lasting)
        kgi_image_unregister(kernel->image, kernel->age);
}

static void forget_inner(struct slot *s)
{
    if (s->has_inner)
        kgi_inner_end(&s->inner_call, &s->inner_kernel);
}

/* With the lock held: this thread's slot; make: a free one, else the oldest. */
static struct slot *slot_of(int thread, bool make)
{
    struct slot *best = &slots[0];

    for (size_t i = 0; i < SLOTS; i++) {
        if (slots[i].thread == thread)
            return &slots[i];
        if (best->thread && (!slots[i].thread || slots[i].order < best->order))
            best = &slots[i];
    }
    if (!make)
        return NULL;
    if (!best->thread)
        atomic_fetch_add_explicit(&kgi_pending, 1, memory_order_relaxed);
    forget_inner(best);
    *best = (struct slot){.thread = thread, .order = ++order};
    return best;
}

static void settle(struct slot *s)
{
    if (s->has_inner || s->has_open)
        return;
    s->thread = 0;
    atomic_fetch_sub_explicit(&kgi_pending, 1, memory_order_relaxed);
}

void kgi_inner_set(const struct kgi_call *call, const struct kgi_kernel *kernel)
{
    int thread = kgi_thread_id();
    struct slot *s;

    kgi_lock(&lock);
    s = slot_of(thread, true);
    forget_inner(s);
    s->has_inner = true;
    s->inner_call = *call;
    s->inner_kernel = kernel ? *kernel : (struct kgi_kernel){0};
    kgi_unlock(&lock);
}

bool kgi_inner_take(struct kgi_call *call, struct kgi_kernel *kernel)
{
    int thread;
    struct slot *s;
    bool had = false;

    if (!atomic_load_explicit(&kgi_pending, memory_order_relaxed))
        return false;
    thread = kgi_thread_id();
    kgi_lock(&lock);
    s = slot_of(thread, false);
    if (s && s->has_inner) {
        had = true;
        *call = s->inner_call;
        *kernel = s->inner_kernel;
        s->has_inner = false;
        settle(s);
    }
    kgi_unlock(&lock);
    return had;
}

/* With the lock held: takes a failed launch nobody asked about out of the slot. */
static bool take_unasked(struct slot *s, struct kgi_failed *out)
{
    if (!s->has_open || s->open.call.use != KGI_USE_LAUNCH)
        return false; /* a query may expect its failure */
    *out = s->open;
    s->has_open = false;
    return true;
}

void kgi_thread_failed(const struct kgi_call *call, const struct kgi_kernel *kernel)
{
    int thread = kgi_thread_id();
    struct kgi_failed failed = {.call = *call}, earlier;
    struct slot *s;
    bool tell;

    if (kernel->name)
        failed.kernel = kgi_name(kernel->name);
    if (kernel->image) {
        kgi_image_locate(kernel->image);
        failed.library = kernel->image->library;
        failed.built_by = kernel->image->built_by;
    }

    kgi_lock(&lock);
    s = slot_of(thread, true);
    if (call->use == KGI_USE_FIND)
        s->sought = (struct kgi_kernel){.image = kernel->image, .name = failed.kernel};
    tell = call->use == KGI_USE_LAUNCH && take_unasked(s, &earlier);
    if (!s->has_open) {
        s->has_open = true;
        s->launched_since = false;
        s->open = failed;
    } else if (s->open.call.use == KGI_USE_FIND && call->use == KGI_USE_LAUNCH) {
        s->open = failed; /* the launch of what was not found: one failure, not two */
    }
    kgi_unlock(&lock);
    if (tell)
        kgi_failure_unchecked(&earlier, false);
}

bool kgi_thread_sought(const struct kgi_kernel *kernel)
{
    int thread;
    struct slot *s;
    bool sought;

    if (!atomic_load_explicit(&kgi_pending, memory_order_relaxed))
        return false;
    thread = kgi_thread_id();
    kgi_lock(&lock);
    s = slot_of(thread, false);
    sought = s && s->sought.name && kernel->name && s->sought.image == kernel->image &&
             strcmp(s->sought.name, kernel->name) == 0;
    if (s)
        s->sought.name = NULL;
    kgi_unlock(&lock);
    return sought;
}

void kgi_thread_launched(void)
{
    int thread = kgi_thread_id();
    struct kgi_failed failed;
    struct slot *s;
    bool tell = false;

    kgi_lock(&lock);
    s = slot_of(thread, false);
    if (s) {
        s->launched_since = true;
        tell = take_unasked(s, &failed);
        settle(s);
    }
    kgi_unlock(&lock);
    if (tell)
        kgi_failure_unchecked(&failed, false);
}

void kgi_thread_checked(const char *api, int result)
{
    int thread = kgi_thread_id();
    struct kgi_failed failed;
    struct slot *s;
    bool tell = false;

    kgi_lock(&lock);
    s = slot_of(thread, false);
    if (s && s->has_open) {
        failed = s->open;
        tell = s->launched_since && failed.call.result == result;
        s->has_open = false;
        settle(s);
    }
    kgi_unlock(&lock);
    if (tell)
        kgi_failure_surfaced(api, &failed);
}

void kgi_thread_each_open(void (*each)(const struct kgi_failed *))
{
    for (size_t i = 0; i < SLOTS; i++) {
        struct kgi_failed failed;
        bool tell;

        kgi_lock(&lock);
        tell = slots[i].thread && slots[i].has_open;
        failed = slots[i].open;
        kgi_unlock(&lock);
        if (tell)
            each(&failed);
    }
}
