/* SPDX-License-Identifier: MIT
 * study_predict.c - what the model says to each row, and which rows the study uses.
 * See study_private.h. */
#include "study/study_private.h"

#include <math.h>
#include <string.h>

#include "study/answers.h"
#include "twinlens/alloc.h"
#include "twinlens/pass.h"
#include "twinlens/split.h"

/* Prompts of one pass: enough rows to keep a matrix product busy. */
enum { BATCH_POSITIONS = 1024, BATCH_PROMPTS = 64 };

/* As soon as one row of a modality has a part, the others are not compared. */
static bool is_compared(const tl_dataset *dataset, size_t row)
{
    const tl_dataset_row *r = &dataset->rows[row];
    bool given = false;
    for (size_t i = 0; i < dataset->n_rows && !given; i++)
        given = dataset->rows[i].modality == r->modality &&
                dataset->rows[i].part != TL_PART_NONE;
    return !given || r->part != TL_PART_NONE;
}

tl_status tl_study_encode(const tl_study *study, size_t row, tl_encoding *first,
                          size_t *first_row, tl_arena *arena, tl_encoding *out,
                          tl_error *err)
{
    tl_status status = tl_dataset_encode(study->session.dataset, row,
                                         study->session.processor, arena, out, err);
    if (status != TL_OK || !is_compared(study->session.dataset, row))
        return status;
    if (first->n_pos == 0) {
        *first = (tl_encoding){.n_pos = out->n_pos,
                               .data_begin = out->data_begin,
                               .data_end = out->data_end};
        *first_row = row;
    }
    const size_t rows[] = {*first_row, row};
    const tl_encoding encodings[] = {*first, *out};
    return tl_dataset_check_lengths(study->session.dataset, rows, encodings, 2, "study",
                                    err);
}

/* ---- predict ----------------------------------------------------------------- */

static tl_status read_prediction(const tl_study *study, size_t row,
                                 const tl_encoding *encoding, const float *logits,
                                 tl_arena *arena, tl_study_prompt *out, tl_error *err)
{
    const tl_dataset_row *r = &study->session.dataset->rows[row];
    const tl_tokenizer *tokenizer = tl_processor_tokenizer(study->session.processor);
    const int32_t *labels = NULL;
    size_t n_labels = 0;
    int32_t answer = -1;
    tl_status status = tl_dataset_answer_id(study->session.dataset, row,
                                            study->session.processor, &answer, err);
    if (status == TL_OK)
        status =
            tl_dataset_label_ids(study->session.dataset, row, study->session.processor,
                                 arena, &labels, &n_labels, err);
    size_t best = 0, best_label = 0;
    if (status == TL_OK)
        status = tl_answers_best_of_all(
            logits, NULL, tl_model_dims(study->session.model)->n_vocab, &best, err);
    if (status == TL_OK)
        status = tl_answers_best_of_all(logits, labels, n_labels, &best_label, err);
    if (status != TL_OK)
        return tl_fail_while(err, status, "prompt '%s'", r->id);
    const int32_t top = (int32_t)best, label = n_labels > 0 ? labels[best_label] : -1;
    *out = (tl_study_prompt){
        .row = row,
        .id = r->id,
        .modality = r->modality,
        .n_pos = encoding->n_pos,
        .data_begin = encoding->data_begin,
        .data_end = encoding->data_end,
        .answer_id = answer,
        .label_id = label,
        .top_id = top,
        .answer = r->answer,
        .label = label >= 0 ? tl_tokenizer_text(tokenizer, label, arena) : NULL,
        .top = tl_tokenizer_text(tokenizer, top, arena),
        .answer_logit = (double)logits[answer],
        .label_logit = label >= 0 ? (double)logits[label] : NAN,
        .top_logit = (double)logits[top],
        .correct_limited = label >= 0 ? label == answer : top == answer,
        .correct_full = top == answer,
    };
    return TL_OK;
}

