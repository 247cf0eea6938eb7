/*
 * One line of what to do. A table decides, not code: the first row of advice.tsv whose cause, GPU
 * range, path pattern and versions match gives the text, and the facts fill its {places}. The table
 * is part of the binary as it is, and read row by row when it is needed, which is seldom: one
 * reader does for it and for a user's own file. What the columns mean stands at its head.
 */
#include <errno.h>
#include <stdio.h>
#include "../base/base.h"
#include "rules.h"

enum { LINE = 200 }; /* bytes a line may have, its NUL not counted */

__asm__(".pushsection .rodata\n"
        "kgi_advice_table:\n"
        ".incbin \"shim/rules/advice.tsv\"\n"
        "kgi_advice_table_end:\n"
        ".popsection\n");
extern const uint8_t kgi_advice_table[] __attribute__((visibility("hidden")));
extern const uint8_t kgi_advice_table_end[] __attribute__((visibility("hidden")));

/* A user's rows, which come first. */
static struct kgi_bytes added;

/* Why help is needed, finer than the reason codes; bits, in the order of their names below. */
enum cause {
    NO_CODE = 1 << 0, /* or none but PTX */
    SPECIFIC = 1 << 1,
    FORCED = 1 << 2, /* CUDA_FORCE_PTX_JIT hides a binary that fits */
    PTX_TOO_NEW = 1 << 3,
    PTX_UNKNOWN = 1 << 4, /* newer than the table of this build */
    ZSTD = 1 << 5,
    ABI8 = 1 << 6,
    OLD_DRIVER = 1 << 7,
    WRONG_GPU = 1 << 8,
    DAMAGED = 1 << 9,
    JIT_FORBIDDEN = 1 << 10,
    JIT_MISSING = 1 << 11,
    NO_KERNEL = 1 << 12,
    BAD_PTX = 1 << 13,
    OBFUSCATED = 1 << 14,
    RELOCATABLE = 1 << 15,
    LTO = 1 << 16,
    CPU_ONLY = 1 << 17,
    CACHE_LOST = 1 << 18,
    JIT_VARIABLE = 1 << 19,
    UNCHECKED = 1 << 20,
    PTX_NEVER = 1 << 21, /* newer than the last driver of the GPU reads */
    COMPILER = 1 << 22,
};
static const char *const cause_names[] = {
    "no-code",    "arch-specific", "jit-forced", "ptx-too-new", "ptx-unknown",   "zstd",
    "abi8",       "old-driver",    "wrong-gpu",  "damaged",     "jit-forbidden", "jit-missing",
    "no-kernel",  "bad-ptx",       "obfuscated", "relocatable", "lto",           "cpu-only",
    "cache-lost", "jit-variable",  "unchecked",  "ptx-never",   "compiler",
};

/* ---- the table ------------------------------------------------------------------------------- */

struct row {
    unsigned causes;
    unsigned from, to;                      /* GPUs, by number; 0, 0: any */
    bool soc;                               /* embedded parts alone */
    struct kgi_bytes paths, versions, text; /* "-" = any */
};

/* Cuts what stands before the first separator (or all) off s. */
static struct kgi_bytes cut(struct kgi_bytes *s, char separator)
{
    const uint8_t *end = s->size ? memchr(s->at, separator, s->size) : NULL;
    struct kgi_bytes part = {s->at, end ? (size_t)(end - s->at) : s->size};

    s->at += part.size + (end != NULL);
    s->size -= part.size + (end != NULL);
    return part;
}

static bool is(struct kgi_bytes s, const char *text)
{
    return s.size == strlen(text) && memcmp(s.at, text, s.size) == 0;
}

static bool read_causes(struct kgi_bytes names, unsigned *causes)
{
    *causes = 0;
    while (names.size) {
        struct kgi_bytes name = cut(&names, '|');
        size_t i = 0;

        while (i < KGI_COUNT(cause_names) && !is(name, cause_names[i]))
            i++;
        if (i == KGI_COUNT(cause_names))
            return false;
        *causes |= 1u << i;
    }
    return *causes != 0;
}

