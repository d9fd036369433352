/* SPDX-License-Identifier: MIT
 *
 * attribution_options.h - the switches of docs/math.md as command-line options, for
 * the commands that have them.
 */
#ifndef TWINLENS_CLI_ATTRIBUTION_OPTIONS_H
#define TWINLENS_CLI_ATTRIBUTION_OPTIONS_H

#include "cli/options.h"
#include "twinlens/circuit.h"

typedef struct tl_attribution_flags {
    size_t ig_steps;
    int ig_path, head_reduce, prompt_reduce;
    bool raw_sign;
} tl_attribution_flags;

extern const tl_choice tl_ig_path_choices[], tl_head_reduce_choices[],
    tl_prompt_reduce_choices[];

/* Rows of an option table. */
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

/* What the options come to, without a memory budget. */
tl_attribution_options tl_attribution_flags_resolve(const tl_attribution_flags *flags);

/* A grid of fractions by name, as written: "ref", the published program's 27, or
 * "paper", 0.001, 0.005, 0.01 .. 1.00. */
typedef enum tl_grid { TL_GRID_REF, TL_GRID_PAPER } tl_grid;
extern const tl_choice tl_grid_choices[], tl_rounding_choices[];
tl_status tl_grid_fractions(tl_grid grid, tl_arena *arena,
                            const char *const **fractions, size_t *count,
                            tl_error *err);

#endif
