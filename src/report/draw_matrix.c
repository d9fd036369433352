/* SPDX-License-Identifier: MIT
 * draw_matrix.c - back-patching: every cell, and the best one. */
#include <math.h>
#include <string.h>

#include "base/csv_write.h"
#include "report/draw.h"
#include "report/figure.h"
#include "report/plot.h"
#include "report/table.h"

/* On the cells, which keep their colours in the dark. */
#define DARK "#000001"
#define LIGHT "#fffffe"

enum { LEFT = 40, TOP = 24, BOTTOM = 36, SIDE = 270 };

/* Better: green to dark; worse: orange. As light as the change is small. Returns the colour of
 * words on it: that of the larger contrast, which is black where its luminance is above .179. */
static const char *color_at(double share, char text[8])
{
    static const double better[3] = {0, 90, 70}, worse[3] = {190, 80, 0},
                        weights[3] = {0.2126, 0.7152, 0.0722};
    const double *end = share < 0.0 ? worse : better;
    const double size = fmin(fabs(share), 1.0);
    double luminance = 0.0;
    unsigned rgb[3];
    for (size_t c = 0; c < 3; c++) {
        rgb[c] = (unsigned)lround(255 + size * (end[c] - 255));
        luminance += weights[c] * pow((rgb[c] / 255.0 + 0.055) / 1.055, 2.4);
    }
    snprintf(text, 8, "#%02x%02x%02x", rgb[0] & 255, rgb[1] & 255, rgb[2] & 255);
    return luminance > 0.179 ? DARK : LIGHT;
}

typedef struct matrix {
    const tl_finding_backpatch *b;
    tl_modality modality;
    size_t window, n_layers;
    double most; /* the largest change of all, either way */
    double cell;
} matrix;

static double x_of(const matrix *m, size_t source)
{
    return LEFT + (double)source * m->cell;
}

static double y_of(const matrix *m, size_t destination)
{
    return TOP + (double)(m->n_layers - 1 - destination) * m->cell;
}

/* That no prompt was run under: a slanting line. */
static void draw_skipped(const matrix *m, double x, double y, FILE *out)
{
    tl_svg_rect(out, x, y, m->cell, m->cell,
                &(tl_ink){.stroke = TL_COLOR_GRID, .width = 0.5});
    tl_svg_line(out, x, y + m->cell, x + m->cell, y,
                &(tl_ink){.stroke = TL_COLOR_LINE, .width = 0.5});
}

static void draw_cell(const matrix *m, size_t i, FILE *out)
{
    const tl_finding_cell *c = &m->b->cells[i];
    const double gain = c->gain[m->modality],
                 share = m->most > 0.0 ? gain / m->most : 0.0, x = x_of(m, c->source),
                 y = y_of(m, c->destination);
    char color[8], text[16], words[TL_INTERVAL_WORDS], title[TL_INTERVAL_WORDS + 80];
    if (c->accuracy[m->modality].n == 0) {
        draw_skipped(m, x, y, out);
        return;
    }
    const char *on_it = color_at(share, color);
    snprintf(title, sizeof title, "layer %zu into %zu: accuracy %s", c->source,
             c->destination,
             tl_interval_words(&c->accuracy[m->modality], "over prompts", words));
    tl_svg_rect(
        out, x, y, m->cell, m->cell,
        &(tl_ink){
            .stroke = TL_COLOR_GRID, .fill = color, .width = 0.5, .title = title});
    snprintf(text, sizeof text, "%+.0f", 100 * gain);
    if (m->cell >= 22)
        tl_svg_text(out, x + m->cell / 2, y + m->cell / 2 + 4,
                    fabs(gain) < 0.005 ? "0" : text,
                    &(tl_font){.size = 10, .anchor = TL_ANCHOR_MIDDLE, .color = on_it});
    else if (gain < -0.005) /* a stroke says the sign without colour */
        tl_svg_line(out, x + m->cell / 4, y + m->cell / 2, x + 3 * m->cell / 4,
                    y + m->cell / 2, &(tl_ink){.stroke = DARK});
}

static void draw_axes(const matrix *m, FILE *out)
{
    const size_t every = m->n_layers > 24 ? 4 : m->n_layers > 12 ? 2 : 1;
    const double side = (double)m->n_layers * m->cell;
    char text[24];
    for (size_t l = 0; l < m->n_layers; l += every) {
        snprintf(text, sizeof text, "%zu", l);
        tl_svg_text(out, x_of(m, l) + m->cell / 2, TOP + side + 13, text,
                    &(tl_font){.size = 10, .anchor = TL_ANCHOR_MIDDLE});
        tl_svg_text(out, LEFT - 4, y_of(m, l) + m->cell / 2 + 4, text,
                    &(tl_font){.size = 10, .anchor = TL_ANCHOR_END});
    }
    tl_svg_text(out, LEFT + side / 2, TOP + side + 30, "from layer (counted from 0)",
                &(tl_font){.anchor = TL_ANCHOR_MIDDLE});
    tl_svg_text(out, 12, TOP + side / 2, "into layer (counted from 0)",
                &(tl_font){.anchor = TL_ANCHOR_MIDDLE, .turn = -90});
    tl_svg_rect(out, LEFT, TOP, side, side, &(tl_ink){.stroke = TL_COLOR_LINE});
}

