/* SPDX-License-Identifier: MIT
 * compare_options.c - see compare_options.h. */
#include "cli/compare_options.h"

#include "twinlens/interchange.h"
#include "twinlens/overlap.h"
#include "twinlens/statistics.h"

const tl_choice tl_random_match_choices[] = {{"whole", TL_MATCH_WHOLE},
                                             {"segment", TL_MATCH_SEGMENT},
                                             {"unique", TL_MATCH_UNIQUE},
                                             {0}};
const tl_choice tl_niou_choices[] = {
    {"correct", TL_NIOU_CORRECT}, {"ref", TL_NIOU_PUBLISHED}, {0}};
const tl_choice tl_inter_random_choices[] = {
    {"valid", TL_RANDOM_VALID}, {"ref", TL_RANDOM_REFERENCE}, {0}};
