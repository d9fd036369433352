/* SPDX-License-Identifier: MIT
 * cmd_interchange.c - `twinlens interchange`: the faithfulness of each circuit with one
 * segment taken from the other modality's, or from random ones. */
#include <jansson.h>
#include <math.h>

#include "cli/command.h"
#include "cli/json_result.h"
#include "cli/shared_options.h"
#include "study/swaps.h"
#include "twinlens/statistics.h"

typedef struct options {
    tl_settings settings;
    tl_both_options both;
    tl_selection selection; /* of both modalities */
    bool json;
} options;

/* One circuit on one modality's prompts. */
typedef struct interchange_run {
    tl_swap swap;
    tl_faithfulness faithfulness;
} interchange_run;

typedef struct host {
    interchange_run *runs;
    tl_evaluation *results; /* [n_pairs] */
    size_t n_runs, n_pairs;
} host;

/* ---- the runs of one host -------------------------------------------------------- */

static tl_status summarise(host *h, size_t run, tl_arena *arena, tl_error *err)
{
    double *clean = tl_arena_alloc(arena, h->n_pairs, sizeof *clean),
           *none = tl_arena_alloc(arena, h->n_pairs, sizeof *none),
           *one = tl_arena_alloc(arena, h->n_pairs, sizeof *one),
           *room = tl_arena_alloc(arena, h->n_pairs, sizeof *room);
    if (clean == NULL || none == NULL || one == NULL || room == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pairs", h->n_pairs);
    for (size_t p = 0; p < h->n_pairs; p++) {
        clean[p] = h->results[p].clean;
        none[p] = h->results[p].none;
        one[p] = h->results[p].circuit[run];
    }
    h->runs[run].faithfulness =
        tl_faithfulness_summary(clean, none, one, h->n_pairs, room);
    return TL_OK;
}

/* Nothing swapped, each segment swapped, and each swapped for random ones. */
static tl_status run_host(tl_session *s, const options *o, const tl_both_circuits *both,
                          tl_modality modality, host *out, tl_error *err)
{
    tl_arena *arena = s->arena;
    host h = {.n_runs = tl_swap_count(o->settings.inter_draws)};
    tl_selection selection = o->selection;
    selection.modality = (int)modality;
    selection.usual = TL_EVALUATION;
    tl_pair *pairs = NULL;
    tl_status status =
        tl_session_pairs(s, &selection, "interchange", &pairs, &h.n_pairs, err);
    if (status != TL_OK)
        return status;
    h.runs = tl_arena_alloc_zero(arena, h.n_runs, sizeof *h.runs);
    h.results = tl_arena_alloc(arena, h.n_pairs, sizeof *h.results);
    double *ld = tl_arena_alloc(arena, h.n_runs * h.n_pairs, sizeof *ld);
    tl_circuit *circuits = tl_arena_alloc_zero(arena, h.n_runs, sizeof *circuits);
    if (h.runs == NULL || h.results == NULL || ld == NULL || circuits == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu runs", h.n_runs);
    for (size_t i = 0; i < h.n_runs && status == TL_OK; i++) {
        status =
            tl_swap_make(both, modality, i, &o->settings, arena, &h.runs[i].swap, err);
        circuits[i].set = &h.runs[i].swap.set;
    }
    for (size_t p = 0; p < h.n_pairs; p++)
        h.results[p].circuit = ld + p * h.n_runs;
    const tl_evaluate_options how = {.memory_budget = s->settings.memory,
                                     .ablate = (tl_ablate)o->settings.ablate};
    if (status == TL_OK)
        status = tl_evaluate(s->model, pairs, h.n_pairs, circuits, h.n_runs, &how,
                             h.results, err);
    for (size_t i = 0; i < h.n_runs && status == TL_OK; i++)
        status = summarise(&h, i, arena, err);
    if (status == TL_OK)
        *out = h;
    return status;
}

/* ---- what comes of them ---------------------------------------------------------- */

static double chosen(const interchange_run *run, int faith)
{
    return faith == TL_FAITH_MEAN_RATIO ? run->faithfulness.mean_of_ratios
                                        : run->faithfulness.ratio_of_means;
}

/* Mean (and deviation) over the draws of one random part. */
static tl_moments random_part(const host *h, size_t segment, const options *o)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < h->n_runs; i++)
        if (h->runs[i].swap.is_random && h->runs[i].swap.segment == segment)
            sum += chosen(&h->runs[i], o->settings.faith);
    const double mean = sum / (double)o->settings.inter_draws;
    for (size_t i = 0; i < h->n_runs; i++)
        if (h->runs[i].swap.is_random && h->runs[i].swap.segment == segment)
            squares += pow(chosen(&h->runs[i], o->settings.faith) - mean, 2);
    return (tl_moments){mean,
                        o->settings.inter_draws > 1
                            ? sqrt(squares / (double)(o->settings.inter_draws - 1))
                            : 0.0};
}

