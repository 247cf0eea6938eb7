/* Output must be harmless wherever it leads. Each case in a child: settings are read once, and most
 * cases break the child's descriptors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"

static char path[64];

/* The child's exit status, or 256 + the signal that ended it. */
static int in_child(int (*check)(void))
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        alarm(20); /* what waits for ever is a failure */
        _exit(check());
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static void write_line(void)
{
    kgi_log_write("line\n", 5);
}

static int size_of(const char *file)
{
    struct stat s;

    return stat(file, &s) ? -1 : (int)s.st_size;
}

static int descriptors(void)
{
    int n = 0;

    for (int fd = 0; fd < 64; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* ---- to standard error ---- */

static int closed_pipe(void)
{
    int ends[2];
    sigset_t pending;

    if (pipe(ends) || dup2(ends[1], 2) != 2)
        return 10;
    close(ends[0]);
    errno = 77;
    write_line();
    if (errno != 77)
        return 11;
    sigpending(&pending);
    return sigismember(&pending, SIGPIPE) ? 12 : 0;
}

static int pending_stays(void)
{
    sigset_t set;
    int ends[2];

    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGPIPE); /* the program's own */
    if (pipe(ends) || dup2(ends[1], 2) != 2)
        return 10;
    close(ends[0]);
    write_line();
    sigpending(&set);
    if (!sigismember(&set, SIGPIPE))
        return 11;
    sigprocmask(SIG_SETMASK, NULL, &set);
    return sigismember(&set, SIGPIPE) ? 0 : 12;
}

static int mask_stays(void)
{
    sigset_t before, after;

    sigemptyset(&before);
    sigaddset(&before, SIGUSR1);
    sigprocmask(SIG_SETMASK, &before, NULL);
    dup2(open("/dev/null", O_WRONLY), 2);
    write_line();
    sigprocmask(SIG_SETMASK, NULL, &after);
    for (int i = 1; i < 32; i++)
        if (sigismember(&after, i) != (i == SIGUSR1))
            return i;
    return 0;
}

static int full_device(void)
{
    if (dup2(open("/dev/full", O_WRONLY), 2) != 2)
        return 10;
    errno = 77;
    write_line();
    return errno == 77 ? 0 : 11;
}

static int no_descriptor_two(void)
{
    int n;

    close(2);
    n = descriptors();
    errno = 77;
    write_line();
    return errno == 77 && descriptors() == n ? 0 : 11;
}

static void standard_error(void **state)
{
    (void)state;
    unsetenv("KGUARD_LOG_FILE");
    assert_int_equal(in_child(closed_pipe), 0);
    assert_int_equal(in_child(pending_stays), 0);
    assert_int_equal(in_child(mask_stays), 0);
    assert_int_equal(in_child(full_device), 0);
    assert_int_equal(in_child(no_descriptor_two), 0);
}

/* ---- to a file ---- */

static int closed; /* bit i: descriptor i is closed before */

static int few_descriptors(void)
{
    int n;

    for (int i = 0; i < 3; i++)
        if (closed & 1 << i)
            close(i);
    n = descriptors();
    write_line();
    write_line();
    if (descriptors() != n)
        return 10;
    for (int i = 0; i < 3; i++) /* none of ours came to lie there */
        if (closed & 1 << i && fcntl(i, F_GETFD) >= 0)
            return 11;
    return size_of(path) == 10 ? 0 : 12;
}

static void closed_matrix(void **state)
{
    (void)state;
    setenv("KGUARD_LOG_FILE", path, 1);
    for (closed = 0; closed < 8; closed++) {
        unlink(path);
        assert_int_equal(in_child(few_descriptors), 0);
    }
}

static int file_size_limit(void)
{
    struct rlimit none = {0, 0};
    sigset_t pending;

    setrlimit(RLIMIT_FSIZE, &none);
    errno = 77;
    write_line();
    sigpending(&pending);
    return errno == 77 && !sigismember(&pending, SIGXFSZ) ? 0 : 10;
}

static int descriptor_limit(void)
{
    for (rlim_t most = 6; most >= 1; most--) {
        struct rlimit few = {most, most};

        setrlimit(RLIMIT_NOFILE, &few);
        errno = 77;
        write_line();
        if (errno != 77)
            return (int)most;
    }
    return 0;
}

static int unwritable_places(void)
{
    errno = 77;
    write_line();
    return errno == 77 ? 0 : 10;
}

static void file_troubles(void **state)
{
    char fifo[80];

    (void)state;
    unlink(path);
    setenv("KGUARD_LOG_FILE", path, 1);
    assert_int_equal(in_child(file_size_limit), 0);
    assert_int_equal(in_child(descriptor_limit), 0);
    setenv("KGUARD_LOG_FILE", "/nowhere/at/all", 1);
    assert_int_equal(in_child(unwritable_places), 0);
    setenv("KGUARD_LOG_FILE", "/tmp", 1);
    assert_int_equal(in_child(unwritable_places), 0);
    snprintf(fifo, sizeof fifo, "%s.fifo", path);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    setenv("KGUARD_LOG_FILE", fifo, 1);
    assert_int_equal(in_child(unwritable_places), 0); /* nobody reads: no waiting */
    unlink(fifo);
}

static int names_file(void)
{
    char expected[256], host[65] = "";

    gethostname(host, sizeof host - 1);
    write_line();
    snprintf(expected, sizeof expected, "%s.%d.%s.%%x", path, (int)getpid(), host);
    if (size_of(expected) != 5)
        return 10;
    unlink(expected);
    return 0;
}

static void expansion(void **state)
{
    char template[80];

    (void)state;
    snprintf(template, sizeof template, "%s.%%p.%%h.%%%%x", path);
    setenv("KGUARD_LOG_FILE", template, 1);
    assert_int_equal(in_child(names_file), 0);
}

/* ---- levels and lines ---- */

static int read_file(char *out, size_t size)
{
    int fd = open(path, O_RDONLY), n = fd < 0 ? 0 : (int)read(fd, out, size - 1);

    out[n] = 0;
    close(fd);
    unlink(path);
    return n;
}

static int lines(void)
{
    char got[4096], want[128], *long_text = malloc(5000);

    kgi_log(KGI_INFO, "not at this level");
    if (read_file(got, sizeof got))
        return 10;
    kgi_log(KGI_WARN, "%s is %d\n", "x\033", 7);
    read_file(got, sizeof got);
    snprintf(want, sizeof want, "kguard[%d]: x\\x1b is 7\\x0a\n", (int)getpid());
    if (strcmp(got, want))
        return 11;
    memset(long_text, 'y', 4999);
    long_text[4999] = 0;
    kgi_log(KGI_ERROR, "%s", long_text);
    read_file(got, sizeof got);
    memset(long_text, '\033', 4999);
    kgi_log(KGI_ERROR, "%s", long_text);
    free(long_text);
    if (strchr(got, '\n') != got + strlen(got) - 1)
        return 12;
    read_file(got, sizeof got);
    return strchr(got, '\n') == got + strlen(got) - 1 ? 0 : 13;
}

static int nothing(void)
{
    char got[64];

    kgi_log(KGI_ERROR, "hello");
    return kgi_log_enabled(KGI_ERROR) || read_file(got, sizeof got) ? 10 : 0;
}

static void levels(void **state)
{
    (void)state;
    unlink(path);
    setenv("KGUARD_LOG_FILE", path, 1);
    assert_int_equal(in_child(lines), 0);
    setenv("KGUARD_LOG", "off", 1);
    assert_int_equal(in_child(nothing), 0);
    unsetenv("KGUARD_LOG");
    setenv("KGUARD", "0", 1);
    assert_int_equal(in_child(nothing), 0);
    unsetenv("KGUARD");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standard_error), cmocka_unit_test(closed_matrix),
        cmocka_unit_test(file_troubles),  cmocka_unit_test(expansion),
        cmocka_unit_test(levels),
    };
    int failed;

    snprintf(path, sizeof path, "/tmp/kguard-log-%d", (int)getpid());
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
