/*
 * Who can run what: the whole matrix, written out from the CUDA documentation and from what nvlink
 * and ptxas 13.0 accept, independently of the tables in shim/rules; then the driver's choice and
 * the reasons.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include "rules/rules.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct kgi_target target(const char *name)
{
    struct kgi_target t = {0, 0};

    assert_int_equal(kgi_target_parse(name, &t), 0);
    return t;
}

/* Whether "sm_80" is one of the words of list. */
static bool listed(const char *list, unsigned number)
{
    char word[16];
    size_t length = (size_t)snprintf(word, sizeof word, "%u", number);

    for (const char *p = strstr(list, word); p; p = strstr(p + 1, word)) {
        if ((p == list || p[-1] == ' ') && (p[length] == ' ' || !p[length]))
            return true;
    }
    return false;
}

static const uint16_t gpus[] = {35, 37, 50, 52, 53, 60,  61,  62,  70,  72,  75,  80,
                                86, 87, 88, 89, 90, 100, 101, 103, 107, 110, 120, 121};

/* ---- every cubin target on every GPU ------------------------------------------------------- */

static const struct expected {
    const char *code, *runs_on;
} cubins[] = {
    /* clang-format off */
    {"sm_35", "35 37"},
    {"sm_37", "37"},
    {"sm_50", "50 52"},
    {"sm_52", "52"},
    {"sm_53", "53"},
    {"sm_60", "60 61"},
    {"sm_61", "61"},
    {"sm_62", "62"},
    {"sm_70", "70 75"},
    {"sm_72", "72"},
    {"sm_75", "75"},
    {"sm_80", "80 86 89"},
    {"sm_86", "86 89"},
    {"sm_87", "87"},
    {"sm_88", "88"},
    {"sm_89", "89"},
    {"sm_90", "90"},
    {"sm_90a", "90"},
    {"sm_100", "100 103 107"},
    {"sm_100f", "100 103 107"},
    {"sm_100a", "100"},
    {"sm_101", "101 110"},
    {"sm_101f", "101 110"},
    {"sm_101a", "101 110"},
    {"sm_103", "103 107"},
    {"sm_103f", "103 107"},
    {"sm_103a", "103"},
    {"sm_107", "107"},
    {"sm_107a", "107"},
    {"sm_107f", "107"},
    {"sm_110", "101 110"},
    {"sm_110f", "101 110"},
    {"sm_110a", "101 110"},
    {"sm_120", "120 121"},
    {"sm_120f", "120 121"},
    {"sm_120a", "120"},
    {"sm_121", "121"},
    {"sm_121f", "121"},
    {"sm_121a", "121"},
    /* clang-format on */
};

static void test_cubin_matrix(void **state)
{
    (void)state;
    for (size_t c = 0; c < COUNT(cubins); c++) {
        for (size_t g = 0; g < COUNT(gpus); g++) {
            struct kgi_target gpu = {gpus[g], 0};
            if (kgi_cubin_fits(target(cubins[c].code), gpu) != listed(cubins[c].runs_on, gpus[g]))
                fail_msg("%s on %u", cubins[c].code, gpus[g]);
        }
    }
}

/* ---- every PTX target on every GPU --------------------------------------------------------- */

static const struct expected ptxs[] = {
    /* clang-format off */
    {"compute_35",
     "35 37 50 52 53 60 61 62 70 72 75 80 86 87 88 89 90 100 101 103 107 110 120 121"},
    {"compute_37", "37 50 52 53 60 61 62 70 72 75 80 86 87 88 89 90 100 101 103 107 110 120 121"},
    {"compute_50", "50 52 53 60 61 62 70 72 75 80 86 87 88 89 90 100 101 103 107 110 120 121"},
    {"compute_52", "52 53 60 61 62 70 72 75 80 86 87 88 89 90 100 101 103 107 110 120 121"},
    {"compute_53", "53 60 61 62 70 72 75 80 86 87 88 89 90 100 101 103 107 110 120 121"},
    {"compute_60", "60 61 62 70 72 75 80 86 87 88 89 90 100 101 103 107 110 120 121"},
    {"compute_61", "61 62 70 72 75 80 86 87 88 89 90 100 101 103 107 110 120 121"},
    {"compute_62", "62 70 72 75 80 86 87 88 89 90 100 101 103 107 110 120 121"},
    {"compute_70", "70 72 75 80 86 87 88 89 90 100 101 103 107 110 120 121"},
    {"compute_72", "72 75 80 86 87 88 89 90 100 101 103 107 110 120 121"},
    {"compute_75", "75 80 86 87 88 89 90 100 101 103 107 110 120 121"},
    {"compute_80", "80 86 87 88 89 90 100 101 103 107 110 120 121"},
    {"compute_86", "86 87 88 89 90 100 101 103 107 110 120 121"},
    {"compute_87", "87 88 89 90 100 101 103 107 110 120 121"},
    {"compute_88", "88 89 90 100 101 103 107 110 120 121"},
    {"compute_89", "89 90 100 101 103 107 110 120 121"},
    {"compute_90", "90 100 101 103 107 110 120 121"},
    {"compute_90a", "90"},
    {"compute_100", "100 101 103 107 110 120 121"},
    {"compute_100a", "100"},
    {"compute_100f", "100 103 107"},
    {"compute_101", "101 103 107 110 120 121"},
    {"compute_101a", "101 110"},
    {"compute_101f", "101 110"},
    {"compute_103", "103 107 110 120 121"},
    {"compute_103a", "103"},
    {"compute_103f", "103 107"},
    {"compute_107", "107 110 120 121"},
    {"compute_110", "101 110 120 121"},
    {"compute_110a", "101 110"},
    {"compute_110f", "101 110"},
    {"compute_120", "120 121"},
    {"compute_120a", "120"},
    {"compute_120f", "120 121"},
    {"compute_121", "121"},
    {"compute_121a", "121"},
    {"compute_121f", "121"},
    /* clang-format on */
};

