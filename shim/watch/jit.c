/*
 * KGUARD_JIT: PTX compiled once and kept.
 *
 * An image in the cache is handed to the driver in place of the original, at the load. What is not
 * there is compiled where the driver would compile it: at the load when a context is current
 * (recorded: the JIT's errors are in the driver's log during cuLibraryLoadData, which returns 0, lazy
 * and eager alike), and then handed over likewise; without a context at the first use. Then the
 * original is loaded already: what came out is loaded as a second library, and every later call on
 * the first is answered from that one.
 *
 * So a library has one handle, which the program knows, and sometimes a second that answers for it.
 * The same serves when an image of ours fails where the driver takes a closer look, which with
 * cuLibraryLoadData is not at the load (recorded: 0 there, 209 at cuLibraryGetKernel): it is refused
 * in the cache, and the original answers. A program never sees the result of an image of ours that
 * failed.
 *
 * Only the program's own context is compiled in; without one the driver is left alone. No lock is
 * held across a call: the first thread that uses a library works, others that want the same library
 * wait until it is settled, since kernels from one and variables from the other image would not meet.
 */
#include "watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../jit/jit.h"

#define CLAIM_WAIT_MS 120000
#define PARTS_MOST 4 /* GPUs that need different code, in one machine */

_Atomic bool kgi_jit_on;

/* One image of ours that the driver was given. */
struct part {
    struct kgi_source source;
    struct kgi_cache_hit hit;    /* from the cache, */
    struct kgi_compiled made;    /* or compiled here */
    int ordinal;
};

/* Of a library: not used yet, settled; above 0 the process whose thread is at work. A child forked
 * meanwhile must not wait for a thread that it does not have. */
enum { UNUSED = 0, SETTLED = -1 };

struct kgi_jitted {
    CUlibrary handle, second;
    CUlibrary *slot;             /* where the program's handle will stand after the load */
    _Atomic int state;
    _Atomic bool redirected;     /* second answers */
    bool ours;                   /* what answers is an image of ours */
    bool copied, mapped;
    struct kgi_bytes original;   /* lies in a loaded object, or is a copy */
    struct kgi_bytes given;      /* a fatbin made for GPUs that differ; else empty */
    struct kgi_jit_settings settings;
    const char *library;
    const char *built_by;
    struct part parts[PARTS_MOST];
    size_t part_count;
};

static struct kgi_lock lock;
static struct kgi_map by_library, by_second;

static struct {
    _Atomic uint32_t hits, registered, compiled, failed, refused;
    _Atomic uint64_t spent_ms, saved_ms;
} counts;

/* ---- the driver: from its own table, past our doors --------------------------------------------------- */

static struct driver {
    CUresult (*ModuleLoadDataEx)(CUmodule *, const void *, unsigned, CUjit_option *, void **);
    CUresult (*LibraryLoadData)(CUlibrary *, const void *, CUjit_option *, void **, unsigned,
                                CUlibraryOption *, void **, unsigned);
    CUresult (*LibraryUnload)(CUlibrary);
    CUresult (*CtxGetDevice)(CUdevice *);
    CUresult (*PrimaryGetState)(CUdevice, unsigned *, int *);
    CUresult (*PrimaryRetain)(CUcontext *, CUdevice);
    CUresult (*PrimaryRelease)(CUdevice);
    CUresult (*CtxPush)(CUcontext);
    CUresult (*CtxPop)(CUcontext *);
} driver;

static bool find_driver(void)
{
    struct kgi_object lib;

    if (!kgi_object_named("libcuda.so", &lib))
        return false;
    driver.ModuleLoadDataEx = kgi_object_symbol(&lib, "cuModuleLoadDataEx");
    driver.LibraryLoadData = kgi_object_symbol(&lib, "cuLibraryLoadData");
    driver.LibraryUnload = kgi_object_symbol(&lib, "cuLibraryUnload");
    driver.CtxGetDevice = kgi_object_symbol(&lib, "cuCtxGetDevice");
    driver.PrimaryGetState = kgi_object_symbol(&lib, "cuDevicePrimaryCtxGetState");
    driver.PrimaryRetain = kgi_object_symbol(&lib, "cuDevicePrimaryCtxRetain");
    driver.PrimaryRelease = kgi_object_symbol(&lib, "cuDevicePrimaryCtxRelease_v2");
    driver.CtxPush = kgi_object_symbol(&lib, "cuCtxPushCurrent_v2");
    driver.CtxPop = kgi_object_symbol(&lib, "cuCtxPopCurrent_v2");
    return driver.ModuleLoadDataEx && driver.CtxGetDevice;
}

void kgi_jit_start(void)
{
    const struct kgi_options *o = kgi_options();

    if (o->jit == KGI_JIT_OFF || o->off || !find_driver())
        return;
    if (o->jit == KGI_JIT_FORCE && !o->jit_only[0])
        kgi_log(KGI_WARN, "KGUARD_JIT=force does nothing more than auto without KGUARD_JIT_ONLY: it "
                          "would pass over the code of every library");
    atomic_store_explicit(&kgi_jit_on, true, memory_order_release);
    kgi_machine(); /* from now on it is known without a driver call */
    if (atomic_load(&counts.registered))
        kgi_log(KGI_INFO, "JIT: %u registered images of a CUDA 11 runtime are from the cache",
                atomic_load(&counts.registered));
}

