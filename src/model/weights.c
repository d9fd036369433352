/* SPDX-License-Identifier: MIT
 * weights.c - see weights.h.
 *
 * The same tensor has had several names: transformers moved the decoder from
 * `model.` to `model.language_model.` and the tower from `visual.` to
 * `model.visual.`; models built as LLaVA have `language_model.model.`. Which of
 * the prefixes a file uses is decided by one tensor that must be there.
 */
#include "model/weights.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A stem is a name without its ".weight" or ".bias". */
enum { STEM_BYTES = 256, NAME_BYTES = STEM_BYTES + 16 };

/* The work of one tl_weights_find call. */
typedef struct finder {
    const tl_spec *spec;
    const tl_safetensors *file;
    tl_arena *arena;
    char decoder[64], vision[64]; /* prefixes, with their dots */
} finder;

static const char *const decoder_prefixes[] = {"model.", "model.language_model.",
                                               "language_model.model."};
static const char *const vision_prefixes[] = {"visual.", "model.visual."};

/* The tensor `prefix``format`, with exactly the wanted shape. A trailing run of
 * dimensions of the file may stand for their product (a convolution's kernel). */
static tl_status find_tensor(const finder *f, const char *name, size_t d0, size_t d1,
                             tl_tensor *out, tl_error *err)
{
    const char *path = tl_safetensors_file_path(f->file, 0);
    const tl_tensor *t = tl_safetensors_find(f->file, name);
    if (t == NULL)
        return tl_fail(err, TL_ERR_NOT_FOUND, "%s: there is no tensor '%s'", path,
                       name);
    if (t->dtype != TL_F32 && t->dtype != TL_F16 && t->dtype != TL_BF16)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: '%s' is %s, wanted F32, F16 or BF16", path, name,
                       tl_dtype_name(t->dtype));
    size_t rest = 1;
    for (size_t i = 1; i < t->n_dims; i++)
        rest *= t->dims[i];
    const bool fits = d1 == 0 ? t->n_dims == 1 && t->dims[0] == d0
                              : t->n_dims >= 2 && t->dims[0] == d0 && rest == d1;
    if (!fits) {
        char have[96], want[96];
        const size_t dims[2] = {d0, d1};
        return tl_fail(err, TL_ERR_FORMAT, "%s: '%s' is %s, the configuration wants %s",
                       path, name, tl_shape_text(t->dims, t->n_dims, have, sizeof have),
                       tl_shape_text(dims, d1 == 0 ? 1 : 2, want, sizeof want));
    }
    *out = *t;
    out->n_dims = d1 == 0 ? 1 : 2;
    out->dims[0] = d0;
    out->dims[1] = d1;
    return TL_OK;
}

static tl_status find_vector(const finder *f, const char *name, size_t n, float add,
                             const float **out, tl_error *err)
{
    tl_tensor tensor;
    tl_status status = find_tensor(f, name, n, 0, &tensor, err);
    if (status != TL_OK)
        return status;
    float *values = tl_arena_alloc(f->arena, n, sizeof *values);
    if (values == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for '%s'", name);
    if ((status = tl_tensor_to_f32(&tensor, 0, n, values, err)) != TL_OK)
        return status;
    for (size_t i = 0; add != 0.0f && i < n; i++)
        values[i] += add;
    *out = values;
    return TL_OK;
}

typedef enum norm_kind { NORM_RMS, NORM_LAYER } norm_kind;

static tl_status find_norm(const finder *f, const char *stem, size_t width,
                           norm_kind kind, tl_norm *out, tl_error *err)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%s.weight", stem);
    const float add = kind == NORM_RMS && f->spec->norm_plus_one ? 1.0f : 0.0f;
    tl_status status = find_vector(f, name, width, add, &out->weight, err);
    if (status != TL_OK || kind == NORM_RMS)
        return status;
    snprintf(name, sizeof name, "%s.bias", stem);
    return find_vector(f, name, width, 0.0f, &out->bias, err);
}

static tl_status find_linear(const finder *f, const char *stem, size_t n_out,
                             size_t n_in, bool has_bias, tl_linear *out, tl_error *err)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%s.weight", stem);
    const tl_status status = find_tensor(f, name, n_out, n_in, &out->weight, err);
    if (status != TL_OK || !has_bias)
        return status;
    snprintf(name, sizeof name, "%s.bias", stem);
    return find_vector(f, name, n_out, 0.0f, &out->bias, err);
}

