/*
 * The settings, all of them, in one table. A row is: name, values, default, help, and what a value
 * does to the settings. `values` is a list "a|b|c" (the value's place in it is `choice`) or one
 * word in capitals for free text.
 *
 * The first reader may be a hook that another library's constructor reaches before ours would run,
 * on any thread, so there is no constructor and no "once": each first reader parses for itself into
 * memory of its own, and the first to publish wins. The environment is never read again.
 */
#include "base.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>

#define OPTIONS(ROW)                                                                               \
    ROW("KGUARD", "0|off|1|on", "1", "0 switches everything off", o->off = choice < 2)             \
    ROW("KGUARD_LOG", "off|error|warn|info|debug", "warn",                                         \
        "error: failures only; warn: also each loaded module without code for the GPU; "           \
        "info: every module",                                                                      \
        o->log = (enum kgi_level)choice)                                                           \
    ROW("KGUARD_LOG_FILE", "PATH", "",                                                             \
        "appends there instead of standard error; %p is the process id, %h the host's name",       \
        keep(o->log_file, sizeof o->log_file, value, &bad))                                        \
    ROW("KGUARD_LOG_FORMAT", "text|json", "text", "json: one JSON object per line",                \
        o->json = choice == 1)                                                                     \
    ROW("KGUARD_RECORD", "PATH", "",                                                               \
        "a file that is there: every event is also appended to it, as JSON (kguard run)",          \
        keep(o->record, sizeof o->record, value, &bad))                                            \
    ROW("KGUARD_TARGET", "TARGET", "",                                                             \
        "judges every loaded image against this target, sm_120 for example, not the device",       \
        keep(o->target, sizeof o->target, value, &bad))                                            \
    ROW("KGUARD_ON_ERROR", "report|abort", "report", "abort: ends the program after a report",     \
        o->abort_on_error = choice == 1)                                                           \
    ROW("KGUARD_ERROR_TEXT", "0|1", "1",                                                           \
        "1: CUDA's own error texts name the kernel and library that a report was about",           \
        o->error_text = choice == 1)                                                               \
    ROW("KGUARD_JIT", "off|auto|force", "off",                                                     \
        "auto: PTX is compiled once and kept, in a large image the kernels that are asked for; "   \
        "force: also where there is code for the GPU, in the libraries that KGUARD_JIT_ONLY names", \
        o->jit = (enum kgi_jit)choice)                                                             \
    ROW("KGUARD_JIT_ONLY", "GLOBS", "",                                                            \
        "only libraries whose path or file name matches one of these, separated by colons",        \
        keep(o->jit_only, sizeof o->jit_only, value, &bad))                                        \
    ROW("KGUARD_PTXAS", "PATH", "",                                                                \
        "a ptxas for PTX that is newer than the driver",                                           \
        keep(o->ptxas, sizeof o->ptxas, value, &bad))                                              \
    ROW("KGUARD_CACHE_DIR", "DIR", "",                                                             \
        "keeps compiled code there; otherwise in $XDG_CACHE_HOME/kguard or $HOME/.cache/kguard",   \
        keep_directory(o->cache_dir, sizeof o->cache_dir, value, &bad))                            \
    ROW("KGUARD_CACHE_RO", "DIRS", "",                                                             \
        "caches that are only read, separated by colons: those that came with the image",          \
        keep_directory(o->cache_ro, sizeof o->cache_ro, value, &bad))                              \
    ROW("KGUARD_CACHE_MAX_SIZE", "SIZE", "2G",                                                     \
        "the most that KGUARD_CACHE_DIR may hold: 512M, 2G; 0 for no bound",                       \
        keep_size(&o->cache_max, value, &bad))

#define AS_ROW(name, values, fallback, help, apply) {name, values, fallback, help},
const struct kgi_option_row kgi_option_rows[] = {OPTIONS(AS_ROW)};
const size_t kgi_option_row_count = KGI_COUNT(kgi_option_rows);

struct settings {
    struct kgi_options options;
    size_t complaints;
    char complaint[KGI_COUNT(kgi_option_rows)][160];
};

static void keep(char *field, size_t size, const char *value, bool *bad)
{
    size_t length = strlen(value);

    if (length < size)
        memcpy(field, value, length + 1);
    else
        *bad = true;
}

/* A relative one would be wherever the program is at the moment. */
static void keep_directory(char *field, size_t size, const char *value, bool *bad)
{
    if (value[0] && value[0] != '/')
        *bad = true;
    else
        keep(field, size, value, bad);
}

