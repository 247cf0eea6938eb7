/*
 * Keys and entries as bytes; cache.h has the format. Nothing here does I/O, and nothing is trusted
 * before the digest was right: an entry is what some program once left in a directory.
 */
#include <errno.h>
#define XXH_INLINE_ALL /* the archive has been built with _FORTIFY_SOURCE: it needs __memcpy_chk */
#include <xxhash.h>
#include "../base/base.h"
#include "cache.h"
#include "sha256.h"

#define FORMAT 1
#define FLAG_FAILURE 1u
#define ALIGNMENT 64
static const char magic[8] = "KGCACHE";
static const char key_format[] = "kguard key 1";

const char *const kgi_entry_state_names[] = {
    "absent",  "unreadable", "foreign", "damaged", "newer-format",
    "expired", "failure",    "other-driver", "unfit", "good",
};

struct head { /* the first bytes of an entry, as they lie there */
    char magic[8];
    uint32_t format, header_size;
    uint8_t key[32];
    uint64_t payload_size;
    uint32_t flags, cost_ms, key_size, compiler_size;
};
_Static_assert(sizeof(struct head) == 72, "the format");

/* ---- fields: u32 length, bytes ----------------------------------------------------------------------- */

struct fields {
    uint8_t *at;
    size_t size;
};

static void add(struct fields *f, const void *bytes, size_t size)
{
    uint32_t length = (uint32_t)size;

    memcpy(f->at + f->size, &length, sizeof length);
    memcpy(f->at + f->size + sizeof length, bytes, size);
    f->size += sizeof length + size;
}

/* The next field of a block; false at its end or where it is broken. */
static bool next(struct kgi_bytes block, size_t *at, struct kgi_bytes *out)
{
    uint32_t length;

    if (!KGI_GET(block, *at, &length))
        return false;
    *out = kgi_bytes_cut(block, *at + sizeof length, length);
    *at += sizeof length + out->size;
    return out->at != NULL;
}

/* ---- keys --------------------------------------------------------------------------------------------- */

static void hash(SHA2_CTX *context, const void *bytes, size_t size)
{
    uint64_t length = size;

    kgi_sha256_update(context, &length, sizeof length);
    kgi_sha256_long(context, bytes, size);
}

int kgi_cache_key(const struct kgi_cache_input *inputs, size_t count, struct kgi_target target,
                  const char *options, struct kgi_cache_key *out)
{
    static const char *const packings[] = {"plain", "lz4", "zstd", "unknown"};
    struct fields block = {out->block, 0};
    uint8_t digest[SHA256_DIGEST_LENGTH];
    uint64_t number = count, bytes = 0;
    char name[20];
    SHA2_CTX context;

    if (strlen(options) > KGI_CACHE_OPTIONS)
        return -E2BIG;
    SHA256Init(&context);
    for (size_t i = 0; i < count; i++) {
        const char *packing = packings[inputs[i].packing < 3 ? inputs[i].packing : 3];

        hash(&context, packing, strlen(packing));
        hash(&context, inputs[i].payload.at, inputs[i].payload.size);
        bytes += inputs[i].payload.size;
    }
    kgi_sha256_final(&context, digest);
    kgi_target_name(target, "sm_", name, sizeof name);
    add(&block, key_format, strlen(key_format));
    add(&block, name, strlen(name));
    add(&block, options, strlen(options));
    add(&block, &number, sizeof number);
    add(&block, &bytes, sizeof bytes);
    add(&block, digest, sizeof digest);
    out->size = (uint16_t)block.size;
    kgi_sha256(out->block, out->size, out->digest);
    return 0;
}

bool kgi_cache_question(struct kgi_bytes key_block, struct kgi_cache_question *out)
{
    struct kgi_bytes format, count, bytes;
    size_t at = 0;

    return next(key_block, &at, &format) && format.size == strlen(key_format) &&
           !memcmp(format.at, key_format, format.size) && next(key_block, &at, &out->target) &&
           next(key_block, &at, &out->options) && next(key_block, &at, &count) &&
           next(key_block, &at, &bytes) && next(key_block, &at, &out->inputs) &&
           at == key_block.size && out->inputs.size == SHA256_DIGEST_LENGTH &&
           count.size == sizeof out->count && bytes.size == sizeof out->bytes &&
           KGI_GET(count, 0, &out->count) && KGI_GET(bytes, 0, &out->bytes);
}

/* ---- compilers ---------------------------------------------------------------------------------------- */

static size_t compiler_block(const struct kgi_compiler *by, uint8_t *out)
{
    struct fields block = {out, 0};
    uint32_t version = (uint32_t)by->cuda_version;
    const char *kind = by->kind == KGI_BY_DRIVER ? "driver" : "ptxas";

    add(&block, kind, strlen(kind));
    add(&block, &version, sizeof version);
    add(&block, by->build, strnlen(by->build, sizeof by->build - 1));
    return block.size;
}

