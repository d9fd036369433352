/* SPDX-License-Identifier: MIT
 *
 * cmd_trace.c - `twinlens trace`: the activations of one prompt, and the gradient of
 * its logit difference, as safetensors with the names that transformers users know.
 */
#include <stdio.h>
#include <string.h>

#include "base/word_list.h"
#include "cli/command.h"
#include "study/session.h"
#include "cli/shared_options.h"
#include "trace/experiment.h"
#include "twinlens/capture.h"
#include "twinlens/version.h"

typedef struct options {
    tl_settings settings;
    const char *id, *out, *sites;
    bool gradient;
} options;

/* What --sites names: the taps' sites, and logits. */
typedef struct wanted {
    uint32_t sites;
    bool logits, embed;
} wanted;

static tl_status parse_sites(const char *text, tl_arena *arena, wanted *out,
                             tl_error *err)
{
    const char *const *words = NULL;
    size_t n = 0;
    const tl_status status = tl_word_list_split(text, arena, &words, &n, err);
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
        else
            return tl_cli_misuse(
                err,
                "--sites has '%s', known are embed, resid_pre, z, attn_out, "
                "mlp_post, mlp_out, resid_post, logits",
                words[i]);
    }
    return TL_OK;
}

static tl_named_tensor named_i64(const char *name, const int64_t *data, size_t d0,
                                 size_t d1)
{
    return (tl_named_tensor){
        name,
        {.dtype = TL_I64, .n_dims = d1 > 0 ? 2 : 1, .dims = {d0, d1}, .data = data}};
}

/* Token ids, rotary positions and pixels, as transformers hands them to the model. */
static tl_status add_inputs(tl_arena *arena, const tl_encoding *e,
                            const tl_input *input, tl_named_tensor *list, size_t *n,
                            tl_error *err)
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
    list[(*n)++] = named_i64("input_ids", ids, T, 0);
    list[(*n)++] = named_i64("position_ids", positions, 3, T);
    if (e->n_images == 0)
        return TL_OK;
    grid[0] = (int64_t)e->pixels.grid_t;
    grid[1] = (int64_t)e->pixels.grid_h;
    grid[2] = (int64_t)e->pixels.grid_w;
    tl_tensor pixels = {
        .dtype = TL_F32, .n_dims = e->pixels.n_dims, .data = e->pixels.values};
    memcpy(pixels.dims, e->pixels.dims, sizeof e->pixels.dims);
    if (e->pixels.grid_t > 0) /* not every family has one */
        list[(*n)++] = named_i64("image_grid_thw", grid, 1, 3);
    list[(*n)++] = (tl_named_tensor){"pixel_values", pixels};
    return TL_OK;
}

enum { INPUTS = 7 }; /* ids, positions, grid, pixels, embed, deep, logits */

