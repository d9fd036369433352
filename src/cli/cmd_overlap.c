/* SPDX-License-Identifier: MIT
 * cmd_overlap.c - `twinlens overlap`: how far a text and an image circuit are the same
 * parts, beside random circuits. */
#include <jansson.h>

#include "cli/attribution_options.h"
#include "cli/both_circuits.h"
#include "cli/cli.h"

typedef struct options {
    tl_session_options session;
    tl_both_options both;
    int match;
    size_t draws;
    uint64_t seed;
    bool json;
} options;

static const char letters[] = "DQG";

static json_t *one_kind(const tl_iou *iou, const tl_moments *random)
{
    return json_pack("{s:f, s:f, s:f, s:b, s:{s:f, s:f}, s:f}", "iou", iou->iou,
                     "in_image", iou->in_image, "in_text", iou->in_text, "empty",
                     (int)iou->empty, "random", "mean", random->mean, "deviation",
                     random->deviation, "normalised",
                     tl_overlap_normalised(iou->iou, random->mean));
}

static double both_kinds(const tl_overlap *o, size_t s)
{
    return (o->of[s][TL_KIND_HEADS].iou + o->of[s][TL_KIND_NEURONS].iou) / 2;
}

static tl_status print_json(const tl_overlap *o, const tl_overlap_baseline *b,
                            FILE *out, tl_error *err)
{
    json_t *all = json_object();
    bool whole = all != NULL;
    for (size_t s = 0; s < TL_SEGMENT_COUNT && whole; s++) {
        const char key[2] = {letters[s], 0};
        json_t *segment = json_pack(
            "{s:o, s:o, s:f, s:{s:f, s:f}, s:f}", "heads",
            one_kind(&o->of[s][TL_KIND_HEADS], &b->of[s][TL_KIND_HEADS]), "neurons",
            one_kind(&o->of[s][TL_KIND_NEURONS], &b->of[s][TL_KIND_NEURONS]), "iou",
            both_kinds(o, s), "random", "mean", b->segment[s].mean, "deviation",
            b->segment[s].deviation, "normalised",
            tl_overlap_normalised(both_kinds(o, s), b->segment[s].mean));
        whole = segment != NULL && json_object_set_new(all, key, segment) == 0;
    }
    if (whole) {
        json_dumpf(all, out, JSON_COMPACT);
        fputc('\n', out);
    }
    json_decref(all);
    return whole ? TL_OK : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the result");
}

static void print_line(const char *segment, const char *kind, double iou,
                       const tl_moments *b, FILE *out)
{
    fprintf(out, "%s\t%s\t%.4f\t%.4f\t%.4f\t%.4f\n", segment, kind, iou, b->mean,
            b->deviation, tl_overlap_normalised(iou, b->mean));
}

static void print_table(const tl_overlap *o, const tl_overlap_baseline *b, FILE *out)
{
    fprintf(out, "segment\tkind\tiou\trandom\tdeviation\tnormalised\n");
    for (size_t s = 0; s < TL_SEGMENT_COUNT; s++) {
        const char *name = tl_segment_name((tl_segment)s);
        for (size_t k = 0; k < TL_KIND_COUNT; k++)
            print_line(name, tl_kind_name((tl_component_kind)k), o->of[s][k].iou,
                       &b->of[s][k], out);
        print_line(name, "both", both_kinds(o, s), &b->segment[s], out);
    }
}

static tl_status overlap(tl_session *s, const void *options_given, FILE *out,
                         tl_error *err)
{
    const options *o = options_given;
    tl_both_circuits both;
    tl_overlap measured;
    tl_overlap_baseline baseline;
    tl_status status = tl_both_circuits_read(s, &o->session, &o->both, &both, err);
    if (status == TL_OK)
        status = tl_overlap_measure(&both.set[TL_TEXT], &both.set[TL_IMAGE], &both.map,
                                    &measured, err);
    if (status == TL_OK)
        status = tl_overlap_random(&both.set[TL_TEXT], &both.set[TL_IMAGE], &both.map,
                                   (tl_random_match)o->match, o->draws, o->seed,
                                   &baseline, err);
    if (status != TL_OK)
        return status;
    if (o->json)
        return print_json(&measured, &baseline, out, err);
    print_table(&measured, &baseline, out);
    return TL_OK;
}

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    static const tl_choice matches[] = {{"whole", TL_MATCH_WHOLE},
                                        {"segment", TL_MATCH_SEGMENT},
                                        {"unique", TL_MATCH_UNIQUE},
                                        {0}};
    options o = {.draws = 20};
    const tl_option table[] = {
        TL_OPTIONS_MODEL(o.session),
        TL_OPTIONS_DATASET(o.session),
        TL_OPTIONS_BOTH(o.both),
        {.name = "rand-match",
         .kind = TL_OPTION_CHOICE,
         .value = &o.match,
         .argument = "whole|segment|unique",
         .help =
             "random circuits have as many components in all, in each segment, or in "
             "the data as many with positions dropped (whole)",
         .choices = matches},
        {.name = "rand-draws",
         .kind = TL_OPTION_SIZE,
         .value = &o.draws,
         .argument = "N",
         .help = "random circuits (20)"},
        {.name = "seed",
         .kind = TL_OPTION_SEED,
         .value = &o.seed,
         .argument = "S",
         .help = "of the random circuits (0)"},
        {.name = "json", .kind = TL_OPTION_FLAG, .value = &o.json, .help = "as JSON"},
    };
    return tl_session_command("overlap", table, sizeof table / sizeof table[0], argc,
                              argv, out, &o.session, overlap, &o, err);
}

const tl_command tl_command_overlap = {
    .name = "overlap",
    .summary = "how far a text and an image circuit are the same parts",
    .run = run,
};
