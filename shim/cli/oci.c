/*
 * The documents of images: index.json and manifests of the OCI image layout (which Docker's own
 * manifest lists equal, but for media types), and the manifest.json of `docker save`. Only the
 * fields that lead to layers are read; all that is read is checked, and an error names the field.
 */
#include "walk.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

enum { IMAGES = 256, LAYERS = 512 }; /* Docker itself stops at 127 layers */

struct reader {
    char *error;
    size_t size;
};

static int wrong(struct reader *r, const char *field, size_t index, const char *what)
{
    snprintf(r->error, r->size, "%s[%zu]%s", field, index, what);
    return -EBADMSG;
}

static const char *text_of(const json_t *string)
{
    const char *s = json_string_value(string);

    return s && *s ? s : NULL;
}

static const char *string(const json_t *object, const char *key)
{
    return text_of(json_object_get(object, key));
}

/* "sha256:ab12" -> "blobs/sha256/ab12"; NULL with errno 0 for anything that is no digest. */
static char *member_of(const char *digest)
{
    size_t name = digest ? strspn(digest, "abcdefghijklmnopqrstuvwxyz0123456789+._-") : 0, hex;

    errno = 0;
    if (!name || name > 32 || digest[name] != ':' || digest[0] == '.')
        return NULL;
    hex = strspn(digest + name + 1, "abcdefABCDEF0123456789");
    if (hex < 32 || hex > 128 || digest[name + 1 + hex])
        return NULL;
    return kgi_format("blobs/%.*s/%s", (int)name, digest, digest + name + 1);
}

static char *platform_of(const json_t *object)
{
    const char *os = string(object, "os"), *machine = string(object, "architecture");
    const char *variant = string(object, "variant");

    if (!os || !machine || strcmp(os, "unknown") == 0)
        return NULL;
    return kgi_format("%.32s/%.32s%s%.32s", os, machine, variant ? "/" : "",
                      variant ? variant : "");
}

/* Layers are tars; what has other media types is no file system: charts, signatures, and BuildKit's
 * attestations, which stand beside the images of an index. Docker's and OCI's types both have "tar"
 * in them. */
static bool is_other(const char *media)
{
    return media && !strstr(media, "tar");
}

static int add_layer(struct kgi_image *image, char *member)
{
    if (!member)
        return -ENOMEM;
    image->layers[image->layer_count++] = member;
    return 0;
}

static int layers_room(struct reader *r, struct kgi_image *image, const json_t *layers)
{
    size_t count = json_array_size(layers);

    if (count > LAYERS)
        return wrong(r, "layers", count, ": more layers than any tool makes");
    image->layers = calloc(count + 1, sizeof *image->layers);
    return image->layers ? 0 : -ENOMEM;
}

static int read_manifest(struct reader *r, const json_t *root, struct kgi_image *image)
{
    const json_t *layers = json_object_get(root, "layers"), *layer;
    int error = layers_room(r, image, layers);
    size_t i;

    json_array_foreach(layers, i, layer)
    {
        char *member = error ? NULL : member_of(string(layer, "digest"));
        if (!member && !error)
            error = errno ? -ENOMEM : wrong(r, "layers", i, ".digest is no digest");
        if (error)
            break;
        image->other = image->other || is_other(string(layer, "mediaType"));
        error = add_layer(image, member);
    }
    if (!error)
        image->config = member_of(string(json_object_get(root, "config"), "digest"));
    return error;
}

static int read_index_entry(struct reader *r, const json_t *entry, size_t i,
                            struct kgi_image *image)
{
    const json_t *notes = json_object_get(entry, "annotations");
    const char *name = string(notes, "io.containerd.image.name");

    if (!(image->blob = member_of(string(entry, "digest"))))
        return errno ? -ENOMEM : wrong(r, "manifests", i, ".digest is no digest");
    if (!name)
        name = string(notes, "org.opencontainers.image.ref.name");
    if (name && !(image->name = strdup(name)))
        return -ENOMEM;
    image->platform = platform_of(json_object_get(entry, "platform"));
    return 0;
}

