/* SPDX-License-Identifier: MIT
 *
 * spec_llava.c - the config.json of models built as LLaVA (model/spec.h): a decoder, a
 * tower and a projector, each with a configuration of its own. Known: Llama's and
 * Mistral's decoder behind CLIP's tower (LLaVA-1.5) and behind Pixtral's; and Mistral-3,
 * which is Mistral's behind Pixtral's, patches merged between the two.
 */
#include <string.h>

#include "model/spec_private.h"

static const char TEXT[] = "config.json: text_config",
                  VISION[] = "config.json: vision_config";

tl_status tl_spec_get_part(const json_t *config, const char *where, const char *key,
                           const char *const kinds[2], const json_t **out, size_t *kind,
                           tl_error *err)
{
    const json_t *part = json_object_get(config, key);
    const char *type = kinds[0];
    if (!json_is_object(part))
        return tl_fail(err, TL_ERR_FORMAT, "%s: no '%s' object", where, key);
    const tl_status status = tl_json_get_string(part, "model_type", where, &type, err);
    if (status != TL_OK)
        return status;
    *kind = kinds[1] != NULL && strcmp(type, kinds[1]) == 0;
    if (strcmp(type, kinds[*kind]) != 0)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: '%s.model_type' is %s, supported is %s%s%s", where, key,
                       type, kinds[0], kinds[1] != NULL ? " or " : "",
                       kinds[1] != NULL ? kinds[1] : "");
    *out = part;
    return TL_OK;
}

/* Absent keys have the defaults of transformers' LlamaConfig and MistralConfig. */
tl_status tl_spec_read_llama(const json_t *text, bool is_mistral, tl_spec *spec,
                             tl_error *err)
{
    static const char *const refused[] = {"attention_bias", "mlp_bias"};
    tl_dims *d = &spec->dims;
    *d = (tl_dims){.n_layers = 32,
                   .d_model = 4096,
                   .n_heads = 32,
                   .d_mlp = is_mistral ? 14336 : 11008,
                   .n_vocab = 32000};
    const size_t groups = is_mistral ? 8 : 0;
    tl_status status = tl_spec_get_dims(text, TEXT, groups, d, err);
    if (status != TL_OK)
        return status;
    d->d_head = d->d_model / d->n_heads;
    const tl_size_field head = {"head_dim", &d->d_head};
    spec->norm_eps = 1e-6f;
    spec->activation = TL_SILU;
    spec->rope = (tl_rope_spec){.theta = 1e4, .factor = 1.0};
    spec->embed_scale = 1.0f;
    /* Mistral's: absent: 4096; null: every layer sees everything. */
    const json_t *window = json_object_get(text, "sliding_window");
    spec->window = is_mistral && window == NULL ? 4096 : 0;
    if ((status = tl_spec_get_sizes(text, TEXT, &head, 1, err)) != TL_OK ||
        (is_mistral && (status = tl_json_get_size(text, "sliding_window", TEXT,
                                                  &spec->window, err)) != TL_OK) ||
        (status = tl_spec_get_float(text, "rms_norm_eps", TEXT, &spec->norm_eps,
                                    err)) != TL_OK ||
        (status = tl_spec_get_activation(text, "hidden_act", TEXT, &spec->activation,
                                         err)) != TL_OK ||
        (status = tl_spec_get_rope(text, TEXT, &spec->rope, err)) != TL_OK)
        return status;
    spec->rope_sliding = spec->rope;
    for (size_t i = 0; i < sizeof refused / sizeof *refused && status == TL_OK; i++)
        status = tl_spec_refuse_if_set(text, refused[i], TEXT, err);
    return status;
}

tl_status tl_spec_check_strategy(const json_t *config, const char *where,
                                 const char *absent, const tl_vision_spec *v,
                                 tl_error *err)
{
    const char *strategy = absent, *supported = v->class_row ? "default" : "full";
    const tl_status status = tl_json_get_string(
        config, "vision_feature_select_strategy", where, &strategy, err);
    if (status != TL_OK || strcmp(strategy, supported) == 0)
        return status;
    return tl_fail(err, TL_ERR_UNSUPPORTED,
                   "%s: 'vision_feature_select_strategy' is '%s', supported is %s with "
                   "this tower",
                   where, strategy, supported);
}

tl_status tl_spec_get_feature_layer(const json_t *config, const char *where, int absent,
                                    tl_vision_spec *v, tl_error *err)
{
    const json_t *layer = json_object_get(config, "vision_feature_layer");
    if (layer != NULL && !json_is_integer(layer))
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: 'vision_feature_layer' is not one layer", where);
    const json_int_t asked = layer != NULL ? json_integer_value(layer) : absent,
                     depth = (json_int_t)v->depth,
                     run = asked < 0 ? depth + 1 + asked : asked;
    if (run < 0 || run > depth)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: 'vision_feature_layer' is %d, of a tower of %d layers",
                       where, (int)asked, (int)depth);
    v->depth = (size_t)run;
    return TL_OK;
}

