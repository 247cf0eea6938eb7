/*
 * What every fuzz target and the test of damaged fixtures do with bytes that may be anything: call
 * the reader, and check what holds whatever the bytes are. A broken promise traps, so that a
 * fuzzer, a sanitizer and a plain run all see it.
 */
#ifndef KGI_EXERCISE_H
#define KGI_EXERCISE_H

#include <errno.h>
#include <stdlib.h>
#include "code/code.h"

#define PROMISE(what)                                                                              \
    do {                                                                                           \
        if (!(what))                                                                               \
            __builtin_trap();                                                                      \
    } while (0)

enum { SCRATCH = 1 << 20 }; /* larger payloads are left packed: the fuzzer's time is better spent */

static inline bool is_inside(struct kgi_bytes all, struct kgi_bytes part)
{
    return part.size == 0 || (part.at >= all.at && part.size <= all.size &&
                              (size_t)(part.at - all.at) <= all.size - part.size);
}

/* A stream's bytes, a few at a time. */
struct feed {
    const uint8_t *at;
    size_t rest;
};

static inline ssize_t on_read(void *context, void *to, size_t size)
{
    struct feed *feed = context;
    size_t n = size < feed->rest ? size : feed->rest;

    n = n < 1000 ? n : 1000;
    memcpy(to, feed->at, n);
    feed->at += n;
    feed->rest -= n;
    return (ssize_t)n;
}

struct names {
    size_t count, length;
};

static inline int count_name(const char *name, int registers, void *context)
{
    struct names *n = context;

    PROMISE(registers >= 0);
    n->count++;
    n->length += strlen(name) + 1;
    return 0;
}

struct firsts {
    struct kgi_bytes text;
    const struct kgi_ptx *whole;
    size_t count;
};

static inline int is_name(const char *name, int registers, void *context)
{
    (void)registers;
    return strcmp(name, context) != 0;
}

/* A kernel's own module holds it and no other, of the same head, and is its own module again. */
static inline int exercise_alone(const char *name, int registers, void *context)
{
    struct firsts *f = context;
    uint8_t *piece = malloc(f->text.size), *again = malloc(f->text.size);
    size_t size = 0, size_again = 0;
    struct kgi_ptx p;
    int error = kgi_ptx_alone(f->text, name, piece, &size);

    (void)registers;
    PROMISE(error == 0 || error == -ENOENT || error == -ENOTSUP);
    if (error == 0) {
        struct kgi_bytes b = {piece, size};

        PROMISE(size <= f->text.size);
        PROMISE(kgi_ptx_kernels(b, &p, is_name, (void *)(uintptr_t)name) == 0 && p.kernels > 0);
        PROMISE(p.major == f->whole->major && p.minor == f->whole->minor);
        PROMISE(p.target.number == f->whole->target.number &&
                p.target.suffix == f->whole->target.suffix);
        PROMISE(!(p.traits & ~f->whole->traits));
        PROMISE(kgi_ptx_alone(b, name, again, &size_again) == 0);
        PROMISE(size_again == size && memcmp(again, piece, size) == 0);
    }
    free(piece);
    free(again);
    return ++f->count == 4; /* a text of many kernels would take its square */
}

static inline void exercise_ptx(struct kgi_bytes b)
{
    struct kgi_ptx head, whole, listed;
    struct names names = {0, 0};
    int error = kgi_ptx_head(b, &head);

    PROMISE(error == 0 || error == -ENODATA || error == -EBADMSG);
    PROMISE(kgi_ptx_read(b, &whole) == error);
    PROMISE(kgi_ptx_kernels(b, &listed, count_name, &names) == error);
    if (error)
        return;
    PROMISE(head.major == whole.major && head.minor == whole.minor && head.kernels == -1);
    PROMISE(head.target.number == whole.target.number && head.target.suffix == whole.target.suffix);
    PROMISE(names.count == (size_t)whole.kernels && names.length <= b.size);
    PROMISE(listed.kernels == whole.kernels && listed.traits == whole.traits);
    kgi_ptx_kernels(b, &listed, exercise_alone, &(struct firsts){b, &whole, 0});
}

