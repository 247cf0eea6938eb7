/*
 * ELF64 little-endian, read from bytes that nobody vouches for: a host library's file, or a cubin.
 *
 * Bounded work is part of the contract: no walk here visits a table entry twice, and no string is
 * measured while walking. A string table whose last byte is not NUL is refused as a whole, so that
 * any offset inside it is the start of a NUL-ended string and naming a section costs nothing; a
 * hostile file with a million names that all run to its end would otherwise cost hours.
 *
 * The offsets of the wrappers' data pointers: in a shared object or PIE the loader fills them by
 * R_*_RELATIVE relocations, whose addend is the address. GNU ld and lld also leave the addend in
 * the place itself (2 782 of 2 782 wrappers of libcublasLt), and RELR relocations have it nowhere
 * else; so the stored value stands where no relocation says otherwise.
 */
#include <elf.h>
#include <errno.h>
#include "../base/base.h"
#include "code.h"

#ifndef SHT_RELR
#define SHT_RELR 19
#endif

/* Linkers write a dozen; asked for each of a million wrappers, 65 535 would take minutes. */
enum { MAX_SEGMENTS = 256 };

static int read_header(struct kgi_bytes elf, Elf64_Ehdr *h)
{
    if (elf.size < SELFMAG || memcmp(elf.at, ELFMAG, SELFMAG) != 0)
        return -ENODATA;
    if (elf.size > EI_DATA &&
        (elf.at[EI_CLASS] != ELFCLASS64 || elf.at[EI_DATA] != ELFDATA2LSB))
        return -ENOTSUP;
    return KGI_GET(elf, 0, h) ? 0 : -EBADMSG;
}

static int raw_section(struct kgi_bytes elf, const Elf64_Ehdr *h, uint64_t index, Elf64_Shdr *s)
{
    if (h->e_shentsize != sizeof *s || h->e_shoff == 0)
        return -ENOENT;
    /* index < 2^32 and shoff <= size, so that nothing here can overflow */
    if (h->e_shoff > elf.size || !KGI_GET(elf, h->e_shoff + index * sizeof *s, s))
        return -EBADMSG;
    return 0;
}

/* More than 65 279 sections: the numbers stand in section 0. */
static uint64_t section_count(struct kgi_bytes elf, const Elf64_Ehdr *h)
{
    Elf64_Shdr zero;

    if (h->e_shnum)
        return h->e_shnum;
    if (raw_section(elf, h, 0, &zero))
        return 0;
    return zero.sh_size <= UINT32_MAX ? zero.sh_size : 0;
}

static struct kgi_bytes section_names(struct kgi_bytes elf, const Elf64_Ehdr *h)
{
    struct kgi_bytes names = {NULL, 0};
    Elf64_Shdr s;
    uint64_t index = h->e_shstrndx;

    if (index == SHN_XINDEX && raw_section(elf, h, 0, &s) == 0)
        index = s.sh_link;
    if (index && raw_section(elf, h, index, &s) == 0 && s.sh_type != SHT_NOBITS)
        names = kgi_bytes_cut(elf, s.sh_offset, s.sh_size);
    if (names.size && names.at[names.size - 1])
        names.size = 0;
    return names;
}

int kgi_elf_section(struct kgi_bytes elf, size_t index, struct kgi_section *out)
{
    Elf64_Ehdr h;
    Elf64_Shdr s;
    int error = read_header(elf, &h);

    if (error)
        return error;
    if (index >= section_count(elf, &h))
        return -ENOENT;
    error = raw_section(elf, &h, index, &s);
    if (error)
        return error;
    struct kgi_bytes names = section_names(elf, &h);
    *out = (struct kgi_section){
        .name = s.sh_name < names.size ? (const char *)names.at + s.sh_name : "",
        .type = s.sh_type,
        .link = s.sh_link,
        .flags = s.sh_flags,
        .address = s.sh_addr,
        .offset = s.sh_offset,
        .size = s.sh_size,
    };
    return 0;
}

int kgi_elf_section_named(struct kgi_bytes elf, const char *name, struct kgi_section *out)
{
    int error;

    for (size_t i = 1; (error = kgi_elf_section(elf, i, out)) == 0; i++)
        if (strcmp(out->name, name) == 0)
            return 0;
    return error;
}

