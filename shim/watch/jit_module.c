/*
 * The module of a library whose kernels are compiled one by one, and that of a library which stands for a module
 * (jit.c).
 *
 * A runtime of CUDA 12 asks a library for its module first, and the module for kernels. So the program gets
 * the module of the hollow library that its handle stands for (jit_kernel.c), and what it asks of that is
 * asked of the module that has it: for a kernel on its own its own library's, for everything else the whole's.
 * A module belongs to the context in which it was asked for; so does the one that answers. That context is made
 * current for it, so it must be there: a GPU's primary one is, for as long as the process. Of others, which
 * may be destroyed without a word to us (and pushed then, which the driver does not refuse: recorded, memory was
 * corrupted), the program gets the whole's module.
 *
 * A primary context may be reset, and its modules go with that: another module may lie at the address of one that
 * was given out. So a module is asked for once more before others answer for it.
 */
#include "jit.h"

#include <errno.h>

/* A module that was given out. Memory is for ever, and used again once the library is gone. */
struct stand_in {
    struct stand_in *next;
    const struct kgi_jitted *owner; /* NULL: free */
    CUlibrary library;              /* the program's handle, or ours for a module that it loaded */
    CUcontext context;              /* of which a library has one module */
    CUmodule module;
    struct answer *answers;
};

/* A module that has answered for one, in the same context: of a kernel's own library, or of the whole's. */
struct answer {
    struct answer *next;
    struct stand_in *of;
    CUlibrary library;
    CUmodule module;
};

static struct kgi_lock lock;
static struct kgi_map by_module, by_answer; /* what was given out; what answers for it */
static struct stand_in *all;
static struct answer *unused_answers;

static struct stand_in *stand_in_of(CUmodule module)
{
    return (struct stand_in *)(uintptr_t)kgi_map_get(&by_module, (uintptr_t)module);
}

static struct answer *answer_of(CUmodule module)
{
    return (struct answer *)(uintptr_t)kgi_map_get(&by_answer, (uintptr_t)module);
}

/* With the lock held, as record_for. Of several records of one address one counts, the last. */
static void forget(CUmodule module, const struct stand_in *s)
{
    if (stand_in_of(module) == s)
        kgi_map_set(&by_module, (uintptr_t)module, 0);
}

/* Whether what is found in them is of it. */
static void let_answer(const struct stand_in *s, bool may)
{
    for (struct answer *a = s->answers; a; a = a->next) {
        if (!may && answer_of(a->module) == a)
            kgi_map_set(&by_answer, (uintptr_t)a->module, 0);
        if (may && !answer_of(a->module)) /* else it is another's by now */
            kgi_map_set(&by_answer, (uintptr_t)a->module, (uintptr_t)a);
    }
}

/* Of a record that is used for another context, or whose library is gone. */
static void forget_answers(struct stand_in *s)
{
    struct answer **last = &s->answers;

    let_answer(s, false);
    while (*last)
        last = &(*last)->next;
    *last = unused_answers;
    unused_answers = s->answers;
    s->answers = NULL;
}

static struct stand_in *record_for(const struct kgi_jitted *owner, CUcontext context)
{
    struct stand_in *s = all, *unused = NULL;

    for (; s && !(s->owner == owner && s->context == context); s = s->next)
        if (!s->owner)
            unused = s;
    if (!s)
        s = unused;
    if (!s && (s = kgi_alloc(sizeof *s))) {
        s->next = all;
        all = s;
    }
    return s;
}

/* A module that went with its context, and what was found in it. */
static void drop_handle(CUmodule module, CUlibrary library)
{
    struct kgi_kernel known;

    if (kgi_handle_root(module) == library && kgi_handle_get(module, &known))
        kgi_handle_drop(module, &known);
}

