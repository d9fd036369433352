/* SPDX-License-Identifier: MIT
 *
 * bpe.c - see bpe.h.
 *
 * A word is a linked list of symbols, the possible merges wait in a heap. After
 * a merge the entries of the heap that named its two symbols are stale; they are
 * known by this, that the pair now at their place does not make their token.
 */
#include "input/bpe.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

enum { NO_ID = -1, N_BYTES = 256 };

struct merge {
    int32_t left, right; /* left == NO_ID: a free slot */
    int32_t rank;        /* the lowest goes first */
    int32_t joined;
};

struct tl_bpe {
    tl_vocabulary vocabulary;
    struct merge *merges; /* hash table, at least half of it free */
    size_t merge_mask;
    int32_t unknown; /* or NO_ID: what is not in the vocabulary vanishes */
    bool fuse_unknown, byte_fallback, ignore_merges;
    int32_t byte_ids[N_BYTES]; /* of "<0x00>" to "<0xFF>", or NO_ID */
};

const tl_vocabulary *tl_bpe_vocabulary(const tl_bpe *bpe)
{
    return &bpe->vocabulary;
}

/* --- merges as a hash table ---------------------------------------------------- */

/* The slot of a pair, or the free one where it belongs. */
static struct merge *merge_slot(const tl_bpe *bpe, int32_t left, int32_t right)
{
    const uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    const uint64_t mixed = pair * UINT64_C(0x9e3779b97f4a7c15);
    size_t at = (size_t)(mixed >> 32) & bpe->merge_mask;
    while (bpe->merges[at].left != NO_ID &&
           (bpe->merges[at].left != left || bpe->merges[at].right != right))
        at = (at + 1) & bpe->merge_mask;
    return &bpe->merges[at];
}

/* NULL if the two do not merge. */
static const struct merge *find_merge(const tl_bpe *bpe, int32_t left, int32_t right)
{
    const struct merge *slot = merge_slot(bpe, left, right);
    return slot->left == NO_ID ? NULL : slot;
}

/* --- reading -------------------------------------------------------------------- */

static tl_status read_vocabulary(tl_bpe *bpe, const json_t *model, tl_arena *arena,
                                 tl_error *err)
{
    json_t *vocab =
        json_object_get(model, "vocab"); /* only read; jansson wants it so */
    if (!json_is_object(vocab))
        return tl_fail(err, TL_ERR_FORMAT, "'vocab' must be an object");

    size_t text_bytes = 0;
    json_int_t max_id = -1;
    const char *token;
    json_t *value;
    json_object_foreach(vocab, token, value)
    {
        const json_int_t id = json_integer_value(value);
        if (!json_is_integer(value) || id < 0 || id > TL_VOCABULARY_MAX_ID)
            return tl_fail(err, TL_ERR_FORMAT, "vocab: the id of '%s' must be in 0..%d",
                           token, (int)TL_VOCABULARY_MAX_ID);
        max_id = id > max_id ? id : max_id;
        text_bytes += strlen(token);
    }
    tl_status status = tl_vocabulary_init(&bpe->vocabulary, json_object_size(vocab),
                                          text_bytes, (int32_t)max_id, arena, err);
    if (status != TL_OK)
        return status;
    json_object_foreach(vocab, token, value)
    {
        status = tl_vocabulary_add(&bpe->vocabulary, token, strlen(token),
                                   (int32_t)json_integer_value(value), err);
        if (status != TL_OK)
            return tl_fail_while(err, status, "vocab");
    }
    return TL_OK;
}

/* The two tokens of a merge, "a b" or ["a", "b"]. */
static tl_status merge_halves(const json_t *merge, const char *half[2], size_t bytes[2])
{
    if (json_is_array(merge)) {
        if (json_array_size(merge) != 2)
            return TL_ERR_FORMAT;
        for (size_t i = 0; i < 2; i++) {
            half[i] = json_string_value(json_array_get(merge, i));
            if (half[i] == NULL)
                return TL_ERR_FORMAT;
            bytes[i] = strlen(half[i]);
        }
        return TL_OK;
    }
    const char *text = json_string_value(merge);
    const char *blank = text != NULL ? strchr(text, ' ') : NULL;
    if (blank == NULL || strchr(blank + 1, ' ') != NULL)
        return TL_ERR_FORMAT;
    half[0] = text;
    bytes[0] = (size_t)(blank - text);
    half[1] = blank + 1;
    bytes[1] = strlen(half[1]);
    return TL_OK;
}

