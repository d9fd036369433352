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

/* ---- back-patching --------------------------------------------------------------- */

enum { PERMUTATIONS = 2000, SEED = 42 };

/* Every cell of every prompt as 1 or 0, [n_cells, n]; `clean` [n]. */
static tl_status read_outcomes(const tl_study_db *db, tl_modality modality,
                               size_t n_cells, tl_arena *arena, double **cells,
                               double **clean, size_t *n, tl_error *err)
{
    const tl_study_outcome *rows = NULL;
    tl_status status = tl_study_db_get_backpatches(db, modality, arena, &rows, n, err);
    if (status != TL_OK || *n == 0)
        return status;
    *cells = tl_arena_alloc(arena, n_cells * *n, sizeof **cells);
    *clean = tl_arena_alloc(arena, *n, sizeof **clean);
    if (*cells == NULL || *clean == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu prompts", *n);
    for (size_t i = 0; i < *n; i++) {
        if (strlen(rows[i].outcomes) != n_cells)
            return tl_fail(err, TL_ERR_FORMAT, "a prompt of %zu cells, wanted %zu",
                           strlen(rows[i].outcomes), n_cells);
        (*clean)[i] = rows[i].is_right;
        for (size_t c = 0; c < n_cells; c++)
            (*cells)[c * *n + i] = rows[i].outcomes[c] == '1';
    }
    return TL_OK;
}

static double mean_of(const double *values, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += values[i];
    return sum / (double)n;
}

/* The best cell of image prompts: by how much, how surely, by how much elsewhere. */
static tl_status judge_best(tl_finding_backpatch *f, const double *cells,
                            const double *clean, tl_arena *arena, tl_error *err)
{
    const size_t n = f->n;
    double *change = tl_arena_alloc(arena, f->n_cells * n, sizeof *change);
    if (change == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu cells", f->n_cells);
    for (size_t c = 0; c < f->n_cells; c++) {
        if (f->accuracy[TL_IMAGE][c] > f->accuracy[TL_IMAGE][f->best])
            f->best = c;
        for (size_t i = 0; i < n; i++)
            change[c * n + i] = cells[c * n + i] - clean[i];
    }
    size_t halves[2];
    tl_status status = interval_of(cells + f->best * n, n, &f->best_accuracy, err);
    if (status == TL_OK)
        status = interval_of(change + f->best * n, n, &f->gain, err);
    if (status == TL_OK)
        status =
            tl_best_cell_test(change, f->n_cells, n, PERMUTATIONS, SEED, &f->p, err);
    f->crossed_gain = NAN;
    if (status == TL_OK && n > 1)
        status = tl_best_cell_crossed(change, f->n_cells, n, SEED, &f->crossed_gain,
                                      halves, err);
    return status;
}

static tl_status read_iterations(const tl_study_db *db, tl_arena *arena,
                                 tl_finding_backpatch *f, tl_error *err)
{
    const tl_study_outcome *rows = NULL;
    size_t n = 0, cell = 0;
    tl_status status = tl_study_db_get_iterations(db, arena, &rows, &n, &cell, err);
    if (status != TL_OK || n == 0)
        return status;
    f->n_iterations = strlen(rows[0].outcomes);
    double *accuracy = tl_arena_alloc_zero(arena, f->n_iterations, sizeof *accuracy);
    if (accuracy == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for iterations");
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < f->n_iterations && rows[i].outcomes[k] != '\0'; k++)
            accuracy[k] += (rows[i].outcomes[k] == '1') / (double)n;
    f->iterations = accuracy;
    return TL_OK;
}

static tl_status read_backpatch(const tl_study_db *db, tl_arena *arena,
                                tl_finding_backpatch *out, tl_error *err)
{
    tl_finding_backpatch f = {0};
    double *cells[TL_MODALITY_COUNT] = {NULL, NULL}, *clean[TL_MODALITY_COUNT];
    tl_status status = tl_study_db_get_cells(db, arena, &f.cells, &f.n_cells, err);
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++) {
        size_t n = 0;
        status = read_outcomes(db, (tl_modality)m, f.n_cells, arena, &cells[m],
                               &clean[m], &n, err);
        if (status != TL_OK)
            return status;
        if (n == 0 || (m > 0 && n != f.n))
            return TL_OK; /* not that far yet */
        f.n = n;
        f.accuracy[m] = tl_arena_alloc(arena, f.n_cells, sizeof(double));
        if (f.accuracy[m] == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu cells", f.n_cells);
        for (size_t c = 0; c < f.n_cells; c++)
            f.accuracy[m][c] = mean_of(cells[m] + c * n, n);
        status = interval_of(clean[m], n, &f.clean[m], err);
    }
    if (status != TL_OK || f.n_cells == 0)
        return status;
    status = judge_best(&f, cells[TL_IMAGE], clean[TL_IMAGE], arena, err);
    const double text = f.clean[TL_TEXT].value, image = f.clean[TL_IMAGE].value;
    f.closed = text > image ? f.gain.value / (text - image) : NAN;
    for (size_t c = 0; c < f.n_cells; c++)
        f.no_worse += f.accuracy[TL_IMAGE][c] - image >= f.accuracy[TL_TEXT][c] - text
                          ? 1.0 / (double)f.n_cells
                          : 0.0;
    if (status == TL_OK)
        status = read_iterations(db, arena, &f, err);
    if (status == TL_OK)
        *out = f;
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
        status = read_backpatch(db, arena, &f.backpatch, err);
    if (status == TL_OK)
        *out = f;
    return status;
}
