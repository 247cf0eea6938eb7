/* The cache as one process sees it. A test's name begins with the property it proves. */
#include "jit_cache.h"

#include <sys/resource.h>

static struct kgi_cache shared_cache; /* what a second machine has: our tier, read-only */
static char copy_path[96];

static void use_as_shared(const char *path)
{
    static char own[96];

    snprintf(own, sizeof own, "%s/own", scratch);
    shared_cache = (struct kgi_cache){.user = own, .shared = {path}, .no_stats = true,
                                      .no_sync = true};
}

static struct kgi_cache_counts counted(void)
{
    struct kgi_cache_counts counts;

    kgi_cache_counts(&counts);
    return counts;
}

static enum kgi_entry_state why(const struct kgi_cache *in, const struct kgi_cache_key *key,
                                const struct kgi_host *host, const struct kgi_compiler *own)
{
    struct kgi_cache_hit hit;

    kgi_cache_get(in, key, host, own, &hit);
    kgi_cache_free(&hit);
    return kgi_cache_get(in, key, host, own, &hit) == 0 ? (kgi_cache_free(&hit), KGI_ENTRY_GOOD)
                                                        : hit.why;
}

static void put_and_get(void **state)
{
    struct kgi_cache_key key = key_of(1), other = key_of(2);
    struct kgi_cache_hit hit;

    (void)state;
    assert_false(hits(&cache, &key));
    assert_int_equal(access(tier_path, F_OK), -1); /* a miss makes nothing */
    assert_int_equal(kgi_cache_put(&cache, &key, &driver_580, 1234, small_cubin()), 0);
    assert_true(hits(&cache, &key));
    assert_false(hits(&cache, &other));
    assert_int_equal(kgi_cache_get(&cache, &key, &hopper, &driver_580, &hit), 0);
    assert_int_equal((uintptr_t)hit.image.at % 64, 0);
    assert_int_equal(hit.cost_ms, 1234);
    assert_int_equal(hit.by.kind, KGI_BY_DRIVER);
    assert_false(hit.shared);
    kgi_cache_free(&hit);
    assert_null(hit.image.at);
    assert_int_equal(left_over(), 0);
}

static void what_is_no_cubin_is_kept_out(void **state)
{
    struct kgi_cache_key key = key_of(1);

    (void)state;
    assert_int_equal(kgi_cache_put(&cache, &key, &ptxas_13, 0, text_bytes("Segmentation fault")),
                     -EINVAL);
    assert_int_equal(kgi_cache_put(&cache, &key, &ptxas_13, 0, (struct kgi_bytes){NULL, 0}), -EINVAL);
    assert_int_equal(kgi_cache_put(&cache, &key, &ptxas_13, 0, fixture("cubin_100.cubin")), -EINVAL);
    assert_int_equal(kgi_cache_put(&cache, &key, &ptxas_13, 0, fixture("cubin_rdc.cubin")), -EINVAL);
    assert_int_equal(access(tier_path, F_OK), -1);
}

static void p02_an_entry_under_another_name(void **state)
{
    struct kgi_cache_key a = key_of(1), b = key_of(2);
    char from[256];

    (void)state;
    assert_int_equal(put_small(&cache, &a), 0);
    assert_int_equal(put_small(&cache, &b), 0);
    snprintf(from, sizeof from, "%s", path_of_entry(&a, &driver_580));
    shell("mv %s %s", from, path_of_entry(&b, &driver_580));
    assert_int_equal(why(&cache, &b, &hopper, &driver_580), KGI_ENTRY_ABSENT); /* removed at first */
    assert_int_equal(access(path_of_entry(&b, &driver_580), F_OK), -1);
    assert_int_equal(put_small(&cache, &b), 0);
    assert_true(hits(&cache, &b));
}

static void compilers_in_order_of_preference(void **state)
{
    static const struct kgi_compiler ptxas_13_1 = {KGI_BY_PTXAS, 13010, "V13.1.1"};
    struct kgi_bytes abi7 = fixture("cubin_old_90a.cubin");
    struct kgi_host old = {.gpu = {90, 0}, .cuda_version = 12040, .driver = 550};
    struct kgi_cache_key key = key_of(1);
    struct kgi_cache_hit hit;

    (void)state;
    assert_int_equal(kgi_cache_put(&cache, &key, &driver_550, 0, abi7), 0);
    assert_int_equal(why(&cache, &key, &hopper, &driver_580), KGI_ENTRY_OTHER);
    assert_int_equal(kgi_cache_put(&cache, &key, &ptxas_13, 0, small_cubin()), 0);
    assert_int_equal(kgi_cache_put(&cache, &key, &ptxas_13_1, 0, small_cubin()), 0);
    assert_int_equal(kgi_cache_put(&cache, &key, &ptxas_12, 0, abi7), 0);
    assert_int_equal(kgi_cache_get(&cache, &key, &hopper, &driver_580, &hit), 0);
    assert_int_equal(hit.by.cuda_version, 13010);
    kgi_cache_free(&hit);
    /* A driver of 12.4 reads no cubin of 13: the older ptxas, for it. */
    assert_int_equal(kgi_cache_get(&cache, &key, &old, NULL, &hit), 0);
    assert_int_equal(hit.by.cuda_version, 12040);
    kgi_cache_free(&hit);
    assert_int_equal(kgi_cache_get(&cache, &key, &old, &driver_550, &hit), 0);
    assert_string_equal(hit.by.build, "550.54.14");
    kgi_cache_free(&hit);
    assert_int_equal(kgi_cache_put(&cache, &key, &driver_580, 0, small_cubin()), 0);
    assert_int_equal(kgi_cache_get(&cache, &key, &hopper, &driver_580, &hit), 0);
    assert_string_equal(hit.by.build, "580.95.05");
    kgi_cache_free(&hit);
}

