/* SPDX-License-Identifier: MIT
 * models_draw.c - see models_draw.h. */
#include "report/models_draw.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "report/plot.h"
#include "report/table.h"

enum { MOST = 512, TEXT = 160 };

#define PUBLISHED_COLOR "#a3007a"
static const tl_style published_style = {
    .color = TL_COLOR_LINE, .mark = TL_MARK_DIAMOND, .radius = 4, .is_hollow = true};

typedef struct panel {
    const tl_models *models;
    const tl_models_list *list;
    size_t model;
    const char *name;
    size_t *n_open;
    FILE *out;
} panel;

/* ---- what is there ------------------------------------------------------------------- */

bool tl_models_is_drawn(const tl_models *models, size_t list)
{
    return strncmp(models->lists[list].name, "figure", 6) == 0 &&
           models->lists[list].any_value;
}

bool tl_models_is_dense(const tl_models *models)
{
    return 2 * models->n > models->n_models * models->n_rows;
}

bool tl_models_by_row(size_t list)
{
    return list == TL_MODELS_CURVES;
}

/* A row of a panel: it has a study, or a hole is to be seen. */
static bool has_row(const panel *p, size_t row)
{
    return tl_models_is_dense(p->models) ||
           tl_models_find(p->models, p->model, row) != SIZE_MAX;
}

/* The first reason for which a study lacks something. */
static const char *why_missing(const tl_models_list *list, size_t study)
{
    if (study == SIZE_MAX)
        return "no study";
    for (size_t i = 0; i < list->n; i++)
        if (list->numbers[i].study == study && list->numbers[i].missing != NULL)
            return strlen(list->numbers[i].missing) <= 24 ? list->numbers[i].missing
                                                          : "missing";
    return "missing";
}

/* Whether a published number stands in the panel. */
static bool any_published(const panel *p, size_t row)
{
    for (size_t i = 0; i < p->list->n; i++) {
        const tl_models_study *s = &p->models->studies[p->list->numbers[i].study];
        if (s->model == p->model && (row == SIZE_MAX || s->row == row) &&
            !isnan(p->list->numbers[i].published))
            return true;
    }
    return false;
}

/* What the intervals are over. */
static const char *over_of(const panel *p)
{
    const tl_models_list *first = p->models->lists;
    return p->list == &first[TL_MODELS_OVERLAP] ||
                   p->list == &first[TL_MODELS_INTERCHANGE]
               ? "over prompts and draws"
           : p->list == &first[TL_MODELS_ALIGNMENT] ? "over pairs of prompts"
                                                    : "over prompts";
}

/* ---- words --------------------------------------------------------------------------- */

/* At most so many letters, the last an ellipsis where there are more. */
static const char *shorten(const char *text, size_t most, char out[TEXT])
{
    size_t letters = 0, bytes = 0, kept = 0;
    for (; text[bytes] != '\0'; bytes++)
        if (((unsigned char)text[bytes] & 0xC0) != 0x80 && ++letters == most)
            kept = bytes;
    if (letters <= most)
        kept = bytes;
    kept = kept < TEXT - 4 ? kept : TEXT - 4;
    snprintf(out, TEXT, "%.*s%s", (int)kept, text,
             letters > most ? "\xe2\x80\xa6" : "");
    return out;
}

/* Under a group, in two lines if it is long and can be broken. */
static void write_label(const panel *p, const tl_plot *plot, double x,
                        const char *label)
{
    enum { LETTERS = 13 };
    char first[TEXT], second[TEXT];
    const tl_font font = {.anchor = TL_ANCHOR_MIDDLE};
    const size_t bytes = strlen(label);
    size_t at = 0; /* the break that is nearest to the middle */
    for (size_t i = 1; i + 1 < bytes; i++)
        if (strchr("_- (", label[i]) != NULL &&
            (at == 0 ||
             labs((long)(2 * i) - (long)bytes) < labs((long)(2 * at) - (long)bytes)))
            at = i;
    if (bytes <= LETTERS || at == 0) {
        tl_svg_text(p->out, x, plot->y0 + 21, shorten(label, LETTERS, first), &font);
        return;
    }
    char head[TEXT];
    snprintf(head, sizeof head, "%.*s",
             (int)(at < TEXT - 1 ? at + (label[at] == '_' || label[at] == '-') : 0),
             label);
    tl_svg_text(p->out, x, plot->y0 + 21, shorten(head, LETTERS, first), &font);
    tl_svg_text(p->out, x, plot->y0 + 33,
                shorten(label + at + (label[at] != '('), LETTERS, second), &font);
}

