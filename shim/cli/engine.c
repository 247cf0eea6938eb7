/*
 * What one file holds, from a stream of its bytes, in constant memory.
 *
 * A file is looked through whole, not by its sections: cuFFT keeps 23 983 of its 23 984 fatbins where
 * no section name tells, cuBLASLt and cuDNN some hundreds. The magic numbers are found in a window
 * that moves over the file (find.c); at each the container is walked entry by entry, payloads are
 * passed over, and only a walk that ends exactly where the header says makes it a fatbin: the four
 * bytes alone do occur in machine code.
 *
 * Which of them the CUDA runtime gets at load, the wrappers tell: 24 bytes {magic, version, address
 * of the fatbin, address of the list of relocatable ones}, found by their magic too. The address
 * becomes a file offset through the program headers, whose place the ELF header at the file's start
 * tells. GNU ld leaves the address in the file as well as in the relocation (2 782 of 2 782 wrappers
 * of libcublasLt); where it is missing (lld), all fatbins count as registered.
 *
 * A payload is looked into where it is small: a cubin or PTX without a kernel says nothing about what
 * can run, and each program that nvcc links has such stubs in it; 1 828 of cuBLASLt's 6 120 codes are
 * of that kind, none larger than 5 080 bytes. With kernels, all payloads are (kernels.c). That changes
 * few answers: of 25 libraries with code, judged for 13 targets each, three did for one target each
 * (a packed cubin turned out to be relocatable, "link" for "native", twice; one of more than SMALL
 * bytes to be empty).
 */
#include <elf.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "cli.h"

enum {
    WINDOW = 256 << 10,       /* bytes asked for at once */
    ROOM = WINDOW + (64 << 10), /* and kept from before, at most */
    SKIP_LEAST = 16 << 10,    /* so much must lie ahead for a seek to beat reading through */
    PIECE = 256 << 10,        /* what a thread looks at when they look ahead, */
    GLANCE = 64 << 10,        /* so much at once */
    AHEAD_MOST = 64 << 20,
    AFTER_SKIP = 4 << 10,     /* asked for first behind it: the next header may be all that is needed */
    SMALL = 16 << 10,         /* payloads that are looked into */
    HEADER_MOST = 32 << 10,   /* an entry's header with its texts; 128 is the largest seen */
    RAW_MOST = 32 << 20,      /* a raw cubin or PTX file that is read whole */
    UNPACKED_MOST = 256 << 20, /* of one payload; 134 MB is the largest seen */
    FOUND_MOST = 1 << 18,     /* of one file; 24 000 is the most seen */
    CODES_MOST = 1 << 20,
    TABLE_MOST = 4 << 20,     /* a program or section header table */
    TAIL = 16 << 10,          /* kept before the section headers: their names lie there */
    MACHINE_CUDA = 190,
};

/* A part of the file that is wanted later. */
struct keep {
    uint64_t place;
    size_t size, have;
    uint8_t *bytes;
};

struct wrapper {
    uint64_t data;
    uint32_t version;
};

struct scan {
    struct kgi_stream *stream;
    struct kgi_bytes start; /* what of the stream was taken before */
    uint8_t *buffer;        /* [0, have) are the file's bytes from base on; base is a multiple of 8 */
    uint64_t base;
    size_t at, have, ask; /* ask: how much to read at once, doubled each time up to WINDOW */
    bool ended;
    uint64_t barren; /* from here to the window nothing was found */
    struct keep segments, sections;
    Elf64_Ehdr host; /* of a host ELF at the file's start, else zeros */
    struct wrapper *wrappers;
    size_t wrapper_count, found_room, code_count;
    struct kgi_inflater *inflater;
    struct kgi_glance **glance;
    struct kgi_file *file;
    int error; /* -ENOMEM */
};

__attribute__((format(printf, 3, 4))) static void complain(struct scan *s, bool damaged,
                                                           const char *format, ...)
{
    va_list arguments;

    if (s->file->error)
        return;
    va_start(arguments, format);
    if (vasprintf(&s->file->error, format, arguments) < 0)
        s->file->error = NULL;
    va_end(arguments);
    s->file->damaged = damaged;
}