/* Of one segment: with the foreign part, with random ones, with its own. */
typedef struct comparison {
    double value, random, deviation, ceiling, normalised;
} comparison;

static comparison compare_segment(const host hosts[TL_MODALITY_COUNT], size_t n_hosts,
                                  size_t first, size_t segment, const options *o)
{
    comparison v = {0};
    for (size_t m = first; m < first + n_hosts; m++) {
        const tl_moments random = random_part(&hosts[m], segment, o);
        v.value +=
            chosen(&hosts[m].runs[1 + segment], o->settings.faith) / (double)n_hosts;
        v.ceiling += chosen(&hosts[m].runs[0], o->settings.faith) / (double)n_hosts;
        v.random += random.mean / (double)n_hosts;
        v.deviation += random.deviation / (double)n_hosts;
    }
    v.normalised = tl_interchange_normalised(v.value, v.random, v.ceiling);
    return v;
}

static const char *origin(const interchange_run *run, size_t segment)
{
    if (segment != run->swap.segment)
        return tl_modality_name(run->swap.host);
    return run->swap.is_random
               ? "random"
               : tl_modality_name(run->swap.host == TL_TEXT ? TL_IMAGE : TL_TEXT);
}

static json_t *run_json(const host *h, size_t i, int faith)
{
    const interchange_run *run = &h->runs[i];
    json_t *ld = json_array();
    for (size_t p = 0; p < h->n_pairs; p++)
        json_array_append_new(ld, json_pack("[o, o, o]",
                                            tl_json_number(h->results[p].clean),
                                            tl_json_number(h->results[p].circuit[i]),
                                            tl_json_number(h->results[p].none)));
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:I, s:I}", "host",
        tl_modality_name(run->swap.host), "data", origin(run, TL_SEGMENT_DATA), "query",
        origin(run, TL_SEGMENT_QUERY), "generation", origin(run, TL_SEGMENT_GENERATION),
        "heads", (json_int_t)run->swap.n_heads, "neurons",
        (json_int_t)run->swap.n_neurons, "ld", ld, "faithfulness",
        tl_json_number(chosen(run, faith)), "n", (json_int_t)run->faithfulness.n,
        "excluded", (json_int_t)run->faithfulness.n_excluded);
    if (run->swap.is_random)
        json_object_set_new(json, "draw", json_integer((json_int_t)run->swap.draw));
    return json;
}

static json_t *comparison_json(const comparison *v)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o}", "value", tl_json_number(v->value), "random",
        tl_json_number(v->random), "deviation", tl_json_number(v->deviation), "ceiling",
        tl_json_number(v->ceiling), "normalised", tl_json_number(v->normalised));
}

