/* SHA256Update of libmd, faster. */
#ifndef KGI_SHA256_H
#define KGI_SHA256_H

#include <sha2.h>
#include <stddef.h>
#include <stdint.h>

void kgi_sha256_update(SHA2_CTX *context, const void *bytes, size_t size);

#endif
