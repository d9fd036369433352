/* SPDX-License-Identifier: MIT
 *
 * figure.h - a figure of the page: panels side by side as the window allows, a caption,
 * and its numbers as CSV.
 *
 *     tl_figure figure = {.name = "curves", .title = "Faithfulness"};
 *     status = tl_figure_begin(&figure, err);
 *     plot.name = tl_figure_panel(&figure, "text");
 *     draw(&plot, figure.panels);
 *     fprintf(figure.csv, "fraction,faithfulness,low,high,n,undefined\r\n");
 *     fprintf(figure.caption, "...");
 *     status = tl_figure_end(&figure, page, status, err);
 */
#ifndef TWINLENS_REPORT_FIGURE_H
#define TWINLENS_REPORT_FIGURE_H

#include <stdbool.h>

#include "report/svg.h"
#include "twinlens/statistics.h"
#include "twinlens/status.h"

typedef struct tl_figure {
    const char *page; /* before all names: figures of several studies in one page */
    const char *name, *title;
    bool is_wide; /* panels are as wide as they need to be, and can be scrolled */
    /* What the reader can choose among, and what about; group i of the drawings' class
     * tl_figure_choices[i] is shown when choice i is made, first the first. */
    const char *asks;
    const char *const *choices; /* [n_choices] */
    size_t n_choices;
    /* Set by begin. */
    FILE *panels, *caption, *csv;
    char *texts[3];
    size_t bytes[3];
    char panel[80]; /* the name of the last one */
    size_t n_panels;
    size_t
        n_incomplete; /* intervals in the CSV some of whose resamples have no value */
    size_t n_open;    /* arrows (plot.h); the caption says what they are */
} tl_figure;

enum { TL_FIGURE_CHOICES = 4 };
extern const char *const tl_figure_choices[TL_FIGURE_CHOICES]; /* classes of groups */

tl_status tl_figure_begin(tl_figure *figure, tl_error *err);

/* Where the figure's names begin to differ; valid until the next. */
const char *tl_figure_panel(tl_figure *figure, const char *name);

/* The end of a line of `csv`: value, low, high, n, resamples without a value; nothing where
 * there is no number. */
void tl_figure_interval(tl_figure *figure, const tl_interval *interval);

/* Writes it, unless `status` says that it is not whole, and frees what begin took.
 * Returns `status`, or why it could not be written. */
tl_status tl_figure_end(tl_figure *figure, FILE *page, tl_status status, tl_error *err);

#endif
