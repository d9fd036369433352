/* SPDX-License-Identifier: MIT
 * projector.c - see projector.h. */
#include "vision/projector.h"

#include <stdio.h>
#include <string.h>

/* Of features of n_in values. */
static tl_status find_layers(const tl_finder *f, const tl_vision_spec *v,
                             const char *prefix, size_t n_in, tl_projector *out,
                             tl_error *err)
{
    const size_t d_model = v->d_model;
    char stem[TL_STEM_BYTES];
    snprintf(stem, sizeof stem, "%slinear_1", prefix);
    const tl_status status =
        tl_find_linear(f, stem, d_model, n_in, v->projector_bias, &out->in, err);
    snprintf(stem, sizeof stem, "%slinear_2", prefix);
    return status == TL_OK ? tl_find_linear(f, stem, d_model, d_model,
                                            v->projector_bias, &out->out, err)
                           : status;
}

static tl_status find_merged(const tl_finder *f, const tl_vision_spec *v,
                             const char *prefix, tl_projector *out, tl_error *err)
{
    char stem[TL_STEM_BYTES];
    snprintf(stem, sizeof stem, "%snorm", prefix);
    tl_status status = tl_find_norm(f, stem, v->width, TL_NORM_RMS, &out->norm, err);
    snprintf(stem, sizeof stem, "%spatch_merger.merging_layer", prefix);
    if (status == TL_OK)
        status = tl_find_linear(f, stem, v->width, v->width * v->merge * v->merge,
                                false, &out->merge, err);
    return status == TL_OK ? find_layers(f, v, prefix, v->width, out, err) : status;
}

/* What a square's patches have together. */
static size_t square_width(const tl_vision_spec *v)
{
    return v->width * v->merge * v->merge;
}

static tl_status find_squares(const tl_finder *f, const tl_vision_spec *v,
                              const char *prefix, tl_projector *out, tl_error *err)
{
    char stem[TL_STEM_BYTES];
    snprintf(stem, sizeof stem, "%slayer_norm", prefix);
    const tl_status status =
        tl_find_norm(f, stem, square_width(v), TL_NORM_LAYER, &out->norm, err);
    return status == TL_OK ? find_layers(f, v, prefix, square_width(v), out, err)
                           : status;
}

static tl_status find_means(const tl_finder *f, const tl_vision_spec *v,
                            const char *prefix, tl_projector *out, tl_error *err)
{
    const size_t width = v->width;
    char name[TL_STEM_BYTES];
    snprintf(name, sizeof name, "%smm_input_projection_weight", prefix);
    const tl_status status =
        tl_find_tensor(f, name, width, v->d_model, &out->in.weight, err);
    snprintf(name, sizeof name, "%smm_soft_emb_norm", prefix);
    return status == TL_OK ? tl_find_norm(f, name, width, TL_NORM_RMS, &out->norm, err)
                           : status;
}

tl_status tl_projector_find(const tl_finder *f, const tl_vision_spec *v,
                            tl_projector *out, tl_error *err)
{
    static const char *const prefixes[] = {"multi_modal_projector.",
                                           "model.multi_modal_projector."},
                             *const idefics3[] = {"connector.", "model.connector."};
    const char *const *among =
        v->projector == TL_PROJECTOR_CONNECTOR ? idefics3 : prefixes;
    static const char *const markers[] = {
        [TL_PROJECTOR_LAYERS] = "linear_1.weight",
        [TL_PROJECTOR_LINEAR] = "linear.weight",
        [TL_PROJECTOR_MEANS] = "mm_input_projection_weight",
        [TL_PROJECTOR_MERGED] = "linear_1.weight",
        [TL_PROJECTOR_SQUARES] = "linear_1.weight",
        [TL_PROJECTOR_CONNECTOR] = "modality_projection.proj.weight",
    };
    char found[64], stem[TL_STEM_BYTES];
    tl_find_prefix(f->file, among, 2, markers[v->projector], found, sizeof found);
    const char *prefix = found[0] != '\0' ? found : among[0];
    *out = (tl_projector){0};
    switch (v->projector) {
    case TL_PROJECTOR_LAYERS: return find_layers(f, v, prefix, v->width, out, err);
    case TL_PROJECTOR_MEANS: return find_means(f, v, prefix, out, err);
    case TL_PROJECTOR_MERGED: return find_merged(f, v, prefix, out, err);
    case TL_PROJECTOR_SQUARES: return find_squares(f, v, prefix, out, err);
    case TL_PROJECTOR_CONNECTOR:
        snprintf(stem, sizeof stem, "%smodality_projection.proj", prefix);
        return tl_find_linear(f, stem, v->d_model, square_width(v), false, &out->in,
                              err);
    case TL_PROJECTOR_LINEAR: break;
    }
    snprintf(stem, sizeof stem, "%slinear", prefix);
    return tl_find_linear(f, stem, v->d_model, v->width, v->projector_bias, &out->in,
                          err);
}

size_t tl_projector_count(const tl_vision_spec *v, size_t rows, size_t columns)
{
    return v->projector == TL_PROJECTOR_LAYERS || v->projector == TL_PROJECTOR_LINEAR
               ? rows * columns
               : rows / v->merge * (columns / v->merge);
}

