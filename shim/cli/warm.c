/*
 * kguard warm: compiles, with ptxas and no GPU, every PTX that a driver would compile on the
 * targets, into a cache that a container image can hold. The keys are those of a running process:
 * the same function chooses and names the source there and here.
 *
 * The tree depends on what is compiled and by which ptxas alone: entries hold no time, path or
 * user, and no counters are kept beside them. So a layer made of it is the same whenever it is
 * made.
 *
 * Of large PTX every kernel that is on its own, and a quarter of it at most, is compiled by itself too, and a mark
 * says that it was: a process that wants few of them is spared the rest (watch/jit_kernel.c).
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../jit/jit.h"
#include "cli.h"

#define TARGETS_MOST 64
#define STREAM_MOST ((size_t)1 << 30) /* of a file inside an archive, which has to lie in memory   \
                                       */

/* One PTX for one target. */
struct job {
    struct kgi_bytes alone; /* kgi_source_alone */
    struct kgi_target gpu;
    char *path; /* where it was met first */
    enum { TO_DO, THERE, MADE, FAILED } state;
    char *error;
    size_t pieces, kept, lost; /* kernels that are still to do; in the cache; that failed */
    bool marked;
    struct kgi_source whole; /* of `alone` */
    struct kgi_bytes text;   /* while its kernels are done */
    void *scratch;
};

/* One kernel of it. */
struct piece {
    struct job *of;
    char *name;
};

struct warm {
    struct kgi_target targets[TARGETS_MOST];
    size_t target_count;
    const char *directory, *ptxas;
    long threads;
    bool quiet;
    struct kgi_cache cache;
    struct kgi_compiler by;
    struct kgi_jit_settings none;
    char *met; /* a ptxas among the files */
    struct job *jobs;
    size_t count, room;
    uint8_t (*keys)[32];
    struct piece *pieces;
    size_t piece_count, piece_room;
    uint64_t cannot; /* PTX newer than the ptxas */
    uint64_t links;  /* images of relocatable code */
    int error, unreadable, unkept;
    pthread_mutex_t lock;
    void (*unit)(struct warm *, size_t); /* what all threads do now, so many times */
    size_t units, next, done;
    const char *what;
    bool bar;
};

/* ---- options
 * ---------------------------------------------------------------------------------------- */

static int set_target(void *context, const char *value)
{
    struct warm *w = context;

    return kgi_flag_targets(value, w->targets, TARGETS_MOST, &w->target_count);
}

static int set_cache(void *context, const char *value)
{
    ((struct warm *)context)->directory = value;
    return *value ? 0 : -EINVAL;
}

static int set_ptxas(void *context, const char *value)
{
    ((struct warm *)context)->ptxas = value;
    return *value ? 0 : -EINVAL;
}

static int set_jobs(void *context, const char *value)
{
    char *end;
    long n = strtol(value, &end, 10);

    ((struct warm *)context)->threads = n;
    return *end || end == value || n < 1 || n > 4096 ? -EINVAL : 0;
}

static int set_quiet(void *context, const char *value)
{
    (void)value;
    ((struct warm *)context)->quiet = true;
    return 0;
}

static const struct kgi_flag flags[] = {
    {'t', "target", "SM[,SM...]",
     "the GPUs to compile for: sm_120, 120 or 12.0\n"
     "(default: this machine's)",
     set_target},
    {'c', "cache", "DIR", "the cache to fill (default: KGUARD_CACHE_DIR, else ~/.cache/kguard)",
     set_cache},
    {0, "ptxas", "PATH",
     "the compiler (default: KGUARD_PTXAS, PATH, CUDA_HOME, /usr/local/cuda,\n"
     "else one that lies among the files)",
     set_ptxas},
    {'j', "jobs", "N", "compile so many at a time (default: one for each core)", set_jobs},
    {'q', "quiet", NULL, "only errors", set_quiet},
};

/* ---- the compiler
 * ------------------------------------------------------------------------------------ */

static bool is_program(const char *path)
{
    struct stat s;

    return stat(path, &s) == 0 && S_ISREG(s.st_mode) && access(path, X_OK) == 0;
}

