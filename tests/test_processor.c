/* SPDX-License-Identifier: MIT
 *
 * test_processor.c - token ids, data spans and pixels of whole prompts against
 * transformers; and model folders that lack something.
 */
#include "testing.h"

#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "twinlens/log.h"
#include "twinlens/processor.h"
#include "twinlens/safetensors.h"

#define TINY "tests/data/qwen2vl-tiny"
#define SHARED TWINLENS_SOURCE_DIR "/../shared"

static tl_processor *open_processor(const char *folder)
{
    tl_error err = {0};
    tl_processor *processor = NULL;
    if (tl_processor_open(folder, 0, &processor, &err) != TL_OK)
        fail_msg("%s", err.text);
    return processor;
}

/* ---- against the golden values ---------------------------------------------------- */

static const char *text_of(const json_t *row, const char *key)
{
    return json_string_value(json_object_get(row, key));
}

/* The chat as it is tokenized: some goldens have it with one token for the whole picture,
 * which transformers' processor writes out afterwards. */
static const char *written_out(const char *chat, tl_arena *arena)
{
    static const char picture[] = "<start_of_image>";
    const char *at = strstr(chat, picture);
    if (at == NULL)
        return chat;
    const size_t most = strlen(chat) + 100;
    char *text = tl_arena_alloc(arena, most, 1);
    snprintf(text, most, "%.*s\n\n%s<image_soft_token><end_of_image>\n\n%s",
             (int)(at - chat), chat, picture, at + strlen(picture));
    return text;
}

static void assert_row_encodes(const tl_processor *processor, const char *goldens,
                               const json_t *row, const json_t *want)
{
    tl_arena *arena = tl_arena_create();
    tl_error err = {0};
    const char *id = text_of(row, "id"), *image = text_of(row, "image");
    const tl_prompt_text prompt = {
        .before = text_of(row, "before"),
        .data = text_of(row, "data"),
        .query = text_of(row, "query"),
        .image_path = image != NULL ? tl_path_join(arena, goldens, image) : NULL};
    const char *chat = NULL;
    tl_encoding encoding;
    int32_t answer = -1;
    if (tl_processor_chat(processor, &prompt, arena, &chat, &err) != TL_OK ||
        tl_processor_encode(processor, &prompt, arena, &encoding, &err) != TL_OK ||
        tl_processor_answer_id(processor, text_of(row, "answer"), &answer, &err) !=
            TL_OK)
        fail_msg("%s: %s", id, err.text);
    assert_string_equal(chat, written_out(text_of(want, "chat"), arena));
    assert_int_equal(answer, json_integer_value(json_object_get(want, "answer")));
    const json_t *ids = json_object_get(want, "input_ids");
    if (encoding.n_pos != json_array_size(ids))
        fail_msg("%s: %zu tokens, wanted %zu", id, encoding.n_pos,
                 json_array_size(ids));
    for (size_t i = 0; i < encoding.n_pos; i++)
        if (encoding.ids[i] != json_integer_value(json_array_get(ids, i)))
            fail_msg("%s: token %zu is %d, wanted %d", id, i, (int)encoding.ids[i],
                     (int)json_integer_value(json_array_get(ids, i)));
    const json_t *data = json_object_get(want, "data");
    assert_int_equal(encoding.data_begin, json_integer_value(json_array_get(data, 0)));
    assert_int_equal(encoding.data_end, json_integer_value(json_array_get(data, 1)));
    assert_int_equal(encoding.modality, image != NULL ? TL_IMAGE : TL_TEXT);
    assert_int_equal(encoding.n_images, image != NULL);
    const json_t *positions = json_object_get(want, "image_positions");
    assert_int_equal(json_array_size(positions),
                     image != NULL ? encoding.pixels.n_tokens : 0);
    for (size_t i = 0; i < json_array_size(positions); i++) {
        const json_int_t at = json_integer_value(json_array_get(positions, i));
        assert_in_range(at, encoding.data_begin, encoding.data_end - 1);
    }
    tl_arena_destroy(arena);
}

