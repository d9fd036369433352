/* SPDX-License-Identifier: MIT
 *
 * image_idefics3.c - Idefics3's and SmolVLM's pictures (image_kind.h): the longest edge is
 * brought to a given length, then both sides to whole tiles, whatever becomes of the shape.
 * What is larger than one tile is cut into them, row by row, and the whole of it, brought to
 * the size of a tile, is one tile more: [tile, channel, row, column]. Without splitting
 * that one is all there is.
 *
 * @source transformers models/idefics3/image_processing_pil_idefics3.py and
 * models/smolvlm/image_processing_pil_smolvlm.py (which resize with Pillow; they differ in
 * names alone). Padding makes pictures of a batch alike and does nothing to one.
 */
#include "input/image_kind.h"

#include <string.h>

#include "base/json.h"
#include "input/levels.h"

/* No edge becomes longer than the first when a picture is brought to a length. */
enum { LONGEST_EDGE = 4096 };

typedef struct extent {
    size_t width, height;
} extent;

typedef struct options {
    bool do_resize, do_split;
    size_t longest; /* edge with do_resize; 0: see size */
    extent size;
    size_t tile; /* pixels a side */
    size_t side; /* image tokens of a tile a side */
    tl_resample resample;
    tl_levels levels;
} options;

/* ---- reading ------------------------------------------------------------------------- */

/* {"longest_edge": N}, or {"height": N, "width": M} where `exact` is not NULL. */
static tl_status read_edges(const json_t *config, const char *name, const char *where,
                            size_t *longest, extent *exact, tl_error *err)
{
    const json_t *object = json_object_get(config, name);
    if (object == NULL || json_is_null(object))
        return TL_OK;
    if (json_object_get(object, "longest_edge") != NULL)
        return tl_image_side_read(object, name, "longest_edge", where, longest, err);
    if (exact == NULL || json_object_get(object, "height") == NULL ||
        json_object_get(object, "width") == NULL)
        return tl_fail(err, TL_ERR_FORMAT, "%s: '%s' has no 'longest_edge'%s", where,
                       name, exact != NULL ? ", nor 'height' and 'width'" : "");
    *longest = 0;
    const tl_status status =
        tl_image_side_read(object, name, "height", where, &exact->height, err);
    return status == TL_OK
               ? tl_image_side_read(object, name, "width", where, &exact->width, err)
               : status;
}

/* How many tokens stand for a tile, the model says, and which tiles it takes. */
static tl_status read_tokens(const json_t *model, const char *where, options *o,
                             tl_error *err)
{
    const json_t *vision = json_object_get(model, "vision_config");
    size_t image = 224, patch = 32, merge = 2;
    const struct {
        const json_t *object;
        const char *name, *key;
        size_t *out;
    } sides[] = {{vision, "vision_config", "image_size", &image},
                 {vision, "vision_config", "patch_size", &patch},
                 {model, "config", "scale_factor", &merge}};
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        const tl_status status =
            tl_image_side_read(sides[i].object, sides[i].name, sides[i].key,
                               "config.json", sides[i].out, err);
        if (status != TL_OK)
            return status;
    }
    if (patch > image || o->tile / patch != image / patch || image / patch % merge != 0)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: 'max_image_size.longest_edge' is %zu, and the model takes "
                       "images of %zux%zu, in patches of %zu, %zu a side merged",
                       where, o->tile, image, image, patch, merge);
    o->side = image / patch / merge;
    return TL_OK;
}

/* SmolVLM's is the same under another name. */
static tl_status check_type(const json_t *config, const char *where, tl_error *err)
{
    static const char idefics3[] = "Idefics3ImageProcessor",
                      smolvlm[] = "SmolVLMImageProcessor";
    const char *type =
        json_string_value(json_object_get(config, "image_processor_type"));
    const bool is_smolvlm =
        type != NULL && strncmp(type, smolvlm, sizeof smolvlm - 1) == 0;
    return tl_image_processor_check(config, where, is_smolvlm ? smolvlm : idefics3,
                                    err);
}

