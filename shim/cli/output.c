/*
 * The scan as a person reads it: first what cannot run and what to do about it, then what will be
 * slow, then what is fine; at the end a table of all files and targets.
 */
#include <stdlib.h>

#include "../report/report.h"
#include "scan.h"

static const char *const styles[] = {"\033[0m", "\033[1m", "\033[31m", "\033[33m", "\033[32m", "\033[2m"};
enum style { PLAIN, BOLD, RED, YELLOW, GREEN, DIM };

static const char *style(const struct kgi_scan *scan, enum style s)
{
    return scan->color ? styles[s] : "";
}

static enum style style_of(enum kgi_answer answer)
{
    switch (answer) {
    case KGI_NATIVE:
    case KGI_FAMILY:
        return GREEN;
    case KGI_JIT:
    case KGI_LINK:
        return YELLOW;
    case KGI_NONE:
        return RED;
    default:
        return DIM;
    }
}

/* A name from a file that nobody vouches for. */
static void put_safe(FILE *out, const char *s)
{
    KGI_TEXT(text, 16384);
    kgi_text_add_safe(&text, s);
    fputs(text.at, out);
}

static void put_file(FILE *out, const struct kgi_file *file)
{
    put_safe(out, file->path);
    if (file->package) {
        fputs("  (", out);
        put_safe(out, file->package);
        fputc(')', out);
    }
}

static void put_holds(FILE *out, const struct kgi_file *file)
{
    KGI_TEXT(holds, 4096);
    size_t count;
    struct kgi_entry *entries = kgi_entries(file, true, &count);
    struct kgi_code *codes = calloc(count + 1, sizeof *codes);

    for (size_t i = 0; codes && i < count; i++)
        codes[i] = entries[i].code;
    kgi_report_holds(codes, codes ? count : 0, &holds);
    fputs(holds.at, out);
    free(codes);
    free(entries);
}

static void put_targets(FILE *out, const struct kgi_scan *scan, const bool *which)
{
    const char *before = "";
    char name[24];

    for (size_t j = 0; j < scan->target_count; j++) {
        if (!which[j])
            continue;
        fprintf(out, "%s%s", before, kgi_target_name(scan->targets[j], "sm_", name, sizeof name));
        before = " ";
    }
}

/* ---- what decides a verdict, in words ----------------------------------------------------------------- */

static void put_code(FILE *out, const struct kgi_code *code)
{
    char name[24];

    if (code->kind == KGI_CUBIN)
        fprintf(out, "SASS %s", kgi_target_name(code->target, "sm_", name, sizeof name));
    else if (code->kind == KGI_PTX || code->kind == KGI_RELOCATABLE_PTX)
        fprintf(out, "PTX %s (ISA %u.%u)",
                kgi_target_name(code->target, "compute_", name, sizeof name), code->major, code->minor);
    else if (code->kind == KGI_LTO)
        fprintf(out, "LTO %s", kgi_target_name(code->target, "compute_", name, sizeof name));
    else
        fprintf(out, "kind 0x%02x", code->kind);
}

static void put_driver(FILE *out, const struct kgi_verdict *v)
{
    const char *driver = v->needs_cuda ? kgi_cuda_driver(v->needs_cuda) : NULL;

    if (driver)
        fprintf(out, ", driver >= %s", driver);
}

static void put_aside(FILE *out, const struct kgi_file_verdict *v)
{
    if ((v->verdict.answer == KGI_JIT || v->verdict.answer == KGI_LINK) && v->compiled < v->judged)
        fprintf(out, "; %zu of %zu images", v->compiled, v->judged);
    if (v->failing && v->verdict.answer != KGI_NONE)
        fprintf(out, "; %zu of %zu images do not run there", v->failing, v->judged);
    else if (v->failing && v->failing < v->judged)
        fprintf(out, ", in %zu of %zu images", v->failing, v->judged);
}

