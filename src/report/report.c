/* SPDX-License-Identifier: MIT
 * report.c - the page: what was studied, the numbers that matter, the figures in the
 * order of the study. See report.h. */
#include "twinlens/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "report/draw.h"
#include "report/input_text.h"
#include "report/models_page.h"
#include "report/overview.h"
#include "finding/published.h"
#include "report/svg.h"

/* clang-format off */
static const char style[] =
    "html{color:#1a1a1a;background:#fff;font:16px/1.5 system-ui,Helvetica,Arial,sans-serif}"
    "body{max-width:72rem;margin:0 auto;padding:1rem}"
    "h1{font-size:1.7rem;line-height:1.2;margin:.5rem 0}"
    "h2{font-size:1.35rem;margin:2.5rem 0 .5rem;padding-top:.5rem;border-top:2px solid #333}"
    "h3{font-size:1.1rem;margin:0 0 .5rem}"
    "figure{margin:1.8rem 0}"
    "figcaption{max-width:46rem;font-size:.9rem;color:#333;margin-top:.4rem}"
    ".panels{display:flex;flex-wrap:wrap;align-items:flex-start;gap:.8rem 1.2rem}"
    ".wide,.table{overflow-x:auto}"
    "svg{display:block;flex:none;max-width:none;margin-bottom:.5rem}"
    ".panels svg{max-width:100%;height:auto}"
    "table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}"
    "th,td{padding:.2rem .6rem;border-bottom:1px solid #ddd;text-align:right;vertical-align:top}"
    ".table{margin-bottom:1.2rem}td:first-child{white-space:nowrap}"
    "th:first-child,td:first-child{text-align:left;padding-left:0}"
    "thead th{border-bottom:1.5px solid #333}"
    ".note{max-width:46rem;font-size:.9rem;color:#333;margin:.3rem 0 1.6rem}"
    "caption{text-align:left;font-size:.9rem;color:#333;padding-bottom:.3rem}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;font-size:.9rem}"
    "dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}"
    "nav ul{padding:0;list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem}"
    "a{color:#004f7c}"
    "@media(max-width:600px){th,td{padding:.2rem .35rem}td:first-child{white-space:normal}"
    "table{font-size:.8rem}}"
    "@media print{nav{display:none}figure{break-inside:avoid}}";
/* clang-format on */

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

typedef struct number_row {
    const char *label;
    const tl_interval *values[TL_MODALITY_COUNT]; /* NULL: - */
} number_row;

static void write_row(const number_row *row, FILE *page)
{
    fprintf(page, "<tr><td>%s</td>", row->label);
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        fputs("<td>", page);
        if (row->values[m] != NULL)
            tl_draw_interval(page, row->values[m]);
        else
            fputs("-", page);
        fputs("</td>", page);
    }
    fputs("</tr>\n", page);
}

static void write_count(const char *label, const size_t n[TL_MODALITY_COUNT],
                        const size_t of[TL_MODALITY_COUNT], FILE *page)
{
    fprintf(page, "<tr><td>%s</td>", label);
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        if (of == NULL)
            fprintf(page, "<td>%zu</td>", n[m]);
        else
            fprintf(page, "<td>%zu of %zu</td>", n[m], of[m]);
    fputs("</tr>\n", page);
}

static void write_sizes(const tl_findings *f, FILE *page)
{
    const tl_finding_point *smallest[TL_MODALITY_COUNT];
    size_t heads[TL_MODALITY_COUNT] = {0}, neurons[TL_MODALITY_COUNT] = {0},
           all_heads[TL_MODALITY_COUNT], all_neurons[TL_MODALITY_COUNT];
    fputs("<tr><td>smallest faithful circuit</td>", page);
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const tl_study_scores *s = &f->parts[m].scores;
        smallest[m] = tl_findings_smallest(&f->parts[m], TL_STUDY_CIRCUIT);
        all_heads[m] = s->n_layers * s->n_pos * s->n_heads;
        all_neurons[m] = s->n_layers * s->n_pos * s->d_mlp;
        if (smallest[m] != NULL) {
            heads[m] = smallest[m]->point->n_heads;
            neurons[m] = smallest[m]->point->n_neurons;
            fprintf(page, "<td>%.4g %%", 100 * smallest[m]->fraction);
            if (f->parts[m].is_shown)
                fputs("</td>", page);
            else if (f->parts[m].shown != NULL)
                fprintf(page, " (not shown; %.4g %% is)</td>",
                        100 * f->parts[m].shown->fraction);
            else
                fputs(" (not shown)</td>", page);
        } else {
            fprintf(page, "<td>%s</td>", f->parts[m].done ? "none" : "-");
        }
    }
    fputs("</tr>\n", page);
    write_count("its heads", heads, all_heads, page);
    write_count("its neurons", neurons, all_neurons, page);
}

