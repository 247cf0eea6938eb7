/*
 * The kernels of a file: every payload inflated, its symbol table or text read. That is most of the
 * work by far (libcublasLt: 206 MB become 2.2 GB), so as many threads do it as there are cores,
 * while one goes on reading the file.
 *
 * Memory is bounded by two budgets: what waits packed, and what is unpacked at a time. A payload
 * larger than a budget is let through when it is alone. Two, so that the reader, which waits for
 * room for packed bytes, can never hold what the threads need to make room.
 */
#include <errno.h>
#include <limits.h>
#include <lz4.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <zstd.h>

#include "cli.h"

#define PACKED_MOST ((uint64_t)64 << 20)
#define UNPACKED_MOST ((uint64_t)192 << 20)
#define KEPT_MOST ((size_t)64 << 20) /* of memory the threads keep for the next payload, together */
#define CHUNK ((size_t)1 << 20)

enum { THREADS_MOST = 64 };

struct job {
    struct job *next;
    struct kgi_inflater *owner;
    size_t found, code;
    struct kgi_code head;
    struct kgi_kernel *kernels;
    size_t count;
    uint8_t *packed;
};

/* All names of a file, each once. */
struct names {
    struct chunk {
        struct chunk *next;
        size_t used, size;
        char at[];
    } *chunks;
    const char **table;
    size_t room, count;
};

struct kgi_inflater {
    size_t open; /* jobs not yet done */
    struct job *done;
    struct names *names;
    int error;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t work, room; /* a job waits; memory or an inflater has become free */
    struct job *first, *last;
    uint64_t packed, unpacked;
    size_t threads;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .work = PTHREAD_COND_INITIALIZER,
          .room = PTHREAD_COND_INITIALIZER};

/* What a thread keeps from payload to payload. */
struct worker {
    ZSTD_DCtx *zstd;
    uint8_t *scratch;
    size_t room;
};

/* ---- names ------------------------------------------------------------------------------------------- */

