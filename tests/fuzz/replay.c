/*
 * Feeds every file of the directories given to one fuzz target, without a fuzzer: replay_TARGET DIR...
 * Each file is copied to memory that ends at an unreadable page.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int feed(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    size_t page = 4096, size = (size_t)end, room = (size + page - 1) / page * page;

    if (end < 0) {
        perror(path);
        return 1;
    }
    uint8_t *at = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED || mprotect(at + room, page, PROT_NONE) ||
        pread(fd, at + room - size, size, 0) != end) {
        perror(path);
        return 1;
    }
    LLVMFuzzerTestOneInput(at + room - size, size);
    munmap(at, room + page);
    close(fd);
    return 0;
}

int main(int count, char **arguments)
{
    int files = 0, failed = 0;

    for (int i = 1; i < count; i++) {
        DIR *directory = opendir(arguments[i]);
        struct dirent *entry;
        char path[1024];
        if (!directory) {
            perror(arguments[i]);
            return 1;
        }
        while ((entry = readdir(directory))) {
            if (entry->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", arguments[i], entry->d_name);
            failed |= feed(path);
            files++;
        }
        closedir(directory);
    }
    printf("%s: %d files\n", strrchr(arguments[0], '/') ? strrchr(arguments[0], '/') + 1 : arguments[0],
           files);
    return failed || files == 0;
}