/* In a hole, upwards. */
static void write_hole(const panel *p, const tl_plot *plot, double x, const char *why)
{
    tl_svg_text(p->out, x + 4, plot->y0 - 6, why,
                &(tl_font){.color = TL_COLOR_RANDOM, .turn = -90});
}

/* ---- the axis -------------------------------------------------------------------------- */

static void widen(tl_scale *y, double value, double low, double high)
{
    if (isnan(value))
        return;
    y->low = fmin(y->low, fmax(value, low));
    y->high = fmax(y->high, fmin(value, high));
}

/* Ends beyond the axis are arrows. */
static void draw_whisker(const tl_plot *plot, double x, const tl_interval *v,
                         const tl_ink *ink)
{
    const double ends[] = {v->low, v->high};
    const bool is_open = v->value < plot->y.low || v->value > plot->y.high;
    if (isnan(v->value) || isnan(v->low) || isnan(v->high))
        return;
    tl_svg_line(plot->out, x, tl_plot_y(plot, v->low), x, tl_plot_y(plot, v->high),
                ink);
    for (size_t i = 0; i < 2; i++) {
        const double y = tl_plot_y(plot, ends[i]);
        if (ends[i] >= plot->y.low && ends[i] <= plot->y.high)
            tl_svg_line(plot->out, x - 4, y, x + 4, y, ink);
        else
            tl_plot_open(plot, x, ends[i], ink->stroke, !is_open);
    }
}

/* ---- figures 5, 6, 9: groups of a task -------------------------------------------------- */

enum { SERIES = 3 };
/* Dark, middle, light; marks of their own: to be told apart without colour. */
static const char *const fills[SERIES] = {"#3b3b3b", "#8f8f8f", "#e3e3e3"};
static const tl_style points[SERIES] = {
    {.color = TL_COLOR_TEXT, .mark = TL_MARK_CIRCLE, .radius = 4},
    {.color = TL_COLOR_OTHER, .mark = TL_MARK_SQUARE, .radius = 4},
    {.color = TL_COLOR_IMAGE, .mark = TL_MARK_DIAMOND, .radius = 4}};

static void draw_group_legend(const panel *p, bool bars)
{
    const size_t n = p->list->n_parts;
    double x = 4;
    for (size_t s = 0; s < n; s++) {
        if (bars)
            tl_svg_rect(p->out, x, 21, 11, 11,
                        &(tl_ink){.stroke = "#000000", .fill = fills[s % SERIES]});
        else
            tl_svg_mark(p->out, points[s % SERIES].mark, x + 6, 26, 4,
                        &(tl_ink){.stroke = points[s % SERIES].color,
                                  .fill = points[s % SERIES].color});
        tl_svg_text(p->out, x + 16, 30, p->list->parts[s], &(tl_font){0});
        x += 26 + 6.0 * (double)strlen(p->list->parts[s]);
    }
    if (any_published(p, SIZE_MAX)) {
        tl_svg_mark(
            p->out, TL_MARK_DIAMOND, x + 6, 26, 4,
            &(tl_ink){.stroke = PUBLISHED_COLOR, .fill = "#ffffff", .width = 1.5});
        tl_svg_text(p->out, x + 16, 30, "published", &(tl_font){0});
    }
}

