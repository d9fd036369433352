/* SPDX-License-Identifier: MIT
 * cmd_overlap.c - `twinlens overlap`: how far a text and an image circuit are the same
 * parts, beside random circuits. */
#include <jansson.h>

#include "study/both_circuits.h"
#include "cli/command.h"
#include "cli/json_result.h"
#include "cli/shared_options.h"
#include "twinlens/statistics.h"

typedef struct options {
    tl_settings settings;
    tl_both_options both;
    bool json;
} options;

static const char letters[] = "DQG";

/* What is printed of heads, of neurons, or of both in one segment. */
typedef struct line {
    double iou;
    tl_moments random;
    double normalised;
} line;

/* The mean over `n_kinds` kinds, from `first` on. */
static line read_line(const tl_overlap *o, const tl_overlap_baseline *b, size_t s,
                      size_t first, size_t n_kinds, tl_niou niou)
{
    line l = {.random = n_kinds > 1 ? b->segment[s] : b->of[s][first]};
    double iou[TL_KIND_COUNT], random[TL_KIND_COUNT];
    for (size_t k = 0; k < n_kinds; k++) {
        iou[k] = o->of[s][first + k].iou;
        random[k] = b->of[s][first + k].mean;
        l.iou += iou[k] / (double)n_kinds;
    }
    l.normalised = niou == TL_NIOU_CORRECT
                       ? tl_overlap_normalised(l.iou, l.random.mean)
                       : tl_overlap_normalised_published(iou, random, n_kinds);
    return l;
}

static json_t *line_json(const line *l)
{
    return json_pack("{s:o, s:{s:o, s:o}, s:o}", "iou", tl_json_number(l->iou),
                     "random", "mean", tl_json_number(l->random.mean), "deviation",
                     tl_json_number(l->random.deviation), "normalised",
                     tl_json_number(l->normalised));
}

static json_t *segment_json(const tl_overlap *o, const tl_overlap_baseline *b, size_t s,
                            tl_niou niou)
{
    const line both = read_line(o, b, s, 0, TL_KIND_COUNT, niou);
    json_t *segment = line_json(&both);
    for (size_t k = 0; k < TL_KIND_COUNT; k++) {
        const tl_iou *iou = &o->of[s][k];
        const line one = read_line(o, b, s, k, 1, niou);
        json_t *kind = line_json(&one),
               *more = json_pack(
                   "{s:o, s:o, s:b}", "in_image", tl_json_number(iou->in_image),
                   "in_text", tl_json_number(iou->in_text), "empty", (int)iou->empty);
        json_object_update(kind, more);
        json_decref(more);
        json_object_set_new(segment, tl_kind_name((tl_component_kind)k), kind);
    }
    return segment;
}

static tl_status print_json(const tl_overlap *o, const tl_overlap_baseline *b,
                            tl_niou niou, FILE *out, tl_error *err)
{
    json_t *all = json_object();
    for (size_t s = 0; s < TL_SEGMENT_COUNT; s++) {
        const char key[2] = {letters[s], 0};
        json_object_set_new(all, key, segment_json(o, b, s, niou));
    }
    json_object_set_new(all, tl_overlap_part_name(TL_OVERLAP_WHOLE),
                        segment_json(o, b, TL_OVERLAP_WHOLE, niou));
    return tl_json_print(all, out, err);
}

static void print_line(const char *segment, const char *kind, line l, FILE *out)
{
    const double numbers[] = {l.iou, l.random.mean, l.random.deviation, l.normalised};
    fprintf(out, "%s\t%s\t", segment, kind);
    tl_print_numbers(out, numbers, 4);
    fputc('\n', out);
}

static void print_table(const tl_overlap *o, const tl_overlap_baseline *b, tl_niou niou,
                        FILE *out)
{
    fprintf(out, "segment\tkind\tiou\trandom\tdeviation\tnormalised\n");
    for (size_t s = 0; s < TL_OVERLAP_PARTS; s++) {
        const char *name = tl_overlap_part_name(s);
        for (size_t k = 0; k < TL_KIND_COUNT; k++)
            print_line(name, tl_kind_name((tl_component_kind)k),
                       read_line(o, b, s, k, 1, niou), out);
        print_line(name, "both", read_line(o, b, s, 0, TL_KIND_COUNT, niou), out);
    }
}

static tl_status overlap(tl_session *s, const void *options_given, FILE *out,
                         tl_error *err)
{
    const options *o = options_given;
    tl_both_circuits both;
    tl_overlap measured;
    tl_overlap_baseline baseline;
    tl_status status = tl_both_circuits_read(s, &o->both, &both, err);
    if (status == TL_OK)
        status = tl_overlap_measure(&both.set[TL_TEXT], &both.set[TL_IMAGE], &both.map,
                                    &measured, err);
    if (status == TL_OK)
        status =
            tl_overlap_random(&both.set[TL_TEXT], &both.set[TL_IMAGE], &both.map,
                              (tl_random_match)o->settings.rand_match,
                              o->settings.rand_draws, o->settings.seed, &baseline, err);
    if (status != TL_OK)
        return status;
    if (o->json)
        return print_json(&measured, &baseline, (tl_niou)o->settings.niou, out, err);
    print_table(&measured, &baseline, (tl_niou)o->settings.niou, out);
    return TL_OK;
}

static const tl_taken settings[] = {
    TL_TAKEN_MACHINE,       TL_TAKEN_DATASET, {.name = "pct"},  {.name = "rand-match"},
    {.name = "rand-draws"}, {.name = "niou"}, {.name = "seed"}, {0}};
static const tl_option own[] = {TL_OPTIONS_BOTH(options),
                                TL_OPTION_JSON(options, "as JSON"), TL_OPTIONS_END};

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    options o;
    return tl_session_command(&tl_command_overlap, argc, argv, out, &o, sizeof o,
                              overlap, err);
}

const tl_command tl_command_overlap = {
    .name = "overlap",
    .summary = "how far a text and an image circuit are the same parts",
    .settings = settings,
    .options = own,
    .run = run,
};