static tl_status read_merge(tl_bpe *bpe, const json_t *json, int32_t rank,
                            tl_error *err)
{
    const char *half[2];
    size_t bytes[2];
    if (merge_halves(json, half, bytes) != TL_OK)
        return tl_fail(err, TL_ERR_FORMAT, "merge %d is not a pair of tokens",
                       (int)rank);
    const tl_vocabulary_entry *parts[2];
    for (size_t i = 0; i < 2; i++) {
        parts[i] = tl_vocabulary_find(&bpe->vocabulary, half[i], bytes[i]);
        if (parts[i] == NULL)
            return tl_fail(err, TL_ERR_FORMAT,
                           "merge %d names '%.*s', not in the vocabulary", (int)rank,
                           (int)(bytes[i] < 64 ? bytes[i] : 64), half[i]);
    }
    const tl_vocabulary_entry *joined =
        tl_vocabulary_find_joined(&bpe->vocabulary, parts[0], parts[1]);
    if (joined == NULL)
        return tl_fail(err, TL_ERR_FORMAT,
                       "merge %d makes '%s%s', not in the vocabulary", (int)rank,
                       parts[0]->text, parts[1]->text);
    /* Of two merges of one pair the later counts, as in tokenizers. */
    *merge_slot(bpe, parts[0]->id, parts[1]->id) =
        (struct merge){parts[0]->id, parts[1]->id, rank, joined->id};
    return TL_OK;
}

