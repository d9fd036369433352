/* SPDX-License-Identifier: MIT
 *
 * vision_internvl.c - InternVL's tower (vision/tower.h), InternViT; in brackets what only
 * its largest has:
 *
 *     x  = (class row, W_patch pixels + b) + position       [1 + patches, width]
 *     h  = norm x;  q, k = [RMS norm over all heads] W h    norm: layer or RMS
 *     x += lambda_1 * (W_out attention(q, k, v) + b)        all rows see each other
 *     x += lambda_2 * (W_2 act(W_1 norm x + b) + b)         both depth times
 *     feature = project(x)                                  without the class row
 *
 * lambda is a weight for each dimension. With final_norm the projector reads layer norm x.
 * Pictures are squares of patches. Where there are more or fewer of them than learned
 * positions, these are interpolated by cubics.
 *
 * @source transformers models/internvl/modeling_internvl.py
 */
#include "vision/tower.h"

#include <stdio.h>

#include "vision/position_grid.h"
#include "vision/projector.h"

typedef struct internvl_block {
    tl_norm norm1, norm2, q_norm, k_norm;
    tl_tower_attention attention;
    const float *lambda1, *lambda2; /* [width] */
    tl_linear fc1, fc2;
} internvl_block;

typedef struct internvl_tower {
    tl_tensor class_row;   /* [1, width] */
    tl_linear patch_embed; /* [width, channels * patch * patch] */
    tl_tensor positions;   /* [1, (1 + grid * grid) * width], of the class row first */
    internvl_block *blocks;
    tl_norm final_norm;
    tl_projector projector;
} internvl_tower;

/* Of the norms of q and k, whatever the configuration says of the others. */
static const float QK_EPS = 1e-6f;

/* Patches on a side of a tile. */
static size_t side_of(const tl_vision_spec *v, const tl_pixels *pixels)
{
    return pixels->dims[2] / v->patch;
}

static size_t count_rows(const tl_vision_spec *v, const tl_pixels *pixels)
{
    return 1 + side_of(v, pixels) * side_of(v, pixels);
}

/* ---- weights --------------------------------------------------------------------- */

static tl_status find_block(const tl_finder *f, const tl_vision_spec *v, size_t l,
                            internvl_block *b, tl_error *err)
{
    tl_tower_attention *a = &b->attention;
    const tl_linear_field linears[] = {
        {"attention.q_proj", v->width, v->width, v->qkv_bias, &a->q},
        {"attention.k_proj", v->width, v->width, v->qkv_bias, &a->k},
        {"attention.v_proj", v->width, v->width, v->qkv_bias, &a->v},
        {"attention.projection_layer", v->width, v->width, true, &a->out},
        {"mlp.fc1", v->d_mlp, v->width, true, &b->fc1},
        {"mlp.fc2", v->width, v->d_mlp, true, &b->fc2},
    };
    const tl_norm_field norms[] = {{"layernorm_before", v->width, &b->norm1},
                                   {"layernorm_after", v->width, &b->norm2}};
    const tl_norm_field qk_norms[] = {
        {"attention.q_norm", v->width, v->qk_norm ? &b->q_norm : NULL},
        {"attention.k_norm", v->width, v->qk_norm ? &b->k_norm : NULL}};
    char stem[TL_STEM_BYTES], name[TL_NAME_BYTES];
    snprintf(stem, sizeof stem, "%sencoder.layer.%zu.", f->prefix, l);
    tl_status status =
        tl_find_linears(f, stem, linears, sizeof linears / sizeof *linears, err);
    if (status == TL_OK)
        status = tl_find_norms(f, stem, v->rms_norms ? TL_NORM_RMS : TL_NORM_LAYER,
                               norms, 2, err);
    if (status == TL_OK)
        status = tl_find_norms(f, stem, TL_NORM_RMS, qk_norms, 2, err);
    snprintf(name, sizeof name, "%slambda_1", stem);
    if (status == TL_OK)
        status = tl_find_vector(f, name, v->width, 0.0f, &b->lambda1, err);
    snprintf(name, sizeof name, "%slambda_2", stem);
    return status == TL_OK ? tl_find_vector(f, name, v->width, 0.0f, &b->lambda2, err)
                           : status;
}

