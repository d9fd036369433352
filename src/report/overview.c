/* SPDX-License-Identifier: MIT
 * overview.c - see overview.h. */
#include "report/overview.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "finding/published.h"
#include "report/draw.h"
#include "report/input_text.h"

/* ---- rows ------------------------------------------------------------------------ */

/* What every table is made from. */
typedef struct maker {
    const tl_findings *studies;
    size_t n;
    bool any_published;
    tl_arena *arena;
    tl_error *err;
} maker;

static bool equal_keys(const maker *m, size_t i, size_t k, const char *key)
{
    return strcmp(tl_findings_key(&m->studies[i], key),
                  tl_findings_key(&m->studies[k], key)) == 0;
}

/* The task; of several models also which; of several datasets of one task and model also
 * which; of several studies of these the folder. */
static const char *name_of(const maker *m, size_t i)
{
    const char *task = tl_study_task(&m->studies[i]);
    char text[700], model[TL_INPUT_TEXT], dataset[TL_INPUT_TEXT];
    bool models = false, datasets = false, studies = false; /* more than one? */
    for (size_t k = 0; k < m->n; k++) {
        models = models || !equal_keys(m, i, k, "model");
        datasets =
            datasets || (equal_keys(m, i, k, "task") && equal_keys(m, i, k, "model") &&
                         !equal_keys(m, i, k, "dataset"));
        studies =
            studies || (i != k && strcmp(task, tl_study_task(&m->studies[k])) == 0 &&
                        equal_keys(m, i, k, "model") && equal_keys(m, i, k, "dataset"));
    }
    if (!models && !datasets && !studies)
        return task;
    snprintf(text, sizeof text, "%.100s%s%s%s%s%s%.100s", task, models ? ", " : "",
             models ? tl_input_text(&m->studies[i], "model", model) : "",
             datasets ? ", " : "",
             datasets ? tl_input_text(&m->studies[i], "dataset", dataset) : "",
             studies ? ", " : "", studies ? m->studies[i].folder : "");
    return tl_arena_strdup(m->arena, text);
}

static const char *interval(const maker *m, const tl_interval *i)
{
    return tl_table_interval(m->arena, i);
}

static const char *number(const maker *m, double value)
{
    return tl_table_number(m->arena, "", value);
}

/* A number of the paper beside study i. */
static const char *marked(const maker *m, size_t i, const char *text)
{
    char all[96];
    const char *differs = tl_published_differs(&m->studies[i]);
    if (text == NULL || strcmp(text, "-") == 0 || differs[0] == '\0')
        return text;
    snprintf(all, sizeof all, "%.60s, %s", text, differs);
    return tl_arena_strdup(m->arena, all);
}

static const char *published(const maker *m, size_t i, double value)
{
    return marked(m, i, number(m, value));
}

static const char *share(const maker *m, double value)
{
    return tl_table_number(m->arena, "%", value);
}

static tl_status add(const maker *m, tl_table *table, const char *const *cells)
{
    return tl_table_add(table, m->arena, cells, m->err);
}

/* Adds to the table's note which studies a mean does not have in it: those without `value`,
 * if another has one. */
static tl_status note_left_out(const maker *m, tl_table *table, const char *head,
                               const double *values)
{
    char text[2048] = "";
    size_t n = 0, at = 0;
    for (size_t i = 0; i < m->n; i++)
        n += isnan(values[i]) ? 0 : 1;
    if (n == 0 || n == m->n)
        return TL_OK;
    at += (size_t)snprintf(text, sizeof text, "%s%sMean of %.60s without ",
                           table->note != NULL ? table->note : "",
                           table->note != NULL ? " " : "", head);
    for (size_t i = 0, k = 0; i < m->n && at < sizeof text; i++)
        if (isnan(values[i]))
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%.60s",
                                   k++ > 0 ? ", " : "", name_of(m, i));
    if (at < sizeof text)
        snprintf(text + at, sizeof text - at, ".");
    table->note = tl_arena_strdup(m->arena, text);
    return table->note != NULL
               ? TL_OK
               : tl_fail(m->err, TL_ERR_NO_MEMORY, "no memory for an overview");
}

