/* SPDX-License-Identifier: MIT
 * left_out.h - what is said of prompts that were left out: which reasons leave a modality
 * without any circuit, and what would help. */
#ifndef TWINLENS_STORE_LEFT_OUT_H
#define TWINLENS_STORE_LEFT_OUT_H

#include <stdbool.h>

#include "twinlens/rows.h"

/* Reasons that leave out some rows. */
#define TL_OTHER_PLACE "not of the commonest length, or their data elsewhere"
#define TL_SAME_CONTENT "the same prompt as one that was drawn"
#define TL_NO_SPLIT "without a split, which other rows have"
#define TL_NOT_DRAWN "beyond --prompts, drawn about equally of each answer"

/* Whether the modality of the row has no circuits, for this reason. */
bool tl_left_out_is_all(const tl_study_left_out *row);

/* What would help a modality with such a reason. */
const char *tl_left_out_remedy(tl_modality modality, const char *reason);

#endif
