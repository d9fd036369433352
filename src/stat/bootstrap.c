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

/* One less of each sample, with replacement; of a single sample as many. */
static size_t resample(const tl_bootstrap_options *o, size_t n, tl_random *random,
                       size_t *chosen)
{
    if (o->n_samples == 0) {
        for (size_t i = 0; i < n; i++)
            chosen[i] = (size_t)tl_random_below(random, n);
        return n;
    }
    size_t count = 0, begin = 0;
    for (size_t s = 0; s < o->n_samples; begin += o->sample_sizes[s++])
        for (size_t k = 0; k + (o->sample_sizes[s] > 1) < o->sample_sizes[s]; k++)
            chosen[count++] =
                begin + (size_t)tl_random_below(random, o->sample_sizes[s]);
    return count;
}

/* All values but one. */
static size_t leave_out(size_t n, size_t one, size_t *chosen)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (i != one)
            chosen[count++] = i;
    return count;
}

/* So far apart, of their size, are equal numbers that were summed in another order. */
static const double ROUNDING = 1e-12;

/* What leaving out one prompt at a time tells: how the statistic leans, which is BCa's
 * acceleration, and how far a normal deviate has to be moved outwards for want of prompts. */
typedef struct jackknife {
    double acceleration, deviate;
} jackknife;

static jackknife leave_out_each(tl_statistic *statistic, const void *data, size_t n,
                                const tl_bootstrap_options *o, size_t *chosen,
                                double *left_out)
{
    const bool several = o->n_samples > 0;
    const size_t *sizes = several ? o->sample_sizes : &n;
    double squares = 0.0, cubes = 0.0, variance = 0.0, of_variance = 0.0;
    for (size_t s = 0, begin = 0; s < (several ? o->n_samples : 1);
         begin += sizes[s++]) {
        const size_t size = sizes[s];
        const double scale = (double)(size - 1) / (double)size;
        double mean = 0.0, own = 0.0;
        if (size < 2)
            continue;
        for (size_t i = 0; i < size; i++) {
            left_out[i] = statistic(data, chosen, leave_out(n, begin + i, chosen));
            mean += left_out[i] / (double)size;
        }
        for (size_t i = 0; i < size; i++) {
            const double d = (mean - left_out[i]) * (several ? scale : 1.0);
            if (fabs(d) <= ROUNDING * fabs(mean)) /* of equal numbers none leans */
                continue;
            squares += d * d;
            cubes += d * d * d;
        }
        own = tl_jackknife_variance(left_out, size);
        variance += own;
        of_variance += own * own / (double)(size - 1);
    }
    const double a = cubes / (6 * pow(squares, 1.5)), tail = (1 - o->level) / 2,
                 df = several ? variance * variance / of_variance : (double)(n - 1),
                 factor = several ? 1.0 : sqrt((df + 1) / df);
    return (jackknife){isfinite(a) ? a : 0.0,
                       isfinite(df) ? factor * tl_student_quantile(1 - tail, df)
                                    : tl_normal_quantile(1 - tail)};
}

/* Shares of the sorted resamples at which the interval ends. */
static void ends(tl_bootstrap_kind kind, double value, const double *sorted,
                 size_t n_sorted, const jackknife *j, double *low, double *high)
{
    const double z[2] = {-j->deviate, j->deviate};
    double *const end[2] = {low, high};
    for (size_t i = 0; i < 2; i++)
        *end[i] = normal_below(z[i]);
    if (kind == TL_BOOTSTRAP_PERCENTILE)
        return;
    /* Ties count half: discrete statistics sit on their own resamples. So do resamples that
     * hold every prompt once, whose sums are rounded in another order. */
    const double largest = fmax(fabs(sorted[0]), fabs(sorted[n_sorted - 1])),
                 tie = ROUNDING * largest;
    double below = 0.0;
    for (size_t i = 0; i < n_sorted; i++)
        below += fabs(sorted[i] - value) <= tie ? 0.5 : sorted[i] < value ? 1.0 : 0.0;
    const double share = below / (double)n_sorted;
    if (share <= 0.0 || share >= 1.0)
        return; /* no correction can be told from such resamples */
    const double bias = tl_normal_quantile(share);
    for (size_t i = 0; i < 2; i++) {
        const double room = 1 - j->acceleration * (bias + z[i]);
        if (room > 0.0)
            *end[i] = normal_below(bias + (bias + z[i]) / room);
    }
}

static tl_status read_options(const tl_bootstrap_options *options, size_t n,
                              tl_bootstrap_options *o, tl_error *err)
{
    size_t sum = 0;
    const tl_status status =
        tl_sized_copy(options, o, sizeof *o, "tl_bootstrap_options", err);
    if (status != TL_OK)
        return status;
    if (o->n_resamples == 0)
        o->n_resamples = 1000;
    if (o->level == 0.0)
        o->level = 0.95;
    if (!(o->level > 0.0 && o->level < 1.0))
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "a level of %g, wanted one between 0 and 1", o->level);
    if (o->sample_sizes == NULL)
        o->n_samples = 0;
    for (size_t s = 0; s < o->n_samples; s++)
        sum += o->sample_sizes[s];
    if (o->n_samples > 0 && sum != n)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "samples of %zu values, wanted %zu as there are", sum, n);
    return TL_OK;
}

/* values[n_resamples] is room, for n too. */
static void resample_all(tl_statistic *statistic, const void *data, size_t n,
                         const tl_bootstrap_options *o, size_t *chosen, double *values,
                         tl_interval *out)
{
    const jackknife j = leave_out_each(statistic, data, n, o, chosen, values);
    tl_random random = {o->seed};
    size_t kept = 0;
    double sum = 0.0, squares = 0.0, low, high;
    for (size_t i = 0; i < o->n_resamples; i++) {
        const double v = statistic(data, chosen, resample(o, n, &random, chosen));
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
    ends(o->kind, out->value, values, kept, &j, &low, &high);
    out->low = quantile(values, kept, low);
    out->high = quantile(values, kept, high);
}

tl_status tl_bootstrap(tl_statistic *statistic, const void *data, size_t n,
                       const tl_bootstrap_options *options, tl_interval *out,
                       tl_error *err)
{
    tl_bootstrap_options o;
    tl_interval r = {NAN, NAN, NAN, NAN, n, 0};
    tl_status status = read_options(options, n, &o, err);
    if (status != TL_OK)
        return status;
    size_t *chosen = tl_alloc(n + 1, sizeof *chosen);
    double *values =
        tl_alloc((n > o.n_resamples ? n : o.n_resamples) + 1, sizeof *values);
    if (chosen == NULL || values == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu resamples",
                         o.n_resamples);
    for (size_t i = 0; i < n && status == TL_OK; i++)
        chosen[i] = i;
    if (n > 0 && status == TL_OK)
        r.value = statistic(data, chosen, n);
    if (n >= 2 && isfinite(r.value))
        resample_all(statistic, data, n, &o, chosen, values, &r);
    if (status == TL_OK)
        *out = r;
    tl_free(values);
    tl_free(chosen);
    return status;
}
