/* SPDX-License-Identifier: MIT
 *
 * test_patches.c - sizes and pixel values against transformers 4.51.3's
 * Qwen2VLImageProcessor.
 */
#include "testing.h"

#include <string.h>

#include "base/json.h"
#include "input/patches.h"

static tl_status read_options(const char *json, tl_patch_options *options,
                              tl_error *err)
{
    json_t *config = NULL;
    assert_int_equal(tl_json_parse(json, strlen(json), "p.json", &config, NULL), TL_OK);
    const tl_status status = tl_patch_options_read(config, "p.json", options, err);
    json_decref(config);
    return status;
}

static void sizes_are_those_of_smart_resize(void **state)
{
    (void)state;
    static const struct {
        size_t width, height, multiple, min_pixels, max_pixels, want_width, want_height;
    } cases[] = {
        {252, 252, 28, 3136, 1003520, 252, 252},
        {338, 75, 28, 3136, 1003520, 336, 84},
        {28, 28, 28, 3136, 12544, 56, 56},
        {42, 70, 28, 784, 12544, 56, 56},
        {70, 42, 28, 784, 12544, 56, 56},
        {98, 126, 28, 784, 12544, 112, 112},
        {5600, 28, 28, 3136, 1003520, 5600, 28},
        {84, 56, 28, 784, 12544, 84, 56},
        {500, 375, 28, 784, 12544, 112, 84},
        {30, 31, 28, 3136, 12845056, 56, 84},
        {4000, 3000, 28, 3136, 12845056, 4004, 2996},
        {1025, 769, 32, 65536, 16777216, 1024, 768},
        {1002, 2455, 28, 78400, 12544, 56, 168},
        {1543, 2501, 28, 3136, 12845056, 1540, 2492},
        {2407, 296, 28, 78400, 12544, 308, 28},
        {1949, 1090, 28, 78400, 12544, 140, 56},
        {813, 2965, 28, 3136, 12845056, 812, 2968},
        {2279, 1979, 28, 3136, 12845056, 2268, 1988},
        {644, 977, 28, 78400, 12544, 84, 112},
        {2170, 1625, 28, 78400, 12544, 112, 84},
        {2778, 290, 28, 784, 12845056, 2772, 280},
        {203, 1261, 28, 784, 1003520, 196, 1260},
        {1964, 2464, 28, 78400, 1003520, 868, 1120},
        {2953, 1776, 28, 3136, 12845056, 2940, 1764},
        {2391, 1849, 28, 784, 1003520, 1120, 868},
        {427, 174, 28, 784, 1003520, 420, 168},
        {916, 1084, 28, 78400, 1003520, 896, 1064},
        {2594, 1261, 28, 3136, 12845056, 2604, 1260},
        {1608, 2379, 28, 3136, 12845056, 1596, 2380},
        {2424, 1697, 28, 78400, 12544, 112, 84},
        {1407, 2821, 28, 784, 1003520, 700, 1400},
        {2509, 2777, 28, 78400, 12544, 84, 112},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const tl_patch_options options = {.do_resize = true,
                                          .patch_size = cases[i].multiple / 2,
                                          .merge_size = 2,
                                          .min_pixels = cases[i].min_pixels,
                                          .max_pixels = cases[i].max_pixels};
        size_t width = 0, height = 0;
        assert_int_equal(tl_patches_size(&options, cases[i].width, cases[i].height,
                                         &width, &height, NULL),
                         TL_OK);
        assert_int_equal(width, cases[i].want_width);
        assert_int_equal(height, cases[i].want_height);
    }
}

/* As smart_resize() of transformers 5.24. */
static void newer_folders_enlarge_short_sides(void **state)
{
    (void)state;
    static const struct {
        size_t width, height, min_pixels, max_pixels, want_width, want_height;
    } cases[] = {
        {5, 5, 3136, 1003520, 56, 56},     {27, 100, 784, 1003520, 28, 112},
        {100, 3, 3136, 1003520, 336, 28},  {13, 13, 784, 1003520, 28, 28},
        {5600, 28, 784, 12544, 1568, 28},  {1, 150, 784, 12544, 28, 364},
        {10, 900, 3136, 1003520, 28, 532}, {301, 301, 784, 12544, 112, 112},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const tl_patch_options options = {.do_resize = true,
                                          .enlarges = true,
                                          .patch_size = 14,
                                          .merge_size = 2,
                                          .min_pixels = cases[i].min_pixels,
                                          .max_pixels = cases[i].max_pixels};
        size_t width = 0, height = 0;
        assert_int_equal(tl_patches_size(&options, cases[i].width, cases[i].height,
                                         &width, &height, NULL),
                         TL_OK);
        assert_int_equal(width, cases[i].want_width);
        assert_int_equal(height, cases[i].want_height);
    }
}