/* ---- the window ------------------------------------------------------------------------------------- */

static void keep_bytes(struct keep *k, uint64_t place, const uint8_t *bytes, size_t size)
{
    uint64_t from = k->place > place ? k->place : place;
    uint64_t to = k->place + k->size < place + size ? k->place + k->size : place + size;

    if (!k->bytes || from >= to)
        return;
    memcpy(k->bytes + (from - k->place), bytes + (from - place), to - from);
    k->have += to - from;
}

static void keep(struct scan *s, struct keep *k, uint64_t place, uint64_t size)
{
    if (size == 0 || size > TABLE_MOST || place > UINT64_MAX - size || k->bytes)
        return;
    *k = (struct keep){place, (size_t)size, 0, malloc((size_t)size)};
    keep_bytes(k, s->base, s->buffer, s->have);
}

/* Reads what one call gives; false at the end of the file. */
static bool fill(struct scan *s)
{
    size_t room = ROOM - s->have;
    ssize_t n;

    if (s->ended || room == 0)
        return false;
    if (s->start.size) {
        n = (ssize_t)(s->start.size < room ? s->start.size : room);
        memcpy(s->buffer + s->have, s->start.at, (size_t)n);
        s->start = kgi_bytes_cut(s->start, (uint64_t)n, s->start.size - (size_t)n);
    } else {
        n = s->stream->read(s->stream->context, s->buffer + s->have, room < s->ask ? room : s->ask);
        s->ask = s->ask < WINDOW ? 2 * s->ask : WINDOW;
    }
    if (n <= 0) {
        if (n < 0)
            complain(s, false, "byte 0x%llx: %s", (unsigned long long)(s->base + s->have),
                     strerror((int)-n));
        s->ended = true;
        return false;
    }
    uint64_t place = s->base + s->have;
    keep_bytes(&s->segments, place, s->buffer + s->have, (size_t)n);
    keep_bytes(&s->sections, place, s->buffer + s->have, (size_t)n);
    s->have += (size_t)n;
    return true;
}

/* Moves what lies before `at` out of the window. */
static void compact(struct scan *s)
{
    size_t gone = s->at & ~(size_t)63;

    memmove(s->buffer, s->buffer + gone, s->have - gone);
    s->base += gone;
    s->at -= gone;
    s->have -= gone;
}

/* Makes size bytes available from `at` on; false where the file ends before. size <= ROOM - 64. */
static bool need(struct scan *s, size_t size)
{
    if (s->have - s->at >= size)
        return true;
    if (s->at + size > ROOM)
        compact(s);
    while (s->have - s->at < size)
        if (!fill(s))
            return false;
    return true;
}

static struct kgi_bytes here(const struct scan *s)
{
    return (struct kgi_bytes){s->buffer + s->at, s->have - s->at};
}

static uint64_t place(const struct scan *s)
{
    return s->base + s->at;
}

static void empty_window(struct scan *s, uint64_t to)
{
    s->base = to & ~(uint64_t)7;
    s->at = s->have = to & 7;
    memset(s->buffer, 0, 8);
}

/* Passes over size bytes; false where the file ends before. A seek leaves the last byte to be read:
 * it would go past the end of a file without a word. */
static bool pass(struct scan *s, uint64_t size)
{
    while (size > s->have - s->at) {
        size -= s->have - s->at;
        uint64_t to = s->base + s->have;
        if (size > SKIP_LEAST && s->stream->skip && !s->start.size && !s->ended &&
            s->stream->skip(s->stream->context, size - 1) == 0) {
            to += size - 1;
            size = 1;
            s->ask = AFTER_SKIP;
        }
        empty_window(s, to);
        if (!fill(s))
            return false;
    }
    s->at += (size_t)size;
    return true;
}

