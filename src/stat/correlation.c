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

/* Room for n values; none is NULL. */
typedef struct room {
    placed *order;
    double *ranks; /* [2n] */
} room;

static tl_status make_room(size_t n, room *out, tl_error *err)
{
    *out = (room){tl_alloc(n + 1, sizeof *out->order),
                  tl_alloc(2 * n + 1, sizeof *out->ranks)};
    return out->order != NULL && out->ranks != NULL
               ? TL_OK
               : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu ranks", n);
}

static void free_room(room *r)
{
    tl_free(r->order);
    tl_free(r->ranks);
}

static double spearman(const double *x, const double *y, size_t n, const room *r)
{
    rank(x, n, r->order, r->ranks);
    rank(y, n, r->order, r->ranks + n);
    return tl_pearson(r->ranks, r->ranks + n, n);
}

tl_status tl_spearman(const double *x, const double *y, size_t n, double *out,
                      tl_error *err)
{
    room r;
    const tl_status status = make_room(n, &r, err);
    if (status == TL_OK)
        *out = spearman(x, y, n, &r);
    free_room(&r);
    return status;
}

/* ---- with intervals --------------------------------------------------------------- */

typedef enum coefficient { PEARSON, SPEARMAN, COEFFICIENTS } coefficient;

static double correlation(coefficient c, const double *x, const double *y, size_t n,
                          const room *r)
{
    return c == PEARSON ? tl_pearson(x, y, n) : spearman(x, y, n, r);
}

/* On this scale errors of a correlation are nearly normal and as large near 1 as near 0. */
static double fisher(double r)
{
    static const double MOST = 1 - 1e-12;
    return atanh(r > MOST ? MOST : r < -MOST ? -MOST : r);
}

/* left_out[n]: the correlation without each cluster. */
static tl_interval around(double value, double *left_out, size_t n)
{
    tl_interval i = {.value = value, .low = NAN, .high = NAN, .deviation = NAN};
    if (n < 2 || isnan(value))
        return i;
    i.deviation = sqrt(tl_jackknife_variance(left_out, n));
    for (size_t k = 0; k < n; k++)
        left_out[k] = fisher(left_out[k]);
    const double half = tl_student_quantile(0.975, (double)(n - 1)) *
                        sqrt(tl_jackknife_variance(left_out, n));
    i.low = tanh(fisher(value) - half);
    i.high = tanh(fisher(value) + half);
    return i;
}

/* Values of a cluster stand together: the number of the clusters. */
static size_t count_clusters(const size_t *clusters, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += i == 0 || clusters[i] != clusters[i - 1];
    return count;
}

/* left_out receives a correlation for each cluster; u and v are for n values. */
static void leave_out_each(coefficient c, const double *x, const double *y,
                           const size_t *clusters, size_t n, double *u, double *v,
                           const room *r, double *left_out)
{
    for (size_t begin = 0, end, k = 0; begin < n; begin = end, k++) {
        size_t kept = 0;
        for (end = begin; end < n && clusters[end] == clusters[begin];)
            end++;
        for (size_t i = 0; i < n; i++)
            if (i < begin || i >= end) {
                u[kept] = x[i];
                v[kept++] = y[i];
            }
        left_out[k] = correlation(c, u, v, kept, r);
    }
}

tl_status tl_correlate(const double *x, const double *y, const size_t *clusters,
                       size_t n, bool with_intervals, tl_correlation *out,
                       tl_error *err)
{
    const size_t n_clusters = count_clusters(clusters, n);
    double *values = tl_alloc(2 * n + n_clusters + 1, sizeof *values);
    room r;
    tl_status status = make_room(n, &r, err);
    if (status == TL_OK && values == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu values", n);
    for (coefficient c = PEARSON; c < COEFFICIENTS && status == TL_OK; c++) {
        double *left_out = values + 2 * n;
        const double value = correlation(c, x, y, n, &r);
        if (with_intervals)
            leave_out_each(c, x, y, clusters, n, values, values + n, &r, left_out);
        tl_interval *i = c == PEARSON ? &out->pearson : &out->spearman;
        *i = around(value, left_out, with_intervals ? n_clusters : 0);
        i->n = n;
    }
    if (status == TL_OK)
        out->n_clusters = n_clusters;
    tl_free(values);
    free_room(&r);
    return status;
}
