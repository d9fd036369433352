/* SPDX-License-Identifier: MIT
 *
 * sparse_pass.h - a prompt under many circuits at once, each of which leaves most heads and
 * neurons at known values.
 *
 * The known values come from another prompt's forward pass (the counterfactual's), and with
 * them what attention and MLP add to the stream at every layer and position. Under a circuit
 *
 *     attn_out = known attn_out + W_o (z - known z)           over heads in the circuit
 *     mlp_out  = known mlp_out + W_down (mlp_post - known)    over neurons in the circuit
 *
 * and nothing but these heads and neurons is computed, at positions that the logits of the
 * last one depend on. A lane is one prompt under one circuit; lanes go through the layers
 * together, because what costs is to fetch the weights of single neurons, which then serve
 * all lanes.
 *
 *     tl_sparse_pass *pass = NULL;
 *     status = tl_sparse_pass_create(model, &pass, &err);
 *     status = tl_sparse_pass_run(pass, &batch, lanes, n_lanes, &options, logit_diffs, &err);
 *     tl_sparse_pass_destroy(pass);
 *
 * The numbers of a lane depend on the model, the prompt and the circuit, and on no other
 * lane, budget or number of threads, to the last bit.
 */
#ifndef TWINLENS_MODEL_SPARSE_PASS_H
#define TWINLENS_MODEL_SPARSE_PASS_H

#include "twinlens/pass.h"

/* Which components of a site are in a circuit: those whose rank is below a cut, or those of
 * a set; with neither, none. Arrays of the host over [n_layers, n_pos, components]. */
typedef struct tl_kept {
    const uint32_t *rank;
    size_t cut;
    const uint8_t *in;
    const void *there; /* the same array where the backend finds it */
} tl_kept;

typedef struct tl_sparse_lane {
    size_t prompt; /* in the batch */
    tl_kept heads, neurons;
} tl_sparse_lane;

typedef struct tl_sparse_prompt {
    tl_input input;
    const tl_prefix *prefix; /* NULL: none */
    /* Its first row in the arrays of the batch; n_layers times its positions behind the
     * prefix, layer by layer. */
    size_t first_row;
    int32_t a, b; /* of the logit difference a - b */
} tl_sparse_prompt;

/* What is known, arrays of the backend [rows of all prompts, width]. Of a model with norms
 * behind attention and MLP attn_out and mlp_out are not read, and made anew from the others,
 * because what is needed is what enters the norm. */
typedef struct tl_sparse_batch {
    const tl_sparse_prompt *prompts;
    size_t n_prompts;
    const float *z, *mlp_post, *attn_out, *mlp_out;
} tl_sparse_batch;

typedef struct tl_sparse_options {
    bool no_dense_rows;   /* rows with most of their neurons too, for tests */
    size_t memory_budget; /* bytes; 0: no limit */
} tl_sparse_options;

typedef struct tl_sparse_pass tl_sparse_pass;

tl_status tl_sparse_pass_create(tl_model *model, tl_sparse_pass **out, tl_error *err);
void tl_sparse_pass_destroy(tl_sparse_pass *pass); /* NULL does nothing */

/* Lanes of one prompt stand together. logit_diffs [n_lanes]. As many lanes as the budget
 * allows go at a time; TL_ERR_NO_MEMORY when one does not fit. */
tl_status tl_sparse_pass_run(tl_sparse_pass *pass, const tl_sparse_batch *batch,
                             const tl_sparse_lane *lanes, size_t n_lanes,
                             const tl_sparse_options *options, double *logit_diffs,
                             tl_error *err);

/* Bytes of a run of one lane over n_pos positions: the smallest budget that is admitted. */
tl_status tl_sparse_pass_least_bytes(const tl_model *model, size_t n_pos, size_t *out,
                                     tl_error *err);
/* The most that was used. */
size_t tl_sparse_pass_peak_bytes(const tl_sparse_pass *pass);
/* Gives back what is kept from run to run. */
void tl_sparse_pass_shrink(tl_sparse_pass *pass);

/* Whether attn_out and mlp_out of the batch are read. */
bool tl_sparse_wants_outputs(const tl_model *model);

/* Multiply-adds, and weights that were fetched one neuron or head at a time or turned
 * round, of all runs so far. */
typedef struct tl_sparse_work {
    double multiply_adds, gathered;
    size_t sparse_rows, dense_rows; /* of MLPs: by their neurons, or in full */
} tl_sparse_work;
tl_sparse_work tl_sparse_pass_work(const tl_sparse_pass *pass);

/* Multiply-adds of a forward pass over a prompt of which n_prefix positions are given; of
 * the last layer the last position alone is computed past the keys and values. */
double tl_forward_multiply_adds(const tl_model *model, size_t n_pos, size_t n_prefix);

/* The cost of an MLP of which a row wants this share of the neurons, as a part of the whole:
 * products of single neurons take longer than the same in a matrix. Below 1, or 1 for a row
 * that is computed in full. The neurons of a ranking, and of a set. */
double tl_sparse_mlp_cost(double neurons);
double tl_sparse_set_mlp_cost(double neurons);

/* The share of its neurons above which a row is computed in full. */
double tl_sparse_dense_from(bool set);

/* The cost of a circuit, as a part of a forward pass, with this share of the heads and that
 * mean cost of a row's MLP. At most 1 means that a sparse pass pays. Depends on the shape of
 * the model alone. */
double tl_sparse_cost(const tl_model *model, double heads, double mlp);

#endif
