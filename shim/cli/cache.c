/*
 * kguard cache: what the compute cache holds, whether it is whole, and why a key was not found there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../jit/cache.h"
#include "cli.h"

#define NEAR_MOST 5

struct care {
    const struct kgi_cache *cache;
    struct kgi_cache own; /* with --cache */
    bool json;
    const char *argument;
    uint64_t count, bytes, bad;
    uint8_t digest[32]; /* explain: of the key, once it is known */
    bool known, shown;
    struct kgi_bytes inputs; /* explain: a copy of the inputs' digest */
    int matches;
    const char *driver; /* of this machine; "" = none */
    struct kgi_host host;
};

/* ---- pieces of output ------------------------------------------------------------------------------------- */

static void put_size(uint64_t n)
{
    static const char units[] = " KMGT";
    double x = (double)n;
    int unit = 0;

    for (; x >= 1000 && units[unit + 1]; unit++)
        x /= 1024;
    printf(unit ? "%.1f %ciB" : "%.0f bytes", x, units[unit]);
}

static void put_json_text(const char *name, const char *s, size_t size)
{
    char copy[KGI_CACHE_OPTIONS + 1];
    KGI_TEXT(t, 6 * KGI_CACHE_OPTIONS);

    snprintf(copy, sizeof copy, "%.*s", (int)size, s);
    kgi_text_add_json(&t, copy);
    printf(",\"%s\":\"%s\"", name, t.at);
}

static void put_safe(const char *s, size_t size, int width)
{
    char copy[KGI_CACHE_OPTIONS + 1];
    KGI_TEXT(t, 4 * KGI_CACHE_OPTIONS);

    snprintf(copy, sizeof copy, "%.*s", (int)size, s);
    kgi_text_add_safe(&t, copy);
    printf("%-*s", width, t.at);
}

static void put_day(int64_t seconds)
{
    time_t t = (time_t)seconds;
    struct tm day;
    char text[32] = "-";

    if (gmtime_r(&t, &day))
        strftime(text, sizeof text, "%Y-%m-%d %H:%M", &day);
    fputs(text, stdout);
}

/* "ab/cdef..." -> the 64 digits of the key. */
static void key_text(const char *name, char out[65])
{
    memcpy(out, name, 2);
    memcpy(out + 2, name + 3, 62);
    out[64] = 0;
}

static const char *maker(const struct kgi_entry *e)
{
    return e->by.kind == KGI_BY_DRIVER ? "driver" : "ptxas";
}

/* "kernel <name>" is for one kernel of its input. */
static bool is_of_kernel(const struct kgi_cache_question *q)
{
    static const char start[] = "kernel ";

    return q->options.size >= sizeof start && !memcmp(q->options.at, start, sizeof start - 1);
}

/* What is known of an entry, in one line. */
static void put_item(const struct care *c, const struct kgi_cache_item *item,
                     enum kgi_entry_state state)
{
    struct kgi_cache_question q = {.count = 0};
    const struct kgi_entry *e = item->entry;
    bool asked = e && kgi_cache_question(e->key_block, &q);
    char key[65];

    key_text(item->name, key);
    if (c->json) {
        printf("{\"schema\":1,\"key\":\"%s\",\"state\":\"%s\",\"shared\":%s,\"bytes\":%llu,\"used\":%lld",
               key, kgi_entry_state_names[state], item->shared ? "true" : "false",
               (unsigned long long)item->size, (long long)item->used);
        put_json_text("tier", item->tier, strlen(item->tier));
        if (asked) {
            put_json_text("target", (const char *)q.target.at, q.target.size);
            put_json_text("options", (const char *)q.options.at, q.options.size);
            printf(",\"input_bytes\":%llu,\"cost_ms\":%u,\"by\":\"%s\"", (unsigned long long)q.bytes,
                   e->cost_ms, maker(e));
            put_json_text("build", e->by.build, strlen(e->by.build));
            if (e->failure && e->payload.at)
                put_json_text("failure", (const char *)e->payload.at, e->payload.size);
        }
        puts("}");
        return;
    }
    printf("%.16s  %-12s  ", key, kgi_entry_state_names[state]);
    if (asked) {
        put_safe((const char *)q.target.at, q.target.size, 8);
        printf("  %10llu -> %-10llu  ", (unsigned long long)q.bytes, (unsigned long long)item->size);
        put_day(item->used);
        printf("  %s ", maker(e));
        put_safe(e->by.build, strlen(e->by.build), 0);
        if (q.options.size) {
            fputs(is_of_kernel(&q) ? "  " : "  options ", stdout);
            put_safe((const char *)q.options.at, q.options.size, 0);
        }
        if (e->failure && e->payload.at) {
            fputs(": ", stdout);
            put_safe((const char *)e->payload.at, e->payload.size, 0);
        }
    }
    printf("%s%s\n", item->shared ? "  " : "", item->shared ? item->tier : "");
}

