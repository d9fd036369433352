/* SPDX-License-Identifier: MIT
 *
 * faithfulness.c - a circuit alone, everything else held at its counterfactual
 * value (docs/math.md eq. 5 and 7; include/twinlens/circuit.h).
 *
 * For one pair: a counterfactual pass leaves z and mlp_post of every layer, and the
 * keys and values of the positions that both prompts share, at which ablation
 * changes nothing. Then the clean prompt is run once for every circuit and once
 * whole, all as one ragged batch; edits write the counterfactual values over what
 * is outside the circuit. The all-ablated model needs no run: every head and neuron
 * being the counterfactual's, so is the last residual stream, but for the
 * difference of the two embeddings at the last position, which is the same token.
 *
 * Ablated to the mean over other prompts, a pair has no counterfactual run. Its clean run
 * leaves its own activations, which are taken out of the sums over all prompts; then the
 * all-ablated model is run, and leaves what attention and MLP add. No position is the same
 * in all prompts, as far as is known here: there is no prefix. Ablated to zero it is the same,
 * without the sums.
 *
 * A circuit that leaves out most of the model is not run whole and then ablated: its own
 * heads and neurons alone are computed (sparse_evaluation.h), of several pairs together,
 * because what costs there is to fetch the weights of single neurons.
 */
#include <math.h>
#include <string.h>

#include "base/sized.h"
#include "circuit/node_mean.h"
#include "circuit/sparse_evaluation.h"
#include "trace/experiment.h"
#include "twinlens/alloc.h"

/* Where the backend finds which heads and neurons are in a circuit; of the whole model
 * and of none of it, nothing is to be found. */
typedef struct members {
    tl_array heads, neurons;
} members;

struct tl_evaluator {
    tl_experiment on;
    tl_evaluate_options options;
    tl_array buffers;   /* of the pairs under way */
    size_t pass_budget; /* what that leaves to passes; 0: no limit */
    tl_sparse_pass *sparse;
    tl_node_mean mean; /* with TL_ABLATE_MEAN */
    tl_evaluation_work work;
};

/* The runs of the clean prompt of a pair: 0 whole, then under every circuit, and under
 * none. */
typedef struct pair_runs {
    const tl_pair *pair;
    tl_pair_nodes counterfactual; /* or the means, or zeros */
    tl_outputs outputs;
    size_t first_row; /* in the arrays of all pairs under way */
    double none,
        clean; /* of the runs that leave what is known; clean: of no prompt's only */
    double *logit_diffs;
    size_t *dense, n_dense; /* which are run densely */
    uint8_t *is_sparse;
    size_t n_sparse;
} pair_runs;

/* What pairs have in common. */
typedef struct runs {
    size_t n_circuits;
    size_t table_bytes;   /* what tables take beside a chunk of the arena */
    tl_circuit *circuits; /* {0}: the whole model */
    members *members;
    uint8_t *ways; /* tl_circuit_way */
    bool any_sparse;
    /* Of the pairs under way. */
    pair_runs *pairs;
    size_t n_pairs;
    tl_sparse_batch known;
    /* Of the pass under way. */
    tl_pass_prompt *prompts;
    tl_edit *edits; /* up to TL_NODE_SITES for each */
} runs;

/* So many circuits have room in the first chunk of the arena; more take that many bytes
 * each, and a chunk. */
enum { FREE_CIRCUITS = 200, CIRCUIT_BYTES = 176, CHUNK_BYTES = 64 << 10 };

static size_t table_bytes(size_t n_circuits)
{
    return n_circuits > FREE_CIRCUITS
               ? CHUNK_BYTES + (n_circuits - FREE_CIRCUITS) * CIRCUIT_BYTES
               : 0;
}

tl_status tl_evaluator_create(tl_model *model, const tl_evaluate_options *options,
                              tl_evaluator **out, tl_error *err)
{
    tl_evaluate_options o;
    tl_status status = tl_sized_copy(options, &o, sizeof o, "tl_evaluate_options", err);
    if (status != TL_OK)
        return status;
    tl_evaluator *e = tl_alloc_zero(1, sizeof *e);
    status = e != NULL ? tl_experiment_init(&e->on, model, o.memory_budget, err)
                       : tl_fail(err, TL_ERR_NO_MEMORY, "no memory to evaluate");
    if (status == TL_OK)
        status = tl_sparse_pass_create(model, &e->sparse, err);
    if (status != TL_OK) {
        tl_evaluator_destroy(e);
        return status;
    }
    e->options = o;
    *out = e;
    return TL_OK;
}

void tl_evaluator_destroy(tl_evaluator *e)
{
    if (e == NULL)
        return;
    tl_sparse_pass_destroy(e->sparse);
    tl_node_mean_release(&e->mean);
    tl_array_release(&e->buffers);
    tl_experiment_release(&e->on);
    tl_free(e);
}

