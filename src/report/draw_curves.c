/* SPDX-License-Identifier: MIT
 * draw_curves.c - what goes over sizes, layers or times. */
#include <math.h>
#include <string.h>

#include "report/draw.h"
#include "report/figure.h"
#include "report/plot.h"

enum { MOST = 512 };

/* ---- faithfulness ---------------------------------------------------------------- */

static const char *const kind_names[TL_STUDY_KIND_COUNT] = {
    "attribution", "activation difference", "random"};

static tl_style kind_style(tl_modality modality, size_t kind)
{
    const char *own = modality == TL_TEXT ? TL_COLOR_TEXT : TL_COLOR_IMAGE;
    const tl_style styles[TL_STUDY_KIND_COUNT] = {
        {.color = own, .mark = TL_MARK_CIRCLE, .radius = 2.5, .has_band = true},
        {.color = TL_COLOR_OTHER, .dash = "6 3", .mark = TL_MARK_SQUARE, .radius = 2},
        {.color = TL_COLOR_RANDOM,
         .dash = "2 3",
         .mark = TL_MARK_CROSS,
         .radius = 2.5}};
    return styles[kind];
}

/* Sizes above 0: the axis is a logarithm. */
static size_t take_curve(const tl_findings *f, const tl_finding_part *p, size_t kind,
                         double *x, tl_interval *y)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_points && n < MOST; i++)
        if (p->curves[kind][i].fraction > 0.0) {
            x[n] = p->curves[kind][i].fraction;
            y[n++] = *tl_findings_chosen(f, &p->curves[kind][i]);
        }
    return n;
}

static void mark_smallest(const tl_findings *f, const tl_finding_part *p,
                          const tl_plot *plot)
{
    const tl_finding_point *smallest = tl_findings_smallest(p, TL_STUDY_CIRCUIT);
    char text[48];
    if (smallest == NULL || smallest->fraction <= 0.0)
        return;
    const double x = tl_plot_x(plot, smallest->fraction),
                 y = tl_plot_y(plot, tl_findings_chosen(f, smallest)->value);
    tl_svg_line(plot->out, x, y, x, plot->y0,
                &(tl_ink){.stroke = TL_COLOR_LINE, .dash = "2 2"});
    tl_svg_mark(plot->out, TL_MARK_CIRCLE, x, y, 5,
                &(tl_ink){.stroke = "#000000", .width = 1.5});
    snprintf(text, sizeof text, "%.4g %%", 100 * smallest->fraction);
    tl_svg_text(plot->out, x + 4, plot->y0 - 4, text, &(tl_font){.size = 10});
}

static void draw_faithfulness(const tl_findings *f, tl_modality modality,
                              tl_figure *figure)
{
    const tl_finding_part *p = &f->parts[modality];
    double x[MOST];
    tl_interval y[MOST];
    tl_style styles[TL_STUDY_KIND_COUNT];
    char title[48], line[48];
    size_t n = take_curve(f, p, TL_STUDY_CIRCUIT, x, y);
    if (n == 0)
        return;
    snprintf(title, sizeof title, "%s prompts", tl_draw_modalities[modality]);
    tl_plot plot = {.name = tl_figure_panel(figure, tl_draw_modalities[modality]),
                    .title = title,
                    .description = "Faithfulness by circuit size",
                    .x_label = "share of components (logarithmic)",
                    .y_label = "faithfulness",
                    .over = "over prompts",
                    .n_open = &figure->n_open,
                    .width = 352,
                    .height = 278,
                    .x = {x[0], x[n - 1] > x[0] ? x[n - 1] : x[0] * 2, TL_SCALE_LOG},
                    .y = {-0.1, 1.1, TL_SCALE_LINEAR}};
    for (size_t i = 0; i < n; i++) { /* as far as that is not many times the whole */
        plot.y.low = fmax(-1.0, fmin(plot.y.low, fmin(y[i].value, y[i].low)));
        plot.y.high = fmin(2.0, fmax(plot.y.high, fmax(y[i].value, y[i].high)));
    }
    tl_plot_begin(&plot, figure->panels);
    snprintf(line, sizeof line, "threshold %s", tl_findings_key(f, "threshold"));
    double threshold = 0.0;
    if (sscanf(tl_findings_key(f, "threshold"), "%lf", &threshold) == 1)
        tl_plot_reference(&plot, threshold, line,
                          &(tl_style){.color = TL_COLOR_LINE, .dash = "1 3"});
    for (size_t k = TL_STUDY_KIND_COUNT; k-- > 0;) {
        styles[k] = kind_style(modality, k);
        styles[k].name = kind_names[k];
        n = take_curve(f, p, k, x, y);
        tl_plot_curve(&plot, x, y, n, &styles[k]);
        for (size_t i = 0; i < n; i++) {
            fprintf(figure->csv, "%s,%s,%.9g,", tl_draw_modalities[modality],
                    kind_names[k], x[i]);
            tl_figure_interval(figure, &y[i]);
        }
    }
    mark_smallest(f, p, &plot);
    tl_plot_legend(&plot, kind_names, styles, TL_STUDY_KIND_COUNT);
    tl_plot_end(&plot);
}

