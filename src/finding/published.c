/* SPDX-License-Identifier: MIT
 * published.c - see published.h. */
#include "finding/published.h"

#include <string.h>
#include <strings.h>

/* Numbers are found by family and shape, which a fine-tuned model has too. It is the paper's if
 * it has the name, whoever offers it. */
typedef struct shape {
    const char *model, *name, *family, *prompts;
    size_t n_layers, n_heads, d_mlp;
} shape;
static const shape shapes[] = {
    {"Qwen2-VL-7B", "Qwen2-VL-7B-Instruct", "qwen2_vl", "published qwen2_vl", 28, 28,
     18944},
    {"Pixtral-12B", "pixtral-12b", "llava", "published llava", 40, 32, 14336},
    {"Gemma-3-12B", "gemma-3-12b-it", "gemma3", "published gemma3", 48, 16, 15360}};
enum { MODELS = sizeof shapes / sizeof *shapes, TASKS = 5 }; /* tasks of each model */

/* Task; model; accuracy of text and image (table 4), circuit size (table 5), faithfulness
 * (table 6), accuracy of image prompts back-patched (table 1), by window, source and
 * destination (table 7); bars of data, query, generation in figures 5 and 6. */
static const struct {
    const char *task;
    tl_published numbers;
} published[] = {
    /* clang-format off */
    {"counting", {"Qwen2-VL-7B", {0.793, 0.708}, {0.05, 0.08}, {0.829, 0.82}, 0.75, {3, 20, 15}, {0.01, 0.08, 0.25}, {0, 0.9, 0.93}}},
    {"arithmetic", {"Qwen2-VL-7B", {0.992, 0.675}, {0.01, 0.03}, {0.86, 0.819}, 0.769, {3, 11, 7}, {0.16, 0.21, 0.64}, {0.32, 0.96, 1}}},
    {"color_ordering", {"Qwen2-VL-7B", {0.868, 0.742}, {0.02, 0.08}, {0.836, 0.812}, 0.748, {1, 18, 15}, {0.01, 0.19, 0.61}, {0.04, 0.88, 0.99}}},
    {"factual_recall", {"Qwen2-VL-7B", {0.735, 0.681}, {0.02, 0.08}, {0.826, 0.827}, 0.697, {5, 11, 6}, {0.26, 0.01, 0.19}, {0, 0.75, 0.96}}},
    {"sentiment", {"Qwen2-VL-7B", {0.974, 0.926}, {0.02, 0.1}, {0.882, 0.804}, 0.948, {5, 15, 5}, {0.01, 0.38, 0.68}, {0.02, 0.99, 1}}},
    {"counting", {"Pixtral-12B", {0.493, 0.661}, {0.07, 0.2}, {0.814, 0.827}, 0.683, {5, 28, 23}, {0.01, 0.01, 0.08}, {0, 0.71, 1.04}}},
    {"arithmetic", {"Pixtral-12B", {0.257, 0.227}, {0.06, 0.07}, {0.826, 0.803}, 0.294, {5, 37, 10}, {0.01, 0.06, 0.61}, {0.01, 0.3, 0.96}}},
    {"color_ordering", {"Pixtral-12B", {0.774, 0.806}, {0.05, 0.2}, {0.824, 0.841}, 0.847, {5, 32, 22}, {0.01, 0.14, 0.23}, {0, 0.8, 1}}},
    {"factual_recall", {"Pixtral-12B", {0.834, 0.45}, {0.05, 0.2}, {0.807, 0.946}, 0.491, {5, 32, 18}, {0.11, 0.01, 0.22}, {0, 0.84, 0.97}}},
    {"sentiment", {"Pixtral-12B", {0.983, 0.697}, {0.2, 0.2}, {0.924, 0.807}, 0.874, {5, 37, 19}, {0.01, 0.06, 0.43}, {0, 1.02, 1.03}}},
    {"counting", {"Gemma-3-12B", {0.893, 0.734}, {0.05, 0.2}, {0.88, 0.897}, 0.754, {3, 36, 5}, {0.01, 0.01, 0.05}, {0, 0.75, 1.01}}},
    {"arithmetic", {"Gemma-3-12B", {0.99, 0.875}, {0.02, 0.05}, {0.809, 0.839}, 0.942, {1, 32, 5}, {0.01, 0.14, 0.22}, {0.03, 0.71, 1.01}}},
    {"color_ordering", {"Gemma-3-12B", {0.761, 0.46}, {0.02, 0.07}, {0.828, 0.813}, 0.475, {1, 34, 24}, {0.01, 0.21, 0.54}, {0.28, 0.88, 1}}},
    {"factual_recall", {"Gemma-3-12B", {0.807, 0.665}, {0.05, 0.2}, {0.823, 0.928}, 0.686, {5, 34, 20}, {0.02, 0.04, 0.39}, {0, 0.96, 1}}},
    {"sentiment", {"Gemma-3-12B", {0.987, 0.926}, {0.1, 0.2}, {0.853, 0.821}, 0.98, {5, 23, 3}, {0.01, 0.33, 0.63}, {0, 0.99, 1}}},
    /* clang-format on */
};

