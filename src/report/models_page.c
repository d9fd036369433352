/* SPDX-License-Identifier: MIT
 * models_page.c - see models_page.h. */
#include "report/models_page.h"

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "report/draw.h"
#include "report/figure.h"
#include "report/input_text.h"
#include "report/models_draw.h"

/* ---- what was studied ------------------------------------------------------------------ */

tl_status tl_models_studies(const tl_models *models, tl_arena *arena, tl_table *out,
                            tl_error *err)
{
    static const char *const heads[] = {"task",   "model",        "dataset",
                                        "folder", "prompts",      "the paper's",
                                        "state",  "told apart by"};
    bool has_variants = false;
    for (size_t i = 0; i < models->n; i++)
        has_variants = has_variants || models->studies[i].variant[0] != '\0';
    *out =
        (tl_table){.name = "studies",
                   .title = "Studies",
                   .heads = heads,
                   .n_columns = has_variants ? 8 : 7,
                   .note = "Model and dataset: name (beginning of its hash). Prompts: "
                           "of text and of images. Published numbers stand beside "
                           "studies of the paper's models with its prompts."};
    tl_status status = TL_OK;
    for (size_t i = 0; i < models->n && status == TL_OK; i++) {
        const tl_models_study *s = &models->studies[i];
        const tl_findings *f = s->findings;
        char model[TL_INPUT_TEXT], dataset[TL_INPUT_TEXT], n[64];
        snprintf(n, sizeof n, "%zu + %zu", f->parts[TL_TEXT].n_prompts,
                 f->parts[TL_IMAGE].n_prompts);
        const char *const cells[] = {models->rows[s->row],
                                     tl_input_text(f, "model", model),
                                     tl_input_text(f, "dataset", dataset),
                                     f->folder,
                                     n,
                                     s->published != NULL ? "model and prompts"
                                     : tl_published_find(f) != NULL
                                         ? tl_published_differs(f)
                                         : NULL,
                                     f->finished ? "finished" : "unfinished",
                                     s->variant[0] != '\0' ? s->variant : NULL};
        status = tl_table_add(out, arena, cells, err);
    }
    return status;
}

/* For each value the studies that have it. */
static void write_settings(const tl_models *models, FILE *page)
{
    enum { MANY = 4 }; /* that need not be named where they are most */
    if (models->n > 1 && models->n_settings == 0)
        fputs("<p>All settings of these studies are the same.</p>\n", page);
    if (models->n_settings == 0)
        return;
    fputs("<h3>Settings that differ</h3>\n<dl>\n", page);
    for (size_t i = 0; i < models->n_settings; i++) {
        const tl_models_value *v = &models->settings[i];
        const bool begins = i == 0 || strcmp(v->setting, v[-1].setting) != 0;
        if (begins) {
            fputs(i > 0 ? "</dd>\n<dt>" : "<dt>", page);
            tl_xml_text(page, v->setting);
            fputs("</dt><dd>", page);
        }
        fputs(begins ? "<strong>" : "<br><strong>", page);
        tl_xml_text(page, v->value[0] != '\0' ? v->value : "not recorded");
        fputs("</strong>: ", page);
        const bool is_most = v->n >= MANY && 2 * v->n > models->n;
        if (is_most)
            fprintf(page, "the other %zu", v->n);
        for (size_t k = 0; k < v->n && !is_most; k++) {
            fputs(k > 0 ? "; " : "", page);
            tl_xml_text(page, models->studies[v->studies[k]].name);
        }
    }
    fputs("</dd>\n</dl>\n<p class=\"note\">What differs between studies may come from "
          "these. All other settings are the same.</p>\n",
          page);
}

/* ---- tables: tasks in rows, models in columns -------------------------------------------- */

static void write_number(FILE *out, tl_models_form form, const tl_interval *v)
{
    if (form == TL_MODELS_NUMBER || isnan(v->value))
        tl_draw_interval(out, v, NULL);
    else if (form == TL_MODELS_PERCENT)
        fprintf(out, "%.3g&nbsp;%%", 100 * v->value);
    else
        fprintf(out, "%.0f", v->value);
}