/* ---- list, verify, stats -------------------------------------------------------------------------------------- */

static int list_one(const struct kgi_cache_item *item, void *context)
{
    put_item(context, item, item->state);
    return 0;
}

static int verify_one(const struct kgi_cache_item *item, void *context)
{
    struct care *c = context;
    bool bad = item->state != KGI_ENTRY_GOOD && item->state != KGI_ENTRY_FAILURE &&
               item->state != KGI_ENTRY_EXPIRED;

    c->count++;
    c->bytes += item->size;
    c->bad += bad;
    if (bad)
        put_item(c, item, item->state);
    return 0;
}

static int sum_one(const struct kgi_cache_item *item, void *context)
{
    struct care *c = context;

    c->count++;
    c->bytes += item->size;
    return 0;
}

static const char *reason(long result)
{
    return result == -EPERM ? "not yours alone: its owner or mode is not to be trusted"
                            : strerror((int)-result);
}

static int answer(int result, const struct care *c)
{
    if (result < 0)
        kgi_complain("cache: %s: %s", c->cache->user ? c->cache->user : "nowhere", reason(result));
    return result < 0 ? KGI_EXIT_UNREADABLE : KGI_EXIT_OK;
}

static int list(struct care *c)
{
    return answer(kgi_cache_each(c->cache, false, list_one, c), c);
}

static int verify(struct care *c)
{
    int result = answer(kgi_cache_each(c->cache, true, verify_one, c), c);

    if (!c->json)
        printf("%llu entries, %llu bad\n", (unsigned long long)c->count, (unsigned long long)c->bad);
    return result ? result : c->bad ? KGI_EXIT_FOUND : KGI_EXIT_OK;
}

static void put_counts(const struct kgi_cache_counts *n)
{
    unsigned long long all = n->hits + n->misses;

    printf("asked    %llu times: %llu hits, %llu misses\n", all, (unsigned long long)n->hits,
           (unsigned long long)n->misses);
    printf("stored   %llu (", (unsigned long long)n->stores);
    put_size(n->stored_bytes);
    printf("), evicted %llu, damaged %llu, refused by a driver %llu, compilations failed %llu\n",
           (unsigned long long)n->evicted, (unsigned long long)n->damaged,
           (unsigned long long)n->refused, (unsigned long long)n->failures);
    printf("time     %.1f s spent on compiling, %.1f s saved by hits (of those whose cost is known)\n",
           (double)n->spent_ms / 1000, (double)n->saved_ms / 1000);
}

static int stats(struct care *c)
{
    struct kgi_cache_counts n;
    int result = kgi_cache_total(c->cache, &n);

    if (result == 0)
        result = kgi_cache_each(c->cache, false, sum_one, c);
    if (result != 0)
        return answer(result, c);
    if (c->json) {
        printf("{\"schema\":1,\"entries\":%llu,\"bytes\":%llu,\"limit\":%llu",
               (unsigned long long)c->count, (unsigned long long)c->bytes,
               (unsigned long long)c->cache->limit);
        if (c->cache->user)
            put_json_text("place", c->cache->user, strlen(c->cache->user));
#define AS_MEMBER(name) printf(",\"" #name "\":%llu", (unsigned long long)n.name);
        KGI_CACHE_COUNTERS(AS_MEMBER)
        puts("}");
        return KGI_EXIT_OK;
    }
    printf("place    %s\n", c->cache->user ? c->cache->user : "none: set KGUARD_CACHE_DIR or HOME");
    for (size_t i = 0; i < KGI_CACHE_TIERS && c->cache->shared[i]; i++)
        printf("also     %s, read-only\n", c->cache->shared[i]);
    printf("holds    %llu entries, ", (unsigned long long)c->count);
    put_size(c->bytes);
    if (c->cache->limit) {
        fputs(" of at most ", stdout);
        put_size(c->cache->limit);
    }
    putchar('\n');
    put_counts(&n);
    return KGI_EXIT_OK;
}

