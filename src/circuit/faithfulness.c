/* SPDX-License-Identifier: MIT
 *
 * faithfulness.c - a circuit alone, everything else held at its counterfactual
 * value (docs/math.md eq. 5 and 7; include/twinlens/circuit.h).
 *
 * For one pair: a counterfactual pass leaves z and mlp_post of every layer, and the
 * keys and values of the positions that both prompts share, at which ablation
 * changes nothing. Then the clean prompt is run once for every circuit and once
 * whole, all as one ragged batch; a tap writes the counterfactual values over what
 * is outside the circuit. The all-ablated model needs no run: every head and neuron
 * being the counterfactual's, so is the last residual stream, but for the
 * difference of the two embeddings at the last position, which is the same token.
 */
#include <string.h>

#include "circuit/pair.h"

#include "base/sized.h"

/* One pair under way. */
typedef struct work {
    const tl_pair *pair;
    const tl_circuit *circuits; /* of the lanes of the pass; {0}: the whole model */
    size_t n_prefix, n_rows;
    tl_prefix prefix;
    float *z, *mlp_post; /* counterfactual, [n_layers, n_rows, width] */
} work;

static float *place(const work *w, const tl_tap_event *e, size_t first)
{
    float *base = e->site == TL_SITE_Z ? w->z : w->mlp_post;
    return base + (e->layer * w->n_rows + (first - w->n_prefix)) * e->width;
}

static tl_status record(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    const work *w = user;
    const size_t first = e->first_pos > w->n_prefix ? e->first_pos : w->n_prefix;
    memcpy(place(w, e, first), e->values + (first - e->first_pos) * e->width,
           (e->first_pos + e->n_pos - first) * e->width * sizeof(float));
    return TL_OK;
}

/* values[i] = other[i] where the component of i is outside the circuit. */
static void ablate(const uint32_t *rank, size_t cut, size_t n_components,
                   size_t per_component, const float *other, float *values)
{
    if (per_component == 1) {
        for (size_t i = 0; i < n_components; i++)
            values[i] = rank[i] < cut ? values[i] : other[i];
        return;
    }
    for (size_t i = 0; i < n_components; i++)
        if (rank[i] >= cut)
            memcpy(values + i * per_component, other + i * per_component,
                   per_component * sizeof *values);
}

/* The same for a set. */
static void ablate_set(const uint8_t *in, size_t n_components, size_t per_component,
                       const float *other, float *values)
{
    for (size_t i = 0; i < n_components; i++)
        if (!in[i])
            memcpy(values + i * per_component, other + i * per_component,
                   per_component * sizeof *values);
}

static tl_status edit(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    const work *w = user;
    const tl_circuit *c = &w->circuits[e->prompt];
    const tl_ranking *r = c->ranking;
    const tl_component_set *set = c->set;
    if (r == NULL && set == NULL)
        return TL_OK;
    const float *other = place(w, e, e->first_pos);
    if (set != NULL) {
        const size_t first = e->layer * set->n_pos + e->first_pos;
        if (e->site == TL_SITE_Z)
            ablate_set(set->heads + first * set->n_heads, e->n_pos * set->n_heads,
                       e->width / set->n_heads, other, e->values);
        else
            ablate_set(set->neurons + first * set->d_mlp, e->n_pos * set->d_mlp, 1,
                       other, e->values);
        return TL_OK;
    }
    if ((e->site == TL_SITE_Z ? c->n_heads : c->n_neurons) == 0) {
        memcpy(e->values, other, e->n_pos * e->width * sizeof *other);
        return TL_OK;
    }
    const size_t at = e->layer * r->n_pos + e->first_pos;
    if (e->site == TL_SITE_Z)
        ablate(r->heads + at * r->n_heads, c->n_heads, e->n_pos * r->n_heads,
               e->width / r->n_heads, other, e->values);
    else
        ablate(r->neurons + at * r->d_mlp, c->n_neurons, e->n_pos * r->d_mlp, 1, other,
               e->values);
    return TL_OK;
}

static const uint32_t node_sites =
    TL_SITE_BIT(TL_SITE_Z) | TL_SITE_BIT(TL_SITE_MLP_POST);

/* Runs the clean prompt under n circuits; logit differences to `out`. */
static tl_status run_circuits(tl_pass *pass, work *w, const tl_circuit *circuits,
                              size_t n, tl_pass_prompt *prompts, size_t budget,
                              double *out, tl_error *err)
{
    w->circuits = circuits;
    const tl_tap tap = {
        .on_site = edit, .user = w, .sites = node_sites, .writes = true};
    const tl_pass_options options = {
        .taps = &tap, .n_taps = 1, .last_only = true, .memory_budget = budget};
    for (size_t i = 0; i < n; i++)
        prompts[i] = (tl_pass_prompt){.input = w->pair->clean,
                                      .prefix = w->n_prefix > 0 ? &w->prefix : NULL};
    tl_status status = tl_pass_forward(pass, prompts, n, &options, err);
    for (size_t i = 0; i < n && status == TL_OK; i++)
        status = tl_pass_logit_diff(pass, i, w->pair->answer,
                                    w->pair->counterfactual_answer, &out[i], err);
    return status;
}

