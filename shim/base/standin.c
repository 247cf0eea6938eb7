/*
 * Hidden definitions of what libunwind.a asks of libc and what the oldest supported glibc (2.17)
 * has only in another library: pthread_rwlock_* (libpthread before 2.34) and dladdr (libdl before
 * 2.34). The linker binds the archive's references to these; nothing is exported, and the program's
 * own are untouched.
 */
#include "base.h"

#include <dlfcn.h>
#include <pthread.h>

/* The lock guards libunwind's list of frame descriptions: a few memory operations. Readers exclude
 * one another too; they are never nested. */
static struct kgi_lock *lock_of(pthread_rwlock_t *lock)
{
    return (struct kgi_lock *)(void *)lock;
}

int pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
    kgi_lock(lock_of(lock));
    return 0;
}

int pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
    kgi_lock(lock_of(lock));
    return 0;
}

int pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
    kgi_unlock(lock_of(lock));
    return 0;
}

/* Only reached through unw_get_proc_name, which nobody here calls: the object is enough. */
int dladdr(const void *address, Dl_info *info)
{
    struct kgi_object object;

    if (!kgi_object_at(address, &object))
        return 0;
    *info = (Dl_info){.dli_fname = object.name, .dli_fbase = (void *)object.base};
    return 1;
}

#ifdef __aarch64__
/* Debian compiles the archives with a stack protector. Here its word is a variable, which glibc
 * keeps in ld-linux-aarch64.so.1: a second library to need, and one that musl systems do not have.
 * A word with NUL, newline and 0xff stops the string functions that overruns come from. */
extern uintptr_t __stack_chk_guard;
uintptr_t __stack_chk_guard = 0xff0a0d00cab1e500;
#endif
