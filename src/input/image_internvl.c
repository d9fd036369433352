/* SPDX-License-Identifier: MIT
 *
 * image_internvl.c - InternVL's pictures (image_kind.h): tiles of one size, as many and in
 * such a grid as comes closest to the picture's shape, and behind them the whole picture as
 * one tile more, if there are several: [n_tiles, channel, row, column].
 *
 * The processor cuts whatever 'crop_to_patches' says, which the hub's folders have as
 * false: InternVLProcessor sets it itself. With 'max_patches' 1 nothing is cut.
 *
 * @source transformers models/got_ocr2/image_processing_pil_got_ocr2.py,
 * models/internvl/processing_internvl.py
 */
#include "input/image_kind.h"

#include <math.h>

#include "base/json.h"
#include "input/levels.h"

typedef struct options {
    bool do_resize;
    size_t side;         /* of a tile */
    size_t fewest, most; /* tiles, without the whole picture */
    size_t patch;        /* side of what an image token stands for */
    tl_resample resample;
    tl_levels levels;
} options;

/* ---- reading ------------------------------------------------------------------------- */

static tl_status read_size(const json_t *config, const char *where, size_t *side,
                           tl_error *err)
{
    static const char *const keys[2] = {"height", "width"};
    const json_t *size = json_object_get(config, "size");
    size_t sides[2] = {*side, *side};
    if (size == NULL || json_is_null(size))
        return TL_OK;
    tl_status status = TL_OK;
    for (size_t i = 0; i < 2 && status == TL_OK; i++)
        if (!json_is_object(size))
            status = tl_json_get_size(config, "size", where, &sides[i], err);
        else if (json_object_get(size, keys[i]) == NULL)
            status = tl_fail(err, TL_ERR_FORMAT,
                             "%s: 'size' has no '%s'; wanted 'height' and 'width'",
                             where, keys[i]);
        else
            status = tl_json_get_size(size, keys[i], where, &sides[i], err);
    if (status != TL_OK)
        return status;
    if (sides[0] != sides[1] || sides[0] == 0 || sides[0] > TL_LARGEST_SIDE)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: 'size' is %zux%zu, supported are squares of 1..%d", where,
                       sides[0], sides[1], TL_LARGEST_SIDE);
    *side = sides[0];
    return TL_OK;
}

/* Pixels on a side of what an image token stands for: a square of patches. */
static tl_status read_token_side(const json_t *model, size_t *side, tl_error *err)
{
    size_t patch = 14;
    double ratio = 0.5;
    tl_status status =
        tl_json_get_square(json_object_get(model, "vision_config"), "patch_size",
                           "config.json: vision_config", &patch, err);
    if (status == TL_OK)
        status =
            tl_json_get_double(model, "downsample_ratio", "config.json", &ratio, err);
    if (status != TL_OK)
        return status;
    if (patch == 0 || patch > TL_LARGEST_SIDE || !(ratio > 1e-3 && ratio <= 1.0))
        return tl_fail(err, TL_ERR_FORMAT,
                       "config.json: patches of %zu pixels, brought to %g of their "
                       "number on a side",
                       patch, ratio);
    *side = patch * (size_t)(1.0 / ratio);
    return TL_OK;
}

static tl_status read_counts(const json_t *config, const char *where, options *o,
                             tl_error *err)
{
    tl_status status = tl_json_get_size(config, "min_patches", where, &o->fewest, err);
    if (status == TL_OK)
        status = tl_json_get_size(config, "max_patches", where, &o->most, err);
    if (status == TL_OK && o->most > TL_MOST_TILES)
        status = tl_fail(err, TL_ERR_UNSUPPORTED,
                         "%s: 'max_patches' is %zu, at most %d are supported", where,
                         o->most, TL_MOST_TILES);
    return status;
}