static void test_ptx_matrix(void **state)
{
    (void)state;
    for (size_t c = 0; c < COUNT(ptxs); c++) {
        for (size_t g = 0; g < COUNT(gpus); g++) {
            struct kgi_target gpu = {gpus[g], 0};
            if (kgi_ptx_fits(target(ptxs[c].code), gpu) != listed(ptxs[c].runs_on, gpus[g]))
                fail_msg("%s on %u", ptxs[c].code, gpus[g]);
        }
    }
}

/* GPUs that no table knows yet still follow the general rule, and an unknown GPU forbids nothing.
 */
static void test_beyond_the_tables(void **state)
{
    (void)state;
    assert_true(kgi_cubin_fits((struct kgi_target){130, 0}, (struct kgi_target){134, 0}));
    assert_false(kgi_cubin_fits((struct kgi_target){134, 0}, (struct kgi_target){130, 0}));
    assert_false(kgi_cubin_fits((struct kgi_target){130, 'a'}, (struct kgi_target){134, 0}));
    assert_true(kgi_ptx_fits((struct kgi_target){80, 0}, (struct kgi_target){134, 0}));
    assert_true(kgi_cubin_fits((struct kgi_target){80, 'a'}, (struct kgi_target){0, 0}));
    assert_true(kgi_ptx_fits((struct kgi_target){120, 'a'}, (struct kgi_target){0, 0}));
    /* A suffix nobody has heard of is as strict as `a`. */
    assert_true(kgi_cubin_fits((struct kgi_target){120, 'q'}, (struct kgi_target){120, 0}));
    assert_false(kgi_cubin_fits((struct kgi_target){120, 'q'}, (struct kgi_target){121, 0}));
    assert_false(kgi_ptx_fits((struct kgi_target){90, '\n'}, (struct kgi_target){120, 0}));
}

/* ---- PTX versions -------------------------------------------------------------------------- */

static void test_ptx_versions(void **state)
{
    static const struct {
        int major, minor, cuda;
        const char *driver;
    } known[] = {
        {5, 0, 8000, "375.26"},     {6, 0, 9000, "384.81"},     {6, 1, 9010, "390.46"},
        {6, 3, 10000, "410.48"},    {7, 0, 11000, "450.36.06"}, {7, 1, 11010, "455.23"},
        {7, 8, 11080, "520.61.05"}, {8, 0, 12000, "525.60.13"}, {8, 1, 12010, "530.30.02"},
        {8, 2, 12020, "535.54.03"}, {8, 3, 12030, "545.23.06"}, {8, 4, 12040, "550.54.14"},
        {8, 5, 12050, "555.42.02"}, {8, 7, 12080, "570.26"},    {8, 8, 12090, "575.51.03"},
        {9, 0, 13000, "580.65.06"}, {9, 1, 13010, "590.44.01"}, {9, 2, 13020, "595.45.04"},
        {9, 4, 13040, NULL},
    };
    const char *driver;
    int major, minor;

    (void)state;
    for (size_t i = 0; i < COUNT(known); i++) {
        assert_int_equal(kgi_ptx_cuda(known[i].major, known[i].minor, &driver), known[i].cuda);
        if (known[i].driver)
            assert_string_equal(driver, known[i].driver);
        else
            assert_null(driver);
        kgi_ptx_newest(known[i].cuda, &major, &minor);
        assert_int_equal(major, known[i].major);
        assert_int_equal(minor, known[i].minor);
    }
    kgi_ptx_newest(12060, &major, &minor);
    assert_int_equal(major * 10 + minor, 85);
    kgi_ptx_newest(12085, &major, &minor); /* between two releases */
    assert_int_equal(major * 10 + minor, 87);
    kgi_ptx_newest(99000, &major, &minor);
    assert_int_equal(major * 10 + minor, 94);
    kgi_ptx_newest(0, &major, &minor);
    assert_int_equal(major * 10 + minor, 0);
    assert_int_equal(kgi_ptx_cuda(6, 9, &driver), 0);
    assert_null(driver);
    assert_int_equal(kgi_ptx_cuda(-1, 70000, &driver), 0);
    assert_string_equal(kgi_cuda_driver(12040), "550.54.14");
    assert_string_equal(kgi_cuda_driver(12060), "560.28.03");
    assert_null(kgi_cuda_driver(12345));
}

