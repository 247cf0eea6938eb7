/*
 * What a compilation asks of the cache.
 *
 * A search looks into files, best first, until one is proven and fits: at every load of every image, so
 * two are asked for by their names, this driver's own and that of the newest ptxas whose entry served. Only
 * where both are missing are folders listed, for the names that stand under the key in all tiers. Entries of one
 * compiler are asked user tier first: a failure there (the driver refused it) hides the same entry in
 * the read-only tiers, which cannot be changed.
 *
 * Nobody waits for a reader and a reader waits for nobody: what a search found may vanish or be
 * replaced under it at any moment, and then it is a miss, or the old bytes, whole.
 */
#include <errno.h>
#include <stdio.h>
#include "../base/base.h"
#include "cache.h"
#include "cache_place.h"
#include "cache_search.h"

#define FAILURE_SECONDS 3600          /* a compiler's crash: the machine may have been out of memory */
#define REFUSED_SECONDS (7 * 86400)   /* a driver's refusal: until the next driver, about */
#define SYNC_WORTH_MS 500             /* a sync takes some ms: a cheap entry may be lost with the power */
#define TOUCH_SECONDS 600             /* how exact "least recently used" is */
#define LARGEST ((uint64_t)256 << 20) /* of an entry: no cubin comes near it */
#define REFUSED "refused: "

/* ---- the cache of this process --------------------------------------------------------------------- */

static void read_tiers(struct kgi_cache *cache, const char *list)
{
    char *text = (char *)(uintptr_t)kgi_strdup(list);

    for (size_t n = 0; text && *text && n < KGI_CACHE_TIERS;) {
        char *end = strchr(text, ':');

        if (end)
            *end = 0;
        if (*text == '/') /* as with KGUARD_CACHE_DIR: never below the current directory */
            cache->shared[n++] = text;
        text = end ? end + 1 : NULL;
    }
}

const struct kgi_cache *kgi_cache_default(void)
{
    static const struct kgi_cache nowhere;
    static struct kgi_cache *_Atomic published;
    struct kgi_cache *cache = atomic_load_explicit(&published, memory_order_acquire), *nobody = NULL;
    const struct kgi_options *o = kgi_options();
    int saved = errno;

    if (cache || o->off)
        return cache ? cache : &nowhere;
    cache = kgi_alloc(sizeof *cache);
    if (!cache)
        return &nowhere;
    cache->user = o->cache_dir[0] ? o->cache_dir : NULL;
    cache->limit = o->cache_max;
    read_tiers(cache, o->cache_ro);
    if (!atomic_compare_exchange_strong(&published, &nobody, cache))
        cache = nobody;
    errno = saved;
    return cache;
}

/* ---- searching ------------------------------------------------------------------------------------- */

const char *kgi_search_tier(const struct kgi_cache *cache, int tier)
{
    return tier == 0 ? cache->user : tier <= KGI_CACHE_TIERS ? cache->shared[tier - 1] : NULL;
}

struct gathering {
    struct kgi_search *search;
    int tier;
};

static int gather_one(const char *name, void *context)
{
    struct gathering *g = context;
    struct kgi_search *s = g->search;
    struct kgi_candidate *c = &s->candidates[s->count];

    if (!kgi_place_is_entry(name) || memcmp(name, s->prefix, 62) != 0)
        return 0;
    for (size_t i = 0; i < s->count; i++)
        if (s->candidates[i].tier == g->tier && !strcmp(s->candidates[i].name, name))
            return 0;
    if (s->count == KGI_SEARCH_MOST)
        return 1;
    *c = (struct kgi_candidate){.tier = g->tier};
    memcpy(c->name, name, KGI_NAME_SIZE);
    s->count++;
    return 0;
}

/* Its folder for this key; negative where it has none. */
static int shard_of(struct kgi_search *s, int tier)
{
    int root;

    if (s->opened[tier])
        return s->shards[tier];
    s->opened[tier] = true;
    root = kgi_search_tier(s->cache, tier)
               ? kgi_place_tier(s->cache, kgi_search_tier(s->cache, tier), tier > 0, false)
               : -ENOENT;
    s->shards[tier] = root < 0 ? root : kgi_place_shard(s->cache, root, s->digest[0], tier > 0, false);
    kgi_place_close(root);
    return s->shards[tier];
}

