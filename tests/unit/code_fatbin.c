/* Fatbins and raw images: what the build options wrote, and what happens to images that lie. */
#include "code_fixture.h"

enum { /* offsets of entry fields */
    KIND = 0x00,
    VERSION = 0x02,
    HEADER_SIZE = 0x04,
    PADDED_SIZE = 0x08,
    PACKED_SIZE = 0x10,
    OPTIONS = 0x14,
    ARCH = 0x1c,
    NAME = 0x20,
    FLAGS = 0x28,
    UNPACKED_SIZE = 0x38,
};

static uint8_t *field(struct kgi_bytes image, const struct kgi_code *code, size_t offset)
{
    return (uint8_t *)image.at + code->place + offset;
}

static void build_options_decide_the_packing(void **state)
{
    static const struct {
        const char *file;
        uint8_t packing[2]; /* of the cubin, of the PTX */
    } cases[] = {
        {"default.fatbin", {KGI_PLAIN, KGI_ZSTD}},     {"zstd.fatbin", {KGI_ZSTD, KGI_ZSTD}},
        {"lz4.fatbin", {KGI_LZ4, KGI_LZ4}},            {"none.fatbin", {KGI_PLAIN, KGI_PLAIN}},
        {"unpacked_120.fatbin", {KGI_PLAIN, KGI_PLAIN}}, {"rdc.fatbin", {KGI_ZSTD, KGI_ZSTD}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kgi_code codes[2];
        assert_int_equal(codes_of(fixture(cases[i].file), codes, 2), 2);
        assert_int_equal(codes[0].packing, cases[i].packing[0]);
        assert_int_equal(codes[1].packing, cases[i].packing[1]);
    }
}

static uint32_t traits_after_inspection(const char *file, size_t index)
{
    struct kgi_code codes[32];

    assert_true(codes_of(fixture(file), codes, 32) > index);
    assert_int_equal(inspect(&codes[index]), 0);
    return codes[index].traits;
}

static void traits_follow_from_the_build_command(void **state)
{
    const uint32_t seen = KGI_T_INSPECTED;

    (void)state; /* index 0: the cubin, 1: the PTX */
    assert_int_equal(traits_after_inspection("default.fatbin", 0), seen);
    assert_int_equal(traits_after_inspection("default.fatbin", 1), seen);
    assert_int_equal(traits_after_inspection("debug.fatbin", 0), seen | KGI_T_DEBUG);
    assert_int_equal(traits_after_inspection("debug.fatbin", 1), seen | KGI_T_DEBUG);
    assert_int_equal(traits_after_inspection("lineinfo.fatbin", 0), seen);
    assert_int_equal(traits_after_inspection("rdc.fatbin", 0), seen | KGI_T_RELOCATABLE);
    assert_int_equal(traits_after_inspection("rdc.fatbin", 1), seen | KGI_T_RELOCATABLE);
    assert_int_equal(traits_after_inspection("needs_link.fatbin", 1),
                     seen | KGI_T_RELOCATABLE | KGI_T_EXTERN);
    assert_int_equal(traits_after_inspection("cuda_118.fatbin", 9), seen);
    assert_int_equal(traits_after_inspection("unpacked_120.fatbin", 0),
                     seen | KGI_T_COMPAT | KGI_T_CAPSULE);
    assert_int_equal(traits_after_inspection("a_targets.fatbin", 0), seen); /* 90a: no capsule */
    assert_int_equal(traits_after_inspection("f_targets.fatbin", 0),
                     seen | KGI_T_COMPAT | KGI_T_CAPSULE);
    assert_int_equal(traits_after_inspection("cubin_rdc.cubin", 0), seen | KGI_T_RELOCATABLE);
    assert_int_equal(traits_after_inspection("cubin_debug.cubin", 0), seen | KGI_T_DEBUG);
    assert_int_equal(traits_after_inspection("cubin_100.cubin", 0), seen | KGI_T_CAPSULE);
}

/* Without unpacking, what a header alone can tell is told. */
static void relocatable_ptx_shows_in_the_listing(void **state)
{
    struct kgi_code codes[2];

    (void)state;
    codes_of(fixture("rdc.fatbin"), codes, 2);
    assert_true(codes[1].traits & KGI_T_RELOCATABLE);
    assert_int_equal(codes[1].kernels, -1);
    codes_of(fixture("default.fatbin"), codes, 2);
    assert_false(codes[1].traits & KGI_T_RELOCATABLE);
    codes_of(fixture("rdc_none.fatbin"), codes, 2);
    assert_true(codes[0].traits & codes[1].traits & KGI_T_RELOCATABLE);
    codes_of(fixture("none.fatbin"), codes, 2);
    assert_false((codes[0].traits | codes[1].traits) & KGI_T_RELOCATABLE);
    codes_of(fixture("cubin_rdc.cubin"), codes, 2);
    assert_true(codes[0].traits & KGI_T_RELOCATABLE);
}

static void the_abi_is_known_from_both_toolkits(void **state)
{
    struct kgi_code codes[32];

    (void)state;
    codes_of(fixture("cuda_118.fatbin"), codes, 32);
    assert_int_equal(codes[0].abi, 7);
    codes_of(fixture("default.fatbin"), codes, 32);
    assert_int_equal(codes[0].abi, 8);
    assert_int_equal(codes[1].abi, 0);
    codes_of(fixture("cubin_old_90a.cubin"), codes, 32);
    assert_int_equal(codes[0].abi, 7);
    assert_int_equal(codes[0].minor, 7);
}

static void stubs_and_empty_fatbins_hold_no_kernel(void **state)
{
    struct kgi_code code;

    (void)state;
    assert_int_equal(codes_of(fixture("stub.fatbin"), &code, 1), 1);
    assert_int_equal(inspect(&code), 0);
    assert_int_equal(code.kernels, 0);
    assert_int_equal(codes_of(fixture("empty.fatbin"), &code, 1), 0);
    assert_int_equal(kgi_fatbin_length(fixture("empty.fatbin")), 16);
}

/* Behind the NUL of an empty text, and counted in its length, lies a copy of .nv.compat. */
static void compat_data_is_no_option(void **state)
{
    struct kgi_code codes[2];

    (void)state;
    codes_of(fixture("unpacked_120.fatbin"), codes, 2);
    assert_true(codes[0].traits & KGI_T_COMPAT);
    assert_int_equal(codes[0].options.size, 0);
}

static void count_is_told_beyond_the_room(void **state)
{
    struct kgi_code codes[3] = {0};
    size_t count;

    (void)state;
    assert_int_equal(kgi_image_codes(fixture("a_targets.fatbin"), codes, 2, &count, NULL), 0);
    assert_int_equal(count, 12);
    assert_int_equal(codes[1].kind, KGI_PTX);
    assert_int_equal(codes[2].kind, 0);
    assert_int_equal(kgi_image_codes(fixture("cubin_100.cubin"), NULL, 0, &count, NULL), 0);
    assert_int_equal(count, 1);
}

static void what_lies_before_a_cut_is_still_read(void **state)
{
    struct kgi_bytes whole = fixture("a_targets.fatbin");
    struct kgi_code codes[16];
    size_t all = codes_of(whole, codes, 16), count;
    uint64_t broken;

    (void)state;
    for (size_t size = 16; size < whole.size; size++) {
        size_t inside = 0;
        while (inside + 1 < all && codes[inside + 1].place <= size)
            inside++;
        uint8_t *copy = memcpy(malloc(size), whole.at, size);
        struct kgi_bytes cut = {copy, size};
        assert_int_equal(kgi_image_codes(cut, NULL, 0, &count, &broken), -EBADMSG);
        assert_int_equal(count, inside);
        assert_int_equal(broken, codes[inside].place);
        assert_int_equal(kgi_fatbin_length(cut), 0);
        assert_int_equal(kgi_image_extent(cut), size);
        free(copy);
    }
}

static void bytes_behind_the_image_do_not_matter(void **state)
{
    struct kgi_bytes f = fixture("zstd.fatbin");
    uint8_t *more = memset(guarded(f.size + 999), 0xee, f.size + 999);
    struct kgi_bytes longer = {memcpy(more, f.at, f.size), f.size + 999};
    struct kgi_code codes[2];

    (void)state;
    assert_int_equal(kgi_image_extent(longer), f.size);
    assert_int_equal(codes_of(longer, codes, 2), 2);
    assert_int_equal(kgi_fatbin_length(longer), f.size);
}

/* Each case writes a lie into the second of two entries: the first one must survive. */
static void a_lying_entry_is_refused_and_the_one_before_it_kept(void **state)
{
    static const struct {
        size_t offset, size;
        uint64_t value;
    } lies[] = {
        {VERSION, 2, 0x0102},
        {HEADER_SIZE, 4, 63},
        {HEADER_SIZE, 4, 0},
        {HEADER_SIZE, 4, UINT32_MAX},
        {PADDED_SIZE, 8, UINT64_MAX},
        {PADDED_SIZE, 8, 1 << 20},
        {PADDED_SIZE, 8, UINT64_MAX - 0x50},
        {PACKED_SIZE, 4, UINT32_MAX},
        {PACKED_SIZE, 4, 0},
        {ARCH, 4, 1 << 16},
        {UNPACKED_SIZE, 8, UINT64_MAX},
        {UNPACKED_SIZE, 8, 1ull << 40},
    };

    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct kgi_bytes image = fixture("zstd.fatbin");
        struct kgi_code codes[2];
        size_t count;
        uint64_t broken;
        codes_of(image, codes, 2);
        uint64_t place = codes[1].place;
        memcpy(field(image, &codes[1], lies[i].offset), &lies[i].value, lies[i].size);
        if (kgi_image_codes(image, codes, 2, &count, &broken) != -EBADMSG)
            fail_msg("lie %zu is believed", i);
        assert_int_equal(count, 1);
        assert_int_equal(broken, place);
        assert_int_equal(inspect(&codes[0]), 0);
    }
}

