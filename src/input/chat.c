/* SPDX-License-Identifier: MIT
 * chat.c - see chat.h. */
#include "input/chat.h"

#include <string.h>

#include "input/white_space.h"

static const char *const qwen2_vl_tokens[] = {
    "<|im_start|>",   "<|im_end|>",    "<|vision_start|>",
    "<|vision_end|>", "<|image_pad|>", NULL,
};
static const char *const qwen2_vl_reserved[] = {"<|image_pad|>", "<|video_pad|>", NULL};

static const char *const pixtral_tokens[] = {
    "<s>", "[INST]", "[/INST]", "[IMG]", "[IMG_BREAK]", "[IMG_END]", NULL,
};
static const char *const pixtral_reserved[] = {"[IMG]", "[IMG_BREAK]", "[IMG_END]",
                                               NULL};

static const char *const gemma3_tokens[] = {
    "<bos>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<start_of_image>",
    "<end_of_image>",
    "<image_soft_token>",
    NULL,
};
static const char *const gemma3_reserved[] = {"<start_of_image>", "<image_soft_token>",
                                              NULL};

static const char *const internvl_tokens[] = {
    "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>", NULL,
};
static const char *const internvl_reserved[] = {"<IMG_CONTEXT>", "<video>", NULL};

static const char *const paligemma_tokens[] = {"<bos>", "<image>", NULL};
static const char *const llava_tokens[] = {"<s>", "<image>", NULL};
static const char *const llama3_tokens[] = {
    "<|begin_of_text|>", "<|start_header_id|>",
    "<|end_header_id|>", "<|eot_id|>",
    "<image>",           NULL,
};
static const char *const onevision_tokens[] = {"<|im_start|>", "<|im_end|>", "<image>",
                                               NULL};
static const char *const onevision_reserved[] = {"<image>", "<video>", NULL};
static const char *const image_reserved[] = {"<image>", NULL};
static const char *const idefics3_tokens[] = {
    "<|begin_of_text|>",
    "<fake_token_around_image>",
    "<image>",
    "<end_of_utterance>",
    NULL,
};
static const char *const smolvlm_tokens[] = {
    "<|im_start|>", "<fake_token_around_image>", "<image>", "<end_of_utterance>", NULL,
};
static const char *const idefics3_reserved[] = {"<image>", "<fake_token_around_image>",
                                                NULL};

#define IM_SYSTEM "<|im_start|>system\n"
#define IM_USER "<|im_end|>\n<|im_start|>user\n"

/* Qwen2-VL's and Qwen2.5-VL's. */
#define QWEN_CHAT                                                                      \
    .before = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"           \
              "<|im_start|>user\n",                                                    \
    .image = "<|vision_start|><|image_pad|><|vision_end|>",                            \
    .before_system = IM_SYSTEM, .after_system = IM_USER,                               \
    .after = "<|im_end|>\n<|im_start|>assistant\n", .placeholder = "<|image_pad|>",    \
    .images = &tl_image_kind_qwen2_vl, .tokens = qwen2_vl_tokens,                      \
    .reserved = qwen2_vl_reserved

/* Idefics3's and SmolVLM's, which differ in the first word; the first SmolVLMs say that they
 * are Idefics3s, and their vocabulary tells them apart. */
#define IDEFICS3_CHAT                                                                  \
    .text_type = "llama", .image = "<image>", .no_image = " ",                         \
    .after_system = "<end_of_utterance>\nUser:",                                       \
    .after = "<end_of_utterance>\nAssistant:", .placeholder = "<image>",               \
    .put_picture = tl_picture_put_idefics3, .images = &tl_image_kind_idefics3,         \
    .reserved = idefics3_reserved

