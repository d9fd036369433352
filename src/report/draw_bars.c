/* SPDX-License-Identifier: MIT
 *
 * draw_bars.c - single numbers with their intervals: accuracies, overlap, interchange,
 * the gap that back-patching closes. */
#include <math.h>
#include <string.h>

#include "report/draw.h"
#include "report/figure.h"
#include "report/plot.h"
#include "report/table.h"

const char *const tl_draw_modalities[TL_MODALITY_COUNT] = {"text", "image"};

void tl_draw_interval(FILE *out, const tl_interval *i, const char *over)
{
    char words[TL_INTERVAL_WORDS];
    tl_interval_words(i, over, words);
    const char *to = strstr(words, " to ");
    if (to == NULL)
        fputs(words, out);
    else
        fprintf(out, "%.*s&nbsp;to&nbsp;%s", (int)(to - words), words,
                to + strlen(" to "));
}

const char *tl_draw_niou(const tl_findings *findings)
{
    return strcmp(tl_findings_key(findings, "niou"), "ref") == 0
               ? "as published, IoU - 2 random, kept within 0.01 and 1"
               : "(IoU - random) / (1 - random), 0 for chance";
}

const char *tl_draw_faith(const tl_findings *findings)
{
    static const char *const names[3][2] = {
        {"mean of ratios", "ratio of means"},
        {"mean of ratios, ablated to the mean", "ratio of means, ablated to the mean"},
        {"mean of ratios, ablated to zero", "ratio of means, ablated to zero"}};
    const char *to = tl_findings_key(findings, "ablate");
    return names[strcmp(to, "mean") == 0   ? 1
                 : strcmp(to, "zero") == 0 ? 2
                                           : 0][tl_findings_ratio_of_means(findings)];
}

/* ---- accuracy -------------------------------------------------------------------- */

tl_status tl_draw_accuracy(const tl_findings *f, const char *prefix, FILE *page,
                           tl_error *err)
{
    tl_figure figure = {
        .page = prefix, .name = "accuracy", .title = "How often the model is right"};
    const tl_status status = tl_figure_begin(&figure, err);
    if (status != TL_OK)
        return status;
    tl_plot plot = {.name = tl_figure_panel(&figure, "both"),
                    .title = "accuracy",
                    .description = "Accuracies of text and image prompts",
                    .x_label = "share of prompts",
                    .over = "over prompts",
                    .n_open = &figure.n_open,
                    .width = 352,
                    .height = 176,
                    .left = 130,
                    .x = {0, 1, TL_SCALE_LINEAR},
                    .y = {4, 0, TL_SCALE_LINEAR}};
    tl_plot_begin(&plot, figure.panels);
    fputs("modality,among,accuracy,low,high,n,undefined\r\n", figure.csv);
    for (size_t i = 0; i < 4; i++) {
        const tl_finding_part *p = &f->parts[i / 2];
        const tl_interval *value = i % 2 == 0 ? &p->limited : &p->full;
        const char *among = i % 2 == 0 ? "labels" : "vocabulary";
        char label[48];
        snprintf(label, sizeof label, "%s, %s", tl_draw_modalities[i / 2], among);
        const tl_style style = {
            .name = label,
            .color = i / 2 == TL_TEXT ? TL_COLOR_TEXT : TL_COLOR_IMAGE,
            .mark = i / 2 == TL_TEXT ? TL_MARK_CIRCLE : TL_MARK_SQUARE,
            .radius = 4,
            .is_hollow = i % 2 == 1};
        if (!p->present)
            continue;
        tl_svg_text(plot.out, plot.x0 - 8, tl_plot_y(&plot, (double)i + 0.5) + 4, label,
                    &(tl_font){.anchor = TL_ANCHOR_END});
        tl_plot_level(&plot, value, (double)i + 0.5, &style);
        fprintf(figure.csv, "%s,%s,", tl_draw_modalities[i / 2], among);
        tl_figure_interval(&figure, value);
    }
    tl_plot_end(&plot);
    fputs("Shares of prompts whose answer's first token is the model's first choice: "
          "filled, among the labels of the question; hollow, in the whole vocabulary. "
          "Whiskers: 95 % intervals over prompts.",
          figure.caption);
    return tl_figure_end(&figure, page, TL_OK, err);
}