/* ---- judging: codes are written as text ---------------------------------------------------- */

/*
 * "sm_90 sm_80:zstd compute_80:7.4": one code a word; after ':' any of an ISA version (else 7.7),
 * abi8 (cubins), zstd, lz4, empty, seen (inspected, kernels in it), capsule, compat, rdc, extern,
 * obf, raw (no fatbin around it), bad (unreadable). Also "lto_90", "merc_90", "rptx_90" (kind
 * 0x40), "index", "tile", "kind77".
 */
static struct kgi_code code_of(char *word)
{
    struct kgi_code code = {
        .kind = KGI_CUBIN, .major = 1, .minor = 7, .kernels = -1, .flags = 0x11};
    char *flags = strchr(word, ':'), *save;
    int major, minor, kind;

    if (flags)
        *flags++ = 0;
    if (!strncmp(word, "compute_", 8)) {
        code.kind = KGI_PTX;
        code.major = code.minor = 7;
    }
    if (sscanf(word, "kind%d", &kind) == 1)
        code.kind = (uint16_t)kind;
    else if (!strcmp(word, "index") || !strcmp(word, "tile"))
        code.kind = *word == 'i' ? KGI_INDEX : KGI_TILE;
    else if (!strncmp(word, "lto_", 4) || !strncmp(word, "merc_", 5) ||
             !strncmp(word, "rptx_", 5)) {
        code.kind = *word == 'l' ? KGI_LTO : *word == 'm' ? KGI_MERCURY : KGI_RELOCATABLE_PTX;
        code.target = target(strchr(word, '_') + 1);
    } else {
        code.target = target(word);
    }
    for (char *f = flags ? strtok_r(flags, ",", &save) : NULL; f; f = strtok_r(NULL, ",", &save)) {
        if (sscanf(f, "%d.%d", &major, &minor) == 2) {
            code.major = (uint16_t)major;
            code.minor = (uint16_t)minor;
        } else if (!strcmp(f, "abi8")) {
            code.minor = 8;
        } else if (!strcmp(f, "zstd") || !strcmp(f, "lz4")) {
            code.packing = *f == 'z' ? KGI_ZSTD : KGI_LZ4;
        } else if (!strcmp(f, "empty") || !strcmp(f, "seen")) {
            code.traits |= KGI_T_INSPECTED;
            code.kernels = *f == 's';
        } else if (!strcmp(f, "capsule")) {
            code.traits |= KGI_T_CAPSULE;
        } else if (!strcmp(f, "compat")) {
            code.traits |= KGI_T_COMPAT;
        } else if (!strcmp(f, "rdc")) {
            code.traits |= KGI_T_RELOCATABLE;
        } else if (!strcmp(f, "extern")) {
            code.traits |= KGI_T_EXTERN;
        } else if (!strcmp(f, "obf")) {
            code.traits |= KGI_T_OBFUSCATED;
        } else if (!strcmp(f, "raw")) {
            code.flags = 0;
        } else if (!strcmp(f, "bad")) {
            code.traits |= KGI_T_UNREADABLE;
        } else {
            fail_msg("flag %s", f);
        }
    }
    return code;
}

static size_t codes_of(const char *text, struct kgi_code *codes, size_t room)
{
    char copy[512], *save;
    size_t n = 0;

    snprintf(copy, sizeof copy, "%s", text);
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        assert_true(n < room);
        codes[n++] = code_of(w);
    }
    return n;
}

enum { FORCE = 1, FORBID = 2 };

