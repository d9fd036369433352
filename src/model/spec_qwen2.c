/* SPDX-License-Identifier: MIT
 * spec_qwen2.c - the text_config of a Qwen2 (model/spec.h). */
#include "model/spec_private.h"

/* Absent keys have the defaults of transformers' Qwen2Config. */
tl_status tl_spec_read_qwen2(const json_t *text, tl_spec *spec, tl_error *err)
{
    static const char where[] = "config.json: text_config";
    tl_dims *d = &spec->dims;
    *d = (tl_dims){.n_layers = 32,
                   .d_model = 4096,
                   .n_heads = 32,
                   .d_mlp = 22016,
                   .n_vocab = 151936};
    tl_status status = tl_spec_get_dims(text, where, 32, d, err);
    if (status != TL_OK)
        return status;
    d->d_head = d->d_model / d->n_heads;
    const tl_size_field head = {"head_dim", &d->d_head};
    spec->norm_eps = 1e-6f;
    spec->activation = TL_SILU;
    spec->rope = (tl_rope_spec){.theta = 1e4, .factor = 1.0};
    spec->embed_scale = 1.0f;
    spec->qkv_bias = true;
    if ((status = tl_spec_get_sizes(text, where, &head, 1, err)) != TL_OK ||
        (status = tl_spec_get_float(text, "rms_norm_eps", where, &spec->norm_eps,
                                    err)) != TL_OK ||
        (status = tl_spec_get_activation(text, "hidden_act", where, &spec->activation,
                                         err)) != TL_OK ||
        (status = tl_spec_get_rope(text, where, &spec->rope, err)) != TL_OK)
        return status;
    return tl_spec_refuse_sliding(text, where, 28, d->n_layers, err);
}
