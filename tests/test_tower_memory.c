/*
 * test_tower_memory.c - the vision tower of every family: what it takes for an image is
 * what tl_vision_bytes says, and a lack of it is told.
 */
#include "testing.h"

#include "backend/backends.h"
#include "base/alloc_test.h"
#include "model/weights.h"
#include "twinlens/alloc.h"
#include "twinlens/processor.h"
#include "vision/tower.h"
#include "vision/vision.h"

static const char *const models[] = {
    TWINLENS_SOURCE_DIR "/tests/data/qwen2vl-tiny/checkpoint",
    TWINLENS_SOURCE_DIR "/tests/data/families/qwen2_5_vl",
    TWINLENS_SOURCE_DIR "/tests/data/families/internvl",
    TWINLENS_SOURCE_DIR "/tests/data/families/internvl3_5",
    TWINLENS_SOURCE_DIR "/tests/data/families/idefics3",
    TWINLENS_SOURCE_DIR "/tests/data/families/smolvlm",
    TWINLENS_SOURCE_DIR "/tests/data/families/gemma3",
    TWINLENS_SOURCE_DIR "/tests/data/families/paligemma",
    TWINLENS_SOURCE_DIR "/tests/data/families/llava_next",
    TWINLENS_SOURCE_DIR "/tests/data/families/llava_onevision",
    TWINLENS_SOURCE_DIR "/tests/data/families/llava",
    TWINLENS_SOURCE_DIR "/tests/data/families/pixtral",
};
enum { MODELS = sizeof models / sizeof *models, WIDTH = 168, HEIGHT = 112 };

/* One model's tower with an image for it. */
typedef struct opened {
    tl_arena *arena;
    tl_safetensors *file;
    tl_spec spec;
    tl_weights weights;
    tl_pixels pixels;
    tl_backend *backend;
} opened;

static void must(tl_status status, const tl_error *err)
{
    if (status != TL_OK)
        fail_msg("%s", err->text);
}

static opened open_tower(const char *folder, const char *backend, size_t n_threads)
{
    tl_error err = {0};
    opened o = {.arena = tl_arena_create()};
    size_t n_tokens = 0, n_values = 1;
    must(tl_spec_read(folder, &o.spec, &err), &err);
    must(tl_safetensors_open(folder, &o.file, &err), &err);
    o.spec.tied_head = tl_weights_tie_head(&o.spec, o.file);
    must(tl_weights_find(&o.spec, o.file, o.arena, &o.weights, &err), &err);
    must(tl_processor_measure(folder, WIDTH, HEIGHT, o.arena, &o.pixels, &n_tokens,
                              &err),
         &err);
    for (size_t i = 0; i < o.pixels.n_dims; i++)
        n_values *= o.pixels.dims[i];
    float *values = tl_arena_alloc(o.arena, n_values, sizeof *values);
    uint32_t seed = 5u;
    for (size_t i = 0; i < n_values; i++)
        values[i] = test_uniform(&seed);
    o.pixels.values = values;
    must(tl_backend_create(backend, n_threads, 0, &o.backend, &err), &err);
    return o;
}

static void close_tower(opened *o)
{
    tl_backend_destroy(o->backend);
    tl_safetensors_close(o->file);
    tl_arena_destroy(o->arena);
}

/* Into memory of the test, so that what is allocated is what the tower takes. */
static tl_status run(const opened *o, void *memory, size_t bytes, float **features,
                     size_t *count, tl_error *err)
{
    tl_arena *arena = tl_arena_create_over(memory, bytes);
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an arena");
    const tl_status status =
        tl_vision_features(o->backend, &o->spec.vision, o->weights.vision, &o->pixels,
                           arena, features, count, err);
    tl_arena_destroy(arena);
    return status;
}

enum { FEATURE_BYTES = 1 << 22 };
static _Alignas(TL_ALIGN) unsigned char memory[FEATURE_BYTES];

static size_t attention_bytes(const opened *o)
{
    const tl_vision_spec *v = &o->spec.vision;
    const size_t rows = tl_tower_get(v->tower)->rows(v, &o->pixels);
    const tl_attention shape = tl_tower_attention_shape(v);
    const tl_attention_prompt all = {.n_query = rows, .n_key = rows};
    return o->backend->attention_bytes(o->backend, &shape, 1, &all, false);
}

/* The widest side of any matrix. */
static size_t widest(const tl_vision_spec *v)
{
    const size_t patch = v->channels * v->temporal_patch * v->patch * v->patch,
                 merged = v->width * v->merge * v->merge;
    const size_t sides[] = {patch, merged, v->d_mlp, v->d_model, 3 * v->width};
    size_t most = 0;
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
        most = sides[i] > most ? sides[i] : most;
    return most;
}

