/* SPDX-License-Identifier: MIT
 * summary.c - see summary.h. */
#include "cli/summary.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/findings.h"
#include "store/study_db.h"

static const char *const modality_names[TL_MODALITY_COUNT] = {"text", "image"};
static const char *const kind_names[TL_STUDY_KIND_COUNT] = {"circuit", "magnitude",
                                                            "random"};

typedef struct part {
    bool present; /* has prompts */
    bool done;
    size_t n_prompts, n_limited, n_full;
    size_t n_pos, data_begin, data_end;
    size_t n_discovery, n_evaluation;
    const tl_study_point *curves[TL_STUDY_KIND_COUNT];
    size_t n_points;
    tl_study_minimal minimal;
    tl_study_scores scores;
} part;

typedef struct summary {
    const char *folder, *program, *task, *model, *dataset, *backend;
    const char *keep, *faith, *threshold;
    part parts[TL_MODALITY_COUNT];
    tl_findings findings;
    bool finished;
} summary;

/* ---- from the store ---------------------------------------------------------- */

static tl_status read_part(const tl_study_db *db, tl_modality modality, tl_arena *arena,
                           part *p, tl_error *err)
{
    const tl_study_prompt *prompts = NULL;
    const tl_study_pair *pairs = NULL;
    tl_status status =
        tl_study_db_get_prompts(db, modality, arena, &prompts, &p->n_prompts, err);
    for (size_t i = 0; i < p->n_prompts && status == TL_OK; i++) {
        p->n_limited += prompts[i].correct_limited;
        p->n_full += prompts[i].correct_full;
    }
    p->present = p->n_prompts > 0;
    if (status == TL_OK)
        status = tl_study_db_get_pairs(db, modality, TL_STUDY_EVALUATION, arena, &pairs,
                                       &p->n_evaluation, err);
    if (status == TL_OK)
        status = tl_study_db_get_pairs(db, modality, TL_STUDY_DISCOVERY, arena, &pairs,
                                       &p->n_discovery, err);
    /* The pairs are of one length; other prompts need not be. */
    for (size_t i = 0; i < p->n_prompts && status == TL_OK && p->n_discovery > 0; i++)
        if (prompts[i].row == pairs[0].row) {
            p->n_pos = prompts[i].n_pos;
            p->data_begin = prompts[i].data_begin;
            p->data_end = prompts[i].data_end;
        }
    for (size_t k = 0; k < TL_STUDY_KIND_COUNT && status == TL_OK; k++)
        status = tl_study_db_get_curve(db, modality, (tl_study_kind)k, arena,
                                       &p->curves[k], &p->n_points, err);
    if (status == TL_OK)
        status = tl_study_db_get_minimal(db, modality, &p->minimal, &p->done, err);
    if (status == TL_OK)
        status = tl_study_db_get_scores(db, modality, arena, &p->scores, err);
    if (status == TL_OK && p->minimal.found && p->minimal.point >= p->n_points)
        status = tl_fail(err, TL_ERR_FORMAT, "the minimal circuit is not on the curve");
    return status;
}

static tl_status read_summary(const char *folder, tl_arena *arena, summary *out,
                              tl_error *err)
{
    summary s = {.folder = folder};
    tl_study_db *db = NULL;
    const struct {
        const char *key, **value;
    } keys[] = {
        {"program", &s.program}, {"task", &s.task},           {"model", &s.model},
        {"dataset", &s.dataset}, {"backend", &s.backend},     {"keep", &s.keep},
        {"faith", &s.faith},     {"threshold", &s.threshold},
    };
    tl_status status = tl_study_db_open(folder, TL_STUDY_READ, &db, err);
    for (size_t i = 0; i < sizeof keys / sizeof *keys && status == TL_OK; i++) {
        status = tl_study_db_get_key(db, keys[i].key, arena, keys[i].value, err);
        if (status == TL_OK && *keys[i].value == NULL)
            status = tl_fail(err, TL_ERR_NOT_FOUND, "%s: the study there has not begun",
                             folder);
    }
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++)
        status = tl_fail_while(
            err, read_part(db, (tl_modality)m, arena, &s.parts[m], err), "%s", folder);
    size_t n_points = 0;
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        n_points = s.parts[m].n_points > n_points ? s.parts[m].n_points : n_points;
    if (status == TL_OK)
        status = tl_study_db_has_stage(db, "all", &s.finished, err);
    if (status == TL_OK && n_points > 0)
        status = tl_fail_while(
            err, tl_findings_read(db, n_points, arena, &s.findings, err), "%s", folder);
    if (status == TL_OK)
        *out = s;
    tl_study_db_close(db);
    return status;
}

