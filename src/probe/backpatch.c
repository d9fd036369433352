/* SPDX-License-Identifier: MIT
 *
 * backpatch.c - late states of the data positions written into earlier layers
 * (include/twinlens/probe.h; docs/math.md eq. 15).
 *
 * The clean run leaves resid_post of all layers, and the keys and values of the
 * positions before the data, which no patch can reach. A patched run differs from it
 * above its lowest destination only: it begins behind that layer, with the clean
 * stream in which the data positions are overwritten. All else are edits of resid_post,
 * and readings of what the next time will write.
 *
 * Cells that are patched once share more than that: backpatch_shared.c.
 */
#include "probe/backpatch_private.h"

#include "twinlens/alloc.h"

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

tl_status tl_backpatcher_create(tl_model *model, size_t memory_budget,
                                tl_backpatcher **out, tl_error *err)
{
    tl_backpatcher *b = tl_alloc_zero(1, sizeof *b);
    const tl_status status =
        b != NULL ? tl_experiment_init(&b->on, model, memory_budget, err)
                  : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for back-patching");
    if (status == TL_OK)
        *out = b;
    else
        tl_free(b);
    return status;
}

void tl_backpatcher_destroy(tl_backpatcher *b)
{
    if (b == NULL)
        return;
    tl_array_release(&b->clean);
    tl_array_release(&b->states);
    tl_experiment_release(&b->on);
    tl_free(b);
}

/* What one cell reads and writes. */
static size_t states_bytes(const tl_dims *d, size_t n_data, size_t window)
{
    const size_t layers = window < d->n_layers ? window : d->n_layers;
    return 2 * layers * n_data * d->d_model * sizeof(float);
}

static size_t most_window(const tl_backpatch_cell *cells, size_t n_cells)
{
    size_t most = 0;
    for (size_t i = 0; i < n_cells; i++)
        most = cells[i].window > most ? cells[i].window : most;
    return most;
}

tl_status tl_backpatcher_bytes(const tl_model *model, size_t n_pos, size_t n_data,
                               size_t window, size_t *out, tl_error *err)
{
    const tl_dims *d = tl_model_dims(model);
    const size_t before = n_data < n_pos ? n_pos - n_data : 0;
    size_t pass = 0;
    const tl_status status = tl_pass_least_bytes(model, n_pos, NULL, &pass, err);
    if (status == TL_OK)
        *out = TL_EXPERIMENT_BYTES +
               (d->n_layers * n_pos * d->d_model + 2 * tl_prefix_count(d, before)) *
                   sizeof(float) +
               states_bytes(d, n_data, window) + pass;
    return status;
}

static tl_status check_budget(const tl_backpatcher *b, size_t n_pos, size_t n_data,
                              size_t window, tl_error *err)
{
    size_t least = 0;
    if (b->on.memory_budget == 0)
        return TL_OK;
    const tl_status status =
        tl_backpatcher_bytes(b->on.model, n_pos, n_data, window, &least, err);
    return status == TL_OK ? tl_budget_check(b->on.memory_budget, least,
                                             "back-patching a prompt", n_pos, err)
                           : status;
}

/* ---- the clean run --------------------------------------------------------------- */

float *tl_patch_resid(const tl_backpatcher *b, const tl_patch_prompt *p, size_t layer,
                      size_t pos)
{
    return p->resid + (layer * p->input->n_pos + pos) * b->on.d->d_model;
}

static tl_status run_clean(tl_backpatcher *b, tl_patch_prompt *p, double *logits,
                           tl_error *err)
{
    const tl_dims *d = b->on.d;
    const size_t count = d->n_layers * p->input->n_pos * d->d_model,
                 prefix_count = tl_prefix_count(d, p->prefix.n_pos);
    tl_array_release(&b->states);
    tl_status status = tl_experiment_reset(&b->on, &b->clean, count + 2 * prefix_count,
                                           0, &b->pass_budget, err);
    if (status != TL_OK)
        return tl_fail_while(err, status, "the clean states");
    p->resid = tl_array_f32(&b->clean, 0);
    p->prefix.k = tl_array_f32(&b->clean, count);
    p->prefix.v = tl_array_f32(&b->clean, count + prefix_count);
    const tl_reading reading = {.at = {.site = TL_SITE_RESID_POST}, .to = p->resid};
    const tl_pass_options options = {
        .readings = &reading, .n_readings = 1, .memory_budget = b->pass_budget};
    const tl_pass_prompt prompt = {.input = *p->input,
                                   .collect = p->prefix.n_pos > 0 ? &p->prefix : NULL};
    status = tl_pass_forward(b->on.pass, &prompt, 1, &options, err);
    return status != TL_OK
               ? status
               : tl_pass_logits_of(b->on.pass, 0, p->ids, p->n_ids, logits, err);
}

