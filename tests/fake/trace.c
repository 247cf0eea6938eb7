/* What a real driver answered: see tests/recorded/README.md. The table is the recording itself,
 * cut by fake.mk to the images that fake.h names. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fake.h"

static const struct answer answers[] = {
#include "answers.h"
};

static int by_id(const void *key, const void *row)
{
    return strcmp(key, ((const struct answer *)row)->id);
}

const struct answer *trace_quiet(const char *id)
{
    return bsearch(id, answers, sizeof answers / sizeof *answers, sizeof *answers, by_id);
}

/* Where the call ended the process when it was recorded, it does here. */
static void die_like(const char *id)
{
    char other[256];
    const char *call = strrchr(id, '/');
    snprintf(other, sizeof other, "%.*s/signal", (int)(call - id), id);
    const struct answer *death = trace_quiet(other);
    if (!death)
        return;
    signal(death->result, SIG_DFL);
    raise(death->result);
}

const struct answer *trace(const char *id)
{
    const struct answer *found = trace_quiet(id);
    if (!found)
        die_like(id);
    if (!found)
        fprintf(stderr, "fake driver: no recorded answer %s\n", id);
    else if (machine.tell_traces)
        fprintf(stderr, "fake driver: %s = %d\n", id, found->result);
    return found;
}

static const char *example(const struct image *image)
{
    static const char *const names[][3] = {
#define CLASS(name, fatbin, alone, text) {fatbin, alone, text},
        CLASSES(CLASS)
#undef CLASS
    };
    return names[image->class][image->form];
}

/* Not every route was recorded in every mode: neither the linker nor files care for eager loading,
 * and with the JIT forced or off, modules and libraries were asked alone. */
static void name_id(char *id, size_t size, const char *route, const struct image *image,
                    const char *call)
{
    bool library = strncmp(call, "cuLib", 5) == 0;
    const char *switched = machine.jit_forced      ? "force_ptx_jit"
                           : machine.jit_forbidden ? "disable_ptx_jit"
                                                   : NULL;
    if (switched) {
        snprintf(id, size, "%s/%s/%s/%s", library ? "library" : "module", example(image), switched,
                 call);
        if (trace_quiet(id))
            return;
    }
    snprintf(id, size, "%s/%s/%s/%s", route, example(image), machine.eager ? "eager" : "lazy",
             call);
    if (!trace_quiet(id))
        snprintf(id, size, "%s/%s/lazy/%s", route, example(image), call);
}

const struct answer *trace_image(const char *route, const struct image *image, const char *call)
{
    char id[256];
    name_id(id, sizeof id, route, image, call);
    return trace(id);
}

bool trace_has(const char *route, const struct image *image, const char *call)
{
    char id[256];
    name_id(id, sizeof id, route, image, call);
    return trace_quiet(id);
}

bool trace_log(const struct answer *answer, unsigned i, char *out, size_t size)
{
    const char *at = answer->detail, *end;
    do {
        at = strstr(at, "log[");
        if (!at)
            return false;
        at += 4;
    } while (i--);
    at = strchr(at, '=') + 1;
    end = strstr(at, " log[");
    size_t length = end ? (size_t)(end - at) : strlen(at);
    /* The recorded GPU's number stands in one of the texts. */
    const char *isa = strstr(at, "ISA 90");
    if (isa && isa < at + length)
        snprintf(out, size, "%.*sISA %d%d%.*s", (int)(isa - at), at, machine.major, machine.minor,
                 (int)(at + length - isa - 6), isa + 6);
    else
        snprintf(out, size, "%.*s", (int)length, at);
    return true;
}

int trace_proc(const char *name, int version, const char *form, char *out, size_t size, int *status)
{
    static const int versions[] = {99990, 13000, 12090, 12080, 12000, 11030, 10000, 7000, 4000};
    const struct answer *row = NULL;
    char id[128], key[32];
    int result = -1;
    *out = 0;
    *status = -1;
    for (size_t i = 0; !row && i < sizeof versions / sizeof *versions; i++) {
        snprintf(id, sizeof id, "proc/-/lazy/%s/%d", name, versions[i]);
        row = version >= versions[i] ? trace_quiet(id) : NULL;
    }
    if (!row) /* not asked for when the recording was made: as a name that does not exist */
        row = trace(version == versions[0] ? "proc/-/lazy/cuNoSuchFunction/99990"
                                           : "proc/-/lazy/cuNoSuchFunction/4000");
    snprintf(key, sizeof key, "%s=", form);
    const char *at = row ? strstr(row->detail, key) : NULL;
    const char *open = at ? strchr(at, '(') : NULL;
    if (!open)
        return -1;
    at += strlen(key);
    snprintf(out, size, "%.*s", (int)(open - at), at);
    sscanf(open, "(%d,%d)", &result, status);
    return result;
}
