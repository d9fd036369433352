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
#include "store/score_file.h"
#include "study/own_circuit.h"
#include "study/score_origin.h"
#include "study/session.h"
#include "twinlens/statistics.h"

typedef struct options {
    tl_settings settings;
    tl_selection selection;
    const char *scores, *kind_fraction[TL_KIND_COUNT], *circuit, *without;
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

static size_t count_of(const curve *c, size_t i, tl_component_kind kind)
{
    const tl_circuit *one = &c->circuits[i];
    return one->set != NULL        ? tl_set_count(one->set, kind)
           : kind == TL_KIND_HEADS ? one->n_heads
                                   : one->n_neurons;
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
    for (size_t i = 0; i < c->n_fractions; i++) {
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

/* Sizes by rank; how many circuits there are goes to the curve. */
static tl_status rank_circuits(tl_session *s, const options *o, size_t n_pos, curve *c,
                               tl_circuit **out, tl_error *err)
{
    tl_arena *arena = s->arena;
    tl_sizes sizes;
    tl_scores scores;
    tl_ranking *ranking = tl_arena_alloc(arena, 1, sizeof *ranking);
    tl_status status = ranking != NULL
                           ? tl_settings_sizes(&o->settings, false, arena, &sizes, err)
                           : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a ranking");
    if (status == TL_OK && !o->any_scores)
        status = tl_score_origin_check(
            s, o->scores, (tl_modality)o->selection.modality,
            tl_session_part(s, &o->selection),
            (const char *const[]){"rope", "precision", "metric", NULL}, err);
    if (status == TL_OK)
        status = tl_score_file_read(o->scores, tl_model_dims(s->model), n_pos, arena,
                                    &scores, err);
    if (status == TL_OK)
        status = tl_fail_while(
            err, tl_ranking_from_scores(&scores, arena, ranking, err), "%s", o->scores);
    if (status == TL_OK && o->random_given) {
        const tl_ranking shape = *ranking;
        status = tl_ranking_random(&shape, o->random, arena, ranking, err);
    }
    tl_fraction given[TL_KIND_COUNT];
    const tl_fraction *kinds[TL_KIND_COUNT] = {NULL};
    for (size_t k = 0; k < TL_KIND_COUNT && status == TL_OK; k++) {
        if (o->kind_fraction[k] == NULL)
            continue;
        status = tl_fraction_read(k == TL_KIND_HEADS ? "head" : "neuron",
                                  o->kind_fraction[k], &given[k], err);
        kinds[k] = &given[k];
    }
    if (status != TL_OK)
        return status;
    c->n_fractions = kinds[TL_KIND_HEADS] && kinds[TL_KIND_NEURONS] ? 1 : sizes.n;
    c->texts = sizes.texts;
    c->kinds = o->kind_fraction;
    *out = tl_arena_alloc(arena, c->n_fractions, sizeof **out);
    if (*out == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu circuits",
                       c->n_fractions);
    for (size_t i = 0; i < c->n_fractions; i++)
        (*out)[i] = tl_circuit_of(
            ranking, kinds[TL_KIND_HEADS] ? *kinds[TL_KIND_HEADS] : sizes.fractions[i],
            kinds[TL_KIND_NEURONS] ? *kinds[TL_KIND_NEURONS] : sizes.fractions[i],
            (tl_fraction_rounding)o->settings.rounding);
    return TL_OK;
}

/* The one that --circuit and --without name; its sizes are shares of all components. */
static tl_status own_circuit(tl_session *s, const options *o, size_t n_pos, curve *c,
                             tl_circuit **out, tl_error *err)
{
    enum { SHARE_BYTES = 32 };
    tl_component_set *set = tl_arena_alloc(s->arena, 1, sizeof *set);
    tl_circuit *circuit = tl_arena_alloc_zero(s->arena, 1, sizeof *circuit);
    char(*text)[SHARE_BYTES] = tl_arena_alloc(s->arena, TL_KIND_COUNT, sizeof *text);
    const char **kinds = tl_arena_alloc(s->arena, TL_KIND_COUNT, sizeof *kinds);
    if (set == NULL || circuit == NULL || text == NULL || kinds == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a circuit");
    const tl_status status = tl_own_circuit_read(
        s, (tl_modality)o->selection.modality, n_pos, o->circuit, o->without, set, err);
    if (status != TL_OK)
        return status;
    for (size_t k = 0; k < TL_KIND_COUNT; k++) {
        const double all = (double)set->n_layers * (double)n_pos *
                           (double)(k == TL_KIND_HEADS ? set->n_heads : set->d_mlp);
        snprintf(text[k], SHARE_BYTES, "%.6g",
                 (double)tl_set_count(set, (tl_component_kind)k) / all);
        kinds[k] = text[k];
    }
    circuit->set = set;
    c->kinds = kinds;
    c->n_fractions = 1;
    *out = circuit;
    return TL_OK;
}

static tl_status evaluate(tl_session *s, const options *o, FILE *out, tl_error *err)
{
    tl_arena *arena = s->arena;
    tl_pair *pairs = NULL;
    tl_circuit *circuits = NULL;
    curve c = {0};
    tl_status status = tl_options_check_drawing(s, &o->selection, err);
    if (status == TL_OK)
        status =
            tl_session_pairs(s, &o->selection, "evaluate", &pairs, &c.n_prompts, err);
    if (status == TL_OK)
        status = (o->scores != NULL ? rank_circuits : own_circuit)(
            s, o, pairs[0].clean.n_pos, &c, &circuits, err);
    if (status != TL_OK)
        return status;
    const size_t n = c.n_fractions, n_prompts = c.n_prompts;
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
    TL_OPTION_TEXT(options, scores, false, "scores", "FILE",
                   "a score file of attribute or study, for circuits of several sizes"),
    TL_OPTION_TEXT(options, circuit, false, "circuit", "FILE|LIST",
                   "instead, one's own circuit: a file as docs/formats.md has it, or a "
                   "list such as L3H5,L4N120@17,L5H0@data"),
    TL_OPTION_TEXT(options, without, false, "without", "FILE|LIST",
                   "what is taken out of that circuit, or of the whole model"),
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
    if (status == TL_OK && o.kind_fraction[0] != NULL && o.kind_fraction[1] != NULL &&
        (o.settings.fractions != NULL || o.grid_given))
        status = tl_cli_misuse(err,
                               "--%s changes nothing beside --head-fraction and "
                               "--neuron-fraction",
                               o.grid_given ? "grid" : "fractions");
    if (status == TL_OK && o.scores == NULL && o.circuit == NULL && o.without == NULL)
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