/* ---- cells ----------------------------------------------------------------------- */

void tl_patch_find_layers(tl_patch_run *r, size_t n_layers)
{
    const tl_backpatch_cell *c = r->cell;
    const size_t half = c->window / 2,
                 low = c->source < c->destination ? c->source : c->destination,
                 high = c->source > c->destination ? c->source : c->destination;
    const size_t down = half < low ? half : low,
                 up = half < n_layers - 1 - high ? half : n_layers - 1 - high;
    r->first = c->destination - down;
    r->last = c->destination + up;
    r->lowest_source = c->source - down;
}

size_t tl_backpatch_layers(const tl_backpatch_cell *cell, size_t n_layers)
{
    tl_patch_run r = {.cell = cell};
    tl_patch_find_layers(&r, n_layers);
    return n_layers - 1 - r.first;
}

static size_t layer_count(const tl_patch_run *r)
{
    return r->last - r->first + 1;
}

/* Elements of the states of one layer's data positions. */
static size_t data_count(const tl_backpatcher *b, const tl_patch_prompt *p)
{
    return p->n_data * b->on.d->d_model;
}

static void copy_clean(tl_backpatcher *b, const tl_patch_prompt *p, size_t layer,
                       size_t to)
{
    const size_t from = (layer * p->input->n_pos + p->begin) * b->on.d->d_model;
    tl_array_copy(&b->clean, from, data_count(b, p), &b->states, to);
}

/* Gives the runs of a pass their states: those that are read are the clean run's. */
static tl_status begin_runs(tl_backpatcher *b, const tl_patch_prompt *p,
                            tl_patch_run *runs, size_t n, tl_error *err)
{
    const size_t count = data_count(b, p);
    size_t all = 0;
    for (size_t i = 0; i < n; i++) {
        runs[i].read = all;
        runs[i].written = all + layer_count(&runs[i]) * count;
        all += 2 * layer_count(&runs[i]) * count;
    }
    const tl_status status = tl_experiment_reset(
        &b->on, &b->states, all, b->clean.capacity, &b->pass_budget, err);
    if (status != TL_OK)
        return tl_fail_while(err, status, "%zu back-patched runs", n);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < layer_count(&runs[i]); k++)
            copy_clean(b, p, runs[i].lowest_source + k, runs[i].read + k * count);
    return TL_OK;
}

/* Layers at and below the first destination are not run again. What they would leave for
 * the next time is the clean run's, but at the destination itself what was written. */
static void keep_layers_below(tl_backpatcher *b, const tl_patch_prompt *p,
                              const tl_patch_run *r)
{
    const size_t count = data_count(b, p);
    for (size_t k = 0; k < layer_count(r); k++) {
        const size_t source = r->lowest_source + k;
        if (source < r->first)
            copy_clean(b, p, source, r->written + k * count);
        else if (source == r->first)
            tl_array_copy(&b->states, r->read, count, &b->states,
                          r->written + k * count);
    }
}

tl_site_range tl_patch_data(const tl_patch_prompt *p, tl_site site, size_t prompt,
                            size_t layer)
{
    return (tl_site_range){.site = site,
                           .prompt = prompt,
                           .first_layer = layer,
                           .n_layers = 1,
                           .first_pos = p->begin,
                           .n_pos = p->n_data};
}

