/* SPDX-License-Identifier: MIT
 * choices.c - see choices.h. */
#include "study/choices.h"

#include "twinlens/circuit.h"
#include "twinlens/dataset.h"
#include "twinlens/interchange.h"
#include "twinlens/overlap.h"
#include "twinlens/pass.h"
#include "twinlens/probe.h"
#include "twinlens/statistics.h"
#include "twinlens/study.h"

const tl_choice tl_study_modality_choices[] = {
    {"text", TL_TEXT}, {"image", TL_IMAGE}, {"both", TL_MODALITY_COUNT}, {0}};
const tl_choice tl_accuracy_choices[] = {
    {"limited", TL_ACCURACY_LIMITED}, {"full", TL_ACCURACY_FULL}, {0}};
const tl_choice tl_keep_choices[] = {{"correct", TL_KEEP_CORRECT},
                                     {"all", TL_KEEP_ALL},
                                     {"stored", TL_KEEP_STORED},
                                     {0}};
const tl_choice tl_rope_choices[] = {{"mrope", TL_ROPE_TRUE},
                                     {"sequential", TL_ROPE_SEQUENTIAL},
                                     {"seq", TL_ROPE_SEQUENTIAL},
                                     {0}};
const tl_choice tl_modality_choices[] = {{"text", TL_TEXT}, {"image", TL_IMAGE}, {0}};
const tl_choice tl_part_choices[] = {{"all", TL_PART_NONE},
                                     {"discovery", TL_DISCOVERY},
                                     {"evaluation", TL_EVALUATION},
                                     {0}};
const tl_choice tl_ig_path_choices[] = {
    {"full", TL_IG_FULL}, {"textonly", TL_IG_TEXT_ONLY}, {0}};
const tl_choice tl_head_reduce_choices[] = {
    {"absdim", TL_HEAD_ABS_DIM}, {"dot", TL_HEAD_DOT}, {0}};
const tl_choice tl_prompt_reduce_choices[] = {
    {"abs", TL_PROMPT_ABS}, {"signed", TL_PROMPT_SIGNED}, {0}};
const tl_choice tl_metric_choices[] = {{"ld", TL_METRIC_LOGIT_DIFF}, {0}};
const tl_choice tl_grid_choices[] = {
    {"ref", TL_GRID_REF}, {"paper", TL_GRID_PAPER}, {0}};
const tl_choice tl_rounding_choices[] = {
    {"exact", TL_FRACTION_EXACT}, {"f32", TL_FRACTION_F32}, {0}};
const tl_choice tl_faith_choices[] = {
    {"mean_ratio", TL_FAITH_MEAN_RATIO}, {"ratio_mean", TL_FAITH_RATIO_MEAN}, {0}};
const tl_choice tl_random_match_choices[] = {{"whole", TL_MATCH_WHOLE},
                                             {"segment", TL_MATCH_SEGMENT},
                                             {"unique", TL_MATCH_UNIQUE},
                                             {0}};
const tl_choice tl_niou_choices[] = {
    {"correct", TL_NIOU_CORRECT}, {"ref", TL_NIOU_PUBLISHED}, {0}};
const tl_choice tl_inter_random_choices[] = {
    {"valid", TL_RANDOM_VALID}, {"ref", TL_RANDOM_REFERENCE}, {0}};
const tl_choice tl_align_choices[] = {
    {"act", TL_ALIGN_ACT}, {"unembed", TL_ALIGN_UNEMBED}, {0}};
const tl_choice tl_bp_filter_choices[] = {
    {"none", TL_BP_FILTER_NONE}, {"modal", TL_BP_FILTER_MODAL}, {0}};
const tl_choice tl_bp_repeat_choices[] = {
    {"on", TL_BP_REPEAT_ON}, {"off", TL_BP_REPEAT_OFF}, {0}};
const tl_choice tl_iter_labels_choices[] = {
    {"question", TL_ITER_LABELS_QUESTION}, {"union", TL_ITER_LABELS_UNION}, {0}};
const tl_choice tl_bp_grid_choices[] = {
    {"triangle", TL_BP_TRIANGLE}, {"paper", TL_BP_PAPER}, {"none", TL_BP_NONE}, {0}};

const char *tl_choice_name(const tl_choice *choices, int value)
{
    while (choices->name != NULL && choices->value != value)
        choices++;
    return choices->name;
}
