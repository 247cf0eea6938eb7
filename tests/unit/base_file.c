/* Files leave no trace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"

static void maps(void **state)
{
    char name[] = "/tmp/kguard-file-XXXXXX";
    int fd = mkstemp(name), next;
    struct kgi_bytes file;

    (void)state;
    assert_int_equal(write(fd, "hello", 5), 5);
    close(fd);
    errno = 77;
    file = kgi_file_map(name, 5);
    assert_int_equal(file.size, 5);
    assert_memory_equal(file.at, "hello", 5);
    kgi_file_unmap(file);
    assert_null(kgi_file_map(name, 4).at);
    assert_int_equal(truncate(name, 0), 0);
    assert_null(kgi_file_map(name, 100).at);
    unlink(name);
    assert_null(kgi_file_map(name, 100).at);
    assert_int_equal(errno, 77);
    next = open("/dev/null", O_RDONLY);
    assert_int_equal(next, fd); /* the number is free again */
    close(next);
}

/* What was read stays what it was. */
static void reads(void **state)
{
    char name[] = "/tmp/kguard-file-XXXXXX";
    int fd = mkstemp(name), next;
    struct kgi_bytes file;

    (void)state;
    assert_int_equal(write(fd, "hello", 5), 5);
    close(fd);
    errno = 77;
    file = kgi_file_read(name, 5);
    assert_int_equal(truncate(name, 0), 0);
    assert_int_equal(file.size, 5);
    assert_memory_equal(file.at, "hello", 6);
    kgi_pages_put((void *)(uintptr_t)file.at, file.size + 1);
    assert_null(kgi_file_read(name, 5).at);
    assert_int_equal(truncate(name, 6), 0);
    assert_null(kgi_file_read(name, 5).at);
    unlink(name);
    assert_null(kgi_file_read(name, 5).at);
    assert_null(kgi_file_read("/tmp", SIZE_MAX / 4).at);
    assert_int_equal(errno, 77);
    next = open("/dev/null", O_RDONLY);
    assert_int_equal(next, fd);
    close(next);
}

static void only_files(void **state)
{
    char name[64];

    (void)state;
    assert_null(kgi_file_map("/tmp", 1 << 20).at);
    assert_null(kgi_file_map("/dev/zero", 1 << 20).at);
    snprintf(name, sizeof name, "/tmp/kguard-fifo-%d", (int)getpid());
    assert_int_equal(mkfifo(name, 0600), 0);
    alarm(20);
    assert_null(kgi_file_map(name, 1 << 20).at); /* does not wait for a writer */
    alarm(0);
    unlink(name);
}

static void above_stdio(void **state)
{
    int status = 0;
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        int fd;

        close(0);
        close(1);
        close(2);
        fd = kgi_open("/dev/null", O_RDONLY);
        if (fd < 3 || !(fcntl(fd, F_GETFD) & FD_CLOEXEC))
            _exit(1);
        for (int i = 0; i < 3; i++)
            if (fcntl(i, F_GETFD) >= 0)
                _exit(2);
        kgi_close(fd);
        _exit(fcntl(fd, F_GETFD) < 0 && kgi_fd_above_stdio(-1) == -1 ? 0 : 3);
    }
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps), cmocka_unit_test(reads),
        cmocka_unit_test(only_files),
        cmocka_unit_test(above_stdio),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