static void open_search(struct kgi_search *s, const struct kgi_cache *cache, const uint8_t digest[32])
{
    static const uint8_t no_id[8];

    s->cache = cache;
    memcpy(s->digest, digest, sizeof s->digest);
    kgi_place_name(digest, no_id, s->prefix);
}

static void gather(struct kgi_search *s)
{
    struct gathering g = {s, 0};

    for (; g.tier <= KGI_CACHE_TIERS; g.tier++)
        if (shard_of(s, g.tier) >= 0)
            kgi_place_list(s->shards[g.tier], gather_one, &g);
}

void kgi_search_begin(struct kgi_search *s, const struct kgi_cache *cache, const uint8_t digest[32])
{
    open_search(s, cache, digest);
    gather(s);
}

void kgi_search_end(struct kgi_search *s)
{
    for (int tier = 0; tier <= KGI_CACHE_TIERS; tier++)
        if (s->opened[tier])
            kgi_place_close(s->shards[tier]);
}

/* What its first bytes say. The file is the caller's to close, whatever they are. */
static bool read_head(const struct kgi_search *s, const struct kgi_candidate *c, struct kgi_place_file *file,
                      struct kgi_entry *entry)
{
    uint8_t start[KGI_ENTRY_HEADER];

    kgi_place_open(s->shards[c->tier], c->name, c->tier > 0, file);
    if (file->fd < 0)
        return false;
    if (file->size < sizeof start)
        memset(start, 0, sizeof start);
    return kgi_place_read(file->fd, start, file->size < sizeof start ? file->size : sizeof start, 0) == 0 &&
           kgi_entry_head((struct kgi_bytes){start, sizeof start}, entry) == KGI_ENTRY_GOOD;
}

/* Who compiled it: enough to decide what to read first. */
static void look_at_head(const struct kgi_search *s, struct kgi_candidate *c)
{
    struct kgi_place_file file;
    struct kgi_entry entry;

    if (read_head(s, c, &file, &entry))
        c->by = entry.by;
    kgi_place_close(file.fd);
}

/* Whether a is to be asked before b. */
static bool before(const struct kgi_candidate *a, const struct kgi_candidate *b)
{
    int builds;

    if (a->own != b->own)
        return a->own;
    if (a->by.kind != b->by.kind)
        return a->by.kind == KGI_BY_PTXAS;
    if (a->by.cuda_version != b->by.cuda_version)
        return a->by.cuda_version > b->by.cuda_version;
    builds = strcmp(a->by.build, b->by.build);
    return builds ? builds > 0 : a->tier < b->tier;
}

void kgi_search_order(struct kgi_search *s, const struct kgi_compiler *own)
{
    char name[KGI_NAME_SIZE];
    uint8_t id[8];
    size_t others = 0;

    if (own) {
        kgi_compiler_id(own, id);
        kgi_place_name(s->digest, id, name);
    }
    for (size_t i = 0; i < s->count; i++) {
        s->candidates[i].own = own && !strcmp(s->candidates[i].name, name);
        others += !s->candidates[i].own;
    }
    for (size_t i = 0; i < s->count && others > 1; i++)
        look_at_head(s, &s->candidates[i]);
    for (size_t i = 1; i < s->count; i++) { /* by insertion: there are few */
        struct kgi_candidate c = s->candidates[i];
        size_t at = i;

        for (; at > 0 && before(&c, &s->candidates[at - 1]); at--)
            s->candidates[at] = s->candidates[at - 1];
        s->candidates[at] = c;
    }
}

/* ---- one entry ------------------------------------------------------------------------------------- */

enum kgi_entry_state kgi_loaded_open(struct kgi_loaded *l, int directory, const char *name,
                                     bool shared)
{
    *l = (struct kgi_loaded){.state = KGI_ENTRY_UNREADABLE};
    kgi_place_open(directory, name, shared, &l->file);
    l->state = l->file.state;
    if (l->file.fd < 0)
        return l->state;
    if (l->file.size == 0 || l->file.size > LARGEST)
        return l->state = KGI_ENTRY_DAMAGED;
    l->bytes.at = kgi_pages_get_huge(l->file.size, &l->room);
    l->bytes.size = l->file.size;
    if (!l->bytes.at)
        return l->state = KGI_ENTRY_UNREADABLE;
    switch (kgi_place_read(l->file.fd, (void *)(uintptr_t)l->bytes.at, l->bytes.size, 0)) {
    case 0:
        return l->state = kgi_entry_read(l->bytes, &l->entry);
    case -ENODATA: /* shorter than it said: somebody cut it meanwhile */
        return l->state = KGI_ENTRY_DAMAGED;
    default:
        return l->state = KGI_ENTRY_UNREADABLE;
    }
}

