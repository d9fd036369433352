/*
 * test_validate.c - exact effects against circuits of everything but one component, and
 * an integrated gradient that adds up.
 */
#include "random_inputs.h"

#include <string.h>

#include "twinlens/validate.h"

enum { T = 19, SAME = 4, SIDE = 4, COMPONENTS = 24 };

static tl_pair make_pair(tl_model *model, tl_arena *arena, size_t side)
{
    return (tl_pair){
        .clean = random_input(model, arena, T, side > 0 ? 3 : SAME, side, 1),
        .counterfactual = random_input(model, arena, T, side > 0 ? 3 : SAME, side, 2),
        .answer = 20,
        .counterfactual_answer = 50,
    };
}

static tl_validator *make_validator(tl_model *model)
{
    tl_validator *validator = NULL;
    assert_int_equal(tl_validator_create(model, 0, &validator, NULL), TL_OK);
    return validator;
}

static void an_effect_is_that_of_leaving_one_component_out(void **state)
{
    (void)state;
    for (size_t side = 0; side <= SIDE; side += SIDE) {
        tl_model *model = open_tiny("ref");
        tl_arena *arena = tl_arena_create();
        const tl_dims *d = tl_model_dims(model);
        const tl_pair pair = make_pair(model, arena, side);
        tl_component components[COMPONENTS];
        double effects[COMPONENTS], clean = 0;
        uint32_t random = 7;
        for (size_t i = 0; i < COMPONENTS; i++) {
            const bool head = i % 2 == 0;
            const size_t most = head ? d->n_heads : d->d_mlp;
            components[i] = (tl_component){
                head ? TL_KIND_HEADS : TL_KIND_NEURONS, i % d->n_layers,
                i < 4 ? T - 1 : (size_t)((test_uniform(&random) + 1) * T / 2),
                (size_t)((test_uniform(&random) + 1) * (float)most / 2)};
        }
        tl_error err = {0};
        tl_validator *validator = make_validator(model);
        if (tl_validator_effects(validator, &pair, components, COMPONENTS, effects,
                                 &clean, &err) != TL_OK)
            fail_msg("%s", err.text);
        size_t moved = 0;
        for (size_t i = 0; i < COMPONENTS; i++) {
            tl_component_set all;
            assert_int_equal(
                tl_set_create(d->n_layers, T, d->n_heads, d->d_mlp, arena, &all, NULL),
                TL_OK);
            memset(all.heads, 1, d->n_layers * T * d->n_heads);
            memset(all.neurons, 1, d->n_layers * T * d->d_mlp);
            const tl_component *c = &components[i];
            const size_t place = c->layer * T + c->pos;
            if (c->kind == TL_KIND_HEADS)
                all.heads[place * d->n_heads + c->index] = 0;
            else
                all.neurons[place * d->d_mlp + c->index] = 0;
            const tl_circuit circuit = {.set = &all};
            double without = 0;
            tl_evaluation result = {.circuit = &without};
            assert_int_equal(
                tl_evaluate(model, &pair, 1, &circuit, 1, NULL, &result, NULL), TL_OK);
            assert_close("clean", i, clean, result.clean, 0);
            assert_close("effect", i, effects[i], without - result.clean, 0);
            moved += effects[i] != 0;
        }
        assert_true(moved > COMPONENTS / 2);
        tl_validator_destroy(validator);
        tl_arena_destroy(arena);
        tl_model_close(model);
    }
}

static void the_integrated_gradient_adds_up(void **state)
{
    (void)state;
    tl_model *model = open_tiny("ref");
    tl_arena *arena = tl_arena_create();
    const tl_pair pair = make_pair(model, arena, SIDE);
    double got = 0, want = 0;
    tl_error err = {0};
    tl_validator *validator = make_validator(model);
    if (tl_validator_completeness(validator, &pair, 400, &got, &want, &err) != TL_OK)
        fail_msg("%s", err.text);
    assert_close("400 steps", 0, got, want, 0.01 * fabs(want) + 0.01);
    /* The difference is that of the two runs. */
    double none = 0;
    tl_evaluation result = {.circuit = &none};
    assert_int_equal(tl_evaluate(model, &pair, 1, NULL, 0, NULL, &result, NULL), TL_OK);
    assert_close("clean and counterfactual", 0, want, result.clean - result.none, 1e-4);
    assert_int_equal(tl_validator_completeness(validator, &pair, 0, &got, &want, &err),
                     TL_ERR_ARGUMENT);
    tl_validator_destroy(validator);
    tl_arena_destroy(arena);
    tl_model_close(model);
}

