/*
 * Whose file it is, for files met on a walk: on disk, in wheels, in image layers. The same metadata
 * as shim/report/package.c searches, but it comes by as streams in any order, and never twice: so
 * what it says is kept until the walk is over. Of each file that may hold code a 64-bit hash of its
 * path is kept, not the path (a Debian image lists 100 000 files): a collision would cost a wrong
 * name.
 *
 * Paths are those inside an archive or image ("image.tar!/usr/lib/a.so"), so that the layers of an
 * image are one, and two wheels are two.
 *
 * Of an image whose layers come by in any order, an upgraded package's old metadata may come last,
 * and that it is hidden is known at the very end. So with all that is known stands which file said
 * it.
 */
#include "walk.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>
#include "../report/report.h"

enum {
    PATH_ROOM = 4096,
    LINE_ROOM = 8192,
    HEAD_ROOM = 16384,      /* METADATA starts with its headers */
    SLOTS_MOST = 1 << 20,   /* 16 MiB */
    LINES_MOST = 4 << 20,   /* of one file */
    PTXAS_MOST = 256 << 20, /* bytes read of one */
    PROBES_MOST = 1000,     /* so many files name the same file, or somebody plays games */
};

/* What a key stands for; part of what is hashed. */
enum kind { FILE_KEY = 1, MODULE_KEY, PACKAGE_KEY, NAME_KEY, SOURCE_KEY };

#define NO_PACKAGE UINT32_MAX

struct slot {
    uint64_t key;    /* 0 = free */
    uint32_t value;  /* a package; of a package's NAME_KEY, an index of names */
    uint32_t source; /* who said so */
};

struct kgi_packages {
    char **names; /* "torch 2.5.1" */
    size_t name_count, name_room;
    uint32_t package_count;
    uint64_t *sources; /* paths of metadata files; the last is the one being read */
    size_t source_count, source_room;
    struct kgi_set hidden; /* what these said does not count */
    struct slot *slots;
    size_t slot_count, slot_room;
    struct kgi_ptxas *ptxas;
    size_t ptxas_count;
};

struct kgi_packages *kgi_packages_new(void)
{
    return calloc(1, sizeof(struct kgi_packages));
}

void kgi_packages_free(struct kgi_packages *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->name_count; i++)
        free(p->names[i]);
    for (size_t i = 0; i < p->ptxas_count; i++) {
        free(p->ptxas[i].path);
        free(p->ptxas[i].inner);
    }
    free(p->names);
    free(p->sources);
    kgi_set_free(&p->hidden);
    free(p->slots);
    free(p->ptxas);
    free(p);
}

const struct kgi_ptxas *kgi_packages_ptxas(const struct kgi_packages *p, size_t *count)
{
    *count = p->ptxas_count;
    return p->ptxas;
}

/* ---- keys ------------------------------------------------------------------------------------ */

/* One hash map for all kinds of keys (open addressing, at most half full), of each source one slot.
 * The next one for this key, or the free one behind them. */
static struct slot *next_slot(struct slot *slots, size_t room, uint64_t key, size_t *at)
{
    for (;; ++*at) {
        struct slot *slot = &slots[((size_t)(key >> 20) + *at) & (room - 1)];
        if (!slot->key || slot->key == key)
            return slot;
    }
}

/* What the last source said of it, of those that count. */
static const struct slot *find(const struct kgi_packages *p, uint64_t key)
{
    const struct slot *slot, *last = NULL;

    for (size_t at = 0; p->slot_room && (slot = next_slot(p->slots, p->slot_room, key, &at))->key;
         at++)
        if (!kgi_set_has(&p->hidden, p->sources[slot->source]) &&
            (!last || slot->source > last->source))
            last = slot;
    return last;
}

static bool grow(struct kgi_packages *p)
{
    size_t room = p->slot_room ? p->slot_room * 2 : 1024;
    struct slot *slots = calloc(room, sizeof *slots);

    if (!slots)
        return false;
    for (size_t i = 0; i < p->slot_room; i++) {
        size_t at = 0;
        while (p->slots[i].key && next_slot(slots, room, p->slots[i].key, &at)->key)
            at++;
        if (p->slots[i].key)
            *next_slot(slots, room, p->slots[i].key, &at) = p->slots[i];
    }
    free(p->slots);
    p->slots = slots;
    p->slot_room = room;
    return true;
}

