/* What the tests of the code room share: fixtures in memory, ended by a page that cannot be read, so
 * that a read past the end is seen with and without a sanitizer. */
#ifndef KGI_CODE_FIXTURE_H
#define KGI_CODE_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "code/code.h"

#define FIXTURES "tests/fixtures/"

/* size bytes that end right before an unreadable page. */
static inline uint8_t *guarded(size_t size)
{
    size_t page = 4096, room = (size + page - 1) / page * page;
    uint8_t *at = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(at != MAP_FAILED);
    assert_int_equal(mprotect(at + room, page, PROT_NONE), 0);
    return at + room - size;
}

static inline struct kgi_bytes fixture(const char *name)
{
    char path[300];

    snprintf(path, sizeof path, FIXTURES "%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail_msg("%s: cannot be opened", path);
    size_t size = (size_t)lseek(fd, 0, SEEK_END);
    uint8_t *at = guarded(size);
    assert_int_equal(pread(fd, at, size, 0), size);
    close(fd);
    return (struct kgi_bytes){at, size};
}

static inline struct kgi_bytes text_bytes(const char *text)
{
    size_t size = strlen(text);

    return (struct kgi_bytes){memcpy(guarded(size), text, size), size};
}

/* The codes of an image that must be whole. */
static inline size_t codes_of(struct kgi_bytes image, struct kgi_code *codes, size_t room)
{
    size_t count = 99;
    uint64_t broken = 99;

    assert_int_equal(kgi_image_codes(image, codes, room, &count, &broken), 0);
    return count;
}

static inline int inspect(struct kgi_code *code)
{
    void *scratch = malloc(code->size + 1);
    int result = kgi_code_inspect(code, scratch, code->size);

    free(scratch);
    return result;
}

#endif
