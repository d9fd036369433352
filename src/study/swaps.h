/* SPDX-License-Identifier: MIT
 *
 * swaps.h - the circuits that an interchange runs the prompts of a modality (the host)
 * under: the host's own; with each segment taken from the other modality's circuit; with
 * each segment taken from random components, as many of them.
 */
#ifndef TWINLENS_STUDY_SWAPS_H
#define TWINLENS_STUDY_SWAPS_H

#include "study/both_circuits.h"
#include "twinlens/rows.h"

/* One of those circuits. */
typedef struct tl_swap {
    tl_modality host;
    size_t segment; /* that is swapped; TL_SEGMENT_NONE: nothing is */
    bool is_random;
    size_t draw; /* of the random ones */
    tl_component_set set;
    size_t n_heads, n_neurons; /* in the set */
} tl_swap;

/* How many there are with so many random draws of each segment. */
size_t tl_swap_count(size_t n_draws);

/* The circuit in place `index`, its set in `arena`. Every draw of every segment has a seed
 * of its own, made from the settings' one. */
tl_status tl_swap_make(const tl_both_circuits *both, tl_modality host, size_t index,
                       const tl_settings *settings, tl_arena *arena, tl_swap *out,
                       tl_error *err);

/* What a study keeps of it. */
tl_study_swap tl_swap_row(const tl_swap *swap, size_t index);

#endif
