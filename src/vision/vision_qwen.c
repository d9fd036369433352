/* SPDX-License-Identifier: MIT
 *
 * vision_qwen.c - the towers of Qwen2-VL, Qwen2.5-VL and Qwen3-VL (vision/tower.h): patches
 * -> linear -> blocks of (norm, attention with 2-D rotary positions, norm, MLP) -> norm ->
 * each merge x merge block of patches, laid side by side, through two linear layers.
 *
 * Qwen2-VL has layer norms, two layers as MLP, and attends over the whole image.
 * Qwen2.5-VL has RMS norms, a gated MLP, and in most layers attends within windows of
 * the picture. For that its merged blocks are laid window by window, and put back in
 * order at the end.
 * Qwen3-VL has Qwen2-VL's blocks, and learned positions beside the rotary ones. The states
 * behind some of its blocks also become features (DeepStack), with a norm over the merged
 * patches in place of one over each.
 */
#include "vision/tower.h"

#include <stdio.h>
#include <string.h>

#include "vision/position_grid.h"
#include "vision/rope_2d.h"

typedef struct qwen_block {
    tl_norm norm1, norm2;
    tl_tower_attention attention;
    tl_linear gate, up, down; /* no gate: up and down are the two layers */
} qwen_block;

/* From states to features. */
typedef struct qwen_merger {
    tl_norm norm;
    bool norms_merged; /* all patches of a feature together, else each */
    tl_linear in, out;
} qwen_merger;

typedef struct qwen_tower {
    tl_linear patch_embed; /* [width, channels * temporal_patch * patch * patch] */
    tl_tensor positions;   /* [grid * grid, width] */
    qwen_block *blocks;
    qwen_merger merger, deep[TL_DEEP_LAYERS];
} qwen_tower;

/* The same layers have had several names. */
typedef struct qwen_names {
    const char *up, *down, *norm, *in, *out;
} qwen_names;

static const qwen_names *names_of(const tl_vision_spec *v)
{
    static const qwen_names qwen2 = {"mlp.fc1", "mlp.fc2", "ln_q", "mlp.0", "mlp.2"},
                            qwen2_5 = {"mlp.up_proj", "mlp.down_proj", "ln_q", "mlp.0",
                                       "mlp.2"},
                            qwen3 = {"mlp.linear_fc1", "mlp.linear_fc2", "norm",
                                     "linear_fc1", "linear_fc2"};
    return v->tower == TL_TOWER_QWEN3 ? &qwen3 : v->gated_mlp ? &qwen2_5 : &qwen2;
}

/* ---- weights --------------------------------------------------------------------- */

static tl_norm_kind norm_kind(const tl_vision_spec *v)
{
    return v->rms_norms ? TL_NORM_RMS : TL_NORM_LAYER;
}

static tl_status find_block(const tl_finder *f, const tl_vision_spec *v, size_t l,
                            qwen_block *b, tl_error *err)
{
    tl_linear qkv = {0};
    const tl_linear_field linears[] = {
        {"attn.qkv", 3 * v->width, v->width, true, &qkv},
        {"attn.proj", v->width, v->width, true, &b->attention.out},
        {names_of(v)->up, v->d_mlp, v->width, true, &b->up},
        {names_of(v)->down, v->width, v->d_mlp, true, &b->down},
        {"mlp.gate_proj", v->d_mlp, v->width, true, v->gated_mlp ? &b->gate : NULL},
    };
    const tl_norm_field norms[] = {{"norm1", v->width, &b->norm1},
                                   {"norm2", v->width, &b->norm2}};
    char stem[TL_STEM_BYTES];
    snprintf(stem, sizeof stem, "%sblocks.%zu.", f->prefix, l);
    const tl_status status =
        tl_find_linears(f, stem, linears, sizeof linears / sizeof *linears, err);
    if (status != TL_OK)
        return status;
    b->attention.q = tl_linear_slice(&qkv, 0, v->width);
    b->attention.k = tl_linear_slice(&qkv, 1, v->width);
    b->attention.v = tl_linear_slice(&qkv, 2, v->width);
    return tl_find_norms(f, stem, norm_kind(v), norms, 2, err);
}

