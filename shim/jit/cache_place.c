/*
 * The cache's view of a file system.
 *
 * Raw system calls only, all through one function: no cancellation point, no other interposer, and a
 * test can stand at each of them. Every descriptor is at least 3 (the program's next error text would
 * land in our file) and closed again before the caller of the cache goes on; descriptors that a
 * claim holds are told from others by device and inode, since a daemon may close "all" meanwhile.
 *
 * What makes publication safe is its order alone: a temporary file of a name nobody else has
 * (O_EXCL), written in full, synced, renamed, directory synced. Until the rename nothing is there;
 * after it, everything is. A rename without the sync before it may leave an empty file after a power
 * loss on some file systems: the digest would find it, but the work would be lost.
 */
#include "cache_place.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#ifndef F_OFD_SETLK
#define F_OFD_SETLK 37
#endif
#define RETRIES 64           /* of an interrupted call: a storm of signals ends at some time */
#define LIST_BUFFER 32768

static long call(long number, long a, long b, long c, long d, long e)
{
    long result = syscall(number, a, b, c, d, e);

    return result < 0 ? -errno : result;
}

struct kgi_cache_sys kgi_cache_sys = {call};

static long sys(long number, long a, long b, long c, long d, long e)
{
    long result;

    for (int i = 0; i < RETRIES; i++) {
        result = kgi_cache_sys.call(number, a, b, c, d, e);
        if (result != -EINTR)
            break;
    }
    return result;
}

#define SYS5(number, a, b, c, d, e) sys(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))
#define SYS4(number, a, b, c, d) SYS5(number, a, b, c, d, 0)
#define SYS3(number, a, b, c) SYS5(number, a, b, c, 0, 0)
#define SYS2(number, a, b) SYS5(number, a, b, 0, 0, 0)

/* close() has closed the descriptor also where it says EINTR: never twice. */
void kgi_place_close(int fd)
{
    if (fd >= 0)
        kgi_cache_sys.call(SYS_close, fd, 0, 0, 0, 0);
}

static int open_at(int directory, const char *name, int flags, int mode)
{
    long fd = SYS4(SYS_openat, directory, name, flags | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW, mode);
    long higher;

    if (fd < 0 || fd >= 3)
        return (int)fd;
    higher = SYS3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3);
    kgi_place_close((int)fd);
    return (int)higher;
}

/* ---- time ----------------------------------------------------------------------------------------------- */

int64_t kgi_place_now(void)
{
    struct timespec now = {0, 0};

    SYS2(SYS_clock_gettime, CLOCK_REALTIME, &now);
    return now.tv_sec;
}

