/* SPDX-License-Identifier: MIT
 * weights.c - see weights.h.
 *
 * The same tensor has had several names: transformers moved the decoder from
 * `model.` to `model.language_model.` and the tower from `visual.` to
 * `model.visual.`; models built as LLaVA have `language_model.model.`, Idefics3
 * `model.text_model.`; AutoModel saves without a head, from `language_model.` or
 * `text_model.` on, or the decoder alone. Which of the prefixes a file uses is decided by one tensor that must be there.
 */
#include "model/weights.h"

#include <stdio.h>
#include <string.h>

#include "tensor/finder.h"
#include "vision/tower.h"
#include "vision/vision.h"

static const char *const decoder_prefixes[] = {
    "model.",          "model.language_model.", "language_model.model.",
    "language_model.", "model.text_model.",     "text_model."};

static tl_status find_layer(const tl_finder *f, const tl_spec *s, size_t l,
                            tl_layer_weights *w, tl_error *err)
{
    const tl_dims *d = &s->dims;
    const size_t q_width = d->n_heads * d->d_head, kv_width = d->n_kv_heads * d->d_head;
    const tl_linear_field linears[] = {
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
    const bool post = s->post_norms;
    const tl_norm_field norms[] = {
        {"input_layernorm", d->d_model, &w->attn_norm},
        {"post_attention_layernorm", d->d_model,
         post ? &w->attn_post_norm : &w->mlp_norm},
        {"pre_feedforward_layernorm", d->d_model, post ? &w->mlp_norm : NULL},
        {"post_feedforward_layernorm", d->d_model, post ? &w->mlp_post_norm : NULL},
        {"self_attn.q_norm", d->d_head, s->qk_norm ? &w->q_norm : NULL},
        {"self_attn.k_norm", d->d_head, s->qk_norm ? &w->k_norm : NULL},
    };
    char stem[TL_STEM_BYTES];
    snprintf(stem, sizeof stem, "%slayers.%zu.", f->prefix, l);
    const tl_status status =
        tl_find_linears(f, stem, linears, sizeof linears / sizeof *linears, err);
    return status == TL_OK ? tl_find_norms(f, stem, TL_NORM_RMS, norms,
                                           sizeof norms / sizeof *norms, err)
                           : status;
}

static bool is_same(const tl_tensor *a, const tl_tensor *b)
{
    const size_t count = tl_tensor_count(a);
    return a->dtype == b->dtype && count == tl_tensor_count(b) &&
           (a->data == b->data ||
            memcmp(a->data, b->data, count * tl_dtype_bytes(a->dtype)) == 0);
}

static const char *const head_names[] = {"lm_head.weight",
                                         "language_model.lm_head.weight"};

bool tl_weights_tie_head(const tl_spec *spec, const tl_safetensors *file)
{
    return spec->head_decides && file != NULL
               ? !tl_safetensors_has(file, head_names[0]) &&
                     !tl_safetensors_has(file, head_names[1])
               : spec->tied_head;
}

static tl_status find_head(const tl_finder *f, const tl_spec *s, tl_weights *w,
                           tl_error *err)
{
    const tl_dims *d = &s->dims;
    const bool is_second =
        f->file != NULL && tl_safetensors_has(f->file, head_names[1]);
    const char *name = head_names[is_second];
    if (!s->tied_head)
        return tl_fail_while(
            err, tl_find_tensor(f, name, d->n_vocab, d->d_model, &w->head.weight, err),
            "'tie_word_embeddings' is false");
    w->head.weight = w->embed;
    const tl_tensor *other =
        f->file != NULL ? tl_safetensors_find(f->file, name) : NULL;
    return other == NULL || is_same(other, &w->embed)
               ? TL_OK
               : tl_fail(err, TL_ERR_UNSUPPORTED,
                         "%s: '%s' is another matrix than the embeddings, and "
                         "'tie_word_embeddings' is true: transformers 4 passes it over "
                         "and 5 takes it; wanted false, or a folder without it",
                         tl_safetensors_file_path(f->file, 0), name);
}

tl_status tl_weights_find(const tl_spec *spec, const tl_safetensors *file,
                          tl_arena *arena, tl_weights *out, tl_error *err)
{
    tl_weights w = {0};
    tl_finder f = {.file = file,
                   .arena = arena,
                   .size = &w.embed_size,
                   .norm_plus_one = spec->norm_plus_one};
    const tl_dims *d = &spec->dims;
    tl_find_prefix(file, decoder_prefixes,
                   sizeof decoder_prefixes / sizeof *decoder_prefixes,
                   "embed_tokens.weight", f.prefix, sizeof f.prefix);
    /* A decoder that was saved alone has no prefix. */
    if (f.prefix[0] == '\0' && !tl_safetensors_has(file, "embed_tokens.weight"))
        return tl_fail(
            err, TL_ERR_NOT_FOUND,
            "%s: no 'embed_tokens.weight' under model., model.language_model., "
            "language_model.model., language_model., model.text_model., text_model. or "
            "no "
            "prefix",
            tl_safetensors_file_path(file, 0));

    char name[TL_STEM_BYTES];
    snprintf(name, sizeof name, "%sembed_tokens.weight", f.prefix);
    tl_status status = tl_find_tensor(&f, name, d->n_vocab, d->d_model, &w.embed, err);
    f.size = &w.decoder_size;
    if (status == TL_OK)
        status = find_head(&f, spec, &w, err);
    snprintf(name, sizeof name, "%snorm", f.prefix);
    if (status == TL_OK)
        status = tl_find_norm(&f, name, d->d_model, TL_NORM_RMS, &w.final_norm, err);
    w.layers = tl_arena_alloc_zero(arena, d->n_layers, sizeof *w.layers);
    if (w.layers == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the tensor table");
    for (size_t l = 0; l < d->n_layers && status == TL_OK; l++)
        status = find_layer(&f, spec, l, &w.layers[l], err);
    const tl_tower_kind *tower = tl_tower_get(spec->vision.tower);
    tl_find_prefix(file, tower->prefixes, tower->n_prefixes, tower->marker, f.prefix,
                   sizeof f.prefix);
    w.has_vision = f.prefix[0] != '\0';
    f.size = &w.vision_size;
    if (status == TL_OK && w.has_vision)
        status = tl_vision_find(&f, &spec->vision, &w.vision, err);
    if (status == TL_OK)
        *out = w;
    return status;
}
