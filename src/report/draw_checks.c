/* SPDX-License-Identifier: MIT
 * draw_checks.c - does attribution tell the truth? Exact effects beside it. */
#include <math.h>
#include <string.h>

#include "base/csv_write.h"
#include "report/draw.h"
#include "report/figure.h"
#include "report/plot.h"

enum { MOST = 512 };

static tl_style style_of(tl_component_kind kind, bool rank)
{
    static const char *const names[TL_KIND_COUNT][2] = {
        {"heads, Pearson", "heads, Spearman"},
        {"neurons, Pearson", "neurons, Spearman"}};
    return (tl_style){.name = names[kind][rank],
                      .color = kind == TL_KIND_HEADS ? TL_COLOR_LINE : TL_COLOR_OTHER,
                      .dash = kind == TL_KIND_HEADS ? NULL : "5 3",
                      .mark = kind == TL_KIND_HEADS ? TL_MARK_CIRCLE : TL_MARK_SQUARE,
                      .radius = 3.5,
                      .is_hollow = rank};
}

/* "5 steps", "relevance". */
static const char *way_text(size_t ig_steps, char text[32])
{
    if (ig_steps == 0)
        snprintf(text, 32, "relevance");
    else
        snprintf(text, 32, "%zu step%s", ig_steps, ig_steps == 1 ? "" : "s");
    return text;
}

/* With the legend that all have. */
static void end_plot(tl_plot *plot)
{
    static const char *const names[] = {"heads", "neurons"};
    const tl_style styles[] = {style_of(TL_KIND_HEADS, false),
                               style_of(TL_KIND_NEURONS, false)};
    tl_plot_legend(plot, names, styles, TL_KIND_COUNT);
    tl_plot_end(plot);
}

/* ---- correlations by steps ------------------------------------------------------- */

static void draw_correlations(const tl_findings *f, tl_modality modality,
                              tl_figure *figure)
{
    const tl_finding_validation *v = &f->validations[modality];
    char title[64], name[32], text[32];
    snprintf(title, sizeof title, "%s: correlation by steps",
             tl_draw_modalities[modality]);
    snprintf(name, sizeof name, "%s-steps", tl_draw_modalities[modality]);
    tl_plot plot = {.name = tl_figure_panel(figure, name),
                    .title = title,
                    .description =
                        "Correlation of attributed scores with exact effects",
                    .x_label = "interpolation steps; filled: Pearson, hollow: Spearman",
                    .y_label = "correlation",
                    .over = "over prompts",
                    .n_open = &figure->n_open,
                    .width = 352,
                    .height = 258,
                    .x = {0, (double)v->n_gaps, TL_SCALE_LINEAR},
                    .y = {-0.2, 1, TL_SCALE_LINEAR},
                    .has_no_x_ticks = true};
    for (size_t i = 0; i < v->n_checks; i++)
        if (v->checks[i].layer < 0)
            plot.y.low = fmax(-1.0, fmin(plot.y.low, fmin(v->checks[i].pearson.low,
                                                          v->checks[i].spearman.low)));
    plot.y.low = fmax(-1.0, plot.y.low - 0.03);
    tl_plot_begin(&plot, figure->panels);
    tl_plot_reference(&plot, 0.0, "", &(tl_style){.color = TL_COLOR_LINE});
    for (size_t g = 0; g < v->n_gaps; g++) {
        if (v->gaps[g].ig_steps == 0)
            snprintf(text, sizeof text, "relp");
        else
            snprintf(text, sizeof text, "%zu", v->gaps[g].ig_steps);
        tl_svg_text(plot.out, tl_plot_x(&plot, (double)g + 0.5), plot.y0 + 16, text,
                    &(tl_font){.anchor = TL_ANCHOR_MIDDLE});
        for (size_t i = 0; i < v->n_checks; i++) {
            const tl_finding_check *c = &v->checks[i];
            if (c->ig_steps != v->gaps[g].ig_steps || c->layer >= 0)
                continue;
            const double x = (double)g + 0.28 + 0.3 * (double)c->kind;
            const tl_style pearson = style_of(c->kind, false),
                           spearman = style_of(c->kind, true);
            tl_plot_point(&plot, x, &c->pearson, &pearson);
            tl_plot_point(&plot, x + 0.14, &c->spearman, &spearman);
        }
    }
    end_plot(&plot);
}

/* ---- every component ------------------------------------------------------------- */

/* One that is smaller than the axes begin stands at the edge, as a triangle that points to where
 * it is. */
