/* SPDX-License-Identifier: MIT
 *
 * probe.h - what image states are like and what they are good for: alignment with the
 * states of the same content in words, and back-patching, where late states are written
 * into earlier layers.
 *
 *     tl_alignment_create(model, TL_ALIGN_ACT, 0, &alignment, &err);
 *     for (size_t i = 0; i < n_pairs; i++)
 *         tl_alignment_take(alignment, &pairs[i], &err);
 *     tl_alignment_measure(alignment, &pairs[0], &pairs[1], &values, &err);
 *     tl_alignment_destroy(alignment);
 *
 *     const tl_backpatch_cell cell = {.source = 20, .destination = 4, .window = 1,
 *                                     .times = 1};
 *     tl_backpatch(model, &input, data_begin, data_end, &cell, 1, labels, n_labels, 0,
 *                  clean, patched, &err);
 */
#ifndef TWINLENS_PROBE_H
#define TWINLENS_PROBE_H

#include "twinlens/api.h"
#include "twinlens/model.h"
#include "twinlens/overlap.h"

TL_BEGIN_DECLS

/* ---- alignment (docs/math.md eq. 14) --------------------------------------------- */

/* The same content twice. */
typedef struct tl_parallel {
    tl_input text, image;
    tl_span text_span, image_span;
    const int32_t *text_ids; /* [text.n_pos]; NULL will do for TL_ALIGN_ACT */
} tl_parallel;

/* What an image state is compared with, and how much of it counts. */
typedef enum tl_align {
    TL_ALIGN_ACT,     /* the text's states of the same layer: the most similar one */
    TL_ALIGN_UNEMBED, /* the rows of the unembedding of the text's tokens, in every
                         layer the same: the mean of the most similar twentieth, of at
                         least one */
} tl_align;

typedef struct tl_alignment tl_alignment;

tl_status tl_alignment_create(tl_model *model, tl_align with, size_t memory_budget,
                              tl_alignment **out, tl_error *err);
void tl_alignment_destroy(tl_alignment *alignment);

/* Takes a pair into the means that tl_alignment_measure() centres by: those of each
 * modality and layer over all data positions of all pairs that were taken; of the text,
 * the mean of what is compared with. */
tl_status tl_alignment_take(tl_alignment *alignment, const tl_parallel *pair,
                            tl_error *err);

/* Of one pair, [n_layers] each: the mean over the image's data positions of the cosine
 * that counts of its resid_post and a data position of the text. A zero vector has
 * cosine 0. */
typedef struct tl_alignment_values {
    double *matched; /* with the pair's own text */
    double *other;   /* with the text of another pair */
    double *centred_matched,
        *centred_other; /* less the mean states; NULL: not wanted */
} tl_alignment_values;

/* Of `other` the text alone is read. TL_ERR_ARGUMENT when there are no data, centred values are wanted of no means, or
 * tokens that are not given. */
tl_status tl_alignment_measure(tl_alignment *alignment, const tl_parallel *pair,
                               const tl_parallel *other, tl_alignment_values *out,
                               tl_error *err);

/* ---- back-patching (docs/math.md eq. 15) ------------------------------------------- */

/*
 * resid_post of layers source - window / 2 ... source + window / 2 at the data positions is
 * written over that of layers destination - window / 2 ... (pairs outside the model are
 * dropped), `times` times: first the clean run's, then each time that of the run before.
 * Layers behind go on with that, or with `restore` get the clean run's states of the data
 * positions back.
 */
typedef struct tl_backpatch_cell {
    size_t source, destination, window, times;
    bool restore;
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

TL_END_DECLS

#endif
