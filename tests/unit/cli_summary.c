/* The summary of a run, from what its processes recorded: in any order, and broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/run.h"

static char *summary(const char *record, bool json, int status)
{
    char *command[] = {"a", NULL}, *text = NULL;
    const struct kgi_run run = {.command = command, .status = status, .json = json};
    FILE *in = tmpfile(), *out;
    size_t size;

    assert_non_null(in);
    fputs(record, in);
    rewind(in);
    out = open_memstream(&text, &size);
    kgi_summary(&run, in, out);
    fclose(out);
    fclose(in);
    return text;
}

static void expect(const char *record, const char *want)
{
    char *got = summary(record, false, 0);

    assert_string_equal(got, want);
    free(got);
}

#define EVENT(kind, pid, time, more)                                                               \
    "{\"event\":\"" kind "\",\"pid\":" #pid ",\"time\":" #time "," more "}\n"
#define FAILURE(pid, time, kernel, more)                                                           \
    EVENT("failure", pid, time,                                                                    \
          "\"code\":\"KG101\",\"kernel\":\"" kernel                                                \
          "\",\"library\":\"/l.so\",\"cc\":\"9.0\"" more)
#define LIBRARY                                                                                    \
    "kguard: libraries that lack code:\nkguard:   /l.so for 9.0: no code for this GPU [KG101]\n"

static void first_is_the_earliest(void **state)
{
    (void)state;
    expect(FAILURE(1, 30.5, "late", "") FAILURE(2, 10.25, "early", "") FAILURE(3, 20, "middle", ""),
           "kguard: ended with exit code 0; 3 CUDA calls failed\n"
           "kguard:   first cause  kernel early of /l.so: no code for this GPU [KG101]\n" LIBRARY);
}

static void a_probe_is_first_only_when_there_is_nothing_else(void **state)
{
    (void)state;
    expect(FAILURE(1, 1, "probe", ",\"query\":true")
               FAILURE(1, 2, "eager", ",\"not_used_yet\":true") FAILURE(1, 3, "real", ""),
           "kguard: ended with exit code 0; 3 CUDA calls failed\n"
           "kguard:   first cause  kernel real of /l.so: no code for this GPU [KG101]\n" LIBRARY);
    expect(FAILURE(1, 3, "real", "") FAILURE(1, 1, "probe", ",\"query\":true"),
           "kguard: ended with exit code 0; 2 CUDA calls failed\n"
           "kguard:   first cause  kernel real of /l.so: no code for this GPU [KG101]\n" LIBRARY);
    expect(FAILURE(1, 1, "probe", ",\"query\":true"),
           "kguard: ended with exit code 0; 1 CUDA call failed\n"
           "kguard:   first cause  kernel probe of /l.so: no code for this GPU [KG101]\n" LIBRARY);
}

static void processes_add_up(void **state)
{
    (void)state;
    expect(FAILURE(1, 1, "k", "") EVENT("summary", 1, 5, "\"code\":\"KG101\",\"count\":100")
               FAILURE(2, 2, "k", "")
                   EVENT("followup", 2, 3, "\"code\":\"KG204\",\"library\":\"/m\""),
           "kguard: ended with exit code 0; 101 CUDA calls failed\n"
           "kguard:   first cause  kernel k of /l.so: no code for this GPU [KG101]\n" LIBRARY);
}

static void broken_lines(void **state)
{
    (void)state;
    expect("{\"event\":\nnonsense\n[]\n3\n\n{}\n{\"event\":3}\n",
           "kguard: ended with exit code 0; no CUDA call was seen to fail for want of code\n"
           "kguard: 3 recorded events cannot be read (a full disk?): there may be more than this\n");
    char *json = summary("{\"event\":", true, 0); /* as a write that had no room ends */
    assert_non_null(strstr(json, ",\"lost\":1,"));
    free(json);
    expect(EVENT("failure", 1, 1, "\"kernel\":7"),
           "kguard: ended with exit code 0; 1 CUDA call failed\n"
           "kguard:   first cause  an unknown library\n");
}

static void names_are_made_safe(void **state)
{
    (void)state;
    expect(EVENT("module", 1, 1,
                 "\"code\":\"KG201\",\"library\":\"/\\u001b[2J.so\",\"package\":\"p\\n1\""),
           "kguard: ended with exit code 0; no CUDA call was seen to fail for want of code\n"
           "kguard: libraries that lack code:\n"
           "kguard:   /\\x1b[2J.so (p\\x0a1): PTX only: will be compiled at first use [KG201]\n");
}

static void package_is_looked_up(void **state)
{
    char folder[] = "/tmp/kguard-summary-XXXXXX", command[1024], record[1024], want[2048];

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(command, sizeof command,
             "cd %s && mkdir -p site-packages/demo site-packages/demo-1.2.dist-info && cd site-packages && "
             "touch demo/_C.so && printf 'demo/_C.so,,\\n' >demo-1.2.dist-info/RECORD && "
             "printf 'Metadata-Version: 2.1\\nName: demo\\nVersion: 1.2\\n' "
             ">demo-1.2.dist-info/METADATA", folder);
    assert_int_equal(system(command), 0);
    snprintf(record, sizeof record,
             "{\"event\":\"module\",\"code\":\"KG201\",\"cc\":\"9.0\",\"library\":"
             "\"%s/site-packages/demo/_C.so\"}\n", folder);
    snprintf(want, sizeof want,
             "kguard: ended with exit code 0; no CUDA call was seen to fail for want of code\n"
             "kguard: libraries that lack code:\nkguard:   %s/site-packages/demo/_C.so (demo 1.2) for "
             "9.0: PTX only: will be compiled at first use [KG201]\n", folder);
    expect(record, want);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

static void long_kernels_are_folded(void **state)
{
    (void)state;
    expect(FAILURE(1, 1,
                   "void at::native::vectorized_elementwise_kernel<4, at::native::FillFunctor<float>, "
                   "at::detail::Array<char*, 1> >(int, at::native::FillFunctor<float>)", ""),
           "kguard: ended with exit code 0; 1 CUDA call failed\n"
           "kguard:   first cause  kernel void at::native::vectorized_elementwise_kernel<...>(...) of "
           "/l.so: no code for this GPU [KG101]\n" LIBRARY);
}

static void many_libraries(void **state)
{
    char record[4096] = "", *got;

    (void)state;
    for (int i = 0; i < 15; i++)
        sprintf(record + strlen(record),
                "{\"event\":\"module\",\"code\":\"KG101\",\"library\":\"/%d\"}\n", i);
    got = summary(record, false, 0);
    assert_non_null(strstr(got, "kguard:   /11: no code"));
    assert_null(strstr(got, "/12"));
    assert_non_null(strstr(got, "kguard:   and 3 more\n"));
    free(got);
    got = summary(record, true, 9);
    assert_non_null(strstr(got, "\"/14\""));
    assert_non_null(strstr(got, "\"signal\":9"));
    free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_is_the_earliest),
        cmocka_unit_test(a_probe_is_first_only_when_there_is_nothing_else),
        cmocka_unit_test(processes_add_up),
        cmocka_unit_test(broken_lines),
        cmocka_unit_test(names_are_made_safe),
        cmocka_unit_test(package_is_looked_up),
        cmocka_unit_test(long_kernels_are_folded),
        cmocka_unit_test(many_libraries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
