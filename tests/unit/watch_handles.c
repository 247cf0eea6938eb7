/* What is remembered of handles: found, gone with what they were found through, and without growing in a
 * process that loads and unloads for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "watch/watch.h"

static const char lasting[64] = "not an image, but in this program's own file";

static const void *handle(uintptr_t number)
{
    return (const void *)(0x7f0000000000 + 16 * number);
}

static bool known(const void *h)
{
    struct kgi_kernel kernel;

    return kgi_handle_get(h, &kernel);
}

static void drop(const void *h)
{
    struct kgi_kernel kernel;

    if (kgi_handle_get(h, &kernel))
        kgi_handle_drop(h, &kernel);
}

static void parts_go_with_the_whole(void **state)
{
    struct kgi_image *image = kgi_image_at(lasting, NULL);
    struct kgi_kernel kernel;

    (void)state;
    assert_non_null(image);
    kgi_handle_set(handle(1), image, NULL, NULL);        /* a library, */
    kgi_handle_set(handle(2), image, "two", handle(1));  /* its kernels, */
    kgi_handle_set(handle(3), image, "three", handle(1));
    kgi_handle_set(handle(4), image, "four", handle(2)); /* the function of one, */
    kgi_handle_set(handle(5), image, "five", handle(5)); /* and one that is its own container */
    assert_true(kgi_handle_get(handle(4), &kernel));
    assert_string_equal(kernel.name, "four");
    drop(handle(2));
    assert_true(known(handle(1)) && known(handle(3)) && known(handle(5)));
    assert_false(known(handle(2)) || known(handle(4)));
    kgi_handle_set(handle(2), image, "again", handle(1));
    drop(handle(1));
    assert_false(known(handle(1)) || known(handle(2)) || known(handle(3)));
    assert_true(known(handle(5)));
}

/* A module whose end was not seen, and another at its address. */
static void another_at_its_address(void **state)
{
    char memory[64] = "not an image either, and on the stack";
    struct kgi_image *first = kgi_image_at(lasting, NULL), *second = kgi_image_at(memory, NULL);
    struct kgi_kernel kernel, old;

    (void)state;
    kgi_handle_set(handle(10), first, NULL, NULL);
    assert_true(kgi_handle_get(handle(10), &old));
    kgi_handle_set(handle(11), first, "old", handle(10));
    kgi_handle_set(handle(10), second, NULL, NULL);
    assert_false(known(handle(11)));
    /* The unload of the first returns only now. */
    kgi_handle_drop(handle(10), &old);
    assert_true(kgi_handle_get(handle(10), &kernel) && kernel.image == second);
    drop(handle(10));
    assert_false(known(handle(10)));
}

/* A module that went with its context, and at its address that of another library of the same image; functions
 * that both the driver and a host stub lead to stay with the driver's. */
static void another_of_the_same_image(void **state)
{
    struct kgi_image *image = kgi_image_at(lasting, NULL);

    (void)state;
    kgi_handle_set(handle(20), image, NULL, NULL);
    kgi_handle_set(handle(21), image, NULL, handle(20));
    kgi_handle_set(handle(22), image, "function", handle(21));
    kgi_handle_set(handle(23), image, NULL, NULL);
    kgi_handle_set(handle(24), image, "function", NULL); /* the stub */
    assert_ptr_equal(kgi_handle_root(handle(22)), handle(20));
    kgi_handle_set(handle(22), image, "function", handle(24));
    kgi_handle_set(handle(21), image, NULL, handle(20));
    assert_ptr_equal(kgi_handle_root(handle(22)), handle(20));
    kgi_handle_set(handle(22), image, "function", handle(21));
    kgi_handle_set(handle(21), image, NULL, handle(23));
    assert_ptr_equal(kgi_handle_root(handle(21)), handle(23));
    assert_false(known(handle(22)));
    kgi_handle_set(handle(22), image, "function", handle(21));
    drop(handle(20));
    assert_ptr_equal(kgi_handle_root(handle(22)), handle(23));
    drop(handle(23));
    assert_false(known(handle(21)) || known(handle(22)));
    assert_true(known(handle(24)));
    drop(handle(24));
}

/* Between an unload and its end another load, of the same image even, is given the handle: it stays, with what
 * was found through it. An image built in memory goes with what it was loaded as, and with nothing else. */
