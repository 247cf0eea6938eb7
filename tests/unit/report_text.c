/* Reports as they are read: golden texts, limits, hostile names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "report/report.h"

#define CUBIN(n, s) {.kind = KGI_CUBIN, .target = {n, s}, .kernels = -1}
#define PTX_OF(n, ma, mi) \
    {.kind = KGI_PTX, .target = {n, 0}, .major = ma, .minor = mi, .kernels = -1}

static const struct kgi_code old_gpus[] = {CUBIN(60, 0), CUBIN(61, 0), CUBIN(70, 0), CUBIN(75, 0),
                                           CUBIN(80, 0), CUBIN(86, 0), CUBIN(89, 0), CUBIN(90, 0)};

static struct kgi_diagnosis voxelize(void)
{
    return (struct kgi_diagnosis){
        .event = KGI_EVENT_FAILURE,
        .reason = KG101_NO_CODE,
        .kernel = "_Z15voxelize_kernelPfi",
        .library = "/opt/venv/lib/python3.10/site-packages/udf_ext.so",
        .package = "udf_ext 0.0.0",
        .codes = old_gpus,
        .code_count = KGI_COUNT(old_gpus),
        .verdict = {KGI_NONE, KG101_NO_CODE, -1, 0},
        .ordinal = 0,
        .gpu = "NVIDIA GeForce RTX 5090",
        .host = {.gpu = {120, 0}, .cuda_version = 12080, .driver = 570},
        .driver = "570.26",
        .api = "cudaLaunchKernel",
        .result = 209,
        .result_text = "no kernel image is available",
        .python = "run.py:42 in main > direct3d_s2/utils/mesh.py:88 in mesh2index",
        .stack = "udf_ext.so",
        .help = "rebuild udf_ext with TORCH_CUDA_ARCH_LIST=\"12.0\"",
    };
}

static char buffer[8192];

static const char *text_of(const struct kgi_diagnosis *d)
{
    struct kgi_text out = {buffer, sizeof buffer, 0, false};

    size_t length;

    buffer[0] = 0;
    length = kgi_report_text(d, &out);
    assert_int_equal(length, strlen(buffer));
    return buffer;
}

/* The report with "P:" for "kguard[PID]:". */
static void expect(const struct kgi_diagnosis *d, const char *golden)
{
    static char got[sizeof buffer];
    char prefix[32];
    size_t length = (size_t)snprintf(prefix, sizeof prefix, "kguard[%d]:", (int)getpid()), at = 0;

    for (const char *s = text_of(d); *s; s = strchr(s, '\n') + 1) {
        assert_int_equal(strncmp(s, prefix, length), 0);
        at += (size_t)snprintf(got + at, sizeof got - at, "P:%.*s",
                               (int)(strchr(s, '\n') + 1 - s - length), s + length);
    }
    got[at] = 0;
    assert_string_equal(got, golden);
}

static void launch(void **state)
{
    struct kgi_diagnosis d = voxelize();

    (void)state;
    expect(&d,
           "P: error[KG101]: kernel voxelize_kernel(float*, int) has no code for this GPU\n"
           "P:   library  /opt/venv/lib/python3.10/site-packages/udf_ext.so  "
           "(package udf_ext 0.0.0)\n"
           "P:   holds    SASS sm_60 sm_61 sm_70 sm_75 sm_80 sm_86 sm_89 sm_90; PTX none\n"
           "P:   needs    sm_120 SASS, or PTX up to compute_120: GPU 0, NVIDIA GeForce RTX 5090, "
           "driver 570.26\n"
           "P:   api      cudaLaunchKernel = 209 (no kernel image is available)\n"
           "P:   called   run.py:42 in main > direct3d_s2/utils/mesh.py:88 in mesh2index > "
           "udf_ext.so\n"
           "P:   help     rebuild udf_ext with TORCH_CUDA_ARCH_LIST=\"12.0\"\n");
}

static void only_what_is_known(void **state)
{
    struct kgi_diagnosis d = {.event = KGI_EVENT_FAILURE, .reason = KG101_NO_CODE,
                              .verdict = {.chosen = -1}};

    (void)state;
    expect(&d, "P: error[KG101]: a kernel of an image in memory has no code for this GPU\n");
}

