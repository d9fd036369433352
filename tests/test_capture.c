/* SPDX-License-Identifier: MIT
 *
 * test_capture.c - what a capture keeps of a pass, under which names and in which
 * shapes; its copies against what must be equal in any decoder.
 */
#include "testing.h"

#include "trace/capture.h"
#include "twinlens/alloc.h"
#include "twinlens/pass.h"

#define CHECKPOINT TWINLENS_SOURCE_DIR "/tests/data/qwen2vl-tiny/checkpoint"

enum { N_POS = 7 };

#define MUST(call)                                                                     \
    do {                                                                               \
        if ((call) != TL_OK)                                                           \
            fail_msg("%s", err.text);                                                  \
    } while (0)

static const tl_dims small = {.n_layers = 2,
                              .d_model = 6,
                              .n_heads = 2,
                              .n_kv_heads = 1,
                              .d_head = 3,
                              .d_mlp = 4};

static const tl_tensor *find(const tl_named_tensor *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i].tensor;
    return NULL;
}

static void announce(const tl_tap *tap, tl_site site, bool backward, size_t layer,
                     size_t width, float *values)
{
    const tl_tap_event event = {.site = site,
                                .backward = backward,
                                .layer = layer,
                                .n_pos = 2,
                                .width = width,
                                .values = values};
    tl_error err = {0};
    MUST(tap->on_site(tap->user, &event, &err));
}

static void names_say_site_layer_and_gradient(void **state)
{
    (void)state;
    tl_arena *arena = tl_arena_create();
    tl_error err = {0};
    tl_capture capture;
    MUST(tl_capture_init(&capture, arena, &small, TL_SITE_BIT(TL_SITE_Z), &err));
    const tl_tap tap = tl_capture_tap(&capture);
    assert_int_equal(tap.sites, TL_SITE_BIT(TL_SITE_Z));
    float values[12] = {1, 2, 3};
    announce(&tap, TL_SITE_Z, false, 1, 6, values);
    announce(&tap, TL_SITE_MLP_POST, true, 0, 4, values);
    announce(&tap, TL_SITE_RESID_PRE, true, 0, 6, values);
    announce(&tap, TL_SITE_RESID_PRE, true, 1, 6, values);
    tl_named_tensor *list = NULL;
    size_t n = 0;
    MUST(tl_capture_tensors(&capture, &list, &n, &err));
    assert_int_equal(n, 4);
    const tl_tensor *z = find(list, n, "z.1");
    assert_non_null(z);
    assert_int_equal(z->n_dims, 3);
    assert_int_equal(z->dims[0], 2);
    assert_int_equal(z->dims[1], 2);
    assert_int_equal(z->dims[2], 3);
    const tl_tensor *neurons = find(list, n, "grad.mlp_post.0");
    assert_non_null(neurons);
    assert_int_equal(neurons->n_dims, 2);
    assert_int_equal(neurons->dims[1], 4);
    assert_non_null(find(list, n, "grad.embed"));
    assert_non_null(find(list, n, "grad.resid_pre.1"));
    tl_arena_destroy(arena);
}

/* One pass and back over a prompt of random embeddings. */
static tl_named_tensor *run(uint32_t sites, size_t memory_budget, tl_arena *arena,
                            tl_dims *dims, size_t *n)
{
    tl_error err = {0};
    tl_model *model = NULL;
    tl_pass *pass = NULL;
    tl_capture capture;
    const tl_model_options options = {.backend = "ref"};
    MUST(tl_model_open(CHECKPOINT, &options, &model, &err));
    *dims = *tl_model_dims(model);
    float *embeds = tl_arena_alloc(arena, N_POS * dims->d_model, sizeof *embeds);
    int32_t *positions = tl_arena_alloc(arena, 3 * N_POS, sizeof *positions);
    bool *is_image = tl_arena_alloc_zero(arena, N_POS, sizeof *is_image);
    assert_true(embeds != NULL && positions != NULL && is_image != NULL);
    uint32_t seed = 7;
    for (size_t i = 0; i < N_POS * dims->d_model; i++)
        embeds[i] = test_uniform(&seed);
    for (size_t i = 0; i < 3 * N_POS; i++)
        positions[i] = (int32_t)(i % N_POS);
    const tl_pass_prompt prompt = {.input = {.n_pos = N_POS,
                                             .embeds = embeds,
                                             .positions = positions,
                                             .is_image = is_image}};
    MUST(tl_capture_init(&capture, arena, dims, sites, &err));
    const tl_tap tap = tl_capture_tap(&capture);
    const tl_pass_options pass_options = {.taps = &tap,
                                          .n_taps = 1,
                                          .for_backward = true,
                                          .memory_budget = memory_budget};
    const int32_t a = 1, b = 2;
    MUST(tl_pass_create(model, &pass, &err));
    MUST(tl_pass_forward(pass, &prompt, 1, &pass_options, &err));
    MUST(tl_pass_backward(pass, &a, &b, &err));
    tl_pass_destroy(pass);
    tl_model_close(model);
    tl_named_tensor *list = NULL;
    MUST(tl_capture_tensors(&capture, &list, n, &err));
    return list;
}

