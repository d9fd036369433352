/* SPDX-License-Identifier: MIT
 *
 * test_torture_model.c - the model and every experiment on it with memory that fails: pass,
 * attribution, evaluation, validation, alignment, back-patching, and the sets that circuits
 * are compared by.
 */
#include "random_inputs.h"
#include "torture.h"

#include "twinlens/array.h"
#include "twinlens/capture.h"
#include "twinlens/circuit.h"
#include "twinlens/interchange.h"
#include "twinlens/pass.h"
#include "twinlens/probe.h"
#include "twinlens/validate.h"

enum { T = 14, SAME = 4, SIDE = 4, PAIRS = 2, LAYERS = 4, TEXT_T = 11 };
enum { VALUES = 64, FLOATS = T * 640 }; /* 640: the vocabulary */

static const tl_span text_span = {TEXT_T, 4, 8},
                     image_span = {T, 3, 3 + SIDE *SIDE / 4};

/* A model that has not computed anything, a pass, two pairs of prompts, scores, sets; and
 * what a run makes of them. */
typedef struct bench {
    const char *backend;
    tl_model *model;
    tl_arena *arena;
    tl_pass *pass;
    tl_attribution *attribution;
    tl_alignment *alignment;
    tl_pair pairs[PAIRS];
    tl_parallel parallel[PAIRS];
    tl_scores scores;
    tl_ranking ranking;
    tl_component_set sets[TL_MODALITY_COUNT];
    tl_position_map map;
    struct {
        tl_input input;
        tl_scores scores;
        tl_ranking ranking;
        tl_component_set set;
        tl_overlap overlap;
        tl_overlap_baseline baseline;
        tl_validation validation;
        tl_position_map map;
    } out;
    double values[VALUES]; /* written as they come */
    float floats[FLOATS];
} bench;

static void must(tl_status status, const tl_error *err)
{
    if (status != TL_OK)
        fail_msg("%s", err->text);
}

static tl_scores random_scores(const tl_dims *d, size_t n_pos, uint32_t seed,
                               tl_arena *arena)
{
    tl_scores s = {d->n_layers, n_pos, d->n_heads, d->d_mlp, NULL, NULL};
    const size_t n_heads = d->n_layers * n_pos * d->n_heads,
                 n_neurons = d->n_layers * n_pos * d->d_mlp;
    s.heads = tl_arena_alloc(arena, n_heads, sizeof *s.heads);
    s.neurons = tl_arena_alloc(arena, n_neurons, sizeof *s.neurons);
    for (size_t i = 0; i < n_heads; i++)
        s.heads[i] = test_uniform(&seed);
    for (size_t i = 0; i < n_neurons; i++)
        s.neurons[i] = test_uniform(&seed);
    return s;
}

static void begin(void *state)
{
    bench *b = state;
    tl_error err = {0};
    *b = (bench){.backend = b->backend, .arena = tl_arena_create()};
    const tl_model_options options = {.backend = b->backend, .n_threads = 1};
    must(tl_model_open(tiny_checkpoint, &options, &b->model, &err), &err);
    const tl_dims *d = tl_model_dims(b->model);
    assert_int_equal(d->n_layers, LAYERS);
    static const int32_t ids[TEXT_T] = {1, 2, 3, 50, 60, 70, 80, 90, 9, 8, 7};
    for (uint32_t i = 0; i < PAIRS; i++) {
        b->pairs[i] = (tl_pair){
            .clean = random_input(b->model, b->arena, T, SAME, 0, 2 * i),
            .counterfactual = random_input(b->model, b->arena, T, SAME, 0, 2 * i + 1),
            .answer = 20,
            .counterfactual_answer = 50};
        b->parallel[i] = (tl_parallel){
            .text = random_input(b->model, b->arena, TEXT_T, SAME, 0, 7 + i),
            .image = random_input(b->model, b->arena, T, SAME, SIDE, 8 + i),
            .text_span = text_span,
            .image_span = image_span,
            .text_ids = ids};
    }
    b->scores = random_scores(d, T, 5, b->arena);
    must(tl_ranking_from_scores(&b->scores, b->arena, &b->ranking, &err), &err);
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const tl_scores s =
            random_scores(d, m == TL_TEXT ? TEXT_T : T, 6 + (uint32_t)m, b->arena);
        tl_ranking ranking;
        must(tl_ranking_from_scores(&s, b->arena, &ranking, &err), &err);
        const tl_circuit circuit = {
            .ranking = &ranking, .n_heads = 30, .n_neurons = 300};
        must(tl_set_from_circuit(&circuit, b->arena, &b->sets[m], &err), &err);
    }
    must(tl_position_map_init(&b->map, &text_span, &image_span, b->arena, &err), &err);
    must(tl_pass_create(b->model, &b->pass, &err), &err);
}

