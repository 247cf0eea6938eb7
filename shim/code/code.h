/*
 * Floor 2: what a binary holds. Every function takes bytes and fills plain structs: no I/O, no
 * globals, nothing trusted. Errors are -errno: -EBADMSG for broken data, -ENOTSUP for data of a
 * kind that is known but not readable, -ENODATA where there is nothing of the kind asked for.
 * Format facts and their evidence stand at the top of each .c file.
 */
#ifndef KGI_CODE_H
#define KGI_CODE_H

#include "../base/bytes.h"

/* ---- targets ------------------------------------------------------------------------------------ */

/* sm_120, sm_90a, compute_100f: number 120, 90, 100 and suffix 0, 'a' or 'f'. */
struct kgi_target {
    uint16_t number;
    char suffix;
};

/* ---- image.c: the pieces of code of any image, whatever it is wrapped in ------------------------ */

enum kgi_kind { /* entry kinds of a fatbin; the values are the file format's */
    KGI_PTX = 0x01,
    KGI_CUBIN = 0x02,
    KGI_LTO = 0x08,
    KGI_MERCURY = 0x10,
    KGI_INDEX = 0x20,
    KGI_RELOCATABLE_PTX = 0x40,
    KGI_TILE = 0x80,
};

enum kgi_packing { KGI_PLAIN, KGI_LZ4, KGI_ZSTD, KGI_PACKING_UNKNOWN };

enum kgi_trait { /* bits of kgi_code.traits */
    KGI_T_DEBUG = 1 << 0,
    KGI_T_OBFUSCATED = 1 << 1,
    KGI_T_RELOCATABLE = 1 << 2, /* needs a device link: PTX with --compile-only, ET_REL cubin */
    KGI_T_EXTERN = 1 << 3,      /* PTX with an unresolved .extern .func: needs a device link */
    KGI_T_COMPAT = 1 << 4,      /* fatbin flag bit 24 */
    KGI_T_CAPSULE = 1 << 5,     /* cubin holds .nv.capmerc: a sibling SM's driver can re-finalize */
    KGI_T_INSPECTED = 1 << 6,   /* the payload was read: kernels, abi, CAPSULE, EXTERN are known */
    KGI_T_UNREADABLE = 1 << 7,  /* the payload could not be read; the header was */
};

/* One piece of code: a fatbin entry, a raw cubin, or a PTX text. */
struct kgi_code {
    uint64_t place;      /* offset of its header from the start of the image */
    uint16_t kind;       /* enum kgi_kind, or a value this reader does not know */
    struct kgi_target target;
    uint16_t major, minor; /* PTX: ISA version (8.7). Cubin: 1.7 / 1.8. LTO: NVVM IR version */
    uint8_t packing;     /* enum kgi_packing */
    uint8_t abi;         /* cubin ELF ABI 7 or 8 when known, else 0 */
    uint32_t traits;     /* enum kgi_trait */
    int32_t kernels;     /* how many kernels it holds; -1 = not looked at (see KGI_T_INSPECTED) */
    uint64_t flags;      /* the entry header's flags as they stand; 0 outside a fatbin */
    uint64_t size;       /* bytes once unpacked */
    struct kgi_bytes payload; /* the stored bytes, as they are (packed or not) */
    struct kgi_bytes options; /* text of the ptxas / cicc options stored with it; may be empty */
    struct kgi_bytes name;    /* source name stored with it; may be empty */
};

enum kgi_image_form { KGI_FORM_WRAPPER, KGI_FORM_FATBIN, KGI_FORM_ELF, KGI_FORM_ARCHIVE,
                      KGI_FORM_PTX, KGI_FORM_TILE, KGI_FORM_UNKNOWN };

/* What the first bytes say the image is. Needs at least 8 bytes for a sure answer. */
enum kgi_image_form kgi_image_form(struct kgi_bytes start);

/* How long an image of this form says it is: fatbin header + size, the ELF's furthest table or
 * section end, PTX up to its NUL (limit if none). Reads only inside `mapped`; the answer never
 * exceeds mapped.size. 0 when unknown. */
size_t kgi_image_extent(struct kgi_bytes mapped);

