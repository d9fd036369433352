/* SPDX-License-Identifier: MIT
 *
 * predictions.h - what the model answers to rows of any length, with or without a
 * counterfactual: prompts in the order of the rows, as many in a pass as memory and full speed
 * want.
 */
#ifndef TWINLENS_STUDY_PREDICTIONS_H
#define TWINLENS_STUDY_PREDICTIONS_H

#include "study/session.h"

typedef struct tl_prediction {
    size_t row; /* in the dataset */
    tl_encoding encoding;
    int32_t answer, counterfactual, prediction; /* tokens */
    bool has_counterfactual;
    double logit_diff; /* of the answer and the counterfactual's, if there is one */
} tl_prediction;

/* Takes one; it is gone when this returns. */
typedef tl_status tl_take_prediction(void *user, const tl_prediction *prediction,
                                     tl_error *err);

/* The best of a row's labels, or of all tokens, as the settings say. TL_ERR_DATA where a number
 * is not finite, which is told of the prompt. */
tl_status tl_predict_rows(tl_session *session, const size_t *rows, size_t n_rows,
                          tl_take_prediction *take, void *user, tl_error *err);

#endif