static void wrong_places_of_texts_cost_only_the_texts(void **state)
{
    static const size_t offsets[] = {OPTIONS, NAME, NAME + 4};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct kgi_bytes image = fixture("debug.fatbin");
        struct kgi_code codes[2];
        codes_of(image, codes, 2);
        assert_true(codes[1].name.size && codes[1].options.size);
        memset(field(image, &codes[1], offsets[i]), 0xff, 4);
        assert_int_equal(codes_of(image, codes, 2), 2);
        assert_int_equal(!codes[1].options.size, i == 0);
        assert_int_equal(!codes[1].name.size, i != 0);
        assert_int_equal(inspect(&codes[1]), 0);
    }
}

static void kinds_not_known_are_listed_by_number(void **state)
{
    struct kgi_bytes image = fixture("zstd.fatbin");
    struct kgi_code codes[2];

    (void)state;
    codes_of(image, codes, 2);
    memcpy(field(image, &codes[0], KIND), &(uint16_t){0x4321}, 2);
    assert_int_equal(codes_of(image, codes, 2), 2);
    assert_int_equal(codes[0].kind, 0x4321);
    assert_int_equal(inspect(&codes[0]), -ENOTSUP);
    assert_int_equal(codes[0].traits & (KGI_T_INSPECTED | KGI_T_UNREADABLE), 0);
    assert_int_equal(codes[1].kind, KGI_PTX);
}

