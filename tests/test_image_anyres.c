/* SPDX-License-Identifier: MIT
 *
 * test_image_anyres.c - tiles and features of LLaVA-NeXT's and LLaVA-OneVision's pictures
 * against transformers 5.24's processors, what the tiles hold against the definition, and what
 * is refused. (tests/parity/test_families.c has whole pictures.)
 */
#include "testing.h"

#include "base/json.h"
#include "input/image_kind.h"

static const tl_image_kind *const kinds[] = {&tl_image_kind_llava_next,
                                             &tl_image_kind_llava_onevision};

/* Of the published checkpoints. */
static const char *const models[] = {
    "{\"vision_config\": {\"image_size\": 336, \"patch_size\": 14}}",
    "{\"vision_config\": {\"image_size\": 384, \"patch_size\": 14}}"};
static const char *const processors[] = {
    "{\"size\": {\"shortest_edge\": 336}, \"crop_size\": {\"height\": 336, \"width\": "
    "336}}",
    "{\"size\": {\"height\": 384, \"width\": 384}}"};

/* Reads a configuration and makes the pixels of a picture of w x h. */
static tl_status make(size_t kind, const char *json, const char *model_json, size_t w,
                      size_t h, const uint8_t *rgb, tl_arena *arena, tl_pixels *out,
                      tl_error *err)
{
    json_t *config = NULL, *model = NULL;
    const void *options = NULL;
    uint8_t *black = tl_arena_alloc_zero(arena, 3 * w * h, 1);
    assert_non_null(black);
    const tl_image image = {.width = w, .height = h, .rgb = rgb != NULL ? rgb : black};
    assert_int_equal(tl_json_parse(json, strlen(json), "p.json", &config, NULL), TL_OK);
    assert_int_equal(tl_json_parse(model_json, strlen(model_json), "c", &model, NULL),
                     TL_OK);
    tl_status status = kinds[kind]->read(config, "p.json", model, arena, &options, err);
    json_decref(config);
    json_decref(model);
    if (status == TL_OK)
        status = kinds[kind]->make(options, &image, arena, out, err);
    return status;
}

