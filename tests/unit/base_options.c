/* Settings: each case in a child, because they are read once in a process's life. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"

/* Runs check in a child with one variable set; the child's answer is its exit status. */
static bool in_child(const char *name, const char *value, bool (*check)(void))
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        for (size_t i = 0; i < kgi_option_row_count; i++)
            unsetenv(kgi_option_rows[i].name);
        unsetenv("XDG_CACHE_HOME");
        setenv("HOME", "/home/x", 1);
        if (name)
            setenv(name, value, 1);
        _exit(check() ? 0 : 1);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool are_defaults(void)
{
    const struct kgi_options *o = kgi_options();

    return !o->off && o->log == KGI_WARN && !o->json && !o->abort_on_error && o->error_text && !o->log_file[0] &&
           !o->target[0] && o->jit == KGI_JIT_OFF && !o->jit_only[0] && !o->ptxas[0] &&
           !strcmp(o->cache_dir, "/home/x/.cache/kguard") && !o->cache_ro[0] &&
           o->cache_max == (uint64_t)2 << 30;
}

static bool defaults_silently(void)
{
    return are_defaults() && !kgi_options_complaint(0);
}

static bool defaults_with_complaint(void)
{
    return are_defaults() && kgi_options_complaint(0) && !kgi_options_complaint(1);
}

static bool is_off(void)
{
    return kgi_options()->off;
}

static bool is_info(void)
{
    return kgi_options()->log == KGI_INFO;
}

static bool is_silent(void)
{
    return kgi_options()->log == KGI_OFF && !kgi_options()->off;
}

static bool is_json(void)
{
    return kgi_options()->json;
}

static bool has_plain_texts(void)
{
    return !kgi_options()->error_text;
}

static bool is_abort(void)
{
    return kgi_options()->abort_on_error;
}

static bool is_forced(void)
{
    return kgi_options()->jit == KGI_JIT_FORCE;
}

static bool has_globs(void)
{
    return !strcmp(kgi_options()->jit_only, "libfoo*:*/bar.so");
}

static bool has_ptxas(void)
{
    return !strcmp(kgi_options()->ptxas, "/usr/bin/ptxas");
}

static bool has_file(void)
{
    return !strcmp(kgi_options()->log_file, "/tmp/%p.log");
}

static bool has_target(void)
{
    return !strcmp(kgi_options()->target, "sm_120");
}

static bool has_cache(void)
{
    return !strcmp(kgi_options()->cache_dir, "/c") && !kgi_options_complaint(0);
}

static bool has_xdg_cache(void)
{
    return !strcmp(kgi_options()->cache_dir, "/xdg/kguard") && !kgi_options_complaint(0);
}

static bool has_no_cache(void)
{
    return !kgi_options()->cache_dir[0] && !kgi_options_complaint(0);
}

static bool has_tiers(void)
{
    return !strcmp(kgi_options()->cache_ro, "/a:/b");
}

static bool has_1k(void)
{
    return kgi_options()->cache_max == 1024 && !kgi_options_complaint(0);
}

static bool has_3t(void)
{
    return kgi_options()->cache_max == (uint64_t)3 << 40 && !kgi_options_complaint(0);
}

static bool has_no_bound(void)
{
    return kgi_options()->cache_max == 0 && !kgi_options_complaint(0);
}

static void values(void **state)
{
    static const struct {
        const char *name, *value;
        bool (*check)(void);
    } rows[] = {
        {NULL, NULL, defaults_silently},
        {"KGUARD", "0", is_off},
        {"KGUARD", "off", is_off},
        {"KGUARD", "1", defaults_silently},
        {"KGUARD", "", defaults_silently},
        {"KGUARD_LOG", "info", is_info},
        {"KGUARD_LOG", "off", is_silent},
        {"KGUARD_LOG_FORMAT", "json", is_json},
        {"KGUARD_LOG_FILE", "/tmp/%p.log", has_file},
        {"KGUARD_TARGET", "sm_120", has_target},
        {"KGUARD_ON_ERROR", "abort", is_abort},
        {"KGUARD_ERROR_TEXT", "0", has_plain_texts},
        {"KGUARD_JIT", "force", is_forced},
        {"KGUARD_JIT", "off", defaults_silently},
        {"KGUARD_JIT", "yes", defaults_with_complaint},
        {"KGUARD_JIT_ONLY", "libfoo*:*/bar.so", has_globs},
        {"KGUARD_PTXAS", "/usr/bin/ptxas", has_ptxas},
        {"KGUARD_CACHE_DIR", "/c", has_cache},
        {"KGUARD_CACHE_DIR", "c", defaults_with_complaint},
        {"XDG_CACHE_HOME", "/xdg", has_xdg_cache},
        {"XDG_CACHE_HOME", "xdg", defaults_silently},
        {"XDG_CACHE_HOME", "", defaults_silently},
        {"HOME", "", has_no_cache},
        {"HOME", ".", has_no_cache},
        {"KGUARD_CACHE_RO", "/a:/b", has_tiers},
        {"KGUARD_CACHE_MAX_SIZE", "1024", has_1k},
        {"KGUARD_CACHE_MAX_SIZE", "1k", has_1k},
        {"KGUARD_CACHE_MAX_SIZE", "3T", has_3t},
        {"KGUARD_CACHE_MAX_SIZE", "0", has_no_bound},
        {"KGUARD_CACHE_MAX_SIZE", "abc", defaults_with_complaint},
        {"KGUARD_CACHE_MAX_SIZE", "G", defaults_with_complaint},
        {"KGUARD_CACHE_MAX_SIZE", "-1", defaults_with_complaint},
        {"KGUARD_CACHE_MAX_SIZE", "1Gi", defaults_with_complaint},
        {"KGUARD_CACHE_MAX_SIZE", "99999999999999999999", defaults_with_complaint},
        {"KGUARD_CACHE_MAX_SIZE", "99999999999T", defaults_with_complaint},
        {"KGUARD", "maybe", defaults_with_complaint},
        {"KGUARD_LOG", "loud", defaults_with_complaint},
        {"KGUARD_LOG", "error|warn", defaults_with_complaint},
        {"KGUARD_LOG", "INFO", defaults_with_complaint},
        {"KGUARD_LOG", "|", defaults_with_complaint},
        {"KGUARD_LOG_FORMAT", "xml", defaults_with_complaint},
        {"KGUARD_ON_ERROR", "\033[2J", defaults_with_complaint},
        {"KGUARD_TARGET", "sm_120_and_far_too_long", defaults_with_complaint},
    };

    (void)state;
    for (size_t i = 0; i < KGI_COUNT(rows); i++)
        if (!in_child(rows[i].name, rows[i].value, rows[i].check))
            fail_msg("%s=%s", rows[i].name, rows[i].value);
}

