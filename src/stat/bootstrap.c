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

/* How the statistic leans when one prompt at a time is left out: BCa's acceleration. */
static double acceleration(tl_statistic *statistic, const void *data, size_t n,
                           size_t *chosen, double *left_out)
{
    double mean = 0.0;
    for (size_t skipped = 0; skipped < n; skipped++) {
        for (size_t i = 0, k = 0; i < n; i++)
            if (i != skipped)
                chosen[k++] = i;
        left_out[skipped] = statistic(data, chosen, n - 1);
        mean += left_out[skipped] / (double)n;
    }
    double squares = 0.0, cubes = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double d = mean - left_out[i];
        squares += d * d;
        cubes += d * d * d;
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

tl_status tl_bootstrap(tl_statistic *statistic, const void *data, size_t n,
                       const tl_bootstrap_options *options, tl_interval *out,
                       tl_error *err)
{
    tl_bootstrap_options o;
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
    tl_interval r = {NAN, NAN, NAN, NAN, n, 0};
    const size_t room = n > o.n_resamples ? n : o.n_resamples;
    size_t *chosen = tl_alloc(n > 0 ? n : 1, sizeof *chosen);
    double *values = tl_alloc(room > 0 ? room : 1, sizeof *values);
    if (chosen == NULL || values == NULL) {
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu resamples",
                         o.n_resamples);
        goto done;
    }
    for (size_t i = 0; i < n; i++)
        chosen[i] = i;
    if (n > 0)
        r.value = statistic(data, chosen, n);
    if (n < 2 || !isfinite(r.value))
        goto done;
    const double a = o.kind == TL_BOOTSTRAP_BCA
                         ? acceleration(statistic, data, n, chosen, values)
                         : 0.0;
    tl_random random = {o.seed};
    size_t kept = 0;
    double sum = 0.0;
    for (size_t i = 0; i < o.n_resamples; i++) {
        for (size_t k = 0; k < n; k++)
            chosen[k] = (size_t)tl_random_below(&random, n);
        const double v = statistic(data, chosen, n);
        if (isfinite(v)) {
            values[kept++] = v;
            sum += v;
        }
    }
    r.n_undefined = o.n_resamples - kept;
    if (kept < 2)
        goto done;
    double squares = 0.0;
    for (size_t i = 0; i < kept; i++)
        squares += (values[i] - sum / (double)kept) * (values[i] - sum / (double)kept);
    r.deviation = sqrt(squares / (double)(kept - 1));
    qsort(values, kept, sizeof *values, by_value);
    double low, high;
    ends(&o, r.value, values, kept, a, &low, &high);
    r.low = quantile(values, kept, low);
    r.high = quantile(values, kept, high);
done:
    if (status == TL_OK)
        *out = r;
    tl_free(values);
    tl_free(chosen);
    return status;
}
