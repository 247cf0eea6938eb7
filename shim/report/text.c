/*
 * The report a person reads: facts before advice, at most 12 lines, what is not known left out.
 * Names come from files nobody has checked: they are shown with control characters escaped.
 */
#include "report.h"

#include <stdio.h>

#define MOST_LINES 12
#define LONG_KERNEL 120  /* a longer name would hide the reason behind it */

static void label(struct kgi_text *out, const char *name)
{
    kgi_prefix(out);
    kgi_text_add(out, "  %-8s ", name);
}

static const char *file_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash && slash[1] ? slash + 1 : path;
}

static void add_severity(struct kgi_text *out, const struct kgi_diagnosis *d)
{
    bool failed = d->event == KGI_EVENT_FAILURE || d->event == KGI_EVENT_FOLLOWUP;

    if (!d->reason)
        kgi_text_add(out, "info: ");
    else
        kgi_text_add(out, "%s[KG%d]: ", d->reason < KG201_WILL_JIT && failed ? "error" : "warn",
                     d->reason);
}

void kgi_report_folded(struct kgi_text *out, const char *name)
{
    int depth = 0;

    for (; *name; name++) {
        bool opens = *name == '<' || *name == '(', closes = *name == '>' || *name == ')';

        if (closes && depth > 0 && --depth == 0)
            kgi_text_add(out, "...");
        if (depth == 0)
            kgi_text_add(out, "%c", *name);
        depth += opens;
    }
}

/* Long C++ names get the short form where they stand in a sentence; a line of its own has all. */
bool kgi_report_kernel(struct kgi_text *out, const char *mangled)
{
    char name[2048];
    KGI_TEXT(folded, LONG_KERNEL);

    kgi_demangle(mangled, name, sizeof name);
    if (strlen(name) <= LONG_KERNEL) {
        kgi_text_add_safe(out, name);
        return true;
    }
    kgi_report_folded(&folded, name);
    kgi_text_add_safe(out, folded.at);
    if (folded.cut)
        kgi_text_add(out, "...");
    return false;
}

static void add_whole_kernel(struct kgi_text *out, const char *mangled)
{
    char name[2048];

    kgi_demangle(mangled, name, sizeof name);
    label(out, "kernel");
    kgi_text_add_safe(out, name);
    kgi_text_add(out, "\n");
}

/* "of udf_ext.so", "built in memory by libtorch.so" */
static const char *holder(const struct kgi_diagnosis *d)
{
    return d->library ? file_of(d->library) : d->built_by ? file_of(d->built_by) : NULL;
}

static void add_who(struct kgi_text *out, const struct kgi_diagnosis *d, bool *folded)
{
    const char *file = holder(d);

    if (d->kernel && !d->not_used_yet) {
        kgi_text_add(out, "kernel ");
        *folded = !kgi_report_kernel(out, d->kernel);
        return;
    }
    kgi_text_add(out, d->not_used_yet ? "the code in " : "a kernel of ");
    if (d->library && file)
        kgi_text_add_safe(out, file);
    else if (file) {
        kgi_text_add(out, "an image built in memory by ");
        kgi_text_add_safe(out, file);
    } else
        kgi_text_add(out, "an image in memory");
}

/* One list of reasons, in the rules: "no code ..." and "only ..." read on after "has". */
static void add_why(struct kgi_text *out, const struct kgi_diagnosis *d)
{
    const char *title = kgi_reason_title(d->reason);
    bool has = title && (!strncmp(title, "no ", 3) || !strncmp(title, "only ", 5));

    if (d->not_used_yet)
        kgi_text_add(out, " cannot run, not used yet");
    else if (!has)
        kgi_text_add(out, " cannot run");
    if (title)
        kgi_text_add(out, "%s%s", has && !d->not_used_yet ? " has " : ": ", title);
    if (d->query && d->api)
        kgi_text_add(out, " (%s asked; not a launch)", d->api);
    if (d->kernel && d->kernel_from)
        kgi_text_add(out, " (name from the %s)", d->kernel_from);
}

static void add_library(struct kgi_text *out, const struct kgi_diagnosis *d)
{
    const char *separator = "  (";

    if (!d->library && !d->built_by)
        return;
    label(out, "library");
    if (!d->library)
        kgi_text_add(out, "built in memory by ");
    kgi_text_add_safe(out, d->library ? d->library : d->built_by);
    if (d->package) {
        kgi_text_add(out, "%spackage ", separator);
        kgi_text_add_safe(out, d->package);
        separator = ", ";
    }
    if (d->place) {
        kgi_text_add(out, "%scode at byte %llu", separator, (unsigned long long)d->place);
        separator = ", ";
    }
    kgi_text_add(out, "%s\n", separator[0] == ',' ? ")" : "");
}