static void end(void *state)
{
    bench *b = state;
    tl_pass_destroy(b->pass);
    tl_attribution_destroy(b->attribution);
    tl_alignment_destroy(b->alignment);
    tl_model_close(b->model);
    tl_arena_destroy(b->arena);
}

static uint64_t digest_set(uint64_t d, const tl_component_set *s)
{
    const size_t n = s->n_layers * s->n_pos;
    d = torture_digest(d, s->heads, n * s->n_heads);
    return torture_digest(d, s->neurons, n * s->d_mlp);
}

static uint64_t digest(const void *state)
{
    const bench *b = state;
    uint64_t d = torture_digest(0, b->values, sizeof b->values);
    d = torture_digest(d, b->floats, sizeof b->floats);
    const tl_input *input = &b->out.input;
    d = torture_digest(d, input->embeds,
                       input->n_pos * tl_model_dims(b->model)->d_model * sizeof(float));
    const tl_scores *s = &b->out.scores;
    const size_t n = s->n_layers * s->n_pos;
    d = torture_digest(d, s->heads, n * s->n_heads * sizeof *s->heads);
    d = torture_digest(d, s->neurons, n * s->d_mlp * sizeof *s->neurons);
    const tl_ranking *r = &b->out.ranking;
    d = torture_digest(d, r->heads,
                       r->n_layers * r->n_pos * r->n_heads * sizeof *r->heads);
    d = digest_set(d, &b->out.set);
    d = torture_digest(d, &b->out.overlap, sizeof b->out.overlap);
    d = torture_digest(d, b->out.validation.exact,
                       b->out.validation.n * sizeof *b->out.validation.exact);
    d = torture_digest(d, b->out.map.pairs,
                       b->out.map.n_pairs * sizeof *b->out.map.pairs);
    return torture_digest(d, &b->out.baseline.segment, sizeof b->out.baseline.segment);
}

static void torture_model(const char *covers, tl_status (*run)(void *, tl_error *),
                          const char *backend)
{
    bench b = {.backend = backend};
    torture(&(torture_case){.covers = covers,
                            .begin = begin,
                            .run = run,
                            .end = end,
                            .digest = digest,
                            .state = &b,
                            .outputs = &b.out,
                            .output_bytes = sizeof b.out});
}

/* ---- model ---------------------------------------------------------------------------- */

static tl_status open_model(void *state, tl_error *err)
{
    bench *b = state;
    tl_model *model = NULL;
    const tl_status status = tl_model_open(
        tiny_checkpoint, &(tl_model_options){.n_threads = 1}, &model, err);
    assert_true((status == TL_OK) == (model != NULL));
    b->values[0] = status == TL_OK ? (double)tl_model_dims(model)->n_vocab : 0.0;
    tl_model_close(model);
    return status;
}

static tl_status find_folder(void *state, tl_error *err)
{
    bench *b = state;
    const char *folder = NULL;
    return tl_model_folder(tiny_checkpoint, b->arena, &folder, err);
}

