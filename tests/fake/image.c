/* Says what an image is to the simulated device. Crude on purpose: it need only tell apart what
 * fake.h lists. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zstd.h>
#include "fake.h"

#define LIMIT ((size_t)1 << 30)
enum { PTX = 1, CUBIN = 2, LTO = 8 };                      /* kinds */
enum { LZ4 = 0x2000, ZSTD = 0x8000, PACKED = LZ4 | ZSTD }; /* flags */

static bool peek_all(const void *p, void *out, size_t size)
{
    struct iovec local = {out, size}, remote = {(void *)(uintptr_t)p, size};
    ssize_t got = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
    if (got < 0 && errno == ENOSYS) { /* qemu-user */
        int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
        got = pread(memory, out, size, (off_t)(uintptr_t)p);
        close(memory);
    }
    return got == (ssize_t)size;
}

/* How many of size bytes at p are readable; copied to out. */
static size_t peek(const void *p, void *out, size_t size)
{
    size_t done = 0;
    if (peek_all(p, out, size))
        return size;
    while (done < size) { /* by pages: what lies before an unmapped one still counts */
        size_t page = 4096 - ((uintptr_t)p + done) % 4096;
        size_t part = page < size - done ? page : size - done;
        if (!peek_all((const char *)p + done, (char *)out + done, part))
            break;
        done += part;
    }
    return done;
}

/* The bytes at p up to the first NUL or unmapped page. */
static char *peek_text(const char *p)
{
    char *text = NULL;
    for (size_t size = 0;;) {
        size_t page = 4096 - (uintptr_t)(p + size) % 4096;
        text = realloc(text, size + page + 1);
        size_t got = peek(p + size, text + size, page);
        text[size + got] = 0;
        if (got < page || memchr(text + size, 0, page))
            return text;
        size += page;
    }
}

/* ---- names of kernels ---- */

static void add(struct image *image, const char *name, size_t length, uint64_t mark)
{
    for (unsigned i = 0; i < image->kernel_count; i++)
        if (strlen(image->kernels[i]) == length && memcmp(image->kernels[i], name, length) == 0)
            return;
    image->kernels = realloc(image->kernels, (image->kernel_count + 1) * sizeof *image->kernels);
    image->marks = realloc(image->marks, (image->kernel_count + 1) * sizeof *image->marks);
    image->marks[image->kernel_count] = mark;
    snprintf(image->kernels[image->kernel_count++], sizeof *image->kernels, "%.*s", (int)length,
             name);
}

static void kernels_of_text(struct image *image, const char *text)
{
    mark_variable_of_text(image, text);
    for (const char *at = text; (at = strstr(at, ".entry"));) {
        uint64_t mark = mark_of_entry(image, at);
        at += strlen(".entry");
        at += strspn(at, " \t\r\n");
        add(image, at, strcspn(at, " \t\r\n({"), mark);
    }
}

static void kernels_of_cubin(struct image *image, const char *elf, size_t size)
{
    static const char prefix[] = ".nv.constant0."; /* every kernel has one, nothing else has */
    mark_variable_of_cubin(image, elf, size);
    for (const char *at = elf, *end = elf + size;
         (at = memmem(at, (size_t)(end - at), prefix, strlen(prefix)));) {
        at += strlen(prefix);
        add(image, at, strnlen(at, (size_t)(end - at)), mark_of_cubin(elf, size, image->kernel_count));
    }
}

/* ---- one piece of code ---- */

struct code {
    int kind, number, isa; /* isa 87 = PTX 8.7 */
    char suffix;
    bool relocatable;
    uint64_t flags;
    const char *at;
    size_t size, unpacked;
};

enum fit { NEVER, FITS, UNSURE };

/* Only relations that the recording shows: cubins of the same number and of other majors, PTX of
 * lower, equal and higher numbers, `a` of the same number. */