static void assert_same(const tl_named_tensor *list, size_t n, const char *one,
                        const char *other)
{
    const tl_tensor *a = find(list, n, one), *b = find(list, n, other);
    if (a == NULL || b == NULL)
        fail_msg("no %s or no %s", one, other);
    assert_int_equal(tl_tensor_count(a), tl_tensor_count(b));
    if (memcmp(a->data, b->data, tl_tensor_count(a) * sizeof(float)) != 0)
        fail_msg("%s is not %s", one, other);
}

static void a_layer_takes_up_what_the_one_before_it_left(void **state)
{
    (void)state;
    tl_arena *arena = tl_arena_create();
    tl_dims dims;
    size_t n = 0;
    tl_named_tensor *list =
        run(TL_SITE_BIT(TL_SITE_RESID_PRE) | TL_SITE_BIT(TL_SITE_RESID_POST), 0, arena,
            &dims, &n);
    assert_int_equal(n, 4 * dims.n_layers);
    for (size_t l = 0; l + 1 < dims.n_layers; l++) {
        char pre[48], post[48];
        snprintf(pre, sizeof pre, "resid_pre.%zu", l + 1);
        snprintf(post, sizeof post, "resid_post.%zu", l);
        assert_same(list, n, pre, post);
        snprintf(pre, sizeof pre, "grad.resid_pre.%zu", l + 1);
        snprintf(post, sizeof post, "grad.resid_post.%zu", l);
        assert_same(list, n, pre, post);
    }
    tl_arena_destroy(arena);
}

static void the_stream_grows_by_attention_and_mlp(void **state)
{
    (void)state;
    tl_arena *arena = tl_arena_create();
    tl_dims dims;
    size_t n = 0;
    tl_named_tensor *list = run((1u << TL_SITE_COUNT) - 1, 0, arena, &dims, &n);
    for (size_t l = 0; l < dims.n_layers; l++) {
        static const char *const parts[] = {"resid_pre", "attn_out", "mlp_out",
                                            "resid_post"};
        const float *x[4];
        for (size_t k = 0; k < 4; k++) {
            char name[48];
            snprintf(name, sizeof name, "%s.%zu", parts[k], l);
            const tl_tensor *t = find(list, n, name);
            assert_non_null(t);
            assert_int_equal(tl_tensor_count(t), N_POS * dims.d_model);
            x[k] = t->data;
        }
        /* Measured 2e-7: two roundings of numbers around 1. */
        for (size_t i = 0; i < N_POS * dims.d_model; i++)
            assert_close("resid_post", i, x[3][i], x[0][i] + x[1][i] + x[2][i], 2e-6);
    }
    tl_arena_destroy(arena);
}

static void an_allocation_that_fails_names_the_site(void **state)
{
    (void)state;
    tl_error err = {0};
    tl_capture capture;
    tl_arena *arena = tl_arena_create();
    MUST(tl_capture_init(&capture, arena, &small, TL_SITE_BIT(TL_SITE_Z), &err));
    const tl_tap tap = tl_capture_tap(&capture);
    enum { N_LARGE = 1 << 22 }; /* more than a chunk of the arena has left */
    float *values = tl_alloc_zero(N_LARGE, sizeof *values);
    assert_non_null(values);
    const tl_tap_event event = {
        .site = TL_SITE_MLP_POST, .n_pos = 1, .width = N_LARGE, .values = values};
    tl_alloc_fail_at(0);
    assert_int_equal(tap.on_site(tap.user, &event, &err), TL_ERR_NO_MEMORY);
    tl_alloc_fail_at(-1);
    assert_string_equal(err.text, "no memory to keep mlp_post.0");
    tl_free(values);
    tl_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_say_site_layer_and_gradient),
        cmocka_unit_test(a_layer_takes_up_what_the_one_before_it_left),
        cmocka_unit_test(the_stream_grows_by_attention_and_mlp),
        cmocka_unit_test(an_allocation_that_fails_names_the_site),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