/* A number at the start of s, cut off; -1 when there is none. */
static int cut_number(struct kgi_bytes *s)
{
    int n = -1;

    while (s->size && s->at[0] >= '0' && s->at[0] <= '9' && n < 100000) {
        n = (n < 0 ? 0 : n) * 10 + (s->at[0] - '0');
        s->at++;
        s->size--;
    }
    return n;
}

static bool read_gpus(struct kgi_bytes text, struct row *row)
{
    int from = cut_number(&text), to = from;

    row->soc = from < 0 && is(text, "soc");
    row->from = row->to = 0;
    if (from < 0)
        return row->soc || is(text, "any");
    if (text.size && text.at[0] == '-') {
        text = (struct kgi_bytes){text.at + 1, text.size - 1};
        to = cut_number(&text);
    }
    row->from = (unsigned)from;
    row->to = (unsigned)to;
    return text.size == 0 && to >= from;
}

/* The next row of a table; 0 at its end, -EBADMSG for one that makes no sense; *line counts. */
static int next_row(struct kgi_bytes *table, struct row *row, size_t *line)
{
    struct kgi_bytes rest = {NULL, 0}, causes, gpus;

    do {
        if (!table->size)
            return 0;
        rest = cut(table, '\n');
        ++*line;
    } while (!rest.size || rest.at[0] == '#');
    causes = cut(&rest, '\t');
    gpus = cut(&rest, '\t');
    row->paths = cut(&rest, '\t');
    row->versions = cut(&rest, '\t');
    row->text = cut(&rest, '\t');
    return row->paths.size && row->versions.size && row->text.size &&
                   read_causes(causes, &row->causes) && read_gpus(gpus, row)
               ? 1
               : -EBADMSG;
}

static int check_table(struct kgi_bytes table, size_t *line)
{
    struct row row;
    int error;

    *line = 0;
    while ((error = next_row(&table, &row, line)) > 0)
        ;
    return error;
}

static struct kgi_bytes own_table(void)
{
    return (struct kgi_bytes){kgi_advice_table, (size_t)(kgi_advice_table_end - kgi_advice_table)};
}

int kgi_advice_check(size_t *line)
{
    return check_table(own_table(), line);
}

int kgi_advice_add_file(const char *path, size_t *line)
{
    struct kgi_bytes table = kgi_file_map(path, (size_t)1 << 20);
    int error = table.at ? check_table(table, line) : -ENOENT;

    if (error) {
        kgi_file_unmap(table);
        return error;
    }
    added = table; /* for as long as the program runs */
    return 0;
}

/* ---- why ------------------------------------------------------------------------------------- */

struct facts {
    const char *library; /* never NULL */
    const struct kgi_installed *installed;
    const struct kgi_code *code; /* the one that explains the verdict, or NULL */
    const struct kgi_host *host;
    const struct kgi_verdict *verdict;
};

static bool is_cubin(const struct kgi_code *code)
{
    return code && (code->kind == KGI_CUBIN || code->kind == KGI_MERCURY);
}

static bool fits(const struct facts *f)
{
    if (!f->code)
        return false;
    return is_cubin(f->code) ? kgi_cubin_fits(f->code->target, f->host->gpu)
                             : kgi_ptx_fits(f->code->target, f->host->gpu);
}

static enum cause cause_of_new_ptx(const struct facts *f)
{
    const char *driver;

    if (f->verdict->needs_cuda)
        return PTX_TOO_NEW;
    return f->code && kgi_ptx_cuda(f->code->major, f->code->minor, &driver) ? PTX_NEVER
                                                                            : PTX_UNKNOWN;
}

