/* SPDX-License-Identifier: MIT
 * cmd_attribute.c - `twinlens attribute`: scores of every head and neuron at every
 * position, over the pairs that the dataset names. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "study/fingerprint.h"
#include "study/session.h"
#include "cli/shared_options.h"
#include "store/score_file.h"
#include "twinlens/version.h"

typedef struct options {
    tl_settings settings;
    tl_selection selection;
    const char *out;
    bool raw_sign;
} options;

static tl_status attribute(tl_session *s, const options *o, tl_error *err)
{
    tl_pair *pairs = NULL;
    size_t n = 0;
    tl_attribution *attribution = NULL;
    tl_scores scores;
    tl_fingerprint made_from;
    tl_status status = tl_session_pairs(s, &o->selection, "attribute", &pairs, &n, err);
    if (status == TL_OK)
        status =
            tl_fingerprint_take(&o->settings, s->dataset, s->arena, &made_from, err);
    if (status != TL_OK)
        return status;
    tl_attribution_options how =
        tl_settings_attribution(&s->settings, s->settings.memory);
    how.raw_sign = o->raw_sign;
    status =
        tl_attribution_create(s->model, pairs[0].clean.n_pos, &how, &attribution, err);
    if (status == TL_OK)
        status = tl_attribution_add(attribution, pairs, n, err);
    if (status == TL_OK)
        status = tl_attribution_scores(attribution, s->arena, &scores, err);
    tl_attribution_destroy(attribution);
    if (status != TL_OK)
        return status;

    char n_pairs[32], steps[32];
    snprintf(n_pairs, sizeof n_pairs, "%zu", n);
    snprintf(steps, sizeof steps, "%zu", how.ig_steps > 0 ? how.ig_steps : 5);
    const char *const metadata[][2] = {
        {"twinlens", TL_VERSION},
        {"model", tl_session_model_name(&o->settings)},
        {"dataset", o->settings.dataset},
        {TL_FINGERPRINT_MODEL, made_from.model},
        {TL_FINGERPRINT_DATASET, made_from.dataset},
        {"split", tl_choice_name(tl_part_choices, o->selection.part)},
        {"modality", tl_modality_name((tl_modality)o->selection.modality)},
        {"prompts", n_pairs},
        {"ig_steps", steps},
        {"ig_path", tl_choice_name(tl_ig_path_choices, s->settings.ig_path)},
        {"rope", tl_choice_name(tl_rope_choices, s->settings.rope)},
        {"head_reduce",
         tl_choice_name(tl_head_reduce_choices, s->settings.head_reduce)},
        {"prompt_reduce",
         tl_choice_name(tl_prompt_reduce_choices, s->settings.prompt_reduce)},
        {"signed", how.raw_sign ? "true" : "false"},
    };
    return tl_score_file_write(o->out, &scores, metadata,
                               sizeof metadata / sizeof metadata[0], err);
}

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    options o = {0};
    tl_settings_init(&o.settings);
    const tl_option table[] = {
        TL_OPTIONS_MODEL(o.settings),
        TL_OPTIONS_DATASET(o.settings),
        TL_OPTIONS_ROPE(o.settings),
        TL_OPTIONS_SELECTION(o.selection),
        {.name = "out",
         .kind = TL_OPTION_STRING,
         .value = &o.out,
         .argument = "FILE",
         .help = "score file to write",
         .required = true},
        TL_OPTIONS_ATTRIBUTION(o.settings),
        {.name = "signed",
         .kind = TL_OPTION_FLAG,
         .value = &o.raw_sign,
         .help = "no absolute value anywhere"},
    };
    bool help = false;
    tl_status status = tl_options_parse(table, sizeof table / sizeof table[0],
                                        "attribute", argc, argv, out, &help, err);
    if (status != TL_OK || help)
        return status;
    tl_session s;
    if ((status = tl_options_check_output(o.out, err)) != TL_OK ||
        (status = tl_session_open(&o.settings, &s, err)) != TL_OK)
        return status;
    status = attribute(&s, &o, err);
    tl_session_close(&s);
    return status;
}

const tl_command tl_command_attribute = {
    .name = "attribute",
    .summary = "scores of every head and neuron at every position",
    .run = run,
};
