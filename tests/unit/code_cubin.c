/* Cubins with one thing changed; what whole ones hold is compared with cuobjdump in code_fixtures. */
#include "code_fixture.h"

static struct kgi_cubin read_cubin(struct kgi_bytes elf)
{
    struct kgi_cubin c;

    assert_int_equal(kgi_cubin_read(elf, &c), 0);
    return c;
}

static uint8_t *section_bytes(struct kgi_bytes elf, const char *name, size_t *size)
{
    struct kgi_section s;

    assert_int_equal(kgi_elf_section_named(elf, name, &s), 0);
    *size = s.size;
    return (uint8_t *)elf.at + s.offset;
}

static void only_abi_7_and_8_are_known(void **state)
{
    struct kgi_bytes elf = fixture("cubin_90a.cubin");
    struct kgi_cubin c;
    struct kgi_code code;
    size_t count;

    (void)state;
    assert_int_equal(read_cubin(elf).abi, 8);
    ((uint8_t *)elf.at)[8] = 9;
    assert_int_equal(kgi_cubin_read(elf, &c), -ENOTSUP);
    assert_int_equal(kgi_image_codes(elf, &code, 1, &count, NULL), -ENOTSUP);
    assert_int_equal(kgi_cubin_read(fixture("host.so"), &c), -ENODATA);
    assert_int_equal(kgi_cubin_read(text_bytes(""), &c), -ENODATA);
}

/* The same e_flags for sm_90 and sm_90a: .nv.compat attribute 09 alone makes the difference. */
static void the_suffix_is_an_attribute(void **state)
{
    struct kgi_bytes elf = fixture("cubin_90a.cubin");
    size_t size, at = 0;
    uint8_t *compat = section_bytes(elf, ".nv.compat", &size);

    (void)state;
    assert_int_equal(read_cubin(elf).target.suffix, 'a');
    while (at + 4 <= size && compat[at + 1] != 0x09)
        at += 4;
    assert_int_equal(compat[at + 2], 1);
    compat[at + 2] = 0;
    assert_int_equal(read_cubin(elf).target.suffix, 0);
    assert_int_equal(read_cubin(elf).target.number, 90);
}

static int registers_of(const char *name, int registers, void *context)
{
    (void)name;
    *(int *)context = registers;
    return 0;
}

/* A record of four bytes that looks like a length must not swallow those behind it. */
static void records_without_a_length_are_stepped_over(void **state)
{
    struct kgi_bytes elf = fixture("cubin_90a.cubin");
    size_t size;
    uint8_t *info = section_bytes(elf, ".nv.info", &size);
    uint8_t registers[12];
    int found = -1;

    (void)state; /* {04 2F 0008 symbol count} first, in cubins of one kernel */
    assert_true(size >= 24 && info[0] == 4 && info[1] == 0x2f);
    memcpy(registers, info, 12);
    memcpy(info, "\1\1\377\377\2\2\377\0\3\3\377\377", 12);
    memcpy(info + 12, registers, 12);
    assert_int_equal(kgi_cubin_kernels(elf, registers_of, &found), 0);
    assert_int_equal(found, 8);
}

static void kernels_of_other_units_do_not_count(void **state)
{
    struct kgi_bytes elf = fixture("cubin_rdc.cubin"), symbols, names;
    int32_t all = read_cubin(elf).kernels;

    (void)state;
    assert_int_equal(kgi_elf_symbols(elf, 2, &symbols, &names), 0);
    for (size_t at = 0; at < symbols.size; at += 24)
        if ((symbols.at[at + 4] & 15) == 2 && symbols.at[at + 5] & 0x10) {
            memset((uint8_t *)symbols.at + at + 6, 0, 2); /* undefined */
            break;
        }
    assert_int_equal(read_cubin(elf).kernels, all - 1);
}

static void without_a_symbol_table_there_is_no_kernel(void **state)
{
    struct kgi_bytes elf = fixture("cubin_90a.cubin");
    uint64_t sections;
    uint32_t other = 0x70000099;
    int found = -1;

    (void)state;
    memcpy(&sections, elf.at + 40, 8);
    memcpy((uint8_t *)elf.at + sections + 3 * 64 + 4, &other, 4); /* .symtab is section 3 */
    assert_int_equal(read_cubin(elf).kernels, 0);
    assert_int_equal(kgi_cubin_kernels(elf, registers_of, &found), 0);
    assert_int_equal(found, -1);
}

static void the_head_agrees_with_the_whole(void **state)
{
    static const char *const files[] = {"cubin_80.cubin", "cubin_90a.cubin", "cubin_120a.cubin",
                                        "cubin_old_90a.cubin"};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct kgi_bytes elf = fixture(files[i]);
        struct kgi_cubin head, whole = read_cubin(elf);
        assert_int_equal(kgi_cubin_head(elf, &head), 0);
        assert_int_equal(head.kernels, -1);
        assert_int_equal(head.abi, whole.abi);
        assert_int_equal(head.target.number, whole.target.number);
        assert_int_equal(head.target.suffix, whole.target.suffix);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_abi_7_and_8_are_known),
        cmocka_unit_test(the_suffix_is_an_attribute),
        cmocka_unit_test(records_without_a_length_are_stepped_over),
        cmocka_unit_test(kernels_of_other_units_do_not_count),
        cmocka_unit_test(without_a_symbol_table_there_is_no_kernel),
        cmocka_unit_test(the_head_agrees_with_the_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
