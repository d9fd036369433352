/*
 * test_magnitude.c - the magnitudes that attribution gives beside its scores, against
 * the definition, from two passes of their own.
 */
#include "random_inputs.h"

#include <string.h>

#include "twinlens/circuit.h"
#include "twinlens/pass.h"

enum { T = 17 };

typedef struct kept {
    float *z, *mlp_post; /* [n_layers, T, width] */
} kept;

static tl_status keep(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    const kept *k = user;
    memcpy((e->site == TL_SITE_Z ? k->z : k->mlp_post) + e->layer * T * e->width,
           e->values, T * e->width * sizeof(float));
    return TL_OK;
}

static kept run(tl_model *model, const tl_input *input, tl_arena *arena)
{
    const tl_dims *d = tl_model_dims(model);
    kept k = {
        tl_arena_alloc(arena, d->n_layers * T * d->n_heads * d->d_head, sizeof(float)),
        tl_arena_alloc(arena, d->n_layers * T * d->d_mlp, sizeof(float))};
    const tl_tap tap = {.on_site = keep,
                        .user = &k,
                        .sites =
                            TL_SITE_BIT(TL_SITE_Z) | TL_SITE_BIT(TL_SITE_MLP_POST)};
    const tl_pass_options options = {.taps = &tap, .n_taps = 1};
    const tl_pass_prompt prompt = {.input = *input};
    tl_pass *pass = NULL;
    assert_int_equal(tl_pass_create(model, &pass, NULL), TL_OK);
    assert_int_equal(tl_pass_forward(pass, &prompt, 1, &options, NULL), TL_OK);
    tl_pass_destroy(pass);
    return k;
}

static void magnitudes_are_absolute_differences(void **state)
{
    (void)state;
    tl_model *model = open_tiny("ref");
    tl_arena *arena = tl_arena_create();
    const tl_dims *d = tl_model_dims(model);
    const size_t places = d->n_layers * T;
    const tl_pair pair = {random_input(model, arena, T, 3, 4, 1),
                          random_input(model, arena, T, 3, 4, 2), 20, 50};
    const tl_attribution_options options = {.ig_steps = 1, .magnitudes = true};
    tl_attribution *attribution = NULL;
    tl_scores got;
    tl_error err = {0};
    if (tl_attribution_create(model, T, &options, &attribution, &err) != TL_OK ||
        tl_attribution_add(attribution, &pair, 1, &err) != TL_OK ||
        tl_attribution_magnitudes(attribution, arena, &got, &err) != TL_OK)
        fail_msg("%s", err.text);
    const kept a = run(model, &pair.clean, arena),
               b = run(model, &pair.counterfactual, arena);
    for (size_t i = 0; i < places * d->n_heads; i++) {
        /* In the last layer only the last position matters, and is computed. */
        const bool idle =
            i / d->n_heads / T + 1 == d->n_layers && i / d->n_heads % T + 1 < T;
        double want = 0;
        for (size_t k = i * d->d_head; k < (i + 1) * d->d_head && !idle; k++)
            want += fabs((double)a.z[k] - (double)b.z[k]);
        assert_close("head", i, (double)got.heads[i], want, 1e-6 + 1e-6 * want);
    }
    double all = 0;
    for (size_t i = 0; i < places * d->d_mlp; i++) {
        const bool idle =
            i / d->d_mlp / T + 1 == d->n_layers && i / d->d_mlp % T + 1 < T;
        const double want =
            idle ? 0 : fabs((double)a.mlp_post[i] - (double)b.mlp_post[i]);
        assert_close("neuron", i, (double)got.neurons[i], want, 1e-6 + 1e-6 * want);
        all += (double)got.neurons[i];
    }
    assert_true(all > 0);
    tl_attribution_destroy(attribution);
    const tl_attribution_options without = {.ig_steps = 1};
    assert_int_equal(tl_attribution_create(model, T, &without, &attribution, &err),
                     TL_OK);
    assert_int_equal(tl_attribution_magnitudes(attribution, arena, &got, &err),
                     TL_ERR_ARGUMENT);
    tl_attribution_destroy(attribution);
    tl_arena_destroy(arena);
    tl_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(magnitudes_are_absolute_differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
