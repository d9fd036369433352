/* SPDX-License-Identifier: MIT
 *
 * logits.c - see logits.h. Rows of W are widened a piece at a time, on the stack; a sum
 * runs over ascending k whatever the pieces are.
 */
#include "op/logits.h"

#include <assert.h>
#include <math.h>

enum { PIECE = 256 };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* w[0 .. count) = W[id, first + ...] */
static void widen(const tl_tensor *weight, int32_t id, size_t first, size_t count,
                  float *w)
{
    assert(id >= 0 && (size_t)id < weight->dims[0]);
    const tl_status status =
        tl_tensor_to_f32(weight, (size_t)id * weight->dims[1] + first, count, w, NULL);
    assert(status == TL_OK);
    (void)status;
}

double tl_softcap(double logit, float cap)
{
    return cap > 0.0f ? (double)cap * tanh(logit / (double)cap) : logit;
}

static double dot(const tl_tensor *weight, int32_t id, const float *x)
{
    const size_t d_model = weight->dims[1];
    float w[PIECE];
    double sum = 0.0;
    for (size_t first = 0; first < d_model; first += PIECE) {
        const size_t n = smaller(PIECE, d_model - first);
        widen(weight, id, first, n, w);
        for (size_t k = 0; k < n; k++)
            sum += (double)x[first + k] * (double)w[k];
    }
    return sum;
}

void tl_logits_of(const tl_tensor *weight, size_t n_rows, const uint32_t *rows,
                  const float *x, size_t n_ids, const int32_t *ids, float cap,
                  double *out)
{
    assert(weight->n_dims == 2);
    for (size_t r = 0; r < n_rows; r++)
        for (size_t i = 0; i < n_ids; i++)
            out[r * n_ids + i] =
                tl_softcap(dot(weight, ids[i], x + rows[r] * weight->dims[1]), cap);
}

/* What a score's logit hands back to it. */
static double factor(tl_backward_rule rule, double s, float cap)
{
    const double t = s / (double)cap, y = tanh(t);
    if (rule == TL_BACKWARD_RELEVANCE)
        return t != 0.0 ? y / t : 1.0;
    return 1.0 - y * y;
}

void tl_logit_diff_gradient(tl_backward_rule rule, const tl_tensor *weight,
                            size_t n_rows, const uint32_t *rows, const int32_t *a,
                            const int32_t *b, float cap, const double *s, float *dx)
{
    assert(weight->n_dims == 2);
    const size_t d_model = weight->dims[1];
    float w_a[PIECE], w_b[PIECE];
    for (size_t r = 0; r < n_rows; r++) {
        const double f_a = cap > 0.0f ? factor(rule, s[2 * r], cap) : 1.0,
                     f_b = cap > 0.0f ? factor(rule, s[2 * r + 1], cap) : 1.0;
        for (size_t first = 0; first < d_model; first += PIECE) {
            const size_t n = smaller(PIECE, d_model - first);
            float *row = dx + rows[r] * d_model + first;
            widen(weight, a[r], first, n, w_a);
            widen(weight, b[r], first, n, w_b);
            for (size_t k = 0; k < n; k++)
                row[k] = (float)(f_a * (double)w_a[k] - f_b * (double)w_b[k]);
        }
    }
}

double tl_metric_of_logits(tl_metric metric, const float *logits, size_t n_vocab,
                           int32_t a)
{
    double most = (double)logits[0], sum = 0.0;
    for (size_t j = 1; j < n_vocab; j++)
        most = fmax(most, (double)logits[j]);
    for (size_t j = 0; j < n_vocab; j++)
        sum += exp((double)logits[j] - most);
    const double log_p = (double)logits[a] - most - log(sum);
    return metric == TL_METRIC_PROBABILITY ? exp(log_p) : log_p;
}

/* dx += g W[id] */
static void add_row(const tl_tensor *weight, int32_t id, double g, float *dx)
{
    const size_t d_model = weight->dims[1];
    float w[PIECE];
    for (size_t first = 0; first < d_model; first += PIECE) {
        const size_t n = smaller(PIECE, d_model - first);
        widen(weight, id, first, n, w);
        for (size_t k = 0; k < n; k++)
            dx[first + k] = (float)((double)dx[first + k] + g * (double)w[k]);
    }
}

/* g[j] f(s_j) for all j, in place of s. */
static void weigh_vocabulary(tl_metric metric, double *s, size_t n_vocab, int32_t a,
                             float cap)
{
    double most = -INFINITY, sum = 0.0;
    for (size_t j = 0; j < n_vocab; j++)
        most = fmax(most, tl_softcap(s[j], cap));
    for (size_t j = 0; j < n_vocab; j++)
        sum += exp(tl_softcap(s[j], cap) - most);
    const double p_a = exp(tl_softcap(s[a], cap) - most) / sum,
                 scale = metric == TL_METRIC_PROBABILITY ? p_a : 1.0;
    for (size_t j = 0; j < n_vocab; j++) {
        const double p = exp(tl_softcap(s[j], cap) - most) / sum,
                     slope = cap > 0.0f ? factor(TL_BACKWARD_GRADIENT, s[j], cap) : 1.0;
        s[j] = scale * ((j == (size_t)a ? 1.0 : 0.0) - p) * slope;
    }
}

void tl_metric_gradient(tl_metric metric, tl_backward_rule rule,
                        const tl_tensor *weight, size_t n_rows, const uint32_t *rows,
                        const int32_t *a, float cap, const float *x, double *room,
                        float *dx)
{
    const size_t n_vocab = weight->dims[0], d_model = weight->dims[1];
    assert(rule == TL_BACKWARD_GRADIENT || metric == TL_METRIC_LOGIT);
    for (size_t r = 0; r < n_rows; r++) {
        const float *from = x + rows[r] * d_model;
        float *to = dx + rows[r] * d_model;
        for (size_t k = 0; k < d_model; k++)
            to[k] = 0.0f;
        if (metric == TL_METRIC_LOGIT) {
            const double s = cap > 0.0f ? dot(weight, a[r], from) : 0.0;
            add_row(weight, a[r], cap > 0.0f ? factor(rule, s, cap) : 1.0, to);
            continue;
        }
        for (size_t j = 0; j < n_vocab; j++)
            room[j] = dot(weight, (int32_t)j, from);
        weigh_vocabulary(metric, room, n_vocab, a[r], cap);
        for (size_t j = 0; j < n_vocab; j++)
            add_row(weight, (int32_t)j, room[j], to);
    }
}
