/*
 * One answer for a file that holds hundreds of images.
 *
 * The images that count are those the runtime gets at load: by a wrapper, and with a kernel in them.
 * A file is as good as the worst of these, with two exceptions, both read off the file and no list
 * of names:
 *
 * - An image whose code is all for newer GPUs than the target, all for one generation (sm_70, sm_75)
 *   or all for special targets (sm_90a, sm_100f) is an extra for those GPUs, which the library asks the
 *   capability for. It is set aside as long as another image of the file runs. So libtorch_cuda's
 *   flash attention (sm_80 and up) does not condemn it for sm_75, nor NCCL's four sm_100f images for
 *   sm_90, nor libcudnn_cnn's two for Turing on anything newer.
 * - When there is no GPU at all on which every image would run, the library must choose at run time
 *   what it launches; where one image holds SASS for the target, that is the answer. So it is with
 *   cuBLASLt ({sm_75}, {sm_90a}, {sm_100 ..}), cuDNN's engines and cuSPARSE. The same holds where
 *   images are not registered but loaded by the library itself (cuFFT). On a GPU newer than all its SASS
 *   such a library goes the way it was made to go on the newest that it knows: an image that cannot run
 *   there either is set aside. So libcublas of CUDA 12.1, with 178 images of sm_50 .. sm_90 and PTX 90 and
 *   three for Pascal alone, is compiled for sm_120; cuBLASLt beside it, where 345 images have {sm_80
 *   sm_90} and no PTX, is not.
 *
 * nvcc -rdc: the relocatable images are not registered themselves; the device link's image stands for
 * them, and where that does not fit the driver links them: both are judged together. Relocatable SASS
 * that stands alone in its fatbin is judged as any other: packed, it does not show what it is, and the
 * driver, or in a library's object files the linker, has nothing to compile (cuDNN's two images for
 * Turing, libcudadevrt.a).
 */
#include <stdlib.h>

#include "cli.h"

/* What one image says about a target. */
struct opinion {
    struct kgi_verdict verdict;
    size_t found;
    bool aside; /* made for other GPUs on purpose */
};

static bool is_empty(const struct kgi_code *code)
{
    return code->kind == KGI_INDEX || (code->traits & KGI_T_INSPECTED && code->kernels == 0);
}

static bool has_code(const struct kgi_found *found)
{
    for (size_t i = 0; i < found->count; i++)
        if (!is_empty(&found->codes[i]))
            return true;
    return false;
}

/* Whether all code is for newer GPUs, or all for one generation. PTX would run on later ones too, and
 * says so by failing for another reason than its target. */
static bool made_for_others(const struct kgi_found *found, struct kgi_target gpu)
{
    bool newer = true, one = true;
    unsigned generation = 0;

    for (size_t i = 0; i < found->count; i++) {
        const struct kgi_code *code = &found->codes[i];
        if (is_empty(code))
            continue;
        newer &= code->target.number > gpu.number;
        one &= code->kind == KGI_CUBIN &&
               (generation == 0 || generation == code->target.number / 10u);
        generation = code->target.number / 10u;
    }
    return newer || one;
}

/* The device link's image that stands for the relocatable ones; NULL where there is none. */
static const struct kgi_found *linked_of(const struct kgi_file *file)
{
    for (size_t i = 0; i < file->found_count; i++)
        if (file->found[i].linked && has_code(&file->found[i]))
            return &file->found[i];
    return NULL;
}

/* A relocatable image together with the linked one. */
static void judge_both(const struct kgi_file *file, const struct kgi_found *linked,
                       const struct kgi_found *unit, const struct kgi_host *host,
                       struct opinion *out)
{
    struct kgi_code *codes = calloc(linked->count + unit->count, sizeof *codes);

    if (!codes)
        return;
    memcpy(codes, linked->codes, linked->count * sizeof *codes);
    memcpy(codes + linked->count, unit->codes, unit->count * sizeof *codes);
    for (size_t i = linked->count; i < linked->count + unit->count; i++)
        codes[i].traits |= KGI_T_RELOCATABLE;
    kgi_judge(codes, linked->count + unit->count, host, &out->verdict);
    if (out->verdict.chosen >= (int)linked->count) {
        out->verdict.chosen -= (int)linked->count;
    } else {
        out->found = (size_t)(linked - file->found);
    }
    free(codes);
}

/* An image by itself. */
static void judge_alone(const struct kgi_found *unit, const struct kgi_host *host,
                        struct kgi_verdict *out)
{
    struct kgi_code *codes = unit->fatbin ? calloc(unit->count + 1, sizeof *codes) : NULL;

    for (size_t i = 0; codes && i < unit->count; i++) {
        codes[i] = unit->codes[i];
        if (codes[i].kind == KGI_CUBIN)
            codes[i].traits &= ~(uint32_t)KGI_T_RELOCATABLE;
    }
    kgi_judge(codes ? codes : unit->codes, unit->count, host, out);
    free(codes);
}

static bool counts(const struct kgi_file *file, size_t i, bool registered,
                   const struct kgi_found *linked)
{
    const struct kgi_found *found = &file->found[i];

    if (registered && !found->registered)
        return false;
    return !(linked && found == linked && file->relocatable); /* judged with its units */
}