/* A row for each use and reason, whose modalities follow each other. */
static void write_left_out(const tl_findings *f, FILE *page)
{
    for (size_t i = 0; i < f->n_left_out; i++) {
        const tl_study_left_out *l = &f->left_out[i];
        size_t n[TL_MODALITY_COUNT] = {0};
        if (i > 0 && strcmp(l[-1].use, l->use) == 0 &&
            strcmp(l[-1].reason, l->reason) == 0)
            continue;
        for (size_t k = i;
             k < f->n_left_out && strcmp(f->left_out[k].use, l->use) == 0 &&
             strcmp(f->left_out[k].reason, l->reason) == 0;
             k++)
            n[f->left_out[k].modality] = f->left_out[k].n;
        fputs("<tr><td>left out of ", page);
        tl_xml_text(page, l->use);
        fputs(": ", page);
        tl_xml_text(page, l->reason);
        fputs("</td>", page);
        for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
            fprintf(page, "<td>%zu</td>", n[m]);
        fputs("</tr>\n", page);
    }
}

static void write_numbers(const tl_findings *f, FILE *page)
{
    const tl_finding_part *t = &f->parts[TL_TEXT], *v = &f->parts[TL_IMAGE];
    const tl_finding_part *parts[TL_MODALITY_COUNT] = {t, v};
    fputs("<div class=\"table\"><table>\n<caption>In brackets: 95 % "
          "intervals.</caption>\n"
          "<thead><tr><th scope=\"col\"></th><th scope=\"col\">text</th><th "
          "scope=\"col\">image</th></tr></thead>\n<tbody>\n",
          page);
    write_count("prompts", (size_t[]){t->n_prompts, v->n_prompts}, NULL, page);
    write_row(&(number_row){"accuracy among the labels", {&t->limited, &v->limited}},
              page);
    write_row(&(number_row){"accuracy in the vocabulary", {&t->full, &v->full}}, page);
    write_count("discovery prompts", (size_t[]){t->n_discovery, v->n_discovery}, NULL,
                page);
    write_count("evaluation prompts", (size_t[]){t->n_evaluation, v->n_evaluation},
                NULL, page);
    write_left_out(f, page);
    write_sizes(f, page);
    static const char *const labels[TL_STUDY_KIND_COUNT] = {
        "its faithfulness", "of that size by activation difference",
        "of that size at random"};
    static const char *const areas[TL_STUDY_KIND_COUNT] = {
        "area under the curve (CPR)", "the same by activation difference",
        "the same at random"};
    static const char *const distances[TL_STUDY_KIND_COUNT] = {
        "distance of the curve from 1 (CMD)", "the same by activation difference",
        "the same at random"};
    number_row rows[3 * TL_STUDY_KIND_COUNT] = {{0}};
    for (size_t k = 0; k < TL_STUDY_KIND_COUNT; k++)
        for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
            const tl_finding_point *p =
                tl_findings_smallest(parts[m], (tl_study_kind)k);
            const tl_finding_area *area =
                tl_findings_area(f, parts[m], (tl_study_kind)k);
            number_row *const at[] = {&rows[k], &rows[TL_STUDY_KIND_COUNT + k],
                                      &rows[2 * TL_STUDY_KIND_COUNT + k]};
            at[0]->label = labels[k];
            at[1]->label = areas[k];
            at[2]->label = distances[k];
            at[0]->values[m] = p != NULL ? tl_findings_chosen(f, p) : NULL;
            if (parts[m]->n_points > 0) {
                at[1]->values[m] = &area->performance;
                at[2]->values[m] = &area->distance;
            }
        }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        write_row(&rows[i], page);
    fputs("</tbody></table></div>\n", page);
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
    fprintf(page, isnan(value) ? "%s-" : "%s%.4f", before, value);
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

static void write_interval(FILE *page, const char *before, const tl_interval *i)
{
    const double numbers[] = {i->value, i->low, i->high};
    static const char *const between[] = {"", " (", " to "};
    fputs(before, page);
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
        fprintf(page, isnan(numbers[k]) ? "%s-" : "%s%.3f", between[k], numbers[k]);
    fputs(")", page);
    if (i->n_undefined > 0)
        fprintf(page, " -%zu", i->n_undefined);
}

/* Whether the smallest circuit is better than chance, minimal, complete. */
static void write_tests(const tl_findings *f, FILE *page)
{
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const tl_finding_tests *t = &f->tests[m];
        if (t->n_pairs == 0)
            continue;
        fprintf(page,
                "<p>The smallest circuit of %s prompts%s, tested on %zu evaluation "
                "pairs: ",
                tl_modality_name((tl_modality)m),
                f->parts[m].is_shown ? "" : ", not shown to be faithful", t->n_pairs);
        write_interval(page, "its faithfulness is ", &t->faithfulness);
        fprintf(page,
                ", that of %zu random circuits with as many parts in each segment ",
                t->random.n);
        write_interval(page, "", &t->random);
        write_number(page, ", at most ", t->most);
        write_interval(page, "; of them ", &t->less);
        write_number(page, " are less faithful, p = ", t->p);
        for (size_t k = 0; k < TL_KIND_COUNT; k++) {
            const tl_finding_needed *n = &t->needed[k];
            fprintf(page, "; of a sample of %zu of its %s ", n->needed.n,
                    tl_kind_name((tl_component_kind)k));
            write_interval(page, "", &n->needed);
            write_number(page, " are needed, that is, change LD by more than ",
                         n->threshold);
            fprintf(page, ", as 5 %% of %zu outside the circuit do", n->n_outside);
        }
        write_interval(page, "; the faithfulness of all that is not in it is ",
                       &t->complement);
        fputs(".</p>\n", page);
    }
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

