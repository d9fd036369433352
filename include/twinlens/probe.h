/* SPDX-License-Identifier: MIT
 *
 * probe.h - what image states are like and what they are good for: alignment with the
 * states of the same content in words, and back-patching, where late states are written
 * into earlier layers.
 */
#ifndef TWINLENS_PROBE_H
#define TWINLENS_PROBE_H

#include "twinlens/model.h"
#include "twinlens/overlap.h"

/* ---- alignment (docs/math.md eq. 14) --------------------------------------------- */

/* The same content twice. */
typedef struct tl_parallel {
    tl_input text, image;
    tl_span text_span, image_span;
} tl_parallel;

typedef struct tl_align_options {
    bool centred; /* take each modality's mean state of the layer away first */
    size_t memory_budget;
} tl_align_options;

/*
 * matched [n, n_layers] receives, per pair, the mean over the image's data positions of
 * the largest cosine with a data position of the text, in resid_post of the same layer;
 * other [n, n_layers] the same with the text of the next pair (of the last: the first).
 * A zero vector has cosine 0.
 */
tl_status tl_align(tl_model *model, const tl_parallel *pairs, size_t n,
                   const tl_align_options *options, double *matched, double *other,
                   tl_error *err);

/* ---- back-patching (docs/math.md eq. 15) ------------------------------------------- */

/*
 * resid_post of layers source - window / 2 ... source + window / 2 at the data positions is
 * written over that of layers destination - window / 2 ... (pairs outside the model are
 * dropped), `times` times: first the clean run's, then each time that of the run before.
 */
typedef struct tl_backpatch_cell {
    size_t source, destination, window, times;
} tl_backpatch_cell;

/* TL_ERR_ARGUMENT naming what is wrong: a layer that is not there, an even window,
 * times 0. */
tl_status tl_backpatch_check(const tl_backpatch_cell *cell, size_t n_layers,
                             tl_error *err);

/*
 * One prompt under n_cells cells. `clean` [n_ids] receives the logits of `ids` at the last
 * position of the clean run, `patched` [n_cells, most_times, n_ids] those after every
 * time (rows beyond a cell's own times are left alone); most_times is the largest of the cells'.
 * Layers up to a cell's lowest destination are the clean run's and not run again; cells
 * with the same one are one batch.
 */
tl_status tl_backpatch(tl_model *model, const tl_input *input, size_t data_begin,
                       size_t data_end, const tl_backpatch_cell *cells, size_t n_cells,
                       const int32_t *ids, size_t n_ids, size_t memory_budget,
                       double *clean, double *patched, tl_error *err);

#endif
