/* SPDX-License-Identifier: MIT
 * cmd_interchange.c - `twinlens interchange`: the faithfulness of each circuit with one
 * segment taken from the other modality's, or from random ones. */
#include <jansson.h>
#include <string.h>

#include "cli/command.h"
#include "cli/shared_options.h"
#include "finding/finding_rows.h"
#include "result/json_result.h"
#include "study/swapped_pairs.h"

typedef struct options {
    tl_settings settings;
    tl_both_options both;
    tl_selection selection; /* of both modalities */
    bool json;
} options;

/* What a part of a circuit is taken from. */
static const char *origin(const tl_study_swap *swap, tl_segment segment)
{
    if (strcmp(swap->swapped, tl_segment_name(segment)) != 0)
        return tl_modality_name(swap->host);
    return swap->is_random
               ? "random"
               : tl_modality_name(swap->host == TL_TEXT ? TL_IMAGE : TL_TEXT);
}

static tl_status run_json(const tl_swap_rows *h, size_t i, bool ratio_of_means,
                          json_t *runs, tl_error *err)
{
    const tl_study_swap *swap = &h->swaps[i];
    tl_faithfulness_sums sums = {0};
    tl_interval f;
    const tl_status status = tl_finding_swap_run_of(h, i, ratio_of_means, &f, err);
    if (status != TL_OK)
        return status;
    json_t *ld = json_array();
    for (size_t p = 0; p < h->n_pairs; p++) {
        const double clean = h->base[p].clean, none = h->base[p].none,
                     one = h->runs[p * h->n_swaps + i].logit_diff;
        tl_faithfulness_add(&sums, clean, none, one);
        json_array_append_new(ld, json_pack("[o, o, o]", tl_json_number(clean),
                                            tl_json_number(one), tl_json_number(none)));
    }
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:I, s:I, s:o}", "host",
        tl_modality_name(swap->host), "data", origin(swap, TL_SEGMENT_DATA), "query",
        origin(swap, TL_SEGMENT_QUERY), "generation",
        origin(swap, TL_SEGMENT_GENERATION), "heads", (json_int_t)swap->n_heads,
        "neurons", (json_int_t)swap->n_neurons, "ld", ld, "faithfulness",
        tl_json_number(f.value), "n", (json_int_t)sums.n, "excluded",
        (json_int_t)sums.n_excluded, "intervals",
        json_pack("{s:o}", "faithfulness", tl_json_interval(&f)));
    if (swap->is_random)
        json_object_set_new(json, "draw", json_integer((json_int_t)swap->draw));
    json_array_append_new(runs, json);
    return TL_OK;
}

static json_t *swap_json(const tl_finding_swap *v)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o, s:o}}", "value",
        tl_json_number(v->value.value), "random", tl_json_number(v->random.value),
        "deviation", tl_json_number(v->spread), "ceiling", tl_json_number(v->own.value),
        "normalised", tl_json_number(v->normalised.value), "intervals", "value",
        tl_json_interval(&v->value), "random", tl_json_interval(&v->random), "ceiling",
        tl_json_interval(&v->own), "normalised", tl_json_interval(&v->normalised));
}

/* Each segment on both hosts, and on each of them. */
enum { HOSTS = 1 + TL_MODALITY_COUNT };
typedef struct comparison {
    tl_finding_swap of[TL_SEGMENT_COUNT][HOSTS];
} comparison;
static const struct {
    const char *name, *key;
    size_t first, n;
} on[HOSTS] = {{"both", "both", 0, TL_MODALITY_COUNT},
               {"text", "on_text", TL_TEXT, 1},
               {"image", "on_image", TL_IMAGE, 1}};

static tl_status print_json(const tl_model *model,
                            const tl_swap_rows hosts[TL_MODALITY_COUNT],
                            const comparison *c, bool ratio_of_means, FILE *out,
                            tl_error *err)
{
    json_t *runs = json_array(), *segments = json_object();
    tl_status status = TL_OK;
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        for (size_t i = 0; i < hosts[m].n_swaps && status == TL_OK; i++)
            status = run_json(&hosts[m], i, ratio_of_means, runs, err);
    for (size_t s = 0; s < TL_SEGMENT_COUNT; s++) {
        json_t *segment = json_object();
        for (size_t i = 0; i < HOSTS; i++)
            json_object_set_new(segment, on[i].key, swap_json(&c->of[s][i]));
        json_object_set_new(segments, tl_segment_name((tl_segment)s), segment);
    }
    json_t *all = json_pack("{s:o, s:o}", "runs", runs, "segments", segments);
    if (status == TL_OK)
        return tl_json_print_work(all, model, out, err);
    json_decref(all);
    return status;
}

static void print_table(const comparison *c, FILE *out)
{
    fprintf(out, "swapped\ton\tfaithfulness\tlow\thigh\trandom\trandom_low\t"
                 "random_high\tdeviation\town\town_low\town_high\tnormalised\t"
                 "normalised_low\tnormalised_high\tpairs\n");
    for (size_t s = 0; s < TL_SEGMENT_COUNT; s++)
        for (size_t i = 0; i < HOSTS; i++) {
            const tl_finding_swap *v = &c->of[s][i];
            fprintf(out, "%s\t%s\t", tl_segment_name((tl_segment)s), on[i].name);
            tl_print_interval(out, &v->value);
            fputc('\t', out);
            tl_print_interval(out, &v->random);
            fputc('\t', out);
            tl_print_numbers(out, &v->spread, 1);
            fputc('\t', out);
            tl_print_interval(out, &v->own);
            fputc('\t', out);
            tl_print_interval(out, &v->normalised);
            fprintf(out, "\t%zu\n", v->value.n);
        }
}

static tl_status interchange(tl_session *s, const void *options_given, FILE *out,
                             tl_error *err)
{
    const options *o = options_given;
    const bool ratio_of_means = o->settings.faith == TL_FAITH_RATIO_MEAN;
    tl_both_options scores = o->both;
    tl_selection selection = o->selection;
    tl_status status = TL_OK;
    tl_both_circuits both;
    tl_swap_rows hosts[TL_MODALITY_COUNT];
    comparison c;
    selection.usual = TL_EVALUATION;
    scores.settings =
        (const char *const[]){"rope", "chat", "precision", "metric", NULL};
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++) {
        selection.modality = (int)m;
        status = tl_session_draw_missing(s, &selection, err);
        scores.judged = tl_session_part(s, &selection);
    }
    if (status == TL_OK)
        status = tl_both_circuits_read(s, &scores, &both, err);
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++) {
        tl_swapped_pairs host = {0};
        selection.modality = (int)m;
        status = tl_swapped_pairs_run(s, &both, &selection, &host, err);
        hosts[m] = (tl_swap_rows){host.base, host.runs, host.swaps, host.n_swaps,
                                  host.n_pairs};
    }
    for (size_t i = 0; i < TL_SEGMENT_COUNT * HOSTS && status == TL_OK; i++)
        status = tl_finding_swap_of(hosts + on[i % HOSTS].first, on[i % HOSTS].n,
                                    (tl_segment)(i / HOSTS), ratio_of_means, s->arena,
                                    &c.of[i / HOSTS][i % HOSTS], err);
    if (status == TL_OK && o->json)
        status = print_json(s->model, hosts, &c, ratio_of_means, out, err);
    else if (status == TL_OK)
        print_table(&c, out);
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
