/* The scan for programs: JSON (one document, or one line per file), TSV, SARIF 2.1.0. */
#include <stdlib.h>

#include "scan.h"

/* ---- JSON, written as it comes: a library's kernels can be hundreds of MB of it ------------------------- */

struct json {
    FILE *out;
    bool comma; /* something stands before at this level */
    int error;  /* something is left out */
};

static void separate(struct json *j)
{
    if (j->comma)
        fputc(',', j->out);
    j->comma = true;
}

static void put_string(struct json *j, const char *s)
{
    KGI_TEXT(text, 65536);
    kgi_text_add_json(&text, s);
    fprintf(j->out, "\"%s\"", text.at);
}

static void key(struct json *j, const char *name)
{
    separate(j);
    fprintf(j->out, "\"%s\":", name);
    j->comma = false;
}

static void string(struct json *j, const char *name, const char *value)
{
    key(j, name);
    if (value)
        put_string(j, value);
    else
        fputs("null", j->out);
    j->comma = true;
}

static void number(struct json *j, const char *name, uint64_t value)
{
    key(j, name);
    fprintf(j->out, "%llu", (unsigned long long)value);
    j->comma = true;
}

static void boolean(struct json *j, const char *name, bool value)
{
    key(j, name);
    fputs(value ? "true" : "false", j->out);
    j->comma = true;
}

/* Opens an object or list: as a member where name is given, as an element else. */
static void open_as(struct json *j, const char *name, char bracket)
{
    if (name)
        key(j, name);
    else
        separate(j);
    fputc(bracket, j->out);
    j->comma = false;
}

static void close_as(struct json *j, char bracket)
{
    fputc(bracket, j->out);
    j->comma = true;
}

/* ---- facts ------------------------------------------------------------------------------------------------ */

static const char *kind_name(uint16_t kind)
{
    switch (kind) {
    case KGI_PTX:
    case KGI_RELOCATABLE_PTX:
        return "ptx";
    case KGI_CUBIN:
        return "cubin";
    case KGI_LTO:
        return "lto";
    case KGI_MERCURY:
        return "mercury";
    case KGI_INDEX:
        return "index";
    case KGI_TILE:
        return "tile";
    default:
        return "unknown";
    }
}

static const char *target_of(uint16_t kind, struct kgi_target target, char *out, size_t size)
{
    return kgi_target_name(target, kind == KGI_CUBIN || kind == KGI_MERCURY ? "sm_" : "compute_", out,
                           size);
}

static const char *code_of(int reason, char *out, size_t size)
{
    snprintf(out, size, "KG%03d", reason);
    return reason ? out : NULL;
}

static const char *driver_of(const struct kgi_verdict *v)
{
    return v->needs_cuda ? kgi_cuda_driver(v->needs_cuda) : NULL;
}

/* ---- one file as JSON --------------------------------------------------------------------------------------- */

static void put_entry(struct json *j, const struct kgi_entry *entry)
{
    static const char *const packings[] = {"none", "lz4", "zstd", "unknown"};
    const struct kgi_code *code = &entry->code;
    char text[32];

    open_as(j, NULL, '{');
    string(j, "kind", kind_name(code->kind));
    string(j, "target", target_of(code->kind, code->target, text, sizeof text));
    snprintf(text, sizeof text, "%u.%u", code->major, code->minor);
    string(j, "version", text);
    string(j, "packing", packings[code->packing < 3 ? code->packing : 3]);
    if (code->traits & KGI_T_RELOCATABLE)
        boolean(j, "relocatable", true);
    if (code->traits & KGI_T_OBFUSCATED)
        boolean(j, "obfuscated", true);
    if (code->traits & KGI_T_DEBUG)
        boolean(j, "debug", true);
    if (code->traits & KGI_T_UNREADABLE)
        boolean(j, "unreadable", true);
    if (code->traits & KGI_T_INSPECTED && code->kernels == 0)
        boolean(j, "empty", true);
    number(j, "count", entry->count);
    close_as(j, '}');
}

