/* A set of words: what was added is there, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/base.h"

static bool has(const struct kgi_words *w, const char *word)
{
    return kgi_words_has(w, word, strlen(word));
}

static void few(void **state)
{
    static const char text[] = "alphabet";
    struct kgi_words w;

    (void)state;
    assert_true(kgi_words_make(&w, 3));
    assert_false(has(&w, "alpha"));
    assert_false(has(&w, ""));
    kgi_words_add(&w, text, 5); /* of a longer text */
    kgi_words_add(&w, "a\0b", 3);
    kgi_words_add(&w, "", 0);
    kgi_words_add(&w, "alpha", 5);
    assert_true(has(&w, "alpha"));
    assert_true(has(&w, ""));
    assert_true(kgi_words_has(&w, "a\0b", 3));
    assert_false(kgi_words_has(&w, "a\0c", 3));
    assert_false(has(&w, "a"));
    assert_false(has(&w, "alph"));
    assert_false(has(&w, "alphabet"));
    assert_false(has(&w, "Alpha"));
    kgi_words_free(&w);
    assert_null(w.slot);
    kgi_words_free(&w);
}

static void none(void **state)
{
    struct kgi_words w;

    (void)state;
    assert_true(kgi_words_make(&w, 0));
    assert_false(has(&w, "alpha")); /* which would not end in a set without an empty slot */
    kgi_words_free(&w);
}

/* As many as there is room for, and words that are no more than numbers apart. */
static void many(void **state)
{
    enum { MOST = 100000 };
    struct kgi_words w;
    char word[32];

    (void)state;
    for (int most = 1; most <= MOST; most = most < 300 ? most + 1 : most * 7) {
        assert_true(kgi_words_make(&w, (size_t)most));
        assert_true(w.room >= 2 * (size_t)most && (w.room & (w.room - 1)) == 0);
        for (int i = 0; i < most; i++)
            kgi_words_add(&w, word, (size_t)snprintf(word, sizeof word, "%%r%d", i));
        for (int i = 0; i < 2 * most; i++)
            if (kgi_words_has(&w, word, (size_t)snprintf(word, sizeof word, "%%r%d", i)) !=
                (i < most))
                fail_msg("%s of %d", word, most);
        kgi_words_free(&w);
    }
}

/* Memory comes back zeroed: a set does not know the words of the one before. */
static void one_after_the_other(void **state)
{
    struct kgi_words w;
    char word[32];

    (void)state;
    for (int turn = 0; turn < 200; turn++) {
        assert_true(kgi_words_make(&w, 30));
        for (int i = 0; i < 30; i++)
            assert_false(kgi_words_has(&w, word, (size_t)snprintf(word, sizeof word, "w%d", i)));
        for (int i = 0; i < 30; i++)
            kgi_words_add(&w, word, (size_t)snprintf(word, sizeof word, "w%d", i));
        kgi_words_free(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few),
        cmocka_unit_test(none),
        cmocka_unit_test(many),
        cmocka_unit_test(one_after_the_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
