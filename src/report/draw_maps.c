/* SPDX-License-Identifier: MIT
 * draw_maps.c - importance, layer by position, over the tokens that stand there. */
#include <math.h>
#include <string.h>

#include "report/draw.h"
#include "report/figure.h"
#include "report/plot.h"

enum { LEFT = 44, TOP = 42, RIGHT = 74, MOST_LETTERS = 16, FEW = 4 };

typedef struct map {
    const tl_finding_part *part;
    const double *values;          /* [n_layers, n_pos] */
    size_t n_layers, n_pos, first; /* position that is drawn first */
    double max, cell_width, cell_height;
} map;

/* White over yellow and red to dark: lighter is less, in grey as well. */
static void color_at(double share, char text[8])
{
    static const double stops[4][3] = {
        {255, 255, 255}, {253, 212, 158}, {227, 74, 51}, {90, 0, 10}};
    const double at = (share < 0.0 ? 0.0 : share > 1.0 ? 1.0 : share) * 3.0;
    const size_t i = at >= 3.0 ? 2 : (size_t)at;
    unsigned rgb[3];
    for (size_t c = 0; c < 3; c++)
        rgb[c] = (unsigned)lround(stops[i][c] +
                                  (at - (double)i) * (stops[i + 1][c] - stops[i][c]));
    snprintf(text, 8, "#%02x%02x%02x", rgb[0] & 255, rgb[1] & 255, rgb[2] & 255);
}

/* Differences among small scores are to be seen too. */
static double share_of(const map *m, double value)
{
    return m->max > 0.0 && value > 0.0 ? sqrt(value / m->max) : 0.0;
}

static double x_of(const map *m, size_t pos)
{
    return LEFT + (double)(pos - m->first) * m->cell_width;
}

static void draw_cells(const map *m, FILE *out)
{
    char color[8];
    for (size_t l = 0; l < m->n_layers; l++)
        for (size_t t = m->first; t < m->n_pos; t++) {
            const double share = share_of(m, m->values[l * m->n_pos + t]);
            if (share < 0.02)
                continue;
            color_at(share, color);
            tl_svg_rect(out, x_of(m, t),
                        TOP + (double)(m->n_layers - 1 - l) * m->cell_height,
                        m->cell_width, m->cell_height, &(tl_ink){.fill = color});
        }
}

static void draw_layers(const map *m, FILE *out)
{
    const size_t every = m->n_layers > 16 ? 4 : m->n_layers > 8 ? 2 : 1;
    char text[24];
    for (size_t l = 0; l < m->n_layers; l += every) {
        snprintf(text, sizeof text, "%zu", l);
        tl_svg_text(out, LEFT - 4,
                    TOP + ((double)(m->n_layers - 1 - l) + 0.5) * m->cell_height + 4,
                    text, &(tl_font){.size = 10, .anchor = TL_ANCHOR_END});
    }
    tl_svg_text(out, 12, TOP + (double)m->n_layers * m->cell_height / 2, "layer",
                &(tl_font){.anchor = TL_ANCHOR_MIDDLE, .turn = -90});
}

/* Borders of the segments, and their names above. */
static void draw_segments(const map *m, FILE *out)
{
    const size_t borders[] = {m->part->data_begin, m->part->data_end, m->n_pos - 1,
                              m->n_pos};
    static const char *const names[] = {"data", "query", "generation"};
    const double bottom = TOP + (double)m->n_layers * m->cell_height;
    const tl_ink frame = {.stroke = TL_COLOR_LINE};
    tl_svg_rect(out, LEFT, TOP, x_of(m, m->n_pos) - LEFT, bottom - TOP, &frame);
    for (size_t i = 0; i < 3; i++) {
        const double x = x_of(m, borders[i]);
        const bool last = i == 2;
        tl_svg_line(out, x, TOP - 6, x, bottom,
                    &(tl_ink){.stroke = TL_COLOR_LINE, .width = 1.5});
        tl_svg_text(
            out, last ? x_of(m, m->n_pos) : (x + x_of(m, borders[i + 1])) / 2,
            TOP - (last ? 14 : 4), names[i],
            &(tl_font){.size = 10, .anchor = last ? TL_ANCHOR_END : TL_ANCHOR_MIDDLE});
    }
}

