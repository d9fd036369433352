/* SPDX-License-Identifier: MIT
 *
 * drawn_pairs.h - which rows of a modality are used, for what, and against which
 * counterfactual: the rules of a study, for studies and for what runs without one.
 */
#ifndef TWINLENS_STUDY_DRAWN_PAIRS_H
#define TWINLENS_STUDY_DRAWN_PAIRS_H

#include "study/session.h"
#include "twinlens/split.h"

/* Whether a row is one to use, by the settings `keep` and `acc`. */
bool tl_row_is_kept(const tl_settings *settings, const tl_dataset *dataset, size_t row,
                    bool correct_limited, bool correct_full);

/* Splits the rows that are kept[n_rows], by `prompts` and `seed`, and pairs them; in
 * `arena`. TL_ERR_DATA when a part would be empty. */
tl_status tl_session_split(const tl_session *session, tl_modality modality,
                           const bool *kept, tl_arena *arena, tl_split *out,
                           tl_error *err);

/* Both, in the session's arena: `keep` correct asks the model first, about every row of the
 * modality. *kept receives [n_rows]; NULL: not wanted. */
tl_status tl_session_draw(tl_session *session, tl_modality modality, tl_split *out,
                          const bool **kept, tl_error *err);

/* From now on the rows of the modality are these pairs, and the others have neither part nor
 * counterfactual. */
tl_status tl_session_take(tl_session *session, tl_modality modality,
                          const tl_split *split, tl_error *err);

#endif
