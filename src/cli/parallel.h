/* SPDX-License-Identifier: MIT
 * parallel.h - the image prompts of a dataset with the text prompts of the same
 * content, by their `pair`. */
#ifndef TWINLENS_CLI_PARALLEL_H
#define TWINLENS_CLI_PARALLEL_H

#include "cli/session.h"
#include "twinlens/probe.h"

/* Rows of the dataset. */
typedef struct tl_row_pair {
    size_t text, image;
} tl_row_pair;

/* In the order of the image rows, in the session's arena; image rows without a partner
 * are left out, *n_alone counts them. TL_ERR_DATA when no row has one. */
tl_status tl_session_row_pairs(tl_session *session, tl_row_pair **pairs, size_t *count,
                               size_t *n_alone, tl_error *err);

/* Both prompts of a pair, in `arena`. */
tl_status tl_session_parallel(tl_session *session, const tl_row_pair *rows,
                              tl_arena *arena, tl_parallel *out, tl_error *err);

#endif
