/* SPDX-License-Identifier: MIT
 *
 * test_chat_template.c - chats are those that transformers makes of each family's template, with
 * and without a system's words and a picture (tests/data/chat/golden.json, by
 * tests/parity/chat_templates.py); and where a folder's template is found.
 */
#include "testing.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "input/chat_template.h"
#include "twinlens/processor.h"

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void put_json(const test_folder *folder, const char *name, json_t *value)
{
    char *text = json_dumps(value, 0);
    test_file(folder, name, text, strlen(text));
    free(text);
    json_decref(value);
}

/* A family may have several chats for one decoder: "chat" counts them. */
static const tl_chat_format *format_of(const json_t *family)
{
    const tl_chat_format *format =
        tl_chat_find(text_of(family, "family"), text_of(family, "tower"));
    assert_non_null(format);
    format = tl_chat_of_decoder(format, text_of(family, "decoder"), NULL);
    return format + json_integer_value(json_object_get(family, "chat"));
}

static void chats_are_those_of_the_templates(void **state)
{
    (void)state;
    json_t *all =
        json_load_file(TWINLENS_SOURCE_DIR "/tests/data/chat/golden.json", 0, NULL);
    const json_t *families = json_object_get(all, "families");
    assert_true(json_array_size(families) >= 14);
    for (size_t f = 0; f < json_array_size(families); f++) {
        const json_t *family = json_array_get(families, f),
                     *cases = json_object_get(family, "cases");
        const tl_chat_format *format = format_of(family);
        const test_folder folder = test_folder_create();
        tl_arena *arena = tl_arena_create();
        tl_chat_template brought = {.source = NULL};
        tl_error err = {0};
        put_json(
            &folder, "chat_template.json",
            json_pack("{s:O}", "chat_template", json_object_get(family, "template")));
        put_json(&folder, "tokenizer_config.json",
                 json_deep_copy(json_object_get(family, "tokens")));
        if (tl_chat_template_read(folder.path, arena, &brought, &err) != TL_OK)
            fail_msg("%s", err.text);
        for (size_t i = 0; i < json_array_size(cases); i++) {
            const json_t *one = json_array_get(cases, i);
            const bool picture = json_is_true(json_object_get(one, "picture"));
            const tl_chat_words words = {.query = text_of(one, "words"),
                                         .system = text_of(one, "system")};
            const char *made = NULL, *want = text_of(one, "made");
            tl_chat chat = {.text = "?"};
            if (tl_chat_template_make(&brought, format, &words, picture, arena, &made,
                                      &err) != TL_OK ||
                tl_chat_build(format, &words, picture ? format->placeholder : NULL,
                              arena, &chat, &err) != TL_OK)
                fail_msg("%s %zu: %s", format->model_type, i, err.text);
            if (strcmp(made, want) != 0)
                fail_msg("%s %zu: rendered '%s', wanted '%s'", format->model_type, i,
                         made, want);
            if (!tl_chat_template_agrees(&brought, chat.text, made))
                fail_msg("%s %zu: '%s', the template makes '%s'", format->model_type, i,
                         chat.text, made);
        }
        tl_chat_template_release(&brought);
        tl_arena_destroy(arena);
        test_folder_remove(folder.path);
    }
    json_decref(all);
}

