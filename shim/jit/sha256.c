/*
 * SHA-256 over many bytes, by the processor's own instructions where it has them: a key is made at every
 * load of an image, and libmd's 270 MB/s would be the larger part of a hit (136 KB of packed PTX: 0.5 ms,
 * with the instructions 0.07). The state is libmd's own.
 *
 * Those instructions wait for each other: 1.4 GB/s, and 1.3 MB of PTX text is a millisecond. So most of a long
 * field is hashed in lanes, which do not: 3.4 GB/s with AVX-512. Without it, lane by lane, 1.0 GB/s.
 */
#include "sha256.h"

#include "../base/base.h"

#include <endian.h>

#if defined(__x86_64__) || defined(__aarch64__)
static const uint32_t rounds[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
#endif

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>

enum { ASKED = 1, HAS_SHA = 2, HAS_AVX512 = 4 };

/* CPUID: bits of leaf 1's ecx, of leaf 7's ebx. */
enum { SSSE3 = 1 << 9, SSE41 = 1 << 19, OSXSAVE = 1 << 27, AVX512F = 1 << 16, SHA = 1 << 29 };

__attribute__((target("xsave"))) static bool system_keeps_avx512(void)
{
    return (_xgetbv(0) & 0xe6) == 0xe6;
}

/* In a virtual machine each CPUID leaves it, for 1 to 12 us. glibc has asked, and tells since 2.33
 * (sys/platform/x86.h): eax to edx of a leaf, then those bits of them that can be used. */
static int ask_processor(void)
{
    struct kgi_object libc;
    const unsigned *(*tell)(unsigned leaf) = NULL, *one = NULL, *seven = NULL;
    unsigned features, extended, none;
    bool wide;

    if (kgi_object_named("libc.so.6", &libc))
        *(void **)&tell = kgi_object_symbol(&libc, "__x86_get_cpuid_feature_leaf");
    if (tell) {
        one = tell(0);
        seven = tell(1);
    }
    if (one && seven) {
        features = one[2];
        extended = seven[1];
        wide = seven[4 + 1] & AVX512F;
    } else {
        if (!__get_cpuid(1, &none, &none, &features, &none) ||
            !__get_cpuid_count(7, 0, &none, &extended, &none, &none))
            return ASKED;
        wide = extended & AVX512F && features & OSXSAVE && system_keeps_avx512();
    }
    return ASKED | (features & SSSE3 && features & SSE41 && extended & SHA ? HAS_SHA : 0) |
           (wide ? HAS_AVX512 : 0);
}

static bool processor_has(int what)
{
    static _Atomic int known;
    int answer = atomic_load_explicit(&known, memory_order_relaxed);

    if (!answer) {
        answer = ask_processor();
        atomic_store_explicit(&known, answer, memory_order_relaxed);
    }
    return answer & what;
}

static bool has_instructions(void)
{
    return processor_has(HAS_SHA);
}

static bool has_lanes(void)
{
    return processor_has(HAS_AVX512);
}

/* The instructions hold the state as ABEF and CDGH. w[i % 4] are the four message words of step i. */
__attribute__((target("sha,sse4.1,ssse3"))) static void transform(uint32_t state[8],
                                                                  const uint8_t *at, size_t blocks)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i low = _mm_loadu_si128((const __m128i *)state);
    __m128i high = _mm_loadu_si128((const __m128i *)(state + 4));
    __m128i badc = _mm_shuffle_epi32(low, 0xb1), hgfe = _mm_shuffle_epi32(high, 0x1b);
    __m128i abef = _mm_alignr_epi8(badc, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);

    for (; blocks--; at += 64) {
        __m128i w[4], before_abef = abef, before_cdgh = cdgh;

#pragma GCC unroll 16 /* w in registers: a fifth faster */
        for (int i = 0; i < 16; i++) {
            __m128i *now = &w[i & 3], sum;

            if (i < 4) {
                *now = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)at + i), swap);
            } else {
                __m128i before = w[(i + 3) & 3];
                __m128i seventh = _mm_alignr_epi8(before, w[(i + 2) & 3], 4);

                *now = _mm_sha256msg1_epu32(*now, w[(i + 1) & 3]);
                *now = _mm_sha256msg2_epu32(_mm_add_epi32(*now, seventh), before);
            }
            sum = _mm_add_epi32(*now, _mm_load_si128((const __m128i *)rounds + i));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
        }
        abef = _mm_add_epi32(abef, before_abef);
        cdgh = _mm_add_epi32(cdgh, before_cdgh);
    }
    low = _mm_shuffle_epi32(abef, 0x1b);
    high = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(low, high, 0xf0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(high, low, 8));
}

