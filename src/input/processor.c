/* SPDX-License-Identifier: MIT
 *
 * processor.c - see processor.h.
 *
 * The picture's tokens are written into the chat before it is tokenized, as transformers
 * does it.
 */
#include "twinlens/processor.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "input/chat.h"
#include "input/chat_template.h"
#include "input/first_token.h"
#include "twinlens/alloc.h"
#include "twinlens/log.h"

struct tl_processor {
    const tl_chat_format *format;
    tl_tokenizer *tokenizer;
    size_t n_vocab;           /* tokens of the model; 0: not known */
    int32_t placeholder;      /* its token's id */
    const void *images;       /* options of the format's kind of images; NULL: neither
                           preprocessor_config.json nor processor_config.json has them */
    tl_arena *arena;          /* for these and image_config */
    const char *image_config; /* path of preprocessor_config.json */
    const char *folder;
    tl_chat_form form;
};

static tl_status fail_memory(tl_error *err)
{
    return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a prompt");
}

/* The placeholder's id as config.json says it, under one of two names. */
typedef struct image_token {
    const char *key;
    int32_t id; /* -1: config.json does not say */
} image_token;

/* Family and placeholder: config.json. */
static tl_status read_config(tl_processor *p, const json_t *config, const char *path,
                             image_token *image, tl_error *err)
{
    static const char *const keys[] = {"image_token_id", "image_token_index"};
    const char *model_type = NULL, *tower_type = NULL, *text_type = NULL;
    if (!json_is_object(config))
        return tl_fail(err, TL_ERR_FORMAT, "%s: not an object", path);
    tl_status status = tl_json_get_string(config, "model_type", path, &model_type, err);
    if (status == TL_OK)
        status = tl_json_get_string(json_object_get(config, "vision_config"),
                                    "model_type", path, &tower_type, err);
    if (status == TL_OK)
        status = tl_json_get_string(json_object_get(config, "text_config"),
                                    "model_type", path, &text_type, err);
    *image = (image_token){.id = -1};
    for (size_t i = 0; i < 2 && status == TL_OK && image->id < 0; i++) {
        image->key = keys[i];
        status = tl_json_get_id(config, keys[i], path, &image->id, err);
    }
    if (status == TL_OK && model_type == NULL)
        status = tl_fail(err, TL_ERR_FORMAT, "%s: no 'model_type'", path);
    if (status == TL_OK) {
        p->format = tl_chat_find(model_type, tower_type);
        if (p->format == NULL)
            status = tl_fail(
                err, TL_ERR_UNSUPPORTED, "%s: 'model_type' is '%s'%s%s, supported: %s",
                path, model_type, tower_type != NULL ? " with the tower of a " : "",
                tower_type != NULL ? tower_type : "", tl_chat_known());
    }
    if (status == TL_OK) {
        const tl_chat_format *of_decoder =
            tl_chat_of_decoder(p->format, text_type, NULL);
        if (of_decoder == NULL)
            status = tl_fail(err, TL_ERR_UNSUPPORTED,
                             "%s: 'text_config.model_type' is '%s', and there is no "
                             "chat format of a %s with that decoder",
                             path, text_type, model_type);
        p->format = of_decoder;
    }
    return status;
}

/* The chat format's tokens have to be in the vocabulary, each as one token. */
static tl_status check_tokens(tl_processor *p, const char *path,
                              const image_token *image, tl_error *err)
{
    p->format = tl_chat_of_decoder(p->format, p->format->text_type, p->tokenizer);
    for (const char *const *token = p->format->tokens; *token != NULL; token++)
        if (tl_tokenizer_id(p->tokenizer, *token) < 0)
            return tl_fail(err, TL_ERR_DATA,
                           "%s: has no token %s, which prompts of a %s model need",
                           path, *token, p->format->model_type);
    p->placeholder = tl_tokenizer_id(p->tokenizer, p->format->placeholder);
    if (image->id >= 0 && image->id != p->placeholder)
        return tl_fail(
            err, TL_ERR_DATA, "%s: %s is token %d, but '%s' of config.json is %d", path,
            p->format->placeholder, (int)p->placeholder, image->key, (int)image->id);
    return TL_OK;
}