static const char *in_folders(const char *list, const char *below)
{
    static char path[4096];

    for (size_t length; list && *list; list += length + (list[length] == ':')) {
        length = strcspn(list, ":");
        if (length &&
            snprintf(path, sizeof path, "%.*s%s", (int)length, list, below) < (int)sizeof path &&
            is_program(path))
            return path;
    }
    return NULL;
}

/* One that is named or installed. */
static const char *ptxas_here(void)
{
    const char *path = kgi_options()->ptxas[0] ? kgi_options()->ptxas : NULL;

    if (!path)
        path = in_folders(getenv("PATH"), "/ptxas");
    if (!path)
        path = in_folders(getenv("CUDA_HOME"), "/bin/ptxas");
    return path ? path : in_folders("/usr/local/cuda", "/bin/ptxas");
}

static bool know_ptxas(struct warm *w)
{
    if (!w->ptxas)
        kgi_complain("warm: no ptxas: name one with --ptxas or KGUARD_PTXAS, or install "
                     "nvidia-cuda-nvcc (pip)");
    else if (!kgi_ptxas_version(w->ptxas, &w->by))
        kgi_complain("warm: %s: not a ptxas that runs here", w->ptxas);
    return w->by.kind != 0;
}

/* ---- what is to be compiled
 * ---------------------------------------------------------------------------- */

static struct kgi_host host_of(const struct warm *w, struct kgi_target gpu)
{
    /* The driver is not known here; the ptxas reads what a driver of its version reads. */
    return (struct kgi_host){.gpu = gpu, .cuda_version = w->by.cuda_version};
}

static bool is_known(const struct warm *w, const uint8_t *digest)
{
    for (size_t i = 0; i < w->count; i++)
        if (memcmp(w->keys[i], digest, 32) == 0)
            return true;
    return false;
}

static bool make_room(struct warm *w)
{
    size_t room = w->room ? 2 * w->room : 64;
    void *jobs, *keys;

    if (w->count < w->room)
        return true;
    jobs = realloc(w->jobs, room * sizeof *w->jobs);
    if (jobs)
        w->jobs = jobs;
    keys = jobs ? realloc(w->keys, room * sizeof *w->keys) : NULL;
    if (keys) {
        w->keys = keys;
        w->room = room;
    }
    return keys != NULL;
}

static void add_image(struct warm *w, const char *path, struct kgi_bytes image)
{
    bool links = false;

    for (size_t i = 0; i < w->target_count; i++) {
        struct kgi_host host = host_of(w, w->targets[i]);
        struct kgi_verdict verdict;
        struct kgi_source s;
        struct job *j;

        if (kgi_source_of(image, &host, &w->none, &s, &verdict)) {
            links |= verdict.answer == KGI_LINK;
            continue;
        }
        if (s.too_new) {
            w->cannot++;
            continue;
        }
        if (is_known(w, s.key.digest))
            continue;
        if (!make_room(w)) {
            w->error = -ENOMEM;
            return;
        }
        memcpy(w->keys[w->count], s.key.digest, 32);
        j = &w->jobs[w->count];
        *j = (struct job){.alone = kgi_source_alone(&s), .gpu = host.gpu, .path = strdup(path)};
        if (!j->alone.at || !j->path)
            w->error = -ENOMEM;
        else
            w->count++;
    }
    w->links += links;
}

/* Every fatbin in the bytes, registered or not; or the whole of a PTX text. */
static void add_file(struct warm *w, const char *path, struct kgi_bytes file)
{
    if (kgi_image_form(file) == KGI_FORM_PTX) {
        add_image(w, path, (struct kgi_bytes){file.at, kgi_image_extent(file)});
        return;
    }
    for (size_t at = 0; (at = kgi_find_magic(file.at, at, file.size)) < file.size && !w->error;) {
        struct kgi_bytes rest = {file.at + at, file.size - at};
        size_t length = kgi_fatbin_length(rest);

        if (length)
            add_image(w, path, (struct kgi_bytes){rest.at, length});
        at += length > 8 ? (length + 7) & ~(size_t)7 : 8;
    }
}

