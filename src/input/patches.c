/* SPDX-License-Identifier: MIT
 *
 * patches.c - see patches.h.
 *
 * @source transformers models/qwen2_vl/image_processing_qwen2_vl.py
 */
#include "input/patches.h"

#include "input/image_kind.h"

#include <math.h>

#include "base/json.h"

enum { CHANNELS = TL_CHANNEL_COUNT, LONGEST_SHAPE = 200 };

/* Far more than any model has; keeps the products below in range. */
enum { LARGEST_PATCH = 4096 };

/* min_pixels and max_pixels where they are given, else the two edges of `size`.
 * (transformers up to 4.51 overlooks a `size` that stands alone; later ones, which
 * write such files, do not.) */
static tl_status read_limits(const json_t *config, const char *where,
                             tl_patch_options *options, tl_error *err)
{
    const json_t *size = json_object_get(config, "size");
    tl_status status = TL_OK;
    if (json_is_object(size)) {
        status =
            tl_json_get_size(size, "shortest_edge", where, &options->min_pixels, err);
        if (status == TL_OK)
            status = tl_json_get_size(size, "longest_edge", where, &options->max_pixels,
                                      err);
    }
    if (status == TL_OK)
        status =
            tl_json_get_size(config, "min_pixels", where, &options->min_pixels, err);
    if (status == TL_OK)
        status =
            tl_json_get_size(config, "max_pixels", where, &options->max_pixels, err);
    return status;
}

static tl_status check_options(const tl_patch_options *options, const char *where,
                               tl_error *err)
{
    const struct {
        const char *key;
        size_t value;
    } sizes[] = {{"patch_size", options->patch_size},
                 {"merge_size", options->merge_size},
                 {"temporal_patch_size", options->temporal_patch_size}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].value == 0 || sizes[i].value > LARGEST_PATCH)
            return tl_fail(err, TL_ERR_FORMAT, "%s: '%s' is %zu, wanted 1..%d", where,
                           sizes[i].key, sizes[i].value, LARGEST_PATCH);
    if (options->max_pixels == 0)
        return tl_fail(err, TL_ERR_FORMAT, "%s: 'max_pixels' is 0", where);
    return TL_OK;
}

tl_status tl_patch_options_read(const json_t *config, const char *where,
                                tl_patch_options *out, tl_error *err)
{
    tl_patch_options o = {
        .do_resize = true,
        .min_pixels = 56 * 56,
        .max_pixels = 28 * 28 * 1280,
        .patch_size = 14,
        .merge_size = 2,
        .temporal_patch_size = 2,
        .resample = TL_BICUBIC,
        .levels = TL_LEVELS_CLIP,
    };
    tl_status status =
        tl_image_processor_check(config, where, "Qwen2VLImageProcessor", err);
    if (status == TL_OK)
        status = tl_json_get_bool(config, "do_resize", where, &o.do_resize, err);
    const struct {
        const char *key;
        size_t *value;
    } sizes[] = {{"patch_size", &o.patch_size},
                 {"merge_size", &o.merge_size},
                 {"temporal_patch_size", &o.temporal_patch_size}};
    for (size_t i = 0; status == TL_OK && i < sizeof sizes / sizeof *sizes; i++)
        status = tl_json_get_size(config, sizes[i].key, where, sizes[i].value, err);
    if (status == TL_OK)
        status = read_limits(config, where, &o, err);
    if (status == TL_OK)
        status = tl_resample_read(config, where, &o.resample, err);
    if (status == TL_OK)
        status = tl_levels_read(config, where, &o.levels, err);
    if (status == TL_OK)
        status = check_options(&o, where, err);
    if (status == TL_OK)
        *out = o;
    return status;
}

