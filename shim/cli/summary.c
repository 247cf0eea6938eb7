/*
 * What a run said, once more and in short: the first cause, how many calls failed, which libraries
 * lack code. From the events that the run's processes recorded, one JSON object per line.
 */
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "../report/report.h"
#include "run.h"

#define LIBRARIES_SHOWN 12

struct record {
    json_t *first; /* the earliest failure; one that was a query or not used yet only for want of
                      better */
    json_t *libraries; /* array of {library, package, code, cc} */
    json_t *failures;  /* process id -> how many calls failed in it */
    json_int_t lost;   /* lines that cannot be read: one that had no room, and what came after it */
};

static const char *text_of(const json_t *event, const char *key)
{
    const char *text = json_string_value(json_object_get(event, key));

    return text ? text : "";
}

static const char *library_of(const json_t *event)
{
    const char *library = text_of(event, "library");

    return *library ? library : text_of(event, "built_by");
}

/* A probe, or an image that nothing has used yet, need not be what stopped the program. */
static bool is_weak(const json_t *event)
{
    return json_is_true(json_object_get(event, "query")) ||
           json_is_true(json_object_get(event, "not_used_yet"));
}

/* Lines of several processes come in the order they were written, not in that of their times. */
static void note_first(struct record *r, json_t *event)
{
    double time = json_number_value(json_object_get(event, "time"));
    bool weak = is_weak(event);

    if (r->first) {
        bool first_weak = is_weak(r->first);
        double first_time = json_number_value(json_object_get(r->first, "time"));
        if (weak != first_weak ? weak : time >= first_time)
            return;
    }
    json_decref(r->first);
    r->first = json_incref(event);
}

static void note_library(struct record *r, const json_t *event)
{
    static const char *const keys[] = {"library", "package", "code", "cc"};
    const char *library = library_of(event), *code = text_of(event, "code");
    char package[192];
    size_t i;
    json_t *known, *row;

    if (!*library || strcmp(code, "KG204") == 0)
        return;
    json_array_foreach(r->libraries, i, known)
    {
        if (strcmp(text_of(known, "library"), library) == 0 &&
            strcmp(text_of(known, "code"), code) == 0 &&
            strcmp(text_of(known, "cc"), text_of(event, "cc")) == 0)
            return;
    }
    row = json_object();
    for (size_t k = 0; k < KGI_COUNT(keys); k++)
        if (json_object_get(event, keys[k]))
            json_object_set(row, keys[k], json_object_get(event, keys[k]));
    json_object_set_new(row, "library", json_string(library));
    /* The line of an image that loads does without; here there is time to look. */
    if (!*text_of(row, "package") && kgi_package_of(library, package, sizeof package))
        json_object_set_new(row, "package", json_string(package));
    json_array_append_new(r->libraries, row);
}

/* A process reports a kind of failure once, and says at its end how many there were in all. */
static void note_failures(struct record *r, const json_t *event, bool in_all)
{
    json_int_t count = json_integer_value(json_object_get(event, "count"));
    char pid[24];

    snprintf(pid, sizeof pid, "%lld", (long long)json_integer_value(json_object_get(event, "pid")));
    json_int_t so_far = json_integer_value(json_object_get(r->failures, pid));
    if (!in_all)
        count = so_far + 1;
    if (count > so_far)
        json_object_set_new(r->failures, pid, json_integer(count));
}

static void note(struct record *r, json_t *event)
{
    const char *kind = text_of(event, "event");

    if (strcmp(kind, "failure") == 0) {
        note_first(r, event);
        note_failures(r, event, false);
    } else if (strcmp(kind, "summary") == 0) {
        note_failures(r, event, true);
    }
    if ((strcmp(kind, "failure") == 0 || strcmp(kind, "module") == 0) && *text_of(event, "code"))
        note_library(r, event);
}

static json_int_t failures_in_all(const struct record *r)
{
    json_int_t all = 0;
    const char *pid;
    json_t *count;

    json_object_foreach(r->failures, pid, count) all += json_integer_value(count);
    return all;
}

static void read_record(struct record *r, FILE *file)
{
    char *line = NULL;
    size_t room = 0;

    *r = (struct record){NULL, json_array(), json_object(), 0};
    while (getline(&line, &room, file) > 0) {
        json_t *event = json_loads(line, 0, NULL);
        r->lost += !event && *line != '\n';
        if (event)
            note(r, event);
        json_decref(event);
    }
    free(line);
}

/* ---- text ------------------------------------------------------------------------------------ */

