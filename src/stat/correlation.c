/* SPDX-License-Identifier: MIT
 * correlation.c - Pearson's and Spearman's (include/twinlens/statistics.h). */
#include <math.h>
#include <stdlib.h>

#include "twinlens/alloc.h"
#include "twinlens/statistics.h"

double tl_pearson(const double *x, const double *y, size_t n)
{
    double mean_x = 0.0, mean_y = 0.0, xy = 0.0, xx = 0.0, yy = 0.0;
    for (size_t i = 0; i < n; i++) {
        mean_x += x[i] / (double)n;
        mean_y += y[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        xy += (x[i] - mean_x) * (y[i] - mean_y);
        xx += (x[i] - mean_x) * (x[i] - mean_x);
        yy += (y[i] - mean_y) * (y[i] - mean_y);
    }
    return xx > 0.0 && yy > 0.0 ? xy / sqrt(xx * yy) : NAN;
}

typedef struct placed {
    double value;
    size_t at;
} placed;

static int by_value(const void *a, const void *b)
{
    const placed *x = a, *y = b;
    return (x->value > y->value) - (x->value < y->value);
}

/* Equal values share the mean of their ranks. */
static void rank(const double *x, size_t n, placed *order, double *ranks)
{
    for (size_t i = 0; i < n; i++)
        order[i] = (placed){x[i], i};
    qsort(order, n, sizeof *order, by_value);
    for (size_t i = 0; i < n;) {
        size_t end = i + 1;
        while (end < n && order[end].value == order[i].value)
            end++;
        for (size_t k = i; k < end; k++)
            ranks[order[k].at] = (double)(i + end - 1) / 2;
        i = end;
    }
}

tl_status tl_spearman(const double *x, const double *y, size_t n, double *out,
                      tl_error *err)
{
    placed *order = tl_alloc(n, sizeof *order);
    double *ranks = tl_alloc(2 * n, sizeof *ranks);
    if (order == NULL || ranks == NULL) {
        tl_free(order);
        tl_free(ranks);
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu ranks", n);
    }
    rank(x, n, order, ranks);
    rank(y, n, order, ranks + n);
    *out = tl_pearson(ranks, ranks + n, n);
    tl_free(order);
    tl_free(ranks);
    return TL_OK;
}
