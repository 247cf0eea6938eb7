/*
 * One line of what to do. A table decides, not code: the first row whose cause, GPU range and path
 * pattern match gives the text, and the facts fill its {places}. Rows must be true for whatever is
 * installed, since a path tells the package and not its version.
 *
 * Release and package facts were read in July 2026 in the projects' own setup.py, CI and release
 * pages at the named versions: pytorch .ci/manywheel and RELEASE.md (wheel architectures),
 * torchvision and xformers wheels.yml and setup.py, flash-attention setup.py and publish.yml 2.8.3,
 * triton cmake/nvidia-toolchain-version, cumm common.py 0.8.2, bitsandbytes CMakeLists 0.45.3,
 * causal-conv1d and mamba setup.py, NCCL 2.25.1. A fact that ages stands in a row of its own.
 */
#include <stdio.h>
#include "rules.h"

enum { LINE = 200 }; /* bytes a line may have, its NUL not counted */

/* Why help is needed, finer than the reason codes; bits, so that a row can serve several. */
enum cause {
    NO_CODE = 1 << 0, /* or none but PTX */
    SPECIFIC = 1 << 1,
    FORCED = 1 << 2, /* CUDA_FORCE_PTX_JIT hides a binary that fits */
    PTX_TOO_NEW = 1 << 3,
    PTX_UNKNOWN = 1 << 4, /* newer than the table of this build */
    ZSTD = 1 << 5,
    ABI8 = 1 << 6,
    OLD_DRIVER = 1 << 7,
    WRONG_GPU = 1 << 8,
    DAMAGED = 1 << 9,
    JIT_FORBIDDEN = 1 << 10,
    JIT_MISSING = 1 << 11,
    NO_KERNEL = 1 << 12,
    BAD_PTX = 1 << 13,
    OBFUSCATED = 1 << 14,
    RELOCATABLE = 1 << 15,
    LTO = 1 << 16,
    CPU_ONLY = 1 << 17,
    CACHE_LOST = 1 << 18,
    JIT_VARIABLE = 1 << 19,
    UNCHECKED = 1 << 20,
    COMPILER = 1 << 22,
    PTX_NEVER = 1 << 21, /* newer than the last driver of the GPU reads */
};

/* GPU ranges of a row. */
#define ANY 0, 0 /* also an unknown GPU */
#define SOC 1, 1 /* embedded parts, as kgi_target_row has them */

/*
 * Places: {name} package, else file; {file} file; {sm} sm_120; {n} 120; {cc} 12.0; {major} 120 for
 * the whole 12.x family; {nvcc} "nvcc >= 12.8"; {toolkit} "CUDA >= 12.8"; {cu} 128, a toolkit that
 * compiles for the GPU; {torch} "PyTorch >= 2.7 and ", {withtorch} " (PyTorch >= 2.7)", both
 * empty where any will do; {gencode} nvcc's options; {held} target of the explaining code, {on}
 * where it runs; {isa} "PTX 8.8", its version; {driver} ">= 575.51.03"; {cuda} 12.9, the driver's
 * version needed.
 */