static void draw_component(const tl_plot *plot, const tl_study_effect *e,
                           tl_figure *figure)
{
    const tl_component_kind kind =
        strcmp(e->kind, "heads") == 0 ? TL_KIND_HEADS : TL_KIND_NEURONS;
    const tl_style s = style_of(kind, e->exact * e->attributed < 0.0);
    const double exact = fabs(e->exact), attributed = fabs(e->attributed),
                 x = tl_plot_x(plot, fmax(exact, plot->x.low)),
                 y = tl_plot_y(plot, fmax(attributed, plot->y.low));
    const bool is_left = exact < plot->x.low, is_below = attributed < plot->y.low;
    char text[128];
    snprintf(text, sizeof text,
             "%s %zu of layer %zu, position %zu: exact %.3g, attributed %.3g",
             kind == TL_KIND_HEADS ? "head" : "neuron", e->index, e->layer, e->pos,
             e->exact, e->attributed);
    const tl_ink ink = {.stroke = s.color,
                        .fill = s.is_hollow ? "#ffffff" : s.color,
                        .opacity = 0.7,
                        .title = text};
    if (!is_left && !is_below) {
        tl_svg_mark(plot->out, s.mark, x, y, 2.5, &ink);
        return;
    }
    const double dx = is_left ? -5 : 0, dy = is_below ? 5 : 0,
                 px[] = {x + dx, x - dy / 1.5, x + dy / 1.5 - dx / 3, x + dx},
                 py[] = {y + dy, y + dx / 1.5, y - dx / 1.5 - dy / 3, y + dy};
    tl_svg_path(plot->out, px, py, 4, &ink);
    figure->n_open++;
}

static void draw_scatter(const tl_findings *f, tl_modality modality, tl_figure *figure)
{
    const tl_finding_validation *v = &f->validations[modality];
    const size_t steps = v->ig_steps;
    double most = 0.0;
    for (size_t i = 0; i < v->n_effects; i++)
        if (v->effects[i].ig_steps == steps)
            most = fmax(
                most, fmax(fabs(v->effects[i].exact), fabs(v->effects[i].attributed)));
    if (!(most > 0.0))
        return;
    char title[64], name[32], way[32];
    snprintf(title, sizeof title, "%s: components, %s", tl_draw_modalities[modality],
             way_text(steps, way));
    snprintf(name, sizeof name, "%s-components", tl_draw_modalities[modality]);
    tl_plot plot = {.name = tl_figure_panel(figure, name),
                    .title = title,
                    .description = "Attributed score by exact effect of components",
                    .x_label = "|exact effect|, logits; hollow: the signs differ",
                    .y_label = "|attributed score|, logits",
                    .n_open = &figure->n_open,
                    .width = 352,
                    .height = 258,
                    .x = {most * 1e-5, most * 1.2, TL_SCALE_LOG},
                    .left = 60,
                    .y = {most * 1e-5, most * 1.2, TL_SCALE_LOG}};
    tl_plot_begin(&plot, figure->panels);
    tl_svg_line(plot.out, plot.x0, plot.y0, plot.x1, plot.y1,
                &(tl_ink){.stroke = TL_COLOR_GRID, .width = 1.5});
    for (size_t i = 0; i < v->n_effects; i++)
        if (v->effects[i].ig_steps == steps && !isnan(v->effects[i].attributed))
            draw_component(&plot, &v->effects[i], figure);
    end_plot(&plot);
}

/* ---- layer by layer -------------------------------------------------------------- */

static void draw_layers(const tl_findings *f, tl_modality modality, tl_figure *figure)
{
    const tl_finding_validation *v = &f->validations[modality];
    const size_t steps = v->ig_steps;
    double x[MOST];
    tl_interval y[TL_KIND_COUNT][MOST];
    size_t n = 0;
    for (size_t i = 0; i < v->n_checks; i++) {
        const tl_finding_check *c = &v->checks[i];
        if (c->ig_steps != steps || c->layer < 0 || c->layer >= MOST)
            continue;
        x[c->layer] = c->layer;
        y[c->kind][c->layer] =
            (tl_interval){.value = c->spearman.value, .low = NAN, .high = NAN};
        n = (size_t)c->layer + 1 > n ? (size_t)c->layer + 1 : n;
    }
    if (n == 0)
        return;
    char title[64], name[32], way[32];
    snprintf(title, sizeof title, "%s: by layer, %s", tl_draw_modalities[modality],
             way_text(steps, way));
    snprintf(name, sizeof name, "%s-layers", tl_draw_modalities[modality]);
    tl_plot plot = {.name = tl_figure_panel(figure, name),
                    .title = title,
                    .description = "Rank correlation by layer",
                    .x_label = "layer (from 0)",
                    .y_label = "Spearman",
                    .n_open = &figure->n_open,
                    .width = 352,
                    .height = 258,
                    .x = {0, n > 1 ? (double)(n - 1) : 1, TL_SCALE_LINEAR},
                    .y = {-1, 1, TL_SCALE_LINEAR}};
    tl_plot_begin(&plot, figure->panels);
    for (size_t k = 0; k < TL_KIND_COUNT; k++) {
        tl_style style = style_of((tl_component_kind)k, true);
        style.is_hollow = false;
        tl_plot_curve(&plot, x, y[k], n, &style);
    }
    end_plot(&plot);
}