void kgi_loaded_close(struct kgi_loaded *l)
{
    kgi_place_close(l->file.fd);
    kgi_pages_put((void *)(uintptr_t)l->bytes.at, l->room);
    l->file.fd = -1;
    l->bytes.at = NULL;
}

/* The name says which key and compiler an entry is of. */
static bool name_right(const struct kgi_entry *entry, uint8_t first, const char *name)
{
    char want[KGI_NAME_SIZE];
    uint8_t id[8];

    kgi_compiler_id(&entry->by, id);
    kgi_place_name(entry->key, id, want);
    return entry->key[0] == first && !strcmp(want, name);
}

static bool loadable(struct kgi_bytes image, const struct kgi_host *host)
{
    struct kgi_host as_cubin = *host;
    struct kgi_verdict verdict;
    struct kgi_code code;
    size_t count = 0;

    if (kgi_image_codes(image, &code, 1, &count, NULL) != 0 || count != 1 || code.kind != KGI_CUBIN)
        return false;
    as_cubin.jit_forced = NULL;
    kgi_judge(&code, 1, &as_cubin, &verdict);
    return verdict.answer == KGI_NATIVE || verdict.answer == KGI_FAMILY;
}

static bool past(const struct kgi_loaded *l, int64_t now)
{
    struct kgi_bytes text = l->entry.payload;
    bool refused = text.size >= strlen(REFUSED) && !memcmp(text.at, REFUSED, strlen(REFUSED));
    int64_t age = now - l->file.modified;

    /* From the future: the clock was set back, and how old it is cannot be known. */
    return age < -TOUCH_SECONDS || age > (refused ? REFUSED_SECONDS : FAILURE_SECONDS);
}

static bool is_of_another_driver(const struct kgi_compiler *by, const struct kgi_compiler *own)
{
    return own && by->kind == KGI_BY_DRIVER &&
           (by->cuda_version != own->cuda_version || strcmp(by->build, own->build) != 0);
}

void kgi_loaded_judge(struct kgi_loaded *l, uint8_t first, const char *name,
                      const struct kgi_host *host, const struct kgi_compiler *own)
{
    if (l->state != KGI_ENTRY_GOOD)
        return;
    if (!name_right(&l->entry, first, name))
        l->state = KGI_ENTRY_DAMAGED;
    else if (l->entry.failure)
        l->state = past(l, kgi_place_now()) ? KGI_ENTRY_EXPIRED : KGI_ENTRY_FAILURE;
    else if (is_of_another_driver(&l->entry.by, own))
        l->state = KGI_ENTRY_OTHER;
    else if (host && !loadable(l->entry.payload, host))
        l->state = KGI_ENTRY_UNFIT;
}

/* ---- get ------------------------------------------------------------------------------------------- */

static void touch(const struct kgi_place_file *file, int tier)
{
    int64_t now = kgi_place_now(), age = now - file->modified;

    if (tier == 0 && (age > TOUCH_SECONDS || age < -TOUCH_SECONDS))
        kgi_place_touch(file->fd, now);
}

/* The newest ptxas whose entry served here, and filled the cache, most likely: asked for by name from then on. Where
 * a newer one's lies beside it, that is not seen. */
static _Atomic uint64_t served;
static _Atomic int served_version;

static void note_server(const struct kgi_compiler *by)
{
    uint64_t id;

    if (by->kind != KGI_BY_PTXAS || by->cuda_version < atomic_load_explicit(&served_version, memory_order_relaxed))
        return;
    kgi_compiler_id(by, (uint8_t *)&id);
    atomic_store_explicit(&served_version, by->cuda_version, memory_order_relaxed);
    atomic_store_explicit(&served, id, memory_order_relaxed);
}

static void keep_hit(struct kgi_loaded *l, const struct kgi_candidate *c, struct kgi_cache_hit *out)
{
    note_server(&l->entry.by);
    touch(&l->file, c->tier);
    *out = (struct kgi_cache_hit){
        .image = l->entry.payload,
        .by = l->entry.by,
        .cost_ms = l->entry.cost_ms,
        .shared = c->tier > 0,
        .why = KGI_ENTRY_GOOD,
        .memory = (void *)(uintptr_t)l->bytes.at,
        .memory_size = l->room,
    };
    l->bytes.at = NULL; /* the hit's from now on */
}

