/* SPDX-License-Identifier: MIT
 *
 * backpatch.c - late states of the data positions written into earlier layers
 * (include/twinlens/probe.h; docs/math.md eq. 15).
 *
 * The clean run leaves resid_post of all layers, and the keys and values of the
 * positions before the data, which no patch can reach. A patched run differs from it
 * above its lowest destination only: it begins behind that layer, with the clean
 * stream in which the data positions are already overwritten.
 */
#include <string.h>

#include "model/lanes.h"
#include "twinlens/probe.h"

tl_status tl_backpatch_check(const tl_backpatch_cell *c, size_t n_layers, tl_error *err)
{
    if (c->source >= n_layers || c->destination >= n_layers)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "layer %zu into layer %zu: the model has layers 0 to %zu",
                       c->source, c->destination, n_layers - 1);
    if (c->window % 2 == 0)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "a window of %zu layers, wanted an odd one", c->window);
    if (c->times == 0)
        return tl_fail(err, TL_ERR_ARGUMENT, "times is 0, wanted at least 1");
    return TL_OK;
}

/* Layers [*first, *last] are written to; each from `source - destination` above. */
static void destinations(const tl_backpatch_cell *c, size_t n_layers, size_t *first,
                         size_t *last)
{
    const size_t half = c->window / 2,
                 low = c->source < c->destination ? c->source : c->destination,
                 high = c->source > c->destination ? c->source : c->destination;
    const size_t down = half < low ? half : low,
                 up = half < n_layers - 1 - high ? half : n_layers - 1 - high;
    *first = c->destination - down;
    *last = c->destination + up;
}

/* The clean run of a prompt. */
typedef struct clean_run {
    const tl_input *input;
    const tl_dims *d;
    size_t begin, end; /* of the data */
    size_t n_prefix;   /* positions that are not computed again */
    tl_prefix prefix;
    float *resid; /* resid_post, [n_layers, n_pos, d_model] */
} clean_run;

/* One cell under way. */
typedef struct lane {
    const tl_backpatch_cell *cell;
    size_t index, first, last; /* of the cell; destinations */
    /* resid_post of the data positions that are written: of the layers that
     * first ... last are read from, [n, end - begin, d_model]; of the run before, and
     * of this one. */
    float *read, *written;
    float *input; /* [n_pos, d_model], the stream behind layer `first` */
} lane;

static float *row_of(const clean_run *run, size_t layer, size_t pos)
{
    return run->resid + (layer * run->input->n_pos + pos) * run->d->d_model;
}

static tl_status record(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    const clean_run *run = user;
    memcpy(row_of(run, e->layer, e->first_pos), e->values,
           e->n_pos * e->width * sizeof(float));
    return TL_OK;
}

static size_t source_of(const lane *l, size_t destination)
{
    return destination - l->cell->destination +
           l->cell->source; /* may wrap, and back */
}

typedef struct work {
    const clean_run *run;
    lane *lanes; /* of the pass under way */
} work;

/* Writes, then keeps what the next time will write. Layers below the destinations are
 * not run, so that all others that are run are behind them. */
static tl_status patch(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    const work *w = user;
    const clean_run *run = w->run;
    const lane *l = &w->lanes[e->prompt];
    if (e->first_pos > run->begin)
        return TL_OK; /* a last layer that is run for the last position alone */
    const size_t count = (run->end - run->begin) * e->width;
    float *data = e->values + (run->begin - e->first_pos) * e->width;
    if (e->layer >= l->first && e->layer <= l->last)
        memcpy(data, l->read + (e->layer - l->first) * count, count * sizeof *data);
    else if (l->cell->restore)
        memcpy(data, row_of(run, e->layer, run->begin), count * sizeof *data);
    const size_t lowest = source_of(l, l->first), highest = source_of(l, l->last);
    if (e->layer >= lowest && e->layer <= highest)
        memcpy(l->written + (e->layer - lowest) * count, data, count * sizeof *data);
    return TL_OK;
}

