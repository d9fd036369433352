/* SPDX-License-Identifier: MIT
 *
 * both_circuits.h - what commands on two circuits begin with: score files and
 * fractions of both modalities, read into sets, and the map between their positions.
 */
#ifndef TWINLENS_STUDY_BOTH_CIRCUITS_H
#define TWINLENS_STUDY_BOTH_CIRCUITS_H

#include "study/session.h"
#include "twinlens/overlap.h"

typedef struct tl_both_options {
    const char *scores[TL_MODALITY_COUNT], *fraction[TL_MODALITY_COUNT];
    const char
        *kind_fraction[TL_KIND_COUNT]; /* of both circuits; NULL: the circuit's */
    const char *const
        *settings;  /* that the scores must have been made with; NULL ends */
    tl_part judged; /* on which prompts; TL_PART_NONE: any or none */
    bool any_scores;
} tl_both_options;

typedef struct tl_both_circuits {
    tl_component_set set[TL_MODALITY_COUNT];
    tl_position_map map;
} tl_both_circuits;

/* Warns of components at positions before the data, which are in no segment, and so neither
 * in an overlap nor in an interchange: both prompts of a pair are alike there. */
void tl_both_circuits_warn(const tl_both_circuits *both);

/* What --OF-fraction says: TL_ERR_ARGUMENT naming it. */
tl_status tl_fraction_read(const char *of, const char *text, tl_fraction *out,
                           tl_error *err);

/* In the session's arena. The first prompt of each modality says where its parts
 * are; TL_ERR_DATA when there is none, or a score file has other positions, or was made
 * in another way (score_origin.h). */
tl_status tl_both_circuits_read(tl_session *session, const tl_both_options *options,
                                tl_both_circuits *out, tl_error *err);

#endif
