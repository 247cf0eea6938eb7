/*
 * kguard run: a command under the library, as if it had been run alone. The command keeps its
 * standard streams, its terminal and its process group; what happens to kguard happens to it, and
 * the other way round: signals go down, the exit code or the signal that ended it comes back.
 * Afterwards, and only then, kguard says on stderr what was found.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run.h"

/* As env, nohup and the shells have it: a fault of kguard's own, a command that cannot be run,
 * and one that is not there. Everything else is the command's. */
enum { EXIT_OWN = 125, EXIT_NOT_RUN = 126, EXIT_NOT_FOUND = 127 };

/* ---- options --------------------------------------------------------------------------------- */

struct settings {
    const char *library, *target, *log, *format;
    bool jit;
};

static int set_jit(void *context, const char *value)
{
    (void)value;
    ((struct settings *)context)->jit = true;
    return 0;
}

static int set_target(void *context, const char *value)
{
    struct kgi_target target;

    ((struct settings *)context)->target = value;
    return kgi_target_parse(value, &target);
}

int kgi_log_fault(const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX];
    struct stat s;

    if (stat(path, &s) == 0)
        return S_ISDIR(s.st_mode) ? EISDIR : access(path, W_OK) < 0 ? errno : 0;
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1,
             slash ? path : ".");
    return !strchr(folder, '%') && access(folder, W_OK | X_OK) < 0 ? errno : 0;
}

/* What cannot be opened later takes the reports with it, and says nothing. */
static int set_log(void *context, const char *value)
{
    int fault = *value ? kgi_log_fault(value) : EINVAL;

    ((struct settings *)context)->log = value;
    if (fault && *value)
        kgi_complain("run: %s: %s", value, strerror(fault));
    return -fault;
}

static int set_format(void *context, const char *value)
{
    ((struct settings *)context)->format = value;
    return strcmp(value, "text") == 0 || strcmp(value, "json") == 0 ? 0 : -EINVAL;
}

static int set_library(void *context, const char *value)
{
    ((struct settings *)context)->library = value;
    return *value ? 0 : -EINVAL;
}

static const struct kgi_flag flags[] = {
    {0, "jit", NULL, "compile PTX once and keep the result (KGUARD_JIT=auto)", set_jit},
    {'t', "target", "SM", "also say what would happen on this GPU: sm_120, 120 or 12.0",
     set_target},
    {'l', "log", "FILE", "write reports there instead of stderr; %p: process id, %h: host",
     set_log},
    {'f', "format", "text|json", "what to write (default: text)", set_format},
    {0, "library", "FILE", "libkguard.so, when it is not beside kguard or in ../lib", set_library},
};

/* ---- the environment ------------------------------------------------------------------------- */

/* The command may change its directory. */
static void set_path(const char *variable, const char *path)
{
    const char *whole = kgi_whole_path(path);

    setenv(variable, whole ? whole : path, 1);
}

static bool is_switched_off(void)
{
    const char *all = getenv("KGUARD"), *log = getenv("KGUARD_LOG");

    return (all && (!strcmp(all, "0") || !strcmp(all, "off"))) || (log && !strcmp(log, "off"));
}

/* A file that the command's processes append to. The name is taken away again when the command
 * ends; they open it anew each time, and never make it. */
static FILE *open_record(char *path, size_t size)
{
    const char *const folders[] = {getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp"};
    int fd = -1;

    for (size_t i = 0; i < KGI_COUNT(folders) && fd < 0; i++) {
        if (!folders[i] || folders[i][0] != '/')
            continue;
        snprintf(path, size, "%s/kguard-run-XXXXXX", folders[i]);
        fd = mkostemp(path, O_CLOEXEC);
    }
    fd = fd < 0 ? fd : kgi_fd_above_stdio(fd);
    return fd < 0 ? NULL : fdopen(fd, "r");
}

static bool set_environment(const struct settings *s, const char *asan)
{
    char library[PATH_MAX], preload[2 * PATH_MAX + 64];

    if (!kgi_library_find(s->library, library, sizeof library)) {
        kgi_complain("run: no %s here, nor beside kguard; see --library", library);
        return false;
    }
    if (!kgi_preloadable(library)) {
        kgi_complain("run: %s cannot be preloaded: its path has a space, a colon or a $", library);
        return false;
    }
    if (!kgi_preload(getenv("LD_PRELOAD"), library, asan, preload, sizeof preload)) {
        kgi_complain("run: LD_PRELOAD is too long");
        return false;
    }
    setenv("LD_PRELOAD", preload, 1);
    if (s->target)
        setenv("KGUARD_TARGET", s->target, 1);
    if (s->format)
        setenv("KGUARD_LOG_FORMAT", s->format, 1);
    if (s->log)
        set_path("KGUARD_LOG_FILE", s->log);
    if (s->jit)
        setenv("KGUARD_JIT", "auto", 1);
    return true;
}

/* ---- signals --------------------------------------------------------------------------------- */

static const int forwarded[] = {SIGHUP,  SIGINT,  SIGQUIT,  SIGTERM,
                                SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT};
static volatile sig_atomic_t child;

/* What the terminal sends, it sends to the whole foreground process group: the command has it
 * already. But that it is gone it tells the leader of its session alone, which kguard is where it
 * was started in the place of a shell (ssh HOST, the first process of a container). */
static bool command_has_it(int signal_number, const siginfo_t *info)
{
    return info->si_code == SI_KERNEL && !(signal_number == SIGHUP && getsid(0) == getpid());
}

static void forward(int signal_number, siginfo_t *info, void *context)
{
    int saved = errno;

    (void)context;
    if (!command_has_it(signal_number, info) && child > 0)
        kill(child, signal_number);
    errno = saved;
}

/* One that is ignored (nohup) stays ignored, by both. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_sigaction = forward, .sa_flags = SA_SIGINFO | SA_RESTART},
                     before;

    for (size_t i = 0; i < KGI_COUNT(forwarded); i++)
        if (sigaction(forwarded[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(forwarded[i], &action, NULL);
}

static bool is_stopped(void)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)child, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == child;
}

/* A child that job control stops stops us too, so that the shell that waits for us learns of it.
 * Mostly the same signal has stopped us already, and when we get here both go on again: so the
 * signal is first made pending, where SIGCONT takes it away, and taken away here if the child is no
 * longer stopped. One that somebody stops with SIGSTOP does not stop us: nobody would start us
 * again. */
static void follow_stop(int signal_number)
{
    const struct timespec now = {0, 0};
    sigset_t one, before;

    if (signal_number == SIGSTOP)
        return;
    sigemptyset(&one);
    sigaddset(&one, signal_number);
    sigprocmask(SIG_BLOCK, &one, &before);
    raise(signal_number);
    if (!is_stopped())
        sigtimedwait(&one, NULL, &now);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Waits for the child, and for what else falls to us as the first process of a container. */
static int wait_for_child(void)
{
    int status = 0;

    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOWAIT) < 0) {
            if (errno == EINTR)
                continue;
            return 0;
        }
        if (info.si_pid == child && info.si_code == CLD_STOPPED)
            follow_stop(info.si_status);
        if (waitpid(info.si_pid, &status, WUNTRACED | WNOHANG) == child && !WIFSTOPPED(status))
            break;
    }
    child = 0;
    return status;
}