static struct kgi_bytes read_stream(struct kgi_bytes start, struct kgi_stream *stream,
                                    uint64_t size)
{
    size_t room = size && size < STREAM_MOST ? size : start.size + (1 << 20), have = start.size;
    char *all = NULL;

    if (room < have)
        room = have;
    if (posix_memalign((void **)&all, 64, room))
        return (struct kgi_bytes){NULL, 0};
    memcpy(all, start.at, have);
    for (ssize_t n;;) {
        if (have == room) {
            char *more = NULL;

            if (room >= STREAM_MOST || posix_memalign((void **)&more, 64, 2 * room))
                break;
            memcpy(more, all, have);
            free(all);
            all = more;
            room *= 2;
        }
        n = stream->read(stream->context, all + have, room - have);
        if (n == 0)
            return (struct kgi_bytes){(uint8_t *)all, have};
        if (n < 0)
            break;
        have += (size_t)n;
    }
    free(all);
    return (struct kgi_bytes){NULL, 0};
}

static bool may_hold_code(struct kgi_bytes start)
{
    enum kgi_image_form form = kgi_image_form(start);

    return form == KGI_FORM_ELF || form == KGI_FORM_FATBIN || form == KGI_FORM_PTX;
}

static int visit(void *context, const char *path, const char *inner, struct kgi_bytes start,
                 struct kgi_stream *stream, uint64_t size)
{
    struct warm *w = context;
    const char *name = strrchr(path, '/');
    struct kgi_bytes file;

    (void)inner;
    if (strcmp(name ? name + 1 : path, "ptxas") == 0 && !w->met && is_program(path))
        w->met = strdup(path);
    if (!w->by.kind || !may_hold_code(start))
        return w->error;
    file = kgi_file_map(path, SIZE_MAX); /* empty for what lies in an archive */
    if (file.size) {
        add_file(w, path, file);
        kgi_file_unmap(file);
        return w->error;
    }
    file = read_stream(start, stream, size);
    if (file.at)
        add_file(w, path, file);
    else
        w->unreadable++;
    free((void *)(uintptr_t)file.at);
    return w->error;
}

static void complain(void *context, const char *path, const char *text)
{
    struct warm *w = context;

    w->unreadable += w->by.kind != 0;
    if (w->by.kind)
        kgi_complain("%s: %s", path, text);
}

static int walk_all(struct warm *w, char **paths, int count)
{
    const struct kgi_visitor visitor = {.file = visit, .error = complain, .context = w};
    int result = 0;

    for (int i = 0; i < count && !result; i++)
        result = kgi_walk(paths[i], &visitor);
    return result;
}

/* ---- compiling
 * --------------------------------------------------------------------------------------------- */

static void show(struct warm *w)
{
    if (w->bar)
        fprintf(stderr, "\r[%zu of %zu] %s\033[K", w->done, w->units, w->what);
}

static char *one_line(const char *text)
{
    char *line = strdup(text);

    for (char *at = line; at && (at = strchr(at, '\n'));)
        *at = ' ';
    return line;
}

static void finish(struct job *j, int state, const char *error)
{
    j->state = state;
    j->error = error ? one_line(error) : NULL;
}

static bool is_there(struct warm *w, const struct kgi_cache_key *key, const struct kgi_host *host)
{
    struct kgi_cache_hit hit = {.image = {NULL, 0}};
    bool there = kgi_cache_get(&w->cache, key, host, &w->by, &hit) == 0;

    kgi_cache_free(&hit);
    return there;
}

/* Whether the cache cannot keep anything. */
static bool is_unkept(int error)
{
    return error && error != -ENOEXEC && error != -EINVAL && error != -EFBIG;
}

/* Under this key, which is the source's own unless it is a mark. 0; -ENOEXEC, and why in made->log; or what the
 * cache says. */