static void components_that_are_not_there_are_refused(void **state)
{
    (void)state;
    tl_model *model = open_tiny("ref");
    tl_arena *arena = tl_arena_create();
    const tl_dims *d = tl_model_dims(model);
    const tl_pair pair = make_pair(model, arena, 0);
    const tl_component bad[] = {{TL_KIND_HEADS, d->n_layers, 0, 0},
                                {TL_KIND_HEADS, 0, T, 0},
                                {TL_KIND_HEADS, 0, 0, d->n_heads},
                                {TL_KIND_NEURONS, 0, 0, d->d_mlp}};
    tl_validator *validator = make_validator(model);
    for (size_t i = 0; i < 4; i++) {
        double effect, clean;
        tl_error err = {0};
        assert_int_equal(
            tl_validator_effects(validator, &pair, &bad[i], 1, &effect, &clean, &err),
            TL_ERR_ARGUMENT);
        assert_non_null(strstr(err.text, i < 3 ? "no heads" : "no neurons"));
    }
    tl_validator_destroy(validator);
    tl_arena_destroy(arena);
    tl_model_close(model);
}

/* 2 layers, 3 positions, 4 heads: scores of both signs, a third of them nothing. */
static void a_sample_has_the_largest_some_middling_and_some_of_all(void **state)
{
    (void)state;
    enum { LAYERS = 2, POSITIONS = 3, HEADS = 4, COUNT = LAYERS * POSITIONS * HEADS };
    float heads[COUNT], neurons[LAYERS * POSITIONS] = {0};
    for (size_t i = 0; i < COUNT; i++) /* sizes 0, 0 ... 1, 2, ... 16 at mixed places */
        heads[i * 7 % COUNT] =
            i < 8 ? 0.0f : (i % 2 == 0 ? 1.0f : -1.0f) * (float)(i - 7);
    const tl_scores scores = {LAYERS, POSITIONS, HEADS, 1, heads, neurons};
    tl_component got[12], again[12];
    size_t outside = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        assert_int_equal(
            tl_validate_sample(&scores, TL_KIND_HEADS, 12, seed, got, NULL), TL_OK);
        assert_int_equal(
            tl_validate_sample(&scores, TL_KIND_HEADS, 12, seed, again, NULL), TL_OK);
        for (size_t i = 0; i < 12; i++) {
            assert_true(got[i].layer == again[i].layer && got[i].pos == again[i].pos &&
                        got[i].index == again[i].index);
            assert_true(got[i].kind == TL_KIND_HEADS && got[i].layer < LAYERS &&
                        got[i].pos < POSITIONS && got[i].index < HEADS);
            const float size = fabsf(
                heads[(got[i].layer * POSITIONS + got[i].pos) * HEADS + got[i].index]);
            if (i % 3 == 0) /* 16, 15, 14, 13 */
                assert_true(size == (float)(16 - i / 3));
            else if (i % 3 == 1) /* places 5 to 9 of 16: sizes 11 to 7 */
                assert_true(size >= 7 && size <= 11);
            else
                outside += size == 0.0f;
        }
    }
    assert_in_range(outside, 10, 45); /* of 80, a third */
}