struct trial {
    const char *codes;
    int gpu, cuda, jit;
    enum kgi_answer answer;
    int reason, chosen, needs_cuda;
};

static void try(const struct trial *t)
{
    struct kgi_code codes[16];
    size_t n = codes_of(t->codes, codes, COUNT(codes));
    struct kgi_host host = {.gpu = {(uint16_t)t->gpu, 0},
                            .cuda_version = t->cuda,
                            .jit_forced = t->jit & FORCE ? "forced" : NULL,
                            .jit_forbidden = t->jit & FORBID ? "forbidden" : NULL};
    struct kgi_verdict v;

    memset(&v, 0x5a, sizeof v);
    kgi_judge(codes, n, &host, &v);
    if (v.answer != t->answer || v.reason != t->reason || v.chosen != t->chosen ||
        v.needs_cuda != t->needs_cuda)
        fail_msg("[%s] on %d, CUDA %d: %s KG%d, code %d, needs %d; expected %s KG%d, code %d, %d",
                 t->codes, t->gpu, t->cuda, kgi_answer_names[v.answer], v.reason, v.chosen,
                 v.needs_cuda, kgi_answer_names[t->answer], t->reason, t->chosen, t->needs_cuda);
}

static void try_all(const struct trial *trials, size_t count)
{
    for (size_t i = 0; i < count; i++)
        try(&trials[i]);
}

/* What the driver takes: 41 container cases of the public measurement come down to these rules. */
static void test_choice(void **state)
{
    static const struct trial trials[] = {
        /* clang-format off */
        /* A cubin beats PTX, Mercury stands between; whatever the architectures and the order. */
        {"compute_89 sm_86", 89, 13000, 0, KGI_FAMILY, 0, 1, 0},
        {"sm_86 compute_89", 89, 13000, 0, KGI_FAMILY, 0, 0, 0},
        {"compute_90 merc_90", 90, 13000, 0, KGI_NATIVE, 0, 1, 0},
        {"merc_90 sm_90", 90, 13000, 0, KGI_NATIVE, 0, 1, 0},
        /* The nearest, in any order; PTX too. */
        {"sm_80 sm_86 sm_75", 89, 13000, 0, KGI_FAMILY, 0, 1, 0},
        {"sm_86 sm_80", 86, 13000, 0, KGI_NATIVE, 0, 0, 0},
        {"compute_80 compute_90 compute_75", 120, 13000, 0, KGI_JIT, 201, 1, 11070},
        {"sm_101 sm_110", 110, 13000, 0, KGI_NATIVE, 0, 0, 12080},
        /* Equal: the cubin without flag bit 24, then the first cubin, but the last PTX. */
        {"sm_120:compat sm_120", 120, 13000, 0, KGI_NATIVE, 0, 1, 12080},
        {"sm_120 sm_120:compat", 120, 13000, 0, KGI_NATIVE, 0, 0, 12080},
        {"sm_120:compat sm_120:compat", 120, 13000, 0, KGI_NATIVE, 0, 0, 12080},
        {"sm_90 sm_90", 90, 13000, 0, KGI_NATIVE, 0, 0, 0},
        {"compute_80 compute_80 sm_70", 90, 13000, 0, KGI_JIT, 201, 1, 11070},
        /* An exact target before a plain one of the number, even with flag bit 24. */
        {"sm_90 sm_90a", 90, 13000, 0, KGI_NATIVE, 0, 1, 0},
        {"sm_90a:compat sm_90", 90, 13000, 0, KGI_NATIVE, 0, 0, 0},
        {"compute_90a compute_90", 90, 13000, 0, KGI_JIT, 201, 0, 11070},
        /* Forced JIT takes cubins away before the ranking. */
        {"sm_90 compute_80", 90, 13000, FORCE, KGI_JIT, 201, 1, 11070},
        {"sm_90:raw", 90, 13000, FORCE, KGI_NATIVE, 0, 0, 0},
        {"sm_90 merc_90 compute_80", 90, 13000, FORCE, KGI_JIT, 201, 2, 11070},
        /* Forbidden JIT does not matter where a cubin is taken. */
        {"sm_90 compute_80", 90, 13000, FORBID, KGI_NATIVE, 0, 0, 0},
        /* The choice is final: no fall back to what would run. */
        {"sm_90:abi8 compute_80", 90, 12080, 0, KGI_NONE, 104, 0, 13000},
        {"sm_90:zstd sm_90:zstd compute_80", 90, 12020, 0, KGI_NONE, 104, 0, 12040},
        {"compute_80:7.4 compute_90:9.1", 90, 13000, 0, KGI_NONE, 103, 1, 13010},
        {"compute_80:7.4 compute_90:9.1", 89, 13000, 0, KGI_JIT, 201, 0, 11040},
        /* An unreadable or uninspected payload is judged by its header, as the driver does. */
        {"sm_90:bad compute_80", 90, 13000, 0, KGI_NATIVE, 0, 0, 0},
        /* clang-format on */
    };
    (void)state;
    try_all(trials, COUNT(trials));
}

