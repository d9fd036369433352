/* SPDX-License-Identifier: MIT
 *
 * pass.c - the decoder, there and back: the one loop that all models share.
 *
 * What the code keeps to:
 *
 * 1. All memory of a batch comes from lay_out(), run once on a measuring arena for the
 *    plan and once on the real one. Behind that, only attention allocates: its scratch.
 * 2. For the way back, resid_pre of every layer is kept, as the taps left it. The
 *    last n_kept layers keep all of tl_layer; the others share one and are computed
 *    again, as far as the way back needs them. Taps that only read have seen such a
 *    layer before and are not called; those that write are.
 */
#include "model/pass_private.h"

#include "twinlens/alloc.h"

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

/* Gives every pointer of `pass` its memory; false if the arena ran out. On a
 * measuring arena the pointers are NULL and only the arena's peak matters. */
static bool lay_out(tl_pass *pass, tl_arena *arena)
{
    const tl_spec *spec = &pass->model->spec;
    const tl_dims *d = &spec->dims;
    const size_t R = pass->n_rows, P = pass->n_prompts, L = d->n_layers;
    const size_t half = d->d_head / 2;
    const size_t Q =
        tl_batch_query_rows(pass, L - 1); /* rows of the last layer's output */
    const bool back = pass->options.for_backward,
               measuring = tl_arena_is_measuring(arena);
    taker t = {.arena = arena};

    tl_prompt_rows *rows = take(&t, P, sizeof *rows);
    tl_attention_prompt *attention = take(&t, P, sizeof *attention);
    pass->cosine = take_floats(&t, R, half);
    pass->sine = take_floats(&t, R, half);
    pass->cosine_sliding = spec->window > 0 ? take_floats(&t, R, half) : NULL;
    pass->sine_sliding = spec->window > 0 ? take_floats(&t, R, half) : NULL;
    pass->cosine_last = pass->options.last_only ? take_floats(&t, P, half) : NULL;
    pass->sine_last = pass->options.last_only ? take_floats(&t, P, half) : NULL;

    float **resid = take(&t, L + 1, sizeof *resid);
    tl_layer *layers = take(&t, L, sizeof *layers);
    if (t.failed)
        return false;
    if (!measuring) {
        pass->rows = rows;
        pass->attention = attention;
        pass->resid = resid;
        pass->layers = layers;
    }

    /* Without a way back the whole stream is one buffer, and all layers are one. */
    float *stream = back ? NULL : take_floats(&t, R, d->d_model);
    float *last = back || Q == R ? NULL : take_floats(&t, Q, d->d_model);
    const tl_layer shared =
        pass->n_kept < L || !back ? take_layer(&t, spec, R, R) : (tl_layer){0};
    for (size_t l = 0; l <= L; l++) {
        const size_t n = l == L ? Q : R;
        float *x = back ? take_floats(&t, n, d->d_model) : n == R ? stream : last;
        tl_layer y = shared;
        if (l < L && back && l + pass->n_kept >= L)
            y = take_layer(&t, spec, R, tl_batch_query_rows(pass, l));
        if (measuring)
            continue;
        resid[l] = x;
        if (l < L)
            layers[l] = y;
    }
    pass->norm = take_floats(&t, R, d->d_model);
    pass->norm_last = Q != R ? take_floats(&t, Q, d->d_model) : NULL;
    pass->out = take_floats(&t, R, d->d_model);
    pass->mlp_post = take_floats(&t, R, d->d_mlp);
    pass->final = take_floats(&t, Q, d->d_model);
    pass->final_inv_rms = take_floats(&t, Q, 1);
    pass->head_rows = take_floats(&t, 2, d->d_model);
    if (back) {
        pass->d_resid = take_floats(&t, R, d->d_model);
        pass->d_mid = take_floats(&t, R, d->d_model);
        pass->d_norm = take_floats(&t, R, d->d_model);
        pass->d_out = spec->post_norms ? take_floats(&t, R, d->d_model) : NULL;
        pass->d_mlp_post = pass->mlp_post; /* the forward's is no longer needed */
        pass->d_gate = take_floats(&t, R, d->d_mlp);
        pass->d_up = take_floats(&t, R, d->d_mlp);
        pass->d_z = take_floats(&t, R, d->n_heads * d->d_head);
        pass->d_q = take_floats(&t, R, d->n_heads * d->d_head);
        pass->d_k = take_floats(&t, R, d->n_kv_heads * d->d_head);
        pass->d_v = take_floats(&t, R, d->n_kv_heads * d->d_head);
    }
    return !t.failed;
}

static double mebibytes(size_t bytes)
{
    return (double)bytes / (1 << 20);
}

static tl_status measure(tl_pass *pass, size_t *bytes, tl_error *err)
{
    tl_arena *arena = tl_arena_create_measuring();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a plan");
    lay_out(pass, arena);
    *bytes = tl_arena_peak(arena);
    tl_arena_destroy(arena);
    return TL_OK;
}

/* As many kept layers as the budget allows, and the bytes that this takes. */
static tl_status plan(tl_pass *pass, size_t *bytes, tl_error *err)
{
    const size_t budget = pass->options.memory_budget;
    const size_t most =
        pass->options.for_backward ? pass->model->spec.dims.n_layers : 0;
    for (size_t kept = most;; kept--) {
        pass->n_kept = kept;
        const tl_status status = measure(pass, bytes, err);
        if (status != TL_OK || budget == 0 || *bytes <= budget)
            return status;
        if (kept == 0)
            break;
    }
    return tl_fail(err, TL_ERR_NO_MEMORY,
                   "a pass over %zu positions of %zu prompts needs %.1f MiB, the "
                   "budget is %.1f MiB",
                   pass->n_rows, pass->n_prompts, mebibytes(*bytes), mebibytes(budget));
}

