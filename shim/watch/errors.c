/*
 * The text of an error gains who caused it: "no kernel image is available for execution on the device
 * (kguard: voxelize_kernel(float*, int) of udf_ext.so)", so that PyTorch's RuntimeError says it.
 *
 * What was diagnosed is kept as words that are read without a lock: an offender by its number, the
 * thread's last one in a slot of its own, the last of each result beside. A text is made when it is first
 * asked for and lives for ever, as the runtime's own do; it starts with the runtime's text, unchanged,
 * and has no line end, so that a program which looks for a phrase in it, or prints it, goes on working.
 * A program that compares whole texts for equality would not, and can say KGUARD_ERROR_TEXT=0.
 */
#include "watch.h"

#define OFFENDERS_MOST 64 /* also texts: a program with more has been told enough */
#define THREADS 64
#define PROBES 4
#define RESULTS 1024

static const struct offender {
    const char *kernel; /* mangled; kept for ever */
    const char *library;
    bool in_memory;
} *_Atomic offenders[OFFENDERS_MOST + 1]; /* number 0 is none */

static struct text {
    const char *text;
    size_t plain; /* so much of it is the runtime's */
    unsigned offender;
    bool consequence;
} texts[OFFENDERS_MOST];

static struct kgi_lock lock;
static _Atomic unsigned offender_count, text_count;
static _Atomic uint64_t last_of_thread[THREADS]; /* thread, result, offender: 32, 16, 16 bits */
static _Atomic uint8_t last_of_result[RESULTS];
static _Atomic uint8_t unchecked; /* the first offender whose error nobody asked for */

/* ---- who ------------------------------------------------------------------------------------------------- */

static bool is_offender(unsigned i, const char *kernel, const char *library)
{
    const struct offender *o = atomic_load_explicit(&offenders[i], memory_order_acquire);

    return o->kernel == kernel && o->library == library;
}

/* With the lock held. */
static unsigned new_offender(const char *kernel, const char *library, bool in_memory)
{
    unsigned n = atomic_load_explicit(&offender_count, memory_order_relaxed) + 1;
    struct offender *o = n <= OFFENDERS_MOST ? kgi_alloc(sizeof *o) : NULL;

    if (!o)
        return 0;
    *o = (struct offender){kernel, library, in_memory};
    atomic_store_explicit(&offenders[n], o, memory_order_release);
    atomic_store_explicit(&offender_count, n, memory_order_release);
    return n;
}

static unsigned find_offender(const char *kernel, const char *library)
{
    unsigned n = atomic_load_explicit(&offender_count, memory_order_acquire);

    while (n && !is_offender(n, kernel, library))
        n--;
    return n;
}

/* By words that are kept for ever. 0 where there is nobody to name, or no more room. */
static unsigned offender_named(const char *name, const char *library, const char *built_by)
{
    const char *file = library ? library : built_by;
    unsigned found = file ? find_offender(name, file) : 0;

    if (!file || found)
        return found;
    kgi_lock(&lock);
    found = find_offender(name, file);
    if (!found)
        found = new_offender(name, file, !library);
    kgi_unlock(&lock);
    return found;
}

static unsigned offender_of(const struct kgi_kernel *kernel)
{
    if (!kernel->image)
        return 0;
    kgi_image_locate(kernel->image);
    return offender_named(kernel->name ? kgi_name(kernel->name) : NULL, kernel->image->library,
                          kernel->image->built_by);
}

/* A thread's word is in one of a few places; where others have them all, the first is taken over. */
static _Atomic uint64_t *place_of(uint64_t thread, bool make)
{
    uint64_t nobody = 0;

    for (size_t i = 0; i < PROBES; i++) {
        _Atomic uint64_t *place = &last_of_thread[(thread + i * 17) % THREADS];

        if (atomic_load_explicit(place, memory_order_acquire) >> 32 == thread ||
            (make && atomic_compare_exchange_strong(place, &nobody, thread << 32)))
            return place;
        nobody = 0;
    }
    return make ? &last_of_thread[thread % THREADS] : NULL;
}

void kgi_error_caused(int result, const struct kgi_kernel *kernel)
{
    uint64_t thread = (uint32_t)kgi_thread_id();
    unsigned offender;

    if (!kgi_options()->error_text || result < 0 || result >= RESULTS)
        return;
    offender = kernel ? offender_of(kernel) : 0;
    atomic_store_explicit(place_of(thread, true),
                          thread << 32 | (uint64_t)result << 16 | offender, memory_order_release);
    if (offender)
        atomic_store_explicit(&last_of_result[result], (uint8_t)offender, memory_order_release);
}

