/*
 * Saved images whose members can be had in any order: folders, and tars on disk that are not
 * compressed, whose headers are listed first (one seek for each layer).
 *
 * Layers are read from the top: what a layer holds is shown if nothing above hides it (hide.c),
 * then its names are added to what hides the layers below. One pass, each layer read once, nothing
 * shown that is not in the finished image.
 *
 * A layer may hold a file's bytes under a name that a layer above removes, and a hard link to it
 * that stays: a package manager's cache, say, that a later step empties. Such a layer is read a
 * second time, and the file shown under the link's name.
 */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a layer, from the top ------------------------------------------------------------------ */

/* A hard link that stays, to a file that is hidden. */
struct rescue {
    char *target, *link;
};

struct layer {
    const char *path, *inner; /* of the layer; of the image */
    struct kgi_set *above;
    struct kgi_keys keys;
    struct kgi_set skipped; /* hidden files of this layer */
    struct kgi_set rescued; /* those among them that a rescue is for: one name is enough */
    struct rescue *rescues; /* for the second reading by target */
    size_t rescue_count;
    bool again;   /* the second reading: only rescues */
    bool reached; /* it could be opened */
};

static int add_rescue(struct layer *layer, const struct kgi_member *m)
{
    uint64_t key = kgi_key_of_file(m->link);
    int added = kgi_set_has(&layer->skipped, key) ? kgi_set_add(&layer->rescued, key) : 0;

    if (added <= 0)
        return added;
    struct rescue *rescues = realloc(layer->rescues, (layer->rescue_count + 1) * sizeof *rescues);
    if (!rescues)
        return -ENOMEM;
    layer->rescues = rescues;
    rescues += layer->rescue_count++;
    *rescues = (struct rescue){strdup(m->link), strdup(m->name)};
    return rescues->target && rescues->link ? 0 : -ENOMEM;
}

static int by_target(const void *a, const void *b)
{
    return strcmp(((const struct rescue *)a)->target, ((const struct rescue *)b)->target);
}

static int layer_again(struct kgi_archive *x, const struct layer *layer, const struct kgi_member *m)
{
    const struct rescue *found = bsearch(&(struct rescue){m->name, NULL}, layer->rescues,
                                         layer->rescue_count, sizeof *found, by_target);

    return found && m->regular ? kgi_layer_visit(x, layer->path, layer->inner, found->link) : 0;
}

static int layer_member(struct kgi_archive *x, struct layer *layer, const struct kgi_member *m)
{
    bool content;

    if (layer->again)
        return layer_again(x, layer, m);
    int error = kgi_keys_add_member(&layer->keys, m, &content);
    if (error || !content)
        return error;
    if (kgi_keys_hide(layer->above, m->name)) {
        if (m->regular && kgi_set_add(&layer->skipped, kgi_key_of_file(m->name)) < 0)
            return -ENOMEM;
        return 0;
    }
    if (m->hard)
        return add_rescue(layer, m);
    return m->regular && strlen(m->name) <= KGI_NAME
               ? kgi_layer_visit(x, layer->path, layer->inner, m->name)
               : 0;
}

static int layer_use(struct kgi_walk *walk, const struct kgi_node *node, void *context)
{
    struct layer *layer = context;
    struct kgi_node named = *node;
    enum kgi_form form = kgi_archive_form(node->start);
    struct kgi_member m;
    int more, stop = 0;

    layer->reached = true;
    named.named = true;
    if (form != KGI_TAR && form != KGI_PACKED) {
        /* An empty layer is a tar of zeros. */
        if (node->start.size < 1024 || node->start.at[0])
            kgi_walk_error(walk, layer->path, "a layer that is no tar");
        return 0;
    }
    struct kgi_archive *x = kgi_archive_open(walk, &named, form, 0, false);
    if (!x)
        return -ENOMEM;
    while (stop == 0 && (more = kgi_archive_next(x, &m)) != 0)
        stop = more < 0 ? more : layer_member(x, layer, &m);
    kgi_archive_close(x);
    return stop;
}

/* ---- where members are ---------------------------------------------------------------------- */

struct place {
    char *name, *link;
    uint64_t at;
};

struct source {
    struct kgi_walk *walk;
    const char *path;
    const struct kgi_node *tar; /* or NULL: */
    int folder;
    struct place *places;
    size_t place_count;
};

static int with_tar_member(struct source *source, const char *member, const char *path,
                           kgi_use *use, void *context)
{
    struct kgi_member m;
    size_t i;
    int hops;

    /* docker save writes a layer that two images share once, and a link to it. */
    for (hops = 0; hops < 4; hops++) {
        for (i = 0; i < source->place_count && strcmp(source->places[i].name, member) != 0; i++)
            ;
        if (i == source->place_count)
            return -ENOENT;
        if (!source->places[i].link)
            break;
        member = source->places[i].link;
    }
    if (hops == 4)
        return -ENOENT;
    struct kgi_archive *x =
        kgi_archive_open(source->walk, source->tar, KGI_TAR, source->places[i].at, false);
    if (!x)
        return -ENOMEM;
    struct kgi_blob blob = {source->path, member, use, context};
    int stop = kgi_archive_next(x, &m);
    if (stop > 0)
        stop = kgi_archive_visit(x, path, path, kgi_use_blob, &blob);
    kgi_archive_close(x);
    return stop;
}

