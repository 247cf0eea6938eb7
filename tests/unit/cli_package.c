/*
 * Whose file it is, from metadata that comes by as streams. The texts are as pip, setuptools,
 * conda, dpkg and distroless images write them, shortened.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "cli/cli.h"

#define ABI ".cpython-310-x86_64-linux-gnu.so"
#define SITE "/venv/lib/python3.10/site-packages/"

/* A stream that gives `step` bytes at a time. */
struct source {
    const char *at;
    size_t left, step;
};

static ssize_t give(void *context, void *to, size_t size)
{
    struct source *s = context;

    size = size < s->left ? size : s->left;
    size = size < s->step ? size : s->step;
    memcpy(to, s->at, size);
    s->at += size;
    s->left -= size;
    return (ssize_t)size;
}

static bool offer_bytes(struct kgi_packages *p, const char *inner, const char *bytes, size_t size,
                        size_t start)
{
    struct source source = {bytes + start, size - start, 7};
    struct kgi_stream stream = {.read = give, .context = &source};

    return kgi_packages_offer(p, inner, inner, (struct kgi_bytes){(const uint8_t *)bytes, start},
                              &stream);
}

static bool offer(struct kgi_packages *p, const char *inner, const char *text)
{
    size_t size = strlen(text);

    return offer_bytes(p, inner, text, size, size < 10 ? size : 10);
}

static void assert_of(struct kgi_packages *p, const char *inner, const char *expected)
{
    const char *name = kgi_packages_of(p, inner);

    if (expected) {
        assert_non_null(name);
        assert_string_equal(name, expected);
    } else if (name) {
        fail_msg("%s belongs to %s", inner, name);
    }
}

static void python(void **state)
{
    struct kgi_packages *p = kgi_packages_new();

    (void)state;
    assert_true(offer(p, SITE "torch-2.5.1+cu121.dist-info/RECORD",
                      "../../../bin/torchrun,sha256=OsDI,231\r\n"
                      "torch/__init__.py,sha256=x,1\n"
                      "torch/lib/libtorch_cuda.so,sha256=Mg2k,877253689\n"
                      "\"odd,name.so\",sha256=x,1\n"));
    assert_of(p, SITE "torch/lib/libtorch_cuda.so", "torch 2.5.1+cu121"); /* the folder's name */
    assert_true(offer(p, SITE "nvidia_cublas_cu12-12.1.3.1.dist-info/METADATA",
                      "Metadata-Version: 2.1\nName: nvidia-cublas-cu12\nVersion: 12.1.3.1\n\n"
                      "Name: late\n"));
    assert_true(offer(p, SITE "nvidia_cublas_cu12-12.1.3.1.dist-info/RECORD",
                      "nvidia/cublas/lib/libcublas.so.12,sha256=x,1"));
    assert_of(p, SITE "nvidia/cublas/lib/libcublas.so.12", "nvidia-cublas-cu12 12.1.3.1");
    assert_of(p, SITE "odd,name.so", "torch 2.5.1+cu121");
    assert_of(p, "/venv/bin/torchrun", "torch 2.5.1+cu121");
    assert_of(p, SITE "torch/__init__.py", NULL); /* not kept: no code is in it */
    assert_of(p, SITE "torch/lib", NULL);
    assert_of(p, "torch/lib/libtorch_cuda.so", NULL);
    /* Two wheels of one package, as they are walked. */
    assert_true(offer(p, "a.whl!/torch-2.7.1.dist-info/RECORD", "torch/lib/libtorch_cuda.so,,\n"));
    assert_true(offer(p, "b.whl!/torch-2.8.0.dist-info/RECORD", "torch/lib/libtorch_cuda.so,,\n"));
    assert_of(p, "a.whl!/torch/lib/libtorch_cuda.so", "torch 2.7.1");
    assert_of(p, "b.whl!/torch/lib/libtorch_cuda.so", "torch 2.8.0");
    /* As typed on a command line. */
    assert_true(offer(p, "../v/./a-1.dist-info/RECORD", "a/a.so,,\n"));
    assert_of(p, "../v//a/a.so", "a 1");
    assert_of(p, "../../v/a/a.so", NULL);
    assert_true(offer(p, "../../w/b-1.dist-info/RECORD", "../c/c.so,,\n"));
    assert_of(p, "../../c/c.so", "b 1");
    assert_of(p, "c/c.so", NULL);
    kgi_packages_free(p);
}

