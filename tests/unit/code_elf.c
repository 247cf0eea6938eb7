/* Linked host ELFs of GNU ld, lld and an aarch64 ld, compared with what readelf says of them. */
#include "code_fixture.h"

static const char *const hosts[] = {"host.so",   "host_relr.so", "host_lld.so",
                                    "host_exec", "host_ptx.so",  "host_aarch64.so"};

struct found {
    uint64_t address[8], offset[8];
    size_t count;
};

static int note(uint64_t address, uint64_t offset, void *context)
{
    struct found *f = context;

    assert_true(f->count < 8);
    f->address[f->count] = address;
    f->offset[f->count++] = offset;
    return 0;
}

/* One line of NAME.txt; -1 at the end. */
static int each_line(struct kgi_bytes text, size_t *at, char *line, size_t size)
{
    const char *start = (const char *)text.at + *at;
    size_t left = text.size - *at;
    const char *end = left ? memchr(start, '\n', left) : NULL;

    if (!end)
        return -1;
    snprintf(line, size, "%.*s", (int)(end - start), start);
    *at += (size_t)(end - start) + 1;
    return 0;
}

static void wrappers_are_where_readelf_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        char name[64], line[256];
        size_t at = 0, lines = 0;
        struct found f = {.count = 0};
        snprintf(name, sizeof name, "%s.txt", hosts[i]);
        struct kgi_bytes elf = fixture(hosts[i]), want = fixture(name);
        assert_int_equal(kgi_elf_wrappers(elf, note, &f), 0);
        while (each_line(want, &at, line, sizeof line) == 0) {
            unsigned long address, offset;
            if (sscanf(line, "wrapper %lx %lx", &address, &offset) != 2)
                continue;
            assert_true(lines < f.count);
            assert_int_equal(f.address[lines], address);
            assert_int_equal(f.offset[lines], offset);
            assert_true(kgi_fatbin_length(kgi_bytes_cut(elf, offset, elf.size - offset)) >= 16);
            lines++;
        }
        assert_int_equal(lines, f.count);
        assert_true(lines > 0);
    }
}

static void functions_have_the_names_readelf_says(void **state)
{
    (void)state;
    size_t functions = 0;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        char text[64], line[256];
        size_t at = 0;
        snprintf(text, sizeof text, "%s.txt", hosts[i]);
        struct kgi_bytes elf = fixture(hosts[i]), want = fixture(text);
        while (each_line(want, &at, line, sizeof line) == 0) {
            unsigned long address, size;
            char expected[200];
            const char *name;
            uint64_t start;
            if (sscanf(line, "function %lx %lx %199s", &address, &size, expected) != 3)
                continue;
            const uint64_t inside[] = {address, address + size / 2, address + size - 1};
            for (size_t k = 0; k < 3; k++) {
                assert_int_equal(kgi_elf_symbol_at(elf, inside[k], &name, &start), 0);
                assert_string_equal(name, expected);
                assert_int_equal(start, address);
            }
            functions++;
        }
    }
    assert_true(functions > 20);
}

static void an_address_outside_every_function_has_no_name(void **state)
{
    struct kgi_bytes elf = fixture("host.so");
    const char *name;
    uint64_t start;

    (void)state;
    assert_int_equal(kgi_elf_symbol_at(elf, 0x10, &name, &start), -ENOENT);
    assert_int_equal(kgi_elf_symbol_at(elf, 0x805, &name, &start), -ENOENT); /* the last one's end */
    assert_int_equal(kgi_elf_symbol_at(elf, UINT64_MAX, &name, &start), -ENOENT);
}

static void sections_come_by_number_name_and_type(void **state)
{
    struct kgi_bytes elf = fixture("host.so");
    struct kgi_section s;

    (void)state;
    assert_int_equal(kgi_elf_section_named(elf, ".nvFatBinSegment", &s), 0);
    assert_int_equal(s.address, 0x3068); /* its first wrapper's */
    assert_int_equal(s.size, 48);
    assert_int_equal(kgi_elf_bytes(elf, &s).size, 48);
    assert_int_equal(kgi_elf_section_named(elf, ".bss", &s), 0);
    assert_int_equal(kgi_elf_bytes(elf, &s).size, 0);
    assert_int_equal(kgi_elf_section_typed(elf, 11, &s), 0); /* SHT_DYNSYM */
    assert_string_equal(s.name, ".dynsym");
    assert_int_equal(kgi_elf_section_named(elf, ".nv", &s), -ENOENT);
    assert_int_equal(kgi_elf_section(elf, 0, &s), 0);
    assert_int_equal(kgi_elf_section(elf, 1000, &s), -ENOENT);
    assert_int_equal(kgi_elf_machine(elf), 62);
    assert_int_equal(kgi_elf_machine(fixture("host_aarch64.so")), 183);
    assert_int_equal(kgi_elf_machine(fixture("cubin_90a.cubin")), 190);
    assert_int_equal(kgi_elf_machine(fixture("legacy.ptx")), 0);
}

