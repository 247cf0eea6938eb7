/*
 * Floor 5: what this process loaded and did. The doors tell it what a CUDA call was given and what
 * it returned; it remembers images, handles and names, and says why a call failed.
 *
 * Nothing here changes a result. On the success path of a launch nothing here runs at all.
 */
#ifndef KGI_WATCH_H
#define KGI_WATCH_H

#include "../base/base.h"
#include "../report/report.h"
#include "kg_cuda.h"

/* What a door knows of the call it stands in front of. */
enum kgi_use {
    KGI_USE_LOAD,   /* hands an image to the driver */
    KGI_USE_QUERY,  /* asks about a kernel: may be a probe that expects to fail */
    KGI_USE_FIND,   /* looks a kernel up in order to use it */
    KGI_USE_LAUNCH, /* runs a kernel, or prepares to */
};

struct kgi_call {
    const char *api;
    int result;
    enum kgi_use use;
    bool runtime;       /* through the runtime API */
    bool unused;        /* a runtime loads everything at start: no use of the image led here */
    const void *caller; /* the call's return address */
    const void *about;  /* the handle, stub or symbol the call was about, as it was given */
};

/* A failed call as words that outlive its image and its handles. */
struct kgi_failed {
    struct kgi_call call;
    const char *kernel;             /* mangled; NULL where it is not known */
    const char *library, *built_by; /* as in struct kgi_image; both NULL likewise */
};

/* ---- image.c: images, handles, names ---------------------------------------------------------------- */

struct kgi_image {
    const void *data;     /* where the image lies; NULL for a file */
    const void *linked;   /* v2 wrappers: NULL-ended array of relocatable fatbins */
    const void *caller;   /* who handed an image built in memory over */
    const char *library;  /* the file it lies in, NULL when built in memory or not yet located */
    const char *log;      /* what the driver's JIT said of it, where the program asked for that */
    const char *built_by; /* for those: the library that handed it over */
    uint64_t place;       /* offset in library */
    struct kgi_code *_Atomic codes; /* replaced once, when inspected */
    struct kgi_code *spare;         /* an array that is not in use, for what is read next */
    size_t count, room, spare_room;
    uint64_t size;        /* bytes, as far as they were read */
    uint64_t mark;        /* hash of the first bytes: whether an image in memory is still there */
    uint64_t broken;      /* where reading stopped, when unreadable */
    uint32_t age;         /* changes when the record is used for another image */
    bool of_file;         /* its bytes are those of a loaded object's file, */
    bool lasting;         /* where the program cannot write to them: data can be read again */
    bool unreadable;
    _Atomic bool read, inspected, located, announced;
    struct kgi_image *next; /* free list */
};

/* Inflating more than this for one report is not worth the memory of a process in trouble. */
#define KGI_INFLATE_MOST ((uint64_t)256 << 20)

/* A kernel that can be named: by a registered host stub, a CUfunction or a CUkernel. A module or a
 * library has a record without a name. */
struct kgi_kernel {
    struct kgi_image *image;
    const char *name; /* mangled; lives as long as the image's object, or for ever */
    uint32_t age;     /* of the image when this was recorded */
    uint32_t turn;    /* of a handle that was given by a load: which load; else 0 */
};

/* A copy of name that lives for ever, kept once. */
const char *kgi_name(const char *name);
/* A new record for a fatbin registered by the object it lies in; found again by kgi_image_at. */
struct kgi_image *kgi_image_registered(const void *wrapper);
/* Forgets the record if it still is of that age: if nobody else has done so. */
void kgi_image_unregister(struct kgi_image *image, uint32_t age);
/* The record of an image handed to the driver (wrapper, fatbin, ELF, PTX text): the one known, or a
 * new one. caller: who handed it over. NULL when there is no memory. */