static void another_turn(void **state)
{
    char memory[64] = "an image on the stack, to be unloaded";
    struct kgi_image *images[2] = {kgi_image_at(lasting, NULL), kgi_image_at(memory, NULL)};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct kgi_kernel gone, found;
        uint32_t age = images[i]->age;

        kgi_handle_set(handle(30), images[i], NULL, NULL);
        kgi_handle_set(handle(31), images[i], "function", handle(30));
        assert_true(kgi_handle_get(handle(30), &gone) && kgi_handle_get(handle(31), &found));
        kgi_handle_drop(handle(31), &found);
        assert_int_equal(images[i]->age, age);
        kgi_handle_set(handle(30), images[0], NULL, NULL);
        assert_false(known(handle(31)));
        kgi_handle_set(handle(31), images[0], "function", handle(30));
        kgi_handle_drop(handle(30), &gone);
        assert_true(known(handle(30)) && known(handle(31)));
        assert_int_equal(images[i]->age, age + (uint32_t)i);
        drop(handle(30));
        assert_false(known(handle(30)) || known(handle(31)));
    }
}

/* Several threads may find at once that another image lies where one was. */
static void ends_once(void **state)
{
    char memory[64] = "an image on the stack";
    struct kgi_image *image = kgi_image_at(lasting, NULL), *again, *other;
    uint32_t age = image->age;

    (void)state;
    kgi_image_unregister(image, age);
    kgi_image_unregister(image, age);
    again = kgi_image_at(lasting, NULL);
    kgi_image_unregister(image, age);
    other = kgi_image_at(memory, NULL);
    assert_ptr_not_equal(again, other);
    assert_ptr_equal(kgi_image_at(lasting, NULL), again);
}

static void no_growth(void **state)
{
    struct kgi_image *image = kgi_image_at(lasting, NULL);
    const char *before = NULL, *after;

    (void)state;
    for (uintptr_t i = 0; i < 200000; i++) {
        kgi_handle_set(handle(100 + 3 * i), image, NULL, NULL);
        kgi_handle_set(handle(101 + 3 * i), image, "kernel", handle(100 + 3 * i));
        kgi_handle_set(handle(102 + 3 * i), image, "kernel", handle(101 + 3 * i));
        drop(handle(100 + 3 * i));
        if (i == 1000)
            before = kgi_alloc(16);
    }
    after = kgi_alloc(16);
    assert_true(after > before && after - before <= 64);
}

/* A fatbin in this program's own file, as a plugin's is registered each time that it is loaded; it fails. */
__asm__(".section .rodata\n"
        ".balign 8\n"
        "fatbin: .incbin \"examples/voxelize.sm_60-90.fatbin\"\n"
        ".previous\n"
        ".section .data\n"
        ".balign 8\n"
        "registered: .long 0x466243b1, 1\n"
        ".quad fatbin, 0\n"
        ".previous\n");
extern const char registered[] __attribute__((visibility("hidden")));

static void no_growth_by_plugins(void **state)
{
    struct kgi_call call = {.api = "cudaLaunchKernel", .result = 209, .use = KGI_USE_LAUNCH};
    const char *before = NULL, *after;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        struct kgi_image *image = kgi_image_registered(registered);

        kgi_image_read(image);
        assert_int_equal(image->count, 8);
        kgi_image_inspect(image);
        assert_int_equal(image->codes[7].kernels, 1);
        kgi_failure(&call, &(struct kgi_kernel){image, "kernel", image->age, 0});
        kgi_failure(&call, &(struct kgi_kernel){image, "kernel", image->age, 0});
        kgi_image_unregister(image, image->age);
        if (i == 100)
            before = kgi_alloc(16);
    }
    after = kgi_alloc(16);
    assert_true(after > before && after - before <= 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_go_with_the_whole),
        cmocka_unit_test(another_at_its_address),
        cmocka_unit_test(another_of_the_same_image),
        cmocka_unit_test(another_turn),
        cmocka_unit_test(ends_once),
        cmocka_unit_test(no_growth),
        cmocka_unit_test(no_growth_by_plugins),
    };

    setenv("KGUARD_LOG_FILE", "/dev/null", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
