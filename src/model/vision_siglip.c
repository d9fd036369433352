/* SPDX-License-Identifier: MIT
 *
 * vision_siglip.c - Gemma-3's tower (model/tower.h), a SigLIP and what follows it:
 *
 *     x  = W_patch pixels + b + position            [patches, width]
 *     x += W_out attention(layer norm x)            all patches see each other
 *     x += W_2 act(W_1 layer norm x)                both depth times
 *     s  = mean of layer norm x over squares of merge x merge patches
 *     feature = RMS norm(s) W                       [soft tokens, d_model]
 *
 * The grid of patches is as large as the table of positions: other images do not fit.
 */
#include "model/tower.h"

#include <math.h>

#include "model/model_private.h"

typedef struct block {
    tl_norm norm1, norm2;
    tl_linear q, k, v, out, fc1, fc2;
} block;

typedef struct tower {
    tl_linear patch_embed; /* [width, channels * patch * patch] */
    tl_tensor positions;   /* [grid * grid, width] */
    block *blocks;
    tl_norm post_norm, soft_norm;
    tl_linear project; /* [width, d_model]: stored input first */
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
        {"self_attn.q_proj", v->width, v->width, &b->q},
        {"self_attn.k_proj", v->width, v->width, &b->k},
        {"self_attn.v_proj", v->width, v->width, &b->v},
        {"self_attn.out_proj", v->width, v->width, &b->out},
        {"mlp.fc1", v->d_mlp, v->width, &b->fc1},
        {"mlp.fc2", v->width, v->d_mlp, &b->fc2},
    };
    tl_status status = TL_OK;
    char stem[TL_STEM_BYTES];
    for (size_t i = 0; i < sizeof linears / sizeof linears[0] && status == TL_OK; i++) {
        snprintf(stem, sizeof stem, "%sencoder.layers.%zu.%s", f->vision, l,
                 linears[i].stem);
        status = tl_find_linear(f, stem, linears[i].n_out, linears[i].n_in, true,
                                linears[i].out, err);
    }
    for (int i = 1; i <= 2 && status == TL_OK; i++) {
        snprintf(stem, sizeof stem, "%sencoder.layers.%zu.layer_norm%d", f->vision, l,
                 i);
        status = tl_find_norm(f, stem, v->width, TL_NORM_LAYER,
                              i == 1 ? &b->norm1 : &b->norm2, err);
    }
    return status;
}

/* From the tower's space to the decoder's; lies beside the tower in the file. */
static tl_status find_projector(const tl_finder *f, tower *w, tl_error *err)
{
    static const char *const prefixes[] = {"multi_modal_projector.",
                                           "model.multi_modal_projector."};
    const size_t width = f->spec->vision.width;
    char prefix[64], name[TL_STEM_BYTES];
    tl_find_prefix(f->file, prefixes, 2, "mm_input_projection_weight", prefix,
                   sizeof prefix);
    const char *at = prefix[0] != '\0' ? prefix : prefixes[0];
    snprintf(name, sizeof name, "%smm_input_projection_weight", at);
    const tl_status status =
        tl_find_tensor(f, name, width, f->spec->dims.d_model, &w->project.weight, err);
    if (status != TL_OK)
        return status;
    snprintf(name, sizeof name, "%smm_soft_emb_norm", at);
    return tl_find_norm(f, name, width, TL_NORM_RMS, &w->soft_norm, err);
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
    snprintf(stem, sizeof stem, "%sembeddings.patch_embedding", f->vision);
    tl_status status =
        tl_find_linear(f, stem, v->width, v->channels * v->patch * v->patch, true,
                       &w->patch_embed, err);
    snprintf(stem, sizeof stem, "%sembeddings.position_embedding.weight", f->vision);
    if (status == TL_OK)
        status =
            tl_find_tensor(f, stem, v->grid * v->grid, v->width, &w->positions, err);
    for (size_t l = 0; l < v->depth && status == TL_OK; l++)
        status = find_block(f, l, &w->blocks[l], err);
    snprintf(stem, sizeof stem, "%spost_layernorm", f->vision);
    if (status == TL_OK)
        status = tl_find_norm(f, stem, v->width, TL_NORM_LAYER, &w->post_norm, err);
    if (status == TL_OK)
        status = find_projector(f, w, err);
    if (status == TL_OK)
        *weights = w;
    return status;
}

/* ---- features -------------------------------------------------------------------- */

/* Buffers of one image. */
typedef struct work {
    float *x, *norm, *q, *k, *v, *z, *lse, *hidden;
} work;

