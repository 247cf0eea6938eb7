/*
 * A saved image that can be read only once: from a pipe, compressed, or inside another archive.
 * Docker writes manifest.json last, so the order of layers is not known when they come by. They are
 * walked as they come; the hashes of each are kept apart, and so are the paths of files that the
 * visitor read. At the end visitor->hidden is called for those that the finished image does not
 * have. Paths name the layer, but not the image or platform.
 *
 * What begins like an image and turns out to be none has been walked as any other tar.
 */
#include "image.h"

#include <errno.h>
#include <stdlib.h>

struct kept {
    char *path, *name; /* as shown; in its layer */
};

/* Another name of a file, by the key of its own. */
struct link {
    uint64_t target;
    char *name;
};

struct recorded {
    char *member; /* of the outer tar */
    char *link;   /* no layer of its own, but this member's */
    struct kgi_keys keys;
    struct kept *kept;
    size_t kept_count, kept_room;
    struct link *links; /* by target, once all are there */
    size_t link_count, link_room;
};

struct text {
    char *member;
    struct kgi_bytes json;
};

struct kgi_record {
    struct kgi_walk *walk;
    const struct kgi_node *node;
    struct kgi_record *outer;
    bool over; /* it is no image */
    struct recorded *layers;
    size_t layer_count;
    struct text *texts;
    size_t text_count, text_bytes;
    const char *at; /* the member of the layer at hand; NULL outside layers */
};

struct kgi_record *kgi_record_new(struct kgi_walk *walk, const struct kgi_node *node)
{
    struct kgi_record *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    r->walk = walk;
    r->node = node;
    r->outer = walk->record;
    walk->record = r;
    return r;
}

static struct recorded *add_layer(struct kgi_record *r, const char *member)
{
    struct recorded *layers = realloc(r->layers, (r->layer_count + 1) * sizeof *layers);

    if (!layers)
        return NULL;
    r->layers = layers;
    layers += r->layer_count;
    *layers = (struct recorded){.member = strdup(member)};
    r->layer_count += layers->member != NULL;
    return layers->member ? layers : NULL;
}

int kgi_record_read(struct kgi_record *r, const char *path)
{
    for (; r; r = r->outer) {
        struct recorded *l = r->at ? &r->layers[r->layer_count - 1] : NULL;
        if (!l)
            continue;
        if (l->kept_count == l->kept_room) {
            size_t room = l->kept_room ? l->kept_room * 2 : 16;
            struct kept *kept = realloc(l->kept, room * sizeof *kept);
            if (!kept)
                return -ENOMEM;
            l->kept = kept;
            l->kept_room = room;
        }
        struct kept *k = &l->kept[l->kept_count++];
        *k = (struct kept){.path = strdup(path), .name = strdup(r->at)};
        if (!k->path || !k->name)
            return -ENOMEM;
    }
    return 0;
}

static int add_link(struct recorded *l, const struct kgi_member *m)
{
    if (l->link_count == l->link_room) {
        size_t room = l->link_room ? l->link_room * 2 : 16;
        struct link *links = realloc(l->links, room * sizeof *links);
        if (!links)
            return -ENOMEM;
        l->links = links;
        l->link_room = room;
    }
    struct link *link = &l->links[l->link_count++];
    *link = (struct link){kgi_key_of_file(m->link), strdup(m->name)};
    return link->name ? 0 : -ENOMEM;
}

static int record_layer_member(struct kgi_record *r, struct kgi_archive *x, const char *path,
                               const struct kgi_member *m)
{
    struct recorded *l = &r->layers[r->layer_count - 1];
    bool content;
    int stop = kgi_keys_add_member(&l->keys, m, &content);

    if (stop || !content)
        return stop;
    if (m->hard)
        return add_link(l, m);
    if (!m->regular || strlen(m->name) > KGI_NAME)
        return 0;
    r->at = m->name;
    stop = kgi_layer_visit(x, path, r->node->inner, m->name);
    r->at = NULL;
    return stop;
}

