/* Which PTX of an image is compiled, its key, and the images made for the driver. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

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

static struct kgi_bytes extent(struct kgi_bytes image)
{
    return (struct kgi_bytes){image.at, kgi_image_extent(image)};
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
    assert_int_equal(kgi_source_of(extent(one), &host, &none, &t, &verdict), 0);
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

/* ---- one kernel of it ---- */

static bool same(struct kgi_bytes a, struct kgi_bytes b)
{
    return a.size == b.size && (!a.size || !memcmp(a.at, b.at, a.size));
}

static bool same_target(struct kgi_target a, struct kgi_target b)
{
    return a.number == b.number && a.suffix == b.suffix;
}

static bool same_key(const struct kgi_cache_key *a, const struct kgi_cache_key *b)
{
    return a->size == b->size && !memcmp(a->block, b->block, a->size) &&
           !memcmp(a->digest, b->digest, sizeof a->digest);
}

static void put_back(struct kgi_bytes b)
{
    kgi_pages_put((void *)(uintptr_t)b.at, b.size);
}

struct seen {
    const struct kgi_source *whole;
    struct kgi_bytes text;
    struct kgi_cache_key keys[24];
    size_t count, alone;
};

/* The image that was made holds this kernel's text, as it is, and says of it what the whole's entry says. */
static void check_image(const struct kgi_source *whole, const struct kgi_source *part,
                        struct kgi_bytes text)
{
    struct kgi_jit_settings none = {.count = 0};
    struct kgi_host host = host_of(whole->target.number);
    struct kgi_verdict verdict;
    struct kgi_source again;
    struct kgi_code code;
    size_t count = 0;

