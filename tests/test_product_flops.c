/*
 * test_product_flops.c - the multiply-adds that the backend counts are those that a pass is
 * said to make, in every family, forward and back, whatever is left out or made again.
 */
#include "testing.h"

#include <string.h>

#include "twinlens/pass.h"

enum { PROMPTS = 2, LONGEST = 19, PREFIX = 6 };
static const size_t lengths[PROMPTS] = {13, LONGEST};

#define DATA TWINLENS_SOURCE_DIR "/tests/data/"
static const char *const folders[] = {
    DATA "qwen2vl-tiny/checkpoint", DATA "families/qwen2_5_vl",
    DATA "families/pixtral",        DATA "families/gemma3",
    DATA "families/llava",          DATA "families/paligemma",
    DATA "families/paligemma2",     DATA "families/internvl",
    DATA "families/internvl3_5"};
enum { FOLDERS = sizeof folders / sizeof *folders };

static const tl_pass_options ways[] = {
    {.for_backward = false},
    {.last_only = true},
    {.first_layer = 1},
    {.for_backward = true},
    {.for_backward = true, .last_only = true},
    {.for_backward = true, .first_layer = 1},
    {.for_backward = true, .backward_rule = TL_BACKWARD_RELEVANCE},
    {.for_backward = true, .last_only = true, .backward_rule = TL_BACKWARD_RELEVANCE},
};
enum { WAYS = sizeof ways / sizeof *ways };

typedef struct fixture {
    tl_model *model;
    tl_arena *arena;
    const tl_dims *dims;
    tl_pass *pass;
    tl_pass_prompt prompts[PROMPTS];
    tl_prefix prefixes[PROMPTS];
} fixture;

/* Any numbers make an input. */
static tl_input make_input(const fixture *f, size_t n_pos)
{
    uint32_t seed = 3u;
    const size_t count = n_pos * f->dims->d_model;
    float *embeds = tl_arena_alloc(f->arena, count, sizeof *embeds);
    int32_t *positions = tl_arena_alloc(f->arena, 3 * n_pos, sizeof *positions);
    bool *is_image = tl_arena_alloc_zero(f->arena, n_pos, sizeof *is_image);
    assert_true(embeds != NULL && positions != NULL && is_image != NULL);
    for (size_t i = 0; i < count; i++)
        embeds[i] = test_uniform(&seed);
    for (size_t i = 0; i < 3 * n_pos; i++)
        positions[i] = (int32_t)(i % n_pos);
    return (tl_input){
        .n_pos = n_pos, .embeds = embeds, .positions = positions, .is_image = is_image};
}

static void setup(fixture *f, const char *folder, const char *backend)
{
    *f = (fixture){.arena = tl_arena_create()};
    tl_error err = {0};
    const tl_model_options options = {.backend = backend, .n_threads = 1};
    if (tl_model_open(folder, &options, &f->model, &err) != TL_OK ||
        tl_pass_create(f->model, &f->pass, &err) != TL_OK)
        fail_msg("%s", err.text);
    f->dims = tl_model_dims(f->model);
    for (size_t p = 0; p < PROMPTS; p++) {
        const size_t n = tl_prefix_count(f->dims, PREFIX);
        f->prefixes[p] = (tl_prefix){PREFIX, tl_arena_alloc(f->arena, n, sizeof(float)),
                                     tl_arena_alloc(f->arena, n, sizeof(float))};
        f->prompts[p] = (tl_pass_prompt){.input = make_input(f, lengths[p]),
                                         .collect = &f->prefixes[p]};
    }
}

static void teardown(fixture *f)
{
    tl_pass_destroy(f->pass);
    tl_model_close(f->model);
    tl_arena_destroy(f->arena);
}

/* What the counter grows by in one pass. */
static uint64_t counted(fixture *f, const tl_pass_options *options)
{
    const int32_t a[PROMPTS] = {1, 2}, b[PROMPTS] = {3, 4};
    tl_error err = {0};
    const uint64_t before = tl_model_product_flops(f->model);
    if (tl_pass_forward(f->pass, f->prompts, PROMPTS, options, &err) != TL_OK ||
        (options->for_backward && tl_pass_backward(f->pass, a, b, &err) != TL_OK))
        fail_msg("%s", err.text);
    return tl_model_product_flops(f->model) - before;
}

