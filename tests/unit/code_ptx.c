/* PTX text in every form; the odd ones were put to ptxas 13.0, whose answers stand beside them. */
#include "code_fixture.h"

#define HEAD ".version 8.7\n.target sm_90\n.address_size 64\n"
#define KERNEL ".visible .entry k() { ret; }\n"

static struct kgi_ptx read_ptx(const char *text)
{
    struct kgi_ptx p, head;
    struct kgi_bytes b = text_bytes(text);

    if (kgi_ptx_read(b, &p))
        fail_msg("not read: %s", text);
    assert_int_equal(kgi_ptx_head(b, &head), 0);
    assert_int_equal(head.kernels, -1);
    assert_int_equal(head.target.number, p.target.number);
    assert_int_equal(head.target.suffix, p.target.suffix);
    assert_int_equal(head.major * 100 + head.minor, p.major * 100 + p.minor);
    return p;
}

static void expect(const char *text, int version, int target, char suffix, int kernels)
{
    struct kgi_ptx p = read_ptx(text);

    if (p.major * 100 + p.minor != version || p.target.number != target ||
        p.target.suffix != suffix || p.kernels != kernels)
        fail_msg("%d.%d sm_%d%c, %d kernels: %s", p.major, p.minor, p.target.number,
                 p.target.suffix ? p.target.suffix : ' ', p.kernels, text);
}

static void versions_and_targets_are_read(void **state)
{
    (void)state;
    expect(HEAD KERNEL, 807, 90, 0, 1);
    expect(".version 8.7\n.target sm_90a\n" KERNEL, 807, 90, 'a', 1);
    expect(".version 9.0\n.target sm_100f\n" KERNEL, 900, 100, 'f', 1);
    expect(".version 9.0\n.target sm_121, texmode_independent\n", 900, 121, 0, 0);
    expect(".version 7.0 .target compute_80\n" KERNEL, 700, 80, 0, 1); /* accepted by ptxas */
    expect(".version 12.34\n.target sm_120", 1234, 120, 0, 0);
}

static void the_last_target_counts(void **state)
{
    (void)state; /* ptxas -arch=sm_80 takes "sm_90, sm_80", refuses "sm_80, sm_90" and two lines */
    expect(".version 8.0\n.target sm_90,sm_80\n" KERNEL, 800, 80, 0, 1);
    expect(".version 8.0\n.target sm_80, sm_90\n" KERNEL, 800, 90, 0, 1);
    expect(".version 8.0\n.target sm_80\n.target sm_90a\n" KERNEL, 800, 90, 'a', 1);
}

static void form_is_free(void **state)
{
    (void)state;
    expect(".version 8.0 .target sm_80 .address_size 64 .visible.entry k(){ret;}", 800, 80, 0, 1);
    expect("\n\n \t.version\t8.0\r\n.target\tsm_80\r\n.address_size 64\r\n" KERNEL, 800, 80, 0, 1);
    expect("//\n// made by /* me\n/* .version 1.0 \n*/.version 8.0//x\n.target/**/sm_80\n" KERNEL, 800,
           80, 0, 1);
    expect("# 1 \"x.cu\"\n.version 8.0\n.target sm_80\n" KERNEL, 800, 80, 0, 1);
}

static void kernels_are_counted_where_their_body_opens(void **state)
{
    (void)state;
    expect(HEAD ".visible .entry k(.param .u64 p);\n" KERNEL, 807, 90, 0, 1);
    expect(HEAD ".visible .entry k();\n.global .b8 t[2] = {1, 2};\n", 807, 90, 0, 0);
    expect(HEAD ".extern .entry k();\n.entry j() { ret; } .weak .entry i(){{ret;}}", 807, 90, 0, 2);
    expect(HEAD "// .entry a() { }\n/* .entry b() { } */ .func c() { ret; }\n", 807, 90, 0, 0);
    expect(HEAD ".file 1 \"/a \\\" .entry d() { }\"\n" KERNEL, 807, 90, 0, 1);
    expect(HEAD ".file 1 \"quote without end .entry d() { }\n" KERNEL, 807, 90, 0, 1);
    expect(HEAD ".visible .entry k(.param .align 8 .b8 p[64]) .maxntid 8,1,1 .minnctapersm 2 { ret; }",
           807, 90, 0, 1);
    expect(HEAD ".global .b8 t[2] = {1, 2};\n" KERNEL, 807, 90, 0, 1);
}

static void text_ends_at_the_first_nul(void **state)
{
    static const char text[] = HEAD KERNEL "\0" KERNEL;
    struct kgi_ptx p;
    struct kgi_bytes b = {(const uint8_t *)text, sizeof text};

    (void)state;
    assert_int_equal(kgi_ptx_read(b, &p), 0);
    assert_int_equal(p.kernels, 1);
}