/* Without memory, or past the limit, a package goes unnamed: nothing depends on it. */
static bool set(struct kgi_packages *p, uint64_t key, uint32_t value)
{
    uint32_t source = (uint32_t)p->source_count - 1;
    struct slot *slot;
    size_t at = 0;

    if (p->slot_count * 2 >= p->slot_room && (p->slot_room >= SLOTS_MOST || !grow(p)))
        return false;
    while ((slot = next_slot(p->slots, p->slot_room, key, &at))->key && slot->source != source)
        if (++at > PROBES_MOST)
            return false;
    p->slot_count += !slot->key;
    *slot = (struct slot){key, value, source};
    return true;
}

static uint64_t key_of(enum kind kind, struct kgi_bytes path)
{
    const uint64_t prime = 0x100000001b3u;
    uint64_t h = (0xcbf29ce484222325u ^ (uint64_t)kind) * prime; /* FNV-1a */

    for (size_t i = 0; i < path.size; i++)
        h = (h ^ path.at[i]) * prime;
    return h ? h : 1;
}

/* ---- paths ----------------------------------------------------------------------------------- */

/* A file met on the walk. */
struct place {
    struct kgi_bytes folder; /* no slash at its end; may be empty */
    const char *base;        /* the file's own name */
    struct kgi_bytes parent; /* the folder's own name */
};

static struct kgi_bytes text(const char *s)
{
    return (struct kgi_bytes){(const uint8_t *)s, strlen(s)};
}

/* The folder that holds one, and its own name. */
static struct kgi_bytes folder_of(struct kgi_bytes path, struct kgi_bytes *base)
{
    size_t end = path.size;

    while (end > 0 && path.at[end - 1] != '/')
        end--;
    *base = (struct kgi_bytes){path.at + end, path.size - end};
    return (struct kgi_bytes){path.at, end ? end - 1 : 0};
}

static struct place place_of(const char *inner)
{
    struct place place;
    struct kgi_bytes base;

    place.folder = folder_of(text(inner), &base);
    place.base = (const char *)base.at;
    folder_of(place.folder, &place.parent);
    return place;
}

static bool ends_with(struct kgi_bytes s, const char *end)
{
    size_t length = strlen(end);

    return s.size >= length && memcmp(s.at + s.size - length, end, length) == 0;
}

static bool is(struct kgi_bytes s, const char *whole)
{
    return s.size == strlen(whole) && ends_with(s, whole);
}

static struct kgi_bytes last_of(const char *path, size_t length)
{
    struct kgi_bytes last;

    folder_of((struct kgi_bytes){(const uint8_t *)path, length}, &last);
    return last;
}

/* folder + "/" + file without ".", inner ".." and a slash in front: "usr/lib/a.so", "../a.so".
 * Empty when it does not fit. */
static struct kgi_bytes join(struct kgi_bytes folder, struct kgi_bytes file, char *out)
{
    struct kgi_bytes last;
    size_t length = 0;

    for (int part = 0; part < 2; part++) {
        struct kgi_bytes s = part ? file : folder;

        for (size_t at = 0; at < s.size;) {
            const uint8_t *name = s.at + at, *slash = memchr(name, '/', s.size - at);
            size_t size = slash ? (size_t)(slash - name) : s.size - at;

            at += size + 1;
            if (size == 0 || (size == 1 && name[0] == '.'))
                continue;
            if (size == 2 && memcmp(name, "..", 2) == 0 && length &&
                !is(last_of(out, length), "..")) {
                length = folder_of((struct kgi_bytes){(uint8_t *)out, length}, &last).size;
                continue;
            }
            if (length + 1 + size > PATH_ROOM)
                return (struct kgi_bytes){NULL, 0};
            if (length)
                out[length++] = '/';
            memcpy(out + length, name, size);
            length += size;
        }
    }
    return (struct kgi_bytes){(const uint8_t *)out, length};
}

