/*
 * KGUARD_JIT: PTX compiled once and kept.
 *
 * An image in the cache is handed to the driver in place of the original, at the load. What is not
 * there is compiled where the driver would compile it: at the load when a context is current
 * (recorded: the JIT's errors are in the driver's log during cuLibraryLoadData, which returns 0,
 * lazy and eager alike), and then handed over likewise; without a context at the first use. Then
 * the original is loaded already: what came out is loaded as a second library, and every later call
 * on the first is answered from that one.
 *
 * Where nobody can compile at the load, the driver is given an empty image to make a handle of
 * (recorded: 0, lazy and eager), or it would compile the original when the context is made: every one,
 * where all are loaded at start, and each a second time at its first use by us.
 *
 * A large image waits for its first use even where a context is current: what is asked for then may be
 * a kernel that can be compiled alone (jit_kernel.c). So does one that is in the cache, where a mark says that
 * kernels of it are there by themselves.
 *
 * So a library has one handle, which the program knows, and sometimes a second that answers for it, or
 * several that answer for a kernel each.
 * The same serves when an image of ours fails where the driver takes a closer look, which with
 * cuLibraryLoadData is not at the load (recorded: 0 there, 209 at cuLibraryGetKernel): it is
 * refused in the cache, and the original answers. A program never sees the result of an image of
 * ours that failed.
 *
 * Only the program's own context is compiled in; without one the driver is left alone. No lock is
 * held across a call: the first thread that uses a library works, others that want the same library
 * wait until it is settled, since kernels from one and variables from the other image would not
 * meet.
 */
#include "jit.h"

#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PARTS_MOST 4 /* GPUs that need different code, in one machine */

_Atomic bool kgi_jit_on;

/* Of a library: not used yet, settled; above 0 the process whose thread is at work. A child forked
 * meanwhile must not wait for a thread that it does not have. */
enum { UNUSED = 0, SETTLED = -1 };

struct kgi_jitted {
    CUlibrary handle;
    CUlibrary _Atomic second;
    CUlibrary refused; /* a second one whose image failed: its kernels may still be in use */
    CUlibrary *slot;   /* where the program's handle will stand after the load */
    _Atomic int state;
    _Atomic bool redirected; /* second answers */
    _Atomic bool owed;       /* to the cache: used before anybody could compile it */
    bool ours;               /* what answers is an image of ours */
    bool empty;              /* behind the handle is no code, only a promise of it: */
    bool hollow;             /* an image without kernels, whose module the program may have */
    _Atomic bool refused_stand; /* unless the driver does not take that */
    size_t copied;             /* bytes of memory, where original is a copy; */
    struct kgi_bytes original; /* else the program keeps it */
    struct kgi_bytes given;    /* a fatbin made for GPUs that differ; else empty */
    struct kgi_jit_settings settings;
    const char *library;
    const char *built_by;
    struct kgi_kernels kernels;
    CUmodule module;       /* the program loaded a module, and knows this, not the handle */
    struct kgi_part stand; /* what is behind the handle, where that came from the cache: a mark */
    size_t part_count, part_room;
    struct kgi_part parts[]; /* one for each kind of GPU */
};

static struct kgi_lock lock;
static struct kgi_map by_library, by_second;

/* Modules that others answer for, at a time. One that is not unloaded before its context is reset, of which
 * nothing is heard, stays. */
#define MODULES_MOST 64
static _Atomic int modules;

void kgi_jit_start(void)
{
    const struct kgi_options *o = kgi_options();

    if (o->jit == KGI_JIT_OFF || o->off || !kgi_jit_find_driver())
        return;
    if (o->jit == KGI_JIT_FORCE && !o->jit_only[0])
        kgi_log(KGI_WARN,
                "KGUARD_JIT=force does nothing more than auto without KGUARD_JIT_ONLY: it "
                "would pass over the code of every library");
    kgi_jit_counts.pid = getpid();
    if (!kgi_cache_default()->user && !kgi_cache_default()->shared[0])
        kgi_log(KGI_WARN, "KGUARD_JIT has no place to keep code in, and leaves to the driver what "
                          "that compiles: set KGUARD_CACHE_DIR");
    atomic_store_explicit(&kgi_jit_on, true, memory_order_release);
    kgi_machine(); /* from now on it is known without a driver call */
    if (atomic_load(&kgi_jit_counts.registered))
        kgi_log(KGI_INFO, "JIT: %u registered images of a CUDA 11 runtime are from the cache",
                atomic_load(&kgi_jit_counts.registered));
}

