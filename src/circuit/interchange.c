/* SPDX-License-Identifier: MIT
 *
 * interchange.c - circuits with a foreign part (include/twinlens/interchange.h;
 * docs/math.md eq. 13).
 */
#include "twinlens/interchange.h"

#include "circuit/random_set.h"

tl_status tl_interchange_build(const tl_component_set sets[TL_MODALITY_COUNT],
                               tl_modality host, size_t swapped,
                               const tl_component_set *foreign,
                               const tl_position_map *map, tl_arena *arena,
                               tl_component_set *out, tl_error *err)
{
    const tl_component_set *own = &sets[host];
    const tl_modality other = host == TL_TEXT ? TL_IMAGE : TL_TEXT;
    tl_component_set mixed;
    const tl_status status = tl_set_create(own->n_layers, own->n_pos, own->n_heads,
                                           own->d_mlp, arena, &mixed, err);
    if (status != TL_OK)
        return status;
    for (size_t s = 0; s < TL_SEGMENT_COUNT; s++) {
        size_t begin, end;
        tl_span_segment(&map->span[s == swapped ? other : host], (tl_segment)s, &begin,
                        &end);
        if (s == swapped)
            tl_set_carry(foreign, other, begin, end, map, &mixed);
        else
            tl_set_add(own, begin, end, &mixed);
    }
    *out = mixed;
    return TL_OK;
}

/* ---- random parts ---------------------------------------------------------------- */

/* As published. Each head goes anywhere; the neurons of one layer and position stay
 * together. Layers and heads are drawn one too far, and what falls outside is lost. */
static void draw_as_published(const tl_component_set *from, size_t begin, size_t end,
                              tl_random *random, tl_component_set *out)
{
    for (size_t l = 0; l < from->n_layers; l++)
        for (size_t t = begin; t < end; t++) {
            const size_t place = l * from->n_pos + t;
            for (size_t h = 0; h < from->n_heads; h++) {
                if (!from->heads[place * from->n_heads + h])
                    continue;
                const size_t layer = tl_random_below(random, from->n_layers + 1),
                             head = tl_random_below(random, from->n_heads + 1),
                             at = begin + tl_random_below(random, end - begin);
                if (layer < from->n_layers && head < from->n_heads)
                    out->heads[(layer * from->n_pos + at) * from->n_heads + head] = 1;
            }
            size_t n = 0;
            for (size_t j = 0; j < from->d_mlp; j++)
                n += from->neurons[place * from->d_mlp + j];
            if (n == 0)
                continue;
            const size_t layer = tl_random_below(random, from->n_layers + 1),
                         at = begin + tl_random_below(random, end - begin);
            if (layer == from->n_layers)
                continue;
            uint8_t *to = out->neurons + (layer * from->n_pos + at) * from->d_mlp;
            for (size_t j = 0, left = n; j < from->d_mlp && left > 0; j++)
                if (tl_random_below(random, from->d_mlp - j) < left) {
                    to[j] = 1;
                    left--;
                }
        }
}

tl_status tl_interchange_draw(const tl_component_set *foreign, const tl_span *span,
                              tl_segment segment, tl_interchange_random how,
                              uint64_t seed, tl_arena *arena, tl_component_set *out,
                              tl_error *err)
{
    tl_component_set drawn;
    const tl_status status =
        tl_set_create(foreign->n_layers, foreign->n_pos, foreign->n_heads,
                      foreign->d_mlp, arena, &drawn, err);
    if (status != TL_OK)
        return status;
    size_t begin, end;
    tl_span_segment(span, segment, &begin, &end);
    tl_random random = {seed};
    tl_random_next(&random);
    if (how == TL_RANDOM_REFERENCE) {
        draw_as_published(foreign, begin, end, &random, &drawn);
    } else {
        for (size_t k = 0; k < TL_KIND_COUNT; k++) {
            const tl_component_kind kind = (tl_component_kind)k;
            tl_set_draw(&drawn, kind, begin, end,
                        tl_set_count_between(foreign, kind, begin, end), &random);
        }
    }
    *out = drawn;
    return TL_OK;
}
