/* SPDX-License-Identifier: MIT
 *
 * validate.c - exact patching and completeness (include/twinlens/validate.h).
 */
#include "twinlens/validate.h"

#include "base/sized.h"
#include "circuit/circuit_work.h"
#include "circuit/pair.h"
#include "circuit/validate_sample.h"
#include "trace/experiment.h"
#include "twinlens/alloc.h"

struct tl_validator {
    tl_experiment on;
    tl_array buffers;   /* of the pair under way */
    size_t pass_budget; /* what that leaves to passes; 0: no limit */
};

tl_status tl_validator_create(tl_model *model, size_t memory_budget, tl_validator **out,
                              tl_error *err)
{
    tl_validator *v = tl_alloc_zero(1, sizeof *v);
    const tl_status status =
        v != NULL ? tl_experiment_init(&v->on, model, memory_budget, err)
                  : tl_fail(err, TL_ERR_NO_MEMORY, "no memory to validate");
    if (status == TL_OK)
        *out = v;
    else
        tl_free(v);
    return status;
}

void tl_validator_destroy(tl_validator *v)
{
    if (v == NULL)
        return;
    tl_array_release(&v->buffers);
    tl_experiment_release(&v->on);
    tl_free(v);
}

/* The options of the attributions that are compared. */
static tl_attribution_options attribution_options(const tl_attribution_options *way,
                                                  size_t budget)
{
    return (tl_attribution_options){.method = way->method,
                                    .ig_steps = way->ig_steps,
                                    .ig_rule = way->ig_rule,
                                    .ig_path = way->ig_path,
                                    .raw_sign = true,
                                    .memory_budget = budget};
}

static size_t way_count(const tl_validate_options *o)
{
    return o->n_ig_steps + o->n_others;
}

static tl_attribution_options way_at(const tl_validate_options *o, size_t i)
{
    return i < o->n_ig_steps ? (tl_attribution_options){.ig_steps = o->ig_steps[i]}
                             : o->others[i - o->n_ig_steps];
}

/* What ranks the components of one pair: prompts need no reduction. */
static tl_attribution_options ranking_options(const tl_attribution_options *way,
                                              size_t budget)
{
    tl_attribution_options how = attribution_options(way, budget);
    how.raw_sign = false;
    how.head_reduce = way->head_reduce;
    return how;
}

/* Bytes of scores that are in memory. */
static size_t scores_bytes(const tl_dims *d, size_t n_pos, const char *folder)
{
    return folder != NULL
               ? 0
               : d->n_layers * n_pos * (d->n_heads + d->d_mlp) * sizeof(float);
}

static tl_screen_span span_of(const tl_dims *d, size_t n_pos, size_t n_prefix)
{
    return (tl_screen_span){d->n_layers, n_pos, n_prefix, {d->n_heads, d->d_mlp}};
}

