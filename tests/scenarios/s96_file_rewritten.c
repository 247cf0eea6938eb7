/*
 * A module's file is emptied as soon as anybody has mapped it: the library reads it, and outlives that.
 * link: -l:libcuda.so.1
 * run: TMP/cache
 * unsanitized: TSan starts with a call of the function that the program has here
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "direct.h"

static int image_fd;
static struct stat image;

/* The library's calls too: a program's own function goes before libc's. */
void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    void *p = (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);

    struct stat mapped;
    if (fd >= 0 && fstat(fd, &mapped) == 0 && mapped.st_ino == image.st_ino &&
        mapped.st_dev == image.st_dev)
        printf("emptied: %d\n", ftruncate(image_fd, 0));
    return p;
}

int main(int argc, char **argv)
{
    size_t size = fatbin_60_90_end - fatbin_60_90;
    CUmodule module = NULL;
    char path[512];

    (void)argc;
    start_direct();
    mkdir(argv[1], 0700);
    snprintf(path, sizeof path, "%s/image", argv[1]);
    image_fd = open(path, O_WRONLY | O_CREAT, 0600);
    printf("written: %d\n", write(image_fd, fatbin_60_90, size) == (ssize_t)size);
    fstat(image_fd, &image);
    CALL(cuModuleLoad, &module, path);
    remove(path);
    return 0;
}