/* ---- bars in groups -------------------------------------------------------------- */

enum { SERIES = 3 };

typedef struct bars {
    const char *names[SERIES];
    tl_interval values[TL_SEGMENT_COUNT][SERIES];
    const char *over[SERIES]; /* what its intervals are over */
} bars;

/* Dark, middle, light: to be told apart without colour. */
static const char *const fills[SERIES] = {"#3b3b3b", "#8f8f8f", "#e3e3e3"};

/* With all intervals, and some room beyond them, unless they are many times the whole. */
static void fit(const bars *b, tl_scale *y)
{
    for (size_t g = 0; g < TL_SEGMENT_COUNT; g++)
        for (size_t s = 0; s < SERIES; s++) {
            const tl_interval *v = &b->values[g][s];
            const double ends[] = {v->value, v->low, v->high};
            for (size_t i = 0; i < 3; i++) {
                if (ends[i] > y->high)
                    y->high = fmin(ends[i] + 0.03, 2.0);
                if (ends[i] < y->low)
                    y->low = fmax(ends[i] - 0.03, -1.0);
            }
        }
}

static void draw_legend(const tl_plot *p, const bars *b)
{
    double x = 4;
    for (size_t s = 0; s < SERIES; s++) {
        tl_svg_rect(p->out, x, 21, 11, 11,
                    &(tl_ink){.stroke = "#000000", .fill = fills[s]});
        tl_svg_text(p->out, x + 16, 30, b->names[s], &(tl_font){0});
        x += 28 + 6.2 * (double)strlen(b->names[s]);
    }
}

/* One bar from zero, open at the end that lies beyond the axis, with its interval. */
static void draw_bar(const tl_plot *p, const tl_interval *v, double x, double width,
                     const char *fill, const char *line_color, const char *title)
{
    const double zero = tl_plot_y(p, 0.0), top = tl_plot_y(p, v->value),
                 left = x - width / 2, right = x + width / 2;
    const bool is_open = v->value > p->y.high || v->value < p->y.low;
    const tl_ink line = {.stroke = line_color, .width = 1.5};
    tl_svg_rect(p->out, left, fmin(top, zero), width, fabs(top - zero),
                &(tl_ink){.stroke = is_open ? NULL : "#000000",
                          .fill = fill,
                          .width = 0.8,
                          .title = title});
    if (is_open) {
        const double px[] = {left, left, NAN, right, right},
                     py[] = {top, zero, NAN, zero, top};
        tl_svg_path(p->out, px, py, 5, &(tl_ink){.stroke = "#000000", .width = 0.8});
    }
    if (!isnan(v->low) && !isnan(v->high)) {
        const double ends[] = {v->low, v->high};
        tl_svg_line(p->out, x, tl_plot_y(p, v->low), x, tl_plot_y(p, v->high), &line);
        for (size_t i = 0; i < 2; i++) {
            const double y = tl_plot_y(p, ends[i]);
            if (ends[i] <= p->y.high && ends[i] >= p->y.low)
                tl_svg_line(p->out, x - 4, y, x + 4, y, &line);
            else
                tl_plot_open(p, x, ends[i], line_color, !is_open);
        }
    }
    tl_plot_open(p, x, v->value, line_color, true);
}

static void draw_bars(const bars *b, const char *measure, tl_plot *p, tl_figure *figure)
{
    fit(b, &p->y);
    p->has_no_x_ticks = true;
    p->x = (tl_scale){0, TL_SEGMENT_COUNT, TL_SCALE_LINEAR};
    p->width = 352;
    p->height = 258;
    p->n_open = &figure->n_open;
    tl_plot_begin(p, figure->panels);
    const double zero = tl_plot_y(p, 0.0), step = (p->x1 - p->x0) / TL_SEGMENT_COUNT;
    for (size_t g = 0; g < TL_SEGMENT_COUNT; g++) {
        const char *segment = tl_segment_name((tl_segment)g);
        tl_svg_text(p->out, p->x0 + ((double)g + 0.5) * step, p->y0 + 20, segment,
                    &(tl_font){.anchor = TL_ANCHOR_MIDDLE});
        for (size_t s = 0; s < SERIES; s++) {
            const tl_interval *v = &b->values[g][s];
            char words[TL_INTERVAL_WORDS], title[TL_INTERVAL_WORDS + 80];
            fprintf(figure->csv, "%s,%s,%s,", measure, segment, b->names[s]);
            tl_figure_interval(figure, v);
            if (isnan(v->value))
                continue;
            const double width = 0.24 * step, x = p->x0 + ((double)g + 0.5) * step +
                                                  ((double)s - 1) * (width + 3);
            snprintf(title, sizeof title, "%s, %s: %s", segment, b->names[s],
                     tl_interval_words(v, b->over[s], words));
            draw_bar(p, v, x, width, fills[s], s == 0 ? "#f06010" : "#000000", title);
        }
    }
    tl_svg_line(p->out, p->x0, zero, p->x1, zero, &(tl_ink){.stroke = TL_COLOR_LINE});
    draw_legend(p, b);
    tl_plot_end(p);
}