static void draw_matrix(const matrix *m, tl_figure *figure)
{
    FILE *out = figure->panels;
    const double side = (double)m->n_layers * m->cell;
    char title[80], name[32];
    snprintf(title, sizeof title, "%s prompts, window %zu",
             tl_draw_modalities[m->modality], m->window);
    snprintf(name, sizeof name, "%s-%zu", tl_draw_modalities[m->modality], m->window);
    tl_svg_begin(out, tl_figure_panel(figure, name), LEFT + side + 12,
                 TOP + side + BOTTOM, title,
                 "Change of accuracy for every source and destination layer");
    tl_svg_text(out, 2, 13, title, &(tl_font){.size = 12, .bold = 1});
    for (size_t i = 0; i < m->b->n_cells; i++)
        if (m->b->cells[i].window == m->window)
            draw_cell(m, i, out);
    draw_axes(m, out);
    const tl_finding_cell *best = &m->b->cells[m->b->best];
    const tl_ink frames[] = {{.stroke = LIGHT, .width = 5},
                             {.stroke = DARK, .width = 2.5}};
    for (size_t i = 0; i < 2 && m->modality == TL_IMAGE && best->window == m->window;
         i++)
        tl_svg_rect(out, x_of(m, best->source), y_of(m, best->destination), m->cell,
                    m->cell, &frames[i]);
    tl_svg_end(out);
}

static void write_numbers(const matrix *m, size_t cell, tl_figure *figure)
{
    const tl_finding_cell *c = &m->b->cells[cell];
    const tl_interval *accuracy = &c->accuracy[m->modality];
    const double numbers[] = {accuracy->value, accuracy->low, accuracy->high};
    fprintf(figure->csv, "%zu,%zu,%zu,%s,", c->window, c->source, c->destination,
            tl_draw_modalities[m->modality]);
    for (size_t i = 0; i < 3; i++) {
        tl_csv_write_number(figure->csv, 7, numbers[i]);
        fputc(',', figure->csv);
    }
    fprintf(figure->csv, "%zu,", accuracy->n);
    tl_csv_write_number(figure->csv, 7, c->gain[m->modality]);
    fputs("\r\n", figure->csv);
}

/* How many prompts changed, and whether that is more than chance. */
static void write_change(const tl_finding_change *c, FILE *out)
{
    tl_draw_interval(out, &c->gain, "over prompts");
    fprintf(out, " (%zu prompts become right, %zu wrong, exact p = %.3f)", c->n_fixed,
            c->n_broken, c->p);
    if (isnan(c->closed.value) && c->closed.n == 0)
        return;
    fputs(" and closes ", out);
    tl_draw_interval(out, &c->closed, "over prompts");
    fputs(" of the gap to text", out);
}

/* In how many cells images gain more than text, as much, less. */
static void write_control(const tl_finding_backpatch *b, FILE *out)
{
    tl_draw_interval(out, &b->no_worse, "over prompts");
    fprintf(out, ". %zu gain more, ", b->n_better);
    tl_draw_interval(out, &b->better, "over prompts");
    fprintf(out, "; %zu as much, ", b->n_equal);
    tl_draw_interval(out, &b->equal, "over prompts");
    fprintf(out, "; %zu less%s.", b->n_worse,
            tl_finding_text_at_ceiling(b)
                ? "; text is at its ceiling, all right, and cannot gain"
                : "");
    for (size_t i = 0; i < b->n_windows; i++) {
        const tl_finding_window *w = &b->windows[i];
        fprintf(out, " Of the %zu with window %zu, no less: ", w->n_cells, w->window);
        tl_draw_interval(out, &w->no_worse, "over prompts");
        fprintf(out, "; %zu more, %zu as much, %zu less.", w->n_better, w->n_equal,
                w->n_worse);
    }
}

static void write_verdict(const tl_finding_backpatch *b, FILE *out)
{
    const tl_finding_change *c = &b->chosen_elsewhere;
    fprintf(out, ": %s. ",
            !(c->p < 0.05)             ? "not more than chance"
            : c->n_fixed > c->n_broken ? "more than chance"
                                       : "a loss beyond chance");
}

