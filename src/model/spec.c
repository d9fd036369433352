/* SPDX-License-Identifier: MIT
 * spec.c - see spec.h. One function per family turns a config.json into a spec. */
#include "model/spec.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

static const struct {
    const char *name;
    tl_activation kind;
} activations[] = {
    {"silu", TL_SILU},
    {"swish", TL_SILU},
    {"gelu", TL_GELU},
    {"gelu_pytorch_tanh", TL_GELU_TANH},
    {"quick_gelu", TL_QUICK_GELU},
};

static tl_status get_activation(const json_t *object, const char *key,
                                const char *where, tl_activation *out, tl_error *err)
{
    const char *name = NULL;
    const tl_status status = tl_json_get_string(object, key, where, &name, err);
    if (status != TL_OK || name == NULL)
        return status;
    for (size_t i = 0; i < sizeof activations / sizeof activations[0]; i++) {
        if (strcmp(name, activations[i].name) == 0) {
            *out = activations[i].kind;
            return TL_OK;
        }
    }
    return tl_fail(
        err, TL_ERR_UNSUPPORTED,
        "%s: '%s' is '%s', known are silu, gelu, gelu_pytorch_tanh, quick_gelu", where,
        key, name);
}

static tl_status get_float(const json_t *object, const char *key, const char *where,
                           float *out, tl_error *err)
{
    double value = (double)*out;
    const tl_status status = tl_json_get_double(object, key, where, &value, err);
    if (status == TL_OK)
        *out = (float)value;
    return status;
}

/* The rows of the tables below: which key fills which field. */
typedef struct size_field {
    const char *key;
    size_t *out;
} size_field;

static tl_status get_sizes(const json_t *object, const char *where,
                           const size_field *fields, size_t count, tl_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const tl_status status =
            tl_json_get_size(object, fields[i].key, where, fields[i].out, err);
        if (status != TL_OK)
            return status;
        if (*fields[i].out == 0)
            return tl_fail(err, TL_ERR_FORMAT, "%s: '%s' is 0, wanted at least 1",
                           where, fields[i].key);
    }
    return TL_OK;
}

/* A key that must be absent, null or false: nothing here does what it asks for. */
static tl_status refuse_if_set(const json_t *object, const char *key, const char *where,
                               tl_error *err)
{
    const json_t *value = json_object_get(object, key);
    if (value == NULL || json_is_null(value) || json_is_false(value))
        return TL_OK;
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    const tl_status status =
        tl_fail(err, TL_ERR_UNSUPPORTED, "%s: '%s' is %.200s, which cannot be honoured",
                where, key, text != NULL ? text : "set");
    free(text);
    return status;
}

/* rope_scaling of type "mrope", or "default" with mrope_section: both M-RoPE. */
static tl_status get_mrope(const json_t *text, const char *where, tl_rope_spec *rope,
                           tl_error *err)
{
    const json_t *scaling = json_object_get(text, "rope_scaling");
    if (!json_is_object(scaling)) /* newer files move it, theta included */
        scaling = json_object_get(text, "rope_parameters");
    if (!json_is_object(scaling))
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: no 'rope_scaling' object, wanted one with 'mrope_section'",
                       where);
    const char *type = NULL, *type_key = "rope_type";
    tl_status status = tl_json_get_string(scaling, "rope_type", where, &type, err);
    if (status == TL_OK && type == NULL) {
        type_key = "type";
        status = tl_json_get_string(scaling, "type", where, &type, err);
    }
    if (status == TL_OK)
        status = tl_json_get_double(scaling, "rope_theta", where, &rope->theta, err);
    if (status != TL_OK)
        return status;
    if (type != NULL && strcmp(type, "mrope") != 0 && strcmp(type, "default") != 0)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: 'rope_scaling.%s' is '%s', known are mrope and default",
                       where, type_key, type);
    const json_t *sections = json_object_get(scaling, "mrope_section");
    if (!json_is_array(sections) || json_array_size(sections) != 3)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: 'rope_scaling.mrope_section' is not a list of 3 integers",
                       where);
    for (size_t i = 0; i < 3; i++) {
        const json_t *n = json_array_get(sections, i);
        if (!json_is_integer(n) || json_integer_value(n) < 0 ||
            json_integer_value(n) > 4096)
            return tl_fail(
                err, TL_ERR_FORMAT,
                "%s: 'rope_scaling.mrope_section' is not a list of 3 integers", where);
        rope->sections[i] = (size_t)json_integer_value(n);
    }
    return TL_OK;
}