static void put_evidence(FILE *out, const struct kgi_scan *scan, size_t i, size_t j)
{
    const struct kgi_file_verdict *v = kgi_scan_verdict(scan, i, j);
    const struct kgi_file *file = &scan->files[i];
    const struct kgi_code *code = kgi_scan_code(file, v);
    char name[24];

    fprintf(out, "      why    %s: %s", kgi_target_name(scan->targets[j], "sm_", name, sizeof name),
            kgi_answer_names[v->verdict.answer]);
    if (v->verdict.reason)
        fprintf(out, " (KG%03d %s)", v->verdict.reason, kgi_reason_title(v->verdict.reason));
    if (v->found < file->found_count) {
        fprintf(out, ", by the %s at 0x%llx",
                file->found[v->found].fatbin ? "fatbin" : "image",
                (unsigned long long)file->found[v->found].place);
        if (code) {
            fputs(v->verdict.answer == KGI_NONE ? ", nearest " : ", which gives ", out);
            put_code(out, code);
            put_driver(out, &v->verdict);
        }
        put_aside(out, v);
    }
    fputc('\n', out);
}

/* What images there are, each different one once, most frequent first. */
struct shape {
    char text[512];
    size_t count;
    uint64_t place;
};

static int compare_shapes(const void *pa, const void *pb)
{
    const struct shape *a = pa, *b = pb;

    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    return (a->place > b->place) - (a->place < b->place);
}

static void shape_of(const struct kgi_file *file, size_t i, struct kgi_text *out)
{
    const struct kgi_found *found = &file->found[i];

    kgi_text_add(out, "%s, ", !found->fatbin        ? "raw image"
                              : found->linked       ? "registered, device-linked"
                              : found->relocatable  ? "relocatable, for the device link"
                              : found->registered   ? "registered"
                                                    : "not registered");
    if (found->count)
        kgi_report_holds(found->codes, found->count, out);
    else
        kgi_text_add(out, "empty");
}

static void put_shapes(FILE *out, const struct kgi_file *file)
{
    enum { MOST = 256 };
    struct shape *shapes = calloc(MOST, sizeof *shapes);
    size_t count = 0, rest = 0;

    for (size_t i = 0; shapes && i < file->found_count; i++) {
        KGI_TEXT(text, sizeof shapes->text);
        size_t k = 0;
        shape_of(file, i, &text);
        while (k < count && strcmp(shapes[k].text, text.at) != 0)
            k++;
        if (k < count) {
            shapes[k].count++;
        } else if (count < MOST) {
            memcpy(shapes[count].text, text.at, text.length + 1);
            shapes[count].count = 1;
            shapes[count++].place = file->found[i].place;
        } else {
            rest++;
        }
    }
    if (count)
        qsort(shapes, count, sizeof *shapes, compare_shapes);
    for (size_t k = 0; k < count; k++)
        fprintf(out, "      images %zu x %s; first at 0x%llx\n", shapes[k].count, shapes[k].text,
                (unsigned long long)shapes[k].place);
    if (rest)
        fprintf(out, "      images %zu more\n", rest);
    if (file->chooses && file->registers)
        fputs("      images no GPU runs them all: the library chooses at run time\n", out);
    else if (file->found_count && !file->registers)
        fputs("      images none is registered with the runtime: the library loads them itself\n", out);
    free(shapes);
}

static void put_why(FILE *out, const struct kgi_scan *scan, size_t i)
{
    for (size_t j = 0; j < scan->target_count; j++)
        put_evidence(out, scan, i, j);
    put_shapes(out, &scan->files[i]);
}

/* ---- the parts of the report ----------------------------------------------------------------------------- */

/* The targets of files[i] with this reason among the answers [from, to]; their number. */
static size_t targets_with(const struct kgi_scan *scan, size_t i, enum kgi_answer from,
                           enum kgi_answer to, int reason, bool *which)
{
    size_t count = 0;

    for (size_t j = 0; j < scan->target_count; j++) {
        const struct kgi_verdict *v = &kgi_scan_verdict(scan, i, j)->verdict;
        which[j] = v->answer >= from && v->answer <= to && (!reason || v->reason == reason);
        count += which[j];
    }
    return count;
}

static size_t files_with(const struct kgi_scan *scan, enum kgi_answer from, enum kgi_answer to)
{
    bool which[KGI_TARGETS_MOST];
    size_t count = 0;

    for (size_t i = 0; i < scan->file_count; i++)
        count += targets_with(scan, i, from, to, 0, which) > 0;
    return count;
}