/* Others (no context, no memory, a name that is not there) would be the same with the original; that all
 * names are there was seen to when it was compiled. */
bool kgi_jit_is_about_image(int result)
{
    return result != 500 && kgi_failure_family(result);
}

/* ---- libraries: a hit at the load
 * ----------------------------------------------------------------------------- */

static size_t record_size(size_t parts)
{
    return sizeof(struct kgi_jitted) + parts * sizeof(struct kgi_part);
}

static struct kgi_whose whose_of(const struct kgi_jitted *j)
{
    return (struct kgi_whose){.library = j->library, .built_by = j->built_by};
}

static void free_record(struct kgi_jitted *j)
{
    for (size_t i = 0; i < j->part_count; i++)
        kgi_part_free(&j->parts[i]);
    kgi_part_free(&j->stand);
    if (j->module)
        atomic_fetch_sub_explicit(&modules, 1, memory_order_relaxed);
    kgi_kernels_end(&j->kernels);
    kgi_pages_put((void *)(uintptr_t)j->given.at, j->given.size);
    if (j->copied)
        kgi_pages_put((void *)(uintptr_t)j->original.at, j->copied);
    kgi_pages_put(j, record_size(j->part_room));
}

/* What the driver may be given later must outlive the call, unless the program promised that it does: no loaded
 * object, which may be closed, and no memory that may be written to. A file's bytes are taken over. */
static bool keep_original(struct kgi_jitted *j, struct kgi_given *g, bool preserved)
{
    uint8_t *copy;

    j->original = g->bytes;
    j->copied = g->room;
    g->room = 0;
    if (preserved || j->copied)
        return true;
    copy = kgi_pages_get_huge(g->bytes.size + 1, &j->copied); /* a text ends in a NUL */
    if (copy)
        j->original.at = memcpy(copy, g->bytes.at, g->bytes.size);
    return copy != NULL;
}

static struct kgi_jitted *new_record(struct kgi_given *g, bool preserved,
                                     const struct kgi_jit_settings *settings)
{
    struct kgi_host host;
    struct kgi_jitted *j;
    int ordinal;
    size_t kinds = 1;

    while (kinds < PARTS_MOST && kgi_jit_host_at(kinds, &host, &ordinal))
        kinds++;
    j = kgi_pages_get(record_size(kinds));
    if (!j)
        return NULL;
    j->part_room = kinds;
    j->settings = *settings;
    j->library = g->whose.library;
    j->built_by = g->whose.built_by;
    if (keep_original(j, g, preserved))
        return j;
    kgi_pages_put(j, record_size(kinds));
    return NULL;
}

/* A context to compile in at a load: the current one, else the primary one for as long as it takes.
 */
static bool has_context(struct kgi_host *now, bool *borrowed)
{
    int ordinal;

    if (kgi_jit_current(now, &ordinal))
        return true;
    *borrowed = kgi_jit_borrow();
    return *borrowed && kgi_jit_current(now, &ordinal);
}

/* Whether the whole had better wait for its first use: kernels alone are of code for one GPU. */
static bool can_wait(const struct kgi_jitted *j, const struct kgi_source *source)
{
    return j->part_room == 1 && kgi_image_form(j->original) == KGI_FORM_FATBIN && kgi_source_share(source);
}

/* Whether it can wait in the cache, with its kernels beside it. What is not looked at there is the first to go:
 * so it is. */
static bool is_marked(struct kgi_jitted *j, const struct kgi_source *source, const struct kgi_host *host)
{
    if (source->too_new || !kgi_kernels_marked(source, host, &j->stand))
        return false;
    if (kgi_part_stays(source, host) && kgi_kernels_besides(&j->kernels, source, false))
        return true;
    kgi_part_free(&j->stand);
    return false;
}

/* Looks for each kind of GPU; what is missing for the current one is compiled, unless it may wait. Returns
 * whether there is anything left to be compiled at the first use. */
