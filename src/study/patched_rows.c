/* SPDX-License-Identifier: MIT
 * patched_rows.c - see patched_rows.h. */
#include "study/patched_rows.h"

static tl_status read_outcome(const tl_answers *w, const double *logits,
                              tl_patch_outcome *out, tl_error *err)
{
    out->is_run = true;
    out->logit_diff = tl_answers_logit_diff(w, logits);
    return tl_answers_is_right(w, logits, &out->right, err);
}

/* One prompt under the chosen cells. */
static tl_status run_prompt(tl_session *s, tl_backpatcher *backpatcher,
                            const tl_patched_rows *x, size_t p, size_t n_chosen,
                            size_t times, tl_arena *arena, tl_error *err)
{
    tl_encoding e;
    tl_input input;
    tl_answers w;
    tl_status status = tl_session_input(s, x->rows[p], arena, &e, &input, err);
    if (status == TL_OK)
        status = tl_answers_find(s, x->rows[p], x->labels, arena, &w, err);
    if (status != TL_OK)
        return status;
    double *clean = tl_arena_alloc(arena, w.n_ids, sizeof *clean),
           *patched =
               tl_arena_alloc(arena, n_chosen * times * w.n_ids + 1, sizeof *patched);
    tl_backpatch_cell *cells = tl_arena_alloc(arena, n_chosen + 1, sizeof *cells);
    if (clean == NULL || patched == NULL || cells == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu cells", n_chosen);
    for (size_t i = 0; i < n_chosen; i++)
        cells[i] = x->cells[x->chosen[i]];
    status = tl_backpatcher_run(backpatcher, &input, e.data_begin, e.data_end, cells,
                                n_chosen, w.ids, w.n_ids, clean, patched, err);
    if (status == TL_OK)
        status = tl_fail_while(err, read_outcome(&w, clean, &x->clean[p], err),
                               "prompt '%s'", s->dataset->rows[x->rows[p]].id);
    for (size_t i = 0; i < n_chosen && status == TL_OK; i++)
        status = tl_fail_while(
            err,
            read_outcome(&w, patched + (i * times + times - 1) * w.n_ids,
                         &x->patched[x->chosen[i] * x->n_prompts + p], err),
            "prompt '%s', layer %zu written into layer %zu",
            s->dataset->rows[x->rows[p]].id, cells[i].source, cells[i].destination);
    return status;
}

/* The outcomes of a prompt as a search takes them. */
static tl_status add_to_search(tl_patched_rows *x, size_t p, tl_arena *arena,
                               tl_error *err)
{
    char *text = tl_arena_alloc_zero(arena, x->n_cells + 1, 1);
    if (text == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu cells", x->n_cells);
    for (size_t c = 0; c < x->n_cells; c++) {
        const tl_patch_outcome *o = &x->patched[c * x->n_prompts + p];
        text[c] = !o->is_run ? '-' : o->right ? '1' : '0';
    }
    return tl_cell_search_add(&x->search, text, err);
}

/* The i-th prompt that is run: under all cells, or under those of the search. */
static tl_status run_next(tl_session *s, tl_backpatcher *backpatcher,
                          tl_patched_rows *x, size_t i, size_t times, tl_arena *arena,
                          tl_error *err)
{
    const size_t n_layers = tl_model_dims(s->model)->n_layers,
                 p = x->is_search ? x->order[i] : i;
    size_t n_chosen = 0;
    x->work += (double)n_layers;
    for (size_t c = 0; c < x->n_cells; c++)
        if (!x->is_search || tl_cell_search_runs(&x->search, x->search.n_done, c)) {
            x->chosen[n_chosen++] = c;
            x->work += (double)(times * tl_backpatch_layers(&x->cells[c], n_layers));
        }
    tl_status status = run_prompt(s, backpatcher, x, p, n_chosen, times, arena, err);
    if (status == TL_OK && x->is_search)
        status = add_to_search(x, p, arena, err);
    return status;
}

/* A search needs right and wrong. Of one prompt or one cell there is none. */
static tl_status begin_search(tl_session *s, tl_patched_rows *x, tl_error *err)
{
    tl_cell_plan plan;
    for (size_t p = 0; p < x->n_prompts; p++)
        if (s->dataset->rows[x->rows[p]].n_labels == 0)
            return tl_fail(err, TL_ERR_DATA,
                           "%s: prompt '%s' has no labels, wanted some for "
                           "--bp-search halving",
                           s->dataset->path, s->dataset->rows[x->rows[p]].id);
    tl_status status =
        tl_cells_plan(x->cells, x->n_cells, tl_model_dims(s->model)->n_layers,
                      x->n_prompts, false, s->arena, &plan, err);
    x->order = tl_arena_alloc(s->arena, x->n_prompts, sizeof *x->order);
    x->place = tl_arena_alloc(s->arena, x->n_prompts, sizeof *x->place);
    if (status == TL_OK && (x->order == NULL || x->place == NULL))
        status =
            tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu prompts", x->n_prompts);
    if (status == TL_OK)
        tl_cells_log(&plan);
    if (status != TL_OK || plan.n_rounds == 0)
        return status;
    x->is_search = true;
    tl_cell_search_order(x->n_prompts, s->settings.seed, x->order);
    for (size_t i = 0; i < x->n_prompts; i++)
        x->place[x->order[i]] = i;
    return tl_cell_search_init(&x->search, &plan, s->settings.seed, s->arena, err);
}

tl_status tl_patched_rows_run(tl_session *s, size_t times, tl_patched_rows *x,
                              tl_error *err)
{
    x->clean = tl_arena_alloc(s->arena, x->n_prompts, sizeof *x->clean);
    x->patched =
        tl_arena_alloc_zero(s->arena, x->n_cells * x->n_prompts, sizeof *x->patched);
    x->chosen = tl_arena_alloc(s->arena, x->n_cells, sizeof *x->chosen);
    tl_arena *arena = tl_arena_create();
    if (x->clean == NULL || x->patched == NULL || x->chosen == NULL || arena == NULL) {
        tl_arena_destroy(arena);
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu cells of %zu prompts",
                       x->n_cells, x->n_prompts);
    }
    x->has_labels = x->has_pairs = true;
    tl_backpatcher *backpatcher = NULL;
    tl_status status =
        tl_backpatcher_create(s->model, s->settings.memory, &backpatcher, err);
    if (status == TL_OK && times > 1 &&
        s->settings.iter_labels == TL_ITER_LABELS_UNION) {
        x->labels = &x->all_labels;
        status =
            tl_labels_unite(s, x->rows, x->n_prompts, s->arena, &x->all_labels, err);
    }
    if (status == TL_OK && s->settings.bp_search == TL_BP_HALVING)
        status = begin_search(s, x, err);
    for (size_t i = 0; i < x->n_prompts && status == TL_OK; i++) {
        const tl_arena_mark mark = tl_arena_get_mark(arena);
        const tl_dataset_row *row = &s->dataset->rows[x->rows[i]];
        x->has_labels = x->has_labels && row->n_labels > 0;
        x->has_pairs = x->has_pairs && row->counterfactual != TL_NO_ROW;
        status = run_next(s, backpatcher, x, i, times, arena, err);
        tl_arena_rewind(arena, mark);
    }
    tl_backpatcher_destroy(backpatcher);
    tl_arena_destroy(arena);
    return status;
}

bool tl_patched_rows_unseen(const tl_patched_rows *x, size_t prompt)
{
    return x->is_search && x->place[prompt] >= x->search.plan.n_seen;
}

tl_patched_count tl_patched_rows_count(const tl_patched_rows *x, size_t cell,
                                       bool unseen)
{
    const tl_patch_outcome *o = x->patched + cell * x->n_prompts;
    tl_patched_count t = {0};
    for (size_t p = 0; p < x->n_prompts; p++)
        if (o[p].is_run && tl_patched_rows_unseen(x, p) == unseen) {
            t.n++;
            t.right += o[p].right;
            t.fixed += o[p].right && !x->clean[p].right;
            t.broken += !o[p].right && x->clean[p].right;
        }
    return t;
}
