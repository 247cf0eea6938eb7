/* What the engine finds does not depend on how the stream cuts its bytes; damage is named, and nothing
 * it reads can make it stand still. */
#include <elf.h>
#include <sys/resource.h>
#include <unistd.h>
#include "cli/cli.h"
#include "code_fixture.h"

struct source {
    struct kgi_bytes bytes;
    size_t at, chunk; /* at most so much per read */
    int error, seeks;
};

static ssize_t read_source(void *context, void *to, size_t size)
{
    struct source *s = context;
    size_t left = s->bytes.size - s->at, n = size < left ? size : left;

    if (s->error && left == 0)
        return s->error;
    n = n < s->chunk ? n : s->chunk;
    memcpy(to, s->bytes.at + s->at, n);
    s->at += n;
    return (ssize_t)n;
}

static int skip_source(void *context, uint64_t size)
{
    struct source *s = context;

    s->seeks++;
    s->at = size < s->bytes.size - s->at ? s->at + size : s->bytes.size;
    return 0;
}

static struct kgi_file scan_by(struct source *s, size_t start, bool skip, bool kernels)
{
    struct kgi_stream stream = {.read = read_source, .context = s, .skip = skip ? skip_source : NULL};
    struct kgi_file file;

    s->at = start < s->bytes.size ? start : s->bytes.size;
    assert_int_equal(
        kgi_scan_stream("f", (struct kgi_bytes){s->bytes.at, s->at}, &stream, kernels, &file), 0);
    return file;
}

static struct kgi_file scan(struct kgi_bytes bytes)
{
    struct source s = {.bytes = bytes, .chunk = SIZE_MAX};

    return scan_by(&s, 0, false, false);
}

static void same(const struct kgi_file *a, const struct kgi_file *b)
{
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->found_count, b->found_count);
    for (size_t i = 0; i < a->found_count; i++) {
        const struct kgi_found *x = &a->found[i], *y = &b->found[i];
        assert_int_equal(x->place, y->place);
        assert_int_equal(x->registered, y->registered);
        assert_int_equal(x->linked, y->linked);
        assert_int_equal(x->relocatable, y->relocatable);
        assert_int_equal(x->count, y->count);
        for (size_t j = 0; j < x->count; j++) {
            assert_int_equal(x->codes[j].place, y->codes[j].place);
            assert_int_equal(x->codes[j].traits, y->codes[j].traits);
            assert_int_equal(x->codes[j].kernels, y->codes[j].kernels);
            assert_int_equal(x->codes[j].target.number, y->codes[j].target.number);
        }
    }
    if (a->error || b->error)
        assert_string_equal(a->error, b->error);
}

static void any_chunks(void **state)
{
    static const char *const names[] = {"host.so", "plain_targets.fatbin", "cubin_90a.cubin",
                                        "legacy.ptx", "host_object.o", "rdc.fatbin"};
    static const size_t chunks[] = {1, 7, 64, 4093};

    (void)state;
    for (size_t n = 0; n < KGI_COUNT(names); n++) {
        struct kgi_bytes bytes = fixture(names[n]);
        struct kgi_file whole = scan(bytes);
        assert_true(whole.found_count > 0);
        for (size_t c = 0; c < KGI_COUNT(chunks); c++)
            for (size_t start = 0; start < 9000; start += 4096) {
                struct source s = {.bytes = bytes, .chunk = chunks[c]};
                struct kgi_file cut = scan_by(&s, start, c & 1, false);
                same(&whole, &cut);
                kgi_file_free(&cut);
            }
        kgi_file_free(&whole);
    }
}

/* A fatbin of three entries, the middle one of `size` bytes. */
static struct kgi_bytes big_fatbin(uint64_t size)
{
    struct kgi_bytes one = fixture("stub.fatbin");
    uint64_t entry = one.size - 16, all = 16 + 2 * entry + 64 + size;
    uint8_t *b = calloc(1, all);
    uint64_t length = all - 16;