/* A last row of means over the studies that have a value; columns[c] [n]. */
static tl_status add_means(const maker *m, tl_table *table,
                           const tl_interval *const *columns)
{
    const char *cells[TL_TABLE_COLUMNS] = {"mean"};
    double *values = tl_arena_alloc(m->arena, m->n, sizeof *values);
    tl_status status = TL_OK;
    if (m->n < 2)
        return TL_OK;
    if (values == NULL)
        return tl_fail(m->err, TL_ERR_NO_MEMORY, "no memory for an overview");
    for (size_t c = 1; c < table->n_columns && status == TL_OK; c++) {
        if (columns[c] == NULL)
            continue;
        const tl_interval mean = tl_interval_mean(columns[c], m->n);
        cells[c] = interval(m, &mean);
        for (size_t i = 0; i < m->n; i++)
            values[i] = columns[c][i].value;
        status = note_left_out(m, table, table->heads[c], values);
    }
    return status == TL_OK ? add(m, table, cells) : status;
}

static const tl_interval missing = {NAN, NAN, NAN, NAN, 0, 0};

/* Columns [n] of numbers that are still missing. */
static tl_status take(const maker *m, tl_interval **columns, size_t n_columns)
{
    for (size_t c = 0; c < n_columns; c++) {
        columns[c] = tl_arena_alloc(m->arena, m->n, sizeof **columns);
        if (columns[c] == NULL)
            return tl_fail(m->err, TL_ERR_NO_MEMORY, "no memory for an overview");
        for (size_t i = 0; i < m->n; i++)
            columns[c][i] = missing;
    }
    return TL_OK;
}

/* ---- tables ---------------------------------------------------------------------- */

/* What the rows of all other tables are of. */
static tl_status inputs(const maker *m, tl_table *t)
{
    static const char *const heads[] = {"task", "model", "dataset"};
    *t = (tl_table){.name = "studies",
                    .title = "Studies",
                    .heads = heads,
                    .n_columns = 3,
                    .note = "Model and dataset: name (beginning of its hash)."};
    tl_status status = TL_OK;
    for (size_t i = 0; i < m->n && status == TL_OK; i++) {
        const tl_findings *f = &m->studies[i];
        char model[TL_INPUT_TEXT], dataset[TL_INPUT_TEXT];
        const char *const cells[] = {name_of(m, i), tl_input_text(f, "model", model),
                                     tl_input_text(f, "dataset", dataset)};
        status = add(m, t, cells);
    }
    return status;
}

static tl_status accuracies(const maker *m, tl_table *t)
{
    static const char *const heads[] = {"task",
                                        "n",
                                        "text",
                                        "image",
                                        "text, vocabulary",
                                        "image, vocabulary",
                                        "published text",
                                        "published image"};
    static const char *const over[] = {
        NULL,           NULL,           "over prompts", "over prompts",
        "over prompts", "over prompts", NULL,           NULL};
    *t = (tl_table){.name = "accuracy",
                    .title = "Accuracy",
                    .heads = heads,
                    .over = over,
                    .n_columns = m->any_published ? 8 : 6};
    tl_interval *columns[4];
    tl_status status = take(m, columns, 4);
    for (size_t i = 0; i < m->n && status == TL_OK; i++) {
        const tl_finding_part *text = &m->studies[i].parts[TL_TEXT],
                              *image = &m->studies[i].parts[TL_IMAGE];
        const tl_published *p = tl_published_find(&m->studies[i]);
        char n[64];
        if (text->present) {
            columns[0][i] = text->limited;
            columns[2][i] = text->full;
        }
        if (image->present) {
            columns[1][i] = image->limited;
            columns[3][i] = image->full;
        }
        snprintf(n, sizeof n, "%zu + %zu", text->n_prompts, image->n_prompts);
        const char *const cells[] = {name_of(m, i),
                                     n,
                                     interval(m, &columns[0][i]),
                                     interval(m, &columns[1][i]),
                                     interval(m, &columns[2][i]),
                                     interval(m, &columns[3][i]),
                                     published(m, i, p ? p->accuracy[TL_TEXT] : NAN),
                                     published(m, i, p ? p->accuracy[TL_IMAGE] : NAN)};
        status = add(m, t, cells);
    }
    const tl_interval *const all[] = {NULL,       NULL,       columns[0], columns[1],
                                      columns[2], columns[3], NULL,       NULL};
    return status == TL_OK ? add_means(m, t, all) : status;
}

