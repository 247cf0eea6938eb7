/*
 * For tests of the walk: archives made in memory with libarchive's writers, and a visitor that
 * writes down what it is told, one line each: PATH = first bytes          a file PATH ! text an
 * error;   PATH ~ text   a note PATH hidden
 */
#ifndef CLI_WALK_H
#define CLI_WALK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/walk.h"

struct made {
    char *at;
    size_t size;
};

static inline struct made text(const char *s)
{
    return (struct made){(char *)(uintptr_t)s, strlen(s)};
}

/* A member: 'f'ile, 'd'irectory, 'h'ard link, 's'ymbolic link, 'p'ipe. */
struct item {
    const char *name;
    char kind;
    struct made content; /* of a link: its target */
};
#define FILE_OF(name, string)                                                                      \
    {                                                                                              \
        name, 'f',                                                                                 \
        {                                                                                          \
            (char *)(uintptr_t)string, sizeof string - 1                                           \
        }                                                                                          \
    }
#define LINK_OF(name, kind, target)                                                                \
    {                                                                                              \
        name, kind,                                                                                \
        {                                                                                          \
            (char *)(uintptr_t)target, sizeof target - 1                                           \
        }                                                                                          \
    }
#define FOLDER_OF(name)                                                                            \
    {                                                                                              \
        name, 'd',                                                                                 \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }

enum { MADE = 4 << 20 };

/* Memory that leave_folder frees. */
static void *made_memory[64];
static size_t made_count;

static inline struct made make(void)
{
    assert_true(made_count < KGI_COUNT(made_memory));
    made_memory[made_count] = malloc(MADE);
    return (struct made){made_memory[made_count++], 0};
}

static inline void add_item(struct archive *a, const struct item *item)
{
    struct archive_entry *e = archive_entry_new();

    archive_entry_set_pathname(e, item->name);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_filetype(e, item->kind == 'd'   ? AE_IFDIR
                                  : item->kind == 's' ? AE_IFLNK
                                  : item->kind == 'p' ? AE_IFIFO
                                                      : AE_IFREG);
    archive_entry_set_size(e, item->kind == 'f' ? (la_int64_t)item->content.size : 0);
    if (item->kind == 'h')
        archive_entry_set_hardlink(e, item->content.at);
    if (item->kind == 's')
        archive_entry_set_symlink(e, item->content.at);
    /* A warning: the C locale does not know the letter \303\251. */
    assert_true(archive_write_header(a, e) >= ARCHIVE_WARN);
    if (item->kind == 'f' && item->content.size)
        assert_int_equal(archive_write_data(a, item->content.at, item->content.size),
                         item->content.size);
    archive_entry_free(e);
}

/* format: ARCHIVE_FORMAT_*; filter: ARCHIVE_FILTER_*. */
static inline struct made pack(int format, int filter, const struct item *items, size_t count)
{
    struct archive *a = archive_write_new();
    struct made made = make();

    assert_int_equal(format == ARCHIVE_FORMAT_ZIP   ? archive_write_set_format_zip(a)
                     : format == ARCHIVE_FORMAT_TAR ? archive_write_set_format_pax_restricted(a)
                                                    : archive_write_set_format_ar_bsd(a),
                     ARCHIVE_OK);
    assert_int_equal(filter == ARCHIVE_FILTER_GZIP    ? archive_write_add_filter_gzip(a)
                     : filter == ARCHIVE_FILTER_ZSTD  ? archive_write_add_filter_zstd(a)
                     : filter == ARCHIVE_FILTER_XZ    ? archive_write_add_filter_xz(a)
                     : filter == ARCHIVE_FILTER_BZIP2 ? archive_write_add_filter_bzip2(a)
                                                      : archive_write_add_filter_none(a),
                     ARCHIVE_OK);
    archive_write_set_bytes_in_last_block(a, 1);
    assert_int_equal(archive_write_open_memory(a, made.at, MADE, &made.size), ARCHIVE_OK);
    for (size_t i = 0; i < count; i++)
        add_item(a, &items[i]);
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
    return made;
}
#define PACK(format, filter, items)                                                                \
    pack(ARCHIVE_FORMAT_##format, ARCHIVE_FILTER_##filter, items, KGI_COUNT(items))

static inline void store(const char *path, struct made made)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, made.at, made.size), made.size);
    close(fd);
}