static void query(void **state)
{
    struct kgi_diagnosis d = voxelize();

    (void)state;
    d.query = true;
    d.api = "cudaFuncGetAttributes";
    assert_non_null(strstr(text_of(&d), "has no code for this GPU (cudaFuncGetAttributes asked; "
                                        "not a launch)\n"));
}

static void not_used_yet(void **state)
{
    struct kgi_diagnosis d = voxelize();

    (void)state;
    d.not_used_yet = true;
    d.kernel = NULL;
    assert_non_null(strstr(text_of(&d), "error[KG101]: the code in udf_ext.so cannot run, not used "
                                        "yet: no code for this GPU\n"));
}

/* elf_truncated.cubin: its list of kernels is what was cut off. */
static void cut_short(void **state)
{
    const struct kgi_code code = {
        .kind = KGI_CUBIN, .target = {120, 0}, .traits = KGI_T_INSPECTED, .kernels = 0};
    struct kgi_diagnosis d = voxelize();

    (void)state;
    d.codes = &code;
    d.code_count = 1;
    d.reason = KG104_UNREADABLE;
    d.result = 200;
    d.verdict = (struct kgi_verdict){KGI_NO_CUDA, KGI_OK, -1, 0};
    text_of(&d);
    assert_non_null(strstr(buffer, "  needs    an undamaged image: GPU 0"));
}

static void built_in_memory_and_unreadable(void **state)
{
    struct kgi_diagnosis d = voxelize();

    (void)state;
    d.library = d.package = NULL;
    d.built_by = "/usr/lib/libtorch_cuda.so";
    d.kernel = NULL;
    d.kernels = "a(int), b(float) and 62 more";
    d.unreadable = true;
    d.broken = 4096;
    text_of(&d);
    assert_non_null(strstr(buffer, ": a kernel of an image built in memory by libtorch_cuda.so "));
    assert_non_null(strstr(buffer, "  library  built in memory by /usr/lib/libtorch_cuda.so\n"));
    assert_non_null(strstr(buffer, "  kernel   not known which; the image has a(int), b(float) and "
                                   "62 more\n"));
    assert_non_null(strstr(buffer, "sm_90; PTX none; could not be read past byte 4096\n"));
}

static void ptx_too_new(void **state)
{
    const struct kgi_code ptx[] = {PTX_OF(80, 9, 0)};
    struct kgi_diagnosis d = voxelize();

    (void)state;
    d.reason = KG103_PTX_TOO_NEW;
    d.codes = ptx;
    d.code_count = 1;
    d.verdict = (struct kgi_verdict){KGI_NONE, KG103_PTX_TOO_NEW, 0, 13000};
    text_of(&d);
    assert_non_null(strstr(buffer, "  holds    SASS none; PTX compute_80 (ISA 9.0)\n"));
    assert_non_null(strstr(buffer, "  needs    a driver of CUDA 13.0 or newer (580."));
    assert_non_null(strstr(buffer, "; its PTX is ISA 9.0, this one reads up to 8.7: GPU 0, "));
}

static void needs_by_reason(void **state)
{
    static const struct {
        int reason;
        struct kgi_code code;
        int cuda;
        const char *needs;
    } rows[] = {
        {KG102_ARCH_SPECIFIC, CUBIN(90, 'a'), 0,
         "sm_120 SASS, or PTX up to compute_120; sm_90a code runs on that one GPU only: GPU 0"},
        {KG102_ARCH_SPECIFIC, CUBIN(100, 'f'), 0, "sm_100f code runs on its own family only: GPU"},
        {KG104_UNREADABLE, {.kind = KGI_CUBIN, .target = {120, 0}, .packing = KGI_ZSTD}, 12090,
         "a driver of CUDA 12.9 or newer; its sm_120 code is compressed with zstd: GPU 0"},
        {KG104_UNREADABLE, {.kind = KGI_CUBIN, .target = {120, 0}, .abi = 8}, 13000,
         "a driver of CUDA 13.0 or newer; its sm_120 code is a cubin of ELF ABI 8: GPU 0"},
        {KG105_NO_JIT, PTX_OF(80, 7, 4), 0, "the driver's JIT, libnvidia-ptxjitcompiler.so: GPU"},
        {KG106_NO_KERNEL, CUBIN(120, 0), 0,
         "this kernel in the code that the driver chose, sm_120: GPU 0"},
        {KG108_NEEDS_LINK, CUBIN(120, 0), 0, "a device link (nvcc -dlink); "},
    };

    (void)state;
    for (size_t i = 0; i < KGI_COUNT(rows); i++) {
        struct kgi_diagnosis d = voxelize();

        d.reason = rows[i].reason;
        d.codes = &rows[i].code;
        d.code_count = 1;
        d.verdict = (struct kgi_verdict){KGI_NONE, d.reason, 0, rows[i].cuda};
        if (!strstr(text_of(&d), rows[i].needs))
            fail_msg("row %zu: %s", i, buffer);
    }
}

