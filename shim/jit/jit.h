/*
 * Floor 4: PTX -> cubin. What of an image would be compiled for a GPU, who compiles it, and the
 * image that the driver is given instead. Nothing here keeps state or says anything; the compute
 * cache is in cache.h.
 */
#ifndef KGI_JIT_H
#define KGI_JIT_H

#include "../base/base.h"
#include "cache.h"
#include "kg_cuda.h"

/* ---- replace.c: what is compiled, and what the driver is given
 * ------------------------------------ */

/* Compiler settings that a caller gave with an image, in order of id. */
#define KGI_JIT_SETTINGS 8
struct kgi_jit_settings {
    unsigned count;
    int id[KGI_JIT_SETTINGS];
    unsigned value[KGI_JIT_SETTINGS];
};
/* Takes those of a caller's options that change the code; false when there is one that has to be
 * left to the driver. */
bool kgi_jit_settings(const CUjit_option *options, void *const *values, unsigned count,
                      struct kgi_jit_settings *out);

/* The PTX that the driver would compile of an image. Bytes are borrowed from the image. */
struct kgi_source {
    struct kgi_bytes image;
    struct kgi_code code;
    struct kgi_target target; /* the code that is made: sm_90a of compute_90a */
    bool too_new;             /* for the driver: only a ptxas can compile it */
    struct kgi_jit_settings settings;
    struct kgi_cache_key key;
};
/* Judges an image for a host; of a text kgi_image_extent, or its key would depend on what follows the
 * NUL. 0; -ENOENT when the driver would compile nothing of it, -E2BIG when it cannot be cached. *verdict
 * says why. */
int kgi_source_of(struct kgi_bytes image, const struct kgi_host *host,
                  const struct kgi_jit_settings *settings, struct kgi_source *out,
                  struct kgi_verdict *verdict);

/* The original's entries and, behind them, cubins for several targets: for machines whose GPUs need
 * different code. Memory from kgi_pages_get; empty when the image is no fatbin. */
struct kgi_cubin_for {
    struct kgi_target target;
    struct kgi_bytes cubin;
};
struct kgi_bytes kgi_fatbin_with(struct kgi_bytes fatbin, const struct kgi_cubin_for *cubins,
                                 size_t count);
/* A fatbin of this one entry of its image; a PTX text is what it is. From kgi_pages_get. */
struct kgi_bytes kgi_source_alone(const struct kgi_source *source);
/* The same as a source of its own, with the same key; its image is from kgi_pages_get_huge. False without
 * memory. */
bool kgi_source_copy(const struct kgi_source *source, struct kgi_source *out, size_t *room);

/*
 * One kernel of an image's PTX as a source of its own (kgi_ptx_alone): far less to compile, and the same
 * code comes out. Its key is made of the whole's and the kernel's name, so that it is looked for without
 * the text; the empty name's is that of what stands for a module. *out owns its image, which is to be put
 * back. 0 or what kgi_ptx_alone says; -ENOMEM; -ESTALE where the whole is no longer what its key was made of.
 */
int kgi_source_kernel_key(const struct kgi_source *whole, const char *kernel,
                          struct kgi_cache_key *out);
/* How many bytes, of text to be compiled or of code to be loaded, kernels on their own may have together before
 * the whole had better be taken; 0 where it is so small that it is taken at once. */
uint64_t kgi_source_share(const struct kgi_source *whole);
/* PTX without kernels, of the same version and target, which stands for the whole. The text is *out's image. 0 or
 * what kgi_source_of says. */
#define KGI_HOLLOW_SIZE 128
int kgi_source_hollow(const struct kgi_source *whole, const struct kgi_host *host, char text[KGI_HOLLOW_SIZE],
                      struct kgi_source *out);
int kgi_source_kernel(const struct kgi_source *whole, const char *kernel, struct kgi_source *out);
/* The same with its text at hand (kgi_source_text), where the bytes are the caller's own and cannot change. */
int kgi_source_kernel_in(const struct kgi_source *whole, struct kgi_bytes text, const char *kernel,
                         struct kgi_source *out);
/* The PTX as text; in *scratch, code->size bytes, where it was packed. Empty when it cannot be had. */
#define KGI_SOURCE_MOST ((uint64_t)256 << 20)
struct kgi_bytes kgi_source_text(const struct kgi_code *code, void **scratch);

/* Whether a path, or its file name, matches one of the globs (* and ?) between colons. */
bool kgi_globs_match(const char *globs, const char *path);

/* What becomes of a directory when its container ends ("an overlay: lost with the container"), or
 * NULL where nothing speaks against it. */
const char *kgi_place_risk(const char *path);

/* ---- compile.c
 * ------------------------------------------------------------------------------------- */

struct kgi_compiled {
    struct kgi_bytes cubin; /* from kgi_pages_get; empty when it failed */
    size_t room;            /* of it */
    struct kgi_compiler by;
    uint32_t cost_ms;
    int result;     /* of the driver: CUDA_ERROR_INVALID_CONTEXT = nobody can compile now */
    bool failed;    /* the compiler's fault, or the PTX's: trying again is of no use */
    bool refused;   /* it came to its end and said no */
    char log[1024]; /* what went wrong */
};

/* Both expect *out zeroed, and leave `by` alone. */

/* By the JIT of the driver, for the GPU of the calling thread's context. */
void kgi_compile_by_driver(const struct kgi_source *source, struct kgi_compiled *out);
/* By a ptxas, in a child process. */
void kgi_compile_by_ptxas(const char *ptxas, const struct kgi_source *source, int timeout_ms,
                          struct kgi_compiled *out);
/* A child that the program does not notice: none of its handlers runs in it, it sends no signal when it
 * ends, and it is killed with the thread that made it. It calls `run`, system calls alone, and ends. Its
 * pid, or -1. */
long kgi_child_start(void (*run)(const void *context), const void *context);
/* Kills it, and waits for its end. */
void kgi_child_kill(long pid);

/* Which ptxas this is; false when it does not run. */
bool kgi_ptxas_version(const char *ptxas, struct kgi_compiler *out);

#endif
