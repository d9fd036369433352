/* SPDX-License-Identifier: MIT
 *
 * test_chat.c - the chat strings, byte for byte, and where the data lies in them.
 */
#include "testing.h"

#include <string.h>

#include "input/chat.h"
#include "twinlens/alloc.h"

#define QWEN_BEFORE                                                                    \
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
#define QWEN_AFTER "<|im_end|>\n<|im_start|>assistant\n"

static void chats_are_written_as_the_templates_do(void **state)
{
    (void)state;
    static const struct {
        const char *before, *data, *query;
        bool has_image;
        const char *want;
    } cases[] = {
        {"A:", " b c", ". d?", false, QWEN_BEFORE "A: b c. d?" QWEN_AFTER},
        {NULL, "b", "\nc ", false, QWEN_BEFORE "b\nc " QWEN_AFTER},
        {"", NULL, "c", true,
         QWEN_BEFORE "<|vision_start|><|image_pad|><|vision_end|>c" QWEN_AFTER},
        {"A ", NULL, "c", true,
         QWEN_BEFORE "<|vision_start|><|image_pad|><|vision_end|>A c" QWEN_AFTER},
    };
    const tl_chat_format *format = tl_chat_find("qwen2_vl", NULL);
    assert_non_null(format);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        tl_chat chat;
        assert_int_equal(tl_chat_build(format,
                                       &(tl_chat_words){cases[i].before, cases[i].data,
                                                        cases[i].query, NULL, false},
                                       cases[i].has_image ? format->placeholder : NULL,
                                       arena, &chat, NULL),
                         TL_OK);
        assert_string_equal(chat.text, cases[i].want);
        assert_int_equal(chat.bytes, strlen(cases[i].want));
        const char *data = cases[i].data != NULL ? cases[i].data : "";
        assert_int_equal(chat.data_end - chat.data_begin, strlen(data));
        assert_memory_equal(chat.text + chat.data_begin, data, strlen(data));
        tl_arena_destroy(arena);
    }
}

#define GEMMA_BEFORE "<bos><start_of_turn>user\n"
#define GEMMA_IMAGE "\n\n<start_of_image><image_soft_token><end_of_image>\n\n"
#define GEMMA_AFTER "<end_of_turn>\n<start_of_turn>model\n"

/* What is trimmed off the words is trimmed off the data, too. */
static void gemma3_trims_the_words_as_a_whole(void **state)
{
    (void)state;
    static const struct {
        const char *before, *data, *query;
        bool has_image;
        const char *want, *want_data;
    } cases[] = {
        {"A:", " b c", ". d? ", false, GEMMA_BEFORE "A: b c. d?" GEMMA_AFTER, " b c"},
        {"", " b ", " d", false, GEMMA_BEFORE "b  d" GEMMA_AFTER, "b "},
        {" \n ", " b", "", false, GEMMA_BEFORE "b" GEMMA_AFTER, "b"},
        {"A", " b\n", "\t\r\n", false, GEMMA_BEFORE "A b" GEMMA_AFTER, " b"},
        {"A", " ", NULL, false, GEMMA_BEFORE "A" GEMMA_AFTER, ""},
        {NULL, " \n", " ", false, GEMMA_BEFORE GEMMA_AFTER, ""},
        {"\x1c\xc2\xa0\xe3\x80\x80", "b\xe2\x80\x8b", "\xc2\x85\xe2\x80\xa8\v\f", false,
         GEMMA_BEFORE "b\xe2\x80\x8b" GEMMA_AFTER, "b\xe2\x80\x8b"},
        {"", NULL, "\nIs it? ", true, GEMMA_BEFORE GEMMA_IMAGE "Is it?" GEMMA_AFTER,
         ""},
        {" A ", NULL, " c", true, GEMMA_BEFORE GEMMA_IMAGE "A  c" GEMMA_AFTER, ""},
    };
    const tl_chat_format *format = tl_chat_find("gemma3", NULL);
    assert_non_null(format);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        tl_chat chat;
        assert_int_equal(tl_chat_build(format,
                                       &(tl_chat_words){cases[i].before, cases[i].data,
                                                        cases[i].query, NULL, false},
                                       cases[i].has_image ? format->placeholder : NULL,
                                       arena, &chat, NULL),
                         TL_OK);
        assert_string_equal(chat.text, cases[i].want);
        assert_int_equal(chat.bytes, strlen(cases[i].want));
        assert_int_equal(chat.data_end - chat.data_begin, strlen(cases[i].want_data));
        assert_memory_equal(chat.text + chat.data_begin, cases[i].want_data,
                            strlen(cases[i].want_data));
        tl_arena_destroy(arena);
    }
}

