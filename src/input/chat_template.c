/* SPDX-License-Identifier: MIT
 * chat_template.c - see chat_template.h. */
#include "input/chat_template.h"

#include <string.h>

#include "base/file.h"
#include "input/jinja.h"

static tl_status fail_memory(tl_error *err)
{
    return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a chat template");
}

/* ---- reading ----------------------------------------------------------------------- */

/* The template itself, or of a list of {"name", "template"} the default one. */
static const char *find_default(const json_t *value)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *one = json_array_get(value, i);
        const char *name = json_string_value(json_object_get(one, "name"));
        if (name != NULL && strcmp(name, "default") == 0)
            return json_string_value(json_object_get(one, "template"));
    }
    return json_is_object(value) ? json_string_value(json_object_get(value, "default"))
                                 : json_string_value(value);
}

/* "bos_token": "<s>", or {"content": "<s>", ...}; likewise every other name that ends so. */
static tl_status take_tokens(tl_chat_template *t, const json_t *config)
{
    static const char end[] = "_token";
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)config, key, value)
    {
        const size_t n = strlen(key);
        const char *text = json_is_object(value)
                               ? json_string_value(json_object_get(value, "content"))
                               : json_string_value(value);
        if (text != NULL && n >= sizeof end &&
            strcmp(key + n - sizeof end + 1, end) == 0 &&
            json_object_set_new(t->tokens, key, json_string(text)) != 0)
            return TL_ERR_NO_MEMORY;
    }
    return TL_OK;
}

static tl_status read_config(tl_chat_template *t, const char *path, tl_arena *arena,
                             tl_error *err)
{
    char *text = NULL;
    size_t bytes = 0;
    json_error_t problem;
    tl_status status = tl_file_read(path, arena, &text, &bytes, err);
    if (status != TL_OK)
        return status;
    /* A tokenizer without a longest text says that it is of 10^30 tokens. */
    json_t *config = json_loadb(text, bytes, JSON_DECODE_INT_AS_REAL, &problem);
    if (config == NULL)
        return tl_fail(err, TL_ERR_FORMAT, "%s: line %d, column %d: %s", path,
                       problem.line, problem.column, problem.text);
    const char *source = find_default(json_object_get(config, "chat_template"));
    if (t->source == NULL && source != NULL) {
        t->path = path;
        t->source = tl_arena_strdup(arena, source);
    }
    if ((source != NULL && t->source == NULL) || take_tokens(t, config) != TL_OK)
        status = fail_memory(err);
    json_decref(config);
    return status;
}

tl_status tl_chat_template_read(const char *model_dir, tl_arena *arena,
                                tl_chat_template *out, tl_error *err)
{
    static const char *const names[] = {
        "chat_template.jinja", "chat_template.json", "processor_config.json",
        "special_tokens_map.json", "tokenizer_config.json"};
    tl_chat_template t = {.tokens = json_object()};
    tl_status status = t.tokens != NULL ? TL_OK : fail_memory(err);
    for (size_t i = 0; i < sizeof names / sizeof *names && status == TL_OK; i++) {
        const char *path = tl_path_join(arena, model_dir, names[i]);
        char *text = NULL;
        size_t bytes = 0;
        if (path == NULL)
            status = fail_memory(err);
        else if (!tl_file_exists(path))
            continue;
        else if (i > 0)
            status = read_config(&t, path, arena, err);
        else if ((status = tl_file_read(path, arena, &text, &bytes, err)) == TL_OK &&
                 memchr(text, '\0', bytes) != NULL)
            status =
                tl_fail(err, TL_ERR_FORMAT, "%s: has a NUL byte, wanted a text", path);
        else
            t.path = path, t.source = text;
    }
    const char *bos = json_string_value(json_object_get(t.tokens, "bos_token"));
    t.bos = tl_arena_strdup(arena, bos != NULL ? bos : "");
    if (status == TL_OK && t.bos == NULL)
        status = fail_memory(err);
    if (status == TL_OK)
        *out = t;
    else
        tl_chat_template_release(&t);
    return status;
}

void tl_chat_template_release(tl_chat_template *t)
{
    json_decref(t->tokens);
    *t = (tl_chat_template){.source = NULL};
}

