/* SPDX-License-Identifier: MIT
 * chat.c - see chat.h. */
#include "input/chat.h"

#include <string.h>

static const char *const qwen2_vl_tokens[] = {
    "<|im_start|>",   "<|im_end|>",    "<|vision_start|>",
    "<|vision_end|>", "<|image_pad|>", NULL,
};
static const char *const qwen2_vl_reserved[] = {"<|image_pad|>", "<|video_pad|>", NULL};

/* One row per family, `model_type` in its own line in tl_chat_known() as well. */
static const tl_chat_format formats[] = {
    {
        .model_type = "qwen2_vl",
        .before = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
                  "<|im_start|>user\n",
        .image = "<|vision_start|><|image_pad|><|vision_end|>",
        .after = "<|im_end|>\n<|im_start|>assistant\n",
        .placeholder = "<|image_pad|>",
        .images = &tl_image_kind_qwen2_vl,
        .tokens = qwen2_vl_tokens,
        .reserved = qwen2_vl_reserved,
    },
    {
        .model_type = "qwen2_5_vl",
        .before = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
                  "<|im_start|>user\n",
        .image = "<|vision_start|><|image_pad|><|vision_end|>",
        .after = "<|im_end|>\n<|im_start|>assistant\n",
        .placeholder = "<|image_pad|>",
        .images = &tl_image_kind_qwen2_vl,
        .tokens = qwen2_vl_tokens,
        .reserved = qwen2_vl_reserved,
    },
};

const tl_chat_format *tl_chat_find(const char *model_type)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(formats[i].model_type, model_type) == 0)
            return &formats[i];
    return NULL;
}

const char *tl_chat_known(void)
{
    return "qwen2_vl, qwen2_5_vl";
}

/* Copies `text` without its 0 and returns where the next piece goes. */
static char *put(char *at, const char *text)
{
    const size_t bytes = strlen(text);
    memcpy(at, text, bytes);
    return at + bytes;
}

tl_status tl_chat_build(const tl_chat_format *format, const char *before,
                        const char *data, const char *query, bool has_image,
                        tl_arena *arena, tl_chat *out, tl_error *err)
{
    before = before != NULL ? before : "";
    data = data != NULL ? data : "";
    query = query != NULL ? query : "";
    const char *image = has_image ? format->image : "";
    const size_t bytes = strlen(format->before) + strlen(image) + strlen(before) +
                         strlen(data) + strlen(query) + strlen(format->after);
    char *text = tl_arena_alloc(arena, bytes + 1, 1);
    if (text == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a prompt of %zu bytes",
                       bytes);

    char *const words = put(put(text, format->before), image);
    char *const data_begin = put(words, before);
    char *const data_end = put(data_begin, data);
    char *const words_end = put(data_end, query);
    /* Of the whole, since a token may be put together from two pieces. */
    *words_end = '\0';
    for (const char *const *token = format->reserved; *token != NULL; token++)
        if (strstr(words, *token) != NULL)
            return tl_fail(err, TL_ERR_DATA,
                           "the words contain %s, which a %s model takes for a picture",
                           *token, format->model_type);
    *put(words_end, format->after) = '\0';
    *out =
        (tl_chat){text, bytes, (size_t)(data_begin - text), (size_t)(data_end - text)};
    return TL_OK;
}