static int compile(struct warm *w, const struct kgi_cache *cache, const struct kgi_source *s,
                   const struct kgi_cache_key *key, struct kgi_compiled *made)
{
    int error;

    *made = (struct kgi_compiled){.by = w->by};
    kgi_compile_by_ptxas(w->ptxas, s, 3600000, made);
    if (!made->cubin.at)
        return -ENOEXEC;
    error = kgi_cache_put(cache, key, &w->by, 0, made->cubin);
    kgi_pages_put((void *)(uintptr_t)made->cubin.at, made->room);
    if (is_unkept(error)) {
        pthread_mutex_lock(&w->lock);
        w->unkept = error; /* nor would the others be */
        pthread_mutex_unlock(&w->lock);
    }
    return error;
}

static void compile_job(struct warm *w, size_t i)
{
    struct job *j = &w->jobs[i];
    struct kgi_host host = host_of(w, j->gpu);
    struct kgi_bytes image = {j->alone.at, kgi_image_extent(j->alone)};
    struct kgi_compiled made;
    struct kgi_verdict verdict;
    int error;

    if (kgi_source_of(image, &host, &w->none, &j->whole, &verdict)) {
        finish(j, FAILED, "it cannot be read");
    } else if (is_there(w, &j->whole.key, &host)) {
        finish(j, THERE, NULL);
    } else {
        error = compile(w, &w->cache, &j->whole, &j->whole.key, &made);
        if (!is_unkept(error))
            finish(j, error ? FAILED : MADE,
                   error == -ENOEXEC ? made.log
                   : error           ? strerror(-error)
                                     : NULL);
    }
}

/* ---- kernels of large ones
 * ---------------------------------------------------------------------------------- */

static void close_text(struct job *j)
{
    kgi_pages_put(j->scratch, j->whole.code.size);
    j->text = (struct kgi_bytes){NULL, 0};
    j->scratch = NULL;
}

/* Its text, unpacked for all its kernels. */
static bool open_text(struct job *j)
{
    if (!j->text.at)
        j->text = kgi_source_text(&j->whole.code, &j->scratch);
    if (!j->text.at)
        close_text(j);
    return j->text.at;
}

struct adding {
    struct warm *w;
    struct job *of;
};

static int add_piece(const char *kernel, int registers, void *context)
{
    const struct adding *a = context;
    struct warm *w = a->w;
    size_t room = w->piece_room ? 2 * w->piece_room : 256;
    struct piece *p;

    (void)registers;
    if (w->piece_count == w->piece_room) {
        p = realloc(w->pieces, room * sizeof *p);
        if (!p)
            return w->error = -ENOMEM;
        w->pieces = p;
        w->piece_room = room;
    }
    p = &w->pieces[w->piece_count];
    *p = (struct piece){a->of, strdup(kernel)};
    if (!p->name)
        return w->error = -ENOMEM;
    a->of->pieces++;
    w->piece_count++;
    return 0;
}

/* Those of what is in the cache as a whole. */
static void add_pieces(struct warm *w)
{
    for (size_t i = 0; i < w->count && !w->unkept && !w->error; i++) {
        struct job *j = &w->jobs[i];
        struct adding adding = {w, j};
        struct kgi_ptx ptx;

        if ((j->state != THERE && j->state != MADE) || !kgi_source_share(&j->whole) || !open_text(j))
            continue;
        if (kgi_ptx_kernels(j->text, &ptx, add_piece, &adding) == -ENOMEM)
            w->error = -ENOMEM;
        close_text(j);
    }
}

/* 0 where it is in the cache; -ENOTSUP where it is not on its own, or so large that a process takes the whole for
 * it; else what compile() says. The empty name: the mark. No sync for each: what is lost with the power comes with
 * the whole. */
static int keep_piece(struct warm *w, const struct job *j, const char *name, struct kgi_compiled *made)
{
    struct kgi_host host = host_of(w, j->gpu);
    struct kgi_cache unsynced = w->cache;
    char text[KGI_HOLLOW_SIZE];
    struct kgi_cache_key key;
    struct kgi_source s;
    int error;

    unsynced.no_sync = true;
    *made = (struct kgi_compiled){.by = w->by};
    if (kgi_source_kernel_key(&j->whole, name, &key))
        return -ENOTSUP;
    if (is_there(w, &key, &host))
        return 0;
    error = *name ? kgi_source_kernel_in(&j->whole, j->text, name, &s)
                  : kgi_source_hollow(&j->whole, &host, text, &s);
    if (error)
        return error == -ENOMEM ? error : -ENOTSUP;
    error = s.code.size > kgi_source_share(&j->whole) ? -ENOTSUP : compile(w, &unsynced, &s, &key, made);
    if (*name)
        kgi_pages_put((void *)(uintptr_t)s.image.at, s.image.size);
    return made->refused ? -ENOTSUP : error;
}

