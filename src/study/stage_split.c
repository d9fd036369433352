/* SPDX-License-Identifier: MIT
 * stage_split.c - which rows the study uses, as pairs of a clean prompt and its
 * counterfactual. See stage.h. */
#include "study/stage.h"

#include "store/left_out.h"
#include "study/drawn_pairs.h"
#include "study/row_lengths.h"
#include "twinlens/log.h"

static tl_status name_answers(tl_stage_run *run, tl_study_part part,
                              const tl_split_pair *pairs, size_t n, tl_study_pair **out,
                              tl_error *err)
{
    const tl_study *study = run->study;
    tl_study_pair *named = tl_arena_alloc(run->arena, n, sizeof *named);
    if (named == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pairs", n);
    tl_status status = TL_OK;
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        named[i] = (tl_study_pair){.modality = run->modality,
                                   .part = part,
                                   .pair = i,
                                   .row = pairs[i].row,
                                   .counterfactual = pairs[i].counterfactual};
        status = tl_dataset_pair_ids(study->session.dataset, pairs[i].row,
                                     pairs[i].counterfactual, study->session.processor,
                                     &named[i].answer_id,
                                     &named[i].counterfactual_answer_id, err);
    }
    *out = named;
    return status;
}

/* A row may name a counterfactual that was not compared with the others before. */
static tl_status check_pairs(const tl_study *study, const tl_study_prompt *by_row,
                             const tl_study_pair *pairs, size_t n, tl_error *err)
{
    tl_status status = TL_OK;
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        const size_t rows[] = {pairs[0].row, pairs[i].row, pairs[i].counterfactual};
        tl_encoding encodings[3] = {{0}};
        for (size_t j = 0; j < 3; j++)
            encodings[j] = (tl_encoding){.n_pos = by_row[rows[j]].n_pos,
                                         .data_begin = by_row[rows[j]].data_begin,
                                         .data_end = by_row[rows[j]].data_end};
        status = tl_dataset_check_lengths(study->session.dataset, rows, encodings, 3,
                                          "study", err);
    }
    return status;
}

/* The rows of the modality that can be split. */
typedef struct usable_rows {
    bool *kept;              /* [n_rows of the dataset] */
    tl_study_prompt *by_row; /* [n_rows] */
    size_t n, n_right, n_kept;
} usable_rows;

static tl_status find_usable(const tl_stage_run *run, usable_rows *out, tl_error *err)
{
    const tl_study *study = run->study;
    const tl_dataset *d = study->session.dataset;
    const tl_study_prompt *prompts = NULL;
    size_t n = 0;
    usable_rows u = {.kept = tl_arena_alloc_zero(run->arena, d->n_rows, sizeof *u.kept),
                     .by_row =
                         tl_arena_alloc_zero(run->arena, d->n_rows, sizeof *u.by_row)};
    if (u.kept == NULL || u.by_row == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to split %zu rows", d->n_rows);
    const tl_status status = tl_study_db_get_prompts(study->db, run->modality,
                                                     run->arena, &prompts, &n, err);
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        const size_t row = prompts[i].row;
        const bool right =
            tl_row_is_kept(&study->settings, d, row, prompts[i].correct_limited,
                           prompts[i].correct_full);
        u.by_row[row] = prompts[i];
        u.kept[row] = right && !tl_session_leaves_out(&study->session, row);
        u.n++;
        u.n_right += right;
        u.n_kept += u.kept[row];
    }
    if (status == TL_OK)
        *out = u;
    return status;
}

/* Rows that are in no pair, by why; those that are kept in the table of the caller. */
typedef struct reasons {
    tl_study_left_out *rows;
    size_t n;
    tl_modality modality;
} reasons;

static void add_reason(reasons *r, const char *reason, size_t n, bool always)
{
    if (n > 0 || always)
        r->rows[r->n++] = (tl_study_left_out){"circuits", reason, r->modality, n};
}

