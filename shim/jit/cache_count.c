/*
 * Counters: kept in memory, appended to the user tier's `stats` now and then as one record of what is
 * new, so that a hit costs no write. A record says itself whether it is whole: a torn one, or one of
 * another version, is passed over. What a killed process had not yet written is lost; so is what was
 * appended while the file was folded. They are statistics.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "cache_place.h"

#define FLUSH_MS 10000
#define FOLD_SIZE 65536
#define LARGEST ((uint64_t)16 << 20)
static const char magic[8] = "KGCOUNT";

struct record {
    char magic[8];
    struct kgi_cache_counts counts;
    uint64_t sum; /* XXH3-64 over the above */
};
_Static_assert(sizeof(struct kgi_cache_counts) == KGI_COUNTERS * sizeof(uint64_t), "all of one type");

static _Atomic uint64_t counters[KGI_COUNTERS], flushed[KGI_COUNTERS];
static _Atomic int64_t last_flush;
static _Atomic int process;

void kgi_cache_count(enum kgi_cache_counter counter, uint64_t more)
{
    int self = (int)syscall(SYS_getpid), before = atomic_load(&process);

    /* A forked child starts with counts that its parent will write. */
    if (before != self && atomic_compare_exchange_strong(&process, &before, self) && before)
        for (size_t i = 0; i < KGI_COUNTERS; i++)
            atomic_store(&flushed[i], atomic_load(&counters[i]));
    atomic_fetch_add(&counters[counter], more);
}

void kgi_cache_counts(struct kgi_cache_counts *out)
{
    uint64_t values[KGI_COUNTERS];

    for (size_t i = 0; i < KGI_COUNTERS; i++)
        values[i] = atomic_load(&counters[i]);
    memcpy(out, values, sizeof *out);
}

/* What is new since the last time; false when nothing is. */
static bool take(struct kgi_cache_counts *out)
{
    uint64_t values[KGI_COUNTERS], any = 0;

    for (size_t i = 0; i < KGI_COUNTERS; i++) {
        uint64_t now = atomic_load(&counters[i]);

        values[i] = now - atomic_exchange(&flushed[i], now);
        if (values[i] > UINT64_MAX / 2) /* another thread flushed a later count */
            values[i] = 0;
        any |= values[i];
    }
    memcpy(out, values, sizeof *out);
    return any != 0;
}

static void seal(struct record *r)
{
    memcpy(r->magic, magic, sizeof r->magic);
    r->sum = XXH3_64bits(r, offsetof(struct record, sum));
}

static bool whole(const struct record *r)
{
    return !memcmp(r->magic, magic, sizeof magic) &&
           r->sum == XXH3_64bits(r, offsetof(struct record, sum));
}

static void add(struct kgi_cache_counts *sum, const struct kgi_cache_counts *more)
{
    uint64_t a[KGI_COUNTERS], b[KGI_COUNTERS];

    memcpy(a, sum, sizeof a);
    memcpy(b, more, sizeof b);
    for (size_t i = 0; i < KGI_COUNTERS; i++)
        a[i] += b[i];
    memcpy(sum, a, sizeof a);
}

static int total(int tier, struct kgi_cache_counts *out)
{
    struct kgi_place_file file;
    struct record r;
    int result = 0;

    memset(out, 0, sizeof *out);
    kgi_place_open(tier, "stats", false, &file);
    if (file.fd < 0)
        return file.state == KGI_ENTRY_ABSENT ? 0 : -EPERM;
    /* A torn record shifts those behind it: they are looked for at every word. */
    for (uint64_t at = 0; at + sizeof r <= file.size && at < LARGEST && result == 0;) {
        result = kgi_place_read(file.fd, &r, sizeof r, at);
        if (result == 0 && whole(&r))
            add(out, &r.counts);
        at += result == 0 && whole(&r) ? sizeof r : 1;
    }
    kgi_place_close(file.fd);
    return result;
}

int kgi_cache_total(const struct kgi_cache *cache, struct kgi_cache_counts *out)
{
    int saved = errno, result, tier;

    memset(out, 0, sizeof *out);
    tier = cache->user ? kgi_place_tier(cache, cache->user, false, false) : -ENOENT;
    result = tier == -ENOENT ? 0 : tier < 0 ? tier : total(tier, out);
    kgi_place_close(tier);
    errno = saved;
    return result;
}

void kgi_cache_fold(const struct kgi_cache *cache, int tier)
{
    struct kgi_place_new file;
    struct record r = {.sum = 0};
    struct kgi_bytes bytes = {(const uint8_t *)&r, sizeof r};

    if (total(tier, &r.counts) != 0)
        return;
    seal(&r);
    if (kgi_place_write(cache, tier, &bytes, 1, &file) == 0)
        kgi_place_publish(cache, &file, "stats");
}

void kgi_cache_flush(const struct kgi_cache *cache)
{
    int saved = errno, tier;
    struct record r = {.sum = 0};
    uint64_t size = 0;

    if (!cache->user || cache->no_stats)
        return;
    /* A place that nothing was stored in yet is not made for this. */
    tier = kgi_place_tier(cache, cache->user, false, false);
    if (tier >= 0 && take(&r.counts)) {
        seal(&r);
        kgi_place_add(tier, "stats", (struct kgi_bytes){(const uint8_t *)&r, sizeof r}, true, &size);
        if (size > FOLD_SIZE)
            kgi_cache_fold(cache, tier);
    }
    kgi_place_close(tier);
    errno = saved;
}

void kgi_cache_flush_sometimes(const struct kgi_cache *cache)
{
    int64_t now, last = atomic_load(&last_flush);

    if (!cache->user || cache->no_stats)
        return;
    now = kgi_place_ticks();
    /* Not with the first, which somebody waits for: a short process leaves it to its end. */
    if (last == 0)
        atomic_compare_exchange_strong(&last_flush, &last, now);
    else if (now - last >= FLUSH_MS && atomic_compare_exchange_strong(&last_flush, &last, now))
        kgi_cache_flush(cache);
}
