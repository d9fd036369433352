/* SPDX-License-Identifier: MIT
 * stage_backpatch.c - what late states are good for in early layers: every cell of the grid
 * for the prompts of both modalities (those of text as control), or a search among the
 * cells; then the best cell again and again. See stage.h. */
#include "study/stage.h"

#include <string.h>

#include "circuit/circuit_work.h"
#include "probe/backpatch_work.h"
#include "study/answers.h"
#include "study/cells.h"
#include "study/row_pairs.h"
#include "twinlens/alloc.h"
#include "twinlens/log.h"
#include "twinlens/statistics.h"

enum { ITERATIONS = 10 /* without patching, and patched one to nine times */ };

/* Of both stages. */
typedef struct patch_stage {
    tl_row_pairs pairs;
    tl_backpatch_cell *cells;
    size_t n_cells;
    tl_backpatcher *backpatcher;
    bool is_search;
    tl_cell_search search; /* of image prompts; pairs are then in its order */
    size_t best;           /* the cell that is iterated */
    /* Without a search: the best cells on either half of the prompts, and which half each
     * prompt is in; those of the first are judged by crossed[1]. */
    size_t crossed[2];
    bool *in_first;
    const tl_labels
        *labels; /* that answers are chosen among; NULL: each prompt's own */
} patch_stage;

static tl_status grid_cells(const tl_settings *settings, size_t n_layers,
                            tl_arena *arena, tl_backpatch_cell **cells, size_t *n,
                            tl_error *err)
{
    const tl_cell_options options = {.grid = (tl_bp_grid)settings->bp_grid,
                                     .windows = tl_cell_windows,
                                     .times = 1,
                                     .restore =
                                         settings->bp_repeat == TL_BP_REPEAT_OFF};
    return tl_cells_make(&options, n_layers, arena, cells, n, err);
}

