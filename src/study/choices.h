/* SPDX-License-Identifier: MIT
 *
 * choices.h - the settings that are one of a few words: the words, and what they stand
 * for.
 */
#ifndef TWINLENS_STUDY_CHOICES_H
#define TWINLENS_STUDY_CHOICES_H

/* A choice's name and the value that it stands for; {NULL, 0} ends the list. */
typedef struct tl_choice {
    const char *name;
    int value;
} tl_choice;

/* The first name of a value; NULL when it has none. */
const char *tl_choice_name(const tl_choice *choices, int value);

/* Of the settings of twinlens/study.h. */
extern const tl_choice tl_study_modality_choices[], tl_accuracy_choices[],
    tl_keep_choices[], tl_rope_choices[], tl_ig_path_choices[],
    tl_head_reduce_choices[], tl_prompt_reduce_choices[], tl_metric_choices[],
    tl_grid_choices[], tl_rounding_choices[], tl_faith_choices[],
    tl_random_match_choices[], tl_niou_choices[], tl_inter_random_choices[],
    tl_align_choices[], tl_bp_filter_choices[], tl_bp_repeat_choices[],
    tl_iter_labels_choices[], tl_bp_grid_choices[];

/* Of a selection of prompts. */
extern const tl_choice tl_modality_choices[], tl_part_choices[];

#endif
