/* SPDX-License-Identifier: MIT
 * lanes.h - passes over many variants of one prompt: the part they share, and how many
 * run together. */
#ifndef TWINLENS_MODEL_LANES_H
#define TWINLENS_MODEL_LANES_H

#include "twinlens/pass.h"

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