    memcpy(b, one.at, 16);
    memcpy(b + 8, &length, 8);
    memcpy(b + 16, one.at + 16, entry);
    memcpy(b + 16 + entry, one.at + 16, 64);
    const uint32_t header = 64, zero = 0;
    memcpy(b + 16 + entry + 4, &header, 4);
    memcpy(b + 16 + entry + 8, &size, 8);
    memcpy(b + 16 + entry + 16, &zero, 4); /* plain */
    memset(b + 16 + entry + 40, 0, 8);
    memset(b + 16 + entry + 56, 0, 8);
    memset(b + 16 + entry + 32, 0, 8);
    memcpy(b + 16 + entry + 20, &zero, 4);
    memcpy(b + 16 + entry + 64 + size, one.at + 16, entry);
    return (struct kgi_bytes){b, all};
}

static void passes_over_payloads(void **state)
{
    struct kgi_bytes bytes = big_fatbin(3 << 20);

    (void)state;
    for (int skip = 0; skip < 2; skip++) {
        struct source s = {.bytes = bytes, .chunk = SIZE_MAX};
        struct kgi_file file = scan_by(&s, 0, skip, false);
        assert_null(file.error);
        assert_int_equal(file.size, bytes.size);
        assert_int_equal(file.found_count, 1);
        assert_int_equal(file.found[0].count, 3);
        assert_int_equal(s.seeks, skip);
        kgi_file_free(&file);
        s.bytes.size -= (2 << 20); /* the end is missing: a seek must not hide that */
        file = scan_by(&s, 0, skip, false);
        assert_non_null(file.error);
        assert_non_null(strstr(file.error, "the file ends inside the fatbin at 0x0"));
        kgi_file_free(&file);
    }
    free((void *)(uintptr_t)bytes.at);
}

/* The payload's last byte is the file's. */
static void passes_to_the_very_end(void **state)
{
    struct kgi_bytes bytes = big_fatbin(3 << 20);
    uint64_t entry = fixture("stub.fatbin").size - 16, length = bytes.size - 16 - entry;
    uint8_t *copy = malloc(bytes.size);

    (void)state;
    memcpy(copy, bytes.at, bytes.size);
    memcpy(copy + 8, &length, 8); /* without the third entry */
    struct source s = {.bytes = {copy, 16 + length}, .chunk = SIZE_MAX};
    struct kgi_file file = scan_by(&s, 0, true, false);
    assert_null(file.error);
    assert_int_equal(file.found[0].count, 2);
    assert_int_equal(file.size, 16 + length);
    assert_int_equal(s.seeks, 1);
    kgi_file_free(&file);
    free(copy);
    free((void *)(uintptr_t)bytes.at);
}

static void every_prefix_ends(void **state)
{
    static const char *const names[] = {"host.so", "a_targets.fatbin", "cubin_90a.cubin"};

    (void)state;
    alarm(100);
    for (size_t n = 0; n < KGI_COUNT(names); n++) {
        struct kgi_bytes bytes = fixture(names[n]);
        for (size_t size = 0; size < bytes.size; size += size < 300 ? 1 : 61) {
            struct kgi_file file = scan((struct kgi_bytes){bytes.at, size});
            assert_int_equal(file.size, size);
            if (size > 64)
                assert_non_null(file.error);
            kgi_file_free(&file);
        }
    }
}

/* Damage at each byte: any answer will do that is an answer. */
static void any_byte_may_lie(void **state)
{
    struct kgi_bytes bytes = fixture("host.so");
    uint8_t *copy = malloc(bytes.size);

    (void)state;
    alarm(100);
    for (size_t at = 0; at < bytes.size; at += at < 4096 ? 1 : 7)
        for (unsigned value = 0; value < 256; value += 85) {
            memcpy(copy, bytes.at, bytes.size);
            copy[at] = (uint8_t)value;
            struct kgi_file file = scan((struct kgi_bytes){copy, bytes.size});
            kgi_file_free(&file);
        }
    free(copy);
}