static void write_cell(FILE *out, tl_models_form form, const tl_interval *v)
{
    fputs("<td>", out);
    write_number(out, form, v);
    fputs("</td>", out);
}

static const tl_interval none = {NAN, NAN, NAN, NAN, 0, 0};

static void write_published(FILE *out, tl_models_form form, double value)
{
    write_cell(out, form, &(tl_interval){value, NAN, NAN, NAN, 0, 0});
}

/* Whether a model has published numbers of a part. */
static bool has_published(const tl_models *models, const tl_models_list *list,
                          size_t model, const char *part)
{
    for (size_t i = 0; i < list->n; i++)
        if (models->studies[list->numbers[i].study].model == model &&
            strcmp(list->numbers[i].part, part) == 0 &&
            !isnan(list->numbers[i].published))
            return true;
    return false;
}

static void write_heads(const tl_models *models, const tl_models_list *list, FILE *out)
{
    fputs("<thead><tr><th scope=\"col\" rowspan=\"2\">task</th>", out);
    for (size_t m = 0; m < models->n_models; m++) {
        size_t n = list->n_parts;
        for (size_t k = 0; k < list->n_parts; k++)
            n += has_published(models, list, m, list->parts[k]);
        fprintf(out,
                "<th scope=\"colgroup\" colspan=\"%zu\" style=\"text-align:center\">",
                n);
        tl_xml_text(out, models->models[m]);
        fputs("</th>", out);
    }
    fputs("</tr>\n<tr>", out);
    for (size_t m = 0; m < models->n_models; m++)
        for (size_t k = 0; k < list->n_parts; k++) {
            fputs(m + k > 0 ? "<th scope=\"col\">"
                            : "<th scope=\"col\" style=\"text-align:right\">",
                  out);
            tl_xml_text(out, list->parts[k]);
            fputs("</th>", out);
            if (has_published(models, list, m, list->parts[k]))
                fputs("<th scope=\"col\">published</th>", out);
        }
    fputs("</tr></thead>\n<tbody>\n", out);
}

static void write_row(const tl_models *models, const tl_models_list *list, size_t row,
                      FILE *out)
{
    fputs("<tr><td>", out);
    tl_xml_text(out, models->rows[row]);
    fputs("</td>", out);
    for (size_t m = 0; m < models->n_models; m++) {
        const size_t study = tl_models_find(models, m, row);
        for (size_t k = 0; k < list->n_parts; k++) {
            const tl_models_number *x =
                tl_models_number_of(list, study, list->parts[k]);
            if (study == SIZE_MAX)
                fputs("<td>no&nbsp;study</td>", out);
            else if (x == NULL || isnan(x->value.value))
                fputs("<td>missing</td>", out);
            else
                write_cell(out, list->form, &x->value);
            if (has_published(models, list, m, list->parts[k]))
                write_published(out, list->form, x != NULL ? x->published : NAN);
        }
    }
    fputs("</tr>\n", out);
}

static tl_status write_means(const tl_models *models, const tl_models_list *list,
                             tl_arena *arena, FILE *out, tl_error *err)
{
    tl_status status = TL_OK;
    if (!list->has_means || models->n_rows < 2)
        return TL_OK;
    fputs("<tr><td>mean</td>", out);
    for (size_t m = 0; m < models->n_models; m++)
        for (size_t k = 0; k < list->n_parts; k++) {
            tl_models_mean mean;
            status =
                tl_models_mean_of(models, list, m, list->parts[k], arena, &mean, err);
            if (status != TL_OK)
                return status;
            write_cell(out, list->form, mean.n > 1 ? &mean.value : &none);
            if (has_published(models, list, m, list->parts[k]))
                write_published(out, list->form, mean.n > 1 ? mean.published : NAN);
        }
    fputs("</tr>\n", out);
    return TL_OK;
}

static tl_status write_table(const tl_models *models, const tl_models_list *list,
                             tl_arena *arena, FILE *out, tl_error *err)
{
    fputs("<div class=\"table\" style=\"grid-column:1/-1\"><table>\n", out);
    write_heads(models, list, out);
    for (size_t row = 0; row < models->n_rows; row++)
        write_row(models, list, row, out);
    const tl_status status = write_means(models, list, arena, out, err);
    fputs("</tbody></table></div>\n", out);
    return status;
}

