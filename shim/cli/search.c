/*
 * Where things are, found as the dynamic loader and Python would find them, by a program that is
 * linked statically and runs neither.
 */
#include <dirent.h>
#include <fnmatch.h>
#include <ftw.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "doctor.h"

#define CACHE_MOST ((size_t)64 << 20)

/* ---- patterns -----------------------------------------------------------------------------------
 */

struct expansion {
    void (*each)(const char *path, void *context);
    void *context;
};

static int keep_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void expand(const char *folder, const char *rest, const struct expansion *x)
{
    size_t n = strcspn(rest, "/");
    char name[NAME_MAX + 1], path[PATH_MAX];
    struct dirent **entries;
    struct stat s;
    int count;

    if (n == 0) { /* the end, or an empty name */
        if (!*rest && stat(folder, &s) == 0)
            x->each(folder, x->context);
        return;
    }
    snprintf(name, sizeof name, "%.*s", (int)n, rest);
    rest += n + (rest[n] == '/');
    if (!strchr(name, '*')) {
        if (snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path)
            expand(path, rest, x);
        return;
    }
    count = scandir(*folder ? folder : "/", &entries, keep_visible, alphasort);
    for (int i = 0; i < count; i++) {
        if (fnmatch(name, entries[i]->d_name, 0) == 0 &&
            snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name) < (int)sizeof path)
            expand(path, rest, x);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

void kgi_expand(const char *pattern, void (*each)(const char *, void *), void *context)
{
    const struct expansion x = {each, context};

    if (pattern[0] == '/')
        expand("", pattern + 1, &x);
}

/* ---- the loader's search ------------------------------------------------------------------------
 */

struct search {
    const char *name, *how;
    void (*each)(const char *path, const char *how, void *context);
    void *context;
};

static void found(const char *path, void *context)
{
    const struct search *s = context;

    s->each(path, s->how, s->context);
}

static void search_folder(const char *folder, size_t length, struct search *s, const char *how)
{
    char pattern[PATH_MAX];

    s->how = how;
    if (length && (size_t)snprintf(pattern, sizeof pattern, "%.*s/%s", (int)length, folder,
                                   s->name) < sizeof pattern)
        kgi_expand(pattern, found, s);
}

/* glibc's dl-cache.h: a header, entries, strings; offsets count from the header. Older systems have
 * another table in front. */
struct cache_head {
    char magic[20];
    uint32_t count, strings, unused[5];
};
struct cache_entry {
    int32_t flags;
    uint32_t key, value, version;
    uint64_t hardware;
};
#ifdef __aarch64__
#define CACHE_ARCH 0x0a00
#else
#define CACHE_ARCH 0x0300
#endif

static void search_cache(const struct search *s)
{
    struct kgi_bytes file = kgi_file_map("/etc/ld.so.cache", CACHE_MOST), table;
    const char *start = file.at ? memmem(file.at, file.size, "glibc-ld.so.cache1.1", 20) : NULL;
    struct cache_head head = {.count = 0};
    struct cache_entry entry;

    table = kgi_bytes_cut(file, start ? (uint64_t)(start - (const char *)file.at) : file.size,
                          start ? file.size - (size_t)(start - (const char *)file.at) : 0);
    if (KGI_GET(table, 0, &head))
        for (uint32_t i = 0;
             i < head.count && KGI_GET(table, sizeof head + (uint64_t)i * sizeof entry, &entry);
             i++) {
            const char *name = kgi_bytes_string(table, entry.key);
            const char *path = kgi_bytes_string(table, entry.value);
            if (name && path && (entry.flags & 0xff00) == CACHE_ARCH &&
                fnmatch(s->name, name, 0) == 0)
                s->each(path, "ld.so.cache", s->context);
        }
    kgi_file_unmap(file);
}

void kgi_search(const char *name, void (*each)(const char *, const char *, void *), void *context)
{
    static const char *const folders[] = {
#ifdef __aarch64__
        "/lib/aarch64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
#else
        "/lib/x86_64-linux-gnu",
        "/usr/lib/x86_64-linux-gnu",
#endif
        "/lib64",
        "/usr/lib64",
        "/lib",
        "/usr/lib"};
    struct search s = {name, "", each, context};
    const char *path = getenv("LD_LIBRARY_PATH");

    for (size_t n; path && *path; path += n + (path[n] != 0)) {
        n = strcspn(path, ":;");
        search_folder(path, n, &s, "LD_LIBRARY_PATH");
    }
    search_cache(&s);
    for (size_t i = 0; i < KGI_COUNT(folders); i++)
        search_folder(folders[i], strlen(folders[i]), &s, "the system's folders");
}

/* ---- Python's packages --------------------------------------------------------------------------
 */

static void packages_under(const char *prefix, void (*each)(const char *, void *), void *context)
{
    static const char *const folders[] = {
        "/lib/python3*/site-packages", "/lib64/python3*/site-packages",
        "/lib/python3*/dist-packages", "/lib/python3/dist-packages"};
    char pattern[PATH_MAX];

    for (size_t i = 0; prefix && *prefix && i < KGI_COUNT(folders); i++)
        if (snprintf(pattern, sizeof pattern, "%s%s", prefix, folders[i]) < (int)sizeof pattern)
            kgi_expand(pattern, each, context);
}

/* An environment's python3 is in its bin, whatever it links to. */
static void packages_by_path(void (*each)(const char *, void *), void *context)
{
    const char *path = getenv("PATH");
    char python[PATH_MAX], *full;

    for (size_t n; path && *path; path += n + (path[n] != 0)) {
        n = strcspn(path, ":");
        if (snprintf(python, sizeof python, "%.*s/python3", (int)n, path) >= (int)sizeof python ||
            access(python, X_OK) != 0)
            continue;
        full = n > 4 && memcmp(path + n - 4, "/bin", 4) == 0 ? strndup(path, n - 4) : NULL;
        packages_under(full, each, context);
        free(full);
        return;
    }
}

void kgi_site_packages(void (*each)(const char *, void *), void *context)
{
    packages_under(getenv("VIRTUAL_ENV"), each, context);
    packages_under(getenv("CONDA_PREFIX"), each, context);
    packages_by_path(each, context);
    packages_under("/usr/local", each, context);
    packages_under("/usr", each, context);
}

/* ---- what a folder lies on ----------------------------------------------------------------------
 */

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif

static const struct {
    uint32_t magic; /* statfs(2) */
    const char *name;
    bool lasting, shared;
} systems[] = {
    {OVERLAYFS_SUPER_MAGIC, "overlayfs", false, false}, /* a container's own layer */
    {TMPFS_MAGIC, "tmpfs", false, false},
    {RAMFS_MAGIC, "ramfs", false, false},
    {NFS_SUPER_MAGIC, "nfs", true, true},
    {SMB_SUPER_MAGIC, "smb", true, true},
    {CIFS_SUPER_MAGIC, "cifs", true, true},
    {0x0bd00bd0, "lustre", true, true},
    {0x47504653, "gpfs", true, true},
    {CEPH_SUPER_MAGIC, "ceph", true, true},
    {0x19830326, "beegfs", true, true},
    {V9FS_MAGIC, "9p", true, true},
    {FUSE_SUPER_MAGIC, "fuse", true, true},
};

void kgi_folder_look(const char *path, struct kgi_folder *out)
{
    char there[PATH_MAX], *slash;
    struct statfs fs;

    *out = (struct kgi_folder){.lasting = true, .is_there = access(path, F_OK) == 0};
    snprintf(there, sizeof there, "%s", path);
    while (access(there, F_OK) != 0 && (slash = strrchr(there, '/')))
        slash[slash == there] = 0;
    out->writable = access(there, W_OK | X_OK) == 0;
    if (statfs(there, &fs) != 0)
        return;
    for (size_t i = 0; i < KGI_COUNT(systems); i++)
        if ((uint32_t)fs.f_type == systems[i].magic) {
            out->system = systems[i].name;
            out->lasting = systems[i].lasting;
            out->shared = systems[i].shared;
        }
}

static uint64_t size_so_far;

static int add_size(const char *path, const struct stat *s, int kind, struct FTW *place)
{
    (void)path;
    (void)place;
    size_so_far += kind == FTW_F ? (uint64_t)s->st_size : 0;
    return 0;
}

uint64_t kgi_folder_size(const char *path)
{
    size_so_far = 0;
    nftw(path, add_size, 16, FTW_PHYS | FTW_MOUNT);
    return size_so_far;
}
