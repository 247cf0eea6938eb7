/*
 * The kernels of a file: every payload inflated, its symbol table or text read. That is most of the
 * work by far (libcublasLt: 206 MB become 2.2 GB), so as many threads do it as there are cores,
 * while one goes on over the file. What lies on disk the threads read themselves, each into memory that
 * it keeps: of 1.6 s that libtorch_cuda took (900 MB, 2 381 payloads), 0.6 s were fresh pages. What
 * comes from a stream is copied for them.
 *
 * Payloads are handed over in batches: half of cuBLASLt's 6 120 are smaller than 6 KB, and to wake a
 * thread costs more than to read one.
 *
 * Memory is bounded by two budgets: what was copied and waits, and what is unpacked at a time. A batch
 * larger than a budget is let through when it is alone. Two, so that the reader, which waits for room for
 * packed bytes, can never hold what the threads need to make room.
 *
 * Where no thread can be started, the one that reads the file does it all.
 *
 * What one thread does alone counts: with 16 cores libcublasLt takes 0.17 s in the threads. So they also
 * look ahead for the first payload (engine.c), name the kernels (table.c) and write their lines (output.c).
 */
#include <errno.h>
#include <limits.h>
#include <lz4.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#include "cli.h"

#define PACKED_MOST ((uint64_t)64 << 20)
#define UNPACKED_MOST ((uint64_t)192 << 20)
#define CHUNK ((size_t)1 << 20)
#define HUGE ((size_t)2 << 20) /* a page */

enum {
    THREADS_MOST = 64,
    BATCH = 1 << 20, /* bytes unpacked, or one payload */
};

struct job {
    struct job *next;
    size_t found, code;
    struct kgi_code head;
    uint64_t place;  /* of the packed bytes in the file */
    uint8_t *packed; /* or these are they */
    struct kgi_kernel *kernels;
    size_t count;
};

struct batch {
    struct batch *next;
    struct kgi_inflater *owner;
    struct job *first, *last;
    uint64_t packed, unpacked;
};

/* All names of a file, each once. */
struct names {
    struct chunk {
        struct chunk *next;
        size_t used, size;
        char at[];
    } *chunks;
    struct name {
        const char *text; /* NULL: free */
        unsigned number;
    } *table;
    size_t room, count;
};

struct kgi_inflater {
    struct kgi_stream *stream;
    struct batch *filling; /* not yet handed over */
    size_t open;           /* batches handed over and not yet done */
    struct job *done;
    pthread_mutex_t names_lock;
    struct names *names;
    int error;
    struct job *lost; /* the first payload in the file that could not be had, and why */
    int lost_error;
};

/* Calls that all threads make together. */
struct round {
    struct round *next;
    void (*each)(void *context, size_t i);
    void *context;
    size_t count, taken, done;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t work, room; /* something is to be done; memory has become free, or something is done */
    struct round *rounds;      /* before any batch: who began one waits for it */
    struct batch *first, *last;
    uint64_t packed, unpacked;
    size_t threads;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .work = PTHREAD_COND_INITIALIZER,
          .room = PTHREAD_COND_INITIALIZER};

/* Memory for one payload after another: what is usual is kept, and touched only as far as it is needed. In
 * huge pages: with 16 threads, small ones took 3 % longer to use and 10 ms more to give back at the exit. */
struct buffer {
    size_t usual;
    uint8_t *kept, *large;
    size_t kept_room, large_room;
};

/* What a thread keeps from payload to payload. */
struct worker {
    ZSTD_DCtx *zstd;
    struct buffer packed, unpacked;
    char *names; /* of the payload's kernels, one behind the other */
    size_t names_size, names_room;
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
    struct name *table = calloc(room, sizeof *table);

    if (!table)
        return false;
    for (size_t i = 0; i < n->room; i++) {
        const char *text = n->table[i].text;
        if (!text)
            continue;
        size_t at = hash_of(text, strlen(text)) & (room - 1);
        while (table[at].text)
            at = (at + 1) & (room - 1);
        table[at] = n->table[i];
    }
    free(n->table);
    n->table = table;
    n->room = room;
    return true;
}

