/* SPDX-License-Identifier: MIT
 *
 * pass.c - the decoder, there and back: the one loop that all models share.
 *
 * What the code keeps to:
 *
 * 1. Activations are memory of the backend, and only the backend reads and writes them.
 *    They come from lay_out(), run on a measuring arena for the plan and then on an arena
 *    over one slab of the backend. Small tables are memory of the host. Attention's
 *    scratch is the backend's, planned here and reserved before the first layer.
 * 2. For the way back, resid_pre of every layer is kept, as it was edited. The
 *    last n_kept layers keep all of tl_layer; the others share one and are computed
 *    again, as far as the way back needs them: edited again, and not read again.
 */
#include "model/pass_private.h"

#include "base/sized.h"
#include "twinlens/alloc.h"

/* What a batch takes, in bytes. */
typedef struct pass_plan {
    size_t all;       /* activations, tables and scratch */
    size_t slab;      /* activations, with the gaps of a build with AddressSanitizer */
    size_t attention; /* the backend's scratch */
    uint64_t multiply_adds; /* of products, there and back */
} pass_plan;

/* ---- memory ------------------------------------------------------------------ */

typedef struct taker {
    tl_arena *arena;
    bool failed;
} taker;

static void *take(taker *t, size_t count, size_t size)
{
    void *memory = tl_arena_alloc(t->arena, count, size);
    if (memory == NULL && !tl_arena_is_measuring(t->arena))
        t->failed = true;
    return memory;
}

static float *take_floats(taker *t, size_t rows, size_t width)
{
    return take(t, rows * width, sizeof(float));
}

static tl_layer take_layer(taker *t, const tl_spec *spec, size_t n_rows, size_t n_query)
{
    const tl_dims *d = &spec->dims;
    const size_t q_width = d->n_heads * d->d_head, kv_width = d->n_kv_heads * d->d_head;
    tl_layer y = {
        .attn_inv_rms = take_floats(t, n_rows, 1),
        .mlp_inv_rms = take_floats(t, n_query, 1),
        .q = take_floats(t, n_query, q_width),
        .k = take_floats(t, n_rows, kv_width),
        .v = take_floats(t, n_rows, kv_width),
        .z = take_floats(t, n_query, q_width),
        .lse = take_floats(t, n_query, d->n_heads),
        .resid_mid = take_floats(t, n_query, d->d_model),
        .gate = take_floats(t, n_query, d->d_mlp),
        .up = take_floats(t, n_query, d->d_mlp),
    };
    if (spec->qk_norm) {
        y.q_raw = take_floats(t, n_query, q_width);
        y.k_raw = take_floats(t, n_rows, kv_width);
        y.q_inv_rms = take_floats(t, n_query, d->n_heads);
        y.k_inv_rms = take_floats(t, n_rows, d->n_kv_heads);
    }
    if (spec->post_norms) {
        y.attn_raw = take_floats(t, n_query, d->d_model);
        y.attn_raw_inv_rms = take_floats(t, n_query, 1);
        y.mlp_raw = take_floats(t, n_query, d->d_model);
        y.mlp_raw_inv_rms = take_floats(t, n_query, 1);
    }
    return y;
}

/* Of the layers that share one tl_layer, the last is still there on the way back. */
static bool is_computed_again(const tl_pass *pass, size_t l)
{
    const size_t L = pass->model->spec.dims.n_layers;
    return l + pass->n_kept < L && l + 1 < L;
}

/* Gives every activation its place; false if the arena ran out. On a measuring arena
 * the pointers are NULL and only the arena's peak matters. */
