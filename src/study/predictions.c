/* SPDX-License-Identifier: MIT
 * predictions.c - see predictions.h. */
#include "study/predictions.h"

#include <math.h>

#include "study/answers.h"
#include "trace/experiment.h"
#include "twinlens/alloc.h"

/* Tokens in a pass: enough for full speed, little memory. */
enum { BATCH_TOKENS = 1024 };

/* Everything about one row once its batch has been through the model. */
static tl_status finish(tl_session *s, tl_pass *pass, size_t i, tl_arena *arena,
                        float *logits, tl_prediction *it, tl_error *err)
{
    const int32_t *labels = NULL;
    size_t n_labels = 0;
    tl_status status = TL_OK;
    if (s->settings.accuracy == TL_ACCURACY_LIMITED)
        status = tl_dataset_label_ids(s->dataset, it->row, s->processor, arena, &labels,
                                      &n_labels, err);
    if (status == TL_OK)
        status = tl_pass_logits_last(pass, i, logits, err);
    const size_t n = n_labels > 0 ? n_labels : tl_model_dims(s->model)->n_vocab;
    size_t best = 0;
    if (status == TL_OK)
        status =
            tl_answers_best_of_all(logits, n_labels > 0 ? labels : NULL, n, &best, err);
    if (status == TL_OK)
        it->prediction = n_labels > 0 ? labels[best] : (int32_t)best;
    if (status == TL_OK && it->has_counterfactual)
        status = tl_pass_logit_diff(pass, i, it->answer, it->counterfactual,
                                    &it->logit_diff, err);
    if (status == TL_OK && it->has_counterfactual && !isfinite(it->logit_diff))
        status =
            tl_fail(err, TL_ERR_DATA, "prompt '%s': the logit difference is not finite",
                    s->dataset->rows[it->row].id);
    return status;
}

static const tl_pass_options pass_options = {.last_only = true};

/* What a batch holds beside its pass: pixels, embeddings with their positions, and the
 * logits of one prompt twice, the backend's and ours. */
static size_t batch_bytes(const tl_session *s, const tl_prediction *items, size_t n)
{
    const tl_dims *d = tl_model_dims(s->model);
    size_t bytes = 2 * d->n_vocab * sizeof(float);
    for (size_t i = 0; i < n; i++) {
        const tl_encoding *e = &items[i].encoding;
        size_t n_pixels = e->n_images > 0 ? 1 : 0;
        for (size_t k = 0; k < e->pixels.n_dims && e->n_images > 0; k++)
            n_pixels *= e->pixels.dims[k];
        bytes += n_pixels * sizeof(float) + tl_model_input_bytes(s->model, e->n_pos) +
                 e->n_pos * 5 * sizeof(int32_t);
    }
    return bytes;
}

static tl_status predict_batch(tl_session *s, tl_pass *pass, tl_arena *arena,
                               tl_prediction *items, size_t n, tl_error *err)
{
    tl_pass_options limited = pass_options;
    tl_status status = tl_pass_room(pass, s->settings.memory, batch_bytes(s, items, n),
                                    &limited.memory_budget, err);
    if (status != TL_OK)
        return status;
    tl_pass_prompt *prompts = tl_arena_alloc_zero(arena, n, sizeof *prompts);
    float *logits =
        tl_arena_alloc(arena, tl_model_dims(s->model)->n_vocab, sizeof *logits);
    if (prompts == NULL || logits == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a batch of %zu prompts",
                       n);
    for (size_t i = 0; i < n; i++)
        if (items[i].encoding.n_images > 0)
            tl_pass_shrink(pass, 0); /* the tower wants memory as well */
    for (size_t i = 0; i < n && status == TL_OK; i++)
        status = tl_fail_while(err,
                               tl_model_input(s->model, &items[i].encoding,
                                              (tl_rope)s->settings.rope, arena,
                                              &prompts[i].input, err),
                               "prompt '%s'", s->dataset->rows[items[i].row].id);
    if (status == TL_OK)
        status = tl_pass_forward(pass, prompts, n, &limited, err);
    for (size_t i = 0; i < n && status == TL_OK; i++)
        status = finish(s, pass, i, arena, logits, &items[i], err);
    return status;
}

/* Answer ids and encoding of a row. */
static tl_status prepare(const tl_session *s, size_t row, tl_arena *arena,
                         tl_prediction *it, tl_error *err)
{
    const size_t counterfactual = s->dataset->rows[row].counterfactual;
    *it =
        (tl_prediction){.row = row, .has_counterfactual = counterfactual != TL_NO_ROW};
    tl_status status =
        it->has_counterfactual
            ? tl_dataset_pair_ids(s->dataset, row, counterfactual, s->processor,
                                  &it->answer, &it->counterfactual, err)
            : tl_dataset_answer_id(s->dataset, row, s->processor, &it->answer, err);
    if (status == TL_OK)
        status =
            tl_dataset_encode(s->dataset, row, s->processor, arena, &it->encoding, err);
    return status;
}

/* Whether these prompts and one pass over them stay within the memory budget. */
static bool fits(const tl_session *s, const tl_prediction *items, size_t n)
{
    size_t n_pos[BATCH_TOKENS], bytes = 0;
    for (size_t i = 0; i < n; i++)
        n_pos[i] = items[i].encoding.n_pos;
    return s->settings.memory == 0 ||
           (tl_pass_bytes(s->model, n_pos, NULL, n, &pass_options, &bytes, NULL) ==
                TL_OK &&
            TL_EXPERIMENT_BYTES + batch_bytes(s, items, n) + bytes <=
                s->settings.memory);
}

/* Takes rows from *next on for one pass: one at least, and as many as it likes. */
static tl_status gather(const tl_session *s, const size_t *rows, size_t n_rows,
                        size_t *next, tl_arena *arena, tl_prediction *items,
                        size_t *count, tl_error *err)
{
    size_t n = 0, tokens = 0;
    while (*next < n_rows && n < BATCH_TOKENS && tokens < BATCH_TOKENS) {
        const tl_status status = prepare(s, rows[*next], arena, &items[n], err);
        if (status != TL_OK)
            return status;
        if (n > 0 && !fits(s, items, n + 1))
            break;
        tokens += items[n++].encoding.n_pos;
        ++*next;
    }
    *count = n;
    return TL_OK;
}

tl_status tl_predict_rows(tl_session *s, const size_t *rows, size_t n_rows,
                          tl_take_prediction *take, void *user, tl_error *err)
{
    tl_pass *pass = NULL;
    tl_arena *arena = tl_arena_create();
    tl_prediction *items = tl_alloc(BATCH_TOKENS, sizeof *items);
    tl_status status = TL_OK;
    if (arena == NULL || items == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the prompts");
    if (status == TL_OK)
        status = tl_pass_create(s->model, &pass, err);
    for (size_t next = 0; next < n_rows && status == TL_OK;) {
        const tl_arena_mark mark = tl_arena_get_mark(arena);
        size_t n = 0;
        status = gather(s, rows, n_rows, &next, arena, items, &n, err);
        if (status == TL_OK)
            status = predict_batch(s, pass, arena, items, n, err);
        for (size_t k = 0; k < n && status == TL_OK; k++)
            status = take(user, &items[k], err);
        tl_arena_rewind(arena, mark);
    }
    tl_pass_destroy(pass);
    tl_free(items);
    tl_arena_destroy(arena);
    return status;
}
