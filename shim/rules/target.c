#include <errno.h>
#include <stdio.h>
#include "rules.h"

/*
 * Which toolkit makes which target. Sources, all read in July 2026:
 *   N  nvcc release notes and `nvcc --list-gpu-arch` of 11.8, 12.4, 13.0 (first and last toolkit)
 *   P  PTX ISA manual, table of target architectures; LLVM's NVPTX.td for 10.7 (not public before)
 *   S  CUDA C Programming Guide, Binary Compatibility: binaries of desktop and embedded parts do
 *      not run on one another; nvlink 11.8, 12.4 and 13.0 refuse the same pairs
 *   T  torch/utils/cpp_extension.py, supported_arches: 12.0 and 10.0 (with CUDA 12.8) in 2.7;
 *      10.3, 12.1 by pytorch#152414 (2.8); 10.1 became 11.0 in 2.9 (pytorch#166120); 9.0 in 2.0
 *   D  driver 470 (CUDA 11.4) was the last for Kepler, 580 (13.0) for Maxwell, Pascal and Volta:
 *      CUDA 13.0 release notes, deprecated architectures
 * CUDA 12.7 was a driver without a toolkit: what PTX 8.6 brought, nvcc 12.8 was the first to make.
 */
static const struct kgi_target_row targets[] = {
    /* clang-format off */
    /* number, same_as, soc, plain, exact (a), family (f), last, driver, PyTorch */
    {35, 0, false, 5000, 0, 0, 11080, 11040, NULL},                                   /* N D */
    {37, 0, false, 6050, 0, 0, 11080, 11040, NULL},                                   /* N D */
    {50, 0, false, 6000, 0, 0, 12090, 13000, NULL},                                   /* N P D */
    {52, 0, false, 6050, 0, 0, 12090, 13000, NULL},                                   /* N P D */
    {53, 0, true, 7000, 0, 0, 12090, 13000, NULL},                                    /* N P S D */
    {60, 0, false, 8000, 0, 0, 12090, 13000, NULL},                                   /* N P D */
    {61, 0, false, 8000, 0, 0, 12090, 13000, NULL},                                   /* N P D */
    {62, 0, true, 8000, 0, 0, 12090, 13000, NULL},                                    /* N P S D */
    {70, 0, false, 9000, 0, 0, 12090, 13000, NULL},                                   /* N P D */
    {72, 0, true, 9010, 0, 0, 12090, 13000, NULL},                                    /* N P S D */
    {75, 0, false, 10000, 0, 0, 0, 0, NULL},                                          /* N P */
    {80, 0, false, 11000, 0, 0, 0, 0, NULL},                                          /* N P */
    {86, 0, false, 11010, 0, 0, 0, 0, NULL},                                          /* N P */
    {87, 0, true, 11040, 0, 0, 0, 0, NULL},                                           /* N P S */
    {88, 0, true, 13000, 0, 0, 0, 0, "a PyTorch that knows 8.8"},                     /* N P S */
    {89, 0, false, 11080, 0, 0, 0, 0, "PyTorch >= 2.0"},                              /* N P T */
    {90, 0, false, 11080, 12000, 0, 0, 0, "PyTorch >= 2.0"},                          /* N P T */
    {100, 0, false, 12080, 12080, 12090, 0, 0, "PyTorch >= 2.7"},                     /* N P T */
    {101, 110, false, 12080, 12080, 12090, 12090, 0, "PyTorch 2.7 or 2.8"},           /* N P T */
    {103, 0, false, 12090, 12090, 12090, 0, 0, "PyTorch >= 2.8"},                     /* N P T */
    {107, 0, false, 13040, 13040, 13040, 0, 0, "a PyTorch that knows 10.7"},          /* P ? */
    {110, 0, false, 13000, 13000, 13000, 0, 0, "PyTorch >= 2.9"},                     /* N P T */
    {120, 0, false, 12080, 12080, 12090, 0, 0, "PyTorch >= 2.7"},                     /* N P T */
    {121, 0, false, 12090, 12090, 12090, 0, 0, "PyTorch >= 2.8"},                     /* N P T */
    /* clang-format on */
};

const struct kgi_target_row *kgi_target_row(uint16_t number)
{
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        if (targets[i].number == number)
            return &targets[i];
    }
    return NULL;
}

int kgi_target_toolkit(struct kgi_target t)
{
    const struct kgi_target_row *row = kgi_target_row(t.number);

    if (!row)
        return 0;
    switch (t.suffix) {
    case 0:
        return row->plain;
    case 'a':
        return row->exact;
    case 'f':
        return row->family;
    default:
        return 0;
    }
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

int kgi_target_parse(const char *text, struct kgi_target *out)
{
    static const char *const prefixes[] = {"sm_", "compute_"};
    unsigned number = 0, digits = 0;
    bool dot = false;
    const char *p = text;

    if (!text)
        return -EINVAL;
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        size_t length = strlen(prefixes[i]);
        if (!strncmp(text, prefixes[i], length))
            p = text + length;
    }
    if (*p == '0')
        return -EINVAL;
    for (; digit(*p) && digits < 4; p++, digits++)
        number = 10 * number + (unsigned)(*p - '0');
    if (*p == '.' && p - digits == text && digits > 0 && digits < 3 && digit(p[1])) {
        dot = true;
        number = 10 * number + (unsigned)(p[1] - '0');
        p += 2;
    }
    if (!dot && (digits < 2 || digits > 3))
        return -EINVAL;
    if (number < 20) /* "12" is 12.0 to who wrote it, and no fatbin is as old as 1.2 */
        return -EINVAL;
    char suffix = *p == 'a' || *p == 'f' ? *p++ : 0;
    if (*p)
        return -EINVAL;
    *out = (struct kgi_target){(uint16_t)number, suffix};
    return 0;
}

char *kgi_target_name(struct kgi_target t, const char *prefix, char *out, size_t size)
{
    /* A suffix this build has no meaning for is shown, unless it would break the line. */
    char suffix[2] = {t.suffix > ' ' && t.suffix < 127 ? t.suffix : (t.suffix ? '?' : 0), 0};

    snprintf(out, size, "%s%u%s", prefix, (unsigned)t.number, suffix);
    return out;
}

void kgi_target_cc(struct kgi_target t, int *major, int *minor)
{
    *major = t.number / 10;
    *minor = t.number % 10;
}

bool kgi_toolkit_compiles(int cuda, struct kgi_target target)
{
    const struct kgi_target_row *row = kgi_target_row(target.number);

    return !row || (cuda >= kgi_target_toolkit(target) && (!row->last || cuda / 10 <= row->last / 10));
}

void kgi_toolkit_says(int cuda, struct kgi_target target, char *out, size_t size)
{
    const struct kgi_target_row *row = kgi_target_row(target.number);
    char name[20];
    bool old = cuda < kgi_target_toolkit(target);
    int other = old || !row ? kgi_target_toolkit(target) : row->last;

    kgi_target_name(target, "sm_", name, sizeof name);
    snprintf(out, size, "CUDA %d.%d, which %s %s (CUDA %d.%d %s)", cuda / 1000, cuda % 1000 / 10,
             old ? "does not know" : "dropped", name, other / 1000, other % 1000 / 10,
             old ? "is the first that does" : "was the last that had it");
}
