/* SPDX-License-Identifier: MIT
 *
 * spec_gemma.c - the config.json of models with a Gemma decoder (model/spec.h): Gemma-3,
 * and PaliGemma, whose decoder is a Gemma or a Gemma-2.
 */
#include <math.h>
#include <string.h>

#include "model/spec_private.h"

/* What a generation's configuration class says when a key is absent. */
typedef struct generation {
    tl_dims dims;
    const char *activation_key;
    size_t window, global_every; /* 0: no layer slides */
    float attention_softcap, logit_softcap;
    double theta; /* of global layers */
    bool qk_norm; /* which goes with rotary positions of two kinds */
    bool post_norms;
    bool has_scalar; /* query_pre_attn_scalar; else the head size scales attention */
} generation;

static const generation gemma1 = {
    .dims = {28, 3072, 16, 16, 256, 24576, 256000},
    .activation_key = "hidden_act",
    .theta = 1e4,
};
static const generation gemma2 = {
    .dims = {26, 2304, 8, 4, 256, 9216, 256000},
    .activation_key = "hidden_activation",
    .window = 4096,
    .global_every = 2,
    .attention_softcap = 50.0f,
    .logit_softcap = 30.0f,
    .theta = 1e4,
    .post_norms = true,
    .has_scalar = true,
};
static const generation gemma3 = {
    .dims = {26, 2304, 8, 4, 256, 9216, 262208},
    .activation_key = "hidden_activation",
    .window = 4096,
    .global_every = 6,
    .theta = 1e6,
    .qk_norm = true,
    .post_norms = true,
    .has_scalar = true,
};

static tl_status get_dims(const json_t *text, const char *where, tl_dims *d,
                          tl_error *err)
{
    const tl_size_field fields[] = {
        {"num_hidden_layers", &d->n_layers},
        {"hidden_size", &d->d_model},
        {"num_attention_heads", &d->n_heads},
        {"num_key_value_heads", &d->n_kv_heads},
        {"head_dim", &d->d_head},
        {"intermediate_size", &d->d_mlp},
        {"vocab_size", &d->n_vocab},
    };
    return tl_spec_get_sizes(text, where, fields, sizeof fields / sizeof *fields, err);
}

/* ---- which layers slide ---------------------------------------------------------- */

static bool is_global(size_t layer, size_t every)
{
    return every > 0 && (layer + 1) % every == 0;
}

/* Every how many layers one is global (0: none), from the list of all layers, which
 * newer files have. */
static tl_status get_layer_types(const json_t *types, const char *where,
                                 size_t n_layers, bool has_every, size_t *every,
                                 tl_error *err)
{
    static const char *const names[] = {"sliding_attention", "full_attention"};
    if (!json_is_array(types) || json_array_size(types) != n_layers)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: 'layer_types' is not a list of one name for each of %zu "
                       "layers",
                       where, n_layers);
    if (!has_every) {
        size_t first = 0;
        while (first < n_layers &&
               json_string_value(json_array_get(types, first)) != NULL &&
               strcmp(json_string_value(json_array_get(types, first)), names[1]) != 0)
            first++;
        *every = first < n_layers ? first + 1 : 0;
    }
    for (size_t l = 0; l < n_layers; l++) {
        const char *name = json_string_value(json_array_get(types, l));
        const char *wanted = names[is_global(l, *every)];
        if (name == NULL || strcmp(name, wanted) != 0)
            return tl_fail(err, TL_ERR_UNSUPPORTED,
                           "%s: 'layer_types[%zu]' is %s, wanted %s where every layer "
                           "in %zu is global",
                           where, l, name != NULL ? name : "not a name", wanted,
                           *every);
    }
    return TL_OK;
}

static tl_status get_window(const json_t *text, const char *where, const generation *g,
                            tl_spec *spec, tl_error *err)
{
    size_t window = g->window, every = g->global_every;
    const tl_size_field fields[] = {{"sliding_window", &window},
                                    {"sliding_window_pattern", &every}};
    if (g->window == 0)
        return TL_OK;
    const json_t *types = json_object_get(text, "layer_types"),
                 *pattern = json_object_get(text, "sliding_window_pattern");
    const bool has_every = pattern != NULL && !json_is_null(pattern);
    tl_status status = tl_spec_get_sizes(text, where, fields, 2, err);
    if (status == TL_OK && types != NULL && !json_is_null(types))
        status =
            get_layer_types(types, where, spec->dims.n_layers, has_every, &every, err);
    if (status != TL_OK)
        return status;
    spec->window = every == 1 ? 0 : window;
    spec->global_every = every;
    return TL_OK;
}

/* ---- rotary positions ------------------------------------------------------------ */

