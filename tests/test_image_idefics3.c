/* SPDX-License-Identifier: MIT
 *
 * test_image_idefics3.c - the tiles of Idefics3's and SmolVLM's pictures are those of
 * transformers 5.24 (tests/data/images/idefics3.tsv, by tests/parity/idefics3_pictures.py);
 * which token sees what, and what is refused.
 */
#include "testing.h"

#include "base/json.h"
#include "base/sha256.h"
#include "input/image_kind.h"

#define MODEL(image, patch, merge)                                                     \
    "{\"scale_factor\": " #merge ", \"vision_config\": {\"image_size\": " #image       \
    ", \"patch_size\": " #patch "}}"

/* Tiles of 32 for a model with patches of 5, of which 3 x 3 are merged. */
static tl_status make(const char *json, const char *model_json, const tl_image *image,
                      tl_arena *arena, tl_pixels *out, tl_error *err)
{
    json_t *config = NULL, *model = NULL;
    const void *options = NULL;
    assert_int_equal(tl_json_parse(json, strlen(json), "p.json", &config, NULL), TL_OK);
    assert_int_equal(
        tl_json_parse(model_json, strlen(model_json), "config.json", &model, NULL),
        TL_OK);
    tl_status status =
        tl_image_kind_idefics3.read(config, "p.json", model, arena, &options, err);
    json_decref(config);
    json_decref(model);
    if (status == TL_OK)
        status = tl_image_kind_idefics3.make(options, image, arena, out, err);
    return status;
}

/* As in idefics3_pictures.py. */
static tl_image draw(size_t width, size_t height, tl_arena *arena)
{
    uint8_t *rgb = tl_arena_alloc(arena, 3 * width * height, 1);
    assert_non_null(rgb);
    uint32_t state = (uint32_t)width;
    for (size_t i = 0; i < 3 * width * height; i++) {
        state = state * 1664525u + 1013904223u;
        rgb[i] = (uint8_t)(state >> 24);
    }
    return (tl_image){.width = width, .height = height, .rgb = rgb};
}

static void check_line(const char *line)
{
    size_t width, height, rows, columns;
    char wanted[TL_SHA256_HEX], got[TL_SHA256_HEX], said[128], json[256];
    assert_int_equal(sscanf(line, "%zu %zu %zu %zu %64s %127[^\n]", &width, &height,
                            &rows, &columns, wanted, said),
                     6);
    snprintf(json, sizeof json,
             "%.*s%s\"max_image_size\": {\"longest_edge\": 32}, \"do_rescale\": false, "
             "\"do_normalize\": false}",
             (int)strlen(said) - 1, said, strlen(said) > 2 ? ", " : "");
    tl_arena *arena = tl_arena_create();
    const tl_image image = draw(width, height, arena);
    tl_pixels p = {0};
    tl_error err = {0};
    if (make(json, MODEL(32, 5, 3), &image, arena, &p, &err) != TL_OK)
        fail_msg("%s", err.text);
    const size_t n_tiles = rows * columns + 1, n = n_tiles * 3 * 32 * 32;
    assert_true(p.n_dims == 4 && p.dims[0] == n_tiles && p.dims[1] == 3 &&
                p.dims[2] == 32 && p.dims[3] == 32 && p.tile_rows == rows &&
                p.tile_columns == columns && p.n_tokens == 4 * n_tiles);
    uint8_t *levels = tl_arena_alloc(arena, n, 1);
    for (size_t i = 0; i < n; i++)
        levels[i] = (uint8_t)p.values[i];
    tl_sha256 hash;
    tl_sha256_init(&hash);
    tl_sha256_update(&hash, levels, n);
    tl_sha256_hex(&hash, got);
    if (strcmp(got, wanted) != 0)
        fail_msg("%zux%zu, %s: hash %s, transformers has %s", width, height, said, got,
                 wanted);
    tl_arena_destroy(arena);
}

static void tiles_are_those_of_transformers(void **state)
{
    (void)state;
    FILE *file = fopen(TWINLENS_SOURCE_DIR "/tests/data/images/idefics3.tsv", "r");
    assert_non_null(file);
    char line[512];
    assert_non_null(fgets(line, sizeof line, file)); /* the heading */
    size_t n = 0;
    for (; fgets(line, sizeof line, file) != NULL; n++)
        check_line(line);
    fclose(file);
    assert_int_equal(n, 25);
}

/* The colour of a place says where it is: 2 x 3 tiles of 2 x 2 tokens over a picture of
 * 4 x 6 cells. */