/* Counts the values that differ by more than 1e-6; `worst` is in grey levels, where the
 * least image_std is `std`. A family may have no grid. */
static size_t compare_pixels(const tl_pixels *got, const tl_tensor *values,
                             const tl_tensor *grid, double std, double *worst)
{
    const int64_t *thw = grid != NULL ? grid->data : (int64_t[]){0, 0, 0};
    assert_int_equal(got->grid_t, thw[0]);
    assert_int_equal(got->grid_h, thw[1]);
    assert_int_equal(got->grid_w, thw[2]);
    assert_non_null(values);
    assert_int_equal(got->n_dims, values->n_dims);
    for (size_t i = 0; i < got->n_dims; i++)
        assert_int_equal(got->dims[i], values->dims[i]);
    const float *want = values->data;
    const double level = 1.0 / 255.0 / std;
    size_t n_different = 0;
    *worst = 0;
    for (size_t i = 0; i < tl_tensor_count(values); i++) {
        const double off = fabs((double)got->values[i] - (double)want[i]);
        n_different += off > 1e-6;
        *worst = fmax(*worst, off / level);
    }
    return n_different;
}

static void assert_goldens_hold(const char *checkpoint, const char *goldens)
{
    tl_arena *arena = tl_arena_create();
    tl_processor *processor = open_processor(checkpoint);
    tl_error err = {0};
    char *text = NULL;
    size_t bytes = 0, n_rows = 0;
    json_t *encode = NULL;
    if (tl_json_read(tl_path_join(arena, goldens, "encode.json"), &encode, &err) !=
            TL_OK ||
        tl_file_read(tl_path_join(arena, goldens, "dataset.jsonl"), arena, &text,
                     &bytes, &err) != TL_OK)
        fail_msg("%s", err.text);
    for (char *line = text; *line != '\0'; n_rows++) {
        const size_t n = strcspn(line, "\n");
        json_t *row = NULL;
        assert_int_equal(tl_json_parse(line, n, "row", &row, NULL), TL_OK);
        assert_row_encodes(processor, goldens, row,
                           json_object_get(encode, text_of(row, "id")));
        json_decref(row);
        line += n + (line[n] == '\n');
    }
    assert_int_equal(n_rows, 12);

    tl_safetensors *forward = NULL;
    if (tl_safetensors_open(tl_path_join(arena, goldens, "forward.safetensors"),
                            &forward, &err) != TL_OK)
        fail_msg("%s", err.text);
    tl_pixels pixels;
    if (tl_processor_pixels(processor, tl_path_join(arena, goldens, "images/0.png"), 0,
                            0, arena, &pixels, &err) != TL_OK)
        fail_msg("%s", err.text);
    double worst = 0;
    assert_int_equal(
        compare_pixels(&pixels, tl_safetensors_find(forward, "image.pixel_values"),
                       tl_safetensors_find(forward, "image.image_grid_thw"), 1.0,
                       &worst),
        0);
    tl_safetensors_close(forward);
    json_decref(encode);
    tl_processor_close(processor);
    tl_arena_destroy(arena);
}

static void golden_prompts_encode_as_in_transformers(void **state)
{
    (void)state;
    assert_goldens_hold(TINY "/checkpoint", TINY "/goldens");
}

static void other_golden_prompts_do_too(void **state)
{
    (void)state;
    if (!tl_file_exists(SHARED "/goldens")) {
        printf("skipped: no ../shared\n");
        skip();
    }
    assert_goldens_hold(SHARED "/checkpoints/qwen2vl-tiny",
                        SHARED "/goldens/qwen2vl-tiny");
    assert_goldens_hold(SHARED "/checkpoints/qwen2vl-tied-sharded",
                        SHARED "/goldens/qwen2vl-tied-sharded");
    assert_goldens_hold(SHARED "/checkpoints/gemma3-tiny",
                        SHARED "/goldens/gemma3-tiny");
    assert_goldens_hold(SHARED "/checkpoints/pixtral-tiny",
                        SHARED "/goldens/pixtral-tiny");
}