/* Libraries, executables, objects, CUDA's own files; not the thousands of headers and scripts. */
static bool may_hold_code(struct kgi_bytes path)
{
    static const char *const ends[] = {".o", ".a", ".cubin", ".fatbin", ".ptx", ".bin", ".node"};
    struct kgi_bytes base;

    folder_of(path, &base);
    if (memmem(base.at, base.size, ".so", 3) || !memchr(base.at, '.', base.size))
        return true;
    for (size_t i = 0; i < KGI_COUNT(ends); i++)
        if (ends_with(base, ends[i]))
            return true;
    return false;
}

/* ---- packages -------------------------------------------------------------------------------- */

/* The package that a metadata folder (or a dpkg name) describes: old or new. */
static uint32_t package_at(struct kgi_packages *p, struct kgi_bytes folder)
{
    uint64_t key = key_of(PACKAGE_KEY, folder);
    const struct slot *slot = find(p, key);

    if (!folder.size)
        return NO_PACKAGE;
    uint32_t package = slot ? slot->value : p->package_count++;
    set(p, key, package);
    return package;
}

static uint64_t name_key(uint32_t package)
{
    return key_of(NAME_KEY, (struct kgi_bytes){(const uint8_t *)&package, sizeof package});
}

static const char *package_name(const struct kgi_packages *p, uint32_t package)
{
    const struct slot *slot = find(p, name_key(package));

    /* What somebody chose so that it has this key is no index. */
    return slot && slot->value < p->name_count ? p->names[slot->value] : NULL;
}

static void name_package(struct kgi_packages *p, uint32_t package, const char *name)
{
    if (package != NO_PACKAGE && p->name_count == p->name_room) {
        size_t room = p->name_room ? p->name_room * 2 : 64;
        char **names = realloc(p->names, room * sizeof *names);

        if (!names)
            return;
        p->names = names;
        p->name_room = room;
    }
    char *copy = package != NO_PACKAGE ? strdup(name) : NULL;
    if (copy && set(p, name_key(package), (uint32_t)p->name_count))
        p->names[p->name_count++] = copy;
    else
        free(copy);
}

static void own(struct kgi_packages *p, enum kind kind, struct kgi_bytes path, uint32_t package)
{
    if (package != NO_PACKAGE && path.size)
        set(p, key_of(kind, path), package);
}

/* ---- streams --------------------------------------------------------------------------------- */

/* The lines of a file; those that are too long are left out. */
struct lines {
    struct kgi_bytes start;
    struct kgi_stream *stream;
    char buffer[65536], line[LINE_ROOM];
    size_t at, held, count;
};

static bool refill(struct lines *l)
{
    ssize_t n;

    l->at = l->held = 0;
    if (l->start.size) {
        l->held = l->start.size < sizeof l->buffer ? l->start.size : sizeof l->buffer;
        memcpy(l->buffer, l->start.at, l->held);
        l->start.at += l->held;
        l->start.size -= l->held;
        return true;
    }
    n = l->stream ? l->stream->read(l->stream->context, l->buffer, sizeof l->buffer) : 0;
    if (n <= 0)
        return false;
    l->held = (size_t)n;
    return true;
}

static bool next_line(struct lines *l, struct kgi_bytes *line)
{
    size_t length = 0;

    if (l->count++ >= LINES_MOST)
        return false;
    for (;;) {
        if (l->at == l->held && !refill(l)) {
            *line = (struct kgi_bytes){(uint8_t *)l->line, length};
            return length > 0 && length < sizeof l->line;
        }
        char c = l->buffer[l->at++];
        if (c == '\n' && length < sizeof l->line)
            break;
        if (c == '\n') /* too long: the next one */
            length = 0;
        else if (length < sizeof l->line)
            l->line[length++] = c;
    }
    while (length > 0 && (l->line[length - 1] == '\r' || l->line[length - 1] == ' '))
        length--;
    *line = (struct kgi_bytes){(uint8_t *)l->line, length};
    return true;
}

/* ---- Python ---------------------------------------------------------------------------------- */

