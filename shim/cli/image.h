/*
 * What the two ways of walking a saved image share: layers.c, which can go to any layer, and
 * record.c, which sees each once, in any order.
 */
#ifndef KGI_IMAGE_H
#define KGI_IMAGE_H

#include "walk.h"

/* ---- hide.c: names that hide names ---------------------------------------------------------- */

/* The members of a layer, as hashes. */
struct kgi_keys {
    uint64_t *at;
    size_t count, room;
};
/* Adds what a member hides in the layers below. *content: it is a file of its own, no whiteout. */
int kgi_keys_add_member(struct kgi_keys *keys, const struct kgi_member *member, bool *content);
/* Adds the keys of a layer to those of the layers above it. */
int kgi_keys_merge(struct kgi_set *above, const struct kgi_keys *keys);
/* Whether the layers above hide the file of this name. */
bool kgi_keys_hide(const struct kgi_set *above, const char *name);
uint64_t kgi_key_of_file(const char *name);

/* ---- image.c: which images there are -------------------------------------------------------- */

/* Gives the JSON of a member, for free(); -ENOENT, or another -errno. */
typedef int kgi_fetch(void *context, const char *member, struct kgi_bytes *json);

struct kgi_images {
    struct kgi_image *at; /* each with its layers */
    size_t count;
    struct kgi_names errors;
    char *lost; /* a manifest that an inner index names, but is not there */
    kgi_fetch *fetch;
    void *context;
};
/* Lists the images that index.json leads to, or else manifest.json; fetch and context are set. */
int kgi_images_list(struct kgi_images *images);
void kgi_images_free(struct kgi_images *images);
/* "path", "path!app:1", "path!linux/arm64": what tells one image from the others there. */
char *kgi_image_path(const struct kgi_images *images, const struct kgi_image *image,
                     const char *path);
/* "path!sha256:" and twelve digits, as Docker shows layers. */
char *kgi_layer_path(const char *path, const char *member);
/* Whether the same layer comes again further up: then it hides this one. */
bool kgi_layer_repeats(const struct kgi_image *image, size_t layer);
/* Whether a member of this name may belong to a saved image. */
bool kgi_image_name(const char *name);
/* What a link among the members leads to: "ab/layer.tar" -> "../cd/layer.tar" is "cd/layer.tar". */
char *kgi_image_link(const struct kgi_member *member);
/* Reads a document into the struct kgi_bytes that is the context; -EFBIG. */
kgi_use kgi_use_json;
/* Walks the file at hand as LAYER!/name, IMAGE!/name. */
int kgi_layer_visit(struct kgi_archive *archive, const char *layer, const char *image,
                    const char *name);

/* ---- digest.c ------------------------------------------------------------------------------- */

/* A member of an image that lies at path, and what is to be done with its contents. */
struct kgi_blob {
    const char *path, *member;
    kgi_use *use;
    void *context;
};
/* As a kgi_use: does it, and names a blob whose bytes are not those of its name. */
kgi_use kgi_use_blob;

#endif