/* `std`: the least image_std of the checkpoint. */
static void assert_photographs_hold(const char *checkpoint, double std)
{
    static const struct {
        const char *name, *path;
    } images[] = {
        {"jpeg/hopper.jpg", "images/jpeg/hopper.jpg"},
        {"jpeg/hopper_gray.jpg", "images/jpeg/hopper_gray.jpg"},
        {"jpeg/hopper_orientation_6.jpg", "images/jpeg/hopper_orientation_6.jpg"},
        {"jpeg/peacock.progressive.jpeg", "images/jpeg/peacock.progressive.jpeg"},
        {"jpeg/bricks-gray.jpeg", "images/jpeg/bricks-gray.jpeg"},
        {"clevr:img1.png", "clevr/img1.png"},
        {"clevr:CLEVR_new_000000.png", "clevr/CLEVR_new_000000.png"},
    };
    tl_error err = {0};
    tl_safetensors *golden = NULL;
    char file[300];
    snprintf(file, sizeof file, SHARED "/goldens/inputs/pixels-%s.safetensors",
             checkpoint);
    if (tl_safetensors_open(file, &golden, &err) != TL_OK)
        fail_msg("%s", err.text);
    snprintf(file, sizeof file, SHARED "/checkpoints/%s", checkpoint);
    tl_processor *processor = open_processor(file);
    for (size_t i = 0; i < sizeof images / sizeof *images; i++) {
        tl_arena *arena = tl_arena_create();
        char path[300], name[100];
        snprintf(path, sizeof path, SHARED "/data/%s", images[i].path);
        tl_pixels pixels;
        if (tl_processor_pixels(processor, path, 0, 0, arena, &pixels, &err) != TL_OK)
            fail_msg("%s", err.text);
        snprintf(name, sizeof name, "%s.pixel_values", images[i].name);
        const tl_tensor *values = tl_safetensors_find(golden, name);
        snprintf(name, sizeof name, "%s.image_grid_thw", images[i].name);
        const tl_tensor *grid = tl_safetensors_find(golden, name);
        double worst = 0;
        const size_t n_different = compare_pixels(&pixels, values, grid, std, &worst);
        const size_t n = tl_tensor_count(values);
        const bool is_png = strstr(path, ".png") != NULL;
        /* JPEG decoders may round differently, by one level at most. */
        if (worst > 1.001 || (double)n_different > (is_png ? 0 : 0.01 * (double)n))
            fail_msg("%s: %zu of %zu values differ, the worst by %g grey levels", path,
                     n_different, n, worst);
        tl_arena_destroy(arena);
    }
    tl_processor_close(processor);
    tl_safetensors_close(golden);
}

static void photographs_have_transformers_pixels(void **state)
{
    (void)state;
    if (!tl_file_exists(SHARED "/goldens/inputs")) {
        printf("skipped: no ../shared\n");
        skip();
    }
    assert_photographs_hold("qwen2vl-tiny", 0.26130258);
    assert_photographs_hold("gemma3-tiny", 0.5);
    assert_photographs_hold("pixtral-tiny", 0.26130258);
}

/* ---- prompts ------------------------------------------------------------------------ */

static void images_are_resized_first(void **state)
{
    (void)state;
    tl_processor *processor = open_processor(TINY "/checkpoint");
    tl_arena *arena = tl_arena_create();
    static const struct {
        size_t width, height, grid_w, grid_h;
    } cases[] = {{0, 0, 6, 4}, {56, 56, 4, 4}, {112, 84, 8, 6}, {30, 120, 2, 8}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const tl_prompt_text prompt = {.query = "What?",
                                       .image_path = TINY "/goldens/images/0.png",
                                       .resize_width = cases[i].width,
                                       .resize_height = cases[i].height};
        tl_encoding e;
        assert_int_equal(tl_processor_encode(processor, &prompt, arena, &e, NULL),
                         TL_OK);
        assert_int_equal(e.pixels.grid_w, cases[i].grid_w);
        assert_int_equal(e.pixels.grid_h, cases[i].grid_h);
        assert_int_equal(e.data_end - e.data_begin,
                         cases[i].grid_w * cases[i].grid_h / 4);
        const int32_t pad =
            tl_tokenizer_id(tl_processor_tokenizer(processor), "<|image_pad|>");
        for (size_t k = 0; k < e.n_pos; k++)
            assert_int_equal(e.ids[k] == pad, k >= e.data_begin && k < e.data_end);
    }
    tl_arena_destroy(arena);
    tl_processor_close(processor);
}

