/* SPDX-License-Identifier: MIT
 *
 * vision_vit.c - the plain vision transformer (vision/tower.h), SigLIP's and CLIP's; in
 * brackets what only CLIP's has:
 *
 *     x  = W_patch pixels + b + position            [patches, width]
 *     [x = layer norm of (class row, x); no b]      [1 + patches, width]
 *     x += W_out attention(layer norm x)            all rows see each other
 *     x += W_2 act(W_1 layer norm x)                both depth times
 *     feature = project(x)                          [without the class row]
 *
 * With final_norm the projector reads layer norm x. The grid of patches is as large as the
 * table of positions: other images do not fit.
 */
#include "vision/tower.h"

#include <stdio.h>
#include <string.h>

#include "vision/projector.h"

typedef struct vit_block {
    tl_norm norm1, norm2;
    tl_tower_attention attention;
    tl_linear fc1, fc2;
} vit_block;

typedef struct vit_tower {
    const float *class_row; /* [width] */
    tl_linear patch_embed;  /* [width, channels * patch * patch] */
    tl_tensor positions;    /* [rows, width] */
    vit_block *blocks;
    tl_norm first_norm, final_norm;
    tl_projector projector;
} vit_tower;

/* Rows that run through the tower. */
static size_t row_count(const tl_vision_spec *v)
{
    return v->grid * v->grid + v->class_row;
}

/* ---- weights --------------------------------------------------------------------- */

static tl_status find_block(const tl_finder *f, const tl_vision_spec *v, size_t l,
                            vit_block *b, tl_error *err)
{
    tl_tower_attention *a = &b->attention;
    const tl_linear_field linears[] = {
        {"self_attn.q_proj", v->width, v->width, true, &a->q},
        {"self_attn.k_proj", v->width, v->width, true, &a->k},
        {"self_attn.v_proj", v->width, v->width, true, &a->v},
        {"self_attn.out_proj", v->width, v->width, true, &a->out},
        {"mlp.fc1", v->d_mlp, v->width, true, &b->fc1},
        {"mlp.fc2", v->width, v->d_mlp, true, &b->fc2},
    };
    const tl_norm_field norms[] = {{"layer_norm1", v->width, &b->norm1},
                                   {"layer_norm2", v->width, &b->norm2}};
    char stem[TL_STEM_BYTES];
    snprintf(stem, sizeof stem, "%sencoder.layers.%zu.", f->prefix, l);
    const tl_status status =
        tl_find_linears(f, stem, linears, sizeof linears / sizeof *linears, err);
    return status == TL_OK ? tl_find_norms(f, stem, TL_NORM_LAYER, norms, 2, err)
                           : status;
}

