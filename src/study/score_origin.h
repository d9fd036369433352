/* SPDX-License-Identifier: MIT
 *
 * score_origin.h - what a score file says of how it was made, in its metadata: model,
 * dataset, prompts, and every setting that changes a score. Those who read scores refuse
 * what differs from what they run with.
 */
#ifndef TWINLENS_STUDY_SCORE_ORIGIN_H
#define TWINLENS_STUDY_SCORE_ORIGIN_H

#include "study/session.h"

/* Of scores about to be written. */
typedef struct tl_score_origin {
    tl_modality modality;
    const char *split; /* whose prompts: a name of tl_part_choices, or "ids" */
    size_t n_pairs;
    bool is_drawn; /* the pairs follow from `seed`, `keep` and `prompts` */
    bool raw_sign;
} tl_score_origin;

/* The lines of the metadata, in the session's arena, for tl_score_file_write. */
tl_status tl_score_origin_write(const tl_session *session,
                                const tl_score_origin *origin,
                                const char *const (**lines)[2], size_t *n_lines,
                                tl_error *err);

/*
 * Whether a file holds scores of the session's model and dataset and of that modality;
 * made with the same `settings` (names in the table of settings, NULL ends; NULL: none);
 * with absolute values; and, unless TL_PART_NONE, not of the prompts of `judged`. A file
 * that was made by other tools has no such lines, and is taken as it is. TL_ERR_DATA
 * naming the setting, what the file says and what is wanted.
 */
tl_status tl_score_origin_check(const tl_session *session, const char *path,
                                tl_modality modality, tl_part judged,
                                const char *const *settings, tl_error *err);

/* Whether two files, of one modality each, were made in one way: by the same settings, and
 * of pairs that were drawn by the same rules. TL_ERR_DATA. */
tl_status tl_score_origin_compare(const char *path, const char *other, tl_error *err);

#endif
