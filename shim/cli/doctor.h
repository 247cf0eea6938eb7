/*
 * The doctor command's own interfaces: where libraries are found (search.c), and the facts that it
 * tells (doctor.c).
 */
#ifndef KGI_DOCTOR_H
#define KGI_DOCTOR_H

#include <limits.h>

#include "cli.h"

/* ---- search.c -----------------------------------------------------------------------------------
 */

/* Calls each with every path that a pattern names ("/usr/local/cuda*\/lib64/libcudart.so*"), sorted
 * within a folder; '*' within a name only. */
void kgi_expand(const char *pattern, void (*each)(const char *path, void *context), void *context);
/* Calls each with every file that the dynamic loader finds under this name, the one it takes first
 * at first: LD_LIBRARY_PATH, ld.so.cache, the system's folders. how: "LD_LIBRARY_PATH" and so on. A
 * name that ends in '*' stands for all that begin so. */
void kgi_search(const char *name, void (*each)(const char *path, const char *how, void *context),
                void *context);
/* Calls each with every folder that holds installed Python packages, of the environments that the
 * variables and PATH lead to. */
void kgi_site_packages(void (*each)(const char *path, void *context), void *context);

/* What a path, or what is there of it, lies on. */
struct kgi_folder {
    const char *system; /* "overlayfs", "tmpfs", "nfs", ...; NULL = an ordinary one */
    bool is_there;      /* the whole path */
    bool writable;      /* it, or, where it is not there, the folder it would be made in */
    bool lasting;       /* does not go with the container or the session */
    bool shared;        /* by several machines */
};
void kgi_folder_look(const char *path, struct kgi_folder *out);
/* Bytes of all files under a folder. */
uint64_t kgi_folder_size(const char *path);

#endif
