/* SPDX-License-Identifier: MIT
 *
 * plot.h - a panel with two axes: where values lie, ticks at round numbers, labels.
 *
 *     tl_plot plot = {.width = 340, .height = 240, .x = {0.001, 1, TL_SCALE_LOG},
 *                     .y = {0, 1}, .x_label = "share of components", ...};
 *     tl_plot_begin(&plot, out);
 *     tl_plot_curve(&plot, x, intervals, n, &style);
 *     tl_plot_end(&plot);
 *
 * What lies outside of the axes is drawn at their edge with an arrow to where it is, and its
 * number beside it.
 */
#ifndef TWINLENS_REPORT_PLOT_H
#define TWINLENS_REPORT_PLOT_H

#include <stdbool.h>

#include "report/svg.h"
#include "twinlens/statistics.h"

typedef enum tl_scale_kind { TL_SCALE_LINEAR, TL_SCALE_LOG } tl_scale_kind;

/* Values low .. high; log: both above 0. */
typedef struct tl_scale {
    double low, high;
    tl_scale_kind kind;
} tl_scale;

/* 0 at low, 1 at high, linearly (or by logarithm) between and beyond. */
double tl_scale_share(const tl_scale *scale, double value);

enum { TL_TICKS = 16 };
/* Round numbers within the scale, at most seven: 1, 2 or 5 times a power of ten; log: powers
 * of ten, with 2 and 5 times them when they are few. Returns how many. */
size_t tl_scale_ticks(const tl_scale *scale, double ticks[TL_TICKS]);

/* "0.05", "1e-05": as short as the value allows. */
void tl_number_text(double value, char text[32]);

typedef struct tl_plot {
    /* Given. */
    const char *name, *title, *description, *x_label, *y_label;
    double width, height;
    tl_scale x, y;
    bool has_no_x_ticks; /* the caller writes them */
    double left, bottom, right; /* margins; 0: as ticks need */
    const char *over;           /* what intervals are over: "over prompts"; NULL: not said */
    size_t *n_open; /* counts what is drawn with an arrow; NULL: nobody asks */
    /* Set by begin: of the area between the axes. */
    FILE *out;
    double x0, y0, x1, y1; /* y0 is the bottom */
} tl_plot;

void tl_plot_begin(tl_plot *plot, FILE *out);
void tl_plot_end(tl_plot *plot);

double tl_plot_x(const tl_plot *plot, double value);
double tl_plot_y(const tl_plot *plot, double value); /* kept within the area */

typedef struct tl_style {
    const char *name; /* of what is drawn, where the pointer rests; NULL: none */
    const char *color, *dash;
    tl_mark mark;
    double radius; /* of marks; 0: no marks */
    bool has_band; /* draws the intervals */
    bool is_hollow;
} tl_style;

/* x ascending. */
void tl_plot_curve(const tl_plot *plot, const double *x, const tl_interval *y, size_t n,
                   const tl_style *style);
/* One value with its interval, upright; and level. */
void tl_plot_point(const tl_plot *plot, double x, const tl_interval *y,
                   const tl_style *style);
void tl_plot_level(const tl_plot *plot, const tl_interval *x, double y,
                   const tl_style *style);

/* An arrow at the edge that `value` lies beyond, upwards or downwards, with the number; nothing
 * when it lies within. */
void tl_plot_open(const tl_plot *plot, double x, double value, const char *color,
                  bool has_number);

/* A level line over the whole width with a word at its beginning. */
void tl_plot_reference(const tl_plot *plot, double y, const char *label,
                       const tl_style *style);

/* Names of styles, in a row under the title. */
void tl_plot_legend(const tl_plot *plot, const char *const *names,
                    const tl_style *styles, size_t n);

#endif
