/*
 * Archives, through libarchive's streaming readers: zip, tar (plain, gzip, zstd, xz, bzip2) and ar.
 *
 * Two things are ours. Skipping: members nobody reads are passed over without unpacking them where
 * the format says how long they are; inside a compressed tar there is no such way, and they are
 * unpacked in pieces, so that a bomb is noticed in the middle of one. And places: an error names
 * the member and the byte.
 *
 * A zip is read by its directory where it can seek, as every unpacker does, and else from local
 * header to local header. libarchive holds the whole directory in memory (some 160 bytes for each
 * member): one that is larger than 48 MiB is not read, and the zip is taken from local header to
 * local header too.
 */
#include "walk.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    BUFFER = 128 << 10,
    BUFFER_PACKED =
        16 << 10, /* bzip2 packs 20 000 : 1: how much can come of one read is bounded here */
    DIRECTORY = 48 << 20,
    TAIL = 22 + 65535,       /* a zip's end record and the longest comment */
    NOT_ITS_FORMAT = EILSEQ, /* libarchive's ARCHIVE_ERRNO_FILE_FORMAT, which no header tells */
};

struct kgi_archive {
    struct archive *a;
    struct archive_entry *entry;
    struct kgi_walk *walk;
    const struct kgi_node *node;
    enum kgi_form form;
    bool quiet, first, given, open_member;
    bool dead, damaged; /* cannot be read on; was not whole */
    bool said;          /* the archive around this one is damaged, and that was said */
    uint64_t at, from;  /* bytes taken of the node, or the place in its file; and the first one */
    int64_t unpacked;   /* the filters' output so far */
    struct kgi_member member;
    uint64_t left; /* of the member at hand; a zip may not know */
    struct kgi_stream stream;
    uint8_t *buffer;
    size_t room;
    uint8_t start[KGI_START];
};

/* ---- bytes for libarchive ------------------------------------------------------------------- */

static la_ssize_t on_read(struct archive *a, void *context, const void **out)
{
    struct kgi_archive *x = context;

    *out = x->buffer;
    if (x->walk->bomb)
        return 0; /* looks like the end; why was said */
    if (x->node->fd < 0 && !x->given) {
        x->given = true;
        x->at = x->node->start.size;
        *out = x->node->start.at;
        return (la_ssize_t)x->at;
    }
    ssize_t n = x->node->fd >= 0
                    ? pread(x->node->fd, x->buffer, x->room, (off_t)x->at)
                    : x->node->stream->read(x->node->stream->context, x->buffer, x->room);
    if (n < 0) {
        int error = x->node->fd >= 0 ? errno : (int)-n;
        archive_set_error(a, error, "%s", strerror(error));
        x->said = error == EBADMSG;
        return -1;
    }
    x->at += (uint64_t)n;
    if (x->node->fd >= 0)
        kgi_walk_in(x->walk, (uint64_t)n);
    return n;
}

/* Stops at the end of the file: the rest is then read, found missing, and said to be. */
static la_int64_t on_skip(struct archive *a, void *context, la_int64_t wanted)
{
    struct kgi_archive *x = context;
    uint64_t rest = x->node->size > x->at ? x->node->size - x->at : 0;

    (void)a;
    if (wanted < 0 || x->walk->bomb)
        return 0;
    uint64_t n = (uint64_t)wanted < rest ? (uint64_t)wanted : rest;
    x->at += n;
    kgi_walk_skipped(x->walk, n);
    return (la_int64_t)n;
}

static la_int64_t on_seek(struct archive *a, void *context, la_int64_t offset, int whence)
{
    struct kgi_archive *x = context;
    int64_t base = whence == SEEK_SET ? 0 : (int64_t)(whence == SEEK_CUR ? x->at : x->node->size);

    if (offset < -base || offset > (int64_t)x->node->size - base) {
        archive_set_error(a, EINVAL, "a place outside the file");
        return ARCHIVE_FATAL;
    }
    x->at = (uint64_t)(base + offset);
    return (la_int64_t)x->at;
}

/* ---- opening -------------------------------------------------------------------------------- */

static uint64_t number(const uint8_t *at, size_t size)
{
    uint64_t n = 0;

    memcpy(&n, at, size);
    return n;
}

