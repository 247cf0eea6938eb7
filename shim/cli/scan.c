/*
 * kguard scan: walks what it is given, judges each file against each target, and hands the result to
 * an output. Results go to stdout (or --output), everything else to stderr.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "scan.h"

enum fail_on { FAIL_ON_CANNOT, FAIL_ON_JIT, FAIL_ON_NEVER };
enum when { WHEN_AUTO, WHEN_ALWAYS, WHEN_NEVER };

/* The walk and what it needs to know. */
struct run {
    struct kgi_scan scan;
    struct kgi_packages *packages;
    char **paths; /* as the user gave them */
    int path_count;
    char driver[64];
    const char *output, *advice;
    enum fail_on fail_on;
    enum when color;
    pid_t pid;
    int error; /* what stopped the walk */
    struct timespec start;
    double shown; /* when the progress bar was drawn last, in seconds from start; 0 = never */
    uint64_t passed, before, total; /* bytes of the path that is being walked; of those before it; of all,
                                       0 = not known */
};

/* ---- options --------------------------------------------------------------------------------------------- */

static int one_of(const char *value, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (value && strcmp(value, names[i]) == 0)
            return (int)i;
    return -EINVAL;
}

static int set_target(void *context, const char *value)
{
    struct run *run = context;
    struct kgi_scan *scan = &run->scan;

    scan->asked = true;
    return kgi_flag_targets(value, scan->targets, KGI_TARGETS_MOST, &scan->target_count);
}

static int set_driver(void *context, const char *value)
{
    struct run *run = context;

    if (strlen(value) >= sizeof run->driver || kgi_driver_parse(value, &run->scan.host.driver) < 0)
        return -EINVAL;
    strcpy(run->driver, value);
    return 0;
}

static int set_pid(void *context, const char *value)
{
    struct run *run = context;
    char *end;
    long pid = strtol(value, &end, 10);

    if (end == value || *end || pid <= 0 || pid > INT32_MAX)
        return -EINVAL;
    run->pid = (pid_t)pid;
    return 0;
}

static int set_format(void *context, const char *value)
{
    static const char *const names[] = {"text", "json", "jsonl", "tsv", "sarif"};
    int found = one_of(value, names, KGI_COUNT(names));

    ((struct run *)context)->scan.format = (enum kgi_format)found;
    return found < 0 ? found : 0;
}

static int set_fail_on(void *context, const char *value)
{
    static const char *const names[] = {"cannot", "jit", "never"};
    int found = one_of(value, names, KGI_COUNT(names));

    ((struct run *)context)->fail_on = (enum fail_on)found;
    return found < 0 ? found : 0;
}

static int set_color(void *context, const char *value)
{
    static const char *const names[] = {"auto", "always", "never"};
    int found = one_of(value ? value : "always", names, KGI_COUNT(names));

    ((struct run *)context)->color = (enum when)found;
    return found < 0 ? found : 0;
}

static int set_kernels(void *context, const char *value)
{
    (void)value;
    ((struct run *)context)->scan.kernels = true;
    return 0;
}

static int set_why(void *context, const char *value)
{
    (void)value;
    ((struct run *)context)->scan.why = true;
    return 0;
}

static int set_quiet(void *context, const char *value)
{
    (void)value;
    ((struct run *)context)->scan.quiet = true;
    return 0;
}

static int set_advice(void *context, const char *value)
{
    ((struct run *)context)->advice = value;
    return 0;
}

static int set_output(void *context, const char *value)
{
    ((struct run *)context)->output = value;
    return 0;
}

static const struct kgi_flag flags[] = {
    {'t', "target", "SM[,SM...]", "the GPUs to judge for: sm_120, 120 or 12.0\n"
                                  "(default: this machine's, else a matrix of all)", set_target},
    {'d', "driver", "VERSION", "the driver to judge for, as in 570.26\n"
                               "(default: this machine's when its GPUs are judged, else any)", set_driver},
    {'p', "pid", "PID", "what a running process has mapped", set_pid},
    {'k', "kernels", NULL, "list the kernels: where each is, its registers, and which a target lacks",
     set_kernels},
    {'w', "why", NULL, "print the evidence for each verdict", set_why},
    {'f', "format", "text|json|jsonl|tsv|sarif", "what to write (default: text)", set_format},
    {0, "fail-on", "cannot|jit|never", "what makes the exit code 1 (default: cannot)", set_fail_on},
    {'o', "output", "FILE", "write there instead of stdout", set_output},
    {0, "advice", "FILE", "lines of advice of your own, before the built-in ones\n"
                          "(columns between tabs, as in shim/rules/advice.tsv)", set_advice},
    {'q', "quiet", NULL, "only what cannot run, and errors", set_quiet},
    {0, "color", "[=auto|always|never]", "colour (default: on a terminal, unless NO_COLOR is set)",
     set_color},
};