/* ---- captions ---------------------------------------------------------------------------- */

/* clang-format off */
static const char *const captions[TL_MODELS_LISTS] = {
    [TL_MODELS_ACCURACY] =
        "Share of prompts whose answer is the first among the labels of its question, "
        "with 95 % intervals over prompts.",
    [TL_MODELS_CURVES] =
        "How much of the logit difference circuits of a size keep, by study: models in "
        "rows, tasks in columns. Bands: 95 % intervals over the evaluation prompts. "
        "Dotted: the threshold of the smallest faithful circuit.",
    [TL_MODELS_SIZES] =
        "Share of all components, heads and neurons at each position, in the smallest "
        "circuit of the grid whose faithfulness is above the threshold.",
    [TL_MODELS_FAITHFULNESS] =
        "Faithfulness of the circuits of table 5, with 95 % intervals over the "
        "evaluation prompts.",
    [TL_MODELS_OVERLAP] =
        "Intersection over union of the two circuits of table 5 within each segment, "
        "mean of heads and neurons, above what random circuits of their sizes share. 95 "
        "% intervals over prompts and draws.",
    [TL_MODELS_INTERCHANGE] =
        "Faithfulness when one segment's part of a circuit is the other modality's: 0 "
        "as with a random part, 1 as with its own, over both modalities. 95 % intervals "
        "over evaluation prompts and draws.",
    [TL_MODELS_ALIGNMENT] =
        "For each image token the largest cosine with a text token of the data segment, "
        "after the same layer; layers are counted from 0. Bands: 95 % intervals over "
        "pairs.",
    [TL_MODELS_BACKPATCH] =
        "Accuracy of image prompts with the best cell patched, which is chosen on the "
        "same prompts, as published, and what it adds; crossed: what a cell adds that "
        "was chosen on other prompts, which is what to go by. After a search both are "
        "of the cell that it found, on prompts that it did not see.",
    [TL_MODELS_CELLS] =
        "Late states of image tokens are put from one layer into another and, with a "
        "larger window, from the layers around the one into those around the other. "
        "Layers are counted from 0.",
    [TL_MODELS_TIMES] =
        "Accuracy of image prompts after patching the best cell so many times; 0: "
        "without patching. Bands: 95 % intervals over prompts.",
    [TL_MODELS_CONTROL] =
        "Of the cells that were patched on images and on text, the share that gain no "
        "less on images, by window. 95 % intervals over pairs of prompts. A search runs "
        "a sample of cells on text; windows of which it has none are missing.",
};

static const char *const published_captions[TL_MODELS_LISTS] = {
    [TL_MODELS_CURVES] =
        " Diamonds: the published circuits (tables 5 and 6).",
    [TL_MODELS_OVERLAP] =
        " Diamonds: published, read off the figure, in which IoU - 2 random is kept "
        "within 0.01 and 1.",
    [TL_MODELS_INTERCHANGE] =
        " Diamonds: published, read off the figure, in which what is below 0 is drawn as "
        "0.",
    [TL_MODELS_ALIGNMENT] =
        " Upright bars: what the published curves of the five tasks lie between, read "
        "off at four layers.",
    [TL_MODELS_TIMES] =
        " Diamonds: published without patching and after the first time (tables 4 and "
        "1).",
    [TL_MODELS_CONTROL] =
        " Published is the mean of the 45 points alone, 79 %.",
};
/* clang-format on */

/* Whether a published number is drawn; those of figures 7 and 9 are of a model. */
static bool speaks_of_published(const tl_models *models, size_t list)
{
    bool any = models->lists[list].any_published;
    for (size_t m = 0; m < models->n_models && models->lists[list].any_value; m++)
        any = any || ((list == TL_MODELS_ALIGNMENT || list == TL_MODELS_CONTROL) &&
                      models->published_layers[m] != NULL);
    return any;
}

