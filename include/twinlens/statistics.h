/* SPDX-License-Identifier: MIT
 *
 * statistics.h - what results come to, and how sure they are: faithfulness and the other
 * normalised values, bootstrap intervals over prompts, a test that allows for having
 * searched a grid, the choice of a best cell on other prompts, and areas under
 * faithfulness curves. Everything here is a formula over numbers; no model is needed.
 *
 *     tl_interval interval;
 *     tl_bootstrap(tl_statistic_mean, values, n, NULL, &interval, &err);
 *     printf("%.3f (%.3f to %.3f)\n", interval.value, interval.low, interval.high);
 *
 * The same seed gives the same numbers on every machine.
 */
#ifndef TWINLENS_STATISTICS_H
#define TWINLENS_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "twinlens/api.h"
#include "twinlens/status.h"

TL_BEGIN_DECLS

/* ---- normalised values (docs/math.md eq. 6, 12, 13) -------------------------------- */

/*
 * Faithfulness of a circuit on one prompt (eq. 6), from logit differences: of the clean
 * run, with everything ablated, with everything outside the circuit ablated. NaN where
 * |clean - none| < 1e-6 (1 + |clean|): such a prompt is excluded from means.
 */
double tl_faithfulness_of(double clean, double none, double circuit);

/* Running sums over prompts, for both means of faithfulness; begins as {0}. */
typedef struct tl_faithfulness_sums {
    double ratios, numerators, denominators;
    size_t n, n_excluded;
} tl_faithfulness_sums;
void tl_faithfulness_add(tl_faithfulness_sums *sums, double clean, double none,
                         double circuit);
/* NaN when all prompts are excluded. */
double tl_faithfulness_mean_of_ratios(const tl_faithfulness_sums *sums);
double tl_faithfulness_ratio_of_means(const tl_faithfulness_sums *sums);

/* One circuit over prompts. f_i is the faithfulness on prompt i. */
typedef struct tl_faithfulness {
    double mean_of_ratios; /* mean of f_i, as published */
    double ratio_of_means; /* sum of numerators / sum of denominators */
    double median;         /* of f_i */
    size_t n, n_excluded;  /* prompts that count; those that are excluded */
} tl_faithfulness;

/* The three numbers are NaN when all prompts are excluded. `room` is for n doubles, to
 * sort in. */
tl_faithfulness tl_faithfulness_summary(const double *clean, const double *none,
                                        const double *circuit, size_t n, double *room);

/* How an overlap is normalised. */
typedef enum tl_niou { TL_NIOU_CORRECT, TL_NIOU_PUBLISHED } tl_niou;

/* (iou - baseline) / (1 - baseline): 0 at the random baseline, 1 for equal circuits
 * (eq. 12). NaN when |1 - baseline| < 1e-6, where chance leaves no room. */
double tl_overlap_normalised(double iou, double baseline);

/* As the published program has it: iou - 2 baseline, in [0.01, 1]. Of the mean of
 * n_kinds kinds, each of which is first rounded to three decimals. */
double tl_overlap_normalised_published(const double *iou, const double *baseline,
                                       size_t n_kinds);

/* (value - random) / (ceiling - random) of faithfulness (eq. 13): 0 as a random part, 1 as
 * the circuit's own. NaN when |ceiling - random| < 1e-6. */
double tl_interchange_normalised(double value, double random, double ceiling);

/* |attributed - difference| / |difference| of one pair: how far its integrated gradient is
 * from adding up (docs/math.md eq. 17). NaN where |difference| <= 1e-6. */
double tl_completeness_gap(double attributed, double difference);

/* ---- bootstrap ------------------------------------------------------------------- */

/* A number made of the prompts chosen[0 .. n - 1], which may repeat. NaN: undefined. */
typedef double tl_statistic(const void *data, const size_t *chosen, size_t n);

typedef enum tl_bootstrap_kind {
    TL_BOOTSTRAP_BCA,        /* bias-corrected and accelerated */
    TL_BOOTSTRAP_PERCENTILE, /* as it is */
} tl_bootstrap_kind;