static void put_entries(struct json *j, const struct kgi_file *file)
{
    size_t count;
    struct kgi_entry *entries = kgi_entries(file, false, &count);

    open_as(j, "entries", '[');
    for (size_t i = 0; i < count; i++)
        put_entry(j, &entries[i]);
    close_as(j, ']');
    free(entries);
}

static void put_verdict(struct json *j, const struct kgi_scan *scan, size_t i, size_t t)
{
    const struct kgi_file_verdict *v = kgi_scan_verdict(scan, i, t);
    const struct kgi_code *code = kgi_scan_code(&scan->files[i], v);
    char text[32], help[256];

    open_as(j, NULL, '{');
    string(j, "target", kgi_target_name(scan->targets[t], "sm_", text, sizeof text));
    string(j, "verdict", kgi_answer_names[v->verdict.answer]);
    string(j, "code", code_of(v->verdict.reason, text, sizeof text));
    if (code) {
        string(j, "by", target_of(code->kind, code->target, text, sizeof text));
        number(j, "place", scan->files[i].found[v->found].place);
    }
    if (driver_of(&v->verdict))
        string(j, "needs_driver", driver_of(&v->verdict));
    number(j, "images", v->judged);
    number(j, "failing", v->failing);
    number(j, "compiled", v->compiled);
    if (v->verdict.answer == KGI_NONE) {
        kgi_scan_help(scan, i, t, help, sizeof help);
        if (*help)
            string(j, "help", help);
    }
    close_as(j, '}');
}

static void put_kernel(struct json *j, const struct kgi_scan *scan, const struct kgi_kernel_row *row)
{
    char text[32];

    open_as(j, NULL, '{');
    string(j, "kernel", row->name);
    string(j, "kernel_mangled", row->mangled);
    open_as(j, "in", '[');
    for (size_t k = 0; k < row->in_count; k++) {
        open_as(j, NULL, '{');
        string(j, "kind", kind_name(row->in[k].kind));
        string(j, "target", target_of(row->in[k].kind, row->in[k].target, text, sizeof text));
        if (row->in[k].registers)
            number(j, "registers", (uint64_t)row->in[k].registers);
        number(j, "count", row->in[k].count);
        close_as(j, '}');
    }
    close_as(j, ']');
    open_as(j, "lacking", '[');
    for (size_t t = 0; t < scan->target_count; t++)
        if (row->lacking >> t & 1) {
            separate(j);
            put_string(j, kgi_target_name(scan->targets[t], "sm_", text, sizeof text));
        }
    close_as(j, ']');
    close_as(j, '}');
}

/* One code of one image, with the names of its kernels where they were read. */
static void put_code(struct json *j, const struct kgi_found *found, size_t k)
{
    const struct kgi_code *code = &found->codes[k];
    char text[32];

    open_as(j, NULL, '{');
    number(j, "place", found->place + code->place);
    string(j, "kind", kind_name(code->kind));
    string(j, "target", target_of(code->kind, code->target, text, sizeof text));
    snprintf(text, sizeof text, "%u.%u", code->major, code->minor);
    string(j, "version", text);
    number(j, "size", code->size);
    if (code->traits & KGI_T_INSPECTED)
        number(j, "kernels", (uint64_t)code->kernels);
    if (found->kernels && found->kernels[k]) {
        open_as(j, "names", '[');
        for (int32_t n = 0; n < code->kernels; n++) {
            separate(j);
            put_string(j, found->kernels[k][n].name);
        }
        close_as(j, ']');
    }
    close_as(j, '}');
}

/* Every image as it lies in the file: what the verdicts rest on. */
static void put_evidence(struct json *j, const struct kgi_file *file)
{
    open_as(j, "evidence", '[');
    for (size_t i = 0; i < file->found_count; i++) {
        const struct kgi_found *found = &file->found[i];
        open_as(j, NULL, '{');
        number(j, "place", found->place);
        boolean(j, "fatbin", found->fatbin);
        boolean(j, "registered", found->registered);
        boolean(j, "linked", found->linked);
        boolean(j, "relocatable", found->relocatable);
        open_as(j, "codes", '[');
        for (size_t k = 0; k < found->count; k++)
            put_code(j, found, k);
        close_as(j, ']');
        close_as(j, '}');
    }
    close_as(j, ']');
}

