/* SPDX-License-Identifier: MIT
 *
 * spec_internvl.c - InternVL's config.json (model/spec.h) in transformers' layout: the
 * decoder of a Qwen2 (InternVL3) or a Qwen3 (InternVL3.5) behind a tower of its own.
 */
#include <math.h>
#include <string.h>

#include "model/spec_private.h"

static const char TEXT[] = "config.json: text_config",
                  VISION[] = "config.json: vision_config";

/* Qwen3's is Qwen2's with norms of q and k and without biases; absent keys have the
 * defaults of transformers' classes. */
static tl_status read_decoder(const json_t *text, tl_spec *spec, tl_error *err)
{
    const char *type = "qwen2";
    tl_status status = tl_json_get_string(text, "model_type", TEXT, &type, err);
    const bool is_qwen3 = status == TL_OK && strcmp(type, "qwen3") == 0;
    if (status == TL_OK && !is_qwen3 && strcmp(type, "qwen2") != 0)
        status =
            tl_fail(err, TL_ERR_UNSUPPORTED,
                    "%s: 'model_type' is '%s', known are qwen2 and qwen3", TEXT, type);
    if (status == TL_OK)
        status = tl_spec_read_qwen2(text, spec, err);
    if (status != TL_OK || !is_qwen3)
        return status;
    if (json_object_get(text, "head_dim") == NULL)
        spec->dims.d_head = 128;
    spec->qkv_bias = false;
    spec->qk_norm = true;
    return tl_spec_refuse_if_set(text, "attention_bias", TEXT, err);
}

static tl_status read_sizes(const json_t *vision, tl_vision_spec *v, tl_error *err)
{
    size_t image = 448;
    const tl_size_field fields[] = {
        {"num_hidden_layers", &v->depth},     {"hidden_size", &v->width},
        {"num_attention_heads", &v->n_heads}, {"intermediate_size", &v->d_mlp},
        {"num_channels", &v->channels},
    };
    tl_status status =
        tl_spec_get_sizes(vision, VISION, fields, sizeof fields / sizeof *fields, err);
    if (status == TL_OK)
        status = tl_json_get_square(vision, "image_size", VISION, &image, err);
    if (status == TL_OK)
        status = tl_json_get_square(vision, "patch_size", VISION, &v->patch, err);
    return status == TL_OK ? tl_spec_set_grid(image, VISION, v, err) : status;
}

/* The switches; `pools` receives whether the states are left without a norm. */
static tl_status read_switches(const json_t *vision, tl_vision_spec *v, bool *pools,
                               tl_error *err)
{
    const char *norm = "layer_norm";
    bool learned = true;
    tl_status status;
    if ((status = tl_spec_get_activation(vision, "hidden_act", VISION, &v->activation,
                                         err)) != TL_OK ||
        (status = tl_spec_get_float(vision, "layer_norm_eps", VISION, &v->norm_eps,
                                    err)) != TL_OK ||
        (status = tl_json_get_bool(vision, "attention_bias", VISION, &v->qkv_bias,
                                   err)) != TL_OK ||
        (status = tl_json_get_bool(vision, "use_qk_norm", VISION, &v->qk_norm, err)) !=
            TL_OK ||
        (status = tl_json_get_bool(vision, "use_mean_pooling", VISION, pools, err)) !=
            TL_OK ||
        (status = tl_json_get_bool(vision, "use_absolute_position_embeddings", VISION,
                                   &learned, err)) != TL_OK ||
        (status = tl_json_get_string(vision, "norm_type", VISION, &norm, err)) != TL_OK)
        return status;
    v->rms_norms = strcmp(norm, "rms_norm") == 0;
    if (!v->rms_norms && strcmp(norm, "layer_norm") != 0)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: 'norm_type' is '%s', known are layer_norm and rms_norm",
                       VISION, norm);
    if (!learned)
        v->grid = 0;
    return TL_OK;
}

/* Absent keys have the defaults of transformers' InternVLVisionConfig. `config` says which
 * layer's states are taken: the last layer's have a norm behind it, unless their mean is
 * wanted elsewhere. */
