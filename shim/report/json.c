/*
 * The same facts as one JSON line. A field that does not fit is left out whole, so that the line
 * stays valid; "truncated" then says so.
 */
#include "report.h"

#include <time.h>
#include <unistd.h>

#define TAIL ",\"truncated\":true}\n"

struct line {
    struct kgi_text *text;
    size_t start; /* of the field being written */
    bool truncated;
};

static void begin(struct line *l, const char *name)
{
    l->start = l->text->length;
    kgi_text_add(l->text, "%s\"%s\":", l->text->length > 1 ? "," : "", name);
}

static void end(struct line *l)
{
    if (!l->text->cut)
        return;
    l->text->length = l->start;
    l->text->at[l->start] = 0;
    l->text->cut = false;
    l->truncated = true;
}

static void add_quoted(struct line *l, const char *value)
{
    kgi_text_add(l->text, "\"");
    kgi_text_add_json(l->text, value);
    kgi_text_add(l->text, "\"");
}

static void add_string(struct line *l, const char *name, const char *value)
{
    if (!value)
        return;
    begin(l, name);
    add_quoted(l, value);
    end(l);
}

static void add_number(struct line *l, const char *name, long long value)
{
    begin(l, name);
    kgi_text_add(l->text, "%lld", value);
    end(l);
}

static void add_true(struct line *l, const char *name, bool value)
{
    if (!value)
        return;
    begin(l, name);
    kgi_text_add(l->text, "true");
    end(l);
}

/* "a > b > c" -> ["a","b","c"], each part cut out whole. */
static void add_path(struct line *l, const char *name, const char *value)
{
    char part[512];

    if (!value)
        return;
    begin(l, name);
    for (const char *s = value, *next; s; s = next) {
        const char *arrow = strstr(s, " > ");
        size_t length = arrow ? (size_t)(arrow - s) : strlen(s);

        next = arrow ? arrow + 3 : NULL;
        length = length < sizeof part ? length : sizeof part - 1;
        memcpy(part, s, length);
        part[length] = 0;
        kgi_text_add(l->text, s == value ? "[" : ",");
        add_quoted(l, part);
    }
    kgi_text_add(l->text, "]");
    end(l);
}

static uint32_t order(struct kgi_target t)
{
    return (uint32_t)t.number << 8 | (uint8_t)t.suffix;
}

/* The lowest target above `after` among the cubins, or the PTX. */
static bool next_target(const struct kgi_diagnosis *d, bool ptx, uint32_t after,
                        struct kgi_target *out)
{
    bool found = false;

    for (size_t i = 0; i < d->code_count; i++) {
        const struct kgi_code *c = &d->codes[i];
        bool is_ptx = c->kind == KGI_PTX || c->kind == KGI_RELOCATABLE_PTX;

        if ((!is_ptx && c->kind != KGI_CUBIN) || is_ptx != ptx || order(c->target) <= after)
            continue;
        if (!found || order(c->target) < order(*out))
            *out = c->target;
        found = true;
    }
    return found;
}

static void add_targets(struct line *l, const struct kgi_diagnosis *d, const char *name, bool ptx)
{
    struct kgi_target target = {0, 0};
    uint32_t after = 0;
    char text[24];

    begin(l, name);
    kgi_text_add(l->text, "[");
    for (; next_target(d, ptx, after, &target); after = order(target)) {
        kgi_target_name(target, ptx ? "compute_" : "sm_", text, sizeof text);
        kgi_text_add(l->text, "%s\"%s\"", after ? "," : "", text);
    }
    kgi_text_add(l->text, "]");
    end(l);
}

