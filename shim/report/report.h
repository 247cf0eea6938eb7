/*
 * Floor 4: what a person or a program reads. Facts come in as one plain struct; text and JSON carry
 * the same facts. Nothing here calls the driver or decides anything.
 */
#ifndef KGI_REPORT_H
#define KGI_REPORT_H

#include "../base/base.h"
#include "../rules/rules.h"

enum kgi_event { KGI_EVENT_FAILURE, KGI_EVENT_MODULE, KGI_EVENT_FOLLOWUP, KGI_EVENT_SUMMARY,
                 KGI_EVENT_JIT };

/* Everything known about one event. NULL or 0 = not known; such lines are left out, never guessed.
 * All memory is borrowed for the call. */
struct kgi_diagnosis {
    enum kgi_event event;
    int reason;               /* enum kgi_reason */
    bool query;               /* a failing query (cudaFuncGetAttributes, cuModuleGetFunction asked by
                                 a program that expects it may fail), not a launch */
    bool not_used_yet;        /* the image failed to load before any use of it */
    bool audit;               /* MODULE: codes are the different ones of all `count` images of a library
                                 that is loaded; none of them need have been used */
    bool unreadable;          /* the image could not be read to its end: codes are what could be */
    uint64_t broken;          /* with unreadable: the byte of the image past which it could not */

    const char *kernel;       /* mangled name */
    const char *kernels;      /* where the kernel is not known: "a(int), b(float) and 62 more" of the
                                 image, demangled; says so in the report */
    const char *kernel_from;  /* how the name is known when not from the call itself:
                                 "host stack" */

    const char *library;      /* path of the file the image lives in */
    const char *package;      /* "udf_ext 0.0.0" */
    uint64_t place;           /* file offset of the fatbin in library; 0 unknown */
    const char *built_by;     /* in-memory images: the library that handed the image in */

    const struct kgi_code *codes; /* what the image holds */
    size_t code_count;
    struct kgi_verdict verdict;

    int ordinal;              /* GPU ordinal, -1 = judged for KGUARD_TARGET alone */
    const char *gpu;          /* "NVIDIA GeForce RTX 5090" */
    struct kgi_host host;     /* host.gpu = what is needed */
    const char *driver;       /* "570.26" */

    const char *api;          /* "cudaLaunchKernel" */
    int result;
    const char *result_text;  /* "no kernel image is available" */

    const char *python;       /* "run.py:42 in main > mesh.py:88 in mesh2index", outermost first */
    const char *stack;        /* "udf_ext.so voxelize() > libcudart.so.12", outermost first */
    const char *help;
    const char *found;        /* one more fact: "/usr/lib/libnvidia-ptxjitcompiler.so.1 is missing" */
    bool torch_fine;          /* PyTorch is loaded, runs on this GPU, and is not what failed */
    const char *log;          /* JIT log or other evidence, may hold several lines */
    uint64_t count;           /* how often seen in all, for FOLLOWUP and SUMMARY */
    const char *message;      /* FOLLOWUP, SUMMARY and JIT: the sentence itself; FAILURE, MODULE: in
                                 place of the usual first line */
    const char *action;       /* JIT: hit, compile, compiled, failed, refused, cannot, note, summary */
};

/* ---- text.c --------------------------------------------------------------------------------------- */

/* The report as whole lines "kguard[PID]: ...\n", at most 12, as in the README; returns out's
 * length. FAILURE: the block; the others: one line each. */
size_t kgi_report_text(const struct kgi_diagnosis *d, struct kgi_text *out);

/* A kernel's name as it stands in a sentence: demangled, a long one without its parameters; false then. */
bool kgi_report_kernel(struct kgi_text *out, const char *mangled);
/* "void f<int, 4>(float*, A<B>)" -> "void f<...>(...)": the outermost brackets keep their place. */
void kgi_report_folded(struct kgi_text *out, const char *name);

/* ---- holds.c -------------------------------------------------------------------------------------- */

/* "SASS sm_60 sm_90a; PTX compute_80 (ISA 7.4, zstd)": every target held, packing and versions where
 * they matter; kinds this build does not know are named by number. */
void kgi_report_holds(const struct kgi_code *codes, size_t count, struct kgi_text *out);

/* ---- json.c --------------------------------------------------------------------------------------- */

/* The same facts as one JSON line. No malloc. */
size_t kgi_report_json(const struct kgi_diagnosis *d, struct kgi_text *out);

/* ---- stack.c -------------------------------------------------------------------------------------- */

struct kgi_frame {
    const void *pc;
    struct kgi_object object;
    const char *symbol;      /* mangled, from the file's .symtab or .dynsym; NULL when none; points
                                into the struct's own buffer */
    char symbol_buffer[1024];
    char path[256];          /* the object's file */
};
/* The calling thread's stack, innermost first, at most room frames; frames of libkguard itself are
 * left out. Bounded, survives broken stacks, takes no lock of ours, keeps no descriptor. Returns
 * the number of frames. with_symbols reads the objects' files. */
size_t kgi_stack(struct kgi_frame *frames, size_t room, bool with_symbols);

/* ---- python.c ------------------------------------------------------------------------------------- */

/* The Python frames of this thread, outermost first: "run.py:42 in main > mesh.py:88 in f"; at most
 * the 6 innermost, paths shortened to their last two parts; or "(frames of Python 3.16.0 cannot be
 * read)". False when there is no interpreter in the process, or this thread is none of its own. */
bool kgi_python_stack(char *out, size_t size);

/* ---- package.c ------------------------------------------------------------------------------------ */

/* "udf_ext 0.0.0": name and version of the package that a library file (whole path, links resolved)
 * belongs to, from what pip, conda and dpkg left on disk. False when none is known; out is then
 * undefined. Bounded work, no malloc; errno is kept. */
bool kgi_package_of(const char *library, char *out, size_t size);

/* Its parts, for metadata that comes from elsewhere. All refuse odd characters. */

/* "name version" */
bool kgi_package_text(struct kgi_bytes name, struct kgi_bytes version, char *out, size_t size);
/* The value of "Key: value" among the headers that a METADATA, PKG-INFO or dpkg stanza starts with;
 * borrowed, empty when there is none. */
struct kgi_bytes kgi_package_header(struct kgi_bytes text, const char *key);
/* From a folder's or file's name: "udf_ext-0.0.0.dist-info" (or .egg-info, .egg, .egg-tmp),
 * "libtorch-2.5.1-cuda120_h2b0da52_302.json". */
bool kgi_package_folder(const char *folder, char *out, size_t size);
bool kgi_package_conda(const char *file, char *out, size_t size);

#endif
