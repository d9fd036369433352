/* SPDX-License-Identifier: MIT
 *
 * precision_check.c - see include/twinlens/validate.h.
 *
 * Of each precision the order of all components is kept, which takes four bytes for each; it
 * is all that correlation and circuits need.
 */
#include <math.h>

#include "base/sized.h"
#include "trace/experiment.h"
#include "twinlens/statistics.h"
#include "twinlens/validate.h"

enum { SIDES = 2 }; /* f32, and the other */

/* What one precision makes of the pairs. */
typedef struct side {
    tl_ranking ranking;
    double *clean; /* [n] */
    double faithfulness;
} side;

/* Of a component in an order; while one is made there are scores and another order beside. */
enum { ORDER_BYTES = sizeof(uint32_t), MAKING_BYTES = 2 * sizeof(uint32_t) };

/* Components of whose orders memory has any. */
static size_t count_components(const tl_model *model, size_t n_pos,
                               const tl_precision_options *o)
{
    const tl_dims *d = tl_model_dims(model);
    return o->attribution.folder != NULL
               ? 0
               : d->n_layers * n_pos * (d->n_heads + d->d_mlp);
}

/* The orders of both sides, and what they may leave empty of a chunk of their arena. */
static size_t order_bytes(const tl_model *model, size_t n_pos,
                          const tl_precision_options *o)
{
    enum { CHUNK_BYTES = 64 << 10 };
    if (o->attribution.folder != NULL)
        return 0;
    return SIDES * ORDER_BYTES * count_components(model, n_pos, o) + CHUNK_BYTES;
}

/* What is left beside the orders for an experiment. */
static size_t budget_of(const tl_model *model, size_t n_pos,
                        const tl_precision_options *o)
{
    const size_t held = order_bytes(model, n_pos, o);
    if (o->memory_budget == 0)
        return 0;
    return o->memory_budget > held ? o->memory_budget - held : 1;
}

/* The scores last as long as the order is made. */
static tl_status attribute(side *s, tl_model *model, const tl_pair *pairs, size_t n,
                           const tl_precision_options *o, tl_arena *arena,
                           tl_error *err)
{
    const size_t n_pos = pairs[0].clean.n_pos;
    tl_attribution_options options = o->attribution;
    tl_attribution *attribution = NULL;
    tl_scores scores;
    tl_arena *own = tl_arena_create_like(arena);
    options.memory_budget = budget_of(model, n_pos, o);
    tl_status status =
        own != NULL ? tl_attribution_create(model, n_pos, &options, &attribution, err)
                    : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for scores");
    if (status == TL_OK)
        status = tl_attribution_add(attribution, pairs, n, err);
    if (status == TL_OK)
        status = tl_attribution_scores(attribution, own, &scores, err);
    tl_attribution_destroy(attribution);
    if (status == TL_OK)
        status = tl_ranking_from_scores(&scores, arena, &s->ranking, err);
    tl_arena_destroy(own);
    return status;
}

/* The faithfulness of the circuit of the side's own scores. */
static tl_status evaluate(side *s, tl_model *model, const tl_pair *pairs, size_t n,
                          const tl_precision_options *o, tl_arena *arena, tl_error *err)
{
    const tl_evaluate_options options = {.memory_budget =
                                             budget_of(model, pairs[0].clean.n_pos, o)};
    const tl_circuit circuit = tl_circuit_at(&s->ranking, o->fraction, o->rounding);
    tl_faithfulness_sums sums = {0};
    tl_evaluator *evaluator = NULL;
    tl_status status = tl_evaluator_create(model, &options, &evaluator, err);
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

static tl_status measure(side *s, tl_model *model, tl_precision precision,
                         const tl_pair *pairs, size_t n, const tl_precision_options *o,
                         tl_arena *arena, tl_error *err)
{
    tl_status status = tl_model_set_precision(model, precision, err);
    if (status == TL_OK)
        status = attribute(s, model, pairs, n, o, arena, err);
    return status == TL_OK ? evaluate(s, model, pairs, n, o, arena, err) : status;
}

/* Of the n components that each of two orders puts first. */
static double jaccard(const uint32_t *a, const uint32_t *b, size_t count, size_t n)
{
    size_t both = 0;
    for (size_t i = 0; i < count; i++)
        both += a[i] < n && b[i] < n;
    return n > 0 ? (double)both / (double)(2 * n - both) : NAN;
}

/* Of two orders of the same things: 1 - 6 sum (a - b)^2 / (n (n^2 - 1)). */
static double spearman(const uint32_t *a, const uint32_t *b, size_t count)
{
    const double n = (double)count;
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        const double apart = (double)a[i] - (double)b[i];
        sum += apart * apart;
    }
    return count > 1 ? 1.0 - 6.0 * sum / (n * (n * n - 1.0)) : NAN;
}

