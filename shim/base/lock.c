/*
 * A lock whose word is the holder's process id, so that a child forked while another thread of the
 * parent held it sees that the holder is not in this process, and takes it. What it protects must
 * therefore be readable at any point of a change (kgi_map is; lists are linked by their last
 * store).
 *
 * No futex: the lock is held for some memory operations, and a waiter that sleeps 50 us and looks
 * again needs no word from the holder, who may never have existed here.
 */
#include "base.h"

#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPINS 200

__thread uintptr_t kgi_thread_word;

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* The raw call: nanosleep() of libc is a cancellation point. */
void kgi_nap(void)
{
    struct timespec little = {0, 50000};
    int saved = errno;

    syscall(SYS_nanosleep, &little, NULL);
    errno = saved;
}

void kgi_lock(struct kgi_lock *lock)
{
    uint32_t self = (uint32_t)getpid();

    for (unsigned turn = 0;; turn++) {
        uint32_t owner = atomic_load_explicit(&lock->owner, memory_order_relaxed);

        if (owner != self && atomic_compare_exchange_weak_explicit(
                                 &lock->owner, &owner, self, memory_order_acquire,
                                 memory_order_relaxed))
            return;
        if (turn < SPINS)
            relax();
        else
            kgi_nap();
    }
}

void kgi_unlock(struct kgi_lock *lock)
{
    atomic_store_explicit(&lock->owner, 0, memory_order_release);
}

int kgi_thread_id(void)
{
    return (int)syscall(SYS_gettid);
}
