/* SPDX-License-Identifier: MIT
 *
 * component_set.c - sets of components, and how they move between modalities
 * (include/twinlens/overlap.h).
 */
#include <stdint.h>
#include <string.h>

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

/* ---- sets ------------------------------------------------------------------------ */

tl_status tl_set_create(size_t n_layers, size_t n_pos, size_t n_heads, size_t d_mlp,
                        tl_arena *arena, tl_component_set *out, tl_error *err)
{
    const size_t places = n_layers * n_pos;
    tl_component_set set = {n_layers,
                            n_pos,
                            n_heads,
                            d_mlp,
                            tl_arena_alloc_zero(arena, places * n_heads, 1),
                            tl_arena_alloc_zero(arena, places * d_mlp, 1)};
    if (set.heads == NULL || set.neurons == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a set of %zu components",
                       places * (n_heads + d_mlp));
    *out = set;
    return TL_OK;
}

tl_status tl_set_from_circuit(const tl_circuit *circuit, tl_arena *arena,
                              tl_component_set *out, tl_error *err)
{
    if (circuit->set != NULL) {
        const tl_component_set *from = circuit->set;
        const tl_status status = tl_set_create(
            from->n_layers, from->n_pos, from->n_heads, from->d_mlp, arena, out, err);
        if (status == TL_OK)
            tl_set_add(from, 0, from->n_pos, out);
        return status;
    }
    const tl_ranking *r = circuit->ranking;
    const tl_status status =
        tl_set_create(r->n_layers, r->n_pos, r->n_heads, r->d_mlp, arena, out, err);
    if (status != TL_OK)
        return status;
    const size_t places = r->n_layers * r->n_pos;
    for (size_t i = 0; i < places * r->n_heads; i++)
        out->heads[i] = r->heads[i] < circuit->n_heads;
    for (size_t i = 0; i < places * r->d_mlp; i++)
        out->neurons[i] = r->neurons[i] < circuit->n_neurons;
    return TL_OK;
}

size_t tl_set_count(const tl_component_set *set, tl_component_kind kind)
{
    const bool heads = kind == TL_KIND_HEADS;
    const uint8_t *in = heads ? set->heads : set->neurons;
    const size_t n = set->n_layers * set->n_pos * (heads ? set->n_heads : set->d_mlp);
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += in[i];
    return count;
}

static void join(const uint8_t *restrict from, size_t n, uint8_t *restrict to)
{
    for (size_t i = 0; i < n; i++)
        to[i] |= from[i];
}

void tl_set_add(const tl_component_set *from, size_t begin, size_t end,
                tl_component_set *to)
{
    for (size_t l = 0; l < from->n_layers; l++) {
        const size_t at = l * from->n_pos + begin, n = end - begin;
        join(from->heads + at * from->n_heads, n * from->n_heads,
             to->heads + at * from->n_heads);
        join(from->neurons + at * from->d_mlp, n * from->d_mlp,
             to->neurons + at * from->d_mlp);
    }
}

void tl_set_carry(const tl_component_set *from, tl_modality from_modality, size_t begin,
                  size_t end, const tl_position_map *map, tl_component_set *to)
{
    const tl_modality to_modality = from_modality == TL_TEXT ? TL_IMAGE : TL_TEXT;
    for (size_t l = 0; l < from->n_layers; l++)
        for (size_t i = 0; i < map->n_pairs; i++) {
            const size_t at = map->pairs[i][from_modality];
            if (at < begin || at >= end)
                continue;
            const size_t source = l * from->n_pos + at,
                         place = l * to->n_pos + map->pairs[i][to_modality];
            join(from->heads + source * from->n_heads, from->n_heads,
                 to->heads + place * to->n_heads);
            join(from->neurons + source * from->d_mlp, from->d_mlp,
                 to->neurons + place * to->d_mlp);
        }
}
