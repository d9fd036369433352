/* SPDX-License-Identifier: MIT
 * pack.c - see pack.h. */
#include "vision/pack.h"

#include <stdio.h>
#include <string.h>

tl_status tl_pack_find(const tl_finder *f, const tl_vision_spec *v,
                       const float **newline, tl_error *err)
{
    static const char *const prefixes[] = {"", "model."};
    char found[64], name[TL_STEM_BYTES];
    tl_find_prefix(f->file, prefixes, sizeof prefixes / sizeof *prefixes,
                   "image_newline", found, sizeof found);
    snprintf(name, sizeof name, "%simage_newline", found);
    return tl_find_vector(f, name, v->d_model, 0.0f, newline, err);
}

/* Whether the middle `kept` of `all` has as much before it as behind, and becomes `shown`. */
static bool is_middle(size_t all, size_t kept, size_t shown)
{
    return kept <= all && (all - kept) % 2 == 0 && shown > 0 && shown <= kept;
}

tl_status tl_pack_count(const tl_vision_spec *v, const tl_pixels *pixels, size_t *count,
                        tl_error *err)
{
    const tl_image_view *view = &pixels->views[0];
    const size_t n = v->grid, rows = pixels->tile_rows, columns = pixels->tile_columns,
                 made = n * n + view->n_rows * (view->n_columns + 1);
    if (pixels->dims[0] != 1 + rows * columns || pixels->n_views != 2 ||
        !is_middle(rows * n, pixels->grid_h, view->n_rows) ||
        !is_middle(columns * n, pixels->grid_w, view->n_columns))
        return tl_fail(err, TL_ERR_DATA,
                       "an image of %zu tiles does not fit %zux%zu tiles of %zux%zu "
                       "features, of which %zux%zu become %zux%zu",
                       pixels->dims[0], rows, columns, n, n, pixels->grid_h,
                       pixels->grid_w, view->n_rows, view->n_columns);
    if (pixels->n_tokens != made)
        return tl_fail(err, TL_ERR_DATA,
                       "an image of %zu tokens, its tiles give %zu features",
                       pixels->n_tokens, made);
    *count = made;
    return TL_OK;
}

/* Two places of a row or column and the share of the second. */
typedef struct between {
    size_t low, high;
    float share;
} between;

static between place_of(size_t i, size_t from, size_t to)
{
    const double at = ((double)i + 0.5) * (double)from / (double)to - 0.5,
                 inside = at > 0.0 ? at : 0.0;
    const size_t low = (size_t)inside < from ? (size_t)inside : from - 1;
    return (between){.low = low,
                     .high = low + 1 < from ? low + 1 : low,
                     .share = (float)(inside - (double)low)};
}

/* K[row, column]. */
static const float *kept_feature(const tl_vision_spec *v, const tl_pixels *pixels,
                                 const float *tiles, size_t row, size_t column)
{
    const size_t n = v->grid, y = row + (pixels->tile_rows * n - pixels->grid_h) / 2,
                 x = column + (pixels->tile_columns * n - pixels->grid_w) / 2,
                 tile = 1 + y / n * pixels->tile_columns + x / n;
    return tiles + (tile * n * n + y % n * n + x % n) * v->d_model;
}

/* S[row, column]. */
static void shrink(const tl_vision_spec *v, const tl_pixels *pixels, const float *tiles,
                   between row, between column, float *out)
{
    const float *corners[2][2];
    for (size_t y = 0; y < 2; y++)
        for (size_t x = 0; x < 2; x++)
            corners[y][x] = kept_feature(v, pixels, tiles, y == 0 ? row.low : row.high,
                                         x == 0 ? column.low : column.high);
    for (size_t d = 0; d < v->d_model; d++) {
        const float above = corners[0][0][d] * (1.0f - column.share) +
                            corners[0][1][d] * column.share,
                    below = corners[1][0][d] * (1.0f - column.share) +
                            corners[1][1][d] * column.share;
        out[d] = above * (1.0f - row.share) + below * row.share;
    }
}

void tl_pack_run(const tl_vision_spec *v, const tl_pixels *pixels, const float *newline,
                 const float *tiles, float *out)
{
    const tl_image_view *view = &pixels->views[0];
    const size_t d_model = v->d_model, bytes = d_model * sizeof *out;
    memcpy(out, tiles, v->grid * v->grid * bytes);
    out += v->grid * v->grid * d_model;
    for (size_t i = 0; i < view->n_rows; i++) {
        const between row = place_of(i, pixels->grid_h, view->n_rows);
        for (size_t j = 0; j < view->n_columns; j++, out += d_model)
            shrink(v, pixels, tiles, row, place_of(j, pixels->grid_w, view->n_columns),
                   out);
        memcpy(out, newline, bytes);
        out += d_model;
    }
}