static void unfit_is_said(void **state)
{
    struct kgi_host old = {.gpu = {90, 0}, .cuda_version = 12040, .driver = 550};
    struct kgi_cache_key key = key_of(1);

    (void)state;
    assert_int_equal(kgi_cache_put(&cache, &key, &ptxas_13, 0, small_cubin()), 0);
    assert_int_equal(why(&cache, &key, &old, &driver_550), KGI_ENTRY_UNFIT);
    assert_int_equal(why(&cache, &key, &hopper, &driver_580), KGI_ENTRY_GOOD);
}

static void p07_a_damaged_entry_heals(void **state)
{
    struct kgi_cache_key key = key_of(1);
    struct kgi_cache_counts before = counted(), after;

    (void)state;
    assert_int_equal(put_small(&cache, &key), 0);
    shell("printf xyz | dd of=%s bs=1 seek=600 conv=notrunc 2>/dev/null",
          path_of_entry(&key, &driver_580));
    assert_false(hits(&cache, &key));
    assert_int_equal(access(path_of_entry(&key, &driver_580), F_OK), -1);
    assert_int_equal(put_small(&cache, &key), 0);
    assert_true(hits(&cache, &key));
    after = counted();
    assert_int_equal(after.damaged - before.damaged, 1);
    assert_int_equal(after.hits - before.hits, 1);
    /* Also where it cannot be removed: the next put replaces it. */
    shell(": > %s", path_of_entry(&key, &driver_580));
    assert_int_equal(put_small(&cache, &key), 0);
    assert_true(hits(&cache, &key));
}

/* ---- P8, at the system calls ---- */

static long p08_no_map(long number, long a, long b, long c, long d, long e)
{
    assert_true(number != SYS_mmap && number != SYS_sendfile);
    return real_call(number, a, b, c, d, e);
}

/* Cut while it is read: fewer bytes than fstat said. */
static const char *to_cut;
static long p08_cut_it(long number, long a, long b, long c, long d, long e)
{
    if (number == SYS_pread64)
        truncate(to_cut, 100);
    return real_call(number, a, b, c, d, e);
}

static void p08_cut_while_it_is_read(void **state)
{
    struct kgi_cache_key key = key_of(1);

    (void)state;
    kgi_cache_sys.call = p08_no_map;
    assert_int_equal(put_small(&cache, &key), 0);
    assert_true(hits(&cache, &key));
    to_cut = path_of_entry(&key, &driver_580);
    kgi_cache_sys.call = p08_cut_it;
    assert_false(hits(&cache, &key));
}

/* ---- P14 ---- */

static int64_t the_time;
static long at_the_time(long number, long a, long b, long c, long d, long e)
{
    if (number == SYS_clock_gettime && a == CLOCK_REALTIME) {
        *(struct timespec *)(uintptr_t)b = (struct timespec){the_time, 0};
        return 0;
    }
    return real_call(number, a, b, c, d, e);
}

static int64_t modified(const char *path)
{
    struct stat st = {.st_mtime = -1};

    stat(path, &st);
    return st.st_mtime;
}

static void p14_a_hit_is_noted_but_not_each_time(void **state)
{
    struct kgi_cache_key key = key_of(1);
    const char *path = path_of_entry(&key, &driver_580);

    (void)state;
    kgi_cache_sys.call = at_the_time;
    the_time = 1000000;
    assert_int_equal(put_small(&cache, &key), 0);
    assert_int_equal(modified(path), 1000000);
    the_time += 500;
    assert_true(hits(&cache, &key));
    assert_int_equal(modified(path), 1000000);
    the_time += 500;
    assert_true(hits(&cache, &key));
    assert_int_equal(modified(path), 1001000);
    the_time -= 90000; /* the clock is set back: the time it has is in the future */
    assert_true(hits(&cache, &key));
    assert_int_equal(modified(path), 911000);
}

/* What is not read counts as used where it would be read; what never would be grows old. */
static void p14_what_waits_counts_as_used(void **state)
{
    struct kgi_cache_key key = key_of(1), failed = key_of(2);
    struct kgi_cache_hit hit;
    char path[256];

    (void)state;
    kgi_cache_sys.call = at_the_time;
    the_time = 1000000;
    assert_false(kgi_cache_touch(&cache, &key, &driver_580));
    assert_int_equal(kgi_cache_put(&cache, &key, &driver_550, 0, small_cubin()), 0);
    the_time += 1000;
    assert_false(kgi_cache_touch(&cache, &key, &driver_580));
    assert_int_equal(kgi_cache_put(&cache, &key, &ptxas_12, 0, small_cubin()), 0);
    assert_int_equal(put_small(&cache, &key), 0);
    the_time += 1000;
    assert_true(kgi_cache_touch(&cache, &key, &driver_580));
    assert_int_equal(modified(path_of_entry(&key, &driver_580)), 1002000);
    assert_int_equal(modified(path_of_entry(&key, &ptxas_12)), 1001000);
    assert_int_equal(modified(path_of_entry(&key, &driver_550)), 1000000);
    /* A failure is to be forgotten at its time, and hides what the machine came with. */
    assert_int_equal(kgi_cache_put(&cache, &failed, &ptxas_13, 0, small_cubin()), 0);
    use_as_shared(tier_path);
    assert_true(kgi_cache_touch(&shared_cache, &failed, &driver_580));
    assert_int_equal(kgi_cache_get(&shared_cache, &failed, &hopper, &driver_580, &hit), 0);
    assert_int_equal(kgi_cache_refuse(&shared_cache, &failed, &hit, "209"), 0);
    kgi_cache_free(&hit);
    the_time += 1000;
    assert_false(kgi_cache_touch(&shared_cache, &failed, &driver_580));
    the_time += 8 * 86400;
    assert_true(kgi_cache_touch(&shared_cache, &failed, &driver_580));
    snprintf(path, sizeof path, "%s/own%s", scratch, path_of_entry(&failed, &ptxas_13) + strlen(tier_path));
    assert_int_equal(modified(path), 1002000);
}