/* Other threads may be about to keep the same, and some of them to look for it: where it is, it stays. */
static bool keep(const struct kgi_jitted *owner, CUlibrary library, CUcontext context, CUmodule module)
{
    CUmodule before = NULL;
    struct stand_in *s;
    bool kept;

    kgi_lock(&lock);
    s = record_for(owner, context);
    kept = s && s->owner && s->module == module && stand_in_of(module) == s;
    if (s && !kept) {
        if (s->owner)
            before = s->module; /* an earlier context was at this address */
        forget(s->module, s);
        forget_answers(s);
        s->library = library;
        s->context = context;
        s->module = module;
        s->owner = owner;
        kept = kgi_map_set(&by_module, (uintptr_t)module, (uintptr_t)s) == 0;
        if (!kept)
            s->owner = NULL;
    }
    kgi_unlock(&lock);
    if (before && before != module)
        drop_handle(before, library);
    return kept;
}

static void is_another(CUmodule module, const struct stand_in *s)
{
    kgi_lock(&lock);
    forget(module, s);
    kgi_unlock(&lock);
}

static void is_no_answer(CUmodule module)
{
    kgi_lock(&lock);
    kgi_map_set(&by_answer, (uintptr_t)module, 0);
    kgi_unlock(&lock);
}

/* What is found in it is of the module that was given out. Without memory that is not known of it. */
static void keep_answer(struct stand_in *s, CUmodule module, CUlibrary library)
{
    struct answer *a = answer_of(module);

    if (a && a->of == s && a->library == library)
        return;
    kgi_lock(&lock);
    a = unused_answers;
    if (a)
        unused_answers = a->next;
    else
        a = kgi_alloc(sizeof *a);
    if (a) {
        *a = (struct answer){s->answers, s, library, module};
        s->answers = a;
        kgi_map_set(&by_answer, (uintptr_t)module, (uintptr_t)a);
    }
    kgi_unlock(&lock);
}

void kgi_jit_module_met(CUmodule module)
{
    const struct stand_in *s = stand_in_of(module);

    if (s)
        is_another(module, s);
    if (answer_of(module))
        is_no_answer(module);
}

bool kgi_jit_module_stands(CUmodule module, CUlibrary library)
{
    const struct kgi_jitted *owner = kgi_jit_hollow(library);
    const struct stand_in *s = stand_in_of(module);
    CUcontext context = NULL;

    if (!owner || kgi_jit_driver.CtxGetCurrent(&context) || !context)
        return false;
    return (s && s->owner == owner && s->context == context) ||
           (kgi_jit_in_primary() && keep(owner, library, context, module));
}

CUlibrary kgi_jit_module_library(CUmodule module)
{
    const struct stand_in *s = stand_in_of(module);

    return s ? s->library : NULL;
}

void kgi_jit_module_given(CUmodule *module, CUlibrary library, CUlibrary used)
{
    CUmodule whole;
    int saved = errno;

    if (used != library || !kgi_jit_hollow(library))
        kgi_jit_module_met(*module);
    else if (!kgi_jit_module_stands(*module, library) &&
             !kgi_jit_driver.LibraryGetModule(&whole, kgi_jit_used(library)))
        *module = whole;
    errno = saved;
}

void kgi_jit_modules_lead(const struct kgi_jitted *owner, bool somewhere)
{
    kgi_lock(&lock);
    for (struct stand_in *s = all; s; s = s->next) {
        if (s->owner != owner)
            continue;
        let_answer(s, somewhere);
        if (!somewhere)
            forget(s->module, s);
        else if (!stand_in_of(s->module)) /* else it has become another's */
            kgi_map_set(&by_module, (uintptr_t)s->module, (uintptr_t)s);
    }
    kgi_unlock(&lock);
}

void kgi_jit_modules_end(const struct kgi_jitted *owner)
{
    kgi_lock(&lock);
    for (struct stand_in *s = all; s; s = s->next) {
        if (s->owner != owner)
            continue;
        forget_answers(s);
        s->owner = NULL;
    }
    kgi_unlock(&lock);
}

/* The module of the library that answers; another answers when an image of ours turns out to be bad. */
static CUresult module_in(CUmodule *module, CUlibrary library, const char *kernel, CUlibrary *used)
{
    CUresult result;

    *used = kernel ? kgi_jit_kernel(library, kernel) : kgi_jit_used(library);
    do
        result = kgi_jit_driver.LibraryGetModule(module, *used);
    while (result && kgi_jit_failed(library, used, (int)result));
    return result;
}