static enum fit fit(const struct code *c)
{
    int gpu = 10 * machine.major + machine.minor;
    if (c->kind == PTX)
        return c->number > gpu
                   ? c->suffix == 'f' && c->number / 10 == machine.major ? UNSURE : NEVER
               : c->suffix == 0                       ? FITS
               : c->suffix == 'a' && c->number == gpu ? FITS
                                                      : UNSURE;
    if (c->kind != CUBIN || c->number / 10 != machine.major)
        return NEVER;
    return c->number == gpu && c->suffix != 'f' ? FITS : UNSURE;
}

static bool better(const struct code *c, const struct code *than)
{
    if (!than)
        return true;
    if (c->kind != than->kind)
        return c->kind == CUBIN;
    if (c->number != than->number)
        return c->number > than->number;
    if (c->suffix != than->suffix)
        return c->suffix == 'a';
    if (c->kind == PTX)
        return true; /* the last one */
    return (than->flags >> 24 & 1) > (c->flags >> 24 & 1);
}

static void target_of(const char *text, struct code *c)
{
    const char *version = strstr(text, ".version"), *target = strstr(text, ".target");
    int major = 0, minor = 0;
    if (version)
        sscanf(version, ".version %d.%d", &major, &minor);
    if (target)
        sscanf(target, ".target %*[a-z]_%d%c", &c->number, &c->suffix);
    c->isa = 10 * major + minor;
    c->suffix = c->suffix == 'a' || c->suffix == 'f' ? c->suffix : 0;
}

/* A compiler it is not: it knows one misspelling, lists of targets, targets that are too high or
 * younger than ISA 4. */
static bool text_is_sound(const char *text, const struct code *head)
{
    const char *target = strstr(text, ".target");
    return head->isa && target && !strstr(text, "mvo.") &&
           !memchr(target, ',', strcspn(target, "\n")) &&
           head->number <= 10 * machine.major + machine.minor &&
           (head->isa >= 50 || head->number < 60);
}

static char *unpack(const struct code *c, bool *sound)
{
    size_t size = c->flags & PACKED ? c->unpacked : c->size, got = 0;
    char *out = size < LIMIT ? calloc(1, size + 1) : NULL;
    if (!out) {
        *sound = false;
        return calloc(1, 1);
    }
    if (c->flags & LZ4)
        got = (size_t)LZ4_decompress_safe(c->at, out, (int)c->size, (int)size);
    else if (c->flags & ZSTD)
        got = ZSTD_decompress(out, size, c->at, c->size);
    else
        got = (memcpy(out, c->at, size), size);
    *sound = got == size;
    return out;
}

static int sm_of(const Elf64_Ehdr *e)
{
    return e->e_ident[EI_ABIVERSION] == 7 ? e->e_flags & 255 : e->e_flags >> 8 & 255;
}

/* Whether the whole ELF is there; a table of sections that is all zeros was cut off. */
static bool elf_is_whole(const char *elf, size_t size)
{
    const Elf64_Ehdr *e = (const Elf64_Ehdr *)elf;
    if (size < sizeof *e || memcmp(elf, ELFMAG, SELFMAG) != 0)
        return false;
    size_t table = (size_t)e->e_shnum * e->e_shentsize;
    if (e->e_shoff > size || table > size - e->e_shoff)
        return false;
    for (size_t i = 0; i < table; i++)
        if (elf[e->e_shoff + i])
            return true;
    return false;
}