/* ---- explain ------------------------------------------------------------------------------------------------------ */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_key(const char *s)
{
    size_t n = 0;

    while (hex_digit(s[n]) >= 0)
        n++;
    return !s[n] && n >= 4 && n <= 64;
}

/* The key that starts with the argument; a second one makes it ambiguous. */
static int find_key(const struct kgi_cache_item *item, void *context)
{
    struct care *c = context;
    struct kgi_cache_question q;
    uint8_t digest[32];
    char key[65];

    key_text(item->name, key);
    if (strncmp(key, c->argument, strlen(c->argument)) != 0)
        return 0;
    for (size_t i = 0; i < sizeof digest; i++)
        digest[i] = (uint8_t)(hex_digit(key[2 * i]) << 4 | hex_digit(key[2 * i + 1]));
    if (!c->known || memcmp(digest, c->digest, sizeof digest) != 0)
        c->matches++;
    c->known = true;
    memcpy(c->digest, digest, sizeof digest);
    if (!c->inputs.at && item->entry && kgi_cache_question(item->entry->key_block, &q)) {
        uint8_t *copy = malloc(q.inputs.size);

        if (copy)
            c->inputs = (struct kgi_bytes){memcpy(copy, q.inputs.at, q.inputs.size), q.inputs.size};
    }
    return 0;
}

/* An entry of the key as a load on this machine would see it. */
static int explain_one(const struct kgi_cache_item *item, void *context)
{
    struct care *c = context;
    enum kgi_entry_state state = item->state;

    if (item->entry && item->entry->by.kind == KGI_BY_DRIVER && c->driver[0] &&
        state == KGI_ENTRY_GOOD && strcmp(item->entry->by.build, c->driver) != 0)
        state = KGI_ENTRY_OTHER;
    put_item(c, item, state);
    c->count += state == KGI_ENTRY_GOOD;
    return 0;
}

/* The same input for another target, or with other options. */
static int near_one(const struct kgi_cache_item *item, void *context)
{
    struct care *c = context;
    struct kgi_cache_question q;

    if (!item->entry || !kgi_cache_question(item->entry->key_block, &q) ||
        !memcmp(item->entry->key, c->digest, sizeof c->digest) || q.inputs.size != c->inputs.size ||
        memcmp(q.inputs.at, c->inputs.at, q.inputs.size) != 0 || c->bad++ >= NEAR_MOST)
        return 0;
    if (!c->json && !c->shown)
        puts("the same input, otherwise:");
    c->shown = true;
    put_item(c, item, item->state);
    return 0;
}

static void look_at_machine(struct care *c)
{
    static char driver[64];
    struct kgi_target gpus[16];

    if (kgi_driver_here(driver, sizeof driver))
        c->host.driver = (int)strtol(driver, NULL, 10);
    c->driver = driver;
    if (kgi_gpus_here(gpus, KGI_COUNT(gpus)) == 1)
        c->host.gpu = gpus[0];
}

static int explain(struct care *c)
{
    int result;

    if (!is_key(c->argument)) {
        kgi_complain("cache explain: %s is no key: 4 to 64 of its digits, as `list` shows them", c->argument);
        return KGI_EXIT_USAGE;
    }
    result = kgi_cache_each(c->cache, false, find_key, c);
    if (result == 0 && c->matches > 1) {
        kgi_complain("cache explain: %s: %d keys begin so", c->argument, c->matches);
        return KGI_EXIT_USAGE;
    }
    look_at_machine(c);
    if (result == 0 && c->known)
        result = kgi_cache_explain(c->cache, c->digest, &c->host, NULL, explain_one, c);
    if (result == 0 && c->inputs.at)
        result = kgi_cache_each(c->cache, false, near_one, c);
    free((void *)(uintptr_t)c->inputs.at);
    if (result != 0)
        return answer(result, c);
    if (!c->known && !c->json)
        puts("absent: no tier has an entry under this key");
    else if (!c->count && !c->json)
        puts("a miss: none of these can be used on this machine");
    return c->count ? KGI_EXIT_OK : KGI_EXIT_FOUND;
}

/* ---- gc, clear, export, import --------------------------------------------------------------------------------------- */

static int gc(struct care *c)
{
    return answer(kgi_cache_gc(c->cache, true), c);
}

static int clear(struct care *c)
{
    return answer(kgi_cache_clear(c->cache), c);
}

