/* SPDX-License-Identifier: MIT
 * probe_options.c - see probe_options.h. */
#include "cli/probe_options.h"

#include "twinlens/probe.h"

const tl_choice tl_align_choices[] = {
    {"act", TL_ALIGN_ACT}, {"unembed", TL_ALIGN_UNEMBED}, {0}};
const tl_choice tl_bp_filter_choices[] = {
    {"none", TL_BP_FILTER_NONE}, {"modal", TL_BP_FILTER_MODAL}, {0}};
const tl_choice tl_bp_repeat_choices[] = {
    {"on", TL_BP_REPEAT_ON}, {"off", TL_BP_REPEAT_OFF}, {0}};
const tl_choice tl_iter_labels_choices[] = {
    {"question", TL_ITER_LABELS_QUESTION}, {"union", TL_ITER_LABELS_UNION}, {0}};