static void count_lost(struct job *j, int error, const struct kgi_compiled *made)
{
    if (!error || error == -ENOTSUP)
        return;
    if (!j->lost++)
        j->error = one_line(made->log[0] ? made->log : strerror(-error));
}

/* The mark goes with the last of them. */
static void compile_piece(struct warm *w, size_t i)
{
    const struct piece *p = &w->pieces[i];
    struct job *j = p->of;
    struct kgi_compiled made = {.log = ""};
    int error;
    bool open, last;

    pthread_mutex_lock(&w->lock);
    open = open_text(j);
    pthread_mutex_unlock(&w->lock);
    error = open ? keep_piece(w, j, p->name, &made) : -ENOMEM;
    pthread_mutex_lock(&w->lock);
    j->kept += error == 0;
    count_lost(j, error, &made);
    last = --j->pieces == 0;
    pthread_mutex_unlock(&w->lock);
    if (!last)
        return;
    if (j->kept && !j->lost) {
        error = keep_piece(w, j, "", &made);
        j->marked = error == 0;
        count_lost(j, error, &made);
    }
    close_text(j);
}

/* ---- all of it
 * --------------------------------------------------------------------------------------------- */

static void *work(void *context)
{
    struct warm *w = context;

    for (;;) {
        size_t i;

        pthread_mutex_lock(&w->lock);
        i = w->next < w->units && !w->unkept ? w->next++ : SIZE_MAX;
        pthread_mutex_unlock(&w->lock);
        if (i == SIZE_MAX)
            return NULL;
        w->unit(w, i);
        pthread_mutex_lock(&w->lock);
        w->done++;
        show(w);
        pthread_mutex_unlock(&w->lock);
    }
}

static void all_of(struct warm *w, void (*unit)(struct warm *, size_t), size_t units, const char *what)
{
    pthread_t threads[256];
    size_t n = w->threads ? (size_t)w->threads : kgi_cores(), started = 0;

    n = n < KGI_COUNT(threads) ? n : KGI_COUNT(threads);
    n = n < units ? n : units;
    w->unit = unit;
    w->units = units;
    w->what = what;
    w->next = w->done = 0;
    w->bar = !w->quiet && isatty(2) && units;
    show(w);
    while (started + 1 < n && pthread_create(&threads[started], NULL, work, w) == 0)
        started++;
    work(w);
    while (started-- > 0)
        pthread_join(threads[started], NULL);
    if (w->bar)
        fputs("\r\033[K", stderr);
}