static uint64_t predicted(const fixture *f, const tl_pass_options *options)
{
    const size_t n_prefix[PROMPTS] = {PREFIX, PREFIX};
    const bool prefix = f->prompts[0].prefix != NULL;
    uint64_t flops = 0;
    tl_error err = {0};
    if (tl_pass_flops(f->model, lengths, prefix ? n_prefix : NULL, PROMPTS, options,
                      &flops, &err) != TL_OK)
        fail_msg("%s", err.text);
    return flops;
}

static void check(fixture *f, const char *what, const tl_pass_options *options)
{
    const uint64_t got = counted(f, options), want = predicted(f, options);
    if (got != want || got == 0)
        fail_msg("%s, %s: %llu operations were counted, %llu predicted",
                 tl_model_family(f->model), what, (unsigned long long)got,
                 (unsigned long long)want);
}

/* Less and less is kept for the way back, down to no layer: more and more is made again. */
static void check_budgets(fixture *f, const tl_pass_options *way)
{
    tl_pass_options options = *way;
    const uint64_t all_kept = predicted(f, way);
    uint64_t last = all_kept;
    size_t bytes = 0, n_budgets = 0;
    assert_int_equal(
        tl_pass_bytes(f->model, lengths, NULL, PROMPTS, &options, &bytes, NULL), TL_OK);
    for (options.memory_budget = bytes - 1;
         tl_pass_bytes(f->model, lengths, NULL, PROMPTS, &options, &bytes, NULL) ==
         TL_OK;
         options.memory_budget = bytes - 1) {
        check(f, "within a budget", &options);
        assert_true(predicted(f, &options) >= last);
        last = predicted(f, &options);
        n_budgets++;
    }
    assert_true(n_budgets + 1 >= f->dims->n_layers && last > all_kept);
}

static void every_pass_makes_the_products_that_it_is_said_to(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < FOLDERS; i++)
        for (size_t k = 0; k < 2; k++) {
            fixture f;
            setup(&f, folders[i], k == 0 ? "ref" : NULL);
            for (size_t w = 0; w < WAYS; w++)
                check(&f, "whole", &ways[w]);
            for (size_t w = 0; w < WAYS && k == 1; w++)
                if (ways[w].for_backward && ways[w].first_layer == 0)
                    check_budgets(&f, &ways[w]);
            check(&f, "to collect", &ways[0]);
            for (size_t p = 0; p < PROMPTS; p++) {
                f.prompts[p].prefix = &f.prefixes[p];
                f.prompts[p].collect = NULL;
            }
            for (size_t w = 0; w < WAYS; w++)
                if (ways[w].first_layer == 0)
                    check(&f, "behind a prefix", &ways[w]);
            teardown(&f);
        }
}

/* q, k, v, o, gate, up and down of each layer, at each position; there and back. */
static void products_are_those_of_seven_weights_a_layer(void **unused)
{
    (void)unused;
    fixture f;
    setup(&f, folders[0], "ref");
    const tl_dims *d = f.dims;
    const uint64_t layer = d->d_model * (2 * d->n_heads * d->d_head +
                                         2 * d->n_kv_heads * d->d_head + 3 * d->d_mlp),
                   forward = 2 * d->n_layers * layer * (lengths[0] + lengths[1]);
    assert_true(counted(&f, &ways[0]) == forward);
    assert_true(counted(&f, &ways[3]) == 2 * forward);
    const uint64_t scores = 2 * d->n_layers * d->d_model *
                            (d->n_heads + d->n_kv_heads) * d->d_head *
                            (lengths[0] + lengths[1]);
    assert_true(counted(&f, &ways[6]) == 2 * forward - scores);
    teardown(&f);
}

/* All logits are a product, those of a few tokens are not. */
static void logits_of_all_tokens_are_counted(void **unused)
{
    (void)unused;
    fixture f;
    setup(&f, folders[0], "ref");
    double ld = 0.0;
    float *logits = tl_arena_alloc(f.arena, LONGEST * f.dims->n_vocab, sizeof *logits);
    counted(&f, &ways[0]);
    const uint64_t before = tl_model_product_flops(f.model);
    assert_int_equal(tl_pass_logit_diff(f.pass, 1, 1, 2, &ld, NULL), TL_OK);
    assert_true(tl_model_product_flops(f.model) == before);
    assert_int_equal(tl_pass_logits_all(f.pass, 1, logits, NULL), TL_OK);
    assert_true(tl_model_product_flops(f.model) - before ==
                2 * LONGEST * f.dims->n_vocab * f.dims->d_model);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pass_makes_the_products_that_it_is_said_to),
        cmocka_unit_test(products_are_those_of_seven_weights_a_layer),
        cmocka_unit_test(logits_of_all_tokens_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