static double chosen(const summary *s, const tl_study_point *point)
{
    return strcmp(s->faith, "ratio_mean") == 0 ? point->ratio_of_means
                                               : point->mean_of_ratios;
}

static double share(size_t n, size_t of)
{
    return of > 0 ? (double)n / (double)of : NAN;
}

/* "text" -> "5 %"; the digits stay those that were written. */
static void percent_text(const char *fraction, char *text, size_t bytes)
{
    double value = 0.0;
    if (sscanf(fraction, "%lf", &value) == 1)
        snprintf(text, bytes, "%.4g %%", 100.0 * value);
    else
        snprintf(text, bytes, "%s", fraction);
}

/* "0.873", or "-" where there is no number. */
static const char *number_text(double value, char text[32])
{
    if (isnan(value))
        snprintf(text, 32, "-");
    else
        snprintf(text, 32, "%.3f", fabs(value) < 0.0005 ? 0.0 : value);
    return text;
}

/* ---- for a person ------------------------------------------------------------ */

enum { LABEL = 36, COLUMN = 18 };

/* A row of the table: a label, then what `write` says of each modality. */
static void print_row(const summary *s, FILE *out, const char *label,
                      void (*write)(const summary *s, const part *p, char text[64]))
{
    fprintf(out, "%-*s", LABEL, label);
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        char text[64] = "-";
        if (!s->parts[m].present)
            continue;
        write(s, &s->parts[m], text);
        fprintf(out, "%*s", COLUMN, text);
    }
    fputc('\n', out);
}

static void say_prompts(const summary *s, const part *p, char text[64])
{
    (void)s;
    snprintf(text, 64, "%zu", p->n_prompts);
}

static void say_limited(const summary *s, const part *p, char text[64])
{
    (void)s;
    snprintf(text, 64, "%.3f", share(p->n_limited, p->n_prompts));
}

static void say_full(const summary *s, const part *p, char text[64])
{
    (void)s;
    snprintf(text, 64, "%.3f", share(p->n_full, p->n_prompts));
}

static void say_parts(const summary *s, const part *p, char text[64])
{
    (void)s;
    if (p->n_discovery > 0)
        snprintf(text, 64, "%zu / %zu", p->n_discovery, p->n_evaluation);
}

static void say_positions(const summary *s, const part *p, char text[64])
{
    (void)s;
    if (p->n_pos > 0)
        snprintf(text, 64, "%zu (%zu..%zu)", p->n_pos, p->data_begin, p->data_end);
}

static const tl_study_point *smallest(const part *p, tl_study_kind kind)
{
    return p->minimal.found ? &p->curves[kind][p->minimal.point] : NULL;
}

static void say_size(const summary *s, const part *p, char text[64])
{
    (void)s;
    if (p->minimal.found)
        percent_text(smallest(p, TL_STUDY_CIRCUIT)->fraction, text, 64);
    else if (p->done)
        snprintf(text, 64, "none");
}

static void say_heads(const summary *s, const part *p, char text[64])
{
    (void)s;
    if (p->minimal.found)
        snprintf(text, 64, "%zu of %zu", smallest(p, TL_STUDY_CIRCUIT)->n_heads,
                 p->scores.n_layers * p->scores.n_pos * p->scores.n_heads);
}

static void say_neurons(const summary *s, const part *p, char text[64])
{
    (void)s;
    if (p->minimal.found)
        snprintf(text, 64, "%zu of %zu", smallest(p, TL_STUDY_CIRCUIT)->n_neurons,
                 p->scores.n_layers * p->scores.n_pos * p->scores.d_mlp);
}

