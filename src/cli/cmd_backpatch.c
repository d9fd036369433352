/* SPDX-License-Identifier: MIT
 * cmd_backpatch.c - `twinlens backpatch`: what becomes of the answers when late states
 * of the data are written into earlier layers. */
#include <stdlib.h>
#include <string.h>

#include "base/word_list.h"
#include "cli/command.h"
#include "cli/shared_options.h"
#include "result/patched_result.h"
#include "study/session.h"
#include "twinlens/probe.h"

typedef struct options {
    tl_settings settings;
    tl_selection selection;
    const char *sources, *destinations, *windows;
    size_t times;
    bool grid_given, json;
} options;

/* ---- cells ----------------------------------------------------------------------- */

/* Whole numbers from "0,3,5", below `limit`. */
static tl_status parse_numbers(const char *text, const char *option, size_t limit,
                               tl_arena *arena, size_t **out, size_t *count,
                               tl_error *err)
{
    const char *const *words = NULL;
    tl_status status = tl_word_list_split(text, arena, &words, count, err);
    if (status != TL_OK)
        return status;
    size_t *numbers = tl_arena_alloc(arena, *count, sizeof *numbers);
    if (numbers == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu numbers", *count);
    for (size_t i = 0; i < *count; i++) {
        char *end = NULL;
        const unsigned long n = strtoul(words[i], &end, 10);
        if (words[i][0] < '0' || words[i][0] > '9' || *end != '\0' || n >= limit)
            return tl_cli_misuse(err, "--%s has '%s', wanted whole numbers below %zu",
                                 option, words[i], limit);
        numbers[i] = n;
    }
    *out = numbers;
    return TL_OK;
}

/* What an option names; nothing when it is not given. */
static tl_status read_layers(const char *text, const char *option, size_t limit,
                             tl_arena *arena, tl_layer_list *out, tl_error *err)
{
    size_t *numbers = NULL;
    if (text == NULL)
        return TL_OK;
    const tl_status status =
        parse_numbers(text, option, limit, arena, &numbers, &out->n, err);
    out->layers = numbers;
    return status;
}

static tl_status choose_cells(const options *o, size_t n_layers, tl_arena *arena,
                              tl_backpatch_cell **out, size_t *count, tl_error *err)
{
    static const size_t one[] = {1};
    const bool is_cell = o->sources != NULL && o->destinations != NULL;
    tl_cell_options cells = {.windows =
                                 is_cell ? (tl_layer_list){one, 1} : tl_cell_windows,
                             .grid = (tl_bp_grid)o->settings.bp_grid,
                             .times = o->times,
                             .restore = o->settings.bp_repeat == TL_BP_REPEAT_OFF};
    if (o->grid_given && is_cell)
        return tl_cli_misuse(err, "--bp-grid changes nothing beside --src and --dst");
    if (o->settings.bp_grid == TL_BP_NONE)
        return tl_cli_misuse(err, "--bp-grid none leaves no cell");
    tl_status status =
        read_layers(o->sources, "src", n_layers, arena, &cells.sources, err);
    if (status == TL_OK)
        status = read_layers(o->destinations, "dst", n_layers, arena,
                             &cells.destinations, err);
    if (status == TL_OK)
        status =
            read_layers(o->windows, "window", 2 * n_layers, arena, &cells.windows, err);
    if (status == TL_OK)
        status = tl_cells_make(&cells, n_layers, arena, out, count, err);
    return status == TL_OK && *count == 0
               ? tl_cli_misuse(err, "--src and --dst leave no cell")
               : status;
}

/* ---- the command -------------------------------------------------------------------- */

/* Those that are asked for; with --bp-filter those of them that are in a pair, and why others
 * are not. */
static tl_status choose_rows(tl_session *s, const options *o, tl_patched_rows *x,
                             size_t pairings[TL_PAIRING_COUNT], tl_error *err)
{
    size_t *rows = NULL;
    tl_row_pairs pairs;
    tl_status status = tl_session_rows(s, &o->selection, &rows, &x->n_prompts, err);
    x->rows = rows;
    if (status != TL_OK || o->settings.bp_filter == TL_BP_FILTER_NONE)
        return status;
    status = tl_session_row_pairs(s, (tl_bp_filter)o->settings.bp_filter, &pairs, err);
    if (status != TL_OK)
        return status;
    tl_row_pairs_keep(&pairs, rows, &x->n_prompts, pairings);
    if (x->n_prompts == 0)
        return tl_fail(
            err, TL_ERR_DATA,
            "%s: --bp-filter modal leaves no prompt: none is in a pair whose "
            "text has %zu tokens",
            s->dataset->path, pairs.length);
    tl_pairing_log(s, pairings, pairs.length);
    return TL_OK;
}

static tl_status backpatch(tl_session *s, const void *options_given, FILE *out,
                           tl_error *err)
{
    const options *o = options_given;
    tl_patched_rows x = {0};
    size_t pairings[TL_PAIRING_COUNT] = {0};
    tl_backpatch_cell *cells = NULL;
    tl_status status = choose_cells(o, tl_model_dims(s->model)->n_layers, s->arena,
                                    &cells, &x.n_cells, err);
    if (status == TL_OK)
        status = choose_rows(s, o, &x, pairings, err);
    x.cells = cells;
    if (status == TL_OK)
        status = tl_patched_rows_run(s, o->times, &x, err);
    if (status != TL_OK)
        return status;
    if (o->json)
        return tl_print_patched_json(s->model, &x, pairings, out, err);
    if (!x.has_labels)
        return tl_fail(err, TL_ERR_DATA,
                       "%s: accuracy is that among labels, and not all prompts have "
                       "some; --json has the logit differences",
                       s->dataset->path);
    tl_print_patched(&x, out);
    return TL_OK;
}

static const tl_taken settings[] = {
    TL_TAKEN_MODEL,
    TL_TAKEN_DATASET,
    {.name = "rope"},
    {.name = "bp-grid", .given = offsetof(options, grid_given)},
    {.name = "bp-filter"},
    {.name = "bp-repeat"},
    {.name = "iter-labels"},
    {.name = "bp-search"},
    {.name = "seed"},
    {0}};
static const tl_option own[] = {
    TL_OPTIONS_SELECTION(options, "all"),
    {.setting = {.name = "src",
                 .kind = TL_SETTING_TEXT,
                 .offset = offsetof(options, sources),
                 .unset = "a grid",
                 .argument = "L,M",
                 .help = "layers whose states are taken"}},
    {.setting = {.name = "dst",
                 .kind = TL_SETTING_TEXT,
                 .offset = offsetof(options, destinations),
                 .unset = "a grid",
                 .argument = "L,M",
                 .help = "layers whose states are overwritten"}},
    {.setting = {.name = "window",
                 .kind = TL_SETTING_TEXT,
                 .offset = offsetof(options, windows),
                 .unset = "5,3,1, as a study; of --src with --dst 1",
                 .argument = "W,X",
                 .help = "how many layers around both, odd"}},
    TL_OPTION_COUNT(options, times, 1000, "1", "times", "N",
                    "again, with the states of the run before"),
    TL_OPTION_JSON(options, "with the outcome of every prompt"),
    TL_OPTIONS_END};

static const tl_idle idle[] = {
    TL_IDLE_SELECTION,
    {.name = "iter-labels", .beside = "times", .value = "1"},
    {.name = "seed", .beside = "bp-search", .value = "halving", .unless = true},
    {0}};

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    options o;
    return tl_session_command(&tl_command_backpatch, argc, argv, out, &o, sizeof o,
                              backpatch, err);
}

const tl_command tl_command_backpatch = {
    .name = "backpatch",
    .summary = "write late states of the data into earlier layers",
    .settings = settings,
    .options = own,
    .idle = idle,
    .run = run,
};
