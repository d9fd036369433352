/* SPDX-License-Identifier: MIT
 *
 * test_attention_pattern.c - attention's patterns of a batch: those of each prompt alone, what
 * they are of, that they change nothing else and take what the plan says; and what is refused.
 * (That they are the right ones tests/cli/test_pattern.sh finds.)
 */
#include "random_inputs.h"

#include "twinlens/pass.h"

enum { PROMPTS = 3, MOST = 45, MARGIN = 7 };
static const size_t lengths[PROMPTS] = {MOST, 9, 20}; /* above and below d_head */

typedef struct fixture {
    tl_model *model;
    tl_arena *arena;
    const tl_dims *d;
    tl_pass *pass;
    tl_pass_prompt prompts[PROMPTS];
    float *patterns[PROMPTS];
} fixture;

static size_t count_of(const fixture *f, size_t p)
{
    return f->d->n_layers * f->d->n_heads * lengths[p] * lengths[p];
}

static fixture setup(const char *backend)
{
    fixture f = {.model = open_tiny(backend), .arena = tl_arena_create()};
    tl_error err = {0};
    f.d = tl_model_dims(f.model);
    assert_int_equal(tl_pass_create(f.model, &f.pass, &err), TL_OK);
    for (size_t p = 0; p < PROMPTS; p++) {
        f.prompts[p].input =
            random_input(f.model, f.arena, lengths[p], 0, 0, (uint32_t)p);
        f.patterns[p] =
            tl_arena_alloc(f.arena, count_of(&f, p) + MARGIN, sizeof(float));
        assert_non_null(f.patterns[p]);
        for (size_t i = 0; i < count_of(&f, p) + MARGIN; i++)
            f.patterns[p][i] = -7.0f;
    }
    return f;
}

static void teardown(fixture *f)
{
    tl_pass_destroy(f->pass);
    tl_model_close(f->model);
    tl_arena_destroy(f->arena);
}

static void forward(fixture *f, const tl_pass_prompt *prompts, size_t n,
                    const tl_pass_options *options)
{
    tl_error err = {0};
    if (tl_pass_forward(f->pass, prompts, n, options, &err) != TL_OK)
        fail_msg("%s", err.text);
}

static void rows_are_shares_of_what_is_seen(void **unused)
{
    (void)unused;
    fixture f = setup("ref");
    const tl_pattern_reading reading = {.to = f.patterns[0]};
    const tl_pass_options options = {.patterns = &reading, .n_patterns = 1};
    const size_t T = lengths[0];
    assert_true(T > 2 * f.d->d_head); /* several times, and a rest */
    forward(&f, f.prompts, 1, &options);
    for (size_t row = 0; row < f.d->n_layers * f.d->n_heads * T; row++) {
        double sum = 0.0;
        for (size_t j = 0; j < T; j++) {
            const float p = f.patterns[0][row * T + j];
            assert_true(j <= row % T ? p > 0.0f && p <= 1.0f : p == 0.0f);
            sum += (double)p;
        }
        assert_close("[layers, heads, positions] row", row, sum, 1.0, 2e-6);
    }
    for (size_t i = 0; i < MARGIN; i++)
        assert_true(f.patterns[0][count_of(&f, 0) + i] == -7.0f);
    teardown(&f);
}

static void a_batch_has_those_of_each_prompt(void **unused)
{
    (void)unused;
    fixture f = setup(NULL);
    float *alone = tl_arena_alloc(f.arena, count_of(&f, 0), sizeof *alone);
    assert_non_null(alone);
    tl_pattern_reading readings[PROMPTS];
    for (size_t p = 0; p < PROMPTS; p++)
        readings[p] = (tl_pattern_reading){.prompt = p, .to = f.patterns[p]};
    const tl_pass_options all = {.patterns = readings, .n_patterns = PROMPTS};
    forward(&f, f.prompts, PROMPTS, &all);
    for (size_t p = 0; p < PROMPTS; p++) {
        const tl_pattern_reading one = {.to = alone};
        const tl_pass_options options = {.patterns = &one, .n_patterns = 1};
        forward(&f, &f.prompts[p], 1, &options);
        assert_memory_equal(alone, f.patterns[p], count_of(&f, p) * sizeof *alone);
    }
    teardown(&f);
}

