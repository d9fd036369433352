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
    const size_t rank = (n * percent + 99) / 100; /* rounded up, without a rounding error */
    return values[rank > 0 ? rank - 1 : 0];
}
