/* SPDX-License-Identifier: MIT
 *
 * bootstrap.c - intervals by resampling prompts (include/twinlens/statistics.h).
 */
#include <math.h>
#include <stdlib.h>

#include "base/random.h"
#include "base/sized.h"
#include "twinlens/alloc.h"
#include "twinlens/statistics.h"

double tl_statistic_mean(const void *values, const size_t *chosen, size_t n)
{
    const double *x = values;
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += x[chosen[i]];
    return sum / (double)n;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double tl_statistic_median(const void *median_data, const size_t *chosen, size_t n)
{
    const tl_median_data *d = median_data;
    for (size_t i = 0; i < n; i++)
        d->room[i] = d->values[chosen[i]];
    qsort(d->room, n, sizeof *d->room, by_value);
    return n > 0 ? (d->room[(n - 1) / 2] + d->room[n / 2]) / 2 : NAN;
}

double tl_statistic_ratio(const void *ratio_data, const size_t *chosen, size_t n)
{
    const tl_ratio_data *d = ratio_data;
    double over = 0.0, under = 0.0;
    for (size_t i = 0; i < n; i++) {
        over += d->over[chosen[i]];
        under += d->under[chosen[i]];
    }
    return under != 0.0 ? over / under : NAN;
}

static double normal_below(double x)
{
    return 0.5 * erfc(-x / sqrt(2.0));
}

/* ---- intervals ------------------------------------------------------------------- */

/* sorted[n] at share p of its length, between neighbours in proportion. */
static double quantile(const double *sorted, size_t n, double p)
{
    const double at = p * (double)(n - 1);
    const size_t i = at > 0 ? (size_t)at : 0;
    if (i + 1 >= n)
        return sorted[n - 1];
    return sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]);
}

/* What is resampled: n values, or clusters of values that follow each other, or samples. */
typedef struct plan {
    size_t n;                       /* values */
    const size_t *sizes, *begins;   /* of clusters; NULL: each value is one */
    size_t n_clusters, most_chosen; /* values of one resample, at most */
    const size_t *samples;          /* sizes; NULL: one sample */
    size_t n_samples;
} plan;

/* One less of each sample, with replacement. */
static size_t resample_samples(const plan *p, tl_random *random, size_t *chosen)
{
    size_t n = 0, begin = 0;
    for (size_t s = 0; s < p->n_samples; begin += p->samples[s++])
        for (size_t k = 0; k + (p->samples[s] > 1) < p->samples[s]; k++)
            chosen[n++] = begin + (size_t)tl_random_below(random, p->samples[s]);
    return n;
}

/* Clusters with replacement, and of each as many of its own values with replacement. */
static size_t resample(const plan *p, tl_random *random, size_t *chosen)
{
    size_t n = 0;
    if (p->samples != NULL)
        return resample_samples(p, random, chosen);
    for (size_t i = 0; i < p->n_clusters; i++) {
        const size_t c = (size_t)tl_random_below(random, p->n_clusters);
        if (p->sizes == NULL)
            chosen[n++] = c;
        else
            for (size_t k = 0; k < p->sizes[c]; k++)
                chosen[n++] =
                    p->begins[c] + (size_t)tl_random_below(random, p->sizes[c]);
    }
    return n;
}

/* All values but those of a cluster. */
static size_t leave_out(const plan *p, size_t cluster, size_t *chosen)
{
    const size_t begin = p->sizes != NULL ? p->begins[cluster] : cluster,
                 size = p->sizes != NULL ? p->sizes[cluster] : 1;
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        if (i < begin || i >= begin + size)
            chosen[n++] = i;
    return n;
}

/* How the statistic leans when one prompt at a time is left out: BCa's acceleration. */
static double acceleration(tl_statistic *statistic, const void *data, const plan *p,
                           size_t *chosen, double *left_out)
{
    const size_t whole[] = {p->n_clusters},
                 *sizes = p->samples != NULL ? p->samples : whole,
                 n_samples = p->samples != NULL ? p->n_samples : 1;
    double squares = 0.0, cubes = 0.0;
    for (size_t s = 0, begin = 0; s < n_samples; begin += sizes[s++]) {
        const size_t n = sizes[s];
        const double scale = (double)(n - 1) / (double)n;
        double mean = 0.0;
        if (n < 2)
            continue;
        for (size_t i = 0; i < n; i++) {
            left_out[i] = statistic(data, chosen, leave_out(p, begin + i, chosen));
            mean += left_out[i] / (double)n;
        }
        for (size_t i = 0; i < n; i++) {
            const double d = (mean - left_out[i]) * (n_samples > 1 ? scale : 1.0);
            squares += d * d;
            cubes += d * d * d;
        }
    }
    const double a = cubes / (6 * pow(squares, 1.5));
    return isfinite(a) ? a : 0.0;
}

