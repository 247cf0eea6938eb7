/*
 * Memory that is not the program's malloc: hooks can be reached from inside an allocator, from a
 * forked child of a threaded parent, and before malloc works. All of it comes from mmap.
 *
 * kgi_alloc hands out pieces of arenas by one atomic addition. Nothing is ever freed, so there is
 * no list to repair after a fork and no lock to find held.
 */
#include "base.h"

#include <errno.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARENA_SIZE ((size_t)256 << 10) /* address space; pages are touched as they are used */
#define LARGE_SIZE (ARENA_SIZE / 4)    /* from here on: pages of its own */
#define PAGE 4096                      /* the smallest page CUDA hosts have */
#define FEW_PAGES 16
#define HUGE_PAGE ((size_t)2 << 20)
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

struct arena {
    _Atomic size_t used;
    char start[] __attribute__((aligned(16)));
};

static struct arena *_Atomic current;

static void *map(size_t size, int flags)
{
    int saved = errno;
    void *p = MAP_FAILED;

    if (size && size <= SIZE_MAX / 2)
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    errno = saved;
    return p == MAP_FAILED ? NULL : p;
}

/* Small blocks that were put back, two of each size: a load takes and returns the same few, and each new
 * page of them is a fault, microseconds in a virtual machine. Whoever swaps a block out of its slot owns
 * it: no lock, and nothing that a fork could find half done. */
#define SIZES 4 /* 1, 2, 4, 8 pages */
static void *_Atomic spares[SIZES][2];

static size_t size_class(size_t size)
{
    size_t c = 0;

    while (c < SIZES && size > (size_t)PAGE << c)
        c++;
    return c;
}

void *kgi_pages_get(size_t size)
{
    size_t c = size_class(size);

    for (size_t i = 0; size && c < SIZES && i < KGI_COUNT(spares[c]); i++) {
        void *p = atomic_exchange_explicit(&spares[c][i], NULL, memory_order_acquire);

        if (p)
            return memset(p, 0, size);
    }
    return map(size && c < SIZES ? (size_t)PAGE << c : size, MAP_NORESERVE);
}

void kgi_pages_put(void *p, size_t size)
{
    size_t c = size_class(size);
    int saved = errno;

    if (!p)
        return;
    for (size_t i = 0; c < SIZES && i < KGI_COUNT(spares[c]); i++) {
        void *empty = NULL;

        if (atomic_compare_exchange_strong_explicit(&spares[c][i], &empty, p, memory_order_release,
                                                    memory_order_relaxed))
            return;
    }
    munmap(p, c < SIZES ? (size_t)PAGE << c : size);
    errno = saved;
}

/* A megabyte in small pages is 256 faults, 0.3 ms; in one huge page, which many kernels give only to
 * those who ask (transparent_hugepage=madvise), 0.05 ms. */
