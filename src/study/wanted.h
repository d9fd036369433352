/* SPDX-License-Identifier: MIT
 * wanted.h - the few logits that say whether a prompt was answered right. */
#ifndef TWINLENS_STUDY_WANTED_H
#define TWINLENS_STUDY_WANTED_H

#include "study/session.h"

/* Tokens: the labels, then the answer and the counterfactual's (without one, the
 * answer again). */
typedef struct tl_wanted {
    int32_t *ids;
    size_t n_ids, n_labels; /* no labels: right and wrong are not told apart */
    bool has_pair;
} tl_wanted;

/* First tokens of labels, each once. */
typedef struct tl_labels {
    const int32_t *ids;
    size_t n;
} tl_labels;

/* The labels of all those rows, in `arena`. */
tl_status tl_labels_unite(tl_session *session, const size_t *rows, size_t n,
                          tl_arena *arena, tl_labels *out, tl_error *err);

/* Of a row, in `arena`; with `labels` instead of its own unless NULL. */
tl_status tl_wanted_find(tl_session *session, size_t row, const tl_labels *labels,
                         tl_arena *arena, tl_wanted *out, tl_error *err);

/* From logits [n_ids]: is the best label the answer (ties: the first label)? And the
 * logit difference; 0 without a counterfactual. */
bool tl_wanted_is_right(const tl_wanted *wanted, const double *logits);
double tl_wanted_logit_diff(const tl_wanted *wanted, const double *logits);

#endif
