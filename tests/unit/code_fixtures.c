/*
 * Every fixture, read and written down in the form of tests/fixtures/expect.py, must come out word
 * for word as NVIDIA's cuobjdump had it (NAME.txt).
 */
#include "code_fixture.h"

struct page {
    char text[16384];
    size_t length;
};

static void add(struct page *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct page *p, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(p->text + p->length, sizeof p->text - p->length, format, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < sizeof p->text - p->length);
    p->length += (size_t)n;
}

struct kernels {
    char line[16][256];
    size_t count;
};

static int add_kernel(const char *name, int registers, void *context)
{
    struct kernels *k = context;

    assert_true(k->count < 16);
    snprintf(k->line[k->count++], sizeof k->line[0], "  kernel %s %d\n", name, registers);
    return 0;
}

static int in_order(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void add_kernels(struct page *p, struct kgi_code *code)
{
    struct kernels k = {.count = 0};
    void *scratch = malloc(code->size + 1);
    int result = kgi_code_kernels(code, scratch, code->size, add_kernel, &k);

    free(scratch);
    assert_int_equal(result, code->kernels < 0 ? -ENOTSUP : 0);
    assert_int_equal(k.count, code->kernels < 0 ? 0 : code->kernels);
    qsort(k.line, k.count, sizeof k.line[0], in_order);
    for (size_t i = 0; i < k.count; i++)
        add(p, "%s", k.line[i]);
}

static void add_code(struct page *p, struct kgi_code *code)
{
    const char *kind = code->kind == KGI_PTX ? "ptx" : code->kind == KGI_CUBIN ? "cubin" : "lto";

    assert_true(code->kind == KGI_PTX || code->kind == KGI_CUBIN || code->kind == KGI_LTO);
    add(p, "%s sm_%d", kind, code->target.number);
    if (code->target.suffix)
        add(p, "%c", code->target.suffix);
    add(p, " %d.%d", code->major, code->minor);
    if (code->packing != KGI_PLAIN)
        add(p, " packed");
    if (code->traits & KGI_T_OBFUSCATED && code->kind == KGI_PTX)
        add(p, " obfuscated");
    if (code->traits & KGI_T_DEBUG && code->flags & 2)
        add(p, " debug");
    if (code->name.size)
        add(p, " name=%.*s", (int)code->name.size, (const char *)code->name.at);
    if (code->options.size) {
        char options[512], *save, *word;
        snprintf(options, sizeof options, "%.*s", (int)code->options.size,
                 (const char *)code->options.at);
        const char *before = " options=";
        for (word = strtok_r(options, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
            add(p, "%s%s", before, word);
            before = " ";
        }
    }
    add(p, "\n");
    inspect(code);
    add_kernels(p, code);
}

static void compare(const char *name, const struct page *p)
{
    char path[64];

    snprintf(path, sizeof path, "%s.txt", name);
    struct kgi_bytes want = fixture(path);
    if (want.size != p->length || memcmp(want.at, p->text, want.size) != 0)
        fail_msg("%s\n-- want:\n%.*s-- have:\n%s", name, (int)want.size, (const char *)want.at,
                 p->text);
}

static void fatbins_are_read_as_cuobjdump_reads_them(void **state)
{
    static const char *const names[] = {
        "default",      "zstd",      "lz4",       "none",          "plain_targets", "a_targets",
        "f_targets",    "debug",     "lineinfo",  "unpacked_120",  "options",       "rdc",
        "rdc_none",     "needs_link", "no_kernel", "ptx_only",     "lto",           "obfuscated",
        "cuda_118",     "cuda_118_all", "cuda_124", "cuda_124_zstd", "stub",     "empty",
    };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        static struct page p;
        struct kgi_code codes[32];
        char file[64];
        p.length = 0;
        p.text[0] = 0;
        snprintf(file, sizeof file, "%s.fatbin", names[i]);
        struct kgi_bytes image = fixture(file);
        size_t count = codes_of(image, codes, 32);
        for (size_t k = 0; k < count; k++)
            add_code(&p, &codes[k]);
        compare(names[i], &p);
        assert_int_equal(kgi_image_extent(image), image.size);
        assert_int_equal(kgi_fatbin_length(image), image.size);
    }
}

static void cubins_are_read_as_cuobjdump_reads_them(void **state)
{
    static const char *const names[] = {"cubin_80",   "cubin_90a",   "cubin_100",    "cubin_120a",
                                        "cubin_rdc",  "cubin_debug", "cubin_old_90a"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        static struct page p;
        struct kgi_cubin cubin;
        struct kgi_code code;
        char file[64];
        p.length = 0;
        snprintf(file, sizeof file, "%s.cubin", names[i]);
        struct kgi_bytes image = fixture(file);
        assert_int_equal(kgi_cubin_read(image, &cubin), 0);
        add(&p, "cubin sm_%d", cubin.target.number);
        if (cubin.target.suffix)
            add(&p, "%c", cubin.target.suffix);
        add(&p, " toolkit=%d\n", cubin.toolkit);
        assert_int_equal(codes_of(image, &code, 1), 1);
        assert_int_equal(inspect(&code), 0);
        assert_int_equal(code.kernels, cubin.kernels);
        assert_memory_equal(&code.target, &cubin.target, sizeof code.target);
        add_kernels(&p, &code);
        compare(names[i], &p);
        assert_int_equal(kgi_image_extent(image), image.size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fatbins_are_read_as_cuobjdump_reads_them),
        cmocka_unit_test(cubins_are_read_as_cuobjdump_reads_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