static void put_kernels(struct json *j, const struct kgi_scan *scan, size_t i)
{
    struct kgi_kernel_table table;

    if ((j->error = kgi_kernel_table(scan, i, &table)))
        return;
    open_as(j, "kernels", '[');
    for (size_t k = 0; k < table.count; k++)
        put_kernel(j, scan, &table.rows[k]);
    close_as(j, ']');
    kgi_kernel_table_free(&table);
}

static void put_file_members(struct json *j, const struct kgi_scan *scan, size_t i)
{
    const struct kgi_file *file = &scan->files[i];
    size_t fatbins = 0, registered = 0;

    for (size_t k = 0; k < file->found_count; k++) {
        fatbins += file->found[k].fatbin;
        registered += file->found[k].registered;
    }
    string(j, "path", file->path);
    string(j, "package", file->package);
    number(j, "size", file->size);
    number(j, "fatbins", fatbins);
    number(j, "images", file->found_count);
    number(j, "registered", registered);
    boolean(j, "chooses", file->found_count && file->chooses);
    put_entries(j, file);
    open_as(j, "verdicts", '[');
    for (size_t t = 0; t < scan->target_count; t++)
        put_verdict(j, scan, i, t);
    close_as(j, ']');
    if (scan->kernels && !j->error)
        put_kernels(j, scan, i);
    if (scan->why)
        put_evidence(j, file);
    if (file->error)
        string(j, "error", file->error);
}

static void put_finding(struct json *j, const struct kgi_finding *f)
{
    char text[32];

    string(j, "path", f->path);
    if (f->target.number)
        string(j, "target", kgi_target_name(f->target, "sm_", text, sizeof text));
    if (f->reason)
        string(j, "code", code_of(f->reason, text, sizeof text));
    string(j, "text", f->text);
    if (f->help)
        string(j, "help", f->help);
}

static void put_list(struct json *j, const char *name, const struct kgi_finding_list *list)
{
    open_as(j, name, '[');
    for (size_t i = 0; i < list->count; i++) {
        open_as(j, NULL, '{');
        put_finding(j, &list->at[i]);
        close_as(j, '}');
    }
    close_as(j, ']');
}

static void put_targets(struct json *j, const struct kgi_scan *scan)
{
    char text[32];

    open_as(j, "targets", '[');
    for (size_t t = 0; t < scan->target_count; t++) {
        separate(j);
        put_string(j, kgi_target_name(scan->targets[t], "sm_", text, sizeof text));
    }
    close_as(j, ']');
}

static int output_json(const struct kgi_scan *scan, FILE *out)
{
    struct json j = {out, false, 0};

    open_as(&j, NULL, '{');
    number(&j, "schema", 1);
    put_targets(&j, scan);
    string(&j, "driver", scan->driver);
    number(&j, "files_read", scan->files_read);
    number(&j, "bytes", scan->bytes);
    open_as(&j, "files", '[');
    for (size_t i = 0; i < scan->file_count; i++) {
        open_as(&j, NULL, '{');
        put_file_members(&j, scan, i);
        close_as(&j, '}');
    }
    close_as(&j, ']');
    put_list(&j, "findings", &scan->findings);
    put_list(&j, "errors", &scan->errors);
    close_as(&j, '}');
    fputc('\n', out);
    return j.error;
}

