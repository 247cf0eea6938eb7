/*
 * How an image gets its code: what it is, which of its PTX is compiled for which GPU, from the
 * cache or by a compiler.
 */
#include "jit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLAIM_WAIT_MS 120000

/* ---- the driver: from its own table, past our doors
 * --------------------------------------------------- */

struct kgi_jit_driver kgi_jit_driver;

bool kgi_jit_find_driver(void)
{
    struct kgi_object lib;

    if (!kgi_object_named("libcuda.so", &lib))
        return false;
    kgi_jit_driver.ModuleLoadDataEx = kgi_object_symbol(&lib, "cuModuleLoadDataEx");
    kgi_jit_driver.LibraryLoadData = kgi_object_symbol(&lib, "cuLibraryLoadData");
    kgi_jit_driver.LibraryUnload = kgi_object_symbol(&lib, "cuLibraryUnload");
    kgi_jit_driver.LibraryGetModule = kgi_object_symbol(&lib, "cuLibraryGetModule");
    kgi_jit_driver.CtxGetDevice = kgi_object_symbol(&lib, "cuCtxGetDevice");
    kgi_jit_driver.CtxGetCurrent = kgi_object_symbol(&lib, "cuCtxGetCurrent");
    kgi_jit_driver.PrimaryGetState = kgi_object_symbol(&lib, "cuDevicePrimaryCtxGetState");
    kgi_jit_driver.PrimaryRetain = kgi_object_symbol(&lib, "cuDevicePrimaryCtxRetain");
    kgi_jit_driver.PrimaryRelease = kgi_object_symbol(&lib, "cuDevicePrimaryCtxRelease_v2");
    kgi_jit_driver.CtxPush = kgi_object_symbol(&lib, "cuCtxPushCurrent_v2");
    kgi_jit_driver.CtxPop = kgi_object_symbol(&lib, "cuCtxPopCurrent_v2");
    return kgi_jit_driver.ModuleLoadDataEx && kgi_jit_driver.CtxGetDevice;
}

/* The GPU of this thread's context; false where there is none. */
bool kgi_jit_current(struct kgi_host *host, int *ordinal)
{
    const struct kgi_machine *m = kgi_machine();
    CUcontext context = NULL;
    CUdevice device = 0;

    /* Asked for the device of no context, the driver says so in its log, which the program may read. */
    if (!m || (kgi_jit_driver.CtxGetCurrent && !kgi_jit_driver.CtxGetCurrent(&context) && !context) ||
        kgi_jit_driver.CtxGetDevice(&device) || device < 0 || device >= m->count)
        return false;
    *ordinal = device;
    *host = m->host;
    host->gpu = m->device[device].gpu;
    return true;
}

/* Another may be destroyed at any time; this one's handle stays what it is. It is the program's as long as it is
 * current, so that it is retained here and released without consequence. */
bool kgi_jit_in_primary(void)
{
    CUcontext current = NULL, primary = NULL;
    CUdevice device;
    unsigned flags;
    int active = 0;

    if (!kgi_jit_driver.CtxGetCurrent || !kgi_jit_driver.PrimaryGetState || !kgi_jit_driver.PrimaryRetain ||
        !kgi_jit_driver.PrimaryRelease || kgi_jit_driver.CtxGetCurrent(&current) || !current ||
        kgi_jit_driver.CtxGetDevice(&device) ||
        kgi_jit_driver.PrimaryGetState(device, &flags, &active) || !active ||
        kgi_jit_driver.PrimaryRetain(&primary, device))
        return false;
    kgi_jit_driver.PrimaryRelease(device);
    return primary == current;
}

/* Where no context is current, the only GPU's primary one, if the program has made it already, is
 * lent to this thread: cudart 13 asks for managed variables before it sets its context. */
bool kgi_jit_borrow(void)
{
    const struct kgi_machine *m = kgi_machine();
    CUcontext context;
    unsigned flags;
    int active = 0;

    if (!m || m->count != 1 || !kgi_jit_driver.PrimaryGetState || !kgi_jit_driver.PrimaryRetain ||
        !kgi_jit_driver.PrimaryRelease || !kgi_jit_driver.CtxPush || !kgi_jit_driver.CtxPop ||
        kgi_jit_driver.PrimaryGetState(0, &flags, &active) || !active ||
        kgi_jit_driver.PrimaryRetain(&context, 0))
        return false;
    if (!kgi_jit_driver.CtxPush(context))
        return true;
    kgi_jit_driver.PrimaryRelease(0);
    return false;
}

void kgi_jit_return(void)
{
    CUcontext context;

    kgi_jit_driver.CtxPop(&context);
    kgi_jit_driver.PrimaryRelease(0);
}

/* The i-th GPU of the machine that differs from those before. */
bool kgi_jit_host_at(size_t i, struct kgi_host *host, int *ordinal)
{
    return kgi_host_at(i, host, ordinal) && *ordinal >= 0;
}

static struct kgi_compiler own_compiler(const struct kgi_host *host)
{
    const struct kgi_machine *m = kgi_machine();
    struct kgi_compiler own = {.kind = KGI_BY_DRIVER, .cuda_version = host->cuda_version};

