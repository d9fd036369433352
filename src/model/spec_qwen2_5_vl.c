/* SPDX-License-Identifier: MIT
 *
 * spec_qwen2_5_vl.c - Qwen2.5-VL's config.json (model/spec.h): Qwen2-VL's decoder behind
 * a tower of its own.
 */
#include "model/spec_private.h"

/* Layers that see the whole image; the others see their window. */
static tl_status get_full_layers(const json_t *vision, tl_vision_spec *v, tl_error *err)
{
    static const char where[] = "config.json: vision_config";
    const json_t *list = json_object_get(vision, "fullatt_block_indexes");
    const size_t defaults[] = {7, 15, 23, 31};
    if (list != NULL && !json_is_array(list))
        return tl_fail(err, TL_ERR_FORMAT, "%s: 'fullatt_block_indexes' is not a list",
                       where);
    const size_t n = list != NULL ? json_array_size(list) : 4;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        const json_int_t layer =
            list != NULL ? json_integer_value(item) : (json_int_t)defaults[i];
        if ((list != NULL && !json_is_integer(item)) || layer < 0 ||
            layer >= TL_TOWER_LAYERS)
            return tl_fail(err, TL_ERR_FORMAT,
                           "%s: 'fullatt_block_indexes' has an item that is no layer "
                           "below %d",
                           where, (int)TL_TOWER_LAYERS);
        v->sees_all[layer] = true;
    }
    return TL_OK;
}

tl_status tl_spec_get_qwen_tower(const json_t *vision, const char *where,
                                 tl_vision_spec *v, size_t *out_width, tl_error *err)
{
    const tl_size_field sizes[] = {
        {"depth", &v->depth},
        {"hidden_size", &v->width},
        {"intermediate_size", &v->d_mlp},
        {"num_heads", &v->n_heads},
        {"patch_size", &v->patch},
        {"temporal_patch_size", &v->temporal_patch},
        {"in_channels", &v->channels},
        {"spatial_merge_size", &v->merge},
        {"out_hidden_size", out_width},
    };
    tl_status status =
        tl_spec_get_sizes(vision, where, sizes, sizeof sizes / sizeof *sizes, err);
    if (status == TL_OK)
        status =
            tl_spec_get_activation(vision, "hidden_act", where, &v->activation, err);
    return status == TL_OK ? tl_spec_get_tower_theta(vision, where, &v->rope_theta, err)
                           : status;
}

tl_status tl_spec_read_qwen2_5_vl(const json_t *config, const char *where,
                                  tl_spec *spec, tl_error *err)
{
    tl_vision_spec *v = &spec->vision;
    const json_t *vision = json_object_get(config, "vision_config");
    tl_status status = tl_spec_read_qwen2_decoder(config, where, spec, err);
    if (status != TL_OK)
        return status;
    if (vision != NULL && !json_is_object(vision))
        return tl_fail(err, TL_ERR_FORMAT, "%s: 'vision_config' is not an object",
                       where);
    *v = (tl_vision_spec){.tower = TL_TOWER_QWEN,
                          .depth = 32,
                          .width = 3584,
                          .n_heads = 16,
                          .d_mlp = 3420,
                          .patch = 14,
                          .temporal_patch = 2,
                          .channels = 3,
                          .merge = 2,
                          .window = 112,
                          .activation = TL_SILU,
                          .rms_norms = true,
                          .gated_mlp = true,
                          .norm_eps = 1e-6f,
                          .rope_theta = 1e4};
    size_t out_width = 3584;
    const tl_size_field window = {"window_size", &v->window};
    status = tl_spec_get_qwen_tower(vision, "config.json: vision_config", v, &out_width,
                                    err);
    if (status == TL_OK)
        status =
            tl_spec_get_sizes(vision, "config.json: vision_config", &window, 1, err);
    if (status == TL_OK)
        status = get_full_layers(vision, v, err);
    if (status == TL_OK && v->window / v->merge / v->patch == 0)
        status = tl_fail(err, TL_ERR_FORMAT,
                         "%s: 'vision_config.window_size' is %zu, wanted at least one "
                         "merged patch, %zu",
                         where, v->window, v->merge * v->patch);
    return status == TL_OK
               ? tl_spec_check_features(where, "out_hidden_size", out_width, spec, err)
               : status;
}