static int record_layer(struct kgi_record *r, const struct kgi_node *node, const char *member)
{
    char *path = kgi_layer_path(r->node->path, member);
    struct kgi_node named = *node;
    struct kgi_member m;
    int more, stop = path && add_layer(r, member) ? 0 : -ENOMEM;

    named.path = path;
    named.named = true;
    struct kgi_archive *x =
        stop ? NULL : kgi_archive_open(r->walk, &named, kgi_archive_form(node->start), 0, false);
    if (!x)
        stop = -ENOMEM;
    while (stop == 0 && (more = kgi_archive_next(x, &m)) != 0)
        stop = more < 0 ? more : record_layer_member(r, x, path, &m);
    kgi_archive_close(x);
    free(path);
    return stop;
}

/* A text that is too large, or one too many, is missed at the end, and that is said. */
static int record_text(struct kgi_record *r, const struct kgi_node *node, const char *member)
{
    enum { ALL = 16 << 20 };
    struct kgi_bytes json = {NULL, 0};
    struct text *texts = realloc(r->texts, (r->text_count + 1) * sizeof *texts);
    int error = texts ? 0 : -ENOMEM;

    r->texts = texts ? texts : r->texts;
    if (error || r->text_bytes > ALL)
        return error;
    error = kgi_use_json(r->walk, node, &json);
    if (error)
        return error == -ENOMEM ? error : 0;
    texts[r->text_count] = (struct text){strdup(member), json};
    if (!texts[r->text_count].member) {
        free((void *)(uintptr_t)json.at);
        return -ENOMEM;
    }
    r->text_count++;
    r->text_bytes += json.size;
    return 0;
}

struct offered {
    struct kgi_record *record;
    const char *member;
};

static int record_use(struct kgi_walk *walk, const struct kgi_node *node, void *context)
{
    const struct offered *offered = context;
    enum kgi_form form = kgi_archive_form(node->start);

    if (form == KGI_TAR || form == KGI_PACKED)
        return record_layer(offered->record, node, offered->member);
    if (node->start.at[0] == '{' || node->start.at[0] == '[')
        return record_text(offered->record, node, offered->member);
    return kgi_walk_node(walk, node);
}

static int record_link(struct kgi_record *r, const struct kgi_member *m)
{
    struct recorded *l = add_layer(r, m->name);

    return l && (l->link = kgi_image_link(m)) ? 0 : -ENOMEM;
}

int kgi_record_member(struct kgi_record *r, struct kgi_archive *x, const struct kgi_member *m,
                      bool *is)
{
    struct offered offered = {r, m->name};
    struct kgi_blob blob = {r->node->path, m->name, record_use, &offered};

    r->over = r->over || !kgi_image_name(m->name) || r->layer_count > 10000;
    *is = !r->over;
    if (r->over || m->folder)
        return 0;
    if (m->link)
        return record_link(r, m);
    char *path = kgi_format("%s!/%s", r->node->path, m->name);
    int stop = path ? kgi_archive_visit(x, path, path, kgi_use_blob, &blob) : -ENOMEM;
    free(path);
    return stop;
}

static int record_fetch(void *context, const char *member, struct kgi_bytes *json)
{
    const struct kgi_record *r = context;
    size_t i;

    for (i = 0; i < r->text_count && strcmp(r->texts[i].member, member) != 0; i++)
        ;
    if (i == r->text_count)
        return -ENOENT;
    uint8_t *copy = malloc(r->texts[i].json.size);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, r->texts[i].json.at, r->texts[i].json.size);
    *json = (struct kgi_bytes){copy, r->texts[i].json.size};
    return 0;
}

static struct recorded *record_find(const struct kgi_record *r, const char *member)
{
    for (int hops = 0; hops < 4 && member; hops++) {
        size_t i;
        for (i = 0; i < r->layer_count && strcmp(r->layers[i].member, member) != 0; i++)
            ;
        if (i == r->layer_count)
            return NULL;
        if (!r->layers[i].link)
            return &r->layers[i];
        member = r->layers[i].link;
    }
    return NULL;
}