static tl_status allocate(tl_arena *arena, const tl_vision_spec *v, work *out,
                          tl_error *err)
{
    const size_t patches = v->grid * v->grid,
                 patch_values = v->channels * v->patch * v->patch;
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
        {&out->hidden, v->d_mlp > patch_values ? v->d_mlp : patch_values},
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
                           const work *s, tl_error *err)
{
    const size_t d_head = v->width / v->n_heads, patches = v->grid * v->grid;
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
        (status = b->linear(b, &w->v, patches, s->norm, s->v, false, err)) != TL_OK ||
        (status = b->attention(b, &shape, 1, &all, s->q, s->k, s->v, s->z, s->lse,
                               err)) != TL_OK ||
        (status = b->linear(b, &w->out, patches, s->z, s->x, true, err)) != TL_OK)
        return status;

    b->layernorm(b, patches, v->width, v->norm_eps, s->x, w->norm2.weight,
                 w->norm2.bias, s->norm);
    if ((status = b->linear(b, &w->fc1, patches, s->norm, s->hidden, false, err)) !=
        TL_OK)
        return status;
    b->activate(b, v->activation, patches * v->d_mlp, s->hidden);
    return b->linear(b, &w->fc2, patches, s->hidden, s->x, true, err);
}

/* out[i,j] = mean of x over the patches of square (i, j); what is left at the far edges
 * belongs to none. x [grid, grid, width], out [side, side, width]. */
static void pool(const tl_vision_spec *v, const float *x, float *out)
{
    const size_t side = v->grid / v->merge, n = v->merge * v->merge;
    for (size_t i = 0; i < side; i++)
        for (size_t j = 0; j < side; j++)
            for (size_t d = 0; d < v->width; d++) {
                double sum = 0.0;
                for (size_t p = 0; p < n; p++) {
                    const size_t row = i * v->merge + p / v->merge,
                                 column = j * v->merge + p % v->merge;
                    sum += (double)x[(row * v->grid + column) * v->width + d];
                }
                *out++ = (float)(sum / (double)n);
            }
}

static tl_status check_pixels(const tl_model *model, const tl_pixels *pixels,
                              tl_error *err)
{
    const tl_vision_spec *v = &model->spec.vision;
    const size_t *d = pixels->dims;
    if (pixels->n_dims == 4 && d[0] == 1 && d[1] == v->channels &&
        d[2] / v->patch == v->grid && d[3] / v->patch == v->grid)
        return TL_OK;
    char have[96];
    return tl_fail(err, TL_ERR_DATA,
                   "an image of %s values does not fit a tower of %zux%zu patches of "
                   "%zux%zu pixels in %zu channels",
                   tl_shape_text(d, pixels->n_dims, have, sizeof have), v->grid,
                   v->grid, v->patch, v->patch, v->channels);
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
    const size_t patches = v->grid * v->grid, side = v->grid / v->merge,
                 tokens = side * side;

    float *out = tl_arena_alloc(arena, tokens * model->spec.dims.d_model, sizeof *out);
    tl_arena *scratch = tl_arena_create();
    work s = {0};
    if (out == NULL || scratch == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an image of %zu patches",
                         patches);
    else
        status = allocate(scratch, v, &s, err);
    if (status != TL_OK)
        goto done;

    tl_tower_cut_patches(v, pixels, s.hidden);
    status = tl_tensor_to_f32(&w->positions, 0, patches * v->width, s.x, err);
    if (status == TL_OK)
        status = b->linear(b, &w->patch_embed, patches, s.hidden, s.x, true, err);
    for (size_t l = 0; l < v->depth && status == TL_OK; l++)
        status = run_block(b, v, &w->blocks[l], &s, err);
    if (status != TL_OK)
        goto done;

    b->layernorm(b, patches, v->width, v->norm_eps, s.x, w->post_norm.weight,
                 w->post_norm.bias, s.norm);
    pool(v, s.norm, s.q);
    b->rmsnorm(b, tokens, v->width, v->norm_eps, s.q, w->soft_norm.weight, s.k, NULL);
    /* The matrix is stored input first, so x W is what others have on the way back. */
    if ((status = b->linear_backward(b, &w->project, tokens, s.k, out, false, err)) !=
        TL_OK)
        goto done;
    *features = out;
    *count = tokens;
done:
    tl_arena_destroy(scratch);
    return status;
}

static const char *const prefixes[] = {"vision_tower.vision_model.",
                                       "model.vision_tower.vision_model."};

const tl_tower_kind tl_tower_siglip = {
    .prefixes = prefixes,
    .n_prefixes = sizeof prefixes / sizeof *prefixes,
    .marker = "embeddings.patch_embedding.weight",
    .find = find_tower,
    .run = run_tower,
};