static void draw_part(const panel *p, const tl_plot *plot, double x, double width,
                      size_t part, const tl_models_number *number, bool bars)
{
    const tl_interval *v = &number->value;
    const double at = plot->x0 + x, zero = tl_plot_y(plot, 0.0);
    const tl_models_study *study = &p->models->studies[number->study];
    char words[TL_INTERVAL_WORDS], title[3 * TEXT], published[3 * TEXT];
    snprintf(title, sizeof title, "%.100s, %.40s: %s", p->models->rows[study->row],
             number->part, tl_interval_words(v, over_of(p), words));
    snprintf(published, sizeof published, "%.100s, %.40s, published: %.3f",
             p->models->rows[study->row], number->part, number->published);
    if (bars && !isnan(v->value)) {
        const double top = tl_plot_y(plot, v->value);
        tl_svg_rect(p->out, at - width / 2, fmin(top, zero), width, fabs(top - zero),
                    &(tl_ink){.stroke = "#000000",
                              .fill = fills[part % SERIES],
                              .width = 0.8,
                              .title = title});
        draw_whisker(plot, at, v,
                     &(tl_ink){.stroke = part % SERIES == 0 ? "#f06010" : "#000000",
                               .width = 1.5});
    } else if (!isnan(v->value)) {
        const tl_style *s = &points[part % SERIES];
        draw_whisker(plot, at, v, &(tl_ink){.stroke = s->color, .width = 1.5});
        tl_svg_mark(p->out, s->mark, at, tl_plot_y(plot, v->value), s->radius,
                    &(tl_ink){.stroke = s->color, .fill = s->color, .title = title});
    } else { /* a cross where it would be */
        tl_svg_mark(p->out, TL_MARK_CROSS, at, zero - 5, 3,
                    &(tl_ink){.stroke = TL_COLOR_RANDOM});
    }
    tl_plot_open(plot, at, v->value, "#000000", true);
    if (!isnan(number->published))
        tl_svg_mark(p->out, TL_MARK_DIAMOND, at, tl_plot_y(plot, number->published), 4,
                    &(tl_ink){.stroke = PUBLISHED_COLOR,
                              .fill = "#ffffff",
                              .width = 1.5,
                              .title = published});
}

static void draw_groups(const panel *p, bool bars)
{
    enum { STEP = 84, LEAST = 310 };
    const tl_models_list *list = p->list;
    size_t n_rows = 0, group = 0;
    bool is_published = false; /* the model, with the paper's prompts */
    tl_scale y = {0, 1, TL_SCALE_LINEAR};
    for (size_t row = 0; row < p->models->n_rows; row++)
        n_rows += has_row(p, row);
    for (size_t i = 0; i < list->n; i++) {
        const tl_models_number *x = &list->numbers[i];
        const tl_models_study *s = &p->models->studies[x->study];
        if (s->model != p->model)
            continue;
        is_published = is_published || s->published != NULL;
        widen(&y, x->value.value, -1.0, 2.0);
        widen(&y, x->value.low, -1.0, 2.0);
        widen(&y, x->value.high, -1.0, 2.0);
        widen(&y, x->published, -1.0, 2.0);
    }
    char title[TEXT];
    const double width = fmax(LEAST, 60 + STEP * (double)n_rows);
    tl_plot plot = {
        .name = p->name,
        .title = shorten(p->models->models[p->model], (size_t)(width / 7), title),
        .description = list->title,
        .over = over_of(p),
        .n_open = p->n_open,
        .y_label = list->value_name,
        .width = width,
        .height = 276,
        .bottom = 48,
        .x = {0, 1, TL_SCALE_LINEAR},
        .y = y,
        .has_no_x_ticks = true};
    tl_plot_begin(&plot, p->out);
    if (!bars)
        tl_plot_reference(&plot, 0.5, "half",
                          &(tl_style){.color = TL_COLOR_LINE, .dash = "1 3"});
    if (!bars && is_published)
        tl_plot_reference(&plot, tl_published_control, "published mean",
                          &(tl_style){.color = PUBLISHED_COLOR, .dash = "6 3"});
    const double step = (plot.x1 - plot.x0) / (double)(n_rows > 0 ? n_rows : 1),
                 bar = fmin(24.0, 0.8 * step /
                                      (double)(list->n_parts > 0 ? list->n_parts : 1));
    for (size_t row = 0; row < p->models->n_rows; row++) {
        const size_t study = tl_models_find(p->models, p->model, row);
        const double center = ((double)group + 0.5) * step;
        if (!has_row(p, row))
            continue;
        group++;
        write_label(p, &plot, plot.x0 + center, p->models->rows[row]);
        bool any = false;
        for (size_t s = 0; s < list->n_parts; s++) {
            const tl_models_number *x =
                tl_models_number_of(list, study, list->parts[s]);
            any = any || (x != NULL && !(isnan(x->value.value) && isnan(x->published)));
        }
        if (!any) {
            write_hole(p, &plot, plot.x0 + center, why_missing(list, study));
            continue;
        }
        for (size_t s = 0; s < list->n_parts; s++) {
            const tl_models_number *x =
                tl_models_number_of(list, study, list->parts[s]);
            if (x != NULL)
                draw_part(p, &plot,
                          center + ((double)s - 0.5 * (double)(list->n_parts - 1)) *
                                       (bar + 2),
                          bar, s, x, bars);
        }
    }
    tl_svg_line(p->out, plot.x0, tl_plot_y(&plot, 0.0), plot.x1, tl_plot_y(&plot, 0.0),
                &(tl_ink){.stroke = TL_COLOR_LINE});
    draw_group_legend(p, bars);
    tl_plot_end(&plot);
}

