/*
 * Whose file a library is. The trees are as pip 23.2, setuptools 59 and 80, and conda 24 leave
 * them: each text below is one of theirs, shortened.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "report/report.h"

#define ABI ".cpython-310-x86_64-linux-gnu.so"

static char root[64];

static const char *at(const char *path)
{
    static char whole[4200];

    snprintf(whole, sizeof whole, "%s/%s", root, path);
    return whole;
}

static void put_bytes(const char *path, const char *text, size_t size)
{
    char whole[4200];
    FILE *f;

    snprintf(whole, sizeof whole, "%s", at(path));
    for (char *slash = whole + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        mkdir(whole, 0755);
    }
    f = fopen(whole, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, size, f), size);
    fclose(f);
}

static void put(const char *path, const char *text)
{
    put_bytes(path, text, strlen(text));
}

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/kguard-package-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    return nftw(root, drop, 16, FTW_DEPTH | FTW_PHYS);
}

static void assert_package(const char *path, const char *expected)
{
    char out[192];
    bool found;

    errno = 77;
    found = kgi_package_of(at(path), out, sizeof out);
    assert_int_equal(errno, 77);
    if (expected) {
        assert_true(found);
        assert_string_equal(out, expected);
    } else if (found) {
        fail_msg("%s belongs to %s", path, out);
    }
}

#define SITE "venv/lib/python3.10/site-packages/"

static void dist_info(void **state)
{
    (void)state;
    put(SITE "torch-2.5.1+cu121.dist-info/RECORD",
        "../../../bin/torchrun,sha256=OsDIXb2KTC1zrPmYPhyYaTzuaEBzzW2NJhyWz7pNVTY,231\n"
        "functorch/_C" ABI ",sha256=K2M9vJ,320120\n"
        "torch/lib/libtorch_cuda.so,sha256=Mg2kl8hRwx,877253689\n");
    put(SITE "torch-2.5.1+cu121.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: torch\nVersion: 2.5.1+cu121\nSummary: Tensors\n\n"
        "Name: not a header\n");
    put(SITE "nvidia_cublas_cu12-12.1.3.1.dist-info/RECORD",
        "nvidia/cublas/lib/libcublas.so.12,sha256=x,1\r\n"
        "nvidia/cublas/lib/libcublasLt.so.12,sha256=x,1\r\n");
    put(SITE "nvidia_cublas_cu12-12.1.3.1.dist-info/METADATA",
        "Metadata-Version: 2.1\r\nName: nvidia-cublas-cu12\r\nVersion: 12.1.3.1\r\n\r\n");
    put(SITE "udf_ext-0.0.0.dist-info/RECORD",
        "udf_ext" ABI ",sha256=0UgZ24,22912\n\"odd,name.so\",sha256=x,1\n");
    assert_package(SITE "torch/lib/libtorch_cuda.so", "torch 2.5.1+cu121");
    assert_package(SITE "functorch/_C" ABI, "torch 2.5.1+cu121");
    assert_package(SITE "nvidia/cublas/lib/libcublas.so.12", "nvidia-cublas-cu12 12.1.3.1");
    assert_package(SITE "nvidia/cublas/lib/libcublasLt.so.12", "nvidia-cublas-cu12 12.1.3.1");
    assert_package(SITE "udf_ext" ABI, "udf_ext 0.0.0"); /* no METADATA: the folder's name */
    assert_package(SITE "odd,name.so", "udf_ext 0.0.0");
    /* A part of a path, or of another's, is not the path. */
    assert_package(SITE "lib/libtorch_cuda.so", NULL);
    assert_package(SITE "torch/lib/libtorch_cuda", NULL);
    assert_package(SITE "nvidia/cublas/lib/libcublas.so", NULL);
    assert_package("venv/lib/libtorch_cuda.so", NULL);
}

