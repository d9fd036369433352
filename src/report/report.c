/* SPDX-License-Identifier: MIT
 * report.c - the page: what was studied, the numbers that matter, the figures in the
 * order of the study. See report.h. */
#include "twinlens/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "finding/published.h"
#include "report/draw.h"
#include "report/found.h"
#include "report/input_text.h"
#include "report/models_page.h"
#include "report/overview.h"
#include "report/page_style.h"
#include "report/svg.h"
#include "report/table.h"

/* ---- a study --------------------------------------------------------------------- */

/* "counting: dataset NAME (hash), model NAME (hash)" */
static void write_title(const tl_findings *f, FILE *page)
{
    char text[TL_INPUT_TEXT];
    tl_xml_text(page, tl_study_task(f));
    fputs(": dataset ", page);
    tl_xml_text(page, tl_input_text(f, "dataset", text));
    fputs(", model ", page);
    tl_xml_text(page, tl_input_text(f, "model", text));
}

/* ---- its numbers ------------------------------------------------------------------ */

enum { WORDS = TL_INTERVAL_WORDS };

/* A table of a study: a row for each number, a column for each modality and one that says
 * what the row's intervals are over. */
typedef struct numbers {
    tl_table table;
    tl_arena *arena;
    tl_error *err;
    tl_status status;
} numbers;

static numbers begin_numbers(const char *title, tl_arena *arena, tl_error *err)
{
    static const char *const heads[] = {"", "text", "image", "95 % interval over"};
    return (numbers){.table = {.title = title,
                               .style = "study",
                               .heads = heads,
                               .n_columns = sizeof heads / sizeof *heads},
                     .arena = arena,
                     .err = err};
}

static void add_row(numbers *t, const char *label, const char *text, const char *image,
                    const char *over)
{
    const char *const cells[] = {label, text, image, over};
    if (t->status == TL_OK)
        t->status = tl_table_add(&t->table, t->arena, cells, t->err);
}

static void add_count(numbers *t, const char *label, size_t text, size_t image)
{
    char cells[TL_MODALITY_COUNT][WORDS];
    snprintf(cells[TL_TEXT], WORDS, "%zu", text);
    snprintf(cells[TL_IMAGE], WORDS, "%zu", image);
    add_row(t, label, cells[TL_TEXT], cells[TL_IMAGE], "");
}

/* NULL: there is no such number. */
static void add_interval(numbers *t, const char *label,
                         const tl_interval *const values[TL_MODALITY_COUNT],
                         const char *over)
{
    char cells[TL_MODALITY_COUNT][WORDS] = {"-", "-"};
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        if (values[m] != NULL)
            tl_interval_words(values[m], NULL, cells[m]);
    add_row(t, label, cells[TL_TEXT], cells[TL_IMAGE], over);
}

/* The smallest faithful circuit of a modality: "5 %". */
static void write_size(const tl_finding_part *p, char text[WORDS])
{
    const tl_finding_point *smallest = tl_findings_smallest(p, TL_STUDY_CIRCUIT);
    if (smallest == NULL)
        snprintf(text, WORDS, "%s", p->done ? "none" : "-");
    else if (p->is_shown)
        snprintf(text, WORDS, "%.4g %%", 100 * smallest->fraction);
    else if (p->shown != NULL)
        snprintf(text, WORDS, "%.4g %% (not shown; %.4g %% is)",
                 100 * smallest->fraction, 100 * p->shown->fraction);
    else
        snprintf(text, WORDS, "%.4g %% (not shown)", 100 * smallest->fraction);
}

static void add_sizes(numbers *t, const tl_findings *f)
{
    static const char *const labels[TL_KIND_COUNT] = {"heads in the circuit",
                                                      "neurons in the circuit"};
    char cells[TL_MODALITY_COUNT][WORDS];
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        write_size(&f->parts[m], cells[m]);
    add_row(t, "smallest faithful circuit: share of all heads and neurons",
            cells[TL_TEXT], cells[TL_IMAGE], "");
    for (size_t k = 0; k < TL_KIND_COUNT; k++) {
        for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
            const tl_study_scores *s = &f->parts[m].scores;
            const tl_finding_point *smallest =
                tl_findings_smallest(&f->parts[m], TL_STUDY_CIRCUIT);
            const bool is_heads = k == TL_KIND_HEADS;
            if (smallest == NULL)
                snprintf(cells[m], WORDS, "-");
            else
                snprintf(cells[m], WORDS, "%zu of %zu",
                         is_heads ? smallest->point->n_heads
                                  : smallest->point->n_neurons,
                         s->n_layers * s->n_pos * (is_heads ? s->n_heads : s->d_mlp));
        }
        add_row(t, labels[k], cells[TL_TEXT], cells[TL_IMAGE], "");
    }
}