/* Where the directory of a zip begins and ends; false when nothing says so. */
static bool find_directory(const struct kgi_node *node, uint64_t *begin, uint64_t *end)
{
    size_t size = node->size < TAIL ? (size_t)node->size : TAIL, i;
    uint8_t *tail = malloc(size + 1), far[56];
    bool found = false;

    if (tail && size >= 22 &&
        pread(node->fd, tail, size, (off_t)(node->size - size)) == (ssize_t)size) {
        for (i = size - 22; i > 0 && memcmp(tail + i, "PK\5\6", 4) != 0; i--)
            ;
        found = memcmp(tail + i, "PK\5\6", 4) == 0;
        *end = node->size - size + i;
        *begin = number(tail + i + 16, 4);
        if (*begin == UINT32_MAX && i >= 20 && memcmp(tail + i - 20, "PK\6\7", 4) == 0 &&
            pread(node->fd, far, sizeof far, (off_t)number(tail + i - 12, 8)) == sizeof far)
            *begin = number(far + 48, 8);
    }
    free(tail);
    return found;
}

/* Whether libarchive may read the directory at the end of the file: it is there, and not too large.
 */
static bool has_directory(const struct kgi_archive *x)
{
    const struct kgi_node *node = x->node;
    uint64_t begin, end;
    char magic[4];

    if (!find_directory(node, &begin, &end)) {
        kgi_walk_error(x->walk, node->path,
                       "a zip without an end record, as if cut off: read from member to member");
        return false;
    }
    if (begin != end && (begin > end || pread(node->fd, magic, 4, (off_t)begin) != 4 ||
                         memcmp(magic, "PK\1\2", 4) != 0)) {
        kgi_walk_error(x->walk, node->path,
                       "no directory at byte %llu, where the end record says: read from member to "
                       "member",
                       (unsigned long long)begin);
        return false;
    }
    return end - begin <= DIRECTORY;
}

static bool set_up(struct kgi_archive *x)
{
    struct archive *a = x->a;
    bool seeks = x->node->fd >= 0, by_directory = seeks && x->form == KGI_ZIP && has_directory(x);
    int bad = 0;

    if (x->form == KGI_ZIP)
        bad = archive_read_support_format_zip_streamable(a) ||
              (by_directory && archive_read_support_format_zip_seekable(a));
    else if (x->form == KGI_AR)
        bad = archive_read_support_format_ar(a);
    else
        bad = archive_read_support_format_tar(a);
    if (x->form == KGI_PACKED)
        bad = bad || archive_read_support_filter_gzip(a) || archive_read_support_filter_zstd(a) ||
              archive_read_support_filter_xz(a) || archive_read_support_filter_bzip2(a);
    archive_read_set_callback_data(a, x);
    archive_read_set_read_callback(a, on_read);
    if (seeks)
        archive_read_set_skip_callback(a, on_skip);
    if (by_directory)
        archive_read_set_seek_callback(a, on_seek);
    return !bad;
}

struct kgi_archive *kgi_archive_open(struct kgi_walk *walk, const struct kgi_node *node,
                                     enum kgi_form form, uint64_t from, bool quiet)
{
    struct kgi_archive *x = calloc(1, sizeof *x);

    if (!x)
        return NULL;
    x->room = form == KGI_PACKED ? BUFFER_PACKED : BUFFER;
    x->buffer = malloc(x->room);
    x->a = archive_read_new();
    x->walk = walk;
    x->node = node;
    x->form = form;
    x->quiet = quiet;
    x->at = x->from = from;
    x->first = true;
    if (!x->buffer || !x->a || !set_up(x)) {
        kgi_archive_close(x);
        return NULL;
    }
    /* What open finds wrong, the first header finds too. */
    if (archive_read_open1(x->a) < ARCHIVE_WARN)
        x->dead = true;
    return x;
}

void kgi_archive_close(struct kgi_archive *x)
{
    if (!x)
        return;
    free(x->member.name);
    free(x->member.link);
    archive_read_free(x->a);
    free(x->buffer);
    free(x);
}

bool kgi_archive_whole(const struct kgi_archive *x)
{
    return !x->damaged;
}

/* ---- members -------------------------------------------------------------------------------- */

/* zlib's number for "more input was expected". */
static const char *reason(const struct kgi_archive *x)
{
    const char *text = archive_error_string(x->a);

    if (!text)
        return "cannot be read";
    return strcmp(text, "ZIP decompression failed (-5)") == 0 ? "cut off" : text;
}

/* umoci 0.4 leaves out the padding behind a layer's last file. Go's reader, which is Docker's and
 * containerd's, does not miss it. */
static bool lacks_only_padding(const struct kgi_archive *x)
{
    const char *text = archive_error_string(x->a);
    long long needed, there;

    return text && (x->form == KGI_TAR || x->form == KGI_PACKED) &&
           sscanf(text, "Truncated input file (needed %lld bytes, only %lld available)", &needed,
                  &there) == 2 &&
           needed - there == (long long)(-x->member.size & 511);
}