static tl_status find_merger(const tl_finder *f, const tl_vision_spec *v,
                             const char *name, bool norms_merged, qwen_merger *out,
                             tl_error *err)
{
    const qwen_names *names = names_of(v);
    const size_t merged = v->width * v->merge * v->merge;
    const tl_norm_field norm = {names->norm, norms_merged ? merged : v->width,
                                &out->norm};
    const tl_linear_field linears[] = {
        {names->in, merged, merged, true, &out->in},
        {names->out, v->d_model, merged, true, &out->out},
    };
    char stem[TL_STEM_BYTES];
    snprintf(stem, sizeof stem, "%s%s.", f->prefix, name);
    out->norms_merged = norms_merged;
    const tl_status status = tl_find_norms(f, stem, norm_kind(v), &norm, 1, err);
    return status == TL_OK ? tl_find_linears(f, stem, linears, 2, err) : status;
}

static tl_status find_tower(const tl_finder *f, const tl_vision_spec *v,
                            const void **weights, tl_error *err)
{
    char stem[TL_STEM_BYTES];
    qwen_tower *w = tl_arena_alloc_zero(f->arena, 1, sizeof *w);
    if (w != NULL)
        w->blocks = tl_arena_alloc_zero(f->arena, v->depth, sizeof *w->blocks);
    if (w == NULL || w->blocks == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the tensor table");
    snprintf(stem, sizeof stem, "%spatch_embed.proj", f->prefix);
    tl_status status = tl_find_linear(
        f, stem, v->width, v->channels * v->temporal_patch * v->patch * v->patch,
        v->tower == TL_TOWER_QWEN3, &w->patch_embed, err);
    snprintf(stem, sizeof stem, "%spos_embed.weight", f->prefix);
    if (status == TL_OK && v->grid > 0)
        status =
            tl_find_tensor(f, stem, v->grid * v->grid, v->width, &w->positions, err);
    for (size_t l = 0; l < v->depth && status == TL_OK; l++)
        status = find_block(f, v, l, &w->blocks[l], err);
    if (status == TL_OK)
        status = find_merger(f, v, "merger", false, &w->merger, err);
    for (size_t i = 0; i < v->n_deep && status == TL_OK; i++) {
        snprintf(stem, sizeof stem, "deepstack_merger_list.%zu", i);
        status = find_merger(f, v, stem, true, &w->deep[i], err);
    }
    if (status == TL_OK)
        *weights = w;
    return status;
}

/* ---- features -------------------------------------------------------------------- */

/* Buffers of one image with P patches. */
typedef struct qwen_buffers {
    tl_tower_state state;
    float *hidden, *gate, *up, *merged;
    float *table; /* of learned positions */
    /* Merged blocks window by window: order[i] is the place in the picture of the i-th.
     * Without windows they lie as in the picture. */
    size_t *order;
    tl_attention_prompt *windows;
    size_t n_windows;
    tl_attention_prompt all;
} qwen_buffers;

static tl_status lay_out(tl_arena *arena, const tl_vision_spec *v, size_t patches,
                         qwen_buffers *out, tl_error *err)
{
    const size_t wide = v->d_mlp > v->width ? v->d_mlp : v->width,
                 gated = v->gated_mlp ? patches * v->d_mlp : 0;
    const tl_tower_buffer buffers[] = {
        {&out->hidden, patches * wide},
        {&out->gate, gated},
        {&out->up, gated},
        {&out->merged, patches / v->merge / v->merge * v->d_model},
        {&out->table, v->grid * v->grid * v->width},
    };
    tl_status status = tl_tower_take_state(arena, v, patches, &out->state, err);
    if (status == TL_OK)
        status = tl_tower_take(arena, buffers, sizeof buffers / sizeof *buffers, err);
    out->order = tl_arena_alloc(arena, patches, sizeof *out->order);
    out->windows = tl_arena_alloc_zero(arena, patches, sizeof *out->windows);
    out->all = (tl_attention_prompt){.n_query = patches, .n_key = patches};
    if (status == TL_OK && !tl_arena_is_measuring(arena) &&
        (out->order == NULL || out->windows == NULL))
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an image of %zu patches",
                       patches);
    return status;
}

/* ---- windows --------------------------------------------------------------------- */