typedef struct tl_bootstrap_options {
    size_t size;        /* sizeof(tl_bootstrap_options); 0: that of today */
    size_t n_resamples; /* 0: 1000 */
    double level;       /* 0: 0.95 */
    uint64_t seed;
    tl_bootstrap_kind kind;
    /* The n values are samples of these sizes, one after the other, which are independent:
     * each is resampled by itself, one value less than it has, which makes up for what a small
     * sample lacks in spread; a value that is alone stays. NULL: one sample.
     * @source Rao and Wu, doi:10.1080/01621459.1988.10478591 */
    const size_t *sample_sizes;
    size_t n_samples;
} tl_bootstrap_options;

typedef struct tl_interval {
    double value;       /* of the prompts as they are */
    double low, high;   /* NaN with fewer than 2 prompts or no defined resample */
    double deviation;   /* of the resamples */
    size_t n;           /* prompts */
    size_t n_undefined; /* resamples without a value, left out */
} tl_interval;

/*
 * Resamples prompts with replacement. Paired quantities stay paired, since a prompt
 * brings along all of its numbers. Resamples of n prompts spread less than samples do, and
 * a deviation from few is itself unsure: where an interval would use the normal deviate z it
 * uses Student's t with n - 1 degrees of freedom times sqrt(n / (n - 1)). For several samples t has
 * the degrees of freedom of Welch and Satterthwaite, from what each adds to the jackknife's
 * variance, and no factor.
 * @source Efron, Better bootstrap confidence intervals, doi:10.2307/2289144
 * @source Hesterberg, What teachers should know about the bootstrap, section 3.2,
 * doi:10.1080/00031305.2015.1089789
 */
tl_status tl_bootstrap(tl_statistic *statistic, const void *data, size_t n,
                       const tl_bootstrap_options *options, tl_interval *out,
                       tl_error *err);

/* Of values[n]: doubles. */
double tl_statistic_mean(const void *values, const size_t *chosen, size_t n);

/* Of values[n], with room for n doubles to sort in. */
typedef struct tl_median_data {
    const double *values;
    double *room;
} tl_median_data;
double tl_statistic_median(const void *median_data, const size_t *chosen, size_t n);

/* Sum of over[i] / sum of under[i]. */
typedef struct tl_ratio_data {
    const double *over, *under;
} tl_ratio_data;
double tl_statistic_ratio(const void *ratio_data, const size_t *chosen, size_t n);

/* The value below which a standard normal lies with probability p, 0 < p < 1. */
double tl_normal_quantile(double p);

/* The same of Student's t with so many degrees of freedom, at least 1, whole or not. */
double tl_student_quantile(double p, double df);

/* The mean of values[n], those that are NaN left out, with the 95 % interval that their own
 * deviations leave, taken as independent: sd = sqrt(sum sd_i^2) / n. It says how sure the
 * mean of these is, not what others would be. */
tl_interval tl_interval_mean(const tl_interval *values, size_t n);

/* The 95 % interval of a share. @source Wilson, doi:10.2307/2276774 */
void tl_wilson(size_t right, size_t n, double *low, double *high);

/* A share with that interval; NaN when n is 0. Its deviation is the bootstrap's,
 * sqrt(p (1 - p) / n). */
tl_interval tl_interval_share(size_t right, size_t n);

/*
 * The difference of two shares of the same n prompts, (fixed - broken) / n: right in the
 * second and wrong in the first, and the other way round. Its 95 % interval holds the
 * differences that a score test does not reject, and so is not empty when nothing changed.
 * Its deviation is the bootstrap's. NaN when n is 0.
 * @source Tango, doi:10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B
 */
tl_interval tl_interval_gain(size_t fixed, size_t broken, size_t n);

/* That as many as these were fixed and broken, or even more unequally many, by the toss of
 * a coin for each: McNemar's test, exact, of two sides. 1 when nothing changed. */
double tl_mcnemar(size_t fixed, size_t broken);

/* Of two values that are as frequent, the smaller; of none 0. */
size_t tl_most_frequent(const size_t *values, size_t n);

/* ---- a circuit beside random ones (docs/math.md eq. 22) ----------------------------- */

/* That a circuit which is as random as n_random others is at least as good as all but
 * n_as_good of them: (1 + n_as_good) / (1 + n_random). */
double tl_chance_p(size_t n_as_good, size_t n_random);