/* What becomes of the image when the driver has chosen this code. */
static void use(struct image *image, const struct code *c)
{
    bool sound;
    char *bytes = unpack(c, &sound);
    size_t size = c->flags & PACKED ? c->unpacked : c->size;
    struct code text = {.kind = PTX};
    if (!sound) {
        image->class = c->flags & LZ4 ? BAD_LZ4 : BAD_ZSTD;
    } else if (c->kind == CUBIN) {
        const Elf64_Ehdr *e = (const Elf64_Ehdr *)bytes;
        image->class = !elf_is_whole(bytes, size)                       ? TRUNCATED
                       : sm_of(e) != 10 * machine.major + machine.minor ? WRONG_ELF
                       : e->e_type == ET_REL                            ? RELOCATABLE
                                                                        : RUNS;
        kernels_of_cubin(image, bytes, size);
    } else {
        target_of(bytes, &text);
        image->class = machine.jit_forbidden    ? RUNS_BY_JIT /* as recorded with it off */
                       : text.isa > machine.isa ? PTX_TOO_NEW
                       : strstr(bytes, ".extern .func")
                           ? (image->form == TEXT ? UNRESOLVED : NOT_RECORDED)
                       : text_is_sound(bytes, &text) ? RUNS_BY_JIT
                                                     : PTX_INVALID;
        kernels_of_text(image, bytes);
    }
    free(bytes);
}

/* ---- forms ---- */

static void read_text(struct image *image, const char *text)
{
    struct code c = {.kind = PTX, .at = text, .size = strlen(text)};
    image->form = TEXT;
    image->class = UNREADABLE;
    if (!strstr(text, ".version") || !strstr(text, ".target"))
        return;
    target_of(text, &c);
    if (c.isa > machine.isa)
        image->class = PTX_TOO_NEW;
    else if (fit(&c) != FITS)
        image->class = fit(&c) == NEVER ? PTX_TOO_HIGH : NOT_RECORDED;
    else
        use(image, &c);
}

static void read_elf(struct image *image, const void *p)
{
    Elf64_Ehdr e;
    struct code c = {.kind = CUBIN};
    image->form = ALONE;
    image->class = UNREADABLE;
    if (peek(p, &e, sizeof e) != sizeof e || e.e_machine != 190)
        return;
    c.size = e.e_shoff + (size_t)e.e_shnum * e.e_shentsize;
    if (e.e_phoff + (size_t)e.e_phnum * e.e_phentsize > c.size)
        c.size = e.e_phoff + (size_t)e.e_phnum * e.e_phentsize;
    char *copy = c.size < LIMIT ? malloc(c.size) : NULL;
    c.at = copy;
    c.number = sm_of(&e);
    if (!copy || peek(p, copy, c.size) != c.size || !elf_is_whole(copy, c.size))
        image->class = TRUNCATED;
    else if (e.e_ident[EI_CLASS] != ELFCLASS64)
        image->class = NOT_RECORDED;
    else if (fit(&c) == FITS)
        use(image, &c);
    else
        image->class = fit(&c) == NEVER ? OTHER_MAJOR : NOT_RECORDED;
    free(copy);
}

static bool next_code(const char *fat, size_t size, size_t *at, struct code *c)
{
    uint16_t kind, minor, major;
    uint32_t head, packed, arch;
    uint64_t padded;
    if (*at + 64 > size)
        return false;
    memcpy(&kind, fat + *at, 2);
    memcpy(&head, fat + *at + 4, 4);
    memcpy(&padded, fat + *at + 8, 8);
    memcpy(&packed, fat + *at + 16, 4);
    memcpy(&minor, fat + *at + 24, 2);
    memcpy(&major, fat + *at + 26, 2);
    memcpy(&arch, fat + *at + 28, 4);
    *c = (struct code){.kind = kind, .number = (int)arch, .isa = 10 * major + minor};
    memcpy(&c->flags, fat + *at + 40, 8);
    uint64_t unpacked;
    memcpy(&unpacked, fat + *at + 56, 8);
    if (head < 64 || head > size - *at || padded == 0 || padded > size - *at - head)
        return false;
    c->at = fat + *at + head;
    c->size = c->flags & PACKED ? packed : padded;
    c->unpacked = unpacked;
    c->suffix = c->flags & 0x100000 ? 'a' : c->flags & 0x200000 ? 'f' : 0;
    *at += head + padded;
    return c->size <= padded;
}