static void addresses_become_offsets_through_segments(void **state)
{
    struct kgi_bytes elf = fixture("host.so");
    uint64_t offset;

    (void)state; /* LOAD off 0x1ea0 vaddr 0x2ea0 in readelf -l of this file */
    assert_int_equal(kgi_elf_offset(elf, 0x3068, &offset), 0);
    assert_int_equal(offset, 0x2068);
    assert_int_equal(kgi_elf_offset(elf, 0x810, &offset), 0);
    assert_int_equal(offset, 0x810);
    assert_int_equal(kgi_elf_offset(elf, UINT64_MAX, &offset), -ENOENT);
    assert_int_equal(kgi_elf_offset(elf, 0x2000, &offset), -ENOENT);
}

static int stop_at_once(uint64_t address, uint64_t offset, void *context)
{
    (void)address;
    (void)offset;
    return ++*(int *)context + 40;
}

static void a_walk_stops_when_told(void **state)
{
    int calls = 0;

    (void)state;
    assert_int_equal(kgi_elf_wrappers(fixture("host.so"), stop_at_once, &calls), 41);
    assert_int_equal(calls, 1);
}

static void what_is_no_linked_host_file_is_told_apart(void **state)
{
    struct found f = {.count = 0};

    (void)state;
    assert_int_equal(kgi_elf_wrappers(fixture("host_object.o"), note, &f), -ENOTSUP);
    assert_int_equal(kgi_elf_wrappers(fixture("legacy.ptx"), note, &f), -ENODATA);
    assert_int_equal(kgi_elf_wrappers(fixture("cubin_90a.cubin"), note, &f), -ENODATA);
    assert_int_equal(f.count, 0);
}

/* More sections than e_shnum can say: the count and the names' index stand in section 0. */
static void extended_numbering_is_understood(void **state)
{
    struct kgi_bytes elf = fixture("host.so");
    uint8_t *at = (uint8_t *)elf.at;
    uint64_t sections;
    uint16_t count, names, none = 0, extended = 0xffff;
    struct kgi_section s;

    (void)state;
    memcpy(&sections, at + 40, 8);
    memcpy(&count, at + 60, 2);
    memcpy(&names, at + 62, 2);
    memcpy(at + 60, &none, 2);
    memcpy(at + 62, &extended, 2);
    memcpy(at + sections + 32, &count, 2); /* sh_size and sh_link of section 0 */
    memcpy(at + sections + 40, &names, 2);
    assert_int_equal(kgi_elf_section_named(elf, ".nvFatBinSegment", &s), 0);
    assert_int_equal(s.address, 0x3068);
}

static void patch(struct kgi_bytes elf, uint64_t offset, uint64_t value, size_t size)
{
    assert_true(kgi_bytes_has(elf, offset, size));
    memcpy((uint8_t *)elf.at + offset, &value, size);
}

/* The file offset of a field of the section header of that name. */
static uint64_t header_field(struct kgi_bytes elf, const char *section, size_t field)
{
    struct kgi_section s;
    uint64_t sections;

    memcpy(&sections, elf.at + 40, 8);
    for (size_t i = 1; kgi_elf_section(elf, i, &s) == 0; i++)
        if (strcmp(s.name, section) == 0)
            return sections + i * 64 + field;
    fail_msg("no section %s", section);
    return 0;
}

enum { SH_ADDRESS = 16, SH_SIZE = 32 };

static size_t wrappers_of(struct kgi_bytes elf, struct found *f)
{
    f->count = 0;
    assert_int_equal(kgi_elf_wrappers(elf, note, f), 0);
    return f->count;
}

/* What a relocation says counts, not what lies in the place; another kind of relocation says nothing. */
static void relative_relocations_place_the_fatbins(void **state)
{
    struct kgi_bytes arm = fixture("host_aarch64.so"), lld = fixture("host_lld.so");
    struct kgi_section s;
    struct found f;
    uint64_t type;

    (void)state;
    assert_int_equal(kgi_elf_section_named(arm, ".nvFatBinSegment", &s), 0);
    patch(arm, s.offset + 8, 0, 8);
    assert_int_equal(wrappers_of(arm, &f), 1);
    assert_int_equal(f.offset[0], 0x300); /* readelf -r: 2008 R_AARCH64_RELATIVE 300 */

    assert_int_equal(kgi_elf_section_named(lld, ".rela.dyn", &s), 0);
    for (uint64_t at = s.offset; at < s.offset + s.size; at += 24) {
        memcpy(&type, lld.at + at + 8, 8);
        if (type == 8) /* R_X86_64_RELATIVE -> R_X86_64_DTPMOD64 */
            patch(lld, at + 8, 16, 8);
    }
    assert_int_equal(wrappers_of(lld, &f), 0);
}

