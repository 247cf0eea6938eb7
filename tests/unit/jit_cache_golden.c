/*
 * The entry that we write, byte for byte that of tests/cache/make_entries.py, and read back through
 * the cache; and the keys of single kernels, which that script computes too: the same on every machine
 * (tests/gates/aarch64.sh runs this one for aarch64). No cmocka, which there is not for that.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "jit/jit.h"
#include "jit/sha256.h"

#define WANT "tests/cache/tree/2b/fbf8d938ac202b3e9bc94d69383d369aa36dc3a92482f117f121634628fcd2.71f700a876665098"

static char got[300];

static bool same_file(struct kgi_bytes want, const char *tier)
{
    struct kgi_bytes file;

    snprintf(got, sizeof got, "%s%s", tier, WANT + strlen("tests/cache/tree"));
    file = kgi_file_map(got, 1 << 20);
    return want.at && file.size == want.size && !memcmp(file.at, want.at, want.size);
}

/* The processor's instructions against libmd's C, for all lengths and for pieces of all lengths. */
static bool same_hashes(void)
{
    static uint8_t bytes[6000];
    uint8_t want[32], have[32];
    SHA2_CTX context;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * i >> 3);
    for (size_t size = 0; size < sizeof bytes; size++) {
        size_t first = size * 7 % (size + 1), second = (size - first) / 2;

        SHA256Init(&context);
        SHA256Update(&context, bytes, size);
        SHA256Final(want, &context);
        SHA256Init(&context);
        kgi_sha256_update(&context, bytes, first);
        kgi_sha256_update(&context, bytes + first, second);
        kgi_sha256_update(&context, bytes + first + second, size - first - second);
        kgi_sha256_final(&context, have);
        if (memcmp(want, have, sizeof want) != 0)
            return false;
    }
    return true;
}

static bool is_digest(const struct kgi_cache_key *key, const char *want)
{
    char digest[65];

    for (size_t i = 0; i < sizeof key->digest; i++)
        snprintf(digest + 2 * i, 3, "%02x", key->digest[i]);
    return strcmp(digest, want) == 0;
}

/* Of inputs around the size from which they are hashed in lanes. */
static bool same_long_keys(void)
{
    static uint8_t bytes[20001];
    const struct {
        size_t size;
        const char *digest;
    } rows[] = {
        {4095, "5a8393d2dc190e15a112bc8af7889e063047227d817bb977cba97e140051e6dd"},
        {4096, "fd88ef70ebdefd050134c2700d6665218b7c8c87d94ab8760cda720ffb7c221b"},
        {20001, "c7308da3002b777885651a68e1aa50d36bec1e5932ee722da25b916de67a26d5"},
    };
    struct kgi_cache_key key;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * i >> 3);
    for (size_t i = 0; i < KGI_COUNT(rows); i++) {
        struct kgi_cache_input input = {{bytes, rows[i].size}, KGI_LZ4};

        if (kgi_cache_key(&input, 1, (struct kgi_target){120, 0}, "", &key) || !is_digest(&key, rows[i].digest))
            return false;
    }
    return true;
}

/* Of kernels of this PTX; the second name is longer than what is kept of it. */
static bool same_kernel_keys(const struct kgi_cache_key *whole)
{
    static char longest[601];
    const struct {
        const char *name, *digest;
    } rows[] = {
        {"_Z8voxelizePKfPii", "94ab68d36e0aea526f83900800f9b1e585f242565ec1f4a40ecdad4fdc888a98"},
        {memset(longest, 'x', sizeof longest - 1),
         "901ec7bfac228682ffea166e28a2e0d51b84b6d5ebe54fceff330ecc3600c556"},
    };
    struct kgi_source source = {.target = {90, 'a'}, .key = *whole};
    struct kgi_cache_key key;

    for (size_t i = 0; i < KGI_COUNT(rows); i++)
        if (kgi_source_kernel_key(&source, rows[i].name, &key) || !is_digest(&key, rows[i].digest))
            return false;
    return true;
}

int main(void)
{
    static const char ptx[] = "not read here";
    struct kgi_cache_input input = {{(const uint8_t *)ptx, sizeof ptx - 1}, KGI_PLAIN};
    struct kgi_compiler by = {KGI_BY_PTXAS, 13000, "V13.0.88"};
    struct kgi_host host = {.gpu = {90, 0}, .cuda_version = 13000};
    struct kgi_bytes want = kgi_file_map(WANT, 1 << 20);
    struct kgi_bytes cubin = kgi_file_map("tests/fixtures/cubin_90a.cubin", 1 << 20);
    char tier[] = "/tmp/kguard-golden-XXXXXX", command[64];
    struct kgi_cache cache = {.user = tier, .no_stats = true};
    struct kgi_cache_key key;
    struct kgi_cache_hit hit;
    int failed = 0;

    if (!mkdtemp(tier) || kgi_cache_key(&input, 1, (struct kgi_target){90, 'a'}, "-O1", &key) != 0)
        return 2;
    failed |= kgi_cache_put(&cache, &key, &by, 0, cubin) != 0;
    failed |= !same_file(want, tier) << 1;
    failed |= (kgi_cache_get(&cache, &key, &host, NULL, &hit) != 0) << 2;
    failed |= (hit.image.size != cubin.size || memcmp(hit.image.at, cubin.at, cubin.size) != 0) << 3;
    snprintf(command, sizeof command, "rm -r %s", tier);
    if (system(command) != 0)
        return 2;
    failed |= !same_hashes() << 4;
    failed |= !same_kernel_keys(&key) << 5;
    failed |= !same_long_keys() << 6;
    printf("put, bytes, get, image, hash, kernels, long: %x\n", failed);
    return failed ? 1 : 0;
}