static enum cause cause_of_unreadable(const struct facts *f)
{
    if (f->code && !fits(f))
        return WRONG_GPU;
    if (!f->verdict->needs_cuda || !f->code)
        return DAMAGED;
    if (f->host->cuda_version >= f->verdict->needs_cuda)
        return DAMAGED;
    if (f->code->packing == KGI_ZSTD && f->verdict->needs_cuda == 12040)
        return ZSTD;
    return is_cubin(f->code) && f->code->target.number < 100 ? ABI8 : OLD_DRIVER;
}

/* The cause behind a verdict; 0 where there is nothing to advise. */
static unsigned cause_of(const struct facts *f)
{
    switch (f->verdict->reason) {
    case KG101_NO_CODE:
        return f->host->jit_forced && is_cubin(f->code) && fits(f) ? FORCED : NO_CODE;
    case KG102_ARCH_SPECIFIC:
        return SPECIFIC;
    case KG103_PTX_TOO_NEW:
        return cause_of_new_ptx(f);
    case KG104_UNREADABLE:
        return cause_of_unreadable(f);
    case KG105_NO_JIT:
        return f->host->jit_forbidden ? JIT_FORBIDDEN : JIT_MISSING;
    case KG106_NO_KERNEL:
        return NO_KERNEL;
    case KG107_BAD_PTX:
        return f->code && f->code->traits & KGI_T_OBFUSCATED ? OBFUSCATED : BAD_PTX;
    case KG108_NEEDS_LINK:
        return f->code && f->code->kind == KGI_LTO ? LTO : RELOCATABLE;
    case KG109_CPU_ONLY:
        return CPU_ONLY;
    case KG110_COMPILER:
        return COMPILER;
    case KG201_WILL_JIT:
        return NO_CODE;
    case KG202_CACHE_LOST:
        return CACHE_LOST;
    case KG203_JIT_VARIABLE:
        return JIT_VARIABLE;
    case KG204_UNCHECKED:
        return UNCHECKED;
    default:
        return 0;
    }
}

static bool for_gpu(const struct row *r, unsigned gpu)
{
    const struct kgi_target_row *target = r->soc ? kgi_target_row((uint16_t)gpu) : NULL;

    if (r->soc)
        return target && target->soc;
    return !r->to || (gpu >= r->from && gpu <= r->to);
}

/* Whether one of the parts, separated by '|', is in path. */
static bool in_path(struct kgi_bytes parts, const char *path)
{
    while (parts.size) {
        struct kgi_bytes part = cut(&parts, '|');

        if (memmem(path, strlen(path), part.at, part.size))
            return true;
    }
    return false;
}

/* The version in "name version" when it is of this package, else NULL. '-' and '_' are one, as in
 * package names. */
static const char *version_of(const char *package, struct kgi_bytes name)
{
    size_t i = 0;

    while (package && i < name.size &&
           (package[i] == name.at[i] || (package[i] == '-' && name.at[i] == '_') ||
            (package[i] == '_' && name.at[i] == '-')))
        i++;
    return package && i == name.size && package[i] == ' ' ? package + i + 1 : NULL;
}

/* -1, 0, 1: the version at a is lower than, equal to, higher than b, number by number; what follows
 * the numbers ("+cu121", "rc1") does not count. */
static int compare_versions(struct kgi_bytes a, struct kgi_bytes b)
{
    for (;;) {
        int x = cut_number(&a), y = cut_number(&b);

        if (x < 0 && y < 0)
            return 0;
        x = x < 0 ? 0 : x;
        y = y < 0 ? 0 : y;
        if (x != y)
            return x < y ? -1 : 1;
        a = a.size && a.at[0] == '.' ? (struct kgi_bytes){a.at + 1, a.size - 1}
                                     : (struct kgi_bytes){0};
        b = b.size && b.at[0] == '.' ? (struct kgi_bytes){b.at + 1, b.size - 1}
                                     : (struct kgi_bytes){0};
    }
}