static void say_mean_of_ratios(const summary *s, const part *p, char text[64])
{
    (void)s;
    if (p->minimal.found)
        number_text(smallest(p, TL_STUDY_CIRCUIT)->mean_of_ratios, text);
}

static void say_ratio_of_means(const summary *s, const part *p, char text[64])
{
    (void)s;
    if (p->minimal.found)
        number_text(smallest(p, TL_STUDY_CIRCUIT)->ratio_of_means, text);
}

static void say_median(const summary *s, const part *p, char text[64])
{
    (void)s;
    if (p->minimal.found)
        number_text(smallest(p, TL_STUDY_CIRCUIT)->median, text);
}

/* Areas under and away from 1 of the curves of a kind. */
static tl_curve_area area_of(const summary *s, const part *p, tl_study_kind kind)
{
    enum { MOST = 256 };
    double x[MOST], y[MOST];
    const size_t n = p->n_points < MOST ? p->n_points : MOST;
    for (size_t i = 0; i < n; i++) {
        x[i] = strtod(p->curves[kind][i].fraction, NULL);
        y[i] = chosen(s, &p->curves[kind][i]);
    }
    return tl_curve_measure(x, y, n);
}

static void say_area(const summary *s, const part *p, char text[64])
{
    char a[32], b[32], c[32];
    if (p->n_points > 0)
        snprintf(text, 64, "%.18s %.18s %.18s",
                 number_text(area_of(s, p, TL_STUDY_CIRCUIT).performance, a),
                 number_text(area_of(s, p, TL_STUDY_MAGNITUDE).performance, b),
                 number_text(area_of(s, p, TL_STUDY_RANDOM).performance, c));
}

static void say_distance(const summary *s, const part *p, char text[64])
{
    char a[32], b[32], c[32];
    if (p->n_points > 0)
        snprintf(text, 64, "%.18s %.18s %.18s",
                 number_text(area_of(s, p, TL_STUDY_CIRCUIT).distance, a),
                 number_text(area_of(s, p, TL_STUDY_MAGNITUDE).distance, b),
                 number_text(area_of(s, p, TL_STUDY_RANDOM).distance, c));
}

static void say_magnitude(const summary *s, const part *p, char text[64])
{
    if (p->minimal.found)
        number_text(chosen(s, smallest(p, TL_STUDY_MAGNITUDE)), text);
}

static void say_random(const summary *s, const part *p, char text[64])
{
    if (p->minimal.found)
        number_text(chosen(s, smallest(p, TL_STUDY_RANDOM)), text);
}

static void say_count(const summary *s, const part *p, char text[64])
{
    (void)s;
    if (p->n_points > 0)
        snprintf(text, 64, "%zu (%zu)", p->curves[TL_STUDY_CIRCUIT][0].n,
                 p->curves[TL_STUDY_CIRCUIT][0].n_excluded);
}

static void print_curves(const summary *s, FILE *out)
{
    size_t n = 0;
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        n = s->parts[m].n_points > n ? s->parts[m].n_points : n;
    if (n == 0)
        return;
    fprintf(out, "\nfaithfulness (%s) by size\n%-*s",
            strcmp(s->faith, "ratio_mean") == 0 ? "ratio of means" : "mean of ratios",
            LABEL, "size");
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        if (s->parts[m].present)
            fprintf(out, "%9s%10s%9s", modality_names[m], "magnitude", "random");
    fputc('\n', out);
    for (size_t i = 0; i < n; i++) {
        bool labelled = false;
        for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
            const part *p = &s->parts[m];
            char text[32];
            if (!p->present)
                continue;
            if (!labelled && i < p->n_points) {
                percent_text(p->curves[0][i].fraction, text, sizeof text);
                fprintf(out, "%-*s", LABEL, text);
                labelled = true;
            }
            for (size_t k = 0; k < TL_STUDY_KIND_COUNT; k++)
                fprintf(out, k == TL_STUDY_MAGNITUDE ? "%10s" : "%9s",
                        number_text(i < p->n_points ? chosen(s, &p->curves[k][i]) : NAN,
                                    text));
        }
        fputc('\n', out);
    }
}