static void impossible_sizes_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t width, height, max_pixels;
        bool do_resize;
        const char *message;
    } cases[] = {
        {27, 100, 1003520, true,
         "the image is 27x100; this model needs at least 28 pixels a side, as "
         "transformers up to 4.52, with which its folder was saved"},
        {5629, 28, 1003520, true,
         "the image is 5629x28; this model takes none that is more than 200 times as "
         "long "
         "as wide"},
        {5600, 28, 12544, true,
         "the image is 5600x28, and within max_pixels 12544 its shorter side would be "
         "less "
         "than 28 pixels"},
        {56, 57, 12544, false,
         "the image is 56x57; without 'do_resize' its sides have to be multiples of "
         "28"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const tl_patch_options options = {.do_resize = cases[i].do_resize,
                                          .patch_size = 14,
                                          .merge_size = 2,
                                          .min_pixels = 784,
                                          .max_pixels = cases[i].max_pixels};
        tl_error err = {0};
        size_t width = 77, height = 78;
        assert_int_equal(tl_patches_size(&options, cases[i].width, cases[i].height,
                                         &width, &height, &err),
                         TL_ERR_DATA);
        assert_string_equal(err.text, cases[i].message);
        assert_int_equal(width, 77);
        assert_int_equal(height, 78);
    }
}

enum { N_SAMPLES = 11 };

/* On the picture rgb[y][x][c] = (7 x + 13 y + 50 c) mod 256, 8 wide and 12 high:
 * some values, and the sum of all. */
static void values_are_those_of_transformers(void **state)
{
    (void)state;
#define SMALL                                                                          \
    "{\"patch_size\": 2, \"min_pixels\": 16, \"max_pixels\": 48,"                      \
    " \"size\": {\"shortest_edge\": 1, \"longest_edge\": 2}"
    static const struct {
        const char *options;
        size_t grid_h, grid_w;
        float samples[N_SAMPLES];
        double sum;
    } cases[] = {
        {SMALL "}",
         4,
         2,
         {-1.6754751f, -1.4856956f, -1.4856956f, -1.2229239f, -0.8816466f, -0.6865455f,
          0.4963695f, -1.2667192f, -0.6973805f, -1.0251776f, -1.1389382f},
         57.890455265995115},
        {SMALL ", \"do_rescale\": false}",
         4,
         2,
         {27.988525f, 76.38231f, 76.38231f, 143.38908f, 220.21278f, 269.96356f,
          502.55005f, 132.2213f, 277.40265f, 114.55552f, 85.546585f},
         96441.62855148315},
        {SMALL ", \"do_normalize\": false}",
         4,
         2,
         {0.03137255f, 0.08235294f, 0.08235294f, 0.15294118f, 0.22745098f, 0.2784314f,
          0.54509807f, 0.14117648f, 0.29411766f, 0.1254902f, 0.09411765f},
         101.97647297382355},
        {SMALL ", \"do_rescale\": false, \"do_normalize\": false}",
         4,
         2,
         {8.0f, 21.0f, 21.0f, 39.0f, 58.0f, 71.0f, 139.0f, 36.0f, 75.0f, 32.0f, 24.0f},
         26004.0},
        {SMALL ", \"resample\": 2}",
         4,
         2,
         {-1.6462783f, -1.4564987f, -1.4564987f, -1.193727f, -0.851631f, -0.65652996f,
          0.52480966f, -1.2521207f, -0.7119789f, -0.669676f, -1.1104981f},
         58.62011691299267},
        {SMALL ", \"image_mean\": 0.5, \"image_std\": [0.25, 0.25, 0.25], "
               "\"rescale_factor\": 0.01}",
         4,
         2,
         {-1.6800001f, -1.1600001f, -1.1600001f, -0.44000006f, 0.31999993f, 0.8399999f,
          3.56f, -0.55999994f, 1.0f, -0.72f, -1.04f},
         656.1599957942963},
        {SMALL ", \"do_resize\": false}",
         6,
         4,
         {-1.7922626f, -1.6900735f, -1.6900735f, -1.500294f, -1.0017087f, -0.8966543f,
          0.22618815f, -1.5878845f, -1.2083255f, 1.0082918f, -0.96829736f},
         172.81816313182935},
        {SMALL ", \"temporal_patch_size\": 3}",
         4,
         2,
         {-1.6754751f, -1.4856956f, -1.4856956f, -1.2229239f, -1.6754751f, -0.6865455f,
          -0.4164057f, -1.2667192f, -0.6973805f, 1.4895808f, -1.1389382f},
         86.83568289899267},
    };
    uint8_t rgb[12][8][3];
    for (size_t y = 0; y < 12; y++)
        for (size_t x = 0; x < 8; x++)
            for (size_t c = 0; c < 3; c++)
                rgb[y][x][c] = (uint8_t)(7 * x + 13 * y + 50 * c);
    const tl_image image = {.width = 8, .height = 12, .rgb = &rgb[0][0][0]};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        tl_error err = {0};
        tl_patch_options options;
        tl_pixels pixels;
        if (read_options(cases[i].options, &options, &err) != TL_OK ||
            tl_patches_make(&options, &image, arena, &pixels, &err) != TL_OK)
            fail_msg("%s", err.text);
        assert_int_equal(pixels.grid_t, 1);
        assert_int_equal(pixels.grid_h, cases[i].grid_h);
        assert_int_equal(pixels.n_tokens, pixels.dims[0] / 4);
        assert_int_equal(pixels.grid_w, cases[i].grid_w);
        assert_int_equal(pixels.n_dims, 2);
        assert_int_equal(pixels.dims[0], pixels.grid_h * pixels.grid_w);
        assert_int_equal(pixels.dims[1], 12 * options.temporal_patch_size);

        const size_t width = pixels.dims[1], n = pixels.dims[0] * width;
        const size_t places[N_SAMPLES] = {
            0, 1, 5, 7, 8, 13, 23, width, 3 * width + 4, 7 * width + 17, n - 1};
        for (size_t k = 0; k < N_SAMPLES; k++)
            if (pixels.values[places[k]] != cases[i].samples[k])
                fail_msg("%s: value %zu is %.9g, wanted %.9g", cases[i].options,
                         places[k], (double)pixels.values[places[k]],
                         (double)cases[i].samples[k]);
        double sum = 0;
        for (size_t k = 0; k < n; k++)
            sum += (double)pixels.values[k];
        assert_true(fabs(sum - cases[i].sum) <= 1e-9 * fabs(cases[i].sum));
        tl_arena_destroy(arena);
    }
}