#elif defined(__aarch64__)
#include <arm_neon.h>
#include <sys/auxv.h>

static bool has_instructions(void)
{
    return getauxval(AT_HWCAP) & 1 << 6; /* HWCAP_SHA2 */
}

__attribute__((target("+crypto"))) static void transform(uint32_t state[8], const uint8_t *at,
                                                         size_t blocks)
{
    uint32x4_t abcd = vld1q_u32(state), efgh = vld1q_u32(state + 4);

    for (; blocks--; at += 64) {
        uint32x4_t w[4], before_abcd = abcd, before_efgh = efgh;

#pragma GCC unroll 16 /* w in registers: a fifth faster */
        for (int i = 0; i < 16; i++) {
            uint32x4_t *now = &w[i & 3], sum, before = abcd;

            if (i < 4)
                *now = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(at + 16 * i)));
            else
                *now = vsha256su1q_u32(vsha256su0q_u32(*now, w[(i + 1) & 3]), w[(i + 2) & 3],
                                       w[(i + 3) & 3]);
            sum = vaddq_u32(*now, vld1q_u32(rounds + 4 * i));
            abcd = vsha256hq_u32(abcd, efgh, sum);
            efgh = vsha256h2q_u32(efgh, before, sum);
        }
        abcd = vaddq_u32(abcd, before_abcd);
        efgh = vaddq_u32(efgh, before_efgh);
    }
    vst1q_u32(state, abcd);
    vst1q_u32(state + 4, efgh);
}
#else
static bool has_instructions(void)
{
    return false;
}

static void transform(uint32_t state[8], const uint8_t *at, size_t blocks)
{
    (void)state;
    (void)at;
    (void)blocks;
}
#endif

static void take(SHA2_CTX *context, const void *bytes, size_t size)
{
    memcpy(context->buffer + context->bitcount[0] / 8 % SHA256_BLOCK_LENGTH, bytes, size);
    context->bitcount[0] += size * 8;
}

void kgi_sha256_update(SHA2_CTX *context, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    size_t used = context->bitcount[0] / 8 % SHA256_BLOCK_LENGTH, part = SHA256_BLOCK_LENGTH - used, blocks;

    if (!has_instructions()) {
        SHA256Update(context, at, size);
        return;
    }
    if (used && size >= part) {
        take(context, at, part);
        transform(context->state.st32, context->buffer, 1);
        at += part;
        size -= part;
        used = 0;
    }
    blocks = used ? 0 : size / SHA256_BLOCK_LENGTH;
    if (blocks)
        transform(context->state.st32, at, blocks);
    context->bitcount[0] += blocks * SHA256_BLOCK_LENGTH * 8;
    take(context, at + blocks * SHA256_BLOCK_LENGTH, size - blocks * SHA256_BLOCK_LENGTH);
}

void kgi_sha256_final(SHA2_CTX *context, uint8_t digest[SHA256_DIGEST_LENGTH])
{
    static const uint8_t padding[SHA256_BLOCK_LENGTH] = {0x80};
    uint64_t bits = htobe64(context->bitcount[0]);
    size_t used = context->bitcount[0] / 8 % SHA256_BLOCK_LENGTH;

    kgi_sha256_update(context, padding, 1 + (2 * SHA256_BLOCK_LENGTH - sizeof bits - 1 - used) % SHA256_BLOCK_LENGTH);
    kgi_sha256_update(context, &bits, sizeof bits);
    for (int i = 0; i < 8; i++) {
        uint32_t word = htobe32(context->state.st32[i]);

        memcpy(digest + 4 * i, &word, sizeof word);
    }
}

