/*
 * Which images a saved image holds. An index may lead to further indexes (of platforms, of names),
 * and Docker writes both an index.json and a manifest.json for the same images.
 */
#include "image.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

/* ---- the list of images --------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static int images_error(struct kgi_images *images,
                                                              const char *format, ...)
{
    va_list list;
    char *text;

    va_start(list, format);
    int length = vasprintf(&text, format, list);
    va_end(list);
    return kgi_names_add(&images->errors, length < 0 ? NULL : text);
}

void kgi_images_free(struct kgi_images *images)
{
    struct kgi_document all = {KGI_DOCUMENT_DOCKER, images->at, images->count};

    kgi_document_free(&all);
    kgi_names_free(&images->errors);
    free(images->lost);
}

/* 1 and the document; 0 when it cannot be read, which was said; -ENOENT, -ENOMEM. */
static int document(struct kgi_images *images, const char *member, struct kgi_document *out,
                    struct kgi_bytes *json)
{
    char problem[256];
    int error = images->fetch(images->context, member, json);

    if (error == -ENOENT || error == -ENOMEM)
        return error;
    if (error) {
        error = images_error(images, "%s: cannot be read: %s", member, strerror(-error));
        return error;
    }
    error = kgi_document_read(*json, out, problem, sizeof problem);
    if (error == 0)
        return 1;
    free((void *)(uintptr_t)json->at);
    return error == -EBADMSG ? images_error(images, "%s: %s", member, problem) : error;
}

static void move(char **to, char **from)
{
    if (*from) {
        free(*to);
        *to = *from;
        *from = NULL;
    }
}

/* Takes an image over. name, platform: of the index that led to it. */
static int images_add(struct kgi_images *images, struct kgi_image *image, struct kgi_image *entry)
{
    struct kgi_image *at = realloc(images->at, (images->count + 1) * sizeof *at);
    struct kgi_bytes json;

    if (!at)
        return -ENOMEM;
    images->at = at;
    at[images->count++] = *image;
    at += images->count - 1;
    *image = (struct kgi_image){0};
    if (entry) {
        move(&at->name, &entry->name);
        move(&at->platform, &entry->platform);
        move(&at->blob, &entry->blob);
    }
    if (!at->platform && at->config && images->fetch(images->context, at->config, &json) == 0) {
        at->platform = kgi_document_platform(json);
        free((void *)(uintptr_t)json.at);
    }
    return 0;
}

static bool is_listed(const struct kgi_images *images, const char *blob)
{
    for (size_t i = 0; i < images->count; i++)
        if (images->at[i].blob && strcmp(images->at[i].blob, blob) == 0)
            return true;
    return false;
}

#define LOST ": named by an index, but not there"

static int add_index(struct kgi_images *images, struct kgi_document *index, int depth);

/* What an index's entry leads to. *missing: it is not in this image. */
static int add_entry(struct kgi_images *images, struct kgi_image *entry, int depth, bool *missing)
{
    struct kgi_document found;
    struct kgi_bytes json;

    if (is_listed(images, entry->blob))
        return 0;
    int result = document(images, entry->blob, &found, &json);
    *missing = result == -ENOENT;
    if (result <= 0)
        return *missing ? 0 : result;
    result = 0;
    if (found.kind == KGI_DOCUMENT_INDEX && depth < 4) {
        for (size_t i = 0; i < found.count && entry->name && result == 0; i++)
            if (!found.images[i].name && !(found.images[i].name = strdup(entry->name)))
                result = -ENOMEM;
        result = result ? result : add_index(images, &found, depth + 1);
    } else if (found.kind == KGI_DOCUMENT_MANIFEST && !found.images[0].other) {
        result = images_add(images, &found.images[0], entry);
    }
    kgi_document_free(&found);
    free((void *)(uintptr_t)json.at);
    return result;
}

static int add_index(struct kgi_images *images, struct kgi_document *index, int depth)
{
    int error = 0;

    for (size_t i = 0; i < index->count && error == 0; i++) {
        const char *blob = index->images[i].blob;
        bool missing = false;
        error = add_entry(images, &index->images[i], depth, &missing);
        if (missing && depth == 0)
            error = images_error(images, "%s" LOST, blob);
        else if (missing && !images->lost && !(images->lost = strdup(blob)))
            error = -ENOMEM;
    }
    return error;
}

/* Docker saves the whole index of an image of which it has one platform: manifests of an inner
 * index may be missing, if there is any image at all. */
static int read_index(struct kgi_images *images, struct kgi_document *index)
{
    int error = index->kind == KGI_DOCUMENT_INDEX ? add_index(images, index, 0) : 0;

    if (error == 0 && images->lost && !images->count && !images->errors.count)
        error = images_error(images, "%s" LOST, images->lost);
    return error;
}

/* "blobs/sha256/ab12" -> "ab12" */
static void bare_name(char *member)
{
    const char *slash = member ? strrchr(member, '/') : NULL;

    if (slash)
        memmove(member, slash + 1, strlen(slash));
}

/* manifest.json: Docker's list of images; or, in the folders of `skopeo copy ... dir:`, the manifest of
 * one, whose blobs lie beside it. */