/* A row for each use and reason that leaves out any; their modalities follow each other. */
static void add_left_out(numbers *t, const tl_findings *f)
{
    for (size_t i = 0; i < f->n_left_out; i++) {
        const tl_study_left_out *l = &f->left_out[i];
        size_t n[TL_MODALITY_COUNT] = {0};
        char label[300];
        if (i > 0 && strcmp(l[-1].use, l->use) == 0 &&
            strcmp(l[-1].reason, l->reason) == 0)
            continue;
        for (size_t k = i;
             k < f->n_left_out && strcmp(f->left_out[k].use, l->use) == 0 &&
             strcmp(f->left_out[k].reason, l->reason) == 0;
             k++)
            n[f->left_out[k].modality] = f->left_out[k].n;
        snprintf(label, sizeof label, "left out of %.60s: %.200s", l->use, l->reason);
        if (n[TL_TEXT] + n[TL_IMAGE] > 0)
            add_count(t, label, n[TL_TEXT], n[TL_IMAGE]);
    }
}

/* By attribution, by activation difference, at random: at the size of the smallest circuit, and
 * over all sizes. */
static void add_faithfulness(numbers *t, const tl_findings *f)
{
    static const char *const labels[][TL_STUDY_KIND_COUNT] = {
        {"faithfulness of the circuit",
         "chosen by activation difference: faithfulness at that size",
         "chosen at random: faithfulness at that size"},
        {"area under the faithfulness curve (CPR)",
         "chosen by activation difference: area (CPR)", "chosen at random: area (CPR)"},
        {"distance of the curve from 1 (CMD)",
         "chosen by activation difference: distance (CMD)",
         "chosen at random: distance (CMD)"}};
    for (size_t row = 0; row < sizeof labels / sizeof *labels; row++)
        for (size_t k = 0; k < TL_STUDY_KIND_COUNT; k++) {
            const tl_interval *values[TL_MODALITY_COUNT] = {NULL};
            for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
                const tl_finding_part *part = &f->parts[m];
                const tl_finding_point *p =
                    tl_findings_smallest(part, (tl_study_kind)k);
                const tl_finding_area *area =
                    tl_findings_area(f, part, (tl_study_kind)k);
                if (row == 0)
                    values[m] = p != NULL ? tl_findings_chosen(f, p) : NULL;
                else if (part->n_points > 0)
                    values[m] = row == 1 ? &area->performance : &area->distance;
            }
            add_interval(t, labels[row][k], values, "prompts");
        }
}

static tl_status write_numbers(const tl_findings *f, tl_arena *arena, FILE *page,
                               tl_error *err)
{
    const tl_finding_part *text = &f->parts[TL_TEXT], *image = &f->parts[TL_IMAGE];
    numbers t = begin_numbers("Numbers", arena, err);
    add_count(&t, "prompts", text->n_prompts, image->n_prompts);
    add_interval(&t, "accuracy among the labels",
                 (const tl_interval *[]){&text->limited, &image->limited}, "prompts");
    add_interval(&t, "accuracy in the vocabulary",
                 (const tl_interval *[]){&text->full, &image->full}, "prompts");
    add_count(&t, "prompts for discovery", text->n_discovery, image->n_discovery);
    add_count(&t, "prompts for evaluation", text->n_evaluation, image->n_evaluation);
    add_left_out(&t, f);
    add_sizes(&t, f);
    add_faithfulness(&t, f);
    if (t.status == TL_OK)
        tl_table_html(&t.table, page);
    return t.status;
}

/* Every key of the manifest: with these the study can be made again. */
static void write_manifest(const tl_findings *f, FILE *page)
{
    fputs("<details><summary>What was studied, with which options</summary>\n<dl>\n",
          page);
    for (size_t i = 0; i < f->n_keys; i++) {
        fputs("<dt>", page);
        tl_xml_text(page, f->keys[i].key);
        fputs("</dt><dd>", page);
        tl_xml_text(page, f->keys[i].value[0] != '\0' ? f->keys[i].value : "-");
        fputs("</dd>\n", page);
    }
    fputs("</dl></details>\n", page);
}

