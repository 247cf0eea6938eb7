/*
 * Truncated, bit-flipped and lying images go to the driver untouched, and what could be read of
 * them is reported. Each lies at the end of a page before an unmapped one: a byte read too far
 * ends the program.
 * link: -l:libcuda.so.1
 * run: cut_in_last_code
 * run: cut_in_first_code
 * run: header_alone
 * run: eight_bytes
 * run: fatbin_size_lies
 * run: entry_header_lies
 * run: payload_size_lies
 * run: unknown_kind
 * run: payload_flipped
 * run: magic_flipped
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

static const struct damage {
    const char *name;
    size_t size, at; /* bytes that are there, of the whole if 0; the byte that is changed */
    unsigned char flip;
} damages[] = {
    {"cut_in_last_code", 22000, 0, 0},
    {"cut_in_first_code", 600, 0, 0},
    {"header_alone", 16, 0, 0},
    {"eight_bytes", 8, 0, 0},
    {"fatbin_size_lies", 0, 14, 0xff},
    {"entry_header_lies", 0, 16 + 4, 0xff},
    {"payload_size_lies", 0, 16 + 8 + 6, 0x40},
    {"unknown_kind", 0, 16, 0x60},
    {"payload_flipped", 0, 16 + 64 + 40, 0xff},
    {"magic_flipped", 0, 0, 0xff},
};

int main(int argc, char **argv)
{
    size_t whole = fatbin_60_90_end - fatbin_60_90;
    CUmodule module = NULL;

    start_direct();
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        const struct damage *d = &damages[i];
        if (strcmp(d->name, argv[argc - 1]) != 0)
            continue;
        unsigned char *image = at_page_end(fatbin_60_90, d->size ? d->size : whole);
        image[d->at] ^= d->flip;
        CALL(cuModuleLoadData, &module, image);
    }
    return 0;
}
