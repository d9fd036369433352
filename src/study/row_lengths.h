/* SPDX-License-Identifier: MIT
 * row_lengths.h - which rows of a modality are alike: as long as most, with their data where
 * most have them. Circuits are of such prompts; --length commonest leaves the others out. */
#ifndef TWINLENS_STUDY_ROW_LENGTHS_H
#define TWINLENS_STUDY_ROW_LENGTHS_H

#include "study/session.h"
#include "twinlens/overlap.h"

typedef struct tl_row_lengths {
    size_t n_rows, n_alike; /* that circuits may be of; of these, those like most */
    tl_span most;           /* of two kinds that are as frequent, the shorter */
    bool one_length;        /* of all of them: then only the data's place differs */
    size_t first, other;    /* two rows that differ, when n_alike is less than n_rows */
    bool *
        is_other; /* [n_rows of the dataset]: not like most, or its counterfactual is not */
} tl_row_lengths;

/* Of spans[n_rows of the dataset]; those of rows of another modality are not looked at. In
 * `arena`. */
tl_status tl_row_lengths_count(const tl_dataset *dataset, tl_modality modality,
                               const tl_span *spans, tl_arena *arena,
                               tl_row_lengths *out, tl_error *err);

/* The lengths of a session's rows, which are encoded the first time. With --length commonest
 * it is said then how many are left out. */
tl_status tl_session_lengths(tl_session *session, tl_modality modality,
                             const tl_row_lengths **out, tl_error *err);

/* TL_ERR_DATA, in the words of tl_dataset_check_lengths(), and how many rows are alike: what
 * --length commonest would leave. */
tl_status tl_row_lengths_refuse(const tl_session *session, tl_modality modality,
                                const tl_span *spans, const tl_row_lengths *lengths,
                                const char *needed_by, tl_error *err);

/* The second half of that: "4 of 6 text prompts have 45 tokens, data [3,40): ...". */
void tl_row_lengths_offer(const tl_session *session, tl_modality modality,
                          const tl_row_lengths *lengths, char text[256]);

/* Says how many rows --length commonest leaves out, if it does. */
void tl_row_lengths_log(const tl_session *session, tl_modality modality,
                        const tl_row_lengths *lengths);

/* Whether --length commonest leaves the row out; the lengths of its modality are known. */
bool tl_session_leaves_out(const tl_session *session, size_t row);

/* Where the parts of prompts of a modality are, by the first of n_pos positions (0: of any), or
 * with --length commonest by most; TL_ERR_DATA when there is none. */
tl_status tl_session_span(tl_session *session, tl_modality modality, size_t n_pos,
                          tl_span *out, tl_error *err);

#endif