/* The first letters of a token; those that differ from prompt to prompt end in "*". */
static void token_text(const tl_study_token *t, char text[4 * MOST_LETTERS + 8])
{
    size_t bytes = 0, letters = 0;
    while (t->text[bytes] != '\0' && letters < MOST_LETTERS) {
        bytes++;
        while ((t->text[bytes] & 0xc0) == 0x80)
            bytes++;
        letters++;
    }
    if (bytes > 4 * MOST_LETTERS)
        bytes = 0;
    memcpy(text, t->text, bytes);
    snprintf(text + bytes, 8, "%s%s", t->text[bytes] != '\0' ? "\xe2\x80\xa6" : "",
             t->n_texts > 1 ? "*" : "");
}

static size_t run_of(const tl_finding_part *p, size_t first)
{
    size_t n = 1;
    while (first + n < p->n_tokens && p->tokens[first + n].n_texts == 1 &&
           strcmp(p->tokens[first].text, p->tokens[first + n].text) == 0)
        n++;
    return n;
}

static void draw_tokens(const map *m, FILE *out)
{
    const tl_finding_part *p = m->part;
    const double y = TOP + (double)m->n_layers * m->cell_height;
    char text[4 * MOST_LETTERS + 8], run[4 * MOST_LETTERS + 40];
    if (p->n_tokens != m->n_pos)
        return;
    for (size_t t = m->first; t < m->n_pos;) {
        const size_t n = run_of(p, t);
        token_text(&p->tokens[t], text);
        if (n < FEW) {
            tl_svg_text(out, x_of(m, t) + m->cell_width / 2 + 3, y + 4, text,
                        &(tl_font){.size = 9, .anchor = TL_ANCHOR_END, .turn = -90});
            t++;
            continue;
        }
        const double middle = (x_of(m, t) + x_of(m, t + n)) / 2;
        tl_svg_line(out, x_of(m, t) + 1, y + 5, x_of(m, t + n) - 1, y + 5,
                    &(tl_ink){.stroke = TL_COLOR_LINE, .width = 1.5});
        snprintf(run, sizeof run, "%zu x %s", n, text);
        tl_svg_text(out, middle + 3, y + 9, run,
                    &(tl_font){.size = 9, .anchor = TL_ANCHOR_END, .turn = -90});
        t += n;
    }
}

/* Room for the longest token, which stands upright. */
static double token_room(const tl_finding_part *p)
{
    char text[4 * MOST_LETTERS + 8];
    size_t most = 0;
    for (size_t t = 0; t < p->n_tokens; t++) {
        token_text(&p->tokens[t], text);
        const size_t letters = strlen(text) + (run_of(p, t) >= FEW ? 5 : 0);
        most = letters > most ? letters : most;
    }
    return 5.2 * (double)most + 12;
}

static void draw_scale(const map *m, FILE *out)
{
    enum { STEPS = 40 };
    const double x = x_of(m, m->n_pos) + 14, height = 100, step = height / STEPS;
    char color[8], text[32];
    for (size_t i = 0; i < STEPS; i++) {
        color_at(1.0 - ((double)i + 0.5) / STEPS, color);
        tl_svg_rect(out, x, TOP + (double)i * step, 10, step + 0.3,
                    &(tl_ink){.fill = color});
    }
    tl_svg_rect(out, x, TOP, 10, height, &(tl_ink){.stroke = TL_COLOR_LINE});
    for (size_t i = 0; i <= 2; i++) { /* the scale is a square root */
        const double share = 1.0 - (double)i / 2;
        tl_number_text(m->max * share * share, text);
        tl_svg_text(out, x + 14, TOP + (double)i / 2 * height + 4, text,
                    &(tl_font){.size = 10});
    }
    tl_svg_text(out, x + 36, TOP + height + 16, "logits",
                &(tl_font){.size = 10, .anchor = TL_ANCHOR_END});
}

