/* SPDX-License-Identifier: MIT
 * cmd_attribute.c - `twinlens attribute`: scores of every head and neuron at every
 * position, over the pairs that the dataset names. */
#include <jansson.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/shared_options.h"
#include "result/json_result.h"
#include "store/score_file.h"
#include "study/score_origin.h"
#include "study/session.h"

typedef struct options {
    tl_settings settings;
    tl_selection selection;
    const char *out;
    bool raw_sign, json;
} options;

static tl_status write_scores(const tl_session *s, const options *o,
                              const tl_scores *scores, size_t n_pairs, tl_error *err)
{
    const tl_selection *of = &o->selection;
    const tl_score_origin origin = {
        .modality = (tl_modality)of->modality,
        .split = of->ids != NULL
                     ? "ids"
                     : tl_choice_name(tl_part_choices, (int)tl_session_part(s, of)),
        .n_pairs = n_pairs,
        .is_drawn = s->is_drawn[of->modality],
        .raw_sign = o->raw_sign,
    };
    const char *const(*lines)[2] = NULL;
    size_t n_lines = 0;
    const tl_status status = tl_score_origin_write(s, &origin, &lines, &n_lines, err);
    return status == TL_OK
               ? tl_score_file_write(o->out, scores, NULL, lines, n_lines, err)
               : status;
}

static tl_status attribute(tl_session *s, const options *o, FILE *out, tl_error *err)
{
    tl_pair *pairs = NULL;
    size_t n = 0;
    tl_attribution *attribution = NULL;
    tl_scores scores;
    tl_status status = tl_options_check_drawing(s, &o->selection, err);
    if (status == TL_OK)
        status = tl_session_pairs(s, &o->selection, "attribute", &pairs, &n, err);
    if (status != TL_OK)
        return status;
    const size_t n_pos = pairs[0].clean.n_pos;
    tl_attribution_options how = tl_settings_attribution(&s->settings, 0);
    how.raw_sign = o->raw_sign;
    status = tl_session_attribution(s, n_pos, o->out, &how, err);
    if (status != TL_OK)
        return status;
    tl_arena *arena = tl_arena_create_in(how.folder);
    status = arena != NULL
                 ? tl_attribution_create(s->model, n_pos, &how, &attribution, err)
                 : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for scores");
    if (status == TL_OK)
        status = tl_attribution_add(attribution, pairs, n, err);
    if (status == TL_OK)
        status = tl_attribution_scores(attribution, arena, &scores, err);
    tl_attribution_destroy(attribution);
    if (status == TL_OK)
        status = write_scores(s, o, &scores, n, err);
    tl_arena_destroy(arena);
    if (status != TL_OK || !o->json)
        return status;
    return tl_json_print_work(
        json_pack("{s:s, s:I}", "scores", o->out, "prompts", (json_int_t)n), s->model,
        out, err);
}

static const tl_taken settings[] = {
    TL_TAKEN_MODEL,
    TL_TAKEN_DATASET,
    TL_TAKEN_ATTRIBUTION,
    TL_TAKEN_DRAWING(offsetof(options, selection.draws)),
    {0}};
static const tl_option own[] = {
    TL_OPTIONS_SELECTION(options, TL_USUAL_DISCOVERY),
    TL_OPTION_TEXT(options, out, true, "out", "FILE", "score file to write"),
    {.setting = {.name = "signed",
                 .offset = offsetof(options, raw_sign),
                 .help = "no absolute value anywhere"},
     .is_flag = true},
    TL_OPTION_JSON(options, "what it took, as JSON"),
    TL_OPTIONS_END};

static const tl_idle idle[] = {TL_IDLE_SELECTION,
                               TL_IDLE_DRAWING,
                               TL_IDLE_METHOD,
                               {.name = "head-reduce", .beside = "signed"},
                               {.name = "prompt-reduce", .beside = "signed"},
                               {0}};

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    options o;
    tl_status status =
        tl_options_read(&tl_command_attribute, argc, argv, &o, sizeof o, err);
    if (status == TL_OK)
        status = tl_options_check_output(o.out, err);
    o.selection.usual = TL_DISCOVERY;
    tl_session s;
    if (status == TL_OK)
        status = tl_session_open(&o.settings, &s, err);
    if (status != TL_OK)
        return status;
    status = attribute(&s, &o, out, err);
    tl_session_close(&s);
    return status;
}

const tl_command tl_command_attribute = {
    .name = "attribute",
    .summary = "scores of every head and neuron at every position",
    .settings = settings,
    .options = own,
    .idle = idle,
    .run = run,
};
