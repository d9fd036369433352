/* SPDX-License-Identifier: MIT
 *
 * models.h - studies of several models and tasks, laid out as the paper lays out its own: which
 * models and tasks there are, by what names; which settings differ; and for each of the paper's
 * figures 4 to 9 and tables 1 and 4 to 7 the numbers, with the published ones beside them where
 * model and prompts are the paper's.
 *
 *     tl_models m;
 *     status = tl_models_make(findings, n, arena, &m, err);
 *     for (size_t i = 0; i < m.lists[0].n; i++)
 *         ... m.lists[0].numbers[i].value ...
 */
#ifndef TWINLENS_FINDING_MODELS_H
#define TWINLENS_FINDING_MODELS_H

#include "finding/published.h"
#include "twinlens/finding.h"

/* No two studies have the same model and row. */
typedef struct tl_models_study {
    const tl_findings *findings;
    size_t model, row;   /* of tl_models */
    const char *name;    /* "counting, tiny"; without the model if there is one */
    const char *variant; /* what tells it from others of its task: "ig-steps 5"; "" */
    const tl_published *published; /* NULL unless model and prompts are the paper's */
} tl_models_study;

/* A setting of which the studies have several values. */
typedef struct tl_models_value {
    const char *setting, *value; /* "": the study does not record it */
    const size_t *studies;
    size_t n;
} tl_models_value;

/* One number of a figure or table, or, where a study lacks it, why. */
typedef struct tl_models_number {
    size_t study;
    const char *part;  /* of the list's: "text", "query", "window 3" */
    double at;         /* size, layer, times; NaN in lists without */
    tl_interval value; /* NaN: there is none */
    double published;  /* NaN: none */
    const char *
        missing; /* why there is no value; NULL if there is, or if only `published` is */
} tl_models_number;

typedef enum tl_models_form {
    TL_MODELS_NUMBER,  /* 0.873 */
    TL_MODELS_PERCENT, /* 8 % */
    TL_MODELS_COUNT    /* 20 */
} tl_models_form;

typedef struct tl_models_list {
    const char *name, *title; /* "figure-4"; what it shows */
    const char *part, *at,
        *value_name; /* what these are: "modality", "fraction"; NULL: none */
    tl_models_form form;
    bool has_means;           /* means over tasks say something */
    const char *const *parts; /* that any number has, in the paper's order */
    size_t n_parts;
    const tl_models_number *numbers; /* by study, then part, then `at` */
    size_t n;
    bool any_value, any_published;
} tl_models_list;

enum {
    TL_MODELS_ACCURACY,     /* table 4 */
    TL_MODELS_CURVES,       /* figure 4 */
    TL_MODELS_SIZES,        /* table 5 */
    TL_MODELS_FAITHFULNESS, /* table 6 */
    TL_MODELS_OVERLAP,      /* figure 5 */
    TL_MODELS_INTERCHANGE,  /* figure 6 */
    TL_MODELS_ALIGNMENT,    /* figure 7 */
    TL_MODELS_BACKPATCH,    /* table 1 */
    TL_MODELS_CELLS,        /* table 7 */
    TL_MODELS_TIMES,        /* figure 8 */
    TL_MODELS_CONTROL,      /* figure 9 */
    TL_MODELS_LISTS
};

typedef struct tl_models {
    const tl_models_study *studies; /* in the order in which they were given */
    size_t n;
    /* The paper's first, in its order, then others as they come. A task of which a model has
     * several studies has as many rows, "counting (1)", ... */
    const char *const *models, *const *rows;
    size_t n_models, n_rows, n_tasks;
    /* Of each model the published readings of figure 7 [TL_PUBLISHED_LAYERS]; NULL if none of
     * its studies is the paper's. */
    const tl_published_layer *const *published_layers;
    const tl_models_value *settings;
    size_t n_settings;
    tl_models_list lists[TL_MODELS_LISTS];
} tl_models;

tl_status tl_models_make(const tl_findings *studies, size_t n, tl_arena *arena,
                         tl_models *out, tl_error *err);

/* Of study folders; errors of tl_findings_read_all. */
tl_status tl_models_read(const char *const *folders, size_t n_folders, tl_arena *arena,
                         tl_models *out, tl_error *err);

/* The study of a model and row; SIZE_MAX if there is none. */
size_t tl_models_find(const tl_models *models, size_t model, size_t row);

/* The first number of a study and part; NULL if there is none. */
const tl_models_number *tl_models_number_of(const tl_models_list *list, size_t study,
                                            const char *part);

/* A mean over the tasks of a model (SIZE_MAX: over all studies) that have a value; beside it
 * the mean of the published numbers of those of them that have one. n is how many. */
typedef struct tl_models_mean {
    tl_interval value, same; /* of all; of those that have a published number */
    double published;
    size_t n, n_published;
} tl_models_mean;
tl_status tl_models_mean_of(const tl_models *models, const tl_models_list *list,
                            size_t model, const char *part, tl_arena *arena,
                            tl_models_mean *out, tl_error *err);

/* ---- models_lists.c ---------------------------------------------------------------- */

/* Of studies that have their names. */
tl_status tl_models_fill(tl_models *models, tl_arena *arena, tl_error *err);

#endif
