/* SPDX-License-Identifier: MIT
 * cmd_overlap.c - `twinlens overlap`: how far a text and an image circuit are the same
 * parts, beside random circuits. */
#include <jansson.h>

#include "cli/command.h"
#include "cli/shared_options.h"
#include "finding/finding_rows.h"
#include "result/json_result.h"
#include "study/overlap_rows.h"
#include "twinlens/log.h"

typedef struct options {
    tl_settings settings;
    tl_both_options both;
    bool json;
} options;

static const char letters[] = "DQG";

static json_t *overlap_json(const tl_finding_overlap *f)
{
    const tl_study_overlap *o = f->row;
    return json_pack(
        "{s:o, s:{s:o, s:o}, s:o, s:o, s:o, s:b, s:{s:o, s:o, s:o}}", "iou",
        tl_json_number(o->iou), "random", "mean", tl_json_number(o->random),
        "deviation", tl_json_number(o->deviation), "normalised",
        tl_json_number(f->normalised.value), "in_image", tl_json_number(o->in_image),
        "in_text", tl_json_number(o->in_text), "empty", (int)o->is_empty, "intervals",
        "iou", tl_json_interval(&f->iou), "random", tl_json_interval(&f->random),
        "normalised", tl_json_interval(&f->normalised));
}

/* Rows are heads and neurons of a part, then both. */
static tl_status print_json(const tl_finding_overlap *found, FILE *out, tl_error *err)
{
    json_t *all = json_object();
    for (size_t s = 0; s < TL_OVERLAP_PARTS; s++, found += TL_KIND_COUNT + 1) {
        const char letter[2] = {letters[s], 0};
        json_t *part = overlap_json(&found[TL_KIND_COUNT]);
        for (size_t k = 0; k < TL_KIND_COUNT; k++)
            json_object_set_new(part, found[k].row->kind, overlap_json(&found[k]));
        json_object_set_new(
            all, s == TL_OVERLAP_WHOLE ? tl_overlap_part_name(s) : letter, part);
    }
    return tl_json_print(all, out, err);
}

static void print_table(const tl_finding_overlap *found, FILE *out)
{
    fprintf(out, "segment\tkind\tiou\trandom\trandom_low\trandom_high\tdeviation\t"
                 "normalised\tlow\thigh\tdraws\n");
    for (size_t i = 0; i < TL_OVERLAP_ROWS; i++) {
        const tl_finding_overlap *f = &found[i];
        fprintf(out, "%s\t%s\t", f->row->segment, f->row->kind);
        tl_print_numbers(out, &f->iou.value, 1);
        fputc('\t', out);
        tl_print_interval(out, &f->random);
        fputc('\t', out);
        tl_print_numbers(out, &f->row->deviation, 1);
        fputc('\t', out);
        tl_print_interval(out, &f->normalised);
        fprintf(out, "\t%zu\n", f->normalised.n);
    }
}

static tl_status overlap(tl_session *s, const void *options_given, FILE *out,
                         tl_error *err)
{
    const options *o = options_given;
    tl_both_circuits both;
    tl_study_overlap rows[TL_OVERLAP_ROWS];
    const tl_overlap_rows of = {.rows = rows,
                                .n = TL_OVERLAP_ROWS,
                                .n_draws = o->settings.rand_draws,
                                .published = o->settings.niou == TL_NIOU_PUBLISHED};
    const tl_finding_overlap *found = NULL;
    tl_status status = tl_both_circuits_read(s, &o->both, &both, err);
    if (status == TL_OK)
        status = tl_overlap_rows_measure(&both, &s->settings, rows, err);
    if (status == TL_OK)
        status = tl_finding_overlaps_of(&of, s->arena, &found, err);
    if (status != TL_OK)
        return status;
    tl_log(TL_LOG_INFO, "intervals are over random draws alone: one over prompts takes "
                        "scores without parts of them, which are in no score file");
    if (o->json)
        return print_json(found, out, err);
    print_table(found, out);
    return TL_OK;
}

static const tl_taken settings[] = {
    TL_TAKEN_MACHINE,       TL_TAKEN_DATASET,       {.name = "pct"},
    {.name = "rand-match"}, {.name = "rand-draws"}, {.name = "niou"},
    {.name = "seed"},       {.name = "length"},     {0}};
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