/* ---- overlap --------------------------------------------------------------------- */

/* Rows of the whole circuits. */
static void write_whole(const tl_findings *f, const char *const kinds[SERIES],
                        tl_figure *figure)
{
    for (size_t s = 0; s < SERIES; s++) {
        const tl_finding_overlap *o = tl_findings_whole_overlap(f, kinds[s]);
        if (o == NULL)
            continue;
        const struct {
            const char *name;
            const tl_interval *value;
        } rows[] = {
            {"iou", &o->iou}, {"random", &o->random}, {"normalised", &o->normalised}};
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            fprintf(figure->csv, "%s,whole,%s,", rows[i].name, kinds[s]);
            tl_figure_interval(figure, rows[i].value);
        }
    }
}

static void write_not_shown(const tl_findings *f, FILE *caption)
{
    if (f->not_shown == NULL)
        return;
    fputs(" <strong>N", caption);
    tl_xml_text(caption, f->not_shown + 1); /* "not shown: ..." */
    fputs(".</strong>", caption);
}

tl_status tl_draw_overlap(const tl_findings *f, const char *prefix, FILE *page,
                          tl_error *err)
{
    static const char *const kinds[SERIES] = {"heads", "neurons", "both"};
    const tl_interval nothing = {NAN, NAN, NAN, NAN, 0, 0};
    tl_figure figure = {.page = prefix,
                        .name = "overlap",
                        .title = "How far the two circuits are the same parts"};
    if (f->n_overlaps == 0)
        return TL_OK;
    const tl_status status = tl_figure_begin(&figure, err);
    if (status != TL_OK)
        return status;
    bars iou = {.names = {"heads", "neurons", "both"},
                .over = {"over prompts", "over prompts", "over prompts"}},
         random = iou, normalised = iou;
    for (size_t s = 0; s < SERIES; s++) {
        random.over[s] = "95 % of draws";
        normalised.over[s] = "over prompts and draws";
    }
    for (size_t g = 0; g < TL_SEGMENT_COUNT; g++)
        for (size_t s = 0; s < SERIES; s++) {
            const tl_finding_overlap *o =
                tl_findings_overlap(f, (tl_segment)g, kinds[s]);
            iou.values[g][s] = random.values[g][s] = normalised.values[g][s] = nothing;
            if (o == NULL)
                continue;
            iou.values[g][s] = o->iou;
            random.values[g][s] = o->random;
            normalised.values[g][s] = o->normalised;
        }
    fputs("measure,segment,kind,value,low,high,n,undefined\r\n", figure.csv);
    tl_plot plots[] = {{.title = "IoU", .y_label = "IoU"},
                       {.title = "IoU of random circuits", .y_label = "IoU"},
                       {.title = "normalised IoU", .y_label = "normalised IoU"}};
    const bars *const all[] = {&iou, &random, &normalised};
    static const char *const names[] = {"iou", "random", "normalised"};
    for (size_t i = 0; i < 3; i++) {
        plots[i].name = tl_figure_panel(&figure, names[i]);
        plots[i].description = "Overlap by segment, of heads, neurons and their mean";
        plots[i].y = (tl_scale){0, 1, TL_SCALE_LINEAR};
        draw_bars(all[i], names[i], &plots[i], &figure);
    }
    write_whole(f, kinds, &figure);
    fprintf(figure.caption,
            "Of the heads and neurons that are in either modality's smallest faithful "
            "circuit, the share that is in both (IoU, intersection over union), by "
            "segment of the prompt. First: of the two circuits; whiskers: 95 %% "
            "intervals over the prompts that they were found on. Second: of %zu pairs "
            "of random circuits of the same sizes; whiskers: where 95 %% of the draws "
            "are. Third: what is left above chance, %s; whiskers: 95 %% intervals over "
            "prompts and draws. In the data segment positions are dropped, because "
            "text and image have other ones there, which makes chance large.",
            f->overlaps[0].random.n, tl_draw_niou(f));
    const tl_finding_overlap *whole = tl_findings_whole_overlap(f, "both");
    if (whole != NULL) {
        fputs(" Of the whole circuits: IoU ", figure.caption);
        tl_draw_interval(figure.caption, &whole->iou, "over prompts");
        fputs(", above chance ", figure.caption);
        tl_draw_interval(figure.caption, &whole->normalised, "over prompts and draws");
        fputs(".", figure.caption);
    }
    write_not_shown(f, figure.caption);
    return tl_figure_end(&figure, page, TL_OK, err);
}

