/* Which PTX of an image is compiled, its key, and the images made for the driver. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "jit/jit.h"

static struct kgi_bytes map(const char *path)
{
    struct kgi_bytes file = kgi_file_map(path, SIZE_MAX);

    if (!file.size)
        fail_msg("no %s", path);
    return file;
}

static struct kgi_host host_of(uint16_t number)
{
    return (struct kgi_host){.gpu = {number, 0}, .cuda_version = 13000};
}

static int source(const char *path, uint16_t number, struct kgi_source *out)
{
    struct kgi_jit_settings none = {.count = 0};
    struct kgi_host host = host_of(number);
    struct kgi_verdict verdict;

    return kgi_source_of(map(path), &host, &none, out, &verdict);
}

static void settings(void **state)
{
    CUjit_option ids[] = {CU_JIT_OPTIMIZATION_LEVEL, CU_JIT_INFO_LOG_BUFFER, CU_JIT_MAX_REGISTERS,
                          CU_JIT_CACHE_MODE, (CUjit_option)17};
    void *values[] = {(void *)1, NULL, (void *)24, (void *)2, NULL};
    struct kgi_jit_settings s;

    (void)state;
    assert_true(kgi_jit_settings(ids, values, 4, &s));
    assert_int_equal(s.count, 3);
    assert_int_equal(s.id[0], CU_JIT_MAX_REGISTERS);
    assert_int_equal(s.value[0], 24);
    assert_int_equal(s.id[1], CU_JIT_OPTIMIZATION_LEVEL);
    assert_int_equal(s.id[2], CU_JIT_CACHE_MODE);
    assert_int_equal(s.value[2], 2);
    assert_false(kgi_jit_settings(ids, values, 5, &s)); /* symbols */
    assert_false(kgi_jit_settings(NULL, NULL, 1, &s));
    assert_true(kgi_jit_settings(NULL, NULL, 0, &s));
}

static void choice(void **state)
{
    struct kgi_source s;

    (void)state;
    assert_int_equal(source("tests/gpu/cases/compute_80.fatbin", 90, &s), 0);
    assert_int_equal(s.target.number, 90);
    assert_int_equal(s.target.suffix, 0);
    assert_int_equal(s.code.target.number, 80);
    assert_int_equal(source("tests/gpu/cases/compute_80.fatbin", 75, &s), -ENOENT);
    assert_int_equal(source("tests/gpu/cases/sm_90.fatbin", 90, &s), -ENOENT);
    assert_int_equal(source("tests/gpu/cases/sm_80.fatbin", 90, &s), -ENOENT);
    assert_int_equal(source("tests/gpu/cases/lto.fatbin", 90, &s), -ENOENT);
    assert_int_equal(source("tests/gpu/cases/empty.fatbin", 90, &s), -ENOENT);
    /* the nearest, and the one for this GPU alone before it */
    assert_int_equal(source("tests/gpu/cases/pick_compute_80_compute_90_ab.fatbin", 90, &s), 0);
    assert_int_equal(s.code.target.number, 90);
    assert_int_equal(source("tests/gpu/cases/pick_compute_90_compute_90a_ba.fatbin", 90, &s), 0);
    assert_int_equal(s.target.suffix, 'a');
    assert_int_equal(source("tests/gpu/cases/isa_9.1.fatbin", 90, &s), 0);
    assert_true(s.too_new);
    assert_int_equal(source("tests/gpu/cases/compute_80.ptx", 90, &s), 0);
    assert_false(s.too_new);
}

static void forced(void **state)
{
    struct kgi_jit_settings none = {.count = 0};
    struct kgi_host host = host_of(90);
    struct kgi_verdict verdict;
    struct kgi_source s;
    struct kgi_bytes image = map("tests/gpu/cases/pick_sm_90_compute_75_ab.fatbin");

    (void)state;
    assert_int_equal(kgi_source_of(image, &host, &none, &s, &verdict), -ENOENT);
    host.jit_forced = "CUDA_FORCE_PTX_JIT";
    assert_int_equal(kgi_source_of(image, &host, &none, &s, &verdict), 0);
}

static void keys(void **state)
{
    static const char *const paths[] = {
        "tests/gpu/cases/options_none.fatbin", "tests/gpu/cases/options_maxreg.fatbin",
        "tests/gpu/cases/options_o0.fatbin", "tests/gpu/cases/options_none.ptx"};
    struct kgi_source first[4], again, limited;
    struct kgi_jit_settings limit = {.count = 1, .id = {0}, .value = {24}};
    struct kgi_host host = host_of(90);
    struct kgi_verdict verdict;

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(source(paths[i], 90, &first[i]), 0);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < i; k++)
            assert_memory_not_equal(first[i].key.digest, first[k].key.digest, 32);
    assert_int_equal(source(paths[0], 90, &again), 0);
    assert_memory_equal(first[0].key.digest, again.key.digest, 32);
    assert_int_equal(source(paths[0], 100, &again), 0);
    assert_memory_not_equal(first[0].key.digest, again.key.digest, 32);
    assert_int_equal(kgi_source_of(map(paths[0]), &host, &limit, &limited, &verdict), 0);
    assert_memory_not_equal(first[0].key.digest, limited.key.digest, 32);
}

