/* SPDX-License-Identifier: MIT
 *
 * score_parts.h - scores without some of the pairs: the sums of an attribution are kept at the
 * ends of up to ten parts of its pairs, each of whole blocks (TL_ATTRIBUTION_BLOCK), until the
 * overlap of the two circuits has been found without each part in turn, which says how far it
 * depends on the prompts (docs/math.md eq. 24).
 */
#ifndef TWINLENS_STUDY_SCORE_PARTS_H
#define TWINLENS_STUDY_SCORE_PARTS_H

#include "study/study_private.h"
#include "twinlens/safetensors.h"

enum { TL_MOST_SCORE_PARTS = 10 };

/* Parts of n_pairs pairs; 0: too few for two. */
size_t tl_score_parts_count(size_t n_pairs);
/* The number of pairs up to the end of a part. */
size_t tl_score_parts_end(size_t n_pairs, size_t part);

/* Keeps the sums of the first n_pairs pairs, which the totals are, or all that was added. */
tl_status tl_score_parts_write(const tl_study *study, tl_modality modality, size_t part,
                               size_t n_pairs, const tl_attribution_state *state,
                               tl_error *err);

typedef struct tl_score_parts {
    tl_safetensors *files[TL_MOST_SCORE_PARTS];
    size_t n, n_pairs; /* n is 0 when one is not there: then nothing can be said */
} tl_score_parts;

tl_status tl_score_parts_open(const tl_study *study, tl_modality modality,
                              size_t n_pairs, tl_score_parts *out, tl_error *err);
void tl_score_parts_close(tl_score_parts *parts);

/* The scores of all pairs but those of a part. */
tl_status tl_score_parts_without(const tl_study *study, const tl_score_parts *parts,
                                 size_t part, size_t n_pos, tl_arena *arena,
                                 tl_scores *out, tl_error *err);

/* Removes what tl_score_parts_write() kept. */
tl_status tl_score_parts_remove(const tl_study *study, tl_modality modality,
                                tl_error *err);

#endif
