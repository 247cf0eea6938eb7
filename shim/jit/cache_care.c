/*
 * Keeping the cache in order: its size, and what `kguard cache` asks.
 *
 * How big a tier is, and what was used when, is read from the directories: nothing to repair after
 * files were removed by hand, by another host, or by a kill. So that not every put walks through them
 * all, `size` notes the total of the last walk and what was put since, under the lock that who walks
 * holds. The note may only be too high: each put adds before others can see its entry, and what goes
 * is not taken off. When it reaches the bound, is an hour old, or was missed by somebody who had no
 * lock, the directories are walked again. The order of eviction is that of our own touches (an entry's
 * mtime): atime is off on many mounts. A time in the future says nothing - the clock was wrong then -
 * and goes first.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include "cache_search.h"

#define LEFT_OVER_SECONDS 3600 /* no entry takes as long to write; who was stopped that long fails */
#define FUTURE_SECONDS 600
#define CARE_WAIT_MS 200
#define FIRST_ROOM 256
#define NOTE "size"
#define NOTE_SECONDS 3600

/* ---- what is in a tier ------------------------------------------------------------------------------ */

struct item {
    int64_t used;
    uint64_t size;
    uint8_t shard;
    char name[KGI_NAME_SIZE];
};

struct scan {
    struct item *items; /* pages of ours */
    size_t count, room;
    uint64_t total; /* bytes of all regular files, entries or not */
    int64_t now;
    const struct kgi_cache *cache;
    int tier, shard;     /* open directories */
    uint8_t shard_number;
    bool shared, sweep; /* sweep: removes left-over temporary files */
    bool no_memory;
};

static bool grow(struct scan *s)
{
    size_t room = s->room ? 2 * s->room : FIRST_ROOM;
    struct item *items = kgi_pages_get(room * sizeof *items);

    if (!items)
        return false;
    if (s->count)
        memcpy(items, s->items, s->count * sizeof *items);
    kgi_pages_put(s->items, s->room * sizeof *items);
    s->items = items;
    s->room = room;
    return true;
}

static void add(struct scan *s, const char *name, const struct kgi_place_file *file)
{
    struct item *item;

    if (s->count == s->room && !grow(s)) {
        s->no_memory = true;
        return;
    }
    item = &s->items[s->count++];
    *item = (struct item){.used = file->modified, .size = file->size, .shard = s->shard_number};
    memcpy(item->name, name, sizeof item->name);
}

static int scan_name(const char *name, void *context)
{
    struct scan *s = context;
    struct kgi_place_file file;
    bool entry = kgi_place_is_entry(name), temporary = kgi_place_is_temporary(name);
    int64_t age;

    if ((!entry && !temporary) || kgi_place_stat(s->shard, name, s->shared, &file) != 0)
        return 0;
    age = s->now - file.modified;
    if (temporary && s->sweep && (age > LEFT_OVER_SECONDS || age < -LEFT_OVER_SECONDS) &&
        kgi_place_unlink(s->shard, name) == 0)
        return 0;
    s->total += file.size;
    if (entry)
        add(s, name, &file);
    return 0;
}

static uint8_t shard_number(const char *name)
{
    const char *hex = "0123456789abcdef";

    return (uint8_t)((strchr(hex, name[0]) - hex) << 4 | (strchr(hex, name[1]) - hex));
}

static int scan_shard(const char *name, void *context)
{
    struct scan *s = context;

    if (s->sweep && kgi_place_is_temporary(name)) { /* of `stats` */
        s->shard = s->tier;
        return scan_name(name, s);
    }
    if (!kgi_place_is_shard(name))
        return 0;
    s->shard_number = shard_number(name);
    s->shard = kgi_place_shard(s->cache, s->tier, s->shard_number, s->shared, false);
    if (s->shard >= 0)
        kgi_place_list(s->shard, scan_name, s);
    kgi_place_close(s->shard);
    return 0;
}

/* Needs scan_end whatever it says. */
static int scan(struct scan *s, const struct kgi_cache *cache, int tier, bool shared, bool sweep)
{
    int result;

    *s = (struct scan){.cache = cache, .tier = tier, .shared = shared, .sweep = sweep};
    s->now = kgi_place_now();
    result = kgi_place_list(tier, scan_shard, s);
    return s->no_memory ? -ENOMEM : result;
}

static void scan_end(struct scan *s)
{
    kgi_pages_put(s->items, s->room * sizeof *s->items);
}

/* ---- taking items in an order: a heap ------------------------------------------------------------------ */

typedef bool order(const struct scan *s, const struct item *a, const struct item *b);

static bool by_name(const struct scan *s, const struct item *a, const struct item *b)
{
    (void)s;
    return a->shard != b->shard ? a->shard < b->shard : strcmp(a->name, b->name) < 0;
}

