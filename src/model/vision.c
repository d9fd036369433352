/* SPDX-License-Identifier: MIT
 * vision.c - see vision.h; the towers are in vision_NAME.c. */
#include "model/vision.h"

#include <string.h>

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

void tl_tower_cut_patches(const tl_vision_spec *v, const tl_pixels *pixels, float *out)
{
    const size_t height = pixels->dims[2], width = pixels->dims[3];
    for (size_t row = 0; row < height / v->patch; row++)
        for (size_t column = 0; column < width / v->patch; column++)
            for (size_t c = 0; c < v->channels; c++)
                for (size_t y = 0; y < v->patch; y++, out += v->patch)
                    memcpy(out,
                           pixels->values + (c * height + row * v->patch + y) * width +
                               column * v->patch,
                           v->patch * sizeof *out);
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