/* In its context: whether it still is what was given out, or another is at its address. */
static CUresult is_still(const struct stand_in *s, bool *still)
{
    CUmodule module = s->module, now;
    CUresult result = kgi_jit_driver.LibraryGetModule(&now, s->library);

    *still = !result && now == module;
    if (!result && !*still)
        is_another(module, s);
    return result;
}

/* In the module's context. */
static CUresult answer_for(struct stand_in *s, CUmodule *module, const char *kernel)
{
    struct kgi_kernel known;
    CUlibrary used;
    CUmodule found;
    bool still;
    CUresult result = is_still(s, &still);

    if (result || !still)
        return result;
    result = module_in(&found, s->library, kernel, &used);
    if (result)
        return result;
    keep_answer(s, found, used);
    if (kgi_handle_get(*module, &known)) /* what is found in it later is of this image */
        kgi_handle_set(found, known.image, NULL, *module);
    *module = found;
    return CUDA_SUCCESS;
}

/* Makes its context current, where it is not; a primary one (kgi_jit_in_primary), which can be pushed at any
 * time. */
static bool enter(const struct stand_in *s, bool *pushed)
{
    CUcontext context = NULL;

    *pushed = kgi_jit_driver.CtxGetCurrent(&context) || context != s->context;
    return !*pushed || !kgi_jit_driver.CtxPush(s->context);
}

static void leave(bool pushed)
{
    CUcontext context;

    if (pushed)
        kgi_jit_driver.CtxPop(&context);
}

CUresult kgi_jit_module_for(CUmodule *module, const char *kernel)
{
    struct stand_in *s = stand_in_of(*module);
    CUresult result = CUDA_SUCCESS;
    int saved = errno;
    bool pushed;

    if (s && enter(s, &pushed)) { /* else the driver knows what to say */
        result = answer_for(s, module, kernel);
        leave(pushed);
    }
    errno = saved;
    return result;
}

/* The answer is of the current context: so the function must be. */
static bool is_of_current(CUmodule module, CUlibrary library)
{
    CUcontext context = NULL;
    CUmodule current;

    return !kgi_jit_driver.CtxGetCurrent(&context) && context &&
           !kgi_jit_driver.LibraryGetModule(&current, library) && current == module;
}

static void module_of(CUmodule *module, CUlibrary library, const struct kgi_kernel *kernel)
{
    CUlibrary beside = kgi_jit_beside(library, kernel->name), owner;
    CUmodule whole;

    if (!beside || !is_of_current(*module, beside))
        return;
    owner = kgi_jit_module_owner(library);
    if (kgi_jit_driver.LibraryGetModule(&whole, owner))
        return;
    kgi_jit_module_given(&whole, library, owner);
    kgi_handle_set(whole, kernel->image, NULL, library);
    *module = whole;
}

/* The one that was given out, if this answers for it; what it was in a context that is gone, another may lie at its
 * address. */
static bool answers(CUmodule module, CUmodule *given)
{
    struct answer a = {.of = NULL};
    const struct answer *found;
    CUmodule now = NULL;
    CUresult result;
    bool pushed, still = true;

    kgi_lock(&lock);
    found = answer_of(module);
    if (found)
        a = *found;
    kgi_unlock(&lock);
    if (!a.of || !enter(a.of, &pushed))
        return false;
    *given = a.of->module;
    result = kgi_jit_driver.LibraryGetModule(&now, a.library);
    if (!result && now == module)
        is_still(a.of, &still);
    else if (!result)
        is_no_answer(module);
    leave(pushed);
    return result || (now == module && still);
}

void kgi_jit_module_of(CUmodule *module, CUfunction function)
{
    struct kgi_kernel kernel;
    CUmodule given;
    int saved = errno;

    if (answers(*module, &given))
        *module = given;
    else if (kgi_handle_get(function, &kernel))
        module_of(module, (CUlibrary)(uintptr_t)kgi_handle_root(function), &kernel);
    errno = saved;
}
