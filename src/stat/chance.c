/* SPDX-License-Identifier: MIT
 *
 * chance.c - a circuit beside random ones (include/twinlens/statistics.h; docs/math.md
 * eq. 22).
 */
#include <math.h>
#include <stdlib.h>

#include "twinlens/statistics.h"

double tl_chance_p(size_t n_as_good, size_t n_random)
{
    return (1.0 + (double)n_as_good) / (1.0 + (double)n_random);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double tl_quantile(double *values, size_t n, size_t percent)
{
    if (n == 0)
        return NAN;
    qsort(values, n, sizeof *values, by_value);
    const size_t rank =
        (n * percent + 99) / 100; /* rounded up, without a rounding error */
    return values[rank > 0 ? rank - 1 : 0];
}

/* P(at most k of n), each with probability p. */
static double binomial_up_to(size_t k, size_t n, double p)
{
    double sum = 0.0, log_term = (double)n * log1p(-p);
    for (size_t i = 0; i <= k && i <= n; i++) {
        sum += exp(log_term);
        log_term += log((double)(n - i)) - log((double)(i + 1)) + log(p) - log1p(-p);
    }
    return sum;
}

/* Ends of the interval of the quantile p of sorted[n], n > 0. */
static void quantile_ends(const double *sorted, size_t n, double p, double *low,
                          double *high)
{
    size_t below = 0, above = 0; /* so many values are below it in all but 2.5 % */
    while (binomial_up_to(below, n, p) < 0.025)
        below++;
    while (binomial_up_to(above, n, p) < 0.975)
        above++;
    *low = below > 0 ? sorted[below - 1] : -INFINITY;
    *high = above < n                  ? sorted[above]
            : pow(p, (double)n) <= 0.1 ? sorted[n - 1]
                                       : INFINITY;
}

static double share_above(const double *values, size_t n, double threshold)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += values[i] > threshold;
    return (double)count / (double)n;
}

tl_interval tl_share_above(const double *values, size_t n, double *others,
                           size_t n_others, size_t percent, double *threshold)
{
    double low, high;
    *threshold = tl_quantile(others, n_others, percent);
    if (n == 0 || n_others == 0)
        return (tl_interval){NAN, NAN, NAN, NAN, 0, 0};
    const double share = share_above(values, n, *threshold);
    quantile_ends(others, n_others, (double)percent / 100, &low, &high);
    tl_interval i = tl_interval_share((size_t)llround(share * (double)n), n);
    i.low = share - hypot(share - i.low, share - share_above(values, n, high));
    i.high = share + hypot(i.high - share, share_above(values, n, low) - share);
    i.low = i.low > 0.0 ? i.low : 0.0;
    i.high = i.high < 1.0 ? i.high : 1.0;
    return i;
}
