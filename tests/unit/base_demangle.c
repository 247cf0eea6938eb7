/* Names in readable form, on any stack, whatever they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/base.h"

static void names(void **state)
{
    static const char *const rows[][2] = {
        {"_Z15voxelize_kernelPfi", "voxelize_kernel(float*, int)"},
        {"_ZN2at6native6kernelIfLi4EEEvPT_i", "void at::native::kernel<float, 4>(float*, int)"},
        {"_ZN12_GLOBAL__N_11fEv", "(anonymous namespace)::f()"},
        {"plain_c_kernel", "plain_c_kernel"},
        {"i", "i"}, /* a type's name to the demangler, a function's to us */
        {"_Z", "_Z"},
        {"_Z15voxelize", "_Z15voxelize"},
        {"", ""},
        {"_Znonsense", "_Znonsense"},
    };
    char out[256];

    (void)state;
    for (size_t i = 0; i < KGI_COUNT(rows); i++) {
        kgi_demangle(rows[i][0], out, sizeof out);
        assert_string_equal(out, rows[i][1]);
    }
}

/* What the demangler takes it demangles; of a longer name the reader gets the beginning. */
static void long_names(void **state)
{
    static const struct {
        const char *start, *brick, *end, *whole, *beginning;
    } rows[] = {
        {"_ZN7cutlass7Kernel2I", "Li1E", "EEvv", "void cutlass::Kernel2<1, 1", "cutlass::Kernel2<...>"},
        {"_ZN7cutlass7Kernel2INS_4gemm6kernel4GemmI", "Li1E", "EEEEvv",
         "void cutlass::Kernel2<cutlass::gemm::kernel::Gemm<1, 1",
         "cutlass::Kernel2<cutlass::gemm::kernel::Gemm<...>...>"},
        {"_ZN2ns1fINS_1eE", "Li1E", "EEvv", "void ns::f<ns::e, 1, 1", "ns::f<ns::e...>"},
        {"_Z6kernelI", "Li1E", "Evv", "void kernel<1, 1", "kernel<...>"},
        {"_ZL6kernelI", "Li1E", "Evv", "void kernel<1, 1", "kernel<...>"},
        {"_ZN12_GLOBAL__N_11fI", "Li1E", "EEvv", "void (anonymous namespace)::f<1",
         "(anonymous namespace)::f<...>"},
        {"_ZNSt1f1gI", "Li1E", "EEvv", "void std::f::g<1", "std::f::g<...>"},
        {"_ZN1a1fE", "PPPi", "", "a::f(int***, int***", "a::f(...)"},
        {"_Z1f", "PPPi", "", "f(int***, int***", "f(...)"},
        {"_ZNK1aclE", "PPPi", "", "a::operator()(int***, int***", "a..."},
    };
    char name[2048], out[16384];

    (void)state;
    for (size_t i = 0; i < KGI_COUNT(rows); i++) {
        size_t at = strlen(strcpy(name, rows[i].start)), length = 0;

        while (length <= 1024) {
            at += strlen(strcpy(name + at, rows[i].brick));
            length = at + strlen(strcpy(name + at, rows[i].end));
            if (length > 1000) { /* the last ones before the limit, and the first after it */
                const char *start = length <= 1024 ? rows[i].whole : rows[i].beginning;

                kgi_demangle(name, out, sizeof out);
                assert_memory_equal(out, start, strlen(start) + (length > 1024));
            }
        }
    }
    memset(name, 'x', 1500);
    name[1500] = 0;
    memcpy(name, "_Z9999", 6); /* no name is so long here */
    kgi_demangle(name, out, sizeof out);
    assert_string_equal(out, name);
}

static void cut_to_size(void **state)
{
    (void)state;
    for (size_t size = 1; size < 40; size++) {
        char *out = malloc(size);

        kgi_demangle("_Z15voxelize_kernelPfi", out, size);
        assert_int_equal(strlen(out), size - 1 < 28 ? size - 1 : 28);
        assert_memory_equal(out, "voxelize_kernel(float*, int)", strlen(out));
        free(out);
    }
    kgi_demangle("_Z1fv", NULL, 0);
}

/* Deep nesting, and lengths around the limit. */
static void *hostile(void *context)
{
    char *name = malloc(100001), out[512];
    static const char *const bricks[] = {"P", "I", "N", "S_", "T_", "F", "DpX", "1a", "L", "K"};

    for (size_t length = 1000; length <= 100000; length *= 10) {
        for (size_t b = 0; b < KGI_COUNT(bricks); b++) {
            size_t at = (size_t)(stpcpy(name, "_Z1f") - name);

            while (at + 4 < length)
                at = (size_t)(stpcpy(name + at, bricks[b]) - name);
            strcpy(name + at, b ? "EEE" : "i");
            kgi_demangle(name, out, sizeof out);
            if (!out[0] || strlen(out) >= sizeof out)
                return "bad result";
        }
    }
    free(name);
    return context;
}

static void small_stack(void **state)
{
    pthread_attr_t attributes;
    pthread_t thread;
    void *trouble;

    (void)state;
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstacksize(&attributes, 64 << 10), 0);
    assert_int_equal(pthread_create(&thread, &attributes, hostile, NULL), 0);
    pthread_join(thread, &trouble);
    assert_null(trouble);
}

/* 20 000 names made of pieces of real ones. */
static void random_names(void **state)
{
    static const char alphabet[] = "_ZNSTLIEPKRvifjlDpXsrC1234567890acdgtQqUu";
    uint32_t seed = 1;
    char name[400], out[300];

    (void)state;
    for (int i = 0; i < 20000; i++) {
        size_t length = 3 + seed % 390;

        strcpy(name, "_Z");
        for (size_t j = 2; j < length; j++) {
            seed = seed * 1664525 + 1013904223;
            name[j] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
        }
        name[length] = 0;
        kgi_demangle(name, out, sizeof out);
        assert_true(strlen(out) < sizeof out && out[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(long_names),
        cmocka_unit_test(cut_to_size),
        cmocka_unit_test(small_stack),
        cmocka_unit_test(random_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