size_t tl_projector_scratch(const tl_vision_spec *v, size_t rows, size_t columns)
{
    const size_t count = tl_projector_count(v, rows, columns);
    switch (v->projector) {
    case TL_PROJECTOR_LAYERS: return count * v->d_model;
    case TL_PROJECTOR_MEANS: return 2 * count * v->width;
    case TL_PROJECTOR_MERGED:
        return 2 * rows * columns * v->width + count * (v->width + v->d_model);
    case TL_PROJECTOR_SQUARES: return count * (2 * square_width(v) + v->d_model);
    case TL_PROJECTOR_CONNECTOR: return count * square_width(v);
    case TL_PROJECTOR_LINEAR: break;
    }
    return 0;
}

/* out[i,j] = mean of x over the patches of square (i, j); what is left at the far edges
 * belongs to none. x [rows, columns, width]. */
static void take_means(const tl_vision_spec *v, size_t rows, size_t columns,
                       const float *x, float *out)
{
    const size_t n = v->merge * v->merge;
    for (size_t i = 0; i < rows / v->merge; i++)
        for (size_t j = 0; j < columns / v->merge; j++)
            for (size_t d = 0; d < v->width; d++) {
                double sum = 0.0;
                for (size_t p = 0; p < n; p++) {
                    const size_t row = i * v->merge + p / v->merge,
                                 column = j * v->merge + p % v->merge;
                    sum += (double)x[(row * columns + column) * v->width + d];
                }
                *out++ = (float)(sum / (double)n);
            }
}

static tl_status run_layers(tl_backend *b, const tl_vision_spec *v,
                            const tl_projector *projector, size_t count, const float *x,
                            float *hidden, float *out, tl_error *err)
{
    const tl_status status = b->linear(b, &projector->in, count, x, hidden, false, err);
    if (status != TL_OK)
        return status;
    b->activate(b, v->projector_activation, count * v->d_model, hidden);
    return b->linear(b, &projector->out, count, hidden, out, false, err);
}

/* Lays the patches of each square end to end, dimension by dimension. */
static void lay_squares(const tl_vision_spec *v, size_t rows, size_t columns,
                        const float *x, float *out)
{
    const size_t side = v->merge;
    for (size_t i = 0; i < rows / side; i++)
        for (size_t j = 0; j < columns / side; j++)
            for (size_t d = 0; d < v->width; d++)
                for (size_t p = 0; p < side * side; p++) {
                    const size_t row = i * side + p / side,
                                 column = j * side + p % side;
                    *out++ = x[(row * columns + column) * v->width + d];
                }
}

static tl_status run_merged(tl_backend *b, const tl_vision_spec *v,
                            const tl_projector *projector, size_t rows, size_t columns,
                            const float *x, float *scratch, float *out, tl_error *err)
{
    const size_t patches = rows * columns, count = tl_projector_count(v, rows, columns);
    float *norm = scratch, *squares = norm + patches * v->width,
          *merged = squares + patches * v->width, *hidden = merged + count * v->width;
    b->rmsnorm(b, patches, v->width, v->projector_eps, x, projector->norm.weight, norm,
               NULL);
    lay_squares(v, rows, columns, norm, squares);
    const tl_status status =
        b->linear(b, &projector->merge, count, squares, merged, false, err);
    return status == TL_OK
               ? run_layers(b, v, projector, count, merged, hidden, out, err)
               : status;
}

/* Lays the patches of each square end to end. */
static void lay_patches(const tl_vision_spec *v, size_t rows, size_t columns,
                        const float *x, float *out)
{
    const size_t side = v->merge;
    for (size_t i = 0; i < rows / side; i++)
        for (size_t j = 0; j < columns / side; j++)
            for (size_t y = 0; y < side; y++, out += side * v->width)
                memcpy(out, x + ((i * side + y) * columns + j * side) * v->width,
                       side * v->width * sizeof *out);
}

static tl_status run_squares(tl_backend *b, const tl_vision_spec *v,
                             const tl_projector *projector, size_t rows, size_t columns,
                             const float *x, float *scratch, float *out, tl_error *err)
{
    const size_t width = square_width(v), count = tl_projector_count(v, rows, columns);
    float *squares = scratch, *norm = squares + count * width,
          *hidden = norm + count * width;
    lay_patches(v, rows, columns, x, squares);
    b->layernorm(b, count, width, v->projector_eps, squares, projector->norm.weight,
                 projector->norm.bias, norm);
    return run_layers(b, v, projector, count, norm, hidden, out, err);
}

tl_status tl_projector_run(tl_backend *b, const tl_vision_spec *v,
                           const tl_projector *projector, size_t rows, size_t columns,
                           const float *x, float *scratch, float *out, tl_error *err)
{
    const size_t count = tl_projector_count(v, rows, columns);
    if (v->projector == TL_PROJECTOR_MEANS) {
        float *means = scratch, *norm = scratch + count * v->width;
        take_means(v, rows, columns, x, means);
        b->rmsnorm(b, count, v->width, v->norm_eps, means, projector->norm.weight, norm,
                   NULL);
        /* Stored input first: x W is what others have on the way back. */
        return b->linear_backward(b, &projector->in, count, norm, out, false, err);
    }
    if (v->projector == TL_PROJECTOR_LINEAR)
        return b->linear(b, &projector->in, count, x, out, false, err);
    if (v->projector == TL_PROJECTOR_SQUARES)
        return run_squares(b, v, projector, rows, columns, x, scratch, out, err);
    if (v->projector == TL_PROJECTOR_CONNECTOR) {
        lay_patches(v, rows, columns, x, scratch);
        return b->linear(b, &projector->in, count, scratch, out, false, err);
    }
    return v->projector == TL_PROJECTOR_MERGED
               ? run_merged(b, v, projector, rows, columns, x, scratch, out, err)
               : run_layers(b, v, projector, count, x, scratch, out, err);
}
