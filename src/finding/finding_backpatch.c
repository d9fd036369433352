/* SPDX-License-Identifier: MIT
 *
 * finding_backpatch.c - by how much late states help when early layers see them
 * (include/twinlens/finding.h).
 */
#include "finding/findings_private.h"

#include <math.h>
#include <string.h>

enum { PERMUTATIONS = 2000, SEED = 42 };

/* Every cell of every prompt as 1 or 0, [n_cells, n]; `clean` [n]. */
static tl_status read_outcomes(const tl_study_db *db, tl_modality modality,
                               size_t n_cells, tl_arena *arena, double **cells,
                               double **clean, size_t *n, tl_error *err)
{
    const tl_study_patched like = {.modality = modality};
    tl_rows got = {0};
    tl_status status = tl_study_db_get(db, TL_ROW_PATCHED, &like, 1, arena, &got, err);
    *n = got.n;
    if (status != TL_OK || got.n == 0)
        return status;
    const tl_study_patched *rows = got.rows;
    *cells = tl_arena_alloc(arena, n_cells * *n, sizeof **cells);
    *clean = tl_arena_alloc(arena, *n, sizeof **clean);
    if (*cells == NULL || *clean == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu prompts", *n);
    for (size_t i = 0; i < *n; i++) {
        if (strlen(rows[i].cells) != n_cells)
            return tl_fail(err, TL_ERR_FORMAT, "a prompt of %zu cells, wanted %zu",
                           strlen(rows[i].cells), n_cells);
        (*clean)[i] = rows[i].is_right;
        for (size_t c = 0; c < n_cells; c++)
            (*cells)[c * *n + i] = rows[i].cells[c] == '1';
    }
    return TL_OK;
}

/* What every cell does to the prompts of a modality; `right` [n_cells, n]. */
static void measure_cells(const tl_finding_backpatch *f, tl_modality modality,
                          const double *right, tl_finding_cell *cells)
{
    for (size_t c = 0; c < f->n_cells; c++) {
        double sum = 0.0;
        for (size_t i = 0; i < f->n; i++)
            sum += right[c * f->n + i];
        tl_interval *accuracy = &cells[c].accuracy[modality];
        *accuracy = (tl_interval){.value = sum / (double)f->n, .n = f->n};
        tl_wilson((size_t)sum, f->n, &accuracy->low, &accuracy->high);
        cells[c].gain[modality] = accuracy->value - f->clean[modality].value;
    }
}

/* The best cell of image prompts: by how much, how surely, by how much elsewhere. */
static tl_status measure_best(tl_finding_backpatch *f, const double *cells,
                              const double *clean, tl_arena *arena, tl_error *err)
{
    const size_t n = f->n;
    double *change = tl_arena_alloc(arena, f->n_cells * n, sizeof *change);
    if (change == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu cells", f->n_cells);
    for (size_t c = 0; c < f->n_cells; c++) {
        if (f->cells[c].accuracy[TL_IMAGE].value >
            f->cells[f->best].accuracy[TL_IMAGE].value)
            f->best = c;
        for (size_t i = 0; i < n; i++)
            change[c * n + i] = cells[c * n + i] - clean[i];
    }
    double *judged = tl_arena_alloc(arena, n, sizeof *judged);
    size_t halves[2];
    if (judged == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu prompts", n);
    tl_status status = tl_findings_mean(cells + f->best * n, n, &f->best_accuracy, err);
    if (status == TL_OK)
        status = tl_findings_mean(change + f->best * n, n, &f->gain, err);
    if (status == TL_OK)
        status =
            tl_best_cell_test(change, f->n_cells, n, PERMUTATIONS, SEED, &f->p, err);
    f->crossed_gain = (tl_interval){NAN, NAN, NAN, NAN, n, 0};
    if (status == TL_OK && n > 1)
        status = tl_best_cell_crossed(change, f->n_cells, n, SEED, judged, halves, err);
    if (status == TL_OK && n > 1)
        status = tl_findings_mean(judged, n, &f->crossed_gain, err);
    f->crossed_accuracy = f->crossed_gain;
    f->crossed_accuracy.value += f->clean[TL_IMAGE].value;
    f->crossed_accuracy.low += f->clean[TL_IMAGE].value;
    f->crossed_accuracy.high += f->clean[TL_IMAGE].value;
    return status;
}

static tl_status read_iterations(const tl_study_db *db, tl_arena *arena,
                                 tl_finding_backpatch *f, tl_error *err)
{
    tl_rows got = {0};
    tl_status status = tl_study_db_get(db, TL_ROW_ITERATION, NULL, 0, arena, &got, err);
    if (status != TL_OK || got.n == 0)
        return status;
    const tl_study_iteration *rows = got.rows;
    const size_t n = got.n;
    f->n_iterations = strlen(rows[0].times);
    tl_interval *iterations =
        tl_arena_alloc_zero(arena, f->n_iterations, sizeof *iterations);
    double *right = tl_arena_alloc(arena, n, sizeof *right);
    if (iterations == NULL || right == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for iterations");
    for (size_t k = 0; k < f->n_iterations && status == TL_OK; k++) {
        for (size_t i = 0; i < n; i++)
            right[i] = strlen(rows[i].times) > k && rows[i].times[k] == '1';
        status = tl_findings_mean(right, n, &iterations[k], err);
    }
    f->iterations = iterations;
    return status;
}

/* Share of the gap between text and image that a cell closes. */
typedef struct gap_data {
    const double *patched, *image, *text; /* [n], right or wrong */
} gap_data;

static double closed_of(const void *data, const size_t *chosen, size_t n)
{
    const gap_data *d = data;
    double gain = 0.0, gap = 0.0;
    for (size_t i = 0; i < n; i++) {
        gain += d->patched[chosen[i]] - d->image[chosen[i]];
        gap += d->text[chosen[i]] - d->image[chosen[i]];
    }
    return gap > 0.0 ? gain / gap : NAN;
}

typedef struct control_data {
    const double *cells[TL_MODALITY_COUNT]; /* [n_cells, n] */
    const double *clean[TL_MODALITY_COUNT]; /* [n] */
    size_t n_cells, n;
} control_data;

/* Right answers more than without patching, summed over the chosen prompts. */
static double gain_of(const control_data *d, tl_modality m, size_t cell,
                      const size_t *chosen, size_t n)
{
    double gain = 0.0;
    for (size_t i = 0; i < n; i++)
        gain += d->cells[m][cell * d->n + chosen[i]] - d->clean[m][chosen[i]];
    return gain;
}

static double no_worse_of(const void *data, const size_t *chosen, size_t n)
{
    const control_data *d = data;
    size_t count = 0;
    for (size_t c = 0; c < d->n_cells; c++)
        count +=
            gain_of(d, TL_IMAGE, c, chosen, n) >= gain_of(d, TL_TEXT, c, chosen, n);
    return (double)count / (double)d->n_cells;
}

/* The cells of the study, without what they do. */
static tl_status read_cells(const tl_study_db *db, tl_arena *arena,
                            tl_finding_cell **out, size_t *n, tl_error *err)
{
    tl_rows got = {0};
    const tl_status status =
        tl_study_db_get(db, TL_ROW_CELL, NULL, 0, arena, &got, err);
    if (status != TL_OK)
        return status;
    const tl_study_cell *rows = got.rows;
    tl_finding_cell *cells = tl_arena_alloc_zero(arena, got.n, sizeof *cells);
    if (cells == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu cells", got.n);
    for (size_t c = 0; c < got.n; c++) {
        cells[c].window = rows[c].window;
        cells[c].source = rows[c].source;
        cells[c].destination = rows[c].destination;
    }
    *out = cells;
    *n = got.n;
    return TL_OK;
}

tl_status tl_findings_backpatch(const tl_study_db *db, tl_arena *arena,
                                tl_finding_backpatch *out, tl_error *err)
{
    tl_finding_backpatch f = {0};
    tl_finding_cell *cells = NULL;
    double *right[TL_MODALITY_COUNT] = {NULL, NULL}, *clean[TL_MODALITY_COUNT];
    tl_status status = read_cells(db, arena, &cells, &f.n_cells, err);
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++) {
        size_t n = 0;
        status = read_outcomes(db, (tl_modality)m, f.n_cells, arena, &right[m],
                               &clean[m], &n, err);
        if (status != TL_OK)
            return status;
        if (n == 0 || (m > 0 && n != f.n))
            return TL_OK; /* the study has not got through back-patching yet */
        f.n = n;
        status = tl_findings_mean(clean[m], n, &f.clean[m], err);
        measure_cells(&f, (tl_modality)m, right[m], cells);
    }
    if (status != TL_OK || f.n_cells == 0)
        return status;
    f.cells = cells;
    status = measure_best(&f, right[TL_IMAGE], clean[TL_IMAGE], arena, err);
    const gap_data gap = {right[TL_IMAGE] + f.best * f.n, clean[TL_IMAGE],
                          clean[TL_TEXT]};
    const control_data control = {{right[TL_TEXT], right[TL_IMAGE]},
                                  {clean[TL_TEXT], clean[TL_IMAGE]},
                                  f.n_cells,
                                  f.n};
    if (status == TL_OK)
        status = tl_bootstrap(closed_of, &gap, f.n, NULL, &f.closed, err);
    if (status == TL_OK)
        status = tl_bootstrap(no_worse_of, &control, f.n, NULL, &f.no_worse, err);
    if (status == TL_OK)
        status = read_iterations(db, arena, &f, err);
    if (status == TL_OK)
        *out = f;
    return status;
}