static void four_bytes_are_no_fatbin(void **state)
{
    uint8_t b[256] = {0};
    uint32_t magic = KGI_FATBIN_MAGIC;

    (void)state;
    memcpy(b + 64, &magic, 4);
    b[64 + 4] = 1; /* version */
    b[64 + 6] = 16;
    b[64 + 8] = 64;
    struct kgi_file file = scan((struct kgi_bytes){b, sizeof b});
    assert_int_equal(file.found_count, 0);
    assert_null(file.error);
    kgi_file_free(&file);
    memset(b + 64 + 8, 0, 8); /* an empty one, but of a version that is not known */
    b[64 + 4] = 2;
    file = scan((struct kgi_bytes){b, sizeof b});
    assert_int_equal(file.found_count, 0);
    kgi_file_free(&file);
    memcpy(b, b + 64, 16); /* but a file that begins so is broken */
    file = scan((struct kgi_bytes){b, sizeof b});
    assert_non_null(file.error);
    kgi_file_free(&file);
}

static void finds_them_anywhere(void **state)
{
    struct kgi_bytes fatbin = fixture("plain_targets.fatbin"), cubin = fixture("cubin_90a.cubin");
    size_t size = 700000 + fatbin.size + cubin.size;
    uint8_t *b = calloc(1, size);

    (void)state;
    memcpy(b + 262136, fatbin.at, fatbin.size); /* across the window's edge */
    memcpy(b + 524280, cubin.at, cubin.size);
    struct kgi_file file = scan((struct kgi_bytes){b, size});
    assert_int_equal(file.found_count, 2);
    assert_int_equal(file.found[0].place, 262136);
    assert_int_equal(file.found[0].count, 24);
    assert_int_equal(file.found[1].place, 524280);
    assert_false(file.found[1].fatbin);
    assert_int_equal(file.found[1].codes[0].target.suffix, 'a');
    assert_true(file.found[0].registered); /* no linked ELF: all count */
    kgi_file_free(&file);
    free(b);
}

/* A cubin with its section table in front, as half of those that CUPTI brings have it. */
static void section_table_in_front(void **state)
{
    struct kgi_bytes cubin = fixture("cubin_90a.cubin");
    struct kgi_file before = scan(cubin);
    Elf64_Ehdr h;
    Elf64_Shdr s;

    (void)state;
    memcpy(&h, cubin.at, sizeof h);
    size_t table = h.e_shnum * sizeof s;
    uint8_t *b = malloc(table + cubin.size);
    memcpy(b + table, cubin.at, cubin.size);
    for (size_t i = 0; i < h.e_shnum; i++) {
        memcpy(&s, cubin.at + h.e_shoff + i * sizeof s, sizeof s);
        s.sh_offset += table;
        memcpy(b + sizeof h + i * sizeof s, &s, sizeof s);
    }
    h.e_shoff = sizeof h;
    h.e_phoff = h.e_phnum = 0;
    memcpy(b, &h, sizeof h);
    struct kgi_file file = scan((struct kgi_bytes){b, table + cubin.size});
    assert_int_equal(file.found_count, 1);
    assert_int_equal(file.found[0].codes[0].traits, before.found[0].codes[0].traits);
    assert_int_equal(file.found[0].codes[0].kernels, before.found[0].codes[0].kernels);
    assert_null(file.error);
    kgi_file_free(&file);
    kgi_file_free(&before);
    free(b);
}

