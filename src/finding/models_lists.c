/* SPDX-License-Identifier: MIT
 * models_lists.c - see models.h: the numbers of the paper's figures and tables. */
#include "finding/models.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A list that grows, and the study that numbers are added of. */
typedef struct adder {
    tl_models_number *numbers;
    size_t n, capacity, study;
    const tl_findings *f;
    const tl_published *published; /* NULL: the study is not the paper's */
    tl_arena *arena;
    tl_error *err;
} adder;

static const tl_interval none = {NAN, NAN, NAN, NAN, 0, 0};

static tl_status add(adder *a, const char *part, double at, const tl_interval *value,
                     double published, const char *missing)
{
    if (a->n == a->capacity) {
        const size_t capacity = a->capacity > 0 ? 2 * a->capacity : 64;
        tl_models_number *grown = tl_arena_alloc(a->arena, capacity, sizeof *grown);
        if (grown == NULL)
            return tl_fail(a->err, TL_ERR_NO_MEMORY, "no memory for %zu numbers",
                           capacity);
        if (a->n > 0)
            memcpy(grown, a->numbers, a->n * sizeof *grown);
        a->numbers = grown;
        a->capacity = capacity;
    }
    const bool there = value != NULL && !isnan(value->value);
    if (!there && missing == NULL && isnan(published))
        missing = "undefined";
    a->numbers[a->n++] = (tl_models_number){a->study,  part,
                                            at,        value != NULL ? *value : none,
                                            published, there ? NULL : missing};
    return TL_OK;
}

static tl_interval plain(double value)
{
    return (tl_interval){value, NAN, NAN, NAN, 0, 0};
}

/* ---- why something is not there ------------------------------------------------------- */

/* NULL: the study has prompts of the modality. */
static const char *why_modality(const tl_findings *f, tl_modality m)
{
    static const char *const names[TL_MODALITY_COUNT] = {"no text prompts",
                                                         "no image prompts"};
    return f->parts[m].present ? NULL : names[m];
}

static const char *otherwise(const tl_findings *f, const char *reason)
{
    return f->finished ? reason : "not reached yet";
}

/* NULL: the modality has curves. */
static const char *why_curve(const tl_findings *f, tl_modality m)
{
    const tl_finding_part *p = &f->parts[m];
    if (!p->present)
        return why_modality(f, m);
    if (p->n_points > 0)
        return NULL;
    if (p->no_circuits != NULL)
        return p->no_circuits;
    /* What a study of one modality lacks is the other. */
    const bool both = f->parts[TL_TEXT].present && f->parts[TL_IMAGE].present;
    return both && f->absent != NULL ? f->absent : otherwise(f, "no circuits");
}

static const char *why_smallest(const tl_findings *f, tl_modality m)
{
    const tl_finding_part *p = &f->parts[m];
    const char *curve = why_curve(f, m);
    if (curve != NULL)
        return curve;
    if (tl_findings_smallest(p, TL_STUDY_CIRCUIT) != NULL)
        return NULL;
    return p->done ? "no faithful circuit" : otherwise(f, "no circuits");
}

/* Of what compares the two smallest circuits. */
static const char *why_both(const tl_findings *f)
{
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const char *why = why_smallest(f, (tl_modality)m);
        if (why != NULL)
            return why;
    }
    return otherwise(f, "not in the study");
}

static const char *why_patched(const tl_findings *f)
{
    if (strcmp(tl_findings_key(f, "bp-grid"), "none") == 0)
        return "--bp-grid none";
    const char *image = why_modality(f, TL_IMAGE);
    return image != NULL ? image : otherwise(f, "not in the study");
}

/* Of what needs both modalities' prompts. */
static const char *why_pairs(const tl_findings *f, const char *reason)
{
    const char *text = why_modality(f, TL_TEXT), *image = why_modality(f, TL_IMAGE);
    return text != NULL ? text : image != NULL ? image : otherwise(f, reason);
}

/* ---- the lists ---------------------------------------------------------------------- */

static const char *name_of(tl_modality m)
{
    return tl_modality_name(m);
}

static tl_status accuracies(adder *a)
{
    tl_status status = TL_OK;
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++) {
        const tl_finding_part *p = &a->f->parts[m];
        const bool there = p->present && p->n_prompts > 0;
        status = add(a, name_of((tl_modality)m), NAN, there ? &p->limited : NULL,
                     a->published != NULL ? a->published->accuracy[m] : NAN,
                     p->present ? otherwise(a->f, "no prompts")
                                : why_modality(a->f, (tl_modality)m));
    }
    return status;
}

