/*
 * What KGUARD_JIT says, and how often; and its counters.
 */
#include "jit.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct kgi_jit_counts kgi_jit_counts;
static struct kgi_lock lock;

/* ---- what is said
 * ---------------------------------------------------------------------------------------- */

static const char *short_name(const struct kgi_whose *w)
{
    const char *path = w->library ? w->library : w->built_by ? w->built_by : "the program";
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static void tell(const char *action, int reason, const struct kgi_whose *w,
                 const struct kgi_host *host, int ordinal, const char *message)
{
    struct kgi_diagnosis d = {.event = KGI_EVENT_JIT,
                              .reason = reason,
                              .action = action,
                              .kernel = w->kernel,
                              .library = w->library,
                              .built_by = w->built_by,
                              .host = *host,
                              .ordinal = ordinal,
                              .message = message};

    kgi_tell(&d);
}

static void add_size(struct kgi_text *t, uint64_t size)
{
    if (size < 10000)
        kgi_text_add(t, "%llu bytes", (unsigned long long)size);
    else if (size < 10000000)
        kgi_text_add(t, "%llu KB", (unsigned long long)(size / 1000));
    else
        kgi_text_add(t, "%llu MB", (unsigned long long)(size / 1000000));
}

static void add_name(struct kgi_text *t, const struct kgi_whose *w)
{
    if (w->kernel) {
        kgi_text_add(t, "kernel ");
        kgi_report_kernel(t, w->kernel);
        kgi_text_add(t, " of ");
    }
    kgi_text_add(t, "%s", w->library ? "" : "PTX built in memory by ");
    kgi_text_add_safe(t, short_name(w));
}

/* Of each kind one line for a library at warn; the others at info. */
enum line {
    LINE_COMPILE = 1,
    LINE_FAILED = 2,
    LINE_REFUSED = 4,
    LINE_CANNOT = 8,
    LINE_KERNEL = 16, /* what is said of one kernel must not hide what is said of all */
    LINE_KERNEL_FAILED = 32,
    LINE_KERNEL_REFUSED = 64,
};

static bool is_worth_a_line(const struct kgi_whose *w, enum line line)
{
    static struct kgi_map told;
    uint64_t key = (uintptr_t)(w->library ? w->library : w->built_by), lines;

    if (!kgi_log_enabled(KGI_WARN))
        return false;
    if (!key || kgi_log_enabled(KGI_INFO))
        return true;
    kgi_lock(&lock);
    lines = kgi_map_get(&told, key);
    kgi_map_set(&told, key, lines | line);
    kgi_unlock(&lock);
    return !(lines & line);
}

static void add_place(struct kgi_text *t)
{
    const struct kgi_cache *cache = kgi_cache_default();
    bool keeps = kgi_cache_keeps(cache); /* makes it, so that its file system is known */
    const char *risk = keeps ? kgi_place_risk(cache->user) : NULL;

    if (!cache->user)
        kgi_text_add(t, "; not kept, since there is no place for a cache; set KGUARD_CACHE_DIR");
    else
        kgi_text_add(t, keeps ? ", once; kept in " : "; not kept, since this user cannot write to ");
    if (cache->user)
        kgi_text_add_safe(t, cache->user);
    if (risk)
        kgi_text_add(t, " (%s)", risk);
}

static void add_variables(struct kgi_text *t)
{
    const char *off = getenv("CUDA_CACHE_DISABLE");

    if (off && *off == '1')
        kgi_text_add(t, "; CUDA_CACHE_DISABLE turns off the driver's cache, not this one");
}

/* Why it is compiled. */
static void add_why(struct kgi_text *t, const struct kgi_source *s, const struct kgi_host *host)
{
    if (s->too_new)
        kgi_text_add(t, "holds PTX newer than the driver reads, and no SASS for");
    else if (host->jit_forced)
        kgi_text_add(t, "is to pass over its SASS, by %s, for", host->jit_forced);
    else
        kgi_text_add(t, "has no SASS for");
}

void kgi_tell_compile(const struct kgi_whose *w, const struct kgi_source *s,
                      const struct kgi_host *host, int ordinal, const char *by)
{
    char ptx[24], sm[24];
    KGI_TEXT(t, 1024);

    if (!is_worth_a_line(w, w->kernel ? LINE_KERNEL : LINE_COMPILE))
        return;
    kgi_target_name(s->code.target, "compute_", ptx, sizeof ptx);
    kgi_target_name(s->target, "sm_", sm, sizeof sm);
    add_name(&t, w);
    kgi_text_add(&t, " ");
    add_why(&t, s, host);
    kgi_text_add(&t, " %s; its %s PTX (", sm, ptx);
    add_size(&t, s->code.size);
    kgi_text_add(&t, ") is now compiled by ");
    kgi_text_add_safe(&t, by);
    if (!w->kernel)
        kgi_text_add(&t, ", which can take minutes");
    add_place(&t);
    add_variables(&t);
    tell("compile", KG201_WILL_JIT, w, host, ordinal, t.at);
}

/* ---- the wait
 * ---------------------------------------------------------------------------------------- */

#define DOT_WORTH ((uint64_t)64 << 10) /* bytes of PTX: about a tenth of a second */
#define LONG_WAIT_MS 1000              /* whose end is told to who was told of its start */

/* A dot a second, from a child: the one thread that could say something waits for the compiler. */
static void write_dots(const void *context)
{
    struct timespec second = {LONG_WAIT_MS / 1000, 0};

    (void)context;
    for (;;) {
        syscall(SYS_nanosleep, &second, NULL);
        syscall(SYS_write, 2, ".", 1);
    }
}

static bool on_terminal(void)
{
    const struct kgi_options *o = kgi_options();
    char settings[256]; /* struct termios of the kernel */

    return kgi_log_enabled(KGI_WARN) && !o->log_file[0] && !o->json &&
           syscall(SYS_ioctl, 2, 0x5401 /* TCGETS */, settings) == 0;
}

long kgi_tell_waiting(const struct kgi_source *s)
{
    return s->code.size < DOT_WORTH || !on_terminal() ? -1 : kgi_child_start(write_dots, NULL);
}

void kgi_tell_waited(long child, uint32_t ms)
{
    if (child <= 0)
        return;
    kgi_child_kill(child);
    if (ms >= LONG_WAIT_MS)
        syscall(SYS_write, 2, "\n", 1);
}

/* What a compiler said, on one line. */
static void add_words(struct kgi_text *t, const char *log)
{
    char line[256];
    size_t n = 0;

    for (; *log && n < sizeof line - 1; log++)
        if (*log != '\n')
            line[n++] = *log;
        else if (log[1])
            line[n++] = ' ';
    line[n] = 0;
    kgi_text_add_safe(t, line);
}

void kgi_tell_failed(const struct kgi_whose *w, const struct kgi_compiled *c, bool known,
                     const struct kgi_host *host, int ordinal)
{
    bool invalid = !known && c->result == CUDA_ERROR_INVALID_PTX;
    /* Of a kernel: by the driver after a ptxas, then with all of the library. */
    const char *left = w->kernel ? "other ways are tried" : "its PTX is left to the driver";
    KGI_TEXT(t, 1024);

    if (!is_worth_a_line(w, w->kernel ? LINE_KERNEL_FAILED : LINE_FAILED))
        return;
    add_name(&t, w);
    if (known)
        kgi_text_add(&t, ": %s; not long ago: ", left);
    else if (c->result)
        kgi_text_add(&t, ": compiling its PTX failed (%d); %s%s", c->result,
                     w->kernel ? left : "it is left to the driver", c->log[0] ? ": " : "");
    else
        kgi_text_add(&t, ": %s: ", left);
    add_words(&t, c->log[0] || !known ? c->log : "compiling it failed");
    tell("failed", invalid ? KG107_BAD_PTX : KG201_WILL_JIT, w, host, ordinal, t.at);
}

void kgi_tell_compiled(const struct kgi_whose *w, const struct kgi_compiled *c, int stored,
                       const struct kgi_host *host, int ordinal)
{
    bool slow = c->cost_ms >= LONG_WAIT_MS;
    KGI_TEXT(t, 512);

    if (!(stored ? is_worth_a_line(w, LINE_FAILED) : kgi_log_enabled(slow ? KGI_WARN : KGI_INFO)))
        return;
    add_name(&t, w);
    kgi_text_add(&t, ": compiled in %u.%u s to ", c->cost_ms / 1000, c->cost_ms / 100 % 10);
    add_size(&t, c->cubin.size);
    if (stored)
        kgi_text_add(&t, ", which could not be kept (error %d): the next process compiles it again",
                     -stored);
    tell("compiled", stored ? KG202_CACHE_LOST : slow ? KG201_WILL_JIT : 0, w, host, ordinal, t.at);
}

void kgi_tell_hit(const struct kgi_whose *w, const struct kgi_part *p, const struct kgi_host *host)
{
    char sm[24];
    KGI_TEXT(t, 512);

    atomic_fetch_add_explicit(&kgi_jit_counts.hits, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&kgi_jit_counts.saved_ms, p->hit.cost_ms, memory_order_relaxed);
    if (!kgi_log_enabled(KGI_INFO))
        return;
    kgi_target_name(p->source.target, "sm_", sm, sizeof sm);
    add_name(&t, w);
    kgi_text_add(&t, ": %s code from the cache (", sm);
    add_size(&t, p->hit.image.size);
    kgi_text_add(&t, ", by %s %s)", p->hit.by.kind == KGI_BY_PTXAS ? "ptxas" : "the driver's JIT",
                 p->hit.by.build);
    tell("hit", 0, w, host, p->ordinal, t.at);
}

void kgi_tell_refused(const struct kgi_whose *w, int result, const struct kgi_host *host)
{
    KGI_TEXT(t, 512);

    atomic_fetch_add_explicit(&kgi_jit_counts.refused, 1, memory_order_relaxed);
    if (!is_worth_a_line(w, w->kernel ? LINE_KERNEL_REFUSED : LINE_REFUSED))
        return;
    add_name(&t, w);
    kgi_text_add(&t, ": the driver refused the code from the cache (%d); that is put aside, and %s",
                 result,
                 w->kernel ? "all of the library's PTX is compiled" : "the original is used");
    tell("refused", KG201_WILL_JIT, w, host, -1, t.at);
}

void kgi_tell_note(const struct kgi_whose *w, const char *words)
{
    struct kgi_host none = {0};
    KGI_TEXT(t, 256);

    if (!kgi_log_enabled(KGI_DEBUG))
        return;
    add_name(&t, w);
    kgi_text_add(&t, ": %s", words);
    tell("note", 0, w, &none, -1, t.at);
}

void kgi_jit_finish(void)
{
    uint32_t compiled = atomic_load(&kgi_jit_counts.compiled),
             hits = atomic_load(&kgi_jit_counts.hits);
    uint64_t spent = atomic_load(&kgi_jit_counts.spent_ms),
             saved = atomic_load(&kgi_jit_counts.saved_ms);
    struct kgi_diagnosis d = {.event = KGI_EVENT_JIT, .action = "summary", .ordinal = -1};
    KGI_TEXT(t, 256);

    if (!atomic_load(&kgi_jit_on))
        return;
    kgi_cache_flush(kgi_cache_default());
    if (!kgi_log_enabled(KGI_INFO) || kgi_jit_counts.pid != getpid())
        return;
    kgi_text_add(&t,
                 "JIT: %u images from the cache, %llu.%llu s saved; %u compiled in %llu.%llu s; %u "
                 "failed, %u refused by the driver",
                 hits, (unsigned long long)saved / 1000, (unsigned long long)saved / 100 % 10,
                 compiled, (unsigned long long)spent / 1000, (unsigned long long)spent / 100 % 10,
                 atomic_load(&kgi_jit_counts.failed), atomic_load(&kgi_jit_counts.refused));
    d.message = t.at;
    kgi_tell(&d);
}

/* ---- where there is nothing to compile
 * ------------------------------------------------------------------------- */

/* Why the JIT is no help, in so many words: whoever switched it on would look for the fault there.
 */
void kgi_jit_cannot(const struct kgi_diagnosis *d)
{
    static const struct {
        int reason;
        const char *words;
    } rows[] = {
        {KG101_NO_CODE, "there is no PTX that fits"},
        {KG102_ARCH_SPECIFIC, "its PTX is for another exact GPU (a or f)"},
        {KG103_PTX_TOO_NEW,
         "its PTX is newer than the driver; with KGUARD_PTXAS, a ptxas new enough "
         "could compile it"},
        {KG107_BAD_PTX, "its PTX is obfuscated"},
        {KG108_NEEDS_LINK, "it is relocatable, or LTO alone, and needs a device link"},
    };
    struct kgi_whose w = {.library = d->library, .built_by = d->built_by};
    KGI_TEXT(t, 512);

    if (!atomic_load(&kgi_jit_on) || d->verdict.answer != KGI_NONE ||
        (d->reason == KG103_PTX_TOO_NEW && kgi_options()->ptxas[0]))
        return;
    for (size_t i = 0; i < KGI_COUNT(rows); i++)
        if (rows[i].reason == d->reason && is_worth_a_line(&w, LINE_CANNOT)) {
            add_name(&t, &w);
            kgi_text_add(&t, ": KGUARD_JIT cannot help: %s", rows[i].words);
            tell("cannot", d->reason, &w, &d->host, d->ordinal, t.at);
        }
}