static void add_holds(struct kgi_text *out, const struct kgi_diagnosis *d)
{
    if (!d->code_count && !d->unreadable)
        return;
    label(out, "holds");
    if (d->code_count)
        kgi_report_holds(d->codes, d->code_count, out);
    if (d->torch_fine)
        kgi_text_add(out, " (PyTorch itself is fine: it has code for this GPU)");
    if (d->unreadable)
        kgi_text_add(out, "%scould not be read past byte %llu", d->code_count ? "; " : "",
                     (unsigned long long)d->broken);
    kgi_text_add(out, "\n");
}

/* The code the verdict is about; NULL when it is about none. */
static const struct kgi_code *chosen(const struct kgi_diagnosis *d)
{
    int i = d->verdict.chosen;

    return i >= 0 && (size_t)i < d->code_count ? &d->codes[i] : NULL;
}

static const char *code_name(const struct kgi_code *c, char *out, size_t size)
{
    return kgi_target_name(c->target, c->kind == KGI_CUBIN ? "sm_" : "compute_", out, size);
}

/* SASS that would run, were it not for CUDA_FORCE_PTX_JIT. */
static bool is_hidden(const struct kgi_diagnosis *d)
{
    const struct kgi_code *c = chosen(d);

    return d->reason == KG101_NO_CODE && d->host.jit_forced && c && c->kind == KGI_CUBIN &&
           kgi_cubin_fits(c->target, d->host.gpu);
}

static void need_code(struct kgi_text *out, const struct kgi_diagnosis *d)
{
    char gpu[24];

    if (is_hidden(d)) {
        kgi_text_add(out, "%s unset, or PTX up to %s", d->host.jit_forced,
                     kgi_target_name(d->host.gpu, "compute_", gpu, sizeof gpu));
        return;
    }
    kgi_text_add(out, "%s SASS", kgi_target_name(d->host.gpu, "sm_", gpu, sizeof gpu));
    if (d->host.jit_forbidden)
        kgi_text_add(out, " (%s=1 forbids PTX)", d->host.jit_forbidden);
    else
        kgi_text_add(out, ", or PTX up to %s",
                     kgi_target_name(d->host.gpu, "compute_", gpu, sizeof gpu));
}

static void need_driver(struct kgi_text *out, int cuda_version)
{
    if (cuda_version)
        kgi_text_add(out, "a driver of CUDA %d.%d or newer", cuda_version / 1000,
                     cuda_version % 1000 / 10);
    else
        kgi_text_add(out, "a newer driver");
}

/* Both ISA versions, and the driver that would do. */
static void need_newer_ptx(struct kgi_text *out, const struct kgi_diagnosis *d,
                           const struct kgi_code *c)
{
    const char *driver = NULL;
    int cuda = c ? kgi_ptx_cuda(c->major, c->minor, &driver) : 0, major, minor;

    need_driver(out, cuda ? cuda : d->verdict.needs_cuda);
    if (driver)
        kgi_text_add(out, " (%s)", driver);
    if (!c)
        return;
    kgi_text_add(out, "; its PTX is ISA %u.%u", c->major, c->minor);
    if (!d->host.cuda_version)
        return;
    kgi_ptx_newest(d->host.cuda_version, &major, &minor);
    if (major)
        kgi_text_add(out, ", this one reads up to %d.%d", major, minor);
}

static void need_readable(struct kgi_text *out, const struct kgi_diagnosis *d,
                          const struct kgi_code *c)
{
    char name[24];

    int needs = d->verdict.needs_cuda;

    bool new_enough = d->host.cuda_version && needs <= d->host.cuda_version;

    /* A file cut short may have lost its list of kernels alone. */
    if (d->unreadable || d->verdict.answer == KGI_NO_CUDA) {
        kgi_text_add(out, "an undamaged image");
        return;
    }
    if (c && (d->verdict.reason == KGI_OK || d->verdict.reason == KG201_WILL_JIT) && new_enough) {
        kgi_text_add(out, "an image in a form this call takes, and undamaged; its %s code would fit",
                     code_name(c, name, sizeof name));
        return;
    }
    if (!c || (needs ? new_enough : c->packing != KGI_ZSTD && c->abi != 8)) {
        need_code(out, d);
        return;
    }
    need_driver(out, needs);
    kgi_text_add(out, "; its %s code is %s", code_name(c, name, sizeof name),
                 c->packing == KGI_ZSTD ? "compressed with zstd"
                 : c->abi == 8          ? "a cubin of ELF ABI 8"
                                        : "of a newer format");
}

