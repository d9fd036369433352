/* SPDX-License-Identifier: MIT
 *
 * spec_llava_next.c - the config.json of LLaVA-NeXT and of LLaVA-OneVision (model/spec.h),
 * which are built as LLaVA and see a picture in tiles: Llama's or Mistral's decoder behind
 * CLIP's tower, and Qwen2's behind SigLIP's.
 */
#include "model/spec_private.h"

static const char VISION[] = "config.json: vision_config";

/* The tower's sizes are those of a tile. */
static tl_status read_tower(const json_t *config, const json_t *vision,
                            const char *where, const char *type, const char *strategy,
                            int feature_layer, tl_vision_spec *v, tl_error *err)
{
    tl_status status = tl_spec_read_vit(vision, VISION, type, v, err);
    if (status == TL_OK)
        status = tl_spec_check_strategy(config, where, strategy, v, err);
    if (status == TL_OK)
        status = tl_spec_get_feature_layer(config, where, feature_layer, v, err);
    v->final_norm = false; /* states of a layer, as they are */
    v->projector = TL_PROJECTOR_LAYERS;
    v->projector_bias = true;
    v->packs = true;
    return status;
}

/* Absent keys have the defaults of transformers' LlavaNextConfig. */
tl_status tl_spec_read_llava_next(const json_t *config, const char *where,
                                  tl_spec *spec, tl_error *err)
{
    static const char *const towers[2] = {"clip_vision_model"}, *const decoders[2] = {
                                                                    "llama", "mistral"};
    const json_t *text = NULL, *vision = NULL;
    size_t tower = 0, decoder = 0;
    tl_status status =
        tl_spec_get_part(config, where, "vision_config", towers, &vision, &tower, err);
    if (status == TL_OK)
        status = tl_spec_get_part(config, where, "text_config", decoders, &text,
                                  &decoder, err);
    if (status == TL_OK)
        status = tl_spec_read_llama(text, decoder == 1, spec, err);
    if (status == TL_OK)
        status = read_tower(config, vision, where, towers[0], "default", -2,
                            &spec->vision, err);
    spec->image_token = 32000;
    return status == TL_OK
               ? tl_spec_read_llava_rest(config, text, where, false, spec, err)
               : status;
}

/* Absent keys have the defaults of transformers' LlavaOnevisionConfig. */
tl_status tl_spec_read_llava_onevision(const json_t *config, const char *where,
                                       tl_spec *spec, tl_error *err)
{
    static const char *const towers[2] = {"siglip_vision_model"}, *const decoders[2] = {
                                                                      "qwen2"};
    const json_t *text = NULL, *vision = NULL;
    size_t kind = 0;
    tl_status status =
        tl_spec_get_part(config, where, "vision_config", towers, &vision, &kind, err);
    if (status == TL_OK)
        status =
            tl_spec_get_part(config, where, "text_config", decoders, &text, &kind, err);
    if (status == TL_OK)
        status = tl_spec_read_qwen2(text, spec, err);
    if (status == TL_OK)
        status = read_tower(config, vision, where, towers[0], "full", -1, &spec->vision,
                            err);
    spec->image_token = 151646;
    return status == TL_OK
               ? tl_spec_read_llava_rest(config, text, where, false, spec, err)
               : status;
}