static void test_reasons(void **state)
{
    static const struct trial trials[] = {
        /* clang-format off */
        {"sm_90", 90, 12020, 0, KGI_NATIVE, 0, 0, 0},
        {"sm_80", 86, 12020, 0, KGI_FAMILY, 0, 0, 0},
        {"sm_101", 110, 13000, 0, KGI_NATIVE, 0, 0, 12080},
        {"sm_120", 121, 13000, 0, KGI_FAMILY, 0, 0, 12080},
        /* 101: the nearest code explains. */
        {"sm_60 sm_61 sm_70 sm_75 sm_80 sm_86 sm_89 sm_90", 120, 12080, 0, KGI_NONE, 101, 7, 0},
        {"sm_80 sm_120", 90, 13000, 0, KGI_NONE, 101, 0, 0},
        {"compute_120 lto_100", 90, 13000, 0, KGI_NONE, 101, 0, 0},
        {"sm_80", 87, 13000, 0, KGI_NONE, 101, 0, 0},
        {"sm_87", 89, 13000, 0, KGI_NONE, 101, 0, 0},
        {"sm_80 sm_90a", 120, 13000, 0, KGI_NONE, 101, 1, 0},
        {"sm_90", 90, 13000, FORCE, KGI_NONE, 101, 0, 0},
        {"sm_80 sm_90 lto_90", 90, 13000, FORCE, KGI_NONE, 101, 1, 0},
        /* 102: nothing but code for special targets. */
        {"sm_90a", 120, 13000, 0, KGI_NONE, 102, 0, 0},
        {"sm_90a compute_90a", 120, 13000, 0, KGI_NONE, 102, 0, 0},
        {"sm_90a sm_100a sm_100f lto_121", 120, 13000, 0, KGI_NONE, 102, 1, 0},
        {"sm_120a", 121, 13000, 0, KGI_NONE, 102, 0, 0},
        {"sm_120f", 121, 13000, 0, KGI_FAMILY, 0, 0, 12090},
        /* A cubin for sm_100 and up without capsule runs on its own GPU alone. */
        {"sm_120:seen", 121, 13000, 0, KGI_NONE, 102, 0, 0},
        {"sm_120:seen", 120, 13000, 0, KGI_NATIVE, 0, 0, 12080},
        {"sm_120:seen,capsule", 121, 13000, 0, KGI_FAMILY, 0, 0, 12080},
        {"sm_120:seen compute_80", 121, 13000, 0, KGI_JIT, 201, 1, 11070},
        {"sm_80:seen", 86, 13000, 0, KGI_FAMILY, 0, 0, 0},
        /* 103, with the version that would do. */
        {"compute_90:8.8", 120, 12080, 0, KGI_NONE, 103, 0, 12090},
        {"compute_90:8.7", 120, 12080, 0, KGI_JIT, 201, 0, 12080},
        {"sm_80 compute_80:9.1", 90, 13000, 0, KGI_NONE, 103, 1, 13010},
        {"compute_80:9.9", 90, 13000, 0, KGI_NONE, 103, 0, 0},
        {"compute_80:9.9,zstd", 90, 12020, 0, KGI_NONE, 103, 0, 0},
        {"compute_80:9.9", 90, 13990, 0, KGI_JIT, 201, 0, 0},   /* a driver newer than the table */
        {"compute_80:9.9", 90, 0, 0, KGI_JIT, 201, 0, 0},       /* an unknown driver */
        {"compute_80:0.0", 90, 12000, 0, KGI_JIT, 201, 0, 0},   /* an unknown version */
        {"compute_60:9.1", 61, 13000, 0, KGI_NONE, 103, 0, 0},  /* no driver after 580 has Pascal */
        {"compute_60:9.0", 61, 12080, 0, KGI_NONE, 103, 0, 13000},
        {"compute_80:9.1", 90, 13000, FORBID, KGI_NONE, 105, 0, 0},
        /* 104 */
        {"sm_90:zstd", 90, 12020, 0, KGI_NONE, 104, 0, 12040},
        {"sm_90:zstd", 90, 12040, 0, KGI_NATIVE, 0, 0, 12040},
        {"sm_90:lz4", 90, 12000, 0, KGI_NATIVE, 0, 0, 0},
        {"compute_80:zstd", 90, 12020, 0, KGI_NONE, 104, 0, 12040},
        {"sm_90:abi8", 90, 12080, 0, KGI_NONE, 104, 0, 13000},
        {"sm_90:abi8,zstd", 90, 12000, 0, KGI_NONE, 104, 0, 13000},
        {"sm_90:abi8", 90, 13000, 0, KGI_NATIVE, 0, 0, 13000},
        {"sm_90:abi8", 90, 0, 0, KGI_NATIVE, 0, 0, 13000},
        {"sm_120:abi8", 120, 12080, 0, KGI_NATIVE, 0, 0, 12080}, /* CUDA 12.8 wrote ABI 8 for it */
        {"sm_120:abi8", 120, 12070, 0, KGI_NONE, 104, 0, 12080},
        {"sm_121:abi8", 121, 12080, 0, KGI_NONE, 104, 0, 12090},
        {"sm_120f:abi8", 120, 12080, 0, KGI_NONE, 104, 0, 12090},
        {"sm_110", 110, 12090, 0, KGI_NONE, 104, 0, 13000},
        /* 105 */
        {"compute_80", 90, 13000, FORBID, KGI_NONE, 105, 0, 0},
        {"sm_80 compute_80:7.4", 90, 13000, FORBID, KGI_NONE, 105, 1, 0},
        /* 106: only an image without kernels fits. */
        {"sm_80:empty sm_90:seen", 80, 13000, 0, KGI_NONE, 106, 0, 0},
        {"sm_80:empty compute_75", 80, 13000, 0, KGI_JIT, 201, 1, 11070},
        /* 107 */
        {"sm_80 compute_80:obf", 90, 13000, 0, KGI_NONE, 107, 1, 0},
        /* 108 */
        {"lto_90", 90, 13000, 0, KGI_NONE, 108, 0, 0},
        {"lto_80 lto_90a sm_80", 120, 13000, 0, KGI_NONE, 108, 0, 0},
        {"lto_90 sm_80:rdc sm_90:rdc", 90, 13000, 0, KGI_LINK, 108, 2, 0},
        {"compute_80:rdc,7.4", 90, 13000, 0, KGI_LINK, 108, 0, 11040},
        {"rptx_80:7.4", 90, 13000, 0, KGI_LINK, 108, 0, 11040},
        {"compute_80:extern,7.4", 90, 13000, 0, KGI_NONE, 108, 0, 11040},
        {"compute_80:extern,rdc,7.4", 90, 13000, 0, KGI_LINK, 108, 0, 11040},
        {"compute_80:rdc,9.1", 90, 13000, 0, KGI_NONE, 103, 0, 13010},
        {"compute_80:rdc", 90, 13000, FORBID, KGI_NONE, 105, 0, 0},
        {"sm_90:rdc,zstd", 90, 12020, 0, KGI_NONE, 104, 0, 12040},
        {"compute_80:rdc sm_90:rdc compute_75", 90, 13000, 0, KGI_JIT, 201, 2, 11070},
        {"sm_80:rdc", 90, 13000, 0, KGI_NONE, 101, 0, 0},
        /* clang-format on */
    };
    (void)state;
    try_all(trials, COUNT(trials));
}