static int read_manifest(struct kgi_images *images, struct kgi_document *found)
{
    bool alone = found->kind == KGI_DOCUMENT_MANIFEST && !found->images[0].other;
    int error = 0;

    for (size_t i = 0; alone && i < found->images[0].layer_count; i++)
        bare_name(found->images[0].layers[i]);
    if (alone)
        bare_name(found->images[0].config);
    for (size_t i = 0; i < found->count && (alone || found->kind == KGI_DOCUMENT_DOCKER) && error == 0;
         i++)
        error = images_add(images, &found->images[i], NULL);
    return error;
}

int kgi_images_list(struct kgi_images *images)
{
    struct kgi_document found;
    struct kgi_bytes json;
    int result = document(images, "index.json", &found, &json);

    if (result > 0) {
        result = read_index(images, &found);
        kgi_document_free(&found);
        free((void *)(uintptr_t)json.at);
    }
    if ((result < 0 && result != -ENOENT) || images->count)
        return result;
    result = document(images, "manifest.json", &found, &json);
    if (result <= 0)
        return result == -ENOENT ? 0 : result;
    result = read_manifest(images, &found);
    kgi_document_free(&found);
    free((void *)(uintptr_t)json.at);
    return result;
}

/* Whether images differ in this, and it may be needed to tell them apart. */
static bool differ(const struct kgi_images *images, size_t field)
{
    const char *first = NULL, *text;

    for (size_t i = 0; i < images->count; i++) {
        memcpy(&text, (const char *)&images->at[i] + field, sizeof text);
        if (i && (!text != !first || (text && strcmp(text, first) != 0)))
            return true;
        first = text;
    }
    return false;
}

char *kgi_image_path(const struct kgi_images *images, const struct kgi_image *image,
                     const char *path)
{
    bool named = image->name && differ(images, offsetof(struct kgi_image, name));
    bool placed = image->platform && differ(images, offsetof(struct kgi_image, platform));

    return kgi_format("%s%s%s%s%s", path, named ? "!" : "", named ? image->name : "",
                      placed ? "!" : "", placed ? image->platform : "");
}

static size_t hex_length(const char *text)
{
    return strspn(text, "0123456789abcdef");
}

char *kgi_layer_path(const char *path, const char *member)
{
    size_t hex = hex_length(member);

    if (strncmp(member, "blobs/", 6) == 0) {
        const char *slash = strchr(member + 6, '/');
        if (slash)
            return kgi_format("%s!%.*s:%.12s", path, (int)(slash - member - 6), member + 6,
                              slash + 1);
    }
    return hex == 64 ? kgi_format("%s!%.12s", path, member) : kgi_format("%s!%s", path, member);
}

bool kgi_layer_repeats(const struct kgi_image *image, size_t layer)
{
    for (size_t i = layer + 1; i < image->layer_count; i++)
        if (strcmp(image->layers[i], image->layers[layer]) == 0)
            return true;
    return false;
}

bool kgi_image_name(const char *name)
{
    static const char *const names[] = {"oci-layout", "index.json", "manifest.json",
                                        "repositories"};
    size_t hex;

    for (size_t i = 0; i < KGI_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    if (strncmp(name, "blobs", 5) == 0)
        return name[5] == 0 || name[5] == '/';
    if (strncmp(name, "sha256:", 7) == 0)
        name += 7;
    hex = hex_length(name);
    return hex == 64 && (name[hex] == 0 || name[hex] == '.' || name[hex] == '/');
}

char *kgi_image_link(const struct kgi_member *m)
{
    const char *slash = strrchr(m->name, '/'), *to = m->link;
    size_t folder = slash ? (size_t)(slash - m->name) : 0;

    if (m->hard)
        return strdup(to);
    while (strncmp(to, "../", 3) == 0) {
        to += 3;
        while (folder && m->name[folder - 1] != '/')
            folder--;
        folder -= folder ? 1 : 0;
    }
    return kgi_format("%.*s%s%s", (int)folder, m->name, folder ? "/" : "", to);
}

int kgi_use_json(struct kgi_walk *walk, const struct kgi_node *node, void *context)
{
    struct kgi_bytes *json = context;
    uint8_t *at = malloc(KGI_JSON + 1);

    (void)walk;
    if (!at)
        return -ENOMEM;
    memcpy(at, node->start.at, node->start.size);
    ssize_t n =
        kgi_stream_fill(node->stream, at + node->start.size, KGI_JSON + 1 - node->start.size);
    if (n < 0 || node->start.size + (size_t)n > KGI_JSON) {
        free(at);
        return n < 0 ? (int)n : -EFBIG;
    }
    json->size = node->start.size + (size_t)n;
    uint8_t *exact = realloc(at, json->size);
    json->at = exact ? exact : at;
    return 0;
}

int kgi_layer_visit(struct kgi_archive *x, const char *layer, const char *image, const char *name)
{
    char *path = kgi_format("%s!/%s", layer, name);
    char *inner = kgi_format("%s!/%s", image, name);
    int stop = path && inner ? kgi_archive_visit(x, path, inner, kgi_use_node, NULL) : -ENOMEM;

    free(path);
    free(inner);
    return stop;
}
