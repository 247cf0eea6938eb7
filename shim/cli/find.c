/*
 * The search for magic numbers, which every byte of every file goes through. Containers lie on
 * 8-byte boundaries (their sections are aligned so, and their sizes are multiples of 8), so one
 * 32-bit word in two is compared, and with three constants at once.
 *
 * Measured on libcublasLt.so.13 (541 MB, in the page cache): read() in windows of 256 KiB 0.06 s, the
 * AVX2 compare of them in L2 cache 0.02 s on top; memmem() costs three times as much, and mmap with
 * its page faults twice.
 */
#include "cli.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum { STEP = 128 }; /* bytes per round of the vector loops */

static const uint32_t magics[] = {KGI_FATBIN_MAGIC, KGI_WRAPPER_MAGIC, 0x464c457fu /* \177ELF */};

static bool is_magic(const uint8_t *p)
{
    uint32_t word;

    memcpy(&word, p, sizeof word);
    return word == magics[0] || word == magics[1] || word == magics[2];
}

/* The first hit in [at, end), or end rounded up. */
static size_t find_plain(const uint8_t *bytes, size_t at, size_t end)
{
    while (at + 4 <= end && !is_magic(bytes + at))
        at += 8;
    return at;
}

#if defined(__x86_64__)

__attribute__((target("avx2"))) static size_t skip_avx2(const uint8_t *bytes, size_t at, size_t end)
{
    const __m256i a = _mm256_set1_epi32((int)magics[0]), b = _mm256_set1_epi32((int)magics[1]),
                  c = _mm256_set1_epi32((int)magics[2]);

    for (; at + STEP <= end; at += STEP) {
        __m256i hit = _mm256_setzero_si256();
        for (size_t i = 0; i < STEP; i += 32) {
            __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(bytes + at + i));
            hit = _mm256_or_si256(hit, _mm256_or_si256(_mm256_cmpeq_epi32(v, a),
                                                       _mm256_or_si256(_mm256_cmpeq_epi32(v, b),
                                                                       _mm256_cmpeq_epi32(v, c))));
        }
        if (!_mm256_testz_si256(hit, _mm256_set1_epi64x(0xffffffff)))
            return at;
    }
    return at;
}

static size_t skip_sse2(const uint8_t *bytes, size_t at, size_t end)
{
    const __m128i a = _mm_set1_epi32((int)magics[0]), b = _mm_set1_epi32((int)magics[1]),
                  c = _mm_set1_epi32((int)magics[2]);

    for (; at + STEP <= end; at += STEP) {
        __m128i hit = _mm_setzero_si128();
        for (size_t i = 0; i < STEP; i += 16) {
            __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(bytes + at + i));
            hit = _mm_or_si128(hit, _mm_or_si128(_mm_cmpeq_epi32(v, a),
                                                 _mm_or_si128(_mm_cmpeq_epi32(v, b),
                                                              _mm_cmpeq_epi32(v, c))));
        }
        if (_mm_movemask_epi8(hit) & 0x0f0f)
            return at;
    }
    return at;
}

/* Goes over whole steps without a hit; the hit, if any, is in the step at the place returned. */
static size_t skip(const uint8_t *bytes, size_t at, size_t end)
{
    return __builtin_cpu_supports("avx2") ? skip_avx2(bytes, at, end) : skip_sse2(bytes, at, end);
}

#elif defined(__aarch64__)

static size_t skip(const uint8_t *bytes, size_t at, size_t end)
{
    const uint32x4_t a = vdupq_n_u32(magics[0]), b = vdupq_n_u32(magics[1]),
                     c = vdupq_n_u32(magics[2]);
    const uint32x4_t even = vreinterpretq_u32_u64(vdupq_n_u64(0xffffffff));

    for (; at + STEP <= end; at += STEP) {
        uint32x4_t hit = vdupq_n_u32(0);
        for (size_t i = 0; i < STEP; i += 16) {
            uint32x4_t v = vreinterpretq_u32_u8(vld1q_u8(bytes + at + i));
            hit = vorrq_u32(hit, vorrq_u32(vceqq_u32(v, a), vorrq_u32(vceqq_u32(v, b),
                                                                      vceqq_u32(v, c))));
        }
        if (vmaxvq_u32(vandq_u32(hit, even)))
            return at;
    }
    return at;
}

#else

static size_t skip(const uint8_t *bytes, size_t at, size_t end)
{
    (void)bytes;
    (void)end;
    return at;
}

#endif

size_t kgi_find_magic(const uint8_t *bytes, size_t at, size_t size)
{
    at = skip(bytes, at, size);
    size_t hit = find_plain(bytes, at, at + STEP < size ? at + STEP : size);

    if (hit + 4 <= size && !is_magic(bytes + hit)) /* no vectors here: the whole rest is left */
        hit = find_plain(bytes, hit, size);
    return hit + 4 <= size ? hit : size;
}
