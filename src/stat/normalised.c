/* SPDX-License-Identifier: MIT
 *
 * normalised.c - values that are 0 at a baseline and 1 at a ceiling: faithfulness, overlap
 * and interchange (include/twinlens/statistics.h; docs/math.md eq. 6, 12, 13); and the gap
 * of completeness, which is a difference in proportion to what is to be reached.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "twinlens/statistics.h"

/* Baseline and ceiling that are nearer than this leave nothing to measure. */
static const double LEAST = 1e-6;

/* ---- faithfulness ---------------------------------------------------------------- */

static bool is_excluded(double clean, double none)
{
    return fabs(clean - none) < LEAST * (1.0 + fabs(clean));
}

double tl_faithfulness_of(double clean, double none, double circuit)
{
    return is_excluded(clean, none) ? NAN : (circuit - none) / (clean - none);
}

void tl_faithfulness_add(tl_faithfulness_sums *sums, double clean, double none,
                         double circuit)
{
    if (is_excluded(clean, none)) {
        sums->n_excluded++;
        return;
    }
    sums->ratios += (circuit - none) / (clean - none);
    sums->numerators += circuit - none;
    sums->denominators += clean - none;
    sums->n++;
}

double tl_faithfulness_mean_of_ratios(const tl_faithfulness_sums *sums)
{
    return sums->n > 0 ? sums->ratios / (double)sums->n : NAN;
}

/* Denominators of both signs can cancel. */
double tl_faithfulness_ratio_of_means(const tl_faithfulness_sums *sums)
{
    return sums->denominators != 0.0 ? sums->numerators / sums->denominators : NAN;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

tl_faithfulness tl_faithfulness_summary(const double *clean, const double *none,
                                        const double *circuit, size_t n, double *room)
{
    tl_faithfulness_sums sums = {0};
    for (size_t i = 0; i < n; i++) {
        if (!is_excluded(clean[i], none[i]))
            room[sums.n] = tl_faithfulness_of(clean[i], none[i], circuit[i]);
        tl_faithfulness_add(&sums, clean[i], none[i], circuit[i]);
    }
    qsort(room, sums.n, sizeof *room, by_value);
    return (tl_faithfulness){
        .mean_of_ratios = tl_faithfulness_mean_of_ratios(&sums),
        .ratio_of_means = tl_faithfulness_ratio_of_means(&sums),
        .median = sums.n > 0 ? (room[(sums.n - 1) / 2] + room[sums.n / 2]) / 2 : NAN,
        .n = sums.n,
        .n_excluded = sums.n_excluded,
    };
}

/* ---- overlap and interchange ----------------------------------------------------- */

static double between(double value, double baseline, double ceiling)
{
    return fabs(ceiling - baseline) < LEAST ? NAN
                                            : (value - baseline) / (ceiling - baseline);
}

double tl_overlap_normalised(double iou, double baseline)
{
    return between(iou, baseline, 1.0);
}

double tl_interchange_normalised(double value, double random, double ceiling)
{
    return between(value, random, ceiling);
}

/* Of the exact value, ties to even, as Python's round(). */
static double to_three_decimals(double value)
{
    char text[400]; /* the longest double has 309 digits before its point */
    snprintf(text, sizeof text, "%.3f", value);
    return strtod(text, NULL);
}

double tl_overlap_normalised_published(const double *iou, const double *baseline,
                                       size_t n_kinds)
{
    double value = 0, chance = 0;
    for (size_t k = 0; k < n_kinds; k++) {
        value += to_three_decimals(iou[k]) / (double)n_kinds;
        chance += to_three_decimals(baseline[k]) / (double)n_kinds;
    }
    return fmin(fmax(value - 2 * chance, 0.01), 1.0);
}

/* ---- completeness ---------------------------------------------------------------- */

double tl_completeness_gap(double attributed, double difference)
{
    return fabs(difference) > LEAST ? fabs(attributed - difference) / fabs(difference)
                                    : NAN;
}
