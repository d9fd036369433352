/* SPDX-License-Identifier: MIT
 *
 * bench_engine.c - forward tokens per second, attribution seconds per prompt, and
 * peak memory. The model is open, the text is tokenized and the images are decoded
 * before the clock starts; the vision tower runs while it does, for the forward once
 * a prompt, for attribution once for the clean image and once for the other.
 *
 *     bench_engine MODEL DATASET [THREADS [MODALITY [PROMPTS [PRECISION]]]]
 *
 * bench/beside_torch.py runs it next to PyTorch on the same prompts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "figure.h"
#include "twinlens/circuit.h"
#include "twinlens/dataset.h"
#include "twinlens/pass.h"

enum { MAX_PROMPTS = 64, FORWARD_LANES = 4, ROUNDS = 3 };

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(tl_status status, const tl_error *err)
{
    if (status == TL_OK)
        return;
    fprintf(stderr, "bench_engine: %s\n", err->text);
    exit(EXIT_FAILURE);
}

/* A pair before the vision tower. */
typedef struct task {
    tl_encoding clean, counterfactual;
    int32_t answer, counterfactual_answer;
} task;

static tl_input input_of(tl_model *model, const tl_encoding *encoding, tl_arena *arena)
{
    tl_error err = {0};
    tl_input input;
    must(tl_model_input(model, encoding, TL_ROPE_TRUE, arena, &input, &err), &err);
    return input;
}

/* The best of a few rounds: other loads only ever make a round slower. */
static double forward_rate(tl_model *model, const task *tasks, size_t n,
                           tl_arena *arena)
{
    tl_error err = {0};
    tl_pass *pass = NULL;
    const tl_pass_options options = {.last_only = true};
    double best = 0.0;
    must(tl_pass_create(model, &pass, &err), &err);
    for (int round = 0; round < ROUNDS; round++) {
        size_t tokens = 0;
        const tl_arena_mark mark = tl_arena_get_mark(arena);
        const double start = now(CLOCK_MONOTONIC);
        for (size_t i = 0; i < n; i += FORWARD_LANES) {
            tl_pass_prompt prompts[FORWARD_LANES] = {0};
            size_t lanes = 0;
            for (; lanes < FORWARD_LANES && i + lanes < n; lanes++) {
                prompts[lanes].input = input_of(model, &tasks[i + lanes].clean, arena);
                tokens += prompts[lanes].input.n_pos;
            }
            must(tl_pass_forward(pass, prompts, lanes, &options, &err), &err);
        }
        const double rate = (double)tokens / (now(CLOCK_MONOTONIC) - start);
        best = rate > best ? rate : best;
        tl_arena_rewind(arena, mark);
    }
    tl_pass_destroy(pass);
    return best;
}

/* By the clock, and of all threads together. */
typedef struct duration {
    double seconds, cpu_seconds;
} duration;

static duration attribution_seconds(tl_model *model, tl_method method,
                                    const task *tasks, size_t n, tl_arena *arena)
{
    tl_error err = {0};
    tl_attribution *attribution = NULL;
    tl_pair pairs[MAX_PROMPTS];
    const tl_attribution_options options = {.method = method};
    must(tl_attribution_create(model, tasks[0].clean.n_pos, &options, &attribution,
                               &err),
         &err);
    const double start = now(CLOCK_MONOTONIC), busy = now(CLOCK_PROCESS_CPUTIME_ID);
    for (size_t i = 0; i < n; i++)
        pairs[i] = (tl_pair){input_of(model, &tasks[i].clean, arena),
                             input_of(model, &tasks[i].counterfactual, arena),
                             tasks[i].answer, tasks[i].counterfactual_answer};
    must(tl_attribution_add(attribution, pairs, n, &err), &err);
    const duration d = {(now(CLOCK_MONOTONIC) - start) / (double)n,
                        (now(CLOCK_PROCESS_CPUTIME_ID) - busy) / (double)n};
    tl_attribution_destroy(attribution);
    return d;
}