static void add_image(struct line *l, const struct kgi_diagnosis *d)
{
    KGI_TEXT(holds, 1024);

    add_string(l, "library", d->library);
    add_string(l, "built_by", d->built_by);
    add_string(l, "package", d->package);
    if (d->place)
        add_number(l, "place", (long long)d->place);
    if (d->code_count) {
        add_targets(l, d, "sass", false);
        add_targets(l, d, "ptx", true);
        kgi_report_holds(d->codes, d->code_count, &holds);
        add_string(l, "holds", holds.at);
    }
    if (d->reason == KG201_WILL_JIT && d->verdict.chosen >= 0 &&
        (size_t)d->verdict.chosen < d->code_count && d->codes[d->verdict.chosen].size)
        add_number(l, "ptx_bytes", (long long)d->codes[d->verdict.chosen].size);
    if (d->unreadable)
        add_number(l, "unreadable_past", (long long)d->broken);
}

static void add_device(struct line *l, const struct kgi_diagnosis *d)
{
    int major, minor;

    if (!d->host.gpu.number)
        return;
    kgi_target_cc(d->host.gpu, &major, &minor);
    add_string(l, "gpu", d->gpu);
    if (d->ordinal >= 0)
        add_number(l, "ordinal", d->ordinal);
    add_true(l, "what_if", d->ordinal < 0);
    add_true(l, "audit", d->audit);
    begin(l, "cc");
    kgi_text_add(l->text, "\"%d.%d\"", major, minor);
    end(l);
    add_string(l, "driver", d->driver);
}

static void add_kernel(struct line *l, const struct kgi_diagnosis *d)
{
    char name[2048];

    if (d->kernel) {
        kgi_demangle(d->kernel, name, sizeof name);
        add_string(l, "kernel", name);
        add_string(l, "kernel_mangled", d->kernel);
        add_string(l, "kernel_from", d->kernel_from);
    } else {
        add_string(l, "kernels", d->kernels);
    }
}

static void add_call(struct line *l, const struct kgi_diagnosis *d)
{
    if (d->api) {
        add_string(l, "api", d->api);
        add_number(l, "result", d->result);
        add_string(l, "result_text", d->result_text);
    }
    add_true(l, "query", d->query);
    add_true(l, "not_used_yet", d->not_used_yet);
    add_path(l, "python", d->python);
    add_path(l, "host", d->stack);
    add_string(l, "found", d->found);
    add_true(l, "torch_fine", d->torch_fine);
    add_string(l, "help", d->help);
    add_string(l, "message", d->message);
    if (d->count)
        add_number(l, "count", (long long)d->count);
    add_string(l, "log", d->log);
}

static void add_process(struct line *l)
{
    int rank = kgi_rank(), local = kgi_local_rank();
    char name[32];

    if (kgi_process_name(name, sizeof name))
        add_string(l, "process", name);
    if (rank >= 0)
        add_number(l, "rank", rank);
    if (local >= 0)
        add_number(l, "local_rank", local);
}

size_t kgi_report_json(const struct kgi_diagnosis *d, struct kgi_text *out)
{
    static const char *const events[] = {"failure", "module", "followup", "summary",
                                         "jit"};
    struct line l = {out, 0, false};
    struct timespec now = {0, 0};

    if (out->size < 256) /* not even the fixed fields: nothing, rather than half a line */
        return out->at[0] = 0, out->length = 0;
    out->size -= sizeof TAIL;
    clock_gettime(CLOCK_REALTIME, &now);
    kgi_text_add(out, "{");
    add_number(&l, "schema", 1);
    add_string(&l, "event", events[d->event]);
    if (d->reason) {
        begin(&l, "code");
        kgi_text_add(out, "\"KG%d\"", d->reason);
        end(&l);
    }
    add_number(&l, "pid", getpid());
    add_process(&l);
    begin(&l, "time");
    kgi_text_add(out, "%lld.%03d", (long long)now.tv_sec, (int)(now.tv_nsec / 1000000));
    end(&l);
    add_string(&l, "action", d->action);
    add_kernel(&l, d);
    add_image(&l, d);
    add_device(&l, d);
    add_call(&l, d);
    out->size += sizeof TAIL;
    kgi_text_add(out, "%s", l.truncated ? TAIL : "}\n");
    return out->length;
}