/* One object per line: "event" says of what. */
static int output_jsonl(const struct kgi_scan *scan, FILE *out)
{
    int error = 0;
    const struct {
        const char *event;
        const struct kgi_finding_list *list;
    } lists[] = {{"finding", &scan->findings}, {"error", &scan->errors}};

    for (size_t i = 0; i < scan->file_count; i++) {
        struct json j = {out, false, error};
        open_as(&j, NULL, '{');
        number(&j, "schema", 1);
        string(&j, "event", "file");
        put_file_members(&j, scan, i);
        close_as(&j, '}');
        fputc('\n', out);
        error = j.error;
    }
    for (size_t l = 0; l < KGI_COUNT(lists); l++)
        for (size_t i = 0; i < lists[l].list->count; i++) {
            struct json j = {out, false, 0};
            open_as(&j, NULL, '{');
            number(&j, "schema", 1);
            string(&j, "event", lists[l].event);
            put_finding(&j, &lists[l].list->at[i]);
            close_as(&j, '}');
            fputc('\n', out);
        }
    return error;
}

/* ---- TSV ----------------------------------------------------------------------------------------------------- */

/* No field may hold a tab or newline: kgi_text_add_safe shows them. */
static void put_field(FILE *out, const char *s, char end)
{
    KGI_TEXT(text, 65536);
    kgi_text_add_safe(&text, s ? s : "");
    fprintf(out, "%s%c", text.at, end);
}

static void output_tsv(const struct kgi_scan *scan, FILE *out)
{
    char text[32], help[256];

    fputs("path\tpackage\ttarget\tverdict\tcode\tby\tneeds_driver\timages\tfailing\thelp\n", out);
    for (size_t i = 0; i < scan->file_count; i++)
        for (size_t t = 0; t < scan->target_count; t++) {
            const struct kgi_file_verdict *v = kgi_scan_verdict(scan, i, t);
            const struct kgi_code *code = kgi_scan_code(&scan->files[i], v);
            put_field(out, scan->files[i].path, '\t');
            put_field(out, scan->files[i].package, '\t');
            put_field(out, kgi_target_name(scan->targets[t], "sm_", text, sizeof text), '\t');
            put_field(out, kgi_answer_names[v->verdict.answer], '\t');
            put_field(out, code_of(v->verdict.reason, text, sizeof text), '\t');
            put_field(out, code ? target_of(code->kind, code->target, text, sizeof text) : "", '\t');
            put_field(out, driver_of(&v->verdict), '\t');
            fprintf(out, "%zu\t%zu\t", v->judged, v->failing);
            help[0] = 0;
            if (v->verdict.answer == KGI_NONE)
                kgi_scan_help(scan, i, t, help, sizeof help);
            put_field(out, help, '\n');
        }
}

/* ---- SARIF 2.1.0 ------------------------------------------------------------------------------------------------ */

/* A file's name as a URI reference: RFC 3986's unreserved characters and "/" stand, all else is %XX. */
static void put_uri(struct json *j, const char *name, const char *path)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";

    key(j, name);
    fprintf(j->out, "\"%s", path[0] == '/' ? "file://" : "");
    for (const unsigned char *p = (const unsigned char *)path; *p; p++)
        fprintf(j->out, strchr(plain, *p) ? "%c" : "%%%02X", *p);
    fputc('"', j->out);
    j->comma = true;
}

static void put_text(struct json *j, const char *name, const char *text)
{
    open_as(j, name, '{');
    string(j, "text", text);
    close_as(j, '}');
}

static void put_rules(struct json *j)
{
    char id[16];

    open_as(j, "rules", '[');
    for (int reason = KG101_NO_CODE; reason <= 299; reason++) {
        if (!*kgi_reason_text(reason))
            continue;
        open_as(j, NULL, '{');
        string(j, "id", code_of(reason, id, sizeof id));
        put_text(j, "shortDescription", kgi_reason_title(reason));
        put_text(j, "fullDescription", kgi_reason_text(reason));
        open_as(j, "defaultConfiguration", '{');
        string(j, "level", reason < KG201_WILL_JIT ? "error" : "note");
        close_as(j, '}');
        close_as(j, '}');
    }
    close_as(j, ']');
}

