/* Samples and their percentiles. */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * t.tv_sec + t.tv_nsec;
}

static inline int compare_samples(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

/* Sorts; the value below which `part` (0.5, 0.99) of the samples lie. */
static inline double percentile(double *samples, int count, double part)
{
    qsort(samples, count, sizeof *samples, compare_samples);
    return samples[(int)(part * (count - 1))];
}

#endif