static void judge_one(const struct kgi_file *file, size_t i, const struct kgi_found *linked,
                      const struct kgi_host *host, struct opinion *out)
{
    const struct kgi_found *found = &file->found[i];

    out->found = i;
    out->aside = false;
    if (linked && found->relocatable && has_code(found)) { /* parts of one program: all are needed */
        judge_both(file, linked, found, host, out);
        return;
    }
    judge_alone(found, host, &out->verdict);
    int reason = out->verdict.answer == KGI_NONE ? out->verdict.reason : KGI_OK;
    out->aside = reason == KG102_ARCH_SPECIFIC ||
                 ((reason == KG101_NO_CODE || reason == KG106_NO_KERNEL) &&
                  made_for_others(found, host->gpu));
}

static bool registers_code(const struct kgi_file *file)
{
    for (size_t i = 0; i < file->found_count; i++)
        if (file->found[i].registered && has_code(&file->found[i]))
            return true;
    return false;
}

static bool all_run(const struct kgi_file *file, const struct kgi_found *linked,
                    const struct kgi_host *host)
{
    struct opinion o;

    for (size_t i = 0; i < file->found_count; i++) {
        if (!counts(file, i, true, linked))
            continue;
        judge_one(file, i, linked, host, &o);
        if (o.verdict.answer == KGI_NONE)
            return false;
    }
    return true;
}

void kgi_file_settle(struct kgi_file *file)
{
    const struct kgi_found *linked = linked_of(file);

    for (size_t i = 0; i < file->found_count; i++)
        file->relocatable |= file->found[i].relocatable && file->found[i].registered &&
                             has_code(&file->found[i]);
    file->registers = registers_code(file);
    file->chooses = true;
    for (uint16_t number = 1; number < 200 && file->registers && file->chooses; number++) {
        struct kgi_host host = {.gpu = {number, 0}};
        if (kgi_target_row(number) && all_run(file, linked, &host))
            file->chooses = false;
    }
}

/* How bad an answer is: as their order says. */
static bool worse(const struct kgi_verdict *a, const struct kgi_verdict *b)
{
    if (a->answer != b->answer)
        return a->answer > b->answer;
    return a->reason == KG101_NO_CODE && b->reason != KG101_NO_CODE;
}

/* The newest GPU before this one that the file has SASS for; 0 = there is none. */
static uint16_t newest_known(const struct kgi_file *file, const struct kgi_found *linked,
                             const struct kgi_host *host)
{
    uint16_t newest = 0;

    for (size_t i = 0; i < file->found_count; i++)
        for (size_t k = 0; counts(file, i, file->registers, linked) && k < file->found[i].count; k++) {
            const struct kgi_code *code = &file->found[i].codes[k];
            if (code->kind == KGI_CUBIN && !is_empty(code) && code->target.number > newest &&
                code->target.number < host->gpu.number)
                newest = code->target.number;
        }
    return newest;
}

/* Whether the library does without this image, which fails here, on the newest GPU it knows too. */
static bool is_past(const struct kgi_file *file, const struct kgi_found *linked,
                    const struct opinion *o, uint16_t newest)
{
    struct kgi_host before = {.gpu = {newest, 0}};
    struct opinion then;
    int reason = o->verdict.reason;

    if (o->verdict.answer != KGI_NONE || !newest ||
        (reason != KG101_NO_CODE && reason != KG106_NO_KERNEL && reason != KG108_NEEDS_LINK))
        return false;
    judge_one(file, o->found, linked, &before, &then);
    return then.verdict.answer == KGI_NONE;
}

static void take(struct kgi_file_verdict *out, const struct opinion *o)
{
    out->verdict = o->verdict;
    out->found = o->found;
}

void kgi_file_judge(const struct kgi_file *file, const struct kgi_host *host,
                    struct kgi_file_verdict *out)
{
    const struct kgi_found *linked = linked_of(file);
    struct opinion o, worst = {.found = SIZE_MAX}, best = {.found = SIZE_MAX},
                      aside = {.found = SIZE_MAX};
    uint16_t newest = file->chooses ? newest_known(file, linked, host) : 0;

    *out = (struct kgi_file_verdict){.verdict = {KGI_NO_CUDA, KGI_OK, -1, 0}, .found = SIZE_MAX,
                                     .chooses = file->chooses};
    for (size_t i = 0; i < file->found_count; i++) {
        if (!counts(file, i, file->registers, linked))
            continue;
        judge_one(file, i, linked, host, &o);
        if (o.verdict.answer == KGI_NO_CUDA)
            continue;
        o.aside = o.aside || is_past(file, linked, &o, newest);
        out->judged++;
        out->failing += o.verdict.answer == KGI_NONE;
        out->compiled += o.verdict.answer == KGI_JIT || o.verdict.answer == KGI_LINK;
        if (o.aside && (aside.found == SIZE_MAX || worse(&o.verdict, &aside.verdict)))
            aside = o;
        if (!o.aside && (worst.found == SIZE_MAX || worse(&o.verdict, &worst.verdict)))
            worst = o;
        if (best.found == SIZE_MAX || worse(&best.verdict, &o.verdict))
            best = o;
    }
    if (best.found == SIZE_MAX)
        return;
    if (worst.found == SIZE_MAX)
        take(out, &aside);
    else
        take(out, file->chooses && best.verdict.answer <= KGI_FAMILY ? &best : &worst);
}
