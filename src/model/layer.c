/* SPDX-License-Identifier: MIT
 *
 * layer.c - see pass_private.h. One layer of the decoder, forward and backward.
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
 *     resid_post = resid_mid + mlp_out        [+ features of an image: DeepStack]
 *
 * A site is added to the stream by an addition of its own, so that it can be read and
 * edited before, and reading changes no bit.
 */
#include "model/pass_private.h"

/* k, v of n = norm(resid_pre), and q, unless keys are all that is wanted; `n_query` holds
 * the rows of n for the queries. */
static tl_status project_qkv(tl_pass *pass, size_t l, const tl_layer *y, const float *n,
                             const float *n_query, tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const tl_spec *spec = &pass->model->spec;
    const tl_layer_weights *w = &pass->model->weights.layers[l];
    const tl_dims *d = &spec->dims;
    const size_t R = pass->n_rows, Q = tl_batch_query_rows(pass, l);
    float *q = spec->qk_norm ? y->q_raw : y->q, *k = spec->qk_norm ? y->k_raw : y->k;
    const tl_rotary_tables t = tl_batch_tables(pass, l);
    tl_status status;
    if ((status = b->linear(b, &w->k, R, n, k, false, err)) != TL_OK ||
        (status = b->linear(b, &w->v, R, n, y->v, false, err)) != TL_OK)
        return status;
    if (spec->qk_norm)
        b->rmsnorm(b, R * d->n_kv_heads, d->d_head, spec->norm_eps, k, w->k_norm.weight,
                   y->k, y->k_inv_rms);
    b->rotary(b, R, d->n_kv_heads, d->d_head, t.key_cosine, t.key_sine, false, y->k);
    if (pass->options.keys_only)
        return TL_OK;
    if ((status = b->linear(b, &w->q, Q, n_query, q, false, err)) != TL_OK)
        return status;
    if (spec->qk_norm)
        b->rmsnorm(b, Q * d->n_heads, d->d_head, spec->norm_eps, q, w->q_norm.weight,
                   y->q, y->q_inv_rms);
    b->rotary(b, Q, d->n_heads, d->d_head, t.query_cosine, t.query_sine, false, y->q);
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
    const size_t R = pass->n_rows, Q = tl_batch_query_rows(pass, l);
    const bool last = Q != R;
    const tl_layer *y = &pass->layers[l];
    const float *x = pass->resid[l];
    tl_status status;

    b->rmsnorm(b, R, d->d_model, spec->norm_eps, x, w->attn_norm.weight, pass->norm,
               y->attn_inv_rms);
    const float *n_query = pass->norm;
    if (last) {
        tl_batch_gather_last(pass, d->d_model, pass->norm, pass->norm_last);
        n_query = pass->norm_last;
    }
    if ((status = project_qkv(pass, l, y, pass->norm, n_query, err)) != TL_OK)
        return status;
    if (!pass->again)
        tl_batch_collect(pass, l, y);
    if (pass->options.keys_only)
        return TL_OK;
    const tl_attention shape = tl_batch_attention(pass, l);
    if ((status = tl_patterns_at(pass, l, &shape, y, err)) != TL_OK ||
        (status = b->attention(b, &shape, pass->n_prompts, pass->attention, y->q, y->k,
                               y->v, y->z, y->lse, err)) != TL_OK ||
        (status = tl_readings_at(pass, TL_SITE_Z, l, false, last, y->z, err)) !=
            TL_OK ||
        (status = project_out(pass, &w->o, &w->attn_post_norm, Q, y->z, y->attn_raw,
                              y->attn_raw_inv_rms, err)) != TL_OK ||
        (status = tl_readings_at(pass, TL_SITE_ATTN_OUT, l, false, last, pass->out,
                                 err)) != TL_OK)
        return status;
    if (last)
        tl_batch_gather_last(pass, d->d_model, x, y->resid_mid);
    else
        b->copy(b, Q * d->d_model, x, y->resid_mid);
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
    const size_t Q = tl_batch_query_rows(pass, l);
    const bool last = Q != pass->n_rows;
    const tl_layer *y = &pass->layers[l];
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
    if ((status = tl_readings_at(pass, TL_SITE_MLP_POST, l, false, last, pass->mlp_post,
                                 err)) != TL_OK)
        return status;
    return project_out(pass, &w->down, &w->mlp_post_norm, Q, pass->mlp_post, y->mlp_raw,
                       y->mlp_raw_inv_rms, err);
}

