/* SPDX-License-Identifier: MIT
 * session.c - see session.h. */
#include "study/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/word_list.h"
#include "model/memory_plan.h"
#include "study/chat_warning.h"
#include "task/folded_labels.h"

const char *tl_session_model_name(const tl_settings *o)
{
    return o->model != NULL ? o->model : "bundled";
}

tl_status tl_session_model(const tl_settings *o, tl_arena *arena, const char **folder,
                           tl_error *err)
{
    return tl_model_folder(o->model, arena, folder, err);
}

tl_status tl_session_open(const tl_settings *given, tl_session *out, tl_error *err)
{
    tl_session s = {0};
    tl_status status = tl_settings_take(given, &s.settings, err);
    if (status != TL_OK)
        return status;
    tl_settings *o = &s.settings;
    if (o->memory > 0)
        o->cache = tl_settings_cache_bytes(o, o->memory);
    const tl_model_options model = {.backend = o->backend,
                                    .n_threads = o->threads,
                                    .cache_bytes = o->cache,
                                    .precision = (tl_precision)o->precision};
    const char *folder = NULL;
    s.arena = tl_arena_create();
    status = s.arena != NULL
                 ? tl_session_model(o, s.arena, &folder, err)
                 : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a session");
    /* The dataset first: it is quickly read, and what is wrong with it quickly said. */
    if (status == TL_OK && o->dataset != NULL)
        status = tl_dataset_open(o->dataset, &s.dataset, err);
    if (status == TL_OK)
        status = tl_model_open(folder, &model, &s.model, err);
    if (status == TL_OK && o->dataset != NULL)
        status = tl_processor_open(folder, tl_model_dims(s.model)->n_vocab,
                                   &s.processor, err);
    if (status == TL_OK && o->dataset != NULL)
        tl_processor_set_chat(s.processor, (tl_chat_form)o->chat);
    if (status == TL_OK && o->dataset != NULL)
        status = tl_folded_labels_warn(s.dataset, s.processor, err);
    if (status == TL_OK && o->dataset != NULL)
        status = tl_chat_warn(s.dataset, s.processor, (tl_chat_form)o->chat, err);
    if (status != TL_OK) {
        tl_session_close(&s);
        return status;
    }
    *out = s;
    return TL_OK;
}

void tl_session_close(tl_session *s)
{
    tl_dataset_close(s->dataset);
    tl_processor_close(s->processor);
    tl_model_close(s->model);
    tl_arena_destroy(s->arena);
    *s = (tl_session){0};
}

tl_status tl_session_input(tl_session *s, size_t row, tl_arena *arena,
                           tl_encoding *encoding, tl_input *input, tl_error *err)
{
    tl_encoding e;
    tl_status status = tl_dataset_encode(s->dataset, row, s->processor, arena, &e, err);
    if (status == TL_OK)
        status = tl_fail_while(
            err,
            tl_model_input(s->model, &e, (tl_rope)s->settings.rope, arena, input, err),
            "prompt '%s'", s->dataset->rows[row].id);
    if (status == TL_OK && encoding != NULL)
        *encoding = e;
    return status;
}

/* ---- memory ------------------------------------------------------------------ */

size_t tl_session_budget(const tl_session *s, size_t held)
{
    const tl_settings *o = &s->settings;
    const size_t taken =
        held + tl_arena_used(s->arena) + tl_memory_plan_cache(s->model, o->cache) +
        tl_memory_plan_products(s->model, o->backend, o->threads, true);
    return o->memory == 0 ? 0 : o->memory > taken ? o->memory - taken : 1;
}