static const struct row {
    unsigned causes;
    uint16_t from, to; /* GPUs, by number */
    const char *paths; /* parts of the library's path, one of which must be in it; "" = any, none */
    const char *text;
} rows[] = {
    /* clang-format off */

    /* ---- settings and drivers: whatever the library ---- */
    {FORCED, ANY, "",
     "unset CUDA_FORCE_PTX_JIT: it makes the driver ignore the {held} code held here, which runs "
     "on {sm}"},
    {PTX_TOO_NEW, ANY, "",
     "upgrade the driver to {driver}, which reads this {isa} (CUDA {cuda}), or use a build "
     "with {sm} SASS: {gencode}"},
    {PTX_UNKNOWN, ANY, "",
     "upgrade the driver: it does not read {isa} yet; or use a build with {sm} SASS: "
     "{gencode}"},
    {PTX_NEVER, ANY, "",
     "no driver for {sm} reads {isa}: use a build with {sm} SASS ({nvcc}, {gencode})"},
    {ZSTD, ANY, "",
     "upgrade the driver to {driver}, or rebuild {name} without zstd: nvcc -Xfatbin "
     "-compress-mode=speed"},
    {ABI8, ANY, "",
     "upgrade the driver to {driver}, or rebuild {name} with nvcc 12.x: older drivers cannot "
     "read cubins of nvcc 13"},
    {OLD_DRIVER, ANY, "",
     "upgrade the driver to {driver}: {held} code needs CUDA {cuda}"},
    {WRONG_GPU, ANY, "/.triton/",
     "delete ~/.triton/cache: this code was cached for {held}, the GPU is {sm}"},
    {WRONG_GPU, ANY, "",
     "{held} code does not run on {sm}: if it comes from a cache (~/.triton/cache, "
     "CUPY_CACHE_DIR, TORCH_EXTENSIONS_DIR) delete that, else rebuild {name}"},
    {DAMAGED, ANY, "",
     "reinstall {name}: its {held} code should run here, so the file may be damaged or cut short"},
    {JIT_FORBIDDEN, ANY, "",
     "unset CUDA_DISABLE_PTX_JIT, or use a build with {sm} SASS: {nvcc}, {gencode}"},
    {JIT_MISSING, ANY, "",
     "make the driver's libnvidia-ptxjitcompiler.so.1 loadable (containers: "
     "NVIDIA_DRIVER_CAPABILITIES=compute,utility), or use a build with {sm} SASS"},
    {NO_KERNEL, ANY, "",
     "rebuild {name} from clean with one architecture list for all its files, {sm} in it ({nvcc})"},
    {BAD_PTX, ANY, "",
     "upgrade the driver, whose compiler refuses this PTX, or use a build with {sm} SASS: "
     "{nvcc}, {gencode}"},
    {OBFUSCATED, ANY, "",
     "the driver cannot compile obfuscated PTX: ask for a build of {name} with {sm} SASS"},
    {RELOCATABLE, ANY, "",
     "device-link {name} for {sm}: nvcc -dlink {gencode} (CMake: CUDA_RESOLVE_DEVICE_SYMBOLS "
     "ON), {nvcc}"},
    {LTO, ANY, "",
     "link the LTO code of {name} for {sm}: nvcc -dlto -arch={sm} ({nvcc}) or nvJitLink; or "
     "rebuild it with {gencode}"},
    {CACHE_LOST, ANY, "",
     "set CUDA_CACHE_PATH to a directory that lasts (in a container: a mounted volume) and "
     "CUDA_CACHE_MAXSIZE=4294967296"},
    {JIT_VARIABLE, ANY, "",
     "unset CUDA_FORCE_PTX_JIT and CUDA_DISABLE_PTX_JIT: they are for tests"},
    {UNCHECKED, ANY, "",
     "check cudaGetLastError() after each launch; results computed since this failure may be "
     "wrong"},

    /* ---- code made for one GPU on purpose: the choice is wrong, not the build ---- */
    {SPECIFIC, ANY, "/xformers/",
     "xformers chose a kernel built for {on} only: use xformers >= 0.0.33, or call "
     "xformers.ops.fmha.dispatch._set_use_fa3(False)"},
    {SPECIFIC | NO_CODE, 100, 999, "flash_attn_3|flashattn_hopper",
     "FlashAttention 3 is made for sm_90a and cannot be rebuilt for {sm}: select FlashAttention "
     "2 or PyTorch's SDPA instead"},
    {SPECIFIC, ANY, "",
     "{held} code runs on {on} only: a check that chooses it on {sm} is wrong; switch that kernel "
     "off, or use a build of {name} with {sm} code"},

    /* ---- torch: a wheel, never a rebuild ---- */
    {NO_CODE | CPU_ONLY, 37, 37, "/torch/lib/",
     "pip install --force-reinstall torch==2.5.1 --index-url "
     "https://download.pytorch.org/whl/cu118, whose wheel holds sm_37"},
    {NO_CODE | CPU_ONLY, SOC, "/torch/lib/|/torchvision|/torchaudio",
     "install NVIDIA's PyTorch wheels for Jetson; those of pytorch.org have no {sm} code"},
    {NO_CODE | CPU_ONLY, 101, 101, "/torch/lib/|/torchvision|/torchaudio",
     "install NVIDIA's PyTorch wheels for Jetson; those of pytorch.org have no {sm} code"},
    {NO_CODE | CPU_ONLY, 50, 90, "/torch/lib/",
     "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu126 "
     "(torchvision too), then rebuild its extensions"},
    {NO_CODE | CPU_ONLY, 110, 110, "/torch/lib/",
     "pip install --force-reinstall \"torch>=2.9\" --index-url "
     "https://download.pytorch.org/whl/cu130 (torchvision too), then rebuild its extensions"},
    {NO_CODE | CPU_ONLY, 100, 129, "/torch/lib/",
     "pip install --force-reinstall \"torch>=2.7\" --index-url "
     "https://download.pytorch.org/whl/cu128 (torchvision too), then rebuild its extensions"},
    {NO_CODE | CPU_ONLY, 50, 90, "/torchvision|/torchaudio",
     "pip install --force-reinstall torch {name} --index-url "
     "https://download.pytorch.org/whl/cu126"},
    {NO_CODE | CPU_ONLY, 110, 110, "/torchvision|/torchaudio",
     "pip install --force-reinstall \"torch>=2.9\" {name} --index-url "
     "https://download.pytorch.org/whl/cu130"},
    {NO_CODE | CPU_ONLY, 100, 129, "/torchvision|/torchaudio",
     "pip install --force-reinstall \"torch>=2.7\" {name} --index-url "
     "https://download.pytorch.org/whl/cu128"},
    {NO_CODE, ANY, "libtorch_cuda|libc10_cuda",
     "use a LibTorch or torch build that holds {sm} code ({torch}{toolkit})"},

    /* ---- a CUDA package built where no GPU was visible ---- */
    {CPU_ONLY, ANY, "/spconv/|/cumm/",
     "pip uninstall {name} and pip install {name}-cu126: the package without -cu in its name is for "
     "the CPU"},
    {CPU_ONLY, ANY, "/bitsandbytes/",
     "rebuild bitsandbytes: cmake -DCOMPUTE_BACKEND=cuda -DCOMPUTE_CAPABILITY={n} ({nvcc})"},
    {CPU_ONLY, ANY, "",
     "rebuild {name} with FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST=\"{cc}\": a build that sees no GPU "
     "(docker build) may leave CUDA out"},

    /* ---- packages with a knob of their own ---- */
    {NO_CODE, ANY, "/xformers/",
     "rebuild xformers with TORCH_CUDA_ARCH_LIST=\"8.0 {cc}\" XFORMERS_DISABLE_FLASH_ATTN=1 "
     "(needs {torch}{nvcc}), or uninstall it if it is optional"},
    {NO_CODE, SOC, "flash_attn_2_cuda",
     "use a flash-attn build made for {sm} (its setup.py ignores TORCH_CUDA_ARCH_LIST), or select "
     "PyTorch's SDPA instead"},
    {NO_CODE, 30, 79, "flash_attn_2_cuda",
     "FlashAttention 2 needs sm_80 or newer, so no build of it runs on {sm}: select PyTorch's "
     "SDPA instead"},
    {NO_CODE, 80, 89, "flash_attn_2_cuda",
     "FLASH_ATTENTION_FORCE_BUILD=TRUE FLASH_ATTN_CUDA_ARCHS=80 pip install --force-reinstall "
     "--no-deps --no-cache-dir --no-build-isolation flash-attn"},
    {NO_CODE, 101, 101, "flash_attn_2_cuda",
     "use a flash-attn build made for {sm} (its setup.py ignores TORCH_CUDA_ARCH_LIST), or select "
     "PyTorch's SDPA instead"},
    {NO_CODE, 90, 109, "flash_attn_2_cuda",
     "FLASH_ATTENTION_FORCE_BUILD=TRUE FLASH_ATTN_CUDA_ARCHS={major} pip install "
     "--force-reinstall --no-deps --no-cache-dir --no-build-isolation flash-attn ({nvcc})"},
    {NO_CODE, 120, 129, "flash_attn_2_cuda",
     "FLASH_ATTENTION_FORCE_BUILD=TRUE FLASH_ATTN_CUDA_ARCHS={major} pip install "
     "--force-reinstall --no-deps --no-cache-dir --no-build-isolation flash-attn ({nvcc})"},
    {NO_CODE, ANY, "flash_attn_2_cuda",
     "use a flash-attn build made for {sm} (its setup.py ignores TORCH_CUDA_ARCH_LIST), or select "
     "PyTorch's SDPA instead"},
    {NO_CODE | COMPILER, 103, 103, "/triton/",
     "use triton >= 3.6, whose ptxas knows {sm} (upgrade torch, which brings it), then delete "
     "~/.triton/cache"},
    {NO_CODE | COMPILER, 121, 121, "/triton/",
     "use triton >= 3.6, whose ptxas knows {sm} (upgrade torch, which brings it), then delete "
     "~/.triton/cache"},
    {NO_CODE | COMPILER, 100, 101, "/triton/",
     "use triton >= 3.3.1, whose ptxas knows {sm} (torch >= 2.7.1 brings it), then delete "
     "~/.triton/cache"},
    {NO_CODE | COMPILER, 120, 120, "/triton/",
     "use triton >= 3.3.1, whose ptxas knows {sm} (torch >= 2.7.1 brings it), then delete "
     "~/.triton/cache"},
    {COMPILER, ANY, "/triton/",
     "use a triton whose ptxas is of {toolkit}, or set TRITON_PTXAS_PATH to such a ptxas; then "
     "delete ~/.triton/cache"},
    {COMPILER, ANY, "",
     "use the libnvrtc of {toolkit}; where PyTorch brought it, change the torch wheel instead"},
    {NO_CODE, ANY, "/triton/|/.triton/",
     "delete ~/.triton/cache and run again, so that Triton compiles for {sm}; if its ptxas does "
     "not know {sm}, upgrade torch and triton together"},
    {NO_CODE, 75, 129, "/spconv/|/cumm/",
     "build cumm and spconv from source: CUMM_CUDA_VERSION={cu} CUMM_CUDA_ARCH_LIST=\"{cc}\" "
     "CUMM_DISABLE_JIT=1 SPCONV_DISABLE_JIT=1 ({nvcc})"},
    {NO_CODE, 100, 129, "/bitsandbytes/",
     "pip install -U \"bitsandbytes>=0.45.3\" and let it load its library for {toolkit} (by "
     "torch's CUDA version, or BNB_CUDA_VERSION={cu})"},
    {NO_CODE, ANY, "/bitsandbytes/",
     "rebuild bitsandbytes: cmake -DCOMPUTE_BACKEND=cuda -DCOMPUTE_CAPABILITY={n} ({nvcc})"},
    {NO_CODE, ANY, "causal_conv1d",
     "CAUSAL_CONV1D_FORCE_BUILD=TRUE pip install --force-reinstall --no-deps --no-cache-dir "
     "--no-build-isolation \"causal-conv1d>=1.5.3\" ({nvcc})"},
    {NO_CODE, ANY, "selective_scan_cuda",
     "MAMBA_FORCE_BUILD=TRUE pip install --force-reinstall --no-deps --no-cache-dir "
     "--no-build-isolation \"mamba-ssm>=2.2.6\" ({nvcc})"},
    {NO_CODE, ANY, "tinycudann",
     "rebuild tiny-cuda-nn from git with TCNN_CUDA_ARCHITECTURES={n} ({nvcc})"},
    {NO_CODE, ANY, "/natten/",
     "rebuild natten with NATTEN_CUDA_ARCH=\"{cc}\" ({nvcc})"},
    {NO_CODE, ANY, "/llama_cpp/",
     "CMAKE_ARGS=\"-DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES={n}\" pip install --force-reinstall "
     "--no-cache-dir llama-cpp-python ({nvcc})"},
    {NO_CODE, ANY, "/ollama/",
     "upgrade ollama, whose CUDA libraries are built for a fixed list of GPUs, or rebuild it "
     "with -DCMAKE_CUDA_ARCHITECTURES={n} ({nvcc})"},
    {NO_CODE, ANY, "libggml-cuda",
     "rebuild ggml with -DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES={n} ({nvcc})"},
    {NO_CODE, ANY, "libonnxruntime|/onnxruntime/",
     "rebuild onnxruntime with --use_cuda --cmake_extra_defines CMAKE_CUDA_ARCHITECTURES={n} "
     "({nvcc}), or use a release that holds {sm}"},
    {NO_CODE, ANY, "libctranslate2",
     "rebuild CTranslate2 with -DWITH_CUDA=ON -DCUDA_ARCH_LIST=\"{cc}\" ({nvcc}), or use a "
     "release that holds {sm}"},
    {NO_CODE, ANY, "faiss",
     "rebuild faiss with -DFAISS_ENABLE_GPU=ON -DCMAKE_CUDA_ARCHITECTURES={n} ({nvcc})"},
    {NO_CODE, ANY, "/vllm/",
     "use a vLLM release that holds {sm}, or build it from source with "
     "TORCH_CUDA_ARCH_LIST=\"{cc}\" (needs {torch}{nvcc})"},
    {NO_CODE, ANY, "/deepspeed/",
     "reinstall deepspeed with DS_BUILD_OPS=1 TORCH_CUDA_ARCH_LIST=\"{cc}\" and --no-cache-dir "
     "(needs {torch}{nvcc})"},
    {NO_CODE, ANY, "/jaxlib/|xla_cuda_plugin|jax_cuda",
     "pip install -U \"jax[cuda12]\": use a jaxlib whose CUDA plugin holds {sm} (built with "
     "{toolkit})"},
    {NO_CODE, ANY, "/tensorflow/",
     "use a TensorFlow built for {sm} ({toolkit}): a newer release, or NVIDIA's container image"},
    {NO_CODE, ANY, "/cupy",
     "use a CuPy and CUDA libraries of {toolkit}, and empty CUPY_CACHE_DIR (~/.cupy/kernel_cache)"},
    {NO_CODE, 100, 129, "libnccl",
     "use NCCL >= 2.25.1 built for {sm} ({toolkit}), or build it with NVCC_GENCODE=\"{gencode}\""},
    {NO_CODE, ANY,
     "/nvidia/|/libcublas|/libcudnn|/libcufft|"
     "/libcusparse|/libcusolver|/libcurand|/libnpp",
     "use the release of {file} for {toolkit}; where PyTorch brought it, change the torch wheel "
     "instead"},

    /* ---- PyTorch C++ extensions; some build without CUDA when no GPU shows ---- */
    {NO_CODE, ANY, "torch_extensions/",
     "delete its directory under torch_extensions and run again with "
     "TORCH_CUDA_ARCH_LIST=\"{cc}\" (needs {torch}{nvcc})"},
    {NO_CODE, ANY, "/torchsparse|/diso|/pytorch3d|/mmcv",
     "rebuild {name} with FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST=\"{cc}\" (needs {torch}{nvcc})"},
    {NO_CODE, ANY, "/kaolin",
     "rebuild {name} with IGNORE_TORCH_VER=1 TORCH_CUDA_ARCH_LIST=\"{cc}\" (needs {torch}{nvcc})"},
    {NO_CODE, ANY,
     "udf_ext|diff_gaussian|simple_knn|custom_rasterizer|"
     "nvdiffrast|/gsplat|/flex_gemm|/sageattention",
     "rebuild {name} with TORCH_CUDA_ARCH_LIST=\"{cc}\" (needs {torch}{nvcc})"},

    /* ---- anything else: a path does not tell what kind of extension a module is ---- */
    {NO_CODE, ANY, "-packages/|.cpython-|.abi3.",
     "rebuild {name} with {nvcc}: TORCH_CUDA_ARCH_LIST=\"{cc}\" if it is a PyTorch "
     "extension{withtorch}, else {gencode}"},
    {NO_CODE, ANY, "",
     "rebuild {name} with {nvcc} and {gencode} (CMake: CMAKE_CUDA_ARCHITECTURES={n})"},
    /* clang-format on */
};