/* Rows [part * n, part * n + n) of a fused layer. */
static tl_linear slice(const tl_linear *fused, size_t part, size_t n)
{
    tl_linear layer = *fused;
    const size_t n_in = fused->weight.dims[1];
    layer.weight.dims[0] = n;
    layer.weight.data = (const char *)fused->weight.data +
                        part * n * n_in * tl_dtype_bytes(fused->weight.dtype);
    if (fused->bias != NULL)
        layer.bias = fused->bias + part * n;
    return layer;
}

static tl_status find_layer(const finder *f, size_t l, tl_layer_weights *w,
                            tl_error *err)
{
    const tl_spec *s = f->spec;
    const tl_dims *d = &s->dims;
    const size_t q_width = d->n_heads * d->d_head, kv_width = d->n_kv_heads * d->d_head;
    const struct {
        const char *stem;
        size_t n_out, n_in;
        bool has_bias;
        tl_linear *out;
    } linears[] = {
        {"self_attn.q_proj", q_width, d->d_model, s->qkv_bias, &w->q},
        {"self_attn.k_proj", kv_width, d->d_model, s->qkv_bias, &w->k},
        {"self_attn.v_proj", kv_width, d->d_model, s->qkv_bias, &w->v},
        {"self_attn.o_proj", d->d_model, q_width, false, &w->o},
        {"mlp.gate_proj", d->d_mlp, d->d_model, false, &w->gate},
        {"mlp.up_proj", d->d_mlp, d->d_model, false, &w->up},
        {"mlp.down_proj", d->d_model, d->d_mlp, false, &w->down},
    };
    /* With post-norms `post_attention_layernorm` is one of them, and the norm in
     * front of the MLP has a name of its own. */
    const struct {
        const char *stem;
        size_t width;
        bool present;
        tl_norm *out;
    } norms[] = {
        {"input_layernorm", d->d_model, true, &w->attn_norm},
        {"post_attention_layernorm", d->d_model, !s->post_norms, &w->mlp_norm},
        {"post_attention_layernorm", d->d_model, s->post_norms, &w->attn_post_norm},
        {"pre_feedforward_layernorm", d->d_model, s->post_norms, &w->mlp_norm},
        {"post_feedforward_layernorm", d->d_model, s->post_norms, &w->mlp_post_norm},
        {"self_attn.q_norm", d->d_head, s->qk_norm, &w->q_norm},
        {"self_attn.k_norm", d->d_head, s->qk_norm, &w->k_norm},
    };
    tl_status status = TL_OK;
    char stem[STEM_BYTES];
    for (size_t i = 0; i < sizeof linears / sizeof linears[0] && status == TL_OK; i++) {
        snprintf(stem, sizeof stem, "%slayers.%zu.%s", f->decoder, l, linears[i].stem);
        status = find_linear(f, stem, linears[i].n_out, linears[i].n_in,
                             linears[i].has_bias, linears[i].out, err);
    }
    for (size_t i = 0; i < sizeof norms / sizeof norms[0] && status == TL_OK; i++) {
        snprintf(stem, sizeof stem, "%slayers.%zu.%s", f->decoder, l, norms[i].stem);
        if (norms[i].present)
            status = find_norm(f, stem, norms[i].width, NORM_RMS, norms[i].out, err);
    }
    return status;
}

static tl_status find_vision_block(const finder *f, size_t l, tl_vision_block *b,
                                   tl_error *err)
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
    char stem[STEM_BYTES];
    for (size_t i = 0; i < sizeof linears / sizeof linears[0] && status == TL_OK; i++) {
        snprintf(stem, sizeof stem, "%sblocks.%zu.%s", f->vision, l, linears[i].stem);
        status = find_linear(f, stem, linears[i].n_out, linears[i].n_in, true,
                             linears[i].out, err);
    }
    for (int i = 1; i <= 2 && status == TL_OK; i++) {
        snprintf(stem, sizeof stem, "%sblocks.%zu.norm%d", f->vision, l, i);
        status = find_norm(f, stem, v->width, NORM_LAYER,
                           i == 1 ? &b->norm1 : &b->norm2, err);
    }
    if (status == TL_OK) {
        b->q = slice(&qkv, 0, v->width);
        b->k = slice(&qkv, 1, v->width);
        b->v = slice(&qkv, 2, v->width);
    }
    return status;
}