/* after: it is not the member at hand but what comes behind it. */
static void complain(struct kgi_archive *x, bool after)
{
    const char *name = x->member.name;
    uint64_t at = x->at;

    if (lacks_only_padding(x))
        return;
    x->damaged = true;
    if (x->quiet || x->said || x->walk->bomb)
        return;
    if (x->form != KGI_PACKED)
        at = (uint64_t)archive_filter_bytes(x->a, 0) + x->from;
    kgi_walk_error(x->walk, x->node->path, "%s%s%s%s%s, at byte %llu%s",
                   after && name ? "after " : "", name ? "\"" : "", name ? name : "",
                   name ? "\": " : "", reason(x), (unsigned long long)at,
                   x->dead ? "; the rest is not read" : "");
}

/* After anything that may have unpacked: was it too much? */
static bool account(struct kgi_archive *x, size_t given)
{
    int64_t now = x->form == KGI_PACKED ? archive_filter_bytes(x->a, 0) : 0;
    uint64_t out = now > x->unpacked ? (uint64_t)(now - x->unpacked) : 0;

    x->unpacked = now;
    if (x->form == KGI_ZIP || (x->entry && archive_entry_sparse_count(x->entry)))
        out += given;
    if (kgi_walk_out(x->walk, x->node->path, out))
        return true;
    x->dead = x->damaged = true;
    return false;
}

static ssize_t member_read(void *context, void *to, size_t size)
{
    struct kgi_archive *x = context;

    if (x->dead || !x->open_member)
        return x->dead ? -EBADMSG : 0;
    if (x->form != KGI_ZIP) /* not what is behind it, which may be missing */
        size = size < x->left ? size : (size_t)x->left;
    la_ssize_t n = archive_read_data(x->a, to, size);
    if (n < 0) {
        x->dead = n == ARCHIVE_FATAL;
        x->open_member = false;
        complain(x, false);
        return -EBADMSG;
    }
    x->left -= (uint64_t)n;
    return account(x, (size_t)n) ? n : -EBADMSG;
}

static void pass_in_pieces(struct kgi_archive *x)
{
    const void *block;
    size_t size;
    la_int64_t offset;
    int result;

    while ((result = archive_read_data_block(x->a, &block, &size, &offset)) == ARCHIVE_OK)
        if (!account(x, size))
            return;
    if (result != ARCHIVE_EOF) {
        x->dead = result == ARCHIVE_FATAL;
        complain(x, false);
    }
}

static void pass_over(struct kgi_archive *x)
{
    bool known = x->form == KGI_ZIP ? archive_entry_size_is_set(x->entry) : x->form != KGI_PACKED;

    x->open_member = false;
    if (!known) {
        pass_in_pieces(x);
    } else if (archive_read_data_skip(x->a) < ARCHIVE_WARN) {
        x->dead = true;
        complain(x, false);
    }
}

/* The name without empty and "." parts. ".." stays: names are shown, and never opened. */
static char *clean(const char *name)
{
    size_t length = 0;
    char *out = malloc(strlen(name) + 1);

    while (out && *name) {
        size_t part = strcspn(name, "/");
        if (part && !(part == 1 && name[0] == '.')) {
            if (length)
                out[length++] = '/';
            memcpy(out + length, name, part);
            length += part;
        }
        name += part + (name[part] == '/');
    }
    if (out)
        out[length] = 0;
    return out;
}

/* Names in UTF-8 cannot be converted for the C locale: they are taken as they are. */
static const char *text_of(const char *local, const char *utf8)
{
    return local ? local : utf8;
}

static int describe(struct kgi_archive *x)
{
    struct archive_entry *e = x->entry;
    struct kgi_member *m = &x->member;
    const char *name = text_of(archive_entry_pathname(e), archive_entry_pathname_utf8(e));
    const char *hard = text_of(archive_entry_hardlink(e), archive_entry_hardlink_utf8(e));
    const char *link = text_of(archive_entry_symlink(e), archive_entry_symlink_utf8(e));

    /* ar writes modes without a type: 644. */
    mode_t type = archive_entry_filetype(e);

    free(m->name);
    free(m->link);
    *m = (struct kgi_member){
        .name = clean(name ? name : "(a name that cannot be read)"),
        .link = hard   ? clean(hard)
                : link ? strdup(link)
                       : NULL,
        .regular = (type == AE_IFREG || type == 0) && !hard,
        .folder = type == AE_IFDIR,
        .hard = hard != NULL,
        .size = archive_entry_size_is_set(e) ? (uint64_t)archive_entry_size(e) : 0,
        .place = (uint64_t)archive_read_header_position(x->a) + x->from,
    };
    return m->name && (m->link || !(hard || link)) ? 0 : -ENOMEM;
}

/* A file may begin like a compressed one, or hold something else than a tar: no error unless it was
 * asked for. */