/* ---- curves ---------------------------------------------------------------------------- */

/* Of a study and part; returns how many. */
static size_t take(const tl_models_list *list, size_t study, const char *part,
                   double *x, tl_interval *y)
{
    size_t n = 0;
    for (size_t i = 0; i < list->n && n < MOST; i++) {
        const tl_models_number *v = &list->numbers[i];
        if (v->study == study && strcmp(v->part, part) == 0 && !isnan(v->at) &&
            !isnan(v->value.value)) {
            x[n] = v->at;
            y[n++] = v->value;
        }
    }
    return n;
}

static void draw_published(const panel *p, const tl_plot *plot, size_t study,
                           const char *part, const char *color)
{
    for (size_t i = 0; i < p->list->n; i++) {
        const tl_models_number *v = &p->list->numbers[i];
        char title[2 * TEXT];
        if (v->study != study || strcmp(v->part, part) != 0 || isnan(v->published))
            continue;
        snprintf(title, sizeof title, "%.100s, %.40s, %s %.3g, published: %.3f",
                 p->models->rows[p->models->studies[study].row], part, p->list->at,
                 v->at, v->published);
        tl_svg_mark(
            p->out, TL_MARK_DIAMOND, tl_plot_x(plot, v->at),
            tl_plot_y(plot, v->published), 4,
            &(tl_ink){
                .stroke = color, .fill = "#ffffff", .width = 1.5, .title = title});
    }
}

