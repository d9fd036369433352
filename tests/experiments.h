/*
 * experiments.h - every experiment on a tiny checkpoint, within a budget: what it finds, byte
 * for byte, and the least budget that it says it can do with.
 */
#ifndef TESTS_EXPERIMENTS_H
#define TESTS_EXPERIMENTS_H

#include "random_inputs.h"

#include "twinlens/circuit.h"
#include "twinlens/pass.h"
#include "twinlens/probe.h"
#include "twinlens/validate.h"

enum {
    SIDE = 4,
    PAIRS = 2,
    STEPS = 3,
    DATA_BEGIN = 3,
    DATA_END = 7,
    COMPONENTS = 9,
    MOST_WINDOW = 3
};

/* What an experiment found, byte for byte. */
typedef struct outcome {
    unsigned char *bytes;
    size_t n;
} outcome;

typedef struct fixture {
    tl_model *model;
    tl_arena *arena; /* of the inputs */
    tl_arena *run;   /* of one run */
    const tl_dims *dims;
    size_t n_pos;
    tl_pair pairs[PAIRS]; /* with an image, or of text alone */
} fixture;

/* Pairs of n_pos positions, the first `same` of them the same; with side > 0 an image. */
static inline fixture setup(const char *folder, const char *backend, size_t n_pos,
                            size_t same, size_t side)
{
    fixture f = {.arena = tl_arena_create(), .run = tl_arena_create(), .n_pos = n_pos};
    tl_error err = {0};
    const tl_model_options options = {.backend = backend, .n_threads = 1};
    const tl_status status = tl_model_open(folder, &options, &f.model, &err);
    if (status != TL_OK)
        fail_msg("%s", err.text);
    f.dims = tl_model_dims(f.model);
    for (uint32_t i = 0; i < PAIRS; i++)
        f.pairs[i] = (tl_pair){
            .clean = random_input(f.model, f.arena, n_pos, same, side, 2 * i),
            .counterfactual =
                random_input(f.model, f.arena, n_pos, same, side, 2 * i + 1),
            .answer = (int32_t)(20 + i),
            .counterfactual_answer = (int32_t)(50 + i),
        };
    return f;
}

static inline void teardown(fixture *f)
{
    tl_model_close(f->model);
    tl_arena_destroy(f->run);
    tl_arena_destroy(f->arena);
}

static inline void keep(fixture *f, outcome *out, const void *bytes, size_t n)
{
    unsigned char *all = tl_arena_alloc(f->run, out->n + n, 1);
    assert_non_null(all);
    if (out->n > 0)
        memcpy(all, out->bytes, out->n);
    memcpy(all + out->n, bytes, n);
    *out = (outcome){all, out->n + n};
}

typedef tl_status experiment(fixture *f, size_t budget, outcome *out, tl_error *err);

/* Where arrays are that are not in memory. Experiments "on disk" have them in memory without a
 * budget, so that what is compared are the bytes of both. */
static const char disk[] = ".";

/* ---- experiments ----------------------------------------------------------------- */

static inline tl_attribution_options how_to_attribute(tl_method method, tl_ig_rule rule,
                                                      size_t budget)
{
    return (tl_attribution_options){.ig_steps = STEPS,
                                    .memory_budget = budget,
                                    .magnitudes = true,
                                    .method = method,
                                    .ig_rule = rule};
}

static inline tl_status attribute_as(fixture *f, tl_attribution_options options,
                                     outcome *out, tl_error *err)
{
    tl_attribution *a = NULL;
    tl_scores s, m;
    tl_status status = tl_attribution_create(f->model, f->n_pos, &options, &a, err);
    if (status == TL_OK)
        status = tl_attribution_add(a, f->pairs, PAIRS, err);
    if (status == TL_OK)
        status = tl_attribution_scores(a, f->run, &s, err);
    if (status == TL_OK)
        status = tl_attribution_magnitudes(a, f->run, &m, err);
    tl_attribution_destroy(a);
    if (status != TL_OK)
        return status;
    const size_t places = s.n_layers * s.n_pos;
    keep(f, out, s.heads, places * s.n_heads * sizeof *s.heads);
    keep(f, out, s.neurons, places * s.d_mlp * sizeof *s.neurons);
    keep(f, out, m.heads, places * s.n_heads * sizeof *m.heads);
    keep(f, out, m.neurons, places * s.d_mlp * sizeof *m.neurons);
    return TL_OK;
}

