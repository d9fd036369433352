/* SPDX-License-Identifier: MIT
 *
 * vision.c - see vision.h.
 *
 * Qwen2-VL's tower: patches -> linear -> blocks of (layer norm, attention over the
 * whole image with 2-D rotary positions, layer norm, MLP) -> layer norm -> each
 * merge x merge block of patches, laid side by side, through two linear layers.
 */
#include "model/vision.h"

#include <math.h>
#include <string.h>

#include "model/model_private.h"
#include "model/rope.h"

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

static tl_status run_block(tl_backend *b, const tl_vision_spec *v,
                           const tl_vision_block *w, size_t patches, const work *s,
                           tl_error *err)
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
    if (!model->weights.has_vision)
        return tl_fail(
            err, TL_ERR_NOT_FOUND,
            "%s: there are no weights of a vision tower, and the prompt has an image",
            tl_safetensors_file_path(model->file, 0));
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

tl_status tl_vision_features(tl_model *model, const tl_pixels *pixels, tl_arena *arena,
                             float **features, size_t *count, tl_error *err)
{
    tl_status status = check_pixels(model, pixels, err);
    if (status != TL_OK)
        return status;
    const tl_vision_spec *v = &model->spec.vision;
    const tl_weights *w = &model->weights;
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
        status = run_block(b, v, &w->vision_blocks[l], patches, &s, err);
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