static bool lay_out(tl_pass *pass, tl_arena *arena)
{
    const tl_spec *spec = &pass->model->spec;
    const tl_dims *d = &spec->dims;
    const size_t R = pass->n_rows, P = pass->n_prompts, L = d->n_layers;
    const size_t half = d->d_head / 2;
    const size_t Q =
        tl_batch_query_rows(pass, L - 1); /* rows of the last layer's output */
    const bool back = pass->options.for_backward,
               to_scores = pass->options.backward_rule == TL_BACKWARD_GRADIENT;
    taker t = {.arena = arena};

    pass->cosine = take_floats(&t, R, half);
    pass->sine = take_floats(&t, R, half);
    pass->cosine_sliding = spec->window > 0 ? take_floats(&t, R, half) : NULL;
    pass->sine_sliding = spec->window > 0 ? take_floats(&t, R, half) : NULL;
    pass->cosine_last = pass->options.last_only ? take_floats(&t, P, half) : NULL;
    pass->sine_last = pass->options.last_only ? take_floats(&t, P, half) : NULL;

    /* Without a way back the whole stream is one buffer, and all layers are one. */
    float *stream = back ? NULL : take_floats(&t, R, d->d_model);
    float *last = back || Q == R ? NULL : take_floats(&t, Q, d->d_model);
    const tl_layer shared =
        pass->n_kept < L || !back ? take_layer(&t, spec, R, R) : (tl_layer){0};
    for (size_t l = 0; l <= L; l++) {
        const size_t n = l == L ? Q : R;
        pass->resid[l] = back ? take_floats(&t, n, d->d_model) : n == R ? stream : last;
        if (l < L)
            pass->layers[l] =
                back && l + pass->n_kept >= L
                    ? take_layer(&t, spec, R, tl_batch_query_rows(pass, l))
                    : shared;
    }
    pass->norm = take_floats(&t, R, d->d_model);
    pass->norm_last = Q != R ? take_floats(&t, Q, d->d_model) : NULL;
    pass->out = take_floats(&t, R, d->d_model);
    pass->mlp_post = take_floats(&t, R, d->d_mlp);
    pass->pattern_values = pass->options.n_patterns > 0
                               ? take_floats(&t, R, d->n_kv_heads * d->d_head)
                               : NULL;
    pass->final = take_floats(&t, Q, d->d_model);
    pass->final_inv_rms = take_floats(&t, Q, 1);
    if (back) {
        pass->d_resid = take_floats(&t, R, d->d_model);
        pass->d_mid = take_floats(&t, R, d->d_model);
        pass->d_norm = take_floats(&t, R, d->d_model);
        pass->d_out = spec->post_norms ? take_floats(&t, R, d->d_model) : NULL;
        pass->d_mlp_post = pass->mlp_post; /* the forward's is no longer needed */
        pass->d_gate = take_floats(&t, R, d->d_mlp);
        pass->d_up = take_floats(&t, R, d->d_mlp);
        pass->d_z = take_floats(&t, R, d->n_heads * d->d_head);
        pass->d_q = to_scores ? take_floats(&t, R, d->n_heads * d->d_head) : NULL;
        pass->d_k = to_scores ? take_floats(&t, R, d->n_kv_heads * d->d_head) : NULL;
        pass->d_v = take_floats(&t, R, d->n_kv_heads * d->d_head);
    }
    return !t.failed;
}

static double mebibytes(size_t bytes)
{
    return (double)bytes / (1 << 20);
}

/* Attention's scratch in the layer that needs most. */
static size_t attention_bytes(tl_pass *pass)
{
    tl_backend *b = pass->model->backend;
    size_t most = 0;
    for (size_t l = pass->options.first_layer; l < pass->model->spec.dims.n_layers; l++)
        for (int back = 0; back <= (pass->options.for_backward ? 1 : 0); back++) {
            const tl_attention shape = tl_batch_attention(pass, l);
            const size_t bytes = b->attention_bytes(b, &shape, pass->n_prompts,
                                                    pass->attention, back == 1);
            most = bytes > most ? bytes : most;
        }
    return most;
}

/* Of all products of a planned pass; layer.c has them in the same order. */
static uint64_t multiply_adds_of(const tl_pass *pass)
{
    const tl_pass_options *o = &pass->options;
    const tl_dims *d = &pass->model->spec.dims;
    const uint64_t q = (uint64_t)d->d_model * d->n_heads * d->d_head,
                   kv = (uint64_t)d->d_model * d->n_kv_heads * d->d_head,
                   mlp = (uint64_t)d->d_model * d->d_mlp;
    uint64_t sum = 0;
    for (size_t l = o->first_layer; l < d->n_layers; l++) {
        const uint64_t R = pass->n_rows, Q = tl_batch_query_rows(pass, l);
        if (o->keys_only)
            return 2 * R * kv;
        const uint64_t forward = Q * q + 2 * R * kv + Q * q + 3 * Q * mlp;
        sum += forward;
        if (!o->for_backward)
            continue;
        sum += forward;
        if (o->backward_rule == TL_BACKWARD_RELEVANCE)
            sum -= Q * q + R * kv; /* nothing at queries and keys */
        if (is_computed_again(pass, l))
            sum += forward - (pass->model->spec.post_norms ? 0 : Q * mlp);
    }
    return sum;
}

