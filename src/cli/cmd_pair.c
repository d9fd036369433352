/* SPDX-License-Identifier: MIT
 *
 * cmd_pair.c - `twinlens pair`: a dataset whose rows name counterfactuals and parts, as a
 * study draws them.
 */
#include <jansson.h>

#include "base/file.h"
#include "cli/command.h"
#include "cli/shared_options.h"
#include "result/json_result.h"
#include "study/drawn_pairs.h"
#include "study/row_lengths.h"
#include "task/paired_dataset.h"

typedef struct options {
    tl_settings settings;
    const char *out;
    bool json;
} options;

typedef struct drawn {
    bool is_there;
    tl_split split;
} drawn;

static void set_uses(tl_row_use *uses, const tl_split_pair *pairs, size_t n,
                     tl_part part)
{
    for (size_t i = 0; i < n; i++)
        uses[pairs[i].row] = (tl_row_use){true, part, pairs[i].counterfactual, NULL};
}

static tl_status draw(tl_session *s, tl_modality modality, tl_row_use *uses, drawn *out,
                      tl_error *err)
{
    const tl_dataset *d = s->dataset;
    const bool *kept = NULL;
    size_t n = 0;
    for (size_t i = 0; i < d->n_rows; i++)
        n += d->rows[i].modality == modality && d->rows[i].part != TL_NO_PART;
    if (s->settings.modality == TL_MODALITY_COUNT
            ? n == 0
            : s->settings.modality != (int)modality)
        return TL_OK;
    const tl_status status = tl_session_draw(s, modality, &out->split, &kept, err);
    if (status != TL_OK)
        return status;
    out->is_there = true;
    for (size_t i = 0; i < d->n_rows; i++)
        if (d->rows[i].modality == modality && d->rows[i].part != TL_NO_PART)
            uses[i] = (tl_row_use){
                true, TL_PART_NONE, TL_NO_ROW,
                kept[i]                               ? "not drawn"
                : tl_session_leaves_out(s, i)         ? "another length than most"
                : s->settings.keep == TL_KEEP_CORRECT ? "answered wrong"
                                                      : "stored answer wrong"};
    set_uses(uses, out->split.discovery, out->split.n_discovery, TL_DISCOVERY);
    set_uses(uses, out->split.evaluation, out->split.n_evaluation, TL_EVALUATION);
    return TL_OK;
}

static tl_status print_json(const drawn all[TL_MODALITY_COUNT], FILE *out,
                            tl_error *err)
{
    json_t *object = json_object();
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const tl_split *s = &all[m].split;
        if (all[m].is_there)
            json_object_set_new(object, tl_modality_name((tl_modality)m),
                                json_pack("{s:I, s:I, s:I, s:I}", "rows",
                                          (json_int_t)s->n_rows, "usable",
                                          (json_int_t)s->n_correct, "discovery",
                                          (json_int_t)s->n_discovery, "evaluation",
                                          (json_int_t)s->n_evaluation));
    }
    return tl_json_print(object, out, err);
}

static void print_table(const drawn all[TL_MODALITY_COUNT], FILE *out)
{
    fprintf(out, "modality\trows\tusable\tdiscovery\tevaluation\tleft_out\n");
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const tl_split *s = &all[m].split;
        if (all[m].is_there)
            fprintf(out, "%s\t%zu\t%zu\t%zu\t%zu\t%zu\n",
                    tl_modality_name((tl_modality)m), s->n_rows, s->n_correct,
                    s->n_discovery, s->n_evaluation,
                    s->n_rows - s->n_discovery - s->n_evaluation);
    }
}

static tl_status pair(tl_session *s, const void *options_given, FILE *out,
                      tl_error *err)
{
    const options *o = options_given;
    drawn all[TL_MODALITY_COUNT] = {{false, {0}}};
    tl_row_use *uses = tl_arena_alloc_zero(s->arena, s->dataset->n_rows, sizeof *uses);
    tl_status status = uses != NULL
                           ? tl_file_check_empty(o->out, false, err)
                           : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu rows",
                                     s->dataset->n_rows);
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++)
        status = draw(s, (tl_modality)m, uses, &all[m], err);
    if (status == TL_OK)
        status = tl_paired_dataset_write(s->dataset, uses, o->out, err);
    if (status != TL_OK)
        return status;
    if (o->json)
        return print_json(all, out, err);
    print_table(all, out);
    return TL_OK;
}

static const tl_taken settings[] = {TL_TAKEN_MODEL,       TL_TAKEN_DATASET,
                                    {.name = "modality"}, {.name = "rope"},
                                    TL_TAKEN_DRAWING(0),  {0}};
static const tl_option own[] = {TL_OPTION_TEXT(options, out, true, "out", "DIR",
                                               "the dataset's folder, new or empty"),
                                TL_OPTION_JSON(options, "what was drawn, as JSON"),
                                TL_OPTIONS_END};
static const tl_idle idle[] = {
    {.name = "acc", .beside = "keep", .value = "correct", .unless = true},
    {.name = "rope", .beside = "keep", .value = "correct", .unless = true},
    {.name = "precision", .beside = "keep", .value = "correct", .unless = true},
    {0}};

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    options o;
    return tl_session_command(&tl_command_pair, argc, argv, out, &o, sizeof o, pair,
                              err);
}

const tl_command tl_command_pair = {
    .name = "pair",
    .summary =
        "name counterfactuals and parts of a dataset's rows, as a study draws them",
    .settings = settings,
    .options = own,
    .idle = idle,
    .run = run,
};
