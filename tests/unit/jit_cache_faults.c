/*
 * The cache when the system fails it: an error at each system call, death before each of them, a power
 * loss after each of them, locks that do not work. Nothing is sampled: each call of the operation is
 * counted first, and then each of them is the one.
 */
#include "jit_cache.h"

static struct kgi_cache_key key;
static int calls, fail_at, fail_with;
static bool sticky;
static char copy_path[96];

/* put, get, and what a later failure does to both. A limit makes put scan and lock as well. */
static int do_put(void)
{
    return put_small(&cache, &key);
}

static int do_get(void)
{
    return hits(&cache, &key) ? 0 : -ENOENT;
}

static int do_touch(void)
{
    return kgi_cache_touch(&cache, &key, &driver_580) ? 0 : -ENOENT;
}

static int do_refuse(void)
{
    struct kgi_cache_hit hit = {.by = driver_580};

    return kgi_cache_refuse(&cache, &key, &hit, "209");
}

static int do_claim(void)
{
    struct kgi_cache_claim claim;
    bool held = kgi_cache_claim(&cache, &key, 0, &claim);

    kgi_cache_release(&claim);
    return held ? 0 : -EAGAIN;
}

static int do_gc(void)
{
    return kgi_cache_gc(&cache, true);
}

static int do_copy(void)
{
    struct kgi_cache to = {.user = copy_path, .no_stats = true};

    snprintf(copy_path, sizeof copy_path, "%s/copy", scratch);
    return kgi_cache_copy(&cache, &to) < 0 ? -EIO : 0;
}

static int (*const operations[])(void) = {do_put, do_get, do_touch, do_refuse, do_claim, do_gc, do_copy};
static const char *const operation_names[] = {"put", "get", "touch", "refuse", "claim", "gc", "copy"};

/* ---- P3: an error at each call ---- */

#define SHORT_WRITE 9999
static long failed_call;

static long failing(long number, long a, long b, long c, long d, long e)
{
    int n = calls++;

    if (n == fail_at)
        failed_call = number;
    if (n != fail_at && !(sticky && n > fail_at))
        return real_call(number, a, b, c, d, e);
    if (fail_with == SHORT_WRITE) /* of a write; of a read just the same */
        return number == SYS_write || number == SYS_pread64
                   ? real_call(number, a, b, c > 1 ? c / 2 : c, d, e)
                   : real_call(number, a, b, c, d, e);
    if (number == SYS_close) /* closed all the same, as on Linux */
        real_call(number, a, b, c, d, e);
    if (is_time_or_self(number)) /* cannot fail */
        return real_call(number, a, b, c, d, e);
    return -fail_with;
}

static int descriptors(void)
{
    int n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) != -1;
    return n;
}

/* An empty cache, or one with the entry and others in it. */
static void start_with(bool filled)
{
    kgi_cache_sys.call = real_call;
    wipe(tier_path);
    wipe(copy_path);
    for (unsigned n = 0; filled && n < 4; n++) {
        struct kgi_cache_key other = key_of(n);

        assert_int_equal(put_small(&cache, &other), 0);
    }
    key = key_of(1);
}

static void p03_an_error_at_each_call(void **state)
{
    static const int errors[] = {EINTR, ENOSPC, EDQUOT, EIO,    EROFS,  EMFILE, EACCES, EPERM,
                                 ENOMEM, ENOSYS, EBUSY, ESTALE, EINVAL, ENOENT, SHORT_WRITE};
    int before, tried = 0;

    (void)state;
    cache.no_sync = false;
    cache.limit = 3 * 4096; /* of 3.8 KiB each: put evicts */
    before = descriptors();
    for (size_t op = 0; op < KGI_COUNT(operations); op++) {
        for (size_t with = 0; with < 2 * KGI_COUNT(errors); with++) {
            fail_with = errors[with / 2];
            sticky = with % 2;
            for (fail_at = 0;; fail_at++) {
                int result;

                /* What one failure did to the state is part of the next test; but now and then anew. */
                if (fail_at % 8 == 0)
                    start_with(fail_at % 16 || op != 0);
                calls = 0;
                kgi_cache_sys.call = failing;
                result = operations[op]();
                kgi_cache_sys.call = real_call;
                if (calls <= fail_at)
                    break;
                tried++;
                if (bad_entries(&cache) != 0 || descriptors() != before)
                    fail_msg("%s, error %d at call %d (%ld)%s: %d bad, %d descriptors", operation_names[op],
                             fail_with, fail_at, failed_call, sticky ? " and after" : "",
                             bad_entries(&cache), descriptors() - before);
                if (op == 0 && result == 0 && fail_with != ESTALE)
                    assert_true(hits(&cache, &key));
                if (op == 0 && !sticky && (fail_with == EINTR || fail_with == SHORT_WRITE) && result != 0)
                    fail_msg("put gave up for error %d at call %d: %d", fail_with, fail_at, result);
                if (op == 0 && !sticky && left_over() > (fail_with == EINTR ? 0 : 1))
                    fail_msg("put left a file, error %d at call %d", fail_with, fail_at);
                if (left_over())
                    each_below(tier_path, remove_temporary);
            }
        }
    }
    printf("%d failures tried\n", tried);
    assert_true(tried > 5000);
}