tl_status tl_evaluator_bytes(const tl_model *model, size_t n_pos, size_t *out,
                             tl_error *err)
{
    const tl_pass_options options = {.last_only = true};
    size_t dense = 0, sparse = 0;
    tl_status status = tl_pass_least_bytes(model, n_pos, &options, &dense, err);
    if (status == TL_OK)
        status = tl_sparse_pass_least_bytes(model, n_pos, &sparse, err);
    if (status == TL_OK)
        *out = TL_EXPERIMENT_BYTES +
               tl_pair_nodes_most_bytes(tl_model_dims(model), n_pos) +
               tl_outputs_count(model, n_pos) * sizeof(float) +
               (dense > sparse ? dense : sparse);
    return status;
}

size_t tl_evaluator_mean_bytes(const tl_model *model, size_t n_pos)
{
    return tl_node_mean_bytes(tl_model_dims(model), n_pos);
}

/* What is held whatever is run. */
static size_t mean_bytes(const tl_evaluator *e)
{
    return e->mean.n_pos > 0 ? tl_evaluator_mean_bytes(e->on.model, e->mean.n_pos) : 0;
}

/* ---- circuits --------------------------------------------------------------------- */

static tl_status check_circuits(const tl_model *model, const tl_pair *pairs,
                                size_t n_pairs, const tl_circuit *circuits,
                                size_t n_circuits, tl_error *err)
{
    const tl_dims *d = tl_model_dims(model);
    for (size_t i = 0; i < n_circuits; i++) {
        const tl_ranking *r = circuits[i].ranking;
        const tl_component_set *set = circuits[i].set;
        if (r == NULL && set == NULL)
            continue;
        const size_t n_layers = set != NULL ? set->n_layers : r->n_layers,
                     n_heads = set != NULL ? set->n_heads : r->n_heads,
                     d_mlp = set != NULL ? set->d_mlp : r->d_mlp,
                     n_pos = set != NULL ? set->n_pos : r->n_pos;
        if (n_layers != d->n_layers || n_heads != d->n_heads || d_mlp != d->d_mlp)
            return tl_fail(
                err, TL_ERR_DATA,
                "a circuit over [%zu layers, %zu heads, %zu neurons] for a model of "
                "[%zu, %zu, %zu]",
                n_layers, n_heads, d_mlp, d->n_layers, d->n_heads, d->d_mlp);
        for (size_t p = 0; p < n_pairs; p++)
            if (pairs[p].clean.n_pos != n_pos)
                return tl_fail(err, TL_ERR_DATA,
                               "a circuit over %zu positions for a prompt of %zu",
                               n_pos, pairs[p].clean.n_pos);
    }
    return TL_OK;
}

static tl_status check_budget(const tl_evaluator *e, const tl_pair *pairs,
                              size_t n_pairs, size_t n_circuits, tl_error *err)
{
    tl_status status = TL_OK;
    size_t least = 0;
    for (size_t p = 0; p < n_pairs && e->on.memory_budget > 0; p++) {
        const size_t n_pos = pairs[p].clean.n_pos;
        if (p > 0 && n_pos == pairs[p - 1].clean.n_pos)
            continue;
        status = tl_evaluator_bytes(e->on.model, n_pos, &least, err);
        if (status == TL_OK)
            status = tl_budget_check(e->on.memory_budget,
                                     least + table_bytes(n_circuits) + mean_bytes(e),
                                     "evaluating a circuit", n_pos, err);
        if (status != TL_OK)
            break;
    }
    return status;
}

/* A sparse pass makes logits of two answers alone. */
static tl_evaluate_how way_of(const tl_evaluator *e)
{
    return e->options.metric == TL_METRIC_LOGIT_DIFF ? e->options.how
                                                     : TL_EVALUATE_DENSE;
}

static tl_status find_members(tl_evaluator *e, const tl_circuit *c, members *out,
                              tl_error *err)
{
    const tl_component_set *set = c->set;
    const tl_ranking *r = c->ranking;
    if (set == NULL && r == NULL)
        return TL_OK;
    const size_t places = e->on.d->n_layers * (set != NULL ? set->n_pos : r->n_pos),
                 n_heads = places * e->on.d->n_heads,
                 n_neurons = places * e->on.d->d_mlp;
    const tl_dtype dtype = set != NULL ? TL_U8 : TL_I32;
    const void *heads = set != NULL ? (const void *)set->heads : r->heads,
               *neurons = set != NULL ? (const void *)set->neurons : r->neurons;
    tl_status status =
        tl_array_borrow(e->on.model, dtype, n_heads, heads, &out->heads, err);
    if (status == TL_OK)
        status =
            tl_array_borrow(e->on.model, dtype, n_neurons, neurons, &out->neurons, err);
    return status;
}

