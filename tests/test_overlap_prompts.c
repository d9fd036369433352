/* SPDX-License-Identifier: MIT
 * test_overlap_prompts.c - the jackknife of an overlap over prompts (docs/math.md eq. 24):
 * what it is by definition, and how often its interval holds the truth. */
#include "testing.h"

#include <math.h>
#include <stdlib.h>

#include "base/random.h"
#include "twinlens/statistics.h"

/* Of a mean the jackknife is the textbook's squared error. */
static void of_a_mean_it_is_the_standard_error(void **state)
{
    (void)state;
    static const double x[] = {1, 4, 2, 8, 5, 7};
    enum { N = sizeof x / sizeof *x };
    double without[N], sum = 0.0, squares = 0.0;
    for (size_t i = 0; i < N; i++)
        sum += x[i];
    for (size_t i = 0; i < N; i++) {
        without[i] = (sum - x[i]) / (N - 1);
        squares += (x[i] - sum / N) * (x[i] - sum / N);
    }
    assert_close("variance", 0, tl_jackknife_variance(without, N),
                 squares / (N - 1) / N, 1e-12);
    assert_true(isnan(tl_jackknife_variance(without, 1)));
}

/* ---- circuits of scores with noise ----------------------------------------------- */

enum { COMPONENTS = 2000, TAKEN = 100, PAIRS = 80, PARTS = 10, STUDIES = 400 };

static double normal(tl_random *random)
{
    const double u =
        ((double)(tl_random_next(random) >> 11) + 0.5) / 9007199254740992.0;
    return tl_normal_quantile(u);
}

static int descending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static double threshold_of(const double *scores)
{
    static double sorted[COMPONENTS];
    for (size_t i = 0; i < COMPONENTS; i++)
        sorted[i] = scores[i];
    qsort(sorted, COMPONENTS, sizeof *sorted, descending);
    return sorted[TAKEN - 1];
}

static double iou_of(const double *a, const double *b)
{
    const double least_a = threshold_of(a), least_b = threshold_of(b);
    size_t both = 0, any = 0;
    for (size_t i = 0; i < COMPONENTS; i++) {
        const bool in_a = a[i] >= least_a, in_b = b[i] >= least_b;
        both += in_a && in_b;
        any += in_a || in_b;
    }
    return (double)both / (double)any;
}

/* Scores of two modalities in common and of each alone; parts of the pairs have noise of their
 * own, as one part has few answers. */
typedef struct study {
    double parts[2][PARTS][COMPONENTS];
} study;

static void draw_study(tl_random *random, const double truth[2][COMPONENTS], study *out)
{
    for (size_t m = 0; m < 2; m++)
        for (size_t p = 0; p < PARTS; p++)
            for (size_t i = 0; i < COMPONENTS; i++)
                out->parts[m][p][i] = truth[m][i] + 0.6 * normal(random);
}

/* The mean of all parts but one; `left_out` PARTS: of all. */
static void mean_without(const double parts[PARTS][COMPONENTS], size_t left_out,
                         double *out)
{
    for (size_t i = 0; i < COMPONENTS; i++) {
        double sum = 0.0;
        size_t n = 0;
        for (size_t p = 0; p < PARTS; p++)
            if (p != left_out) {
                sum += parts[p][i];
                n++;
            }
        out[i] = sum / (double)n;
    }
}

static void its_interval_holds_the_truth(void **state)
{
    (void)state;
    static double truth[2][COMPONENTS], scores[2][COMPONENTS], other[COMPONENTS],
        values[STUDIES], low[STUDIES], high[STUDIES];
    static study s;
    tl_random random = {7};
    for (size_t i = 0; i < COMPONENTS; i++) {
        const double common = normal(&random);
        for (size_t m = 0; m < 2; m++)
            truth[m][i] = common + 0.5 * normal(&random);
    }
    double mean = 0.0, estimated = 0.0, squares = 0.0;
    for (size_t k = 0; k < STUDIES; k++) {
        double variance = 0.0, without[PARTS];
        draw_study(&random, (const double(*)[COMPONENTS])truth, &s);
        for (size_t m = 0; m < 2; m++)
            mean_without((const double(*)[COMPONENTS])s.parts[m], PARTS, scores[m]);
        values[k] = iou_of(scores[0], scores[1]);
        for (size_t m = 0; m < 2; m++) {
            for (size_t p = 0; p < PARTS; p++) {
                mean_without((const double(*)[COMPONENTS])s.parts[m], p, other);
                without[p] = iou_of(other, scores[1 - m]);
            }
            variance += tl_jackknife_variance(without, PARTS);
        }
        low[k] = values[k] - 1.96 * sqrt(variance);
        high[k] = values[k] + 1.96 * sqrt(variance);
        mean += values[k] / STUDIES;
        estimated += variance / STUDIES;
    }
    size_t held = 0;
    for (size_t k = 0; k < STUDIES; k++)
        squares += (values[k] - mean) * (values[k] - mean) / STUDIES;
    for (size_t k = 0; k < STUDIES; k++)
        held += low[k] <= mean && mean <= high[k];
    print_message("the interval holds the mean overlap of such studies in %zu of %d\n",
                  held, STUDIES);
    print_message("its deviation is %.2f of what overlaps of studies have\n",
                  sqrt(estimated / squares));
    assert_in_range(held, 0.93 * STUDIES, STUDIES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_a_mean_it_is_the_standard_error),
        cmocka_unit_test(its_interval_holds_the_truth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
