/* The fast hash is libmd's, byte for byte, whatever the pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "jit/sha256.h"

static uint8_t bytes[4096];

static void pieces(void **state)
{
    uint64_t seed = 12345;

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 56);
    for (int turn = 0; turn < 2000; turn++) {
        uint8_t want[32], got[32];
        SHA2_CTX a, b;
        size_t size = (size_t)((seed = seed * 6364136223846793005u + 1) >> 33) % sizeof bytes, at = 0;

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
        SHA256Final(got, &b);
        assert_memory_equal(want, got, 32);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pieces)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
