/* SPDX-License-Identifier: MIT
 *
 * attribution.c - node attribution by integrated gradients (docs/math.md eq. 3;
 * include/twinlens/circuit.h).
 *
 *     x_k = e' + k/m (e - e')                                  k = 1 .. m
 *     S(u) = 1/m | (a'_u - a_u) sum_k d LD / d a_u at x_k |
 *
 * e, a of the clean prompt, e', a' of its counterfactual. Relevance patching is the case
 * m = 1 with another rule on the way back. What is not computed:
 *
 * - x_m is the clean prompt, so step m's own activations are a: no clean run. Only
 *   midpoints, (k - 1/2)/m in place of k/m, need one.
 * - Up to the first difference of the two prompts a' = a, and the score is 0. Those
 *   positions are run once, in the counterfactual pass, which leaves their keys and
 *   values to the steps.
 * - In the last layer only the last position reaches the logits.
 *
 * For each pair two buffers over its remaining positions: `delta` (a', from which
 * step m or the clean run subtracts a) and `gradient` (the sum over steps), filled by readings of the
 * passes. The steps of several pairs make up one ragged pass; since a row's numbers do
 * not depend on the batch, how they are grouped is a matter of speed only.
 *
 * Pairs are summed in blocks of TL_ATTRIBUTION_BLOCK, in the order in which they were
 * added. The sum of a block begins with 0, and a finished block is added to the total. So
 * blocks can be summed apart, and the bits do not depend on who sums which.
 */
#include <assert.h>
#include <math.h>

#include "circuit/attribution_sums.h"
#include "circuit/pair.h"
#include "base/disk_memory.h"
#include "base/sized.h"
#include "trace/experiment.h"
#include "twinlens/alloc.h"

enum { DEFAULT_STEPS = 5, SMALL_GROUP_BYTES = 128 << 20 };

struct tl_attribution {
    tl_model *model;
    tl_pass *pass;
    tl_pass *own_pass; /* NULL: `pass` is somebody else's */
    tl_arena *arena;   /* of the group under way, as the next */
    tl_array buffers;
    tl_attribution_options options;
    tl_dims dims;
    size_t n_pos;
    /* [2, elements of the sum]: the total, and the block under way. The last two, of
     * magnitudes, are NULL if those are not wanted. */
    double *sums[TL_ATTRIBUTION_SUMS];
    size_t n_pairs;
    size_t pass_budget; /* what the group under way leaves to passes; 0: no limit */
    float *inputs;      /* [n_inputs, n_pos, d_model], interpolated, of the host */
    size_t n_inputs;
};

/* One pair of the group under way. Addresses of `buffers`. */
typedef struct pair_buffers {
    const tl_pair *pair;
    tl_pair_nodes delta;
    float *gradient_z, *gradient_mlp; /* as those of delta */
} pair_buffers;

/* One prompt of a pass back: x_step of a pair. */
typedef struct ig_step {
    pair_buffers *of;
    size_t step;
} ig_step;

enum { HEADS, NEURONS, HEAD_MAGNITUDES, NEURON_MAGNITUDES };
static const char *const sum_names[TL_ATTRIBUTION_SUMS] = {
    "heads", "neurons", "head_magnitudes", "neuron_magnitudes"};

