/* SPDX-License-Identifier: MIT
 * stage_split.c - which rows the study uses, as pairs of a clean prompt and its
 * counterfactual. See stage.h. */
#include "study/stage.h"

#include "study/drawn_pairs.h"

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

/* The rows that are kept, [n_rows] each. */
static tl_status read_predictions(const tl_stage_run *run, bool **correct,
                                  tl_study_prompt **by_row, tl_error *err)
{
    const tl_study *study = run->study;
    const size_t n_rows = study->session.dataset->n_rows;
    const tl_study_prompt *prompts = NULL;
    size_t n = 0;
    bool *is_correct = tl_arena_alloc_zero(run->arena, n_rows, sizeof *is_correct);
    tl_study_prompt *rows = tl_arena_alloc_zero(run->arena, n_rows, sizeof *rows);
    if (is_correct == NULL || rows == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to split %zu rows", n_rows);
    const tl_status status = tl_study_db_get_prompts(study->db, run->modality,
                                                     run->arena, &prompts, &n, err);
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        is_correct[prompts[i].row] =
            tl_row_is_kept(&study->settings, study->session.dataset, prompts[i].row,
                           prompts[i].correct_limited, prompts[i].correct_full);
        rows[prompts[i].row] = prompts[i];
    }
    *correct = is_correct;
    *by_row = rows;
    return status;
}

/* How many rows are of no part, and why. */
static tl_status put_left_out(const tl_stage_run *run, const tl_split *split,
                              tl_stage_rows *rows, tl_error *err)
{
    const tl_keep keep = (tl_keep)run->study->settings.keep;
    tl_study_left_out *out = tl_arena_alloc(run->arena, 2, sizeof *out);
    if (out == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to count prompts");
    const size_t used = split->n_discovery + split->n_evaluation;
    out[0] = (tl_study_left_out){"circuits",
                                 keep == TL_KEEP_STORED ? "was not right elsewhere"
                                                        : "the answer is wrong",
                                 run->modality, split->n_rows - split->n_correct};
    out[1] = (tl_study_left_out){"circuits", "not drawn for either part", run->modality,
                                 split->n_correct - used};
    tl_stage_put(rows, TL_ROW_LEFT_OUT, out, 2);
    return TL_OK;
}

static tl_status split_rows(tl_stage_run *run, size_t first, size_t n,
                            tl_stage_rows *out, tl_error *err)
{
    (void)first;
    (void)n;
    const tl_study *study = run->study;
    tl_study_prompt *by_row = NULL;
    bool *correct = NULL;
    tl_split split = {0};
    tl_status status = read_predictions(run, &correct, &by_row, err);
    if (status == TL_OK)
        status = tl_session_split(&study->session, run->modality, correct, run->arena,
                                  &split, err);
    if (status == TL_OK)
        status = put_left_out(run, &split, out, err);
    const tl_split_pair *const parts[] = {split.discovery, split.evaluation};
    const size_t counts[] = {split.n_discovery, split.n_evaluation};
    for (size_t part = 0; part < 2 && status == TL_OK; part++) {
        tl_study_pair *pairs = NULL;
        status = name_answers(run, (tl_study_part)part, parts[part], counts[part],
                              &pairs, err);
        if (status == TL_OK)
            status = check_pairs(study, by_row, pairs, counts[part], err);
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

/* The stages to come know now how much they have to do. */
static tl_status count_pairs(tl_study *study, tl_modality modality, tl_error *err)
{
    static const tl_stage *const stages[] = {&tl_stage_attribute, &tl_stage_evaluate};
    tl_status status = TL_OK;
    for (size_t part = 0; part < 2 && status == TL_OK; part++) {
        const tl_study_pair *pairs = NULL;
        size_t n = 0;
        status = tl_study_db_get_pairs(study->db, modality, (tl_study_part)part,
                                       study->session.arena, &pairs, &n, err);
        if (status == TL_OK)
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