/* For the newest of them, whose compiler and releases do for the others too. */
static void put_help(FILE *out, const struct kgi_scan *scan, size_t i, const bool *which)
{
    bool others[KGI_TARGETS_MOST] = {false};
    size_t newest = scan->target_count, count = 0;
    char help[256];

    for (size_t j = 0; j < scan->target_count; j++)
        if (which[j]) {
            others[j] = true;
            count++;
            if (newest == scan->target_count ||
                scan->targets[j].number > scan->targets[newest].number)
                newest = j;
        }
    if (!count)
        return;
    kgi_scan_help(scan, i, newest, help, sizeof help);
    if (!*help)
        return;
    fputs("      help   ", out);
    put_safe(out, help);
    if (count > 1) {
        others[newest] = false;
        fputs("; likewise for ", out);
        put_targets(out, scan, others);
    }
    fputc('\n', out);
}

static void put_offender(FILE *out, const struct kgi_scan *scan, size_t i, int reason,
                         const bool *which)
{
    fprintf(out, "  %sKG%03d%s  ", style(scan, RED), reason, style(scan, PLAIN));
    put_file(out, &scan->files[i]);
    fputs("\n      on     ", out);
    put_targets(out, scan, which);
    fprintf(out, ": %s", kgi_reason_title(reason));
    for (size_t j = 0; j < scan->target_count; j++)
        if (which[j]) {
            put_aside(out, kgi_scan_verdict(scan, i, j));
            break;
        }
    fputs("\n      holds  ", out);
    put_holds(out, &scan->files[i]);
    fputc('\n', out);
    put_help(out, scan, i, which);
}

static void put_cannot(FILE *out, const struct kgi_scan *scan)
{
    bool which[KGI_TARGETS_MOST];

    for (size_t i = 0; i < scan->file_count; i++) {
        for (int reason = KG101_NO_CODE; reason < KG201_WILL_JIT; reason++)
            if (targets_with(scan, i, KGI_NONE, KGI_NONE, reason, which))
                put_offender(out, scan, i, reason, which);
        if (scan->why && targets_with(scan, i, KGI_NONE, KGI_NONE, 0, which))
            put_why(out, scan, i);
    }
    for (size_t i = 0; i < scan->findings.count; i++) {
        const struct kgi_finding *f = &scan->findings.at[i];
        char name[24];
        fprintf(out, "  %sKG%03d%s  ", style(scan, RED), f->reason, style(scan, PLAIN));
        put_safe(out, f->path);
        fprintf(out, "\n      on     %s: ", kgi_target_name(f->target, "sm_", name, sizeof name));
        put_safe(out, f->text);
        fputc('\n', out);
        if (f->help) {
            fputs("      help   ", out);
            put_safe(out, f->help);
            fputc('\n', out);
        }
    }
}

/* Whether the same is to be said of two targets. */
static bool reads_alike(const struct kgi_file *file, const struct kgi_file_verdict *a,
                        const struct kgi_file_verdict *b)
{
    const struct kgi_code *x = kgi_scan_code(file, a), *y = kgi_scan_code(file, b);

    return a->verdict.reason == b->verdict.reason &&
           a->verdict.needs_cuda == b->verdict.needs_cuda && a->compiled == b->compiled &&
           a->failing == b->failing && !x == !y &&
           (!x || (x->kind == y->kind && x->target.number == y->target.number &&
                   x->target.suffix == y->target.suffix && x->major == y->major &&
                   x->minor == y->minor));
}

/* What the first of these targets is compiled from, with the others that this is true of; they are
 * no longer among them then. False when there is none left. */
