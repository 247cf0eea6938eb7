/*
 * Any bytes as a file of the walk: archives, images, and what lies in them. Twice: as a stream, and
 * as a file that can seek, for which a zip's directory and a saved image's layers are found another
 * way.
 */
#include "exercise.h"
#include "cli/walk.h"

#include <sys/mman.h>
#include <unistd.h>

struct met {
    size_t files, errors, bytes;
    size_t limit;
};

static int on_file(void *context, const char *path, const char *inner, struct kgi_bytes start,
                   struct kgi_stream *stream, uint64_t size)
{
    static char buffer[10000];
    struct met *met = context;
    ssize_t n;

    (void)size;
    PROMISE(start.size > 0 && start.size <= KGI_START && path && inner);
    PROMISE(kgi_archive_form(start) == KGI_NO_ARCHIVE);
    met->files++;
    met->bytes += start.size;
    while ((n = stream->read(stream->context, buffer, sizeof buffer)) > 0 &&
           met->bytes < met->limit)
        met->bytes += (size_t)n;
    PROMISE(n <= (ssize_t)sizeof buffer);
    return met->bytes < met->limit ? 0 : 77; /* the fuzzer's time is better spent */
}

static void on_error(void *context, const char *path, const char *text)
{
    PROMISE(path && *text);
    ((struct met *)context)->errors++;
}

static void on_hidden(void *context, const char *path)
{
    struct met *met = context;

    PROMISE(strchr(path, '!') && met->files > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];
    struct met met = {.limit = 1 << 20};
    struct kgi_visitor visitor = {
        .file = on_file, .error = on_error, .hidden = on_hidden, .context = &met};
    struct feed feed = {data, size};
    struct kgi_stream stream = {.read = on_read, .context = &feed};
    int result = kgi_walk_stream("-", &stream, &visitor);

    PROMISE(result == 0 || result == 77);
    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    PROMISE(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    met.bytes = 0;
    result = kgi_walk(path, &visitor);
    PROMISE(result == 0 || result == 77);
    return 0;
}
