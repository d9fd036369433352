/* SPDX-License-Identifier: MIT
 *
 * tokenizer.c - see include/twinlens/tokenizer.h.
 *
 *     text -> added tokens cut out -> normalized -> more added tokens cut out
 *          -> words -> BPE -> tokens
 *
 * Each arrow is a stage from pieces to pieces (pieces.h) and has its own file.
 * Of the file three things are not used: the post-processor, because no tokens
 * are added and no offsets trimmed; truncation and padding, because transformers
 * overrules both in every call.
 */
#include "twinlens/tokenizer.h"

#include <string.h>

#include "base/json.h"
#include "input/added_tokens.h"
#include "input/bpe.h"
#include "input/normalize.h"
#include "input/pattern.h"
#include "input/pieces.h"
#include "input/pretokenize.h"
#include "input/token_text.h"
#include "twinlens/alloc.h"

struct tl_tokenizer {
    tl_arena *arena;
    tl_pattern_set patterns;
    const tl_bpe *model;
    const tl_normalizer *normalizer;
    const tl_added_tokens *added;
    const tl_pretokenizer *pretokenizer;
    const tl_token_decoder *decoder;
};

/* --- opening ------------------------------------------------------------------ */

static tl_status read_parts(tl_tokenizer *t, const json_t *json, tl_error *err)
{
    if (!json_is_object(json))
        return tl_fail(err, TL_ERR_FORMAT, "not a JSON object");
    const char *version = "1.0";
    tl_status status = tl_json_get_string(json, "version", "top level", &version, err);
    if (status != TL_OK)
        return status;
    if (strcmp(version, "1.0") != 0)
        return tl_fail(err, TL_ERR_UNSUPPORTED, "version '%s', wanted '1.0'", version);

    status = tl_bpe_read(json_object_get(json, "model"), t->arena, &t->model, err);
    if (status != TL_OK)
        return tl_fail_while(err, status, "model");
    status = tl_normalizer_read(&t->patterns, json_object_get(json, "normalizer"),
                                &t->normalizer, err);
    if (status != TL_OK)
        return tl_fail_while(err, status, "normalizer");
    status = tl_added_tokens_read(json_object_get(json, "added_tokens"),
                                  tl_bpe_vocabulary(t->model), t->normalizer, t->arena,
                                  &t->added, err);
    if (status != TL_OK)
        return tl_fail_while(err, status, "added_tokens");
    status = tl_pretokenizer_read(&t->patterns, json_object_get(json, "pre_tokenizer"),
                                  &t->pretokenizer, err);
    if (status != TL_OK)
        return tl_fail_while(err, status, "pre_tokenizer");
    status = tl_token_decoder_read(&t->patterns, json_object_get(json, "decoder"),
                                   &t->decoder, err);
    return tl_fail_while(err, status, "decoder");
}

tl_status tl_tokenizer_open(const char *path, tl_tokenizer **out, tl_error *err)
{
    if (path == NULL || out == NULL)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "tl_tokenizer_open wants a path and an output");
    json_t *json = NULL;
    tl_status status = TL_OK;
    tl_tokenizer *made = tl_alloc_zero(1, sizeof *made);
    if (made == NULL || (made->arena = tl_arena_create()) == NULL) {
        status = tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", path);
        goto done;
    }
    made->patterns.arena = made->arena;
    status = tl_json_read(path, &json, err);
    if (status != TL_OK)
        goto done;
    status = tl_fail_while(err, read_parts(made, json, err), "%s", path);
    if (status != TL_OK)
        goto done;
    *out = made;
    made = NULL;
done:
    json_decref(json);
    tl_tokenizer_close(made);
    return status;
}

void tl_tokenizer_close(tl_tokenizer *tokenizer)
{
    if (tokenizer == NULL)
        return;
    tl_pattern_set_release(&tokenizer->patterns);
    tl_arena_destroy(tokenizer->arena);
    tl_free(tokenizer);
}

/* --- encoding ----------------------------------------------------------------- */

static tl_status run_stages(const tl_tokenizer *t, tl_pieces *pieces, tl_error *err)
{
    tl_status status = tl_added_tokens_apply(t->added, false, pieces, pieces, err);
    if (status == TL_OK)
        status = tl_normalizer_apply(t->normalizer, pieces, pieces, err);
    if (status == TL_OK)
        status = tl_added_tokens_apply(t->added, true, pieces, pieces, err);
    if (status == TL_OK)
        status = tl_pretokenizer_apply(t->pretokenizer, pieces, pieces, err);
    if (status == TL_OK)
        status = tl_bpe_apply(t->model, pieces, pieces, err);
    return status;
}

tl_status tl_tokenizer_encode(const tl_tokenizer *tokenizer, const char *text,
                              size_t bytes, tl_arena *arena, const tl_token **tokens,
                              size_t *count, tl_error *err)
{
    if (tokenizer == NULL || (text == NULL && bytes > 0) || arena == NULL ||
        tokens == NULL || count == NULL)
        return tl_fail(err, TL_ERR_ARGUMENT, "tl_tokenizer_encode got a NULL");
    tl_token *made = NULL;
    tl_pieces pieces;
    tl_status status = TL_OK;
    tl_arena *scratch = tl_arena_create();
    if (scratch == NULL) {
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory to tokenize");
        goto done;
    }
    status = tl_pieces_from_text(text, bytes, scratch, &pieces, err);
    if (status == TL_OK)
        status = run_stages(tokenizer, &pieces, err);
    if (status != TL_OK)
        goto done;
    made = tl_arena_alloc(arena, pieces.count, sizeof *made);
    if (made == NULL) {
        status =
            tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu tokens", pieces.count);
        goto done;
    }
    for (size_t i = 0; i < pieces.count; i++) {
        const tl_piece piece = pieces.list[i];
        made[i] = (tl_token){.id = piece.id,
                             .begin = pieces.origin[piece.at.begin].begin,
                             .end = pieces.origin[piece.at.end - 1].end};
    }
    *tokens = made;
    *count = pieces.count;
done:
    tl_arena_destroy(scratch);
    return status;
}

/* --- the vocabulary ------------------------------------------------------------- */

int32_t tl_tokenizer_id(const tl_tokenizer *tokenizer, const char *token)
{
    const size_t bytes = strlen(token);
    const tl_vocabulary_entry *entry =
        tl_vocabulary_find(tl_added_tokens_vocabulary(tokenizer->added), token, bytes);
    if (entry == NULL)
        entry = tl_vocabulary_find(tl_bpe_vocabulary(tokenizer->model), token, bytes);
    return entry != NULL ? entry->id : -1;
}

size_t tl_tokenizer_size(const tl_tokenizer *tokenizer)
{
    const size_t added = tl_added_tokens_vocabulary(tokenizer->added)->size;
    const size_t model = tl_bpe_vocabulary(tokenizer->model)->size;
    return added > model ? added : model;
}

const char *tl_tokenizer_text(const tl_tokenizer *tokenizer, int32_t id,
                              tl_arena *arena)
{
    const tl_vocabulary_entry *entry =
        tl_vocabulary_get(tl_added_tokens_vocabulary(tokenizer->added), id);
    if (entry == NULL)
        entry = tl_vocabulary_get(tl_bpe_vocabulary(tokenizer->model), id);
    if (entry == NULL)
        return "";
    return tl_token_decode(tokenizer->decoder, entry->text, entry->bytes, arena);
}
