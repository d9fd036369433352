/*
 * test_alignment.c - against the definition, with states taken by a tap of its own;
 * and what must be 1 or 0.
 */
#include "random_inputs.h"

#include <string.h>

#include "twinlens/pass.h"
#include "twinlens/probe.h"

enum { PAIRS = 3, T = 20, SIDE = 4, WIDTH_MOST = 256, LAYERS_MOST = 8 };

typedef struct kept {
    float *values; /* [n_layers, T, d_model] */
} kept;

static tl_status keep(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    const kept *k = user;
    memcpy(k->values + e->layer * T * e->width, e->values,
           T * e->width * sizeof(float));
    return TL_OK;
}

static float *states_of(tl_model *model, const tl_input *input, tl_arena *arena)
{
    const tl_dims *d = tl_model_dims(model);
    kept k = {tl_arena_alloc(arena, d->n_layers * T * d->d_model, sizeof(float))};
    const tl_tap tap = {keep, &k, TL_SITE_BIT(TL_SITE_RESID_POST)};
    const tl_pass_options options = {.taps = &tap, .n_taps = 1};
    const tl_pass_prompt prompt = {.input = *input};
    tl_pass *pass = NULL;
    assert_int_equal(tl_pass_create(model, &pass, NULL), TL_OK);
    assert_int_equal(tl_pass_forward(pass, &prompt, 1, &options, NULL), TL_OK);
    tl_pass_destroy(pass);
    return k.values;
}

static double cosine(const float *x, const double *mean_x, const float *y,
                     const double *mean_y, size_t n)
{
    double xy = 0, xx = 0, yy = 0;
    for (size_t i = 0; i < n; i++) {
        const double a = (double)x[i] - mean_x[i], b = (double)y[i] - mean_y[i];
        xy += a * b;
        xx += a * a;
        yy += b * b;
    }
    return xy / sqrt(xx * yy);
}

/* Adds the data rows of a layer to `sum`. */
static void add_rows(const float *states, size_t layer, const tl_span *span,
                     size_t width, double *sum)
{
    for (size_t t = span->data_begin; t < span->data_end; t++)
        for (size_t i = 0; i < width; i++)
            sum[i] += (double)states[(layer * T + t) * width + i];
}

/* [PAIRS, n_layers] each, the other pair being the next. */
static void align_all(tl_model *model, const tl_parallel *pairs, bool centred,
                      double *matched, double *other)
{
    const size_t n_layers = tl_model_dims(model)->n_layers;
    double unused[2 * LAYERS_MOST];
    tl_alignment *a = NULL;
    assert_int_equal(tl_alignment_create(model, 0, &a, NULL), TL_OK);
    for (size_t i = 0; i < PAIRS && centred; i++)
        assert_int_equal(tl_alignment_take(a, &pairs[i], NULL), TL_OK);
    for (size_t i = 0; i < PAIRS; i++) {
        double *m = matched + i * n_layers, *o = other + i * n_layers;
        tl_alignment_values values = {m, o, NULL, NULL};
        if (centred)
            values = (tl_alignment_values){unused, unused + LAYERS_MOST, m, o};
        assert_int_equal(
            tl_alignment_measure(a, &pairs[i], &pairs[(i + 1) % PAIRS], &values, NULL),
            TL_OK);
    }
    tl_alignment_destroy(a);
}

