/* SPDX-License-Identifier: MIT
 *
 * choices.h - the settings that are one of a few words: the words, and what they stand
 * for.
 */
#ifndef TWINLENS_STUDY_CHOICES_H
#define TWINLENS_STUDY_CHOICES_H

#include <stddef.h>

/* A choice's name and the value that it stands for; {NULL, 0} ends the list. */
typedef struct tl_choice {
    const char *name;
    int value;
} tl_choice;

/* The first name of a value; NULL when it has none. */
const char *tl_choice_name(const tl_choice *choices, int value);

/* Which pairs of text and image prompts are used in alignment and back-patching. */
typedef enum tl_bp_filter { TL_BP_FILTER_NONE, TL_BP_FILTER_MODAL } tl_bp_filter;

/* Whether data positions are processed again behind the overwritten layers. */
typedef enum tl_bp_repeat { TL_BP_REPEAT_ON, TL_BP_REPEAT_OFF } tl_bp_repeat;

/* What a prompt's answer is chosen among when a cell is patched again and again. */
typedef enum tl_iter_labels {
    TL_ITER_LABELS_QUESTION, /* its own labels */
    TL_ITER_LABELS_UNION,    /* those of all prompts */
} tl_iter_labels;

typedef struct tl_probe_options {
    int align;       /* a tl_align */
    int bp_filter;   /* a tl_bp_filter */
    int bp_repeat;   /* a tl_bp_repeat */
    int iter_labels; /* a tl_iter_labels */
} tl_probe_options;

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

extern const tl_choice tl_rope_choices[], tl_modality_choices[], tl_part_choices[],
    tl_ig_path_choices[], tl_head_reduce_choices[], tl_prompt_reduce_choices[],
    tl_grid_choices[], tl_rounding_choices[], tl_random_match_choices[],
    tl_niou_choices[], tl_inter_random_choices[], tl_align_choices[],
    tl_bp_filter_choices[], tl_bp_repeat_choices[], tl_iter_labels_choices[];

#endif
