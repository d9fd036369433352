/* SPDX-License-Identifier: MIT
 *
 * image_fixed.c - pictures that are brought to one size (image_kind.h), whatever their
 * shape, and handed over whole, [1, channel, row, column]. How many tokens stand for one is
 * the model's affair.
 *
 * Gemma-3's and PaliGemma's are resized to a square. CLIP's are resized until the shorter
 * edge fits, and what stands out beyond the middle square is cut off.
 *
 * @source transformers models/gemma3/image_processing_gemma3.py,
 * models/siglip/image_processing_siglip.py, models/clip/image_processing_clip.py (the slow
 * ones, which resize with Pillow), and center_crop of image_transforms.py
 */
#include "input/image_kind.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "input/levels.h"

typedef struct extent {
    size_t width, height;
} extent;

typedef struct options {
    bool do_resize, do_crop;
    size_t shortest; /* the shorter edge with do_resize; 0: see size */
    extent size, crop;
    size_t side; /* image tokens a side */
    tl_resample resample;
    tl_levels levels;
} options;

/* An object of height and width, or one number for both. */
static tl_status read_extent(const json_t *config, const char *name, const char *where,
                             extent *out, tl_error *err)
{
    const json_t *object = json_object_get(config, name);
    if (!json_is_object(object)) {
        const tl_status status =
            tl_image_side_read(config, NULL, name, where, &out->height, err);
        if (status == TL_OK && object != NULL && !json_is_null(object))
            out->width = out->height;
        return status;
    }
    const struct {
        const char *key;
        size_t *side;
    } sides[] = {{"height", &out->height}, {"width", &out->width}};
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        if (json_object_get(object, sides[i].key) == NULL)
            return tl_fail(err, TL_ERR_FORMAT,
                           "%s: '%s' has no '%s'; wanted 'height' and 'width'", where,
                           name, sides[i].key);
        const tl_status status =
            tl_image_side_read(object, NULL, sides[i].key, where, sides[i].side, err);
        if (status != TL_OK)
            return status;
    }
    return TL_OK;
}

/* CLIP's `size`: one number, or an object of one, is the shorter edge. */
static tl_status read_shortest(const json_t *config, const char *where, options *o,
                               tl_error *err)
{
    const json_t *size = json_object_get(config, "size");
    if (json_is_object(size) && json_object_get(size, "shortest_edge") == NULL) {
        o->shortest = 0;
        return read_extent(config, "size", where, &o->size, err);
    }
    return json_is_object(size)
               ? tl_image_side_read(size, NULL, "shortest_edge", where, &o->shortest,
                                    err)
               : tl_image_side_read(config, NULL, "size", where, &o->shortest, err);
}

/* ---- how many tokens --------------------------------------------------------------- */

/* A square of soft tokens. */
static tl_status read_soft_side(const json_t *model, options *o, tl_error *err)
{
    size_t tokens = 256;
    const tl_status status =
        tl_json_get_size(model, "mm_tokens_per_image", "config.json", &tokens, err);
    if (status != TL_OK)
        return status;
    o->side = (size_t)sqrt((double)tokens);
    if (tokens == 0 || o->side > TL_LARGEST_SIDE || o->side * o->side != tokens)
        return tl_fail(err, TL_ERR_FORMAT,
                       "config.json: 'mm_tokens_per_image' is %zu, wanted a square of "
                       "1..%d",
                       tokens, TL_LARGEST_SIDE);
    return TL_OK;
}

/* One for each patch of the tower. */
static tl_status read_patch_side(const json_t *model, size_t patch, options *o,
                                 tl_error *err)
{
    const char *where = "config.json: vision_config";
    const json_t *vision = json_object_get(model, "vision_config");
    size_t image = 224;
    tl_status status =
        tl_image_side_read(vision, NULL, "image_size", where, &image, err);
    if (status == TL_OK)
        status = tl_image_side_read(vision, NULL, "patch_size", where, &patch, err);
    if (status == TL_OK && patch > image)
        status = tl_fail(err, TL_ERR_FORMAT,
                         "%s: 'image_size' is %zu, wanted at least the 'patch_size' of "
                         "%zu",
                         where, image, patch);
    o->side = image / patch;
    return status;
}

