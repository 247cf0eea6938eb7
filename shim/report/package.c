/*
 * Which package a library file belongs to, without asking Python, pip, conda or dpkg to run: from
 * what they leave on disk. Nearest folder first, so that a venv's own answer comes before the
 * system's:
 *
 *   x.egg/, x.egg-tmp/   the folder itself (PKG-INFO in EGG-INFO); the latter is where a zipped
 *                        egg's libraries are unpacked to
 *   *.dist-info/RECORD   CSV, one file a line, relative to the folder that holds the .dist-info;
 *                        pip, uv, poetry and conda write it; in uv's cache it lies beside the
 *                        files
 *   *.egg-info/          installed-files.txt, relative to the .egg-info; else top_level.txt, which
 *                        also covers `pip install -e` and `setup.py develop`: their .egg-info
 *                        stays in the project's folder, where the library is built
 *   conda-meta, *.json   "files", relative to the environment
 *   dpkg's *.list        whole paths
 *
 * RPM's data base is SQLite and is not read. Nothing in these files is trusted: a name or version
 * with an odd character is no answer. Work is bounded by BYTES_MOST and FILES_MOST, and what shares
 * its name with the library is looked at first: torch's own RECORD has 11 000 lines, and a
 * site-packages can have 500 of them. Files are read, not mapped: pip may be rewriting them, and a
 * mapping that shrinks is a SIGBUS in the user's program.
 */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BYTES_MOST ((uint64_t)64 << 20)
#define FILES_MOST 8192
#define LEVELS_MOST 16 /* folders looked at from the library upwards */
#define CARRY 4352     /* a needle and what stands around it */
#define HEAD 16384     /* METADATA starts with its headers */

struct search {
    const char *library;
    char folder[PATH_MAX];     /* the folder being looked at, no slash at its end */
    const char *rest;          /* the library's path inside it */
    char stem[64];             /* what its package may be named after */
    char path[PATH_MAX + 512]; /* of the file being read */
    char entries[32768];       /* getdents64's */
    char text[131072];         /* a part of a file */
    uint64_t bytes;
    unsigned files;
    bool first_pass; /* only what shares its name with the library */
    unsigned passed_over;
    bool conda; /* the folder is a conda environment */
    char *out;
    size_t size;
};

/* ---- names and versions ---------------------------------------------------------------------- */

/* What names and versions of Python, conda and Debian packages are made of. */
static bool is_plain(struct kgi_bytes s)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-!~:";

    for (size_t i = 0; i < s.size; i++)
        if (!s.at[i] || !strchr(plain, s.at[i]))
            return false;
    return s.size > 0 && s.size <= 80;
}

bool kgi_package_text(struct kgi_bytes name, struct kgi_bytes version, char *out, size_t size)
{
    if (!is_plain(name) || !is_plain(version))
        return false;
    struct kgi_text text = {out, size, 0, false};

    kgi_text_add(&text, "%.*s %.*s", (int)name.size, (const char *)name.at, (int)version.size,
                 (const char *)version.at);
    return !text.cut;
}

struct kgi_bytes kgi_package_header(struct kgi_bytes text, const char *key)
{
    size_t length = strlen(key);

    for (size_t at = 0; at < text.size;) {
        const uint8_t *line = text.at + at, *end = memchr(line, '\n', text.size - at);
        size_t size = end ? (size_t)(end - line) : text.size - at;

        at += size + 1;
        while (size && (line[size - 1] == '\r' || line[size - 1] == ' '))
            size--;
        if (size == 0) /* the headers' end */
            break;
        if (size > length + 2 && memcmp(line, key, length) == 0 &&
            memcmp(line + length, ": ", 2) == 0)
            return (struct kgi_bytes){line + length + 2, size - length - 2};
    }
    return (struct kgi_bytes){NULL, 0};
}

static struct kgi_bytes bytes_of(const char *s, size_t size)
{
    return (struct kgi_bytes){(const uint8_t *)s, size};
}

static bool ends_with(const char *s, const char *end)
{
    size_t length = strlen(s), tail = strlen(end);

    return length > tail && strcmp(s + length - tail, end) == 0;
}