static void packings_not_known_are_told_as_such(void **state)
{
    static const uint64_t flags[] = {0x1000, 0x4000, 0x8000 | 0x2000};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct kgi_bytes image = fixture("zstd.fatbin");
        struct kgi_code codes[2];
        codes_of(image, codes, 2);
        uint64_t value = (codes[0].flags & ~0x8000ull) | flags[i];
        memcpy(field(image, &codes[0], FLAGS), &value, 8);
        assert_int_equal(codes_of(image, codes, 2), 2);
        assert_int_equal(codes[0].packing, KGI_PACKING_UNKNOWN);
        assert_int_equal(inspect(&codes[0]), -ENOTSUP);
    }
}

static void payloads_that_do_not_unpack_are_unreadable(void **state)
{
    static const char *const files[] = {"zstd.fatbin", "lz4.fatbin"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct kgi_bytes image = fixture(files[i]);
        struct kgi_code codes[2];
        codes_of(image, codes, 2);
        memset((uint8_t *)codes[0].payload.at + 8, 0xff, 100);
        assert_int_equal(inspect(&codes[0]), -EBADMSG);
        assert_int_equal(codes[0].traits & (KGI_T_INSPECTED | KGI_T_UNREADABLE), KGI_T_UNREADABLE);
        assert_int_equal(codes[0].kernels, -1);

        codes[1].size--; /* the size in the header must be met exactly */
        assert_int_equal(inspect(&codes[1]), -EBADMSG);
        codes[1].size += 2;
        assert_int_equal(inspect(&codes[1]), -EBADMSG);
        codes[1].size--;
        assert_int_equal(inspect(&codes[1]), 0);
    }
}

