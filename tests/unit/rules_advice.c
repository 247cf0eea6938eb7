/*
 * The one line of what to do: golden lines for the packages people meet, and properties that hold
 * for every library, GPU and reason.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "rules/rules.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SITE "/opt/venv/lib/python3.10/site-packages/"
#define ABI ".cpython-310-x86_64-linux-gnu.so"

struct image {
    struct kgi_code codes[10];
    size_t count;
};

static struct image sass(const char *targets)
{
    struct image image = {.count = 0};
    char word[16];

    for (int used; sscanf(targets, "%15s%n", word, &used) == 1; targets += used) {
        struct kgi_code *code = &image.codes[image.count++];
        *code = (struct kgi_code){
            .kind = KGI_CUBIN, .major = 1, .minor = 7, .kernels = -1, .flags = 0x11};
        assert_int_equal(kgi_target_parse(word, &code->target), 0);
    }
    return image;
}

static struct image ptx(uint16_t target, uint16_t major, uint16_t minor)
{
    return (struct image){.codes = {{.kind = KGI_PTX,
                                     .target = {target, 0},
                                     .major = major,
                                     .minor = minor,
                                     .kernels = -1}},
                          .count = 1};
}

/* Judges and advises, as a report does. */
static const char *advise(const char *library, const struct image *image, struct kgi_host host,
                          int reason)
{
    static char line[256];
    struct kgi_verdict v;

    kgi_judge(image->codes, image->count, &host, &v);
    if (reason)
        v.reason = reason;
    kgi_advice(library, NULL, image->codes, image->count, &host, &v, line, sizeof line);
    return line;
}

static const struct kgi_host rtx5090 = {.gpu = {120, 0}, .cuda_version = 12080, .driver = 570};