static void sizes_are_those_of_transformers(void **state)
{
    (void)state;
    static const struct {
        size_t kind, width, height, tile_rows, tile_columns, rows, columns;
    } cases[] = {
        {0, 336, 336, 1, 2, 24, 24},   {0, 672, 672, 2, 2, 48, 48},
        {0, 1, 1, 1, 2, 24, 24},       {0, 640, 480, 2, 2, 36, 48},
        {0, 500, 375, 2, 2, 36, 48},   {0, 1024, 768, 2, 2, 36, 48},
        {0, 384, 384, 2, 2, 48, 48},   {0, 300, 1200, 3, 1, 72, 18},
        {0, 3000, 100, 1, 3, 2, 72},   {0, 100, 3000, 3, 1, 72, 2},
        {0, 64, 23, 1, 2, 18, 48},     {0, 423, 15, 1, 2, 2, 48},
        {0, 218, 82, 1, 2, 18, 48},    {0, 13, 185, 1, 2, 24, 2},
        {0, 12, 121, 1, 2, 24, 2},     {0, 14, 16, 1, 2, 24, 22},
        {0, 115, 1167, 3, 1, 72, 8},   {0, 20, 36, 1, 2, 24, 14},
        {0, 370, 2340, 3, 1, 72, 12},  {0, 277, 98, 1, 2, 16, 48},
        {0, 1400, 52, 1, 3, 2, 72},    {0, 22, 19, 1, 2, 24, 28},
        {0, 59, 1097, 3, 1, 72, 4},    {0, 28, 284, 1, 2, 24, 2},
        {0, 395, 85, 1, 2, 10, 48},    {0, 2300, 2300, 2, 2, 48, 48},
        {0, 2000, 1500, 2, 2, 36, 48}, {0, 4000, 1601, 1, 3, 24, 60},
        {0, 1501, 1999, 2, 2, 48, 36}, {1, 336, 336, 1, 1, 27, 27},
        {1, 672, 672, 2, 2, 54, 54},   {1, 1, 1, 1, 1, 27, 27},
        {1, 640, 480, 2, 2, 40, 54},   {1, 500, 375, 1, 2, 27, 36},
        {1, 1024, 768, 2, 3, 54, 73},  {1, 384, 384, 1, 1, 27, 27},
        {1, 300, 1200, 4, 1, 108, 27}, {1, 3000, 100, 1, 6, 5, 162},
        {1, 100, 3000, 6, 1, 162, 5},  {1, 64, 23, 1, 1, 9, 27},
        {1, 423, 15, 1, 2, 1, 54},     {1, 218, 82, 1, 1, 11, 27},
        {1, 13, 185, 1, 1, 27, 1},     {1, 12, 121, 1, 1, 27, 3},
        {1, 14, 16, 1, 1, 27, 23},     {1, 115, 1167, 4, 1, 108, 11},
        {1, 20, 36, 1, 1, 27, 15},     {1, 370, 2340, 6, 1, 162, 25},
        {1, 277, 98, 1, 1, 9, 27},     {1, 2758, 13, 1, 6, 1, 162},
        {1, 1400, 52, 1, 4, 5, 108},   {1, 22, 19, 1, 1, 23, 27},
        {1, 59, 1097, 3, 1, 81, 5},    {1, 28, 284, 1, 1, 27, 3},
        {1, 395, 85, 1, 2, 11, 54},    {1, 2300, 2300, 6, 6, 81, 81},
        {1, 2000, 1500, 4, 6, 70, 93}, {1, 4000, 1601, 3, 6, 51, 127},
        {1, 1501, 1999, 6, 4, 93, 70},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        tl_error err = {0};
        tl_pixels p = {0};
        const size_t kind = cases[i].kind, side = kind == 0 ? 336 : 384,
                     grid = side / 14;
        if (make(kind, processors[kind], models[kind], cases[i].width, cases[i].height,
                 NULL, arena, &p, &err) != TL_OK)
            fail_msg("%zux%zu: %s", cases[i].width, cases[i].height, err.text);
        assert_int_equal(p.n_dims, 4);
        assert_int_equal(p.dims[0], 1 + cases[i].tile_rows * cases[i].tile_columns);
        assert_int_equal(p.dims[1], 3);
        assert_int_equal(p.dims[2], side);
        assert_int_equal(p.dims[3], side);
        assert_int_equal(p.tile_rows, cases[i].tile_rows);
        assert_int_equal(p.tile_columns, cases[i].tile_columns);
        assert_int_equal(p.n_views, 2);
        if (p.views[0].n_rows != cases[i].rows ||
            p.views[0].n_columns != cases[i].columns)
            fail_msg("%zux%zu: %zu rows of %zu, wanted %zu of %zu", cases[i].width,
                     cases[i].height, p.views[0].n_rows, p.views[0].n_columns,
                     cases[i].rows, cases[i].columns);
        assert_int_equal(p.views[1].n_rows, grid);
        assert_int_equal(p.views[1].n_columns, grid);
        assert_int_equal(p.n_tokens,
                         grid * grid + cases[i].rows * (cases[i].columns + 1));
        tl_arena_destroy(arena);
    }
}

/* First the small picture, which is the second view; a newline behind each row of the
 * large one. */
static void tokens_see_both_views_and_newlines_nothing(void **state)
{
    (void)state;
    tl_arena *arena = tl_arena_create();
    tl_error err = {0};
    tl_pixels p = {0};
    if (make(0, processors[0], models[0], 640, 480, NULL, arena, &p, &err) != TL_OK)
        fail_msg("%s", err.text);
    const uint32_t small = 24 * 24, columns = 48, large = 36 * columns;
    for (uint32_t i = 0; i < p.n_tokens; i++) {
        const uint32_t of_large = i - small, row = of_large / (columns + 1),
                       column = of_large % (columns + 1);
        assert_int_equal(p.cells[i], i < small           ? large + i
                                     : column == columns ? TL_NO_CELL
                                                         : row * columns + column);
    }
    tl_arena_destroy(arena);
}

/* A picture of 4 x 1 becomes 8 x 2 in two tiles of 4 x 4, with a row of black above it and
 * one below. Equal colours stay what they are when they are resized. */
static void tiles_hold_the_picture_in_the_middle_of_black(void **state)
{
    (void)state;
    static const char model[] = "{\"vision_config\": {\"image_size\": 4, "
                                "\"patch_size\": 2}, \"image_grid_pinpoints\": [[4, "
                                "8]]}",
                      json[] = "{\"size\": 4, \"crop_size\": 4, \"do_pad\": true, "
                               "\"image_grid_pinpoints\": [[4, 8]], \"image_mean\": "
                               "[0, 0.5, 0], \"image_std\": [1, 0.25, 2]}";
    uint8_t rgb[3 * 4];
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(50 + 60 * (i % 3));
    tl_arena *arena = tl_arena_create();
    tl_error err = {0};
    tl_pixels p = {0};
    if (make(0, json, model, 4, 1, rgb, arena, &p, &err) != TL_OK)
        fail_msg("%s", err.text);
    assert_int_equal(p.dims[0], 3);
    assert_int_equal(p.grid_h, 2); /* one too many: as much above as below, or none */
    assert_int_equal(p.grid_w, 4);
    static const double mean[] = {0, 0.5, 0}, std[] = {1, 0.25, 2};
    for (size_t i = 0; i < 3 * 3 * 16; i++) {
        const size_t tile = i / 48, c = i / 16 % 3, row = i / 4 % 4;
        const bool black = tile > 0 && (row == 0 || row == 3);
        const double level = black ? 0.0 : (double)(50 + 60 * c) / 255.0;
        assert_close("[3,3,4,4]", i, (double)p.values[i], (level - mean[c]) / std[c],
                     1e-6);
    }
    tl_arena_destroy(arena);
}