/* Back to a multiple of 8, where the search goes on. */
static void align(struct scan *s)
{
    size_t by = -s->at & 7;

    if (need(s, by))
        s->at += by;
    else
        s->at = s->have;
}

/* The next size bytes in one piece: where they lie in the window, or in *copy, which the caller frees.
 * Passes over them. Empty when the file ends before, or without memory. */
static struct kgi_bytes take(struct scan *s, size_t size, uint8_t **copy)
{
    *copy = NULL;
    if (size <= ROOM - 64) {
        if (!need(s, size))
            return (struct kgi_bytes){NULL, 0};
        struct kgi_bytes b = {s->buffer + s->at, size};
        s->at += size;
        return b;
    }
    *copy = malloc(size);
    for (size_t have = 0; *copy && have < size;) {
        if (s->at == s->have) {
            empty_window(s, s->base + s->have);
            if (!fill(s))
                return (struct kgi_bytes){NULL, 0};
        }
        size_t n = size - have < s->have - s->at ? size - have : s->have - s->at;
        memcpy(*copy + have, s->buffer + s->at, n);
        s->at += n;
        have += n;
    }
    if (!*copy)
        s->error = -ENOMEM;
    return (struct kgi_bytes){*copy, *copy ? size : 0};
}

/* ---- what was found ------------------------------------------------------------------------------------ */

static struct kgi_found *add_found(struct scan *s, uint64_t at, bool fatbin)
{
    struct kgi_file *file = s->file;

    if (file->found_count == FOUND_MOST) {
        complain(s, true, "byte 0x%llx: more than %d images; the rest is not looked at",
                 (unsigned long long)at, FOUND_MOST);
        return NULL;
    }
    if (file->found_count == s->found_room) {
        size_t room = s->found_room ? 2 * s->found_room : 16;
        struct kgi_found *grown = realloc(file->found, room * sizeof *grown);
        if (!grown) {
            s->error = -ENOMEM;
            return NULL;
        }
        file->found = grown;
        s->found_room = room;
    }
    struct kgi_found *found = &file->found[file->found_count++];
    *found = (struct kgi_found){.place = at, .fatbin = fatbin};
    return found;
}

static struct kgi_code *add_code(struct scan *s, const struct kgi_code *code)
{
    struct kgi_found *found = &s->file->found[s->file->found_count - 1];

    if (s->code_count == CODES_MOST) {
        complain(s, true, "byte 0x%llx: more than %d entries; the rest is not looked at",
                 (unsigned long long)found->place, CODES_MOST);
        return NULL;
    }
    if ((found->count & (found->count - 1)) == 0) { /* powers of two: full */
        size_t room = found->count ? 2 * found->count : 1;
        struct kgi_code *grown = realloc(found->codes, room * sizeof *grown);
        if (!grown) {
            s->error = -ENOMEM;
            return NULL;
        }
        found->codes = grown;
    }
    s->code_count++;
    struct kgi_code *added = &found->codes[found->count++];
    *added = *code;
    added->payload = (struct kgi_bytes){NULL, code->payload.size};
    added->options = added->name = (struct kgi_bytes){NULL, 0};
    return added;
}

/* ---- fatbins ---------------------------------------------------------------------------------------------- */

struct fatbin_header {
    uint32_t magic;
    uint16_t version, header_size;
    uint64_t size;
};

static bool is_readable(const struct kgi_code *code)
{
    return (code->kind == KGI_CUBIN || code->kind == KGI_PTX ||
            code->kind == KGI_RELOCATABLE_PTX) &&
           !(code->traits & KGI_T_OBFUSCATED) && code->packing <= KGI_ZSTD;
}

/* Uncompressed cubins show without inflating that they are relocatable. */
static void look_at_head(struct scan *s, struct kgi_code *code)
{
    Elf64_Ehdr h;

    if (code->kind == KGI_CUBIN && code->packing == KGI_PLAIN && need(s, sizeof h) &&
        KGI_GET(here(s), 0, &h) && memcmp(h.e_ident, ELFMAG, SELFMAG) == 0 &&
        h.e_machine == MACHINE_CUDA && h.e_type == ET_REL)
        code->traits |= KGI_T_RELOCATABLE;
}