    if (m)
        strncpy(own.build, m->driver, sizeof own.build - 1);
    return own;
}

/* ---- what is looked at
 * --------------------------------------------------------------------------------------- */

static void name_it(struct kgi_given *g, const void *data, const char *file, const void *caller)
{
    struct kgi_object object;
    uint64_t offset;
    char path[512];

    if (file) {
        g->whose.library = kgi_name(file);
    } else if (kgi_object_at(data, &object) && kgi_object_offset(&object, data, &offset)) {
        if (kgi_object_path(&object, path, sizeof path))
            g->whose.library = kgi_name(path);
    } else if (caller && kgi_object_at(caller, &object) &&
               kgi_object_path(&object, path, sizeof path)) {
        g->whose.built_by = kgi_name(path);
    }
}

bool kgi_given_chosen(struct kgi_given *g)
{
    const struct kgi_options *o = kgi_options();
    const char *path = g->whose.library ? g->whose.library : g->whose.built_by;

    if (o->jit_only[0] && !(path && kgi_globs_match(o->jit_only, path)))
        return false;
    g->forced = o->jit == KGI_JIT_FORCE && o->jit_only[0];
    return true;
}

/* False for what is none of the JIT's business: nothing stays open then. */
bool kgi_given_look(struct kgi_given *g, const void *image, const char *file, const void *caller)
{
    *g = (struct kgi_given){.bytes = file ? kgi_file_read(file, KGI_INFLATE_MOST) : kgi_image_memory(image)};
    if (file && g->bytes.size) {
        g->room = g->bytes.size + 1;
        g->bytes.size = kgi_image_extent(g->bytes); /* the key must not depend on what follows a text's NUL */
    }
    if (g->bytes.size) {
        name_it(g, g->bytes.at, file, caller);
        if (kgi_given_chosen(g))
            return true;
    }
    kgi_given_end(g);
    return false;
}

void kgi_given_end(const struct kgi_given *g)
{
    if (g->room)
        kgi_pages_put((void *)(uintptr_t)g->bytes.at, g->room);
}

void kgi_given_force(const struct kgi_given *g, struct kgi_host *host)
{
    if (g->forced)
        host->jit_forced = "KGUARD_JIT_ONLY";
}

/* What is compiled of it for this host, if anything; PTX that is too new only where a ptxas is
 * named. */
bool kgi_given_source(const struct kgi_given *g, const struct kgi_host *host,
                      const struct kgi_jit_settings *settings, struct kgi_source *out)
{
    struct kgi_verdict verdict;

    return kgi_source_of(g->bytes, host, settings, out, &verdict) == 0 &&
           (!out->too_new || kgi_options()->ptxas[0]);
}

/* Whether a miss may be compiled here: what is not kept gains nothing over the driver, which has a
 * cache of its own, but where the driver alone would do something else. */
bool kgi_given_worth(const struct kgi_given *g, const struct kgi_source *s)
{
    return kgi_cache_default()->user || g->forced || s->too_new;
}

/* ---- one part: from the cache, or compiled
 * ------------------------------------------------------------------ */

struct kgi_bytes kgi_part_image(const struct kgi_part *p)
{
    return p->hit.image.at ? p->hit.image : p->made.cubin;
}

void kgi_part_free(struct kgi_part *p)
{
    kgi_cache_free(&p->hit);
    kgi_pages_put((void *)(uintptr_t)p->made.cubin.at, p->made.room);
    *p = (struct kgi_part){.ordinal = -1};
}

bool kgi_part_find(struct kgi_part *p, const struct kgi_host *host)
{
    struct kgi_compiler own = own_compiler(host);

    return kgi_cache_get(kgi_cache_default(), &p->source.key, host, &own, &p->hit) == 0;
}

/* 60 s, and as long again for each MB of PTX; the slowest seen is 2 s for a MB. */
static int patience_ms(const struct kgi_source *s)
{
    uint64_t ms = 60000 + s->code.size * 60 / 1000;

    return ms < 3600000 ? (int)ms : 3600000;
}

/* Whether there is a compiler that is not known to fail at this. */
static bool can_compile(struct kgi_part *p, const struct kgi_host *host, bool by_ptxas, bool *known)
{
    *known = false;
    p->made = (struct kgi_compiled){.by = own_compiler(host)};
    if (by_ptxas && !kgi_ptxas_version(kgi_options()->ptxas, &p->made.by)) {
        snprintf(p->made.log, sizeof p->made.log, "KGUARD_PTXAS does not run");
        return false;
    }
    *known = kgi_cache_failed(kgi_cache_default(), &p->source.key, &p->made.by, p->made.log,
                              sizeof p->made.log);
    return !*known;
}

/* A cubin of a ptxas newer than the driver may be one that the driver cannot read. */
static bool is_readable(const struct kgi_part *p, const struct kgi_host *host)
{
    struct kgi_code code;
    struct kgi_verdict verdict;
    size_t count = 0;

    if (kgi_image_codes(p->made.cubin, &code, 1, &count, NULL) || count != 1)
        return false;
    kgi_judge(&code, 1, host, &verdict);
    return verdict.answer == KGI_NATIVE;
}