static bool search(struct kgi_jitted *j, const struct kgi_given *g, bool may_wait, size_t *kinds)
{
    struct kgi_host host, now;
    int ordinal;
    bool later = false, borrowed = false;

    for (*kinds = 0; kgi_jit_host_at(*kinds, &host, &ordinal); ++*kinds) {
        struct kgi_part *p = &j->parts[j->part_count];
        bool have, wait;

        kgi_given_force(g, &host);
        if (j->part_count == j->part_room || !kgi_given_source(g, &host, &j->settings, &p->source))
            continue;
        p->ordinal = ordinal;
        wait = may_wait && can_wait(j, &p->source);
        if (wait && is_marked(j, &p->source, &host)) {
            later = true;
            continue;
        }
        have = kgi_part_find(p, &host);
        if (have)
            kgi_tell_hit(&g->whose, p, &host);
        else if (!kgi_given_worth(g, &p->source))
            continue;
        else if (wait && kgi_kernels_begin(&j->kernels, &p->source))
            later = true;
        else if (!has_context(&now, &borrowed))
            later = true;
        else if (now.gpu.number == host.gpu.number)
            have = kgi_part_obtain(p, &g->whose, &host);
        j->part_count += have;
    }
    if (borrowed)
        kgi_jit_return();
    return later;
}

/* The image for the driver: our code alone where all GPUs are alike, else the original with it. */
static const void *assemble(struct kgi_jitted *j, size_t kinds)
{
    struct kgi_cubin_for cubins[PARTS_MOST];

    if (kinds == 1)
        return kgi_part_image(&j->parts[0]).at;
    for (size_t i = 0; i < j->part_count; i++)
        cubins[i] = (struct kgi_cubin_for){j->parts[i].source.target, kgi_part_image(&j->parts[i])};
    j->given = kgi_fatbin_with(j->original, cubins, j->part_count);
    return j->given.at;
}

/* This machine with the GPU that the code was for. */
static struct kgi_host host_of(const struct kgi_source *source)
{
    const struct kgi_machine *m = kgi_machine();
    struct kgi_host host = m ? m->host : (struct kgi_host){0};

    host.gpu.number = source->target.number;
    return host;
}

static void refuse_all(struct kgi_jitted *j, int result)
{
    struct kgi_whose w = whose_of(j);
    struct kgi_host host = host_of(&j->parts[0].source);

    for (size_t i = 0; i < j->part_count; i++) {
        host = host_of(&j->parts[i].source);
        kgi_part_refuse(&j->parts[i], &host, "the driver did not take it");
    }
    kgi_tell_refused(&w, result, &host);
}