/* Reads a payload's kernels in another thread. packed: its bytes, or NULL: they are at that place. */
static void read_kernels(struct scan *s, const struct kgi_code *code, const uint8_t *packed, uint64_t at)
{
    const struct kgi_file *file = s->file;
    size_t last = file->found_count - 1;
    int error = kgi_inflater_add(s->inflater, last, file->found[last].count - 1, code, packed, at);

    s->error = error ? error : s->error;
}

/* The payload's bytes are next. Passes over them. */
static bool read_payload(struct scan *s, struct kgi_code *code, uint64_t padded)
{
    uint64_t stored = code->payload.size, at = place(s);
    uint8_t *copy = NULL;

    look_at_head(s, code);
    bool wanted = is_readable(code) && stored &&
                  (s->inflater || (code->size <= SMALL && stored <= SMALL));
    if (wanted && (code->size > UNPACKED_MOST || stored > UNPACKED_MOST)) {
        complain(s, true, "byte 0x%llx: an entry of %llu bytes unpacked; its kernels are not read",
                 (unsigned long long)at, (unsigned long long)code->size);
        wanted = false;
    }
    if (wanted && s->inflater && s->stream->read_at) {
        bool there = pass(s, padded);
        if (there)
            read_kernels(s, code, NULL, at);
        return there;
    }
    if (!wanted)
        return pass(s, padded);
    struct kgi_bytes payload = take(s, (size_t)stored, &copy);
    if (payload.at && s->inflater)
        read_kernels(s, code, payload.at, at);
    else if (payload.at)
        kgi_inspect_now(s->glance, code, payload);
    free(copy);
    return payload.at && pass(s, padded - stored);
}

/* The next entry of the fatbin that starts at `start` and has `left` bytes from here on. */
static int read_entry(struct scan *s, uint64_t start, uint64_t left, uint64_t *length)
{
    struct kgi_code code, *added;
    uint32_t header_size = 0;

    if (!need(s, 64) || !KGI_GET(here(s), 4, &header_size))
        return -ENODATA;
    if (header_size <= HEADER_MOST)
        need(s, header_size);
    int error = kgi_fatbin_entry(here(s), left, &code, length);
    if (error)
        return error;
    if (header_size > s->have - s->at)
        return header_size > HEADER_MOST ? -EBADMSG : -ENODATA;
    code.place = place(s) - start;
    added = add_code(s, &code);
    if (!added)
        return -E2BIG;
    s->at += header_size;
    return read_payload(s, added, *length - header_size) ? 0 : -ENODATA;
}

/* Four bytes that only look like a fatbin are no complaint, unless something else says that one must
 * be here: a wrapper, or that the file starts so. */
static void read_fatbin(struct scan *s)
{
    uint64_t start = place(s), left, length;
    struct fatbin_header h;
    struct kgi_code code;
    int error = 0;

    need(s, sizeof h + 64 + 128);
    if (!KGI_GET(here(s), 0, &h) || h.version != 1 || h.header_size != sizeof h ||
        (h.size && kgi_fatbin_entry(kgi_bytes_cut(here(s), sizeof h, here(s).size - sizeof h),
                                    h.size, &code, &length))) {
        if (start == 0)
            complain(s, true, "byte 0x0: broken fatbin");
        s->at += 8;
        return;
    }
    s->at += sizeof h;
    if (!add_found(s, start, true))
        return;
    for (left = h.size; left && !error; left -= error ? 0 : length)
        error = read_entry(s, start, left, &length);
    if (error == -EBADMSG)
        complain(s, true, "byte 0x%llx: broken entry of the fatbin at 0x%llx",
                 (unsigned long long)(start + sizeof h + h.size - left), (unsigned long long)start);
    else if (error == -ENODATA && s->ended)
        complain(s, true, "byte 0x%llx: the file ends inside the fatbin at 0x%llx, which goes to 0x%llx",
                 (unsigned long long)(s->base + s->have), (unsigned long long)start,
                 (unsigned long long)(start + sizeof h + h.size));
    align(s);
}