/* Over all studies, as the paper's text has them. */
static tl_status write_mean_sentence(const tl_models *models,
                                     const tl_models_list *list, tl_arena *arena,
                                     FILE *out, tl_error *err)
{
    if (!list->has_means || models->n < 2)
        return TL_OK;
    for (size_t k = 0; k < list->n_parts; k++) {
        tl_models_mean mean;
        const tl_status status = tl_models_mean_of(models, list, SIZE_MAX,
                                                   list->parts[k], arena, &mean, err);
        if (status != TL_OK)
            return status;
        if (k == 0)
            fputs(" Means over studies:", out);
        fprintf(out, "%s %s ", k > 0 ? ";" : "", list->parts[k]);
        write_number(out, list->form, &mean.value);
        if (mean.n_published > 0) {
            fputs(", published ", out);
            write_number(out, list->form,
                         &(tl_interval){mean.published, NAN, NAN, NAN, 0, 0});
            if (mean.n_published < mean.n) {
                fprintf(out, " over %zu of them, where ours is ", mean.n_published);
                write_number(out, list->form, &mean.same);
            }
        }
    }
    fputs(".", out);
    return TL_OK;
}

/* How often patching again ends lower than patching once. */
static void write_falls(const tl_models *models, FILE *out)
{
    size_t n = 0, n_lower = 0;
    for (size_t i = 0; i < models->n; i++) {
        const tl_finding_backpatch *b = &models->studies[i].findings->backpatch;
        if (b->n_iterations < 3)
            continue;
        n++;
        n_lower += b->iterations[b->n_iterations - 1].value < b->iterations[1].value;
    }
    if (n > 0)
        fprintf(out,
                " The last time is below the first in %zu of %zu studies; published: "
                "accuracy falls after the first time in all but one of fifteen.",
                n_lower, n);
}

/* "Missing: counting, tiny: text no circuits. No study: ..." */
static void write_missing(const tl_models *models, const tl_models_list *list,
                          FILE *out)
{
    bool any = false;
    for (size_t s = 0; s < models->n; s++) {
        const char *last = NULL;
        for (size_t i = 0; i < list->n; i++) {
            const tl_models_number *x = &list->numbers[i];
            if (x->study != s || x->missing == NULL)
                continue;
            if (last == NULL) {
                fputs(any ? "; " : " Missing: ", out);
                tl_xml_text(out, models->studies[s].name);
                fputs(" (", out);
            } else if (strcmp(last, x->missing) != 0) {
                fputs("; ", out);
            } else {
                continue; /* the same of another part */
            }
            last = x->missing;
            any = true;
            tl_xml_text(out, x->missing);
        }
        fputs(last != NULL ? ")" : "", out);
    }
    fputs(any ? "." : "", out);
}

/* "Not shown: counting, text; sentiment, image: ..." of circuits and what builds on them. */
static void write_not_shown(const tl_models *models, size_t list, FILE *out)
{
    bool any = false;
    if (list != TL_MODELS_SIZES && list != TL_MODELS_FAITHFULNESS &&
        list != TL_MODELS_OVERLAP && list != TL_MODELS_INTERCHANGE)
        return;
    for (size_t s = 0; s < models->n; s++)
        for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
            const tl_finding_part *p = &models->studies[s].findings->parts[m];
            if (p->is_shown || tl_findings_smallest(p, TL_STUDY_CIRCUIT) == NULL)
                continue;
            fputs(any ? "; "
                      : " Not shown to be faithful enough (the interval does not "
                        "lie above the threshold, or is of fewer than five "
                        "prompts) are the circuits of: ",
                  out);
            tl_xml_text(out, models->studies[s].name);
            fprintf(out, ", %s", tl_modality_name((tl_modality)m));
            any = true;
        }
    fputs(any ? "." : "", out);
}

/* Pairs of a model and a row, if there are few; the tables show them too. */
static void write_no_study(const tl_models *models, FILE *out)
{
    bool any = false;
    if (!tl_models_is_dense(models))
        return;
    for (size_t m = 0; m < models->n_models; m++)
        for (size_t row = 0; row < models->n_rows; row++)
            if (tl_models_find(models, m, row) == SIZE_MAX) {
                fputs(any ? "; " : "<p>No study of: ", out);
                tl_xml_text(out, models->rows[row]);
                fputs(", ", out);
                tl_xml_text(out, models->models[m]);
                any = true;
            }
    fputs(any ? ".</p>\n" : "", out);
}