/* How far the two circuits are the same parts, and do the same job. */
static void print_comparison(const summary *s, FILE *out)
{
    const tl_findings *f = &s->findings;
    char a[32], b[32], c[32];
    if (f->n_overlaps > 0)
        fprintf(out, "\noverlap of the two circuits (IoU)\n%-*s%9s%9s%12s\n", LABEL,
                "segment", "IoU", "random", "normalised");
    for (size_t i = 0; i < f->n_overlaps; i++) {
        const tl_study_overlap *o = &f->overlaps[i];
        char label[LABEL + 1];
        snprintf(label, sizeof label, "%s, %s", o->segment, o->kind);
        fprintf(out, "%-*s%9s%9s%12s\n", LABEL, label, number_text(o->iou, a),
                number_text(o->random, b),
                number_text(tl_overlap_normalised(o->iou, o->random), c));
    }
    if (!f->has_swaps[TL_TEXT] && !f->has_swaps[TL_IMAGE])
        return;
    fprintf(out,
            "\ninterchange: a circuit with a segment of the other's (faithfulness, "
            "ratio of means)\n%-*s%9s%9s%9s%12s  95 %%\n",
            LABEL, "segment, evaluated on", "swapped", "random", "own", "normalised");
    for (size_t seg = 0; seg < TL_SEGMENT_COUNT; seg++)
        for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
            const tl_finding_swap *w = &f->swaps[m][seg];
            char label[LABEL + 1], d[32], low[32], high[32];
            if (!f->has_swaps[m])
                continue;
            snprintf(label, sizeof label, "%s, %s", tl_segment_name((tl_segment)seg),
                     modality_names[m]);
            fprintf(out, "%-*s%9s%9s%9s%12s  %s to %s\n", LABEL, label,
                    number_text(w->value, a), number_text(w->random, b),
                    number_text(w->own, c), number_text(w->normalised.value, d),
                    number_text(w->normalised.low, low),
                    number_text(w->normalised.high, high));
        }
}

static void print_interval(const tl_interval *i, FILE *out)
{
    char value[32], low[32], high[32];
    fprintf(out, "%9s (%s to %s)", number_text(i->value, value),
            number_text(i->low, low), number_text(i->high, high));
}

/* In which layer image tokens look like the words for the same content. */
static void print_alignment(const summary *s, FILE *out)
{
    const tl_findings *f = &s->findings;
    if (f->n_layers == 0)
        return;
    fprintf(out,
            "\nalignment of image tokens with text tokens, %zu pairs: mean largest "
            "cosine (95 %%)\n%-8s%26s%26s%26s\n",
            f->layers[0].matched.n, "layer", "same content", "less other content",
            "the same, centred");
    for (size_t l = 0; l < f->n_layers; l++) {
        fprintf(out, "%-8zu", l);
        print_interval(&f->layers[l].matched, out);
        print_interval(&f->layers[l].difference, out);
        print_interval(&f->layers[l].centred_difference, out);
        fputc('\n', out);
    }
}

/* By how much late states help when early layers see them. */
static void print_backpatch(const summary *s, FILE *out)
{
    const tl_finding_backpatch *b = &s->findings.backpatch;
    char text[32];
    if (b->n_cells == 0)
        return;
    const tl_study_cell *best = &b->cells[b->best];
    fprintf(out,
            "\nback-patching of image states, %zu pairs, %zu cells: accuracy among the "
            "labels (95 %%)\n",
            b->n, b->n_cells);
    fprintf(out, "%-*s", LABEL, "text prompts");
    print_interval(&b->clean[TL_TEXT], out);
    fprintf(out, "\n%-*s", LABEL, "image prompts");
    print_interval(&b->clean[TL_IMAGE], out);
    char label[64];
    snprintf(label, sizeof label, "best: layer %zu into %zu, window %zu", best->source,
             best->destination, best->window);
    fprintf(out, "\n%-*s", LABEL, label);
    print_interval(&b->best_accuracy, out);
    fprintf(out, "\n%-*s", LABEL, "gain of that cell");
    print_interval(&b->gain, out);
    fprintf(out, "\n%-*s%9s\n", LABEL, "gain, chosen on other prompts",
            number_text(b->crossed_gain, text));
    fprintf(out, "%-*s%9s\n", LABEL, "p that the best is chance",
            number_text(b->p, text));
    fprintf(out, "%-*s%9s\n", LABEL, "gap to text closed",
            number_text(b->closed, text));
    fprintf(out, "%-*s%9s\n", LABEL, "cells no worse than on text",
            number_text(b->no_worse, text));
    if (b->n_iterations == 0)
        return;
    fprintf(out, "%-*s", LABEL, "accuracy, that cell 0, 1, ... times");
    for (size_t i = 0; i < b->n_iterations; i++)
        fprintf(out, " %s", number_text(b->iterations[i], text));
    fputc('\n', out);
}