static tl_status read_kind(const json_t *config, const char *where, const json_t *model,
                           tl_arena *arena, const void **out, tl_error *err)
{
    options *o = tl_arena_alloc(arena, 1, sizeof *o);
    if (o == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", where);
    *o = (options){.do_resize = true,
                   .do_split = true,
                   .longest = 4 * 364,
                   .tile = 364,
                   .resample = TL_LANCZOS,
                   .levels = TL_LEVELS_HALVES};
    tl_status status = check_type(config, where, err);
    if (status == TL_OK)
        status = tl_json_get_bool(config, "do_resize", where, &o->do_resize, err);
    if (status == TL_OK)
        status =
            tl_json_get_bool(config, "do_image_splitting", where, &o->do_split, err);
    if (status == TL_OK)
        status = read_edges(config, "size", where, &o->longest, &o->size, err);
    if (status == TL_OK)
        status = read_edges(config, "max_image_size", where, &o->tile, NULL, err);
    if (status == TL_OK)
        status = tl_resample_read(config, where, &o->resample, err);
    if (status == TL_OK)
        status = tl_levels_read(config, where, &o->levels, err);
    if (status == TL_OK)
        status = read_tokens(model, where, o, err);
    if (status == TL_OK)
        *out = o;
    return status;
}

/* ---- sizes: in double, as Python does it ----------------------------------------------- */

/* The other edge in proportion, rounded down. */
static extent keep_shape(extent is, size_t longest)
{
    const double shape = (double)is.width / (double)is.height;
    return is.width >= is.height ? (extent){longest, (size_t)((double)longest / shape)}
                                 : (extent){(size_t)((double)longest * shape), longest};
}

/* The other edge is rounded up to an even number, too, but not where both are made
 * smaller again since one is longer than any may be. */
static extent bring_to(extent is, size_t longest)
{
    extent to = keep_shape(is, longest);
    size_t *other = is.width >= is.height ? &to.height : &to.width;
    *other += *other % 2 + (*other == 0);
    if (to.width > LONGEST_EDGE || to.height > LONGEST_EDGE)
        to = keep_shape(to, LONGEST_EDGE);
    to.width += to.width == 0;
    to.height += to.height == 0;
    return to;
}

static size_t round_up(size_t n, size_t tile)
{
    return (n + tile - 1) / tile * tile;
}

static tl_status whole_tiles(extent is, size_t tile, extent *out, tl_error *err)
{
    const size_t longest = is.width > is.height ? is.width : is.height;
    const extent to = keep_shape(is, round_up(longest, tile));
    if (to.width == 0 || to.height == 0)
        return tl_fail(err, TL_ERR_DATA,
                       "an image of %zux%zu has no pixel left on one side when it is "
                       "brought to tiles of %zu",
                       is.width, is.height, tile);
    *out = (extent){round_up(to.width, tile), round_up(to.height, tile)};
    return TL_OK;
}

/* ---- making -------------------------------------------------------------------------- */

/* The tile that begins at (top, left). */
static float *put_tile(float table[TL_CHANNEL_COUNT][TL_LEVEL_COUNT],
                       const tl_image *image, size_t top, size_t left, size_t tile,
                       float *out)
{
    for (size_t c = 0; c < TL_CHANNEL_COUNT; c++)
        for (size_t y = 0; y < tile; y++) {
            const uint8_t *row = image->rgb + ((top + y) * image->width + left) *
                                                  (size_t)TL_CHANNEL_COUNT;
            for (size_t x = 0; x < tile; x++)
                *out++ = table[c][row[x * TL_CHANNEL_COUNT + c]];
        }
    return out;
}

/* What each token sees: the tiles together are the first view, the last tile the second. */
static void fill_cells(const options *o, size_t rows, size_t columns, uint32_t *cells)
{
    const size_t side = o->side, width = columns * side;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++)
            for (size_t i = 0; i < side; i++)
                for (size_t j = 0; j < side; j++)
                    *cells++ = (uint32_t)((r * side + i) * width + c * side + j);
    for (size_t i = 0; i < side * side; i++)
        *cells++ = (uint32_t)(rows * columns * side * side + i);
}