bool kgi_package_folder(const char *folder, char *out, size_t size)
{
    static const char *const kinds[] = {".dist-info", ".egg-info", ".egg-tmp", ".egg"};
    size_t length = strlen(folder), name, version;

    for (size_t i = 0; i < KGI_COUNT(kinds); i++)
        if (ends_with(folder, kinds[i])) {
            length -= strlen(kinds[i]);
            break;
        }
    name = strcspn(folder, "-");
    if (name + 1 >= length)
        return false;
    version = strcspn(folder + name + 1, "-"); /* eggs go on: "-py3.10-linux-x86_64" */
    if (version > length - name - 1)
        version = length - name - 1;
    return kgi_package_text(bytes_of(folder, name), bytes_of(folder + name + 1, version), out,
                            size);
}

bool kgi_package_conda(const char *file, char *out, size_t size)
{
    size_t length = strlen(file), build, version;

    if (!ends_with(file, ".json"))
        return false;
    build = length - strlen(".json");
    while (build > 0 && file[build] != '-') /* name-version-build: only a name holds dashes */
        build--;
    version = build;
    while (version > 0 && file[--version] != '-')
        ;
    return build > version + 1 &&
           kgi_package_text(bytes_of(file, version),
                            bytes_of(file + version + 1, build - version - 1), out, size);
}

/* ---- files ----------------------------------------------------------------------------------- */

static int open_counted(struct search *s)
{
    if (s->files >= FILES_MOST || s->bytes >= BYTES_MOST)
        return -1;
    s->files++;
    return kgi_open(s->path, O_RDONLY | O_NONBLOCK); /* a FIFO would wait for a writer */
}

/* The first bytes of s->path. */
static struct kgi_bytes read_head(struct search *s)
{
    int fd = open_counted(s);
    long n = fd < 0 ? -1 : syscall(SYS_read, fd, s->text, (size_t)HEAD);

    if (fd >= 0)
        kgi_close(fd);
    if (n <= 0)
        return (struct kgi_bytes){NULL, 0};
    s->bytes += (uint64_t)n;
    return (struct kgi_bytes){(const uint8_t *)s->text, (size_t)n};
}

/* How a file says that it means a path: the path itself, or before + path, at a line's start (or,
 * as JSON has no lines, anywhere after `before`), and one of `after` or the file's end behind it.
 */
struct mention {
    const char *path, *before, *after;
    bool anywhere;
};

/* A part of a file; first, last: it holds the file's start, its end. */
struct window {
    const char *text;
    size_t size;
    bool first, last;
};

static bool is_line_start(const struct window *w, size_t at)
{
    return at == 0 ? w->first : w->text[at - 1] == '\n';
}

static bool is_mention(const struct mention *m, const struct window *w, size_t at)
{
    size_t before = strlen(m->before), end = at + strlen(m->path);
    bool led = at >= before && memcmp(w->text + at - before, m->before, before) == 0;

    if (end == w->size ? !w->last : !w->text[end] || !strchr(m->after, w->text[end]))
        return false;
    if (m->anywhere)
        return led;
    return is_line_start(w, at) || (led && is_line_start(w, at - before));
}

static const char *find_mention(const struct mention *m, const struct window *w)
{
    size_t length = strlen(m->path);

    for (const char *at = w->text;;) {
        const char *hit = memmem(at, w->size - (size_t)(at - w->text), m->path, length);

        if (!hit || is_mention(m, w, (size_t)(hit - w->text)))
            return hit;
        at = hit + 1;
    }
}

/* The offset in s->path at which the file mentions a path, or -1. */
static int64_t find_in_file(struct search *s, const struct mention *m)
{
    size_t length = strlen(m->path);
    struct window w = {s->text, 0, true, false};
    int64_t start = 0; /* where in the file the window begins */
    int fd = length && length < CARRY / 2 ? open_counted(s) : -1;

    while (fd >= 0 && !w.last && s->bytes < BYTES_MOST) {
        long n = syscall(SYS_read, fd, s->text + w.size, sizeof s->text - w.size);
        const char *hit;

        if (n < 0)
            break;
        w.size += (size_t)n;
        w.last = n == 0;
        s->bytes += (uint64_t)n;
        hit = find_mention(m, &w);
        if (hit) {
            kgi_close(fd);
            return start + (hit - w.text);
        }
        if (w.size > CARRY) {
            memmove(s->text, s->text + w.size - CARRY, CARRY);
            start += (int64_t)(w.size - CARRY);
            w.size = CARRY;
            w.first = false;
        }
    }
    if (fd >= 0)
        kgi_close(fd);
    return -1;
}