static inline tl_status attribute_by(fixture *f, tl_method method, tl_ig_rule rule,
                                     size_t budget, outcome *out, tl_error *err)
{
    return attribute_as(f, how_to_attribute(method, rule, budget), out, err);
}

static inline tl_attribution_options how_to_attribute_on_disk(size_t budget)
{
    tl_attribution_options options =
        how_to_attribute(TL_METHOD_IG, TL_IG_RIGHT, budget);
    options.folder = budget > 0 ? disk : NULL;
    return options;
}

static inline tl_status attribute_on_disk(fixture *f, size_t budget, outcome *out,
                                          tl_error *err)
{
    return attribute_as(f, how_to_attribute_on_disk(budget), out, err);
}

static inline tl_status attribute(fixture *f, size_t budget, outcome *out,
                                  tl_error *err)
{
    return attribute_by(f, TL_METHOD_IG, TL_IG_RIGHT, budget, out, err);
}

static inline tl_status attribute_at_midpoints(fixture *f, size_t budget, outcome *out,
                                               tl_error *err)
{
    return attribute_by(f, TL_METHOD_IG, TL_IG_MIDPOINT, budget, out, err);
}

static inline tl_status attribute_relevance(fixture *f, size_t budget, outcome *out,
                                            tl_error *err)
{
    return attribute_by(f, TL_METHOD_RELP, TL_IG_RIGHT, budget, out, err);
}

static inline tl_status evaluate_ablated(fixture *f, tl_ablate ablate, size_t budget,
                                         outcome *out, tl_error *err)
{
    enum { CIRCUITS = 3 };
    const tl_ranking shape = {f->dims->n_layers, f->n_pos, f->dims->n_heads,
                              f->dims->d_mlp,    NULL,     NULL};
    tl_ranking ranking;
    assert_int_equal(tl_ranking_random(&shape, 12, f->run, &ranking, NULL), TL_OK);
    tl_component_set set;
    assert_int_equal(tl_set_create(f->dims->n_layers, f->n_pos, f->dims->n_heads,
                                   f->dims->d_mlp, f->run, &set, NULL),
                     TL_OK);
    for (size_t i = 0; i < f->dims->n_layers * f->n_pos * f->dims->d_mlp; i += 3)
        set.neurons[i] = 1;
    const tl_circuit circuits[CIRCUITS] = {
        {&ranking, 20, 300, NULL}, {&ranking, 200, 3000, NULL}, {.set = &set}};
    double ld[PAIRS][CIRCUITS];
    tl_evaluation results[PAIRS];
    for (size_t i = 0; i < PAIRS; i++)
        results[i].circuit = ld[i];
    const tl_evaluate_options options = {
        .memory_budget = budget, .run_none = true, .ablate = ablate};
    const tl_status status = tl_evaluate(f->model, f->pairs, PAIRS, circuits, CIRCUITS,
                                         &options, results, err);
    if (status != TL_OK)
        return status;
    keep(f, out, ld, sizeof ld);
    for (size_t i = 0; i < PAIRS; i++)
        keep(f, out, (double[]){results[i].clean, results[i].none}, 2 * sizeof **ld);
    return TL_OK;
}

static inline tl_status evaluate(fixture *f, size_t budget, outcome *out, tl_error *err)
{
    return evaluate_ablated(f, TL_ABLATE_COUNTERFACTUAL, budget, out, err);
}

