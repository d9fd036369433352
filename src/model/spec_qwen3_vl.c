/* SPDX-License-Identifier: MIT
 *
 * spec_qwen3_vl.c - Qwen3-VL's config.json (model/spec.h): Qwen3's decoder behind a tower
 * whose learned positions are stretched over the picture, and some of whose layers add to
 * the stream of the decoder's first layers.
 */
#include <math.h>

#include "model/spec_private.h"

static const char TEXT[] = "config.json: text_config",
                  VISION[] = "config.json: vision_config";

/* Absent keys have the defaults of transformers' Qwen3VLTextConfig. */
static tl_status read_decoder(const json_t *text, tl_spec *spec, tl_error *err)
{
    tl_dims *d = &spec->dims;
    *d = (tl_dims){.n_layers = 32,
                   .d_model = 4096,
                   .n_heads = 32,
                   .d_head = 128,
                   .d_mlp = 22016,
                   .n_vocab = 151936};
    const tl_size_field head = {"head_dim", &d->d_head};
    tl_status status = tl_spec_get_dims(text, TEXT, 32, d, err);
    spec->norm_eps = 1e-6f;
    spec->activation = TL_SILU;
    spec->embed_scale = 1.0f;
    spec->qk_norm = true;
    spec->rope = (tl_rope_spec){.theta = 5e5, .factor = 1.0, .interleaved = true};
    if (status != TL_OK ||
        (status = tl_spec_get_sizes(text, TEXT, &head, 1, err)) != TL_OK ||
        (status = tl_spec_get_float(text, "rms_norm_eps", TEXT, &spec->norm_eps,
                                    err)) != TL_OK ||
        (status = tl_spec_get_activation(text, "hidden_act", TEXT, &spec->activation,
                                         err)) != TL_OK ||
        (status = tl_json_get_double(text, "rope_theta", TEXT, &spec->rope.theta,
                                     err)) != TL_OK ||
        (status = tl_spec_get_mrope(text, TEXT, &spec->rope, err)) != TL_OK)
        return status;
    return tl_spec_refuse_if_set(text, "attention_bias", TEXT, err);
}

/* Layers whose states also go to the decoder. */
static tl_status get_deep_layers(const json_t *vision, tl_vision_spec *v, tl_error *err)
{
    static const char key[] = "deepstack_visual_indexes";
    const json_t *list = json_object_get(vision, key);
    const size_t defaults[] = {8, 16, 24};
    if (list != NULL && !json_is_array(list))
        return tl_fail(err, TL_ERR_FORMAT, "%s: '%s' is not a list", VISION, key);
    const size_t n = list != NULL ? json_array_size(list) : 3;
    if (n > TL_DEEP_LAYERS)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: '%s' has %zu layers, at most %d are supported", VISION, key,
                       n, (int)TL_DEEP_LAYERS);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        const json_int_t layer =
            list != NULL ? json_integer_value(item) : (json_int_t)defaults[i];
        if ((list != NULL && !json_is_integer(item)) || layer < 0 ||
            (size_t)layer >= v->depth ||
            (i > 0 && (size_t)layer <= v->deep_layers[i - 1]))
            return tl_fail(err, TL_ERR_FORMAT,
                           "%s: '%s' is not a rising list of layers below %zu", VISION,
                           key, v->depth);
        v->deep_layers[i] = (size_t)layer;
    }
    v->n_deep = n;
    return TL_OK;
}

/* Absent keys have the defaults of transformers' Qwen3VLVisionConfig. */
static tl_status read_tower(const json_t *vision, const char *where, tl_spec *spec,
                            tl_error *err)
{
    tl_vision_spec *v = &spec->vision;
    size_t out_width = 3584, positions = 2304;
    *v = (tl_vision_spec){.tower = TL_TOWER_QWEN3,
                          .depth = 27,
                          .width = 1152,
                          .n_heads = 16,
                          .d_mlp = 4304,
                          .patch = 16,
                          .temporal_patch = 2,
                          .channels = 3,
                          .merge = 2,
                          .activation = TL_GELU_TANH,
                          .norm_eps = 1e-6f,
                          .rope_theta = 1e4};
    const tl_size_field positions_key = {"num_position_embeddings", &positions};
    tl_status status = tl_spec_get_qwen_tower(vision, VISION, v, &out_width, err);
    if (status == TL_OK)
        status = tl_spec_get_sizes(vision, VISION, &positions_key, 1, err);
    if (status == TL_OK)
        status = get_deep_layers(vision, v, err);
    v->grid = (size_t)sqrt((double)positions);
    if (status == TL_OK && v->grid * v->grid != positions)
        status = tl_fail(err, TL_ERR_UNSUPPORTED,
                         "%s: 'num_position_embeddings' is %zu, wanted a square",
                         VISION, positions);
    return status == TL_OK
               ? tl_spec_check_features(where, "out_hidden_size", out_width, spec, err)
               : status;
}

tl_status tl_spec_read_qwen3_vl(const json_t *config, const char *where, tl_spec *spec,
                                tl_error *err)
{
    const json_t *text = NULL, *vision = NULL;
    char inner[TL_WHERE_BYTES];
    tl_status status =
        tl_spec_get_object(config, "text_config", where, &text, inner, err);
    if (status == TL_OK)
        status =
            tl_spec_get_object(config, "vision_config", where, &vision, inner, err);
    if (status == TL_OK && text == NULL)
        status = tl_fail(err, TL_ERR_FORMAT, "%s: no 'text_config' object", where);
    if (status == TL_OK)
        status = read_decoder(text, spec, err);
    if (status == TL_OK)
        status = read_tower(vision, where, spec, err);
    spec->image_token = 151655;
    spec->vision_start_token = 151652;
    if (status != TL_OK ||
        (status = tl_spec_get_head(config, text, where, false, spec, err)) != TL_OK ||
        (status = tl_json_get_id(config, "image_token_id", where, &spec->image_token,
                                 err)) != TL_OK)
        return status;
    return tl_json_get_id(config, "vision_start_token_id", where,
                          &spec->vision_start_token, err);
}