static tl_status trace(tl_session *s, const options *o, const wanted *want,
                       tl_error *err)
{
    size_t row = 0;
    int32_t answer = 0, other = 0;
    tl_encoding encoding;
    tl_input input;
    tl_capture capture = {0};
    tl_status status = tl_session_row(s, o->id, &row, err);
    if (status != TL_OK)
        return status;
    const size_t counterfactual = s->dataset->rows[row].counterfactual;
    if (o->gradient && counterfactual == TL_NO_ROW)
        return tl_fail(
            err, TL_ERR_DATA,
            "%s:%zu: --grad needs a counterfactual, and row '%s' has no 'cf'",
            s->dataset->path, s->dataset->rows[row].line, o->id);
    if (o->gradient)
        status = tl_dataset_pair_ids(s->dataset, row, counterfactual, s->processor,
                                     &answer, &other, err);
    if (status == TL_OK)
        status = tl_session_input(s, row, s->arena, &encoding, &input, err);
    if (status == TL_OK)
        status = tl_capture_init(&capture, s->model, s->arena, want->sites, input.n_pos,
                                 o->gradient, err);
    tl_pass *pass = NULL;
    if (status == TL_OK)
        status = tl_pass_create(s->model, &pass, err);
    if (status != TL_OK)
        goto done;

    const size_t n_logits =
        want->logits ? input.n_pos * tl_model_dims(s->model)->n_vocab : 0;
    size_t held = n_logits * sizeof(float), room = 0;
    for (size_t i = 0; i < capture.n_readings; i++)
        held += capture.arrays[i].capacity;
    if (s->settings.memory > 0)
        status = tl_pass_room(pass, s->settings.memory, held, &room, err);

    const tl_pass_options pass_options = {.readings = capture.readings,
                                          .n_readings = capture.n_readings,
                                          .for_backward = o->gradient,
                                          .memory_budget = room};
    const tl_pass_prompt prompt = {.input = input};
    const size_t n_vocab = tl_model_dims(s->model)->n_vocab,
                 d_model = tl_model_dims(s->model)->d_model;
    float *logits = n_logits > 0 && status == TL_OK
                        ? tl_arena_alloc(s->arena, n_logits, sizeof *logits)
                        : NULL;
    if (status == TL_OK && want->logits && logits == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY,
                         "no memory for the logits of %zu positions", input.n_pos);
    if (status == TL_OK)
        status = tl_pass_forward(pass, &prompt, 1, &pass_options, err);
    if (status == TL_OK && want->logits)
        status = tl_pass_logits_all(pass, 0, logits, err);
    if (status == TL_OK && o->gradient)
        status = tl_pass_backward(pass, &answer, &other, err);
    tl_pass_destroy(pass);

    tl_named_tensor *kept = NULL;
    size_t n = 0;
    if (status == TL_OK)
        status = tl_capture_tensors(&capture, &kept, &n, err);
    tl_named_tensor *list = tl_arena_alloc(s->arena, n + INPUTS, sizeof *list);
    if (status == TL_OK && list == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the trace");
    if (status != TL_OK)
        goto done;
    memcpy(list, kept, n * sizeof *list);
    if (want->logits)
        list[n++] =
            (tl_named_tensor){"logits", tl_tensor_f32(logits, input.n_pos, n_vocab, 0)};
    if (want->embed)
        list[n++] = (tl_named_tensor){
            "embed", tl_tensor_f32(input.embeds, input.n_pos, d_model, 0)};
    if (want->embed && input.n_deep > 0)
        list[n++] = (tl_named_tensor){
            "deep", tl_tensor_f32(input.deep, input.n_deep, input.n_pos, d_model)};
    status = add_inputs(s->arena, &encoding, &input, list, &n, err);
    const char *const metadata[][2] = {
        {"twinlens", TL_VERSION},
        {"model", tl_session_model_name(&o->settings)},
        {"dataset", o->settings.dataset},
        {"id", o->id},
        {"rope", tl_choice_name(tl_settings_find("rope")->choices, s->settings.rope)},
    };
    if (status == TL_OK)
        status = tl_safetensors_write(o->out, list, n, metadata,
                                      sizeof metadata / sizeof metadata[0], err);
done:
    tl_capture_release(&capture);
    return status;
}

static const tl_taken settings[] = {
    TL_TAKEN_MODEL, TL_TAKEN_DATASET, {.name = "rope"}, {0}};
static const tl_option own[] = {
    TL_OPTION_TEXT(options, id, true, "id", "ID", "the prompt"),
    TL_OPTION_TEXT(options, out, true, "out", "FILE", "safetensors file to write"),
    {.setting = {.name = "grad",
                 .offset = offsetof(options, gradient),
                 .help = "also the gradient of the logit difference"},
     .is_flag = true},
    {.setting = {.name = "sites",
                 .kind = TL_SETTING_TEXT,
                 .offset = offsetof(options, sites),
                 .value = "resid_pre,z,mlp_post,resid_post,logits",
                 .argument = "A,B",
                 .help = "which sites"}},
    TL_OPTIONS_END};

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    (void)out;
    options o;
    tl_status status =
        tl_options_read(&tl_command_trace, argc, argv, &o, sizeof o, err);
    if (status == TL_OK)
        status = tl_options_check_output(o.out, err);
    tl_session s;
    if (status == TL_OK)
        status = tl_session_open(&o.settings, &s, err);
    if (status != TL_OK)
        return status;
    wanted want = {0};
    status = parse_sites(o.sites, s.arena, &want, err);
    if (status == TL_OK)
        status = trace(&s, &o, &want, err);
    tl_session_close(&s);
    return status;
}

const tl_command tl_command_trace = {
    .name = "trace",
    .summary = "activations and gradients of one prompt, as safetensors",
    .settings = settings,
    .options = own,
    .run = run,
};
