/* The command's engine: a whole file as a stream that cuts its bytes where the data says, with kernels
 * or without, and the file's verdict. */
#include <stdint.h>
#include <stdlib.h>
#include "cli/cli.h"

struct source {
    struct kgi_bytes bytes;
    size_t at, chunk;
};

static ssize_t read_source(void *context, void *to, size_t size)
{
    struct source *s = context;
    size_t left = s->bytes.size - s->at, n = size < left ? size : left;

    n = n < s->chunk ? n : s->chunk;
    memcpy(to, s->bytes.at + s->at, n);
    s->at += n;
    return (ssize_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t how = size ? data[size - 1] : 0; /* a file's last byte says nothing of it */
    struct source source = {{data, size}, 0, how & 2 ? 37 : SIZE_MAX};
    struct kgi_stream stream = {.read = read_source, .context = &source};
    struct kgi_host host = {.gpu = {90, 0}};
    struct kgi_file_verdict verdict;
    struct kgi_file file;

    if (kgi_scan_stream("f", (struct kgi_bytes){NULL, 0}, &stream, how & 1, &file) == 0) {
        kgi_file_judge(&file, &host, &verdict);
        if (file.size != size)
            abort();
    }
    kgi_file_free(&file);
    return 0;
}
