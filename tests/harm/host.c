/*
 * A program for the rules of harmlessness: it uses CUDA, fails, and looks at itself meanwhile. Run
 * over the fake driver, with libkguard.so preloaded and without, in the surroundings that rules.sh
 * and system.sh make.
 *
 *   host WHAT [argument]
 *
 * What it prints is the same with the library and without; the exit code is 0 when it found nothing
 * wrong. The fake GPU is a 12.0.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fenv.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "../scenarios/direct.h"

extern char **environ;

static CUcontext context;
static int wrong;

#define WRONG(...) (wrong = 1, printf(__VA_ARGS__), putchar('\n'))

static void start_here(void)
{
    start_direct();
    if (cuCtxGetCurrent(&context))
        WRONG("no context");
}

/* One image that fits, used; one that does not. */
static void use(void)
{
    CUmodule module = NULL;
    CUfunction function = NULL;
    void *parameters[1] = {NULL};
    int result = cuModuleLoadData(&module, fatbin_120);
    if (result == 0)
        result = cuModuleGetFunction(&function, module, KERNEL);
    if (result == 0)
        result = cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL);
    if (result)
        WRONG("what fits: %d", result);
    cuModuleUnload(module);
    result = cuModuleLoadData(&module, fatbin_60_90);
    if (result != 209)
        WRONG("what lacks code: %d", result);
}

static void *use_in_thread(void *unused)
{
    cuCtxSetCurrent(context);
    use();
    return unused;
}

/* ---- H6, H17, H22: threads with the smallest stacks that programs give them
 * ------------------------- */

static void stacks(void)
{
    pthread_attr_t small;
    pthread_t threads[16];
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 << 10);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 16; i++)
            if (pthread_create(&threads[i], &small, use_in_thread, NULL))
                WRONG("pthread_create");
        for (int i = 0; i < 16; i++)
            pthread_join(threads[i], NULL);
    }
}

/* ---- H7, H9, H10: nothing of the process is changed by a hook
 * ---------------------------------------- */

static int count_in(const char *directory)
{
    int count = 0;
    DIR *d = opendir(directory);
    while (d && readdir(d))
        count++;
    if (d)
        closedir(d);
    return count;
}

struct state {
    char directory[4096];
    sigset_t mask;
    void (*handlers[3])(int);
    char **environment;
    char *first;
    mode_t umask;
    int rounding, files, tasks;
};

static void look(struct state *s)
{
    memset(s, 0, sizeof *s);
    if (!getcwd(s->directory, sizeof s->directory))
        WRONG("getcwd");
    pthread_sigmask(SIG_SETMASK, NULL, &s->mask);
    for (int i = 0; i < 3; i++) {
        static const int signals[] = {SIGPIPE, SIGXFSZ, SIGABRT};
        struct sigaction action;
        sigaction(signals[i], NULL, &action);
        s->handlers[i] = action.sa_handler;
    }
    s->environment = environ;
    s->first = environ[0];
    umask(s->umask = umask(0));
    s->rounding = fegetround();
    s->files = count_in("/proc/self/fd");
    s->tasks = count_in("/proc/self/task");
}

static void properties(void)
{
    struct state before, after;
    CUmodule module;
    sigset_t some;
    sigemptyset(&some);
    sigaddset(&some, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &some, NULL);
    signal(SIGPIPE, SIG_IGN);
    fesetround(FE_UPWARD);
    umask(027);
    for (int i = 0; i < 4; i++) {
        bool fits = i & 1;
        const char *error;
        look(&before);
        dlsym(RTLD_DEFAULT, "no_such_name"); /* an error that is the program's to read */
        errno = 4711;
        int result = cuModuleLoadData(&module, fits ? fatbin_120 : fatbin_60_90);
        int number = errno;
        error = dlerror();
        look(&after);
        if (result != (fits ? 0 : 209))
            WRONG("result %d", result);
        if (number != 4711)
            WRONG("errno %d", number);
        if (!error || !strstr(error, "no_such_name"))
            WRONG("dlerror %s", error ? error : "NULL");
        if (memcmp(&before, &after, sizeof before))
            WRONG("the process is another: %d and %d files, %d and %d tasks, round %d",
                  before.files, after.files, before.tasks, after.tasks, i);
        fesetround(FE_UPWARD);
    }
}

/* ---- H8: children of all kinds, while other threads are at work
 * -------------------------------------- */

/* A child that uses CUDA anew is one whose parent had no other threads then: with some, the
 * loader's own lock may be held for ever in the child, and drivers refuse. */
static _Atomic bool over;

static void *work_on(void *unused)
{
    cuCtxSetCurrent(context);
    while (!over)
        use();
    return unused;
}