static inline tl_status evaluate_means(fixture *f, size_t budget, outcome *out,
                                       tl_error *err)
{
    return evaluate_ablated(f, TL_ABLATE_MEAN, budget, out, err);
}

static inline tl_validate_options validate_options(void)
{
    static const size_t steps[] = {1, STEPS};
    static const tl_attribution_options others[] = {
        {.ig_steps = STEPS, .ig_rule = TL_IG_MIDPOINT}, {.method = TL_METHOD_RELP}};
    return (tl_validate_options){.ig_steps = steps,
                                 .n_ig_steps = 2,
                                 .n_components = COMPONENTS,
                                 .others = others,
                                 .n_others = 2};
}

static inline tl_status validate_in(fixture *f, const char *folder, size_t budget,
                                    outcome *out, tl_error *err)
{
    tl_validate_options options = validate_options();
    options.folder = folder;
    tl_validator *validator = NULL;
    tl_validation v;
    tl_status status = tl_validator_create(f->model, budget, &validator, err);
    if (status == TL_OK)
        status =
            tl_validator_pair(validator, &f->pairs[0], &options, 5, f->run, &v, err);
    tl_validator_destroy(validator);
    if (status != TL_OK)
        return status;
    keep(f, out, v.exact, v.n * sizeof *v.exact);
    keep(f, out, v.attributed, 4 * v.n * sizeof *v.attributed);
    keep(f, out, v.gradient, 4 * sizeof *v.gradient);
    keep(f, out, &v.difference, sizeof v.difference);
    return TL_OK;
}

static inline tl_status validate(fixture *f, size_t budget, outcome *out, tl_error *err)
{
    return validate_in(f, NULL, budget, out, err);
}

static inline tl_status validate_on_disk(fixture *f, size_t budget, outcome *out,
                                         tl_error *err)
{
    return validate_in(f, budget > 0 ? disk : NULL, budget, out, err);
}

static inline tl_status complete(fixture *f, size_t budget, outcome *out, tl_error *err)
{
    double found[2] = {0};
    tl_validator *validator = NULL;
    tl_status status = tl_validator_create(f->model, budget, &validator, err);
    if (status == TL_OK)
        status = tl_validator_completeness(validator, &f->pairs[0], STEPS, &found[0],
                                           &found[1], err);
    tl_validator_destroy(validator);
    if (status == TL_OK)
        keep(f, out, found, sizeof found);
    return status;
}

static inline tl_status align_with(fixture *f, tl_align with, size_t budget,
                                   outcome *out, tl_error *err)
{
    enum { MOST_LAYERS = 8 };
    int32_t *ids = tl_arena_alloc_zero(f->run, f->n_pos, sizeof *ids);
    const tl_span span = {f->n_pos, DATA_BEGIN, DATA_END};
    double values[4][MOST_LAYERS] = {{0}};
    tl_alignment_values found = {values[0], values[1], values[2], values[3]};
    tl_alignment *a = NULL;
    assert_true(f->dims->n_layers <= MOST_LAYERS);
    tl_parallel pairs[PAIRS];
    for (size_t i = 0; i < PAIRS; i++)
        pairs[i] = (tl_parallel){f->pairs[i].clean, f->pairs[i].counterfactual, span,
                                 span, ids};
    tl_status status = tl_alignment_create(f->model, with, budget, &a, err);
    for (size_t i = 0; i < PAIRS && status == TL_OK; i++)
        status = tl_alignment_add(a, &pairs[i], err);
    for (size_t i = 0; i < PAIRS && status == TL_OK; i++) {
        status = tl_alignment_measure(a, i, &pairs[i], (i + 1) % PAIRS,
                                      &pairs[(i + 1) % PAIRS], &found, err);
        if (status == TL_OK)
            keep(f, out, values, sizeof values);
    }
    tl_alignment_destroy(a);
    return status;
}

static inline tl_status align(fixture *f, size_t budget, outcome *out, tl_error *err)
{
    return align_with(f, TL_ALIGN_ACT, budget, out, err);
}

