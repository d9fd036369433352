/* SPDX-License-Identifier: MIT
 * neurons.c - see neurons.h. */
#include "op/neurons.h"

/* Values of a matrix that are converted at a time. */
enum { RUN = 64 };

static double dot_row(const tl_linear *layer, size_t row, const float *x)
{
    const size_t n = layer->weight.dims[1];
    double sum = layer->bias != NULL ? (double)layer->bias[row] : 0.0;
    float w[RUN];
    for (size_t i = 0; i < n; i += RUN) {
        const size_t some = n - i < RUN ? n - i : RUN;
        tl_tensor_to_f32(&layer->weight, row * n + i, some, w, NULL);
        for (size_t k = 0; k < some; k++)
            sum += (double)w[k] * (double)x[i + k];
    }
    return sum;
}

static double change(const tl_gated_mlp *mlp, size_t neuron, const float *x,
                     const float *base)
{
    return tl_activation_value(mlp->activation, dot_row(mlp->gate, neuron, x)) *
               dot_row(mlp->up, neuron, x) -
           (double)base[neuron];
}

static void add_row(const tl_gated_mlp *mlp, const uint32_t *index,
                    const tl_neuron_row *row, const float *x, float *y)
{
    const tl_tensor *down = &mlp->down->weight;
    const size_t d_model = down->dims[0], d_mlp = down->dims[1];
    enum { CHANNELS = 64 };
    /* The changes are made once for every few channels: there is no memory to keep them. */
    for (size_t c0 = 0; c0 < d_model; c0 += CHANNELS) {
        const size_t n = d_model - c0 < CHANNELS ? d_model - c0 : CHANNELS;
        double sum[CHANNELS] = {0.0};
        for (size_t j = 0; j < row->n; j++) {
            const double by = change(mlp, index[j], x, row->base);
            for (size_t c = 0; c < n; c++) {
                float w;
                tl_tensor_to_f32(down, (c0 + c) * d_mlp + index[j], 1, &w, NULL);
                sum[c] += by * (double)w;
            }
        }
        for (size_t c = 0; c < n; c++)
            y[c0 + c] = (float)((double)y[c0 + c] + sum[c]);
    }
}

void tl_neurons_add(const tl_gated_mlp *mlp, size_t n_groups,
                    const tl_neuron_group *groups, const float *x, float *y)
{
    const size_t d_model = mlp->down->weight.dims[0];
    for (size_t g = 0; g < n_groups; g++)
        for (size_t r = 0; r < groups[g].n_rows; r++) {
            const tl_neuron_row *row = &groups[g].rows[r];
            add_row(mlp, groups[g].index, row, x + row->x * d_model,
                    y + row->y * d_model);
        }
}
