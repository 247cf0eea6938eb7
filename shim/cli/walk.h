/*
 * The walk's own interfaces: paths and folders (walk.c), archives (archive.c), saved images
 * (layers.c, record.c; image.h) and their documents (oci.c), processes (process.c). The command
 * sees only kgi_walk and kgi_walk_process of cli.h.
 */
#ifndef KGI_WALK_H
#define KGI_WALK_H

#include "cli.h"

/* Limits. What goes beyond one is named in an error and left out; the rest is still walked. */
enum {
    KGI_START = 4096,       /* bytes shown of each file: tar's magic is at 257, PTX has a head */
    KGI_DEPTH = 8,          /* archives inside archives: image, layer, wheel make three */
    KGI_FOLDERS = 256,      /* folders inside folders; each holds a descriptor */
    KGI_NAME = 4096,        /* bytes of a member's name */
    KGI_ENTRIES = 10 << 20, /* members of all archives of one file */
    KGI_JSON = 1 << 20,     /* bytes of a manifest */
    KGI_RATIO = 200,        /* unpacked : packed; real archives stay below 20 */
};
#define KGI_RATIO_FROM ((uint64_t)1 << 30) /* below this much output no ratio is a bomb */
#define KGI_UNPACKED ((uint64_t)1 << 40)   /* of one file, whatever the ratio */

/* ---- set.c: small containers ---------------------------------------------------------------- */

/* A set of 64-bit keys; zero-initialised. Key 0 is never in it. */
struct kgi_set {
    uint64_t *slots;
    size_t room, count;
};
bool kgi_set_has(const struct kgi_set *set, uint64_t key);
/* 1 when added, 0 when it was there, -ENOMEM. */
int kgi_set_add(struct kgi_set *set, uint64_t key);
void kgi_set_free(struct kgi_set *set);

/* A growing list of names, each for free(). */
struct kgi_names {
    char **at;
    size_t count, room;
};
/* Takes name over, also when it fails: -ENOMEM, as for a name that is NULL. */
int kgi_names_add(struct kgi_names *names, char *name);
void kgi_names_free(struct kgi_names *names);

/* ---- walk.c --------------------------------------------------------------------------------- */

struct kgi_walk {
    const struct kgi_visitor *visitor;
    struct kgi_set seen;       /* devices and inodes */
    struct kgi_names links;    /* symbolic links, followed once all else is done */
    uint64_t done;             /* bytes of files on disk, for the progress bar */
    bool measuring;            /* only adds up the sizes of files, into done */
    struct kgi_record *record; /* notes what is read while the order of layers is not known */
    const char *inner;         /* of the next file on disk, where that is not its path; or NULL */
    /* Of the one file on disk (or stdin) whose contents are being walked: */
    uint64_t file_size;        /* 0 when not known */
    uint64_t base, passed;     /* walk->done at its start; bytes of it read or skipped */
    uint64_t in, out, entries; /* bytes read from it, bytes unpacked, members met */
    bool bomb;                 /* a limit was passed: nothing more is read from it */
};

/* A file's contents, wherever they come from. */
struct kgi_node {
    const char *path, *inner;
    struct kgi_bytes start; /* its first bytes, taken from stream already */
    struct kgi_stream *stream;
    uint64_t size; /* 0 when not known */
    int fd;        /* of a file on disk, stream's own; or -1 */
    int depth;     /* in how many archives it lies */
    bool named;    /* the user asked for this very file */
};

/* The contents of one file: an archive is walked, anything else given to the visitor. 0; or what
 * stopped the walk. */
int kgi_walk_node(struct kgi_walk *walk, const struct kgi_node *node);
/* A file on disk, whose descriptor stays the caller's: use gets its contents. */
typedef int kgi_use(struct kgi_walk *walk, const struct kgi_node *node, void *context);
int kgi_walk_fd(struct kgi_walk *walk, const char *path, int fd, bool named, kgi_use *use,
                void *context);
