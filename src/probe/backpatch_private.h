/* SPDX-License-Identifier: MIT
 *
 * backpatch_private.h - the inside of a tl_backpatcher, for the files that make it up:
 *
 *     backpatch.c         the clean run; cells that are patched again and again
 *     backpatch_shared.c  cells that are patched once, and share most of their runs
 *     backpatch_work.c    what that takes
 */
#ifndef TWINLENS_PROBE_BACKPATCH_PRIVATE_H
#define TWINLENS_PROBE_BACKPATCH_PRIVATE_H

#include "trace/experiment.h"
#include "twinlens/array.h"
#include "twinlens/pass.h"
#include "twinlens/probe.h"

struct tl_backpatcher {
    tl_experiment on;
    tl_array clean;     /* of the prompt under way: states, keys and values */
    tl_array states;    /* of the cells under way */
    size_t pass_budget; /* what these leave to passes; 0: no limit */
};

/* What is patched, the clean run of it, and where results go. */
typedef struct tl_patch_prompt {
    const tl_input *input;
    size_t begin, n_data; /* positions of the data */
    tl_prefix prefix;     /* positions that are not computed again */
    const int32_t *ids;
    size_t n_ids, most_times;
    const double *clean; /* [n_ids] */
    double *patched;     /* [n_cells, most_times, n_ids] */
    float *resid;        /* resid_post, [n_layers, n_pos, d_model] */
} tl_patch_prompt;

/* One cell under way. Layers first ... last are written to, from lowest_source on. */
typedef struct tl_patch_run {
    const tl_backpatch_cell *cell;
    size_t index, first, last, lowest_source;
    /* Of one that shares nothing: resid_post of the data positions of the source layers,
     * [n, n_data, d_model] from an element of `states` on: of the run before, and of this
     * one. */
    size_t read, written;
} tl_patch_run;

void tl_patch_find_layers(tl_patch_run *r, size_t n_layers);

/* The clean run's resid_post of a layer, from a position on. */
float *tl_patch_resid(const tl_backpatcher *b, const tl_patch_prompt *p, size_t layer,
                      size_t pos);

/* The data positions of a prompt of a pass. */
tl_site_range tl_patch_data(const tl_patch_prompt *p, tl_site site, size_t prompt,
                            size_t layer);

/* Where the logits of a cell go. */
static inline double *tl_patch_logits(const tl_patch_prompt *p, const tl_patch_run *r,
                                      size_t time)
{
    return p->patched + (r->index * p->most_times + time) * p->n_ids;
}

/* Whether a cell is one of those that share their runs. */
static inline bool tl_patch_shares(const tl_backpatch_cell *cell)
{
    return cell->times == 1 && !cell->restore;
}

/* Runs those cells, if the budget has room for what they share; else *done stays false. */
tl_status tl_patch_shared(tl_backpatcher *b, const tl_patch_prompt *p,
                          const tl_backpatch_cell *cells, size_t n_cells, bool *done,
                          tl_error *err);

#endif