/* The GPU of this thread's context; false where there is none. */
static bool current_host(struct kgi_host *host, int *ordinal)
{
    const struct kgi_machine *m = kgi_machine();
    CUdevice device = 0;

    if (!m || driver.CtxGetDevice(&device) || device < 0 || device >= m->count)
        return false;
    *ordinal = device;
    *host = m->host;
    host->gpu = m->device[device].gpu;
    return true;
}

/* Where no context is current, the only GPU's primary one, if the program has made it already, is lent to
 * this thread: cudart 13 asks for managed variables before it sets its context. */
static bool borrow_context(void)
{
    const struct kgi_machine *m = kgi_machine();
    CUcontext context;
    unsigned flags;
    int active = 0;

    if (!m || m->count != 1 || !driver.PrimaryGetState || !driver.PrimaryRetain ||
        !driver.PrimaryRelease || !driver.CtxPush || !driver.CtxPop ||
        driver.PrimaryGetState(0, &flags, &active) || !active ||
        driver.PrimaryRetain(&context, 0))
        return false;
    if (!driver.CtxPush(context))
        return true;
    driver.PrimaryRelease(0);
    return false;
}

static void return_context(void)
{
    CUcontext context;

    driver.CtxPop(&context);
    driver.PrimaryRelease(0);
}

/* The i-th GPU of the machine that differs from those before. */
static bool machine_host(size_t i, struct kgi_host *host, int *ordinal)
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

/* ---- what is said ---------------------------------------------------------------------------------------- */

/* Whose image: the library's file, or who built it. */
struct whose {
    const char *library, *built_by;
};

