/* SPDX-License-Identifier: MIT
 * cells.c - see cells.h. */
#include "study/cells.h"

#include "twinlens/log.h"

static const size_t windows[] = {5, 3, 1};
const tl_layer_list tl_cell_windows = {windows, sizeof windows / sizeof *windows};

/* Layers first ... end - 1, unless others are named. */
static tl_status choose_layers(const tl_layer_list *named, size_t first, size_t end,
                               tl_arena *arena, tl_layer_list *out, tl_error *err)
{
    if (named->layers != NULL) {
        *out = *named;
        return TL_OK;
    }
    size_t *layers = tl_arena_alloc(arena, end, sizeof *layers), n = 0;
    if (layers == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the layers");
    for (size_t l = first; l < end; l++)
        layers[n++] = l;
    *out = (tl_layer_list){layers, n};
    return TL_OK;
}

tl_status tl_cells_make(const tl_cell_options *o, size_t n_layers, tl_arena *arena,
                        tl_backpatch_cell **cells, size_t *count, tl_error *err)
{
    const size_t half = n_layers / 2;
    const bool paper = o->grid == TL_BP_PAPER,
               named = o->sources.layers != NULL && o->destinations.layers != NULL;
    tl_layer_list sources = {0}, destinations = {0};
    tl_status status = choose_layers(&o->sources, paper ? half + 1 : 0, n_layers, arena,
                                     &sources, err);
    if (status == TL_OK)
        status = choose_layers(&o->destinations, 0, paper ? half + 1 : n_layers, arena,
                               &destinations, err);
    if (status != TL_OK)
        return status;
    tl_backpatch_cell *list = tl_arena_alloc(
        arena, sources.n * destinations.n * o->windows.n + 1, sizeof *list);
    if (list == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the cells");
    size_t n = 0;
    for (size_t w = 0; w < o->windows.n; w++)
        for (size_t i = 0; i < sources.n; i++)
            for (size_t k = 0; k < destinations.n; k++) {
                const tl_backpatch_cell cell = {
                    sources.layers[i], destinations.layers[k], o->windows.layers[w],
                    o->times, o->restore};
                if (!named && cell.destination >= cell.source)
                    continue;
                status = tl_backpatch_check(&cell, n_layers, err);
                if (status != TL_OK)
                    return status;
                list[n++] = cell;
            }
    *cells = list;
    *count = n;
    return TL_OK;
}

tl_status tl_cells_plan(const tl_backpatch_cell *cells, size_t n, size_t n_layers,
                        size_t n_prompts, bool with_control, tl_arena *arena,
                        tl_cell_plan *out, tl_error *err)
{
    size_t *costs = tl_arena_alloc(arena, n, sizeof *costs);
    if (costs == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu cells", n);
    for (size_t i = 0; i < n; i++)
        costs[i] = cells[i].times * tl_backpatch_layers(&cells[i], n_layers);
    tl_cell_plan_make(costs, n, n_layers, n_prompts, with_control, out);
    return TL_OK;
}

void tl_cells_log(const tl_cell_plan *plan)
{
    if (plan->n_rounds == 0)
        tl_log(
            TL_LOG_WARNING,
            "--bp-search halving changes nothing: %zu cell%s and %zu prompt%s are too "
            "few to search, all run on all",
            plan->n_cells, plan->n_cells == 1 ? "" : "s", plan->n_prompts,
            plan->n_prompts == 1 ? "" : "s");
}