static bool same_members(const tl_circuit *a, const tl_circuit *b)
{
    return a->set == b->set && a->ranking == b->ranking;
}

static void release_members(members *of, const tl_circuit *circuits, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (i == 0 || !same_members(&circuits[i - 1], &circuits[i])) {
            tl_array_release(&of[i].heads);
            tl_array_release(&of[i].neurons);
        }
}

/* ---- pairs under way -------------------------------------------------------------- */

/* Runs of a pair. */
static size_t count_runs(const runs *r)
{
    return r->n_circuits + 2;
}

/* Beside what is known of them, that many bytes each. */
static size_t pair_table_bytes(const runs *r)
{
    return sizeof *r->pairs +
           count_runs(r) * (sizeof *r->pairs->logit_diffs + sizeof *r->pairs->dense +
                            sizeof *r->pairs->is_sparse);
}

/* Ablated to values that are no prompt's: no run of the counterfactual has them. */
static bool is_of_no_prompt(const tl_evaluator *e)
{
    return e->options.ablate != TL_ABLATE_COUNTERFACTUAL;
}

/* Behind what the two prompts of a pair share; of no prompt, all positions. */
static tl_pair_nodes nodes_of(const tl_evaluator *e, const tl_pair *pair)
{
    return is_of_no_prompt(e) ? (tl_pair_nodes){.n_rows = pair->clean.n_pos}
                              : tl_pair_nodes_of(pair, e->on.d);
}

static size_t known_count(const tl_evaluator *e, const runs *r,
                          const tl_pair_nodes *nodes)
{
    return tl_pair_nodes_count(nodes, e->on.d) +
           (r->any_sparse ? tl_outputs_count(e->on.model, nodes->n_rows) : 0);
}

/* Without a budget, what is known of pairs that go together takes no more than this; with
 * one, no more than a part of it. */
enum { KNOWN_BYTES = 1 << 30, KNOWN_PART = 4 };

/* How many of the pairs go together. With circuits that are computed densely nothing is
 * gained by more than one. */
static tl_status choose_pairs(const tl_evaluator *e, const runs *r,
                              const tl_pair *pairs, size_t n_pairs, size_t *out,
                              tl_error *err)
{
    const size_t budget = e->on.memory_budget, n_pos = pairs->clean.n_pos,
                 limit = budget > 0 ? budget / KNOWN_PART : KNOWN_BYTES,
                 most = r->any_sparse && n_pairs > TL_EVALUATE_TOGETHER
                            ? TL_EVALUATE_TOGETHER
                        : r->any_sparse ? n_pairs
                                        : 1;
    size_t least = 0, bytes = mean_bytes(e), n = 0;
    tl_status status = TL_OK;
    if (budget > 0 && most > 1)
        status = tl_evaluator_bytes(e->on.model, n_pos, &least, err);
    for (; n < most && status == TL_OK && pairs[n].clean.n_pos == n_pos; n++) {
        const tl_pair_nodes nodes = nodes_of(e, &pairs[n]);
        bytes += known_count(e, r, &nodes) * sizeof(float) + pair_table_bytes(r);
        if (n > 0 && (bytes > limit || (budget > 0 && least + bytes > budget)))
            break;
    }
    *out = n > 0 ? n : 1;
    return status;
}

/* Gives what is known of the pairs its place: rows of all pairs in one array each. */
static tl_status place_pairs(tl_evaluator *e, runs *r, tl_error *err)
{
    const tl_dims *d = e->on.d;
    size_t n_rows = 0, count = 0;
    for (size_t p = 0; p < r->n_pairs; p++) {
        pair_runs *own = &r->pairs[p];
        own->counterfactual = nodes_of(e, own->pair);
        own->first_row = n_rows;
        n_rows += d->n_layers * own->counterfactual.n_rows;
        count += known_count(e, r, &own->counterfactual);
    }
    const size_t more = r->n_pairs > 1 ? r->n_pairs * pair_table_bytes(r) : 0;
    const tl_status status = tl_experiment_reset(&e->on, &e->buffers, count,
                                                 r->table_bytes + more + mean_bytes(e),
                                                 &e->pass_budget, err);
    if (status != TL_OK)
        return tl_fail_while(err, status, "the counterfactual activations");
    const size_t widths[] = {d->n_heads * d->d_head, d->d_mlp, d->d_model, d->d_model};
    const bool outputs = r->any_sparse && tl_outputs_count(e->on.model, 1) > 0;
    float *at = tl_array_f32(&e->buffers, 0), *arrays[4] = {NULL};
    for (size_t i = 0; i < (outputs ? 4 : 2); i++) {
        arrays[i] = at;
        at += n_rows * widths[i];
    }
    r->known = (tl_sparse_batch){.z = arrays[0],
                                 .mlp_post = arrays[1],
                                 .attn_out = arrays[2],
                                 .mlp_out = arrays[3]};
    for (size_t p = 0; p < r->n_pairs; p++) {
        pair_runs *own = &r->pairs[p];
        tl_pair_nodes *nodes = &own->counterfactual;
        const size_t prefix = tl_prefix_count(d, nodes->n_prefix);
        nodes->z = arrays[0] + own->first_row * widths[0];
        nodes->mlp_post = arrays[1] + own->first_row * widths[1];
        if (outputs)
            own->outputs = (tl_outputs){arrays[2] + own->first_row * widths[2],
                                        arrays[3] + own->first_row * widths[3]};
        nodes->prefix.k = at;
        nodes->prefix.v = at + prefix;
        at += 2 * prefix;
    }
    return TL_OK;
}

