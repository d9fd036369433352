/* SPDX-License-Identifier: MIT
 * batch_size.c - how many prompts make a good pass (include/twinlens/pass.h). */
#include "twinlens/pass.h"

enum { MIN_ROWS = 512, MAX_ROWS = 2048, SMALL_PASS_BYTES = 96 << 20 };

tl_status tl_pass_batch_size(const tl_model *model, const tl_pass_options *options,
                             size_t n_rows, size_t *out, tl_error *err)
{
    static const tl_pass_options defaults = {0};
    if (options == NULL)
        options = &defaults;
    tl_pass_options unlimited = *options;
    unlimited.memory_budget = 0;
    size_t one = 0;
    const tl_status status =
        tl_pass_bytes(model, &n_rows, NULL, 1, &unlimited, &one, err);
    if (status != TL_OK)
        return status;
    /* The bytes of a pass are very nearly proportional to its rows. */
    size_t prompts = (MIN_ROWS + n_rows - 1) / n_rows;
    const size_t small = SMALL_PASS_BYTES / one, most = MAX_ROWS / n_rows;
    if (prompts < small)
        prompts = small < most ? small : most;
    if (options->memory_budget > 0 && prompts * one > options->memory_budget)
        prompts = options->memory_budget / one;
    *out = prompts > 0 ? prompts : 1;
    return TL_OK;
}
