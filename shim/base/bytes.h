/*
 * Checked reading of untrusted bytes. Everything that comes from a file or from an image in memory
 * is read through these few functions: no offset, length or count from the data is used unchecked.
 */
#ifndef KGI_BYTES_H
#define KGI_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A borrowed range of bytes; never owns memory. */
struct kgi_bytes {
    const uint8_t *at;
    size_t size;
};

/* Whether [offset, offset + size) lies inside b; cannot overflow. */
static inline bool kgi_bytes_has(struct kgi_bytes b, uint64_t offset, uint64_t size)
{
    return offset <= b.size && size <= b.size - offset;
}

/* The bytes [offset, offset + size), or an empty range with at == NULL when they do not fit. */
static inline struct kgi_bytes kgi_bytes_cut(struct kgi_bytes b, uint64_t offset, uint64_t size)
{
    if (!kgi_bytes_has(b, offset, size))
        return (struct kgi_bytes){NULL, 0};
    return (struct kgi_bytes){b.at + offset, (size_t)size};
}

/* Copies size bytes at offset to out; false, and out untouched, when they do not fit. Works for any
 * alignment; the formats read here are little-endian, as are the hosts CUDA runs on. */
static inline bool kgi_bytes_get(struct kgi_bytes b, uint64_t offset, void *out, size_t size)
{
    if (!kgi_bytes_has(b, offset, size))
        return false;
    memcpy(out, b.at + offset, size);
    return true;
}

#define KGI_GET(bytes, offset, variable)                                                           \
    kgi_bytes_get((bytes), (uint64_t)(offset), (variable), sizeof *(variable))

/* The NUL-ended string at offset, or NULL when its end is not inside b. Borrowed from b. */
static inline const char *kgi_bytes_string(struct kgi_bytes b, uint64_t offset)
{
    if (offset >= b.size || !memchr(b.at + offset, 0, b.size - offset))
        return NULL;
    return (const char *)b.at + offset;
}

#endif
