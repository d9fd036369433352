/* SPDX-License-Identifier: MIT
 *
 * validate.c - exact patching and completeness (include/twinlens/validate.h).
 */
#include "twinlens/validate.h"

#include <string.h>

#include "circuit/pair.h"

/* ---- exact effects --------------------------------------------------------------- */

typedef struct patch_work {
    const tl_component *components; /* of the lanes of the pass */
    size_t n_prefix, n_rows, d_head;
    tl_prefix prefix;
    float *z, *mlp_post; /* counterfactual, [n_layers, n_rows, width] */
} patch_work;

static float *site_row(const patch_work *w, const tl_tap_event *e, size_t pos)
{
    float *base = e->site == TL_SITE_Z ? w->z : w->mlp_post;
    return base + (e->layer * w->n_rows + pos - w->n_prefix) * e->width;
}

static tl_status record(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    const patch_work *w = user;
    const size_t first = e->first_pos > w->n_prefix ? e->first_pos : w->n_prefix;
    memcpy(site_row(w, e, first), e->values + (first - e->first_pos) * e->width,
           (e->first_pos + e->n_pos - first) * e->width * sizeof(float));
    return TL_OK;
}

/* Lane 0 is the clean run, lane i has component i - 1 overwritten. */
static tl_status patch(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    const patch_work *w = user;
    const tl_component *c = &w->components[e->prompt];
    const tl_site site = c->kind == TL_KIND_HEADS ? TL_SITE_Z : TL_SITE_MLP_POST;
    if (e->site != site || c->layer != e->layer || c->pos < e->first_pos ||
        c->pos >= e->first_pos + e->n_pos)
        return TL_OK;
    const size_t width = site == TL_SITE_Z ? w->d_head : 1;
    memcpy(e->values + (c->pos - e->first_pos) * e->width + c->index * width,
           site_row(w, e, c->pos) + c->index * width, width * sizeof(float));
    return TL_OK;
}

static const uint32_t node_sites =
    TL_SITE_BIT(TL_SITE_Z) | TL_SITE_BIT(TL_SITE_MLP_POST);

static tl_status check_components(const tl_dims *d, size_t n_pos,
                                  const tl_component *components, size_t n,
                                  tl_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const tl_component *c = &components[i];
        const size_t most = c->kind == TL_KIND_HEADS ? d->n_heads : d->d_mlp;
        if (c->layer >= d->n_layers || c->pos >= n_pos || c->index >= most)
            return tl_fail(
                err, TL_ERR_ARGUMENT,
                "no %s %zu at layer %zu, position %zu: there are %zu, %zu and "
                "%zu",
                tl_kind_name(c->kind), c->index, c->layer, c->pos, most, d->n_layers,
                n_pos);
    }
    return TL_OK;
}

