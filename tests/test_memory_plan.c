/* SPDX-License-Identifier: MIT
 *
 * test_memory_plan.c - what `predict` takes, against arithmetic on the files of small
 * models and the formulas of a large one, and against what the allocator counts.
 */
#include "random_inputs.h"

#include "backend/backends.h"
#include "model/memory_plan.h"
#include "model/model_parts.h"
#include "twinlens/alloc.h"
#include "vision/vision.h"

#define GEMMA TWINLENS_SOURCE_DIR "/tests/data/families/gemma3"

/* The tiny checkpoint, by its config.json. */
enum {
    D_MODEL = 48,
    D_MLP = 80,
    HEADS = 6,
    KV_HEADS = 2,
    D_HEAD = 8,
    VOCAB = 640,
    TOWER_WIDTH = 32,
    MERGED = 128, /* four patches of it */
    THREADS = 2,
};

static const char *const backends[] = {"ref", NULL};

static tl_model *open_model(const char *folder, const char *backend)
{
    const tl_model_options options = {.backend = backend, .n_threads = THREADS};
    tl_model *model = NULL;
    tl_error err = {0};
    if (tl_model_open(folder, &options, &model, &err) != TL_OK)
        fail_msg("%s", err.text);
    return model;
}

static tl_memory_plan plan(const tl_model *model, size_t n_pos, size_t n_prompts,
                           const tl_pixels *pixels)
{
    tl_memory_plan p = {0};
    tl_error err = {0};
    if (tl_memory_plan_make(model, THREADS, n_pos, n_prompts, pixels, &p, &err) !=
        TL_OK)
        fail_msg("%s", err.text);
    return p;
}

/* Of an image of side x side patches, for the tiny checkpoint. */
static tl_pixels pixels_of(size_t side)
{
    return (tl_pixels){.n_dims = 2,
                       .dims = {side * side, TINY_PATCH_VALUES},
                       .grid_t = 1,
                       .grid_h = side,
                       .grid_w = side,
                       .n_tokens = side / 2 * (side / 2),
                       .n_views = 1,
                       .views = {{side / 2, side / 2}}};
}

/* ---- weights --------------------------------------------------------------------- */

/* Values of the tensors whose names begin like this and have no `but` in them. */
static size_t count_values(const char *folder, const char *begin, const char *but)
{
    tl_safetensors *file = NULL;
    size_t n = 0;
    assert_int_equal(tl_safetensors_open(folder, &file, NULL), TL_OK);
    for (size_t i = 0; i < tl_safetensors_count(file); i++) {
        const char *name = tl_safetensors_name(file, i);
        const tl_tensor *tensor = tl_safetensors_at(file, i);
        if (strncmp(name, begin, strlen(begin)) != 0 || strstr(name, but) != NULL)
            continue;
        assert_int_equal(tensor->dtype, TL_BF16);
        size_t values = 1;
        for (size_t k = 0; k < tensor->n_dims; k++)
            values *= tensor->dims[k];
        n += values;
    }
    tl_safetensors_close(file);
    assert_true(n > 0);
    return n;
}

static void expect_weights(const tl_memory_plan *p, size_t read, size_t converted)
{
    assert_int_equal(p->weights, 2 * read);
    assert_int_equal(p->cache, 4 * converted);
}

static void weights_are_the_tensors_that_are_read(void **unused)
{
    (void)unused;
    const tl_pixels pixels = pixels_of(4);
    tl_model *model = open_tiny(NULL);
    const size_t head = count_values(tiny_checkpoint, "lm_head", "?"),
                 layers = count_values(tiny_checkpoint, "model.", "embed_tokens"),
                 tower = count_values(tiny_checkpoint, "visual.", "?");
    assert_int_equal(head, VOCAB * D_MODEL);
    tl_memory_plan p = plan(model, 9, 1, NULL);
    expect_weights(&p, head + layers, head + layers);
    p = plan(model, 9, 1, &pixels);
    expect_weights(&p, head + layers + tower, head + layers + tower);
    tl_model_close(model);

    /* A head that is the embeddings is read, and not counted as one that is converted. */
    model = open_model(GEMMA, NULL);
    const size_t embeddings =
                     count_values(GEMMA, "language_model.model.embed_tokens", "?"),
                 others = count_values(GEMMA, "language_model.", "embed_tokens");
    p = plan(model, 9, 1, NULL);
    expect_weights(&p, embeddings + others, others);
    tl_model_close(model);
}