void kgi_error_unchecked(const struct kgi_failed *failed)
{
    uint8_t none = 0;

    if (kgi_options()->error_text)
        atomic_compare_exchange_strong(
            &unchecked, &none,
            (uint8_t)offender_named(failed->kernel, failed->library, failed->built_by));
}

bool kgi_error_is_consequence(int result)
{
    /* illegal address, misaligned address, address space, program counter, launch failure: what
     * kernels come to that work on what another should have written */
    return result == 700 || (result >= 716 && result <= 719);
}

/* This thread's own last failure with this result, else the process's: a worker fails, the main
 * thread asks for the text. */
static unsigned offender_for(int result, bool *consequence)
{
    uint64_t thread = (uint32_t)kgi_thread_id();
    _Atomic uint64_t *place = place_of(thread, false);
    uint64_t word = place ? atomic_load_explicit(place, memory_order_acquire) : 0;

    *consequence = kgi_error_is_consequence(result);
    if (*consequence)
        return atomic_load_explicit(&unchecked, memory_order_acquire);
    if (word >> 16 == (thread << 16 | (uint64_t)result))
        return word & 0xffff;
    return atomic_load_explicit(&last_of_result[result], memory_order_acquire);
}

/* ---- what ------------------------------------------------------------------------------------------------ */

/* What fits of it, and that it did not all. */
static void add_cut(struct kgi_text *out, const struct kgi_text *part)
{
    kgi_text_add(out, "%s%s", part->at, part->cut ? "..." : "");
}

/* One clause; texts of errors stand in the middle of other people's sentences, and some put them into
 * buffers of 256 bytes by sprintf: with CUDA's longest such text it stays below 200. */
static const char *compose(const char *plain, const struct offender *o, bool consequence)
{
    const char *slash = strrchr(o->library, '/');
    KGI_TEXT(text, 512);
    KGI_TEXT(kernel, 52);
    KGI_TEXT(library, 44);

    kgi_text_add(&text, "%s (kguard: %s", plain, consequence ? "after " : "");
    if (o->kernel)
        kgi_report_kernel(&kernel, o->kernel);
    else
        kgi_text_add(&kernel, o->in_memory ? "an image" : "code");
    kgi_text_add_safe(&library, slash ? slash + 1 : o->library);
    add_cut(&text, &kernel);
    kgi_text_add(&text, o->in_memory ? " made by " : " of ");
    add_cut(&text, &library);
    kgi_text_add(&text, "%s)", consequence ? " failed unchecked" : "");
    return text.cut ? NULL : kgi_strdup(text.at);
}

static const char *find_text(const char *plain, size_t length, unsigned offender, bool consequence)
{
    unsigned n = atomic_load_explicit(&text_count, memory_order_acquire);

    for (unsigned i = 0; i < n; i++)
        if (texts[i].offender == offender && texts[i].consequence == consequence &&
            texts[i].plain == length && memcmp(texts[i].text, plain, length) == 0)
            return texts[i].text;
    return NULL;
}

/* With the lock held. */
static const char *new_text(const char *plain, size_t length, unsigned offender, bool consequence)
{
    unsigned n = atomic_load_explicit(&text_count, memory_order_relaxed);
    const char *text;

    if (n == OFFENDERS_MOST)
        return NULL;
    text = compose(plain, atomic_load_explicit(&offenders[offender], memory_order_acquire),
                   consequence);
    if (!text)
        return NULL;
    texts[n] = (struct text){text, length, offender, consequence};
    atomic_store_explicit(&text_count, n + 1, memory_order_release);
    return text;
}

const char *kgi_error_text(int result, const char *plain)
{
    const char *text;
    unsigned offender;
    bool consequence;
    size_t length;

    if (!plain || result < 0 || result >= RESULTS ||
        !atomic_load_explicit(&offender_count, memory_order_relaxed))
        return plain;
    offender = offender_for(result, &consequence);
    /* A runtime may have got its text through the driver's door. */
    if (!offender || strstr(plain, " (kguard: "))
        return plain;
    length = strlen(plain);
    text = find_text(plain, length, offender, consequence);
    if (!text) {
        kgi_lock(&lock);
        text = find_text(plain, length, offender, consequence);
        if (!text)
            text = new_text(plain, length, offender, consequence);
        kgi_unlock(&lock);
    }
    return text ? text : plain;
}
