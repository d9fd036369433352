/* SPDX-License-Identifier: MIT
 * cmd_evaluate.c - `twinlens evaluate`: the faithfulness of the circuits that a score
 * file's components make up, with the logit differences of every prompt. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"
#include "cli/shared_options.h"
#include "result/json_result.h"
#include "store/score_file.h"
#include "study/score_origin.h"
#include "study/session.h"
#include "twinlens/statistics.h"

typedef struct options {
    tl_settings settings;
    tl_selection selection;
    const char *scores, *kind_fraction[TL_KIND_COUNT];
    bool grid_given, random_given, any_scores, json;
    uint64_t random;
} options;

typedef struct curve {
    const char *const *texts;
    const char *const
        *kinds; /* fractions of heads, of neurons, where they are others */
    const tl_circuit *circuits;
    const tl_evaluation *results;      /* [n_prompts] */
    double *clean, *none, *one, *room; /* [n_prompts] */
    size_t n_fractions, n_prompts;
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

static const char *size_text(const curve *c, size_t i, tl_component_kind kind)
{
    return c->kinds[kind] != NULL ? c->kinds[kind] : c->texts[i];
}

static double size_of(const curve *c, size_t i, tl_component_kind kind)
{
    return strtod(size_text(c, i, kind), NULL);
}

/* HEADS:NEURONS where these are sized apart. */
static void print_size(const curve *c, size_t i, FILE *out)
{
    if (c->kinds[TL_KIND_HEADS] == NULL && c->kinds[TL_KIND_NEURONS] == NULL)
        fputs(c->texts[i], out);
    else
        fprintf(out, "%s:%s", size_text(c, i, TL_KIND_HEADS),
                size_text(c, i, TL_KIND_NEURONS));
}

