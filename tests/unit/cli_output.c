/* What a scan prints where memory runs out: that something is left out is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>

#include "cli/scan.h"

/* A file of more kernels than an address space has room for. */
static void kernels_without_memory(void **state)
{
    enum { CODES = 4000 };
    static struct kgi_code codes[CODES];
    static struct kgi_kernel one, *kernels[CODES];
    struct kgi_found found = {.codes = codes, .count = CODES, .kernels = kernels};
    struct kgi_file file = {.path = (char *)(uintptr_t)"a.so", .found = &found, .found_count = 1};
    struct kgi_scan scan = {.files = &file, .file_count = 1, .asked = true, .kernels = true};
    char *text = NULL;
    size_t size;

    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* they end the program */
#endif
    for (size_t i = 0; i < CODES; i++) {
        codes[i].kernels = INT32_MAX;
        kernels[i] = &one;
    }
    for (enum kgi_format format = KGI_FORMAT_TEXT; format <= KGI_FORMAT_JSONL; format++) {
        FILE *out = open_memstream(&text, &size);
        scan.format = format;
        assert_int_equal((format ? kgi_output_machine : kgi_output_text)(&scan, out), -ENOMEM);
        fclose(out);
        assert_null(strstr(text, "kernels"));
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(kernels_without_memory)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
