/*
 * test_alignment.c - against the definition, with states taken by a tap of its own;
 * and what must be 1 or 0.
 */
#include "random_inputs.h"

#include <string.h>

#include "twinlens/pass.h"
#include "twinlens/probe.h"
#include "twinlens/safetensors.h"

enum { PAIRS = 3, T = 52, SIDE = 4, WIDTH_MOST = 256, LAYERS_MOST = 8 };

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
    const tl_tap tap = {
        .on_site = keep, .user = &k, .sites = TL_SITE_BIT(TL_SITE_RESID_POST)};
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
static void align_all(tl_model *model, tl_align with, const tl_parallel *pairs,
                      bool centred, double *matched, double *other)
{
    const size_t n_layers = tl_model_dims(model)->n_layers;
    double unused[2 * LAYERS_MOST];
    tl_alignment *a = NULL;
    assert_int_equal(tl_alignment_create(model, with, 0, &a, NULL), TL_OK);
    for (size_t i = 0; i < PAIRS; i++)
        assert_int_equal(tl_alignment_add(a, &pairs[i], NULL), TL_OK);
    for (size_t i = 0; i < PAIRS; i++) {
        double *m = matched + i * n_layers, *o = other + i * n_layers;
        tl_alignment_values values = {m, o, NULL, NULL};
        if (centred)
            values = (tl_alignment_values){unused, unused + LAYERS_MOST, m, o};
        assert_true(tl_alignment_keeps(a, i));
        assert_int_equal(
            tl_alignment_measure(a, i, NULL, (i + 1) % PAIRS, NULL, &values, NULL),
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
                                 {T, 3, 3 + SIDE * SIDE / 4},
                                 NULL};
        text[i] = states_of(model, &pairs[i].text, arena);
        image[i] = states_of(model, &pairs[i].image, arena);
    }
    for (size_t centred = 0; centred < 2; centred++) {
        double matched[PAIRS * LAYERS_MOST], other[PAIRS * LAYERS_MOST];
        align_all(model, TL_ALIGN_ACT, pairs, centred == 1, matched, other);
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

/* ---- with the unembedding --------------------------------------------------------- */

/* A row of the unembedding out of the file: its bf16 is the upper half of an f32. */
static void read_row(const tl_tensor *head, int32_t id, float *out)
{
    const size_t width = head->dims[1];
    const uint16_t *row = (const uint16_t *)head->data + (size_t)id * width;
    assert_int_equal(head->dtype, TL_BF16);
    for (size_t k = 0; k < width; k++) {
        const uint32_t bits = (uint32_t)row[k] << 16;
        memcpy(&out[k], &bits, sizeof bits);
    }
}

/* The mean of the two largest of n values. */
static double mean_of_two(const double *values, size_t n)
{
    size_t first = 0, second = 1;
    for (size_t i = 0; i < n; i++)
        if (values[i] > values[first])
            first = i;
    second = first == 0 ? 1 : 0;
    for (size_t i = 0; i < n; i++)
        if (i != first && values[i] > values[second])
            second = i;
    return (values[first] + values[second]) / 2;
}

/* 41 to 43 tokens of text: a twentieth is two. */
static void beside_the_unembedding_the_best_twentieth_counts(void **state)
{
    (void)state;
    enum { FIRST = 4, LEAST = 41 };
    tl_model *model = open_tiny("ref");
    tl_arena *arena = tl_arena_create();
    tl_safetensors *file = NULL;
    const tl_dims *d = tl_model_dims(model);
    assert_int_equal(tl_safetensors_open(tiny_checkpoint, &file, NULL), TL_OK);
    const tl_tensor *head = tl_safetensors_find(file, "lm_head.weight");
    tl_parallel pairs[PAIRS];
    int32_t ids[PAIRS][T];
    float *image[PAIRS], *rows[PAIRS];
    uint32_t random = 5;
    double mean[WIDTH_MOST] = {0}, none[WIDTH_MOST] = {0};
    size_t n_rows = 0;
    for (uint32_t i = 0; i < PAIRS; i++) {
        pairs[i] = (tl_parallel){random_input(model, arena, T, 3, 0, 10 + i),
                                 random_input(model, arena, T, 3, SIDE, 20 + i),
                                 {T, FIRST, FIRST + LEAST + i},
                                 {T, 3, 3 + SIDE * SIDE / 4},
                                 ids[i]};
        image[i] = states_of(model, &pairs[i].image, arena);
        rows[i] = tl_arena_alloc(arena, T * d->d_model, sizeof(float));
        for (size_t t = 0; t < T; t++) {
            ids[i][t] = (int32_t)((test_uniform(&random) + 1.0f) * 300.0f);
            read_row(head, ids[i][t], rows[i] + t * d->d_model);
        }
        add_rows(rows[i], 0, &pairs[i].text_span, d->d_model, mean);
        n_rows += LEAST + i;
    }
    for (size_t k = 0; k < d->d_model; k++)
        mean[k] /= (double)n_rows;
    for (size_t centred = 0; centred < 2; centred++) {
        double matched[PAIRS * LAYERS_MOST], other[PAIRS * LAYERS_MOST];
        align_all(model, TL_ALIGN_UNEMBED, pairs, centred == 1, matched, other);
        for (size_t l = 0; l < d->n_layers; l++) {
            double mean_image[WIDTH_MOST] = {0};
            for (size_t i = 0; i < PAIRS && centred; i++)
                add_rows(image[i], l, &pairs[i].image_span, d->d_model, mean_image);
            for (size_t k = 0; k < d->d_model; k++)
                mean_image[k] /= PAIRS * SIDE * SIDE / 4;
            for (size_t i = 0; i < PAIRS; i++)
                for (size_t shift = 0; shift < 2; shift++) {
                    const size_t j = (i + shift) % PAIRS, n = LEAST + j;
                    double total = 0, cosines[T];
                    for (size_t a = 3; a < 3 + SIDE * SIDE / 4; a++) {
                        for (size_t b = 0; b < n; b++)
                            cosines[b] =
                                cosine(image[i] + (l * T + a) * d->d_model, mean_image,
                                       rows[j] + (FIRST + b) * d->d_model,
                                       centred ? mean : none, d->d_model);
                        total += mean_of_two(cosines, n) * 4 / (SIDE * SIDE);
                    }
                    assert_close(centred ? "centred" : "plain", l,
                                 (shift == 0 ? matched : other)[i * d->n_layers + l],
                                 total, 1e-12);
                }
        }
    }
    tl_error err = {0};
    tl_alignment *a = NULL;
    assert_int_equal(tl_alignment_create(model, TL_ALIGN_UNEMBED, 0, &a, NULL), TL_OK);
    ids[1][FIRST] = (int32_t)d->n_vocab;
    assert_int_equal(tl_alignment_add(a, &pairs[1], &err), TL_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "is outside the model's"));
    pairs[1].text_ids = NULL;
    assert_int_equal(tl_alignment_add(a, &pairs[1], &err), TL_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "a text without its tokens"));
    tl_alignment_destroy(a);
    tl_safetensors_close(file);
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
    const tl_parallel pair = {input, input, {T, 4, 9}, {T, 4, 9}, NULL};
    double matched[LAYERS_MOST], other[LAYERS_MOST];
    tl_alignment *a = NULL;
    tl_alignment_values values = {matched, other, NULL, NULL};
    assert_int_equal(tl_alignment_create(model, TL_ALIGN_ACT, 0, &a, NULL), TL_OK);
    assert_int_equal(tl_alignment_add(a, &pair, NULL), TL_OK);
    assert_int_equal(tl_alignment_measure(a, 0, NULL, 0, NULL, &values, NULL), TL_OK);
    for (size_t l = 0; l < n_layers; l++) {
        assert_close("with itself", l, matched[l], 1, 1e-12);
        assert_close("with the same again", l, other[l], 1, 1e-12);
    }
    assert_int_equal(tl_alignment_measure(a, 0, NULL, TL_NO_PAIR, NULL, &values, NULL),
                     TL_OK);
    for (size_t l = 0; l < n_layers; l++) {
        assert_close("beside none", l, matched[l], 1, 1e-12);
        assert_true(isnan(other[l]));
    }
    tl_error err = {0};
    tl_parallel bad = pair;
    bad.text_span.data_end = 4;
    assert_int_equal(tl_alignment_add(a, &bad, &err), TL_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "without data positions"));
    assert_int_equal(tl_alignment_measure(a, 0, NULL, 1, NULL, &values, &err),
                     TL_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "pairs 0 and 1 of 1"));
    tl_alignment_destroy(a);
    tl_arena_destroy(arena);
    tl_model_close(model);
}