/* ---- reading ------------------------------------------------------------------------- */

static tl_status refuse_crops(const json_t *config, const char *where, tl_error *err)
{
    bool pan_and_scan = false;
    const tl_status status =
        tl_json_get_bool(config, "do_pan_and_scan", where, &pan_and_scan, err);
    if (status == TL_OK && pan_and_scan)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: 'do_pan_and_scan' is true, supported is false: a prompt "
                       "has one image, not its crops as well",
                       where);
    return status;
}

/* What all three have. `defaults` is what the processor's class says. */
static tl_status read_shared(const json_t *config, const char *where,
                             const char *processor, const options *defaults,
                             tl_arena *arena, options **out, tl_error *err)
{
    options *o = tl_arena_alloc(arena, 1, sizeof *o);
    if (o == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", where);
    *o = *defaults;
    tl_status status = tl_image_processor_check(config, where, processor, err);
    if (status == TL_OK)
        status = refuse_crops(config, where, err);
    if (status == TL_OK)
        status = tl_json_get_bool(config, "do_resize", where, &o->do_resize, err);
    if (status == TL_OK)
        status = tl_resample_read(config, where, &o->resample, err);
    if (status == TL_OK)
        status = tl_levels_read(config, where, &o->levels, err);
    if (status == TL_OK)
        *out = o;
    return status;
}

static tl_status read_gemma3(const json_t *config, const char *where,
                             const json_t *model, tl_arena *arena, const void **out,
                             tl_error *err)
{
    static const options defaults = {.do_resize = true,
                                     .size = {224, 224},
                                     .resample = TL_BILINEAR,
                                     .levels = TL_LEVELS_HALVES};
    options *o = NULL;
    tl_status status =
        read_shared(config, where, "Gemma3ImageProcessor", &defaults, arena, &o, err);
    if (status == TL_OK)
        status = read_extent(config, "size", where, &o->size, err);
    if (status == TL_OK)
        status = read_soft_side(model, o, err);
    if (status == TL_OK)
        *out = o;
    return status;
}

static tl_status read_paligemma(const json_t *config, const char *where,
                                const json_t *model, tl_arena *arena, const void **out,
                                tl_error *err)
{
    static const options defaults = {.do_resize = true,
                                     .size = {224, 224},
                                     .resample = TL_BICUBIC,
                                     .levels = TL_LEVELS_HALVES};
    options *o = NULL;
    tl_status status =
        read_shared(config, where, "SiglipImageProcessor", &defaults, arena, &o, err);
    if (status == TL_OK)
        status = read_extent(config, "size", where, &o->size, err);
    if (status == TL_OK)
        status = read_patch_side(model, 16, o, err);
    if (status == TL_OK)
        *out = o;
    return status;
}

static tl_status read_clip(const json_t *config, const char *where, const json_t *model,
                           tl_arena *arena, const void **out, tl_error *err)
{
    static const options defaults = {.do_resize = true,
                                     .do_crop = true,
                                     .shortest = 224,
                                     .crop = {224, 224},
                                     .resample = TL_BICUBIC,
                                     .levels = TL_LEVELS_CLIP};
    options *o = NULL;
    tl_status status =
        read_shared(config, where, "CLIPImageProcessor", &defaults, arena, &o, err);
    if (status == TL_OK)
        status = read_shortest(config, where, o, err);
    if (status == TL_OK)
        status = tl_json_get_bool(config, "do_center_crop", where, &o->do_crop, err);
    if (status == TL_OK)
        status = read_extent(config, "crop_size", where, &o->crop, err);
    if (status == TL_OK)
        status = read_patch_side(model, 32, o, err);
    if (status == TL_OK)
        *out = o;
    return status;
}

/* ---- making -------------------------------------------------------------------------- */

/* The longer edge keeps the shape, its fraction cut off. */
static tl_status new_size(const options *o, const tl_image *image, extent *out,
                          tl_error *err)
{
    *out = o->size;
    if (o->shortest == 0)
        return TL_OK;
    const bool upright = image->width <= image->height;
    const size_t shorter = upright ? image->width : image->height,
                 longer = upright ? image->height : image->width;
    const double scaled = (double)(o->shortest * longer) / (double)shorter;
    if (scaled > TL_LARGEST_SIDE)
        return tl_fail(err, TL_ERR_DATA,
                       "an image of %zux%zu would be %.0f pixels long when its shorter "
                       "edge is brought to %zu, wanted at most %d",
                       image->width, image->height, scaled, o->shortest,
                       TL_LARGEST_SIDE);
    const size_t new_longer = (size_t)scaled;
    *out =
        upright ? (extent){o->shortest, new_longer} : (extent){new_longer, o->shortest};
    return TL_OK;
}

/* Where the middle begins; negative: so much is missing before the picture. */
static ptrdiff_t crop_begin(size_t have, size_t wanted)
{
    return have >= wanted ? (ptrdiff_t)((have - wanted) / 2)
                          : -(ptrdiff_t)((wanted - have + 1) / 2);
}

/* The middle of a picture, black where it does not reach. */
static tl_status crop(const tl_image *image, extent to, tl_arena *arena, tl_image *out,
                      tl_error *err)
{
    enum { N = TL_CHANNEL_COUNT };
    uint8_t *rgb = tl_arena_alloc_zero(arena, to.width * to.height, N);
    if (rgb == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an image of %zux%zu",
                       to.width, to.height);
    const ptrdiff_t top = crop_begin(image->height, to.height),
                    left = crop_begin(image->width, to.width);
    const size_t from_x = left > 0 ? (size_t)left : 0,
                 to_x = left < 0 ? (size_t)-left : 0,
                 columns = image->width < to.width ? image->width : to.width;
    for (size_t y = 0; y < to.height; y++) {
        const ptrdiff_t from_y = (ptrdiff_t)y + top;
        if (from_y >= 0 && (size_t)from_y < image->height)
            memcpy(rgb + (y * to.width + to_x) * N,
                   image->rgb + ((size_t)from_y * image->width + from_x) * N,
                   columns * N);
    }
    *out = (tl_image){.width = to.width, .height = to.height, .rgb = rgb};
    return TL_OK;
}

static tl_status make_fixed(const void *kind_options, const tl_image *image,
                            tl_arena *arena, tl_pixels *out, tl_error *err)
{
    const options *o = kind_options;
    tl_arena *scratch = tl_arena_create();
    if (scratch == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to resize an image");
    tl_image made = *image;
    extent size;
    const float *values = NULL;
    tl_status status = o->do_resize ? new_size(o, image, &size, err) : TL_OK;
    if (status == TL_OK && o->do_resize)
        status = tl_image_resize(image, size.width, size.height, o->resample, scratch,
                                 &made, err);
    if (status == TL_OK && o->do_crop)
        status = crop(&made, o->crop, scratch, &made, err);
    if (status == TL_OK)
        values = tl_levels_planes(&o->levels, &made, arena);
    if (status == TL_OK && values == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an image of %zux%zu",
                         made.width, made.height);
    if (status == TL_OK)
        *out = (tl_pixels){.n_dims = 4,
                           .dims = {1, TL_CHANNEL_COUNT, made.height, made.width},
                           .values = values,
                           .n_tokens = o->side * o->side,
                           .n_views = 1,
                           .views = {{o->side, o->side}}};
    tl_arena_destroy(scratch);
    return status;
}

const tl_image_kind tl_image_kind_gemma3 = {read_gemma3, make_fixed};
const tl_image_kind tl_image_kind_paligemma = {read_paligemma, make_fixed};
const tl_image_kind tl_image_kind_clip = {read_clip, make_fixed};
