/* What kernels do with KGFAKE_MARKS, and what a compiler makes of them: a cubin that is no more than their names and
 * marks. Which code it was that ran, and whose variable it counted in, can be told from nothing else here. */
#include <ctype.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fake.h"

static const char made[] = "made"; /* in the padding of e_ident: a cubin of ours */

static uint64_t mix(uint64_t hash, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001B3u;
    return hash;
}

uint64_t mark_of_entry(const struct image *image, const char *entry)
{
    const char *end = machine.marks ? strstr(entry, "\n}") : entry;
    uint64_t hash = 0xCBF29CE484222325u;
    size_t size = end ? (size_t)(end - entry) : strlen(entry), length = strlen(image->variable);
    for (size_t i = 0; i < size; i++) /* blanks are nobody's business */
        if (!isspace((unsigned char)entry[i]))
            hash = mix(hash, &entry[i], 1);
    return hash << 1 | (length && memmem(entry, size, image->variable, length));
}

void mark_variable_of_text(struct image *image, const char *text)
{
    static const char global[] = "\n.global ";
    const char *at = strstr(text, global), *end;
    if (!at)
        return;
    end = at + strcspn(at, ";[=");
    for (at = end; at[-1] != ' '; at--)
        ;
    snprintf(image->variable, sizeof image->variable, "%.*s", (int)(end - at), at);
}

static bool is_ours(const char *elf)
{
    return memcmp(elf + EI_PAD, made, sizeof made) == 0;
}

uint64_t mark_of_cubin(const char *elf, size_t size, unsigned i)
{
    uint64_t mark;
    if (!is_ours(elf))
        return machine.marks ? mix(i, elf, size) << 1 : 0;
    memcpy(&mark, elf + sizeof(Elf64_Ehdr) + i * sizeof mark, sizeof mark);
    return mark;
}

/* Its sections: none, names, symbols. The first name is the variable's. */
static Elf64_Shdr section(const char *elf, unsigned i)
{
    Elf64_Ehdr head;
    Elf64_Shdr found;
    memcpy(&head, elf, sizeof head);
    memcpy(&found, elf + head.e_shoff + i * sizeof found, sizeof found);
    return found;
}

void mark_variable_of_cubin(struct image *image, const char *elf, size_t size)
{
    if (size >= sizeof(Elf64_Ehdr) && is_ours(elf))
        snprintf(image->variable, sizeof image->variable, "%s", elf + section(elf, 1).sh_offset + 1);
}

/* Those that change no code (recorded, or the caller's place for an answer) leave the mark alone. In any order. */
void mark_options(struct image *image, unsigned count, const CUjit_option *options, void *const *values)
{
    static const char no_matter[] = {2, 3, 4, 5, 6, 8, 10, 12, 34};
    for (unsigned i = 0; i < count; i++) {
        unsigned pair[] = {(unsigned)options[i], (unsigned)(uintptr_t)values[i]};
        if (!memchr(no_matter, (int)options[i], sizeof no_matter))
            image->options += mix(1, (const char *)pair, sizeof pair) << 1;
    }
}

uint64_t mark_of_kernel(const struct image *image, const char *kernel)
{
    for (unsigned i = 0; i < image->kernel_count; i++)
        if (strcmp(image->kernels[i], kernel) == 0)
            return image->marks[i] + (image->class == RUNS_BY_JIT ? image->options : 0);
    return 0;
}

bool mark_same(const struct image *a, const struct image *b)
{
    return a->class == b->class && a->kernel_count == b->kernel_count &&
           (!a->kernel_count || memcmp(a->marks, b->marks, a->kernel_count * sizeof *a->marks) == 0);
}

/* A symbol of something that is there, by its name's place. */
static Elf64_Sym symbol(size_t name, int type, int other)
{
    return (Elf64_Sym){.st_name = (uint32_t)name,
                       .st_info = ELF64_ST_INFO(STB_GLOBAL, type),
                       .st_other = (unsigned char)other,
                       .st_shndx = 1};
}

void *mark_compile(const struct image *image, size_t *size)
{
    static const char constant[] = ".nv.constant0.";
    unsigned n = image->kernel_count;
    size_t names = sizeof(Elf64_Ehdr) + n * sizeof(uint64_t), room = 8 + sizeof image->variable, used;
    for (unsigned i = 0; i < n; i++)
        room += sizeof constant + strlen(image->kernels[i]);
    size_t symbols = names + room / 8 * 8, sections = symbols + (n + 2) * sizeof(Elf64_Sym);
    *size = sections + 3 * sizeof(Elf64_Shdr);
    char *elf = calloc(1, *size);
    Elf64_Ehdr *head = (Elf64_Ehdr *)elf;
    Elf64_Sym *symbol_at = (Elf64_Sym *)(elf + symbols);
    Elf64_Shdr *section_at = (Elf64_Shdr *)(elf + sections);
    *head = (Elf64_Ehdr){.e_ident = {0x7F, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1, 0x41, 8},
                         .e_type = ET_EXEC, .e_machine = 190, .e_version = 1, .e_shoff = sections,
                         .e_flags = (uint32_t)(10 * machine.major + machine.minor) << 8,
                         .e_ehsize = sizeof *head, .e_shentsize = sizeof *section_at,
                         .e_shnum = 3, .e_shstrndx = 1};
    memcpy(head->e_ident + EI_PAD, made, sizeof made);
    used = 1 + (size_t)sprintf(elf + names + 1, "%s", image->variable) + 1;
    if (*image->variable)
        symbol_at[n + 1] = symbol(1, STT_OBJECT, 0);
    for (unsigned i = 0; i < n; i++) {
        uint64_t mark = mark_of_kernel(image, image->kernels[i]);
        memcpy(elf + sizeof *head + i * sizeof mark, &mark, sizeof mark);
        symbol_at[i + 1] = symbol(used + sizeof constant - 1, STT_FUNC, 0x10);
        used += (size_t)sprintf(elf + names + used, "%s%s", constant, image->kernels[i]) + 1;
    }
    section_at[1] = (Elf64_Shdr){.sh_type = SHT_STRTAB, .sh_offset = names, .sh_size = symbols - names};
    section_at[2] = (Elf64_Shdr){.sh_type = SHT_SYMTAB, .sh_offset = symbols, .sh_size = sections - symbols,
                                 .sh_link = 1, .sh_info = 1, .sh_entsize = sizeof *symbol_at};
    return elf;
}