static int copied(long result, const char *from, const char *to)
{
    if (result < 0) {
        kgi_complain("cache: from %s to %s: %s", from ? from : "nowhere", to ? to : "nowhere",
                     reason(result));
        return KGI_EXIT_UNREADABLE;
    }
    printf("%ld entries copied\n", result);
    return KGI_EXIT_OK;
}

/* One that was named and is not there would look like one that is empty. */
static bool is_there(const char *directory)
{
    int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        kgi_complain("cache: %s: %s", directory, strerror(errno));
    else
        close(fd);
    return fd >= 0;
}

static int export_to(struct care *c)
{
    struct kgi_cache to = {.user = kgi_whole_path(c->argument), .is_public = true, .no_stats = true};

    return copied(kgi_cache_copy(c->cache, &to), c->cache->user, to.user);
}

static int import_from(struct care *c)
{
    struct kgi_cache from = {.shared = {kgi_whole_path(c->argument)}};

    if (!is_there(c->argument))
        return KGI_EXIT_UNREADABLE;
    return copied(kgi_cache_copy(&from, c->cache), c->argument, c->cache->user);
}

/* ---- the command ----------------------------------------------------------------------------------------------------- */

static const struct action {
    const char *name, *argument;
    int (*run)(struct care *);
} actions[] = {
    {"stats", NULL, stats},   {"list", NULL, list},   {"verify", NULL, verify},
    {"explain", "KEY", explain}, {"gc", NULL, gc},    {"clear", NULL, clear},
    {"export", "DIR", export_to}, {"import", "DIR", import_from},
};

static int set_cache(void *context, const char *value)
{
    ((struct care *)context)->own.user = kgi_whole_path(value);
    return *value ? 0 : -EINVAL;
}

static int set_format(void *context, const char *value)
{
    ((struct care *)context)->json = strcmp(value, "json") == 0;
    return strcmp(value, "json") && strcmp(value, "text") ? -EINVAL : 0;
}

static const struct kgi_flag flags[] = {
    {'c', "cache", "DIR", "this one (default: KGUARD_CACHE_DIR, else ~/.cache/kguard, and KGUARD_CACHE_RO)",
     set_cache},
    {'f', "format", "text|json", "what to write (default: text); json is one object per line", set_format},
};

static int run(const struct kgi_command *self, int argc, char **argv)
{
    struct care c = {.driver = ""};
    int exit_code, left = kgi_flags_parse(self, argc, argv, &c, &exit_code);

    if (left < 0)
        return exit_code;
    c.own.limit = kgi_options()->cache_max;
    c.cache = c.own.user ? &c.own : kgi_cache_default();
    for (size_t i = 0; i < KGI_COUNT(actions) && left; i++) {
        if (strcmp(actions[i].name, argv[0]) != 0)
            continue;
        if (left != (actions[i].argument ? 2 : 1)) {
            kgi_complain("cache %s: takes %s", argv[0],
                         actions[i].argument ? actions[i].argument : "nothing more");
            return KGI_EXIT_USAGE;
        }
        c.argument = argv[1];
        if (c.own.user && actions[i].run != import_from && !is_there(c.own.user))
            return KGI_EXIT_UNREADABLE;
        return actions[i].run(&c);
    }
    kgi_complain("cache: what? See kguard cache --help");
    return KGI_EXIT_USAGE;
}

const struct kgi_command kgi_cache_command = {
    .name = "cache",
    .arguments = "stats|list|verify|explain KEY|gc|clear|export DIR|import DIR [OPTION...]",
    .help = "Looks after the compute cache: what it holds, whether it is whole, why a key missed.",
    .run = run,
    .flags = flags,
    .flag_count = KGI_COUNT(flags),
    .epilogue =
        "stats    what it holds, how often it was asked, the time it saved\n"
        "list     its entries: key, state, target, bytes of PTX -> of code, last use, who compiled\n"
        "verify   proves each entry; exit 1 when one is bad\n"
        "explain  what a load with this key meets, on this machine, and the same input under other keys\n"
        "gc       removes what is damaged, left over or expired, and what is above KGUARD_CACHE_MAX_SIZE\n"
        "clear    removes all entries and counters\n"
        "export   copies its proven entries to a directory for KGUARD_CACHE_RO, in an image for example\n"
        "import   copies those of such a directory into it\n"
        "Exit code: 0, 1 a bad entry (verify) or none to use (explain), 2 wrong use, 3 a cache that\n"
        "cannot be read or written, 4 a fault of kguard's own.\n",
};
