/* Memory of our own, and what of the program's can be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"

#define PAGE 4096
#define THREADS 4
#define PIECES 3000

static void pieces(void **state)
{
    (void)state;
    for (size_t size = 0; size < 200000; size = size * 2 + 1) {
        unsigned char *p = kgi_alloc(size);

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, size);
    }
    assert_string_equal(kgi_strdup("copy"), "copy");
    assert_null(kgi_alloc(SIZE_MAX));
    assert_null(kgi_alloc(SIZE_MAX - 20));
    assert_null(kgi_pages_get(0));
}

/* Blocks come back, in whatever order: zeroed, and to one owner each. */
static void blocks(void **state)
{
    static const size_t sizes[] = {1, PAGE, PAGE + 1, 3 * PAGE, 8 * PAGE, 8 * PAGE + 1, 100 * PAGE};
    unsigned char *held[KGI_COUNT(sizes)][3];

    (void)state;
    for (int round = 0; round < 4; round++)
        for (size_t s = 0; s < KGI_COUNT(sizes); s++) {
            for (size_t i = 0; i < 3; i++) {
                unsigned char *p = held[s][i] = kgi_pages_get(sizes[s]);

                assert_int_equal((uintptr_t)p % PAGE, 0);
                for (size_t at = 0; at < sizes[s]; at++)
                    assert_int_equal(p[at], 0);
                memset(p, 0xff, sizes[s]);
                assert_true(i == 0 || p != held[s][i - 1]);
                assert_true(i <= 1 || p != held[s][0]);
            }
            for (size_t i = 0; i < 3; i++)
                kgi_pages_put(held[s][i], sizes[s]);
        }
}

/* Each thread fills its pieces with its own number: who overlaps is seen. */
static void *take(void *number)
{
    static unsigned char *kept[THREADS][PIECES];
    unsigned char **mine = kept[(uintptr_t)number];
    unsigned char fill = (unsigned char)((uintptr_t)number + 1);

    for (size_t i = 0; i < PIECES; i++) {
        size_t size = 1 + i * 7 % 1000;

        unsigned char *block = kgi_pages_get(size);

        for (size_t j = 0; j < size; j++)
            if (block[j]++)
                return "not zero";
        for (size_t j = 0; j < size; j++)
            if (block[j] != 1)
                return "overlap";
        kgi_pages_put(block, size);
        mine[i] = kgi_alloc(size);
        for (size_t j = 0; j < size; j++)
            if (mine[i][j])
                return "not zero";
        memset(mine[i], fill, size);
    }
    for (size_t i = 0; i < PIECES; i++)
        for (size_t j = 0; j < 1 + i * 7 % 1000; j++)
            if (mine[i][j] != fill)
                return "overlap";
    return NULL;
}

static void threads(void **state)
{
    pthread_t thread[THREADS];

    (void)state;
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, take, (void *)i), 0);
    for (int i = 0; i < THREADS; i++) {
        void *trouble;

        pthread_join(thread[i], &trouble);
        assert_null(trouble);
    }
}

static void no_memory(void **state)
{
    int status = 0;
    pid_t child;

    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* they need address space of their own */
#endif
    child = fork();
    if (child == 0) {
        struct rlimit none = {0, 0};
        int i;

        setrlimit(RLIMIT_AS, &none);
        errno = 77;
        for (i = 0; i < 1000 && kgi_alloc(1024); i++)
            ;
        _exit(i < 1000 && errno == 77 && !kgi_pages_get(100 * PAGE) ? 0 : 1);
    }
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

static void readable(void **state)
{
    size_t size = 64 * PAGE;
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)state;
    errno = 77;
    assert_int_equal(kgi_mapped(p, size), size);
    assert_int_equal(kgi_mapped(p + 5, 10), 10);
    assert_int_equal(kgi_mapped(p + 5, 0), 0);
    assert_int_equal(kgi_mapped(NULL, 16), 0);
    assert_int_equal(kgi_mapped((void *)(UINTPTR_MAX - 10), 100), 0);
    mprotect(p + 40 * PAGE, PAGE, PROT_NONE); /* a guard: mapped, but not to be read */
    assert_int_equal(kgi_mapped(p, size), 40 * PAGE);
    assert_int_equal(kgi_mapped(p + 40 * PAGE - 3, size), 3);
    munmap(p + 2 * PAGE, PAGE);
    assert_int_equal(kgi_mapped(p + 17, size), 2 * PAGE - 17);
    assert_int_equal(kgi_mapped(p + 2 * PAGE, 1), 0);
    assert_int_equal(errno, 77);
    munmap(p, size);
}

/* Wherever what can be read ends, and wherever in it one starts. */
static void every_end(void **state)
{
    enum { PAGES = 1100 }; /* more than is asked for at once */
    size_t size = (size_t)PAGES * PAGE;
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)state;
    for (int end = PAGES - 1; end > 0; end -= end > 70 ? 51 : 1) {
        mprotect(p + (size_t)end * PAGE, PAGE, PROT_NONE);
        for (size_t from = 0; from < 3 * PAGE; from += 1500)
            if (from < (size_t)end * PAGE)
                assert_int_equal(kgi_mapped(p + from, size), (size_t)end * PAGE - from);
    }
    munmap(p, size);
}

/* A text's length: to its NUL, wherever that and the end of what can be read lie. */
static void every_length(void **state)
{
    enum { PAGES = 200 };
    size_t size = (size_t)PAGES * PAGE;
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)state;
    memset(p, 'x', size);
    errno = 77;
    assert_int_equal(kgi_text_mapped(NULL), 0);
    for (int end = PAGES - 1; end > 0; end -= end > 30 ? 13 : 1) {
        mprotect(p + (size_t)end * PAGE, PAGE, PROT_NONE);
        for (size_t from = 0; from < 3 * PAGE; from += 1500) {
            size_t rest = (size_t)end * PAGE - from;

            if (from >= (size_t)end * PAGE)
                continue;
            assert_int_equal(kgi_text_mapped(p + from), rest);
            for (size_t length = 0; length < rest; length += length < 5000 ? 1024 : 77777) {
                p[from + length] = 0;
                assert_int_equal(kgi_text_mapped(p + from), length);
                p[from + length] = 'x';
            }
        }
    }
    assert_int_equal(errno, 77);
    munmap(p, size);
}

/* A loaded object's segment is believed without touching its pages, and no further. */
static const char large[4 << 20] = {1};

static void in_an_object(void **state)
{
    (void)state;
    assert_int_equal(kgi_mapped(large, sizeof large), sizeof large);
    assert_true(kgi_mapped(large, (size_t)1 << 40) >= sizeof large);
    assert_true(kgi_mapped(large, (size_t)1 << 40) < (size_t)1 << 30);
}

static void end_of_file(void **state)
{
    char name[] = "/tmp/kguard-memory-XXXXXX";
    int fd = mkstemp(name);
    char *p;

    (void)state;
    unlink(name);
    assert_int_equal(ftruncate(fd, 100), 0);
    p = mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_int_equal(kgi_mapped(p, 4 * PAGE), PAGE); /* beyond, a read would raise SIGBUS */
    munmap(p, 4 * PAGE);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces),    cmocka_unit_test(blocks),   cmocka_unit_test(threads),
        cmocka_unit_test(no_memory), cmocka_unit_test(readable), cmocka_unit_test(every_end),
        cmocka_unit_test(every_length), cmocka_unit_test(in_an_object),
        cmocka_unit_test(end_of_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
