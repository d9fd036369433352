/* SPDX-License-Identifier: MIT
 * wanted.c - see wanted.h. */
#include "cli/wanted.h"

#include <string.h>

tl_status tl_wanted_find(tl_session *s, size_t row, tl_arena *arena, tl_wanted *out,
                         tl_error *err)
{
    const int32_t *labels = NULL;
    int32_t answer = 0, other = 0;
    tl_wanted w = {0};
    tl_status status = tl_dataset_label_ids(s->dataset, row, s->processor, arena,
                                            &labels, &w.n_labels, err);
    if (status == TL_OK)
        status = tl_dataset_answer_id(s->dataset, row, s->processor, &answer, err);
    const size_t cf = s->dataset->rows[row].counterfactual;
    w.has_pair = cf != TL_NO_ROW;
    if (status == TL_OK && w.has_pair)
        status = tl_dataset_pair_ids(s->dataset, row, cf, s->processor, &answer, &other,
                                     err);
    if (status != TL_OK)
        return status;
    w.n_ids = w.n_labels + 2;
    w.ids = tl_arena_alloc(arena, w.n_ids, sizeof *w.ids);
    if (w.ids == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the labels");
    if (w.n_labels > 0)
        memcpy(w.ids, labels, w.n_labels * sizeof *w.ids);
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