int kgi_elf_section_typed(struct kgi_bytes elf, uint32_t type, struct kgi_section *out)
{
    int error;

    for (size_t i = 1; (error = kgi_elf_section(elf, i, out)) == 0; i++)
        if (out->type == type)
            return 0;
    return error;
}

struct kgi_bytes kgi_elf_bytes(struct kgi_bytes elf, const struct kgi_section *section)
{
    if (section->type == SHT_NOBITS)
        return (struct kgi_bytes){NULL, 0};
    return kgi_bytes_cut(elf, section->offset, section->size);
}

uint16_t kgi_elf_machine(struct kgi_bytes elf)
{
    Elf64_Ehdr h;

    return read_header(elf, &h) == 0 ? h.e_machine : 0;
}

static uint64_t furthest(struct kgi_bytes elf, uint64_t end, uint64_t offset, uint64_t size)
{
    if (!kgi_bytes_has(elf, offset, size))
        return elf.size;
    return offset + size > end ? offset + size : end;
}

size_t kgi_elf_extent(struct kgi_bytes elf)
{
    Elf64_Ehdr h;
    Elf64_Shdr s;

    if (read_header(elf, &h))
        return 0;
    uint64_t count = section_count(elf, &h), end = sizeof h;
    end = furthest(elf, end, h.e_phoff, (uint64_t)h.e_phnum * h.e_phentsize);
    end = furthest(elf, end, h.e_shoff, count * h.e_shentsize);
    for (uint64_t i = 1; i < count && end < elf.size && raw_section(elf, &h, i, &s) == 0; i++)
        if (s.sh_type != SHT_NOBITS && s.sh_type != SHT_NULL)
            end = furthest(elf, end, s.sh_offset, s.sh_size);
    return (size_t)end;
}

/* ---- symbols -------------------------------------------------------------------------------------- */

int kgi_elf_symbols(struct kgi_bytes elf, uint32_t type, struct kgi_bytes *symbols,
                    struct kgi_bytes *names)
{
    struct kgi_section table, strings;
    int error = kgi_elf_section_typed(elf, type, &table);

    if (!error)
        error = kgi_elf_section(elf, table.link, &strings);
    if (error)
        return error;
    *symbols = kgi_elf_bytes(elf, &table);
    *names = kgi_elf_bytes(elf, &strings);
    if ((table.size && !symbols->at) || !names->size || names->at[names->size - 1])
        return -EBADMSG;
    return 0;
}

static bool covers(const Elf64_Sym *s, uint64_t address)
{
    unsigned type = ELF64_ST_TYPE(s->st_info);

    return (type == STT_FUNC || type == STT_GNU_IFUNC) && s->st_shndx != SHN_UNDEF &&
           s->st_value <= address && address - s->st_value < s->st_size;
}

static int symbol_in(struct kgi_bytes elf, uint32_t table, uint64_t address, const char **name,
                     uint64_t *start)
{
    struct kgi_bytes symbols, names;
    Elf64_Sym s;
    bool found = false;

    if (kgi_elf_symbols(elf, table, &symbols, &names))
        return -ENOENT;
    for (size_t at = 0; KGI_GET(symbols, at, &s); at += sizeof s) {
        if (!covers(&s, address) || s.st_name >= names.size || !names.at[s.st_name])
            continue;
        if (found && s.st_value <= *start)
            continue;
        *name = (const char *)names.at + s.st_name;
        *start = s.st_value;
        found = true;
    }
    return found ? 0 : -ENOENT;
}

int kgi_elf_symbol_at(struct kgi_bytes elf, uint64_t address, const char **name, uint64_t *start)
{
    /* .symtab first: only it has the static stubs that nvcc's host code launches kernels through. */
    if (symbol_in(elf, SHT_SYMTAB, address, name, start) == 0)
        return 0;
    return symbol_in(elf, SHT_DYNSYM, address, name, start);
}

/* ---- addresses ------------------------------------------------------------------------------------- */

