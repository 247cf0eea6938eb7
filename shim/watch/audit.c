/*
 * Every loaded object's own list of fatbins, whether its runtime ever showed them or not: a statically
 * linked CUDA 11 runtime hands its images over through a private table, and a library may not have
 * been used yet.
 */
#include "watch.h"

#include <errno.h>
#include <stdlib.h>

struct walk {
    const struct kgi_object *object;
    struct kgi_section relocatable; /* size 0 where there is none */
    int (*each)(struct kgi_image *image, void *context);
    void *context;
};

/* The wrapper is looked at where it lies in memory: relocated, and as the runtime sees it. Those of
 * relocatable code (-rdc) are not registered themselves; the device link's wrapper leads to them. */
static int wrapper_found(uint64_t wrapper_address, uint64_t fatbin_offset, void *context)
{
    const struct walk *walk = context;
    struct kgi_image *image;

    if (fatbin_offset - walk->relocatable.offset < walk->relocatable.size)
        return 0;
    image = kgi_image_at((const void *)(walk->object->base + wrapper_address), NULL);
    return image ? walk->each(image, walk->context) : 0;
}

static void each_image(const struct kgi_object *object,
                       int (*each)(struct kgi_image *image, void *context), void *context)
{
    struct walk walk = {.object = object, .each = each, .context = context};
    struct kgi_bytes file;
    char path[512];

    if (!object->low || !kgi_object_path(object, path, sizeof path))
        return;
    /* Mapped, though whoever writes it anew in place ends the process: the loader has mapped it too, which
     * does that anyway. Of gigabytes a few pages are looked at. */
    file = kgi_file_map(path, SIZE_MAX);
    if (file.size) {
        kgi_elf_section_named(file, "__nv_relfatbin", &walk.relocatable);
        kgi_elf_wrappers(file, wrapper_found, &walk);
    }
    kgi_file_unmap(file);
}

/* ---- one object ------------------------------------------------------------------------------------------------ */

struct guilty {
    const struct kgi_host *host;
    struct kgi_image *image;
};

static int cannot_run(struct kgi_image *image, void *context)
{
    struct guilty *g = context;
    struct kgi_verdict verdict;

    kgi_image_read(image);
    kgi_judge(image->codes, image->count, g->host, &verdict);
    if (verdict.answer == KGI_NATIVE || verdict.answer == KGI_FAMILY)
        return 0;
    kgi_image_inspect(image);
    kgi_judge(image->codes, image->count, g->host, &verdict);
    if (verdict.answer != KGI_NONE)
        return 0;
    g->image = image;
    return 1;
}

struct kgi_image *kgi_audit_guilty(const struct kgi_object *object, const struct kgi_host *host)
{
    struct guilty g = {host, NULL};

    each_image(object, cannot_run, &g);
    return g.image;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

#define OBJECTS_MOST 4096
#define UNION_MOST 64

struct collected {
    struct kgi_object objects[OBJECTS_MOST];
    size_t count;
    /* the audited object's different codes: what a reader of the line wants to know */
    struct kgi_code codes[UNION_MOST];
    size_t code_count, images;
    struct kgi_image *any;
};

/* With a name of our own: the loader's goes with the object, which another thread may unload at once. */
static int collect(const struct kgi_object *object, void *context)
{
    struct collected *c = context;
    const char *name = c->count < OBJECTS_MOST ? kgi_name(object->name) : NULL;

    if (name) {
        c->objects[c->count] = *object;
        c->objects[c->count++].name = name;
    }
    return 0;
}

static bool same_code(const struct kgi_code *a, const struct kgi_code *b)
{
    return a->kind == b->kind && a->target.number == b->target.number &&
           a->target.suffix == b->target.suffix && a->major == b->major && a->minor == b->minor &&
           a->packing == b->packing && !((a->traits ^ b->traits) & KGI_T_RELOCATABLE);
}

static bool is_known(const struct collected *c, const struct kgi_code *code)
{
    for (size_t i = 0; i < c->code_count; i++)
        if (same_code(code, &c->codes[i]))
            return true;
    return false;
}

/* Only code with kernels counts: every program linked by nvcc carries a stub for the default GPU. A
 * payload is looked into only where its code would be news; a large library would take minutes. */
static void add_code(struct collected *c, struct kgi_code code)
{
    if (is_known(c, &code))
        return;
    kgi_inspect(&code); /* only now is it known to be relocatable */
    if (code.kernels != 0 && c->code_count < UNION_MOST && !is_known(c, &code))
        c->codes[c->code_count++] = code;
}

static int add_image(struct kgi_image *image, void *context)
{
    struct collected *c = context;

    kgi_image_read(image);
    c->images++;
    c->any = image;
    for (size_t i = 0; i < image->count; i++)
        add_code(c, image->codes[i]);
    return 0;
}

/* Objects already told about, by where they lie and what they are called. */
static bool is_new(const struct kgi_object *object)
{
    static struct kgi_lock lock;
    static struct kgi_map audited;
    uint64_t key = object->low;
    bool fresh;

    for (const char *s = object->name; *s; s++)
        key = (key ^ (uint8_t)*s) * 0x100000001b3;
    kgi_lock(&lock);
    fresh = !kgi_map_get(&audited, key | 1);
    kgi_map_set(&audited, key | 1, 1);
    kgi_unlock(&lock);
    return fresh;
}

static void audit_object(struct collected *c, const struct kgi_object *object)
{
    struct kgi_diagnosis d = {.event = KGI_EVENT_MODULE};

    c->code_count = c->images = 0;
    c->any = NULL;
    each_image(object, add_image, c);
    if (!c->any || !c->code_count)
        return;
    kgi_image_locate(c->any);
    d.library = c->any->library;
    d.codes = c->codes;
    d.code_count = c->code_count;
    d.audit = true;
    d.count = c->images;
    for (size_t i = 0; kgi_host_at(i, &d.host, &d.ordinal); i++) {
        kgi_judge(c->codes, c->code_count, &d.host, &d.verdict);
        d.reason = d.verdict.reason;
        kgi_tell(&d);
    }
}

void kgi_audit(void)
{
    struct collected *c;
    int saved = errno;

    if (!kgi_log_enabled(KGI_INFO) || !kgi_machine())
        return;
    c = kgi_pages_get(sizeof *c);
    if (c) {
        kgi_object_each(collect, c);
        for (size_t i = 0; i < c->count; i++)
            if (is_new(&c->objects[i]))
                audit_object(c, &c->objects[i]);
        kgi_pages_put(c, sizeof *c);
    }
    errno = saved;
}