/* Adds what is to be known of a study to the table's note. */
static tl_status note_study(const maker *m, tl_table *table, size_t i, const char *what)
{
    char text[2048];
    snprintf(text, sizeof text, "%s %.100s%.300s.",
             table->note != NULL ? table->note : "", name_of(m, i), what);
    table->note = tl_arena_strdup(m->arena, text);
    return table->note != NULL
               ? TL_OK
               : tl_fail(m->err, TL_ERR_NO_MEMORY, "no memory for an overview");
}

/* Why modalities have no circuits. */
static tl_status note_no_circuits(const maker *m, tl_table *table)
{
    tl_status status = TL_OK;
    for (size_t i = 0; i < m->n; i++)
        for (size_t k = 0; k < TL_MODALITY_COUNT && status == TL_OK; k++) {
            char text[320];
            const char *reason = m->studies[i].parts[k].no_circuits;
            if (reason == NULL)
                continue;
            snprintf(text, sizeof text, ", %s: no circuits: %.250s",
                     k == TL_TEXT ? "text" : "image", reason);
            status = note_study(m, table, i, text);
        }
    return status;
}

/* "3 %", or "3 %, not shown" */
static const char *size_of(const maker *m, const tl_finding_part *part, double fraction)
{
    char text[64];
    const char *size = share(m, fraction);
    if (part->is_shown || size == NULL)
        return size;
    snprintf(text, sizeof text, "%.32s, not shown", size);
    return tl_arena_strdup(m->arena, text);
}

static tl_status circuits(const maker *m, tl_table *t)
{
    static const char *const heads[] = {"task",
                                        "modality",
                                        "size",
                                        "faithfulness",
                                        "by activation difference",
                                        "random",
                                        "CPR",
                                        "CMD",
                                        "n",
                                        "published size",
                                        "published faithfulness"};
    static const char *const over[] = {NULL,
                                       NULL,
                                       NULL,
                                       "over prompts",
                                       "over prompts",
                                       "over prompts",
                                       "over prompts",
                                       "over prompts",
                                       NULL,
                                       NULL,
                                       NULL};
    *t = (tl_table){
        .name = "circuits",
        .title = "Smallest faithful circuits",
        .heads = heads,
        .over = over,
        .n_columns = m->any_published ? 11 : 9,
        .note =
            "Not shown: the interval does not lie above the threshold, or is of fewer "
            "than five prompts. CPR: area "
            "under the faithfulness curve; CMD: between it and 1."};
    tl_status status = TL_OK;
    double sizes[TL_MODALITY_COUNT] = {0.0, 0.0};
    size_t found[TL_MODALITY_COUNT] = {0, 0};
    for (size_t i = 0; i < m->n; i++)
        for (size_t k = 0; k < TL_MODALITY_COUNT && status == TL_OK; k++) {
            const tl_findings *f = &m->studies[i];
            const tl_finding_part *part = &f->parts[k];
            const tl_published *p = tl_published_find(f);
            const tl_finding_point *points[TL_STUDY_KIND_COUNT];
            char n[24];
            if (!part->present)
                continue;
            for (size_t s = 0; s < TL_STUDY_KIND_COUNT; s++)
                points[s] = tl_findings_smallest(part, (tl_study_kind)s);
            if (points[0] != NULL) {
                sizes[k] += points[0]->fraction;
                found[k]++;
            }
            snprintf(n, sizeof n, "%zu", part->n_evaluation);
            const bool done = part->n_points > 0;
            const tl_finding_area *area = tl_findings_area(f, part, TL_STUDY_CIRCUIT);
            const char *const cells[] = {
                name_of(m, i),
                k == TL_TEXT ? "text" : "image",
                points[0]           ? size_of(m, part, points[0]->fraction)
                : part->done        ? "none"
                : part->no_circuits ? "no circuits"
                                    : "-",
                interval(m, points[0] ? tl_findings_chosen(f, points[0]) : &missing),
                interval(m, points[1] ? tl_findings_chosen(f, points[1]) : &missing),
                interval(m, points[2] ? tl_findings_chosen(f, points[2]) : &missing),
                interval(m, done ? &area->performance : &missing),
                interval(m, done ? &area->distance : &missing),
                n,
                marked(m, i, share(m, p ? p->size[k] : NAN)),
                published(m, i, p ? p->faithfulness[k] : NAN)};
            status = add(m, t, cells);
        }
    if (status == TL_OK)
        status = note_no_circuits(m, t);
    for (size_t k = 0; k < TL_MODALITY_COUNT && status == TL_OK && m->n > 1; k++) {
        const char *const cells[TL_TABLE_COLUMNS] = {
            "mean", k == TL_TEXT ? "text" : "image",
            share(m, found[k] > 0 ? sizes[k] / (double)found[k] : NAN)};
        double *values = tl_arena_alloc(m->arena, m->n, sizeof *values);
        if (values == NULL)
            return tl_fail(m->err, TL_ERR_NO_MEMORY, "no memory for an overview");
        for (size_t i = 0; i < m->n; i++)
            values[i] = m->studies[i].parts[k].minimal.found ? 1.0 : NAN;
        status =
            note_left_out(m, t, k == TL_TEXT ? "text sizes" : "image sizes", values);
        if (found[k] > 0 && status == TL_OK)
            status = add(m, t, cells);
    }
    return status;
}

