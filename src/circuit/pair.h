/* SPDX-License-Identifier: MIT
 * pair.h - what the experiments on a pair of prompts share: the activations of its nodes
 * behind the prefix that both prompts have in common. */
#ifndef TWINLENS_CIRCUIT_PAIR_H
#define TWINLENS_CIRCUIT_PAIR_H

#include "twinlens/array.h"
#include "twinlens/circuit.h"
#include "twinlens/pass.h"

/* TL_ERR_DATA unless both prompts have n_pos positions and the answers differ. */
tl_status tl_pair_check(const tl_pair *pair, size_t n_pos, tl_error *err);

/* Whether both bring the same to a position: embedding, and what is added further up. */
bool tl_input_same_at(const tl_input *a, const tl_input *b, size_t pos, size_t d_model);

/* The input at t on the way from the counterfactual, 0, to the clean prompt, 1 (docs/math.md
 * eq. 2), at the positions from `first` on; `images_stay`: image positions are clean on
 * the whole way. `x` is where it is made: tl_model_input_bytes() of memory. */
tl_input tl_pair_between(const tl_pair *pair, double t, bool images_stay, size_t first,
                         size_t d_model, float *x);

/* z and mlp_post of all layers at the positions behind the shared prefix, and the keys
 * and values of the prefix: addresses in an array of the backend. */
typedef struct tl_pair_nodes {
    size_t n_prefix, n_rows; /* n_pos = n_prefix + n_rows */
    float *z, *mlp_post;     /* [n_layers, n_rows, n_heads * d_head | d_mlp] */
    tl_prefix prefix;
} tl_pair_nodes;

/* The counts, without addresses. */
tl_pair_nodes tl_pair_nodes_of(const tl_pair *pair, const tl_dims *dims);

/* The most bytes that the nodes of a pair of n_pos positions take, whatever they share. */
size_t tl_pair_nodes_most_bytes(const tl_dims *dims, size_t n_pos);

/* Elements that nodes take in an array; and their addresses from element `first` on. */
size_t tl_pair_nodes_count(const tl_pair_nodes *nodes, const tl_dims *dims);
void tl_pair_nodes_place(tl_pair_nodes *nodes, const tl_dims *dims,
                         const tl_array *array, size_t first);

/* The prompt of a pass that leaves the prefix, and one that begins behind it. */
tl_pass_prompt tl_pair_whole_prompt(const tl_input *input, tl_pair_nodes *nodes);
tl_pass_prompt tl_pair_rest_prompt(const tl_input *input, const tl_pair_nodes *nodes);

/* Readings of both sites of a prompt of the batch, into [n_layers, n_rows, width]. */
enum { TL_NODE_SITES = 2 };
void tl_pair_nodes_read(const tl_pair_nodes *nodes, tl_read_rule rule, bool gradient,
                        size_t prompt, float *z, float *mlp_post,
                        tl_reading readings[TL_NODE_SITES]);

/* Options with their defaults; of relevance patching one step, the clean prompt.
 * TL_ERR_ARGUMENT naming a method that does not exist. */
tl_status tl_attribution_take(const tl_attribution_options *given,
                              tl_attribution_options *out, tl_error *err);

/* What the passes there and back of such options go by. */
tl_backward_rule tl_attribution_rule(const tl_attribution_options *options);

/* Where step number `step` is on the way from the counterfactual, 0, to the clean prompt,
 * which is exactly 1. */
double tl_attribution_at(const tl_attribution_options *options, size_t step);

/* What a budget leaves to the passes of one pair; 0: no limit. */
tl_status tl_attribution_pass_budget(const tl_model *model, size_t n_pos,
                                     const tl_attribution_options *taken, size_t *out,
                                     tl_error *err);

/* An attribution that runs on a pass of somebody else, which outlives it. */
tl_status tl_attribution_create_on(tl_model *model, tl_pass *pass, size_t n_pos,
                                   const tl_attribution_options *options,
                                   tl_attribution **out, tl_error *err);

#endif
