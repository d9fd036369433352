/* SPDX-License-Identifier: MIT
 *
 * validate_sample.h - components of a pair to look at, from which those to patch are drawn
 * (tl_validate_draw() in include/twinlens/validate.h).
 *
 * A score of every component is much to keep for every way to attribute. So some are
 * drawn first, all as likely, of which scores by all ways are kept: the largest among them
 * stand for the largest of all.
 */
#ifndef TWINLENS_CIRCUIT_VALIDATE_SAMPLE_H
#define TWINLENS_CIRCUIT_VALIDATE_SAMPLE_H

#include "twinlens/validate.h"

/* Where components can have an effect: from the first difference of the two prompts on. */
typedef struct tl_screen_span {
    size_t n_layers, n_pos, n_prefix;
    size_t per_pos[TL_KIND_COUNT];
} tl_screen_span;

/* How many are looked at to draw n of a kind: fewer than n where there are no more. */
size_t tl_screen_count(const tl_screen_span *span, tl_component_kind kind, size_t n);

/* Different ones, in order; n at most as many as there are. */
void tl_screen(const tl_screen_span *span, tl_component_kind kind, size_t n,
               uint64_t seed, tl_component *out);

#endif
