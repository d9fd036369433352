/* SPDX-License-Identifier: MIT
 *
 * interchange.h - whether two circuits do the same job: one segment of a circuit is
 * replaced by the other modality's, and the faithfulness of the result is compared with
 * that of a random replacement.
 *
 *     tl_interchange_build(sets, TL_IMAGE, TL_SEGMENT_QUERY, &sets[TL_TEXT], &map,
 *                          arena, &mixed, &err);
 *     circuit = (tl_circuit){.set = &mixed};
 *     tl_evaluate(model, image_pairs, n, &circuit, 1, NULL, results, &err);
 */
#ifndef TWINLENS_INTERCHANGE_H
#define TWINLENS_INTERCHANGE_H

#include "twinlens/api.h"
#include "twinlens/overlap.h"

TL_BEGIN_DECLS

/* The host's circuit with no segment replaced. */
#define TL_SEGMENT_NONE TL_SEGMENT_COUNT

/*
 * The circuit `sets[host]`, its three segments, with segment `swapped` taken from
 * `foreign` instead, a set over the other modality's positions, carried over. Components
 * before the data are left out, where ablation changes nothing. Foreign components of
 * the data segment act at all of the host's data positions.
 */
tl_status tl_interchange_build(const tl_component_set sets[TL_MODALITY_COUNT],
                               tl_modality host, size_t swapped,
                               const tl_component_set *foreign,
                               const tl_position_map *map, tl_arena *arena,
                               tl_component_set *out, tl_error *err);

typedef enum tl_interchange_random {
    TL_RANDOM_VALID,     /* as many different heads and neurons of the segment */
    TL_RANDOM_REFERENCE, /* as published: layers and heads one too far are drawn and
                            lost, neurons stay together, groups may collide */
} tl_interchange_random;

/* A random set with the make-up that `foreign` has in one segment of `span`. */
tl_status tl_interchange_draw(const tl_component_set *foreign, const tl_span *span,
                              tl_segment segment, tl_interchange_random how,
                              uint64_t seed, tl_arena *arena, tl_component_set *out,
                              tl_error *err);

TL_END_DECLS

#endif