/* What is written over the data positions of one run; the number of edits. */
static size_t make_edits(const tl_backpatcher *b, const tl_patch_prompt *p,
                         const tl_patch_run *r, size_t prompt, tl_edit *edits)
{
    const size_t count = data_count(b, p), next = r->first + 1;
    size_t n = 0;
    /* Behind layer `first` the run begins. */
    edits[n++] = (tl_edit){.at = tl_patch_data(p, TL_SITE_RESID_PRE, prompt, next),
                           .from = tl_array_f32(&b->states, r->read)};
    for (size_t l = next; l < b->on.d->n_layers; l++) {
        const float *from = NULL;
        if (l <= r->last)
            from = tl_array_f32(&b->states, r->read + (l - r->first) * count);
        else if (r->cell->restore)
            from = tl_patch_resid(b, p, l, p->begin);
        if (from != NULL)
            edits[n++] = (tl_edit){
                .at = tl_patch_data(p, TL_SITE_RESID_POST, prompt, l), .from = from};
    }
    return n;
}

/* What the next time will write; the number of readings, 0 or 1. */
static size_t make_reading(const tl_backpatcher *b, const tl_patch_prompt *p,
                           const tl_patch_run *r, size_t prompt, tl_reading *reading)
{
    const size_t next = r->first + 1, end = r->lowest_source + layer_count(r),
                 first = r->lowest_source > next ? r->lowest_source : next;
    if (first >= end)
        return 0;
    *reading = (tl_reading){
        .at = tl_patch_data(p, TL_SITE_RESID_POST, prompt, first),
        .to = tl_array_f32(&b->states,
                           r->written + (first - r->lowest_source) * data_count(b, p))};
    reading->at.n_layers = end - first;
    return 1;
}

/* Each of the runs once. Data positions of the last layer are of interest only to a next
 * time. */