/* Absent keys have the defaults of transformers' PixtralVisionConfig. */
static tl_status read_pixtral(const json_t *vision, tl_vision_spec *v, tl_error *err)
{
    *v = (tl_vision_spec){.tower = TL_TOWER_PIXTRAL,
                          .depth = 24,
                          .width = 1024,
                          .n_heads = 16,
                          .d_mlp = 4096,
                          .patch = 16,
                          .temporal_patch = 1,
                          .channels = 3,
                          .merge = 1,
                          .activation = TL_GELU,
                          .rms_norms = true,
                          .gated_mlp = true,
                          .norm_eps = 1e-5f,
                          .rope_theta = 1e4};
    const tl_status status = tl_spec_get_tower(vision, VISION, 1024, v, err);
    return status == TL_OK
               ? tl_spec_get_tower_theta(vision, VISION, &v->rope_theta, err)
               : status;
}

tl_status tl_spec_read_llava_rest(const json_t *config, const json_t *text,
                                  const char *where, bool tied, tl_spec *spec,
                                  tl_error *err)
{
    tl_vision_spec *v = &spec->vision;
    tl_status status;
    v->projector_activation = TL_GELU;
    if ((status = tl_spec_get_activation(config, "projector_hidden_act", where,
                                         &v->projector_activation, err)) != TL_OK ||
        (status = tl_json_get_bool(config, "multimodal_projector_bias", where,
                                   &v->projector_bias, err)) != TL_OK ||
        (status = tl_spec_get_head(config, text, where, tied, spec, err)) != TL_OK ||
        (status = tl_json_get_id(config, "image_token_index", where, &spec->image_token,
                                 err)) != TL_OK)
        return status;
    return tl_json_get_id(config, "image_token_id", where, &spec->image_token, err);
}

tl_status tl_spec_read_llava(const json_t *config, const char *where, tl_spec *spec,
                             tl_error *err)
{
    static const char *const towers[] = {"clip_vision_model", "pixtral"},
                             *const decoders[] = {"llama", "mistral"};
    const json_t *text = NULL, *vision = NULL;
    size_t tower = 0, decoder = 0;
    tl_vision_spec *v = &spec->vision;
    tl_status status =
        tl_spec_get_part(config, where, "vision_config", towers, &vision, &tower, err);
    if (status == TL_OK)
        status = tl_spec_get_part(config, where, "text_config", decoders, &text,
                                  &decoder, err);
    if (status == TL_OK)
        status = tl_spec_read_llama(text, decoder == 1, spec, err);
    if (status == TL_OK)
        status = tower == 1 ? read_pixtral(vision, v, err)
                            : tl_spec_read_vit(vision, VISION, towers[0], v, err);
    if (status == TL_OK)
        status = tl_spec_check_strategy(config, where, "default", v, err);
    if (status == TL_OK)
        status = tl_spec_get_feature_layer(config, where, -2, v, err);
    v->projector = TL_PROJECTOR_LAYERS;
    v->projector_bias = true;
    spec->image_token = 32000;
    return status == TL_OK
               ? tl_spec_read_llava_rest(config, text, where, false, spec, err)
               : status;
}

/* Absent keys have the defaults of transformers' Mistral3Config. */
tl_status tl_spec_read_mistral3(const json_t *config, const char *where, tl_spec *spec,
                                tl_error *err)
{
    static const char *const towers[2] = {"pixtral"}, *const decoders[2] = {"mistral"};
    const json_t *text = NULL, *vision = NULL;
    size_t kind = 0;
    tl_vision_spec *v = &spec->vision;
    tl_status status =
        tl_spec_get_part(config, where, "vision_config", towers, &vision, &kind, err);
    if (status == TL_OK)
        status =
            tl_spec_get_part(config, where, "text_config", decoders, &text, &kind, err);
    if (status == TL_OK)
        status = tl_spec_read_llama(text, true, spec, err);
    if (status == TL_OK)
        status = read_pixtral(vision, v, err);
    if (status == TL_OK)
        status = tl_spec_get_feature_layer(config, where, -1, v, err);
    v->projector = TL_PROJECTOR_MERGED;
    v->projector_eps = spec->norm_eps;
    v->merge = 2;
    spec->image_token = 10;
    const tl_size_field merge = {"spatial_merge_size", &v->merge};
    if (status == TL_OK)
        status = tl_spec_get_sizes(config, where, &merge, 1, err);
    return status == TL_OK
               ? tl_spec_read_llava_rest(config, text, where, true, spec, err)
               : status;
}