/* ---- why ------------------------------------------------------------------------------------- */

struct facts {
    const char *library;         /* never NULL */
    const struct kgi_code *code; /* the one that explains the verdict, or NULL */
    const struct kgi_host *host;
    const struct kgi_verdict *verdict;
};

static bool is_cubin(const struct kgi_code *code)
{
    return code && (code->kind == KGI_CUBIN || code->kind == KGI_MERCURY);
}

static bool fits(const struct facts *f)
{
    if (!f->code)
        return false;
    return is_cubin(f->code) ? kgi_cubin_fits(f->code->target, f->host->gpu)
                             : kgi_ptx_fits(f->code->target, f->host->gpu);
}

static enum cause cause_of_new_ptx(const struct facts *f)
{
    const char *driver;

    if (f->verdict->needs_cuda)
        return PTX_TOO_NEW;
    return f->code && kgi_ptx_cuda(f->code->major, f->code->minor, &driver) ? PTX_NEVER
                                                                            : PTX_UNKNOWN;
}

static enum cause cause_of_unreadable(const struct facts *f)
{
    if (f->code && !fits(f))
        return WRONG_GPU;
    if (!f->verdict->needs_cuda || !f->code)
        return DAMAGED;
    if (f->host->cuda_version >= f->verdict->needs_cuda)
        return DAMAGED;
    if (f->code->packing == KGI_ZSTD && f->verdict->needs_cuda == 12040)
        return ZSTD;
    return is_cubin(f->code) && f->code->target.number < 100 ? ABI8 : OLD_DRIVER;
}

