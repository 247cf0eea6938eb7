/*
 * Floor 4: the compute cache, which holds cubins that a JIT compilation made, for the next process.
 *
 * An entry is one file that says itself what it is, is published whole or not at all, and is read
 * with read(2) and proven before a byte of it reaches the driver. Nothing has to be true of the
 * directory for that: a file that is damaged, of another key, of another owner, or of a newer format
 * is a miss. Locks only spare work.
 *
 * Where entries lie. <tier>/<2 hex>/<62 hex>.<16 hex>: the key's digest, split after its first byte,
 * and the first half of a digest of who compiled it, so that several compilers may hold an entry
 * under one key. Beside them tmp.<pid>.<16 hex> while one is written; in the tier itself `lock`
 * (empty, for advisory locks), `size` (of a bounded tier: a note of the total) and `stats`.
 *
 * What an entry holds (little-endian; format 1):
 *     0  "KGCACHE\0"
 *     8  u32 format; 12 u32 header size, a multiple of 64: where the payload starts
 *    16  the key's digest, 32 bytes
 *    48  u64 payload size; 56 u32 flags (1 = a failure, the payload is its text)
 *    60  u32 milliseconds that the compilation took, 0 = not told
 *    64  u32 size of the key block; 68 u32 size of the compiler block
 *    72  key block, compiler block, zeros up to the header size
 *        payload
 *        XXH3-128 over all of the above, canonical form
 * The key block is fields, each u32 length and bytes: "kguard key 1", target ("sm_90a"), canonical JIT
 * options, u64 number of inputs, u64 bytes of them together, SHA-256 over the inputs, each as u64
 * length of the packing's name, name, u64 length, bytes as stored (long ones in lanes: sha256.h). The
 * key's digest is the SHA-256 of the key block: an entry's name can be checked without the input, and a
 * miss can be explained. One kernel of a large PTX has "kernel <name>" for options, cut where it is too
 * long, and two inputs, plain: the digest of the whole's key, which has the options in it, and the
 * kernel's name. The compiler block likewise: "driver" or "ptxas", u32 CUDA version, build text.
 * No time, path, host or user is in an entry: the same inputs give the same bytes, on every machine.
 * What is not understood - another format, unknown flags - is a miss and stays. The space between the
 * blocks and the header size is where a signature would go.
 *
 * Who is trusted. XXH3 finds damage, not an enemy who can write there. So the tier and its entries
 * must belong to the effective user (read-only tiers: or to root) and be writable by the owner alone,
 * which is asked of the open descriptors. A process whose real and effective user differ has no cache.
 */
#ifndef KGI_CACHE_H
#define KGI_CACHE_H

#include "../base/bytes.h"
#include "../rules/rules.h"

/* ---- cache_entry.c: keys and entries as bytes; no I/O ------------------------------------------------ */

/* One thing that is compiled: the payload as it lies in the image, packed or not, so that a hit
 * never unpacks. Several only for a device link, whose order counts. */
struct kgi_cache_input {
    struct kgi_bytes payload;
    uint8_t packing; /* enum kgi_packing */
};

#define KGI_CACHE_OPTIONS 512 /* the longest options text */
#define KGI_CACHE_BUILD 96    /* the longest build text, with its NUL */

struct kgi_cache_key {
    uint8_t digest[32];
    uint16_t size; /* of block */
    uint8_t block[KGI_CACHE_OPTIONS + 128];
};

/* The key of a compilation: these inputs, for exactly this target (suffix counts), with these JIT
 * options as the compiler gets them, in one canonical order ("" = none). The cost is one SHA-256
 * over the payloads: make it once. 0, or -E2BIG for options that are too long: not cacheable. */
int kgi_cache_key(const struct kgi_cache_input *inputs, size_t count, struct kgi_target target,
                  const char *options, struct kgi_cache_key *out);

enum kgi_compiler_kind { KGI_BY_DRIVER = 1, KGI_BY_PTXAS = 2 };

/* Who compiled: the driver's JIT of this version, or this ptxas. Not part of the key, or an image
 * warmed by ptxas would never be found by a process that only knows its driver. */
struct kgi_compiler {
    uint8_t kind;                /* enum kgi_compiler_kind */
    int cuda_version;            /* 13000 = 13.0 */
    char build[KGI_CACHE_BUILD]; /* "580.95.05"; "V13.0.88 cuda_13.0.r13.0/compiler.36424714_0" */
};

/* What an entry's bytes are. The order is that of explanations: the later, the nearer to a hit. */
enum kgi_entry_state {
    KGI_ENTRY_ABSENT,
    KGI_ENTRY_UNREADABLE, /* it cannot be opened or read */
    KGI_ENTRY_FOREIGN,    /* not a regular file, another owner, or writable by others */
    KGI_ENTRY_DAMAGED,    /* cut, digest or key wrong */
    KGI_ENTRY_NEWER,      /* of a format that is not read here */
    KGI_ENTRY_EXPIRED,    /* a failure of long ago */
    KGI_ENTRY_FAILURE,    /* this compiler failed on this, not long ago; or a driver refused it */
    KGI_ENTRY_OTHER,      /* by the JIT of another driver */
    KGI_ENTRY_UNFIT,      /* this driver cannot load it (cubin ABI) */
    KGI_ENTRY_GOOD,
};
extern const char *const kgi_entry_state_names[];