/* Puts and hits at random, with a clock that jumps; the bound holds each time, and the order of what
 * goes is that of a model. */
static void p14_least_recently_used_goes_first(void **state)
{
    enum { KEYS = 40 };
    size_t size = 0;
    int64_t used[KEYS] = {0};
    struct kgi_cache_key keys[KEYS];
    unsigned seed = 1;

    (void)state;
    kgi_cache_sys.call = at_the_time;
    the_time = 1000000;
    for (unsigned i = 0; i < KEYS; i++)
        keys[i] = key_of(i);
    put_small(&cache, &keys[0]);
    size = (size_t)atol(output_of("stat -c %%s %s", path_of_entry(&keys[0], &driver_580)));
    used[0] = the_time;
    cache.limit = 10 * size + size / 2;
    for (int turn = 0; turn < 600; turn++) {
        unsigned i = (unsigned)rand_r(&seed) % KEYS;
        bool there = access(path_of_entry(&keys[i], &driver_580), F_OK) == 0;
        int64_t oldest = INT64_MAX, youngest_gone = 0;
        int there_are = 0;

        the_time += 601 + rand_r(&seed) % 5000;
        assert_int_equal(hits(&cache, &keys[i]), there);
        if (!there)
            assert_int_equal(put_small(&cache, &keys[i]), 0);
        used[i] = the_time;
        for (unsigned k = 0; k < KEYS; k++) {
            if (access(path_of_entry(&keys[k], &driver_580), F_OK) == 0) {
                oldest = used[k] < oldest ? used[k] : oldest;
                there_are++;
            } else {
                youngest_gone = used[k] > youngest_gone ? used[k] : youngest_gone;
                used[k] = 0;
            }
        }
        assert_true(youngest_gone < oldest);
        assert_true(there_are <= 10);
        assert_true(turn < 60 || there_are >= 8);
    }
}

static void p14_a_time_in_the_future_goes_first(void **state)
{
    struct kgi_cache_key keys[4] = {key_of(1), key_of(2), key_of(3), key_of(4)};

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(put_small(&cache, &keys[i]), 0);
    shell("touch -d 2035-01-01 %s", path_of_entry(&keys[1], &driver_580));
    cache.limit = 3 * (uint64_t)atol(output_of("stat -c %%s %s", path_of_entry(&keys[0], &driver_580)));
    cache.limit += 100;
    assert_int_equal(put_small(&cache, &keys[3]), 0);
    assert_false(hits(&cache, &keys[1]));
    assert_true(hits(&cache, &keys[3]));
}

static void p13_too_big_is_never_stored(void **state)
{
    struct kgi_cache_key key = key_of(1);

    (void)state;
    cache.limit = small_cubin().size;
    assert_int_equal(put_small(&cache, &key), -EFBIG);
    assert_int_equal(access(path_of_entry(&key, &driver_580), F_OK), -1);
    cache.limit = small_cubin().size + 1024;
    assert_int_equal(put_small(&cache, &key), 0);
}

static int calls;
static long counting(long number, long a, long b, long c, long d, long e)
{
    calls++;
    return at_the_time(number, a, b, c, d, e);
}

static int calls_of_a_put(unsigned n)
{
    struct kgi_cache_key key = key_of(n);

    kgi_cache_sys.call = counting;
    calls = 0;
    assert_int_equal(put_small(&cache, &key), 0);
    return calls;
}

/* A put looks at every entry only when the note of the total is of no use. */
static void p13_a_put_walks_only_when_it_must(void **state)
{
    struct kgi_cache_claim claim;
    int tier;

    (void)state;
    the_time = 1000000;
    cache.limit = 400 * 4096;
    for (unsigned n = 0; n < 300; n++)
        calls_of_a_put(n);
    assert_in_range(calls_of_a_put(300), 10, 60);
    shell("dd if=/dev/zero of=%s/size bs=1 seek=8 count=8 conv=notrunc 2>/dev/null", tier_path);
    assert_in_range(calls_of_a_put(301), 301, 2000);
    assert_in_range(calls_of_a_put(302), 10, 60);
    shell("rm %s/size", tier_path);
    assert_in_range(calls_of_a_put(303), 303, 2000);
    the_time += 3700;
    assert_in_range(calls_of_a_put(304), 304, 2000);
    assert_in_range(calls_of_a_put(305), 10, 60);
    the_time -= 100; /* walked in the future: the clock was wrong */
    assert_in_range(calls_of_a_put(306), 306, 2000);
    cache.limit = 308 * 3700; /* it is full by the note */
    assert_in_range(calls_of_a_put(307), 307, 2000);
    /* Who gets no lock puts all the same, and takes the note away. */
    kgi_cache_sys.call = real_call;
    tier = kgi_place_tier(&cache, tier_path, false, false);
    assert_int_equal(kgi_place_lock(&cache, tier, KGI_LOCK_CARE, 0, &claim), 1);
    calls_of_a_put(308);
    assert_int_equal(access(output_of("echo %s/size", tier_path), F_OK), -1);
    kgi_place_unlock(&claim);
    kgi_place_close(tier);
}

/* ---- P15 ---- */

