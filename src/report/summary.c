/* SPDX-License-Identifier: MIT
 * summary.c - a study for a person: one in full, or many as a table
 * (include/twinlens/report.h). */
#include "twinlens/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "twinlens/finding.h"
#include "report/draw.h"
#include "report/input_text.h"
#include "report/overview.h"
#include "report/top_table.h"
#include "store/study_db.h"

static const char *const modality_names[TL_MODALITY_COUNT] = {"text", "image"};

enum { LABEL = 36, COLUMN = 26 };

/* ---- numbers --------------------------------------------------------------------- */

/* "0.873", or "-" where there is no number. */
static const char *number_text(double value, char text[32])
{
    if (isnan(value))
        snprintf(text, 32, "-");
    else
        snprintf(text, 32, "%.3f", tl_table_value(value));
    return text;
}

/* "0.873 (0.811 to 0.912)" */
static const char *interval_text(const tl_interval *i, char text[64])
{
    char value[32], low[32], high[32];
    const bool alone = isfinite(i->value) && isnan(i->low) && isnan(i->high);
    const int used = snprintf(text, 64, alone ? "%.12s" : "%.12s (%.12s to %.12s)",
                              number_text(i->value, value), number_text(i->low, low),
                              number_text(i->high, high));
    if (i->n_undefined > 0) /* resamples without a value, which are left out */
        snprintf(text + used, 64 - (size_t)used, " -%zu", i->n_undefined);
    return text;
}

/* "0.05" -> "5 %" */
static void percent_text(const tl_finding_point *p, char text[64])
{
    snprintf(text, 64, "%.4g %%", 100.0 * p->fraction);
}

/* ---- one row, both modalities ---------------------------------------------------- */

typedef tl_finding_part part;

/* A row of the table: a label, then what `write` says of each modality. */
static void print_row(const tl_findings *f, FILE *out, const char *label,
                      void (*write)(const tl_findings *f, const part *p, char text[64]))
{
    fprintf(out, "%-*s", LABEL, label);
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        char text[64] = "-";
        if (!f->parts[m].present)
            continue;
        write(f, &f->parts[m], text);
        fprintf(out, "%*s", COLUMN, text);
    }
    fputc('\n', out);
}

static void say_prompts(const tl_findings *f, const part *p, char text[64])
{
    (void)f;
    snprintf(text, 64, "%zu", p->n_prompts);
}

static void say_limited(const tl_findings *f, const part *p, char text[64])
{
    (void)f;
    interval_text(&p->limited, text);
}

static void say_full(const tl_findings *f, const part *p, char text[64])
{
    (void)f;
    interval_text(&p->full, text);
}

static void say_parts(const tl_findings *f, const part *p, char text[64])
{
    (void)f;
    if (p->n_discovery > 0)
        snprintf(text, 64, "%zu / %zu", p->n_discovery, p->n_evaluation);
}

static void say_positions(const tl_findings *f, const part *p, char text[64])
{
    (void)f;
    if (p->n_pos > 0)
        snprintf(text, 64, "%zu (%zu..%zu)", p->n_pos, p->data_begin, p->data_end);
}

static void say_count(const tl_findings *f, const part *p, char text[64])
{
    (void)f;
    if (p->n_points > 0)
        snprintf(text, 64, "%zu (%zu)", p->curves[TL_STUDY_CIRCUIT][0].point->n,
                 p->curves[TL_STUDY_CIRCUIT][0].point->n_excluded);
}

static void say_size(const tl_findings *f, const part *p, char text[64])
{
    (void)f;
    const tl_finding_point *smallest = tl_findings_smallest(p, TL_STUDY_CIRCUIT);
    if (smallest != NULL)
        percent_text(smallest, text);
    else if (p->done)
        snprintf(text, 64, "none");
}

static void say_shown(const tl_findings *f, const part *p, char text[64])
{
    (void)f;
    if (p->is_shown)
        snprintf(text, 64, "yes");
    else if (p->shown != NULL)
        snprintf(text, 64, "not shown; %.4g %% is", 100.0 * p->shown->fraction);
    else if (p->minimal.found)
        snprintf(text, 64, "not shown; no size is");
}