/* Forks with all signals held back, so that none is lost between. */
static pid_t start(char **command, const char *path)
{
    void (*on_child)(int) =
        signal(SIGCHLD, SIG_DFL); /* ignored, it would leave nothing to wait for */
    sigset_t all, before;
    pid_t pid;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    catch_signals();
    pid = fork();
    if (pid == 0) {
        for (size_t i = 0; i < KGI_COUNT(forwarded); i++) {
            struct sigaction action;
            if (sigaction(forwarded[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
                signal(forwarded[i], SIG_DFL);
        }
        signal(SIGCHLD, on_child == SIG_IGN ? SIG_IGN : SIG_DFL);
        sigprocmask(SIG_SETMASK, &before, NULL);
        execvp(path, command); /* a script without "#!" goes to the shell, as in one */
        kgi_complain("run: %s: %s", command[0], strerror(errno));
        _exit(EXIT_NOT_RUN);
    }
    child = pid;
    signal(SIGPIPE, SIG_IGN); /* nobody may read stderr any more; the exit code matters more */
    sigprocmask(SIG_SETMASK, &before, NULL);
    return pid;
}

/* Ends as the command did. The first process of a container cannot be ended by a signal of its
 * own. */
static int end_like(int status)
{
    if (!WIFSIGNALED(status))
        return WEXITSTATUS(status);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* its core is the one of interest */
    fflush(NULL);
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
    return 128 + WTERMSIG(status);
}

/* ---- the command ----------------------------------------------------------------------------- */

static int run_program(char **command, const struct kgi_program *program, FILE *record,
                       const char *record_path)
{
    struct kgi_run run = {.command = command, .unseen = program->unseen};
    const char *format = getenv("KGUARD_LOG_FORMAT");

    if (program->unseen)
        kgi_complain(
            "%s %s: it cannot be observed (programs it starts can); running it all the same",
            program->binary, program->unseen);
    if (is_switched_off())
        kgi_complain("KGUARD=0 or KGUARD_LOG=off is set: nothing will be said");
    if (start(command, program->path) < 0) {
        kgi_complain("run: %s", strerror(errno));
        if (record)
            unlink(record_path);
        return EXIT_OWN;
    }
    run.status = wait_for_child();
    run.json = format && strcmp(format, "json") == 0;
    if (record) {
        unlink(record_path);
        if (!is_switched_off())
            kgi_summary(&run, record, stderr);
    }
    return end_like(run.status);
}

static int run_main(const struct kgi_command *self, int argc, char **argv)
{
    struct settings s = {0};
    struct kgi_program program;
    char record_path[PATH_MAX];
    int exit_code, left = kgi_flags_parse(self, argc, argv, &s, &exit_code), error;
    FILE *record = NULL;

    if (left < 0)
        return exit_code;
    if (left == 0) {
        kgi_complain("run: which command? For example: kguard run -- python3 run.py");
        return KGI_EXIT_USAGE;
    }
    error = kgi_program_find(argv[0], &program);
    if (error) {
        kgi_complain("run: %s: %s", argv[0], strerror(-error));
        return error == -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUN;
    }
    if (!set_environment(&s, program.asan))
        return EXIT_OWN;
    if (!getenv("KGUARD_RECORD")) { /* else this run is part of another's, which tells */
        record = open_record(record_path, sizeof record_path);
        if (record)
            setenv("KGUARD_RECORD", record_path, 1);
        else
            kgi_complain("run: no place for a temporary file: there will be no summary");
    }
    return run_program(argv, &program, record, record_path);
}

const struct kgi_command kgi_run_command = {
    "run",
    "[OPTION...] [--] COMMAND [ARGUMENT...]",
    "Runs a command under libkguard.so, and says at its end what was found.\n"
    "Reports and the summary go to stderr; the command's own output is left as it is.",
    run_main,
    flags,
    KGI_COUNT(flags),
    "Exit code: the command's, or the signal that ended it; 2 wrong use, 125 a fault of kguard's "
    "own,\n"
    "126 the command cannot be run, 127 it is not there. LD_PRELOAD keeps what it held before.\n",
    true,
};