static int by_target(const void *a, const void *b)
{
    uint64_t x = ((const struct link *)a)->target, y = ((const struct link *)b)->target;

    return (x > y) - (x < y);
}

/* Whether an image shows the file under another name. */
static bool is_linked(const struct recorded *l, const struct kgi_set *above, const char *name)
{
    struct link wanted = {kgi_key_of_file(name), NULL};
    size_t low = 0, high = l->link_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (by_target(&l->links[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < l->link_count && l->links[low].target == wanted.target; low++)
        if (!kgi_keys_hide(above, l->links[low].name))
            return true;
    return false;
}

/* Marks what an image shows by taking its name away. */
static void mark_shown(struct recorded *l, const struct kgi_set *above)
{
    for (size_t i = 0; i < l->kept_count; i++) {
        struct kept *k = &l->kept[i];
        if (k->name && (!kgi_keys_hide(above, k->name) || is_linked(l, above, k->name))) {
            free(k->name);
            k->name = NULL;
        }
    }
}

static int record_image(struct kgi_record *r, const struct kgi_image *image)
{
    struct kgi_set above = {0};
    int error = 0;

    for (size_t i = image->layer_count; i-- > 0 && error == 0;) {
        struct recorded *l = kgi_layer_repeats(image, i) ? NULL : record_find(r, image->layers[i]);
        if (l) {
            mark_shown(l, &above);
            error = kgi_keys_merge(&above, &l->keys);
        } else if (!kgi_layer_repeats(image, i)) {
            kgi_walk_error(r->walk, r->node->path, "%s: a layer that is not there",
                           image->layers[i]);
        }
    }
    kgi_set_free(&above);
    return error;
}

static void tell_hidden(const struct kgi_record *r)
{
    const struct kgi_visitor *v = r->walk->visitor;

    for (size_t i = 0; i < r->layer_count; i++)
        for (size_t k = 0; k < r->layers[i].kept_count && v->hidden; k++)
            if (r->layers[i].kept[k].name)
                v->hidden(v->context, r->layers[i].kept[k].path);
}

static int record_judge(struct kgi_record *r)
{
    struct kgi_images images = {.fetch = record_fetch, .context = r};
    int error = kgi_images_list(&images);

    for (size_t i = 0; i < r->layer_count && images.count; i++)
        if (r->layers[i].link_count)
            qsort(r->layers[i].links, r->layers[i].link_count, sizeof *r->layers[i].links,
                  by_target);
    for (size_t i = 0; i < images.errors.count; i++)
        kgi_walk_error(r->walk, r->node->path, "%s", images.errors.at[i]);
    for (size_t i = 0; i < images.count && error == 0; i++)
        error = record_image(r, &images.at[i]);
    /* Of layers whose order is not known, everything counts. */
    if (images.count && error == 0)
        tell_hidden(r);
    kgi_images_free(&images);
    return error;
}

static void record_free(struct kgi_record *r)
{
    for (size_t i = 0; i < r->layer_count; i++) {
        struct recorded *l = &r->layers[i];
        for (size_t k = 0; k < l->kept_count; k++) {
            free(l->kept[k].path);
            free(l->kept[k].name);
        }
        for (size_t k = 0; k < l->link_count; k++)
            free(l->links[k].name);
        free(l->kept);
        free(l->links);
        free(l->keys.at);
        free(l->member);
        free(l->link);
    }
    for (size_t i = 0; i < r->text_count; i++) {
        free(r->texts[i].member);
        free((void *)(uintptr_t)r->texts[i].json.at);
    }
    free(r->layers);
    free(r->texts);
    free(r);
}

int kgi_record_end(struct kgi_record *r)
{
    int error = r->over ? 0 : record_judge(r);

    r->walk->record = r->outer;
    record_free(r);
    return error;
}
