/* SPDX-License-Identifier: MIT
 *
 * interval.c - intervals without resampling: of a share, and of a mean of numbers that have
 * intervals (include/twinlens/statistics.h).
 */
#include <math.h>

#include "twinlens/statistics.h"

static const double PI = 3.14159265358979323846;

/* Newton's method on the distribution itself, from Abramowitz and Stegun 26.2.23. */
double tl_normal_quantile(double p)
{
    const double q = p < 0.5 ? p : 1 - p, t = sqrt(-2 * log(q));
    double x = t - (2.515517 + 0.802853 * t + 0.010328 * t * t) /
                       (1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t * t * t);
    for (size_t i = 0; i < 4; i++) {
        const double density = exp(-x * x / 2) / sqrt(2 * PI);
        const double beyond = 0.5 * erfc(x / sqrt(2.0));
        x += (beyond - q) / density;
    }
    return p < 0.5 ? -x : x;
}

/* Newton's method from the normal quantile, which is nearer to 0: it does not overshoot, since
 * the density falls. The share up to t is by Simpson's rule over the angle atan(t / sqrt(df)), in which
 * the density is cos^(df - 1). */
double tl_student_quantile(double p, double df)
{
    enum { STEPS = 256, MOST = 100 };
    double t = fabs(tl_normal_quantile(p)), last = -1.0;
    if (p == 0.5 || df > 1e5)
        return tl_normal_quantile(p);
    const double most = exp(lgamma((df + 1) / 2) - lgamma(df / 2)) / sqrt(PI);
    for (size_t k = 0; k < MOST && t - last > 1e-14 * t; k++) {
        const double angle = atan(t / sqrt(df));
        double sum = 0.0;
        for (size_t i = 0; i <= STEPS; i++) {
            const double weight = i == 0 || i == STEPS ? 1 : i % 2 == 1 ? 4 : 2;
            sum += weight * pow(cos(angle * (double)i / STEPS), df - 1);
        }
        const double share = most * sum * angle / (3 * STEPS),
                     density = most / sqrt(df) * pow(cos(angle), df + 1);
        last = t;
        t += (fabs(p - 0.5) - share) / density;
    }
    return copysign(t, p - 0.5);
}

void tl_wilson(size_t right, size_t n, double *low, double *high)
{
    if (n == 0) {
        *low = 0.0;
        *high = 1.0;
        return;
    }
    const double z = tl_normal_quantile(0.975), share = (double)right / (double)n,
                 spread = z * z / (double)n,
                 middle = (share + spread / 2) / (1 + spread),
                 half =
                     z / (1 + spread) *
                     sqrt(share * (1 - share) / (double)n + spread / (4 * (double)n));
    *low = middle - half > 0 ? middle - half : 0.0;
    *high = middle + half < 1 ? middle + half : 1.0;
}

tl_interval tl_interval_share(size_t right, size_t n)
{
    if (n == 0)
        return (tl_interval){NAN, NAN, NAN, NAN, 0, 0};
    const double share = (double)right / (double)n;
    tl_interval out = {
        .value = share, .deviation = sqrt(share * (1 - share) / (double)n), .n = n};
    tl_wilson(right, n, &out.low, &out.high);
    return out;
}

/* How many deviations a difference of shares lies below that of the counts, when it is the
 * true one: q is the likeliest share of the broken under it. */
static double gain_score(double fixed, double broken, double n, double difference)
{
    const double b = (2 * n - fixed + broken) * difference - fixed - broken,
                 c = -broken * difference * (1 - difference),
                 q = (sqrt(b * b - 8 * n * c) - b) / (4 * n),
                 variance = n * (2 * q + difference * (1 - difference)),
                 over = fixed - broken - n * difference;
    return variance > 0.0 ? over / sqrt(variance)
           : over == 0.0  ? 0.0
                          : copysign(INFINITY, over);
}

/* Between `inside`, which the test does not reject, and `outside`, which it does. */
static double gain_end(size_t fixed, size_t broken, size_t n, double inside,
                       double outside)
{
    const double z = tl_normal_quantile(0.975);
    for (size_t i = 0; i < 60; i++) {
        const double middle = (inside + outside) / 2;
        if (fabs(gain_score((double)fixed, (double)broken, (double)n, middle)) <= z)
            inside = middle;
        else
            outside = middle;
    }
    return inside;
}

tl_interval tl_interval_gain(size_t fixed, size_t broken, size_t n)
{
    if (n == 0)
        return (tl_interval){NAN, NAN, NAN, NAN, 0, 0};
    const double gain = ((double)fixed - (double)broken) / (double)n,
                 changed = (double)(fixed + broken) / (double)n;
    return (tl_interval){.value = gain,
                         .low = gain_end(fixed, broken, n, gain, -1.0),
                         .high = gain_end(fixed, broken, n, gain, 1.0),
                         .deviation = sqrt((changed - gain * gain) / (double)n),
                         .n = n};
}

double tl_mcnemar(size_t fixed, size_t broken)
{
    const size_t n = fixed + broken, fewer = fixed < broken ? fixed : broken;
    double tail = 0.0, log_term = -(double)n * log(2.0); /* of k of n tosses */
    for (size_t k = 0; k <= fewer; k++) {
        tail += exp(log_term);
        log_term += log((double)(n - k)) - log((double)(k + 1));
    }
    return 2 * tail < 1.0 ? 2 * tail : 1.0;
}

double tl_jackknife_variance(const double *values, size_t n)
{
    double mean = 0.0, squares = 0.0;
    if (n < 2)
        return NAN;
    for (size_t i = 0; i < n; i++)
        mean += values[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    return squares * (double)(n - 1) / (double)n;
}

tl_interval tl_interval_mean(const tl_interval *values, size_t n)
{
    double sum = 0.0, squares = 0.0;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(values[i].value)) {
            sum += values[i].value;
            squares += isfinite(values[i].deviation)
                           ? values[i].deviation * values[i].deviation
                           : 0.0;
            kept++;
        }
    if (kept == 0)
        return (tl_interval){NAN, NAN, NAN, NAN, 0, 0};
    const double mean = sum / (double)kept, deviation = sqrt(squares) / (double)kept,
                 half = tl_normal_quantile(0.975) * deviation;
    return (tl_interval){mean, mean - half, mean + half, deviation, kept, 0};
}
