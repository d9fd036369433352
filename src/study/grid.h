/* SPDX-License-Identifier: MIT
 * grid.h - the sizes of circuits on a faithfulness curve, as fractions that are kept as
 * they were written. */
#ifndef TWINLENS_STUDY_GRID_H
#define TWINLENS_STUDY_GRID_H

#include <stddef.h>

#include "twinlens/arena.h"
#include "twinlens/status.h"

/* "ref", the published program's 27, or "paper", 0.001, 0.005, 0.01 .. 1.00. */
typedef enum tl_grid { TL_GRID_REF, TL_GRID_PAPER } tl_grid;

tl_status tl_grid_fractions(tl_grid grid, tl_arena *arena,
                            const char *const **fractions, size_t *count,
                            tl_error *err);

#endif