static void say_heads(const tl_findings *f, const part *p, char text[64])
{
    (void)f;
    const tl_finding_point *smallest = tl_findings_smallest(p, TL_STUDY_CIRCUIT);
    if (smallest != NULL)
        snprintf(text, 64, "%zu of %zu", smallest->point->n_heads,
                 p->scores.n_layers * p->scores.n_pos * p->scores.n_heads);
}

static void say_neurons(const tl_findings *f, const part *p, char text[64])
{
    (void)f;
    const tl_finding_point *smallest = tl_findings_smallest(p, TL_STUDY_CIRCUIT);
    if (smallest != NULL)
        snprintf(text, 64, "%zu of %zu", smallest->point->n_neurons,
                 p->scores.n_layers * p->scores.n_pos * p->scores.d_mlp);
}

static void say_mean_of_ratios(const tl_findings *f, const part *p, char text[64])
{
    (void)f;
    if (p->minimal.found)
        interval_text(&tl_findings_smallest(p, TL_STUDY_CIRCUIT)->mean_of_ratios, text);
}

static void say_ratio_of_means(const tl_findings *f, const part *p, char text[64])
{
    (void)f;
    if (p->minimal.found)
        interval_text(&tl_findings_smallest(p, TL_STUDY_CIRCUIT)->ratio_of_means, text);
}

static void say_median(const tl_findings *f, const part *p, char text[64])
{
    (void)f;
    if (p->minimal.found)
        interval_text(&tl_findings_smallest(p, TL_STUDY_CIRCUIT)->median, text);
}

static void say_magnitude(const tl_findings *f, const part *p, char text[64])
{
    if (p->minimal.found)
        interval_text(
            tl_findings_chosen(f, tl_findings_smallest(p, TL_STUDY_MAGNITUDE)), text);
}

static void say_random(const tl_findings *f, const part *p, char text[64])
{
    if (p->minimal.found)
        interval_text(tl_findings_chosen(f, tl_findings_smallest(p, TL_STUDY_RANDOM)),
                      text);
}

/* ---- curves ---------------------------------------------------------------------- */

static void print_curves(const tl_findings *f, FILE *out)
{
    const part *text = &f->parts[TL_TEXT], *image = &f->parts[TL_IMAGE];
    const part *longest = text->n_points > image->n_points ? text : image;
    if (longest->n_points == 0)
        return;
    fprintf(out, "\nfaithfulness (%s) by size\n%-8s", tl_draw_faith(f), "size");
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        if (f->parts[m].present)
            fprintf(out, "%*s%10s%9s", COLUMN, modality_names[m], "magnitude",
                    "random");
    fputc('\n', out);
    for (size_t i = 0; i < longest->n_points; i++) {
        char size[64], value[64], number[32];
        percent_text(&longest->curves[TL_STUDY_CIRCUIT][i], size);
        fprintf(out, "%-8s", size);
        for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
            const part *p = &f->parts[m];
            if (!p->present || i >= p->n_points)
                continue;
            fprintf(out, "%*s", COLUMN,
                    interval_text(
                        tl_findings_chosen(f, &p->curves[TL_STUDY_CIRCUIT][i]), value));
            for (size_t k = TL_STUDY_MAGNITUDE; k <= TL_STUDY_RANDOM; k++)
                fprintf(out, "%*s", k == TL_STUDY_MAGNITUDE ? 10 : 9,
                        number_text(tl_findings_chosen(f, &p->curves[k][i])->value,
                                    number));
        }
        fputc('\n', out);
    }
}

