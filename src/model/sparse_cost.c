/* SPDX-License-Identifier: MIT
 * sparse_cost.c - what a forward pass costs, and a circuit beside it: see sparse_pass.h. */
#include "model/sparse_pass_private.h"

/* Of the products of single neurons against those with whole weights, in time, the fetching
 * of their weights included: of several prompts together, of rankings and of sets. */
static const double ranked_factor = 1.5, set_factor = 1.1;

/* Multiply-adds of one row through one layer. */
typedef struct row_cost {
    double keys, heads, neurons;
} row_cost;

static row_cost cost_of_row(const tl_dims *d)
{
    const double d_model = (double)d->d_model, D = (double)d->d_head;
    return (row_cost){.keys = 2.0 * (double)d->n_kv_heads * D * d_model,
                      .heads = 2.0 * (double)d->n_heads * D * d_model,
                      .neurons = 3.0 * (double)d->d_mlp * d_model};
}

double tl_forward_multiply_adds(const tl_model *model, size_t n_pos, size_t n_prefix)
{
    const tl_spec *spec = &model->spec;
    const tl_dims *d = &spec->dims;
    const row_cost cost = cost_of_row(d);
    double all = 0.0;
    for (size_t l = 0; l < d->n_layers; l++) {
        const tl_attention shape = tl_layer_attention(spec, l);
        const tl_attention_prompt prompt = {.n_key = n_pos};
        const size_t first = l + 1 < d->n_layers ? n_prefix : n_pos - 1;
        double pairs = 0.0;
        for (size_t i = first; i < n_pos; i++)
            for (size_t j = 0; j < n_pos; j++)
                pairs += tl_attention_sees(&shape, &prompt, i, j) ? 1.0 : 0.0;
        all += (double)(n_pos - n_prefix) * cost.keys +
               (double)(n_pos - first) * (cost.heads + cost.neurons) +
               2.0 * pairs * (double)(d->n_heads * d->d_head);
    }
    return all;
}

double tl_sparse_mlp_cost(double neurons)
{
    return neurons > tl_sparse_dense_from(false) ? 1.0 : ranked_factor * neurons;
}

double tl_sparse_set_mlp_cost(double neurons)
{
    return neurons > tl_sparse_dense_from(true) ? 1.0 : set_factor * neurons;
}

double tl_sparse_cost(const tl_model *model, double heads, double mlp)
{
    const row_cost cost = cost_of_row(&model->spec.dims);
    return (cost.keys + heads * cost.heads + mlp * cost.neurons) /
           (cost.keys + cost.heads + cost.neurons);
}
