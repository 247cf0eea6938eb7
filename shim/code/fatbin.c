/*
 * The fatbin container: one 16-byte header, then entries back to back.
 *
 *   header   +0 u32 magic BA55ED50; +4 u16 version 1; +6 u16 header size 16; +8 u64 size of what
 *            follows. Size 0 is valid: nvcc gives every PTX-only program one fatbin with no entry
 *            (the device-link stub).
 *   entry    +00 u16 kind            +02 u16 version 0101   +04 u32 header size (64 .. 128 seen)
 *            +08 u64 padded payload  +10 u32 packed size    +14 u32 offset of options descriptor
 *            +18 u16 minor, +1A u16 major                   +1C u32 arch
 *            +20 u32 name offset, +24 u32 name length       +28 u64 flags
 *            +30 u64 obfuscation key +38 u64 unpacked size  (packed size and unpacked size are 0 in
 *            an entry that is not packed)
 *   options  +0 u32 offset of the text from the entry's start, +4 u32 length. With flag bit 24 (every
 *            cubin of sm_100 and up) the text is empty, and behind its NUL lies a copy of the
 *            cubin's .nv.compat section, counted in the length.
 *
 * Seen in about 30 000 fatbins of CUDA 11.8 to 13.1 libraries: the entry version is always 0101,
 * payloads are multiples of 8, the last entry ends exactly where the fatbin does. The header size
 * varies with the name and options stored in it, so it is never taken as a constant. The driver
 * walks on without such checks; this reader refuses, because behind a wrong size lies only noise.
 */
#include <errno.h>
#include "code.h"

enum {
    HEADER_SIZE = 16,
    ENTRY_SIZE = 64,
    ENTRY_VERSION = 0x0101,
};

enum flag {
    FLAG_DEBUG = 1u << 1,
    FLAG_ZLIB = 1u << 12, /* bits 12 and 14 are names only: never seen in a file */
    FLAG_LZ4 = 1u << 13,
    FLAG_LZ4_SECOND = 1u << 14,
    FLAG_ZSTD = 1u << 15,
    FLAG_OBFUSCATED = 1u << 16,
    FLAG_SUFFIX_A = 1u << 20,
    FLAG_SUFFIX_F = 1u << 21,
    FLAG_COMPAT = 1u << 24,
};

struct fatbin_header {
    uint32_t magic;
    uint16_t version, header_size;
    uint64_t size;
};

struct entry_header {
    uint16_t kind, version;
    uint32_t header_size;
    uint64_t padded_size;
    uint32_t packed_size, options;
    uint16_t minor, major;
    uint32_t arch;
    uint32_t name, name_size;
    uint64_t flags, key, unpacked_size;
};
_Static_assert(sizeof(struct fatbin_header) == HEADER_SIZE, "as in the file");
_Static_assert(sizeof(struct entry_header) == ENTRY_SIZE, "as in the file");

static uint8_t packing_of(uint64_t flags)
{
    switch (flags & (FLAG_ZLIB | FLAG_LZ4 | FLAG_LZ4_SECOND | FLAG_ZSTD)) {
    case 0:
        return KGI_PLAIN;
    case FLAG_LZ4:
        return KGI_LZ4;
    case FLAG_ZSTD:
        return KGI_ZSTD;
    default:
        return KGI_PACKING_UNKNOWN;
    }
}

/* The most that so many packed bytes can unpack to: LZ4 spends a byte on every 255; a zstd block of
 * 128 KiB needs its 3-byte header and a byte. Whoever allocates by code->size is safe from a header
 * that promises the moon. */
static bool size_is_possible(uint8_t packing, uint64_t packed, uint64_t unpacked)
{
    switch (packing) {
    case KGI_LZ4:
        return packed ? unpacked / 255 <= packed : unpacked == 0;
    case KGI_ZSTD:
        return packed ? unpacked / (128 * 1024) <= packed / 4 : unpacked == 0;
    default:
        return true;
    }
}

static uint32_t traits_of(const struct entry_header *h)
{
    return (h->flags & FLAG_DEBUG ? KGI_T_DEBUG : 0) |
           (h->flags & FLAG_OBFUSCATED ? KGI_T_OBFUSCATED : 0) |
           (h->flags & FLAG_COMPAT ? KGI_T_COMPAT : 0) |
           (h->kind == KGI_RELOCATABLE_PTX ? KGI_T_RELOCATABLE : 0);
}