/* The cause behind a verdict; 0 where there is nothing to advise. */
static unsigned cause_of(const struct facts *f)
{
    switch (f->verdict->reason) {
    case KG101_NO_CODE:
        return f->host->jit_forced && is_cubin(f->code) && fits(f) ? FORCED : NO_CODE;
    case KG102_ARCH_SPECIFIC:
        return SPECIFIC;
    case KG103_PTX_TOO_NEW:
        return cause_of_new_ptx(f);
    case KG104_UNREADABLE:
        return cause_of_unreadable(f);
    case KG105_NO_JIT:
        return f->host->jit_forbidden ? JIT_FORBIDDEN : JIT_MISSING;
    case KG106_NO_KERNEL:
        return NO_KERNEL;
    case KG107_BAD_PTX:
        return f->code && f->code->traits & KGI_T_OBFUSCATED ? OBFUSCATED : BAD_PTX;
    case KG108_NEEDS_LINK:
        return f->code && f->code->kind == KGI_LTO ? LTO : RELOCATABLE;
    case KG109_CPU_ONLY:
        return CPU_ONLY;
    case KG110_COMPILER:
        return COMPILER;
    case KG201_WILL_JIT:
        return NO_CODE;
    case KG202_CACHE_LOST:
        return CACHE_LOST;
    case KG203_JIT_VARIABLE:
        return JIT_VARIABLE;
    case KG204_UNCHECKED:
        return UNCHECKED;
    default:
        return 0;
    }
}