/* Behind a failure of the user tier. */
static bool is_hidden(const struct kgi_search *s, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (s->candidates[j].hides && !strcmp(s->candidates[j].name, s->candidates[i].name))
            return true;
    return false;
}

void kgi_search_load(struct kgi_search *s, size_t i, const struct kgi_host *host,
                     const struct kgi_compiler *own, struct kgi_loaded *l)
{
    struct kgi_candidate *c = &s->candidates[i];

    kgi_loaded_open(l, s->shards[c->tier], c->name, c->tier > 0);
    kgi_loaded_judge(l, s->digest[0], c->name, host, own);
    c->state = l->state;
    c->hides = l->state == KGI_ENTRY_FAILURE && c->tier == 0;
    if (l->state == KGI_ENTRY_GOOD && is_hidden(s, i))
        l->state = KGI_ENTRY_FAILURE;
}

struct question {
    bool (*ask)(struct kgi_search *s, size_t i, const struct question *q); /* whether that ends the search */
    const struct kgi_host *host;
    const struct kgi_compiler *own;
    struct kgi_cache_hit *out;
};

static bool ask_by_name(struct kgi_search *s, const struct question *q, const uint8_t id[8], bool own)
{
    for (int tier = 0; tier <= KGI_CACHE_TIERS; tier++) {
        struct kgi_candidate *c = &s->candidates[s->count];

        if (shard_of(s, tier) < 0)
            continue;
        *c = (struct kgi_candidate){.tier = tier, .own = own, .asked = true};
        kgi_place_name(s->digest, id, c->name);
        s->count++;
        if (q->ask(s, s->count - 1, q))
            return true;
        s->count -= c->state == KGI_ENTRY_ABSENT;
    }
    return false;
}

static bool ask_names(struct kgi_search *s, const struct question *q)
{
    uint64_t newest = atomic_load_explicit(&served, memory_order_relaxed);
    uint8_t id[8];

    if (!q->own)
        return false;
    kgi_compiler_id(q->own, id);
    if (ask_by_name(s, q, id, true))
        return true;
    memcpy(id, &newest, sizeof id);
    return newest && ask_by_name(s, q, id, false);
}

static bool ask_list(struct kgi_search *s, const struct question *q)
{
    gather(s);
    kgi_search_order(s, q->own);
    for (size_t i = 0; i < s->count; i++)
        if (!s->candidates[i].asked && q->ask(s, i, q))
            return true;
    return false;
}

static bool search(const struct kgi_cache *cache, const struct kgi_cache_key *key, const struct question *q)
{
    struct kgi_search *s = kgi_pages_get(sizeof *s);
    int saved = errno;
    bool found = false;

    if (s) {
        open_search(s, cache, key->digest);
        found = ask_names(s, q) || ask_list(s, q);
        kgi_search_end(s);
    }
    kgi_pages_put(s, sizeof *s);
    errno = saved;
    return found;
}

static bool load_candidate(struct kgi_search *s, size_t i, const struct question *q)
{
    struct kgi_candidate *c = &s->candidates[i];
    struct kgi_cache_hit *out = q->out;
    struct kgi_loaded l;

    kgi_search_load(s, i, q->host, q->own, &l);
    if (l.state > out->why)
        out->why = l.state;
    if (l.state == KGI_ENTRY_DAMAGED) {
        kgi_cache_count(KGI_COUNT_damaged, 1);
        if (c->tier == 0)
            kgi_place_remove(s->shards[0], c->name, &l.file);
    }
    if (l.state == KGI_ENTRY_GOOD)
        keep_hit(&l, c, out);
    kgi_loaded_close(&l);
    return out->why == KGI_ENTRY_GOOD;
}

int kgi_cache_look(const struct kgi_cache *cache, const struct kgi_cache_key *key,
                   const struct kgi_host *host, const struct kgi_compiler *own,
                   struct kgi_cache_hit *out)
{
    struct question q = {load_candidate, host, own, out};

    *out = (struct kgi_cache_hit){.why = KGI_ENTRY_ABSENT};
    return search(cache, key, &q) ? 0 : -ENOENT;
}

static void count_get(const struct kgi_cache *cache, const struct kgi_cache_hit *hit)
{
    if (hit->memory) {
        kgi_cache_count(KGI_COUNT_hits, 1);
        kgi_cache_count(KGI_COUNT_hit_bytes, hit->image.size);
        kgi_cache_count(KGI_COUNT_saved_ms, hit->cost_ms);
    } else {
        kgi_cache_count(KGI_COUNT_misses, 1);
    }
    kgi_cache_flush_sometimes(cache);
}

