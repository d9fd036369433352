/* SPDX-License-Identifier: MIT
 *
 * vision_pixtral.c - Pixtral's tower (vision/tower.h) and the projector behind it:
 *
 *     x  = RMS norm(W_patch pixels)                 [rows * columns, width]
 *     x += W_o attention(RMS norm x)                rotary in two dimensions; all patches
 *     x += W_down (act(W_gate n) W_up n), n = RMS norm x          see each other
 *     feature = project(x)                          one for each patch, or for a square
 *
 * Frequency f of a head turns with the row for f below a quarter of the head size, at
 * theta^(-4 f / d_head), else with the column, at theta^(-(4 f' + 2) / d_head).
 */
#include "vision/tower.h"

#include <math.h>
#include <stdio.h>

#include "vision/projector.h"

typedef struct pixtral_block {
    tl_norm norm1, norm2;
    tl_tower_attention attention;
    tl_linear gate, up, down;
} pixtral_block;

typedef struct pixtral_tower {
    tl_linear patch_embed; /* [width, channels * patch * patch] */
    tl_norm first_norm;
    pixtral_block *blocks;
    tl_projector projector;
} pixtral_tower;

/* ---- weights --------------------------------------------------------------------- */

static tl_status find_block(const tl_finder *f, const tl_vision_spec *v, size_t l,
                            pixtral_block *b, tl_error *err)
{
    tl_tower_attention *a = &b->attention;
    const tl_linear_field linears[] = {
        {"attention.q_proj", v->width, v->width, false, &a->q},
        {"attention.k_proj", v->width, v->width, false, &a->k},
        {"attention.v_proj", v->width, v->width, false, &a->v},
        {"attention.o_proj", v->width, v->width, false, &a->out},
        {"feed_forward.gate_proj", v->d_mlp, v->width, false, &b->gate},
        {"feed_forward.up_proj", v->d_mlp, v->width, false, &b->up},
        {"feed_forward.down_proj", v->width, v->d_mlp, false, &b->down},
    };
    const tl_norm_field norms[] = {{"attention_norm", v->width, &b->norm1},
                                   {"ffn_norm", v->width, &b->norm2}};
    char stem[TL_STEM_BYTES];
    snprintf(stem, sizeof stem, "%stransformer.layers.%zu.", f->prefix, l);
    const tl_status status =
        tl_find_linears(f, stem, linears, sizeof linears / sizeof *linears, err);
    return status == TL_OK ? tl_find_norms(f, stem, TL_NORM_RMS, norms, 2, err)
                           : status;
}