static void need_compiler(struct kgi_text *out, const struct kgi_diagnosis *d)
{
    const struct kgi_target_row *row = kgi_target_row(d->host.gpu.number);
    int cuda = kgi_target_toolkit(d->host.gpu);
    char name[24];

    kgi_text_add(out, "a compiler that knows %s",
                 kgi_target_name(d->host.gpu, "sm_", name, sizeof name));
    if (!cuda)
        return;
    kgi_text_add(out, ", of CUDA %d.%d", cuda / 1000, cuda % 1000 / 10);
    if (row && row->last)
        kgi_text_add(out, " to %d.%d", row->last / 1000, row->last % 1000 / 10);
    else
        kgi_text_add(out, " or newer");
}

/* What would have to be there; false when nothing certain can be said. */
static bool add_need(struct kgi_text *out, const struct kgi_diagnosis *d)
{
    const struct kgi_code *c = chosen(d);
    char name[24];

    switch (d->reason) {
    case KG103_PTX_TOO_NEW:
        need_newer_ptx(out, d, c);
        return true;
    case KG105_NO_JIT:
        if (d->host.jit_forbidden)
            kgi_text_add(out, "%s unset", d->host.jit_forbidden);
        else
            kgi_text_add(out, "the driver's JIT, libnvidia-ptxjitcompiler.so");
        return true;
    case KG108_NEEDS_LINK:
        kgi_text_add(out, "a device link (nvcc -dlink); what it holds is not executable");
        return true;
    case KG106_NO_KERNEL:
        kgi_text_add(out, "this kernel in the code that the driver chose");
        if (c)
            kgi_text_add(out, ", %s", code_name(c, name, sizeof name));
        return true;
    case KG107_BAD_PTX:
        kgi_text_add(out, "PTX that the driver can compile");
        return true;
    case KG110_COMPILER:
        need_compiler(out, d);
        return true;
    case KG109_CPU_ONLY:
        kgi_text_add(out, "a build with CUDA");
        return true;
    case KG104_UNREADABLE:
        if (!d->host.gpu.number)
            return false;
        need_readable(out, d, c);
        return true;
    case KG102_ARCH_SPECIFIC:
        if (!d->host.gpu.number)
            return false;
        need_code(out, d);
        if (c && c->target.suffix)
            kgi_text_add(out, "; %s code runs on %s", code_name(c, name, sizeof name),
                         c->target.suffix == 'f' ? "its own family only" : "that one GPU only");
        return true;
    default:
        if (!d->host.gpu.number)
            return false;
        need_code(out, d);
        return true;
    }
}

static void add_device(struct kgi_text *out, const struct kgi_diagnosis *d)
{
    char target[24];

    if (d->ordinal < 0)
        kgi_text_add(out, "target %s, from KGUARD_TARGET",
                     kgi_target_name(d->host.gpu, "sm_", target, sizeof target));
    else {
        kgi_text_add(out, "GPU %d", d->ordinal);
        if (d->gpu) {
            kgi_text_add(out, ", ");
            kgi_text_add_safe(out, d->gpu);
        }
    }
    if (d->driver) {
        kgi_text_add(out, ", driver ");
        kgi_text_add_safe(out, d->driver);
    }
}

static void add_needs(struct kgi_text *out, const struct kgi_diagnosis *d)
{
    size_t before = out->length;

    label(out, "needs");
    if (add_need(out, d)) {
        /* What a compiler was asked for need not be a GPU of this machine. */
        if (d->ordinal >= 0 || d->reason != KG110_COMPILER) {
            kgi_text_add(out, ": ");
            add_device(out, d);
        }
        kgi_text_add(out, "\n");
    } else {
        out->length = before;
        out->at[before] = 0;
    }
}

static void add_api(struct kgi_text *out, const struct kgi_diagnosis *d)
{
    if (!d->api)
        return;
    label(out, "api");
    kgi_text_add(out, "%s = %d", d->api, d->result);
    if (d->result_text) {
        kgi_text_add(out, " (");
        kgi_text_add_safe(out, d->result_text);
        kgi_text_add(out, ")");
    }
    kgi_text_add(out, "\n");
}

static void add_line(struct kgi_text *out, const char *name, const char *value)
{
    if (!value)
        return;
    label(out, name);
    kgi_text_add_safe(out, value);
    kgi_text_add(out, "\n");
}

static void add_called(struct kgi_text *out, const struct kgi_diagnosis *d)
{
    if (!d->python && !d->stack)
        return;
    label(out, "called");
    if (d->python)
        kgi_text_add_safe(out, d->python);
    if (d->python && d->stack)
        kgi_text_add(out, " > ");
    if (d->stack)
        kgi_text_add_safe(out, d->stack);
    kgi_text_add(out, "\n");
}