    if (kgi_image_form(whole->image) == KGI_FORM_PTX)
        assert_int_equal(kgi_image_extent(part->image) + 1, part->image.size);
    else
        assert_int_equal(kgi_fatbin_length(part->image), part->image.size);
    assert_int_equal(kgi_image_codes(part->image, &code, 1, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(code.kind, KGI_PTX);
    assert_int_equal(code.packing, KGI_PLAIN);
    assert_true(same_target(code.target, whole->code.target));
    assert_true(code.major == whole->code.major && code.minor == whole->code.minor);
    assert_true(same(code.options, whole->code.options) && same(code.name, whole->code.name));
    assert_int_equal(code.traits, whole->code.traits);
    assert_true(code.payload.size > text.size); /* a NUL behind it */
    assert_memory_equal(code.payload.at, text.at, text.size);
    for (size_t i = text.size; i < code.payload.size; i++)
        assert_int_equal(code.payload.at[i], 0);
    assert_int_equal(code.size, code.payload.size);
    assert_int_equal(kgi_code_inspect(&code, NULL, 0), 0);
    assert_int_equal(code.kernels, 1);

    assert_ptr_equal(part->code.payload.at, code.payload.at);
    assert_int_equal(part->code.size, code.size);
    assert_true(same_target(part->target, whole->target));
    assert_int_equal(part->settings.count, whole->settings.count);
    assert_int_equal(part->too_new, whole->too_new);
    /* and the driver would compile it */
    assert_int_equal(kgi_source_of(part->image, &host, &none, &again, &verdict), 0);
    assert_int_equal(verdict.chosen, 0);
}

static int take_kernel(const char *name, int registers, void *context)
{
    struct seen *s = context;
    struct kgi_source part, again;
    struct kgi_cache_key key;
    uint8_t *text = malloc(s->text.size);
    size_t size = 0;
    int wanted = kgi_ptx_alone(s->text, name, text, &size);

    (void)registers;
    assert_int_equal(kgi_source_kernel(s->whole, name, &part), wanted);
    assert_int_equal(kgi_source_kernel_key(s->whole, name, &key), 0); /* alone or not */
    assert_false(same_key(&key, &s->whole->key));
    for (size_t i = 0; i < s->count; i++)
        assert_false(same_key(&key, &s->keys[i]));
    assert_true(s->count < KGI_COUNT(s->keys));
    s->keys[s->count++] = key;
    if (!wanted) {
        s->alone++;
        check_image(s->whole, &part, (struct kgi_bytes){text, size});
        assert_true(same_key(&part.key, &key));
        assert_int_equal(kgi_source_kernel(s->whole, name, &again), 0);
        assert_true(same(again.image, part.image) && same_key(&again.key, &key));
        put_back(again.image);
        put_back(part.image);
    }
    free(text);
    return 0;
}

static void kernels_of(const struct kgi_source *whole, struct seen *s)
{
    struct kgi_source part;
    struct kgi_ptx ptx;
    void *scratch;

    *s = (struct seen){.whole = whole, .text = kgi_source_text(&whole->code, &scratch)};
    assert_non_null(s->text.at);
    assert_true((whole->code.packing == KGI_PLAIN) == (scratch == NULL));
    assert_int_equal(kgi_ptx_kernels(s->text, &ptx, take_kernel, s), 0);
    assert_int_equal(kgi_source_kernel(whole, "nobody", &part), -ENOENT);
    assert_int_equal(kgi_source_kernel(whole, "", &part), -ENOENT);
    kgi_pages_put(scratch, whole->code.size);
}

static void one_kernel(void **state)
{
    static const struct {
        const char *path;
        uint16_t gpu;
        uint8_t packing;
        size_t kernels, alone;
    } rows[] = {
        {"tests/fixtures/default.fatbin", 90, KGI_ZSTD, 5, 4},
        {"tests/fixtures/none.fatbin", 90, KGI_PLAIN, 1, 1},
        {"tests/fixtures/options.fatbin", 90, KGI_ZSTD, 1, 1},
        {"tests/gpu/cases/lz4_ptx.fatbin", 90, KGI_LZ4, 1, 1},
        {"tests/gpu/cases/zstd_ptx.fatbin", 90, KGI_ZSTD, 1, 1},
        {"tests/gpu/cases/compute_80.fatbin", 90, KGI_PLAIN, 1, 1},
        {"tests/gpu/cases/compute_90a.fatbin", 90, KGI_PLAIN, 1, 1},
        {"tests/gpu/cases/options_maxreg.fatbin", 90, KGI_PLAIN, 1, 1},
        {"tests/gpu/cases/pick_compute_80_compute_90_ab.fatbin", 90, KGI_PLAIN, 1, 1},
        {"tests/scenarios/jit/voxelize.options.fatbin", 120, KGI_ZSTD, 1, 1},
        {"tests/scenarios/jit/many.compute_80.ptx", 120, KGI_PLAIN, 20, 19},
        {"tests/gpu/cases/compute_80.ptx", 90, KGI_PLAIN, 1, 1},
    };

    (void)state;
    for (size_t i = 0; i < KGI_COUNT(rows); i++) {
        struct kgi_source whole;
        struct seen s;

        assert_int_equal(source(rows[i].path, rows[i].gpu, &whole), 0);
        assert_int_equal(whole.code.packing, rows[i].packing);
        kernels_of(&whole, &s);
        if (s.count != rows[i].kernels || s.alone != rows[i].alone)
            fail_msg("%s: %zu, %zu alone", rows[i].path, s.count, s.alone);
    }
}

/* A copy has the same key, and is what would be found in it. */
static void of_a_copy(void **state)
{
    static const struct {
        const char *path;
        uint16_t gpu;
    } rows[] = {{"tests/scenarios/jit/voxelize.options.fatbin", 120},
                {"tests/gpu/cases/compute_80.ptx", 90},
                {"tests/gpu/cases/lz4_ptx.fatbin", 90},
                {"tests/gpu/cases/pick_compute_80_compute_90_ab.fatbin", 90},
                {"tests/fixtures/default.fatbin", 90}};
    struct kgi_jit_settings none = {.count = 0};

    (void)state;
    for (size_t i = 0; i < KGI_COUNT(rows); i++) {
        struct kgi_host host = host_of(rows[i].gpu);
        struct kgi_source s, copy, wanted;
        struct kgi_verdict verdict;
        size_t room = 0;

        assert_int_equal(source(rows[i].path, rows[i].gpu, &s), 0);
        assert_true(kgi_source_copy(&s, &copy, &room));
        assert_true(room >= copy.image.size);
        assert_true(copy.image.at != s.image.at && copy.image.size <= s.image.size);
        assert_int_equal(kgi_source_of(copy.image, &host, &none, &wanted, &verdict), 0);
        assert_int_equal(copy.code.place, wanted.code.place);
        assert_ptr_equal(copy.code.payload.at, wanted.code.payload.at);
        assert_true(same(copy.code.payload, s.code.payload));
        assert_true(same(copy.code.options, s.code.options) && same(copy.code.name, s.code.name));
        assert_true(!copy.code.options.size || copy.code.options.at == wanted.code.options.at);
        assert_true(!copy.code.name.size || copy.code.name.at == wanted.code.name.at);
        assert_true(same_key(&copy.key, &s.key) && same_key(&copy.key, &wanted.key));
        kgi_pages_put((void *)(uintptr_t)copy.image.at, room);
    }
}

/* The options that the key of a kernel is made with, for a person who reads the entry. */
static struct kgi_bytes options_of(const struct kgi_cache_key *key)
{
    struct kgi_cache_question q;

    assert_true(kgi_cache_question((struct kgi_bytes){key->block, key->size}, &q));
    assert_int_equal(q.count, 2);
    return q.options;
}

/* The same kernel of another text, for another target, or with other settings, is another kernel. */
static void kernel_keys(void **state)
{
    static const char *const paths[] = {"tests/gpu/cases/options_none.fatbin",
                                        "tests/gpu/cases/options_maxreg.fatbin",
                                        "tests/gpu/cases/options_o0.fatbin"};
    struct kgi_jit_settings limit = {.count = 1, .id = {0}, .value = {24}};
    struct kgi_host host = host_of(90);
    struct kgi_verdict verdict;
    struct kgi_cache_key keys[5];
    struct kgi_source whole;
    struct kgi_bytes options;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(source(paths[i], 90, &whole), 0);
        assert_int_equal(kgi_source_kernel_key(&whole, "marker", &keys[i]), 0);
    }
    assert_int_equal(source(paths[0], 100, &whole), 0);
    assert_int_equal(kgi_source_kernel_key(&whole, "marker", &keys[3]), 0);
    assert_int_equal(kgi_source_of(map(paths[0]), &host, &limit, &whole, &verdict), 0);
    assert_int_equal(kgi_source_kernel_key(&whole, "marker", &keys[4]), 0);
    for (size_t i = 0; i < KGI_COUNT(keys); i++)
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(keys[i].digest, keys[k].digest, 32);
    options = options_of(&keys[0]);
    assert_int_equal(options.size, strlen("kernel marker"));
    assert_memory_equal(options.at, "kernel marker", options.size);
}

/* A fatbin of one PTX, not packed. */
static struct kgi_bytes fatbin_of(const char *text)
{
    struct kgi_bytes one = map("tests/gpu/cases/compute_80.fatbin");
    struct kgi_code code;
    size_t count, head, size = strlen(text) / 8 * 8 + 8;
    uint64_t padded = size;
    uint8_t *out;