static void eggs(void **state)
{
    (void)state;
    /* setup.py install */
    put(SITE "torchsparse-2.1.0-py3.10-linux-x86_64.egg/EGG-INFO/PKG-INFO",
        "Metadata-Version: 1.0\nName: torchsparse\nVersion: 2.1.0\nSummary: UNKNOWN\n");
    assert_package(SITE "torchsparse-2.1.0-py3.10-linux-x86_64.egg/torchsparse/backend" ABI,
                   "torchsparse 2.1.0");
    /* the same, zipped */
    put("home/.cache/Python-Eggs/udf_ext-0.0.0-py3.11-linux-x86_64.egg-tmp/udf_ext" ABI, "");
    assert_package("home/.cache/Python-Eggs/udf_ext-0.0.0-py3.11-linux-x86_64.egg-tmp/udf_ext" ABI,
                   "udf_ext 0.0.0");
    /* pip < 23.1 without the wheel package */
    put(SITE "diso-0.1.4-py3.10.egg-info/PKG-INFO", "Name: diso\nVersion: 0.1.4\n");
    put(SITE "diso-0.1.4-py3.10.egg-info/installed-files.txt",
        "../diso/__init__.py\n../diso/_C" ABI "\nPKG-INFO\n");
    assert_package(SITE "diso/_C" ABI, "diso 0.1.4");
    /* setup.py develop, pip install -e: the project's folder, or its src/ */
    put("proj/udf_ext.egg-info/PKG-INFO", "Metadata-Version: 2.1\nName: udf-ext\nVersion: 0.0.0\n");
    put("proj/udf_ext.egg-info/top_level.txt", "udf_ext");
    assert_package("proj/udf_ext" ABI, "udf-ext 0.0.0");
    assert_package("proj/build/udf_ext" ABI, NULL);
    put("flat/src/flash.egg-info/PKG-INFO", "Name: flash\nVersion: 1\n");
    put("flat/src/flash.egg-info/top_level.txt", "flash_2_cuda\nflash\n");
    assert_package("flat/src/flash/ops/_C" ABI, "flash 1");
    assert_package("flat/src/flash_2_cuda" ABI, "flash 1");
    assert_package("flat/src/flash_2" ABI, NULL);
}

static void conda(void **state)
{
    (void)state;
    put("conda/conda-meta/libtorch-2.5.1-cuda120_h2b0da52_302.json",
        "{\n  \"arch\": \"x86_64\",\n  \"files\": [\n    \"lib/libtorch_cuda.so\",\n"
        "    \"lib/libshm.so\"\n  ],\n  \"name\": \"libtorch\"\n}\n");
    put("conda/conda-meta/cuda-cudart_linux-64-12.4.127-h85509e4_2.json",
        "{\"files\": [\"targets/x86_64-linux/lib/libcudart.so.12.4.127\"]}");
    put("conda/conda-meta/history", "==> 2025-01-01 <==\n");
    assert_package("conda/lib/libtorch_cuda.so", "libtorch 2.5.1");
    assert_package("conda/lib/libshm.so", "libtorch 2.5.1");
    assert_package("conda/targets/x86_64-linux/lib/libcudart.so.12.4.127",
                   "cuda-cudart_linux-64 12.4.127");
    assert_package("conda/lib/libtorch_cud", NULL);
    assert_package("conda/libtorch_cuda.so", NULL);
}

static void dpkg(void **state)
{
    static const struct {
        const char *soname, *package;
    } libraries[] = {{"libc.so.6", "libc6"}, {"libcmocka.so.0", "libcmocka0"}};
    struct kgi_object object;
    char path[4096], out[192], expected[192] = "";

    (void)state;
    if (access("/var/lib/dpkg/status", R_OK) != 0)
        skip();
    for (size_t i = 0; i < KGI_COUNT(libraries); i++) {
        FILE *query;

        snprintf(path, sizeof path, "dpkg-query -W -f '%s ${Version}' %s", libraries[i].package,
                 libraries[i].package);
        query = popen(path, "r");
        assert_non_null(query);
        assert_non_null(fgets(expected, sizeof expected, query));
        pclose(query);
        assert_true(kgi_object_named(libraries[i].soname, &object));
        assert_true(kgi_object_path(&object, path, sizeof path));
        assert_true(kgi_package_of(path, out, sizeof out));
        assert_string_equal(out, expected);
    }
    assert_false(kgi_package_of("/usr/lib/libc.so.6.not", out, sizeof out));
}