static tl_status assemble_image(void *state, tl_error *err)
{
    enum { COUNT = SIDE * SIDE * TINY_PATCH_VALUES };
    static float pixels[COUNT];
    static int32_t ids[T];
    bench *b = state;
    for (size_t i = 0; i < COUNT; i++)
        pixels[i] = (float)(i % 19) / 19.0f;
    for (int32_t i = 0; i < T; i++)
        ids[i] = i >= 3 && i < 3 + SIDE * SIDE / 4 ? TINY_IMAGE_TOKEN : 30 + i;
    const tl_encoding e = {.modality = TL_IMAGE,
                           .n_pos = T,
                           .ids = ids,
                           .n_images = 1,
                           .pixels = {.n_dims = 2,
                                      .dims = {SIDE * SIDE, TINY_PATCH_VALUES},
                                      .values = pixels,
                                      .grid_t = 1,
                                      .grid_h = SIDE,
                                      .grid_w = SIDE,
                                      .n_tokens = SIDE / 2 * (SIDE / 2),
                                      .n_views = 1,
                                      .views = {{SIDE / 2, SIDE / 2}}}};
    return tl_model_input(b->model, &e, TL_ROPE_TRUE, b->arena, &b->out.input, err);
}

static tl_status run_pass(void *state, tl_error *err)
{
    bench *b = state;
    const int32_t a[] = {20, 21}, c[] = {50, 51};
    const tl_pass_prompt prompts[] = {{.input = b->pairs[0].clean},
                                      {.input = b->parallel[0].image}};
    const tl_pass_options options = {.for_backward = true};
    tl_status status = tl_pass_forward(b->pass, prompts, 2, &options, err);
    if (status == TL_OK)
        status = tl_pass_metric(b->pass, 0, TL_METRIC_PROBABILITY, 20, 50,
                                &b->values[0], err);
    if (status == TL_OK)
        status = tl_pass_logit_diff(b->pass, 0, 20, 50, &b->values[0], err);
    if (status == TL_OK)
        status = tl_pass_logits_of(b->pass, 1, a, 2, &b->values[1], err);
    if (status == TL_OK)
        status = tl_pass_logits_last(b->pass, 1, b->floats, err);
    return status == TL_OK ? tl_pass_backward(b->pass, a, c, err) : status;
}

static tl_status all_logits(void *state, tl_error *err)
{
    bench *b = state;
    const tl_pass_prompt prompt = {.input = b->pairs[0].clean};
    tl_status status = tl_pass_forward(b->pass, &prompt, 1, NULL, err);
    return status == TL_OK ? tl_pass_logits_all(b->pass, 0, b->floats, err) : status;
}

static tl_status create_pass(void *state, tl_error *err)
{
    bench *b = state;
    tl_pass *pass = NULL;
    const tl_status status = tl_pass_create(b->model, &pass, err);
    tl_pass_destroy(pass);
    return status;
}

static tl_status plan_pass(void *state, tl_error *err)
{
    bench *b = state;
    size_t bytes = 0;
    const tl_status status =
        tl_pass_bytes(b->model, (size_t[]){T, 9}, NULL, 2,
                      &(tl_pass_options){.for_backward = true}, &bytes, err);
    b->values[0] = status == TL_OK ? (double)bytes : 0.0;
    return status;
}

static tl_status count_pass(void *state, tl_error *err)
{
    bench *b = state;
    uint64_t flops = 0;
    const tl_status status =
        tl_pass_flops(b->model, (size_t[]){T, 9}, NULL, 2,
                      &(tl_pass_options){.for_backward = true}, &flops, err);
    b->values[0] = status == TL_OK ? (double)flops : 0.0;
    return status;
}

static tl_status choose_batch(void *state, tl_error *err)
{
    bench *b = state;
    size_t n = 0;
    const tl_status status = tl_pass_batch_size(b->model, NULL, T, &n, err);
    b->values[0] = (double)n;
    return status;
}

