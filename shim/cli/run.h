/*
 * The run and doctor commands' own interfaces: the preload (preload.c), what was recorded of a run
 * (summary.c). Everything else of the command sees only cli.h.
 */
#ifndef KGI_RUN_H
#define KGI_RUN_H

#include <limits.h>

#include "cli.h"

/* ---- preload.c ------------------------------------------------------------------------------- */

/* libkguard.so: the file given, or (given NULL) the first found beside this executable, in
 * ../lib of it, in the usual places. False when there is none; out is then the last that was
 * tried. */
bool kgi_library_find(const char *given, char *out, size_t size);

/* A program as execve would run it; of a script, its interpreter. */
struct kgi_program {
    char path[PATH_MAX];   /* of the file itself, as found */
    char binary[PATH_MAX]; /* what is loaded: the same, or the script's interpreter */
    const char *
        unseen; /* why a preloaded library does not see it, "is statically linked"; NULL: it does */
    char asan[64]; /* DT_NEEDED of an AddressSanitizer's shared runtime; "" = none */
};
/* Looks name up as a shell would. 0, -ENOENT, -EACCES. */
int kgi_program_find(const char *name, struct kgi_program *out);

/* The value of LD_PRELOAD: before (the user's, NULL = none) with library added, and
 * AddressSanitizer's runtime first where the program needs it. False when it does not fit. */
bool kgi_preload(const char *before, const char *library, const char *asan, char *out, size_t size);
/* Whether a path can stand in LD_PRELOAD: the loader splits at spaces and colons, and replaces
 * $NAME. */
bool kgi_preloadable(const char *path);
/* Calls each for every entry of a value of LD_PRELOAD or of the text of /etc/ld.so.preload. */
void kgi_preload_each(const char *value, void (*each)(const char *entry, void *context),
                      void *context);

/* ---- run.c ----------------------------------------------------------------------------------- */

/* Why nothing can be appended to the file that KGUARD_LOG_FILE or --log names, an errno; 0: it can be,
 * or, where a %p or %h stands for its folder's name, nobody knows. */
int kgi_log_fault(const char *path);

/* ---- summary.c ------------------------------------------------------------------------------- */

struct kgi_run {
    char **command;
    int status;         /* as wait gave it */
    const char *unseen; /* as in kgi_program */
    bool json;
};
/* Reads what the processes of a run recorded (JSON lines), and writes the summary to out. */
void kgi_summary(const struct kgi_run *run, FILE *record, FILE *out);

#endif
