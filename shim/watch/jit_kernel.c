/*
 * Kernels compiled one by one.
 *
 * The driver compiles the whole of an image's PTX for the first kernel that is asked for: two seconds for
 * a megabyte, minutes for a large library, of which most programs use a little. A kernel that stands on
 * its own (kgi_ptx_alone) needs none of the rest: it is compiled, kept and loaded by itself, as a library
 * of its own beside the one that the program knows. Its machine code is that of the whole, but for the places
 * of its arrays in shared memory (tests/gpu/jit/check.py, kernels/same-code), and since it shares no
 * variable with the others it does not matter that they lie elsewhere.
 *
 * Asked for a variable, a list, or a kernel that is not on its own, the library gets its whole code as
 * before (jit.c; for its module see jit_module.c), and so it does once a quarter of the text was compiled in
 * pieces: a program that goes on to use everything has then waited a quarter longer at most, once.
 *
 * Of a module that a program loads, all is compiled first (jit.c), and kernels besides, of a sixteenth; kguard
 * warm compiles all of everything, and every kernel of a quarter at most. Then too a program that uses much gets
 * the whole, once a quarter has come in pieces: from the cache they take a tenth of a millisecond each.
 */
#include "jit.h"

#include <errno.h>
#include <unistd.h>

#define SHARE_BESIDES 16 /* of the text may be compiled where all of it was already: one in so many bytes */

/* A kernel that was loaded alone. Only added to, by the thread at work; read by all. */
struct kgi_alone {
    struct kgi_alone *next;
    CUlibrary library;
    _Atomic bool refused;
    size_t room; /* of all this */
    struct kgi_part part;
    char name[];
};

bool kgi_kernels_begin(struct kgi_kernels *k, const struct kgi_source *whole)
{
    k->left = kgi_source_share(whole);
    if (!k->left)
        return false;
    k->whole = *whole;
    k->loads = UINT64_MAX;
    return k->possible = true;
}

/* Whether it has so many kernels that some are within the share. */
static bool has_small_ones(const struct kgi_source *whole)
{
    struct kgi_ptx ptx = {.kernels = 0};
    void *scratch;
    struct kgi_bytes text = kgi_source_text(&whole->code, &scratch);

    if (text.at)
        kgi_ptx_read(text, &ptx);
    kgi_pages_put(scratch, whole->code.size);
    return ptx.kernels >= SHARE_BESIDES;
}

bool kgi_kernels_besides(struct kgi_kernels *k, const struct kgi_source *whole, bool compiled)
{
    if (!kgi_kernels_begin(k, whole) || (compiled && !has_small_ones(whole)))
        return false;
    k->left = compiled ? whole->code.size / SHARE_BESIDES : 0;
    k->loads = kgi_source_share(whole);
    k->marks = compiled;
    return true;
}

/* ---- what stands for the whole meanwhile
 * --------------------------------------------------------------------- */

/* A library without kernels, whose handle the program gets. An empty fatbin would do, but for that the driver
 * loads its compiler first, to see whether there is anything to link: 2 ms (recorded: its log speaks of
 * relocatable PTX). So it is PTX of the same version and target, compiled once; a few KB, kept for ever. */
#define HOLLOWS_MOST 16
static struct hollow {
    uint8_t key[32];
    struct kgi_bytes image;
} hollows[HOLLOWS_MOST];
static size_t hollow_count;
static struct kgi_lock lock;

/* With the lock held. */
static struct kgi_bytes find_hollow(const struct kgi_cache_key *key)
{
    for (size_t i = 0; i < hollow_count; i++)
        if (memcmp(hollows[i].key, key->digest, sizeof hollows[i].key) == 0)
            return hollows[i].image;
    return (struct kgi_bytes){NULL, 0};
}

static struct kgi_bytes known_hollow(const struct kgi_cache_key *key)
{
    struct kgi_bytes image;

    kgi_lock(&lock);
    image = find_hollow(key);
    kgi_unlock(&lock);
    return image;
}

/* Takes the part over, for ever, if there is room. Another thread may have been here before. */
static struct kgi_bytes keep_hollow(struct kgi_part *p)
{
    struct kgi_bytes image;
    bool taken = false;

    kgi_lock(&lock);
    image = find_hollow(&p->source.key);
    if (!image.at && hollow_count < HOLLOWS_MOST) {
        struct hollow *h = &hollows[hollow_count];

        memcpy(h->key, p->source.key.digest, sizeof h->key);
        image = h->image = kgi_part_image(p);
        hollow_count++;
        taken = true;
    }
    kgi_unlock(&lock);
    if (!taken)
        kgi_part_free(p);
    return image;
}

struct kgi_bytes kgi_kernels_hollow(const struct kgi_kernels *k, const struct kgi_host *host)
{
    struct kgi_bytes image = {NULL, 0};
    struct kgi_part *p = kgi_pages_get(sizeof *p);
    char text[KGI_HOLLOW_SIZE];

    if (p && !k->whole.too_new && !kgi_source_hollow(&k->whole, host, text, &p->source)) {
        image = known_hollow(&p->source.key);
        if (!image.at && kgi_part_quietly(p, host))
            image = keep_hollow(p);
    }
    kgi_pages_put(p, sizeof *p);
    return image;
}

/* Where the whole is in the cache and kernels besides, the same is kept with them, as the kernel without a name:
 * what says to the next process that all of it compiled, and that kernels of it are there by themselves. */