static int report(const struct warm *w)
{
    enum { COMPLAINTS = 10 }; /* a full disk would fill the terminal too */
    size_t states[FAILED + 1] = {0}, alone = 0, left = 0, lost = 0;

    for (size_t i = 0; i < w->count; i++) {
        const struct job *j = &w->jobs[i];
        const char *error = j->error ? j->error : "";
        char name[24];

        kgi_target_name(j->gpu, "sm_", name, sizeof name);
        states[j->state]++;
        alone += j->marked ? j->kept : 0;
        left += j->pieces + j->lost;
        lost += j->lost > 0;
        if (j->state == FAILED && states[FAILED] <= COMPLAINTS)
            kgi_complain("%s: its PTX was not compiled for %s: %s", j->path, name, error);
        if (j->lost && !w->unkept && lost <= COMPLAINTS)
            kgi_complain("%s: %zu of its kernels were not compiled by themselves for %s: %s", j->path, j->lost,
                         name, error);
    }
    if (w->unkept)
        kgi_complain("warm: nothing can be kept in %s: %s; %zu not compiled", w->directory,
                     strerror(-w->unkept), states[TO_DO] + left);
    if (states[FAILED] > COMPLAINTS)
        kgi_complain("and %zu more", states[FAILED] - COMPLAINTS);
    if (w->error)
        kgi_complain("warm: kernels by themselves: %s", strerror(-w->error));
    if (w->cannot)
        kgi_complain("%llu images hold PTX newer than %s reads (CUDA %d.%d); a newer one is needed",
                     (unsigned long long)w->cannot, w->ptxas, w->by.cuda_version / 1000,
                     w->by.cuda_version / 10 % 100);
    if (w->links && !w->quiet)
        kgi_complain("%llu images of relocatable code were left to the device link (KG108)",
                     (unsigned long long)w->links);
    if (!w->quiet) {
        printf("%zu compiled, %zu were there, %zu failed, in %s\n", states[MADE], states[THERE],
               states[FAILED], w->directory);
        if (alone)
            printf("%zu kernels of the large ones are there by themselves as well\n", alone);
    }
    return w->unreadable                                      ? KGI_EXIT_UNREADABLE
           : w->error                                         ? KGI_EXIT_INTERNAL
           : states[FAILED] || lost || w->unkept || w->cannot ? KGI_EXIT_FOUND
                                                              : KGI_EXIT_OK;
}

/* ---- the command
 * ------------------------------------------------------------------------------------------- */

static bool prepare(struct warm *w, char **paths, int count)
{
    if (!w->target_count)
        w->target_count = kgi_gpus_here(w->targets, TARGETS_MOST);
    if (!w->target_count) {
        kgi_complain("warm: for which GPU? For example: --target sm_120");
        return false;
    }
    w->directory = w->directory ? kgi_whole_path(w->directory) : kgi_cache_default()->user;
    if (!w->directory) {
        kgi_complain("warm: no place for the cache: name one with --cache");
        return false;
    }
    w->cache = (struct kgi_cache){.user = w->directory, .is_public = true, .no_stats = true};
    if (!w->ptxas)
        w->ptxas = ptxas_here();
    if (!w->ptxas) { /* only then are the files searched for one */
        walk_all(w, paths, count);
        w->ptxas = w->met;
    }
    return know_ptxas(w);
}

/* A compilation holds four, and there may be two hundred at a time. */
static void allow_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int run(const struct kgi_command *self, int argc, char **argv)
{
    struct warm w = {.lock = PTHREAD_MUTEX_INITIALIZER};
    int exit_code, left = kgi_flags_parse(self, argc, argv, &w, &exit_code);

    if (left < 0)
        return exit_code;
    if (left == 0) {
        kgi_complain("warm: which files or folders?");
        return KGI_EXIT_USAGE;
    }
    if (!prepare(&w, argv, left))
        return KGI_EXIT_USAGE;
    if (walk_all(&w, argv, left) || w.error) {
        kgi_complain("warm: %s", strerror(w.error ? -w.error : EIO));
        return KGI_EXIT_INTERNAL;
    }
    allow_files();
    all_of(&w, compile_job, w.count, "compiled");
    add_pieces(&w);
    all_of(&w, compile_piece, w.error ? 0 : w.piece_count, "kernels");
    return report(&w);
}

const struct kgi_command kgi_warm_command = {
    "warm",
    "[OPTION...] PATH...",
    "Compiles the PTX of files for GPUs that are not here, into the cache.\n"
    "Every PTX that a driver would compile on the targets is compiled with ptxas, on all cores; a\n"
    "process with KGUARD_JIT=auto finds it there. Of large PTX each kernel that stands on its own, and\n"
    "is a quarter of it at most, is compiled by itself as well, so that a process need not load the\n"
    "rest. The same files give the same cache, byte for byte.",
    run,
    flags,
    KGI_COUNT(flags),
    "Exit code: 0 all is there, 1 something was not compiled or not kept, 2 wrong use, 3 some input\n"
    "could not be read, 4 a fault of kguard's own.\n"
    "In an image: RUN kguard warm --target sm_120 --cache /opt/kguard /opt/venv\n"
    "and KGUARD_CACHE_RO=/opt/kguard KGUARD_JIT=auto where it runs.\n",
    false};