/* Windows of side x side merged blocks, row by row, those at the edges smaller. */
static void lay_windows(const tl_vision_spec *v, size_t rows, size_t columns,
                        qwen_buffers *s)
{
    const size_t per_token = v->merge * v->merge,
                 side = v->window > 0 ? v->window / v->merge / v->patch
                                      : (rows > columns ? rows : columns);
    size_t n = 0;
    for (size_t y0 = 0; y0 < rows; y0 += side)
        for (size_t x0 = 0; x0 < columns; x0 += side) {
            const size_t first = n;
            for (size_t y = y0; y < y0 + side && y < rows; y++)
                for (size_t x = x0; x < x0 + side && x < columns; x++)
                    s->order[n++] = y * columns + x;
            const size_t patches = (n - first) * per_token;
            s->windows[s->n_windows++] =
                (tl_attention_prompt){.q_row = first * per_token,
                                      .k_row = first * per_token,
                                      .n_query = patches,
                                      .n_key = patches};
        }
}

/* Moves the blocks of `x`, of `values` floats each, to where their window is. */
static void to_windows(const qwen_buffers *s, size_t tokens, size_t values, float *x,
                       float *spare)
{
    for (size_t i = 0; i < tokens; i++)
        memcpy(spare + i * values, x + s->order[i] * values, values * sizeof *x);
    memcpy(x, spare, tokens * values * sizeof *x);
}

/* ---- blocks ---------------------------------------------------------------------- */

static void run_norm(tl_backend *b, const tl_vision_spec *v, const tl_norm *norm,
                     size_t patches, const tl_tower_state *s)
{
    if (v->rms_norms)
        b->rmsnorm(b, patches, v->width, v->norm_eps, s->x, norm->weight, s->norm,
                   s->lse);
    else
        b->layernorm(b, patches, v->width, v->norm_eps, s->x, norm->weight, norm->bias,
                     s->norm);
}

static tl_status run_mlp(tl_backend *b, const tl_vision_spec *v, const qwen_block *w,
                         size_t patches, const qwen_buffers *s, tl_error *err)
{
    const tl_tower_state *state = &s->state;
    tl_status status = b->linear(b, &w->up, patches, state->norm,
                                 v->gated_mlp ? s->up : s->hidden, false, err);
    if (status == TL_OK && v->gated_mlp)
        status = b->linear(b, &w->gate, patches, state->norm, s->gate, false, err);
    if (status != TL_OK)
        return status;
    if (v->gated_mlp)
        b->gated(b, v->activation, patches * v->d_mlp, s->gate, s->up, s->hidden);
    else
        b->activate(b, v->activation, patches * v->d_mlp, s->hidden);
    return b->linear(b, &w->down, patches, s->hidden, state->x, true, err);
}

static tl_status run_block(tl_backend *b, const tl_vision_spec *v, const qwen_block *w,
                           bool sees_all, size_t patches, const qwen_buffers *s,
                           tl_error *err)
{
    run_norm(b, v, &w->norm1, patches, &s->state);
    const tl_status status =
        tl_tower_attend(b, v, &w->attention, patches, sees_all ? &s->all : s->windows,
                        sees_all ? 1 : s->n_windows, &s->state, err);
    if (status != TL_OK)
        return status;
    run_norm(b, v, &w->norm2, patches, &s->state);
    return run_mlp(b, v, w, patches, s, err);
}

/* ---- the tower ------------------------------------------------------------------- */

static tl_status count_features(const tl_vision_spec *v, const tl_pixels *pixels,
                                size_t *count, tl_error *err)
{
    const size_t patch_values = v->channels * v->temporal_patch * v->patch * v->patch;
    if (pixels->n_dims != 2 || pixels->dims[1] != patch_values || pixels->grid_t != 1 ||
        pixels->dims[0] != pixels->grid_h * pixels->grid_w || pixels->dims[0] == 0 ||
        pixels->grid_h % v->merge != 0 || pixels->grid_w % v->merge != 0)
        return tl_fail(
            err, TL_ERR_DATA,
            "an image of %zu patches of %zu values in a grid of %zux%zux%zu does not "
            "fit a tower with patches of %zu values merged %zux%zu",
            pixels->dims[0], pixels->dims[1], pixels->grid_t, pixels->grid_h,
            pixels->grid_w, patch_values, v->merge, v->merge);
    *count = pixels->dims[0] / v->merge / v->merge;
    return TL_OK;
}

static size_t count_rows(const tl_vision_spec *v, const tl_pixels *pixels)
{
    (void)v;
    return pixels->dims[0];
}

