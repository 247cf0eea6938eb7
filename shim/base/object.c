/*
 * The loaded objects, read from the loader's own list and their own tables.
 *
 * dlsym, dlopen and dladdr are not used: newer C libraries give them symbol versions that older ones
 * lack (dlsym@GLIBC_2.34), they disturb dlerror(), and dlsym is one of the functions interposed
 * here. dl_iterate_phdr is in every glibc and in musl.
 */
#include "base.h"

#include <elf.h>
#include <limits.h>
#include <link.h>
#include <stdlib.h>
#include <unistd.h>

struct each_state {
    int (*each)(const struct kgi_object *, void *);
    void *context;
};

static int each_callback(struct dl_phdr_info *info, size_t size, void *data)
{
    struct each_state *state = data;
    struct kgi_object o = {.base = info->dlpi_addr,
                           .low = UINTPTR_MAX,
                           .name = info->dlpi_name ? info->dlpi_name : "",
                           .segments = info->dlpi_phdr,
                           .segment_count = info->dlpi_phnum};

    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t at = info->dlpi_addr + p->p_vaddr;

        if (p->p_type == PT_DYNAMIC)
            o.dynamic = (const void *)at;
        if (p->p_type != PT_LOAD)
            continue;
        if (at < o.low)
            o.low = at;
        if (at + p->p_memsz > o.high)
            o.high = at + p->p_memsz;
    }
    return state->each(&o, state->context);
}

int kgi_object_each(int (*each)(const struct kgi_object *, void *), void *context)
{
    struct each_state state = {each, context};

    return dl_iterate_phdr(each_callback, &state);
}

struct at_state {
    uintptr_t address;
    struct kgi_object *out;
};

/* Objects may lie in the holes of others: only the segments count. */
static const ElfW(Phdr) *segment_at(const struct kgi_object *o, uintptr_t address)
{
    const ElfW(Phdr) *p = o->segments;

    for (size_t i = 0; i < o->segment_count; i++)
        if (p[i].p_type == PT_LOAD && address - (o->base + p[i].p_vaddr) < p[i].p_memsz)
            return &p[i];
    return NULL;
}

static int at_callback(const struct kgi_object *o, void *data)
{
    struct at_state *state = data;

    if (state->address < o->low || state->address >= o->high || !segment_at(o, state->address))
        return 0;
    *state->out = *o;
    return 1;
}

bool kgi_object_at(const void *address, struct kgi_object *out)
{
    struct at_state state = {(uintptr_t)address, out};

    return kgi_object_each(at_callback, &state) == 1;
}

/* The linker's name for where the object starts. */
extern const char __ehdr_start __attribute__((visibility("hidden")));

bool kgi_object_is_self(const struct kgi_object *object)
{
    return object->low == (uintptr_t)&__ehdr_start;
}

bool kgi_object_offset(const struct kgi_object *object, const void *address, uint64_t *offset)
{
    const ElfW(Phdr) *p = segment_at(object, (uintptr_t)address);
    uintptr_t into = p ? (uintptr_t)address - (object->base + p->p_vaddr) : 0;

    if (!p || into >= p->p_filesz)
        return false;
    *offset = p->p_offset + into;
    return true;
}

/* ---- the dynamic section -------------------------------------------------------------------------- */

/* glibc adjusts the addresses in the dynamic section by the load bias, musl and the vDSO do not. */
static const void *dynamic_address(const struct kgi_object *object, uintptr_t value)
{
    return (const void *)(value >= object->low && value < object->high ? value
                                                                      : object->base + value);
}

static const ElfW(Dyn) *dynamic_entry(const struct kgi_object *object, ElfW(Sxword) tag, size_t skip)
{
    const ElfW(Dyn) *d = object->dynamic;

    for (; d && d->d_tag != DT_NULL; d++)
        if (d->d_tag == tag && skip-- == 0)
            return d;
    return NULL;
}

static const void *dynamic_table(const struct kgi_object *object, ElfW(Sxword) tag)
{
    const ElfW(Dyn) *d = dynamic_entry(object, tag, 0);

    return d ? dynamic_address(object, d->d_un.d_ptr) : NULL;
}

static const char *dynamic_string(const struct kgi_object *object, ElfW(Sxword) tag, size_t skip)
{
    const ElfW(Dyn) *d = dynamic_entry(object, tag, skip);
    const char *strings = dynamic_table(object, DT_STRTAB);

    return d && strings ? strings + d->d_un.d_val : NULL;
}

const char *kgi_object_soname(const struct kgi_object *object)
{
    return dynamic_string(object, DT_SONAME, 0);
}

const char *kgi_object_needed(const struct kgi_object *object, size_t i)
{
    return dynamic_string(object, DT_NEEDED, i);
}

/* ---- symbols ---------------------------------------------------------------------------------------- */

static uint32_t gnu_hash(const char *name)
{
    uint32_t h = 5381;

    for (; *name; name++)
        h = h * 33 + (uint8_t)*name;
    return h;
}