/* The area under each kind of curve, and between it and 1. */
static void print_areas(const tl_findings *f, FILE *out)
{
    static const char *const names[TL_STUDY_KIND_COUNT] = {
        "by attribution", "by activation difference", "random"};
    for (size_t k = 0; k < 2 * TL_STUDY_KIND_COUNT; k++) {
        const size_t kind = k % TL_STUDY_KIND_COUNT;
        const bool is_distance = k >= TL_STUDY_KIND_COUNT;
        char label[64];
        snprintf(label, sizeof label, "%s, %s", is_distance ? "CMD" : "CPR",
                 names[kind]);
        fprintf(out, "%-*s", LABEL, label);
        for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
            const part *p = &f->parts[m];
            const tl_finding_area *a = tl_findings_area(f, p, (tl_study_kind)kind);
            char text[64];
            if (p->present && p->n_points > 0)
                fprintf(
                    out, "%*s", COLUMN,
                    interval_text(is_distance ? &a->distance : &a->performance, text));
        }
        fputc('\n', out);
    }
}

/* ---- better than chance, minimal, complete? --------------------------------------- */

static const tl_finding_tests *tests_of(const tl_findings *f, const part *p)
{
    return &f->tests[p - f->parts];
}

static void say_tested(const tl_findings *f, const part *p, char text[64])
{
    if (tests_of(f, p)->n_pairs > 0)
        interval_text(&tests_of(f, p)->faithfulness, text);
}

static void say_random_tested(const tl_findings *f, const part *p, char text[64])
{
    if (tests_of(f, p)->n_pairs > 0)
        interval_text(&tests_of(f, p)->random, text);
}

static void say_most(const tl_findings *f, const part *p, char text[64])
{
    if (tests_of(f, p)->n_pairs > 0)
        number_text(tests_of(f, p)->most, text);
}

static void say_less(const tl_findings *f, const part *p, char text[64])
{
    if (tests_of(f, p)->n_pairs > 0)
        interval_text(&tests_of(f, p)->less, text);
}

static void say_chance(const tl_findings *f, const part *p, char text[64])
{
    if (tests_of(f, p)->n_pairs > 0)
        snprintf(text, 64, "%.4f", tests_of(f, p)->p);
}

static void say_needed_heads(const tl_findings *f, const part *p, char text[64])
{
    if (tests_of(f, p)->n_pairs > 0)
        interval_text(&tests_of(f, p)->needed[TL_KIND_HEADS].needed, text);
}

static void say_needed_neurons(const tl_findings *f, const part *p, char text[64])
{
    if (tests_of(f, p)->n_pairs > 0)
        interval_text(&tests_of(f, p)->needed[TL_KIND_NEURONS].needed, text);
}

static void say_samples(const tl_findings *f, const part *p, char text[64])
{
    const tl_finding_needed *n = tests_of(f, p)->needed;
    if (tests_of(f, p)->n_pairs > 0)
        snprintf(text, 64, "%zu and %zu", n[TL_KIND_HEADS].needed.n,
                 n[TL_KIND_NEURONS].needed.n);
}

static void say_thresholds(const tl_findings *f, const part *p, char text[64])
{
    const tl_finding_needed *n = tests_of(f, p)->needed;
    if (tests_of(f, p)->n_pairs > 0)
        snprintf(text, 64, "%.3g and %.3g", n[TL_KIND_HEADS].threshold,
                 n[TL_KIND_NEURONS].threshold);
}

static void say_complement(const tl_findings *f, const part *p, char text[64])
{
    if (tests_of(f, p)->n_pairs > 0)
        interval_text(&tests_of(f, p)->complement, text);
}

/* The smallest circuit, tested. */
static void print_tests(const tl_findings *f, FILE *out)
{
    const size_t text = f->tests[TL_TEXT].n_pairs, image = f->tests[TL_IMAGE].n_pairs;
    if (text == 0 && image == 0)
        return;
    fprintf(out,
            "\nthe smallest circuit, tested on %zu text and %zu image pairs, beside "
            "%zu random circuits\n",
            text, image, f->tests[text > 0 ? TL_TEXT : TL_IMAGE].random.n);
    print_row(f, out, "faithfulness", say_tested);
    print_row(f, out, "random circuits of its make-up", say_random_tested);
    print_row(f, out, "the most faithful of them", say_most);
    print_row(f, out, "share less faithful than it", say_less);
    print_row(f, out, "p that it is one of them", say_chance);
    print_row(f, out, "its heads that it needs", say_needed_heads);
    print_row(f, out, "its neurons that it needs", say_needed_neurons);
    print_row(f, out, "of so many heads and neurons", say_samples);
    print_row(f, out, "LD changes by more than", say_thresholds);
    print_row(f, out, "faithfulness of all but it", say_complement);
}