static void p15_the_sweep_takes_only_what_is_ours_and_old(void **state)
{
    struct kgi_cache_key key = key_of(1);
    const char *shard;

    (void)state;
    assert_int_equal(put_small(&cache, &key), 0);
    shard = output_of("dirname %s", path_of_entry(&key, &driver_580));
    shell("cd %s && touch .nfs0001 foreign.txt tmp.1.new && touch -d '3 hours ago' tmp.1.old .nfs0002 old.txt "
          "&& touch -d '3 hours' tmp.1.future && touch -d '3 hours ago' ../tmp.2.old", shard);
    assert_int_equal(kgi_cache_gc(&cache, true), 0);
    assert_string_equal(output_of("cd %s/.. && ls -A | grep -v lock | wc -l", shard), "1");
    shard = output_of("dirname %s", path_of_entry(&key, &driver_580));
    shell("cd %s && test -e .nfs0001 && test -e .nfs0002 && test -e foreign.txt && test -e old.txt && "
          "test -e tmp.1.new && ! test -e tmp.1.old && ! test -e tmp.1.future", shard);
    assert_true(hits(&cache, &key));
}

/* ---- P17: whose it is. Two users: jit_cache_system ---- */

static void p17_what_is_not_a_plain_file_of_ours(void **state)
{
    static const char *const ways[] = {
        "rm $E; ln -s $S/elsewhere $E",
        "rm $E; ln -s /dev/zero $E",
        "rm $E; mkfifo $E",
        "rm $E; mkdir $E",
        "rm $E; : > $E",
        "chmod 620 $E",
        "chmod 602 $E",
        "chmod 770 $D",
        "chmod 707 $D",
        "chmod 777 $T",
        "mv $T $S/real && ln -s $S/real $T",
        "mv $D $S/shard && ln -s $S/shard $D",
    };
    struct kgi_cache_key key = key_of(1);
    struct stat st;
    char path[256];

    (void)state;
    snprintf(path, sizeof path, "%s", path_of_entry(&key, &driver_580));
    for (size_t i = 0; i < KGI_COUNT(ways); i++) {
        shell("rm -rf %s/*", scratch);
        assert_int_equal(put_small(&cache, &key), 0);
        assert_true(hits(&cache, &key));
        shell("cp %s %s/elsewhere; E=%s; D=$(dirname $E); T=%s; S=%s; %s", path, scratch, path, tier_path,
              scratch, ways[i]);
        if (hits(&cache, &key))
            fail_msg("taken: %s", ways[i]);
        if (i < 4 && why(&cache, &key, &hopper, &driver_580) != KGI_ENTRY_FOREIGN)
            fail_msg("not told: %s", ways[i]);
        if (i < 4 && lstat(path, &st) != 0) /* not ours to remove, either */
            fail_msg("removed: %s", ways[i]);
    }
}

static void p17_made_private_whatever_the_umask(void **state)
{
    static const int masks[] = {0, 022, 077, 0177};
    struct kgi_cache_key key = key_of(1);

    (void)state;
    for (size_t i = 0; i < KGI_COUNT(masks); i++) {
        mode_t before;

        shell("rm -rf %s", tier_path);
        before = umask((mode_t)masks[i]);
        put_small(&cache, &key);
        umask(before);
        if (masks[i] == 0177 && geteuid() != 0)
            continue; /* such a user cannot enter a directory of his own */
        assert_string_equal(output_of("stat -c %%a %s", path_of_entry(&key, &driver_580)), "600");
        if (masks[i] != 0177)
            assert_string_equal(output_of("stat -c %%a %s", tier_path), "700");
    }
}

static void p18_no_place_no_files(void **state)
{
    struct kgi_cache nowhere = {.user = NULL}, relative = {.user = "tier"};
    struct kgi_cache_key key = key_of(1);
    struct kgi_cache_claim claim;
    char before[512];

    (void)state;
    small_cubin();
    assert_int_equal(put_small(&nowhere, &key), -ENOENT);
    assert_false(hits(&nowhere, &key));
    assert_false(kgi_cache_claim(&nowhere, &key, 0, &claim));
    kgi_cache_release(&claim);
    assert_false(kgi_cache_failed(&nowhere, &key, &ptxas_13, NULL, 0));
    assert_int_equal(kgi_cache_gc(&nowhere, true), 0);
    assert_int_equal(kgi_cache_clear(&nowhere), 0);
    assert_int_equal(getcwd(before, sizeof before) != NULL && chdir(scratch) == 0, 1);
    assert_int_equal(put_small(&relative, &key), -EINVAL);
    assert_int_equal(access("tier", F_OK), -1);
    assert_int_equal(chdir(before), 0);
}

/* ---- P20, P21: tiers ---- */

static void p20_a_read_only_tier_is_not_touched(void **state)
{
    struct kgi_cache_key key = key_of(1), damaged = key_of(2);
    char before[4096];
    struct kgi_cache_hit hit;

    (void)state;
    assert_int_equal(put_small(&cache, &key), 0);
    assert_int_equal(put_small(&cache, &damaged), 0);
    shell("printf xyz | dd of=%s bs=1 seek=600 conv=notrunc 2>/dev/null",
          path_of_entry(&damaged, &driver_580));
    shell("find %s -exec touch -d 2001-01-01 {} +; chmod -R a-w %s", tier_path, tier_path);
    snprintf(before, sizeof before, "%s",
             output_of("find %s -printf '%%p %%T@ %%C@ %%m %%s\\n' | sort", tier_path));
    use_as_shared(tier_path);
    shared_cache.no_stats = false;
    assert_int_equal(kgi_cache_get(&shared_cache, &key, &hopper, &driver_580, &hit), 0);
    assert_true(hit.shared);
    kgi_cache_free(&hit);
    assert_false(hits(&shared_cache, &damaged));
    assert_true(kgi_cache_touch(&shared_cache, &key, &driver_580));
    assert_int_equal(kgi_cache_gc(&shared_cache, true), 0);
    assert_int_equal(kgi_cache_clear(&shared_cache), 0);
    assert_string_equal(output_of("find %s -printf '%%p %%T@ %%C@ %%m %%s\\n' | sort", tier_path), before);
    /* What was not good there is compiled and kept here. */
    assert_int_equal(put_small(&shared_cache, &damaged), 0);
    assert_true(hits(&shared_cache, &damaged));
}

