/* SPDX-License-Identifier: MIT
 * spec_qwen2_vl.c - Qwen2-VL's config.json (model/spec.h). */
#include <string.h>

#include "model/spec_private.h"

/* rope_scaling of type "mrope", or "default" with mrope_section: both M-RoPE. */
tl_status tl_spec_get_mrope(const json_t *text, const char *where, tl_rope_spec *rope,
                            tl_error *err)
{
    const json_t *scaling = NULL;
    char inner[TL_WHERE_BYTES];
    tl_status status = tl_spec_get_rope_object(text, where, &scaling, inner, err);
    if (status != TL_OK)
        return status;
    if (scaling == NULL)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: no 'rope_scaling' object, wanted one with 'mrope_section'",
                       where);
    const char *type = NULL, *type_key = "rope_type";
    status = tl_json_get_string(scaling, "rope_type", inner, &type, err);
    if (status == TL_OK && type == NULL) {
        type_key = "type";
        status = tl_json_get_string(scaling, "type", inner, &type, err);
    }
    if (status == TL_OK)
        status = tl_json_get_double(scaling, "rope_theta", inner, &rope->theta, err);
    if (status != TL_OK)
        return status;
    if (type != NULL && strcmp(type, "mrope") != 0 && strcmp(type, "default") != 0)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: '%s' is '%s', known are mrope and default", inner, type_key,
                       type);
    const json_t *sections = json_object_get(scaling, "mrope_section");
    if (!json_is_array(sections) || json_array_size(sections) != 3)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: 'mrope_section' is not a list of 3 integers", inner);
    for (size_t i = 0; i < 3; i++) {
        const json_t *n = json_array_get(sections, i);
        if (!json_is_integer(n) || json_integer_value(n) < 0 ||
            json_integer_value(n) > 4096)
            return tl_fail(err, TL_ERR_FORMAT,
                           "%s: 'mrope_section' is not a list of 3 integers", inner);
        rope->sections[i] = (size_t)json_integer_value(n);
    }
    return TL_OK;
}

tl_status tl_spec_refuse_sliding(const json_t *text, const char *where, size_t first,
                                 size_t n_layers, tl_error *err)
{
    tl_status status = tl_json_get_size(text, "max_window_layers", where, &first, err);
    if (status == TL_OK && first < n_layers)
        status = tl_spec_refuse_if_set(text, "use_sliding_window", where, err);
    const json_t *types = json_object_get(text, "layer_types");
    for (size_t l = 0; status == TL_OK && l < json_array_size(types); l++) {
        const char *type = json_string_value(json_array_get(types, l));
        if (type == NULL || strcmp(type, "full_attention") != 0)
            status = tl_fail(err, TL_ERR_UNSUPPORTED,
                             "%s: 'layer_types[%zu]' is %s, wanted full_attention",
                             where, l, type != NULL ? type : "not a name");
    }
    return status;
}