static void an_entry_must_be_what_it_says(void **state)
{
    struct kgi_bytes image = fixture("none.fatbin");
    struct kgi_code codes[2];

    (void)state;
    codes_of(image, codes, 2);
    codes[0].kind = KGI_PTX;
    codes[1].kind = KGI_CUBIN;
    assert_int_equal(inspect(&codes[0]), -EBADMSG);
    assert_int_equal(inspect(&codes[1]), -EBADMSG);
}

static void too_little_memory_is_no_fault_of_the_image(void **state)
{
    struct kgi_code codes[2];
    char small[64];

    (void)state;
    codes_of(fixture("zstd.fatbin"), codes, 2);
    assert_int_equal(kgi_code_inspect(&codes[0], small, sizeof small), -ENOBUFS);
    assert_int_equal(kgi_code_inspect(&codes[0], NULL, 0), -ENOBUFS);
    assert_int_equal(codes[0].traits, 0);
    codes_of(fixture("none.fatbin"), codes, 2);
    assert_int_equal(kgi_code_inspect(&codes[0], NULL, 0), 0); /* plain: read where it lies */
    codes[1].payload.at = NULL; /* as an owner does when the image's memory is gone */
    assert_int_equal(inspect(&codes[1]), -ENODATA);
    assert_int_equal(codes[1].traits, 0);
}

static void scrambled_code_is_left_alone(void **state)
{
    static const char *const files[] = {"lto.fatbin", "obfuscated.fatbin"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct kgi_code code;
        codes_of(fixture(files[i]), &code, 1);
        assert_true(code.traits & KGI_T_OBFUSCATED);
        assert_int_equal(inspect(&code), -ENOTSUP);
        assert_int_equal(code.traits & (KGI_T_INSPECTED | KGI_T_UNREADABLE), 0);
    }
}

static int seven(const char *name, int registers, void *context)
{
    (void)name;
    (void)registers;
    return ++*(int *)context == 2 ? 7 : 0;
}

static void a_walk_over_kernels_stops_when_told(void **state)
{
    struct kgi_code codes[2];
    int calls = 0;

    (void)state;
    codes_of(fixture("default.fatbin"), codes, 2);
    assert_int_equal(kgi_code_kernels(&codes[0], NULL, 0, seven, &calls), 7);
    assert_int_equal(calls, 2);
}

