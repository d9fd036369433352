/* SPDX-License-Identifier: MIT
 *
 * pass_private.h - the inside of a tl_pass, for the files that make it up:
 *
 *     pass.c    plan, memory, the order of the layers
 *     batch.c   where the prompts of the batch are
 *     readings.c  what happens at a site: edits, readings, taps
 *     attention_pattern.c  what attention weighs keys by
 *     layer.c   one layer, forward and backward
 *     head.c    logits, and the gradient of a difference of two
 *     finite.c  whether activations and gradients are numbers
 *
 * Rows are positions, prompts end to end. R rows are computed; Q rows are computed past
 * the attention. Q = R, but in the last layer of a last_only pass Q = number of prompts:
 * nobody reads the other positions there.
 */
#ifndef TWINLENS_MODEL_PASS_PRIVATE_H
#define TWINLENS_MODEL_PASS_PRIVATE_H

#include "model/model_private.h"
#include "twinlens/pass.h"

/* What the forward of one layer leaves for its backward. Shapes in elements. */
typedef struct tl_layer {
    float *attn_inv_rms, *mlp_inv_rms; /* [R], [Q] */
    float *q, *k, *v;                  /* [Q, heads * d_head], [R, kv_heads * d_head] */
    float *z, *lse;                    /* [Q, heads * d_head], [Q, heads] */
    float *resid_mid;                  /* [Q, d_model] */
    float *gate, *up;                  /* [Q, d_mlp] */
    float *q_raw, *k_raw, *q_inv_rms, *k_inv_rms; /* with qk_norm */
    float *attn_raw, *attn_raw_inv_rms, *mlp_raw,
        *mlp_raw_inv_rms; /* with post_norms */
} tl_layer;

/* Where a prompt of the batch is. */
typedef struct tl_prompt_rows {
    size_t first, n;        /* rows */
    size_t n_pos, n_prefix; /* n = n_pos - n_prefix */
} tl_prompt_rows;

struct tl_pass {
    tl_model *model;
    void *slab; /* memory of the backend, kept from batch to batch while it suffices */
    size_t slab_bytes;
    tl_arena *activations; /* over the slab */
    void *table_memory;    /* of the host, kept like the slab */
    size_t table_capacity;
    size_t table_bytes;    /* that the batch under way takes of it */
    tl_arena *tables;      /* over it */
    size_t attention_kept; /* the most that the backend was asked for */
    size_t peak;
    bool ready, can_go_back;

    /* The batch under way. */
    tl_pass_options options;
    const tl_pass_prompt *prompts;
    size_t n_prompts, n_rows, n_kept;
    bool again; /* a layer is computed once more for the way back */

    /* Tables of the host. */
    tl_prompt_rows *rows;
    uint32_t *last_rows, *final_rows; /* [prompts]: of last positions; in `final` */
    tl_attention_prompt *attention;
    double *pair_scores; /* [prompts, 2]: logits before the soft cap */
    float *staging;      /* what goes to the backend and comes from it */
    float **resid; /* [n_layers + 1]: resid_pre of each layer, resid_post of the last */
    tl_layer *layers; /* [n_layers]; those not kept share their pointers */

    /* Activations. */
    float *cosine, *sine;                     /* [R, d_head / 2] */
    float *cosine_sliding, *sine_sliding;     /* of sliding layers, if they differ */
    float *cosine_last, *sine_last;           /* [prompts, d_head / 2], last_only */
    float *norm, *norm_last, *out, *mlp_post; /* scratch of a layer */
    float *pattern_values;                    /* [R, kv_heads * d_head], for patterns */
    float *final;                             /* [Q, d_model] after the final norm */
    float *final_inv_rms;

    /* The way back. */
    float *d_resid, *d_mid, *d_norm, *d_out; /* [R, d_model] */
    float *d_mlp_post, *d_gate, *d_up;       /* [R, d_mlp] */
    float *d_z, *d_q, *d_k, *d_v;
};

/* ---- pass.c ---------------------------------------------------------------------- */

/* Of tl_pass_bytes() the scratch of attention, which is the backend's. */
tl_status tl_pass_attention_bytes(const tl_model *model, const size_t *n_pos,
                                  size_t n_prompts, const tl_pass_options *options,
                                  size_t *out, tl_error *err);

/* ---- readings.c ------------------------------------------------------------------ */

/* TL_ERR_ARGUMENT naming a reading, edit or tap of the options that makes no sense for
 * these prompts. */
tl_status tl_readings_check(const tl_model *model, const tl_pass_prompt *prompts,
                            size_t n_prompts, const tl_pass_options *options,
                            tl_error *err);