/* The published circuit is a point of its own. */
static tl_status curves(adder *a)
{
    tl_status status = TL_OK;
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++) {
        const char *part = name_of((tl_modality)m),
                   *why = why_curve(a->f, (tl_modality)m);
        const tl_finding_part *p = &a->f->parts[m];
        if (why != NULL)
            status = add(a, part, NAN, NULL, NAN, why);
        for (size_t i = 0; why == NULL && i < p->n_points && status == TL_OK; i++) {
            const tl_finding_point *point = &p->curves[TL_STUDY_CIRCUIT][i];
            status = add(a, part, point->fraction, tl_findings_chosen(a->f, point), NAN,
                         "undefined");
        }
        if (a->published != NULL && status == TL_OK)
            status = add(a, part, a->published->size[m], NULL,
                         a->published->faithfulness[m], NULL);
    }
    return status;
}

static tl_status sizes(adder *a)
{
    tl_status status = TL_OK;
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++) {
        const tl_finding_point *point =
            tl_findings_smallest(&a->f->parts[m], TL_STUDY_CIRCUIT);
        const tl_interval size = plain(point != NULL ? point->fraction : NAN);
        status = add(a, name_of((tl_modality)m), NAN, &size,
                     a->published != NULL ? a->published->size[m] : NAN,
                     why_smallest(a->f, (tl_modality)m));
    }
    return status;
}

static tl_status faithfulness(adder *a)
{
    tl_status status = TL_OK;
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++) {
        const tl_finding_point *point =
            tl_findings_smallest(&a->f->parts[m], TL_STUDY_CIRCUIT);
        status = add(a, name_of((tl_modality)m), NAN,
                     point != NULL ? tl_findings_chosen(a->f, point) : NULL,
                     a->published != NULL ? a->published->faithfulness[m] : NAN,
                     why_smallest(a->f, (tl_modality)m));
    }
    return status;
}

static tl_status overlaps(adder *a)
{
    tl_status status = TL_OK;
    for (size_t s = 0; s < TL_SEGMENT_COUNT && status == TL_OK; s++) {
        const tl_finding_overlap *o = tl_findings_overlap(a->f, (tl_segment)s, "both");
        status = add(a, tl_segment_name((tl_segment)s), NAN,
                     o != NULL ? &o->normalised : NULL,
                     a->published != NULL ? a->published->overlap[s] : NAN,
                     a->f->n_overlaps > 0 ? "undefined" : why_both(a->f));
    }
    return status;
}

static tl_status interchanges(adder *a)
{
    const bool there = a->f->has_swaps[TL_TEXT] && a->f->has_swaps[TL_IMAGE];
    tl_status status = TL_OK;
    for (size_t s = 0; s < TL_SEGMENT_COUNT && status == TL_OK; s++)
        status = add(a, tl_segment_name((tl_segment)s), NAN,
                     there ? &a->f->swapped[s] : NULL,
                     a->published != NULL ? a->published->interchange[s] : NAN,
                     there ? "undefined" : why_both(a->f));
    return status;
}

/* With states as they are, as published; and with the mean state taken away. */
static tl_status alignments(adder *a)
{
    static const char *const parts[] = {"as they are", "centred"};
    tl_status status = TL_OK;
    if (a->f->n_layers == 0)
        return add(a, parts[0], NAN, NULL, NAN, why_pairs(a->f, "not in the study"));
    for (size_t k = 0; k < 2; k++)
        for (size_t l = 0; l < a->f->n_layers && status == TL_OK; l++) {
            const tl_finding_layer *layer = &a->f->layers[l];
            status = add(a, parts[k], (double)l,
                         k == 0 ? &layer->matched : &layer->centred_matched, NAN,
                         "undefined");
        }
    return status;
}

/* Of the best cell on these prompts, as published; and what one brings that was chosen on
 * others. */
static tl_status backpatches(adder *a)
{
    const tl_finding_backpatch *b = &a->f->backpatch;
    const tl_published *p = a->published;
    const bool there = b->n_cells > 0;
    const char *why = there ? "undefined" : why_patched(a->f);
    const struct {
        const char *part;
        const tl_interval *value;
        double published;
    } numbers[] = {
        {"accuracy", &b->chosen_here.accuracy, p != NULL ? p->backpatched : NAN},
        {"gain", &b->chosen_here.gain,
         p != NULL ? p->backpatched - p->accuracy[TL_IMAGE] : NAN},
        {"gain, crossed", &b->chosen_elsewhere.gain, NAN}};
    tl_status status = TL_OK;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && status == TL_OK; i++)
        status = add(a, numbers[i].part, NAN, there ? numbers[i].value : NULL,
                     numbers[i].published, why);
    return status;
}