static inline tl_status align_unembedding(fixture *f, size_t budget, outcome *out,
                                          tl_error *err)
{
    return align_with(f, TL_ALIGN_UNEMBED, budget, out, err);
}

static inline tl_status backpatch(fixture *f, size_t budget, outcome *out,
                                  tl_error *err)
{
    enum { IDS = 2, TIMES = 2, MOST_CELLS = 64 };
    static const int32_t ids[IDS] = {20, 50};
    tl_backpatch_cell cells[MOST_CELLS];
    double clean[IDS], patched[MOST_CELLS][TIMES][IDS] = {{{0.0}}};
    size_t n = 0;
    for (size_t source = 1; source < f->dims->n_layers && source < 4; source++)
        for (size_t destination = 0; destination < source; destination++)
            for (size_t window = 1; window <= MOST_WINDOW; window += 2)
                for (size_t restore = 0; restore < 2; restore++, n++)
                    cells[n] =
                        (tl_backpatch_cell){source, destination, window,
                                            n % 3 == 0 ? TIMES : 1, restore == 1};
    tl_backpatcher *b = NULL;
    tl_status status = tl_backpatcher_create(f->model, budget, &b, err);
    if (status == TL_OK)
        status = tl_backpatcher_run(b, &f->pairs[0].clean, DATA_BEGIN, DATA_END, cells,
                                    n, ids, IDS, clean, &patched[0][0][0], err);
    tl_backpatcher_destroy(b);
    if (status != TL_OK)
        return status;
    keep(f, out, clean, sizeof clean);
    keep(f, out, patched, n * sizeof *patched);
    return TL_OK;
}

static inline tl_precision_options how_to_compare(size_t budget)
{
    tl_precision_options how = {.attribution = {.ig_steps = STEPS},
                                .memory_budget = budget};
    assert_int_equal(tl_fraction_parse("0.1", &how.fraction, NULL), TL_OK);
    return how;
}

static inline tl_status compare_precisions_in(fixture *f, const char *folder,
                                              size_t budget, outcome *out,
                                              tl_error *err)
{
    tl_precision_options how = how_to_compare(budget);
    how.attribution.folder = folder;
    tl_precision_check c;
    assert_int_equal(tl_model_set_precision(f->model, TL_PRECISION_BF16_EMULATED, NULL),
                     TL_OK);
    tl_status status = tl_precision_compare(f->model, f->pairs, PAIRS, &how, &c, err);
    if (status == TL_OK) /* no padding between numbers of eight bytes */
        keep(f, out, &c, sizeof c);
    assert_int_equal(tl_model_precision(f->model), TL_PRECISION_BF16_EMULATED);
    assert_int_equal(tl_model_set_precision(f->model, TL_PRECISION_F32, NULL), TL_OK);
    return status;
}

static inline tl_status compare_precisions(fixture *f, size_t budget, outcome *out,
                                           tl_error *err)
{
    return compare_precisions_in(f, NULL, budget, out, err);
}

static inline tl_status compare_precisions_on_disk(fixture *f, size_t budget,
                                                   outcome *out, tl_error *err)
{
    return compare_precisions_in(f, budget > 0 ? disk : NULL, budget, out, err);
}

/* ---- the least of each ------------------------------------------------------------- */

static inline tl_status least_attribute(const fixture *f, size_t *out, tl_error *err)
{
    const tl_attribution_options how = how_to_attribute(TL_METHOD_IG, TL_IG_RIGHT, 0);
    return tl_attribution_bytes(f->model, f->n_pos, &how, out, err);
}

static inline tl_status least_attribute_on_disk(const fixture *f, size_t *out,
                                                tl_error *err)
{
    const tl_attribution_options how = how_to_attribute_on_disk(1);
    return tl_attribution_bytes(f->model, f->n_pos, &how, out, err);
}