/* A RECORD line: path,hash,size; a path with a comma in it is quoted. */
static struct kgi_bytes record_path(struct kgi_bytes line)
{
    bool quoted = line.size && line.at[0] == '"';
    const uint8_t *from = line.at + quoted;
    const uint8_t *end = memchr(from, quoted ? '"' : ',', line.size - quoted);

    return (struct kgi_bytes){from, end ? (size_t)(end - from) : 0};
}

static void read_files(struct kgi_packages *p, struct kgi_bytes base, uint32_t package, bool record,
                       struct lines *lines)
{
    char buffer[PATH_ROOM];
    struct kgi_bytes line;

    while (next_line(lines, &line)) {
        struct kgi_bytes path = record ? record_path(line) : line;

        if (path.size && may_hold_code(path))
            own(p, FILE_KEY, join(base, path, buffer), package);
    }
}

/* Modules of an .egg-info beside them: "udf_ext" stands for udf_ext/ and udf_ext.abi3.so. */
static void read_modules(struct kgi_packages *p, struct kgi_bytes base, uint32_t package,
                         struct lines *lines)
{
    char buffer[PATH_ROOM];
    struct kgi_bytes line;

    while (next_line(lines, &line)) /* of a package without modules it is an empty line */
        if (line.size && line.at[0] != '.' && !memchr(line.at, '/', line.size))
            own(p, MODULE_KEY, join(base, line, buffer), package);
}

static void read_headers(struct kgi_packages *p, uint32_t package, struct lines *lines)
{
    char head[HEAD_ROOM], name[192];
    size_t size = 0;
    struct kgi_bytes line, whole;

    while (next_line(lines, &line) && line.size && size + line.size < sizeof head) {
        memcpy(head + size, line.at, line.size);
        size += line.size;
        head[size++] = '\n';
    }
    whole = (struct kgi_bytes){(uint8_t *)head, size};
    if (kgi_package_text(kgi_package_header(whole, "Name"), kgi_package_header(whole, "Version"),
                         name, sizeof name))
        name_package(p, package, name);
}

/* A package, named after its metadata's folder as long as nothing better is known. */
static uint32_t python_package(struct kgi_packages *p, struct kgi_bytes folder)
{
    char buffer[PATH_ROOM], file[256], name[192];
    struct kgi_bytes base, whole = join(folder, text(""), buffer);
    uint32_t package = package_at(p, whole);

    folder_of(whole, &base);
    if (package == NO_PACKAGE || package_name(p, package) || base.size >= sizeof file)
        return package;
    memcpy(file, base.at, base.size);
    file[base.size] = 0;
    if (kgi_package_folder(file, name, sizeof name))
        name_package(p, package, name);
    return package;
}

static bool offer_python(struct kgi_packages *p, const struct place *place, struct lines *lines)
{
    bool dist = ends_with(place->parent, ".dist-info"), egg = is(place->parent, "EGG-INFO");
    const char *base = place->base;
    struct kgi_bytes own_name, site = folder_of(place->folder, &own_name);

    if (!dist && !egg && !ends_with(place->parent, ".egg-info"))
        return false;
    if (strcmp(base, dist ? "METADATA" : "PKG-INFO") == 0)
        read_headers(p, python_package(p, egg ? site : place->folder), lines);
    else if (dist && strcmp(base, "RECORD") == 0)
        read_files(p, site, python_package(p, place->folder), true, lines);
    else if (!dist && !egg && strcmp(base, "installed-files.txt") == 0)
        read_files(p, place->folder, python_package(p, place->folder), false, lines);
    else if (!dist && !egg && strcmp(base, "top_level.txt") == 0)
        read_modules(p, site, python_package(p, place->folder), lines);
    else
        return false;
    return true;
}

/* ---- conda ----------------------------------------------------------------------------------- */

/* conda and mamba write one string a line; those that stand alone in one are of lists: the
 * package's files, and some words. */
