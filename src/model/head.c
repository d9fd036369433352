/* SPDX-License-Identifier: MIT
 *
 * head.c - see pass_private.h. From the last residual stream to logits, and from a
 * difference of two logits back to it.
 */
#include "model/pass_private.h"

#include <math.h>

#include "op/logits.h"
#include "twinlens/alloc.h"

enum { ROWS_AT_A_TIME = 64 };

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

static tl_status not_finite(const tl_pass *pass, size_t prompt, size_t id, double logit,
                            tl_error *err)
{
    char name[64];
    return tl_fail(err, TL_ERR_DATA,
                   "%s: the logit of token %zu is %g; wanted a finite number",
                   tl_finite_name(pass, prompt, name), id, logit);
}

tl_status tl_pass_logits_of(tl_pass *pass, size_t prompt, const int32_t *ids,
                            size_t n_ids, double *out, tl_error *err)
{
    tl_backend *b = pass->model->backend;
    tl_status status = tl_head_check(pass, prompt, err);
    if (status == TL_OK)
        status = b->logits_of(b, &pass->model->weights.head, 1,
                              &pass->final_rows[prompt], pass->final, n_ids, ids,
                              pass->model->spec.logit_softcap, out, err);
    for (size_t i = 0; i < n_ids && status == TL_OK; i++)
        if (!isfinite(out[i]))
            status = not_finite(pass, prompt, (size_t)ids[i], out[i], err);
    return status;
}

tl_status tl_pass_logit_diff(tl_pass *pass, size_t prompt, int32_t a, int32_t b,
                             double *out, tl_error *err)
{
    double logits[2];
    const tl_status status =
        tl_pass_logits_of(pass, prompt, (int32_t[2]){a, b}, 2, logits, err);
    if (status == TL_OK)
        *out = logits[0] - logits[1];
    return status;
}

tl_status tl_pass_metric(tl_pass *pass, size_t prompt, tl_metric metric, int32_t a,
                         int32_t b, double *out, tl_error *err)
{
    if (metric == TL_METRIC_LOGIT_DIFF)
        return tl_pass_logit_diff(pass, prompt, a, b, out, err);
    if (metric == TL_METRIC_LOGIT)
        return tl_pass_logits_of(pass, prompt, &a, 1, out, err);
    const size_t n_vocab = pass->model->spec.dims.n_vocab;
    if (a < 0 || (size_t)a >= n_vocab)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "token id %d is outside the model's %zu tokens", (int)a,
                       n_vocab);
    float *logits = tl_alloc(n_vocab, sizeof *logits);
    const tl_status status =
        logits != NULL
            ? tl_pass_logits_last(pass, prompt, logits, err)
            : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu logits", n_vocab);
    if (status == TL_OK)
        *out = tl_metric_of_logits(metric, logits, n_vocab, a);
    tl_free(logits);
    return status;
}

/* All logits of some rows of `final`, by way of memory of the backend. */
static tl_status logits_of_rows(tl_pass *pass, size_t first, size_t n_rows, float *out,
                                tl_error *err)
{
    tl_backend *b = pass->model->backend;
    const tl_spec *spec = &pass->model->spec;
    const size_t n_vocab = spec->dims.n_vocab,
                 at_a_time = n_rows < ROWS_AT_A_TIME ? n_rows : ROWS_AT_A_TIME;
    void *logits = NULL;
    tl_status status = tl_model_begin(pass->model, err);
    if (status != TL_OK)
        return status;
    status = b->allocate(b, at_a_time * n_vocab * sizeof(float), &logits, err);
    for (size_t r = 0; r < n_rows && status == TL_OK; r += at_a_time) {
        const size_t rows = n_rows - r < at_a_time ? n_rows - r : at_a_time;
        status = b->linear(b, &pass->model->weights.head, rows,
                           pass->final + (first + r) * spec->dims.d_model, logits,
                           false, err);
        if (status == TL_OK && spec->logit_softcap > 0.0f)
            b->softcap(b, rows * n_vocab, spec->logit_softcap, logits);
        if (status == TL_OK)
            status = b->download(b, rows * n_vocab * sizeof(float), logits,
                                 out + r * n_vocab, err);
    }
    b->release(b, logits);
    tl_model_end(pass->model);
    return status;
}

tl_status tl_pass_logits_last(tl_pass *pass, size_t prompt, float *out, tl_error *err)
{
    tl_status status = tl_head_check(pass, prompt, err);
    if (status == TL_OK)
        status = logits_of_rows(pass, pass->final_rows[prompt], 1, out, err);
    for (size_t i = 0; i < pass->model->spec.dims.n_vocab && status == TL_OK; i++)
        if (!isfinite(out[i]))
            status = not_finite(pass, prompt, i, (double)out[i], err);
    return status;
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
    tl_backend *backend = pass->model->backend;
    const tl_spec *spec = &pass->model->spec;
    const tl_linear *head = &pass->model->weights.head;
    const size_t d_model = spec->dims.d_model, L = spec->dims.n_layers;
    const size_t Q = tl_batch_query_rows(pass, L - 1);
    const tl_metric metric = pass->options.metric;
    tl_status status = TL_OK;
    for (size_t p = 0; p < pass->n_prompts && metric == TL_METRIC_LOGIT_DIFF &&
                       spec->logit_softcap > 0.0f;
         p++) {
        status = backend->logits_of(backend, head, 1, &pass->final_rows[p], pass->final,
                                    2, (int32_t[2]){a[p], b[p]}, 0.0f,
                                    pass->pair_scores + 2 * p, err);
        if (status != TL_OK)
            return status;
    }
    backend->fill(backend, Q * d_model, 0.0f, pass->d_norm);
    if (metric != TL_METRIC_LOGIT_DIFF)
        status = backend->metric_gradient(
            backend, metric, pass->options.backward_rule, head, pass->n_prompts,
            pass->final_rows, a, spec->logit_softcap, pass->final, pass->d_norm, err);
    else
        status = backend->logit_diff_gradient(backend, pass->options.backward_rule,
                                              head, pass->n_prompts, pass->final_rows,
                                              a, b, spec->logit_softcap,
                                              pass->pair_scores, pass->d_norm, err);
    if (status != TL_OK)
        return status;
    backend->fill(backend, Q * d_model, 0.0f, pass->d_resid);
    backend->rmsnorm_backward(backend, pass->options.backward_rule, Q, d_model,
                              pass->resid[L], pass->model->weights.final_norm.weight,
                              pass->final_inv_rms, pass->d_norm, pass->d_resid);
    return TL_OK;
}