/* A file that may be absent: then *out stays NULL. */
static tl_status read_if_there(const char *path, json_t **out, tl_error *err)
{
    return tl_file_exists(path) ? tl_json_read(path, out, err) : TL_OK;
}

/* Says which of the two counts where they contradict each other. */
static void warn_if_different(const json_t *nested, const json_t *alone,
                              const char *path)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)nested, key, value)
    {
        const json_t *other = json_object_get(alone, key);
        if (other == NULL || json_equal(value, other) ||
            strcmp(key, "image_processor_type") == 0)
            continue;
        tl_log(TL_LOG_WARNING,
               "%s: image_processor: '%s' is another than in preprocessor_config.json "
               "beside it; this one counts, as in transformers 5",
               path, key);
        return;
    }
}

/*
 * The options of pictures. Since transformers 5 they are saved inside
 * processor_config.json, and there they count before preprocessor_config.json.
 */
static tl_status read_images(tl_processor *p, const char *model_dir,
                             const json_t *model, tl_error *err)
{
    char inner[1024];
    const char *where = p->image_config;
    json_t *alone = NULL, *both = NULL;
    const char *path = tl_path_join(p->arena, model_dir, "processor_config.json");
    if (path == NULL)
        return fail_memory(err);
    tl_status status = read_if_there(p->image_config, &alone, err);
    if (status == TL_OK)
        status = read_if_there(path, &both, err);
    const json_t *nested = json_object_get(both, "image_processor");
    const json_t *config = json_is_object(nested) ? nested : alone;
    if (status == TL_OK && config == nested && alone != NULL)
        warn_if_different(nested, alone, path);
    if (config == nested) {
        snprintf(inner, sizeof inner, "%s: image_processor", path);
        where = inner;
    }
    if (status == TL_OK && config != NULL) /* text can do without */
        status =
            p->format->images->read(config, where, model, p->arena, &p->images, err);
    json_decref(both);
    json_decref(alone);
    return status;
}

/* All but the tokenizer; `tokenizer` receives its path. */
static tl_status open_without_tokenizer(tl_processor *p, const char *model_dir,
                                        image_token *image, const char **tokenizer,
                                        tl_error *err)
{
    json_t *model = NULL;
    const char *config = NULL;
    p->arena = tl_arena_create();
    if (p->arena != NULL) {
        p->folder = tl_arena_strdup(p->arena, model_dir);
        config = tl_path_join(p->arena, model_dir, "config.json");
        *tokenizer = tl_path_join(p->arena, model_dir, "tokenizer.json");
        p->image_config = tl_path_join(p->arena, model_dir, "preprocessor_config.json");
    }
    if (p->folder == NULL || config == NULL || *tokenizer == NULL ||
        p->image_config == NULL)
        return fail_memory(err);
    tl_status status = tl_json_read(config, &model, err);
    if (status == TL_OK)
        status = read_config(p, model, config, image, err);
    if (status == TL_OK)
        status = read_images(p, model_dir, model, err);
    json_decref(model);
    return status;
}

tl_status tl_processor_open(const char *model_dir, size_t n_vocab, tl_processor **out,
                            tl_error *err)
{
    const char *tokenizer = NULL;
    image_token image;
    tl_processor *p = tl_alloc_zero(1, sizeof *p);
    if (p == NULL)
        return fail_memory(err);
    p->n_vocab = n_vocab;
    tl_status status = open_without_tokenizer(p, model_dir, &image, &tokenizer, err);
    if (status == TL_OK)
        status = tl_tokenizer_open(tokenizer, &p->tokenizer, err);
    if (status == TL_OK)
        status = check_tokens(p, tokenizer, &image, err);
    if (status == TL_OK) {
        *out = p;
        p = NULL;
    }
    tl_processor_close(p);
    return status;
}