/* The layout of transformers 5: one object for each type of layer, theta included. */
static tl_status get_rope_parameters(const json_t *parameters, const char *where,
                                     tl_spec *spec, tl_error *err)
{
    const struct {
        const char *key;
        tl_rope_spec *rope;
    } types[] = {{"full_attention", &spec->rope},
                 {"sliding_attention", &spec->rope_sliding}};
    if (json_object_get(parameters, types[0].key) == NULL &&
        json_object_get(parameters, types[1].key) == NULL)
        return tl_fail(err, TL_ERR_FORMAT, "%s: neither '%s' nor '%s'", where,
                       types[0].key, types[1].key);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const json_t *one = NULL;
        char inner[TL_WHERE_BYTES];
        tl_status status =
            tl_spec_get_object(parameters, types[i].key, where, &one, inner, err);
        if (status == TL_OK)
            status = tl_json_get_double(one, "rope_theta", inner, &types[i].rope->theta,
                                        err);
        if (status == TL_OK && one != NULL)
            status = tl_spec_get_scaling(one, inner, types[i].rope, err);
        if (status != TL_OK)
            return status;
    }
    return TL_OK;
}

static tl_status get_ropes(const json_t *text, const char *where, const generation *g,
                           tl_spec *spec, tl_error *err)
{
    spec->rope = (tl_rope_spec){.theta = g->theta, .factor = 1.0};
    spec->rope_sliding = (tl_rope_spec){.theta = 1e4, .factor = 1.0};
    if (!g->qk_norm) { /* one kind of positions for all layers */
        const tl_status status = tl_spec_get_rope(text, where, &spec->rope, err);
        spec->rope_sliding = spec->rope;
        return status;
    }
    const json_t *scaling = NULL, *parameters = NULL;
    char inner[TL_WHERE_BYTES];
    tl_status status =
        tl_json_get_double(text, "rope_theta", where, &spec->rope.theta, err);
    if (status == TL_OK)
        status = tl_json_get_double(text, "rope_local_base_freq", where,
                                    &spec->rope_sliding.theta, err);
    if (status == TL_OK)
        status =
            tl_spec_get_object(text, "rope_parameters", where, &parameters, inner, err);
    if (status == TL_OK && parameters != NULL)
        status = get_rope_parameters(parameters, inner, spec, err);
    if (status == TL_OK) /* goes into what holds for layers that see everything */
        status = tl_spec_get_object(text, "rope_scaling", where, &scaling, inner, err);
    if (status == TL_OK && scaling != NULL)
        status = tl_spec_get_scaling(scaling, inner, &spec->rope, err);
    return status;
}

/* ---- the rest of the decoder ------------------------------------------------------- */

/* null: no cap. */
static tl_status get_softcap(const json_t *text, const char *key, const char *where,
                             float *cap, tl_error *err)
{
    if (json_is_null(json_object_get(text, key)))
        *cap = 0.0f;
    return tl_spec_get_positive(text, key, where, cap, err);
}

static tl_status get_softcaps(const json_t *text, const char *where,
                              const generation *g, tl_spec *spec, tl_error *err)
{
    spec->attention_softcap = g->attention_softcap;
    spec->logit_softcap = g->logit_softcap;
    tl_status status = TL_OK;
    /* Only Gemma-2 has capped attention: Gemma-3 has a key for it, which its model in
     * transformers overlooks, and so does this. */
    if (g->attention_softcap > 0.0f)
        status = get_softcap(text, "attn_logit_softcapping", where,
                             &spec->attention_softcap, err);
    return status == TL_OK ? get_softcap(text, "final_logit_softcapping", where,
                                         &spec->logit_softcap, err)
                           : status;
}

static tl_status get_decoder(const json_t *text, const char *where, const generation *g,
                             tl_spec *spec, tl_error *err)
{
    spec->dims = g->dims;
    tl_status status = get_dims(text, where, &spec->dims, err);
    if (status == TL_OK)
        status = tl_spec_refuse_if_set(text, "attention_bias", where, err);
    /* PaliGemma's prompts see each other whatever the key says; files saved by
     * transformers 5 say that it is true. */
    if (status == TL_OK && !spec->bidirectional)
        status = tl_spec_refuse_if_set(text, "use_bidirectional_attention", where, err);
    float scalar = 256.0f;
    spec->norm_eps = 1e-6f;
    spec->activation = TL_GELU_TANH;
    if (status != TL_OK ||
        (status = tl_spec_get_float(text, "rms_norm_eps", where, &spec->norm_eps,
                                    err)) != TL_OK ||
        (status = tl_spec_get_activation(text, g->activation_key, where,
                                         &spec->activation, err)) != TL_OK ||
        (status = tl_spec_get_positive(text, "query_pre_attn_scalar", where, &scalar,
                                       err)) != TL_OK ||
        (status = get_softcaps(text, where, g, spec, err)) != TL_OK ||
        (status = get_window(text, where, g, spec, err)) != TL_OK ||
        (status = get_ropes(text, where, g, spec, err)) != TL_OK)
        return status;
    if (g->has_scalar)
        spec->attention_scale = (float)(1.0 / sqrt((double)scalar));
    spec->embed_scale = (float)sqrt((double)spec->dims.d_model);
    spec->qk_norm = g->qk_norm;
    spec->post_norms = g->post_norms;
    spec->norm_plus_one = true;
    return TL_OK;
}

