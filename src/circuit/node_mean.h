/* SPDX-License-Identifier: MIT
 *
 * node_mean.h - the mean activations of heads and neurons over prompts of one length, and the
 * mean over all of them but one (docs/math.md eq. 23).
 *
 *     tl_node_mean_init(&mean, dims, n_pos, &err);
 *     for each prompt: a pass leaves its nodes; tl_node_mean_add(&mean, &array, first, &err);
 *     for a prompt: a pass leaves its nodes; tl_node_mean_leave_out(&mean, &array, first, &err);
 *     tl_node_mean_release(&mean);
 *
 * Sums are of doubles and in memory of the host, in the order in which prompts are added.
 */
#ifndef TWINLENS_CIRCUIT_NODE_MEAN_H
#define TWINLENS_CIRCUIT_NODE_MEAN_H

#include "circuit/pair.h"

typedef struct tl_node_mean {
    size_t n_prompts, n_pos;
    size_t counts[TL_NODE_SITES]; /* of z and of mlp_post: [n_layers, n_pos, width] */
    double *sums[TL_NODE_SITES];
    float *some; /* values on their way between backend and host */
} tl_node_mean;

/* What it holds for prompts of n_pos positions. */
size_t tl_node_mean_bytes(const tl_dims *dims, size_t n_pos);

tl_status tl_node_mean_init(tl_node_mean *mean, const tl_dims *dims, size_t n_pos,
                            tl_error *err);
void tl_node_mean_release(tl_node_mean *mean); /* of {0} does nothing */

/* The nodes of one more prompt, at elements first[site] of an array of f32. */
tl_status tl_node_mean_add(tl_node_mean *mean, const tl_array *array,
                           const size_t first[TL_NODE_SITES], tl_error *err);

/* Puts the mean over all prompts but one in the place of that one's nodes; it was added, and
 * so was another. */
tl_status tl_node_mean_leave_out(tl_node_mean *mean, tl_array *array,
                                 const size_t first[TL_NODE_SITES], tl_error *err);

#endif
