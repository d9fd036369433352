/* SPDX-License-Identifier: MIT
 * answers.c - see answers.h. */
#include "study/answers.h"

#include <math.h>
#include <string.h>

tl_status tl_labels_unite(tl_session *s, const size_t *rows, size_t n, tl_arena *arena,
                          tl_labels *out, tl_error *err)
{
    size_t most = 0, n_ids = 0;
    for (size_t i = 0; i < n; i++)
        most += s->dataset->rows[rows[i]].n_labels;
    int32_t *ids = tl_arena_alloc(arena, most, sizeof *ids);
    if (ids == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu labels", most);
    for (size_t i = 0; i < n; i++) {
        tl_labels own = {0};
        const tl_status status = tl_dataset_label_ids(s->dataset, rows[i], s->processor,
                                                      arena, &own.ids, &own.n, err);
        if (status != TL_OK)
            return status;
        for (size_t k = 0; k < own.n; k++) {
            size_t at = 0;
            while (at < n_ids && ids[at] != own.ids[k])
                at++;
            ids[at] = own.ids[k];
            n_ids += at == n_ids;
        }
    }
    *out = (tl_labels){ids, n_ids};
    return TL_OK;
}

tl_status tl_answers_find(tl_session *s, size_t row, const tl_labels *labels,
                          tl_arena *arena, tl_answers *out, tl_error *err)
{
    tl_labels own = {0};
    int32_t answer = 0, other = 0;
    tl_answers w = {0};
    tl_status status = TL_OK;
    if (labels == NULL) {
        labels = &own;
        status = tl_dataset_label_ids(s->dataset, row, s->processor, arena, &own.ids,
                                      &own.n, err);
    }
    if (status == TL_OK)
        status = tl_dataset_answer_id(s->dataset, row, s->processor, &answer, err);
    const size_t cf = s->dataset->rows[row].counterfactual;
    w.has_pair = cf != TL_NO_ROW;
    if (status == TL_OK && w.has_pair)
        status = tl_dataset_pair_ids(s->dataset, row, cf, s->processor, &answer, &other,
                                     err);
    if (status != TL_OK)
        return status;
    w.n_labels = labels->n;
    w.n_ids = w.n_labels + 2;
    w.ids = tl_arena_alloc(arena, w.n_ids, sizeof *w.ids);
    if (w.ids == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the labels");
    if (w.n_labels > 0)
        memcpy(w.ids, labels->ids, w.n_labels * sizeof *w.ids);
    w.ids[w.n_labels] = answer;
    w.ids[w.n_labels + 1] = w.has_pair ? other : answer;
    *out = w;
    return TL_OK;
}

/* Of some tokens' logits, or of those tokens in a whole vocabulary's. */
static tl_status find_best(const double *logits, const float *vocabulary,
                           const int32_t *ids, size_t n, size_t *out, tl_error *err)
{
    size_t best = 0;
    double most = 0.0;
    for (size_t i = 0; i < n; i++) {
        const size_t id = ids != NULL ? (size_t)ids[i] : i;
        const double logit = logits != NULL ? logits[i] : (double)vocabulary[id];
        if (isnan(logit))
            return tl_fail(err, TL_ERR_DATA,
                           "logits: that of token %zu is not a number", id);
        if (i == 0 || logit > most) {
            best = i;
            most = logit;
        }
    }
    *out = best;
    return TL_OK;
}

tl_status tl_answers_best(const double *logits, const int32_t *ids, size_t n,
                          size_t *best, tl_error *err)
{
    return find_best(logits, NULL, ids, n, best, err);
}

tl_status tl_answers_best_of_all(const float *vocabulary, const int32_t *ids, size_t n,
                                 size_t *best, tl_error *err)
{
    return find_best(NULL, vocabulary, ids, n, best, err);
}

tl_status tl_answers_is_right(const tl_answers *w, const double *logits, bool *out,
                              tl_error *err)
{
    size_t best = 0;
    const tl_status status = tl_answers_best(logits, w->ids, w->n_labels, &best, err);
    if (status == TL_OK)
        *out = w->n_labels > 0 && w->ids[best] == w->ids[w->n_labels];
    return status;
}

double tl_answers_logit_diff(const tl_answers *w, const double *logits)
{
    return w->has_pair ? logits[w->n_labels] - logits[w->n_labels + 1] : 0.0;
}