static void write_person(const summary *s, FILE *out)
{
    fprintf(out, "task      %s\n", s->task[0] != '\0' ? s->task : "(without a name)");
    fprintf(out, "made by   %s, backend %s, model %.12s, dataset %.12s\n", s->program,
            s->backend, s->model, s->dataset);
    fprintf(out, "\n%-*s", LABEL, "");
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        if (s->parts[m].present) {
            fprintf(out, "%*s", COLUMN, modality_names[m]);
        }
    fputc('\n', out);
    print_row(s, out, "prompts", say_prompts);
    print_row(s, out, "accuracy among the labels", say_limited);
    print_row(s, out, "accuracy in the vocabulary", say_full);
    print_row(s, out, "discovery / evaluation", say_parts);
    print_row(s, out, "positions (of the data)", say_positions);
    print_row(s, out, "evaluated (excluded)", say_count);
    print_curves(s, out);
    print_row(s, out, "area under it (CPR), of the three", say_area);
    print_row(s, out, "area between it and 1 (CMD)", say_distance);
    fprintf(out, "\nsmallest circuit with faithfulness above %s\n", s->threshold);
    print_row(s, out, "size", say_size);
    print_row(s, out, "heads", say_heads);
    print_row(s, out, "neurons", say_neurons);
    print_row(s, out, "faithfulness, mean of ratios", say_mean_of_ratios);
    print_row(s, out, "faithfulness, ratio of means", say_ratio_of_means);
    print_row(s, out, "faithfulness, median", say_median);
    print_row(s, out, "that size by activation difference", say_magnitude);
    print_row(s, out, "random circuit of that size", say_random);
    print_comparison(s, out);
    print_alignment(s, out);
    print_backpatch(s, out);
    fprintf(out, "\n%s in %s: " TL_STUDY_DB_NAME,
            s->finished ? "results" : "unfinished", s->folder);
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        if (s->parts[m].scores.file != NULL)
            fprintf(out, ", %s", s->parts[m].scores.file);
    fputc('\n', out);
}

/* ---- for a program ----------------------------------------------------------- */

static json_t *json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *point_json(const tl_study_point *p)
{
    return json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:I, s:I}", "fraction",
                     p->fraction, "n_heads", (json_int_t)p->n_heads, "n_neurons",
                     (json_int_t)p->n_neurons, "mean_of_ratios",
                     json_number(p->mean_of_ratios), "ratio_of_means",
                     json_number(p->ratio_of_means), "median", json_number(p->median),
                     "n", (json_int_t)p->n, "n_excluded", (json_int_t)p->n_excluded);
}

static json_t *part_json(const summary *s, const part *p)
{
    json_t *curves = json_object(), *areas = json_object();
    for (size_t k = 0; k < TL_STUDY_KIND_COUNT; k++) {
        json_t *curve = json_array();
        for (size_t i = 0; i < p->n_points; i++)
            json_array_append_new(curve, point_json(&p->curves[k][i]));
        json_object_set_new(curves, kind_names[k], curve);
        const tl_curve_area area = area_of(s, p, (tl_study_kind)k);
        json_object_set_new(areas, kind_names[k],
                            json_pack("{s:o, s:o}", "cpr",
                                      json_number(area.performance), "cmd",
                                      json_number(area.distance)));
    }
    json_t *minimal = json_null();
    if (p->minimal.found)
        minimal = json_pack("{s:o, s:o, s:o}", "circuit",
                            point_json(smallest(p, TL_STUDY_CIRCUIT)), "magnitude",
                            point_json(smallest(p, TL_STUDY_MAGNITUDE)), "random",
                            point_json(smallest(p, TL_STUDY_RANDOM)));
    return json_pack(
        "{s:I, s:o, s:o, s:I, s:I, s:I, s:[I,I], s:o, s:o, s:o, s:b, s:s?}", "prompts",
        (json_int_t)p->n_prompts, "accuracy_limited",
        json_number(share(p->n_limited, p->n_prompts)), "accuracy_full",
        json_number(share(p->n_full, p->n_prompts)), "discovery",
        (json_int_t)p->n_discovery, "evaluation", (json_int_t)p->n_evaluation,
        "positions", (json_int_t)p->n_pos, "data", (json_int_t)p->data_begin,
        (json_int_t)p->data_end, "curves", curves, "areas", areas, "minimal", minimal,
        "finished", (int)p->done, "scores", p->scores.file);
}

