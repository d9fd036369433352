/* SPDX-License-Identifier: MIT
 *
 * sparse_evaluation.h - circuits as lanes of a sparse pass (model/sparse_pass.h), and which
 * of them are worth it.
 */
#ifndef TWINLENS_CIRCUIT_SPARSE_EVALUATION_H
#define TWINLENS_CIRCUIT_SPARSE_EVALUATION_H

#include "circuit/pair.h"
#include "model/sparse_pass.h"

/* Circuits that a sparse pass of an evaluation has at most, of each pair. */
enum { TL_SPARSE_TOGETHER = 32 };

/* How the clean prompt is run under a circuit. */
typedef enum tl_circuit_way {
    TL_CIRCUIT_DENSE,
    TL_CIRCUIT_SPARSE,
    TL_CIRCUIT_NOTHING, /* no component at all: sparse, if it has to be run */
} tl_circuit_way;

/* Depends on the circuit and on the shape of the model alone. */
tl_circuit_way tl_circuit_choose(const tl_model *model, const tl_circuit *circuit,
                                 tl_evaluate_how how);

/* Whether a circuit of that size is computed sparsely: see tl_sparse_cost(). */
bool tl_circuit_pays(const tl_model *model, double heads, double mlp);

/* A prompt of the batch under a circuit; `heads` and `neurons`: where the backend finds its
 * ranks or members. */
tl_sparse_lane tl_circuit_lane(const tl_circuit *circuit, size_t prompt,
                               const tl_array *heads, const tl_array *neurons);

/* What attention and MLP add to the stream in the counterfactual run, behind the prefix:
 * [n_layers, n_rows, d_model] each. */
typedef struct tl_outputs {
    float *attn, *mlp; /* NULL for a model of which a sparse pass does not want them */
} tl_outputs;

/* Elements of both. */
size_t tl_outputs_count(const tl_model *model, size_t n_rows);

/* Readings of a run's prompt number 0 that leave them; returns how many. */
enum { TL_OUTPUT_SITES = 2 };
size_t tl_outputs_read(const tl_pair_nodes *nodes, const tl_outputs *outputs,
                       tl_reading readings[TL_OUTPUT_SITES]);

/* The clean prompt of a pair, of which rows are known from first_row on. */
tl_sparse_prompt tl_sparse_prompt_of_pair(const tl_pair *pair,
                                          const tl_pair_nodes *nodes, size_t first_row);

#endif
