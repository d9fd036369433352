/* SPDX-License-Identifier: MIT
 * backpatch_work.c - see backpatch_work.h. */
#include "probe/backpatch_work.h"

#include <math.h>

#include "model/model_parts.h"
#include "probe/backpatch_private.h"
#include "twinlens/alloc.h"

/* By the layer that a run begins with. */
typedef struct run_costs {
    double *again,
        *cell; /* [n_layers]: of a cell, with all rows of the last layer or one */
    double *shared_cell,
        *data;   /* of the positions behind the data, and up to its end */
    double keys; /* of a layer, up to the end of the data */
} run_costs;

typedef struct work {
    const tl_model *model;
    const tl_span *span;
    size_t n_layers, n_prefix;
    bool shares; /* the data do not see what is behind them */
    const tl_backpatch_cell *cells;
    size_t n_cells;
    double share;
    run_costs costs;
} work;

static tl_status cost_of(const work *w, size_t layer, size_t n_pos, size_t n_prefix,
                         bool last_only, bool keys_only, double *out, tl_error *err)
{
    const tl_pass_options options = {
        .last_only = last_only, .first_layer = layer, .keys_only = keys_only};
    uint64_t flops = 0;
    const tl_status status =
        tl_pass_flops(w->model, &n_pos, &n_prefix, 1, &options, &flops, err);
    *out = (double)flops;
    return status;
}

static tl_status find_costs(work *w, double *table, tl_error *err)
{
    const size_t L = w->n_layers, n_pos = w->span->n_pos, end = w->span->data_end;
    run_costs *c = &w->costs;
    *c = (run_costs){table, table + L, table + 2 * L, table + 3 * L, 0.0};
    tl_status status = TL_OK;
    for (size_t l = 1; l < L && status == TL_OK; l++) {
        status = cost_of(w, l, n_pos, w->n_prefix, false, false, &c->again[l], err);
        if (status == TL_OK)
            status = cost_of(w, l, n_pos, w->n_prefix, true, false, &c->cell[l], err);
        if (status == TL_OK)
            status = cost_of(w, l, n_pos, end, true, false, &c->shared_cell[l], err);
        /* Of the last layer keys alone are wanted. */
        if (status == TL_OK)
            status =
                cost_of(w, l, end, w->n_prefix, true, l + 1 == L, &c->data[l], err);
        if (status == TL_OK)
            status = cost_of(w, l, end, w->n_prefix, true, true, &c->keys, err);
    }
    return status;
}

/* That of n cells at least one is run. */
static double any_of(const work *w, size_t n)
{
    return 1.0 - pow(1.0 - w->share, (double)n);
}

/* What cells of one distance share: runs of the data, and keys of the layers that they
 * write to where no run of a lower one has left them. */
static double lane_work(const work *w, size_t distance, size_t *ending, size_t *inside)
{
    double sum = 0.0;
    for (size_t l = 0; l < w->n_layers; l++)
        ending[l] = inside[l] = 0;
    for (size_t i = 0; i < w->n_cells; i++) {
        const tl_backpatch_cell *c = &w->cells[i];
        tl_patch_run r = {.cell = c};
        if (!tl_patch_shares(c) || w->n_layers + c->source - c->destination != distance)
            continue;
        tl_patch_find_layers(&r, w->n_layers);
        if (r.first + 1 == w->n_layers)
            continue;
        ending[r.last]++;
        for (size_t l = r.first + 1; l <= r.last; l++)
            inside[l]++;
    }
    for (size_t l = 1; l < w->n_layers; l++)
        sum += any_of(w, ending[l - 1]) * w->costs.data[l] +
               any_of(w, inside[l]) * (1.0 - any_of(w, ending[l - 1])) * w->costs.keys;
    return sum;
}

static double cell_work(const work *w, const tl_backpatch_cell *cell)
{
    tl_patch_run r = {.cell = cell};
    tl_patch_find_layers(&r, w->n_layers);
    const size_t layer = r.first + 1;
    if (layer == w->n_layers)
        return 0.0;
    if (w->shares && tl_patch_shares(cell))
        return w->share * w->costs.shared_cell[layer];
    return w->share *
           ((double)(cell->times - 1) * w->costs.again[layer] + w->costs.cell[layer]);
}

tl_status tl_backpatch_flops(const tl_model *model, const tl_span *span,
                             const tl_backpatch_cell *cells, size_t n_cells,
                             double share, double *out, tl_error *err)
{
    const bool both_ways = tl_model_spec(model)->bidirectional;
    work w = {.model = model,
              .span = span,
              .n_layers = tl_model_dims(model)->n_layers,
              .n_prefix = both_ways ? 0 : span->data_begin,
              .shares = !both_ways,
              .cells = cells,
              .n_cells = n_cells,
              .share = share};
    double *table = tl_alloc_zero(4 * w.n_layers, sizeof *table);
    size_t *counts = tl_alloc_zero(2 * w.n_layers, sizeof *counts);
    tl_status status = table != NULL && counts != NULL
                           ? find_costs(&w, table, err)
                           : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a plan");
    double sum = 0.0;
    for (size_t i = 0; i < n_cells && status == TL_OK; i++)
        sum += cell_work(&w, &cells[i]);
    for (size_t d = 1; d < 2 * w.n_layers && w.shares && status == TL_OK; d++)
        sum += lane_work(&w, d, counts, counts + w.n_layers);
    if (status == TL_OK)
        *out = sum;
    tl_free(counts);
    tl_free(table);
    return status;
}