static int in_clone(void *unused)
{
    (void)unused;
    _exit(7);
}

static void storm(void)
{
    static char stack[65536] __attribute__((aligned(16)));
    char *argv[] = {"/bin/true", NULL};
    pthread_t threads[4];
    int status;
    for (int i = 0; i < 20; i++) {
        CUmodule module;
        pid_t child = fork();
        if (child == 0)
            _exit(cuModuleLoadData(&module, fatbin_60_90) == 209 ? 7 : 8);
        if (waitpid(child, &status, 0) != child || status != 7 << 8)
            WRONG("child that fails: status %x", status);
        use();
    }
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, work_on, NULL);
    for (int i = 0; i < 200; i++) {
        pid_t child = -1;
        int expected = 0;
        switch (i % 5) {
        case 0:
        case 1:
            if ((child = fork()) == 0)
                _exit(i % 5 ? 7 : 7 + (getenv("LD_LIBRARY_PATH") == NULL));
            expected = 7 << 8;
            break;
        case 2:
            if ((child = vfork()) == 0) {
                execv(argv[0], argv);
                _exit(127);
            }
            break;
        case 3:
            if (posix_spawn(&child, argv[0], NULL, NULL, argv, environ))
                WRONG("posix_spawn");
            break;
        case 4:
            child = clone(in_clone, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
            expected = 7 << 8;
            break;
        }
        if (waitpid(child, &status, 0) != child || status != expected)
            WRONG("child %d: status %x, not %x", i, status, expected);
    }
    over = true;
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

/* ---- H8: children that ask the loader, while a thread of their parent's does
 * -------------------------------------------------------------------------------- */

/* glibc gives a forked child a lock of dl_iterate_phdr that whoever held it holds for ever. So here a
 * walk of the library's is as long as it takes for a fork to meet it; without the library there is none. */
typedef int walk_callback(struct dl_phdr_info *, size_t, void *);
struct walk {
    walk_callback *each;
    void *context;
};
static _Thread_local void (*in_walk)(void); /* of this thread: done in its next walk */
static _Atomic bool walking, forking, used;

static void rest(int milliseconds)
{
    usleep(milliseconds * 1000);
}

static int slowly(struct dl_phdr_info *info, size_t size, void *context)
{
    struct walk *walk = context;
    void (*action)(void) = in_walk;
    in_walk = NULL;
    if (action)
        action();
    return walk->each(info, size, walk->context);
}

static int (*real_walk)(walk_callback *, void *);

__attribute__((constructor)) static void find_real_walk(void)
{
    real_walk = (int (*)(walk_callback *, void *))dlsym(RTLD_NEXT, "dl_iterate_phdr");
}

int dl_iterate_phdr(walk_callback *each, void *context)
{
    struct walk walk = {each, context};
    return real_walk(slowly, &walk);
}

static int any_object(struct dl_phdr_info *info, size_t size, void *context)
{
    return 1;
}

/* A child that asks the loader; what hangs is ended by its alarm. */
static void fork_and_ask(void)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        alarm(3);
        _exit(dl_iterate_phdr(any_object, NULL) == 1 && dlopen("libm.so.6", RTLD_NOW) ? 7 : 8);
    }
    if (waitpid(child, &status, 0) != child || status != 7 << 8)
        WRONG("a child that asks the loader: status %x", status);
}

static void be_long(void)
{
    walking = true;
    rest(300);
}

static void interrupt(void)
{
    raise(SIGUSR1);
}

static void on_signal(int number)
{
    fork_and_ask();
}

static void *use_slowly(void *action)
{
    cuCtxSetCurrent(context);
    in_walk = (void (*)(void))action;
    use();
    used = true;
    return NULL;
}

static void *use_while_forking(void *action)
{
    while (!forking)
        rest(1);
    return use_slowly(action);
}

static enum { NOTHING, LET_WALK, LET_USE, USE } when_forking;

static void before_fork(void)
{
    forking = true;
    if (when_forking == LET_WALK)
        rest(100);
    while (when_forking == LET_USE && !used)
        rest(1);
    if (when_forking == USE)
        use();
}

static void after_fork(void)
{
    if (when_forking == USE)
        use();
}

/* One fork while a thread does WHAT, begun before the fork or in it. */
static void one_fork(void *(*what)(void *), void (*action)(void))
{
    pthread_t thread;
    walking = forking = used = false;
    pthread_create(&thread, NULL, what, (void *)action);
    for (int i = 0; what == use_slowly && !walking && !used && i < 10000; i++)
        rest(1);
    fork_and_ask();
    pthread_join(thread, NULL);
}