static tl_status run_clean(tl_pass *pass, clean_run *run, const int32_t *ids,
                           size_t n_ids, size_t budget, double *logits, tl_error *err)
{
    const tl_tap tap = {
        .on_site = record, .user = run, .sites = TL_SITE_BIT(TL_SITE_RESID_POST)};
    const tl_pass_options options = {
        .taps = &tap, .n_taps = 1, .memory_budget = budget};
    const tl_pass_prompt prompt = {.input = *run->input,
                                   .collect = run->n_prefix > 0 ? &run->prefix : NULL};
    const tl_status status = tl_pass_forward(pass, &prompt, 1, &options, err);
    return status != TL_OK ? status
                           : tl_pass_logits_of(pass, 0, ids, n_ids, logits, err);
}

/* The stream behind a lane's first destination. */
static void begin_lane(const clean_run *run, lane *l)
{
    const size_t width = run->d->d_model, count = (run->end - run->begin) * width;
    memcpy(l->input, row_of(run, l->first, 0),
           run->input->n_pos * width * sizeof(float));
    memcpy(l->input + run->begin * width, l->read, count * sizeof(float));
    /* Layers at and below the first destination are not run again. What they would
     * leave for the next time is the clean run's, but at the destination itself. */
    for (size_t to = l->first; to <= l->last; to++) {
        const size_t from = source_of(l, to);
        float *kept = l->written + (to - l->first) * count;
        if (from < l->first)
            memcpy(kept, row_of(run, from, run->begin), count * sizeof(float));
        else if (from == l->first)
            memcpy(kept, l->read, count * sizeof(float));
    }
}