/* ---- does attribution tell the truth? -------------------------------------------- */

/* "relp", or the number of steps. */
static const char *way_text(size_t ig_steps, char text[24])
{
    if (ig_steps == 0)
        snprintf(text, 24, "relp");
    else
        snprintf(text, 24, "%zu", ig_steps);
    return text;
}

static void print_check(const tl_finding_check *c, const char *label, FILE *out)
{
    char a[64], b[64];
    fprintf(out, "%-24s%4zu %25s %25s\n", label, c->n, interval_text(&c->pearson, a),
            interval_text(&c->spearman, b));
}

static void print_validation(const tl_findings *f, FILE *out)
{
    char label[48], text[64], way[24];
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const tl_finding_validation *v = &f->validations[m];
        if (v->n_effects == 0)
            continue;
        fprintf(out,
                "\nattributed scores and exact effects, %s, %zu prompts\n"
                "%-24s%4s %25s %25s\n",
                modality_names[m], v->checks[0].n_pairs, "kind, steps", "n", "Pearson",
                "Spearman");
        for (size_t i = 0; i < v->n_checks; i++) {
            const tl_finding_check *c = &v->checks[i];
            snprintf(label, sizeof label, "%s, %s", tl_kind_name(c->kind),
                     way_text(c->ig_steps, way));
            if (c->layer < 0)
                print_check(c, label, out);
        }
        for (size_t k = 0; k < TL_KIND_COUNT; k++) {
            snprintf(label, sizeof label, "%s, as ranked",
                     tl_kind_name((tl_component_kind)k));
            if (v->ranked[k].n > 0)
                print_check(&v->ranked[k], label, out);
        }
        for (size_t i = 0; i < v->n_gaps; i++) {
            snprintf(label, sizeof label, "completeness gap, %s",
                     way_text(v->gaps[i].ig_steps, way));
            fprintf(out, "%-24s%4zu %25s\n", label, v->gaps[i].gap.n,
                    interval_text(&v->gaps[i].gap, text));
        }
    }
}

/* ---- what the precision does ------------------------------------------------------ */

static void print_precision(const tl_findings *f, FILE *out)
{
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const tl_study_precision *p = &f->precisions[m];
        const struct {
            const char *label;
            size_t n;
            double values[2];
        } rows[] = {
            {"Spearman, heads and neurons",
             2,
             {p->spearman_heads, p->spearman_neurons}},
            {"Jaccard, heads and neurons", 2, {p->jaccard_heads, p->jaccard_neurons}},
            {"faithfulness, and in f32", 2, {p->faithfulness, p->faithfulness_f32}},
            {"logit difference, largest change", 1, {p->logit_diff}},
        };
        if (p->n_pairs == 0)
            continue;
        fprintf(out, "\n%s beside f32, %s: %zu pairs, circuits of size %s\n",
                tl_findings_key(f, "precision"), modality_names[m], p->n_pairs,
                p->fraction);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            fprintf(out, "%-*s", LABEL, rows[i].label);
            for (size_t k = 0; k < rows[i].n; k++)
                if (isnan(rows[i].values[k]))
                    fprintf(out, "%10s", "-");
                else
                    fprintf(out, "%10.4f", rows[i].values[k]);
            fputc('\n', out);
        }
    }
}

/* ---- both modalities ------------------------------------------------------------- */

