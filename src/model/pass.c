/* SPDX-License-Identifier: MIT
 *
 * pass.c - the decoder, forward and backward: the one loop that all models share.
 *
 * A layer, with the names of the code; brackets where the spec switches it on:
 *
 *     n        = norm(resid_pre)
 *     q, k, v  = W_q n + b_q, ...            [q, k = norm per head]
 *     q, k     = rotary(q, k)
 *     z        = attention(q, k, v)
 *     attn_out = W_o z                        [norm]
 *     resid_mid = resid_pre + attn_out
 *     n        = norm(resid_mid)
 *     mlp_post = act(W_gate n) * W_up n
 *     mlp_out  = W_down mlp_post              [norm]
 *     resid_post = resid_mid + mlp_out
 *
 * What the code keeps to:
 *
 * 1. Rows are positions, prompts end to end. R rows are computed; Q rows are
 *    computed past the attention. Q = R, but in the last layer of a last_only pass
 *    Q = number of prompts: nobody reads the other positions there.
 * 2. All memory comes from lay_out(), run once on a measuring arena for the plan
 *    and once on the real one. Nothing else in a pass allocates.
 * 3. For the way back, resid_pre of every layer is kept, as the taps left it. The
 *    last n_kept layers keep all of struct layer; the others share one and are
 *    computed again, as far as the way back needs them. Taps that only read have
 *    seen such a layer before and are not called; those that write are.
 * 4. A site is added to the stream as it is announced, by an addition of its own,
 *    so that the presence of a tap changes no bit.
 */
#include "twinlens/pass.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "model/model_private.h"
#include "model/rope.h"
#include "twinlens/alloc.h"

/* What the forward of one layer leaves for its backward. Shapes in elements. */
typedef struct layer {
    float *attn_inv_rms, *mlp_inv_rms; /* [R], [Q] */
    float *q, *k, *v;                  /* [Q, heads * d_head], [R, kv_heads * d_head] */
    float *z, *lse;                    /* [Q, heads * d_head], [Q, heads] */
    float *resid_mid;                  /* [Q, d_model] */
    float *gate, *up;                  /* [Q, d_mlp] */
    float *q_raw, *k_raw, *q_inv_rms, *k_inv_rms; /* with qk_norm */
    float *attn_raw, *attn_raw_inv_rms, *mlp_raw,
        *mlp_raw_inv_rms; /* with post_norms */
} layer;

typedef struct prompt_rows {
    size_t first, n;        /* rows */
    size_t n_pos, n_prefix; /* n = n_pos - n_prefix */
} prompt_rows;

struct tl_pass {
    tl_model *model;
    tl_arena *arena;
    size_t capacity; /* bytes of the arena's slab */
    size_t peak;
    bool ready, can_go_back;

    /* The batch under way. */
    tl_pass_options options;
    const tl_pass_prompt *prompts;
    size_t n_prompts, n_rows, n_kept;
    bool again; /* a layer is computed once more for the way back */
    prompt_rows *rows;
    tl_attention_prompt *attention;
    float *cosine, *sine;                 /* [R, d_head / 2] */
    float *cosine_sliding, *sine_sliding; /* of sliding layers, if they differ */
    float *cosine_last, *sine_last;       /* [prompts, d_head / 2], last_only */

    float **resid; /* [n_layers + 1]: resid_pre of each layer, resid_post of the last */
    layer *layers; /* [n_layers]; those not kept share their pointers */
    float *norm, *norm_last, *out, *mlp_post; /* scratch of a layer */
    float *final;                             /* [Q, d_model] after the final norm */
    float *final_inv_rms;

    /* The way back. */
    float *d_resid, *d_mid, *d_norm, *d_out; /* [R, d_model] */
    float *d_mlp_post, *d_gate, *d_up;       /* [R, d_mlp] */
    float *d_z, *d_q, *d_k, *d_v;
    float *head_rows; /* [2, d_model] */
};

/* ---- memory ------------------------------------------------------------------ */

/* Rows past the attention of layer l. */
static size_t query_rows(const tl_pass *pass, size_t l)
{
    return pass->options.last_only && l + 1 == pass->model->spec.dims.n_layers
               ? pass->n_prompts
               : pass->n_rows;
}

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

