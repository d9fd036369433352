/* SPDX-License-Identifier: MIT
 * pair.h - shared by attribution and evaluation: what both do with a pair. */
#ifndef TWINLENS_CIRCUIT_PAIR_H
#define TWINLENS_CIRCUIT_PAIR_H

#include "twinlens/circuit.h"
#include "twinlens/pass.h"

/* TL_ERR_DATA unless both prompts have n_pos positions and the answers differ. */
tl_status tl_pair_check(const tl_pair *pair, size_t n_pos, tl_error *err);

/* Memory for keys and values of n_pos positions (may be 0), in `arena`. */
tl_status tl_prefix_take(tl_arena *arena, const tl_dims *dims, size_t n_pos,
                         tl_prefix *out, tl_error *err);

/*
 * How many prompts of n_rows positions make a good pass: enough rows for full
 * speed, more while the pass stays small in bytes (narrow models), not more than
 * the budget of `options` allows (but at least one; the pass then saves memory by
 * itself or says that it cannot).
 */
tl_status tl_lanes_per_pass(const tl_model *model, const tl_pass_options *options,
                            size_t n_rows, size_t *out, tl_error *err);

#endif
