/* SPDX-License-Identifier: MIT
 * correlation.c - Pearson's and Spearman's (include/twinlens/statistics.h). */
#include <math.h>
#include <stdlib.h>

#include "base/sized.h"
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

/* ---- with intervals --------------------------------------------------------------- */

typedef struct sample {
    const double *x, *y;
    double *u, *v; /* of a resample, and their ranks behind them */
    size_t room;   /* for so many each */
    placed *order;
} sample;

static void gather(const sample *s, const size_t *chosen, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        s->u[i] = s->x[chosen[i]];
        s->v[i] = s->y[chosen[i]];
    }
}

static double pearson_of(const void *data, const size_t *chosen, size_t n)
{
    const sample *s = data;
    gather(s, chosen, n);
    return tl_pearson(s->u, s->v, n);
}

static double spearman_of(const void *data, const size_t *chosen, size_t n)
{
    const sample *s = data;
    gather(s, chosen, n);
    rank(s->u, n, s->order, s->u + s->room);
    rank(s->v, n, s->order, s->v + s->room);
    return tl_pearson(s->u + s->room, s->v + s->room, n);
}

tl_status tl_correlate(const double *x, const double *y, size_t n,
                       const tl_bootstrap_options *options, tl_interval *pearson,
                       tl_interval *spearman, tl_error *err)
{
    tl_bootstrap_options o;
    tl_status status =
        tl_sized_copy(options, &o, sizeof o, "tl_bootstrap_options", err);
    size_t room = n + 1;
    for (size_t c = 0; status == TL_OK && o.cluster_sizes != NULL && c < o.n_clusters;
         c++)
        if (o.cluster_sizes[c] * o.n_clusters > room)
            room = o.cluster_sizes[c] * o.n_clusters;
    if (status != TL_OK)
        return status;
    double *values = tl_alloc(4 * room, sizeof *values);
    sample s = {x, y, values, NULL, room, tl_alloc(room, sizeof *s.order)};
    if (values == NULL || s.order == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu values", n);
    else
        s.v = values + 2 * room;
    if (status == TL_OK)
        status = tl_bootstrap(pearson_of, &s, n, &o, pearson, err);
    if (status == TL_OK)
        status = tl_bootstrap(spearman_of, &s, n, &o, spearman, err);
    tl_free(values);
    tl_free(s.order);
    return status;
}