tl_status tl_draw_faithfulness(const tl_findings *f, const char *prefix, FILE *page,
                               tl_error *err)
{
    tl_figure figure = {.page = prefix,
                        .name = "faithfulness",
                        .title = "How small a circuit does the job"};
    if (f->parts[TL_TEXT].n_points == 0 && f->parts[TL_IMAGE].n_points == 0)
        return TL_OK;
    const tl_status status = tl_figure_begin(&figure, err);
    if (status != TL_OK)
        return status;
    fputs("modality,chosen_by,fraction,faithfulness,low,high,n,undefined\r\n",
          figure.csv);
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        draw_faithfulness(f, (tl_modality)m, &figure);
    fprintf(
        figure.caption,
        "Everything outside of a circuit is set to what it is in the counterfactual "
        "prompt; faithfulness (%s) is how much of the difference between the two "
        "answers is left, 1 for the whole model. Solid: circuits of the heads and "
        "neurons with the largest attribution scores. Dashed: as many with the "
        "largest activation difference (in the last layer at the last position "
        "alone). Dotted: as many at random. Band: 95 %% intervals over the "
        "evaluation prompts. Ring: the smallest circuit above the threshold.",
        tl_draw_faith(f));
    return tl_figure_end(&figure, page, TL_OK, err);
}

/* ---- alignment ------------------------------------------------------------------- */

static void draw_alignment(const tl_findings *f, bool centred, tl_figure *figure)
{
    static const char *const names[] = {"same content", "other content"};
    const tl_style styles[] = {{.name = names[0],
                                .color = TL_COLOR_IMAGE,
                                .mark = TL_MARK_CIRCLE,
                                .radius = 2.5,
                                .has_band = true},
                               {.name = names[1],
                                .color = TL_COLOR_RANDOM,
                                .dash = "5 3",
                                .mark = TL_MARK_CROSS,
                                .radius = 2.5,
                                .has_band = true}};
    const size_t n = f->n_layers < MOST ? f->n_layers : MOST;
    double x[MOST], low = 0.0, high = 0.1;
    tl_interval y[2][MOST];
    for (size_t l = 0; l < n; l++) {
        const tl_finding_layer *layer = &f->layers[l];
        x[l] = (double)l;
        y[0][l] = centred ? layer->centred_matched : layer->matched;
        y[1][l] = centred ? layer->centred_other : layer->other;
        for (size_t k = 0; k < 2; k++) {
            low = fmin(low, fmin(y[k][l].value, y[k][l].low));
            high = fmax(high, fmax(y[k][l].value, y[k][l].high));
        }
    }
    tl_plot plot = {.name = tl_figure_panel(figure, centred ? "centred" : "plain"),
                    .title = centred ? "mean state taken away" : "states as they are",
                    .description = "Alignment of image and text tokens by layer",
                    .x_label = "layer (from 0)",
                    .y_label = "mean largest cosine",
                    .over = "over pairs of prompts",
                    .n_open = &figure->n_open,
                    .width = 352,
                    .height = 268,
                    .x = {0, n > 1 ? (double)(n - 1) : 1, TL_SCALE_LINEAR},
                    .y = {low, high * 1.08, TL_SCALE_LINEAR}};
    tl_plot_begin(&plot, figure->panels);
    for (size_t k = 2; k-- > 0;) {
        tl_plot_curve(&plot, x, y[k], n, &styles[k]);
        for (size_t l = 0; l < n; l++) {
            fprintf(figure->csv, "%s,%s,%zu,", centred ? "centred" : "plain", names[k],
                    l);
            tl_figure_interval(figure, &y[k][l]);
        }
    }
    tl_plot_legend(&plot, names, styles, 2);
    tl_plot_end(&plot);
}