static void very_long_value(void **state)
{
    char *value = malloc(100001);

    (void)state;
    memset(value, 'x', 100000);
    value[100000] = 0;
    for (size_t i = 0; i < kgi_option_row_count; i++)
        assert_true(in_child(kgi_option_rows[i].name, value, defaults_with_complaint));
    free(value);
}

static bool complains_in_words(void)
{
    const char *text = kgi_options_complaint(0);

    return text && !strcmp(text, "KGUARD_LOG=lo\\x0aud: not one of off|error|warn|info|debug");
}

static void complaint(void **state)
{
    (void)state;
    assert_true(in_child("KGUARD_LOG", "lo\nud", complains_in_words));
}

static bool survives_a_cleared_environment(void)
{
    if (kgi_options()->log != KGI_INFO)
        return false;
    clearenv();
    setenv("KGUARD", "0", 1);
    return kgi_options()->log == KGI_INFO && !kgi_options()->off;
}

static void read_once(void **state)
{
    (void)state;
    assert_true(in_child("KGUARD_LOG", "info", survives_a_cleared_environment));
}

static void *first_reader(void *start)
{
    pthread_barrier_wait(start);
    return (void *)(uintptr_t)kgi_options();
}

static bool same_for_all_threads(void)
{
    pthread_t threads[8];
    pthread_barrier_t start;
    void *seen[8];

    pthread_barrier_init(&start, NULL, 8);
    for (int i = 0; i < 8; i++)
        if (pthread_create(&threads[i], NULL, first_reader, &start))
            return false;
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], &seen[i]);
    for (int i = 0; i < 8; i++)
        if (seen[i] != seen[0])
            return false;
    return kgi_options()->log == KGI_INFO;
}

static void first_readers(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        assert_true(in_child("KGUARD_LOG", "info", same_for_all_threads));
}

/* Called as "base_options --off?" by the next test, set-uid. */
static int answer(void)
{
    return kgi_options()->off ? 0 : 1;
}

static int run_as_nobody(const char *path)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        if (setgid(65534) || setuid(65534))
            _exit(99);
        execl(path, path, "--off?", (char *)NULL);
        _exit(98);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void set_id_process(void **state)
{
    char path[] = "/tmp/kguard-options-XXXXXX", command[128];
    int fd, plain, set_id;

    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip();
#endif
    if (geteuid() != 0)
        skip();
    fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    snprintf(command, sizeof command, "cp /proc/%d/exe %s", (int)getpid(), path);
    assert_int_equal(system(command), 0);
    chmod(path, 0755);
    plain = run_as_nobody(path);
    chmod(path, 04755);
    set_id = run_as_nobody(path);
    unlink(path);
    assert_int_equal(plain, 1);
    assert_int_equal(set_id, 0);
}

static void rows_are_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < kgi_option_row_count; i++) {
        assert_int_equal(strncmp(kgi_option_rows[i].name, "KGUARD", 6), 0);
        assert_true(kgi_option_rows[i].help[0] && kgi_option_rows[i].values[0]);
        assert_non_null(kgi_option_rows[i].fallback);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),        cmocka_unit_test(very_long_value),
        cmocka_unit_test(complaint),     cmocka_unit_test(read_once),
        cmocka_unit_test(first_readers), cmocka_unit_test(set_id_process),
        cmocka_unit_test(rows_are_whole),
    };

    if (argc == 2 && !strcmp(argv[1], "--off?"))
        return answer();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
