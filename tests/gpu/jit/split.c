/*
 * Where the time of a hit goes, without any driver: split FATBIN CACHE. The cache holds the fatbin's code
 * for sm_90 (kguard warm). Microseconds; the first time, and the median of fifty.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "jit/jit.h"

enum { TIMES = 50 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void show(const char *what, double *times)
{
    double first = times[0];
    qsort(times, TIMES, sizeof *times, ascending);
    printf("   %-28s %9.1f %9.1f\n", what, first, times[TIMES / 2]);
}

int main(int argc, char **argv)
{
    static double source[TIMES], get[TIMES], release[TIMES], call[TIMES], opening[TIMES],
        pages[TIMES], huge[TIMES];
    struct kgi_bytes image = kgi_file_map(argv[1], SIZE_MAX);
    struct kgi_host host = {.gpu = {90, 0}, .cuda_version = 13000};
    struct kgi_compiler own = {.kind = KGI_BY_DRIVER, .cuda_version = 13000, .build = "580.0"};
    struct kgi_cache cache = {.user = argv[2], .no_stats = true};
    struct kgi_jit_settings none = {.count = 0};
    struct kgi_source s;
    struct kgi_verdict verdict;
    struct kgi_cache_hit hit;
    size_t size = 0, room;
    (void)argc;
    for (int i = 0; i < TIMES; i++) {
        double a = now();
        int wrong = kgi_source_of(image, &host, &none, &s, &verdict);
        double b = now();
        wrong |= kgi_cache_get(&cache, &s.key, &host, &own, &hit);
        double c = now();
        if (wrong)
            return 1;
        size = hit.image.size;
        kgi_cache_free(&hit);
        double d = now();
        source[i] = b - a;
        get[i] = c - b;
        release[i] = d - c;
        a = now();
        syscall(SYS_getppid);
        call[i] = now() - a;
        a = now();
        close(open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        opening[i] = now() - a;
        a = now();
        char *p = kgi_pages_get(size);
        memset(p, 1, size);
        pages[i] = now() - a;
        kgi_pages_put(p, size);
        a = now();
        p = kgi_pages_get_huge(size, &room);
        memset(p, 1, size);
        huge[i] = now() - a;
        kgi_pages_put(p, room);
    }
    printf("   a hit of %zu bytes, us        first    median\n", size);
    show("choose and make the key", source);
    show("find, read, verify", get);
    show("release", release);
    show("(an empty system call)", call);
    show("(open and close a folder)", opening);
    show("(fill as many bytes: pages)", pages);
    show("(the same: huge pages)", huge);
    return 0;
}
