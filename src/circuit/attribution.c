/* SPDX-License-Identifier: MIT
 *
 * attribution.c - node attribution by integrated gradients (docs/math.md eq. 3;
 * include/twinlens/circuit.h).
 *
 *     x_k = e' + k/m (e - e')                                  k = 1 .. m
 *     S(u) = 1/m | (a'_u - a_u) sum_k d LD / d a_u at x_k |
 *
 * e, a of the clean prompt, e', a' of its counterfactual. What is not computed:
 *
 * - x_m is the clean prompt, so step m's own activations are a: no clean run.
 * - Up to the first difference of the two prompts a' = a, and the score is 0. Those
 *   positions are run once, in the counterfactual pass, which leaves their keys and
 *   values to the steps.
 * - In the last layer only the last position reaches the logits.
 *
 * For each pair two buffers over its remaining positions: `delta` (a', from which
 * step m subtracts a) and `gradient` (the sum over steps). The steps of several
 * pairs make up one ragged pass; since a row's numbers do not depend on the batch,
 * how they are grouped is a matter of speed only.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "circuit/pair.h"
#include "base/sized.h"
#include "twinlens/alloc.h"

enum { DEFAULT_STEPS = 5, SMALL_GROUP_BYTES = 96 << 20 };

struct tl_attribution {
    tl_model *model;
    tl_pass *pass;
    tl_arena *arena; /* buffers of the group under way */
    tl_attribution_options options;
    tl_dims dims;
    size_t n_pos;
    double *heads, *neurons;   /* sums over pairs */
    size_t n_heads, n_neurons; /* elements of the sums */
    size_t n_pairs;
};

/* One pair of the group under way. */
typedef struct work {
    const tl_pair *pair;
    size_t n_prefix, n_rows; /* n_rows = n_pos - n_prefix */
    tl_prefix prefix;
    float *delta_z, *delta_mlp;       /* [n_layers, n_rows, n_heads * d_head | d_mlp] */
    float *gradient_z, *gradient_mlp; /* the same */
} work;

/* One prompt of a pass. Step 0 is the counterfactual run. */
typedef struct lane {
    work *work;
    size_t step;
} lane;

typedef struct listener {
    const tl_attribution *attribution;
    const lane *lanes;
} listener;

/* Whether head sums are kept for each of the d_head dimensions. */
static bool keeps_dims(const tl_attribution_options *o)
{
    return !o->raw_sign && o->prompt_reduce == TL_PROMPT_SIGNED &&
           o->head_reduce == TL_HEAD_ABS_DIM;
}

tl_status tl_attribution_create(tl_model *model, size_t n_pos,
                                const tl_attribution_options *options,
                                tl_attribution **out, tl_error *err)
{
    tl_attribution_options o;
    tl_status status =
        tl_sized_copy(options, &o, sizeof o, "tl_attribution_options", err);
    if (status != TL_OK)
        return status;
    tl_attribution *a = tl_alloc_zero(1, sizeof *a);
    if (a == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an attribution");
    a->model = model;
    a->dims = *tl_model_dims(model);
    a->n_pos = n_pos;
    a->options = o;
    if (a->options.ig_steps == 0)
        a->options.ig_steps = DEFAULT_STEPS;
    const size_t places = a->dims.n_layers * n_pos;
    a->n_heads =
        places * a->dims.n_heads * (keeps_dims(&a->options) ? a->dims.d_head : 1);
    a->n_neurons = places * a->dims.d_mlp;
    a->heads = tl_alloc_zero(a->n_heads, sizeof *a->heads);
    a->neurons = tl_alloc_zero(a->n_neurons, sizeof *a->neurons);
    a->arena = tl_arena_create();
    if (a->heads == NULL || a->neurons == NULL || a->arena == NULL)
        status =
            tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the scores of %zu components",
                    places * (a->dims.n_heads + a->dims.d_mlp));
    if (status == TL_OK)
        status = tl_pass_create(model, &a->pass, err);
    if (status != TL_OK) {
        tl_attribution_destroy(a);
        return status;
    }
    *out = a;
    return TL_OK;
}

void tl_attribution_destroy(tl_attribution *a)
{
    if (a == NULL)
        return;
    tl_pass_destroy(a->pass);
    tl_arena_destroy(a->arena);
    tl_free(a->heads);
    tl_free(a->neurons);
    tl_free(a);
}