static void release_inputs(tl_attribution *a)
{
    tl_free(a->inputs);
    a->inputs = NULL;
    a->n_inputs = 0;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t sum_count(const tl_attribution *a)
{
    return a->options.magnitudes ? TL_ATTRIBUTION_SUMS : HEAD_MAGNITUDES;
}

/* Elements of a sum over pairs. */
static size_t sum_elements(const tl_attribution *a, size_t i)
{
    const tl_dims *d = &a->dims;
    const size_t places = d->n_layers * a->n_pos;
    switch (i) {
    case HEADS:
        return places * d->n_heads * tl_attribution_sums_per_head(&a->options, d);
    case HEAD_MAGNITUDES: return places * d->n_heads;
    default: return places * d->d_mlp;
    }
}

tl_status tl_attribution_take(const tl_attribution_options *given,
                              tl_attribution_options *out, tl_error *err)
{
    tl_attribution_options o;
    const tl_status status =
        tl_sized_copy(given, &o, sizeof o, "tl_attribution_options", err);
    if (status != TL_OK)
        return status;
    if ((unsigned)o.method > TL_METHOD_RELP || (unsigned)o.ig_rule > TL_IG_MIDPOINT)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "there is no method %u, or no rule %u for its steps",
                       (unsigned)o.method, (unsigned)o.ig_rule);
    if ((unsigned)o.metric > TL_METRIC_CROSS_ENTROPY ||
        (o.method == TL_METHOD_RELP && o.metric > TL_METRIC_LOGIT))
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "relevance goes back from a logit or a difference of two, not "
                       "from a probability");
    if (o.ig_steps == 0)
        o.ig_steps = DEFAULT_STEPS;
    if (o.method == TL_METHOD_RELP) {
        o.ig_steps = 1;
        o.ig_rule = TL_IG_RIGHT;
    }
    *out = o;
    return TL_OK;
}

tl_backward_rule tl_attribution_rule(const tl_attribution_options *o)
{
    return o->method == TL_METHOD_RELP ? TL_BACKWARD_RELEVANCE : TL_BACKWARD_GRADIENT;
}

double tl_attribution_at(const tl_attribution_options *o, size_t step)
{
    const double back = o->ig_rule == TL_IG_MIDPOINT ? 0.5 : 0.0;
    return ((double)step - back) / (double)o->ig_steps;
}

/* ---- how much at a time --------------------------------------------------------- */

/* Bytes of the four buffers of one pair with n_rows positions. */
static size_t pair_bytes(const tl_attribution *a, size_t n_rows)
{
    const tl_dims *d = &a->dims;
    return 2 * d->n_layers * n_rows * (d->n_heads * d->d_head + d->d_mlp) *
           sizeof(float);
}

/* Bytes of an interpolated input. */
static size_t input_bytes(const tl_attribution *a)
{
    return a->options.method == TL_METHOD_RELP
               ? 0
               : tl_model_input_bytes(a->model, a->n_pos);
}

static tl_pass_options step_options(const tl_attribution *a)
{
    return (tl_pass_options){
        .for_backward = true,
        .last_only = true,
        .memory_budget = a->pass_budget,
        .backward_rule = tl_attribution_rule(&a->options),
        .metric = a->options.metric,
    };
}

/* Bytes of all sums that are in memory. */
static size_t sums_bytes(const tl_attribution *a)
{
    size_t bytes = 0;
    if (a->options.folder != NULL)
        return 0;
    for (size_t i = 0; i < sum_count(a); i++)
        bytes += 2 * sum_elements(a, i) * sizeof(double);
    return bytes;
}

tl_status tl_attribution_bytes(const tl_model *model, size_t n_pos,
                               const tl_attribution_options *options, size_t *out,
                               tl_error *err)
{
    tl_attribution a = {.model = (tl_model *)(uintptr_t)model, /* only asked */
                        .dims = *tl_model_dims(model),
                        .n_pos = n_pos};
    size_t pass = 0;
    tl_status status = tl_attribution_take(options, &a.options, err);
    const tl_pass_options way_back = step_options(&a);
    if (status == TL_OK)
        status = tl_pass_least_bytes(model, n_pos, &way_back, &pass, err);
    if (status == TL_OK)
        *out = TL_EXPERIMENT_BYTES + sums_bytes(&a) + pair_bytes(&a, n_pos) +
               input_bytes(&a) + pass;
    return status;
}

