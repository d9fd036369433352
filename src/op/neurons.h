/* SPDX-License-Identifier: MIT
 *
 * neurons.h - some neurons of a gated MLP, different ones in every row, as what they change
 * of an output that is known for other values of the neurons:
 *
 *     m[r,j]  = act(W_gate[j,:] . x[r,:] + b_gate[j]) (W_up[j,:] . x[r,:] + b_up[j])
 *     y[r,:] += sum_j (m[r,j] - base[r,j]) W_down[:,j]
 *
 * over the neurons j of row r. Rows that want nearly the same neurons make a group: a list,
 * of which each row takes as many as it wants from the front.
 */
#ifndef TWINLENS_OP_NEURONS_H
#define TWINLENS_OP_NEURONS_H

#include <stddef.h>
#include <stdint.h>

#include "op/activation.h"
#include "tensor/parameters.h"

typedef struct tl_neuron_row {
    uint32_t x, y;     /* its rows in x and y; no two rows of a call have one y */
    uint32_t n;        /* neurons from the front of the group's list */
    const float *base; /* [d_mlp], an address of the backend */
} tl_neuron_row;

typedef struct tl_neuron_group {
    const uint32_t *index; /* neurons, each at most once */
    const tl_neuron_row
        *rows; /* by descending n; that of the first is the list's length */
    size_t n_rows;
} tl_neuron_group;

typedef struct tl_gated_mlp {
    tl_activation activation;
    const tl_linear *gate, *up, *down; /* the bias of `down` is not added */
} tl_gated_mlp;

/* Shapes    x, y [.., d_model]; gate, up [d_mlp, d_model]; down [d_model, d_mlp]
 * Accuracy  in double, one rounding per value of y */
void tl_neurons_add(const tl_gated_mlp *mlp, size_t n_groups,
                    const tl_neuron_group *groups, const float *x, float *y);

#endif
