/* SPDX-License-Identifier: MIT
 * cmd_evaluate.c - `twinlens evaluate`: the faithfulness of the circuits that a score
 * file's components make up, or of one's own, with the logit differences of every prompt. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"
#include "cli/shared_options.h"
#include "result/json_result.h"
#include "study/chosen_circuits.h"
#include "study/session.h"
#include "twinlens/statistics.h"

typedef struct options {
    tl_settings settings;
    tl_selection selection;
    tl_chosen_options chosen;
    bool grid_given, json;
} options;

typedef struct curve {
    tl_chosen_circuits of;
    const tl_evaluation *results;      /* [n_prompts] */
    double *clean, *none, *one, *room; /* [n_prompts] */
    size_t n_prompts;
} curve;

static tl_faithfulness summarise(const curve *c, size_t i)
{
    for (size_t p = 0; p < c->n_prompts; p++) {
        c->clean[p] = c->results[p].clean;
        c->none[p] = c->results[p].none;
        c->one[p] = c->results[p].circuit[i];
    }
    return tl_faithfulness_summary(c->clean, c->none, c->one, c->n_prompts, c->room);
}

/* Of one circuit, over the chosen prompts. */
typedef struct point {
    const curve *curve;
    size_t circuit;
    tl_faith faith;
} point;

static double faithfulness_of(const void *data, const size_t *prompts, size_t n)
{
    const point *at = data;
    tl_faithfulness_sums sums = {0};
    for (size_t i = 0; i < n; i++) {
        const tl_evaluation *e = &at->curve->results[prompts[i]];
        tl_faithfulness_add(&sums, e->clean, e->none, e->circuit[at->circuit]);
    }
    return at->faith == TL_FAITH_RATIO_MEAN ? tl_faithfulness_ratio_of_means(&sums)
                                            : tl_faithfulness_mean_of_ratios(&sums);
}

/* As the study has it. */
static tl_status interval_of(const curve *c, size_t i, int faith, tl_interval *out,
                             tl_error *err)
{
    const point at = {c, i, (tl_faith)faith};
    return tl_bootstrap(faithfulness_of, &at, c->n_prompts, NULL, out, err);
}

static size_t count_of(const curve *c, size_t i, tl_component_kind kind)
{
    const tl_circuit *one = &c->of.circuits[i];
    return one->set != NULL        ? tl_set_count(one->set, kind)
           : kind == TL_KIND_HEADS ? one->n_heads
                                   : one->n_neurons;
}

static const char *size_text(const curve *c, size_t i, tl_component_kind kind)
{
    return c->of.kinds[kind] != NULL ? c->of.kinds[kind] : c->of.texts[i];
}

static double size_of(const curve *c, size_t i, tl_component_kind kind)
{
    return strtod(size_text(c, i, kind), NULL);
}

/* HEADS:NEURONS where these are sized apart. */
static void print_size(const curve *c, size_t i, FILE *out)
{
    if (c->of.kinds[TL_KIND_HEADS] == NULL && c->of.kinds[TL_KIND_NEURONS] == NULL)
        fputs(c->of.texts[i], out);
    else
        fprintf(out, "%s:%s", size_text(c, i, TL_KIND_HEADS),
                size_text(c, i, TL_KIND_NEURONS));
}