/* One slab for everything, kept from pass to pass as long as it is big enough. */
static tl_status reserve(tl_pass *pass, size_t bytes, tl_error *err)
{
    if (pass->arena == NULL || bytes > pass->capacity) {
        tl_arena_destroy(pass->arena);
        pass->capacity = 0;
        pass->arena = tl_arena_create();
        const tl_arena_mark start =
            pass->arena != NULL ? tl_arena_get_mark(pass->arena) : (tl_arena_mark){0};
        if (pass->arena == NULL || tl_arena_alloc(pass->arena, bytes, 1) == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a pass of %.1f MiB",
                           mebibytes(bytes));
        tl_arena_rewind(pass->arena, start);
        pass->capacity = bytes;
    } else {
        tl_arena_rewind(pass->arena, (tl_arena_mark){0});
    }
    if (!lay_out(pass, pass->arena))
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a pass of %.1f MiB",
                       mebibytes(bytes));
    const size_t used = tl_arena_used(pass->arena);
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
    tl_arena_destroy(pass->arena);
    tl_free(pass);
}

tl_status tl_pass_bytes(const tl_model *model, const size_t *n_pos,
                        const size_t *n_prefix, size_t n_prompts,
                        const tl_pass_options *options, size_t *out, tl_error *err)
{
    tl_pass pass = {.n_prompts = n_prompts};
    pass.model = (tl_model *)(uintptr_t)model; /* only its spec is read */
    pass.options = options != NULL ? *options : (tl_pass_options){0};
    for (size_t p = 0; p < n_prompts; p++)
        pass.n_rows += n_pos[p] - (n_prefix != NULL ? n_prefix[p] : 0);
    return plan(&pass, out, err);
}

size_t tl_pass_peak_bytes(const tl_pass *pass)
{
    return pass->peak;
}

/* ---- taps -------------------------------------------------------------------- */

tl_status tl_pass_announce(tl_pass *pass, tl_site site, size_t l, bool backward,
                           bool last_rows, size_t width, float *values, tl_error *err)
{
    for (size_t i = 0; i < pass->options.n_taps; i++) {
        const tl_tap *tap = &pass->options.taps[i];
        if ((tap->sites & TL_SITE_BIT(site)) == 0 ||
            (pass->again && !backward && !tap->writes))
            continue;
        for (size_t p = 0; p < pass->n_prompts; p++) {
            const tl_prompt_rows *r = &pass->rows[p];
            const tl_tap_event event = {
                .site = site,
                .backward = backward,
                .layer = l,
                .prompt = p,
                .first_pos = last_rows ? r->n_pos - 1 : r->n_prefix,
                .n_pos = last_rows ? 1 : r->n,
                .width = width,
                .values = values + (last_rows ? p : r->first) * width,
            };
            const tl_status status = tap->on_site(tap->user, &event, err);
            if (status != TL_OK)
                return status;
        }
    }
    return TL_OK;
}

/* ---- there and back ------------------------------------------------------------ */

tl_status tl_pass_forward(tl_pass *pass, const tl_pass_prompt *prompts,
                          size_t n_prompts, const tl_pass_options *options,
                          tl_error *err)
{
    pass->ready = pass->can_go_back = false;
    tl_status status = tl_batch_check(prompts, n_prompts, err);
    if (status != TL_OK)
        return status;
    pass->options = options != NULL ? *options : (tl_pass_options){0};
    if (pass->options.first_layer >= pass->model->spec.dims.n_layers)
        return tl_fail(err, TL_ERR_ARGUMENT, "a pass from layer %zu of %zu",
                       pass->options.first_layer, pass->model->spec.dims.n_layers);
    for (size_t i = 0; i < pass->options.n_taps; i++)
        if (pass->options.for_backward && pass->options.taps[i].writes &&
            (pass->options.taps[i].sites & TL_SITE_BIT(TL_SITE_Z)) != 0)
            return tl_fail(err, TL_ERR_ARGUMENT,
                           "a tap that writes to z in a pass for the way back: the "
                           "gradient of attention needs z as it was computed");
    pass->prompts = prompts;
    pass->n_prompts = n_prompts;
    pass->n_rows = 0;
    for (size_t p = 0; p < n_prompts; p++)
        pass->n_rows += prompts[p].input.n_pos -
                        (prompts[p].prefix != NULL ? prompts[p].prefix->n_pos : 0);
    size_t bytes = 0;
    if ((status = plan(pass, &bytes, err)) != TL_OK ||
        (status = reserve(pass, bytes, err)) != TL_OK)
        return status;
    tl_batch_fill(pass);

    const size_t L = pass->model->spec.dims.n_layers;
    for (size_t l = pass->options.first_layer; l < L; l++)
        if ((status = tl_layer_forward(pass, l, err)) != TL_OK)
            return status;
    tl_head_forward(pass);
    pass->ready = true;
    pass->can_go_back = pass->options.for_backward;
    return TL_OK;
}

tl_status tl_pass_backward(tl_pass *pass, const int32_t *a, const int32_t *b,
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
        if (l + pass->n_kept < L && l + 1 < L)
            status = tl_layer_recompute(pass, l, err); /* into the shared buffers */
        if (status == TL_OK)
            status = tl_layer_backward(pass, l, err);
        if (status != TL_OK)
            return status;
    }
    return TL_OK;
}