static void eggs(void **state)
{
    struct kgi_packages *p = kgi_packages_new();

    (void)state;
    assert_true(offer(p, SITE "torchsparse-2.1.0-py3.10-linux-x86_64.egg/EGG-INFO/PKG-INFO",
                      "Metadata-Version: 1.0\nName: torchsparse\nVersion: 2.1.0\n"));
    assert_of(p, SITE "torchsparse-2.1.0-py3.10-linux-x86_64.egg/torchsparse/backend" ABI,
              "torchsparse 2.1.0");
    assert_true(offer(p, SITE "diso-0.1.4-py3.10.egg-info/installed-files.txt",
                      "../diso/__init__.py\r\n../diso/_C" ABI "\r\nPKG-INFO\r\n"));
    assert_of(p, SITE "diso/_C" ABI, "diso 0.1.4");
    assert_true(offer(p, SITE "cumm-0.7.11.dist-info/RECORD", "cumm/libcumm.a,,\n"));
    assert_of(p, SITE "cumm/libcumm.a!/ops.o", "cumm 0.7.11");
    assert_true(offer(p, SITE "diso-0.1.4-py3.10.egg-info/PKG-INFO", "Name: diso\n\nVersion: 9\n"));
    assert_of(p, SITE "diso/_C" ABI, "diso 0.1.4"); /* not a header any more */
    assert_true(offer(p, "/proj/udf_ext.egg-info/top_level.txt", "udf_ext\nflat\n"));
    assert_of(p, "/proj/udf_ext" ABI, NULL); /* not described yet */
    assert_true(offer(p, "/proj/udf_ext.egg-info/PKG-INFO", "Name: udf-ext\nVersion: 0.0.0\n"));
    assert_of(p, "/proj/udf_ext" ABI, "udf-ext 0.0.0");
    assert_of(p, "/proj/flat/ops/_C" ABI, "udf-ext 0.0.0");
    assert_of(p, "/proj/udf_ext_2" ABI, NULL);
    assert_of(p, "/proj/build/udf_ext" ABI, NULL);
    /* As setuptools writes it for a package without modules. */
    assert_true(offer(p, "/proj/meta_only-1.0.egg-info/top_level.txt", "\n"));
    assert_of(p, "/proj/udf_ext_2" ABI, NULL);
    kgi_packages_free(p);
}

/* Which PyTorch a library is used with, as far as it was met. */
static void torch(void **state)
{
    struct kgi_packages *p = kgi_packages_new();
    struct kgi_file file = {.path = (char *)"i.tar!/" SITE "a/b/c.so",
                            .inner = (char *)SITE "a/b/c.so"};

    (void)state;
    assert_true(
        offer(p, SITE "torch-2.5.1+cu121.dist-info/RECORD", "torch/lib/libtorch_cpu.so,,\n"));
    kgi_packages_name(p, &file);
    assert_null(file.package);
    assert_string_equal(file.torch, "torch 2.5.1+cu121");
    free(file.torch);
    file.inner = (char *)"/venv/a/b/c.so";
    kgi_packages_name(p, &file);
    assert_null(file.torch);
    kgi_packages_free(p);
}

