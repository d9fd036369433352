/* SPDX-License-Identifier: MIT
 *
 * position_map.c - the segments of a prompt, and which position of one modality plays the
 * part of which in the other (include/twinlens/overlap.h; docs/math.md eq. 10).
 */
#include "twinlens/overlap.h"

void tl_span_segment(const tl_span *span, tl_segment segment, size_t *begin,
                     size_t *end)
{
    *begin = segment == TL_SEGMENT_DATA    ? span->data_begin
             : segment == TL_SEGMENT_QUERY ? span->data_end
                                           : span->n_pos - 1;
    *end = segment == TL_SEGMENT_DATA    ? span->data_end
           : segment == TL_SEGMENT_QUERY ? span->n_pos - 1
                                         : span->n_pos;
}

/* ---- positions ------------------------------------------------------------------- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

static tl_status check_span(const tl_span *s, const char *of, tl_error *err)
{
    return s->data_begin < s->data_end && s->data_end < s->n_pos
               ? TL_OK
               : tl_fail(
                     err, TL_ERR_ARGUMENT,
                     "the data of %s prompts are positions %zu to %zu of %zu, wanted "
                     "some, and not the last",
                     of, s->data_begin, s->data_end, s->n_pos);
}

tl_status tl_position_map_init(tl_position_map *map, const tl_span *text,
                               const tl_span *image, tl_arena *arena, tl_error *err)
{
    tl_status status = check_span(text, "text", err);
    if (status == TL_OK)
        status = check_span(image, "image", err);
    if (status != TL_OK)
        return status;
    const size_t a = text->data_begin, b = text->data_end, c = image->data_begin,
                 d = image->data_end;
    const size_t before = a > 0 && c > 0 ? most(a, c) : 0,
                 after = most(text->n_pos - b, image->n_pos - d);
    size_t(*pairs)[TL_MODALITY_COUNT] =
        tl_arena_alloc(arena, before + (b - a) * (d - c) + after, sizeof *pairs);
    if (pairs == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a map of positions");
    size_t n = 0;
    for (size_t i = 0; i < before; i++, n++) {
        pairs[n][TL_TEXT] = least(i, a - 1);
        pairs[n][TL_IMAGE] = least(i, c - 1);
    }
    for (size_t i = a; i < b; i++)
        for (size_t j = c; j < d; j++, n++) {
            pairs[n][TL_TEXT] = i;
            pairs[n][TL_IMAGE] = j;
        }
    for (size_t i = 0; i < after; i++, n++) { /* from the right */
        pairs[n][TL_TEXT] = text->n_pos - 1 - least(i, text->n_pos - 1 - b);
        pairs[n][TL_IMAGE] = image->n_pos - 1 - least(i, image->n_pos - 1 - d);
    }
    *map = (tl_position_map){
        {*text, *image}, n, (const size_t(*)[TL_MODALITY_COUNT])pairs};
    return TL_OK;
}