static tl_status take_lane(const clean_run *run, lane *l, tl_arena *arena,
                           tl_error *err)
{
    const size_t width = run->d->d_model, count = (run->end - run->begin) * width,
                 n = l->last - l->first + 1;
    l->read = tl_arena_alloc(arena, n * count, sizeof(float));
    l->written = tl_arena_alloc(arena, n * count, sizeof(float));
    l->input = tl_arena_alloc(arena, run->input->n_pos * width, sizeof(float));
    if (l->read == NULL || l->written == NULL || l->input == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a back-patched run");
    for (size_t to = l->first; to <= l->last; to++)
        memcpy(l->read + (to - l->first) * count,
               row_of(run, source_of(l, to), run->begin), count * sizeof(float));
    return TL_OK;
}

/* All lanes begin behind the same layer; each is run as often as it wants. */
static tl_status run_lanes(tl_pass *pass, const clean_run *run, lane *lanes, size_t n,
                           size_t most_times, const int32_t *ids, size_t n_ids,
                           size_t budget, tl_arena *arena, double *patched,
                           tl_error *err)
{
    const size_t next = lanes[0].first + 1;
    tl_pass_prompt *prompts = tl_arena_alloc(arena, n, sizeof *prompts);
    if (prompts == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu cells", n);
    for (size_t time = 0; n > 0; time++) {
        size_t running = 0; /* those with times left move to the front */
        bool again = false;
        for (size_t i = 0; i < n; i++)
            if (lanes[i].cell->times > time) {
                again = again || lanes[i].cell->times > time + 1;
                lanes[running++] = lanes[i];
            }
        if ((n = running) == 0)
            break;
        for (size_t i = 0; i < n; i++) {
            begin_lane(run, &lanes[i]);
            prompts[i] =
                (tl_pass_prompt){.input = *run->input,
                                 .prefix = run->n_prefix > 0 ? &run->prefix : NULL};
            prompts[i].input.embeds = lanes[i].input;
        }
        work w = {run, lanes};
        const tl_tap tap = {.on_site = patch,
                            .user = &w,
                            .sites = TL_SITE_BIT(TL_SITE_RESID_POST),
                            .writes = true};
        /* Data positions of the last layer are of interest only to the next time. */
        const tl_pass_options options = {.taps = &tap,
                                         .n_taps = 1,
                                         .last_only = !again,
                                         .first_layer = next,
                                         .memory_budget = budget};
        tl_status status = tl_pass_forward(pass, prompts, n, &options, err);
        for (size_t i = 0; i < n && status == TL_OK; i++) {
            status = tl_pass_logits_of(
                pass, i, ids, n_ids,
                patched + (lanes[i].index * most_times + time) * n_ids, err);
            float *read = lanes[i].read;
            lanes[i].read = lanes[i].written;
            lanes[i].written = read;
        }
        if (status != TL_OK)
            return status;
    }
    return TL_OK;
}

/* Written to the last layer alone: the last position never sees it. */
static void copy_clean(const tl_backpatch_cell *c, size_t index, size_t most_times,
                       const double *clean, size_t n_ids, double *patched)
{
    for (size_t time = 0; time < c->times; time++)
        memcpy(patched + (index * most_times + time) * n_ids, clean,
               n_ids * sizeof *clean);
}

static tl_status run_cells(tl_model *model, tl_pass *pass, const clean_run *run,
                           const tl_backpatch_cell *cells, size_t n_cells,
                           const int32_t *ids, size_t n_ids, size_t budget,
                           tl_arena *arena, const double *clean, double *patched,
                           tl_error *err)
{
    size_t most_times = 0, per_pass = 1;
    for (size_t i = 0; i < n_cells; i++)
        most_times = cells[i].times > most_times ? cells[i].times : most_times;
    const tl_pass_options plain = {.memory_budget = budget};
    tl_status status = tl_lanes_per_pass(
        model, &plain, run->input->n_pos - run->n_prefix, &per_pass, err);
    for (size_t first = 0; first < run->d->n_layers && status == TL_OK; first++) {
        size_t i = 0;
        while (i < n_cells && status == TL_OK) {
            const tl_arena_mark mark = tl_arena_get_mark(arena);
            lane *lanes = tl_arena_alloc(arena, per_pass, sizeof *lanes);
            size_t n = 0;
            if (lanes == NULL)
                status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for cells");
            for (; i < n_cells && n < per_pass && status == TL_OK; i++) {
                lane l = {.cell = &cells[i], .index = i};
                destinations(&cells[i], run->d->n_layers, &l.first, &l.last);
                if (l.first != first)
                    continue;
                if (first + 1 == run->d->n_layers) {
                    copy_clean(&cells[i], i, most_times, clean, n_ids, patched);
                    continue;
                }
                status = take_lane(run, &l, arena, err);
                lanes[n++] = l;
            }
            if (status == TL_OK && n > 0)
                status = run_lanes(pass, run, lanes, n, most_times, ids, n_ids, budget,
                                   arena, patched, err);
            tl_arena_rewind(arena, mark);
        }
    }
    return status;
}

tl_status tl_backpatch(tl_model *model, const tl_input *input, size_t data_begin,
                       size_t data_end, const tl_backpatch_cell *cells, size_t n_cells,
                       const int32_t *ids, size_t n_ids, size_t memory_budget,
                       double *clean, double *patched, tl_error *err)
{
    const tl_dims *d = tl_model_dims(model);
    tl_status status = TL_OK;
    for (size_t i = 0; i < n_cells && status == TL_OK; i++)
        status = tl_backpatch_check(&cells[i], d->n_layers, err);
    if (status == TL_OK && (data_begin >= data_end || data_end >= input->n_pos))
        status =
            tl_fail(err, TL_ERR_ARGUMENT,
                    "the data are positions %zu to %zu of %zu, wanted some, and not "
                    "the last",
                    data_begin, data_end, input->n_pos);
    if (status != TL_OK)
        return status;
    clean_run run = {.input = input, .d = d, .begin = data_begin, .end = data_end};
    run.n_prefix = data_begin;
    /* An image whose tokens see each other is computed as a whole. */
    while (input->block != NULL && run.n_prefix > 0 &&
           input->block[run.n_prefix] >= 0 &&
           input->block[run.n_prefix] == input->block[run.n_prefix - 1])
        run.n_prefix--;
    tl_pass *pass = NULL;
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for back-patching");
    run.resid =
        tl_arena_alloc(arena, d->n_layers * input->n_pos * d->d_model, sizeof(float));
    if (run.resid == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the clean states");
    if (status == TL_OK)
        status = tl_prefix_take(arena, d, run.n_prefix, &run.prefix, err);
    if (status == TL_OK)
        status = tl_pass_create(model, &pass, err);
    if (status == TL_OK)
        status = run_clean(pass, &run, ids, n_ids, memory_budget, clean, err);
    if (status == TL_OK)
        status = run_cells(model, pass, &run, cells, n_cells, ids, n_ids, memory_budget,
                           arena, clean, patched, err);
    tl_pass_destroy(pass);
    tl_arena_destroy(arena);
    return status;
}
