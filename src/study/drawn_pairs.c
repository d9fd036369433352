/* SPDX-License-Identifier: MIT
 * drawn_pairs.c - see drawn_pairs.h. */
#include "study/drawn_pairs.h"

#include <stdio.h>
#include <string.h>

#include "store/left_out.h"
#include "study/answers.h"
#include "study/row_lengths.h"
#include "trace/experiment.h"

/* Prompts of one pass: enough rows to keep a matrix product busy. */
enum { BATCH_POSITIONS = 1024, BATCH_PROMPTS = 64 };

bool tl_row_is_kept(const tl_settings *settings, const tl_dataset *dataset, size_t row,
                    bool correct_limited, bool correct_full)
{
    const tl_dataset_row *r = &dataset->rows[row];
    switch ((tl_keep)settings->keep) {
    case TL_KEEP_CORRECT:
        return settings->accuracy == TL_ACCURACY_LIMITED ? correct_limited
                                                         : correct_full;
    case TL_KEEP_STORED:
        return r->predicted != NULL && strcmp(r->predicted, r->answer) == 0;
    case TL_KEEP_ALL: break;
    }
    return true;
}

static tl_status split_rows(const tl_session *s, tl_modality modality, const bool *kept,
                            size_t n_prompts, tl_arena *arena, tl_split *out,
                            tl_error *err)
{
    const tl_split_options options = {.n_prompts = n_prompts,
                                      .n_answers = tl_split_answers(s->dataset),
                                      .seed = s->settings.seed};
    tl_split split;
    tl_status status = tl_dataset_split(s->dataset, modality, kept, &options,
                                        s->processor, arena, &split, err);
    if (status == TL_OK && (split.n_discovery == 0 || split.n_evaluation == 0))
        status = tl_fail(err, TL_ERR_TOO_FEW, "no prompt for discovery or evaluation");
    if (status == TL_OK)
        *out = split;
    return status;
}

/* The answer that all kept rows have; NULL: they have several, or are fewer than two. */
static tl_status find_only_answer(const tl_session *s, tl_modality modality,
                                  const bool *kept, const char **out, tl_error *err)
{
    const tl_dataset *d = s->dataset;
    size_t n = 0;
    int32_t first = -1, id = -1;
    tl_status status = TL_OK;
    *out = NULL;
    for (size_t i = 0; i < d->n_rows && status == TL_OK; i++) {
        if (d->rows[i].modality != modality || !kept[i])
            continue;
        status = tl_dataset_answer_id(d, i, s->processor, &id, err);
        if (n++ == 0)
            first = id;
        *out = n > 1 && id == first ? d->rows[i].answer : NULL;
        if (id != first)
            break;
    }
    return status;
}

tl_status tl_session_shortage(const tl_session *s, tl_modality modality,
                              const bool *kept, tl_arena *arena, tl_shortage *out,
                              tl_error *err)
{
    enum { LONGEST = 60 }; /* of an answer, in bytes */
    const tl_dataset *d = s->dataset;
    const char *answer = NULL;
    char reason[256];
    size_t n_rows = 0, n_kept = 0;
    tl_split split;
    for (size_t i = 0; i < d->n_rows; i++)
        if (d->rows[i].modality == modality && d->rows[i].part != TL_NO_PART) {
            n_rows++;
            n_kept += kept[i];
        }
    tl_status status = find_only_answer(s, modality, kept, &answer, err);
    if (status != TL_OK)
        return status;
    status = s->settings.prompts > 0
                 ? split_rows(s, modality, kept, 0, arena, &split, err)
                 : TL_ERR_TOO_FEW;
    if (status != TL_OK && status != TL_ERR_TOO_FEW)
        return status;
    int length = answer != NULL ? (int)strnlen(answer, LONGEST) : 0;
    while (length > 0 && ((unsigned char)answer[length] & 0xC0) == 0x80)
        length--; /* a letter of UTF-8 is not cut in two */
    int used = snprintf(reason, sizeof reason, "%zu of %zu %s%s", n_kept, n_rows,
                        s->settings.keep == TL_KEEP_ALL ? "kept" : "right",
                        s->settings.length == TL_LENGTH_COMMONEST ? " and alike" : "");
    if (answer != NULL)
        used += snprintf(reason + used, sizeof reason - (size_t)used,
                         ", all with the answer '%.*s'", length, answer);
    if (status == TL_OK)
        snprintf(reason + used, sizeof reason - (size_t)used,
                 ", " TL_TOO_FEW " --prompts %zu", s->settings.prompts);
    else
        snprintf(reason + used, sizeof reason - (size_t)used,
                 ", " TL_TOO_FEW " two parts with two answers");
    *out = (tl_shortage){tl_arena_strdup(arena, reason), status == TL_OK};
    return out->reason != NULL ? TL_OK : tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
}