/* MiB. Of the kernel's two counts this one is not inherited from a program that has
 * started us. */
static double peak_memory(void)
{
    char line[256];
    unsigned long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = strtoul(line + 6, NULL, 10);
    if (file != NULL)
        fclose(file);
    return (double)kib / 1024;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: bench_engine MODEL DATASET [THREADS [MODALITY [PROMPTS "
                        "[PRECISION]]]]\n");
        return 2;
    }
    tl_error err = {0};
    tl_model *model = NULL;
    tl_processor *processor = NULL;
    tl_dataset *dataset = NULL;
    tl_modality modality = TL_IMAGE;
    tl_arena *arena = tl_arena_create();
    const bool in_bf16 = argc > 6 && strcmp(argv[6], "bf16") == 0;
    const tl_model_options options = {
        .n_threads = argc > 3 ? strtoul(argv[3], NULL, 10) : 0,
        .precision = in_bf16 ? TL_PRECISION_BF16 : TL_PRECISION_F32};
    const size_t limit = argc > 5 ? strtoul(argv[5], NULL, 10) : MAX_PROMPTS;
    must(tl_model_open(argv[1], &options, &model, &err), &err);
    must(tl_processor_open(argv[1], tl_model_dims(model)->n_vocab, &processor, &err),
         &err);
    must(tl_dataset_open(argv[2], &dataset, &err), &err);
    if (argc > 4)
        must(tl_modality_parse(argv[4], &modality, &err), &err);

    static task tasks[MAX_PROMPTS];
    size_t n = 0;
    for (size_t i = 0; i < dataset->n_rows && n < limit && n < MAX_PROMPTS; i++) {
        const tl_dataset_row *row = &dataset->rows[i];
        if (row->modality != modality || row->counterfactual == TL_NO_ROW)
            continue;
        task *t = &tasks[n++];
        must(tl_dataset_encode(dataset, i, processor, arena, &t->clean, &err), &err);
        must(tl_dataset_encode(dataset, row->counterfactual, processor, arena,
                               &t->counterfactual, &err),
             &err);
        must(tl_dataset_pair_ids(dataset, i, row->counterfactual, processor, &t->answer,
                                 &t->counterfactual_answer, &err),
             &err);
    }
    if (n == 0) {
        fprintf(stderr, "bench_engine: %s: no pair of that modality\n", dataset->path);
        return EXIT_FAILURE;
    }
    const char *const of = in_bf16 ? "bf16" : "f32";
    figure_head();
    figure_show(&(figure){.name = "forward",
                          .of = of,
                          .value = forward_rate(model, tasks, n, arena),
                          .unit = "tokens/s",
                          .how = MEASURED});
    static const char *const names[][2] = {
        [TL_METHOD_IG] = {"attribution, 5 steps of IG",
                          "attribution, 5 steps of IG, CPU"},
        [TL_METHOD_RELP] = {"attribution, RelP", "attribution, RelP, CPU"}};
    for (int m = TL_METHOD_IG; m <= TL_METHOD_RELP; m++) {
        const duration d = attribution_seconds(model, (tl_method)m, tasks, n, arena);
        figure f = {.name = names[m][0],
                    .of = of,
                    .value = d.seconds,
                    .unit = "s/prompt",
                    .how = MEASURED};
        figure_show(&f);
        f.name = names[m][1], f.value = d.cpu_seconds, f.unit = "CPU s/prompt";
        figure_show(&f);
    }
    figure_show(&(figure){.name = "peak memory",
                          .of = of,
                          .value = peak_memory(),
                          .unit = "MiB",
                          .how = MEASURED});

    tl_dataset_close(dataset);
    tl_processor_close(processor);
    tl_model_close(model);
    tl_arena_destroy(arena);
    return EXIT_SUCCESS;
}