static tl_status read_merges(tl_bpe *bpe, const json_t *model, tl_arena *arena,
                             tl_error *err)
{
    const json_t *list = json_object_get(model, "merges");
    if (!json_is_array(list) || json_array_size(list) > INT32_MAX)
        return tl_fail(err, TL_ERR_FORMAT, "'merges' must be a list");
    const size_t count = json_array_size(list);
    size_t slots = 4;
    while (slots < 2 * count)
        slots *= 2;
    bpe->merge_mask = slots - 1;
    bpe->merges = tl_arena_alloc(arena, slots, sizeof *bpe->merges);
    if (bpe->merges == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu merges", count);
    for (size_t i = 0; i < slots; i++)
        bpe->merges[i].left = NO_ID;
    tl_status status = TL_OK;
    for (size_t i = 0; status == TL_OK && i < count; i++)
        status = read_merge(bpe, json_array_get(list, i), (int32_t)i, err);
    return status;
}

/* What changes the result and is not done here. */
static tl_status refuse_options(const json_t *model, tl_error *err)
{
    const char *type = "BPE"; /* old files do not say */
    double dropout = 0.0;
    tl_status status = tl_json_get_string(model, "type", "model", &type, err);
    if (status == TL_OK)
        status = tl_json_get_double(model, "dropout", "model", &dropout, err);
    if (status != TL_OK)
        return status;
    if (strcmp(type, "BPE") != 0)
        return tl_fail(err, TL_ERR_UNSUPPORTED, "a '%s' model", type);
    if (dropout != 0.0)
        return tl_fail(err, TL_ERR_UNSUPPORTED, "dropout of %g", dropout);

    static const char *const affixes[] = {"continuing_subword_prefix",
                                          "end_of_word_suffix"};
    for (size_t i = 0; i < sizeof affixes / sizeof affixes[0]; i++) {
        const char *affix = "";
        status = tl_json_get_string(model, affixes[i], "model", &affix, err);
        if (status != TL_OK)
            return status;
        if (*affix != '\0')
            return tl_fail(err, TL_ERR_UNSUPPORTED, "%s '%s'", affixes[i], affix);
    }
    return TL_OK;
}

static tl_status read_unknown(tl_bpe *bpe, const json_t *model, tl_error *err)
{
    const char *unknown = NULL;
    bpe->unknown = NO_ID;
    const tl_status status =
        tl_json_get_string(model, "unk_token", "model", &unknown, err);
    if (status != TL_OK || unknown == NULL)
        return status;
    const tl_vocabulary_entry *entry =
        tl_vocabulary_find(&bpe->vocabulary, unknown, strlen(unknown));
    if (entry == NULL)
        return tl_fail(err, TL_ERR_FORMAT, "unk_token '%s' is not in the vocabulary",
                       unknown);
    bpe->unknown = entry->id;
    return TL_OK;
}

static void find_byte_tokens(tl_bpe *bpe)
{
    for (unsigned byte = 0; byte < N_BYTES; byte++) {
        char name[sizeof "<0x00>"];
        snprintf(name, sizeof name, "<0x%02X>", byte & 0xffu);
        const tl_vocabulary_entry *entry =
            tl_vocabulary_find(&bpe->vocabulary, name, strlen(name));
        bpe->byte_ids[byte] = entry != NULL ? entry->id : NO_ID;
    }
}

tl_status tl_bpe_read(const json_t *json, tl_arena *arena, const tl_bpe **out,
                      tl_error *err)
{
    if (!json_is_object(json))
        return tl_fail(err, TL_ERR_FORMAT, "must be an object");
    tl_bpe *bpe = tl_arena_alloc_zero(arena, 1, sizeof *bpe);
    if (bpe == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    tl_status status = refuse_options(json, err);
    if (status == TL_OK)
        status = tl_json_get_bool(json, "fuse_unk", "model", &bpe->fuse_unknown, err);
    if (status == TL_OK)
        status =
            tl_json_get_bool(json, "byte_fallback", "model", &bpe->byte_fallback, err);
    if (status == TL_OK)
        status =
            tl_json_get_bool(json, "ignore_merges", "model", &bpe->ignore_merges, err);
    if (status == TL_OK)
        status = read_vocabulary(bpe, json, arena, err);
    if (status == TL_OK)
        status = read_merges(bpe, json, arena, err);
    if (status == TL_OK)
        status = read_unknown(bpe, json, err);
    if (status != TL_OK)
        return status;
    find_byte_tokens(bpe);
    *out = bpe;
    return TL_OK;
}

/* --- a word ----------------------------------------------------------------------- */

#define NOWHERE SIZE_MAX

struct symbol {
    int32_t id;
    size_t bytes; /* 0: merged into the one on its left */
    size_t previous, next;
};

struct candidate {
    int32_t rank, joined;
    size_t at; /* the left symbol */
};

/* One word under its merges; room for the longest. A heap never holds more
 * than 2 n candidates: n - 1 at the start, and each merge takes one and adds two. */
struct merging {
    struct symbol *symbols;
    size_t n_symbols;
    struct candidate *heap;
    size_t n_heap;
};

static bool goes_first(const struct candidate *a, const struct candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void heap_push(struct merging *m, struct candidate added)
{
    size_t at = m->n_heap++;
    while (at > 0 && goes_first(&added, &m->heap[(at - 1) / 2])) {
        m->heap[at] = m->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    m->heap[at] = added;
}

static struct candidate heap_pop(struct merging *m)
{
    assert(m->n_heap > 0);
    const struct candidate top = m->heap[0];
    const struct candidate moved = m->heap[--m->n_heap];
    size_t at = 0;
    for (size_t child = 1; child < m->n_heap; child = 2 * at + 1) {
        if (child + 1 < m->n_heap && goes_first(&m->heap[child + 1], &m->heap[child]))
            child++;
        if (!goes_first(&m->heap[child], &moved))
            break;
        m->heap[at] = m->heap[child];
        at = child;
    }
    m->heap[at] = moved;
    return top;
}

static void add_symbol(struct merging *m, int32_t id, size_t bytes)
{
    const size_t at = m->n_symbols++;
    m->symbols[at] = (struct symbol){id, bytes, at > 0 ? at - 1 : NOWHERE, NOWHERE};
    if (at > 0)
        m->symbols[at - 1].next = at;
}

/* One symbol per byte of a character; false if the vocabulary lacks one. */
static bool add_bytes(const tl_bpe *bpe, const char *text, size_t bytes,
                      struct merging *m)
{
    for (size_t i = 0; i < bytes; i++) {
        if (bpe->byte_ids[(unsigned char)text[i]] == NO_ID)
            return false;
    }
    for (size_t i = 0; i < bytes; i++)
        add_symbol(m, bpe->byte_ids[(unsigned char)text[i]], 1);
    return true;
}

/*
 * A symbol per character. An unknown one is held back, to be fused with the next;
 * that bytes written meanwhile go in front of it, and that an unknown character
 * without an unk_token vanishes and shifts what follows, is what tokenizers does.
 */
static void spell(const tl_bpe *bpe, const char *word, size_t bytes, struct merging *m)
{
    size_t unknown_bytes = 0;
    m->n_symbols = 0;
    for (size_t at = 0, n; at < bytes; at += n) {
        n = tl_utf8_length(word + at);
        const tl_vocabulary_entry *entry =
            tl_vocabulary_find(&bpe->vocabulary, word + at, n);
        if (entry != NULL) {
            if (unknown_bytes > 0)
                add_symbol(m, bpe->unknown, unknown_bytes);
            unknown_bytes = 0;
            add_symbol(m, entry->id, n);
        } else if (bpe->byte_fallback && add_bytes(bpe, word + at, n, m)) {
            continue;
        } else if (bpe->unknown != NO_ID) {
            if (unknown_bytes > 0 && !bpe->fuse_unknown) {
                add_symbol(m, bpe->unknown, unknown_bytes);
                unknown_bytes = 0;
            }
            unknown_bytes += n;
        }
    }
    if (unknown_bytes > 0)
        add_symbol(m, bpe->unknown, unknown_bytes);
}

/* Queues the merge of the symbol at `left` with its right neighbour, if any. */
static void consider(const tl_bpe *bpe, size_t left, struct merging *m)
{
    const struct symbol *symbol = &m->symbols[left];
    if (symbol->next == NOWHERE)
        return;
    const struct merge *merge =
        find_merge(bpe, symbol->id, m->symbols[symbol->next].id);
    if (merge != NULL)
        heap_push(m, (struct candidate){merge->rank, merge->joined, left});
}

static void merge_all(const tl_bpe *bpe, struct merging *m)
{
    m->n_heap = 0;
    for (size_t i = 0; i < m->n_symbols; i++)
        consider(bpe, i, m);
    while (m->n_heap > 0) {
        const struct candidate best = heap_pop(m);
        struct symbol *left = &m->symbols[best.at];
        if (left->bytes == 0 || left->next == NOWHERE)
            continue;
        struct symbol *right = &m->symbols[left->next];
        const struct merge *merge = find_merge(bpe, left->id, right->id);
        if (merge == NULL || merge->joined != best.joined)
            continue;
        left->id = best.joined;
        left->bytes += right->bytes;
        left->next = right->next;
        right->bytes = 0;
        if (left->next != NOWHERE)
            m->symbols[left->next].previous = best.at;
        if (left->previous != NOWHERE)
            consider(bpe, left->previous, m);
        consider(bpe, best.at, m);
    }
}

static void apply_to_word(const tl_bpe *bpe, const tl_pieces *in, tl_span span,
                          struct merging *m, tl_pieces *out)
{
    const char *word = in->text + span.begin;
    const size_t bytes = span.end - span.begin;
    if (bpe->ignore_merges) {
        const tl_vocabulary_entry *entry =
            tl_vocabulary_find(&bpe->vocabulary, word, bytes);
        if (entry != NULL) {
            tl_pieces_cut(out, span, entry->id);
            return;
        }
    }
    spell(bpe, word, bytes, m);
    merge_all(bpe, m);
    size_t at = span.begin;
    for (size_t i = 0; i < m->n_symbols; i++) {
        const struct symbol *symbol = &m->symbols[i];
        tl_pieces_cut(out, (tl_span){at, at + symbol->bytes}, symbol->id);
        at += symbol->bytes;
    }
}

tl_status tl_bpe_apply(const tl_bpe *bpe, const tl_pieces *in, tl_pieces *out,
                       tl_error *err)
{
    size_t longest = 0;
    for (size_t i = 0; i < in->count; i++) {
        const tl_span at = in->list[i].at;
        if (in->list[i].id == TL_PIECE_OPEN && at.end - at.begin > longest)
            longest = at.end - at.begin;
    }
    struct merging m = {
        .symbols = tl_arena_alloc(in->arena, longest, sizeof *m.symbols),
        .heap = tl_arena_alloc(in->arena, longest, 2 * sizeof *m.heap),
    };
    tl_pieces made = tl_pieces_recut(in);
    if (m.symbols == NULL || m.heap == NULL)
        made.no_memory = true;
    for (size_t i = 0; !made.no_memory && i < in->count; i++) {
        const tl_piece piece = in->list[i];
        if (piece.id == TL_PIECE_OPEN)
            apply_to_word(bpe, in, piece.at, &m, &made);
        else
            tl_pieces_cut(&made, piece.at, piece.id);
    }
    if (made.no_memory)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the tokens");
    *out = made;
    return TL_OK;
}