/* ---- P4: death before each call ---- */

static long dying(long number, long a, long b, long c, long d, long e)
{
    if (calls++ == fail_at)
        kill(getpid(), SIGKILL);
    return real_call(number, a, b, c, d, e);
}

static int64_t later;
static long two_hours_later(long number, long a, long b, long c, long d, long e)
{
    long result = real_call(number, a, b, c, d, e);

    if (number == SYS_clock_gettime && a == CLOCK_REALTIME)
        ((struct timespec *)(uintptr_t)b)->tv_sec += later;
    return result;
}

static void p04_death_before_each_call(void **state)
{
    int deaths = 0, left = 0;

    (void)state;
    cache.no_sync = false;
    cache.limit = 3 * 4096;
    for (size_t op = 0; op < KGI_COUNT(operations); op++) {
        for (int filled = 0; filled < 2; filled++) {
            int status = 0;

            for (fail_at = 0;; fail_at++) {
                start_with(filled);
                calls = 0;
                if (fork() == 0) {
                    kgi_cache_sys.call = dying;
                    operations[op]();
                    _exit(0);
                }
                wait(&status);
                if (WIFEXITED(status)) {
                    assert_int_equal(status, 0);
                    break;
                }
                assert_int_equal(WTERMSIG(status), SIGKILL);
                deaths++;
                left += left_over() != 0;
                assert_int_equal(bad_entries(&cache), 0);
                assert_int_equal(do_claim(), 0); /* its lock went with it */
                assert_int_equal(do_put(), 0);
                assert_int_equal(do_get(), 0);
                if (left_over()) {
                    later = 7200;
                    kgi_cache_sys.call = two_hours_later;
                    assert_int_equal(kgi_cache_gc(&cache, false), 0);
                    kgi_cache_sys.call = real_call;
                    assert_int_equal(left_over(), 0);
                }
            }
        }
    }
    printf("%d deaths, %d with a file left over\n", deaths, left);
    assert_true(deaths > 200 && left > 5);
}

/* ---- P5: what a disk may hold after a power loss ---- */

/*
 * The trace of a put, as far as a disk is concerned: data written to the new file, fdatasync of it,
 * rename, fsync of the directory. A power loss after any of them leaves of data not yet synced any
 * prefix, nothing, or zeros; of a rename not yet synced the old or the new state.
 */
enum { MOST_EVENTS = 64 };
static struct event {
    enum { WRITE, SYNC, RENAME, SYNC_DIRECTORY } what;
    size_t size;
} events[MOST_EVENTS];
static size_t event_count;
static uint8_t written[16384];
static size_t written_size;

static void note(int what, size_t size)
{
    assert_true(event_count < MOST_EVENTS);
    events[event_count].what = what;
    events[event_count++].size = size;
}

static long recording(long number, long a, long b, long c, long d, long e)
{
    long result = real_call(number, a, b, c, d, e);

    if (number == SYS_write && result > 0) {
        memcpy(written + written_size, (const void *)(uintptr_t)b, (size_t)result);
        written_size += (size_t)result;
        note(WRITE, (size_t)result);
    } else if (number == SYS_fdatasync && result == 0) {
        note(SYNC, 0);
    } else if (number == SYS_renameat && result == 0) {
        note(RENAME, 0);
    } else if (number == SYS_fsync && result == 0) {
        note(SYNC_DIRECTORY, 0);
    }
    return result;
}

static void leave(const char *path, const uint8_t *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
}

