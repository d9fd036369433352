/* SPDX-License-Identifier: MIT
 * spec_gemma3.c - Gemma-3's config.json (model/spec.h). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/spec_private.h"

enum { WHERE_BYTES = 512 };

/* An object inside `object`, or NULL if it is absent. `inner` receives its name for
 * messages. */
static tl_status get_object(const json_t *object, const char *key, const char *where,
                            const json_t **out, char inner[WHERE_BYTES], tl_error *err)
{
    const json_t *value = json_object_get(object, key);
    snprintf(inner, WHERE_BYTES, "%s: %s", where, key);
    if (json_is_null(value))
        value = NULL;
    if (value != NULL && !json_is_object(value))
        return tl_fail(err, TL_ERR_FORMAT, "%s: '%s' is not an object", where, key);
    *out = value;
    return TL_OK;
}

static tl_status get_dims(const json_t *text, const char *where, tl_dims *d,
                          tl_error *err)
{
    *d = (tl_dims){.n_layers = 26,
                   .d_model = 2304,
                   .n_heads = 8,
                   .n_kv_heads = 4,
                   .d_head = 256,
                   .d_mlp = 9216,
                   .n_vocab = 262208};
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

static tl_status get_window(const json_t *text, const char *where, tl_spec *spec,
                            tl_error *err)
{
    size_t window = 4096, every = 6;
    const tl_size_field fields[] = {{"sliding_window", &window},
                                    {"sliding_window_pattern", &every}};
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

/* What an object of rope_scaling's kind says: 'linear' divides positions by 'factor'. */
static tl_status get_scaling(const json_t *scaling, const char *where,
                             tl_rope_spec *rope, tl_error *err)
{
    const char *type = NULL, *key = "rope_type";
    tl_status status = tl_json_get_string(scaling, key, where, &type, err);
    if (status == TL_OK && type == NULL) {
        key = "type";
        status = tl_json_get_string(scaling, key, where, &type, err);
    }
    if (status != TL_OK)
        return status;
    if (type == NULL)
        return tl_fail(err, TL_ERR_FORMAT, "%s: no 'rope_type'", where);
    if (strcmp(type, "default") == 0)
        return TL_OK;
    if (strcmp(type, "linear") != 0)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: '%s' is '%s', known are linear and default", where, key,
                       type);
    double factor = 0.0;
    status = tl_json_get_double(scaling, "factor", where, &factor, err);
    if (status == TL_OK && !(factor > 0.0))
        status = tl_fail(err, TL_ERR_FORMAT, "%s: 'factor' is %g, wanted one above 0",
                         where, factor);
    if (status == TL_OK)
        rope->factor = factor;
    return status;
}

/* The layout of transformers 5: one object for each type of layer, theta included. */
static tl_status get_rope_parameters(const json_t *parameters, const char *where,
                                     tl_spec *spec, tl_error *err)
{
    const struct {
        const char *key;
        tl_rope_spec *rope;
    } types[] = {{"full_attention", &spec->rope},
                 {"sliding_attention", &spec->rope_sliding}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const json_t *one = NULL;
        char inner[WHERE_BYTES];
        tl_status status =
            get_object(parameters, types[i].key, where, &one, inner, err);
        if (status == TL_OK && one == NULL)
            status = tl_fail(err, TL_ERR_FORMAT, "%s: no '%s'", where, types[i].key);
        if (status == TL_OK)
            status = tl_json_get_double(one, "rope_theta", inner, &types[i].rope->theta,
                                        err);
        if (status == TL_OK)
            status = get_scaling(one, inner, types[i].rope, err);
        if (status != TL_OK)
            return status;
    }
    return TL_OK;
}

static tl_status get_ropes(const json_t *text, const char *where, tl_spec *spec,
                           tl_error *err)
{
    spec->rope = (tl_rope_spec){.theta = 1e6, .factor = 1.0};
    spec->rope_sliding = (tl_rope_spec){.theta = 1e4, .factor = 1.0};
    const json_t *scaling = NULL, *parameters = NULL;
    char inner[WHERE_BYTES];
    tl_status status =
        tl_json_get_double(text, "rope_theta", where, &spec->rope.theta, err);
    if (status == TL_OK)
        status = tl_json_get_double(text, "rope_local_base_freq", where,
                                    &spec->rope_sliding.theta, err);
    if (status == TL_OK)
        status = get_object(text, "rope_scaling", where, &scaling, inner, err);
    if (status == TL_OK && scaling != NULL)
        status = get_scaling(scaling, inner, &spec->rope, err);
    if (status == TL_OK)
        status = get_object(text, "rope_parameters", where, &parameters, inner, err);
    if (status == TL_OK && parameters != NULL)
        status = get_rope_parameters(parameters, inner, spec, err);
    return status;
}

/* ---- the rest of the decoder ------------------------------------------------------- */

/* A number above 0, or as it was if the key is absent. */
static tl_status get_positive(const json_t *object, const char *key, const char *where,
                              float *out, tl_error *err)
{
    const json_t *value = json_object_get(object, key);
    const tl_status status = tl_spec_get_float(object, key, where, out, err);
    if (status == TL_OK && json_is_number(value) && !(*out > 0.0f))
        return tl_fail(err, TL_ERR_FORMAT, "%s: '%s' is %g, wanted one above 0", where,
                       key, json_number_value(value));
    return status;
}

/* The decoder's key counts; newer versions look at the one outside. */
static tl_status get_tied_head(const json_t *config, const json_t *text,
                               const char *where, bool *tied, tl_error *err)
{
    *tied = true;
    tl_status status = tl_json_get_bool(text, "tie_word_embeddings", where, tied, err);
    bool outside = *tied;
    if (status == TL_OK)
        status = tl_json_get_bool(config, "tie_word_embeddings", where, &outside, err);
    if (status == TL_OK && outside != *tied)
        status = tl_fail(err, TL_ERR_UNSUPPORTED,
                         "%s: 'tie_word_embeddings' is %s, and %s in 'text_config'",
                         where, outside ? "true" : "false", *tied ? "true" : "false");
    return status;
}

static tl_status get_decoder(const json_t *text, const char *where, tl_spec *spec,
                             tl_error *err)
{
    /* Softcapped attention: the configuration has a key for it, the model of
     * transformers overlooks it. */
    static const char *const refused[] = {"attention_bias", "attn_logit_softcapping",
                                          "use_bidirectional_attention"};
    tl_status status = get_dims(text, where, &spec->dims, err);
    for (size_t i = 0; status == TL_OK && i < sizeof refused / sizeof *refused; i++)
        status = tl_spec_refuse_if_set(text, refused[i], where, err);
    float scalar = 256.0f;
    spec->norm_eps = 1e-6f;
    spec->activation = TL_GELU_TANH;
    if (status != TL_OK ||
        (status = tl_spec_get_float(text, "rms_norm_eps", where, &spec->norm_eps,
                                    err)) != TL_OK ||
        (status = tl_spec_get_activation(text, "hidden_activation", where,
                                         &spec->activation, err)) != TL_OK ||
        (status = get_positive(text, "query_pre_attn_scalar", where, &scalar, err)) !=
            TL_OK ||
        (status = get_positive(text, "final_logit_softcapping", where,
                               &spec->logit_softcap, err)) != TL_OK ||
        (status = get_window(text, where, spec, err)) != TL_OK ||
        (status = get_ropes(text, where, spec, err)) != TL_OK)
        return status;
    spec->attention_scale = (float)(1.0 / sqrt((double)scalar));
    spec->embed_scale = (float)sqrt((double)spec->dims.d_model);
    spec->qk_norm = true;
    spec->post_norms = true;
    spec->norm_plus_one = true;
    spec->image_bidirectional = true;
    return TL_OK;
}

/* ---- the tower --------------------------------------------------------------------- */

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

static tl_status get_tower(const json_t *config, const char *where, tl_spec *spec,
                           tl_error *err)
{
    tl_vision_spec *v = &spec->vision;
    *v = (tl_vision_spec){.tower = TL_TOWER_VIT,
                          .depth = 12,
                          .width = 768,
                          .n_heads = 12,
                          .d_mlp = 3072,
                          .patch = 16,
                          .temporal_patch = 1,
                          .channels = 3,
                          .activation = TL_GELU_TANH,
                          .final_norm = true,
                          .projector = TL_PROJECTOR_MEANS,
                          .norm_eps = 1e-6f};
    size_t image = 224;
    const tl_size_field fields[] = {
        {"num_hidden_layers", &v->depth},
        {"hidden_size", &v->width},
        {"num_attention_heads", &v->n_heads},
        {"intermediate_size", &v->d_mlp},
        {"patch_size", &v->patch},
        {"num_channels", &v->channels},
        {"image_size", &image},
    };
    const json_t *vision = NULL;
    const char *type = "siglip_vision_model";
    char inner[WHERE_BYTES];
    tl_status status = get_object(config, "vision_config", where, &vision, inner, err);
    if (status == TL_OK)
        status = tl_json_get_string(vision, "model_type", inner, &type, err);
    if (status == TL_OK && strcmp(type, "siglip_vision_model") != 0)
        status = tl_fail(err, TL_ERR_UNSUPPORTED,
                         "%s: 'model_type' is '%s', known is siglip_vision_model",
                         inner, type);
    if (status != TL_OK ||
        (status = tl_spec_get_sizes(vision, inner, fields,
                                    sizeof fields / sizeof *fields, err)) != TL_OK ||
        (status = tl_spec_get_activation(vision, "hidden_act", inner, &v->activation,
                                         err)) != TL_OK ||
        (status = tl_spec_get_float(vision, "layer_norm_eps", inner, &v->norm_eps,
                                    err)) != TL_OK)
        return status;
    v->grid = image / v->patch;
    return get_pooling(config, where, spec, err);
}

tl_status tl_spec_read_gemma3(const json_t *config, const char *where, tl_spec *spec,
                              tl_error *err)
{
    const json_t *text = NULL;
    char inner[WHERE_BYTES];
    spec->image_token = 262144;
    spec->vision_start_token = 255999;
    const struct {
        const char *key;
        int32_t *out;
    } ids[] = {{"image_token_index", &spec->image_token},
               {"image_token_id", &spec->image_token},
               {"boi_token_index", &spec->vision_start_token}};
    tl_status status = get_object(config, "text_config", where, &text, inner, err);
    for (size_t i = 0; status == TL_OK && i < sizeof ids / sizeof *ids; i++)
        status = tl_json_get_id(config, ids[i].key, where, ids[i].out, err);
    if (status == TL_OK)
        status = get_tied_head(config, text, where, &spec->tied_head, err);
    if (status == TL_OK)
        status = get_decoder(text, inner, spec, err);
    if (status == TL_OK)
        status = get_tower(config, where, spec, err);
    return status;
}
