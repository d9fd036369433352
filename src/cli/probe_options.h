/* SPDX-License-Identifier: MIT
 *
 * probe_options.h - the switches of alignment and back-patching as command-line options,
 * for the commands that have them and for study.
 */
#ifndef TWINLENS_CLI_PROBE_OPTIONS_H
#define TWINLENS_CLI_PROBE_OPTIONS_H

#include "cli/options.h"

typedef struct tl_probe_options {
    int align;       /* a tl_align */
    int bp_filter;   /* a tl_bp_filter */
    int bp_repeat;   /* a tl_bp_repeat */
    int iter_labels; /* a tl_iter_labels */
} tl_probe_options;

/* Which pairs of text and image prompts are used. */
typedef enum tl_bp_filter { TL_BP_FILTER_NONE, TL_BP_FILTER_MODAL } tl_bp_filter;

/* Whether data positions are processed again behind the overwritten layers. */
typedef enum tl_bp_repeat { TL_BP_REPEAT_ON, TL_BP_REPEAT_OFF } tl_bp_repeat;

/* What a prompt's answer is chosen among when a cell is patched again and again. */
typedef enum tl_iter_labels {
    TL_ITER_LABELS_QUESTION, /* its own labels */
    TL_ITER_LABELS_UNION,    /* those of all prompts */
} tl_iter_labels;

extern const tl_choice tl_align_choices[], tl_bp_filter_choices[],
    tl_bp_repeat_choices[], tl_iter_labels_choices[];

/* Rows of an option table. */
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

#endif
