/* SPDX-License-Identifier: MIT
 * draw_pairs.h - some pairs of many at random, in which all answers get their turn. */
#ifndef TWINLENS_STUDY_DRAW_PAIRS_H
#define TWINLENS_STUDY_DRAW_PAIRS_H

#include <stddef.h>
#include <stdint.h>

#include "twinlens/status.h"

/*
 * *n_drawn of the n pairs with these answers, at most `wanted`, and of each answer at most
 * `most_each` (0: any number). Every round takes one pair of each answer that is left, in
 * random order; so no answer is there twice before all are there once. chosen[] receives
 * their numbers, ascending.
 */
tl_status tl_draw_pairs(const int32_t *answers, size_t n, size_t wanted,
                        size_t most_each, uint64_t seed, size_t *chosen,
                        size_t *n_drawn, tl_error *err);

#endif