static void test_odd_lists(void **state)
{
    static const struct trial trials[] = {
        /* clang-format off */
        {"", 90, 13000, 0, KGI_NO_CUDA, 0, -1, 0},
        {"sm_75:empty", 90, 13000, 0, KGI_NO_CUDA, 0, -1, 0},
        {"sm_90:empty sm_75:empty compute_75:empty", 90, 13000, 0, KGI_NO_CUDA, 0, -1, 0},
        {"index", 90, 13000, 0, KGI_NO_CUDA, 0, -1, 0},
        {"index sm_90", 90, 13000, 0, KGI_NATIVE, 0, 1, 0},
        {"kind512", 90, 13000, 0, KGI_NONE, 101, 0, 0},
        {"tile kind512 sm_90", 90, 13000, 0, KGI_NATIVE, 0, 2, 0},
        {"tile sm_80", 90, 13000, 0, KGI_NONE, 101, 1, 0},
        {"tile sm_90a", 120, 13000, 0, KGI_NONE, 102, 1, 0},
        {"sm_80", 0, 0, 0, KGI_NATIVE, 0, 0, 0}, /* nothing known of the host */
        {"compute_120a:9.9", 0, 0, 0, KGI_JIT, 201, 0, 0},
        {"sm_80 sm_90", 0, 0, 0, KGI_NATIVE, 0, 1, 0},
        /* clang-format on */
    };
    (void)state;
    try_all(trials, COUNT(trials));
}