/* The lines of the log that the limit leaves room for; blank ones are not worth a line. */
static void add_log(struct kgi_text *out, const char *log, int room)
{
    int more = 0;

    while (log && *log) {
        size_t length = strcspn(log, "\n");
        char line[512];

        if (length && room > 1) {
            snprintf(line, sizeof line, "%.*s", (int)length, log);
            add_line(out, "log", line);
            room--;
        } else {
            more += length != 0;
        }
        log += length + (log[length] != 0);
    }
    if (more) {
        label(out, "log");
        kgi_text_add(out, "and %d more line%s\n", more, more == 1 ? "" : "s");
    }
}

static int lines_of(const char *text)
{
    int lines = 0;

    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

static void add_failure(struct kgi_text *out, const struct kgi_diagnosis *d)
{
    bool folded = false;

    kgi_prefix(out);
    add_severity(out, d);
    if (d->message) {
        kgi_text_add_safe(out, d->message);
    } else {
        add_who(out, d, &folded);
        add_why(out, d);
    }
    kgi_text_add(out, "\n");
    if (folded) {
        add_whole_kernel(out, d->kernel);
    } else if (!d->kernel && d->kernels) {
        label(out, "kernel");
        kgi_text_add(out, "not known which; the image has ");
        kgi_text_add_safe(out, d->kernels);
        kgi_text_add(out, "\n");
    }
    add_library(out, d);
    add_holds(out, d);
    add_needs(out, d);
    add_api(out, d);
    add_called(out, d);
    add_line(out, "found", d->found);
    add_log(out, d->log, MOST_LINES - lines_of(out->at) - 1);
    add_line(out, "help", d->help);
}

/* What there is to compile says how long it may take. */
static void add_size(struct kgi_text *out, uint64_t bytes)
{
    if (bytes >= 1000000)
        kgi_text_add(out, ": %.1f MB of PTX, a slow first start", (double)bytes / 1e6);
    else if (bytes)
        kgi_text_add(out, ": %llu KB of PTX in this image; many such make a slow first start",
                     (unsigned long long)(bytes + 999) / 1000);
    else
        kgi_text_add(out, ", a slow first start");
}

static void add_outlook(struct kgi_text *out, const struct kgi_diagnosis *d)
{
    const struct kgi_code *c = chosen(d);
    const char *title = kgi_reason_title(d->reason);
    char target[24], name[24];

    kgi_target_name(d->host.gpu, "sm_", target, sizeof target);
    if (d->reason == KG201_WILL_JIT && c) {
        kgi_text_add(out, "; will be JIT-compiled from %s for %s",
                     code_name(c, name, sizeof name), target);
        add_size(out, c->size);
    } else if (is_hidden(d))
        kgi_text_add(out, "; %s hides that SASS, and no PTX is left for %s", d->host.jit_forced,
                     target);
    else if (d->reason == KG101_NO_CODE)
        kgi_text_add(out, "; no SASS for %s, and no PTX it can use", target);
    else if (d->reason && title)
        kgi_text_add(out, "; %s: %s", target, title);
    else if (c)
        kgi_text_add(out, "; %s runs %s", target, code_name(c, name, sizeof name));
}

static void add_module(struct kgi_text *out, const struct kgi_diagnosis *d)
{
    kgi_prefix(out);
    add_severity(out, d);
    if (d->message) {
        kgi_text_add_safe(out, d->message);
        kgi_text_add(out, "\n");
        return;
    }
    if (d->library) {
        kgi_text_add_safe(out, d->library);
    } else {
        kgi_text_add(out, "an image built in memory by ");
        kgi_text_add_safe(out, d->built_by ? d->built_by : "the program");
    }
    kgi_text_add(out, " holds ");
    kgi_report_holds(d->codes, d->code_count, out);
    if (d->unreadable)
        kgi_text_add(out, "; could not be read past byte %llu", (unsigned long long)d->broken);
    if (d->host.gpu.number)
        add_outlook(out, d);
    kgi_text_add(out, "\n");
}

static void add_sentence(struct kgi_text *out, const struct kgi_diagnosis *d)
{
    kgi_prefix(out);
    add_severity(out, d);
    if (d->message)
        kgi_text_add_safe(out, d->message);
    if (d->count > 1)
        kgi_text_add(out, " (%llu failed calls in all)", (unsigned long long)d->count);
    kgi_text_add(out, "\n");
}

size_t kgi_report_text(const struct kgi_diagnosis *d, struct kgi_text *out)
{
    if (d->event == KGI_EVENT_FAILURE)
        add_failure(out, d);
    else if (d->event == KGI_EVENT_MODULE)
        add_module(out, d);
    else
        add_sentence(out, d);
    /* Whatever was cut: a line ends where it ends. */
    if (out->length && out->at[out->length - 1] != '\n')
        out->at[out->length - 1] = '\n';
    return out->length;
}