static json_t *overlaps_json(const tl_findings *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < f->n_overlaps; i++) {
        const tl_study_overlap *o = &f->overlaps[i];
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:o, s:o, s:o, s:b, s:o, s:o, s:o}", "segment",
                            o->segment, "kind", o->kind, "iou", json_number(o->iou),
                            "in_text", json_number(o->in_text), "in_image",
                            json_number(o->in_image), "empty", (int)o->is_empty,
                            "random", json_number(o->random), "deviation",
                            json_number(o->deviation), "normalised",
                            json_number(tl_overlap_normalised(o->iou, o->random))));
    }
    return list;
}

static json_t *swaps_json(const tl_findings *f)
{
    json_t *list = json_array();
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        for (size_t seg = 0; seg < TL_SEGMENT_COUNT && f->has_swaps[m]; seg++) {
            const tl_finding_swap *w = &f->swaps[m][seg];
            json_array_append_new(
                list, json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:[o,o], s:I}", "host",
                                modality_names[m], "swapped",
                                tl_segment_name((tl_segment)seg), "faithfulness",
                                json_number(w->value), "random", json_number(w->random),
                                "own", json_number(w->own), "normalised",
                                json_number(w->normalised.value), "interval",
                                json_number(w->normalised.low),
                                json_number(w->normalised.high), "n",
                                (json_int_t)w->normalised.n));
        }
    return list;
}

static json_t *interval_json(const tl_interval *i)
{
    return json_pack("{s:o, s:[o,o], s:I}", "value", json_number(i->value), "interval",
                     json_number(i->low), json_number(i->high), "n", (json_int_t)i->n);
}

static json_t *layers_json(const tl_findings *f)
{
    json_t *list = json_array();
    for (size_t l = 0; l < f->n_layers; l++) {
        const tl_finding_layer *x = &f->layers[l];
        json_array_append_new(
            list, json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "layer",
                            (json_int_t)l, "matched", interval_json(&x->matched),
                            "other", interval_json(&x->other), "difference",
                            interval_json(&x->difference), "centred_matched",
                            interval_json(&x->centred_matched), "centred_other",
                            interval_json(&x->centred_other), "centred_difference",
                            interval_json(&x->centred_difference)));
    }
    return list;
}

static json_t *backpatch_json(const tl_findings *f)
{
    const tl_finding_backpatch *b = &f->backpatch;
    if (b->n_cells == 0)
        return json_null();
    json_t *cells = json_array(), *iterations = json_array();
    for (size_t c = 0; c < b->n_cells; c++)
        json_array_append_new(cells,
                              json_pack("{s:I, s:I, s:I, s:f, s:f}", "window",
                                        (json_int_t)b->cells[c].window, "source",
                                        (json_int_t)b->cells[c].source, "destination",
                                        (json_int_t)b->cells[c].destination,
                                        "accuracy_image", b->accuracy[TL_IMAGE][c],
                                        "accuracy_text", b->accuracy[TL_TEXT][c]));
    for (size_t i = 0; i < b->n_iterations; i++)
        json_array_append_new(iterations, json_real(b->iterations[i]));
    return json_pack("{s:I, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                     "n", (json_int_t)b->n, "text", interval_json(&b->clean[TL_TEXT]),
                     "image", interval_json(&b->clean[TL_IMAGE]), "best",
                     (json_int_t)b->best, "best_accuracy",
                     interval_json(&b->best_accuracy), "gain", interval_json(&b->gain),
                     "crossed_gain", json_number(b->crossed_gain), "p",
                     json_number(b->p), "gap_closed", json_number(b->closed),
                     "cells_no_worse_than_on_text", json_number(b->no_worse),
                     "iterations", iterations, "cells", cells);
}