/* Qwen2-VL-7B by its configuration: more than the cache has room for. */
static void a_large_model_is_not_converted_whole(void **unused)
{
    (void)unused;
    enum { L = 28, D = 3584, M = 18944, Q = 28 * 128, K = 4 * 128, V = 152064 };
    static const char config[] =
        "{\"model_type\": \"qwen2_vl\", \"hidden_size\": 3584, \"num_hidden_layers\": "
        "28,"
        "\"num_attention_heads\": 28, \"num_key_value_heads\": 4,"
        "\"intermediate_size\": 18944, \"vocab_size\": 152064, \"rms_norm_eps\": 1e-6,"
        "\"rope_scaling\": {\"type\": \"mrope\", \"mrope_section\": [16, 24, 24]},"
        "\"vision_config\": {\"in_chans\": 3, \"hidden_size\": 3584}}";
    const size_t layer = (size_t)D * (Q + 1) + 2 * (size_t)D * K + Q + 2 * (size_t)K +
                         (size_t)Q * D + 3 * (size_t)D * M + D;
    const size_t all = L * layer + (size_t)V * D + D;
    const test_folder folder = test_folder_create();
    test_file(&folder, "config.json", config, sizeof config - 1);
    tl_model *model = NULL;
    tl_error err = {0};
    if (tl_model_open_bare(folder.path, &(tl_model_options){.backend = "ref"}, &model,
                           &err) != TL_OK)
        fail_msg("%s", err.text);
    const tl_memory_plan p = plan(model, 300, 4, NULL);
    assert_int_equal(p.weights, 2 * all);
    assert_int_equal(p.cache, 0); /* this backend keeps none */
    assert_int_equal(p.inputs, 4 * (4 * (size_t)300 * D + V));
    tl_model_close(model);
    if (strcmp(tl_backend_default(), "cpu") == 0) {
        if (tl_model_open_bare(folder.path, &(tl_model_options){.backend = "cpu"},
                               &model, &err) != TL_OK)
            fail_msg("%s", err.text);
        assert_int_equal(plan(model, 300, 4, NULL).cache, 64 << 20);
        tl_model_close(model);
    }
    test_folder_remove(folder.path);
}

/* ---- what is computed with ------------------------------------------------------- */

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t scratch(const tl_backend *b, const tl_attention *shape, size_t n_prompts,
                      size_t n_rows)
{
    tl_attention_prompt prompts[8] = {{0}};
    assert_in_range(n_prompts, 1, 8);
    for (size_t i = 0; i < n_prompts; i++)
        prompts[i] = (tl_attention_prompt){.q_row = i * n_rows,
                                           .n_query = n_rows,
                                           .k_row = i * n_rows,
                                           .n_key = n_rows};
    return b->attention_bytes(b, shape, n_prompts, prompts, false);
}

/* Each part by itself, and the sum of them: the tower and the decoder work one after the
 * other, and share what attention works with. */
static void the_peak_is_the_sum_of_what_is_there_at_a_time(void **unused)
{
    (void)unused;
    /* Long prompts with small images, short ones with large images, and text. */
    static const struct {
        size_t n_pos, n_prompts, side;
    } cases[] = {{300, 4, 4}, {70, 1, 16}, {9, 1, 0}, {40, 8, 0}, {20, 2, 8}};
    static const tl_attention decoder = {.n_heads = HEADS,
                                         .n_kv_heads = KV_HEADS,
                                         .d_head = D_HEAD,
                                         .causal = true},
                              tower = {.n_heads = 2, .n_kv_heads = 2, .d_head = 16};
    size_t n_tower = 0, n_pass = 0, n_scratch = 0;
    for (size_t run = 0; run < 2 * sizeof cases / sizeof *cases; run++) {
        const size_t n_pos = cases[run / 2].n_pos, n = cases[run / 2].n_prompts,
                     side = cases[run / 2].side, rows = side * side;
        tl_model *model = open_model(tiny_checkpoint, backends[run % 2]);
        const char *name =
            backends[run % 2] != NULL ? backends[run % 2] : tl_backend_default();
        const tl_pixels pixels = pixels_of(side);
        tl_backend *b = NULL;
        assert_int_equal(tl_backend_create(name, THREADS, 0, &b, NULL), TL_OK);
        const tl_memory_plan p = plan(model, n_pos, n, side > 0 ? &pixels : NULL);
        const size_t of_pass = scratch(b, &decoder, n, n_pos),
                     of_tower = side > 0 ? scratch(b, &tower, 1, rows) : 0;
        size_t vision = 0;
        if (side > 0)
            assert_int_equal(tl_model_vision_bytes(model, &pixels, &vision, NULL),
                             TL_OK);
        const size_t widest = side > 0 ? MERGED : D_MLP;
        assert_int_equal(
            p.products, tl_backend_scratch_bytes(name, THREADS, widest, widest, false));
        assert_int_equal(
            p.inputs, 4 * (n * (n_pos * D_MODEL + rows * TINY_PATCH_VALUES) + VOCAB));
        assert_int_equal(p.vision, vision);
        assert_int_equal(p.attention, larger(of_pass, of_tower));
        assert_int_equal(p.peak, p.weights + p.cache + p.products + p.inputs +
                                     p.process + p.attention +
                                     larger(vision - of_tower, p.forward - of_pass));
        n_tower += vision - of_tower > p.forward - of_pass;
        n_pass += side > 0 && vision - of_tower < p.forward - of_pass;
        n_scratch += of_tower > of_pass && of_pass > 0;
        tl_backend_destroy(b);
        tl_model_close(model);
    }
    assert_true(n_tower > 0 && n_pass > 0); /* both kinds were there */
    assert_true(n_scratch > 0 || tl_backend_default()[0] == 'r');
}