static void no_archive(struct kgi_archive *x)
{
    if (x->form == KGI_PACKED && x->node->named && !x->quiet && !x->walk->bomb &&
        archive_errno(x->a) == NOT_ITS_FORMAT)
        kgi_walk_error(x->walk, x->node->path, "compressed, but no tar is inside");
    else if (x->form != KGI_PACKED || x->node->named)
        complain(x, false);
    x->damaged = true;
}

/* A tar goes on at the next header that is whole. */
static int find_header(struct kgi_archive *x)
{
    int result = x->dead ? ARCHIVE_FATAL : archive_read_next_header(x->a, &x->entry);

    if (result == ARCHIVE_RETRY)
        complain(x, true);
    while (result == ARCHIVE_RETRY && account(x, 0))
        result = archive_read_next_header(x->a, &x->entry);
    return result;
}

static bool next_header(struct kgi_archive *x)
{
    int result = find_header(x);
    bool first = x->first;

    x->first = false;
    if (result == ARCHIVE_EOF || !account(x, 0))
        return false;
    if (result >= ARCHIVE_WARN)
        return true;
    x->dead = true;
    if (first)
        no_archive(x);
    else
        complain(x, true);
    return false;
}

int kgi_archive_next(struct kgi_archive *x, struct kgi_member *member)
{
    if (x->open_member)
        pass_over(x);
    if ((x->dead && !x->first) || !next_header(x))
        return 0;
    if (++x->walk->entries > KGI_ENTRIES) {
        if (!x->quiet)
            kgi_walk_error(x->walk, x->node->path, "more than %d members: the rest is not read",
                           KGI_ENTRIES);
        x->dead = x->damaged = true;
        return 0;
    }
    x->open_member = true;
    int error = describe(x);
    x->left = x->member.size;
    *member = x->member;
    return error ? error : 1;
}

bool kgi_archive_content(struct kgi_archive *x, struct kgi_node *out)
{
    if (!x->open_member || !x->member.regular)
        return false;
    x->stream = (struct kgi_stream){.read = member_read, .context = x};
    ssize_t n = kgi_stream_fill(&x->stream, x->start, sizeof x->start);
    out->start = (struct kgi_bytes){x->start, n > 0 ? (size_t)n : 0};
    out->stream = &x->stream;
    out->size = x->member.size;
    return n > 0;
}

int kgi_archive_visit(struct kgi_archive *x, const char *path, const char *inner, kgi_use *use,
                      void *context)
{
    struct kgi_node node = {.path = path, .inner = inner, .fd = -1, .depth = x->node->depth + 1};

    return kgi_archive_content(x, &node) ? use(x->walk, &node, context) : 0;
}

/* ---- all members ---------------------------------------------------------------------------- */

/* The symbol tables and the table of long names of an ar. */
static bool is_table(const struct kgi_archive *x)
{
    const char *name = archive_entry_pathname(x->entry);

    return x->form == KGI_AR && name && (name[0] == '/' || strncmp(name, "__.SYMDEF", 9) == 0);
}

static int walk_member(struct kgi_archive *x, const struct kgi_member *m)
{
    const struct kgi_node *node = x->node;

    if (!m->regular || is_table(x))
        return 0;
    if (strlen(m->name) > KGI_NAME) {
        kgi_walk_error(x->walk, node->path, "\"%.100s...\": a name of %zu bytes: not read", m->name,
                       strlen(m->name));
        return 0;
    }
    char *path = kgi_format("%s!/%s", node->path, m->name);
    char *inner = kgi_format("%s!/%s", node->inner, m->name);
    int stop = path && inner ? kgi_archive_visit(x, path, inner, kgi_use_node, NULL) : -ENOMEM;
    free(path);
    free(inner);
    return stop;
}

int kgi_archive_walk(struct kgi_walk *walk, const struct kgi_node *node, enum kgi_form form)
{
    struct kgi_archive *x = kgi_archive_open(walk, node, form, 0, false);
    struct kgi_record *record = NULL;
    struct kgi_member m;
    int more, stop = x ? 0 : -ENOMEM;

    if (x && (form == KGI_TAR || form == KGI_PACKED) && !(record = kgi_record_new(walk, node)))
        stop = -ENOMEM;
    while (stop == 0 && (more = kgi_archive_next(x, &m)) != 0) {
        bool is_image = false;
        stop = more < 0 ? more : 0;
        if (stop == 0 && record)
            stop = kgi_record_member(record, x, &m, &is_image);
        if (stop == 0 && !is_image)
            stop = walk_member(x, &m);
    }
    if (record) {
        more = kgi_record_end(record);
        stop = stop ? stop : more;
    }
    kgi_archive_close(x);
    return stop;
}