static tl_status write_study(const tl_findings *f, size_t index, FILE *page,
                             tl_error *err)
{
    static tl_draw *const figures[] = {
        tl_draw_accuracy,     tl_draw_importance, tl_draw_pictures,
        tl_draw_leading,      tl_draw_faithfulness, tl_draw_validation,
        tl_draw_overlap,      tl_draw_interchange,  tl_draw_alignment,
        tl_draw_gap,          tl_draw_backpatch,    tl_draw_iterations};
    char prefix[32];
    snprintf(prefix, sizeof prefix, "s%zu-", index + 1);
    fprintf(page, "<section>\n<h2 id=\"s%zu\">", index + 1);
    write_title(f, page);
    fputs("</h2>\n", page);
    write_missing(f, page);
    write_numbers(f, page);
    write_tests(f, page);
    write_precision(f, page);
    write_manifest(f, page);
    write_work(f, page);
    tl_status status = TL_OK;
    for (size_t i = 0; i < sizeof figures / sizeof *figures && status == TL_OK; i++)
        status = figures[i](f, prefix, page, err);
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
            "<title>twinlens: ");
    for (size_t i = 0; i < n; i++) {
        fputs(i > 0 ? "; " : "", page);
        write_title(&all[i], page);
    }
    fprintf(page, "</title>\n<style>%s</style>\n</head>\n<body>\n<h1>", style);
    fputs(n == 1 ? "How the model solves a task from text and from images"
                 : "How the model solves tasks from text and from images",
          page);
    fprintf(
        page,
        "</h1>\n<p>Made by %s out of %zu stud%s. Every plot carries its numbers as "
        "CSV. -12 behind an interval: 12 of 1000 bootstrap resamples had no value and "
        "are left out.</p>\n",
        tl_findings_key(&all[0], "program"), n, n == 1 ? "y" : "ies");
    if (!has_overview(all, n))
        return;
    fprintf(page, "<nav><ul>\n<li><a href=\"#all\">%s</a></li>\n", overview_title(n));
    for (size_t i = 0; i < n; i++) {
        fprintf(page, "<li><a href=\"#s%zu\">", i + 1);
        write_title(&all[i], page);
        fputs("</a></li>\n", page);
    }
    fputs("</ul></nav>\n", page);
}

/* All studies beside each other. */
static tl_status write_overview(const tl_findings *all, size_t n, tl_arena *arena,
                                FILE *page, tl_error *err)
{
    tl_overview overview;
    tl_models models;
    tl_status status = tl_overview_make(all, n, arena, &overview, err);
    if (status == TL_OK && n > 1)
        status = tl_models_make(all, n, arena, &models, err);
    if (status != TL_OK)
        return status;
    fprintf(page, "<section>\n<h2 id=\"all\">%s</h2>\n", overview_title(n));
    if (n > 1)
        status = tl_models_write_page(&models, arena, page, err);
    fputs(n > 1 ? "<details><summary>More numbers, a line for each study</summary>\n" : "",
          page);
    fputs("<p>In brackets: 95 % intervals. Intervals of means take the studies' own as "
          "independent: they say how sure the mean over these tasks is, not what other "
          "tasks would give.</p>\n",
          page);
    for (size_t i = n > 1; i < overview.n_tables; i++) /* the first is of the studies */
        tl_table_html(&overview.tables[i], page);
    fputs(n > 1 ? "</details>\n</section>\n" : "</section>\n", page);
    return status;
}

static tl_status write_page(const char *const *folders, size_t n, tl_arena *arena,
                            FILE *page, tl_error *err)
{
    tl_findings *all = tl_arena_alloc_zero(arena, n, sizeof *all);
    tl_status status =
        all != NULL ? TL_OK
                    : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu studies", n);
    for (size_t i = 0; i < n && status == TL_OK; i++)
        status = tl_findings_read(folders[i], arena, &all[i], err);
    if (status != TL_OK)
        return status;
    write_head(all, n, page);
    if (has_overview(all, n))
        status = write_overview(all, n, arena, page, err);
    for (size_t i = 0; i < n && status == TL_OK; i++)
        status =
            tl_fail_while(err, write_study(&all[i], i, page, err), "%s", folders[i]);
    fputs("</body>\n</html>\n", page);
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