static void p21_a_moved_tree_hits(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        struct kgi_cache_key key = key_of(i);

        assert_int_equal(put_small(&cache, &key), 0);
    }
    snprintf(copy_path, sizeof copy_path, "%s/moved", scratch);
    shell("mkdir %s && tar -C %s -cf - . | tar -C %s -xf - && rm -rf %s", copy_path, tier_path, copy_path,
          tier_path);
    use_as_shared(copy_path);
    for (unsigned i = 0; i < 20; i++) {
        struct kgi_cache_key key = key_of(i);

        assert_true(hits(&shared_cache, &key));
    }
    assert_string_equal(output_of("grep -rl %s %s | wc -l", scratch, copy_path), "0");
}

static void p22_the_same_tree_each_time(void **state)
{
    char path[96];
    struct kgi_cache build = {.user = path, .is_public = true, .no_stats = true};

    (void)state;
    for (int run = 0; run < 2; run++) {
        mode_t before = umask(run ? 0 : 077);

        snprintf(path, sizeof path, "%s/run%d", scratch, run);
        for (unsigned n = 0; n < 20; n++) {
            struct kgi_cache_key key = key_of(run ? 19 - n : n);

            assert_int_equal(put_small(&build, &key), 0);
        }
        umask(before);
    }
    shell("cd %s && diff -r run0 run1", scratch);
    assert_string_equal(output_of("cd %s && for r in run0 run1; do tar -C $r --sort=name --mtime=@0 --owner=0 "
                                  "--group=0 -cf - . | sha256sum; done | sort -u | wc -l", scratch), "1");
    assert_string_equal(output_of("find %s/run0 -type f -printf '%%m\\n' | sort -u", scratch), "644");
    assert_string_equal(output_of("find %s/run0 -type d -printf '%%m\\n' | sort -u", scratch), "755");
}

/* ---- P23 ---- */

static void p23_a_newer_format_is_a_miss_and_stays(void **state)
{
    struct kgi_cache_input inputs[] = {{{(const uint8_t *)"ab", 2}, KGI_ZSTD},
                                       {{(const uint8_t *)"cde", 3}, KGI_ZSTD}};
    struct kgi_cache_key key;

    (void)state;
    assert_int_equal(kgi_cache_key(inputs, 2, (struct kgi_target){90, 'a'}, "7=3", &key), 0);
    shell("mkdir -pm 700 $(dirname %s)", path_of_entry(&key, &ptxas_13));
    shell("chmod 700 %s; install -m 600 tests/cache/format2.entry %s", tier_path,
          path_of_entry(&key, &ptxas_13));
    assert_int_equal(why(&cache, &key, &hopper, &driver_580), KGI_ENTRY_NEWER);
    assert_int_equal(kgi_cache_gc(&cache, true), 0);
    shell("cmp tests/cache/format2.entry %s", path_of_entry(&key, &ptxas_13));
    /* One of this format, of the same program, is read. */
    shell("install -m 600 tests/cache/format1.entry %s", path_of_entry(&key, &ptxas_13));
    assert_int_equal(why(&cache, &key, NULL, &driver_580), KGI_ENTRY_GOOD);
}

/* ---- P24, P25: failures ---- */

static void p24_what_the_driver_refused_is_not_given_again(void **state)
{
    struct kgi_cache_key key = key_of(1);
    struct kgi_cache_hit hit;

    (void)state;
    kgi_cache_sys.call = at_the_time;
    the_time = 1000000;
    assert_int_equal(put_small(&cache, &key), 0);
    assert_int_equal(kgi_cache_get(&cache, &key, &hopper, &driver_580, &hit), 0);
    assert_int_equal(kgi_cache_refuse(&cache, &key, &hit, "209"), 0);
    kgi_cache_free(&hit);
    assert_int_equal(why(&cache, &key, &hopper, &driver_580), KGI_ENTRY_FAILURE);
    the_time += 6 * 86400;
    assert_false(hits(&cache, &key));
    assert_int_equal(put_small(&cache, &key), 0); /* compiled anew: that one is another */
    assert_true(hits(&cache, &key));
    /* The same where the entry lies in a read-only tier. */
    use_as_shared(tier_path);
    assert_int_equal(kgi_cache_get(&shared_cache, &key, &hopper, &driver_580, &hit), 0);
    assert_int_equal(kgi_cache_refuse(&shared_cache, &key, &hit, "209"), 0);
    kgi_cache_free(&hit);
    assert_false(hits(&shared_cache, &key));
    assert_true(hits(&cache, &key));
    the_time += 8 * 86400;
    assert_true(hits(&shared_cache, &key));
}