static bool by_use(const struct scan *s, const struct item *a, const struct item *b)
{
    bool a_future = a->used > s->now + FUTURE_SECONDS, b_future = b->used > s->now + FUTURE_SECONDS;

    if (a_future != b_future)
        return a_future;
    return a->used != b->used ? a->used < b->used : by_name(s, a, b);
}

static void sink(struct scan *s, size_t at, order *before)
{
    for (;;) {
        size_t least = at;
        struct item moved = s->items[at];

        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < s->count; child++)
            if (before(s, &s->items[child], &s->items[least]))
                least = child;
        if (least == at)
            return;
        s->items[at] = s->items[least];
        s->items[least] = moved;
        at = least;
    }
}

static void heap(struct scan *s, order *before)
{
    for (size_t i = s->count / 2; i-- > 0;)
        sink(s, i, before);
}

/* The first of the order, taken out. */
static bool take(struct scan *s, order *before, struct item *out)
{
    if (!s->count)
        return false;
    *out = s->items[0];
    s->items[0] = s->items[--s->count];
    sink(s, 0, before);
    return true;
}

static void path_of(const struct item *item, char *out, size_t size)
{
    snprintf(out, size, "%02x/%s", item->shard, item->name);
}

/* ---- the bound ------------------------------------------------------------------------------------------ */

/* One that another evictor was faster to remove counts as well. */
static bool evict(struct scan *s, const struct item *item)
{
    char path[KGI_NAME_SIZE + 4];
    int result;

    path_of(item, path, sizeof path);
    result = kgi_place_unlink(s->tier, path);
    if (result != 0 && result != -ENOENT)
        return false;
    s->total -= item->size;
    if (result == 0) {
        kgi_cache_count(KGI_COUNT_evicted, 1);
        kgi_cache_count(KGI_COUNT_evicted_bytes, item->size);
    }
    return true;
}

/* Brings the total down to `goal`, and where that takes anything, a tenth below it, so that not every
 * put evicts. */
static int evict_to(struct scan *s, uint64_t goal)
{
    struct item item;

    if (s->total <= goal)
        return 0;
    heap(s, by_use);
    while (s->total > goal - goal / 10 && take(s, by_use, &item))
        evict(s, &item);
    return s->total <= goal ? 0 : -ENOSPC;
}

struct note {
    char magic[8];
    uint64_t total;
    int64_t walked; /* seconds since 1970 */
    uint64_t check;
};

static uint64_t check_of(const struct note *n)
{
    return (n->total ^ (uint64_t)n->walked << 1) * 0x9e3779b97f4a7c15u + 1;
}

/* In place: a file replaced by rename is flushed to the disk at once by some file systems. */
static void write_note(int tier, uint64_t total, int64_t walked)
{
    struct note n = {.magic = "KGSIZE1", .total = total, .walked = walked};
    uint64_t size;

    n.check = check_of(&n);
    if (kgi_place_add(tier, NOTE, (struct kgi_bytes){(const uint8_t *)&n, sizeof n}, false, &size) != 0)
        kgi_place_unlink(tier, NOTE);
}

/* Whether the note has room for `more` bytes, which it has then noted. */
static bool noted(int tier, uint64_t limit, uint64_t more)
{
    struct kgi_place_file file;
    int64_t age;
    struct note n;
    bool good;

    kgi_place_open(tier, NOTE, false, &file);
    good = file.fd >= 0 && kgi_place_read(file.fd, &n, sizeof n, 0) == 0 &&
           !memcmp(n.magic, "KGSIZE1", sizeof n.magic) && n.check == check_of(&n);
    kgi_place_close(file.fd);
    if (!good)
        return false;
    age = kgi_place_now() - n.walked;
    if (age < 0 || age > NOTE_SECONDS || n.total > limit || more > limit - n.total)
        return false;
    write_note(tier, n.total + more, n.walked);
    return true;
}

static int walk_and_evict(const struct kgi_cache *cache, int tier, uint64_t limit, uint64_t more,
                          bool locked)
{
    struct scan s;
    int result = scan(&s, cache, tier, false, true);
    uint64_t goal = limit ? limit : s.total;

    if (more)
        goal = s.total < more ? 0 : s.total - more < goal ? s.total - more : goal;
    if (result == 0)
        result = more > s.total ? -ENOSPC : evict_to(&s, goal);
    if (locked && cache->limit && result == 0)
        write_note(tier, s.total, s.now);
    scan_end(&s);
    return result;
}