static void a_token_sees_the_part_that_its_cell_says(void **state)
{
    (void)state;
    enum { TILE = 32, ROWS = 2, COLUMNS = 3, SIDE = 2, CELL = TILE / SIDE };
    tl_arena *arena = tl_arena_create();
    const size_t width = COLUMNS * TILE, height = ROWS * TILE;
    uint8_t *rgb = tl_arena_alloc(arena, 3 * width * height, 1);
    for (size_t i = 0; i < width * height; i++)
        memset(rgb + 3 * i,
               (int)(i / width / CELL * (COLUMNS * SIDE) + i % width / CELL), 3);
    const tl_image image = {.width = width, .height = height, .rgb = rgb};
    tl_pixels p = {0};
    tl_error err = {0};
    if (make("{\"do_resize\": false, \"max_image_size\": {\"longest_edge\": 32}, "
             "\"do_rescale\": false, \"do_normalize\": false}",
             MODEL(32, 8, 2), &image, arena, &p, &err) != TL_OK)
        fail_msg("%s", err.text);
    assert_int_equal(p.n_views, 2);
    assert_true(p.views[0].n_rows == ROWS * SIDE &&
                p.views[0].n_columns == COLUMNS * SIDE);
    assert_true(p.views[1].n_rows == SIDE && p.views[1].n_columns == SIDE);
    const size_t n_tiles = ROWS * COLUMNS, per_tile = SIDE * SIDE;
    assert_int_equal(p.n_tokens, (n_tiles + 1) * per_tile);
    for (size_t t = 0; t < n_tiles * per_tile; t++) {
        const size_t in_tile = t % per_tile, y = in_tile / SIDE * CELL,
                     x = in_tile % SIDE * CELL;
        const float *tile = p.values + t / per_tile * 3 * TILE * TILE;
        assert_true(tile[y * TILE + x] == (float)p.cells[t] &&
                    tile[(y + CELL - 1) * TILE + x + CELL - 1] == (float)p.cells[t]);
    }
    for (size_t i = 0; i < per_tile; i++)
        assert_int_equal(p.cells[n_tiles * per_tile + i], n_tiles * per_tile + i);
    if (make("{\"do_image_splitting\": false, \"max_image_size\": {\"longest_edge\": "
             "32}}",
             MODEL(32, 8, 2), &image, arena, &p, &err) != TL_OK)
        fail_msg("%s", err.text);
    assert_true(p.n_views == 1 && p.cells == NULL && p.n_tokens == per_tile &&
                p.views[0].n_rows == SIDE && p.views[0].n_columns == SIDE);
    tl_arena_destroy(arena);
}

static void what_cannot_be_honoured_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json, *model, *says;
        tl_status status;
    } cases[] = {
        {"[]", "{}", "p.json: not an object", TL_ERR_FORMAT},
        {"{\"image_processor_type\": \"Idefics2ImageProcessor\"}", "{}",
         "p.json: 'image_processor_type' is 'Idefics2ImageProcessor', supported is "
         "'Idefics3ImageProcessor'",
         TL_ERR_UNSUPPORTED},
        {"{\"image_processor_type\": \"SmolVLMVideoProcessor\"}", "{}",
         "'SmolVLMVideoProcessor'", TL_ERR_UNSUPPORTED},
        {"{\"size\": {\"shortest_edge\": 3}}", "{}",
         "p.json: 'size' has no 'longest_edge', nor 'height' and 'width'",
         TL_ERR_FORMAT},
        {"{\"size\": {\"longest_edge\": 0}}", "{}",
         "p.json: 'size.longest_edge' is 0, wanted 1..16384", TL_ERR_FORMAT},
        {"{\"size\": {\"height\": 3, \"width\": 99999}}", "{}",
         "p.json: 'size.width' is 99999, wanted 1..16384", TL_ERR_FORMAT},
        {"{\"max_image_size\": 364}", "{}",
         "p.json: 'max_image_size' has no 'longest_edge'", TL_ERR_FORMAT},
        {"{\"do_image_splitting\": 1}", "{}",
         "p.json: 'do_image_splitting' is 1, wanted true or false", TL_ERR_FORMAT},
        {"{\"resample\": 0}", "{}", "p.json: 'resample' is 0 (nearest)",
         TL_ERR_UNSUPPORTED},
        {"{}", MODEL(384, 14, 3),
         "p.json: 'max_image_size.longest_edge' is 364, and the model takes images of "
         "384x384, in patches of 14, 3 a side merged",
         TL_ERR_FORMAT},
        {"{}", MODEL(364, 14, 4), "in patches of 14, 4 a side merged", TL_ERR_FORMAT},
        {"{\"max_image_size\": {\"longest_edge\": 16}}", MODEL(16, 32, 1),
         "images of 16x16, in patches of 32", TL_ERR_FORMAT},
        {"{\"max_image_size\": {\"longest_edge\": 1}, \"size\": {\"longest_edge\": "
         "64}}",
         MODEL(1, 1, 1), "an image of 64x64 would be 4097 tiles, at most 256",
         TL_ERR_UNSUPPORTED},
        {"{}", MODEL(364, 0, 2),
         "config.json: 'vision_config.patch_size' is 0, wanted 1..16384",
         TL_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        tl_error err = {0};
        tl_pixels p = {.n_tokens = 5};
        const tl_image image = draw(8, 8, arena);
        assert_int_equal(make(cases[i].json, cases[i].model, &image, arena, &p, &err),
                         cases[i].status);
        if (strstr(err.text, cases[i].says) == NULL)
            fail_msg("'%s' does not say '%s'", err.text, cases[i].says);
        assert_int_equal(p.n_tokens, 5);
        tl_arena_destroy(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_are_those_of_transformers),
        cmocka_unit_test(a_token_sees_the_part_that_its_cell_says),
        cmocka_unit_test(what_cannot_be_honoured_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
