/* SPDX-License-Identifier: MIT
 * spec_vit.c - the vision_config of a SigLIP or a CLIP (model/spec.h). */
#include <string.h>

#include "model/spec_private.h"

/* Absent keys have the defaults of transformers' classes. */
static const struct defaults {
    const char *type;
    size_t patch;
    tl_activation activation;
    float norm_eps;
    bool is_clip;
} known[] = {
    {"siglip_vision_model", 16, TL_GELU_TANH, 1e-6f, false},
    {"clip_vision_model", 32, TL_QUICK_GELU, 1e-5f, true},
};

tl_status tl_spec_read_vit(const json_t *vision, const char *where, const char *type,
                           tl_vision_spec *v, tl_error *err)
{
    const char *said = type;
    tl_status status = tl_json_get_string(vision, "model_type", where, &said, err);
    if (status == TL_OK && strcmp(said, type) != 0)
        status = tl_fail(err, TL_ERR_UNSUPPORTED,
                         "%s: 'model_type' is '%s', known is %s", where, said, type);
    if (status != TL_OK)
        return status;
    const struct defaults *d = &known[strcmp(type, known[1].type) == 0];
    *v = (tl_vision_spec){.tower = TL_TOWER_VIT,
                          .depth = 12,
                          .width = 768,
                          .n_heads = 12,
                          .d_mlp = 3072,
                          .patch = d->patch,
                          .temporal_patch = 1,
                          .channels = 3,
                          .merge = 1,
                          .activation = d->activation,
                          .class_row = d->is_clip,
                          .final_norm = !d->is_clip,
                          .norm_eps = d->norm_eps};
    status = tl_spec_get_tower(vision, where, 224, v, err);
    return status == TL_OK
               ? tl_spec_get_float(vision, "layer_norm_eps", where, &v->norm_eps, err)
               : status;
}

tl_status tl_spec_set_grid(size_t image, const char *where, tl_vision_spec *v,
                           tl_error *err)
{
    enum { MOST = 16384 }; /* far more than any model has; its square stays in range */
    if (v->patch == 0 || image < v->patch)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: 'image_size' is %zu, wanted at least the 'patch_size' of "
                       "%zu, and that above 0",
                       where, image, v->patch);
    if (image / v->patch > MOST)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: an image of %zu patches a side, at most %d are supported",
                       where, image / v->patch, MOST);
    v->grid = image / v->patch;
    return TL_OK;
}

tl_status tl_spec_get_tower(const json_t *vision, const char *where, size_t image,
                            tl_vision_spec *v, tl_error *err)
{
    const tl_size_field fields[] = {
        {"num_hidden_layers", &v->depth},
        {"hidden_size", &v->width},
        {"num_attention_heads", &v->n_heads},
        {"intermediate_size", &v->d_mlp},
        {"patch_size", &v->patch},
        {"num_channels", &v->channels},
        {"image_size", &image},
    };
    tl_status status =
        tl_spec_get_sizes(vision, where, fields, sizeof fields / sizeof *fields, err);
    if (status == TL_OK)
        status =
            tl_spec_get_activation(vision, "hidden_act", where, &v->activation, err);
    if (status != TL_OK)
        return status;
    return tl_spec_set_grid(image, where, v, err);
}