/* Lists the codes of one fatbin, raw cubin or PTX text (not a wrapper: follow its pointer first).
 * Only headers are read: no decompression. *count is how many there are in all, of which the first
 * `room` are stored. Returns 0; -EBADMSG with *count codes read before the broken place, which
 * *broken (may be NULL) is set to; -ENOTSUP for a form that is not an image. */
int kgi_image_codes(struct kgi_bytes image, struct kgi_code *codes, size_t room, size_t *count,
                    uint64_t *broken);

/* Reads the payload of a code: kernels, abi, traits. scratch is memory for the unpacked payload
 * (NULL only when packing is plain). Sets KGI_T_INSPECTED, or KGI_T_UNREADABLE with -EBADMSG;
 * neither with -ENOBUFS (scratch is smaller than code->size), -ENOMEM, and -ENOTSUP (a kind or
 * packing without a reader here: LTO, obfuscated, ...). */
int kgi_code_inspect(struct kgi_code *code, void *scratch, size_t scratch_size);

/* The same, with the names of the kernels on the way: one call of each per kernel, mangled, NUL-ended,
 * borrowed for the call, with the registers a thread of it uses (0 = not known, as in PTX). Stops when
 * each returns non-zero and returns that; the code is then left as it was, but for a cubin's. -EBADMSG
 * also where a cubin's kernels can be counted, and their names are broken. */
int kgi_code_kernels(struct kgi_code *code, void *scratch, size_t scratch_size,
                     int (*each)(const char *mangled, int registers, void *context), void *context);

/* ---- fatbin.c ------------------------------------------------------------------------------------ */

#define KGI_WRAPPER_MAGIC 0x466243B1u
#define KGI_FATBIN_MAGIC 0xBA55ED50u

/* struct __fatBinC_Wrapper_t, as cudart registers it; pointers are addresses in this process. */
struct kgi_wrapper {
    uint32_t magic, version; /* version 1, or 2: `linked` is a NULL-ended array of relocatable ones */
    const void *data;
    const void *linked;
};

/* Walks entry headers from a fatbin's first byte. Start with *at = 0; 1 = entry filled in and *at
 * moved on, 0 = end reached exactly, negative = broken at *at. */
int kgi_fatbin_next(struct kgi_bytes fatbin, uint64_t *at, struct kgi_code *entry);
/* One entry of a fatbin that is not in memory as a whole: rest are the bytes at hand from the entry's
 * start, left is how many of the fatbin there are from there on. payload.at is NULL when the payload
 * is not at hand. *length is where the next entry starts. 0 or -EBADMSG. */
int kgi_fatbin_entry(struct kgi_bytes rest, uint64_t left, struct kgi_code *entry, uint64_t *length);
/* Whether b starts with a whole, well-formed fatbin; its full length or 0. */
size_t kgi_fatbin_length(struct kgi_bytes b);

/* ---- inflate.c ------------------------------------------------------------------------------------ */

/* Unpacks a payload into exactly out_size bytes; 0, or -EBADMSG. Uses no malloc: zstd's context
 * lives in memory from kgi_pages_get. */
int kgi_inflate(uint8_t packing, struct kgi_bytes packed, void *out, size_t out_size);

/* ---- ptx.c ---------------------------------------------------------------------------------------- */

struct kgi_ptx {
    uint16_t major, minor;    /* .version */
    struct kgi_target target; /* the last of .target's list counts */
    uint32_t traits;          /* KGI_T_EXTERN, KGI_T_DEBUG */
    int32_t kernels;          /* .entry definitions */
};
/* Reads .version, .target and counts .entry; comments, one-line and CRLF forms allowed. */
int kgi_ptx_read(struct kgi_bytes text, struct kgi_ptx *out);
/* Only the head: .version and .target; kernels stays -1. */
int kgi_ptx_head(struct kgi_bytes text, struct kgi_ptx *out);
/* The same with the names of the kernels, in one pass; each may be NULL. */
int kgi_ptx_kernels(struct kgi_bytes text, struct kgi_ptx *out,
                    int (*each)(const char *mangled, int registers, void *context), void *context);
