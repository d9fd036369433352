/* SPDX-License-Identifier: MIT
 *
 * bench_tower.c - the vision tower alone: seconds for one image, by the clock and of all
 * threads together, the best of a few rounds, and the features, as f32 to a file.
 *
 *     bench_tower MODEL PIXELS SIDE IMAGE_TOKEN N_TOKENS OUT [THREADS [ROUNDS]]
 *
 * PIXELS are f32 [3, SIDE, SIDE]. bench/beside_tower.py runs it next to PyTorch.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "twinlens/arena.h"
#include "twinlens/model.h"

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench_tower: %s\n", what);
    exit(EXIT_FAILURE);
}

static float *read_pixels(const char *path, size_t n, tl_arena *arena)
{
    float *x = tl_arena_alloc(arena, n, sizeof *x);
    FILE *file = fopen(path, "rb");
    must(x != NULL && file != NULL && fread(x, sizeof *x, n, file) == n, path);
    fclose(file);
    return x;
}

static void write_features(const char *path, const tl_input *input, size_t d_model)
{
    FILE *file = fopen(path, "wb");
    const size_t n = input->n_pos * d_model;
    must(file != NULL && fwrite(input->embeds, sizeof(float), n, file) == n &&
             fclose(file) == 0,
         path);
}

int main(int argc, char **argv)
{
    if (argc < 7) {
        fprintf(stderr, "usage: bench_tower MODEL PIXELS SIDE IMAGE_TOKEN N_TOKENS OUT "
                        "[THREADS [ROUNDS]]\n");
        return 2;
    }
    tl_error err = {0};
    tl_model *model = NULL;
    tl_input input = {0};
    tl_arena *arena = tl_arena_create();
    const size_t side = strtoul(argv[3], NULL, 10), n = strtoul(argv[5], NULL, 10),
                 rounds = argc > 8 ? strtoul(argv[8], NULL, 10) : 1;
    const tl_model_options options = {.n_threads =
                                          argc > 7 ? strtoul(argv[7], NULL, 10) : 0};
    must(tl_model_open(argv[1], &options, &model, &err) == TL_OK, err.text);
    tl_model_keep_features(model, 0);
    int32_t *ids = tl_arena_alloc(arena, n, sizeof *ids);
    must(ids != NULL, "no memory");
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)strtol(argv[4], NULL, 10);
    const tl_encoding encoding = {
        .modality = TL_IMAGE,
        .n_pos = n,
        .ids = ids,
        .data_end = n,
        .n_images = 1,
        .pixels = {.n_dims = 4,
                   .dims = {1, 3, side, side},
                   .values = read_pixels(argv[2], 3 * side * side, arena)}};
    double best = 0.0, least = 0.0;
    for (size_t i = 0; i < rounds; i++) {
        const double start = now(CLOCK_MONOTONIC), busy = now(CLOCK_PROCESS_CPUTIME_ID);
        must(tl_model_input(model, &encoding, TL_ROPE_TRUE, arena, &input, &err) ==
                 TL_OK,
             err.text);
        const double seconds = now(CLOCK_MONOTONIC) - start,
                     of_threads = now(CLOCK_PROCESS_CPUTIME_ID) - busy;
        best = i == 0 || seconds < best ? seconds : best;
        least = i == 0 || of_threads < least ? of_threads : least;
    }
    printf("%.3f\t%.3f\n", best, least);
    write_features(argv[6], &input, tl_model_dims(model)->d_model);
    tl_model_close(model);
    tl_arena_destroy(arena);
    return EXIT_SUCCESS;
}
