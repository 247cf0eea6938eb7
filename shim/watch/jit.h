/*
 * The parts of KGUARD_JIT: what the doors call is in watch.h; here is what jit.c, which keeps the
 * libraries, shares with jit_part.c, which gets an image its code, with jit_kernel.c, where kernels
 * get theirs one by one, with jit_module.c, which answers for the modules those are in, with
 * jit_tell.c, which says so, and with jit_old.c, where CUDA 11 registers.
 */
#ifndef KGI_WATCH_JIT_H
#define KGI_WATCH_JIT_H

#include "../jit/jit.h"
#include "watch.h"

/* ---- jit_tell.c
 * ------------------------------------------------------------------------------------- */

/* Whose image: the library's file, or who built it; and the kernel that is compiled alone, or NULL. */
struct kgi_whose {
    const char *library, *built_by, *kernel;
};

extern struct kgi_jit_counts {
    int pid; /* whose they are: not a forked child's */
    _Atomic uint32_t hits, registered, compiled, failed, refused;
    _Atomic uint64_t spent_ms, saved_ms;
} kgi_jit_counts;

/* Before the wait. by: who compiles. */
void kgi_tell_compile(const struct kgi_whose *w, const struct kgi_source *s,
                      const struct kgi_host *host, int ordinal, const char *by);
/* Around it: a sign of life on a terminal. ms: what it took. */
long kgi_tell_waiting(const struct kgi_source *s);
void kgi_tell_waited(long child, uint32_t ms);
void kgi_tell_compiled(const struct kgi_whose *w, const struct kgi_compiled *c, int stored,
                       const struct kgi_host *host, int ordinal);
/* known: not tried, since it failed not long ago. */
void kgi_tell_failed(const struct kgi_whose *w, const struct kgi_compiled *c, bool known,
                     const struct kgi_host *host, int ordinal);
struct kgi_part;
void kgi_tell_hit(const struct kgi_whose *w, const struct kgi_part *p, const struct kgi_host *host);
void kgi_tell_refused(const struct kgi_whose *w, int result, const struct kgi_host *host);
void kgi_tell_note(const struct kgi_whose *w, const char *words);

/* ---- jit_part.c
 * ------------------------------------------------------------------------------------- */

/* The driver, from its own table: none of this must pass our doors. */
extern struct kgi_jit_driver {
    CUresult (*ModuleLoadDataEx)(CUmodule *, const void *, unsigned, CUjit_option *, void **);
    CUresult (*LibraryLoadData)(CUlibrary *, const void *, CUjit_option *, void **, unsigned,
                                CUlibraryOption *, void **, unsigned);
    CUresult (*LibraryUnload)(CUlibrary);
    CUresult (*LibraryGetModule)(CUmodule *, CUlibrary);
    CUresult (*CtxGetDevice)(CUdevice *);
    CUresult (*CtxGetCurrent)(CUcontext *);
    CUresult (*PrimaryGetState)(CUdevice, unsigned *, int *);
    CUresult (*PrimaryRetain)(CUcontext *, CUdevice);
    CUresult (*PrimaryRelease)(CUdevice);
    CUresult (*CtxPush)(CUcontext);
    CUresult (*CtxPop)(CUcontext *);
} kgi_jit_driver;

bool kgi_jit_find_driver(void);

/* The GPU of this thread's context; false where there is none. */
bool kgi_jit_current(struct kgi_host *host, int *ordinal);
/* The i-th GPU of the machine that differs from those before. */
bool kgi_jit_host_at(size_t i, struct kgi_host *host, int *ordinal);
/* Whether the current context is its GPU's primary one. */
bool kgi_jit_in_primary(void);
/* Where no context is current, the only GPU's primary one, if the program has made it already, is
 * lent to this thread: cudart 13 asks for managed variables before it sets its context. */
bool kgi_jit_borrow(void);
void kgi_jit_return(void);

/* An image as it was handed over. */
struct kgi_given {
    struct kgi_bytes bytes;
    struct kgi_whose whose;
    size_t room; /* bytes of memory that are ours, of a file that was read for this; else 0 */
    bool forced;
};

/* False for what is none of the JIT's business: nothing stays open then. */
bool kgi_given_look(struct kgi_given *g, const void *image, const char *file, const void *caller);
void kgi_given_end(const struct kgi_given *g);
/* Whether KGUARD_JIT_ONLY lets it, and sets `forced`. */
bool kgi_given_chosen(struct kgi_given *g);
/* Adds what KGUARD_JIT=force means for it. */
void kgi_given_force(const struct kgi_given *g, struct kgi_host *host);
/* What is compiled of it for this host, if anything; PTX that is too new only where a ptxas is
 * named. */
bool kgi_given_source(const struct kgi_given *g, const struct kgi_host *host,
                      const struct kgi_jit_settings *settings, struct kgi_source *out);
/* Whether a miss may be compiled here: what is not kept gains nothing over the driver, which has a
 * cache of its own, but where the driver alone would do something else. */
bool kgi_given_worth(const struct kgi_given *g, const struct kgi_source *s);

