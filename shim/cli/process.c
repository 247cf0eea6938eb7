/*
 * The files a process has mapped, by /proc/PID/maps. A file is opened through map_files, which
 * leads to the very file even when it was deleted or replaced since, but needs privileges; else by
 * its path under the process's own root, which for a container's process is the container's.
 */
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A line: "7f12-7f34 r-xp 00001000 08:01 1234   /usr/lib/a.so (deleted)". */
bool kgi_maps_line(char *line, struct kgi_mapping *out)
{
    static const char suffix[] = " (deleted)";
    int path = 0;
    size_t length;

    *out = (struct kgi_mapping){0};
    if (sscanf(line, "%63[0-9a-f-] %*4s %*x %*x:%*x %llu %n", out->range, &out->inode, &path) !=
            2 ||
        !path || !out->inode || line[path] != '/')
        return false;
    out->path = line + path;
    length = strcspn(out->path, "\n");
    out->path[length] = 0;
    if (length > sizeof suffix - 1 &&
        strcmp(out->path + length - (sizeof suffix - 1), suffix) == 0) {
        out->deleted = true;
        out->path[length - (sizeof suffix - 1)] = 0;
    }
    return true;
}

static int open_mapping(pid_t pid, const struct kgi_mapping *m)
{
    enum { FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY };
    char *path = kgi_format("/proc/%d/map_files/%s", (int)pid, m->range);
    int fd = path ? open(path, FLAGS) : -1;

    free(path);
    if (fd >= 0 || m->deleted)
        return fd;
    path = kgi_format("/proc/%d/root%s", (int)pid, m->path);
    fd = path ? open(path, FLAGS) : -1;
    free(path);
    return fd;
}

/* Never opens a device: the name is looked at first. */
static bool is_device(const struct kgi_mapping *m)
{
    return strncmp(m->path, "/dev/", 5) == 0 && strncmp(m->path, "/dev/shm/", 9) != 0;
}

/* A container's process: its path leads to another file here, or to none. */
static bool is_elsewhere(const char *path, const struct stat *s)
{
    struct stat here;

    return stat(path, &here) != 0 || here.st_dev != s->st_dev || here.st_ino != s->st_ino;
}

static int walk_mapping(struct kgi_walk *walk, pid_t pid, const struct kgi_mapping *m)
{
    struct stat s;
    char *shown = kgi_format("%s%s", m->path, m->deleted ? " (deleted)" : "");
    char *inside = kgi_format("/proc/%d/root%s", (int)pid, m->path);
    int stop = 0, fd = shown && inside ? open_mapping(pid, m) : -1;

    if (!shown || !inside) {
        free(shown);
        free(inside);
        return -ENOMEM;
    }
    if (fd < 0 && m->deleted)
        kgi_walk_error(walk, shown,
                       "deleted or replaced since it was mapped, and cannot be opened: %s",
                       strerror(errno));
    else if (fd < 0)
        kgi_walk_error(walk, shown, "cannot be opened: %s", strerror(errno));
    else if (fstat(fd, &s) == 0 && S_ISREG(s.st_mode)) {
        walk->inner = !m->deleted && is_elsewhere(m->path, &s) ? inside : NULL;
        stop = kgi_walk_fd(walk, shown, fd, false, kgi_use_node, NULL);
    }
    if (fd >= 0)
        close(fd);
    free(inside);
    free(shown);
    return stop;
}

/* A library has several mappings; paths and inodes tell them apart from others' of the same name.
 */
static int is_new(struct kgi_walk *walk, const struct kgi_mapping *m)
{
    uint64_t key = m->inode * 0x9e3779b97f4a7c15u;

    for (const char *at = m->path; *at; at++)
        key = (key ^ (uint8_t)*at) * 0x100000001b3u;
    return kgi_set_add(&walk->seen, key ? key : 1);
}

int kgi_walk_process(pid_t pid, const struct kgi_visitor *visitor)
{
    struct kgi_walk walk = {.visitor = visitor};
    struct kgi_mapping m;
    char name[64], *line = NULL;
    size_t room = 0;
    int stop = 0;

    snprintf(name, sizeof name, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(name, "re");
    if (!maps) {
        kgi_walk_error(&walk, name, errno == ENOENT ? "no such process" : "cannot be read: %s",
                       strerror(errno));
        return 0;
    }
    while (stop == 0 && (errno = 0, getline(&line, &room, maps) > 0))
        if (kgi_maps_line(line, &m) && !is_device(&m) && (stop = is_new(&walk, &m)) > 0)
            stop = walk_mapping(&walk, pid, &m);
    if (stop == 0 && errno)
        kgi_walk_error(&walk, name, "cannot be read: %s", strerror(errno));
    free(line);
    fclose(maps);
    kgi_set_free(&walk.seen);
    return stop;
}