static uint32_t sysv_hash(const char *name)
{
    uint32_t h = 0;

    for (; *name; name++) {
        h = (h << 4) + (uint8_t)*name;
        h = (h ^ (h >> 24 & 0xf0)) & 0x0fffffff;
    }
    return h;
}

struct symbols {
    const ElfW(Sym) *table;
    const char *strings;
    const uint16_t *versions;
    const char *name;
    const ElfW(Sym) *hidden; /* a match under an old, non-default version */
};

/* Not strcmp: a look-up may run before a sanitizer's hook of it works (see doors/resolve.c). */
static bool same_name(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

/* 1 when symbol i is the default definition of the name looked for. */
static bool symbol_matches(struct symbols *s, uint32_t i)
{
    const ElfW(Sym) *sym = &s->table[i];
    int type = ELF64_ST_TYPE(sym->st_info);

    if (sym->st_shndx == SHN_UNDEF ||
        (type != STT_FUNC && type != STT_OBJECT && type != STT_NOTYPE) ||
        !same_name(s->strings + sym->st_name, s->name))
        return false;
    if (s->versions && s->versions[i] & 0x8000) {
        s->hidden = sym;
        return false;
    }
    return true;
}

static const ElfW(Sym) *gnu_lookup(struct symbols *s, const uint32_t *table)
{
    uint32_t buckets = table[0], first = table[1], words = table[2], shift = table[3];
    const ElfW(Addr) *bloom = (const void *)(table + 4);
    const uint32_t *bucket = (const void *)(bloom + words), *chain = bucket + buckets;
    uint32_t hash = gnu_hash(s->name), i;
    ElfW(Addr) word;

    if (!buckets || !words)
        return NULL;
    word = bloom[hash / (8 * sizeof word) % words];
    if (!(word >> hash % (8 * sizeof word) & word >> (hash >> shift) % (8 * sizeof word) & 1))
        return NULL;
    i = bucket[hash % buckets];
    if (i < first)
        return NULL;
    for (;; i++) {
        uint32_t h = chain[i - first];

        if ((h | 1) == (hash | 1) && symbol_matches(s, i))
            return &s->table[i];
        if (h & 1)
            return NULL;
    }
}

static const ElfW(Sym) *sysv_lookup(struct symbols *s, const uint32_t *table)
{
    uint32_t buckets = table[0];
    const uint32_t *bucket = table + 2, *chain = bucket + buckets;

    if (!buckets)
        return NULL;
    for (uint32_t i = bucket[sysv_hash(s->name) % buckets]; i; i = chain[i])
        if (symbol_matches(s, i))
            return &s->table[i];
    return NULL;
}

void *kgi_object_symbol(const struct kgi_object *object, const char *name)
{
    struct symbols s = {.table = dynamic_table(object, DT_SYMTAB),
                        .strings = dynamic_table(object, DT_STRTAB),
                        .versions = dynamic_table(object, DT_VERSYM),
                        .name = name};
    const uint32_t *gnu = dynamic_table(object, DT_GNU_HASH);
    const uint32_t *sysv = dynamic_table(object, DT_HASH);
    const ElfW(Sym) *found = NULL;

    if (!s.table || !s.strings)
        return NULL;
    if (gnu)
        found = gnu_lookup(&s, gnu);
    else if (sysv)
        found = sysv_lookup(&s, sysv);
    if (!found)
        found = s.hidden;
    return found ? (void *)(object->base + found->st_value) : NULL;
}

/* ---- by name ------------------------------------------------------------------------------------------ */

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

struct named_state {
    const char *prefix;
    struct kgi_object *out;
};

static int named_callback(const struct kgi_object *o, void *data)
{
    struct named_state *state = data;
    const char *soname = kgi_object_soname(o);
    size_t n = strlen(state->prefix);

    if (strncmp(soname ? soname : file_name(o->name), state->prefix, n) != 0)
        return 0;
    *state->out = *o;
    return 1;
}

bool kgi_object_constant(const struct kgi_object *object, const void *address)
{
    const ElfW(Phdr) *p = segment_at(object, (uintptr_t)address);

    return p && !(p->p_flags & PF_W);
}

bool kgi_object_named(const char *prefix, struct kgi_object *out)
{
    struct named_state state = {prefix, out};

    return kgi_object_each(named_callback, &state) == 1;
}

bool kgi_object_path(const struct kgi_object *object, char *out, size_t size)
{
    char *full = kgi_pages_get(PATH_MAX);
    bool ok = false;

    if (!full || !size)
        return false;
    if (object->name[0]) {
        ok = realpath(object->name, full) != NULL;
        if (!ok) { /* the file is gone or out of reach: the loader's name is still the truth */
            strncpy(full, object->name, PATH_MAX - 1);
            ok = true;
        }
    } else {
        ssize_t n = readlink("/proc/self/exe", full, PATH_MAX - 1);

        ok = n > 0;
    }
    if (ok) {
        strncpy(out, full, size - 1);
        out[size - 1] = 0;
    }
    kgi_pages_put(full, PATH_MAX);
    return ok;
}