tl_attribution_state tl_attribution_get_state(tl_attribution *a)
{
    return (tl_attribution_state){a->heads, a->neurons, a->n_heads, a->n_neurons,
                                  a->n_pairs};
}

void tl_attribution_set_count(tl_attribution *a, size_t n_pairs)
{
    a->n_pairs = n_pairs;
}

/* ---- how much at a time --------------------------------------------------------- */

/* Bytes of the four buffers of one pair with n_rows positions. */
static size_t pair_bytes(const tl_attribution *a, size_t n_rows)
{
    const tl_dims *d = &a->dims;
    return 2 * d->n_layers * n_rows * (d->n_heads * d->d_head + d->d_mlp) *
           sizeof(float);
}

static tl_pass_options step_options(const tl_attribution *a)
{
    return (tl_pass_options){
        .for_backward = true,
        .last_only = true,
        .memory_budget = a->options.memory_budget,
    };
}

size_t tl_attribution_group(const tl_attribution *a)
{
    size_t lanes = 1;
    const tl_pass_options options = step_options(a);
    if (tl_lanes_per_pass(a->model, &options, a->n_pos, &lanes, NULL) != TL_OK)
        return 1;
    const size_t pairs = (lanes + a->options.ig_steps - 1) / a->options.ig_steps;
    const size_t fit = SMALL_GROUP_BYTES / pair_bytes(a, a->n_pos);
    return pairs < fit ? pairs : fit > 0 ? fit : 1;
}

/* ---- what passes the taps -------------------------------------------------------- */

static tl_status see(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    const listener *listen = user;
    const lane *from = &listen->lanes[e->prompt];
    const work *w = from->work;
    const bool counterfactual = from->step == 0;
    const bool clean = from->step == listen->attribution->options.ig_steps;
    if (!e->backward && !counterfactual && !clean)
        return TL_OK;
    float *to = e->site == TL_SITE_Z ? (e->backward ? w->gradient_z : w->delta_z)
                                     : (e->backward ? w->gradient_mlp : w->delta_mlp);
    /* The counterfactual pass also runs the shared positions: skip them. */
    const size_t first = e->first_pos > w->n_prefix ? e->first_pos : w->n_prefix;
    const float *values = e->values + (first - e->first_pos) * e->width;
    const size_t count = (e->first_pos + e->n_pos - first) * e->width;
    to += (e->layer * w->n_rows + (first - w->n_prefix)) * e->width;
    if (e->backward)
        for (size_t i = 0; i < count; i++)
            to[i] += values[i];
    else if (counterfactual)
        memcpy(to, values, count * sizeof *to);
    else
        for (size_t i = 0; i < count; i++)
            to[i] -= values[i];
    return TL_OK;
}

/* ---- one group of pairs ------------------------------------------------------------ */

static tl_status begin_pair(tl_attribution *a, const tl_pair *pair, work *w,
                            tl_error *err)
{
    const tl_dims *d = &a->dims;
    *w = (work){.pair = pair};
    tl_status status = tl_pair_check(pair, a->n_pos, err);
    if (status != TL_OK)
        return status;
    w->n_prefix = tl_pair_shared_prefix(pair, d->d_model);
    w->n_rows = a->n_pos - w->n_prefix;
    if ((status = tl_prefix_take(a->arena, d, w->n_prefix, &w->prefix, err)) != TL_OK)
        return status;
    const size_t places = d->n_layers * w->n_rows, z_width = d->n_heads * d->d_head;
    w->delta_z = tl_arena_alloc_zero(a->arena, places * z_width, sizeof(float));
    w->delta_mlp = tl_arena_alloc_zero(a->arena, places * d->d_mlp, sizeof(float));
    w->gradient_z = tl_arena_alloc_zero(a->arena, places * z_width, sizeof(float));
    w->gradient_mlp = tl_arena_alloc_zero(a->arena, places * d->d_mlp, sizeof(float));
    if (w->delta_z == NULL || w->delta_mlp == NULL || w->gradient_z == NULL ||
        w->gradient_mlp == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY,
                       "no memory for the attribution of one pair, %zu MiB",
                       pair_bytes(a, w->n_rows) >> 20);
    return TL_OK;
}

