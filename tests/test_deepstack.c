/*
 * test_deepstack.c - what an image adds to the stream behind the first layers (tl_input.deep):
 * where it is in the sites, its gradient, and that prefixes, batches, passes that begin
 * further up and back-patching neither lose it nor add it twice.
 */
#include "random_inputs.h"

#include <string.h>

#include "circuit/pair.h"
#include "model/model_parts.h"
#include "twinlens/pass.h"
#include "twinlens/probe.h"

enum { T = 17, SIDE = 6, DATA = SIDE * SIDE / 4, ANSWER = 20, OTHER = 50 };

#define MUST(call)                                                                     \
    do {                                                                               \
        if ((call) != TL_OK)                                                           \
            fail_msg("%s", err.text);                                                  \
    } while (0)

typedef struct fixture {
    tl_model *model;
    tl_arena *arena;
    const tl_dims *d;
    tl_input input;
    tl_pass *pass;
} fixture;

static fixture setup(void)
{
    tl_error err = {0};
    fixture f = {.model = open_folder(deep_checkpoint, "ref"),
                 .arena = tl_arena_create()};
    f.d = tl_model_dims(f.model);
    f.input = random_input(f.model, f.arena, T, 3, SIDE, 1);
    MUST(tl_pass_create(f.model, &f.pass, &err));
    return f;
}

static void teardown(fixture *f)
{
    tl_pass_destroy(f->pass);
    tl_model_close(f->model);
    tl_arena_destroy(f->arena);
}

static float *floats(const fixture *f, size_t n)
{
    float *memory = tl_arena_alloc_zero(f->arena, n, sizeof *memory);
    assert_non_null(memory);
    return memory;
}

static double logit_diff(const fixture *f, const tl_pass_prompt *prompts, size_t n,
                         size_t which, const tl_pass_options *options)
{
    tl_error err = {0};
    double out = 0.0;
    MUST(tl_pass_forward(f->pass, prompts, n, options, &err));
    MUST(tl_pass_logit_diff(f->pass, which, ANSWER, OTHER, &out, &err));
    return out;
}

static void it_is_there_at_image_positions_alone(void **state)
{
    (void)state;
    fixture f = setup();
    assert_int_equal(f.input.n_deep, 2);
    for (size_t row = 0; row < f.input.n_deep * T; row++) {
        const float *values = f.input.deep + row * f.d->d_model;
        bool any = false;
        for (size_t i = 0; i < f.d->d_model; i++)
            any = any || values[i] != 0.0f;
        assert_int_equal(any, f.input.is_image[row % T]);
    }
    const tl_input text = random_input(f.model, f.arena, T, 3, 0, 1);
    assert_true(text.deep == NULL && text.n_deep == 0);
    assert_int_equal(tl_model_input_bytes(f.model, T),
                     3 * T * f.d->d_model * sizeof(float));
    teardown(&f);
}

/* resid_post = resid_pre + attn_out + mlp_out + deep, and the next layer's resid_pre. */
static void it_is_part_of_what_leaves_its_layer(void **state)
{
    (void)state;
    fixture f = setup();
    static const tl_site sites[] = {TL_SITE_RESID_PRE, TL_SITE_ATTN_OUT,
                                    TL_SITE_MLP_OUT, TL_SITE_RESID_POST};
    const size_t count = T * f.d->d_model;
    float *at[4];
    tl_reading readings[4];
    for (size_t i = 0; i < 4; i++) {
        at[i] = floats(&f, f.d->n_layers * count);
        readings[i] = (tl_reading){.at = {.site = sites[i]}, .to = at[i]};
    }
    const tl_pass_options options = {.readings = readings, .n_readings = 4};
    const tl_pass_prompt prompt = {.input = f.input};
    logit_diff(&f, &prompt, 1, 0, &options);
    for (size_t l = 0; l < f.d->n_layers; l++) {
        if (l > 0)
            assert_memory_equal(at[0] + l * count, at[3] + (l - 1) * count,
                                count * sizeof(float));
        for (size_t i = 0; i < count; i++) {
            const size_t k = l * count + i;
            const double deep = l < f.input.n_deep ? (double)f.input.deep[k] : 0.0,
                         sum = (double)at[0][k] + (double)at[1][k] + (double)at[2][k];
            assert_true(fabs((double)at[3][k] - sum - deep) < 1e-5);
        }
    }
    teardown(&f);
}

static void its_gradient_is_that_of_resid_post(void **state)
{
    (void)state;
    fixture f = setup();
    tl_error err = {0};
    const size_t count = T * f.d->d_model, n = f.input.n_deep * count;
    float *gradient = floats(&f, n), *moved = floats(&f, n);
    const tl_reading reading = {
        .gradient = true,
        .at = {.site = TL_SITE_RESID_POST, .n_layers = f.input.n_deep},
        .to = gradient};
    tl_pass_prompt prompt = {.input = f.input};
    const int32_t a = ANSWER, b = OTHER;
    for (size_t budget = 0; budget < 2;
         budget++) { /* kept layers, and computed again */
        tl_pass_options options = {
            .readings = &reading, .n_readings = 1, .for_backward = true};
        if (budget > 0)
            MUST(tl_pass_least_bytes(f.model, T, &options, &options.memory_budget,
                                     &err));
        prompt.input.deep = f.input.deep;
        logit_diff(&f, &prompt, 1, 0, &options);
        MUST(tl_pass_backward(f.pass, &a, &b, &err));
        for (size_t k = 0; k < f.input.n_deep; k++) {
            double along = 0.0, side[2];
            for (int s = 0; s < 2; s++) {
                uint32_t seed = 3;
                memcpy(moved, f.input.deep, n * sizeof *moved);
                for (size_t i = 0; i < count; i++) {
                    const float step = 1e-3f * test_uniform(&seed);
                    moved[k * count + i] += s == 0 ? step : -step;
                    along +=
                        s == 0 ? (double)step * (double)gradient[k * count + i] : 0;
                }
                prompt.input.deep = moved;
                side[s] = logit_diff(&f, &prompt, 1, 0, NULL);
            }
            const double slope = (side[0] - side[1]) / 2.0;
            if (fabs(slope - along) > 1e-3 * fabs(along) + 1e-6 || along == 0.0)
                fail_msg("layer %zu: %g by the gradient, %g by differences", k, along,
                         slope);
        }
    }
    teardown(&f);
}