static struct kgi_bytes trim_at_nul(struct kgi_bytes b)
{
    const uint8_t *end = b.size ? memchr(b.at, 0, b.size) : NULL;
    if (end)
        b.size = (size_t)(end - b.at);
    return b;
}

/* PTX made with nvcc -dc: "--compile-only" among the stored ptxas options is the only mark. */
static bool is_compile_only(struct kgi_bytes options)
{
    static const char word[] = "--compile-only";
    return options.size && memmem(options.at, options.size, word, sizeof word - 1);
}

/* The texts that may lie between the fixed header and the payload. A wrong offset costs the text,
 * not the entry: nothing else depends on it. */
static void read_texts(struct kgi_bytes head, const struct entry_header *h, struct kgi_code *entry)
{
    struct {
        uint32_t offset, size;
    } d;

    if (h->name)
        entry->name = trim_at_nul(kgi_bytes_cut(head, h->name, h->name_size));
    if (!h->options || !KGI_GET(head, h->options, &d))
        return;
    entry->options = trim_at_nul(kgi_bytes_cut(head, d.offset, d.size));
    if (is_compile_only(entry->options))
        entry->traits |= KGI_T_RELOCATABLE;
}

int kgi_fatbin_entry(struct kgi_bytes rest, uint64_t left, struct kgi_code *entry, uint64_t *length)
{
    struct entry_header h;

    if (!KGI_GET(rest, 0, &h) || h.version != ENTRY_VERSION || h.header_size < ENTRY_SIZE ||
        h.header_size > left || h.padded_size > left - h.header_size)
        return -EBADMSG;
    uint8_t packing = packing_of(h.flags);
    if (h.packed_size > h.padded_size || h.arch > UINT16_MAX)
        return -EBADMSG;
    uint64_t stored = packing == KGI_PLAIN ? h.padded_size : h.packed_size;
    *entry = (struct kgi_code){
        .kind = h.kind,
        .target = {(uint16_t)h.arch, h.flags & FLAG_SUFFIX_A   ? 'a'
                                     : h.flags & FLAG_SUFFIX_F ? 'f'
                                                               : 0},
        .major = h.major,
        .minor = h.minor,
        .packing = packing,
        .abi = h.kind == KGI_CUBIN && h.major == 1 && (h.minor == 7 || h.minor == 8)
                   ? (uint8_t)h.minor
                   : 0,
        .traits = traits_of(&h),
        .kernels = -1,
        .flags = h.flags,
        .size = packing == KGI_PLAIN ? stored : h.unpacked_size,
        .payload = kgi_bytes_cut(rest, h.header_size, stored),
    };
    entry->payload.size = stored;
    if (!size_is_possible(packing, stored, entry->size))
        return -EBADMSG;
    read_texts(kgi_bytes_cut(rest, 0, h.header_size), &h, entry);
    *length = h.header_size + h.padded_size;
    return 0;
}

int kgi_fatbin_next(struct kgi_bytes fatbin, uint64_t *at, struct kgi_code *entry)
{
    struct fatbin_header h;
    uint64_t length;

    if (!KGI_GET(fatbin, 0, &h) || h.magic != KGI_FATBIN_MAGIC || h.version != 1 ||
        h.header_size < HEADER_SIZE || h.header_size > fatbin.size)
        return -EBADMSG;
    if (*at == 0)
        *at = h.header_size;
    if (*at < h.header_size || *at > fatbin.size || *at - h.header_size > h.size)
        return -EBADMSG;
    uint64_t left = h.size - (*at - h.header_size);
    if (left == 0)
        return 0;
    if (left > fatbin.size - *at)
        left = fatbin.size - *at; /* truncated: what lies before the cut can still be read */
    int error = kgi_fatbin_entry(kgi_bytes_cut(fatbin, *at, left), left, entry, &length);
    if (error)
        return error;
    entry->place = *at;
    *at += length;
    return 1;
}

size_t kgi_fatbin_length(struct kgi_bytes b)
{
    struct kgi_code entry;
    uint64_t at = 0;
    int more;

    while ((more = kgi_fatbin_next(b, &at, &entry)) > 0)
        ;
    return more < 0 ? 0 : (size_t)at;
}