/* `tiles` is NULL when the picture is not cut. */
static tl_status make_pixels(const options *o, const tl_image *tiles,
                             const tl_image *whole, tl_arena *arena, tl_pixels *out,
                             tl_error *err)
{
    const size_t rows = tiles != NULL ? tiles->height / o->tile : 0,
                 columns = tiles != NULL ? tiles->width / o->tile : 0,
                 n_tiles = rows * columns + 1, n_tokens = n_tiles * o->side * o->side;
    if (n_tiles > TL_MOST_TILES)
        return tl_fail(
            err, TL_ERR_UNSUPPORTED,
            "an image of %zux%zu would be %zu tiles, at most %d are supported",
            tiles->width, tiles->height, n_tiles, TL_MOST_TILES);
    float *values = tl_arena_alloc(arena, n_tiles * o->tile * o->tile,
                                   TL_CHANNEL_COUNT * sizeof *values);
    uint32_t *cells =
        tiles != NULL ? tl_arena_alloc(arena, n_tokens, sizeof *cells) : NULL;
    if (values == NULL || (tiles != NULL && cells == NULL))
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu tiles of %zux%zu",
                       n_tiles, o->tile, o->tile);
    float table[TL_CHANNEL_COUNT][TL_LEVEL_COUNT], *at = values;
    tl_levels_table(&o->levels, table);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++)
            at = put_tile(table, tiles, r * o->tile, c * o->tile, o->tile, at);
    put_tile(table, whole, 0, 0, o->tile, at);
    if (cells != NULL)
        fill_cells(o, rows, columns, cells);
    const tl_image_view all = {rows * o->side, columns * o->side},
                        small = {o->side, o->side};
    *out = (tl_pixels){.n_dims = 4,
                       .dims = {n_tiles, TL_CHANNEL_COUNT, o->tile, o->tile},
                       .values = values,
                       .tile_rows = rows,
                       .tile_columns = columns,
                       .n_tokens = n_tokens,
                       .n_views = tiles != NULL ? 2 : 1,
                       .views = {tiles != NULL ? all : small, small},
                       .cells = cells};
    return TL_OK;
}

/* Each step is made of what the step before has left. */
static tl_status make_kind(const void *kind_options, const tl_image *image,
                           tl_arena *arena, tl_pixels *out, tl_error *err)
{
    const options *o = kind_options;
    tl_arena *scratch = tl_arena_create();
    if (scratch == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to resize an image");
    tl_image made = *image, whole = made;
    extent size = {image->width, image->height};
    tl_status status = TL_OK;
    if (o->do_resize) {
        size = o->longest > 0 ? bring_to(size, o->longest) : o->size;
        status = tl_image_resize(&made, size.width, size.height, o->resample, scratch,
                                 &made, err);
    }
    if (status == TL_OK && o->do_split)
        status = whole_tiles(size, o->tile, &size, err);
    if (status == TL_OK && o->do_split)
        status = tl_image_resize(&made, size.width, size.height, o->resample, scratch,
                                 &made, err);
    if (status == TL_OK)
        status =
            tl_image_resize(&made, o->tile, o->tile, o->resample, scratch, &whole, err);
    const bool is_cut = o->do_split && (size.width > o->tile || size.height > o->tile);
    if (status == TL_OK)
        status = make_pixels(o, is_cut ? &made : NULL, &whole, arena, out, err);
    tl_arena_destroy(scratch);
    return status;
}

const tl_image_kind tl_image_kind_idefics3 = {read_kind, make_kind};
