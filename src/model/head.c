/* SPDX-License-Identifier: MIT
 *
 * head.c - see pass_private.h. From the last residual stream to logits, and from a
 * difference of two logits back to it.
 */
#include "model/pass_private.h"

#include <math.h>
#include <string.h>

/* ---- logits -------------------------------------------------------------------- */

static double soft_cap(double logit, float cap)
{
    return cap > 0.0f ? (double)cap * tanh(logit / (double)cap) : logit;
}

void tl_head_forward(tl_pass *pass)
{
    tl_backend *b = pass->model->backend;
    const tl_spec *spec = &pass->model->spec;
    const size_t L = spec->dims.n_layers;
    b->rmsnorm(b, tl_batch_query_rows(pass, L - 1), spec->dims.d_model, spec->norm_eps,
               pass->resid[L], pass->model->weights.final_norm.weight, pass->final,
               pass->final_inv_rms);
}

tl_status tl_head_check(const tl_pass *pass, size_t prompt, tl_error *err)
{
    if (!pass->ready)
        return tl_fail(err, TL_ERR_ARGUMENT, "there is no finished forward pass");
    if (prompt >= pass->n_prompts)
        return tl_fail(err, TL_ERR_ARGUMENT, "prompt %zu of a pass over %zu", prompt,
                       pass->n_prompts);
    return TL_OK;
}

/* One token's logit at a prompt's last position; `row` receives its row of the
 * unembedding. */
static tl_status one_logit(tl_pass *pass, size_t prompt, int32_t id, float *row,
                           double *logit, tl_error *err)
{
    const tl_spec *spec = &pass->model->spec;
    const size_t d_model = spec->dims.d_model;
    const float *x = pass->final + tl_batch_last_row(pass, prompt) * d_model;
    const tl_status status = tl_model_unembedding(pass->model, &id, 1, row, err);
    if (status != TL_OK)
        return status;
    double sum = 0.0;
    for (size_t k = 0; k < d_model; k++)
        sum += (double)x[k] * (double)row[k];
    *logit = soft_cap(sum, spec->logit_softcap);
    return TL_OK;
}

/* Of two tokens; leaves their rows of the unembedding in head_rows. */
static tl_status two_logits(tl_pass *pass, size_t prompt, const int32_t ids[2],
                            double logits[2], tl_error *err)
{
    const size_t d_model = pass->model->spec.dims.d_model;
    tl_status status = TL_OK;
    for (size_t i = 0; i < 2 && status == TL_OK; i++)
        status = one_logit(pass, prompt, ids[i], pass->head_rows + i * d_model,
                           &logits[i], err);
    return status;
}

tl_status tl_pass_logit_diff(tl_pass *pass, size_t prompt, int32_t a, int32_t b,
                             double *out, tl_error *err)
{
    double logits[2];
    tl_status status = tl_head_check(pass, prompt, err);
    if (status == TL_OK)
        status = two_logits(pass, prompt, (int32_t[2]){a, b}, logits, err);
    if (status == TL_OK)
        *out = logits[0] - logits[1];
    return status;
}

tl_status tl_pass_logits_of(tl_pass *pass, size_t prompt, const int32_t *ids,
                            size_t n_ids, double *out, tl_error *err)
{
    tl_status status = tl_head_check(pass, prompt, err);
    for (size_t i = 0; i < n_ids && status == TL_OK; i++)
        status = one_logit(pass, prompt, ids[i], pass->head_rows, &out[i], err);
    return status;
}

static tl_status logits_of_rows(tl_pass *pass, size_t first, size_t rows, float *out,
                                tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const tl_spec *spec = &pass->model->spec;
    const tl_status status =
        b->linear(b, &pass->model->weights.head, rows,
                  pass->final + first * spec->dims.d_model, out, false, err);
    if (status == TL_OK && spec->logit_softcap > 0.0f)
        for (size_t i = 0; i < rows * spec->dims.n_vocab; i++)
            out[i] = (float)soft_cap((double)out[i], spec->logit_softcap);
    return status;
}

tl_status tl_pass_logits_last(tl_pass *pass, size_t prompt, float *out, tl_error *err)
{
    const tl_status status = tl_head_check(pass, prompt, err);
    return status != TL_OK
               ? status
               : logits_of_rows(pass, tl_batch_last_row(pass, prompt), 1, out, err);
}

tl_status tl_pass_logits_all(tl_pass *pass, size_t prompt, float *out, tl_error *err)
{
    const tl_status status = tl_head_check(pass, prompt, err);
    if (status != TL_OK)
        return status;
    if (pass->options.last_only)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "a last_only pass has no logits of other positions");
    return logits_of_rows(pass, pass->rows[prompt].first, pass->rows[prompt].n, out,
                          err);
}

tl_status tl_head_backward(tl_pass *pass, const int32_t *a, const int32_t *b,
                           tl_error *err)
{
    const tl_spec *spec = &pass->model->spec;
    const size_t d_model = spec->dims.d_model, L = spec->dims.n_layers;
    const size_t Q = tl_batch_query_rows(pass, L - 1);
    memset(pass->d_norm, 0, Q * d_model * sizeof(float));
    for (size_t p = 0; p < pass->n_prompts; p++) {
        double logits[2];
        const tl_status status =
            two_logits(pass, p, (int32_t[2]){a[p], b[p]}, logits, err);
        if (status != TL_OK)
            return status;
        double slope[2] = {1.0, 1.0};
        for (size_t i = 0; i < 2 && spec->logit_softcap > 0.0f; i++) {
            const double t = logits[i] / (double)spec->logit_softcap;
            slope[i] = 1.0 - t * t;
        }
        float *row = pass->d_norm + tl_batch_last_row(pass, p) * d_model;
        for (size_t i = 0; i < d_model; i++)
            row[i] = (float)(slope[0] * (double)pass->head_rows[i] -
                             slope[1] * (double)pass->head_rows[d_model + i]);
    }
    memset(pass->d_resid, 0, Q * d_model * sizeof(float));
    tl_backend *backend = pass->model->backend;
    backend->rmsnorm_backward(backend, Q, d_model, pass->resid[L],
                              pass->model->weights.final_norm.weight,
                              pass->final_inv_rms, pass->d_norm, pass->d_resid);
    return TL_OK;
}