/* "torch>=2.7": of what is known to be installed; false when that is nothing. */
static bool holds(struct kgi_bytes condition, const struct kgi_installed *installed)
{
    size_t length = 0;
    const char *version;
    bool less, equal;
    int order;

    while (length < condition.size && condition.at[length] != '<' && condition.at[length] != '>')
        length++;
    if (length == condition.size)
        return false;
    version = version_of(installed->package, (struct kgi_bytes){condition.at, length});
    if (!version)
        version = version_of(installed->torch, (struct kgi_bytes){condition.at, length});
    if (!version)
        return false;
    less = condition.at[length] == '<';
    condition = (struct kgi_bytes){condition.at + length + 1, condition.size - length - 1};
    equal = condition.size && condition.at[0] == '=';
    if (equal)
        condition = (struct kgi_bytes){condition.at + 1, condition.size - 1};
    order =
        compare_versions((struct kgi_bytes){(const uint8_t *)version, strlen(version)}, condition);
    return order == 0 ? equal : less == (order < 0);
}

static bool are_installed(struct kgi_bytes versions, const struct kgi_installed *installed)
{
    while (versions.size)
        if (!holds(cut(&versions, '&'), installed))
            return false;
    return true;
}

static bool matches(const struct row *row, unsigned cause, const struct facts *f)
{
    return row->causes & cause && for_gpu(row, f->host->gpu.number) &&
           (is(row->paths, "-") || in_path(row->paths, f->library)) &&
           (is(row->versions, "-") || are_installed(row->versions, f->installed));
}

static struct kgi_bytes text_for(const struct facts *f)
{
    struct kgi_bytes tables[] = {added, own_table()};
    unsigned cause = cause_of(f);

    for (size_t i = 0; i < KGI_COUNT(tables); i++) {
        struct row row;
        size_t line = 0;

        while (next_row(&tables[i], &row, &line) > 0)
            if (matches(&row, cause, f))
                return row.text;
    }
    return (struct kgi_bytes){NULL, 0};
}

/* ---- filling the places -----------------------------------------------------------------------
 */

struct line {
    char text[LINE + 1];
    size_t length;
};

static void add(struct line *line, const char *s)
{
    for (; *s && line->length < LINE; s++)
        line->text[line->length++] = *s;
    line->text[line->length] = 0;
}

static void add_number(struct line *line, unsigned n)
{
    char text[16];

    snprintf(text, sizeof text, "%u", n);
    add(line, text);
}

static void add_dotted(struct line *line, int major, int minor)
{
    add_number(line, (unsigned)major);
    add(line, ".");
    add_number(line, (unsigned)minor);
}

static void add_target(struct line *line, const char *prefix, struct kgi_target t)
{
    char name[20];

    add(line, kgi_target_name(t, prefix, name, sizeof name));
}

/* Names come from paths, so from anybody: what could harm a terminal or a shell is left out, and
 * they are kept short enough for every row to fit. */
static void add_name(struct line *line, const char *name, size_t length)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-";

    for (size_t i = 0; i < (length > 32 ? 29 : length); i++)
        add(line, (char[]){strchr(plain, name[i]) ? name[i] : '?', 0});
    if (length > 32)
        add(line, "...");
}

static const char *file_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void add_file(struct line *line, const struct facts *f)
{
    const char *file = file_of(f->library), *by = f->installed->loaded_by;

    if (*file) {
        add_name(line, file, strlen(file));
    } else if (by) {
        add(line, "what ");
        add_name(line, file_of(by), strlen(file_of(by)));
        add(line, " loads");
    } else {
        add(line, "the code");
    }
}

/* "torchsparse" of .../site-packages/torchsparse-2.1.0-py3.10.egg/torchsparse/backend.so, "udf_ext"
 * of .../site-packages/udf_ext.cpython-310-x86_64-linux-gnu.so, else the file's name. */