/* What the best cell of all gains. */
static void write_best(const tl_finding_backpatch *b, FILE *out)
{
    const tl_finding_cell *best = &b->cells[b->best];
    fputs(". A cell chosen on other prompts gains ", out);
    write_change(&b->chosen_elsewhere, out);
    write_verdict(b, out);
    fprintf(
        out,
        "The black frame: the best of all, layer %zu into %zu with a window of %zu, "
        "which on the prompts it was chosen on gains ",
        best->source, best->destination, best->window);
    write_change(&b->chosen_here, out);
    fprintf(out,
            ". Were patching without effect, a best cell at least as good would be "
            "found with p = %.3f.",
            b->p);
    if (!b->has_text)
        return;
    fputs(" Share of cells that gain no less on images than on text: ", out);
    write_control(b, out);
}

/* What a search ran, and what the cell gains that it found. */
static void write_found(const tl_finding_backpatch *b, FILE *out)
{
    const tl_finding_cell *best = &b->cells[b->best];
    const size_t all = b->n_all_runs;
    fprintf(out,
            ". Searched by successive halving: %zu of %zu runs of a cell on a "
            "prompt were made, %zu were skipped. Image prompts: ",
            b->n_runs, all, all - b->n_runs);
    for (size_t i = 0; i < b->n_rounds; i++)
        fprintf(out, "%zu cells on %zu, ", b->rounds[i].n_cells,
                b->rounds[i].n_prompts);
    fprintf(out,
            "each on new prompts; the last cell (the black frame: layer %zu into %zu "
            "with a window of %zu) on %zu prompts that no round saw, where it gains ",
            best->source, best->destination, best->window, b->chosen_elsewhere.gain.n);
    write_change(&b->chosen_elsewhere, out);
    write_verdict(b, out);
    fprintf(out, "A number in a cell is of the prompts it ran on, which may be few; a "
                 "slanting line: it ran on none.");
    if (!b->has_text)
        return;
    fprintf(out,
            " Share of cells that gain no less on images than on text, of a sample of "
            "%zu cells on %zu pairs: ",
            b->n_control_cells, b->no_worse.n);
    write_control(b, out);
}

/* The gains of some of the pairs. */
static void write_modal(const tl_finding_backpatch *b, FILE *out)
{
    const tl_finding_cell *best = &b->cells[b->best];
    fprintf(out,
            " Of the %zu pairs whose text has the most frequent length (--bp-filter "
            "modal): a cell chosen on other prompts gains ",
            b->n);
    write_change(&b->chosen_elsewhere, out);
    fprintf(out, "; the best, layer %zu into %zu with a window of %zu, gains ",
            best->source, best->destination, best->window);
    write_change(&b->chosen_here, out);
    fprintf(out, ", p = %.3f.", b->p);
}

static void write_caption(const tl_findings *f, FILE *out)
{
    const tl_finding_backpatch *b = &f->backpatch;
    fprintf(
        out,
        "Change of accuracy in percentage points when the states of image tokens "
        "%safter one layer are written back into another, with as many layers as the "
        "window has; %zu %s, %zu cells",
        b->has_text ? "(or, as a control, of the text tokens of the same content) "
                    : "",
        b->n, b->has_text ? "pairs of prompts" : "image prompts", b->n_cells);
    if (!b->has_text)
        fputs("; no text rows, so no control", out);
    if (b->n_rounds > 0)
        write_found(b, out);
    else
        write_best(b, out);
    if (f->modal_backpatch.n_cells > 0)
        write_modal(&f->modal_backpatch, out);
}

tl_status tl_draw_backpatch(const tl_findings *f, const char *prefix, FILE *page,
                            tl_error *err)
{
    const tl_finding_backpatch *b = &f->backpatch;
    tl_figure figure = {.page = prefix,
                        .name = "backpatch",
                        .title = "Late image states, written back into early layers"};
    if (b->n_cells == 0)
        return TL_OK;
    const tl_status status = tl_figure_begin(&figure, err);
    if (status != TL_OK)
        return status;
    matrix m = {.b = b};
    fputs("window,source,destination,prompts,accuracy,low,high,n,gain\r\n", figure.csv);
    for (size_t i = 0; i < b->n_cells; i++) {
        const tl_finding_cell *c = &b->cells[i];
        m.n_layers = c->source + 1 > m.n_layers ? c->source + 1 : m.n_layers;
        for (size_t k = b->has_text ? TL_TEXT : TL_IMAGE; k < TL_MODALITY_COUNT; k++) {
            m.modality = (tl_modality)k;
            m.most = fmax(m.most, fabs(c->gain[k]));
            write_numbers(&m, i, &figure);
        }
    }
    m.cell = fmax(7.0, fmin(34.0, (double)SIDE / (double)m.n_layers));
    for (size_t i = 0; i < b->n_cells; i++) /* images, and beside them text */
        for (size_t modality = TL_MODALITY_COUNT; modality-- > (b->has_text ? 0 : 1);) {
            m.modality = (tl_modality)modality;
            m.window = b->cells[i].window;
            if (i == 0 || m.window != b->cells[i - 1].window)
                draw_matrix(&m, &figure);
        }
    write_caption(f, figure.caption);
    return tl_figure_end(&figure, page, TL_OK, err);
}