static tl_status run_counterfactuals(tl_attribution *a, work *works, size_t n,
                                     lane *lanes, tl_pass_prompt *prompts,
                                     tl_error *err)
{
    listener listen = {a, lanes};
    const tl_tap tap = {.on_site = see,
                        .user = &listen,
                        .sites =
                            TL_SITE_BIT(TL_SITE_Z) | TL_SITE_BIT(TL_SITE_MLP_POST)};
    const tl_pass_options options = {.taps = &tap,
                                     .n_taps = 1,
                                     .last_only = true,
                                     .memory_budget = a->options.memory_budget};
    for (size_t i = 0; i < n; i++) {
        lanes[i] = (lane){&works[i], 0};
        prompts[i] = (tl_pass_prompt){
            .input = works[i].pair->counterfactual,
            .collect = works[i].n_prefix > 0 ? &works[i].prefix : NULL,
        };
    }
    return tl_pass_forward(a->pass, prompts, n, &options, err);
}

/* x_k of a pair, at the positions behind the shared prefix. */
static tl_status step_input(const tl_attribution *a, const work *w, size_t step,
                            tl_arena *arena, tl_input *out, tl_error *err)
{
    *out = w->pair->clean;
    if (step == a->options.ig_steps)
        return TL_OK; /* exactly the clean prompt */
    const size_t d_model = a->dims.d_model;
    const float *clean = w->pair->clean.embeds, *other = w->pair->counterfactual.embeds;
    float *x = tl_arena_alloc(arena, a->n_pos * d_model, sizeof *x);
    if (x == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an interpolated input");
    const double t = (double)step / (double)a->options.ig_steps;
    for (size_t p = w->n_prefix; p < a->n_pos; p++) {
        const bool fixed =
            a->options.ig_path == TL_IG_TEXT_ONLY && w->pair->clean.is_image[p];
        for (size_t i = p * d_model; i < (p + 1) * d_model; i++)
            x[i] = fixed ? clean[i]
                         : (float)((double)other[i] +
                                   t * ((double)clean[i] - (double)other[i]));
    }
    out->embeds = x;
    return TL_OK;
}

static tl_status run_steps(tl_attribution *a, const lane *lanes, size_t n,
                           tl_pass_prompt *prompts, int32_t *answers, tl_error *err)
{
    listener listen = {a, lanes};
    const tl_tap tap = {.on_site = see,
                        .user = &listen,
                        .sites =
                            TL_SITE_BIT(TL_SITE_Z) | TL_SITE_BIT(TL_SITE_MLP_POST)};
    tl_pass_options options = step_options(a);
    options.taps = &tap;
    options.n_taps = 1;
    const tl_arena_mark mark = tl_arena_get_mark(a->arena);
    tl_status status = TL_OK;
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        const work *w = lanes[i].work;
        prompts[i] = (tl_pass_prompt){.prefix = w->n_prefix > 0 ? &w->prefix : NULL};
        answers[i] = w->pair->answer;
        answers[n + i] = w->pair->counterfactual_answer;
        status = step_input(a, w, lanes[i].step, a->arena, &prompts[i].input, err);
    }
    if (status == TL_OK)
        status = tl_pass_forward(a->pass, prompts, n, &options, err);
    if (status == TL_OK)
        status = tl_pass_backward(a->pass, answers, answers + n, err);
    tl_arena_rewind(a->arena, mark);
    return status;
}

/* Adds one pair's S to the sums. */
static void add_scores(tl_attribution *a, const work *w)
{
    const tl_dims *d = &a->dims;
    const tl_attribution_options *o = &a->options;
    const double steps = (double)o->ig_steps;
    const bool absolute = !o->raw_sign && o->prompt_reduce == TL_PROMPT_ABS;
    const bool dims = keeps_dims(o);
    for (size_t l = 0; l < d->n_layers; l++) {
        for (size_t r = 0; r < w->n_rows; r++) {
            const size_t from = l * w->n_rows + r, to = l * a->n_pos + w->n_prefix + r;
            const float *delta = w->delta_mlp + from * d->d_mlp;
            const float *gradient = w->gradient_mlp + from * d->d_mlp;
            double *sum = a->neurons + to * d->d_mlp;
            for (size_t j = 0; j < d->d_mlp; j++) {
                const double s = (double)delta[j] * (double)gradient[j] / steps;
                sum[j] += absolute ? fabs(s) : s;
            }
            for (size_t h = 0; h < d->n_heads; h++) {
                const size_t at = (from * d->n_heads + h) * d->d_head;
                double dot = 0.0, dot_abs = 0.0;
                for (size_t i = 0; i < d->d_head; i++) {
                    const double s = (double)w->delta_z[at + i] *
                                     (double)w->gradient_z[at + i] / steps;
                    dot += s;
                    dot_abs += fabs(s);
                    if (dims)
                        a->heads[(to * d->n_heads + h) * d->d_head + i] += s;
                }
                if (!dims)
                    a->heads[to * d->n_heads + h] += !absolute ? dot
                                                     : o->head_reduce == TL_HEAD_ABS_DIM
                                                         ? dot_abs
                                                         : fabs(dot);
            }
        }
    }
    a->n_pairs++;
}