/* So that it is not tried again by every process. */
static void refuse_stand(struct kgi_jitted *j, int result)
{
    struct kgi_host host = host_of(&j->stand.source);
    struct kgi_whose w = whose_of(j);

    if (!j->stand.hit.image.at || !kgi_jit_is_about_image(result) || atomic_exchange(&j->refused_stand, true))
        return;
    kgi_part_refuse(&j->stand, &host, "the driver did not take it");
    kgi_tell_note(&w, "what stands for it was not taken by the driver");
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

/* A handle for what is compiled at its first use. Of fatbins alone: what a load of anything else says
 * without a context was not recorded; and not where the program asked for the compiler's words. */
static bool promise(struct kgi_jitted *j, CUlibraryOption *options, void **values, unsigned count)
{
    static const struct {
        uint32_t magic;
        uint16_t version, header;
        uint64_t size;
    } nothing = {KGI_FATBIN_MAGIC, 1, sizeof nothing, 0};
    struct kgi_bytes hollow = {NULL, 0};
    struct kgi_host host;
    int ordinal, result;

    if (kgi_image_form(j->original) != KGI_FORM_FATBIN)
        return false;
    if (j->kernels.possible && kgi_jit_host_at(0, &host, &ordinal)) {
        hollow = kgi_part_image(&j->stand);
        if (!hollow.at)
            hollow = kgi_kernels_hollow(&j->kernels, &host);
    }
    result = (int)kgi_jit_driver.LibraryLoadData(j->slot, hollow.at ? (const void *)hollow.at : &nothing,
                                                 NULL, NULL, 0, options, values, count);
    if (result) {
        refuse_stand(j, result);
        return false;
    }
    j->hollow = hollow.at != NULL;
    return true;
}

bool kgi_jit_library(struct kgi_jitted **out, struct kgi_image **met, CUlibrary *library, const void *image,
                     const char *file, CUjit_option *jit, void **jit_values, unsigned jit_count,
                     CUlibraryOption *options, void **values, unsigned count, const void *caller)
{
    struct kgi_jit_settings settings;
    struct kgi_jitted *j = NULL;
    struct kgi_given g;
    const void *ours;
    struct kgi_bytes seen = {NULL, 0};
    size_t kinds;
    int saved = errno, result;
    bool later, preserved;

    if (library && kgi_jit_driver.LibraryLoadData &&
        understood(options, values, count, &preserved) &&
        kgi_jit_settings(jit, jit_values, jit_count, &settings) && kgi_machine() &&
        kgi_given_look(&g, image, file, caller)) {
        if (!file)
            seen = g.bytes;
        j = new_record(&g, preserved, &settings);
        kgi_given_end(&g);
    }
    if (!j) {
        errno = saved;
        return false;
    }
    g.bytes = j->original;
    j->slot = library;
    later = search(j, &g, !jit_count, &kinds);
    if (j->kernels.possible && !(j->empty = promise(j, options, values, count))) {
        j->kernels.possible = false;
        kgi_part_free(&j->stand);
        later = search(j, &g, false, &kinds);
    }
    if (j->part_count && (ours = assemble(j, kinds))) {
        result = (int)kgi_jit_driver.LibraryLoadData(library, ours, jit, jit_values, jit_count,
                                                     options, values, count);
        if (!result) {
            j->ours = true;
            j->state = SETTLED;
            *out = j;
            if (seen.at)
                *met = kgi_image_seen(image, seen, caller);
            errno = saved;
            return true;
        }
        if (kgi_jit_is_about_image(result))
            refuse_all(j, result);
        later = false;
    }
    if (later) {
        kgi_tell_note(&g.whose, !j->empty               ? "loaded without a current context"
                                : j->stand.hit.image.at ? "its kernels come from the cache one by one"
                                                        : "its kernels are compiled as they are asked for");
        if (!j->empty)
            j->empty = !jit_count && promise(j, options, values, count);
        *out = j;
        if (j->empty && seen.at)
            *met = kgi_image_seen(image, seen, caller);
    } else {
        free_record(j);
    }
    errno = saved;
    return later && j->empty;
}

static void lead_second(CUlibrary second, void *to)
{
    kgi_map_set(&by_second, (uintptr_t)second, (uintptr_t)to);
}

static struct kgi_jitted *record_of(CUlibrary library)
{
    return (struct kgi_jitted *)(uintptr_t)kgi_map_get(&by_library, (uintptr_t)library);
}

/* Where its handles lead: to it, or nowhere. */
static void lead(const struct kgi_jitted *j, struct kgi_jitted *to)
{
    kgi_lock(&lock);
    kgi_map_set(&by_library, (uintptr_t)j->handle, (uintptr_t)to);
    lead_second(j->second, to);
    lead_second(j->refused, to);
    kgi_kernels_each(&j->kernels, lead_second, to);
    kgi_unlock(&lock);
}

static void unload_second(CUlibrary second, void *all)
{
    if (second && kgi_jit_driver.LibraryUnload(second))
        *(bool *)all = false;
}

/* Whether the driver has let go of all, and of our memory with them. */
static bool unload_beside(struct kgi_jitted *j)
{
    bool all = true;

    unload_second(j->second, &all);
    unload_second(j->refused, &all);
    kgi_kernels_each(&j->kernels, unload_second, &all);
    return all;
}

void kgi_jit_done(struct kgi_jitted *j, CUresult result)
{
    int saved = errno;
    bool loads = j->slot != NULL;

    if (loads && !result) {
        j->handle = *j->slot;
        j->slot = NULL;
        kgi_jit_module_met((CUmodule)(uintptr_t)j->handle);
        lead(j, j);
    } else if (!loads && result) {
        lead(j, j); /* the driver still has it, and with it our memory */
        if (j->hollow)
            kgi_jit_modules_lead(j, true);
    } else {
        if (j->hollow)
            kgi_jit_modules_end(j);
        if (unload_beside(j))
            free_record(j);
    }
    errno = saved;
}

/* ---- modules
 * --------------------------------------------------------------------------------------- */

/*
 * A module is there when its load returns, or the driver has said what is wrong with its PTX: all of it is
 * compiled in that call. But a large one takes its time even when it is in the cache, to be read and to be
 * loaded, while most programs want few of its kernels. So the process that compiles it compiles the first
 * that are asked for by themselves as well. In the next one, and here already, a library without kernels is
 * loaded in its place: the program gets the module of that, which others answer for as they do for a
 * library's (jit_module.c), in a primary context; for what is missing then, the whole.
 */

static bool can_stand(const struct kgi_given *g, const struct kgi_source *source,
                      unsigned option_count)
{
    struct kgi_host host;
    int ordinal;

    return kgi_source_share(source) && !option_count && !source->too_new && !g->forced &&
           kgi_jit_driver.LibraryLoadData && kgi_jit_driver.LibraryUnload && kgi_jit_driver.LibraryGetModule &&
           !kgi_jit_host_at(1, &host, &ordinal) &&
           atomic_load_explicit(&modules, memory_order_relaxed) < MODULES_MOST && kgi_jit_in_primary();
}

/* Of the one entry that is compiled; what the program handed over may be gone after the load. */
static struct kgi_jitted *new_module(const struct kgi_given *g, const struct kgi_source *source,
                                     bool compiled)
{
    struct kgi_jitted *j = kgi_pages_get(record_size(1));
    struct kgi_source copy;

    if (!j)
        return NULL;
    j->part_room = 1;
    j->settings = source->settings;
    j->library = g->whose.library;
    j->built_by = g->whose.built_by;
    if (kgi_kernels_besides(&j->kernels, source, compiled) &&
        kgi_source_copy(source, &copy, &j->copied)) {
        j->kernels.whole = copy;
        j->original = copy.image;
        j->empty = j->hollow = true;
        return j;
    }
    kgi_pages_put(j, record_size(1));
    return NULL;
}

/* What the driver says of the image. j->handle: the library, where it has one of ours. */
static int load_hollow(struct kgi_jitted *j, CUmodule *module, struct kgi_bytes image)
{
    CUlibraryOption option = CU_LIBRARY_BINARY_IS_PRESERVED;
    void *value = (void *)(uintptr_t)1;
    CUlibrary library;
    int result;

    if (!image.at)
        return CUDA_ERROR_OUT_OF_MEMORY;
    result = (int)kgi_jit_driver.LibraryLoadData(&library, image.at, NULL, NULL, 0, &option, &value, 1);
    if (result)
        return result;
    j->handle = library;
    lead(j, j);
    result = (int)kgi_jit_driver.LibraryGetModule(module, library);
    if (!result && kgi_jit_module_stands(*module, library))
        return 0;
    lead(j, NULL);
    if (!kgi_jit_driver.LibraryUnload(library))
        j->handle = NULL;
    return result ? result : CUDA_ERROR_OUT_OF_MEMORY;
}

/* From what is `held`, the image that stands for it or all of it, which becomes the record's. */
static bool stand_for_module(CUmodule *module, const struct kgi_given *g,
                             const struct kgi_source *source, struct kgi_part *held, bool compiled,
                             const struct kgi_host *host)
{
    struct kgi_jitted *j = new_module(g, source, compiled);
    struct kgi_part *part;
    int result;

    if (!j)
        return false;
    part = compiled ? &j->parts[0] : &j->stand;
    *part = *held;
    part->source.image = (struct kgi_bytes){NULL, 0}; /* the program's */
    j->part_count = compiled;
    result = load_hollow(j, module, compiled ? kgi_kernels_hollow(&j->kernels, host) : kgi_part_image(part));
    if (!result || j->handle) /* or it will not let go of what we gave it */
        *held = (struct kgi_part){.ordinal = -1};
    if (!result) {
        kgi_tell_note(&g->whose, "a library without kernels stands for the module");
        j->module = *module;
        atomic_fetch_add_explicit(&modules, 1, memory_order_relaxed);
        return true;
    }
    if (j->handle)
        return false;
    *part = (struct kgi_part){.ordinal = -1};
    if (!compiled && kgi_jit_is_about_image(result))
        kgi_part_refuse(held, host, "the driver did not take it");
    free_record(j);
    return false;
}

/* One whose kernels an earlier process kept by themselves. */
static bool load_marked(CUmodule *module, const struct kgi_given *g, const struct kgi_source *source,
                        const struct kgi_host *host)
{
    struct kgi_part *stand = kgi_pages_get(sizeof *stand);
    bool done = stand && kgi_kernels_marked(source, host, stand) &&
                stand_for_module(module, g, source, stand, false, host);

    if (done) /* also without the whole, which is compiled if it is asked for: here it would be at once */
        kgi_part_stays(source, host);
    if (stand)
        kgi_part_free(stand);
    kgi_pages_put(stand, sizeof *stand);
    return done;
}

/* All of it, from the cache or compiled now. */
static bool load_whole(CUmodule *module, struct kgi_part *p, const struct kgi_given *g,
                       const struct kgi_host *host, unsigned count, CUjit_option *options, void **values)
{
    int result;

    if (kgi_part_find(p, host))
        kgi_tell_hit(&g->whose, p, host);
    else if (!kgi_given_worth(g, &p->source) || !kgi_part_obtain(p, &g->whose, host))
        return false;
    if (p->kept && can_stand(g, &p->source, count) &&
        stand_for_module(module, g, &p->source, p, true, host))
        return true;
    result = (int)kgi_jit_driver.ModuleLoadDataEx(module, kgi_part_image(p).at, count, options, values);
    if (kgi_jit_is_about_image(result)) {
        kgi_part_refuse(p, host, "the driver did not take it");
        kgi_tell_refused(&g->whose, result, host);
    }
    if (!result)
        kgi_jit_module_met(*module);
    return !result;
}

bool kgi_jit_module(struct kgi_image **met, CUmodule *module, const void *image, const char *file, unsigned count,
                    CUjit_option *options, void **values, const void *caller)
{
    struct kgi_part *p = kgi_pages_get(sizeof *p);
    struct kgi_jit_settings settings;
    struct kgi_host host;
    struct kgi_given g;
    int saved = errno;
    bool done = false;

    if (p && module && kgi_jit_current(&host, &p->ordinal) &&
        kgi_jit_settings(options, values, count, &settings) &&
        kgi_given_look(&g, image, file, caller)) {
        kgi_given_force(&g, &host);
        /* A wrapper is refused here (200, recorded): only libraries are loaded from one. */
        if ((file || g.bytes.at == image) && kgi_given_source(&g, &host, &settings, &p->source))
            done = (can_stand(&g, &p->source, count) && load_marked(module, &g, &p->source, &host)) ||
                   load_whole(module, p, &g, &host, count, options, values);
        if (done && !file)
            *met = kgi_image_seen(image, g.bytes, caller);
        kgi_part_free(p);
        kgi_given_end(&g);
    }
    kgi_pages_put(p, sizeof *p);
    errno = saved;
    return done;
}

bool kgi_jit_module_unload(struct kgi_jitted **out, CUmodule module, CUresult *result)
{
    CUlibrary library = kgi_jit_module_library(module);
    struct kgi_jitted *j = library ? record_of(library) : NULL;

    if (!j || j->module != module)
        return false;
    *out = kgi_jit_unload(library);
    *result = kgi_jit_driver.LibraryUnload(library);
    return true;
}

/* ---- libraries: the first use
 * ------------------------------------------------------------------------------------ */

/* Once more what the caller asked of the compiler, which may still have to work, for a GPU of another kind;
 * where its answers go is the first load's matter. */
static unsigned settings_again(const struct kgi_jit_settings *s, CUjit_option *ids, void **values)
{
    for (unsigned i = 0; i < s->count; i++) {
        ids[i] = (CUjit_option)s->id[i];
        values[i] = (void *)(uintptr_t)s->value[i];
    }
    return s->count;
}

/* A library of ours beside the program's: what fails on it later is explained by the same image, and it goes
 * when that goes. */
static void adopt(struct kgi_jitted *j, CUlibrary library, bool ours)
{
    const void *known = j->module ? (const void *)j->module : (const void *)j->handle;
    struct kgi_kernel kernel;

    kgi_lock(&lock);
    lead_second(library, j);
    kgi_unlock(&lock);
    if (!kgi_handle_get(known, &kernel))
        return;
    kgi_handle_set(library, kernel.image, kernel.name, known);
    if (!ours) /* now it is the driver that compiles */
        kgi_module(kernel.image, false);
}

static void load_second(struct kgi_jitted *j, const void *image, bool ours)
{
    CUlibraryOption option = CU_LIBRARY_BINARY_IS_PRESERVED;
    CUjit_option ids[KGI_JIT_SETTINGS];
    void *value = (void *)(uintptr_t)1, *values[KGI_JIT_SETTINGS];
    unsigned count = settings_again(&j->settings, ids, values);
    CUlibrary library = NULL;
    int result = (int)kgi_jit_driver.LibraryLoadData(&library, image, ids, values, count, &option,
                                                     &value, 1);

    if (ours && kgi_jit_is_about_image(result))
        refuse_all(j, result);
    if (result)
        return;
    j->ours = ours;
    adopt(j, library, ours); /* before anybody can find a kernel of it */
    j->second = library;
    atomic_store_explicit(&j->redirected, true, memory_order_release);
}

static bool is_still_there(const struct kgi_jitted *j)
{
    return j->copied || kgi_mapped(j->original.at, j->original.size) == j->original.size;
}

/* The GPU to compile for at a first use. The driver's JIT needs a context: the current one, else the
 * primary one, which must be given back; a ptxas needs none, where there is one kind of GPU. */
static bool find_host(struct kgi_host *host, int *ordinal, bool *borrowed)
{
    struct kgi_host other;
    int none;

    *borrowed = false;
    if (kgi_jit_current(host, ordinal))
        return true;
    *borrowed = kgi_jit_borrow();
    if (*borrowed)
        return kgi_jit_current(host, ordinal);
    return kgi_options()->ptxas[0] && kgi_jit_host_at(0, host, ordinal) &&
           !kgi_jit_host_at(1, &other, &none);
}

/* The code of an original for a host, into p: from the cache or compiled now. */
static bool obtain(struct kgi_jitted *j, struct kgi_part *p, struct kgi_host *host)
{
    struct kgi_given g = {.bytes = j->original, .whose = whose_of(j)};

    if (!is_still_there(j) || !kgi_given_chosen(&g))
        return false;
    kgi_given_force(&g, host);
    return kgi_given_source(&g, host, &j->settings, &p->source) && kgi_given_worth(&g, &p->source) &&
           kgi_part_obtain(p, &g.whose, host);
}

/* What a mark says is in the cache, which needs no compiler. */
static bool find_whole(struct kgi_jitted *j, const struct kgi_host *host)
{
    struct kgi_part *p = &j->parts[0];
    struct kgi_whose whose = whose_of(j);

    if (!j->stand.hit.image.at)
        return false;
    p->source = j->kernels.whole;
    if (!kgi_part_find(p, host))
        return false;
    kgi_tell_hit(&whose, p, host);
    j->part_count = 1;
    return true;
}

static void first_use(struct kgi_jitted *j)
{
    struct kgi_whose whose = whose_of(j);
    struct kgi_host host, other;
    const void *image;
    int ordinal;
    bool borrowed;

    if (!find_host(&host, &j->parts[0].ordinal, &borrowed)) {
        kgi_tell_note(&whose, "first used without a context");
        if (kgi_jit_host_at(0, &host, &j->parts[0].ordinal) && find_whole(j, &host))
            load_second(j, assemble(j, 1), true);
        else
            j->owed = true;
    } else {
        kgi_tell_note(&whose, borrowed ? "first used where the primary context is not current"
                                       : "first used where it can be compiled");
        if (j->part_count || find_whole(j, &host) || obtain(j, &j->parts[0], &host)) {
            j->part_count = 1;
            image = assemble(j, kgi_jit_host_at(1, &other, &ordinal) ? 2 : 1);
            if (image)
                load_second(j, image, true);
        } else {
            j->owed = !kgi_jit_current(&host, &ordinal);
        }
    }
    if (j->empty && !j->second && is_still_there(j))
        load_second(j, j->original.at, false);
    if (borrowed)
        kgi_jit_return();
}

/* A library that was first used before its code could be had (cudart 13 asks for managed variables when
 * there is no context) belongs to the driver's JIT in this process: its variables have addresses. The
 * next one finds it. */
static void pay(struct kgi_jitted *j)
{
    struct kgi_part *p = kgi_pages_get(sizeof *p);
    struct kgi_whose whose = whose_of(j);
    struct kgi_host host;

    if (p && kgi_jit_current(&host, &p->ordinal) && atomic_exchange(&j->owed, false)) {
        if (obtain(j, p, &host))
            kgi_tell_note(&whose, "compiled for the next process: in this one the driver's code is in use");
        kgi_part_free(p);
    }
    kgi_pages_put(p, sizeof *p);
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
    if (KGI_UNLIKELY(atomic_load_explicit(&j->owed, memory_order_relaxed)) && state == SETTLED)
        pay(j);
    errno = saved;
    return atomic_load_explicit(&j->redirected, memory_order_acquire) ? j->second : library;
}

/* ---- libraries: one kernel
 * -------------------------------------------------------------------------------------- */

static CUlibrary load_alone(struct kgi_jitted *j, const char *name)
{
    struct kgi_given g = {.bytes = j->original, .whose = whose_of(j)};
    struct kgi_alone *one = NULL;
    struct kgi_host host;
    CUlibrary library = NULL;
    int ordinal;
    bool borrowed, may_compile = find_host(&host, &ordinal, &borrowed);

    /* What is in the cache needs no context; and there is one kind of GPU (can_wait, can_stand). */
    if ((may_compile || kgi_jit_host_at(0, &host, &ordinal)) && is_still_there(j) &&
        kgi_given_chosen(&g)) {
        kgi_given_force(&g, &host);
        one = kgi_kernels_load(&j->kernels, &g.whose, &host, ordinal, name, may_compile, &library);
    }
    if (one) {
        adopt(j, library, true); /* before anybody can find its kernel */
        kgi_kernels_add(&j->kernels, one);
    }
    if (borrowed)
        kgi_jit_return();
    return library;
}

/* The library that holds one kernel alone, or NULL: then it is the whole's turn. */
static CUlibrary alone(struct kgi_jitted *j, const char *name)
{
    CUlibrary library;
    int state, self = getpid();

    while (!(library = kgi_kernels_known(&j->kernels, name)) &&
           (state = atomic_load_explicit(&j->state, memory_order_acquire)) != SETTLED) {
        if (state == UNUSED && atomic_compare_exchange_strong(&j->state, &state, self)) {
            library = kgi_kernels_known(&j->kernels, name); /* since it was asked for above */
            if (!library)
                library = load_alone(j, name);
            atomic_store_explicit(&j->state, UNUSED, memory_order_release);
            return library;
        }
        if (state != UNUSED && state != self)
            return NULL;
        nap();
    }
    return library;
}

CUlibrary kgi_jit_kernel(CUlibrary library, const char *name)
{
    struct kgi_jitted *j = record_of(library);
    CUlibrary one = NULL;
    int saved = errno;

    if (j && j->kernels.possible && name && *name)
        one = alone(j, name);
    errno = saved;
    return one ? one : kgi_jit_used(library);
}

CUlibrary kgi_jit_beside(CUlibrary library, const char *kernel)
{
    struct kgi_jitted *j = record_of(library);
    CUlibrary one = j && kernel ? kgi_kernels_known(&j->kernels, kernel) : NULL;

    if (one || !j || !j->hollow || !atomic_load_explicit(&j->redirected, memory_order_acquire))
        return one;
    return j->second;
}

const struct kgi_jitted *kgi_jit_hollow(CUlibrary library)
{
    const struct kgi_jitted *j = record_of(library);

    return j && j->hollow ? j : NULL;
}

CUlibrary kgi_jit_module_owner(CUlibrary library)
{
    const struct kgi_jitted *j = kgi_jit_hollow(library);

    return j && !atomic_load_explicit(&j->refused_stand, memory_order_relaxed) ? library : kgi_jit_used(library);
}

/* ---- an image of ours that fails
 * ------------------------------------------------------------------------------- */

static void go_back(struct kgi_jitted *j, int result)
{
    refuse_all(j, result);
    j->ours = false;
    if (j->second && !j->empty) { /* the first one holds the original */
        atomic_store_explicit(&j->redirected, false, memory_order_release);
    } else if (is_still_there(j)) {
        CUlibrary before = j->second;

        load_second(j, j->original.at, false);
        if (j->second != before)
            j->refused = before;
    }
}

/* The whole takes over. */
static bool refuse_alone(struct kgi_jitted *j, CUlibrary failed, int result)
{
    struct kgi_host host = host_of(&j->kernels.whole);
    struct kgi_whose w = whose_of(j);
    bool first;

    w.kernel = kgi_kernels_refuse(&j->kernels, failed, &host, &first);
    if (w.kernel && first)
        kgi_tell_refused(&w, result, &host);
    return w.kernel != NULL;
}

/* Several threads may find out at once: one goes back, and what it comes to is for all. */
bool kgi_jit_failed(CUlibrary library, CUlibrary *used, int result)
{
    struct kgi_jitted *j = record_of(library);
    int settled = SETTLED, saved = errno;
    CUlibrary failed = *used;

    if (!j || !kgi_jit_is_about_image(result))
        return false;
    if (refuse_alone(j, failed, result)) {
        *used = kgi_jit_used(library);
        errno = saved;
        return true;
    }
    if (failed == j->handle)
        refuse_stand(j, result);
    *used = kgi_jit_used(library);
    if (*used == failed && atomic_compare_exchange_strong(&j->state, &settled, getpid())) {
        if (j->ours)
            go_back(j, result);
        atomic_store_explicit(&j->state, SETTLED, memory_order_release);
    }
    *used = kgi_jit_used(library);
    errno = saved;
    return *used != failed;
}

/* ---- handles
 * -----------------------------------------------------------------------------------------------------
 */

CUlibrary kgi_jit_known(CUlibrary library)
{
    const struct kgi_jitted *j =
        (struct kgi_jitted *)(uintptr_t)kgi_map_get(&by_second, (uintptr_t)library);

    return j ? j->handle : library;
}

struct kgi_jitted *kgi_jit_unload(CUlibrary library)
{
    struct kgi_jitted *j = record_of(library);

    if (j) {
        lead(j, NULL);
        if (j->hollow)
            kgi_jit_modules_lead(j, false);
    }
    return j;
}
