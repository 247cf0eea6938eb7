/*
 * Truncated, bit-flipped and lying images go to the driver untouched, and what could be read of
 * them is reported. Each lies at the end of a page before an unmapped one: a byte read too far
 * ends the program.
 * link: -l:libcuda.so.1
 */
#include <sys/mman.h>
#include "direct.h"

static void *at_page_end(const void *bytes, size_t size)
{
    size_t page = 4096, whole = (size + page - 1) / page * page;
    char *map =
        mmap(NULL, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(map + whole, page, PROT_NONE);
    return memcpy(map + whole - size, bytes, size);
}

static void load(const char *what, const void *image, size_t size, size_t at, unsigned flip)
{
    CUmodule module = NULL;
    unsigned char *copy = at_page_end(image, size);
    copy[at] ^= flip;
    printf("%s: ", what);
    CALL(cuModuleLoadData, &module, copy);
}

int main(void)
{
    size_t size = fatbin_60_90_end - fatbin_60_90;
    start_direct();
    load("whole", fatbin_60_90, size, 0, 0);
    load("truncated in the last code", fatbin_60_90, size - 1000, 0, 0);
    load("truncated in the first code", fatbin_60_90, 600, 0, 0);
    load("header only", fatbin_60_90, 16, 0, 0);
    load("eight bytes", fatbin_60_90, 8, 0, 0);
    load("size lies", fatbin_60_90, size, 14, 0xff);
    load("header size lies", fatbin_60_90, size, 16 + 4, 0xff);
    load("payload size lies", fatbin_60_90, size, 16 + 8 + 6, 0x40);
    load("unknown kind", fatbin_60_90, size, 16, 0x60);
    load("no image", "neither fatbin nor ELF nor PTX", 31, 0, 0);
    return 0;
}