/* Figure 4, of one study. */
static void draw_curves(const panel *p, size_t row)
{
    const size_t study = tl_models_find(p->models, p->model, row);
    const tl_models_list *list = p->list;
    const tl_style styles[] = {{.name = "text",
                                .color = TL_COLOR_TEXT,
                                .mark = TL_MARK_CIRCLE,
                                .radius = 2,
                                .has_band = true},
                               {.name = "image",
                                .color = TL_COLOR_IMAGE,
                                .mark = TL_MARK_SQUARE,
                                .radius = 2,
                                .dash = "6 3",
                                .has_band = true},
                               published_style};
    static const char *const names[] = {"text", "image", "published"};
    double x[MOST];
    tl_interval y[MOST];
    char whole[2 * TEXT], words[TEXT], title[TEXT];
    snprintf(whole, sizeof whole, "%.100s, %.150s", p->models->rows[row],
             p->models->models[p->model]);
    tl_plot plot = {.name = p->name,
                    .title = shorten(whole, 27, title),
                    .description = whole,
                    .over = over_of(p),
                    .n_open = p->n_open,
                    .x_label = "share of components",
                    .y_label = list->value_name,
                    .width = 208,
                    .height = 210,
                    .x = {NAN, NAN, TL_SCALE_LOG},
                    .y = {-0.1, 1.1, TL_SCALE_LINEAR}};
    /* One scale of sizes for all panels. */
    for (size_t i = 0; i < list->n; i++) {
        const tl_models_number *v = &list->numbers[i];
        if (v->at > 0.0) {
            plot.x.low = fmin(isnan(plot.x.low) ? v->at : plot.x.low, v->at);
            plot.x.high = fmax(isnan(plot.x.high) ? v->at : plot.x.high, v->at);
        }
        if (v->study == study && v->at > 0.0) {
            widen(&plot.y, v->value.value, -1.0, 2.0);
            widen(&plot.y, v->value.low, -0.5, 1.5);
            widen(&plot.y, v->value.high, -0.5, 1.5);
        }
    }
    if (!(plot.x.high > plot.x.low))
        plot.x.high = 2 * plot.x.low;
    tl_plot_begin(&plot, p->out);
    if (study == SIZE_MAX) {
        tl_svg_text(p->out, (plot.x0 + plot.x1) / 2, (plot.y0 + plot.y1) / 2,
                    "no study",
                    &(tl_font){.color = TL_COLOR_RANDOM, .anchor = TL_ANCHOR_MIDDLE});
        tl_plot_end(&plot);
        return;
    }
    double threshold = 0.0;
    if (sscanf(tl_findings_key(p->models->studies[study].findings, "threshold"), "%lf",
               &threshold) == 1)
        tl_plot_reference(&plot, threshold, "threshold",
                          &(tl_style){.color = TL_COLOR_LINE, .dash = "1 3"});
    size_t n_holes = 0;
    for (size_t m = TL_MODALITY_COUNT; m-- > 0;) {
        size_t n = take(list, study, names[m], x, y), first = 0;
        while (first < n && !(x[first] > 0.0)) /* the axis is a logarithm */
            first++;
        tl_plot_curve(&plot, x + first, y + first, n - first, &styles[m]);
        draw_published(p, &plot, study, names[m], styles[m].color);
        if (n > first)
            continue;
        const tl_models_number *none = tl_models_number_of(list, study, names[m]);
        const char *why =
            none != NULL && none->missing != NULL && strlen(none->missing) <= 24
                ? none->missing
                : "missing";
        snprintf(words, sizeof words, "%s: %s", names[m], why);
        tl_svg_text(
            p->out, plot.x1 - 2, plot.y0 - 6 - 14 * (double)n_holes++, words,
            &(tl_font){.size = 10, .color = TL_COLOR_RANDOM, .anchor = TL_ANCHOR_END});
    }
    tl_plot_legend(&plot, names, styles, any_published(p, row) ? 3 : 2);
    tl_plot_end(&plot);
}

/* Figures 7 and 8: a line for each row. */
static const tl_style lines[] = {
    {.color = "#0072b2", .mark = TL_MARK_CIRCLE, .radius = 2.5},
    {.color = "#d55e00", .mark = TL_MARK_SQUARE, .radius = 2.5, .dash = "7 3"},
    {.color = "#00795a", .mark = TL_MARK_DIAMOND, .radius = 2.5, .dash = "2 2"},
    {.color = "#8a3ffc", .mark = TL_MARK_CROSS, .radius = 2.5, .dash = "8 2 2 2"},
    {.color = "#7a5c00", .mark = TL_MARK_CIRCLE, .radius = 2.5, .dash = "4 4"},
    {.color = "#a3007a", .mark = TL_MARK_SQUARE, .radius = 2.5},
    {.color = "#333333", .mark = TL_MARK_DIAMOND, .radius = 2.5, .dash = "7 3"},
    {.color = "#767676", .mark = TL_MARK_CROSS, .radius = 2.5, .dash = "2 2"}};
enum { LINES = sizeof lines / sizeof *lines };

/* What the paper's curves of all tasks lie between. */
static void draw_published_ranges(const panel *p, const tl_plot *plot)
{
    const tl_published_layer *layers = p->models->published_layers[p->model];
    for (size_t i = 0; layers != NULL && i < TL_PUBLISHED_LAYERS; i++) {
        if ((double)layers[i].layer > plot->x.high)
            continue; /* no layer of this model */
        const tl_interval range = {(layers[i].low + layers[i].high) / 2,
                                   layers[i].low,
                                   layers[i].high,
                                   NAN,
                                   0,
                                   0};
        draw_whisker(plot, tl_plot_x(plot, (double)layers[i].layer), &range,
                     &(tl_ink){.stroke = PUBLISHED_COLOR, .width = 2});
    }
}