/* Which rows are of circuits that are not shown to be faithful. */
static tl_status note_not_shown(const maker *m, tl_table *table)
{
    tl_status status = TL_OK;
    for (size_t i = 0; i < m->n && status == TL_OK; i++) {
        char text[320];
        if (m->studies[i].not_shown == NULL)
            continue;
        snprintf(text, sizeof text, ": %.300s", m->studies[i].not_shown);
        status = note_study(m, table, i, text);
    }
    return status;
}

static const char *overlap_note(const maker *m)
{
    char text[200];
    snprintf(text, sizeof text, "IoU of heads and neurons, averaged; normalised: %s.",
             tl_draw_niou(&m->studies[0]));
    return tl_arena_strdup(m->arena, text);
}

static tl_status overlaps(const maker *m, tl_table *t)
{
    static const char *const heads[] = {"task",
                                        "data IoU",
                                        "data, normalised",
                                        "query IoU",
                                        "query, normalised",
                                        "generation IoU",
                                        "generation, normalised",
                                        "mean of segments, normalised",
                                        "whole IoU",
                                        "whole, normalised",
                                        "published data",
                                        "published query",
                                        "published generation"};
    static const char *const over[] = {NULL,
                                       NULL,
                                       "over prompts and draws",
                                       NULL,
                                       "over prompts and draws",
                                       NULL,
                                       "over prompts and draws",
                                       "over prompts and draws",
                                       NULL,
                                       "over prompts and draws",
                                       NULL,
                                       NULL,
                                       NULL};
    *t = (tl_table){.name = "overlap",
                    .title = "Overlap of the two circuits",
                    .heads = heads,
                    .over = over,
                    .n_columns = m->any_published ? 13 : 10,
                    .note = overlap_note(m)};
    enum { MEAN = TL_SEGMENT_COUNT, WHOLE, COLUMNS };
    tl_interval *columns[COLUMNS];
    tl_status status = take(m, columns, COLUMNS);
    size_t rows = 0;
    for (size_t i = 0; i < m->n && status == TL_OK; i++) {
        const tl_findings *f = &m->studies[i];
        const tl_published *p = tl_published_find(f);
        const char *cells[TL_TABLE_COLUMNS] = {name_of(m, i)};
        if (f->n_overlaps == 0)
            continue;
        for (size_t s = 0; s < TL_SEGMENT_COUNT; s++) {
            const tl_finding_overlap *o = tl_findings_overlap(f, (tl_segment)s, "both");
            if (o == NULL)
                continue;
            columns[s][i] = o->normalised;
            cells[1 + 2 * s] = number(m, o->row->iou);
            cells[2 + 2 * s] = interval(m, &o->normalised);
            cells[10 + s] = published(m, i, p ? p->overlap[s] : NAN);
        }
        const tl_finding_overlap *whole = tl_findings_whole_overlap(f, "both");
        columns[MEAN][i] = f->mean_overlap;
        cells[7] = interval(m, &f->mean_overlap);
        if (whole != NULL) {
            columns[WHOLE][i] = whole->normalised;
            cells[8] = number(m, whole->row->iou);
            cells[9] = interval(m, &whole->normalised);
        }
        rows++;
        status = add(m, t, cells);
    }
    const tl_interval *const all[TL_TABLE_COLUMNS] = {
        NULL, NULL,       columns[0],    NULL, columns[1],
        NULL, columns[2], columns[MEAN], NULL, columns[WHOLE]};
    if (status == TL_OK)
        status = note_not_shown(m, t);
    return status == TL_OK && rows > 1 ? add_means(m, t, all) : status;
}

