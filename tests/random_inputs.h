/*
 * random_inputs.h - inputs for tests that need a model but no meaning: random
 * tokens and pixels on the tiny checkpoint of tests/data.
 */
#ifndef TESTS_RANDOM_INPUTS_H
#define TESTS_RANDOM_INPUTS_H

#include "testing.h"
#include "twinlens/model.h"

static const char tiny_checkpoint[] =
    TWINLENS_SOURCE_DIR "/tests/data/qwen2vl-tiny/checkpoint";
/* The same tokens, patches of 16 x 16 instead of 14 x 14, and DeepStack. */
static const char deep_checkpoint[] =
    TWINLENS_SOURCE_DIR "/tests/data/families/qwen3_vl";

enum { TINY_IMAGE_TOKEN = 638, TINY_PATCH_VALUES = 1176, DEEP_PATCH_VALUES = 1536 };

static inline tl_model *open_folder(const char *folder, const char *backend)
{
    tl_model *model = NULL;
    tl_error err = {0};
    const tl_model_options options = {.backend = backend};
    if (tl_model_open(folder, &options, &model, &err) != TL_OK)
        fail_msg("%s", err.text);
    return model;
}

static inline tl_model *open_tiny(const char *backend)
{
    return open_folder(tiny_checkpoint, backend);
}

/* n_pos tokens drawn from `seed`, of which the first n_same are drawn from 1; with
 * side > 0 an image of side x side patches stands at position 3. */
static inline tl_input random_input(tl_model *model, tl_arena *arena, size_t n_pos,
                                    size_t n_same, size_t side, uint32_t seed)
{
    uint32_t shared = 1u, own = (seed + 1u) * 2654435761u;
    tl_encoding e = {.n_pos = n_pos};
    int32_t *ids = tl_arena_alloc(arena, n_pos, sizeof *ids);
    for (size_t t = 0; t < n_pos; t++)
        ids[t] = (int32_t)((test_uniform(t < n_same ? &shared : &own) + 1.0f) * 300.0f);
    ids[n_pos - 1] = 7; /* the template ends alike */
    e.ids = ids;
    if (side > 0) {
        const size_t patch = strcmp(tl_model_family(model), "qwen3_vl") == 0
                                 ? DEEP_PATCH_VALUES
                                 : TINY_PATCH_VALUES,
                     count = side * side * patch;
        float *values = tl_arena_alloc(arena, count, sizeof *values);
        for (size_t i = 0; i < count; i++)
            values[i] = test_uniform(&own);
        for (size_t t = 3; t < 3 + side * side / 4; t++)
            ids[t] = TINY_IMAGE_TOKEN;
        e.modality = TL_IMAGE;
        e.n_images = 1;
        e.pixels = (tl_pixels){.n_dims = 2,
                               .dims = {side * side, patch},
                               .values = values,
                               .grid_t = 1,
                               .grid_h = side,
                               .grid_w = side,
                               .n_tokens = side / 2 * (side / 2),
                               .n_views = 1,
                               .views = {{side / 2, side / 2}}};
    }
    tl_input input;
    tl_error err = {0};
    if (tl_model_input(model, &e, TL_ROPE_TRUE, arena, &input, &err) != TL_OK)
        fail_msg("%s", err.text);
    return input;
}

#endif