/* What every experiment says that it takes. */
static tl_status plan_experiments(void *state, tl_error *err)
{
    bench *b = state;
    const tl_pass_options back = {.for_backward = true};
    size_t bytes[6] = {0};
    tl_status status = tl_pass_least_bytes(b->model, T, &back, &bytes[0], err);
    if (status == TL_OK)
        status = tl_attribution_bytes(b->model, T, NULL, &bytes[1], err);
    if (status == TL_OK)
        status = tl_evaluator_bytes(b->model, T, &bytes[2], err);
    if (status == TL_OK)
        status = tl_validator_bytes(b->model, T, NULL, &bytes[3], err);
    if (status == TL_OK)
        status = tl_backpatcher_bytes(b->model, T, SIDE, 3, &bytes[4], err);
    if (status == TL_OK)
        status = tl_alignment_bytes(b->model, TL_ALIGN_ACT, &text_span, &image_span,
                                    PAIRS, &bytes[5], err);
    for (size_t i = 0; i < 6; i++)
        b->values[i] = status == TL_OK ? (double)bytes[i] : 0.0;
    return status;
}

/* Every site and its gradient, over one prompt. */
static tl_status capture(void *state, tl_error *err)
{
    bench *b = state;
    tl_capture c = {0};
    tl_named_tensor *tensors = NULL;
    size_t n = 0;
    const int32_t a = 20, other = 50;
    const uint32_t sites = TL_SITE_BIT(TL_SITE_Z) | TL_SITE_BIT(TL_SITE_RESID_PRE);
    const tl_pass_prompt prompt = {.input = b->pairs[0].clean};
    tl_status status = tl_capture_init(&c, b->model, b->arena, sites, T, true, err);
    if (status != TL_OK)
        return status;
    const tl_pass_options options = {
        .readings = c.readings, .n_readings = c.n_readings, .for_backward = true};
    status = tl_pass_forward(b->pass, &prompt, 1, &options, err);
    if (status == TL_OK)
        status = tl_pass_backward(b->pass, &a, &other, err);
    if (status == TL_OK)
        status = tl_capture_tensors(&c, &tensors, &n, err);
    for (size_t i = 0; i < n && i < VALUES && status == TL_OK; i++)
        b->values[i] = (double)((const float *)tensors[i].tensor.data)[5];
    tl_capture_release(&c);
    return status;
}

static tl_status make_array(void *state, tl_error *err)
{
    bench *b = state;
    tl_array array = {0}, borrowed = {0};
    const float three[] = {1.0f, 2.0f, 3.0f};
    const void *host = NULL;
    tl_status status = tl_array_init(b->model, TL_F32, 2, &array, err);
    if (status == TL_OK)
        status = tl_array_reset(&array, b->model, TL_F32, 3, err);
    if (status == TL_OK)
        status = tl_array_upload(&array, 0, 3, three, err);
    if (status == TL_OK)
        status = tl_array_download(&array, 0, 3, b->floats, err);
    if (status == TL_OK)
        status = tl_array_get(&array, 1, 2, b->arena, &host, err);
    if (status == TL_OK)
        status = tl_array_borrow(b->model, TL_F32, 3, three, &borrowed, err);
    tl_array_release(&borrowed);
    tl_array_release(&array);
    return status;
}

static void models(void **unused)
{
    (void)unused;
    torture_model("tl_model_open", open_model, NULL);
    torture_model("tl_model_folder", find_folder, NULL);
    torture_model("tl_model_input", assemble_image, NULL);
    torture_model("tl_array_init tl_array_reset tl_array_upload tl_array_download "
                  "tl_array_get tl_array_borrow",
                  make_array, NULL);
    torture_model("tl_pass_create", create_pass, NULL);
    torture_model("tl_pass_bytes", plan_pass, NULL);
    torture_model("tl_pass_flops", count_pass, NULL);
    torture_model("tl_pass_batch_size", choose_batch, NULL);
    torture_model("tl_pass_least_bytes tl_attribution_bytes tl_evaluator_bytes "
                  "tl_validator_bytes tl_backpatcher_bytes tl_alignment_bytes",
                  plan_experiments, NULL);
    torture_model("tl_capture_init tl_capture_tensors", capture, NULL);
    for (size_t i = 0; i < 2; i++) {
        const char *backend = i == 0 ? NULL : "ref";
        torture_model("tl_pass_forward tl_pass_logit_diff tl_pass_metric "
                      "tl_pass_logits_of "
                      "tl_pass_logits_last tl_pass_backward",
                      run_pass, backend);
        torture_model("tl_pass_logits_all", all_logits, backend);
    }
}