/* ---- the visitor ---------------------------------------------------------------------------- */

struct log {
    char *at;
    size_t size;
    FILE *to;
    bool inner; /* show the inner path too */
    bool skip;  /* read nothing but what is in start */
    int stop;   /* what to answer */
    uint64_t done;
};

static inline int log_file(void *context, const char *path, const char *inner,
                           struct kgi_bytes start, struct kgi_stream *stream, uint64_t size)
{
    struct log *log = context;
    char buffer[5000];
    uint64_t all = start.size;
    ssize_t n = 0;
    char text[33] = "", end[64] = "";

    assert_true(start.size > 0 && start.size <= 4096);
    for (size_t i = 0; i < start.size && i < 32 && start.at[i] >= ' '; i++)
        text[i] = (char)start.at[i];
    while (!log->skip && (n = stream->read(stream->context, buffer, sizeof buffer)) > 0)
        all += (uint64_t)n;
    if (log->skip)
        snprintf(end, sizeof end, " of %llu", (unsigned long long)size);
    else if (n < 0)
        snprintf(end, sizeof end, "... %llu, %s", (unsigned long long)all, strerror((int)-n));
    else if (all > 32)
        snprintf(end, sizeof end, "... %llu", (unsigned long long)all);
    fprintf(log->to, "%s = %s%s%s%s%s\n", path, log->inner ? "(" : "", log->inner ? inner : "",
            log->inner ? ") " : "", text, end);
    return log->stop;
}

static inline void log_error(void *context, const char *path, const char *what)
{
    fprintf(((struct log *)context)->to, "%s ! %s\n", path, what);
}

static inline void log_note(void *context, const char *path, const char *what)
{
    fprintf(((struct log *)context)->to, "%s ~ %s\n", path, what);
}

static inline void log_hidden(void *context, const char *path)
{
    fprintf(((struct log *)context)->to, "%s hidden\n", path);
}

static inline void log_progress(void *context, uint64_t done)
{
    struct log *log = context;

    assert_true(done >= log->done);
    log->done = done;
}

static inline struct kgi_visitor visitor(struct log *log)
{
    log->to = open_memstream(&log->at, &log->size);
    return (struct kgi_visitor){.file = log_file,
                                .error = log_error,
                                .note = log_note,
                                .hidden = log_hidden,
                                .progress = log_progress,
                                .context = log};
}

/* What the walk of a path tells. */
static inline void expect_path(const char *path, const char *want)
{
    struct log log = {0};
    struct kgi_visitor v = visitor(&log);

    assert_int_equal(kgi_walk(path, &v), 0);
    fclose(log.to);
    assert_string_equal(log.at, want);
    free(log.at);
}

struct feed {
    struct made made;
    size_t at, step;
};

static inline ssize_t feed_read(void *context, void *to, size_t size)
{
    struct feed *feed = context;
    size_t n = feed->made.size - feed->at;

    n = n < size ? n : size;
    n = n < feed->step ? n : feed->step;
    memcpy(to, feed->made.at + feed->at, n);
    feed->at += n;
    return (ssize_t)n;
}

/* What the walk of bytes that cannot seek tells; pipes give them in pieces. */
static inline void expect_stream(struct made made, const char *want)
{
    struct feed feed = {made, 0, 777};
    struct kgi_stream stream = {.read = feed_read, .context = &feed};
    struct log log = {0};
    struct kgi_visitor v = visitor(&log);

    assert_int_equal(kgi_walk_stream("-", &stream, &v), 0);
    fclose(log.to);
    assert_string_equal(log.at, want);
    free(log.at);
}

/* A folder of the test's own, as the working directory. */
static inline int enter_folder(void **state)
{
    char name[] = "/tmp/kguard-walk-XXXXXX";

    assert_non_null(mkdtemp(name));
    *state = strdup(name);
    return chdir(name);
}

static inline int leave_folder(void **state)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf %s", (char *)*state);
    free(*state);
    while (made_count)
        free(made_memory[--made_count]);
    return chdir("/") || system(command);
}

#endif
