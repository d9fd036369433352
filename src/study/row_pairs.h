/* SPDX-License-Identifier: MIT
 * row_pairs.h - the image prompts of a dataset with the text prompts of the same
 * content, by their `pair`. */
#ifndef TWINLENS_STUDY_ROW_PAIRS_H
#define TWINLENS_STUDY_ROW_PAIRS_H

#include "study/session.h"
#include "twinlens/probe.h"

/* Rows of the dataset. */
typedef struct tl_row_pair {
    size_t text, image;
} tl_row_pair;

/* What became of a row. */
typedef enum tl_pairing {
    TL_PAIRED,
    TL_ALONE,        /* no row of the other modality has its `pair` */
    TL_OTHER_LENGTH, /* the text of the pair is not as long as most are */
    TL_PAIRING_COUNT,
} tl_pairing;

typedef struct tl_row_pairs {
    tl_row_pair *rows; /* in the order of the image rows */
    size_t n;
    size_t length;                   /* of their texts in tokens; 0: any */
    tl_pairing *pairings;            /* of every row of the dataset */
    size_t counts[TL_PAIRING_COUNT]; /* of the image rows */
} tl_row_pairs;

/* Whether a text row and an image row have the same `pair`. */
bool tl_row_pairs_named(const tl_dataset *dataset);

/*
 * In the session's arena. With TL_BP_FILTER_MODAL only those pairs whose text has the
 * most frequent length; of two lengths that are as frequent, the shorter. TL_ERR_DATA
 * when no row has a partner.
 */
tl_status tl_session_row_pairs(tl_session *session, tl_bp_filter filter,
                               tl_row_pairs *out, tl_error *err);

/* How many tokens the texts of the pairs have: lengths[n]. */
tl_status tl_session_text_lengths(tl_session *session, const tl_row_pair *rows, size_t n,
                                  size_t *lengths, tl_error *err);

/* Takes those of rows[*n] away that are in none of the pairs; counts[] of all of them
 * by what became of them. */
void tl_row_pairs_keep(const tl_row_pairs *pairs, size_t *rows, size_t *n,
                       size_t counts[TL_PAIRING_COUNT]);

/*
 * For every pair another one at random, with other words and another answer: others[i] of
 * [pairs->n]; TL_NO_PAIR where there is none. What the same picture asks of, or other words
 * for the same answer, would be no other content.
 */
void tl_row_pairs_others(const tl_dataset *dataset, const tl_row_pairs *pairs,
                         uint64_t seed, size_t *others);

/* Warns of rows that were left out: how many, and why. */
void tl_pairing_log(const tl_session *session, const size_t counts[TL_PAIRING_COUNT],
                    size_t length);

/* Both prompts of a pair, or its text alone, in `arena`. */
tl_status tl_session_parallel_text(tl_session *session, const tl_row_pair *rows,
                                   tl_arena *arena, tl_parallel *out, tl_error *err);
tl_status tl_session_parallel(tl_session *session, const tl_row_pair *rows,
                              tl_arena *arena, tl_parallel *out, tl_error *err);

#endif