/* ---- progress -------------------------------------------------------------------------------------------- */

static double seconds(const struct run *run)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - run->start.tv_sec) +
           (double)(now.tv_nsec - run->start.tv_nsec) / 1e9;
}

static void show_progress(void *context, uint64_t passed)
{
    enum { WIDTH = 30, FIRST_SECOND = 1 };
    static const char bar[] = "##############################";
    struct run *run = context;
    uint64_t done = run->before + passed, total = run->total >= done ? run->total : 0;
    double now = seconds(run), rate = now > 0 ? (double)done / now : 0;
    char size[32] = "", left[32] = "";

    run->passed = passed;
    if (now < FIRST_SECOND || now - run->shown < 0.1)
        return;
    run->shown = now;
    if (total) {
        snprintf(size, sizeof size, " of %.1f", (double)total / 1e6);
        snprintf(left, sizeof left, ", %.0f s left", rate > 0 ? (double)(total - done) / rate : 0);
    }
    int full = total ? (int)(WIDTH * (double)done / (double)total) : 0;
    fprintf(stderr, "\r[%.*s%*s] %.1f%s MB, %.0f MB/s%s\033[K", full, bar, WIDTH - full, "",
            (double)done / 1e6, size, rate / 1e6, left);
}

/* One bar for all paths; without an end where one of them has none that is known. */
static uint64_t size_of_all(const struct run *run)
{
    uint64_t size = 0, total = 0;

    for (int i = 0; i < run->path_count; i++, total += size)
        if ((size = kgi_walk_size(run->paths[i])) == 0 && strcmp(run->paths[i], "-") == 0)
            return 0;
    return run->pid ? 0 : total;
}

static void end_progress(const struct run *run)
{
    if (run->shown > 0)
        fputs("\r\033[K", stderr);
}

/* ---- what the walk meets ---------------------------------------------------------------------------------- */

static void add_finding(struct kgi_finding_list *list, struct kgi_finding finding)
{
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 8;
        struct kgi_finding *grown = realloc(list->at, room * sizeof *grown);
        if (!grown)
            abort();
        list->at = grown;
        list->room = room;
    }
    list->at[list->count++] = finding;
}

static void free_finding(struct kgi_finding *finding)
{
    free(finding->path);
    free(finding->text);
    free(finding->help);
}

static void met_error(void *context, const char *path, const char *text)
{
    struct run *run = context;

    add_finding(&run->scan.errors,
                (struct kgi_finding){.path = strdup(path), .text = strdup(text)});
}

static void met_note(void *context, const char *path, const char *text)
{
    struct run *run = context;

    add_finding(&run->scan.notes, (struct kgi_finding){.path = strdup(path), .text = strdup(text)});
}

static bool is_named(const struct run *run, const char *path)
{
    for (int i = 0; i < run->path_count; i++)
        if (strcmp(run->paths[i], path) == 0)
            return true;
    return false;
}