static bool offer_conda(struct kgi_packages *p, const struct place *place, struct lines *lines)
{
    char buffer[PATH_ROOM], name[192];
    struct kgi_bytes line, own_name, prefix = folder_of(place->folder, &own_name);
    uint32_t package;

    if (!is(place->parent, "conda-meta") || !kgi_package_conda(place->base, name, sizeof name))
        return false;
    package = package_at(p, join(place->folder, text(place->base), buffer));
    name_package(p, package, name);
    while (next_line(lines, &line)) {
        size_t size = line.size && line.at[line.size - 1] == ',' ? line.size - 1 : line.size;
        size_t from = 0;

        while (from < size && (line.at[from] == ' ' || line.at[from] == '\t'))
            from++;
        if (size < from + 3 || line.at[from] != '"' || line.at[size - 1] != '"')
            continue;
        struct kgi_bytes path = {line.at + from + 1, size - from - 2};
        if (!memchr(path.at, '"', path.size) && memchr(path.at, '/', path.size) &&
            may_hold_code(path))
            own(p, FILE_KEY, join(prefix, path, buffer), package);
    }
    return true;
}

/* ---- Debian ---------------------------------------------------------------------------------- */

/* The folder in which "var/lib/dpkg" lies. */
static bool in_dpkg(const struct place *place, const char *folder, struct kgi_bytes *prefix)
{
    struct kgi_bytes f = place->folder;
    size_t length = strlen(folder);

    if (!ends_with(f, folder) || (f.size > length && f.at[f.size - length - 1] != '/'))
        return false;
    *prefix = (struct kgi_bytes){f.at, f.size - length};
    return true;
}

static uint32_t dpkg_package(struct kgi_packages *p, struct kgi_bytes prefix, struct kgi_bytes name)
{
    char buffer[PATH_ROOM], key[256];

    if (name.size + sizeof "dpkg:" > sizeof key)
        return NO_PACKAGE;
    memcpy(key, "dpkg:", 5);
    memcpy(key + 5, name.at, name.size);
    return package_at(p, join(prefix, (struct kgi_bytes){(uint8_t *)key, name.size + 5}, buffer));
}

static void read_status(struct kgi_packages *p, struct kgi_bytes prefix, struct lines *lines)
{
    char name[192];
    uint32_t package = NO_PACKAGE;
    struct kgi_bytes line, value;
    char current[128] = "";

    while (next_line(lines, &line)) {
        if ((value = kgi_package_header(line, "Package")).size && value.size < sizeof current) {
            memcpy(current, value.at, value.size);
            current[value.size] = 0;
            package = dpkg_package(p, prefix, value);
        } else if ((value = kgi_package_header(line, "Version")).size &&
                   kgi_package_text(text(current), value, name, sizeof name)) {
            name_package(p, package, name);
        }
    }
}

/* Lines of a .list are "/usr/lib/libz.so.1", of distroless images' .md5sums "0123...  usr/lib/...".
 * Where /lib is a link to /usr/lib, packages may name either. */
static void read_list(struct kgi_packages *p, struct kgi_bytes prefix, uint32_t package,
                      struct lines *lines)
{
    static const char *const merged[] = {"/lib", "/bin/", "/sbin/"};
    char buffer[PATH_ROOM], usr[PATH_ROOM];
    struct kgi_bytes line;

    while (next_line(lines, &line)) {
        if (line.size > 34 && line.at[0] != '/' && line.at[32] == ' ')
            line = (struct kgi_bytes){line.at + 34, line.size - 34};
        if (!line.size || !may_hold_code(line))
            continue;
        own(p, FILE_KEY, join(prefix, line, buffer), package);
        for (size_t i = 0; i < KGI_COUNT(merged); i++)
            if (line.size + 4 < sizeof usr && line.size > strlen(merged[i]) &&
                memcmp(line.at, merged[i], strlen(merged[i])) == 0) {
                memcpy(usr, "/usr", 4);
                memcpy(usr + 4, line.at, line.size);
                own(p, FILE_KEY,
                    join(prefix, (struct kgi_bytes){(uint8_t *)usr, line.size + 4}, buffer),
                    package);
            }
    }
}