/* ---- attribution and circuits ------------------------------------------------------------- */

static tl_status attribute(void *state, tl_error *err)
{
    bench *b = state;
    const tl_attribution_options options = {.ig_steps = 2, .magnitudes = true};
    tl_attribution *attribution = NULL;
    tl_scores magnitudes = {0};
    tl_status status = tl_attribution_create(b->model, T, &options, &attribution, err);
    if (status == TL_OK)
        status = tl_attribution_add(attribution, b->pairs, PAIRS, err);
    if (status == TL_OK)
        status = tl_attribution_magnitudes(attribution, b->arena, &magnitudes, err);
    if (status == TL_OK)
        status = tl_attribution_scores(attribution, b->arena, &b->out.scores, err);
    tl_attribution_destroy(attribution);
    return status;
}

/* A failing call adds all of its pairs or none: called again, it adds them once. */
static void begin_attribution(void *state)
{
    bench *b = state;
    tl_error err = {0};
    begin(state);
    must(tl_attribution_create(b->model, T, &(tl_attribution_options){.ig_steps = 1},
                               &b->attribution, &err),
         &err);
}

static tl_status add_pairs(void *state, tl_error *err)
{
    bench *b = state;
    return tl_attribution_add(b->attribution, b->pairs, PAIRS, err);
}

static uint64_t digest_sums(const void *state)
{
    const bench *b = state;
    tl_scores s = {0};
    tl_error err = {0};
    must(tl_attribution_scores(b->attribution, b->arena, &s, &err), &err);
    const size_t n = s.n_layers * s.n_pos;
    uint64_t d = torture_digest(0, s.heads, n * s.n_heads * sizeof *s.heads);
    d = torture_digest(d, s.neurons, n * s.d_mlp * sizeof *s.neurons);
    const size_t n_pairs = tl_attribution_get_state(b->attribution).n_pairs;
    return torture_digest(d, &n_pairs, sizeof n_pairs);
}

static tl_status rank(void *state, tl_error *err)
{
    bench *b = state;
    return tl_ranking_from_scores(&b->scores, b->arena, &b->out.ranking, err);
}

static tl_status rank_randomly(void *state, tl_error *err)
{
    bench *b = state;
    return tl_ranking_random(&b->ranking, 3, b->arena, &b->out.ranking, err);
}

static tl_status evaluate_in(bench *b, tl_evaluator *evaluator, tl_error *err)
{
    const tl_circuit circuits[] = {
        {.ranking = &b->ranking, .n_heads = 9, .n_neurons = 90},
        {.set = &b->sets[TL_IMAGE]}};
    double values[PAIRS][2] = {{0}};
    tl_evaluation results[PAIRS] = {{.circuit = values[0]}, {.circuit = values[1]}};
    const tl_status status =
        evaluator != NULL
            ? tl_evaluator_run(evaluator, b->pairs, PAIRS, circuits, 2, results, err)
            : tl_evaluate(b->model, b->pairs, PAIRS, circuits, 2, NULL, results, err);
    for (size_t i = 0; i < PAIRS && status == TL_OK; i++) {
        b->values[4 * i] = results[i].clean;
        b->values[4 * i + 1] = results[i].none;
        b->values[4 * i + 2] = values[i][0];
        b->values[4 * i + 3] = values[i][1];
    }
    return status;
}