static void walks(void)
{
    struct timespec start, end;
    use();
    one_fork(use_slowly, be_long);
    when_forking = LET_WALK;
    one_fork(use_while_forking, be_long);
    /* Whoever forks waits for a thread that waits for the fork: not for ever. */
    when_forking = LET_USE;
    one_fork(use_while_forking, NULL);
    /* Handlers of a fork may use CUDA, and need not wait for themselves. */
    when_forking = USE;
    clock_gettime(CLOCK_MONOTONIC, &start);
    fork_and_ask();
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (end.tv_sec * 1000 + end.tv_nsec / 1000000 - start.tv_sec * 1000 - start.tv_nsec / 1000000 > 400)
        WRONG("a fork whose handlers use CUDA takes too long");
    when_forking = NOTHING;
    /* The thread itself forks, in a signal handler. */
    signal(SIGUSR1, on_signal);
    one_fork(use_slowly, interrupt);
    in_walk = NULL;
}

static void begin_in_child(void)
{
    alarm(10);
    start_here();
    use();
}

static void *wait_for_end(void *unused)
{
    while (!over)
        rest(10);
    return unused;
}

/* A program with threads whose children come to CUDA first, each in a handler of its fork. */
static void first_in_child(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, wait_for_end, NULL);
    pthread_atfork(NULL, NULL, begin_in_child);
    fork_and_ask();
    over = true;
    pthread_join(thread, NULL);
}

/* ---- H14, H22: what the kernel refuses
 * ------------------------------------------------------------------ */

#define ALLOW(number)                                                                              \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define ANSWER(number, error)                                                                      \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),                                             \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error)

static void filter(const struct sock_filter *rules, size_t count)
{
    struct sock_filter program[200];
    struct sock_fprog f = {(unsigned short)count, program};
    memcpy(program, rules, count * sizeof *rules);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &f))
        WRONG("seccomp: %s", strerror(errno));
}
#define FILTER(...)                                                                                \
    do {                                                                                           \
        const struct sock_filter rules_[] = {                                                      \
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)), __VA_ARGS__};   \
        filter(rules_, sizeof rules_ / sizeof *rules_);                                            \
    } while (0)
#define KILL BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

#ifdef __x86_64__
/* What the loader and libc need to start /bin/true and end it, and no more: any other call ends it.
 */
static void inherited(const char *program)
{
    FILTER(ALLOW(SYS_execve), ALLOW(SYS_brk), ALLOW(SYS_mmap), ALLOW(SYS_access), ALLOW(SYS_openat),
           ALLOW(SYS_newfstatat), ALLOW(SYS_stat), ALLOW(SYS_fstat), ALLOW(SYS_close),
           ALLOW(SYS_read), ALLOW(SYS_pread64), ALLOW(SYS_arch_prctl), ALLOW(SYS_set_tid_address),
           ALLOW(SYS_set_robust_list), ALLOW(334 /* rseq */), ALLOW(SYS_mprotect),
           ALLOW(SYS_prlimit64), ALLOW(SYS_munmap), ALLOW(SYS_getrandom), ALLOW(SYS_exit_group),
           KILL);
    execl(program, program, (char *)NULL);
    WRONG("%s", strerror(errno));
}

/* CUDA in a sandbox that allows files to be read and memory to be had: anything else ends it. */
static void sandboxed(void)
{
    FILTER(ALLOW(SYS_brk), ALLOW(SYS_mmap), ALLOW(SYS_munmap), ALLOW(SYS_mprotect),
           ALLOW(SYS_madvise), ALLOW(SYS_openat), ALLOW(SYS_open), ALLOW(SYS_close),
           ALLOW(SYS_read), ALLOW(SYS_pread64), ALLOW(SYS_newfstatat), ALLOW(SYS_fstat),
           ALLOW(SYS_lseek), ALLOW(SYS_access), ALLOW(SYS_readlink), ALLOW(SYS_readlinkat),
           ALLOW(SYS_lstat), ALLOW(SYS_stat), ALLOW(SYS_write), ALLOW(SYS_writev), ALLOW(SYS_fcntl),
           ALLOW(SYS_rt_sigprocmask), ALLOW(SYS_rt_sigpending), ALLOW(SYS_rt_sigtimedwait),
           ALLOW(SYS_futex), ALLOW(SYS_getpid), ALLOW(SYS_gettid), ALLOW(SYS_clock_gettime),
           ALLOW(SYS_uname), ALLOW(SYS_process_vm_readv /* the fake driver's */),
           ALLOW(SYS_getdents64), ALLOW(SYS_sched_yield), ALLOW(SYS_exit_group), KILL);
    use();
}

