/* JSON lines: every one is read by a real JSON reader, whatever is in it and however little room it
 * got. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "report/report.h"

static const struct kgi_code codes[] = {
    {.kind = KGI_CUBIN, .target = {90, 'a'}},
    {.kind = KGI_CUBIN, .target = {80, 0}},
    {.kind = KGI_CUBIN, .target = {80, 0}},
    {.kind = KGI_PTX, .target = {80, 0}, .major = 7, .minor = 4, .packing = KGI_ZSTD},
    {.kind = KGI_LTO, .target = {90, 0}},
};

static struct kgi_diagnosis full(void)
{
    return (struct kgi_diagnosis){
        .event = KGI_EVENT_FAILURE,
        .reason = KG101_NO_CODE,
        .query = true,
        .kernel = "_Z15voxelize_kernelPfi",
        .kernel_from = "host stack",
        .library = "/opt/udf_ext.so",
        .package = "udf_ext 0.0.0",
        .place = 4096,
        .codes = codes,
        .code_count = KGI_COUNT(codes),
        .verdict = {KGI_NONE, KG101_NO_CODE, -1, 0},
        .gpu = "NVIDIA GeForce RTX 5090",
        .host = {.gpu = {120, 0}},
        .driver = "570.26",
        .api = "cudaFuncGetAttributes",
        .result = 209,
        .result_text = "no kernel image",
        .python = "run.py:42 in main > mesh.py:88 in f",
        .stack = "udf_ext.so",
        .help = "rebuild with \"12.0\"",
        .log = "line\nline",
        .count = 3,
    };
}

static char buffer[8192];

static const char *json_of(const struct kgi_diagnosis *d, size_t size)
{
    struct kgi_text out = {buffer, size, 0, false};
    size_t length;

    buffer[0] = 0;
    length = kgi_report_json(d, &out);
    assert_int_equal(length, strlen(buffer));
    assert_true(length < size);
    return buffer;
}

static void fields(void **state)
{
    struct kgi_diagnosis d = full();
    static const char *const parts[] = {
        "{\"schema\":1,\"event\":\"failure\",\"code\":\"KG101\",\"pid\":",
        "\"kernel\":\"voxelize_kernel(float*, int)\",\"kernel_mangled\":\"_Z15voxelize_kernelPfi\"",
        "\"library\":\"/opt/udf_ext.so\",\"package\":\"udf_ext 0.0.0\",\"place\":4096",
        "\"sass\":[\"sm_80\",\"sm_90a\"],\"ptx\":[\"compute_80\"],\"holds\":\"SASS sm_80 sm_90a; ",
        "\"gpu\":\"NVIDIA GeForce RTX 5090\",\"ordinal\":0,\"cc\":\"12.0\",\"driver\":\"570.26\"",
        "\"api\":\"cudaFuncGetAttributes\",\"result\":209,\"result_text\":\"no kernel image\"",
        "\"query\":true,\"python\":[\"run.py:42 in main\",\"mesh.py:88 in f\"],"
        "\"host\":[\"udf_ext.so\"],\"help\":\"rebuild with \\\"12.0\\\"\",\"count\":3,"
        "\"log\":\"line\\nline\"}\n",
    };

    (void)state;
    json_of(&d, sizeof buffer);
    for (size_t i = 0; i < KGI_COUNT(parts); i++)
        if (!strstr(buffer, parts[i]))
            fail_msg("no %s in %s", parts[i], buffer);
}

static void unknown_is_left_out(void **state)
{
    struct kgi_diagnosis d = {.event = KGI_EVENT_SUMMARY, .message = "2 reports"};

    (void)state;
    json_of(&d, sizeof buffer);
    assert_non_null(strstr(buffer, "\"message\":\"2 reports\"}\n"));
    assert_null(strstr(buffer, "null"));
    assert_null(strstr(buffer, "gpu"));
    assert_null(strstr(buffer, "code"));
}

static void lines_are_json(void **state)
{
    struct kgi_diagnosis d = full();
    static const char check[] =
        "python3 -c 'import json,sys\n"
        "for line in sys.stdin.buffer: r = json.loads(line.decode()); assert r[\"schema\"] == 1'";
    FILE *python = popen(check, "w");

    (void)state;
    for (size_t size = 256; size < 1500; size++)
        fputs(json_of(&d, size), python);
    d.library = "\"\\\x01\x7f\x80\xff\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80\xf0\x9f\x98\x80/\xc3\xa9";
    d.kernel = d.package = d.gpu = d.api = d.python = d.stack = d.help = d.log = d.library;
    for (size_t size = 256; size < 1500; size++)
        fputs(json_of(&d, size), python);
    assert_int_equal(pclose(python), 0);
    d.event = KGI_EVENT_MODULE;
    d.ordinal = -1;
    assert_non_null(strstr(json_of(&d, sizeof buffer), "\"what_if\":true"));
}

static void little_room_says_so(void **state)
{
    struct kgi_diagnosis d = full();

    (void)state;
    json_of(&d, 400);
    assert_non_null(strstr(buffer, ",\"truncated\":true}\n"));
    assert_null(strstr(json_of(&d, sizeof buffer), "truncated"));
    assert_string_equal(json_of(&d, 100), "");
    d.log = NULL;
    d.python = calloc(1, 600); /* what does not fit goes, what comes after it stays */
    memset((char *)(uintptr_t)d.python, 'p', 599);
    json_of(&d, 1000);
    assert_null(strstr(buffer, "\"python\""));
    assert_non_null(strstr(buffer, "\"count\":3,\"truncated\":true}\n"));
    free((char *)(uintptr_t)d.python);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields),
        cmocka_unit_test(unknown_is_left_out),
        cmocka_unit_test(lines_are_json),
        cmocka_unit_test(little_room_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
