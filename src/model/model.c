/* SPDX-License-Identifier: MIT
 * model.c - see include/twinlens/model.h: opening a folder, assembling inputs. */
#include "twinlens/model.h"

#include <stdio.h>
#include <string.h>

#include "backend/backends.h"
#include "base/file.h"
#include "base/sized.h"
#include "model/model_private.h"
#include "model/rope.h"
#include "twinlens/alloc.h"
#include "twinlens/log.h"
#include "vision/vision.h"

/* peft puts `.base_layer` behind the names of layers that an adapter changes, and once did
 * not; such folders are saved without its own adapter_config.json. */
static tl_status check_adapters(const tl_safetensors *file, tl_error *err)
{
    const char *path = tl_safetensors_file_path(file, 0), *beside = NULL;
    for (size_t i = 0; i < tl_safetensors_count(file); i++) {
        const char *name = tl_safetensors_name(file, i);
        if (strstr(name, ".base_layer.") != NULL)
            return tl_fail(err, TL_ERR_UNSUPPORTED,
                           "%s: '%s' is of a layer with an adapter that is not merged "
                           "into it; wanted the model as it is saved after merging "
                           "(merge_and_unload() of peft)",
                           path, name);
        if (strstr(name, ".lora_A.") != NULL && beside == NULL)
            beside = name;
    }
    if (beside != NULL)
        tl_log(TL_LOG_WARNING,
               "%s: the adapter of '%s' is not applied; merge it into the weights to "
               "have it in the model",
               path, beside);
    return TL_OK;
}

/* A model of which only the configuration was read. */
static tl_status read_config(const char *path, tl_model **out, const char **folder,
                             tl_error *err)
{
    tl_model *model = tl_alloc_zero(1, sizeof *model);
    if (model == NULL || (model->arena = tl_arena_create()) == NULL) {
        tl_model_close(model);
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a model");
    }
    tl_status status = tl_model_folder(path, model->arena, folder, err);
    if (status == TL_OK)
        status = tl_spec_read(*folder, &model->spec, err);
    if (status == TL_OK)
        *out = model;
    else
        tl_model_close(model);
    return status;
}

/* Whether the backend can compute with it. */
static tl_status check_precision(const tl_backend *b, tl_precision precision,
                                 tl_error *err)
{
    if ((unsigned)precision > TL_PRECISION_BF16_EMULATED)
        return tl_fail(err, TL_ERR_ARGUMENT, "there is no precision %u",
                       (unsigned)precision);
    if (precision == TL_PRECISION_BF16 && !b->fast_bf16 && strcmp(b->name, "cpu") == 0)
        return tl_fail(
            err, TL_ERR_UNSUPPORTED,
            "precision bf16: this processor has no instructions for it "
            "(AVX512-BF16, AMX); wanted f32, or bf16-emulated, which gives the "
            "numbers and not the speed");
    return TL_OK;
}

/* The decoder's linear layers get their precision. */
static void give_precision(tl_model *model, tl_precision precision)
{
    const bool bf16 = precision != TL_PRECISION_F32;
    for (size_t l = 0; l < model->spec.dims.n_layers; l++) {
        tl_layer_weights *w = &model->weights.layers[l];
        w->q.bf16 = w->k.bf16 = w->v.bf16 = w->o.bf16 = bf16;
        w->gate.bf16 = w->up.bf16 = w->down.bf16 = bf16;
    }
    model->precision = precision;
}

/* Without weights, which are only counted then, nothing is converted. */
static tl_status open_model(const char *path, const tl_model_options *options,
                            bool has_weights, tl_model **out, tl_error *err)
{
    tl_model_options o;
    tl_model *model = NULL;
    const char *folder = NULL;
    tl_status status = tl_sized_copy(options, &o, sizeof o, "tl_model_options", err);
    if (status == TL_OK)
        status = read_config(path, &model, &folder, err);
    if (status == TL_OK && has_weights)
        status = tl_safetensors_open(folder, &model->file, err);
    if (status == TL_OK && has_weights)
        status = check_adapters(model->file, err);
    if (status == TL_OK)
        model->spec.tied_head = tl_weights_tie_head(&model->spec, model->file);
    if (status == TL_OK)
        status = tl_weights_find(&model->spec, model->file, model->arena,
                                 &model->weights, err);
    if (status == TL_OK && o.cache_bytes == 0)
        o.cache_bytes = TL_DEFAULT_CACHE_BYTES;
    if (status == TL_OK) /* plans are made with what computes */
        status = tl_backend_create(o.backend != NULL ? o.backend : tl_backend_default(),
                                   o.n_threads, has_weights ? o.cache_bytes : 0,
                                   &model->backend, err);
    if (status == TL_OK)
        status = check_precision(model->backend, o.precision, err);
    if (status == TL_OK) {
        give_precision(model, o.precision);
        *out = model;
    } else {
        tl_model_close(model);
    }
    return status;
}

tl_status tl_model_open(const char *path, const tl_model_options *options,
                        tl_model **out, tl_error *err)
{
    return open_model(path, options, true, out, err);
}