struct kgi_image *kgi_image_at(const void *data, const void *caller);
struct kgi_image *kgi_image_file(const char *path);
/* As kgi_image_at, where the caller has its kgi_image_memory: that is not looked for again. */
struct kgi_image *kgi_image_seen(const void *data, struct kgi_bytes bytes, const void *caller);
/* Fills codes in, once, from the entry headers. */
void kgi_image_read(struct kgi_image *image);
/* Reads a payload too: how many kernels the code really holds. Inflates, so only where it matters. */
void kgi_inspect(struct kgi_code *code);
void kgi_image_inspect(struct kgi_image *image);
/* Which file the image lies in, or who built it. */
void kgi_image_locate(struct kgi_image *image);
/* The call that handed the image over is about to return, and its bytes may go away: the facts are
 * kept, what points into them is dropped. One that did not load is forgotten altogether, unless it is kept. */
void kgi_image_end_load(struct kgi_image *image, bool keep);
/* The kernel names of the code at index, or of all (-1), read again from where the image came from;
 * -ENODATA when that is not possible. */
int kgi_image_kernels(const struct kgi_image *image, int index,
                      int (*each)(const char *mangled, int registers, void *context),
                      void *context);

/* handle (CUmodule, CUlibrary, CUfunction, CUkernel, host stub, cudaKernel_t) -> its record. name is
 * not copied. container: the handle it was found through; dropping that drops this too. NULL: it was given by a
 * load, so that what was known of it before is void. Dropping the handle that an image built in memory was
 * loaded as drops the image. One that was given by another load by now stays: between an unload and its end
 * another thread's may have been given the same. */
void kgi_handle_set(const void *handle, struct kgi_image *image, const char *name,
                    const void *container);
bool kgi_handle_get(const void *handle, struct kgi_kernel *out);
/* The module or library through which it was found, whatever stood between; NULL when not known. */
const void *kgi_handle_root(const void *handle);
void kgi_handle_drop(const void *handle, const struct kgi_kernel *known);

/* The bytes of an image that lies in memory (wrapper, fatbin, ELF, PTX text), as far as it says it is
 * and is mapped. Empty for a wrapper with a set of relocatable fatbins, which is for linking. */
struct kgi_bytes kgi_image_memory(const void *address);

/* ---- device.c: the GPU and the driver --------------------------------------------------------------- */

struct kgi_device {
    char name[96];
    struct kgi_target gpu;
};

struct kgi_machine {
    int count;
    struct kgi_device device[16];
    char driver[32];      /* "570.26" */
    struct kgi_host host; /* .gpu = device 0 */
};

/* The driver is initialised: device facts may be asked for from now on. */
void kgi_machine_ready(void);
extern _Atomic bool kgi_machine_known_ready;
static inline bool kgi_machine_is_ready(void)
{
    return atomic_load_explicit(&kgi_machine_known_ready, memory_order_acquire);
}
/* The facts, asked for once; NULL before kgi_machine_ready or when the driver does not answer. */
const struct kgi_machine *kgi_machine(void);
/* The calling thread's current device, 0 when there is none. Calls the driver: failures only. */
int kgi_machine_current(const struct kgi_machine *m);

/* ---- failure.c: what is said, and how often --------------------------------------------------------- */

/* Whether a result belongs to the family explained here. */
bool kgi_failure_family(int result);
/* Whether a runtime loads all images at its start (CUDA_MODULE_LOADING); where the variable is not
 * set, runtimes before 12.2 do and later ones do not. */
bool kgi_loads_eagerly(bool unless_told);
/* A failed call, and what is known of the kernel: kernel->image and kernel->name may be NULL. */
void kgi_failure(const struct kgi_call *call, const struct kgi_kernel *kernel);
/* A runtime whose calls cannot be seen has failed somewhere below: only the stack tells where. */
void kgi_failure_on_stack(void);
/* The launch failed, and its thread went on without asking; or the process ends that way. */
void kgi_failure_unchecked(const struct kgi_failed *failed, bool at_exit);
/* An error from an earlier call was returned by a later, innocent one. */
void kgi_failure_surfaced(const char *api, const struct kgi_failed *earlier);
/* A result came back that kernels run into which work on what an earlier one should have written; says
 * so where such an earlier one failed unchecked. api: NULL where only its text was asked for. */
