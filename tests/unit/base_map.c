/* The map against a plain array, and readers beside a writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>

#include "base/base.h"

#define KEYS 5000

static uint64_t random_state = 42;

static uint64_t random_number(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Handles as drivers give them: addresses, 16 bytes apart. */
static uint64_t key_of(uint64_t i)
{
    return 0x7f0000000000u + i * 16;
}

static void small(void **state)
{
    struct kgi_map map = {0};

    (void)state;
    assert_int_equal(kgi_map_get(&map, 7), 0);
    assert_int_equal(kgi_map_set(&map, 7, 0), 0);
    assert_null(atomic_load(&map.table)); /* to remove what is not there takes no room */
    assert_int_equal(kgi_map_set(&map, 0, 7), -EINVAL);
    assert_int_equal(kgi_map_get(&map, 0), 0);
    assert_int_equal(kgi_map_set(&map, 7, 70), 0);
    assert_int_equal(kgi_map_get(&map, 7), 70);
    assert_int_equal(kgi_map_get(&map, 8), 0);
    assert_int_equal(kgi_map_set(&map, UINT64_MAX, UINT64_MAX), 0);
    assert_true(kgi_map_get(&map, UINT64_MAX) == UINT64_MAX);
}

static void model(void **state)
{
    static uint64_t expected[KEYS];
    struct kgi_map map = {0};

    (void)state;
    for (int turn = 0; turn < 400000; turn++) {
        uint64_t i = random_number() % (turn % 100000 < 50000 ? KEYS : 20);

        expected[i] = random_number() % 3 ? random_number() | 1 : 0;
        assert_int_equal(kgi_map_set(&map, key_of(i), expected[i]), 0);
        i = random_number() % KEYS;
        assert_true(kgi_map_get(&map, key_of(i)) == expected[i]);
    }
    for (uint64_t i = 0; i < KEYS; i++)
        assert_true(kgi_map_get(&map, key_of(i)) == expected[i]);
}

/* Handles come and go and are never the same again: what the map takes does not grow with them. */
static void the_same_room(void **state)
{
    struct kgi_map map = {0};
    const void *seen[4] = {NULL};
    size_t tables = 0;

    (void)state;
    for (uint64_t i = 0; i < 100000; i++) {
        const void *table;
        size_t at = 0;

        assert_int_equal(kgi_map_set(&map, key_of(i), 1), 0);
        if (i >= 10)
            assert_int_equal(kgi_map_set(&map, key_of(i - 10), 0), 0);
        table = atomic_load(&map.table);
        while (at < tables && seen[at] != table)
            at++;
        assert_true(at < 4);
        seen[at] = table;
        tables += at == tables;
    }
    assert_int_equal(tables, 2);
    assert_int_equal(kgi_map_get(&map, key_of(99990)), 1);
    assert_int_equal(kgi_map_get(&map, key_of(99989)), 0);
}

/* Values tell their key, so that a reader sees a value of another. */
static struct kgi_map shared;
static _Atomic bool stop;

static void *reader(void *context)
{
    uint64_t seen = 0;

    pthread_barrier_wait(context);
    do {
        for (uint64_t i = 0; i < KEYS; i++) {
            uint64_t value = kgi_map_get(&shared, key_of(i));

            if (value && value >> 8 != i + 1)
                return "a value of another key";
            if (!value && i < 10)
                return "a key that is always there was not";
            seen += value != 0;
        }
    } while (!atomic_load(&stop));
    return seen ? NULL : "nothing seen";
}

static void readers_beside_a_writer(void **state)
{
    pthread_barrier_t start;
    pthread_t threads[3];

    (void)state;
    pthread_barrier_init(&start, NULL, 4);
    for (uint64_t i = 0; i < 10; i++)
        kgi_map_set(&shared, key_of(i), (i + 1) << 8);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader, &start), 0);
    pthread_barrier_wait(&start);
    for (int turn = 0; turn < 300000; turn++) {
        uint64_t i = 10 + random_number() % (KEYS - 10);

        kgi_map_set(&shared, key_of(i), turn % 4 ? (i + 1) << 8 | (turn & 0xff) : 0);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 3; i++) {
        void *trouble;

        pthread_join(threads[i], &trouble);
        if (trouble)
            fail_msg("%s", (const char *)trouble);
    }
}

/* The same with handles that are never the same again: a table is emptied and filled again under its
 * readers every few loads. */
static struct kgi_map churned;
static _Atomic bool churned_enough;

static void *steady_reader(void *context)
{
    pthread_barrier_wait(context);
    while (!atomic_load_explicit(&churned_enough, memory_order_relaxed))
        for (uint64_t i = 0; i < 10; i++)
            if (kgi_map_get(&churned, key_of(i)) != i + 1)
                return "a key that is always there was not";
    return NULL;
}

static void tables_used_again(void **state)
{
    pthread_barrier_t start;
    pthread_t threads[3];

    (void)state;
    pthread_barrier_init(&start, NULL, 4);
    for (uint64_t i = 0; i < 10; i++)
        kgi_map_set(&churned, key_of(i), i + 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, steady_reader, &start), 0);
    pthread_barrier_wait(&start);
    for (uint64_t i = 10; i < 3000000; i++) {
        kgi_map_set(&churned, key_of(i), 1);
        kgi_map_set(&churned, key_of(i), 0);
    }
    atomic_store(&churned_enough, true);
    for (int i = 0; i < 3; i++) {
        void *trouble;

        pthread_join(threads[i], &trouble);
        if (trouble)
            fail_msg("%s", (const char *)trouble);
    }
}

/* A reader that ends at an empty slot while the writer fills it must not take the value it finds
 * there. Rare in one map, hence many. */
#define MAPS 4000
static struct kgi_map maps[MAPS];
static _Atomic int current;

static void *absent_reader(void *context)
{
    int at;

    pthread_barrier_wait(context);
    while ((at = atomic_load_explicit(&current, memory_order_relaxed)) < MAPS)
        for (int i = 0; i < 50; i++)
            if (kgi_map_get(&maps[at], 1) != 0)
                return "a value of another key";
    return NULL;
}

static void absent_stays_absent(void **state)
{
    pthread_barrier_t start;
    pthread_t thread;
    void *trouble;

    (void)state;
    pthread_barrier_init(&start, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, absent_reader, &start), 0);
    pthread_barrier_wait(&start);
    for (int at = 0; at < MAPS; at++) {
        atomic_store(&current, at);
        for (int i = 0; i < 40; i++)
            kgi_map_set(&maps[at], random_number() | 2, 5);
    }
    atomic_store(&current, MAPS);
    pthread_join(thread, &trouble);
    if (trouble)
        fail_msg("%s", (const char *)trouble);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small),
        cmocka_unit_test(model),
        cmocka_unit_test(the_same_room),
        cmocka_unit_test(readers_beside_a_writer),
        cmocka_unit_test(tables_used_again),
        cmocka_unit_test(absent_stays_absent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