static tl_status interchanges(const maker *m, tl_table *t)
{
    static const char *const heads[] = {"task",
                                        "data",
                                        "query",
                                        "generation",
                                        "published data",
                                        "published query",
                                        "published generation"};
    static const char *const over[] = {NULL,
                                       "over prompts and draws",
                                       "over prompts and draws",
                                       "over prompts and draws",
                                       NULL,
                                       NULL,
                                       NULL};
    *t = (tl_table){.name = "interchange",
                    .title = "Interchange: a segment of the other circuit",
                    .heads = heads,
                    .over = over,
                    .n_columns = m->any_published ? 7 : 4,
                    .note =
                        "Normalised faithfulness over both modalities: 0 as a random "
                        "part, 1 as its own."};
    tl_status status = TL_OK;
    for (size_t i = 0; i < m->n && status == TL_OK; i++) {
        const tl_findings *f = &m->studies[i];
        const tl_published *p = tl_published_find(f);
        const char *cells[TL_TABLE_COLUMNS] = {name_of(m, i)};
        if (!f->has_swaps[TL_TEXT] || !f->has_swaps[TL_IMAGE])
            continue;
        for (size_t s = 0; s < TL_SEGMENT_COUNT; s++) {
            cells[1 + s] = interval(m, &f->swapped[s]);
            cells[4 + s] = published(m, i, p ? p->interchange[s] : NAN);
        }
        status = add(m, t, cells);
    }
    return status == TL_OK ? note_not_shown(m, t) : status;
}

static tl_status alignments(const maker *m, tl_table *t)
{
    static const char *const heads[] = {"task",
                                        "first layer",
                                        "middle",
                                        "peak",
                                        "at layer",
                                        "last layer",
                                        "peak minus other content",
                                        "peak minus other, centred",
                                        "n"};
    static const char *const over[] = {
        NULL, "over pairs of prompts", "over pairs of prompts", "over pairs of prompts",
        NULL, "over pairs of prompts", "over pairs of prompts", "over pairs of prompts",
        NULL};
    *t = (tl_table){
        .name = "alignment",
        .title = "Alignment of image tokens with text tokens",
        .heads = heads,
        .over = over,
        .n_columns = 9,
        .note = "Mean largest cosine, after a layer; layers are counted from 0. "
                "Minus other content: at the peak, minus the same with a text "
                "of other words and another answer; centred: each modality's mean "
                "state taken away."};
    tl_status status = TL_OK;
    for (size_t i = 0; i < m->n && status == TL_OK; i++) {
        const tl_findings *f = &m->studies[i];
        size_t peak = 0;
        char layer[48], n[24];
        if (f->n_layers == 0)
            continue;
        for (size_t l = 0; l < f->n_layers; l++)
            if (f->layers[l].matched.value > f->layers[peak].matched.value)
                peak = l;
        snprintf(layer, sizeof layer, "%zu of %zu", peak, f->n_layers);
        snprintf(n, sizeof n, "%zu", f->layers[0].matched.n);
        const char *const cells[] = {name_of(m, i),
                                     interval(m, &f->layers[0].matched),
                                     interval(m, &f->layers[f->n_layers / 2].matched),
                                     interval(m, &f->layers[peak].matched),
                                     layer,
                                     interval(m, &f->layers[f->n_layers - 1].matched),
                                     interval(m, &f->layers[peak].difference),
                                     interval(m, &f->layers[peak].centred_difference),
                                     n};
        status = add(m, t, cells);
    }
    return status;
}