/* ---- making ------------------------------------------------------------------------- */

/* What the family's processor makes of a picture's token: it writes more around it. */
static const char *expand_pictures(const tl_chat_format *format, const char *made,
                                   tl_arena *arena)
{
    const char *from = format->template_image, *to = format->image_of_template;
    if (from == NULL)
        return made;
    size_t n = 0;
    for (const char *at = made; (at = strstr(at, from)) != NULL; at += strlen(from))
        n++;
    char *text = tl_arena_alloc(arena, strlen(made) + n * strlen(to) + 1, 1),
         *end = text;
    for (const char *next; text != NULL && (next = strstr(made, from)) != NULL;
         made = next + strlen(from)) {
        memcpy(end, made, (size_t)(next - made));
        end += next - made;
        memcpy(end, to, strlen(to));
        end += strlen(to);
    }
    if (text != NULL)
        memcpy(end, made, strlen(made) + 1);
    return text;
}

static json_t *turn(const char *role, const char *words, bool has_picture, bool plain)
{
    if (plain)
        return json_pack("{s:s, s:s}", "role", role, "content", words);
    json_t *content = json_array();
    if (has_picture)
        json_array_append_new(content, json_pack("{s:s}", "type", "image"));
    json_array_append_new(content,
                          json_pack("{s:s, s:s}", "type", "text", "text", words));
    return json_pack("{s:s, s:o}", "role", role, "content", content);
}

/* What stands in the template's `messages`; plain: texts, not lists of parts. */
static json_t *conversation(const char *words, const char *system, bool has_picture,
                            bool plain)
{
    json_t *messages = json_array();
    if (system != NULL)
        json_array_append_new(messages, turn("system", system, false, plain));
    json_array_append_new(messages, turn("user", words, has_picture, plain));
    if (json_array_size(messages) == 1 + (size_t)(system != NULL))
        return messages;
    json_decref(messages);
    return NULL;
}

static tl_status render(const tl_chat_template *t, json_t *messages, tl_arena *arena,
                        const char **out, tl_error *err)
{
    json_t *variables = json_copy(t->tokens);
    json_object_set_new(variables, "add_generation_prompt", json_true());
    json_object_set_new(variables, "tools", json_null());
    json_object_set_new(variables, "documents", json_null());
    const tl_status status =
        json_object_set_new(variables, "messages", messages) == 0
            ? tl_jinja_render(t->source, variables, arena, out, err)
            : fail_memory(err);
    json_decref(variables);
    return status;
}

tl_status tl_chat_template_make(const tl_chat_template *t, const tl_chat_format *format,
                                const tl_chat_words *w, bool has_picture,
                                tl_arena *arena, const char **out, tl_error *err)
{
    const char *parts[] = {w->before, w->data, w->query}, *made = NULL;
    size_t bytes = 1;
    for (size_t i = 0; i < 3; i++)
        bytes += parts[i] != NULL ? strlen(parts[i]) : 0;
    char *words = tl_arena_alloc_zero(arena, bytes, 1);
    if (words == NULL)
        return fail_memory(err);
    for (size_t i = 0; i < 3; i++)
        if (parts[i] != NULL)
            memcpy(words + strlen(words), parts[i], strlen(parts[i]));
    tl_error why = {0};
    tl_status status = render(t, conversation(words, w->system, has_picture, false),
                              arena, &made, &why);
    /* Of a model without pictures a template may want texts. */
    if (status != TL_OK && status != TL_ERR_NO_MEMORY && !has_picture &&
        render(t, conversation(words, w->system, false, true), arena, &made, NULL) ==
            TL_OK)
        status = TL_OK;
    if (status != TL_OK)
        return tl_fail(err, status, "%s: chat_template: %s", t->path, why.text);
    made = expand_pictures(format, made, arena);
    if (made == NULL)
        return fail_memory(err);
    *out = made;
    return TL_OK;
}

static const char *behind(const char *text, const char *bos)
{
    const size_t n = strlen(bos);
    return strncmp(text, bos, n) == 0 ? text + n : text;
}

bool tl_chat_template_agrees(const tl_chat_template *t, const char *chat,
                             const char *made)
{
    return strcmp(behind(chat, t->bos), behind(made, t->bos)) == 0;
}