tl_status tl_draw_alignment(const tl_findings *f, const char *prefix, FILE *page,
                            tl_error *err)
{
    tl_figure figure = {.page = prefix,
                        .name = "alignment",
                        .title = "In which layer image tokens look like text tokens"};
    if (f->n_layers == 0)
        return TL_OK;
    const tl_status status = tl_figure_begin(&figure, err);
    if (status != TL_OK)
        return status;
    fputs("variant,text_of,layer,cosine,low,high,n,undefined\r\n", figure.csv);
    draw_alignment(f, false, &figure);
    draw_alignment(f, true, &figure);
    fprintf(
        figure.caption,
        "How near the state of an image token comes to that of a text token of the "
        "data segment, both after the same layer: the largest cosine, averaged over "
        "image tokens and %zu pairs of prompts. Same content: the text of the same "
        "pair. Other content: that of a pair with other words and another answer, "
        "which %zu pairs have; so much any text would give. Right: after taking "
        "away the mean state of each modality. Bands: 95 %% intervals over pairs. "
        "Layers are counted from 0.",
        f->layers[0].matched.n, f->layers[0].other.n);
    return tl_figure_end(&figure, page, TL_OK, err);
}

/* ---- again and again ------------------------------------------------------------- */

static void write_times(const tl_finding_backpatch *b, FILE *out)
{
    fputs("Accuracy on image prompts when the states of the run before are patched in "
          "again and again. 0 times: without patching. Band: 95 % intervals over "
          "prompts. Dashed, level: text prompts.",
          out);
    if (b->n_times < 3)
        return;
    const size_t better = tl_finding_better_time(b), last = b->n_times - 1;
    fprintf(out,
            " On %zu prompts that did not choose the cell, accuracy after patching "
            "twice minus once ",
            b->times[0].accuracy.n);
    tl_draw_interval(out, &b->times[2].above_once, "over prompts");
    fprintf(out, ", after %zu times minus once ", last);
    tl_draw_interval(out, &b->times[last].above_once, "over prompts");
    if (better > 0)
        fprintf(out, "; %zu times is better than once by more than chance.", better);
    else
        fputs("; no further time is better than once by more than chance.", out);
}

tl_status tl_draw_iterations(const tl_findings *f, const char *prefix, FILE *page,
                             tl_error *err)
{
    const tl_finding_backpatch *b = &f->backpatch;
    tl_figure figure = {
        .page = prefix, .name = "iterations", .title = "Back-patching again and again"};
    const size_t n = b->n_iterations < MOST ? b->n_iterations : MOST;
    double x[MOST];
    if (n == 0)
        return TL_OK;
    const tl_status status = tl_figure_begin(&figure, err);
    if (status != TL_OK)
        return status;
    tl_plot plot = {.name = tl_figure_panel(&figure, "times"),
                    .title = "image prompts, one cell again and again",
                    .description = "Accuracy by how often a cell was patched",
                    .x_label = "times patched",
                    .y_label = "accuracy among the labels",
                    .over = "over prompts",
                    .n_open = &figure.n_open,
                    .width = 352,
                    .height = 268,
                    .x = {0, n > 1 ? (double)(n - 1) : 1, TL_SCALE_LINEAR},
                    .y = {0, 1, TL_SCALE_LINEAR}};
    static const char *const names[] = {"the best, on these prompts",
                                        "chosen on other prompts"};
    const tl_style styles[] = {{.name = names[0],
                                .color = TL_COLOR_RANDOM,
                                .dash = "5 3",
                                .mark = TL_MARK_CROSS,
                                .radius = 3},
                               {.name = names[1],
                                .color = TL_COLOR_IMAGE,
                                .mark = TL_MARK_SQUARE,
                                .radius = 3,
                                .has_band = true}};
    const size_t n_times = b->n_times < n ? b->n_times : n;
    tl_interval judged[MOST];
    tl_plot_begin(&plot, figure.panels);
    if (b->has_text)
        tl_plot_reference(&plot, b->clean[TL_TEXT].value, "text prompts",
                          &(tl_style){.color = TL_COLOR_TEXT, .dash = "6 3"});
    fputs("cell,number,times,value,low,high,n,undefined\r\n", figure.csv);
    for (size_t i = 0; i < n; i++) {
        x[i] = (double)i;
        fprintf(figure.csv, "best here,accuracy,%zu,", i);
        tl_figure_interval(&figure, &b->iterations[i]);
    }
    for (size_t i = 0; i < n_times; i++) {
        judged[i] = b->times[i].accuracy;
        fprintf(figure.csv, "chosen elsewhere,accuracy,%zu,", i);
        tl_figure_interval(&figure, &judged[i]);
        fprintf(figure.csv, "chosen elsewhere,above once,%zu,", i);
        tl_figure_interval(&figure, &b->times[i].above_once);
    }
    tl_plot_curve(&plot, x, b->iterations, n, &styles[0]);
    tl_plot_curve(&plot, x, judged, n_times, &styles[1]);
    tl_plot_legend(&plot, names, styles, n_times > 0 ? 2 : 1);
    tl_plot_end(&plot);
    write_times(b, figure.caption);
    return tl_figure_end(&figure, page, TL_OK, err);
}
