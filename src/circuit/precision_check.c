/* SPDX-License-Identifier: MIT
 * precision_check.c - see include/twinlens/validate.h. */
#include <math.h>

#include "twinlens/statistics.h"
#include "twinlens/validate.h"

/* What one precision makes of the pairs. */
typedef struct side {
    tl_model *model;
    tl_scores scores;
    tl_ranking ranking;
    double *clean; /* [n] */
    double faithfulness;
} side;

static tl_status attribute(side *s, const tl_pair *pairs, size_t n,
                           const tl_attribution_options *options, tl_arena *arena,
                           tl_error *err)
{
    tl_attribution *attribution = NULL;
    tl_status status = tl_attribution_create(s->model, pairs[0].clean.n_pos, options,
                                             &attribution, err);
    if (status == TL_OK)
        status = tl_attribution_add(attribution, pairs, n, err);
    if (status == TL_OK)
        status = tl_attribution_scores(attribution, arena, &s->scores, err);
    if (status == TL_OK)
        status = tl_ranking_from_scores(&s->scores, arena, &s->ranking, err);
    tl_attribution_destroy(attribution);
    return status;
}

/* The faithfulness of the circuit of the side's own scores, mean of ratios. */
static tl_status evaluate(side *s, const tl_pair *pairs, size_t n, tl_fraction size,
                          size_t memory_budget, tl_arena *arena, tl_error *err)
{
    const tl_evaluate_options options = {.memory_budget = memory_budget};
    const tl_circuit circuit = tl_circuit_at(&s->ranking, size, TL_FRACTION_EXACT);
    tl_faithfulness_sums sums = {0};
    tl_evaluator *evaluator = NULL;
    tl_status status = tl_evaluator_create(s->model, &options, &evaluator, err);
    s->clean = tl_arena_alloc(arena, n, sizeof *s->clean);
    if (status == TL_OK && s->clean == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pairs", n);
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        double logit_diff = 0.0;
        tl_evaluation result = {.circuit = &logit_diff};
        status = tl_evaluator_run(evaluator, &pairs[i], 1, &circuit, 1, &result, err);
        if (status == TL_OK) {
            s->clean[i] = result.clean;
            tl_faithfulness_add(&sums, result.clean, result.none, logit_diff);
        }
    }
    tl_evaluator_destroy(evaluator);
    s->faithfulness = tl_faithfulness_mean_of_ratios(&sums);
    return status;
}

/* Of the n components that each of two orders puts first. */
static double jaccard(const uint32_t *a, const uint32_t *b, size_t count, size_t n)
{
    size_t both = 0;
    for (size_t i = 0; i < count; i++)
        both += a[i] < n && b[i] < n;
    return n > 0 ? (double)both / (double)(2 * n - both) : NAN;
}

/* The scores as doubles, which correlations take. */
static tl_status correlate(const float *a, const float *b, size_t count, double *out,
                           tl_error *err)
{
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu scores", count);
    double *x = tl_arena_alloc(arena, count, sizeof *x),
           *y = tl_arena_alloc(arena, count, sizeof *y);
    tl_status status =
        x != NULL && y != NULL
            ? TL_OK
            : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu scores", count);
    for (size_t i = 0; i < count && status == TL_OK; i++) {
        x[i] = (double)a[i];
        y[i] = (double)b[i];
    }
    if (status == TL_OK)
        status = tl_spearman(x, y, count, out, err);
    tl_arena_destroy(arena);
    return status;
}

static tl_status compare(const side *f32, const side *other, size_t n, tl_fraction size,
                         tl_precision_check *out, tl_error *err)
{
    const tl_ranking *r = &f32->ranking;
    const size_t places = r->n_layers * r->n_pos, n_heads = places * r->n_heads,
                 n_neurons = places * r->d_mlp;
    const tl_circuit circuit = tl_circuit_at(r, size, TL_FRACTION_EXACT);
    tl_precision_check c = {
        .n_pairs = n,
        .jaccard = {jaccard(r->heads, other->ranking.heads, n_heads, circuit.n_heads),
                    jaccard(r->neurons, other->ranking.neurons, n_neurons,
                            circuit.n_neurons)},
        .faithfulness = {f32->faithfulness, other->faithfulness}};
    for (size_t i = 0; i < n; i++) {
        const double difference =
            fabs(other->clean[i] - f32->clean[i]) / (1e-6 + fabs(f32->clean[i]));
        c.logit_diff = difference > c.logit_diff ? difference : c.logit_diff;
    }
    tl_status status = correlate(f32->scores.heads, other->scores.heads, n_heads,
                                 &c.spearman[TL_KIND_HEADS], err);
    if (status == TL_OK)
        status = correlate(f32->scores.neurons, other->scores.neurons, n_neurons,
                           &c.spearman[TL_KIND_NEURONS], err);
    if (status == TL_OK)
        *out = c;
    return status;
}

tl_status tl_precision_compare(tl_model *f32, tl_model *other, const tl_pair *pairs,
                               size_t n, const tl_attribution_options *options,
                               tl_fraction size, tl_precision_check *out, tl_error *err)
{
    side sides[2] = {{.model = f32}, {.model = other}};
    const size_t budget = options != NULL ? options->memory_budget : 0;
    if (n == 0)
        return tl_fail(err, TL_ERR_ARGUMENT, "no pair to compare precisions on");
    tl_arena *arena = tl_arena_create();
    tl_status status = arena != NULL ? TL_OK
                                     : tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    for (size_t i = 0; i < 2 && status == TL_OK; i++) {
        status = attribute(&sides[i], pairs, n, options, arena, err);
        if (status == TL_OK)
            status = evaluate(&sides[i], pairs, n, size, budget, arena, err);
    }
    if (status == TL_OK)
        status = compare(&sides[0], &sides[1], n, size, out, err);
    tl_arena_destroy(arena);
    return status;
}