/* How far the two circuits are the same parts, and do the same job. */
static void print_comparison(const tl_findings *f, FILE *out)
{
    char a[64], b[64], c[64], d[64];
    if (f->n_overlaps > 0)
        fprintf(out, "\noverlap of the two circuits%s%s\n%-22s %25s %25s %25s\n",
                f->not_shown != NULL ? "\n" : "",
                f->not_shown != NULL ? f->not_shown : "", "segment", "IoU", "random",
                "normalised");
    for (size_t i = 0; i < f->n_overlaps; i++) {
        const tl_finding_overlap *o = &f->overlaps[i];
        char label[32];
        snprintf(label, sizeof label, "%s, %s", o->row->segment, o->row->kind);
        fprintf(out, "%-22s %25s %25s %25s\n", label, interval_text(&o->iou, c),
                interval_text(&o->random, a), interval_text(&o->normalised, b));
    }
    if (f->n_overlaps > 0)
        fprintf(out, "%-22s %25s %25s %25s\n", "mean of the segments",
                number_text(f->mean_iou, d), "", interval_text(&f->mean_overlap, b));
    if (!f->has_swaps[TL_TEXT] && !f->has_swaps[TL_IMAGE])
        return;
    fprintf(out,
            "\ninterchange: a circuit with a segment of the other's (faithfulness, "
            "%s)%s%s\n%-22s %25s %25s %25s %25s%14s\n",
            tl_draw_faith(f), f->not_shown != NULL ? "\n" : "",
            f->not_shown != NULL ? f->not_shown : "", "segment, on", "swapped",
            "random", "own", "normalised", "sd over draws");
    for (size_t seg = 0; seg < TL_SEGMENT_COUNT; seg++) {
        const char *segment = tl_segment_name((tl_segment)seg);
        char label[32], spread[32];
        for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
            const tl_finding_swap *w = &f->swaps[m][seg];
            if (!f->has_swaps[m])
                continue;
            snprintf(label, sizeof label, "%s, %s", segment, modality_names[m]);
            fprintf(out, "%-22s %25s %25s %25s %25s%14s\n", label,
                    interval_text(&w->value, a), interval_text(&w->random, b),
                    interval_text(&w->own, c), interval_text(&w->normalised, d),
                    number_text(w->spread, spread));
        }
        snprintf(label, sizeof label, "%s, both", segment);
        if (f->has_swaps[TL_TEXT] && f->has_swaps[TL_IMAGE])
            fprintf(out, "%-22s%104s\n", label, interval_text(&f->swapped[seg], a));
    }
}

/* In which layer image tokens look like the words for the same content. */
static void print_alignment(const tl_findings *f, FILE *out)
{
    char a[64], b[64], c[64];
    if (f->n_layers == 0)
        return;
    fprintf(out,
            "\nalignment of image tokens with text tokens, %zu pairs: mean largest "
            "cosine\nother content: a pair drawn from those with other words and "
            "another answer, for %zu pairs\n%-8s %25s %25s %25s\n",
            f->layers[0].matched.n, f->layers[0].other.n, "layer", "same content",
            "minus other content", "the same, centred");
    for (size_t l = 0; l < f->n_layers; l++)
        fprintf(out, "%-8zu %25s %25s %25s\n", l,
                interval_text(&f->layers[l].matched, a),
                interval_text(&f->layers[l].difference, b),
                interval_text(&f->layers[l].centred_difference, c));
}

/* What a search ran, and on what its cell is judged. */
static void print_search(const tl_finding_backpatch *b, FILE *out)
{
    fprintf(out, "a search, %zu of %zu runs of a cell on a prompt: image ", b->n_runs,
            b->n_all_runs);
    for (size_t i = 0; i < b->n_rounds; i++)
        fprintf(out, "%s%zu x %zu", i > 0 ? ", " : "", b->rounds[i].n_cells,
                b->rounds[i].n_prompts);
    fprintf(out,
            " (cells x prompts); the last cell judged on %zu prompts that no round saw",
            b->chosen_elsewhere.gain.n);
    if (b->has_text)
        fprintf(out, "; text: %zu cells, a sample, x %zu", b->n_control_cells,
                b->no_worse.n);
    fputc('\n', out);
}

/* An interval, and the deviation of bootstrap resamples. */
static void print_share(const char *label, const tl_interval *i, FILE *out)
{
    char text[64], number[32];
    fprintf(out, "%-*s%*s   sd %s\n", LABEL, label, COLUMN, interval_text(i, text),
            number_text(i->deviation, number));
}

