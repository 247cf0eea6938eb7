/* What the tests of the cache share: a directory of their own, keys, and a stand at the cache's system
 * calls, where a test counts them, makes them fail, or ends the process. */
#ifndef KGI_JIT_CACHE_H
#define KGI_JIT_CACHE_H

#include "code_fixture.h"
#include <dirent.h>
#include <signal.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include "base/base.h"
#include "jit/cache.h"
#include "jit/cache_place.h"

static char scratch[64];     /* this test's directory */
static char tier_path[80];   /* the user tier in it */
static struct kgi_cache cache;

static const struct kgi_compiler ptxas_13 = {KGI_BY_PTXAS, 13000, "V13.0.88"};
static const struct kgi_compiler ptxas_12 = {KGI_BY_PTXAS, 12040, "V12.4.131"};
static const struct kgi_compiler driver_580 = {KGI_BY_DRIVER, 13000, "580.95.05"};
static const struct kgi_compiler driver_550 = {KGI_BY_DRIVER, 12040, "550.54.14"};
static const struct kgi_host hopper = {.gpu = {90, 0}, .cuda_version = 13000, .driver = 580};
static const struct kgi_target sm_90 = {90, 0};

/* ---- at the system calls ---- */

static inline long real_call(long number, long a, long b, long c, long d, long e)
{
    long result;

    if (number == SYS_fdatasync || number == SYS_fsync)
        return 0; /* what the disk would do, p05 does in its place; only the time is spared */
    result = syscall(number, a, b, c, d, e);
    return result < 0 ? -errno : result;
}

static inline bool is_time_or_self(long number)
{
    return number == SYS_clock_gettime || number == SYS_geteuid || number == SYS_getuid ||
           number == SYS_getpid;
}

/* ---- the test's own ---- */

__attribute__((format(printf, 1, 2))) static inline void shell(const char *format, ...)
{
    char command[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    if (system(command) != 0)
        fail_msg("%s", command);
}

/* What a shell command prints, its last newline cut off. */
__attribute__((format(printf, 1, 2))) static inline const char *output_of(const char *format, ...)
{
    static char out[4096];
    char command[1024];
    va_list arguments;
    size_t size;
    FILE *f;

    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    f = popen(command, "r");
    size = f ? fread(out, 1, sizeof out - 1, f) : 0;
    if (f)
        pclose(f);
    while (size && out[size - 1] == '\n')
        size--;
    out[size] = 0;
    return out;
}

static inline int begin(void **state)
{
    /* In memory where there is such a place: a disk flushes at each replaced file. */
    const char *parent = getenv("TMPDIR") ? getenv("TMPDIR")
                         : access("/dev/shm", W_OK) == 0 ? "/dev/shm"
                                                         : "/tmp";

    (void)state;
    kgi_cache_sys.call = real_call;
    snprintf(scratch, sizeof scratch, "%s/kguard-cache-XXXXXX", parent);
    if (!mkdtemp(scratch))
        return -1;
    snprintf(tier_path, sizeof tier_path, "%s/tier", scratch);
    cache = (struct kgi_cache){.user = tier_path, .no_stats = true, .no_sync = true};
    return 0;
}

static inline int end(void **state)
{
    (void)state;
    kgi_cache_sys.call = real_call;
    if (scratch[0])
        shell("chmod -R u+rwX %s; rm -rf %s", scratch, scratch);
    return 0;
}

/* The key of PTX number n. */
static inline struct kgi_cache_key key_of(unsigned n)
{
    struct kgi_cache_input input = {{(const uint8_t *)&n, sizeof n}, KGI_PLAIN};
    struct kgi_cache_key key;

    assert_int_equal(kgi_cache_key(&input, 1, sm_90, "", &key), 0);
    return key;
}

static inline const char *path_of_entry(const struct kgi_cache_key *key, const struct kgi_compiler *by)
{
    static char path[256];
    char name[KGI_NAME_SIZE];
    uint8_t id[8];

    kgi_compiler_id(by, id);
    kgi_place_name(key->digest, id, name);
    snprintf(path, sizeof path, "%s/%02x/%s", tier_path, key->digest[0], name);
    return path;
}

static inline struct kgi_bytes small_cubin(void)
{
    static struct kgi_bytes bytes;

    if (!bytes.at)
        bytes = fixture("cubin_90a.cubin");
    return bytes;
}

static inline bool hits(const struct kgi_cache *in, const struct kgi_cache_key *key)
{
    struct kgi_cache_hit hit;
    bool is = kgi_cache_get(in, key, &hopper, &driver_580, &hit) == 0;

    if (is) /* never anything but what was put */
        assert_true(hit.image.size == small_cubin().size &&
                    !memcmp(hit.image.at, small_cubin().at, hit.image.size));
    kgi_cache_free(&hit);
    return is;
}

static inline int put_small(const struct kgi_cache *in, const struct kgi_cache_key *key)
{
    return kgi_cache_put(in, key, &driver_580, 0, small_cubin());
}

static inline int count_bad(const struct kgi_cache_item *item, void *context)
{
    int *bad = context;

    *bad += item->state != KGI_ENTRY_GOOD && item->state != KGI_ENTRY_FAILURE;
    return 0;
}

/* Entries of the cache that are not good. */
static inline int bad_entries(const struct kgi_cache *in)
{
    int bad = 0;

    kgi_cache_each(in, true, count_bad, &bad);
    return bad;
}

/* Walks a tree, entries before their directory. */
static inline void each_below(const char *path, void (*each)(const char *path, const char *name))
{
    DIR *d = opendir(path);

    for (struct dirent *e; d && (e = readdir(d));) {
        KGI_TEXT(below, 512);

        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        kgi_text_add(&below, "%s/%s", path, e->d_name);
        if (e->d_type == DT_DIR)
            each_below(below.at, each);
        each(below.at, e->d_name);
    }
    if (d)
        closedir(d);
}

static inline void remove_one(const char *path, const char *name)
{
    (void)name;
    remove(path);
}

static inline void wipe(const char *path)
{
    each_below(path, remove_one);
    remove(path);
}

static int temporary_files;

static inline void count_temporary(const char *path, const char *name)
{
    (void)path;
    temporary_files += !strncmp(name, "tmp.", 4);
}

/* Temporary files anywhere in the tier. */
static inline int left_over(void)
{
    temporary_files = 0;
    each_below(tier_path, count_temporary);
    return temporary_files;
}

static inline void remove_temporary(const char *path, const char *name)
{
    if (!strncmp(name, "tmp.", 4))
        remove(path);
}

#endif