static void bad_prompts_are_explained(void **state)
{
    (void)state;
    static const struct {
        tl_prompt_text prompt;
        tl_status status;
        const char *message; /* part of it */
    } cases[] = {
        {{"a", NULL, "b", NULL, 0, 0, NULL}, TL_ERR_ARGUMENT, "here is neither"},
        {{"a", "b", "c", "d.png", 0, 0, NULL}, TL_ERR_ARGUMENT, "not both"},
        {{"a", "", "c", NULL, 0, 0, NULL},
         TL_ERR_DATA,
         "the data of the prompt has no token"},
        {{"a", "<|image_pad|>", "c", NULL, 0, 0, NULL}, TL_ERR_DATA, "<|image_pad|>"},
        {{"a", NULL, "<|image_pad|>", TINY "/goldens/images/0.png", 0, 0, NULL},
         TL_ERR_DATA,
         "<|image_pad|>"},
        {{"a", "\xff", "c", NULL, 0, 0, NULL}, TL_ERR_DATA, "UTF-8"},
        {{NULL, NULL, "c", "tests/data/none.png", 0, 0, NULL},
         TL_ERR_NOT_FOUND,
         "tests/data/none.png"},
        {{NULL, NULL, "c", TINY "/SOURCES.md", 0, 0, NULL},
         TL_ERR_UNSUPPORTED,
         TINY "/SOURCES.md"},
        {{NULL, NULL, "c", TINY "/goldens/images/0.png", 20, 20, NULL},
         TL_ERR_DATA,
         TINY
         "/goldens/images/0.png: the image is 20x20; this model needs at least 28"},
        {{NULL, NULL, "c", TINY "/goldens/images/0.png", 20, 0, NULL},
         TL_ERR_ARGUMENT,
         "20x0"},
    };
    tl_processor *processor = open_processor(TINY "/checkpoint");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        tl_error err = {0};
        tl_encoding encoding = {.n_pos = 77};
        const tl_status status =
            tl_processor_encode(processor, &cases[i].prompt, arena, &encoding, &err);
        if (status != cases[i].status || strstr(err.text, cases[i].message) == NULL)
            fail_msg("case %zu: %s: %s", i, tl_status_name(status), err.text);
        assert_int_equal(encoding.n_pos, 77);
        tl_arena_destroy(arena);
    }
    int32_t id = 77;
    assert_int_equal(tl_processor_answer_id(processor, "", &id, NULL), TL_ERR_DATA);
    assert_int_equal(id, 77);
    tl_processor_close(processor);
}

/* ---- model folders ------------------------------------------------------------------ */

static void write_file(const test_folder *folder, const char *name, const char *text)
{
    test_file(folder, name, text, strlen(text));
}

static char *tiny_tokenizer(tl_arena *arena)
{
    char *text = NULL;
    size_t bytes = 0;
    assert_int_equal(
        tl_file_read(TINY "/checkpoint/tokenizer.json", arena, &text, &bytes, NULL),
        TL_OK);
    return text;
}