static bool put_compiled(FILE *out, const struct kgi_scan *scan, size_t i, bool *which)
{
    bool alike[KGI_TARGETS_MOST] = {false};
    size_t first = 0;

    while (first < scan->target_count && !which[first])
        first++;
    if (first == scan->target_count)
        return false;
    const struct kgi_file_verdict *v = kgi_scan_verdict(scan, i, first);
    const struct kgi_code *code = kgi_scan_code(&scan->files[i], v);
    for (size_t j = first; j < scan->target_count; j++) {
        alike[j] = which[j] && reads_alike(&scan->files[i], v, kgi_scan_verdict(scan, i, j));
        which[j] = which[j] && !alike[j];
    }
    fputs("      on     ", out);
    put_targets(out, scan, alike);
    if (code) {
        fputs(v->verdict.answer == KGI_LINK ? ": linked by the driver from " : ": from ", out);
        put_code(out, code);
        put_driver(out, &v->verdict);
    }
    put_aside(out, v);
    fputc('\n', out);
    return true;
}

static void put_jit(FILE *out, const struct kgi_scan *scan)
{
    bool which[KGI_TARGETS_MOST];

    for (size_t i = 0; i < scan->file_count; i++) {
        if (!targets_with(scan, i, KGI_JIT, KGI_LINK, 0, which))
            continue;
        size_t j = 0;
        while (!which[j])
            j++;
        fprintf(out, "  %sKG%03d%s  ", style(scan, YELLOW),
                kgi_scan_verdict(scan, i, j)->verdict.reason, style(scan, PLAIN));
        put_file(out, &scan->files[i]);
        fputc('\n', out);
        while (put_compiled(out, scan, i, which))
            ;
        if (scan->why && !targets_with(scan, i, KGI_NONE, KGI_NONE, 0, which)) /* else it was said */
            put_why(out, scan, i);
    }
}

static bool is_fine(const struct kgi_scan *scan, size_t i)
{
    bool which[KGI_TARGETS_MOST];

    return targets_with(scan, i, KGI_NATIVE, KGI_FAMILY, 0, which) == scan->target_count;
}

static void put_fine(FILE *out, const struct kgi_scan *scan)
{
    for (size_t i = 0; i < scan->file_count; i++) {
        if (!is_fine(scan, i))
            continue;
        fputs("  ", out);
        put_file(out, &scan->files[i]);
        fputc('\n', out);
        if (scan->why)
            put_why(out, scan, i);
    }
}

static size_t count_fine(const struct kgi_scan *scan)
{
    size_t count = 0;

    for (size_t i = 0; i < scan->file_count; i++)
        count += is_fine(scan, i);
    return count;
}

static size_t count_without(const struct kgi_scan *scan)
{
    bool which[KGI_TARGETS_MOST];
    size_t count = 0;

    for (size_t i = 0; i < scan->file_count; i++)
        count += targets_with(scan, i, KGI_NO_CUDA, KGI_NO_CUDA, 0, which) == scan->target_count;
    return count;
}

static void put_summary(FILE *out, const struct kgi_scan *scan)
{
    bool all[KGI_TARGETS_MOST];
    size_t without = count_without(scan);

    memset(all, 1, sizeof all);
    fprintf(out, "%zu file%s with CUDA code among %zu (%.1f MB)", scan->file_count - without,
            scan->file_count - without == 1 ? "" : "s", scan->files_read, (double)scan->bytes / 1e6);
    if (scan->asked) {
        fputs(", judged for ", out);
        put_targets(out, scan, all);
    } else {
        fputs(", judged for every GPU of today's drivers", out);
    }
    if (scan->driver)
        fprintf(out, " with driver %s", scan->driver);
    fputc('\n', out);
    if (scan->asked)
        fprintf(out, "%s%zu cannot run%s, %zu will be compiled at first use, %zu fine\n",
                style(scan, BOLD), files_with(scan, KGI_NONE, KGI_NONE) + scan->findings.count,
                style(scan, PLAIN), files_with(scan, KGI_JIT, KGI_LINK), count_fine(scan));
}

static void put_title(FILE *out, const struct kgi_scan *scan, enum style s, const char *title,
                      size_t count)
{
    fprintf(out, "\n%s%s%s (%zu)%s\n", style(scan, BOLD), style(scan, s), title, count,
            style(scan, PLAIN));
}