/* Edits, readings and taps of a site, whose values are rows [.., width]. Of a layer that
 * is computed again, edits and taps that write. `last_rows`: one row for each prompt, its
 * last position. */
tl_status tl_readings_at(tl_pass *pass, tl_site site, size_t l, bool backward,
                         bool last_rows, float *values, tl_error *err);

/* Elements of a row of a site. */
size_t tl_site_width(const tl_dims *dims, tl_site site);

/* ---- attention_pattern.c ------------------------------------------------------------ */

/* TL_ERR_ARGUMENT for patterns of a pass that has none. */
tl_status tl_patterns_check(const tl_pass_prompt *prompts, size_t n_prompts,
                            const tl_pass_options *options, tl_error *err);

/* Reads those of the options, before attention: z is overwritten. */
tl_status tl_patterns_at(tl_pass *pass, size_t l, const tl_attention *shape,
                         const tl_layer *y, tl_error *err);

/* ---- batch.c --------------------------------------------------------------------- */

/* Rows past the attention of layer l. */
size_t tl_batch_query_rows(const tl_pass *pass, size_t l);

/* The row of each prompt's last position: [R, width] -> [prompts, width], and back. */
void tl_batch_gather_last(const tl_pass *pass, size_t width, const float *x, float *y);
void tl_batch_scatter_last(const tl_pass *pass, size_t width, const float *y, float *x);

/* The shape of layer l's attention; fills pass->attention. */
tl_attention tl_batch_attention(tl_pass *pass, size_t l);

/* The rotary tables of layer l for keys and for queries. */
typedef struct tl_rotary_tables {
    const float *key_cosine, *key_sine, *query_cosine, *query_sine;
} tl_rotary_tables;
tl_rotary_tables tl_batch_tables(const tl_pass *pass, size_t l);

/* Puts keys and values of layer l where a prompt's `collect` wants them. */
void tl_batch_collect(const tl_pass *pass, size_t l, const tl_layer *y);

/* TL_ERR_ARGUMENT for prompts that make no batch. */
tl_status tl_batch_check(const tl_pass_prompt *prompts, size_t n_prompts,
                         size_t n_layers, tl_error *err);

/* Tables of the host for pass->prompts, and the rows of each; for a plan without what is
 * staged, which only counts. TL_ERR_NO_MEMORY. */
tl_status tl_batch_begin(tl_pass *pass, bool plan_only, tl_error *err);
/* Frees the tables. */
void tl_batch_release(tl_pass *pass);

/* Rotary tables and the first residual stream. TL_ERR_BACKEND. */
tl_status tl_batch_fill(tl_pass *pass, tl_error *err);

/* Adds to the stream what images add behind layer l, through `out`. TL_ERR_BACKEND. */
tl_status tl_batch_add_deep(tl_pass *pass, size_t l, float *stream, tl_error *err);

/* ---- layer.c --------------------------------------------------------------------- */

/* From resid[l] to resid[l + 1], filling layers[l]. */
tl_status tl_layer_forward(tl_pass *pass, size_t l, tl_error *err);

/* Fills layers[l] once more, as far as the way back needs it. */
tl_status tl_layer_recompute(tl_pass *pass, size_t l, tl_error *err);

/* d_resid: from the gradient at resid[l + 1] to the one at resid[l]. */
tl_status tl_layer_backward(tl_pass *pass, size_t l, tl_error *err);

/* ---- finite.c -------------------------------------------------------------------- */

/* TL_ERR_DATA naming the first site, position and prompt with a value that is not finite:
 * of what enters the first layer, of a layer that has just been computed, of the gradient
 * that leaves it. */
tl_status tl_finite_check_input(tl_pass *pass, tl_error *err);
tl_status tl_finite_check_layer(tl_pass *pass, size_t l, tl_error *err);
tl_status tl_finite_check_gradient(tl_pass *pass, size_t l, tl_error *err);

/* What a message calls a prompt of the batch. */
const char *tl_finite_name(const tl_pass *pass, size_t prompt, char out[64]);

/* ---- head.c ---------------------------------------------------------------------- */

/* TL_ERR_ARGUMENT without a finished forward pass, or such a prompt in it. */
tl_status tl_head_check(const tl_pass *pass, size_t prompt, tl_error *err);

/* `final` from resid[n_layers]. */
void tl_head_forward(tl_pass *pass);

/* d_resid at the end of the last layer, of logit[a[p]] - logit[b[p]]. */
tl_status tl_head_backward(tl_pass *pass, const int32_t *a, const int32_t *b,
                           tl_error *err);

#endif