/* kgi_walk_node as a kgi_use. */
int kgi_use_node(struct kgi_walk *walk, const struct kgi_node *node, void *context);
/* Bytes that cannot seek: what kgi_walk does with stdin. */
int kgi_walk_stream(const char *path, struct kgi_stream *stream, const struct kgi_visitor *visitor);
void kgi_walk_error(struct kgi_walk *walk, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void kgi_walk_note(struct kgi_walk *walk, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Counts bytes read from the file on disk, and bytes of it skipped; and bytes unpacked, at any
 * depth: false when that is more than a sane archive holds, and was said. */
void kgi_walk_in(struct kgi_walk *walk, uint64_t bytes);
void kgi_walk_skipped(struct kgi_walk *walk, uint64_t bytes);
bool kgi_walk_out(struct kgi_walk *walk, const char *path, uint64_t bytes);
/* printf into new memory; NULL when there is none. */
char *kgi_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Fills buffer from a stream as far as it goes; -errno. */
ssize_t kgi_stream_fill(struct kgi_stream *stream, void *buffer, size_t size);

enum kgi_form { KGI_NO_ARCHIVE, KGI_ZIP, KGI_AR, KGI_TAR, KGI_PACKED };
/* What the first bytes say; KGI_PACKED: gzip, zstd, xz or bzip2, in which a tar may be. */
enum kgi_form kgi_archive_form(struct kgi_bytes start);

/* ---- archive.c ------------------------------------------------------------------------------ */

/* One archive being read. */
struct kgi_archive;
/* A member; valid until the next one. */
struct kgi_member {
    char *name; /* without "./" and "//"; never starts with a slash */
    char *link; /* target of a hard link, as name; of a symbolic one, as it stands there; or NULL */
    bool regular, folder, hard;
    uint64_t size;  /* 0 when not known */
    uint64_t place; /* offset of its header in the (unpacked) archive */
};
/* Opens the archive of a node, which must outlive it; NULL when there is no memory. from: where to
 * start in node->fd. A quiet one does not say what is wrong. */
struct kgi_archive *kgi_archive_open(struct kgi_walk *walk, const struct kgi_node *node,
                                     enum kgi_form form, uint64_t from, bool quiet);
/* 1 and the next member; 0 at the end, also at a place from where it cannot be read on: that was
 * said. */
int kgi_archive_next(struct kgi_archive *archive, struct kgi_member *member);
/* Sets start and stream of out to the contents of the member at hand; false when it has none. */
bool kgi_archive_content(struct kgi_archive *archive, struct kgi_node *out);
/* Gives the contents of the member at hand, which lies at path, to the walk or to use. */
int kgi_archive_visit(struct kgi_archive *archive, const char *path, const char *inner,
                      kgi_use *use, void *context);
/* Whether all that was there could be read. */
bool kgi_archive_whole(const struct kgi_archive *archive);
void kgi_archive_close(struct kgi_archive *archive);
/* Walks all members of an archive. */
int kgi_archive_walk(struct kgi_walk *walk, const struct kgi_node *node, enum kgi_form form);

/* ---- oci.c: the documents of images --------------------------------------------------------- */

/* An image as a document describes it. All strings are the document's own memory. */
struct kgi_image {
    char *name, *platform; /* "app:1", "linux/arm64/v8", or NULL */
    char *blob;            /* an index: the member that holds the manifest (or another index) */
    char *config;          /* a manifest: the member that holds the configuration, or NULL */
    char **layers;         /* bottom first: members "blobs/sha256/..." or "ab12.../layer.tar" */
    size_t layer_count;
    bool other; /* not a file system: an attestation, a chart, a signature */
};
enum kgi_document_kind {
    KGI_DOCUMENT_OTHER,
    KGI_DOCUMENT_INDEX,
    KGI_DOCUMENT_MANIFEST,
    KGI_DOCUMENT_DOCKER
};
struct kgi_document {
    enum kgi_document_kind kind;
    struct kgi_image *images;
    size_t count;
};
/* Reads an index.json, a manifest, or a manifest.json of `docker save`. 0; -EBADMSG with what is
 * wrong and where in error; -ENOMEM. */
int kgi_document_read(struct kgi_bytes json, struct kgi_document *out, char *error, size_t size);
void kgi_document_free(struct kgi_document *document);
/* "linux/arm64/v8" of an image configuration, for free(); NULL when it does not say. */
char *kgi_document_platform(struct kgi_bytes json);

/* ---- layers.c: docker save and OCI layouts -------------------------------------------------- */

/* Walks a saved image: a tar that can seek, or a folder with an index.json or manifest.json. *is
 * says whether it was one; if not, nothing was shown to the visitor. */
int kgi_image_walk_tar(struct kgi_walk *walk, const struct kgi_node *node, bool *is);
int kgi_image_walk_folder(struct kgi_walk *walk, const char *path, int fd, bool *is);

/* ---- record.c: the same, where a layer can be read only once -------------------------------- */

/* A tar that may be a saved image but can be read only once: its layers are walked as they come,
 * and what the finished image hides is taken back with visitor->hidden. */
struct kgi_record;
struct kgi_record *kgi_record_new(struct kgi_walk *walk, const struct kgi_node *node);
/* Offers the member at hand; *is says whether it is part of an image, and was walked. */
int kgi_record_member(struct kgi_record *record, struct kgi_archive *archive,
                      const struct kgi_member *member, bool *is);
/* A file with this path was read. */
int kgi_record_read(struct kgi_record *record, const char *path);
/* Says what is hidden, and frees the record. */
int kgi_record_end(struct kgi_record *record);

/* ---- process.c ------------------------------------------------------------------------------ */

struct kgi_mapping {
    char range[64]; /* as map_files names it: "7f12000-7f34000" */
    unsigned long long inode;
    char *path; /* in the line, which is changed */
    bool deleted;
};
/* A line of /proc/PID/maps; false when no file is mapped there. */
bool kgi_maps_line(char *line, struct kgi_mapping *out);

#endif