tl_status tl_spec_read_qwen2_decoder(const json_t *config, const char *where,
                                     tl_spec *spec, tl_error *err)
{
    /* The decoder's keys lie at the top, or, since transformers 4.52, in text_config. */
    const json_t *text = json_object_get(config, "text_config");
    if (!json_is_object(text))
        text = config;

    tl_dims *d = &spec->dims;
    *d = (tl_dims){.n_layers = 80,
                   .d_model = 8192,
                   .n_heads = 64,
                   .d_mlp = 29568,
                   .n_vocab = 152064};
    tl_status status = tl_spec_get_dims(text, where, 8, d, err);
    if (status != TL_OK)
        return status;
    d->d_head = d->d_model / d->n_heads;

    spec->norm_eps = 1e-5f;
    spec->activation = TL_SILU;
    spec->rope = (tl_rope_spec){.theta = 1e6, .factor = 1.0};
    spec->embed_scale = 1.0f;
    spec->qkv_bias = true;
    spec->image_token = 151655;
    spec->vision_start_token = 151652;
    bool tied = false; /* where 'text_config' does not say */
    if ((status = tl_spec_get_float(text, "rms_norm_eps", where, &spec->norm_eps,
                                    err)) != TL_OK ||
        (status = tl_spec_get_activation(text, "hidden_act", where, &spec->activation,
                                         err)) != TL_OK ||
        (status = tl_json_get_double(text, "rope_theta", where, &spec->rope.theta,
                                     err)) != TL_OK ||
        (status = tl_spec_get_mrope(text, where, &spec->rope, err)) != TL_OK ||
        (status = tl_json_get_bool(config, "tie_word_embeddings", where, &tied, err)) !=
            TL_OK ||
        (status = tl_spec_get_tied_head(config, text, where, tied, true,
                                        &spec->tied_head, err)) != TL_OK ||
        (status = tl_json_get_id(config, "image_token_id", where, &spec->image_token,
                                 err)) != TL_OK ||
        (status = tl_json_get_id(config, "vision_start_token_id", where,
                                 &spec->vision_start_token, err)) != TL_OK ||
        (status = tl_spec_refuse_sliding(text, where, 80, d->n_layers, err)) != TL_OK)
        return status;
    return TL_OK;
}

/* Where a tower's features must fit into the decoder. */
tl_status tl_spec_check_features(const char *where, const char *key, size_t width,
                                 const tl_spec *spec, tl_error *err)
{
    return width == spec->dims.d_model
               ? TL_OK
               : tl_fail(err, TL_ERR_FORMAT,
                         "%s: 'vision_config.%s' is %zu, wanted the decoder's %zu",
                         where, key, width, spec->dims.d_model);
}

tl_status tl_spec_read_qwen2_vl(const json_t *config, const char *where, tl_spec *spec,
                                tl_error *err)
{
    tl_status status = tl_spec_read_qwen2_decoder(config, where, spec, err);
    if (status != TL_OK)
        return status;
    tl_vision_spec *v = &spec->vision;
    *v = (tl_vision_spec){.tower = TL_TOWER_QWEN,
                          .depth = 32,
                          .width = 1280,
                          .n_heads = 16,
                          .patch = 14,
                          .temporal_patch = 2,
                          .channels = 3,
                          .merge = 2,
                          .activation = TL_QUICK_GELU,
                          .norm_eps = 1e-6f,
                          .rope_theta = 1e4};
    const json_t *vision = json_object_get(config, "vision_config");
    if (vision != NULL && !json_is_object(vision))
        return tl_fail(err, TL_ERR_FORMAT, "%s: 'vision_config' is not an object",
                       where);
    double mlp_ratio = 4.0;
    size_t out_width = 3584;
    const tl_size_field tower[] = {
        {"depth", &v->depth},
        {"embed_dim", &v->width},
        {"num_heads", &v->n_heads},
        {"patch_size", &v->patch},
        {"temporal_patch_size", &v->temporal_patch},
        {"in_channels", &v->channels},
        {"spatial_merge_size", &v->merge},
        {"hidden_size", &out_width},
    };
    if ((status = tl_spec_get_sizes(vision, "config.json: vision_config", tower,
                                    sizeof tower / sizeof tower[0], err)) != TL_OK ||
        (status =
             tl_spec_get_activation(vision, "hidden_act", "config.json: vision_config",
                                    &v->activation, err)) != TL_OK ||
        (status = tl_json_get_double(vision, "mlp_ratio", "config.json: vision_config",
                                     &mlp_ratio, err)) != TL_OK ||
        (status = tl_spec_get_tower_theta(vision, "config.json: vision_config",
                                          &v->rope_theta, err)) != TL_OK)
        return status;
    if (!(mlp_ratio > 0.0 && mlp_ratio < 1000.0))
        return tl_fail(err, TL_ERR_FORMAT, "%s: 'vision_config.mlp_ratio' is %g", where,
                       mlp_ratio);
    v->d_mlp = (size_t)((double)v->width * mlp_ratio);
    return tl_spec_check_features(where, "hidden_size", out_width, spec, err);
}
