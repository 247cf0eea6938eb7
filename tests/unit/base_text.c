/* Formatting into a fixed buffer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "base/base.h"

static void adds(void **state)
{
    KGI_TEXT(t, 16);

    (void)state;
    assert_string_equal(t.at, "");
    kgi_text_add(&t, "%s-%d", "a", 7);
    kgi_text_add(&t, "!");
    assert_string_equal(t.at, "a-7!");
    assert_int_equal(t.length, 4);
    assert_false(t.cut);
}

static void cuts(void **state)
{
    KGI_TEXT(t, 8);

    (void)state;
    kgi_text_add(&t, "1234567");
    assert_false(t.cut);
    kgi_text_add(&t, "8");
    assert_true(t.cut);
    assert_string_equal(t.at, "1234567");
    kgi_text_add(&t, "9");
    kgi_text_add_json(&t, "9");
    kgi_text_add_safe(&t, "9");
    assert_string_equal(t.at, "1234567");
    assert_int_equal(t.length, 7);
}

struct row {
    const char *in, *out;
};

static void check(const struct row *rows, size_t count,
                  void (*add)(struct kgi_text *, const char *))
{
    for (size_t i = 0; i < count; i++) {
        KGI_TEXT(t, 128);

        add(&t, rows[i].in);
        assert_string_equal(t.at, rows[i].out);
        for (size_t size = 1; size <= t.length; size++) { /* a whole escape, or nothing of it */
            char *small = calloc(1, size);
            struct kgi_text s = {small, size, 0, false};

            add(&s, rows[i].in);
            assert_true(s.cut && s.length < size && !memcmp(small, t.at, s.length));
            assert_true(s.length == 0 || small[s.length - 1] != '\\' ||
                        (s.length > 1 && small[s.length - 2] == '\\'));
            free(small);
        }
    }
}

static void json(void **state)
{
    static const struct row rows[] = {
        {"plain", "plain"},
        {"\"\\\n\t\x01\x7f", "\\\"\\\\\\n\\u0009\\u0001\\u007f"},
        {"caf\xc3\xa9 \xe4\xb8\x96 \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe4\xb8\x96 \xf0\x9f\x98\x80"},
        {"\x80", "\\ufffd"},                             /* a stray follower */
        {"\xc3", "\\ufffd"},                             /* cut off */
        {"\xc0\xaf", "\\ufffd\\ufffd"},                  /* overlong */
        {"\xe0\x80\xaf", "\\ufffd\\ufffd\\ufffd"},
        {"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"},       /* surrogate */
        {"\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"}, /* above U+10FFFF */
        {"\xf8\x88\x80\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd"},
        {"\xc2\x9b", "\\u009b"},                         /* CSI in one character */
    };

    (void)state;
    check(rows, KGI_COUNT(rows), kgi_text_add_json);
}

static void safe(void **state)
{
    static const struct row rows[] = {
        {"plain \"quoted\" \\", "plain \"quoted\" \\"},
        {"\033[2J\r\n", "\\x1b[2J\\x0d\\x0a"},
        {"caf\xc3\xa9", "caf\xc3\xa9"},
        {"\xff\xc3", "\\xff\\xc3"},
        {"\xc2\x9b", "\\xc2\\x9b"},
        {"\xe2\x80\xae", "\\xe2\\x80\\xae"}, /* right-to-left override */
        {"\xd8\x9c", "\\xd8\\x9c"},           /* Arabic letter mark */
    };

    (void)state;
    check(rows, KGI_COUNT(rows), kgi_text_add_safe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds),
        cmocka_unit_test(cuts),
        cmocka_unit_test(json),
        cmocka_unit_test(safe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