/* A cell that a search found is marked. */
static const char *cell_text(const maker *m, size_t source, size_t destination,
                             size_t window, bool is_found)
{
    char text[80];
    snprintf(text, sizeof text, "%zu into %zu (%zu)%s", source, destination, window,
             is_found ? " *" : "");
    return tl_arena_strdup(m->arena, text);
}

/* Over all studies as one sum: the share of a single small gap says little, so that their mean
 * stands only beside the published one, which was made so. */
static const char *gap_note(const maker *m)
{
    tl_gap_closed g, here;
    bool any_search = false;
    char gaps[800] = "", text[1400];
    for (size_t i = 0; i < m->n; i++)
        any_search = any_search || m->studies[i].backpatch.n_rounds > 0;
    if (m->n >= 2 && tl_findings_gap(m->studies, m->n, true, &g, NULL) == TL_OK &&
        tl_findings_gap(m->studies, m->n, false, &here, NULL) == TL_OK && here.n > 0) {
        const int used = snprintf(
            gaps, sizeof gaps,
            " All gains together as a share of all gaps together, over %zu of %zu "
            "studies, those with a gap: %s by cells chosen on other prompts, %s by the "
            "best on the same prompts; mean gain of %zu %s and %s. Intervals resample "
            "studies.",
            g.n, m->n, interval(m, &g.pooled), interval(m, &here.pooled), g.mean_gain.n,
            interval(m, &g.mean_gain), interval(m, &here.mean_gain));
        if (m->any_published && used > 0 && (size_t)used < sizeof gaps)
            snprintf(gaps + used, sizeof gaps - (size_t)used,
                     " The published way, the mean of the %zu shares in 0 to 1: %s.",
                     here.published_way.n, interval(m, &here.published_way));
    }
    snprintf(
        text, sizeof text,
        "Cell: from layer into layer (window), layers counted from 0. Crossed: chosen "
        "on other prompts; so "
        "are "
        "exact p, of as many prompts fixed and broken, and the gap closed. p: that the "
        "best of all cells is chance.%s%s",
        any_search ? " With an asterisk: found by a search, all that is said of it "
                     "on n prompts that no round saw, p of that cell alone, and no "
                     "worse than text of a sample of cells."
                   : "",
        gaps);
    return tl_arena_strdup(m->arena, text);
}