/* Files are anybody's: nothing of them reaches a terminal, nothing waits or crashes. */
static void hostile(void **state)
{
    char long_path[5000];

    (void)state;
    put(SITE "evil-1.dist-info/RECORD", "evil/a.so,,\n");
    put(SITE "evil-1.dist-info/METADATA", "Name: evil\033[2J\nVersion: 1\n\n");
    assert_package(SITE "evil/a.so", "evil 1");
    put(SITE "e\033vil-1.dist-info/RECORD", "e\033vil/a.so,,\n");
    assert_package(SITE "e\033vil/a.so", NULL);
    put(SITE "late-1.dist-info/RECORD", "late/a.so,,\n");
    put(SITE "late-1.dist-info/METADATA", "Name: late\n\nVersion: 2\n"); /* no longer a header */
    assert_package(SITE "late/a.so", "late 1");
    put(SITE "empty-1.dist-info/RECORD", "");
    assert_package(SITE "empty/a.so", NULL);
    put(SITE "noversion.dist-info/RECORD", "noversion/a.so,,\n");
    assert_package(SITE "noversion/a.so", NULL);
    put(SITE "-1.dist-info/RECORD", "dash/a.so,,\n");
    put(SITE "1-.dist-info/RECORD", "dash/a.so,,\n");
    assert_package(SITE "dash/a.so", NULL);
    assert_int_equal(mkdir(at(SITE "fifo-1.dist-info"), 0755), 0);
    assert_int_equal(mkfifo(at(SITE "fifo-1.dist-info/RECORD"), 0644), 0);
    assert_int_equal(mkdir(at(SITE "dir-1.dist-info"), 0755), 0);
    assert_int_equal(mkdir(at(SITE "dir-1.dist-info/RECORD"), 0755), 0);
    assert_int_equal(mkdir(at(SITE "zero-1.dist-info"), 0755), 0);
    assert_int_equal(symlink("/dev/zero", at(SITE "zero-1.dist-info/RECORD")), 0);
    alarm(20);
    assert_package(SITE "fifo/a.so", NULL); /* reads /dev/zero too, and gives up */
    alarm(0);
    memset(long_path, 'x', sizeof long_path);
    memcpy(long_path, "/a/", 3);
    long_path[sizeof long_path - 1] = 0;
    assert_false(kgi_package_of(long_path, long_path, sizeof long_path));
    assert_false(kgi_package_of("relative.so", long_path, sizeof long_path));
    assert_false(kgi_package_of("/", long_path, sizeof long_path));
    assert_false(kgi_package_of("", long_path, sizeof long_path));
    for (size_t i = 0; i < sizeof long_path - 1; i += 100)
        long_path[i] = '/';
    assert_false(kgi_package_of(long_path, long_path, sizeof long_path));
    long_path[4095] = 0;
    assert_false(kgi_package_of(long_path, long_path, sizeof long_path));
}

