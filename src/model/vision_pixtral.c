/* SPDX-License-Identifier: MIT
 *
 * vision_pixtral.c - Pixtral's tower (model/tower.h) and the projector behind it:
 *
 *     x  = RMS norm(W_patch pixels)                 [rows * columns, width]
 *     x += W_o attention(RMS norm x)                rotary in two dimensions; all patches
 *     x += W_down (act(W_gate n) W_up n), n = RMS norm x          see each other
 *     feature = project(x)                          one for each patch
 *
 * Frequency f of a head turns with the row for f below a quarter of the head size, at
 * theta^(-4 f / d_head), else with the column, at theta^(-(4 f' + 2) / d_head).
 */
#include "model/tower.h"

#include <math.h>

#include "model/model_private.h"
#include "model/projector.h"

typedef struct block {
    tl_norm norm1, norm2;
    tl_linear q, k, v, o, gate, up, down;
} block;

typedef struct tower {
    tl_linear patch_embed; /* [width, channels * patch * patch] */
    tl_norm first_norm;
    block *blocks;
    tl_projector projector;
} tower;

/* ---- weights --------------------------------------------------------------------- */

static tl_status find_block(const tl_finder *f, size_t l, block *b, tl_error *err)
{
    const tl_vision_spec *v = &f->spec->vision;
    const struct {
        const char *stem;
        size_t n_out, n_in;
        tl_linear *out;
    } linears[] = {
        {"attention.q_proj", v->width, v->width, &b->q},
        {"attention.k_proj", v->width, v->width, &b->k},
        {"attention.v_proj", v->width, v->width, &b->v},
        {"attention.o_proj", v->width, v->width, &b->o},
        {"feed_forward.gate_proj", v->d_mlp, v->width, &b->gate},
        {"feed_forward.up_proj", v->d_mlp, v->width, &b->up},
        {"feed_forward.down_proj", v->width, v->d_mlp, &b->down},
    };
    const struct {
        const char *stem;
        tl_norm *out;
    } norms[] = {{"attention_norm", &b->norm1}, {"ffn_norm", &b->norm2}};
    tl_status status = TL_OK;
    char stem[TL_STEM_BYTES];
    for (size_t i = 0; i < sizeof linears / sizeof *linears && status == TL_OK; i++) {
        snprintf(stem, sizeof stem, "%stransformer.layers.%zu.%s", f->vision, l,
                 linears[i].stem);
        status = tl_find_linear(f, stem, linears[i].n_out, linears[i].n_in, false,
                                linears[i].out, err);
    }
    for (size_t i = 0; i < sizeof norms / sizeof *norms && status == TL_OK; i++) {
        snprintf(stem, sizeof stem, "%stransformer.layers.%zu.%s", f->vision, l,
                 norms[i].stem);
        status = tl_find_norm(f, stem, v->width, TL_NORM_RMS, norms[i].out, err);
    }
    return status;
}

static tl_status find_tower(const tl_finder *f, const void **weights, tl_error *err)
{
    const tl_vision_spec *v = &f->spec->vision;
    char stem[TL_STEM_BYTES];
    tower *w = tl_arena_alloc_zero(f->arena, 1, sizeof *w);
    if (w != NULL)
        w->blocks = tl_arena_alloc_zero(f->arena, v->depth, sizeof *w->blocks);
    if (w == NULL || w->blocks == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the tensor table");
    snprintf(stem, sizeof stem, "%spatch_conv", f->vision);
    tl_status status =
        tl_find_linear(f, stem, v->width, v->channels * v->patch * v->patch, false,
                       &w->patch_embed, err);
    snprintf(stem, sizeof stem, "%sln_pre", f->vision);
    if (status == TL_OK)
        status = tl_find_norm(f, stem, v->width, TL_NORM_RMS, &w->first_norm, err);
    for (size_t l = 0; l < v->depth && status == TL_OK; l++)
        status = find_block(f, l, &w->blocks[l], err);
    if (status == TL_OK)
        status = tl_projector_find(f, &w->projector, err);
    if (status == TL_OK)
        *weights = w;
    return status;
}

/* ---- features -------------------------------------------------------------------- */

/* Buffers of one image. */
typedef struct work {
    float *x, *norm, *q, *k, *v, *z, *lse, *patches, *gate, *up, *hidden, *cosine,
        *sine, *scratch;
} work;

static tl_status lay_out(tl_arena *arena, const tl_spec *spec, size_t rows,
                         size_t columns, work *out, tl_error *err)
{
    const tl_vision_spec *v = &spec->vision;
    const size_t patches = rows * columns, half = v->width / v->n_heads / 2;
    const tl_tower_buffer buffers[] = {
        {&out->x, patches * v->width},
        {&out->norm, patches * v->width},
        {&out->q, patches * v->width},
        {&out->k, patches * v->width},
        {&out->v, patches * v->width},
        {&out->z, patches * v->width},
        {&out->lse, patches * v->n_heads},
        {&out->patches, patches * v->channels * v->patch * v->patch},
        {&out->gate, patches * v->d_mlp},
        {&out->up, patches * v->d_mlp},
        {&out->hidden, patches * v->d_mlp},
        {&out->cosine, patches * half},
        {&out->sine, patches * half},
        {&out->scratch, tl_projector_scratch(spec, rows, columns)},
    };
    return tl_tower_take(arena, buffers, sizeof buffers / sizeof *buffers, err);
}

static void fill_rope(const tl_vision_spec *v, size_t rows, size_t columns,
                      const work *s)
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

    b->rmsnorm(b, patches, v->width, v->norm_eps, s->x, w->norm1.weight, s->norm, NULL);
    if ((status = b->linear(b, &w->q, patches, s->norm, s->q, false, err)) != TL_OK ||
        (status = b->linear(b, &w->k, patches, s->norm, s->k, false, err)) != TL_OK ||
        (status = b->linear(b, &w->v, patches, s->norm, s->v, false, err)) != TL_OK)
        return status;
    b->rotary(b, patches, v->n_heads, d_head, s->cosine, s->sine, false, s->q);
    b->rotary(b, patches, v->n_heads, d_head, s->cosine, s->sine, false, s->k);
    if ((status = b->attention(b, &shape, 1, &all, s->q, s->k, s->v, s->z, s->lse,
                               err)) != TL_OK ||
        (status = b->linear(b, &w->o, patches, s->z, s->x, true, err)) != TL_OK)
        return status;

    b->rmsnorm(b, patches, v->width, v->norm_eps, s->x, w->norm2.weight, s->norm, NULL);
    if ((status = b->linear(b, &w->gate, patches, s->norm, s->gate, false, err)) !=
            TL_OK ||
        (status = b->linear(b, &w->up, patches, s->norm, s->up, false, err)) != TL_OK)
        return status;
    b->gated(b, v->activation, patches * v->d_mlp, s->gate, s->up, s->hidden);
    return b->linear(b, &w->down, patches, s->hidden, s->x, true, err);
}

