/* SPDX-License-Identifier: MIT
 * first_token.c - see first_token.h. */
#include "input/first_token.h"

#include <stdio.h>
#include <string.h>

tl_status tl_first_token(const tl_tokenizer *tokenizer, const char *answer, int32_t *id,
                         tl_error *err)
{
    tl_arena *scratch = tl_arena_create();
    if (scratch == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an answer");
    const tl_token *tokens = NULL;
    size_t count = 0;
    tl_status status = tl_tokenizer_encode(tokenizer, answer, strlen(answer), scratch,
                                           &tokens, &count, err);
    if (status == TL_OK && count == 0)
        status = tl_fail(err, TL_ERR_DATA, "answer '%s' has no token", answer);
    if (status == TL_OK)
        *id = tokens[0].id;
    tl_arena_destroy(scratch);
    return status;
}

tl_status tl_cut_tokens(const tl_tokenizer *tokenizer, const char *text,
                        size_t n_tokens, tl_arena *arena, const char **out,
                        tl_error *err)
{
    const tl_token *tokens = NULL;
    size_t n = 0;
    const tl_status status =
        tl_tokenizer_encode(tokenizer, text, strlen(text), arena, &tokens, &n, err);
    if (status != TL_OK)
        return status;
    char *cut = tl_arena_strdup(arena, text);
    if (cut == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a text");
    if (n > n_tokens) {
        size_t end = tokens[n_tokens - 1].end;
        while ((cut[end] & 0xc0) == 0x80) /* no half character */
            end++;
        cut[end] = '\0';
    }
    *out = cut;
    return TL_OK;
}

tl_status tl_first_tokens(const tl_tokenizer *tokenizer, const char *const *answers,
                          size_t n, tl_arena *arena, const int32_t **ids, tl_error *err)
{
    int32_t *list = tl_arena_alloc(arena, n, sizeof *list);
    if (list == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu labels", n);
    tl_status status = TL_OK;
    for (size_t i = 0; i < n && status == TL_OK; i++)
        status = tl_fail_while(
            err, tl_first_token(tokenizer, answers[i], &list[i], err), "label %zu", i);
    if (status == TL_OK)
        *ids = list;
    return status;
}

/* Whether none before has the same text. */
static bool is_new(const char *const *labels, const int32_t *ids, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (ids[k] == ids[i] && strcmp(labels[k], labels[i]) == 0)
            return false;
    return true;
}

bool tl_is_folded(const char *const *labels, const int32_t *ids, size_t n, int32_t id)
{
    size_t different = 0;
    for (size_t i = 0; i < n; i++)
        different += ids[i] == id && is_new(labels, ids, i);
    return different > 1;
}

const char *tl_folded_text(const tl_tokenizer *tokenizer, const char *const *labels,
                           const int32_t *ids, size_t n, int32_t id, tl_arena *arena)
{
    enum { SHOWN = 6, LONGEST = 40, ROOM = (SHOWN + 2) * (LONGEST + 8) + 64 };
    char *text = tl_arena_alloc_zero(arena, ROOM, 1);
    const char *token = tl_tokenizer_text(tokenizer, id, arena);
    size_t at = 0, shown = 0;
    if (text == NULL || token == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        if (ids[i] != id || !is_new(labels, ids, i))
            continue;
        if (shown++ < SHOWN)
            at += (size_t)snprintf(text + at, ROOM - at, "%s'%.*s'",
                                   shown > 1 ? ", " : "", (int)LONGEST, labels[i]);
    }
    snprintf(text + at, ROOM - at, "%s begin with one token, '%.*s'",
             shown > SHOWN ? ", ..." : "", (int)LONGEST, token);
    return text;
}
