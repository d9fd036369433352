/* SPDX-License-Identifier: MIT
 * plot.c - see plot.h. */
#include "report/plot.h"

#include <math.h>
#include <string.h>

#include "report/table.h"

/* ROOM: for numbers of what lies above the axis. */
enum { TITLE = 18, LEGEND = 16, ROOM = 12, TICK = 4 };

/* ---- scales ---------------------------------------------------------------------- */

double tl_scale_share(const tl_scale *s, double value)
{
    if (s->kind == TL_SCALE_LOG)
        return (log(value) - log(s->low)) / (log(s->high) - log(s->low));
    return (value - s->low) / (s->high - s->low);
}

/* The smallest of 1, 2, 5 times a power of ten that is not below. */
static double round_step(double least)
{
    const double power = pow(10.0, floor(log10(least)));
    const double times = least / power * (1 - 1e-9);
    return power * (times <= 1.0   ? 1.0
                    : times <= 2.0 ? 2.0
                    : times <= 5.0 ? 5.0
                                   : 10.0);
}

static size_t linear_ticks(const tl_scale *s, double ticks[TL_TICKS])
{
    enum { MOST_STEPS = 6 };
    const double span = s->high - s->low;
    if (!(span > 0.0) || !isfinite(span))
        return 0;
    const double step = round_step(span / MOST_STEPS);
    size_t n = 0;
    for (double i = ceil(s->low / step - 1e-9); i * step <= s->high + 1e-9 * span; i++)
        if (n < TL_TICKS)
            ticks[n++] = i == 0.0 ? 0.0 : i * step;
    return n;
}

static size_t log_ticks(const tl_scale *s, double ticks[TL_TICKS])
{
    static const double all[] = {1.0, 2.0, 5.0};
    const double decades = log10(s->high) - log10(s->low);
    const size_t per_decade = decades <= 2.0 ? 3 : 1;
    const double every = decades > 8.0 ? ceil(decades / 8.0) : 1.0;
    size_t n = 0;
    for (double d = floor(log10(s->low)); d <= ceil(log10(s->high)); d += every)
        for (size_t k = 0; k < per_decade; k++) {
            const double v = all[k] * pow(10.0, d);
            if (v >= s->low * (1 - 1e-9) && v <= s->high * (1 + 1e-9) && n < TL_TICKS)
                ticks[n++] = v;
        }
    return n;
}

size_t tl_scale_ticks(const tl_scale *s, double ticks[TL_TICKS])
{
    return s->kind == TL_SCALE_LOG ? log_ticks(s, ticks) : linear_ticks(s, ticks);
}

void tl_number_text(double value, char text[32])
{
    if (isnan(value))
        snprintf(text, 32, "-");
    else
        snprintf(text, 32, "%.3g", fabs(value) < 1e-12 ? 0.0 : value);
}

/* ---- the panel ------------------------------------------------------------------- */

double tl_plot_x(const tl_plot *p, double value)
{
    return p->x0 + tl_scale_share(&p->x, value) * (p->x1 - p->x0);
}

double tl_plot_y(const tl_plot *p, double value)
{
    const double share = tl_scale_share(&p->y, value);
    const double kept = share < 0.0 ? 0.0 : share > 1.0 ? 1.0 : share;
    return isnan(share) ? NAN : p->y0 + kept * (p->y1 - p->y0);
}

static void draw_ticks(const tl_plot *p)
{
    const tl_ink grid = {.stroke = TL_COLOR_GRID}, line = {.stroke = TL_COLOR_LINE};
    double ticks[TL_TICKS];
    char text[32];
    size_t n = tl_scale_ticks(&p->y, ticks);
    for (size_t i = 0; i < n && p->y_label != NULL; i++) {
        const double y = tl_plot_y(p, ticks[i]);
        tl_svg_line(p->out, p->x0, y, p->x1, y, &grid);
        tl_number_text(ticks[i], text);
        tl_svg_text(p->out, p->x0 - 5, y + 4, text,
                    &(tl_font){.anchor = TL_ANCHOR_END});
    }
    n = p->has_no_x_ticks ? 0 : tl_scale_ticks(&p->x, ticks);
    for (size_t i = 0; i < n; i++) {
        const double x = tl_plot_x(p, ticks[i]);
        tl_svg_line(p->out, x, p->y0, x, p->y0 + TICK, &line);
        tl_number_text(ticks[i], text);
        tl_svg_text(p->out, x, p->y0 + 15, text,
                    &(tl_font){.anchor = TL_ANCHOR_MIDDLE});
    }
}

