/* The fast hash is libmd's, byte for byte, whatever the pieces; lanes are the same one by one and together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#define kgi_sha256_update update_here /* beside the library's own: what is static is tried here */
#define kgi_sha256_final final_here
#define kgi_sha256_long long_here
#define kgi_sha256 whole_here
#include "jit/sha256.c"

static uint8_t bytes[40 << 10];

static void fill(void)
{
    uint64_t seed = 12345;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 56);
}

static void pieces(void **state)
{
    uint64_t seed = 12345;

    (void)state;
    fill();
    for (int turn = 0; turn < 2000; turn++) {
        uint8_t want[32], got[32];
        SHA2_CTX a, b;
        size_t size = (size_t)((seed = seed * 6364136223846793005u + 1) >> 33) % 4096, at = 0;

        SHA256Init(&a);
        SHA256Update(&a, bytes, size);
        SHA256Final(want, &a);
        SHA256Init(&b);
        while (at < size) {
            size_t part = (size_t)((seed = seed * 6364136223846793005u + 1) >> 33) % 300;

            part = part < size - at ? part : size - at;
            kgi_sha256_update(&b, bytes + at, part);
            at += part;
        }
        kgi_sha256_final(&b, got);
        assert_memory_equal(want, got, 32);
    }
}

/* Against libmd's step, with the words picked as sha256.h has it. From odd addresses too. */
static void lanes(void **state)
{
    (void)state;
    fill();
    for (size_t rows = 0; rows < 40; rows++) {
        const uint8_t *at = bytes + rows % 3;
        uint32_t want[8][LANES], single[8][LANES], all[8][LANES];

        memset(single, 7, sizeof single);
        memset(all, 7, sizeof all);
        for (size_t lane = 0; lane < LANES; lane++) {
            uint32_t one[8];

            memset(one, 7, sizeof one);
            for (size_t row = 0; row < rows; row++) {
                uint8_t block[64];

                for (size_t i = 0; i < 64; i++) /* little-endian words to a big-endian block */
                    block[i ^ 3] = at[ROW * row + 64 * (i / 4) + 4 * lane + i % 4];
                SHA256Transform(one, block);
            }
            for (size_t i = 0; i < 8; i++)
                want[i][lane] = one[i];
        }
        one_by_one(single, at, rows);
        assert_memory_equal(want, single, sizeof want);
        (has_lanes() ? together : one_by_one)(all, at, rows);
        assert_memory_equal(want, all, sizeof want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pieces), cmocka_unit_test(lanes)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