static tl_status evaluate(void *state, tl_error *err)
{
    return evaluate_in(state, NULL, err);
}

static tl_status evaluate_twice(void *state, tl_error *err)
{
    bench *b = state;
    tl_evaluator *evaluator = NULL;
    tl_status status = tl_evaluator_create(b->model, NULL, &evaluator, err);
    for (int time = 0; time < 2 && status == TL_OK; time++)
        status = evaluate_in(b, evaluator, err);
    tl_evaluator_destroy(evaluator);
    return status;
}

/* Every prompt of the pairs, then all of them. */
static tl_status evaluate_means(void *state, tl_error *err)
{
    bench *b = state;
    const tl_evaluate_options options = {.ablate = TL_ABLATE_MEAN};
    tl_evaluator *evaluator = NULL;
    tl_status status = tl_evaluator_create(b->model, &options, &evaluator, err);
    for (size_t i = 0; i < 2 && status == TL_OK; i++)
        status = tl_evaluator_add_to_mean(evaluator, &b->pairs[i].clean, err);
    if (status == TL_OK)
        status = evaluate_in(b, evaluator, err);
    tl_evaluator_destroy(evaluator);
    return status;
}

static void circuits(void **unused)
{
    (void)unused;
    bench b = {.backend = NULL};
    torture_model("tl_attribution_create tl_attribution_add tl_attribution_scores "
                  "tl_attribution_magnitudes",
                  attribute, NULL);
    torture(&(torture_case){.covers = "tl_attribution_add",
                            .begin = begin_attribution,
                            .run = add_pairs,
                            .end = end,
                            .digest = digest_sums,
                            .state = &b});
    torture_model("tl_ranking_from_scores", rank, NULL);
    torture_model("tl_ranking_random", rank_randomly, NULL);
    torture_model("tl_evaluate", evaluate, NULL);
    torture_model("tl_evaluator_create tl_evaluator_run", evaluate_twice, NULL);
    torture_model("tl_evaluator_add_to_mean", evaluate_means, NULL);
}

/* ---- validation ----------------------------------------------------------------------------- */

static tl_status patch_components(void *state, tl_error *err)
{
    const tl_component components[] = {{TL_KIND_HEADS, 1, 5, 2},
                                       {TL_KIND_NEURONS, 3, 9, 7}};
    bench *b = state;
    tl_validator *validator = NULL;
    tl_status status = tl_validator_create(b->model, 0, &validator, err);
    if (status == TL_OK)
        status = tl_validator_effects(validator, &b->pairs[0], components, 2,
                                      &b->values[1], &b->values[0], err);
    tl_validator_destroy(validator);
    return status;
}

static tl_status complete(void *state, tl_error *err)
{
    bench *b = state;
    tl_validator *validator = NULL;
    tl_status status = tl_validator_create(b->model, 0, &validator, err);
    if (status == TL_OK)
        status = tl_validator_completeness(validator, &b->pairs[0], 2, &b->values[0],
                                           &b->values[1], err);
    tl_validator_destroy(validator);
    return status;
}

static tl_status sample(void *state, tl_error *err)
{
    bench *b = state;
    size_t chosen[6];
    double scores[2 * 40];
    for (size_t i = 0; i < 2 * 40; i++)
        scores[i] = (double)(i * 7 % 40);
    const tl_status status = tl_validate_draw(scores, 2, 40, 6, 4, chosen, err);
    for (size_t i = 0; i < 6 && status == TL_OK; i++)
        b->values[i] = (double)chosen[i];
    return status;
}

static tl_status validate(void *state, tl_error *err)
{
    static const size_t steps[] = {1, 2};
    bench *b = state;
    const tl_validate_options options = {
        .ig_steps = steps, .n_ig_steps = 2, .n_components = 3};
    tl_validator *validator = NULL;
    tl_status status = tl_validator_create(b->model, 0, &validator, err);
    if (status == TL_OK)
        status = tl_validator_pair(validator, &b->pairs[1], &options, 5, b->arena,
                                   &b->out.validation, err);
    tl_validator_destroy(validator);
    return status;
}

