/*
 * Damaged images: every fixture below cut at every length, and with every single bit flipped, must
 * be read without a step outside its bytes and without a broken promise (tests/fuzz/exercise.h).
 * SAN=address,undefined sees more, but the page behind the bytes is unreadable in any build.
 */
#include <time.h>
#include "../fuzz/exercise.h"
#include "code_fixture.h"

static const struct {
    const char *file;
    void (*exercise)(struct kgi_bytes);
} victims[] = {
    {"ptx_only.fatbin", exercise_fatbin},     {"needs_link.fatbin", exercise_fatbin},
    {"cuda_118_all.fatbin", exercise_fatbin}, {"lto.fatbin", exercise_fatbin},
    {"stub.fatbin", exercise_fatbin},         {"cubin_old_90a.cubin", exercise_cubin},
    {"cubin_90a.cubin", exercise_cubin},      {"cubin_90a.cubin", exercise_image},
    {"made_100f.ptx", exercise_ptx},          {"made_several.ptx", exercise_ptx},
    {"made_needs_link.ptx", exercise_image},
    {"host_exec", exercise_elf},              {"host_aarch64.so", exercise_elf},
};

static void every_cut_is_survived(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof victims / sizeof victims[0]; i++) {
        struct kgi_bytes whole = fixture(victims[i].file);
        uint8_t *at = guarded(whole.size);
        for (size_t size = 0; size <= whole.size; size++) {
            uint8_t *start = at + whole.size - size; /* always up to the unreadable page */
            memcpy(start, whole.at, size);
            victims[i].exercise((struct kgi_bytes){start, size});
        }
    }
}

/* A text of several kernels is read some dozen times for each bit, which under TSan takes two minutes: every
 * seventh will do. */
static size_t step_of(size_t victim, size_t size)
{
    return victims[victim].exercise == exercise_ptx && size > 4096 ? 7 : 1;
}

