/* SHA-256 of many bytes. */
#ifndef KGI_SHA256_H
#define KGI_SHA256_H

#include <sha2.h>
#include <stddef.h>
#include <stdint.h>

/* SHA256Update and SHA256Final of libmd, faster; the last all at once. */
void kgi_sha256_update(SHA2_CTX *context, const void *bytes, size_t size);
void kgi_sha256_final(SHA2_CTX *context, uint8_t digest[SHA256_DIGEST_LENGTH]);
void kgi_sha256(const void *bytes, size_t size, uint8_t digest[SHA256_DIGEST_LENGTH]);

/* Puts a field whose size is in the hash already: as it is, below KGI_SHA256_LONG bytes. Of a longer one, its
 * rows of 1024 bytes go through 16 lanes, each a SHA-256 that is not ended: of a row's 256 words (u32, little-endian),
 * block word i of lane l is word 16 i + l. What is put are the lanes' states, word i of lane l at 16 i + l likewise,
 * and then the bytes behind the last row. Two fields of one size with the same result are equal or break SHA-256, as
 * with their bytes put as they are: their lanes are of equal length. */
void kgi_sha256_long(SHA2_CTX *context, const void *bytes, size_t size);
#define KGI_SHA256_LANES 16
#define KGI_SHA256_LONG ((size_t)4 << 10)

#endif