static bool for_gpu(const struct row *r, unsigned gpu)
{
    const struct kgi_target_row *target;

    if (r->to > 1)
        return gpu >= r->from && gpu <= r->to;
    target = r->to ? kgi_target_row((uint16_t)gpu) : NULL;
    return !r->to || (target && target->soc);
}

/* Whether one of the parts, separated by '|', is in path. */
static bool in_path(const char *parts, const char *path)
{
    for (;;) {
        size_t length = strcspn(parts, "|");
        for (const char *p = path; *p || !length; p++) {
            if (!strncmp(p, parts, length))
                return true;
        }
        if (!parts[length])
            return false;
        parts += length + 1;
    }
}

static const char *text_for(const struct facts *f)
{
    unsigned cause = cause_of(f);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].causes & cause && for_gpu(&rows[i], f->host->gpu.number) &&
            in_path(rows[i].paths, f->library))
            return rows[i].text;
    }
    return "";
}

/* ---- filling the places -----------------------------------------------------------------------
 */

struct line {
    char text[LINE + 1];
    size_t length;
};

static void add(struct line *line, const char *s)
{
    for (; *s && line->length < LINE; s++)
        line->text[line->length++] = *s;
    line->text[line->length] = 0;
}

static void add_number(struct line *line, unsigned n)
{
    char text[16];

    snprintf(text, sizeof text, "%u", n);
    add(line, text);
}

