/* SPDX-License-Identifier: MIT
 *
 * test_image_fixed.c - pixel values against transformers 4.51.3's Gemma3ImageProcessor,
 * SiglipImageProcessor and CLIPImageProcessor, image tokens, and options that cannot be
 * honoured.
 */
#include "testing.h"

#include <string.h>

#include "base/json.h"
#include "input/image_kind.h"
#include "twinlens/alloc.h"

static json_t *parse(const char *text)
{
    json_t *json = NULL;
    assert_int_equal(tl_json_parse(text, strlen(text), "p.json", &json, NULL), TL_OK);
    return json;
}

static const tl_image_kind *const kinds[] = {
    &tl_image_kind_gemma3, &tl_image_kind_paligemma, &tl_image_kind_clip};
enum { GEMMA3, PALIGEMMA, CLIP };

static tl_status read_options(int kind, const char *text, const char *model_text,
                              tl_arena *arena, const void **options, tl_error *err)
{
    json_t *config = parse(text), *model = parse(model_text);
    const tl_status status =
        kinds[kind]->read(config, "p.json", model, arena, options, err);
    json_decref(config);
    json_decref(model);
    return status;
}

enum { N_SAMPLES = 10 };

/* On the picture rgb[y][x][c] = (7 x + 13 y + 50 c) mod 256, 8 wide and 12 high:
 * some values, and the sum of all. */