static tl_status begin_reasons(const tl_stage_run *run, const usable_rows *u,
                               reasons *out, tl_error *err)
{
    enum { REASONS = 5 };
    *out = (reasons){tl_arena_alloc(run->arena, REASONS, sizeof *out->rows), 0,
                     run->modality};
    if (out->rows == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to count prompts");
    add_reason(out,
               run->study->settings.keep == TL_KEEP_STORED ? "was not right elsewhere"
                                                           : "the answer is wrong",
               u->n - u->n_right, true);
    add_reason(out, TL_OTHER_PLACE, u->n_right - u->n_kept, false);
    return TL_OK;
}

/* How many rows are of no part, and why. */
static tl_status put_left_out(const tl_stage_run *run, const usable_rows *u,
                              const tl_split *split, tl_stage_rows *rows, tl_error *err)
{
    reasons r;
    const size_t used = split->n_discovery + split->n_evaluation,
                 known = split->n_same + split->n_unsplit;
    const tl_status status = begin_reasons(run, u, &r, err);
    if (status != TL_OK)
        return status;
    add_reason(&r, TL_SAME_CONTENT, split->n_same, false);
    add_reason(&r, TL_NO_SPLIT, split->n_unsplit, false);
    add_reason(&r, TL_NOT_DRAWN, split->n_correct - used - known, true);
    tl_stage_put(rows, TL_ROW_LEFT_OUT, r.rows, r.n);
    return TL_OK;
}

/* Whether the study has something to do without circuits of the modality. That there are
 * not as many prompts as were asked for is an error where no other modality has them. */
static tl_status can_do_without(const tl_stage_run *run, bool is_wish, bool *out,
                                tl_error *err)
{
    const tl_study *study = run->study;
    const tl_study_pair *pairs = NULL;
    size_t n = 0;
    if (run->modality == TL_TEXT) {
        *out = study->modalities[TL_IMAGE] &&
               (!is_wish || study->n_circuit_rows[TL_IMAGE] > 0);
        return TL_OK;
    }
    const tl_status status = tl_study_db_get_pairs(
        study->db, TL_TEXT, TL_STUDY_DISCOVERY, run->arena, &pairs, &n, err);
    *out = !is_wish || n > 0;
    return status;
}

/* A modality that is too weak has no circuits; the others have, and what needs none is done
 * with it as well. */
static tl_status go_without(const tl_stage_run *run, const usable_rows *u,
                            tl_stage_rows *rows, tl_error *err)
{
    const tl_study *study = run->study;
    const char *path = study->session.dataset->path,
               *modality = tl_modality_name(run->modality);
    tl_shortage why = {NULL, false};
    bool can = false;
    reasons r;
    tl_status status = tl_session_shortage(&study->session, run->modality, u->kept,
                                           run->arena, &why, err);
    if (status == TL_OK)
        status = can_do_without(run, why.is_wish, &can, err);
    if (status == TL_OK)
        status = begin_reasons(run, u, &r, err);
    if (status != TL_OK)
        return status;
    const char *remedy = tl_left_out_remedy(run->modality, why.reason);
    if (!can)
        return tl_fail(err, TL_ERR_TOO_FEW, "%s: %s: %s; what would help: %s", path,
                       modality, why.reason, remedy);
    tl_log(TL_LOG_WARNING,
           "%s: %s: %s: no circuits of it, all else goes on; what would help: %s", path,
           modality, why.reason, remedy);
    add_reason(&r, why.reason, u->n_kept, true);
    tl_stage_put(rows, TL_ROW_LEFT_OUT, r.rows, r.n);
    return TL_OK;
}

static tl_status split_rows(tl_stage_run *run, size_t first, size_t n,
                            tl_stage_rows *out, tl_error *err)
{
    (void)first;
    (void)n;
    const tl_study *study = run->study;
    usable_rows u = {0};
    tl_split split = {0};
    tl_status status = find_usable(run, &u, err);
    if (status == TL_OK)
        status = tl_session_split(&study->session, run->modality, u.kept, run->arena,
                                  &split, err);
    if (status == TL_ERR_TOO_FEW)
        return go_without(run, &u, out, err);
    if (status == TL_OK)
        status = put_left_out(run, &u, &split, out, err);
    const tl_split_pair *const parts[] = {split.discovery, split.evaluation};
    const size_t counts[] = {split.n_discovery, split.n_evaluation};
    for (size_t part = 0; part < 2 && status == TL_OK; part++) {
        tl_study_pair *pairs = NULL;
        status = name_answers(run, (tl_study_part)part, parts[part], counts[part],
                              &pairs, err);
        if (status == TL_OK)
            status = check_pairs(study, u.by_row, pairs, counts[part], err);
        tl_stage_put(out, TL_ROW_PAIR, pairs, counts[part]);
    }
    return status;
}

static tl_status begin(tl_stage_run *run, tl_stage_rows *rows, tl_error *err)
{
    (void)rows;
    (void)err;
    run->n_units = 1;
    return TL_OK;
}

/* The stages to come know now how much they have to do: nothing without pairs. */
static tl_status count_pairs(tl_study *study, tl_modality modality, tl_error *err)
{
    static const tl_stage *const stages[] = {&tl_stage_attribute, &tl_stage_evaluate};
    tl_status status = TL_OK;
    for (size_t part = 0; part < 2 && status == TL_OK; part++) {
        const tl_study_pair *pairs = NULL;
        size_t n = 0;
        status = tl_study_db_get_pairs(study->db, modality, (tl_study_part)part,
                                       study->session.arena, &pairs, &n, err);
        if (status == TL_OK && n == 0)
            tl_stages_drop_circuits(study, modality);
        else if (status == TL_OK)
            tl_stage_resize(study, stages[part], modality, n);
    }
    return status;
}

const tl_stage tl_stage_split = {.name = "split",
                                 .of = TL_STAGE_EACH,
                                 .of_circuits = true,
                                 .begin = begin,
                                 .run = split_rows,
                                 .after = count_pairs};