static void p25_a_failure_is_remembered_for_an_hour(void **state)
{
    struct kgi_cache_key key = key_of(1);
    char text[64] = "";

    (void)state;
    kgi_cache_sys.call = at_the_time;
    the_time = 1000000;
    assert_false(kgi_cache_failed(&cache, &key, &ptxas_13, NULL, 0));
    assert_int_equal(kgi_cache_put_failure(&cache, &key, &ptxas_13, "signal 11"), 0);
    assert_true(kgi_cache_failed(&cache, &key, &ptxas_13, text, sizeof text));
    assert_string_equal(text, "signal 11");
    assert_false(kgi_cache_failed(&cache, &key, &ptxas_12, NULL, 0));
    assert_false(kgi_cache_failed(&cache, &key, &driver_580, NULL, 0));
    assert_int_equal(why(&cache, &key, &hopper, &driver_580), KGI_ENTRY_FAILURE);
    the_time += 3000;
    assert_false(hits(&cache, &key));
    assert_true(kgi_cache_failed(&cache, &key, &ptxas_13, NULL, 0)); /* asking has not renewed it */
    the_time += 700;
    assert_false(kgi_cache_failed(&cache, &key, &ptxas_13, NULL, 0));
    the_time -= 100000;
    assert_false(kgi_cache_failed(&cache, &key, &ptxas_13, NULL, 0));
    the_time += 100000;
    assert_int_equal(kgi_cache_gc(&cache, false), 0);
    assert_int_equal(access(path_of_entry(&key, &ptxas_13), F_OK), -1);
    /* A good one takes its place, and is not hidden by it. */
    assert_int_equal(kgi_cache_put_failure(&cache, &key, &driver_580, "time-out"), 0);
    assert_int_equal(put_small(&cache, &key), 0);
    assert_true(hits(&cache, &key));
}

/* ---- P27 ---- */

static int tell(const struct kgi_cache_item *item, void *context)
{
    struct kgi_text *t = context;

    kgi_text_add(t, "%s%s %s%s", t->length ? "\n" : "", kgi_entry_state_names[item->state],
                 item->shared ? "shared " : "", item->entry ? item->entry->by.build : "-");
    return 0;
}

static const char *explained(const struct kgi_cache *in, const struct kgi_cache_key *key,
                             const struct kgi_host *host)
{
    static char out[2048];
    struct kgi_text t = {out, sizeof out, 0, false};

    out[0] = 0;
    assert_int_equal(kgi_cache_explain(in, key->digest, host, &driver_580, tell, &t), 0);
    return out;
}

static void p27_every_decision_can_be_explained(void **state)
{
    struct kgi_cache_key key = key_of(1);

    (void)state;
    assert_string_equal(explained(&cache, &key, &hopper), "");
    kgi_cache_put(&cache, &key, &driver_550, 0, small_cubin());
    kgi_cache_put(&cache, &key, &ptxas_12, 0, fixture("cubin_old_90a.cubin"));
    kgi_cache_put(&cache, &key, &ptxas_13, 0, small_cubin());
    assert_string_equal(explained(&cache, &key, &hopper),
                        "good V13.0.88\ngood V12.4.131\nother-driver 550.54.14");
    assert_string_equal(explained(&cache, &key, &(struct kgi_host){{90, 0}, 12040, 550, 0, 0}),
                        "unfit V13.0.88\ngood V12.4.131\nother-driver 550.54.14");
    use_as_shared(tier_path);
    kgi_cache_put_failure(&shared_cache, &key, &ptxas_13, "refused");
    assert_string_equal(explained(&shared_cache, &key, &hopper),
                        "failure V13.0.88\nfailure shared V13.0.88\ngood shared V12.4.131\n"
                        "other-driver shared 550.54.14");
    shell(": > %s", path_of_entry(&key, &ptxas_12));
    shell("chmod 666 %s", path_of_entry(&key, &driver_550));
    assert_string_equal(explained(&cache, &key, &hopper), "good V13.0.88\ndamaged -\nforeign -");
}

static void p27_counters_reach_the_disk(void **state)
{
    struct kgi_cache_key key = key_of(1);
    struct kgi_cache_counts before, total;
    int status = 0;

    (void)state;
    cache.no_stats = false;
    kgi_cache_flush(&cache);
    put_small(&cache, &key);
    kgi_cache_flush(&cache);
    assert_int_equal(kgi_cache_total(&cache, &before), 0);
    kgi_cache_flush_sometimes(&cache); /* not again within the next ten seconds */
    assert_true(hits(&cache, &key));   /* not on disk when the children begin */
    for (int i = 0; i < 3; i++) {
        if (fork() == 0) { /* each counts its own, and not what its parent has counted */
            hits(&cache, &key);
            kgi_cache_flush(&cache);
            _exit(0);
        }
        wait(&status);
        assert_int_equal(status, 0);
    }
    shell("printf torn >> %s/stats", tier_path);
    assert_true(hits(&cache, &key));
    kgi_cache_flush(&cache);
    assert_int_equal(kgi_cache_total(&cache, &total), 0);
    assert_int_equal(total.hits - before.hits, 5);
    assert_int_equal(total.hit_bytes - before.hit_bytes, 5 * small_cubin().size);
    assert_int_equal(total.stores, before.stores);
    assert_int_equal(kgi_cache_gc(&cache, false), 0);
    assert_string_equal(output_of("stat -c %%s %s/stats", tier_path), "120");
    assert_int_equal(kgi_cache_total(&cache, &before), 0);
    assert_memory_equal(&before, &total, sizeof total);
}

/* ---- P28: what a hit does not do ---- */

static int lists;
static long counting_lists(long number, long a, long b, long c, long d, long e)
{
    lists += number == SYS_getdents64;
    return real_call(number, a, b, c, d, e);
}

static const struct kgi_compiler newest = {KGI_BY_PTXAS, 13090, "V13.9.1"};