/* "512M": bytes, or with K, M, G, T behind it. */
static void keep_size(uint64_t *field, const char *value, bool *bad)
{
    const char *s = value, *unit = "KkMmGgTt";
    uint64_t n = 0;
    int shift = 0;

    for (; *s >= '0' && *s <= '9' && n < UINT64_MAX / 20; s++)
        n = 10 * n + (uint64_t)(*s - '0');
    for (int i = 0; s > value && *s && unit[i] && !shift; i++)
        shift = *s == unit[i] ? 10 * (i / 2 + 1) : 0;
    s += shift != 0;
    if (s == value || *s || n > UINT64_MAX >> shift)
        *bad = true;
    else
        *field = n << shift;
}

/* The place of value in "a|b|c", -1 when it is not there. */
static int choice_of(const char *values, const char *value)
{
    size_t length = strlen(value);

    for (int i = 0;; i++) {
        size_t word = strcspn(values, "|");

        if (word == length && !memcmp(values, value, length))
            return i;
        if (!values[word])
            return -1;
        values += word + 1;
    }
}

static void apply(struct kgi_options *o, size_t row, const char *value, int choice, bool *bad_out)
{
    bool bad = false;
    size_t i = 0;

#define AS_SETTING(name, values, fallback, help, setting)                                          \
    if (row == i++)                                                                                \
        setting;
    OPTIONS(AS_SETTING)
    *bad_out = bad;
}

/* Sets one row from a value; false when the value is none of those it takes. */
static bool set(struct kgi_options *o, size_t row, const char *value)
{
    const char *values = kgi_option_rows[row].values;
    bool free_text = values[0] >= 'A' && values[0] <= 'Z', bad = false;
    int choice = free_text ? 0 : choice_of(values, value);

    if (choice >= 0)
        apply(o, row, value, choice, &bad);
    return choice >= 0 && !bad;
}

static void complain(struct settings *s, size_t row, const char *value)
{
    struct kgi_text t = {s->complaint[s->complaints++], sizeof s->complaint[0], 0, false};
    char start[48]; /* enough to recognise it by; a path of kilobytes would hide the sentence */

    snprintf(start, sizeof start, "%s", value);
    kgi_text_add(&t, "%s=", kgi_option_rows[row].name);
    kgi_text_add_safe(&t, start);
    if (choice_of("PATH|TARGET|GLOBS", kgi_option_rows[row].values) >= 0)
        kgi_text_add(&t, ": too long");
    else if (choice_of("DIR|DIRS", kgi_option_rows[row].values) >= 0)
        kgi_text_add(&t, ": not an absolute path, or too long");
    else if (!strcmp(kgi_option_rows[row].values, "SIZE"))
        kgi_text_add(&t, ": not a size like 512M or 2G");
    else
        kgi_text_add(&t, ": not one of %s", kgi_option_rows[row].values);
}

/* Never /tmp, where others may have put something before, nor the current directory: without a home
 * there is no place. */
static void place_cache(char *field, size_t size)
{
    const char *base = getenv("XDG_CACHE_HOME"), *middle = "";
    struct kgi_text t = {field, size, 0, false};

    if (field[0])
        return;
    if (!base || base[0] != '/') { /* XDG: relative ones are to be ignored */
        base = getenv("HOME");
        middle = "/.cache";
    }
    if (base && base[0] == '/')
        kgi_text_add(&t, "%s%s/kguard", base, middle);
    if (t.cut)
        field[0] = 0;
}

static void read_all(struct settings *s)
{
    for (size_t row = 0; row < kgi_option_row_count; row++)
        set(&s->options, row, kgi_option_rows[row].fallback);
    for (size_t row = 0; row < kgi_option_row_count && !s->options.off; row++) {
        const char *value = getenv(kgi_option_rows[row].name);

        if (value && value[0] && !set(&s->options, row, value))
            complain(s, row, value);
    }
    place_cache(s->options.cache_dir, sizeof s->options.cache_dir);
    /* A set-id program trusts nothing of its caller's environment. */
    if (getauxval(AT_SECURE))
        s->options.off = true;
}

static const struct settings *settings(void)
{
    static const struct settings without_memory = {.options = {.off = true, .log = KGI_OFF}};
    static struct settings *_Atomic published;
    struct settings *s = atomic_load_explicit(&published, memory_order_acquire), *nobody = NULL;
    int saved = errno;

    if (KGI_LIKELY(s != NULL))
        return s;
    s = kgi_alloc(sizeof *s);
    if (!s) {
        errno = saved;
        return &without_memory;
    }
    read_all(s);
    if (!atomic_compare_exchange_strong(&published, &nobody, s))
        s = nobody;
    errno = saved;
    return s;
}

const struct kgi_options *kgi_options(void)
{
    return &settings()->options;
}

const char *kgi_options_complaint(size_t i)
{
    const struct settings *s = settings();

    return i < s->complaints ? s->complaint[i] : NULL;
}