/* Shares of the sorted resamples at which the interval ends. */
static void ends(const tl_bootstrap_options *o, double value, const double *sorted,
                 size_t n_sorted, double a, double *low, double *high)
{
    const double tail = (1 - o->level) / 2;
    *low = tail;
    *high = 1 - tail;
    if (o->kind == TL_BOOTSTRAP_PERCENTILE)
        return;
    /* Ties count half: discrete statistics sit on their own resamples. */
    double below = 0.0;
    for (size_t i = 0; i < n_sorted; i++)
        below += sorted[i] < value ? 1.0 : sorted[i] == value ? 0.5 : 0.0;
    const double share = below / (double)n_sorted;
    if (share <= 0.0 || share >= 1.0)
        return; /* no correction can be told from such resamples */
    const double bias = tl_normal_quantile(share);
    const double z[2] = {tl_normal_quantile(tail), tl_normal_quantile(1 - tail)};
    double *const end[2] = {low, high};
    for (size_t i = 0; i < 2; i++) {
        const double p = normal_below(bias + (bias + z[i]) / (1 - a * (bias + z[i])));
        if (isfinite(p))
            *end[i] = p;
    }
}

/* `begins` receives where each cluster begins. */
static tl_status plan_resamples(const tl_bootstrap_options *o, size_t n, size_t *begins,
                                plan *out, tl_error *err)
{
    plan p = {n, o->cluster_sizes, begins, n, n, o->sample_sizes, o->n_samples};
    size_t most = 0, sum = 0;
    for (size_t s = 0; s < o->n_samples; s++)
        sum += o->sample_sizes[s];
    if (o->n_samples > 0 && (sum != n || o->cluster_sizes != NULL))
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "samples of %zu values%s, wanted %zu as there are", sum,
                       o->cluster_sizes != NULL ? " in clusters" : "", n);
    sum = 0;
    if (o->cluster_sizes != NULL) {
        for (size_t c = 0; c < o->n_clusters; c++) {
            begins[c] = sum;
            sum += o->cluster_sizes[c];
            most = o->cluster_sizes[c] > most ? o->cluster_sizes[c] : most;
        }
        if (sum != n)
            return tl_fail(err, TL_ERR_ARGUMENT,
                           "clusters of %zu values, wanted %zu as there are", sum, n);
        p.n_clusters = o->n_clusters;
        p.most_chosen = o->n_clusters * most;
    }
    *out = p;
    return TL_OK;
}

/* values[n_resamples] is room, for as many as there are clusters too. */
static void resample_all(tl_statistic *statistic, const void *data, const plan *p,
                         const tl_bootstrap_options *o, size_t *chosen, double *values,
                         tl_interval *out)
{
    const double a = o->kind == TL_BOOTSTRAP_BCA
                         ? acceleration(statistic, data, p, chosen, values)
                         : 0.0;
    tl_random random = {o->seed};
    size_t kept = 0;
    double sum = 0.0, squares = 0.0, low, high;
    for (size_t i = 0; i < o->n_resamples; i++) {
        const double v = statistic(data, chosen, resample(p, &random, chosen));
        if (isfinite(v)) {
            values[kept++] = v;
            sum += v;
        }
    }
    out->n_undefined = o->n_resamples - kept;
    if (kept < 2)
        return;
    for (size_t i = 0; i < kept; i++)
        squares += (values[i] - sum / (double)kept) * (values[i] - sum / (double)kept);
    out->deviation = sqrt(squares / (double)(kept - 1));
    qsort(values, kept, sizeof *values, by_value);
    ends(o, out->value, values, kept, a, &low, &high);
    out->low = quantile(values, kept, low);
    out->high = quantile(values, kept, high);
}

tl_status tl_bootstrap(tl_statistic *statistic, const void *data, size_t n,
                       const tl_bootstrap_options *options, tl_interval *out,
                       tl_error *err)
{
    tl_bootstrap_options o;
    plan p = {0};
    tl_status status =
        tl_sized_copy(options, &o, sizeof o, "tl_bootstrap_options", err);
    if (status != TL_OK)
        return status;
    if (o.n_resamples == 0)
        o.n_resamples = 1000;
    if (o.level == 0.0)
        o.level = 0.95;
    if (!(o.level > 0.0 && o.level < 1.0))
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "a level of %g, wanted one between 0 and 1", o.level);
    size_t *begins = tl_alloc(o.n_clusters + 1, sizeof *begins), *chosen = NULL;
    double *values = NULL;
    tl_interval r = {NAN, NAN, NAN, NAN, n, 0};
    status = begins != NULL ? plan_resamples(&o, n, begins, &p, err)
                            : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for clusters");
    if (status != TL_OK)
        goto done;
    chosen = tl_alloc((p.most_chosen > n ? p.most_chosen : n) + 1, sizeof *chosen);
    values = tl_alloc((p.n_clusters > o.n_resamples ? p.n_clusters : o.n_resamples) + 1,
                      sizeof *values);
    if (chosen == NULL || values == NULL) {
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu resamples",
                         o.n_resamples);
        goto done;
    }
    for (size_t i = 0; i < n; i++)
        chosen[i] = i;
    if (n > 0)
        r.value = statistic(data, chosen, n);
    if (p.n_clusters >= 2 && isfinite(r.value))
        resample_all(statistic, data, &p, &o, chosen, values, &r);
done:
    if (status == TL_OK)
        *out = r;
    tl_free(values);
    tl_free(chosen);
    tl_free(begins);
    return status;
}