void tl_processor_close(tl_processor *processor)
{
    if (processor == NULL)
        return;
    tl_tokenizer_close(processor->tokenizer);
    tl_arena_destroy(processor->arena);
    tl_free(processor);
}

void tl_processor_set_chat(tl_processor *processor, tl_chat_form form)
{
    processor->form = form;
}

const tl_tokenizer *tl_processor_tokenizer(const tl_processor *processor)
{
    return processor->tokenizer;
}

/* A tokenizer may know more tokens than its model has. The picture's placeholder may be
 * one of them: the model never looks it up. */
static tl_status check_ids(const tl_processor *p, const int32_t *ids, size_t count,
                           tl_arena *scratch, tl_error *err)
{
    for (size_t i = 0; i < count && p->n_vocab > 0; i++) {
        if ((size_t)ids[i] < p->n_vocab || ids[i] == p->placeholder)
            continue;
        const char *text = tl_tokenizer_text(p->tokenizer, ids[i], scratch);
        return tl_fail(err, TL_ERR_DATA,
                       "'%s' is token %d of the tokenizer, and the model has only %zu",
                       text != NULL ? text : "?", (int)ids[i], p->n_vocab);
    }
    return TL_OK;
}

static tl_status check_prompt(const tl_prompt_text *prompt, tl_error *err)
{
    const bool has_image = prompt->image_path != NULL;
    if (has_image == (prompt->data != NULL))
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "the data of a prompt has to be words or an image, %s",
                       has_image ? "not both" : "and here is neither");
    return TL_OK;
}

static tl_chat_words words_of(const tl_processor *p, const tl_prompt_text *prompt)
{
    return (tl_chat_words){prompt->before, prompt->data, prompt->query, prompt->system,
                           p->form == TL_CHAT_RAW};
}

/* The prompt in the family's form, `picture` standing for its picture. */
static tl_status build_chat(const tl_processor *p, const tl_prompt_text *prompt,
                            const char *picture, tl_arena *arena, tl_chat *out,
                            tl_error *err)
{
    const tl_chat_words words = words_of(p, prompt);
    const char *token = prompt->system != NULL ? p->format->system_token : NULL;
    if (token != NULL && tl_tokenizer_id(p->tokenizer, token) < 0)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "'system' needs the token %s, which the tokenizer has not",
                       token);
    return tl_chat_build(p->format, &words, picture, arena, out, err);
}

tl_status tl_processor_chat(const tl_processor *processor, const tl_prompt_text *prompt,
                            tl_arena *arena, const char **out, tl_error *err)
{
    tl_chat chat;
    const char *picture =
        prompt->image_path != NULL ? processor->format->placeholder : NULL;
    tl_status status = check_prompt(prompt, err);
    if (status == TL_OK)
        status = build_chat(processor, prompt, picture, arena, &chat, err);
    if (status == TL_OK)
        *out = chat.text;
    return status;
}

tl_status tl_processor_template(const tl_processor *processor,
                                const tl_prompt_text *prompt, tl_arena *arena,
                                const char **out, bool *agrees, tl_error *err)
{
    const char *chat = NULL, *made = NULL;
    tl_chat_template brought = {.source = NULL};
    tl_status status = tl_processor_chat(processor, prompt, arena, &chat, err);
    if (status == TL_OK)
        status = tl_chat_template_read(processor->folder, arena, &brought, err);
    const tl_chat_words words = words_of(processor, prompt);
    if (status == TL_OK && brought.source != NULL)
        status = tl_chat_template_make(&brought, processor->format, &words,
                                       prompt->image_path != NULL, arena, &made, err);
    if (status == TL_OK) {
        *out = made;
        *agrees = made != NULL && tl_chat_template_agrees(&brought, chat, made);
    }
    tl_chat_template_release(&brought);
    return status;
}