/* What the cell does, which is called `label`. */
static void print_change(const char *label, const tl_finding_change *c, FILE *out)
{
    char text[64], number[32];
    fprintf(out, "%s\n", label);
    print_share("  accuracy", &c->accuracy, out);
    print_share("  gain", &c->gain, out);
    if (c->closed.n > 0)
        fprintf(out, "%-*s%*s\n", LABEL, "  gap to text closed", COLUMN,
                interval_text(&c->closed, text));
    snprintf(text, sizeof text, "%zu, %zu, %.16s", c->n_fixed, c->n_broken,
             number_text(c->p, number));
    fprintf(out, "%-*s%*s\n", LABEL, "  fixed, broken, exact p", COLUMN, text);
}

/* Whether once is enough. */
static void print_times(const tl_finding_backpatch *b, FILE *out)
{
    char a[64], c[64], label[48];
    if (b->n_times == 0)
        return;
    fprintf(out,
            "again and again, a cell chosen on other prompts than these %zu\n%-*s%*s%*s"
            "   more, fewer right, exact p\n",
            b->times[0].accuracy.n, LABEL, "", COLUMN, "accuracy", COLUMN,
            "minus once");
    for (size_t k = 0; k < b->n_times; k++) {
        const tl_finding_time *t = &b->times[k];
        snprintf(label, sizeof label, "  %zu times", k);
        fprintf(out, "%-*s%*s%*s   %zu, %zu, %.3f\n", LABEL, label, COLUMN,
                interval_text(&t->accuracy, a), COLUMN,
                interval_text(&t->above_once, c), t->n_more, t->n_fewer, t->p);
    }
    const size_t better = tl_finding_better_time(b);
    if (better > 0)
        fprintf(out, "%-*s%*zu\n", LABEL, "  better than once, more than chance",
                COLUMN, better);
    else
        fprintf(out, "%-*s%*s\n", LABEL, "  better than once, more than chance", COLUMN,
                "none");
}

/* Beside the same patching of text. */
static void print_control(const tl_finding_backpatch *b, FILE *out)
{
    char text[64], label[96];
    fprintf(out, "%-*s%*s\n", LABEL, "cells no worse than on text", COLUMN,
            interval_text(&b->no_worse, text));
    fprintf(out, "%-*s%*s\n", LABEL, "  cells that gain more", COLUMN,
            interval_text(&b->better, text));
    fprintf(out, "%-*s%*s\n", LABEL, "  as much", COLUMN,
            interval_text(&b->equal, text));
    snprintf(text, sizeof text, "%zu, %zu, %zu", b->n_better, b->n_equal, b->n_worse);
    fprintf(out, "%-*s%*s%s\n", LABEL, "  gain more, as much, less", COLUMN, text,
            tl_finding_text_at_ceiling(b)
                ? "   (text is at its ceiling, all right, and cannot gain)"
                : "");
    for (size_t i = 0; i < b->n_windows; i++) {
        const tl_finding_window *w = &b->windows[i];
        snprintf(label, sizeof label, "  window %zu, of %zu cells", w->window,
                 w->n_cells);
        fprintf(out, "%-*s%*s   %zu, %zu, %zu\n", LABEL, label, COLUMN,
                interval_text(&w->no_worse, text), w->n_better, w->n_equal, w->n_worse);
    }
}

/* By how much late states help when early layers see them. */
static void print_backpatch(const tl_findings *f, FILE *out)
{
    const tl_finding_backpatch *b = &f->backpatch;
    char number[32], label[96];
    if (b->n_cells == 0)
        return;
    const tl_finding_cell *best = &b->cells[b->best];
    const bool is_search = b->n_rounds > 0;
    fprintf(out,
            "\nback-patching of image states, %zu %s, %zu cells: accuracy among the "
            "labels\n",
            b->n, b->has_text ? "pairs" : "image prompts", b->n_cells);
    if (is_search)
        print_search(b, out);
    if (b->has_text)
        print_share("text prompts", &b->clean[TL_TEXT], out);
    print_share("image prompts", &b->clean[TL_IMAGE], out);
    if (!is_search)
        print_change("a cell chosen on other prompts", &b->chosen_elsewhere, out);
    fprintf(out, "%-*s%*s\n", LABEL, "  more than chance", COLUMN,
            tl_finding_helps(&b->chosen_elsewhere) ? "yes" : "no");
    snprintf(label, sizeof label, "%s: layer %zu into %zu, window %zu",
             is_search ? "found" : "the best of all, on these prompts", best->source,
             best->destination, best->window);
    print_change(label, &b->chosen_here, out);
    if (!is_search)
        fprintf(out, "%-*s%*s\n", LABEL, "  p that the best is chance", COLUMN,
                number_text(b->p, number));
    if (b->has_text)
        print_control(b, out);
    print_times(b, out);
    for (size_t i = 0; i < b->n_iterations; i++) {
        snprintf(label, sizeof label, "accuracy, the best cell %zu times", i);
        print_share(label, &b->iterations[i], out);
    }
}

