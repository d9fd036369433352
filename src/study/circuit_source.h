/* SPDX-License-Identifier: MIT
 * circuit_source.h - sets of components from where there are some: a study, a score file, a
 * circuit file, a list; and what they have in common or not. */
#ifndef TWINLENS_STUDY_CIRCUIT_SOURCE_H
#define TWINLENS_STUDY_CIRCUIT_SOURCE_H

#include "twinlens/circuit_file.h"

/* What of a study or a score file is taken. */
typedef struct tl_circuit_cut {
    int modality; /* of a study; -1: it has one */
    const char
        *fraction; /* of each kind; NULL: of a study the smallest faithful circuit */
    const char *counts[TL_KIND_COUNT]; /* how many of a kind instead; NULL: not */
    tl_fraction_rounding rounding;
} tl_circuit_cut;

/* Of each kind of operation those named by so many files or lists, one after the other. */
typedef struct tl_circuit_algebra {
    const char *const *with, *const *or_with, *const *without;
    size_t n_with, n_or_with, n_without;
    int segment, kind; /* -1: all */
} tl_circuit_algebra;

/*
 * ((source and with ...) or or_with ...) without ..., then of that one segment and one kind.
 * The source is a study's folder, a score file, a file that ends in ".json" or a list; *note
 * says in words what it was cut from (NULL: from nothing). TL_ERR_DATA when shapes differ, or
 * nobody says one.
 */
tl_status tl_circuit_source_read(const char *source, const tl_circuit_cut *cut,
                                 const tl_circuit_algebra *algebra, tl_arena *arena,
                                 tl_circuit_shape *shape, tl_component_set *out,
                                 const char **note, tl_error *err);

#endif
