/* SPDX-License-Identifier: MIT
 *
 * finding_tests.c - is the smallest faithful circuit better than chance, minimal, complete
 * (include/twinlens/finding.h; docs/math.md eq. 22)?
 */
#include "finding/findings_private.h"

#include <math.h>
#include <string.h>

enum { PERCENT = 95 }; /* of components that are not in the circuit */

/* The evaluation pairs under the circuits of the tests. */
typedef struct test_data {
    const tl_study_test *tests;
    size_t n_tests, n_pairs;
    const tl_study_test_run *runs; /* [n_pairs, n_tests] */
    const tl_study_baseline *base; /* [n_pairs] at least */
    bool ratio_of_means;
    size_t test; /* where statistics of one circuit look */
} test_data;

static double logit_diff(const test_data *d, size_t pair, size_t test)
{
    return d->runs[pair * d->n_tests + test].logit_diff;
}

/* Of the circuit of d->test, over the chosen pairs. */
static double faithfulness_of(const void *data, const size_t *chosen, size_t n)
{
    const test_data *d = data;
    tl_faithfulness_sums sums = {0};
    for (size_t i = 0; i < n; i++) {
        const tl_study_baseline *b = &d->base[chosen[i]];
        tl_faithfulness_add(&sums, b->clean, b->none,
                            logit_diff(d, chosen[i], d->test));
    }
    return d->ratio_of_means ? tl_faithfulness_ratio_of_means(&sums)
                             : tl_faithfulness_mean_of_ratios(&sums);
}

static double faithfulness_of_all(test_data *d, size_t test, const size_t *all)
{
    d->test = test;
    return faithfulness_of(d, all, d->n_pairs);
}

/* The first circuit of that name; n_tests: there is none. */
static size_t find(const test_data *d, const char *circuit)
{
    size_t i = 0;
    while (i < d->n_tests && strcmp(d->tests[i].circuit, circuit) != 0)
        i++;
    return i;
}

static tl_status resample(test_data *d, const char *circuit, tl_interval *out,
                          tl_error *err)
{
    d->test = find(d, circuit);
    return tl_bootstrap(faithfulness_of, d, d->n_pairs, NULL, out, err);
}

/* Mean and deviation over the random circuits, and how many are less faithful; `room`
 * [n_tests]. */
static void beside_chance(test_data *d, const size_t *all, double *room,
                          tl_finding_tests *out)
{
    double sum = 0.0, squares = 0.0;
    size_t n = 0, n_less = 0;
    out->most = NAN;
    for (size_t i = 0; i < d->n_tests; i++) {
        if (strcmp(d->tests[i].circuit, "random") != 0)
            continue;
        const double f = room[n++] = faithfulness_of_all(d, i, all);
        sum += f;
        n_less += f < out->faithfulness.value;
        out->most = n == 1 || f > out->most ? f : out->most;
    }
    const double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (room[i] - mean) * (room[i] - mean);
    const double sd = n > 1 ? sqrt(squares / (double)(n - 1)) : NAN,
                 half = tl_normal_quantile(0.975) * sd;
    out->random = (tl_interval){.value = mean,
                                .low = mean - half,
                                .high = mean + half,
                                .deviation = sd,
                                .n = n};
    out->less = tl_interval_share(n_less, n);
    out->p = tl_chance_p(n - n_less, n);
}

/* |mean over pairs of how a component changes LD| of those of a kind that the circuit is run
 * without, or with; returns how many. */
static size_t list_changes(const test_data *d, const char *circuit, const char *kind,
                           double *out)
{
    const size_t itself = find(d, "circuit");
    size_t n = 0;
    for (size_t i = 0; i < d->n_tests; i++) {
        double sum = 0.0;
        if (strcmp(d->tests[i].circuit, circuit) != 0 ||
            strcmp(d->tests[i].kind, kind) != 0)
            continue;
        for (size_t p = 0; p < d->n_pairs; p++)
            sum += logit_diff(d, p, i) - logit_diff(d, p, itself);
        out[n++] = fabs(sum) / (double)d->n_pairs;
    }
    return n;
}

/* `room` [2 n_tests]. */
static tl_finding_needed count_needed(const test_data *d, tl_component_kind kind,
                                      double *room)
{
    tl_finding_needed f = {0};
    double *outside = room + d->n_tests;
    const size_t n = list_changes(d, "without", tl_kind_name(kind), room);
    f.n_outside = list_changes(d, "with", tl_kind_name(kind), outside);
    f.needed = tl_share_above(room, n, outside, f.n_outside, PERCENT, &f.threshold);
    return f;
}

static tl_status measure(test_data *d, tl_arena *arena, tl_finding_tests *out,
                         tl_error *err)
{
    double *room = tl_arena_alloc(arena, 2 * d->n_tests, sizeof *room);
    size_t *all = tl_arena_alloc(arena, d->n_pairs, sizeof *all);
    if (room == NULL || all == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu tests", d->n_tests);
    for (size_t i = 0; i < d->n_pairs; i++)
        all[i] = i;
    out->n_pairs = d->n_pairs;
    tl_status status = resample(d, "circuit", &out->faithfulness, err);
    if (status == TL_OK)
        status = resample(d, "complement", &out->complement, err);
    if (status != TL_OK)
        return status;
    beside_chance(d, all, room, out);
    for (size_t k = 0; k < TL_KIND_COUNT; k++)
        out->needed[k] = count_needed(d, (tl_component_kind)k, room);
    return TL_OK;
}

/* Rows that are not all there, of a study under way, are of the pairs that are. */
tl_status tl_findings_tests(const tl_study_db *db, const tl_findings *findings,
                            tl_modality modality, tl_arena *arena,
                            tl_finding_tests *out, tl_error *err)
{
    const tl_study_test test = {.modality = modality};
    const tl_study_test_run run = {.modality = modality};
    const tl_study_baseline baseline = {.modality = modality};
    tl_rows tests = {0}, runs = {0}, base = {0};
    tl_status status = tl_study_db_get(db, TL_ROW_TEST, &test, 1, arena, &tests, err);
    if (status == TL_OK)
        status = tl_study_db_get(db, TL_ROW_TEST_RUN, &run, 1, arena, &runs, err);
    if (status == TL_OK)
        status = tl_study_db_get(db, TL_ROW_BASELINE, &baseline, 1, arena, &base, err);
    if (status != TL_OK || runs.n == 0)
        return status;
    test_data d = {.tests = tests.rows,
                   .n_tests = tests.n,
                   .n_pairs = tests.n > 0 ? runs.n / tests.n : 0,
                   .runs = runs.rows,
                   .base = base.rows,
                   .ratio_of_means = tl_findings_ratio_of_means(findings)};
    if (d.n_pairs * d.n_tests != runs.n || d.n_pairs > base.n ||
        find(&d, "circuit") == d.n_tests || find(&d, "complement") == d.n_tests)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%zu runs of %zu circuits that test another, of %zu pairs",
                       runs.n, tests.n, base.n);
    for (size_t i = 0; i < d.n_tests; i++)
        if (d.tests[i].has_component != (d.tests[i].kind != NULL) ||
            d.tests[i].has_component != (strncmp(d.tests[i].circuit, "with", 4) == 0))
            return tl_fail(err, TL_ERR_FORMAT,
                           "circuit %zu that tests another has no component, or should "
                           "have none",
                           i);
    return measure(&d, arena, out, err);
}