static void add_dotted(struct line *line, int major, int minor)
{
    add_number(line, (unsigned)major);
    add(line, ".");
    add_number(line, (unsigned)minor);
}

static void add_target(struct line *line, const char *prefix, struct kgi_target t)
{
    char name[20];

    add(line, kgi_target_name(t, prefix, name, sizeof name));
}

/* Names come from paths, so from anybody: what could harm a terminal or a shell is left out, and
 * they are kept short enough for every row to fit. */
static void add_name(struct line *line, const char *name, size_t length)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-";

    for (size_t i = 0; i < length && i < 32; i++)
        add(line, (char[]){strchr(plain, name[i]) ? name[i] : '?', 0});
}

static const char *file_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void add_file(struct line *line, const struct facts *f)
{
    const char *file = file_of(f->library);

    if (*file)
        add_name(line, file, strlen(file));
    else
        add(line, "the code");
}

/* "torchsparse" of .../site-packages/torchsparse-2.1.0-py3.10.egg/torchsparse/backend.so, "udf_ext"
 * of .../site-packages/udf_ext.cpython-310-x86_64-linux-gnu.so, else the file's name. */
static void add_package(struct line *line, const struct facts *f)
{
    const char *start = strstr(f->library, "-packages/");
    const char *file = file_of(f->library);
    size_t length;

    if (!start && (strstr(file, ".cpython-") || strstr(file, ".abi3.")))
        start = file;
    else if (start)
        start += strlen("-packages/");
    if (!start || !*start) {
        add_file(line, f);
        return;
    }
    length = strcspn(start, "/");
    if (length > 4 && start[length] && !strncmp(start + length - 4, ".egg", 4))
        start += length + 1;
    add_name(line, start, strcspn(start, "/."));
}