tl_status tl_session_split(const tl_session *s, tl_modality modality, const bool *kept,
                           tl_arena *arena, tl_split *out, tl_error *err)
{
    tl_shortage why;
    const tl_status status =
        split_rows(s, modality, kept, s->settings.prompts, arena, out, err);
    if (status != TL_ERR_TOO_FEW)
        return status;
    const tl_status told = tl_session_shortage(s, modality, kept, arena, &why, err);
    return told != TL_OK
               ? told
               : tl_fail(err, TL_ERR_TOO_FEW, "%s: %s: %s; what would help: %s",
                         s->dataset->path, tl_modality_name(modality), why.reason,
                         tl_left_out_remedy(modality, why.reason));
}

/* ---- what the model gets right --------------------------------------------------- */

typedef struct asker {
    tl_session *s;
    tl_pass *pass;
    tl_arena *arena; /* of one pass */
    float *logits;   /* [n_vocab] */
} asker;

/* By the best label, or the best token of all. */
static tl_status judge(const asker *a, size_t row, bool *limited, bool *full,
                       tl_error *err)
{
    const tl_session *s = a->s;
    const int32_t *labels = NULL;
    size_t n_labels = 0, best = 0, best_label = 0;
    int32_t answer = -1;
    tl_status status =
        tl_dataset_answer_id(s->dataset, row, s->processor, &answer, err);
    if (status == TL_OK)
        status = tl_dataset_label_ids(s->dataset, row, s->processor, a->arena, &labels,
                                      &n_labels, err);
    if (status == TL_OK)
        status = tl_answers_best_of_all(a->logits, NULL,
                                        tl_model_dims(s->model)->n_vocab, &best, err);
    if (status == TL_OK && n_labels > 0)
        status = tl_answers_best_of_all(a->logits, labels, n_labels, &best_label, err);
    if (status != TL_OK)
        return tl_fail_while(err, status, "prompt '%s'", s->dataset->rows[row].id);
    *full = (int32_t)best == answer;
    *limited = n_labels > 0 ? labels[best_label] == answer : *full;
    return TL_OK;
}

/* One pass over rows[n]. */
static tl_status ask(const asker *a, const size_t *rows, size_t n, bool *kept,
                     tl_error *err)
{
    tl_session *s = a->s;
    const tl_dims *d = tl_model_dims(s->model);
    tl_pass_prompt *prompts = tl_arena_alloc_zero(a->arena, n, sizeof *prompts);
    if (prompts == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu prompts", n);
    size_t bytes = 2 * d->n_vocab * sizeof(float);
    tl_pass_options options = {.last_only = true};
    tl_status status = TL_OK;
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        status = tl_session_input(s, rows[i], a->arena, NULL, &prompts[i].input, err);
        bytes += tl_model_input_bytes(s->model, prompts[i].input.n_pos);
    }
    if (status == TL_OK)
        status = tl_pass_room(a->pass, s->settings.memory, bytes,
                              &options.memory_budget, err);
    if (status == TL_OK)
        status = tl_pass_forward(a->pass, prompts, n, &options, err);
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        bool limited = false, full = false;
        status = tl_pass_logits_last(a->pass, i, a->logits, err);
        if (status == TL_OK)
            status = judge(a, rows[i], &limited, &full, err);
        if (status == TL_OK)
            kept[rows[i]] =
                tl_row_is_kept(&s->settings, s->dataset, rows[i], limited, full);
    }
    return status;
}

