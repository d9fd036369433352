/* SPDX-License-Identifier: MIT
 *
 * stage_circuit_tests.c - whether the smallest faithful circuit is better than chance, has
 * nothing that it could do without, and leaves nothing out (docs/math.md eq. 22). See
 * stage.h.
 *
 * Its circuits are sets, a byte for each component: as many are there at a time as a part of
 * the memory holds, and the counterfactual is run again for the next ones.
 */
#include "study/stage.h"

#include "circuit/circuit_tests.h"
#include "circuit/circuit_work.h"
#include "circuit/sparse_evaluation.h"

/* Evaluation pairs, the first ones. */
enum { PAIRS = 8 };

/* The part of the memory for sets, and what they have when nobody knows how much there is. */
enum { SETS_PART = 4, SETS_BYTES = 1 << 30 };

typedef struct test_stage {
    tl_part_pairs pairs;
    const tl_component_set *circuit;
    const tl_circuit_test *tests;
    size_t n_tests, n_at_a_time;
    tl_evaluator *evaluator;
} test_stage;

static size_t count_pairs(size_t n_evaluation)
{
    return n_evaluation < PAIRS ? n_evaluation : PAIRS;
}

/* Sets that there is room for, of n. */
static size_t at_a_time(const tl_study *study, tl_modality modality, size_t n)
{
    const size_t set = tl_study_components(study, study->spans[modality].n_pos),
                 bytes = study->memory > 0 ? study->memory / SETS_PART : SETS_BYTES,
                 room = bytes / set;
    return room >= n ? n : room > 0 ? room : 1;
}

/* Beside the evaluator: sets, the circuits of both modalities, and the inputs of pairs. */
static size_t held(const tl_study *study, tl_modality modality, size_t n_sets,
                   size_t n_pairs)
{
    const size_t n_pos = study->spans[modality].n_pos;
    return tl_study_array_bytes(study, n_pos, n_sets + TL_MODALITY_COUNT) +
           tl_study_input_bytes(study, modality, n_pos, 2 * n_pairs);
}

/* A study that goes on makes a ranking first. */
static tl_status bytes(const tl_study *study, tl_modality modality, size_t *out,
                       tl_error *err)
{
    const size_t made = tl_stage_ranking_bytes(study, modality);
    size_t run = 0;
    *out = 0;
    if (study->settings.circuit_tests == 0)
        return TL_OK;
    const tl_status status = tl_stage_evaluator_bytes(study, modality, &run, err);
    run += held(study, modality, 1, 1);
    *out = made > run ? made : run;
    return status;
}

