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

/* A head is the same wherever its first page ends: in a word, in a comment, between two targets. */
static void heads_lie_anywhere(void **state)
{
    static const char head[] = ".version 8.7\n.target sm_80, debug /* a, b */ , texmode_independent\n"
                               ".target sm_90a\n.address_size 64\n";
    static char text[9000];
    struct kgi_ptx p;

    (void)state;
    for (size_t at = 4096 - sizeof head - 2; at < 4100; at++) {
        memset(text, ' ', sizeof text - 1);
        memcpy(text, "//", 2);
        text[at - 1] = '\n';
        memcpy(text + at, head, sizeof head - 1);
        assert_int_equal(kgi_ptx_head(text_bytes(text), &p), 0);
        assert_int_equal(p.major * 100 + p.minor, 807);
        assert_int_equal(p.target.number, 90);
        assert_int_equal(p.target.suffix, 'a');
        assert_int_equal(p.traits, KGI_T_DEBUG);
        memcpy(text + at + sizeof head - 1 - sizeof "_size 64", "x", 1); /* what follows is not of the head */
        memcpy(text + at + strlen(".version 8.7\n.target"), "s", 1);     /* .targetssm_80 */
        assert_int_equal(kgi_ptx_head(text_bytes(text), &p), -EBADMSG);
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

/* ---- variables ------------------------------------------------------------------------------------- */

static void variables_are_those_of_the_module(void **state)
{
    char all[4096] = "";

    (void)state;
    assert_int_equal(
        kgi_ptx_variables(text_bytes(HEAD ".global .align 4 .b8 a[2] = {1, 2};\n"
                                          ".visible .const .u32 $b = 3;.weak .global.u32%c;\n"
                                          ".extern .global .u32 elsewhere;.shared .u32 s;\n"
                                          ".global .attribute(.managed) .u32 d;\n" KERNEL),
                          collect, all),
        0);
    assert_string_equal(all, "a $b %c d ");
    /* pointers of LLVM, to the global space */
    all[0] = 0;
    assert_int_equal(
        kgi_ptx_variables(text_bytes(HEAD ".entry k(.param .u64 .ptr .global .align 1 k_param_0,\n"
                                          ".param .u64 .ptr .const .align 1 k_param_1)\n{ ret; }\n"
                                          ".func f(.param .b64 .ptr .global p) { ret; }\n"),
                          collect, all),
        0);
    assert_string_equal(all, "");
}

/* ---- one kernel alone ------------------------------------------------------------------------------ */

#define K ".entry k() { ret; }"
#define REGISTERS ".reg .u32 %r, %s, s_; .reg .u64 %rd; "

/* The kernel's module, NUL-ended, from as much room as the text has; "" and *error when it has none. */
static void alone(struct kgi_bytes text, const char *kernel, int *error, char *out, size_t room)
{
    uint8_t *piece = guarded(text.size);
    size_t size = 0;

    *error = kgi_ptx_alone(text, kernel, piece, &size);
    if (*error)
        size = 0;
    assert_true(size <= text.size && size < room);
    memcpy(out, piece, size);
    out[size] = 0;
}

static void expect_alone(const char *text, const char *kernel, int wanted, const char *piece)
{
    char got[4096];
    int error;

    alone(text_bytes(text), kernel, &error, got, sizeof got);
    if (error != wanted || strcmp(got, piece) != 0)
        fail_msg("%d of\n%s\n%d, and for %s:\n%s", wanted, text, error, kernel, got);
    if (wanted)
        return;
    /* and it is alone in what came out */
    alone(text_bytes(piece), kernel, &error, got, sizeof got);
    if (error || strcmp(got, piece) != 0)
        fail_msg("%d, from\n%s\nagain:\n%s", error, piece, got);
}

/* Each of these texts, and each of these pieces, is a module to ptxas 13.0. */
static void a_kernel_alone_has_what_it_needs(void **state)
{
    static const struct {
        const char *text, *piece;
    } rows[] = {
        {HEAD K, HEAD K},
        {HEAD KERNEL, HEAD ".visible .entry k() { ret; }"},
        {HEAD ".weak .entry k() { ret; }", HEAD ".weak .entry k() { ret; }"},
        /* other kernels, those too whose names begin like this one, or end like it */
        {HEAD ".entry kk() { ret; }\n" K "\n.entry k_1() { ret; }", HEAD K},
        {HEAD ".entry a$k() { ret; } .visible .entry kkk() { ret; } " K, HEAD K},
        {HEAD ".entry j(.param .u32 k_param) { ret; }" K, HEAD K},
        {HEAD ".entry j(.param .u32 p) { ret; } .entry k(.param .u32 p) { ret; }",
         HEAD ".entry k(.param .u32 p) { ret; }"},
        /* heads */
        {".version 8.7\n.target sm_90\n" K, ".version 8.7\n.target sm_90\n" K},
        {".version 8.7\n.target sm_90, texmode_independent\n.address_size 64\n" K,
         ".version 8.7\n.target sm_90, texmode_independent\n.address_size 64\n" K},
        {".version 8.0 .target sm_80 .address_size 64 .visible.entry k(){ret;}",
         ".version 8.0 .target sm_80 .address_size 64\n.visible.entry k(){ret;}"},
        {"// made\n.version 8.0\r\n.target sm_90 // } {\r\n.address_size 64\r\n\r\n// k:\r\n" K
         "\r\n",
         "// made\n.version 8.0\r\n.target sm_90 // } {\r\n.address_size 64\n" K},
        {".version 8.0\n.target sm_90/*}*/.entry k() { ret; }",
         ".version 8.0\n.target sm_90\n.entry k() { ret; }"},
        {"# 1 \"x.cu\"\n.version 8.0\n.target sm_90\n# 2 \"y\"\n" K,
         "# 1 \"x.cu\"\n.version 8.0\n.target sm_90\n" K},
        /* bodies and what stands before them */
        {HEAD ".entry j() {{}} .entry k() { { ret; } /* } */ // }\n# 1 \"}\"\n .pragma \"}{{\";}",
         HEAD ".entry k() { { ret; } /* } */ // }\n# 1 \"}\"\n .pragma \"}{{\";}"},
        {HEAD ".entry k(.param .align 8 .b8 k_0[64], .param .u64 .ptr .global .align 1 k_1)\n"
              ".maxntid 8, 1, 1\n.minnctapersm 2\n{ ret; }\n.entry j() { ret; }",
         HEAD ".entry k(.param .align 8 .b8 k_0[64], .param .u64 .ptr .global .align 1 k_1)\n"
              ".maxntid 8, 1, 1\n.minnctapersm 2\n{ ret; }"},
        {HEAD
         ".entry k() { .reg .u32 %r<2>; mov.u32 %r0, 1; ts: .branchtargets L, M; brx.idx %r0, ts; "
         "L: ret; M: ret; }",
         HEAD
         ".entry k() { .reg .u32 %r<2>; mov.u32 %r0, 1; ts: .branchtargets L, M; brx.idx %r0, ts; "
         "L: ret; M: ret; }"},
        /* its declaration, and that of another */
        {HEAD ".entry j();\n" K " .entry j() { ret; }\n", HEAD K},
        {HEAD ".entry k();\n.entry j() { ret; }" K, HEAD ".entry k();" K},
        /* variables and functions that it does not name */
        {HEAD ".global .align 4 .b8 t[4] = {1, 2, 3};.const .u32 c = 1, d;\n.global .u32 a, kk;" K,
         HEAD K},
        {HEAD ".extern .func (.param .b32 r) vprintf\n(\n.param .b64 a\n)\n;\n.func f();" K
              ".func f() { { ret; } } .weak .func (.reg .u32 r) g(.reg .u32 p) { ret; }",
         HEAD K},
        {HEAD ".global .u32 t = 1; .global .u64 table[2] = {t, generic(t)}; // k\n/* k */" K,
         HEAD K},
        {HEAD ".visible .global .align 4 .b8 k$[8];.extern .const .u32 _k;" K, HEAD K},
        /* its shared memory, and that of others */
        {HEAD ".shared .u32 s;.shared .u32 other; .entry k() { st.shared.u32 [s], 1; }",
         HEAD ".shared .u32 s;.entry k() { st.shared.u32 [s], 1; }"},
        {HEAD ".shared .u32 s1, s2[4]; .entry j() { st.shared.u32 [s1], 1; } .weak .shared .align "
              "8 .b8 s[8];"
              ".entry k() { st.shared.u32 [s2+4], 1; st.shared.u32[s],2; }",
         HEAD ".shared .u32 s1, s2[4];.weak .shared .align 8 .b8 s[8];"
              ".entry k() { st.shared.u32 [s2+4], 1; st.shared.u32[s],2; }"},
        {HEAD ".shared .u32 %s;\n.shared .u32 $s; .shared .u32 _s;.shared .u32 __s;"
              ".entry k() { " REGISTERS
              "ld.shared.u32%r,[%s];st.shared.u32[$s],%r;st.shared.u32 [_s],%r; }",
         HEAD ".shared .u32 %s;.shared .u32 $s;.shared .u32 _s;"
              ".entry k() { " REGISTERS
              "ld.shared.u32%r,[%s];st.shared.u32[$s],%r;st.shared.u32 [_s],%r; }"},
        {HEAD ".shared.u32 s;.entry k() { " REGISTERS
              "mov.u32 %r, %s; mov.u32 %r, s_; /* s */ } // s",
         HEAD ".entry k() { " REGISTERS "mov.u32 %r, %s; mov.u32 %r, s_; /* s */ }"},
        /* dynamic shared memory, its own or not: the module's largest alignment counts for all */
        {HEAD
         ".extern .shared .align 16 .b8 d[];\n.shared .u32 s;.extern .shared .align 128 .b8 e[];" K,
         HEAD ".extern .shared .align 16 .b8 d[];.extern .shared .align 128 .b8 e[];" K},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_alone(rows[i].text, "k", 0, rows[i].piece);
    expect_alone(HEAD ".entry %k() { ret; } .entry $k() { ret; } .entry _k() { ret; }" K, "%k", 0,
                 HEAD ".entry %k() { ret; }");
    expect_alone(HEAD ".entry%k(){ret;}" K ".entry $k() { ret; }", "$k", 0,
                 HEAD ".entry $k() { ret; }");
}

static void a_kernel_with_more_is_not_alone(void **state)
{
    static const char *const rows[] = {
        /* it names a variable, in each way of declaring one */
        HEAD ".global .u32 v; .entry k() { " REGISTERS "atom.global.add.u32 %r, [v], 1; }",
        HEAD ".const .u32 v = 1; .entry k() { " REGISTERS "ld.const.u32 %r,[v]; }",
        HEAD ".visible .global .align 4 .b8 v[4] = {1,2,3,4}; .entry k() { " REGISTERS
             "mov.u64 %rd,v+2; }",
        HEAD ".global .u32 t[2] = {1, 2}, v; .entry k() { " REGISTERS "mov.u64 %rd, v; }",
        HEAD ".common .global .u32 v; .entry k() { " REGISTERS "mov.u64 %rd, v; }",
        HEAD ".extern .global .u32 v; .entry k() { " REGISTERS "mov.u64 %rd, v; }",
        HEAD ".global .attribute(.managed) .u32 v; .entry k() { " REGISTERS "mov.u64 %rd, v; }",
        HEAD ".entry k(); .global .u64 table[1] = {k};" K,
        HEAD ".global.u32%v; .entry k() { " REGISTERS "mov.u64%rd,%v; }",
        /* sets of variables, named or not: v<4> is v0 to v3 */
        HEAD ".global .u32 v<4>; .entry k() { " REGISTERS "mov.u64 %rd, v2; }",
        HEAD ".shared .u32 v<4>; .entry k() { " REGISTERS "mov.u32 %r, v2; }",
        HEAD ".extern .shared .u32 t, v<4>; " K,
        /* functions, by name and by address */
        HEAD ".func f() { ret; } .entry k() { call f; }",
        HEAD ".func %f() { ret; } .entry k() { call.uni%f; }",
        HEAD ".extern .func vprintf(.param .b64 a); .entry k() { .param .b64 b; call.uni vprintf, "
             "(b); }",
        HEAD ".func f(); .entry k() { call.uni f, (); } .func f() { ret; }",
        HEAD ".entry k() { " REGISTERS "p: .callprototype ()_(); call %rd, (), p; }",
        HEAD ".entry k() { " REGISTERS "t: .calltargets f; call %rd, (), t; }",
        /* another kernel's address */
        HEAD ".entry j() { ret; } .entry k() { " REGISTERS "mov.u64 %rd, j; }",
        HEAD ".entry j(); .entry k() { " REGISTERS "mov.u64 %rd, j; } .entry j() { ret; }",
        /* what speaks of several functions, or says how to read them */
        HEAD ".file 1 \"a.cu\"\n" K,
        HEAD K "\n.file 1 \"a.cu\"\n",
        HEAD K ".section .debug_str { .b8 0 }",
        HEAD ".func f() { ret; } .func g(); .alias g, f; " K,
        HEAD ".pragma \"nounroll\"; " K,
        HEAD ".tex .u32 t; " K,
        HEAD ".reg .u32 r; " K,
        HEAD "@@DWARF .section .debug\n" K,
        HEAD K ".version 8.0\n",
        HEAD K ".address_size 64\n",
        /* what is no module */
        HEAD ";" K,
        HEAD K ";",
        HEAD K "}",
        HEAD ".global .u32 v " K,
        HEAD ".shared .u32 s " K,
        HEAD ".entry j() " K,
        HEAD ".entry () { ret; } " K,
        HEAD ".visible .weak " K,
        ".version 8.7\n.target sm_90\n.address_size 64.visible " K,
        ".version 8.7\n.target sm_90\n.address_size;" K,
        /* nor whole */
        HEAD ".entry k() { ret; ",
        HEAD ".entry k() { { ret; }",
        HEAD K ".entry j() { ret; ",
        HEAD K ".entry j",
        HEAD K ".entry",
        HEAD K ".visible",
        HEAD K ".shared .u32 s",
        HEAD K ".global .b8 t[2] = { 1, 2",
        HEAD ".global .b8 t[2] = { 1; " K,
        HEAD K ".global .b8 t[2] = { 1, 2 }",
        /* strings whose end ptxas sees elsewhere */
        HEAD ".entry k() { .pragma \"a\n}\"; ret; }",
        HEAD ".entry k() { .pragma \"a\\\"; ret; } // \"}",
        HEAD K " .entry j() { .pragma \"\n}\"; ret; }",
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_alone(rows[i], "k", -ENOTSUP, "");
}

static void a_kernel_that_is_not_there_is_not_found(void **state)
{
    static const char *const rows[] = {
        HEAD,
        HEAD ".entry kk() { ret; } .entry j() { k: bra k; }",
        HEAD ".entry k();",
        HEAD ".func k() { ret; }",
        HEAD ".global .u32 k;",
        HEAD "// " K "\n/* " K " */ .entry j() { .pragma \".entry k() { }\"; ret; }",
        HEAD "\n# .entry k() { ret; }\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_alone(rows[i], "k", -ENOENT, "");
    expect_alone(HEAD K, "", -ENOENT, "");
    expect_alone(HEAD ".entry 1k() { ret; }", "1k", -ENOTSUP, "");
    expect_alone("", "k", -ENODATA, "");
    expect_alone(K, "k", -ENODATA, "");
    expect_alone(".version 8.0\n" K, "k", -EBADMSG, "");
}

/* Nothing behind the first NUL is read, and there is room for a text without a blank between its parts. */
static void a_kernel_alone_is_at_most_the_text(void **state)
{
    static const char text[] = HEAD K "\0 .global .u32 v; .file 1 \"a\"\n";
    struct kgi_bytes b = {(const uint8_t *)text, sizeof text};
    char got[4096];
    int error;

    (void)state;
    alone(b, "k", &error, got, sizeof got);
    assert_int_equal(error, 0);
    assert_string_equal(got, HEAD K);
    /* no PTX, but a target's list as it is read here */
    expect_alone(".version 8.0 .target sm_80,;" K, "k", 0, ".version 8.0 .target sm_80,;" K);
}

/* A text that ends early has no kernel, or the same. */
static void no_cut_changes_a_kernel(void **state)
{
    static const char text[] =
        HEAD ".shared .u32 s; .entry j() { ret; } .entry k() { { st.shared.u32 [s], 1; } ret; }\n"
             ".global .u32 v = { 1 }; .entry i() { ret; }";
    static const char piece[] = HEAD ".shared .u32 s;.entry k() { { st.shared.u32 [s], 1; } ret; }";
    size_t found = 0;

    (void)state;
    for (size_t size = 0; size < sizeof text; size++) {
        char cut[sizeof text], got[sizeof text];
        int error;

        snprintf(cut, sizeof cut, "%.*s", (int)size, text);
        alone(text_bytes(cut), "k", &error, got, sizeof got);
        if (!error && strcmp(got, piece) != 0)
            fail_msg("%s\n%s", cut, got);
        found += !error;
    }
    assert_int_equal(found, 5); /* behind each of three statements, and the blanks between them */
}

struct expected {
    struct kgi_bytes text;
    const char *alone, *not_alone;
};

static int take_alone(const char *name, int registers, void *context)
{
    const struct expected *e = context;
    uint8_t *piece = guarded(e->text.size);
    struct kgi_ptx whole, part;
    char all[4096] = "", word[300];
    struct kgi_bytes b = {piece, 0};
    int error = kgi_ptx_alone(e->text, name, piece, &b.size);

    (void)registers;
    snprintf(word, sizeof word, "%s ", name);
    assert_non_null(strstr(error ? e->not_alone : e->alone, word));
    if (error) {
        assert_int_equal(error, -ENOTSUP);
        return 0;
    }
    assert_true(b.size < e->text.size);
    assert_int_equal(kgi_ptx_kernels(b, &part, collect, all), 0);
    assert_string_equal(all, word);
    assert_int_equal(kgi_ptx_read(e->text, &whole), 0);
    assert_int_equal(part.target.number, whole.target.number);
    assert_int_equal(part.target.suffix, whole.target.suffix);
    assert_true(part.major == whole.major && part.minor == whole.minor && part.traits == 0);
    all[0] = 0;
    assert_int_equal(kgi_ptx_variables(b, collect, all), 0);
    assert_string_equal(all, "");
    return 0;
}

static void real_kernels_are_alone(void **state)
{
    struct kgi_code codes[8];
    struct expected rows[] = {
        {fixture("made_90a.ptx"), "_Z5alphaPf _Z4betaPii _Z6hiddenPi _Z8gamma_ofIdEvPT_ ",
         "_Z5speaki "},
        {{NULL, 0}, "_Z5alphaPf _Z4betaPii _Z6hiddenPi _Z8gamma_ofIdEvPT_ ", "_Z5speaki "},
        {fixture("made_several.ptx"),
         "sum sum_of_two first_move second_move plain "
         "_Z4fillIiEvPT_S0_ _Z4fillIfEvPT_S0_ ",
         "count calls "},
        {fixture("made_several_120.ptx"),
         "sum sum_of_two first_move second_move plain "
         "_Z4fillIiEvPT_S0_ _Z4fillIfEvPT_S0_ ",
         "count calls "},
    };
    size_t count = codes_of(fixture("zstd.fatbin"), codes, 8);

    (void)state;
    for (size_t i = 0; i < count; i++)
        if (codes[i].kind == KGI_PTX) {
            uint8_t *text = guarded(codes[i].size);

            assert_int_equal(kgi_inflate(codes[i].packing, codes[i].payload, text, codes[i].size),
                             0);
            rows[1].text = (struct kgi_bytes){text, codes[i].size};
        }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kgi_ptx p;
        size_t words = 0;

        assert_int_equal(kgi_ptx_kernels(rows[i].text, &p, take_alone, &rows[i]), 0);
        for (const char *at = rows[i].alone; *at; at++)
            words += *at == ' ';
        for (const char *at = rows[i].not_alone; *at; at++)
            words += *at == ' ';
        assert_int_equal(p.kernels, words);
    }
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
        cmocka_unit_test(heads_lie_anywhere),
        cmocka_unit_test(names_come_in_order_until_told_to_stop),
        cmocka_unit_test(real_texts_hold_what_nvcc_was_asked_for),
        cmocka_unit_test(variables_are_those_of_the_module),
        cmocka_unit_test(a_kernel_alone_has_what_it_needs),
        cmocka_unit_test(a_kernel_with_more_is_not_alone),
        cmocka_unit_test(a_kernel_that_is_not_there_is_not_found),
        cmocka_unit_test(a_kernel_alone_is_at_most_the_text),
        cmocka_unit_test(no_cut_changes_a_kernel),
        cmocka_unit_test(real_kernels_are_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