static void raw_prompts_are_the_words_behind_the_picture(void **state)
{
    (void)state;
    static const struct {
        const char *family, *tower, *words, *picture;
    } cases[] = {
        {"qwen2_vl", NULL, " a b ", "<|vision_start|><|image_pad|><|vision_end|> a b "},
        {"qwen3_vl", NULL, " a b ", "<|vision_start|><|image_pad|><|vision_end|> a b "},
        {"gemma3", NULL, "<bos> a b ",
         "<bos>\n\n<start_of_image><image_soft_token><end_of_image>\n\n a b "},
        {"llava", "pixtral", "<s> a b ", "<s>[IMG] a b "},
        {"llava", "clip_vision_model", "<s> a b ", "<s><image>\n a b "},
        {"mistral3", NULL, "<s> a b ", "<s>[IMG] a b "},
        {"llava_next", NULL, "<|begin_of_text|> a b ",
         "<|begin_of_text|><image>\n a b "},
        {"llava_onevision", NULL, " a b ", "<image>\n a b "},
        {"internvl", NULL, " a b ", "<img><IMG_CONTEXT></img>\n a b "},
        {"idefics3", NULL, "<|begin_of_text|> a b ", "<|begin_of_text|><image> a b "},
        {"smolvlm", NULL, " a b ", "<image> a b "},
        {"paligemma", NULL, "<bos> a b ", "<image><bos> a b "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const tl_chat_format *format = tl_chat_find(cases[i].family, cases[i].tower);
        tl_arena *arena = tl_arena_create();
        tl_chat chat;
        const tl_chat_words words = {" ", "a", " b ", NULL, true};
        assert_int_equal(tl_chat_build(format, &words, NULL, arena, &chat, NULL),
                         TL_OK);
        assert_string_equal(chat.text, cases[i].words);
        assert_int_equal(chat.data_end - chat.data_begin, 1);
        assert_memory_equal(chat.text + chat.data_begin, "a", 1);
        assert_int_equal(
            tl_chat_build(format, &words, format->placeholder, arena, &chat, NULL),
            TL_OK);
        assert_string_equal(chat.text, cases[i].picture);
        tl_arena_destroy(arena);
    }
}

static void a_system_has_its_place_or_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *family;
        bool raw;
        const char *system, *says;
    } cases[] = {
        {"paligemma", false, "x",
         "a paligemma model's prompts have no place for 'system'"},
        {"qwen2_vl", true, "x", "--chat raw"},
        {"qwen2_vl", false, "<|image_pad|>", "<|image_pad|>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        tl_error err = {0};
        tl_chat chat = {.bytes = 77};
        const tl_chat_words words = {"", "a", "", cases[i].system, cases[i].raw};
        assert_int_not_equal(tl_chat_build(tl_chat_find(cases[i].family, NULL), &words,
                                           NULL, arena, &chat, &err),
                             TL_OK);
        if (strstr(err.text, cases[i].says) == NULL)
            fail_msg("'%s' does not say '%s'", err.text, cases[i].says);
        assert_int_equal(chat.bytes, 77);
        tl_arena_destroy(arena);
    }
}

/* It would be cut into other tokens. */
static void a_system_needs_its_token(void **state)
{
    (void)state;
    tl_processor *processor = NULL;
    tl_error err = {0};
    if (tl_processor_open(TWINLENS_SOURCE_DIR "/tests/data/families/mistral3", 0,
                          &processor, &err) != TL_OK)
        fail_msg("%s", err.text);
    tl_arena *arena = tl_arena_create();
    const char *chat = NULL;
    const tl_prompt_text prompt = {.data = "a", .query = "?", .system = "b"};
    assert_int_equal(tl_processor_chat(processor, &prompt, arena, &chat, &err),
                     TL_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "[SYSTEM_PROMPT]"));
    tl_arena_destroy(arena);
    tl_processor_close(processor);
}

/* In order: each file that is added in front counts. */
static void a_template_is_found_where_transformers_finds_it(void **state)
{
    (void)state;
    static const char *const files[][2] = {
        {"tokenizer_config.json",
         "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"no\"}, "
         "{\"name\": "
         "\"default\", \"template\": \"tokenizer\"}], \"bos_token\": {\"content\": "
         "\"<b>\"}, \"eos_token\": null, \"model_max_length\": "
         "1000000000000000019884624838656}"},
        {"processor_config.json", "{\"chat_template\": \"processor\"}"},
        {"chat_template.json", "{\"chat_template\": \"json\"}"},
        {"chat_template.jinja", "jinja"},
    };
    static const char *const wanted[] = {"tokenizer", "processor", "json", "jinja"};
    const test_folder folder = test_folder_create();
    tl_arena *arena = tl_arena_create();
    tl_chat_template brought = {.source = NULL};
    assert_int_equal(tl_chat_template_read(folder.path, arena, &brought, NULL), TL_OK);
    assert_null(brought.source);
    assert_string_equal(brought.bos, "");
    tl_chat_template_release(&brought);
    for (size_t i = 0; i < 4; i++) {
        test_file(&folder, files[i][0], files[i][1], strlen(files[i][1]));
        assert_int_equal(tl_chat_template_read(folder.path, arena, &brought, NULL),
                         TL_OK);
        assert_string_equal(brought.source, wanted[i]);
        assert_non_null(strstr(brought.path, files[i][0]));
        assert_string_equal(brought.bos, "<b>");
        tl_chat_template_release(&brought);
    }
    test_file(&folder, "chat_template.json", "{", 1);
    tl_error err = {0};
    assert_int_equal(tl_chat_template_read(folder.path, arena, &brought, &err),
                     TL_ERR_FORMAT);
    assert_non_null(strstr(err.text, "chat_template.json"));
    tl_arena_destroy(arena);
    test_folder_remove(folder.path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chats_are_those_of_the_templates),
        cmocka_unit_test(raw_prompts_are_the_words_behind_the_picture),
        cmocka_unit_test(a_system_has_its_place_or_is_refused),
        cmocka_unit_test(a_system_needs_its_token),
        cmocka_unit_test(a_template_is_found_where_transformers_finds_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