static int keep_file(struct run *run, struct kgi_file *file, const char *inner)
{
    struct kgi_scan *scan = &run->scan;

    if (scan->file_count == scan->file_room) {
        size_t room = scan->file_room ? 2 * scan->file_room : 64;
        struct kgi_file *grown = realloc(scan->files, room * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        scan->files = grown;
        scan->file_room = room;
    }
    file->inner = strdup(inner ? inner : file->path);
    scan->files[scan->file_count++] = *file;
    return file->inner ? 0 : -ENOMEM;
}

/* Hosts without CUDA code are kept until the tools were checked: that they have none may be the
 * finding. */
static int met_file(void *context, const char *path, const char *inner, struct kgi_bytes start,
                    struct kgi_stream *stream, uint64_t size)
{
    struct run *run = context;
    struct kgi_file file;

    (void)size;
    if (kgi_packages_offer(run->packages, path, inner, start, stream))
        return 0;
    int error = kgi_scan_stream(path, start, stream, run->scan.kernels, &file);
    run->scan.bytes += file.size;
    run->scan.files_read++;
    if (error == 0 && file.error)
        met_error(run, path, file.error);
    if (error == 0 && (file.found_count || file.dynamic_elf || is_named(run, path)))
        error = keep_file(run, &file, inner);
    else
        kgi_file_free(&file);
    return error;
}

static void met_hidden(void *context, const char *path)
{
    kgi_packages_hide(((struct run *)context)->packages, path);
}

/* What was found in them, and wrong with them, is not in the finished image. */
static void drop_hidden(struct run *run)
{
    struct kgi_scan *scan = &run->scan;
    size_t files = 0, errors = 0;

    for (size_t i = 0; i < scan->file_count; i++)
        if (kgi_packages_hidden(run->packages, scan->files[i].path))
            kgi_file_free(&scan->files[i]);
        else
            scan->files[files++] = scan->files[i];
    for (size_t i = 0; i < scan->errors.count; i++)
        if (kgi_packages_hidden(run->packages, scan->errors.at[i].path))
            free_finding(&scan->errors.at[i]);
        else
            scan->errors.at[errors++] = scan->errors.at[i];
    scan->file_count = files;
    scan->errors.count = errors;
}

static void walk(struct run *run)
{
    struct kgi_visitor visitor = {
        .file = met_file,
        .error = met_error,
        .note = met_note,
        .hidden = met_hidden,
        .progress = isatty(2) && !run->scan.quiet ? show_progress : NULL,
        .context = run,
    };

    clock_gettime(CLOCK_MONOTONIC, &run->start);
    run->total = visitor.progress ? size_of_all(run) : 0;
    for (int i = 0; i < run->path_count && run->error == 0; i++) {
        run->error = kgi_walk(run->paths[i], &visitor);
        run->before += run->passed;
        run->passed = 0;
    }
    if (run->pid && run->error == 0)
        run->error = kgi_walk_process(run->pid, &visitor);
    end_progress(run);
    drop_hidden(run);
}

/* ---- the verdicts --------------------------------------------------------------------------------------------- */

const struct kgi_file_verdict *kgi_scan_verdict(const struct kgi_scan *scan, size_t i, size_t j)
{
    return &scan->verdicts[i * scan->target_count + j];
}

struct kgi_host kgi_scan_host(const struct kgi_scan *scan, size_t j)
{
    struct kgi_host host = scan->host;

    host.gpu = scan->targets[j];
    return host;
}

const struct kgi_code *kgi_scan_code(const struct kgi_file *file, const struct kgi_file_verdict *v)
{
    if (v->found >= file->found_count || v->verdict.chosen < 0 ||
        (size_t)v->verdict.chosen >= file->found[v->found].count)
        return NULL;
    return &file->found[v->found].codes[v->verdict.chosen];
}

void kgi_scan_help(const struct kgi_scan *scan, size_t i, size_t j, char *out, size_t size)
{
    const struct kgi_file *file = &scan->files[i];
    const struct kgi_file_verdict *v = kgi_scan_verdict(scan, i, j);
    struct kgi_host host = kgi_scan_host(scan, j);

    out[0] = 0;
    if (v->found < file->found_count)
        kgi_advice(file->path, &(struct kgi_installed){file->package, file->torch, NULL},
                   file->found[v->found].codes, file->found[v->found].count, &host, &v->verdict,
                   out, size);
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const struct kgi_file *)a)->path, ((const struct kgi_file *)b)->path);
}

static int compare_findings(const void *pa, const void *pb)
{
    const struct kgi_finding *a = pa, *b = pb;
    int d = strcmp(a->path, b->path);

    if (d == 0)
        d = (a->target.number > b->target.number) - (a->target.number < b->target.number);
    return d ? d : strcmp(a->text, b->text);
}

static void sort_findings(struct kgi_finding_list *list)
{
    if (list->count)
        qsort(list->at, list->count, sizeof *list->at, compare_findings);
}

struct tool_context {
    struct run *run;
    struct kgi_target target;
};

