/* SPDX-License-Identifier: MIT
 * draw_maps.c - importance, layer by position, over the tokens that stand there. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/draw.h"
#include "report/figure.h"
#include "report/plot.h"

enum {
    LEFT = 44,
    TOP = 42,
    RIGHT = 74,
    MOST_LETTERS = 16,
    FEW = 4,
    WIDE = 820,  /* of the cells, if they can be */
    LEVELS = 32, /* of colour */
    TITLED = 100 /* cells of a map whose values are shown */
};

/* Lines on maps, which lie on a light ground in the dark too. */
#define EDGE "#777777"

static const char *const choices[] = {"one for text and image", "each map its own"};
enum { CHOICES = sizeof choices / sizeof *choices };

typedef struct map {
    const tl_finding_part *part;
    const double *values;          /* [n_layers, n_pos] */
    size_t n_layers, n_pos, first; /* position that is drawn first */
    double max;                    /* of the scale */
    double cell_width, cell_height;
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

static double y_of(const map *m, size_t layer)
{
    return TOP + (double)(m->n_layers - 1 - layer) * m->cell_height;
}

static size_t level_of(const map *m, size_t layer, size_t pos)
{
    const double share = share_of(m, m->values[layer * m->n_pos + pos]);
    return (size_t)lround(fmin(share, 1.0) * LEVELS);
}

/* Level by level, and cells of one level beside each other as one: a map has many cells. */
static void draw_cells(const map *m, FILE *out)
{
    char color[8];
    tl_svg_group_scaled(out, LEFT, TOP, m->cell_width, m->cell_height);
    for (size_t level = 1; level <= LEVELS; level++) {
        bool any = false;
        for (size_t l = 0; l < m->n_layers; l++)
            for (size_t t = m->first; t < m->n_pos;) {
                size_t end = t;
                while (end < m->n_pos && level_of(m, l, end) == level)
                    end++;
                if (end > t && !any) {
                    color_at((double)level / LEVELS, color);
                    tl_svg_rects_begin(out, &(tl_ink){.fill = color});
                    any = true;
                }
                if (end > t)
                    tl_svg_rects_add(out, (double)(t - m->first),
                                     (double)(m->n_layers - 1 - l), (double)(end - t),
                                     1);
                t = end > t ? end : t + 1;
            }
        if (any)
            tl_svg_rects_end(out);
    }
    tl_svg_group_end(out);
}

static int descending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* The largest values are shown where the pointer rests. */
static tl_status draw_values(const map *m, FILE *out, tl_error *err)
{
    const size_t width = m->n_pos - m->first, n = m->n_layers * width;
    double *sorted = malloc((n > 0 ? n : 1) * sizeof *sorted);
    char title[4 * MOST_LETTERS + 120];
    if (sorted == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a map");
    for (size_t i = 0; i < n; i++)
        sorted[i] = m->values[i / width * m->n_pos + m->first + i % width];
    qsort(sorted, n, sizeof *sorted, descending);
    const double least = n > TITLED ? sorted[TITLED - 1] : 0.0;
    free(sorted);
    tl_svg_group_titles(out);
    for (size_t l = 0; l < m->n_layers; l++)
        for (size_t t = m->first; t < m->n_pos; t++) {
            const double value = m->values[l * m->n_pos + t];
            if (!(value >= least) || value <= 0.0)
                continue;
            snprintf(title, sizeof title, "layer %zu, position %zu: %.3g", l, t, value);
            tl_svg_rect(out, x_of(m, t), y_of(m, l), m->cell_width, m->cell_height,
                        &(tl_ink){.title = title});
        }
    tl_svg_group_end(out);
    return TL_OK;
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
    tl_svg_text(out, 12, TOP + (double)m->n_layers * m->cell_height / 2,
                (double)m->n_layers * m->cell_height > 90 ? "layer (from 0)" : "layer",
                &(tl_font){.anchor = TL_ANCHOR_MIDDLE, .turn = -90});
}

/* Borders of the segments, and their names above. */
static void draw_segments(const map *m, FILE *out)
{
    const size_t borders[] = {m->part->data_begin, m->part->data_end, m->n_pos - 1,
                              m->n_pos};
    static const char *const names[] = {"data", "query", "generation"};
    const double bottom = TOP + (double)m->n_layers * m->cell_height;
    const tl_ink frame = {.stroke = EDGE};
    tl_svg_rect(out, LEFT, TOP, x_of(m, m->n_pos) - LEFT, bottom - TOP, &frame);
    for (size_t i = 0; i < 3; i++) {
        const double x = x_of(m, borders[i]);
        const bool last = i == 2;
        tl_svg_line(out, x, TOP - 6, x, bottom,
                    &(tl_ink){.stroke = EDGE, .width = 1.5});
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
    enum { STEPS = 20 };
    const double x = x_of(m, m->n_pos) + 14, height = 100, step = height / STEPS;
    char color[8], text[32];
    for (size_t i = 0; i < STEPS; i++) {
        color_at(1.0 - ((double)i + 0.5) / STEPS, color);
        tl_svg_rect(out, x, TOP + (double)i * step, 10, step + 0.3,
                    &(tl_ink){.fill = color});
    }
    tl_svg_rect(out, x, TOP, 10, height, &(tl_ink){.stroke = EDGE});
    for (size_t i = 0; i <= 2; i++) { /* the scale is a square root */
        const double share = 1.0 - (double)i / 2;
        tl_number_text(m->max * share * share, text);
        tl_svg_text(out, x + 14, TOP + (double)i / 2 * height + 4, text,
                    &(tl_font){.size = 10});
    }
    tl_svg_text(out, x + 36, TOP + height + 16, "logits",
                &(tl_font){.size = 10, .anchor = TL_ANCHOR_END});
}

/* The map of one kind of scores of a modality, from a position on. */
typedef struct map_kind {
    const char *name;
    const double *values[TL_MODALITY_COUNT]; /* NULL: there are none */
    size_t first[TL_MODALITY_COUNT];
} map_kind;

static double largest(const tl_finding_part *p, const double *values, size_t first)
{
    double max = 0.0;
    for (size_t l = 0; l < p->scores.n_layers && values != NULL; l++)
        for (size_t t = first; t < p->scores.n_pos; t++)
            max = fmax(max, values[l * p->scores.n_pos + t]);
    return max;
}

static tl_status draw_map(const tl_findings *f, tl_modality modality,
                          const map_kind *kind, tl_figure *figure, tl_error *err)
{
    const tl_finding_part *p = &f->parts[modality];
    const size_t first = kind->first[modality], n_pos = p->scores.n_pos;
    const double own = largest(p, kind->values[modality], first);
    double of_all = 0.0;
    for (size_t k = 0; k < TL_MODALITY_COUNT; k++)
        of_all = fmax(of_all, largest(&f->parts[k], kind->values[k], kind->first[k]));
    map m = {.part = p,
             .values = kind->values[modality],
             .n_layers = p->scores.n_layers,
             .n_pos = n_pos,
             .first = first,
             .cell_width = fmax(10, fmin(24, (double)WIDE / (double)(n_pos - first))),
             .cell_height = p->scores.n_layers <= 12   ? 15
                            : p->scores.n_layers <= 32 ? 9
                                                       : 7};
    char title[64], name[32];
    snprintf(title, sizeof title, "%s prompts, %s", tl_draw_modalities[modality],
             kind->name);
    snprintf(name, sizeof name, "%s-%s", tl_draw_modalities[modality], kind->name);
    FILE *out = figure->panels;
    const double height = TOP + (double)m.n_layers * m.cell_height + token_room(p);
    tl_svg_begin(out, tl_figure_panel(figure, name), x_of(&m, m.n_pos) + RIGHT,
                 height < TOP + 130 ? TOP + 130 : height, title,
                 "Sums of attribution scores, layer by position, darker for more");
    tl_svg_text(out, 2, 13, title, &(tl_font){.size = 12, .bold = 1});
    tl_svg_rect(out, LEFT, TOP, x_of(&m, m.n_pos) - LEFT,
                (double)m.n_layers * m.cell_height, &(tl_ink){.fill = "#fffffe"});
    /* One of the two has the largest value of both: its colours are the same on its own. */
    const bool is_same = own == of_all;
    for (size_t choice = 0; choice < (is_same ? 1 : CHOICES); choice++) {
        m.max = choice == 0 ? of_all : own;
        tl_svg_group(out, is_same ? "for-0 for-1" : tl_figure_choices[choice],
                     choice > 0);
        draw_cells(&m, out);
        draw_scale(&m, out);
        tl_svg_group_end(out);
    }
    draw_layers(&m, out);
    draw_segments(&m, out);
    draw_tokens(&m, out);
    const tl_status status = draw_values(&m, out, err);
    tl_svg_end(out);
    return status;
}

static void write_csv(const tl_finding_part *p, const char *modality, FILE *csv)
{
    const size_t n_pos = p->scores.n_pos;
    if (p->importance_of_both == NULL)
        return;
    for (size_t i = 0; i < p->scores.n_layers * n_pos; i++)
        fprintf(csv, "%s,%zu,%zu,%.7g,%.7g,%.7g\r\n", modality, i / n_pos, i % n_pos,
                p->importance[TL_KIND_HEADS][i], p->importance[TL_KIND_NEURONS][i],
                p->importance_of_both[i]);
}

tl_status tl_draw_importance(const tl_findings *f, const char *prefix, FILE *page,
                             tl_error *err)
{
    const tl_finding_part *text = &f->parts[TL_TEXT], *image = &f->parts[TL_IMAGE];
    map_kind kinds[TL_KIND_COUNT + 1] = {{.name = "both"}};
    tl_figure figure = {.page = prefix,
                        .name = "importance",
                        .title = "Where the importance is",
                        .is_wide = true,
                        .asks = "Colour scale",
                        .choices = choices,
                        .n_choices = CHOICES};
    if (text->importance[0] == NULL && image->importance[0] == NULL)
        return TL_OK;
    tl_status status = tl_figure_begin(&figure, err);
    if (status != TL_OK)
        return status;
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const tl_finding_part *p = &f->parts[m];
        kinds[0].first[m] = p->data_begin;
        if (p->data_begin < p->scores.n_pos)
            kinds[0].values[m] = p->importance_of_both;
        for (size_t k = 0; k < TL_KIND_COUNT; k++) {
            kinds[1 + k].name = tl_kind_name((tl_component_kind)k);
            kinds[1 + k].values[m] = p->importance[k];
        }
    }
    fputs("modality,layer,position,heads,neurons,both\r\n", figure.csv);
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        write_csv(&f->parts[m], tl_draw_modalities[m], figure.csv);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++)
            if (kinds[k].values[m] != NULL)
                status = draw_map(f, (tl_modality)m, &kinds[k], &figure, err);
    fprintf(
        figure.caption,
        "Attribution scores, in logits: how much the difference between the two "
        "answers would change if all heads, or all neurons, of a layer at a position "
        "were as in the counterfactual prompt. First for both from the data on, "
        "then for heads and for neurons at all positions; means over %zu text and "
        "%zu image prompts. The colour is a square root, so that differences among "
        "small scores are seen. The pointer shows the %d largest values of each "
        "map. Below: the tokens of the first prompt, with * where prompts differ. "
        "Layers are counted from 0.",
        text->scores.n_pairs, image->scores.n_pairs, TITLED);
    return tl_figure_end(&figure, page, status, err);
}