static inline void exercise_cubin(struct kgi_bytes b)
{
    struct kgi_cubin head, whole;
    struct names names = {0, 0};
    int error = kgi_cubin_head(b, &head);

    PROMISE(error == 0 || error == -ENODATA || error == -EBADMSG || error == -ENOTSUP);
    int rest = kgi_cubin_read(b, &whole);
    PROMISE(error ? rest == error : rest <= 0);
    int listed = kgi_cubin_kernels(b, count_name, &names);
    PROMISE(names.length <= 2 * b.size);
    if (rest)
        return;
    PROMISE(listed == -EBADMSG || (listed == 0 && names.count == (size_t)whole.kernels));
    PROMISE(head.target.number == whole.target.number && head.abi == whole.abi);
}

static inline int check_wrapper(uint64_t address, uint64_t offset, void *context)
{
    const struct kgi_bytes *b = context;

    (void)address;
    PROMISE(offset <= b->size);
    return 0;
}

static inline void exercise_elf(struct kgi_bytes b)
{
    struct kgi_section s;
    const char *name;
    uint64_t start, addresses[] = {0, 0x1000, 0x401000, UINT64_MAX};

    PROMISE(kgi_elf_extent(b) <= b.size);
    for (size_t i = 0; kgi_elf_section(b, i, &s) == 0; i++) {
        struct kgi_bytes text = {(const uint8_t *)s.name, strlen(s.name) + 1};
        PROMISE(text.size == 1 || is_inside(b, text));
        PROMISE(is_inside(b, kgi_elf_bytes(b, &s)));
        if (i >= 4096)
            break;
        addresses[1] = s.address;
    }
    for (size_t i = 0; i < 4; i++) {
        if (kgi_elf_symbol_at(b, addresses[i], &name, &start) == 0) {
            struct kgi_bytes text = {(const uint8_t *)name, strlen(name) + 1};
            PROMISE(text.size > 1 && is_inside(b, text) && start <= addresses[i]);
        }
        if (kgi_elf_offset(b, addresses[i], &start) == 0)
            PROMISE(start <= b.size);
    }
    kgi_elf_wrappers(b, check_wrapper, &b);
}

static inline void exercise_payload(struct kgi_code code)
{
    struct names names = {0, 0};
    size_t size = code.size < SCRATCH ? (size_t)code.size : SCRATCH;
    void *scratch = malloc(size + 1);
    int error = kgi_code_inspect(&code, scratch, size);

    PROMISE(error <= 0);
    PROMISE(!(code.traits & KGI_T_INSPECTED) == (error != 0));
    PROMISE(!(code.traits & KGI_T_UNREADABLE) == (error != -EBADMSG));
    PROMISE((code.kernels >= 0) == (error == 0));
    int listed = kgi_code_kernels(&code, scratch, size, count_name, &names);
    if (error == 0)
        PROMISE(listed == -EBADMSG || (listed == 0 && names.count == (size_t)code.kernels));
    free(scratch);
}

static inline void exercise_image(struct kgi_bytes b)
{
    struct kgi_code codes[64];
    size_t count, again;
    uint64_t broken;
    int error = kgi_image_codes(b, codes, 64, &count, &broken);

    PROMISE(error == 0 || error == -EBADMSG || error == -ENOTSUP);
    PROMISE(kgi_image_codes(b, NULL, 0, &again, NULL) == error && again == count);
    PROMISE(count <= b.size / 64 + 1 && broken <= b.size && kgi_image_extent(b) <= b.size);
    for (size_t i = 0; i < count && i < 64; i++) {
        PROMISE(codes[i].place < b.size && codes[i].kernels == -1);
        PROMISE(is_inside(b, codes[i].payload) && is_inside(b, codes[i].options) &&
                is_inside(b, codes[i].name));
        exercise_payload(codes[i]);
    }
}

static inline void exercise_fatbin(struct kgi_bytes b)
{
    struct kgi_code entry;
    uint64_t at = 0, before = 0;
    size_t length = kgi_fatbin_length(b), steps = 0;
    int more;

    PROMISE(length <= b.size);
    while ((more = kgi_fatbin_next(b, &at, &entry)) > 0) {
        PROMISE(at > before && at <= b.size && entry.place < at);
        before = at;
        steps++;
    }
    PROMISE(steps <= b.size / 64);
    PROMISE(length == (more == 0 ? at : 0));
    PROMISE(kgi_fatbin_next(b, &at, &entry) == more);
    exercise_image(b);
}

#endif
