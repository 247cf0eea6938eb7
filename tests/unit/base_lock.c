/* A lock that excludes, and that a forked child is not left standing before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"

#define THREADS 4
#define TURNS 20000

static struct kgi_lock lock;
static long counter;

static void *count(void *context)
{
    for (int i = 0; i < TURNS; i++) {
        kgi_lock(&lock);
        counter++;
        kgi_unlock(&lock);
    }
    return context;
}

static void excludes(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(counter, THREADS * TURNS);
}

/* The child has no thread that would ever give the lock back. */
static void fork_while_held(void **state)
{
    int status = 0;
    pid_t child;

    (void)state;
    kgi_lock(&lock);
    child = fork();
    if (child == 0) {
        alarm(10);
        kgi_lock(&lock);
        kgi_unlock(&lock);
        kgi_lock(&lock);
        kgi_unlock(&lock);
        _exit(0);
    }
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    assert_int_equal(atomic_load(&lock.owner), (uint32_t)getpid()); /* still the parent's */
    kgi_unlock(&lock);
}

static _Atomic bool stop;

static void *hold_and_leave(void *context)
{
    while (!atomic_load(&stop)) {
        kgi_lock(&lock);
        kgi_unlock(&lock);
    }
    return context;
}

static void fork_while_used(void **state)
{
    pthread_t threads[2];

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hold_and_leave, NULL), 0);
    for (int i = 0; i < 300; i++) {
        int status = 0;
        pid_t child = fork();

        if (child == 0) {
            alarm(10);
            kgi_lock(&lock);
            kgi_unlock(&lock);
            _exit(0);
        }
        waitpid(child, &status, 0);
        assert_int_equal(status, 0);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

static void *thread_id(void *context)
{
    *(int *)context = kgi_thread_id();
    return NULL;
}

static void thread_ids(void **state)
{
    pthread_t thread;
    int other = 0;

    (void)state;
    assert_int_equal(kgi_thread_id(), getpid());
    assert_int_equal(pthread_create(&thread, NULL, thread_id, &other), 0);
    pthread_join(thread, NULL);
    assert_true(other > 0 && other != getpid());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(excludes),
        cmocka_unit_test(fork_while_held),
        cmocka_unit_test(fork_while_used),
        cmocka_unit_test(thread_ids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
