/* SPDX-License-Identifier: MIT
 *
 * test_image_internvl.c - grids of tiles against transformers 5.24's
 * get_optimal_tiled_canvas, values against the definition, what each token sees, and what is
 * refused. (tests/parity has whole pictures.)
 */
#include "testing.h"

#include "base/json.h"
#include "input/image_kind.h"
#include "twinlens/alloc.h"

/* A model with a token for each 10 x 10 pixels. */
static const char MODEL[] =
    "{\"downsample_ratio\": 0.5, \"vision_config\": {\"patch_size\": [5, 5]}}";

static tl_status make(const char *json, const char *model_json, size_t w, size_t h,
                      const uint8_t *rgb, tl_arena *arena, tl_pixels *out,
                      tl_error *err)
{
    json_t *config = NULL, *model = NULL;
    const void *options = NULL;
    uint8_t *grey = tl_arena_alloc(arena, 3 * w * h, 1);
    assert_non_null(grey);
    memset(grey, 77, 3 * w * h);
    const tl_image image = {.width = w, .height = h, .rgb = rgb != NULL ? rgb : grey};
    assert_int_equal(tl_json_parse(json, strlen(json), "p.json", &config, NULL), TL_OK);
    assert_int_equal(
        tl_json_parse(model_json, strlen(model_json), "config.json", &model, NULL),
        TL_OK);
    tl_status status =
        tl_image_kind_internvl.read(config, "p.json", model, arena, &options, err);
    json_decref(config);
    json_decref(model);
    if (status == TL_OK)
        status = tl_image_kind_internvl.make(options, &image, arena, out, err);
    return status;
}

