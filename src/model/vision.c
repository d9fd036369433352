/* SPDX-License-Identifier: MIT
 * vision.c - see vision.h; the towers are in vision_NAME.c. */
#include "model/vision.h"

#include "model/model_private.h"
#include "model/tower.h"

const tl_tower_kind *tl_tower_get(tl_tower tower)
{
    static const tl_tower_kind *const towers[] = {
        [TL_TOWER_QWEN] = &tl_tower_qwen,
        [TL_TOWER_SIGLIP] = &tl_tower_siglip,
        [TL_TOWER_PIXTRAL] = &tl_tower_pixtral,
    };
    return towers[tower];
}

tl_status tl_vision_features(tl_model *model, const tl_pixels *pixels, tl_arena *arena,
                             float **features, size_t *count, tl_error *err)
{
    if (!model->weights.has_vision)
        return tl_fail(
            err, TL_ERR_NOT_FOUND,
            "%s: there are no weights of a vision tower, and the prompt has an image",
            tl_safetensors_file_path(model->file, 0));
    return tl_tower_get(model->spec.vision.tower)
        ->run(model, pixels, arena, features, count, err);
}