static void add_package(struct line *line, const struct facts *f)
{
    const char *start = strstr(f->library, "-packages/");
    const char *file = file_of(f->library);
    size_t length;

    if (f->installed->package) {
        add_name(line, f->installed->package, strcspn(f->installed->package, " "));
        return;
    }

    if (!start && (strstr(file, ".cpython-") || strstr(file, ".abi3.")))
        start = file;
    else if (start)
        start += strlen("-packages/");
    if (!start || !*start) {
        add_file(line, f);
        return;
    }
    length = strcspn(start, "/");
    if (length > 4 && start[length] && !strncmp(start + length - 4, ".egg", 4))
        start += length + 1;
    add_name(line, start, strcspn(start, "/."));
}

/* "nvcc >= 12.8"; "nvcc <= 12.9" where newer ones dropped the GPU; "nvcc 12.8 to 12.9" for one that
 * came and went. */
static void add_tool(struct line *line, const char *article, const char *tool,
                     const struct facts *f)
{
    const struct kgi_target_row *row = kgi_target_row(f->host->gpu.number);
    bool old = row && row->last && row->plain < 11000; /* nobody has one that is too old */

    if (!row) {
        add(line, article);
        add(line, tool);
        add(line, " that knows this GPU");
        return;
    }
    add(line, tool);
    add(line, old ? " <= " : row->last ? " " : " >= ");
    add_dotted(line, (old ? row->last : row->plain) / 1000,
               (old ? row->last : row->plain) % 1000 / 10);
    if (!old && row->last) {
        add(line, " to ");
        add_dotted(line, row->last / 1000, row->last % 1000 / 10);
    }
}

static void add_nvcc(struct line *line, const struct facts *f)
{
    add_tool(line, "an ", "nvcc", f);
}

static void add_toolkit(struct line *line, const struct facts *f)
{
    add_tool(line, "a ", "CUDA", f);
}

/* A toolkit that compiles for the GPU, as packages name it: "128"; 12.6 does for all older ones. */
static void add_cu(struct line *line, const struct facts *f)
{
    int cuda = kgi_target_toolkit((struct kgi_target){f->host->gpu.number, 0});

    if (cuda < 12060)
        cuda = 12060;
    add_number(line, (unsigned)(cuda / 1000 * 10 + cuda % 1000 / 10));
}

/* The GPU's number after prefix; XX for an unknown GPU. */
static void add_gpu(struct line *line, const char *prefix, const struct facts *f)
{
    add(line, prefix);
    if (f->host->gpu.number)
        add_number(line, f->host->gpu.number);
    else
        add(line, "XX");
}

static void add_sm(struct line *line, const struct facts *f)
{
    add_gpu(line, "sm_", f);
}

static void add_n(struct line *line, const struct facts *f)
{
    add_gpu(line, "", f);
}

static void add_cc(struct line *line, const struct facts *f)
{
    int major, minor;

    kgi_target_cc(f->host->gpu, &major, &minor);
    if (major)
        add_dotted(line, major, minor);
    else
        add(line, "X.X");
}

static void add_major(struct line *line, const struct facts *f)
{
    add_number(line, f->host->gpu.number / 10u * 10);
}

static void add_gencode(struct line *line, const struct facts *f)
{
    add_gpu(line, "-gencode arch=compute_", f);
    add_gpu(line, ",code=sm_", f);
}

static void add_torch_floor(struct line *line, const char *before, const char *after,
                            const struct facts *f)
{
    const struct kgi_target_row *row = kgi_target_row(f->host->gpu.number);

    if (!row || !row->torch)
        return;
    add(line, before);
    add(line, row->torch);
    add(line, after);
}

static void add_torch(struct line *line, const struct facts *f)
{
    add_torch_floor(line, "", " and ", f);
}

static void add_with_torch(struct line *line, const struct facts *f)
{
    add_torch_floor(line, " (", ")", f);
}

/* "2.5.1" of "torch 2.5.1+cu121": the row's condition says that it is known. */
static void add_torch_version(struct line *line, const struct facts *f)
{
    const struct kgi_bytes torch = {(const uint8_t *)"torch", 5};
    const char *version = version_of(f->installed->package, torch);

    if (!version)
        version = version_of(f->installed->torch, torch);
    if (version)
        add_name(line, version, strcspn(version, "+-~!abcdefghijklmnopqrstuvwxyz"));
}

