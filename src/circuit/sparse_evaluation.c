/* SPDX-License-Identifier: MIT
 * sparse_evaluation.c - see sparse_evaluation.h. */
#include "circuit/sparse_evaluation.h"

#include "twinlens/overlap.h"

/* A circuit that would cost more than this part of a forward pass is computed densely:
 * what a sparse pass does beside its products is not in the estimate. */
static const double worth = 0.8;

/* Components of each kind that are in a circuit, as a part of all there are. */
static void shares_of(const tl_circuit *c, double *heads, double *neurons)
{
    const size_t n_layers = c->set != NULL ? c->set->n_layers : c->ranking->n_layers,
                 n_pos = c->set != NULL ? c->set->n_pos : c->ranking->n_pos,
                 n_heads = c->set != NULL ? c->set->n_heads : c->ranking->n_heads,
                 d_mlp = c->set != NULL ? c->set->d_mlp : c->ranking->d_mlp;
    const double places = (double)n_layers * (double)n_pos;
    const size_t some_heads =
                     c->set != NULL ? tl_set_count(c->set, TL_KIND_HEADS) : c->n_heads,
                 some_neurons = c->set != NULL ? tl_set_count(c->set, TL_KIND_NEURONS)
                                               : c->n_neurons;
    *heads = some_heads > 0 ? (double)some_heads / (places * (double)n_heads) : 0.0;
    *neurons = some_neurons > 0 ? (double)some_neurons / (places * (double)d_mlp) : 0.0;
}

tl_circuit_way tl_circuit_choose(const tl_model *model, const tl_circuit *circuit,
                                 tl_evaluate_how how)
{
    double heads, neurons;
    if (how == TL_EVALUATE_DENSE || (circuit->ranking == NULL && circuit->set == NULL))
        return TL_CIRCUIT_DENSE;
    if (how == TL_EVALUATE_SPARSE)
        return TL_CIRCUIT_SPARSE;
    shares_of(circuit, &heads, &neurons);
    if (heads == 0.0 && neurons == 0.0)
        return TL_CIRCUIT_NOTHING;
    return tl_sparse_cost(model, heads, neurons) <= worth ? TL_CIRCUIT_SPARSE
                                                          : TL_CIRCUIT_DENSE;
}

tl_sparse_lane tl_circuit_lane(const tl_circuit *c, const tl_array *heads,
                               const tl_array *neurons)
{
    const tl_component_set *set = c->set;
    const tl_ranking *r = c->ranking;
    return (tl_sparse_lane){
        .heads = {.rank = set == NULL ? r->heads : NULL,
                  .cut = c->n_heads,
                  .in = set != NULL ? set->heads : NULL,
                  .there = heads->data},
        .neurons = {.rank = set == NULL ? r->neurons : NULL,
                    .cut = c->n_neurons,
                    .in = set != NULL ? set->neurons : NULL,
                    .there = neurons->data},
    };
}

size_t tl_outputs_count(const tl_model *model, size_t n_rows)
{
    const tl_dims *d = tl_model_dims(model);
    return tl_sparse_wants_outputs(model)
               ? TL_OUTPUT_SITES * d->n_layers * n_rows * d->d_model
               : 0;
}

size_t tl_outputs_read(const tl_pair_nodes *nodes, const tl_dims *d,
                       const tl_array *array, size_t first, tl_outputs *outputs,
                       tl_reading readings[TL_OUTPUT_SITES])
{
    const tl_reading one = {
        .rule = TL_READ_COPY,
        .at = {.first_pos = nodes->n_prefix, .n_pos = nodes->n_rows}};
    outputs->attn = tl_array_f32(array, first);
    outputs->mlp = outputs->attn + d->n_layers * nodes->n_rows * d->d_model;
    readings[0] = readings[1] = one;
    readings[0].at.site = TL_SITE_ATTN_OUT;
    readings[0].to = outputs->attn;
    readings[1].at.site = TL_SITE_MLP_OUT;
    readings[1].to = outputs->mlp;
    return TL_OUTPUT_SITES;
}

tl_status tl_sparse_evaluate(tl_sparse_pass *pass, const tl_pair *pair,
                             const tl_pair_nodes *nodes, const tl_outputs *outputs,
                             const tl_sparse_lane *lanes, size_t n,
                             const tl_sparse_options *options, double *logit_diffs,
                             tl_error *err)
{
    const tl_sparse_prompt prompt = {
        .input = pair->clean,
        .prefix = nodes->n_prefix > 0 ? &nodes->prefix : NULL,
        .a = pair->answer,
        .b = pair->counterfactual_answer,
    };
    const tl_sparse_batch batch = {
        .prompts = &prompt,
        .n_prompts = 1,
        .z = nodes->z,
        .mlp_post = nodes->mlp_post,
        .attn_out = outputs->attn,
        .mlp_out = outputs->mlp,
    };
    return tl_sparse_pass_run(pass, &batch, lanes, n, options, logit_diffs, err);
}
