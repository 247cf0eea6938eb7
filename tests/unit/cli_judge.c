/* One answer for a file of many images: lists of codes as real libraries hold them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include "cli/cli.h"

/* A file from a text: images are split by "|", codes by a space. "80" is a cubin, "p80" PTX, "l80" LTO,
 * "e80" a cubin without kernels, "r80" a relocatable cubin; an image that begins with "-" is not registered, with
 * "=" the device link's, with "~" relocatable. */
static struct kgi_file file_of(const char *text)
{
    struct kgi_file file = {.dynamic_elf = true, .found = calloc(16, sizeof(struct kgi_found))};
    char copy[512], *images = copy, *image;

    snprintf(copy, sizeof copy, "%s", text);
    while ((image = strsep(&images, "|"))) {
        struct kgi_found *found = &file.found[file.found_count++];
        char *word;
        *found = (struct kgi_found){.fatbin = true, .registered = image[0] != '-',
                                    .linked = image[0] == '=', .relocatable = image[0] == '~',
                                    .codes = calloc(16, sizeof(struct kgi_code))};
        image += strspn(image, "-=~");
        while ((word = strsep(&image, " "))) {
            struct kgi_code *code = &found->codes[found->count++];
            *code = (struct kgi_code){.kind = *word == 'p' ? KGI_PTX : KGI_CUBIN, .major = 1,
                                      .minor = 7, .kernels = -1};
            if (*word == 'p')
                code->major = 7;
            if (*word == 'l')
                code->kind = KGI_LTO;
            if (*word == 'e')
                code->kernels = 0;
            if (*word == 'e')
                code->traits = KGI_T_INSPECTED;
            if (*word == 'r')
                code->traits = KGI_T_RELOCATABLE;
            assert_int_equal(kgi_target_parse(word + strspn(word, "perl"), &code->target), 0);
        }
    }
    kgi_file_settle(&file);
    return file;
}

static struct kgi_file_verdict judge(const char *text, unsigned gpu)
{
    struct kgi_file file = file_of(text);
    struct kgi_host host = {.gpu = {(uint16_t)gpu, 0}};
    struct kgi_file_verdict v;

    kgi_file_judge(&file, &host, &v);
    kgi_file_free(&file);
    return v;
}

static void expect(const char *text, unsigned gpu, enum kgi_answer answer, int reason)
{
    struct kgi_file_verdict v = judge(text, gpu);

    if (v.verdict.answer != answer || v.verdict.reason != reason)
        fail_msg("{%s} on %u: %s KG%d, not %s KG%d", text, gpu, kgi_answer_names[v.verdict.answer],
                 v.verdict.reason, kgi_answer_names[answer], reason);
}

static void worst_decides(void **state)
{
    (void)state;
    expect("80 90|80 90", 90, KGI_NATIVE, 0);
    expect("80 90|80 90", 89, KGI_FAMILY, 0);
    expect("80 90|80 90 120", 120, KGI_NONE, KG101_NO_CODE); /* one file of it was built for less */
    expect("80 90 p90|80 90 120", 120, KGI_JIT, KG201_WILL_JIT);
    expect("80 90|80 90", 120, KGI_NONE, KG101_NO_CODE);
}

static void stubs_and_strangers_do_not_count(void **state)
{
    (void)state;
    expect("120|=e75", 120, KGI_NATIVE, 0);
    expect("=e75", 120, KGI_NO_CUDA, 0);
    expect("80 120|-80", 120, KGI_NATIVE, 0);
    expect("80|-120", 120, KGI_NONE, KG101_NO_CODE);
    expect("-80|-120", 120, KGI_NATIVE, 0); /* none is registered: the library loads them itself */
}

static void extras_for_other_gpus(void **state)
{
    (void)state;
    expect("50 60 70 75 80 86 90|e50 e60 e70 e75 80 86 90", 75, KGI_NATIVE, 0); /* libtorch_cuda */
    expect("50 60 70 75 80 86 90|e50 e60 e70 e75 80 86 90", 120, KGI_NONE, KG101_NO_CODE);
    expect("75 80 90 100 120 p120|100f", 90, KGI_NATIVE, 0); /* libnccl */
    expect("75 80 90 100 120 p120|100f", 120, KGI_NATIVE, 0);
    expect("75 80 86 90 100 120|70 75", 90, KGI_NATIVE, 0); /* libcudnn_cnn */
    expect("80 86 90 120 p120|90 100 120 p90", 80, KGI_NATIVE, 0); /* libcusolver */
    expect("90a|90a", 120, KGI_NONE, KG102_ARCH_SPECIFIC); /* nothing else is there: no extra */
    expect("80 90|90a", 120, KGI_NONE, KG101_NO_CODE);
    expect("75 80 86 90 100 120|70 75", 130, KGI_NONE, KG101_NO_CODE);
    assert_int_equal(judge("75 80 90 100 120 p120|100f", 90).failing, 1);
    assert_int_equal(judge("75 80 90 100 120 p120|100f", 90).judged, 2);
}

