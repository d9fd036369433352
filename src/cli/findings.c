/* SPDX-License-Identifier: MIT
 * findings.c - see findings.h. */
#include "cli/findings.h"

#include <math.h>
#include <string.h>

#include "twinlens/interchange.h"

/* Of the evaluation pairs of a host: what is needed to judge one segment. */
typedef struct swap_data {
    const tl_study_evaluation *base; /* clean and none */
    const double *logit_diff;        /* [pairs, n_swaps] */
    const tl_study_swap *swaps;
    size_t n_swaps;
    const char *segment;
} swap_data;

/* Faithfulness of swap s as ratio of means over the chosen pairs. */
static double faithfulness(const swap_data *d, size_t s, const size_t *chosen, size_t n)
{
    double over = 0.0, under = 0.0;
    for (size_t i = 0; i < n; i++) {
        const tl_study_evaluation *e = &d->base[chosen[i]];
        over += d->logit_diff[chosen[i] * d->n_swaps + s] - e->none;
        under += e->clean - e->none;
    }
    return under != 0.0 ? over / under : NAN;
}

static tl_finding_swap judge(const swap_data *d, const size_t *chosen, size_t n)
{
    tl_finding_swap f = {.value = NAN, .own = NAN};
    double random = 0.0;
    size_t n_random = 0;
    for (size_t s = 0; s < d->n_swaps; s++) {
        const tl_study_swap *swap = &d->swaps[s];
        if (strcmp(swap->swapped, "none") == 0)
            f.own = faithfulness(d, s, chosen, n);
        if (strcmp(swap->swapped, d->segment) != 0)
            continue;
        const double value = faithfulness(d, s, chosen, n);
        if (swap->is_random) {
            random += value;
            n_random++;
        } else {
            f.value = value;
        }
    }
    f.random = n_random > 0 ? random / (double)n_random : NAN;
    return f;
}

static double normalised(const void *data, const size_t *chosen, size_t n)
{
    const tl_finding_swap f = judge(data, chosen, n);
    return tl_interchange_normalised(f.value, f.random, f.own);
}

static tl_status read_swaps(const tl_study_db *db, tl_modality host, size_t n_points,
                            tl_arena *arena, tl_findings *out, tl_error *err)
{
    swap_data d = {0};
    size_t n_pairs = 0, n_evaluated = 0;
    tl_status status =
        tl_study_db_get_swaps(db, host, arena, &d.swaps, &d.n_swaps, err);
    if (status == TL_OK)
        status = tl_study_db_get_interchange(db, host, d.n_swaps, arena, &d.logit_diff,
                                             &n_pairs, err);
    if (status == TL_OK)
        status = tl_study_db_get_evaluations(db, host, n_points, arena, &d.base,
                                             &n_evaluated, err);
    if (status != TL_OK || n_pairs == 0 || n_pairs > n_evaluated)
        return status;
    size_t *all = tl_arena_alloc(arena, n_pairs, sizeof *all);
    if (all == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pairs", n_pairs);
    for (size_t i = 0; i < n_pairs; i++)
        all[i] = i;
    for (size_t s = 0; s < TL_SEGMENT_COUNT && status == TL_OK; s++) {
        d.segment = tl_segment_name((tl_segment)s);
        out->swaps[host][s] = judge(&d, all, n_pairs);
        status = tl_bootstrap(normalised, &d, n_pairs, NULL,
                              &out->swaps[host][s].normalised, err);
    }
    out->has_swaps[host] = true;
    return status;
}

/* ---- alignment ------------------------------------------------------------------- */

static tl_status interval_of(const double *values, size_t n, tl_interval *out,
                             tl_error *err)
{
    return tl_bootstrap(tl_statistic_mean, values, n, NULL, out, err);
}

/* a, b and a - b of one layer over all pairs. */
static tl_status two_and_difference(const tl_study_alignment *rows, size_t n,
                                    size_t layer, bool centred, double *buffer,
                                    tl_interval *a, tl_interval *b,
                                    tl_interval *difference, tl_error *err)
{
    double *first = buffer, *second = buffer + n, *third = buffer + 2 * n;
    for (size_t i = 0; i < n; i++) {
        first[i] = (centred ? rows[i].centred_matched : rows[i].matched)[layer];
        second[i] = (centred ? rows[i].centred_other : rows[i].other)[layer];
        third[i] = first[i] - second[i];
    }
    tl_status status = interval_of(first, n, a, err);
    if (status == TL_OK)
        status = interval_of(second, n, b, err);
    return status != TL_OK ? status : interval_of(third, n, difference, err);
}

static tl_status read_layers(const tl_study_db *db, tl_arena *arena, tl_findings *out,
                             tl_error *err)
{
    const tl_study_alignment *rows = NULL;
    size_t n = 0, n_layers = 0;
    tl_status status = tl_study_db_get_alignments(db, arena, &rows, &n, &n_layers, err);
    if (status != TL_OK || n == 0)
        return status;
    tl_finding_layer *layers = tl_arena_alloc(arena, n_layers, sizeof *layers);
    double *buffer = tl_arena_alloc(arena, 3 * n, sizeof *buffer);
    if (layers == NULL || buffer == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pairs", n);
    for (size_t l = 0; l < n_layers && status == TL_OK; l++) {
        tl_finding_layer *f = &layers[l];
        status = two_and_difference(rows, n, l, false, buffer, &f->matched, &f->other,
                                    &f->difference, err);
        if (status == TL_OK)
            status = two_and_difference(rows, n, l, true, buffer, &f->centred_matched,
                                        &f->centred_other, &f->centred_difference, err);
    }
    out->layers = layers;
    out->n_layers = n_layers;
    return status;
}

tl_status tl_findings_read(const tl_study_db *db, size_t n_points, tl_arena *arena,
                           tl_findings *out, tl_error *err)
{
    tl_findings f = {0};
    tl_status status =
        tl_study_db_get_overlaps(db, arena, &f.overlaps, &f.n_overlaps, err);
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++)
        status = read_swaps(db, (tl_modality)m, n_points, arena, &f, err);
    if (status == TL_OK)
        status = read_layers(db, arena, &f, err);
    if (status == TL_OK)
        *out = f;
    return status;
}
