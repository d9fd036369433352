/* SPDX-License-Identifier: MIT
 *
 * image_siglip.c - Gemma-3's pictures (image_kind.h): each is resized to one size,
 * whatever its shape, and handed over whole, [1, channel, row, column]. How many tokens
 * stand for it is the model's affair.
 *
 * @source transformers models/gemma3/image_processing_gemma3.py (the slow one, which
 * resizes with Pillow)
 */
#include "input/image_kind.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "input/levels.h"

/* Far more than any model has; keeps the products below in range. */
enum { LARGEST_SIDE = 16384 };

typedef struct options {
    bool do_resize;
    size_t width, height; /* with do_resize */
    size_t side;          /* image tokens a side */
    tl_resample resample;
    tl_levels levels;
} options;

/* `size` is an object, or one number for both sides. */
static tl_status read_size(const json_t *config, const char *where, options *o,
                           tl_error *err)
{
    const json_t *size = json_object_get(config, "size");
    const bool is_object = json_is_object(size);
    const struct {
        const char *key;
        size_t *side;
    } sides[] = {{"height", &o->height}, {"width", &o->width}};
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        const char *key = is_object ? sides[i].key : "size";
        if (is_object && json_object_get(size, key) == NULL)
            return tl_fail(err, TL_ERR_FORMAT,
                           "%s: 'size' has no '%s'; wanted 'height' and 'width'", where,
                           key);
        const tl_status status =
            tl_json_get_size(is_object ? size : config, key, where, sides[i].side, err);
        if (status != TL_OK)
            return status;
        if (*sides[i].side == 0 || *sides[i].side > LARGEST_SIDE)
            return tl_fail(err, TL_ERR_FORMAT, "%s: '%s' is %zu, wanted 1..%d", where,
                           key, *sides[i].side, LARGEST_SIDE);
    }
    return TL_OK;
}

/* A square of soft tokens. */
static tl_status read_side(const json_t *model, size_t *side, tl_error *err)
{
    size_t tokens = 256;
    const tl_status status =
        tl_json_get_size(model, "mm_tokens_per_image", "config.json", &tokens, err);
    if (status != TL_OK)
        return status;
    *side = (size_t)sqrt((double)tokens);
    if (tokens == 0 || *side > LARGEST_SIDE || *side * *side != tokens)
        return tl_fail(err, TL_ERR_FORMAT,
                       "config.json: 'mm_tokens_per_image' is %zu, wanted a square of "
                       "1..%d",
                       tokens, LARGEST_SIDE);
    return TL_OK;
}

static tl_status check_processor(const json_t *config, const char *where, tl_error *err)
{
    const char *type = "Gemma3ImageProcessor";
    bool pan_and_scan = false;
    tl_status status =
        tl_json_get_string(config, "image_processor_type", where, &type, err);
    if (status == TL_OK && strcmp(type, "Gemma3ImageProcessor") != 0 &&
        strcmp(type, "Gemma3ImageProcessorFast") != 0)
        status = tl_fail(err, TL_ERR_UNSUPPORTED,
                         "%s: 'image_processor_type' is '%s', supported is "
                         "'Gemma3ImageProcessor'",
                         where, type);
    if (status == TL_OK)
        status = tl_json_get_bool(config, "do_pan_and_scan", where, &pan_and_scan, err);
    if (status == TL_OK && pan_and_scan)
        status = tl_fail(err, TL_ERR_UNSUPPORTED,
                         "%s: 'do_pan_and_scan' is true, supported is false: a prompt "
                         "has one image, not its crops as well",
                         where);
    return status;
}

static tl_status read_kind(const json_t *config, const char *where, const json_t *model,
                           tl_arena *arena, const void **out, tl_error *err)
{
    if (!json_is_object(config))
        return tl_fail(err, TL_ERR_FORMAT, "%s: not an object", where);
    options *o = tl_arena_alloc(arena, 1, sizeof *o);
    if (o == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", where);
    *o = (options){
        .do_resize = true,
        .width = 224,
        .height = 224,
        .resample = TL_BILINEAR,
        .levels = {.do_rescale = true,
                   .do_normalize = true,
                   .rescale_factor = 1.0 / 255.0,
                   .mean = {0.5, 0.5, 0.5},
                   .std = {0.5, 0.5, 0.5}},
    };
    tl_status status = check_processor(config, where, err);
    if (status == TL_OK)
        status = tl_json_get_bool(config, "do_resize", where, &o->do_resize, err);
    if (status == TL_OK)
        status = read_size(config, where, o, err);
    if (status == TL_OK)
        status = tl_resample_read(config, where, &o->resample, err);
    if (status == TL_OK)
        status = tl_levels_read(config, where, &o->levels, err);
    if (status == TL_OK)
        status = read_side(model, &o->side, err);
    if (status == TL_OK)
        *out = o;
    return status;
}

static tl_status make_kind(const void *kind_options, const tl_image *image,
                           tl_arena *arena, tl_pixels *out, tl_error *err)
{
    const options *o = kind_options;
    tl_arena *scratch = tl_arena_create();
    if (scratch == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to resize an image");
    tl_image resized = *image;
    tl_status status = TL_OK;
    if (o->do_resize)
        status = tl_image_resize(image, o->width, o->height, o->resample, scratch,
                                 &resized, err);
    if (status != TL_OK)
        goto done;
    const float *values = tl_levels_planes(&o->levels, &resized, arena);
    if (values == NULL) {
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an image of %zux%zu",
                         resized.width, resized.height);
        goto done;
    }
    *out = (tl_pixels){.n_dims = 4,
                       .dims = {1, TL_CHANNEL_COUNT, resized.height, resized.width},
                       .values = values,
                       .n_rows = o->side,
                       .n_columns = o->side};
done:
    tl_arena_destroy(scratch);
    return status;
}

const tl_image_kind tl_image_kind_siglip = {read_kind, make_kind};