static const shape *shape_of(const tl_findings *f)
{
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const tl_study_scores *s = &f->parts[m].scores;
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            if (strcmp(tl_findings_key(f, "family"), shapes[i].family) == 0 &&
                s->n_layers == shapes[i].n_layers && s->n_heads == shapes[i].n_heads &&
                s->d_mlp == shapes[i].d_mlp)
                return &shapes[i];
    }
    return NULL;
}

const tl_published *tl_published_find(const tl_findings *f)
{
    const shape *model = shape_of(f);
    const char *task = tl_findings_key(f, "task");
    for (size_t i = 0; model != NULL && i < sizeof published / sizeof *published; i++)
        if (strcmp(published[i].task, task) == 0 &&
            strcmp(published[i].numbers.model, model->model) == 0)
            return &published[i].numbers;
    return NULL;
}

/* The name behind the one who offers it. */
static const char *own_name(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash != NULL ? slash + 1 : name;
}

const char *tl_published_differs(const tl_findings *f)
{
    static const char *const words[2][2] = {{"", "other prompts"},
                                            {"other model", "other model and prompts"}};
    const shape *model = shape_of(f);
    const bool same_model =
        model != NULL &&
        strcasecmp(own_name(tl_findings_key(f, "model-name")), model->name) == 0;
    const bool same_prompts =
        model != NULL && strcmp(tl_findings_key(f, "prompts-of"), model->prompts) == 0;
    return words[!same_model][!same_prompts];
}

const tl_published *tl_published_same(const tl_findings *f)
{
    return tl_published_differs(f)[0] == '\0' ? tl_published_find(f) : NULL;
}

size_t tl_published_model_place(const char *name)
{
    size_t i = 0;
    while (i < MODELS && strcasecmp(own_name(name), shapes[i].name) != 0)
        i++;
    return i;
}

size_t tl_published_task_place(const char *task)
{
    size_t i = 0;
    while (i < TASKS && strcmp(task, published[i].task) != 0)
        i++;
    return i;
}

/* First layer, middle or dip, peak, last layer. */
static const tl_published_layer alignment[MODELS][TL_PUBLISHED_LAYERS] = {
    {{0, 0.20, 0.30}, {10, 0.33, 0.49}, {26, 0.61, 0.69}, {27, 0.19, 0.55}},
    {{0, 0.20, 0.32}, {20, 0.28, 0.45}, {38, 0.45, 0.57}, {39, 0.21, 0.35}},
    {{0, 0.66, 0.93}, {3, 0.57, 0.84}, {8, 0.96, 1.0}, {47, 0.90, 0.94}}};

const tl_published_layer *tl_published_alignment(size_t place)
{
    return place < MODELS ? alignment[place] : NULL;
}

const double tl_published_control = 0.79;