static tl_status check_images(const tl_processor *processor, tl_error *err)
{
    return processor->images != NULL
               ? TL_OK
               : tl_fail(err, TL_ERR_NOT_FOUND,
                         "%s: not there, and images need it, or 'image_processor' in "
                         "processor_config.json",
                         processor->image_config);
}

static tl_status encode_text(const tl_chat *chat, const tl_token *tokens, size_t count,
                             tl_arena *arena, tl_encoding *out, tl_error *err)
{
    int32_t *ids = tl_arena_alloc(arena, count, sizeof *ids);
    if (ids == NULL)
        return fail_memory(err);
    size_t first = count, end = 0;
    for (size_t i = 0; i < count; i++) {
        const tl_token *t = &tokens[i];
        ids[i] = t->id;
        if (t->begin < chat->data_end && t->end > chat->data_begin &&
            t->end > t->begin) {
            first = first < i ? first : i;
            end = i + 1;
        }
    }
    if (first >= end)
        return tl_fail(err, TL_ERR_DATA, "the data of the prompt has no token");
    *out = (tl_encoding){.modality = TL_TEXT,
                         .n_pos = count,
                         .ids = ids,
                         .data_begin = first,
                         .data_end = end};
    return TL_OK;
}

/* From the first feature to the last, and what of the picture stands in front. */
static tl_status encode_image(const tl_processor *p, const tl_token *tokens,
                              size_t count, const tl_pixels *pixels, tl_arena *arena,
                              tl_encoding *out, tl_error *err)
{
    int32_t *ids = tl_arena_alloc(arena, count, sizeof *ids);
    if (ids == NULL)
        return fail_memory(err);
    size_t first = count, last = 0;
    for (size_t i = 0; i < count; i++) {
        ids[i] = tokens[i].id;
        if (ids[i] == p->placeholder) {
            first = first < i ? first : i;
            last = i;
        }
    }
    *out = (tl_encoding){.modality = TL_IMAGE,
                         .n_pos = count,
                         .ids = ids,
                         .data_begin = first - p->format->n_before,
                         .data_end = last + 1,
                         .n_images = 1,
                         .pixels = *pixels};
    return TL_OK;
}

/* The chat with the picture's tokens in it; the pixels in `arena`, the rest in scratch. */
static tl_status write_chat(const tl_processor *p, const tl_prompt_text *prompt,
                            tl_arena *arena, tl_arena *scratch, tl_pixels *pixels,
                            tl_chat *chat, tl_error *err)
{
    const char *picture = NULL;
    size_t n_tokens = 0;
    tl_status status = check_prompt(prompt, err);
    if (status == TL_OK && prompt->image_path != NULL)
        status = tl_processor_pixels(p, prompt->image_path, prompt->resize_width,
                                     prompt->resize_height, arena, pixels, err);
    if (status == TL_OK && prompt->image_path != NULL)
        status = tl_chat_picture(p->format, pixels, scratch, &picture, &n_tokens, err);
    return status == TL_OK ? build_chat(p, prompt, picture, scratch, chat, err)
                           : status;
}