tl_status tl_patches_size(const tl_patch_options *options, size_t width, size_t height,
                          size_t *new_width, size_t *new_height, tl_error *err)
{
    const size_t multiple = options->patch_size * options->merge_size;
    if (!options->do_resize) {
        if (width % multiple != 0 || height % multiple != 0 || width == 0 ||
            height == 0)
            return tl_fail(
                err, TL_ERR_DATA,
                "the image is %zux%zu; without 'do_resize' its sides have to be "
                "multiples of %zu",
                width, height, multiple);
        *new_width = width;
        *new_height = height;
        return TL_OK;
    }
    if ((width < multiple || height < multiple) && !options->enlarges)
        return tl_fail(
            err, TL_ERR_DATA,
            "the image is %zux%zu; this model needs at least %zu pixels a side, as "
            "transformers up to 4.52, with which its folder was saved",
            width, height, multiple);
    const double w = (double)width, h = (double)height, factor = (double)multiple;
    if (fmax(w, h) / fmin(w, h) > LONGEST_SHAPE)
        return tl_fail(
            err, TL_ERR_DATA,
            "the image is %zux%zu; this model takes none that is more than %d "
            "times as long as wide",
            width, height, LONGEST_SHAPE);
    /* rint: halves go to the even number, as Python's round does it. */
    double to_w = rint(w / factor) * factor, to_h = rint(h / factor) * factor;
    const double most = (double)options->max_pixels,
                 least = (double)options->min_pixels;
    if (to_w * to_h > most) {
        const double beta = sqrt(h * w / most);
        to_h = floor(h / beta / factor) * factor;
        to_w = floor(w / beta / factor) * factor;
        if (options->enlarges) {
            to_h = fmax(to_h, factor);
            to_w = fmax(to_w, factor);
        }
    } else if (to_w * to_h < least) {
        const double beta = sqrt(least / (h * w));
        to_h = ceil(h * beta / factor) * factor;
        to_w = ceil(w * beta / factor) * factor;
    }
    if (to_w < factor || to_h < factor)
        return tl_fail(
            err, TL_ERR_DATA,
            "the image is %zux%zu, and within max_pixels %zu its shorter side "
            "would be less than %zu pixels",
            width, height, options->max_pixels, multiple);
    *new_width = (size_t)to_w;
    *new_height = (size_t)to_h;
    return TL_OK;
}

/* The patch whose upper left corner is (left, top): [channel, time, row, column]. */
static float *cut_patch(const tl_patch_options *o, const tl_image *image, size_t left,
                        size_t top, float levels[CHANNELS][TL_LEVEL_COUNT], float *out)
{
    for (size_t c = 0; c < CHANNELS; c++)
        for (size_t t = 0; t < o->temporal_patch_size; t++)
            for (size_t y = top; y < top + o->patch_size; y++) {
                const uint8_t *rgb =
                    image->rgb + (y * image->width + left) * CHANNELS + c;
                for (size_t x = 0; x < o->patch_size; x++)
                    *out++ = levels[c][rgb[x * CHANNELS]];
            }
    return out;
}

tl_status tl_patches_make(const tl_patch_options *options, const tl_image *image,
                          tl_arena *arena, tl_pixels *out, tl_error *err)
{
    const tl_patch_options *const o = options;
    size_t width = 0, height = 0;
    tl_status status =
        tl_patches_size(o, image->width, image->height, &width, &height, err);
    if (status != TL_OK)
        return status;
    tl_arena *scratch = tl_arena_create();
    if (scratch == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to resize an image");
    tl_image resized = *image;
    if (o->do_resize)
        status =
            tl_image_resize(image, width, height, o->resample, scratch, &resized, err);
    if (status != TL_OK)
        goto done;

    const size_t grid_w = width / o->patch_size, grid_h = height / o->patch_size;
    const size_t patch =
        CHANNELS * o->temporal_patch_size * o->patch_size * o->patch_size;
    float *const values =
        tl_arena_alloc(arena, grid_w * grid_h, patch * sizeof *values);
    if (values == NULL) {
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu patches of an image",
                         grid_w * grid_h);
        goto done;
    }
    float levels[CHANNELS][TL_LEVEL_COUNT];
    tl_levels_table(&o->levels, levels);
    float *at = values;
    for (size_t block_y = 0; block_y < grid_h; block_y += o->merge_size)
        for (size_t block_x = 0; block_x < grid_w; block_x += o->merge_size)
            for (size_t y = block_y; y < block_y + o->merge_size; y++)
                for (size_t x = block_x; x < block_x + o->merge_size; x++)
                    at = cut_patch(o, &resized, x * o->patch_size, y * o->patch_size,
                                   levels, at);
    *out = (tl_pixels){.n_dims = 2,
                       .dims = {grid_w * grid_h, patch},
                       .values = values,
                       .grid_t = 1,
                       .grid_h = grid_h,
                       .n_tokens = grid_h / o->merge_size * (grid_w / o->merge_size),
                       .n_views = 1,
                       .views = {{grid_h / o->merge_size, grid_w / o->merge_size}},
                       .grid_w = grid_w};
done:
    tl_arena_destroy(scratch);
    return status;
}

/* ---- as a kind of images --------------------------------------------------------- */

static tl_status read_kind(const json_t *config, const char *where, const json_t *model,
                           tl_arena *arena, const void **options, tl_error *err)
{
    tl_patch_options *o = tl_arena_alloc(arena, 1, sizeof *o);
    if (o == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", where);
    const tl_status status = tl_patch_options_read(config, where, o, err);
    o->enlarges = tl_json_version_reaches(model, "transformers_version", 4, 53);
    if (status == TL_OK)
        *options = o;
    return status;
}

static tl_status make_kind(const void *options, const tl_image *image, tl_arena *arena,
                           tl_pixels *out, tl_error *err)
{
    return tl_patches_make(options, image, arena, out, err);
}

const tl_image_kind tl_image_kind_qwen2_vl = {read_kind, make_kind};
