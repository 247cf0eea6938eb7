/*
 * The rules against a real driver: for every image of tests/gpu/cases, what kgi_judge says is
 * compared with what driver 580 on an H200 (CC 9.0) answered to cuModuleLoadData and, where the
 * kernel ran, with the constant it wrote, which tells the entry that the driver took
 * (tests/gpu/cases/make.py). Where the two differ, `differs` says why.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/base.h"
#include "rules/rules.h"

#define CASES "tests/gpu/cases/"
#define RECORDED "tests/recorded/driver-580.tsv"
#define NOT_DONE (-1)

enum mode { PLAIN, FORCE, FORBID, FORCE_ALL, FORBID_ALL, MODES };
static const char *const mode_names[] = {"lazy", "force_ptx_jit", "disable_ptx_jit", "force_jit",
                                         "disable_jit"};

/* What the driver said of one image under one environment. */
struct answer {
    char image[64];
    enum mode mode;
    int load, find, marker; /* results of load and of cuModuleGetFunction, and the constant */
};
static struct answer answers[1024];
static size_t answer_count;

/* Images that tell a lie the rules do not check, or that only the payload condemns. */
static const struct {
    const char *image, *why;
} differs[] = {
    {"compute_80_bit_a.fatbin", "there is no compute_80a; the driver takes it for compute_80"},
    {"compute_90_bit_f.fatbin", "there is no compute_90f; the driver drops it"},
    {"sm_90_bit_f.fatbin", "there is no sm_90f; the driver drops it"},
    {"obfuscated_flag.fatbin", "the flag alone, without a key: not really obfuscated"},
    {"header_isa_9.1_text_7.0.fatbin", "the header lies: the JIT reads the text's version"},
    {"header_compute_80_text_120.fatbin", "the header lies: the JIT refuses the text"},
    {"header_sm_90_elf_75.fatbin", "the header lies: chosen, then refused with 300"},
    {"header_sm_90_elf_75_and_ptx.fatbin", "the header lies: chosen, then refused with 300"},
    {"pick_sm_90_wrong_elf_sm_90_ab.fatbin", "the header lies: chosen, then refused with 300"},
    {"invalid.ptx", "an instruction that does not exist: only the JIT knows"},
    {"invalid.fatbin", "an instruction that does not exist: only the JIT knows"},
    {"pick_invalid_valid_ab.fatbin", "an instruction that does not exist: only the JIT knows"},
    {"pick_invalid_valid_ba.fatbin", "an instruction that does not exist: only the JIT knows"},
    {"isa_old_for_target.ptx", "the JIT refuses what ptxas takes: 4.0 with sm_90"},
    {"target_list.ptx", "the JIT refuses what ptxas takes: two targets"},
    {"options_unknown.fatbin", "a stored option that the JIT does not know"},
    {"kind_10_cubin.fatbin", "a cubin labelled as Mercury: chosen, then refused with 999"},
    {"kind_10_and_ptx.fatbin", "a cubin labelled as Mercury: chosen, then refused with 999"},
    {"pick_kind_10_compute_80_ab.fatbin", "a cubin labelled as Mercury: refused with 999"},
    {"pick_kind_10_compute_80_ba.fatbin", "a cubin labelled as Mercury: refused with 999"},
    {"kind_40_cubin.fatbin", "a cubin labelled as relocatable PTX"},
    {"pick_other_kernel_ab.fatbin", "the kernel asked for is in the other entry"},
    {"pick_other_kernel_ba.fatbin", "the kernel asked for is in the other entry"},
    {"rdc_ptx_a.fatbin", "one of two units: linked at load, but not whole"},
    {"lz4_flipped.fatbin", "the ELF's own target was flipped: chosen, then refused with 300"},
    {"pick_stub_90_compute_80_ab.fatbin", "an image without kernels is taken before PTX with some"},
    {"pick_stub_90_compute_80_ba.fatbin", "an image without kernels is taken before PTX with some"},
};

/* What the driver runs although the reader calls it broken: it is laxer. */
static const char *const laxer[] = {
    "elf_abi_9.cubin", "entry_version_0102.fatbin", "kind_40_and_ptx.fatbin",
    "size_8.fatbin",   "size_high_bits.fatbin",     "size_start_of_second.fatbin",
};

