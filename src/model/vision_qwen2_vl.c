/* SPDX-License-Identifier: MIT
 *
 * vision_qwen2_vl.c - Qwen2-VL's tower (model/tower.h): patches -> linear -> blocks of (layer norm, attention over the
 * whole image with 2-D rotary positions, layer norm, MLP) -> layer norm -> each
 * merge x merge block of patches, laid side by side, through two linear layers.
 */
#include "model/tower.h"

#include <math.h>
#include <string.h>

#include "model/model_private.h"
#include "model/rope.h"

typedef struct block {
    tl_norm norm1, norm2;
    tl_linear q, k, v, proj, fc1, fc2;
} block;

typedef struct tower {
    tl_linear patch_embed; /* [width, channels * temporal_patch * patch * patch] */
    block *blocks;
    tl_norm merger_norm;
    tl_linear merger_in, merger_out;
} tower;

/* ---- weights --------------------------------------------------------------------- */

static tl_status find_block(const tl_finder *f, size_t l, block *b, tl_error *err)
{
    const tl_vision_spec *v = &f->spec->vision;
    tl_linear qkv = {0};
    const struct {
        const char *stem;
        size_t n_out, n_in;
        tl_linear *out;
    } linears[] = {
        {"attn.qkv", 3 * v->width, v->width, &qkv},
        {"attn.proj", v->width, v->width, &b->proj},
        {"mlp.fc1", v->d_mlp, v->width, &b->fc1},
        {"mlp.fc2", v->width, v->d_mlp, &b->fc2},
    };
    tl_status status = TL_OK;
    char stem[TL_STEM_BYTES];
    for (size_t i = 0; i < sizeof linears / sizeof linears[0] && status == TL_OK; i++) {
        snprintf(stem, sizeof stem, "%sblocks.%zu.%s", f->vision, l, linears[i].stem);
        status = tl_find_linear(f, stem, linears[i].n_out, linears[i].n_in, true,
                                linears[i].out, err);
    }
    for (int i = 1; i <= 2 && status == TL_OK; i++) {
        snprintf(stem, sizeof stem, "%sblocks.%zu.norm%d", f->vision, l, i);
        status = tl_find_norm(f, stem, v->width, TL_NORM_LAYER,
                              i == 1 ? &b->norm1 : &b->norm2, err);
    }
    if (status == TL_OK) {
        b->q = tl_linear_slice(&qkv, 0, v->width);
        b->k = tl_linear_slice(&qkv, 1, v->width);
        b->v = tl_linear_slice(&qkv, 2, v->width);
    }
    return status;
}

static tl_status find_tower(const tl_finder *f, const void **weights, tl_error *err)
{
    const tl_vision_spec *v = &f->spec->vision;
    const size_t merged = v->width * v->merge * v->merge;
    char stem[TL_STEM_BYTES];
    tower *w = tl_arena_alloc_zero(f->arena, 1, sizeof *w);
    if (w != NULL)
        w->blocks = tl_arena_alloc_zero(f->arena, v->depth, sizeof *w->blocks);
    if (w == NULL || w->blocks == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the tensor table");
    snprintf(stem, sizeof stem, "%spatch_embed.proj", f->vision);
    tl_status status = tl_find_linear(
        f, stem, v->width, v->channels * v->temporal_patch * v->patch * v->patch, false,
        &w->patch_embed, err);
    for (size_t l = 0; l < v->depth && status == TL_OK; l++)
        status = find_block(f, l, &w->blocks[l], err);
    if (status != TL_OK)
        return status;
    snprintf(stem, sizeof stem, "%smerger.ln_q", f->vision);
    if ((status = tl_find_norm(f, stem, v->width, TL_NORM_LAYER, &w->merger_norm,
                               err)) != TL_OK)
        return status;
    snprintf(stem, sizeof stem, "%smerger.mlp.0", f->vision);
    if ((status = tl_find_linear(f, stem, merged, merged, true, &w->merger_in, err)) !=
        TL_OK)
        return status;
    snprintf(stem, sizeof stem, "%smerger.mlp.2", f->vision);
    status = tl_find_linear(f, stem, f->spec->dims.d_model, merged, true,
                            &w->merger_out, err);
    if (status == TL_OK)
        *weights = w;
    return status;
}

/* ---- features -------------------------------------------------------------------- */

/* Buffers of one image with P patches. */
typedef struct work {
    float *x, *norm, *q, *k, *v, *z, *lse, *hidden, *cosine, *sine;
} work;

static tl_status allocate(tl_arena *arena, const tl_vision_spec *v, size_t patches,
                          work *out, tl_error *err)
{
    const struct {
        float **buffer;
        size_t width;
    } buffers[] = {
        {&out->x, v->width},
        {&out->norm, v->width},
        {&out->q, v->width},
        {&out->k, v->width},
        {&out->v, v->width},
        {&out->z, v->width},
        {&out->lse, v->n_heads},
        {&out->hidden, v->d_mlp > v->width ? v->d_mlp : v->width},
        {&out->cosine, v->width / v->n_heads / 2},
        {&out->sine, v->width / v->n_heads / 2},
    };
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) {
        *buffers[i].buffer =
            tl_arena_alloc(arena, patches * buffers[i].width, sizeof(float));
        if (*buffers[i].buffer == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY,
                           "no memory for an image of %zu patches", patches);
    }
    return TL_OK;
}

