/*
 * Paths and folders.
 *
 * A folder is walked in the order of its names, so that two runs print the same. Symbolic links
 * wait until all that has a name of its own is done: a library is then shown under its real name,
 * and most links (libx.so -> libx.so.1) lead to what was met already. Each file and folder is
 * walked once, known by device and inode: loops, hard links and links to one's own parents end
 * there.
 *
 * What lies on pseudo file systems (/proc, /sys) is left out: it has no end, and reading it has
 * effects. FIFOs, sockets and device nodes are never opened.
 */
#include "image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* ---- what callers are told ------------------------------------------------------------------ */

char *kgi_format(const char *format, ...)
{
    va_list list;
    char *text;

    va_start(list, format);
    int length = vasprintf(&text, format, list);
    va_end(list);
    return length < 0 ? NULL : text;
}

__attribute__((format(printf, 4, 0))) static void
tell(void (*callback)(void *, const char *, const char *), void *context, const char *path,
     const char *format, va_list list)
{
    char text[1024];

    if (!callback)
        return;
    vsnprintf(text, sizeof text, format, list);
    callback(context, path, text);
}

void kgi_walk_error(struct kgi_walk *walk, const char *path, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    tell(walk->visitor->error, walk->visitor->context, path, format, list);
    va_end(list);
}

void kgi_walk_note(struct kgi_walk *walk, const char *path, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    tell(walk->visitor->note, walk->visitor->context, path, format, list);
    va_end(list);
}

/* ---- limits and progress -------------------------------------------------------------------- */

void kgi_walk_skipped(struct kgi_walk *walk, uint64_t bytes)
{
    uint64_t size = walk->file_size;

    walk->passed += bytes;
    walk->done = walk->base + (size && walk->passed > size ? size : walk->passed);
    if (walk->visitor->progress)
        walk->visitor->progress(walk->visitor->context, walk->done);
}

void kgi_walk_in(struct kgi_walk *walk, uint64_t bytes)
{
    walk->in += bytes;
    kgi_walk_skipped(walk, bytes);
}

/* Members of a zip may overlap, and be read many times over: what is read twice counts once. */
bool kgi_walk_out(struct kgi_walk *walk, const char *path, uint64_t bytes)
{
    uint64_t in = walk->file_size && walk->in > walk->file_size ? walk->file_size : walk->in;

    walk->out += bytes;
    if (walk->bomb)
        return false;
    if (walk->out < KGI_RATIO_FROM || (walk->out / KGI_RATIO <= in && walk->out < KGI_UNPACKED))
        return true;
    walk->bomb = true;
    kgi_walk_error(walk, path,
                   "unpacks to more than %s: %llu MiB from %llu KiB so far; not read on",
                   walk->out < KGI_UNPACKED ? "200 times its size" : "1 TiB",
                   (unsigned long long)(walk->out >> 20), (unsigned long long)(in >> 10));
    return false;
}

/* ---- one file ------------------------------------------------------------------------------- */