tl_status tl_layer_forward(tl_pass *pass, size_t l, tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const size_t Q = tl_batch_query_rows(pass, l),
                 d_model = pass->model->spec.dims.d_model;
    const bool last = Q != pass->n_rows;
    tl_status status;
    if ((status = tl_readings_at(pass, TL_SITE_RESID_PRE, l, false, false,
                                 pass->resid[l], err)) != TL_OK ||
        (status = forward_attention(pass, l, err)) != TL_OK ||
        pass->options.keys_only || (status = forward_mlp(pass, l, err)) != TL_OK ||
        (status = tl_readings_at(pass, TL_SITE_MLP_OUT, l, false, last, pass->out,
                                 err)) != TL_OK)
        return status;
    float *next = pass->resid[l + 1];
    b->copy(b, Q * d_model, pass->layers[l].resid_mid, next);
    b->add(b, Q * d_model, pass->out, next);
    /* An image's features are added to layers below the last: all rows are there. */
    if ((status = tl_batch_add_deep(pass, l, next, err)) != TL_OK)
        return status;
    return tl_readings_at(pass, TL_SITE_RESID_POST, l, false, last, next, err);
}

tl_status tl_layer_recompute(tl_pass *pass, size_t l, tl_error *err)
{
    pass->again = true;
    tl_status status = forward_attention(pass, l, err);
    if (status == TL_OK)
        status = forward_mlp(pass, l, err);
    pass->again = false;
    return status;
}

/* The gradient of what enters a projection to the stream: through the post-norm,
 * if there is one, and the linear layer. */
static tl_status backward_out(tl_pass *pass, const tl_linear *w, const tl_norm *post,
                              size_t rows, const float *raw, const float *raw_inv_rms,
                              const float *d_out, float *d_x, tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const size_t d_model = pass->model->spec.dims.d_model;
    if (pass->model->spec.post_norms) {
        b->fill(b, rows * d_model, 0.0f, pass->d_out);
        b->rmsnorm_backward(b, pass->options.backward_rule, rows, d_model, raw,
                            post->weight, raw_inv_rms, d_out, pass->d_out);
        d_out = pass->d_out;
    }
    return b->linear_backward(b, w, rows, d_out, d_x, false, err);
}

/* d_norm = gradient at norm(resid_pre), from d_q, d_k, d_v after the rotation; by the
 * rule of relevance from d_v alone. */
static tl_status backward_qkv(tl_pass *pass, size_t l, const tl_layer *y, tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const tl_spec *spec = &pass->model->spec;
    const tl_layer_weights *w = &pass->model->weights.layers[l];
    const tl_dims *d = &spec->dims;
    const size_t R = pass->n_rows, Q = tl_batch_query_rows(pass, l);
    if (pass->options.backward_rule == TL_BACKWARD_RELEVANCE)
        return b->linear_backward(b, &w->v, R, pass->d_v, pass->d_norm, false, err);
    const tl_rotary_tables t = tl_batch_tables(pass, l);
    b->rotary(b, Q, d->n_heads, d->d_head, t.query_cosine, t.query_sine, true,
              pass->d_q);
    b->rotary(b, R, d->n_kv_heads, d->d_head, t.key_cosine, t.key_sine, true,
              pass->d_k);
    float *d_q = pass->d_q, *d_k = pass->d_k;
    if (spec->qk_norm) {
        /* y->q and y->k are no longer needed and take the gradient before the norm. */
        d_q = y->q;
        d_k = y->k;
        b->fill(b, Q * d->n_heads * d->d_head, 0.0f, d_q);
        b->fill(b, R * d->n_kv_heads * d->d_head, 0.0f, d_k);
        b->rmsnorm_backward(b, pass->options.backward_rule, Q * d->n_heads, d->d_head,
                            y->q_raw, w->q_norm.weight, y->q_inv_rms, pass->d_q, d_q);
        b->rmsnorm_backward(b, pass->options.backward_rule, R * d->n_kv_heads,
                            d->d_head, y->k_raw, w->k_norm.weight, y->k_inv_rms,
                            pass->d_k, d_k);
    }
    tl_status status;
    if ((status = b->linear_backward(b, &w->k, R, d_k, pass->d_norm, false, err)) !=
            TL_OK ||
        (status = b->linear_backward(b, &w->v, R, pass->d_v, pass->d_norm, true,
                                     err)) != TL_OK)
        return status;
    if (Q == R)
        return b->linear_backward(b, &w->q, R, d_q, pass->d_norm, true, err);
    tl_batch_gather_last(pass, d->d_model, pass->d_norm, pass->norm_last);
    status = b->linear_backward(b, &w->q, Q, d_q, pass->norm_last, true, err);
    tl_batch_scatter_last(pass, d->d_model, pass->norm_last, pass->d_norm);
    return status;
}