/* "nvcc >= 12.8"; "nvcc <= 12.9" where newer ones dropped the GPU; "nvcc 12.8 to 12.9" for one that
 * came and went. */
static void add_tool(struct line *line, const char *article, const char *tool,
                     const struct facts *f)
{
    const struct kgi_target_row *row = kgi_target_row(f->host->gpu.number);
    bool old = row && row->last && row->plain < 11000; /* nobody has one that is too old */

    if (!row) {
        add(line, article);
        add(line, tool);
        add(line, " that knows this GPU");
        return;
    }
    add(line, tool);
    add(line, old ? " <= " : row->last ? " " : " >= ");
    add_dotted(line, (old ? row->last : row->plain) / 1000,
               (old ? row->last : row->plain) % 1000 / 10);
    if (!old && row->last) {
        add(line, " to ");
        add_dotted(line, row->last / 1000, row->last % 1000 / 10);
    }
}

static void add_nvcc(struct line *line, const struct facts *f)
{
    add_tool(line, "an ", "nvcc", f);
}

static void add_toolkit(struct line *line, const struct facts *f)
{
    add_tool(line, "a ", "CUDA", f);
}

/* A toolkit that compiles for the GPU, as packages name it: "128"; 12.6 does for all older ones. */
static void add_cu(struct line *line, const struct facts *f)
{
    int cuda = kgi_target_toolkit((struct kgi_target){f->host->gpu.number, 0});

    if (cuda < 12060)
        cuda = 12060;
    add_number(line, (unsigned)(cuda / 1000 * 10 + cuda % 1000 / 10));
}

/* The GPU's number after prefix; XX for an unknown GPU. */
static void add_gpu(struct line *line, const char *prefix, const struct facts *f)
{
    add(line, prefix);
    if (f->host->gpu.number)
        add_number(line, f->host->gpu.number);
    else
        add(line, "XX");
}

static void add_sm(struct line *line, const struct facts *f)
{
    add_gpu(line, "sm_", f);
}

static void add_n(struct line *line, const struct facts *f)
{
    add_gpu(line, "", f);
}