tl_status tl_session_attribution(const tl_session *s, size_t n_pos, const char *out,
                                 tl_attribution_options *options, tl_error *err)
{
    const tl_dims *d = tl_model_dims(s->model);
    const size_t scores = d->n_layers * n_pos * (d->n_heads + d->d_mlp) * sizeof(float);
    size_t least = 0;
    tl_attribution_options o = *options;
    o.folder = NULL;
    tl_status status = tl_attribution_bytes(s->model, n_pos, &o, &least, err);
    if (status != TL_OK)
        return status;
    o.memory_budget = tl_session_budget(s, scores);
    if (o.memory_budget == 0 || o.memory_budget >= least) {
        *options = o;
        return TL_OK;
    }
    o.folder = tl_path_folder(s->arena, out);
    if (o.folder == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    o.memory_budget = tl_session_budget(s, 0);
    status = tl_attribution_bytes(s->model, n_pos, &o, &least, err);
    if (status == TL_OK && o.memory_budget < least)
        status = tl_fail(err, TL_ERR_NO_MEMORY,
                         "attributing a pair of %zu positions needs %.3f MiB, of "
                         "--memory a budget of %.3f MiB is left for it",
                         n_pos, (double)least / (1 << 20),
                         (double)o.memory_budget / (1 << 20));
    if (status == TL_OK)
        *options = o;
    return status;
}

/* ---- rows -------------------------------------------------------------------- */

tl_status tl_session_row(const tl_session *s, const char *id, size_t *row,
                         tl_error *err)
{
    const size_t found = tl_dataset_find(s->dataset, id);
    if (found == TL_NO_ROW)
        return tl_fail(err, TL_ERR_NOT_FOUND, "%s: there is no row with id '%s'",
                       s->dataset->path, id);
    *row = found;
    return TL_OK;
}

tl_part tl_session_part(const tl_session *s, const tl_selection *selection)
{
    if (selection->ids != NULL)
        return TL_PART_NONE;
    if (selection->part_given)
        return (tl_part)selection->part;
    for (size_t i = 0; i < s->dataset->n_rows; i++)
        if ((int)s->dataset->rows[i].modality == selection->modality &&
            (s->dataset->rows[i].part == TL_DISCOVERY ||
             s->dataset->rows[i].part == TL_EVALUATION))
            return selection->usual;
    return TL_PART_NONE;
}

bool tl_session_is_paired(const tl_session *s, tl_modality modality)
{
    for (size_t i = 0; i < s->dataset->n_rows; i++)
        if (s->dataset->rows[i].modality == modality &&
            s->dataset->rows[i].part != TL_NO_PART &&
            s->dataset->rows[i].counterfactual == TL_NO_ROW)
            return false;
    return true;
}

static size_t list_drawn(const tl_split *drawn, tl_part part, size_t *rows)
{
    size_t n = 0;
    for (size_t i = 0; i < drawn->n_discovery && part != TL_EVALUATION; i++)
        rows[n++] = drawn->discovery[i].row;
    for (size_t i = 0; i < drawn->n_evaluation && part != TL_DISCOVERY; i++)
        rows[n++] = drawn->evaluation[i].row;
    return n;
}

/* Rows that are asked for, in the order of the file or of `ids`. */
static tl_status choose_rows(tl_session *s, const tl_selection *selection, size_t *rows,
                             size_t *count, tl_error *err)
{
    const tl_modality modality = (tl_modality)selection->modality;
    const tl_part part = tl_session_part(s, selection);
    size_t n = 0;
    if (selection->ids != NULL) {
        const char *const *words = NULL;
        size_t n_words = 0;
        tl_status status =
            tl_word_list_split(selection->ids, s->arena, &words, &n_words, err);
        for (size_t i = 0; i < n_words && status == TL_OK; i++) {
            if (n == s->dataset->n_rows)
                return tl_fail(err, TL_ERR_ARGUMENT,
                               "--ids names more prompts than the dataset has");
            status = tl_session_row(s, words[i], &rows[n], err);
            if (status == TL_OK && s->dataset->rows[rows[n]].modality != modality)
                status =
                    tl_fail(err, TL_ERR_DATA, "%s: row '%s' is %s, --modality is %s",
                            s->dataset->path, words[i],
                            tl_modality_name(s->dataset->rows[rows[n]].modality),
                            tl_modality_name(modality));
            n++;
        }
        *count = n;
        return status;
    }
    if (s->is_drawn[modality])
        n = list_drawn(&s->drawn[modality], part, rows);
    for (size_t i = 0; i < s->dataset->n_rows && !s->is_drawn[modality]; i++) {
        const tl_dataset_row *row = &s->dataset->rows[i];
        if (row->modality == modality && (part == TL_PART_NONE || row->part == part))
            rows[n++] = i;
    }
    *count = n;
    if (n == 0)
        return tl_fail(err, TL_ERR_DATA, "%s: no %s prompt%s among its %zu rows",
                       s->dataset->path, tl_modality_name(modality),
                       part == TL_PART_NONE   ? ""
                       : part == TL_DISCOVERY ? " of the discovery split"
                                              : " of the evaluation split",
                       s->dataset->n_rows);
    return TL_OK;
}

tl_status tl_session_rows(tl_session *s, const tl_selection *selection, size_t **rows,
                          size_t *count, tl_error *err)
{
    size_t *list = tl_arena_alloc(s->arena, s->dataset->n_rows, sizeof *list);
    if (list == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu rows",
                       s->dataset->n_rows);
    const tl_status status = choose_rows(s, selection, list, count, err);
    if (status == TL_OK)
        *rows = list;
    return status;
}
