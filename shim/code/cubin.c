/*
 * The cubin: what ptxas and nvlink make, an ELF64 of machine 190. Two ABIs exist, told apart by
 * e_ident[8] alone (a low byte of e_flags that "looks like an SM" does not decide it):
 *
 *              ABI 7: CUDA <= 12.x, sm <= 90      ABI 8: CUDA 12.8+ for sm >= 100, 13.0+ for all
 *   SM         e_flags bits 0-7                   e_flags bits 8-15
 *   suffix a   e_flags 0x800                      .nv.compat attribute 09 = 1
 *   toolkit    e_version, x10                     .note.nv.cuinfo type 1000: u16 2, u16 virtual SM,
 *                                                 u32 toolkit x10
 *
 * The suffix f is nowhere in the ELF: an sm_120f cubin is a plain one; only the fatbin entry that
 * holds it tells. Everything else is the same in both:
 *   - a kernel is a symbol STT_FUNC with st_other & 0x10; this equals the set of .nv.constant0.X
 *     sections in 16 200 of 16 200 shipped cubins. static kernels are LOCAL symbols;
 *   - registers: .nv.info records {u8 format, u8 attribute, u16 size or value, size bytes}, attribute
 *     2F: u32 symbol, u32 count. .nv.compat has the same record form;
 *   - sm_100 and up: .nv.capmerc.text.X is the kernel in the form ("capsule") from which a driver
 *     can make code for a sibling SM.
 * nvlink puts a cubin without any kernel into every program it links (the device-link stub), so a
 * cubin counts only when it holds a kernel.
 */
#include <elf.h>
#include <errno.h>
#include "../base/base.h"
#include "code.h"

enum {
    MACHINE_CUDA = 190,
    SHT_NV_INFO = 0x70000000,
    SHT_NV_COMPAT = 0x70000086,
    FLAG_7_ACCELERATED = 0x800,
    STO_ENTRY = 0x10,
    NOTE_CUINFO = 1000,
    RECORD_BYTE = 2, /* record formats; all but SIZED are four bytes in all */
    RECORD_SIZED = 4,
    ATTRIBUTE_REGISTERS = 0x2f,
    ATTRIBUTE_ACCELERATED = 0x09,
};

/* ---- records of .nv.info and .nv.compat ------------------------------------------------------------ */

struct record {
    uint8_t format, attribute;
    uint16_t value; /* SIZED: how many bytes follow */
};

static bool next_record(struct kgi_bytes section, size_t *at, struct record *r,
                        struct kgi_bytes *data)
{
    if (!KGI_GET(section, *at, r))
        return false;
    *at += sizeof *r;
    uint16_t size = r->format == RECORD_SIZED ? r->value : 0;
    if (!kgi_bytes_has(section, *at, size))
        return false;
    *data = kgi_bytes_cut(section, *at, size);
    *at += size;
    return true;
}

static bool is_accelerated(struct kgi_bytes elf)
{
    struct kgi_section section;
    struct kgi_bytes data;
    struct record r;
    size_t at = 0;

    if (kgi_elf_section_typed(elf, SHT_NV_COMPAT, &section))
        return false;
    while (next_record(kgi_elf_bytes(elf, &section), &at, &r, &data))
        if (r.format == RECORD_BYTE && r.attribute == ATTRIBUTE_ACCELERATED)
            return (r.value & 0xff) == 1;
    return false;
}

/* ---- head ------------------------------------------------------------------------------------------ */

int kgi_cubin_head(struct kgi_bytes elf, struct kgi_cubin *out)
{
    Elf64_Ehdr h;

    if (kgi_elf_machine(elf) != MACHINE_CUDA)
        return -ENODATA;
    if (!KGI_GET(elf, 0, &h))
        return -EBADMSG;
    *out = (struct kgi_cubin){
        .abi = h.e_ident[EI_ABIVERSION],
        .traits = h.e_type == ET_REL ? KGI_T_RELOCATABLE : 0,
        .kernels = -1,
    };
    if (out->abi == 7) {
        out->target.number = h.e_flags & 0xff;
        out->target.suffix = h.e_flags & FLAG_7_ACCELERATED ? 'a' : 0;
        out->toolkit = h.e_version <= UINT16_MAX ? (uint16_t)h.e_version : 0;
    } else if (out->abi == 8) {
        out->target.number = (h.e_flags >> 8) & 0xff;
        /* No suffix exists below sm_90, nor the section that would tell. */
        out->target.suffix = out->target.number >= 90 && is_accelerated(elf) ? 'a' : 0;
    } else {
        return -ENOTSUP;
    }
    return 0;
}

/* ---- the whole ------------------------------------------------------------------------------------- */

