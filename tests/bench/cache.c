/*
 * What a hit in the compute cache costs, split into its parts, beside a plain open, read and close of
 * the same file; in a cache of one entry and of a thousand. Exit 1 when a limit is missed: a hit costs
 * at most LIMIT plain reads of the file, a miss at most one hit.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "bench.h"
#include "jit/cache.h"
#include "jit/cache_place.h"

enum { ROUNDS = 3000, SIZE = 100 << 10, LIMIT = 4 };

static const struct kgi_compiler driver = {KGI_BY_DRIVER, 13000, "580.95.05"};
static const struct kgi_host host = {.gpu = {90, 0}, .cuda_version = 13000, .driver = 580};
static double key_ns[ROUNDS], plain_ns[ROUNDS], verify_ns[ROUNDS], hit_ns[ROUNDS], miss_ns[ROUNDS];
static uint8_t image[SIZE];

static struct kgi_cache_key key_of(unsigned n)
{
    struct kgi_cache_input input = {{image, sizeof image}, KGI_PLAIN};
    struct kgi_cache_key key;

    memcpy(image + SIZE - sizeof n, &n, sizeof n);
    kgi_cache_key(&input, 1, (struct kgi_target){90, 0}, "", &key);
    return key;
}

static void fill_image(void)
{
    int fd = open("tests/fixtures/cubin_90a.cubin", O_RDONLY);

    if (fd < 0 || read(fd, image, SIZE) <= 0)
        exit(2);
    close(fd);
    for (unsigned i = 4096; i < SIZE; i++)
        image[i] = (uint8_t)(i * 2654435761u >> 13);
}

static void path_of(const char *tier, const struct kgi_cache_key *key, char *out, size_t size)
{
    char name[KGI_NAME_SIZE];
    uint8_t id[8];

    kgi_compiler_id(&driver, id);
    kgi_place_name(key->digest, id, name);
    snprintf(out, size, "%s/%02x/%s", tier, key->digest[0], name);
}

/* As a program would read it: into fresh memory. */
static double plain(const char *path)
{
    double start = now_ns();
    int fd = open(path, O_RDONLY);
    struct stat st;
    void *memory;

    if (fd < 0 || fstat(fd, &st) != 0)
        exit(2);
    memory = kgi_pages_get((size_t)st.st_size);
    if (read(fd, memory, (size_t)st.st_size) != st.st_size)
        exit(2);
    kgi_pages_put(memory, (size_t)st.st_size);
    close(fd);
    return now_ns() - start;
}

static double verify(struct kgi_bytes file)
{
    struct kgi_entry entry;
    double start = now_ns();

    if (kgi_entry_read(file, &entry) != KGI_ENTRY_GOOD)
        exit(2);
    return now_ns() - start;
}

static double get(const struct kgi_cache *cache, const struct kgi_cache_key *key, bool there)
{
    struct kgi_cache_hit hit;
    double start = now_ns(), took;

    if ((kgi_cache_get(cache, key, &host, &driver, &hit) == 0) != there)
        exit(2);
    took = now_ns() - start; /* the driver takes the bytes from here */
    kgi_cache_free(&hit);
    return took;
}

static bool measure(const struct kgi_cache *cache, const char *what)
{
    struct kgi_cache_key key = key_of(1), absent = key_of(1000000);
    struct kgi_bytes file;
    char path[300];
    double p;

    path_of(cache->user, &key, path, sizeof path);
    file = kgi_file_map(path, 1 << 20);
    for (int i = 0; i < ROUNDS; i++) {
        double start = now_ns();

        key_of(1);
        key_ns[i] = now_ns() - start;
        plain_ns[i] = plain(path);
        verify_ns[i] = verify(file);
        hit_ns[i] = get(cache, &key, true);
        miss_ns[i] = get(cache, &absent, false);
    }
    kgi_file_unmap(file);
    p = percentile(plain_ns, ROUNDS, 0.5);
    printf("%-12s %9s %9s\n", what, "p50 us", "p99 us");
#define ROW(name, samples)                                                                         \
    printf("  %-10s %9.1f %9.1f\n", name, percentile(samples, ROUNDS, 0.5) / 1e3,                  \
           percentile(samples, ROUNDS, 0.99) / 1e3)
    ROW("key", key_ns);
    ROW("plain read", plain_ns);
    ROW("verify", verify_ns);
    ROW("hit", hit_ns);
    ROW("miss", miss_ns);
    printf("  hit / plain read %.2f (limit %d)\n", percentile(hit_ns, ROUNDS, 0.5) / p, LIMIT);
    return percentile(hit_ns, ROUNDS, 0.5) <= LIMIT * p &&
           percentile(miss_ns, ROUNDS, 0.5) <= percentile(hit_ns, ROUNDS, 0.5);
}

int main(void)
{
    char directory[] = "/tmp/kguard-bench-XXXXXX", command[100];
    struct kgi_cache cache = {.user = directory, .no_sync = true};
    bool good;

    if (!mkdtemp(directory))
        return 2;
    fill_image();
    for (unsigned n = 1; n <= 1000; n++) {
        struct kgi_cache_key key = key_of(n);

        if (kgi_cache_put(&cache, &key, &driver, 0, (struct kgi_bytes){image, n == 1 ? SIZE : 8192}) != 0)
            return 2;
        if (n == 1)
            good = measure(&cache, "1 entry");
    }
    good &= measure(&cache, "1000 entries");
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command) == 0 && good ? 0 : 1;
}
