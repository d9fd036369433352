/* SPDX-License-Identifier: MIT
 * traced_rows.c - see traced_rows.h. */
#include "study/traced_rows.h"

#include <stdio.h>
#include <string.h>

#include "base/word_list.h"
#include "trace/experiment.h"
#include "twinlens/capture.h"
#include "twinlens/log.h"
#include "twinlens/setting.h"
#include "twinlens/version.h"

/* A prompt, and what was kept of its run. */
typedef struct traced_row {
    const char *id;
    int32_t answer, other; /* for gradients */
    tl_encoding encoding;
    tl_input input;
    tl_capture capture;
    float *logits, *patterns;
} traced_row;

/* Tensors of the file so far. */
typedef struct tensor_list {
    tl_named_tensor *items;
    size_t n;
} tensor_list;

tl_status tl_traced_parse(const char *sites, tl_arena *arena, tl_traced *out,
                          tl_error *err)
{
    const char *const *words = NULL;
    size_t n = 0;
    const tl_status status = tl_word_list_split(sites, arena, &words, &n, err);
    if (status != TL_OK)
        return status;
    for (size_t i = 0; i < n; i++) {
        size_t s = 0;
        while (s < TL_SITE_COUNT && strcmp(words[i], tl_site_name((tl_site)s)) != 0)
            s++;
        if (s < TL_SITE_COUNT)
            out->sites |= TL_SITE_BIT(s);
        else if (strcmp(words[i], "logits") == 0)
            out->logits = true;
        else if (strcmp(words[i], "embed") == 0)
            out->embed = true;
        else if (strcmp(words[i], "pattern") == 0)
            out->pattern = true;
        else
            return tl_fail(err, TL_ERR_ARGUMENT,
                           "--sites has '%s', known are embed, resid_pre, pattern, z, "
                           "attn_out, mlp_post, mlp_out, resid_post, logits",
                           words[i]);
    }
    return TL_OK;
}

/* ---- inputs ----------------------------------------------------------------------- */

static tl_named_tensor named_i64(const char *name, const int64_t *data, size_t d0,
                                 size_t d1)
{
    return (tl_named_tensor){
        name,
        {.dtype = TL_I64, .n_dims = d1 > 0 ? 2 : 1, .dims = {d0, d1}, .data = data}};
}