/* One pass over a batch of rows, which are then put into the store together. */
static tl_status predict_batch(const tl_study *study, tl_pass *pass, const size_t *rows,
                               const tl_encoding *encodings, size_t n, tl_arena *arena,
                               tl_error *err)
{
    const size_t n_vocab = tl_model_dims(study->session.model)->n_vocab;
    tl_pass_prompt *prompts = tl_arena_alloc_zero(arena, n, sizeof *prompts);
    tl_study_prompt *found = tl_arena_alloc_zero(arena, n, sizeof *found);
    float *logits = tl_arena_alloc(arena, n_vocab, sizeof *logits);
    if (prompts == NULL || found == NULL || logits == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu prompts", n);
    const tl_pass_options options = {.last_only = true, .memory_budget = study->memory};
    tl_status status = TL_OK;
    for (size_t i = 0; i < n && status == TL_OK; i++)
        status = tl_model_input(study->session.model, &encodings[i],
                                (tl_rope)study->settings.rope, arena, &prompts[i].input,
                                err);
    if (status == TL_OK)
        status = tl_pass_forward(pass, prompts, n, &options, err);
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        status = tl_pass_logits_last(pass, i, logits, err);
        if (status == TL_OK)
            status = read_prediction(study, rows[i], &encodings[i], logits, arena,
                                     &found[i], err);
    }
    return status == TL_OK
               ? tl_study_db_put(study->db, &(tl_rows){TL_ROW_PROMPT, found, n}, 1, err)
               : status;
}

/* How many prompts of that length fit into one pass. */
static size_t batch_size(const tl_study *study, size_t n_pos)
{
    const tl_pass_options options = {.last_only = true};
    size_t n = BATCH_POSITIONS / n_pos, one = 0;
    n = n > BATCH_PROMPTS ? BATCH_PROMPTS : n;
    if (tl_pass_bytes(study->session.model, &n_pos, NULL, 1, &options, &one, NULL) ==
            TL_OK &&
        study->memory > 0 && n * one > study->memory)
        n = study->memory / one;
    return n > 0 ? n : 1;
}

tl_status tl_study_predict(tl_study *study, tl_modality modality, tl_error *err)
{
    const size_t stage = study->stages[modality][TL_STAGE_PREDICT];
    const tl_dataset *dataset = study->session.dataset;
    const tl_study_prompt *done = NULL;
    tl_encoding first = {0}, encodings[BATCH_PROMPTS];
    size_t first_row = 0, rows[BATCH_PROMPTS], n_done = 0, seen = 0, n = 0;
    tl_pass *pass = NULL;
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to predict");
    tl_status status = tl_study_db_get_prompts(
        study->db, modality, study->session.arena, &done, &n_done, err);
    for (size_t i = 0; i < n_done && status == TL_OK && first.n_pos == 0; i++)
        if (is_compared(dataset, done[i].row)) {
            first = (tl_encoding){.n_pos = done[i].n_pos,
                                  .data_begin = done[i].data_begin,
                                  .data_end = done[i].data_end};
            first_row = done[i].row;
        }
    if (status == TL_OK)
        status = tl_pass_create(study->session.model, &pass, err);
    tl_progress_begin(study->progress, stage, n_done);
    /* Rows are done in order, so those that are done are the first ones. */
    const tl_arena_mark mark = tl_arena_get_mark(arena);
    for (size_t row = 0; row < dataset->n_rows && status == TL_OK; row++) {
        if (dataset->rows[row].modality != modality || seen++ < n_done)
            continue;
        rows[n] = row;
        status =
            tl_study_encode(study, row, &first, &first_row, arena, &encodings[n], err);
        if (status != TL_OK)
            break;
        n++;
        if (n < batch_size(study, encodings[0].n_pos))
            continue;
        status = predict_batch(study, pass, rows, encodings, n, arena, err);
        tl_progress_step(study->progress, stage, seen);
        tl_arena_rewind(arena, mark);
        n = 0;
    }
    if (status == TL_OK && n > 0)
        status = predict_batch(study, pass, rows, encodings, n, arena, err);
    if (status == TL_OK) {
        tl_progress_step(study->progress, stage, seen);
        tl_progress_end(study->progress, stage);
    }
    tl_pass_destroy(pass);
    tl_arena_destroy(arena);
    return status;
}

/* ---- split ------------------------------------------------------------------- */

static bool is_stored_right(const tl_dataset *dataset, size_t row)
{
    const tl_dataset_row *r = &dataset->rows[row];
    return r->predicted != NULL && strcmp(r->predicted, r->answer) == 0;
}

static bool is_kept(const tl_study *study, const tl_study_prompt *prompt)
{
    switch ((tl_keep)study->settings.keep) {
    case TL_KEEP_CORRECT:
        return study->settings.accuracy == TL_ACCURACY_LIMITED ? prompt->correct_limited
                                                               : prompt->correct_full;
    case TL_KEEP_STORED: return is_stored_right(study->session.dataset, prompt->row);
    case TL_KEEP_ALL: break;
    }
    return true;
}