/* Gives the kernel the one copy of its name; size is without its NUL. False without memory. */
static bool intern(struct names *n, const char *name, size_t size, struct kgi_kernel *kernel)
{
    if (2 * n->count >= n->room && !grow_table(n))
        return false;
    size_t at = hash_of(name, size) & (n->room - 1);
    while (n->table[at].text && strcmp(n->table[at].text, name) != 0)
        at = (at + 1) & (n->room - 1);
    if (!n->table[at].text) {
        const char *copy = copy_name(n, name, size + 1);
        if (!copy)
            return false;
        n->table[at] = (struct name){copy, (unsigned)n->count++};
    }
    kernel->name = n->table[at].text;
    kernel->number = n->table[at].number;
    return true;
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

/* ---- memory ------------------------------------------------------------------------------------------ */

static uint8_t *buffer_get(struct buffer *b, size_t size)
{
    if (size > b->usual)
        return b->large = kgi_pages_get_huge(size, &b->large_room);
    if (!b->kept && b->usual < HUGE)
        b->kept = kgi_pages_get(b->kept_room = b->usual);
    else if (!b->kept)
        b->kept = kgi_pages_get_huge(b->usual, &b->kept_room);
    return b->kept;
}

static void buffer_put(struct buffer *b)
{
    kgi_pages_put(b->large, b->large_room);
    b->large = NULL;
}

/* ---- one payload ---------------------------------------------------------------------------------------- */

/* The payload as the compiler made it; empty when it is broken or there is no memory. */
static struct kgi_bytes unpack(struct worker *w, const struct kgi_code *code,
                               struct kgi_bytes packed)
{
    struct kgi_bytes out = {NULL, (size_t)code->size};
    size_t length = 0;
    uint8_t *to;

    if (code->packing == KGI_PLAIN || !packed.at)
        return packed;
    if (!(out.at = to = buffer_get(&w->unpacked, out.size)))
        return out;
    if (code->packing == KGI_ZSTD) {
        if (!w->zstd)
            w->zstd = ZSTD_createDCtx();
        if (w->zstd)
            length = ZSTD_decompressDCtx(w->zstd, to, out.size, packed.at, packed.size);
    } else if (code->packing == KGI_LZ4 && packed.size <= INT_MAX && out.size <= INT_MAX) {
        length = (size_t)LZ4_decompress_safe((const char *)packed.at, (char *)to, (int)packed.size,
                                             (int)out.size);
    }
    return length == out.size ? out : (struct kgi_bytes){NULL, 0};
}

/* Makes kgi_code's readers see an unpacked payload; puts back what is the file's. */
static int inspect(struct kgi_code *code, struct kgi_bytes payload,
                   int (*each)(const char *, int, void *), void *context)
{
    struct kgi_code plain = *code;

    plain.packing = KGI_PLAIN;
    plain.payload = payload;
    plain.size = payload.size;
    int error = payload.at ? kgi_code_kernels(&plain, NULL, 0, each, context) : -EBADMSG;
    code->traits = plain.traits | (payload.at ? 0 : KGI_T_UNREADABLE);
    code->kernels = plain.kernels;
    code->abi = plain.abi;
    return error;
}

/* ---- small payloads, here and now ------------------------------------------------------------------------- */

/* cuBLASLt's 4 682 payloads of up to 8 KB are 55 different ones: what was read of one stands for all. */
struct known {
    uint8_t *packed;
    struct kgi_code before, after;
};

struct kgi_glance {
    struct worker worker;
    struct known known[256];
};

static bool is_known(const struct known *k, const struct kgi_code *code, struct kgi_bytes payload)
{
    return k->packed && k->before.kind == code->kind && k->before.packing == code->packing &&
           k->before.traits == code->traits && k->before.size == code->size &&
           k->before.payload.size == payload.size && memcmp(k->packed, payload.at, payload.size) == 0;
}

static void note_known(struct known *k, const struct kgi_code *before, const struct kgi_code *after,
                       struct kgi_bytes payload)
{
    uint8_t *copy = realloc(k->packed, payload.size + 1);

    if (!copy)
        return;
    *k = (struct known){memcpy(copy, payload.at, payload.size), *before, *after};
    k->before.payload.size = payload.size;
}

void kgi_inspect_now(struct kgi_glance **glance, struct kgi_code *code, struct kgi_bytes payload)
{
    struct kgi_code before = *code;

    if (code->packing > KGI_ZSTD || (!*glance && !(*glance = calloc(1, sizeof **glance))))
        return;
    struct worker *w = &(*glance)->worker;
    struct known *k = &(*glance)->known[hash_of((const char *)payload.at, payload.size) & 255];
    w->unpacked.usual = 64 << 10;
    if (is_known(k, code, payload)) {
        code->traits = k->after.traits;
        code->kernels = k->after.kernels;
        code->abi = k->after.abi;
        return;
    }
    inspect(code, unpack(w, code, payload), NULL, NULL);
    buffer_put(&w->unpacked);
    if (payload.size <= w->unpacked.usual)
        note_known(k, &before, code, payload);
}

void kgi_glance_free(struct kgi_glance *glance)
{
    if (!glance)
        return;
    ZSTD_freeDCtx(glance->worker.zstd);
    kgi_pages_put(glance->worker.unpacked.kept, glance->worker.unpacked.kept_room);
    for (size_t i = 0; i < KGI_COUNT(glance->known); i++)
        free(glance->known[i].packed);
    free(glance);
}

/* ---- all payloads, by the threads --------------------------------------------------------------------------- */

struct list {
    struct worker *worker;
    struct job *job;
    size_t room;
};

/* Collects a kernel; the name is made the file's later, all at once under the lock. */
static int collect(const char *name, int registers, void *context)
{
    struct list *list = context;
    struct worker *w = list->worker;
    struct job *job = list->job;
    size_t size = strlen(name) + 1;

    if (job->count == list->room) {
        size_t room = list->room ? 2 * list->room : 4;
        struct kgi_kernel *grown = realloc(job->kernels, room * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        job->kernels = grown;
        list->room = room;
    }
    if (size > w->names_room - w->names_size) {
        size_t room = 2 * w->names_room + size;
        char *grown = realloc(w->names, room);
        if (!grown)
            return -ENOMEM;
        w->names = grown;
        w->names_room = room;
    }
    memcpy(w->names + w->names_size, name, size);
    w->names_size += size;
    job->kernels[job->count++] = (struct kgi_kernel){NULL, registers, 0};
    return 0;
}

static int intern_all(struct kgi_inflater *owner, struct job *job, const char *name)
{
    int error = 0;

    pthread_mutex_lock(&owner->names_lock);
    for (size_t i = 0; i < job->count; i++) {
        size_t size = strlen(name);
        if (!intern(owner->names, name, size, &job->kernels[i]))
            error = -ENOMEM;
        name += size + 1;
    }
    pthread_mutex_unlock(&owner->names_lock);
    if (job->count) /* else they have no names that could be read; and are there */
        job->head.kernels = (int32_t)job->count;
    return error;
}

/* The packed bytes of a job; empty where they cannot be had, which *error then tells. */
static struct kgi_bytes packed_of(struct worker *w, struct kgi_stream *stream, const struct job *job,
                                  int *error)
{
    struct kgi_bytes packed = {job->packed, job->head.payload.size};
    size_t have = 0;

    if (packed.at)
        return packed;
    uint8_t *to = buffer_get(&w->packed, packed.size);
    *error = to ? 0 : -ENOMEM;
    while (*error == 0 && have < packed.size) {
        ssize_t n = stream->read_at(stream->context, to + have, packed.size - have, job->place + have);
        *error = n > 0 ? 0 : n < 0 ? (int)n : -ENODATA;
        have += n > 0 ? (size_t)n : 0;
    }
    packed.at = *error ? NULL : to;
    return packed;
}

static int read_kernels(struct worker *w, struct kgi_inflater *owner, struct job *job)
{
    struct list list = {w, job, 0};
    int error = 0;

    w->names_size = 0;
    struct kgi_bytes packed = packed_of(w, owner->stream, job, &error);
    int result = inspect(&job->head, unpack(w, &job->head, packed), collect, &list);
    buffer_put(&w->packed);
    buffer_put(&w->unpacked);
    if (job->head.traits & KGI_T_INSPECTED && intern_all(owner, job, w->names))
        result = -ENOMEM;
    return result == -ENOMEM || (result && job->head.traits & KGI_T_INSPECTED) ? result : error;
}

/* ---- the threads -------------------------------------------------------------------------------------------- */

static bool fits(uint64_t used, uint64_t size, uint64_t most)
{
    return used == 0 || used + size <= most;
}

/* Makes one of the calls; under the lock, but for the call. */
static void take_part(struct round *round)
{
    size_t i = round->taken++;

    pthread_mutex_unlock(&pool.lock);
    round->each(round->context, i);
    pthread_mutex_lock(&pool.lock);
    if (++round->done == round->count)
        pthread_cond_broadcast(&pool.room);
}

static struct round *open_round(void)
{
    struct round *round = pool.rounds;

    while (round && round->taken == round->count)
        round = round->next;
    return round;
}

/* Under the lock; what it returns is the caller's. */
static struct batch *take_batch(void)
{
    struct round *round;
    struct batch *batch;

    while ((round = open_round()) || !(batch = pool.first) ||
           !fits(pool.unpacked, batch->unpacked, UNPACKED_MOST)) {
        if (round)
            take_part(round);
        else
            pthread_cond_wait(&pool.work, &pool.lock);
    }
    pool.first = batch->next;
    pool.unpacked += batch->unpacked;
    if (pool.first)
        pthread_cond_signal(&pool.work);
    return batch;
}

/* Under the lock. */
static void end_batch(struct batch *batch)
{
    struct kgi_inflater *owner = batch->owner;

    batch->last->next = owner->done;
    owner->done = batch->first;
    owner->open--;
    pool.unpacked -= batch->unpacked;
    pool.packed -= batch->packed;
    if (batch->packed || owner->open == 0)
        pthread_cond_broadcast(&pool.room);
    free(batch);
}

static void note_error(struct kgi_inflater *owner, struct job *job, int error)
{
    pthread_mutex_lock(&pool.lock);
    if (error == -ENOMEM) {
        owner->error = error;
    } else if (!owner->lost || job->place < owner->lost->place) {
        owner->lost = job;
        owner->lost_error = error;
    }
    pthread_mutex_unlock(&pool.lock);
}

/* A thread's share, in whole pages. */
static size_t share_of(uint64_t most)
{
    size_t share = most / (pool.threads ? pool.threads : 1);

    return share < HUGE ? share : share & ~(HUGE - 1);
}

/* Under the lock, but for the reading. */
static void do_batch(struct worker *w, struct batch *batch)
{
    w->packed.usual = share_of(PACKED_MOST);
    w->unpacked.usual = share_of(UNPACKED_MOST);
    pthread_mutex_unlock(&pool.lock);
    for (struct job *job = batch->first; job; job = job->next) {
        int error = read_kernels(w, batch->owner, job);
        if (error)
            note_error(batch->owner, job, error);
        free(job->packed);
    }
    pthread_mutex_lock(&pool.lock);
    end_batch(batch);
}

static void *work(void *context)
{
    struct worker w = {.zstd = NULL};

    (void)context;
    pthread_mutex_lock(&pool.lock);
    for (;;)
        do_batch(&w, take_batch());
    return NULL;
}

size_t kgi_cores(void)
{
    cpu_set_t set;
    long count = sched_getaffinity(0, sizeof set, &set) ? sysconf(_SC_NPROCESSORS_ONLN)
                                                        : CPU_COUNT(&set);

    return count < 1 ? 1 : (size_t)count;
}

static void start_threads(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    size_t want;

    pthread_mutex_lock(&pool.lock);
    if (pool.threads == 0) {
        want = kgi_cores() < THREADS_MOST ? kgi_cores() : THREADS_MOST;
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        while (pool.threads < want && pthread_create(&thread, &attributes, work, NULL) == 0)
            pool.threads++;
        pthread_attr_destroy(&attributes);
    }
    pthread_mutex_unlock(&pool.lock);
}

void kgi_each(size_t count, void (*each)(void *context, size_t i), void *context)
{
    struct round round = {NULL, each, context, count, 0, 0}, **link = &pool.rounds;

    start_threads();
    pthread_mutex_lock(&pool.lock);
    round.next = pool.rounds;
    pool.rounds = &round;
    if (count > 1)
        pthread_cond_broadcast(&pool.work);
    while (round.taken < count)
        take_part(&round);
    while (*link != &round)
        link = &(*link)->next;
    *link = round.next;
    while (round.done < count)
        pthread_cond_wait(&pool.room, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
}

/* ---- one file -------------------------------------------------------------------------------------------------- */

struct kgi_inflater *kgi_inflater_start(struct kgi_stream *stream)
{
    struct kgi_inflater *inflater = calloc(1, sizeof *inflater);

    start_threads();
    if (inflater)
        inflater->names = calloc(1, sizeof *inflater->names);
    if (!inflater || !inflater->names) {
        free(inflater);
        return NULL;
    }
    inflater->stream = stream;
    pthread_mutex_init(&inflater->names_lock, NULL);
    return inflater;
}

static void hand_over(struct kgi_inflater *inflater)
{
    static struct worker alone; /* where no thread could be started */
    struct batch *batch = inflater->filling;

    inflater->filling = NULL;
    if (!batch)
        return;
    pthread_mutex_lock(&pool.lock);
    while (!fits(pool.packed, batch->packed, PACKED_MOST))
        pthread_cond_wait(&pool.room, &pool.lock);
    pool.packed += batch->packed;
    if (pool.first)
        pool.last->next = batch;
    else
        pool.first = batch;
    pool.last = batch;
    inflater->open++;
    if (pool.threads)
        pthread_cond_signal(&pool.work);
    else
        do_batch(&alone, take_batch());
    pthread_mutex_unlock(&pool.lock);
}

static void add_job(struct kgi_inflater *inflater, struct batch *batch, struct job *job)
{
    if (batch->first)
        batch->last->next = job;
    else
        batch->first = job;
    batch->last = job;
    batch->packed += job->packed ? job->head.payload.size : 0;
    batch->unpacked += job->head.size;
    inflater->filling = batch;
}

int kgi_inflater_add(struct kgi_inflater *inflater, size_t found, size_t code,
                     const struct kgi_code *head, const uint8_t *packed, uint64_t place)
{
    size_t size = head->payload.size;
    struct batch *batch = inflater->filling;
    struct job *job = malloc(sizeof *job);
    uint8_t *copy = packed ? malloc(size) : NULL;

    if (batch && batch->unpacked + head->size > BATCH) {
        hand_over(inflater);
        batch = NULL;
    }
    batch = batch ? batch : calloc(1, sizeof *batch);
    if (!job || (packed && !copy) || !batch) {
        free(job);
        free(copy);
        free(batch == inflater->filling ? NULL : batch);
        return -ENOMEM;
    }
    *job = (struct job){NULL, found, code, *head, place, copy, NULL, 0};
    if (packed)
        memcpy(copy, packed, size);
    job->head.payload = (struct kgi_bytes){NULL, size};
    job->head.options = job->head.name = (struct kgi_bytes){NULL, 0};
    batch->owner = inflater;
    add_job(inflater, batch, job);
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

/* What the reader of the file had to say about it comes first. */
static int name_lost(const struct kgi_inflater *inflater, struct kgi_file *file)
{
    if (!inflater->lost || file->error)
        return 0;
    int error = inflater->lost_error;
    const char *what = error == -ENODATA   ? "the file has become shorter"
                       : error == -EBADMSG ? "kernels whose names are not in their image"
                                           : strerror(-error);
    return asprintf(&file->error, "byte 0x%llx: %s", (unsigned long long)inflater->lost->place,
                    what) < 0
               ? -ENOMEM
               : 0;
}

int kgi_inflater_end(struct kgi_inflater *inflater, struct kgi_file *file)
{
    struct job *next;

    hand_over(inflater);
    pthread_mutex_lock(&pool.lock);
    while (inflater->open)
        pthread_cond_wait(&pool.room, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
    int error = inflater->error ? inflater->error : name_lost(inflater, file);
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
    pthread_mutex_destroy(&inflater->names_lock);
    free(inflater);
    return error;
}
