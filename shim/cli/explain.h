/* The explain command's own interfaces: known.c holds the table, explain.c looks things up in
 * it. */
#ifndef KGI_EXPLAIN_H
#define KGI_EXPLAIN_H

#include "cli.h"

/* One known message. */
struct kgi_known {
    int number; /* of a CUDA error; 0 = none */
    const char *title;
    const char *names; /* of a CUDA error, in both APIs; or NULL */
    const char *texts; /* what a text says that this row is about; known.c says how */
    const char *means, *guilty, *next;
    const char *source;
    int codes[2]; /* the reasons behind it, the usual one first */
};
extern const struct kgi_known kgi_known[];
extern const size_t kgi_known_count;

#endif