static tl_status find_tower(const tl_finder *f, const tl_vision_spec *v,
                            const void **weights, tl_error *err)
{
    internvl_tower *w = tl_arena_alloc_zero(f->arena, 1, sizeof *w);
    if (w != NULL)
        w->blocks = tl_arena_alloc_zero(f->arena, v->depth, sizeof *w->blocks);
    if (w == NULL || w->blocks == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the tensor table");
    char stem[TL_STEM_BYTES];
    snprintf(stem, sizeof stem, "%sembeddings.cls_token", f->prefix);
    tl_status status = tl_find_tensor(f, stem, 1, v->width, &w->class_row, err);
    snprintf(stem, sizeof stem, "%sembeddings.patch_embeddings.projection", f->prefix);
    if (status == TL_OK)
        status = tl_find_linear(f, stem, v->width, v->channels * v->patch * v->patch,
                                true, &w->patch_embed, err);
    snprintf(stem, sizeof stem, "%sembeddings.position_embeddings", f->prefix);
    if (status == TL_OK && v->grid > 0)
        status = tl_find_tensor(f, stem, 1, (1 + v->grid * v->grid) * v->width,
                                &w->positions, err);
    for (size_t l = 0; l < v->depth && status == TL_OK; l++)
        status = find_block(f, v, l, &w->blocks[l], err);
    snprintf(stem, sizeof stem, "%slayernorm", f->prefix);
    if (status == TL_OK && v->final_norm)
        status = tl_find_norm(f, stem, v->width, TL_NORM_LAYER, &w->final_norm, err);
    if (status == TL_OK)
        status = tl_projector_find(f, v, &w->projector, err);
    if (status == TL_OK)
        *weights = w;
    return status;
}

/* ---- features -------------------------------------------------------------------- */

/* Buffers of one tile. */
typedef struct internvl_buffers {
    tl_tower_state state;
    float *hidden, *table, *scratch;
} internvl_buffers;

static tl_status lay_out(tl_arena *arena, const tl_vision_spec *v,
                         const tl_pixels *pixels, internvl_buffers *out, tl_error *err)
{
    const size_t side = side_of(v, pixels), rows = count_rows(v, pixels),
                 patch_values = v->channels * v->patch * v->patch,
                 wide = v->d_mlp > patch_values ? v->d_mlp : patch_values;
    const tl_tower_buffer buffers[] = {
        {&out->hidden, rows * wide},
        {&out->table, v->grid > 0 ? (1 + v->grid * v->grid) * v->width : 0},
        {&out->scratch, tl_projector_scratch(v, side, side)},
    };
    const tl_status status = tl_tower_take_state(arena, v, rows, &out->state, err);
    return status == TL_OK ? tl_tower_take(arena, buffers, 3, err) : status;
}

static void run_norm(tl_backend *b, const tl_vision_spec *v, const tl_norm *norm,
                     size_t rows, const tl_tower_state *s)
{
    if (v->rms_norms)
        b->rmsnorm(b, rows, v->width, v->norm_eps, s->x, norm->weight, s->norm, NULL);
    else
        b->layernorm(b, rows, v->width, v->norm_eps, s->x, norm->weight, norm->bias,
                     s->norm);
}

/* x += lambda * y, row by row. */
static void add_scaled(const float *lambda, size_t rows, size_t width, const float *y,
                       float *x)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t d = 0; d < width; d++)
            x[r * width + d] += lambda[d] * y[r * width + d];
}

/* q, k and v of s->norm, which is free for other things then. */
static tl_status project_heads(tl_backend *b, const tl_vision_spec *v,
                               const internvl_block *w, size_t rows,
                               const tl_tower_state *s, tl_error *err)
{
    float *q = v->qk_norm ? s->z : s->q; /* in front of its norm */
    tl_status status = b->linear(b, &w->attention.q, rows, s->norm, q, false, err);
    if (status == TL_OK && v->qk_norm)
        b->rmsnorm(b, rows, v->width, QK_EPS, q, w->q_norm.weight, s->q, NULL);
    float *k = v->qk_norm ? s->z : s->k;
    if (status == TL_OK)
        status = b->linear(b, &w->attention.k, rows, s->norm, k, false, err);
    if (status == TL_OK && v->qk_norm)
        b->rmsnorm(b, rows, v->width, QK_EPS, k, w->k_norm.weight, s->k, NULL);
    return status == TL_OK
               ? b->linear(b, &w->attention.v, rows, s->norm, s->v, false, err)
               : status;
}

static tl_status run_block(tl_backend *b, const tl_vision_spec *v,
                           const internvl_block *w, size_t rows,
                           const internvl_buffers *buffers, tl_error *err)
{
    const tl_tower_state *s = &buffers->state;
    const tl_attention shape = tl_tower_attention_shape(v);
    const tl_attention_prompt all = {.n_query = rows, .n_key = rows};
    tl_status status;
    run_norm(b, v, &w->norm1, rows, s);
    if ((status = project_heads(b, v, w, rows, s, err)) != TL_OK ||
        (status = b->attention(b, &shape, 1, &all, s->q, s->k, s->v, s->z, s->lse,
                               err)) != TL_OK ||
        (status = b->linear(b, &w->attention.out, rows, s->z, s->norm, false, err)) !=
            TL_OK)
        return status;
    add_scaled(w->lambda1, rows, v->width, s->norm, s->x);
    run_norm(b, v, &w->norm2, rows, s);
    status = b->linear(b, &w->fc1, rows, s->norm, buffers->hidden, false, err);
    if (status != TL_OK)
        return status;
    b->activate(b, v->activation, rows * v->d_mlp, buffers->hidden);
    status = b->linear(b, &w->fc2, rows, buffers->hidden, s->norm, false, err);
    if (status == TL_OK)
        add_scaled(w->lambda2, rows, v->width, s->norm, s->x);
    return status;
}