/* The pass itself, and an arena over each of its two pieces, are beside the plan. */
static void a_forward_pass_takes_what_the_plan_says(void **unused)
{
    (void)unused;
    enum { T = 33, N = 3, SMALL = 4096 + TEST_GAPS };
    for (size_t run = 0; run < 2; run++) {
        tl_model *model = open_model(tiny_checkpoint, backends[run]);
        tl_arena *arena = tl_arena_create();
        tl_pass_prompt prompts[N];
        for (uint32_t i = 0; i < N; i++)
            prompts[i] =
                (tl_pass_prompt){.input = random_input(model, arena, T, 1, 0, i)};
        const tl_memory_plan p = plan(model, T, N, NULL);
        const tl_pass_options options = {.last_only = true};
        size_t took = 0, with_all = 0;
        for (size_t time = 0; time < 2; time++) { /* the first fills caches */
            tl_pass *pass = NULL;
            tl_error err = {0};
            tl_alloc_reset_peak();
            const size_t before = tl_alloc_bytes();
            if (tl_pass_create(model, &pass, &err) != TL_OK ||
                tl_pass_forward(pass, prompts, N, &options, &err) != TL_OK)
                fail_msg("%s", err.text);
            took = tl_alloc_peak_bytes() - before;
            tl_pass_destroy(pass);
        }
        if (took < p.forward || took > p.forward + SMALL)
            fail_msg("%zu bytes are planned, %zu were taken", p.forward, took);
        const tl_pass_options all = {.for_backward = true};
        assert_int_equal(tl_memory_plan_pass(model, T, N, &all, &with_all, NULL),
                         TL_OK);
        assert_true(with_all > 2 * p.forward);
        tl_arena_destroy(arena);
        tl_model_close(model);
    }
}

static void the_process_is_what_the_system_says(void **unused)
{
    (void)unused;
    tl_model *model = open_tiny(NULL);
    char line[128];
    unsigned long long kib = 0;
    const tl_memory_plan p = plan(model, 9, 1, NULL);
    FILE *file = fopen("/proc/self/status", "r");
    if (file == NULL)
        skip();
    while (kib == 0 && fgets(line, sizeof line, file) != NULL)
        sscanf(line, "VmRSS: %llu kB", &kib);
    fclose(file);
    assert_close("MiB of the process", 0, (double)p.process / (1 << 20),
                 (double)kib / 1024, 0.5);
    tl_model_close(model);
}

/* ---- what cannot be planned ------------------------------------------------------ */

static void what_cannot_be_planned_is_told(void **unused)
{
    (void)unused;
    tl_model *model = open_tiny(NULL);
    const tl_pixels pixels = pixels_of(4);
    tl_pixels odd = pixels;
    tl_memory_plan p = {.peak = 7};
    tl_error err = {0};
    bool hit = true;
    odd.dims[1]++;
    assert_int_equal(tl_memory_plan_make(model, 1, 9, 1, &odd, &p, &err), TL_ERR_DATA);
    for (long long n = 0; hit; n++) {
        assert_int_equal(p.peak, 7);
        tl_alloc_fail_at(n);
        const tl_status status = tl_memory_plan_make(model, 1, 9, 3, &pixels, &p, &err);
        hit = tl_alloc_fault_hit() != 0;
        tl_alloc_fail_at(-1);
        assert_int_equal(status, hit ? TL_ERR_NO_MEMORY : TL_OK);
    }
    tl_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_the_tensors_that_are_read),
        cmocka_unit_test(a_large_model_is_not_converted_whole),
        cmocka_unit_test(the_peak_is_the_sum_of_what_is_there_at_a_time),
        cmocka_unit_test(a_forward_pass_takes_what_the_plan_says),
        cmocka_unit_test(the_process_is_what_the_system_says),
        cmocka_unit_test(what_cannot_be_planned_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