/* Leaves the counterfactual values. */
static tl_status run_counterfactual(tl_evaluator *e, pair_runs *own, tl_error *err)
{
    tl_pair_nodes *nodes = &own->counterfactual;
    tl_reading readings[TL_NODE_SITES + TL_OUTPUT_SITES];
    tl_pair_nodes_read(nodes, TL_READ_COPY, false, 0, nodes->z, nodes->mlp_post,
                       readings);
    const size_t n_outputs =
        own->outputs.attn != NULL
            ? tl_outputs_read(nodes, &own->outputs, readings + TL_NODE_SITES)
            : 0;
    const tl_pass_options options = {.readings = readings,
                                     .n_readings = TL_NODE_SITES + n_outputs,
                                     .last_only = true,
                                     .memory_budget = e->pass_budget};
    const tl_pass_prompt prompt =
        tl_pair_whole_prompt(&own->pair->counterfactual, nodes);
    const tl_status status = tl_pass_forward(e->on.pass, &prompt, 1, &options, err);
    return status != TL_OK
               ? status
               : tl_pass_metric(e->on.pass, 0, e->options.metric, own->pair->answer,
                                own->pair->counterfactual_answer, &own->none, err);
}

/* ---- means over other prompts, and zeros ------------------------------------------- */

/* Where the nodes of a pair are in the array of all. */
static void find_nodes(const tl_evaluator *e, const tl_pair_nodes *nodes,
                       size_t first[TL_NODE_SITES])
{
    const float *at = tl_array_f32(&e->buffers, 0);
    first[0] = (size_t)(nodes->z - at);
    first[1] = (size_t)(nodes->mlp_post - at);
}

/* Leaves its own values of a clean prompt, unless they are not wanted. */
static tl_status run_own(tl_evaluator *e, const tl_input *input, tl_pair_nodes *nodes,
                         tl_error *err)
{
    tl_reading readings[TL_NODE_SITES];
    tl_pair_nodes_read(nodes, TL_READ_COPY, false, 0, nodes->z, nodes->mlp_post,
                       readings);
    const tl_pass_options options = {
        .readings = readings,
        .n_readings = e->options.ablate == TL_ABLATE_MEAN ? TL_NODE_SITES : 0,
        .last_only = true,
        .memory_budget = e->pass_budget};
    const tl_pass_prompt prompt = tl_pair_whole_prompt(input, nodes);
    return tl_pass_forward(e->on.pass, &prompt, 1, &options, err);
}

tl_status tl_evaluator_add_to_mean(tl_evaluator *e, const tl_input *prompt,
                                   tl_error *err)
{
    const size_t n_pos = prompt->n_pos;
    size_t least = 0, first[TL_NODE_SITES];
    if (e->options.ablate != TL_ABLATE_MEAN)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "a prompt for a mean, and nothing is ablated to it");
    if (e->mean.n_pos > 0 && e->mean.n_pos != n_pos)
        return tl_fail(err, TL_ERR_DATA,
                       "a prompt of %zu positions among prompts of %zu has no mean "
                       "with them",
                       n_pos, e->mean.n_pos);
    tl_status status = tl_evaluator_bytes(e->on.model, n_pos, &least, err);
    if (status == TL_OK && e->on.memory_budget > 0)
        status = tl_budget_check(e->on.memory_budget,
                                 least + tl_evaluator_mean_bytes(e->on.model, n_pos),
                                 "evaluating a circuit", n_pos, err);
    if (status == TL_OK && e->mean.n_pos == 0)
        status = tl_node_mean_init(&e->mean, e->on.d, n_pos, err);
    tl_pair_nodes nodes = {.n_rows = n_pos};
    if (status == TL_OK)
        status = tl_experiment_reset(&e->on, &e->buffers,
                                     tl_pair_nodes_count(&nodes, e->on.d),
                                     mean_bytes(e), &e->pass_budget, err);
    if (status != TL_OK)
        return status;
    tl_pair_nodes_place(&nodes, e->on.d, &e->buffers, 0);
    find_nodes(e, &nodes, first);
    status = run_own(e, prompt, &nodes, err);
    e->work.counterfactual += 1.0;
    return status == TL_OK ? tl_node_mean_add(&e->mean, &e->buffers, first, err)
                           : status;
}