int64_t kgi_place_ticks(void)
{
    struct timespec now = {0, 0};

    SYS2(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- whose it is ------------------------------------------------------------------------------------------ */

/* Group bits of a file with an ACL are the ACL's mask: a named user's right to write shows here. */
static bool trusted(const struct stat *st, bool shared)
{
    long user = SYS2(SYS_geteuid, 0, 0);

    return (st->st_uid == user || (shared && st->st_uid == 0)) && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static int checked_directory(int fd, bool shared)
{
    struct stat st;
    long result = SYS2(SYS_fstat, fd, &st);

    if (result == 0 && (!S_ISDIR(st.st_mode) || !trusted(&st, shared)))
        result = -EPERM;
    if (result == 0)
        return fd;
    kgi_place_close(fd);
    return (int)result;
}

/* Opens a directory; with make, makes it first where it is missing. Its mode is set on the descriptor:
 * umask has no say in it. */
static int open_directory(const struct kgi_cache *cache, int at, const char *name, bool shared,
                          bool make)
{
    int fd = open_at(at, name, O_RDONLY | O_DIRECTORY, 0);
    long made;

    if (fd != -ENOENT || !make)
        return fd < 0 ? fd : checked_directory(fd, shared);
    made = SYS3(SYS_mkdirat, at, name, cache->is_public ? 0755 : 0700);
    if (made < 0 && made != -EEXIST)
        return (int)made;
    fd = open_at(at, name, O_RDONLY | O_DIRECTORY, 0);
    if (fd >= 0)
        fd = checked_directory(fd, shared);
    if (fd >= 0 && made == 0 && cache->is_public)
        SYS2(SYS_fchmod, fd, 0755);
    return fd;
}

/* The parents of a tier, as mkdir -p makes them; private, as XDG wants it for ~/.cache. */
static void make_parents(const char *path, bool is_public)
{
    char parent[1024];

    for (size_t i = 1; path[i] && i < sizeof parent; i++) {
        parent[i] = path[i];
        if (path[i] != '/')
            continue;
        memcpy(parent, path, i);
        parent[i] = 0;
        SYS3(SYS_mkdirat, AT_FDCWD, parent, is_public ? 0755 : 0700);
    }
}

int kgi_place_tier(const struct kgi_cache *cache, const char *path, bool shared, bool make)
{
    int fd;

    if (path[0] != '/') /* never below the current directory */
        return -EINVAL;
    /* Between two users, trust in a directory of one is the other's hole. */
    if (SYS2(SYS_geteuid, 0, 0) != SYS2(SYS_getuid, 0, 0))
        return -EPERM;
    fd = open_directory(cache, AT_FDCWD, path, shared, make);
    if (fd != -ENOENT || !make)
        return fd;
    make_parents(path, cache->is_public);
    return open_directory(cache, AT_FDCWD, path, shared, make);
}

bool kgi_cache_keeps(const struct kgi_cache *cache)
{
    int tier = cache->user ? kgi_place_tier(cache, cache->user, false, true) : -ENOENT;
    bool keeps = tier >= 0 && SYS3(SYS_faccessat, tier, ".", W_OK) == 0;

    kgi_place_close(tier);
    return keeps;
}

int kgi_place_shard(const struct kgi_cache *cache, int tier, uint8_t first, bool shared, bool make)
{
    const char *hex = "0123456789abcdef";
    char name[3] = {hex[first >> 4], hex[first & 15], 0};

    return open_directory(cache, tier, name, shared, make);
}

/* ---- reading ------------------------------------------------------------------------------------------------ */

struct entry64 { /* as the kernel fills it in */
    uint64_t inode, offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

int kgi_place_list(int directory, int (*each)(const char *name, void *context), void *context)
{
    char *buffer = kgi_pages_get(LIST_BUFFER);
    long size = buffer ? 0 : -ENOMEM, result = 0;

    while (buffer && result == 0 &&
           (size = SYS3(SYS_getdents64, directory, buffer, LIST_BUFFER)) > 0) {
        for (long at = 0; at < size && result == 0;) {
            const struct entry64 *entry = (const void *)(buffer + at);

            at += entry->size;
            result = each(entry->name, context);
        }
    }
    kgi_pages_put(buffer, LIST_BUFFER);
    return (int)(size < 0 ? size : result);
}

static void describe(const struct stat *st, bool shared, struct kgi_place_file *out)
{
    out->size = (uint64_t)st->st_size;
    out->device = (uint64_t)st->st_dev;
    out->inode = (uint64_t)st->st_ino;
    out->modified = st->st_mtime;
    out->state = S_ISREG(st->st_mode) && trusted(st, shared) ? KGI_ENTRY_GOOD : KGI_ENTRY_FOREIGN;
}

void kgi_place_open(int directory, const char *name, bool shared, struct kgi_place_file *out)
{
    struct stat st;

    *out = (struct kgi_place_file){.fd = -1, .state = KGI_ENTRY_UNREADABLE};
    /* A FIFO would wait for a writer: O_NONBLOCK. */
    out->fd = open_at(directory, name, O_RDONLY | O_NONBLOCK, 0);
    if (out->fd == -ENOENT)
        out->state = KGI_ENTRY_ABSENT;
    else if (out->fd == -ELOOP)
        out->state = KGI_ENTRY_FOREIGN;
    else if (out->fd >= 0 && SYS2(SYS_fstat, out->fd, &st) == 0)
        describe(&st, shared, out);
    if (out->state != KGI_ENTRY_GOOD) {
        kgi_place_close(out->fd);
        out->fd = -1;
    }
}

int kgi_place_stat(int directory, const char *name, bool shared, struct kgi_place_file *out)
{
    struct stat st;
    long result = SYS4(SYS_newfstatat, directory, name, &st, AT_SYMLINK_NOFOLLOW);

    *out = (struct kgi_place_file){.fd = -1};
    if (result != 0)
        return (int)result;
    describe(&st, shared, out);
    return S_ISREG(st.st_mode) ? 0 : -ENOTSUP;
}

int kgi_place_read(int fd, void *out, size_t size, uint64_t offset)
{
    uint8_t *at = out;

    while (size) {
        long n = SYS4(SYS_pread64, fd, at, size, offset);

        if (n <= 0)
            return n < 0 ? (int)n : -ENODATA;
        at += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

void kgi_place_touch(int fd, int64_t now)
{
    struct timespec times[2] = {{now, 0}, {now, 0}};

    SYS4(SYS_utimensat, fd, NULL, times, 0);
}

int kgi_place_unlink(int directory, const char *name)
{
    return (int)SYS3(SYS_unlinkat, directory, name, 0);
}

int kgi_place_remove_directory(int directory, const char *name)
{
    return (int)SYS3(SYS_unlinkat, directory, name, AT_REMOVEDIR);
}

void kgi_place_remove(int directory, const char *name, const struct kgi_place_file *file)
{
    struct kgi_place_file now;

    if (kgi_place_stat(directory, name, false, &now) == 0 && now.inode == file->inode &&
        now.device == file->device)
        kgi_place_unlink(directory, name);
}

/* ---- writing -------------------------------------------------------------------------------------------------- */

/* Unique among the processes of all hosts that share the directory: where the stack and a block of
 * random bytes of this process lie, its id, the time, a number. Not a secret: O_EXCL decides. */
static void temporary_name(char *out, size_t size)
{
    static _Atomic uint64_t number;
    const uint64_t *random = (const void *)getauxval(AT_RANDOM); /* NOLINT */
    struct timespec now = {0, 0};
    uint64_t salt, part = 0;

    SYS2(SYS_clock_gettime, CLOCK_REALTIME, &now);
    if (random)
        memcpy(&part, random, sizeof part);
    salt = part ^ (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec;
    salt = (salt + atomic_fetch_add(&number, 1)) * 0x9e3779b97f4a7c15u;
    snprintf(out, size, KGI_TMP_PREFIX "%ld.%016llx", SYS2(SYS_getpid, 0, 0),
             (unsigned long long)salt);
}

static int write_all(int fd, struct kgi_bytes bytes)
{
    while (bytes.size) {
        long n = SYS3(SYS_write, fd, bytes.at, bytes.size);

        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        bytes.at += n;
        bytes.size -= (size_t)n;
    }
    return 0;
}

static int fill(const struct kgi_cache *cache, int fd, const struct kgi_bytes *parts, size_t count)
{
    /* The same tree whatever the umask. */
    int result = (int)SYS2(SYS_fchmod, fd, cache->is_public ? 0644 : 0600);

    for (size_t i = 0; i < count && result == 0; i++)
        result = write_all(fd, parts[i]);
    if (result == 0 && !cache->no_sync)
        result = (int)SYS2(SYS_fdatasync, fd, 0);
    if (result == 0) /* our own clock, which the touches come from as well */
        kgi_place_touch(fd, kgi_place_now());
    return result;
}

int kgi_place_write(const struct kgi_cache *cache, int directory, const struct kgi_bytes *parts,
                    size_t count, struct kgi_place_new *out)
{
    struct kgi_signals held;
    int fd = -EEXIST, result;

    out->directory = directory;
    for (int i = 0; i < 4 && fd == -EEXIST; i++) {
        temporary_name(out->name, sizeof out->name);
        fd = open_at(directory, out->name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    }
    if (fd < 0)
        return fd;
    kgi_signals_hold(&held); /* at the limit of file size: SIGXFSZ */
    result = fill(cache, fd, parts, count);
    kgi_signals_release(&held);
    kgi_place_close(fd);
    if (result != 0)
        kgi_place_discard(out);
    return result;
}

int kgi_place_publish(const struct kgi_cache *cache, const struct kgi_place_new *file,
                      const char *name)
{
    int result = (int)SYS4(SYS_renameat, file->directory, file->name, file->directory, name);

    if (result != 0) {
        kgi_place_discard(file);
        return result;
    }
    /* From here on it is done: a directory that cannot be synced (some file systems say EINVAL) may
     * forget the name at a power loss, and that is all. */
    if (!cache->no_sync && !cache->no_directory_sync && SYS2(SYS_fsync, file->directory, 0) != 0)
        kgi_cache_count(KGI_COUNT_errors, 1);
    return 0;
}

void kgi_place_discard(const struct kgi_place_new *file)
{
    if (kgi_place_unlink(file->directory, file->name) != 0)
        kgi_cache_count(KGI_COUNT_errors, 1);
}

int kgi_place_add(int directory, const char *name, struct kgi_bytes bytes, bool append,
                  uint64_t *size)
{
    int fd = open_at(directory, name, O_WRONLY | O_CREAT | O_NONBLOCK | (append ? O_APPEND : 0), 0600);
    struct kgi_signals held;
    struct stat st;
    int result;

    if (fd < 0)
        return fd;
    result = (int)SYS2(SYS_fstat, fd, &st);
    if (result == 0 && (!S_ISREG(st.st_mode) || !trusted(&st, false)))
        result = -EPERM;
    if (result == 0) {
        kgi_signals_hold(&held);
        result = write_all(fd, bytes);
        kgi_signals_release(&held);
        *size = (uint64_t)st.st_size + bytes.size;
    }
    kgi_place_close(fd);
    return result;
}

/* A twentieth of the file system, at most 1 GiB, is left alone: a cache must not be what fills it. */
uint64_t kgi_place_room(int directory)
{
    struct statfs fs;
    uint64_t left, block, available;

    if (SYS2(SYS_fstatfs, directory, &fs) != 0 || fs.f_bsize <= 0 || fs.f_blocks == 0)
        return UINT64_MAX;
    block = (uint64_t)fs.f_bsize;
    left = fs.f_blocks / 20 > ((uint64_t)1 << 30) / block ? (uint64_t)1 << 30
                                                          : fs.f_blocks / 20 * block;
    available = fs.f_bavail > UINT64_MAX / block ? UINT64_MAX : fs.f_bavail * block;
    return available > left ? available - left : 0;
}

/* ---- locks ------------------------------------------------------------------------------------------------------ */

/*
 * One empty file per tier, one byte of its range per key: no lock file is ever removed, so no race
 * about which of two is the lock. Locks of the open file description: the classic ones vanish when
 * any code of the process closes another descriptor of the file, and exclude no threads.
 */
static int try_lock(int fd, int64_t byte)
{
    struct flock want = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    long result = SYS3(SYS_fcntl, fd, F_OFD_SETLK, &want);

    return result == 0 ? 1 : result == -EAGAIN ? 0 : (int)result;
}

int kgi_place_lock(const struct kgi_cache *cache, int tier, int64_t byte, int wait_ms,
                   struct kgi_cache_claim *out)
{
    int fd = open_at(tier, "lock", O_RDWR | O_CREAT | O_NONBLOCK, cache->is_public ? 0644 : 0600);
    int64_t end = kgi_place_ticks() + wait_ms;
    struct timespec nap = {0, 1000000};
    struct stat st;
    int result;

    out->fd = -1;
    if (fd < 0)
        return fd;
    result = (int)SYS2(SYS_fstat, fd, &st);
    if (result == 0 && (!S_ISREG(st.st_mode) || !trusted(&st, false)))
        result = -EPERM;
    while (result == 0 && (result = try_lock(fd, byte)) == 0 && kgi_place_ticks() < end) {
        kgi_cache_sys.call(SYS_nanosleep, (long)&nap, 0, 0, 0, 0);
        if (nap.tv_nsec < 50000000)
            nap.tv_nsec *= 2;
    }
    if (result == 1)
        *out = (struct kgi_cache_claim){fd, (uint64_t)st.st_dev, (uint64_t)st.st_ino, byte};
    else
        kgi_place_close(fd);
    return result;
}

/* Unlocks by name, too: a child that was forked meanwhile has the description, and would keep it. */
void kgi_place_unlock(struct kgi_cache_claim *claim)
{
    struct flock none = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = claim->range, .l_len = 1};
    struct stat st;
    long result;

    if (claim->fd < 0)
        return;
    result = SYS2(SYS_fstat, claim->fd, &st);
    if (result == 0 ? (uint64_t)st.st_dev == claim->device && (uint64_t)st.st_ino == claim->inode
                    : result != -EBADF) {
        SYS3(SYS_fcntl, claim->fd, F_OFD_SETLK, &none);
        kgi_place_close(claim->fd);
    }
    claim->fd = -1;
}

/* ---- names -------------------------------------------------------------------------------------------------------- */

static void hex_of(const uint8_t *bytes, size_t size, char *out)
{
    for (size_t i = 0; i < 2 * size; i++)
        out[i] = "0123456789abcdef"[i % 2 ? bytes[i / 2] & 15 : bytes[i / 2] >> 4];
}

void kgi_place_name(const uint8_t digest[32], const uint8_t id[8], char out[KGI_NAME_SIZE])
{
    hex_of(digest + 1, 31, out);
    out[62] = '.';
    hex_of(id, 8, out + 63);
    out[79] = 0;
}

static size_t hex_length(const char *s)
{
    size_t n = 0;

    while ((s[n] >= '0' && s[n] <= '9') || (s[n] >= 'a' && s[n] <= 'f'))
        n++;
    return n;
}

bool kgi_place_is_entry(const char *name)
{
    return hex_length(name) == 62 && name[62] == '.' && hex_length(name + 63) == 16 && !name[79];
}

bool kgi_place_is_shard(const char *name)
{
    return hex_length(name) == 2 && !name[2];
}

bool kgi_place_is_temporary(const char *name)
{
    return !strncmp(name, KGI_TMP_PREFIX, strlen(KGI_TMP_PREFIX));
}