static void alignment_is_its_definition(void **state)
{
    (void)state;
    tl_model *model = open_tiny("ref");
    tl_arena *arena = tl_arena_create();
    const tl_dims *d = tl_model_dims(model);
    tl_parallel pairs[PAIRS];
    float *text[PAIRS], *image[PAIRS];
    assert_true(d->d_model <= WIDTH_MOST && d->n_layers <= LAYERS_MOST);
    for (uint32_t i = 0; i < PAIRS; i++) {
        pairs[i] = (tl_parallel){random_input(model, arena, T, 3, 0, 10 + i),
                                 random_input(model, arena, T, 3, SIDE, 20 + i),
                                 {T, 4 + i, 9 + i},
                                 {T, 3, 3 + SIDE * SIDE / 4}};
        text[i] = states_of(model, &pairs[i].text, arena);
        image[i] = states_of(model, &pairs[i].image, arena);
    }
    for (size_t centred = 0; centred < 2; centred++) {
        double matched[PAIRS * LAYERS_MOST], other[PAIRS * LAYERS_MOST];
        align_all(model, pairs, centred == 1, matched, other);
        for (size_t l = 0; l < d->n_layers; l++) {
            double mean[2][WIDTH_MOST] = {{0}};
            for (size_t i = 0; i < PAIRS && centred; i++) {
                add_rows(text[i], l, &pairs[i].text_span, d->d_model, mean[TL_TEXT]);
                add_rows(image[i], l, &pairs[i].image_span, d->d_model, mean[TL_IMAGE]);
            }
            for (size_t k = 0; k < d->d_model; k++) {
                mean[TL_TEXT][k] /= PAIRS * 5;
                mean[TL_IMAGE][k] /= PAIRS * SIDE * SIDE / 4;
            }
            for (size_t i = 0; i < PAIRS; i++)
                for (size_t shift = 0; shift < 2; shift++) {
                    const size_t j = (i + shift) % PAIRS;
                    const tl_span *t = &pairs[j].text_span, *v = &pairs[i].image_span;
                    double total = 0;
                    for (size_t a = v->data_begin; a < v->data_end; a++) {
                        double best = -2;
                        for (size_t b = t->data_begin; b < t->data_end; b++)
                            best =
                                fmax(best, cosine(image[i] + (l * T + a) * d->d_model,
                                                  mean[TL_IMAGE],
                                                  text[j] + (l * T + b) * d->d_model,
                                                  mean[TL_TEXT], d->d_model));
                        total += best;
                    }
                    const double got =
                        (shift == 0 ? matched : other)[i * d->n_layers + l];
                    assert_close(centred ? "centred" : "plain", l, got,
                                 total / (double)(v->data_end - v->data_begin), 1e-12);
                }
        }
    }
    tl_arena_destroy(arena);
    tl_model_close(model);
}

/* A prompt is wholly aligned with itself. */
static void the_same_prompt_aligns_wholly(void **state)
{
    (void)state;
    tl_model *model = open_tiny("ref");
    tl_arena *arena = tl_arena_create();
    const size_t n_layers = tl_model_dims(model)->n_layers;
    const tl_input input = random_input(model, arena, T, 3, 0, 3);
    const tl_parallel pair = {input, input, {T, 4, 9}, {T, 4, 9}};
    double matched[LAYERS_MOST], other[LAYERS_MOST];
    tl_alignment *a = NULL;
    tl_alignment_values values = {matched, other, NULL, NULL};
    assert_int_equal(tl_alignment_create(model, 0, &a, NULL), TL_OK);
    assert_int_equal(tl_alignment_measure(a, &pair, &pair, &values, NULL), TL_OK);
    for (size_t l = 0; l < n_layers; l++) {
        assert_close("with itself", l, matched[l], 1, 1e-12);
        assert_close("with the same again", l, other[l], 1, 1e-12);
    }
    tl_error err = {0};
    tl_parallel bad = pair;
    bad.text_span.data_end = 4;
    assert_int_equal(tl_alignment_measure(a, &bad, &pair, &values, &err),
                     TL_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "without data positions"));
    values.centred_matched = values.centred_other = other;
    assert_int_equal(tl_alignment_measure(a, &pair, &pair, &values, &err),
                     TL_ERR_ARGUMENT);
    tl_alignment_destroy(a);
    tl_arena_destroy(arena);
    tl_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alignment_is_its_definition),
        cmocka_unit_test(the_same_prompt_aligns_wholly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