static tl_status find_tower(const tl_finder *f, const tl_vision_spec *v,
                            const void **weights, tl_error *err)
{
    vit_tower *w = tl_arena_alloc_zero(f->arena, 1, sizeof *w);
    if (w != NULL)
        w->blocks = tl_arena_alloc_zero(f->arena, v->depth, sizeof *w->blocks);
    if (w == NULL || w->blocks == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the tensor table");
    char stem[TL_STEM_BYTES];
    tl_status status = TL_OK;
    snprintf(stem, sizeof stem, "%sembeddings.class_embedding", f->prefix);
    if (v->class_row)
        status = tl_find_vector(f, stem, v->width, 0.0f, &w->class_row, err);
    snprintf(stem, sizeof stem, "%sembeddings.patch_embedding", f->prefix);
    if (status == TL_OK)
        status = tl_find_linear(f, stem, v->width, v->channels * v->patch * v->patch,
                                !v->class_row, &w->patch_embed, err);
    snprintf(stem, sizeof stem, "%sembeddings.position_embedding.weight", f->prefix);
    if (status == TL_OK)
        status = tl_find_tensor(f, stem, row_count(v), v->width, &w->positions, err);
    snprintf(stem, sizeof stem, "%spre_layrnorm", f->prefix); /* so it is spelt */
    if (status == TL_OK && v->class_row)
        status = tl_find_norm(f, stem, v->width, TL_NORM_LAYER, &w->first_norm, err);
    for (size_t l = 0; l < v->depth && status == TL_OK; l++)
        status = find_block(f, v, l, &w->blocks[l], err);
    snprintf(stem, sizeof stem, "%spost_layernorm", f->prefix);
    if (status == TL_OK && v->final_norm)
        status = tl_find_norm(f, stem, v->width, TL_NORM_LAYER, &w->final_norm, err);
    if (status == TL_OK)
        status = tl_projector_find(f, v, &w->projector, err);
    if (status == TL_OK)
        *weights = w;
    return status;
}

/* ---- features -------------------------------------------------------------------- */

/* Buffers of one image. */
typedef struct vit_buffers {
    tl_tower_state state;
    float *hidden, *scratch;
} vit_buffers;

static tl_status lay_out(tl_arena *arena, const tl_vision_spec *v, vit_buffers *out,
                         tl_error *err)
{
    const size_t rows = row_count(v), patch_values = v->channels * v->patch * v->patch,
                 wide = v->d_mlp > patch_values ? v->d_mlp : patch_values;
    const tl_tower_buffer buffers[] = {
        {&out->hidden, rows * wide},
        {&out->scratch, tl_projector_scratch(v, v->grid, v->grid)},
    };
    const tl_status status = tl_tower_take_state(arena, v, rows, &out->state, err);
    return status == TL_OK ? tl_tower_take(arena, buffers, 2, err) : status;
}

static tl_status run_block(tl_backend *b, const tl_vision_spec *v, const vit_block *w,
                           const vit_buffers *buffers, tl_error *err)
{
    const tl_tower_state *s = &buffers->state;
    float *hidden = buffers->hidden;
    const size_t rows = row_count(v);
    const tl_attention_prompt all = {.n_query = rows, .n_key = rows};
    b->layernorm(b, rows, v->width, v->norm_eps, s->x, w->norm1.weight, w->norm1.bias,
                 s->norm);
    tl_status status = tl_tower_attend(b, v, &w->attention, rows, &all, 1, s, err);
    if (status != TL_OK)
        return status;
    b->layernorm(b, rows, v->width, v->norm_eps, s->x, w->norm2.weight, w->norm2.bias,
                 s->norm);
    if ((status = b->linear(b, &w->fc1, rows, s->norm, hidden, false, err)) != TL_OK)
        return status;
    b->activate(b, v->activation, rows * v->d_mlp, hidden);
    return b->linear(b, &w->fc2, rows, hidden, s->x, true, err);
}

/* From pixels to s->x in front of the first block. */
static tl_status embed(tl_backend *b, const tl_vision_spec *v, const vit_tower *w,
                       const tl_pixels *pixels, const vit_buffers *buffers,
                       tl_error *err)
{
    const tl_tower_state *s = &buffers->state;
    const size_t rows = row_count(v);
    float *patches = s->x + v->class_row * v->width;
    tl_status status = tl_tensor_to_f32(&w->positions, 0, rows * v->width, s->x, err);
    if (status != TL_OK)
        return status;
    tl_tower_cut_patches(v, pixels, buffers->hidden);
    status = b->linear(b, &w->patch_embed, v->grid * v->grid, buffers->hidden, patches,
                       true, err);
    if (status != TL_OK || !v->class_row)
        return status;
    b->add(b, v->width, w->class_row, s->x);
    b->layernorm(b, rows, v->width, v->norm_eps, s->x, w->first_norm.weight,
                 w->first_norm.bias, s->norm);
    memcpy(s->x, s->norm, rows * v->width * sizeof *s->x);
    return TL_OK;
}

static tl_status run_tower(tl_backend *b, const tl_vision_spec *v, const void *weights,
                           const tl_pixels *pixels, tl_arena *scratch, float *out,
                           tl_error *err)
{
    const vit_tower *w = weights;
    vit_buffers buffers = {.scratch = NULL};
    const tl_tower_state *s = &buffers.state;
    tl_status status = lay_out(scratch, v, &buffers, err);
    if (status == TL_OK)
        status = embed(b, v, w, pixels, &buffers, err);
    for (size_t l = 0; l < v->depth && status == TL_OK; l++)
        status = run_block(b, v, &w->blocks[l], &buffers, err);
    if (status != TL_OK)
        return status;
    const float *states = s->x;
    if (v->final_norm) {
        b->layernorm(b, row_count(v), v->width, v->norm_eps, s->x, w->final_norm.weight,
                     w->final_norm.bias, s->norm);
        states = s->norm;
    }
    return tl_projector_run(b, v, &w->projector, v->grid, v->grid,
                            states + v->class_row * v->width, buffers.scratch, out,
                            err);
}

static tl_status count_features(const tl_vision_spec *v, const tl_pixels *pixels,
                                size_t *count, tl_error *err)
{
    const size_t *d = pixels->dims;
    if (pixels->n_dims != 4 || d[0] != 1 || d[1] != v->channels ||
        d[2] / v->patch != v->grid || d[3] / v->patch != v->grid) {
        char have[96];
        return tl_fail(err, TL_ERR_DATA,
                       "an image of %s values does not fit a tower of %zux%zu patches "
                       "of %zux%zu pixels in %zu channels",
                       tl_shape_text(d, pixels->n_dims, have, sizeof have), v->grid,
                       v->grid, v->patch, v->patch, v->channels);
    }
    *count = tl_projector_count(v, v->grid, v->grid);
    return TL_OK;
}

static size_t count_rows(const tl_vision_spec *v, const tl_pixels *pixels)
{
    (void)pixels;
    return row_count(v);
}

static tl_status plan(const tl_vision_spec *v, const tl_pixels *pixels, tl_arena *arena,
                      tl_error *err)
{
    (void)pixels;
    vit_buffers buffers;
    return lay_out(arena, v, &buffers, err);
}

static const char *const prefixes[] = {"vision_tower.vision_model.",
                                       "model.vision_tower.vision_model.",
                                       "vision_tower.",
                                       "model.vision_tower.",
                                       "vision_model.",
                                       "model.vision_model."};

const tl_tower_kind tl_tower_vit = {
    .prefixes = prefixes,
    .n_prefixes = sizeof prefixes / sizeof *prefixes,
    .marker = "embeddings.patch_embedding.weight",
    .find = find_tower,
    .count = count_features,
    .rows = count_rows,
    .plan = plan,
    .run = run_tower,
};