int kgi_cache_get(const struct kgi_cache *cache, const struct kgi_cache_key *key,
                  const struct kgi_host *host, const struct kgi_compiler *own,
                  struct kgi_cache_hit *out)
{
    int result = kgi_cache_look(cache, key, host, own, out), saved = errno;

    count_get(cache, out);
    errno = saved;
    return result;
}

void kgi_cache_free(struct kgi_cache_hit *hit)
{
    kgi_pages_put(hit->memory, hit->memory_size);
    *hit = (struct kgi_cache_hit){.why = KGI_ENTRY_ABSENT};
}

/* A failure's time is when it will be forgotten, and what nobody loads has to grow old: only what serves. */
static bool touch_candidate(struct kgi_search *s, size_t i, const struct question *q)
{
    struct kgi_candidate *c = &s->candidates[i];
    struct kgi_place_file file;
    struct kgi_entry entry;
    bool read = read_head(s, c, &file, &entry), serves;

    c->state = file.state;
    serves = read && !entry.failure && !is_of_another_driver(&entry.by, q->own) && !is_hidden(s, i);
    if (serves)
        touch(&file, c->tier);
    kgi_place_close(file.fd);
    if (read && entry.failure) { /* whether it still hides others */
        struct kgi_loaded l;

        kgi_search_load(s, i, NULL, q->own, &l);
        kgi_loaded_close(&l);
    }
    return serves;
}

bool kgi_cache_touch(const struct kgi_cache *cache, const struct kgi_cache_key *key,
                     const struct kgi_compiler *own)
{
    struct question q = {touch_candidate, NULL, own, NULL};

    return search(cache, key, &q);
}

/* ---- put ------------------------------------------------------------------------------------------- */

/* Writes an entry, makes room for it, and only then lets others see it: bytes of entries and of files
 * being written together stay within the bound. */
static int store_in(const struct kgi_cache *cache, int tier, int shard, const char *name,
                    const struct kgi_bytes *parts, size_t count, uint64_t size)
{
    uint64_t room = kgi_place_room(shard);
    struct kgi_place_new file;
    int result = 0;

    if (room < size) /* a tree made for others is whole, or an error */
        result = cache->is_public ? -ENOSPC : kgi_cache_trim(cache, tier, 0, size - room);
    if (result == 0)
        result = kgi_place_write(cache, shard, parts, count, &file);
    if (result != 0)
        return result;
    if (cache->limit)
        result = kgi_cache_admit(cache, tier, size);
    if (result == 0)
        return kgi_place_publish(cache, &file, name);
    kgi_place_discard(&file);
    return result;
}

int kgi_cache_store(const struct kgi_cache *cache, const uint8_t digest[32],
                    const struct kgi_compiler *by, const struct kgi_bytes *parts, size_t count)
{
    char name[KGI_NAME_SIZE];
    uint64_t size = 0;
    int tier, shard, result;
    uint8_t id[8];

    for (size_t i = 0; i < count; i++)
        size += parts[i].size;
    if (size > LARGEST || (cache->limit && size > cache->limit))
        return -EFBIG;
    tier = kgi_place_tier(cache, cache->user, false, true);
    shard = tier < 0 ? tier : kgi_place_shard(cache, tier, digest[0], false, true);
    kgi_compiler_id(by, id);
    kgi_place_name(digest, id, name);
    result = shard < 0 ? shard : store_in(cache, tier, shard, name, parts, count, size);
    kgi_place_close(shard);
    kgi_place_close(tier);
    return result;
}

static int put(const struct kgi_cache *cache, const struct kgi_cache_key *key,
               const struct kgi_compiler *by, bool failure, uint32_t cost_ms, struct kgi_bytes payload)
{
    uint8_t header[KGI_ENTRY_HEADER], digest[16];
    struct kgi_bytes parts[3] = {{header, 0}, payload, {digest, sizeof digest}};
    struct kgi_cache as = *cache;

    if (!cache->user)
        return -ENOENT;
    as.no_sync |= failure || (cost_ms > 0 && cost_ms < SYNC_WORTH_MS);
    parts[0].size = kgi_entry_header(key, by, failure, cost_ms, payload.size, header);
    kgi_entry_digest(parts[0], payload, digest);
    return kgi_cache_store(&as, key->digest, by, parts, 3);
}