/* The states after the first `upto` events; each is looked at by a get. Returns how many. */
static int losses_after(size_t upto, const char *path, struct kgi_bytes old, bool synced_cache)
{
    size_t data = 0, synced = 0;
    bool renamed = false, named = false;
    int states = 0;

    for (size_t i = 0; i < upto; i++) {
        data += events[i].what == WRITE ? events[i].size : 0;
        synced = events[i].what == SYNC ? data : synced;
        renamed |= events[i].what == RENAME;
        named |= events[i].what == SYNC_DIRECTORY;
    }
    for (int name = named ? 1 : 0; name < (renamed ? 2 : 1); name++) {
        static uint8_t bytes[sizeof written];
        size_t step = data - synced > 64 ? (data - synced) / 64 : 1;

        for (size_t kept = synced; kept <= data; kept += kept == data ? 1 : step) {
            for (int zeros = 0; zeros < 2; zeros++) { /* the rest is cut, or reads as zeros */
                bool hit;

                memset(bytes, 0, sizeof bytes);
                memcpy(bytes, written, kept);
                if (name)
                    leave(path, bytes, zeros ? data : kept);
                else if (old.at)
                    leave(path, old.at, old.size);
                else
                    unlink(path);
                if (synced_cache)
                    assert_int_equal(bad_entries(&cache), 0);
                hit = do_get() == 0; /* compares the bytes */
                assert_int_equal(hit, name ? kept == data : old.at != NULL);
                states++;
            }
        }
    }
    return states;
}

static void p05_power_loss(void **state)
{
    int states = 0;

    (void)state;
    for (int way = 0; way < 8; way++) {
        bool sync = way & 1, directory = way & 2, replacing = way & 4;
        struct kgi_bytes old = {NULL, 0};
        char path[256];

        kgi_cache_sys.call = real_call;
        wipe(tier_path);
        key = key_of(1);
        cache.no_sync = !sync;
        cache.no_directory_sync = !directory;
        snprintf(path, sizeof path, "%s", path_of_entry(&key, &driver_580));
        if (replacing) {
            static uint8_t before[16384];
            int fd;

            assert_int_equal(do_put(), 0);
            fd = open(path, O_RDONLY);
            old = (struct kgi_bytes){before, (size_t)read(fd, before, sizeof before)};
            close(fd);
        }
        event_count = written_size = 0;
        kgi_cache_sys.call = recording;
        assert_int_equal(do_put(), 0);
        kgi_cache_sys.call = real_call;
        assert_int_equal(event_count, 4 + sync + (sync && directory));
        for (size_t upto = 0; upto <= event_count; upto++)
            states += losses_after(upto, path, old, sync);
    }
    printf("%d states\n", states);
    assert_true(states > 500);
}

/* Some milliseconds of a sync are spent only on what took long to make. */
static void p05_what_is_made_fast_is_not_synced(void **state)
{
    static const struct {
        uint32_t cost_ms;
        size_t events;
    } rows[] = {{0, 6}, {1, 4}, {499, 4}, {500, 6}, {60000, 6}};

    (void)state;
    cache.no_sync = false;
    key = key_of(1);
    for (size_t i = 0; i < KGI_COUNT(rows); i++) {
        event_count = written_size = 0;
        kgi_cache_sys.call = recording;
        assert_int_equal(kgi_cache_put(&cache, &key, &driver_580, rows[i].cost_ms, small_cubin()), 0);
        kgi_cache_sys.call = real_call;
        assert_int_equal(event_count, rows[i].events);
    }
}

/* ---- P9: locks ---- */