static tl_status patch_all(tl_model *model, tl_pass *pass, const tl_pair *pair,
                           patch_work *w, const tl_component *components, size_t n,
                           size_t budget, tl_arena *arena, double *effects,
                           double *clean, tl_error *err)
{
    const tl_tap recording = {.on_site = record, .user = w, .sites = node_sites},
                 patching = {
                     .on_site = patch, .user = w, .sites = node_sites, .writes = true};
    tl_pass_options options = {
        .taps = &recording, .n_taps = 1, .last_only = true, .memory_budget = budget};
    size_t per_pass = 1;
    tl_status status = tl_lanes_per_pass(model, &options, w->n_rows, &per_pass, err);
    tl_pass_prompt *prompts = tl_arena_alloc(arena, per_pass, sizeof *prompts);
    if (status == TL_OK && prompts == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu runs", per_pass);
    if (status != TL_OK)
        return status;
    prompts[0] = (tl_pass_prompt){.input = pair->counterfactual,
                                  .collect = w->n_prefix > 0 ? &w->prefix : NULL};
    status = tl_pass_forward(pass, prompts, 1, &options, err);
    options.taps = &patching;
    for (size_t i = 0; i < per_pass; i++)
        prompts[i] = (tl_pass_prompt){.input = pair->clean,
                                      .prefix = w->n_prefix > 0 ? &w->prefix : NULL};
    /* The clean run is that of a component past the last layer. */
    const tl_component none = {.layer = tl_model_dims(model)->n_layers};
    w->components = &none;
    if (status == TL_OK)
        status = tl_pass_forward(pass, prompts, 1, &options, err);
    if (status == TL_OK)
        status = tl_pass_logit_diff(pass, 0, pair->answer, pair->counterfactual_answer,
                                    clean, err);
    for (size_t i = 0; i < n && status == TL_OK; i += per_pass) {
        const size_t lanes = n - i < per_pass ? n - i : per_pass;
        w->components = components + i;
        status = tl_pass_forward(pass, prompts, lanes, &options, err);
        for (size_t k = 0; k < lanes && status == TL_OK; k++) {
            double ld = 0.0;
            status = tl_pass_logit_diff(pass, k, pair->answer,
                                        pair->counterfactual_answer, &ld, err);
            effects[i + k] = ld - *clean;
        }
    }
    /* Where both prompts are the same, so is every activation. */
    for (size_t i = 0; i < n && status == TL_OK; i++)
        if (components[i].pos < w->n_prefix)
            effects[i] = 0.0;
    return status;
}

tl_status tl_patch_effects(tl_model *model, const tl_pair *pair,
                           const tl_component *components, size_t n,
                           size_t memory_budget, double *effects, double *clean,
                           tl_error *err)
{
    const tl_dims *d = tl_model_dims(model);
    const size_t n_pos = pair->clean.n_pos;
    tl_status status = tl_pair_check(pair, n_pos, err);
    if (status == TL_OK)
        status = check_components(d, n_pos, components, n, err);
    if (status != TL_OK)
        return status;
    tl_pass *pass = NULL;
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to patch");
    patch_work w = {.n_prefix = tl_pair_shared_prefix(pair, d->d_model),
                    .d_head = d->d_head};
    w.n_rows = n_pos - w.n_prefix;
    const size_t places = d->n_layers * w.n_rows;
    w.z = tl_arena_alloc_zero(arena, places * d->n_heads * d->d_head, sizeof *w.z);
    w.mlp_post = tl_arena_alloc_zero(arena, places * d->d_mlp, sizeof *w.mlp_post);
    if (w.z == NULL || w.mlp_post == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY,
                         "no memory for the counterfactual activations");
    if (status == TL_OK)
        status = tl_prefix_take(arena, d, w.n_prefix, &w.prefix, err);
    if (status == TL_OK)
        status = tl_pass_create(model, &pass, err);
    if (status == TL_OK)
        status = patch_all(model, pass, pair, &w, components, n, memory_budget, arena,
                           effects, clean, err);
    tl_pass_destroy(pass);
    tl_arena_destroy(arena);
    return status;
}

/* ---- completeness ---------------------------------------------------------------- */

typedef struct path_work {
    const tl_pair *pair;
    double sum; /* of (e - e') times the gradient */
} path_work;

static tl_status add_gradient(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    path_work *w = user;
    if (!e->backward || e->layer != 0)
        return TL_OK;
    const size_t first = e->first_pos * e->width;
    const float *clean = w->pair->clean.embeds + first,
                *other = w->pair->counterfactual.embeds + first;
    for (size_t i = 0; i < e->n_pos * e->width; i++)
        w->sum += ((double)clean[i] - (double)other[i]) * (double)e->values[i];
    return TL_OK;
}

tl_status tl_completeness(tl_model *model, const tl_pair *pair, size_t ig_steps,
                          size_t memory_budget, double *attributed, double *difference,
                          tl_error *err)
{
    const tl_dims *d = tl_model_dims(model);
    const size_t n_pos = pair->clean.n_pos, count = n_pos * d->d_model;
    tl_status status = tl_pair_check(pair, n_pos, err);
    if (status == TL_OK && ig_steps == 0)
        status = tl_fail(err, TL_ERR_ARGUMENT, "0 steps, wanted at least 1");
    if (status != TL_OK)
        return status;
    tl_pass *pass = NULL;
    tl_arena *arena = tl_arena_create();
    float *x = arena != NULL ? tl_arena_alloc(arena, count, sizeof *x) : NULL;
    if (x == NULL) {
        tl_arena_destroy(arena);
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an input");
    }
    path_work w = {.pair = pair};
    const tl_tap tap = {
        .on_site = add_gradient, .user = &w, .sites = TL_SITE_BIT(TL_SITE_RESID_PRE)};
    const tl_pass_options options = {.taps = &tap,
                                     .n_taps = 1,
                                     .for_backward = true,
                                     .last_only = true,
                                     .memory_budget = memory_budget};
    double ends[2] = {0.0, 0.0}; /* LD at e' and at e */
    status = tl_pass_create(model, &pass, err);
    for (size_t k = 0; k <= ig_steps && status == TL_OK; k++) {
        const double t = (double)k / (double)ig_steps;
        for (size_t i = 0; i < count; i++) {
            const double from = (double)pair->counterfactual.embeds[i];
            x[i] = (float)(from + t * ((double)pair->clean.embeds[i] - from));
        }
        tl_pass_prompt prompt = {.input = pair->clean};
        prompt.input.embeds = x;
        status = tl_pass_forward(pass, &prompt, 1, &options, err);
        if (status == TL_OK && (k == 0 || k == ig_steps))
            status = tl_pass_logit_diff(pass, 0, pair->answer,
                                        pair->counterfactual_answer, &ends[k > 0], err);
        if (status == TL_OK && k > 0)
            status = tl_pass_backward(pass, &pair->answer, &pair->counterfactual_answer,
                                      err);
    }
    tl_pass_destroy(pass);
    tl_arena_destroy(arena);
    if (status == TL_OK) {
        *attributed = w.sum / (double)ig_steps;
        *difference = ends[1] - ends[0];
    }
    return status;
}