/* ---- raw cubins and PTX ------------------------------------------------------------------------------------- */

/* A whole image is in memory: its code is kept, its kernels are read. */
static int add_image(struct scan *s, uint64_t at, struct kgi_bytes image)
{
    struct kgi_code code, *added;
    size_t count;
    int error = kgi_image_codes(image, &code, 1, &count, NULL);

    if (error)
        return error;
    if (!add_found(s, at, false) || !(added = add_code(s, &code)))
        return 0;
    if (s->inflater)
        read_kernels(s, added, image.at, at);
    else
        kgi_inspect_now(s->glance, added, image);
    return 0;
}

static uint64_t table_end(uint64_t offset, uint64_t count, uint64_t size)
{
    return offset > UINT64_MAX / 2 ? UINT64_MAX : offset + count * size;
}

static uint64_t further(uint64_t end, uint64_t other)
{
    return other > end ? other : end;
}

/* ptxas and nvlink put both tables behind the sections. Half of the cubins that CUPTI brings have
 * them in front, where they show how far the sections go; more than SMALL would be read again and
 * again where a file is made of headers. */
static uint64_t cubin_extent(struct scan *s, const Elf64_Ehdr *h)
{
    uint64_t end = further(table_end(h->e_shoff, h->e_shnum, h->e_shentsize),
                           table_end(h->e_phoff, h->e_phnum, h->e_phentsize));
    Elf64_Shdr section;

    if (h->e_shentsize != sizeof section || end > SMALL || !need(s, (size_t)end))
        return end;
    for (uint64_t i = 0; i < h->e_shnum; i++)
        if (KGI_GET(here(s), h->e_shoff + i * sizeof section, &section) &&
            section.sh_type != SHT_NOBITS)
            end = further(end, table_end(section.sh_offset, section.sh_size, 1));
    return end;
}

static void read_cubin(struct scan *s, const Elf64_Ehdr *h)
{
    struct kgi_cubin head;
    uint64_t at = place(s), size = cubin_extent(s, h);
    uint8_t *copy = NULL;

    int error = kgi_cubin_head((struct kgi_bytes){(const uint8_t *)h, sizeof *h}, &head);
    if (error || size < sizeof *h || size > RAW_MOST) {
        if (at == 0)
            complain(s, true, "byte 0x0: a cubin %s",
                     error == -ENOTSUP ? "of an ABI that is not known" : "whose header is broken");
        s->at += 8;
        return;
    }
    struct kgi_bytes image = take(s, (size_t)size, &copy);
    if (!image.at && at == 0)
        complain(s, true, "byte 0x%llx: the file ends inside the cubin, which goes to 0x%llx",
                 (unsigned long long)(s->base + s->have), (unsigned long long)size);
    else if (add_image(s, at, image) == -EBADMSG && at == 0)
        complain(s, true, "byte 0x0: broken cubin");
    free(copy);
    align(s);
}

/* A file that is PTX as a whole. Any text may begin with a comment: .version decides. */
static void read_ptx(struct scan *s)
{
    struct kgi_ptx head;
    uint8_t *text = NULL, *grown;
    size_t size = 0;
    bool more = true;

    need(s, ROOM - 64);
    int error = kgi_ptx_head(here(s), &head);
    if (error == -ENODATA || (error && memcmp(s->buffer, ".version", 8) != 0))
        return;
    if (error) {
        complain(s, true, "byte 0x0: PTX without .version and .target");
        return;
    }
    while (more && size < RAW_MOST && (grown = realloc(text, size + (s->have - s->at)))) {
        text = grown;
        memcpy(text + size, s->buffer + s->at, s->have - s->at);
        size += s->have - s->at;
        s->at = s->have;
        empty_window(s, s->base + s->have);
        more = fill(s);
    }
    if (more && size < RAW_MOST)
        s->error = -ENOMEM;
    else if (more)
        complain(s, true, "byte 0x%zx: PTX of more than %d MiB; the rest is not read", size, RAW_MOST >> 20);
    if (text)
        add_image(s, 0, (struct kgi_bytes){text, size});
    free(text);
    align(s);
}