/* Behind a prefix that ends inside the image, and beside a prompt without one. */
static void prefixes_and_batches_have_the_same_bits(void **state)
{
    (void)state;
    fixture f = setup();
    const size_t n = tl_prefix_count(f.d, 5);
    tl_prefix prefix = {.n_pos = 5, .k = floats(&f, n), .v = floats(&f, n)};
    const tl_pass_prompt whole = {.input = f.input, .collect = &prefix},
                         rest = {.input = f.input, .prefix = &prefix};
    const double wanted = logit_diff(&f, &whole, 1, 0, NULL);
    const tl_pass_options last = {.last_only = true};
    assert_true(logit_diff(&f, &rest, 1, 0, NULL) == wanted);
    assert_true(logit_diff(&f, &rest, 1, 0, &last) == wanted);
    const tl_input text = random_input(f.model, f.arena, T, 3, 0, 1);
    const tl_pass_prompt batch[] = {{.input = text}, rest, {.input = f.input}};
    assert_true(logit_diff(&f, batch, 3, 1, NULL) == wanted);
    assert_true(logit_diff(&f, batch, 3, 2, &last) == wanted);
    tl_input without = f.input;
    without.deep = NULL;
    without.n_deep = 0;
    const tl_pass_prompt plain = {.input = without};
    assert_true(fabs(logit_diff(&f, &plain, 1, 0, NULL) - wanted) > 1e-3);
    teardown(&f);
}

/* What enters a layer has the features of the layers below, and none of them again. */
static void a_pass_may_begin_at_any_layer(void **state)
{
    (void)state;
    fixture f = setup();
    const size_t count = T * f.d->d_model;
    float *resid = floats(&f, f.d->n_layers * count);
    const tl_reading reading = {.at = {.site = TL_SITE_RESID_PRE}, .to = resid};
    const tl_pass_options read = {.readings = &reading, .n_readings = 1};
    const tl_pass_prompt prompt = {.input = f.input};
    const double wanted = logit_diff(&f, &prompt, 1, 0, &read);
    for (size_t l = 0; l < f.d->n_layers; l++) {
        const tl_pass_prompt from = {.input = f.input, .resid_pre = resid + l * count};
        const tl_pass_options options = {.first_layer = l};
        assert_true(logit_diff(&f, &from, 1, 0, &options) == wanted);
    }
    teardown(&f);
}

static void a_layer_patched_into_itself_changes_nothing(void **state)
{
    (void)state;
    fixture f = setup();
    tl_error err = {0};
    tl_backpatcher *patcher = NULL;
    const int32_t ids[] = {ANSWER, OTHER};
    double clean[2], patched[8];
    tl_backpatch_cell cells[4];
    assert_int_equal(f.d->n_layers, 4);
    for (size_t l = 0; l < 4; l++)
        cells[l] = (tl_backpatch_cell){l, l, 1, 1, false};
    MUST(tl_backpatcher_create(f.model, 0, &patcher, &err));
    MUST(tl_backpatcher_run(patcher, &f.input, 3, 3 + DATA, cells, 4, ids, 2, clean,
                            patched, &err));
    for (size_t i = 0; i < 8; i++)
        assert_true(patched[i] == clean[i % 2]);
    tl_backpatcher_destroy(patcher);
    teardown(&f);
}

static void a_pair_shares_what_is_the_same_further_up_too(void **state)
{
    (void)state;
    fixture f = setup();
    const size_t n = f.input.n_deep * T * f.d->d_model;
    float *other = floats(&f, n), *x = floats(&f, 3 * T * f.d->d_model);
    memcpy(other, f.input.deep, n * sizeof *other);
    tl_pair pair = {f.input, f.input, ANSWER, OTHER};
    pair.counterfactual.deep = other;
    assert_int_equal(tl_pair_shared_prefix(&pair, f.d->d_model), T - 1);
    const size_t at = (T + 6) * f.d->d_model; /* position 6, behind the second layer */
    other[at] += 1.0f;
    assert_int_equal(tl_pair_shared_prefix(&pair, f.d->d_model), 6);
    const tl_input half = tl_pair_between(&pair, 0.5, false, 0, f.d->d_model, x);
    assert_true(fabsf(half.deep[at] - f.input.deep[at] - 0.5f) < 1e-6f);
    assert_true(tl_pair_between(&pair, 0.5, true, 0, f.d->d_model, x).deep[at] ==
                f.input.deep[at]);
    tl_error err = {0};
    pair.counterfactual.n_deep = 0;
    assert_int_equal(tl_pair_check(&pair, T, &err), TL_ERR_DATA);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_there_at_image_positions_alone),
        cmocka_unit_test(it_is_part_of_what_leaves_its_layer),
        cmocka_unit_test(its_gradient_is_that_of_resid_post),
        cmocka_unit_test(prefixes_and_batches_have_the_same_bits),
        cmocka_unit_test(a_pass_may_begin_at_any_layer),
        cmocka_unit_test(a_layer_patched_into_itself_changes_nothing),
        cmocka_unit_test(a_pair_shares_what_is_the_same_further_up_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
