/* SPDX-License-Identifier: MIT
 *
 * test_capture.c - what a capture keeps of a pass, under which names and in which
 * shapes; its copies against what must be equal in any decoder.
 */
#include "testing.h"

#include <math.h>

#include "base/alloc_test.h"
#include "twinlens/capture.h"
#include "twinlens/pass.h"

#define CHECKPOINT TWINLENS_SOURCE_DIR "/tests/data/qwen2vl-tiny/checkpoint"

enum { N_POS = 7 };

#define MUST(call)                                                                     \
    do {                                                                               \
        if ((call) != TL_OK)                                                           \
            fail_msg("%s", err.text);                                                  \
    } while (0)

static const tl_tensor *find(const tl_named_tensor *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i].tensor;
    return NULL;
}

typedef struct trace {
    tl_model *model;
    tl_arena *arena;
    tl_capture capture;
    tl_dims dims;
    tl_named_tensor *list;
    size_t n;
    tl_input input;
    float *embeds;
} trace;

static const int32_t answer = 1, counter_answer = 2;

static const tl_tensor *get(const trace *t, const char *name)
{
    const tl_tensor *tensor = find(t->list, t->n, name);
    if (tensor == NULL)
        fail_msg("no %s", name);
    return tensor;
}

/* One pass, and back if gradients are wanted, over a prompt of random embeddings. */
static trace run(uint32_t sites, bool gradients)
{
    tl_error err = {0};
    tl_pass *pass = NULL;
    trace t = {.arena = tl_arena_create()};
    const tl_model_options options = {.backend = "ref"};
    MUST(tl_model_open(CHECKPOINT, &options, &t.model, &err));
    t.dims = *tl_model_dims(t.model);
    float *embeds = tl_arena_alloc(t.arena, N_POS * t.dims.d_model, sizeof *embeds);
    int32_t *positions = tl_arena_alloc(t.arena, 3 * N_POS, sizeof *positions);
    bool *is_image = tl_arena_alloc_zero(t.arena, N_POS, sizeof *is_image);
    assert_true(embeds != NULL && positions != NULL && is_image != NULL);
    uint32_t seed = 7;
    for (size_t i = 0; i < N_POS * t.dims.d_model; i++)
        embeds[i] = test_uniform(&seed);
    for (size_t i = 0; i < 3 * N_POS; i++)
        positions[i] = (int32_t)(i % N_POS);
    t.embeds = embeds;
    t.input = (tl_input){
        .n_pos = N_POS, .embeds = embeds, .positions = positions, .is_image = is_image};
    const tl_pass_prompt prompt = {.input = t.input};
    MUST(tl_capture_init(&t.capture, t.model, t.arena, sites, N_POS, gradients, &err));
    const tl_pass_options pass_options = {.readings = t.capture.readings,
                                          .n_readings = t.capture.n_readings,
                                          .for_backward = gradients};
    MUST(tl_pass_create(t.model, &pass, &err));
    MUST(tl_pass_forward(pass, &prompt, 1, &pass_options, &err));
    if (gradients)
        MUST(tl_pass_backward(pass, &answer, &counter_answer, &err));
    tl_pass_destroy(pass);
    MUST(tl_capture_tensors(&t.capture, &t.list, &t.n, &err));
    return t;
}

static void end(trace *t)
{
    tl_capture_release(&t->capture);
    tl_model_close(t->model);
    tl_arena_destroy(t->arena);
}

static void assert_same(const trace *t, const char *one, const char *other)
{
    const tl_tensor *a = get(t, one), *b = get(t, other);
    assert_int_equal(tl_tensor_count(a), tl_tensor_count(b));
    if (memcmp(a->data, b->data, tl_tensor_count(a) * sizeof(float)) != 0)
        fail_msg("%s is not %s", one, other);
}

static void names_say_site_layer_and_gradient(void **state)
{
    (void)state;
    trace t = run(TL_SITE_BIT(TL_SITE_Z) | TL_SITE_BIT(TL_SITE_RESID_PRE), true);
    assert_int_equal(t.n, 4 * t.dims.n_layers + 1);
    const tl_tensor *z = get(&t, "z.1");
    assert_int_equal(z->n_dims, 3);
    assert_int_equal(z->dims[0], N_POS);
    assert_int_equal(z->dims[1], t.dims.n_heads);
    assert_int_equal(z->dims[2], t.dims.d_head);
    const tl_tensor *embed = get(&t, "grad.embed");
    assert_int_equal(embed->n_dims, 2);
    assert_int_equal(embed->dims[1], t.dims.d_model);
    assert_same(&t, "grad.resid_pre.0", "grad.embed");
    get(&t, "grad.resid_pre.1");
    get(&t, "resid_pre.0");
    end(&t);
    t = run(TL_SITE_BIT(TL_SITE_MLP_POST), false);
    assert_int_equal(t.n, t.dims.n_layers);
    assert_int_equal(get(&t, "mlp_post.0")->dims[1], t.dims.d_mlp);
    end(&t);
}