/* ---- figures ----------------------------------------------------------------------------- */

static void draw_panels(const tl_models *models, size_t list, tl_figure *figure)
{
    char name[48];
    for (size_t m = 0; m < models->n_models; m++) {
        if (!tl_models_by_row(list)) {
            snprintf(name, sizeof name, "%zu", m + 1);
            tl_models_draw(models, list, m, 0, tl_figure_panel(figure, name),
                           &figure->n_open, figure->panels);
            continue;
        }
        fputs("<div class=\"row\">\n", figure->panels);
        for (size_t row = 0; row < models->n_rows; row++) {
            if (!tl_models_is_dense(models) &&
                tl_models_find(models, m, row) == SIZE_MAX)
                continue;
            snprintf(name, sizeof name, "%zu-%zu", m + 1, row + 1);
            tl_models_draw(models, list, m, row, tl_figure_panel(figure, name),
                           &figure->n_open, figure->panels);
        }
        fputs("</div>\n", figure->panels);
    }
}

/* "Figure 4: faithfulness by circuit size" */
static void write_title(const tl_models_list *list, char *title, size_t bytes)
{
    snprintf(title, bytes, "%s: %s", list->name, list->title);
    title[0] = (char)toupper((unsigned char)title[0]);
    *strchr(title, '-') = ' ';
}

static tl_status write_list(const tl_models *models, size_t list, tl_arena *arena,
                            FILE *page, tl_error *err)
{
    const tl_models_list *l = &models->lists[list];
    char title[120];
    write_title(l, title, sizeof title);
    tl_figure figure = {.page = "all-",
                        .name = l->name,
                        .title = title,
                        .is_wide = tl_models_by_row(list)};
    tl_status status = tl_figure_begin(&figure, err);
    if (status != TL_OK)
        return status;
    const bool has_table = l->at == NULL && l->any_value;
    if (tl_models_is_drawn(models, list))
        draw_panels(models, list, &figure);
    if (!l->any_value)
        fputs("<p>None of these studies has it.</p>\n", figure.panels);
    if (has_table)
        status = write_table(models, l, arena, figure.panels, err);
    tl_models_write_csv(models, l, figure.csv);
    for (size_t i = 0; i < l->n; i++)
        figure.n_incomplete += l->numbers[i].value.n_undefined > 0;
    fputs(captions[list], figure.caption);
    if (speaks_of_published(models, list) && published_captions[list] != NULL)
        fputs(published_captions[list], figure.caption);
    if (list == TL_MODELS_TIMES)
        write_falls(models, figure.caption);
    if (status == TL_OK)
        status = write_mean_sentence(models, l, arena, figure.caption, err);
    write_missing(models, l, figure.caption);
    write_not_shown(models, list, figure.caption);
    return tl_figure_end(&figure, page, status, err);
}

tl_status tl_models_write_page(const tl_models *models, tl_arena *arena, FILE *page,
                               tl_error *err)
{
    tl_table studies;
    bool any_published = false;
    for (size_t i = 0; i < models->n; i++)
        any_published = any_published || models->studies[i].published != NULL;
    tl_status status = tl_models_studies(models, arena, &studies, err);
    if (status != TL_OK)
        return status;
    fprintf(
        page,
        "<p>%zu studies of %zu model%s and %zu task%s in the paper's figures 4 to 9 "
        "and "
        "tables 1 and 4 to 7: tasks in rows, models in columns. Intervals of means "
        "take "
        "the studies as independent: they say how sure the mean of these is, not what "
        "others would give.%s</p>\n",
        models->n, models->n_models, models->n_models == 1 ? "" : "s", models->n_tasks,
        models->n_tasks == 1 ? "" : "s",
        any_published ? " Published: Nikankin et al., Same Task, Different Circuits "
                        "(arXiv 2506.09047), with the settings of its authors, which "
                        "--compat published sets here."
                      : "");
    tl_table_html(&studies, page);
    write_no_study(models, page);
    write_settings(models, page);
    for (size_t i = 0; i < TL_MODELS_LISTS && status == TL_OK; i++)
        status = write_list(models, i, arena, page, err);
    return status;
}
