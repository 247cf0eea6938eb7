/*
 * Files, without leaving a trace in the host program: no descriptor stays, none is ever 0, 1 or 2
 * (the program's next error text would land in our file), no cancellation point is added to the
 * program's calls, and no other interposer of open() sees them.
 */
#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int kgi_fd_above_stdio(int fd)
{
    int higher;

    if (fd < 0 || fd >= 3)
        return fd;
    higher = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    kgi_close(fd);
    return higher;
}

int kgi_open(const char *path, int flags)
{
    long fd = syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC | O_NOCTTY, 0666);

    return kgi_fd_above_stdio((int)fd);
}

void kgi_close(int fd)
{
    syscall(SYS_close, fd);
}

struct kgi_bytes kgi_file_map(const char *path, size_t limit)
{
    struct kgi_bytes file = {NULL, 0};
    int saved = errno;
    /* A FIFO would wait for a writer: O_NONBLOCK. Only what can be mapped counts as a file. */
    int fd = kgi_open(path, O_RDONLY | O_NONBLOCK);

    if (fd >= 0) {
        long size = syscall(SYS_lseek, fd, 0L, SEEK_END);
        void *at = size > 0 && (size_t)size <= limit
                       ? mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0)
                       : MAP_FAILED;

        if (at != MAP_FAILED)
            file = (struct kgi_bytes){at, (size_t)size};
        kgi_close(fd);
    }
    errno = saved;
    return file;
}

void kgi_file_unmap(struct kgi_bytes file)
{
    int saved = errno;

    if (file.at)
        munmap((void *)(uintptr_t)file.at, file.size);
    errno = saved;
}

struct kgi_bytes kgi_file_read(const char *path, size_t limit)
{
    int saved = errno, fd = kgi_open(path, O_RDONLY | O_NONBLOCK);
    long size = fd >= 0 ? syscall(SYS_lseek, fd, 0L, SEEK_END) : 0, have = 0, n = 0;
    uint8_t *at = size > 0 && (size_t)size <= limit ? kgi_pages_get((size_t)size + 1) : NULL;

    while (at && have < size &&
           ((n = syscall(SYS_pread64, fd, at + have, size - have, have)) > 0 ||
            (n < 0 && errno == EINTR)))
        have += n > 0 ? n : 0;
    if (fd >= 0)
        kgi_close(fd);
    if (at && have < size) {
        kgi_pages_put(at, (size_t)size + 1);
        at = NULL;
    }
    errno = saved;
    return (struct kgi_bytes){at, at ? (size_t)size : 0};
}