static bool compile(struct kgi_part *p, const struct kgi_whose *w, const struct kgi_host *host,
                    bool by_ptxas)
{
    int stored = 0;
    long child;
    bool known;

    if (can_compile(p, host, by_ptxas, &known)) {
        kgi_tell_compile(w, &p->source, host, p->ordinal,
                         by_ptxas ? kgi_options()->ptxas : "the driver's JIT");
        child = kgi_tell_waiting(&p->source);
        if (by_ptxas)
            kgi_compile_by_ptxas(kgi_options()->ptxas, &p->source, patience_ms(&p->source),
                                 &p->made);
        else
            kgi_compile_by_driver(&p->source, &p->made);
        kgi_tell_waited(child, p->made.cost_ms);
        if (p->made.cubin.at && !is_readable(p, host)) {
            kgi_pages_put((void *)(uintptr_t)p->made.cubin.at, p->made.room);
            p->made.cubin = (struct kgi_bytes){NULL, 0};
            snprintf(p->made.log, sizeof p->made.log, "this driver cannot read what came out");
        }
        if (p->made.cubin.at)
            stored = kgi_cache_put(kgi_cache_default(), &p->source.key, &p->made.by,
                                   p->made.cost_ms, p->made.cubin);
        else if (p->made.failed)
            kgi_cache_put_failure(kgi_cache_default(), &p->source.key, &p->made.by, p->made.log);
    }
    p->kept = p->made.cubin.at && !stored;
    if (p->made.cubin.at)
        kgi_tell_compiled(w, &p->made, stored, host, p->ordinal);
    else
        kgi_tell_failed(w, &p->made, known, host, p->ordinal);
    return p->made.cubin.at != NULL;
}

static bool make(struct kgi_part *p, const struct kgi_whose *w, const struct kgi_host *host)
{
    bool by_ptxas = kgi_options()->ptxas[0], made = compile(p, w, host, by_ptxas);
    struct kgi_host current;
    int ordinal;

    if (!made && by_ptxas && !p->source.too_new && kgi_jit_current(&current, &ordinal))
        made = compile(p, w, host, false);
    if (made)
        atomic_fetch_add_explicit(&kgi_jit_counts.spent_ms, p->made.cost_ms, memory_order_relaxed);
    atomic_fetch_add_explicit(made ? &kgi_jit_counts.compiled : &kgi_jit_counts.failed, 1,
                              memory_order_relaxed);
    return made;
}

/* Another process may be compiling the same: then its result is waited for. */
bool kgi_part_obtain(struct kgi_part *p, const struct kgi_whose *w, const struct kgi_host *host)
{
    struct kgi_compiler own = own_compiler(host);
    struct kgi_cache_claim claim;
    bool held = kgi_cache_claim(kgi_cache_default(), &p->source.key, CLAIM_WAIT_MS, &claim);
    bool have = !kgi_cache_look(kgi_cache_default(), &p->source.key, host, &own, &p->hit);

    if (have)
        kgi_tell_hit(w, p, host);
    else
        have = make(p, w, host);
    if (held)
        kgi_cache_release(&claim);
    return have;
}

bool kgi_part_known(struct kgi_part *p, const struct kgi_host *host)
{
    struct kgi_compiler own = own_compiler(host);

    return !kgi_cache_look(kgi_cache_default(), &p->source.key, host, &own, &p->hit);
}

bool kgi_part_quietly(struct kgi_part *p, const struct kgi_host *host)
{
    struct kgi_compiler own = own_compiler(host);
    struct kgi_host current;
    int ordinal;

    if (kgi_part_known(p, host))
        return true;
    if (!kgi_jit_current(&current, &ordinal))
        return false;
    p->made.by = own;
    kgi_compile_by_driver(&p->source, &p->made);
    if (p->made.cubin.at)
        kgi_cache_put(kgi_cache_default(), &p->source.key, &own, p->made.cost_ms, p->made.cubin);
    return p->made.cubin.at != NULL;
}

bool kgi_part_stays(const struct kgi_source *s, const struct kgi_host *host)
{
    struct kgi_compiler own = own_compiler(host);

    return kgi_cache_touch(kgi_cache_default(), &s->key, &own);
}

void kgi_part_keep(const struct kgi_cache_key *key, struct kgi_bytes image, const struct kgi_host *host)
{
    struct kgi_compiler own = own_compiler(host);

    kgi_cache_put(kgi_cache_default(), key, &own, 1, image); /* cheap: may be lost with the power */
}

/* What was compiled a moment ago lies in the cache as well, as an entry to be refused. */
void kgi_part_refuse(struct kgi_part *p, const struct kgi_host *host, const char *what)
{
    struct kgi_cache_hit *hit = &p->hit, again = {.image = {NULL, 0}};
    struct kgi_compiler own = own_compiler(host);

    if (!hit->image.at) {
        hit = &again;
        if (kgi_cache_look(kgi_cache_default(), &p->source.key, host, &own, &again))
            return;
    }
    kgi_cache_refuse(kgi_cache_default(), &p->source.key, hit, what);
    kgi_cache_free(&again);
}
