/* SPDX-License-Identifier: MIT
 *
 * both_circuits.h - what commands on two circuits begin with: score files and
 * fractions of both modalities, read into sets, and the map between their positions.
 */
#ifndef TWINLENS_CLI_BOTH_CIRCUITS_H
#define TWINLENS_CLI_BOTH_CIRCUITS_H

#include "cli/session.h"
#include "twinlens/overlap.h"

typedef struct tl_both_options {
    const char *scores[TL_MODALITY_COUNT], *fraction[TL_MODALITY_COUNT];
    int rounding;
    bool any_scores;
} tl_both_options;

#define TL_OPTIONS_BOTH(b)                                                             \
    {.name = "text-scores",                                                            \
     .kind = TL_OPTION_STRING,                                                         \
     .value = &(b).scores[TL_TEXT],                                                    \
     .argument = "FILE",                                                               \
     .help = "a score file of text prompts",                                           \
     .required = true},                                                                \
        {.name = "image-scores",                                                       \
         .kind = TL_OPTION_STRING,                                                     \
         .value = &(b).scores[TL_IMAGE],                                               \
         .argument = "FILE",                                                           \
         .help = "and one of image prompts",                                           \
         .required = true},                                                            \
        {.name = "text-fraction",                                                      \
         .kind = TL_OPTION_STRING,                                                     \
         .value = &(b).fraction[TL_TEXT],                                              \
         .argument = "P",                                                              \
         .help = "size of the text circuit, such as 0.05",                             \
         .required = true},                                                            \
        {.name = "image-fraction",                                                     \
         .kind = TL_OPTION_STRING,                                                     \
         .value = &(b).fraction[TL_IMAGE],                                             \
         .argument = "P",                                                              \
         .help = "and of the image circuit",                                           \
         .required = true},                                                            \
        {.name = "any-scores",                                                         \
         .kind = TL_OPTION_FLAG,                                                       \
         .value = &(b).any_scores,                                                     \
         .help = "also scores of another model or dataset"},                           \
    {                                                                                  \
        .name = "pct", .kind = TL_OPTION_CHOICE, .value = &(b).rounding,               \
        .argument = "exact|f32",                                                       \
        .help = "sizes as exact decimals or as floats (exact)",                        \
        .choices = tl_rounding_choices, .published = "f32"                             \
    }

typedef struct tl_both_circuits {
    tl_component_set set[TL_MODALITY_COUNT];
    tl_position_map map;
} tl_both_circuits;

/* In the session's arena. The first prompt of each modality says where its parts
 * are; TL_ERR_DATA when there is none, or a score file has other positions, or is of
 * another model or dataset. */
tl_status tl_both_circuits_read(tl_session *session,
                                const tl_session_options *session_options,
                                const tl_both_options *options, tl_both_circuits *out,
                                tl_error *err);

#endif
