/*
 * A fatbin in a program's .nv_fatbin with its wrapper in .nvFatBinSegment, as every nvcc since 9
 * lays them out (the wrapper must be the section's own: cudart finds it by the pointer, tools by
 * the section). FATBIN_DIR is where prepare.sh put the fatbins.
 */
#ifndef EMBED_H
#define EMBED_H

struct wrapper {
    int magic, version;
    const void *data;
    void *prelinked;
};

#define EMBED(name, file)                                                                          \
    __asm__(".pushsection .nv_fatbin,\"a\",@progbits\n"                                            \
            ".balign 8\n" #name "_fatbin:\n"                                                       \
            ".incbin \"" FATBIN_DIR "/" file "\"\n"                                                \
            #name "_fatbin_end:\n"                                                                 \
            ".popsection\n");                                                                      \
    extern const char name##_fatbin[], name##_fatbin_end[];                                        \
    static struct wrapper name##_wrapper                                                           \
        __attribute__((section(".nvFatBinSegment"), aligned(8), used)) = {0x466243b1, 1,           \
                                                                          name##_fatbin, 0}

#endif
