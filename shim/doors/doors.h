/*
 * Floor 6: how a CUDA call reaches us. doors.def lists the doors; here is what they share.
 */
#ifndef KGI_DOORS_H
#define KGI_DOORS_H

#include "../watch/watch.h"
#include "kg_cuda.h"

#define KGI_EXPORT __attribute__((visibility("default")))
/* What a door calls when a call was not an everyday good one. */
#define KGI_SLOW __attribute__((noinline, cold))

/* ---- resolve.c: originals and look-ups -------------------------------------------------------------- */

enum kgi_driver_door {
#define DRIVER(symbol, parameters, arguments, after) KGI_D_##symbol,
#include "doors.def"
#undef DRIVER
    KGI_DRIVER_DOORS
};

extern _Atomic(void *) kgi_driver_originals[KGI_DRIVER_DOORS];
void *kgi_driver_resolve(enum kgi_driver_door door);

/* The original of a driver door; NULL where no driver is loaded that has it. */
static inline void *kgi_driver_original(enum kgi_driver_door door)
{
    void *p = atomic_load_explicit(&kgi_driver_originals[door], memory_order_relaxed);

    return KGI_LIKELY(p != NULL) ? p : kgi_driver_resolve(door);
}

/* The driver answered cuGetProcAddress for a name with p: our door in front of it, or p. */
void *kgi_driver_door_of(const char *name, void *p);
/* Whether this object is the driver. */
bool kgi_is_driver(const struct kgi_object *object);
/* The driver stays loaded from now on: its functions are kept as originals. */
void kgi_driver_keep(void);

/* ---- runtime.c ----------------------------------------------------------------------------------------- */

/* What the doors keep in kgi_thread_word: how deep this thread is in runtime doors (low 16 bits), and
 * which runtime it used last (index + 1, above). */
#define KGI_DEPTH ((uintptr_t)0xffff)

/* ---- nvrtc.c ------------------------------------------------------------------------------------------- */

/* dlsym answered with p for a name that starts with "nv": our door in front of it, or p. */
void *kgi_nvrtc_door_of(const char *name, void *p);

/* ---- drvlog.c: failures of runtimes that cannot be seen ------------------------------------------------ */

/* An object looked up the 11.3 form of cuGetProcAddress: it is a runtime of CUDA 11, and when it is
 * linked statically its loads and launches never pass a door. */
void kgi_drvlog_client(const void *caller);
/* Asks the driver to tell of its errors, when there is such a client; after cuInit. */
void kgi_drvlog_start(void);

#endif