/* Every question is refused: only what is said can still be written. */
static void refused(void)
{
    FILTER(ALLOW(SYS_brk), ALLOW(SYS_write), ALLOW(SYS_writev), ALLOW(SYS_futex),
           ALLOW(SYS_exit_group), ALLOW(SYS_munmap), ALLOW(SYS_mmap), ALLOW(SYS_process_vm_readv),
           ALLOW(SYS_getpid), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
    use();
}
#endif

static void no_room(void)
{
    struct rlimit limit = {0};
    FILE *f = fopen("/proc/self/statm", "r");
    long pages = 0;
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    free(malloc(16 << 20)); /* the driver's and stdio's own; it stays */
    if (!f || fscanf(f, "%ld", &pages) != 1)
        WRONG("statm");
    fclose(f);
    limit.rlim_cur = limit.rlim_max = (rlim_t)pages * 4096;
    setrlimit(RLIMIT_AS, &limit);
    for (int i = 0; i < 50; i++)
        use();
}

static void few_files(void)
{
    for (int i = 3; i < 64; i++)
        close(i);
    for (int most = 6; most >= 0; most--) {
        struct rlimit limit = {most, most};
        setrlimit(RLIMIT_NOFILE, &limit);
        use();
        int file = open("/dev/null", O_RDONLY);
        if ((most > 3) != (file == 3))
            WRONG("with %d files the next one is %d", most, file);
        close(file);
    }
}

/* A daemon: what it opens after it has closed everything is its own. */
static void daemon_files(void)
{
    char byte[64] = "";
    use();
    for (int i = 3; i < 64; i++)
        close(i);
    int file = open("data", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file != 3)
        WRONG("its file is %d", file);
    use();
    if (pread(file, byte, sizeof byte, 0) != 0)
        WRONG("in its file: %s", byte);
    unlink("data");
}

/* ---- H16: out of reach
 * ---------------------------------------------------------------------------------- */

static void other_namespace(const char *plugin)
{
    void *library = dlmopen(LM_ID_NEWLM, plugin, RTLD_NOW | RTLD_LOCAL);
    int (*run)(void) = library ? (int (*)(void))dlsym(library, "plugin_run") : NULL;
    if (!run)
        WRONG("%s", dlerror());
    else
        printf("%d\n", run());
    fflush(stdout);
}

/* ---- H6: the room for thread-local memory of libraries that come late
 * ----------------------------------- */

static void late(const char *argument)
{
    char *list = strdup(argument), *library = strchr(list, ':');
    *library++ = 0;
    if (!dlopen(list, RTLD_NOW)) /* takes most of the room there is */
        WRONG("%s", dlerror());
    for (int i = 0; i < 20; i++) {
        void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
        if (!handle) {
            WRONG("%s", dlerror());
            break;
        }
        dlclose(handle);
    }
}

/* ---- H17: ends
 * ------------------------------------------------------------------------------------------- */

static void *leave(void *unused)
{
    cuCtxSetCurrent(context);
    for (int i = 0; i < 20; i++)
        use();
    exit(0);
    return unused;
}

static void eight_exits(void)
{
    pthread_t thread;
    for (int i = 0; i < 8; i++)
        pthread_create(&thread, NULL, leave, NULL);
    pause();
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "", *argument = argc > 2 ? argv[2] : "";
#define IS(name) (strcmp(what, name) == 0)
#ifdef __x86_64__
    if (IS("inherited"))
        inherited(argument);
#endif
    alarm(60); /* who hangs has failed */
    if (IS("late"))
        late(argument);
    if (IS("dlmopen"))
        other_namespace(argument);
    if (IS("walks")) /* first, so that in a fork they come after the library's */
        pthread_atfork(before_fork, after_fork, after_fork);
    if (IS("first_in_child"))
        first_in_child();
    if (!IS("late") && !IS("dlmopen") && !IS("first_in_child")) {
        errno = 4711;
        start_here();
        if (IS("properties") && errno != 4711) /* under others' allocators it is theirs */
            WRONG("errno %d of the start", errno);
    }
    if (IS("use"))
        use();
    if (IS("stacks"))
        stacks();
    if (IS("properties"))
        properties();
    if (IS("storm"))
        storm();
    if (IS("walks"))
        walks();
    if (IS("no_room"))
        no_room();
    if (IS("few_files"))
        few_files();
    if (IS("daemon"))
        daemon_files();
    if (IS("exits"))
        eight_exits();
#ifdef __x86_64__
    if (IS("sandboxed"))
        sandboxed();
    if (IS("refused"))
        refused();
#endif
    printf("%s: %s\n", what, wrong ? "wrong" : "as it should be");
    fflush(stdout);
    return wrong;
}