/* The driver branch counts only where the CUDA version is unknown: with a forward-compatibility
 * package the branch is the kernel module's, and the user-mode driver reads more. */
static void test_driver_branch(void **state)
{
    static const struct {
        int driver, cuda, reason;
    } hosts[] = {
        {535, 0, KG104_UNREADABLE}, {549, 0, KG104_UNREADABLE}, {550, 0, KGI_OK}, {580, 0, KGI_OK},
        {535, 13000, KGI_OK},       {999, 0, KGI_OK},           {0, 0, KGI_OK},   {-5, -5, KGI_OK},
        {1, 0, KG104_UNREADABLE},
    };
    struct kgi_code code;
    struct kgi_verdict v;
    char word[] = "sm_90:zstd";

    (void)state;
    code = code_of(word);
    for (size_t i = 0; i < COUNT(hosts); i++) {
        struct kgi_host host = {
            .gpu = {90, 0}, .driver = hosts[i].driver, .cuda_version = hosts[i].cuda};
        kgi_judge(&code, 1, &host, &v);
        assert_int_equal(v.reason, hosts[i].reason);
    }
}

/* The ABI found by inspection counts over the entry header's version. */
static void test_abi_field(void **state)
{
    struct kgi_host host = {.gpu = {90, 0}, .cuda_version = 12040};
    struct kgi_verdict v;
    char word[] = "sm_90";
    struct kgi_code code = code_of(word);

    (void)state;
    code.abi = 8;
    kgi_judge(&code, 1, &host, &v);
    assert_int_equal(v.reason, KG104_UNREADABLE);
    code.abi = 7;
    code.minor = 8;
    kgi_judge(&code, 1, &host, &v);
    assert_int_equal(v.reason, KGI_OK);
}

static void test_many(void **state)
{
    enum { MANY = 200000 };
    struct kgi_code *codes = calloc(MANY, sizeof *codes);
    struct kgi_host host = {.gpu = {90, 0}, .cuda_version = 13000};
    struct kgi_verdict v;
    char word[] = "sm_80", right[] = "sm_90";

    (void)state;
    assert_non_null(codes);
    for (size_t i = 0; i < MANY; i++)
        codes[i] = code_of(word);
    kgi_judge(codes, MANY, &host, &v);
    assert_int_equal(v.answer, KGI_NONE);
    codes[MANY - 1] = code_of(right);
    kgi_judge(codes, MANY, &host, &v);
    assert_int_equal(v.answer, KGI_NATIVE);
    assert_int_equal(v.chosen, MANY - 1);
    kgi_judge(NULL, 0, &host, &v);
    assert_int_equal(v.answer, KGI_NO_CUDA);
    free(codes);
}

/* Any bytes in the structs give a verdict that holds together. */
static void test_noise(void **state)
{
    struct kgi_code codes[6];
    struct kgi_host host;
    struct kgi_verdict v;
    uint32_t seed = 1;

    (void)state;
    for (int round = 0; round < 100000; round++) {
        for (size_t i = 0; i < sizeof codes; i++) {
            seed = seed * 1664525 + 1013904223;
            /* A few values often, so that fits happen. */
            ((uint8_t *)codes)[i] = seed >> 28 < 10 ? (seed >> 24) & 3 : (uint8_t)(seed >> 16);
        }
        host = (struct kgi_host){{(uint16_t)(seed >> 16), 0}, (int)seed, (int)(seed >> 8),
                                 seed & 1 ? "forbidden" : NULL, seed & 2 ? "forced" : NULL};
        kgi_judge(codes, COUNT(codes), &host, &v);
        assert_in_range(v.answer, KGI_NATIVE, KGI_NO_CUDA);
        assert_true(v.chosen < (int)COUNT(codes));
        assert_true((v.chosen < 0) == (v.answer == KGI_NO_CUDA));
        assert_true((v.reason == KGI_OK) ==
                    (v.answer == KGI_NATIVE || v.answer == KGI_FAMILY || v.answer == KGI_NO_CUDA));
        assert_true(*kgi_reason_title(v.reason));
    }
}

/* ---- names and reasons --------------------------------------------------------------------- */