static void nothing_else_changes(void **unused)
{
    (void)unused;
    fixture f = setup(NULL);
    const int32_t a[PROMPTS] = {20, 21, 22}, b[PROMPTS] = {30, 31, 32};
    const tl_pattern_reading reading = {.prompt = 1, .to = f.patterns[1]};
    const size_t count = f.d->n_layers * MOST * f.d->d_model;
    float *gradients[2];
    double ld[2];
    tl_error err = {0};
    for (size_t with = 0; with < 2; with++) {
        gradients[with] = tl_arena_alloc_zero(f.arena, count, sizeof(float));
        assert_non_null(gradients[with]);
        const tl_reading gradient = {.gradient = true, .to = gradients[with]};
        size_t planned = 0;
        tl_pass_options options = {.readings = &gradient,
                                   .n_readings = 1,
                                   .for_backward = true,
                                   .patterns = &reading,
                                   .n_patterns = with};
        assert_int_equal(
            tl_pass_bytes(f.model, lengths, NULL, PROMPTS, &options, &planned, &err),
            TL_OK);
        tl_pass_destroy(f.pass);
        assert_int_equal(tl_pass_create(f.model, &f.pass, &err), TL_OK);
        forward(&f, f.prompts, PROMPTS, &options);
        assert_int_equal(tl_pass_logit_diff(f.pass, 0, a[0], b[0], &ld[with], &err),
                         TL_OK);
        assert_int_equal(tl_pass_backward(f.pass, a, b, &err), TL_OK);
        assert_true(tl_pass_peak_bytes(f.pass) <= planned + TEST_GAPS);
        assert_true(tl_pass_peak_bytes(f.pass) + TEST_GAPS >= planned);
        options.memory_budget = planned - 1; /* a layer is computed again */
        forward(&f, f.prompts, PROMPTS, &options);
        assert_int_equal(tl_pass_backward(f.pass, a, b, &err), TL_OK);
    }
    assert_memory_equal(gradients[0], gradients[1], count * sizeof(float));
    assert_true(ld[0] == ld[1]);
    teardown(&f);
}

static void what_has_no_patterns_is_refused(void **unused)
{
    (void)unused;
    fixture f = setup("ref");
    tl_prefix prefix = {.n_pos = 2};
    tl_pass_prompt behind = f.prompts[0];
    behind.prefix = &prefix;
    const tl_pattern_reading good = {.to = f.patterns[0]}, nowhere = {0},
                             third = {.prompt = 3, .to = f.patterns[0]};
    const struct {
        const tl_pass_prompt *prompt;
        tl_pass_options options;
        const char *words;
    } cases[] = {
        {&f.prompts[0], {.patterns = &third}, "pattern 0: prompt 3 of a pass over 1"},
        {&f.prompts[0], {.patterns = &nowhere}, "pattern 0 has no memory"},
        {&f.prompts[0], {.patterns = &good, .last_only = true}, "all positions"},
        {&f.prompts[0], {.patterns = &good, .keys_only = true}, "all positions"},
        {&behind, {.patterns = &good}, "without a prefix"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_pass_options options = cases[i].options;
        tl_error err = {0};
        options.n_patterns = 1;
        assert_int_equal(tl_pass_forward(f.pass, cases[i].prompt, 1, &options, &err),
                         TL_ERR_ARGUMENT);
        if (strstr(err.text, cases[i].words) == NULL)
            fail_msg("'%s', wanted '%s'", err.text, cases[i].words);
    }
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_shares_of_what_is_seen),
        cmocka_unit_test(a_batch_has_those_of_each_prompt),
        cmocka_unit_test(nothing_else_changes),
        cmocka_unit_test(what_has_no_patterns_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