static const char *short_name(const struct whose *w)
{
    const char *path = w->library ? w->library : w->built_by ? w->built_by : "the program";
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static void tell(const char *action, int reason, const struct whose *w, const struct kgi_host *host,
                 int ordinal, const char *message)
{
    struct kgi_diagnosis d = {.event = KGI_EVENT_JIT,
                              .reason = reason,
                              .action = action,
                              .library = w->library,
                              .built_by = w->built_by,
                              .host = *host,
                              .ordinal = ordinal,
                              .message = message};

    kgi_tell(&d);
}

static void add_size(struct kgi_text *t, uint64_t size)
{
    if (size < 10000)
        kgi_text_add(t, "%llu bytes", (unsigned long long)size);
    else if (size < 10000000)
        kgi_text_add(t, "%llu KB", (unsigned long long)(size / 1000));
    else
        kgi_text_add(t, "%llu MB", (unsigned long long)(size / 1000000));
}

static void add_name(struct kgi_text *t, const struct whose *w)
{
    kgi_text_add(t, "%s", w->library ? "" : "PTX built in memory by ");
    kgi_text_add_safe(t, short_name(w));
}

/* Of each kind one line for a library at warn; the others at info. */
enum line { LINE_COMPILE = 1, LINE_FAILED = 2, LINE_REFUSED = 4, LINE_CANNOT = 8 };

static bool is_worth_a_line(const struct whose *w, enum line line)
{
    static struct kgi_map told;
    uint64_t key = (uintptr_t)(w->library ? w->library : w->built_by), lines;

    if (!kgi_log_enabled(KGI_WARN))
        return false;
    if (!key || kgi_log_enabled(KGI_INFO))
        return true;
    kgi_lock(&lock);
    lines = kgi_map_get(&told, key);
    kgi_map_set(&told, key, lines | line);
    kgi_unlock(&lock);
    return !(lines & line);
}

static void add_place(struct kgi_text *t)
{
    const char *user = kgi_cache_default()->user, *risk = user ? kgi_place_risk(user) : NULL;

    if (user) {
        kgi_text_add(t, "kept in ");
        kgi_text_add_safe(t, user);
    } else {
        kgi_text_add(t, "not kept, since there is no place for a cache; set KGUARD_CACHE_DIR");
    }
    if (risk)
        kgi_text_add(t, " (%s)", risk);
}

static void add_variables(struct kgi_text *t)
{
    const char *off = getenv("CUDA_CACHE_DISABLE");
    if (off && *off == '1')
        kgi_text_add(t, "; CUDA_CACHE_DISABLE turns off the driver's cache, not this one");
}

static void announce(const struct whose *w, const struct kgi_source *s, const struct kgi_host *host,
                     int ordinal, const char *why, const char *by)
{
    char ptx[24], sm[24];
    KGI_TEXT(t, 1024);

    if (!is_worth_a_line(w, LINE_COMPILE))
        return;
    kgi_target_name(s->code.target, "compute_", ptx, sizeof ptx);
    kgi_target_name(s->target, "sm_", sm, sizeof sm);
    add_name(&t, w);
    kgi_text_add(&t, " %s %s; its %s PTX (", why, sm, ptx);
    add_size(&t, s->code.size);
    kgi_text_add(&t, ") is now compiled by ");
    kgi_text_add_safe(&t, by);
    kgi_text_add(&t, ", which can take minutes, once; ");
    add_place(&t);
    add_variables(&t);
    tell("compile", KG201_WILL_JIT, w, host, ordinal, t.at);
}

/* What a compiler said, on one line. */
static void add_words(struct kgi_text *t, const char *log)
{
    char line[256];
    size_t n = 0;

    for (; *log && n < sizeof line - 1; log++)
        if (*log != '\n')
            line[n++] = *log;
        else if (log[1])
            line[n++] = ' ';
    line[n] = 0;
    kgi_text_add_safe(t, line);
}

static void tell_failed(const struct whose *w, const struct kgi_compiled *c, bool known,
                        const struct kgi_host *host, int ordinal)
{
    bool invalid = !known && c->result == CUDA_ERROR_INVALID_PTX;
    KGI_TEXT(t, 1024);

    if (!is_worth_a_line(w, LINE_FAILED))
        return;
    add_name(&t, w);
    if (known)
        kgi_text_add(&t, ": its PTX is left to the driver; not long ago: ");
    else if (c->result)
        kgi_text_add(&t, ": compiling its PTX failed (%d); it is left to the driver%s", c->result,
                     c->log[0] ? ": " : "");
    else
        kgi_text_add(&t, ": its PTX is left to the driver: ");
    add_words(&t, c->log[0] || !known ? c->log : "compiling it failed");
    tell("failed", invalid ? KG107_BAD_PTX : KG201_WILL_JIT, w, host, ordinal, t.at);
}

static void tell_compiled(const struct whose *w, const struct kgi_compiled *c, int stored,
                          const struct kgi_host *host, int ordinal)
{
    KGI_TEXT(t, 512);

    if (!(stored ? is_worth_a_line(w, LINE_FAILED) : kgi_log_enabled(KGI_INFO)))
        return;
    add_name(&t, w);
    kgi_text_add(&t, ": compiled in %u.%u s to ", c->cost_ms / 1000, c->cost_ms / 100 % 10);
    add_size(&t, c->cubin.size);
    if (stored)
        kgi_text_add(&t, ", which could not be kept (error %d): the next process compiles it again",
                     -stored);
    tell("compiled", stored ? KG202_CACHE_LOST : 0, w, host, ordinal, t.at);
}

static void tell_hit(const struct whose *w, const struct part *p, const struct kgi_host *host)
{
    char sm[24];
    KGI_TEXT(t, 512);

    atomic_fetch_add_explicit(&counts.hits, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counts.saved_ms, p->hit.cost_ms, memory_order_relaxed);
    if (!kgi_log_enabled(KGI_INFO))
        return;
    kgi_target_name(p->source.target, "sm_", sm, sizeof sm);
    add_name(&t, w);
    kgi_text_add(&t, ": %s code from the cache (", sm);
    add_size(&t, p->hit.image.size);
    kgi_text_add(&t, ", by %s %s)", p->hit.by.kind == KGI_BY_PTXAS ? "ptxas" : "the driver's JIT",
                 p->hit.by.build);
    tell("hit", 0, w, host, p->ordinal, t.at);
}

static void tell_refused(const struct whose *w, int result, const struct kgi_host *host)
{
    KGI_TEXT(t, 512);

    atomic_fetch_add_explicit(&counts.refused, 1, memory_order_relaxed);
    if (!is_worth_a_line(w, LINE_REFUSED))
        return;
    add_name(&t, w);
    kgi_text_add(&t, ": the driver refused the code from the cache (%d); that is put aside, and the "
                     "original is used", result);
    tell("refused", KG201_WILL_JIT, w, host, -1, t.at);
}

static void tell_note(const struct whose *w, const char *words)
{
    struct kgi_host none = {0};
    KGI_TEXT(t, 256);

    if (!kgi_log_enabled(KGI_DEBUG))
        return;
    add_name(&t, w);
    kgi_text_add(&t, ": %s", words);
    tell("note", 0, w, &none, -1, t.at);
}

void kgi_jit_finish(void)
{
    uint32_t compiled = atomic_load(&counts.compiled), hits = atomic_load(&counts.hits);
    uint64_t spent = atomic_load(&counts.spent_ms), saved = atomic_load(&counts.saved_ms);
    struct kgi_diagnosis d = {.event = KGI_EVENT_JIT, .action = "summary", .ordinal = -1};
    KGI_TEXT(t, 256);

    if (!atomic_load(&kgi_jit_on))
        return;
    kgi_cache_flush(kgi_cache_default());
    if (!kgi_log_enabled(KGI_INFO))
        return;
    kgi_text_add(&t, "JIT: %u images from the cache, %llu.%llu s saved; %u compiled in %llu.%llu s; %u "
                     "failed, %u refused by the driver",
                 hits, (unsigned long long)saved / 1000, (unsigned long long)saved / 100 % 10,
                 compiled, (unsigned long long)spent / 1000, (unsigned long long)spent / 100 % 10,
                 atomic_load(&counts.failed), atomic_load(&counts.refused));
    d.message = t.at;
    kgi_tell(&d);
}

/* ---- one part: from the cache, or compiled ------------------------------------------------------------------ */

static struct kgi_bytes part_image(const struct part *p)
{
    return p->hit.image.at ? p->hit.image : p->made.cubin;
}

static void free_part(struct part *p)
{
    kgi_cache_free(&p->hit);
    kgi_pages_put((void *)(uintptr_t)p->made.cubin.at, p->made.room);
    *p = (struct part){.ordinal = -1};
}

static bool from_cache(struct part *p, const struct kgi_host *host)
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
static bool can_compile(struct part *p, const struct kgi_host *host, bool by_ptxas, bool *known)
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
static bool is_readable(const struct part *p, const struct kgi_host *host)
{
    struct kgi_code code;
    struct kgi_verdict verdict;
    size_t count = 0;

    if (kgi_image_codes(p->made.cubin, &code, 1, &count, NULL) || count != 1)
        return false;
    kgi_judge(&code, 1, host, &verdict);
    return verdict.answer == KGI_NATIVE;
}

static bool compile(struct part *p, const struct whose *w, const struct kgi_host *host,
                    const char *why, bool by_ptxas)
{
    int stored = 0;
    bool known;

    if (can_compile(p, host, by_ptxas, &known)) {
        announce(w, &p->source, host, p->ordinal, why,
                 by_ptxas ? kgi_options()->ptxas : "the driver's JIT");
        if (by_ptxas)
            kgi_compile_by_ptxas(kgi_options()->ptxas, &p->source, patience_ms(&p->source),
                                 &p->made);
        else
            kgi_compile_by_driver(&p->source, &p->made);
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
    if (p->made.cubin.at)
        tell_compiled(w, &p->made, stored, host, p->ordinal);
    else
        tell_failed(w, &p->made, known, host, p->ordinal);
    return p->made.cubin.at != NULL;
}

static bool make(struct part *p, const struct whose *w, const struct kgi_host *host,
                 const char *why)
{
    bool by_ptxas = kgi_options()->ptxas[0], made = compile(p, w, host, why, by_ptxas);

    if (!made && by_ptxas && !p->source.too_new)
        made = compile(p, w, host, why, false);
    if (made)
        atomic_fetch_add_explicit(&counts.spent_ms, p->made.cost_ms, memory_order_relaxed);
    atomic_fetch_add_explicit(made ? &counts.compiled : &counts.failed, 1, memory_order_relaxed);
    return made;
}

/* Another process may be compiling the same: then its result is waited for. */
static bool obtain(struct part *p, const struct whose *w, const struct kgi_host *host,
                   const char *why)
{
    struct kgi_cache_claim claim;
    bool held = kgi_cache_claim(kgi_cache_default(), &p->source.key, CLAIM_WAIT_MS, &claim);
    bool have = from_cache(p, host);

    if (have)
        tell_hit(w, p, host);
    else
        have = make(p, w, host, why);
    if (held)
        kgi_cache_release(&claim);
    return have;
}

/* What was compiled a moment ago lies in the cache as well, as an entry to be refused. */
static void refuse(struct part *p, const struct kgi_host *host, const char *what)
{
    struct kgi_cache_hit *hit = &p->hit, again = {.image = {NULL, 0}};
    struct kgi_compiler own = own_compiler(host);

    if (!hit->image.at) {
        hit = &again;
        if (kgi_cache_get(kgi_cache_default(), &p->source.key, host, &own, &again))
            return;
    }
    kgi_cache_refuse(kgi_cache_default(), &p->source.key, hit, what);
    kgi_cache_free(&again);
}

/* ---- what is looked at --------------------------------------------------------------------------------------- */

static const char *const why_not_native = "has no SASS for";
static const char *const why_too_new = "holds PTX newer than the driver reads, and no SASS for";
static const char *const why_forced = "is named by KGUARD_JIT_ONLY, so its SASS is passed over for";

static const char *const why_variable = "is to pass over its SASS, by CUDA_FORCE_PTX_JIT, for";

static const char *why_of(const struct kgi_source *s, const struct kgi_host *host)
{
    const struct kgi_options *o = kgi_options();

    if (s->too_new || !host->jit_forced)
        return s->too_new ? why_too_new : why_not_native;
    return o->jit == KGI_JIT_FORCE && o->jit_only[0] ? why_forced : why_variable;
}

/* An image as it was handed over. */
struct given {
    struct kgi_bytes bytes;
    struct whose whose;
    bool lasting, mapped; /* stays where it is; a file that is mapped for this */
    bool forced;
};

static void name_it(struct given *g, const void *data, const char *file, const void *caller)
{
    struct kgi_object object;
    char path[512];

    if (file) {
        g->whose.library = kgi_name(file);
    } else if (kgi_object_at(data, &object)) {
        g->lasting = true;
        if (kgi_object_path(&object, path, sizeof path))
            g->whose.library = kgi_name(path);
    } else if (caller && kgi_object_at(caller, &object) &&
               kgi_object_path(&object, path, sizeof path)) {
        g->whose.built_by = kgi_name(path);
    }
}

static bool is_chosen(struct given *g)
{
    const struct kgi_options *o = kgi_options();
    const char *path = g->whose.library ? g->whose.library : g->whose.built_by;

    if (o->jit_only[0] && !(path && kgi_globs_match(o->jit_only, path)))
        return false;
    g->forced = o->jit == KGI_JIT_FORCE && o->jit_only[0];
    return true;
}

/* False for what is none of the JIT's business: nothing stays open then. */
static bool look_at(struct given *g, const void *image, const char *file, const void *caller)
{
    *g = (struct given){.mapped = file != NULL};
    if (file)
        g->bytes = kgi_file_map(file, KGI_INFLATE_MOST);
    else
        g->bytes = kgi_image_memory(image);
    if (!g->bytes.size)
        return false;
    name_it(g, g->bytes.at, file, caller);
    if (is_chosen(g))
        return true;
    if (file)
        kgi_file_unmap(g->bytes);
    return false;
}

static void look_away(const struct given *g)
{
    if (g->mapped)
        kgi_file_unmap(g->bytes);
}

static void add_force(const struct given *g, struct kgi_host *host)
{
    host->jit_forced |= g->forced;
}

/* What is compiled of it for this host, if anything; PTX that is too new only where a ptxas is named. */
static bool source_of(const struct given *g, const struct kgi_host *host,
                      const struct kgi_jit_settings *settings, struct kgi_source *out)
{
    struct kgi_verdict verdict;

    return kgi_source_of(g->bytes, host, settings, out, &verdict) == 0 &&
           (!out->too_new || kgi_options()->ptxas[0]);
}

/* Whether a miss may be compiled here: what is not kept gains nothing over the driver, which has a
 * cache of its own, but where the driver alone would do something else. */
static bool is_worth_it(const struct given *g, const struct kgi_source *s)
{
    return kgi_cache_default()->user || g->forced || s->too_new;
}

/* ---- modules: at once --------------------------------------------------------------------------------------- */

bool kgi_jit_module(CUmodule *module, const void *image, const char *file, unsigned count,
                    CUjit_option *options, void **values, const void *caller)
{
    struct part *p = kgi_pages_get(sizeof *p);
    struct kgi_jit_settings settings;
    struct kgi_host host;
    struct given g;
    int saved = errno, result;
    bool done = false;

    if (p && module && current_host(&host, &p->ordinal) &&
        kgi_jit_settings(options, values, count, &settings) && look_at(&g, image, file, caller)) {
        add_force(&g, &host);
        /* A wrapper is refused here (200, recorded): only libraries are loaded from one. */
        if ((file || g.bytes.at == image) && source_of(&g, &host, &settings, &p->source)) {
            if ((done = from_cache(p, &host)))
                tell_hit(&g.whose, p, &host);
            else if (is_worth_it(&g, &p->source))
                done = obtain(p, &g.whose, &host, why_of(&p->source, &host));
        }
        if (done) {
            result = (int)driver.ModuleLoadDataEx(module, part_image(p).at, count, options, values);
            done = !result;
            if (!done) {
                refuse(p, &host, "the driver did not take it");
                tell_refused(&g.whose, result, &host);
            }
        }
        free_part(p);
        look_away(&g);
    }
    kgi_pages_put(p, sizeof *p);
    errno = saved;
    return done;
}

/* ---- libraries: a hit at the load ----------------------------------------------------------------------------- */

static void free_record(struct kgi_jitted *j)
{
    for (size_t i = 0; i < j->part_count; i++)
        free_part(&j->parts[i]);
    kgi_pages_put((void *)(uintptr_t)j->given.at, j->given.size);
    if (j->copied)
        kgi_pages_put((void *)(uintptr_t)j->original.at, j->original.size + 1);
    else if (j->mapped)
        kgi_file_unmap(j->original);
    kgi_pages_put(j, sizeof *j);
}

/* What the driver may be given later must outlive the call. */
static bool keep_original(struct kgi_jitted *j, const struct given *g)
{
    uint8_t *copy;

    j->original = g->bytes;
    j->mapped = g->mapped;
    if (g->lasting || g->mapped)
        return true;
    copy = kgi_pages_get(g->bytes.size + 1); /* a text ends in a NUL */
    if (!copy)
        return false;
    memcpy(copy, g->bytes.at, g->bytes.size);
    j->original.at = copy;
    j->copied = true;
    return true;
}

static struct kgi_jitted *new_record(const struct given *g, const struct kgi_jit_settings *settings)
{
    struct kgi_jitted *j = kgi_pages_get(sizeof *j);

    if (!j)
        return NULL;
    j->settings = *settings;
    j->library = g->whose.library;
    j->built_by = g->whose.built_by;
    if (keep_original(j, g))
        return j;
    kgi_pages_put(j, sizeof *j);
    return NULL;
}

/* Looks for each kind of GPU; what is missing for the current one is compiled. Returns whether there
 * is anything left to be compiled at the first use. */
static bool search(struct kgi_jitted *j, const struct given *g, size_t *kinds)
{
    struct kgi_host host, now;
    int ordinal, current;
    bool any = false, has_context = current_host(&now, &current);

    for (*kinds = 0; machine_host(*kinds, &host, &ordinal); ++*kinds) {
        struct part *p = &j->parts[j->part_count];
        bool have;

        add_force(g, &host);
        if (j->part_count == PARTS_MOST || !source_of(g, &host, &j->settings, &p->source))
            continue;
        p->ordinal = ordinal;
        have = from_cache(p, &host);
        if (have)
            tell_hit(&g->whose, p, &host);
        else if (has_context && host.gpu.number == now.gpu.number && is_worth_it(g, &p->source))
            have = obtain(p, &g->whose, &host, why_of(&p->source, &host));
        else
            any |= !has_context && is_worth_it(g, &p->source);
        j->part_count += have;
    }
    return any;
}

/* The image for the driver: our code alone where all GPUs are alike, else the original with it. */
static const void *assemble(struct kgi_jitted *j, size_t kinds)
{
    struct kgi_cubin_for cubins[PARTS_MOST];

    if (kinds == 1)
        return part_image(&j->parts[0]).at;
    for (size_t i = 0; i < j->part_count; i++)
        cubins[i] = (struct kgi_cubin_for){j->parts[i].source.target, part_image(&j->parts[i])};
    j->given = kgi_fatbin_with(j->original, cubins, j->part_count);
    return j->given.at;
}

static void refuse_all(struct kgi_jitted *j, int result)
{
    struct whose w = {j->library, j->built_by};
    const struct kgi_machine *m = kgi_machine();
    struct kgi_host host = m ? m->host : (struct kgi_host){0};

    for (size_t i = 0; i < j->part_count; i++) {
        host.gpu.number = j->parts[i].source.target.number;
        refuse(&j->parts[i], &host, "the driver did not take it");
    }
    tell_refused(&w, result, &host);
}

/* Options that a second load can be given again. *preserved: the image stays where it is. */
static bool understood(const CUlibraryOption *options, void *const *values, unsigned count,
                       bool *preserved)
{
    *preserved = false;
    for (unsigned i = 0; i < count; i++) {
        if (!options || !values || options[i] != CU_LIBRARY_BINARY_IS_PRESERVED)
            return false;
        *preserved = values[i] != NULL;
    }
    return true;
}

bool kgi_jit_library(struct kgi_jitted **out, CUlibrary *library, const void *image,
                     const char *file, CUjit_option *jit, void **jit_values, unsigned jit_count,
                     CUlibraryOption *options, void **values, unsigned count, const void *caller)
{
    struct kgi_jit_settings settings;
    struct kgi_jitted *j;
    struct given g;
    const void *ours;
    size_t kinds;
    int saved = errno, result;
    bool later, preserved;

    if (!library || !driver.LibraryLoadData || !understood(options, values, count, &preserved) ||
        !kgi_jit_settings(jit, jit_values, jit_count, &settings) || !kgi_machine() ||
        !look_at(&g, image, file, caller))
        return false;
    g.lasting |= preserved;
    j = new_record(&g, &settings);
    if (!j) {
        look_away(&g);
        errno = saved;
        return false;
    }
    j->slot = library;
    later = search(j, &g, &kinds);
    if (j->part_count && (ours = assemble(j, kinds))) {
        result = (int)driver.LibraryLoadData(library, ours, jit, jit_values, jit_count, options,
                                             values, count);
        if (!result) {
            j->ours = true;
            j->state = SETTLED;
            *out = j;
            errno = saved;
            return true;
        }
        refuse_all(j, result);
        later = false;
    }
    if (later) {
        tell_note(&g.whose, "loaded without a current context");
        *out = j;
    } else {
        free_record(j);
    }
    errno = saved;
    return false;
}

void kgi_jit_done(struct kgi_jitted *j, CUresult result)
{
    int saved = errno;

    if (result || !j->slot) {
        free_record(j);
    } else {
        j->handle = *j->slot;
        j->slot = NULL;
        kgi_lock(&lock);
        kgi_map_set(&by_library, (uintptr_t)j->handle, (uintptr_t)j);
        kgi_unlock(&lock);
    }
    errno = saved;
}

/* ---- where there is nothing to compile ------------------------------------------------------------------------- */

/* Why the JIT is no help, in so many words: whoever switched it on would look for the fault there. */
void kgi_jit_cannot(const struct kgi_diagnosis *d)
{
    static const struct {
        int reason;
        const char *words;
    } rows[] = {
        {KG101_NO_CODE, "there is no PTX that fits"},
        {KG102_ARCH_SPECIFIC, "its PTX is for another exact GPU (a or f)"},
        {KG103_PTX_TOO_NEW, "its PTX is newer than the driver; with KGUARD_PTXAS, a ptxas new enough "
                            "could compile it"},
        {KG107_BAD_PTX, "its PTX is obfuscated"},
        {KG108_NEEDS_LINK, "it is relocatable, or LTO alone, and needs a device link"},
    };
    struct whose w = {d->library, d->built_by};
    KGI_TEXT(t, 512);

    if (!atomic_load(&kgi_jit_on) || d->verdict.answer != KGI_NONE ||
        (d->reason == KG103_PTX_TOO_NEW && kgi_options()->ptxas[0]))
        return;
    for (size_t i = 0; i < KGI_COUNT(rows); i++)
        if (rows[i].reason == d->reason && is_worth_a_line(&w, LINE_CANNOT)) {
            add_name(&t, &w);
            kgi_text_add(&t, ": KGUARD_JIT cannot help: %s", rows[i].words);
            tell("cannot", d->reason, &w, &d->host, d->ordinal, t.at);
        }
}

/* ---- CUDA 11: at the registration ------------------------------------------------------------------------------- */

/* What was made for a registered wrapper. Never freed: found again when its library is loaded again. */
struct registered {
    struct kgi_wrapper given;
    uint8_t key[32];
};

/* 580 of "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  ..."; 0 unknown. */
static int kernel_driver(void)
{
    char text[256] = "";
    int fd = kgi_open("/proc/driver/nvidia/version", 0), branch = 0;
    const char *at;

    if (fd < 0)
        return 0;
    if (syscall(SYS_read, fd, text, sizeof text - 1) < 0)
        text[0] = 0;
    kgi_close(fd);
    at = strstr(text, "Module  ");
    for (at = at ? at + 8 : ""; *at >= '0' && *at <= '9'; at++)
        branch = 10 * branch + (*at - '0');
    return branch;
}

/* The GPU that registered images are for: that of the machine where it is known already, and all are
 * alike; before, KGUARD_TARGET. */
static bool registered_host(struct kgi_host *host)
{
    const struct kgi_machine *m = atomic_load(&kgi_jit_on) ? kgi_machine() : NULL;
    struct kgi_host other;
    int ordinal;

    if (m) {
        *host = m->host;
        return !machine_host(1, &other, &ordinal);
    }
    *host = (struct kgi_host){.driver = kernel_driver()};
    if (kgi_target_parse(kgi_options()->target, &host->gpu))
        return false;
    host->gpu.suffix = 0;
    return true;
}

/* The driver's choice cannot be taken back here: only a cubin that it reads for sure will do. A driver
 * that knows sm_100 reads what was made for it. */
static bool is_safe(const struct kgi_cache_hit *hit, const struct kgi_host *host)
{
    struct kgi_cubin cubin;

    return kgi_cubin_head(hit->image, &cubin) == 0 &&
           (host->cuda_version || host->driver || cubin.abi < 8 || cubin.target.number >= 100);
}

static struct registered *assemble_registered(const struct kgi_wrapper *original,
                                              struct kgi_bytes fatbin, struct part *p)
{
    struct kgi_cubin_for cubin = {p->source.target, p->hit.image};
    struct registered *r = kgi_alloc(sizeof *r);

    if (!r)
        return NULL;
    memcpy(r->key, p->source.key.digest, sizeof r->key);
    r->given = *original;
    r->given.data = kgi_fatbin_with(fatbin, &cubin, 1).at;
    return r->given.data ? r : NULL;
}

static struct registered *registered_for(void *wrapper, const struct given *g, struct part *p,
                                         const struct kgi_host *host)
{
    static struct kgi_map by_wrapper;
    struct kgi_jit_settings none = {.count = 0};
    struct registered *r =
        (struct registered *)(uintptr_t)kgi_map_get(&by_wrapper, (uintptr_t)wrapper);

    if (!source_of(g, host, &none, &p->source))
        return NULL;
    if (r && memcmp(r->key, p->source.key.digest, sizeof r->key) == 0)
        return r;
    if (!from_cache(p, host))
        return NULL;
    r = is_safe(&p->hit, host) ? assemble_registered(wrapper, g->bytes, p) : NULL;
    kgi_lock(&lock);
    if (r)
        kgi_map_set(&by_wrapper, (uintptr_t)wrapper, (uintptr_t)r);
    kgi_unlock(&lock);
    return r;
}

void *kgi_jit_registered(void *wrapper)
{
    struct part *p = kgi_pages_get(sizeof *p);
    struct registered *r = NULL;
    struct kgi_host host;
    struct given g;
    int saved = errno;

    if (p && !kgi_options()->off && registered_host(&host) && look_at(&g, wrapper, NULL, NULL)) {
        add_force(&g, &host);
        r = registered_for(wrapper, &g, p, &host);
        if (r)
            atomic_fetch_add_explicit(&counts.registered, 1, memory_order_relaxed);
        free_part(p);
    }
    kgi_pages_put(p, sizeof *p);
    errno = saved;
    return r ? &r->given : wrapper;
}

/* ---- libraries: the first use ------------------------------------------------------------------------------------ */

static struct kgi_jitted *record_of(CUlibrary library)
{
    return (struct kgi_jitted *)(uintptr_t)kgi_map_get(&by_library, (uintptr_t)library);
}

static void load_second(struct kgi_jitted *j, const void *image, bool ours)
{
    CUlibraryOption option = CU_LIBRARY_BINARY_IS_PRESERVED;
    void *value = (void *)(uintptr_t)1;
    struct kgi_kernel kernel;

    if (driver.LibraryLoadData(&j->second, image, NULL, NULL, 0, &option, &value, 1)) {
        j->second = NULL;
        return;
    }
    j->ours = ours;
    kgi_lock(&lock);
    kgi_map_set(&by_second, (uintptr_t)j->second, (uintptr_t)j);
    kgi_unlock(&lock);
    /* What fails on it later is explained by the same image. */
    if (kgi_handle_get(j->handle, &kernel))
        kgi_handle_set(j->second, kernel.image, kernel.name);
    atomic_store_explicit(&j->redirected, true, memory_order_release);
}

static bool is_still_there(const struct kgi_jitted *j)
{
    return j->copied || j->mapped ||
           kgi_mapped(j->original.at, j->original.size) == j->original.size;
}

static void compile_first(struct kgi_jitted *j)
{
    struct given g = {.bytes = j->original, .whose = {j->library, j->built_by}};
    struct part *p = &j->parts[0];
    struct kgi_host host, other;
    int ordinal;
    const void *image;

    if (!is_still_there(j) || !current_host(&host, &p->ordinal) || !is_chosen(&g))
        return;
    add_force(&g, &host);
    if (!source_of(&g, &host, &j->settings, &p->source) ||
        !obtain(p, &g.whose, &host, why_of(&p->source, &host)))
        return;
    j->part_count = 1;
    image = assemble(j, machine_host(1, &other, &ordinal) ? 2 : 1);
    if (image)
        load_second(j, image, true);
}

static void first_use(struct kgi_jitted *j)
{
    CUdevice device;
    bool current = !driver.CtxGetDevice(&device), borrowed = !current && borrow_context();

    tell_note(&(struct whose){j->library, j->built_by},
              current    ? "first used with a current context"
              : borrowed ? "first used where the primary context is not current"
                         : "first used without a context");
    if (current || borrowed)
        compile_first(j);
    if (borrowed)
        return_context();
}

static void nap(void)
{
    struct timespec little = {0, 200000};

    syscall(SYS_nanosleep, &little, NULL);
}

CUlibrary kgi_jit_used(CUlibrary library)
{
    struct kgi_jitted *j = record_of(library);
    int state, self, saved = errno;

    if (!j)
        return library;
    self = getpid();
    while ((state = atomic_load_explicit(&j->state, memory_order_acquire)) != SETTLED) {
        if (state == UNUSED && atomic_compare_exchange_strong(&j->state, &state, self)) {
            first_use(j);
            atomic_store_explicit(&j->state, SETTLED, memory_order_release);
        } else if (state == self) {
            nap();
        } else if (state != UNUSED) {
            break;
        }
    }
    errno = saved;
    return atomic_load_explicit(&j->redirected, memory_order_acquire) ? j->second : library;
}

/* ---- an image of ours that fails ------------------------------------------------------------------------------- */

/* Results that are about an image. Others (no context, no memory, a name that is not there) would be
 * the same with the original; that all names are there was seen to when it was compiled. */
static bool is_about_image(int result)
{
    return result != 500 && kgi_failure_family(result);
}

static void go_back(struct kgi_jitted *j, int result)
{
    refuse_all(j, result);
    j->ours = false;
    if (j->second) /* the first one holds the original */
        atomic_store_explicit(&j->redirected, false, memory_order_release);
    else if (is_still_there(j))
        load_second(j, j->original.at, false);
}

bool kgi_jit_failed(CUlibrary library, int result)
{
    struct kgi_jitted *j = record_of(library);
    int settled = SETTLED, saved = errno;
    bool again = false;

    if (!j || !is_about_image(result))
        return false;
    if (j->ours && atomic_compare_exchange_strong(&j->state, &settled, getpid())) {
        again = j->ours;
        if (again)
            go_back(j, result);
        atomic_store_explicit(&j->state, SETTLED, memory_order_release);
    }
    errno = saved;
    return again;
}

/* ---- handles ----------------------------------------------------------------------------------------------------- */

CUlibrary kgi_jit_known(CUlibrary library)
{
    const struct kgi_jitted *j =
        (struct kgi_jitted *)(uintptr_t)kgi_map_get(&by_second, (uintptr_t)library);

    return j ? j->handle : library;
}

struct kgi_jitted *kgi_jit_unload(CUlibrary library)
{
    struct kgi_jitted *j = record_of(library);

    if (!j)
        return NULL;
    kgi_lock(&lock);
    kgi_map_set(&by_library, (uintptr_t)library, 0);
    if (j->second)
        kgi_map_set(&by_second, (uintptr_t)j->second, 0);
    kgi_unlock(&lock);
    if (j->second) {
        kgi_handle_drop(j->second);
        driver.LibraryUnload(j->second);
    }
    return j;
}
