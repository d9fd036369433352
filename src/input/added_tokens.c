/* SPDX-License-Identifier: MIT
 *
 * added_tokens.c - see added_tokens.h.
 *
 * The contents are a trie. A child is found in a hash table by the number of its
 * parent and its byte: one probe per byte of text, with 22 tokens as with 6 400.
 */
#include "input/added_tokens.h"

#include <string.h>

#include <utf8proc.h>

#include "base/json.h"
#include "input/stand_in.h"

enum { NO_TOKEN = -1, ROOT = 0 };

struct edge {
    uint32_t parent;
    uint32_t child; /* 0: a free slot, as no edge leads to the root */
    unsigned char byte;
};

struct trie {
    struct edge *edges; /* hash table, at least half of it free */
    size_t edge_mask;
    int32_t *token_at; /* [n_nodes] index of the token that ends there, or NO_TOKEN */
    uint32_t n_nodes;
};

struct token {
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
};

struct tl_added_tokens {
    tl_vocabulary vocabulary;
    struct token *tokens; /* [vocabulary.count] */
    struct trie tries[2]; /* by `normalized` */
};

const tl_vocabulary *tl_added_tokens_vocabulary(const tl_added_tokens *added)
{
    return &added->vocabulary;
}

/* --- the trie --------------------------------------------------------------------- */

/* Room for contents of together `bytes` bytes. */
static tl_status init_trie(struct trie *trie, size_t bytes, tl_arena *arena,
                           tl_error *err)
{
    if (bytes > UINT32_MAX / 4)
        return tl_fail(err, TL_ERR_UNSUPPORTED, "%zu bytes of tokens", bytes);
    size_t slots = 4;
    while (slots < 2 * bytes)
        slots *= 2;
    trie->edge_mask = slots - 1;
    trie->edges = tl_arena_alloc_zero(arena, slots, sizeof *trie->edges);
    trie->token_at = tl_arena_alloc(arena, bytes + 1, sizeof *trie->token_at);
    if (trie->edges == NULL || trie->token_at == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu bytes of tokens",
                       bytes);
    trie->token_at[ROOT] = NO_TOKEN;
    trie->n_nodes = 1;
    return TL_OK;
}

/* The slot of an edge, or the free one where it belongs. */
static struct edge *edge_slot(const struct trie *trie, uint32_t parent,
                              unsigned char byte)
{
    const uint64_t key = (uint64_t)parent << 8 | byte;
    size_t at = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) & trie->edge_mask;
    while (trie->edges[at].child != 0 &&
           (trie->edges[at].parent != parent || trie->edges[at].byte != byte))
        at = (at + 1) & trie->edge_mask;
    return &trie->edges[at];
}

/* Of two tokens with one content the first stays. */
static void insert(struct trie *trie, const char *text, size_t bytes, int32_t token)
{
    uint32_t node = ROOT;
    for (size_t i = 0; i < bytes; i++) {
        struct edge *edge = edge_slot(trie, node, (unsigned char)text[i]);
        if (edge->child == 0) {
            *edge = (struct edge){node, trie->n_nodes++, (unsigned char)text[i]};
            trie->token_at[edge->child] = NO_TOKEN;
        }
        node = edge->child;
    }
    if (trie->token_at[node] == NO_TOKEN)
        trie->token_at[node] = token;
}

/* The longest token that `text` starts with, and its length; or NO_TOKEN. */
static int32_t longest_token(const struct trie *trie, const char *text, size_t bytes,
                             size_t *length)
{
    int32_t longest = NO_TOKEN;
    uint32_t node = ROOT;
    for (size_t i = 0; i < bytes; i++) {
        node = edge_slot(trie, node, (unsigned char)text[i])->child;
        if (node == ROOT)
            break;
        if (trie->token_at[node] != NO_TOKEN) {
            longest = trie->token_at[node];
            *length = i + 1;
        }
    }
    return longest;
}

/* --- reading ------------------------------------------------------------------------ */

static tl_status read_flags(const json_t *json, struct token *token, tl_error *err)
{
    const struct {
        const char *key;
        bool *flag;
    } flags[] = {
        {"single_word", &token->single_word}, {"lstrip", &token->lstrip},
        {"rstrip", &token->rstrip},           {"normalized", &token->normalized},
        {"special", &token->special},
    };
    tl_status status = TL_OK;
    for (size_t i = 0; status == TL_OK && i < sizeof flags / sizeof flags[0]; i++)
        status = tl_json_get_bool(json, flags[i].key, "token", flags[i].flag, err);
    return status;
}

/*
 * tokenizers does not believe the id in the file: a token that the model knows
 * has its id there, the others are numbered in order, behind the model's and
 * behind all added before. We want the file to agree. `next` is that number.
 */