void *kgi_pages_get_huge(size_t size, size_t *room)
{
    int saved = errno;
    uintptr_t start, at;
    char *p;

    *room = size;
    if (size_class(size) < SIZES || size > SIZE_MAX / 2)
        return kgi_pages_get(size);
    if (size < HUGE_PAGE / 4)
        return map(size, MAP_POPULATE); /* a third less than a fault for each page */
    *room = (size + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
    p = kgi_pages_get(*room + HUGE_PAGE);
    if (!p)
        return NULL;
    start = (uintptr_t)p;
    at = (start + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
    if (at > start)
        munmap(p, at - start);
    if (at < start + HUGE_PAGE)
        munmap(p + (at - start) + *room, start + HUGE_PAGE - at);
    madvise(p + (at - start), *room, MADV_HUGEPAGE);
    errno = saved;
    return p + (at - start);
}

void *kgi_alloc(size_t size)
{
    if (size >= LARGE_SIZE)
        return kgi_pages_get(size);
    size = (size + 15) & ~(size_t)15;
    for (;;) {
        struct arena *arena = atomic_load_explicit(&current, memory_order_acquire);
        struct arena *fresh;

        if (arena) {
            size_t at = atomic_fetch_add_explicit(&arena->used, size, memory_order_relaxed);

            if (at + size <= ARENA_SIZE - sizeof *arena)
                return arena->start + at;
        }
        fresh = kgi_pages_get(ARENA_SIZE);
        if (!fresh)
            return NULL;
        if (!atomic_compare_exchange_strong(&current, &arena, fresh))
            kgi_pages_put(fresh, ARENA_SIZE);
    }
}

const char *kgi_strdup(const char *s)
{
    size_t size = strlen(s) + 1;
    char *copy = kgi_alloc(size);

    return copy ? memcpy(copy, s, size) : NULL;
}

/* Asks the kernel to have the pages ready to be read, which Linux can do since 5.14: 0 when they are, else
 * the error. Whoever answers that page 0 can be read has not looked: qemu-user takes any advice. */
static int populate(uintptr_t page, size_t size)
{
    static _Atomic int works; /* 1: it does, -1: not */
    int known = atomic_load_explicit(&works, memory_order_relaxed);

    if (!known) {
        known = madvise(NULL, PAGE, MADV_POPULATE_READ) == 0 || errno != ENOMEM ? -1 : 1;
        atomic_store_explicit(&works, known, memory_order_relaxed);
    }
    if (known < 0)
        return EINVAL;
    return madvise((void *)page, size, MADV_POPULATE_READ) == 0 ? 0 : errno;
}

/* Whether the page of p can be read. Who watches the calls (valgrind) takes the first question for no
 * mistake. The second: the kernel copies the set before it looks at `how`, which is none it knows:
 * EFAULT means unreadable, EINVAL readable, and nothing has changed. Unlike mincore both tell a
 * PROT_NONE page (a guard, a malloc arena's tail) from a readable one. Where a sandbox refuses to
 * answer, the answer is no. */
static bool readable_page(uintptr_t p)
{
    int error;

    if (p < PAGE) /* a NULL set is no set to the kernel */
        return false;
    error = populate(p & ~(uintptr_t)(PAGE - 1), PAGE);
    if (error == 0 || error == ENOMEM || error == EFAULT)
        return error == 0;
    return syscall(SYS_rt_sigprocmask, -1, p & ~(uintptr_t)7, NULL, 8) == 0 || errno == EINVAL;
}

static size_t probe(uintptr_t from, size_t want)
{
    uintptr_t page = from & ~(uintptr_t)(PAGE - 1);
    size_t have = 0;

    if (want > PAGE && populate(page, from + want - page) == 0)
        return want;
    while (have < want && readable_page(from + have)) {
        size_t rest = PAGE - ((from + have) & (PAGE - 1));

        have += rest < want - have ? rest : want - have;
    }
    return have;
}

/* The same for many pages by one call each 4 MiB, where the kernel can, and towards the end of what can be
 * read by ever shorter ones: an image of a megabyte that the program has just filled, or a text whose length
 * nobody says, costs microseconds, not a system call a page. */
static size_t probe_many(uintptr_t from, size_t want)
{
    size_t step = (size_t)4 << 20, have = 0;

    while (have < want && step >= PAGE) {
        uintptr_t page = (from + have) & ~(uintptr_t)(PAGE - 1);
        size_t part = want - have < step ? want - have : step;

        if (populate(page, from + have + part - page) == 0)
            have += part;
        else
            step /= 2;
    }
    return have + probe(from + have, want - have);
}

/* In steps: nobody says where the text ends, and what lies behind it is not to be read from disk. */
size_t kgi_text_mapped(const void *text)
{
    const char *at = text;
    size_t length = 0, step = PAGE - (uintptr_t)at % PAGE, have, part;
    int saved = errno;

    for (;;) {
        have = probe_many((uintptr_t)at + length, step);
        part = have ? strnlen(at + length, have) : 0;
        length += part;
        if (part < step)
            break;
        step = step < 16 * PAGE ? 16 * PAGE : 64 * PAGE;
    }
    errno = saved;
    return length;
}

struct segment {
    uintptr_t address;
    size_t left;
};

static int find_segment(struct dl_phdr_info *info, size_t size, void *context)
{
    struct segment *segment = context;

    (void)size;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t into = segment->address - (info->dlpi_addr + p->p_vaddr);

        if (p->p_type == PT_LOAD && p->p_flags & PF_R && into < p->p_memsz) {
            segment->left = p->p_memsz - into;
            return 1;
        }
    }
    return 0;
}

/* Asking page by page would read a whole library from disk: CUDA code of gigabytes, of which the
 * driver loads a few pages. What lies in a loaded object's segment is known to be mapped; only
 * memory elsewhere, which the program filled a moment ago, is asked for by the page. */
size_t kgi_mapped(const void *p, size_t want)
{
    struct segment segment = {(uintptr_t)p, 0};
    int saved = errno;
    size_t have;

    if (want > UINTPTR_MAX - segment.address)
        want = UINTPTR_MAX - segment.address;
    have = probe(segment.address, want < FEW_PAGES * PAGE ? want : FEW_PAGES * PAGE);
    if (have == FEW_PAGES * PAGE && have < want) {
        dl_iterate_phdr(find_segment, &segment);
        if (segment.left > have)
            have = segment.left < want ? segment.left : want;
        have += probe_many(segment.address + have, want - have);
    }
    errno = saved;
    return have;
}