static void defaults_and_limits_are_those_of_transformers(void **state)
{
    (void)state;
    tl_patch_options options;
    assert_int_equal(read_options("{\"min_pixels\": null}", &options, NULL), TL_OK);
    assert_int_equal(options.patch_size, 14);
    assert_int_equal(options.merge_size, 2);
    assert_int_equal(options.min_pixels, 3136);
    assert_int_equal(options.max_pixels, 1003520);
    assert_true(options.do_resize && options.levels.do_rescale &&
                options.levels.do_normalize);
    assert_int_equal(options.resample, TL_BICUBIC);
    assert_int_equal(
        read_options("{\"size\": {\"shortest_edge\": 5, \"longest_edge\": 7}}",
                     &options, NULL),
        TL_OK);
    assert_int_equal(options.min_pixels, 5);
    assert_int_equal(options.max_pixels, 7);
}

static void bad_options_are_explained(void **state)
{
    (void)state;
    static const struct {
        const char *json, *message;
        tl_status status;
    } cases[] = {
        {"[]", "p.json: not an object", TL_ERR_FORMAT},
        {"{\"image_processor_type\": \"PixtralImageProcessor\"}",
         "p.json: 'image_processor_type' is 'PixtralImageProcessor', supported is "
         "'Qwen2VLImageProcessor'",
         TL_ERR_UNSUPPORTED},
        {"{\"patch_size\": 0}", "p.json: 'patch_size' is 0, wanted 1..4096",
         TL_ERR_FORMAT},
        {"{\"merge_size\": 5000}", "p.json: 'merge_size' is 5000, wanted 1..4096",
         TL_ERR_FORMAT},
        {"{\"temporal_patch_size\": 0}",
         "p.json: 'temporal_patch_size' is 0, wanted 1..4096", TL_ERR_FORMAT},
        {"{\"max_pixels\": 0}", "p.json: 'max_pixels' is 0", TL_ERR_FORMAT},
        {"{\"resample\": 4}",
         "p.json: 'resample' is 4 (box), supported are 1 (lanczos), 2 (bilinear) "
         "and 3 (bicubic)",
         TL_ERR_UNSUPPORTED},
        {"{\"resample\": 9}",
         "p.json: 'resample' is 9 (unknown), supported are 1 (lanczos), 2 "
         "(bilinear) and 3 (bicubic)",
         TL_ERR_UNSUPPORTED},
        {"{\"image_mean\": [1, 2]}",
         "p.json: 'image_mean' is not a number or 3 numbers", TL_ERR_FORMAT},
        {"{\"image_std\": [1, 2, \"3\"]}",
         "p.json: 'image_std' is not a number or 3 numbers", TL_ERR_FORMAT},
        {"{\"image_std\": [1, 0, 1]}", "p.json: 'image_std' has a 0", TL_ERR_FORMAT},
        {"{\"do_resize\": 1}", "p.json: 'do_resize' is 1, wanted true or false",
         TL_ERR_FORMAT},
        {"{\"min_pixels\": -1}",
         "p.json: 'min_pixels' is -1, wanted an integer in 0..2^31", TL_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_error err = {0};
        tl_patch_options options = {.patch_size = 77};
        assert_int_equal(read_options(cases[i].json, &options, &err), cases[i].status);
        assert_string_equal(err.text, cases[i].message);
        assert_int_equal(options.patch_size, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_those_of_smart_resize),
        cmocka_unit_test(newer_folders_enlarge_short_sides),
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(values_are_those_of_transformers),
        cmocka_unit_test(defaults_and_limits_are_those_of_transformers),
        cmocka_unit_test(bad_options_are_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