static void words_that_mean_a_picture_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *family, *before, *data, *query, *token;
        bool has_image;
    } cases[] = {
        {"qwen2_vl", "", "x", "<|image_pad|>", "<|image_pad|>", false},
        {"qwen2_vl", "<|image_pad|>", NULL, "x", "<|image_pad|>", true},
        {"qwen2_vl", "", "a <|video_pad|>", "x", "<|video_pad|>", false},
        {"qwen2_vl", "a <|ima", "ge_p", "ad|>", "<|image_pad|>", false},
        {"gemma3", "", "x", "<start_of_image>", "<start_of_image>", false},
        {"gemma3", "", NULL, "<image_soft_token>", "<image_soft_token>", true},
        {"paligemma", "", NULL, "<image>", "<image>", true},
        {"internvl", "", "x", "<IMG_CONTEXT>", "<IMG_CONTEXT>", false},
        {"internvl", "<video>", NULL, "x", "<video>", true},
        {"llava", "", "<image>", "", "<image>", false},
        {"llava_next", "", "<image>", "", "<image>", false},
        {"llava_onevision", "", "a", "<video>", "<video>", false},
        {"smolvlm", "", "x", "<fake_token_around_image>", "<fake_token_around_image>",
         false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        tl_error err = {0};
        tl_chat chat = {.bytes = 77};
        const tl_chat_format *format = tl_chat_find(cases[i].family, NULL);
        assert_int_equal(tl_chat_build(format,
                                       &(tl_chat_words){cases[i].before, cases[i].data,
                                                        cases[i].query, NULL, false},
                                       cases[i].has_image ? format->placeholder : NULL,
                                       arena, &chat, &err),
                         TL_ERR_DATA);
        assert_non_null(strstr(err.text, cases[i].token));
        assert_int_equal(chat.bytes, 77);
        tl_arena_destroy(arena);
    }
}

static void families_are_found_and_listed(void **state)
{
    (void)state;
    assert_null(tl_chat_find("gpt2", NULL));
    assert_null(tl_chat_find("", "pixtral"));
    assert_null(tl_chat_find("llava", "siglip_vision_model"));
    static const struct {
        const char *family, *tower;
    } families[] = {{"qwen2_vl", NULL},
                    {"qwen2_5_vl", "any"},
                    {"gemma3", "siglip_vision_model"},
                    {"paligemma", NULL},
                    {"internvl", "internvl_vision"},
                    {"llava", "clip_vision_model"},
                    {"llava", "pixtral"},
                    {"llava_next", NULL},
                    {"llava_onevision", "siglip_vision_model"},
                    {"idefics3", "idefics3_vision"},
                    {"smolvlm", "smolvlm_vision"}};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        assert_non_null(strstr(tl_chat_known(), families[i].family));
        const tl_chat_format *format =
            tl_chat_find(families[i].family, families[i].tower);
        assert_non_null(format);
        assert_non_null(strstr(format->image, format->placeholder));
    }
    /* Which is what transformers takes a model without a word about it for. */
    assert_ptr_equal(tl_chat_find("llava", NULL),
                     tl_chat_find("llava", "clip_vision_model"));
}

/* The tower of a llava decides about the chat; PaliGemma has its picture in front of
 * everything. */
