/* SPDX-License-Identifier: MIT
 *
 * probe.h - what image states are like and what they are good for: alignment with the
 * states of the same content in words, and back-patching, where late states are written
 * into earlier layers.
 *
 *     tl_alignment_create(model, TL_ALIGN_ACT, 0, &alignment, &err);
 *     for (size_t i = 0; i < n_pairs; i++)
 *         tl_alignment_add(alignment, &pairs[i], &err);
 *     tl_alignment_measure(alignment, 0, &pairs[0], 1, &pairs[1], &values, &err);
 *     tl_alignment_destroy(alignment);
 *
 *     const tl_backpatch_cell cell = {.source = 20, .destination = 4, .window = 1,
 *                                     .times = 1};
 *     tl_backpatcher_create(model, 0, &backpatcher, &err);
 *     tl_backpatcher_run(backpatcher, &input, data_begin, data_end, &cell, 1, labels,
 *                        n_labels, clean, patched, &err);
 *     tl_backpatcher_destroy(backpatcher);
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

/* memory_budget: bytes for all that it holds; 0: no limit. */
tl_status tl_alignment_create(tl_model *model, tl_align with, size_t memory_budget,
                              tl_alignment **out, tl_error *err);
void tl_alignment_destroy(tl_alignment *alignment);

/* The least budget that an alignment of n_pairs pairs can do with when their prompts are so
 * long, and have so many data positions: the sums for the means, the states of the pair
 * that is measured and of the other text, no others kept, and the pass that makes them, or
 * those states to unit length in double. Not in it are weights and their cache, what
 * products work with, and the pairs. */
tl_status tl_alignment_bytes(const tl_model *model, tl_align with, const tl_span *text,
                             const tl_span *image, size_t n_pairs, size_t *out,
                             tl_error *err);

/* Runs a pair, which gets the next number from 0 on. Its states at the data positions go
 * into the means of each modality and layer that centred values are centred by (of the
 * text, the means of what is compared with), and are kept for tl_alignment_measure() as
 * far as the budget allows. TL_ERR_ARGUMENT when there are no data, or tokens that are
 * not given. */
tl_status tl_alignment_add(tl_alignment *alignment, const tl_parallel *pair,
                           tl_error *err);
bool tl_alignment_keeps(const tl_alignment *alignment, size_t i);

/* The same in two steps, when several processes run pairs and all need the means: run() runs
 * the pair that comes next of those that this process runs, sums() has what it adds up to,
 * borrowed doubles, and take() gives a number to that pair (sums NULL), or to one that
 * another process has run, with its sums. All take all pairs in one order. */
tl_status tl_alignment_run(tl_alignment *alignment, const tl_parallel *pair,
                           tl_error *err);
double *tl_alignment_sums(tl_alignment *alignment, size_t *n);
tl_status tl_alignment_take(tl_alignment *alignment, const double *sums, tl_error *err);

/* Of one pair, [n_layers] each: the mean over the image's data positions of the cosine
 * that counts of its resid_post and a data position of the text. A zero vector has
 * cosine 0. */
typedef struct tl_alignment_values {
    double *matched;                         /* with the pair's own text */
    double *other;                           /* with the text of another pair */
    double *centred_matched, *centred_other; /* with the means of all added pairs
                                                subtracted from the states; NULL: not wanted */
} tl_alignment_values;

/* There is no other pair. */
#define TL_NO_PAIR ((size_t)-1)

/* Pair number i, beside the text of number j; TL_NO_PAIR: of none, then what is said of it
 * is NaN. `pair` and `other` are these pairs once more,
 * of `other` the text alone: they are run again if their states were not kept, and may be
 * NULL if they were. */
tl_status tl_alignment_measure(tl_alignment *alignment, size_t i,
                               const tl_parallel *pair, size_t j,
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

/* Layers that a cell runs each time: those above its lowest destination. */
size_t tl_backpatch_layers(const tl_backpatch_cell *cell, size_t n_layers);

/* Patches prompts one after the other, with the same memory. memory_budget: bytes for all
 * that it holds; 0: no limit. */
typedef struct tl_backpatcher tl_backpatcher;
tl_status tl_backpatcher_create(tl_model *model, size_t memory_budget,
                                tl_backpatcher **out, tl_error *err);
void tl_backpatcher_destroy(tl_backpatcher *backpatcher);

/* The least budget that a backpatcher can do with for prompts of n_pos positions, n_data of
 * them data, and cells of at most that window: the clean run's states of all layers, the
 * keys and values before the data, the states that one cell writes and reads, and a pass
 * over one prompt. Not in it are weights and their cache, what products work with, inputs
 * and results. With less, tl_backpatcher_run() refuses. */
tl_status tl_backpatcher_bytes(const tl_model *model, size_t n_pos, size_t n_data,
                               size_t window, size_t *out, tl_error *err);

/*
 * One prompt under n_cells cells. `clean` [n_ids] receives the logits of `ids` at the last
 * position of the clean run, `patched` [n_cells, most_times, n_ids] those after every
 * time (rows beyond a cell's own times are left alone); most_times is the largest of the cells'.
 * Layers up to a cell's lowest destination are the clean run's and not run again; cells
 * with the same one are one batch.
 */
tl_status tl_backpatcher_run(tl_backpatcher *backpatcher, const tl_input *input,
                             size_t data_begin, size_t data_end,
                             const tl_backpatch_cell *cells, size_t n_cells,
                             const int32_t *ids, size_t n_ids, double *clean,
                             double *patched, tl_error *err);

TL_END_DECLS

#endif