tl_status tl_processor_encode(const tl_processor *processor,
                              const tl_prompt_text *prompt, tl_arena *arena,
                              tl_encoding *out, tl_error *err)
{
    tl_chat chat;
    const tl_token *tokens = NULL;
    size_t count = 0, n_placeholders = 0;
    tl_pixels pixels = {0};
    tl_encoding made = {0};
    tl_arena *scratch = tl_arena_create();
    if (scratch == NULL)
        return fail_memory(err);
    const bool has_image = prompt->image_path != NULL;
    tl_status status =
        write_chat(processor, prompt, arena, scratch, &pixels, &chat, err);
    if (status == TL_OK)
        status = tl_tokenizer_encode(processor->tokenizer, chat.text, chat.bytes,
                                     scratch, &tokens, &count, err);
    if (status != TL_OK)
        goto done;
    for (size_t i = 0; i < count; i++)
        n_placeholders += tokens[i].id == processor->placeholder;
    if (has_image && pixels.n_tokens == 0)
        status = tl_fail(err, TL_ERR_DATA, "%s: a picture without an image token",
                         prompt->image_path);
    else if (n_placeholders != pixels.n_tokens)
        status =
            tl_fail(err, TL_ERR_DATA, "the prompt has %zu tokens %s, wanted %zu",
                    n_placeholders, processor->format->placeholder, pixels.n_tokens);
    if (status == TL_OK)
        status = has_image ? encode_image(processor, tokens, count, &pixels, arena,
                                          &made, err)
                           : encode_text(&chat, tokens, count, arena, &made, err);
    if (status == TL_OK)
        status = check_ids(processor, made.ids, made.n_pos, scratch, err);
    if (status == TL_OK)
        *out = made;
done:
    tl_arena_destroy(scratch);
    return status;
}

tl_status tl_processor_answer_id(const tl_processor *processor, const char *answer,
                                 int32_t *id, tl_error *err)
{
    tl_arena *scratch = tl_arena_create();
    if (scratch == NULL)
        return fail_memory(err);
    int32_t first = -1;
    tl_status status = tl_first_token(processor->tokenizer, answer, &first, err);
    if (status == TL_OK)
        status = check_ids(processor, &first, 1, scratch, err);
    if (status == TL_OK)
        *id = first;
    tl_arena_destroy(scratch);
    return status;
}

tl_status tl_processor_pixels(const tl_processor *processor, const char *image_path,
                              size_t resize_width, size_t resize_height,
                              tl_arena *arena, tl_pixels *out, tl_error *err)
{
    tl_status status = check_images(processor, err);
    if (status != TL_OK)
        return status;
    if ((resize_width == 0) != (resize_height == 0))
        return tl_fail(err, TL_ERR_ARGUMENT, "cannot resize an image to %zux%zu",
                       resize_width, resize_height);
    tl_arena *scratch = tl_arena_create();
    if (scratch == NULL)
        return fail_memory(err);
    tl_image image;
    status = tl_image_read(image_path, scratch, &image, err);
    const bool is_transparent = status == TL_OK && image.is_transparent;
    if (status == TL_OK && resize_width != 0)
        status = tl_fail_while(err,
                               tl_image_resize(&image, resize_width, resize_height,
                                               TL_BICUBIC, scratch, &image, err),
                               "%s", image_path);
    if (status == TL_OK)
        status = tl_fail_while(
            err,
            processor->format->images->make(processor->images, &image, arena, out, err),
            "%s", image_path);
    if (status == TL_OK)
        out->is_transparent = is_transparent;
    tl_arena_destroy(scratch);
    return status;
}

tl_status tl_processor_measure(const char *model_dir, size_t width, size_t height,
                               tl_arena *arena, tl_pixels *out, size_t *n_tokens,
                               tl_error *err)
{
    tl_processor p = {.tokenizer = NULL};
    const char *tokenizer = NULL, *picture = NULL;
    image_token image;
    tl_status status = open_without_tokenizer(&p, model_dir, &image, &tokenizer, err);
    if (status == TL_OK)
        status = check_images(&p, err);
    const uint8_t *rgb =
        status == TL_OK ? tl_arena_alloc_zero(p.arena, width * height, 3) : NULL;
    if (status == TL_OK && rgb == NULL)
        status = fail_memory(err);
    const tl_image black = {.width = width, .height = height, .rgb = rgb};
    tl_pixels made;
    if (status == TL_OK)
        status = tl_fail_while(
            err, p.format->images->make(p.images, &black, arena, &made, err),
            "an image of %zux%zu", width, height);
    if (status == TL_OK)
        status = tl_chat_picture(p.format, &made, p.arena, &picture, n_tokens, err);
    if (status == TL_OK)
        *out = made;
    tl_arena_destroy(p.arena);
    return status;
}
