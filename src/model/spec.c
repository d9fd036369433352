/* SPDX-License-Identifier: MIT
 * spec.c - see spec.h. What families share; spec_NAME.c turns a config.json into a spec. */
#include "model/spec_private.h"

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

tl_status tl_spec_get_activation(const json_t *object, const char *key,
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

tl_status tl_spec_get_float(const json_t *object, const char *key, const char *where,
                            float *out, tl_error *err)
{
    double value = (double)*out;
    const tl_status status = tl_json_get_double(object, key, where, &value, err);
    if (status == TL_OK)
        *out = (float)value;
    return status;
}

tl_status tl_spec_get_positive(const json_t *object, const char *key, const char *where,
                               float *out, tl_error *err)
{
    const json_t *value = json_object_get(object, key);
    const tl_status status = tl_spec_get_float(object, key, where, out, err);
    if (status == TL_OK && json_is_number(value) && !(*out > 0.0f))
        return tl_fail(err, TL_ERR_FORMAT, "%s: '%s' is %g, wanted one above 0", where,
                       key, json_number_value(value));
    return status;
}

tl_status tl_spec_get_object(const json_t *object, const char *key, const char *where,
                             const json_t **out, char inner[TL_WHERE_BYTES],
                             tl_error *err)
{
    const json_t *value = json_object_get(object, key);
    snprintf(inner, TL_WHERE_BYTES, "%s: %s", where, key);
    if (json_is_null(value))
        value = NULL;
    if (value != NULL && !json_is_object(value))
        return tl_fail(err, TL_ERR_FORMAT, "%s: '%s' is not an object", where, key);
    *out = value;
    return TL_OK;
}

tl_status tl_spec_get_tied_head(const json_t *config, const json_t *text,
                                const char *where, bool absent, bool text_decides,
                                bool *tied, tl_error *err)
{
    *tied = absent;
    tl_status status = tl_json_get_bool(text, "tie_word_embeddings", where, tied, err);
    bool outside = *tied;
    if (status == TL_OK)
        status = tl_json_get_bool(config, "tie_word_embeddings", where, &outside, err);
    if (status == TL_OK && outside != *tied && !(text_decides && *tied))
        status = tl_fail(err, TL_ERR_UNSUPPORTED,
                         "%s: 'tie_word_embeddings' is %s, and %s in 'text_config'",
                         where, outside ? "true" : "false", *tied ? "true" : "false");
    return status;
}

tl_status tl_spec_get_head(const json_t *config, const json_t *text, const char *where,
                           bool absent, tl_spec *spec, tl_error *err)
{
    static const char key[] = "tie_word_embeddings";
    bool inside = false, outside = absent;
    tl_status status = tl_json_get_bool(text, key, where, &inside, err);
    if (status == TL_OK)
        status = tl_json_get_bool(config, key, where, &outside, err);
    const bool is_said = json_is_true(json_object_get(config, key)) &&
                         !json_is_false(json_object_get(text, key));
    spec->tied_head = inside || is_said;
    spec->head_decides = outside && !inside;
    return status;
}

tl_status tl_spec_get_sizes(const json_t *object, const char *where,
                            const tl_size_field *fields, size_t count, tl_error *err)
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

tl_status tl_spec_get_dims(const json_t *text, const char *where, size_t groups,
                           tl_dims *d, tl_error *err)
{
    const tl_size_field sizes[] = {
        {"num_hidden_layers", &d->n_layers},  {"hidden_size", &d->d_model},
        {"num_attention_heads", &d->n_heads}, {"intermediate_size", &d->d_mlp},
        {"vocab_size", &d->n_vocab},
    };
    const tl_status status =
        tl_spec_get_sizes(text, where, sizes, sizeof sizes / sizeof *sizes, err);
    if (status != TL_OK)
        return status;
    const tl_size_field kv = {"num_key_value_heads", &d->n_kv_heads};
    const bool is_there = json_object_get(text, kv.key) != NULL;
    d->n_kv_heads = is_there || groups == 0 ? d->n_heads : groups;
    return tl_spec_get_sizes(text, where, &kv, 1, err);
}

tl_status tl_spec_refuse_if_set(const json_t *object, const char *key,
                                const char *where, tl_error *err)
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

/* What Llama-3's scaling has beside the factor; none of it has a default. */
static tl_status get_llama3(const json_t *scaling, const char *where,
                            tl_rope_spec *rope, tl_error *err)
{
    double low = 0.0, high = 0.0, context = 0.0;
    const struct {
        const char *key;
        double *out;
    } fields[] = {{"low_freq_factor", &low},
                  {"high_freq_factor", &high},
                  {"original_max_position_embeddings", &context}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const tl_status status =
            tl_json_get_double(scaling, fields[i].key, where, fields[i].out, err);
        if (status != TL_OK)
            return status;
        if (!(*fields[i].out > 0.0))
            return tl_fail(err, TL_ERR_FORMAT, "%s: '%s' is %g, wanted one above 0",
                           where, fields[i].key, *fields[i].out);
    }
    if (!(high > low))
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: 'high_freq_factor' is %g, wanted more than the "
                       "'low_freq_factor' of %g",
                       where, high, low);
    rope->context = context;
    rope->low = low;
    rope->high = high;
    return TL_OK;
}