static void wrappers_tell(void **state)
{
    struct kgi_file file = scan(fixture("host.so"));
    size_t registered = 0, linked = 0;

    (void)state;
    assert_true(file.dynamic_elf);
    for (size_t i = 0; i < file.found_count; i++) {
        registered += file.found[i].registered;
        linked += file.found[i].linked;
    }
    assert_int_equal(registered, file.found_count);
    assert_int_equal(linked, 1); /* the device link's stub */
    kgi_file_free(&file);

    struct kgi_bytes bytes = fixture("host.so");
    uint8_t *copy = malloc(bytes.size);
    uint32_t magic = KGI_WRAPPER_MAGIC;
    memcpy(copy, bytes.at, bytes.size);
    for (size_t at = 0; at + 24 <= bytes.size; at += 8) /* one wrapper less: its fatbin is not registered */
        if (memcmp(copy + at, &magic, 4) == 0) {
            copy[at] = 0;
            break;
        }
    file = scan((struct kgi_bytes){copy, bytes.size});
    registered = 0;
    for (size_t i = 0; i < file.found_count; i++)
        registered += file.found[i].registered;
    assert_int_equal(registered, file.found_count - 1);
    kgi_file_free(&file);
    free(copy);
}

static void read_errors_are_told(void **state)
{
    struct kgi_bytes bytes = fixture("host.so");
    struct source s = {.bytes = {bytes.at, 4096}, .chunk = 1000, .error = -EIO};
    struct kgi_file file = scan_by(&s, 0, false, false);

    (void)state;
    assert_non_null(strstr(file.error, "byte 0x1000: "));
    assert_false(file.damaged);
    kgi_file_free(&file);
}

static void kernels_of_all(void **state)
{
    struct source s = {.bytes = fixture("default.fatbin"), .chunk = 100};
    struct kgi_file file = scan_by(&s, 0, false, true);
    const struct kgi_found *found = &file.found[0];

    (void)state;
    assert_null(file.error);
    assert_int_equal(file.found_count, 1);
    assert_int_equal(found->count, 2);
    for (size_t j = 0; j < 2; j++) {
        assert_int_equal(found->codes[j].kernels, 5);
        bool cubin = found->codes[j].kind == KGI_CUBIN;
        for (int k = 0; k < 5; k++)
            assert_int_equal(found->kernels[j][k].registers > 0, cubin);
    }
    for (int k = 0; k < 5; k++) { /* each name once: the pointers are equal */
        int equal = 0;
        for (int l = 0; l < 5; l++)
            equal += found->kernels[0][k].name == found->kernels[1][l].name;
        assert_int_equal(equal, 1);
    }
    kgi_file_free(&file);
}

static ssize_t read_source_at(void *context, void *to, size_t size, uint64_t offset)
{
    struct source *s = context;
    size_t left = offset < s->bytes.size ? s->bytes.size - offset : 0, n = size < left ? size : left;

    if (s->error)
        return s->error;
    n = n < s->chunk ? n : s->chunk;
    memcpy(to, s->bytes.at + offset, n);
    return (ssize_t)n;
}

static struct kgi_file scan_at(struct source *s)
{
    struct kgi_stream stream = {read_source, s, skip_source, read_source_at};
    struct kgi_file file;

    s->at = 0;
    assert_int_equal(kgi_scan_stream("f", (struct kgi_bytes){NULL, 0}, &stream, true, &file), 0);
    return file;
}

static void same_kernels(const struct kgi_found *a, const struct kgi_found *b)
{
    for (size_t j = 0; j < a->count; j++)
        for (int k = 0; a->kernels && k < a->codes[j].kernels; k++) {
            assert_string_equal(a->kernels[j][k].name, b->kernels[j][k].name);
            assert_int_equal(a->kernels[j][k].registers, b->kernels[j][k].registers);
        }
}

/* Copied on their way, or read by the threads: the same kernels. */
static void kernels_by_either_way(void **state)
{
    static const char *const names[] = {"host.so", "plain_targets.fatbin", "cubin_90a.cubin",
                                        "legacy.ptx", "a_targets.fatbin", "rdc.fatbin"};

    (void)state;
    for (size_t n = 0; n < KGI_COUNT(names); n++) {
        struct source s = {.bytes = fixture(names[n]), .chunk = 1000};
        struct kgi_file copied = scan_by(&s, 0, false, true), read = scan_at(&s);
        same(&copied, &read);
        for (size_t i = 0; i < copied.found_count; i++)
            same_kernels(&copied.found[i], &read.found[i]);
        kgi_file_free(&copied);
        kgi_file_free(&read);
    }
}

