/* SPDX-License-Identifier: MIT
 * swapped_pairs.h - the pairs of a modality under the circuits of an interchange (swaps.h), as
 * the rows that a study keeps. */
#ifndef TWINLENS_STUDY_SWAPPED_PAIRS_H
#define TWINLENS_STUDY_SWAPPED_PAIRS_H

#include "study/session_pairs.h"
#include "study/swaps.h"

typedef struct tl_swapped_pairs {
    tl_study_baseline *base; /* [n_pairs] */
    tl_study_swap_run *runs; /* [n_pairs, n_swaps] */
    tl_study_swap *swaps;
    size_t n_swaps, n_pairs;
} tl_swapped_pairs;

/* Those of the selection, whose modality is the host; in the session's arena. */
tl_status tl_swapped_pairs_run(tl_session *session, const tl_both_circuits *both,
                               const tl_selection *selection, tl_swapped_pairs *out,
                               tl_error *err);

#endif