static tl_status print_json(const tl_model *model, const host hosts[TL_MODALITY_COUNT],
                            const options *o, FILE *out, tl_error *err)
{
    json_t *runs = json_array(), *segments = json_object();
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        for (size_t i = 0; i < hosts[m].n_runs; i++)
            json_array_append_new(runs, run_json(&hosts[m], i, o->settings.faith));
    for (size_t s = 0; s < TL_SEGMENT_COUNT; s++) {
        const comparison both = compare_segment(hosts, 2, 0, s, o),
                         text = compare_segment(hosts, 1, TL_TEXT, s, o),
                         image = compare_segment(hosts, 1, TL_IMAGE, s, o);
        json_object_set_new(segments, tl_segment_name((tl_segment)s),
                            json_pack("{s:o, s:o, s:o}", "both", comparison_json(&both),
                                      "on_text", comparison_json(&text), "on_image",
                                      comparison_json(&image)));
    }
    json_t *all = json_pack("{s:o, s:o}", "runs", runs, "segments", segments);
    return tl_json_print_work(all, model, out, err);
}

static void print_table(const host hosts[TL_MODALITY_COUNT], const options *o,
                        FILE *out)
{
    static const struct {
        const char *name;
        size_t first, n;
    } of[] = {{"both", 0, 2}, {"text", TL_TEXT, 1}, {"image", TL_IMAGE, 1}};
    fprintf(out, "swapped\ton\tfaithfulness\trandom\tdeviation\town\tnormalised\n");
    for (size_t s = 0; s < TL_SEGMENT_COUNT; s++)
        for (size_t i = 0; i < 3; i++) {
            const comparison v = compare_segment(hosts, of[i].n, of[i].first, s, o);
            const double numbers[] = {v.value, v.random, v.deviation, v.ceiling,
                                      v.normalised};
            fprintf(out, "%s\t%s\t", tl_segment_name((tl_segment)s), of[i].name);
            tl_print_numbers(out, numbers, 5);
            fputc('\n', out);
        }
}

static tl_status interchange(tl_session *s, const void *options_given, FILE *out,
                             tl_error *err)
{
    const options *o = options_given;
    tl_both_options scores = o->both;
    tl_status status = TL_OK;
    tl_both_circuits both;
    host hosts[TL_MODALITY_COUNT];
    scores.settings = (const char *const[]){"rope", "precision", "metric", NULL};
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++) {
        tl_selection selection = o->selection;
        selection.modality = (int)m;
        selection.usual = TL_EVALUATION;
        status = tl_session_draw_missing(s, &selection, err);
        scores.judged = tl_session_part(s, &selection);
    }
    if (status == TL_OK)
        status = tl_both_circuits_read(s, &scores, &both, err);
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++)
        status = run_host(s, o, &both, (tl_modality)m, &hosts[m], err);
    if (status == TL_OK && o->json)
        status = print_json(s->model, hosts, o, out, err);
    else if (status == TL_OK)
        print_table(hosts, o, out);
    return status;
}

static const tl_taken settings[] = {
    TL_TAKEN_MODEL,
    TL_TAKEN_DATASET,
    {.name = "rope"},
    {.name = "pct"},
    {.name = "inter-rand"},
    {.name = "inter-draws", .as = "rand-draws"},
    TL_TAKEN_DRAWING(offsetof(options, selection.draws)),
    {.name = "faith"},
    {.name = "ablate"},
    {0}};
static const tl_option own[] = {
    TL_OPTIONS_BOTH(options),
    TL_OPTION_SPLIT(offsetof(options, selection.part),
                    offsetof(options, selection.part_given), TL_USUAL_EVALUATION),
    TL_OPTION_JSON(options, "with the logit differences of every prompt"),
    TL_OPTIONS_END};

static const tl_idle idle[] = {TL_IDLE_DRAWING, {0}};

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    options o;
    return tl_session_command(&tl_command_interchange, argc, argv, out, &o, sizeof o,
                              interchange, err);
}

const tl_command tl_command_interchange = {
    .name = "interchange",
    .summary = "whether parts of a text and an image circuit do each other's job",
    .settings = settings,
    .options = own,
    .idle = idle,
    .run = run,
};