/* A library whose section headers, and their names, lie 5 MB behind all else, and call its fatbins
 * relocatable; two fatbins and a magic number in between. */
static struct kgi_bytes far_sections(void)
{
    struct kgi_bytes host = fixture("host.so"), one = fixture("stub.fatbin");
    size_t table = 5 << 20, count;
    uint8_t *b = calloc(1, table + (64 << 10));
    Elf64_Ehdr *h = memcpy(b, host.at, host.size);
    Elf64_Shdr *sections = memcpy(b + table, host.at + h->e_shoff, h->e_shnum * sizeof *sections);
    Elf64_Shdr *names = &sections[h->e_shstrndx];
    char *strings = (char *)b + table - 4096;

    memcpy(strings, host.at + names->sh_offset, names->sh_size);
    for (size_t i = 0; i < h->e_shnum; i++)
        if (strcmp(strings + sections[i].sh_name, ".nv_fatbin") == 0)
            sections[i].sh_name = (Elf64_Word)names->sh_size;
    strcpy(strings + names->sh_size, "__nv_relfatbin");
    names->sh_offset = table - 4096;
    names->sh_size += sizeof "__nv_relfatbin";
    memcpy(b + (1 << 20) + 8, "\x7f""ELF", 4);
    memcpy(b + (3 << 20) - 16, one.at, one.size); /* across the edges of what the threads look at */
    memcpy(b + (4 << 20) + 24, one.at, one.size);
    h->e_shoff = table;
    count = table + h->e_shnum * sizeof *sections;
    return (struct kgi_bytes){b, count + 3};
}

/* The threads pass over what holds nothing, and over nothing else. */
static void looking_ahead_misses_nothing(void **state)
{
    struct source s = {.bytes = far_sections(), .chunk = 50000};
    struct kgi_file alone = scan_by(&s, 0, false, true), together = scan_at(&s);

    (void)state;
    assert_null(alone.error);
    same(&alone, &together);
    assert_true(s.seeks > 0);
    assert_int_equal(together.found_count, 4);
    assert_true(together.found[0].relocatable);
    assert_int_equal(together.found[2].place, (3 << 20) - 16);
    kgi_file_free(&alone);
    kgi_file_free(&together);

    s.bytes.size = 0x28fff5; /* cut short where nothing is, not at an eighth byte */
    alone = scan_by(&s, 0, true, true);
    together = scan_at(&s);
    assert_non_null(strstr(alone.error, "byte 0x28fff5: the file ends before"));
    same(&alone, &together);
    kgi_file_free(&alone);
    kgi_file_free(&together);

    s.error = -EIO; /* what cannot be read is told, and where */
    together = scan_at(&s);
    assert_non_null(strstr(together.error, "byte 0x28fff5: Input/output error"));
    kgi_file_free(&together);
    free((void *)(uintptr_t)s.bytes.at);
}

/* 600 cubins that differ in a number nobody reads, every second one also in that its kernels are none:
 * more than are remembered at a time, and none may be taken for another. */
