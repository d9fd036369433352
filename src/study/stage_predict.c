/* SPDX-License-Identifier: MIT
 * stage_predict.c - what the model says to each row. See stage.h. */
#include "study/stage.h"

#include "circuit/circuit_work.h"

#include <math.h>

#include "study/answers.h"
#include "twinlens/pass.h"

/* Prompts of one pass: enough rows to keep a matrix product busy. */
enum { BATCH_POSITIONS = 1024, BATCH_PROMPTS = 64 };

typedef struct predict_stage {
    tl_pass *pass;
    size_t *rows;     /* of the modality, [n_units]: a unit each */
    size_t one_input; /* bytes */
} predict_stage;

bool tl_study_predicts(const tl_study *study, size_t row, tl_modality modality)
{
    const tl_dataset_row *r = &study->session.dataset->rows[row];
    return r->modality == modality &&
           (r->part != TL_NO_PART || study->n_circuit_rows[modality] == 0);
}

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
    const char *top_text = tl_tokenizer_text(tokenizer, top, arena),
               *label_text =
                   label >= 0 ? tl_tokenizer_text(tokenizer, label, arena) : NULL;
    if (top_text == NULL || (label >= 0 && label_text == NULL))
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the answers to '%s'",
                       r->id);
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
        .label = label_text,
        .top = top_text,
        .answer_logit = (double)logits[answer],
        .label_logit = label >= 0 ? (double)logits[label] : NAN,
        .top_logit = (double)logits[top],
        .correct_limited = label >= 0 ? label == answer : top == answer,
        .correct_full = top == answer,
    };
    return TL_OK;
}

static size_t logits_bytes(const tl_study *study)
{
    return tl_model_dims(study->session.model)->n_vocab * sizeof(float);
}

/* One pass over a batch of rows. */
static tl_status predict_rows(tl_stage_run *run, size_t first, size_t n,
                              tl_stage_rows *out, tl_error *err)
{
    const tl_study *study = run->study;
    predict_stage *p = run->state;
    const size_t *rows = p->rows + first,
                 n_vocab = tl_model_dims(study->session.model)->n_vocab;
    tl_encoding *encodings = tl_arena_alloc_zero(run->arena, n, sizeof *encodings);
    tl_pass_prompt *prompts = tl_arena_alloc_zero(run->arena, n, sizeof *prompts);
    tl_study_prompt *found = tl_arena_alloc_zero(run->arena, n, sizeof *found);
    float *logits = tl_arena_alloc(run->arena, n_vocab, sizeof *logits);
    if (encodings == NULL || prompts == NULL || found == NULL || logits == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu prompts", n);
    const tl_pass_options options = {
        .last_only = true,
        .memory_budget =
            tl_study_budget(study, p->one_input * n + logits_bytes(study))};
    tl_status status = TL_OK;
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        status =
            tl_dataset_encode(study->session.dataset, rows[i], study->session.processor,
                              run->arena, &encodings[i], err);
        if (status == TL_OK)
            status = tl_model_input(study->session.model, &encodings[i],
                                    (tl_rope)study->settings.rope, run->arena,
                                    &prompts[i].input, err);
    }
    if (status == TL_OK)
        status = tl_pass_forward(p->pass, prompts, n, &options, err);
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        status = tl_pass_logits_last(p->pass, i, logits, err);
        if (status == TL_OK)
            status = read_prediction(study, rows[i], &encodings[i], logits, run->arena,
                                     &found[i], err);
    }
    tl_stage_put(out, TL_ROW_PROMPT, found, n);
    return status;
}

/* How many prompts as long as the first fit into one pass, beside the logits of one. */
static tl_status batch_size(tl_stage_run *run, size_t *out, tl_error *err)
{
    const tl_study *study = run->study;
    predict_stage *p = run->state;
    const tl_pass_options options = {.last_only = true};
    const size_t n_pos = study->spans[run->modality].n_pos; /* of the longest */
    size_t one = 0;
    tl_status status = TL_OK;
    if (status == TL_OK)
        status =
            tl_pass_bytes(study->session.model, &n_pos, NULL, 1, &options, &one, err);
    if (status != TL_OK)
        return status;
    p->one_input = tl_study_input_bytes(study, run->modality, n_pos, 1);
    one += p->one_input;
    size_t n = BATCH_POSITIONS / n_pos;
    n = n > BATCH_PROMPTS ? BATCH_PROMPTS : n;
    const size_t room = tl_study_budget(study, logits_bytes(study));
    if (room > 0 && n * one > room)
        n = room / one;
    *out = n > 0 ? n : 1;
    return TL_OK;
}

static tl_status begin(tl_stage_run *run, tl_stage_rows *rows, tl_error *err)
{
    (void)rows;
    const tl_dataset *dataset = run->study->session.dataset;
    predict_stage *p = run->state = tl_arena_alloc_zero(run->arena, 1, sizeof *p);
    if (p == NULL || (p->rows = tl_arena_alloc(run->arena, dataset->n_rows,
                                               sizeof *p->rows)) == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to predict");
    for (size_t row = 0; row < dataset->n_rows; row++)
        if (tl_study_predicts(run->study, row, run->modality))
            p->rows[run->n_units++] = row;
    const tl_study_prompt *done = NULL;
    tl_status status = tl_study_db_get_prompts(run->study->db, run->modality,
                                               run->arena, &done, &run->n_done, err);
    if (status == TL_OK && run->n_done < run->n_units)
        status = batch_size(run, &run->n_together, err);
    return status == TL_OK ? tl_pass_create(run->study->session.model, &p->pass, err)
                           : status;
}

/* Said in the tables, too, where lengths keep a modality from having circuits. */
static tl_status end(tl_stage_run *run, tl_stage_rows *rows, tl_error *err)
{
    const tl_study *study = run->study;
    if (study->lengths_differ[run->modality] == NULL)
        return TL_OK;
    tl_study_left_out *out = tl_arena_alloc(run->arena, 1, sizeof *out);
    if (out == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    *out = (tl_study_left_out){"circuits", study->lengths_differ[run->modality],
                               run->modality, study->n_rows[run->modality]};
    tl_stage_put(rows, TL_ROW_LEFT_OUT, out, 1);
    return TL_OK;
}

static void release(tl_stage_run *run)
{
    predict_stage *p = run->state;
    tl_pass_destroy(p->pass);
}

static tl_status guess(const tl_stage_sizes *sizes, tl_stage_guess *out, tl_error *err)
{
    const tl_pass_options options = {.last_only = true};
    const tl_dims *d = tl_model_dims(sizes->model);
    *out = (tl_stage_guess){.n_units = sizes->n_predicted,
                            .flops = 2.0 * (double)d->n_vocab * (double)d->d_model};
    return tl_pass_flops_add(sizes->model, sizes->shape->spans[sizes->modality].n_pos,
                             0, &options, 1.0, &out->flops, err);
}

static tl_status bytes(const tl_study *study, tl_modality modality, size_t *out,
                       tl_error *err)
{
    const tl_pass_options options = {.last_only = true};
    const size_t n_pos = study->spans[modality].n_pos;
    const tl_status status =
        tl_pass_least_bytes(study->session.model, n_pos, &options, out, err);
    *out += tl_study_input_bytes(study, modality, n_pos, 1) + logits_bytes(study);
    return status;
}

const tl_stage tl_stage_predict = {.name = "predict",
                                   .of = TL_STAGE_EACH,
                                   .guess = guess,
                                   .bytes = bytes,
                                   .begin = begin,
                                   .run = predict_rows,
                                   .end = end,
                                   .release = release};
