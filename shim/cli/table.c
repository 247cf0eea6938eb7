/* A file's codes and kernels, brought into an order a reader can use: each different one once. */
#include <errno.h>
#include <pthread.h>
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

/* One kernel in one code. Names are each kept once, so that their pointers tell them apart. */
struct holder {
    const char *name;
    struct kgi_kernel_in in;
    uint64_t available; /* bit j: the code is what targets[j] takes of its image */
};

static int compare_holders(const void *pa, const void *pb)
{
    const struct holder *a = pa, *b = pb;
    int d;

    if ((d = difference((uintptr_t)a->name, (uintptr_t)b->name)) ||
        (d = difference(a->in.kind != KGI_CUBIN, b->in.kind != KGI_CUBIN)) ||
        (d = difference(a->in.kind, b->in.kind)) ||
        (d = difference(a->in.target.number, b->in.target.number)))
        return d;
    return difference((uint8_t)a->in.target.suffix, (uint8_t)b->in.target.suffix);
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

static int collect(const struct kgi_scan *scan, const struct kgi_file *file, struct holder *holders)
{
    size_t at = 0;

    for (size_t i = 0; i < file->found_count; i++) {
        const struct kgi_found *found = &file->found[i];
        uint64_t *takers = found->kernels ? calloc(found->count, sizeof *takers) : NULL;
        if (found->kernels && !takers)
            return -ENOMEM;
        if (takers)
            find_takers(scan, found, takers);
        for (size_t j = 0; takers && j < found->count; j++) {
            const struct kgi_code *code = &found->codes[j];
            for (int32_t k = 0; found->kernels[j] && k < code->kernels; k++)
                holders[at++] = (struct holder){
                    found->kernels[j][k].name,
                    {code->kind, code->target, found->kernels[j][k].registers, 1},
                    takers[j]};
        }
        free(takers);
    }
    return 0;
}

/* Every `step`-th row from first on gets its name. */
struct namer {
    struct kgi_kernel_row *rows;
    size_t count, first, step;
    int error;
};

static void *name_rows(void *context)
{
    struct namer *n = context;
    void *stack = kgi_pages_get(KGI_DEMANGLE_STACK);
    char name[16384];

    for (size_t i = n->first; i < n->count; i += n->step) {
        kgi_demangle_on(stack, n->rows[i].mangled, name, sizeof name);
        n->rows[i].name = strdup(name);
        n->error = n->rows[i].name ? n->error : -ENOMEM;
    }
    kgi_pages_put(stack, KGI_DEMANGLE_STACK);
    return NULL;
}

/* By several threads: CUTLASS's names take 5 us each, and libcublasLt has 26 000. */
static int name_all(struct kgi_kernel_row *rows, size_t count)
{
    enum { MOST = 8, WORTH = 1000 };
    struct namer namers[MOST];
    pthread_t threads[MOST];
    size_t step = count / WORTH + 1 < MOST ? count / WORTH + 1 : MOST, started = 1;
    int error;

    for (size_t i = 0; i < step; i++)
        namers[i] = (struct namer){rows, count, i, step, 0};
    while (started < step &&
           pthread_create(&threads[started], NULL, name_rows, &namers[started]) == 0)
        started++;
    name_rows(&namers[0]);
    for (size_t i = started; i < step; i++)
        name_rows(&namers[i]);
    error = namers[0].error;
    for (size_t i = 1; i < step; i++) {
        if (i < started)
            pthread_join(threads[i], NULL);
        error = error ? error : namers[i].error;
    }
    return error;
}

/* Sorted holders of one name become a row. */
static int make_row(const struct holder *holders, size_t count, uint64_t all,
                    struct kgi_kernel_row *row)
{
    uint64_t available = 0;

    *row = (struct kgi_kernel_row){.mangled = holders->name,
                                   .in = malloc(count * sizeof *row->in)};
    if (!row->in)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        struct kgi_kernel_in *last = row->in_count ? &row->in[row->in_count - 1] : NULL;
        available |= holders[i].available;
        if (last && compare_holders(&(struct holder){holders->name, *last, 0}, &holders[i]) == 0) {
            last->count++;
            if (holders[i].in.registers > last->registers)
                last->registers = holders[i].in.registers;
        } else {
            row->in[row->in_count++] = holders[i].in;
        }
    }
    row->lacking = all & ~available;
    return 0;
}

int kgi_kernel_rows(const struct kgi_scan *scan, size_t i, struct kgi_kernel_row **rows, size_t *count)
{
    const struct kgi_file *file = &scan->files[i];
    size_t all = kernel_count(file), used = 0;
    uint64_t targets = scan->target_count < 64 ? ((uint64_t)1 << scan->target_count) - 1 : UINT64_MAX;
    struct holder *holders = calloc(all + 1, sizeof *holders);
    struct kgi_kernel_row *made = calloc(all + 1, sizeof *made);
    int error = holders && made ? collect(scan, file, holders) : -ENOMEM;

    if (error == 0)
        qsort(holders, all, sizeof *holders, compare_holders);
    for (size_t at = 0, next; error == 0 && at < all; at = next) {
        for (next = at; next < all && holders[next].name == holders[at].name;)
            next++;
        error = make_row(holders + at, next - at, targets, &made[used++]);
    }
    free(holders);
    error = error ? error : name_all(made, used);
    if (error) {
        kgi_kernel_rows_free(made, used);
        return error;
    }
    qsort(made, used, sizeof *made, compare_rows);
    *rows = made;
    *count = used;
    return 0;
}

void kgi_kernel_rows_free(struct kgi_kernel_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(rows[i].name);
        free(rows[i].in);
    }
    free(rows);
}