static tl_status write_program(const summary *s, FILE *out, tl_error *err)
{
    json_t *root = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "task",
                             s->task, "program", s->program, "backend", s->backend,
                             "model", s->model, "dataset", s->dataset, "keep", s->keep,
                             "faith", s->faith, "threshold", s->threshold);
    json_t *parts = json_object();
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        if (s->parts[m].present)
            json_object_set_new(parts, modality_names[m], part_json(s, &s->parts[m]));
    tl_status status = TL_OK;
    json_object_set_new(root, "overlap", overlaps_json(&s->findings));
    json_object_set_new(root, "interchange", swaps_json(&s->findings));
    json_object_set_new(root, "alignment", layers_json(&s->findings));
    json_object_set_new(root, "backpatch", backpatch_json(&s->findings));
    json_object_set_new(root, "finished", json_boolean(s->finished));
    if (root == NULL || json_object_set(root, "modalities", parts) != 0)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", s->folder);
    else if (json_dumpf(root, out, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) != 0)
        status = tl_fail(err, TL_ERR_IO, "cannot write the result");
    else
        fputc('\n', out);
    json_decref(parts);
    json_decref(root);
    return status;
}

/* ---- many studies ------------------------------------------------------------ */

static void write_lines(const summary *s, FILE *out)
{
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const part *p = &s->parts[m];
        char size[64] = "-", a[32], b[32];
        if (!p->present)
            continue;
        say_size(s, p, size);
        const tl_study_point *circuit = smallest(p, TL_STUDY_CIRCUIT);
        const tl_study_point *random = smallest(p, TL_STUDY_RANDOM);
        fprintf(out, "%-16s %-8s %5zu %9.3f %10zu %8s %8zu %8zu %13s %8s\n",
                s->task[0] != '\0' ? s->task : s->folder, modality_names[m],
                p->n_prompts, share(p->n_limited, p->n_prompts), p->n_evaluation, size,
                circuit != NULL ? circuit->n_heads : 0,
                circuit != NULL ? circuit->n_neurons : 0,
                number_text(circuit != NULL ? chosen(s, circuit) : NAN, a),
                number_text(random != NULL ? chosen(s, random) : NAN, b));
    }
}

/* ---- the three ways ---------------------------------------------------------- */

static tl_status with_summary(const char *folder, FILE *out, tl_error *err,
                              tl_status (*write)(const summary *, FILE *, tl_error *))
{
    summary s;
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", folder);
    tl_status status = read_summary(folder, arena, &s, err);
    if (status == TL_OK)
        status = write(&s, out, err);
    tl_arena_destroy(arena);
    return status;
}

static tl_status as_person(const summary *s, FILE *out, tl_error *err)
{
    (void)err;
    write_person(s, out);
    return TL_OK;
}

static tl_status as_lines(const summary *s, FILE *out, tl_error *err)
{
    (void)err;
    write_lines(s, out);
    return TL_OK;
}

tl_status tl_summary_print(const char *folder, FILE *out, tl_error *err)
{
    return with_summary(folder, out, err, as_person);
}

tl_status tl_summary_json(const char *folder, FILE *out, tl_error *err)
{
    return with_summary(folder, out, err, write_program);
}

tl_status tl_summary_table(char *const *folders, size_t n_folders, FILE *out,
                           tl_error *err)
{
    fprintf(out, "%-16s %-8s %5s %9s %10s %8s %8s %8s %13s %8s\n", "task", "modality",
            "n", "accuracy", "evaluated", "circuit", "heads", "neurons", "faithfulness",
            "random");
    tl_status status = TL_OK;
    for (size_t i = 0; i < n_folders && status == TL_OK; i++)
        status = with_summary(folders[i], out, err, as_lines);
    return status;
}
