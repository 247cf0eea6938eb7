/*
 * The only place that writes output.
 *
 * A write of ours must be harmless wherever standard error leads: into a pipe nobody reads any more
 * (SIGPIPE would end the program), into a file at its size limit (SIGXFSZ), into nothing. Both
 * signals are held back while we write, and what our own write raised is taken out again; one that
 * the program had pending stays. Raw system calls throughout: libc's write() is a cancellation
 * point, and its pthread_sigmask() is new in glibc 2.32.
 */
#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(signal) ((uint64_t)1 << ((signal) - 1))
#define HELD (BIT(SIGPIPE) | BIT(SIGXFSZ))
#define RETRIES 16

void kgi_signals_hold(struct kgi_signals *before)
{
    uint64_t both = HELD;

    *before = (struct kgi_signals){0, HELD};
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, &both, &before->mask, sizeof both);
    syscall(SYS_rt_sigpending, &before->pending, sizeof before->pending);
}

void kgi_signals_release(const struct kgi_signals *before)
{
    struct timespec now = {0, 0};
    uint64_t pending = 0, ours;

    syscall(SYS_rt_sigpending, &pending, sizeof pending);
    ours = pending & HELD & ~before->pending;
    if (ours)
        syscall(SYS_rt_sigtimedwait, &ours, NULL, &now, sizeof ours);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before->mask, NULL, sizeof before->mask);
}

/* Writes the template's path with %p and %h filled in; false when it does not fit. */
static bool expand(const char *template, struct kgi_text *path)
{
    char host[65] = "";

    for (const char *s = template; *s; s++) {
        if (*s != '%' || !strchr("ph%", s[1]) || !s[1]) {
            kgi_text_add(path, "%c", *s);
            continue;
        }
        s++;
        if (*s == '%')
            kgi_text_add(path, "%%");
        else if (*s == 'p')
            kgi_text_add(path, "%d", (int)getpid());
        else if (gethostname(host, sizeof host - 1) == 0)
            kgi_text_add(path, "%s", strchr(host, '/') ? "host" : host);
    }
    return !path->cut;
}

static int open_log(const char *template)
{
    KGI_TEXT(path, 1024);

    /* O_NONBLOCK: a FIFO without a reader is an error, not a wait. */
    if (!expand(template, &path))
        return -1;
    return kgi_open(path.at, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK);
}

/* Closes fd, unless it is standard error. */
static void write_to(int fd, const char *text, size_t length)
{
    for (int i = 0; fd >= 0 && i < RETRIES; i++)
        if (syscall(SYS_write, fd, text, length) >= 0 || errno != EINTR)
            break;
    if (fd > STDERR_FILENO)
        kgi_close(fd);
}

void kgi_log_write(const char *text, size_t length)
{
    const char *file = kgi_options()->log_file;
    int saved = errno;
    struct kgi_signals before;

    kgi_signals_hold(&before);
    write_to(file[0] ? open_log(file) : STDERR_FILENO, text, length);
    kgi_signals_release(&before);
    errno = saved;
}

void kgi_log_record(const char *text, size_t length)
{
    int saved = errno;
    struct kgi_signals before;

    kgi_signals_hold(&before);
    write_to(kgi_open(kgi_options()->record, O_WRONLY | O_APPEND | O_NONBLOCK), text, length);
    kgi_signals_release(&before);
    errno = saved;
}

bool kgi_log_enabled(enum kgi_level level)
{
    const struct kgi_options *o = kgi_options();

    return !o->off && level != KGI_OFF && level <= o->log;
}

void kgi_log(enum kgi_level level, const char *format, ...)
{
    char message[896];
    va_list arguments;
    int saved = errno;
    KGI_TEXT(line, 1024);

    if (!kgi_log_enabled(level) || kgi_options()->json)
        return;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    kgi_prefix(&line);
    kgi_text_add_safe(&line, message);
    if (line.length == line.size - 1)
        line.length--; /* room for the end of the line */
    line.at[line.length++] = '\n';
    kgi_log_write(line.at, line.length);
    errno = saved;
}