static void met_tool(void *context, const char *path, int reason, const char *text, const char *help)
{
    struct tool_context *c = context;

    add_finding(&c->run->scan.findings,
                (struct kgi_finding){strdup(path), c->target, reason, strdup(text),
                                     help && *help ? strdup(help) : NULL});
}

static void name_packages(struct run *run)
{
    struct kgi_scan *scan = &run->scan;

    for (size_t i = 0; i < scan->file_count; i++)
        kgi_packages_name(run->packages, &scan->files[i]);
}

static void check_tools(struct run *run)
{
    struct kgi_scan *scan = &run->scan;

    for (size_t j = 0; j < scan->target_count && scan->asked; j++) {
        struct tool_context context = {run, scan->targets[j]};
        kgi_tools_check(scan->files, scan->file_count, run->packages, scan->targets[j], met_tool,
                        &context);
    }
}

/* What has no CUDA code and was not asked for by name is of no interest any more. */
static void drop_others(struct run *run)
{
    struct kgi_scan *scan = &run->scan;
    size_t kept = 0;

    for (size_t i = 0; i < scan->file_count; i++) {
        if (scan->files[i].found_count || is_named(run, scan->files[i].path))
            scan->files[kept++] = scan->files[i];
        else
            kgi_file_free(&scan->files[i]);
    }
    scan->file_count = kept;
}

static int judge(struct run *run)
{
    struct kgi_scan *scan = &run->scan;

    if (scan->file_count)
        qsort(scan->files, scan->file_count, sizeof *scan->files, compare_files);
    name_packages(run);
    check_tools(run);
    drop_others(run);
    sort_findings(&scan->findings);
    sort_findings(&scan->errors);
    sort_findings(&scan->notes);
    scan->verdicts = calloc(scan->file_count * scan->target_count + 1, sizeof *scan->verdicts);
    if (!scan->verdicts)
        return -ENOMEM;
    for (size_t i = 0; i < scan->file_count; i++)
        for (size_t j = 0; j < scan->target_count; j++) {
            struct kgi_host host = kgi_scan_host(scan, j);
            kgi_file_judge(&scan->files[i], &host, &scan->verdicts[i * scan->target_count + j]);
        }
    return 0;
}

/* ---- targets ------------------------------------------------------------------------------------------------------ */

/* All GPUs that a driver of today runs. */
static void take_all_targets(struct kgi_scan *scan)
{
    for (uint16_t number = 1; number < 1000; number++) {
        const struct kgi_target_row *row = kgi_target_row(number);
        if (row && !row->driver && !row->same_as && scan->target_count < KGI_TARGETS_MOST)
            scan->targets[scan->target_count++] = (struct kgi_target){number, 0};
    }
}

static int compare_targets(const void *a, const void *b)
{
    return (int)((const struct kgi_target *)a)->number - (int)((const struct kgi_target *)b)->number;
}

static void find_targets(struct run *run)
{
    struct kgi_scan *scan = &run->scan;
    char here[sizeof run->driver];

    if (scan->target_count == 0) {
        scan->target_count = kgi_gpus_here(scan->targets, KGI_TARGETS_MOST);
        scan->asked = scan->target_count > 0;
        if (scan->asked && !run->driver[0] && kgi_driver_here(here, sizeof here))
            set_driver(run, here);
    }
    if (scan->target_count == 0)
        take_all_targets(scan);
    qsort(scan->targets, scan->target_count, sizeof *scan->targets, compare_targets);
    scan->driver = run->driver[0] ? run->driver : NULL;
}

/* ---- the command ---------------------------------------------------------------------------------------------------- */

static void show_errors(const struct kgi_scan *scan)
{
    for (size_t i = 0; i < scan->errors.count; i++)
        kgi_complain("error: %s: %s", scan->errors.at[i].path, scan->errors.at[i].text);
    for (size_t i = 0; i < scan->notes.count && !scan->quiet; i++)
        kgi_complain("note: %s: %s", scan->notes.at[i].path, scan->notes.at[i].text);
}