static void write_number(FILE *page, const char *before, double value)
{
    const double shown = fabs(value) < 0.00005 ? 0.0 : value; /* never -0.0000 */
    fprintf(page, isnan(value) ? "%s-" : "%s%.4f", before, shown);
}

/* What computing in another precision than f32 does to this study's results. */
static void write_precision(const tl_findings *f, FILE *page)
{
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const tl_study_precision *p = &f->precisions[m];
        if (p->n_pairs == 0)
            continue;
        fputs("<p>Computed in ", page);
        tl_xml_text(page, tl_findings_key(f, "precision"));
        fprintf(page, "; on %zu %s pairs beside f32: ", p->n_pairs,
                tl_modality_name((tl_modality)m));
        write_number(page, "Spearman correlation of scores ", p->spearman_heads);
        write_number(page, " (heads), ", p->spearman_neurons);
        fputs(" (neurons); Jaccard index of circuits of size ", page);
        tl_xml_text(page, p->fraction);
        write_number(page, " ", p->jaccard_heads);
        write_number(page, " (heads), ", p->jaccard_neurons);
        write_number(page, " (neurons); their faithfulness ", p->faithfulness);
        write_number(page, ", in f32 ", p->faithfulness_f32);
        write_number(page, "; the largest change of a logit difference ",
                     p->logit_diff);
        fputs(" of f32's.</p>\n", page);
    }
}

/* ---- its smallest circuit, tested -------------------------------------------------- */

static void add_number(numbers *t, const char *label, const char *format,
                       const double values[TL_MODALITY_COUNT])
{
    char cells[TL_MODALITY_COUNT][WORDS];
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        if (isnan(values[m]))
            snprintf(cells[m], WORDS, "-");
        else
            snprintf(cells[m], WORDS, strcmp(format, "p") == 0 ? "%.4f" : "%.3f",
                     tl_table_value(values[m]));
    add_row(t, label, cells[TL_TEXT], cells[TL_IMAGE], "");
}

/* Whether components of one kind are needed. */
static void add_needed(numbers *t, const tl_findings *f, tl_component_kind kind)
{
    static const char *const labels[TL_KIND_COUNT][3] = {
        {"heads of the circuit that are needed: share of a sample",
         "heads in the sample", "a head is needed when LD changes by more than"},
        {"neurons of the circuit that are needed: share of a sample",
         "neurons in the sample", "a neuron is needed when LD changes by more than"}};
    const tl_finding_needed *n[TL_MODALITY_COUNT];
    const tl_interval *values[TL_MODALITY_COUNT] = {NULL};
    double thresholds[TL_MODALITY_COUNT];
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const bool there = f->tests[m].n_pairs > 0;
        n[m] = &f->tests[m].needed[kind];
        values[m] = there ? &n[m]->needed : NULL;
        thresholds[m] = there ? n[m]->threshold : NAN;
    }
    add_interval(t, labels[kind][0], values, "components of the sample");
    add_count(t, labels[kind][1], n[TL_TEXT]->needed.n, n[TL_IMAGE]->needed.n);
    add_number(t, labels[kind][2], "", thresholds);
}

/* Whether the smallest circuit is better than chance, minimal, complete. */
static tl_status write_tests(const tl_findings *f, tl_arena *arena, FILE *page,
                             tl_error *err)
{
    const tl_finding_tests *tests = f->tests;
    const tl_interval *own[TL_MODALITY_COUNT] = {NULL},
                      *random[TL_MODALITY_COUNT] = {NULL},
                      *less[TL_MODALITY_COUNT] = {NULL},
                      *rest[TL_MODALITY_COUNT] = {NULL};
    double most[TL_MODALITY_COUNT], p[TL_MODALITY_COUNT];
    numbers t = begin_numbers("The smallest circuit, tested", arena, err);
    if (tests[TL_TEXT].n_pairs == 0 && tests[TL_IMAGE].n_pairs == 0)
        return TL_OK;
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const bool there = tests[m].n_pairs > 0;
        own[m] = there ? &tests[m].faithfulness : NULL;
        random[m] = there ? &tests[m].random : NULL;
        less[m] = there ? &tests[m].less : NULL;
        rest[m] = there ? &tests[m].complement : NULL;
        most[m] = there ? tests[m].most : NAN;
        p[m] = there ? tests[m].p : NAN;
    }
    add_count(&t, "evaluation pairs that it is tested on", tests[TL_TEXT].n_pairs,
              tests[TL_IMAGE].n_pairs);
    add_interval(&t, "faithfulness of the circuit on these", own, "prompts");
    add_count(&t, "random circuits, with as many heads and neurons in each segment",
              tests[TL_TEXT].random.n, tests[TL_IMAGE].random.n);
    add_interval(&t, "faithfulness of the random circuits: mean", random,
                 "draws: where 95 % of them are");
    add_number(&t, "faithfulness of the best random circuit", "", most);
    add_interval(&t, "share of random circuits less faithful than the circuit", less,
                 "random circuits");
    add_number(&t, "p: that a random circuit is as faithful", "p", p);
    for (size_t k = 0; k < TL_KIND_COUNT; k++)
        add_needed(&t, f, (tl_component_kind)k);
    add_interval(&t, "faithfulness of all that is not in the circuit", rest, "prompts");
    t.table.note =
        "LD is the logit of the answer minus that of the counterfactual's answer. A "
        "head "
        "or neuron is needed when LD changes by more without it than without 95 % of "
        "those outside of the circuit.";
    if (t.status == TL_OK)
        tl_table_html(&t.table, page);
    return t.status;
}