void tl_plot_begin(tl_plot *p, FILE *out)
{
    const tl_ink line = {.stroke = TL_COLOR_LINE};
    p->out = out;
    p->x0 = p->left > 0.0 ? p->left : 48;
    p->x1 = p->width - (p->right > 0.0 ? p->right : 12);
    p->y0 = p->height - (p->bottom > 0.0 ? p->bottom : 36);
    p->y1 = TITLE + LEGEND + ROOM;
    tl_svg_begin(out, p->name, p->width, p->height, p->title, p->description);
    tl_svg_text(out, 2, 13, p->title, &(tl_font){.size = 12, .bold = 1});
    draw_ticks(p);
    tl_svg_line(out, p->x0, p->y0, p->x1, p->y0, &line);
    tl_svg_line(out, p->x0, p->y0, p->x0, p->y1, &line);
    if (p->x_label != NULL)
        tl_svg_text(out, (p->x0 + p->x1) / 2, p->height - 4, p->x_label,
                    &(tl_font){.anchor = TL_ANCHOR_MIDDLE});
    if (p->y_label != NULL)
        tl_svg_text(out, 12, (p->y0 + p->y1) / 2, p->y_label,
                    &(tl_font){.anchor = TL_ANCHOR_MIDDLE, .turn = -90});
}

void tl_plot_end(tl_plot *p)
{
    tl_svg_end(p->out);
}

/* ---- what is in it --------------------------------------------------------------- */

static tl_ink mark_ink(const tl_style *s)
{
    return (tl_ink){
        .stroke = s->color, .fill = s->is_hollow ? "#ffffff" : s->color, .width = 1.5};
}

enum { HOVER = 256 };

/* "attribution, size 0.05: 0.873 (0.811 to 0.912, over prompts)"; where: "" or ", size 0.05" */
static const char *hover_text(const tl_plot *p, const tl_style *s, const char *where,
                              const tl_interval *i, char text[HOVER])
{
    char words[TL_INTERVAL_WORDS];
    snprintf(text, HOVER, "%.60s%.100s: %s", s->name != NULL ? s->name : "value", where,
             tl_interval_words(i, p->over, words));
    return text;
}

/* What is 1 above the scale, -1 below it, 0 within. */
static int beyond(const tl_scale *scale, double value)
{
    const double share = tl_scale_share(scale, value);
    return share > 1.0 + 1e-9 ? 1 : share < -1e-9 ? -1 : 0;
}

/* Its tip at x, y; (dx, dy) is where it points to. */
static void draw_arrow(const tl_plot *p, double x, double y, int dx, int dy,
                       const char *color)
{
    enum { LONG = 7, HALF = 4 };
    const double px[] = {x, x - dx * LONG - dy * HALF, x - dx * LONG + dy * HALF, x},
                 py[] = {y, y - dy * LONG - dx * HALF, y - dy * LONG + dx * HALF, y};
    tl_svg_path(p->out, px, py, 4, &(tl_ink){.stroke = color, .fill = color});
    if (p->n_open != NULL)
        ++*p->n_open;
}

void tl_plot_open(const tl_plot *p, double x, double value, const char *color,
                  bool has_number)
{
    const int side = beyond(&p->y, value);
    char text[32];
    if (side == 0)
        return;
    draw_arrow(p, x, side > 0 ? p->y1 : p->y0, 0, -side, color);
    tl_number_text(value, text);
    if (has_number)
        tl_svg_text(p->out, x, side > 0 ? p->y1 - 2 : p->y0 + 9, text,
                    &(tl_font){.size = 9, .anchor = TL_ANCHOR_MIDDLE});
}

void tl_plot_curve(const tl_plot *p, const double *x, const tl_interval *y, size_t n,
                   const tl_style *s)
{
    enum { MOST = 512 };
    double px[MOST], value[MOST], low[MOST], high[MOST];
    n = n < MOST ? n : MOST;
    for (size_t i = 0; i < n; i++) {
        px[i] = tl_plot_x(p, x[i]);
        value[i] = tl_plot_y(p, y[i].value);
        low[i] = tl_plot_y(p, y[i].low);
        high[i] = tl_plot_y(p, y[i].high);
    }
    if (s->has_band)
        tl_svg_band(p->out, px, low, high, n,
                    &(tl_ink){.fill = s->color, .opacity = 0.18});
    tl_svg_path(p->out, px, value, n,
                &(tl_ink){.stroke = s->color, .width = 2, .dash = s->dash});
    tl_ink ink = mark_ink(s);
    for (size_t i = 0; i < n && s->radius > 0.0; i++) {
        char where[HOVER], text[HOVER], number[32];
        tl_number_text(x[i], number);
        snprintf(where, sizeof where, ", %.60s %s", p->x_label, number);
        ink.title = hover_text(p, s, where, &y[i], text);
        tl_svg_mark(p->out, s->mark, px[i], value[i], s->radius, &ink);
        tl_plot_open(p, px[i], y[i].value, s->color, true);
        if (s->has_band && beyond(&p->y, y[i].value) == 0) {
            tl_plot_open(p, px[i], y[i].low, s->color, false);
            tl_plot_open(p, px[i], y[i].high, s->color, false);
        }
    }
}

