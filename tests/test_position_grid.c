/* SPDX-License-Identifier: MIT
 *
 * test_position_grid.c - learned positions that are stretched: by cubics as torch 2.7 does
 * it, interpolate(mode="bicubic", align_corners=False) in double, and both ways exactly
 * where nothing is stretched.
 */
#include "testing.h"

#include "vision/position_grid.h"

enum { SIDE = 4, WIDTH = 2 };
static const float table[SIDE * SIDE] = {3,  -1, 4, 1,  5, -9, 2,  6,
                                         -5, 3,  5, -8, 9, 7,  -9, 3};

/* The table in both dimensions of a position, in one of them times 2. */
static void fill(float *out)
{
    for (size_t i = 0; i < SIDE * SIDE; i++) {
        out[i * WIDTH] = table[i];
        out[i * WIDTH + 1] = 2.0f * table[i];
    }
}

static void cubics_are_those_of_torch(void **state)
{
    (void)state;
    static const struct {
        size_t rows, columns;
        double want[24];
    } cases[] = {
        {3,
         5,
         {3.81403877, -1.39691638, 0.266239873, 3.84992911, 1.85735909, -0.94275,
          -4.2526875, 0.548828125, 3.863375, -1.93839063, 6.828239, 8.18169416,
          -0.930302373, -6.17045689, 1.6713423}},
        {6, 4, {2.82638889, -0.305555556, 4.17361111,  0.565972222, 4.9375,
                -6.125,     2.71875,      4.8125,      3.49537037,  -8.04166667,
                2.5,        4.2337963,    -4.74537037, 0.791666667, 5.75,
                -6.8587963, 1.0625,       6.125,       -1.71875,    -3.8125,
                10.2152778, 7.34722222,   -10.2152778, 3.95486111}},
    };
    float wide[SIDE * SIDE * WIDTH];
    fill(wide);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        float x[24 * WIDTH];
        const size_t n = cases[c].rows * cases[c].columns;
        for (size_t i = 0; i < n * WIDTH; i++)
            x[i] = 0.5f;
        tl_position_grid_add_cubic(wide, SIDE, WIDTH, cases[c].rows, cases[c].columns,
                                   x);
        for (size_t i = 0; i < n; i++) {
            assert_close("value", i, (double)x[i * WIDTH], 0.5 + cases[c].want[i],
                         1e-5);
            assert_close("twice", i, (double)x[i * WIDTH + 1],
                         0.5 + 2.0 * cases[c].want[i], 1e-5);
        }
    }
}

static void what_is_not_stretched_is_the_table(void **state)
{
    (void)state;
    float wide[SIDE * SIDE * WIDTH],
        cubic[SIDE * SIDE * WIDTH] = {0}, linear[SIDE * SIDE * WIDTH] = {0};
    fill(wide);
    tl_position_grid_add_cubic(wide, SIDE, WIDTH, SIDE, SIDE, cubic);
    tl_position_grid_add(wide, SIDE, WIDTH, SIDE, SIDE, 1, linear);
    assert_memory_equal(cubic, wide, sizeof wide);
    assert_memory_equal(linear, wide, sizeof wide);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cubics_are_those_of_torch),
        cmocka_unit_test(what_is_not_stretched_is_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