static tl_status find_tower(const tl_finder *f, const tl_vision_spec *v,
                            const void **weights, tl_error *err)
{
    char stem[TL_STEM_BYTES];
    pixtral_tower *w = tl_arena_alloc_zero(f->arena, 1, sizeof *w);
    if (w != NULL)
        w->blocks = tl_arena_alloc_zero(f->arena, v->depth, sizeof *w->blocks);
    if (w == NULL || w->blocks == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the tensor table");
    snprintf(stem, sizeof stem, "%spatch_conv", f->prefix);
    tl_status status =
        tl_find_linear(f, stem, v->width, v->channels * v->patch * v->patch, false,
                       &w->patch_embed, err);
    snprintf(stem, sizeof stem, "%sln_pre", f->prefix);
    if (status == TL_OK)
        status = tl_find_norm(f, stem, v->width, TL_NORM_RMS, &w->first_norm, err);
    for (size_t l = 0; l < v->depth && status == TL_OK; l++)
        status = find_block(f, v, l, &w->blocks[l], err);
    if (status == TL_OK)
        status = tl_projector_find(f, v, &w->projector, err);
    if (status == TL_OK)
        *weights = w;
    return status;
}

/* ---- features -------------------------------------------------------------------- */

/* Buffers of one image. */
typedef struct pixtral_buffers {
    tl_tower_state state;
    float *patches, *gate, *up, *hidden, *scratch;
} pixtral_buffers;

static tl_status lay_out(tl_arena *arena, const tl_vision_spec *v, size_t rows,
                         size_t columns, pixtral_buffers *out, tl_error *err)
{
    const size_t patches = rows * columns;
    const tl_tower_buffer buffers[] = {
        {&out->patches, patches * v->channels * v->patch * v->patch},
        {&out->gate, patches * v->d_mlp},
        {&out->up, patches * v->d_mlp},
        {&out->hidden, patches * v->d_mlp},
        {&out->scratch, tl_projector_scratch(v, rows, columns)},
    };
    const tl_status status = tl_tower_take_state(arena, v, patches, &out->state, err);
    return status == TL_OK
               ? tl_tower_take(arena, buffers, sizeof buffers / sizeof *buffers, err)
               : status;
}

static void fill_rope(const tl_vision_spec *v, size_t rows, size_t columns,
                      const tl_tower_state *s)
{
    const size_t d_head = v->width / v->n_heads, half = d_head / 2,
                 quarter = d_head / 4;
    for (size_t i = 0; i < rows * columns; i++)
        for (size_t f = 0; f < half; f++) {
            const bool by_row = f < quarter;
            const double power =
                by_row ? 4.0 * (double)f : 4.0 * (double)(f - quarter) + 2.0;
            const double angle = (double)(by_row ? i / columns : i % columns) *
                                 pow(v->rope_theta, -power / (double)d_head);
            s->cosine[i * half + f] = (float)cos(angle);
            s->sine[i * half + f] = (float)sin(angle);
        }
}

static tl_status run_block(tl_backend *b, const tl_vision_spec *v,
                           const pixtral_block *w, size_t patches,
                           const pixtral_buffers *buffers, tl_error *err)
{
    const tl_tower_state *s = &buffers->state;
    float *gate = buffers->gate, *up = buffers->up, *hidden = buffers->hidden;
    const tl_attention_prompt all = {.n_query = patches, .n_key = patches};
    b->rmsnorm(b, patches, v->width, v->norm_eps, s->x, w->norm1.weight, s->norm, NULL);
    tl_status status = tl_tower_attend(b, v, &w->attention, patches, &all, 1, s, err);
    if (status != TL_OK)
        return status;
    b->rmsnorm(b, patches, v->width, v->norm_eps, s->x, w->norm2.weight, s->norm, NULL);
    if ((status = b->linear(b, &w->gate, patches, s->norm, gate, false, err)) !=
            TL_OK ||
        (status = b->linear(b, &w->up, patches, s->norm, up, false, err)) != TL_OK)
        return status;
    b->gated(b, v->activation, patches * v->d_mlp, gate, up, hidden);
    return b->linear(b, &w->down, patches, hidden, s->x, true, err);
}

static tl_status count_features(const tl_vision_spec *v, const tl_pixels *pixels,
                                size_t *count, tl_error *err)
{
    const size_t *d = pixels->dims;
    if (pixels->n_dims != 4 || d[0] != 1 || d[1] != v->channels || d[2] == 0 ||
        d[3] == 0 || d[2] % (v->patch * v->merge) != 0 ||
        d[3] % (v->patch * v->merge) != 0 || d[2] / v->patch > v->grid ||
        d[3] / v->patch > v->grid) {
        char have[96];
        return tl_fail(
            err, TL_ERR_DATA,
            "an image of %s values does not fit a tower of at most %zux%zu patches "
            "of %zux%zu pixels, merged %zux%zu, in %zu channels",
            tl_shape_text(d, pixels->n_dims, have, sizeof have), v->grid, v->grid,
            v->patch, v->patch, v->merge, v->merge, v->channels);
    }
    *count = tl_projector_count(v, d[2] / v->patch, d[3] / v->patch);
    return TL_OK;
}

static size_t count_rows(const tl_vision_spec *v, const tl_pixels *pixels)
{
    return pixels->dims[2] / v->patch * (pixels->dims[3] / v->patch);
}

static tl_status plan(const tl_vision_spec *v, const tl_pixels *pixels, tl_arena *arena,
                      tl_error *err)
{
    const size_t patch = v->patch;
    pixtral_buffers buffers;
    return lay_out(arena, v, pixels->dims[2] / patch, pixels->dims[3] / patch, &buffers,
                   err);
}

static tl_status run_tower(tl_backend *b, const tl_vision_spec *v, const void *weights,
                           const tl_pixels *pixels, tl_arena *scratch, float *out,
                           tl_error *err)
{
    const pixtral_tower *w = weights;
    const size_t rows = pixels->dims[2] / v->patch,
                 columns = pixels->dims[3] / v->patch, patches = rows * columns;
    pixtral_buffers buffers = {.scratch = NULL};
    const tl_tower_state *s = &buffers.state;
    tl_status status = lay_out(scratch, v, rows, columns, &buffers, err);
    if (status != TL_OK)
        return status;
    tl_tower_cut_patches(v, pixels, buffers.patches);
    fill_rope(v, rows, columns, s);
    if ((status = b->linear(b, &w->patch_embed, patches, buffers.patches, s->norm,
                            false, err)) != TL_OK)
        return status;
    b->rmsnorm(b, patches, v->width, v->norm_eps, s->norm, w->first_norm.weight, s->x,
               NULL);
    for (size_t l = 0; l < v->depth && status == TL_OK; l++)
        status = run_block(b, v, &w->blocks[l], patches, &buffers, err);
    return status == TL_OK ? tl_projector_run(b, v, &w->projector, rows, columns, s->x,
                                              buffers.scratch, out, err)
                           : status;
}

static const char *const prefixes[] = {"vision_tower.", "model.vision_tower."};

const tl_tower_kind tl_tower_pixtral = {
    .prefixes = prefixes,
    .n_prefixes = sizeof prefixes / sizeof *prefixes,
    .marker = "patch_conv.weight",
    .find = find_tower,
    .count = count_features,
    .rows = count_rows,
    .plan = plan,
    .run = run_tower,
};
