/*
 * The public API's files and verdicts (include/kguard.h): the same engine and the same judge as the
 * scan command's.
 */
#include <errno.h>
#include <fcntl.h>
#include <kguard.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../report/report.h"
#include "cli.h"

struct kg_file {
    struct kgi_file file;
    char package[192]; /* "" = not known */
};

_Static_assert(KG_NATIVE == (int)KGI_NATIVE && KG_FAMILY == (int)KGI_FAMILY &&
                   KG_JIT == (int)KGI_JIT && KG_LINK == (int)KGI_LINK && KG_NONE == (int)KGI_NONE &&
                   KG_NO_CUDA == (int)KGI_NO_CUDA,
               "the header's numbers are the rules'");

/* ---- reading ------------------------------------------------------------------------------------
 */

static ssize_t read_fd(void *context, void *to, size_t size)
{
    ssize_t n;

    do
        n = read(*(int *)context, to, size);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* Not past the end, which lseek would do. */
static int skip_fd(void *context, uint64_t size)
{
    int fd = *(int *)context;
    off_t at = lseek(fd, 0, SEEK_CUR);
    struct stat s;

    if (at < 0 || fstat(fd, &s) < 0 || at > s.st_size || size > (uint64_t)(s.st_size - at))
        return -EINVAL;
    return lseek(fd, (off_t)size, SEEK_CUR) < 0 ? -errno : 0;
}

static int open_file(const char *path)
{
    struct stat s;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return -errno;
    if (fstat(fd, &s) == 0 && S_ISREG(s.st_mode))
        return fd;
    close(fd);
    return S_ISDIR(s.st_mode) ? -EISDIR : -EINVAL;
}

int kg_scan(const char *path, kg_file **out)
{
    int fd = open_file(path), error;
    struct kgi_stream stream = {.read = read_fd, .context = &fd, .skip = skip_fd};
    char *full;

    *out = NULL;
    if (fd < 0)
        return fd;
    *out = calloc(1, sizeof **out);
    full = realpath(path, NULL);
    error = *out ? kgi_scan_stream(full ? full : path, (struct kgi_bytes){NULL, 0}, &stream, false,
                                   &(*out)->file)
                 : -ENOMEM;
    close(fd);
    if (error < 0) {
        free(*out);
        *out = NULL;
    } else if (!full || !kgi_package_of(full, (*out)->package, sizeof(*out)->package)) {
        (*out)->package[0] = 0;
    }
    free(full);
    return error;
}

void kg_free(kg_file *file)
{
    if (file)
        kgi_file_free(&file->file);
    free(file);
}

size_t kg_images(const kg_file *file)
{
    return file->file.found_count;
}

const char *kg_damage(const kg_file *file)
{
    return file->file.error;
}

static size_t put(const char *text, char *out, size_t size)
{
    return (size_t)snprintf(out, size, "%s", text);
}

size_t kg_holds(const kg_file *file, char *out, size_t size)
{
    const struct kgi_file *f = &file->file;
    struct kgi_code *codes;
    size_t count = 0, n = 0;
    KGI_TEXT(text, 4096);

    for (size_t i = 0; i < f->found_count; i++)
        count += f->found[i].count;
    codes = calloc(count + 1, sizeof *codes);
    for (size_t i = 0; codes && i < f->found_count; i++)
        for (size_t k = 0; k < f->found[i].count; k++)
            codes[n++] = f->found[i].codes[k];
    kgi_report_holds(codes, n, &text);
    free(codes);
    return put(text.at, out, size);
}

/* ---- judging ------------------------------------------------------------------------------------
 */

static bool host_of(const char *target, const char *driver, struct kgi_host *host)
{
    *host = (struct kgi_host){.driver = 0};
    if (driver && kgi_driver_parse(driver, &host->driver) < 0)
        return false;
    return target && kgi_target_parse(target, &host->gpu) == 0;
}

int kg_verdict(const kg_file *file, const char *target, const char *driver, int *reason)
{
    struct kgi_file_verdict v;
    struct kgi_host host;

    if (!host_of(target, driver, &host))
        return -EINVAL;
    kgi_file_judge(&file->file, &host, &v);
    if (reason)
        *reason = v.verdict.reason;
    return (int)v.verdict.answer;
}

size_t kg_advice(const kg_file *file, const char *target, const char *driver, char *out,
                 size_t size)
{
    const struct kgi_installed installed = {
        .package = file->package[0] ? file->package : NULL};
    struct kgi_file_verdict v;
    struct kgi_host host;
    char line[256] = "";

    if (host_of(target, driver, &host)) {
        kgi_file_judge(&file->file, &host, &v);
        if (v.found < file->file.found_count)
            kgi_advice(file->file.path, &installed, file->file.found[v.found].codes,
                       file->file.found[v.found].count, &host, &v.verdict, line, sizeof line);
    }
    return put(line, out, size);
}

/* ---- words --------------------------------------------------------------------------------------
 */

const char *kg_answer_name(int answer)
{
    return answer >= KG_NATIVE && answer <= KG_NO_CUDA ? kgi_answer_names[answer] : NULL;
}

const char *kg_reason_title(int reason)
{
    return *kgi_reason_text(reason) ? kgi_reason_title(reason) : "";
}

const char *kg_reason_text(int reason)
{
    return kgi_reason_text(reason);
}
