/* SPDX-License-Identifier: MIT
 *
 * vision_pixtral.c - Pixtral's tower (model/tower.h) and the projector behind it:
 *
 *     x  = RMS norm(W_patch pixels)                 [rows * columns, width]
 *     x += W_o attention(RMS norm x)                rotary in two dimensions; all patches
 *     x += W_down (act(W_gate n) W_up n), n = RMS norm x          see each other
 *     feature = W_2 act(W_1 x + b_1) + b_2          one for each patch
 *
 * Frequency f of a head turns with the row for f below a quarter of the head size, at
 * theta^(-4 f / d_head), else with the column, at theta^(-(4 f' + 2) / d_head).
 */
#include "model/tower.h"

#include <math.h>

#include "model/model_private.h"

typedef struct block {
    tl_norm norm1, norm2;
    tl_linear q, k, v, o, gate, up, down;
} block;

typedef struct tower {
    tl_linear patch_embed; /* [width, channels * patch * patch] */
    tl_norm first_norm;
    block *blocks;
    tl_linear project_in, project_out;
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

/* Lies beside the tower in the file. */
static tl_status find_projector(const tl_finder *f, tower *w, tl_error *err)
{
    static const char *const prefixes[] = {"multi_modal_projector.",
                                           "model.multi_modal_projector."};
    const tl_vision_spec *v = &f->spec->vision;
    const size_t d_model = f->spec->dims.d_model;
    char prefix[64], stem[TL_STEM_BYTES];
    tl_find_prefix(f->file, prefixes, 2, "linear_1.weight", prefix, sizeof prefix);
    const char *at = prefix[0] != '\0' ? prefix : prefixes[0];
    snprintf(stem, sizeof stem, "%slinear_1", at);
    const tl_status status = tl_find_linear(f, stem, d_model, v->width,
                                            v->projector_bias, &w->project_in, err);
    snprintf(stem, sizeof stem, "%slinear_2", at);
    return status == TL_OK ? tl_find_linear(f, stem, d_model, d_model,
                                            v->projector_bias, &w->project_out, err)
                           : status;
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
        status = find_projector(f, w, err);
    if (status == TL_OK)
        *weights = w;
    return status;
}

/* ---- features -------------------------------------------------------------------- */

/* Buffers of one image. */
typedef struct work {
    float *x, *norm, *q, *k, *v, *z, *lse, *patches, *gate, *up, *hidden, *cosine,
        *sine;
} work;

static tl_status allocate(tl_arena *arena, const tl_vision_spec *v, size_t patches,
                          size_t d_model, work *out, tl_error *err)
{
    const size_t wide = v->d_mlp > d_model ? v->d_mlp : d_model;
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
        {&out->patches, v->channels * v->patch * v->patch},
        {&out->gate, v->d_mlp},
        {&out->up, v->d_mlp},
        {&out->hidden, wide},
        {&out->cosine, v->width / v->n_heads / 2},
        {&out->sine, v->width / v->n_heads / 2},
    };
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        *buffers[i].buffer =
            tl_arena_alloc(arena, patches * buffers[i].width, sizeof(float));
        if (*buffers[i].buffer == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY,
                           "no memory for an image of %zu patches", patches);
    }
    return TL_OK;
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

static tl_status check_pixels(const tl_vision_spec *v, const tl_pixels *pixels,
                              tl_error *err)
{
    const size_t *d = pixels->dims;
    if (pixels->n_dims == 4 && d[0] == 1 && d[1] == v->channels && d[2] > 0 &&
        d[3] > 0 && d[2] % v->patch == 0 && d[3] % v->patch == 0 &&
        d[2] / v->patch <= v->grid && d[3] / v->patch <= v->grid)
        return TL_OK;
    char have[96];
    return tl_fail(
        err, TL_ERR_DATA,
        "an image of %s values does not fit a tower of at most %zux%zu patches "
        "of %zux%zu pixels in %zu channels",
        tl_shape_text(d, pixels->n_dims, have, sizeof have), v->grid, v->grid, v->patch,
        v->patch, v->channels);
}

static tl_status run_all(tl_backend *b, const tl_vision_spec *v, const tower *w,
                         const tl_pixels *pixels, size_t d_model, const work *s,
                         float *out, tl_error *err)
{
    const size_t rows = pixels->dims[2] / v->patch,
                 columns = pixels->dims[3] / v->patch, patches = rows * columns;
    tl_tower_cut_patches(v, pixels, s->patches);
    fill_rope(v, rows, columns, s);
    tl_status status =
        b->linear(b, &w->patch_embed, patches, s->patches, s->norm, false, err);
    if (status != TL_OK)
        return status;
    b->rmsnorm(b, patches, v->width, v->norm_eps, s->norm, w->first_norm.weight, s->x,
               NULL);
    for (size_t l = 0; l < v->depth && status == TL_OK; l++)
        status = run_block(b, v, &w->blocks[l], patches, s, err);
    if (status == TL_OK)
        status = b->linear(b, &w->project_in, patches, s->x, s->hidden, false, err);
    if (status != TL_OK)
        return status;
    b->activate(b, v->projector_activation, patches * d_model, s->hidden);
    return b->linear(b, &w->project_out, patches, s->hidden, out, false, err);
}

static tl_status run_tower(tl_model *model, const tl_pixels *pixels, tl_arena *arena,
                           float **features, size_t *count, tl_error *err)
{
    const tl_vision_spec *v = &model->spec.vision;
    const size_t d_model = model->spec.dims.d_model;
    tl_status status = check_pixels(v, pixels, err);
    if (status != TL_OK)
        return status;
    const size_t patches = pixels->dims[2] / v->patch * (pixels->dims[3] / v->patch);
    float *out = tl_arena_alloc(arena, patches * d_model, sizeof *out);
    tl_arena *scratch = tl_arena_create();
    work s = {0};
    if (out == NULL || scratch == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an image of %zu patches",
                         patches);
    if (status == TL_OK)
        status = allocate(scratch, v, patches, d_model, &s, err);
    if (status == TL_OK)
        status = run_all(model->backend, v, model->weights.vision, pixels, d_model, &s,
                         out, err);
    if (status == TL_OK) {
        *features = out;
        *count = patches;
    }
    tl_arena_destroy(scratch);
    return status;
}

static const char *const prefixes[] = {"vision_tower.", "model.vision_tower."};

const tl_tower_kind tl_tower_pixtral = {
    .prefixes = prefixes,
    .n_prefixes = sizeof prefixes / sizeof *prefixes,
    .marker = "patch_conv.weight",
    .find = find_tower,
    .run = run_tower,
};