static void what_cannot_be_honoured_is_refused(void **state)
{
    (void)state;
    static const struct {
        size_t kind;
        const char *json, *model; /* NULL: those of the published checkpoint */
        size_t width, height;
        const char *says;
    } cases[] = {
        {0, "[]", NULL, 8, 8, "not an object"},
        {0, "{\"image_processor_type\": \"LlavaOnevisionImageProcessor\"}", NULL, 8, 8,
         "'LlavaOnevisionImageProcessor', supported is 'LlavaNextImageProcessor'"},
        {1, "{\"size\": {\"height\": 384, \"width\": 336}}", NULL, 8, 8,
         "'size' is 336x384, supported are squares"},
        {1, "{\"size\": 336}", NULL, 8, 8,
         "'size' is 336, and 'image_size' of the tower in config.json 384"},
        {0, "{\"size\": 336}", NULL, 8, 8,
         "'crop_size' is 224, supported is that of 'size', 336"},
        {0, "{\"size\": 0}", NULL, 8, 8, "'size' is 0, wanted 1..16384"},
        {1, "{\"resample\": 0}", NULL, 8, 8, "nearest"},
        {1, "{\"image_grid_pinpoints\": []}", NULL, 8, 8, "'image_grid_pinpoints'"},
        {1, "{\"image_grid_pinpoints\": [[384, 0]]}", NULL, 8, 8,
         "'image_grid_pinpoints[0]' is not a height and a width of 1..16384"},
        {1, "{\"image_grid_pinpoints\": [[384, 768]]}", NULL, 8, 8,
         "'image_grid_pinpoints[0]' is [384, 768], and in config.json [384, 384]"},
        {1, "{\"image_grid_pinpoints\": [[384, 384]]}", NULL, 8, 8,
         "'image_grid_pinpoints' has 1 sizes, and in config.json 36"},
        {1, "{\"image_grid_pinpoints\": [[384, 500]]}",
         "{\"vision_config\": {\"image_size\": 384}, \"image_grid_pinpoints\": [[384, "
         "500]]}",
         8, 8,
         "'image_grid_pinpoints[0]' is [384, 500], supported are multiples of the "
         "tile's side, 384"},
        {1, "{}", "{\"vision_config\": {\"image_size\": 384, \"patch_size\": 400}}", 8,
         8, "'image_size' is 384, wanted at least the 'patch_size' of 400"},
        {1, "{}",
         "{\"vision_config\": {\"image_size\": 384}, \"vision_aspect_ratio\": "
         "\"anyres\"}",
         8, 8, "'vision_aspect_ratio' is 'anyres', supported is anyres_max_N"},
        {1, "{}",
         "{\"vision_config\": {\"image_size\": 384}, \"vision_aspect_ratio\": "
         "\"anyres_max_0\"}",
         8, 8, "'vision_aspect_ratio' is 'anyres_max_0'"},
        /* So long that nothing of it is left beside the black. */
        {0, NULL, NULL, 2758, 13, "an image of 2758x13 is too long"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        tl_error err = {0};
        tl_pixels p = {.n_dims = 77};
        const size_t kind = cases[i].kind;
        const char *json = cases[i].json != NULL ? cases[i].json : processors[kind],
                   *model = cases[i].model != NULL ? cases[i].model : models[kind];
        if (make(kind, json, model, cases[i].width, cases[i].height, NULL, arena, &p,
                 &err) == TL_OK)
            fail_msg("%s is taken", json);
        if (strstr(err.text, cases[i].says) == NULL)
            fail_msg("'%s' does not say '%s'", err.text, cases[i].says);
        assert_int_equal(p.n_dims, 77);
        tl_arena_destroy(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_those_of_transformers),
        cmocka_unit_test(tokens_see_both_views_and_newlines_nothing),
        cmocka_unit_test(tiles_hold_the_picture_in_the_middle_of_black),
        cmocka_unit_test(what_cannot_be_honoured_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
