/* SPDX-License-Identifier: MIT
 *
 * compare_options.h - the switches of overlap and interchange as command-line options,
 * for those commands and for study.
 */
#ifndef TWINLENS_CLI_COMPARE_OPTIONS_H
#define TWINLENS_CLI_COMPARE_OPTIONS_H

#include "cli/options.h"

typedef struct tl_overlap_options {
    int match; /* a tl_random_match */
    size_t draws;
    int niou; /* a tl_niou */
} tl_overlap_options;
#define TL_OVERLAP_DEFAULTS                                                            \
    {                                                                                  \
        .draws = 20                                                                    \
    }

typedef struct tl_interchange_options {
    int random; /* a tl_interchange_random */
    size_t draws;
} tl_interchange_options;
#define TL_INTERCHANGE_DEFAULTS                                                        \
    {                                                                                  \
        .draws = 5                                                                     \
    }

extern const tl_choice tl_random_match_choices[], tl_niou_choices[],
    tl_inter_random_choices[];

/* Rows of an option table. */
#define TL_OPTIONS_OVERLAP(o)                                                          \
    {.name = "rand-match",                                                             \
     .kind = TL_OPTION_CHOICE,                                                         \
     .value = &(o).match,                                                              \
     .argument = "whole|segment|unique",                                               \
     .help = "random circuits have as many components in all, in each segment, or in " \
             "the data as many with positions dropped (whole)",                        \
     .choices = tl_random_match_choices},                                              \
        {.name = "rand-draws",                                                         \
         .kind = TL_OPTION_SIZE,                                                       \
         .value = &(o).draws,                                                          \
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

/* `draws_name` is what the command calls the number of draws. */
#define TL_OPTIONS_INTERCHANGE(o, draws_name)                                          \
    {.name = "inter-rand",                                                             \
     .kind = TL_OPTION_CHOICE,                                                         \
     .value = &(o).random,                                                             \
     .argument = "valid|ref",                                                          \
     .help = "random parts: all different, or as published (valid)",                   \
     .choices = tl_inter_random_choices,                                               \
     .published = "ref"},                                                              \
    {                                                                                  \
        .name = draws_name, .kind = TL_OPTION_SIZE, .value = &(o).draws,               \
        .argument = "N", .help = "random parts of each segment of an interchange (5)", \
        .published = "1"                                                               \
    }

#endif