static tl_status check_id(const tl_vocabulary *model, const char *content, int32_t id,
                          int32_t *next, tl_error *err)
{
    const tl_vocabulary_entry *known =
        tl_vocabulary_find(model, content, strlen(content));
    const int32_t wanted = known != NULL ? known->id : *next;
    if (id != wanted)
        return tl_fail(err, TL_ERR_FORMAT, "'%s' has id %d, its place gives it %d",
                       content, (int)id, (int)wanted);
    if (id >= *next)
        *next = id + 1;
    return TL_OK;
}

/* What can be told of a token without the others. */
static tl_status read_token(const json_t *json, const char **content,
                            struct token *token, tl_error *err)
{
    *content = json_string_value(json_object_get(json, "content"));
    if (*content == NULL || **content == '\0')
        return tl_fail(err, TL_ERR_FORMAT, "a token without 'content'");
    token->id = -1;
    tl_status status = tl_json_get_id(json, "id", *content, &token->id, err);
    if (status == TL_OK && (token->id < 0 || token->id > TL_VOCABULARY_MAX_ID))
        status = tl_fail(err, TL_ERR_FORMAT, "the id of '%s' must be in 0..%d",
                         *content, (int)TL_VOCABULARY_MAX_ID);
    if (status == TL_OK)
        status = read_flags(json, token, err);
    return status;
}

static tl_status read_tokens(tl_added_tokens *added, const json_t *list,
                             const tl_vocabulary *model, tl_arena *arena, tl_error *err)
{
    const size_t count = json_array_size(list);
    size_t bytes = 0;
    int32_t max_id = -1;
    const char *content;
    for (size_t i = 0; i < count; i++) {
        struct token token = {0};
        const tl_status status =
            read_token(json_array_get(list, i), &content, &token, err);
        if (status != TL_OK)
            return status;
        bytes += strlen(content);
        max_id = token.id > max_id ? token.id : max_id;
    }
    tl_status status =
        tl_vocabulary_init(&added->vocabulary, count, bytes, max_id, arena, err);
    added->tokens = tl_arena_alloc_zero(arena, count, sizeof *added->tokens);
    if (status == TL_OK && added->tokens == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu tokens", count);

    int32_t next = (int32_t)model->count;
    for (size_t i = 0; status == TL_OK && i < count; i++) {
        struct token *token = &added->tokens[i];
        status = read_token(json_array_get(list, i), &content, token, err);
        if (status == TL_OK)
            status = check_id(model, content, token->id, &next, err);
        if (status == TL_OK)
            status = tl_vocabulary_add(&added->vocabulary, content, strlen(content),
                                       token->id, err);
    }
    return status;
}

/* The contents as they are looked for, in `scratch`: [count] texts. */
static tl_status find_needles(const tl_added_tokens *added,
                              const tl_normalizer *normalizer, tl_arena *scratch,
                              tl_pieces *needles, tl_error *err)
{
    for (size_t i = 0; i < added->vocabulary.count; i++) {
        const tl_vocabulary_entry *entry = &added->vocabulary.entries[i];
        tl_status status =
            tl_pieces_from_text(entry->text, entry->bytes, scratch, &needles[i], err);
        if (status == TL_OK && added->tokens[i].normalized)
            status = tl_normalizer_apply(normalizer, &needles[i], &needles[i], err);
        if (status == TL_OK && needles[i].bytes == 0)
            status =
                tl_fail(err, TL_ERR_UNSUPPORTED, "nothing remains when normalized");
        if (status != TL_OK)
            return tl_fail_while(err, status, "'%s'", entry->text);
    }
    return TL_OK;
}

static tl_status build_tries(tl_added_tokens *added, const tl_pieces *needles,
                             tl_arena *arena, tl_error *err)
{
    const size_t count = added->vocabulary.count;
    size_t bytes[2] = {0, 0};
    for (size_t i = 0; i < count; i++)
        bytes[added->tokens[i].normalized] += needles[i].bytes;
    for (size_t kind = 0; kind < 2; kind++) {
        const tl_status status =
            init_trie(&added->tries[kind], bytes[kind], arena, err);
        if (status != TL_OK)
            return status;
    }
    /* Of tokens that are alike when normalized the first counts, special ones
     * before others. */
    for (int special = 1; special >= 0; special--) {
        for (size_t i = 0; i < count; i++) {
            if (added->tokens[i].special == (special == 1))
                insert(&added->tries[added->tokens[i].normalized], needles[i].text,
                       needles[i].bytes, (int32_t)i);
        }
    }
    return TL_OK;
}

tl_status tl_added_tokens_read(const json_t *json, const tl_vocabulary *model,
                               const tl_normalizer *normalizer, tl_arena *arena,
                               const tl_added_tokens **out, tl_error *err)
{
    if (json != NULL && !json_is_null(json) && !json_is_array(json))
        return tl_fail(err, TL_ERR_FORMAT, "must be a list");
    tl_added_tokens *added = tl_arena_alloc_zero(arena, 1, sizeof *added);
    tl_arena *scratch = tl_arena_create();
    tl_status status = TL_OK;
    tl_pieces *needles = NULL;
    if (added == NULL || scratch == NULL) {
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
        goto done;
    }
    status = read_tokens(added, json, model, arena, err);
    if (status != TL_OK)
        goto done;
    needles = tl_arena_alloc(scratch, added->vocabulary.count, sizeof *needles);
    if (needles == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    if (status == TL_OK)
        status = find_needles(added, normalizer, scratch, needles, err);
    if (status == TL_OK)
        status = build_tries(added, needles, arena, err);
    if (status == TL_OK)
        *out = added;
done:
    tl_arena_destroy(scratch);
    return status;
}

/* --- finding -------------------------------------------------------------------------- */

static utf8proc_int32_t code_at(const char *text, size_t bytes)
{
    utf8proc_int32_t code = 0;
    utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)bytes, &code);
    return code;
}