/* fails: the driver links what is relocatable, for which the reason is the same as where it cannot. */
static void put_result(struct json *j, const char *path, int reason, bool fails, const char *message)
{
    char id[16];

    open_as(j, NULL, '{');
    string(j, "ruleId", code_of(reason, id, sizeof id));
    string(j, "level", fails ? "error" : "note");
    put_text(j, "message", message);
    open_as(j, "locations", '[');
    open_as(j, NULL, '{');
    open_as(j, "physicalLocation", '{');
    open_as(j, "artifactLocation", '{');
    put_uri(j, "uri", path);
    close_as(j, '}');
    close_as(j, '}');
    close_as(j, '}');
    close_as(j, ']');
    close_as(j, '}');
}

static void put_results(struct json *j, const struct kgi_scan *scan)
{
    char name[24], help[256];

    open_as(j, "results", '[');
    for (size_t i = 0; i < scan->file_count; i++)
        for (size_t t = 0; t < scan->target_count && scan->asked; t++) {
            const struct kgi_verdict *v = &kgi_scan_verdict(scan, i, t)->verdict;
            KGI_TEXT(message, 2048);
            if (v->answer <= KGI_FAMILY || v->answer == KGI_NO_CUDA)
                continue;
            kgi_scan_help(scan, i, t, help, sizeof help);
            kgi_text_add(&message, "%s: %s%s%s.",
                         kgi_target_name(scan->targets[t], "sm_", name, sizeof name),
                         kgi_reason_title(v->reason), v->answer == KGI_NONE && *help ? "; " : "",
                         v->answer == KGI_NONE ? help : "");
            put_result(j, scan->files[i].path, v->reason, v->answer == KGI_NONE, message.at);
        }
    for (size_t i = 0; i < scan->findings.count; i++) {
        const struct kgi_finding *f = &scan->findings.at[i];
        KGI_TEXT(message, 4096);
        kgi_text_add(&message, "%s: %s%s%s", kgi_target_name(f->target, "sm_", name, sizeof name),
                     f->text, f->help ? "; " : "", f->help ? f->help : "");
        put_result(j, f->path, f->reason, true, message.at);
    }
    close_as(j, ']');
}

static void put_invocation(struct json *j, const struct kgi_scan *scan)
{
    open_as(j, "invocations", '[');
    open_as(j, NULL, '{');
    boolean(j, "executionSuccessful", scan->errors.count == 0);
    open_as(j, "toolExecutionNotifications", '[');
    for (size_t i = 0; i < scan->errors.count; i++) {
        KGI_TEXT(message, 8192);
        kgi_text_add(&message, "%s: %s", scan->errors.at[i].path, scan->errors.at[i].text);
        open_as(j, NULL, '{');
        string(j, "level", "error");
        put_text(j, "message", message.at);
        close_as(j, '}');
    }
    close_as(j, ']');
    close_as(j, '}');
    close_as(j, ']');
}

static void output_sarif(const struct kgi_scan *scan, FILE *out)
{
    struct json j = {out, false, 0};

    open_as(&j, NULL, '{');
    string(&j, "$schema", "https://json.schemastore.org/sarif-2.1.0.json");
    string(&j, "version", "2.1.0");
    open_as(&j, "runs", '[');
    open_as(&j, NULL, '{');
    open_as(&j, "tool", '{');
    open_as(&j, "driver", '{');
    string(&j, "name", "kguard");
    put_rules(&j);
    close_as(&j, '}');
    close_as(&j, '}');
    put_invocation(&j, scan);
    put_results(&j, scan);
    close_as(&j, '}');
    close_as(&j, ']');
    close_as(&j, '}');
    fputc('\n', out);
}

int kgi_output_machine(const struct kgi_scan *scan, FILE *out)
{
    switch (scan->format) {
    case KGI_FORMAT_JSON:
        return output_json(scan, out);
    case KGI_FORMAT_JSONL:
        return output_jsonl(scan, out);
    case KGI_FORMAT_TSV:
        output_tsv(scan, out);
        return 0;
    default:
        output_sarif(scan, out);
        return 0;
    }
}