/* States that the budget has no room for are made again, and give the same bits. */
static void pairs_that_are_not_kept_are_run_again(void **state)
{
    (void)state;
    tl_model *model = open_tiny("ref");
    tl_arena *arena = tl_arena_create();
    tl_parallel pairs[PAIRS];
    for (uint32_t i = 0; i < PAIRS; i++)
        pairs[i] = (tl_parallel){random_input(model, arena, T, 3, 0, 10 + i),
                                 random_input(model, arena, T, 3, SIDE, 20 + i),
                                 {T, 4, 30 + i},
                                 {T, 3, 3 + SIDE * SIDE / 4},
                                 NULL};
    double want[PAIRS][4][LAYERS_MOST] = {{{0}}}, got[PAIRS][4][LAYERS_MOST];
    bool refused = false, run_again = false;
    for (size_t budget = 0; !refused;
         budget = budget == 0 ? 4 << 20 : budget - budget / 16) {
        tl_alignment *a = NULL;
        tl_error err = {0};
        memset(got, 0, sizeof got);
        tl_status status = tl_alignment_create(model, TL_ALIGN_ACT, budget, &a, &err);
        for (size_t i = 0; i < PAIRS && status == TL_OK; i++)
            status = tl_alignment_add(a, &pairs[i], &err);
        for (size_t i = 0; i < PAIRS && status == TL_OK; i++) {
            const size_t j = (i + 1) % PAIRS;
            double(*values)[LAYERS_MOST] = budget == 0 ? want[i] : got[i];
            tl_alignment_values out = {values[0], values[1], values[2], values[3]};
            if (!tl_alignment_keeps(a, i)) {
                run_again = true;
                assert_int_equal(
                    tl_alignment_measure(a, i, NULL, j, &pairs[j], &out, &err),
                    TL_ERR_ARGUMENT);
            }
            status = tl_alignment_measure(a, i, &pairs[i], j, &pairs[j], &out, &err);
        }
        tl_alignment_destroy(a);
        refused = status == TL_ERR_NO_MEMORY;
        assert_true(refused || status == TL_OK);
        if (status == TL_OK && budget > 0)
            assert_memory_equal(want, got, sizeof want);
    }
    assert_true(run_again);
    tl_arena_destroy(arena);
    tl_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alignment_is_its_definition),
        cmocka_unit_test(beside_the_unembedding_the_best_twentieth_counts),
        cmocka_unit_test(the_same_prompt_aligns_wholly),
        cmocka_unit_test(pairs_that_are_not_kept_are_run_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
