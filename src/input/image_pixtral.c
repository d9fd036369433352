/* SPDX-License-Identifier: MIT
 *
 * image_pixtral.c - Pixtral's pictures (image_kind.h): made smaller until the longest edge
 * fits, each side rounded up to whole patches, and handed over whole,
 * [1, channel, row, column]; a token for each patch. Mistral-3's are the same, with a token
 * for each square of patches that the model merges.
 *
 * @source transformers models/pixtral/image_processing_pixtral.py (the slow one, which
 * resizes with Pillow)
 */
#include "input/image_kind.h"

#include <math.h>

#include "base/json.h"
#include "input/levels.h"

typedef struct options {
    bool do_resize;
    size_t max_width, max_height;     /* with do_resize */
    size_t patch_width, patch_height; /* of an image token */
    tl_resample resample;
    tl_levels levels;
} options;

/* {"longest_edge": N}, or {"height": N, "width": M}; absent: what is there already. */
static tl_status read_sides(const json_t *config, const char *name, const char *where,
                            size_t *width, size_t *height, tl_error *err)
{
    const json_t *size = json_object_get(config, name);
    if (size == NULL || json_is_null(size))
        return TL_OK;
    if (json_is_integer(size)) {
        const tl_status status =
            tl_image_side_read(config, NULL, name, where, width, err);
        *height = *width;
        return status;
    }
    if (json_object_get(size, "longest_edge") != NULL) {
        const tl_status status =
            tl_image_side_read(size, name, "longest_edge", where, width, err);
        *height = *width;
        return status;
    }
    if (json_object_get(size, "height") == NULL ||
        json_object_get(size, "width") == NULL)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: '%s' has neither 'longest_edge' nor 'height' and 'width'",
                       where, name);
    const tl_status status =
        tl_image_side_read(size, name, "height", where, height, err);
    return status == TL_OK ? tl_image_side_read(size, name, "width", where, width, err)
                           : status;
}

static tl_status read_kind(const json_t *config, const char *where, const json_t *model,
                           tl_arena *arena, const void **out, tl_error *err)
{
    (void)model;
    options *o = tl_arena_alloc(arena, 1, sizeof *o);
    if (o == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", where);
    *o = (options){
        .do_resize = true,
        .max_width = 1024,
        .max_height = 1024,
        .patch_width = 16,
        .patch_height = 16,
        .resample = TL_BICUBIC,
        .levels = TL_LEVELS_CLIP,
    };
    tl_status status =
        tl_image_processor_check(config, where, "PixtralImageProcessor", err);
    if (status == TL_OK)
        status = tl_json_get_bool(config, "do_resize", where, &o->do_resize, err);
    if (status == TL_OK)
        status = read_sides(config, "size", where, &o->max_width, &o->max_height, err);
    if (status == TL_OK)
        status = read_sides(config, "patch_size", where, &o->patch_width,
                            &o->patch_height, err);
    if (status == TL_OK)
        status = tl_resample_read(config, where, &o->resample, err);
    if (status == TL_OK)
        status = tl_levels_read(config, where, &o->levels, err);
    if (status == TL_OK)
        *out = o;
    return status;
}

/* In double, as Python does it: the sides come out the same. */
static tl_status new_size(const options *o, const tl_image *image, size_t *width,
                          size_t *height, tl_error *err)
{
    double w = (double)image->width, h = (double)image->height;
    const double by_height = h / (double)o->max_height,
                 by_width = w / (double)o->max_width,
                 ratio = by_height > by_width ? by_height : by_width;
    if (ratio > 1.0) {
        h = floor(h / ratio);
        w = floor(w / ratio);
    }
    if (h < 1.0 || w < 1.0)
        return tl_fail(
            err, TL_ERR_DATA,
            "an image of %zux%zu has no pixel left on one side when the other "
            "is brought to %zux%zu",
            image->width, image->height, o->max_width, o->max_height);
    *width = ((size_t)w - 1) / o->patch_width * o->patch_width + o->patch_width;
    *height = ((size_t)h - 1) / o->patch_height * o->patch_height + o->patch_height;
    return TL_OK;
}

static tl_status make_kind(const void *kind_options, const tl_image *image,
                           tl_arena *arena, tl_pixels *out, tl_error *err)
{
    const options *o = kind_options;
    size_t width = image->width, height = image->height;
    tl_arena *scratch = tl_arena_create();
    if (scratch == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to resize an image");
    tl_image resized = *image;
    tl_status status = TL_OK;
    if (o->do_resize)
        status = new_size(o, image, &width, &height, err);
    if (status == TL_OK && o->do_resize)
        status =
            tl_image_resize(image, width, height, o->resample, scratch, &resized, err);
    if (status == TL_OK &&
        (width % o->patch_width != 0 || height % o->patch_height != 0))
        status = tl_fail(err, TL_ERR_DATA,
                         "an image of %zux%zu is not made of patches of %zux%zu, and "
                         "'do_resize' is false",
                         width, height, o->patch_width, o->patch_height);
    float *values =
        status == TL_OK ? tl_levels_planes(&o->levels, &resized, arena) : NULL;
    if (status == TL_OK && values == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an image of %zux%zu",
                         width, height);
    if (status == TL_OK)
        *out =
            (tl_pixels){.n_dims = 4,
                        .dims = {1, TL_CHANNEL_COUNT, height, width},
                        .values = values,
                        .n_tokens = height / o->patch_height * (width / o->patch_width),
                        .n_views = 1,
                        .views = {{height / o->patch_height, width / o->patch_width}}};
    tl_arena_destroy(scratch);
    return status;
}

const tl_image_kind tl_image_kind_pixtral = {read_kind, make_kind};

/* What a token stands for, the model says. */
static tl_status read_merged(const json_t *config, const char *where,
                             const json_t *model, tl_arena *arena, const void **out,
                             tl_error *err)
{
    size_t patch = 16, merge = 2;
    const void *read = NULL;
    tl_status status = read_kind(config, where, model, arena, &read, err);
    if (status == TL_OK)
        status = tl_json_get_size(json_object_get(model, "vision_config"), "patch_size",
                                  "config.json: vision_config", &patch, err);
    if (status == TL_OK)
        status =
            tl_json_get_size(model, "spatial_merge_size", "config.json", &merge, err);
    if (status != TL_OK)
        return status;
    if (patch == 0 || patch > TL_LARGEST_SIDE || merge == 0 || merge > TL_LARGEST_SIDE)
        return tl_fail(err, TL_ERR_FORMAT,
                       "config.json: patches of %zu, %zu of them merged", patch, merge);
    options *o = tl_arena_alloc(arena, 1, sizeof *o);
    if (o == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", where);
    *o = *(const options *)read;
    o->patch_width = o->patch_height = patch * merge;
    *out = o;
    return TL_OK;
}

const tl_image_kind tl_image_kind_mistral3 = {read_merged, make_kind};