/* Within --memory one at a time; no bit depends on it. */
static tl_status ask_all(asker *a, const size_t *rows, size_t n, bool *kept,
                         tl_error *err)
{
    size_t together = 1;
    tl_encoding e = {.n_pos = 0};
    tl_status status = TL_OK;
    if (a->s->settings.memory == 0 && n > 0) {
        status = tl_dataset_encode(a->s->dataset, rows[0], a->s->processor, a->arena,
                                   &e, err);
        if (status == TL_OK && e.n_pos < BATCH_POSITIONS)
            together = BATCH_POSITIONS / e.n_pos;
        if (together > BATCH_PROMPTS)
            together = BATCH_PROMPTS;
    }
    const tl_arena_mark mark = tl_arena_get_mark(a->arena);
    for (size_t i = 0; i < n && status == TL_OK; i += together) {
        status = ask(a, rows + i, n - i < together ? n - i : together, kept, err);
        tl_arena_rewind(a->arena, mark);
    }
    return status;
}

static tl_status ask_model(tl_session *s, const size_t *rows, size_t n, bool *kept,
                           tl_error *err)
{
    asker a = {.s = s, .arena = tl_arena_create()};
    a.logits =
        tl_arena_alloc(s->arena, tl_model_dims(s->model)->n_vocab, sizeof *a.logits);
    tl_status status = a.arena != NULL && a.logits != NULL
                           ? tl_pass_create(s->model, &a.pass, err)
                           : tl_fail(err, TL_ERR_NO_MEMORY, "no memory to predict");
    if (status == TL_OK)
        status = ask_all(&a, rows, n, kept, err);
    tl_pass_destroy(a.pass);
    tl_arena_destroy(a.arena);
    return status;
}

/* ---- all of it ------------------------------------------------------------------- */

tl_status tl_session_draw(tl_session *s, tl_modality modality, tl_split *out,
                          const bool **kept_out, tl_error *err)
{
    size_t *rows = NULL, n = 0;
    bool *kept = tl_arena_alloc_zero(s->arena, s->dataset->n_rows, sizeof *kept);
    if (kept == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu rows",
                       s->dataset->n_rows);
    const tl_selection all = {.modality = (int)modality, .part_given = true};
    tl_status status = tl_session_rows(s, &all, &rows, &n, err);
    size_t n_asked = 0;
    for (size_t i = 0; i < n && status == TL_OK; i++)
        if (s->dataset->rows[rows[i]].part != TL_NO_PART)
            rows[n_asked++] = rows[i];
    n = n_asked;
    if (status == TL_OK && s->settings.keep == TL_KEEP_CORRECT)
        status = ask_model(s, rows, n, kept, err);
    else if (status == TL_OK)
        for (size_t i = 0; i < n; i++)
            kept[rows[i]] =
                tl_row_is_kept(&s->settings, s->dataset, rows[i], true, true);
    const tl_row_lengths *lengths = NULL;
    if (status == TL_OK && s->settings.length == TL_LENGTH_COMMONEST)
        status = tl_session_lengths(s, modality, &lengths, err);
    for (size_t i = 0; i < n && status == TL_OK; i++)
        kept[rows[i]] = kept[rows[i]] && !tl_session_leaves_out(s, rows[i]);
    if (status == TL_OK)
        status = tl_session_split(s, modality, kept, s->arena, out, err);
    if (status == TL_OK && kept_out != NULL)
        *kept_out = kept;
    return status;
}

static void set_part(tl_dataset_row *rows, const tl_split_pair *pairs, size_t n,
                     tl_part part)
{
    for (size_t i = 0; i < n; i++) {
        rows[pairs[i].row].part = part;
        rows[pairs[i].row].counterfactual = pairs[i].counterfactual;
    }
}

tl_status tl_session_take(tl_session *s, tl_modality modality, const tl_split *split,
                          tl_error *err)
{
    tl_dataset *d = s->dataset;
    tl_dataset_row *rows = tl_arena_alloc(s->arena, d->n_rows, sizeof *rows);
    if (rows == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu rows", d->n_rows);
    memcpy(rows, d->rows, d->n_rows * sizeof *rows);
    for (size_t i = 0; i < d->n_rows; i++)
        if (rows[i].modality == modality && rows[i].part != TL_NO_PART) {
            rows[i].part = TL_PART_NONE;
            rows[i].counterfactual = TL_NO_ROW;
        }
    set_part(rows, split->discovery, split->n_discovery, TL_DISCOVERY);
    set_part(rows, split->evaluation, split->n_evaluation, TL_EVALUATION);
    d->rows = rows;
    s->drawn[modality] = *split;
    s->is_drawn[modality] = true;
    return TL_OK;
}