/* The same of some of the pairs, in short. */
static void print_modal(const tl_findings *f, FILE *out)
{
    const tl_finding_backpatch *b = &f->modal_backpatch;
    char label[96], text[64], number[32];
    if (b->n_cells == 0)
        return;
    fprintf(out,
            "\n%zu of these pairs, whose text has the most frequent length "
            "(--bp-filter modal)\n",
            b->n);
    print_share("text prompts", &b->clean[TL_TEXT], out);
    print_share("image prompts", &b->clean[TL_IMAGE], out);
    print_change("a cell chosen on other prompts", &b->chosen_elsewhere, out);
    const tl_finding_cell *best = &b->cells[b->best];
    snprintf(label, sizeof label,
             "the best of all, on these prompts: layer %zu into %zu, window %zu",
             best->source, best->destination, best->window);
    print_change(label, &b->chosen_here, out);
    fprintf(out, "%-*s%*s\n", LABEL, "  p that the best is chance", COLUMN,
            number_text(b->p, number));
    fprintf(out, "%-*s%*s\n", LABEL, "cells no worse than on text", COLUMN,
            interval_text(&b->no_worse, text));
}

static bool is_same_reason(const tl_study_left_out *a, const tl_study_left_out *b)
{
    return strcmp(a->use, b->use) == 0 && strcmp(a->reason, b->reason) == 0;
}

/* Prompts that uses have left out, a row for each use and reason, whose modalities follow
 * each other. */
static void print_left_out(const tl_findings *f, FILE *out)
{
    enum { NUMBER = 8 };
    const tl_study_left_out *l = f->left_out;
    int width = 0; /* of rows that are printed */
    for (size_t i = 0; i < f->n_left_out; i++) {
        const int own = (int)(strlen(l[i].use) + strlen(l[i].reason)) + 2;
        width = l[i].n > 0 && own > width ? own : width;
    }
    if (width == 0)
        return;
    fprintf(out, "\n%-*s%*s%*s\n", width, "prompts left out of", NUMBER, "text", NUMBER,
            "image");
    for (size_t i = 0; i < f->n_left_out; i++) {
        size_t n[TL_MODALITY_COUNT] = {0};
        if (i > 0 && is_same_reason(&l[i - 1], &l[i]))
            continue;
        for (size_t k = i; k < f->n_left_out && is_same_reason(&l[i], &l[k]); k++)
            n[l[k].modality] = l[k].n;
        if (n[TL_TEXT] + n[TL_IMAGE] > 0)
            fprintf(out, "%s: %-*s%*zu%*zu\n", l[i].use,
                    width - (int)strlen(l[i].use) - 2, l[i].reason, NUMBER, n[TL_TEXT],
                    NUMBER, n[TL_IMAGE]);
    }
    fputc('\n', out);
}

/* ---- one study ------------------------------------------------------------------- */