/* A compiler may leave anything behind; what is no cubin for the target is kept out. */
static bool is_cubin_for(const struct kgi_cache_key *key, struct kgi_bytes image)
{
    struct kgi_cache_question question;
    struct kgi_target target;
    struct kgi_cubin cubin;
    char name[20] = "";

    if (!kgi_cache_question((struct kgi_bytes){key->block, key->size}, &question) ||
        question.target.size >= sizeof name)
        return false;
    memcpy(name, question.target.at, question.target.size);
    return kgi_target_parse(name, &target) == 0 && kgi_cubin_head(image, &cubin) == 0 &&
           !(cubin.traits & KGI_T_RELOCATABLE) && kgi_cubin_fits(cubin.target, target);
}

int kgi_cache_put(const struct kgi_cache *cache, const struct kgi_cache_key *key,
                  const struct kgi_compiler *by, uint32_t cost_ms, struct kgi_bytes image)
{
    int saved = errno, result = -EINVAL;

    if (is_cubin_for(key, image))
        result = put(cache, key, by, false, cost_ms, image);
    kgi_cache_count(KGI_COUNT_spent_ms, cost_ms);
    if (result == 0) {
        kgi_cache_count(KGI_COUNT_stores, 1);
        kgi_cache_count(KGI_COUNT_stored_bytes, image.size);
    } else {
        kgi_cache_count(KGI_COUNT_errors, 1);
    }
    kgi_cache_flush_sometimes(cache);
    errno = saved;
    return result;
}

int kgi_cache_put_failure(const struct kgi_cache *cache, const struct kgi_cache_key *key,
                          const struct kgi_compiler *by, const char *what)
{
    int saved = errno, result;

    result = put(cache, key, by, true, 0, (struct kgi_bytes){(const void *)what, strlen(what)});
    kgi_cache_count(KGI_COUNT_failures, 1);
    errno = saved;
    return result;
}

int kgi_cache_refuse(const struct kgi_cache *cache, const struct kgi_cache_key *key,
                     const struct kgi_cache_hit *hit, const char *what)
{
    char text[256];
    int saved = errno, result;

    snprintf(text, sizeof text, REFUSED "%s", what);
    result = put(cache, key, &hit->by, true, 0, (struct kgi_bytes){(void *)text, strlen(text)});
    kgi_cache_count(KGI_COUNT_refused, 1);
    errno = saved;
    return result;
}

bool kgi_cache_failed(const struct kgi_cache *cache, const struct kgi_cache_key *key,
                      const struct kgi_compiler *by, char *text, size_t size)
{
    char name[KGI_NAME_SIZE];
    struct kgi_loaded l;
    bool failed = false;
    int saved = errno, tier, shard = -1;
    uint8_t id[8];

    tier = cache->user ? kgi_place_tier(cache, cache->user, false, false) : -ENOENT;
    if (tier >= 0)
        shard = kgi_place_shard(cache, tier, key->digest[0], false, false);
    kgi_place_close(tier);
    if (shard >= 0) {
        kgi_compiler_id(by, id);
        kgi_place_name(key->digest, id, name);
        kgi_loaded_open(&l, shard, name, false);
        kgi_loaded_judge(&l, key->digest[0], name, NULL, NULL);
        failed = l.state == KGI_ENTRY_FAILURE;
        if (failed && text && size)
            snprintf(text, size, "%.*s", (int)l.entry.payload.size, (const char *)l.entry.payload.at);
        kgi_loaded_close(&l);
        kgi_place_close(shard);
    }
    errno = saved;
    return failed;
}

/* ---- claims ---------------------------------------------------------------------------------------- */

bool kgi_cache_claim(const struct kgi_cache *cache, const struct kgi_cache_key *key, int wait_ms,
                     struct kgi_cache_claim *out)
{
    int saved = errno, tier;
    uint64_t byte;
    bool held = false;

    out->fd = -1;
    memcpy(&byte, key->digest, sizeof byte);
    tier = cache->user ? kgi_place_tier(cache, cache->user, false, true) : -ENOENT;
    if (tier >= 0)
        held = kgi_place_lock(cache, tier, (int64_t)(byte >> 2) + 1, wait_ms, out) == 1;
    kgi_place_close(tier);
    errno = saved;
    return held;
}

void kgi_cache_release(struct kgi_cache_claim *claim)
{
    int saved = errno;

    kgi_place_unlock(claim);
    errno = saved;
}