/* A line for each component, whose ways to attribute follow each other. */
static void write_csv(const tl_finding_validation *v, const tl_finding_gap *ways,
                      size_t n_ways, const char *modality, FILE *csv)
{
    for (size_t i = 0; i < v->n_effects;) {
        const tl_study_effect *e = &v->effects[i];
        size_t n = 1;
        while (i + n < v->n_effects && e[n].pair == e->pair &&
               e[n].component == e->component)
            n++;
        fprintf(csv, "%s,%zu,%s,%zu,%zu,%zu,", modality, e->pair, e->kind, e->layer,
                e->pos, e->index);
        tl_csv_write_number(csv, 7, e->exact);
        for (size_t w = 0; w < n_ways; w++) {
            double attributed = NAN;
            for (size_t k = 0; k < n; k++)
                if (e[k].ig_steps == ways[w].ig_steps)
                    attributed = e[k].attributed;
            fputc(',', csv);
            tl_csv_write_number(csv, 7, attributed);
        }
        fputs("\r\n", csv);
        i += n;
    }
}

static const tl_finding_validation *any_validation(const tl_findings *f)
{
    return &f->validations[f->validations[TL_TEXT].n_gaps > 0 ? TL_TEXT : TL_IMAGE];
}

/* How the scores that rank components go with the size of exact effects. */
static void write_ranked(const tl_findings *f, FILE *out)
{
    const char *before =
        " Rank correlation of the size of exact effects with the scores "
        "that rank components: ";
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        for (size_t k = 0; k < TL_KIND_COUNT; k++) {
            const tl_finding_check *c = &f->validations[m].ranked[k];
            if (c->n == 0)
                continue;
            fprintf(out, "%s%s of %s prompts ", before, tl_kind_name(c->kind),
                    tl_draw_modalities[m]);
            tl_draw_interval(out, &c->spearman, "over prompts");
            before = "; ";
        }
    if (before[0] == ';')
        fputs(".", out);
}

static void write_caption(const tl_findings *f, FILE *out)
{
    const char *before = " How far the integrated gradient is from adding up to the "
                         "difference of the two prompts, as a share of it: ";
    char way[32];
    fputs(
        "Attribution estimates what replacing a head or neuron would do. Here a sample "
        "of them was replaced for real, and the exact effect on the logit difference "
        "stands beside the estimate. Top: how well the two agree, by interpolation "
        "steps (relp: by relevance). Middle: each component. Bottom: rank correlation "
        "layer by layer; layers are counted from 0. Prompts are drawn at random over "
        "all answers; of their components some of the largest by each way to "
        "attribute, and some of all. Whiskers: 95 % intervals over prompts.",
        out);
    write_ranked(f, out);
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        for (size_t i = 0; i < f->validations[m].n_gaps; i++) {
            fprintf(out, "%s%s prompts with %s ", before, tl_draw_modalities[m],
                    way_text(f->validations[m].gaps[i].ig_steps, way));
            tl_draw_interval(out, &f->validations[m].gaps[i].gap, "over prompts");
            fprintf(out, " of %zu", f->validations[m].gaps[i].gap.n);
            before = "; ";
        }
    fputs(".", out);
}

tl_status tl_draw_validation(const tl_findings *f, const char *prefix, FILE *page,
                             tl_error *err)
{
    tl_figure figure = {.page = prefix,
                        .name = "validation",
                        .title = "Does attribution tell the truth?"};
    if (f->validations[TL_TEXT].n_gaps == 0 && f->validations[TL_IMAGE].n_gaps == 0)
        return TL_OK;
    const tl_status status = tl_figure_begin(&figure, err);
    if (status != TL_OK)
        return status;
    const tl_finding_validation *any = any_validation(f);
    fputs("modality,pair,kind,layer,position,index,exact", figure.csv);
    for (size_t i = 0; i < any->n_gaps; i++)
        if (any->gaps[i].ig_steps == 0)
            fputs(",attributed by relevance", figure.csv);
        else
            fprintf(figure.csv, ",attributed in %zu steps", any->gaps[i].ig_steps);
    fputs("\r\n", figure.csv);
    static void (*const draw[])(const tl_findings *, tl_modality, tl_figure *) = {
        draw_correlations, draw_scatter, draw_layers};
    for (size_t i = 0; i < sizeof draw / sizeof *draw;
         i++) /* text and image side by side */
        for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
            if (f->validations[m].n_gaps > 0)
                draw[i](f, (tl_modality)m, &figure);
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        write_csv(&f->validations[m], any->gaps, any->n_gaps, tl_draw_modalities[m],
                  figure.csv);
    write_caption(f, figure.caption);
    return tl_figure_end(&figure, page, TL_OK, err);
}