int kgi_elf_offset(struct kgi_bytes elf, uint64_t address, uint64_t *offset)
{
    Elf64_Ehdr h;
    Elf64_Phdr p;
    int error = read_header(elf, &h);

    if (error)
        return error;
    if (h.e_phentsize != sizeof p || h.e_phoff > elf.size || h.e_phnum > MAX_SEGMENTS)
        return -ENOENT;
    for (uint64_t i = 0; i < h.e_phnum && KGI_GET(elf, h.e_phoff + i * sizeof p, &p); i++) {
        if (p.p_type != PT_LOAD || address < p.p_vaddr || address - p.p_vaddr >= p.p_filesz)
            continue;
        if (!kgi_bytes_has(elf, p.p_offset, address - p.p_vaddr))
            return -ENOENT;
        *offset = p.p_offset + (address - p.p_vaddr);
        return 0;
    }
    return -ENOENT;
}

static bool is_relative(uint16_t machine, uint64_t info)
{
    return ELF64_R_SYM(info) == 0 &&
           ELF64_R_TYPE(info) == (machine == EM_AARCH64 ? R_AARCH64_RELATIVE : R_X86_64_RELATIVE);
}

/* Puts the addends of the RELATIVE relocations that fall into the section in their places. Tables
 * that claim more bytes than the file has overlap each other, and are not walked again and again. */
static void apply_relative(struct kgi_bytes elf, const struct kgi_section *section, uint8_t *image)
{
    struct kgi_section s;
    Elf64_Rela r;
    uint16_t machine = kgi_elf_machine(elf);
    size_t left = elf.size;

    for (size_t i = 1; kgi_elf_section(elf, i, &s) == 0; i++) {
        if (s.type != SHT_RELA || !(s.flags & SHF_ALLOC))
            continue;
        struct kgi_bytes table = kgi_elf_bytes(elf, &s);
        if (table.size > left)
            return;
        left -= table.size;
        for (size_t at = 0; KGI_GET(table, at, &r); at += sizeof r) {
            uint64_t inside = r.r_offset - section->address;
            if (r.r_offset >= section->address && section->size >= sizeof r.r_addend &&
                inside <= section->size - sizeof r.r_addend && is_relative(machine, r.r_info))
                memcpy(image + inside, &r.r_addend, sizeof r.r_addend);
        }
    }
}

static int each_wrapper(struct kgi_bytes elf, uint64_t address, struct kgi_bytes image,
                        int (*each)(uint64_t, uint64_t, void *), void *context)
{
    struct { /* struct kgi_wrapper as it lies in a 64-bit file */
        uint32_t magic, version;
        uint64_t data, linked;
    } w;
    uint64_t at = 0, offset;
    int stop;

    while (KGI_GET(image, at, &w)) {
        if (w.magic != KGI_WRAPPER_MAGIC) {
            at += 8; /* padding between two inputs of the linker */
            continue;
        }
        if (w.data && kgi_elf_offset(elf, w.data, &offset) == 0 &&
            (stop = each(address + at, offset, context)) != 0)
            return stop;
        at += sizeof w;
    }
    return 0;
}

int kgi_elf_wrappers(struct kgi_bytes elf, int (*each)(uint64_t, uint64_t, void *), void *context)
{
    struct kgi_section section;
    Elf64_Ehdr h;
    int error = read_header(elf, &h);

    if (error)
        return error;
    if (h.e_type != ET_EXEC && h.e_type != ET_DYN)
        return -ENOTSUP;
    error = kgi_elf_section_named(elf, ".nvFatBinSegment", &section);
    if (error)
        return error == -ENOENT ? -ENODATA : error;
    struct kgi_bytes stored = kgi_elf_bytes(elf, &section);
    if (stored.size == 0)
        return section.size ? -EBADMSG : -ENODATA;
    uint8_t *image = kgi_pages_get(stored.size);
    if (!image)
        return -ENOMEM;
    memcpy(image, stored.at, stored.size);
    apply_relative(elf, &section, image);
    error = each_wrapper(elf, section.address, (struct kgi_bytes){image, stored.size}, each, context);
    kgi_pages_put(image, stored.size);
    return error;
}
