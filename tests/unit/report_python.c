/* The Python stack, under every interpreter found here, and those that PYTHONS names (commands, between
 * colons). This object is linked twice: as the test, and as a library that report_python.py loads by
 * ctypes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
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

/* The library is an interpreter too, of a version that nobody knows; a real one comes before it. */
EXPORT void *PyGILState_GetThisThreadState(void);
EXPORT const char *Py_GetVersion(void);

void *PyGILState_GetThisThreadState(void)
{
    static int state;

    return &state;
}

const char *Py_GetVersion(void)
{
    return "3.99.1 (main) [GCC]";
}

static void library_path(char *out, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", out, size - 4);

    strcpy(out + (length > 0 ? length : 0), ".so");
}

static int run(const char *python)
{
    char command[1024], library[512];

    library_path(library, sizeof library);
    snprintf(command, sizeof command, "'%s' tests/unit/report_python.py '%s'", python, library);
    return system(command);
}

static void unreadable(void **state)
{
    char library[512], out[64];
    int (*asked)(char *, size_t);
    void *loaded;

    (void)state;
    library_path(library, sizeof library);
    loaded = dlopen(library, RTLD_NOW);
    assert_non_null(loaded);
    *(void **)&asked = dlsym(loaded, "where");
    assert_int_equal(asked(out, sizeof out), 1);
    assert_string_equal(out, "(frames of Python 3.99.1 cannot be read)");
    dlclose(loaded);
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
    const char *home = getenv("HOME"), *named = getenv("PYTHONS");
    char pattern[512], names[1024];
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
    snprintf(names, sizeof names, "%s", named ? named : "");
    for (char *rest, *name = strtok_r(names, ":", &rest); name; name = strtok_r(NULL, ":", &rest))
        if (run(name) != 0)
            fail_msg("%s", name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_interpreter),
        cmocka_unit_test(interpreters),
        cmocka_unit_test(unreadable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