static void test_names(void **state)
{
    static const struct {
        const char *text;
        int number;
        char suffix;
    } good[] = {
        {"sm_120", 120, 0},      {"120", 120, 0},     {"12.0", 120, 0}, {"compute_90a", 90, 'a'},
        {"sm_100f", 100, 'f'},   {"9.0a", 90, 'a'},   {"8.6", 86, 0},   {"35", 35, 0},
        {"compute_100", 100, 0}, {"10.3f", 103, 'f'}, {"999", 999, 0},
    };
    static const char *const bad[] = {
        "",
        "sm_",
        "sm_9",
        "9",
        "sm_1200",
        "12.10",
        "12.",
        ".5",
        "0.5",
        "sm_012",
        "sm_90b",
        "sm_90A",
        "SM_90",
        "90 ",
        " 90",
        "sm_90af",
        "sm_-90",
        "sm90",
        "lto_90",
        "a",
        "12.0.0",
        "1e2",
        "123.4",
        "sm_12.0",
        "compute",
        "sm_sm_90",
        "sm_90+PTX",
        "12",
        "sm_12",
        "9.0;8.0",
        "99999999999999999999",
    };
    struct kgi_target t;
    char name[20];
    int major, minor;

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        t = (struct kgi_target){0, 'x'};
        assert_int_equal(kgi_target_parse(good[i].text, &t), 0);
        assert_int_equal(t.number, good[i].number);
        assert_int_equal(t.suffix, good[i].suffix);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        t = (struct kgi_target){7, 'x'};
        if (kgi_target_parse(bad[i], &t) != -EINVAL || t.number != 7 || t.suffix != 'x')
            fail_msg("'%s' was taken", bad[i]);
    }
    assert_int_equal(kgi_target_parse(NULL, &t), -EINVAL);

    for (size_t i = 0; i < COUNT(cubins); i++) { /* round trip */
        t = target(cubins[i].code);
        assert_string_equal(kgi_target_name(t, "sm_", name, sizeof name), cubins[i].code);
        kgi_target_name(t, "compute_", name, sizeof name);
        assert_int_equal(target(name).number, t.number);
        assert_int_equal(target(name).suffix, t.suffix);
    }
    kgi_target_name((struct kgi_target){65535, 'a'}, "compute_", name, sizeof name);
    assert_string_equal(name, "compute_65535a");
    kgi_target_name((struct kgi_target){90, '\n'}, "sm_", name, sizeof name);
    assert_string_equal(name, "sm_90?");
    kgi_target_cc((struct kgi_target){121, 'a'}, &major, &minor);
    assert_int_equal(major, 12);
    assert_int_equal(minor, 1);
}

static void test_toolkits(void **state)
{
    static const struct {
        const char *target;
        int cuda;
    } known[] = {
        {"sm_80", 11000},  {"sm_86", 11010},   {"sm_87", 11040},   {"sm_89", 11080},
        {"sm_90", 11080},  {"sm_90a", 12000},  {"sm_100", 12080},  {"sm_100f", 12090},
        {"sm_120", 12080}, {"sm_120a", 12080}, {"sm_120f", 12090}, {"sm_103", 12090},
        {"sm_121", 12090}, {"sm_110", 13000},  {"sm_88", 13000},   {"sm_80a", 0},
        {"sm_90f", 0},     {"sm_130", 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(known); i++)
        assert_int_equal(kgi_target_toolkit(target(known[i].target)), known[i].cuda);
    assert_int_equal(kgi_target_toolkit((struct kgi_target){90, 'x'}), 0);
}

static void test_reason_texts(void **state)
{
    static const int codes[] = {0, 101, 102, 103, 104, 105, 106, 107, 108, 109, 201, 202, 203, 204};
    (void)state;
    for (size_t i = 0; i < COUNT(codes); i++) {
        const char *text = kgi_reason_text(codes[i]);
        assert_true(strlen(kgi_reason_title(codes[i])) > 3);
        assert_true(strlen(kgi_reason_title(codes[i])) < 60);
        assert_null(strchr(kgi_reason_title(codes[i]), '\n'));
        assert_true(codes[i] == 0 || strlen(text) > 100);
        for (size_t line; *text; text += line + (text[line] == '\n')) {
            line = strcspn(text, "\n");
            assert_in_range(line, 1, 99);
        }
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(kgi_reason_title(codes[i]), kgi_reason_title(codes[j]));
    }
    assert_string_equal(kgi_reason_title(KG101_NO_CODE), "no code for this GPU");
    assert_string_equal(kgi_reason_title(777), "unknown reason");
    assert_string_equal(kgi_reason_text(-1), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cubin_matrix),
        cmocka_unit_test(test_ptx_matrix),
        cmocka_unit_test(test_beyond_the_tables),
        cmocka_unit_test(test_ptx_versions),
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_odd_lists),
        cmocka_unit_test(test_driver_branch),
        cmocka_unit_test(test_abi_field),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_toolkits),
        cmocka_unit_test(test_reason_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
