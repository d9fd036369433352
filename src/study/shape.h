/* SPDX-License-Identifier: MIT
 * shape.h - what is known of a study's prompts before it begins, and what follows of its
 * stages. */
#ifndef TWINLENS_STUDY_SHAPE_H
#define TWINLENS_STUDY_SHAPE_H

#include "twinlens/circuit.h"
#include "twinlens/overlap.h"
#include "twinlens/probe.h"

/* Prompts of a study, as far as they are known: rows of each modality, 0: none; their
 * length and data; how many of their leading positions a prompt and its counterfactual have
 * in common; the share of components in the smallest faithful circuits. */
typedef struct tl_study_shape {
    size_t n_rows[TL_MODALITY_COUNT];
    size_t n_no_part[TL_MODALITY_COUNT]; /* of these, rows that no circuit is of */
    tl_span spans[TL_MODALITY_COUNT];
    size_t n_prefix[TL_MODALITY_COUNT];
    double circuit;
    /* What is known as soon as the study has found it; NULL: not yet. All circuits that
     * are evaluated, those of the tests and of the interchange, and the cells that are
     * iterated: the best of all, and of either half of the prompts. */
    const tl_circuit *circuits[TL_MODALITY_COUNT], *tests[TL_MODALITY_COUNT],
        *swaps[TL_MODALITY_COUNT];
    size_t n_circuits[TL_MODALITY_COUNT], n_tests[TL_MODALITY_COUNT],
        n_swaps[TL_MODALITY_COUNT];
    const tl_backpatch_cell *best, *crossed[2];
} tl_study_shape;

/* What circuits of nobody knows which size are taken to be. */
#define TL_STUDY_CIRCUIT_SHARE 0.05

/* What a stage is expected to take: floating-point operations of products, as they are
 * counted in table `work`, and how many forward passes over one of its prompts make as
 * many. */
typedef struct tl_stage_cost {
    char name[48];
    size_t n_units;
    double flops, forwards;
} tl_stage_cost;
enum { TL_STUDY_COSTS = 32 }; /* at most */

#endif