tl_status tl_attribution_pass_budget(const tl_model *model, size_t n_pos,
                                     const tl_attribution_options *taken, size_t *out,
                                     tl_error *err)
{
    const tl_attribution a = {.model = (tl_model *)(uintptr_t)model,
                              .dims = *tl_model_dims(model),
                              .n_pos = n_pos,
                              .options = *taken};
    size_t least = 0, pass = 0;
    const tl_pass_options way_back = step_options(&a);
    tl_status status = tl_attribution_bytes(model, n_pos, taken, &least, err);
    if (status == TL_OK)
        status = tl_pass_least_bytes(model, n_pos, &way_back, &pass, err);
    if (status != TL_OK)
        return status;
    const size_t budget = taken->memory_budget,
                 wanted = budget > least ? budget : least;
    *out = budget > 0 ? wanted - (least - pass) : 0;
    return TL_OK;
}

tl_status tl_attribution_create_on(tl_model *model, tl_pass *pass, size_t n_pos,
                                   const tl_attribution_options *options,
                                   tl_attribution **out, tl_error *err)
{
    tl_attribution_options o;
    size_t least = 0;
    tl_status status = tl_attribution_take(options, &o, err);
    if (status == TL_OK)
        status = tl_attribution_bytes(model, n_pos, &o, &least, err);
    if (status == TL_OK)
        status =
            tl_budget_check(o.memory_budget, least, "attributing a pair", n_pos, err);
    if (status != TL_OK)
        return status;
    tl_attribution *a = tl_alloc_zero(1, sizeof *a);
    if (a == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an attribution");
    a->model = model;
    a->pass = pass;
    a->dims = *tl_model_dims(model);
    a->n_pos = n_pos;
    a->options = o;
    a->arena = tl_arena_create();
    bool whole = a->arena != NULL;
    for (size_t i = 0; i < sum_count(a) && whole; i++) {
        a->sums[i] =
            tl_alloc_zero_in(o.folder, 2 * sum_elements(a, i), sizeof *a->sums[i]);
        whole = a->sums[i] != NULL;
    }
    if (!whole) {
        const size_t n = a->dims.n_layers * n_pos * (a->dims.n_heads + a->dims.d_mlp);
        tl_attribution_destroy(a);
        return o.folder != NULL
                   ? tl_fail(err, TL_ERR_NO_MEMORY,
                             "%s: no room for the scores of %zu components", o.folder,
                             n)
                   : tl_fail(err, TL_ERR_NO_MEMORY,
                             "no memory for the scores of %zu components", n);
    }
    *out = a;
    return TL_OK;
}

tl_status tl_attribution_create(tl_model *model, size_t n_pos,
                                const tl_attribution_options *options,
                                tl_attribution **out, tl_error *err)
{
    tl_attribution *a = NULL;
    tl_status status = tl_attribution_create_on(model, NULL, n_pos, options, &a, err);
    if (status == TL_OK)
        status = tl_pass_create(model, &a->own_pass, err);
    if (status != TL_OK) {
        tl_attribution_destroy(a);
        return status;
    }
    a->pass = a->own_pass;
    *out = a;
    return TL_OK;
}

void tl_attribution_destroy(tl_attribution *a)
{
    if (a == NULL)
        return;
    tl_pass_destroy(a->own_pass);
    tl_array_release(&a->buffers);
    release_inputs(a);
    tl_arena_destroy(a->arena);
    for (size_t i = 0; i < TL_ATTRIBUTION_SUMS; i++)
        tl_free(a->sums[i]);
    tl_free(a);
}

tl_attribution_state tl_attribution_get_state(tl_attribution *a)
{
    tl_attribution_state state = {.n_pairs = a->n_pairs, .n_sums = sum_count(a)};
    for (size_t i = 0; i < state.n_sums; i++) {
        state.sums[i].name = sum_names[i];
        state.sums[i].values = a->sums[i];
        state.sums[i].n = 2 * sum_elements(a, i);
    }
    return state;
}

void tl_attribution_set_count(tl_attribution *a, size_t n_pairs)
{
    a->n_pairs = n_pairs;
}

void tl_attribution_clear(tl_attribution *a)
{
    const tl_attribution_state state = tl_attribution_get_state(a);
    for (size_t i = 0; i < state.n_sums; i++)
        for (size_t k = 0; k < state.sums[i].n; k++)
            state.sums[i].values[k] = 0.0;
    a->n_pairs = 0;
}

/* What one step takes beside its pass. */
static tl_batch_prompt step_prompt(const tl_attribution *a, size_t n_prefix)
{
    return (tl_batch_prompt){.n_pos = a->n_pos,
                             .n_prefix = n_prefix,
                             .table_bytes = sizeof(tl_pass_prompt) +
                                            2 * TL_NODE_SITES * sizeof(tl_reading) +
                                            2 * sizeof(int32_t),
                             .buffer_bytes = input_bytes(a)};
}

/* What the budget leaves to passes beside the sums and that many bytes; 0: no limit. */
static tl_status room_beside(const tl_attribution *a, size_t bytes, size_t *out,
                             tl_error *err)
{
    return tl_pass_room(a->pass, a->options.memory_budget, sums_bytes(a) + bytes, out,
                        err);
}

/* Pairs whose buffers take no more than half of the budget, and leave enough for a pass over
 * one step. */
static size_t affordable_pairs(const tl_attribution *a)
{
    const size_t budget = a->options.memory_budget, one = pair_bytes(a, a->n_pos),
                 kept = TL_EXPERIMENT_BYTES + sums_bytes(a) + one;
    size_t least = 0;
    if (budget == 0)
        return SIZE_MAX;
    if (tl_attribution_bytes(a->model, a->n_pos, &a->options, &least, NULL) != TL_OK ||
        budget / 2 <= kept || budget <= least)
        return 1;
    const size_t half = (budget / 2 - kept) / one, rest = (budget - least) / one;
    return 1 + (half < rest ? half : rest);
}

size_t tl_attribution_group(const tl_attribution *a)
{
    enum { MOST_PAIRS = 64 }; /* the tables of a call have room for so many */
    const tl_batch_prompt step = step_prompt(a, 0);
    const tl_pass_options options = step_options(a);
    size_t steps = 1, room = 0;
    if (room_beside(a, pair_bytes(a, a->n_pos), &room, NULL) != TL_OK ||
        tl_experiment_batch(a->model, &options, &step, room, &steps, NULL) != TL_OK)
        return 1;
    const size_t pairs = (steps + a->options.ig_steps - 1) / a->options.ig_steps,
                 fit = SMALL_GROUP_BYTES / pair_bytes(a, a->n_pos),
                 most = smaller(MOST_PAIRS, smaller(fit, affordable_pairs(a)));
    return pairs < most ? pairs : most > 0 ? most : 1;
}

/* ---- one group of pairs ------------------------------------------------------------ */

/* Elements of the gradients of one pair; and of all its buffers. */
static size_t gradient_count(const tl_attribution *a, size_t n_rows)
{
    const tl_dims *d = &a->dims;
    return d->n_layers * n_rows * (d->n_heads * d->d_head + d->d_mlp);
}

static size_t buffers_count(const tl_attribution *a, const tl_pair_nodes *delta)
{
    return gradient_count(a, delta->n_rows) + tl_pair_nodes_count(delta, &a->dims);
}

/* Tables of the passes of a group. */
typedef struct group_tables {
    tl_pass_prompt *prompts;
    tl_reading *readings; /* up to 2 TL_NODE_SITES of each prompt */
    int32_t *answers;     /* two of each */
} group_tables;

static tl_status take_tables(tl_arena *arena, size_t n_prompts, group_tables *out,
                             tl_error *err)
{
    const group_tables t = {
        .prompts = tl_arena_alloc(arena, n_prompts, sizeof *t.prompts),
        .readings =
            tl_arena_alloc(arena, 2 * TL_NODE_SITES * n_prompts, sizeof *t.readings),
        .answers = tl_arena_alloc(arena, 2 * n_prompts, sizeof *t.answers)};
    if (t.prompts == NULL || t.readings == NULL || t.answers == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a pass over %zu prompts",
                       n_prompts);
    *out = t;
    return TL_OK;
}

/* Checks the pairs and gives them their buffers, all 0. */
static tl_status begin_pairs(tl_attribution *a, const tl_pair *pairs, size_t n,
                             pair_buffers *of, tl_error *err)
{
    const tl_dims *d = &a->dims;
    size_t count = 0, first = 0;
    for (size_t i = 0; i < n; i++) {
        const tl_status status = tl_pair_check(&pairs[i], a->n_pos, err);
        if (status != TL_OK)
            return status;
        of[i] =
            (pair_buffers){.pair = &pairs[i], .delta = tl_pair_nodes_of(&pairs[i], d)};
        count += buffers_count(a, &of[i].delta);
    }
    const size_t bytes = count * sizeof(float);
    tl_status status =
        room_beside(a, bytes > a->buffers.capacity ? bytes : a->buffers.capacity,
                    &a->pass_budget, err);
    if (status == TL_OK)
        status = tl_array_reset(&a->buffers, a->model, TL_F32, count, err);
    if (status != TL_OK)
        return tl_fail_while(err, status, "the attribution of %zu pairs", n);
    for (size_t i = 0; i < n; i++) {
        const size_t places = d->n_layers * of[i].delta.n_rows;
        of[i].gradient_z = tl_array_f32(&a->buffers, first);
        of[i].gradient_mlp = of[i].gradient_z + places * d->n_heads * d->d_head;
        tl_pair_nodes_place(&of[i].delta, d, &a->buffers,
                            first + gradient_count(a, of[i].delta.n_rows));
        first += buffers_count(a, &of[i].delta);
    }
    return TL_OK;
}

/* Of the counterfactuals: leaves a' in delta, and keys and values of the shared positions.
 * Of the clean prompts, then: takes a from delta. */
static tl_status run_values(tl_attribution *a, pair_buffers *of, size_t n, bool clean,
                            const group_tables *t, tl_error *err)
{
    for (size_t i = 0; i < n; i++) {
        tl_pair_nodes *delta = &of[i].delta;
        t->prompts[i] = clean
                            ? tl_pair_rest_prompt(&of[i].pair->clean, delta)
                            : tl_pair_whole_prompt(&of[i].pair->counterfactual, delta);
        tl_pair_nodes_read(delta, clean ? TL_READ_SUBTRACT : TL_READ_COPY, false, i,
                           delta->z, delta->mlp_post, t->readings + i * TL_NODE_SITES);
    }
    const tl_pass_options options = {.readings = t->readings,
                                     .n_readings = n * TL_NODE_SITES,
                                     .last_only = true,
                                     .memory_budget = a->pass_budget};
    return tl_pass_forward(a->pass, t->prompts, n, &options, err);
}

/* x_k of a pair, at the positions behind the shared prefix, in `x`. */
static tl_input step_input(const tl_attribution *a, const ig_step *s, float *x)
{
    return tl_pair_between(s->of->pair, tl_attribution_at(&a->options, s->step),
                           a->options.ig_path == TL_IG_TEXT_ONLY, s->of->delta.n_prefix,
                           a->dims.d_model, x);
}

/* Step number i of a group; the clean step of each pair is the first. */
static ig_step step_at(const tl_attribution *a, pair_buffers *of, size_t i)
{
    return (ig_step){&of[i / a->options.ig_steps],
                     a->options.ig_steps - i % a->options.ig_steps};
}

/* Adds the gradients of n steps of a group, and subtracts a of those that are the clean
 * prompt. */
static tl_status run_steps(tl_attribution *a, pair_buffers *group, size_t first,
                           size_t n, const group_tables *t, tl_error *err)
{
    tl_pass_options options = step_options(a);
    options.readings = t->readings;
    size_t n_readings = 0;
    for (size_t i = 0; i < n; i++) {
        const ig_step s = step_at(a, group, first + i);
        const pair_buffers *of = s.of;
        const tl_input input =
            step_input(a, &s, a->inputs + i * (input_bytes(a) / sizeof *a->inputs));
        t->prompts[i] = tl_pair_rest_prompt(&input, &of->delta);
        t->answers[i] = of->pair->answer;
        t->answers[n + i] = of->pair->counterfactual_answer;
        tl_pair_nodes_read(&of->delta, TL_READ_ADD, true, i, of->gradient_z,
                           of->gradient_mlp, t->readings + n_readings);
        n_readings += TL_NODE_SITES;
        if (tl_attribution_at(&a->options, s.step) == 1.0) {
            tl_pair_nodes_read(&of->delta, TL_READ_SUBTRACT, false, i, of->delta.z,
                               of->delta.mlp_post, t->readings + n_readings);
            n_readings += TL_NODE_SITES;
        }
    }
    options.n_readings = n_readings;
    if (options.memory_budget > 0)
        options.memory_budget -= a->n_inputs * input_bytes(a);
    const tl_status status = tl_pass_forward(a->pass, t->prompts, n, &options, err);
    return status == TL_OK ? tl_pass_backward(a->pass, t->answers, t->answers + n, err)
                           : status;
}

/* Room for n interpolated inputs, which the pass makes. */
static tl_status reserve_inputs(tl_attribution *a, size_t n, tl_error *err)
{
    if (a->pass_budget > 0)
        tl_pass_shrink(a->pass, a->pass_budget - n * input_bytes(a));
    a->inputs = tl_alloc(n, input_bytes(a));
    if (a->inputs == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu interpolated inputs",
                       n);
    a->n_inputs = n;
    return TL_OK;
}

/* ---- from delta and gradient to scores --------------------------------------------- */

/* A layer of a buffer [n_layers, n_rows, width], for the host. */
static tl_status get_layer(const tl_attribution *a, const float *buffer, size_t layer,
                           size_t n_rows, size_t width, tl_arena *arena,
                           const float **out, tl_error *err)
{
    const void *values = NULL;
    const size_t first = (size_t)(buffer - tl_array_f32(&a->buffers, 0));
    const tl_status status = tl_array_get(&a->buffers, first + layer * n_rows * width,
                                          n_rows * width, arena, &values, err);
    if (status == TL_OK)
        *out = values;
    return status;
}

static void add_neurons(const tl_attribution *a, size_t count, const float *delta,
                        const float *gradient, double *sum)
{
    const double steps = (double)a->options.ig_steps;
    const bool absolute =
        !a->options.raw_sign && a->options.prompt_reduce == TL_PROMPT_ABS;
    for (size_t i = 0; i < count; i++) {
        const double s = (double)delta[i] * (double)gradient[i] / steps;
        sum[i] += absolute ? fabs(s) : s;
    }
}

/* `count` heads; `sum` has one element of each, or d_head. */
static void add_heads(const tl_attribution *a, size_t count, const float *delta,
                      const float *gradient, double *sum)
{
    const tl_attribution_options *o = &a->options;
    const size_t d_head = a->dims.d_head;
    const double steps = (double)o->ig_steps;
    const bool absolute = !o->raw_sign && o->prompt_reduce == TL_PROMPT_ABS;
    const bool dims = tl_attribution_sums_per_head(o, &a->dims) > 1;
    for (size_t h = 0; h < count; h++) {
        double dot = 0.0, dot_abs = 0.0;
        for (size_t i = h * d_head; i < (h + 1) * d_head; i++) {
            const double s = (double)delta[i] * (double)gradient[i] / steps;
            dot += s;
            dot_abs += fabs(s);
            if (dims)
                sum[i] += s;
        }
        if (!dims)
            sum[h] += !absolute                           ? dot
                      : o->head_reduce == TL_HEAD_ABS_DIM ? dot_abs
                                                          : fabs(dot);
    }
}

static void add_magnitudes(size_t count, size_t per_component, const float *delta,
                           double *sum)
{
    for (size_t c = 0; c < count; c++) {
        double magnitude = 0.0;
        for (size_t i = c * per_component; i < (c + 1) * per_component; i++)
            magnitude += fabs((double)delta[i]);
        sum[c] += magnitude;
    }
}

/* The block under way of a sum. */
static double *block_of(const tl_attribution *a, size_t sum)
{
    return a->sums[sum] + sum_elements(a, sum);
}

/* Adds the block under way to the total, and begins the next. */
static void end_block(tl_attribution *a)
{
    for (size_t i = 0; i < sum_count(a); i++) {
        double *total = a->sums[i], *block = block_of(a, i);
        for (size_t k = 0; k < sum_elements(a, i); k++) {
            total[k] += block[k];
            block[k] = 0.0;
        }
    }
}

void tl_attribution_count_block(tl_attribution *a, size_t n_pairs)
{
    a->n_pairs += n_pairs;
    if (a->n_pairs % TL_ATTRIBUTION_BLOCK == 0)
        end_block(a);
}

/* Adds one pair's S to the block under way. */
static tl_status add_scores(tl_attribution *a, const pair_buffers *of, tl_error *err)
{
    const tl_dims *d = &a->dims;
    const size_t n_rows = of->delta.n_rows, z_width = d->n_heads * d->d_head,
                 head_sums = d->n_heads * tl_attribution_sums_per_head(&a->options, d);
    tl_status status = TL_OK;
    for (size_t l = 0; l < d->n_layers && status == TL_OK; l++) {
        const tl_arena_mark mark = tl_arena_get_mark(a->arena);
        const float *delta_z = NULL, *delta_mlp = NULL, *gradient_z = NULL,
                    *gradient_mlp = NULL;
        const size_t place = l * a->n_pos + of->delta.n_prefix;
        if ((status = get_layer(a, of->delta.z, l, n_rows, z_width, a->arena, &delta_z,
                                err)) == TL_OK &&
            (status = get_layer(a, of->delta.mlp_post, l, n_rows, d->d_mlp, a->arena,
                                &delta_mlp, err)) == TL_OK &&
            (status = get_layer(a, of->gradient_z, l, n_rows, z_width, a->arena,
                                &gradient_z, err)) == TL_OK &&
            (status = get_layer(a, of->gradient_mlp, l, n_rows, d->d_mlp, a->arena,
                                &gradient_mlp, err)) == TL_OK) {
            add_heads(a, n_rows * d->n_heads, delta_z, gradient_z,
                      block_of(a, HEADS) + place * head_sums);
            add_neurons(a, n_rows * d->d_mlp, delta_mlp, gradient_mlp,
                        block_of(a, NEURONS) + place * d->d_mlp);
        }
        if (status == TL_OK && a->options.magnitudes) {
            add_magnitudes(n_rows * d->n_heads, d->d_head, delta_z,
                           block_of(a, HEAD_MAGNITUDES) + place * d->n_heads);
            add_magnitudes(n_rows * d->d_mlp, 1, delta_mlp,
                           block_of(a, NEURON_MAGNITUDES) + place * d->d_mlp);
        }
        tl_arena_rewind(a->arena, mark);
    }
    return status;
}

static tl_status add_group(tl_attribution *a, const tl_pair *pairs, size_t n,
                           tl_error *err)
{
    const size_t n_steps = n * a->options.ig_steps;
    pair_buffers *of = tl_arena_alloc(a->arena, n, sizeof *of);
    if (of == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a group of %zu pairs", n);
    tl_status status = begin_pairs(a, pairs, n, of, err);
    if (status != TL_OK)
        return status;
    size_t least_prefix = a->n_pos;
    for (size_t i = 0; i < n; i++)
        least_prefix = smaller(least_prefix, of[i].delta.n_prefix);
    const tl_pass_options back = step_options(a), forward = {.last_only = true};
    const tl_batch_prompt step = step_prompt(a, least_prefix),
                          whole = {.n_pos = a->n_pos, .table_bytes = step.table_bytes};
    size_t per_forward = 1, per_pass = 1;
    status = tl_experiment_batch(a->model, &forward, &whole, a->pass_budget,
                                 &per_forward, err);
    if (status == TL_OK)
        status =
            tl_experiment_batch(a->model, &back, &step, a->pass_budget, &per_pass, err);
    if (status != TL_OK)
        return status;
    per_forward = smaller(per_forward, n);
    per_pass = smaller(per_pass, n_steps);
    group_tables t = {0};
    if ((status = take_tables(a->arena, per_pass > per_forward ? per_pass : per_forward,
                              &t, err)) != TL_OK)
        return status;
    for (size_t i = 0; i < n && status == TL_OK; i += per_forward)
        status = run_values(a, of + i, smaller(per_forward, n - i), false, &t, err);
    const size_t n_clean = a->options.ig_rule == TL_IG_MIDPOINT ? n : 0;
    for (size_t i = 0; i < n_clean && status == TL_OK; i += per_forward)
        status = run_values(a, of + i, smaller(per_forward, n - i), true, &t, err);
    if (status == TL_OK)
        status = reserve_inputs(a, per_pass, err);
    /* Passes of even size. */
    const size_t n_passes = (n_steps + per_pass - 1) / per_pass;
    for (size_t i = 0; i < n_passes && status == TL_OK; i++) {
        const size_t first = i * n_steps / n_passes, end = (i + 1) * n_steps / n_passes;
        status = run_steps(a, of, first, end - first, &t, err);
    }
    release_inputs(a);
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        status = add_scores(a, &of[i], err);
        if (status == TL_OK && ++a->n_pairs % TL_ATTRIBUTION_BLOCK == 0)
            end_block(a);
    }
    return status;
}

tl_status tl_attribution_add(tl_attribution *a, const tl_pair *pairs, size_t n_pairs,
                             tl_error *err)
{
    const size_t group = tl_attribution_group(a);
    tl_status status = TL_OK;
    for (size_t i = 0; i < n_pairs && status == TL_OK; i += group) {
        const tl_arena_mark mark = tl_arena_get_mark(a->arena);
        status =
            add_group(a, pairs + i, n_pairs - i < group ? n_pairs - i : group, err);
        tl_arena_rewind(a->arena, mark);
    }
    return status;
}

/* The mean over all pairs of element i of a sum. */
static double mean_of(const tl_attribution *a, size_t sum, size_t i)
{
    return (a->sums[sum][i] + block_of(a, sum)[i]) / (double)a->n_pairs;
}

tl_status tl_attribution_scores(const tl_attribution *a, tl_arena *arena,
                                tl_scores *out, tl_error *err)
{
    const tl_attribution_sums sums = {
        .heads = {.plus = {a->sums[HEADS], block_of(a, HEADS)}},
        .neurons = {.plus = {a->sums[NEURONS], block_of(a, NEURONS)}},
        .n_pairs = a->n_pairs};
    return tl_attribution_reduce(&a->options, &a->dims, a->n_pos, &sums, arena, out,
                                 err);
}

tl_status tl_attribution_magnitudes(const tl_attribution *a, tl_arena *arena,
                                    tl_scores *out, tl_error *err)
{
    tl_scores scores;
    if (!a->options.magnitudes)
        return tl_fail(err, TL_ERR_ARGUMENT, "an attribution without magnitudes");
    const tl_status status =
        tl_attribution_take_scores(&a->dims, a->n_pos, a->n_pairs, arena, &scores, err);
    if (status != TL_OK)
        return status;
    for (size_t i = 0; i < sum_elements(a, HEAD_MAGNITUDES); i++)
        scores.heads[i] = (float)mean_of(a, HEAD_MAGNITUDES, i);
    for (size_t i = 0; i < sum_elements(a, NEURON_MAGNITUDES); i++)
        scores.neurons[i] = (float)mean_of(a, NEURON_MAGNITUDES, i);
    *out = scores;
    return TL_OK;
}
