/*
 * test_validate.c - exact effects against circuits of everything but one component, and
 * an integrated gradient that adds up.
 */
#include "random_inputs.h"

#include <string.h>

#include "base/random.h"
#include "circuit/validate_sample.h"
#include "twinlens/pass.h"
#include "twinlens/statistics.h"

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

/* The counterfactual, the clean prompt behind what both share, and of every component the
 * layers from its own on. */
static uint64_t effects_flops(const tl_model *model, const tl_pair *pair,
                              const tl_component *components, size_t n)
{
    const size_t n_pos = T,
                 n_prefix = tl_pair_shared_prefix(pair, tl_model_dims(model)->d_model);
    uint64_t sum = 0;
    for (size_t i = 0; i < n + 2; i++) {
        const tl_pass_options options = {
            .last_only = true, .first_layer = i < n ? components[i].layer : 0};
        const size_t shared = i <= n ? n_prefix : 0;
        uint64_t one = 0;
        assert_int_equal(tl_pass_flops(model, &n_pos, &shared, 1, &options, &one, NULL),
                         TL_OK);
        sum += one;
    }
    return sum;
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
        const uint64_t before = tl_model_product_flops(model);
        if (tl_validator_effects(validator, &pair, components, COMPONENTS, effects,
                                 &clean, &err) != TL_OK)
            fail_msg("%s", err.text);
        assert_true(tl_model_product_flops(model) - before ==
                    effects_flops(model, &pair, components, COMPONENTS));
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

static void check_completeness(const char *folder)
{
    tl_model *model = open_folder(folder, "ref");
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

static void the_integrated_gradient_adds_up(void **state)
{
    (void)state;
    check_completeness(tiny_checkpoint);
    check_completeness(deep_checkpoint); /* with what enters further up */
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

/* Where a component of the last layer acts on nothing, or the prompts are still alike, none
 * is looked at; of the others, all are equally likely. */
static void a_screen_has_every_component_that_can_act_as_often(void **state)
{
    (void)state;
    enum { LAYERS = 3, POSITIONS = 5, PREFIX = 2, HEADS = 4, SCREENS = 4000 };
    const tl_screen_span span = {LAYERS, POSITIONS, PREFIX, {HEADS, 6}};
    size_t seen[LAYERS][POSITIONS][HEADS] = {0};
    assert_int_equal(tl_screen_count(&span, TL_KIND_HEADS, 100), 7 * HEADS);
    assert_int_equal(tl_screen_count(&span, TL_KIND_NEURONS, 100), 7 * 6);
    for (uint64_t seed = 0; seed < SCREENS; seed++) {
        tl_component got[7];
        tl_screen(&span, TL_KIND_HEADS, 7, seed, got);
        for (size_t i = 0; i < 7; i++) {
            assert_true(got[i].kind == TL_KIND_HEADS && got[i].layer < LAYERS &&
                        got[i].pos >= PREFIX && got[i].pos < POSITIONS &&
                        got[i].index < HEADS);
            assert_true(got[i].layer < LAYERS - 1 || got[i].pos == POSITIONS - 1);
            for (size_t k = 0; k < i; k++)
                assert_memory_not_equal(&got[i], &got[k], sizeof got[i]);
            seen[got[i].layer][got[i].pos][got[i].index]++;
        }
    }
    for (size_t l = 0; l < LAYERS; l++)
        for (size_t t = PREFIX; t < POSITIONS; t++)
            for (size_t h = 0; h < HEADS; h++)
                if (l < LAYERS - 1 || t == POSITIONS - 1) /* a quarter, sd 27 */
                    assert_in_range(seen[l][t][h], SCREENS / 4 - 110,
                                    SCREENS / 4 + 110);
}

static void a_draw_takes_as_many_of_every_way_s_largest(void **state)
{
    (void)state;
    enum { SCREENED = 640, WAYS = 3, N = 20, DRAWS = 400 };
    double scores[WAYS * SCREENED];
    size_t of[WAYS] = {0}, outside = 0;
    for (size_t m = 0; m < WAYS; m++) /* way m has its largest at m * 200 ... */
        for (size_t i = 0; i < SCREENED; i++)
            scores[m * SCREENED + i] =
                (i % 2 == 0 ? 1.0 : -1.0) *
                (double)(SCREENED - (i + SCREENED - m * 200) % SCREENED);
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        size_t got[N], again[N];
        assert_int_equal(tl_validate_draw(scores, WAYS, SCREENED, N, seed, got, NULL),
                         TL_OK);
        assert_int_equal(tl_validate_draw(scores, WAYS, SCREENED, N, seed, again, NULL),
                         TL_OK);
        assert_memory_equal(got, again, sizeof got);
        for (size_t i = 0; i < N; i++) {
            for (size_t k = 0; k < i; k++)
                assert_true(got[i] != got[k]);
            const size_t m = got[i] / 200;
            if (m < WAYS && got[i] % 200 < 20) /* 640 / 32 */
                of[m]++;
            else
                outside++;
        }
    }
    for (size_t m = 0; m < WAYS; m++) /* 5 each, and what all components give */
        assert_in_range(of[m], 5 * DRAWS, 5 * DRAWS + DRAWS / 3);
    assert_in_range(outside, 5 * DRAWS - DRAWS, 5 * DRAWS);
    size_t got[4];
    tl_error err = {0};
    assert_int_equal(tl_validate_draw(scores, 1, 3, 4, 1, got, &err), TL_ERR_ARGUMENT);
    assert_int_equal(tl_validate_draw(scores, 1, 4, 4, 1, got, &err), TL_OK);
}

/* Ways that err alike come out alike: none is judged by what another has chosen. When one
 * alone chooses, as it did once, it comes out worse than it is. */
static void no_way_is_favoured_by_the_draw(void **state)
{
    (void)state;
    enum { SCREENED = 800, N = 24, DRAWS = 300 };
    double mean[2][2] = {{0}};
    tl_random random = {3};
    for (size_t r = 0; r < DRAWS; r++) {
        double scores[2 * SCREENED], exact[SCREENED];
        for (size_t i = 0; i < SCREENED; i++) {
            exact[i] = tl_normal_quantile(
                ((double)(tl_random_next(&random) >> 11) + 0.5) * 0x1p-53);
            for (size_t m = 0; m < 2; m++)
                scores[m * SCREENED + i] =
                    exact[i] +
                    tl_normal_quantile(((double)(tl_random_next(&random) >> 11) + 0.5) *
                                       0x1p-53);
        }
        for (size_t alone = 0; alone < 2; alone++) {
            size_t got[N];
            double x[N], y[2][N];
            assert_int_equal(
                tl_validate_draw(scores, alone ? 1 : 2, SCREENED, N, r, got, NULL),
                TL_OK);
            for (size_t i = 0; i < N; i++) {
                x[i] = exact[got[i]];
                y[0][i] = scores[got[i]];
                y[1][i] = scores[SCREENED + got[i]];
            }
            for (size_t m = 0; m < 2; m++)
                mean[alone][m] += tl_pearson(x, y[m], N) / DRAWS;
        }
    }
    assert_close("together", 0, mean[0][0], mean[0][1], 0.015);
    if (fabs(mean[1][0] - mean[1][1]) < 0.04)
        fail_msg("alone: %g and %g, wanted a difference", mean[1][0], mean[1][1]);
}

/* Ways of every kind. */
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
                                         .n_others = N_WAYS - N_RIGHT,
                                         .ranked = &ways[N_WAYS - 1]},
                              none = {.n_components = 6};
    tl_validation v;
    tl_error err = {0};
    tl_validator *validator = make_validator(model);
    assert_int_equal(tl_validator_pair(validator, &pair, &none, 11, arena, &v, &err),
                     TL_ERR_ARGUMENT);
    if (tl_validator_pair(validator, &pair, &options, 11, arena, &v, &err) != TL_OK)
        fail_msg("%s", err.text);
    assert_int_equal(v.n, 12);
    double effects[12], clean, gradient, difference;
    assert_int_equal(
        tl_validator_effects(validator, &pair, v.components, 12, effects, &clean, NULL),
        TL_OK);
    for (size_t m = 0; m <= N_WAYS; m++) { /* the last ranks */
        const bool ranks = m == N_WAYS;
        tl_attribution_options how = ways[ranks ? m - 1 : m];
        how.raw_sign = !ranks;
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
            assert_close("attributed", i,
                         ranks ? v.ranked[i] : v.attributed[m * 12 + i],
                         c->kind == TL_KIND_HEADS
                             ? (double)s.heads[place * d->n_heads + c->index]
                             : (double)s.neurons[place * d->d_mlp + c->index],
                         0);
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
    /* More components beside the sample: it stays as it is, and theirs are behind it. */
    tl_component more[2] = {v.components[9], v.components[1]};
    tl_validate_options with = options;
    with.also = more;
    with.n_also = 2;
    tl_validation w;
    assert_int_equal(tl_validator_pair(validator, &pair, &with, 11, arena, &w, &err),
                     TL_OK);
    assert_int_equal(w.n, 14);
    for (size_t i = 0; i < 14; i++) {
        const size_t same = i < 12 ? i : i == 12 ? 9 : 1;
        const tl_component *a = &w.components[i], *b = &v.components[same];
        assert_true(a->kind == b->kind && a->layer == b->layer && a->pos == b->pos &&
                    a->index == b->index);
        assert_close("exact beside", i, w.exact[i], v.exact[same], 0);
        assert_close("ranked beside", i, w.ranked[i], v.ranked[same], 0);
        for (size_t m = 0; m < N_WAYS; m++)
            assert_close("attributed beside", i, w.attributed[m * 14 + i],
                         v.attributed[m * 12 + same], 0);
    }
    more[1].pos = T;
    assert_int_equal(tl_validator_pair(validator, &pair, &with, 11, arena, &w, &err),
                     TL_ERR_ARGUMENT);
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
        cmocka_unit_test(a_screen_has_every_component_that_can_act_as_often),
        cmocka_unit_test(a_draw_takes_as_many_of_every_way_s_largest),
        cmocka_unit_test(no_way_is_favoured_by_the_draw),
        cmocka_unit_test(a_pair_s_validation_is_its_parts),
        cmocka_unit_test(midpoints_add_up_sooner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
