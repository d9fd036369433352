/* SPDX-License-Identifier: MIT
 *
 * shared_options.h - what several commands have in common: rows of an option table,
 * and the way from a command line to an open session.
 */
#ifndef TWINLENS_CLI_SHARED_OPTIONS_H
#define TWINLENS_CLI_SHARED_OPTIONS_H

#include "study/choices.h"
#include "cli/options.h"
#include "study/session.h"

extern const tl_choice tl_compat_choices[];

#define TL_OPTIONS_MODEL(o)                                                            \
    {.name = "model",                                                                  \
     .kind = TL_OPTION_STRING,                                                         \
     .value = &(o).model,                                                              \
     .argument = "DIR",                                                                \
     .help = "a Hugging Face model folder or hub cache entry (the bundled model)"},    \
        {.name = "backend",                                                            \
         .kind = TL_OPTION_STRING,                                                     \
         .value = &(o).backend,                                                        \
         .argument = "NAME",                                                           \
         .help = "cpu, or ref: slow, the definition"},                                 \
        {.name = "threads",                                                            \
         .kind = TL_OPTION_SIZE,                                                       \
         .value = &(o).threads,                                                        \
         .argument = "N",                                                              \
         .help = "how many threads (all; changes no bit)"},                            \
        {.name = "memory",                                                             \
         .kind = TL_OPTION_BYTES,                                                      \
         .value = &(o).memory,                                                         \
         .argument = "BYTES",                                                          \
         .help = "budget for activations, such as 4G"},                                \
    {                                                                                  \
        .name = "cache", .kind = TL_OPTION_BYTES, .value = &(o).cache,                 \
        .argument = "BYTES", .help = "for converted weights (64M)"                     \
    }

#define TL_OPTIONS_DATASET(o)                                                          \
    {                                                                                  \
        .name = "dataset", .kind = TL_OPTION_STRING, .value = &(o).dataset,            \
        .argument = "DIR", .help = "a dataset folder, or its dataset.jsonl",           \
        .required = true                                                               \
    }

#define TL_OPTIONS_ROPE(o)                                                             \
    {.name = "rope",                                                                   \
     .kind = TL_OPTION_CHOICE,                                                         \
     .value = &(o).rope,                                                               \
     .argument = "mrope|sequential",                                                   \
     .help = "positions of image tokens (mrope)",                                      \
     .choices = tl_rope_choices,                                                       \
     .published = "sequential"},                                                       \
        TL_OPTIONS_COMPAT

#define TL_OPTIONS_COMPAT                                                              \
    {                                                                                  \
        .name = "compat", .kind = TL_OPTION_CHOICE, .argument = "published",           \
        .help = "every switch that is not given as the published program has it",      \
        .choices = tl_compat_choices, .sets_published = true                           \
    }

#define TL_OPTIONS_SELECTION(s)                                                        \
    {.name = "modality",                                                               \
     .kind = TL_OPTION_CHOICE,                                                         \
     .value = &(s).modality,                                                           \
     .argument = "text|image",                                                         \
     .help = "which prompts",                                                          \
     .choices = tl_modality_choices,                                                   \
     .required = true},                                                                \
        {.name = "ids",                                                                \
         .kind = TL_OPTION_STRING,                                                     \
         .value = &(s).ids,                                                            \
         .argument = "A,B",                                                            \
         .help = "only the prompts with these ids"},                                   \
    {                                                                                  \
        .name = "split", .kind = TL_OPTION_CHOICE, .value = &(s).part,                 \
        .argument = "discovery|evaluation",                                            \
        .help = "only the prompts of this part (all)", .choices = tl_part_choices      \
    }

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

#define TL_OPTIONS_ATTRIBUTION(f)                                                      \
    {.name = "ig-steps",                                                               \
     .kind = TL_OPTION_SIZE,                                                           \
     .value = &(f).ig_steps,                                                           \
     .argument = "N",                                                                  \
     .help = "interpolation steps (5)"},                                               \
        {.name = "ig-path",                                                            \
         .kind = TL_OPTION_CHOICE,                                                     \
         .value = &(f).ig_path,                                                        \
         .argument = "full|textonly",                                                  \
         .help = "what is interpolated (full)",                                        \
         .choices = tl_ig_path_choices,                                                \
         .published = "textonly"},                                                     \
        {.name = "head-reduce",                                                        \
         .kind = TL_OPTION_CHOICE,                                                     \
         .value = &(f).head_reduce,                                                    \
         .argument = "absdim|dot",                                                     \
         .help = "how a head's dimensions add up (absdim)",                            \
         .choices = tl_head_reduce_choices},                                           \
    {                                                                                  \
        .name = "prompt-reduce", .kind = TL_OPTION_CHOICE,                             \
        .value = &(f).prompt_reduce, .argument = "abs|signed",                         \
        .help = "absolute values before or after the mean (abs)",                      \
        .choices = tl_prompt_reduce_choices                                            \
    }