/* One row per family; tl_chat_known() names them all. */
static const tl_chat_format formats[] = {
    {.model_type = "qwen2_vl", QWEN_CHAT},
    {.model_type = "qwen2_5_vl", QWEN_CHAT},
    {
        .model_type = "qwen3_vl", /* no words of its own in front */
        .before = "<|im_start|>user\n",
        .image = "<|vision_start|><|image_pad|><|vision_end|>",
        .after = "<|im_end|>\n<|im_start|>assistant\n",
        .before_system = IM_SYSTEM,
        .after_system = IM_USER,
        .placeholder = "<|image_pad|>",
        .images = &tl_image_kind_qwen2_vl,
        .tokens = qwen2_vl_tokens,
        .reserved = qwen2_vl_reserved,
    },
    {
        .model_type = "gemma3",
        .before = "<bos><start_of_turn>user\n",
        .image = "\n\n<start_of_image><image_soft_token><end_of_image>\n\n",
        .after = "<end_of_turn>\n<start_of_turn>model\n",
        .trims = true,
        .n_before = 1,
        .before_system = "<bos><start_of_turn>user\n",
        .after_system = "\n\n",
        .raw = "<bos>",
        .raw_picture = "<bos>",
        .template_image = "<start_of_image>",
        .image_of_template = "\n\n<start_of_image><image_soft_token><end_of_image>\n\n",
        .placeholder = "<image_soft_token>",
        .images = &tl_image_kind_gemma3,
        .tokens = gemma3_tokens,
        .reserved = gemma3_reserved,
    },
    {
        .model_type = "paligemma", /* no chat: the words, and a line's end */
        .before = "",
        .image = "<image><bos>",
        .no_image = "<bos>",
        .after = "\n",
        .raw = "<bos>",
        .placeholder = "<image>",
        .images = &tl_image_kind_paligemma,
        .tokens = paligemma_tokens,
        .reserved = image_reserved,
    },
    {
        .model_type = "llava",
        .tower_type = "clip_vision_model",
        .before = "<s>USER: ",
        .image = "<image>\n",
        .after = " ASSISTANT:",
        .before_system = "<s>",
        .after_system = " USER: ",
        .raw = "<s>",
        .raw_picture = "<s>",
        .placeholder = "<image>",
        .images = &tl_image_kind_clip,
        .tokens = llava_tokens,
        .reserved = image_reserved,
    },
    {
        .model_type = "llava",
        .tower_type = "pixtral",
        .before = "<s>[INST]",
        .image = "[IMG]",
        .after = "[/INST]",
        .before_system = "<s>[INST]",
        .after_system = "\n\n",
        .raw = "<s>",
        .raw_picture = "<s>",
        .placeholder = "[IMG]",
        .put_picture = tl_picture_put_pixtral,
        .images = &tl_image_kind_pixtral,
        .tokens = pixtral_tokens,
        .reserved = pixtral_reserved,
    },
    {
        .model_type = "mistral3", /* without the system's words, which hold a date */
        .before = "<s>[INST]",
        .image = "[IMG]",
        .after = "[/INST]",
        .before_system = "<s>[SYSTEM_PROMPT]",
        .after_system = "[/SYSTEM_PROMPT][INST]",
        .system_token = "[SYSTEM_PROMPT]",
        .raw = "<s>",
        .raw_picture = "<s>",
        .placeholder = "[IMG]",
        .put_picture = tl_picture_put_pixtral,
        .images = &tl_image_kind_mistral3,
        .tokens = pixtral_tokens,
        .reserved = pixtral_reserved,
    },
    {
        .model_type = "llava_next",
        .text_type = "llama",
        .before = "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n",
        .image = "<image>\n",
        .no_image = "\n",
        .after = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        .before_system =
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n\n",
        .after_system = "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n",
        .raw = "<|begin_of_text|>",
        .raw_picture = "<|begin_of_text|>",
        .placeholder = "<image>",
        .images = &tl_image_kind_llava_next,
        .tokens = llama3_tokens,
        .reserved = image_reserved,
    },
    {
        .model_type = "llava_next", /* Vicuna's */
        .text_type = "llama",
        .before = "<s>USER: ",
        .image = "<image>\n",
        .after = " ASSISTANT:",
        .before_system = "<s>",
        .after_system = " USER: ",
        .raw = "<s>",
        .raw_picture = "<s>",
        .placeholder = "<image>",
        .images = &tl_image_kind_llava_next,
        .tokens = llava_tokens,
        .reserved = image_reserved,
    },
    {
        .model_type = "llava_next",
        .text_type = "mistral",
        .before = "<s>[INST] ",
        .image = "<image>\n",
        .after = " [/INST]",
        .before_system = "<s><<SYS>>\n",
        .after_system = "\n<</SYS>>\n\n[INST] ",
        .raw = "<s>",
        .raw_picture = "<s>",
        .placeholder = "<image>",
        .images = &tl_image_kind_llava_next,
        .tokens = llava_tokens,
        .reserved = image_reserved,
    },
    {
        .model_type = "llava_onevision",
        .before = "<|im_start|>user ",
        .image = "<image>\n",
        .no_image = "\n",
        .after = "<|im_end|><|im_start|>assistant\n",
        .before_system = "<|im_start|>system \n",
        .after_system = "<|im_end|><|im_start|>user ",
        .placeholder = "<image>",
        .images = &tl_image_kind_llava_onevision,
        .tokens = onevision_tokens,
        .reserved = onevision_reserved,
    },
    {
        .model_type = "internvl", /* all tiles between <img> and </img> */
        .before = "<|im_start|>user\n",
        .image = "<img><IMG_CONTEXT></img>\n",
        .after = "<|im_end|>\n<|im_start|>assistant\n",
        .before_system = IM_SYSTEM,
        .after_system = IM_USER,
        .template_image = "<IMG_CONTEXT>",
        .image_of_template = "<img><IMG_CONTEXT></img>",
        .placeholder = "<IMG_CONTEXT>",
        .images = &tl_image_kind_internvl,
        .tokens = internvl_tokens,
        .reserved = internvl_reserved,
    },
    {
        .model_type = "idefics3",
        .before = "<|begin_of_text|>User:",
        .before_system = "<|begin_of_text|>System: ",
        .raw = "<|begin_of_text|>",
        .raw_picture = "<|begin_of_text|>",
        .tokens = idefics3_tokens,
        IDEFICS3_CHAT,
    },
    {
        .model_type = "idefics3",
        .before = "<|im_start|>User:",
        .before_system = "<|im_start|>System: ",
        .tokens = smolvlm_tokens,
        IDEFICS3_CHAT,
    },
    {
        .model_type = "smolvlm",
        .before = "<|im_start|>User:",
        .before_system = "<|im_start|>System: ",
        .tokens = smolvlm_tokens,
        IDEFICS3_CHAT,
    },
};

