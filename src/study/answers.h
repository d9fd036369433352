/* SPDX-License-Identifier: MIT
 * answers.h - the few logits that say whether a prompt was answered right. */
#ifndef TWINLENS_STUDY_ANSWERS_H
#define TWINLENS_STUDY_ANSWERS_H

#include "study/session.h"

/* Tokens: the labels, then the answer and the counterfactual's (without one, the
 * answer again). */
typedef struct tl_answers {
    int32_t *ids;
    size_t n_ids, n_labels; /* no labels: right and wrong are not told apart */
    bool has_pair;
} tl_answers;

/* First tokens of labels, each once. */
typedef struct tl_labels {
    const int32_t *ids;
    size_t n;
} tl_labels;

/* The labels of all those rows, in `arena`. */
tl_status tl_labels_unite(tl_session *session, const size_t *rows, size_t n,
                          tl_arena *arena, tl_labels *out, tl_error *err);

/* Of a row, in `arena`; with `labels` instead of its own unless NULL. */
tl_status tl_answers_find(tl_session *session, size_t row, const tl_labels *labels,
                          tl_arena *arena, tl_answers *out, tl_error *err);

/*
 * The place of the best of n logits, of equal ones the first: of some tokens' logits, or
 * of those tokens in the logits of the whole vocabulary (ids NULL: of all n tokens).
 * TL_ERR_DATA naming the token whose logit is not a number.
 */
tl_status tl_answers_best(const double *logits, const int32_t *ids, size_t n,
                          size_t *best, tl_error *err);
tl_status tl_answers_best_of_all(const float *vocabulary, const int32_t *ids, size_t n,
                                 size_t *best, tl_error *err);

/* From logits [n_ids]: is the best label the answer? Without labels it is not. Errors:
 * those of tl_answers_best. */
tl_status tl_answers_is_right(const tl_answers *answers, const double *logits,
                              bool *out, tl_error *err);

/* The logit difference; 0 without a counterfactual. */
double tl_answers_logit_diff(const tl_answers *answers, const double *logits);

#endif