static tl_status print_json(const tl_model *model, const curve *c, int faith, FILE *out,
                            tl_error *err)
{
    json_t *list = json_array();
    bool whole = list != NULL;
    for (size_t i = 0; i < c->of.n && whole; i++) {
        const tl_faithfulness f = summarise(c, i);
        tl_interval chosen;
        const tl_status status = interval_of(c, i, faith, &chosen, err);
        if (status != TL_OK) {
            json_decref(list);
            return status;
        }
        json_t *ld = json_array();
        for (size_t p = 0; p < c->n_prompts && whole; p++)
            whole = json_array_append_new(
                        ld, json_pack("[o, o, o]", tl_json_number(c->clean[p]),
                                      tl_json_number(c->one[p]),
                                      tl_json_number(c->none[p]))) == 0;
        json_t *one = json_pack(
            "{s:o, s:f, s:f, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I}",
            "fraction",
            c->of.kinds[0] == NULL && c->of.kinds[1] == NULL
                ? json_real(strtod(c->of.texts[i], NULL))
                : json_null(),
            "head_fraction", size_of(c, i, TL_KIND_HEADS), "neuron_fraction",
            size_of(c, i, TL_KIND_NEURONS), "heads",
            (json_int_t)count_of(c, i, TL_KIND_HEADS), "neurons",
            (json_int_t)count_of(c, i, TL_KIND_NEURONS), "ld", ld, "faithfulness",
            tl_json_number(chosen.value), "low", tl_json_number(chosen.low), "high",
            tl_json_number(chosen.high), "mean_of_ratios",
            tl_json_number(f.mean_of_ratios), "ratio_of_means",
            tl_json_number(f.ratio_of_means), "median", tl_json_number(f.median), "n",
            (json_int_t)f.n, "excluded", (json_int_t)f.n_excluded);
        whole = json_array_append_new(list, one) == 0 && whole;
    }
    json_t *all = json_pack("{s:o}", "fractions", list);
    if (!whole) {
        json_decref(all);
        all = NULL;
    }
    return tl_json_print_work(all, model, out, err);
}

static tl_status print_table(const curve *c, int faith, FILE *out, tl_error *err)
{
    fprintf(out, "fraction\theads\tneurons\tfaithfulness\tlow\thigh\tmean_of_ratios\t"
                 "ratio_of_means\tmedian\tprompts\texcluded\n");
    for (size_t i = 0; i < c->of.n; i++) {
        const tl_faithfulness f = summarise(c, i);
        tl_interval chosen;
        const tl_status status = interval_of(c, i, faith, &chosen, err);
        if (status != TL_OK)
            return status;
        const double numbers[] = {chosen.value,     chosen.low,       chosen.high,
                                  f.mean_of_ratios, f.ratio_of_means, f.median};
        print_size(c, i, out);
        fprintf(out, "\t%zu\t%zu\t", count_of(c, i, TL_KIND_HEADS),
                count_of(c, i, TL_KIND_NEURONS));
        tl_print_numbers(out, numbers, 6);
        fprintf(out, "\t%zu\t%zu\n", f.n, f.n_excluded);
    }
    return TL_OK;
}

static tl_status evaluate(tl_session *s, const options *o, FILE *out, tl_error *err)
{
    tl_arena *arena = s->arena;
    tl_pair *pairs = NULL;
    curve c = {0};
    tl_status status = tl_options_check_drawing(s, &o->selection, err);
    if (status == TL_OK)
        status =
            tl_session_pairs(s, &o->selection, "evaluate", &pairs, &c.n_prompts, err);
    if (status == TL_OK)
        status = tl_chosen_circuits_read(s, &o->chosen, &o->selection,
                                         pairs[0].clean.n_pos, &c.of, err);
    if (status != TL_OK)
        return status;
    const size_t n = c.of.n, n_prompts = c.n_prompts;
    tl_evaluation *results = tl_arena_alloc(arena, n_prompts, sizeof *results);
    double *ld = tl_arena_alloc(arena, n * n_prompts, sizeof *ld);
    c.clean = tl_arena_alloc(arena, n_prompts, sizeof *c.clean);
    c.none = tl_arena_alloc(arena, n_prompts, sizeof *c.none);
    c.one = tl_arena_alloc(arena, n_prompts, sizeof *c.one);
    c.room = tl_arena_alloc(arena, n_prompts, sizeof *c.room);
    if (results == NULL || ld == NULL || c.clean == NULL || c.none == NULL ||
        c.one == NULL || c.room == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY,
                       "no memory for the results of %zu prompts", n_prompts);
    for (size_t p = 0; p < n_prompts; p++)
        results[p].circuit = ld + p * n;
    const tl_evaluate_options how = {.memory_budget = s->settings.memory,
                                     .ablate = (tl_ablate)o->settings.ablate,
                                     .metric = (tl_metric)o->settings.metric};
    status =
        tl_evaluate(s->model, pairs, n_prompts, c.of.circuits, n, &how, results, err);
    if (status != TL_OK)
        return status;
    c.results = results;
    if (o->json)
        return print_json(s->model, &c, o->settings.faith, out, err);
    return print_table(&c, o->settings.faith, out, err);
}

