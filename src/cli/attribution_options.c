/* SPDX-License-Identifier: MIT
 * attribution_options.c - see attribution_options.h. */
#include "cli/attribution_options.h"

#include <stdio.h>

#include "cli/session.h"

const tl_choice tl_ig_path_choices[] = {
    {"full", TL_IG_FULL}, {"textonly", TL_IG_TEXT_ONLY}, {0}};
const tl_choice tl_head_reduce_choices[] = {
    {"absdim", TL_HEAD_ABS_DIM}, {"dot", TL_HEAD_DOT}, {0}};
const tl_choice tl_prompt_reduce_choices[] = {
    {"abs", TL_PROMPT_ABS}, {"signed", TL_PROMPT_SIGNED}, {0}};
const tl_choice tl_grid_choices[] = {
    {"ref", TL_GRID_REF}, {"paper", TL_GRID_PAPER}, {0}};
const tl_choice tl_rounding_choices[] = {
    {"exact", TL_FRACTION_EXACT}, {"f32", TL_FRACTION_F32}, {0}};

tl_attribution_options tl_attribution_flags_resolve(const tl_attribution_flags *f)
{
    return (tl_attribution_options){
        .ig_steps = f->ig_steps,
        .ig_path = (tl_ig_path)f->ig_path,
        .head_reduce = (tl_head_reduce)f->head_reduce,
        .prompt_reduce = (tl_prompt_reduce)f->prompt_reduce,
        .raw_sign = f->raw_sign,
    };
}

tl_status tl_grid_fractions(tl_grid grid, tl_arena *arena,
                            const char *const **fractions, size_t *count, tl_error *err)
{
    enum { MOST = 104, TEXT = 16 };
    static const char *const coarse[] = {"0.3", "0.5", "0.7", "0.9"};
    const char **list = tl_arena_alloc(arena, MOST, sizeof *list);
    char(*texts)[TEXT] = tl_arena_alloc(arena, MOST, sizeof *texts);
    if (list == NULL || texts == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a grid of fractions");
    size_t n = 0;
    if (grid == TL_GRID_REF)
        list[n++] = "0";
    list[n++] = "0.001";
    list[n++] = "0.005";
    const int last = grid == TL_GRID_REF ? 20 : 100;
    for (int percent = 1; percent <= last; percent++, n++) {
        snprintf(texts[n], TEXT, "%d.%02d", percent / 100, percent % 100);
        list[n] = texts[n];
    }
    for (size_t i = 0; grid == TL_GRID_REF && i < sizeof coarse / sizeof coarse[0]; i++)
        list[n++] = coarse[i];
    *fractions = list;
    *count = n;
    return TL_OK;
}