tl_status tl_spec_get_scaling(const json_t *scaling, const char *where,
                              tl_rope_spec *rope, tl_error *err)
{
    const char *type = NULL, *key = "rope_type";
    tl_status status = tl_json_get_string(scaling, key, where, &type, err);
    if (status == TL_OK && type == NULL) {
        key = "type";
        status = tl_json_get_string(scaling, key, where, &type, err);
    }
    if (status != TL_OK)
        return status;
    if (type == NULL)
        return tl_fail(err, TL_ERR_FORMAT, "%s: no 'rope_type'", where);
    if (strcmp(type, "default") == 0)
        return TL_OK;
    const bool is_llama3 = strcmp(type, "llama3") == 0;
    if (strcmp(type, "linear") != 0 && !is_llama3)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: '%s' is '%s', known are linear, llama3 and default", where,
                       key, type);
    double factor = 0.0;
    status = tl_json_get_double(scaling, "factor", where, &factor, err);
    if (status == TL_OK && !(factor > 0.0))
        status = tl_fail(err, TL_ERR_FORMAT, "%s: 'factor' is %g, wanted one above 0",
                         where, factor);
    if (status == TL_OK && is_llama3)
        status = get_llama3(scaling, where, rope, err);
    if (status == TL_OK)
        rope->factor = factor;
    return status;
}

tl_status tl_spec_get_rope_object(const json_t *text, const char *where,
                                  const json_t **out, char inner[TL_WHERE_BYTES],
                                  tl_error *err)
{
    const tl_status status =
        tl_spec_get_object(text, "rope_scaling", where, out, inner, err);
    return status == TL_OK && json_object_size(*out) == 0
               ? tl_spec_get_object(text, "rope_parameters", where, out, inner, err)
               : status;
}

/* Whether the base grows with the prompt: 'rope_type', or 'type' if that is absent. */
static bool is_dynamic(const json_t *object)
{
    const json_t *type = json_object_get(object, "rope_type");
    if (!json_is_string(type))
        type = json_object_get(object, "type");
    return json_is_string(type) && strcmp(json_string_value(type), "dynamic") == 0;
}

static tl_status get_dynamic(const json_t *text, const json_t *object,
                             const char *where, tl_rope_spec *rope, tl_error *err)
{
    static const char key[] = "max_position_embeddings";
    double factor = 0.0;
    size_t plain = 0;
    tl_status status = tl_json_get_double(object, "factor", where, &factor, err);
    if (status == TL_OK)
        status = tl_json_get_size(text, key, "config.json", &plain, err);
    if (status == TL_OK && plain == 0)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: its type is 'dynamic', which wants '%s' above 0", where,
                       key);
    if (status == TL_OK && !(factor > 0.0))
        return tl_fail(err, TL_ERR_FORMAT, "%s: 'factor' is %g, wanted one above 0",
                       where, factor);
    if (status == TL_OK) {
        rope->growth = factor;
        rope->n_plain = plain;
    }
    return status;
}

tl_status tl_spec_get_rope(const json_t *text, const char *where, tl_rope_spec *rope,
                           tl_error *err)
{
    const json_t *object = NULL;
    char inner[TL_WHERE_BYTES];
    tl_status status = tl_json_get_double(text, "rope_theta", where, &rope->theta, err);
    if (status == TL_OK)
        status = tl_spec_get_rope_object(text, where, &object, inner, err);
    if (status != TL_OK || object == NULL)
        return status;
    status = tl_json_get_double(object, "rope_theta", inner, &rope->theta, err);
    if (status == TL_OK && is_dynamic(object))
        return get_dynamic(text, object, inner, rope, err);
    return status == TL_OK ? tl_spec_get_scaling(object, inner, rope, err) : status;
}

