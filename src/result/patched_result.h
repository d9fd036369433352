/* SPDX-License-Identifier: MIT
 * patched_result.h - what `backpatch` prints: a row a cell, or JSON with every prompt. */
#ifndef TWINLENS_RESULT_PATCHED_RESULT_H
#define TWINLENS_RESULT_PATCHED_RESULT_H

#include <stdio.h>

#include "study/patched_rows.h"
#include "study/row_pairs.h"

/* Of a search: every cell on the prompts of its rounds, and the cell that is left on those
 * that no round saw. */
void tl_print_patched(const tl_patched_rows *x, FILE *out);

tl_status tl_print_patched_json(const tl_model *model, const tl_patched_rows *x,
                                const size_t pairings[TL_PAIRING_COUNT], FILE *out,
                                tl_error *err);

#endif