/* Leaves the means, or the zeros that buffers begin with, and what all of them together add
 * to the stream. */
static tl_status run_of_no_prompt(tl_evaluator *e, pair_runs *own, tl_error *err)
{
    tl_pair_nodes *nodes = &own->counterfactual;
    const tl_pair *pair = own->pair;
    size_t first[TL_NODE_SITES];
    const bool means = e->options.ablate == TL_ABLATE_MEAN;
    if (means && (e->mean.n_prompts < 2 || e->mean.n_pos != pair->clean.n_pos))
        return tl_fail(err, TL_ERR_DATA,
                       "%zu prompts to take a mean over, of %zu positions, wanted two "
                       "or more of %zu",
                       e->mean.n_prompts, e->mean.n_pos, pair->clean.n_pos);
    find_nodes(e, nodes, first);
    tl_status status = run_own(e, &pair->clean, nodes, err);
    if (status == TL_OK)
        status = tl_pass_metric(e->on.pass, 0, e->options.metric, pair->answer,
                                pair->counterfactual_answer, &own->clean, err);
    if (status == TL_OK && means)
        status = tl_node_mean_leave_out(&e->mean, &e->buffers, first, err);
    const tl_edit all = {.rule = TL_EDIT_OVERWRITE, .from = nodes->z};
    tl_edit edits[TL_NODE_SITES] = {all, all};
    edits[0].at = (tl_site_range){.site = TL_SITE_Z};
    edits[1].at = (tl_site_range){.site = TL_SITE_MLP_POST};
    edits[1].from = nodes->mlp_post;
    tl_reading readings[TL_OUTPUT_SITES];
    const size_t n_outputs =
        own->outputs.attn != NULL ? tl_outputs_read(nodes, &own->outputs, readings) : 0;
    const tl_pass_options options = {.readings = readings,
                                     .n_readings = n_outputs,
                                     .edits = edits,
                                     .n_edits = TL_NODE_SITES,
                                     .last_only = true,
                                     .memory_budget = e->pass_budget};
    const tl_pass_prompt prompt = tl_pair_rest_prompt(&pair->clean, nodes);
    if (status == TL_OK)
        status = tl_pass_forward(e->on.pass, &prompt, 1, &options, err);
    return status == TL_OK
               ? tl_pass_metric(e->on.pass, 0, e->options.metric, pair->answer,
                                pair->counterfactual_answer, &own->none, err)
               : status;
}

/* The condition of the identity at the top of this file. */
static bool same_last_input(const tl_pair *pair, size_t d_model)
{
    return tl_input_same_at(&pair->clean, &pair->counterfactual, pair->clean.n_pos - 1,
                            d_model);
}

/* Which of the runs 0 ... n_circuits + 1 are to be made of a pair, and how. */
static void choose_runs(const tl_evaluator *e, const runs *r, pair_runs *own)
{
    const size_t last = count_runs(r) - 1;
    const bool known = is_of_no_prompt(e),
               run_none = !known && (e->options.run_none ||
                                     !same_last_input(own->pair, e->on.d->d_model));
    own->n_dense = own->n_sparse = 0;
    for (size_t i = 0; i <= last; i++) {
        const bool nothing = r->ways[i] == TL_CIRCUIT_NOTHING;
        own->is_sparse[i] = 0;
        if (i == 0 && e->options.no_clean)
            own->logit_diffs[i] = NAN;
        else if (i == 0 && known)
            own->logit_diffs[i] = own->clean;
        else if (nothing && !run_none)
            own->logit_diffs[i] = own->none;
        else if (r->ways[i] == TL_CIRCUIT_DENSE ||
                 (i == last && (e->options.run_none || !r->any_sparse)))
            own->dense[own->n_dense++] = i;
        else {
            own->is_sparse[i] = 1;
            own->n_sparse++;
        }
    }
}

/* ---- dense runs of a pair ----------------------------------------------------------- */