static tl_status run_once(tl_backpatcher *b, const tl_patch_prompt *p,
                          tl_patch_run *runs, size_t n, bool last_only, tl_error *err)
{
    const size_t most = n * b->on.d->n_layers;
    tl_pass_prompt *prompts = tl_arena_alloc(b->on.arena, n, sizeof *prompts);
    tl_reading *readings = tl_arena_alloc(b->on.arena, n, sizeof *readings);
    tl_edit *edits = tl_arena_alloc(b->on.arena, most, sizeof *edits);
    if (prompts == NULL || readings == NULL || edits == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu cells", n);
    tl_pass_options options = {.readings = readings,
                               .edits = edits,
                               .last_only = last_only,
                               .first_layer = runs[0].first + 1,
                               .memory_budget = b->pass_budget};
    for (size_t i = 0; i < n; i++) {
        keep_layers_below(b, p, &runs[i]);
        prompts[i] =
            (tl_pass_prompt){.input = *p->input,
                             .resid_pre = tl_patch_resid(b, p, runs[i].first, 0),
                             .prefix = p->prefix.n_pos > 0 ? &p->prefix : NULL};
        options.n_edits += make_edits(b, p, &runs[i], i, edits + options.n_edits);
        options.n_readings +=
            make_reading(b, p, &runs[i], i, readings + options.n_readings);
    }
    return tl_pass_forward(b->on.pass, prompts, n, &options, err);
}

/* All runs begin behind the same layer; each is made as often as its cell wants. */
static tl_status run_times(tl_backpatcher *b, const tl_patch_prompt *p,
                           tl_patch_run *runs, size_t n, tl_error *err)
{
    tl_status status = begin_runs(b, p, runs, n, err);
    for (size_t time = 0; status == TL_OK; time++) {
        size_t running = 0; /* those with times left move to the front */
        bool again = false;
        for (size_t i = 0; i < n; i++)
            if (runs[i].cell->times > time) {
                again = again || runs[i].cell->times > time + 1;
                runs[running++] = runs[i];
            }
        if ((n = running) == 0)
            break;
        const tl_arena_mark mark = tl_arena_get_mark(b->on.arena);
        status = run_once(b, p, runs, n, !again, err);
        for (size_t i = 0; i < n && status == TL_OK; i++) {
            status = tl_pass_logits_of(b->on.pass, i, p->ids, p->n_ids,
                                       tl_patch_logits(p, &runs[i], time), err);
            const size_t read = runs[i].read;
            runs[i].read = runs[i].written;
            runs[i].written = read;
        }
        tl_arena_rewind(b->on.arena, mark);
    }
    return status;
}

/* Written to the last layer alone: the last position never sees it. */
static void take_clean(const tl_patch_prompt *p, const tl_patch_run *r)
{
    for (size_t time = 0; time < r->cell->times; time++)
        for (size_t i = 0; i < p->n_ids; i++)
            tl_patch_logits(p, r, time)[i] = p->clean[i];
}

/* Cells that share nothing but the clean run. */
static tl_status run_cells(tl_backpatcher *b, const tl_patch_prompt *p,
                           const tl_backpatch_cell *cells, size_t n_cells,
                           bool all_alone, tl_error *err)
{
    size_t per_pass = 1, room = 0;
    const tl_pass_options plain = {.readings = NULL};
    const tl_batch_prompt one = {
        .n_pos = p->input->n_pos,
        .n_prefix = p->prefix.n_pos,
        .table_bytes = sizeof(tl_patch_run) + sizeof(tl_pass_prompt) +
                       sizeof(tl_reading) + b->on.d->n_layers * sizeof(tl_edit),
        .buffer_bytes = states_bytes(b->on.d, p->n_data, most_window(cells, n_cells))};
    tl_status status = tl_experiment_room(&b->on, b->clean.capacity, &room, err);
    if (status == TL_OK)
        status = tl_experiment_batch(b->on.model, &plain, &one, room, &per_pass, err);
    if (status != TL_OK)
        return status;
    tl_patch_run *runs = tl_arena_alloc(b->on.arena, per_pass, sizeof *runs);
    if (runs == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu cells", per_pass);
    for (size_t first = 0; first < b->on.d->n_layers && status == TL_OK; first++) {
        size_t n = 0;
        for (size_t i = 0; i < n_cells && status == TL_OK; i++) {
            tl_patch_run r = {.cell = &cells[i], .index = i};
            tl_patch_find_layers(&r, b->on.d->n_layers);
            if (r.first == first && first + 1 == b->on.d->n_layers)
                take_clean(p, &r);
            else if (r.first == first && (all_alone || !tl_patch_shares(&cells[i])))
                runs[n++] = r;
            if (n == per_pass || (i + 1 == n_cells && n > 0)) {
                status = run_times(b, p, runs, n, err);
                n = 0;
            }
        }
    }
    return status;
}

/* Whether positions that see each other are on both sides of one. */
static bool is_cut(const tl_input *input, size_t pos)
{
    const int32_t *block = input->block;
    return block != NULL && pos > 0 && block[pos] >= 0 && block[pos] == block[pos - 1];
}

tl_status tl_backpatcher_run(tl_backpatcher *b, const tl_input *input,
                             size_t data_begin, size_t data_end,
                             const tl_backpatch_cell *cells, size_t n_cells,
                             const int32_t *ids, size_t n_ids, double *clean,
                             double *patched, tl_error *err)
{
    tl_status status = TL_OK;
    for (size_t i = 0; i < n_cells && status == TL_OK; i++)
        status = tl_backpatch_check(&cells[i], b->on.d->n_layers, err);
    if (status == TL_OK && (data_begin >= data_end || data_end >= input->n_pos))
        status =
            tl_fail(err, TL_ERR_ARGUMENT,
                    "the data are positions %zu to %zu of %zu, wanted some, and not "
                    "the last",
                    data_begin, data_end, input->n_pos);
    if (status == TL_OK)
        status = check_budget(b, input->n_pos, data_end - data_begin,
                              most_window(cells, n_cells), err);
    if (status != TL_OK)
        return status;
    tl_patch_prompt p = {.input = input,
                         .begin = data_begin,
                         .n_data = data_end - data_begin,
                         .prefix.n_pos = data_begin,
                         .ids = ids,
                         .n_ids = n_ids,
                         .clean = clean,
                         .patched = patched};
    for (size_t i = 0; i < n_cells; i++)
        p.most_times = cells[i].times > p.most_times ? cells[i].times : p.most_times;
    /* An image whose tokens see each other is computed as a whole. */
    while (is_cut(input, p.prefix.n_pos))
        p.prefix.n_pos--;
    const tl_arena_mark mark = tl_arena_get_mark(b->on.arena);
    bool is_shared = false;
    status = run_clean(b, &p, clean, err);
    if (status == TL_OK && p.prefix.n_pos == p.begin && !is_cut(input, data_end))
        status = tl_patch_shared(b, &p, cells, n_cells, &is_shared, err);
    if (status == TL_OK)
        status = run_cells(b, &p, cells, n_cells, !is_shared, err);
    tl_arena_rewind(b->on.arena, mark);
    return status;
}
