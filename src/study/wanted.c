/* SPDX-License-Identifier: MIT
 * wanted.c - see wanted.h. */
#include "study/wanted.h"

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

tl_status tl_wanted_find(tl_session *s, size_t row, const tl_labels *labels,
                         tl_arena *arena, tl_wanted *out, tl_error *err)
{
    tl_labels own = {0};
    int32_t answer = 0, other = 0;
    tl_wanted w = {0};
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

bool tl_wanted_is_right(const tl_wanted *w, const double *logits)
{
    size_t best = 0;
    for (size_t i = 1; i < w->n_labels; i++)
        if (logits[i] > logits[best])
            best = i;
    return w->n_labels > 0 && w->ids[best] == w->ids[w->n_labels];
}

double tl_wanted_logit_diff(const tl_wanted *w, const double *logits)
{
    return w->has_pair ? logits[w->n_labels] - logits[w->n_labels + 1] : 0.0;
}
