/*
 * What the command's reader finds in one file, one line per piece of code, for a comparison with
 * another reader: place of the fatbin, registered (r) or not (-), kind, target, version, packing,
 * traits, and the mangled names of its kernels.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <fcntl.h>

#include "cli/cli.h"

static ssize_t read_fd(void *context, void *to, size_t size)
{
    ssize_t n = read(*(int *)context, to, size);

    return n < 0 ? -errno : n;
}

static ssize_t read_at(void *context, void *to, size_t size, uint64_t offset)
{
    ssize_t n = pread(*(int *)context, to, size, (off_t)offset);

    return n < 0 ? -errno : n;
}

static void print_code(const struct kgi_found *found, size_t i)
{
    const struct kgi_code *code = &found->codes[i];
    char target[20];

    printf("%llu %c %u %s %u.%u %u %x", (unsigned long long)found->place,
           found->registered ? 'r' : '-', code->kind,
           kgi_target_name(code->target, "", target, sizeof target), code->major, code->minor,
           code->packing, code->traits);
    for (int k = 0; found->kernels && k < code->kernels; k++)
        printf(" %s", found->kernels[i][k].name);
    putchar('\n');
}

int main(int argc, char **argv)
{
    int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
    struct kgi_stream stream = {.read = read_fd, .context = &fd, .read_at = read_at};
    struct kgi_file file;

    if (fd < 0 || kgi_scan_stream(argv[1], (struct kgi_bytes){NULL, 0}, &stream, true, &file) < 0)
        return 2;
    for (size_t i = 0; i < file.found_count; i++)
        for (size_t k = 0; k < file.found[i].count; k++)
            print_code(&file.found[i], k);
    if (file.error)
        fprintf(stderr, "%s: %s\n", argv[1], file.error);
    return file.error ? 1 : 0;
}