static tl_status backpatches(const maker *m, tl_table *t)
{
    static const char *const heads[] = {"task",
                                        "image",
                                        "best cell",
                                        "its accuracy",
                                        "its gain",
                                        "p of the best",
                                        "gain, crossed",
                                        "exact p, crossed",
                                        "gap closed",
                                        "no worse than text",
                                        "n",
                                        "published cell",
                                        "published accuracy"};
    static const char *const over[] = {
        NULL, "over prompts", NULL, "over prompts", "over prompts",
        NULL, "over prompts", NULL, "over prompts", "over prompts",
        NULL, NULL,           NULL};
    *t = (tl_table){.name = "backpatch",
                    .title = "Back-patching of image states",
                    .heads = heads,
                    .over = over,
                    .n_columns = m->any_published ? 13 : 11,
                    .note = gap_note(m)};
    tl_status status = TL_OK;
    for (size_t i = 0; i < m->n && status == TL_OK; i++) {
        const tl_findings *f = &m->studies[i];
        const tl_finding_backpatch *b = &f->backpatch;
        const tl_published *p = tl_published_find(f);
        char n[24];
        if (b->n_cells == 0)
            continue;
        const tl_finding_cell *best = &b->cells[b->best];
        snprintf(n, sizeof n, "%zu",
                 b->n_rounds > 0 ? b->chosen_elsewhere.gain.n : b->n);
        const char *const cells[] = {
            name_of(m, i),
            interval(m, &b->clean[TL_IMAGE]),
            cell_text(m, best->source, best->destination, best->window,
                      b->n_rounds > 0),
            interval(m, &b->chosen_here.accuracy),
            interval(m, &b->chosen_here.gain),
            number(m, b->p),
            interval(m, &b->chosen_elsewhere.gain),
            number(m, b->chosen_elsewhere.p),
            interval(m, &b->chosen_elsewhere.closed),
            interval(m, &b->no_worse),
            n,
            marked(m, i,
                   p ? cell_text(m, p->best.source, p->best.destination, p->best.window,
                                 false)
                     : NULL),
            published(m, i, p ? p->backpatched : NAN)};
        status = add(m, t, cells);
    }
    return status;
}

static tl_status iterations(const maker *m, tl_table *t)
{
    static const char *const heads[] = {"task", "0",         "1",         "2", "4",
                                        "9",    "2 minus 1", "9 minus 1", "n"};
    static const size_t times[] = {0, 1, 2, 4, 9}, later[] = {2, 9};
    enum { TIMES = sizeof times / sizeof *times };
    static const char *const over[] = {NULL,           "over prompts", "over prompts",
                                       "over prompts", "over prompts", "over prompts",
                                       "over prompts", "over prompts", NULL};
    *t = (tl_table){
        .name = "iterations",
        .title = "Accuracy after patching a cell 0, 1, ... times",
        .heads = heads,
        .over = over,
        .n_columns = 9,
        .note = "The cell was chosen on other prompts than these; minus 1: the paired "
                "difference from patching it once."};
    tl_status status = TL_OK;
    for (size_t i = 0; i < m->n && status == TL_OK; i++) {
        const tl_finding_backpatch *b = &m->studies[i].backpatch;
        const char *cells[TL_TABLE_COLUMNS] = {name_of(m, i)};
        char n[24];
        if (b->n_times == 0)
            continue;
        for (size_t k = 0; k < TIMES; k++)
            if (times[k] < b->n_times)
                cells[1 + k] = interval(m, &b->times[times[k]].accuracy);
        for (size_t k = 0; k < 2; k++)
            if (later[k] < b->n_times)
                cells[1 + TIMES + k] = interval(m, &b->times[later[k]].above_once);
        snprintf(n, sizeof n, "%zu", b->times[0].accuracy.n);
        cells[8] = n;
        status = add(m, t, cells);
    }
    return status;
}

tl_status tl_overview_make(const tl_findings *studies, size_t n_studies,
                           tl_arena *arena, tl_overview *out, tl_error *err)
{
    static tl_status (*const makers[])(const maker *, tl_table *) = {
        inputs,       accuracies, circuits,    overlaps,
        interchanges, alignments, backpatches, iterations};
    enum { TABLES = sizeof makers / sizeof *makers };
    maker m = {.studies = studies, .n = n_studies, .arena = arena, .err = err};
    for (size_t i = 0; i < n_studies; i++)
        m.any_published = m.any_published || tl_published_find(&studies[i]) != NULL;
    tl_table *tables = tl_arena_alloc_zero(arena, TABLES, sizeof *tables);
    if (tables == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an overview");
    size_t n = 0;
    tl_status status = TL_OK;
    for (size_t i = 0; i < TABLES && status == TL_OK; i++) {
        status = makers[i](&m, &tables[n]);
        n += status == TL_OK && tables[n].n_rows > 0;
    }
    if (status == TL_OK)
        *out = (tl_overview){tables, n};
    return status;
}
