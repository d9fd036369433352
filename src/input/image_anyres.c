/* SPDX-License-Identifier: MIT
 *
 * image_anyres.c - LLaVA-NeXT's and LLaVA-OneVision's pictures (image_kind.h). Of the sizes
 * that the processor lists, the one in which most of the picture is left is taken, and of
 * those the one with the least around it. The picture is resized until it fits, put in the
 * middle of black, and cut into square tiles; in front of them stands the whole picture,
 * resized to one tile, whatever its shape. [tiles, channel, row, column].
 *
 * A token stands for each patch of the small picture, then row by row for the patches of the
 * tiles together, with one more behind each row (vision/pack.h): without the black around the
 * picture, and in OneVision for fewer than that when they are more than a number of tiles
 * would have.
 *
 * @source transformers 5, models/llava_next/image_processing_pil_llava_next.py and
 * processing_llava_next.py, and those of models/llava_onevision
 */
#include "input/image_kind.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "input/levels.h"

enum { MOST_SIZES = 256 };

typedef struct extent {
    size_t height, width;
} extent;

typedef struct sizes {
    size_t n;
    extent items[MOST_SIZES];
} sizes;

typedef struct options {
    sizes sizes;
    size_t side;      /* of a tile */
    size_t grid;      /* patches a side of it */
    size_t max_tiles; /* so many give at most as many features; 0: any number */
    tl_resample resample;
    tl_levels levels;
} options;

/* What the classes of the two processors, and of the two models, say of absent keys. */
typedef struct defaults {
    const char *processor;
    size_t size, crop, patch; /* crop 0: none */
    size_t max_tiles;
    void (*put_sizes)(sizes *out);
} defaults;

static void put_next_sizes(sizes *out)
{
    *out = (sizes){5, {{336, 672}, {672, 336}, {672, 672}, {1008, 336}, {336, 1008}}};
}

static void put_onevision_sizes(sizes *out)
{
    enum { SIDE = 384, MOST = 6 };
    out->n = 0;
    for (size_t y = 1; y <= MOST; y++)
        for (size_t x = 1; x <= MOST; x++)
            out->items[out->n++] = (extent){y * SIDE, x * SIDE};
}

static const defaults next_defaults = {.processor = "LlavaNextImageProcessor",
                                       .size = 224,
                                       .crop = 224,
                                       .patch = 32,
                                       .put_sizes = put_next_sizes},
                      onevision_defaults = {.processor = "LlavaOnevisionImageProcessor",
                                            .size = 384,
                                            .patch = 16,
                                            .max_tiles = 9,
                                            .put_sizes = put_onevision_sizes};

/* ---- reading ------------------------------------------------------------------------- */

/* The side of a square: a number, an object of one, or of two that are the same. */
static tl_status get_square(const json_t *config, const char *key, const char *where,
                            size_t *side, tl_error *err)
{
    const json_t *object = json_object_get(config, key);
    if (!json_is_object(object))
        return tl_image_side_read(config, NULL, key, where, side, err);
    size_t height = *side, width = *side;
    if (json_object_get(object, "shortest_edge") != NULL)
        return tl_image_side_read(object, NULL, "shortest_edge", where, side, err);
    tl_status status = tl_image_side_read(object, NULL, "height", where, &height, err);
    if (status == TL_OK)
        status = tl_image_side_read(object, NULL, "width", where, &width, err);
    if (status == TL_OK && height != width)
        status = tl_fail(err, TL_ERR_UNSUPPORTED,
                         "%s: '%s' is %zux%zu, supported are squares", where, key,
                         width, height);
    *side = height;
    return status;
}

/* 'image_grid_pinpoints': [height, width] each. */
static tl_status get_sizes(const json_t *config, const char *where, sizes *out,
                           tl_error *err)
{
    static const char key[] = "image_grid_pinpoints";
    const json_t *list = json_object_get(config, key);
    if (list == NULL || json_is_null(list))
        return TL_OK;
    const size_t n = json_array_size(list);
    if (n == 0 || n > MOST_SIZES)
        return tl_fail(err, TL_ERR_FORMAT, "%s: '%s' is not a list of 1 to %d sizes",
                       where, key, MOST_SIZES);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        const json_int_t height = json_integer_value(json_array_get(item, 0)),
                         width = json_integer_value(json_array_get(item, 1));
        if (json_array_size(item) != 2 || height <= 0 || width <= 0 ||
            height > TL_LARGEST_SIDE || width > TL_LARGEST_SIDE)
            return tl_fail(err, TL_ERR_FORMAT,
                           "%s: '%s[%zu]' is not a height and a width of 1..%d", where,
                           key, i, TL_LARGEST_SIDE);
        out->items[i] = (extent){(size_t)height, (size_t)width};
    }
    out->n = n;
    return TL_OK;
}