/* A path of a member: relative, and not out of the image. */
static bool is_inside(const char *path)
{
    for (const char *at = path; at && *at; at += strcspn(at, "/"), at += *at == '/')
        if (strncmp(at, "..", 2) == 0 && (at[2] == '/' || at[2] == 0))
            return false;
    return path && path[0] && path[0] != '/' && strlen(path) <= KGI_NAME;
}

static int read_docker_entry(struct reader *r, const json_t *entry, size_t i,
                             struct kgi_image *image)
{
    const json_t *layers = json_object_get(entry, "Layers"), *layer;
    const char *name = text_of(json_array_get(json_object_get(entry, "RepoTags"), 0));
    const char *config = string(entry, "Config");
    size_t k;
    int error = layers_room(r, image, layers);

    if (!json_is_array(layers))
        return wrong(r, "images", i, ".Layers is no list");
    json_array_foreach(layers, k, layer)
    {
        if (error || !is_inside(json_string_value(layer)))
            return error ? error : wrong(r, "Layers", k, " is no path inside the image");
        error = add_layer(image, strdup(json_string_value(layer)));
    }
    if (is_inside(config))
        image->config = strdup(config);
    if (name && !(image->name = strdup(name)))
        return -ENOMEM;
    return error;
}

static int read_list(struct reader *r, const json_t *list, struct kgi_document *out,
                     int (*read)(struct reader *, const json_t *, size_t, struct kgi_image *))
{
    size_t count = json_array_size(list), i;
    const json_t *entry;
    int error = 0;

    if (count > IMAGES)
        return wrong(r, "images", count, ": more images than are read");
    out->images = calloc(count + 1, sizeof *out->images);
    if (!out->images)
        return -ENOMEM;
    json_array_foreach(list, i, entry)
    {
        out->count++;
        if ((error = read(r, entry, i, &out->images[i])))
            break;
    }
    return error;
}

static int read_root(struct reader *r, const json_t *root, struct kgi_document *out)
{
    if (json_is_array(root) && json_object_get(json_array_get(root, 0), "Layers")) {
        out->kind = KGI_DOCUMENT_DOCKER;
        return read_list(r, root, out, read_docker_entry);
    }
    if (json_is_array(json_object_get(root, "manifests"))) {
        out->kind = KGI_DOCUMENT_INDEX;
        return read_list(r, json_object_get(root, "manifests"), out, read_index_entry);
    }
    if (!json_is_array(json_object_get(root, "layers")))
        return 0;
    out->kind = KGI_DOCUMENT_MANIFEST;
    out->images = calloc(1, sizeof *out->images);
    if (!out->images)
        return -ENOMEM;
    out->count = 1;
    return read_manifest(r, root, out->images);
}

static json_t *load(struct kgi_bytes json, struct reader *r)
{
    json_error_t problem;
    json_t *root = json_loadb((const char *)json.at, json.size, 0, &problem);

    if (!root)
        snprintf(r->error, r->size, "line %d, column %d: %s", problem.line, problem.column,
                 problem.text);
    return root;
}

int kgi_document_read(struct kgi_bytes json, struct kgi_document *out, char *error, size_t size)
{
    struct reader r = {error, size};
    json_t *root = load(json, &r);

    *out = (struct kgi_document){0};
    if (!root)
        return -EBADMSG;
    int result = read_root(&r, root, out);
    json_decref(root);
    if (result)
        kgi_document_free(out);
    return result;
}

static void image_free(struct kgi_image *image)
{
    for (size_t i = 0; i < image->layer_count; i++)
        free(image->layers[i]);
    free(image->layers);
    free(image->name);
    free(image->platform);
    free(image->blob);
    free(image->config);
}

void kgi_document_free(struct kgi_document *document)
{
    for (size_t i = 0; i < document->count; i++)
        image_free(&document->images[i]);
    free(document->images);
    *document = (struct kgi_document){0};
}

char *kgi_document_platform(struct kgi_bytes json)
{
    char error[256];
    struct reader r = {error, sizeof error};
    json_t *root = load(json, &r);
    char *platform = root ? platform_of(root) : NULL;

    json_decref(root);
    return platform;
}
