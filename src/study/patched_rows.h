/* SPDX-License-Identifier: MIT
 * patched_rows.h - what becomes of the answers of a dataset's rows when late states of the
 * data are written into earlier layers: under all cells, or under those of a search. */
#ifndef TWINLENS_STUDY_PATCHED_ROWS_H
#define TWINLENS_STUDY_PATCHED_ROWS_H

#include "study/answers.h"
#include "study/cells.h"
#include "study/session.h"
#include "twinlens/probe.h"

/* What the model said in a run: the logit difference (NaN without a counterfactual),
 * and whether the best label is the answer. */
typedef struct tl_patch_outcome {
    double logit_diff;
    bool right, is_run; /* a search leaves cells out */
} tl_patch_outcome;

/* The rows of a dataset under cells. What is to be run is the caller's: `rows` and
 * `cells`; the rest is made by running. */
typedef struct tl_patched_rows {
    const tl_backpatch_cell *cells;
    size_t n_cells, n_prompts;
    const size_t *rows;
    tl_labels all_labels;
    const tl_labels *labels;   /* all_labels; NULL: each prompt has its own */
    tl_patch_outcome *clean;   /* [n_prompts] */
    tl_patch_outcome *patched; /* [n_cells, n_prompts], after the last time */
    bool has_labels, has_pairs;
    bool is_search;
    tl_cell_search search;
    size_t *order;  /* of the prompts [n_prompts] */
    size_t *place;  /* of a prompt in that order */
    size_t *chosen; /* cells that a prompt is run under, [n_cells] */
    double work;    /* layer runs */
} tl_patched_rows;

/*
 * Runs them, each cell `times` times, by the session's settings of search, labels and
 * memory; what is made is in the session's arena. Errors: TL_ERR_DATA (a search, and a row
 * without labels), and those of running the model; a prompt whose labels have no best one
 * is named.
 */
tl_status tl_patched_rows_run(tl_session *s, size_t times, tl_patched_rows *x,
                              tl_error *err);

/* Whether a prompt is one that no round of the search saw. */
bool tl_patched_rows_unseen(const tl_patched_rows *x, size_t prompt);

/* Of the prompts that were run: how many were right, how many became right, how many wrong. */
typedef struct tl_patched_count {
    size_t n, right, fixed, broken;
} tl_patched_count;

/* Of a cell, over the prompts that a search chose its cell on (without one all), or over the
 * others. */
tl_patched_count tl_patched_rows_count(const tl_patched_rows *x, size_t cell,
                                       bool unseen);

#endif