/* The condition of the identity at the top of this file. */
static bool same_last_input(const tl_pair *pair, size_t d_model)
{
    const size_t at = (pair->clean.n_pos - 1) * d_model;
    return memcmp(pair->clean.embeds + at, pair->counterfactual.embeds + at,
                  d_model * sizeof(float)) == 0;
}

static tl_status evaluate_pair(tl_model *model, tl_pass *pass, const tl_pair *pair,
                               const tl_circuit *circuits, size_t n_circuits,
                               const tl_evaluate_options *options, tl_arena *arena,
                               tl_evaluation *result, tl_error *err)
{
    const tl_dims *d = tl_model_dims(model);
    const size_t n_pos = pair->clean.n_pos;
    work w = {.pair = pair};
    tl_status status = tl_pair_check(pair, n_pos, err);
    if (status != TL_OK)
        return status;
    w.n_prefix = tl_pair_shared_prefix(pair, d->d_model);
    w.n_rows = n_pos - w.n_prefix;
    const size_t places = d->n_layers * w.n_rows;
    w.z = tl_arena_alloc_zero(arena, places * d->n_heads * d->d_head, sizeof *w.z);
    w.mlp_post = tl_arena_alloc_zero(arena, places * d->d_mlp, sizeof *w.mlp_post);
    tl_circuit *lanes = tl_arena_alloc(arena, n_circuits + 2, sizeof *lanes);
    double *ld = tl_arena_alloc(arena, n_circuits + 2, sizeof *ld);
    tl_pass_prompt *prompts = tl_arena_alloc(arena, n_circuits + 2, sizeof *prompts);
    if (w.z == NULL || w.mlp_post == NULL || lanes == NULL || ld == NULL ||
        prompts == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY,
                       "no memory for the counterfactual activations");
    if ((status = tl_prefix_take(arena, d, w.n_prefix, &w.prefix, err)) != TL_OK)
        return status;

    const tl_tap tap = {.on_site = record, .user = &w, .sites = node_sites};
    const tl_pass_options recording = {.taps = &tap,
                                       .n_taps = 1,
                                       .last_only = true,
                                       .memory_budget = options->memory_budget};
    prompts[0] = (tl_pass_prompt){.input = pair->counterfactual,
                                  .collect = w.n_prefix > 0 ? &w.prefix : NULL};
    double none = 0.0;
    if ((status = tl_pass_forward(pass, prompts, 1, &recording, err)) != TL_OK ||
        (status = tl_pass_logit_diff(pass, 0, pair->answer, pair->counterfactual_answer,
                                     &none, err)) != TL_OK)
        return status;

    /* Lane 0 is the whole model, then the circuits, then, if wanted, none of it. */
    static const tl_ranking nothing;
    const bool run_none = options->run_none || !same_last_input(pair, d->d_model);
    size_t n = 0;
    lanes[n++] = (tl_circuit){0};
    for (size_t i = 0; i < n_circuits; i++)
        lanes[n++] = circuits[i];
    if (run_none)
        lanes[n++] = (tl_circuit){.ranking = &nothing};
    size_t per_pass = 1;
    const tl_pass_options plain = {.last_only = true,
                                   .memory_budget = options->memory_budget};
    status = tl_lanes_per_pass(model, &plain, w.n_rows, &per_pass, err);
    for (size_t i = 0; i < n && status == TL_OK; i += per_pass)
        status = run_circuits(pass, &w, lanes + i, n - i < per_pass ? n - i : per_pass,
                              prompts, options->memory_budget, ld + i, err);
    if (status != TL_OK)
        return status;
    result->clean = ld[0];
    result->none = run_none ? ld[n - 1] : none;
    memcpy(result->circuit, ld + 1, n_circuits * sizeof *ld);
    return TL_OK;
}

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

tl_status tl_evaluate(tl_model *model, const tl_pair *pairs, size_t n_pairs,
                      const tl_circuit *circuits, size_t n_circuits,
                      const tl_evaluate_options *options, tl_evaluation *results,
                      tl_error *err)
{
    tl_evaluate_options o;
    tl_status status = tl_sized_copy(options, &o, sizeof o, "tl_evaluate_options", err);
    if (status == TL_OK)
        status = check_circuits(model, pairs, n_pairs, circuits, n_circuits, err);
    if (status != TL_OK)
        return status;
    tl_pass *pass = NULL;
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an evaluation");
    status = tl_pass_create(model, &pass, err);
    for (size_t p = 0; p < n_pairs && status == TL_OK; p++) {
        const tl_arena_mark mark = tl_arena_get_mark(arena);
        status = evaluate_pair(model, pass, &pairs[p], circuits, n_circuits, &o, arena,
                               &results[p], err);
        tl_arena_rewind(arena, mark);
    }
    tl_pass_destroy(pass);
    tl_arena_destroy(arena);
    return status;
}