static void draw_lines(const panel *p)
{
    enum { RIGHT = 150, LETTERS = 19 };
    const tl_models_list *list = p->list;
    const char *part = list->parts[0];
    double x[MOST];
    tl_interval y[MOST];
    char title[TEXT], words[TEXT], text[TEXT];
    tl_plot plot = {.name = p->name,
                    .title = shorten(p->models->models[p->model], 64, title),
                    .description = list->title,
                    .over = over_of(p),
                    .n_open = p->n_open,
                    .x_label = list->at,
                    .y_label = list->value_name,
                    .width = 512,
                    .height = fmax(270, 80 + 31 * (double)p->models->n_rows),
                    .right = RIGHT,
                    .x = {0, 1, TL_SCALE_LINEAR},
                    .y = {0, 1, TL_SCALE_LINEAR}};
    for (size_t i = 0; i < list->n; i++) {
        const tl_models_number *v = &list->numbers[i];
        if (p->models->studies[v->study].model != p->model)
            continue;
        plot.x.high = fmax(plot.x.high, isnan(v->at) ? 1.0 : v->at);
        if (strcmp(v->part, part) == 0)
            widen(&plot.y, v->value.value, -1.0, 1.0);
    }
    tl_plot_begin(&plot, p->out);
    double at = plot.y1 + 6;
    for (size_t row = 0; row < p->models->n_rows; row++) {
        const size_t study = tl_models_find(p->models, p->model, row);
        tl_style style = lines[row % LINES];
        style.has_band = true;
        style.name = p->models->rows[row];
        if (!has_row(p, row))
            continue;
        const size_t n = take(list, study, part, x, y);
        tl_plot_curve(&plot, x, y, n, &style);
        if (list == &p->models->lists[TL_MODELS_TIMES] && study != SIZE_MAX)
            draw_published(p, &plot, study, part, style.color);
        if (n > 0) {
            tl_svg_line(
                p->out, plot.x1 + 10, at, plot.x1 + 30, at,
                &(tl_ink){.stroke = style.color, .width = 2, .dash = style.dash});
            tl_svg_mark(p->out, style.mark, plot.x1 + 20, at, style.radius,
                        &(tl_ink){.stroke = style.color, .fill = style.color});
        }
        tl_svg_text(p->out, plot.x1 + 34, at + 4,
                    shorten(p->models->rows[row], LETTERS, text),
                    &(tl_font){.color = n > 0 ? NULL : TL_COLOR_RANDOM});
        if (n == 0) {
            at += 13;
            snprintf(words, sizeof words, "%s", why_missing(list, study));
            tl_svg_text(p->out, plot.x1 + 34, at + 4, shorten(words, LETTERS, text),
                        &(tl_font){.size = 10, .color = TL_COLOR_RANDOM});
        }
        at += 18;
    }
    if (list == &p->models->lists[TL_MODELS_ALIGNMENT] &&
        p->models->published_layers[p->model] != NULL) {
        draw_published_ranges(p, &plot);
        tl_svg_line(p->out, plot.x1 + 20, at - 5, plot.x1 + 20, at + 5,
                    &(tl_ink){.stroke = PUBLISHED_COLOR, .width = 2});
        tl_svg_text(p->out, plot.x1 + 34, at + 4, "published, range", &(tl_font){0});
    }
    if (any_published(p, SIZE_MAX)) {
        tl_svg_mark(
            p->out, TL_MARK_DIAMOND, plot.x1 + 20, at, 4,
            &(tl_ink){.stroke = TL_COLOR_LINE, .fill = "#ffffff", .width = 1.5});
        tl_svg_text(p->out, plot.x1 + 34, at + 4, "published", &(tl_font){0});
    }
    tl_plot_end(&plot);
}

void tl_models_draw(const tl_models *models, size_t list, size_t model, size_t row,
                    const char *name, size_t *n_open, FILE *out)
{
    const panel p = {models, &models->lists[list], model, name, n_open, out};
    switch (list) {
    case TL_MODELS_CURVES: draw_curves(&p, row); break;
    case TL_MODELS_OVERLAP:
    case TL_MODELS_INTERCHANGE: draw_groups(&p, true); break;
    case TL_MODELS_CONTROL: draw_groups(&p, false); break;
    default: draw_lines(&p);
    }
}