static size_t start_of_last(const char *text, size_t end)
{
    do
        end--;
    while (((unsigned char)text[end] & 0xc0) == 0x80);
    return end;
}

/* \s of the Rust regex library: White_Space. */
static bool is_space(utf8proc_int32_t code)
{
    const utf8proc_category_t category = utf8proc_category(code);
    return (code >= '\t' && code <= '\r') || code == 0x85 ||
           category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
           category == UTF8PROC_CATEGORY_ZP;
}

/* \w of the Rust regex library: Alphabetic, marks, decimal digits, connecting
 * punctuation, joiners. Of what is Alphabetic, only the circled and squared
 * letters are neither letters, nor marks, nor letter numbers. */
static bool is_word(utf8proc_int32_t code)
{
    switch (utf8proc_category(tl_stand_in(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC: return true;
    default: break;
    }
    return code == 0x200c || code == 0x200d || (code >= 0x24b6 && code <= 0x24e9) ||
           (code >= 0x1f130 && code <= 0x1f149) ||
           (code >= 0x1f150 && code <= 0x1f169) || (code >= 0x1f170 && code <= 0x1f189);
}

static bool is_single_word(const char *text, size_t bytes, tl_span at)
{
    const size_t before = at.begin > 0 ? start_of_last(text, at.begin) : 0;
    if (at.begin > 0 && is_word(code_at(text + before, at.begin - before)))
        return false;
    return at.end == bytes || !is_word(code_at(text + at.end, bytes - at.end));
}

/* The blanks in front of `at` that are not covered yet; those behind. */
static size_t strip_left(const char *text, size_t at, size_t covered)
{
    while (at > covered) {
        const size_t before = start_of_last(text, at);
        if (!is_space(code_at(text + before, at - before)))
            break;
        at = before;
    }
    return at > covered ? at : covered;
}

static size_t strip_right(const char *text, size_t at, size_t bytes)
{
    while (at < bytes && is_space(code_at(text + at, bytes - at)))
        at += tl_utf8_length(text + at);
    return at;
}

/* Cuts the tokens out of one open piece. */
static void cut_piece(const tl_added_tokens *added, const struct trie *trie,
                      const tl_pieces *in, tl_span span, tl_pieces *out)
{
    const char *text = in->text + span.begin;
    const size_t bytes = span.end - span.begin;
    size_t covered = 0;
    for (size_t at = 0, length = 0; at < bytes;) {
        const int32_t found = longest_token(trie, text + at, bytes - at, &length);
        if (found == NO_TOKEN) {
            at++;
            continue;
        }
        const struct token *token = &added->tokens[found];
        tl_span match = {at, at + length};
        at = match.end;
        if (token->single_word && !is_single_word(text, bytes, match))
            continue;
        if (token->lstrip)
            match.begin = strip_left(text, match.begin, covered);
        if (token->rstrip)
            match.end = strip_right(text, match.end, bytes);
        if (covered < match.begin)
            tl_pieces_cut(out,
                          (tl_span){span.begin + covered, span.begin + match.begin},
                          TL_PIECE_OPEN);
        tl_pieces_cut(out, (tl_span){span.begin + match.begin, span.begin + match.end},
                      token->id);
        covered = match.end;
    }
    tl_pieces_cut(out, (tl_span){span.begin + covered, span.end}, TL_PIECE_OPEN);
}

tl_status tl_added_tokens_apply(const tl_added_tokens *added, bool normalized,
                                const tl_pieces *in, tl_pieces *out, tl_error *err)
{
    tl_pieces made = tl_pieces_recut(in);
    for (size_t i = 0; i < in->count; i++) {
        const tl_piece piece = in->list[i];
        if (piece.id == TL_PIECE_OPEN)
            cut_piece(added, &added->tries[normalized], in, piece.at, &made);
        else
            tl_pieces_cut(&made, piece.at, piece.id);
    }
    if (made.no_memory)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the added tokens");
    *out = made;
    return TL_OK;
}