/* The model looks the size up in a list of its own: it has to find the same. */
static tl_status read_sizes(const json_t *config, const char *where,
                            const json_t *model, const defaults *d, options *o,
                            tl_error *err)
{
    sizes models;
    d->put_sizes(&models);
    d->put_sizes(&o->sizes);
    tl_status status = get_sizes(config, where, &o->sizes, err);
    if (status == TL_OK)
        status = get_sizes(model, "config.json", &models, err);
    if (status != TL_OK)
        return status;
    for (size_t i = 0; i < o->sizes.n && i < models.n; i++)
        if (o->sizes.items[i].height != models.items[i].height ||
            o->sizes.items[i].width != models.items[i].width)
            return tl_fail(err, TL_ERR_UNSUPPORTED,
                           "%s: 'image_grid_pinpoints[%zu]' is [%zu, %zu], and in "
                           "config.json [%zu, %zu]",
                           where, i, o->sizes.items[i].height, o->sizes.items[i].width,
                           models.items[i].height, models.items[i].width);
    if (o->sizes.n != models.n)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: 'image_grid_pinpoints' has %zu sizes, and in config.json "
                       "%zu",
                       where, o->sizes.n, models.n);
    for (size_t i = 0; i < o->sizes.n; i++)
        if (o->sizes.items[i].height % o->side != 0 ||
            o->sizes.items[i].width % o->side != 0)
            return tl_fail(err, TL_ERR_UNSUPPORTED,
                           "%s: 'image_grid_pinpoints[%zu]' is [%zu, %zu], supported "
                           "are multiples of the tile's side, %zu",
                           where, i, o->sizes.items[i].height, o->sizes.items[i].width,
                           o->side);
    return TL_OK;
}

/* A tile is cut, resized and cropped to one side, which is the tower's. */
static tl_status read_side(const json_t *config, const char *where, const json_t *model,
                           const defaults *d, options *o, tl_error *err)
{
    static const char vision_name[] = "config.json: vision_config";
    const json_t *vision = json_object_get(model, "vision_config"),
                 *cropped = json_object_get(config, "crop_size");
    size_t crop = d->crop, image = 224, patch = d->patch;
    o->side = d->size;
    tl_status status = get_square(config, "size", where, &o->side, err);
    if (json_is_null(cropped))
        crop = 0;
    else if (status == TL_OK && cropped != NULL)
        status = get_square(config, "crop_size", where, &crop, err);
    if (status == TL_OK && crop != 0 && crop != o->side)
        status = tl_fail(err, TL_ERR_UNSUPPORTED,
                         "%s: 'crop_size' is %zu, supported is that of 'size', %zu",
                         where, crop, o->side);
    if (status == TL_OK)
        status =
            tl_image_side_read(vision, NULL, "image_size", vision_name, &image, err);
    if (status == TL_OK)
        status =
            tl_image_side_read(vision, NULL, "patch_size", vision_name, &patch, err);
    if (status == TL_OK && image != o->side)
        status = tl_fail(err, TL_ERR_UNSUPPORTED,
                         "%s: 'size' is %zu, and 'image_size' of the tower in "
                         "config.json %zu",
                         where, o->side, image);
    if (status == TL_OK && patch > image)
        status = tl_fail(err, TL_ERR_FORMAT,
                         "%s: 'image_size' is %zu, wanted at least the 'patch_size' of "
                         "%zu",
                         vision_name, image, patch);
    o->grid = image / patch;
    return status;
}

/* "anyres_max_N". */
static tl_status read_max_tiles(const json_t *model, options *o, tl_error *err)
{
    static const char key[] = "vision_aspect_ratio", prefix[] = "anyres_max_";
    const char *text = "anyres_max_9";
    const tl_status status = tl_json_get_string(model, key, "config.json", &text, err);
    if (status != TL_OK)
        return status;
    char *end = NULL;
    const bool is_anyres = strncmp(text, prefix, sizeof prefix - 1) == 0;
    const char *number = text + (is_anyres ? sizeof prefix - 1 : 0);
    const long n = *number >= '1' && *number <= '9' ? strtol(number, &end, 10) : 0;
    if (!is_anyres || n <= 0 || n > TL_LARGEST_SIDE || *end != '\0')
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "config.json: '%s' is '%s', supported is anyres_max_N with a "
                       "number N of tiles",
                       key, text);
    o->max_tiles = (size_t)n;
    return TL_OK;
}