/* What is outside the circuit of run number i gets its counterfactual values. */
static tl_edit ablation(const runs *r, const pair_runs *own, size_t i, size_t prompt,
                        tl_site site)
{
    const bool heads = site == TL_SITE_Z;
    const tl_pair_nodes *nodes = &own->counterfactual;
    const tl_circuit *circuit = &r->circuits[i];
    const tl_array *in = heads ? &r->members[i].heads : &r->members[i].neurons;
    return (tl_edit){.rule = circuit->set != NULL ? TL_EDIT_OUTSIDE_SET
                                                  : TL_EDIT_OUTSIDE_CUT,
                     .at = {.site = site,
                            .prompt = prompt,
                            .first_pos = nodes->n_prefix,
                            .n_pos = nodes->n_rows},
                     .from = heads ? nodes->z : nodes->mlp_post,
                     .rank = circuit->set != NULL ? NULL : in->data,
                     .in = circuit->set != NULL ? in->data : NULL,
                     .cut = heads ? circuit->n_heads : circuit->n_neurons};
}

/* Some of them, in one pass. */
static tl_status run_some(tl_evaluator *e, runs *r, pair_runs *own, const size_t *which,
                          size_t n, tl_error *err)
{
    const tl_pair *pair = own->pair;
    size_t n_edits = 0;
    for (size_t i = 0; i < n; i++) {
        const tl_circuit *circuit = &r->circuits[which[i]];
        r->prompts[i] = tl_pair_rest_prompt(&pair->clean, &own->counterfactual);
        if (circuit->ranking == NULL && circuit->set == NULL)
            continue;
        r->edits[n_edits++] = ablation(r, own, which[i], i, TL_SITE_Z);
        r->edits[n_edits++] = ablation(r, own, which[i], i, TL_SITE_MLP_POST);
    }
    const tl_pass_options options = {.edits = r->edits,
                                     .n_edits = n_edits,
                                     .last_only = true,
                                     .memory_budget = e->pass_budget};
    tl_status status = tl_pass_forward(e->on.pass, r->prompts, n, &options, err);
    for (size_t i = 0; i < n && status == TL_OK; i++)
        status = tl_pass_metric(e->on.pass, i, e->options.metric, pair->answer,
                                pair->counterfactual_answer,
                                &own->logit_diffs[which[i]], err);
    return status;
}