static void values_are_those_of_transformers(void **state)
{
    (void)state;
#define SMALL "{\"size\": {\"height\": 6, \"width\": 10}"
    static const struct {
        int kind;
        const char *options;
        size_t height, width;
        float samples[N_SAMPLES];
        double sum;
    } cases[] = {
        {GEMMA3,
         SMALL "}",
         6,
         10,
         {-0.929411769f, -0.890196085f, -0.717647076f, -0.545098066f, -0.53725493f,
          -0.231372535f, 0.0588235855f, -0.019607842f, -0.827450991f, -0.788235307f},
         12.101964950561523},
        {GEMMA3,
         SMALL ", \"do_rescale\": false}",
         6,
         10,
         {17.0f, 27.0f, 71.0f, 115.0f, 117.0f, 195.0f, 269.0f, 249.0f, 43.0f, 53.0f},
         48806.0},
        {GEMMA3,
         SMALL ", \"do_normalize\": false}",
         6,
         10,
         {0.0352941193f, 0.0549019612f, 0.141176477f, 0.227450982f, 0.23137255f,
          0.384313732f, 0.529411793f, 0.490196079f, 0.0862745121f, 0.105882354f},
         96.05098275840282},
        {GEMMA3,
         SMALL ", \"do_rescale\": false, \"do_normalize\": false, \"do_pan_and_scan\": "
               "false}",
         6,
         10,
         {9.0f, 14.0f, 36.0f, 58.0f, 59.0f, 98.0f, 135.0f, 125.0f, 22.0f, 27.0f},
         24493.0},
        {GEMMA3,
         SMALL ", \"resample\": 3}",
         6,
         10,
         {-0.945098042f, -0.905882359f, -0.733333349f, -0.56078434f, -0.552941203f,
          -0.247058809f, 0.0588235855f, -0.0352941155f, -0.929411769f, -0.874509811f},
         11.749023735523224},
        {GEMMA3,
         SMALL ", \"image_mean\": [0.1, 0.2, 0.3], \"image_std\": 0.25, "
               "\"rescale_factor\": 0.01}",
         6,
         10,
         {-0.0399999917f, 0.159999996f, 1.04000008f, 1.91999996f, 1.55999994f,
          3.12000012f, 4.5999999f, 3.79999995f, -0.320000052f, -0.120000005f},
         835.7199881374836},
        {GEMMA3,
         SMALL ", \"do_resize\": false}",
         12,
         8,
         {-1.0f, -0.945098042f, -0.725490212f, -0.843137264f, -0.607843161f,
          -0.223529398f, 0.003921628f, -0.0509803891f, -0.772549033f, -0.717647076f},
         17.694123804569244},
        {GEMMA3,
         "{\"size\": 5, \"do_pan_and_scan\": null}",
         5,
         5,
         {-0.882352948f, -0.80392158f, -0.662745118f, -0.325490177f, -0.490196049f,
          -0.0980392098f, 0.152941227f, 0.160784364f, -0.552941203f, -0.796078444f},
         4.952942907810211},
        {PALIGEMMA,
         SMALL "}",
         6,
         10,
         {-0.945098042f, -0.905882359f, -0.733333349f, -0.56078434f, -0.552941203f,
          -0.247058809f, 0.0588235855f, -0.0352941155f, -0.929411769f, -0.874509811f},
         11.749023735523224},
        {PALIGEMMA,
         "{\"size\": {\"height\": 5, \"width\": 5}, \"resample\": 2}",
         5,
         5,
         {-0.882352948f, -0.80392158f, -0.662745118f, -0.325490177f, -0.490196049f,
          -0.0980392098f, 0.152941227f, 0.160784364f, -0.552941203f, -0.796078444f},
         4.9529429078102112},
        {CLIP,
         "{\"size\": {\"shortest_edge\": 6}, \"crop_size\": {\"height\": 6, "
         "\"width\": 6}}",
         6,
         6,
         {-1.50029397f, -1.36890817f, -0.814167917f, -0.828766346f, -0.701553285f,
          -0.296343565f, 0.0938583612f, 0.624350071f, 1.67663491f, 1.2358129f},
         34.300585358170792},
        {CLIP,
         "{\"size\": {\"shortest_edge\": 5}, \"crop_size\": {\"height\": 4, "
         "\"width\": 3}}",
         4,
         3,
         {-1.22292387f, -1.04774284f, -0.551396251f, -0.230230898f, -0.416405708f,
          0.454044878f, 0.273951679f, 0.823431015f, 1.67663491f, 1.88993573f},
         10.560728672891855},
        {CLIP,
         "{\"size\": 5, \"crop_size\": 9}",
         9,
         9,
         {-1.79226255f, -1.79226255f, -1.79226255f, -1.79226255f, -1.75209713f,
          -1.75209713f, 0.454044878f, -1.48021984f, -1.48021984f, -1.48021984f},
         -199.23640834540129},
        {CLIP,
         "{\"size\": {\"height\": 6, \"width\": 7}, \"do_center_crop\": "
         "false, \"image_mean\": [0.1, 0.2, 0.3]}",
         6,
         7,
         {-0.255472451f, -0.153283477f, 0.328464597f, 0.328464597f, 0.105054371f,
          0.4802486f, 1.2756604f, 0.789213717f, -0.888754189f, -0.87453413f},
         156.20210554823279},
        {CLIP,
         "{\"do_resize\": false, \"crop_size\": {\"height\": 15, \"width\": 5}}",
         15,
         5,
         {-1.79226255f, -1.79226255f, -1.79226255f, -1.79226255f, -1.75209713f,
          -1.75209713f, 0.288959444f, -1.48021984f, -1.48021984f, -1.48021984f},
         -25.106025933520868},
        {CLIP,
         "{\"do_resize\": false, \"crop_size\": {\"height\": 5, \"width\": 15}, "
         "\"do_rescale\": false, \"do_normalize\": false}",
         5,
         15,
         {0.0f, 0.0f, 46.0f, 74.0f, 0.0f, 110.0f, 136.0f, 0.0f, 0.0f, 0.0f},
         16740.0},
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
        const void *options = NULL;
        tl_pixels pixels;
        if (read_options(cases[i].kind, cases[i].options, "{}", arena, &options,
                         &err) != TL_OK ||
            kinds[cases[i].kind]->make(options, &image, arena, &pixels, &err) != TL_OK)
            fail_msg("%s", err.text);
        const size_t want[4] = {1, 3, cases[i].height, cases[i].width};
        assert_int_equal(pixels.n_dims, 4);
        assert_memory_equal(pixels.dims, want, sizeof want);

        const size_t n = 3 * cases[i].height * cases[i].width;
        const size_t places[N_SAMPLES] = {
            0, 1, 5, 9, n / 3, n / 3 + 7, n / 2, 2 * n / 3 + 3, n - 2, n - 1};
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

static void the_model_says_how_many_tokens_there_are(void **state)
{
    (void)state;
    static const struct {
        int kind;
        const char *model;
        size_t side;
    } cases[] = {
        {GEMMA3, "{}", 16},
        {GEMMA3, "{\"mm_tokens_per_image\": null}", 16},
        {GEMMA3, "{\"mm_tokens_per_image\": 9}", 3},
        {PALIGEMMA, "{}", 14},
        {PALIGEMMA, "{\"vision_config\": {\"patch_size\": 14}}", 16},
        {CLIP, "{\"vision_config\": {}}", 7},
        {CLIP, "{\"vision_config\": {\"image_size\": 336, \"patch_size\": 14}}", 24}};
    const uint8_t rgb[3] = {1, 2, 3};
    const tl_image image = {.width = 1, .height = 1, .rgb = rgb};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        const void *options = NULL;
        tl_pixels pixels;
        assert_int_equal(
            read_options(cases[i].kind, "{}", cases[i].model, arena, &options, NULL),
            TL_OK);
        assert_int_equal(
            kinds[cases[i].kind]->make(options, &image, arena, &pixels, NULL), TL_OK);
        assert_int_equal(pixels.views[0].n_rows, cases[i].side);
        assert_int_equal(pixels.views[0].n_columns, cases[i].side);
        assert_true(pixels.dims[2] == 224 && pixels.dims[3] == 224);
        tl_arena_destroy(arena);
    }
}

static void bad_options_are_explained(void **state)
{
    (void)state;
    static const struct {
        int kind;
        const char *json, *model, *message;
        tl_status status;
    } cases[] = {
        {GEMMA3, "[]", "{}", "p.json: not an object", TL_ERR_FORMAT},
        {GEMMA3, "{\"image_processor_type\": \"PixtralImageProcessor\"}", "{}",
         "p.json: 'image_processor_type' is 'PixtralImageProcessor', supported is "
         "'Gemma3ImageProcessor'",
         TL_ERR_UNSUPPORTED},
        {GEMMA3, "{\"do_pan_and_scan\": true}", "{}",
         "p.json: 'do_pan_and_scan' is true, supported is false: a prompt has one "
         "image, not its crops as well",
         TL_ERR_UNSUPPORTED},
        {GEMMA3, "{\"do_pan_and_scan\": 1}", "{}",
         "p.json: 'do_pan_and_scan' is 1, wanted true or false", TL_ERR_FORMAT},
        {GEMMA3, "{\"size\": {\"height\": 0, \"width\": 1}}", "{}",
         "p.json: 'height' is 0, wanted 1..16384", TL_ERR_FORMAT},
        {GEMMA3, "{\"size\": {\"height\": 1, \"width\": 16385}}", "{}",
         "p.json: 'width' is 16385, wanted 1..16384", TL_ERR_FORMAT},
        {GEMMA3, "{\"size\": {\"shortest_edge\": 10}}", "{}",
         "p.json: 'size' has no 'height'; wanted 'height' and 'width'", TL_ERR_FORMAT},
        {GEMMA3, "{\"size\": [1, 2]}", "{}",
         "p.json: 'size' is an array, wanted an integer in 0..2^31", TL_ERR_FORMAT},
        {GEMMA3, "{\"resample\": 4}", "{}",
         "p.json: 'resample' is 4 (box), supported are 1 (lanczos), 2 (bilinear) "
         "and 3 (bicubic)",
         TL_ERR_UNSUPPORTED},
        {GEMMA3, "{\"image_std\": [1, 0, 1]}", "{}", "p.json: 'image_std' has a 0",
         TL_ERR_FORMAT},
        {GEMMA3, "{}", "{\"mm_tokens_per_image\": 10}",
         "config.json: 'mm_tokens_per_image' is 10, wanted a square of 1..16384",
         TL_ERR_FORMAT},
        {GEMMA3, "{}", "{\"mm_tokens_per_image\": 0}",
         "config.json: 'mm_tokens_per_image' is 0, wanted a square of 1..16384",
         TL_ERR_FORMAT},
        {PALIGEMMA, "{\"size\": {\"shortest_edge\": 10}}", "{}",
         "p.json: 'size' has no 'height'; wanted 'height' and 'width'", TL_ERR_FORMAT},
        {PALIGEMMA, "{\"image_processor_type\": \"SiglipImageProcessorSlow\"}", "{}",
         "p.json: 'image_processor_type' is 'SiglipImageProcessorSlow', supported is "
         "'SiglipImageProcessor'",
         TL_ERR_UNSUPPORTED},
        {CLIP, "{\"image_processor_type\": \"LlavaImageProcessor\"}", "{}",
         "p.json: 'image_processor_type' is 'LlavaImageProcessor', supported is "
         "'CLIPImageProcessor'",
         TL_ERR_UNSUPPORTED},
        {CLIP, "{\"size\": {\"shortest_edge\": 0}}", "{}",
         "p.json: 'shortest_edge' is 0, wanted 1..16384", TL_ERR_FORMAT},
        {CLIP, "{\"crop_size\": {\"height\": 3}}", "{}",
         "p.json: 'crop_size' has no 'width'; wanted 'height' and 'width'",
         TL_ERR_FORMAT},
        {CLIP, "{}", "{\"vision_config\": {\"image_size\": 20}}",
         "config.json: vision_config: 'image_size' is 20, wanted at least the "
         "'patch_size' of 32",
         TL_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        tl_error err = {0};
        const void *options = NULL;
        assert_int_equal(read_options(cases[i].kind, cases[i].json, cases[i].model,
                                      arena, &options, &err),
                         cases[i].status);
        assert_string_equal(err.text, cases[i].message);
        assert_null(options);
        tl_arena_destroy(arena);
    }
}

/* A strip would become far too long before its middle is cut out. */
static void extreme_shapes_are_refused_before_they_are_resized(void **state)
{
    (void)state;
    static const uint8_t rgb[3 * 100];
    const tl_image images[] = {{.width = 100, .height = 1, .rgb = rgb},
                               {.width = 1, .height = 100, .rgb = rgb}};
    for (size_t i = 0; i < 2; i++) {
        tl_arena *arena = tl_arena_create();
        tl_error err = {0};
        const void *options = NULL;
        tl_pixels pixels = {.n_dims = 77};
        assert_int_equal(read_options(CLIP, "{}", "{}", arena, &options, &err), TL_OK);
        assert_int_equal(
            tl_image_kind_clip.make(options, &images[i], arena, &pixels, &err),
            TL_ERR_DATA);
        assert_non_null(strstr(err.text,
                               "would be 22400 pixels long when its shorter "
                               "edge is brought to 224, wanted at most 16384"));
        assert_int_equal(pixels.n_dims, 77);
        tl_arena_destroy(arena);
    }
}

static void lack_of_memory_is_a_status(void **state)
{
    (void)state;
    static const uint8_t rgb[16 * 16 * 3];
    const tl_image image = {.width = 16, .height = 16, .rgb = rgb};
    const size_t live = tl_alloc_live();
    for (long long n = 0;; n++) {
        const void *options = NULL;
        tl_pixels pixels = {.n_dims = 77};
        tl_alloc_fail_at(n);
        tl_arena *arena = tl_arena_create();
        tl_status status = arena != NULL ? TL_OK : TL_ERR_NO_MEMORY;
        if (status == TL_OK)
            status = read_options(CLIP, "{\"size\": 512}", "{}", arena, &options, NULL);
        if (status == TL_OK)
            status = tl_image_kind_clip.make(options, &image, arena, &pixels, NULL);
        const bool hit = tl_alloc_fault_hit() != 0;
        tl_alloc_fail_at(-1);
        tl_arena_destroy(arena);
        assert_int_equal(status, hit ? TL_ERR_NO_MEMORY : TL_OK);
        assert_int_equal(pixels.n_dims, hit ? 77 : 4);
        assert_int_equal(tl_alloc_live(), live);
        if (!hit)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_those_of_transformers),
        cmocka_unit_test(the_model_says_how_many_tokens_there_are),
        cmocka_unit_test(bad_options_are_explained),
        cmocka_unit_test(extreme_shapes_are_refused_before_they_are_resized),
        cmocka_unit_test(lack_of_memory_is_a_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
