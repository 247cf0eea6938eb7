/*
 * Looking for a key in all tiers, and looking into one entry: what kgi_cache_get does, laid open for
 * those that explain it. Defined in cache.c; inside shim/jit/cache*.c only.
 */
#ifndef KGI_CACHE_SEARCH_H
#define KGI_CACHE_SEARCH_H

#include "cache_place.h"

#define KGI_SEARCH_MOST 64 /* entries under one key in all tiers */

struct kgi_candidate {
    char name[KGI_NAME_SIZE];
    int tier;               /* 0 = the user's, i = shared[i - 1] */
    bool own, hides;        /* of this driver; a failure, which hides its like in other tiers */
    bool asked;             /* for its name, before there was a list */
    enum kgi_entry_state state; /* once it was looked at */
    struct kgi_compiler by; /* as its head says, where that matters for the order */
};

struct kgi_search {
    const struct kgi_cache *cache;
    uint8_t digest[32];
    char prefix[KGI_NAME_SIZE];
    int shards[KGI_CACHE_TIERS + 1]; /* open until kgi_search_end; negative where there is none */
    bool opened[KGI_CACHE_TIERS + 1];
    size_t count;
    struct kgi_candidate candidates[KGI_SEARCH_MOST];
};

/* The path of a tier; NULL when there is none of that number. */
const char *kgi_search_tier(const struct kgi_cache *cache, int tier);
/* Gathers the entries under a key; needs kgi_search_end. s is zeroed memory, too big for a stack. */
void kgi_search_begin(struct kgi_search *s, const struct kgi_cache *cache, const uint8_t digest[32]);
/* Puts the best first. */
void kgi_search_order(struct kgi_search *s, const struct kgi_compiler *own);
void kgi_search_end(struct kgi_search *s);

/* ---- one entry ---- */

/* One entry, read and proven. */
struct kgi_loaded {
    struct kgi_place_file file;
    struct kgi_bytes bytes; /* pages of ours; entry borrows from them */
    size_t room;            /* of them */
    struct kgi_entry entry;
    enum kgi_entry_state state;
};
/* Needs kgi_loaded_close whatever it says. */
enum kgi_entry_state kgi_loaded_open(struct kgi_loaded *l, int directory, const char *name,
                                     bool shared);
/* Narrows the state of a good entry, which stands under this name in the shard of `first`; host and
 * own may be NULL. */
void kgi_loaded_judge(struct kgi_loaded *l, uint8_t first, const char *name,
                      const struct kgi_host *host, const struct kgi_compiler *own);
void kgi_loaded_close(struct kgi_loaded *l);
/* The same for candidate i of a search, after those before it: FAILURE also where such a one hides it. */
void kgi_search_load(struct kgi_search *s, size_t i, const struct kgi_host *host,
                     const struct kgi_compiler *own, struct kgi_loaded *l);

/* Writes the parts as the entry of a key and compiler into the user tier. 0 or -errno. */
int kgi_cache_store(const struct kgi_cache *cache, const uint8_t digest[32],
                    const struct kgi_compiler *by, const struct kgi_bytes *parts, size_t count);

#endif