/* Listing a folder takes longer than all the rest. Who filled the cache is found out once. */
static void p28_a_hit_lists_nothing(void **state)
{
    struct kgi_cache_key own = key_of(1), first = key_of(2), second = key_of(3), both = key_of(4);
    struct kgi_cache_hit hit;

    (void)state;
    assert_int_equal(put_small(&cache, &own), 0);
    assert_int_equal(kgi_cache_put(&cache, &first, &newest, 0, small_cubin()), 0);
    assert_int_equal(kgi_cache_put(&cache, &second, &newest, 0, small_cubin()), 0);
    assert_int_equal(kgi_cache_put(&cache, &both, &ptxas_12, 0, small_cubin()), 0);
    use_as_shared(tier_path);
    kgi_cache_sys.call = counting_lists;
    lists = 0;
    assert_true(hits(&shared_cache, &own));
    assert_int_equal(lists, 0);
    assert_true(hits(&shared_cache, &first));
    assert_int_not_equal(lists, 0);
    lists = 0;
    assert_true(hits(&shared_cache, &second));
    assert_true(kgi_cache_touch(&shared_cache, &first, &driver_580));
    assert_true(hits(&shared_cache, &own));
    assert_int_equal(lists, 0);
    /* An older one's is found in a list, and asked for by its name no more than before. */
    assert_true(hits(&shared_cache, &both));
    assert_int_not_equal(lists, 0);
    assert_int_equal(kgi_cache_put(&cache, &both, &newest, 0, small_cubin()), 0);
    lists = 0;
    assert_int_equal(kgi_cache_get(&shared_cache, &both, &hopper, &driver_580, &hit), 0);
    assert_string_equal(hit.by.build, newest.build);
    kgi_cache_free(&hit);
    assert_int_equal(lists, 0);
    /* What is asked for by its name is refused and hidden like what was listed. */
    assert_int_equal(kgi_cache_get(&shared_cache, &second, &hopper, &driver_580, &hit), 0);
    assert_int_equal(kgi_cache_refuse(&shared_cache, &second, &hit, "209"), 0);
    kgi_cache_free(&hit);
    assert_int_equal(why(&shared_cache, &second, &hopper, &driver_580), KGI_ENTRY_FAILURE);
    assert_false(kgi_cache_touch(&shared_cache, &second, &driver_580));
}

static void p28_what_is_damaged_counts_once(void **state)
{
    struct kgi_cache_key good = key_of(1), bad = key_of(2);
    uint64_t before;

    (void)state;
    assert_int_equal(kgi_cache_put(&cache, &good, &newest, 0, small_cubin()), 0);
    assert_int_equal(kgi_cache_put(&cache, &bad, &newest, 0, small_cubin()), 0);
    shell("printf xyz | dd of=%s bs=1 seek=600 conv=notrunc 2>/dev/null", path_of_entry(&bad, &newest));
    use_as_shared(tier_path);
    assert_true(hits(&shared_cache, &good)); /* from now on that name is asked for */
    before = counted().damaged;
    assert_false(hits(&shared_cache, &bad));
    assert_int_equal(counted().damaged - before, 1);
}

/* ---- P29, and what a host program must not feel ---- */

static void p29_bad_places_are_misses(void **state)
{
    struct kgi_cache_key key = key_of(1);
    char path[96];
    struct kgi_cache bad = {.user = path};

    (void)state;
    shell(": > %s/file; ln -s loop %s/loop", scratch, scratch);
    for (int i = 0; i < 6; i++) {
        static const char *const names[] = {"file", "file/below", "loop", "loop/below", "/dev/null", "/proc/x"};

        snprintf(path, sizeof path, "%s%s%s", names[i][0] == '/' ? "" : scratch,
                 names[i][0] == '/' ? "" : "/", names[i]);
        assert_true(put_small(&bad, &key) < 0);
        assert_false(hits(&bad, &key));
        assert_true(kgi_cache_gc(&bad, true) <= 0);
        assert_true(kgi_cache_each(&bad, true, count_bad, &(int){0}) <= 0);
    }
}

static int descriptors(void)
{
    int n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) != -1;
    return n;
}

static void everything(void)
{
    struct kgi_cache_key key = key_of(1);
    struct kgi_cache_claim claim;

    kgi_cache_claim(&cache, &key, 0, &claim);
    put_small(&cache, &key);
    kgi_cache_release(&claim);
    hits(&cache, &key);
    kgi_cache_put_failure(&cache, &key, &ptxas_13, "x");
    kgi_cache_failed(&cache, &key, &ptxas_13, NULL, 0);
    kgi_cache_each(&cache, true, count_bad, &(int){0});
    kgi_cache_gc(&cache, true);
    kgi_cache_flush(&cache);
}

static void nothing_stays_open_and_errno_is_kept(void **state)
{
    int before = descriptors();

    (void)state;
    cache.no_stats = false;
    cache.limit = 1 << 20;
    errno = 77;
    everything();
    assert_int_equal(errno, 77);
    assert_int_equal(descriptors(), before);
}

static long fd_at_least_3(long number, long a, long b, long c, long d, long e)
{
    long result = real_call(number, a, b, c, d, e);

    if ((number == SYS_write || number == SYS_pread64 || number == SYS_getdents64) && a < 3)
        _exit(1);
    return result;
}

static void closed_standard_descriptors(void **state)
{
    struct kgi_cache_key key = key_of(1);
    int status = -1;

    (void)state;
    if (fork() == 0) {
        kgi_cache_sys.call = fd_at_least_3;
        for (int fd = 0; fd < 3; fd++)
            close(fd);
        cache.no_stats = false;
        everything();
        _exit(fcntl(0, F_GETFD) == -1 && fcntl(1, F_GETFD) == -1 && fcntl(2, F_GETFD) == -1 &&
                      hits(&cache, &key)
                  ? 0
                  : 2);
    }
    wait(&status);
    assert_int_equal(status, 0);
}

