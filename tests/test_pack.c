/* SPDX-License-Identifier: MIT
 * test_pack.c - features of tiles laid together, against the definition in double, and what
 * does not fit together. */
#include "testing.h"

#include <math.h>

#include "vision/pack.h"

enum { GRID = 3, D_MODEL = 5, TILE_ROWS = 2, TILE_COLUMNS = 3, TILES = 1 + 2 * 3 };

static const tl_vision_spec vision = {.grid = GRID, .d_model = D_MODEL, .packs = true};

static tl_pixels pixels_of(size_t height, size_t width, size_t rows, size_t columns)
{
    return (tl_pixels){.n_dims = 4,
                       .dims = {TILES, 3, 6, 6},
                       .grid_h = height,
                       .grid_w = width,
                       .tile_rows = TILE_ROWS,
                       .tile_columns = TILE_COLUMNS,
                       .n_tokens = GRID * GRID + rows * (columns + 1),
                       .n_views = 2,
                       .views = {{rows, columns}, {GRID, GRID}}};
}

/* How much of the feature at `at` of `n` belongs to place i of `to`. */
static double weight(size_t i, size_t to, size_t at, size_t n)
{
    const double place = fmax(((double)i + 0.5) * (double)n / (double)to - 0.5, 0.0);
    return fmax(1.0 - fabs(place - (double)at), 0.0);
}

static void features_are_laid_as_defined(void **state)
{
    (void)state;
    static const size_t cases[][4] = {
        {6, 9, 6, 9}, {4, 9, 4, 9}, {6, 5, 6, 5}, {6, 9, 3, 5}, {4, 9, 3, 8},
        {6, 3, 4, 2}, {2, 9, 1, 6}, {6, 9, 1, 1}, {6, 7, 5, 7},
    };
    float tiles[TILES * GRID * GRID * D_MODEL], newline[D_MODEL];
    static float out[(GRID * GRID + 6 * 10) * D_MODEL];
    uint32_t seed = 3u;
    for (size_t i = 0; i < sizeof tiles / sizeof *tiles; i++)
        tiles[i] = test_uniform(&seed);
    for (size_t d = 0; d < D_MODEL; d++)
        newline[d] = test_uniform(&seed);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const size_t h = cases[k][0], w = cases[k][1], rows = cases[k][2],
                     columns = cases[k][3], top = (TILE_ROWS * GRID - h) / 2,
                     left = (TILE_COLUMNS * GRID - w) / 2;
        const tl_pixels p = pixels_of(h, w, rows, columns);
        size_t count = 0;
        tl_error err = {0};
        if (tl_pack_count(&vision, &p, &count, &err) != TL_OK)
            fail_msg("%s", err.text);
        assert_int_equal(count, p.n_tokens);
        tl_pack_run(&vision, &p, newline, tiles, out);
        for (size_t i = 0; i < count; i++)
            for (size_t d = 0; d < D_MODEL; d++) {
                const size_t j = i - GRID * GRID, row = j / (columns + 1),
                             column = j % (columns + 1);
                double want = 0.0;
                if (i < GRID * GRID)
                    want = (double)tiles[i * D_MODEL + d];
                else if (column == columns)
                    want = (double)newline[d];
                else
                    for (size_t y = 0; y < h; y++)
                        for (size_t x = 0; x < w; x++) {
                            const size_t Y = y + top, X = x + left,
                                         tile = 1 + Y / GRID * TILE_COLUMNS + X / GRID,
                                         inside = Y % GRID * GRID + X % GRID;
                            want +=
                                weight(row, rows, y, h) *
                                weight(column, columns, x, w) *
                                (double)
                                    tiles[(tile * GRID * GRID + inside) * D_MODEL + d];
                        }
                assert_close("features", i * D_MODEL + d, (double)out[i * D_MODEL + d],
                             want, 1e-6);
            }
    }
}

static void numbers_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    const tl_pixels good = pixels_of(4, 9, 3, 8);
    for (int i = 0; i < 7; i++) {
        tl_pixels p = good;
        tl_error err = {0};
        size_t count = 77;
        if (i == 0)
            p.dims[0]--;
        else if (i == 1)
            p.grid_h = 5; /* not as much above as below */
        else if (i == 2)
            p.grid_w = 11;
        else if (i == 3)
            p.views[0].n_rows = 5;
        else if (i == 4)
            p.views[0].n_columns = 0;
        else if (i == 5)
            p.n_views = 1;
        else
            p.n_tokens++;
        assert_int_equal(tl_pack_count(&vision, &p, &count, &err), TL_ERR_DATA);
        assert_int_equal(count, 77);
        assert_non_null(strstr(err.text, i < 6 ? "does not fit" : "tokens"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features_are_laid_as_defined),
        cmocka_unit_test(numbers_that_contradict_each_other_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
