/* SPDX-License-Identifier: MIT
 * session_pairs.h - the prompts of a modality as pairs, named by the rows or drawn. */
#ifndef TWINLENS_STUDY_SESSION_PAIRS_H
#define TWINLENS_STUDY_SESSION_PAIRS_H

#include "study/session.h"

/* Draws pairs as a study does when the selection says so and rows do not name theirs. */
tl_status tl_session_draw_missing(tl_session *session, const tl_selection *selection,
                                  tl_error *err);

/*
 * The rows of a modality and of a part (TL_PART_NONE: any), or those whose ids are
 * named (then these only), as pairs with the counterfactuals that the rows name, or that
 * are drawn for them; those that are drawn in the order of the drawing.
 * Every prompt is encoded and assembled once, in the session's arena.
 *
 * needed_by begins messages. TL_ERR_DATA when a row has no counterfactual, when
 * lengths differ, when two answers begin alike, when there is no row.
 */
tl_status tl_session_pairs(tl_session *session, const tl_selection *selection,
                           const char *needed_by, tl_pair **pairs, size_t *count,
                           tl_error *err);

#endif