/* The stack this was made for: PyTorch 2.5.1 and extensions built for 6.0 to 9.0, on sm_120. */
static void test_seed_stack(void **state)
{
    static const struct {
        const char *library, *targets, *line;
    } seed[] = {
        {SITE "torch/lib/libtorch_cuda.so", "50 60 70 75 80 86 90",
         "pip install --force-reinstall \"torch>=2.7\" --index-url "
         "https://download.pytorch.org/whl/cu128 (torchvision too), then rebuild its extensions"},
        {SITE "torchvision/_C.so", "50 60 70 75 80 86 90",
         "pip install --force-reinstall \"torch>=2.7\" torchvision --index-url "
         "https://download.pytorch.org/whl/cu128"},
        {SITE "torchvision.libs/libnvjpeg.1.so", "50 60 70 75 80 86 90",
         "pip install --force-reinstall \"torch>=2.7\" torchvision --index-url "
         "https://download.pytorch.org/whl/cu128"},
        {SITE "xformers/_C.so", "60 70 75 80 90a",
         "rebuild xformers with TORCH_CUDA_ARCH_LIST=\"8.0 12.0\" XFORMERS_DISABLE_FLASH_ATTN=1 "
         "(needs PyTorch >= 2.7 and nvcc >= 12.8), or uninstall it if it is optional"},
        {SITE "xformers/flash_attn_3/_C.so", "90a",
         "xformers chose a kernel built for sm_90 only: use xformers >= 0.0.33, or call "
         "xformers.ops.fmha.dispatch._set_use_fa3(False)"},
        {SITE "flash_attn_2_cuda" ABI, "80 90",
         "FLASH_ATTENTION_FORCE_BUILD=TRUE FLASH_ATTN_CUDA_ARCHS=120 pip install "
         "--force-reinstall --no-deps --no-cache-dir --no-build-isolation flash-attn "
         "(nvcc >= 12.8)"},
        {SITE "flash_attn_3/_C.abi3.so", "80 90a",
         "FlashAttention 3 is made for sm_90a and cannot be rebuilt for sm_120: select "
         "FlashAttention 2 or PyTorch's SDPA instead"},
        {SITE "torchsparse/backend" ABI, "60 61 70 75 80 86 89 90",
         "rebuild torchsparse with FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST=\"12.0\" "
         "(needs PyTorch >= 2.7 and nvcc >= 12.8)"},
        {SITE "torchsparse-2.1.0-py3.10-linux-x86_64.egg/torchsparse/backend" ABI, "80",
         "rebuild torchsparse with FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST=\"12.0\" "
         "(needs PyTorch >= 2.7 and nvcc >= 12.8)"},
        {SITE "udf_ext" ABI, "60 61 70 75 80 86 89 90",
         "rebuild udf_ext with TORCH_CUDA_ARCH_LIST=\"12.0\" "
         "(needs PyTorch >= 2.7 and nvcc >= 12.8)"},
        {SITE "triton/_C/libtriton.so", "80",
         "use triton >= 3.3.1, whose ptxas knows sm_120 (torch >= 2.7.1 brings it), then delete "
         "~/.triton/cache"},
        {SITE "spconv/core_cc" ABI, "60 70 75 80 86 90",
         "build cumm and spconv from source: CUMM_CUDA_VERSION=128 CUMM_CUDA_ARCH_LIST=\"12.0\" "
         "CUMM_DISABLE_JIT=1 SPCONV_DISABLE_JIT=1 (nvcc >= 12.8)"},
        {SITE "bitsandbytes/libbitsandbytes_cuda121.so", "50 60 70 75 80 86 89 90",
         "pip install -U \"bitsandbytes>=0.45.3\" and let it load its library for CUDA >= 12.8 "
         "(by torch's CUDA version, or BNB_CUDA_VERSION=128)"},
        {SITE "nvidia/cublas/lib/libcublasLt.so.12", "50 60 70 75 80 86 90",
         "use the release of libcublasLt.so.12 for CUDA >= 12.8; where PyTorch brought it, change "
         "the torch wheel instead"},
        {SITE "some_ops/_C" ABI, "80",
         "rebuild some_ops with nvcc >= 12.8: TORCH_CUDA_ARCH_LIST=\"12.0\" if it is a PyTorch "
         "extension (PyTorch >= 2.7), else -gencode arch=compute_120,code=sm_120"},
        {"/home/me/build/some_ops" ABI, "80",
         "rebuild some_ops with nvcc >= 12.8: TORCH_CUDA_ARCH_LIST=\"12.0\" if it is a PyTorch "
         "extension (PyTorch >= 2.7), else -gencode arch=compute_120,code=sm_120"},
        {"/root/.cache/torch_extensions/py310_cu121/fused/fused.so", "80",
         "delete its directory under torch_extensions and run again with "
         "TORCH_CUDA_ARCH_LIST=\"12.0\" (needs PyTorch >= 2.7 and nvcc >= 12.8)"},
        {"/usr/local/lib/libfoo.so.1", "80",
         "rebuild libfoo.so.1 with nvcc >= 12.8 and -gencode arch=compute_120,code=sm_120 "
         "(CMake: CMAKE_CUDA_ARCHITECTURES=120)"},
        {NULL, "80",
         "rebuild the code with nvcc >= 12.8 and -gencode arch=compute_120,code=sm_120 "
         "(CMake: CMAKE_CUDA_ARCHITECTURES=120)"},
        {SITE "udf_ext" ABI, "90a 100a",
         "sm_100a code runs on sm_100 only: a check that chooses it on sm_120 is wrong; switch "
         "that kernel off, or use a build of udf_ext with sm_120 code"},
        {SITE "udf_ext" ABI, "100f",
         "sm_100f code runs on the sm_100 family only: a check that chooses it on sm_120 is wrong; "
         "switch that kernel off, or use a build of udf_ext with sm_120 code"},
        {SITE "udf_ext" ABI, "120", ""}, /* runs: nothing to do */
    };
    (void)state;
    for (size_t i = 0; i < COUNT(seed); i++) {
        struct image image = sass(seed[i].targets);
        assert_string_equal(advise(seed[i].library, &image, rtx5090, 0), seed[i].line);
    }
}

