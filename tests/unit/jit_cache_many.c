/* The cache when many use it at once: processes, threads, forks, evictors. MANY=10 does ten times as
 * much. */
#include "jit_cache.h"

#include <pthread.h>
#include <sys/mman.h>

static int many(int n)
{
    const char *factor = getenv("MANY");

    return n * (factor ? atoi(factor) : 1);
}

/* What all processes of a test see. */
static struct {
    _Atomic int arrived, wrong, compiled, go, done;
} *all;

static int begin_many(void **state)
{
    all = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return all == MAP_FAILED ? -1 : begin(state);
}

static int end_many(void **state)
{
    munmap(all, sizeof *all);
    return end(state);
}

static void nap(int us)
{
    struct timespec t = {us / 1000000, us % 1000000 * 1000};

    nanosleep(&t, NULL);
}

/* Starts n processes together; true when none was wrong. */
static bool together(int n, void (*work)(int))
{
    int status, ended = 0;

    for (int i = 0; i < n; i++) {
        if (fork() == 0) {
            atomic_fetch_add(&all->arrived, 1);
            while (!atomic_load(&all->go))
                nap(100);
            work(i);
            _exit(0);
        }
    }
    while (atomic_load(&all->arrived) < n)
        nap(1000);
    atomic_store(&all->go, 1);
    while (wait(&status) > 0) {
        ended++;
        if (status != 0)
            atomic_fetch_add(&all->wrong, 1);
    }
    return ended == n && all->wrong == 0;
}

/* ---- P10 ---- */

/* What a caller does, with a compiler that takes 30 ms. */
static void compile_once(int i)
{
    struct kgi_cache_key key = key_of(1);
    struct kgi_cache_claim claim;

    (void)i;
    if (hits(&cache, &key))
        return;
    kgi_cache_claim(&cache, &key, 20000, &claim);
    if (!hits(&cache, &key)) {
        nap(30000);
        atomic_fetch_add(&all->compiled, 1);
        if (put_small(&cache, &key) != 0)
            atomic_fetch_add(&all->wrong, 1);
    }
    kgi_cache_release(&claim);
    if (!hits(&cache, &key))
        atomic_fetch_add(&all->wrong, 1);
}

static void p10_a_herd_compiles_once(void **state)
{
    (void)state;
    assert_true(together(64, compile_once));
    assert_int_equal(all->compiled, 1);
    assert_int_equal(bad_entries(&cache), 0);
    assert_int_equal(left_over(), 0);
}

static long no_locks(long number, long a, long b, long c, long d, long e)
{
    return number == SYS_fcntl && b == F_OFD_SETLK ? -ENOLCK : real_call(number, a, b, c, d, e);
}

static void p10_a_herd_without_locks_is_right_too(void **state)
{
    (void)state;
    kgi_cache_sys.call = no_locks;
    assert_true(together(64, compile_once));
    assert_in_range(all->compiled, 1, 64);
    assert_int_equal(bad_entries(&cache), 0);
    assert_int_equal(left_over(), 0);
}

/* ---- P13, P15 ---- */

static uint64_t bytes_seen;
static void add_bytes(const char *path, const char *name)
{
    struct stat st;

    if (kgi_place_is_entry(name) && stat(path, &st) == 0)
        bytes_seen += (uint64_t)st.st_size;
}

static uint64_t bytes_of_entries(void)
{
    bytes_seen = 0;
    each_below(tier_path, add_bytes);
    return bytes_seen;
}

enum { WRITERS = 8, LIMIT = 200000, MOST = 40000 };

/* Cubins of many sizes: the same one with a tail. */
static struct kgi_bytes cubin_of_size(unsigned seed)
{
    static uint8_t buffer[MOST];
    struct kgi_bytes small = small_cubin();

    memcpy(buffer, small.at, small.size);
    memset(buffer + small.size, (int)seed, sizeof buffer - small.size);
    return (struct kgi_bytes){buffer, small.size + seed % (MOST - 1100 - small.size)};
}