static uint16_t toolkit_of(struct kgi_bytes note)
{
    struct {
        Elf64_Nhdr header;
        char owner[12]; /* "NVIDIA Corp" */
        uint16_t form, virtual_sm;
        uint32_t toolkit;
    } n;

    if (!KGI_GET(note, 0, &n) || n.header.n_type != NOTE_CUINFO ||
        n.header.n_namesz != sizeof n.owner || n.header.n_descsz < 8 || n.toolkit > UINT16_MAX)
        return 0;
    return (uint16_t)n.toolkit;
}

static void read_sections(struct kgi_bytes elf, struct kgi_cubin *out)
{
    static const char capsule[] = ".nv.capmerc.text";
    struct kgi_section s;

    for (size_t i = 1; kgi_elf_section(elf, i, &s) == 0; i++) {
        if (strncmp(s.name, capsule, sizeof capsule - 1) == 0)
            out->traits |= KGI_T_CAPSULE;
        else if (strcmp(s.name, ".debug_info") == 0)
            out->traits |= KGI_T_DEBUG;
        else if (s.type == SHT_NOTE && out->abi == 8 && strcmp(s.name, ".note.nv.cuinfo") == 0)
            out->toolkit = toolkit_of(kgi_elf_bytes(elf, &s));
    }
}

static bool is_kernel(const Elf64_Sym *s)
{
    return ELF64_ST_TYPE(s->st_info) == STT_FUNC && (s->st_other & STO_ENTRY) &&
           s->st_shndx != SHN_UNDEF;
}

/* A cubin without a symbol table holds nothing that could be launched, and is no error. */
static int symbols_of(struct kgi_bytes elf, struct kgi_bytes *symbols, struct kgi_bytes *names)
{
    struct kgi_cubin head;
    int error = kgi_cubin_head(elf, &head);

    if (error == 0)
        error = kgi_elf_symbols(elf, SHT_SYMTAB, symbols, names);
    if (error == -ENOENT)
        *symbols = *names = (struct kgi_bytes){NULL, 0};
    return error == -ENOENT ? 0 : error;
}

int kgi_cubin_read(struct kgi_bytes elf, struct kgi_cubin *out)
{
    struct kgi_bytes symbols, names;
    Elf64_Sym s;
    int error = kgi_cubin_head(elf, out);

    if (error == 0)
        error = symbols_of(elf, &symbols, &names);
    if (error)
        return error;
    read_sections(elf, out);
    out->kernels = 0;
    for (size_t at = 0; KGI_GET(symbols, at, &s); at += sizeof s)
        out->kernels += is_kernel(&s);
    return 0;
}

/* ---- kernels --------------------------------------------------------------------------------------- */

/* Fills the table symbol -> registers, so that kernels need no search among the records, which come
 * in another order. */
static void read_registers(struct kgi_bytes elf, uint16_t *registers, size_t symbols)
{
    struct kgi_section section;
    struct kgi_bytes data;
    struct record r;
    size_t at = 0;

    if (kgi_elf_section_named(elf, ".nv.info", &section))
        return;
    while (next_record(kgi_elf_bytes(elf, &section), &at, &r, &data)) {
        uint32_t pair[2];
        if (r.attribute == ATTRIBUTE_REGISTERS && KGI_GET(data, 0, &pair) && pair[0] < symbols &&
            pair[1] <= UINT16_MAX)
            registers[pair[0]] = (uint16_t)pair[1];
    }
}

/* The names of real kernels lie beside each other, so together they are no longer than their table;
 * a million symbols that share one long name would make the caller copy for hours. */
static int walk_kernels(struct kgi_bytes symbols, struct kgi_bytes names, const uint16_t *registers,
                        int (*each)(const char *, int, void *), void *context)
{
    Elf64_Sym s;
    uint64_t left = 2 * (uint64_t)names.size;

    for (size_t i = 0; KGI_GET(symbols, i * sizeof s, &s); i++) {
        if (!is_kernel(&s))
            continue;
        if (s.st_name >= names.size)
            return -EBADMSG;
        const char *name = (const char *)names.at + s.st_name;
        size_t length = strlen(name) + 1;
        if (length > left)
            return -EBADMSG;
        left -= length;
        int stop = each(name, registers ? registers[i] : 0, context);
        if (stop)
            return stop;
    }
    return 0;
}

int kgi_cubin_kernels(struct kgi_bytes elf, int (*each)(const char *, int, void *), void *context)
{
    uint16_t few[2048] = {0}, *registers = few; /* most cubins need no pages, which threads map in turn */
    struct kgi_bytes symbols, names;
    int result = symbols_of(elf, &symbols, &names);
    size_t count = result ? 0 : symbols.size / sizeof(Elf64_Sym);

    if (count == 0)
        return result;
    if (count > KGI_COUNT(few))
        registers = kgi_pages_get(count * sizeof *registers);
    if (registers)
        read_registers(elf, registers, count);
    result = walk_kernels(symbols, names, registers, each, context);
    if (registers && registers != few)
        kgi_pages_put(registers, count * sizeof *registers);
    return result;
}
