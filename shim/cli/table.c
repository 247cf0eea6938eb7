/* A file's codes and kernels, brought into an order a reader can use: each different one once. */
#include <errno.h>
#include <stdlib.h>

#include "scan.h"

/* ---- entries -------------------------------------------------------------------------------------------- */

enum { SHOWN = KGI_T_DEBUG | KGI_T_OBFUSCATED | KGI_T_RELOCATABLE | KGI_T_EXTERN | KGI_T_UNREADABLE };

static bool is_empty(const struct kgi_code *code)
{
    return code->traits & KGI_T_INSPECTED && code->kernels == 0;
}

static int difference(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_codes(const void *pa, const void *pb)
{
    const struct kgi_code *a = &((const struct kgi_entry *)pa)->code;
    const struct kgi_code *b = &((const struct kgi_entry *)pb)->code;
    int d;

    if ((d = difference(a->kind != KGI_CUBIN, b->kind != KGI_CUBIN)) ||
        (d = difference(a->kind, b->kind)) ||
        (d = difference(a->target.number, b->target.number)) ||
        (d = difference((uint8_t)a->target.suffix, (uint8_t)b->target.suffix)) ||
        (d = difference(a->major, b->major)) || (d = difference(a->minor, b->minor)) ||
        (d = difference(a->packing, b->packing)) ||
        (d = difference(a->traits & SHOWN, b->traits & SHOWN)))
        return d;
    return difference(is_empty(a), is_empty(b));
}

struct kgi_entry *kgi_entries(const struct kgi_file *file, bool held, size_t *count)
{
    size_t all = 0, used = 0;

    for (size_t i = 0; i < file->found_count; i++)
        all += file->found[i].count;
    struct kgi_entry *entries = all ? calloc(all, sizeof *entries) : NULL;
    *count = 0;
    if (!entries)
        return NULL;
    for (size_t i = 0; i < file->found_count; i++) {
        const struct kgi_found *found = &file->found[i];
        for (size_t j = 0; j < found->count; j++) {
            struct kgi_code code = found->codes[j];
            if (held && (is_empty(&code) || (file->registers && !found->registered)))
                continue;
            if (held)
                code.packing = code.packing <= KGI_ZSTD ? KGI_PLAIN : code.packing;
            entries[all - ++used] = (struct kgi_entry){code, 1};
        }
    }
    memmove(entries, entries + all - used, used * sizeof *entries);
    qsort(entries, used, sizeof *entries, compare_codes);
    for (size_t i = 0; i < used; i++) {
        if (*count && compare_codes(&entries[*count - 1], &entries[i]) == 0)
            entries[*count - 1].count++;
        else
            entries[(*count)++] = entries[i];
    }
    if (*count == 0) {
        free(entries);
        entries = NULL;
    }
    return entries;
}

/* ---- kernels ----------------------------------------------------------------------------------------------- */

static int compare_places(const struct kgi_kernel_in *a, const struct kgi_kernel_in *b)
{
    int d;

    if ((d = difference(a->kind != KGI_CUBIN, b->kind != KGI_CUBIN)) ||
        (d = difference(a->kind, b->kind)) ||
        (d = difference(a->target.number, b->target.number)))
        return d;
    return difference((uint8_t)a->target.suffix, (uint8_t)b->target.suffix);
}

static int compare_rows(const void *pa, const void *pb)
{
    const struct kgi_kernel_row *a = pa, *b = pb;
    int d = strcmp(a->name, b->name);

    return d ? d : strcmp(a->mangled, b->mangled);
}

/* For each code of an image, the targets that take it. */
static void find_takers(const struct kgi_scan *scan, const struct kgi_found *found, uint64_t *takers)
{
    struct kgi_verdict v;

    memset(takers, 0, found->count * sizeof *takers);
    for (size_t j = 0; j < scan->target_count && j < 64; j++) {
        struct kgi_host host = kgi_scan_host(scan, j);
        kgi_judge(found->codes, found->count, &host, &v);
        if (v.answer <= KGI_LINK && v.chosen >= 0)
            takers[v.chosen] |= (uint64_t)1 << j;
    }
}

static size_t kernel_count(const struct kgi_file *file)
{
    size_t count = 0;

    for (size_t i = 0; i < file->found_count; i++)
        for (size_t j = 0; j < file->found[i].count; j++)
            if (file->found[i].kernels && file->found[i].kernels[j])
                count += (size_t)file->found[i].codes[j].kernels;
    return count;
}

/* A row for each name, at its number, with room for all its places. */
static void make_rows(const struct kgi_file *file, struct kgi_kernel_table *t)
{
    struct kgi_kernel_in *in = t->in;

    for (size_t i = 0; i < file->found_count; i++) {
        const struct kgi_found *found = &file->found[i];
        for (size_t j = 0; found->kernels && j < found->count; j++)
            for (int32_t k = 0; found->kernels[j] && k < found->codes[j].kernels; k++) {
                struct kgi_kernel_row *row = &t->rows[found->kernels[j][k].number];
                row->mangled = found->kernels[j][k].name;
                t->count += row->in_count++ == 0;
            }
    }
    for (size_t i = 0; i < t->count; i++) {
        t->rows[i].in = in;
        in += t->rows[i].in_count;
        t->rows[i].in_count = 0;
    }
}

/* A row has few places, which are kept sorted. */
static void add_place(struct kgi_kernel_row *row, struct kgi_kernel_in in)
{
    size_t at = row->in_count;
    int d = 1;

    while (at && (d = compare_places(&row->in[at - 1], &in)) > 0)
        at--;
    if (at && d == 0) {
        row->in[at - 1].count++;
        if (row->in[at - 1].registers < in.registers)
            row->in[at - 1].registers = in.registers;
        return;
    }
    memmove(&row->in[at + 1], &row->in[at], (row->in_count++ - at) * sizeof in);
    row->in[at] = in;
}

static int fill_rows(const struct kgi_scan *scan, const struct kgi_file *file,
                     struct kgi_kernel_table *t)
{
    uint64_t all = scan->target_count < 64 ? ((uint64_t)1 << scan->target_count) - 1 : UINT64_MAX;

    for (size_t i = 0; i < t->count; i++)
        t->rows[i].lacking = all;
    for (size_t i = 0; i < file->found_count; i++) {
        const struct kgi_found *found = &file->found[i];
        uint64_t *takers = found->kernels ? calloc(found->count, sizeof *takers) : NULL;
        if (found->kernels && !takers)
            return -ENOMEM;
        if (takers)
            find_takers(scan, found, takers);
        for (size_t j = 0; takers && j < found->count; j++) {
            const struct kgi_code *code = &found->codes[j];
            for (int32_t k = 0; found->kernels[j] && k < code->kernels; k++) {
                const struct kgi_kernel *kernel = &found->kernels[j][k];
                struct kgi_kernel_row *row = &t->rows[kernel->number];
                add_place(row, (struct kgi_kernel_in){code->kind, code->target, kernel->registers, 1});
                row->lacking &= ~takers[j];
            }
        }
        free(takers);
    }
    return 0;
}

/* By all threads, a part each: CUTLASS's names take 5 us, and libcublasLt has 26 000. The names of a part
 * lie in one piece: 26 000 are as many calls of mprotect, which all threads wait for. */
enum { PART = 256 };

static void name_part(void *context, size_t part)
{
    struct kgi_kernel_table *t = context;
    struct kgi_kernel_row *rows = t->rows + part * PART;
    size_t count = t->count - part * PART < PART ? t->count - part * PART : PART;
    size_t at[PART], used = 0, room = 0;
    void *stack = kgi_pages_get(KGI_DEMANGLE_STACK);
    char *names = NULL, name[16384];

    for (size_t i = 0; i < count; i++) {
        kgi_demangle_on(stack, rows[i].mangled, name, sizeof name);
        size_t size = strlen(name) + 1;
        if (size > room - used) {
            char *grown = realloc(names, room = 2 * room + sizeof name);
            if (!grown) {
                free(names);
                names = NULL;
                break;
            }
            names = grown;
        }
        memcpy(names + used, name, size);
        at[i] = used;
        used += size;
    }
    kgi_pages_put(stack, KGI_DEMANGLE_STACK);
    for (size_t i = 0; names && i < count; i++)
        rows[i].name = names + at[i];
    t->names[part] = names;
}

int kgi_kernel_table(const struct kgi_scan *scan, size_t i, struct kgi_kernel_table *out)
{
    const struct kgi_file *file = &scan->files[i];
    size_t all = kernel_count(file);
    int error = -ENOMEM;

    *out = (struct kgi_kernel_table){.rows = calloc(all + 1, sizeof *out->rows),
                                     .in = calloc(all + 1, sizeof *out->in),
                                     .names = calloc(all / PART + 1, sizeof *out->names)};
    if (out->rows && out->in && out->names) {
        make_rows(file, out);
        out->parts = (out->count + PART - 1) / PART;
        error = fill_rows(scan, file, out);
    }
    if (error == 0)
        kgi_each(out->parts, name_part, out);
    for (size_t k = 0; error == 0 && k < out->parts; k++)
        error = out->names[k] ? 0 : -ENOMEM;
    if (error)
        kgi_kernel_table_free(out);
    else
        qsort(out->rows, out->count, sizeof *out->rows, compare_rows);
    return error;
}

void kgi_kernel_table_free(struct kgi_kernel_table *t)
{
    for (size_t i = 0; i < t->parts; i++)
        free(t->names[i]);
    free(t->names);
    free(t->rows);
    free(t->in);
}