/* ---- folders --------------------------------------------------------------------------------- */

struct entry { /* getdents64's */
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

/* Calls each for the entries of s->path until it says true; returns that. */
static bool each_entry(struct search *s, bool (*each)(struct search *, const char *))
{
    int fd = kgi_open(s->path, O_RDONLY | O_DIRECTORY);
    bool found = false;
    long n;

    if (fd < 0)
        return false;
    while (!found && s->bytes < BYTES_MOST &&
           (n = syscall(SYS_getdents64, fd, s->entries, sizeof s->entries)) > 0) {
        s->bytes += (uint64_t)n;
        for (long at = 0; at < n && !found;) {
            const struct entry *entry = (const void *)(s->entries + at);

            at += entry->size;
            found = each(s, entry->name);
        }
    }
    kgi_close(fd);
    return found;
}

static void set_path(struct search *s, const char *folder, const char *a, const char *b)
{
    struct kgi_text path = {s->path, sizeof s->path, 0, false};

    kgi_text_add(&path, "%s/%s%s", folder, a, b);
}

/* First what shares its name with the library, then the rest. */
static bool two_passes(struct search *s, const char *folder, const char *inner,
                       bool (*each)(struct search *, const char *))
{
    bool found;

    s->first_pass = true;
    s->passed_over = 0;
    set_path(s, folder, inner, "");
    found = each_entry(s, each);
    s->first_pass = false;
    if (!found && s->passed_over) {
        set_path(s, folder, inner, "");
        found = each_entry(s, each);
    }
    return found;
}

/* Whether this pass is the one to look at a candidate. */
static bool is_its_pass(struct search *s, bool alike)
{
    s->passed_over += s->first_pass && !alike;
    return alike == s->first_pass;
}

/* "torch-2.5.1.dist-info" for torch/lib/libtorch.so, "udf_ext.egg-info" for udf_ext.abi3.so. */
static bool is_alike(const char *name, const char *rest)
{
    size_t length;

    while (*rest == '_')
        rest++;
    length = strcspn(rest, "/.");
    for (size_t i = 0; i < length; i++)
        if (!name[i] || (name[i] | 0x20) != (rest[i] | 0x20))
            return false;
    return length > 0;
}

/* ---- Python ---------------------------------------------------------------------------------- */

/* Name and version from s->path, a METADATA or PKG-INFO; else from the folder's name. */
static bool describe(struct search *s, const char *folder)
{
    struct kgi_bytes head = read_head(s);

    return kgi_package_text(kgi_package_header(head, "Name"), kgi_package_header(head, "Version"),
                            s->out, s->size) ||
           kgi_package_folder(folder, s->out, s->size);
}

static bool in_dist_info(struct search *s, const char *name)
{
    const struct mention record = {s->rest, "\"", ",\"", false};

    if (!is_its_pass(s, is_alike(name, s->rest)))
        return false;
    set_path(s, s->folder, name, "/RECORD");
    if (find_in_file(s, &record) < 0)
        return false;
    set_path(s, s->folder, name, "/METADATA");
    return describe(s, name);
}

static bool in_egg_info(struct search *s, const char *name)
{
    const struct mention installed = {s->rest, "../", "\r\n", false};
    char top[128];
    const struct mention module = {top, "", "\r\n", false};
    size_t length = strcspn(s->rest, "/.");
    bool found;

    if (!is_its_pass(s, is_alike(name, s->rest)))
        return false;
    set_path(s, s->folder, name, "/installed-files.txt");
    found = find_in_file(s, &installed) >= 0;
    if (!found && length < sizeof top) {
        memcpy(top, s->rest, length);
        top[length] = 0;
        set_path(s, s->folder, name, "/top_level.txt");
        found = find_in_file(s, &module) >= 0;
    }
    if (!found)
        return false;
    set_path(s, s->folder, name, "/PKG-INFO");
    return describe(s, name);
}

/* s->folder is an egg: all in it is its own. */
static bool in_egg(struct search *s)
{
    const char *name = strrchr(s->folder, '/');

    if (!name || (!ends_with(name, ".egg") && !ends_with(name, ".egg-tmp")))
        return false;
    set_path(s, s->folder, "EGG-INFO/PKG-INFO", "");
    return describe(s, name + 1);
}

/* ---- conda ----------------------------------------------------------------------------------- */

static bool in_conda_meta(struct search *s, const char *name)
{
    const struct mention file = {s->rest, "\"", "\"", true};

    if (!ends_with(name, ".json") || !is_its_pass(s, strstr(name, s->stem) != NULL))
        return false;
    set_path(s, s->folder, "conda-meta/", name);
    return find_in_file(s, &file) >= 0 && kgi_package_conda(name, s->out, s->size);
}

/* ---- Debian ---------------------------------------------------------------------------------- */

#define DPKG "/var/lib/dpkg"

static bool in_dpkg_status(struct search *s, const char *package, size_t length)
{
    char name[128];
    const struct mention stanza = {name, "Package: ", "\n", false};
    int64_t at;
    long n;
    int fd;

    if (length >= sizeof name)
        return false;
    memcpy(name, package, length);
    name[length] = 0;
    set_path(s, DPKG, "status", "");
    at = find_in_file(s, &stanza);
    fd = at < 0 ? -1 : open_counted(s);
    if (fd < 0)
        return false;
    n = syscall(SYS_pread64, fd, s->text, (size_t)HEAD, at);
    kgi_close(fd);
    return n > 0 && kgi_package_text(bytes_of(name, length),
                                     kgi_package_header(bytes_of(s->text, (size_t)n), "Version"),
                                     s->out, s->size);
}

static bool in_dpkg_list(struct search *s, const char *name)
{
    /* Since /lib became a link to /usr/lib, packages name either. */
    const char *path = strncmp(s->library, "/usr/", 5) == 0 ? s->library + 4 : s->library;
    const struct mention line = {path, "/usr", "\n", false};
    char package[128];
    size_t length = strcspn(name, ":");

    if (!ends_with(name, ".list") || !is_its_pass(s, strstr(name, s->stem) != NULL))
        return false;
    set_path(s, DPKG "/info", name, "");
    if (find_in_file(s, &line) < 0)
        return false;
    if (!name[length])
        length -= strlen(".list");
    if (length >= sizeof package)
        return false;
    memcpy(package, name, length); /* name lies in a buffer that is read into again */
    return in_dpkg_status(s, package, length);
}

static bool in_dpkg(struct search *s)
{
    static const char *const roots[] = {"/usr/", "/lib", "/opt/"};

    for (size_t i = 0; i < KGI_COUNT(roots); i++)
        if (strncmp(s->library, roots[i], strlen(roots[i])) == 0)
            return two_passes(s, DPKG "/info", "", in_dpkg_list);
    return false;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static bool in_entry(struct search *s, const char *name)
{
    if (ends_with(name, ".dist-info"))
        return in_dist_info(s, name);
    if (ends_with(name, ".egg-info"))
        return in_egg_info(s, name);
    s->conda |= strcmp(name, "conda-meta") == 0;
    return false;
}

static bool in_folder(struct search *s)
{
    s->conda = false;
    return in_egg(s) || two_passes(s, s->folder, "", in_entry) ||
           (s->conda && two_passes(s, s->folder, "conda-meta", in_conda_meta));
}

/* From the library's own folder upwards; the root is nobody's. */
static bool in_folders(struct search *s)
{
    size_t length = strlen(s->library);

    for (int level = 0; level < LEVELS_MOST; level++) {
        while (length > 0 && s->library[length - 1] != '/')
            length--;
        if (length <= 1)
            return false;
        memcpy(s->folder, s->library, --length);
        s->folder[length] = 0;
        s->rest = s->library + length + 1;
        if (in_folder(s))
            return true;
    }
    return false;
}

/* "cudart" of libcudart.so.12: what packages are named after, too. */
static void set_stem(struct search *s)
{
    const char *file = strrchr(s->library, '/') + 1;

    strncpy(s->stem, strncmp(file, "lib", 3) == 0 ? file + 3 : file, sizeof s->stem - 1);
    s->stem[strcspn(s->stem, "_-.")] = 0;
}

bool kgi_package_of(const char *library, char *out, size_t size)
{
    int saved = errno;
    struct search *s;
    bool found;

    if (library[0] != '/' || strlen(library) >= PATH_MAX || !(s = kgi_pages_get(sizeof *s)))
        return false;
    s->library = library;
    s->out = out;
    s->size = size;
    set_stem(s);
    found = in_folders(s) || in_dpkg(s);
    kgi_pages_put(s, sizeof *s);
    errno = saved;
    return found;
}