/* Token ids, rotary positions and pixels, as transformers hands them to the model. */
static tl_status add_inputs(tl_arena *arena, const tl_encoding *e,
                            const tl_input *input, tensor_list *list, tl_error *err)
{
    const size_t T = e->n_pos;
    int64_t *ids = tl_arena_alloc(arena, T, sizeof *ids);
    int64_t *positions = tl_arena_alloc(arena, 3 * T, sizeof *positions);
    int64_t *grid = tl_arena_alloc(arena, 3, sizeof *grid);
    if (ids == NULL || positions == NULL || grid == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the inputs");
    for (size_t t = 0; t < T; t++)
        ids[t] = e->ids[t];
    for (size_t i = 0; i < 3 * T; i++)
        positions[i] = input->positions[i];
    list->items[list->n++] = named_i64("input_ids", ids, T, 0);
    list->items[list->n++] = named_i64("position_ids", positions, 3, T);
    if (e->n_images == 0)
        return TL_OK;
    grid[0] = (int64_t)e->pixels.grid_t;
    grid[1] = (int64_t)e->pixels.grid_h;
    grid[2] = (int64_t)e->pixels.grid_w;
    tl_tensor pixels = {
        .dtype = TL_F32, .n_dims = e->pixels.n_dims, .data = e->pixels.values};
    memcpy(pixels.dims, e->pixels.dims, sizeof e->pixels.dims);
    if (e->pixels.grid_t > 0) /* not every family has one */
        list->items[list->n++] = named_i64("image_grid_thw", grid, 1, 3);
    list->items[list->n++] = (tl_named_tensor){"pixel_values", pixels};
    return TL_OK;
}

static size_t pattern_count(const tl_session *s, size_t n_pos)
{
    const tl_dims *d = tl_model_dims(s->model);
    return d->n_layers * d->n_heads * n_pos * n_pos;
}

/* They grow with the square of a prompt's length: what they take is said first. */
static tl_status make_room_for_patterns(tl_session *s, traced_row *row, tl_error *err)
{
    const tl_dims *d = tl_model_dims(s->model);
    const size_t n_pos = row->input.n_pos, count = pattern_count(s, n_pos);
    tl_log(TL_LOG_INFO,
           "patterns of '%s': %zu layers of %zu heads, %zu x %zu: %.1f MiB", row->id,
           d->n_layers, d->n_heads, n_pos, n_pos,
           (double)count * sizeof(float) / (1 << 20));
    const tl_status status = tl_budget_check(s->settings.memory, count * sizeof(float),
                                             "keeping patterns", n_pos, err);
    if (status != TL_OK)
        return status;
    row->patterns = tl_arena_alloc(s->arena, count, sizeof(float));
    return row->patterns != NULL
               ? TL_OK
               : tl_fail(err, TL_ERR_NO_MEMORY,
                         "no memory for the patterns of %zu positions", n_pos);
}

/* What a run needs, and the memory for what it leaves. */
static tl_status open_row(tl_session *s, const char *id, const tl_traced *wanted,
                          traced_row *out, tl_error *err)
{
    const tl_dims *d = tl_model_dims(s->model);
    size_t row = 0;
    out->id = id;
    tl_status status = tl_session_row(s, id, &row, err);
    if (status != TL_OK)
        return status;
    const size_t counterfactual = s->dataset->rows[row].counterfactual;
    if (wanted->gradients && counterfactual == TL_NO_ROW)
        return tl_fail(
            err, TL_ERR_DATA,
            "%s:%zu: --grad needs a counterfactual, and row '%s' has no 'cf'",
            s->dataset->path, s->dataset->rows[row].line, id);
    if (wanted->gradients)
        status = tl_dataset_pair_ids(s->dataset, row, counterfactual, s->processor,
                                     &out->answer, &out->other, err);
    if (status == TL_OK)
        status = tl_session_input(s, row, s->arena, &out->encoding, &out->input, err);
    if (status == TL_OK && wanted->pattern)
        status = make_room_for_patterns(s, out, err);
    if (status == TL_OK)
        status = tl_capture_init(&out->capture, s->model, s->arena, wanted->sites,
                                 out->input.n_pos, wanted->gradients, err);
    if (status == TL_OK && wanted->logits)
        out->logits =
            tl_arena_alloc(s->arena, out->input.n_pos, d->n_vocab * sizeof(float));
    if (status == TL_OK && wanted->logits && out->logits == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY,
                         "no memory for the logits of %zu positions", out->input.n_pos);
    return status;
}

static size_t held_bytes(const tl_session *s, const traced_row *row)
{
    size_t bytes =
        row->patterns != NULL ? pattern_count(s, row->input.n_pos) * sizeof(float) : 0;
    bytes += row->logits != NULL
                 ? row->input.n_pos * tl_model_dims(s->model)->n_vocab * sizeof(float)
                 : 0;
    for (size_t i = 0; i < row->capture.n_readings; i++)
        bytes += row->capture.arrays[i].capacity;
    return bytes;
}

/* ---- runs ------------------------------------------------------------------------- */

static tl_status run_row(tl_session *s, tl_pass *pass, size_t held,
                         const tl_traced *wanted, traced_row *row, tl_error *err)
{
    size_t room = 0;
    tl_status status = TL_OK;
    if (s->settings.memory > 0)
        status = tl_pass_room(pass, s->settings.memory, held, &room, err);
    const tl_pattern_reading pattern = {.to = row->patterns};
    const tl_pass_options options = {.patterns = &pattern,
                                     .n_patterns = wanted->pattern ? 1 : 0,
                                     .readings = row->capture.readings,
                                     .n_readings = row->capture.n_readings,
                                     .for_backward = wanted->gradients,
                                     .memory_budget = room};
    const tl_pass_prompt prompt = {.input = row->input};
    if (status == TL_OK)
        status = tl_pass_forward(pass, &prompt, 1, &options, err);
    if (status == TL_OK && wanted->logits)
        status = tl_pass_logits_all(pass, 0, row->logits, err);
    if (status == TL_OK && wanted->gradients)
        status = tl_pass_backward(pass, &row->answer, &row->other, err);
    return status;
}

/* The names of several prompts say whose they are. */
static tl_status name_after(const char *id, tl_arena *arena, tl_named_tensor *tensors,
                            size_t n, tl_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const size_t bytes = strlen(id) + strlen(tensors[i].name) + 2;
        char *name = tl_arena_alloc(arena, bytes, 1);
        if (name == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a name");
        snprintf(name, bytes, "%s/%s", id, tensors[i].name);
        tensors[i].name = name;
    }
    return TL_OK;
}

static tl_status add_pattern(tl_session *s, const traced_row *row, size_t l,
                             tensor_list *list, tl_error *err)
{
    enum { NAME_BYTES = 32 };
    const size_t H = tl_model_dims(s->model)->n_heads, T = row->input.n_pos;
    char *name = tl_arena_alloc(s->arena, NAME_BYTES, 1);
    if (name == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a name");
    snprintf(name, NAME_BYTES, "pattern.%zu", l);
    list->items[list->n++] =
        (tl_named_tensor){name, tl_tensor_f32(row->patterns + l * H * T * T, H, T, T)};
    return TL_OK;
}

enum { INPUTS = 7 }; /* ids, positions, grid, pixels, embed, deep, logits */

static tl_status list_row(tl_session *s, const tl_traced *wanted, const traced_row *row,
                          bool several, tensor_list *list, tl_error *err)
{
    const tl_dims *d = tl_model_dims(s->model);
    const tl_input *input = &row->input;
    tl_named_tensor *kept = NULL;
    size_t n = 0;
    tl_status status = tl_capture_tensors(&row->capture, &kept, &n, err);
    if (status != TL_OK)
        return status;
    const size_t n_patterns = wanted->pattern ? d->n_layers : 0;
    tensor_list own = {
        .items = tl_arena_alloc(s->arena, n + n_patterns + INPUTS, sizeof *own.items),
        .n = n};
    if (own.items == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the trace");
    memcpy(own.items, kept, n * sizeof *kept);
    for (size_t l = 0; l < n_patterns && status == TL_OK; l++)
        status = add_pattern(s, row, l, &own, err);
    if (status != TL_OK)
        return status;
    if (wanted->logits)
        own.items[own.n++] = (tl_named_tensor){
            "logits", tl_tensor_f32(row->logits, input->n_pos, d->n_vocab, 0)};
    if (wanted->embed)
        own.items[own.n++] = (tl_named_tensor){
            "embed", tl_tensor_f32(input->embeds, input->n_pos, d->d_model, 0)};
    if (wanted->embed && input->n_deep > 0)
        own.items[own.n++] =
            (tl_named_tensor){"deep", tl_tensor_f32(input->deep, input->n_deep,
                                                    input->n_pos, d->d_model)};
    status = add_inputs(s->arena, &row->encoding, input, &own, err);
    if (status == TL_OK && several)
        status = name_after(row->id, s->arena, own.items, own.n, err);
    tl_named_tensor *all =
        status == TL_OK ? tl_arena_alloc(s->arena, list->n + own.n, sizeof *all) : NULL;
    if (status == TL_OK && all == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the trace");
    if (status != TL_OK)
        return status;
    if (list->n > 0)
        memcpy(all, list->items, list->n * sizeof *all);
    memcpy(all + list->n, own.items, own.n * sizeof *all);
    *list = (tensor_list){all, list->n + own.n};
    return TL_OK;
}

tl_status tl_traced_write(tl_session *s, const char *const *ids, size_t n_ids,
                          const tl_traced *wanted, const char *path, tl_error *err)
{
    traced_row *rows = tl_arena_alloc_zero(s->arena, n_ids, sizeof *rows);
    tl_pass *pass = NULL;
    tensor_list list = {0};
    size_t held = 0;
    if (rows == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu prompts", n_ids);
    tl_status status = TL_OK;
    for (size_t i = 0; i < n_ids && status == TL_OK; i++) {
        for (size_t k = 0; k < i && status == TL_OK; k++)
            if (strcmp(ids[k], ids[i]) == 0)
                status =
                    tl_fail(err, TL_ERR_ARGUMENT, "--ids names '%s' twice", ids[i]);
        if (status == TL_OK)
            status = open_row(s, ids[i], wanted, &rows[i], err);
        held += held_bytes(s, &rows[i]);
        if (status == TL_OK)
            status = tl_budget_check(s->settings.memory, held, "a trace",
                                     rows[i].input.n_pos, err);
    }
    if (status == TL_OK && n_ids > 1)
        tl_log(TL_LOG_INFO, "%zu prompts, %.1f MiB, are held until they are written",
               n_ids, (double)held / (1 << 20));
    if (status == TL_OK)
        status = tl_pass_create(s->model, &pass, err);
    for (size_t i = 0; i < n_ids && status == TL_OK; i++)
        status = run_row(s, pass, held, wanted, &rows[i], err);
    tl_pass_destroy(pass);
    for (size_t i = 0; i < n_ids && status == TL_OK; i++)
        status = list_row(s, wanted, &rows[i], n_ids > 1, &list, err);
    const char *const metadata[][2] = {
        {"twinlens", TL_VERSION},
        {"model", tl_session_model_name(&s->settings)},
        {"dataset", s->settings.dataset},
        {"rope", tl_choice_name(tl_settings_find("rope")->choices, s->settings.rope)},
        {"chat", tl_choice_name(tl_settings_find("chat")->choices, s->settings.chat)},
        {"id", ids[0]},
    };
    if (status == TL_OK)
        status = tl_safetensors_write(path, list.items, list.n, metadata,
                                      n_ids > 1 ? 5 : 6, err);
    for (size_t i = 0; i < n_ids; i++)
        tl_capture_release(&rows[i].capture);
    return status;
}