static uint64_t hash_of(const char *name, size_t size)
{
    uint64_t h = size, word;

    for (; size >= 8; size -= 8, name += 8) {
        memcpy(&word, name, 8);
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    word = 0;
    memcpy(&word, name, size);
    h = (h ^ word) * 0xbf58476d1ce4e5b9u;
    return h ^ h >> 32;
}

static const char *copy_name(struct names *n, const char *name, size_t size)
{
    if (!n->chunks || n->chunks->size - n->chunks->used < size) {
        size_t room = size > CHUNK ? size : CHUNK;
        struct chunk *fresh = malloc(sizeof *fresh + room);
        if (!fresh)
            return NULL;
        *fresh = (struct chunk){n->chunks, 0, room};
        n->chunks = fresh;
    }
    char *copy = memcpy(n->chunks->at + n->chunks->used, name, size);
    n->chunks->used += size;
    return copy;
}

static bool grow_table(struct names *n)
{
    size_t room = n->room ? 2 * n->room : 1024;
    const char **table = calloc(room, sizeof *table);

    if (!table)
        return false;
    for (size_t i = 0; i < n->room; i++) {
        if (!n->table[i])
            continue;
        size_t at = hash_of(n->table[i], strlen(n->table[i])) & (room - 1);
        while (table[at])
            at = (at + 1) & (room - 1);
        table[at] = n->table[i];
    }
    free(n->table);
    n->table = table;
    n->room = room;
    return true;
}

/* The one copy of a name; hash and size are of it without its NUL. NULL without memory. */
static const char *intern(struct names *n, const char *name, size_t size, uint64_t hash)
{
    if (2 * n->count >= n->room && !grow_table(n))
        return NULL;
    size_t at = hash & (n->room - 1);
    for (; n->table[at]; at = (at + 1) & (n->room - 1))
        if (strcmp(n->table[at], name) == 0)
            return n->table[at];
    n->table[at] = copy_name(n, name, size + 1);
    n->count += n->table[at] != NULL;
    return n->table[at];
}

void kgi_kernel_names_free(void *names)
{
    struct names *n = names;
    struct chunk *next;

    if (!n)
        return;
    for (struct chunk *c = n->chunks; c; c = next) {
        next = c->next;
        free(c);
    }
    free(n->table);
    free(n);
}

/* ---- one payload ---------------------------------------------------------------------------------------- */

/* The payload as the compiler made it; empty when it is broken or there is no memory. */
static struct kgi_bytes unpack(struct worker *w, const struct kgi_code *code,
                               struct kgi_bytes packed)
{
    struct kgi_bytes out = {w->scratch, (size_t)code->size};
    size_t length = 0;

    if (code->packing == KGI_PLAIN)
        return packed;
    if (code->packing == KGI_ZSTD) {
        if (!w->zstd)
            w->zstd = ZSTD_createDCtx();
        if (w->zstd)
            length = ZSTD_decompressDCtx(w->zstd, w->scratch, out.size, packed.at, packed.size);
    } else if (code->packing == KGI_LZ4 && packed.size <= INT_MAX && out.size <= INT_MAX) {
        length = (size_t)LZ4_decompress_safe((const char *)packed.at, (char *)w->scratch,
                                             (int)packed.size, (int)out.size);
    }
    return length == out.size ? out : (struct kgi_bytes){NULL, 0};
}

/* Makes kgi_code's readers see an unpacked payload; puts back what is the file's. */
static int inspect(struct kgi_code *code, struct kgi_bytes payload)
{
    struct kgi_code plain = *code;

    plain.packing = KGI_PLAIN;
    plain.payload = payload;
    plain.size = payload.size;
    int error = payload.at ? kgi_code_inspect(&plain, NULL, 0) : -EBADMSG;
    code->traits = plain.traits | (payload.at ? 0 : KGI_T_UNREADABLE);
    code->kernels = plain.kernels;
    code->abi = plain.abi;
    return error;
}

void kgi_inspect_now(struct kgi_code *code, struct kgi_bytes payload)
{
    static struct worker w;

    if (code->packing > KGI_ZSTD)
        return;
    if (code->packing != KGI_PLAIN && w.room < code->size) {
        free(w.scratch);
        w.scratch = malloc((size_t)code->size);
        w.room = w.scratch ? (size_t)code->size : 0;
    }
    if (code->packing == KGI_PLAIN || w.scratch)
        inspect(code, unpack(&w, code, payload));
}

struct list {
    struct job *job;
    size_t room;
};

/* Collects a kernel; the name is made the file's later, all at once under the lock. */
static int collect(const char *name, int registers, void *context)
{
    struct list *list = context;
    struct job *job = list->job;

    if (job->count == list->room) {
        size_t room = list->room ? 2 * list->room : 4;
        struct kgi_kernel *grown = realloc(job->kernels, room * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        job->kernels = grown;
        list->room = room;
    }
    char *copy = strdup(name);
    if (!copy)
        return -ENOMEM;
    job->kernels[job->count++] = (struct kgi_kernel){copy, registers};
    return 0;
}

static void read_kernels(struct worker *w, struct job *job)
{
    struct list list = {job, 0};
    struct kgi_bytes packed = {job->packed, (size_t)job->head.payload.size};
    struct kgi_bytes payload = unpack(w, &job->head, packed);

    if (inspect(&job->head, payload) || !(job->head.traits & KGI_T_INSPECTED))
        return;
    struct kgi_code plain = job->head;
    plain.packing = KGI_PLAIN;
    plain.payload = payload;
    if (kgi_code_kernels(&plain, NULL, 0, collect, &list) == -ENOMEM)
        job->owner->error = -ENOMEM;
}

/* Under the lock. */
static void intern_all(struct job *job)
{
    struct kgi_inflater *owner = job->owner;

    for (size_t i = 0; i < job->count; i++) {
        const char *name = job->kernels[i].name;
        size_t size = strlen(name);
        job->kernels[i].name = intern(owner->names, name, size, hash_of(name, size));
        if (!job->kernels[i].name)
            owner->error = -ENOMEM;
        free((void *)(uintptr_t)name);
    }
    job->head.kernels = (int32_t)job->count;
}

/* ---- the threads -------------------------------------------------------------------------------------------- */

static bool fits(uint64_t used, uint64_t size, uint64_t most)
{
    return used == 0 || used + size <= most;
}

static void prepare(struct worker *w, size_t size)
{
    size_t keep = KEPT_MOST / pool.threads;

    if (w->room < size || w->room > keep) {
        free(w->scratch);
        w->room = size;
        w->scratch = malloc(size ? size : 1);
        if (!w->scratch)
            w->room = 0;
    }
}

static void *work(void *context)
{
    struct worker w = {NULL, NULL, 0};

    (void)context;
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        struct job *job = pool.first;
        if (!job || !fits(pool.unpacked, job->head.size, UNPACKED_MOST)) {
            pthread_cond_wait(&pool.work, &pool.lock);
            continue;
        }
        uint64_t unpacked = job->head.size, packed = job->head.payload.size;
        pool.first = job->next;
        pool.unpacked += unpacked;
        pthread_mutex_unlock(&pool.lock);
        if (job->head.packing != KGI_PLAIN)
            prepare(&w, (size_t)unpacked);
        if (w.scratch || job->head.packing == KGI_PLAIN)
            read_kernels(&w, job);
        pthread_mutex_lock(&pool.lock);
        free(job->packed);
        intern_all(job);
        pool.unpacked -= unpacked;
        pool.packed -= packed;
        job->next = job->owner->done;
        job->owner->done = job;
        job->owner->open--;
        pthread_cond_broadcast(&pool.room);
        if (pool.first)
            pthread_cond_broadcast(&pool.work);
    }
    return NULL;
}

static void start_threads(void)
{
    cpu_set_t set;
    pthread_attr_t attributes;
    pthread_t thread;
    size_t want = sched_getaffinity(0, sizeof set, &set) ? 1 : (size_t)CPU_COUNT(&set);

    want = want > THREADS_MOST ? THREADS_MOST : want;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_mutex_lock(&pool.lock);
    while (pool.threads < want && pthread_create(&thread, &attributes, work, NULL) == 0)
        pool.threads++;
    pthread_mutex_unlock(&pool.lock);
    pthread_attr_destroy(&attributes);
}

/* ---- one file -------------------------------------------------------------------------------------------------- */

struct kgi_inflater *kgi_inflater_start(void)
{
    struct kgi_inflater *inflater = calloc(1, sizeof *inflater);

    if (pool.threads == 0)
        start_threads();
    if (inflater && pool.threads)
        inflater->names = calloc(1, sizeof *inflater->names);
    if (!inflater || !inflater->names) {
        free(inflater);
        return NULL;
    }
    return inflater;
}

int kgi_inflater_add(struct kgi_inflater *inflater, size_t found, size_t code,
                     const struct kgi_code *head, struct kgi_bytes payload)
{
    struct job *job = malloc(sizeof *job);
    uint8_t *packed = malloc(payload.size);

    if (!job || !packed) {
        free(job);
        free(packed);
        return -ENOMEM;
    }
    *job = (struct job){NULL, inflater, found, code, *head, NULL, 0, packed};
    memcpy(job->packed, payload.at, payload.size);
    job->head.payload = (struct kgi_bytes){NULL, payload.size};
    job->head.options = job->head.name = (struct kgi_bytes){NULL, 0};
    pthread_mutex_lock(&pool.lock);
    while (!fits(pool.packed, payload.size, PACKED_MOST))
        pthread_cond_wait(&pool.room, &pool.lock);
    pool.packed += payload.size;
    if (pool.first)
        pool.last->next = job;
    else
        pool.first = job;
    pool.last = job;
    inflater->open++;
    pthread_cond_signal(&pool.work);
    pthread_mutex_unlock(&pool.lock);
    return 0;
}

/* Payloads are done in any order; the file's own order decides what is where. */
static int store(struct kgi_file *file, struct job *job)
{
    struct kgi_found *found = &file->found[job->found];

    if (!found->kernels)
        found->kernels = calloc(found->count, sizeof *found->kernels);
    if (!found->kernels)
        return -ENOMEM;
    found->codes[job->code] = job->head;
    if (!(job->head.traits & KGI_T_INSPECTED))
        found->codes[job->code].kernels = -1;
    found->kernels[job->code] = job->kernels;
    job->kernels = NULL;
    return 0;
}

int kgi_inflater_end(struct kgi_inflater *inflater, struct kgi_file *file)
{
    struct job *next;

    pthread_mutex_lock(&pool.lock);
    while (inflater->open)
        pthread_cond_wait(&pool.room, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
    int error = inflater->error;
    for (struct job *job = inflater->done; job; job = next) {
        next = job->next;
        if (error == 0)
            error = store(file, job);
        free(job->kernels);
        free(job);
    }
    free(inflater->names->table);
    inflater->names->table = NULL;
    inflater->names->room = 0;
    file->names = inflater->names;
    free(inflater);
    return error;
}