/* One image of ours that the driver was given. */
struct kgi_part {
    struct kgi_source source;
    struct kgi_cache_hit hit; /* from the cache, */
    struct kgi_compiled made; /* or compiled here, */
    bool kept;                /* and put into the cache */
    int ordinal;
};

struct kgi_bytes kgi_part_image(const struct kgi_part *p);
void kgi_part_free(struct kgi_part *p);
/* With source set: the code from the cache; or, where that had none, from there or compiled now, unless it
 * fails. */
bool kgi_part_find(struct kgi_part *p, const struct kgi_host *host);
bool kgi_part_obtain(struct kgi_part *p, const struct kgi_whose *w, const struct kgi_host *host);
/* The same for what is ours alone, by the driver's JIT where a context is current; nothing is said or counted. */
bool kgi_part_known(struct kgi_part *p, const struct kgi_host *host);
bool kgi_part_quietly(struct kgi_part *p, const struct kgi_host *host);
/* Whether the cache seems to have it; that stays longer then. */
bool kgi_part_stays(const struct kgi_source *s, const struct kgi_host *host);
/* An image of this driver's JIT is kept under another key as well. */
void kgi_part_keep(const struct kgi_cache_key *key, struct kgi_bytes image, const struct kgi_host *host);
/* The driver did not take it: it is put aside in the cache. */
void kgi_part_refuse(struct kgi_part *p, const struct kgi_host *host, const char *what);

/* ---- jit.c
 * --------------------------------------------------------------------------------- */

/* Whether a result is about an image: of ours, it has to be put aside. */
bool kgi_jit_is_about_image(int result);

/* ---- jit_kernel.c
 * --------------------------------------------------------------------------------- */

/* The kernels of a library that were compiled and loaded one by one. Zero-initialised. */
struct kgi_kernels {
    bool possible;
    struct kgi_source whole;
    uint64_t left;  /* bytes of its text that may still be compiled so, */
    uint64_t loads; /* and of code from the cache that may be loaded, where the whole is there too */
    bool marks;     /* the first that is there leaves a mark: of a module */
    struct kgi_alone *_Atomic first;
};

/* Begins it, where that is worth its while for this source (kgi_source_share): its bytes must stay. */
bool kgi_kernels_begin(struct kgi_kernels *k, const struct kgi_source *whole);
/* The same where all of it is compiled first: in this process, or in an earlier one, or by kguard warm, that left
 * a mark beside its kernels. Then *out is the image that stands for it, the caller's to free. */
bool kgi_kernels_besides(struct kgi_kernels *k, const struct kgi_source *whole, bool compiled);
bool kgi_kernels_marked(const struct kgi_source *whole, const struct kgi_host *host, struct kgi_part *out);
/* An image without kernels that may stand for the whole until something is asked of it; empty where there is
 * none, since no context is current to compile it in. Lasts for ever. */
struct kgi_bytes kgi_kernels_hollow(const struct kgi_kernels *k, const struct kgi_host *host);
/* The library that holds this kernel alone, or NULL. Any thread. */
CUlibrary kgi_kernels_known(const struct kgi_kernels *k, const char *name);
/* The same for one that is not known yet: from the cache or, if it may be, compiled now, and loaded. NULL where
 * it is not on its own, or enough was compiled so. One thread at a time; calls the driver. Others know of it
 * once it is added. */
struct kgi_alone *kgi_kernels_load(struct kgi_kernels *k, const struct kgi_whose *w,
                                   const struct kgi_host *host, int ordinal, const char *name,
                                   bool may_compile, CUlibrary *library);
void kgi_kernels_add(struct kgi_kernels *k, struct kgi_alone *alone);
/* An image failed where the driver took a closer look: the name of its kernel if the library is one of these,
 * else NULL. It is then known no more, and the first time put aside in the cache. */
const char *kgi_kernels_refuse(struct kgi_kernels *k, CUlibrary library, const struct kgi_host *host,
                               bool *first);
void kgi_kernels_each(const struct kgi_kernels *k, void (*each)(CUlibrary, void *), void *context);
/* Frees what they are made of; the libraries are unloaded, or stay for ever. */
void kgi_kernels_end(struct kgi_kernels *k);

/* ---- jit_module.c
 * --------------------------------------------------------------------------------- */

/* Of the program's handle: who owns it, if its module stands for others, else NULL; and the library beside it
 * that this kernel is in, whose module is not the one that the program knows or would be given; NULL where
 * there is none. */
const struct kgi_jitted *kgi_jit_hollow(CUlibrary library);
CUlibrary kgi_jit_beside(CUlibrary library, const char *kernel);
/* The library has no kernels, and this is its module in the current context: whether others answer for it now.
 * Not where that is no primary one, or memory is short. */
bool kgi_jit_module_stands(CUmodule module, CUlibrary library);
/* The library whose module this is, if others answer for it, else NULL. */
CUlibrary kgi_jit_module_library(CUmodule module);
/* The library is about to be unloaded, and its modules with it; the driver did not let go of it, and they
 * lead somewhere again; it is gone. */
void kgi_jit_modules_lead(const struct kgi_jitted *owner, bool somewhere);
void kgi_jit_modules_end(const struct kgi_jitted *owner);

#endif