/* end: where entries may begin; size: how much can be read. */
static void choose(struct image *image, const char *fat, size_t end, size_t size)
{
    struct code c, best;
    bool found = false, unsure = false;
    unsigned seen = 0; /* kinds, as bits */
    size_t at = 16;
    while (at < end) {
        if (!next_code(fat, size, &at, &c)) {
            image->class = TRUNCATED;
            return;
        }
        seen |= (unsigned)c.kind;
        if (c.kind == CUBIN && machine.jit_forced)
            continue;
        unsure |=
            fit(&c) == UNSURE || !c.number || c.kind == 0x10 || c.kind == 0x20 || c.kind == 0x40;
        if (fit(&c) == FITS && better(&c, found ? &best : NULL)) {
            best = c;
            found = true;
        }
    }
    if (found && (best.kind == CUBIN || !(seen & 0x10)))
        use(image, &best);
    else
        image->class = unsure         ? NOT_RECORDED
                       : !seen        ? NOTHING_INSIDE
                       : seen & PTX   ? PTX_TOO_HIGH
                       : seen & CUBIN ? OTHER_MAJOR
                       : seen == LTO  ? LTO_ONLY
                                      : UNKNOWN_KIND;
}

static void read_fatbin(struct image *image, const void *p)
{
    struct {
        uint32_t magic;
        uint16_t version, header;
        int32_t size, high; /* only the low half counts, as a signed number */
    } head;
    static const size_t beyond[] = {0, 1 << 20}; /* an entry that begins inside may end outside */
    image->form = FATBIN;
    image->class = TRUNCATED;
    if (peek(p, &head, sizeof head) != sizeof head)
        return;
    if (head.version != 1 || head.header != 16) {
        image->class = head.header == 16 ? UNREADABLE : NOT_RECORDED;
        return;
    }
    size_t end = 16 + (size_t)(head.size > 0 ? head.size : 0);
    for (size_t i = 0; i < 2 && image->class == TRUNCATED; i++) {
        char *copy = malloc(end + beyond[i]);
        choose(image, copy, end, peek(p, copy, end + beyond[i]));
        free(copy);
    }
}

struct image *image_read(const void *p)
{
    struct image *image = calloc(1, sizeof *image);
    struct {
        uint32_t magic, version;
        const void *data, *linked;
    } wrapper;
    uint32_t magic = 0;
    image->form = FATBIN;
    image->class = UNREADABLE;
    if (peek(p, &magic, 4) != 4)
        return image;
    if (magic == 0x466243B1 && peek(p, &wrapper, sizeof wrapper) == sizeof wrapper) {
        const void *first = NULL;
        image->wrapped = (int)wrapper.version;
        if (wrapper.version == 2 && peek(wrapper.linked, &first, sizeof first) && first) {
            image->class = NOT_RECORDED; /* a set to be linked: recorded with one program alone */
            return image;
        }
        p = wrapper.data;
        if (peek(p, &magic, 4) != 4)
            return image;
    }
    if (magic == 0xBA55ED50) {
        read_fatbin(image, p);
    } else if (memcmp(&magic, ELFMAG, SELFMAG) == 0) {
        read_elf(image, p);
    } else {
        char *text = peek_text(p);
        read_text(image, text);
        free(text);
    }
    return image;
}

struct image *image_read_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    size_t size = (size_t)lseek(fd, 0, SEEK_END);
    char *copy = calloc(1, size + (2 << 20)); /* zeros follow, as in the recorded images */
    bool whole = pread(fd, copy, size, 0) == (ssize_t)size;
    close(fd);
    struct image *image = whole ? image_read(copy) : NULL;
    free(copy);
    return image;
}

bool image_has(const struct image *image, const char *kernel)
{
    for (unsigned i = 0; i < image->kernel_count; i++)
        if (strcmp(image->kernels[i], kernel) == 0)
            return true;
    return false;
}

void image_free(struct image *image)
{
    free(image->kernels);
    free(image->marks);
    free(image);
}