const tl_chat_format *tl_chat_find(const char *model_type, const char *tower_type)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        const char *tower = formats[i].tower_type;
        if (strcmp(formats[i].model_type, model_type) == 0 &&
            (tower == NULL || tower_type == NULL || strcmp(tower, tower_type) == 0))
            return &formats[i];
    }
    return NULL;
}

static bool has_tokens(const tl_chat_format *format, const tl_tokenizer *tokenizer)
{
    const char *const *token = format->tokens;
    while (tokenizer != NULL && *token != NULL &&
           tl_tokenizer_id(tokenizer, *token) >= 0)
        token++;
    return tokenizer == NULL || *token == NULL;
}

const tl_chat_format *tl_chat_of_decoder(const tl_chat_format *first,
                                         const char *text_type,
                                         const tl_tokenizer *tokenizer)
{
    const tl_chat_format *const end = formats + sizeof formats / sizeof *formats,
                                *last = NULL;
    if (first->text_type == NULL)
        return first;
    for (const tl_chat_format *f = first; f < end; f++) {
        if (strcmp(f->model_type, first->model_type) != 0 ||
            strcmp(f->text_type, text_type != NULL ? text_type : first->text_type) != 0)
            continue;
        last = f;
        if (has_tokens(f, tokenizer))
            break;
    }
    return last;
}

const char *tl_chat_known(void)
{
    return "qwen2_vl, qwen2_5_vl, qwen3_vl, gemma3, paligemma, mistral3, llava_next, "
           "llava_onevision, internvl, idefics3, smolvlm, llava with the tower of a "
           "clip_vision_model or pixtral";
}

/* Copies `text` without its 0 and returns where the next piece goes. */
static char *put(char *at, const char *text)
{
    const size_t bytes = strlen(text);
    memcpy(at, text, bytes);
    return at + bytes;
}

/* What of [begin, end) lies before `at`. */
static size_t bytes_before(const char *at, const char *begin, const char *end)
{
    return at < begin ? 0 : (size_t)((at < end ? at : end) - begin);
}