static bool is_laxer(const char *image)
{
    for (size_t i = 0; i < KGI_COUNT(laxer); i++) {
        if (!strcmp(laxer[i], image))
            return true;
    }
    return false;
}

static struct answer *answer_of(const char *image, enum mode mode)
{
    for (size_t i = 0; i < answer_count; i++) {
        if (answers[i].mode == mode && !strcmp(answers[i].image, image))
            return &answers[i];
    }
    assert_true(answer_count < KGI_COUNT(answers));
    struct answer *a = &answers[answer_count++];
    *a = (struct answer){.mode = mode, .load = NOT_DONE, .find = NOT_DONE, .marker = NOT_DONE};
    snprintf(a->image, sizeof a->image, "%s", image);
    return a;
}

/* "module/IMAGE/MODE/CALL <tab> arguments <tab> result <tab> detail" */
static void take_line(char *line)
{
    char *save, *field[4] = {0}, *part[4] = {0};
    int mode = 0;

    for (int i = 0; i < 4; i++)
        field[i] = strtok_r(i ? NULL : line, "\t\n", &save);
    for (int i = 0; field[2] && i < 4; i++)
        part[i] = strtok_r(i ? NULL : field[0], "/", &save);
    if (!part[3] || strcmp(part[0], "module"))
        return;
    while (mode < MODES && strcmp(part[2], mode_names[mode]))
        mode++;
    if (mode == MODES)
        return;
    struct answer *a = answer_of(part[1], (enum mode)mode);
    int result = atoi(field[2]);
    if (!strcmp(part[3], "cuModuleLoadData"))
        a->load = result;
    else if (!strcmp(part[3], "cuModuleGetFunction"))
        a->find = result;
    else if (!strcmp(part[3], "cuLaunchKernel") && field[3])
        sscanf(field[3], "marker=%d", &a->marker);
}

static int read_answers(void **state)
{
    FILE *file = fopen(RECORDED, "r");
    static char line[65536];

    (void)state;
    if (!file)
        return -1;
    while (fgets(line, sizeof line, file))
        take_line(line);
    fclose(file);
    return 0;
}

/* ---- one image ----------------------------------------------------------------------------------
 */

enum { MOST = 16, SCRATCH = 1 << 20 };

struct image {
    struct kgi_bytes bytes;
    struct kgi_code codes[MOST];
    size_t count;
    int broken; /* what the reader said of it, or of the first payload it could not read */
};

static void read_image(const char *name, struct image *image)
{
    char path[128];
    static uint8_t bytes[1 << 20], scratch[SCRATCH];

    snprintf(path, sizeof path, CASES "%s", name);
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s is missing", path);
    memset(bytes, 0, sizeof bytes);
    image->bytes = (struct kgi_bytes){bytes, fread(bytes, 1, sizeof bytes, file)};
    fclose(file);
    image->broken = kgi_image_codes(image->bytes, image->codes, MOST, &image->count, NULL);
    assert_true(image->count <= MOST);
    for (size_t i = 0; i < image->count; i++) {
        int result = kgi_code_inspect(&image->codes[i], scratch, sizeof scratch);
        if (image->codes[i].traits & KGI_T_UNREADABLE && !image->broken)
            image->broken = result;
    }
}

/* Whether the bytes of the code hold the constant that was written: as text in PTX, as an
 * immediate in a cubin. Packed payloads are not looked into. */
static bool wrote(const struct kgi_code *code, int marker)
{
    char text[16];
    int length = snprintf(text, sizeof text, " %d;", marker);
    uint32_t word = (uint32_t)marker;

    if (code->packing != KGI_PLAIN)
        return true;
    if (code->kind == KGI_PTX || code->kind == KGI_RELOCATABLE_PTX)
        return memmem(code->payload.at, code->payload.size, text, (size_t)length);
    return memmem(code->payload.at, code->payload.size, &word, sizeof word);
}

static bool result_explains(int reason, int result)
{
    switch (reason) {
    case KG101_NO_CODE:
    case KG102_ARCH_SPECIFIC:
        return result == 209 || result == 218 || result == 223; /* 218, 223: bare PTX text */
    case KG103_PTX_TOO_NEW:
        return result == 222;
    case KG105_NO_JIT:
        return result == 223;
    case KG108_NEEDS_LINK:
        return result == 209 || result == 218;
    default:
        return false;
    }
}

