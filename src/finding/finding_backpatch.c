/* SPDX-License-Identifier: MIT
 *
 * finding_backpatch.c - by how much late states help when early layers see them
 * (include/twinlens/finding.h).
 */
#include "finding/finding_rows.h"
#include "finding/findings_private.h"

#include <math.h>
#include <string.h>

enum { PERMUTATIONS = 2000, SEED = TL_STUDY_HALVES_SEED };

/* What became of the prompts: right or wrong; of cells NaN where they were not run. */
typedef struct outcomes {
    double *cells[TL_MODALITY_COUNT]; /* [n_cells, n] */
    double *clean[TL_MODALITY_COUNT]; /* [n] */
    size_t n_cells, n;
    bool *is_seen, *is_control; /* [n]: by a round of the search, or runs its control */
    size_t n_seen;
} outcomes;

/* NULL: the modality is not studied. */
static const double *cell_of(const outcomes *o, tl_modality modality, size_t cell)
{
    return o->cells[modality] != NULL ? o->cells[modality] + cell * o->n : NULL;
}

/* Fills in a modality; *n: of how many prompts. */
static tl_status read_outcomes(const tl_study_db *db, tl_modality modality,
                               tl_arena *arena, outcomes *o, size_t *n, tl_error *err)
{
    const tl_study_patched like = {.modality = modality};
    tl_rows got = {0};
    tl_status status = tl_study_db_get(db, TL_ROW_PATCHED, &like, 1, arena, &got, err);
    *n = got.n;
    if (status != TL_OK || got.n == 0)
        return status;
    const tl_study_patched *rows = got.rows;
    double *cells = tl_arena_alloc(arena, o->n_cells * got.n, sizeof *cells),
           *clean = tl_arena_alloc(arena, got.n, sizeof *clean);
    if (cells == NULL || clean == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu prompts", got.n);
    for (size_t i = 0; i < got.n; i++) {
        const char *text = rows[i].cells;
        if (strlen(text) != o->n_cells)
            return tl_fail(err, TL_ERR_FORMAT, "a prompt of %zu cells, wanted %zu",
                           strlen(text), o->n_cells);
        if (strspn(text, "01-") != o->n_cells)
            return tl_fail(err, TL_ERR_FORMAT,
                           "a prompt with '%c' for a cell, wanted 0, 1 or -",
                           text[strspn(text, "01-")]);
        clean[i] = rows[i].is_right;
        for (size_t c = 0; c < o->n_cells; c++)
            cells[c * got.n + i] = text[c] == '-' ? NAN : text[c] == '1';
    }
    o->cells[modality] = cells;
    o->clean[modality] = clean;
    return TL_OK;
}

/* What every cell does to the prompts of a modality that it was run on. */
static void measure_cells(const outcomes *o, tl_modality modality,
                          tl_finding_cell *cells)
{
    for (size_t c = 0; c < o->n_cells; c++) {
        const double *right = cell_of(o, modality, c);
        double sum = 0.0, clean = 0.0;
        size_t n = 0;
        for (size_t i = 0; i < o->n && right != NULL; i++)
            if (!isnan(right[i])) {
                sum += right[i];
                clean += o->clean[modality][i];
                n++;
            }
        cells[c].accuracy[modality] = tl_interval_share((size_t)sum, n);
        cells[c].gain[modality] = n > 0 ? (sum - clean) / (double)n : NAN;
    }
}

/* ---- a search --------------------------------------------------------------------- */

static size_t count_runs(const outcomes *o, tl_modality modality, size_t i)
{
    size_t n = 0;
    for (size_t c = 0; c < o->n_cells && o->cells[modality] != NULL; c++)
        n += isnan(cell_of(o, modality, c)[i]) ? 0 : 1;
    return n;
}

/* The rounds are the first pairs: several cells of the image, none of the text. */
static tl_status find_rounds(outcomes *o, tl_arena *arena, tl_finding_backpatch *f,
                             tl_error *err)
{
    tl_finding_round *rounds = tl_arena_alloc(arena, o->n, sizeof *rounds);
    o->is_seen = tl_arena_alloc_zero(arena, o->n, sizeof *o->is_seen);
    o->is_control = tl_arena_alloc_zero(arena, o->n, sizeof *o->is_control);
    if (rounds == NULL || o->is_seen == NULL || o->is_control == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu prompts", o->n);
    for (size_t i = 0; i < o->n; i++)
        f->n_runs += count_runs(o, TL_IMAGE, i) + count_runs(o, TL_TEXT, i);
    for (size_t i = 0; i < o->n && f->n_runs < f->n_all_runs; i++) {
        const size_t image = count_runs(o, TL_IMAGE, i),
                     text = count_runs(o, TL_TEXT, i);
        o->is_control[i] = text > 0;
        o->is_seen[i] = text == 0 && image > 1;
        if (!o->is_seen[i])
            continue;
        if (o->n_seen++ != i)
            return tl_fail(err, TL_ERR_FORMAT,
                           "pair %zu is of a round, after one that judges", i);
        if (f->n_rounds == 0 || rounds[f->n_rounds - 1].n_cells != image)
            rounds[f->n_rounds++] = (tl_finding_round){.n_cells = image};
        rounds[f->n_rounds - 1].n_prompts++;
    }
    f->rounds = rounds;
    return TL_OK;
}

/* What a search left: of the cells that were run in all rounds the one with most right
 * answers, the first of equal ones. It must have been run on all other prompts. */
static tl_status find_found(const outcomes *o, tl_finding_backpatch *f, tl_error *err)
{
    double most = -1.0;
    for (size_t c = 0; c < o->n_cells; c++) {
        double right = 0.0; /* NaN when it left early */
        for (size_t i = 0; i < o->n_seen; i++)
            right += cell_of(o, TL_IMAGE, c)[i];
        if (right > most) {
            most = right;
            f->best = c;
        }
    }
    const char *missing = o->n_seen == 0      ? "rounds"
                          : o->n_seen == o->n ? "prompts that judge"
                          : most < 0.0        ? "a cell that is left"
                                              : NULL;
    if (missing != NULL)
        return tl_fail(err, TL_ERR_FORMAT, "a search among %zu cells without %s",
                       o->n_cells, missing);
    for (size_t i = o->n_seen; i < o->n; i++)
        if (isnan(cell_of(o, TL_IMAGE, f->best)[i]))
            return tl_fail(err, TL_ERR_FORMAT,
                           "pair %zu judges without cell %zu, which the search left", i,
                           f->best);
    return TL_OK;
}

/* ---- the best cell ------------------------------------------------------------------ */

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

/* Right answers of [n]. */
static size_t count_right(const double *right, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += right[i] > 0.0;
    return count;
}

tl_finding_change tl_finding_change_of(size_t n_right, size_t n_fixed, size_t n_broken,
                                       size_t n)
{
    return (tl_finding_change){.accuracy = tl_interval_share(n_right, n),
                               .gain = tl_interval_gain(n_fixed, n_broken, n),
                               .n_fixed = n_fixed,
                               .n_broken = n_broken,
                               .p = n > 0 ? tl_mcnemar(n_fixed, n_broken) : NAN,
                               .closed = tl_interval_share(0, 0)};
}

/* What patching did to prompts that were right or wrong without and with it, and to the gap
 * between them and their texts, if there are any; all [n]. */
static tl_status measure_change(const double *image, const double *patched,
                                const double *text, size_t n, tl_finding_change *out,
                                tl_error *err)
{
    const gap_data gap = {patched, image, text};
    size_t n_fixed = 0, n_broken = 0;
    for (size_t i = 0; i < n; i++) {
        n_fixed += patched[i] > image[i];
        n_broken += patched[i] < image[i];
    }
    tl_finding_change c =
        tl_finding_change_of(count_right(patched, n), n_fixed, n_broken, n);
    const tl_status status =
        text != NULL ? tl_bootstrap(closed_of, &gap, n, NULL, &c.closed, err) : TL_OK;
    if (status == TL_OK)
        *out = c;
    return status;
}

/* Of all cells, which all ran on all prompts: by how much, how surely, by how much elsewhere. */
static tl_status measure_best(tl_finding_backpatch *f, const outcomes *o,
                              tl_arena *arena, tl_error *err)
{
    const size_t n = o->n;
    const double *cells = o->cells[TL_IMAGE], *clean = o->clean[TL_IMAGE];
    double *change = tl_arena_alloc(arena, f->n_cells * n, sizeof *change),
           *judged = tl_arena_alloc(arena, n, sizeof *judged);
    size_t halves[2];
    if (change == NULL || judged == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu cells", f->n_cells);
    for (size_t c = 0; c < f->n_cells; c++) {
        if (f->cells[c].accuracy[TL_IMAGE].value >
            f->cells[f->best].accuracy[TL_IMAGE].value)
            f->best = c;
        for (size_t i = 0; i < n; i++)
            change[c * n + i] = cells[c * n + i] - clean[i];
    }
    tl_status status = measure_change(clean, cells + f->best * n, o->clean[TL_TEXT], n,
                                      &f->chosen_here, err);
    if (status == TL_OK)
        status =
            tl_best_cell_test(change, f->n_cells, n, PERMUTATIONS, SEED, &f->p, err);
    f->chosen_elsewhere = tl_finding_change_of(0, 0, 0, 0);
    if (status == TL_OK && n > 1)
        status = tl_best_cell_crossed(cells, f->n_cells, n, SEED, judged, halves, err);
    if (status == TL_OK && n > 1)
        status = measure_change(clean, judged, o->clean[TL_TEXT], n,
                                &f->chosen_elsewhere, err);
    return status;
}

/* Of the cell that a search found, on the prompts that no round saw: p is that of one cell. */
static tl_status measure_found(tl_finding_backpatch *f, const outcomes *o,
                               tl_error *err)
{
    const size_t first = o->n_seen;
    const tl_status status = measure_change(
        o->clean[TL_IMAGE] + first, cell_of(o, TL_IMAGE, f->best) + first,
        o->clean[TL_TEXT] != NULL ? o->clean[TL_TEXT] + first : NULL, o->n - first,
        &f->chosen_elsewhere, err);
    f->chosen_here = f->chosen_elsewhere;
    f->p = f->chosen_elsewhere.p;
    return status;
}

static tl_status read_iterations(const tl_study_db *db, tl_arena *arena,
                                 tl_finding_backpatch *f, tl_error *err)
{
    tl_rows got = {0};
    const tl_status status =
        tl_study_db_get(db, TL_ROW_ITERATION, NULL, 0, arena, &got, err);
    if (status != TL_OK || got.n == 0)
        return status;
    const tl_study_iteration *rows = got.rows;
    const size_t n = got.n;
    f->n_iterations = strlen(rows[0].times);
    tl_interval *iterations =
        tl_arena_alloc_zero(arena, f->n_iterations, sizeof *iterations);
    if (iterations == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for iterations");
    for (size_t k = 0; k < f->n_iterations; k++) {
        size_t right = 0;
        for (size_t i = 0; i < n; i++)
            right += strlen(rows[i].times) > k && rows[i].times[k] == '1';
        iterations[k] = tl_interval_share(right, n);
    }
    f->iterations = iterations;
    return TL_OK;
}

/* Prompts from `first` on, under a cell that they did not choose. */
static tl_status measure_times(const tl_study_iteration *rows, size_t first, size_t n,
                               tl_arena *arena, tl_finding_backpatch *f, tl_error *err)
{
    const size_t n_times = strlen(rows[0].times);
    tl_finding_time *times = tl_arena_alloc_zero(arena, n_times, sizeof *times);
    if (times == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu times", n_times);
    for (size_t i = 0; i < n; i++)
        if (strlen(rows[i].times) != n_times || n_times < 2)
            return tl_fail(err, TL_ERR_FORMAT,
                           "an iteration of %zu times, wanted %zu and at least 2",
                           strlen(rows[i].times), n_times);
    for (size_t k = 0; k < n_times; k++) {
        size_t right = 0;
        for (size_t i = first; i < n; i++) {
            const bool now = rows[i].times[k] == '1', once = rows[i].times[1] == '1';
            right += now;
            times[k].n_more += now && !once;
            times[k].n_fewer += once && !now;
        }
        times[k].accuracy = tl_interval_share(right, n - first);
        times[k].above_once =
            tl_interval_gain(times[k].n_more, times[k].n_fewer, n - first);
        times[k].p = tl_mcnemar(times[k].n_more, times[k].n_fewer);
    }
    f->times = times;
    f->n_times = n_times;
    return TL_OK;
}

static tl_status read_times(const tl_study_db *db, const outcomes *o, tl_arena *arena,
                            tl_finding_backpatch *f, tl_error *err)
{
    const bool is_search = f->n_rounds > 0;
    const size_t first = is_search ? o->n_seen : 0;
    tl_rows got = {0};
    const tl_status status =
        tl_study_db_get(db, is_search ? TL_ROW_ITERATION : TL_ROW_CROSSED_ITERATION,
                        NULL, 0, arena, &got, err);
    return status == TL_OK && got.n > first
               ? measure_times(got.rows, first, got.n, arena, f, err)
               : status;
}

/* Cells and pairs that ran in both modalities. */
typedef struct control_data {
    const outcomes *o;
    const size_t *cells, *pairs;
    size_t n_cells;
    double least, most; /* advantages that count */
} control_data;

/* Right answers more than without patching, summed over the chosen prompts. */
static double gain_of(const control_data *d, tl_modality m, size_t cell,
                      const size_t *chosen, size_t n)
{
    const double *right = cell_of(d->o, m, cell);
    double gain = 0.0;
    for (size_t i = 0; i < n; i++)
        gain += right[d->pairs[chosen[i]]] - d->o->clean[m][d->pairs[chosen[i]]];
    return gain;
}

/* A cell's gain on images above that on text. */
static double advantage_of(const control_data *d, size_t cell, const size_t *chosen,
                           size_t n)
{
    return gain_of(d, TL_IMAGE, d->cells[cell], chosen, n) -
           gain_of(d, TL_TEXT, d->cells[cell], chosen, n);
}

static double share_of(const void *data, const size_t *chosen, size_t n)
{
    const control_data *d = data;
    size_t count = 0;
    for (size_t c = 0; c < d->n_cells; c++) {
        const double advantage = advantage_of(d, c, chosen, n);
        count += advantage >= d->least && advantage <= d->most;
    }
    return (double)count / (double)d->n_cells;
}

/* The interval of a share of n cells, which are a sample of n_all: what the prompts leave
 * open and what the sample does, in quadrature; the latter is Wilson's interval, smaller
 * where the sample is a large part of all. */
static void widen(tl_interval *share, size_t n, size_t n_all)
{
    if (n == n_all || isnan(share->low) || isnan(share->high))
        return;
    double low = 0.0, high = 0.0;
    tl_wilson((size_t)lround(share->value * (double)n), n, &low, &high);
    const double part = sqrt((double)(n_all - n) / (double)(n_all - 1));
    share->low = fmax(0.0, share->value - hypot(share->value - share->low,
                                                part * (share->value - low)));
    share->high = fmin(1.0, share->value + hypot(share->high - share->value,
                                                 part * (high - share->value)));
    share->deviation = hypot(
        share->deviation, part * sqrt(share->value * (1.0 - share->value) / (double)n));
}

static void count_gains(const control_data *d, const size_t *all, size_t n,
                        size_t *better, size_t *equal, size_t *worse)
{
    for (size_t c = 0; c < d->n_cells; c++) {
        const double advantage = advantage_of(d, c, all, n);
        *better += advantage > 0.0;
        *equal += advantage == 0.0;
        *worse += advantage < 0.0;
    }
}

static size_t count_window(const tl_finding_backpatch *f, size_t window)
{
    size_t n = 0;
    for (size_t c = 0; c < f->n_cells; c++)
        n += f->cells[c].window == window;
    return n;
}

/* The same for the cells of each window, in the order in which windows first occur. */
static tl_status measure_windows(tl_finding_backpatch *f, const control_data *whole,
                                 const size_t *all, size_t n, tl_arena *arena,
                                 tl_error *err)
{
    tl_finding_window *windows =
        tl_arena_alloc_zero(arena, whole->n_cells, sizeof *windows);
    size_t *cells = tl_arena_alloc(arena, whole->n_cells, sizeof *cells);
    tl_status status = TL_OK;
    if (windows == NULL || cells == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for windows");
    for (size_t i = 0; i < whole->n_cells && status == TL_OK; i++) {
        const size_t window = f->cells[whole->cells[i]].window;
        size_t known = 0;
        while (known < f->n_windows && windows[known].window != window)
            known++;
        if (known < f->n_windows)
            continue;
        control_data part = *whole;
        part.cells = cells;
        part.n_cells = 0;
        part.least = 0.0;
        part.most = INFINITY;
        for (size_t c = i; c < whole->n_cells; c++)
            if (f->cells[whole->cells[c]].window == window)
                cells[part.n_cells++] = whole->cells[c];
        tl_finding_window *w = &windows[f->n_windows++];
        w->window = window;
        w->n_cells = part.n_cells;
        count_gains(&part, all, n, &w->n_better, &w->n_equal, &w->n_worse);
        status = tl_bootstrap(share_of, &part, n, NULL, &w->no_worse, err);
        widen(&w->no_worse, part.n_cells, count_window(f, window));
    }
    f->windows = windows;
    return status;
}

/* The share of cells that gain no less on images than on text, of those that ran on both. */
static tl_status measure_control(tl_finding_backpatch *f, const outcomes *o,
                                 tl_arena *arena, tl_error *err)
{
    size_t *cells = tl_arena_alloc(arena, o->n_cells, sizeof *cells),
           *pairs = tl_arena_alloc(arena, o->n, sizeof *pairs), n = 0;
    if (cells == NULL || pairs == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu cells", o->n_cells);
    for (size_t i = 0; i < o->n; i++)
        if (f->n_rounds == 0 || o->is_control[i])
            pairs[n++] = i;
    if (!f->has_text)
        n = 0;
    f->no_worse = f->better = f->equal = (tl_interval){NAN, NAN, NAN, NAN, n, 0};
    for (size_t c = 0; c < o->n_cells && n > 0; c++)
        if (!isnan(cell_of(o, TL_TEXT, c)[pairs[0]]))
            cells[f->n_control_cells++] = c;
    control_data data = {o, cells, pairs, f->n_control_cells, 0.0, INFINITY};
    for (size_t c = 0; c < data.n_cells; c++)
        for (size_t i = 0; i < n; i++)
            if (isnan(cell_of(o, TL_TEXT, cells[c])[pairs[i]]) ||
                isnan(cell_of(o, TL_IMAGE, cells[c])[pairs[i]]))
                return tl_fail(err, TL_ERR_FORMAT,
                               "pair %zu is without cell %zu of the control", pairs[i],
                               cells[c]);
    if (data.n_cells == 0)
        return TL_OK;
    size_t *all = tl_arena_alloc(arena, n, sizeof *all);
    if (all == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pairs", n);
    for (size_t i = 0; i < n; i++)
        all[i] = i;
    count_gains(&data, all, n, &f->n_better, &f->n_equal, &f->n_worse);
    const struct {
        tl_interval *share;
        double least, most;
    } shares[] = {{&f->no_worse, 0.0, INFINITY}, /* sums of whole numbers */
                  {&f->better, 0.5, INFINITY},
                  {&f->equal, 0.0, 0.0}};
    tl_status status = TL_OK;
    for (size_t s = 0; s < sizeof shares / sizeof *shares && status == TL_OK; s++) {
        data.least = shares[s].least;
        data.most = shares[s].most;
        status = tl_bootstrap(share_of, &data, n, NULL, shares[s].share, err);
        widen(shares[s].share, data.n_cells, o->n_cells);
    }
    return status == TL_OK ? measure_windows(f, &data, all, n, arena, err) : status;
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

/* Both modalities, or images alone; *done is false while the study has not got through. */
static tl_status read_all(const tl_study_db *db, tl_arena *arena, outcomes *o,
                          bool *done, tl_error *err)
{
    size_t n[TL_MODALITY_COUNT] = {0, 0};
    tl_status status = TL_OK;
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++)
        status = read_outcomes(db, (tl_modality)m, arena, o, &n[m], err);
    o->n = n[TL_IMAGE];
    *done = n[TL_TEXT] == n[TL_IMAGE];
    if (status == TL_OK && n[TL_TEXT] == 0) /* text comes first, where there is some */
        status = tl_study_db_has_stage(db, "back-patch image", done, err);
    *done = *done && n[TL_IMAGE] > 0 && o->n_cells > 0;
    return status;
}

/* Leaves the pairs whose text has the most frequent length, o->n of them; *some: not all. */
static tl_status keep_modal(const tl_study_db *db, tl_arena *arena, outcomes *o,
                            bool *some, tl_error *err)
{
    tl_rows got = {0};
    const tl_status status =
        tl_study_db_get(db, TL_ROW_TEXT_LENGTH, NULL, 0, arena, &got, err);
    const tl_study_text_length *rows = got.rows;
    size_t *lengths = tl_arena_alloc(arena, got.n, sizeof *lengths), kept = 0;
    if (status != TL_OK || got.n == 0 || o->cells[TL_TEXT] == NULL)
        return status;
    if (lengths == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pairs", got.n);
    if (got.n != o->n)
        return tl_fail(err, TL_ERR_FORMAT,
                       "table text_length has %zu pairs, wanted %zu", got.n, o->n);
    for (size_t i = 0; i < got.n; i++)
        lengths[i] = rows[i].n_pos;
    const size_t length = tl_most_frequent(lengths, got.n);
    for (size_t i = 0; i < got.n; i++)
        kept += lengths[i] == length;
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        size_t at = 0; /* never beyond what is still to be read */
        for (size_t c = 0; c < o->n_cells; c++)
            for (size_t i = 0; i < got.n; i++)
                if (lengths[i] == length)
                    o->cells[m][at++] = o->cells[m][c * got.n + i];
        at = 0;
        for (size_t i = 0; i < got.n; i++)
            if (lengths[i] == length)
                o->clean[m][at++] = o->clean[m][i];
    }
    *some = kept < got.n;
    o->n = kept;
    return TL_OK;
}

tl_status tl_findings_backpatch(const tl_study_db *db, bool is_modal, tl_arena *arena,
                                tl_finding_backpatch *out, tl_error *err)
{
    tl_finding_backpatch f = {0};
    tl_finding_cell *cells = NULL;
    outcomes o = {0};
    bool done = false;
    tl_status status = read_cells(db, arena, &cells, &o.n_cells, err);
    if (status == TL_OK)
        status = read_all(db, arena, &o, &done, err);
    if (status == TL_OK && done && is_modal) {
        done = false;
        status = keep_modal(db, arena, &o, &done, err);
    }
    if (status != TL_OK || !done)
        return status;
    f.n = o.n;
    f.n_cells = o.n_cells;
    f.cells = cells;
    f.has_text = o.cells[TL_TEXT] != NULL;
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const size_t n = m == TL_TEXT && !f.has_text ? 0 : o.n;
        f.clean[m] = tl_interval_share(count_right(o.clean[m], n), n);
        measure_cells(&o, (tl_modality)m, cells);
    }
    f.n_all_runs = (f.has_text ? TL_MODALITY_COUNT : 1) * o.n * o.n_cells;
    if (status == TL_OK)
        status = find_rounds(&o, arena, &f, err);
    const bool is_search = f.n_runs < f.n_all_runs;
    if (is_search && is_modal) /* few of the cells ran on them */
        return status;
    if (status == TL_OK && is_search)
        status = find_found(&o, &f, err);
    if (status == TL_OK)
        status =
            is_search ? measure_found(&f, &o, err) : measure_best(&f, &o, arena, err);
    if (status == TL_OK)
        status = measure_control(&f, &o, arena, err);
    if (status == TL_OK && !is_modal)
        status = read_iterations(db, arena, &f, err);
    if (status == TL_OK && !is_modal)
        status = read_times(db, &o, arena, &f, err);
    if (status == TL_OK)
        *out = f;
    return status;
}

bool tl_finding_helps(const tl_finding_change *change)
{
    return change->n_fixed > change->n_broken && change->p < 0.05;
}

size_t tl_finding_better_time(const tl_finding_backpatch *b)
{
    size_t best = 0;
    for (size_t k = 2; k < b->n_times; k++) {
        const tl_finding_time *t = &b->times[k];
        if (t->n_more > t->n_fewer && t->p < 0.05 / (double)(b->n_times - 2) &&
            (best == 0 || t->above_once.value > b->times[best].above_once.value))
            best = k;
    }
    return best;
}

bool tl_finding_text_at_ceiling(const tl_finding_backpatch *b)
{
    return b->clean[TL_TEXT].value == 1.0;
}