static bool offer_dpkg(struct kgi_packages *p, const struct place *place, struct lines *lines)
{
    struct kgi_bytes prefix, base = text(place->base);
    const char *end = in_dpkg(place, "var/lib/dpkg/info", &prefix)       ? ".list"
                      : in_dpkg(place, "var/lib/dpkg/status.d", &prefix) ? ".md5sums"
                                                                         : NULL;

    if (end && ends_with(base, end)) {
        const uint8_t *colon = memchr(base.at, ':', base.size); /* libc6:amd64.list */
        size_t name = colon ? (size_t)(colon - base.at) : base.size - strlen(end);

        read_list(p, prefix, dpkg_package(p, prefix, (struct kgi_bytes){base.at, name}), lines);
        return true;
    }
    if ((end && strcmp(end, ".md5sums") == 0) ||
        (in_dpkg(place, "var/lib/dpkg", &prefix) && is(base, "status"))) {
        read_status(p, prefix, lines);
        return true;
    }
    return false;
}

/* ---- Triton's ptxas -------------------------------------------------------------------------- */

/* What `ptxas --version` prints stands in the file: "Cuda compilation tools, release 12.4,
 * V12.4.99". */
static int ptxas_version(struct lines *l)
{
    static const char mark[] = "Cuda compilation tools, release ";
    char kept[64 + sizeof l->buffer];
    size_t held = 0, total = 0;

    while (total < PTXAS_MOST && refill(l)) {
        memcpy(kept + held, l->buffer, l->held);
        held += l->held;
        total += l->held;
        for (char *at = kept;
             (at = memmem(at, held - (size_t)(at - kept), mark, sizeof mark - 1));) {
            char number[16] = "", major[3], minor[3]; /* %u would take "-1" */

            at += sizeof mark - 1;
            memcpy(number, at, held - (size_t)(at - kept) < 15 ? held - (size_t)(at - kept) : 15);
            if (sscanf(number, "%2[0-9].%2[0-9]", major, minor) == 2)
                return atoi(major) * 1000 + atoi(minor) * 10;
        }
        size_t keep = held < 60 ? held : 60;
        memmove(kept, kept + held - keep, keep);
        held = keep;
    }
    return 0;
}

/* triton/backends/nvidia/bin/ptxas; triton/common/../third_party/cuda/bin/ptxas before 3.0;
 * from 3.6 also ptxas-blackwell. */
static bool offer_ptxas(struct kgi_packages *p, const struct place *place, const char *path,
                        const char *inner, struct lines *lines)
{
    struct kgi_ptxas *more;
    char *copies[2];

    if (!strstr(inner, "triton/") || !is(place->parent, "bin") ||
        (strcmp(place->base, "ptxas") != 0 && strcmp(place->base, "ptxas-blackwell") != 0))
        return false;
    more = realloc(p->ptxas, (p->ptxas_count + 1) * sizeof *more);
    if (!more)
        return true;
    p->ptxas = more;
    copies[0] = strdup(path);
    copies[1] = strdup(inner);
    if (copies[0] && copies[1]) {
        more[p->ptxas_count++] = (struct kgi_ptxas){copies[0], copies[1], ptxas_version(lines)};
    } else {
        free(copies[0]);
        free(copies[1]);
    }
    return true;
}

static bool add_source(struct kgi_packages *p, const char *path)
{
    if (p->source_count == p->source_room) {
        size_t room = p->source_room ? p->source_room * 2 : 64;
        uint64_t *sources = realloc(p->sources, room * sizeof *sources);

        if (!sources)
            return false;
        p->sources = sources;
        p->source_room = room;
    }
    p->sources[p->source_count++] = key_of(SOURCE_KEY, text(path));
    return true;
}

bool kgi_packages_offer(struct kgi_packages *p, const char *path, const char *inner,
                        struct kgi_bytes start, struct kgi_stream *stream)
{
    struct place place = place_of(inner);
    struct lines *lines;
    bool taken;

    /* Most files are none of these: one look at the names, no memory. */
    if (!ends_with(place.parent, "-info") && !ends_with(place.parent, "-INFO") &&
        !is(place.parent, "conda-meta") && !memmem(inner, strlen(inner), "/dpkg", 5) &&
        strncmp(place.base, "ptxas", 5) != 0)
        return false;
    lines = malloc(sizeof *lines);
    if (!lines || !add_source(p, path)) {
        free(lines);
        return false;
    }
    lines->start = start;
    lines->stream = stream;
    lines->at = lines->held = lines->count = 0;
    taken = offer_python(p, &place, lines) || offer_conda(p, &place, lines) ||
            offer_dpkg(p, &place, lines) || offer_ptxas(p, &place, path, inner, lines);
    p->source_count -= !taken;
    free(lines);
    return taken;
}