static const tl_taken settings[] = {
    TL_TAKEN_MODEL,
    TL_TAKEN_DATASET,
    {.name = "rope"},
    {.name = "metric"},
    {.name = "grid", .given = offsetof(options, grid_given)},
    {.name = "fractions"},
    {.name = "pct"},
    TL_TAKEN_DRAWING(offsetof(options, selection.draws)),
    {.name = "faith"},
    {.name = "ablate"},
    {0}};
static const tl_option own[] = {
    TL_OPTIONS_SELECTION(options, TL_USUAL_EVALUATION),
    TL_OPTION_TEXT(options, chosen.scores, false, "scores", "FILE",
                   "a score file of attribute or study, for circuits of several sizes"),
    TL_OPTION_TEXT(options, chosen.circuit, false, "circuit", "FILE|LIST",
                   "instead, one's own circuit: a file as docs/formats.md has it, or a "
                   "list such as L3H5,L4N120@17,L5H0@data"),
    TL_OPTION_TEXT(options, chosen.without, false, "without", "FILE|LIST",
                   "what is taken out of that circuit, or of the whole model"),
    TL_OPTION_KIND("head", options, chosen.kind_fraction[TL_KIND_HEADS]),
    TL_OPTION_KIND("neuron", options, chosen.kind_fraction[TL_KIND_NEURONS]),
    {.setting = {.name = "random",
                 .kind = TL_SETTING_SEED,
                 .offset = offsetof(options, chosen.random),
                 .argument = "SEED",
                 .help = "random circuits of the same sizes instead"},
     .given = offsetof(options, chosen.random_given)},
    {.setting =
         {.name = "any-scores",
          .offset = offsetof(options, chosen.any_scores),
          .help = "also scores that were made with another model, dataset, modality or "
                  "setting"},
     .is_flag = true},
    TL_OPTION_JSON(options, "with the logit differences of every prompt"),
    TL_OPTIONS_END};

static const tl_idle idle[] = {
    TL_IDLE_SELECTION,
    TL_IDLE_DRAWING,
    {.name = "grid", .beside = "fractions"},
    {.name = "scores", .beside = "circuit"},
    {.name = "scores", .beside = "without"},
    {.name = "grid", .beside = "scores", .unless = true},
    {.name = "fractions", .beside = "scores", .unless = true},
    {.name = "pct", .beside = "scores", .unless = true},
    {.name = "head-fraction", .beside = "scores", .unless = true},
    {.name = "neuron-fraction", .beside = "scores", .unless = true},
    {.name = "random", .beside = "scores", .unless = true},
    {.name = "any-scores", .beside = "scores", .unless = true},
    {0}};

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    options o;
    tl_status status =
        tl_options_read(&tl_command_evaluate, argc, argv, &o, sizeof o, err);
    if (status == TL_OK && o.chosen.kind_fraction[0] != NULL &&
        o.chosen.kind_fraction[1] != NULL &&
        (o.settings.fractions != NULL || o.grid_given))
        status = tl_cli_misuse(err,
                               "--%s changes nothing beside --head-fraction and "
                               "--neuron-fraction",
                               o.grid_given ? "grid" : "fractions");
    if (status == TL_OK && o.chosen.scores == NULL && o.chosen.circuit == NULL &&
        o.chosen.without == NULL)
        status = tl_cli_misuse(err, "wanted --scores FILE, --circuit FILE or --without "
                                    "LIST; see --help");
    o.selection.usual = TL_EVALUATION;
    tl_session s;
    if (status == TL_OK)
        status = tl_session_open(&o.settings, &s, err);
    if (status != TL_OK)
        return status;
    status = evaluate(&s, &o, out, err);
    tl_session_close(&s);
    return status;
}

const tl_command tl_command_evaluate = {
    .name = "evaluate",
    .summary = "faithfulness of circuits of given sizes, or of one's own",
    .settings = settings,
    .options = own,
    .idle = idle,
    .run = run,
};
