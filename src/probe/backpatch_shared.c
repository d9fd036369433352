/* SPDX-License-Identifier: MIT
 *
 * backpatch_shared.c - cells that are patched once (backpatch_private.h).
 *
 * Positions of the data do not see what comes behind them. So above the last layer that a
 * cell writes to, `last`, their states follow from what was written there alone: cells that
 * wrote the same state to the same layer have them in common, whatever their windows. Up to
 * that layer all that the others see of them are keys and values of what was written.
 *
 * A lane holds keys and values of the prefix and the data, for cells with one distance of
 * source and destination. It goes upwards: with `last` at layer t, layers up to t + 1 have
 * the keys and values of the states that were written below them, and a run of the
 * positions up to the end of the data fills the layers above. Each cell that ends there is
 * then a run of the positions behind the data, and the lane is its prefix.
 */
#include "probe/backpatch_private.h"

#include "twinlens/alloc.h"

typedef struct lane {
    size_t distance; /* n_layers + source - destination */
    tl_prefix keys;  /* of the positions up to the end of the data */
    bool *is_known;  /* [n_layers]: has the keys of what is written below the layer */
} lane;

typedef struct lanes {
    tl_backpatcher *b;
    const tl_patch_prompt *p;
    tl_input data; /* the prompt up to the end of the data */
    const tl_backpatch_cell *cells;
    size_t n_cells;
    lane *all; /* [n], those that go up together */
    size_t n;
    size_t per_pass;         /* cells of a pass */
    tl_pass_prompt *prompts; /* [n] or [per_pass] */
    tl_patch_run *runs;      /* [per_pass] */
} lanes;

static size_t n_layers_of(const lanes *x)
{
    return x->b->on.d->n_layers;
}

/* A cell that is run in this lane; false if it is of another. */
static bool find_run(const lanes *x, const lane *of, size_t i, tl_patch_run *r)
{
    const tl_backpatch_cell *c = &x->cells[i];
    *r = (tl_patch_run){.cell = c, .index = i};
    if (!tl_patch_shares(c) ||
        n_layers_of(x) + c->source - c->destination != of->distance)
        return false;
    tl_patch_find_layers(r, n_layers_of(x));
    return r->first + 1 < n_layers_of(x);
}

/* The lowest layer that cells of a lane write to, whose last one is `last`; none: false. */
static bool lowest_first(const lanes *x, const lane *of, size_t last, size_t *first)
{
    bool any = false;
    tl_patch_run r;
    for (size_t i = 0; i < x->n_cells; i++)
        if (find_run(x, of, i, &r) && r.last == last && (!any || r.first < *first)) {
            *first = r.first;
            any = true;
        }
    return any;
}

/* ---- passes ------------------------------------------------------------------------ */

/* The positions up to the end of the data, with what a lane writes below `layer`. */
static void add_data_run(lanes *x, lane *of, size_t layer, size_t n)
{
    const tl_patch_prompt *p = x->p;
    const size_t source = layer - 1 + of->distance - n_layers_of(x);
    x->prompts[n] = (tl_pass_prompt){.input = x->data,
                                     .resid_pre = tl_patch_resid(x->b, p, source, 0),
                                     .prefix = p->begin > 0 ? &p->prefix : NULL,
                                     .collect = &of->keys};
    of->is_known[layer] = true;
}

/* Runs of data from a layer on, of that layer's keys alone or of all above it. */
static tl_status run_data(lanes *x, size_t layer, bool keys_only, size_t n,
                          tl_error *err)
{
    const tl_pass_options options = {.last_only = true,
                                     .first_layer = layer,
                                     .memory_budget = x->b->pass_budget,
                                     .keys_only = keys_only};
    return tl_pass_forward(x->b->on.pass, x->prompts, n, &options, err);
}

/* Keys of the layers up to `last` that no lane's run has left there. */
static tl_status find_keys(lanes *x, size_t last, tl_error *err)
{
    tl_status status = TL_OK;
    for (size_t layer = 1; layer <= last && status == TL_OK; layer++) {
        size_t n = 0;
        for (size_t i = 0; i < x->n; i++) {
            size_t first = 0;
            lane *of = &x->all[i];
            if (lowest_first(x, of, last, &first) && layer > first &&
                !of->is_known[layer])
                add_data_run(x, of, layer, n++);
        }
        if (n > 0)
            status = run_data(x, layer, true, n, err);
    }
    return status;
}

/* What is behind layer `last`, of the lanes with cells that end there. */
static tl_status find_layers_behind(lanes *x, size_t last, tl_error *err)
{
    const size_t layer = last + 1;
    const bool keys_only = layer + 1 == n_layers_of(x);
    size_t n = 0, first = 0;
    for (size_t i = 0; i < x->n && layer < n_layers_of(x); i++)
        if (lowest_first(x, &x->all[i], last, &first))
            add_data_run(x, &x->all[i], layer, n++);
    return n > 0 ? run_data(x, layer, keys_only, n, err) : TL_OK;
}

