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
 * `arena`. TL_ERR_TOO_FEW, with the words of tl_session_shortage(), when there is not a
 * pair for either part, or not as many as `prompts`. */
tl_status tl_session_split(const tl_session *session, tl_modality modality,
                           const bool *kept, tl_arena *arena, tl_split *out,
                           tl_error *err);

/* Why rows that are kept cannot be split: "1 of 12 right, too few for two parts with two
 * answers", in `arena`. */
typedef struct tl_shortage {
    const char *reason;
    bool is_wish; /* with fewer `prompts` they could */
} tl_shortage;
tl_status tl_session_shortage(const tl_session *session, tl_modality modality,
                              const bool *kept, tl_arena *arena, tl_shortage *out,
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
