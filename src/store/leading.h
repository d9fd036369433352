/* SPDX-License-Identifier: MIT
 *
 * leading.h - the components with the largest scores, and whether one is in the circuit of
 * the n largest. Scans of the file are enough: an order of all sixty million neurons of a
 * 7B model would take a gigabyte.
 *
 *     tl_leading_find(heads, 20, places, scores, &n, &err);
 *     tl_leading_cut_at(heads, n_heads, &cut, &err);
 *     if (tl_leading_is_within(&cut, scores[0], places[0])) ...
 *
 * `values` is a tensor of a score file, whose elements are numbered as they lie there: layer,
 * position, head or neuron. Errors: TL_ERR_DATA for a score that is not finite,
 * TL_ERR_UNSUPPORTED for a tensor without floating-point values.
 */
#ifndef TWINLENS_STORE_LEADING_H
#define TWINLENS_STORE_LEADING_H

#include <stdbool.h>
#include <stdint.h>

#include "twinlens/tensor.h"

/* Places and scores of the `most` components whose scores are largest in size, larger ones
 * first and of equal ones the first: without signs, the order of tl_ranking_from_scores().
 * *n receives how many there are; those whose score is 0 are not among them. */
tl_status tl_leading_find(const tl_tensor *values, size_t most, size_t *places,
                          double *scores, size_t *n, tl_error *err);

/* Where the first n components of that order end. */
typedef struct tl_leading_cut {
    bool is_empty;
    double least; /* the score of the n-th */
    size_t last;  /* its place: of equal scores those up to it are within */
} tl_leading_cut;

/* Of scores without signs; n at most as many as there are. */
tl_status tl_leading_cut_at(const tl_tensor *values, size_t n, tl_leading_cut *out,
                            tl_error *err);

static inline bool tl_leading_is_within(const tl_leading_cut *cut, double score,
                                        size_t place)
{
    return !cut->is_empty &&
           (score > cut->least || (score == cut->least && place <= cut->last));
}

#endif