/* ---- the host ELF --------------------------------------------------------------------------------------------- */

static void note_host(struct scan *s, const Elf64_Ehdr *h)
{
    uint64_t before = h->e_shoff < TAIL ? h->e_shoff : TAIL;

    s->host = *h;
    s->file->dynamic_elf = h->e_type == ET_EXEC || h->e_type == ET_DYN;
    if (h->e_phentsize == sizeof(Elf64_Phdr))
        keep(s, &s->segments, h->e_phoff, (uint64_t)h->e_phnum * sizeof(Elf64_Phdr));
    if (h->e_shentsize == sizeof(Elf64_Shdr) && h->e_shoff)
        keep(s, &s->sections, h->e_shoff - before,
             before + (uint64_t)h->e_shnum * sizeof(Elf64_Shdr));
}

static void read_elf(struct scan *s)
{
    Elf64_Ehdr h;

    need(s, sizeof h);
    if (!KGI_GET(here(s), 0, &h) || h.e_ident[EI_CLASS] != ELFCLASS64 ||
        h.e_ident[EI_DATA] != ELFDATA2LSB) {
        s->at += 8;
        return;
    }
    if (h.e_machine == MACHINE_CUDA) {
        read_cubin(s, &h);
        return;
    }
    if (place(s) == 0)
        note_host(s, &h);
    s->at += 8;
}

static void read_wrapper(struct scan *s)
{
    struct {
        uint32_t magic, version;
        uint64_t data, linked;
    } w;

    need(s, sizeof w);
    s->at += 8;
    if (!kgi_bytes_get((struct kgi_bytes){s->buffer + s->at - 8, s->have - s->at + 8}, 0, &w,
                       sizeof w) ||
        (w.version != 1 && w.version != 2) || s->wrapper_count == FOUND_MOST)
        return;
    if ((s->wrapper_count & (s->wrapper_count - 1)) == 0) {
        size_t room = s->wrapper_count ? 2 * s->wrapper_count : 1;
        struct wrapper *grown = realloc(s->wrappers, room * sizeof *grown);
        if (!grown) {
            s->error = -ENOMEM;
            return;
        }
        s->wrappers = grown;
    }
    s->wrappers[s->wrapper_count++] = (struct wrapper){w.data, w.version};
}

/* The file offset of an address, through the program headers; UINT64_MAX where there is none. */
static uint64_t offset_of(const struct scan *s, uint64_t address)
{
    struct kgi_bytes table = {s->segments.bytes, s->segments.have};
    Elf64_Phdr p;

    for (size_t at = 0; KGI_GET(table, at, &p); at += sizeof p)
        if (p.p_type == PT_LOAD && address >= p.p_vaddr && address - p.p_vaddr < p.p_filesz)
            return p.p_offset + (address - p.p_vaddr);
    return UINT64_MAX;
}