tl_status tl_spec_get_tower_theta(const json_t *vision, const char *where,
                                  double *theta, tl_error *err)
{
    const json_t *object = NULL;
    const char *type = "axial";
    char inner[TL_WHERE_BYTES];
    tl_status status = tl_json_get_double(vision, "rope_theta", where, theta, err);
    if (status == TL_OK)
        status =
            tl_spec_get_object(vision, "rope_parameters", where, &object, inner, err);
    if (status == TL_OK)
        status = tl_json_get_double(object, "rope_theta", inner, theta, err);
    if (status == TL_OK)
        status = tl_json_get_string(object, "rope_type", inner, &type, err);
    if (status == TL_OK && strcmp(type, "axial") != 0 && strcmp(type, "default") != 0)
        status = tl_fail(err, TL_ERR_UNSUPPORTED,
                         "%s: 'rope_type' is '%s', known are axial and default", inner,
                         type);
    if (status == TL_OK && !(*theta > 0.0))
        status = tl_fail(err, TL_ERR_FORMAT,
                         "%s: 'rope_theta' is %g, wanted one above 0", where, *theta);
    return status;
}

static const struct family {
    const char *model_type;
    tl_spec_reader *read;
} families[] = {
    {"qwen2_vl", tl_spec_read_qwen2_vl},
    {"qwen2_5_vl", tl_spec_read_qwen2_5_vl},
    {"qwen3_vl", tl_spec_read_qwen3_vl},
    {"gemma3", tl_spec_read_gemma3},
    {"paligemma", tl_spec_read_paligemma},
    {"llava", tl_spec_read_llava},
    {"mistral3", tl_spec_read_mistral3},
    {"llava_next", tl_spec_read_llava_next},
    {"llava_onevision", tl_spec_read_llava_onevision},
    {"internvl", tl_spec_read_internvl},
    {"idefics3", tl_spec_read_idefics3},
    {"smolvlm", tl_spec_read_idefics3},
};
enum { FAMILY_COUNT = sizeof families / sizeof families[0] };

/* What is known not to fit, for reasons that its reader gives. */
static const struct family unfit[] = {{"gemma4", tl_spec_refuse_gemma4},
                                      {"gemma4_unified", tl_spec_refuse_gemma4}};
enum { UNFIT_COUNT = sizeof unfit / sizeof unfit[0] };

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
    if (v->depth > TL_TOWER_LAYERS)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: a vision tower of %zu layers, at most %d are supported",
                       where, v->depth, (int)TL_TOWER_LAYERS);
    if (v->n_deep >= d->n_layers)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: features of %zu layers of the tower, wanted fewer than the "
                       "decoder's %zu layers",
                       where, v->n_deep, d->n_layers);
    const size_t multiple = v->rope_theta > 0.0 ? 4 : 1; /* rotary in two dimensions */
    if (v->width % v->n_heads != 0 || v->width / v->n_heads % multiple != 0)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: a vision width of %zu cannot be split into %zu heads of a "
                       "multiple of %zu",
                       where, v->width, v->n_heads, multiple);
    const tl_rope_spec *sliding = spec->window > 0 ? &spec->rope_sliding : &spec->rope;
    if (!(spec->rope.theta > 0.0) || !(sliding->theta > 0.0) ||
        !(spec->norm_eps >= 0.0f))
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: rope_theta %g, %g in sliding layers, or norm eps %g is not "
                       "usable",
                       where, spec->rope.theta, sliding->theta, (double)spec->norm_eps);
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
    for (size_t i = 0; type != NULL && i < UNFIT_COUNT; i++)
        if (strcmp(type, unfit[i].model_type) == 0)
            family = &unfit[i];
    if (family == NULL) {
        char known[256] = "";
        for (size_t i = 0; i < FAMILY_COUNT; i++) {
            const size_t used = strlen(known);
            snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "",
                     families[i].model_type);
        }
        status =
            tl_fail(err, TL_ERR_UNSUPPORTED, "%s: 'model_type' is %s%s%s, known: %s",
                    where, type != NULL ? "'" : "", type != NULL ? type : "missing",
                    type != NULL ? "'" : "", known);
        goto done;
    }
    snprintf(spec.family, sizeof spec.family, "%s", type);
    if ((status = tl_spec_refuse_if_set(config, "quantization_config", where, err)) !=
            TL_OK ||
        (status = family->read(config, where, &spec, err)) != TL_OK)
        goto done;
    spec.vision.d_model = spec.dims.d_model;
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