static tl_status count_features(const tl_spec *spec, const tl_pixels *pixels,
                                size_t *count, tl_error *err)
{
    const tl_vision_spec *v = &spec->vision;
    const size_t *d = pixels->dims;
    if (pixels->n_dims != 4 || d[0] != 1 || d[1] != v->channels || d[2] == 0 ||
        d[3] == 0 || d[2] % v->patch != 0 || d[3] % v->patch != 0 ||
        d[2] / v->patch > v->grid || d[3] / v->patch > v->grid) {
        char have[96];
        return tl_fail(
            err, TL_ERR_DATA,
            "an image of %s values does not fit a tower of at most %zux%zu patches "
            "of %zux%zu pixels in %zu channels",
            tl_shape_text(d, pixels->n_dims, have, sizeof have), v->grid, v->grid,
            v->patch, v->patch, v->channels);
    }
    *count = tl_projector_count(v, d[2] / v->patch, d[3] / v->patch);
    return TL_OK;
}

static tl_status plan(const tl_spec *spec, const tl_pixels *pixels, tl_arena *arena,
                      tl_error *err)
{
    const size_t patch = spec->vision.patch;
    work s = {0};
    return lay_out(arena, spec, pixels->dims[2] / patch, pixels->dims[3] / patch, &s,
                   err);
}

static tl_status run_tower(tl_model *model, const tl_pixels *pixels, tl_arena *scratch,
                           float *out, tl_error *err)
{
    const tl_spec *spec = &model->spec;
    const tl_vision_spec *v = &spec->vision;
    const tower *w = model->weights.vision;
    tl_backend *b = model->backend;
    const size_t rows = pixels->dims[2] / v->patch,
                 columns = pixels->dims[3] / v->patch, patches = rows * columns;
    work s = {0};
    tl_status status = lay_out(scratch, spec, rows, columns, &s, err);
    if (status != TL_OK)
        return status;
    tl_tower_cut_patches(v, pixels, s.patches);
    fill_rope(v, rows, columns, &s);
    if ((status = b->linear(b, &w->patch_embed, patches, s.patches, s.norm, false,
                            err)) != TL_OK)
        return status;
    b->rmsnorm(b, patches, v->width, v->norm_eps, s.norm, w->first_norm.weight, s.x,
               NULL);
    for (size_t l = 0; l < v->depth && status == TL_OK; l++)
        status = run_block(b, v, &w->blocks[l], patches, &s, err);
    return status == TL_OK ? tl_projector_run(b, spec, &w->projector, rows, columns,
                                              s.x, s.scratch, out, err)
                           : status;
}

static const char *const prefixes[] = {"vision_tower.", "model.vision_tower."};

const tl_tower_kind tl_tower_pixtral = {
    .prefixes = prefixes,
    .n_prefixes = sizeof prefixes / sizeof *prefixes,
    .marker = "patch_conv.weight",
    .find = find_tower,
    .count = count_features,
    .plan = plan,
    .run = run_tower,
};
