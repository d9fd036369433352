/* SPDX-License-Identifier: MIT
 *
 * shared_options.h - what several commands have in common: settings that most take, rows of
 * option tables, and the way from a command line to an open session.
 */
#ifndef TWINLENS_CLI_SHARED_OPTIONS_H
#define TWINLENS_CLI_SHARED_OPTIONS_H

#include "cli/options.h"
#include "study/both_circuits.h"
#include "study/session.h"
#include "study/session_pairs.h"

/* Rows of a table of settings. */
#define TL_TAKEN_MACHINE                                                               \
    {.name = "model"}, {.name = "backend"}, {.name = "threads"}, {.name = "memory"},   \
    {                                                                                  \
        .name = "cache"                                                                \
    }
#define TL_TAKEN_MODEL                                                                 \
    TL_TAKEN_MACHINE,                                                                  \
    {                                                                                  \
        .name = "precision"                                                            \
    }
/* clang-format off */
#define TL_TAKEN_ATTRIBUTION                                                           \
    {.name = "rope"}, {.name = "method"}, {.name = "ig-steps"}, {.name = "ig-rule"},   \
    {.name = "ig-path"}, {.name = "head-reduce"}, {.name = "prompt-reduce"}, {.name = "metric"}
/* clang-format on */
#define TL_TAKEN_DATASET                                                               \
    {                                                                                  \
        .name = "dataset", .required = true                                            \
    }                                                                                  \
    , {                                                                                \
        .name = "chat"                                                                 \
    }

/* How pairs are drawn, where rows do not name them. */
#define TL_TAKEN_DRAWING(at_given)                                                     \
    {.name = "seed", .given = at_given}, {.name = "keep"}, {.name = "acc"},            \
        {.name = "prompts"},                                                           \
    {                                                                                  \
        .name = "length"                                                               \
    }
#define TL_IDLE_DRAWING                                                                \
    {.name = "keep", .beside = "seed", .unless = true},                                \
        {.name = "acc", .beside = "seed", .unless = true},                             \
        {.name = "acc", .beside = "keep", .value = "correct", .unless = true},         \
    {                                                                                  \
        .name = "prompts", .beside = "seed", .unless = true                            \
    }

/* Rows of an option table. `type` is the struct of the command's values. */

#define TL_OPTION_JSON(type, text)                                                     \
    {                                                                                  \
        .setting = {.name = "json", .offset = offsetof(type, json), .help = text},     \
        .is_flag = true                                                                \
    }

#define TL_OPTION_SPLIT(at, at_given, usual)                                           \
    {                                                                                  \
        .setting = {.name = "split",                                                   \
                    .kind = TL_SETTING_CHOICE,                                         \
                    .offset = at,                                                      \
                    .choices = tl_part_choices,                                        \
                    .unset = usual,                                                    \
                    .argument = "discovery|evaluation|all",                            \
                    .help = "only the prompts of this part"},                          \
        .given = at_given                                                              \
    }

#define TL_USUAL_DISCOVERY "discovery, where rows have a part, else all"
#define TL_USUAL_EVALUATION "evaluation, where rows have a part, else all"

/* Of a member `selection`, a tl_selection. */
#define TL_OPTIONS_SELECTION(type, usual)                                              \
    {.setting = {.name = "modality",                                                   \
                 .kind = TL_SETTING_CHOICE,                                            \
                 .offset = offsetof(type, selection.modality),                         \
                 .choices = tl_modality_choices,                                       \
                 .argument = "text|image",                                             \
                 .help = "which prompts"},                                             \
     .required = true},                                                                \
        {.setting = {.name = "ids",                                                    \
                     .kind = TL_SETTING_TEXT,                                          \
                     .offset = offsetof(type, selection.ids),                          \
                     .argument = "A,B",                                                \
                     .help = "only the prompts with these ids"}},                      \
        TL_OPTION_SPLIT(offsetof(type, selection.part),                                \
                        offsetof(type, selection.part_given), usual)

/* Rows of a table of idle options. */
#define TL_IDLE_SELECTION                                                              \
    {                                                                                  \
        .name = "split", .beside = "ids"                                               \
    }
#define TL_IDLE_METHOD                                                                 \
    {.name = "ig-steps", .beside = "method", .value = "relp"},                         \
        {.name = "ig-rule", .beside = "method", .value = "relp"},                      \
    {                                                                                  \
        .name = "ig-path", .beside = "method", .value = "relp"                         \
    }

/* Another size of the circuits in components of one kind. */
#define TL_OPTION_KIND(what, type, member)                                             \
    {                                                                                  \
        .setting = {                                                                   \
            .name = what "-fraction",                                                  \
            .kind = TL_SETTING_TEXT,                                                   \
            .offset = offsetof(type, member),                                          \
            .unset = "as the circuit",                                                 \
            .argument = "P",                                                           \
            .help = "size of the circuits in " what "s, if another"                    \
        }                                                                              \
    }

/* Of a member `both`, a tl_both_options. */
#define TL_OPTION_BOTH(type, words, member, letters, text)                             \
    {                                                                                  \
        .setting = {.name = words,                                                     \
                    .kind = TL_SETTING_TEXT,                                           \
                    .offset = offsetof(type, both.member),                             \
                    .argument = letters,                                               \
                    .help = text},                                                     \
        .required = true                                                               \
    }
#define TL_OPTIONS_BOTH(type)                                                          \
    TL_OPTION_BOTH(type, "text-scores", scores[TL_TEXT], "FILE",                       \
                   "a score file of text prompts"),                                    \
        TL_OPTION_BOTH(type, "image-scores", scores[TL_IMAGE], "FILE",                 \
                       "and one of image prompts"),                                    \
        TL_OPTION_BOTH(type, "text-fraction", fraction[TL_TEXT], "P",                  \
                       "size of the text circuit, such as 0.05"),                      \
        TL_OPTION_BOTH(type, "image-fraction", fraction[TL_IMAGE], "P",                \
                       "and of the image circuit"),                                    \
        TL_OPTION_KIND("head", type, both.kind_fraction[TL_KIND_HEADS]),               \
        TL_OPTION_KIND("neuron", type, both.kind_fraction[TL_KIND_NEURONS]),           \
    {                                                                                  \
        .setting = {.name = "any-scores",                                              \
                    .offset = offsetof(type, both.any_scores),                         \
                    .help =                                                            \
                        "also scores that were made with another model, dataset or "   \
                        "setting"},                                                    \
        .is_flag = true                                                                \
    }

extern const tl_choice tl_modality_choices[], tl_part_choices[];

/*
 * Most of a command. Reads the words into `values`, a struct of `bytes` bytes that begins
 * with the settings, opens the session that these describe, hands it to `body` with the
 * values, and closes it.
 */
typedef tl_status tl_session_body(tl_session *session, const void *values, FILE *out,
                                  tl_error *err);
tl_status tl_session_command(const tl_command *command, int argc, char **argv,
                             FILE *out, void *values, size_t bytes,
                             tl_session_body *body, tl_error *err);

/* TL_ERR_ARGUMENT when pairs are to be drawn, and all rows name theirs. */
tl_status tl_options_check_drawing(const tl_session *session,
                                   const tl_selection *selection, tl_error *err);

/* Whether a file can be written where --out says, asked before hours of computing:
 * TL_ERR_IO. Writing it can still fail. */
tl_status tl_options_check_output(const char *path, tl_error *err);

#endif
