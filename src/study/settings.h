/* SPDX-License-Identifier: MIT
 * settings.h - what becomes of the settings of twinlens/study.h inside the library. */
#ifndef TWINLENS_STUDY_SETTINGS_H
#define TWINLENS_STUDY_SETTINGS_H

#include "twinlens/circuit.h"
#include "twinlens/study.h"

/*
 * A copy of what a caller gave, checked, with the backend named and the defaults of what
 * the caller's version did not have yet. TL_ERR_ARGUMENT when it was not initialised, when a number is out of
 * range or an int is not one of its enum.
 */
tl_status tl_settings_take(const tl_settings *given, tl_settings *out, tl_error *err);

/* Bytes for converted weights when there are `all`; 0: nobody knows how many. */
size_t tl_settings_cache_bytes(const tl_settings *settings, size_t all);

/* How scores are made, within a memory budget. */
tl_attribution_options tl_settings_attribution(const tl_settings *settings,
                                               size_t memory_budget);

/* Sizes of circuits, as written and as numbers [n]. */
typedef struct tl_sizes {
    const char *const *texts;
    const tl_fraction *fractions;
    size_t n;
} tl_sizes;

/* Of the settings: `fractions` if there are any, else those of the grid; in `arena`.
 * TL_ERR_ARGUMENT when one of them is no fraction, or, with `ascending`, not larger than
 * the one before. */
tl_status tl_settings_sizes(const tl_settings *settings, bool ascending,
                            tl_arena *arena, tl_sizes *out, tl_error *err);

#endif