static void formats_differ_in_where_the_picture_is(void **state)
{
    (void)state;
    static const struct {
        const char *family, *tower;
        bool has_image;
        const char *want;
    } cases[] = {
        {"llava", "clip_vision_model", false, "<s>USER: A: b c ASSISTANT:"},
        {"llava", "clip_vision_model", true, "<s>USER: <image>\nA: c ASSISTANT:"},
        {"llava", "pixtral", false, "<s>[INST]A: b c[/INST]"},
        {"llava", "pixtral", true, "<s>[INST][IMG]A: c[/INST]"},
        {"internvl", NULL, false,
         "<|im_start|>user\nA: b c<|im_end|>\n<|im_start|>assistant\n"},
        {"internvl", NULL, true,
         "<|im_start|>user\n<img><IMG_CONTEXT></img>\nA: c<|im_end|>\n<|im_start|>"
         "assistant\n"},
        {"paligemma", "siglip_vision_model", false, "<bos>A: b c\n"},
        {"idefics3", NULL, false,
         "<|begin_of_text|>User: A: b c<end_of_utterance>\nAssistant:"},
        {"idefics3", NULL, true,
         "<|begin_of_text|>User:<image>A: c<end_of_utterance>\nAssistant:"},
        {"smolvlm", NULL, false,
         "<|im_start|>User: A: b c<end_of_utterance>\nAssistant:"},
        {"smolvlm", NULL, true,
         "<|im_start|>User:<image>A: c<end_of_utterance>\nAssistant:"},
        {"paligemma", "siglip_vision_model", true, "<image><bos>A: c\n"},
        {"llava_onevision", NULL, false,
         "<|im_start|>user \nA: b c<|im_end|><|im_start|>assistant\n"},
        {"llava_onevision", NULL, true,
         "<|im_start|>user <image>\nA: c<|im_end|><|im_start|>assistant\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        tl_chat chat;
        const char *data = cases[i].has_image ? NULL : "b";
        const tl_chat_format *format = tl_chat_find(cases[i].family, cases[i].tower);
        assert_int_equal(
            tl_chat_build(format,
                          &(tl_chat_words){"A: ", data, cases[i].has_image ? "c" : " c",
                                           NULL, false},
                          cases[i].has_image ? format->placeholder : NULL, arena, &chat,
                          NULL),
            TL_OK);
        assert_string_equal(chat.text, cases[i].want);
        if (data != NULL)
            assert_memory_equal(chat.text + chat.data_begin, "b", 1);
        assert_int_equal(chat.data_end - chat.data_begin, data != NULL);
        tl_arena_destroy(arena);
    }
}

/* Pixtral's pictures hold words between their rows, Idefics3's in front of tiles; the
 * others only their features. */
static void pictures_are_written_token_by_token(void **state)
{
    (void)state;
    static const tl_pixels pixels = {.n_tokens = 6, .n_views = 1, .views = {{2, 3}}},
                           whole = {.n_tokens = 2, .dims = {1}},
                           tiles = {.n_tokens = 10,
                                    .dims = {5},
                                    .tile_rows = 2,
                                    .tile_columns = 2};
    static const struct {
        const char *family, *tower;
        const tl_pixels *pixels;
        const char *want;
        size_t n_tokens;
    } cases[] = {
        {"llava", "pixtral", &pixels,
         "[IMG][IMG][IMG][IMG_BREAK][IMG][IMG][IMG][IMG_END]", 8},
        {"llava", NULL, &pixels, "<image><image><image><image><image><image>", 6},
        {"smolvlm", NULL, &whole,
         "<fake_token_around_image><global-img><image><image><fake_token_around_image>",
         5},
        {"idefics3", NULL, &tiles,
         "<fake_token_around_image><row_1_col_1><image><image>"
         "<fake_token_around_image><row_1_col_2><image><image>\n"
         "<fake_token_around_image><row_2_col_1><image><image>"
         "<fake_token_around_image><row_2_col_2><image><image>\n\n"
         "<fake_token_around_image><global-img><image><image><fake_token_around_image>",
         23},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        const tl_chat_format *format = tl_chat_find(cases[i].family, cases[i].tower);
        const char *text = NULL;
        size_t n_tokens = 0;
        tl_chat chat;
        assert_int_equal(
            tl_chat_picture(format, cases[i].pixels, arena, &text, &n_tokens, NULL),
            TL_OK);
        assert_string_equal(text, cases[i].want);
        assert_int_equal(n_tokens, cases[i].n_tokens);
        assert_int_equal(tl_chat_build(format,
                                       &(tl_chat_words){"", NULL, "c", NULL, false},
                                       text, arena, &chat, NULL),
                         TL_OK);
        assert_non_null(strstr(chat.text, cases[i].want));
        tl_arena_destroy(arena);
    }
}

static void lack_of_memory_is_a_status(void **state)
{
    (void)state;
    tl_arena *arena = tl_arena_create();
    tl_chat chat;
    static char long_text[300000]; /* more than an arena has at hand */
    memset(long_text, 'a', sizeof long_text - 1);
    tl_alloc_fail_at(0);
    assert_int_equal(tl_chat_build(tl_chat_find("qwen2_vl", NULL),
                                   &(tl_chat_words){"", long_text, "", NULL, false},
                                   NULL, arena, &chat, NULL),
                     TL_ERR_NO_MEMORY);
    tl_alloc_fail_at(-1);
    tl_arena_destroy(arena);
}

/* The decoder and its tokens decide about LLaVA-NeXT's chat. */
static void a_decoder_has_a_chat_of_its_own(void **state)
{
    (void)state;
    static const char tokens[][32] = {"<s>",
                                      "<image>",
                                      "<|begin_of_text|>",
                                      "<|start_header_id|>",
                                      "<|end_header_id|>",
                                      "<|eot_id|>"};
    static const struct {
        const char *text_type;
        size_t first, n; /* of the tokens */
        const char *words, *picture;
    } cases[] = {
        {"mistral", 0, 6, "<s>[INST] c [/INST]", "<s>[INST] <image>\nc [/INST]"},
        {"llama", 0, 2, "<s>USER: c ASSISTANT:", "<s>USER: <image>\nc ASSISTANT:"},
        {NULL, 0, 2, "<s>USER: c ASSISTANT:", "<s>USER: <image>\nc ASSISTANT:"},
        {"llama", 0, 6,
         "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n\nc<|eot_id|>"
         "<|start_header_id|>assistant<|end_header_id|>\n\n",
         "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n<image>\nc"
         "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"},
        /* Neither's: what is missing is told by the last. */
        {"llama", 2, 4, "<s>USER: c ASSISTANT:", "<s>USER: <image>\nc ASSISTANT:"},
    };
    const tl_chat_format *first = tl_chat_find("llava_next", "clip_vision_model");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char json[1024];
        const test_folder folder = test_folder_create();
        tl_arena *arena = tl_arena_create();
        tl_tokenizer *tokenizer = NULL;
        tl_error err = {0};
        tl_chat chat;
        size_t n = (size_t)snprintf(json, sizeof json,
                                    "{\"model\": {\"type\": \"BPE\", \"vocab\": "
                                    "{\"c\": 0}, \"merges\": []}, "
                                    "\"added_tokens\": [");
        for (size_t t = 0; t < cases[i].n; t++)
            n += (size_t)snprintf(
                json + n, sizeof json - n,
                "%s{\"id\": %zu, \"content\": \"%s\", \"special\": true}",
                t > 0 ? ", " : "", t + 1, tokens[cases[i].first + t]);
        n += (size_t)snprintf(json + n, sizeof json - n, "]}");
        test_file(&folder, "tokenizer.json", json, n);
        snprintf(json, sizeof json, "%s/tokenizer.json", folder.path);
        if (tl_tokenizer_open(json, &tokenizer, &err) != TL_OK)
            fail_msg("%s", err.text);
        const tl_chat_format *format =
            tl_chat_of_decoder(first, cases[i].text_type, tokenizer);
        assert_non_null(format);
        assert_int_equal(tl_chat_build(format,
                                       &(tl_chat_words){"", "c", NULL, NULL, false},
                                       NULL, arena, &chat, NULL),
                         TL_OK);
        assert_string_equal(chat.text, cases[i].words);
        assert_int_equal(tl_chat_build(format,
                                       &(tl_chat_words){"", NULL, "c", NULL, false},
                                       "<image>", arena, &chat, NULL),
                         TL_OK);
        assert_string_equal(chat.text, cases[i].picture);
        tl_tokenizer_close(tokenizer);
        tl_arena_destroy(arena);
        test_folder_remove(folder.path);
    }
    assert_null(tl_chat_of_decoder(first, "qwen2", NULL));
    first = tl_chat_find("gemma3", NULL);
    assert_ptr_equal(tl_chat_of_decoder(first, "qwen2", NULL), first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chats_are_written_as_the_templates_do),
        cmocka_unit_test(gemma3_trims_the_words_as_a_whole),
        cmocka_unit_test(words_that_mean_a_picture_are_refused),
        cmocka_unit_test(families_are_found_and_listed),
        cmocka_unit_test(formats_differ_in_where_the_picture_is),
        cmocka_unit_test(pictures_are_written_token_by_token),
        cmocka_unit_test(a_decoder_has_a_chat_of_its_own),
        cmocka_unit_test(lack_of_memory_is_a_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
