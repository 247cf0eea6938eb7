/*
 * kguard's public C API, for C11 and C++17.
 *
 * What a preloaded libkguard.so knows of its process, and, from libkguard.a, the scan and the verdict
 * of the kguard command. Everything is plain functions over numbers, strings and one opaque pointer, so
 * that ctypes and other languages can call them as they are.
 *
 * Texts are UTF-8 wherever the file names are. Functions that write a text take a buffer and its size
 * in bytes, as snprintf does: what does not fit is cut, the result always ends in NUL (unless size is
 * 0, where out may be NULL), and the length of the whole text is returned, without the NUL. Functions
 * that can fail return 0 or more, or -errno. All may be called from any thread.
 *
 * KG_API_VERSION grows by one with each release that adds something. What is here keeps its meaning.
 */
#ifndef KGUARD_H
#define KGUARD_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KG_VERSION "0.1.0"
#define KG_API_VERSION 1

#define KG_SHARED __attribute__((visibility("default"))) /* in libkguard.so */
#define KG_STATIC __attribute__((visibility("default"))) /* in libkguard.a */

/* ---- in a process that libkguard.so is preloaded into ------------------------------------------- */

/* KG_API_VERSION of the library that is loaded. */
KG_SHARED int kg_api_version(void);

enum kg_form {
    KG_TEXT = 0, /* the report as it was written, whole lines */
    KG_JSON = 1, /* the same facts as one JSON object in one line; "schema" is 1 */
};

/* The last CUDA failure of this process that kguard knows a cause for, on whatever thread it happened;
 * a failure that comes again is the last one again, with the report of its first time. 0 when there
 * was none, and with KGUARD=0 or KGUARD_LOG=off, which say that nothing is to be looked into. In the
 * JSON, "query": true marks a failure that the program may have expected. A forked child starts
 * without one. Never calls CUDA; can be called in any state of the program but a signal handler. */
KG_SHARED size_t kg_last_diagnosis(int form, char *out, size_t size);

/* ---- libkguard.a: files, without a GPU ----------------------------------------------------------- */

typedef struct kg_file kg_file;

/* Reads what a file holds: a shared library, program or object file, a fatbin, cubin or PTX text.
 * Archives are not opened. The caller frees *out with kg_free. Negative, with *out NULL, where the
 * file cannot be read (-ENOENT, -EISDIR, ...) or there is no memory; what is wrong with its content
 * is no error here: kg_damage tells. */
KG_STATIC int kg_scan(const char *path, kg_file **out);
KG_STATIC void kg_free(kg_file *file); /* NULL is allowed */

/* How many images (fatbins, cubins, PTX texts) it holds. */
KG_STATIC size_t kg_images(const kg_file *file);
/* What is wrong with the bytes and where, or NULL; verdicts are then by what could be read. Lives as
 * long as file. */
KG_STATIC const char *kg_damage(const kg_file *file);
/* "SASS sm_80 sm_90; PTX compute_90": the targets of all its code. */
KG_STATIC size_t kg_holds(const kg_file *file, char *out, size_t size);

enum kg_answer {
    KG_NATIVE = 0,  /* machine code for exactly this GPU */
    KG_FAMILY = 1,  /* machine code for another of its generation, which runs on it */
    KG_JIT = 2,     /* runs after the driver has compiled PTX: a slow first start */
    KG_LINK = 3,    /* runs once the driver has linked relocatable code */
    KG_NONE = 4,    /* some of it cannot run */
    KG_NO_CUDA = 5, /* holds no device code */
};

/* Whether the file's code runs on a GPU, as `kguard scan` says it. target: "sm_120", "120" or "12.0".
 * driver: "570.26", or NULL for one that is new enough. Returns an enum kg_answer, -EINVAL for a
 * target or driver that is none. *reason (may be NULL): the number of the reason code, 101 of KG101;
 * 0 = it runs. */
KG_STATIC int kg_verdict(const kg_file *file, const char *target, const char *driver, int *reason);
/* One line of what to do where it does not run; "" where nothing is to be done, or the arguments are
 * none. */
KG_STATIC size_t kg_advice(const kg_file *file, const char *target, const char *driver, char *out,
                           size_t size);

/* "native", "family", "jit", "link", "none", "no-cuda"; NULL for another number. */
KG_STATIC const char *kg_answer_name(int answer);
/* "no code for this GPU", and some lines more; "" for a number that is no reason code. */
KG_STATIC const char *kg_reason_title(int reason);
KG_STATIC const char *kg_reason_text(int reason);

#ifdef __cplusplus
}
#endif

#endif
