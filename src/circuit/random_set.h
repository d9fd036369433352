/* SPDX-License-Identifier: MIT
 *
 * random_set.h - random sets of components of a given make-up.
 */
#ifndef TWINLENS_CIRCUIT_RANDOM_SET_H
#define TWINLENS_CIRCUIT_RANDOM_SET_H

#include "base/random.h"
#include "twinlens/overlap.h"

/* How many components of a kind there are at positions [begin, end); and how many
 * (layer, head or neuron) when positions are dropped. */
size_t tl_set_count_between(const tl_component_set *set, tl_component_kind kind,
                            size_t begin, size_t end);
size_t tl_set_count_unique(const tl_component_set *set, tl_component_kind kind,
                           size_t begin, size_t end);

/* Adds `count` different components of a kind at positions [begin, end), all choices
 * equally likely; all of them when there are no more than that. */
void tl_set_draw(tl_component_set *set, tl_component_kind kind, size_t begin,
                 size_t end, size_t count, tl_random *random);

#endif