tl_status tl_model_open_bare(const char *path, const tl_model_options *options,
                             tl_model **out, tl_error *err)
{
    return open_model(path, options, false, out, err);
}

void tl_model_close(tl_model *model)
{
    if (model == NULL)
        return;
    tl_feature_cache_release(&model->features);
    tl_backend_destroy(model->backend);
    tl_safetensors_close(model->file);
    tl_arena_destroy(model->arena);
    tl_free(model);
}

const tl_spec *tl_model_spec(const tl_model *model)
{
    return &model->spec;
}

const tl_weights *tl_model_weights(const tl_model *model)
{
    return &model->weights;
}

const tl_safetensors *tl_model_file(const tl_model *model)
{
    return model->file;
}

tl_status tl_model_vision_bytes(const tl_model *model, const tl_pixels *pixels,
                                size_t *out, tl_error *err)
{
    return tl_vision_bytes(model->backend, &model->spec.vision, pixels, out, err);
}

tl_status tl_model_vision_flops(const tl_model *model, const tl_pixels *pixels,
                                uint64_t *out, tl_error *err)
{
    return tl_vision_flops(&model->spec.vision, pixels, out, err);
}

const char *tl_model_family(const tl_model *model)
{
    return model->spec.family;
}

const tl_dims *tl_model_dims(const tl_model *model)
{
    return &model->spec.dims;
}

static uint64_t multiply_adds(const tl_model *model)
{
    return atomic_load_explicit(&model->backend->multiply_adds, memory_order_relaxed);
}

uint64_t tl_model_product_flops(const tl_model *model)
{
    return 2 * multiply_adds(model);
}

uint64_t tl_model_tower_flops(const tl_model *model)
{
    return 2 * atomic_load_explicit(&model->tower_multiply_adds, memory_order_relaxed);
}

tl_status tl_model_begin(tl_model *model, tl_error *err)
{
    return atomic_exchange(&model->in_use, true)
               ? tl_fail(
                     err, TL_ERR_ARGUMENT,
                     "another pass computes with this model; open the model once more "
                     "to run two at a time")
               : TL_OK;
}

void tl_model_end(tl_model *model)
{
    atomic_store(&model->in_use, false);
}

tl_precision tl_model_precision(const tl_model *model)
{
    return model->precision;
}

tl_status tl_model_set_precision(tl_model *model, tl_precision precision, tl_error *err)
{
    tl_status status = check_precision(model->backend, precision, err);
    if (status == TL_OK)
        status = tl_model_begin(model, err);
    if (status != TL_OK)
        return status;
    give_precision(model, precision);
    tl_model_end(model);
    return TL_OK;
}

/* Text embeddings, scaled; image features go where the image tokens are. */
static tl_status fill_embeds(const tl_model *model, const tl_encoding *encoding,
                             const float *features, size_t n_features, float *embeds,
                             bool *is_image, tl_error *err)
{
    const tl_spec *spec = &model->spec;
    const size_t d_model = spec->dims.d_model;
    size_t used = 0;
    for (size_t t = 0; t < encoding->n_pos; t++) {
        float *row = embeds + t * d_model;
        const int32_t id = encoding->ids[t];
        is_image[t] = encoding->n_images > 0 && id == spec->image_token;
        if (is_image[t]) {
            if (used < n_features)
                memcpy(row, features + used * d_model, d_model * sizeof *row);
            used++;
            continue;
        }
        if (id < 0 || (size_t)id >= spec->dims.n_vocab)
            return tl_fail(
                err, TL_ERR_DATA,
                "token id %d at position %zu is outside the model's %zu tokens",
                (int)id, t, spec->dims.n_vocab);
        const tl_status status = tl_tensor_to_f32(
            &model->weights.embed, (size_t)id * d_model, d_model, row, err);
        if (status != TL_OK)
            return status;
        for (size_t i = 0; spec->embed_scale != 1.0f && i < d_model; i++)
            row[i] *= spec->embed_scale;
    }
    if (used != n_features)
        return tl_fail(err, TL_ERR_DATA,
                       "the prompt has %zu image tokens, the image gives %zu features",
                       used, n_features);
    return TL_OK;
}

/* What the image adds to the stream further up; `features` are those behind the ones for the
 * image tokens, [n_deep, n_features, d_model]. */
static tl_status fill_deep(const tl_model *model, const bool *is_image, size_t n_pos,
                           const float *features, tl_arena *arena, tl_input *input,
                           tl_error *err)
{
    const size_t n_deep = model->spec.vision.n_deep, d_model = model->spec.dims.d_model;
    float *deep = tl_arena_alloc_zero(arena, n_deep * n_pos, d_model * sizeof *deep);
    if (deep == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a prompt of %zu tokens",
                       n_pos);
    for (size_t row = 0; row < n_deep * n_pos; row++) {
        if (!is_image[row % n_pos])
            continue;
        memcpy(deep + row * d_model, features, d_model * sizeof *deep);
        features += d_model;
    }
    input->deep = deep;
    input->n_deep = n_deep;
    return TL_OK;
}