static int lock_error;
static long no_locks(long number, long a, long b, long c, long d, long e)
{
    if (number == SYS_fcntl && (b == F_OFD_SETLK || b == F_SETLK))
        return -lock_error;
    return real_call(number, a, b, c, d, e);
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void p09_without_locks_all_goes_on(void **state)
{
    static const int errors[] = {ENOLCK, ENOSYS, EOPNOTSUPP, EACCES, EINVAL, EBADF};

    (void)state;
    cache.limit = 3 * 4096;
    for (size_t i = 0; i < KGI_COUNT(errors); i++) {
        struct kgi_cache_claim claim;
        double start;

        start_with(true);
        lock_error = errors[i];
        kgi_cache_sys.call = no_locks;
        start = seconds();
        assert_false(kgi_cache_claim(&cache, &key, 10000, &claim));
        kgi_cache_release(&claim);
        for (unsigned n = 0; n < 10; n++) {
            key = key_of(n);
            assert_int_equal(do_put(), 0);
            assert_int_equal(do_get(), 0);
        }
        assert_int_equal(do_gc(), 0);
        assert_true(seconds() - start < 5);
        assert_true(atoi(output_of("cat %s/*/*.* | wc -c", tier_path)) <= 3 * 4096);
    }
}

static void p09_a_stopped_holder_is_not_waited_for_long(void **state)
{
    struct kgi_cache_claim claim;
    int status, pipes[2];
    double start;
    pid_t holder;
    char byte;

    (void)state;
    key = key_of(1);
    assert_int_equal(pipe(pipes), 0);
    holder = fork();
    if (holder == 0) {
        bool held = kgi_cache_claim(&cache, &key, 0, &claim);

        write(pipes[1], held ? "1" : "0", 1);
        raise(SIGSTOP);
        _exit(0);
    }
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    assert_int_equal(byte, '1');
    waitpid(holder, &status, WUNTRACED);
    start = seconds();
    assert_false(kgi_cache_claim(&cache, &key, 300, &claim));
    assert_true(seconds() - start >= 0.3 && seconds() - start < 10);
    key = key_of(2); /* another key is free */
    assert_true(kgi_cache_claim(&cache, &key, 0, &claim));
    kgi_cache_release(&claim);
    key = key_of(1);
    assert_int_equal(do_put(), 0);
    kill(holder, SIGKILL);
    waitpid(holder, &status, 0);
    assert_true(kgi_cache_claim(&cache, &key, 1000, &claim));
    kgi_cache_release(&claim);
    close(pipes[0]);
    close(pipes[1]);
}

/* A daemon that closes what it does not know, and opens a file of its own in that place. */
static void p09_a_claim_closes_only_its_own(void **state)
{
    struct kgi_cache_claim claim;
    int mine;

    (void)state;
    key = key_of(1);
    assert_true(kgi_cache_claim(&cache, &key, 0, &claim));
    close(claim.fd);
    mine = open("/dev/null", O_RDONLY);
    assert_int_equal(dup2(mine, claim.fd), claim.fd);
    int stolen = claim.fd;
    kgi_cache_release(&claim);
    assert_int_not_equal(fcntl(stolen, F_GETFD), -1);
    close(stolen);
    close(mine);
}

/* A child forked while a claim was held does not keep it. */
static void p09_a_fork_does_not_keep_the_lock(void **state)
{
    struct kgi_cache_claim claim, second;
    pid_t child;

    (void)state;
    key = key_of(1);
    assert_true(kgi_cache_claim(&cache, &key, 0, &claim));
    child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    assert_false(kgi_cache_claim(&cache, &key, 0, &second));
    kgi_cache_release(&claim);
    assert_true(kgi_cache_claim(&cache, &key, 0, &second));
    kgi_cache_release(&second);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

/* ---- P11, P12 ---- */

static long vanishing(long number, long a, long b, long c, long d, long e)
{
    long result = real_call(number, a, b, c, d, e);

    if (number == SYS_renameat && result == 0)
        unlinkat((int)c, (const char *)(uintptr_t)d, 0);
    return result;
}

/* A network file system's memory of what was not there a moment ago. */
static long not_seen_yet(long number, long a, long b, long c, long d, long e)
{
    const char *name = (const char *)(uintptr_t)b;

    if ((number == SYS_openat || number == SYS_newfstatat) && kgi_place_is_entry(name))
        return -ENOENT;
    return real_call(number, a, b, c, d, e);
}

static void p11_a_put_does_not_look_at_what_it_made(void **state)
{
    (void)state;
    key = key_of(1);
    kgi_cache_sys.call = vanishing;
    assert_int_equal(do_put(), 0);
    kgi_cache_sys.call = not_seen_yet;
    assert_int_equal(do_put(), 0);
    assert_int_equal(do_get(), -ENOENT);
    kgi_cache_sys.call = real_call;
    assert_int_equal(do_get(), 0);
}

static long busy(long number, long a, long b, long c, long d, long e)
{
    if (number == SYS_unlinkat || number == SYS_utimensat || number == SYS_fsync)
        return -EBUSY;
    if (number == SYS_close)
        return real_call(number, a, b, c, d, e), -EIO;
    return real_call(number, a, b, c, d, e);
}

static void p12_cleaning_up_may_fail(void **state)
{
    struct kgi_cache_counts before, after;

    (void)state;
    cache.no_sync = false;
    key = key_of(1);
    kgi_cache_counts(&before);
    kgi_cache_sys.call = busy;
    assert_int_equal(do_put(), 0);
    assert_int_equal(do_get(), 0);
    assert_int_equal(do_gc(), 0);
    kgi_cache_counts(&after);
    assert_true(after.errors > before.errors);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(p03_an_error_at_each_call),
        TEST(p04_death_before_each_call),
        TEST(p05_power_loss),
        TEST(p05_what_is_made_fast_is_not_synced),
        TEST(p09_without_locks_all_goes_on),
        TEST(p09_a_stopped_holder_is_not_waited_for_long),
        TEST(p09_a_claim_closes_only_its_own),
        TEST(p09_a_fork_does_not_keep_the_lock),
        TEST(p11_a_put_does_not_look_at_what_it_made),
        TEST(p12_cleaning_up_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