static tl_status name_answers(const tl_study *study, tl_modality modality,
                              tl_study_part part, const tl_split_pair *pairs, size_t n,
                              tl_study_pair **out, tl_error *err)
{
    tl_study_pair *named = tl_arena_alloc(study->session.arena, n, sizeof *named);
    if (named == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pairs", n);
    tl_status status = TL_OK;
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        named[i] = (tl_study_pair){.modality = modality,
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

static tl_status draw(const tl_study *study, tl_modality modality, tl_error *err)
{
    const size_t n_rows = study->session.dataset->n_rows;
    const tl_split_options options = {.n_prompts = study->settings.prompts,
                                      .n_answers =
                                          tl_split_answers(study->session.dataset),
                                      .seed = study->settings.seed};
    const tl_study_prompt *prompts = NULL;
    size_t n_prompts = 0;
    bool *correct = tl_arena_alloc_zero(study->session.arena, n_rows, sizeof *correct);
    tl_study_prompt *by_row =
        tl_arena_alloc_zero(study->session.arena, n_rows, sizeof *by_row);
    if (correct == NULL || by_row == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to split %zu rows", n_rows);
    tl_status status = tl_study_db_get_prompts(
        study->db, modality, study->session.arena, &prompts, &n_prompts, err);
    for (size_t i = 0; i < n_prompts && status == TL_OK; i++) {
        correct[prompts[i].row] = is_kept(study, &prompts[i]);
        by_row[prompts[i].row] = prompts[i];
    }
    tl_split split = {0};
    tl_study_pair *discovery = NULL, *evaluation = NULL;
    if (status == TL_OK)
        status = tl_dataset_split(study->session.dataset, modality, correct, &options,
                                  study->session.processor, study->session.arena,
                                  &split, err);
    if (status == TL_OK && (split.n_discovery == 0 || split.n_evaluation == 0))
        status = tl_fail(
            err, TL_ERR_DATA,
            "%s: %s prompts: %zu of %zu are usable, which leaves %zu for "
            "discovery and %zu for evaluation; wanted at least one of each",
            study->session.dataset->path, tl_modality_name(modality), split.n_correct,
            split.n_rows, split.n_discovery, split.n_evaluation);
    if (status == TL_OK)
        status = name_answers(study, modality, TL_STUDY_DISCOVERY, split.discovery,
                              split.n_discovery, &discovery, err);
    if (status == TL_OK)
        status = name_answers(study, modality, TL_STUDY_EVALUATION, split.evaluation,
                              split.n_evaluation, &evaluation, err);
    if (status == TL_OK)
        status = check_pairs(study, by_row, discovery, split.n_discovery, err);
    if (status == TL_OK)
        status = check_pairs(study, by_row, evaluation, split.n_evaluation, err);
    const tl_rows parts[] = {{TL_ROW_PAIR, discovery, split.n_discovery},
                             {TL_ROW_PAIR, evaluation, split.n_evaluation}};
    return status == TL_OK ? tl_study_db_put(study->db, parts, 2, err) : status;
}

/* How many pairs there are already, as far as the progress line wants to know. */
static tl_status count_pairs(const tl_study *study, tl_modality modality,
                             size_t *n_discovery, tl_error *err)
{
    static const size_t stages[] = {TL_STAGE_ATTRIBUTE, TL_STAGE_EVALUATE};
    static const tl_study_part parts[] = {TL_STUDY_DISCOVERY, TL_STUDY_EVALUATION};
    size_t n[2] = {0, 0};
    tl_status status = TL_OK;
    for (size_t i = 0; i < 2 && status == TL_OK; i++) {
        const tl_study_pair *pairs = NULL;
        status = tl_study_db_get_pairs(study->db, modality, parts[i],
                                       study->session.arena, &pairs, &n[i], err);
        if (status == TL_OK && n[i] > 0)
            tl_progress_resize(study->progress, study->stages[modality][stages[i]],
                               n[i]);
    }
    *n_discovery = n[0];
    return status;
}

tl_status tl_study_split(tl_study *study, tl_modality modality, tl_error *err)
{
    size_t n_discovery = 0;
    tl_status status = count_pairs(study, modality, &n_discovery, err);
    if (status != TL_OK || n_discovery > 0)
        return status;
    status = draw(study, modality, err);
    return status == TL_OK ? count_pairs(study, modality, &n_discovery, err) : status;
}