static tl_status read_qwen2_vl(const json_t *config, const char *where, tl_spec *spec,
                               tl_error *err)
{
    /* The decoder's keys lie at the top, or, since transformers 4.52, in text_config. */
    const json_t *text = json_object_get(config, "text_config");
    if (!json_is_object(text))
        text = config;

    tl_dims *d = &spec->dims;
    *d = (tl_dims){.n_layers = 80,
                   .d_model = 8192,
                   .n_heads = 64,
                   .n_kv_heads = 0,
                   .d_mlp = 29568,
                   .n_vocab = 152064};
    const size_field decoder[] = {
        {"num_hidden_layers", &d->n_layers},  {"hidden_size", &d->d_model},
        {"num_attention_heads", &d->n_heads}, {"intermediate_size", &d->d_mlp},
        {"vocab_size", &d->n_vocab},
    };
    tl_status status =
        get_sizes(text, where, decoder, sizeof decoder / sizeof decoder[0], err);
    if (status != TL_OK)
        return status;
    /* Absent: 8; null: one per query head. */
    const json_t *kv = json_object_get(text, "num_key_value_heads");
    d->n_kv_heads = kv == NULL ? 8 : d->n_heads;
    const size_field kv_field = {"num_key_value_heads", &d->n_kv_heads};
    if ((status = get_sizes(text, where, &kv_field, 1, err)) != TL_OK)
        return status;
    d->d_head = d->d_model / d->n_heads;

    spec->norm_eps = 1e-5f;
    spec->activation = TL_SILU;
    spec->rope = (tl_rope_spec){.theta = 1e6, .factor = 1.0};
    spec->embed_scale = 1.0f;
    spec->qkv_bias = true;
    spec->image_token = 151655;
    spec->vision_start_token = 151652;
    if ((status = get_float(text, "rms_norm_eps", where, &spec->norm_eps, err)) !=
            TL_OK ||
        (status = get_activation(text, "hidden_act", where, &spec->activation, err)) !=
            TL_OK ||
        (status = tl_json_get_double(text, "rope_theta", where, &spec->rope.theta,
                                     err)) != TL_OK ||
        (status = get_mrope(text, where, &spec->rope, err)) != TL_OK ||
        (status = tl_json_get_bool(text, "tie_word_embeddings", where, &spec->tied_head,
                                   err)) != TL_OK ||
        (status = tl_json_get_bool(config, "tie_word_embeddings", where,
                                   &spec->tied_head, err)) != TL_OK ||
        (status = tl_json_get_id(config, "image_token_id", where, &spec->image_token,
                                 err)) != TL_OK ||
        (status = tl_json_get_id(config, "vision_start_token_id", where,
                                 &spec->vision_start_token, err)) != TL_OK ||
        (status = refuse_if_set(text, "use_sliding_window", where, err)) != TL_OK)
        return status;

    tl_vision_spec *v = &spec->vision;
    *v = (tl_vision_spec){.tower = TL_TOWER_QWEN2_VL,
                          .depth = 32,
                          .width = 1280,
                          .n_heads = 16,
                          .patch = 14,
                          .temporal_patch = 2,
                          .channels = 3,
                          .merge = 2,
                          .activation = TL_QUICK_GELU,
                          .norm_eps = 1e-6f,
                          .rope_theta = 1e4};
    const json_t *vision = json_object_get(config, "vision_config");
    if (vision != NULL && !json_is_object(vision))
        return tl_fail(err, TL_ERR_FORMAT, "%s: 'vision_config' is not an object",
                       where);
    double mlp_ratio = 4.0;
    size_t out_width = 3584;
    const size_field tower[] = {
        {"depth", &v->depth},
        {"embed_dim", &v->width},
        {"num_heads", &v->n_heads},
        {"patch_size", &v->patch},
        {"temporal_patch_size", &v->temporal_patch},
        {"in_channels", &v->channels},
        {"spatial_merge_size", &v->merge},
        {"hidden_size", &out_width},
    };
    if ((status = get_sizes(vision, "config.json: vision_config", tower,
                            sizeof tower / sizeof tower[0], err)) != TL_OK ||
        (status = get_activation(vision, "hidden_act", "config.json: vision_config",
                                 &v->activation, err)) != TL_OK ||
        (status = tl_json_get_double(vision, "mlp_ratio", "config.json: vision_config",
                                     &mlp_ratio, err)) != TL_OK)
        return status;
    if (!(mlp_ratio > 0.0 && mlp_ratio < 1000.0))
        return tl_fail(err, TL_ERR_FORMAT, "%s: 'vision_config.mlp_ratio' is %g", where,
                       mlp_ratio);
    v->d_mlp = (size_t)((double)v->width * mlp_ratio);
    if (out_width != d->d_model)
        return tl_fail(
            err, TL_ERR_FORMAT,
            "%s: 'vision_config.hidden_size' is %zu, wanted the decoder's %zu", where,
            out_width, d->d_model);
    return TL_OK;
}

