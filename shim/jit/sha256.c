/*
 * SHA-256 over many bytes, by the processor's own instructions where it has them: a key is made at every
 * load of an image, and libmd's 270 MB/s would be the larger part of a hit (136 KB of packed PTX: 0.5 ms,
 * with the instructions 0.07). The state is libmd's own; beginning, end and odd bytes are left to it.
 */
#include "sha256.h"

#include <stdbool.h>

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

/* CPUID: SSSE3 and SSE4.1 for the shuffles, leaf 7 for SHA itself. */
static bool has_instructions(void)
{
    static _Atomic int known; /* 1 no, 2 yes */
    unsigned a, b, c, d;
    int answer = atomic_load_explicit(&known, memory_order_relaxed);

    if (!answer) {
        answer = 1;
        if (__get_cpuid(1, &a, &b, &c, &d) && c & 1u << 9 && c & 1u << 19 &&
            __get_cpuid_count(7, 0, &a, &b, &c, &d) && b & 1u << 29)
            answer = 2;
        atomic_store_explicit(&known, answer, memory_order_relaxed);
    }
    return answer == 2;
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

static size_t hash_blocks(SHA2_CTX *context, const uint8_t *at, size_t size)
{
    size_t blocks = size / SHA256_BLOCK_LENGTH;

    if (!blocks || !has_instructions())
        return 0;
    transform(context->state.st32, at, blocks);
    context->bitcount[0] += (uint64_t)blocks * SHA256_BLOCK_LENGTH * 8;
    return blocks * SHA256_BLOCK_LENGTH;
}
void kgi_sha256_update(SHA2_CTX *context, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    size_t used = context->bitcount[0] / 8 % SHA256_BLOCK_LENGTH, done;

    if (used && size) {
        done = SHA256_BLOCK_LENGTH - used;
        done = done < size ? done : size;
        SHA256Update(context, at, done);
        at += done;
        size -= done;
    }
    done = hash_blocks(context, at, size);
    SHA256Update(context, at + done, size - done);
}