static void unresolved_functions_need_a_link(void **state)
{
    static const char *const fine[] = {
        HEAD ".extern .func (.param .b32 r) vprintf(.param .b64 a, .param .b64 b);\n" KERNEL,
        HEAD ".extern .func (.param .b64 r) malloc(.param .b64 a);\n" KERNEL,
        HEAD ".extern .func free(.param .b64 a);\n" KERNEL,
        HEAD ".extern .func __assertfail(.param .b64 a);\n" KERNEL,
        HEAD ".extern .shared .align 16 .b8 dynamic[];\n.func own() { ret; }" KERNEL,
        HEAD ".extern .global .b32 x;\n" KERNEL, /* ptxas: "ignoring extern qualifier" */
    };
    static const char *const links[] = {
        HEAD ".extern .func foo();\n" KERNEL,
        HEAD ".extern.func foo();\n" KERNEL,
        HEAD ".extern .func (.param .b32 r) __cudaCDP2LaunchDeviceV2(.param .b64 a);\n" KERNEL,
        HEAD ".extern .func .attribute(.unified(1,2)) vprintf_like();\n" KERNEL,
        HEAD ".extern .func vprintf();\n.extern .func mallocx();\n" KERNEL,
    };

    (void)state;
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        if (read_ptx(fine[i]).traits & KGI_T_EXTERN)
            fail_msg("%s", fine[i]);
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
        if (!(read_ptx(links[i]).traits & KGI_T_EXTERN))
            fail_msg("%s", links[i]);
}

static void debug_is_an_option_of_the_target(void **state)
{
    (void)state;
    assert_int_equal(read_ptx(".version 8.0\n.target sm_80, debug\n" KERNEL).traits, KGI_T_DEBUG);
    assert_int_equal(read_ptx(HEAD "// debug\n" KERNEL).traits, 0);
}

static void what_is_not_ptx_is_refused(void **state)
{
    static const struct {
        const char *text;
        int error;
    } cases[] = {
        {"", -ENODATA},
        {"hello", -ENODATA},
        {".target sm_80\n.version 8.0\n", -ENODATA},
        {".versions 8.0\n.target sm_80\n", -ENODATA},
        {".version", -EBADMSG},
        {".version 8\n.target sm_80\n", -EBADMSG},
        {".version 8.0.1\n.target sm_80\n", -EBADMSG},
        {".version 99999.0\n.target sm_80\n", -EBADMSG},
        {".version 8.0\n" KERNEL, -EBADMSG},
        {".version 8.0\n.file 1 \"a\"\n.target sm_80\n", -EBADMSG}, /* "Missing .target directive" */
        {".version 8.0\n.target\n", -EBADMSG},
        {".version 8.0\n.target sm_80b\n", -EBADMSG},
        {".version 8.0\n.target sm_\n", -EBADMSG},
        {".version 8.0\n.target sm_99999999999\n", -EBADMSG},
        {".version 8.0\n.target sm_4294967386\n", -EBADMSG}, /* 90, modulo 2^32 */
    };
    struct kgi_ptx p;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int error = kgi_ptx_read(text_bytes(cases[i].text), &p);
        if (error != cases[i].error)
            fail_msg("%d: %s", error, cases[i].text);
        assert_int_equal(kgi_ptx_head(text_bytes(cases[i].text), &p), cases[i].error);
    }
}

static int collect(const char *name, int registers, void *context)
{
    char *all = context;

    assert_int_equal(registers, 0);
    strcat(strcat(all, name), " ");
    return strcmp(name, "stop") == 0 ? 7 : 0;
}

static void names_come_in_order_until_told_to_stop(void **state)
{
    char all[4096] = "", longest[2100];
    struct kgi_ptx p;

    (void)state;
    assert_int_equal(kgi_ptx_kernels(text_bytes(HEAD ".entry a(){} .entry $b_1(.param .u32 x){}"),
                                     &p, collect, all),
                     0);
    assert_string_equal(all, "a $b_1 ");
    all[0] = 0;
    assert_int_equal(kgi_ptx_kernels(text_bytes(HEAD ".entry a(){} .entry stop(){} .entry b(){}"),
                                     &p, collect, all),
                     7);
    assert_string_equal(all, "a stop ");

    /* a template's name that is too long for the stack */
    all[0] = 0;
    int head = snprintf(longest, sizeof longest, HEAD ".entry ");
    memset(longest + head, 'x', 2000);
    strcpy(longest + head + 2000, "(){}");
    assert_int_equal(kgi_ptx_kernels(text_bytes(longest), &p, collect, all), 0);
    assert_int_equal(strlen(all), 2001);
}

static void real_texts_hold_what_nvcc_was_asked_for(void **state)
{
    struct kgi_ptx p;

    (void)state;
    assert_int_equal(kgi_ptx_read(fixture("made_90a.ptx"), &p), 0);
    assert_true(p.target.number == 90 && p.target.suffix == 'a' && p.major == 9 && p.minor == 0);
    assert_int_equal(p.kernels, 5);
    assert_int_equal(p.traits, 0); /* its vprintf is the driver's */
    assert_int_equal(kgi_ptx_read(fixture("made_100f.ptx"), &p), 0);
    assert_true(p.target.number == 100 && p.target.suffix == 'f');
    assert_int_equal(kgi_ptx_read(fixture("made_needs_link.ptx"), &p), 0);
    assert_int_equal(p.traits, KGI_T_EXTERN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_and_targets_are_read),
        cmocka_unit_test(the_last_target_counts),
        cmocka_unit_test(form_is_free),
        cmocka_unit_test(kernels_are_counted_where_their_body_opens),
        cmocka_unit_test(text_ends_at_the_first_nul),
        cmocka_unit_test(unresolved_functions_need_a_link),
        cmocka_unit_test(debug_is_an_option_of_the_target),
        cmocka_unit_test(what_is_not_ptx_is_refused),
        cmocka_unit_test(names_come_in_order_until_told_to_stop),
        cmocka_unit_test(real_texts_hold_what_nvcc_was_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