void kgi_failure_follows(const char *api, int result);
/* One line for an image given to the driver that has no SASS for a GPU of this machine or for
 * KGUARD_TARGET. coming: it is about to be, and only what takes time is told. */
void kgi_module(struct kgi_image *image, bool coming);

/* ---- errors.c: the texts of errors ------------------------------------------------------------------ */

/* This thread's failure with this result was diagnosed as the kernel's, or its image's; NULL: as nobody's
 * fault. */
void kgi_error_caused(int result, const struct kgi_kernel *kernel);
/* The failure was never checked. Whether a result is what kernels come to after such a one. */
void kgi_error_unchecked(const struct kgi_failed *failed);
bool kgi_error_is_consequence(int result);
/* plain, the CUDA library's own text for a result, or one that starts with it and names the offender;
 * lives for ever. Takes no lock but for the first use of a text. */
const char *kgi_error_text(int result, const char *plain);

/* ---- evidence.c: what else can be found out about a failure -------------------------------------------- */

struct kgi_evidence {
    char found[768], help[640];
};
/* Adds found, help and torch_fine to d, where there is anything; the words stand in e. */
void kgi_evidence_find(struct kgi_diagnosis *d, struct kgi_evidence *e);
/* One line where CUDA_FORCE_PTX_JIT or CUDA_DISABLE_PTX_JIT, or one like it, is set. */
void kgi_evidence_variables(void);

/* ---- triton.c: a compiler that does not know the GPU --------------------------------------------------- */

/* One line if Triton is loaded and its ptxas cannot make code for a GPU of this machine; after each load of
 * an image, and where CUDA starts and ends. */
void kgi_triton_check(void);
void kgi_triton_load(void);

/* ---- tell.c: a diagnosis, put together and written ---------------------------------------------------- */

/* The GPU this thread uses; false, and all unknown, where no driver answers. Calls the driver. */
bool kgi_host_current(struct kgi_host *host, int *ordinal);
/* What images are judged against: the i-th of this machine's GPUs that differ, then KGUARD_TARGET with
 * ordinal -1. False past the last. */
bool kgi_host_at(size_t i, struct kgi_host *host, int *ordinal);
/* Adds stacks, advice and device facts to d and writes it; kernel's name is looked for on the stack
 * when it is not known, then in the image, if that has but one. */
void kgi_tell_failure(struct kgi_diagnosis *d, const struct kgi_kernel *kernel);
void kgi_tell(const struct kgi_diagnosis *d);

/* ---- last.c: reports kept for who asks (include/kguard.h) ------------------------------------------- */

/* A failure has been reported so; d's library, text and json live for ever. text or json may be NULL:
 * there was no memory. */
void kgi_last_set(const struct kgi_diagnosis *d, const char *text, const char *json);
/* One of this library (or builder) and reason came again. */
void kgi_last_again(const char *library, int reason);

/* ---- thread.c: failures between the moment they happen and the moment they are noticed ---------------- */

/* Not 0 while some thread has a failure on record: the one word a good launch looks at. */
extern _Atomic uint32_t kgi_pending;

void kgi_thread_failed(const struct kgi_call *call, const struct kgi_kernel *kernel);
/* Whether this kernel is the one that this thread has just failed to find, whose launch must follow. */
bool kgi_thread_sought(const struct kgi_kernel *kernel);
void kgi_thread_launched(void); /* a later launch by this thread succeeded */
/* The thread asked for its last error, or for an error's text. */
void kgi_thread_checked(const char *api, int result);
/* Every failure nobody has asked about yet; at process end. */
void kgi_thread_each_open(void (*each)(const struct kgi_failed *));

/* A driver call failed inside a runtime call on this thread: kept until the runtime call returns. An image
 * that did not load is kept as long, and goes when what was taken is done with. */