/* The floors of the toolkit and of PyTorch follow the GPU. */
static void test_floors(void **state)
{
    static const struct {
        uint16_t gpu;
        const char *line;
    } floors[] = {
        {61, "rebuild udf_ext with TORCH_CUDA_ARCH_LIST=\"6.1\" (needs nvcc <= 12.9)"},
        {86, "rebuild udf_ext with TORCH_CUDA_ARCH_LIST=\"8.6\" (needs nvcc >= 11.1)"},
        {90, "rebuild udf_ext with TORCH_CUDA_ARCH_LIST=\"9.0\" (needs PyTorch >= 2.0 and "
             "nvcc >= 11.8)"},
        {100, "rebuild udf_ext with TORCH_CUDA_ARCH_LIST=\"10.0\" (needs PyTorch >= 2.7 and "
              "nvcc >= 12.8)"},
        {103, "rebuild udf_ext with TORCH_CUDA_ARCH_LIST=\"10.3\" (needs PyTorch >= 2.8 and "
              "nvcc >= 12.9)"},
        {110, "rebuild udf_ext with TORCH_CUDA_ARCH_LIST=\"11.0\" (needs PyTorch >= 2.9 and "
              "nvcc >= 13.0)"},
        {121, "rebuild udf_ext with TORCH_CUDA_ARCH_LIST=\"12.1\" (needs PyTorch >= 2.8 and "
              "nvcc >= 12.9)"},
        {134, "rebuild udf_ext with TORCH_CUDA_ARCH_LIST=\"13.4\" (needs an nvcc that knows this "
              "GPU)"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(floors); i++) {
        struct kgi_host host = {.gpu = {floors[i].gpu, 0}};
        struct image image = sass(floors[i].gpu == 80 ? "90" : "35");
        assert_string_equal(advise(SITE "udf_ext" ABI, &image, host, 0), floors[i].line);
    }
}

/* The other packages people meet, each with its own knob. */
static void test_packages(void **state)
{
    static const struct {
        const char *library, *line;
    } packages[] = {
        {"/usr/lib/ggml/libggml-cuda.so",
         "rebuild ggml with -DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES=120 (nvcc >= 12.8)"},
        {SITE "_nvdiffrast_c" ABI,
         "rebuild _nvdiffrast_c with TORCH_CUDA_ARCH_LIST=\"12.0\" (needs PyTorch >= 2.7 and "
         "nvcc >= 12.8)"},
        {SITE "causal_conv1d_cuda" ABI,
         "CAUSAL_CONV1D_FORCE_BUILD=TRUE pip install --force-reinstall --no-deps "
         "--no-cache-dir --no-build-isolation \"causal-conv1d>=1.5.3\" (nvcc >= 12.8)"},
        {SITE "ctranslate2.libs/libctranslate2-bc15bf3f.so.4.5.0",
         "rebuild CTranslate2 with -DWITH_CUDA=ON -DCUDA_ARCH_LIST=\"12.0\" (nvcc >= 12.8), "
         "or use a release that holds sm_120"},
        {SITE "cumm/core_cc" ABI,
         "build cumm and spconv from source: CUMM_CUDA_VERSION=128 "
         "CUMM_CUDA_ARCH_LIST=\"12.0\" CUMM_DISABLE_JIT=1 SPCONV_DISABLE_JIT=1 (nvcc >= 12.8)"},
        {SITE "cupy/cuda/thrust" ABI,
         "use a CuPy and CUDA libraries of CUDA >= 12.8, and empty CUPY_CACHE_DIR "
         "(~/.cupy/kernel_cache)"},
        {SITE "custom_rasterizer_kernel" ABI,
         "rebuild custom_rasterizer_kernel with TORCH_CUDA_ARCH_LIST=\"12.0\" (needs PyTorch "
         ">= 2.7 and nvcc >= 12.8)"},
        {SITE "deepspeed/ops/adam/fused_adam_op" ABI,
         "reinstall deepspeed with DS_BUILD_OPS=1 TORCH_CUDA_ARCH_LIST=\"12.0\" and "
         "--no-cache-dir (needs PyTorch >= 2.7 and nvcc >= 12.8)"},
        {SITE "diff_gaussian_rasterization/_C" ABI,
         "rebuild diff_gaussian_rasterization with TORCH_CUDA_ARCH_LIST=\"12.0\" (needs "
         "PyTorch >= 2.7 and nvcc >= 12.8)"},
        {SITE "diso/_C" ABI,
         "rebuild diso with FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST=\"12.0\" (needs PyTorch >= 2.7 "
         "and nvcc >= 12.8)"},
        {SITE "faiss/_swigfaiss.so",
         "rebuild faiss with -DFAISS_ENABLE_GPU=ON -DCMAKE_CUDA_ARCHITECTURES=120 (nvcc >= "
         "12.8)"},
        {SITE "flex_gemm/kernels/cuda" ABI,
         "rebuild flex_gemm with TORCH_CUDA_ARCH_LIST=\"12.0\" (needs PyTorch >= 2.7 and nvcc "
         ">= 12.8)"},
        {SITE "gsplat/csrc.so",
         "rebuild gsplat with TORCH_CUDA_ARCH_LIST=\"12.0\" (needs PyTorch >= 2.7 and nvcc >= "
         "12.8)"},
        {SITE "jax_cuda12_plugin/_solver.so",
         "pip install -U \"jax[cuda12]\": use a jaxlib whose CUDA plugin holds sm_120 (built "
         "with CUDA >= 12.8)"},
        {SITE "kaolin/_C.so",
         "rebuild kaolin with IGNORE_TORCH_VER=1 TORCH_CUDA_ARCH_LIST=\"12.0\" (needs PyTorch "
         ">= 2.7 and nvcc >= 12.8)"},
        {SITE "llama_cpp/lib/libggml-cuda.so",
         "CMAKE_ARGS=\"-DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES=120\" pip install "
         "--force-reinstall --no-cache-dir llama-cpp-python (nvcc >= 12.8)"},
        {SITE "mmcv/_ext" ABI,
         "rebuild mmcv with FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST=\"12.0\" (needs PyTorch >= 2.7 "
         "and nvcc >= 12.8)"},
        {SITE "natten/libnatten" ABI,
         "rebuild natten with NATTEN_CUDA_ARCH=\"12.0\" (nvcc >= 12.8)"},
        {SITE "nvidia/nccl/lib/libnccl.so.2",
         "use NCCL >= 2.25.1 built for sm_120 (CUDA >= 12.8), or build it with "
         "NVCC_GENCODE=\"-gencode arch=compute_120,code=sm_120\""},
        {SITE "onnxruntime/capi/libonnxruntime_providers_cuda.so",
         "rebuild onnxruntime with --use_cuda --cmake_extra_defines "
         "CMAKE_CUDA_ARCHITECTURES=120 (nvcc >= 12.8), or use a release that holds sm_120"},
        {SITE "pytorch3d/_C" ABI,
         "rebuild pytorch3d with FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST=\"12.0\" (needs PyTorch >= "
         "2.7 and nvcc >= 12.8)"},
        {SITE "sageattention/_qattn_sm80" ABI,
         "rebuild sageattention with TORCH_CUDA_ARCH_LIST=\"12.0\" (needs PyTorch >= 2.7 and "
         "nvcc >= 12.8)"},
        {SITE "selective_scan_cuda" ABI,
         "MAMBA_FORCE_BUILD=TRUE pip install --force-reinstall --no-deps --no-cache-dir "
         "--no-build-isolation \"mamba-ssm>=2.2.6\" (nvcc >= 12.8)"},
        {SITE "simple_knn/_C" ABI,
         "rebuild simple_knn with TORCH_CUDA_ARCH_LIST=\"12.0\" (needs PyTorch >= 2.7 and "
         "nvcc >= 12.8)"},
        {SITE "tensorflow/libtensorflow_cc.so.2",
         "use a TensorFlow built for sm_120 (CUDA >= 12.8): a newer release, or NVIDIA's "
         "container image"},
        {SITE "tinycudann_bindings/_86_C" ABI,
         "rebuild tiny-cuda-nn from git with TCNN_CUDA_ARCHITECTURES=120 (nvcc >= 12.8)"},
        {SITE "torchaudio/lib/libtorchaudio.so",
         "pip install --force-reinstall \"torch>=2.7\" torchaudio --index-url "
         "https://download.pytorch.org/whl/cu128"},
        {SITE "vllm/_C.abi3.so",
         "use a vLLM release that holds sm_120, or build it from source with "
         "TORCH_CUDA_ARCH_LIST=\"12.0\" (needs PyTorch >= 2.7 and nvcc >= 12.8)"},
        {"/usr/lib/ollama/cuda_v12/libggml-cuda.so",
         "upgrade ollama, whose CUDA libraries are built for a fixed list of GPUs, or rebuild "
         "it with -DCMAKE_CUDA_ARCHITECTURES=120 (nvcc >= 12.8)"},
    };
    struct image image = sass("60 70 80 90");

    (void)state;
    for (size_t i = 0; i < COUNT(packages); i++)
        assert_string_equal(advise(packages[i].library, &image, rtx5090, 0), packages[i].line);
}

/* A fact of the driver or of the settings comes before any package's knob. */
static void test_other_reasons(void **state)
{
    const char *lib = SITE "udf_ext" ABI;
    struct kgi_host h200 = {.gpu = {90, 0}, .cuda_version = 13000, .driver = 580};
    struct kgi_host old = {.gpu = {90, 0}, .cuda_version = 12020, .driver = 535};
    struct kgi_host pascal = {.gpu = {61, 0}, .cuda_version = 13000, .driver = 580};
    struct kgi_host forbidden = h200, forced = h200;
    struct image image;

    (void)state;
    forbidden.jit_forbidden = "CUDA_DISABLE_PTX_JIT";
    forced.jit_forced = "CUDA_FORCE_PTX_JIT";

    image = ptx(80, 9, 1);
    assert_string_equal(advise(lib, &image, h200, 0),
                        "upgrade the driver to >= 590.44.01, which reads this PTX 9.1 (CUDA 13.1), "
                        "or use a build with sm_90 SASS: -gencode arch=compute_90,code=sm_90");
    image = ptx(80, 9, 3);
    assert_string_equal(
        advise(lib, &image, h200, 0),
        "upgrade the driver to one for CUDA >= 13.3, which reads this PTX 9.3 (CUDA 13.3), or use "
        "a build with sm_90 SASS: -gencode arch=compute_90,code=sm_90");
    image = ptx(80, 9, 9);
    assert_string_equal(advise(lib, &image, h200, 0),
                        "upgrade the driver: it does not read PTX 9.9 yet; or use a build with "
                        "sm_90 SASS: -gencode arch=compute_90,code=sm_90");
    image = ptx(60, 9, 1);
    assert_string_equal(advise(lib, &image, pascal, 0),
                        "no driver for sm_61 reads PTX 9.1: use a build with sm_61 SASS "
                        "(nvcc <= 12.9, -gencode arch=compute_61,code=sm_61)");

    image = sass("90");
    image.codes[0].packing = KGI_ZSTD;
    assert_string_equal(advise(lib, &image, old, 0),
                        "upgrade the driver to >= 550.54.14, or rebuild udf_ext without zstd: nvcc "
                        "-Xfatbin -compress-mode=speed");
    image = sass("90");
    image.codes[0].minor = 8;
    assert_string_equal(advise(lib, &image, old, 0),
                        "upgrade the driver to >= 580.65.06, or rebuild udf_ext with nvcc 12.x: "
                        "older drivers cannot read cubins of nvcc 13");
    image = sass("121");
    old.gpu.number = 121;
    assert_string_equal(advise(lib, &image, old, 0),
                        "upgrade the driver to >= 575.51.03: sm_121 code needs CUDA 12.9");
    /* Refused by the driver although the rules see no hindrance. */
    image = sass("90");
    assert_string_equal(advise(lib, &image, h200, KG104_UNREADABLE),
                        "reinstall udf_ext: the driver cannot read its sm_90 code, so it may be "
                        "damaged or cut short");
    image = sass("70");
    assert_string_equal(advise("/root/.triton/cache/AB/k.cubin", &image, h200, KG104_UNREADABLE),
                        "delete ~/.triton/cache: this code was cached for sm_70, the GPU is sm_90");

    image = ptx(80, 7, 4);
    assert_string_equal(advise(lib, &image, forbidden, 0),
                        "unset CUDA_DISABLE_PTX_JIT, or use a build with sm_90 SASS: nvcc >= 11.8, "
                        "-gencode arch=compute_90,code=sm_90");
    assert_string_equal(advise(lib, &image, h200, KG105_NO_JIT),
                        "make the driver's libnvidia-ptxjitcompiler.so.1 loadable (containers: "
                        "NVIDIA_DRIVER_CAPABILITIES=compute,utility), or use a build with sm_90 "
                        "SASS");
    assert_string_equal(advise(lib, &image, h200, 0), /* PTX only: slow, not broken */
                        "rebuild udf_ext with TORCH_CUDA_ARCH_LIST=\"9.0\" (needs PyTorch >= 2.0 "
                        "and nvcc >= 11.8)");
    assert_string_equal(advise(lib, &image, h200, KG107_BAD_PTX),
                        "the driver's compiler refuses this PTX: mend what wrote it, upgrade the "
                        "driver, or use a build with sm_90 SASS (nvcc >= 11.8, -gencode "
                        "arch=compute_90,code=sm_90)");
    image.codes[0].traits = KGI_T_OBFUSCATED;
    assert_string_equal(advise(lib, &image, h200, 0),
                        "the driver cannot compile obfuscated PTX: ask for a build of udf_ext with "
                        "sm_90 SASS");
    image = sass("80 90");
    assert_string_equal(advise(lib, &image, forced, 0),
                        "unset CUDA_FORCE_PTX_JIT: it makes the driver ignore the sm_90 code held "
                        "here, which runs on sm_90");
    assert_string_equal(advise(lib, &image, h200, KG106_NO_KERNEL),
                        "rebuild udf_ext from clean with one architecture list for all its files, "
                        "sm_90 in it (nvcc >= 11.8)");
    image.codes[0].traits = image.codes[1].traits = KGI_T_RELOCATABLE;
    assert_string_equal(advise(lib, &image, h200, 0),
                        "device-link udf_ext for sm_90: nvcc -dlink -gencode "
                        "arch=compute_90,code=sm_90 (CMake: CUDA_RESOLVE_DEVICE_SYMBOLS ON), nvcc "
                        ">= 11.8");
    image = ptx(80, 1, 65);
    image.codes[0].kind = KGI_LTO;
    assert_string_equal(advise(lib, &image, h200, 0),
                        "link the LTO code of udf_ext for sm_90: nvcc -dlto -arch=sm_90 (nvcc >= "
                        "11.8) or nvJitLink; or rebuild it with -gencode "
                        "arch=compute_90,code=sm_90");
    image.count = 0;
    assert_string_equal(advise(lib, &image, h200, KG109_CPU_ONLY),
                        "rebuild udf_ext with FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST=\"9.0\": a build "
                        "that sees no GPU (docker build) may leave CUDA out");
}

static const char *const libraries[] = {
    NULL,
    "",
    "/",
    "a.out",
    SITE,
    SITE "x",
    SITE "torch/lib/libtorch_cuda.so",
    "/conda/lib/libtorch_cuda.so",
    SITE "torchvision/_C.so",
    SITE "torchaudio/lib/libtorchaudio.so",
    SITE "xformers/_C.so",
    SITE "xformers/flash_attn_3/_C.so",
    SITE "flash_attn_2_cuda" ABI,
    SITE "flash_attn_3/_C.abi3.so",
    SITE "triton/_C/libtriton.so",
    "/root/.triton/cache/AB/cuda_utils.so",
    SITE "spconv/core_cc" ABI,
    SITE "cumm/core_cc" ABI,
    SITE "bitsandbytes/libbitsandbytes_cuda121.so",
    SITE "causal_conv1d_cuda" ABI,
    SITE "selective_scan_cuda" ABI,
    SITE "tinycudann_bindings/_120_C" ABI,
    SITE "natten/libnatten" ABI,
    SITE "llama_cpp/lib/libggml-cuda.so",
    "/usr/lib/ollama/cuda_v12/libggml-cuda.so",
    "/usr/lib/libggml-cuda.so",
    SITE "onnxruntime/capi/libonnxruntime_providers_cuda.so",
    SITE "ctranslate2.libs/libctranslate2.so.4",
    SITE "faiss/_swigfaiss.so",
    SITE "vllm/_C.abi3.so",
    SITE "deepspeed/ops/adam/fused_adam_op" ABI,
    SITE "jax_cuda12_plugin/_solver.so",
    SITE "tensorflow/libtensorflow_cc.so.2",
    SITE "cupy/cuda/thrust" ABI,
    SITE "nvidia/nccl/lib/libnccl.so.2",
    SITE "nvidia/a_file_with_a_name_as_long_as_nobody_would_ever_make_it_but_who_knows.so",
    "/usr/local/cuda/lib64/libcufft.so.11",
    "/root/.cache/torch_extensions/py310_cu121/fused/fused.so",
    SITE "torchsparse/backend" ABI,
    SITE "kaolin/_C.so",
    SITE "diff_gaussian_rasterization/_C" ABI,
    SITE "custom_rasterizer_kernel_with_a_name_as_long_as_nobody_would_ever_make_it" ABI,
    SITE "an_extension_with_a_name_as_long_as_nobody_would_ever_make_it_but_who_knows" ABI,
    "/x/an_extension_with_a_name_as_long_as_nobody_would_ever_make_it_but_who_knows" ABI,
    SITE "\033[2J\"$(rm -rf)\n{sm}" ABI,
};

static void check(const char *library, const char *line, int reason, int gpu)
{
    static const char *const never[] = {
        "{", "}", "\n", "\033", "$", "  ", "KGUARD", "kguard", "+PTX", " ()",
    };

    if (strlen(line) >= 200) /* at 200 it was cut */
        fail_msg("%zu bytes for %s, KG%d, sm_%d: %s", strlen(line), library, reason, gpu, line);
    for (size_t i = 0; i < COUNT(never); i++) {
        if (strstr(line, never[i]))
            fail_msg("'%s' for %s, KG%d, sm_%d: %s", never[i], library, reason, gpu, line);
    }
    if (!*line)
        fail_msg("nothing for %s, KG%d, sm_%d", library, reason, gpu);
}

static void test_every_line(void **state)
{
    static const int reasons[] = {101, 102, 103, 104, 105, 106, 107,
                                  108, 109, 110, 201, 202, 203, 204};
    static const uint16_t gpus[] = {0,  30, 35, 37, 50,  53,  61,  62,  70,  72,  75,  80,  86,
                                    87, 88, 89, 90, 100, 101, 103, 107, 110, 120, 121, 134, 999};
    static const struct kgi_installed known = {
        "diff-gaussian-rasterization-2dgs 0.0.1", "torch 2.5.1+cu121", NULL};
    static const struct kgi_installed loader = {
        .loaded_by = SITE "a_file_with_a_name_as_long_as_nobody_would_ever_make_it.so"};
    struct kgi_code code = {.target = {100, 'f'}, .major = 65535, .minor = 65535};
    char line[512];

    (void)state;
    for (size_t l = 0; l < COUNT(libraries); l++) {
        for (size_t g = 0; g < COUNT(gpus); g++) {
            for (size_t r = 0; r < COUNT(reasons) * 16; r++) {
                struct kgi_host host = {.gpu = {gpus[g], 0},
                                        .cuda_version = r & 1 ? 12000 : 13000,
                                        .jit_forbidden = r & 2 ? "CUDA_DISABLE_PTX_JIT" : NULL};
                struct kgi_verdict v = {KGI_NONE, reasons[r / 16], r & 8 ? 0 : -1,
                                        r & 4 ? 13030 : 12040};
                code.kind = r & 1 ? KGI_CUBIN : KGI_PTX;
                code.packing = r & 2 ? KGI_ZSTD : KGI_PLAIN;
                kgi_advice(libraries[l], !libraries[l] ? &loader : r & 1 ? &known : NULL, &code, 1,
                           &host, &v, line, sizeof line);
                check(libraries[l] ? libraries[l] : "none", line, v.reason, gpus[g]);
            }
        }
    }
}

static void test_small_buffers(void **state)
{
    struct image image = sass("80");
    struct kgi_verdict v = {KGI_NONE, KG101_NO_CODE, 0, 0};
    char line[8] = "1234567";

    (void)state;
    kgi_advice("/x/libfoo.so", NULL, image.codes, 1, &rtx5090, &v, line, 4);
    assert_string_equal(line, "reb");
    assert_int_equal(line[4], '5');
    kgi_advice("/x/libfoo.so", NULL, image.codes, 1, &rtx5090, &v, line, 0);
    assert_string_equal(line, "reb");
    v.reason = 999; /* a code this build does not know: no advice */
    kgi_advice("/x/libfoo.so", NULL, image.codes, 1, &rtx5090, &v, line, sizeof line);
    assert_string_equal(line, "");
    v.reason = KG101_NO_CODE;
    v.chosen = 5; /* past the list: not looked at */
    kgi_advice("/x/libfoo.so", NULL, image.codes, 1, &rtx5090, &v, line, sizeof line);
    assert_string_equal(line, "rebuild");
}

/* What is installed decides where it is known. */
static void test_installed(void **state)
{
    static const struct {
        const char *library, *package, *torch, *line;
    } cases[] = {
        /* PyPI's torch 2.7 */
        {SITE "torch/lib/libtorch_cuda.so", "torch 2.7.1", NULL,
         "PyPI's torch 2.7 is built for CUDA 12.6: pip install --force-reinstall torch==2.7.1 "
         "--index-url https://download.pytorch.org/whl/cu128 (torchvision too)"},
        {SITE "torch/lib/libtorch_cuda.so", "torch 2.5.1+cu121", NULL,
         "pip install --force-reinstall \"torch>=2.7\" --index-url "
         "https://download.pytorch.org/whl/cu128 (torchvision too), then rebuild its extensions"},
        /* a trap: the rebuild alone fails */
        {SITE "udf_ext" ABI, "udf-ext 0.0.0", "torch 2.5.1+cu121",
         "torch 2.5.1 cannot build for sm_120: first install torch>=2.7 from "
         "https://download.pytorch.org/whl/cu128, then rebuild udf-ext with "
         "TORCH_CUDA_ARCH_LIST=\"12.0\""},
        {SITE "udf_ext" ABI, "udf-ext 0.0.0", "torch 2.7.1+cu128",
         "rebuild udf-ext with TORCH_CUDA_ARCH_LIST=\"12.0\" (needs PyTorch >= 2.7 and nvcc >= "
         "12.8)"},
        {SITE "torchsparse/backend" ABI, "torchsparse 2.1.0", "torch 2.5.1+cu121",
         "torch 2.5.1 cannot build for sm_120: first install torch>=2.7 from "
         "https://download.pytorch.org/whl/cu128, then rebuild torchsparse with "
         "TORCH_CUDA_ARCH_LIST=\"12.0\""},
        {SITE "udf_ext" ABI, NULL, NULL,
         "rebuild udf_ext with TORCH_CUDA_ARCH_LIST=\"12.0\" (needs PyTorch >= 2.7 and nvcc >= "
         "12.8)"},
        {SITE "bitsandbytes/libbitsandbytes_cuda124.so", "bitsandbytes 0.45.5", NULL,
         "let bitsandbytes load its library for CUDA >= 12.8: by a torch built with it, or "
         "BNB_CUDA_VERSION=128"},
        {SITE "bitsandbytes/libbitsandbytes_cuda124.so", "bitsandbytes 0.45.2", NULL,
         "pip install -U \"bitsandbytes>=0.45.3\" and let it load its library for CUDA >= 12.8 (by "
         "torch's CUDA version, or BNB_CUDA_VERSION=128)"},
    };
    struct image image = sass("60 70 80 90");
    struct kgi_verdict v;
    char line[256];

    (void)state;
    kgi_judge(image.codes, image.count, &rtx5090, &v);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct kgi_installed installed = {cases[i].package, cases[i].torch, NULL};

        kgi_advice(cases[i].library, &installed, image.codes, image.count, &rtx5090, &v, line,
                   sizeof line);
        assert_string_equal(line, cases[i].line);
    }
    image = sass("90a"); /* what is advised otherwise is there already */
    kgi_judge(image.codes, image.count, &rtx5090, &v);
    kgi_advice(SITE "xformers/flash_attn_3/_C.so", &(struct kgi_installed){"xformers 0.0.33", NULL, NULL},
               image.codes, image.count, &rtx5090, &v, line, sizeof line);
    assert_string_equal(line, "xformers chose a kernel built for sm_90 only: call "
                              "xformers.ops.fmha.dispatch._set_use_fa3(False), or select PyTorch's "
                              "SDPA instead");
}

