/* SPDX-License-Identifier: MIT
 * traced_rows.h - what a pass over a prompt holds, for one prompt or for several, as a file
 * (docs/formats.md, "Traces"). */
#ifndef TWINLENS_STUDY_TRACED_ROWS_H
#define TWINLENS_STUDY_TRACED_ROWS_H

#include "study/session.h"
#include "twinlens/site.h"

/* What goes into the file beside what the model reads. */
typedef struct tl_traced {
    uint32_t sites; /* TL_SITE_BIT() of each */
    bool logits, embed, pattern, gradients;
} tl_traced;

/* Sets what a list of names says: "z,resid_post,logits". TL_ERR_ARGUMENT naming those that
 * there are. */
tl_status tl_traced_parse(const char *sites, tl_arena *arena, tl_traced *out,
                          tl_error *err);

/*
 * Runs the prompts with these ids, one after the other, and writes what is wanted. Several
 * are held in memory together, and names of tensors begin with the id and a '/'.
 * TL_ERR_NOT_FOUND for an id that there is not, TL_ERR_DATA when gradients are wanted and a
 * row names no counterfactual, TL_ERR_NO_MEMORY when it is more than --memory allows.
 */
tl_status tl_traced_write(tl_session *session, const char *const *ids, size_t n_ids,
                          const tl_traced *wanted, const char *path, tl_error *err);

#endif