bool kgi_packages_hidden(const struct kgi_packages *p, const char *path)
{
    return kgi_set_has(&p->hidden, key_of(SOURCE_KEY, text(path)));
}

void kgi_packages_hide(struct kgi_packages *p, const char *path)
{
    kgi_set_add(&p->hidden, key_of(SOURCE_KEY, text(path)));
    for (size_t i = 0; i < p->ptxas_count; i++)
        if (strcmp(p->ptxas[i].path, path) == 0) {
            free(p->ptxas[i].path);
            free(p->ptxas[i].inner);
            p->ptxas[i--] = p->ptxas[--p->ptxas_count];
        }
}

/* ---- look-ups -------------------------------------------------------------------------------- */

static const char *name_of(const struct kgi_packages *p, enum kind kind, struct kgi_bytes path)
{
    const struct slot *slot = find(p, key_of(kind, path));

    return slot ? package_name(p, slot->value) : NULL;
}

const char *kgi_packages_of(const struct kgi_packages *p, const char *inner)
{
    char buffer[PATH_ROOM + 1];
    struct kgi_bytes path = join(text(""), text(inner), buffer);
    const char *name = NULL;

    buffer[path.size] = 0;
    if (path.size)
        name = name_of(p, FILE_KEY, path);
    /* Else by the static library it is of, or the folders above: an egg's own, or a module that an
     * .egg-info beside it names. */
    for (; !name && path.size; path.size--) {
        char after = buffer[path.size];

        if (after == '!' && ends_with(path, ".a"))
            name = name_of(p, FILE_KEY, path);
        if (!name && after == '/' && ends_with(path, ".egg"))
            name = name_of(p, PACKAGE_KEY, path);
        if (!name && (after == '/' || after == '.'))
            name = name_of(p, MODULE_KEY, path);
    }
    return name;
}

/* The PyTorch that is installed in one of the folders above a file. */
static const char *torch_above(const struct kgi_packages *p, const char *inner)
{
    char buffer[PATH_ROOM];
    struct kgi_bytes folder = text(inner), base;
    const char *name = NULL;

    while (!name && folder.size) {
        folder = folder_of(folder, &base);
        name = name_of(p, FILE_KEY, join(folder, text("torch/lib/libtorch_cpu.so"), buffer));
    }
    return name;
}

/* The same for a file whose metadata was not walked with it: a library on disk, named alone. */
static void name_on_disk(struct kgi_file *file)
{
    char path[PATH_MAX], torch[PATH_MAX + 32], name[192];
    const char *member = strstr(file->inner, ".a!/"); /* of a static library, which lies on disk */
    int length = member ? (int)(member + 2 - file->inner) : INT_MAX;

    if (snprintf(path, sizeof path, "%.*s", length, file->inner) >= (int)sizeof path)
        return;
    /* What a process has mapped in another root; the links there lead elsewhere from here. */
    if (strncmp(path, "/proc/", 6) != 0) {
        char *full = realpath(path, NULL);
        if (!full)
            return;
        snprintf(path, sizeof path, "%s", full);
        free(full);
    }
    if (!file->package && kgi_package_of(path, name, sizeof name))
        file->package = strdup(name);
    for (char *slash; !file->torch && (slash = strrchr(path, '/'));) {
        *slash = 0;
        snprintf(torch, sizeof torch, "%s/torch/lib/libtorch_cpu.so", path);
        if (access(torch, F_OK) == 0 && kgi_package_of(torch, name, sizeof name))
            file->torch = strdup(name);
    }
}

void kgi_packages_name(const struct kgi_packages *p, struct kgi_file *file)
{
    const char *package = kgi_packages_of(p, file->inner);
    const char *torch = torch_above(p, file->inner);

    file->package = package ? strdup(package) : NULL;
    file->torch = torch ? strdup(torch) : NULL;
    if (!package && file->found_count)
        name_on_disk(file);
}