/* The rows that say what the circuits are. */
static tl_status name_tests(const tl_stage_run *run, tl_stage_rows *out, tl_error *err)
{
    const test_stage *x = run->state;
    tl_study_test *rows = tl_arena_alloc(run->arena, x->n_tests, sizeof *rows);
    if (rows == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu tests", x->n_tests);
    for (size_t i = 0; i < x->n_tests; i++) {
        const tl_circuit_test *t = &x->tests[i];
        const bool one = t->circuit == TL_TEST_WITHOUT || t->circuit == TL_TEST_WITH;
        rows[i] = (tl_study_test){.modality = run->modality,
                                  .test = i,
                                  .circuit = tl_test_circuit_name(t->circuit),
                                  .has_component = one,
                                  .kind = one ? tl_kind_name(t->kind) : NULL,
                                  .layer = t->layer,
                                  .pos = t->pos,
                                  .index = t->index};
    }
    tl_stage_put(out, TL_ROW_TEST, rows, x->n_tests);
    return TL_OK;
}

static tl_status begin(tl_stage_run *run, tl_stage_rows *rows, tl_error *err)
{
    tl_study *study = run->study;
    const tl_settings *settings = &study->settings;
    const tl_study_test_run like = {.modality = run->modality};
    const tl_component_set *circuit = NULL;
    tl_rows known = {0};
    tl_status status = TL_OK;
    if (settings->circuit_tests > 0)
        status = tl_study_circuit(study, run->modality, &circuit, err);
    if (status != TL_OK || circuit == NULL)
        return status;
    test_stage *x = run->state = tl_arena_alloc_zero(run->arena, 1, sizeof *x);
    if (x == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to test a circuit");
    x->circuit = circuit;
    status = tl_study_find_pairs(study, run->modality, TL_STUDY_EVALUATION, run->arena,
                                 &x->pairs, err);
    if (status == TL_OK)
        status =
            tl_circuit_tests_list(circuit, &x->pairs.span, settings->circuit_tests,
                                  tl_circuit_tests_seed(settings->seed, run->modality),
                                  run->arena, &x->tests, &x->n_tests, err);
    if (status == TL_OK)
        status = tl_study_db_get(study->db, TL_ROW_TEST_RUN, &like, 1, run->arena,
                                 &known, err);
    if (status == TL_OK)
        status = name_tests(run, rows, err);
    if (status != TL_OK)
        return status;
    run->n_units = count_pairs(x->pairs.n);
    run->n_done = known.n / x->n_tests;
    run->n_together = tl_study_evaluated_together(study, run->modality);
    x->n_at_a_time = at_a_time(study, run->modality, x->n_tests);
    /* The stage that makes curves has the clean runs. */
    return tl_stage_evaluator(
        run, &x->pairs, held(study, run->modality, x->n_at_a_time, run->n_together),
        true, &x->evaluator, err);
}

/* Pairs under the tests [first, first + n); results are those of all tests. */
static tl_status run_tests(const tl_stage_run *run, const tl_pair *pairs,
                           size_t n_pairs, size_t first, size_t n, double *ld,
                           tl_error *err)
{
    const test_stage *x = run->state;
    /* The sets are not needed afterwards. */
    tl_arena *own = tl_arena_create_in(run->study->arrays_in);
    if (own != NULL)
        tl_stage_make_room(own, n,
                           tl_study_components(run->study, x->pairs.span.n_pos));
    tl_component_set *sets = own ? tl_arena_alloc(own, n, sizeof *sets) : NULL;
    tl_circuit *circuits = own ? tl_arena_alloc_zero(own, n, sizeof *circuits) : NULL;
    tl_evaluation *results = own ? tl_arena_alloc(own, n_pairs, sizeof *results) : NULL;
    tl_status status =
        sets != NULL && circuits != NULL && results != NULL
            ? TL_OK
            : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu circuits", n);
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        status = tl_circuit_test_build(x->circuit, &x->pairs.span, &x->tests[first + i],
                                       own, &sets[i], err);
        circuits[i].set = &sets[i];
    }
    for (size_t p = 0; p < n_pairs && status == TL_OK; p++)
        results[p] = (tl_evaluation){.circuit = ld + p * x->n_tests + first};
    if (status == TL_OK)
        status =
            tl_evaluator_run(x->evaluator, pairs, n_pairs, circuits, n, results, err);
    tl_arena_destroy(own);
    return status;
}

static tl_status test_pairs(tl_stage_run *run, size_t first, size_t n,
                            tl_stage_rows *rows, tl_error *err)
{
    test_stage *x = run->state;
    const tl_study_pair *pairs = x->pairs.pairs + first;
    const size_t n_found = n * x->n_tests;
    tl_pair *made = NULL;
    double *ld = tl_arena_alloc(run->arena, n_found, sizeof *ld);
    tl_study_test_run *found = tl_arena_alloc(run->arena, n_found, sizeof *found);
    if (ld == NULL || found == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu tests", x->n_tests);
    tl_status status =
        tl_study_make_pairs(run->study, pairs, n, run->arena, &made, err);
    for (size_t i = 0; i < x->n_tests && status == TL_OK; i += x->n_at_a_time)
        status = run_tests(
            run, made, n, i,
            x->n_tests - i < x->n_at_a_time ? x->n_tests - i : x->n_at_a_time, ld, err);
    for (size_t i = 0; i < n_found && status == TL_OK; i++)
        found[i] = (tl_study_test_run){run->modality, pairs[i / x->n_tests].pair,
                                       i % x->n_tests, ld[i]};
    tl_stage_put(rows, TL_ROW_TEST_RUN, found, n_found);
    return status;
}

static void release(tl_stage_run *run)
{
    test_stage *x = run->state;
    tl_evaluator_destroy(x->evaluator);
}

/* The circuits of a pair that are known. */
static tl_status guess_known(const tl_stage_sizes *sizes, double *sum, tl_error *err)
{
    const tl_study_shape *shape = sizes->shape;
    const size_t n = shape->n_tests[sizes->modality];
    tl_status status = TL_OK;
    for (size_t i = 0; i < n && status == TL_OK; i += TL_SPARSE_TOGETHER)
        status = tl_stage_add_circuits(
            sizes, shape->tests[sizes->modality] + i,
            n - i < TL_SPARSE_TOGETHER ? n - i : TL_SPARSE_TOGETHER, sum, err);
    return status;
}

/* Of the last position's MLPs what a circuit of the mean share leaves out: those that are
 * found have so much there that all of it is computed. */
static double last_row(const tl_stage_sizes *sizes)
{
    const tl_dims *d = tl_model_dims(sizes->model);
    return (1.0 - sizes->shape->circuit) * 2.0 * 3.0 * (double)d->n_layers *
           (double)d->d_mlp * (double)d->d_model;
}

/* A component more or less is taken to be anywhere behind the beginning of the data; up to
 * there its circuit is the same as the one itself. */
static tl_status guess_components(const tl_stage_sizes *sizes,
                                  const tl_circuit_share *share, double *sum,
                                  tl_error *err)
{
    const tl_modality m = sizes->modality;
    const tl_span *span = &sizes->shape->spans[m];
    const size_t n_pos = span->n_pos - span->data_begin,
                 n = 2 * TL_KIND_COUNT *
                     tl_circuit_tests_components(sizes->settings->circuit_tests);
    tl_status status = TL_OK;
    for (size_t t = span->data_begin; t < span->n_pos && status == TL_OK; t++) {
        double one = 0.0;
        status = tl_circuit_flops(sizes->model, span, tl_stage_prefix(sizes), t, share,
                                  &one, err);
        *sum += (one + last_row(sizes)) * (double)n / (double)n_pos;
    }
    return status;
}

/* The circuit, its complement, which is run densely, and random ones. */
static tl_status guess(const tl_stage_sizes *sizes, tl_stage_guess *out, tl_error *err)
{
    const tl_modality m = sizes->modality;
    const tl_span *span = &sizes->shape->spans[m];
    const size_t n_prefix = tl_stage_prefix(sizes);
    const double own = sizes->shape->circuit,
                 n_random = (double)sizes->settings->circuit_tests;
    const tl_circuit_share share = {own, own, true},
                           rest = {1.0 - own, 1.0 - own, true};
    double one = 0.0, dense = 0.0;
    if (sizes->settings->circuit_tests == 0)
        return TL_OK;
    out->n_units = count_pairs(sizes->n_evaluation);
    tl_status status = tl_stage_add_pair(sizes, out->n_units, true, &out->flops, err);
    if (status == TL_OK && sizes->shape->tests[m] != NULL)
        return guess_known(sizes, &out->flops, err);
    if (status == TL_OK)
        status = tl_circuit_flops(sizes->model, span, n_prefix, 0, &share, &one, err);
    if (status == TL_OK)
        status = tl_circuit_flops(sizes->model, span, n_prefix, 0, &rest, &dense, err);
    out->flops += dense + (one + last_row(sizes)) * (1.0 + n_random);
    return status == TL_OK ? guess_components(sizes, &share, &out->flops, err) : status;
}

const tl_stage tl_stage_circuit_tests = {.name = "circuit tests",
                                         .of = TL_STAGE_EACH,
                                         .of_circuits = true,
                                         .guess = guess,
                                         .bytes = bytes,
                                         .begin = begin,
                                         .run = test_pairs,
                                         .release = release};