static tl_status run_block(tl_backend *b, const tl_vision_spec *v, const block *w,
                           size_t patches, const work *s, tl_error *err)
{
    const size_t d_head = v->width / v->n_heads;
    const tl_attention shape = {.n_heads = v->n_heads,
                                .n_kv_heads = v->n_heads,
                                .d_head = d_head,
                                .scale = (float)(1.0 / sqrt((double)d_head))};
    const tl_attention_prompt all = {.n_query = patches, .n_key = patches};
    tl_status status;

    b->layernorm(b, patches, v->width, v->norm_eps, s->x, w->norm1.weight,
                 w->norm1.bias, s->norm);
    if ((status = b->linear(b, &w->q, patches, s->norm, s->q, false, err)) != TL_OK ||
        (status = b->linear(b, &w->k, patches, s->norm, s->k, false, err)) != TL_OK ||
        (status = b->linear(b, &w->v, patches, s->norm, s->v, false, err)) != TL_OK)
        return status;
    b->rotary(b, patches, v->n_heads, d_head, s->cosine, s->sine, false, s->q);
    b->rotary(b, patches, v->n_heads, d_head, s->cosine, s->sine, false, s->k);
    if ((status = b->attention(b, &shape, 1, &all, s->q, s->k, s->v, s->z, s->lse,
                               err)) != TL_OK ||
        (status = b->linear(b, &w->proj, patches, s->z, s->x, true, err)) != TL_OK)
        return status;

    b->layernorm(b, patches, v->width, v->norm_eps, s->x, w->norm2.weight,
                 w->norm2.bias, s->norm);
    if ((status = b->linear(b, &w->fc1, patches, s->norm, s->hidden, false, err)) !=
        TL_OK)
        return status;
    b->activate(b, v->activation, patches * v->d_mlp, s->hidden);
    return b->linear(b, &w->fc2, patches, s->hidden, s->x, true, err);
}

static tl_status check_pixels(const tl_model *model, const tl_pixels *pixels,
                              tl_error *err)
{
    const tl_vision_spec *v = &model->spec.vision;
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
    return TL_OK;
}

static tl_status run_tower(tl_model *model, const tl_pixels *pixels, tl_arena *arena,
                           float **features, size_t *count, tl_error *err)
{
    tl_status status = check_pixels(model, pixels, err);
    if (status != TL_OK)
        return status;
    const tl_vision_spec *v = &model->spec.vision;
    const tower *w = model->weights.vision;
    tl_backend *b = model->backend;
    const size_t patches = pixels->dims[0], per_token = v->merge * v->merge;
    const size_t tokens = patches / per_token;

    float *out = tl_arena_alloc(arena, tokens * model->spec.dims.d_model, sizeof *out);
    tl_arena *scratch = tl_arena_create();
    work s = {0};
    if (out == NULL || scratch == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an image of %zu patches",
                         patches);
    else
        status = allocate(scratch, v, patches, &s, err);
    if (status != TL_OK)
        goto done;

    tl_rope_table_2d(v->rope_theta, v->width / v->n_heads, pixels->grid_h,
                     pixels->grid_w, v->merge, s.cosine, s.sine);
    status = b->linear(b, &w->patch_embed, patches, pixels->values, s.x, false, err);
    for (size_t l = 0; l < v->depth && status == TL_OK; l++)
        status = run_block(b, v, &w->blocks[l], patches, &s, err);
    if (status != TL_OK)
        goto done;

    /* Patches already lie in blocks, so a merged row is per_token rows in a row. */
    b->layernorm(b, patches, v->width, v->norm_eps, s.x, w->merger_norm.weight,
                 w->merger_norm.bias, s.norm);
    if ((status = b->linear(b, &w->merger_in, tokens, s.norm, s.x, false, err)) !=
        TL_OK)
        goto done;
    b->activate(b, TL_GELU, patches * v->width, s.x);
    if ((status = b->linear(b, &w->merger_out, tokens, s.x, out, false, err)) != TL_OK)
        goto done;
    *features = out;
    *count = tokens;
done:
    tl_arena_destroy(scratch);
    return status;
}

static const char *const prefixes[] = {"visual.", "model.visual."};

const tl_tower_kind tl_tower_qwen2_vl = {
    .prefixes = prefixes,
    .n_prefixes = sizeof prefixes / sizeof *prefixes,
    .marker = "patch_embed.proj.weight",
    .find = find_tower,
    .run = run_tower,
};