/* One entry by itself is the same source: what kguard warm keys by, and what the linker is given. */
static void alone(void **state)
{
    struct kgi_jit_settings none = {.count = 0};
    struct kgi_host host = host_of(90);
    struct kgi_verdict verdict;
    struct kgi_source s, t;
    struct kgi_bytes one;

    (void)state;
    assert_int_equal(source("tests/gpu/cases/pick_compute_80_compute_120_ba.fatbin", 90, &s), 0);
    one = kgi_source_alone(&s);
    assert_int_equal(kgi_fatbin_length(one), one.size);
    assert_int_equal(kgi_source_of(one, &host, &none, &t, &verdict), 0);
    assert_memory_equal(s.key.digest, t.key.digest, 32);
    kgi_pages_put((void *)(uintptr_t)one.at, one.size);
    assert_int_equal(source("tests/gpu/cases/compute_80.ptx", 90, &s), 0);
    one = kgi_source_alone(&s);
    assert_int_equal(one.at[one.size - 1], 0);
    assert_int_equal(kgi_source_of(one, &host, &none, &t, &verdict), 0);
    assert_memory_equal(s.key.digest, t.key.digest, 32);
    kgi_pages_put((void *)(uintptr_t)one.at, one.size);
}

/* The original with cubins for two GPUs behind it: each takes its own, a third still has the PTX. */
static void with_cubins(void **state)
{
    struct kgi_cubin_for cubins[] = {{{80, 0}, map("tests/fixtures/cubin_80.cubin")},
                                     {{90, 'a'}, map("tests/fixtures/cubin_90a.cubin")}};
    struct kgi_bytes all =
        kgi_fatbin_with(map("tests/gpu/cases/compute_80.fatbin"), cubins, KGI_COUNT(cubins));
    struct kgi_code codes[8];
    struct kgi_verdict verdict;
    struct kgi_host host;
    size_t count = 0;

    (void)state;
    assert_int_equal(kgi_fatbin_length(all), all.size);
    assert_int_equal(kgi_image_codes(all, codes, KGI_COUNT(codes), &count, NULL), 0);
    assert_int_equal(count, 3);
    for (size_t i = 0; i < 2; i++) {
        host = host_of(cubins[i].target.number);
        kgi_judge(codes, count, &host, &verdict);
        assert_int_equal(verdict.answer, KGI_NATIVE);
        assert_int_equal(codes[verdict.chosen].target.suffix, cubins[i].target.suffix);
        assert_memory_equal(codes[verdict.chosen].payload.at, cubins[i].cubin.at,
                            cubins[i].cubin.size);
    }
    host = host_of(120);
    kgi_judge(codes, count, &host, &verdict);
    assert_int_equal(verdict.answer, KGI_JIT);
    kgi_pages_put((void *)(uintptr_t)all.at, all.size);
    assert_null(kgi_fatbin_with(map("tests/gpu/cases/compute_80.ptx"), cubins, 1).at);
}

static void globs(void **state)
{
    static const struct {
        const char *globs, *path;
        bool match;
    } rows[] = {
        {"libfoo.so", "/a/libfoo.so", true},
        {"libfoo*", "/a/libfoo.so.1", true},
        {"*/torch/*", "/venv/torch/lib/libx.so", true},
        {"libbar*:lib?oo.so", "/a/libfoo.so", true},
        {"libbar*", "/a/libfoo.so", false},
        {"foo", "/a/libfoo.so", false},
        {"", "/a/libfoo.so", false},
        {":", "/a/libfoo.so", false},
        {"*", "/a/libfoo.so", true},
        {"lib**.so*", "/a/libfoo.so", true},
        {"*o?o*", "/a/libfooooo.so", true},
        {"*foo", "/a/foofo", false},
        {"?", "/a/", false},
        {"a*a*a*a*a*a*a*a*a*b", "/x/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
    };

    (void)state;
    for (size_t i = 0; i < KGI_COUNT(rows); i++)
        if (kgi_globs_match(rows[i].globs, rows[i].path) != rows[i].match)
            fail_msg("%s %s", rows[i].globs, rows[i].path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings),    cmocka_unit_test(choice), cmocka_unit_test(forced),
        cmocka_unit_test(keys),        cmocka_unit_test(alone),  cmocka_unit_test(with_cubins),
        cmocka_unit_test(globs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