int kgi_cache_trim(const struct kgi_cache *cache, int tier, uint64_t limit, uint64_t more)
{
    struct kgi_cache_claim lock;
    int locked = kgi_place_lock(cache, tier, KGI_LOCK_CARE, CARE_WAIT_MS, &lock), result;

    if (locked != 1)
        kgi_place_unlink(tier, NOTE); /* it does not know of ours */
    if (locked == 0)
        return 0; /* another is at it */
    result = walk_and_evict(cache, tier, limit, more, locked == 1);
    kgi_place_unlock(&lock);
    return result;
}

int kgi_cache_admit(const struct kgi_cache *cache, int tier, uint64_t size)
{
    struct kgi_cache_claim lock;
    int locked = kgi_place_lock(cache, tier, KGI_LOCK_CARE, CARE_WAIT_MS, &lock), result = 0;

    if (locked != 1)
        kgi_place_unlink(tier, NOTE);
    if (locked == 0)
        return 0;
    if (locked != 1 || !noted(tier, cache->limit, size))
        result = walk_and_evict(cache, tier, cache->limit, 0, locked == 1);
    kgi_place_unlock(&lock);
    return result;
}

/* ---- walking ---------------------------------------------------------------------------------------------- */

struct walk {
    struct kgi_cache_item item;
    struct kgi_loaded *loaded; /* of the item, with `prove` */
    int tier;                  /* open */
    bool prove;
    int (*each)(struct walk *);
    const struct kgi_cache *to; /* what they need, see there */
    int (*tell)(const struct kgi_cache_item *, void *);
    void *context;
    long done;
};

/* Whose it is, by its first bytes. */
static void read_head(struct kgi_loaded *l, int shard, const char *name, bool shared,
                      uint8_t start[KGI_ENTRY_HEADER])
{
    size_t size;

    *l = (struct kgi_loaded){.state = KGI_ENTRY_UNREADABLE};
    kgi_place_open(shard, name, shared, &l->file);
    l->state = l->file.state;
    if (l->file.fd < 0)
        return;
    size = l->file.size < KGI_ENTRY_HEADER ? l->file.size : KGI_ENTRY_HEADER;
    if (kgi_place_read(l->file.fd, start, size, 0) != 0)
        l->state = KGI_ENTRY_UNREADABLE;
    else
        l->state = kgi_entry_head((struct kgi_bytes){start, size}, &l->entry);
}

static void describe(struct kgi_cache_item *item, const struct kgi_loaded *l)
{
    item->state = l->state;
    item->size = l->file.size;
    item->used = l->file.modified;
    item->entry = l->state >= KGI_ENTRY_EXPIRED ? &l->entry : NULL;
}

static int visit(struct walk *w, const struct scan *s, const struct item *item)
{
    uint8_t start[KGI_ENTRY_HEADER];
    char path[KGI_NAME_SIZE + 4];
    struct kgi_loaded l = {.file = {.fd = -1}};
    int shard = kgi_place_shard(s->cache, s->tier, item->shard, s->shared, false), result = 0;

    if (shard < 0)
        return 0;
    if (!w->prove)
        read_head(&l, shard, item->name, s->shared, start);
    if (w->prove || l.entry.failure) { /* a failure is small, and its text counts */
        kgi_loaded_close(&l);
        kgi_loaded_open(&l, shard, item->name, s->shared);
        kgi_loaded_judge(&l, item->shard, item->name, NULL, NULL);
    }
    kgi_place_close(shard);
    if (l.state != KGI_ENTRY_ABSENT) {
        path_of(item, path, sizeof path);
        w->item.name = path;
        w->loaded = &l;
        describe(&w->item, &l);
        result = w->each(w);
    }
    kgi_loaded_close(&l);
    return result;
}

static int walk_tier(struct walk *w, const struct kgi_cache *cache, int tier)
{
    const char *path = kgi_search_tier(cache, tier);
    struct item item;
    struct scan s;
    int result;

    if (!path)
        return 0;
    w->item.tier = path;
    w->item.shared = tier > 0;
    w->tier = kgi_place_tier(cache, path, tier > 0, false);
    if (w->tier < 0)
        return w->tier == -ENOENT ? 0 : w->tier;
    result = scan(&s, cache, w->tier, tier > 0, false);
    if (result == 0)
        heap(&s, by_name);
    while (result == 0 && take(&s, by_name, &item))
        result = visit(w, &s, &item);
    scan_end(&s);
    kgi_place_close(w->tier);
    return result;
}

static int walk(struct walk *w, const struct kgi_cache *cache)
{
    int result = 0;

    for (int tier = 0; tier <= KGI_CACHE_TIERS && result == 0; tier++)
        result = walk_tier(w, cache, tier);
    return result;
}

static int tell(struct walk *w)
{
    return w->tell(&w->item, w->context);
}

