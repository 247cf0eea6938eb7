/*
 * Blobs of an image layout are named by what they hold: "blobs/sha256/" and the SHA-256 of their bytes, or
 * that alone (skopeo's dir:). Whatever reads one is given it through here, and one that holds other bytes
 * is named: cut off, changed, or mixed up, it is not what the registry served. What it holds is scanned all
 * the same. That takes all of its bytes, also those that nobody would have read: 2 GB/s where the processor
 * has SHA instructions.
 */
#include "image.h"

#include "../jit/sha256.h"

struct hashed {
    struct kgi_stream *stream;
    SHA2_CTX sha;
    bool failed;
};

static ssize_t hashed_read(void *context, void *to, size_t size)
{
    struct hashed *h = context;
    ssize_t n = h->stream->read(h->stream->context, to, size);

    if (n > 0)
        kgi_sha256_update(&h->sha, to, (size_t)n);
    h->failed |= n < 0;
    return n;
}

/* The digest in a blob's name; NULL for other names, and other digests. */
static const char *digest_of(const char *member)
{
    static const char start[] = "blobs/sha256/";
    size_t skip = strncmp(member, start, sizeof start - 1) == 0 ? sizeof start - 1 : 0;
    const char *digest = member + skip;

    return strlen(digest) == 64 && strspn(digest, "0123456789abcdef") == 64 ? digest : NULL;
}

static void compare(struct kgi_walk *walk, const struct kgi_blob *blob, SHA2_CTX *sha)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    KGI_TEXT(text, 2 * sizeof digest + 1);

    kgi_sha256_final(sha, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        kgi_text_add(&text, "%02x", digest[i]);
    if (strcmp(text.at, digest_of(blob->member)) != 0)
        kgi_walk_error(walk, blob->path, "%s: its bytes are not those of its name; their SHA-256 is %s",
                       blob->member, text.at);
}

int kgi_use_blob(struct kgi_walk *walk, const struct kgi_node *node, void *context)
{
    const struct kgi_blob *blob = context;
    struct hashed h = {.stream = node->stream};
    struct kgi_stream stream = {.read = hashed_read, .context = &h};
    struct kgi_node through = *node;
    uint8_t rest[16384];

    if (!digest_of(blob->member))
        return blob->use(walk, node, blob->context);
    SHA256Init(&h.sha);
    kgi_sha256_update(&h.sha, node->start.at, node->start.size);
    through.stream = &stream;
    through.fd = -1;
    int stop = blob->use(walk, &through, blob->context);
    while (stop == 0 && !walk->bomb && kgi_stream_fill(&stream, rest, sizeof rest) > 0)
        ;
    if (stop == 0 && !walk->bomb && !h.failed)
        compare(walk, blob, &h.sha);
    return stop;
}