static void put_sections(FILE *out, const struct kgi_scan *scan)
{
    size_t cannot = files_with(scan, KGI_NONE, KGI_NONE) + scan->findings.count;
    size_t jit = files_with(scan, KGI_JIT, KGI_LINK), fine = count_fine(scan);

    if (cannot) {
        put_title(out, scan, RED, "cannot run", cannot);
        put_cannot(out, scan);
    }
    if (jit && !scan->quiet) {
        put_title(out, scan, YELLOW, "will be compiled at first use", jit);
        put_jit(out, scan);
    }
    if (fine && !scan->quiet) {
        put_title(out, scan, GREEN, "fine", fine);
        put_fine(out, scan);
    }
}

/* ---- the matrix -------------------------------------------------------------------------------------------------- */

/* How much of the paths all files share, up to a "/". */
static size_t shared_prefix(const struct kgi_scan *scan)
{
    const char *first = scan->files[0].path, *last = scan->files[scan->file_count - 1].path;
    size_t length = 0, end = 0; /* sorted: what these two share, all do */

    for (; first[length] && first[length] == last[length]; length++)
        if (first[length] == '/')
            end = length + 1;
    if (scan->file_count == 1)
        end = (size_t)(strrchr(first, '/') ? strrchr(first, '/') - first + 1 : 0);
    return end;
}

static void put_cell(FILE *out, const struct kgi_scan *scan, const struct kgi_verdict *v, int width)
{
    char text[24];
    int reason = v->answer == KGI_NONE ? v->reason : 0;

    if (v->answer == KGI_NO_CUDA)
        snprintf(text, sizeof text, "-");
    else if (reason)
        snprintf(text, sizeof text, "KG%03d", reason);
    else
        snprintf(text, sizeof text, "%s", kgi_answer_names[v->answer]);
    fprintf(out, " %s%*s%s", style(scan, style_of(v->answer)), width, text, style(scan, PLAIN));
}

/* How many letters a text has, and where its last ones begin. */
static int letters(const char *utf8)
{
    int count = 0;

    for (; *utf8; utf8++)
        count += (*utf8 & 0xc0) != 0x80;
    return count;
}

static const char *last_letters(const char *utf8, int count)
{
    for (int over = letters(utf8) - count; over > 0; over--)
        while ((*++utf8 & 0xc0) == 0x80)
            ;
    return utf8;
}

static void put_matrix(FILE *out, const struct kgi_scan *scan)
{
    enum { CELL = 7, NAME_MOST = 60 };
    size_t shared = shared_prefix(scan);
    int width = 0;
    char name[24];

    for (size_t i = 0; i < scan->file_count; i++) {
        int length = letters(scan->files[i].path + shared);
        width = length > width ? length : width;
    }
    width = width > NAME_MOST ? NAME_MOST : width;
    fprintf(out, "\n%*s", -width, "");
    for (size_t j = 0; j < scan->target_count; j++)
        fprintf(out, " %*s", CELL, kgi_target_name(scan->targets[j], "sm_", name, sizeof name));
    fputc('\n', out);
    for (size_t i = 0; i < scan->file_count; i++) {
        KGI_TEXT(text, 4096);
        kgi_text_add_safe(&text, scan->files[i].path + shared);
        if (letters(text.at) > NAME_MOST) /* the end tells more than the beginning */
            fprintf(out, "...%s", last_letters(text.at, NAME_MOST - 3));
        else
            fprintf(out, "%s%*s", text.at, letters(text.at) - width, "");
        for (size_t j = 0; j < scan->target_count; j++)
            put_cell(out, scan, &kgi_scan_verdict(scan, i, j)->verdict, CELL);
        fputc('\n', out);
    }
}

/* ---- kernels ----------------------------------------------------------------------------------------------------- */

static void put_kernel(FILE *out, const struct kgi_kernel_row *row)
{
    char name[24];

    fputs("  ", out);
    put_safe(out, row->name);
    fputc(':', out);
    for (size_t k = 0; k < row->in_count; k++) {
        const struct kgi_kernel_in *in = &row->in[k];
        fprintf(out, "%s %s", k ? "," : "",
                kgi_target_name(in->target, in->kind == KGI_CUBIN ? "sm_" : "compute_", name,
                                sizeof name));
        if (in->registers)
            fprintf(out, " %d", in->registers);
        if (in->count > 1)
            fprintf(out, " x%u", in->count);
    }
    fputc('\n', out);
}

