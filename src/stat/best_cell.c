/* SPDX-License-Identifier: MIT
 *
 * best_cell.c - the best of many cells, judged without flattering it
 * (include/twinlens/statistics.h).
 */
#include <math.h>

#include "base/random.h"
#include "twinlens/alloc.h"
#include "twinlens/statistics.h"

/* Largest over cells of the sum of signed changes, each by its scale. */
static double best_sum(const double *change, const double *scale, size_t n_cells,
                       size_t n, const double *sign)
{
    double best = 0.0;
    for (size_t c = 0; c < n_cells; c++) {
        double sum = 0.0;
        for (size_t i = 0; i < n; i++)
            sum += sign[i] * change[c * n + i];
        if (c == 0 || sum * scale[c] > best)
            best = sum * scale[c];
    }
    return best;
}

/* The deviation of a cell's sum over flips is the square root of its squared changes: in
 * units of it, cells that change much and cells that change little are judged alike. */
static void find_scales(const double *change, size_t n_cells, size_t n, double *scale)
{
    for (size_t c = 0; c < n_cells; c++) {
        double squares = 0.0;
        for (size_t i = 0; i < n; i++)
            squares += change[c * n + i] * change[c * n + i];
        scale[c] = squares > 0.0 ? 1.0 / sqrt(squares) : 0.0;
    }
}

/* Cells that break far more than they fix are no candidates: as if they changed nothing. */
static void leave_out_harmful(const double *change, size_t n_cells, size_t n,
                              double *scale)
{
    static const double HARMFUL =
        -3.0; /* in deviations: one in 740 of those of noise */
    for (size_t c = 0; c < n_cells; c++) {
        double sum = 0.0;
        for (size_t i = 0; i < n; i++)
            sum += change[c * n + i];
        if (sum * scale[c] < HARMFUL)
            scale[c] = 0.0;
    }
}

tl_status tl_best_cell_test(const double *change, size_t n_cells, size_t n,
                            size_t n_resamples, uint64_t seed, double *p, tl_error *err)
{
    if (n_cells == 0 || n == 0)
        return tl_fail(err, TL_ERR_ARGUMENT, "%zu cells of %zu prompts to test",
                       n_cells, n);
    double *sign = tl_alloc(n, sizeof *sign), *scale = tl_alloc(n_cells, sizeof *scale);
    if (sign == NULL || scale == NULL) {
        tl_free(sign);
        tl_free(scale);
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu prompts", n);
    }
    for (size_t i = 0; i < n; i++)
        sign[i] = 1.0;
    find_scales(change, n_cells, n, scale);
    const double observed = best_sum(change, scale, n_cells, n, sign);
    leave_out_harmful(change, n_cells, n, scale);
    tl_random random = {seed};
    size_t as_good = 1; /* the data themselves */
    for (size_t r = 0; r < n_resamples; r++) {
        for (size_t i = 0; i < n; i++)
            sign[i] = tl_random_next(&random) >> 63 ? -1.0 : 1.0;
        as_good += best_sum(change, scale, n_cells, n, sign) >= observed - 1e-9;
    }
    tl_free(sign);
    tl_free(scale);
    *p = (double)as_good / (double)(n_resamples + 1);
    return TL_OK;
}

static double mean_of(const double *outcome, size_t n, size_t cell, const size_t *order,
                      size_t begin, size_t end)
{
    double sum = 0.0;
    for (size_t i = begin; i < end; i++)
        sum += outcome[cell * n + order[i]];
    return sum / (double)(end - begin);
}

tl_status tl_best_cell_crossed(const double *outcome, size_t n_cells, size_t n,
                               uint64_t seed, double *judged, size_t cells[2],
                               tl_error *err)
{
    if (n_cells == 0 || n < 2)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "%zu cells of %zu prompts, wanted at least one of two", n_cells,
                       n);
    size_t *order = tl_alloc(n, sizeof *order);
    if (order == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu prompts", n);
    tl_random random = {seed};
    tl_random_order(&random, n, order);
    for (size_t half = 0; half < 2; half++) {
        const size_t begin = half == 0 ? 0 : n / 2, end = half == 0 ? n / 2 : n,
                     other_begin = half == 0 ? n / 2 : 0,
                     other_end = half == 0 ? n : n / 2;
        size_t best = 0;
        for (size_t c = 1; c < n_cells; c++)
            if (mean_of(outcome, n, c, order, begin, end) >
                mean_of(outcome, n, best, order, begin, end))
                best = c;
        cells[half] = best;
        for (size_t i = other_begin; i < other_end; i++)
            judged[order[i]] = outcome[best * n + order[i]];
    }
    tl_free(order);
    return TL_OK;
}

tl_status tl_best_cell_halves(size_t n, uint64_t seed, bool *in_first, tl_error *err)
{
    size_t *order = tl_alloc(n + 1, sizeof *order);
    if (order == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu prompts", n);
    tl_random random = {seed};
    tl_random_order(&random, n, order);
    for (size_t i = 0; i < n; i++)
        in_first[order[i]] = i < n / 2;
    tl_free(order);
    return TL_OK;
}
