/* The host stack: frames, names, broken stacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "report/report.h"

#define ROOM 32

/* In the test the walker and its callers are one object, which kgi_stack leaves out: what calls it
 * from elsewhere is qsort, of libc, with this object above and below. */
static struct kgi_frame frames[ROOM];
static size_t count;
static bool with_symbols;

static int compare(const void *a, const void *b)
{
    (void)a;
    (void)b;
    count = kgi_stack(frames, ROOM, with_symbols);
    return 0;
}

static void through_libc(void)
{
    int numbers[2] = {1, 2};

    memset(frames, 0, sizeof frames);
    qsort(numbers, 2, sizeof numbers[0], compare);
}

static bool has_symbol(const char *start)
{
    for (size_t i = 0; i < count; i++)
        if (frames[i].symbol && !strncmp(frames[i].symbol, start, strlen(start)))
            return true;
    return false;
}

static void frames_of_others(void **state)
{
    struct kgi_object self;

    (void)state;
    with_symbols = false;
    through_libc();
    assert_true(count >= 2); /* qsort, and the C library's start of the program */
    kgi_object_at((const void *)(uintptr_t)through_libc, &self);
    for (size_t i = 0; i < count; i++) {
        assert_true(frames[i].object.base != self.base);
        assert_null(frames[i].symbol);
        assert_true((uintptr_t)frames[i].pc > frames[i].object.low);
    }
    assert_non_null(strstr(frames[0].path, "libc"));
    assert_int_equal(frames[0].path[0], '/');
}

static void names(void **state)
{
    (void)state;
    with_symbols = true;
    through_libc();
    assert_true(has_symbol("qsort"));
}

static void errno_and_descriptors_stay(void **state)
{
    int before = 0, after = 0;
    DIR *d;

    (void)state;
    for (d = opendir("/proc/self/fd"); readdir(d);)
        before++;
    closedir(d);
    errno = 123;
    with_symbols = true;
    through_libc();
    assert_int_equal(errno, 123);
    for (d = opendir("/proc/self/fd"); readdir(d);)
        after++;
    closedir(d);
    assert_int_equal(before, after);
}

static void *in_thread(void *context)
{
    through_libc();
    return context;
}

static void small_stack(void **state)
{
    pthread_attr_t attributes;
    pthread_t thread;

    (void)state;
    with_symbols = true;
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstacksize(&attributes, 64 << 10), 0);
    assert_int_equal(pthread_create(&thread, &attributes, in_thread, NULL), 0);
    pthread_join(thread, NULL);
    assert_true(has_symbol("qsort"));
}

static void little_room(void **state)
{
    struct kgi_frame *one = calloc(1, sizeof *one);

    (void)state;
    assert_true(kgi_stack(one, 1, true) <= 1);
    assert_int_equal(kgi_stack(one, 0, true), 0);
    free(one);
}

#if defined(__x86_64__)
/* A frame whose description says where its caller is in an operation no DWARF has: libunwind calls
 * abort(). */
void unknown_description(void (*function)(void));
__asm__(".text\n"
        ".type unknown_description, @function\n"
        "unknown_description:\n\t"
        ".cfi_startproc\n\t"
        "sub $8, %rsp\n\t"
        ".cfi_escape 0x0f, 0x01, 0xe0\n\t"
        "call *%rdi\n\t"
        "add $8, %rsp\n\t"
        "ret\n\t"
        ".cfi_endproc\n"
        ".size unknown_description, . - unknown_description\n");
#else
static void unknown_description(void (*function)(void))
{
    function();
}
#endif

static void unwinder_gives_up(void **state)
{
    (void)state;
    with_symbols = true;
    unknown_description(through_libc);
    assert_true(has_symbol("qsort")); /* what was found before */
    through_libc();                   /* and it works again */
    assert_true(count >= 2);
}

static void *ask_loader(void *table)
{
    struct kgi_object libc = {0};
    const ElfW(Phdr) *p;

    kgi_object_named("libc.so.6", &libc);
    p = libc.segments;
    for (size_t i = 0; i < libc.segment_count; i++)
        if (p[i].p_type == PT_GNU_EH_FRAME)
            *(uint8_t **)table = (uint8_t *)(libc.base + p[i].p_vaddr);
    return NULL;
}

/* The same in the midst of a walk of the loaded objects, by a table whose addresses are written in a way
 * that there is none of: the loader's lock is given back. First of the tests: libunwind remembers tables. */
static void unwinder_gives_up_in_a_walk(void **state)
{
    uint8_t *table = NULL, *page, before;
    struct timespec end;
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    pthread_t thread;

    (void)state;
    ask_loader(&table);
    assert_non_null(table);
    page = (uint8_t *)((uintptr_t)table & ~(size - 1));
    assert_int_equal(mprotect(page, size, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
    before = table[1];
    table[1] = 0x0f;
    through_libc();
    table[1] = before;
    assert_int_equal(mprotect(page, size, PROT_READ | PROT_EXEC), 0);
    assert_int_equal(pthread_create(&thread, NULL, ask_loader, &table), 0);
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 20;
    assert_int_equal(pthread_timedjoin_np(thread, NULL, &end), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unwinder_gives_up_in_a_walk),
        cmocka_unit_test(frames_of_others),
        cmocka_unit_test(names),
        cmocka_unit_test(errno_and_descriptors_stay),
        cmocka_unit_test(small_stack),
        cmocka_unit_test(little_room),
        cmocka_unit_test(unwinder_gives_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