static tl_status plan(const tl_vision_spec *v, const tl_pixels *pixels, tl_arena *arena,
                      tl_error *err)
{
    qwen_buffers s = {0};
    return lay_out(arena, v, pixels->dims[0], &s, err);
}

/* Patches lie in merged blocks, so a merged row is per_token rows in a row. Features go to
 * `out` [tokens, d_model] in the order of the picture. */
static tl_status merge(tl_backend *b, const tl_vision_spec *v, const qwen_merger *w,
                       size_t patches, const qwen_buffers *s, float *out, tl_error *err)
{
    const size_t per_token = v->merge * v->merge, tokens = patches / per_token,
                 d_model = v->d_model;
    const tl_tower_state *state = &s->state;
    if (w->norms_merged)
        b->layernorm(b, tokens, per_token * v->width, v->norm_eps, state->x,
                     w->norm.weight, w->norm.bias, state->norm);
    else
        run_norm(b, v, &w->norm, patches, state);
    tl_status status = b->linear(b, &w->in, tokens, state->norm, s->hidden, false, err);
    if (status != TL_OK)
        return status;
    b->activate(b, TL_GELU, patches * v->width, s->hidden);
    status = b->linear(b, &w->out, tokens, s->hidden, s->merged, false, err);
    for (size_t i = 0; i < tokens && status == TL_OK; i++)
        memcpy(out + s->order[i] * d_model, s->merged + i * d_model,
               d_model * sizeof *out);
    return status;
}

/* From pixels to the stream in front of the first block, window by window. */
static tl_status embed(tl_backend *b, const tl_vision_spec *v, const qwen_tower *w,
                       const tl_pixels *pixels, qwen_buffers *s, tl_error *err)
{
    const size_t patches = pixels->dims[0], per_token = v->merge * v->merge,
                 tokens = patches / per_token, d_rope = v->width / v->n_heads / 2,
                 side = v->grid;
    const tl_tower_state *state = &s->state;
    tl_rope_table_2d(v->rope_theta, v->width / v->n_heads, pixels->grid_h,
                     pixels->grid_w, v->merge, state->cosine, state->sine);
    tl_status status =
        b->linear(b, &w->patch_embed, patches, pixels->values, state->x, false, err);
    if (status == TL_OK && side > 0)
        status =
            tl_tensor_to_f32(&w->positions, 0, side * side * v->width, s->table, err);
    if (status == TL_OK && side > 0)
        tl_position_grid_add(s->table, side, v->width, pixels->grid_h, pixels->grid_w,
                             v->merge, state->x);
    lay_windows(v, pixels->grid_h / v->merge, pixels->grid_w / v->merge, s);
    to_windows(s, tokens, per_token * v->width, state->x, state->norm);
    to_windows(s, tokens, per_token * d_rope, state->cosine, state->q);
    to_windows(s, tokens, per_token * d_rope, state->sine, state->q);
    return status;
}

static tl_status run_tower(tl_backend *b, const tl_vision_spec *v, const void *weights,
                           const tl_pixels *pixels, tl_arena *scratch, float *out,
                           tl_error *err)
{
    const qwen_tower *w = weights;
    const size_t patches = pixels->dims[0],
                 count = patches / v->merge / v->merge * v->d_model;
    size_t n_deep = 0;
    qwen_buffers s = {0};
    tl_status status = lay_out(scratch, v, patches, &s, err);
    if (status == TL_OK)
        status = embed(b, v, w, pixels, &s, err);
    for (size_t l = 0; l < v->depth && status == TL_OK; l++) {
        status = run_block(b, v, &w->blocks[l], v->window == 0 || v->sees_all[l],
                           patches, &s, err);
        if (status == TL_OK && n_deep < v->n_deep && v->deep_layers[n_deep] == l) {
            status = merge(b, v, &w->deep[n_deep], patches, &s,
                           out + (1 + n_deep) * count, err);
            n_deep++;
        }
    }
    return status == TL_OK ? merge(b, v, &w->merger, patches, &s, out, err) : status;
}

static const char *const prefixes[] = {"visual.", "model.visual."};

const tl_tower_kind tl_tower_qwen = {
    .prefixes = prefixes,
    .n_prefixes = sizeof prefixes / sizeof *prefixes,
    .marker = "patch_embed.proj.weight",
    .find = find_tower,
    .count = count_features,
    .rows = count_rows,
    .plan = plan,
    .run = run_tower,
};
