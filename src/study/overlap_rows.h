/* SPDX-License-Identifier: MIT
 * overlap_rows.h - how far two circuits are the same parts, beside random ones, as the rows
 * that a study keeps. */
#ifndef TWINLENS_STUDY_OVERLAP_ROWS_H
#define TWINLENS_STUDY_OVERLAP_ROWS_H

#include "study/both_circuits.h"
#include "twinlens/rows.h"

/* Of each part heads, neurons, and both. */
enum { TL_OVERLAP_ROWS = TL_OVERLAP_PARTS * (TL_KIND_COUNT + 1) };

/* By the settings of random circuits and the seed. */
tl_status tl_overlap_rows_measure(const tl_both_circuits *circuits,
                                  const tl_settings *settings,
                                  tl_study_overlap rows[TL_OVERLAP_ROWS],
                                  tl_error *err);

#endif