static struct kgi_found *found_at(const struct kgi_file *file, uint64_t at)
{
    size_t low = 0, high = file->found_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (file->found[middle].place < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low < file->found_count && file->found[low].place == at ? &file->found[low] : NULL;
}

/* The bytes [*from, *to) of nvcc -rdc's relocatable fatbins, by their section's name. */
static void relocatable_range(const struct scan *s, uint64_t *from, uint64_t *to)
{
    const struct keep *k = &s->sections;
    Elf64_Shdr strings, h;

    *from = *to = 0;
    if (!k->bytes || k->have != k->size)
        return;
    struct kgi_bytes all = {k->bytes, k->size};
    uint64_t table = s->host.e_shoff - k->place;
    if (!KGI_GET(all, table + (uint64_t)s->host.e_shstrndx * sizeof h, &strings) ||
        strings.sh_offset < k->place)
        return;
    struct kgi_bytes names =
        kgi_bytes_cut(all, strings.sh_offset - k->place, strings.sh_size);
    for (size_t i = 1; i < s->host.e_shnum && KGI_GET(all, table + i * sizeof h, &h); i++) {
        const char *name = kgi_bytes_string(names, h.sh_name);
        if (name && strcmp(name, "__nv_relfatbin") == 0) {
            *from = h.sh_offset;
            *to = h.sh_offset + h.sh_size;
        }
    }
}

static bool all_relocatable(const struct kgi_found *found)
{
    for (size_t i = 0; i < found->count; i++)
        if (!(found->codes[i].traits & KGI_T_RELOCATABLE) && found->codes[i].kind != KGI_INDEX)
            return false;
    return found->count > 0;
}

static void follow_wrappers(struct scan *s)
{
    for (size_t i = 0; i < s->wrapper_count; i++) {
        uint64_t at = s->wrappers[i].data ? offset_of(s, s->wrappers[i].data) : UINT64_MAX;
        struct kgi_found *found = found_at(s->file, at);
        if (found) {
            found->registered = true;
            found->linked |= s->wrappers[i].version == 2;
        } else if (at != UINT64_MAX && at < s->base + s->have) {
            complain(s, true, "byte 0x%llx: a wrapper leads here, and there is no whole fatbin",
                     (unsigned long long)at);
        }
    }
}

/* Says of each image whether the runtime gets it. */
static void settle_registration(struct scan *s)
{
    struct kgi_file *file = s->file;
    bool unknown = !file->dynamic_elf;
    uint64_t from, to;

    for (size_t i = 0; i < s->wrapper_count; i++)
        unknown |= s->wrappers[i].data == 0;
    relocatable_range(s, &from, &to);
    if (file->dynamic_elf)
        follow_wrappers(s);
    for (size_t i = 0; i < file->found_count; i++) {
        struct kgi_found *found = &file->found[i];
        found->registered |= unknown;
        found->relocatable = !found->linked && ((found->place >= from && found->place < to) ||
                                                all_relocatable(found));
    }
}

/* A host ELF says where it ends. */
static void check_end(struct scan *s)
{
    const Elf64_Ehdr *h = &s->host;
    uint64_t size = s->base + s->have, end = table_end(h->e_shoff, h->e_shnum, h->e_shentsize);

    if (h->e_shoff && end > size && s->ended)
        complain(s, true, "byte 0x%llx: the file ends before its section headers, at 0x%llx",
                 (unsigned long long)size, (unsigned long long)h->e_shoff);
}

/* ---- looking ahead ------------------------------------------------------------------------------------------------ */

/* Until the first payload is found, the threads that are to read it have nothing to do: 165 MB of
 * libcublasLt's 542 lie before, 35 ms of one thread. So where much holds nothing, they search as much again
 * together, each a piece of it. */
struct ahead {
    struct kgi_stream *stream;
    uint64_t from;
    _Atomic uint64_t to; /* the first place that must be looked at: a magic number, what cannot be read */
};

static void look_at_piece(void *context, size_t i)
{
    struct ahead *a = context;
    uint64_t at = a->from + i * PIECE, end = at + PIECE;
    uint8_t *buffer = malloc(GLANCE);

    while (buffer && at < end && at < a->to) {
        ssize_t n = a->stream->read_at(a->stream->context, buffer, GLANCE, at);
        size_t whole = n < 0 ? 0 : (size_t)n & ~(size_t)7;
        size_t hit = kgi_find_magic(buffer, 0, whole);
        at += hit < whole ? hit : whole;
        if (hit < whole || whole == 0)
            break;
    }
    free(buffer);
    uint64_t to = a->to;
    while (at < end && at < to && !atomic_compare_exchange_weak(&a->to, &to, at))
        ;
}

/* Passes over what holds no magic number; nothing of what is wanted later. */
static void look_ahead(struct scan *s)
{
    const struct keep *const kept[] = {&s->segments, &s->sections};
    uint64_t from = place(s), size = (from - s->barren) & ~(uint64_t)(PIECE - 1);
    struct ahead a = {s->stream, from, from + (size < AHEAD_MOST ? size : AHEAD_MOST)};

    if (size == 0 || !s->inflater || !s->stream->read_at || s->start.size)
        return;
    for (size_t i = 0; i < KGI_COUNT(kept); i++)
        if (kept[i]->place + kept[i]->size > from && kept[i]->place < a.to)
            a.to = kept[i]->place > from ? kept[i]->place : from;
    kgi_each((a.to - from + PIECE - 1) / PIECE, look_at_piece, &a);
    pass(s, a.to - from);
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static void search(struct scan *s)
{
    need(s, 64);
    if (kgi_image_form(here(s)) == KGI_FORM_PTX)
        read_ptx(s);
    while (s->error == 0) {
        size_t hit = kgi_find_magic(s->buffer, s->at, s->have);
        uint32_t magic;
        if (hit >= s->have) { /* fewer than 8 bytes are left over */
            s->at = s->have & ~(size_t)7;
            look_ahead(s);
            compact(s);
            if (!fill(s))
                return;
            continue;
        }
        s->at = hit;
        uint64_t found = place(s);
        memcpy(&magic, s->buffer + hit, sizeof magic);
        if (magic == KGI_FATBIN_MAGIC)
            read_fatbin(s);
        else if (magic == KGI_WRAPPER_MAGIC)
            read_wrapper(s);
        else
            read_elf(s);
        if (place(s) <= found) /* cut short: look behind the magic */
            s->at += 8;
        s->barren = place(s);
    }
}

/* One is kept for the next file: an environment has 50 000, and a window freed among what is kept of each
 * left 100 MB of holes. */
struct workspace {
    uint8_t window[ROOM];
    struct kgi_glance *glance;
};

static _Atomic(struct workspace *) spare;

static struct workspace *take_workspace(void)
{
    struct workspace *w = atomic_exchange(&spare, NULL);

    return w ? w : calloc(1, sizeof *w);
}

static void leave_workspace(struct workspace *w)
{
    struct workspace *none = NULL;

    if (!w || atomic_compare_exchange_strong(&spare, &none, w))
        return;
    kgi_glance_free(w->glance);
    free(w);
}

int kgi_scan_stream(const char *path, struct kgi_bytes start, struct kgi_stream *stream,
                    bool with_kernels, struct kgi_file *out)
{
    struct workspace *w = take_workspace();
    struct scan s = {.stream = stream, .start = start, .ask = WINDOW, .file = out};

    *out = (struct kgi_file){.path = strdup(path)};
    s.inflater = with_kernels ? kgi_inflater_start(stream) : NULL;
    if (!out->path || !w || (with_kernels && !s.inflater)) {
        s.error = -ENOMEM;
    } else {
        s.buffer = w->window;
        s.glance = &w->glance;
        search(&s);
    }
    if (s.inflater) {
        int error = kgi_inflater_end(s.inflater, out);
        s.error = s.error ? s.error : error;
    }
    if (s.error == 0) {
        out->size = s.base + s.have;
        settle_registration(&s);
        check_end(&s);
        kgi_file_settle(out);
    }
    free(s.segments.bytes);
    free(s.sections.bytes);
    free(s.wrappers);
    leave_workspace(w);
    return s.error;
}

void kgi_file_free(struct kgi_file *file)
{
    for (size_t i = 0; i < file->found_count; i++) {
        struct kgi_found *found = &file->found[i];
        for (size_t j = 0; found->kernels && j < found->count; j++)
            free(found->kernels[j]);
        free(found->kernels);
        free(found->codes);
    }
    kgi_kernel_names_free(file->names);
    free(file->found);
    free(file->path);
    free(file->inner);
    free(file->error);
    free(file->package);
    free(file->torch);
    *file = (struct kgi_file){0};
}