void kgi_sha256(const void *bytes, size_t size, uint8_t digest[SHA256_DIGEST_LENGTH])
{
    SHA2_CTX context;

    SHA256Init(&context);
    kgi_sha256_update(&context, bytes, size);
    kgi_sha256_final(&context, digest);
}

/* ---- lanes
 * ---------------------------------------------------------------------------------------------- */

enum { LANES = KGI_SHA256_LANES, ROW = LANES * SHA256_BLOCK_LENGTH };

static void one_by_one(uint32_t states[8][LANES], const uint8_t *at, size_t rows)
{
    uint32_t state[LANES][8];

    for (int i = 0; i < 8 * LANES; i++)
        state[i / 8][i % 8] = states[i % 8][i / 8];
    for (; rows--; at += ROW) {
        uint32_t words[LANES * 16], block[16];

        memcpy(words, at, sizeof words);
        for (int lane = 0; lane < LANES; lane++) {
            for (int i = 0; i < 16; i++)
                block[i] = htobe32(words[LANES * i + lane]);
            if (has_instructions())
                transform(state[lane], (const uint8_t *)block, 1);
            else
                SHA256Transform(state[lane], (const uint8_t *)block);
        }
    }
    for (int i = 0; i < 8 * LANES; i++)
        states[i % 8][i / 8] = state[i / 8][i % 8];
}

#if defined(__x86_64__)
typedef uint32_t words __attribute__((vector_size(4 * LANES)));
#define ROTATED(x, n) ((x) >> (n) | (x) << (32 - (n)))

/* FIPS 180-4, 6.2.2, in every lane at once. Step i has its `a` in v[-i & 7]: nothing is moved. */
__attribute__((target("avx512f"))) static void together(uint32_t states[8][LANES], const uint8_t *at, size_t rows)
{
    words state[8];

    memcpy(state, states, sizeof state);
    for (; rows--; at += ROW) {
        words w[16], v[8];

        memcpy(v, state, sizeof v);
        memcpy(w, at, sizeof w);
        for (int part = 0; part < 64; part += 16) {
#pragma GCC unroll 16
            for (int i = 0; i < 16; i++) {
                words a = v[-i & 7], b = v[(1 - i) & 7], c = v[(2 - i) & 7], e = v[(4 - i) & 7], sum;

                if (part) {
                    words w15 = w[(i + 1) & 15], w2 = w[(i + 14) & 15];

                    w[i] += (ROTATED(w15, 7) ^ ROTATED(w15, 18) ^ w15 >> 3) + w[(i + 9) & 15] +
                            (ROTATED(w2, 17) ^ ROTATED(w2, 19) ^ w2 >> 10);
                }
                sum = v[(7 - i) & 7] + (ROTATED(e, 6) ^ ROTATED(e, 11) ^ ROTATED(e, 25)) +
                      ((e & v[(5 - i) & 7]) ^ (~e & v[(6 - i) & 7])) + rounds[part + i] + w[i];
                v[(3 - i) & 7] += sum;
                v[(7 - i) & 7] = sum + (ROTATED(a, 2) ^ ROTATED(a, 13) ^ ROTATED(a, 22)) +
                                 ((a & b) ^ (a & c) ^ (b & c));
            }
        }
        for (int i = 0; i < 8; i++)
            state[i] += v[i];
    }
    memcpy(states, state, sizeof state);
}
#else
#define together one_by_one

static bool has_lanes(void)
{
    return false;
}
#endif

void kgi_sha256_long(SHA2_CTX *context, const void *bytes, size_t size)
{
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint32_t states[8][LANES];
    size_t rows = size / ROW;

    if (size < KGI_SHA256_LONG) {
        kgi_sha256_update(context, bytes, size);
        return;
    }
    for (int i = 0; i < 8 * LANES; i++)
        states[i / LANES][i % LANES] = initial[i / LANES];
    (has_lanes() ? together : one_by_one)(states, bytes, rows);
    kgi_sha256_update(context, states, sizeof states);
    kgi_sha256_update(context, (const uint8_t *)bytes + rows * ROW, size - rows * ROW);
}