static tl_status compare_precisions(void *state, tl_error *err)
{
    bench *b = state;
    tl_precision_options options = {.attribution = {.method = TL_METHOD_RELP}};
    tl_precision_check found;
    size_t bytes = 0;
    tl_status status = tl_fraction_parse("0.1", &options.fraction, err);
    if (status == TL_OK)
        status = tl_precision_bytes(b->model, b->pairs[0].clean.n_pos, &options, &bytes,
                                    err);
    if (status == TL_OK)
        status = tl_precision_compare(b->model, b->pairs, 2, &options, &found, err);
    for (size_t i = 0; i < 2 && status == TL_OK; i++) { /* the model beside itself */
        assert_true(found.spearman[i] > 1 - 1e-12 && found.jaccard[i] == 1.0);
        assert_true(found.faithfulness[0] == found.faithfulness[1]);
        assert_true(found.logit_diff == 0.0);
    }
    return status;
}

static void validation(void **unused)
{
    (void)unused;
    torture_model("tl_precision_compare tl_precision_bytes", compare_precisions, NULL);
    torture_model("tl_validator_create tl_validator_effects", patch_components, NULL);
    torture_model("tl_validator_completeness", complete, NULL);
    torture_model("tl_validate_draw", sample, NULL);
    torture_model("tl_validator_pair", validate, NULL);
}

/* ---- overlap and interchange ------------------------------------------------------------------ */

static tl_status map_positions(void *state, tl_error *err)
{
    bench *b = state;
    return tl_position_map_init(&b->out.map, &text_span, &image_span, b->arena, err);
}

static tl_status create_set(void *state, tl_error *err)
{
    bench *b = state;
    return tl_set_create(3, 4, 5, 6, b->arena, &b->out.set, err);
}

static tl_status set_of_circuit(void *state, tl_error *err)
{
    bench *b = state;
    const tl_circuit circuit = {.ranking = &b->ranking, .n_heads = 5, .n_neurons = 50};
    return tl_set_from_circuit(&circuit, b->arena, &b->out.set, err);
}

static tl_status measure_overlap(void *state, tl_error *err)
{
    bench *b = state;
    return tl_overlap_measure(&b->sets[TL_TEXT], &b->sets[TL_IMAGE], &b->map,
                              &b->out.overlap, err);
}

static tl_status draw_overlap(void *state, tl_error *err)
{
    bench *b = state;
    return tl_overlap_random(&b->sets[TL_TEXT], &b->sets[TL_IMAGE], &b->map,
                             TL_MATCH_SEGMENT, 3, 9, &b->out.baseline, err);
}

static tl_status build_mixed(void *state, tl_error *err)
{
    bench *b = state;
    return tl_interchange_build(b->sets, TL_IMAGE, TL_SEGMENT_QUERY, &b->sets[TL_TEXT],
                                &b->map, b->arena, &b->out.set, err);
}

static tl_status draw_foreign(void *state, tl_error *err)
{
    bench *b = state;
    return tl_interchange_draw(&b->sets[TL_IMAGE], &image_span, TL_SEGMENT_QUERY,
                               TL_RANDOM_VALID, 9, b->arena, &b->out.set, err);
}

static void sets(void **unused)
{
    (void)unused;
    torture_model("tl_position_map_init", map_positions, NULL);
    torture_model("tl_set_create", create_set, NULL);
    torture_model("tl_set_from_circuit", set_of_circuit, NULL);
    torture_model("tl_overlap_measure", measure_overlap, NULL);
    torture_model("tl_overlap_random", draw_overlap, NULL);
    torture_model("tl_interchange_build", build_mixed, NULL);
    torture_model("tl_interchange_draw", draw_foreign, NULL);
}

/* ---- probes ---------------------------------------------------------------------------------------- */