/* Cells that begin behind one layer. */
static tl_status run_cells(lanes *x, size_t n, tl_error *err)
{
    tl_backpatcher *b = x->b;
    const tl_patch_prompt *p = x->p;
    const tl_pass_options options = {.last_only = true,
                                     .first_layer = x->runs[0].first + 1,
                                     .memory_budget = b->pass_budget};
    tl_status status = tl_pass_forward(b->on.pass, x->prompts, n, &options, err);
    for (size_t i = 0; i < n && status == TL_OK; i++)
        status = tl_pass_logits_of(b->on.pass, i, p->ids, p->n_ids,
                                   tl_patch_logits(p, &x->runs[i], 0), err);
    return status;
}

static tl_status run_behind(lanes *x, size_t first, size_t last, tl_error *err)
{
    size_t n = 0;
    tl_status status = TL_OK;
    for (size_t i = 0; i < x->n && status == TL_OK; i++) {
        const lane *of = &x->all[i];
        for (size_t c = 0; c < x->n_cells && status == TL_OK; c++) {
            if (find_run(x, of, c, &x->runs[n]) && x->runs[n].first == first &&
                x->runs[n].last == last)
                x->prompts[n++] =
                    (tl_pass_prompt){.input = *x->p->input,
                                     .resid_pre = tl_patch_resid(x->b, x->p, first, 0),
                                     .prefix = &of->keys};
            if (n == x->per_pass) {
                status = run_cells(x, n, err);
                n = 0;
            }
        }
    }
    return status == TL_OK && n > 0 ? run_cells(x, n, err) : status;
}

static tl_status run_lanes(lanes *x, tl_error *err)
{
    tl_status status = TL_OK;
    for (size_t last = 0; last < n_layers_of(x) && status == TL_OK; last++) {
        status = find_keys(x, last, err);
        if (status == TL_OK)
            status = find_layers_behind(x, last, err);
        for (size_t first = 0; first <= last && status == TL_OK; first++)
            status = run_behind(x, first, last, err);
    }
    return status;
}

/* ---- lanes -------------------------------------------------------------------------- */