static void chosen_at_run_time(void **state)
{
    static const char cublas[] = "90a 120f|90a|75|80 89 90a 120f|100 120 p120|75 80 86 90 100 120|80";

    (void)state;
    assert_true(judge(cublas, 90).chooses);
    for (size_t i = 0; i < 5; i++)
        expect(cublas, (unsigned[]){75, 80, 90, 100, 120}[i], KGI_NATIVE, 0);
    expect(cublas, 61, KGI_NONE, KG101_NO_CODE);
    expect(cublas, 87, KGI_NONE, KG101_NO_CODE);
    /* one image of many by JIT is no answer */
    expect("90a 120f|75|75 80 86 90 100 120|120 p75", 87, KGI_NONE, KG101_NO_CODE);
    assert_false(judge("80 90|80 90 120", 120).chooses);
}

/* What such a library does without on the newest GPU that it knows, it does without on later ones. */
static void left_behind(void **state)
{
    static const char cublas[] = "50 60 61 70 80 86 p90 90|80 86 p90 90|50 60 61|60 61";
    static const char cufft[] = "-p50|-p90|-l70|-70|-89|-90";

    (void)state;
    expect(cublas, 90, KGI_NATIVE, 0);
    expect(cublas, 120, KGI_JIT, KG201_WILL_JIT);
    assert_int_equal(judge(cublas, 120).failing, 2);
    expect("50 60 61 p90 90|80 90|50 60 61", 120, KGI_NONE, KG101_NO_CODE); /* cuBLASLt: {80 90} runs on 90 */
    expect("50 60 61|50 60 61 80 90 p90", 120, KGI_NONE, KG101_NO_CODE); /* all run on 60: no choice */
    expect(cufft, 120, KGI_JIT, KG201_WILL_JIT); /* LTO is for the library's own linker */
    expect(cufft, 90, KGI_NATIVE, 0);
    expect("-l70|-90", 120, KGI_NONE, KG101_NO_CODE);
}

/* The driver links it, and compiles nothing. */
static void relocatable_alone(void **state)
{
    (void)state;
    expect("75 80 90|r75", 75, KGI_NATIVE, 0); /* libcudnn_cnn */
    expect("r75 r80", 86, KGI_FAMILY, 0);      /* libcudadevrt.a */
    expect("r75", 90, KGI_NONE, KG101_NO_CODE);
}

static void device_linked(void **state)
{
    (void)state;
    expect("=80 90|~r80 r90|~r80 r90", 90, KGI_NATIVE, 0);
    expect("=80|~r80 r90", 90, KGI_LINK, KG108_NEEDS_LINK);
    expect("=80|~r80 r90|~r80", 90, KGI_NONE, KG101_NO_CODE); /* every unit must have a fit */
    expect("=80|~r80", 120, KGI_NONE, KG101_NO_CODE);
    expect("=e75|80 90", 90, KGI_NATIVE, 0);
    /* bitsandbytes 0.50.2 for aarch64: two units without a kernel, whose PTX has none either. */
    expect("~e75 e80 e90|~75 80 90 p90|=75 80 90", 120, KGI_LINK, KG108_NEEDS_LINK);
    expect("~e75 e80 e90|~75 80 90 p90|=75 80 90", 90, KGI_NATIVE, 0);
    expect("~e75 e80 e90|=75 80 90", 90, KGI_NATIVE, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worst_decides),
        cmocka_unit_test(stubs_and_strangers_do_not_count),
        cmocka_unit_test(extras_for_other_gpus),
        cmocka_unit_test(chosen_at_run_time),
        cmocka_unit_test(left_behind),
        cmocka_unit_test(relocatable_alone),
        cmocka_unit_test(device_linked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