static const char *disagreement(const struct answer *a, const struct image *image,
                                const struct kgi_verdict *v)
{
    if (v->answer == KGI_NO_CUDA)
        return a->marker == NOT_DONE ? NULL : "a kernel ran where none was seen";
    if (v->reason == KG106_NO_KERNEL)
        return a->find == 500 ? NULL : "the kernel was found";
    if (v->answer == KGI_NONE)
        return result_explains(v->reason, a->load) ? NULL : "another reason";
    if (a->load)
        return "the driver refuses it";
    if (a->find)
        return "the kernel is not in what the driver took";
    if (a->marker != NOT_DONE && !wrote(&image->codes[v->chosen], a->marker))
        return "the driver took another entry";
    return NULL;
}

static const char *known_to_differ(const char *image)
{
    for (size_t i = 0; i < KGI_COUNT(differs); i++) {
        if (!strcmp(differs[i].image, image))
            return differs[i].why;
    }
    return NULL;
}

static size_t compare(enum mode mode)
{
    struct kgi_host host = {.gpu = {90, 0},
                            .cuda_version = 13000,
                            .driver = 580,
                            .jit_forced = mode == FORCE || mode == FORCE_ALL ? "forced" : NULL,
                            .jit_forbidden = mode == FORBID || mode == FORBID_ALL ? "forbidden" : NULL};
    static struct image image;
    size_t compared = 0, wrong = 0;

    for (size_t i = 0; i < answer_count; i++) {
        const struct answer *a = &answers[i];
        struct kgi_verdict v;
        if (a->mode != mode || a->load == NOT_DONE)
            continue;
        read_image(a->image, &image);
        if (image.broken)
            continue;
        kgi_judge(image.codes, image.count, &host, &v);
        const char *complaint = disagreement(a, &image, &v);
        compared++;
        if (complaint && !known_to_differ(a->image)) {
            print_error("%s, %s: rules: %s KG%d code %d; driver: %d, find %d, marker %d: %s\n",
                        a->image, mode_names[mode], kgi_answer_names[v.answer], v.reason, v.chosen,
                        a->load, a->find, a->marker, complaint);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
    return compared;
}

static void test_plain(void **state)
{
    (void)state;
    assert_in_range(compare(PLAIN), 220, 1000);
}

static void test_jit_forced(void **state)
{
    (void)state;
    assert_in_range(compare(FORCE), 130, 1000);
    assert_in_range(compare(FORCE_ALL), 6, 1000);
}

static void test_jit_forbidden(void **state)
{
    (void)state;
    assert_in_range(compare(FORBID), 130, 1000);
    assert_in_range(compare(FORBID_ALL), 6, 1000);
}

/* What this reader calls broken, the driver does not run either. */
static void test_broken_images(void **state)
{
    static struct image image;
    size_t broken = 0, wrong = 0;

    (void)state;
    for (size_t i = 0; i < answer_count; i++) {
        if (answers[i].mode != PLAIN)
            continue;
        read_image(answers[i].image, &image);
        if (!image.broken)
            continue;
        broken++;
        if (!answers[i].load && !is_laxer(answers[i].image)) {
            print_error("%s: the reader says %d, the driver loads it\n", answers[i].image,
                        image.broken);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
    assert_in_range(broken, 5, 40);
}

/* A difference that has gone is to be struck from the list. */
static void test_differences_are_real(void **state)
{
    struct kgi_host host = {.gpu = {90, 0}, .cuda_version = 13000, .driver = 580};
    static struct image image;

    (void)state;
    for (size_t i = 0; i < KGI_COUNT(differs); i++) {
        struct kgi_verdict v;
        struct answer *a = answer_of(differs[i].image, PLAIN);
        if (a->load == NOT_DONE) /* the recorder got no answer: some of these crash the driver */
            continue;
        read_image(differs[i].image, &image);
        kgi_judge(image.codes, image.count, &host, &v);
        if (!image.broken && !disagreement(a, &image, &v))
            fail_msg("%s: no difference", differs[i].image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_jit_forced),
        cmocka_unit_test(test_jit_forbidden),
        cmocka_unit_test(test_broken_images),
        cmocka_unit_test(test_differences_are_real),
    };
    return cmocka_run_group_tests(tests, read_answers, NULL);
}
