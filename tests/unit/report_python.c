/* The Python stack, under every interpreter found here. This object is linked twice: as the test,
 * and as a library that report_python.py loads by ctypes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "report/report.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT int where(char *out, size_t size);
EXPORT int where_elsewhere(void);

int where(char *out, size_t size)
{
    return kgi_python_stack(out, size);
}

static void *elsewhere(void *found)
{
    char out[256];

    *(int *)found = where(out, sizeof out);
    return NULL;
}

int where_elsewhere(void)
{
    pthread_t thread;
    int found = -1;

    if (pthread_create(&thread, NULL, elsewhere, &found) == 0)
        pthread_join(thread, NULL);
    return found;
}

static int run(const char *python)
{
    char command[1024], self[512];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);

    self[length > 0 ? length : 0] = 0;
    snprintf(command, sizeof command, "'%s' tests/unit/report_python.py '%s.so'", python, self);
    return system(command);
}

static void no_interpreter(void **state)
{
    char out[64] = "x";

    (void)state;
    assert_false(kgi_python_stack(out, sizeof out));
    assert_string_equal(out, "");
}

static void interpreters(void **state)
{
    const char *home = getenv("HOME");
    char pattern[512];
    glob_t found;

    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* no interpreter here is built with a sanitizer */
#endif
    if (system("python3 -c ''") != 0)
        skip();
    assert_int_equal(run("python3"), 0);
    glob("/usr/bin/python3.[0-9]*[0-9]", 0, NULL, &found);
    snprintf(pattern, sizeof pattern, "%s/.pyenv/versions/3.*/bin/python3", home ? home : "");
    glob(pattern, GLOB_APPEND, NULL, &found);
    glob("/usr/local/bin/python3.[0-9]*[0-9]", GLOB_APPEND, NULL, &found);
    for (size_t i = 0; i < found.gl_pathc; i++)
        if (run(found.gl_pathv[i]) != 0)
            fail_msg("%s", found.gl_pathv[i]);
    globfree(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_interpreter),
        cmocka_unit_test(interpreters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