/* A library on disk, named alone: its metadata was not walked. */
static void on_disk(void **state)
{
    char root[] = "/tmp/kguard-packages-XXXXXX", command[512], path[128];
    struct kgi_packages *p = kgi_packages_new();
    struct kgi_file file = {.path = path, .inner = path, .found_count = 1};

    (void)state;
    assert_non_null(mkdtemp(root));
    snprintf(command, sizeof command,
             "cd %s && mkdir -p torch/lib torch-2.7.1.dist-info udf udf-1.dist-info && "
             "touch torch/lib/libtorch_cpu.so udf/_C.so && "
             "echo torch/lib/libtorch_cpu.so,, > torch-2.7.1.dist-info/RECORD && "
             "touch udf/libk.a && printf 'udf/_C.so,,\\nudf/libk.a,,\\n' > udf-1.dist-info/RECORD",
             root);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/./udf/_C.so", root);
    kgi_packages_name(p, &file);
    assert_string_equal(file.package, "udf 1");
    assert_string_equal(file.torch, "torch 2.7.1");
    free(file.package);
    free(file.torch);
    snprintf(path, sizeof path, "%s/udf/libk.a!/k.o", root);
    kgi_packages_name(p, &file);
    assert_string_equal(file.package, "udf 1");
    free(file.package);
    free(file.torch);
    snprintf(path, sizeof path, "%s/udf/none.so", root);
    kgi_packages_name(p, &file);
    assert_null(file.package);
    kgi_packages_free(p);
    snprintf(command, sizeof command, "rm -r %s", root);
    assert_int_equal(system(command), 0);
}

static void conda(void **state)
{
    struct kgi_packages *p = kgi_packages_new();

    (void)state;
    assert_true(offer(p, "/conda/conda-meta/libtorch-2.5.1-cuda120_h2b0da52_302.json",
                      "{\n  \"depends\": [\n    \"a/b >=1\"\n  ],\n  \"files\": [\n"
                      "    \"lib/libtorch_cuda.so\",\n    \"lib/libshm.so\"\n  ],\n"
                      "  \"url\": \"https://x/lib/not.so\"\n}\n"));
    assert_of(p, "/conda/lib/libtorch_cuda.so", "libtorch 2.5.1");
    assert_of(p, "/conda/lib/libshm.so", "libtorch 2.5.1");
    assert_of(p, "/conda/lib/not.so", NULL);
    assert_false(offer(p, "/conda/conda-meta/history", "==> 2025-01-01 <==\n"));
    kgi_packages_free(p);
}

static void dpkg(void **state)
{
    struct kgi_packages *p = kgi_packages_new();

    (void)state;
    assert_true(
        offer(p, "i.tar!/var/lib/dpkg/info/libc6:amd64.list",
              "/.\n/usr\n/lib/x86_64-linux-gnu/libc.so.6\n/usr/share/doc/libc6/README.txt\n"));
    assert_true(offer(p, "i.tar!/var/lib/dpkg/status",
                      "Package: base-files\nStatus: install ok installed\nVersion: 12\n"
                      "Description: x\n Package: y\n\n"
                      "Package: libc6\nArchitecture: amd64\nVersion: 2.36-9+deb12u14\n\n"
                      "Package: cuda-cudart-12-1\nVersion: 12.1.105-1\n"));
    assert_true(offer(p, "i.tar!/var/lib/dpkg/info/cuda-cudart-12-1.list",
                      "/usr/local/cuda-12.1/targets/x86_64-linux/lib/libcudart.so.12.1.105"));
    assert_of(p, "i.tar!/lib/x86_64-linux-gnu/libc.so.6", "libc6 2.36-9+deb12u14");
    assert_of(p, "i.tar!/usr/lib/x86_64-linux-gnu/libc.so.6", "libc6 2.36-9+deb12u14");
    assert_of(p, "i.tar!/usr/local/cuda-12.1/targets/x86_64-linux/lib/libcudart.so.12.1.105",
              "cuda-cudart-12-1 12.1.105-1");
    assert_of(p, "/usr/lib/x86_64-linux-gnu/libc.so.6", NULL); /* the host's own is no image's */
    /* distroless */
    assert_true(
        offer(p, "d.tar!/var/lib/dpkg/status.d/zlib1g", "Package: zlib1g\nVersion: 1:1.2.13\n"));
    assert_true(
        offer(p, "d.tar!/var/lib/dpkg/status.d/zlib1g.md5sums",
              "fa27fe86a7ae1ff5ab7ab1d4fa4b5e2f  usr/lib/x86_64-linux-gnu/libz.so.1.2.13\n"));
    assert_of(p, "d.tar!/usr/lib/x86_64-linux-gnu/libz.so.1.2.13", "zlib1g 1:1.2.13");
    kgi_packages_free(p);
}