/* Image prompts alone, each with no text. */
static tl_status list_images(tl_stage_run *run, tl_row_pairs *out, tl_error *err)
{
    const tl_dataset *d = run->study->session.dataset;
    tl_row_pairs p = {
        .rows = tl_arena_alloc(run->arena, d->n_rows, sizeof *p.rows),
        .pairings = tl_arena_alloc_zero(run->arena, d->n_rows, sizeof *p.pairings)};
    if (p.rows == NULL || p.pairings == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu rows", d->n_rows);
    for (size_t i = 0; i < d->n_rows; i++)
        if (d->rows[i].modality == TL_IMAGE)
            p.rows[p.n++] = (tl_row_pair){.text = TL_NO_ROW, .image = i};
    *out = p;
    return TL_OK;
}

static bool has_labels(const tl_dataset *dataset, size_t row)
{
    return row == TL_NO_ROW || dataset->rows[row].n_labels > 0;
}

/* Pairs whose prompts have labels to choose from; none when some have not. */
static tl_status find_pairs(tl_stage_run *run, tl_error *err)
{
    tl_study *study = run->study;
    patch_stage *p = run->state;
    const tl_dataset *dataset = study->session.dataset;
    const bool has_control = study->modalities[TL_TEXT];
    if (study->settings.bp_grid == TL_BP_NONE ||
        (has_control && !tl_row_pairs_named(dataset)) ||
        tl_model_dims(study->session.model)->n_layers < 2)
        return TL_OK;
    const tl_status status =
        has_control ? tl_session_row_pairs(&study->session,
                                           (tl_bp_filter)study->settings.bp_filter,
                                           &p->pairs, err)
                    : list_images(run, &p->pairs, err);
    for (size_t i = 0; status == TL_OK && i < p->pairs.n; i++)
        if (!has_labels(dataset, p->pairs.rows[i].text) ||
            !has_labels(dataset, p->pairs.rows[i].image)) {
            if (run->modality == TL_TEXT || !has_control) /* said once */
                tl_log(TL_LOG_INFO, "%s: not all prompts have labels: no back-patching",
                       dataset->path);
            p->pairs.n = 0;
        }
    return status;
}

static tl_status bytes(const tl_study *study, tl_modality modality, size_t *out,
                       tl_error *err)
{
    const tl_span *span = &study->spans[modality];
    const tl_status status =
        tl_backpatcher_bytes(study->session.model, span->n_pos,
                             span->data_end - span->data_begin, tl_cell_windows.layers[0], out, err);
    *out += tl_study_input_bytes(study, modality, span->n_pos, 1);
    return status;
}

/* Puts the pairs into the order of the search, in which they are numbered from then on. */
static tl_status begin_search(tl_stage_run *run, tl_error *err)
{
    const tl_settings *settings = &run->study->settings;
    patch_stage *p = run->state;
    const size_t n = p->pairs.n;
    tl_cell_plan plan;
    const tl_status status = tl_cells_plan(
        p->cells, p->n_cells, tl_model_dims(run->study->session.model)->n_layers, n,
        run->study->modalities[TL_TEXT], run->arena, &plan, err);
    if (status == TL_OK)
        tl_cells_log(&plan);
    if (status != TL_OK || plan.n_rounds == 0)
        return status;
    size_t *order = tl_arena_alloc(run->arena, n, sizeof *order);
    tl_row_pair *pairs = tl_arena_alloc(run->arena, n, sizeof *pairs);
    if (order == NULL || pairs == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pairs", n);
    tl_cell_search_order(n, settings->seed, order);
    for (size_t i = 0; i < n; i++)
        pairs[i] = p->pairs.rows[order[i]];
    p->pairs.rows = pairs;
    p->is_search = true;
    return tl_cell_search_init(&p->search, &plan, settings->seed, run->arena, err);
}

/* What both stages begin with; no cells: there is nothing to do. */
static tl_status begin_patching(tl_stage_run *run, tl_error *err)
{
    const tl_study *study = run->study;
    patch_stage *p = run->state = tl_arena_alloc_zero(run->arena, 1, sizeof *p);
    if (p == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to patch");
    const size_t input = tl_study_input_bytes(study, run->modality,
                                              study->spans[run->modality].n_pos, 1);
    tl_status status = find_pairs(run, err);
    if (status != TL_OK || p->pairs.n == 0)
        return status;
    status = grid_cells(&study->settings, tl_model_dims(study->session.model)->n_layers,
                        run->arena, &p->cells, &p->n_cells, err);
    run->n_units = p->n_cells > 0 ? p->pairs.n : 0;
    if (status == TL_OK && study->settings.bp_search == TL_BP_HALVING)
        status = begin_search(run, err);
    return status == TL_OK ? tl_backpatcher_create(study->session.model,
                                                   tl_study_budget(study, input),
                                                   &p->backpatcher, err)
                           : status;
}

static void release(tl_stage_run *run)
{
    patch_stage *p = run->state;
    tl_backpatcher_destroy(p->backpatcher);
}

/* A prompt under cells, or under one of them again and again: a character per run. */
static tl_status patch_prompt(tl_stage_run *run, size_t row,
                              const tl_backpatch_cell *cells, size_t n_cells,
                              size_t times, bool *is_right, const char **runs,
                              tl_error *err)
{
    const patch_stage *p = run->state;
    tl_session *s = &run->study->session;
    tl_arena *arena = run->arena;
    tl_encoding e;
    tl_input input;
    tl_answers w;
    tl_status status = tl_session_input(s, row, arena, &e, &input, err);
    if (status == TL_OK)
        status = tl_answers_find(s, row, p->labels, arena, &w, err);
    if (status != TL_OK)
        return status;
    const size_t n_runs = n_cells * times;
    double *clean = tl_arena_alloc(arena, w.n_ids, sizeof *clean),
           *patched = tl_arena_alloc(arena, n_runs * w.n_ids + 1, sizeof *patched);
    char *text = tl_arena_alloc(arena, n_runs + 2, 1);
    if (clean == NULL || patched == NULL || text == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu runs", n_runs);
    status = tl_backpatcher_run(p->backpatcher, &input, e.data_begin, e.data_end, cells,
                                n_cells, w.ids, w.n_ids, clean, patched, err);
    bool right = false;
    if (status == TL_OK)
        status = tl_fail_while(err, tl_answers_is_right(&w, clean, is_right, err),
                               "prompt '%s'", s->dataset->rows[row].id);
    char *at = text;
    if (status == TL_OK && times > 1)
        *at++ = *is_right ? '1' : '0';
    for (size_t i = 0; i < n_runs && status == TL_OK; i++) {
        const tl_backpatch_cell *cell = &cells[i / times];
        status = tl_fail_while(
            err, tl_answers_is_right(&w, patched + i * w.n_ids, &right, err),
            "prompt '%s', layer %zu written into layer %zu", s->dataset->rows[row].id,
            cell->source, cell->destination);
        *at++ = right ? '1' : '0';
    }
    *at = '\0';
    *runs = text;
    return status;
}

/* ---- every cell, or those of a search ---------------------------------------------- */

/* Image prompts of earlier runs; the search, if there is one, is where they left it. */
static tl_status read_patched(tl_stage_run *run, tl_rows *out, tl_error *err)
{
    patch_stage *p = run->state;
    const tl_study_patched like = {.modality = TL_IMAGE};
    tl_status status =
        tl_study_db_get(run->study->db, TL_ROW_PATCHED, &like, 1, run->arena, out, err);
    const tl_study_patched *rows = out->rows;
    for (size_t i = 0; i < out->n && status == TL_OK; i++) {
        if (p->is_search)
            status = tl_cell_search_add(&p->search, rows[i].cells, err);
        else if (strlen(rows[i].cells) != p->n_cells ||
                 strspn(rows[i].cells, "01") != p->n_cells)
            status = tl_fail(err, TL_ERR_FORMAT, "wanted %zu cells, each 0 or 1",
                             p->n_cells);
        status = tl_fail_while(err, status,
                               "%s/" TL_STUDY_DB_NAME ": table backpatch, pair %zu",
                               run->study->settings.out, i);
    }
    return status;
}

/* By which what is found can be told of the pairs that --bp-filter modal would keep. */
static tl_status put_lengths(tl_stage_run *run, tl_stage_rows *rows, tl_error *err)
{
    const tl_row_pairs *p = &((patch_stage *)run->state)->pairs;
    size_t *lengths = tl_arena_alloc(run->arena, p->n, sizeof *lengths);
    tl_study_text_length *out = tl_arena_alloc(run->arena, p->n, sizeof *out);
    if (lengths == NULL || out == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pairs", p->n);
    const tl_status status = tl_session_text_lengths(&run->study->session, p->rows, p->n,
                                                     lengths, err);
    for (size_t i = 0; i < p->n && status == TL_OK; i++)
        out[i] = (tl_study_text_length){i, lengths[i]};
    tl_stage_put(rows, TL_ROW_TEXT_LENGTH, out, p->n);
    return status;
}

static tl_status begin(tl_stage_run *run, tl_stage_rows *rows, tl_error *err)
{
    const tl_study_patched like = {.modality = run->modality};
    tl_rows known = {0};
    tl_status status = begin_patching(run, err);
    const patch_stage *p = run->state;
    if (status != TL_OK || run->n_units == 0)
        return status;
    status = run->modality == TL_IMAGE
                 ? read_patched(run, &known, err)
                 : tl_study_db_get(run->study->db, TL_ROW_PATCHED, &like, 1, run->arena,
                                   &known, err);
    if (status != TL_OK)
        return status;
    run->n_done = known.n;
    tl_study_cell *cells = tl_arena_alloc(run->arena, p->n_cells, sizeof *cells);
    if (cells == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu cells", p->n_cells);
    for (size_t i = 0; i < p->n_cells; i++)
        cells[i] = (tl_study_cell){i, p->cells[i].window, p->cells[i].source,
                                   p->cells[i].destination};
    tl_stage_put(rows, TL_ROW_CELL, cells, p->n_cells);
    if (run->modality == TL_TEXT)
        status = put_lengths(run, rows, err);
    if (status != TL_OK)
        return status;
    return run->study->modalities[TL_TEXT]
               ? tl_stage_put_left_out(run, run->modality, "back-patching", &p->pairs,
                                       rows, err)
               : TL_OK;
}

/* Whether a pair's prompt is run under a cell. */
static bool is_run(const tl_stage_run *run, size_t pair, size_t cell)
{
    const patch_stage *p = run->state;
    if (!p->is_search)
        return true;
    return run->modality == TL_IMAGE ? tl_cell_search_runs(&p->search, pair, cell)
                                     : tl_cell_search_controls(&p->search, pair, cell);
}

static tl_status patch_cells(tl_stage_run *run, size_t first, size_t n,
                             tl_stage_rows *rows, tl_error *err)
{
    (void)n;
    patch_stage *p = run->state;
    const tl_row_pair *pair = &p->pairs.rows[first];
    tl_study_patched *row = tl_arena_alloc(run->arena, 1, sizeof *row);
    tl_backpatch_cell *chosen = tl_arena_alloc(run->arena, p->n_cells, sizeof *chosen);
    char *cells = tl_arena_alloc_zero(run->arena, p->n_cells + 1, 1);
    if (row == NULL || chosen == NULL || cells == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to patch");
    *row =
        (tl_study_patched){.modality = run->modality,
                           .pair = first,
                           .row = run->modality == TL_TEXT ? pair->text : pair->image,
                           .cells = cells};
    size_t n_chosen = 0;
    for (size_t c = 0; c < p->n_cells; c++)
        if (is_run(run, first, c))
            chosen[n_chosen++] = p->cells[c];
    const char *outcomes = NULL;
    const tl_status status = patch_prompt(run, row->row, chosen, n_chosen, 1,
                                          &row->is_right, &outcomes, err);
    if (status != TL_OK)
        return status;
    for (size_t c = 0; c < p->n_cells; c++)
        cells[c] = is_run(run, first, c) ? *outcomes++ : '-';
    tl_stage_put(rows, TL_ROW_PATCHED, row, 1);
    return TL_OK;
}

/* Of image prompts of a search, those of a round. */
static size_t reach(const tl_stage_run *run, size_t first)
{
    const patch_stage *p = run->state;
    (void)first;
    return p->is_search && run->modality == TL_IMAGE ? tl_cell_search_reach(&p->search)
                                                     : run->n_units;
}

static tl_status take_cells(tl_stage_run *run, size_t from, size_t first, size_t n,
                            const tl_rows *rows, size_t n_rows, tl_error *err)
{
    patch_stage *p = run->state;
    (void)from;
    (void)first;
    (void)n;
    (void)n_rows;
    return p->is_search && run->modality == TL_IMAGE
               ? tl_cell_search_add(&p->search,
                                    ((const tl_study_patched *)rows->rows)->cells, err)
               : TL_OK;
}

/* ---- what it is expected to take --------------------------------------------------- */

/* The cells, the search among them, and the clean run of a prompt. */
typedef struct patch_cost {
    tl_backpatch_cell *cells;
    size_t n_cells;
    tl_cell_plan plan; /* of all prompts of both modalities */
    double clean;
} patch_cost;

static tl_status find_cost(const tl_stage_sizes *sizes, size_t times, tl_arena *arena,
                           patch_cost *out, tl_error *err)
{
    const tl_pass_options whole = {.first_layer = 0};
    const size_t n_layers = tl_model_dims(sizes->model)->n_layers;
    tl_status status = TL_OK;
    *out = (patch_cost){0};
    if (sizes->settings->bp_grid == TL_BP_NONE || n_layers < 2)
        return TL_OK;
    status =
        grid_cells(sizes->settings, n_layers, arena, &out->cells, &out->n_cells, err);
    if (status == TL_OK)
        status = tl_cells_plan(out->cells, out->n_cells, n_layers, sizes->n_rows,
                               sizes->shape->n_rows[TL_TEXT] > 0, arena, &out->plan,
                               err);
    for (size_t i = 0; i < out->n_cells; i++)
        out->cells[i].times = times;
    return status == TL_OK
               ? tl_pass_flops_add(sizes->model,
                                   sizes->shape->spans[sizes->modality].n_pos, 0,
                                   &whole, 1.0, &out->clean, err)
               : status;
}

/* So many prompts under n of the cells. */
static tl_status add_prompts(const tl_stage_sizes *sizes, const patch_cost *cost,
                             size_t n_prompts, double n, double *sum, tl_error *err)
{
    double one = 0.0;
    const tl_status status = tl_backpatch_flops(
        sizes->model, &sizes->shape->spans[sizes->modality], cost->cells, cost->n_cells,
        n / (double)cost->n_cells, &one, err);
    *sum += (double)n_prompts * one;
    return status;
}

/* Rounds, the judgement of one cell, and the control. */
static tl_status add_search(const tl_stage_sizes *sizes, const patch_cost *cost,
                            double *sum, tl_error *err)
{
    const tl_cell_plan *p = &cost->plan;
    const size_t control = p->n_control_prompts;
    const double controls = (double)p->n_control_cells;
    if (sizes->modality == TL_TEXT)
        return add_prompts(sizes, cost, control, controls, sum, err);
    tl_status status = TL_OK;
    for (size_t r = 0; r < p->n_rounds && status == TL_OK; r++)
        status = add_prompts(sizes, cost, p->prompts[r], (double)p->cells[r], sum, err);
    if (status == TL_OK)
        status = add_prompts(sizes, cost, control, controls + 1.0, sum, err);
    return status == TL_OK
               ? add_prompts(sizes, cost, p->n_prompts - p->n_seen - control, 1.0, sum,
                             err)
               : status;
}

static bool is_searched(const tl_stage_sizes *sizes, const patch_cost *cost)
{
    return sizes->settings->bp_search == TL_BP_HALVING && cost->plan.n_rounds > 0;
}

static tl_status guess(const tl_stage_sizes *sizes, tl_stage_guess *out, tl_error *err)
{
    patch_cost cost;
    double sum = 0.0;
    tl_arena *arena = tl_arena_create();
    tl_status status = arena != NULL
                           ? find_cost(sizes, 1, arena, &cost, err)
                           : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a plan");
    if (status == TL_OK && cost.n_cells > 0 && sizes->n_rows > 0) {
        status = is_searched(sizes, &cost)
                     ? add_search(sizes, &cost, &sum, err)
                     : add_prompts(sizes, &cost, sizes->n_rows, (double)cost.n_cells,
                                   &sum, err);
        *out =
            (tl_stage_guess){sizes->n_rows, cost.clean + sum / (double)sizes->n_rows};
    }
    tl_arena_destroy(arena);
    return status;
}

const tl_stage tl_stage_backpatch = {.name = "back-patch",
                                     .of = TL_STAGE_CONTROLLED,
                                     .guess = guess,
                                     .bytes = bytes,
                                     .begin = begin,
                                     .reach = reach,
                                     .run = patch_cells,
                                     .take = take_cells,
                                     .release = release};

/* ---- the best cell again and again ------------------------------------------------- */

/* The first cell that leaves most image prompts right. */
static size_t best_cell(const tl_study_patched *prompts, size_t n, size_t n_cells)
{
    size_t best = 0, most = 0;
    for (size_t c = 0; c < n_cells; c++) {
        size_t right = 0;
        for (size_t i = 0; i < n; i++)
            right += prompts[i].cells[c] == '1';
        if (right > most) {
            most = right;
            best = c;
        }
    }
    return best;
}

/* The cells that either half of the prompts chooses, as findings choose them. */
static tl_status cross_cells(tl_stage_run *run, const tl_study_patched *prompts,
                             size_t n, tl_error *err)
{
    patch_stage *p = run->state;
    double *right = tl_alloc(p->n_cells * n, sizeof *right),
           *judged = tl_alloc(n, sizeof *judged);
    p->in_first = tl_arena_alloc(run->arena, n, sizeof *p->in_first);
    tl_status status =
        right != NULL && judged != NULL && p->in_first != NULL
            ? tl_best_cell_halves(n, TL_STUDY_HALVES_SEED, p->in_first, err)
            : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu cells", p->n_cells);
    for (size_t c = 0; c < p->n_cells && status == TL_OK; c++)
        for (size_t i = 0; i < n; i++)
            right[c * n + i] = prompts[i].cells[c] == '1';
    if (status == TL_OK)
        status = tl_best_cell_crossed(right, p->n_cells, n, TL_STUDY_HALVES_SEED,
                                      judged, p->crossed, err);
    tl_free(judged);
    tl_free(right);
    return status;
}

/* Of the image prompts of all pairs. */
static tl_status unite_labels(tl_stage_run *run, tl_labels *out, tl_error *err)
{
    const patch_stage *p = run->state;
    const size_t n = p->pairs.n;
    size_t *rows = tl_arena_alloc(run->arena, n, sizeof *rows);
    if (rows == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu rows", n);
    for (size_t i = 0; i < n; i++)
        rows[i] = p->pairs.rows[i].image;
    return tl_labels_unite(&run->study->session, rows, n, run->arena, out, err);
}

static tl_status find_best(tl_stage_run *run, tl_error *err)
{
    patch_stage *p = run->state;
    tl_rows patched = {0};
    const tl_status status = read_patched(run, &patched, err);
    if (status != TL_OK)
        return status;
    if (p->is_search && p->search.round < p->search.plan.n_rounds)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s/" TL_STUDY_DB_NAME
                       ": table backpatch: the search ends after pair %zu, wanted %zu",
                       run->study->settings.out, patched.n, p->search.plan.n_seen);
    p->best =
        p->is_search ? p->search.found : best_cell(patched.rows, patched.n, p->n_cells);
    return p->is_search || patched.n < 2
               ? TL_OK
               : cross_cells(run, patched.rows, patched.n, err);
}

static tl_status begin_again(tl_stage_run *run, tl_stage_rows *rows, tl_error *err)
{
    (void)rows;
    tl_rows known = {0};
    tl_status status = begin_patching(run, err);
    if (status != TL_OK || run->n_units == 0)
        return status;
    patch_stage *p = run->state;
    status = tl_study_db_get(run->study->db, TL_ROW_ITERATION, NULL, 0, run->arena,
                             &known, err);
    run->n_done = known.n;
    if (status == TL_OK)
        status = find_best(run, err);
    if (status != TL_OK || run->study->settings.iter_labels == TL_ITER_LABELS_QUESTION)
        return status;
    tl_labels *all = tl_arena_alloc(run->arena, 1, sizeof *all);
    p->labels = all;
    return all != NULL ? unite_labels(run, all, err)
                       : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for labels");
}

/* A row of the runs of the cell that is number `at` of those that were run. */
static tl_status make_iteration(const tl_stage_run *run, size_t pair, size_t cell,
                                const char *runs, size_t at, tl_row_kind kind,
                                tl_stage_rows *rows, tl_error *err)
{
    const patch_stage *p = run->state;
    tl_study_iteration *row = tl_arena_alloc(run->arena, 1, sizeof *row);
    char *times = tl_arena_alloc(run->arena, ITERATIONS + 1, 1);
    if (row == NULL || times == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to patch");
    times[0] = runs[0];
    memcpy(times + 1, runs + 1 + at * (ITERATIONS - 1), ITERATIONS - 1);
    times[ITERATIONS] = '\0';
    *row = (tl_study_iteration){pair, cell, p->pairs.rows[pair].image, times};
    tl_stage_put(rows, kind, row, 1);
    return TL_OK;
}

static tl_status patch_again(tl_stage_run *run, size_t first, size_t n,
                             tl_stage_rows *rows, tl_error *err)
{
    (void)n;
    const patch_stage *p = run->state;
    const bool is_crossed = p->in_first != NULL;
    const size_t crossed =
        is_crossed ? p->crossed[p->in_first[first] ? 1 : 0] : p->best;
    tl_backpatch_cell again[] = {p->cells[p->best], p->cells[crossed]};
    const size_t n_cells = crossed == p->best ? 1 : 2;
    again[0].times = again[1].times = ITERATIONS - 1;
    bool is_right = false;
    const char *runs = NULL;
    tl_status status = patch_prompt(run, p->pairs.rows[first].image, again, n_cells,
                                    ITERATIONS - 1, &is_right, &runs, err);
    if (status == TL_OK)
        status =
            make_iteration(run, first, p->best, runs, 0, TL_ROW_ITERATION, rows, err);
    return status == TL_OK && is_crossed
               ? make_iteration(run, first, crossed, runs, n_cells - 1,
                                TL_ROW_CROSSED_ITERATION, rows, err)
               : status;
}

/* A cell again and again. Cells that are not known yet (NULL) cost as much as the mean of
 * all. */
static tl_status add_again(const tl_stage_sizes *sizes, const patch_cost *cost,
                           const tl_backpatch_cell *cell, double share, double *sum,
                           tl_error *err)
{
    if (cell == NULL)
        return add_prompts(sizes, cost, 1, share, sum, err);
    tl_backpatch_cell again = *cell;
    again.times = ITERATIONS - 1;
    double one = 0.0;
    const tl_status status =
        tl_backpatch_flops(sizes->model, &sizes->shape->spans[sizes->modality], &again,
                           1, share, &one, err);
    *sum += one;
    return status;
}

/* The cell of a half is as likely the best of all as not. */
static tl_status add_crossed(const tl_stage_sizes *sizes, const patch_cost *cost,
                             double *sum, tl_error *err)
{
    const tl_study_shape *shape = sizes->shape;
    tl_status status = TL_OK;
    for (size_t h = 0; h < 2 && status == TL_OK; h++) {
        const tl_backpatch_cell *c = shape->crossed[h];
        if (c == NULL || c->source != shape->best->source ||
            c->destination != shape->best->destination ||
            c->window != shape->best->window)
            status = add_again(sizes, cost, c, c == NULL ? 0.25 : 0.5, sum, err);
    }
    return status;
}

static tl_status guess_again(const tl_stage_sizes *sizes, tl_stage_guess *out,
                             tl_error *err)
{
    patch_cost cost;
    tl_arena *arena = tl_arena_create();
    tl_status status = arena != NULL
                           ? find_cost(sizes, ITERATIONS - 1, arena, &cost, err)
                           : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a plan");
    if (status == TL_OK && cost.n_cells > 0) {
        tl_stage_guess g = {sizes->n_rows, cost.clean};
        status = add_again(sizes, &cost, sizes->shape->best, 1.0, &g.flops, err);
        if (status == TL_OK && !is_searched(sizes, &cost))
            status = add_crossed(sizes, &cost, &g.flops, err);
        if (status == TL_OK)
            *out = g;
    }
    tl_arena_destroy(arena);
    return status;
}

const tl_stage tl_stage_iterate = {.name = "iterate",
                                   .of = TL_STAGE_ONCE,
                                   .guess = guess_again,
                                   .begin = begin_again,
                                   .run = patch_again,
                                   .release = release};