static tl_status image_features(tl_model *model, const tl_pixels *pixels,
                                tl_arena *arena, const float **features, size_t *count,
                                tl_error *err)
{
    char key[TL_SHA256_HEX];
    float *made = NULL;
    if (!model->weights.has_vision)
        return tl_fail(
            err, TL_ERR_NOT_FOUND,
            "%s: there are no weights of a vision tower, and the prompt has an image",
            tl_safetensors_file_path(model->file, 0));
    tl_feature_cache_key(pixels, key);
    *features = tl_feature_cache_find(&model->features, key, count);
    if (*features != NULL)
        return TL_OK;
    const uint64_t before = multiply_adds(model);
    const tl_status status =
        tl_vision_features(model->backend, &model->spec.vision, model->weights.vision,
                           pixels, arena, &made, count, err);
    atomic_fetch_add_explicit(&model->tower_multiply_adds,
                              multiply_adds(model) - before, memory_order_relaxed);
    if (status != TL_OK)
        return status;
    tl_feature_cache_add(&model->features, key, made, *count,
                         (1 + model->spec.vision.n_deep) * model->spec.dims.d_model);
    *features = made;
    return TL_OK;
}

size_t tl_model_input_bytes(const tl_model *model, size_t n_pos)
{
    return (1 + model->spec.vision.n_deep) * n_pos * model->spec.dims.d_model *
           sizeof(float);
}

void tl_model_keep_features(tl_model *model, size_t bytes)
{
    tl_feature_cache_set_limit(&model->features, bytes);
}

void tl_model_count_images(const tl_model *model, size_t *n_runs, size_t *n_images)
{
    *n_runs = model->features.n_runs;
    *n_images = model->features.n_images;
}

tl_status tl_model_input(tl_model *model, const tl_encoding *encoding, tl_rope rope,
                         tl_arena *arena, tl_input *out, tl_error *err)
{
    const tl_spec *spec = &model->spec;
    const size_t n_pos = encoding->n_pos, d_model = spec->dims.d_model;
    if (n_pos == 0)
        return tl_fail(err, TL_ERR_DATA, "a prompt without any token");
    const float *features = NULL;
    size_t n_features = 0, grid_h = 0, grid_w = 0;
    tl_arena *scratch = tl_arena_create();
    float *embeds = tl_arena_alloc(arena, n_pos * d_model, sizeof *embeds);
    int32_t *positions = tl_arena_alloc(arena, 3 * n_pos, sizeof *positions);
    const bool has_blocks = spec->image_bidirectional || spec->bidirectional;
    int32_t *block = has_blocks ? tl_arena_alloc(arena, n_pos, sizeof *block) : NULL;
    bool *is_image = tl_arena_alloc(arena, n_pos, sizeof *is_image);
    tl_status status = TL_OK;
    if (scratch == NULL || embeds == NULL || positions == NULL || is_image == NULL ||
        (has_blocks && block == NULL)) {
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a prompt of %zu tokens",
                         n_pos);
        goto done;
    }
    if (encoding->n_images > 0) {
        if ((status = tl_model_begin(model, err)) != TL_OK)
            goto done;
        status = image_features(model, &encoding->pixels, scratch, &features,
                                &n_features, err);
        tl_model_end(model);
        if (status != TL_OK)
            goto done;
        grid_h = encoding->pixels.views[0].n_rows;
        grid_w = encoding->pixels.views[0].n_columns;
    }
    status = fill_embeds(model, encoding, features, n_features, embeds, is_image, err);
    if (status != TL_OK)
        goto done;
    const size_t *sections = spec->rope.sections;
    if (sections[0] + sections[1] + sections[2] == 0)
        rope = TL_ROPE_SEQUENTIAL; /* one axis: images count on like text */
    tl_rope_positions(encoding->ids, n_pos, spec->image_token, grid_h, grid_w, rope,
                      positions);
    for (size_t t = 0; block != NULL && t < n_pos; t++)
        block[t] = is_image[t] || spec->bidirectional ? 0 : -1;
    tl_input made = {.n_pos = n_pos,
                     .embeds = embeds,
                     .positions = positions,
                     .block = block,
                     .is_image = is_image,
                     .name = encoding->name};
    if (n_features > 0 && spec->vision.n_deep > 0)
        status = fill_deep(model, is_image, n_pos, features + n_features * d_model,
                           arena, &made, err);
    if (status == TL_OK)
        *out = made;
done:
    tl_arena_destroy(scratch);
    return status;
}

tl_status tl_model_unembedding(const tl_model *model, const int32_t *ids, size_t n_ids,
                               float *out, tl_error *err)
{
    const tl_dims *d = &model->spec.dims;
    tl_status status = TL_OK;
    for (size_t i = 0; i < n_ids && status == TL_OK; i++) {
        if (ids[i] < 0 || (size_t)ids[i] >= d->n_vocab)
            return tl_fail(err, TL_ERR_ARGUMENT,
                           "token id %d is outside the model's %zu tokens", (int)ids[i],
                           d->n_vocab);
        status =
            tl_tensor_to_f32(&model->weights.head.weight, (size_t)ids[i] * d->d_model,
                             d->d_model, out + i * d->d_model, err);
    }
    return status;
}