void kgi_inner_set(const struct kgi_call *call, const struct kgi_kernel *kernel);
bool kgi_inner_take(struct kgi_call *call, struct kgi_kernel *kernel);
void kgi_inner_end(const struct kgi_call *call, const struct kgi_kernel *kernel);

/* ---- audit.c: every loaded object --------------------------------------------------------------------- */

/* The first registered image of this object that a host cannot run, or NULL. */
struct kgi_image *kgi_audit_guilty(const struct kgi_object *object, const struct kgi_host *host);
/* One line per loaded object that holds CUDA code, each object once (KGUARD_LOG=info). */
void kgi_audit(void);

/* ---- jit.c: KGUARD_JIT ------------------------------------------------------------------------------ */

/* Whether it is on: the one thing that doors look at. Set after cuInit. */
extern _Atomic bool kgi_jit_on __attribute__((visibility("hidden")));
void kgi_jit_start(void);
void kgi_jit_finish(void);

/* An image that cannot run was told of: whether KGUARD_JIT, when it is on, could change that. */
void kgi_jit_cannot(const struct kgi_diagnosis *d);

/* A module is to be loaded, from an image or a file (the other is NULL). True when an image of ours was
 * loaded in its place: *module is set, the call has succeeded. *met: its record, where that is known by then. */
bool kgi_jit_module(struct kgi_image **met, CUmodule *module, const void *image, const char *file, unsigned count,
                    CUjit_option *options, void **values, const void *caller);
/* A module is to be unloaded. True when it is one that others answer for: *result is what came of it, and *out
 * for kgi_jit_done. */
struct kgi_jitted;
bool kgi_jit_module_unload(struct kgi_jitted **out, CUmodule module, CUresult *result);
/* The same as kgi_jit_module for a library. *out is set where kgi_jit_done has to be told what came of the
 * load, ours or the original's. */
bool kgi_jit_library(struct kgi_jitted **out, struct kgi_image **met, CUlibrary *library, const void *image,
                     const char *file, CUjit_option *jit, void **jit_values, unsigned jit_count,
                     CUlibraryOption *options, void **values, unsigned count, const void *caller);

/* A fatbin is registered with a runtime of CUDA 11, whose loads pass no door: the wrapper that it is to be
 * given. From the cache alone; no driver is called, nothing is said, since there may never be a use. */
void *kgi_jit_registered(void *wrapper);

/* The library is about to be used: the one that answers for it. May compile; calls the driver. */
CUlibrary kgi_jit_used(CUlibrary library);
/* The same where all that is asked for is this kernel. */
CUlibrary kgi_jit_kernel(CUlibrary library, const char *name);
/* A use of *used, which answered for the library, failed. True when its image was ours and another answers
 * now, which *used then is: call again. */
bool kgi_jit_failed(CUlibrary library, CUlibrary *used, int result);
/* The one to ask for its module; the module that `used` gave for it, which the program gets; a module or
 * library that was loaded, at whose address another may have been; and the module to ask in place of one, for
 * a kernel, or for whatever else (NULL): CUDA_SUCCESS, or what is to be the call's result. */
CUlibrary kgi_jit_module_owner(CUlibrary library);
void kgi_jit_module_given(CUmodule *module, CUlibrary library, CUlibrary used);
void kgi_jit_module_met(CUmodule module);
CUresult kgi_jit_module_for(CUmodule *module, const char *kernel);
/* *module is that of a function. Where its library is beside the program's, the one that the program's gives. */
void kgi_jit_module_of(CUmodule *module, CUfunction function);
/* The handle that the program knows this library by. */
CUlibrary kgi_jit_known(CUlibrary library);
/* The library is about to be unloaded; what it returns, if anything, goes to kgi_jit_done once it is. */
struct kgi_jitted *kgi_jit_unload(CUlibrary library);
void kgi_jit_done(struct kgi_jitted *jitted, CUresult result);

#endif