static void add_cc(struct line *line, const struct facts *f)
{
    int major, minor;

    kgi_target_cc(f->host->gpu, &major, &minor);
    if (major)
        add_dotted(line, major, minor);
    else
        add(line, "X.X");
}

static void add_major(struct line *line, const struct facts *f)
{
    add_number(line, f->host->gpu.number / 10u * 10);
}

static void add_gencode(struct line *line, const struct facts *f)
{
    add_gpu(line, "-gencode arch=compute_", f);
    add_gpu(line, ",code=sm_", f);
}

static void add_torch_floor(struct line *line, const char *before, const char *after,
                            const struct facts *f)
{
    const struct kgi_target_row *row = kgi_target_row(f->host->gpu.number);

    if (!row || !row->torch)
        return;
    add(line, before);
    add(line, row->torch);
    add(line, after);
}

static void add_torch(struct line *line, const struct facts *f)
{
    add_torch_floor(line, "", " and ", f);
}

static void add_with_torch(struct line *line, const struct facts *f)
{
    add_torch_floor(line, " (", ")", f);
}

static void add_held(struct line *line, const struct facts *f)
{
    if (f->code)
        add_target(line, is_cubin(f->code) ? "sm_" : "compute_", f->code->target);
    else
        add(line, "device");
}

/* Where code made for one target runs: "sm_90", "the sm_100 family". */
static void add_on(struct line *line, const struct facts *f)
{
    if (!f->code) {
        add(line, "another GPU");
        return;
    }
    add(line, f->code->target.suffix == 'f' ? "the " : "");
    add_target(line, "sm_", (struct kgi_target){f->code->target.number, 0});
    add(line, f->code->target.suffix == 'f' ? " family" : "");
}

static void add_isa(struct line *line, const struct facts *f)
{
    add(line, "PTX");
    if (f->code && f->code->kind != KGI_CUBIN) {
        add(line, " ");
        add_dotted(line, f->code->major, f->code->minor);
    }
}

static void add_cuda(struct line *line, const struct facts *f)
{
    add_dotted(line, f->verdict->needs_cuda / 1000, f->verdict->needs_cuda % 1000 / 10);
}

static void add_driver(struct line *line, const struct facts *f)
{
    const char *driver = kgi_cuda_driver(f->verdict->needs_cuda);

    add(line, driver ? ">= " : "one for CUDA >= ");
    if (driver)
        add(line, driver);
    else
        add_cuda(line, f);
}

static const struct place {
    const char *name;
    void (*add)(struct line *line, const struct facts *f);
} places[] = {
    {"name}", add_package},
    {"file}", add_file},
    {"sm}", add_sm},
    {"n}", add_n},
    {"cc}", add_cc},
    {"major}", add_major},
    {"nvcc}", add_nvcc},
    {"toolkit}", add_toolkit},
    {"cu}", add_cu},
    {"torch}", add_torch},
    {"withtorch}", add_with_torch},
    {"gencode}", add_gencode},
    {"held}", add_held},
    {"on}", add_on},
    {"isa}", add_isa},
    {"cuda}", add_cuda},
    {"driver}", add_driver},
};

/* The place that text starts with, or NULL. */
static const struct place *place_at(const char *text)
{
    for (size_t i = 0; *text == '{' && i < sizeof places / sizeof places[0]; i++) {
        if (!strncmp(text + 1, places[i].name, strlen(places[i].name)))
            return &places[i];
    }
    return NULL;
}

static void fill(struct line *line, const char *text, const struct facts *f)
{
    while (*text) {
        const struct place *place = place_at(text);
        if (place) {
            place->add(line, f);
            text += 1 + strlen(place->name);
        } else {
            add(line, (char[]){*text++, 0});
        }
    }
}

void kgi_advice(const char *library, const struct kgi_code *codes, size_t count,
                const struct kgi_host *host, const struct kgi_verdict *verdict, char *out,
                size_t size)
{
    bool explained = verdict->chosen >= 0 && (size_t)verdict->chosen < count;
    struct facts f = {library ? library : "", explained ? &codes[verdict->chosen] : NULL, host,
                      verdict};
    struct line line = {{0}, 0};

    fill(&line, text_for(&f), &f);
    snprintf(out, size, "%s", line.text);
}
