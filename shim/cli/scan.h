/*
 * The scan command's own interfaces: what it found (scan.c), brought into an order (table.c), and told
 * (output.c, formats.c). Everything else of the command sees only cli.h.
 */
#ifndef KGI_SCAN_H
#define KGI_SCAN_H

#include "cli.h"

/* ---- scan.c ---------------------------------------------------------------------------------------------- */

enum { KGI_TARGETS_MOST = 64 };

/* Something that is no file's verdict: a tool that will fail (tools.c), an error, a note. */
struct kgi_finding {
    char *path;
    struct kgi_target target;
    int reason;
    char *text, *help;
};
struct kgi_finding_list {
    struct kgi_finding *at;
    size_t count, room;
};

enum kgi_format { KGI_FORMAT_TEXT, KGI_FORMAT_JSON, KGI_FORMAT_JSONL, KGI_FORMAT_TSV,
                  KGI_FORMAT_SARIF };

/* A finished scan: everything the outputs tell. */
struct kgi_scan {
    struct kgi_file *files; /* by path; those without CUDA code only where the user named them */
    size_t file_count, file_room;
    struct kgi_file_verdict *verdicts; /* of each file, target by target */
    struct kgi_target targets[KGI_TARGETS_MOST];
    size_t target_count;
    bool asked;             /* the targets are the user's or this machine's, not all there are */
    struct kgi_host host;   /* what is known of the driver; gpu is not set */
    const char *driver;     /* "570.26", or NULL */
    struct kgi_finding_list findings, errors, notes;
    uint64_t bytes;         /* of the files that were read */
    size_t files_read;
    enum kgi_format format;
    bool kernels, why, quiet, color;
};

/* The verdict of files[i] for targets[j], and the host that stands for that target. */
const struct kgi_file_verdict *kgi_scan_verdict(const struct kgi_scan *scan, size_t i, size_t j);
struct kgi_host kgi_scan_host(const struct kgi_scan *scan, size_t j);
/* The code that decided; NULL when there is none. */
const struct kgi_code *kgi_scan_code(const struct kgi_file *file, const struct kgi_file_verdict *v);
/* One line of advice for files[i] on targets[j] into out; "" when nothing is to be done. */
void kgi_scan_help(const struct kgi_scan *scan, size_t i, size_t j, char *out, size_t size);

/* ---- table.c ----------------------------------------------------------------------------------------------- */

/* The codes of a file, each different one once with how many there are; sorted; for free(), NULL when
 * there are none. held: only those with kernels of images that count for the verdict, whatever their
 * packing: what a reader wants to know. */
struct kgi_entry {
    struct kgi_code code;
    size_t count;
};
struct kgi_entry *kgi_entries(const struct kgi_file *file, bool held, size_t *count);

/* Where a kernel is. */
struct kgi_kernel_in {
    uint16_t kind;
    struct kgi_target target;
    int registers;  /* the most of any image's; 0 unknown */
    unsigned count; /* in so many images */
};
struct kgi_kernel_row {
    const char *mangled;
    const char *name; /* demangled */
    struct kgi_kernel_in *in;
    size_t in_count;
    uint64_t lacking; /* bit j: no image that targets[j] takes holds it */
};
struct kgi_kernel_table {
    struct kgi_kernel_row *rows;
    size_t count;
    struct kgi_kernel_in *in; /* of all rows */
    char **names;             /* of some rows each */
    size_t parts;             /* so many */
};
/* The kernels of files[i], one row per name, sorted; the caller frees it. -ENOMEM, with nothing to free. */
int kgi_kernel_table(const struct kgi_scan *scan, size_t i, struct kgi_kernel_table *out);
void kgi_kernel_table_free(struct kgi_kernel_table *table);

/* ---- output.c: text; formats.c: json, jsonl, tsv, sarif -------------------------------------------------------- */

/* 0; -ENOMEM: kernels are left out. */
int kgi_output_text(const struct kgi_scan *scan, FILE *out);
int kgi_output_machine(const struct kgi_scan *scan, FILE *out);

#endif