static tl_status cells(adder *a)
{
    const tl_finding_backpatch *b = &a->f->backpatch;
    const tl_published *p = a->published;
    const tl_finding_cell *best = b->n_cells > 0 ? &b->cells[b->best] : NULL;
    static const char *const parts[] = {"from layer", "into layer", "window"};
    const double ours[] = {best != NULL ? (double)best->source : NAN,
                           best != NULL ? (double)best->destination : NAN,
                           best != NULL ? (double)best->window : NAN},
                 theirs[] = {p != NULL ? (double)p->best.source : NAN,
                             p != NULL ? (double)p->best.destination : NAN,
                             p != NULL ? (double)p->best.window : NAN};
    tl_status status = TL_OK;
    for (size_t i = 0; i < 3 && status == TL_OK; i++) {
        const tl_interval value = plain(ours[i]);
        status = add(a, parts[i], NAN, &value, theirs[i], why_patched(a->f));
    }
    return status;
}

/* Published are the accuracies without patching and after the first time (tables 4 and 1). */
static tl_status times(adder *a)
{
    static const char *const parts[] = {"best here", "chosen elsewhere"};
    const tl_finding_backpatch *b = &a->f->backpatch;
    const tl_published *p = a->published;
    tl_status status = TL_OK;
    if (b->n_iterations == 0) {
        const double all[] = {p != NULL ? p->accuracy[TL_IMAGE] : NAN,
                              p != NULL ? p->backpatched : NAN};
        const char *why =
            b->n_cells > 0 ? otherwise(a->f, "not in the study") : why_patched(a->f);
        status = add(a, parts[0], NAN, NULL, NAN, why);
        for (size_t i = 0; p != NULL && i < 2 && status == TL_OK; i++)
            status = add(a, parts[0], (double)i, NULL, all[i], NULL);
        return status;
    }
    for (size_t i = 0; i < b->n_iterations && status == TL_OK; i++)
        status = add(a, parts[0], (double)i, &b->iterations[i],
                     p == NULL || i > 1 ? NAN
                     : i == 0           ? p->accuracy[TL_IMAGE]
                                        : p->backpatched,
                     "undefined");
    for (size_t i = 0; i < b->n_times && status == TL_OK; i++)
        status = add(a, parts[1], (double)i, &b->times[i].accuracy, NAN, "undefined");
    return status;
}

static int by_window(const void *a, const void *b)
{
    const tl_finding_window *const *x = a, *const *y = b;
    return ((*x)->window > (*y)->window) - ((*x)->window < (*y)->window);
}

static tl_status controls(adder *a)
{
    const tl_finding_backpatch *b = &a->f->backpatch;
    tl_status status = TL_OK;
    if (b->n_windows == 0)
        return add(a, "window 1", NAN, NULL, NAN,
                   b->n_cells == 0 ? why_patched(a->f)
                                   : why_pairs(a->f, "not in the study"));
    const tl_finding_window **windows =
        tl_arena_alloc(a->arena, b->n_windows, sizeof *windows);
    if (windows == NULL)
        return tl_fail(a->err, TL_ERR_NO_MEMORY, "no memory for windows");
    for (size_t i = 0; i < b->n_windows; i++)
        windows[i] = &b->windows[i];
    qsort(windows, b->n_windows, sizeof *windows, by_window);
    for (size_t i = 0; i < b->n_windows && status == TL_OK; i++) {
        char text[40];
        snprintf(text, sizeof text, "window %zu", windows[i]->window);
        const char *part = tl_arena_strdup(a->arena, text);
        if (part == NULL)
            return tl_fail(a->err, TL_ERR_NO_MEMORY, "no memory for windows");
        status = add(a, part, NAN, &windows[i]->no_worse, NAN, "undefined");
    }
    return status;
}

/* ---- all of them -------------------------------------------------------------------- */

/* By their places in tl_models.lists. */
static const struct {
    const char *name, *title, *part, *at, *value;
    tl_models_form form;
    bool has_means;
    tl_status (*fill)(adder *a);
} all_lists[TL_MODELS_LISTS] = {
    {"table-4", "Accuracy", "modality", NULL, "accuracy", TL_MODELS_NUMBER, true,
     accuracies},
    {"figure-4", "Faithfulness by circuit size", "modality", "fraction", "faithfulness",
     TL_MODELS_NUMBER, false, curves},
    {"table-5", "Size of the smallest faithful circuit", "modality", NULL,
     "share of components", TL_MODELS_PERCENT, true, sizes},
    {"table-6", "Its faithfulness", "modality", NULL, "faithfulness", TL_MODELS_NUMBER,
     true, faithfulness},
    {"figure-5", "Overlap of the text circuit and the image circuit", "segment", NULL,
     "normalised IoU", TL_MODELS_NUMBER, true, overlaps},
    {"figure-6", "Interchange: a segment of the other modality's circuit", "segment",
     NULL, "normalised faithfulness", TL_MODELS_NUMBER, false, interchanges},
    {"figure-7", "Alignment of image tokens with text tokens by layer", "states",
     "layer", "mean largest cosine", TL_MODELS_NUMBER, false, alignments},
    {"table-1", "Accuracy of image prompts, back-patched", "quantity", NULL, "share",
     TL_MODELS_NUMBER, true, backpatches},
    {"table-7", "The best cell of back-patching", "quantity", NULL, "number",
     TL_MODELS_COUNT, false, cells},
    {"figure-8", "Back-patching again and again", "cell", "times", "accuracy",
     TL_MODELS_NUMBER, false, times},
    {"figure-9", "Cells that gain no less on images than on text", "window", NULL,
     "share of cells", TL_MODELS_NUMBER, true, controls},
};