static void write_at_random(int i)
{
    unsigned seed = (unsigned)i + 1;

    for (int turn = 0; turn < many(60); turn++) {
        struct kgi_cache_key key = key_of((unsigned)rand_r(&seed) % 200);
        int result = kgi_cache_put(&cache, &key, &driver_580, 0, cubin_of_size((unsigned)rand_r(&seed)));

        if (result != 0 && result != -ENOSPC) /* the others' unfinished files may leave no room */
            atomic_fetch_add(&all->wrong, 1);
    }
    atomic_fetch_add(&all->done, 1);
}

static void p13_eight_writers_stay_within_the_bound(void **state)
{
    uint64_t most = 0;
    pid_t watcher;
    int status = -1;

    (void)state;
    cache.limit = LIMIT;
    watcher = fork();
    if (watcher == 0) {
        while (atomic_load(&all->done) < WRITERS) {
            uint64_t now = bytes_of_entries();

            most = now > most ? now : most;
        }
        printf("at most %llu bytes seen, limit %d\n", (unsigned long long)most, LIMIT);
        fflush(stdout);
        _exit(most > LIMIT + WRITERS * MOST || most < LIMIT / 2);
    }
    for (int i = 0; i < WRITERS; i++)
        if (fork() == 0) {
            write_at_random(i);
            _exit(0);
        }
    for (int i = 0; i < WRITERS + 1; i++) {
        wait(&status);
        assert_int_equal(status, 0);
    }
    assert_int_equal(all->wrong, 0);
    assert_int_equal(bad_entries(&cache), 0);
    assert_int_equal(left_over(), 0);
    assert_int_equal(kgi_cache_gc(&cache, true), 0);
    assert_true(bytes_of_entries() <= LIMIT);
}

/* What vanishes under an evictor counts as gone: it must not take others in its place. */
static long others_delete(long number, long a, long b, long c, long d, long e)
{
    if (number == SYS_unlinkat && strlen((const char *)(uintptr_t)b) > 70)
        real_call(number, a, b, c, d, e);
    return real_call(number, a, b, c, d, e);
}

static void p15_vanished_files_are_credited(void **state)
{
    uint64_t size = 0;

    (void)state;
    for (unsigned n = 0; n < 20; n++) {
        struct kgi_cache_key key = key_of(n);

        assert_int_equal(put_small(&cache, &key), 0);
        size = bytes_of_entries() / (n + 1);
    }
    cache.limit = 10 * size;
    kgi_cache_sys.call = others_delete;
    assert_int_equal(kgi_cache_gc(&cache, false), 0);
    kgi_cache_sys.call = real_call;
    assert_int_equal(bytes_of_entries(), 9 * size); /* a tenth below the bound, and no further */
}

static void evict_and_delete(int i)
{
    struct kgi_cache one_of = cache;

    one_of.limit = (uint64_t)(4 + i % 4) * 5000;
    for (int turn = 0; turn < many(15); turn++) {
        struct kgi_cache_key key = key_of((unsigned)(turn * 7 + i));

        if (i % 3 == 0)
            kgi_cache_gc(&one_of, true);
        else if (i % 3 == 1)
            put_small(&one_of, &key);
        else if (hits(&cache, &key))
            unlink(path_of_entry(&key, &driver_580));
        if (turn % 10 == 9 && i == 0)
            kgi_cache_clear(&cache);
    }
}

static void p15_evictors_and_deleters_at_once(void **state)
{
    (void)state;
    assert_true(together(12, evict_and_delete));
    assert_int_equal(bad_entries(&cache), 0);
    assert_int_equal(left_over(), 0);
    cache.limit = 5000;
    assert_int_equal(kgi_cache_gc(&cache, true), 0);
    assert_true(bytes_of_entries() <= 5000);
}

/* ---- P26 ---- */

static _Atomic bool stop;

