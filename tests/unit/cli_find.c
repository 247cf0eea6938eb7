/* The search for magics, at every place relative to a vector, against the plain definition. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "cli/cli.h"

enum { SIZE = 1024 };

static const uint32_t magics[] = {KGI_FATBIN_MAGIC, KGI_WRAPPER_MAGIC, 0x464c457fu};

/* SIZE bytes that end before an unreadable page. */
static uint8_t *room(void)
{
    uint8_t *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(p != MAP_FAILED);
    assert_int_equal(mprotect(p + 4096, 4096, PROT_NONE), 0);
    return p + 4096 - SIZE;
}

static void each_place(void **state)
{
    uint8_t *b = room();

    (void)state;
    for (size_t m = 0; m < KGI_COUNT(magics); m++)
        for (size_t at = 0; at + 4 <= SIZE; at += 4) {
            memset(b, 0, SIZE);
            memcpy(b + at, &magics[m], 4);
            for (size_t from = 0; from <= at; from += 8)
                assert_int_equal(kgi_find_magic(b, from, SIZE), at % 8 ? SIZE : at);
            assert_int_equal(kgi_find_magic(b, (at + 8) & ~7ul, SIZE), SIZE);
        }
}

static void first_of_many(void **state)
{
    uint8_t *b = room();

    (void)state;
    memset(b, 0, SIZE);
    memcpy(b + 320, &magics[1], 4);
    memcpy(b + 328, &magics[0], 4);
    memcpy(b + 1016, &magics[2], 4);
    assert_int_equal(kgi_find_magic(b, 0, SIZE), 320);
    assert_int_equal(kgi_find_magic(b, 328, SIZE), 328);
    assert_int_equal(kgi_find_magic(b, 336, SIZE), 1016);
}

static void cut_short(void **state)
{
    uint8_t *b = room();

    (void)state;
    memset(b, 0, SIZE);
    memcpy(b + SIZE - 8, &magics[0], 4);
    for (size_t size = SIZE - 8; size < SIZE - 4; size++)
        assert_int_equal(kgi_find_magic(b, 0, size), size);
    assert_int_equal(kgi_find_magic(b, 0, SIZE - 4), SIZE - 8);
    assert_int_equal(kgi_find_magic(b, 0, 0), 0);
    assert_int_equal(kgi_find_magic(b, 64, 66), 66);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_place),
        cmocka_unit_test(first_of_many),
        cmocka_unit_test(cut_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
