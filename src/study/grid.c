/* SPDX-License-Identifier: MIT
 * grid.c - see grid.h. */
#include "study/grid.h"

#include <stdio.h>

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