static void padding_between_wrappers_is_skipped(void **state)
{
    struct kgi_bytes elf = fixture("host_exec");
    struct kgi_section s;
    uint8_t wrapper[24];
    struct found f;

    (void)state;
    assert_int_equal(wrappers_of(elf, &f), 2);
    uint64_t first = f.offset[0];
    assert_int_equal(kgi_elf_section_named(elf, ".nvFatBinSegment", &s), 0);
    memcpy(wrapper, elf.at + s.offset, 24);
    memset((uint8_t *)elf.at + s.offset, 0, s.size);
    memcpy((uint8_t *)elf.at + s.offset + 8, wrapper, 24);
    assert_int_equal(wrappers_of(elf, &f), 1);
    assert_int_equal(f.address[0], s.address + 8);
    assert_int_equal(f.offset[0], first);
}

static void a_segment_too_small_for_a_wrapper_holds_none(void **state)
{
    struct kgi_bytes elf = fixture("host_lld.so");
    struct found f;

    (void)state; /* every relocation of the file lies above its address */
    patch(elf, header_field(elf, ".nvFatBinSegment", SH_ADDRESS), 0, 8);
    patch(elf, header_field(elf, ".nvFatBinSegment", SH_SIZE), 4, 8);
    assert_int_equal(wrappers_of(elf, &f), 0);
}

static void the_innermost_function_gives_the_name(void **state)
{
    struct kgi_bytes elf = fixture("host_exec"), symbols, names;
    const char *name;
    uint64_t start, value;

    (void)state;
    assert_int_equal(kgi_elf_symbols(elf, 2, &symbols, &names), 0);
    for (size_t at = 0; at < symbols.size; at += 24) {
        memcpy(&value, symbols.at + at + 8, 8);
        if (value == 0x40016d || value == 0x400272) /* the neighbours of _Z4tinyPi swallow it */
            patch(elf, (uint64_t)(symbols.at - elf.at) + at + 16, 0x300, 8);
    }
    assert_int_equal(kgi_elf_symbol_at(elf, 0x400268, &name, &start), 0);
    assert_string_equal(name, "_Z4tinyPi");
    assert_int_equal(kgi_elf_symbol_at(elf, 0x40016c, &name, &start), 0);
    assert_string_equal(name, "_ZL26__cudaUnregisterBinaryUtilv");
}

static void other_classes_are_not_read(void **state)
{
    struct kgi_bytes elf = fixture("host.so"), big = fixture("host.so");
    struct kgi_section s;

    (void)state;
    patch(elf, 4, 1, 1);
    patch(big, 5, 2, 1);
    assert_int_equal(kgi_elf_section(elf, 1, &s), -ENOTSUP);
    assert_int_equal(kgi_elf_section(big, 1, &s), -ENOTSUP);
    assert_int_equal(kgi_elf_machine(elf), 0);
}

/* A name must end inside its table: a table whose last byte is not NUL has no names. */
static void string_tables_without_an_end_are_refused(void **state)
{
    static const char *const tables[] = {".shstrtab", ".strtab"};
    struct kgi_section s;
    const char *name;
    uint64_t start;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct kgi_bytes elf = fixture("host_exec");
        assert_int_equal(kgi_elf_section_named(elf, tables[i], &s), 0);
        patch(elf, header_field(elf, tables[i], SH_SIZE), s.size - 1, 8);
        assert_int_equal(kgi_elf_section_named(elf, ".text", &s), i == 0 ? -ENOENT : 0);
        assert_int_equal(kgi_elf_symbol_at(elf, 0x400264, &name, &start), i == 0 ? 0 : -ENOENT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrappers_are_where_readelf_says),
        cmocka_unit_test(functions_have_the_names_readelf_says),
        cmocka_unit_test(an_address_outside_every_function_has_no_name),
        cmocka_unit_test(sections_come_by_number_name_and_type),
        cmocka_unit_test(addresses_become_offsets_through_segments),
        cmocka_unit_test(a_walk_stops_when_told),
        cmocka_unit_test(what_is_no_linked_host_file_is_told_apart),
        cmocka_unit_test(extended_numbering_is_understood),
        cmocka_unit_test(relative_relocations_place_the_fatbins),
        cmocka_unit_test(padding_between_wrappers_is_skipped),
        cmocka_unit_test(a_segment_too_small_for_a_wrapper_holds_none),
        cmocka_unit_test(the_innermost_function_gives_the_name),
        cmocka_unit_test(other_classes_are_not_read),
        cmocka_unit_test(string_tables_without_an_end_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