/* Ways of every kind, the one that chooses the sample in the middle. */
static void a_pair_s_validation_is_its_parts(void **state)
{
    (void)state;
    enum { N_WAYS = 5, N_RIGHT = 2 };
    tl_model *model = open_tiny("ref");
    tl_arena *arena = tl_arena_create();
    const tl_pair pair = make_pair(model, arena, SIDE);
    const tl_dims *d = tl_model_dims(model);
    const size_t steps[N_RIGHT] = {1, 3};
    const tl_attribution_options ways[N_WAYS] = {
        {.ig_steps = 1},
        {.ig_steps = 3},
        {.ig_steps = 3, .ig_rule = TL_IG_MIDPOINT},
        {.method = TL_METHOD_RELP},
        {.ig_steps = 2, .ig_rule = TL_IG_MIDPOINT}};
    const tl_validate_options options = {.ig_steps = steps,
                                         .n_ig_steps = N_RIGHT,
                                         .n_components = 6,
                                         .others = ways + N_RIGHT,
                                         .n_others = N_WAYS - N_RIGHT},
                              right = {.ig_steps = steps,
                                       .n_ig_steps = N_RIGHT,
                                       .n_components = 6},
                              none = {.n_components = 6};
    tl_validation v, fewer;
    tl_error err = {0};
    tl_validator *validator = make_validator(model);
    assert_int_equal(tl_validator_pair(validator, &pair, &none, 11, arena, &v, &err),
                     TL_ERR_ARGUMENT);
    if (tl_validator_pair(validator, &pair, &options, 11, arena, &v, &err) != TL_OK ||
        tl_validator_pair(validator, &pair, &right, 11, arena, &fewer, &err) != TL_OK)
        fail_msg("%s", err.text);
    assert_int_equal(v.n, 12);
    double effects[12], clean, gradient, difference;
    assert_int_equal(
        tl_validator_effects(validator, &pair, v.components, 12, effects, &clean, NULL),
        TL_OK);
    for (size_t m = 0; m < N_WAYS; m++) {
        tl_attribution_options how = ways[m];
        how.raw_sign = true;
        tl_attribution *attribution = NULL;
        tl_scores s;
        assert_int_equal(tl_attribution_create(model, T, &how, &attribution, NULL),
                         TL_OK);
        assert_int_equal(tl_attribution_add(attribution, &pair, 1, NULL), TL_OK);
        assert_int_equal(tl_attribution_scores(attribution, arena, &s, NULL), TL_OK);
        for (size_t i = 0; i < 12; i++) {
            const tl_component *c = &v.components[i];
            const size_t place = c->layer * T + c->pos;
            assert_true(c->kind == (i < 6 ? TL_KIND_HEADS : TL_KIND_NEURONS));
            assert_close("exact", i, v.exact[i], effects[i], 0);
            assert_close("attributed", i, v.attributed[m * 12 + i],
                         c->kind == TL_KIND_HEADS
                             ? (double)s.heads[place * d->n_heads + c->index]
                             : (double)s.neurons[place * d->d_mlp + c->index],
                         0);
            if (m < N_RIGHT) /* judged beside others, or not */
                assert_close("alone", i, v.attributed[m * 12 + i],
                             fewer.attributed[m * 12 + i], 0);
        }
        tl_attribution_destroy(attribution);
        if (m >= N_RIGHT)
            continue;
        assert_int_equal(tl_validator_completeness(validator, &pair, steps[m],
                                                   &gradient, &difference, NULL),
                         TL_OK);
        assert_close("gradient", m, v.gradient[m], gradient, 0);
        assert_close("difference", m, v.difference, difference, 0);
    }
    tl_validator_destroy(validator);
    tl_arena_destroy(arena);
    tl_model_close(model);
}

/* Midpoints add up with fewer steps than right ends: their error is of the second order. On
 * a short way, since the whole way between random prompts is far from smooth. */
static void midpoints_add_up_sooner(void **state)
{
    (void)state;
    tl_model *model = open_tiny("ref");
    tl_arena *arena = tl_arena_create();
    tl_pair pair = make_pair(model, arena, 0);
    const size_t count = T * tl_model_dims(model)->d_model;
    float *near = tl_arena_alloc(arena, count, sizeof *near);
    for (size_t i = 0; i < count; i++)
        near[i] = pair.clean.embeds[i] +
                  0.05f * (pair.counterfactual.embeds[i] - pair.clean.embeds[i]);
    pair.counterfactual.embeds = near;
    const tl_attribution_options ways[] = {{.ig_steps = 4},
                                           {.ig_steps = 4, .ig_rule = TL_IG_MIDPOINT}};
    const tl_validate_options options = {
        .others = ways, .n_others = 2, .n_components = 3};
    tl_validation v;
    tl_error err = {0};
    tl_validator *validator = make_validator(model);
    if (tl_validator_pair(validator, &pair, &options, 1, arena, &v, &err) != TL_OK)
        fail_msg("%s", err.text);
    const double right = fabs(v.gradient[0] - v.difference),
                 middle = fabs(v.gradient[1] - v.difference);
    if (!(middle < right / 20.0))
        fail_msg("midpoints miss %g by %g, right ends by %g", v.difference, middle,
                 right);
    tl_validator_destroy(validator);
    tl_arena_destroy(arena);
    tl_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_effect_is_that_of_leaving_one_component_out),
        cmocka_unit_test(the_integrated_gradient_adds_up),
        cmocka_unit_test(components_that_are_not_there_are_refused),
        cmocka_unit_test(a_sample_has_the_largest_some_middling_and_some_of_all),
        cmocka_unit_test(a_pair_s_validation_is_its_parts),
        cmocka_unit_test(midpoints_add_up_sooner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
