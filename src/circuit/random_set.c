/* SPDX-License-Identifier: MIT
 *
 * random_set.c - selection sampling: one pass over the components, each taken with
 * the probability that fills the set in the end. Needs no memory, and every choice is
 * equally likely. @source Knuth, The Art of Computer Programming, 3.4.2, algorithm S
 */
#include "circuit/random_set.h"

static uint8_t *members(const tl_component_set *set, tl_component_kind kind,
                        size_t *per_pos)
{
    *per_pos = kind == TL_KIND_HEADS ? set->n_heads : set->d_mlp;
    return kind == TL_KIND_HEADS ? set->heads : set->neurons;
}

size_t tl_set_count_between(const tl_component_set *set, tl_component_kind kind,
                            size_t begin, size_t end)
{
    size_t per_pos, count = 0;
    const uint8_t *in = members(set, kind, &per_pos);
    for (size_t l = 0; l < set->n_layers; l++)
        for (size_t i = (l * set->n_pos + begin) * per_pos;
             i < (l * set->n_pos + end) * per_pos; i++)
            count += in[i];
    return count;
}

size_t tl_set_count_unique(const tl_component_set *set, tl_component_kind kind,
                           size_t begin, size_t end)
{
    size_t per_pos, count = 0;
    const uint8_t *in = members(set, kind, &per_pos);
    for (size_t l = 0; l < set->n_layers; l++)
        for (size_t i = 0; i < per_pos; i++) {
            uint8_t any = 0;
            for (size_t t = begin; t < end; t++)
                any |= in[(l * set->n_pos + t) * per_pos + i];
            count += any;
        }
    return count;
}

void tl_set_draw(tl_component_set *set, tl_component_kind kind, size_t begin,
                 size_t end, size_t count, tl_random *random)
{
    size_t per_pos;
    uint8_t *in = members(set, kind, &per_pos);
    size_t left = set->n_layers * (end - begin) * per_pos, wanted = count;
    for (size_t l = 0; l < set->n_layers && wanted > 0; l++)
        for (size_t i = (l * set->n_pos + begin) * per_pos;
             i < (l * set->n_pos + end) * per_pos && wanted > 0; i++, left--)
            if (tl_random_below(random, left) < wanted) {
                in[i] = 1;
                wanted--;
            }
}