/* ---- Gemma-3 ----------------------------------------------------------------------- */

/* Soft tokens are means over squares of patches; there are as many a side as the root
 * of mm_tokens_per_image says. */
static tl_status get_pooling(const json_t *config, const char *where, tl_spec *spec,
                             tl_error *err)
{
    tl_vision_spec *v = &spec->vision;
    size_t tokens = 256;
    const tl_size_field field = {"mm_tokens_per_image", &tokens};
    const tl_status status = tl_spec_get_sizes(config, where, &field, 1, err);
    if (status != TL_OK)
        return status;
    const size_t side = (size_t)sqrt((double)tokens);
    v->merge = v->grid / side;
    if (side * side != tokens || v->merge == 0 || v->grid / v->merge != side)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: 'mm_tokens_per_image' is %zu, wanted the square of a "
                       "number that divides the %zu patches on a side of an image",
                       where, tokens, v->grid);
    /* Where an image is longer than the window, versions of transformers differ in
     * what its tokens see of each other. */
    if (spec->window > 0 && tokens > spec->window)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: 'mm_tokens_per_image' is %zu, wanted at most the "
                       "'sliding_window' of %zu",
                       where, tokens, spec->window);
    return TL_OK;
}

typedef struct token_field {
    const char *key;
    int32_t *out;
} token_field;

/* Token ids, the decoder, and the tower's own sizes. */
static tl_status read_parts(const json_t *config, const char *where,
                            const generation *g, const token_field *ids, size_t n_ids,
                            tl_spec *spec, tl_error *err)
{
    const json_t *text = NULL, *vision = NULL;
    char inner[TL_WHERE_BYTES], tower[TL_WHERE_BYTES];
    tl_status status =
        tl_spec_get_object(config, "text_config", where, &text, inner, err);
    if (status == TL_OK)
        status =
            tl_spec_get_object(config, "vision_config", where, &vision, tower, err);
    for (size_t i = 0; status == TL_OK && i < n_ids; i++)
        status = tl_json_get_id(config, ids[i].key, where, ids[i].out, err);
    if (status == TL_OK)
        status = tl_spec_get_tied_head(config, text, where, true, false,
                                       &spec->tied_head, err);
    if (status == TL_OK)
        status = get_decoder(text, inner, g, spec, err);
    return status == TL_OK ? tl_spec_read_vit(vision, tower, "siglip_vision_model",
                                              &spec->vision, err)
                           : status;
}

tl_status tl_spec_read_gemma3(const json_t *config, const char *where, tl_spec *spec,
                              tl_error *err)
{
    spec->image_token = 262144;
    spec->vision_start_token = 255999;
    const token_field ids[] = {{"image_token_index", &spec->image_token},
                               {"image_token_id", &spec->image_token},
                               {"boi_token_index", &spec->vision_start_token}};
    spec->image_bidirectional = true;
    const tl_status status =
        read_parts(config, where, &gemma3, ids, sizeof ids / sizeof *ids, spec, err);
    spec->vision.projector = TL_PROJECTOR_MEANS;
    return status == TL_OK ? get_pooling(config, where, spec, err) : status;
}

/* ---- PaliGemma --------------------------------------------------------------------- */

/* A prompt is what the model calls a prefix: its positions all see each other. */
tl_status tl_spec_read_paligemma(const json_t *config, const char *where, tl_spec *spec,
                                 tl_error *err)
{
    const char *type = "gemma";
    size_t width = 2048;
    const tl_size_field projected = {"projection_dim", &width};
    spec->image_token = 256000;
    const token_field ids[] = {{"image_token_index", &spec->image_token},
                               {"image_token_id", &spec->image_token}};
    spec->bidirectional = true;
    tl_status status = tl_json_get_string(json_object_get(config, "text_config"),
                                          "model_type", where, &type, err);
    if (status != TL_OK)
        return status;
    if (strcmp(type, "gemma") != 0 && strcmp(type, "gemma2") != 0)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: 'text_config.model_type' is '%s', known in a paligemma "
                       "model are gemma, gemma2",
                       where, type);
    if ((status =
             read_parts(config, where, strcmp(type, "gemma") == 0 ? &gemma1 : &gemma2,
                        ids, sizeof ids / sizeof *ids, spec, err)) != TL_OK ||
        (status = tl_spec_get_sizes(config, where, &projected, 1, err)) != TL_OK)
        return status;
    spec->vision.projector = TL_PROJECTOR_LINEAR;
    spec->vision.projector_bias = true;
    /* In transformers from 4.53 on a prompt's positions see all of it in sliding layers,
     * too; up to 4.52 they do not see what is further behind them than the window. */
    if (tl_json_version_reaches(config, "transformers_version", 4, 53))
        spec->window = 0;
    return width == spec->dims.d_model
               ? TL_OK
               : tl_fail(err, TL_ERR_FORMAT,
                         "%s: 'projection_dim' is %zu, wanted the decoder's %zu", where,
                         width, spec->dims.d_model);
}
