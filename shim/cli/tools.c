/*
 * Things that will fail at run time though no image lacks code: a library built without its CUDA
 * half, and compilers that do not know the GPU. What is said rests on file names, on bytes of the
 * compiler itself, and on the table of targets (shim/rules/target.c); the two tables here are
 * dated.
 */
#include "cli.h"

#include <stdlib.h>

struct report {
    struct kgi_target target;
    void (*finding)(void *context, const char *path, int reason, const char *text,
                    const char *help);
    void *context;
};

/* help comes from the advice table, by the path, as for a library that holds no code. */
static void tell(const struct report *r, const char *path, const char *package, int reason,
                 const char *text)
{
    const struct kgi_installed installed = {.package = package};
    const struct kgi_host host = {.gpu = r->target};
    const struct kgi_verdict verdict = {.answer = KGI_NONE, .reason = reason, .chosen = -1};
    char help[256];

    kgi_advice(path, &installed, NULL, 0, &host, &verdict, help, sizeof help);
    r->finding(r->context, path, reason, text, help);
}

/* ---- packages built without CUDA ------------------------------------------------------------- */

/*
 * The one file of a package that holds its device code, and what stands beside it in a CUDA build
 * where the device code is in a file of its own. From the setup.py (CMakeLists.txt) of each at the
 * commit named, read 2026-07, or a wheel. (cumm has no device code in CUDA builds either: its
 * core_cc calls NVRTC.)
 */
static const struct row {
    const char *package, *file, *beside;
} rows[] = {
    /* clang-format off */
    {"torchsparse", "/torchsparse/backend.", NULL},     /* mit-han-lab/torchsparse 01a84bd */
    {"diso", "/diso/_C.", NULL},                        /* SarahWeiii/diso 0020dcb */
    {"pytorch3d", "/pytorch3d/_C.", NULL},              /* facebookresearch/pytorch3d 039e026 */
    {"detectron2", "/detectron2/_C.", NULL},            /* facebookresearch/detectron2 012c898 */
    {"mmcv", "/mmcv/_ext.", NULL},                      /* open-mmlab/mmcv 00ed3ab */
    {"torch_scatter", "/torch_scatter/_scatter_cpu.", "_scatter_cuda."}, /* rusty1s 003abd5 */
    {"torchvision", "/torchvision/_C.", NULL},          /* pytorch/vision setup.py */
    {"spconv", "/spconv/core_cc.", NULL},               /* wheel spconv 2.3.6 */
    {"bitsandbytes", "/libbitsandbytes_cpu.", "libbitsandbytes_cuda"}, /* CMakeLists.txt 0.45 */
    {"torch", "/torch/lib/libtorch_cpu.", "libtorch_cuda"}, /* wheels +cpu */
    /* clang-format on */
};

/* Whether a file of the same folder has a name that starts so. */
static bool is_beside(const struct kgi_file *files, size_t count, const char *inner,
                      const char *start)
{
    const char *slash = strrchr(inner, '/');
    size_t folder = (size_t)(slash - inner) + 1;

    for (size_t i = 0; i < count; i++)
        if (strncmp(files[i].inner, inner, folder) == 0 &&
            strncmp(files[i].inner + folder, start, strlen(start)) == 0)
            return true;
    return false;
}

static void check_build(const struct report *r, const struct kgi_file *files, size_t count,
                        size_t i, const struct kgi_packages *packages)
{
    const struct kgi_file *file = &files[i];
    const char *package = kgi_packages_of(packages, file->inner);
    char text[256];

    if (!file->dynamic_elf || file->found_count || file->error)
        return;
    for (size_t k = 0; k < KGI_COUNT(rows); k++) {
        if (!strstr(file->inner, rows[k].file))
            continue;
        /* What should stand beside it may just not have been walked; metadata was, so that was. */
        if (rows[k].beside && (!package || is_beside(files, count, file->inner, rows[k].beside)))
            continue;
        snprintf(text, sizeof text, "%s was built without CUDA: it holds no device code",
                 package ? package : rows[k].package);
        tell(r, file->path, package, KG109_CPU_ONLY, text);
    }
}

/* ---- compilers ------------------------------------------------------------------------------- */

/* From 3.6 on Triton has two, and takes ptxas-blackwell from compute capability 10.0 on
 * (third_party/nvidia/backend/compiler.py, get_ptxas). */
static bool is_used(const struct kgi_ptxas *all, size_t count, size_t i, struct kgi_target target)
{
    size_t folder = (size_t)(strrchr(all[i].inner, '/') - all[i].inner) + 1;
    bool other = false, blackwell = strcmp(all[i].inner + folder, "ptxas-blackwell") == 0;

    for (size_t k = 0; k < count; k++)
        other |= k != i && strncmp(all[k].inner, all[i].inner, folder) == 0 &&
                 !strchr(all[k].inner + folder, '/');
    return blackwell ? target.number >= 100 : !other || target.number < 100;
}

static void check_triton(const struct report *r, const struct kgi_packages *packages)
{
    size_t count;
    const struct kgi_ptxas *all = kgi_packages_ptxas(packages, &count);
    char cuda[128], text[256];

    for (size_t i = 0; i < count; i++) {
        const char *package = kgi_packages_of(packages, all[i].inner);

        if (!all[i].cuda || kgi_toolkit_compiles(all[i].cuda, r->target) ||
            !is_used(all, count, i, r->target))
            continue;
        kgi_toolkit_says(all[i].cuda, r->target, cuda, sizeof cuda);
        snprintf(text, sizeof text, "%s compiles with a ptxas of %s: its kernels cannot be built",
                 package ? package : "triton", cuda);
        tell(r, all[i].path, package, KG110_COMPILER, text);
    }
}

/* libnvrtc.so.12 does not tell its minor version, but libnvrtc-builtins.so.12.1, which it loads by
 * that name, does. 0 when the path is none. */
static int nvrtc_version(const char *path)
{
    const char *at = strstr(path, "/libnvrtc-builtins");
    char major[3], minor[3];

    if (!at || !(at = strstr(at, ".so.")) ||
        sscanf(at, ".so.%2[0-9].%2[0-9]", major, minor) != 2)
        return 0;
    return atoi(major) * 1000 + atoi(minor) * 10;
}

static void check_nvrtc(const struct report *r, const struct kgi_file *file)
{
    int version = nvrtc_version(file->inner);
    char cuda[128], text[256];

    if (!version || kgi_toolkit_compiles(version, r->target))
        return;
    kgi_toolkit_says(version, r->target, cuda, sizeof cuda);
    snprintf(text, sizeof text,
             "this NVRTC is of %s: kernels built at run time fail, or become PTX for an older GPU",
             cuda);
    tell(r, file->path, NULL, KG110_COMPILER, text);
}

void kgi_tools_check(const struct kgi_file *files, size_t count,
                     const struct kgi_packages *packages, struct kgi_target target,
                     void (*finding)(void *context, const char *path, int reason, const char *text,
                                     const char *help),
                     void *context)
{
    const struct report r = {target, finding, context};

    for (size_t i = 0; i < count; i++) {
        check_build(&r, files, count, i, packages);
        check_nvrtc(&r, &files[i]);
    }
    check_triton(&r, packages);
}