static void every_flipped_bit_is_survived(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof victims / sizeof victims[0]; i++) {
        struct kgi_bytes whole = fixture(victims[i].file);
        uint8_t *at = (uint8_t *)whole.at;
        for (size_t bit = 0; bit < whole.size * 8; bit += step_of(i, whole.size)) {
            at[bit / 8] ^= (uint8_t)(1u << bit % 8);
            victims[i].exercise(whole);
            at[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

/* ---- no input of a few MiB takes long ------------------------------------------------------------- */

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* An ELF of 8 MiB that is all section headers; every one claims the same bytes. What a section is
 * called, of which type, and how long, is the caller's. */
static struct kgi_bytes many_sections(uint16_t type, uint16_t machine, uint32_t section_type,
                                      uint64_t size)
{
    struct kgi_bytes donor = fixture("host.so"), big = {guarded(8 << 20), 8 << 20};
    uint8_t *at = (uint8_t *)big.at;
    uint64_t table = 64, count = (big.size - table) / 64 - 16;
    struct {
        uint32_t name, type;
        uint64_t flags, address, offset, size;
        uint32_t link, info;
        uint64_t align, entry;
    } s = {1, section_type, 2, 0x3000, table, size, 1, 0, 8, 24};

    memset(at, 'x', big.size);
    memcpy(at, donor.at, 64);
    memcpy(at + 7, "\0\0", 2);
    memcpy(at + 16, &type, 2);
    memcpy(at + 18, &machine, 2);
    memcpy(at + 40, &table, 8);
    memset(at + 60, 0, 4);
    at[62] = 1; /* names: section 1, a table that ends in NUL at the very end of the file */
    for (uint64_t i = 0; i < count; i++)
        memcpy(at + table + i * 64, &s, 64);
    memcpy(at + table + 32, &count, 8);
    s.type = 3;
    s.offset = table + count * 64;
    s.size = big.size - s.offset;
    memcpy(at + table + 64, &s, 64);
    memcpy(at + s.offset + 1, ".nvFatBinSegment", 17);
    at[big.size - 1] = 0;
    return big;
}

/* All symbols of a cubin are kernels with one name of 4 MiB. */
static struct kgi_bytes many_long_names(void)
{
    struct kgi_bytes big = many_sections(2, 190, 2, 4 << 20);
    uint8_t *at = (uint8_t *)big.at;
    uint64_t count = 3, symbols = 1024, size = 4 << 20, names = 4 << 20, length = 4 << 20;

    at[8] = 8;
    memcpy(at + 64 + 32, &count, 8);
    memcpy(at + 64 + 64 + 24, &names, 8); /* section 1: strings */
    memcpy(at + 64 + 64 + 32, &length, 8);
    size -= symbols;
    memcpy(at + 64 + 128 + 24, &symbols, 8);
    memcpy(at + 64 + 128 + 32, &size, 8);
    for (uint64_t i = symbols; i + 24 <= names; i += 24) {
        memset(at + i, 0, 24);
        at[i] = 1;      /* name */
        at[i + 4] = 2;  /* STT_FUNC */
        at[i + 5] = 16; /* a kernel */
        at[i + 6] = 1;
    }
    memset(at + names, 'n', length);
    at[names + length - 1] = 0;
    return big;
}

/* 170 000 wrappers, and 65 535 segments of which none holds what they point to. */
static struct kgi_bytes many_segments(void)
{
    struct kgi_bytes big = many_sections(3, 62, 1, 1);
    uint8_t *at = (uint8_t *)big.at;
    uint64_t count = 2, segments = 1 << 20, wrappers = 5 << 20, size = 3 << 20;
    struct {
        uint32_t magic, version;
        uint64_t data, linked;
    } w = {KGI_WRAPPER_MAGIC, 1, 0x1234, 0};

    memcpy(at + 64 + 32, &count, 8);
    memset(at + segments, 'x', wrappers - segments);
    memcpy(at + 32, &segments, 8);
    memcpy(at + 54, "\x38\0\xff\xff", 4);
    memcpy(at + 64 + 64 + 24, &wrappers, 8); /* section 1, by its own name, is the wrappers' */
    memcpy(at + 64 + 64 + 32, &size, 8);
    for (uint64_t i = 0; i + 24 <= size - 64; i += 24)
        memcpy(at + wrappers + i, &w, 24);
    memset(at + wrappers, 0, 32);
    memcpy(at + wrappers + 1, ".nvFatBinSegment", 17);
    at[wrappers + size - 1] = 0;
    return big;
}

static int ignore_name(const char *name, int registers, void *context)
{
    *(size_t *)context += strlen(name) + (size_t)registers;
    return 0;
}

static int ignore_wrapper(uint64_t address, uint64_t offset, void *context)
{
    (void)context;
    (void)address;
    (void)offset;
    return 0;
}

static void no_walk_is_quadratic(void **state)
{
    const double enough = 3; /* seconds; each takes some 10 ms, a quadratic one minutes */
    struct kgi_bytes elf = many_sections(3, 62, 4, 7 << 20);
    struct kgi_cubin cubin;
    const char *name;
    uint64_t where;
    size_t total = 0;
    double start = seconds();

    (void)state; /* 131 000 relocation tables, each of most of the file; then as many symbol tables */
    kgi_elf_wrappers(elf, ignore_wrapper, NULL);
    kgi_elf_extent(elf);
    assert_true(seconds() - start < enough);
    start = seconds();
    elf = many_sections(3, 62, 2, 7 << 20);
    kgi_elf_symbol_at(elf, 0x4000, &name, &where);
    assert_true(seconds() - start < enough);
    start = seconds();
    kgi_elf_wrappers(many_segments(), ignore_wrapper, NULL);
    assert_true(seconds() - start < enough);
    start = seconds();
    elf = many_long_names();
    assert_int_equal(kgi_cubin_read(elf, &cubin), 0);
    assert_true(cubin.kernels > 100000);
    assert_int_equal(kgi_cubin_kernels(elf, ignore_name, &total), -EBADMSG);
    assert_true(total <= 2 * elf.size);
    assert_true(seconds() - start < enough);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_is_survived),
        cmocka_unit_test(every_flipped_bit_is_survived),
        cmocka_unit_test(no_walk_is_quadratic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
