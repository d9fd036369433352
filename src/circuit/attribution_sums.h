/* SPDX-License-Identifier: MIT
 *
 * attribution_sums.h - from the sums of an attribution (tl_attribution_state) to scores, also
 * of sums of fewer pairs.
 */
#ifndef TWINLENS_CIRCUIT_ATTRIBUTION_SUMS_H
#define TWINLENS_CIRCUIT_ATTRIBUTION_SUMS_H

#include "twinlens/circuit.h"

/* Sums element by element: those of `plus` less `minus`. */
typedef struct tl_sum_terms {
    const double *plus[3], *minus; /* NULL: not there */
} tl_sum_terms;

typedef struct tl_attribution_sums {
    tl_sum_terms heads, neurons;
    size_t n_pairs; /* that are in them */
} tl_attribution_sums;

/* How many sums there are for each head: of each of its dimensions, or one. */
size_t tl_attribution_sums_per_head(const tl_attribution_options *options,
                                    const tl_dims *dims);

/* Scores as tl_attribution_scores() makes them. TL_ERR_DATA without a pair. */
tl_status tl_attribution_reduce(const tl_attribution_options *options,
                                const tl_dims *dims, size_t n_pos,
                                const tl_attribution_sums *sums, tl_arena *arena,
                                tl_scores *out, tl_error *err);

/* Scores of a model, without values. TL_ERR_DATA when n_pairs is 0. */
tl_status tl_attribution_take_scores(const tl_dims *dims, size_t n_pos, size_t n_pairs,
                                     tl_arena *arena, tl_scores *out, tl_error *err);

#endif