static tl_status find_vision(finder *f, tl_weights *w, tl_error *err)
{
    const tl_vision_spec *v = &f->spec->vision;
    const size_t merged = v->width * v->merge * v->merge;
    char stem[STEM_BYTES];
    w->vision_blocks =
        tl_arena_alloc_zero(f->arena, v->depth, sizeof *w->vision_blocks);
    if (w->vision_blocks == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the tensor table");
    snprintf(stem, sizeof stem, "%spatch_embed.proj", f->vision);
    tl_status status = find_linear(
        f, stem, v->width, v->channels * v->temporal_patch * v->patch * v->patch, false,
        &w->patch_embed, err);
    for (size_t l = 0; l < v->depth && status == TL_OK; l++)
        status = find_vision_block(f, l, &w->vision_blocks[l], err);
    if (status != TL_OK)
        return status;
    snprintf(stem, sizeof stem, "%smerger.ln_q", f->vision);
    if ((status = find_norm(f, stem, v->width, NORM_LAYER, &w->merger_norm, err)) !=
        TL_OK)
        return status;
    snprintf(stem, sizeof stem, "%smerger.mlp.0", f->vision);
    if ((status = find_linear(f, stem, merged, merged, true, &w->merger_in, err)) !=
        TL_OK)
        return status;
    snprintf(stem, sizeof stem, "%smerger.mlp.2", f->vision);
    return find_linear(f, stem, f->spec->dims.d_model, merged, true, &w->merger_out,
                       err);
}

/* The first of the prefixes under which `tensor` is in the file; "" if none. */
static void choose_prefix(const tl_safetensors *file, const char *const *prefixes,
                          size_t n, const char *tensor, char *out, size_t bytes)
{
    char name[NAME_BYTES];
    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%s%s", prefixes[i], tensor);
        if (tl_safetensors_find(file, name) != NULL) {
            snprintf(out, bytes, "%s", prefixes[i]);
            return;
        }
    }
    out[0] = '\0';
}

static tl_status find_head(const finder *f, tl_weights *w, tl_error *err)
{
    static const char *const names[] = {"lm_head.weight",
                                        "language_model.lm_head.weight"};
    const tl_dims *d = &f->spec->dims;
    if (f->spec->tied_head) {
        w->head.weight = w->embed;
        return TL_OK;
    }
    for (size_t i = 1; i < sizeof names / sizeof names[0]; i++)
        if (tl_safetensors_find(f->file, names[i]) != NULL)
            return find_tensor(f, names[i], d->n_vocab, d->d_model, &w->head.weight,
                               err);
    return find_tensor(f, names[0], d->n_vocab, d->d_model, &w->head.weight, err);
}

tl_status tl_weights_find(const tl_spec *spec, const tl_safetensors *file,
                          tl_arena *arena, tl_weights *out, tl_error *err)
{
    finder f = {.spec = spec, .file = file, .arena = arena};
    tl_weights w = {0};
    const tl_dims *d = &spec->dims;
    choose_prefix(file, decoder_prefixes,
                  sizeof decoder_prefixes / sizeof *decoder_prefixes,
                  "embed_tokens.weight", f.decoder, sizeof f.decoder);
    choose_prefix(file, vision_prefixes,
                  sizeof vision_prefixes / sizeof *vision_prefixes,
                  "patch_embed.proj.weight", f.vision, sizeof f.vision);
    if (f.decoder[0] == '\0')
        return tl_fail(
            err, TL_ERR_NOT_FOUND,
            "%s: no 'embed_tokens.weight' under model., model.language_model. or "
            "language_model.model.",
            tl_safetensors_file_path(file, 0));

    char name[STEM_BYTES];
    snprintf(name, sizeof name, "%sembed_tokens.weight", f.decoder);
    tl_status status = find_tensor(&f, name, d->n_vocab, d->d_model, &w.embed, err);
    if (status == TL_OK)
        status = find_head(&f, &w, err);
    snprintf(name, sizeof name, "%snorm", f.decoder);
    if (status == TL_OK)
        status = find_norm(&f, name, d->d_model, NORM_RMS, &w.final_norm, err);
    w.layers = tl_arena_alloc_zero(arena, d->n_layers, sizeof *w.layers);
    if (w.layers == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the tensor table");
    for (size_t l = 0; l < d->n_layers && status == TL_OK; l++)
        status = find_layer(&f, l, &w.layers[l], err);
    w.has_vision = f.vision[0] != '\0';
    if (status == TL_OK && w.has_vision)
        status = find_vision(&f, &w, err);
    if (status == TL_OK)
        *out = w;
    return status;
}