/* Adds a file with this text; the line it complains of. */
static int add_rows(const char *text, size_t *line)
{
    char path[] = "/tmp/kguard-advice-XXXXXX";
    int fd = mkstemp(path), error;

    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    error = kgi_advice_add_file(path, line);
    unlink(path);
    return error;
}

static void test_table(void **state)
{
    static const char *const wrong[] = {
        "no-code\tany\t-\t-\t\n",       "no-code\tany\t-\n",      "no-kode\tany\t-\t-\tx\n",
        "no-code|\t120-100\t-\t-\tx\n", "\tany\t-\t-\tx\n",       "no-code\t\t-\t-\tx\n",
        "no-code\tsm_120\t-\t-\tx\n",   "no-code 120 - - x\n",    "no-code\t120-\t-\t-\tx\n",
        "no-code|kode\tany\t-\t-\tx\n", "no-code\t120x\t-\t-\tx", "no-code\tany\t-\t\tx\n",
    };
    /* Versions: below, equal, above; of packages, whatever the dash; not of others. */
    static const struct {
        const char *condition, *package;
        bool holds;
    } versions[] = {
        {"torch<2.7", "torch 2.5.1+cu121", true},
        {"torch<2.7", "torch 2.7.0", false},
        {"torch<2.7", "torch 2.10.0", false},
        {"torch<2.10", "torch 2.9", true},
        {"torch>=2.7", "torch 2.7", true},
        {"torch>2.7", "torch 2.7.0", false},
        {"torch>2.7", "torch 2.7.1", true},
        {"torch<=2.7", "torch 2.7", true},
        {"torch>=2.7&torch<2.8", "torch 2.8", false},
        {"torch<2.7", "torchvision 0.1", false},
        {"torch<2.7", NULL, false},
        {"a_b>=1", "a-b 1.0", true},
        {"a-b>=1", "a_b 1rc1", true},
        {"torch", "torch 2.7", false},
        {"torch<", "torch 2.7", false},
        {"torch>=2.7.0", "torch 2.7", true},
        {"<2", "torch 2.7", false},
    };
    struct image image = sass("60 70 80 90");
    struct kgi_host host = rtx5090;
    struct kgi_verdict v;
    char text[256], line[256];
    size_t at = 0;

    (void)state;
    assert_int_equal(kgi_advice_check(&at), 0);
    for (size_t i = 0; i < COUNT(wrong); i++) {
        snprintf(text, sizeof text, "# comment\n\n%s", wrong[i]);
        assert_int_equal(add_rows(text, &at), -EBADMSG);
        assert_int_equal(at, 3);
    }
    assert_int_equal(kgi_advice_add_file("/nonexistent", &at), -ENOENT);
    kgi_judge(image.codes, image.count, &host, &v);
    for (size_t i = 0; i < COUNT(versions); i++) {
        struct kgi_installed installed = {NULL, versions[i].package, NULL};

        snprintf(text, sizeof text, "no-code\tany\t-\t%s\tyes {sm}{\n", versions[i].condition);
        assert_int_equal(add_rows(text, &at), 0);
        kgi_advice("/x/libfoo.so", &installed, image.codes, image.count, &host, &v, line,
                   sizeof line);
        if ((strcmp(line, "yes sm_120{") == 0) != versions[i].holds)
            fail_msg("%s with %s: %s", versions[i].condition, versions[i].package, line);
    }
    /* Rows of a user come first, and only where they match. */
    assert_int_equal(add_rows("no-code|zstd\t100-120\tlibfoo|libbar\t-\tours", &at), 0);
    kgi_advice("/x/libbar.so", NULL, image.codes, image.count, &host, &v, line, sizeof line);
    assert_string_equal(line, "ours");
    kgi_advice("/x/libbaz.so", NULL, image.codes, image.count, &host, &v, line, sizeof line);
    assert_string_not_equal(line, "ours");
    host.gpu.number = 121;
    kgi_advice("/x/libbar.so", NULL, image.codes, image.count, &host, &v, line, sizeof line);
    assert_string_not_equal(line, "ours");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seed_stack),    cmocka_unit_test(test_floors),
        cmocka_unit_test(test_packages),      cmocka_unit_test(test_other_reasons),
        cmocka_unit_test(test_every_line),
        cmocka_unit_test(test_small_buffers), cmocka_unit_test(test_installed),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