static int with_member(struct source *source, const char *member, const char *path, kgi_use *use,
                       void *context)
{
    struct stat s;
    int fd, stop = -ENOENT;

    if (source->tar)
        return with_tar_member(source, member, path, use, context);
    if (fstatat(source->folder, member, &s, 0) < 0 || !S_ISREG(s.st_mode))
        return -ENOENT;
    fd = openat(source->folder, member, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    struct kgi_blob blob = {source->path, member, use, context};
    stop = kgi_walk_fd(source->walk, path, fd, true, kgi_use_blob, &blob);
    close(fd);
    return stop;
}

static int source_fetch(void *context, const char *member, struct kgi_bytes *json)
{
    *json = (struct kgi_bytes){NULL, 0};
    int error = with_member(context, member, member, kgi_use_json, json);

    return error == 0 && !json->at ? -ENOENT : error;
}

/* ---- images whose members can be had in any order ------------------------------------------- */

static void layer_end(struct layer *layer)
{
    for (size_t i = 0; i < layer->rescue_count; i++) {
        free(layer->rescues[i].target);
        free(layer->rescues[i].link);
    }
    free(layer->rescues);
    free(layer->keys.at);
    kgi_set_free(&layer->skipped);
    kgi_set_free(&layer->rescued);
}

static int walk_layer(struct source *source, const char *member, const char *path,
                      const char *inner, struct kgi_set *above)
{
    struct layer layer = {.path = kgi_layer_path(path, member), .inner = inner, .above = above};
    int stop = layer.path ? with_member(source, member, layer.path, layer_use, &layer) : -ENOMEM;

    if (stop == 0 && layer.rescue_count) {
        layer.again = true;
        qsort(layer.rescues, layer.rescue_count, sizeof *layer.rescues, by_target);
        stop = with_member(source, member, layer.path, layer_use, &layer);
    }
    if (stop < 0 && stop != -ENOMEM && !layer.reached) {
        kgi_walk_error(source->walk, path, "%s: a layer that %s%s", member,
                       stop == -ENOENT ? "is not there" : "cannot be opened: ",
                       stop == -ENOENT ? "" : strerror(-stop));
        stop = 0;
    }
    if (stop == 0)
        stop = kgi_keys_merge(above, &layer.keys);
    layer_end(&layer);
    free((void *)(uintptr_t)layer.path);
    return stop;
}

static int walk_image(struct source *source, const struct kgi_images *images,
                      const struct kgi_image *image, const char *path)
{
    struct kgi_set above = {0};
    char *shown = kgi_image_path(images, image, path);
    int stop = shown ? 0 : -ENOMEM;

    for (size_t i = image->layer_count; i-- > 0 && stop == 0;)
        if (!kgi_layer_repeats(image, i))
            stop = walk_layer(source, image->layers[i], shown, shown, &above);
    kgi_set_free(&above);
    free(shown);
    return stop;
}

/* Web applications have an index.json and a manifest.json too, and not these beside them. */
static bool claims_to_be_image(int folder)
{
    static const char *const names[] = {"oci-layout", "blobs", "repositories", "version"};
    size_t i = 0;

    while (i < KGI_COUNT(names) && faccessat(folder, names[i], F_OK, 0) != 0)
        i++;
    return i < KGI_COUNT(names);
}

static int walk_images(struct source *source, const char *path, bool *is)
{
    struct kgi_images images = {.fetch = source_fetch, .context = source};
    int stop = kgi_images_list(&images);

    *is = images.count > 0;
    /* A tar without a readable image is walked as a tar, which comes to the same errors. */
    bool say = *is || (!source->tar && claims_to_be_image(source->folder));
    for (size_t i = 0; i < images.errors.count && say; i++)
        kgi_walk_error(source->walk, path, "%s", images.errors.at[i]);
    for (size_t i = 0; i < images.count && stop == 0; i++)
        stop = walk_image(source, &images, &images.at[i], path);
    kgi_images_free(&images);
    return stop;
}

int kgi_image_walk_folder(struct kgi_walk *walk, const char *path, int fd, bool *is)
{
    struct source source = {.walk = walk, .path = path, .folder = fd};

    return walk_images(&source, path, is);
}

static int add_place(struct source *source, const struct kgi_member *m)
{
    size_t count = source->place_count;

    if ((count & (count - 1)) == 0) {
        struct place *places = realloc(source->places, (count ? count * 2 : 1) * sizeof *places);
        if (!places)
            return -ENOMEM;
        source->places = places;
    }
    struct place *p = &source->places[source->place_count++];
    *p = (struct place){strdup(m->name), m->link ? kgi_image_link(m) : NULL, m->place};
    return p->name && (p->link || !m->link) ? 0 : -ENOMEM;
}

int kgi_image_walk_tar(struct kgi_walk *walk, const struct kgi_node *node, bool *is)
{
    enum { PLACES = 10000 };
    struct source source = {.walk = walk, .path = node->path, .tar = node, .folder = -1};
    struct kgi_archive *x = kgi_archive_open(walk, node, KGI_TAR, 0, true);
    struct kgi_member m;
    int more = 0, stop = x ? 0 : -ENOMEM;

    *is = x != NULL;
    while (stop == 0 && *is && (more = kgi_archive_next(x, &m)) != 0) {
        *is = more > 0 && kgi_image_name(m.name) && source.place_count < PLACES;
        stop = more < 0 ? more : *is ? add_place(&source, &m) : 0;
    }
    *is = *is && stop == 0 && kgi_archive_whole(x);
    kgi_archive_close(x);
    if (*is)
        stop = walk_images(&source, node->path, is);
    for (size_t i = 0; i < source.place_count; i++) {
        free(source.places[i].name);
        free(source.places[i].link);
    }
    free(source.places);
    return stop;
}