static tl_status add_positions(tl_backend *b, const tl_vision_spec *v,
                               const internvl_tower *w, size_t side, float *table,
                               float *x, tl_error *err)
{
    const tl_status status = tl_tensor_to_f32(
        &w->positions, 0, (1 + v->grid * v->grid) * v->width, table, err);
    if (status != TL_OK)
        return status;
    b->add(b, v->width, table, x);
    tl_position_grid_add_cubic(table + v->width, v->grid, v->width, side, side,
                               x + v->width);
    return TL_OK;
}

/* From pixels to the stream in front of the first block. */
static tl_status embed(tl_backend *b, const tl_vision_spec *v, const internvl_tower *w,
                       const tl_pixels *pixels, const internvl_buffers *buffers,
                       tl_error *err)
{
    float *x = buffers->state.x;
    const size_t side = side_of(v, pixels);
    tl_status status = tl_tensor_to_f32(&w->class_row, 0, v->width, x, err);
    tl_tower_cut_patches(v, pixels, buffers->hidden);
    if (status == TL_OK)
        status = b->linear(b, &w->patch_embed, side * side, buffers->hidden,
                           x + v->width, false, err);
    return status == TL_OK && v->grid > 0
               ? add_positions(b, v, w, side, buffers->table, x, err)
               : status;
}

static tl_status run_tower(tl_backend *b, const tl_vision_spec *v, const void *weights,
                           const tl_pixels *pixels, tl_arena *scratch, float *out,
                           tl_error *err)
{
    const internvl_tower *w = weights;
    const size_t side = side_of(v, pixels), rows = count_rows(v, pixels);
    internvl_buffers buffers = {.scratch = NULL};
    const tl_tower_state *s = &buffers.state;
    tl_status status = lay_out(scratch, v, pixels, &buffers, err);
    if (status == TL_OK)
        status = embed(b, v, w, pixels, &buffers, err);
    for (size_t l = 0; l < v->depth && status == TL_OK; l++)
        status = run_block(b, v, &w->blocks[l], rows, &buffers, err);
    if (status != TL_OK)
        return status;
    const float *states = s->x;
    if (v->final_norm) {
        b->layernorm(b, rows, v->width, v->norm_eps, s->x, w->final_norm.weight,
                     w->final_norm.bias, s->norm);
        states = s->norm;
    }
    return tl_projector_run(b, v, &w->projector, side, side, states + v->width,
                            buffers.scratch, out, err);
}

static tl_status count_features(const tl_vision_spec *v, const tl_pixels *pixels,
                                size_t *count, tl_error *err)
{
    const size_t *d = pixels->dims;
    if (pixels->n_dims != 4 || d[0] != 1 || d[1] != v->channels ||
        d[2] / v->patch != d[3] / v->patch || d[2] / v->patch == 0 ||
        d[2] / v->patch % v->merge != 0) {
        char have[96];
        return tl_fail(err, TL_ERR_DATA,
                       "an image of %s values does not fit a tower that wants a square "
                       "of %zux%zu patches or a multiple, of %zux%zu pixels in %zu "
                       "channels",
                       tl_shape_text(d, pixels->n_dims, have, sizeof have), v->merge,
                       v->merge, v->patch, v->patch, v->channels);
    }
    *count = tl_projector_count(v, side_of(v, pixels), side_of(v, pixels));
    return TL_OK;
}

static tl_status plan(const tl_vision_spec *v, const tl_pixels *pixels, tl_arena *arena,
                      tl_error *err)
{
    internvl_buffers buffers;
    return lay_out(arena, v, pixels, &buffers, err);
}

static const char *const prefixes[] = {"vision_tower.", "model.vision_tower."};

const tl_tower_kind tl_tower_internvl = {
    .prefixes = prefixes,
    .n_prefixes = sizeof prefixes / sizeof *prefixes,
    .marker = "embeddings.patch_embeddings.projection.weight",
    .find = find_tower,
    .count = count_features,
    .rows = count_rows,
    .plan = plan,
    .run = run_tower,
};
