/* SPDX-License-Identifier: MIT
 *
 * fuzz_scores.c - any bytes as a score file of a model with 2 layers, 2 heads and 3 neurons,
 * and prompts of 3 positions: scores that give a ranking, or refused.
 */
#include "fuzz.h"

#include "store/score_file.h"

static void check_places(const uint32_t *ranks, size_t n)
{
    uint64_t seen = 0;
    for (size_t i = 0; i < n; i++)
        seen |= ranks[i] < n ? UINT64_C(1) << ranks[i] : 0;
    if (seen != (UINT64_C(1) << n) - 1)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    enum { LAYERS = 2, HEADS = 2, NEURONS = 3, POSITIONS = 3 };
    const tl_dims dims = {.n_layers = LAYERS, .n_heads = HEADS, .d_mlp = NEURONS};
    char path[512];
    fuzz_write(path, "scores.safetensors", data, bytes);
    tl_scores scores = {0};
    tl_ranking ranking = {0};
    tl_error err = {0};
    tl_arena *arena = tl_arena_create();
    if (tl_score_file_read(path, &dims, POSITIONS, arena, &scores, &err) != TL_OK) {
        if (scores.heads != NULL || err.text[0] == '\0')
            abort();
    } else if (tl_ranking_from_scores(&scores, arena, &ranking, &err) == TL_OK) {
        check_places(ranking.heads, LAYERS * POSITIONS * HEADS);
        check_places(ranking.neurons, LAYERS * POSITIONS * NEURONS);
    }
    tl_arena_destroy(arena);
    remove(path);
    return 0;
}