static void a_layer_takes_up_what_the_one_before_it_left(void **state)
{
    (void)state;
    trace t =
        run(TL_SITE_BIT(TL_SITE_RESID_PRE) | TL_SITE_BIT(TL_SITE_RESID_POST), true);
    assert_int_equal(t.n, 4 * t.dims.n_layers + 1);
    for (size_t l = 0; l + 1 < t.dims.n_layers; l++) {
        char pre[48], post[48];
        snprintf(pre, sizeof pre, "resid_pre.%zu", l + 1);
        snprintf(post, sizeof post, "resid_post.%zu", l);
        assert_same(&t, pre, post);
        snprintf(pre, sizeof pre, "grad.resid_pre.%zu", l + 1);
        snprintf(post, sizeof post, "grad.resid_post.%zu", l);
        assert_same(&t, pre, post);
    }
    end(&t);
}

static void the_stream_grows_by_attention_and_mlp(void **state)
{
    (void)state;
    trace t = run((1u << TL_SITE_COUNT) - 1, true);
    for (size_t l = 0; l < t.dims.n_layers; l++) {
        static const char *const parts[] = {"resid_pre", "attn_out", "mlp_out",
                                            "resid_post"};
        const float *x[4];
        for (size_t k = 0; k < 4; k++) {
            char name[48];
            snprintf(name, sizeof name, "%s.%zu", parts[k], l);
            const tl_tensor *tensor = get(&t, name);
            assert_int_equal(tl_tensor_count(tensor), N_POS * t.dims.d_model);
            x[k] = tensor->data;
        }
        /* Measured 2e-7: two roundings of numbers around 1. */
        for (size_t i = 0; i < N_POS * t.dims.d_model; i++)
            assert_close("resid_post", i, x[3][i], x[0][i] + x[1][i] + x[2][i], 2e-6);
    }
    end(&t);
}

static double logit_diff(const trace *t)
{
    tl_error err = {0};
    tl_pass *pass = NULL;
    double out = 0.0;
    const tl_pass_prompt prompt = {.input = t->input};
    MUST(tl_pass_create(t->model, &pass, &err));
    MUST(tl_pass_forward(pass, &prompt, 1, NULL, &err));
    MUST(tl_pass_logit_diff(pass, 0, answer, counter_answer, &out, &err));
    tl_pass_destroy(pass);
    return out;
}

/* Along the gradient the logit difference grows as fast as the gradient is long. */
static void the_first_gradient_is_that_of_the_input(void **state)
{
    (void)state;
    trace t = run(TL_SITE_BIT(TL_SITE_RESID_PRE), true);
    const size_t n = N_POS * t.dims.d_model;
    const float *gradient = get(&t, "grad.resid_pre.0")->data;
    const double step = 1e-2;
    double square = 0.0, found = 0.0;
    for (size_t i = 0; i < n; i++)
        square += (double)gradient[i] * (double)gradient[i];
    const double length = sqrt(square);
    assert_true(length > 0.01);
    for (int sign = 1; sign >= -1; sign -= 2) {
        trace moved = t;
        float *embeds = tl_arena_alloc(t.arena, n, sizeof *embeds);
        assert_non_null(embeds);
        for (size_t i = 0; i < n; i++)
            embeds[i] =
                t.embeds[i] + (float)(sign * step * (double)gradient[i] / length);
        moved.input.embeds = embeds;
        found += sign * logit_diff(&moved) / (2.0 * step);
    }
    if (!(fabs(found - length) <= 1e-3 * length))
        fail_msg("%.9g along a gradient of length %.9g", found, length);
    end(&t);
}

static void an_allocation_that_fails_names_the_site(void **state)
{
    (void)state;
    tl_error err = {0};
    tl_capture capture = {0};
    tl_model *model = NULL;
    tl_arena *arena = tl_arena_create();
    MUST(tl_model_open(CHECKPOINT, NULL, &model, &err));
    const size_t live = tl_alloc_live();
    tl_alloc_fail_at(1);
    assert_int_equal(
        tl_capture_init(&capture, model, arena,
                        TL_SITE_BIT(TL_SITE_Z) | TL_SITE_BIT(TL_SITE_MLP_POST), N_POS,
                        false, &err),
        TL_ERR_NO_MEMORY);
    tl_alloc_fail_at(-1);
    assert_non_null(strstr(err.text, "keeping mlp_post of 7 positions"));
    assert_int_equal(tl_alloc_live(), live);
    tl_model_close(model);
    tl_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_say_site_layer_and_gradient),
        cmocka_unit_test(a_layer_takes_up_what_the_one_before_it_left),
        cmocka_unit_test(the_stream_grows_by_attention_and_mlp),
        cmocka_unit_test(the_first_gradient_is_that_of_the_input),
        cmocka_unit_test(an_allocation_that_fails_names_the_site),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