static tl_status add_group(tl_attribution *a, const tl_pair *pairs, size_t n,
                           tl_error *err)
{
    const size_t steps = a->options.ig_steps;
    work *works = tl_arena_alloc(a->arena, n, sizeof *works);
    lane *lanes = tl_arena_alloc(a->arena, n * steps, sizeof *lanes);
    tl_pass_prompt *prompts = tl_arena_alloc(a->arena, n * steps, sizeof *prompts);
    int32_t *answers = tl_arena_alloc(a->arena, 2 * n * steps, sizeof *answers);
    if (works == NULL || lanes == NULL || prompts == NULL || answers == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a group of %zu pairs", n);
    tl_status status = TL_OK;
    size_t most_rows = 0, buffers = 0;
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        status = begin_pair(a, &pairs[i], &works[i], err);
        most_rows = works[i].n_rows > most_rows ? works[i].n_rows : most_rows;
        buffers += pair_bytes(a, works[i].n_rows);
    }
    if (status == TL_OK)
        status = run_counterfactuals(a, works, n, lanes, prompts, err);
    if (status != TL_OK)
        return status;

    tl_pass_options options = step_options(a);
    if (options.memory_budget > buffers)
        options.memory_budget -= buffers;
    size_t per_pass = 1;
    status = tl_lanes_per_pass(a->model, &options, most_rows, &per_pass, err);
    if (status != TL_OK)
        return status;
    /* Passes of even size; the clean step of each pair first. */
    for (size_t i = 0; i < n * steps; i++)
        lanes[i] = (lane){&works[i / steps], steps - i % steps};
    const size_t n_passes = (n * steps + per_pass - 1) / per_pass;
    for (size_t i = 0; i < n_passes && status == TL_OK; i++) {
        const size_t first = i * n * steps / n_passes,
                     end = (i + 1) * n * steps / n_passes;
        status = run_steps(a, lanes + first, end - first, prompts, answers, err);
    }
    for (size_t i = 0; i < n && status == TL_OK; i++)
        add_scores(a, &works[i]);
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

tl_status tl_attribution_scores(const tl_attribution *a, tl_arena *arena,
                                tl_scores *out, tl_error *err)
{
    const tl_dims *d = &a->dims;
    if (a->n_pairs == 0)
        return tl_fail(err, TL_ERR_DATA, "no pair was attributed: there are no scores");
    const size_t places = d->n_layers * a->n_pos;
    tl_scores scores = {d->n_layers, a->n_pos, d->n_heads, d->d_mlp, NULL, NULL};
    scores.heads = tl_arena_alloc(arena, places * d->n_heads, sizeof *scores.heads);
    scores.neurons = tl_arena_alloc(arena, places * d->d_mlp, sizeof *scores.neurons);
    if (scores.heads == NULL || scores.neurons == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY,
                       "no memory for the scores of %zu components",
                       places * (d->n_heads + d->d_mlp));
    const double n = (double)a->n_pairs;
    const bool sign = a->options.raw_sign;
    const size_t per_head = keeps_dims(&a->options) ? d->d_head : 1;
    for (size_t i = 0; i < places * d->n_heads; i++) {
        double sum = 0.0;
        for (size_t k = 0; k < per_head; k++) {
            const double mean = a->heads[i * per_head + k] / n;
            sum += sign ? mean : fabs(mean);
        }
        scores.heads[i] = (float)sum;
    }
    for (size_t i = 0; i < places * d->d_mlp; i++) {
        const double mean = a->neurons[i] / n;
        scores.neurons[i] = (float)(sign ? mean : fabs(mean));
    }
    *out = scores;
    return TL_OK;
}