/* The distances of the cells, [2 n_layers]; how many there are. */
static size_t find_distances(const tl_backpatcher *b, const tl_backpatch_cell *cells,
                             size_t n_cells, size_t *distances)
{
    const size_t L = b->on.d->n_layers;
    size_t n = 0;
    for (size_t distance = 1; distance < 2 * L; distance++) {
        bool any = false;
        for (size_t i = 0; i < n_cells && !any; i++)
            any = tl_patch_shares(&cells[i]) &&
                  L + cells[i].source - cells[i].destination == distance;
        if (any)
            distances[n++] = distance;
    }
    return n;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Rotary positions, and what an image adds behind layers, are not a prompt's front in its
 * front. */
enum { AXES = 3 };

static size_t cut_bytes(const tl_backpatcher *b, const tl_patch_prompt *p)
{
    return (p->begin + p->n_data) *
           (AXES * sizeof(int32_t) +
            p->input->n_deep * b->on.d->d_model * sizeof(float));
}

/* Makes `data`; `memory` is of cut_bytes(). */
static void cut_input(lanes *x, void *memory)
{
    const tl_input *whole = x->p->input;
    const size_t end = x->p->begin + x->p->n_data, d_model = x->b->on.d->d_model;
    float *deep = memory;
    int32_t *positions = (int32_t *)memory + whole->n_deep * end * d_model;
    for (size_t k = 0; k < whole->n_deep; k++)
        for (size_t i = 0; i < end * d_model; i++)
            deep[k * end * d_model + i] = whole->deep[k * whole->n_pos * d_model + i];
    for (size_t axis = 0; axis < AXES; axis++)
        for (size_t t = 0; t < end; t++)
            positions[axis * end + t] = whole->positions[axis * whole->n_pos + t];
    x->data = *whole;
    x->data.n_pos = end;
    x->data.positions = positions;
    x->data.deep = whole->n_deep > 0 ? deep : NULL;
}

/* The passes of one lane: of its data, and of a cell behind it. */
typedef struct lane_passes {
    tl_batch_prompt data, cell;
} lane_passes;

static lane_passes passes_of(const tl_backpatcher *b, const tl_patch_prompt *p)
{
    const size_t n_pos = p->input->n_pos, end = p->begin + p->n_data,
                 table = sizeof(tl_pass_prompt) + sizeof(tl_patch_run);
    return (lane_passes){
        .data = {.n_pos = end,
                 .n_prefix = p->begin,
                 .table_bytes = table + sizeof(lane) + b->on.d->n_layers,
                 .buffer_bytes = 2 * tl_prefix_count(b->on.d, end) * sizeof(float)},
        .cell = {.n_pos = n_pos, .n_prefix = end, .table_bytes = table}};
}

/* Of one prompt: the larger of the two passes. */
static tl_status larger_pass(const tl_model *model, const lane_passes *of, size_t *out,
                             tl_error *err)
{
    const tl_pass_options plain = {.last_only = true};
    size_t data = 0, cell = 0;
    tl_status status = tl_pass_bytes(model, &of->data.n_pos, &of->data.n_prefix, 1,
                                     &plain, &data, err);
    if (status == TL_OK)
        status = tl_pass_bytes(model, &of->cell.n_pos, &of->cell.n_prefix, 1, &plain,
                               &cell, err);
    *out = larger(data, cell);
    return status;
}

/* How many lanes go up together, and how many cells make a pass; `one` is of a pass of one
 * prompt, for which the lanes leave room. */
static tl_status find_sizes(lanes *x, const lane_passes *of, size_t room, size_t one,
                            size_t n_distances, tl_error *err)
{
    const tl_model *model = x->b->on.model;
    const tl_pass_options plain = {.last_only = true};
    tl_status status = tl_experiment_batch(model, &plain, &of->data, room, &x->n, err);
    x->n = x->n < n_distances ? x->n : n_distances;
    while (room > 0 && x->n > 1 && x->n * of->data.buffer_bytes + one > room)
        x->n--;
    const size_t held = x->n * of->data.buffer_bytes;
    return status == TL_OK
               ? tl_experiment_batch(model, &plain, &of->cell,
                                     room > 0 ? room - held : 0, &x->per_pass, err)
               : status;
}

static tl_status make_lanes(lanes *x, size_t keys_count, tl_error *err)
{
    tl_backpatcher *b = x->b;
    const size_t L = n_layers_of(x), most = larger(x->n, x->per_pass);
    x->all = tl_arena_alloc_zero(b->on.arena, x->n, sizeof *x->all);
    x->prompts = tl_arena_alloc(b->on.arena, most, sizeof *x->prompts);
    x->runs = tl_arena_alloc(b->on.arena, x->per_pass, sizeof *x->runs);
    bool *known = tl_arena_alloc(b->on.arena, x->n * L, sizeof *known);
    if (x->all == NULL || x->prompts == NULL || x->runs == NULL || known == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu lanes", x->n);
    const tl_status status = tl_experiment_reset(
        &b->on, &b->states, 2 * x->n * keys_count,
        b->clean.capacity + cut_bytes(b, x->p), &b->pass_budget, err);
    if (status != TL_OK)
        return tl_fail_while(err, status, "keys and values of the data");
    for (size_t i = 0; i < x->n; i++)
        x->all[i] =
            (lane){.keys = {.n_pos = x->p->begin + x->p->n_data,
                            .k = tl_array_f32(&b->states, 2 * i * keys_count),
                            .v = tl_array_f32(&b->states, (2 * i + 1) * keys_count)},
                   .is_known = known + i * L};
    return TL_OK;
}

/* Lanes of these distances, as many at a time as there are. */
static tl_status run_distances(lanes *x, const size_t *distances, size_t n,
                               tl_error *err)
{
    const size_t together = x->n;
    tl_status status = TL_OK;
    for (size_t done = 0; done < n && status == TL_OK; done += x->n) {
        x->n = n - done < together ? n - done : together;
        for (size_t i = 0; i < x->n; i++) {
            x->all[i].distance = distances[done + i];
            for (size_t l = 0; l < n_layers_of(x); l++)
                x->all[i].is_known[l] = false;
        }
        status = run_lanes(x, err);
    }
    return status;
}

tl_status tl_patch_shared(tl_backpatcher *b, const tl_patch_prompt *p,
                          const tl_backpatch_cell *cells, size_t n_cells, bool *done,
                          tl_error *err)
{
    lanes x = {.b = b, .p = p, .cells = cells, .n_cells = n_cells};
    const size_t end = p->begin + p->n_data;
    const lane_passes of = passes_of(b, p);
    size_t *distances =
        tl_arena_alloc(b->on.arena, 2 * n_layers_of(&x), sizeof *distances);
    if (distances == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for lanes");
    const size_t n = find_distances(b, cells, n_cells, distances);
    size_t room = 0, one = 0;
    tl_status status =
        tl_experiment_room(&b->on, b->clean.capacity + cut_bytes(b, p), &room, err);
    if (status == TL_OK)
        status = larger_pass(b->on.model, &of, &one, err);
    const bool has_room = room == 0 || of.data.buffer_bytes + one <= room;
    if (status != TL_OK || !has_room || n == 0)
        return status;
    void *cut = tl_alloc(cut_bytes(b, p), 1);
    if (cut == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu positions", end);
    cut_input(&x, cut);
    status = find_sizes(&x, &of, room, one, n, err);
    if (status == TL_OK)
        status = make_lanes(&x, tl_prefix_count(b->on.d, end), err);
    if (status == TL_OK)
        status = run_distances(&x, distances, n, err);
    tl_free(cut);
    tl_array_release(&b->states); /* others need it in their own shape */
    *done = status == TL_OK;
    return status;
}