/* An entry, parsed. Everything is borrowed from its bytes but the compiler. */
struct kgi_entry {
    uint8_t key[32];
    struct kgi_bytes key_block, payload;
    bool failure;      /* the payload is a text that says what went wrong */
    uint32_t cost_ms;  /* what the compilation took; 0 = not told */
    struct kgi_compiler by;
};

/* Parses and proves an entry: GOOD (also for a failure), DAMAGED or NEWER. */
enum kgi_entry_state kgi_entry_read(struct kgi_bytes file, struct kgi_entry *out);
/* The same from its first KGI_ENTRY_HEADER bytes: payload.at stays NULL, and nothing is proven. */
enum kgi_entry_state kgi_entry_head(struct kgi_bytes start, struct kgi_entry *out);
/* What tells compilers apart in a file name. */
void kgi_compiler_id(const struct kgi_compiler *by, uint8_t out[8]);
/* The bytes before the payload. size >= KGI_ENTRY_HEADER. Returns their number. */
#define KGI_ENTRY_HEADER 1024
size_t kgi_entry_header(const struct kgi_cache_key *key, const struct kgi_compiler *by, bool failure,
                        uint32_t cost_ms, uint64_t payload_size, uint8_t *out);
/* The 16 bytes after it. */
void kgi_entry_digest(struct kgi_bytes header, struct kgi_bytes payload, uint8_t out[16]);

/* The fields of a key block, for people. options is not NUL-ended. */
struct kgi_cache_question {
    struct kgi_bytes target, options, inputs; /* inputs: their SHA-256 */
    uint64_t count, bytes;
};
bool kgi_cache_question(struct kgi_bytes key_block, struct kgi_cache_question *out);

/* ---- cache_place.c: tiers, and the system calls ------------------------------------------------------ */

/* Every system call of the cache goes through here, as result or -errno: tests count, fail, record
 * and kill at them. */
struct kgi_cache_sys {
    long (*call)(long number, long a, long b, long c, long d, long e);
};
extern struct kgi_cache_sys kgi_cache_sys;

#define KGI_CACHE_TIERS 8

struct kgi_cache {
    const char *user;                  /* the tier that is written; NULL = none: memory only */
    const char *shared[KGI_CACHE_TIERS]; /* read-only tiers, searched first; NULL-ended if fewer */
    uint64_t limit;                    /* bytes in the user tier; 0 = no bound */
    bool is_public;                    /* to be read by other users: 0755 and 0644 */
    bool no_sync;                      /* leaves out fdatasync and fsync: for a tree that a build makes */
    bool no_directory_sync;            /* leaves out the fsync of the directory alone */
    bool no_stats;                     /* keeps no counters in the user tier */
};

/* The cache that the options name. Never NULL; without any place user is NULL and every get a miss. */
const struct kgi_cache *kgi_cache_default(void);

/* ---- cache.c: what a compilation asks ------------------------------------------------------------------ */

/* A cubin from the cache, in memory of ours, 64-byte aligned, until kgi_cache_free. */
struct kgi_cache_hit {
    struct kgi_bytes image;
    struct kgi_compiler by;
    uint32_t cost_ms;          /* what compiling it took, 0 = not told: the time saved */
    bool shared;               /* from a read-only tier */
    enum kgi_entry_state why;  /* of a miss: the best that was found */
    void *memory;              /* private */
    size_t memory_size;
};

/* The best cubin for key: by this driver's own JIT (`own`, as given to kgi_cache_put), else by the
 * newest ptxas whose cubin the host can load; of one that has served this process before, without a look
 * whether there is a newer one's. 0, or -ENOENT: a miss, whatever the cause. What is
 * damaged in the user tier is removed. Any thread; keeps errno, no descriptor and no lock. */
int kgi_cache_get(const struct kgi_cache *cache, const struct kgi_cache_key *key,
                  const struct kgi_host *host, const struct kgi_compiler *own,
                  struct kgi_cache_hit *out);
/* The same once more for what was asked for already: the counters know of one. */
int kgi_cache_look(const struct kgi_cache *cache, const struct kgi_cache_key *key,
                   const struct kgi_host *host, const struct kgi_compiler *own,
                   struct kgi_cache_hit *out);
void kgi_cache_free(struct kgi_cache_hit *hit);
/* Whether kgi_cache_get would find something, as far as first bytes tell. That counts as used now. */
bool kgi_cache_touch(const struct kgi_cache *cache, const struct kgi_cache_key *key,
                     const struct kgi_compiler *own);