tl_status tl_layer_backward(tl_pass *pass, size_t l, tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const tl_spec *spec = &pass->model->spec;
    const tl_layer_weights *w = &pass->model->weights.layers[l];
    const tl_dims *d = &spec->dims;
    const size_t R = pass->n_rows, Q = tl_batch_query_rows(pass, l);
    const bool last = Q != R;
    const tl_layer *y = &pass->layers[l];
    float *d_post = pass->d_resid, *d_mid = pass->d_mid;
    tl_status status;

    if ((status = tl_readings_at(pass, TL_SITE_RESID_POST, l, true, last, d_post,
                                 err)) != TL_OK ||
        (status = tl_readings_at(pass, TL_SITE_MLP_OUT, l, true, last, d_post, err)) !=
            TL_OK ||
        (status = backward_out(pass, &w->down, &w->mlp_post_norm, Q, y->mlp_raw,
                               y->mlp_raw_inv_rms, d_post, pass->d_mlp_post, err)) !=
            TL_OK ||
        (status = tl_readings_at(pass, TL_SITE_MLP_POST, l, true, last,
                                 pass->d_mlp_post, err)) != TL_OK)
        return status;
    b->gated_backward(b, pass->options.backward_rule, spec->activation, Q * d->d_mlp,
                      y->gate, y->up, pass->d_mlp_post, pass->d_gate, pass->d_up);
    if ((status = b->linear_backward(b, &w->gate, Q, pass->d_gate, pass->d_norm, false,
                                     err)) != TL_OK ||
        (status = b->linear_backward(b, &w->up, Q, pass->d_up, pass->d_norm, true,
                                     err)) != TL_OK)
        return status;
    b->copy(b, Q * d->d_model, d_post, d_mid);
    b->rmsnorm_backward(b, pass->options.backward_rule, Q, d->d_model, y->resid_mid,
                        w->mlp_norm.weight, y->mlp_inv_rms, pass->d_norm, d_mid);

    if ((status = tl_readings_at(pass, TL_SITE_ATTN_OUT, l, true, last, d_mid, err)) !=
            TL_OK ||
        (status = backward_out(pass, &w->o, &w->attn_post_norm, Q, y->attn_raw,
                               y->attn_raw_inv_rms, d_mid, pass->d_z, err)) != TL_OK ||
        (status = tl_readings_at(pass, TL_SITE_Z, l, true, last, pass->d_z, err)) !=
            TL_OK)
        return status;
    const tl_attention shape = tl_batch_attention(pass, l);
    if ((status = b->attention_backward(b, pass->options.backward_rule, &shape,
                                        pass->n_prompts, pass->attention, y->q, y->k,
                                        y->v, y->z, y->lse, pass->d_z, pass->d_q,
                                        pass->d_k, pass->d_v, err)) != TL_OK ||
        (status = backward_qkv(pass, l, y, err)) != TL_OK)
        return status;

    float *d_pre = pass->d_resid;
    if (last) {
        b->fill(b, R * d->d_model, 0.0f, d_pre);
        tl_batch_scatter_last(pass, d->d_model, d_mid, d_pre);
    } else {
        b->copy(b, R * d->d_model, d_mid, d_pre);
    }
    b->rmsnorm_backward(b, pass->options.backward_rule, R, d->d_model, pass->resid[l],
                        w->attn_norm.weight, y->attn_inv_rms, pass->d_norm, d_pre);
    return tl_readings_at(pass, TL_SITE_RESID_PRE, l, true, false, d_pre, err);
}