/* What each stage took. */
static void write_work(const tl_findings *f, FILE *page)
{
    double sum = 0.0;
    if (f->n_work == 0)
        return;
    fputs("<details><summary>What it took</summary>\n<p>Billions of floating-point "
          "operations in products with the decoder's weights, two for each "
          "multiplication and addition. A run that was interrupted is in it as far as "
          "it was kept.</p>\n<dl>\n",
          page);
    for (size_t i = 0; i < f->n_work; i++) {
        sum += (double)f->work[i].product_flops;
        fputs("<dt>", page);
        tl_xml_text(page, f->work[i].stage);
        fprintf(page, "</dt><dd>%.4g</dd>\n", (double)f->work[i].product_flops / 1e9);
    }
    fprintf(page, "<dt>all</dt><dd>%.4g</dd>\n</dl></details>\n", sum / 1e9);
}

/* What is not there, and why. */
static void write_missing(const tl_findings *f, FILE *page)
{
    const bool both = f->parts[TL_TEXT].present && f->parts[TL_IMAGE].present;
    if (!f->finished)
        fputs("<p><strong>The study is not finished:</strong> what it has got to is "
              "here.</p>\n",
              page);
    if (f->absent != NULL) {
        fputs(f->parts[TL_TEXT].present ? "<p><strong>Missing here:</strong> "
                                        : "<p>Only image prompts were studied; ",
              page);
        tl_xml_text(page, f->absent);
        fputs(".</p>\n", page);
    }
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        if (f->parts[m].remedy != NULL) {
            fprintf(page, "<p>What would help with %s prompts: ",
                    tl_modality_name((tl_modality)m));
            tl_xml_text(page, f->parts[m].remedy);
            fputs(".</p>\n", page);
        }
    for (size_t i = 0; i < f->n_caveats; i++) {
        fprintf(page, "<p><strong>Caveat, %s:</strong> ",
                tl_modality_name(f->caveats[i].modality));
        tl_xml_text(page, f->caveats[i].text);
        fputs(".</p>\n", page);
    }
    if (!both && f->parts[TL_TEXT].present)
        fputs(
            "<p>Only text prompts were studied: no overlap, interchange, alignment or "
            "back-patching.</p>\n",
            page);
    const bool looked =
        f->parts[TL_TEXT].n_discovery > 0 && f->parts[TL_IMAGE].n_discovery > 0;
    if (both && f->finished && f->n_overlaps == 0)
        fprintf(page, "<p>%s: no overlap and no interchange.</p>\n",
                looked ? "No circuit of the grid is faithful enough in both modalities"
                       : "A modality has no circuits");
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        if (f->parts[m].scores.file != NULL && f->parts[m].importance[0] == NULL)
            fprintf(page, "<p>%s is not in the folder: no map of it.</p>\n",
                    f->parts[m].scores.file);
}