static void what_if(void **state)
{
    struct kgi_diagnosis d = voxelize();

    (void)state;
    d.ordinal = -1;
    assert_non_null(strstr(text_of(&d), ": target sm_120, from KGUARD_TARGET, driver 570.26\n"));
}

static void holds_every_kind(void **state)
{
    const struct kgi_code codes[] = {
        CUBIN(90, 'a'), CUBIN(80, 0), CUBIN(80, 0),
        {.kind = KGI_CUBIN, .target = {100, 'f'}, .packing = KGI_ZSTD},
        {.kind = KGI_CUBIN, .target = {75, 0}, .traits = KGI_T_INSPECTED, .kernels = 0},
        {.kind = KGI_PTX, .target = {80, 0}, .major = 7, .minor = 4, .packing = KGI_ZSTD},
        {.kind = KGI_PTX, .target = {75, 0}, .major = 9, .traits = KGI_T_RELOCATABLE},
        {.kind = KGI_LTO, .target = {90, 0}},
        {.kind = KGI_INDEX},
        {.kind = 0x55, .target = {90, 0}},
    };
    KGI_TEXT(t, 512);

    (void)state;
    kgi_report_holds(codes, KGI_COUNT(codes), &t);
    assert_string_equal(t.at, "SASS sm_75 (no kernels) sm_80 sm_90a sm_100f (zstd); "
                              "PTX compute_75 (ISA 9.0, relocatable) compute_80 (ISA 7.4, zstd); "
                              "LTO compute_90 unknown kind 0x55 sm_90");
}

static void holds_shared_notes(void **state)
{
    const struct kgi_code codes[] = {
        {.kind = KGI_CUBIN, .target = {80, 0}, .packing = KGI_ZSTD},
        {.kind = KGI_CUBIN, .target = {90, 0}, .packing = KGI_ZSTD},
    };
    KGI_TEXT(t, 512);

    (void)state;
    kgi_report_holds(codes, KGI_COUNT(codes), &t);
    assert_string_equal(t.at, "SASS sm_80 sm_90 (all zstd); PTX none");
}

static int lines_in(const char *s)
{
    int n = 0;

    for (; *s; s++)
        n += *s == '\n';
    return n;
}

static void at_most_twelve_lines(void **state)
{
    struct kgi_diagnosis d = voxelize();
    char kernel[700] = "_Z600";

    (void)state;
    memset(kernel + 5, 'k', 600);
    strcpy(kernel + 605, "v");
    d.kernel = kernel;
    d.log = "one\n\ntwo\nthree\nfour\nfive\nsix\n";
    assert_int_equal(lines_in(text_of(&d)), 12);
    assert_non_null(strstr(buffer, "  log      three\n"));
    assert_non_null(strstr(buffer, "  log      and 3 more lines\n"));
    assert_non_null(strstr(buffer, "  help     rebuild"));
}

static void long_kernel_keeps_reason_near(void **state)
{
    struct kgi_diagnosis d = voxelize();
    char name[600] = "_Z3runI", *end = name + strlen(name);

    (void)state;
    for (int i = 0; i < 60; i++)
        end = stpcpy(end, "7element");
    strcpy(end, "EvT_");
    d.kernel = name;
    text_of(&d);
    assert_non_null(strstr(buffer, "error[KG101]: kernel void run<...>(...) has no code"));
    assert_non_null(strstr(buffer, "  kernel   void run<element, element, "));
}