    assert_int_equal(kgi_image_codes(one, &code, 1, &count, NULL), 0);
    head = (size_t)(code.payload.at - one.at);
    out = calloc(1, head + size);
    memcpy(out, one.at, head);
    memcpy(out + head, text, strlen(text));
    memcpy(out + 16 + 8, &padded, 8);
    padded += head - 16;
    memcpy(out + 8, &padded, 8);
    return (struct kgi_bytes){out, head + size};
}

/* A template's name is as long as it likes: what is kept of it for people is cut, the key is of all. */
static void long_names(void **state)
{
    struct kgi_jit_settings none = {.count = 0};
    struct kgi_host host = host_of(90);
    struct kgi_verdict verdict;
    struct kgi_source whole;
    struct seen s;
    static char text[20000], name[5001];
    size_t length = 0;

    (void)state;
    length += (size_t)sprintf(text, ".version 7.0\n.target sm_80\n.address_size 64\n");
    for (char last = 'a'; last <= 'c'; last++) {
        memset(name, 'x', sizeof name - 1);
        name[sizeof name - 2] = last;
        length += (size_t)sprintf(text + length, ".visible .entry %s() { ret; }\n", name);
    }
    struct kgi_bytes image = fatbin_of(text);

    assert_int_equal(kgi_source_of(image, &host, &none, &whole, &verdict), 0);
    kernels_of(&whole, &s);
    assert_int_equal(s.count, 3);
    assert_int_equal(s.alone, 3);
    for (size_t length_of_one = 490; length_of_one < 520; length_of_one++) {
        struct kgi_cache_key key;
        struct kgi_bytes options;

        name[length_of_one] = 0;
        assert_int_equal(kgi_source_kernel_key(&whole, name, &key), 0);
        name[length_of_one] = 'x';
        options = options_of(&key);
        assert_true(options.size <= KGI_CACHE_OPTIONS && options.size > 490);
        assert_memory_equal(options.at, "kernel xxxx", 11);
    }
    free((void *)(uintptr_t)image.at);
}

/* A text that cannot be had: nothing is made of it. */
static void no_text(void **state)
{
    struct kgi_source whole, part;
    struct kgi_bytes fatbin;
    void *scratch;

    (void)state;
    assert_int_equal(source("tests/gpu/cases/zstd_ptx.fatbin", 90, &whole), 0);
    struct kgi_code broken = whole.code;
    broken.payload.size -= 8;
    assert_null(kgi_source_text(&broken, &scratch).at);
    kgi_pages_put(scratch, broken.size);
    whole.code.payload.size -= 8;
    assert_true(kgi_source_kernel(&whole, "marker", &part) < 0);
    broken = whole.code;
    broken.size = KGI_SOURCE_MOST;
    assert_null(kgi_source_text(&broken, &scratch).at);
    assert_null(scratch);
    /* no text but noise, and a text that is no PTX */
    fatbin = fatbin_of("noise");
    assert_int_equal(source("tests/gpu/cases/compute_80.fatbin", 90, &whole), 0);
    whole.image = fatbin;
    whole.code.payload = (struct kgi_bytes){fatbin.at + fatbin.size - 8, 8};
    assert_int_equal(kgi_source_kernel(&whole, "marker", &part), -ENODATA);
    free((void *)(uintptr_t)fatbin.at);
}

/* The image became another one after its key was made: nothing of that may be kept under the key. */
static void another_text(void **state)
{
    struct kgi_jit_settings none = {.count = 0};
    struct kgi_host host = host_of(90);
    struct kgi_verdict verdict;
    struct kgi_source whole, part;
    struct kgi_bytes image = fatbin_of(".version 7.0\n.target sm_80\n.address_size 64\n"
                                       ".visible .entry k() { ret; }\n");
    uint8_t *ret = memmem(image.at, image.size, "ret", 3);

    (void)state;
    assert_int_equal(kgi_source_of(image, &host, &none, &whole, &verdict), 0);
    assert_int_equal(kgi_source_kernel(&whole, "k", &part), 0);
    kgi_pages_put((void *)(uintptr_t)part.image.at, part.image.size);
    memcpy(ret, "bar", 3);
    assert_int_equal(kgi_source_kernel(&whole, "k", &part), -ESTALE);
    memcpy(ret, "ret", 3);
    assert_int_equal(kgi_source_kernel(&whole, "k", &part), 0);
    kgi_pages_put((void *)(uintptr_t)part.image.at, part.image.size);
    free((void *)(uintptr_t)image.at);
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
        cmocka_unit_test(settings),   cmocka_unit_test(choice),      cmocka_unit_test(forced),
        cmocka_unit_test(keys),       cmocka_unit_test(alone),       cmocka_unit_test(with_cubins),
        cmocka_unit_test(of_a_copy),
        cmocka_unit_test(one_kernel), cmocka_unit_test(kernel_keys), cmocka_unit_test(long_names),
        cmocka_unit_test(no_text),    cmocka_unit_test(another_text), cmocka_unit_test(globs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