static void *put_and_get(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;

    while (!atomic_load(&stop)) {
        struct kgi_cache_key key = key_of((unsigned)rand_r(&seed) % 8);
        struct kgi_cache_claim claim;

        if (rand_r(&seed) % 4 == 0) {
            kgi_cache_claim(&cache, &key, 5, &claim);
            put_small(&cache, &key);
            kgi_cache_release(&claim);
        } else {
            struct kgi_cache_hit hit;

            if (kgi_cache_get(&cache, &key, &hopper, &driver_580, &hit) == 0 &&
                (hit.image.size != small_cubin().size ||
                 memcmp(hit.image.at, small_cubin().at, hit.image.size) != 0))
                atomic_fetch_add(&all->wrong, 1);
            kgi_cache_free(&hit);
        }
    }
    return NULL;
}

static void p26_forks_among_threads(void **state)
{
    pthread_t threads[4];
    int status;

    (void)state;
    cache.limit = 6 * 4096;
    cache.no_stats = false;
    small_cubin();
    kgi_cache_default(); /* memory that cmocka's own children would allocate under a lock */
    for (uintptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_and_get, (void *)(i + 1)), 0);
    for (int i = 0; i < many(60); i++) {
        pid_t child = fork();

        if (child == 0) { /* of a process whose threads were anywhere */
            struct kgi_cache_key key = key_of((unsigned)i % 8);
            struct kgi_cache_hit hit;

            alarm(10);
            kgi_cache_put(&cache, &key, &driver_580, 0, small_cubin());
            kgi_cache_get(&cache, &key, &hopper, &driver_580, &hit);
            kgi_cache_flush(&cache);
            _exit(0);
        }
        waitpid(child, &status, 0);
        assert_int_equal(status, 0);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(all->wrong, 0);
    assert_int_equal(bad_entries(&cache), 0);
}

static void p26_exit_in_the_middle(void **state)
{
    int status;

    (void)state;
    for (int i = 0; i < many(10); i++) {
        if (fork() == 0) {
            pthread_t thread;

            atomic_store(&stop, false);
            for (uintptr_t n = 0; n < 3; n++)
                pthread_create(&thread, NULL, put_and_get, (void *)(n + 1));
            nap(100 * (i % 40));
            _exit(0);
        }
        wait(&status);
        assert_int_equal(status, 0);
        assert_int_equal(bad_entries(&cache), 0);
    }
}

/* ---- P8: read while it is cut, replaced and removed ---- */

static void p08_readers_and_a_vandal(void **state)
{
    struct kgi_cache_key key = key_of(1);
    time_t end_at = time(NULL) + many(1);
    pid_t vandal;
    int hit_count = 0, status;
    unsigned seed = 1;

    (void)state;
    assert_int_equal(put_small(&cache, &key), 0);
    vandal = fork();
    if (vandal == 0) {
        const char *path = path_of_entry(&key, &driver_580);

        for (;;) {
            if (rand_r(&seed) % 3 == 0)
                unlink(path);
            else if (truncate(path, rand_r(&seed) % 3800) != 0)
                nap(10);
            put_small(&cache, &key);
        }
    }
    /* On a loaded machine the vandal may win every time for a while. */
    while (time(NULL) < end_at || (!hit_count && time(NULL) < end_at + 60))
        hit_count += hits(&cache, &key);
    kill(vandal, SIGKILL);
    waitpid(vandal, &status, 0);
    printf("%d hits between\n", hit_count);
    assert_true(hit_count > 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin_many, end_many)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(p08_readers_and_a_vandal),
        TEST(p10_a_herd_compiles_once),
        TEST(p10_a_herd_without_locks_is_right_too),
        TEST(p13_eight_writers_stay_within_the_bound),
        TEST(p15_vanished_files_are_credited),
        TEST(p15_evictors_and_deleters_at_once),
        TEST(p26_forks_among_threads),
        TEST(p26_exit_in_the_middle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