static tl_status write_study(const tl_findings *f, size_t index, tl_arena *arena,
                             FILE *page, tl_error *err)
{
    static tl_draw *const figures[] = {
        tl_draw_accuracy, tl_draw_importance,   tl_draw_pictures,
        tl_draw_leading,  tl_draw_faithfulness, tl_draw_validation,
        tl_draw_overlap,  tl_draw_interchange,  tl_draw_alignment,
        tl_draw_gap,      tl_draw_backpatch,    tl_draw_iterations};
    char prefix[32];
    snprintf(prefix, sizeof prefix, "s%zu-", index + 1);
    fprintf(page, "<section>\n<h2 id=\"s%zu\">", index + 1);
    write_title(f, page);
    fprintf(page,
            "</h2>\n<section id=\"%sfound\">\n<h3>What was found</h3>\n"
            "<ul class=\"found\">\n",
            prefix);
    tl_found_write(f, page);
    fprintf(page,
            "</ul>\n</section>\n<section id=\"%sunshown\">\n"
            "<h3>What is not shown, and why</h3>\n",
            prefix);
    write_missing(f, page);
    fputs("<p>It is not shown:</p>\n<ul class=\"found\">\n", page);
    tl_found_write_not_shown(f, page);
    fprintf(page, "</ul>\n</section>\n<section id=\"%snumbers\">\n", prefix);
    tl_status status = write_numbers(f, arena, page, err);
    if (status == TL_OK)
        status = write_tests(f, arena, page, err);
    write_precision(f, page);
    write_manifest(f, page);
    write_work(f, page);
    fputs("</section>\n", page);
    for (size_t i = 0; i < sizeof figures / sizeof *figures && status == TL_OK; i++) {
        const bool is_tables = figures[i] == tl_draw_leading;
        if (is_tables)
            fprintf(page,
                    "<section id=\"%sleading\">\n<h3>Heads and neurons that "
                    "lead</h3>\n",
                    prefix);
        status = figures[i](f, prefix, page, err);
        fputs(is_tables ? "</section>\n" : "", page);
    }
    fputs("</section>\n", page);
    return status;
}

/* ---- the page -------------------------------------------------------------------- */

/* Several studies, or one that the paper has too. */
static bool has_overview(const tl_findings *all, size_t n)
{
    return n > 1 || tl_published_find(&all[0]) != NULL;
}

static const char *overview_title(size_t n)
{
    return n > 1 ? "Models and tasks" : "Beside the paper";
}

static void write_head(const tl_findings *all, size_t n, FILE *page)
{
    fprintf(page,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
            "<meta name=\"color-scheme\" content=\"light dark\">\n<title>twinlens: ");
    for (size_t i = 0; i < n; i++) {
        fputs(i > 0 ? "; " : "", page);
        write_title(&all[i], page);
    }
    fputs("</title>\n<style>", page);
    tl_page_style(page);
    fputs("</style>\n</head>\n<body>\n<header>\n<h1>", page);
    fputs(n == 1 ? "How the model solves a task from text and from images"
                 : "How the model solves tasks from text and from images",
          page);
    fprintf(
        page,
        "</h1>\n<p>Made by %s out of %zu stud%s. In brackets stand 95 %% intervals, "
        "and "
        "what they are over: within them the number is expected with other prompts of "
        "the same kind, or with other random draws. -12 behind an interval: 12 of 1000 "
        "bootstrap resamples had no value and are left out. Layers are counted from 0. "
        "Where the pointer rests on a mark, its value is shown; below every figure its "
        "numbers can be had as CSV.</p>\n</header>\n",
        tl_findings_key(&all[0], "program"), n, n == 1 ? "y" : "ies");
}

/* All studies beside each other. */
static tl_status write_overview(const tl_models *models, tl_arena *arena, FILE *page,
                                tl_error *err)
{
    tl_overview overview;
    const size_t n = models->n;
    tl_status status =
        tl_overview_make(models->studies[0].findings, n, arena, &overview, err);
    if (status != TL_OK)
        return status;
    fprintf(page, "<section>\n<h2 id=\"all\">%s</h2>\n", overview_title(n));
    if (n > 1)
        status = tl_models_write_page(models, arena, page, err);
    fputs(n > 1 ? "<details><summary>More numbers, a line for each study</summary>\n"
                : "",
          page);
    fputs(
        "<p>Intervals of means take the studies' own as independent: they say how sure "
        "the mean over these tasks is, not what other tasks would give.</p>\n",
        page);
    for (size_t i = n > 1; i < overview.n_tables; i++) /* the first is of the studies */
        tl_table_html(&overview.tables[i], page);
    fputs(n > 1 ? "</details>\n</section>\n" : "</section>\n", page);
    return status;
}

/* ---- its contents ----------------------------------------------------------------- */

/* Links to the parts of the study whose headings stand in `text`: whatever it has, in the words
 * that are there. Text of studies cannot be mistaken for them, for its < is &lt; there. */