/* The .global and .const variables of the module that the text defines; registers is 0. */
int kgi_ptx_variables(struct kgi_bytes text,
                      int (*each)(const char *name, int registers, void *context), void *context);
/* The module with this kernel as its only function, in out, which has room for text.size bytes. What is
 * left out are other kernels, and functions and variables that it does not name. 0; -ENOENT without such a
 * kernel; -ENOTSUP where it is not on its own: it names a function, a variable or another kernel of the
 * module, calls functions by address, or the module holds what speaks of several functions (line numbers,
 * aliases), is not whole or not understood. */
int kgi_ptx_alone(struct kgi_bytes text, const char *kernel, uint8_t *out, size_t *size);

/* ---- cubin.c --------------------------------------------------------------------------------------- */

struct kgi_cubin {
    struct kgi_target target; /* suffix 'a' where the ELF itself says so; 'f' is never in the ELF */
    uint8_t abi;              /* 7 or 8 */
    uint16_t toolkit;         /* CUDA version x10 that made it (118, 124, 130), 0 unknown */
    uint32_t traits;          /* KGI_T_RELOCATABLE, KGI_T_CAPSULE, KGI_T_DEBUG */
    int32_t kernels;
};
/* -ENODATA for an ELF that is no cubin, -ENOTSUP for one of another ABI than 7 and 8. */
int kgi_cubin_read(struct kgi_bytes elf, struct kgi_cubin *out);
/* Only the ELF header and, for an 'a' suffix, one small section: target, abi, RELOCATABLE;
 * kernels stays -1. */
int kgi_cubin_head(struct kgi_bytes elf, struct kgi_cubin *out);
int kgi_cubin_kernels(struct kgi_bytes elf,
                      int (*each)(const char *mangled, int registers, void *context),
                      void *context);

/* ---- elf.c: host ELF -------------------------------------------------------------------------------- */

struct kgi_section {
    const char *name; /* borrowed from the file's bytes; never NULL */
    uint32_t type, link;
    uint64_t flags, address, offset, size;
};
/* ELF64 little-endian only; -ENODATA when the bytes are no ELF, -ENOTSUP for another class. */
int kgi_elf_section(struct kgi_bytes elf, size_t index, struct kgi_section *out); /* -ENOENT past end */
int kgi_elf_section_named(struct kgi_bytes elf, const char *name, struct kgi_section *out);
int kgi_elf_section_typed(struct kgi_bytes elf, uint32_t type, struct kgi_section *out);
/* A section's bytes; empty for SHT_NOBITS or where they are not in the file. */
struct kgi_bytes kgi_elf_bytes(struct kgi_bytes elf, const struct kgi_section *section);
/* The symbol table of this type (SHT_SYMTAB, SHT_DYNSYM) and its string table, which ends in NUL. */
int kgi_elf_symbols(struct kgi_bytes elf, uint32_t type, struct kgi_bytes *symbols,
                    struct kgi_bytes *names);
/* The furthest end of headers, tables and sections, at most elf.size; 0 when no ELF. */
size_t kgi_elf_extent(struct kgi_bytes elf);
uint16_t kgi_elf_machine(struct kgi_bytes elf); /* 0 when no ELF */
/* The function symbol (.symtab, else .dynsym) that covers a file-relative virtual address: its name
 * (borrowed) and start; -ENOENT. */
int kgi_elf_symbol_at(struct kgi_bytes elf, uint64_t address, const char **name, uint64_t *start);
/* The file offset of a virtual address through PT_LOAD; -ENOENT. */
int kgi_elf_offset(struct kgi_bytes elf, uint64_t address, uint64_t *offset);
/* The registered wrappers of a linked ELF (.nvFatBinSegment): each gets the virtual address of a
 * wrapper and the file offset of the fatbin it points to (RELATIVE relocations applied); stops when
 * each returns non-zero and returns that. -ENODATA without such a section, -ENOTSUP for an object
 * file. */
int kgi_elf_wrappers(struct kgi_bytes elf,
                     int (*each)(uint64_t wrapper_address, uint64_t fatbin_offset, void *context),
                     void *context);

#endif