static bool write_out(struct run *run)
{
    struct kgi_scan *scan = &run->scan;
    FILE *out = run->output ? fopen(run->output, "we") : stdout;
    const char *no_color = getenv("NO_COLOR");
    static char buffer[1 << 17]; /* glibc makes one of 4 KiB, whatever it is asked for */
    bool good = out != NULL;
    int error = 0;

    if (out)
        setvbuf(out, buffer, _IOFBF, sizeof buffer); /* kernels are megabytes of it */
    scan->color = run->color == WHEN_ALWAYS ||
                  (run->color == WHEN_AUTO && !(no_color && *no_color) && !run->output && isatty(1));
    if (good && scan->format == KGI_FORMAT_TEXT)
        error = kgi_output_text(scan, out);
    else if (good)
        error = kgi_output_machine(scan, out);
    if (good)
        good = fflush(out) == 0 && !ferror(out);
    if (run->output && out)
        good &= fclose(out) == 0;
    if (!good)
        kgi_complain("%s: %s", run->output ? run->output : "stdout", strerror(errno));
    if (error)
        kgi_complain("scan: kernels are left out: %s", strerror(-error));
    return good && !error;
}

static bool has_findings(const struct run *run)
{
    const struct kgi_scan *scan = &run->scan;

    if (run->fail_on == FAIL_ON_NEVER || !scan->asked)
        return false;
    for (size_t i = 0; i < scan->file_count * scan->target_count; i++) {
        enum kgi_answer answer = scan->verdicts[i].verdict.answer;
        if (answer == KGI_NONE ||
            (run->fail_on == FAIL_ON_JIT && (answer == KGI_JIT || answer == KGI_LINK)))
            return true;
    }
    return scan->findings.count > 0;
}

static void free_list(struct kgi_finding_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free_finding(&list->at[i]);
    free(list->at);
}

static void free_run(struct run *run)
{
    for (size_t i = 0; i < run->scan.file_count; i++)
        kgi_file_free(&run->scan.files[i]);
    free(run->scan.files);
    free(run->scan.verdicts);
    free_list(&run->scan.findings);
    free_list(&run->scan.errors);
    free_list(&run->scan.notes);
    kgi_packages_free(run->packages);
}

static int scan_and_tell(struct run *run)
{
    find_targets(run);
    walk(run);
    if (run->error == 0)
        run->error = judge(run);
    if (run->error) {
        kgi_complain("scan: %s", strerror(-run->error));
        return KGI_EXIT_INTERNAL;
    }
    show_errors(&run->scan);
    if (!write_out(run))
        return KGI_EXIT_INTERNAL;
    if (run->scan.errors.count)
        return KGI_EXIT_UNREADABLE;
    return has_findings(run) ? KGI_EXIT_FOUND : KGI_EXIT_OK;
}

/* Whether the user's own advice, if any, could be read. */
static bool add_advice(const char *path)
{
    size_t line = 0;
    int error = path ? kgi_advice_add_file(path, &line) : 0;

    if (error == -EBADMSG)
        kgi_complain("scan: %s: line %zu: no row of advice", path, line);
    else if (error)
        kgi_complain("scan: %s: cannot be read, empty, or larger than 1 MiB", path);
    return error == 0;
}

static int scan_main(const struct kgi_command *self, int argc, char **argv)
{
    struct run run = {.packages = kgi_packages_new()};
    int exit_code, left = kgi_flags_parse(self, argc, argv, &run, &exit_code);

    run.paths = argv;
    run.path_count = left < 0 ? 0 : left;
    if (left == 0 && !run.pid) {
        kgi_complain("scan: what? Files, folders, wheels, images, - or --pid; see kguard scan --help");
        exit_code = KGI_EXIT_USAGE;
    } else if (left >= 0 && !add_advice(run.advice)) {
        exit_code = KGI_EXIT_USAGE;
    } else if (left >= 0) {
        exit_code = run.packages ? scan_and_tell(&run) : KGI_EXIT_INTERNAL;
    }
    free_run(&run);
    return exit_code;
}

const struct kgi_command kgi_scan_command = {
    "scan",
    "[OPTION...] PATH...",
    "Names every library whose CUDA code cannot run on a GPU, without one.\n"
    "PATH: files, folders, archives, wheels, container images (docker save, OCI), - for stdin.",
    scan_main,
    flags,
    KGI_COUNT(flags),
    "Exit code: 0 nothing found, 1 something cannot run (--fail-on), 2 wrong use,\n"
    "3 some input could not be read, 4 a fault of kguard's own.\n"
    "kguard explain CODE tells what KG101 and the others mean.\n",
    false,
};
