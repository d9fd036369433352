/* SPDX-License-Identifier: MIT
 *
 * overlap.h - how far two circuits, one of text and one of image prompts, are the same
 * parts: sets of components, positions of one modality in the other, intersection over
 * union, and the same for random circuits.
 *
 *     tl_position_map_init(&map, &text_span, &image_span, arena, &err);
 *     tl_set_from_circuit(&circuit, arena, &text_set, &err);
 *     tl_overlap_measure(&text_set, &image_set, &map, &overlap, &err);
 *
 * Components are (layer, position, head) and (layer, position, neuron), as in
 * circuit.h.
 */
#ifndef TWINLENS_OVERLAP_H
#define TWINLENS_OVERLAP_H

#include "twinlens/api.h"
#include "twinlens/circuit.h"
#include "twinlens/terms.h"

TL_BEGIN_DECLS

/* Where the parts of all prompts of one modality are. */
typedef struct tl_span {
    size_t n_pos, data_begin, data_end; /* data_begin <= data_end < n_pos */
} tl_span;

/* Positions [*begin, *end) of a segment: data; from there to the last; the last. */
void tl_span_segment(const tl_span *span, tl_segment segment, size_t *begin,
                     size_t *end);

/* ---- positions (docs/math.md eq. 10) ---------------------------------------------- */

/*
 * Which position of one modality plays the part of which in the other, many to many.
 * Data: every one with every one. Before the data positions are aligned from the left,
 * behind it from the right; what one side has too many goes with the other's position
 * that is nearest to the data.
 */
typedef struct tl_position_map {
    tl_span span[TL_MODALITY_COUNT];
    size_t n_pairs;
    const size_t (*pairs)[TL_MODALITY_COUNT]; /* (text position, image position) */
} tl_position_map;

/* *map receives the spans, and the pairs in `arena`. TL_ERR_ARGUMENT when a span is
 * none. */
tl_status tl_position_map_init(tl_position_map *map, const tl_span *text,
                               const tl_span *image, tl_arena *arena, tl_error *err);

/* ---- sets ------------------------------------------------------------------------ */

/* *out receives an empty set of that shape, in `arena`. */
tl_status tl_set_create(size_t n_layers, size_t n_pos, size_t n_heads, size_t d_mlp,
                        tl_arena *arena, tl_component_set *out, tl_error *err);
/* *out receives the components of a circuit, in `arena`; the circuit may go away. */
tl_status tl_set_from_circuit(const tl_circuit *circuit, tl_arena *arena,
                              tl_component_set *out, tl_error *err);
size_t tl_set_count(const tl_component_set *set, tl_component_kind kind);

/* Adds to `to` what `from` has at positions [begin, end); they are of one shape. */
void tl_set_add(const tl_component_set *from, size_t begin, size_t end,
                tl_component_set *to);

/* Takes out of `to` what `from` has; and what `from` does not have. They are of one shape. */
void tl_set_remove(const tl_component_set *from, tl_component_set *to);
void tl_set_intersect(const tl_component_set *from, tl_component_set *to);

/* Adds to `to` what `from`, a set over positions of modality `from_modality`, has at
 * positions [begin, end), at all positions of the other modality that they map to. */
void tl_set_carry(const tl_component_set *from, tl_modality from_modality, size_t begin,
                  size_t end, const tl_position_map *map, tl_component_set *to);

/* ---- overlap (docs/math.md eq. 11) ------------------------------------------------- */

/* One kind in one segment. */
typedef struct tl_iou {
    double iou; /* the mean of the two directions */
    /* In positions of the image, the text's components carried over; and the other
     * way round. In the data segment, where positions are dropped, the same. */
    double in_image, in_text;
    bool empty; /* no component on either side, then 0 */
} tl_iou;

/* Each segment, and the whole circuit: what the segments have in common over what either
 * has in any of them. */
enum { TL_OVERLAP_WHOLE = TL_SEGMENT_COUNT, TL_OVERLAP_PARTS };
typedef struct tl_overlap {
    tl_iou of[TL_OVERLAP_PARTS][TL_KIND_COUNT];
} tl_overlap;

/* The name of a segment; "whole". */
const char *tl_overlap_part_name(size_t part);

tl_status tl_overlap_measure(const tl_component_set *text,
                             const tl_component_set *image, const tl_position_map *map,
                             tl_overlap *out, tl_error *err);

/* What a random circuit has in common with the one that it stands for. */
typedef enum tl_random_match {
    TL_MATCH_WHOLE,   /* as many heads and neurons, anywhere */
    TL_MATCH_SEGMENT, /* as many in each segment */
    TL_MATCH_UNIQUE,  /* in the data segment as many (layer, head or neuron) */
} tl_random_match;

/* Mean and standard deviation over draws. */
typedef struct tl_moments {
    double mean, deviation;
} tl_moments;

typedef struct tl_overlap_baseline {
    size_t n_draws;
    tl_moments of[TL_OVERLAP_PARTS][TL_KIND_COUNT];
    tl_moments segment[TL_OVERLAP_PARTS]; /* of the mean of both kinds */
} tl_overlap_baseline;

/* Overlap of random circuits of the same sizes. Draw i depends on seed and i alone. */
tl_status tl_overlap_random(const tl_component_set *text, const tl_component_set *image,
                            const tl_position_map *map, tl_random_match match,
                            size_t n_draws, uint64_t seed, tl_overlap_baseline *out,
                            tl_error *err);

TL_END_DECLS

#endif
