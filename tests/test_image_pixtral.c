/* SPDX-License-Identifier: MIT
 *
 * test_image_pixtral.c - sizes against transformers 4.51.3's PixtralImageProcessor, values
 * against the definition, and what is refused. (tests/test_processor.c has photographs.)
 */
#include "testing.h"

#include "base/json.h"
#include "input/image_kind.h"

/* Reads a configuration and makes the pixels of a picture of w x h. */
static tl_status make(const char *json, size_t w, size_t h, const uint8_t *rgb,
                      tl_arena *arena, tl_pixels *out, tl_error *err)
{
    json_t *config = NULL;
    const void *options = NULL;
    uint8_t *grey = tl_arena_alloc(arena, 3 * w * h, 1);
    assert_non_null(grey);
    memset(grey, 77, 3 * w * h);
    const tl_image image = {.width = w, .height = h, .rgb = rgb != NULL ? rgb : grey};
    assert_int_equal(tl_json_parse(json, strlen(json), "p.json", &config, NULL), TL_OK);
    tl_status status =
        tl_image_kind_pixtral.read(config, "p.json", NULL, arena, &options, err);
    json_decref(config);
    if (status == TL_OK)
        status = tl_image_kind_pixtral.make(options, &image, arena, out, err);
    return status;
}

static void sizes_are_those_of_transformers(void **state)
{
    (void)state;
    static const struct {
        size_t width, height, edge, patch, want_width, want_height;
    } cases[] = {
        {308, 270, 333, 16, 320, 272},    {266, 308, 333, 14, 266, 308},
        {319, 404, 1024, 14, 322, 406},   {418, 2330, 96, 14, 28, 98},
        {363, 2004, 1024, 16, 192, 1024}, {1662, 2379, 96, 14, 70, 98},
        {2345, 318, 96, 14, 98, 14},      {357, 36, 333, 16, 336, 48},
        {283, 392, 1024, 14, 294, 392},   {320, 11, 1024, 16, 320, 16},
        {297, 193, 333, 14, 308, 196},    {328, 2424, 96, 14, 14, 98},
        {1793, 119, 333, 14, 336, 28},    {306, 336, 333, 16, 304, 336},
        {1025, 675, 512, 16, 512, 352},   {59, 160, 1024, 16, 64, 160},
        {23, 11, 512, 14, 28, 14},        {376, 75, 333, 14, 336, 70},
        {27, 17, 333, 16, 32, 32},        {15, 385, 333, 16, 16, 336},
        {1214, 219, 333, 16, 336, 64},    {20, 53, 512, 16, 32, 64},
        {27, 455, 96, 14, 14, 98},        {2851, 210, 1024, 16, 1024, 80},
        {2073, 727, 333, 14, 336, 126},   {272, 40, 96, 16, 96, 16},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        char json[160];
        tl_error err = {0};
        tl_pixels p = {0};
        snprintf(
            json, sizeof json,
            "{\"size\": {\"longest_edge\": %zu}, \"patch_size\": {\"height\": %zu, "
            "\"width\": %zu}}",
            cases[i].edge, cases[i].patch, cases[i].patch);
        if (make(json, cases[i].width, cases[i].height, NULL, arena, &p, &err) != TL_OK)
            fail_msg("%zux%zu: %s", cases[i].width, cases[i].height, err.text);
        assert_int_equal(p.n_dims, 4);
        assert_int_equal(p.dims[0], 1);
        assert_int_equal(p.dims[1], 3);
        assert_int_equal(p.dims[2], cases[i].want_height);
        assert_int_equal(p.dims[3], cases[i].want_width);
        assert_int_equal(p.views[0].n_rows, cases[i].want_height / cases[i].patch);
        assert_int_equal(p.views[0].n_columns, cases[i].want_width / cases[i].patch);
        tl_arena_destroy(arena);
    }
}

static void values_are_planes_of_normalised_levels(void **state)
{
    (void)state;
    uint8_t rgb[3 * 4 * 2];
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * 11);
    tl_arena *arena = tl_arena_create();
    tl_error err = {0};
    tl_pixels p = {0};
    if (make("{\"patch_size\": {\"height\": 1, \"width\": 2}, \"image_mean\": [0.5, "
             "0.25, "
             "0], \"image_std\": [0.5, 2, 1]}",
             4, 2, rgb, arena, &p, &err) != TL_OK)
        fail_msg("%s", err.text);
    assert_int_equal(p.views[0].n_rows, 2);
    assert_int_equal(p.views[0].n_columns, 2);
    static const double mean[] = {0.5, 0.25, 0}, std[] = {0.5, 2, 1};
    for (size_t c = 0; c < 3; c++)
        for (size_t i = 0; i < 8; i++)
            assert_close("[3,2,4]", c * 8 + i, (double)p.values[c * 8 + i],
                         (rgb[3 * i + c] / 255.0 - mean[c]) / std[c], 1e-6);
    tl_arena_destroy(arena);
}

static void what_cannot_be_honoured_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        size_t width, height;
        tl_status status;
        const char *says;
    } cases[] = {
        {"[]", 8, 8, TL_ERR_FORMAT, "not an object"},
        {"{\"image_processor_type\": \"CLIPImageProcessor\"}", 8, 8, TL_ERR_UNSUPPORTED,
         "'CLIPImageProcessor'"},
        {"{\"size\": {\"shortest_edge\": 3}}", 8, 8, TL_ERR_FORMAT,
         "neither 'longest_edge'"},
        {"{\"size\": {\"longest_edge\": 0}}", 8, 8, TL_ERR_FORMAT, "is 0, wanted 1"},
        {"{\"patch_size\": {\"height\": 99999, \"width\": 1}}", 8, 8, TL_ERR_FORMAT,
         "99999"},
        {"{\"resample\": 0}", 8, 8, TL_ERR_UNSUPPORTED, "nearest"},
        {"{\"do_resize\": false}", 20, 16, TL_ERR_DATA, "is not made of patches"},
        /* So long that its other side has nothing left. */
        {"{\"size\": {\"longest_edge\": 32}}", 3000, 2, TL_ERR_DATA, "no pixel left"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        tl_error err = {0};
        tl_pixels p = {.n_tokens = 5};
        assert_int_equal(
            make(cases[i].json, cases[i].width, cases[i].height, NULL, arena, &p, &err),
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
        cmocka_unit_test(sizes_are_those_of_transformers),
        cmocka_unit_test(values_are_planes_of_normalised_levels),
        cmocka_unit_test(what_cannot_be_honoured_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
