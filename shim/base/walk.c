/*
 * Walks of the loader's list of objects, beside which a program may fork.
 *
 * dl_iterate_phdr holds dl_load_write_lock, which glibc does not renew in a forked child (it does
 * dl_load_lock; seen with 2.31, 2.36 and 2.41). A child forked during another thread's walk could
 * never walk, load a library or, with older libgcc, unwind again. A program that forks has no part
 * in our walks: so a fork waits for their end, and a walk that would begin meanwhile waits for the
 * fork's. Neither waits for ever: a handler of somebody else's, which runs in the fork, may wait
 * for the thread that waits here.
 *
 * The linker gives all calls of dl_iterate_phdr in the library to this one (--wrap), libunwind's
 * too.
 */
#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef int callback(struct dl_phdr_info *, size_t, void *);

int __real_dl_iterate_phdr(callback *each, void *context);
int __wrap_dl_iterate_phdr(callback *each, void *context);
extern int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *)
    __attribute__((weak)); /* musl, where nothing is done, has none */

/* How many of both are under way: pid << 40 | forks << 20 | walks. Another process's count for
 * nothing: a child made by a bare system call runs no handler. */
#define PID 40
#define FORK ((uint64_t)1 << 20)
#define FORKS ((uint64_t)0xfffff << 20)
#define WALK ((uint64_t)1)
#define WALKS ((uint64_t)0xfffff)
#define MOST_NAPS 10000 /* about a second */

static _Atomic uint64_t under_way;
static _Atomic int forking; /* the thread that forks, the last of them */

static uint64_t own(uint64_t word, uint64_t pid)
{
    return word >> PID == pid ? word : pid << PID;
}

/* Counts one more (or, with 0, none) when there are none of the others. Those that are waited for
 * too long count no more, for nobody. */
static void begin(uint64_t one, uint64_t others)
{
    uint64_t pid = (uint64_t)getpid(), word = atomic_load(&under_way), now;
    unsigned naps = 0;

    for (;;) {
        now = own(word, pid);
        if (!(now & others) || atomic_load(&forking) == kgi_thread_id())
            now += one;
        else if (naps == MOST_NAPS)
            now = (now & ~others) + one;
        else {
            naps++;
            kgi_nap();
            word = atomic_load(&under_way);
            continue;
        }
        if (atomic_compare_exchange_weak(&under_way, &word, now))
            return;
    }
}

static void end(uint64_t one, uint64_t all)
{
    uint64_t pid = (uint64_t)getpid(), word = atomic_load(&under_way);

    while (own(word, pid) & all && !atomic_compare_exchange_weak(&under_way, &word, word - one))
        ;
}

static void before_fork(void)
{
    begin(FORK, 0);
    begin(0, WALKS);
    atomic_store(&forking, kgi_thread_id()); /* its handlers may use CUDA */
}

static void after_fork(void)
{
    atomic_store(&forking, 0);
    end(FORK, FORKS);
}

static void in_child(void)
{
    atomic_store(&forking, 0);
    atomic_store(&under_way, 0);
}

/* What a thread does to itself can still be caught. The others: a handler may fork, or never
 * return. */
#define BIT(s) ((uint64_t)1 << ((s)-1))
#define HELD                                                                                       \
    (~(BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGILL) | BIT(SIGTRAP) | BIT(SIGSYS)))

struct guarded {
    callback *each;
    void *context;
    uintptr_t word;
    int result;
};

/* libunwind calls abort() in the midst of a walk for a table it does not understand, and abort()
 * leaves for where the stack walk began (report/stack.c): not past the lock that is held here. */
static int __attribute__((noinline)) guard(struct dl_phdr_info *info, size_t size, void *context)
{
    struct guarded *g = context;
    void *back[5];

    g->word = kgi_thread_word;
    g->result = 0;
    if (__builtin_setjmp(back) == 0) {
        kgi_thread_word = (uintptr_t)back;
        g->result = g->each(info, size, g->context);
    }
    kgi_thread_word = g->word;
    return g->result;
}

/* Whether another thread could fork; where nobody says, no. Only then is anything registered: a child that
 * comes to CUDA first in a handler of its own fork has one thread, and glibc 2.28 to 2.35 hold the lock
 * there that registering takes. */
static bool has_threads(void)
{
    struct stat tasks;

    return syscall(SYS_newfstatat, AT_FDCWD, "/proc/self/task", &tasks, 0) == 0 &&
           tasks.st_nlink != 3;
}

int __wrap_dl_iterate_phdr(callback *each, void *context)
{
    struct guarded g = {each, context, 0, 0};
    bool stack = kgi_thread_word > KGI_THREAD_WORD_DOORS;
    static _Atomic bool known;
    uint64_t held = HELD, before;
    int saved = errno, result;
    bool holds;

    /* Two threads may both register: then all is counted twice. */
    if (!atomic_load(&known) && has_threads())
        atomic_store(&known, !__register_atfork ||
                                 __register_atfork(before_fork, after_fork, in_child, NULL) == 0);
    holds = syscall(SYS_rt_sigprocmask, SIG_BLOCK, &held, &before, sizeof held) == 0;
    begin(WALK, FORKS);
    result = stack ? __real_dl_iterate_phdr(guard, &g) : __real_dl_iterate_phdr(each, context);
    end(WALK, WALKS);
    if (holds)
        syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
    errno = saved;
    return result;
}