ssize_t kgi_stream_fill(struct kgi_stream *stream, void *buffer, size_t size)
{
    size_t have = 0;

    while (have < size) {
        ssize_t n = stream->read(stream->context, (char *)buffer + have, size - have);
        if (n < 0)
            return n;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    return (ssize_t)have;
}

/* A tar header's checksum is the sum of its bytes, with its own field taken as spaces. */
static bool is_tar(struct kgi_bytes start)
{
    unsigned sum = 8 * ' ', wanted = 0;
    size_t i = 148;

    if (start.size < 512 || start.at[0] == 0)
        return false;
    for (size_t k = 0; k < 512; k++)
        sum += k >= 148 && k < 156 ? 0u : start.at[k];
    while (i < 156 && start.at[i] == ' ')
        i++;
    for (; i < 156 && start.at[i] >= '0' && start.at[i] <= '7'; i++)
        wanted = wanted * 8 + (unsigned)(start.at[i] - '0');
    return sum == wanted;
}

enum kgi_form kgi_archive_form(struct kgi_bytes start)
{
    static const struct {
        const char *magic;
        size_t size;
        enum kgi_form form;
    } forms[] = {
        {"PK\3\4", 4, KGI_ZIP},
        {"PK\5\6", 4, KGI_ZIP},
        {"!<arch>\n", 8, KGI_AR},
        {"\x1f\x8b\x08", 3, KGI_PACKED},
        {"\x28\xb5\x2f\xfd", 4, KGI_PACKED},
        {"\xfd"
         "7zXZ\0",
         6, KGI_PACKED},
        {"BZh", 3, KGI_PACKED},
    };

    for (size_t i = 0; i < KGI_COUNT(forms); i++)
        if (start.size >= forms[i].size && memcmp(start.at, forms[i].magic, forms[i].size) == 0)
            return forms[i].form;
    return is_tar(start) ? KGI_TAR : KGI_NO_ARCHIVE;
}

/* What holds files that are not read. Nobody who asks about one is told that nothing is in it.
 * (www.kernel.org/doc/html/latest/filesystems/squashfs.html; github.com/apptainer/sif;
 * github.com/rpm-software-management/rpm; github.com/libarchive/libarchive) */
static const char *unread_form(struct kgi_bytes start)
{
    static const struct {
        size_t at;
        const char *magic, *name;
    } forms[] = {
        {0, "hsqs", "a squashfs image"},
        {32, "SIF_MAGIC", "a Singularity image"},
        {0, "7z\xbc\xaf\x27\x1c", "a 7-Zip archive"},
        {0, "\xed\xab\xee\xdb", "an RPM package"},
    };

    for (size_t i = 0; i < KGI_COUNT(forms); i++) {
        size_t size = strlen(forms[i].magic);
        if (kgi_bytes_has(start, forms[i].at, size) &&
            memcmp(start.at + forms[i].at, forms[i].magic, size) == 0)
            return forms[i].name;
    }
    return NULL;
}

/* While a record is kept, it must know which files the visitor reads. */
struct watched {
    struct kgi_stream *stream;
    bool read;
};

static ssize_t watched_read(void *context, void *to, size_t size)
{
    struct watched *watched = context;

    watched->read = true;
    return watched->stream->read(watched->stream->context, to, size);
}

static int visit(struct kgi_walk *walk, const struct kgi_node *node)
{
    const struct kgi_visitor *v = walk->visitor;
    struct watched watched = {node->stream, false};
    struct kgi_stream stream = {.read = watched_read, .context = &watched};

    if (!v->file)
        return 0;
    if (!walk->record)
        return v->file(v->context, node->path, node->inner, node->start, node->stream, node->size);
    int stop = v->file(v->context, node->path, node->inner, node->start, &stream, node->size);
    if (stop == 0 && watched.read)
        stop = kgi_record_read(walk->record, node->path);
    return stop;
}

int kgi_walk_node(struct kgi_walk *walk, const struct kgi_node *node)
{
    enum kgi_form form = kgi_archive_form(node->start);
    bool is_image = false;

    if (form == KGI_NO_ARCHIVE) {
        const char *unread = node->named ? unread_form(node->start) : NULL;
        if (unread)
            kgi_walk_error(walk, node->path, "%s: not read; unpack or mount it, and scan that",
                           unread);
        return visit(walk, node);
    }
    if (node->depth >= KGI_DEPTH) {
        kgi_walk_error(walk, node->path, "an archive inside %d others: not read", KGI_DEPTH);
        return 0;
    }
    if (form == KGI_TAR && node->fd >= 0) {
        int stop = kgi_image_walk_tar(walk, node, &is_image);
        if (stop || is_image)
            return stop;
    }
    return kgi_archive_walk(walk, node, form);
}

struct disk {
    struct kgi_walk *walk;
    int fd;
    uint64_t at, size;
};

static ssize_t disk_read(void *context, void *to, size_t size)
{
    struct disk *disk = context;
    ssize_t n;

    do
        n = read(disk->fd, to, size);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    disk->at += (uint64_t)n;
    kgi_walk_in(disk->walk, (uint64_t)n);
    return n;
}

static int disk_skip(void *context, uint64_t size)
{
    struct disk *disk = context;

    if (disk->at > disk->size || size > disk->size - disk->at)
        return -EINVAL;
    if (lseek(disk->fd, (off_t)size, SEEK_CUR) < 0)
        return -errno;
    disk->at += size;
    kgi_walk_skipped(disk->walk, size);
    return 0;
}

static ssize_t disk_read_at(void *context, void *to, size_t size, uint64_t offset)
{
    struct disk *disk = context;
    ssize_t n;

    do
        n = pread(disk->fd, to, size, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* Counters start anew with each file on disk: a bomb among other files stops none of them. */
static void begin_file(struct kgi_walk *walk, uint64_t size)
{
    walk->base = walk->done;
    walk->file_size = size;
    walk->passed = walk->in = walk->out = walk->entries = 0;
    walk->bomb = false;
}

int kgi_use_node(struct kgi_walk *walk, const struct kgi_node *node, void *context)
{
    (void)context;
    return kgi_walk_node(walk, node);
}

static int walk_start(struct kgi_walk *walk, struct kgi_node *node, kgi_use *use, void *context)
{
    uint8_t buffer[KGI_START];
    ssize_t n = kgi_stream_fill(node->stream, buffer, sizeof buffer);

    if (n < 0) {
        kgi_walk_error(walk, node->path, "cannot be read: %s", strerror((int)-n));
        return 0;
    }
    node->start = (struct kgi_bytes){buffer, (size_t)n};
    return n ? use(walk, node, context) : 0;
}

int kgi_walk_fd(struct kgi_walk *walk, const char *path, int fd, bool named, kgi_use *use,
                void *context)
{
    struct stat s;
    struct disk disk = {walk, fd, 0, 0};
    struct kgi_stream stream = {disk_read, &disk, disk_skip, disk_read_at};
    struct kgi_node node = {.path = path,
                            .inner = walk->inner ? walk->inner : path,
                            .stream = &stream,
                            .fd = fd,
                            .named = named};

    if (fstat(fd, &s) < 0 || lseek(fd, 0, SEEK_SET) < 0) {
        kgi_walk_error(walk, path, "cannot be read: %s", strerror(errno));
        return 0;
    }
    disk.size = node.size = (uint64_t)s.st_size;
    begin_file(walk, node.size);
    int stop = walk_start(walk, &node, use, context);
    kgi_walk_skipped(walk, node.size > walk->passed ? node.size - walk->passed : 0);
    return stop;
}

/* Bytes that cannot seek are counted on their way. */
struct counted {
    struct kgi_walk *walk;
    struct kgi_stream *stream;
};

static ssize_t counted_read(void *context, void *to, size_t size)
{
    struct counted *counted = context;
    ssize_t n = counted->stream->read(counted->stream->context, to, size);

    if (n > 0)
        kgi_walk_in(counted->walk, (uint64_t)n);
    return n;
}

int kgi_walk_stream(const char *path, struct kgi_stream *stream, const struct kgi_visitor *visitor)
{
    struct kgi_walk walk = {.visitor = visitor};
    struct counted counted = {&walk, stream};
    struct kgi_stream counting = {.read = counted_read, .context = &counted};
    struct kgi_node node = {
        .path = path, .inner = path, .stream = &counting, .fd = -1, .named = true};

    return walk_start(&walk, &node, kgi_use_node, NULL);
}

/* ---- folders -------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list(struct kgi_walk *walk, const char *path, int fd, struct kgi_names *names)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3), stop = 0;
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *entry;

    if (!dir) {
        kgi_walk_error(walk, path, "cannot be listed: %s", strerror(errno));
        if (copy >= 0)
            close(copy);
        return 0;
    }
    rewinddir(dir); /* the copy shares its position with earlier listings */
    while (stop == 0 && (errno = 0, entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            stop = kgi_names_add(names, strdup(entry->d_name));
    if (stop == 0 && errno)
        kgi_walk_error(walk, path, "cannot be listed to its end: %s", strerror(errno));
    closedir(dir);
    if (names->count)
        qsort(names->at, names->count, sizeof *names->at, by_name);
    return stop;
}

/* File systems whose files are no files: /proc, /sys and their kind. */
static bool is_pseudo(int fd)
{
    static const uint64_t types[] = {
        0x9fa0 /* proc */,        0x62656572 /* sysfs */,      0x27e0eb /* cgroup */,
        0x63677270 /* cgroup2 */, 0x64626720 /* debugfs */,    0x74726163 /* tracefs */,
        0x1cd1 /* devpts */,      0x73636673 /* securityfs */, 0xcafe4a11 /* bpf */,
    };
    struct statfs s;

    for (size_t i = 0; fstatfs(fd, &s) == 0 && i < KGI_COUNT(types); i++)
        if ((uint64_t)(uint32_t)s.f_type == types[i])
            return true;
    return false;
}

/* 1 when this file or folder was not met before. */
static int is_new(struct kgi_walk *walk, const struct stat *s)
{
    uint64_t key = ((uint64_t)s->st_dev * 0xff51afd7ed558ccdu) ^ (uint64_t)s->st_ino;

    key ^= key >> 33;
    key *= 0xc4ceb9fe1a85ec53u;
    return kgi_set_add(&walk->seen, key ? key : 1);
}

static const char *kind_of(mode_t mode)
{
    return S_ISFIFO(mode) ? "a FIFO" : S_ISSOCK(mode) ? "a socket" : "a device";
}

static int walk_folder(struct kgi_walk *walk, const char *path, int fd, int depth);

/* An opened file or folder; closes it. */
static int walk_opened(struct kgi_walk *walk, const char *path, int fd, int depth)
{
    struct stat s;
    int stop = 0;

    if (fstat(fd, &s) < 0)
        kgi_walk_error(walk, path, "cannot be read: %s", strerror(errno));
    else if ((S_ISDIR(s.st_mode) || S_ISREG(s.st_mode)) && (stop = is_new(walk, &s)) > 0)
        stop = S_ISDIR(s.st_mode) ? walk_folder(walk, path, fd, depth)
                                  : kgi_walk_fd(walk, path, fd, depth == 0, kgi_use_node, NULL);
    close(fd);
    return stop;
}

static int walk_entry(struct kgi_walk *walk, const char *path, int folder, const char *name,
                      int depth)
{
    struct stat s;

    if (fstatat(folder, name, &s, AT_SYMLINK_NOFOLLOW) < 0) {
        kgi_walk_error(walk, path, "cannot be read: %s", strerror(errno));
        return 0;
    }
    if (walk->measuring && !S_ISDIR(s.st_mode)) {
        int fresh = S_ISREG(s.st_mode) ? is_new(walk, &s) : 0;
        walk->done += fresh > 0 ? (uint64_t)s.st_size : 0;
        return fresh < 0 ? fresh : 0;
    }
    if (S_ISLNK(s.st_mode))
        return kgi_names_add(&walk->links, strdup(path));
    if (!S_ISDIR(s.st_mode) && !S_ISREG(s.st_mode)) {
        kgi_walk_note(walk, path, "%s: skipped", kind_of(s.st_mode));
        return 0;
    }
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        kgi_walk_error(walk, path, "cannot be opened: %s", strerror(errno));
        return 0;
    }
    return walk_opened(walk, path, fd, depth + 1);
}

static bool has(const struct kgi_names *names, const char *name)
{
    return names->count && bsearch(&name, names->at, names->count, sizeof *names->at, by_name);
}

static int walk_folder(struct kgi_walk *walk, const char *path, int fd, int depth)
{
    struct kgi_names names = {0};
    bool is_image = false;
    size_t length = strlen(path);
    const char *slash = length && path[length - 1] == '/' ? "" : "/";

    if (is_pseudo(fd)) {
        (depth ? kgi_walk_note : kgi_walk_error)(walk, path,
                                                 "a file system without files: skipped");
        return 0;
    }
    if (depth > KGI_FOLDERS) {
        kgi_walk_error(walk, path, "a folder inside %d others: not read", KGI_FOLDERS);
        return 0;
    }
    int stop = list(walk, path, fd, &names);
    if (stop == 0 && !walk->measuring &&
        (has(&names, "index.json") || has(&names, "manifest.json")))
        stop = kgi_image_walk_folder(walk, path, fd, &is_image);
    for (size_t i = 0; i < names.count && stop == 0; i++) {
        if (is_image && kgi_image_name(names.at[i]))
            continue;
        char *child = kgi_format("%s%s%s", path, slash, names.at[i]);
        stop = child ? walk_entry(walk, child, fd, names.at[i], depth) : -ENOMEM;
        free(child);
    }
    kgi_names_free(&names);
    return stop;
}

/* A path as the user or a symbolic link gives it. */
static int walk_path(struct kgi_walk *walk, const char *path, bool named)
{
    struct stat s;

    if (stat(path, &s) < 0) {
        if (named || (errno != ENOENT && errno != ELOOP && errno != ENOTDIR))
            kgi_walk_error(walk, path, "cannot be read: %s", strerror(errno));
        return 0;
    }
    if (!S_ISDIR(s.st_mode) && !S_ISREG(s.st_mode)) {
        if (named)
            kgi_walk_error(walk, path, "%s, not a file%s", kind_of(s.st_mode),
                           S_ISFIFO(s.st_mode) ? "; - reads a pipe, from standard input" : "");
        return 0;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        kgi_walk_error(walk, path, "cannot be opened: %s", strerror(errno));
        return 0;
    }
    return walk_opened(walk, path, fd, named ? 0 : 1);
}

static ssize_t stdin_read(void *context, void *to, size_t size)
{
    ssize_t n;

    (void)context;
    do
        n = read(STDIN_FILENO, to, size);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

uint64_t kgi_walk_size(const char *path)
{
    static const struct kgi_visitor nobody;
    struct kgi_walk walk = {.visitor = &nobody, .measuring = true};
    bool is_stdin = strcmp(path, "-") == 0;
    struct stat s;

    if ((is_stdin ? fstat(STDIN_FILENO, &s) : stat(path, &s)) == 0 && S_ISREG(s.st_mode))
        return (uint64_t)s.st_size;
    if (!is_stdin)
        walk_path(&walk, path, true);
    kgi_set_free(&walk.seen);
    return walk.done;
}

int kgi_walk(const char *path, const struct kgi_visitor *visitor)
{
    struct kgi_walk walk = {.visitor = visitor};
    struct kgi_stream input = {.read = stdin_read};
    bool is_stdin = strcmp(path, "-") == 0;
    struct stat s;
    int stop;

    if (is_stdin && (fstat(STDIN_FILENO, &s) < 0 || !S_ISREG(s.st_mode)))
        return kgi_walk_stream(path, &input, visitor);
    stop = is_stdin ? kgi_walk_fd(&walk, path, STDIN_FILENO, true, kgi_use_node, NULL)
                    : walk_path(&walk, path, true);
    /* The list grows while folders behind links are walked. */
    for (size_t i = 0; i < walk.links.count && stop == 0; i++)
        stop = walk_path(&walk, walk.links.at[i], false);
    kgi_names_free(&walk.links);
    kgi_set_free(&walk.seen);
    return stop;
}