static void print_circuits(const tl_findings *f, FILE *out)
{
    print_row(f, out, "positions (of the data)", say_positions);
    print_row(f, out, "evaluated (excluded)", say_count);
    print_curves(f, out);
    fputc('\n', out);
    print_areas(f, out);
    fprintf(out, "\nsmallest circuit with faithfulness above %s\n",
            tl_findings_key(f, "threshold"));
    print_row(f, out, "size", say_size);
    print_row(f, out, "shown: the interval is above it", say_shown);
    print_row(f, out, "heads", say_heads);
    print_row(f, out, "neurons", say_neurons);
    print_row(f, out, "faithfulness, mean of ratios", say_mean_of_ratios);
    print_row(f, out, "faithfulness, ratio of means", say_ratio_of_means);
    print_row(f, out, "faithfulness, median", say_median);
    print_row(f, out, "that size by activation difference", say_magnitude);
    print_row(f, out, "random circuit of that size", say_random);
    print_tests(f, out);
    print_validation(f, out);
    print_precision(f, out);
}

static tl_status print_study(const tl_findings *f, FILE *out, tl_error *err)
{
    tl_status status = TL_OK;
    const char *task = tl_findings_key(f, "task");
    char text[TL_INPUT_TEXT];
    fprintf(out, "task      %s\n", task[0] != '\0' ? task : "(without a name)");
    fprintf(out, "dataset   %s\n", tl_input_text(f, "dataset", text));
    fprintf(out, "model     %s\n", tl_input_text(f, "model", text));
    fprintf(out, "made by   %s, backend %s\n", tl_findings_key(f, "program"),
            tl_findings_key(f, "backend"));
    if (!f->finished)
        fputs(
            "unfinished: this is as far as it has got; the same `twinlens study` goes "
            "on\n",
            out);
    fprintf(out,
            "In brackets: 95 %% intervals; behind them -n: of 1000 resamples n have no "
            "value.\n\n%-*s",
            LABEL, "");
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        if (f->parts[m].present)
            fprintf(out, "%*s", COLUMN, modality_names[m]);
    fputc('\n', out);
    print_row(f, out, "prompts", say_prompts);
    print_row(f, out, "accuracy among the labels", say_limited);
    print_row(f, out, "accuracy in the vocabulary", say_full);
    if (f->absent != NULL)
        fprintf(out, "%s\n", f->absent);
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        if (f->parts[m].remedy != NULL)
            fprintf(out, "%s: what would help: %s\n", modality_names[m],
                    f->parts[m].remedy);
    for (size_t i = 0; i < f->n_caveats; i++)
        fprintf(out, "caveat: %s: %s\n", modality_names[f->caveats[i].modality],
                f->caveats[i].text);
    print_row(f, out, "discovery / evaluation", say_parts);
    print_left_out(f, out);
    if (tl_findings_have_circuits(f)) {
        print_circuits(f, out);
        status = tl_top_print(f, out, err);
    }
    print_comparison(f, out);
    print_alignment(f, out);
    print_backpatch(f, out);
    print_modal(f, out);
    fprintf(out, "\n%s in %s: " TL_STUDY_DB_NAME,
            f->finished ? "results" : "unfinished", f->folder);
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        if (f->parts[m].scores.file != NULL)
            fprintf(out, ", %s", f->parts[m].scores.file);
    fputc('\n', out);
    return status;
}

tl_status tl_summary_print(const char *folder, FILE *out, tl_error *err)
{
    tl_findings f;
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", folder);
    tl_status status = tl_findings_read(folder, arena, &f, err);
    if (status == TL_OK)
        status = print_study(&f, out, err);
    tl_arena_destroy(arena);
    return status;
}

/* ---- many studies ---------------------------------------------------------------- */

tl_status tl_summary_table(const char *const *folders, size_t n_folders, FILE *out,
                           tl_error *err)
{
    tl_overview overview;
    tl_arena *arena = tl_arena_create();
    tl_findings *all = NULL;
    tl_status status =
        arena != NULL
            ? tl_findings_read_all(folders, n_folders, arena, &all, err)
            : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu studies", n_folders);
    if (status == TL_OK)
        status = tl_overview_make(all, n_folders, arena, &overview, err);
    for (size_t i = 0; status == TL_OK && i < overview.n_tables; i++) {
        if (i > 0)
            fputc('\n', out);
        tl_table_print(&overview.tables[i], out);
    }
    tl_arena_destroy(arena);
    return status;
}