static void grids_are_those_of_transformers(void **state)
{
    (void)state;
    static const struct {
        size_t width, height, side, fewest, most, rows, columns;
    } cases[] = {
        {448, 448, 448, 1, 12, 1, 1},  {39, 39, 56, 3, 5, 2, 2},
        {1235, 107, 30, 3, 12, 1, 12}, {108, 826, 56, 1, 2, 2, 1},
        {947, 28, 448, 2, 2, 1, 2},    {112, 56, 56, 3, 4, 1, 3},
        {42, 9, 56, 3, 12, 1, 5},      {430, 1045, 224, 2, 5, 3, 1},
        {679, 94, 448, 2, 2, 1, 2},    {56, 224, 56, 1, 12, 4, 1},
        {82, 813, 448, 0, 6, 6, 1},    {76, 29, 224, 3, 5, 1, 3},
        {923, 1948, 224, 0, 12, 4, 2}, {112, 56, 56, 0, 6, 1, 2},
        {35, 15, 56, 0, 5, 1, 2},      {13, 677, 448, 0, 4, 4, 1},
        {40, 568, 448, 1, 12, 12, 1},  {60, 61, 30, 1, 5, 2, 2},
        {2031, 44, 224, 3, 12, 1, 12}, {155, 1542, 30, 1, 5, 5, 1},
        {34, 366, 448, 1, 5, 5, 1},    {156, 156, 224, 1, 6, 1, 1},
        {68, 978, 448, 2, 5, 5, 1},    {36, 269, 30, 3, 5, 5, 1},
        {1810, 143, 56, 1, 4, 1, 4},   {156, 156, 224, 1, 4, 1, 1},
        {259, 106, 56, 1, 2, 1, 2},    {37, 120, 224, 3, 2, 1, 1},
        {1670, 32, 30, 0, 12, 1, 12},  {1344, 896, 448, 1, 5, 2, 2},
        {34, 629, 224, 1, 5, 5, 1},    {354, 16, 30, 1, 5, 1, 5},
        {30, 22, 56, 0, 6, 2, 3},      {896, 897, 448, 0, 2, 1, 1},
        {12, 489, 56, 2, 12, 12, 1},   {35, 628, 56, 3, 4, 4, 1},
        {45, 825, 30, 3, 12, 12, 1},   {100, 100, 56, 5, 3, 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        char json[160];
        tl_error err = {0};
        tl_pixels p = {0};
        snprintf(json, sizeof json,
                 "{\"size\": {\"height\": %zu, \"width\": %zu}, \"min_patches\": %zu, "
                 "\"max_patches\": %zu, \"crop_to_patches\": false}",
                 cases[i].side, cases[i].side, cases[i].fewest, cases[i].most);
        if (make(json, MODEL, cases[i].width, cases[i].height, NULL, arena, &p, &err) !=
            TL_OK)
            fail_msg("%zu: %s", i, err.text);
        const size_t rows = cases[i].rows, columns = cases[i].columns,
                     n = cases[i].side / 10, tiles = rows * columns;
        const bool is_cut = tiles > 1;
        if (p.dims[0] != tiles + is_cut || p.tile_rows != (is_cut ? rows : 0) ||
            p.tile_columns != (is_cut ? columns : 0))
            fail_msg("%zu: %zu tiles in %zux%zu, wanted %zux%zu", i, p.dims[0],
                     p.tile_rows, p.tile_columns, rows, columns);
        assert_int_equal(p.dims[2], cases[i].side);
        assert_int_equal(p.dims[3], cases[i].side);
        assert_int_equal(p.n_tokens, p.dims[0] * n * n);
        assert_int_equal(p.n_views, is_cut ? 2 : 1);
        assert_int_equal(p.views[0].n_rows, rows * n);
        assert_int_equal(p.views[0].n_columns, columns * n);
        assert_int_equal(p.views[1].n_rows, is_cut ? n : 0);
        tl_arena_destroy(arena);
    }
}

/* A picture as large as its tiles is not resized: the value of a pixel says where it stands. */
static void tiles_are_laid_row_by_row_and_the_whole_comes_last(void **state)
{
    (void)state;
    enum { SIDE = 20, ROWS = 2, COLUMNS = 3, W = COLUMNS * SIDE, H = ROWS * SIDE };
    static uint8_t rgb[H * W * 3];
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * 7 % 251);
    tl_arena *arena = tl_arena_create();
    tl_error err = {0};
    tl_pixels p = {0};
    if (make("{\"size\": 20, \"image_mean\": 0, \"image_std\": 1, \"rescale_factor\": "
             "1}",
             MODEL, W, H, rgb, arena, &p, &err) != TL_OK)
        fail_msg("%s", err.text);
    assert_int_equal(p.dims[0], ROWS * COLUMNS + 1);
    const float *value = p.values;
    for (size_t t = 0; t < ROWS * COLUMNS; t++)
        for (size_t c = 0; c < 3; c++)
            for (size_t y = 0; y < SIDE; y++)
                for (size_t x = 0; x < SIDE; x++) {
                    const size_t row = t / COLUMNS * SIDE + y,
                                 column = t % COLUMNS * SIDE + x;
                    assert_true(*value++ == (float)rgb[(row * W + column) * 3 + c]);
                }
    const tl_image image = {.width = W, .height = H, .rgb = rgb};
    tl_image small;
    assert_int_equal(
        tl_image_resize(&image, SIDE, SIDE, TL_BICUBIC, arena, &small, NULL), TL_OK);
    for (size_t c = 0; c < 3; c++)
        for (size_t i = 0; i < SIDE * SIDE; i++)
            assert_true(*value++ == (float)small.rgb[i * 3 + c]);
    /* Two tokens on a side: 24 of the tiles, whose grid is 4 x 6, then four of the whole. */
    static const uint32_t cells[] = {0,  1,  6,  7,  2,  3,  8,  9,  4,  5,
                                     10, 11, 12, 13, 18, 19, 14, 15, 20, 21,
                                     16, 17, 22, 23, 24, 25, 26, 27};
    assert_int_equal(p.n_tokens, sizeof cells / sizeof *cells);
    assert_memory_equal(p.cells, cells, sizeof cells);
    tl_arena_destroy(arena);
}

/* With one tile at most a picture is only resized, or not even that. */
static void a_picture_may_be_left_whole(void **state)
{
    (void)state;
    tl_arena *arena = tl_arena_create();
    tl_error err = {0};
    tl_pixels p = {0};
    if (make("{\"size\": 30, \"max_patches\": 1}", MODEL, 90, 20, NULL, arena, &p,
             &err) != TL_OK)
        fail_msg("%s", err.text);
    assert_true(p.dims[0] == 1 && p.dims[2] == 30 && p.n_tokens == 9 &&
                p.n_views == 1 && p.cells == NULL && p.tile_rows == 0);
    if (make("{\"size\": 30, \"max_patches\": 0, \"do_resize\": false}", MODEL, 43, 45,
             NULL, arena, &p, &err) != TL_OK)
        fail_msg("%s", err.text);
    assert_true(p.dims[2] == 45 && p.dims[3] == 43 && p.n_tokens == 16 &&
                p.views[0].n_rows == 4);
    /* Tiles are resized whatever 'do_resize' says. */
    if (make("{\"size\": 30, \"do_resize\": false}", MODEL, 60, 30, NULL, arena, &p,
             &err) != TL_OK)
        fail_msg("%s", err.text);
    assert_true(p.dims[0] == 3 && p.dims[3] == 30);
    tl_arena_destroy(arena);
}