static const struct family {
    const char *model_type;
    tl_status (*read)(const json_t *config, const char *where, tl_spec *spec,
                      tl_error *err);
} families[] = {
    {"qwen2_vl", read_qwen2_vl},
};
enum { FAMILY_COUNT = sizeof families / sizeof families[0] };

/* What has to hold between the numbers, whatever the family. */
static tl_status check(const tl_spec *spec, const char *where, tl_error *err)
{
    const tl_dims *d = &spec->dims;
    if (d->d_head == 0 || d->d_head % 2 != 0)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: head size is %zu, wanted an even number", where, d->d_head);
    if (d->n_heads % d->n_kv_heads != 0)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: %zu query heads cannot share %zu key-value heads evenly",
                       where, d->n_heads, d->n_kv_heads);
    const size_t *s = spec->rope.sections;
    const size_t total = s[0] + s[1] + s[2];
    if (total != 0 && total != d->d_head / 2)
        return tl_fail(
            err, TL_ERR_FORMAT,
            "%s: 'mrope_section' %zu+%zu+%zu is %zu, wanted half the head size, %zu",
            where, s[0], s[1], s[2], total, d->d_head / 2);
    const tl_vision_spec *v = &spec->vision;
    if (v->width % v->n_heads != 0 || v->width / v->n_heads % 4 != 0)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: a vision width of %zu cannot be split into %zu heads of a "
                       "multiple of 4",
                       where, v->width, v->n_heads);
    if (!(spec->rope.theta > 0.0) || !(spec->norm_eps >= 0.0f))
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: rope_theta %g or norm eps %g is not usable", where,
                       spec->rope.theta, (double)spec->norm_eps);
    return TL_OK;
}

tl_status tl_spec_read(const char *folder, tl_spec *out, tl_error *err)
{
    tl_status status = TL_OK;
    json_t *config = NULL;
    tl_arena *arena = tl_arena_create();
    const char *where =
        arena != NULL ? tl_path_join(arena, folder, "config.json") : NULL;
    if (where == NULL) {
        status = tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", folder);
        goto done;
    }
    if ((status = tl_json_read(where, &config, err)) != TL_OK)
        goto done;

    tl_spec spec = {0};
    const char *type = NULL;
    if ((status = tl_json_get_string(config, "model_type", where, &type, err)) != TL_OK)
        goto done;
    const struct family *family = NULL;
    for (size_t i = 0; type != NULL && i < FAMILY_COUNT; i++)
        if (strcmp(type, families[i].model_type) == 0)
            family = &families[i];
    if (family == NULL) {
        status =
            tl_fail(err, TL_ERR_UNSUPPORTED, "%s: 'model_type' is %s%s%s, known is %s",
                    where, type != NULL ? "'" : "", type != NULL ? type : "missing",
                    type != NULL ? "'" : "", families[0].model_type);
        goto done;
    }
    snprintf(spec.family, sizeof spec.family, "%s", type);
    if ((status = refuse_if_set(config, "quantization_config", where, err)) != TL_OK ||
        (status = family->read(config, where, &spec, err)) != TL_OK)
        goto done;
    if (spec.attention_scale == 0.0f)
        spec.attention_scale = (float)(1.0 / sqrt((double)spec.dims.d_head));
    if ((status = check(&spec, where, err)) == TL_OK)
        *out = spec;
done:
    json_decref(config);
    tl_arena_destroy(arena);
    return status;
}

bool tl_spec_is_sliding(const tl_spec *spec, size_t layer)
{
    return spec->window > 0 &&
           (spec->global_every == 0 || (layer + 1) % spec->global_every != 0);
}
