/*
 * Descriptors 0, 1 and 2 are closed, and a file of the program's own gets number 2: no line of
 * ours may land in it, and none of ours is left open.
 * link: -l:libcuda.so.1
 * run: KGUARD_LOG_FILE=TMP/kguard.log
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include "direct.h"

static int open_descriptors(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (directory && readdir(directory))
        count++;
    closedir(directory);
    return count;
}

int main(void)
{
    CUmodule module = NULL;
    char byte;
    int saved = dup(1), before = open_descriptors();
    start_direct();
    close(0);
    close(1);
    close(2);
    errno = 77;
    cuModuleLoadData(&module, fatbin_60_90);
    int error = errno;
    int data = open("/tmp", O_RDWR | O_TMPFILE, 0600); /* becomes 0 */
    int more = open("/tmp", O_RDWR | O_TMPFILE, 0600);
    int last = open("/tmp", O_RDWR | O_TMPFILE, 0600);
    cuModuleLoadData(&module, "neither fatbin nor ELF nor PTX");
    dup2(saved, 1);
    printf("data at %d %d %d, bytes in them %d, errno %d\n", data, more, last,
           (int)(pread(data, &byte, 1, 0) + pread(last, &byte, 1, 0)), error);
    printf("descriptors left open: %d\n", open_descriptors() - before);
    return 0;
}