static tl_precision_check compare(const side *f32, const side *other, size_t n,
                                  const tl_precision_options *o)
{
    const tl_ranking *a = &f32->ranking, *b = &other->ranking;
    const size_t places = a->n_layers * a->n_pos, n_heads = places * a->n_heads,
                 n_neurons = places * a->d_mlp;
    const tl_circuit circuit = tl_circuit_at(a, o->fraction, o->rounding);
    tl_precision_check c = {
        .n_pairs = n,
        .spearman = {spearman(a->heads, b->heads, n_heads),
                     spearman(a->neurons, b->neurons, n_neurons)},
        .jaccard = {jaccard(a->heads, b->heads, n_heads, circuit.n_heads),
                    jaccard(a->neurons, b->neurons, n_neurons, circuit.n_neurons)},
        .faithfulness = {f32->faithfulness, other->faithfulness}};
    for (size_t i = 0; i < n; i++) {
        const double difference =
            fabs(other->clean[i] - f32->clean[i]) / (1e-6 + fabs(f32->clean[i]));
        c.logit_diff = difference > c.logit_diff ? difference : c.logit_diff;
    }
    return c;
}

tl_status tl_precision_compare(tl_model *model, const tl_pair *pairs, size_t n,
                               const tl_precision_options *options,
                               tl_precision_check *out, tl_error *err)
{
    tl_precision_options o;
    side sides[SIDES] = {{.clean = NULL}};
    tl_status status =
        tl_sized_copy(options, &o, sizeof o, "tl_precision_options", err);
    if (status != TL_OK)
        return status;
    if (n == 0 || o.fraction.denominator == 0)
        return tl_fail(err, TL_ERR_ARGUMENT, "no %s to compare precisions %s",
                       n == 0 ? "pair" : "size of a circuit", n == 0 ? "on" : "at");
    size_t least = 0;
    const tl_precision own = tl_model_precision(model);
    const size_t n_pos = pairs[0].clean.n_pos;
    if ((status = tl_precision_bytes(model, n_pos, &o, &least, err)) != TL_OK ||
        (status = tl_budget_check(o.memory_budget, least, "a comparison of precisions",
                                  n_pos, err)) != TL_OK)
        return status;
    tl_arena *arena = tl_arena_create_in(o.attribution.folder);
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to compare precisions");
    status = measure(&sides[0], model, TL_PRECISION_F32, pairs, n, &o, arena, err);
    const tl_status back =
        tl_model_set_precision(model, own, status == TL_OK ? err : NULL);
    status = status == TL_OK ? back : status;
    if (status == TL_OK)
        status = measure(&sides[1], model, own, pairs, n, &o, arena, err);
    if (status == TL_OK)
        *out = compare(&sides[0], &sides[1], n, &o);
    tl_arena_destroy(arena);
    return status;
}

tl_status tl_precision_bytes(const tl_model *model, size_t n_pos,
                             const tl_precision_options *options, size_t *out,
                             tl_error *err)
{
    tl_precision_options o;
    size_t attribution = 0, evaluator = 0, most = 0;
    tl_status status =
        tl_sized_copy(options, &o, sizeof o, "tl_precision_options", err);
    if (status == TL_OK)
        status = tl_attribution_bytes(model, n_pos, &o.attribution, &attribution, err);
    if (status == TL_OK)
        status = tl_evaluator_bytes(model, n_pos, &evaluator, err);
    if (status != TL_OK)
        return status;
    most = MAKING_BYTES * count_components(model, n_pos, &o);
    most = attribution > most ? attribution : most;
    most = evaluator > most ? evaluator : most;
    *out = order_bytes(model, n_pos, &o) + most;
    return TL_OK;
}