tl_status tl_chat_picture(const tl_chat_format *format, const tl_pixels *pixels,
                          tl_arena *arena, const char **out, size_t *n_tokens,
                          tl_error *err)
{
    tl_picture_text text = {.at = NULL};
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1) {
            char *at = tl_arena_alloc_zero(arena, text.bytes + 1, 1);
            if (at == NULL)
                return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a picture's text");
            text = (tl_picture_text){.at = at};
        }
        if (format->put_picture != NULL)
            format->put_picture(pixels, &text);
        else
            tl_picture_put(&text, format->placeholder, pixels->n_tokens);
    }
    *out = text.at;
    *n_tokens = text.n_tokens;
    return TL_OK;
}

/* The picture's block, its placeholder exchanged. */
static char *put_image(char *at, const tl_chat_format *format, const char *picture)
{
    const char *placeholder = strstr(format->image, format->placeholder);
    const size_t bytes = (size_t)(placeholder - format->image);
    memcpy(at, format->image, bytes);
    return put(put(at + bytes, picture), placeholder + strlen(format->placeholder));
}

/* The longest of the fronts that a family has. */
static size_t front_bytes(const tl_chat_format *f, const char *system)
{
    const char *const parts[] = {
        f->before,      f->before_system, f->after_system, f->raw,
        f->raw_picture, f->no_image,      f->image,        system};
    size_t bytes = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        bytes += parts[i] != NULL ? strlen(parts[i]) : 0;
    return bytes;
}

static const char *or_nothing(const char *text)
{
    return text != NULL ? text : "";
}

/* All in front of the words. */
static char *put_front(char *at, const tl_chat_format *f, const tl_chat_words *w,
                       const char *picture)
{
    if (w->raw && picture == NULL)
        return put(at, or_nothing(f->raw));
    if (w->raw)
        at = put(at, or_nothing(f->raw_picture));
    else if (w->system != NULL)
        at = put(put(put(at, f->before_system), w->system), f->after_system);
    else
        at = put(at, f->before);
    return picture != NULL ? put_image(at, f, picture)
                           : put(at, or_nothing(f->no_image));
}

/* A picture's token would be taken for one. */
static tl_status check_words(const tl_chat_format *format, const char *words,
                             tl_error *err)
{
    for (const char *const *token = format->reserved; *token != NULL; token++)
        if (strstr(words, *token) != NULL)
            return tl_fail(err, TL_ERR_DATA,
                           "the words contain %s, which a %s model takes for a picture",
                           *token, format->model_type);
    return TL_OK;
}

static tl_status check_system(const tl_chat_format *format, const tl_chat_words *w,
                              tl_error *err)
{
    if (w->system == NULL)
        return TL_OK;
    if (w->raw)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "a prompt without chat (--chat raw) has no place for 'system'");
    if (format->before_system == NULL)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "a %s model's prompts have no place for 'system'",
                       format->model_type);
    return check_words(format, w->system, err);
}

tl_status tl_chat_build(const tl_chat_format *format, const tl_chat_words *w,
                        const char *picture, tl_arena *arena, tl_chat *out,
                        tl_error *err)
{
    const char *before = or_nothing(w->before), *data = or_nothing(w->data),
               *query = or_nothing(w->query);
    const size_t most = front_bytes(format, w->system) + strlen(or_nothing(picture)) +
                        strlen(before) + strlen(data) + strlen(query) +
                        strlen(format->after);
    tl_status status = check_system(format, w, err);
    if (status != TL_OK)
        return status;
    char *text = tl_arena_alloc(arena, most + 1, 1);
    if (text == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a prompt of %zu bytes",
                       most);

    char *const words = put_front(text, format, w, picture);
    char *const data_begin = put(words, before);
    char *const data_end = put(data_begin, data);
    char *const words_end = put(data_end, query);
    /* Of the whole, since a token may be put together from two pieces. */
    *words_end = '\0';
    status = check_words(format, words, err);
    if (status != TL_OK)
        return status;
    const char *begin = words, *end = words_end;
    if (format->trims && !w->raw)
        tl_trim(&begin, &end);
    const size_t first = (size_t)(words - text),
                 data_first = first + bytes_before(data_begin, begin, end),
                 data_last = first + bytes_before(data_end, begin, end);
    memmove(words, begin, (size_t)(end - begin));
    char *text_end = words + (end - begin);
    if (!w->raw)
        text_end = put(text_end, format->after);
    *text_end = '\0';
    *out = (tl_chat){text, (size_t)(text_end - text), data_first, data_last};
    return TL_OK;
}