static void the_plan_of_an_image_is_what_it_takes(void **unused)
{
    (void)unused;
    enum { SMALL = 2048 }; /* arenas themselves, and gaps for sanitizers */
    for (size_t m = 0; m < MODELS; m++)
        for (size_t n_threads = 0; n_threads < 5; n_threads += 2) {
            tl_error err = {0};
            const char *backend = n_threads == 0 ? "ref" : tl_backend_default();
            opened o = open_tower(models[m], backend, n_threads);
            const tl_vision_spec *v = &o.spec.vision;
            float *features = NULL;
            size_t plan = 0, count = 0;
            must(tl_vision_bytes(o.backend, v, &o.pixels, &plan, &err), &err);
            /* The first run also makes what the backend keeps. */
            const size_t empty = tl_alloc_bytes();
            tl_alloc_reset_peak();
            must(run(&o, memory, sizeof memory, &features, &count, &err), &err);
            const size_t products = tl_backend_scratch_bytes(
                backend, n_threads, widest(v), widest(v), false);
            if (tl_alloc_peak_bytes() - empty > plan + products + SMALL)
                fail_msg("%s, %s: %zu bytes are planned and %zu for products, %zu were "
                         "taken",
                         models[m], backend, plan, products,
                         tl_alloc_peak_bytes() - empty);
            const size_t before = tl_alloc_bytes(), blocks = tl_alloc_live();
            tl_alloc_reset_peak();
            must(run(&o, memory, sizeof memory, &features, &count, &err), &err);
            const size_t took = tl_alloc_peak_bytes() - before + attention_bytes(&o) +
                                count * v->d_model * sizeof(float);
            if (took < plan || took > plan + SMALL)
                fail_msg("%s, %s: %zu bytes are planned, %zu were taken", models[m],
                         backend, plan, took);
            assert_int_equal(tl_alloc_live(), blocks);
            close_tower(&o);
        }
}

/* Each request for memory fails once. */
static void a_lack_of_memory_is_told_and_leaves_nothing(void **unused)
{
    (void)unused;
    for (size_t m = 0; m < MODELS; m++) {
        opened o = open_tower(models[m], tl_backend_default(), 2);
        float *features = NULL, *want = NULL;
        size_t count = 0;
        bool hit = true;
        tl_error err = {0};
        must(run(&o, memory, sizeof memory, &want, &count, &err), &err);
        const size_t bytes = count * o.spec.vision.d_model * sizeof(float);
        float *first = tl_arena_alloc(o.arena, bytes, 1);
        memcpy(first, want, bytes);
        const size_t blocks = tl_alloc_live();
        for (long long n = 0; hit; n++) {
            tl_alloc_fail_at(n);
            const tl_status status =
                run(&o, memory, sizeof memory, &features, &count, &err);
            hit = tl_alloc_fault_hit() != 0;
            tl_alloc_fail_at(-1);
            assert_int_equal(status, hit ? TL_ERR_NO_MEMORY : TL_OK);
        }
        assert_memory_equal(features, first, bytes);
        assert_int_equal(tl_alloc_live(), blocks);
        close_tower(&o);
    }
}

/* Tiles are pictures to the tower: the same features, one behind the other, and no more
 * memory to work with. */
static void a_tile_gives_what_a_picture_of_its_own_gives(void **unused)
{
    (void)unused;
    enum { TILES = 3 };
    opened o = open_tower(models[MODELS - 2], tl_backend_default(), 2);
    const tl_pixels one = o.pixels;
    const size_t n_values = one.dims[1] * one.dims[2] * one.dims[3],
                 d_model = o.spec.vision.d_model;
    float *values = tl_arena_alloc(o.arena, TILES * n_values, sizeof *values),
          *features = NULL;
    tl_pixels all = one;
    tl_error err = {0};
    size_t n = 0, count = 0, one_bytes = 0, all_bytes = 0;
    uint64_t one_flops = 0, all_flops = 0;
    uint32_t seed = 6u;
    for (size_t i = 0; i < TILES * n_values; i++)
        values[i] = test_uniform(&seed);
    all.dims[0] = TILES;
    o.pixels = all;
    o.pixels.values = values;
    must(run(&o, memory, sizeof memory, &features, &n, &err), &err);
    float *want = tl_arena_alloc(o.arena, n * d_model, sizeof *want);
    memcpy(want, features, n * d_model * sizeof *want);
    for (size_t i = 0; i < TILES; i++) {
        o.pixels = one;
        o.pixels.values = values + i * n_values;
        must(run(&o, memory, sizeof memory, &features, &count, &err), &err);
        assert_int_equal(TILES * count, n);
        assert_memory_equal(features, want + i * count * d_model,
                            count * d_model * sizeof *want);
    }
    must(tl_vision_bytes(o.backend, &o.spec.vision, &one, &one_bytes, &err), &err);
    must(tl_vision_bytes(o.backend, &o.spec.vision, &all, &all_bytes, &err), &err);
    assert_int_equal(all_bytes - one_bytes, (n - count) * d_model * sizeof(float));
    must(tl_vision_flops(&o.spec.vision, &one, &one_flops, &err), &err);
    must(tl_vision_flops(&o.spec.vision, &all, &all_flops, &err), &err);
    assert_int_equal(all_flops, TILES * one_flops);
    all.dims[0] = 0;
    assert_int_equal(tl_vision_bytes(o.backend, &o.spec.vision, &all, &all_bytes, &err),
                     TL_ERR_DATA);
    close_tower(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_plan_of_an_image_is_what_it_takes),
        cmocka_unit_test(a_lack_of_memory_is_told_and_leaves_nothing),
        cmocka_unit_test(a_tile_gives_what_a_picture_of_its_own_gives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