static size_t window_of(const char *part)
{
    return strncmp(part, "window ", 7) == 0 ? (size_t)strtoul(part + 7, NULL, 10) : 0;
}

/* Parts in the order in which they come; windows by size, whatever study has which, and those
 * alone that have a value. */
static tl_status find_parts(tl_models_list *list, tl_arena *arena, tl_error *err)
{
    const char **parts = tl_arena_alloc(arena, list->n, sizeof *parts);
    size_t n = 0;
    if (parts == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu numbers", list->n);
    for (size_t i = 0; i < list->n; i++) {
        const char *part = list->numbers[i].part;
        const size_t window = window_of(part);
        size_t at = 0;
        while (at < n && strcmp(parts[at], part) != 0)
            at++;
        if (at < n ||
            (window > 0 && list->any_value && isnan(list->numbers[i].value.value)))
            continue;
        for (at = n++; at > 0 && window_of(parts[at - 1]) > window; at--)
            parts[at] = parts[at - 1];
        parts[at] = part;
    }
    list->parts = parts;
    list->n_parts = n;
    return TL_OK;
}

tl_status tl_models_fill(tl_models *models, tl_arena *arena, tl_error *err)
{
    tl_status status = TL_OK;
    for (size_t i = 0; i < TL_MODELS_LISTS && status == TL_OK; i++) {
        adder a = {.arena = arena, .err = err};
        tl_models_list *list = &models->lists[i];
        for (size_t s = 0; s < models->n && status == TL_OK; s++) {
            a.study = s;
            a.f = models->studies[s].findings;
            a.published = models->studies[s].published;
            status = all_lists[i].fill(&a);
        }
        *list = (tl_models_list){.name = all_lists[i].name,
                                 .title = all_lists[i].title,
                                 .part = all_lists[i].part,
                                 .at = all_lists[i].at,
                                 .value_name = all_lists[i].value,
                                 .form = all_lists[i].form,
                                 .has_means = all_lists[i].has_means,
                                 .numbers = a.numbers,
                                 .n = a.n};
        for (size_t k = 0; k < a.n; k++) {
            list->any_value = list->any_value || !isnan(a.numbers[k].value.value);
            list->any_published = list->any_published || !isnan(a.numbers[k].published);
        }
        if (status == TL_OK)
            status = find_parts(list, arena, err);
    }
    return status;
}

static tl_interval mean_of(const tl_interval *values, size_t n)
{
    tl_interval mean = tl_interval_mean(values, n);
    bool has_interval = false;
    for (size_t i = 0; i < n; i++)
        has_interval = has_interval || !isnan(values[i].deviation);
    if (!has_interval)
        mean.low = mean.high = NAN;
    return mean;
}

tl_status tl_models_mean_of(const tl_models *models, const tl_models_list *list,
                            size_t model, const char *part, tl_arena *arena,
                            tl_models_mean *out, tl_error *err)
{
    tl_interval *values = tl_arena_alloc(arena, 2 * list->n, sizeof *values);
    tl_models_mean mean = {.published = 0.0};
    if (values == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu numbers", list->n);
    tl_interval *same = values + list->n;
    for (size_t i = 0; i < list->n; i++) {
        const tl_models_number *x = &list->numbers[i];
        if ((model != SIZE_MAX && models->studies[x->study].model != model) ||
            strcmp(x->part, part) != 0 || isnan(x->value.value))
            continue;
        values[mean.n++] = x->value;
        if (!isnan(x->published)) {
            mean.published += x->published;
            same[mean.n_published++] = x->value;
        }
    }
    mean.value = mean_of(values, mean.n);
    mean.same = mean_of(same, mean.n_published);
    mean.published =
        mean.n_published > 0 ? mean.published / (double)mean.n_published : NAN;
    *out = mean;
    return TL_OK;
}

const tl_models_number *tl_models_number_of(const tl_models_list *list, size_t study,
                                            const char *part)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->numbers[i].study == study && strcmp(list->numbers[i].part, part) == 0)
            return &list->numbers[i];
    return NULL;
}