/* As if another process had run the pair. */
static tl_status run_and_take(tl_alignment *alignment, const tl_parallel *pair,
                              tl_error *err)
{
    tl_status status = tl_alignment_run(alignment, pair, err);
    size_t n = 0;
    const double *sums = tl_alignment_sums(alignment, &n);
    return status == TL_OK ? tl_alignment_take(alignment, sums, err) : status;
}

static tl_status align_as(bench *b, tl_align with, tl_error *err)
{
    tl_alignment *alignment = NULL;
    tl_alignment_values out = {b->values, b->values + LAYERS, b->values + 2 * LAYERS,
                               b->values + 3 * LAYERS};
    tl_status status = tl_alignment_create(b->model, with, 0, &alignment, err);
    if (with == TL_ALIGN_UNEMBED)
        out.centred_matched = out.centred_other = NULL;
    for (size_t i = 0; i < PAIRS && status == TL_OK; i++)
        status = i == 0 ? run_and_take(alignment, &b->parallel[i], err)
                        : tl_alignment_add(alignment, &b->parallel[i], err);
    if (status == TL_OK)
        status = tl_alignment_measure(alignment, 0, &b->parallel[0], 1, &b->parallel[1],
                                      &out, err);
    tl_alignment_destroy(alignment);
    return status;
}

static tl_status align_states(void *state, tl_error *err)
{
    return align_as(state, TL_ALIGN_ACT, err);
}

static tl_status align_unembedding(void *state, tl_error *err)
{
    return align_as(state, TL_ALIGN_UNEMBED, err);
}

/* A failing pair is taken whole or not at all. */
static void begin_alignment(void *state)
{
    bench *b = state;
    tl_error err = {0};
    begin(state);
    must(tl_alignment_create(b->model, TL_ALIGN_ACT, 0, &b->alignment, &err), &err);
}

static tl_status take_pairs(void *state, tl_error *err)
{
    bench *b = state;
    return tl_alignment_add(b->alignment, &b->parallel[0], err);
}

static uint64_t digest_means(const void *state)
{
    const bench *b = state;
    double values[4 * LAYERS] = {0};
    tl_error err = {0};
    tl_alignment_values out = {values, values + LAYERS, values + 2 * LAYERS,
                               values + 3 * LAYERS};
    must(tl_alignment_add(b->alignment, &b->parallel[1], &err), &err);
    must(tl_alignment_measure(b->alignment, 0, &b->parallel[0], 1, &b->parallel[1],
                              &out, &err),
         &err);
    return torture_digest(0, values, sizeof values);
}

static tl_status patch_back(void *state, tl_error *err)
{
    static const tl_backpatch_cell cells[] = {{3, 0, 1, 2, false}, {2, 1, 3, 1, true}};
    static const int32_t ids[] = {20, 50};
    bench *b = state;
    tl_backpatcher *backpatcher = NULL;
    tl_status status = tl_backpatcher_create(b->model, 0, &backpatcher, err);
    if (status == TL_OK)
        status = tl_backpatcher_run(backpatcher, &b->parallel[0].image, 3,
                                    3 + SIDE * SIDE / 4, cells, 2, ids, 2, b->values,
                                    b->values + 2, err);
    tl_backpatcher_destroy(backpatcher);
    return status;
}

static void probes(void **unused)
{
    (void)unused;
    bench b = {.backend = NULL};
    torture_model("tl_alignment_create tl_alignment_add tl_alignment_run "
                  "tl_alignment_take tl_alignment_measure",
                  align_states, NULL);
    torture_model("tl_alignment_measure", align_unembedding, NULL);
    torture(&(torture_case){.covers = "tl_alignment_add",
                            .begin = begin_alignment,
                            .run = take_pairs,
                            .end = end,
                            .digest = digest_means,
                            .state = &b});
    torture_model("tl_backpatcher_create tl_backpatcher_run", patch_back, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models),     cmocka_unit_test(circuits),
        cmocka_unit_test(validation), cmocka_unit_test(sets),
        cmocka_unit_test(probes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