static inline tl_status least_relevance(const fixture *f, size_t *out, tl_error *err)
{
    const tl_attribution_options how = how_to_attribute(TL_METHOD_RELP, TL_IG_RIGHT, 0);
    return tl_attribution_bytes(f->model, f->n_pos, &how, out, err);
}

static inline tl_status least_evaluate(const fixture *f, size_t *out, tl_error *err)
{
    return tl_evaluator_bytes(f->model, f->n_pos, out, err);
}

static inline tl_status least_evaluate_means(const fixture *f, size_t *out,
                                             tl_error *err)
{
    const tl_status status = tl_evaluator_bytes(f->model, f->n_pos, out, err);
    *out += tl_evaluator_mean_bytes(f->model, f->n_pos);
    return status;
}

static inline tl_status least_validate(const fixture *f, size_t *out, tl_error *err)
{
    const tl_validate_options options = validate_options();
    return tl_validator_bytes(f->model, f->n_pos, &options, out, err);
}

static inline tl_status least_validate_on_disk(const fixture *f, size_t *out,
                                               tl_error *err)
{
    tl_validate_options options = validate_options();
    options.folder = disk;
    return tl_validator_bytes(f->model, f->n_pos, &options, out, err);
}

static inline tl_status least_complete(const fixture *f, size_t *out, tl_error *err)
{
    return tl_validator_bytes(f->model, f->n_pos, NULL, out, err);
}

static inline tl_status least_align_with(const fixture *f, tl_align with, size_t *out,
                                         tl_error *err)
{
    const tl_span span = {f->n_pos, DATA_BEGIN, DATA_END};
    return tl_alignment_bytes(f->model, with, &span, &span, PAIRS, out, err);
}

static inline tl_status least_align(const fixture *f, size_t *out, tl_error *err)
{
    return least_align_with(f, TL_ALIGN_ACT, out, err);
}

static inline tl_status least_align_unembedding(const fixture *f, size_t *out,
                                                tl_error *err)
{
    return least_align_with(f, TL_ALIGN_UNEMBED, out, err);
}

static inline tl_status least_backpatch(const fixture *f, size_t *out, tl_error *err)
{
    return tl_backpatcher_bytes(f->model, f->n_pos, DATA_END - DATA_BEGIN, MOST_WINDOW,
                                out, err);
}

static inline tl_status least_compare(const fixture *f, size_t *out, tl_error *err)
{
    const tl_precision_options how = how_to_compare(0);
    return tl_precision_bytes(f->model, f->n_pos, &how, out, err);
}

static inline tl_status least_compare_on_disk(const fixture *f, size_t *out,
                                              tl_error *err)
{
    tl_precision_options how = how_to_compare(0);
    how.attribution.folder = disk;
    return tl_precision_bytes(f->model, f->n_pos, &how, out, err);
}

/* All of them. */
static const struct {
    const char *what;
    experiment *run;
    tl_status (*least)(const fixture *f, size_t *out, tl_error *err);
    bool is_tight; /* false: the least is that of something else as well */
} experiments[] = {
    {"attribution and magnitude", attribute, least_attribute, true},
    {"attribution at midpoints", attribute_at_midpoints, least_attribute, true},
    {"relevance", attribute_relevance, least_relevance, true},
    {"evaluation", evaluate, least_evaluate, true},
    {"evaluation with means", evaluate_means, least_evaluate_means, true},
    {"validation", validate, least_validate, true},
    {"completeness", complete, least_complete, false},
    {"alignment", align, least_align, true},
    {"alignment with the unembedding", align_unembedding, least_align_unembedding,
     true},
    {"back-patching", backpatch, least_backpatch, true},
    {"comparison of precisions", compare_precisions, least_compare, true},
    {"attribution on disk", attribute_on_disk, least_attribute_on_disk, true},
    {"validation on disk", validate_on_disk, least_validate_on_disk, true},
    {"comparison of precisions on disk", compare_precisions_on_disk,
     least_compare_on_disk, true},
};
enum { EXPERIMENTS = sizeof experiments / sizeof *experiments };

#endif