static tl_status read_tower(const json_t *config, const char *where,
                            const json_t *vision, tl_vision_spec *v, tl_error *err)
{
    bool pools = true;
    *v = (tl_vision_spec){.tower = TL_TOWER_INTERNVL,
                          .depth = 24,
                          .width = 1024,
                          .n_heads = 16,
                          .d_mlp = 4096,
                          .patch = 14,
                          .temporal_patch = 1,
                          .channels = 3,
                          .activation = TL_GELU,
                          .class_row = true,
                          .norm_eps = 1e-6f,
                          .projector = TL_PROJECTOR_SQUARES,
                          .projector_activation = TL_GELU,
                          .projector_bias = true,
                          .projector_eps = 1e-5f};
    tl_status status = read_sizes(vision, v, err);
    if (status == TL_OK)
        status = read_switches(vision, v, &pools, err);
    if (status == TL_OK)
        status = tl_spec_get_feature_layer(config, where, -1, v, err);
    const json_t *layer = json_object_get(config, "vision_feature_layer");
    v->final_norm = !pools && (layer == NULL || json_integer_value(layer) == -1);
    return status;
}

/* How the tower's rows become features. */
static tl_status read_projector(const json_t *config, const char *where,
                                tl_vision_spec *v, tl_error *err)
{
    const char *strategy = "default";
    double ratio = 0.5;
    tl_status status = tl_json_get_string(config, "vision_feature_select_strategy",
                                          where, &strategy, err);
    if (status == TL_OK && strcmp(strategy, "default") != 0)
        status = tl_fail(err, TL_ERR_UNSUPPORTED,
                         "%s: 'vision_feature_select_strategy' is '%s', supported is "
                         "default: rows are no square with the first",
                         where, strategy);
    if (status == TL_OK)
        status = tl_json_get_double(config, "downsample_ratio", where, &ratio, err);
    if (status != TL_OK)
        return status;
    int exponent = 0;
    v->merge = ratio > 1e-3 && ratio <= 1.0 ? (size_t)(1.0 / ratio) : 0;
    if (v->merge == 0 || frexp(ratio, &exponent) != 0.5)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: 'downsample_ratio' is %g, supported are 1, 1/2, 1/4, 1/8 "
                       "and so on",
                       where, ratio);
    return tl_spec_get_activation(config, "projector_hidden_act", where,
                                  &v->projector_activation, err);
}

/*
 * transformers 5 looks at the key outside, which is true if absent, but takes a head that
 * the file has; 4 looks at the key of the decoder, which is false if absent. Where the two
 * keys are not both true, a file with a head is therefore not tied.
 */
static tl_status get_tied_head(const json_t *config, const json_t *text,
                               const char *where, tl_spec *spec, tl_error *err)
{
    static const char key[] = "tie_word_embeddings";
    bool inside = false;
    tl_status status = tl_json_get_bool(text, key, TEXT, &inside, err);
    bool outside = inside;
    if (status == TL_OK)
        status = tl_json_get_bool(config, key, where, &outside, err);
    if (status == TL_OK && inside && !outside)
        status = tl_fail(err, TL_ERR_UNSUPPORTED,
                         "%s: '%s' is false, and true in 'text_config'", where, key);
    return status == TL_OK ? tl_spec_get_head(config, text, where, true, spec, err)
                           : status;
}

tl_status tl_spec_read_internvl(const json_t *config, const char *where, tl_spec *spec,
                                tl_error *err)
{
    const json_t *text = NULL, *vision = NULL;
    char inner[TL_WHERE_BYTES];
    tl_status status =
        tl_spec_get_object(config, "text_config", where, &text, inner, err);
    if (status == TL_OK)
        status =
            tl_spec_get_object(config, "vision_config", where, &vision, inner, err);
    if (status == TL_OK)
        status = read_decoder(text, spec, err);
    if (status == TL_OK)
        status = read_tower(config, where, vision, &spec->vision, err);
    if (status == TL_OK)
        status = read_projector(config, where, &spec->vision, err);
    if (status == TL_OK)
        status = get_tied_head(config, text, where, spec, err);
    spec->image_token = 151667;
    if (status == TL_OK) /* the hub's first folders */
        status =
            tl_json_get_id(config, "image_token_index", where, &spec->image_token, err);
    return status == TL_OK ? tl_json_get_id(config, "image_token_id", where,
                                            &spec->image_token, err)
                           : status;
}