static void bad_folders_are_explained(void **state)
{
    (void)state;
    /* NULL: no such file; "": the one of the tiny checkpoint. */
    static const struct {
        const char *config, *tokenizer, *images, *message;
        tl_status status;
    } cases[] = {
        {NULL, "", "{}", "config.json: cannot open", TL_ERR_NOT_FOUND},
        {"{\"model_type\": \"qwen2_vl\"}", NULL, "{}", "tokenizer.json",
         TL_ERR_NOT_FOUND},
        {"[1]", "", "{}", "config.json: not an object", TL_ERR_FORMAT},
        {"{}", "", "{}", "config.json: no 'model_type'", TL_ERR_FORMAT},
        {"{\"model_type\": 3}", "", "{}", "'model_type' is 3, wanted a string",
         TL_ERR_FORMAT},
        {"{\"model_type\": \"gpt2\"}", "", "{}",
         "'model_type' is 'gpt2', supported: qwen2_vl", TL_ERR_UNSUPPORTED},
        {"{\"model_type\": \"qwen2_vl\", \"image_token_id\": 5}", "", "{}",
         "<|image_pad|> is token 638, but 'image_token_id' of config.json is 5",
         TL_ERR_DATA},
        {"{\"model_type\": \"qwen2_vl\"}",
         "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": []}}",
         "{}", "has no token <|im_start|>, which prompts of a qwen2_vl model need",
         TL_ERR_DATA},
        {"{\"model_type\": \"qwen2_vl\"}", "", "{\"patch_size\": \"x\"}",
         "preprocessor_config.json: 'patch_size' is a string", TL_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        const test_folder folder = test_folder_create();
        if (cases[i].config != NULL)
            write_file(&folder, "config.json", cases[i].config);
        if (cases[i].tokenizer != NULL)
            write_file(&folder, "tokenizer.json",
                       *cases[i].tokenizer != '\0' ? cases[i].tokenizer
                                                   : tiny_tokenizer(arena));
        write_file(&folder, "preprocessor_config.json", cases[i].images);
        tl_error err = {0};
        tl_processor *processor = NULL;
        const tl_status status = tl_processor_open(folder.path, 0, &processor, &err);
        if (status != cases[i].status || strstr(err.text, cases[i].message) == NULL)
            fail_msg("case %zu: %s: %s", i, tl_status_name(status), err.text);
        assert_null(processor);
        test_folder_remove(folder.path);
        tl_arena_destroy(arena);
    }
}

static void text_does_without_an_image_processor(void **state)
{
    (void)state;
    tl_arena *arena = tl_arena_create();
    const test_folder folder = test_folder_create();
    write_file(&folder, "config.json", "{\"model_type\": \"qwen2_vl\"}");
    write_file(&folder, "tokenizer.json", tiny_tokenizer(arena));
    tl_processor *processor = open_processor(folder.path);
    const tl_prompt_text text = {.data = "apple"};
    const tl_prompt_text image = {.image_path = TINY "/goldens/images/0.png"};
    tl_encoding encoding;
    tl_error err = {0};
    assert_int_equal(tl_processor_encode(processor, &text, arena, &encoding, &err),
                     TL_OK);
    assert_int_equal(tl_processor_encode(processor, &image, arena, &encoding, &err),
                     TL_ERR_NOT_FOUND);
    assert_non_null(
        strstr(err.text, "preprocessor_config.json: not there, and images need it"));
    tl_processor_close(processor);
    test_folder_remove(folder.path);
    tl_arena_destroy(arena);
}

static void keep_warning(void *user, tl_log_level level, const char *text)
{
    if (level == TL_LOG_WARNING)
        snprintf(user, 256, "%s", text);
}