/* Names come from files that were not trusted when they were read either. */
static void put(FILE *out, const char *text)
{
    char buffer[PATH_MAX + 256];
    struct kgi_text safe = {buffer, sizeof buffer, 0, false};

    buffer[0] = 0;
    kgi_text_add_safe(&safe, text);
    fputs(buffer, out);
}

static void put_library(FILE *out, const char *path, const char *package)
{
    put(out, path);
    if (*package) {
        fputs(" (", out);
        put(out, package);
        fputs(")", out);
    }
}

static void put_reason(FILE *out, const char *code)
{
    int number = strncmp(code, "KG", 2) == 0 ? atoi(code + 2) : 0;

    if (number)
        fprintf(out, ": %s [KG%03d]", kgi_reason_title(number), number);
    fputc('\n', out);
}

static void put_first(FILE *out, const json_t *first)
{
    const char *kernel = text_of(first, "kernel"), *library = library_of(first);

    fputs("kguard:   first cause  ", out);
    if (*kernel) {
        KGI_TEXT(name, 512);
        kgi_report_kernel(&name, kernel);
        fprintf(out, "kernel %s%s", name.at, *library ? " of " : "");
    }
    put_library(out, *library || *kernel ? library : "an unknown library",
                text_of(first, "package"));
    put_reason(out, text_of(first, "code"));
    if (*text_of(first, "help")) {
        fputs("kguard:   help         ", out);
        put(out, text_of(first, "help"));
        fputc('\n', out);
    }
}

static void put_libraries(FILE *out, const json_t *libraries)
{
    size_t i;
    json_t *row;

    fputs("kguard: libraries that lack code:\n", out);
    json_array_foreach(libraries, i, row)
    {
        if (i == LIBRARIES_SHOWN) {
            fprintf(out, "kguard:   and %zu more\n", json_array_size(libraries) - i);
            return;
        }
        fputs("kguard:   ", out);
        put_library(out, text_of(row, "library"), text_of(row, "package"));
        if (*text_of(row, "cc"))
            fprintf(out, " for %s", text_of(row, "cc"));
        put_reason(out, text_of(row, "code"));
    }
}

static void put_end(FILE *out, int status)
{
    if (WIFSIGNALED(status))
        fprintf(out, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        fprintf(out, "exit code %d", WEXITSTATUS(status));
}

static void put_text(FILE *out, const struct kgi_run *run, const struct record *r)
{
    json_int_t failures = failures_in_all(r);

    fputs("kguard: ended with ", out);
    put_end(out, run->status);
    if (!failures) {
        fprintf(out, "; %s\n",
                run->unseen ? "not observed" : "no CUDA call was seen to fail for want of code");
    } else {
        /* A process says how many there were in all at its exit; one that a signal ends does not. */
        fprintf(out, "; %s%lld CUDA call%s failed\n", WIFSIGNALED(run->status) ? "at least " : "",
                (long long)failures, failures == 1 ? "" : "s");
        put_first(out, r->first);
    }
    if (r->lost)
        fprintf(out,
                "kguard: %lld recorded event%s cannot be read (a full disk?): there may be more than "
                "this\n",
                (long long)r->lost, r->lost == 1 ? "" : "s");
    if (json_array_size(r->libraries))
        put_libraries(out, r->libraries);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_json(FILE *out, const struct kgi_run *run, const struct record *r)
{
    json_t *all = json_object(), *command = json_array();

    for (char **word = run->command; *word; word++)
        json_array_append_new(command, json_string(*word)); /* none that is not UTF-8 */
    json_object_set_new(all, "schema", json_integer(1));
    json_object_set_new(all, "event", json_string("run"));
    json_object_set_new(all, "command", command);
    if (WIFSIGNALED(run->status))
        json_object_set_new(all, "signal", json_integer(WTERMSIG(run->status)));
    else
        json_object_set_new(all, "exit", json_integer(WEXITSTATUS(run->status)));
    if (run->unseen)
        json_object_set_new(all, "unobserved", json_string(run->unseen));
    json_object_set_new(all, "failures", json_integer(failures_in_all(r)));
    if (r->lost)
        json_object_set_new(all, "lost", json_integer(r->lost));
    if (r->first)
        json_object_set(all, "first", r->first);
    json_object_set(all, "libraries", r->libraries);
    json_dumpf(all, out, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(13));
    fputc('\n', out);
    json_decref(all);
}

void kgi_summary(const struct kgi_run *run, FILE *record, FILE *out)
{
    struct record r;

    read_record(&r, record);
    if (run->json)
        put_json(out, run, &r);
    else
        put_text(out, run, &r);
    json_decref(r.first);
    json_decref(r.libraries);
    json_decref(r.failures);
}