static void what_cannot_be_honoured_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json, *model, *says;
        tl_status status;
    } cases[] = {
        {"{\"image_processor_type\": \"CLIPImageProcessor\"}", MODEL,
         "'CLIPImageProcessor'", TL_ERR_UNSUPPORTED},
        {"{\"size\": {\"height\": 30, \"width\": 20}}", MODEL, "'size' is 30x20",
         TL_ERR_UNSUPPORTED},
        {"{\"size\": {\"height\": 30}}", MODEL, "'size' has no 'width'", TL_ERR_FORMAT},
        {"{\"size\": 0}", MODEL, "'size' is 0x0", TL_ERR_UNSUPPORTED},
        {"{\"size\": 9}", MODEL,
         "'size' is 9, and an image token of the model stands "
         "for 10x10",
         TL_ERR_FORMAT},
        {"{\"max_patches\": 257}", MODEL, "'max_patches' is 257", TL_ERR_UNSUPPORTED},
        {"{\"min_patches\": \"2\"}", MODEL, "'min_patches' is a string", TL_ERR_FORMAT},
        {"{\"resample\": 0}", MODEL, "'resample' is 0", TL_ERR_UNSUPPORTED},
        {"{\"image_std\": 0}", MODEL, "'image_std' has a 0", TL_ERR_FORMAT},
        {"{\"max_patches\": 1, \"do_resize\": false}", MODEL, "an image of 40x20",
         TL_ERR_DATA},
        {"{}", "{\"vision_config\": {\"patch_size\": 0}}", "patches of 0 pixels",
         TL_ERR_FORMAT},
        {"{}", "{\"vision_config\": {\"patch_size\": [14, 16]}}",
         "'patch_size' is an array", TL_ERR_FORMAT},
        {"{}", "{\"downsample_ratio\": 0}", "brought to 0", TL_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        tl_error err = {0};
        tl_pixels p = {.n_tokens = 5};
        assert_int_equal(
            make(cases[i].json, cases[i].model, 40, 20, NULL, arena, &p, &err),
            cases[i].status);
        if (strstr(err.text, cases[i].says) == NULL)
            fail_msg("'%s' does not say '%s'", err.text, cases[i].says);
        assert_int_equal(p.n_tokens, 5);
        tl_arena_destroy(arena);
    }
}

static void a_lack_of_memory_is_told(void **state)
{
    (void)state;
    json_t *config = NULL, *model = NULL;
    const void *options = NULL;
    tl_arena *arena = tl_arena_create();
    static uint8_t rgb[3 * 60 * 30];
    const tl_image image = {.width = 60, .height = 30, .rgb = rgb};
    assert_int_equal(tl_json_parse("{\"size\": 30}", 12, "p.json", &config, NULL),
                     TL_OK);
    assert_int_equal(tl_json_parse(MODEL, strlen(MODEL), "config.json", &model, NULL),
                     TL_OK);
    assert_int_equal(
        tl_image_kind_internvl.read(config, "p.json", model, arena, &options, NULL),
        TL_OK);
    json_decref(config);
    json_decref(model);
    const size_t live = tl_alloc_live();
    long long n = 0;
    for (bool hit = true; hit; n++) {
        tl_arena *out = tl_arena_create();
        tl_pixels p = {.n_tokens = 5};
        tl_alloc_fail_at(n);
        const tl_status status =
            tl_image_kind_internvl.make(options, &image, out, &p, NULL);
        hit = tl_alloc_fault_hit() != 0;
        tl_alloc_fail_at(-1);
        assert_int_equal(status, hit ? TL_ERR_NO_MEMORY : TL_OK);
        assert_int_equal(p.n_tokens, hit ? 5 : 27);
        tl_arena_destroy(out);
        assert_int_equal(tl_alloc_live(), live);
    }
    assert_true(n > 3);
    tl_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grids_are_those_of_transformers),
        cmocka_unit_test(tiles_are_laid_row_by_row_and_the_whole_comes_last),
        cmocka_unit_test(a_picture_may_be_left_whole),
        cmocka_unit_test(what_cannot_be_honoured_is_refused),
        cmocka_unit_test(a_lack_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