static layer take_layer(taker *t, const tl_spec *spec, size_t n_rows, size_t n_query)
{
    const tl_dims *d = &spec->dims;
    const size_t q_width = d->n_heads * d->d_head, kv_width = d->n_kv_heads * d->d_head;
    layer y = {
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
    const size_t Q = query_rows(pass, L - 1); /* rows of the last layer's output */
    const bool back = pass->options.for_backward,
               measuring = tl_arena_is_measuring(arena);
    taker t = {.arena = arena};

    prompt_rows *rows = take(&t, P, sizeof *rows);
    tl_attention_prompt *attention = take(&t, P, sizeof *attention);
    pass->cosine = take_floats(&t, R, half);
    pass->sine = take_floats(&t, R, half);
    pass->cosine_sliding = spec->window > 0 ? take_floats(&t, R, half) : NULL;
    pass->sine_sliding = spec->window > 0 ? take_floats(&t, R, half) : NULL;
    pass->cosine_last = pass->options.last_only ? take_floats(&t, P, half) : NULL;
    pass->sine_last = pass->options.last_only ? take_floats(&t, P, half) : NULL;

    float **resid = take(&t, L + 1, sizeof *resid);
    layer *layers = take(&t, L, sizeof *layers);
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
    const layer shared =
        pass->n_kept < L || !back ? take_layer(&t, spec, R, R) : (layer){0};
    for (size_t l = 0; l <= L; l++) {
        const size_t n = l == L ? Q : R;
        float *x = back ? take_floats(&t, n, d->d_model) : n == R ? stream : last;
        layer y = shared;
        if (l < L && back && l + pass->n_kept >= L)
            y = take_layer(&t, spec, R, query_rows(pass, l));
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

/* Shows rows [.., width] of a site to the taps, prompt by prompt; of a layer that is
 * computed again, to those that write. `last_rows`: one row for each prompt, its last
 * position. */
static tl_status announce(tl_pass *pass, tl_site site, size_t l, bool backward,
                          bool last_rows, size_t width, float *values, tl_error *err)
{
    for (size_t i = 0; i < pass->options.n_taps; i++) {
        const tl_tap *tap = &pass->options.taps[i];
        if ((tap->sites & TL_SITE_BIT(site)) == 0 ||
            (pass->again && !backward && !tap->writes))
            continue;
        for (size_t p = 0; p < pass->n_prompts; p++) {
            const prompt_rows *r = &pass->rows[p];
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

/* ---- forward ------------------------------------------------------------------- */

/* Copies the row of each prompt's last position: [R, width] -> [prompts, width]. */
static void gather_last(const tl_pass *pass, size_t width, const float *x, float *y)
{
    for (size_t p = 0; p < pass->n_prompts; p++) {
        const prompt_rows *r = &pass->rows[p];
        memcpy(y + p * width, x + (r->first + r->n - 1) * width, width * sizeof *y);
    }
}

/* Puts each prompt's row back at its last position. */
static void scatter_last(const tl_pass *pass, size_t width, const float *y, float *x)
{
    for (size_t p = 0; p < pass->n_prompts; p++) {
        const prompt_rows *r = &pass->rows[p];
        memcpy(x + (r->first + r->n - 1) * width, y + p * width, width * sizeof *x);
    }
}

/* The shape of layer l's attention, and where each prompt's rows are. */
static tl_attention attention_of(tl_pass *pass, size_t l)
{
    const tl_spec *spec = &pass->model->spec;
    const tl_dims *d = &spec->dims;
    const bool last_rows = query_rows(pass, l) != pass->n_rows;
    for (size_t p = 0; p < pass->n_prompts; p++) {
        const prompt_rows *r = &pass->rows[p];
        const tl_prefix *prefix = pass->prompts[p].prefix;
        const size_t at =
            prefix != NULL ? l * prefix->n_pos * d->n_kv_heads * d->d_head : 0;
        pass->attention[p] = (tl_attention_prompt){
            .q_row = last_rows ? p : r->first,
            .n_query = last_rows ? 1 : r->n,
            .k_row = r->first,
            .n_key = r->n,
            .n_prefix = r->n_prefix,
            .prefix_k = prefix != NULL ? prefix->k + at : NULL,
            .prefix_v = prefix != NULL ? prefix->v + at : NULL,
            /* Where all see all the window alone decides. */
            .block = spec->bidirectional ? NULL : pass->prompts[p].input.block,
        };
    }
    return (tl_attention){
        .n_heads = d->n_heads,
        .n_kv_heads = d->n_kv_heads,
        .d_head = d->d_head,
        .scale = spec->attention_scale,
        .softcap = spec->attention_softcap,
        .window = tl_spec_is_sliding(spec, l) ? spec->window : 0,
        .causal = !spec->bidirectional,
    };
}

/* The rotary tables of layer l for keys and for queries. */
typedef struct tables {
    const float *key_cosine, *key_sine, *query_cosine, *query_sine;
} tables;

static tables tables_of(const tl_pass *pass, size_t l)
{
    const bool sliding = tl_spec_is_sliding(&pass->model->spec, l);
    tables t = {
        .key_cosine = sliding ? pass->cosine_sliding : pass->cosine,
        .key_sine = sliding ? pass->sine_sliding : pass->sine,
    };
    t.query_cosine = t.key_cosine;
    t.query_sine = t.key_sine;
    if (query_rows(pass, l) != pass->n_rows) {
        const size_t half = pass->model->spec.dims.d_head / 2;
        gather_last(pass, half, t.key_cosine, pass->cosine_last);
        gather_last(pass, half, t.key_sine, pass->sine_last);
        t.query_cosine = pass->cosine_last;
        t.query_sine = pass->sine_last;
    }
    return t;
}

/* Puts keys and values of layer l where a prompt's `collect` wants them. */
static void collect_prefix(const tl_pass *pass, size_t l, const layer *y)
{
    const tl_dims *d = &pass->model->spec.dims;
    const size_t width = d->n_kv_heads * d->d_head;
    for (size_t p = 0; p < pass->n_prompts; p++) {
        const tl_prefix *to = pass->prompts[p].collect, *from = pass->prompts[p].prefix;
        if (to == NULL)
            continue;
        const prompt_rows *r = &pass->rows[p];
        const size_t given = r->n_prefix < to->n_pos ? r->n_prefix : to->n_pos;
        const size_t own = to->n_pos - given;
        float *k = to->k + l * to->n_pos * width, *v = to->v + l * to->n_pos * width;
        if (given > 0) {
            memcpy(k, from->k + l * from->n_pos * width, given * width * sizeof *k);
            memcpy(v, from->v + l * from->n_pos * width, given * width * sizeof *v);
        }
        memcpy(k + given * width, y->k + r->first * width, own * width * sizeof *k);
        memcpy(v + given * width, y->v + r->first * width, own * width * sizeof *v);
    }
}

/* q, k, v of n = norm(resid_pre); `n_last` holds its rows for the queries. */
static tl_status project_qkv(tl_pass *pass, size_t l, const layer *y, const float *n,
                             const float *n_query, tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const tl_spec *spec = &pass->model->spec;
    const tl_layer_weights *w = &pass->model->weights.layers[l];
    const tl_dims *d = &spec->dims;
    const size_t R = pass->n_rows, Q = query_rows(pass, l);
    float *q = spec->qk_norm ? y->q_raw : y->q, *k = spec->qk_norm ? y->k_raw : y->k;
    tl_status status;
    if ((status = b->linear(b, &w->q, Q, n_query, q, false, err)) != TL_OK ||
        (status = b->linear(b, &w->k, R, n, k, false, err)) != TL_OK ||
        (status = b->linear(b, &w->v, R, n, y->v, false, err)) != TL_OK)
        return status;
    if (spec->qk_norm) {
        b->rmsnorm(b, Q * d->n_heads, d->d_head, spec->norm_eps, q, w->q_norm.weight,
                   y->q, y->q_inv_rms);
        b->rmsnorm(b, R * d->n_kv_heads, d->d_head, spec->norm_eps, k, w->k_norm.weight,
                   y->k, y->k_inv_rms);
    }
    const tables t = tables_of(pass, l);
    b->rotary(b, Q, d->n_heads, d->d_head, t.query_cosine, t.query_sine, false, y->q);
    b->rotary(b, R, d->n_kv_heads, d->d_head, t.key_cosine, t.key_sine, false, y->k);
    return TL_OK;
}

/* out = layer(x), through the post-norm if there is one. */
static tl_status project_out(tl_pass *pass, const tl_linear *w, const tl_norm *post,
                             size_t rows, const float *x, float *raw,
                             float *raw_inv_rms, tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const tl_spec *spec = &pass->model->spec;
    if (!spec->post_norms)
        return b->linear(b, w, rows, x, pass->out, false, err);
    const tl_status status = b->linear(b, w, rows, x, raw, false, err);
    if (status == TL_OK)
        b->rmsnorm(b, rows, spec->dims.d_model, spec->norm_eps, raw, post->weight,
                   pass->out, raw_inv_rms);
    return status;
}

/* From resid[l] to resid_mid, filling the first half of layers[l]. */
static tl_status forward_attention(tl_pass *pass, size_t l, tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const tl_spec *spec = &pass->model->spec;
    const tl_layer_weights *w = &pass->model->weights.layers[l];
    const tl_dims *d = &spec->dims;
    const size_t R = pass->n_rows, Q = query_rows(pass, l),
                 q_width = d->n_heads * d->d_head;
    const bool last = Q != R;
    const layer *y = &pass->layers[l];
    const float *x = pass->resid[l];
    tl_status status;

    b->rmsnorm(b, R, d->d_model, spec->norm_eps, x, w->attn_norm.weight, pass->norm,
               y->attn_inv_rms);
    const float *n_query = pass->norm;
    if (last) {
        gather_last(pass, d->d_model, pass->norm, pass->norm_last);
        n_query = pass->norm_last;
    }
    if ((status = project_qkv(pass, l, y, pass->norm, n_query, err)) != TL_OK)
        return status;
    if (!pass->again)
        collect_prefix(pass, l, y);
    const tl_attention shape = attention_of(pass, l);
    if ((status = b->attention(b, &shape, pass->n_prompts, pass->attention, y->q, y->k,
                               y->v, y->z, y->lse, err)) != TL_OK ||
        (status = announce(pass, TL_SITE_Z, l, false, last, q_width, y->z, err)) !=
            TL_OK ||
        (status = project_out(pass, &w->o, &w->attn_post_norm, Q, y->z, y->attn_raw,
                              y->attn_raw_inv_rms, err)) != TL_OK ||
        (status = announce(pass, TL_SITE_ATTN_OUT, l, false, last, d->d_model,
                           pass->out, err)) != TL_OK)
        return status;
    if (last)
        gather_last(pass, d->d_model, x, y->resid_mid);
    else
        memcpy(y->resid_mid, x, Q * d->d_model * sizeof *x);
    b->add(b, Q * d->d_model, pass->out, y->resid_mid);
    return TL_OK;
}

/* From resid_mid to what the MLP adds to the stream, in `out`, filling the second half
 * of layers[l]. */
static tl_status forward_mlp(tl_pass *pass, size_t l, tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const tl_spec *spec = &pass->model->spec;
    const tl_layer_weights *w = &pass->model->weights.layers[l];
    const tl_dims *d = &spec->dims;
    const size_t Q = query_rows(pass, l);
    const bool last = Q != pass->n_rows;
    const layer *y = &pass->layers[l];
    tl_status status;

    b->rmsnorm(b, Q, d->d_model, spec->norm_eps, y->resid_mid, w->mlp_norm.weight,
               pass->norm, y->mlp_inv_rms);
    if ((status = b->linear(b, &w->gate, Q, pass->norm, y->gate, false, err)) !=
            TL_OK ||
        (status = b->linear(b, &w->up, Q, pass->norm, y->up, false, err)) != TL_OK)
        return status;
    /* The way back wants mlp_post and what follows only for the norm behind them. */
    if (pass->again && !spec->post_norms)
        return TL_OK;
    b->gated(b, spec->activation, Q * d->d_mlp, y->gate, y->up, pass->mlp_post);
    if ((status = announce(pass, TL_SITE_MLP_POST, l, false, last, d->d_mlp,
                           pass->mlp_post, err)) != TL_OK)
        return status;
    return project_out(pass, &w->down, &w->mlp_post_norm, Q, pass->mlp_post, y->mlp_raw,
                       y->mlp_raw_inv_rms, err);
}

/* From resid[l] to resid[l + 1], filling layers[l]. */
static tl_status forward_layer(tl_pass *pass, size_t l, tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const size_t Q = query_rows(pass, l), d_model = pass->model->spec.dims.d_model;
    const bool last = Q != pass->n_rows;
    tl_status status;
    if ((status = announce(pass, TL_SITE_RESID_PRE, l, false, false, d_model,
                           pass->resid[l], err)) != TL_OK ||
        (status = forward_attention(pass, l, err)) != TL_OK ||
        (status = forward_mlp(pass, l, err)) != TL_OK ||
        (status = announce(pass, TL_SITE_MLP_OUT, l, false, last, d_model, pass->out,
                           err)) != TL_OK)
        return status;
    float *next = pass->resid[l + 1];
    memcpy(next, pass->layers[l].resid_mid, Q * d_model * sizeof *next);
    b->add(b, Q * d_model, pass->out, next);
    return announce(pass, TL_SITE_RESID_POST, l, false, last, d_model, next, err);
}

/* Fills layers[l] once more, for the way back. */
static tl_status recompute_layer(tl_pass *pass, size_t l, tl_error *err)
{
    pass->again = true;
    tl_status status = forward_attention(pass, l, err);
    if (status == TL_OK)
        status = forward_mlp(pass, l, err);
    pass->again = false;
    return status;
}

static tl_status check_batch(const tl_pass_prompt *prompts, size_t n_prompts,
                             tl_error *err)
{
    if (n_prompts == 0)
        return tl_fail(err, TL_ERR_ARGUMENT, "a pass without prompts");
    for (size_t p = 0; p < n_prompts; p++) {
        const tl_input *input = &prompts[p].input;
        const size_t prefix = prompts[p].prefix != NULL ? prompts[p].prefix->n_pos : 0;
        if (prefix >= input->n_pos)
            return tl_fail(
                err, TL_ERR_ARGUMENT,
                "prompt %zu has %zu positions and a prefix of %zu: none is left", p,
                input->n_pos, prefix);
        if (input->block != NULL && prefix > 0 && input->block[prefix] >= 0 &&
            input->block[prefix] == input->block[prefix - 1])
            return tl_fail(
                err, TL_ERR_ARGUMENT,
                "prompt %zu: a prefix of %zu cuts a block of positions that see "
                "each other",
                p, prefix);
        if (prompts[p].collect != NULL && prompts[p].collect->n_pos > input->n_pos)
            return tl_fail(err, TL_ERR_ARGUMENT,
                           "prompt %zu: %zu positions to collect, it has %zu", p,
                           prompts[p].collect->n_pos, input->n_pos);
    }
    return TL_OK;
}

/* Rows, rotary tables and the first residual stream of the batch. */
static void fill_batch(tl_pass *pass)
{
    const tl_spec *spec = &pass->model->spec;
    const size_t d_model = spec->dims.d_model, d_head = spec->dims.d_head,
                 half = d_head / 2;
    size_t first = 0;
    for (size_t p = 0; p < pass->n_prompts; p++) {
        const tl_input *input = &pass->prompts[p].input;
        const size_t prefix =
            pass->prompts[p].prefix != NULL ? pass->prompts[p].prefix->n_pos : 0;
        const size_t n = input->n_pos - prefix;
        pass->rows[p] = (prompt_rows){first, n, input->n_pos, prefix};
        memcpy(pass->resid[pass->options.first_layer] + first * d_model,
               input->embeds + prefix * d_model, n * d_model * sizeof(float));
        tl_rope_table(&spec->rope, d_head, input->positions, input->n_pos, prefix, n,
                      pass->cosine + first * half, pass->sine + first * half);
        if (spec->window > 0)
            tl_rope_table(&spec->rope_sliding, d_head, input->positions, input->n_pos,
                          prefix, n, pass->cosine_sliding + first * half,
                          pass->sine_sliding + first * half);
        first += n;
    }
}

tl_status tl_pass_forward(tl_pass *pass, const tl_pass_prompt *prompts,
                          size_t n_prompts, const tl_pass_options *options,
                          tl_error *err)
{
    pass->ready = pass->can_go_back = false;
    tl_status status = check_batch(prompts, n_prompts, err);
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
    fill_batch(pass);

    const tl_spec *spec = &pass->model->spec;
    const size_t L = spec->dims.n_layers;
    for (size_t l = pass->options.first_layer; l < L; l++)
        if ((status = forward_layer(pass, l, err)) != TL_OK)
            return status;
    tl_backend *b = pass->model->backend;
    b->rmsnorm(b, query_rows(pass, L - 1), spec->dims.d_model, spec->norm_eps,
               pass->resid[L], pass->model->weights.final_norm.weight, pass->final,
               pass->final_inv_rms);
    pass->ready = true;
    pass->can_go_back = pass->options.for_backward;
    return TL_OK;
}

/* ---- logits -------------------------------------------------------------------- */

/* Row of prompt p's last position in `final` and resid[n_layers]. */
static size_t last_row(const tl_pass *pass, size_t p)
{
    if (query_rows(pass, pass->model->spec.dims.n_layers - 1) != pass->n_rows)
        return p;
    return pass->rows[p].first + pass->rows[p].n - 1;
}

static double soft_cap(double logit, float cap)
{
    return cap > 0.0f ? (double)cap * tanh(logit / (double)cap) : logit;
}

static tl_status check_results(const tl_pass *pass, size_t prompt, tl_error *err)
{
    if (!pass->ready)
        return tl_fail(err, TL_ERR_ARGUMENT, "there is no finished forward pass");
    if (prompt >= pass->n_prompts)
        return tl_fail(err, TL_ERR_ARGUMENT, "prompt %zu of a pass over %zu", prompt,
                       pass->n_prompts);
    return TL_OK;
}

/* One token's logit at a prompt's last position; `row` receives its row of the
 * unembedding. */
static tl_status one_logit(tl_pass *pass, size_t prompt, int32_t id, float *row,
                           double *logit, tl_error *err)
{
    const tl_spec *spec = &pass->model->spec;
    const size_t d_model = spec->dims.d_model;
    const float *x = pass->final + last_row(pass, prompt) * d_model;
    const tl_status status = tl_model_unembedding(pass->model, &id, 1, row, err);
    if (status != TL_OK)
        return status;
    double sum = 0.0;
    for (size_t k = 0; k < d_model; k++)
        sum += (double)x[k] * (double)row[k];
    *logit = soft_cap(sum, spec->logit_softcap);
    return TL_OK;
}

/* Of two tokens; leaves their rows of the unembedding in head_rows. */
static tl_status two_logits(tl_pass *pass, size_t prompt, const int32_t ids[2],
                            double logits[2], tl_error *err)
{
    const size_t d_model = pass->model->spec.dims.d_model;
    tl_status status = TL_OK;
    for (size_t i = 0; i < 2 && status == TL_OK; i++)
        status = one_logit(pass, prompt, ids[i], pass->head_rows + i * d_model,
                           &logits[i], err);
    return status;
}

tl_status tl_pass_logit_diff(tl_pass *pass, size_t prompt, int32_t a, int32_t b,
                             double *out, tl_error *err)
{
    double logits[2];
    tl_status status = check_results(pass, prompt, err);
    if (status == TL_OK)
        status = two_logits(pass, prompt, (int32_t[2]){a, b}, logits, err);
    if (status == TL_OK)
        *out = logits[0] - logits[1];
    return status;
}

tl_status tl_pass_logits_of(tl_pass *pass, size_t prompt, const int32_t *ids,
                            size_t n_ids, double *out, tl_error *err)
{
    tl_status status = check_results(pass, prompt, err);
    for (size_t i = 0; i < n_ids && status == TL_OK; i++)
        status = one_logit(pass, prompt, ids[i], pass->head_rows, &out[i], err);
    return status;
}

static tl_status logits_of_rows(tl_pass *pass, size_t first, size_t rows, float *out,
                                tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const tl_spec *spec = &pass->model->spec;
    const tl_status status =
        b->linear(b, &pass->model->weights.head, rows,
                  pass->final + first * spec->dims.d_model, out, false, err);
    if (status == TL_OK && spec->logit_softcap > 0.0f)
        for (size_t i = 0; i < rows * spec->dims.n_vocab; i++)
            out[i] = (float)soft_cap((double)out[i], spec->logit_softcap);
    return status;
}

tl_status tl_pass_logits_last(tl_pass *pass, size_t prompt, float *out, tl_error *err)
{
    const tl_status status = check_results(pass, prompt, err);
    return status != TL_OK ? status
                           : logits_of_rows(pass, last_row(pass, prompt), 1, out, err);
}

tl_status tl_pass_logits_all(tl_pass *pass, size_t prompt, float *out, tl_error *err)
{
    const tl_status status = check_results(pass, prompt, err);
    if (status != TL_OK)
        return status;
    if (pass->options.last_only)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "a last_only pass has no logits of other positions");
    return logits_of_rows(pass, pass->rows[prompt].first, pass->rows[prompt].n, out,
                          err);
}

/* ---- backward ------------------------------------------------------------------ */

/* The gradient of what enters a projection to the stream: through the post-norm,
 * if there is one, and the linear layer. */
static tl_status backward_out(tl_pass *pass, const tl_linear *w, const tl_norm *post,
                              size_t rows, const float *raw, const float *raw_inv_rms,
                              const float *d_out, float *d_x, tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const size_t d_model = pass->model->spec.dims.d_model;
    if (pass->model->spec.post_norms) {
        memset(pass->d_out, 0, rows * d_model * sizeof(float));
        b->rmsnorm_backward(b, rows, d_model, raw, post->weight, raw_inv_rms, d_out,
                            pass->d_out);
        d_out = pass->d_out;
    }
    return b->linear_backward(b, w, rows, d_out, d_x, false, err);
}

/* d_norm = gradient at norm(resid_pre), from d_q, d_k, d_v after the rotation. */
static tl_status backward_qkv(tl_pass *pass, size_t l, const layer *y, tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const tl_spec *spec = &pass->model->spec;
    const tl_layer_weights *w = &pass->model->weights.layers[l];
    const tl_dims *d = &spec->dims;
    const size_t R = pass->n_rows, Q = query_rows(pass, l);
    const tables t = tables_of(pass, l);
    b->rotary(b, Q, d->n_heads, d->d_head, t.query_cosine, t.query_sine, true,
              pass->d_q);
    b->rotary(b, R, d->n_kv_heads, d->d_head, t.key_cosine, t.key_sine, true,
              pass->d_k);
    float *d_q = pass->d_q, *d_k = pass->d_k;
    if (spec->qk_norm) {
        /* y->q and y->k are no longer needed and take the gradient before the norm. */
        d_q = y->q;
        d_k = y->k;
        memset(d_q, 0, Q * d->n_heads * d->d_head * sizeof *d_q);
        memset(d_k, 0, R * d->n_kv_heads * d->d_head * sizeof *d_k);
        b->rmsnorm_backward(b, Q * d->n_heads, d->d_head, y->q_raw, w->q_norm.weight,
                            y->q_inv_rms, pass->d_q, d_q);
        b->rmsnorm_backward(b, R * d->n_kv_heads, d->d_head, y->k_raw, w->k_norm.weight,
                            y->k_inv_rms, pass->d_k, d_k);
    }
    tl_status status;
    if ((status = b->linear_backward(b, &w->k, R, d_k, pass->d_norm, false, err)) !=
            TL_OK ||
        (status = b->linear_backward(b, &w->v, R, pass->d_v, pass->d_norm, true,
                                     err)) != TL_OK)
        return status;
    if (Q == R)
        return b->linear_backward(b, &w->q, R, d_q, pass->d_norm, true, err);
    gather_last(pass, d->d_model, pass->d_norm, pass->norm_last);
    status = b->linear_backward(b, &w->q, Q, d_q, pass->norm_last, true, err);
    scatter_last(pass, d->d_model, pass->norm_last, pass->d_norm);
    return status;
}

/* d_resid: from the gradient at resid[l + 1] to the one at resid[l]. */
static tl_status backward_layer(tl_pass *pass, size_t l, tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const tl_spec *spec = &pass->model->spec;
    const tl_layer_weights *w = &pass->model->weights.layers[l];
    const tl_dims *d = &spec->dims;
    const size_t R = pass->n_rows, Q = query_rows(pass, l),
                 q_width = d->n_heads * d->d_head;
    const bool last = Q != R;
    const layer *y = &pass->layers[l];
    float *d_post = pass->d_resid, *d_mid = pass->d_mid;
    tl_status status;

    if ((status = announce(pass, TL_SITE_RESID_POST, l, true, last, d->d_model, d_post,
                           err)) != TL_OK ||
        (status = announce(pass, TL_SITE_MLP_OUT, l, true, last, d->d_model, d_post,
                           err)) != TL_OK ||
        (status = backward_out(pass, &w->down, &w->mlp_post_norm, Q, y->mlp_raw,
                               y->mlp_raw_inv_rms, d_post, pass->d_mlp_post, err)) !=
            TL_OK ||
        (status = announce(pass, TL_SITE_MLP_POST, l, true, last, d->d_mlp,
                           pass->d_mlp_post, err)) != TL_OK)
        return status;
    b->gated_backward(b, spec->activation, Q * d->d_mlp, y->gate, y->up,
                      pass->d_mlp_post, pass->d_gate, pass->d_up);
    if ((status = b->linear_backward(b, &w->gate, Q, pass->d_gate, pass->d_norm, false,
                                     err)) != TL_OK ||
        (status = b->linear_backward(b, &w->up, Q, pass->d_up, pass->d_norm, true,
                                     err)) != TL_OK)
        return status;
    memcpy(d_mid, d_post, Q * d->d_model * sizeof *d_mid);
    b->rmsnorm_backward(b, Q, d->d_model, y->resid_mid, w->mlp_norm.weight,
                        y->mlp_inv_rms, pass->d_norm, d_mid);

    if ((status = announce(pass, TL_SITE_ATTN_OUT, l, true, last, d->d_model, d_mid,
                           err)) != TL_OK ||
        (status = backward_out(pass, &w->o, &w->attn_post_norm, Q, y->attn_raw,
                               y->attn_raw_inv_rms, d_mid, pass->d_z, err)) != TL_OK ||
        (status = announce(pass, TL_SITE_Z, l, true, last, q_width, pass->d_z, err)) !=
            TL_OK)
        return status;
    const tl_attention shape = attention_of(pass, l);
    if ((status = b->attention_backward(
             b, &shape, pass->n_prompts, pass->attention, y->q, y->k, y->v, y->z,
             y->lse, pass->d_z, pass->d_q, pass->d_k, pass->d_v, err)) != TL_OK ||
        (status = backward_qkv(pass, l, y, err)) != TL_OK)
        return status;

    float *d_pre = pass->d_resid;
    if (last) {
        memset(d_pre, 0, R * d->d_model * sizeof *d_pre);
        scatter_last(pass, d->d_model, d_mid, d_pre);
    } else {
        memcpy(d_pre, d_mid, R * d->d_model * sizeof *d_pre);
    }
    b->rmsnorm_backward(b, R, d->d_model, pass->resid[l], w->attn_norm.weight,
                        y->attn_inv_rms, pass->d_norm, d_pre);
    return announce(pass, TL_SITE_RESID_PRE, l, true, false, d->d_model, d_pre, err);
}

/* d_resid at the end of the last layer, from the logit differences. */
static tl_status backward_head(tl_pass *pass, const int32_t *a, const int32_t *b,
                               tl_error *err)
{
    const tl_spec *spec = &pass->model->spec;
    const size_t d_model = spec->dims.d_model, L = spec->dims.n_layers;
    const size_t Q = query_rows(pass, L - 1);
    memset(pass->d_norm, 0, Q * d_model * sizeof(float));
    for (size_t p = 0; p < pass->n_prompts; p++) {
        double logits[2];
        const tl_status status =
            two_logits(pass, p, (int32_t[2]){a[p], b[p]}, logits, err);
        if (status != TL_OK)
            return status;
        double slope[2] = {1.0, 1.0};
        for (size_t i = 0; i < 2 && spec->logit_softcap > 0.0f; i++) {
            const double t = logits[i] / (double)spec->logit_softcap;
            slope[i] = 1.0 - t * t;
        }
        float *row = pass->d_norm + last_row(pass, p) * d_model;
        for (size_t i = 0; i < d_model; i++)
            row[i] = (float)(slope[0] * (double)pass->head_rows[i] -
                             slope[1] * (double)pass->head_rows[d_model + i]);
    }
    memset(pass->d_resid, 0, Q * d_model * sizeof(float));
    tl_backend *backend = pass->model->backend;
    backend->rmsnorm_backward(backend, Q, d_model, pass->resid[L],
                              pass->model->weights.final_norm.weight,
                              pass->final_inv_rms, pass->d_norm, pass->d_resid);
    return TL_OK;
}

tl_status tl_pass_backward(tl_pass *pass, const int32_t *a, const int32_t *b,
                           tl_error *err)
{
    tl_status status = check_results(pass, 0, err);
    if (status != TL_OK)
        return status;
    if (!pass->can_go_back)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "the forward pass was not made for a way back");
    pass->can_go_back = false; /* some of what it kept is overwritten */
    if ((status = backward_head(pass, a, b, err)) != TL_OK)
        return status;
    const size_t L = pass->model->spec.dims.n_layers;
    for (size_t l = L; l-- > pass->options.first_layer;) {
        if (l + pass->n_kept < L && l + 1 < L)
            status = recompute_layer(pass, l, err); /* into the shared buffers */
        if (status == TL_OK)
            status = backward_layer(pass, l, err);
        if (status != TL_OK)
            return status;
    }
    return TL_OK;
}