static void ptxas(void **state)
{
    static char bytes[200000];
    static const char banner[] = "Cuda compilation tools, release %d.%d,\n\0"
                                 "Cuda compilation tools, release -1.2\n"
                                 "Cuda compilation tools, release 12.4, V12.4.99\n";
    const struct kgi_ptxas *found;
    struct kgi_packages *p;
    size_t count;

    (void)state;
    memcpy(bytes, "\177ELF", 4);
    for (size_t place = 4096 + 65536 - 100; place < 4096 + 65536 + 10; place++) {
        p = kgi_packages_new();
        memset(bytes + 4, 'x', sizeof bytes - 4);
        memcpy(bytes + place, banner, sizeof banner);
        struct source source = {bytes + 4096, sizeof bytes - 4096, 65536};
        struct kgi_stream stream = {.read = give, .context = &source};
        assert_true(kgi_packages_offer(p, "/l!" SITE "triton/backends/nvidia/bin/ptxas",
                                       SITE "triton/backends/nvidia/bin/ptxas",
                                       (struct kgi_bytes){(uint8_t *)bytes, 4096}, &stream));
        found = kgi_packages_ptxas(p, &count);
        assert_int_equal(count, 1);
        assert_int_equal(found[0].cuda, 12040);
        assert_string_equal(found[0].path, "/l!" SITE "triton/backends/nvidia/bin/ptxas");
        kgi_packages_free(p);
    }
    p = kgi_packages_new();
    assert_true(offer(p, SITE "triton/backends/nvidia/bin/ptxas-blackwell", "no banner"));
    assert_false(offer(p, "/usr/local/cuda/bin/ptxas", "not Triton's"));
    assert_false(offer(p, SITE "triton/backends/nvidia/bin/nvdisasm", "another"));
    found = kgi_packages_ptxas(p, &count);
    assert_int_equal(count, 1);
    assert_int_equal(found[0].cuda, 0);
    kgi_packages_free(p);
}

static void hostile(void **state)
{
    struct kgi_packages *p = kgi_packages_new();
    size_t size = 200000;
    char *text = malloc(size);

    (void)state;
    assert_false(offer(p, "", ""));
    assert_false(offer(p, "RECORD", ""));
    assert_false(offer(p, "a.dist-info", "a/a.so,,\n"));
    assert_true(offer(p, "a.dist-info/RECORD", "a/a.so,,\n"));
    assert_of(p, "a/a.so", NULL); /* nothing names it */
    assert_true(offer(p, "e-1.dist-info/METADATA", "Name: e\033[2J\nVersion: 1\n"));
    assert_true(offer(p, "e-1.dist-info/RECORD", "e/a.so,,\n\n,,\n\"\n"));
    assert_of(p, "e/a.so", "e 1");
    assert_of(p, "", NULL);
    assert_of(p, "/", NULL);
    /* A line longer than any path, then a sane one. */
    memset(text, 'x', size);
    memcpy(text + size - 16, "\nlong/a.so,1,2\n", 15);
    assert_true(offer_bytes(p, "long-1.dist-info/RECORD", text, size, 4096));
    assert_of(p, "long/a.so", "long 1");
    free(text);
    kgi_packages_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(python), cmocka_unit_test(eggs),    cmocka_unit_test(conda),
        cmocka_unit_test(torch),  cmocka_unit_test(on_disk), cmocka_unit_test(dpkg),
        cmocka_unit_test(ptxas),  cmocka_unit_test(hostile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
