/* What will fail at run time though no image lacks code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "cli/cli.h"

#define SITE "/venv/lib/python3.10/site-packages/"

static char said[4096];

static void note(void *context, const char *path, int reason, const char *text, const char *help)
{
    size_t length = strlen(said);

    (void)context;
    assert_non_null(help);
    snprintf(said + length, sizeof said - length, "%s: KG%d: %s [%s]\n", path, reason, text, help);
}

static ssize_t nothing(void *context, void *to, size_t size)
{
    (void)context, (void)to, (void)size;
    return 0;
}

static void offer(struct kgi_packages *p, const char *inner, const char *text)
{
    struct kgi_stream stream = {.read = nothing};

    assert_true(kgi_packages_offer(
        p, inner, inner, (struct kgi_bytes){(const uint8_t *)text, strlen(text)}, &stream));
}

static const char *check(const struct kgi_packages *p, const char *target, size_t count,
                         const struct kgi_file *files)
{
    struct kgi_target t;

    assert_int_equal(kgi_target_parse(target, &t), 0);
    said[0] = 0;
    kgi_tools_check(files, count, p, t, note, NULL);
    return said;
}

#define CHECK(p, target, ...)                                                                      \
    check(p, target, sizeof((struct kgi_file[]){__VA_ARGS__}) / sizeof(struct kgi_file),           \
          (struct kgi_file[]){__VA_ARGS__})
#define HOST(name)                                                                                 \
    {                                                                                              \
        .path = (char *)(name), .inner = (char *)(name), .dynamic_elf = true                       \
    }
#define CUDA(name)                                                                                 \
    {                                                                                              \
        .path = (char *)(name), .inner = (char *)(name), .dynamic_elf = true, .found_count = 1     \
    }

static void cpu_only(void **state)
{
    struct kgi_packages *p = kgi_packages_new();

    (void)state;
    assert_string_equal(
        CHECK(p, "sm_120", HOST(SITE "torchsparse/backend.cpython-310-x86_64-linux-gnu.so")), SITE
        "torchsparse/backend.cpython-310-x86_64-linux-gnu.so: KG109: torchsparse was built "
        "without CUDA: it holds no device code [rebuild torchsparse with FORCE_CUDA=1 "
        "TORCH_CUDA_ARCH_LIST=\"12.0\": a build that sees no GPU (docker build) may leave CUDA "
        "out]\n");
    assert_string_equal(CHECK(p, "sm_120", CUDA(SITE "torchsparse/backend.so")), "");
    assert_string_equal(CHECK(p, "sm_120", HOST(SITE "torchsparse/other.so")), "");
    offer(p, SITE "spconv-2.3.6.dist-info/RECORD", "spconv/core_cc.so,,\n");
    assert_string_equal(CHECK(p, "sm_86", HOST(SITE "spconv/core_cc.so")),
                        SITE "spconv/core_cc.so: KG109: spconv 2.3.6 was built without CUDA: it "
                             "holds no device code [pip uninstall spconv and pip install "
                             "spconv-cu126: the package without -cu in its name is for the CPU]\n");
    /* Device code in a file of its own. */
    assert_string_equal(CHECK(p, "sm_120", HOST(SITE "torch/lib/libtorch_cpu.so")), "");
    offer(p, SITE "torch-2.5.1+cpu.dist-info/RECORD", "torch/lib/libtorch_cpu.so,,\n");
    assert_non_null(strstr(CHECK(p, "sm_120", HOST(SITE "torch/lib/libtorch_cpu.so"),
                                 HOST(SITE "torch/lib/libtorch.so")),
                           "KG109: torch 2.5.1+cpu was built without CUDA: it holds no device code "
                           "[pip install --force-reinstall \"torch>=2.7\""));
    assert_string_equal(CHECK(p, "sm_120", HOST(SITE "torch/lib/libtorch_cpu.so"),
                              CUDA(SITE "torch/lib/libtorch_cuda.so")),
                        "");
    kgi_packages_free(p);
}