static tl_status read_anyres(const json_t *config, const char *where,
                             const json_t *model, const defaults *d, tl_arena *arena,
                             const void **out, tl_error *err)
{
    options *o = tl_arena_alloc_zero(arena, 1, sizeof *o);
    if (o == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", where);
    o->resample = TL_BICUBIC;
    o->levels = (tl_levels)TL_LEVELS_CLIP;
    tl_status status = tl_image_processor_check(config, where, d->processor, err);
    if (status == TL_OK)
        status = read_side(config, where, model, d, o, err);
    if (status == TL_OK)
        status = read_sizes(config, where, model, d, o, err);
    if (status == TL_OK && d->max_tiles != 0)
        status = read_max_tiles(model, o, err);
    if (status == TL_OK)
        status = tl_resample_read(config, where, &o->resample, err);
    if (status == TL_OK)
        status = tl_levels_read(config, where, &o->levels, err);
    if (status == TL_OK)
        *out = o;
    return status;
}

static tl_status read_next(const json_t *config, const char *where, const json_t *model,
                           tl_arena *arena, const void **out, tl_error *err)
{
    return read_anyres(config, where, model, &next_defaults, arena, out, err);
}

static tl_status read_onevision(const json_t *config, const char *where,
                                const json_t *model, tl_arena *arena, const void **out,
                                tl_error *err)
{
    return read_anyres(config, where, model, &onevision_defaults, arena, out, err);
}

/* ---- sizes: in double, as Python does it ---------------------------------------------- */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static extent best_size(const sizes *list, const tl_image *image)
{
    const double w = (double)image->width, h = (double)image->height;
    size_t most = 0, least_waste = SIZE_MAX;
    extent best = list->items[0];
    for (size_t i = 0; i < list->n; i++) {
        const extent *e = &list->items[i];
        const double by_width = (double)e->width / w, by_height = (double)e->height / h,
                     scale = by_height < by_width ? by_height : by_width;
        const size_t area = (size_t)(w * scale) * (size_t)(h * scale),
                     used = smaller(area, image->width * image->height),
                     waste = e->width * e->height - used;
        if (used > most || (used == most && waste < least_waste)) {
            most = used;
            least_waste = waste;
            best = *e;
        }
    }
    return best;
}

/* How large the picture is inside of it. */
static extent fit(extent to, const tl_image *image)
{
    const double w = (double)image->width, h = (double)image->height,
                 by_width = (double)to.width / w, by_height = (double)to.height / h;
    return by_width < by_height
               ? (extent){smaller((size_t)ceil(h * by_width), to.height), to.width}
               : (extent){to.height, smaller((size_t)ceil(w * by_height), to.width)};
}

/* Python's int(round(x, 7)). */
static size_t rounded_down(double x)
{
    char text[64];
    snprintf(text, sizeof text, "%.7f", x);
    return (size_t)strtod(text, NULL);
}

/* What of a grid is picture: the same number is left out on both sides. */
static extent without_padding(extent grid, const tl_image *image)
{
    const double w = (double)image->width, h = (double)image->height,
                 columns = (double)grid.width, rows = (double)grid.height;
    if (w / h > columns / rows) {
        const size_t kept = rounded_down(h * (columns / w));
        return (extent){grid.height - (grid.height - kept) / 2 * 2, grid.width};
    }
    const size_t kept = rounded_down(w * (rows / h));
    return (extent){grid.height, grid.width - (grid.width - kept) / 2 * 2};
}

/* Python's int(a // b). */
static size_t floor_of_quotient(size_t a, double b)
{
    const double x = (double)a, quotient = (x - fmod(x, b)) / b, down = floor(quotient);
    return (size_t)(quotient - down > 0.5 ? down + 1.0 : down);
}

/* No more features than max_tiles tiles have, or not many more. */
static extent few_enough(const options *o, extent grid)
{
    if (o->max_tiles == 0)
        return grid;
    const double ratio = sqrt((double)(grid.height * grid.width) /
                              (double)(o->max_tiles * o->grid * o->grid));
    return ratio > 1.1 ? (extent){floor_of_quotient(grid.height, ratio),
                                  floor_of_quotient(grid.width, ratio)}
                       : grid;
}

/* ---- making -------------------------------------------------------------------------- */

/* A square of a picture that lies at (left, top) of black: the values of one tile. */
static float *put_tile(float table[TL_CHANNEL_COUNT][TL_LEVEL_COUNT],
                       const tl_image *image, extent offset, extent corner, size_t side,
                       float *out)
{
    for (size_t c = 0; c < TL_CHANNEL_COUNT; c++)
        for (size_t i = 0; i < side; i++)
            for (size_t j = 0; j < side; j++, out++) {
                const size_t y = corner.height + i - offset.height,
                             x = corner.width + j - offset.width;
                /* Before the picture they are larger than any side. */
                *out =
                    y < image->height && x < image->width
                        ? table[c]
                               [image->rgb[(y * image->width + x) * TL_CHANNEL_COUNT +
                                           c]]
                        : table[c][0];
            }
    return out;
}

static tl_status make_values(const options *o, const tl_image *image, extent whole,
                             tl_arena *scratch, float *out, tl_error *err)
{
    float table[TL_CHANNEL_COUNT][TL_LEVEL_COUNT];
    const extent size = fit(whole, image), corner = {0, 0},
                 offset = {(whole.height - size.height) / 2,
                           (whole.width - size.width) / 2};
    tl_image small, large;
    tl_levels_table(&o->levels, table);
    tl_status status =
        tl_image_resize(image, o->side, o->side, o->resample, scratch, &small, err);
    if (status == TL_OK)
        status = tl_image_resize(image, size.width, size.height, o->resample, scratch,
                                 &large, err);
    if (status != TL_OK)
        return status;
    out = put_tile(table, &small, corner, corner, o->side, out);
    for (size_t y = 0; y < whole.height; y += o->side)
        for (size_t x = 0; x < whole.width; x += o->side)
            out = put_tile(table, &large, offset, (extent){y, x}, o->side, out);
    return TL_OK;
}

/* What each token sees: the small picture is the second view. */
static void put_cells(const tl_image_view views[TL_IMAGE_VIEWS], uint32_t *out)
{
    const size_t large = views[0].n_rows * views[0].n_columns,
                 small = views[1].n_rows * views[1].n_columns;
    uint32_t cell = 0;
    for (size_t i = 0; i < small; i++)
        *out++ = (uint32_t)(large + i);
    for (size_t row = 0; row < views[0].n_rows; row++) {
        for (size_t column = 0; column < views[0].n_columns; column++)
            *out++ = cell++;
        *out++ = TL_NO_CELL;
    }
}

static tl_status make_anyres(const void *kind_options, const tl_image *image,
                             tl_arena *arena, tl_pixels *out, tl_error *err)
{
    const options *o = kind_options;
    const extent whole = best_size(&o->sizes, image),
                 tiles = {whole.height / o->side, whole.width / o->side},
                 kept = without_padding(
                     (extent){tiles.height * o->grid, tiles.width * o->grid}, image),
                 shown = few_enough(o, kept);
    if (shown.height == 0 || shown.width == 0)
        return tl_fail(err, TL_ERR_DATA,
                       "an image of %zux%zu is too long: in %zux%zu pixels no row or "
                       "column of patches is left of it",
                       image->width, image->height, whole.width, whole.height);
    const size_t n_tiles = 1 + tiles.height * tiles.width,
                 n_tokens = o->grid * o->grid + shown.height * (shown.width + 1);
    if (n_tiles > TL_MOST_TILES)
        return tl_fail(
            err, TL_ERR_UNSUPPORTED,
            "an image of %zux%zu would be %zu tiles, at most %d are supported",
            image->width, image->height, n_tiles, TL_MOST_TILES);
    float *values = tl_arena_alloc(arena, n_tiles * o->side * o->side,
                                   TL_CHANNEL_COUNT * sizeof *values);
    uint32_t *cells = tl_arena_alloc(arena, n_tokens, sizeof *cells);
    tl_arena *scratch = tl_arena_create();
    tl_status status = TL_OK;
    if (values == NULL || cells == NULL || scratch == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an image of %zu tiles",
                         n_tiles);
    if (status == TL_OK)
        status = make_values(o, image, whole, scratch, values, err);
    const tl_pixels made = {.n_dims = 4,
                            .dims = {n_tiles, TL_CHANNEL_COUNT, o->side, o->side},
                            .values = values,
                            .grid_h = kept.height,
                            .grid_w = kept.width,
                            .tile_rows = tiles.height,
                            .tile_columns = tiles.width,
                            .n_tokens = n_tokens,
                            .n_views = 2,
                            .views = {{shown.height, shown.width}, {o->grid, o->grid}},
                            .cells = cells};
    if (status == TL_OK) {
        put_cells(made.views, cells);
        *out = made;
    }
    tl_arena_destroy(scratch);
    return status;
}

const tl_image_kind tl_image_kind_llava_next = {read_next, make_anyres};
const tl_image_kind tl_image_kind_llava_onevision = {read_onevision, make_anyres};