/* No more than `most_kept` kept layers, as many as the budget allows, and the bytes that this
 * takes. */
static tl_status make_plan(tl_pass *pass, size_t most_kept, pass_plan *out,
                           tl_error *err)
{
    const size_t budget = pass->options.memory_budget,
                 others = pass->table_bytes + attention_bytes(pass);
    size_t all = 0;
    for (size_t kept = pass->options.for_backward ? most_kept : 0;; kept--) {
        tl_arena *arena = tl_arena_create_measuring();
        if (arena == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a plan");
        pass->n_kept = kept;
        lay_out(pass, arena);
        const size_t slab = tl_arena_peak(arena),
                     real = tl_arena_bytes_to_borrow(arena);
        tl_arena_destroy(arena);
        all = slab > SIZE_MAX - others ? SIZE_MAX : slab + others;
        if (budget == 0 || all <= budget) {
            *out = (pass_plan){all, real, others - pass->table_bytes,
                               multiply_adds_of(pass)};
            return TL_OK;
        }
        if (kept == 0)
            break;
    }
    return tl_fail(err, TL_ERR_NO_MEMORY,
                   "a pass over %zu positions of %zu prompts needs %.1f MiB, the "
                   "budget is %.1f MiB",
                   pass->n_rows, pass->n_prompts, mebibytes(all), mebibytes(budget));
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* What the pass has of the backend and of the host, with that much scratch at least. */
static size_t held_bytes(const tl_pass *pass, size_t attention)
{
    return pass->slab_bytes + pass->table_capacity +
           larger(attention, pass->attention_kept);
}

/* All but the tables. */
static void give_back(tl_pass *pass)
{
    tl_backend *b = pass->model->backend;
    tl_arena_destroy(pass->activations);
    b->release(b, pass->slab);
    pass->activations = NULL;
    pass->slab = NULL;
    pass->slab_bytes = 0;
    if (pass->attention_kept > 0)
        b->reserve_attention(b, 0, NULL);
    pass->attention_kept = 0;
}

/* The slab is kept from batch to batch as long as it is big enough. */
static tl_status reserve(tl_pass *pass, const pass_plan *plan, tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const size_t budget = pass->options.memory_budget;
    const bool too_large =
        budget > 0 && held_bytes(pass, plan->attention) > larger(budget, plan->all);
    if (plan->slab > pass->slab_bytes || too_large) {
        give_back(pass);
        const tl_status status = b->allocate(b, plan->slab, &pass->slab, err);
        if (status != TL_OK)
            return tl_fail_while(err, status, "a pass of %.1f MiB",
                                 mebibytes(plan->all));
        pass->slab_bytes = plan->slab;
    }
    if (pass->activations == NULL)
        pass->activations = tl_arena_create_over(pass->slab, pass->slab_bytes);
    if (pass->activations == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a pass of %.1f MiB",
                       mebibytes(plan->all));
    tl_arena_rewind(pass->activations, (tl_arena_mark){0});
    const tl_status status = b->reserve_attention(b, plan->attention, err);
    if (status != TL_OK)
        return status;
    pass->attention_kept = larger(plan->attention, pass->attention_kept);
    if (!lay_out(pass, pass->activations))
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a pass of %.1f MiB",
                       mebibytes(plan->all));
    const size_t used =
        tl_arena_used(pass->activations) + pass->table_bytes + plan->attention;
    pass->peak = used > pass->peak ? used : pass->peak;
    return TL_OK;
}

tl_status tl_pass_create(tl_model *model, tl_pass **out, tl_error *err)
{
    tl_pass *pass = tl_alloc_zero(1, sizeof *pass);
    if (pass == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a pass");
    pass->model = model;
    *out = pass;
    return TL_OK;
}

void tl_pass_destroy(tl_pass *pass)
{
    if (pass == NULL)
        return;
    give_back(pass);
    tl_batch_release(pass);
    tl_free(pass);
}

static tl_status plan_bytes(const tl_model *model, const size_t *n_pos,
                            const size_t *n_prefix, size_t n_prompts,
                            const tl_pass_options *options, size_t budget,
                            size_t most_kept, pass_plan *out, tl_error *err)
{
    tl_pass pass = {.n_prompts = n_prompts};
    tl_pass_prompt *prompts = tl_alloc_zero(n_prompts, sizeof *prompts);
    tl_prefix *prefixes = tl_alloc_zero(n_prompts, sizeof *prefixes);
    pass_plan plan = {0};
    tl_status status = TL_OK;
    if (prompts == NULL || prefixes == NULL) {
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a plan");
        goto done;
    }
    for (size_t p = 0; p < n_prompts; p++) {
        prompts[p].input.n_pos = n_pos[p];
        prefixes[p].n_pos = n_prefix != NULL ? n_prefix[p] : 0;
        prompts[p].prefix = &prefixes[p];
    }
    pass.model = (tl_model *)(uintptr_t)model; /* nothing is computed with it */
    pass.prompts = prompts;
    pass.options = *options;
    pass.options.memory_budget = budget;
    if ((status = tl_batch_begin(&pass, true, err)) == TL_OK)
        status = make_plan(&pass, most_kept, &plan, err);
    if (status == TL_OK)
        *out = plan;
done:
    tl_free(prefixes);
    tl_free(prompts);
    tl_batch_release(&pass);
    return status;
}

/* The plan of these prompts: that of the options' budget, or of the least that will do. */
static tl_status plan_for(const tl_model *model, const size_t *n_pos,
                          const size_t *n_prefix, size_t n_prompts,
                          const tl_pass_options *options, bool least, pass_plan *out,
                          tl_error *err)
{
    tl_pass_options o;
    const tl_status status =
        tl_sized_copy(options, &o, sizeof o, "tl_pass_options", err);
    return status == TL_OK ? plan_bytes(model, n_pos, n_prefix, n_prompts, &o,
                                        least ? 0 : o.memory_budget,
                                        least ? 0 : model->spec.dims.n_layers, out, err)
                           : status;
}

tl_status tl_pass_bytes(const tl_model *model, const size_t *n_pos,
                        const size_t *n_prefix, size_t n_prompts,
                        const tl_pass_options *options, size_t *out, tl_error *err)
{
    pass_plan plan = {0};
    const tl_status status =
        plan_for(model, n_pos, n_prefix, n_prompts, options, false, &plan, err);
    if (status == TL_OK)
        *out = plan.all;
    return status;
}

tl_status tl_pass_flops(const tl_model *model, const size_t *n_pos,
                        const size_t *n_prefix, size_t n_prompts,
                        const tl_pass_options *options, uint64_t *out, tl_error *err)
{
    pass_plan plan = {0};
    const tl_status status =
        plan_for(model, n_pos, n_prefix, n_prompts, options, false, &plan, err);
    if (status == TL_OK)
        *out = 2 * plan.multiply_adds;
    return status;
}

tl_status tl_pass_attention_bytes(const tl_model *model, const size_t *n_pos,
                                  size_t n_prompts, const tl_pass_options *options,
                                  size_t *out, tl_error *err)
{
    pass_plan plan = {0};
    const tl_status status =
        plan_for(model, n_pos, NULL, n_prompts, options, false, &plan, err);
    if (status == TL_OK)
        *out = plan.attention;
    return status;
}

tl_status tl_pass_least_bytes(const tl_model *model, size_t n_pos,
                              const tl_pass_options *options, size_t *out,
                              tl_error *err)
{
    pass_plan plan = {0};
    const tl_status status =
        plan_for(model, &n_pos, NULL, 1, options, true, &plan, err);
    if (status == TL_OK)
        *out = plan.all;
    return status;
}

void tl_pass_shrink(tl_pass *pass, size_t bytes)
{
    if (held_bytes(pass, 0) <= bytes)
        return;
    give_back(pass);
    tl_batch_release(pass);
    pass->ready = pass->can_go_back = false;
}

size_t tl_pass_peak_bytes(const tl_pass *pass)
{
    return pass->peak;
}

/* ---- there and back ------------------------------------------------------------ */

static tl_status run_forward(tl_pass *pass, const tl_pass_prompt *prompts,
                             size_t n_prompts, const tl_pass_options *options,
                             tl_error *err)
{
    pass->ready = pass->can_go_back = false;
    tl_status status =
        tl_batch_check(prompts, n_prompts, pass->model->spec.dims.n_layers, err);
    if (status != TL_OK ||
        (status = tl_sized_copy(options, &pass->options, sizeof pass->options,
                                "tl_pass_options", err)) != TL_OK)
        return status;
    if (pass->options.first_layer >= pass->model->spec.dims.n_layers)
        return tl_fail(err, TL_ERR_ARGUMENT, "a pass from layer %zu of %zu",
                       pass->options.first_layer, pass->model->spec.dims.n_layers);
    if ((unsigned)pass->options.backward_rule > TL_BACKWARD_RELEVANCE)
        return tl_fail(err, TL_ERR_ARGUMENT, "there is no backward rule %u",
                       (unsigned)pass->options.backward_rule);
    if (pass->options.keys_only && pass->options.for_backward)
        return tl_fail(err, TL_ERR_ARGUMENT, "keys alone leave no way back");
    pass->prompts = prompts;
    pass->n_prompts = n_prompts;
    pass_plan plan;
    if ((status = tl_readings_check(pass->model, prompts, n_prompts, &pass->options,
                                    err)) != TL_OK ||
        (status = tl_patterns_check(prompts, n_prompts, &pass->options, err)) !=
            TL_OK ||
        (status = tl_batch_begin(pass, false, err)) != TL_OK ||
        (status = make_plan(pass, pass->model->spec.dims.n_layers, &plan, err)) !=
            TL_OK ||
        (status = reserve(pass, &plan, err)) != TL_OK ||
        (status = tl_batch_fill(pass, err)) != TL_OK)
        return status;

    const size_t L = pass->model->spec.dims.n_layers;
    if ((status = tl_finite_check_input(pass, err)) != TL_OK)
        return status;
    if (pass->options.keys_only)
        return tl_layer_forward(pass, pass->options.first_layer, err);
    for (size_t l = pass->options.first_layer; l < L; l++)
        if ((status = tl_layer_forward(pass, l, err)) != TL_OK ||
            (status = tl_finite_check_layer(pass, l, err)) != TL_OK)
            return status;
    tl_head_forward(pass);
    pass->ready = true;
    pass->can_go_back = pass->options.for_backward;
    return TL_OK;
}

tl_status tl_pass_forward(tl_pass *pass, const tl_pass_prompt *prompts,
                          size_t n_prompts, const tl_pass_options *options,
                          tl_error *err)
{
    tl_status status = tl_model_begin(pass->model, err);
    if (status != TL_OK)
        return status;
    status = run_forward(pass, prompts, n_prompts, options, err);
    tl_model_end(pass->model);
    return status;
}

static tl_status run_backward(tl_pass *pass, const int32_t *a, const int32_t *b,
                              tl_error *err)
{
    tl_status status = tl_head_check(pass, 0, err);
    if (status != TL_OK)
        return status;
    if (!pass->can_go_back)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "the forward pass was not made for a way back");
    pass->can_go_back = false; /* some of what it kept is overwritten */
    if ((status = tl_head_backward(pass, a, b, err)) != TL_OK)
        return status;
    const size_t L = pass->model->spec.dims.n_layers;
    for (size_t l = L; l-- > pass->options.first_layer;) {
        if (is_computed_again(pass, l))
            status = tl_layer_recompute(pass, l, err); /* into the shared buffers */
        if (status == TL_OK)
            status = tl_layer_backward(pass, l, err);
        if (status == TL_OK)
            status = tl_finite_check_gradient(pass, l, err);
        if (status != TL_OK)
            return status;
    }
    return TL_OK;
}

tl_status tl_pass_backward(tl_pass *pass, const int32_t *a, const int32_t *b,
                           tl_error *err)
{
    tl_status status = tl_model_begin(pass->model, err);
    if (status != TL_OK)
        return status;
    status = run_backward(pass, a, b, err);
    tl_model_end(pass->model);
    return status;
}