static void add_held(struct line *line, const struct facts *f)
{
    if (f->code)
        add_target(line, is_cubin(f->code) ? "sm_" : "compute_", f->code->target);
    else
        add(line, "device");
}

/* Where code made for one target runs: "sm_90", "the sm_100 family". */
static void add_on(struct line *line, const struct facts *f)
{
    if (!f->code) {
        add(line, "another GPU");
        return;
    }
    add(line, f->code->target.suffix == 'f' ? "the " : "");
    add_target(line, "sm_", (struct kgi_target){f->code->target.number, 0});
    add(line, f->code->target.suffix == 'f' ? " family" : "");
}

static void add_isa(struct line *line, const struct facts *f)
{
    add(line, "PTX");
    if (f->code && f->code->kind != KGI_CUBIN) {
        add(line, " ");
        add_dotted(line, f->code->major, f->code->minor);
    }
}

static void add_cuda(struct line *line, const struct facts *f)
{
    add_dotted(line, f->verdict->needs_cuda / 1000, f->verdict->needs_cuda % 1000 / 10);
}

static void add_driver(struct line *line, const struct facts *f)
{
    const char *driver = kgi_cuda_driver(f->verdict->needs_cuda);

    add(line, driver ? ">= " : "one for CUDA >= ");
    if (driver)
        add(line, driver);
    else
        add_cuda(line, f);
}

static void add_variable(struct line *line, const struct facts *f)
{
    const char *forced = f->host->jit_forced, *forbidden = f->host->jit_forbidden;

    add(line, f->verdict->reason == KG105_NO_JIT && forbidden ? forbidden : forced ? forced : "");
}

static const struct place {
    const char *name;
    void (*add)(struct line *line, const struct facts *f);
} places[] = {
    {"name}", add_package},
    {"file}", add_file},
    {"sm}", add_sm},
    {"n}", add_n},
    {"cc}", add_cc},
    {"major}", add_major},
    {"nvcc}", add_nvcc},
    {"toolkit}", add_toolkit},
    {"cu}", add_cu},
    {"torch}", add_torch},
    {"withtorch}", add_with_torch},
    {"torchversion}", add_torch_version},
    {"gencode}", add_gencode},
    {"held}", add_held},
    {"on}", add_on},
    {"isa}", add_isa},
    {"cuda}", add_cuda},
    {"driver}", add_driver},
    {"variable}", add_variable},
};

/* The place that text starts with, or NULL. */
static const struct place *place_at(struct kgi_bytes text)
{
    for (size_t i = 0; text.at[0] == '{' && i < KGI_COUNT(places); i++) {
        size_t length = strlen(places[i].name);

        if (text.size > length && memcmp(text.at + 1, places[i].name, length) == 0)
            return &places[i];
    }
    return NULL;
}

static void fill(struct line *line, struct kgi_bytes text, const struct facts *f)
{
    while (text.size) {
        const struct place *place = place_at(text);
        size_t used = place ? 1 + strlen(place->name) : 1;

        if (place)
            place->add(line, f);
        else
            add(line, (char[]){(char)text.at[0], 0});
        text = (struct kgi_bytes){text.at + used, text.size - used};
    }
}

void kgi_advice(const char *library, const struct kgi_installed *installed,
                const struct kgi_code *codes, size_t count, const struct kgi_host *host,
                const struct kgi_verdict *verdict, char *out, size_t size)
{
    static const struct kgi_installed unknown;
    bool explained = verdict->chosen >= 0 && (size_t)verdict->chosen < count;
    struct facts f = {library ? library : "", installed ? installed : &unknown,
                      explained ? &codes[verdict->chosen] : NULL, host, verdict};
    struct line line = {{0}, 0};

    fill(&line, text_for(&f), &f);
    snprintf(out, size, "%s", line.text);
}