#define TL_OPTIONS_OVERLAP(o)                                                          \
    {.name = "rand-match",                                                             \
     .kind = TL_OPTION_CHOICE,                                                         \
     .value = &(o).rand_match,                                                         \
     .argument = "whole|segment|unique",                                               \
     .help = "random circuits have as many components in all, in each segment, or in " \
             "the data as many with positions dropped (whole)",                        \
     .choices = tl_random_match_choices},                                              \
        {.name = "rand-draws",                                                         \
         .kind = TL_OPTION_SIZE,                                                       \
         .value = &(o).rand_draws,                                                     \
         .argument = "N",                                                              \
         .help = "random circuits that the overlap is compared with (20)",             \
         .published = "1"},                                                            \
    {                                                                                  \
        .name = "niou", .kind = TL_OPTION_CHOICE, .value = &(o).niou,                  \
        .argument = "correct|ref",                                                     \
        .help = "normalised overlap: (IoU - B) / (1 - B), or IoU - 2 B in [0.01, 1], " \
                "of values rounded to three decimals (correct)",                       \
        .choices = tl_niou_choices, .published = "ref"                                 \
    }

#define TL_OPTIONS_INTERCHANGE(o, draws_name)                                          \
    {.name = "inter-rand",                                                             \
     .kind = TL_OPTION_CHOICE,                                                         \
     .value = &(o).inter_rand,                                                         \
     .argument = "valid|ref",                                                          \
     .help = "random parts: all different, or as published (valid)",                   \
     .choices = tl_inter_random_choices,                                               \
     .published = "ref"},                                                              \
    {                                                                                  \
        .name = draws_name, .kind = TL_OPTION_SIZE, .value = &(o).inter_draws,         \
        .argument = "N", .help = "random parts of each segment of an interchange (5)", \
        .published = "1"                                                               \
    }

#define TL_OPTIONS_ALIGN(o)                                                            \
    {                                                                                  \
        .name = "align", .kind = TL_OPTION_CHOICE, .value = &(o).align,                \
        .argument = "act|unembed",                                                     \
        .help = "image states beside the text's states, the best one of each; or "     \
                "beside the unembedding of the text's tokens, the best 5 % (act)",     \
        .choices = tl_align_choices                                                    \
    }

#define TL_OPTIONS_BP_FILTER(o)                                                        \
    {                                                                                  \
        .name = "bp-filter", .kind = TL_OPTION_CHOICE, .value = &(o).bp_filter,        \
        .argument = "modal|none",                                                      \
        .help = "in alignment and back-patching only pairs whose text has the most "   \
                "frequent length, or all (none)",                                      \
        .choices = tl_bp_filter_choices, .published = "modal"                          \
    }

#define TL_OPTIONS_BP_REPEAT(o)                                                        \
    {                                                                                  \
        .name = "bp-repeat", .kind = TL_OPTION_CHOICE, .value = &(o).bp_repeat,        \
        .argument = "on|off",                                                          \
        .help = "layers behind the overwritten ones process the data again; off: "     \
                "they get "                                                            \
                "their clean states of the data back (on)",                            \
        .choices = tl_bp_repeat_choices                                                \
    }

#define TL_OPTIONS_ITER_LABELS(o)                                                      \
    {                                                                                  \
        .name = "iter-labels", .kind = TL_OPTION_CHOICE, .value = &(o).iter_labels,    \
        .argument = "question|union",                                                  \
        .help =                                                                        \
            "patched more than once, the answer is one of its prompt's labels, or "    \
            "of all prompts' (question)",                                              \
        .choices = tl_iter_labels_choices, .published = "union"                        \
    }

/*
 * Most of a command. Reads the table's options, with --help prints them and is done;
 * opens the session that the settings (among the options) describe, hands it and
 * `options` to `body`, and closes it.
 */
typedef tl_status tl_session_body(tl_session *session, const void *options, FILE *out,
                                  tl_error *err);
tl_status tl_session_command(const char *name, const tl_option *table, size_t n_options,
                             int argc, char **argv, FILE *out,
                             const tl_settings *settings, tl_session_body *body,
                             const void *options, tl_error *err);

/* Whether a file can be written where --out says, asked before hours of computing:
 * TL_ERR_IO. Writing it can still fail. */
tl_status tl_options_check_output(const char *path, tl_error *err);

#endif