/* transformers 5 saves what is done to images inside processor_config.json. */
static void images_are_made_as_the_newer_file_says(void **state)
{
    (void)state;
#define SIZE(n) "\"min_pixels\": 784, \"max_pixels\": " #n
    static const struct {
        const char *older, *newer;
        size_t n_patches;
        const char *warning;
    } cases[] = {
        {"{" SIZE(3136) "}", NULL, 8, NULL},
        {NULL, "{\"image_processor\": {" SIZE(1600) "}}", 4, NULL},
        {NULL,
         "{\"image_processor\": {\"image_processor_type\": "
         "\"Qwen2VLImageProcessorPil\", "
         "\"resample\": \"Bicubic\", \"size\": {\"shortest_edge\": 784, "
         "\"longest_edge\": 3136}}}",
         8, NULL},
        {"{" SIZE(3136) ", \"image_processor_type\": \"Qwen2VLImageProcessor\"}",
         "{\"image_processor\": {" SIZE(
             1600) ", \"image_processor_type\": \"Qwen2VLImageProcessorFast\"}}",
         4,
         "image_processor: 'max_pixels' is another than in preprocessor_config.json"},
        {"{" SIZE(3136) "}", "{\"image_processor\": {" SIZE(3136) "}}", 8, NULL},
        {"{" SIZE(3136) "}", "{\"processor_class\": \"Qwen2VLProcessor\"}", 8, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char warning[256] = "";
        tl_arena *arena = tl_arena_create();
        const test_folder folder = test_folder_create();
        write_file(&folder, "config.json", "{\"model_type\": \"qwen2_vl\"}");
        write_file(&folder, "tokenizer.json", tiny_tokenizer(arena));
        if (cases[i].older != NULL)
            write_file(&folder, "preprocessor_config.json", cases[i].older);
        if (cases[i].newer != NULL)
            write_file(&folder, "processor_config.json", cases[i].newer);
        tl_log_set(keep_warning, warning);
        tl_processor *processor = open_processor(folder.path);
        tl_log_set(NULL, NULL);
        tl_pixels pixels;
        tl_error err = {0};
        if (tl_processor_pixels(processor, TINY "/goldens/images/0.png", 0, 0, arena,
                                &pixels, &err) != TL_OK)
            fail_msg("%s", err.text);
        assert_int_equal(pixels.dims[0], cases[i].n_patches);
        if (cases[i].warning == NULL)
            assert_string_equal(warning, "");
        else if (strstr(warning, cases[i].warning) == NULL)
            fail_msg("'%s', wanted '%s'", warning, cases[i].warning);
        tl_processor_close(processor);
        test_folder_remove(folder.path);
        tl_arena_destroy(arena);
    }
#undef SIZE
}

/* The tiny tokenizer has '1' as token 16 and the placeholder of a picture as 638. */
static void tokens_that_the_model_lacks_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t n_vocab;
        const char *answer; /* NULL: a prompt with a picture */
        tl_status status;
        const char *message;
    } cases[] = {
        {17, "1", TL_OK, ""},
        {16, "1", TL_ERR_DATA,
         "'1' is token 16 of the tokenizer, and the model has only 16"},
        {0, "1", TL_OK, ""},
        {638, NULL, TL_OK, ""}, /* the placeholder need not be one of the model's */
        {630, NULL, TL_ERR_DATA, "of the tokenizer, and the model has only 630"},
    };
    const tl_prompt_text prompt = {.image_path = TINY "/goldens/images/0.png"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        tl_processor *processor = NULL;
        tl_error err = {0};
        tl_encoding encoding = {.n_pos = 77};
        int32_t id = 77;
        assert_int_equal(
            tl_processor_open(TINY "/checkpoint", cases[i].n_vocab, &processor, &err),
            TL_OK);
        const tl_status status =
            cases[i].answer != NULL
                ? tl_processor_answer_id(processor, cases[i].answer, &id, &err)
                : tl_processor_encode(processor, &prompt, arena, &encoding, &err);
        if (status != cases[i].status || strstr(err.text, cases[i].message) == NULL)
            fail_msg("case %zu: %s: %s", i, tl_status_name(status), err.text);
        if (status != TL_OK) {
            assert_int_equal(id, 77);
            assert_int_equal(encoding.n_pos, 77);
        }
        tl_processor_close(processor);
        tl_arena_destroy(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_prompts_encode_as_in_transformers),
        cmocka_unit_test(other_golden_prompts_do_too),
        cmocka_unit_test(photographs_have_transformers_pixels),
        cmocka_unit_test(images_are_resized_first),
        cmocka_unit_test(bad_prompts_are_explained),
        cmocka_unit_test(bad_folders_are_explained),
        cmocka_unit_test(text_does_without_an_image_processor),
        cmocka_unit_test(images_are_made_as_the_newer_file_says),
        cmocka_unit_test(tokens_that_the_model_lacks_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