/* Components that are looked at, with their scores by every way. */
static size_t screen_bytes(const tl_screen_span *span, const tl_validate_options *o)
{
    size_t n = 0;
    for (size_t k = 0; k < TL_KIND_COUNT; k++)
        n += tl_screen_count(span, (tl_component_kind)k, o->n_components);
    n += o->n_also;
    return n * (sizeof(tl_component) + (way_count(o) + 1) * sizeof(double));
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

tl_status tl_validator_bytes(const tl_model *model, size_t n_pos,
                             const tl_validate_options *options, size_t *out,
                             tl_error *err)
{
    const tl_dims *d = tl_model_dims(model);
    tl_attribution_options attributed =
        attribution_options(&(tl_attribution_options){0}, 0);
    const tl_pass_options plain = {.last_only = true},
                          back = {.last_only = true, .for_backward = true};
    tl_validate_options o;
    size_t attribution = 0, forward = 0, backward = 0;
    tl_status status = tl_sized_copy(options, &o, sizeof o, "tl_validate_options", err);
    attributed.folder = o.folder;
    if (status == TL_OK)
        status = tl_attribution_bytes(model, n_pos, &attributed, &attribution, err);
    if (status == TL_OK)
        status = tl_pass_least_bytes(model, n_pos, &plain, &forward, err);
    if (status == TL_OK)
        status = tl_pass_least_bytes(model, n_pos, &back, &backward, err);
    if (status != TL_OK)
        return status;
    const size_t gradients = 2 * tl_model_input_bytes(model, n_pos),
                 effects = tl_pair_nodes_most_bytes(d, n_pos) +
                           (TL_KIND_COUNT * o.n_components + o.n_also) * sizeof(double);
    const tl_screen_span span = span_of(d, n_pos, 0);
    *out =
        TL_EXPERIMENT_BYTES +
        larger(attribution + scores_bytes(d, n_pos, o.folder) + screen_bytes(&span, &o),
               larger(gradients + backward, effects + forward));
    return TL_OK;
}

/* A path begins with its counterfactual; that of the middles ends with a clean run. */
static tl_status add_way(const tl_model *model, size_t n_pos, size_t n_prefix,
                         const tl_attribution_options *way, double *sum, tl_error *err)
{
    const tl_pass_options forward = {.last_only = true};
    tl_attribution_options how = attribution_options(way, 0);
    double scores = 0.0;
    tl_status status = tl_attribution_flops(model, n_pos, n_prefix, &how, &scores, err);
    if (status == TL_OK)
        status = tl_attribution_take(way, &how, err);
    const tl_pass_options step = {.last_only = true,
                                  .for_backward = true,
                                  .backward_rule = tl_attribution_rule(&how)};
    const bool ends = tl_attribution_at(&how, how.ig_steps) == 1.0;
    *sum += scores;
    if (status == TL_OK)
        status =
            tl_pass_flops_add(model, n_pos, 0, &forward, ends ? 1.0 : 2.0, sum, err);
    return status == TL_OK ? tl_pass_flops_add(model, n_pos, 0, &step,
                                               (double)how.ig_steps, sum, err)
                           : status;
}

tl_status tl_validator_flops(const tl_model *model, size_t n_pos, size_t n_prefix,
                             const tl_validate_options *options, double *out,
                             tl_error *err)
{
    tl_validate_options o;
    tl_status status = tl_sized_copy(options, &o, sizeof o, "tl_validate_options", err);
    *out = 0.0;
    for (size_t m = 0; status == TL_OK && m < way_count(&o); m++) {
        const tl_attribution_options way = way_at(&o, m);
        status = add_way(model, n_pos, n_prefix, &way, out, err);
    }
    if (status == TL_OK && o.ranked != NULL) {
        const tl_attribution_options how = ranking_options(o.ranked, 0);
        double scores = 0.0;
        status = tl_attribution_flops(model, n_pos, n_prefix, &how, &scores, err);
        *out += scores;
    }
    double runs = 0.0; /* of the pair, and of it with one component patched */
    if (status == TL_OK)
        status = tl_pair_flops(model, n_pos, n_prefix, false, &runs, err);
    *out += runs;
    /* A component is in any of the layers, and those below it are not run again; those of
     * `also`, which nobody has drawn, are taken to be in the first ones. */
    const size_t n_layers = tl_model_dims(model)->n_layers;
    const double n = (double)(TL_KIND_COUNT * o.n_components) / (double)n_layers;
    for (size_t l = 0; l < n_layers && status == TL_OK; l++) {
        const tl_pass_options behind = {.last_only = true, .first_layer = l};
        const double also = l == 0 ? (double)o.n_also : 0.0;
        status = tl_pass_flops_add(model, n_pos, n_prefix, &behind, n + also, out, err);
    }
    return status;
}

static tl_status check_budget(const tl_validator *v, size_t n_pos,
                              const tl_validate_options *options, tl_error *err)
{
    size_t least = 0;
    if (v->on.memory_budget == 0)
        return TL_OK;
    const tl_status status =
        tl_validator_bytes(v->on.model, n_pos, options, &least, err);
    return status == TL_OK ? tl_budget_check(v->on.memory_budget, least,
                                             "validating a pair", n_pos, err)
                           : status;
}

/* ---- exact effects --------------------------------------------------------------- */

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

/* The counterfactual values of what a component's edit writes. A component of the shared
 * prefix has none: false. */
static bool component_edit(const tl_component *c, const tl_pair_nodes *nodes,
                           const tl_dims *d, size_t prompt, tl_edit *out)
{
    const bool head = c->kind == TL_KIND_HEADS;
    const size_t width = head ? d->n_heads * d->d_head : d->d_mlp;
    if (c->pos < nodes->n_prefix)
        return false;
    const size_t row = c->layer * nodes->n_rows + c->pos - nodes->n_prefix;
    *out = (tl_edit){.rule = TL_EDIT_COMPONENT,
                     .at = {.site = head ? TL_SITE_Z : TL_SITE_MLP_POST,
                            .prompt = prompt,
                            .first_layer = c->layer,
                            .n_layers = 1,
                            .first_pos = c->pos,
                            .n_pos = 1},
                     .from = (head ? nodes->z : nodes->mlp_post) + row * width,
                     .component = c->index};
    return true;
}

/* A pair whose components are patched. */
typedef struct effects_run {
    tl_validator *v;
    const tl_pair *pair;
    tl_pair_nodes nodes; /* the counterfactual's values */
    float *states;       /* resid_post of the clean run, [n_layers - 1, n_pos, d_model];
                            NULL: there is no room for them */
    tl_pass_prompt *prompts;
    tl_edit *edits;
} effects_run;

static float *states_at(const effects_run *x, size_t layer, size_t pos)
{
    return x->states + (layer * x->pair->clean.n_pos + pos) * x->v->on.d->d_model;
}

/* Elements of the states of the layers that others are behind. */
static size_t states_count(const tl_dims *d, size_t n_pos)
{
    return (d->n_layers - 1) * n_pos * d->d_model;
}

/* The clean prompt as it is; leaves its states, if there is room for them. */
static tl_status run_unpatched(effects_run *x, double *logit_diff, tl_error *err)
{
    tl_validator *v = x->v;
    const size_t n = x->states != NULL ? v->on.d->n_layers - 1 : 0;
    tl_reading *readings = tl_arena_alloc(v->on.arena, n + 1, sizeof *readings);
    if (readings == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu layers", n);
    for (size_t l = 0; l < n; l++)
        readings[l] = (tl_reading){.at = {.site = TL_SITE_RESID_POST,
                                          .first_layer = l,
                                          .n_layers = 1,
                                          .first_pos = x->nodes.n_prefix,
                                          .n_pos = x->nodes.n_rows},
                                   .to = states_at(x, l, x->nodes.n_prefix)};
    const tl_pass_options options = {.readings = readings,
                                     .n_readings = n,
                                     .last_only = true,
                                     .memory_budget = v->pass_budget};
    const tl_pass_prompt prompt = tl_pair_rest_prompt(&x->pair->clean, &x->nodes);
    const tl_status status = tl_pass_forward(v->on.pass, &prompt, 1, &options, err);
    return status == TL_OK
               ? tl_pass_logit_diff(v->on.pass, 0, x->pair->answer,
                                    x->pair->counterfactual_answer, logit_diff, err)
               : status;
}

/* The clean prompt n times, in each run one of the components patched. Layers below
 * first_layer are the clean run's. */
static tl_status run_patched(effects_run *x, const tl_component *components,
                             const size_t *which, size_t n, size_t first_layer,
                             double *logit_diffs, tl_error *err)
{
    tl_validator *v = x->v;
    size_t n_edits = 0;
    for (size_t i = 0; i < n; i++) {
        x->prompts[i] = tl_pair_rest_prompt(&x->pair->clean, &x->nodes);
        if (first_layer > 0)
            x->prompts[i].resid_pre = states_at(x, first_layer - 1, 0);
        if (component_edit(&components[which[i]], &x->nodes, v->on.d, i,
                           &x->edits[n_edits]))
            n_edits++;
    }
    const tl_pass_options options = {.edits = x->edits,
                                     .n_edits = n_edits,
                                     .last_only = true,
                                     .first_layer = first_layer,
                                     .memory_budget = v->pass_budget};
    tl_status status = tl_pass_forward(v->on.pass, x->prompts, n, &options, err);
    for (size_t i = 0; i < n && status == TL_OK; i++)
        status = tl_pass_logit_diff(v->on.pass, i, x->pair->answer,
                                    x->pair->counterfactual_answer,
                                    &logit_diffs[which[i]], err);
    return status;
}

/* All of them: those of one layer together, or, without clean states, as they come. */
static tl_status run_components(effects_run *x, const tl_component *components,
                                size_t n, size_t per_pass, double *patched,
                                tl_error *err)
{
    size_t *which = tl_arena_alloc(x->v->on.arena, per_pass, sizeof *which);
    if (which == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu runs", per_pass);
    const bool by_layer = x->states != NULL;
    const size_t n_layers = by_layer ? x->v->on.d->n_layers : 1;
    tl_status status = TL_OK;
    for (size_t l = 0; l < n_layers && status == TL_OK; l++) {
        size_t chosen = 0;
        for (size_t i = 0; i < n && status == TL_OK; i++) {
            if (!by_layer || components[i].layer == l)
                which[chosen++] = i;
            if (chosen == per_pass || (i + 1 == n && chosen > 0)) {
                status = run_patched(x, components, which, chosen, l, patched, err);
                chosen = 0;
            }
        }
    }
    return status;
}

/* Whether the clean states fit beside all else that n effects need. */
static tl_status has_room(const tl_validator *v, const tl_pair_nodes *nodes, size_t n,
                          bool *out, tl_error *err)
{
    const size_t n_pos = nodes->n_prefix + nodes->n_rows;
    const tl_pass_options plain = {.last_only = true};
    size_t pass = 0;
    const tl_status status =
        tl_pass_least_bytes(v->on.model, n_pos, &plain, &pass, err);
    const size_t floats =
        tl_pair_nodes_count(nodes, v->on.d) + states_count(v->on.d, n_pos);
    *out = v->on.memory_budget == 0 ||
           TL_EXPERIMENT_BYTES + floats * sizeof(float) + n * sizeof(double) + pass <=
               v->on.memory_budget;
    return status;
}

/* Leaves the counterfactual values, beside which n effects are kept, and room for the clean
 * states, if there is any. */
static tl_status run_counterfactual(effects_run *x, size_t n, tl_error *err)
{
    tl_validator *v = x->v;
    tl_pair_nodes *nodes = &x->nodes;
    tl_reading readings[TL_NODE_SITES];
    bool keeps_states = false;
    *nodes = tl_pair_nodes_of(x->pair, v->on.d);
    tl_status status = has_room(v, nodes, n, &keeps_states, err);
    if (status != TL_OK)
        return status;
    const size_t count = tl_pair_nodes_count(nodes, v->on.d),
                 states =
                     keeps_states ? states_count(v->on.d, x->pair->clean.n_pos) : 0;
    status = tl_experiment_reset(&v->on, &v->buffers, count + states,
                                 n * sizeof(double), &v->pass_budget, err);
    if (status != TL_OK)
        return tl_fail_while(err, status, "the counterfactual activations");
    tl_pair_nodes_place(nodes, v->on.d, &v->buffers, 0);
    x->states = keeps_states ? tl_array_f32(&v->buffers, count) : NULL;
    tl_pair_nodes_read(nodes, TL_READ_COPY, false, 0, nodes->z, nodes->mlp_post,
                       readings);
    const tl_pass_options options = {.readings = readings,
                                     .n_readings = TL_NODE_SITES,
                                     .last_only = true,
                                     .memory_budget = v->pass_budget};
    const tl_pass_prompt prompt = tl_pair_whole_prompt(&x->pair->counterfactual, nodes);
    return tl_pass_forward(v->on.pass, &prompt, 1, &options, err);
}

/* The budget has been looked at. */
static tl_status find_effects(tl_validator *v, const tl_pair *pair,
                              const tl_component *components, size_t n, double *effects,
                              double *clean, tl_error *err)
{
    const size_t n_pos = pair->clean.n_pos;
    effects_run x = {.v = v, .pair = pair};
    size_t per_pass = 1;
    tl_status status = tl_pair_check(pair, n_pos, err);
    if (status == TL_OK)
        status = check_components(v->on.d, n_pos, components, n, err);
    if (status == TL_OK)
        status = run_counterfactual(&x, n, err);
    if (status != TL_OK)
        return status;
    const tl_pass_options plain = {.last_only = true};
    const tl_batch_prompt one = {.n_pos = n_pos,
                                 .n_prefix = x.nodes.n_prefix,
                                 .table_bytes = sizeof(tl_pass_prompt) +
                                                sizeof(tl_edit) + sizeof(size_t)};
    status =
        tl_experiment_batch(v->on.model, &plain, &one, v->pass_budget, &per_pass, err);
    if (status != TL_OK)
        return status;
    const tl_arena_mark mark = tl_arena_get_mark(v->on.arena);
    x.prompts = tl_arena_alloc(v->on.arena, per_pass, sizeof *x.prompts);
    x.edits = tl_arena_alloc(v->on.arena, per_pass, sizeof *x.edits);
    double *patched = tl_arena_alloc(v->on.arena, n, sizeof *patched), unpatched = 0.0;
    if (x.prompts == NULL || x.edits == NULL || patched == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu runs", n);
    if (status == TL_OK)
        status = run_unpatched(&x, &unpatched, err);
    if (status == TL_OK)
        status = run_components(&x, components, n, per_pass, patched, err);
    for (size_t i = 0; i < n && status == TL_OK; i++)
        effects[i] = patched[i] - unpatched;
    if (status == TL_OK)
        *clean = unpatched;
    tl_arena_rewind(v->on.arena, mark);
    return status;
}

tl_status tl_validator_effects(tl_validator *v, const tl_pair *pair,
                               const tl_component *components, size_t n,
                               double *effects, double *clean, tl_error *err)
{
    const tl_validate_options few = {.n_components = (n + 1) / TL_KIND_COUNT};
    const tl_status status = check_budget(v, pair->clean.n_pos, &few, err);
    return status == TL_OK ? find_effects(v, pair, components, n, effects, clean, err)
                           : status;
}

/* ---- completeness ---------------------------------------------------------------- */

/* The way from a counterfactual to the clean prompt. */
typedef struct path {
    tl_validator *v;
    const tl_pair *pair;
    const tl_pass_options *options; /* whose reading is the gradient at the input */
    size_t d_model, count;          /* elements of a row, and of a site */
    bool text_only;                 /* image positions stay clean on the way */
    float *x;                       /* the input under way */
    double sum;                     /* of (e - e') times the gradients so far */
} path;

static tl_status add_gradient(path *p, tl_error *err)
{
    const tl_input *clean = &p->pair->clean, *other = &p->pair->counterfactual;
    tl_arena *arena = p->v->on.arena;
    tl_status status = tl_pass_backward(p->v->on.pass, &p->pair->answer,
                                        &p->pair->counterfactual_answer, err);
    for (size_t k = 0; k <= clean->n_deep && status == TL_OK; k++) {
        const tl_arena_mark mark = tl_arena_get_mark(arena);
        const size_t deep = k > 0 ? (k - 1) * p->count : 0;
        const float *e = k == 0 ? clean->embeds : clean->deep + deep,
                    *from = k == 0 ? other->embeds : other->deep + deep;
        const void *values = NULL;
        status =
            tl_array_get(&p->v->buffers, k * p->count, p->count, arena, &values, err);
        const float *gradient = values;
        for (size_t i = 0; i < p->count && status == TL_OK; i++)
            p->sum += ((double)e[i] - (double)from[i]) * (double)gradient[i];
        tl_arena_rewind(arena, mark);
    }
    return status;
}

/* Runs the input at t, whose LD goes to `ld`; `back`: a step of the way, which may leave
 * images as they are. */
static tl_status run_point(path *p, double t, bool back, double *ld, tl_error *err)
{
    const tl_pair *pair = p->pair;
    const tl_pass_prompt prompt = {
        .input = tl_pair_between(pair, t, p->text_only && back, 0, p->d_model, p->x)};
    tl_status status = tl_pass_forward(p->v->on.pass, &prompt, 1, p->options, err);
    if (status == TL_OK)
        status = tl_pass_logit_diff(p->v->on.pass, 0, pair->answer,
                                    pair->counterfactual_answer, ld, err);
    return status == TL_OK && back ? add_gradient(p, err) : status;
}

/* Both ends of the way, and the steps of `how`. */
static tl_status run_path(path *p, const tl_attribution_options *how,
                          double *attributed, double *difference, tl_error *err)
{
    double ends[2] = {0.0, 0.0}, between = 0.0; /* LD at e' and at e */
    tl_status status = run_point(p, 0.0, false, &ends[0], err);
    for (size_t k = 1; k <= how->ig_steps && status == TL_OK; k++) {
        const double t = tl_attribution_at(how, k);
        status = run_point(p, t, true, t == 1.0 ? &ends[1] : &between, err);
    }
    if (status == TL_OK && tl_attribution_at(how, how->ig_steps) != 1.0)
        status = run_point(p, 1.0, false, &ends[1], err);
    if (status == TL_OK) {
        *attributed = p->sum / (double)how->ig_steps;
        *difference = ends[1] - ends[0];
    }
    return status;
}

/* Of the gradients of one way to attribute, or of its relevance. The budget has been looked
 * at. */
static tl_status complete(tl_validator *v, const tl_pair *pair,
                          const tl_attribution_options *way, double *attributed,
                          double *difference, tl_error *err)
{
    const size_t n_pos = pair->clean.n_pos, d_model = v->on.d->d_model,
                 count = n_pos * d_model, n_deep = pair->clean.n_deep;
    tl_attribution_options how;
    tl_status status = tl_pair_check(pair, n_pos, err);
    if (status == TL_OK)
        status = tl_attribution_take(way, &how, err);
    if (status == TL_OK)
        status = tl_experiment_reset(&v->on, &v->buffers, (1 + n_deep) * count,
                                     tl_model_input_bytes(v->on.model, n_pos),
                                     &v->pass_budget, err);
    if (status != TL_OK)
        return status;
    float *x = tl_alloc(1, tl_model_input_bytes(v->on.model, n_pos));
    /* At the input, and where an image's features are added further up. */
    const tl_reading readings[] = {
        {.gradient = true,
         .at = {.site = TL_SITE_RESID_PRE, .n_layers = 1, .n_pos = n_pos},
         .to = tl_array_f32(&v->buffers, 0)},
        {.gradient = true,
         .at = {.site = TL_SITE_RESID_POST, .n_layers = n_deep, .n_pos = n_pos},
         .to = tl_array_f32(&v->buffers, count)}};
    const tl_pass_options options = {.readings = readings,
                                     .n_readings = n_deep > 0 ? 2 : 1,
                                     .for_backward = true,
                                     .last_only = true,
                                     .memory_budget = v->pass_budget,
                                     .backward_rule = tl_attribution_rule(&how)};
    path p = {v, pair, &options, d_model, count, how.ig_path == TL_IG_TEXT_ONLY,
              x, 0.0};
    status = x != NULL ? run_path(&p, &how, attributed, difference, err)
                       : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an input");
    tl_free(x);
    return status;
}

tl_status tl_validator_completeness(tl_validator *v, const tl_pair *pair,
                                    size_t ig_steps, double *attributed,
                                    double *difference, tl_error *err)
{
    const tl_attribution_options way = {.ig_steps = ig_steps};
    if (ig_steps == 0)
        return tl_fail(err, TL_ERR_ARGUMENT, "0 steps, wanted at least 1");
    const tl_status status = check_budget(v, pair->clean.n_pos, NULL, err);
    return status == TL_OK ? complete(v, pair, &way, attributed, difference, err)
                           : status;
}

/* ---- a sample of one pair -------------------------------------------------------- */

/* `held`: bytes that are there at the same time, beside the scores. */
static tl_status attribute(tl_validator *v, const tl_pair *pair,
                           tl_attribution_options how, size_t held, tl_arena *arena,
                           tl_scores *out, tl_error *err)
{
    const size_t n_pos = pair->clean.n_pos;
    tl_attribution *attribution = NULL;
    tl_status status =
        tl_experiment_room(&v->on, scores_bytes(v->on.d, n_pos, how.folder) + held,
                           &how.memory_budget, err);
    if (status == TL_OK)
        status = tl_attribution_create_on(v->on.model, v->on.pass, n_pos, &how,
                                          &attribution, err);
    if (status == TL_OK)
        status = tl_attribution_add(attribution, pair, 1, err);
    if (status == TL_OK)
        status = tl_attribution_scores(attribution, arena, out, err);
    tl_attribution_destroy(attribution);
    return status;
}

static double score_of(const tl_scores *s, const tl_component *c)
{
    const bool head = c->kind == TL_KIND_HEADS;
    const size_t place = c->layer * s->n_pos + c->pos;
    return head ? (double)s->heads[place * s->n_heads + c->index]
                : (double)s->neurons[place * s->d_mlp + c->index];
}

/* Components that are looked at, of both kinds, and those that are taken without a draw. */
enum { ALSO = TL_KIND_COUNT, GROUPS };
typedef struct screen {
    size_t n[GROUPS];
    const tl_component *components[GROUPS]; /* [n] */
    double *scores[GROUPS];                 /* [n_ways + 1, n]; the last way ranks */
} screen;

static tl_status look_around(const tl_validator *v, const tl_pair *pair,
                             const tl_validate_options *o, uint64_t seed,
                             tl_arena *arena, screen *out, tl_error *err)
{
    const tl_dims *d = v->on.d;
    const tl_pair_nodes nodes = tl_pair_nodes_of(pair, d);
    const tl_screen_span span = span_of(d, pair->clean.n_pos, nodes.n_prefix);
    for (size_t k = 0; k < GROUPS; k++) {
        const size_t n = k == ALSO ? o->n_also
                                   : tl_screen_count(&span, (tl_component_kind)k,
                                                     o->n_components);
        tl_component *drawn =
            tl_arena_alloc(arena, k == ALSO ? 0 : n, sizeof(tl_component));
        out->n[k] = n;
        out->components[k] = k == ALSO ? o->also : drawn;
        out->scores[k] = tl_arena_alloc(arena, n * (way_count(o) + 1), sizeof(double));
        if (drawn == NULL || out->scores[k] == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to look at %zu components",
                           n);
        if (k != ALSO)
            tl_screen(&span, (tl_component_kind)k, n, seed + k, drawn);
    }
    return check_components(d, pair->clean.n_pos, o->also, o->n_also, err);
}

/* The scores of one way; they last only as long as they are looked up. */
static tl_status score_screen(tl_validator *v, const tl_pair *pair,
                              tl_attribution_options how, size_t held, size_t way,
                              screen *s, tl_error *err)
{
    tl_scores scores;
    tl_arena *arena = tl_arena_create_in(how.folder);
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for scores");
    const tl_status status = attribute(v, pair, how, held, arena, &scores, err);
    for (size_t k = 0; k < GROUPS && status == TL_OK; k++)
        for (size_t i = 0; i < s->n[k]; i++)
            s->scores[k][way * s->n[k] + i] = score_of(&scores, &s->components[k][i]);
    tl_arena_destroy(arena);
    return status;
}

/* The components that are drawn, and their scores. */
typedef struct drawn {
    size_t n;
    tl_component *components;
    double *attributed, *ranked; /* [n_ways, n], [n] */
} drawn;

static tl_status draw(const screen *s, const tl_validate_options *o, uint64_t seed,
                      tl_arena *arena, drawn *out, tl_error *err)
{
    size_t n[GROUPS], first = 0;
    for (size_t k = 0; k < GROUPS; k++)
        n[k] = k != ALSO && o->n_components < s->n[k] ? o->n_components : s->n[k];
    out->n = n[TL_KIND_HEADS] + n[TL_KIND_NEURONS] + n[ALSO];
    const size_t n_ways = way_count(o);
    size_t *chosen = tl_arena_alloc(arena, out->n, sizeof *chosen);
    out->components = tl_arena_alloc(arena, out->n, sizeof *out->components);
    out->attributed = tl_arena_alloc(arena, out->n * n_ways, sizeof *out->attributed);
    out->ranked = tl_arena_alloc(arena, out->n, sizeof *out->ranked);
    if (chosen == NULL || out->components == NULL || out->attributed == NULL ||
        out->ranked == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu components", out->n);
    for (size_t k = 0; k < GROUPS; first += n[k], k++) {
        const tl_status status =
            k == ALSO ? TL_OK
                      : tl_validate_draw(s->scores[k], n_ways, s->n[k], n[k], seed + k,
                                         chosen, err);
        if (status != TL_OK)
            return status;
        for (size_t i = 0; i < n[k]; i++) {
            if (k == ALSO)
                chosen[i] = i;
            const double *of = &s->scores[k][chosen[i]];
            out->components[first + i] = s->components[k][chosen[i]];
            for (size_t m = 0; m < n_ways; m++)
                out->attributed[m * out->n + first + i] = of[m * s->n[k]];
            out->ranked[first + i] = o->ranked != NULL ? of[n_ways * s->n[k]] : 0.0;
        }
    }
    return TL_OK;
}

static tl_status attribute_sample(tl_validator *v, const tl_pair *pair,
                                  const tl_validate_options *o, uint64_t seed,
                                  tl_arena *arena, drawn *out, tl_error *err)
{
    const size_t n_ways = way_count(o);
    screen s = {.n = {0}};
    tl_arena *own = tl_arena_create();
    tl_status status = own != NULL
                           ? look_around(v, pair, o, seed, own, &s, err)
                           : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a sample");
    const tl_screen_span span = span_of(v->on.d, pair->clean.n_pos, 0);
    const size_t held = screen_bytes(&span, o);
    tl_array_release(&v->buffers); /* the attribution has its own */
    for (size_t m = 0; m < n_ways && status == TL_OK; m++) {
        const tl_attribution_options way = way_at(o, m);
        tl_attribution_options how = attribution_options(&way, 0);
        how.folder = o->folder;
        status = score_screen(v, pair, how, held, m, &s, err);
    }
    if (status == TL_OK && o->ranked != NULL) {
        tl_attribution_options how = ranking_options(o->ranked, 0);
        how.folder = o->folder;
        status = score_screen(v, pair, how, held, n_ways, &s, err);
    }
    if (status == TL_OK)
        status = draw(&s, o, seed, arena, out, err);
    tl_arena_destroy(own);
    return status;
}

tl_status tl_validator_pair(tl_validator *v, const tl_pair *pair,
                            const tl_validate_options *options, uint64_t seed,
                            tl_arena *arena, tl_validation *out, tl_error *err)
{
    tl_validate_options o;
    tl_status status = tl_sized_copy(options, &o, sizeof o, "tl_validate_options", err);
    if (status == TL_OK && way_count(&o) == 0)
        status = tl_fail(err, TL_ERR_ARGUMENT, "no way to attribute is judged");
    if (status == TL_OK)
        status = check_budget(v, pair->clean.n_pos, &o, err);
    drawn of = {0};
    if (status == TL_OK)
        status = attribute_sample(v, pair, &o, seed, arena, &of, err);
    if (status != TL_OK)
        return status;
    const size_t n_ways = way_count(&o);
    double *exact = tl_arena_alloc(arena, of.n, sizeof *exact),
           *gradient = tl_arena_alloc(arena, n_ways, sizeof *gradient);
    double difference = 0.0, clean = 0.0;
    if (exact == NULL || gradient == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu components", of.n);
    for (size_t m = 0; m < n_ways && status == TL_OK; m++) {
        const tl_attribution_options way = way_at(&o, m);
        status = complete(v, pair, &way, &gradient[m], &difference, err);
    }
    if (status == TL_OK)
        status = find_effects(v, pair, of.components, of.n, exact, &clean, err);
    if (status == TL_OK)
        *out = (tl_validation){of.n,
                               of.components,
                               exact,
                               of.attributed,
                               gradient,
                               difference,
                               o.ranked != NULL ? of.ranked : NULL};
    return status;
}