int kgi_cache_each(const struct kgi_cache *cache, bool prove,
                   int (*each)(const struct kgi_cache_item *, void *), void *context)
{
    struct walk w = {.prove = prove, .each = tell, .tell = each, .context = context};
    int saved = errno, result = walk(&w, cache);

    errno = saved;
    return result;
}

int kgi_cache_explain(const struct kgi_cache *cache, const uint8_t digest[32],
                      const struct kgi_host *host, const struct kgi_compiler *own,
                      int (*each)(const struct kgi_cache_item *, void *), void *context)
{
    struct kgi_search *s = kgi_pages_get(sizeof *s);
    char path[KGI_NAME_SIZE + 4];
    int saved = errno, result = 0;

    if (!s)
        return -ENOMEM;
    kgi_search_begin(s, cache, digest);
    kgi_search_order(s, own);
    for (size_t i = 0; i < s->count && result == 0; i++) {
        struct kgi_candidate *c = &s->candidates[i];
        struct kgi_cache_item item = {.name = path, .shared = c->tier > 0};
        struct kgi_loaded l;

        kgi_search_load(s, i, host, own, &l);
        snprintf(path, sizeof path, "%02x/%s", digest[0], c->name);
        item.tier = kgi_search_tier(cache, c->tier);
        describe(&item, &l);
        result = each(&item, context);
        kgi_loaded_close(&l);
    }
    kgi_search_end(s);
    kgi_pages_put(s, sizeof *s);
    errno = saved;
    return result;
}

/* ---- gc, clear, copy ----------------------------------------------------------------------------------------- */

static int drop_if_bad(struct walk *w)
{
    if (w->item.state == KGI_ENTRY_DAMAGED)
        kgi_cache_count(KGI_COUNT_damaged, 1);
    if (w->item.state == KGI_ENTRY_DAMAGED || w->item.state == KGI_ENTRY_EXPIRED)
        kgi_place_unlink(w->tier, w->item.name);
    return 0;
}

int kgi_cache_gc(const struct kgi_cache *cache, bool prove)
{
    struct walk w = {.prove = prove, .each = drop_if_bad};
    int saved = errno, tier, result;

    if (!cache->user)
        return 0;
    tier = kgi_place_tier(cache, cache->user, false, false);
    if (tier < 0)
        return tier == -ENOENT ? 0 : tier;
    result = walk_tier(&w, cache, 0);
    if (result == 0)
        result = kgi_cache_trim(cache, tier, cache->limit, 0);
    if (!cache->no_stats)
        kgi_cache_fold(cache, tier);
    kgi_place_close(tier);
    errno = saved;
    return result;
}

struct clearing {
    const struct kgi_cache *cache;
    int tier, shard;
};

static int clear_name(const char *name, void *context)
{
    struct clearing *c = context;

    if (kgi_place_is_entry(name) || kgi_place_is_temporary(name))
        kgi_place_unlink(c->shard, name);
    return 0;
}

static int clear_shard(const char *name, void *context)
{
    struct clearing *c = context;

    if (!kgi_place_is_shard(name)) {
        if (kgi_place_is_temporary(name) || !strcmp(name, "stats") || !strcmp(name, NOTE))
            kgi_place_unlink(c->tier, name);
        return 0;
    }
    c->shard = kgi_place_shard(c->cache, c->tier, shard_number(name), false, false);
    if (c->shard >= 0)
        kgi_place_list(c->shard, clear_name, c);
    kgi_place_close(c->shard);
    kgi_place_remove_directory(c->tier, name); /* fails if there is more in it: somebody else's */
    return 0;
}

int kgi_cache_clear(const struct kgi_cache *cache)
{
    struct clearing c = {.cache = cache};
    int saved = errno, result;

    if (!cache->user)
        return 0;
    c.tier = kgi_place_tier(cache, cache->user, false, false);
    result = c.tier == -ENOENT ? 0 : c.tier < 0 ? c.tier : kgi_place_list(c.tier, clear_shard, &c);
    kgi_place_close(c.tier);
    errno = saved;
    return result;
}

static int copy(struct walk *w)
{
    struct kgi_entry *entry = &w->loaded->entry;
    int result;

    if (w->item.state != KGI_ENTRY_GOOD || entry->failure)
        return 0;
    result = kgi_cache_store(w->to, entry->key, &entry->by, &w->loaded->bytes, 1);
    w->done += result == 0;
    return result;
}

long kgi_cache_copy(const struct kgi_cache *from, const struct kgi_cache *to)
{
    struct walk w = {.prove = true, .each = copy, .to = to};
    int saved = errno, result = to->user ? walk(&w, from) : -ENOENT;

    errno = saved;
    return result < 0 ? result : w.done;
}
