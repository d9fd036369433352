/* SPDX-License-Identifier: MIT
 * vision.c - see vision.h; the towers are in vision_NAME.c. */
#include "vision/vision.h"

#include <math.h>
#include <string.h>

#include "twinlens/alloc.h"
#include "vision/pack.h"
#include "vision/tower.h"

/* What the model's file has of a tower. */
typedef struct vision_weights {
    const void *tower;
    const float *newline; /* with `packs` */
} vision_weights;

const tl_tower_kind *tl_tower_get(tl_tower tower)
{
    static const tl_tower_kind *const towers[] = {
        [TL_TOWER_QWEN] = &tl_tower_qwen,
        [TL_TOWER_QWEN3] = &tl_tower_qwen,
        [TL_TOWER_VIT] = &tl_tower_vit,
        [TL_TOWER_PIXTRAL] = &tl_tower_pixtral,
        [TL_TOWER_INTERNVL] = &tl_tower_internvl,
    };
    return towers[tower];
}

tl_status tl_vision_find(const tl_finder *finder, const tl_vision_spec *v,
                         const void **weights, tl_error *err)
{
    vision_weights *w = tl_arena_alloc_zero(finder->arena, 1, sizeof *w);
    if (w == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the tensor table");
    tl_status status = tl_tower_get(v->tower)->find(finder, v, &w->tower, err);
    if (status == TL_OK && v->packs)
        status = tl_pack_find(finder, v, &w->newline, err);
    if (status == TL_OK)
        *weights = w;
    return status;
}

tl_status tl_tower_take(tl_arena *arena, const tl_tower_buffer *buffers, size_t n,
                        tl_error *err)
{
    for (size_t i = 0; i < n; i++) {
        *buffers[i].at = tl_arena_alloc(arena, buffers[i].count, sizeof(float));
        if (*buffers[i].at == NULL && !tl_arena_is_measuring(arena))
            return tl_fail(err, TL_ERR_NO_MEMORY,
                           "no memory for %zu values of an image", buffers[i].count);
    }
    return TL_OK;
}

tl_status tl_tower_take_state(tl_arena *arena, const tl_vision_spec *v, size_t rows,
                              tl_tower_state *out, tl_error *err)
{
    const size_t angles = v->rope_theta > 0.0 ? rows * (v->width / v->n_heads / 2) : 0;
    const tl_tower_buffer buffers[] = {
        {&out->x, rows * v->width},     {&out->norm, rows * v->width},
        {&out->q, rows * v->width},     {&out->k, rows * v->width},
        {&out->v, rows * v->width},     {&out->z, rows * v->width},
        {&out->lse, rows * v->n_heads}, {&out->cosine, angles},
        {&out->sine, angles},
    };
    return tl_tower_take(arena, buffers, sizeof buffers / sizeof *buffers, err);
}

tl_attention tl_tower_attention_shape(const tl_vision_spec *v)
{
    const size_t d_head = v->width / v->n_heads;
    return (tl_attention){.n_heads = v->n_heads,
                          .n_kv_heads = v->n_heads,
                          .d_head = d_head,
                          .scale = (float)(1.0 / sqrt((double)d_head))};
}

tl_status tl_tower_attend(tl_backend *b, const tl_vision_spec *v,
                          const tl_tower_attention *w, size_t rows,
                          const tl_attention_prompt *prompts, size_t n_prompts,
                          const tl_tower_state *s, tl_error *err)
{
    const tl_attention shape = tl_tower_attention_shape(v);
    const size_t d_head = shape.d_head;
    tl_status status;
    if ((status = b->linear(b, &w->q, rows, s->norm, s->q, false, err)) != TL_OK ||
        (status = b->linear(b, &w->k, rows, s->norm, s->k, false, err)) != TL_OK ||
        (status = b->linear(b, &w->v, rows, s->norm, s->v, false, err)) != TL_OK)
        return status;
    if (v->rope_theta > 0.0) {
        b->rotary(b, rows, v->n_heads, d_head, s->cosine, s->sine, false, s->q);
        b->rotary(b, rows, v->n_heads, d_head, s->cosine, s->sine, false, s->k);
    }
    status = b->attention(b, &shape, n_prompts, prompts, s->q, s->k, s->v, s->z, s->lse,
                          err);
    return status == TL_OK ? b->linear(b, &w->out, rows, s->z, s->x, true, err)
                           : status;
}

void tl_tower_cut_patches(const tl_vision_spec *v, const tl_pixels *pixels, float *out)
{
    const size_t height = pixels->dims[2], width = pixels->dims[3];
    for (size_t row = 0; row < height / v->patch; row++)
        for (size_t column = 0; column < width / v->patch; column++)
            for (size_t c = 0; c < v->channels; c++)
                for (size_t y = 0; y < v->patch; y++, out += v->patch)
                    memcpy(out,
                           pixels->values + (c * height + row * v->patch + y) * width +
                               column * v->patch,
                           v->patch * sizeof *out);
}

/* How many pictures the tower sees: the tiles of one, which do not see each other. */
static size_t tile_count(const tl_pixels *pixels)
{
    return pixels->n_dims == 4 ? pixels->dims[0] : 1;
}

static tl_pixels one_tile(const tl_pixels *pixels, size_t tile)
{
    tl_pixels one = *pixels;
    if (pixels->n_dims == 4) {
        one.dims[0] = 1;
        if (pixels->values != NULL)
            one.values += tile * (one.dims[1] * one.dims[2] * one.dims[3]);
    }
    return one;
}

/* Features of a tile; TL_ERR_DATA when it does not fit the tower. */
static tl_status count_of_tile(const tl_vision_spec *v, const tl_pixels *pixels,
                               size_t *out, tl_error *err)
{
    const tl_pixels tile = one_tile(pixels, 0);
    if (tile_count(pixels) == 0)
        return tl_fail(err, TL_ERR_DATA, "an image without a tile");
    return tl_tower_get(v->tower)->count(v, &tile, out, err);
}

/* What attention works with in layers that see the whole image, which is the most. */
static size_t attention_bytes(const tl_backend *b, const tl_vision_spec *v,
                              const tl_pixels *pixels)
{
    const tl_pixels tile = one_tile(pixels, 0);
    const size_t rows = tl_tower_get(v->tower)->rows(v, &tile);
    const tl_attention shape = tl_tower_attention_shape(v);
    const tl_attention_prompt all = {.n_query = rows, .n_key = rows};
    return b->attention_bytes(b, &shape, 1, &all, false);
}

/* Where the features of the tiles are before they are packed; elsewhere `out` itself. */
static tl_status take_tiles(tl_arena *arena, const tl_vision_spec *v,
                            const tl_pixels *pixels, float **out, tl_error *err)
{
    size_t n = 0;
    tl_status status = count_of_tile(v, pixels, &n, err);
    const tl_tower_buffer tiles = {out, tile_count(pixels) * n * v->d_model};
    if (status == TL_OK && v->packs)
        status = tl_tower_take(arena, &tiles, 1, err);
    return status;
}

/* What the tower takes for an image, and how much memory an arena needs for it. */
static tl_status plan_tower(const tl_vision_spec *v, const tl_pixels *pixels,
                            size_t *bytes, size_t *to_borrow, tl_error *err)
{
    tl_arena *arena = tl_arena_create_measuring();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a plan");
    const tl_pixels tile = one_tile(pixels, 0);
    float *tiles = NULL;
    tl_status status = take_tiles(arena, v, pixels, &tiles, err);
    if (status == TL_OK)
        status = tl_tower_get(v->tower)->plan(v, &tile, arena, err);
    *bytes = tl_arena_peak(arena);
    *to_borrow = tl_arena_bytes_to_borrow(arena);
    tl_arena_destroy(arena);
    return status;
}

/* Tile by tile, each in the same scratch. */
static tl_status run_tiles(tl_backend *b, const tl_vision_spec *v,
                           const vision_weights *weights, const tl_pixels *pixels,
                           tl_arena *scratch, float *out, tl_error *err)
{
    size_t n = 0;
    float *tiles = out;
    tl_status status = count_of_tile(v, pixels, &n, err);
    if (status == TL_OK)
        status = take_tiles(scratch, v, pixels, &tiles, err);
    for (size_t i = 0; i < tile_count(pixels) && status == TL_OK; i++) {
        const tl_pixels tile = one_tile(pixels, i);
        const tl_arena_mark mark = tl_arena_get_mark(scratch);
        status = tl_tower_get(v->tower)->run(b, v, weights->tower, &tile, scratch,
                                             tiles + i * n * v->d_model, err);
        tl_arena_rewind(scratch, mark);
    }
    if (status == TL_OK && v->packs)
        tl_pack_run(v, pixels, weights->newline, tiles, out);
    return status;
}

/* Features of an image; TL_ERR_DATA when it does not fit the tower. */
static tl_status count_features(const tl_vision_spec *v, const tl_pixels *pixels,
                                size_t *out, tl_error *err)
{
    size_t n = 0;
    const tl_status status = count_of_tile(v, pixels, &n, err);
    if (status == TL_OK && v->packs)
        return tl_pack_count(v, pixels, out, err);
    *out = tile_count(pixels) * n;
    return status;
}

/* Through the tower, in one piece of memory that is as large as the plan says. */
static tl_status run_tower(tl_backend *b, const tl_vision_spec *v, const void *weights,
                           const tl_pixels *pixels, float *out, tl_error *err)
{
    size_t bytes = 0, to_borrow = 0;
    tl_status status = plan_tower(v, pixels, &bytes, &to_borrow, err);
    if (status != TL_OK)
        return status;
    void *slab = tl_alloc(to_borrow, 1);
    tl_arena *scratch = slab != NULL ? tl_arena_create_over(slab, to_borrow) : NULL;
    if (scratch == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an image, %zu MiB",
                         to_borrow >> 20);
    if (status == TL_OK)
        status = b->reserve_attention(b, attention_bytes(b, v, pixels), err);
    if (status == TL_OK)
        status = run_tiles(b, v, weights, pixels, scratch, out, err);
    tl_arena_destroy(scratch);
    tl_free(slab);
    return status;
}

tl_status tl_vision_features(tl_backend *b, const tl_vision_spec *v,
                             const void *weights, const tl_pixels *pixels,
                             tl_arena *arena, float **features, size_t *count,
                             tl_error *err)
{
    size_t n = 0;
    tl_status status = count_features(v, pixels, &n, err);
    if (status != TL_OK)
        return status;
    float *out = tl_arena_alloc(arena, (1 + v->n_deep) * n * v->d_model, sizeof *out);
    if (out == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an image's %zu features",
                       n);
    status = run_tower(b, v, weights, pixels, out, err);
    if (status == TL_OK) {
        *features = out;
        *count = n;
    }
    return status;
}

tl_status tl_vision_attention_bytes(const tl_backend *b, const tl_vision_spec *v,
                                    const tl_pixels *pixels, size_t *out, tl_error *err)
{
    size_t n = 0;
    const tl_status status = count_features(v, pixels, &n, err);
    if (status == TL_OK)
        *out = attention_bytes(b, v, pixels);
    return status;
}

tl_status tl_vision_bytes(const tl_backend *b, const tl_vision_spec *v,
                          const tl_pixels *pixels, size_t *out, tl_error *err)
{
    size_t n = 0, bytes = 0, to_borrow = 0;
    tl_status status = count_features(v, pixels, &n, err);
    if (status == TL_OK)
        status = plan_tower(v, pixels, &bytes, &to_borrow, err);
    if (status == TL_OK)
        *out = (1 + v->n_deep) * n * v->d_model * sizeof(float) + bytes +
               attention_bytes(b, v, pixels);
    return status;
}

/* Of what brings the tower's states to the decoder. */
static uint64_t projector_multiply_adds(const tl_vision_spec *v, uint64_t n_features)
{
    const uint64_t width = v->width, d_model = v->d_model,
                   merged = width * v->merge * v->merge;
    if (v->tower == TL_TOWER_QWEN || v->tower == TL_TOWER_QWEN3)
        return (1 + v->n_deep) * n_features * (merged * merged + merged * d_model);
    const uint64_t layers = width * d_model + d_model * d_model;
    switch (v->projector) {
    case TL_PROJECTOR_LAYERS: return n_features * layers;
    case TL_PROJECTOR_MERGED: return n_features * (merged * width + layers);
    case TL_PROJECTOR_SQUARES: return n_features * d_model * (merged + d_model);
    case TL_PROJECTOR_CONNECTOR: return n_features * merged * d_model;
    case TL_PROJECTOR_LINEAR:
    case TL_PROJECTOR_MEANS: break;
    }
    return n_features * width * d_model;
}

tl_status tl_vision_flops(const tl_vision_spec *v, const tl_pixels *pixels,
                          uint64_t *out, tl_error *err)
{
    size_t n_features = 0;
    tl_status status = count_features(v, pixels, &n_features, err);
    if (status == TL_OK)
        status = count_of_tile(v, pixels, &n_features, err);
    if (status != TL_OK)
        return status;
    n_features *= tile_count(pixels);
    const tl_pixels tile = one_tile(pixels, 0);
    const uint64_t width = v->width, n_tiles = tile_count(pixels),
                   rows = n_tiles * tl_tower_get(v->tower)->rows(v, &tile),
                   patches = rows - (v->class_row ? n_tiles : 0),
                   patch = v->channels * v->temporal_patch * v->patch * v->patch,
                   layer =
                       4 * width * width + (v->gated_mlp ? 3 : 2) * width * v->d_mlp;
    *out = 2 * (patches * patch * width + v->depth * rows * layer +
                projector_multiply_adds(v, n_features));
    return TL_OK;
}
