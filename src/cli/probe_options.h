/* SPDX-License-Identifier: MIT
 *
 * probe_options.h - the switches of alignment and back-patching as command-line options,
 * for the commands that have them and for study.
 */
#ifndef TWINLENS_CLI_PROBE_OPTIONS_H
#define TWINLENS_CLI_PROBE_OPTIONS_H

#include "cli/options.h"

typedef struct tl_probe_options {
    int align; /* a tl_align */
} tl_probe_options;

extern const tl_choice tl_align_choices[];

/* Rows of an option table. */
#define TL_OPTIONS_ALIGN(o)                                                            \
    {                                                                                  \
        .name = "align", .kind = TL_OPTION_CHOICE, .value = &(o).align,                \
        .argument = "act|unembed",                                                     \
        .help = "image states beside the text's states, the best one of each; or "     \
                "beside the unembedding of the text's tokens, the best 5 % (act)",     \
        .choices = tl_align_choices                                                    \
    }

#endif