/* Whether an entry can be written: makes the user tier where it is missing. */
bool kgi_cache_keeps(const struct kgi_cache *cache);
/* Stores a cubin that compiler `by` made in cost_ms (0 = not told; a reproducible tree wants 0). It is
 * synced to the disk unless it took less than half a second to make.
 * 0; -EINVAL when image is no cubin of key's target; -EFBIG when larger than the bound; -ENOSPC; or
 * another -errno, none of which matters to the program: the image in hand is as good as before. */
int kgi_cache_put(const struct kgi_cache *cache, const struct kgi_cache_key *key,
                  const struct kgi_compiler *by, uint32_t cost_ms, struct kgi_bytes image);

/* The driver refused a hit: no later get returns this entry, wherever it lies, for a week. */
int kgi_cache_refuse(const struct kgi_cache *cache, const struct kgi_cache_key *key,
                     const struct kgi_cache_hit *hit, const char *what);
/* Remembers that a compiler crashed on, timed out on or rejected this input; and whether it is known
 * to (for an hour), with the text if text != NULL. */
int kgi_cache_put_failure(const struct kgi_cache *cache, const struct kgi_cache_key *key,
                          const struct kgi_compiler *by, const char *what);
bool kgi_cache_failed(const struct kgi_cache *cache, const struct kgi_cache_key *key,
                      const struct kgi_compiler *by, char *text, size_t size);

/* Before a compilation: waits, at most wait_ms, while another process or thread compiles for this
 * key. Then look again with kgi_cache_look, as it may be there now; if not, compile, put, and release.
 * true = held; false = not, because of the time or because there are no locks here: go on as well.
 * The claim holds a descriptor until it is released; the kernel releases it if the process dies. */
struct kgi_cache_claim {
    int fd;
    uint64_t device, inode; /* what fd was: a program that closes all descriptors may reuse its number */
    int64_t range;
};
bool kgi_cache_claim(const struct kgi_cache *cache, const struct kgi_cache_key *key, int wait_ms,
                     struct kgi_cache_claim *out);
void kgi_cache_release(struct kgi_cache_claim *claim);

/* ---- cache_count.c: counters --------------------------------------------------------------------------- */

#define KGI_CACHE_COUNTERS(ROW)                                                                    \
    ROW(hits) ROW(misses) ROW(stores) ROW(damaged) ROW(refused) ROW(failures) ROW(evicted)         \
    ROW(hit_bytes) ROW(stored_bytes) ROW(evicted_bytes) ROW(saved_ms) ROW(spent_ms) ROW(errors)
struct kgi_cache_counts {
#define AS_COUNTER(name) uint64_t name;
    KGI_CACHE_COUNTERS(AS_COUNTER)
#undef AS_COUNTER
};

/* This process's counters; those of all processes, as far as they are on disk. */
void kgi_cache_counts(struct kgi_cache_counts *out);
int kgi_cache_total(const struct kgi_cache *cache, struct kgi_cache_counts *out);
/* Appends what is new to the user tier's `stats`: a get or put does so by itself, at most every ten
 * seconds; call it at exit for the rest. */
void kgi_cache_flush(const struct kgi_cache *cache);

/* ---- cache_care.c: what `kguard cache` does ------------------------------------------------------------ */

/* One entry as it lies there. Borrowed for the call. */
struct kgi_cache_item {
    const char *tier, *name; /* "ab/0123....89ab" below tier */
    bool shared;
    enum kgi_entry_state state;
    uint64_t size;
    int64_t used;                  /* seconds since 1970: last use, or time of a failure */
    const struct kgi_entry *entry; /* NULL unless its bytes are proven */
};
/* Every entry of every tier, in order of name. With `prove` it is read whole and proven; without, its
 * head alone is read and state GOOD is not yet certain. Stops when each returns non-zero and returns
 * that; -errno when a tier cannot be listed. */
int kgi_cache_each(const struct kgi_cache *cache, bool prove,
                   int (*each)(const struct kgi_cache_item *, void *), void *context);
/* What a get for this key meets in every tier, in the order of preference, with the state as the get
 * sees it; host and own as there, or NULL for no judgement of that kind. */
int kgi_cache_explain(const struct kgi_cache *cache, const uint8_t digest[32],
                      const struct kgi_host *host, const struct kgi_compiler *own,
                      int (*each)(const struct kgi_cache_item *, void *), void *context);
/* Removes from the user tier: left-over temporary files, failures past their time, what is damaged
 * (with prove), and the least recently used above its limit. */
int kgi_cache_gc(const struct kgi_cache *cache, bool prove);
/* Removes everything of ours from the user tier. */
int kgi_cache_clear(const struct kgi_cache *cache);
/* Copies every proven cubin of all tiers of `from` to the user tier of `to`, byte for byte; returns
 * how many, or -errno. */
long kgi_cache_copy(const struct kgi_cache *from, const struct kgi_cache *to);

#endif