static tl_status print_json(const tl_model *model, const curve *c, int faith, FILE *out,
                            tl_error *err)
{
    json_t *list = json_array();
    bool whole = list != NULL;
    for (size_t i = 0; i < c->n_fractions && whole; i++) {
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
            c->kinds[0] == NULL && c->kinds[1] == NULL
                ? json_real(strtod(c->texts[i], NULL))
                : json_null(),
            "head_fraction", size_of(c, i, TL_KIND_HEADS), "neuron_fraction",
            size_of(c, i, TL_KIND_NEURONS), "heads", (json_int_t)c->circuits[i].n_heads,
            "neurons", (json_int_t)c->circuits[i].n_neurons, "ld", ld, "faithfulness",
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
    for (size_t i = 0; i < c->n_fractions; i++) {
        const tl_faithfulness f = summarise(c, i);
        tl_interval chosen;
        const tl_status status = interval_of(c, i, faith, &chosen, err);
        if (status != TL_OK)
            return status;
        const double numbers[] = {chosen.value,     chosen.low,       chosen.high,
                                  f.mean_of_ratios, f.ratio_of_means, f.median};
        print_size(c, i, out);
        fprintf(out, "\t%zu\t%zu\t", c->circuits[i].n_heads, c->circuits[i].n_neurons);
        tl_print_numbers(out, numbers, 6);
        fprintf(out, "\t%zu\t%zu\n", f.n, f.n_excluded);
    }
    return TL_OK;
}

static tl_status evaluate(tl_session *s, const options *o, FILE *out, tl_error *err)
{
    tl_arena *arena = s->arena;
    tl_sizes sizes;
    tl_pair *pairs = NULL;
    tl_scores scores;
    tl_ranking ranking;
    curve c = {0};
    tl_status status = tl_settings_sizes(&o->settings, false, arena, &sizes, err);
    if (status == TL_OK)
        status = tl_options_check_drawing(s, &o->selection, err);
    if (status == TL_OK)
        status =
            tl_session_pairs(s, &o->selection, "evaluate", &pairs, &c.n_prompts, err);
    if (status == TL_OK && !o->any_scores)
        status = tl_score_origin_check(
            s, o->scores, (tl_modality)o->selection.modality,
            tl_session_part(s, &o->selection),
            (const char *const[]){"rope", "precision", "metric", NULL}, err);
    if (status == TL_OK)
        status = tl_score_file_read(o->scores, tl_model_dims(s->model),
                                    pairs[0].clean.n_pos, arena, &scores, err);
    if (status == TL_OK)
        status =
            tl_fail_while(err, tl_ranking_from_scores(&scores, arena, &ranking, err),
                          "%s", o->scores);
    if (status == TL_OK && o->random_given) {
        const tl_ranking shape = ranking;
        status = tl_ranking_random(&shape, o->random, arena, &ranking, err);
    }
    if (status != TL_OK)
        return status;

    tl_fraction given[TL_KIND_COUNT];
    const tl_fraction *kinds[TL_KIND_COUNT] = {NULL};
    for (size_t k = 0; k < TL_KIND_COUNT; k++) {
        if (o->kind_fraction[k] == NULL)
            continue;
        status = tl_fraction_read(k == TL_KIND_HEADS ? "head" : "neuron",
                                  o->kind_fraction[k], &given[k], err);
        if (status != TL_OK)
            return status;
        kinds[k] = &given[k];
    }
    const size_t n = kinds[TL_KIND_HEADS] && kinds[TL_KIND_NEURONS] ? 1 : sizes.n,
                 n_prompts = c.n_prompts;
    c.texts = sizes.texts;
    c.kinds = o->kind_fraction;
    c.n_fractions = n;
    tl_circuit *circuits = tl_arena_alloc(arena, n, sizeof *circuits);
    tl_evaluation *results = tl_arena_alloc(arena, n_prompts, sizeof *results);
    double *ld = tl_arena_alloc(arena, n * n_prompts, sizeof *ld);
    c.clean = tl_arena_alloc(arena, n_prompts, sizeof *c.clean);
    c.none = tl_arena_alloc(arena, n_prompts, sizeof *c.none);
    c.one = tl_arena_alloc(arena, n_prompts, sizeof *c.one);
    c.room = tl_arena_alloc(arena, n_prompts, sizeof *c.room);
    if (circuits == NULL || results == NULL || ld == NULL || c.clean == NULL ||
        c.none == NULL || c.one == NULL || c.room == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY,
                       "no memory for the results of %zu prompts", n_prompts);
    for (size_t i = 0; i < n; i++)
        circuits[i] = tl_circuit_of(
            &ranking, kinds[TL_KIND_HEADS] ? *kinds[TL_KIND_HEADS] : sizes.fractions[i],
            kinds[TL_KIND_NEURONS] ? *kinds[TL_KIND_NEURONS] : sizes.fractions[i],
            (tl_fraction_rounding)o->settings.rounding);
    for (size_t p = 0; p < n_prompts; p++)
        results[p].circuit = ld + p * n;
    const tl_evaluate_options how = {.memory_budget = s->settings.memory,
                                     .ablate = (tl_ablate)o->settings.ablate,
                                     .metric = (tl_metric)o->settings.metric};
    status = tl_evaluate(s->model, pairs, n_prompts, circuits, n, &how, results, err);
    if (status != TL_OK)
        return status;
    c.circuits = circuits;
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
    TL_OPTION_TEXT(options, scores, true, "scores", "FILE",
                   "a score file of attribute or study"),
    TL_OPTION_KIND("head", options, kind_fraction[TL_KIND_HEADS]),
    TL_OPTION_KIND("neuron", options, kind_fraction[TL_KIND_NEURONS]),
    {.setting = {.name = "random",
                 .kind = TL_SETTING_SEED,
                 .offset = offsetof(options, random),
                 .argument = "SEED",
                 .help = "random circuits of the same sizes instead"},
     .given = offsetof(options, random_given)},
    {.setting =
         {.name = "any-scores",
          .offset = offsetof(options, any_scores),
          .help = "also scores that were made with another model, dataset, modality or "
                  "setting"},
     .is_flag = true},
    TL_OPTION_JSON(options, "with the logit differences of every prompt"),
    TL_OPTIONS_END};

static const tl_idle idle[] = {
    TL_IDLE_SELECTION, TL_IDLE_DRAWING, {.name = "grid", .beside = "fractions"}, {0}};

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    options o;
    tl_status status =
        tl_options_read(&tl_command_evaluate, argc, argv, &o, sizeof o, err);
    if (status == TL_OK && o.kind_fraction[0] != NULL && o.kind_fraction[1] != NULL &&
        (o.settings.fractions != NULL || o.grid_given))
        status = tl_cli_misuse(err,
                               "--%s changes nothing beside --head-fraction and "
                               "--neuron-fraction",
                               o.grid_given ? "grid" : "fractions");
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
    .summary = "faithfulness of circuits of given sizes",
    .settings = settings,
    .options = own,
    .idle = idle,
    .run = run,
};
