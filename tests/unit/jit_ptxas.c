/* A ptxas in a child: what it may do to the process that asked, which is nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jit/jit.h"

static char folder[] = "/tmp/kguard-ptxas.XXXXXX";
static volatile sig_atomic_t children;

static void on_child(int signal)
{
    (void)signal;
    children++;
}

static const char *script(const char *body)
{
    static char path[64];
    FILE *f;

    snprintf(path, sizeof path, "%s/ptxas", folder);
    f = fopen(path, "w");
    fprintf(f, "#!/bin/sh\n%s\n", body);
    fclose(f);
    chmod(path, 0755);
    return path;
}

static size_t descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    size_t n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* Compiles the scenarios' PTX for sm_120; what a program may notice stays as it was. */
static struct kgi_compiled compile_file(const char *path, const char *ptxas, int timeout_ms)
{
    struct kgi_bytes image = kgi_file_map(path, SIZE_MAX);
    struct kgi_host host = {.gpu = {120, 0}, .cuda_version = 13000};
    struct kgi_jit_settings limit = {.count = 2, .id = {0, 14}, .value = {24, 1}};
    struct kgi_compiled out = {.result = 0};
    struct kgi_verdict verdict;
    struct kgi_source s;
    size_t before = descriptors();

    children = 0;
    assert_int_equal(kgi_source_of(image, &host, &limit, &s, &verdict), 0);
    kgi_compile_by_ptxas(ptxas, &s, timeout_ms, &out);
    assert_int_equal(descriptors(), before);
    assert_int_equal(children, 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    kgi_file_unmap(image);
    return out;
}

static struct kgi_compiled compile(const char *ptxas, int timeout_ms)
{
    return compile_file("tests/scenarios/jit/voxelize.compute_80.fatbin", ptxas, timeout_ms);
}

/* What a build told ptxas is told to this one too, but for what names a file. */
static void stored_options(void **state)
{
    static const char *const rows[][2] = {
        {"tests/scenarios/jit/voxelize.options.fatbin", "-v -O2 -allow-expensive-optimizations=true"},
        {"tests/scenarios/jit/voxelize.solver.fatbin", "-uumn --register-usage-level=3"},
    };
    struct kgi_compiled c;
    char body[400];

    (void)state;
    for (size_t i = 0; i < KGI_COUNT(rows); i++) {
        snprintf(body, sizeof body,
                 "case \"$*\" in *' %s '*) ;; *) exit 9; esac\n"
                 "while [ \"$1\" != -o ]; do shift; done\n"
                 "exec /bin/cat tests/scenarios/jit/voxelize.sm_120.cubin >\"$2\"", rows[i][1]);
        c = compile_file(rows[i][0], script(body), 20000);
        assert_int_equal(c.result, 0);
        kgi_pages_put((void *)(uintptr_t)c.cubin.at, c.room);
    }
    c = compile_file("tests/scenarios/jit/voxelize.file.fatbin", script("echo started; exit 1"), 20000);
    assert_string_equal(c.log, "it was not asked: options that only the driver knows: -optf=/tmp/options");
}

static void good(void **state)
{
    struct kgi_compiled c = compile(
        script("[ \"$2 $3 $4\" = '-m64 -maxrregcount=24 -dlcm=cg' ] || exit 9\n"
               "while [ \"$1\" != -o ]; do shift; done\n"
               "exec /bin/cat tests/scenarios/jit/voxelize.sm_120.cubin >\"$2\""), 20000);

    (void)state;
    assert_int_equal(c.result, 0);
    assert_false(c.failed);
    assert_int_equal(c.cubin.size, 5488);
    kgi_pages_put((void *)(uintptr_t)c.cubin.at, c.room);
}

static void bad(void **state)
{
    static const struct {
        const char *body, *log;
        int timeout_ms;
        bool failed; /* of no use to try again */
    } rows[] = {
        {"echo 'ptxas fatal: no' >&2; exit 255", "ptxas fatal: no", 20000, true},
        {"kill -SEGV $$", "signal 11", 20000, true},
        {"kill -KILL $PPID; exec sleep 100", "could not be started", 20000, false},
        {"exec sleep 100", "too long", 300, true},
        {"trap '' TERM INT HUP; while :; do :; done", "too long", 300, true},
        {"exit 0", "made nothing", 20000, true},
        {"echo not a cubin >/proc/self/fd/4; while [ \"$1\" != -o ]; do shift; done; echo no >$2",
         "no executable cubin", 20000, true},
        {"while [ \"$1\" != -o ]; do shift; done; cat tests/fixtures/cubin_80.cubin >$2",
         "another GPU", 20000, true},
        {"while [ \"$1\" != -o ]; do shift; done; cat tests/scenarios/jit/other.sm_120.cubin >$2",
         "missing", 20000, true},
        {"while [ \"$1\" != -o ]; do shift; done; head -c 300000000 /dev/zero >$2; exit 0",
         "", 20000, true},
    };

    (void)state;
    for (size_t i = 0; i < KGI_COUNT(rows); i++) {
        struct kgi_compiled c = compile(script(rows[i].body), rows[i].timeout_ms);

        if (c.cubin.at || !c.result || c.failed != rows[i].failed || !strstr(c.log, rows[i].log))
            fail_msg("%s: %d %d %s", rows[i].body, c.result, c.failed, c.log);
    }
    assert_false(compile("/no/such/ptxas", 20000).failed);
}

static void version(void **state)
{
    struct kgi_compiler by;

    (void)state;
    assert_true(kgi_ptxas_version("tests/scenarios/jit/ptxas", &by));
    assert_int_equal(by.kind, KGI_BY_PTXAS);
    assert_int_equal(by.cuda_version, 13000);
    assert_string_equal(by.build, "V13.0.88 cuda_13.0.r13.0/compiler.36424714_0");
    assert_true(kgi_ptxas_version(
        script("echo 'Cuda compilation tools, release 11.8, V11.8.89'"), &by));
    assert_int_equal(by.cuda_version, 11080);
    assert_string_equal(by.build, "V11.8.89");
    assert_false(kgi_ptxas_version("/bin/true", &by));
    assert_false(kgi_ptxas_version("/no/such/ptxas", &by));
    assert_false(kgi_ptxas_version(script("kill -SEGV $$"), &by));
}

static int prepare(void **state)
{
    (void)state;
    signal(SIGCHLD, on_child);
    return mkdtemp(folder) ? 0 : -1;
}

static int clean(void **state)
{
    char path[64];

    (void)state;
    snprintf(path, sizeof path, "%s/ptxas", folder);
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good), cmocka_unit_test(stored_options), cmocka_unit_test(bad),
                                       cmocka_unit_test(version)};

    return cmocka_run_group_tests(tests, prepare, clean);
}
