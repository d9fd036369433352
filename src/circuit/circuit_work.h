/* SPDX-License-Identifier: MIT
 * circuit_work.h - what experiments on pairs of prompts take, before they are made. */
#ifndef TWINLENS_CIRCUIT_CIRCUIT_WORK_H
#define TWINLENS_CIRCUIT_CIRCUIT_WORK_H

#include "twinlens/overlap.h"
#include "twinlens/pass.h"
#include "twinlens/validate.h"

/* A circuit that has this share of all heads and of all neurons, spread evenly over layers,
 * and over positions: those of the data, and the others. */
typedef struct tl_circuit_share {
    double data, rest;
    bool is_set; /* else the front of a ranking */
} tl_circuit_share;

/* Floating-point operations of products, as tl_evaluator makes them: densely, sparsely or
 * not at all, as its own cost model has it. n_prefix positions are not computed; and if it is
 * sparse, n_shared not again, up to which it is the same as another one. */
tl_status tl_circuit_flops(const tl_model *model, const tl_span *span, size_t n_prefix,
                           size_t n_shared, const tl_circuit_share *share, double *out,
                           tl_error *err);

/* The same of circuits whose components are known, evaluated together. */
tl_status tl_known_circuits_flops(const tl_model *model, size_t n_pos, size_t n_prefix,
                                  const tl_circuit *circuits, size_t n, double *out,
                                  tl_error *err);

/* The runs of a pair that all circuits share: of the counterfactual, and, unless it is
 * known, of the clean prompt behind the prefix. */
tl_status tl_pair_flops(const tl_model *model, size_t n_pos, size_t n_prefix,
                        bool no_clean, double *out, tl_error *err);

/* Of one pair attributed; within a budget as if it were alone in its passes. */
tl_status tl_attribution_flops(const tl_model *model, size_t n_pos, size_t n_prefix,
                               const tl_attribution_options *options, double *out,
                               tl_error *err);

/* Of one pair validated. */
tl_status tl_validator_flops(const tl_model *model, size_t n_pos, size_t n_prefix,
                             const tl_validate_options *options, double *out,
                             tl_error *err);

/* Of a pass over one prompt, with the way back if the options are for one; added to
 * *sum as often as `times` says. */
tl_status tl_pass_flops_add(const tl_model *model, size_t n_pos, size_t n_prefix,
                            const tl_pass_options *options, double times, double *sum,
                            tl_error *err);

#endif