static void few_descriptors_and_small_files(void **state)
{
    struct kgi_cache_key key = key_of(1);
    int status = -1;

    (void)state;
    for (rlim_t most = 3; most < 12; most++) {
        shell("rm -rf %s", tier_path);
        if (fork() == 0) {
            struct rlimit limit = {most, most};

            setrlimit(RLIMIT_NOFILE, &limit);
            everything();
            _exit(0);
        }
        wait(&status);
        assert_int_equal(status, 0);
        assert_int_equal(bad_entries(&cache), 0);
    }
    for (rlim_t most = 0; most < 6000; most += 500) {
        shell("rm -rf %s", tier_path);
        if (fork() == 0) { /* SIGXFSZ would end it */
            struct rlimit limit = {most, most};

            setrlimit(RLIMIT_FSIZE, &limit);
            put_small(&cache, &key);
            _exit(0);
        }
        wait(&status);
        assert_int_equal(status, 0);
        assert_int_equal(hits(&cache, &key), most >= 4000);
        assert_int_equal(left_over(), 0);
    }
}

/* ---- the command's functions ---- */

static void copy_keeps_what_is_proven(void **state)
{
    char path[96];
    struct kgi_cache to = {.user = path, .is_public = true, .no_stats = true, .no_sync = true};
    struct kgi_cache_key keys[3] = {key_of(1), key_of(2), key_of(3)};

    (void)state;
    snprintf(path, sizeof path, "%s/export", scratch);
    put_small(&cache, &keys[0]);
    put_small(&cache, &keys[1]);
    kgi_cache_put_failure(&cache, &keys[2], &ptxas_13, "no");
    shell("printf x | dd of=%s bs=1 seek=900 conv=notrunc 2>/dev/null",
          path_of_entry(&keys[1], &driver_580));
    assert_int_equal(kgi_cache_copy(&cache, &to), 1);
    assert_true(hits(&to, &keys[0]));
    assert_false(hits(&to, &keys[1]));
    shell("cmp %s %s/%02x/*", path_of_entry(&keys[0], &driver_580), path, keys[0].digest[0]);
}

static void clear_leaves_what_is_not_ours(void **state)
{
    struct kgi_cache_key key = key_of(1);

    (void)state;
    cache.no_stats = false;
    put_small(&cache, &key);
    kgi_cache_flush(&cache);
    shell("echo mine > %s/mine; echo mine > $(dirname %s)/mine", tier_path,
          path_of_entry(&key, &driver_580));
    assert_int_equal(kgi_cache_clear(&cache), 0);
    assert_string_equal(output_of("find %s -type f | wc -l", tier_path), "2");
    assert_false(hits(&cache, &key));
    shell("find %s -name mine -delete", tier_path);
    assert_int_equal(kgi_cache_clear(&cache), 0);
    assert_string_equal(output_of("find %s | wc -l", tier_path), "1");
}

static int names(const struct kgi_cache_item *item, void *context)
{
    struct kgi_text *t = context;

    kgi_text_add(t, "%.2s/%.2s ", item->name, item->name + 3);
    return 0;
}

static void a_listing_is_in_order(void **state)
{
    KGI_TEXT(t, 4096);

    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        struct kgi_cache_key key = key_of(i);

        assert_int_equal(put_small(&cache, &key), 0);
    }
    assert_int_equal(kgi_cache_each(&cache, false, names, &t), 0);
    assert_int_equal(t.length, 1800);
    t.at[1799] = 0;
    shell("[ '%.900s' ]", t.at);
    for (size_t i = 6; i < 1799; i += 6)
        assert_true(strncmp(t.at + i - 6, t.at + i, 5) <= 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(put_and_get),
        TEST(what_is_no_cubin_is_kept_out),
        TEST(p02_an_entry_under_another_name),
        TEST(compilers_in_order_of_preference),
        TEST(unfit_is_said),
        TEST(p07_a_damaged_entry_heals),
        TEST(p08_cut_while_it_is_read),
        TEST(p13_too_big_is_never_stored),
        TEST(p13_a_put_walks_only_when_it_must),
        TEST(p14_a_hit_is_noted_but_not_each_time),
        TEST(p14_what_waits_counts_as_used),
        TEST(p14_least_recently_used_goes_first),
        TEST(p14_a_time_in_the_future_goes_first),
        TEST(p15_the_sweep_takes_only_what_is_ours_and_old),
        TEST(p17_what_is_not_a_plain_file_of_ours),
        TEST(p17_made_private_whatever_the_umask),
        TEST(p18_no_place_no_files),
        TEST(p20_a_read_only_tier_is_not_touched),
        TEST(p21_a_moved_tree_hits),
        TEST(p22_the_same_tree_each_time),
        TEST(p23_a_newer_format_is_a_miss_and_stays),
        TEST(p24_what_the_driver_refused_is_not_given_again),
        TEST(p25_a_failure_is_remembered_for_an_hour),
        TEST(p27_every_decision_can_be_explained),
        TEST(p27_counters_reach_the_disk),
        TEST(p28_a_hit_lists_nothing),
        TEST(p28_what_is_damaged_counts_once),
        TEST(p29_bad_places_are_misses),
        TEST(nothing_stays_open_and_errno_is_kept),
        TEST(closed_standard_descriptors),
        TEST(few_descriptors_and_small_files),
        TEST(copy_keeps_what_is_proven),
        TEST(clear_leaves_what_is_not_ours),
        TEST(a_listing_is_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
