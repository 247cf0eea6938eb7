/*
 * The cache's view of a file system: descriptors of tiers, shards and entries, each owned by the
 * function that asked for it and gone when that returns. Inside shim/jit/cache*.c only. All functions
 * return -errno on failure.
 */
#ifndef KGI_CACHE_PLACE_H
#define KGI_CACHE_PLACE_H

#include "../base/base.h"
#include "cache.h"

#define KGI_NAME_SIZE 80 /* "<62 hex>.<16 hex>" and NUL */
#define KGI_TMP_PREFIX "tmp."
#define KGI_LOCK_CARE 0 /* the byte of `lock` that who evicts holds; the others are for keys */

/* A tier's directory, of the right owner; with make, made (and its parents) where it is missing. */
int kgi_place_tier(const struct kgi_cache *cache, const char *path, bool shared, bool make);
/* The shard of a key's first byte in it. */
int kgi_place_shard(const struct kgi_cache *cache, int tier, uint8_t first, bool shared, bool make);
void kgi_place_close(int fd);

/* Calls each with every name in a directory, "." and ".." too; stops when it returns non-zero and returns that. */
int kgi_place_list(int directory, int (*each)(const char *name, void *context), void *context);

struct kgi_place_file {
    int fd;
    enum kgi_entry_state state; /* UNREADABLE, FOREIGN, ABSENT, or GOOD: open, and ours */
    uint64_t size, device, inode;
    int64_t modified;
};
/* Opens a regular file of the right owner for reading; fd is -1 unless state is GOOD. */
void kgi_place_open(int directory, const char *name, bool shared, struct kgi_place_file *out);
/* Reads exactly size bytes from an offset. */
int kgi_place_read(int fd, void *out, size_t size, uint64_t offset);
/* Marks it as used now. */
void kgi_place_touch(int fd, int64_t now);
/* Removes a name, if it still is that file. */
void kgi_place_remove(int directory, const char *name, const struct kgi_place_file *file);
int kgi_place_unlink(int directory, const char *name);
int kgi_place_remove_directory(int directory, const char *name);
/* Size and time of last change of a regular file; -ENOTSUP for anything else. */
int kgi_place_stat(int directory, const char *name, bool shared, struct kgi_place_file *out);

/* A file being written under a temporary name in its directory. */
struct kgi_place_new {
    int directory;
    char name[40];
};
/* Makes it, with these parts as its content, synced as the cache wants it. */
int kgi_place_write(const struct kgi_cache *cache, int directory, const struct kgi_bytes *parts,
                    size_t count, struct kgi_place_new *out);
/* Gives it its name: from here on others see it, whole. */
int kgi_place_publish(const struct kgi_cache *cache, const struct kgi_place_new *file,
                      const char *name);
void kgi_place_discard(const struct kgi_place_new *file);
/* Writes at the end, or over the beginning, of a file of ours that others may read meanwhile; made
 * where it is missing. Its size before and these bytes in *size. */
int kgi_place_add(int directory, const char *name, struct kgi_bytes bytes, bool append,
                  uint64_t *size);

/* Bytes free in the file system for this user, less those that are left alone; UINT64_MAX when not
 * known. */
uint64_t kgi_place_room(int directory);

/* An advisory lock on one byte of the tier's `lock`: 1 = held, 0 = another holds it after wait_ms,
 * negative = there are no locks here. */
int kgi_place_lock(const struct kgi_cache *cache, int tier, int64_t byte, int wait_ms,
                   struct kgi_cache_claim *out);
void kgi_place_unlock(struct kgi_cache_claim *claim);

int64_t kgi_place_now(void);    /* seconds since 1970 */
int64_t kgi_place_ticks(void);  /* milliseconds, never set back */

/* ---- names ---- */
void kgi_place_name(const uint8_t digest[32], const uint8_t id[8], char out[KGI_NAME_SIZE]);
/* Whether a name in a shard is that of an entry. */
bool kgi_place_is_entry(const char *name);
bool kgi_place_is_shard(const char *name);
bool kgi_place_is_temporary(const char *name);

/* ---- cache_count.c ---- */
enum kgi_cache_counter {
#define AS_COUNTER(name) KGI_COUNT_##name,
    KGI_CACHE_COUNTERS(AS_COUNTER)
#undef AS_COUNTER
    KGI_COUNTERS
};
void kgi_cache_count(enum kgi_cache_counter counter, uint64_t more);
/* Flushes if the last time was long ago. */
void kgi_cache_flush_sometimes(const struct kgi_cache *cache);
/* Folds a long `stats` into one record. */
void kgi_cache_fold(const struct kgi_cache *cache, int tier);

/* ---- cache_care.c ---- */
/* Removes left-over temporary files, and the least recently used entries until the rest is within
 * limit (0 = any) and at least `more` bytes are gone. 0, or -ENOSPC when it could not be done. */
int kgi_cache_trim(const struct kgi_cache *cache, int tier, uint64_t limit, uint64_t more);
/* The same within the cache's limit for a file of this size that is written and not yet published. */
int kgi_cache_admit(const struct kgi_cache *cache, int tier, uint64_t size);

#endif