static void write_links(const char *text, const char *end, FILE *page)
{
    static const char *const marks[] = {"\n<section id=\"", "\n<figure id=\""};
    for (const char *at = text; at != NULL && at < end; at = strchr(at + 1, '\n'))
        for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
            if (strncmp(at, marks[i], strlen(marks[i])) != 0)
                continue;
            const char *id = at + strlen(marks[i]), *title = strstr(id, "<h3>");
            const char *stop = title != NULL ? strstr(title, "</h3>") : NULL,
                       *over = strstr(id, "</section>");
            if (stop != NULL && over != NULL && title < over)
                fprintf(page, "<li><a href=\"#%.*s\">%.*s</a></li>\n",
                        (int)strcspn(id, "\""), id, (int)(stop - title) - 4, title + 4);
        }
}

static void write_contents(const tl_models *models, const char *text, FILE *page)
{
    const size_t n = models->n;
    fputs("<nav aria-label=\"Contents\"><ul>\n", page);
    if (has_overview(models->studies[0].findings, n)) {
        const char *begin = strstr(text, "<h2 id=\"all\">"),
                   *end = strstr(text, "<h2 id=\"s1\">");
        fprintf(page, "<li><a href=\"#all\">%s</a>", overview_title(n));
        if (n > 1 && begin != NULL && end != NULL) {
            fputs("<details><summary>its parts</summary><ul>\n", page);
            write_links(strchr(begin, '\n'), end, page);
            fputs("</ul></details>", page);
        }
        fputs("</li>\n", page);
    }
    for (size_t i = 0; i < n; i++) {
        char mark[32], next[32];
        snprintf(mark, sizeof mark, "<h2 id=\"s%zu\">", i + 1);
        snprintf(next, sizeof next, "<h2 id=\"s%zu\">", i + 2);
        const char *begin = strstr(text, mark), *stop = strstr(text, next);
        const char *end = stop != NULL ? stop : text + strlen(text);
        fprintf(page, "<li><a href=\"#s%zu\">", i + 1);
        tl_xml_text(page, models->studies[i].name);
        fputs(n == 1 ? "</a></li>\n"
                     : "</a><details><summary>its parts</summary><ul>\n",
              page);
        if (begin != NULL)
            write_links(strchr(begin, '\n'), end, page);
        fputs(n == 1 ? "" : "</ul></details></li>\n", page);
    }
    fputs("</ul></nav>\n", page);
}

static tl_status write_studies(const tl_models *models, tl_arena *arena, FILE *page,
                               tl_error *err)
{
    const tl_findings *all = models->studies[0].findings;
    tl_status status =
        has_overview(all, models->n) ? write_overview(models, arena, page, err) : TL_OK;
    for (size_t i = 0; i < models->n && status == TL_OK; i++)
        status = tl_fail_while(err, write_study(&all[i], i, arena, page, err), "%s",
                               all[i].folder);
    return status;
}

static tl_status write_page(const char *const *folders, size_t n, tl_arena *arena,
                            FILE *page, tl_error *err)
{
    char *text = NULL;
    size_t bytes = 0;
    tl_models models;
    tl_status status = tl_models_read(folders, n, arena, &models, err);
    FILE *body = status == TL_OK ? open_memstream(&text, &bytes) : NULL;
    if (status == TL_OK && body == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a report");
    if (status == TL_OK)
        status = write_studies(&models, arena, body, err);
    if (body != NULL && fclose(body) != 0 && status == TL_OK)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a report");
    if (status == TL_OK) {
        write_head(models.studies[0].findings, n, page);
        write_contents(&models, text, page);
        fputs("<main>\n", page);
        fwrite(text, 1, bytes, page);
        fputs("</main>\n</body>\n</html>\n", page);
    }
    free(text);
    return status;
}

tl_status tl_report_write(const char *const *folders, size_t n_folders,
                          const char *path, tl_error *err)
{
    char *text = NULL;
    size_t bytes = 0;
    tl_file_writer writer = {0};
    tl_arena *arena = tl_arena_create();
    FILE *page = open_memstream(&text, &bytes);
    tl_status status = arena != NULL && page != NULL
                           ? TL_OK
                           : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a report");
    if (status == TL_OK)
        status = write_page(folders, n_folders, arena, page, err);
    if (page != NULL && fclose(page) != 0 && status == TL_OK)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a report");
    if (status == TL_OK)
        status = tl_file_writer_open(&writer, path, err);
    if (status == TL_OK)
        status = tl_file_writer_put(&writer, text, bytes, err);
    if (status == TL_OK)
        status = tl_file_writer_commit(&writer, err);
    tl_file_writer_abandon(&writer);
    free(text);
    tl_arena_destroy(arena);
    return status;
}
