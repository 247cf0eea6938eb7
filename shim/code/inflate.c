/*
 * Unpacking of fatbin payloads. LZ4 payloads are one raw block without a frame; zstd payloads are
 * one standard frame with its content size, no dictionary. Both unpack to exactly the size in the
 * entry header (every one of 17 600 zstd entries of shipped libraries), so one-shot decoding into a
 * buffer of that size is all that is needed, and any other result means broken data.
 *
 * The program's malloc is not ours to call while its driver call fails: zstd's context is placed
 * in pages of our own, LZ4 needs none.
 */
#define ZSTD_STATIC_LINKING_ONLY
#include <errno.h>
#include <limits.h>
#include <lz4.h>
#include <zstd.h>
#include "../base/base.h"
#include "code.h"

static int inflate_zstd(struct kgi_bytes packed, void *out, size_t out_size)
{
    size_t need = ZSTD_estimateDCtxSize(), length = 0;
    void *memory = kgi_pages_get(need);

    if (!memory)
        return -ENOMEM;
    ZSTD_DCtx *context = ZSTD_initStaticDCtx(memory, need);
    if (context)
        length = ZSTD_decompressDCtx(context, out, out_size, packed.at, packed.size);
    kgi_pages_put(memory, need);
    return context && !ZSTD_isError(length) && length == out_size ? 0 : -EBADMSG;
}

static int inflate_lz4(struct kgi_bytes packed, void *out, size_t out_size)
{
    if (packed.size > INT_MAX || out_size > INT_MAX)
        return -EBADMSG;
    int length = LZ4_decompress_safe((const char *)packed.at, out, (int)packed.size, (int)out_size);
    return length >= 0 && (size_t)length == out_size ? 0 : -EBADMSG;
}

int kgi_inflate(uint8_t packing, struct kgi_bytes packed, void *out, size_t out_size)
{
    switch (packing) {
    case KGI_LZ4:
        return inflate_lz4(packed, out, out_size);
    case KGI_ZSTD:
        return inflate_zstd(packed, out, out_size);
    default:
        return -ENOTSUP;
    }
}
