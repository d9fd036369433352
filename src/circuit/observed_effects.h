/* SPDX-License-Identifier: MIT
 *
 * observed_effects.h - exact effects of components of several prompts, what several ways of
 * attributing said of them, and how far the two agree (docs/math.md eq. 16, 17).
 */
#ifndef TWINLENS_CIRCUIT_OBSERVED_EFFECTS_H
#define TWINLENS_CIRCUIT_OBSERVED_EFFECTS_H

#include "twinlens/statistics.h"
#include "twinlens/validate.h"

enum { TL_OBSERVED_WAYS = 17 }; /* at most */

/* One component of one prompt: what it does, and what it was said to do. */
typedef struct tl_observed_effect {
    size_t prompt;
    tl_component component;
    double exact, attributed[TL_OBSERVED_WAYS];
} tl_observed_effect;

/* Heads, and as many neurons, of a prompt, that a study and `validate` look at. */
enum { TL_OBSERVED_COMPONENTS = 24 };

/* The first five are the caller's. */
typedef struct tl_observed_effects {
    uint64_t seed;        /* of the draw of components */
    const size_t *places; /* of the prompts among all; each has a draw of its own */
    tl_attribution_options ways[TL_OBSERVED_WAYS];
    size_t n_ways, n_prompts;
    tl_observed_effect *all; /* [n], prompt by prompt */
    size_t n;
    /* What the ways make of the input, [n_prompts, n_ways]; and LD(e) - LD(e'). */
    double *attributed, *difference;
} tl_observed_effects;

/* n_components of each kind of each pair are patched; what is observed is in the arena. */
tl_status tl_observe_effects(tl_model *model, size_t memory, const tl_pair *pairs,
                             size_t n_components, tl_arena *arena,
                             tl_observed_effects *out, tl_error *err);

/* Of a kind, a way, and a layer; -1: of all layers. One alone has too few components for an
 * interval. */
tl_status tl_observed_correlate(const tl_observed_effects *r, tl_component_kind kind,
                                int layer, size_t way, tl_arena *arena,
                                tl_correlation *out, tl_error *err);

/* Mean of the gap of completeness over the prompts that have one. */
tl_status tl_observed_gap(const tl_observed_effects *r, size_t way, tl_arena *arena,
                          tl_interval *out, tl_error *err);

#endif