static void hostile_names(void **state)
{
    struct kgi_diagnosis d = voxelize();

    (void)state;
    d.kernel = "evil\033[2J\nkguard[1]: all is well";
    d.library = "/tmp/\xff\xfe/a\rb\xe2\x80\xae.so";
    d.package = d.gpu = d.driver = d.result_text = d.python = d.stack = d.help = "\n\033]0;x\a";
    d.log = "\033[31m";
    text_of(&d);
    for (const char *s = buffer; *s; s++)
        assert_true(*s == '\n' || (unsigned char)*s >= ' ');
    assert_non_null(strstr(buffer, "kernel evil\\x1b[2J\\x0akguard[1]: all is well has no"));
    assert_non_null(strstr(buffer, "/tmp/\\xff\\xfe/a\\x0db\\xe2\\x80\\xae.so"));
    assert_int_equal(lines_in(buffer), 8);
}

static void any_size_ends_in_a_line_end(void **state)
{
    struct kgi_diagnosis d = voxelize();

    (void)state;
    for (size_t size = 2; size < 900; size++) {
        char *small = malloc(size); /* so that a byte too far is seen by a sanitizer */
        struct kgi_text out = {small, size, 0, false};

        assert_true(kgi_report_text(&d, &out) < size);
        assert_int_equal(small[out.length - 1], '\n');
        assert_int_equal(small[out.length], 0);
        free(small);
    }
}

static void modules(void **state)
{
    const struct kgi_code ptx[] = {CUBIN(70, 0), PTX_OF(80, 7, 4)};
    struct kgi_diagnosis d = voxelize();

    (void)state;
    d.event = KGI_EVENT_MODULE;
    d.library = "/opt/a.so";
    d.codes = &old_gpus[6];
    d.code_count = 2;
    expect(&d, "P: warn[KG101]: /opt/a.so holds SASS sm_89 sm_90; PTX none; no SASS for sm_120, "
               "and no PTX it can use\n");
    d.codes = ptx;
    d.reason = KG201_WILL_JIT;
    d.verdict = (struct kgi_verdict){KGI_JIT, KG201_WILL_JIT, 1, 0};
    expect(&d, "P: warn[KG201]: /opt/a.so holds SASS sm_70; PTX compute_80 (ISA 7.4); will be "
               "JIT-compiled from compute_80 for sm_120, a slow first start\n");
    d.reason = KGI_OK;
    d.host.gpu.number = 70;
    d.verdict = (struct kgi_verdict){KGI_NATIVE, KGI_OK, 0, 0};
    expect(&d, "P: info: /opt/a.so holds SASS sm_70; PTX compute_80 (ISA 7.4); sm_70 runs sm_70\n");
}

static void sentences(void **state)
{
    struct kgi_diagnosis d = {.event = KGI_EVENT_FOLLOWUP, .reason = KG204_UNCHECKED, .count = 3,
                              .message = "the caller did not check"};

    (void)state;
    expect(&d, "P: warn[KG204]: the caller did not check (3 failed calls in all)\n");
    d = (struct kgi_diagnosis){.event = KGI_EVENT_SUMMARY, .message = "2 reports"};
    expect(&d, "P: info: 2 reports\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(launch),
        cmocka_unit_test(only_what_is_known),
        cmocka_unit_test(query),
        cmocka_unit_test(not_used_yet),
        cmocka_unit_test(cut_short),
        cmocka_unit_test(built_in_memory_and_unreadable),
        cmocka_unit_test(ptx_too_new),
        cmocka_unit_test(needs_by_reason),
        cmocka_unit_test(what_if),
        cmocka_unit_test(holds_every_kind),
        cmocka_unit_test(holds_shared_notes),
        cmocka_unit_test(at_most_twelve_lines),
        cmocka_unit_test(long_kernel_keeps_reason_near),
        cmocka_unit_test(hostile_names),
        cmocka_unit_test(any_size_ends_in_a_line_end),
        cmocka_unit_test(modules),
        cmocka_unit_test(sentences),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