static void what_is_remembered_is_of_the_same_bytes(void **state)
{
    enum { COUNT = 600 };
    struct kgi_bytes one = fixture("cubin_90a.cubin"), symbols, names;
    size_t step = (one.size + 7) & ~(size_t)7;
    uint8_t *all = calloc(COUNT, step);

    (void)state;
    assert_int_equal(kgi_elf_symbols(one, SHT_SYMTAB, &symbols, &names), 0);
    for (uint64_t i = 0; i < COUNT; i++) {
        uint8_t *cubin = memcpy(all + i * step, one.at, one.size);
        memcpy(cubin + offsetof(Elf64_Ehdr, e_entry), &i, sizeof i);
        for (size_t at = 0; at < symbols.size && i & 1; at += sizeof(Elf64_Sym))
            cubin[symbols.at - one.at + (ptrdiff_t)(at + offsetof(Elf64_Sym, st_other))] = 0;
    }
    struct kgi_file file = scan((struct kgi_bytes){all, COUNT * step});
    assert_int_equal(file.found_count, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(file.found[i].codes[0].kernels, i & 1 ? 0 : 1);
    kgi_file_free(&file);
    free(all);
}

/* One stream for who reads on, another for who reads at a place. */
struct two {
    struct source *first, *second;
};

static ssize_t read_first(void *context, void *to, size_t size)
{
    return read_source(((struct two *)context)->first, to, size);
}

static ssize_t read_second(void *context, void *to, size_t size, uint64_t offset)
{
    return read_source_at(((struct two *)context)->second, to, size, offset);
}

/* A payload that was passed over, and is gone or unreadable when a thread comes for it. */
static void lost_payloads_are_told(void **state)
{
    struct kgi_bytes bytes = big_fatbin(3 << 20);
    struct source whole = {.bytes = bytes, .chunk = SIZE_MAX};
    struct source short_one = {.bytes = {bytes.at, 4000}, .chunk = SIZE_MAX};
    struct source bad = {.bytes = bytes, .chunk = SIZE_MAX, .error = -EIO};
    struct {
        struct source *at;
        const char *says;
    } rows[] = {{&short_one, "the file has become shorter"}, {&bad, "Input/output error"}};

    (void)state;
    for (size_t i = 0; i < KGI_COUNT(rows); i++) {
        struct two both = {&whole, rows[i].at};
        struct kgi_stream stream = {read_first, &both, NULL, read_second};
        struct kgi_file file;
        whole.at = 0;
        assert_int_equal(kgi_scan_stream("f", (struct kgi_bytes){NULL, 0}, &stream, true, &file), 0);
        assert_non_null(strstr(file.error, rows[i].says));
        assert_non_null(strstr(file.error, i ? "byte 0x50: " : "byte 0x"));
        assert_false(file.damaged);
        assert_int_equal(file.found[0].count, 3);
        assert_true(file.found[0].codes[1].traits & KGI_T_UNREADABLE);
        assert_int_equal(file.found[0].codes[1].kernels, -1);
        kgi_file_free(&file);
    }
    free((void *)(uintptr_t)bytes.at);
}

/* What a file leaves behind is what was found in it: 4 000 of an environment's 50 000, each of which once
 * left a hole of 320 KB. */
static void many_files_fit_in_little_memory(void **state)
{
    struct kgi_bytes bytes = fixture("stub.fatbin");
    static struct kgi_file files[4000];
    struct rusage before, after;

    (void)state;
    files[0] = scan(bytes);
    getrusage(RUSAGE_SELF, &before);
    for (size_t i = 1; i < KGI_COUNT(files); i++)
        files[i] = scan(bytes);
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 16 << 10); /* KB */
    for (size_t i = 0; i < KGI_COUNT(files); i++)
        kgi_file_free(&files[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_chunks),
        cmocka_unit_test(passes_over_payloads),
        cmocka_unit_test(passes_to_the_very_end),
        cmocka_unit_test(every_prefix_ends),
        cmocka_unit_test(any_byte_may_lie),
        cmocka_unit_test(four_bytes_are_no_fatbin),
        cmocka_unit_test(finds_them_anywhere),
        cmocka_unit_test(section_table_in_front),
        cmocka_unit_test(wrappers_tell),
        cmocka_unit_test(read_errors_are_told),
        cmocka_unit_test(kernels_of_all),
        cmocka_unit_test(kernels_by_either_way),
        cmocka_unit_test(looking_ahead_misses_nothing),
        cmocka_unit_test(what_is_remembered_is_of_the_same_bytes),
        cmocka_unit_test(lost_payloads_are_told),
        cmocka_unit_test(many_files_fit_in_little_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
