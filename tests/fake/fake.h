/*
 * The fake driver: a libcuda.so.1 for machines without a GPU.
 *
 * It knows nothing about CUDA. image.c reads an image just far enough to say which of the images
 * that were once given to a real driver it is like (CLASSES below); every answer is then looked up
 * in what that driver answered (trace.c, from tests/recorded). Where nothing like it was recorded,
 * the answer is CUDA_ERROR_UNKNOWN and a line on stderr says so: it never guesses. It shares no
 * line with kguard's own reader and rules, so the two cannot agree on a fiction.
 *
 * The recording was made on a GPU of compute capability 9.0. A simulated GPU of another one answers
 * as that GPU did for the same relation: exact number, another major, PTX of a lower number, ...
 */
#ifndef FAKE_H
#define FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "kg_cuda.h"

/*
 * CLASS(name, fatbin, alone, text): what an image is to the device, and the recorded image of that
 * kind as a fatbin, as a bare cubin, as a bare PTX text ("" = none was recorded).
 */
#define CLASSES(CLASS)                                                                             \
    /* a cubin of this very number */                                                              \
    CLASS(RUNS, "sm_90.fatbin", "sm_90.cubin", "")                                                 \
    /* PTX of a lower number */                                                                    \
    CLASS(RUNS_BY_JIT, "compute_80.fatbin", "", "compute_80.ptx")                                  \
    /* cubins of other majors alone */                                                             \
    CLASS(OTHER_MAJOR, "sm_80.fatbin", "sm_80.cubin", "")                                          \
    CLASS(PTX_TOO_HIGH, "compute_120.fatbin", "", "compute_120.ptx")                               \
    /* ISA above the driver's */                                                                   \
    CLASS(PTX_TOO_NEW, "isa_9.1.fatbin", "", "isa_9.1.ptx")                                        \
    CLASS(PTX_INVALID, "invalid.fatbin", "", "invalid.ptx")                                        \
    CLASS(UNRESOLVED, "", "", "extern.ptx")                                                        \
    CLASS(RELOCATABLE, "relocatable_cubin.fatbin", "relocatable.cubin", "")                        \
    /* the entry's header says it fits, its ELF does not */                                        \
    CLASS(WRONG_ELF, "header_sm_90_elf_75.fatbin", "", "")                                         \
    CLASS(BAD_LZ4, "lz4_size_small.fatbin", "", "")                                                \
    CLASS(BAD_ZSTD, "zstd_size_small.fatbin", "", "")                                              \
    CLASS(NOTHING_INSIDE, "empty.fatbin", "", "")                                                  \
    CLASS(LTO_ONLY, "lto.fatbin", "", "")                                                          \
    CLASS(UNKNOWN_KIND, "kind_100_cubin.fatbin", "", "")                                           \
    CLASS(UNREADABLE, "bad_magic.fatbin", "elf_machine.cubin", "garbage.ptx")                      \
    CLASS(TRUNCATED, "truncated_payload.fatbin", "elf_truncated.cubin", "")                        \
    CLASS(NOT_RECORDED, "", "", "")

enum class {
#define CLASS(name, fatbin, alone, text) name,
    CLASSES(CLASS)
#undef CLASS
};
enum form { FATBIN, ALONE, TEXT };

/* What the machine is, from the environment (tests/fake/README.md). */
struct machine {
    int major, minor, cuda, isa, devices; /* isa: 87 = PTX 8.7 */
    char name[64];
    bool eager, jit_forbidden, jit_forced, logs, tell_traces, fresh, marks;
};
extern struct machine machine;

/* ---- image.c ---- */

struct image {
    enum class class;
    enum form form;
    int wrapped; /* version of the wrapper it came in, as the runtime hands it over; 0 = none */
    char (*kernels)[256]; /* names of the chosen code's kernels */
    unsigned kernel_count;
    uint64_t *marks; /* with KGFAKE_MARKS, what each of them writes; its lowest bit: and it counts, in */
    char variable[256];  /* that one: the first of the module; empty: none is known */
    uint64_t options;    /* of the JIT, where they change the code */
};
/* Reads the image at p (a wrapper, fatbin, ELF or text), never past mapped memory. */
struct image *image_read(const void *p);
struct image *image_read_file(const char *path); /* NULL: no such file */
bool image_has(const struct image *image, const char *kernel);
void image_free(struct image *image);

/* ---- mark.c: what kernels do with KGFAKE_MARKS ---- */

/* What a kernel writes: of PTX, made of its text, from its ".entry" on; of the i-th of a cubin. */
uint64_t mark_of_entry(const struct image *image, const char *entry);
uint64_t mark_of_cubin(const char *elf, size_t size, unsigned i);
void mark_variable_of_text(struct image *image, const char *text);
void mark_variable_of_cubin(struct image *image, const char *elf, size_t size);
/* What of it is PTX is compiled with these as well. */
void mark_options(struct image *image, unsigned count, const CUjit_option *options, void *const *values);
uint64_t mark_of_kernel(const struct image *image, const char *kernel);
/* Whether both hold the same code. */
bool mark_same(const struct image *a, const struct image *b);
/* The cubin that a compiler makes of PTX: its kernels do the same. Memory from malloc. */
void *mark_compile(const struct image *image, size_t *size);

/* ---- trace.c ---- */

struct answer {
    const char *id;
    int result;
    const char *detail;
};
/* The recorded answer "route/image/mode/call" for images of this class, mode being the machine's;
 * NULL, and a line on stderr, when nothing was recorded. */
const struct answer *trace_image(const char *route, const struct image *image, const char *call);
bool trace_has(const char *route, const struct image *image, const char *call);
/* The same for a full id; the quiet one leaves stderr alone. */
const struct answer *trace(const char *id);
const struct answer *trace_quiet(const char *id);
/* The i-th text that the driver logged during that call, into out; false past the last. */
bool trace_log(const struct answer *answer, unsigned i, char *out, size_t size);
/* The recorded cuGetProcAddress of name: the exported symbol it led to, into out; the result, and
 * the status in *status. form: "default", "legacy", "per-thread", or "11.3form". */
int trace_proc(const char *name, int version, const char *form, char *out, size_t size,
               int *status);

#endif