/* As many in a pass as is good. */
static tl_status run_dense(tl_evaluator *e, runs *r, pair_runs *own, tl_error *err)
{
    const tl_pass_options plain = {.last_only = true};
    const tl_batch_prompt one = {.n_pos = own->pair->clean.n_pos,
                                 .n_prefix = own->counterfactual.n_prefix,
                                 .table_bytes = sizeof *r->prompts +
                                                TL_NODE_SITES * sizeof *r->edits};
    const tl_arena_mark mark = tl_arena_get_mark(e->on.arena);
    size_t per_pass = 1;
    if (own->n_dense == 0)
        return TL_OK;
    tl_status status =
        tl_experiment_batch(e->on.model, &plain, &one, e->pass_budget, &per_pass, err);
    if (status != TL_OK)
        return status;
    per_pass = per_pass < own->n_dense ? per_pass : own->n_dense;
    r->prompts = tl_arena_alloc(e->on.arena, per_pass, sizeof *r->prompts);
    r->edits = tl_arena_alloc(e->on.arena, TL_NODE_SITES * per_pass, sizeof *r->edits);
    if (r->prompts == NULL || r->edits == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu runs", per_pass);
    for (size_t i = 0; i < own->n_dense && status == TL_OK; i += per_pass)
        status =
            run_some(e, r, own, own->dense + i,
                     own->n_dense - i < per_pass ? own->n_dense - i : per_pass, err);
    tl_arena_rewind(e->on.arena, mark);
    return status;
}

/* ---- sparse runs of all pairs ------------------------------------------------------- */

/* The end of the circuits from `first` on that go together: of one ranking, and not more
 * than there is room for with the most pairs, so that what they share does not depend on
 * how many pairs there are. */
static size_t end_of_some(const runs *r, size_t first)
{
    size_t end = first + 1;
    while (end < count_runs(r) && end - first < TL_SPARSE_TOGETHER &&
           r->circuits[end].ranking == r->circuits[first].ranking)
        end++;
    return end;
}

/* The circuits [first, end). */
static tl_status run_lanes(tl_evaluator *e, runs *r, size_t first, size_t end,
                           tl_error *err)
{
    const tl_sparse_options options = {.no_dense_rows =
                                           e->options.how == TL_EVALUATE_SPARSE,
                                       .memory_budget = e->pass_budget};
    const size_t most = (end - first) * r->n_pairs;
    tl_sparse_lane *lanes = tl_arena_alloc(e->on.arena, most, sizeof *lanes);
    double *found = tl_arena_alloc(e->on.arena, most, sizeof *found);
    size_t n = 0;
    if (lanes == NULL || found == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu runs", most);
    for (size_t p = 0; p < r->n_pairs; p++)
        for (size_t i = first; i < end; i++)
            if (r->pairs[p].is_sparse[i])
                lanes[n++] = tl_circuit_lane(&r->circuits[i], p, &r->members[i].heads,
                                             &r->members[i].neurons);
    const tl_status status =
        n > 0 ? tl_sparse_pass_run(e->sparse, &r->known, lanes, n, &options, found, err)
              : TL_OK;
    n = 0;
    for (size_t p = 0; p < r->n_pairs && status == TL_OK; p++)
        for (size_t i = first; i < end; i++)
            if (r->pairs[p].is_sparse[i])
                r->pairs[p].logit_diffs[i] = found[n++];
    return status;
}

/* Within a budget the passes take turns. */
static tl_status run_sparse(tl_evaluator *e, runs *r, tl_error *err)
{
    const bool limited = e->pass_budget > 0;
    tl_sparse_prompt prompts[TL_EVALUATE_TOGETHER];
    tl_status status = TL_OK;
    for (size_t p = 0; p < r->n_pairs; p++)
        prompts[p] = tl_sparse_prompt_of_pair(
            r->pairs[p].pair, &r->pairs[p].counterfactual, r->pairs[p].first_row);
    r->known.prompts = prompts;
    r->known.n_prompts = r->n_pairs;
    if (limited)
        tl_pass_shrink(e->on.pass, 0);
    for (size_t i = 0, end; i < count_runs(r) && status == TL_OK; i = end) {
        const tl_arena_mark mark = tl_arena_get_mark(e->on.arena);
        end = end_of_some(r, i);
        status = run_lanes(e, r, i, end, err);
        tl_arena_rewind(e->on.arena, mark);
    }
    if (limited)
        tl_sparse_pass_shrink(e->sparse);
    return status;
}

/* ---- all runs ------------------------------------------------------------------------ */

/* In forward passes over the clean prompt. */
static void count_work(tl_evaluator *e, const runs *r, tl_sparse_work before)
{
    const tl_sparse_work now = tl_sparse_pass_work(e->sparse);
    tl_evaluation_work *w = &e->work;
    const size_t n_pos = r->pairs->pair->clean.n_pos, last = count_runs(r) - 1;
    const double whole = tl_forward_multiply_adds(e->on.model, n_pos, 0);
    for (size_t p = 0; p < r->n_pairs; p++) {
        const pair_runs *own = &r->pairs[p];
        const double rest =
            tl_forward_multiply_adds(e->on.model, n_pos, own->counterfactual.n_prefix) /
            whole;
        const bool known = is_of_no_prompt(e);
        size_t n_dense = own->n_dense - (!known && !e->options.no_clean),
               n_sparse = own->n_sparse;
        if (n_dense > 0 && own->dense[own->n_dense - 1] == last)
            n_dense--;
        n_sparse -= own->is_sparse[last];
        w->n_pairs++;
        w->counterfactual += 1.0;
        w->clean += known + rest * (double)(own->n_dense - n_dense);
        w->dense += rest * (double)n_dense;
        w->n_dense += n_dense;
        w->n_sparse += n_sparse;
        w->n_known += r->n_circuits - n_dense - n_sparse;
    }
    w->sparse += (now.multiply_adds - before.multiply_adds) / whole;
    w->gathered += (now.gathered - before.gathered) / whole;
    w->n_full_rows += now.dense_rows - before.dense_rows;
}

tl_evaluation_work tl_evaluator_work(const tl_evaluator *e)
{
    return e->work;
}

static tl_status make_tables(tl_evaluator *e, runs *r, const tl_pair *pairs,
                             tl_error *err)
{
    const size_t n = count_runs(r);
    r->pairs = tl_arena_alloc_zero(e->on.arena, r->n_pairs, sizeof *r->pairs);
    bool failed = r->pairs == NULL;
    for (size_t p = 0; p < r->n_pairs && !failed; p++) {
        pair_runs *own = &r->pairs[p];
        own->pair = &pairs[p];
        own->logit_diffs = tl_arena_alloc(e->on.arena, n, sizeof *own->logit_diffs);
        own->dense = tl_arena_alloc(e->on.arena, n, sizeof *own->dense);
        own->is_sparse = tl_arena_alloc(e->on.arena, n, sizeof *own->is_sparse);
        failed =
            own->logit_diffs == NULL || own->dense == NULL || own->is_sparse == NULL;
    }
    return failed ? tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu circuits", n)
                  : TL_OK;
}

/* Pairs that go together. */
static tl_status evaluate_pairs(tl_evaluator *e, runs *r, const tl_pair *pairs,
                                tl_evaluation *results, tl_error *err)
{
    const tl_sparse_work before = tl_sparse_pass_work(e->sparse);
    bool any = false;
    tl_status status = make_tables(e, r, pairs, err);
    for (size_t p = 0; p < r->n_pairs && status == TL_OK; p++)
        status = tl_pair_check(&pairs[p], pairs[p].clean.n_pos, err);
    if (status == TL_OK)
        status = place_pairs(e, r, err);
    for (size_t p = 0; p < r->n_pairs && status == TL_OK; p++) {
        status = is_of_no_prompt(e) ? run_of_no_prompt(e, &r->pairs[p], err)
                                    : run_counterfactual(e, &r->pairs[p], err);
        if (status != TL_OK)
            break;
        choose_runs(e, r, &r->pairs[p]);
        any |= r->pairs[p].n_sparse > 0;
        status = run_dense(e, r, &r->pairs[p], err);
    }
    if (status == TL_OK && any)
        status = run_sparse(e, r, err);
    if (status != TL_OK)
        return status;
    count_work(e, r, before);
    for (size_t p = 0; p < r->n_pairs; p++) {
        const double *found = r->pairs[p].logit_diffs;
        results[p].clean = found[0];
        results[p].none = found[count_runs(r) - 1];
        for (size_t i = 0; i < r->n_circuits; i++)
            results[p].circuit[i] = found[1 + i];
    }
    return TL_OK;
}

/* As many together as is good. */
static tl_status evaluate_all(tl_evaluator *e, runs *r, const tl_pair *pairs,
                              size_t n_pairs, tl_evaluation *results, tl_error *err)
{
    tl_status status = TL_OK;
    for (size_t p = 0; p < n_pairs && status == TL_OK; p += r->n_pairs) {
        const tl_arena_mark mark = tl_arena_get_mark(e->on.arena);
        status = choose_pairs(e, r, pairs + p, n_pairs - p, &r->n_pairs, err);
        if (status == TL_OK)
            status = evaluate_pairs(e, r, pairs + p, results + p, err);
        tl_arena_rewind(e->on.arena, mark);
    }
    return status;
}

tl_status tl_evaluator_run(tl_evaluator *e, const tl_pair *pairs, size_t n_pairs,
                           const tl_circuit *circuits, size_t n_circuits,
                           tl_evaluation *results, tl_error *err)
{
    static const tl_ranking nothing;
    const size_t most = n_circuits + 2;
    tl_status status =
        check_circuits(e->on.model, pairs, n_pairs, circuits, n_circuits, err);
    if (status == TL_OK)
        status = check_budget(e, pairs, n_pairs, n_circuits, err);
    if (status != TL_OK)
        return status;
    const tl_arena_mark mark = tl_arena_get_mark(e->on.arena);
    runs r = {
        .n_circuits = n_circuits,
        .table_bytes = table_bytes(n_circuits),
        .circuits = tl_arena_alloc_zero(e->on.arena, most, sizeof *r.circuits),
        .members = tl_arena_alloc_zero(e->on.arena, most, sizeof *r.members),
        .ways = tl_arena_alloc_zero(e->on.arena, most, sizeof *r.ways),
    };
    if (r.circuits == NULL || r.members == NULL || r.ways == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu circuits", most);
    for (size_t i = 0; i < n_circuits && status == TL_OK; i++) {
        r.circuits[1 + i] = circuits[i];
        r.ways[1 + i] =
            (uint8_t)tl_circuit_choose(e->on.model, &circuits[i], way_of(e));
        r.any_sparse |= r.ways[1 + i] != TL_CIRCUIT_DENSE;
        if (same_members(&r.circuits[i], &circuits[i]))
            r.members[1 + i] = r.members[i];
        else
            status = find_members(e, &circuits[i], &r.members[1 + i], err);
    }
    if (status == TL_OK) {
        r.circuits[most - 1] = (tl_circuit){.ranking = &nothing};
        r.ways[most - 1] = TL_CIRCUIT_NOTHING;
    }
    if (status == TL_OK)
        status = evaluate_all(e, &r, pairs, n_pairs, results, err);
    if (r.circuits != NULL && r.members != NULL)
        release_members(r.members, r.circuits, 1 + n_circuits);
    tl_arena_rewind(e->on.arena, mark);
    return status;
}

tl_status tl_evaluate(tl_model *model, const tl_pair *pairs, size_t n_pairs,
                      const tl_circuit *circuits, size_t n_circuits,
                      const tl_evaluate_options *options, tl_evaluation *results,
                      tl_error *err)
{
    tl_evaluator *evaluator = NULL;
    tl_status status = tl_evaluator_create(model, options, &evaluator, err);
    const bool means = status == TL_OK && evaluator->options.ablate == TL_ABLATE_MEAN;
    for (size_t p = 0; means && p < n_pairs && status == TL_OK; p++)
        status = tl_evaluator_add_to_mean(evaluator, &pairs[p].clean, err);
    if (status == TL_OK)
        status = tl_evaluator_run(evaluator, pairs, n_pairs, circuits, n_circuits,
                                  results, err);
    tl_evaluator_destroy(evaluator);
    return status;
}