void tl_plot_point(const tl_plot *p, double x, const tl_interval *y, const tl_style *s)
{
    const double at = tl_plot_x(p, x);
    const tl_ink line = {.stroke = s->color, .width = 1.5};
    const double ends[] = {y->low, y->high};
    char text[HOVER];
    tl_ink ink = mark_ink(s);
    if (isnan(y->value))
        return;
    if (!isnan(y->low) && !isnan(y->high))
        tl_svg_line(p->out, at, tl_plot_y(p, y->low), at, tl_plot_y(p, y->high), &line);
    for (size_t i = 0; i < 2; i++) {
        const double end = tl_plot_y(p, ends[i]);
        if (!isnan(end) && beyond(&p->y, ends[i]) == 0)
            tl_svg_line(p->out, at - 3, end, at + 3, end, &line);
        else if (!isnan(end))
            tl_plot_open(p, at, ends[i], s->color, beyond(&p->y, y->value) == 0);
    }
    ink.title = hover_text(p, s, "", y, text);
    tl_svg_mark(p->out, s->mark, at, tl_plot_y(p, y->value), s->radius, &ink);
    tl_plot_open(p, at, y->value, s->color, true);
}

static double x_within(const tl_plot *p, double value)
{
    const double x = tl_plot_x(p, value);
    return x < p->x0 ? p->x0 : x > p->x1 ? p->x1 : x;
}

/* As tl_plot_open(), to the left or to the right, with the number above. */
static void draw_open_level(const tl_plot *p, double value, double y, const char *color)
{
    const int side = beyond(&p->x, value);
    char text[32];
    if (side == 0)
        return;
    draw_arrow(p, x_within(p, value), y, side, 0, color);
    tl_number_text(value, text);
    tl_svg_text(
        p->out, x_within(p, value), y - 6, text,
        &(tl_font){.size = 9, .anchor = side > 0 ? TL_ANCHOR_END : TL_ANCHOR_START});
}

void tl_plot_level(const tl_plot *p, const tl_interval *x, double y, const tl_style *s)
{
    const double at = tl_plot_y(p, y), ends[] = {x->low, x->high};
    const tl_ink line = {.stroke = s->color, .width = 1.5};
    char text[HOVER];
    tl_ink ink = mark_ink(s);
    if (isnan(x->value))
        return;
    if (!isnan(x->low) && !isnan(x->high))
        tl_svg_line(p->out, x_within(p, x->low), at, x_within(p, x->high), at, &line);
    for (size_t i = 0; i < 2; i++) {
        const double end = x_within(p, ends[i]);
        if (!isnan(end) && beyond(&p->x, ends[i]) == 0)
            tl_svg_line(p->out, end, at - 3, end, at + 3, &line);
        else if (!isnan(end) && beyond(&p->x, x->value) == 0)
            draw_open_level(p, ends[i], at, s->color);
    }
    ink.title = hover_text(p, s, "", x, text);
    tl_svg_mark(p->out, s->mark, x_within(p, x->value), at, s->radius, &ink);
    draw_open_level(p, x->value, at, s->color);
}

void tl_plot_reference(const tl_plot *p, double y, const char *label, const tl_style *s)
{
    const double at = tl_plot_y(p, y);
    if (isnan(at))
        return;
    tl_svg_line(p->out, p->x0, at, p->x1, at,
                &(tl_ink){.stroke = s->color, .dash = s->dash});
    tl_svg_text(p->out, p->x0 + 4, at - 3, label,
                &(tl_font){.size = 10, .color = s->color});
}

/* About how wide a word is in our font. */
static double word_width(const char *word)
{
    return 5.9 * (double)strlen(word);
}

void tl_plot_legend(const tl_plot *p, const char *const *names, const tl_style *styles,
                    size_t n)
{
    double x = 4;
    const double y = TITLE + 8;
    for (size_t i = 0; i < n; i++) {
        const tl_ink ink = mark_ink(&styles[i]);
        if (styles[i].dash != NULL || styles[i].radius == 0.0 || styles[i].has_band)
            tl_svg_line(p->out, x, y, x + 20, y,
                        &(tl_ink){.stroke = styles[i].color,
                                  .width = 2,
                                  .dash = styles[i].dash});
        if (styles[i].radius > 0.0)
            tl_svg_mark(p->out, styles[i].mark, x + 10, y, styles[i].radius, &ink);
        tl_svg_text(p->out, x + 24, y + 4, names[i], &(tl_font){0});
        x += 34 + word_width(names[i]);
    }
}
