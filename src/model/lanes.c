/* SPDX-License-Identifier: MIT
 * lanes.c - see lanes.h. */
#include "model/lanes.h"

tl_status tl_prefix_take(tl_arena *arena, const tl_dims *dims, size_t n_pos,
                         tl_prefix *out, tl_error *err)
{
    const size_t count = dims->n_layers * n_pos * dims->n_kv_heads * dims->d_head;
    tl_prefix prefix = {.n_pos = n_pos};
    prefix.k = tl_arena_alloc(arena, count, sizeof *prefix.k);
    prefix.v = tl_arena_alloc(arena, count, sizeof *prefix.v);
    if (prefix.k == NULL || prefix.v == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a prefix of %zu positions",
                       n_pos);
    *out = prefix;
    return TL_OK;
}

enum { MIN_ROWS = 512, MAX_ROWS = 2048, SMALL_PASS_BYTES = 96 << 20 };

tl_status tl_lanes_per_pass(const tl_model *model, const tl_pass_options *options,
                            size_t n_rows, size_t *out, tl_error *err)
{
    tl_pass_options unlimited = *options;
    unlimited.memory_budget = 0;
    size_t one = 0;
    const tl_status status =
        tl_pass_bytes(model, &n_rows, NULL, 1, &unlimited, &one, err);
    if (status != TL_OK)
        return status;
    /* The bytes of a pass are very nearly proportional to its rows. */
    size_t lanes = (MIN_ROWS + n_rows - 1) / n_rows;
    const size_t small = SMALL_PASS_BYTES / one, most = MAX_ROWS / n_rows;
    if (lanes < small)
        lanes = small < most ? small : most;
    if (options->memory_budget > 0 && lanes * one > options->memory_budget)
        lanes = options->memory_budget / one;
    *out = lanes > 0 ? lanes : 1;
    return TL_OK;
}
