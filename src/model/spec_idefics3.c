/* SPDX-License-Identifier: MIT
 *
 * spec_idefics3.c - the config.json of Idefics3 and of SmolVLM (model/spec.h), which are
 * the same: Llama's decoder behind a SigLIP, squares of whose patches are laid end to end
 * and go through one matrix.
 */
#include <math.h>

#include "model/spec_private.h"

static const char VISION[] = "config.json: vision_config";

/* Border i of 1..n - 1 as torch.arange(1 / n, 1, 1 / n) has it on a processor that takes
 * so many numbers at once: the first of them is rounded, and the others count from it. */
static float border_of(size_t n, size_t i, size_t lanes)
{
    const double step = 1.0 / (double)n, start = step;
    const size_t borders = (size_t)ceil((1.0 - start) / step), k = i - 1,
                 first = k / lanes * lanes;
    return first + lanes <= borders
               ? (float)((double)(float)(start + (double)first * step) +
                         (double)(k - first) * step)
               : (float)(start + (double)k * step);
}

/*
 * transformers looks for a patch's position by its place in the picture, a fraction that is
 * compared with the borders of positions. In a picture without padding patch i is at
 * position i, but where float rounds i * (1 / n) to less than its border it is at i - 1.
 * How borders are rounded is the processor's affair: wanted is that it does not matter.
 */
static bool has_plain_positions(size_t n)
{
    static const size_t lanes[] = {1, 8, 16};
    for (size_t l = 0; l < sizeof lanes / sizeof *lanes; l++)
        for (size_t i = 1; i < n; i++)
            if ((float)i * (1.0f / (float)n) < border_of(n, i, lanes[l]))
                return false;
    return true;
}

/* Absent keys have the defaults of transformers' Idefics3VisionConfig. */
static tl_status read_tower(const json_t *config, const char *where, tl_vision_spec *v,
                            tl_error *err)
{
    const json_t *vision = NULL;
    char inner[TL_WHERE_BYTES];
    *v = (tl_vision_spec){.tower = TL_TOWER_VIT,
                          .depth = 12,
                          .width = 1152,
                          .n_heads = 16,
                          .d_mlp = 3072,
                          .patch = 32,
                          .temporal_patch = 1,
                          .channels = 3,
                          .merge = 2,
                          .activation = TL_GELU_TANH,
                          .final_norm = true,
                          .norm_eps = 1e-6f,
                          .projector = TL_PROJECTOR_CONNECTOR};
    const tl_size_field merge = {"scale_factor", &v->merge};
    tl_status status =
        tl_spec_get_object(config, "vision_config", where, &vision, inner, err);
    if (status == TL_OK)
        status = tl_spec_get_sizes(config, where, &merge, 1, err);
    if (status == TL_OK)
        status = tl_spec_get_tower(vision, VISION, 224, v, err);
    if (status == TL_OK)
        status = tl_spec_get_float(vision, "layer_norm_eps", VISION, &v->norm_eps, err);
    if (status != TL_OK)
        return status;
    if (v->grid % v->merge != 0)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: 'scale_factor' is %zu, wanted a divisor of the %zu patches "
                       "on a side of an image",
                       where, v->merge, v->grid);
    if (!has_plain_positions(v->grid))
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: an image of %zux%zu patches, to some of which transformers "
                       "gives their neighbours' positions, since it rounds to float",
                       VISION, v->grid, v->grid);
    return TL_OK;
}

tl_status tl_spec_read_idefics3(const json_t *config, const char *where, tl_spec *spec,
                                tl_error *err)
{
    static const char *const decoders[2] = {"llama"};
    const json_t *text = NULL;
    size_t kind = 0;
    tl_status status =
        tl_spec_get_part(config, where, "text_config", decoders, &text, &kind, err);
    if (status == TL_OK)
        status = tl_spec_read_llama(text, false, spec, err);
    if (status == TL_OK)
        status = read_tower(config, where, &spec->vision, err);
    spec->image_token = 128257;
    if (status == TL_OK)
        status = tl_spec_get_head(config, text, where, false, spec, err);
    return status == TL_OK ? tl_json_get_id(config, "image_token_id", where,
                                            &spec->image_token, err)
                           : status;
}