/* A line is found, and no other, wherever the borders of what is read at once fall in it. */
static void across_borders(void **state)
{
    enum { SIZE = 140000, PART = 131072, KEPT = 4352 };
    static const size_t borders[] = {PART, PART - KEPT};
    static const char line[] = "\nbig/libbig.so,sha256=abc,1\n";
    static char text[SIZE];

    (void)state;
    for (size_t i = 0; i < 2 * 60; i++) {
        size_t place = borders[i / 60] - 40 + i % 60;

        memset(text, 'x', sizeof text);
        memcpy(text + place, line, sizeof line - 1);
        put_bytes(SITE "big-3.dist-info/RECORD", text, sizeof text);
        assert_package(SITE "big/libbig.so", "big 3");
        text[place + 14] = '.'; /* another file's name goes on there */
        put_bytes(SITE "big-3.dist-info/RECORD", text, sizeof text);
        assert_package(SITE "big/libbig.so", NULL);
        text[place + 14] = ',';
        text[place] = 'x'; /* no longer at a line's start */
        put_bytes(SITE "big-3.dist-info/RECORD", text, sizeof text);
        assert_package(SITE "big/libbig.so", NULL);
    }
    put(SITE "big-3.dist-info/RECORD", "big/libbig.so"); /* the file's end ends a line */
    assert_package(SITE "big/libbig.so", "big 3");
}

/* A large environment: what does not share the library's name is read last, and quickly. */
static void many(void **state)
{
    static char text[20000];
    struct timespec a, b;
    char path[200];
    double ms;

    (void)state;
    for (size_t i = 0; i + 50 <= sizeof text; i += 50)
        memcpy(text + i, "package/module_name.py,sha256=zuuue4knoyJ-UwPPXg,\n", 50);
    for (int i = 0; i < 500; i++) {
        snprintf(path, sizeof path, SITE "package%d-1.0.dist-info/RECORD", i);
        put_bytes(path, text, sizeof text);
    }
    put(SITE "other_name-7.dist-info/RECORD", "cv9/_C.so,,\n");
    assert_package(SITE "cv9/_C.so", "other_name 7");
    clock_gettime(CLOCK_MONOTONIC, &a);
    assert_package(SITE "cv9/_C.so", "other_name 7");
    assert_package(SITE "cv9/_D.so", NULL);
    clock_gettime(CLOCK_MONOTONIC, &b);
    ms = (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
    print_message("500 packages, %zu KiB of RECORD: %.1f ms a library\n", 500 * sizeof text / 1024,
                  ms / 2);
}

static void names(void **state)
{
    static const struct {
        const char *folder, *expected;
    } folders[] = {{"torch-2.5.1+cu121.dist-info", "torch 2.5.1+cu121"},
                   {"udf_ext-0.0.0-py3.11-linux-x86_64.egg", "udf_ext 0.0.0"},
                   {"diso-0.1.4-py3.10.egg-info", "diso 0.1.4"},
                   {"a-1.egg-tmp", "a 1"},
                   {"udf_ext.egg-info", NULL},
                   {"-1.dist-info", NULL},
                   {"a-.dist-info", NULL},
                   {"", NULL}};
    static const struct {
        const char *file, *expected;
    } files[] = {{"pytorch-cuda-12.1-ha16c6d3_6.json", "pytorch-cuda 12.1"},
                 {"a-1-0.json", "a 1"},
                 {"a-1.json", NULL},
                 {"a--0.json", NULL},
                 {"history", NULL},
                 {".json", NULL}};
    char out[64];

    (void)state;
    for (size_t i = 0; i < KGI_COUNT(folders); i++) {
        assert_int_equal(kgi_package_folder(folders[i].folder, out, sizeof out),
                         folders[i].expected != NULL);
        if (folders[i].expected)
            assert_string_equal(out, folders[i].expected);
    }
    for (size_t i = 0; i < KGI_COUNT(files); i++) {
        assert_int_equal(kgi_package_conda(files[i].file, out, sizeof out),
                         files[i].expected != NULL);
        if (files[i].expected)
            assert_string_equal(out, files[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(dist_info, set_up, tear_down),
        cmocka_unit_test_setup_teardown(eggs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(conda, set_up, tear_down),
        cmocka_unit_test(dpkg),
        cmocka_unit_test_setup_teardown(hostile, set_up, tear_down),
        cmocka_unit_test_setup_teardown(across_borders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many, set_up, tear_down),
        cmocka_unit_test(names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