/* The smallest of values[n] that at least that many percent of them do not exceed; NaN when
 * there are none. Sorts them. */
double tl_quantile(double *values, size_t n, size_t percent);

/*
 * The share of values[n] above the `percent` quantile of others[n_others], which *threshold
 * receives. The interval is Wilson's, of which each arm is lengthened to the root of the sum
 * of its square and that of how far the share moves when the threshold takes an end of its
 * own interval: the order statistics between which the true quantile lies in 95 % of
 * samples. Where none reaches so high, the largest is the end if it is above the true
 * quantile in nine samples of ten (45 values of 95 %); with fewer, nothing is above.
 * Sorts others. NaN when n or n_others is 0.
 * @source Newcombe, doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I
 */
tl_interval tl_share_above(const double *values, size_t n, double *others,
                           size_t n_others, size_t percent, double *threshold);

/* ---- correlation ------------------------------------------------------------------ */

/* NaN when one of them is constant. Spearman's is Pearson's of the ranks; equal values
 * share the mean of theirs. */
double tl_pearson(const double *x, const double *y, size_t n);
tl_status tl_spearman(const double *x, const double *y, size_t n, double *out,
                      tl_error *err);

/* Both, of n values of which those of a cluster stand together and have its number: the pairs
 * of numbers of one prompt lean the same way. */
typedef struct tl_correlation {
    tl_interval pearson, spearman;
    size_t n_clusters;
} tl_correlation;

/* Intervals of 95 % are +- Student's t times the deviation by a jackknife over clusters,
 * on Fisher's scale, atanh; the interval's deviation is the jackknife's without it.
 * without intervals, or with fewer than two clusters: NaN. */
tl_status tl_correlate(const double *x, const double *y, const size_t *clusters,
                       size_t n, bool with_intervals, tl_correlation *out,
                       tl_error *err);

/* The squared error of a number, from its n values each without one of n parts of the sample:
 * the jackknife's. NaN with fewer than two. */
double tl_jackknife_variance(const double *values, size_t n);

/* ---- searching a grid -------------------------------------------------------------- */

/*
 * Is the best of n_cells changes more than chance? change [n_cells, n] is what a cell
 * did to each prompt: 1 fixed, -1 broken, 0. Were it nothing but noise, each prompt's
 * changes could as well have the other sign, in all cells at once. A cell counts by its sum
 * over the square root of its squared changes. *p receives the share of `n_resamples` such
 * flips (and of the data themselves) whose best cell is at least as good: corrected for
 * having looked at all cells but those that are clearly bad, of which the number is below
 * -3: these count as if they changed nothing.
 * @source Hansen, A test for superior predictive ability, doi:10.1198/073500105000000063
 */
tl_status tl_best_cell_test(const double *change, size_t n_cells, size_t n,
                            size_t n_resamples, uint64_t seed, double *p,
                            tl_error *err);

/*
 * The best cell chosen on one half of the prompts and judged on the other, and the
 * other way round: judged [n] receives each prompt's outcome under the cell that the half
 * without it has chosen, cells[2] the cells. Ties go to the first cell. TL_ERR_ARGUMENT
 * when n < 2.
 */
tl_status tl_best_cell_crossed(const double *outcome, size_t n_cells, size_t n,
                               uint64_t seed, double *judged, size_t cells[2],
                               tl_error *err);

enum { TL_STUDY_HALVES_SEED = 42 }; /* of a study's */

/* The halves of that: in_first[n] receives whether a prompt is in the half that chooses
 * cells[0], and so is judged by cells[1]; the others the other way round. */
tl_status tl_best_cell_halves(size_t n, uint64_t seed, bool *in_first, tl_error *err);

/* ---- curves ------------------------------------------------------------------------ */

/*
 * Area under faithfulness over the fraction of components, by trapezoids, from the
 * first fraction to the last divided by their distance (CPR); and between it and 1
 * (CMD). Points that are NaN are left out; both NaN with fewer than two.
 * @source Mueller et al., MIB: a mechanistic interpretability benchmark, section 4
 */
typedef struct tl_curve_area {
    double performance, distance;
} tl_curve_area;
tl_curve_area tl_curve_measure(const double *fractions, const double *faithfulness,
                               size_t n);

TL_END_DECLS

#endif
