/* SPDX-License-Identifier: MIT
 * sparse_evaluation.c - see sparse_evaluation.h. */
#include "circuit/sparse_evaluation.h"

#include "twinlens/overlap.h"

/* A circuit that would cost more than this part of a forward pass is computed densely:
 * what a sparse pass does beside its products is not in the estimate. */
static const double worth = 0.8;

/* What a choice is made by. */
typedef struct circuit_size {
    double heads; /* as a part of all there are */
    double mlp;   /* mean cost of a row's MLP */
    bool empty;
} circuit_size;

static size_t count_members(const uint8_t *in, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += in[i] != 0;
    return count;
}

/* Of a set row by row: a part of it may fill some positions, and leave others empty. */
static circuit_size size_of_set(const tl_component_set *set)
{
    const size_t places = set->n_layers * set->n_pos;
    size_t n_heads = tl_set_count(set, TL_KIND_HEADS), n_neurons = 0;
    double sum = 0.0;
    for (size_t i = 0; i < places; i++) {
        const size_t n = count_members(set->neurons + i * set->d_mlp, set->d_mlp);
        sum += tl_sparse_set_mlp_cost((double)n / (double)set->d_mlp);
        n_neurons += n;
    }
    return (circuit_size){.heads =
                              (double)n_heads / ((double)places * (double)set->n_heads),
                          .mlp = sum / (double)places,
                          .empty = n_heads == 0 && n_neurons == 0};
}

/* Of a ranking as if all rows were alike. */
static circuit_size size_of_cut(const tl_circuit *c)
{
    const tl_ranking *r = c->ranking;
    const double places = (double)r->n_layers * (double)r->n_pos;
    if (c->n_heads == 0 && c->n_neurons == 0)
        return (circuit_size){.empty = true};
    return (circuit_size){
        .heads = (double)c->n_heads / (places * (double)r->n_heads),
        .mlp = tl_sparse_mlp_cost((double)c->n_neurons / (places * (double)r->d_mlp))};
}

bool tl_circuit_pays(const tl_model *model, double heads, double mlp)
{
    return tl_sparse_cost(model, heads, mlp) <= worth;
}

tl_circuit_way tl_circuit_choose(const tl_model *model, const tl_circuit *circuit,
                                 tl_evaluate_how how)
{
    if (how == TL_EVALUATE_DENSE || (circuit->ranking == NULL && circuit->set == NULL))
        return TL_CIRCUIT_DENSE;
    if (how == TL_EVALUATE_SPARSE)
        return TL_CIRCUIT_SPARSE;
    const circuit_size size =
        circuit->set != NULL ? size_of_set(circuit->set) : size_of_cut(circuit);
    if (size.empty)
        return TL_CIRCUIT_NOTHING;
    return tl_circuit_pays(model, size.heads, size.mlp) ? TL_CIRCUIT_SPARSE
                                                        : TL_CIRCUIT_DENSE;
}

tl_sparse_lane tl_circuit_lane(const tl_circuit *c, size_t prompt,
                               const tl_array *heads, const tl_array *neurons)
{
    const tl_component_set *set = c->set;
    const tl_ranking *r = c->ranking;
    return (tl_sparse_lane){
        .prompt = prompt,
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

size_t tl_outputs_read(const tl_pair_nodes *nodes, const tl_outputs *outputs,
                       tl_reading readings[TL_OUTPUT_SITES])
{
    const tl_reading one = {
        .rule = TL_READ_COPY,
        .at = {.first_pos = nodes->n_prefix, .n_pos = nodes->n_rows}};
    readings[0] = readings[1] = one;
    readings[0].at.site = TL_SITE_ATTN_OUT;
    readings[0].to = outputs->attn;
    readings[1].at.site = TL_SITE_MLP_OUT;
    readings[1].to = outputs->mlp;
    return TL_OUTPUT_SITES;
}

tl_sparse_prompt tl_sparse_prompt_of_pair(const tl_pair *pair,
                                          const tl_pair_nodes *nodes, size_t first_row)
{
    return (tl_sparse_prompt){
        .input = pair->clean,
        .prefix = nodes->n_prefix > 0 ? &nodes->prefix : NULL,
        .first_row = first_row,
        .a = pair->answer,
        .b = pair->counterfactual_answer,
    };
}