static bool read_compiler(struct kgi_bytes block, struct kgi_compiler *out)
{
    struct kgi_bytes kind, version, build;
    uint32_t number;
    size_t at = 0;

    if (!next(block, &at, &kind) || !next(block, &at, &version) || !next(block, &at, &build) ||
        at != block.size || version.size != sizeof number || !KGI_GET(version, 0, &number) ||
        build.size >= sizeof out->build)
        return false;
    memset(out, 0, sizeof *out);
    if (kind.size == 6 && !memcmp(kind.at, "driver", 6))
        out->kind = KGI_BY_DRIVER;
    else if (kind.size == 5 && !memcmp(kind.at, "ptxas", 5))
        out->kind = KGI_BY_PTXAS;
    else
        return false;
    out->cuda_version = (int)number;
    memcpy(out->build, build.at, build.size);
    return true;
}

void kgi_compiler_id(const struct kgi_compiler *by, uint8_t out[8])
{
    uint8_t block[KGI_CACHE_BUILD + 32], digest[SHA256_DIGEST_LENGTH];

    kgi_sha256(block, compiler_block(by, block), digest);
    memcpy(out, digest, 8);
}

/* ---- entries ------------------------------------------------------------------------------------------- */

size_t kgi_entry_header(const struct kgi_cache_key *key, const struct kgi_compiler *by, bool failure,
                        uint32_t cost_ms, uint64_t payload_size, uint8_t *out)
{
    struct head head = {.format = FORMAT, .payload_size = payload_size, .cost_ms = cost_ms};

    memset(out, 0, KGI_ENTRY_HEADER);
    memcpy(head.magic, magic, sizeof head.magic);
    memcpy(head.key, key->digest, sizeof head.key);
    head.flags = failure ? FLAG_FAILURE : 0;
    head.key_size = key->size;
    memcpy(out + sizeof head, key->block, key->size);
    head.compiler_size = (uint32_t)compiler_block(by, out + sizeof head + key->size);
    head.header_size = (uint32_t)(sizeof head + head.key_size + head.compiler_size +
                                  ALIGNMENT - 1) & ~(uint32_t)(ALIGNMENT - 1);
    memcpy(out, &head, sizeof head);
    return head.header_size;
}

void kgi_entry_digest(struct kgi_bytes header, struct kgi_bytes payload, uint8_t out[16])
{
    XXH3_state_t state;
    XXH128_canonical_t canonical;

    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, header.at, header.size);
    XXH3_128bits_update(&state, payload.at, payload.size);
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state));
    memcpy(out, canonical.digest, sizeof canonical.digest);
}

static bool digest_right(struct kgi_bytes before, struct kgi_bytes digest)
{
    XXH128_canonical_t canonical;

    XXH128_canonicalFromHash(&canonical, XXH3_128bits(before.at, before.size));
    return digest.size == sizeof canonical && !memcmp(digest.at, &canonical, sizeof canonical);
}

/* Whether the key block is the one whose digest the entry's name has. */
static bool key_right(const uint8_t key[32], struct kgi_bytes block)
{
    struct kgi_cache_question question;
    uint8_t digest[SHA256_DIGEST_LENGTH];

    if (!kgi_cache_question(block, &question))
        return false;
    kgi_sha256(block.at, block.size, digest);
    return !memcmp(digest, key, sizeof digest);
}

enum kgi_entry_state kgi_entry_head(struct kgi_bytes start, struct kgi_entry *out)
{
    struct head head;
    struct kgi_bytes compiler;

    if (!KGI_GET(start, 0, &head) || memcmp(head.magic, magic, sizeof head.magic))
        return KGI_ENTRY_DAMAGED;
    /* A newer one is another program's property: it may have other lengths, too. */
    if (head.format > FORMAT || head.flags & ~FLAG_FAILURE)
        return KGI_ENTRY_NEWER;
    *out = (struct kgi_entry){.failure = head.flags & FLAG_FAILURE, .cost_ms = head.cost_ms};
    memcpy(out->key, head.key, sizeof out->key);
    out->key_block = kgi_bytes_cut(start, sizeof head, head.key_size);
    compiler = kgi_bytes_cut(start, sizeof head + (uint64_t)head.key_size, head.compiler_size);
    out->payload.size = head.payload_size;
    if (head.format != FORMAT || head.header_size % ALIGNMENT ||
        head.header_size < sizeof head + (uint64_t)head.key_size + head.compiler_size ||
        !out->key_block.at || !compiler.at || !read_compiler(compiler, &out->by) ||
        !key_right(out->key, out->key_block))
        return KGI_ENTRY_DAMAGED;
    return KGI_ENTRY_GOOD;
}

enum kgi_entry_state kgi_entry_read(struct kgi_bytes file, struct kgi_entry *out)
{
    enum kgi_entry_state state = kgi_entry_head(file, out);
    struct kgi_bytes before, digest;
    uint32_t header_size = 0;

    if (state != KGI_ENTRY_GOOD)
        return state;
    KGI_GET(file, offsetof(struct head, header_size), &header_size);
    out->payload = kgi_bytes_cut(file, header_size, out->payload.size);
    before = kgi_bytes_cut(file, 0, (uint64_t)header_size + out->payload.size);
    digest = kgi_bytes_cut(file, before.size, file.size - before.size);
    return out->payload.at && before.at && digest_right(before, digest) ? KGI_ENTRY_GOOD
                                                                        : KGI_ENTRY_DAMAGED;
}
