/*
 * What a preloaded library costs a program that has nothing to do with CUDA: /bin/true is started
 * with each of the libraries in turn, thousands of times. A low percentile is what is stable here.
 *
 *   exec PAIRS LIBRARY LIBRARY    prints the p25 of both in microseconds, and both means of page faults
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "bench.h"

static double start(const char *library, double *faults)
{
    char preload[4096], path[] = "/bin/true", *argv[] = {path, NULL},
                        *environment[] = {preload, NULL};
    struct rusage used;
    pid_t child;
    int status;
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", library);
    double begin = now_ns();
    if (posix_spawn(&child, path, NULL, NULL, argv, environment) != 0 ||
        wait4(child, &status, 0, &used) != child || status != 0) {
        fprintf(stderr, "cannot start %s with %s\n", path, library);
        exit(1);
    }
    *faults += used.ru_minflt;
    return (now_ns() - begin) / 1000;
}

int main(int argc, char **argv)
{
    int pairs = argc == 4 ? atoi(argv[1]) : 0;
    double *samples[2] = {calloc(pairs + 1, sizeof(double)), calloc(pairs + 1, sizeof(double))};
    double faults[2] = {0};
    if (pairs <= 0)
        return 2;
    for (int i = 0; i < pairs; i++)
        for (int turn = 0; turn < 2; turn++) {
            int which = turn ^ (i & 1);
            samples[which][i] = start(argv[2 + which], &faults[which]);
        }
    printf("%.1f %.1f %.1f %.1f\n", percentile(samples[0], pairs, 0.25),
           percentile(samples[1], pairs, 0.25), faults[0] / pairs, faults[1] / pairs);
    return 0;
}