/* Positions from `first` on. */
static void draw_map(const tl_findings *f, tl_modality modality, const double *values,
                     const char *kind, size_t first, tl_figure *figure)
{
    const tl_finding_part *p = &f->parts[modality];
    map m = {.part = p,
             .values = values,
             .n_layers = p->scores.n_layers,
             .n_pos = p->scores.n_pos,
             .first = first,
             .cell_width = p->scores.n_pos <= 64 ? 13 : 10,
             .cell_height = p->scores.n_layers <= 12   ? 15
                            : p->scores.n_layers <= 32 ? 9
                                                       : 7};
    char title[64], name[32];
    for (size_t l = 0; l < m.n_layers; l++)
        for (size_t t = first; t < m.n_pos; t++)
            m.max = fmax(m.max, m.values[l * m.n_pos + t]);
    snprintf(title, sizeof title, "%s prompts, %s", tl_draw_modalities[modality], kind);
    snprintf(name, sizeof name, "%s-%s", tl_draw_modalities[modality], kind);
    FILE *out = figure->panels;
    const double height = TOP + (double)m.n_layers * m.cell_height + token_room(p);
    tl_svg_begin(out, tl_figure_panel(figure, name), x_of(&m, m.n_pos) + RIGHT,
                 height < TOP + 130 ? TOP + 130 : height, title,
                 "Sums of attribution scores, layer by position, darker for more");
    tl_svg_text(out, 2, 13, title, &(tl_font){.size = 12, .bold = 1});
    draw_cells(&m, out);
    draw_layers(&m, out);
    draw_segments(&m, out);
    draw_tokens(&m, out);
    draw_scale(&m, out);
    tl_svg_end(out);
    for (size_t l = 0; l < m.n_layers; l++)
        for (size_t t = first; t < m.n_pos; t++)
            fprintf(figure->csv, "%s,%s,%zu,%zu,%.9g\r\n", tl_draw_modalities[modality],
                    kind, l, t, m.values[l * m.n_pos + t]);
}

tl_status tl_draw_importance(const tl_findings *f, const char *prefix, FILE *page,
                             tl_error *err)
{
    tl_figure figure = {.page = prefix,
                        .name = "importance",
                        .title = "Where the importance is",
                        .is_wide = true};
    if (f->parts[TL_TEXT].importance[0] == NULL &&
        f->parts[TL_IMAGE].importance[0] == NULL)
        return TL_OK;
    const tl_status status = tl_figure_begin(&figure, err);
    if (status != TL_OK)
        return status;
    fputs("modality,kind,layer,position,score\r\n", figure.csv);
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const tl_finding_part *p = &f->parts[m];
        for (size_t k = 0; k < TL_KIND_COUNT; k++)
            if (p->importance[k] != NULL)
                draw_map(f, (tl_modality)m, p->importance[k],
                         tl_kind_name((tl_component_kind)k), 0, &figure);
        if (p->importance_of_both != NULL && p->data_begin < p->scores.n_pos)
            draw_map(f, (tl_modality)m, p->importance_of_both, "both", p->data_begin,
                     &figure);
    }
    fprintf(
        figure.caption,
        "Attribution scores summed over all heads, or all neurons, of a layer at a "
        "position, and over both from the data on: means over %zu text and %zu image "
        "prompts, in logits; the colour "
        "scale is a square root. Below: the tokens of the first prompt, with * where "
        "prompts differ.",
        f->parts[TL_TEXT].scores.n_pairs, f->parts[TL_IMAGE].scores.n_pairs);
    return tl_figure_end(&figure, page, TL_OK, err);
}
