/* SPDX-License-Identifier: MIT
 * pieces.c - see pieces.h. */
#include "input/pieces.h"

#include <string.h>

#include <utf8proc.h>

enum { FIRST_CAPACITY = 64 };

size_t tl_utf8_length(const char *at)
{
    const unsigned char lead = (unsigned char)*at;
    return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

tl_pieces tl_pieces_empty(tl_arena *arena)
{
    return (tl_pieces){.arena = arena};
}

tl_pieces tl_pieces_recut(const tl_pieces *from)
{
    /* Capacity equal to the length: an append would copy, not write into it. */
    return (tl_pieces){.arena = from->arena,
                       .text = from->text,
                       .origin = from->origin,
                       .bytes = from->bytes,
                       .text_capacity = from->bytes,
                       .no_memory = from->no_memory};
}

/* The array with room for `needed` elements, moved if it had to grow; NULL when
 * there is no memory. */
static void *grow(tl_arena *arena, void *array, size_t count, size_t needed,
                  size_t capacity, size_t size)
{
    if (needed <= capacity)
        return array;
    void *grown = tl_arena_alloc(arena, needed, size);
    if (grown != NULL && count > 0)
        memcpy(grown, array, count * size);
    return grown;
}

static size_t larger_capacity(size_t capacity, size_t needed)
{
    if (needed <= capacity)
        return capacity;
    const size_t doubled = capacity < FIRST_CAPACITY ? FIRST_CAPACITY : 2 * capacity;
    return needed > doubled ? needed : doubled;
}

static bool reserve_text(tl_pieces *pieces, size_t n)
{
    /* Replacements that a file asks for may make a text grow without end. */
    enum { MOST_BYTES = 1 << 26 };
    if (n > MOST_BYTES - pieces->bytes) {
        pieces->no_memory = true;
        return false;
    }
    const size_t capacity = larger_capacity(pieces->text_capacity, pieces->bytes + n);
    char *text = grow(pieces->arena, pieces->text, pieces->bytes, capacity,
                      pieces->text_capacity, sizeof *text);
    tl_span *origin = grow(pieces->arena, pieces->origin, pieces->bytes, capacity,
                           pieces->text_capacity, sizeof *origin);
    if (capacity > 0 && (text == NULL || origin == NULL)) {
        pieces->no_memory = true;
        return false;
    }
    pieces->text = text;
    pieces->origin = origin;
    pieces->text_capacity = capacity;
    return true;
}

void tl_pieces_append(tl_pieces *pieces, const char *text, size_t n, tl_span origin)
{
    if (n == 0 || pieces->no_memory || !reserve_text(pieces, n))
        return;
    memcpy(pieces->text + pieces->bytes, text, n);
    for (size_t i = 0; i < n; i++)
        pieces->origin[pieces->bytes + i] = origin;
    pieces->bytes += n;
}

void tl_pieces_copy(tl_pieces *pieces, const tl_pieces *from, tl_span span)
{
    const size_t n = span.end - span.begin;
    if (n == 0 || pieces->no_memory || !reserve_text(pieces, n))
        return;
    memcpy(pieces->text + pieces->bytes, from->text + span.begin, n);
    memcpy(pieces->origin + pieces->bytes, from->origin + span.begin,
           n * sizeof *from->origin);
    pieces->bytes += n;
}

void tl_pieces_cut(tl_pieces *pieces, tl_span span, int32_t id)
{
    if (span.begin >= span.end || pieces->no_memory)
        return;
    const size_t capacity = larger_capacity(pieces->list_capacity, pieces->count + 1);
    tl_piece *list = grow(pieces->arena, pieces->list, pieces->count, capacity,
                          pieces->list_capacity, sizeof *list);
    if (list == NULL) {
        pieces->no_memory = true;
        return;
    }
    list[pieces->count] = (tl_piece){span, id};
    pieces->list = list;
    pieces->list_capacity = capacity;
    pieces->count++;
}

tl_status tl_pieces_from_text(const char *text, size_t bytes, tl_arena *arena,
                              tl_pieces *out, tl_error *err)
{
    tl_pieces pieces = tl_pieces_empty(arena);
    if (bytes > 0)
        reserve_text(&pieces, bytes);
    for (size_t at = 0; at < bytes;) {
        utf8proc_int32_t code;
        const utf8proc_ssize_t n = utf8proc_iterate(
            (const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(bytes - at), &code);
        if (n <= 0)
            return tl_fail(err, TL_ERR_DATA,
                           "the text is not valid UTF-8: byte 0x%02x at offset %zu",
                           (unsigned char)text[at], at);
        tl_pieces_append(&pieces, text + at, (size_t)n, (tl_span){at, at + (size_t)n});
        at += (size_t)n;
    }
    tl_pieces_cut(&pieces, (tl_span){0, bytes}, TL_PIECE_OPEN);
    if (pieces.no_memory)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a text of %zu bytes",
                       bytes);
    *out = pieces;
    return TL_OK;
}