static tl_status read_kind(const json_t *config, const char *where, const json_t *model,
                           tl_arena *arena, const void **out, tl_error *err)
{
    options *o = tl_arena_alloc(arena, 1, sizeof *o);
    if (o == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", where);
    *o = (options){.do_resize = true,
                   .side = 384,
                   .fewest = 1,
                   .most = 12,
                   .resample = TL_BICUBIC,
                   .levels = TL_LEVELS_CLIP};
    tl_status status =
        tl_image_processor_check(config, where, "GotOcr2ImageProcessor", err);
    if (status == TL_OK)
        status = tl_json_get_bool(config, "do_resize", where, &o->do_resize, err);
    if (status == TL_OK)
        status = read_size(config, where, &o->side, err);
    if (status == TL_OK)
        status = read_counts(config, where, o, err);
    if (status == TL_OK)
        status = tl_resample_read(config, where, &o->resample, err);
    if (status == TL_OK)
        status = tl_levels_read(config, where, &o->levels, err);
    if (status == TL_OK)
        status = read_token_side(model, &o->patch, err);
    if (status == TL_OK && o->side < o->patch)
        status = tl_fail(err, TL_ERR_FORMAT,
                         "%s: 'size' is %zu, and an image token of the model stands "
                         "for %zux%zu pixels",
                         where, o->side, o->patch, o->patch);
    if (status == TL_OK)
        *out = o;
    return status;
}

/* ---- making -------------------------------------------------------------------------- */

typedef struct grid {
    size_t rows, columns;
} grid;

/*
 * The grid whose shape comes closest to the picture's; of two that come equally close the
 * larger, unless the picture has at most half as many pixels as its tiles.
 */
static grid best_grid(const options *o, const tl_image *image)
{
    const double shape = (double)image->width / (double)image->height,
                 area = (double)image->width * (double)image->height,
                 tile = (double)o->side * (double)o->side;
    grid best = {1, 1};
    double least = INFINITY;
    for (size_t n = o->fewest > 0 ? o->fewest : 1; n <= o->most; n++)
        for (size_t columns = 1; columns <= n; columns++) {
            if (n % columns != 0)
                continue;
            const grid g = {n / columns, columns};
            const double apart = fabs(shape - (double)columns / (double)g.rows);
            if (apart < least || (apart == least && area > 0.5 * tile * (double)n))
                best = g;
            least = fmin(least, apart);
        }
    return best;
}

/* The square of `side` pixels at (top, left) as [channel, row, column]. */
static void put_tile(float table[TL_CHANNEL_COUNT][TL_LEVEL_COUNT],
                     const tl_image *image, size_t top, size_t left, size_t side,
                     float *out)
{
    for (size_t c = 0; c < TL_CHANNEL_COUNT; c++)
        for (size_t y = top; y < top + side; y++)
            for (size_t x = left; x < left + side; x++)
                *out++ =
                    table[c][image->rgb[(y * image->width + x) * TL_CHANNEL_COUNT + c]];
}

/* The picture in the tiles of the grid, and behind them small as a whole; `out` has room
 * for all of them. */
static tl_status put_tiles(const options *o, const tl_image *image, grid g, float *out,
                           tl_error *err)
{
    float table[TL_CHANNEL_COUNT][TL_LEVEL_COUNT];
    const size_t side = o->side, count = TL_CHANNEL_COUNT * side * side;
    tl_image resized;
    tl_arena *scratch = tl_arena_create();
    if (scratch == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to resize an image");
    tl_levels_table(&o->levels, table);
    tl_status status = tl_image_resize(image, g.columns * side, g.rows * side,
                                       o->resample, scratch, &resized, err);
    for (size_t i = 0; i < g.rows * g.columns && status == TL_OK; i++, out += count)
        put_tile(table, &resized, i / g.columns * side, i % g.columns * side, side,
                 out);
    if (status == TL_OK && g.rows * g.columns > 1) {
        status =
            tl_image_resize(image, side, side, o->resample, scratch, &resized, err);
        if (status == TL_OK)
            put_tile(table, &resized, 0, 0, side, out);
    }
    tl_arena_destroy(scratch);
    return status;
}

/* Tokens come tile by tile, cells row by row through all tiles. n tokens on a side. */
static void number_cells(grid g, size_t n, uint32_t *cells)
{
    const size_t tiles = g.rows * g.columns;
    for (size_t t = 0; t < tiles; t++)
        for (size_t i = 0; i < n * n; i++) {
            const size_t row = t / g.columns * n + i / n,
                         column = t % g.columns * n + i % n;
            *cells++ = (uint32_t)(row * g.columns * n + column);
        }
    for (size_t i = 0; i < n * n; i++) /* of the whole picture */
        *cells++ = (uint32_t)(tiles * n * n + i);
}

static tl_status make_tiles(const options *o, const tl_image *image, tl_arena *arena,
                            tl_pixels *out, tl_error *err)
{
    const grid g = o->most > 1 ? best_grid(o, image) : (grid){1, 1};
    const bool is_cut = g.rows * g.columns > 1;
    const size_t n_tiles = g.rows * g.columns + is_cut, n = o->side / o->patch,
                 n_tokens = n_tiles * n * n;
    float *values = tl_arena_alloc(arena, n_tiles * o->side * o->side,
                                   TL_CHANNEL_COUNT * sizeof *values);
    uint32_t *cells = is_cut ? tl_arena_alloc(arena, n_tokens, sizeof *cells) : NULL;
    if (values == NULL || (is_cut && cells == NULL))
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an image of %zu tiles",
                       n_tiles);
    const tl_status status = put_tiles(o, image, g, values, err);
    if (status != TL_OK)
        return status;
    if (is_cut)
        number_cells(g, n, cells);
    *out = (tl_pixels){
        .n_dims = 4,
        .dims = {n_tiles, TL_CHANNEL_COUNT, o->side, o->side},
        .values = values,
        .tile_rows = is_cut ? g.rows : 0,
        .tile_columns = is_cut ? g.columns : 0,
        .n_tokens = n_tokens,
        .n_views = is_cut ? 2 : 1,
        .views = {{g.rows * n, g.columns * n}, {is_cut ? n : 0, is_cut ? n : 0}},
        .cells = cells};
    return TL_OK;
}

/* A picture that is neither cut nor resized: the tower wants it square. */
static tl_status make_as_it_is(const options *o, const tl_image *image, tl_arena *arena,
                               tl_pixels *out, tl_error *err)
{
    const size_t n = image->height / o->patch;
    if (image->width / o->patch != n || n == 0)
        return tl_fail(err, TL_ERR_DATA,
                       "an image of %zux%zu is not a square of image tokens of %zux%zu "
                       "pixels, and 'do_resize' is false",
                       image->width, image->height, o->patch, o->patch);
    const float *values = tl_levels_planes(&o->levels, image, arena);
    if (values == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an image of %zux%zu",
                       image->width, image->height);
    *out = (tl_pixels){.n_dims = 4,
                       .dims = {1, TL_CHANNEL_COUNT, image->height, image->width},
                       .values = values,
                       .n_tokens = n * n,
                       .n_views = 1,
                       .views = {{n, n}}};
    return TL_OK;
}

static tl_status make_kind(const void *kind_options, const tl_image *image,
                           tl_arena *arena, tl_pixels *out, tl_error *err)
{
    const options *o = kind_options;
    return o->most <= 1 && !o->do_resize ? make_as_it_is(o, image, arena, out, err)
                                         : make_tiles(o, image, arena, out, err);
}

const tl_image_kind tl_image_kind_internvl = {read_kind, make_kind};
