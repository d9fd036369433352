/* SPDX-License-Identifier: MIT
 * session_pairs.c - see session_pairs.h. */
#include "study/session_pairs.h"

#include "study/drawn_pairs.h"
#include "study/row_lengths.h"

/* An input of each wanted row and of its counterfactual, made once. */
typedef struct prompts {
    tl_input *inputs; /* [n_rows of the dataset] */
    bool *made;       /* [n_rows] */
    tl_arena *scratch;
    tl_encoding first; /* sizes of the first one, which the others must have */
    size_t first_row;
    const char *needed_by;
} prompts;

/* Behind what was said of two rows, how many are alike. */
static void offer_commonest(tl_session *s, tl_modality modality, tl_status status,
                            tl_error *err)
{
    const tl_row_lengths *lengths = NULL;
    char offer[256];
    if (err == NULL || s->settings.length == TL_LENGTH_COMMONEST ||
        tl_session_lengths(s, modality, &lengths, NULL) != TL_OK)
        return;
    tl_row_lengths_offer(s, modality, lengths, offer);
    tl_fail(err, status, "%.480s; %s", err->text, offer);
}

static tl_status make_prompt(tl_session *s, prompts *p, size_t row, tl_error *err)
{
    if (p->made[row])
        return TL_OK;
    /* Pixels are many times larger than the features that become of them. */
    const tl_arena_mark mark = tl_arena_get_mark(p->scratch);
    tl_encoding e;
    tl_status status =
        tl_dataset_encode(s->dataset, row, s->processor, p->scratch, &e, err);
    if (status == TL_OK && p->first.n_pos == 0) {
        p->first = (tl_encoding){
            .n_pos = e.n_pos, .data_begin = e.data_begin, .data_end = e.data_end};
        p->first_row = row;
    }
    const size_t rows[] = {p->first_row, row};
    const tl_encoding encodings[] = {p->first, e};
    if (status == TL_OK) {
        status =
            tl_dataset_check_lengths(s->dataset, rows, encodings, 2, p->needed_by, err);
        if (status != TL_OK)
            offer_commonest(s, s->dataset->rows[row].modality, status, err);
    }
    if (status == TL_OK)
        status = tl_fail_while(err,
                               tl_model_input(s->model, &e, (tl_rope)s->settings.rope,
                                              s->arena, &p->inputs[row], err),
                               "prompt '%s'", s->dataset->rows[row].id);
    p->made[row] = status == TL_OK;
    tl_arena_rewind(p->scratch, mark);
    return status;
}

tl_status tl_session_draw_missing(tl_session *s, const tl_selection *selection,
                                  tl_error *err)
{
    const tl_modality modality = (tl_modality)selection->modality;
    tl_split split;
    if (!selection->draws || s->is_drawn[modality] || tl_session_is_paired(s, modality))
        return TL_OK;
    const tl_status status = tl_session_draw(s, modality, &split, NULL, err);
    return status == TL_OK ? tl_session_take(s, modality, &split, err) : status;
}

tl_status tl_session_pairs(tl_session *s, const tl_selection *selection,
                           const char *needed_by, tl_pair **pairs, size_t *count,
                           tl_error *err)
{
    const size_t n_rows = s->dataset->n_rows;
    prompts p = {
        .inputs = tl_arena_alloc(s->arena, n_rows, sizeof *p.inputs),
        .made = tl_arena_alloc_zero(s->arena, n_rows, sizeof *p.made),
        .scratch = tl_arena_create(),
        .needed_by = needed_by,
    };
    size_t *chosen = NULL, n_chosen = 0, n = 0;
    const tl_row_lengths *lengths = NULL;
    tl_pair *made = tl_arena_alloc(s->arena, n_rows, sizeof *made);
    tl_status status = tl_session_draw_missing(s, selection, err);
    if (status == TL_OK && s->settings.length == TL_LENGTH_COMMONEST)
        status = tl_session_lengths(s, (tl_modality)selection->modality, &lengths, err);
    if (status == TL_OK &&
        (p.inputs == NULL || p.made == NULL || p.scratch == NULL || made == NULL))
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu prompts", n_rows);
    if (status == TL_OK)
        status = tl_session_rows(s, selection, &chosen, &n_chosen, err);
    for (size_t i = 0; i < n_chosen && status == TL_OK; i++) {
        const tl_dataset_row *row = &s->dataset->rows[chosen[i]];
        if ((row->part == TL_NO_PART && selection->ids == NULL) ||
            tl_session_leaves_out(s, chosen[i]))
            continue;
        if (row->counterfactual == TL_NO_ROW) {
            status = tl_fail(
                err, TL_ERR_DATA, "%s:%zu: %s needs pairs, and row '%s' has no 'cf'%s",
                s->dataset->path, row->line, needed_by, row->id,
                s->is_drawn[row->modality]
                    ? ": it was not drawn"
                    : "; --seed draws counterfactuals, `twinlens pair` writes them");
            break;
        }
        status = tl_dataset_pair_ids(s->dataset, chosen[i], row->counterfactual,
                                     s->processor, &made[n].answer,
                                     &made[n].counterfactual_answer, err);
        if (status == TL_OK)
            status = make_prompt(s, &p, chosen[i], err);
        if (status == TL_OK)
            status = make_prompt(s, &p, row->counterfactual, err);
        if (status != TL_OK)
            break;
        made[n].clean = p.inputs[chosen[i]];
        made[n++].counterfactual = p.inputs[row->counterfactual];
    }
    if (status == TL_OK && n == 0)
        status = tl_fail(
            err, TL_ERR_DATA, "%s: %s needs pairs, and %s", s->dataset->path, needed_by,
            lengths != NULL ? "none of the chosen rows has the commonest length"
                            : "the split of all chosen rows is 'none'");
    tl_arena_destroy(p.scratch);
    if (status != TL_OK)
        return status;
    *pairs = made;
    *count = n;
    return TL_OK;
}