static void the_first_bytes_tell_the_form(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        enum kgi_image_form form;
    } cases[] = {
        {"\xb1\x43\x62\x46\1\0\0\0", 8, KGI_FORM_WRAPPER},
        {"\x50\xed\x55\xba\1\0\x10\0", 8, KGI_FORM_FATBIN},
        {"\177ELF\2\1\1\x41", 8, KGI_FORM_ELF},
        {"!<arch>\n", 8, KGI_FORM_ARCHIVE},
        {"\177TileIR\0", 8, KGI_FORM_TILE},
        {".version", 8, KGI_FORM_PTX},
        {"//\n// Ge", 8, KGI_FORM_PTX},
        {"/* made ", 8, KGI_FORM_PTX},
        {"\n\n  \t\r\n.", 8, KGI_FORM_PTX},
        {"        ", 8, KGI_FORM_PTX},
        {"# 1 \"x.c", 8, KGI_FORM_PTX},
        {"", 0, KGI_FORM_UNKNOWN},
        {"\0\0\0\0\0\0\0\0", 8, KGI_FORM_UNKNOWN},
        {".versio ", 8, KGI_FORM_UNKNOWN},
        {"#!/bin/s", 8, KGI_FORM_UNKNOWN},
        {"/usr/lib", 8, KGI_FORM_UNKNOWN},
        {"BC\xc0\xde....", 8, KGI_FORM_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kgi_bytes b = {(const uint8_t *)cases[i].bytes, cases[i].size};
        if (kgi_image_form(b) != cases[i].form)
            fail_msg("case %zu", i);
    }
}

static void forms_that_are_no_image_are_not_listed(void **state)
{
    size_t count = 9;
    struct kgi_code code;

    (void)state;
    assert_int_equal(kgi_image_codes(text_bytes("!<arch>\nxxxx"), &code, 1, &count, NULL), -ENOTSUP);
    assert_int_equal(count, 0);
    assert_int_equal(kgi_image_codes(fixture("host.so"), &code, 1, &count, NULL), -ENOTSUP);
    assert_int_equal(kgi_image_codes(text_bytes("hello"), &code, 1, &count, NULL), -ENOTSUP);
    assert_int_equal(kgi_image_codes(text_bytes(""), &code, 1, &count, NULL), -ENOTSUP);
    assert_int_equal(kgi_image_codes(text_bytes("// no PTX"), &code, 1, &count, NULL), -ENOTSUP);
    assert_int_equal(kgi_image_codes(text_bytes(".version 8."), &code, 1, &count, NULL), -EBADMSG);
    assert_int_equal(kgi_image_extent(text_bytes("hello")), 0);
}

static void raw_texts_reach_to_their_nul(void **state)
{
    static const char text[] = "  .version 8.0\n.target sm_80a\n\0garbage";
    struct kgi_bytes b = {(const uint8_t *)text, sizeof text};
    struct kgi_code code;

    (void)state;
    assert_int_equal(kgi_image_extent(b), strlen(text));
    assert_int_equal(codes_of(b, &code, 1), 1);
    assert_int_equal(code.kind, KGI_PTX);
    assert_true(code.target.number == 80 && code.target.suffix == 'a');
    assert_true(code.major == 8 && code.minor == 0 && code.kernels == -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(build_options_decide_the_packing),
        cmocka_unit_test(traits_follow_from_the_build_command),
        cmocka_unit_test(relocatable_ptx_shows_in_the_listing),
        cmocka_unit_test(the_abi_is_known_from_both_toolkits),
        cmocka_unit_test(stubs_and_empty_fatbins_hold_no_kernel),
        cmocka_unit_test(compat_data_is_no_option),
        cmocka_unit_test(count_is_told_beyond_the_room),
        cmocka_unit_test(what_lies_before_a_cut_is_still_read),
        cmocka_unit_test(bytes_behind_the_image_do_not_matter),
        cmocka_unit_test(a_lying_entry_is_refused_and_the_one_before_it_kept),
        cmocka_unit_test(wrong_places_of_texts_cost_only_the_texts),
        cmocka_unit_test(kinds_not_known_are_listed_by_number),
        cmocka_unit_test(packings_not_known_are_told_as_such),
        cmocka_unit_test(payloads_that_do_not_unpack_are_unreadable),
        cmocka_unit_test(an_entry_must_be_what_it_says),
        cmocka_unit_test(too_little_memory_is_no_fault_of_the_image),
        cmocka_unit_test(scrambled_code_is_left_alone),
        cmocka_unit_test(a_walk_over_kernels_stops_when_told),
        cmocka_unit_test(the_first_bytes_tell_the_form),
        cmocka_unit_test(forms_that_are_no_image_are_not_listed),
        cmocka_unit_test(raw_texts_reach_to_their_nul),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