static void put_lacking(FILE *out, const struct kgi_scan *scan, const struct kgi_kernel_table *t)
{
    char name[24];

    for (size_t j = 0; j < scan->target_count && scan->asked; j++) {
        size_t lacking = 0;
        for (size_t k = 0; k < t->count; k++)
            lacking += t->rows[k].lacking >> j & 1;
        if (!lacking)
            continue;
        fprintf(out, "  %s%s lacks %zu of %zu kernels%s%s\n", style(scan, RED),
                kgi_target_name(scan->targets[j], "sm_", name, sizeof name), lacking, t->count,
                style(scan, PLAIN), lacking == t->count ? "" : ":");
        for (size_t k = 0; k < t->count && lacking < t->count; k++) {
            if (!(t->rows[k].lacking >> j & 1))
                continue;
            fputs("    ", out);
            put_safe(out, t->rows[k].name);
            fputc('\n', out);
        }
    }
}

/* Rows of the list, a part by each thread: one of libcublasLt's 26 752 takes 0.4 us. */
enum { PART = 256, PARTS = 64 };

struct rows {
    const struct kgi_kernel_row *at;
    size_t count;
    char *text[PARTS];
    size_t size[PARTS];
};

static void put_some(FILE *out, const struct rows *rows, size_t part)
{
    for (size_t i = part * PART; i < rows->count && i < (part + 1) * PART; i++)
        put_kernel(out, &rows->at[i]);
}

static void put_part(void *context, size_t part)
{
    struct rows *rows = context;
    FILE *out = open_memstream(&rows->text[part], &rows->size[part]);
    bool good = out != NULL;

    if (out) {
        put_some(out, rows, part);
        good = !ferror(out);
        good &= fclose(out) == 0;
    }
    if (!good) {
        free(rows->text[part]);
        rows->text[part] = NULL;
    }
}

static void put_rows(FILE *out, const struct kgi_kernel_table *t)
{
    for (size_t from = 0; from < t->count; from += PARTS * PART) {
        size_t left = t->count - from;
        struct rows rows = {t->rows + from, left < PARTS * PART ? left : PARTS * PART, {NULL}, {0}};
        size_t parts = (rows.count + PART - 1) / PART;
        kgi_each(parts, put_part, &rows);
        for (size_t i = 0; i < parts; i++) {
            if (rows.text[i])
                fwrite(rows.text[i], 1, rows.size[i], out);
            else /* there was no memory for it */
                put_some(out, &rows, i);
            free(rows.text[i]);
        }
    }
}

static int put_kernels(FILE *out, const struct kgi_scan *scan, size_t i)
{
    struct kgi_kernel_table table;
    int error = kgi_kernel_table(scan, i, &table);

    if (error)
        return error;
    if (table.count) {
        fprintf(out, "\n%skernels of ", style(scan, BOLD));
        put_file(out, &scan->files[i]);
        fprintf(out, "%s: %zu; each with the registers a thread uses\n", style(scan, PLAIN), table.count);
    }
    put_rows(out, &table);
    put_lacking(out, scan, &table);
    kgi_kernel_table_free(&table);
    return 0;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

int kgi_output_text(const struct kgi_scan *scan, FILE *out)
{
    int error = 0;

    if (!scan->quiet)
        put_summary(out, scan);
    if (scan->asked)
        put_sections(out, scan);
    else if (scan->why)
        for (size_t i = 0; i < scan->file_count; i++) {
            fputc('\n', out);
            put_file(out, &scan->files[i]);
            fputc('\n', out);
            put_why(out, scan, i);
        }
    for (size_t i = 0; i < scan->file_count && scan->kernels && !error; i++)
        error = put_kernels(out, scan, i);
    if (!scan->quiet && scan->file_count)
        put_matrix(out, scan);
    if (!scan->quiet && !scan->asked && scan->file_count)
        fputs("\nWhat to do about one GPU: kguard scan --target sm_120 ...\n", out);
    return error;
}