/* ---- interchange ----------------------------------------------------------------- */

tl_status tl_draw_interchange(const tl_findings *f, const char *prefix, FILE *page,
                              tl_error *err)
{
    const tl_interval nothing = {NAN, NAN, NAN, NAN, 0, 0};
    tl_figure figure = {.page = prefix,
                        .name = "interchange",
                        .title = "How far the two circuits do the same job"};
    if (!f->has_swaps[TL_TEXT] && !f->has_swaps[TL_IMAGE])
        return TL_OK;
    const tl_status status = tl_figure_begin(&figure, err);
    if (status != TL_OK)
        return status;
    bars normalised = {.names = {"on text", "on images", "both"},
                       .over = {"over prompts and draws", "over prompts and draws",
                                "over prompts and draws"}};
    bars raw[TL_MODALITY_COUNT];
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        raw[m] =
            (bars){.names = {"the other's", "random", "its own"},
                   .over = {"over prompts", "over prompts and draws", "over prompts"}};
    for (size_t g = 0; g < TL_SEGMENT_COUNT; g++) {
        for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
            const tl_finding_swap *w = &f->swaps[m][g];
            const bool there = f->has_swaps[m];
            normalised.values[g][m] = there ? w->normalised : nothing;
            raw[m].values[g][0] = there ? w->value : nothing;
            raw[m].values[g][1] = there ? w->random : nothing;
            raw[m].values[g][2] = there ? w->own : nothing;
        }
        normalised.values[g][2] =
            f->has_swaps[TL_TEXT] && f->has_swaps[TL_IMAGE] ? f->swapped[g] : nothing;
    }
    fputs("measure,segment,series,value,low,high,n,undefined\r\n", figure.csv);
    tl_plot plots[] = {
        {.title = "normalised faithfulness", .y_label = "normalised faithfulness"},
        {.title = "text prompts, a segment swapped", .y_label = "faithfulness"},
        {.title = "image prompts, a segment swapped", .y_label = "faithfulness"}};
    const bars *const all[] = {&normalised, &raw[TL_TEXT], &raw[TL_IMAGE]};
    static const char *const names[] = {"normalised", "text", "image"};
    for (size_t i = 0; i < 3; i++) {
        plots[i].name = tl_figure_panel(&figure, names[i]);
        plots[i].description = "Faithfulness with a segment of the other circuit";
        plots[i].y = (tl_scale){0, 1, TL_SCALE_LINEAR};
        draw_bars(all[i], names[i], &plots[i], &figure);
    }
    fprintf(figure.caption,
            "One segment of a circuit is taken from the other modality's circuit, and "
            "the prompts are run with that. Second and third: its faithfulness (%s), "
            "beside that with a random part in its place and with its own. First: the "
            "same on a scale where 0 is the random part and 1 its own. Whiskers: 95 %% "
            "intervals over evaluation prompts, and over draws too where a random part "
            "is in it.",
            tl_draw_faith(f));
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        if (f->has_swaps[m] && !isnan(f->swaps[m][0].spread))
            fprintf(figure.caption,
                    " Faithfulness with a random part, %s prompts, standard deviation "
                    "over draws: data %.3f, query %.3f, generation %.3f.",
                    tl_draw_modalities[m], f->swaps[m][TL_SEGMENT_DATA].spread,
                    f->swaps[m][TL_SEGMENT_QUERY].spread,
                    f->swaps[m][TL_SEGMENT_GENERATION].spread);
    write_not_shown(f, figure.caption);
    return tl_figure_end(&figure, page, TL_OK, err);
}