static void nvrtc(void **state)
{
    struct kgi_packages *p = kgi_packages_new();

    (void)state;
    assert_string_equal(
        CHECK(p, "sm_120", HOST(SITE "nvidia/cuda_nvrtc/lib/libnvrtc-builtins.so.12.1")),
        SITE "nvidia/cuda_nvrtc/lib/libnvrtc-builtins.so.12.1: KG110: this NVRTC is of CUDA 12.1, "
             "which does not know sm_120 (CUDA 12.8 is the first that does): kernels built at run "
             "time fail, or become PTX for an older GPU [use the libnvrtc of CUDA >= 12.8; where "
             "PyTorch brought it, change the torch wheel instead]\n");
    assert_string_equal(CHECK(p, "sm_120", HOST("/lib/libnvrtc-builtins.so.12.8.61")), "");
    assert_string_equal(CHECK(p, "sm_90", HOST("/lib/libnvrtc-builtins.so.12.1")), "");
    assert_string_equal(CHECK(p, "sm_99", HOST("/lib/libnvrtc-builtins.so.12.1")), "");
    assert_string_equal(CHECK(p, "sm_70", HOST("/lib/libnvrtc-builtins.so.12.9.41")), "");
    assert_non_null(strstr(CHECK(p, "sm_70", HOST("/lib/libnvrtc-builtins.so.13.0")),
                           "CUDA 13.0, which dropped sm_70 (CUDA 12.9 was the last that had it)"));
    assert_string_equal(CHECK(p, "sm_120", HOST("/lib/libnvrtc.so.12")), "");
    assert_string_equal(CHECK(p, "sm_120", HOST("/lib/libnvrtc-builtins.so.-2.1")), "");
    kgi_packages_free(p);
}

#define BIN SITE "triton/backends/nvidia/bin/"

static void triton(void **state)
{
    struct kgi_packages *p = kgi_packages_new();

    (void)state;
    offer(p, SITE "triton-3.1.0.dist-info/RECORD", "triton/backends/nvidia/bin/ptxas,,\n");
    offer(p, BIN "ptxas", "Cuda compilation tools, release 12.4, V12.4.99\n");
    assert_string_equal(
        check(p, "sm_120", 0, NULL),
        BIN "ptxas: KG110: triton 3.1.0 compiles with a ptxas of CUDA 12.4, which does not know "
            "sm_120 (CUDA 12.8 is the first that does): its kernels cannot be built [use triton >= "
            "3.3.1, whose ptxas knows sm_120 (torch >= 2.7.1 brings it), then delete "
            "~/.triton/cache]\n");
    assert_string_equal(check(p, "sm_90", 0, NULL), "");
    kgi_packages_free(p);

    p = kgi_packages_new(); /* 3.6: two of them, of which one is for Blackwell */
    offer(p, BIN "ptxas", "Cuda compilation tools, release 12.4, V12.4.99\n");
    offer(p, BIN "ptxas-blackwell", "Cuda compilation tools, release 12.9, V12.9.86\n");
    offer(p, "/other/triton/bin/ptxas", "no version in it\n");
    assert_string_equal(check(p, "sm_120", 0, NULL), "");
    assert_string_equal(check(p, "sm_90", 0, NULL), "");
    assert_non_null(strstr(check(p, "sm_110", 0, NULL), BIN "ptxas-blackwell: KG110"));
    assert_null(strstr(said, BIN "ptxas: "));
    kgi_packages_free(p);

    p = kgi_packages_new();
    offer(p, BIN "ptxas", "Cuda compilation tools, release 13.0, V13.0.88\n");
    offer(p, BIN "ptxas-blackwell", "Cuda compilation tools, release 13.0, V13.0.88\n");
    assert_non_null(strstr(check(p, "sm_70", 0, NULL), "triton compiles with a ptxas of CUDA 13.0, "
                                                       "which dropped sm_70"));
    assert_null(strstr(said, "blackwell"));
    kgi_packages_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cpu_only), cmocka_unit_test(nvrtc),
                                       cmocka_unit_test(triton)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
