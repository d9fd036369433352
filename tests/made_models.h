/* SPDX-License-Identifier: MIT
 *
 * made_models.h - findings of studies of several models and tasks.
 */
#ifndef TESTS_MADE_MODELS_H
#define TESTS_MADE_MODELS_H

#include "testing.h"

#include "finding/models.h"

enum { KEYS = 8 };
#define QWEN "Qwen/Qwen2-VL-7B-Instruct"
#define GEMMA "google/gemma-3-12b-it"

/* What findings point to. */
typedef struct made {
    tl_study_key keys[KEYS];
    tl_finding_point points[2];
    tl_study_point rows[2];
    tl_finding_cell cells[1];
    tl_finding_window windows[2];
    tl_interval iterations[3];
} made;

static inline tl_interval about(double value)
{
    return (tl_interval){value, value - 0.1, value + 0.1, 0.05, 100, 0};
}

/* A study of prompts that are published, by accuracies alone. */
static inline tl_findings make(made *m, const char *model, const char *hash,
                               const char *task, const char *dataset, const char *steps,
                               const char *folder)
{
    const bool is_gemma = strcmp(model, GEMMA) == 0;
    *m = (made){
        .keys = {{"family", is_gemma ? "gemma3" : "qwen2_vl"},
                 {"model", hash},
                 {"model-name", model},
                 {"task", task},
                 {"dataset-name", dataset},
                 {"prompts-of", is_gemma ? "published gemma3" : "published qwen2_vl"},
                 {"ig-steps", steps},
                 {"threshold", "0.8"}}};
    tl_findings f = {
        .folder = folder, .keys = m->keys, .n_keys = KEYS, .finished = true};
    for (size_t k = 0; k < TL_MODALITY_COUNT; k++) {
        f.parts[k].present = f.parts[k].done = true;
        f.parts[k].n_prompts = 100;
        f.parts[k].limited = about(k == TL_TEXT ? 0.9 : 0.7);
        f.parts[k].scores =
            is_gemma ? (tl_study_scores){.n_layers = 48, .n_heads = 16, .d_mlp = 15360}
                     : (tl_study_scores){.n_layers = 28, .n_heads = 28, .d_mlp = 18944};
    }
    return f;
}

/* Curves with the smallest circuit at 5 %, back-patching, a control of two windows. */
static inline void fill(tl_findings *f, made *m)
{
    for (size_t i = 0; i < 2; i++)
        m->points[i] = (tl_finding_point){.fraction = i == 0 ? 0.01 : 0.05,
                                          .point = &m->rows[i],
                                          .mean_of_ratios = about(i == 0 ? 0.4 : 0.85)};
    for (size_t k = 0; k < TL_MODALITY_COUNT; k++) {
        f->parts[k].curves[TL_STUDY_CIRCUIT] = m->points;
        f->parts[k].n_points = 2;
        f->parts[k].minimal.found = true;
        f->parts[k].minimal.point = 1;
    }
    m->cells[0] = (tl_finding_cell){.window = 3, .source = 20, .destination = 15};
    m->windows[0] =
        (tl_finding_window){.window = 5, .n_cells = 1, .no_worse = about(0.6)};
    m->windows[1] =
        (tl_finding_window){.window = 3, .n_cells = 1, .no_worse = about(0.8)};
    for (size_t i = 0; i < 3; i++)
        m->iterations[i] = about(0.7 + 0.05 * (i == 1));
    f->backpatch = (tl_finding_backpatch){
        .cells = m->cells,
        .n_cells = 1,
        .n = 100,
        .has_text = true,
        .clean = {about(0.9), about(0.7)},
        .chosen_here = {.accuracy = about(0.75), .gain = about(0.05)},
        .chosen_elsewhere = {.gain = about(0.02)},
        .windows = m->windows,
        .n_windows = 2,
        .iterations = m->iterations,
        .n_iterations = 3};
}

#endif
