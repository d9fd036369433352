/* SPDX-License-Identifier: MIT
 * cmd_backpatch.c - `twinlens backpatch`: what becomes of the answers when late states
 * of the data are written into earlier layers. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/word_list.h"
#include "cli/command.h"
#include "cli/json_result.h"
#include "cli/shared_options.h"
#include "finding/finding_rows.h"
#include "study/row_pairs.h"
#include "study/session.h"
#include "study/patched_rows.h"
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

/* ---- output ---------------------------------------------------------------------- */

/* What a cell does to the prompts that a search chose its cell on, or to the others. */
static tl_finding_change change_of(const tl_patched_rows *x, size_t cell, bool unseen)
{
    const tl_patched_count t = tl_patched_rows_count(x, cell, unseen);
    return tl_finding_change_of(t.right, t.fixed, t.broken, t.n);
}

static tl_interval clean_of(const tl_patched_rows *x)
{
    size_t right = 0;
    for (size_t i = 0; i < x->n_prompts; i++)
        right += x->clean[i].right;
    return tl_interval_share(right, x->n_prompts);
}

/* Into the object: null stands for a prompt that was not run. */
static json_t *outcomes_json(const tl_patched_rows *x, const tl_patch_outcome *o,
                             json_t *json)
{
    json_t *diff = json_array(), *right = json_array();
    for (size_t i = 0; i < x->n_prompts; i++) {
        json_array_append_new(diff, o[i].is_run ? tl_json_number(o[i].logit_diff)
                                                : json_null());
        json_array_append_new(right,
                              o[i].is_run ? json_boolean(o[i].right) : json_null());
    }
    json_object_set_new(json, "logit_diff", x->has_pairs ? diff : json_null());
    json_object_set_new(json, "right", x->has_labels ? right : json_null());
    if (!x->has_pairs)
        json_decref(diff);
    if (!x->has_labels)
        json_decref(right);
    return json;
}

static json_t *change_json(const tl_finding_change *c)
{
    return json_pack("{s:o, s:o, s:I, s:I, s:o, s:{s:o, s:o}}", "accuracy",
                     tl_json_number(c->accuracy.value), "gain",
                     tl_json_number(c->gain.value), "fixed", (json_int_t)c->n_fixed,
                     "broken", (json_int_t)c->n_broken, "p", tl_json_number(c->p),
                     "intervals", "accuracy", tl_json_interval(&c->accuracy), "gain",
                     tl_json_interval(&c->gain));
}

static json_t *search_json(const tl_patched_rows *x)
{
    const tl_cell_search *s = &x->search;
    const tl_finding_change c = change_of(x, s->found, true);
    json_t *rounds = json_array(), *unseen = json_array(), *json = change_json(&c);
    for (size_t r = 0; r < s->plan.n_rounds; r++)
        json_array_append_new(rounds, json_pack("{s:I, s:I}", "cells",
                                                (json_int_t)s->plan.cells[r], "prompts",
                                                (json_int_t)s->plan.prompts[r]));
    for (size_t p = 0; p < x->n_prompts; p++)
        if (tl_patched_rows_unseen(x, p))
            json_array_append_new(unseen, json_integer((json_int_t)p));
    json_object_set_new(json, "found", json_integer((json_int_t)s->found));
    json_object_set_new(json, "rounds", rounds);
    json_object_set_new(json, "unseen", unseen);
    json_object_set_new(json, "layer_runs", json_real(x->work));
    json_object_set_new(json, "all_layer_runs", json_real(s->plan.full));
    return json;
}

static json_t *cell_json(const tl_patched_rows *x, size_t c)
{
    const tl_backpatch_cell *cell = &x->cells[c];
    const tl_finding_change change = change_of(x, c, false);
    json_t *json = x->has_labels ? change_json(&change) : json_object();
    json_object_set_new(json, "src", json_integer((json_int_t)cell->source));
    json_object_set_new(json, "dst", json_integer((json_int_t)cell->destination));
    json_object_set_new(json, "window", json_integer((json_int_t)cell->window));
    json_object_set_new(json, "times", json_integer((json_int_t)cell->times));
    return outcomes_json(x, x->patched + c * x->n_prompts, json);
}

static tl_status print_json(const tl_model *model, const tl_patched_rows *x,
                            const size_t pairings[TL_PAIRING_COUNT], FILE *out,
                            tl_error *err)
{
    const tl_interval accuracy = clean_of(x);
    json_t *cells = json_array(),
           *clean = x->has_labels
                        ? json_pack("{s:o, s:{s:o}}", "accuracy",
                                    tl_json_number(accuracy.value), "intervals",
                                    "accuracy", tl_json_interval(&accuracy))
                        : json_object();
    for (size_t c = 0; c < x->n_cells; c++)
        json_array_append_new(cells, cell_json(x, c));
    json_t *all = json_pack("{s:I, s:o, s:o, s:o}", "n", (json_int_t)x->n_prompts,
                            "left_out", tl_json_pairing(pairings), "clean",
                            outcomes_json(x, x->clean, clean), "cells", cells);
    if (x->is_search)
        json_object_set_new(all, "search", search_json(x));
    return tl_json_print_work(all, model, out, err);
}

/* Of the prompts whose answer changed: how many became right, how many wrong. */
static void print_cell(const tl_patched_rows *x, size_t c, bool unseen, FILE *out)
{
    const tl_finding_change f = change_of(x, c, unseen);
    fprintf(out, "%zu\t%zu\t%zu\t%zu\t", x->cells[c].source, x->cells[c].destination,
            x->cells[c].window, x->cells[c].times);
    tl_print_interval(out, &f.accuracy);
    fputc('\t', out);
    tl_print_interval(out, &f.gain);
    fprintf(out, "\t%zu\t%zu\t", f.n_fixed, f.n_broken);
    tl_print_numbers(out, &f.p, 1);
    fprintf(out, "\t%zu%s\n", f.accuracy.n,
            !x->is_search ? ""
            : unseen      ? "\tunseen"
                          : "\trounds");
}

/* Of a search: every cell on the prompts of its rounds, and the cell that is left on those
 * that no round saw. */
static void print_table(const tl_patched_rows *x, FILE *out)
{
    const tl_interval clean = clean_of(x);
    fprintf(out,
            "src\tdst\twindow\ttimes\taccuracy\tlow\thigh\tgain\tgain_low\tgain_high\t"
            "fixed\tbroken\tp\tprompts%s\n-\t-\t-\t0\t",
            x->is_search ? "\tof" : "");
    tl_print_interval(out, &clean);
    fprintf(out, "\t-\t-\t-\t-\t-\t-\t%zu%s\n", x->n_prompts,
            x->is_search ? "\tall" : "");
    for (size_t c = 0; c < x->n_cells; c++)
        print_cell(x, c, false, out);
    if (x->is_search)
        print_cell(x, x->search.found, true, out);
}

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
        return print_json(s->model, &x, pairings, out, err);
    if (!x.has_labels)
        return tl_fail(err, TL_ERR_DATA,
                       "%s: accuracy is that among labels, and not all prompts have "
                       "some; --json has the logit differences",
                       s->dataset->path);
    print_table(&x, out);
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
