/* SPDX-License-Identifier: MIT
 *
 * component_set.c - sets of components, and how they move between modalities
 * (include/twinlens/overlap.h).
 */
#include <stdint.h>

#include "twinlens/overlap.h"

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

/* Leaves those of `to` that are in `from`, or those that are not. */
static void leave(const tl_component_set *from, uint8_t in, tl_component_set *to)
{
    const size_t places = to->n_layers * to->n_pos, n_heads = places * to->n_heads,
                 n_neurons = places * to->d_mlp;
    for (size_t i = 0; i < n_heads; i++)
        to->heads[i] &= from->heads[i] == in;
    for (size_t i = 0; i < n_neurons; i++)
        to->neurons[i] &= from->neurons[i] == in;
}

void tl_set_remove(const tl_component_set *from, tl_component_set *to)
{
    leave(from, 0, to);
}

void tl_set_intersect(const tl_component_set *from, tl_component_set *to)
{
    leave(from, 1, to);
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