bool kgi_kernels_marked(const struct kgi_source *whole, const struct kgi_host *host, struct kgi_part *out)
{
    out->source = *whole;
    return !kgi_source_kernel_key(whole, "", &out->source.key) && kgi_part_known(out, host);
}

static void mark(struct kgi_kernels *k, const struct kgi_host *host)
{
    struct kgi_bytes hollow = kgi_kernels_hollow(k, host);
    struct kgi_cache_key key;

    if (hollow.at && !kgi_source_kernel_key(&k->whole, "", &key))
        kgi_part_keep(&key, hollow, host);
    k->marks = false;
}

/* ---- kernels
 * ------------------------------------------------------------------------------------------------- */

static struct kgi_alone *find(const struct kgi_kernels *k, const char *name)
{
    struct kgi_alone *a = atomic_load_explicit(&k->first, memory_order_acquire);

    while (a && strcmp(a->name, name) != 0)
        a = a->next;
    return a;
}

CUlibrary kgi_kernels_known(const struct kgi_kernels *k, const char *name)
{
    const struct kgi_alone *a = find(k, name);

    return a && !atomic_load_explicit(&a->refused, memory_order_relaxed) ? a->library : NULL;
}

/* From the cache, or compiled if that may be and the rest of the share allows it. */
static bool obtain(struct kgi_kernels *k, struct kgi_part *p, const struct kgi_whose *w,
                   const struct kgi_host *host, const char *name, bool may_compile)
{
    struct kgi_source alone;
    bool have;

    p->source = k->whole;
    if (!k->loads || kgi_source_kernel_key(&k->whole, name, &p->source.key))
        return false;
    if (kgi_part_find(p, host)) {
        k->loads -= p->hit.image.size < k->loads ? p->hit.image.size : k->loads;
        kgi_tell_hit(w, p, host);
        if (k->marks)
            mark(k, host);
        return true;
    }
    if (!may_compile || !k->left || kgi_source_kernel(&k->whole, name, &alone))
        return false;
    have = alone.code.size <= k->left;
    if (have) {
        k->left -= alone.code.size;
        p->source = alone;
        have = kgi_part_obtain(p, w, host);
        if (have && k->marks)
            mark(k, host);
        p->source = k->whole; /* the kernel's text goes, its key stays */
        p->source.key = alone.key;
    }
    kgi_pages_put((void *)(uintptr_t)alone.image.at, alone.image.size);
    return have;
}

static bool load(struct kgi_alone *a, const struct kgi_whose *w, const struct kgi_host *host)
{
    CUlibraryOption option = CU_LIBRARY_BINARY_IS_PRESERVED;
    void *value = (void *)(uintptr_t)1;
    int result = (int)kgi_jit_driver.LibraryLoadData(&a->library, kgi_part_image(&a->part).at, NULL,
                                                     NULL, 0, &option, &value, 1);

    if (kgi_jit_is_about_image(result)) {
        kgi_part_refuse(&a->part, host, "the driver did not take it");
        kgi_tell_refused(w, result, host);
    }
    return result == 0;
}

struct kgi_alone *kgi_kernels_load(struct kgi_kernels *k, const struct kgi_whose *w,
                                   const struct kgi_host *host, int ordinal, const char *name,
                                   bool may_compile, CUlibrary *library)
{
    size_t length = strlen(name), room = sizeof(struct kgi_alone) + length + 1;
    struct kgi_alone *a = find(k, name) ? NULL : kgi_pages_get(room);
    struct kgi_whose whose = *w;

    if (!a)
        return NULL;
    whose.kernel = name;
    a->room = room;
    a->part.ordinal = ordinal;
    memcpy(a->name, name, length);
    if (!obtain(k, &a->part, &whose, host, name, may_compile) || !load(a, &whose, host)) {
        kgi_part_free(&a->part);
        kgi_pages_put(a, room);
        return NULL;
    }
    *library = a->library;
    return a;
}

void kgi_kernels_add(struct kgi_kernels *k, struct kgi_alone *alone)
{
    alone->next = atomic_load_explicit(&k->first, memory_order_relaxed);
    atomic_store_explicit(&k->first, alone, memory_order_release);
}

const char *kgi_kernels_refuse(struct kgi_kernels *k, CUlibrary library, const struct kgi_host *host,
                               bool *first)
{
    struct kgi_alone *a = atomic_load_explicit(&k->first, memory_order_acquire);

    while (a && a->library != library)
        a = a->next;
    *first = a && !atomic_exchange(&a->refused, true);
    if (*first)
        kgi_part_refuse(&a->part, host, "the driver did not take it");
    return a ? a->name : NULL;
}

void kgi_kernels_each(const struct kgi_kernels *k, void (*each)(CUlibrary, void *), void *context)
{
    for (struct kgi_alone *a = atomic_load_explicit(&k->first, memory_order_acquire); a; a = a->next)
        each(a->library, context);
}

void kgi_kernels_end(struct kgi_kernels *k)
{
    struct kgi_alone *a = atomic_load_explicit(&k->first, memory_order_relaxed), *next;

    for (; a; a = next) {
        next = a->next;
        kgi_part_free(&a->part);
        kgi_pages_put(a, a->room);
    }
    atomic_store_explicit(&k->first, NULL, memory_order_relaxed);
}