/* ---- what it closes -------------------------------------------------------------- */

tl_status tl_draw_gap(const tl_findings *f, const char *prefix, FILE *page,
                      tl_error *err)
{
    const tl_finding_backpatch *b = &f->backpatch;
    tl_figure figure = {.page = prefix,
                        .name = "gap",
                        .title = "How much of the gap to text back-patching closes"};
    if (b->n_cells == 0 || !b->has_text)
        return TL_OK;
    const tl_status status = tl_figure_begin(&figure, err);
    if (status != TL_OK)
        return status;
    const bool is_search = b->n_rounds > 0; /* its cell is chosen elsewhere anyway */
    const struct {
        const char *label;
        const tl_interval *value;
        tl_style style;
    } rows[] = {
        {"text",
         &b->clean[TL_TEXT],
         {.color = TL_COLOR_TEXT, .mark = TL_MARK_CIRCLE, .radius = 4}},
        {"image",
         &b->clean[TL_IMAGE],
         {.color = TL_COLOR_IMAGE, .mark = TL_MARK_SQUARE, .radius = 4}},
        {is_search ? "cell found" : "best cell",
         &b->chosen_here.accuracy,
         {.color = TL_COLOR_OTHER, .mark = TL_MARK_DIAMOND, .radius = 4}},
        {"cell chosen elsewhere",
         &b->chosen_elsewhere.accuracy,
         {.color = TL_COLOR_OTHER,
          .mark = TL_MARK_DIAMOND,
          .radius = 4,
          .is_hollow = true}},
    };
    const size_t n_rows = sizeof rows / sizeof *rows - is_search;
    tl_plot plot = {.name = tl_figure_panel(&figure, "gap"),
                    .title = "text, image, and images back-patched",
                    .description = "Accuracies of text, image and back-patched prompts",
                    .x_label = "accuracy among the labels",
                    .over = "over prompts",
                    .n_open = &figure.n_open,
                    .width = 352,
                    .height = 176,
                    .left = 140,
                    .x = {0, 1, TL_SCALE_LINEAR},
                    .y = {(double)n_rows, 0, TL_SCALE_LINEAR}};
    double low = 1.0;
    for (size_t i = 0; i < n_rows; i++)
        low = fmin(low, isnan(rows[i].value->low) ? rows[i].value->value
                                                  : rows[i].value->low);
    plot.x.low = floor(fmin(low, 0.9) * 10) / 10;
    fputs("prompts,accuracy,low,high,n,undefined\r\n", figure.csv);
    tl_plot_begin(&plot, figure.panels);
    for (size_t i = 0; i < n_rows; i++) {
        tl_svg_text(plot.out, plot.x0 - 8, tl_plot_y(&plot, (double)i + 0.5) + 4,
                    rows[i].label, &(tl_font){.anchor = TL_ANCHOR_END});
        tl_style style = rows[i].style;
        style.name = rows[i].label;
        tl_plot_level(&plot, rows[i].value, (double)i + 0.5, &style);
        fprintf(figure.csv, "%s,", rows[i].label);
        tl_figure_interval(&figure, rows[i].value);
    }
    tl_plot_end(&plot);
    fputs("Back-patching writes the states of image tokens after one layer into "
          "another; a cell is the two layers and how many beside them. ",
          figure.caption);
    if (is_search)
        fprintf(
            figure.caption,
            "Accuracies of text and image are over %zu pairs of prompts, that with "
            "the cell that the search found over those %zu that no round of it saw. "
            "Share of the gap to text on these that it closes: ",
            b->n, b->chosen_here.accuracy.n);
    else
        fputs(
            "All accuracies are of the same pairs of prompts. Best cell: chosen on "
            "these prompts, and so too good; cell chosen elsewhere: on one half of "
            "them, judged on the other. Share of the gap to text that it closes then: ",
            figure.caption);
    tl_draw_interval(figure.caption, &b->chosen_elsewhere.closed, "over prompts");
    fputs(". Whiskers: 95 % intervals over prompts.", figure.caption);
    return tl_figure_end(&figure, page, TL_OK, err);
}
